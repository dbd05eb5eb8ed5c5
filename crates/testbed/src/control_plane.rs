//! A running control plane.
//!
//! The driver of the start is a list of steps; what each server is told is in `servers`, when it is ready in `ready`,
//! and what kills it in `guard`. Holds nothing that belongs to an async runtime, so tests with runtimes of their own
//! can share it. Invariant: its servers and its directory are gone when it is dropped, and when the process ends.

mod error;
mod ground;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::{Api, PostParams};
use serde_json::json;

pub use error::{ClusterError, StartError};

use crate::authority::Credentials;
use crate::binaries::{Binaries, Tool};
use crate::identity::Identity;
use crate::limits;
use crate::options::Options;
use crate::process::ManagedProcess;
use crate::ready;
use crate::servers;
use ground::Ground;

const ADMINISTRATORS: &str = "system:masters";

/// A real Kubernetes control plane on loopback.
#[derive(Debug)]
pub struct ControlPlane {
    // Fields are dropped in this order: the servers first, the last started first, then their directory and guard.
    servers: Servers,
    admin: Identity,
    kubectl: PathBuf,
    binaries: Binaries,
    ground: Ground,
}

/// The servers in the reverse order of their start.
#[derive(Debug, Default)]
struct Servers(Vec<ManagedProcess>);

impl ControlPlane {
    /// Provides the programs (minutes, the first time on a machine), starts the servers and waits until they are ready
    /// (seconds).
    ///
    /// If a port is taken by somebody else in the meantime, the start is repeated with others.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        // Several crates may each bring a TLS provider; rustls then refuses to choose.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (options, binaries) = provide(options).await?;
        let mut attempt = 1;
        loop {
            match Self::bring_up(&options, &binaries).await {
                Err(StartError::PortBusy { log, .. }) if attempt < limits::START_ATTEMPTS => {
                    let _ = fs::remove_file(log);
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn bring_up(options: &Options, binaries: &Binaries) -> Result<Self, StartError> {
        let ports = (options.ports)().map_err(StartError::Ports)?;
        let ground = Ground::prepare(&ports)?;
        let admin = ground.identify("admin", &[ADMINISTRATORS])?;

        let etcd = servers::etcd(binaries.path(Tool::Etcd)?, ground.files(), &ports);
        let etcd = ground.start(Tool::Etcd, etcd)?;
        ground.ready(&etcd, async || ready::etcd(ports.etcd_client, &ground.files().name()).await).await?;

        let api = servers::api_server(binaries.path(Tool::KubeApiserver)?, ground.files(), &ports, options);
        let api = ground.start(Tool::KubeApiserver, api)?;
        let client = admin.client().map_err(StartError::Client)?;
        ground.ready(&api, async || ready::https(&client, "/readyz").await).await?;
        ground.ready(&api, async || ready::default_namespace(&client).await).await?;

        let mut servers = Servers(vec![api, etcd]);
        for started in ground.start_components(options, binaries, &ports)? {
            servers.0.insert(0, started);
        }
        ground.components_ready(&servers.0, &client, &ports).await?;

        let kubectl = binaries.path(Tool::Kubectl)?.to_owned();
        Ok(Self { servers, admin, kubectl, binaries: binaries.clone(), ground })
    }

    /// The cluster's administrator (group `system:masters`): RBAC does not apply, nor do priority and fairness.
    pub fn admin(&self) -> &Identity {
        &self.admin
    }

    /// Anybody: a client certificate for this user and these groups. RBAC decides what that is worth.
    ///
    /// A service account is the user `system:serviceaccount:<namespace>:<name>` in the groups
    /// `system:serviceaccounts` and `system:serviceaccounts:<namespace>`; it need not exist.
    pub fn user(&self, name: &str, groups: &[&str]) -> Result<Identity, StartError> {
        self.ground.identify(name, groups)
    }

    /// `https://127.0.0.1:<port>`
    pub fn server_url(&self) -> &str {
        self.ground.server_url()
    }

    /// The CA that signed the API server's certificate, as PEM.
    pub fn ca(&self) -> PathBuf {
        self.ground.files().ca()
    }

    /// A certificate of the cluster CA for another server on loopback, with its key.
    pub(crate) fn serving(&self) -> Result<Credentials, StartError> {
        self.ground.serving()
    }

    pub(crate) fn certificate_of_ca(&self) -> Vec<u8> {
        self.ground.certificate_of_ca()
    }

    /// Where the kubeconfigs lie.
    pub(crate) fn kubeconfigs(&self) -> PathBuf {
        self.ground.files().kubeconfigs()
    }

    /// The control plane's own directory, for files that may go with it. Logs are under `logs`.
    pub fn directory(&self) -> &Path {
        self.ground.directory()
    }

    /// The client program that belongs to the server; give it an [`Identity::kubeconfig`].
    pub fn kubectl(&self) -> &Path {
        &self.kubectl
    }

    /// The programs that it runs.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Name and process id of every server, in the order of their start.
    pub fn processes(&self) -> Vec<(String, u32)> {
        self.servers.0.iter().rev().map(|server| (server.name().to_owned(), server.pid())).collect()
    }

    /// A server's process, for its log or to take it away.
    pub fn server(&self, tool: Tool) -> Option<&ManagedProcess> {
        self.servers.0.iter().find(|server| server.name() == tool.name())
    }

    /// Runs another program (the one under test, say) that cannot outlive this test run either.
    ///
    /// Its input is empty and its output goes to `logs/<log_name>.log`. It joins the control plane's process group, so
    /// it also ends when the control plane does.
    pub fn spawn(&self, command: Command, log_name: &str) -> std::io::Result<ManagedProcess> {
        self.ground.spawn(command, log_name)
    }

    /// Makes a namespace whose name begins with `prefix` and is unique in this control plane; where the controller
    /// manager runs, waits until pods may be created in it.
    ///
    /// One for each test keeps tests apart. Do not wait for its deletion, which takes 5 s even if it is empty.
    pub async fn namespace(&self, prefix: &str) -> Result<String, ClusterError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let prefix: String = prefix.chars().take(limits::NAMESPACE_PREFIX_MAX).collect();
        let name = format!("{prefix}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let doing = || format!("creating namespace `{name}`");

        let client = self.admin.client().map_err(|source| ClusterError::Api { doing: doing(), source })?;
        let namespace: Namespace = object(json!({ "metadata": { "name": name } }), &doing)?;
        let namespaces = Api::<Namespace>::all(client.clone());
        let created = namespaces.create(&PostParams::default(), &namespace).await;
        created.map_err(|source| ClusterError::Api { doing: doing(), source })?;

        if self.server(Tool::KubeControllerManager).is_some() {
            let account =
                ready::poll(limits::OBJECT_DEADLINE, async || ready::service_account(&client, &name).await);
            account.await.map_err(|last| ClusterError::Late { doing: doing(), last })?;
        }
        Ok(name)
    }

    /// Adds a node that kwok plays (32 CPUs, 256 GiB, 110 pods), and waits until it is ready.
    pub async fn add_kwok_node(&self, name: &str) -> Result<(), ClusterError> {
        if self.server(Tool::Kwok).is_none() {
            return Err(ClusterError::NoKwok { node: name.to_owned() });
        }
        let doing = || format!("adding node `{name}`");
        let client = self.admin.client().map_err(|source| ClusterError::Api { doing: doing(), source })?;
        let nodes = Api::<Node>::all(client);
        let node = object(node(name), &doing)?;
        let created = nodes.create(&PostParams::default(), &node).await;
        created.map_err(|source| ClusterError::Api { doing: doing(), source })?;

        let is_ready = ready::poll(limits::OBJECT_DEADLINE, async || match nodes.get(name).await {
            Ok(node) if is_usable(&node) => Ok(()),
            Ok(_) => Err("it is not ready, or tainted".to_owned()),
            Err(error) => Err(error.to_string()),
        });
        is_ready.await.map_err(|last| ClusterError::Late { doing: doing(), last })
    }

    /// Stops the servers in peace, in the reverse order of their start; returns those that had to be killed because
    /// they took longer than 10 s. What [`ControlPlane::spawn`] started is killed at the end, if it still runs.
    ///
    /// Takes 1 to 5 s, most of it for the API server and etcd. Dropping takes none and is as thorough.
    pub async fn stop(self) -> Vec<String> {
        let mut killed = Vec::new();
        for server in &self.servers.0 {
            let asked = server.terminate();
            let ended = server.wait_exit(limits::STOP_DEADLINE).await;
            if asked.is_err() || !matches!(ended, Ok(Some(_))) {
                killed.push(server.name().to_owned());
            }
        }
        killed
    }
}

/// Blocking work stays off the runtime's own threads: a build takes minutes.
async fn provide(options: Options) -> Result<(Options, Binaries), StartError> {
    let provided = tokio::task::spawn_blocking(move || {
        let provision = options.provision.clone().tools(options.tools());
        let binaries = Binaries::ensure(&provision, options.progress.as_ref())?;
        Ok((options, binaries))
    });
    provided.await.map_err(|_| StartError::Abandoned)?
}

fn object<K: serde::de::DeserializeOwned>(
    value: serde_json::Value,
    doing: &dyn Fn() -> String,
) -> Result<K, ClusterError> {
    serde_json::from_value(value)
        .map_err(|source| ClusterError::Api { doing: doing(), source: kube::Error::SerdeError(source) })
}

fn node(name: &str) -> serde_json::Value {
    let resources = json!({ "cpu": "32", "memory": "256Gi", "pods": "110" });
    json!({
        "metadata": {
            "name": name,
            "annotations": { "kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0" },
            "labels": BTreeMap::from([
                ("kubernetes.io/hostname", name),
                ("kubernetes.io/arch", "amd64"),
                ("kubernetes.io/os", "linux"),
                ("type", "kwok"),
            ]),
        },
        "status": { "capacity": resources, "allocatable": resources },
    })
}

/// Ready, and no longer tainted as not ready, which the controller manager undoes a moment later.
fn is_usable(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let is_ready =
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    is_ready && !taints.into_iter().any(|taint| taint.key == "node.kubernetes.io/not-ready")
}

/// The start of a name that is safe in a path.
fn file_name(number: u32, name: &str) -> String {
    let safe: String = name
        .chars()
        .take(limits::FILE_NAME_PART_MAX)
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '_' })
        .collect();
    format!("{number:03}-{safe}.yaml")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicU16, AtomicU32};

    use super::*;
    use crate::ports::Ports;

    #[tokio::test]
    async fn a_port_that_is_taken_meanwhile_costs_another_attempt() {
        static TAKEN: AtomicU16 = AtomicU16::new(0);
        static DRAWN: AtomicU32 = AtomicU32::new(0);
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        TAKEN.store(taken.local_addr().unwrap().port(), Ordering::Relaxed);
        let mut options = Options::api_server_only();
        options.ports = || {
            let mut ports = Ports::free()?;
            if DRAWN.fetch_add(1, Ordering::Relaxed) == 0 {
                ports.api_server = TAKEN.load(Ordering::Relaxed);
            }
            Ok(ports)
        };
        let cluster = ControlPlane::start(options).await.unwrap();
        assert_eq!(DRAWN.load(Ordering::Relaxed), 2);
        assert!(!cluster.server_url().ends_with(&format!(":{}", taken.local_addr().unwrap().port())));
    }

    #[tokio::test]
    async fn the_etcd_of_another_control_plane_is_not_taken_for_our_own() {
        static TAKEN: AtomicU16 = AtomicU16::new(0);
        let mut options = Options::api_server_only();
        options.ports = || {
            let ports = Ports::free()?;
            match TAKEN.load(Ordering::Relaxed) {
                0 => TAKEN.store(ports.etcd_client, Ordering::Relaxed),
                taken => return Ok(Ports { etcd_client: taken, ..ports }),
            }
            Ok(ports)
        };
        let _first = ControlPlane::start(options.clone()).await.unwrap();
        let error = ControlPlane::start(options).await.unwrap_err();
        let StartError::PortBusy { server, log } = &error else { panic!("{error}") };
        assert_eq!(server, "etcd");
        fs::remove_file(log).unwrap();
    }

    #[tokio::test]
    async fn a_port_that_is_always_taken_ends_the_attempts_with_one_message() {
        static TAKEN: AtomicU16 = AtomicU16::new(0);
        static DRAWN: AtomicU32 = AtomicU32::new(0);
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        TAKEN.store(taken.local_addr().unwrap().port(), Ordering::Relaxed);
        let mut options = Options::api_server_only();
        options.ports = || {
            DRAWN.fetch_add(1, Ordering::Relaxed);
            Ok(Ports { etcd_client: TAKEN.load(Ordering::Relaxed), ..Ports::free()? })
        };
        let error = ControlPlane::start(options).await.unwrap_err();
        assert_eq!(DRAWN.load(Ordering::Relaxed), limits::START_ATTEMPTS);
        let StartError::PortBusy { server, log } = &error else { panic!("{error}") };
        assert_eq!(server, "etcd");
        assert!(error.to_string().contains("found its port taken"), "{error}");
        fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_users_name_is_no_path() {
        assert_eq!(file_name(7, "system:serviceaccount:../x/y"), "007-system_serviceaccount_.._x_y.yaml");
    }
}
