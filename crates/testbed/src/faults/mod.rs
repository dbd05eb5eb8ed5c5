//! Faults between a process under test and the API server, at exactly the request or event that a test names.
//!
//! A [`FaultProxy`] terminates TLS on a port of its own, in the test's process, and passes every request on under the
//! identity that it was made for: RBAC, audit and admission see the caller, not the proxy. Rules say what goes wrong.
//! What no rule is about passes untouched, byte for byte where it is a stream.
//!
//! ```no_run
//! # async fn example(cluster: &testbed::ControlPlane) -> Result<(), Box<dyn std::error::Error>> {
//! use testbed::faults::{Calls, Fault, Faults, Gate, Refusal, Verb};
//!
//! let robot = cluster.user("robot", &[])?;
//! let proxy = Faults::between(cluster, &robot).await?;
//! let mut command = std::process::Command::new("controller-under-test");
//! command.arg("--kubeconfig").arg(proxy.kubeconfig());
//!
//! // The first create happens, but its reply is lost; all pages of a list but the first have expired.
//! proxy.on(Calls::of("configmaps").verb(Verb::Create).nth(1), Fault::cut_after());
//! let expired = proxy.on(Calls::lists("configmaps").continued(), Fault::refuse(Refusal::expired()));
//!
//! // The process dies between its third write and the answer to it.
//! let gate = Gate::new();
//! proxy.on(Calls::writes().except("leases").nth(3), Fault::hold_after(&gate));
//! let process = cluster.spawn(command, "controller")?;
//! let held = gate.arrived().await;
//! process.kill()?;
//! held.cut();
//!
//! expired.lift();
//! assert!(proxy.trace().writes().iter().any(|write| write.code.is_some() && !write.delivered));
//! # Ok(())
//! # }
//! ```
//!
//! The proxy has threads of its own, so a test may block (on `kubectl`, say) without stopping it. It ends when it is
//! dropped. It speaks HTTP/1.1, knows no upgrades (`exec`, `attach`, `port-forward`), and gives JSON to clients that
//! take it besides protobuf. It knows nothing of what is tested.

mod calls;
mod count;
mod events;
mod exchange;
mod fault;
mod gate;
mod list;
mod refusal;
mod reply;
mod rules;
mod stream;
mod trace;
mod wire;

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::Uri;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_rustls::TlsAcceptor;

pub use calls::{Call, Calls, Verb};
pub(crate) use calls::{decoded, pairs};
pub use events::{Event, EventType, Events};
pub use fault::Fault;
pub use gate::{Gate, Held};
pub use refusal::Refusal;
pub use rules::RuleHandle;
pub use trace::{Trace, Write};

use crate::authority::Credentials;
use crate::control_plane::{ControlPlane, StartError};
use crate::identity::Identity;
use crate::limits;
use exchange::Exchange;
use rules::Rules;
use trace::Recorder;
use wire::{Order, What, Wire};

/// Where proxies come from.
#[derive(Debug)]
pub struct Faults;

impl Faults {
    /// A proxy in front of the API server, for a process that is to be `identity`. Several processes have one each.
    pub async fn between(cluster: &ControlPlane, identity: &Identity) -> Result<FaultProxy, FaultsError> {
        let tls =
            acceptor(&cluster.serving().map_err(FaultsError::Certificate)?, cluster.certificate_of_ca())?;
        let threads = Threads::start().map_err(FaultsError::Listen)?;
        let listening = threads.handle.spawn(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).await;
        let listener = listening.map_err(io::Error::other).flatten().map_err(FaultsError::Listen)?;
        let address = listener.local_addr().map_err(FaultsError::Listen)?;

        let rules = Arc::new(Rules::default());
        let recorder = Arc::new(Recorder::start());
        let upstream = upstream(&threads.handle, identity)?;
        let exchange = Exchange { rules: Arc::clone(&rules), recorder: Arc::clone(&recorder), upstream };
        let (frozen, is_frozen) = watch::channel(false);
        let (orders, ordered) = mpsc::channel(1);
        let wire = Wire { address, tls, exchange: Arc::new(exchange), frozen: is_frozen };
        threads.handle.spawn(wire.run(listener, ordered));

        let identity = through(cluster, identity, address.port())?;
        Ok(FaultProxy { identity, rules, recorder, frozen, orders, _threads: threads })
    }
}

/// A proxy that is there until it is dropped.
pub struct FaultProxy {
    identity: Identity,
    rules: Arc<Rules>,
    recorder: Arc<Recorder>,
    frozen: watch::Sender<bool>,
    orders: mpsc::Sender<Order>,
    _threads: Threads,
}

impl FaultProxy {
    /// A file that leads a process through the proxy. It goes with the control plane's directory.
    pub fn kubeconfig(&self) -> &Path {
        self.identity.kubeconfig()
    }

    /// The identity that the proxy was made for, with a kubeconfig and clients that lead through the proxy.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Adds a rule: to these calls, this happens. It holds until it is lifted, for requests that begin from now on;
    /// for watches see [`Fault`].
    pub fn on(&self, calls: Calls, fault: Fault) -> RuleHandle {
        RuleHandle { rule: self.rules.add(calls, fault), rules: Arc::clone(&self.rules) }
    }

    /// Lifts every rule.
    pub fn lift_all(&self) {
        self.rules.clear();
    }

    /// What went through so far.
    pub fn trace(&self) -> Trace {
        self.recorder.trace()
    }

    /// Breaks every connection, and refuses new ones. Writes that were passed on happen all the same.
    pub async fn cut(&self) -> io::Result<()> {
        self.order(What::Cut).await
    }

    /// Takes connections again, on the same port.
    pub async fn mend(&self) -> io::Result<()> {
        self.order(What::Mend).await
    }

    /// A partition: from now on no byte moves in either direction, and every connection stays open, also new ones.
    /// Requests that had reached the proxy are performed.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    /// Ends the partition; what was on its way arrives.
    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    async fn order(&self, what: What) -> io::Result<()> {
        let (done, obeyed) = oneshot::channel();
        let sent = self.orders.send(Order { what, done }).await;
        sent.map_err(io::Error::other)?;
        obeyed.await.map_err(io::Error::other)?
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy")
            .field("identity", &self.identity)
            .field("server", &self.identity.config.cluster_url)
            .finish_non_exhaustive()
    }
}

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum FaultsError {
    /// The control plane's CA could not certify it.
    #[error("cannot certify the fault proxy")]
    Certificate(#[source] StartError),
    /// TLS could not be set up.
    #[error("cannot set up TLS for the fault proxy: {0}")]
    Tls(String),
    /// It has no thread or no port.
    #[error("cannot listen on loopback for the fault proxy")]
    Listen(#[source] io::Error),
    /// Its own client could not be made.
    #[error("cannot make the fault proxy's client for the API server")]
    Client(#[source] kube::Error),
    /// The kubeconfig could not be written.
    #[error("cannot write {}", .path.display())]
    Kubeconfig {
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// A runtime that may be dropped within another one; every task and connection ends with it.
pub(crate) struct Threads {
    pub(crate) handle: Handle,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl Threads {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(limits::PROXY_THREADS)
            .thread_name("testbed-faults")
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Takes only clients of the cluster's CA: on a shared machine nobody else borrows the identity.
fn acceptor(serving: &Credentials, ca: Vec<u8>) -> Result<TlsAcceptor, FaultsError> {
    let tls = |error: &dyn fmt::Display| FaultsError::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(ca)).map_err(|error| tls(&error))?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| tls(&error))?;
    let certificate =
        CertificateDer::from_pem_slice(serving.certificate.as_bytes()).map_err(|error| tls(&error))?;
    let key = PrivateKeyDer::from_pem_slice(serving.key.as_bytes()).map_err(|error| tls(&error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| tls(&error))?
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate], key)
        .map_err(|error| tls(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The proxy's own way to the server. Bodies come as they are, and nothing ends by time: that is the process's affair.
fn upstream(threads: &Handle, identity: &Identity) -> Result<kube::Client, FaultsError> {
    let mut config = identity.config();
    config.read_timeout = None;
    config.write_timeout = None;
    config.disable_compression = true;
    let _inside = threads.enter();
    kube::Client::try_from(config).map_err(FaultsError::Client)
}

fn through(cluster: &ControlPlane, identity: &Identity, port: u16) -> Result<Identity, FaultsError> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let path = cluster.kubeconfigs().join(format!("faults-{}.yaml", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let server = format!("https://{}:{port}", Ipv4Addr::LOCALHOST);
    let written = Uri::try_from(server).map_err(io::Error::other);
    let written = written.and_then(|server| identity.by_way_of(&server, path.clone()));
    written.map_err(|source| FaultsError::Kubeconfig { path, source })
}
