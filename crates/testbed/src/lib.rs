//! A real Kubernetes control plane for tests and demos, without Docker.
//!
//! etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok run as plain processes on loopback. Their
//! programs are built from Go modules, once for each user and version, and kept in the user's cache directory. What a
//! test sees is the real thing: admission, RBAC, priority and fairness, garbage collection, the scheduler. What is
//! played is the nodes: kwok makes them ready, runs pods at once, and completes the pods of jobs.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use testbed::{ControlPlane, Options};
//!
//! let cluster = ControlPlane::start(Options::new()).await?;
//! let namespace = cluster.namespace("reports").await?;
//!
//! let somebody = cluster.user("somebody", &["readers"])?;
//! let maps = kube::Api::<ConfigMap>::namespaced(somebody.client()?, &namespace);
//! assert!(maps.get("report").await.is_err(), "RBAC knows no such reader");
//! # Ok(())
//! # }
//! ```
//!
//! No process survives its test run, however that ends; see [`ControlPlane::spawn`] to have the program under test
//! guarded as well.
//!
//! # Faults
//!
//! [`faults`] puts a proxy between a process under test and the API server, which breaks what a test names: it delays
//! and refuses requests, cuts connections before or after the server has acted, holds a request at a gate while the
//! process is killed, freezes watches, loses their events, and truncates lists. [`ManagedProcess`] kills, pauses and
//! resumes the process itself.
//!
//! ```no_run
//! # async fn example(cluster: &testbed::ControlPlane) -> Result<(), Box<dyn std::error::Error>> {
//! use testbed::faults::{Calls, Fault, Faults, Verb};
//!
//! let proxy = Faults::between(cluster, &cluster.user("robot", &[])?).await?;
//! proxy.on(Calls::of("configmaps").verb(Verb::Create).nth(3), Fault::cut_after());
//! // Start the process with `proxy.kubeconfig()`: the third map it makes exists, but it never hears of it.
//! # Ok(())
//! # }
//! ```
//!
//! # Targets
//!
//! [`targets`] has servers that stand for those of others, as the published interfaces of these are: each counts what it
//! was asked and what it did, and fails, hangs, answers late or lies when a test says so.
//!
//! It does not know what is tested with it. There is no kubelet, no container, no cluster DNS and no service network:
//! a webhook is registered by `clientConfig.url` with a loopback address. Unix only.

#![forbid(unsafe_code)]

mod authority;
mod binaries;
mod clock;
mod control_plane;
pub mod faults;
mod guard;
mod identity;
mod kubeconfig;
mod limits;
mod options;
mod ports;
mod process;
mod ready;
mod servers;
mod shared;
pub mod targets;

pub use binaries::{Binaries, BinariesError, Family, GIVEN_BY, Progress, Provision, Tool};
pub use control_plane::{ClusterError, ControlPlane, StartError};
pub use identity::Identity;
pub use options::Options;
pub use process::ManagedProcess;
pub use shared::{Shared, Turn, Turns};
