//! The servers' command lines.
//!
//! Every listener is on loopback: the servers' own default is every address of the machine. Files are named by
//! [`Files`]; this module only says which server reads which.

use std::ffi::OsString;
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::limits;
use crate::options::Options;
use crate::ports::Ports;

/// Addresses of services and of pods; they must not overlap, and nothing routes to them.
const SERVICE_RANGE: &str = "10.96.0.0/16";
const POD_RANGE: &str = "10.244.0.0/16";
/// What kwok gives its nodes for an address: reserved for documentation, so it is nobody's.
const NODE_ADDRESS: &str = "192.0.2.1";

/// The first address of the service range is the API server's own service.
pub(crate) const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// Common names of front proxies that the API server would believe. There is none.
const FRONT_PROXY_NAME: &str = "front-proxy-client";

/// Where each file of a control plane lies.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) directory: PathBuf,
}

impl Files {
    /// A name that no other control plane has: its directory's.
    pub(crate) fn name(&self) -> String {
        self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
    pub(crate) fn ca(&self) -> PathBuf {
        self.pki("ca.crt")
    }
    pub(crate) fn ca_key(&self) -> PathBuf {
        self.pki("ca.key")
    }
    pub(crate) fn front_proxy_ca(&self) -> PathBuf {
        self.pki("front-proxy-ca.crt")
    }
    pub(crate) fn serving(&self) -> PathBuf {
        self.pki("serving.crt")
    }
    pub(crate) fn serving_key(&self) -> PathBuf {
        self.pki("serving.key")
    }
    pub(crate) fn service_account_key(&self) -> PathBuf {
        self.pki("service-account.key")
    }
    pub(crate) fn service_account_public(&self) -> PathBuf {
        self.pki("service-account.pub")
    }
    pub(crate) fn stages(&self) -> PathBuf {
        self.directory.join("stages.yaml")
    }
    pub(crate) fn kubeconfigs(&self) -> PathBuf {
        self.directory.join("kubeconfigs")
    }
    pub(crate) fn pki_directory(&self) -> PathBuf {
        self.directory.join("pki")
    }
    fn pki(&self, name: &str) -> PathBuf {
        self.pki_directory().join(name)
    }
    fn etcd_data(&self) -> PathBuf {
        self.directory.join("etcd")
    }
}

pub(crate) fn url(scheme: &str, port: u16) -> String {
    format!("{scheme}://127.0.0.1:{port}")
}

pub(crate) fn uri(port: u16) -> Result<http::Uri, http::Error> {
    http::Uri::builder().scheme("https").authority(format!("127.0.0.1:{port}")).path_and_query("/").build()
}

/// No fsync: the data lives as long as the test, and slow disks would time every write.
pub(crate) fn etcd(program: &Path, files: &Files, ports: &Ports) -> Command {
    let (client, peer) = (url("http", ports.etcd_client), url("http", ports.etcd_peer));
    Flags::of(program)
        .text("--name", files.name())
        .file("--data-dir", &files.etcd_data())
        .text("--listen-client-urls", &client)
        .text("--advertise-client-urls", &client)
        .text("--listen-peer-urls", &peer)
        .text("--initial-advertise-peer-urls", &peer)
        .text("--initial-cluster", format!("{}={peer}", files.name()))
        .text("--quota-backend-bytes", limits::ETCD_QUOTA_BYTES)
        .text("--unsafe-no-fsync", true)
        .command()
}

/// No endpoint reconciler: it would only log that it refuses a loopback address, every ten seconds.
pub(crate) fn api_server(program: &Path, files: &Files, ports: &Ports, options: &Options) -> Command {
    let mut command = Flags::of(program)
        .text("--etcd-servers", url("http", ports.etcd_client))
        .text("--bind-address", "127.0.0.1")
        .text("--advertise-address", "127.0.0.1")
        .text("--secure-port", ports.api_server)
        .text("--endpoint-reconciler-type", "none")
        .file("--cert-dir", &files.pki_directory())
        .file("--tls-cert-file", &files.serving())
        .file("--tls-private-key-file", &files.serving_key())
        .file("--client-ca-file", &files.ca())
        .file("--requestheader-client-ca-file", &files.front_proxy_ca())
        .text("--requestheader-allowed-names", FRONT_PROXY_NAME)
        .text("--requestheader-username-headers", "X-Remote-User")
        .text("--requestheader-group-headers", "X-Remote-Group")
        .text("--requestheader-extra-headers-prefix", "X-Remote-Extra-")
        .text("--authorization-mode", "Node,RBAC")
        .text("--service-account-issuer", "https://kubernetes.default.svc")
        .file("--service-account-key-file", &files.service_account_public())
        .file("--service-account-signing-key-file", &files.service_account_key())
        .text("--service-cluster-ip-range", SERVICE_RANGE)
        .text("--allow-privileged", true)
        .command();
    command.args(&options.api_server_flags);
    command
}

pub(crate) fn controller_manager(
    program: &Path,
    kubeconfig: &Path,
    files: &Files,
    ports: &Ports,
    options: &Options,
) -> Command {
    component(program, kubeconfig, files, ports.controller_manager, options)
        .text("--use-service-account-credentials", true)
        .file("--service-account-private-key-file", &files.service_account_key())
        .file("--root-ca-file", &files.ca())
        .file("--cluster-signing-cert-file", &files.ca())
        .file("--cluster-signing-key-file", &files.ca_key())
        .command()
}

pub(crate) fn scheduler(
    program: &Path,
    kubeconfig: &Path,
    files: &Files,
    ports: &Ports,
    options: &Options,
) -> Command {
    component(program, kubeconfig, files, ports.scheduler, options).command()
}

pub(crate) fn kwok(program: &Path, kubeconfig: &Path, files: &Files, ports: &Ports) -> Command {
    Flags::of(program)
        .file("--kubeconfig", kubeconfig)
        .file("--config", &files.stages())
        .text("--manage-all-nodes", true)
        .text("--node-lease-duration-seconds", 40)
        .text("--node-ip", NODE_ADDRESS)
        .text("--cidr", POD_RANGE)
        .text("--server-address", format!("127.0.0.1:{}", ports.kwok))
        .file("--tls-cert-file", &files.serving())
        .file("--tls-private-key-file", &files.serving_key())
        .command()
}

/// What the controller manager and the scheduler have in common. One instance each, so no election.
fn component(program: &Path, kubeconfig: &Path, files: &Files, port: u16, options: &Options) -> Flags {
    Flags::of(program)
        .file("--kubeconfig", kubeconfig)
        .text("--bind-address", "127.0.0.1")
        .text("--secure-port", port)
        .file("--cert-dir", &files.pki_directory())
        .file("--tls-cert-file", &files.serving())
        .file("--tls-private-key-file", &files.serving_key())
        .text("--leader-elect", false)
        .text("--kube-api-qps", options.qps)
        .text("--kube-api-burst", options.burst)
}

/// A command line of `--name=value` flags.
struct Flags(Command);

impl Flags {
    fn of(program: &Path) -> Self {
        Self(Command::new(program))
    }

    fn text(mut self, name: &str, value: impl Display) -> Self {
        self.0.arg(format!("{name}={value}"));
        self
    }

    fn file(mut self, name: &str, value: &Path) -> Self {
        let mut flag = OsString::from(name);
        flag.push("=");
        flag.push(value);
        self.0.arg(flag);
        self
    }

    fn command(self) -> Command {
        self.0
    }
}
