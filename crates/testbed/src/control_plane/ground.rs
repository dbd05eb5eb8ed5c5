//! What servers stand on: a guarded directory with keys, certificates and kubeconfigs.
//!
//! Also turns a server's silence or end into an error that shows its log, which is moved to where it survives.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use kube::Client;
use kube::config::AuthInfo;

use super::{StartError, file_name};
use crate::authority::{self, Authority, Credentials};
use crate::binaries::{Binaries, Tool};
use crate::guard::Guard;
use crate::identity::Identity;
use crate::kubeconfig::{self, write_private};
use crate::limits;
use crate::options::Options;
use crate::ports::Ports;
use crate::process::{ManagedProcess, last_lines};
use crate::ready::{self, NotReady};
use crate::servers::{self, Files};

pub(super) struct Ground {
    guard: Guard,
    files: Files,
    authority: Authority,
    server_url: String,
    server: http::Uri,
    identities: AtomicU32,
}

impl std::fmt::Debug for Ground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ground")
            .field("guard", &self.guard)
            .field("server_url", &self.server_url)
            .finish_non_exhaustive()
    }
}

impl Ground {
    pub(super) fn prepare(ports: &Ports) -> Result<Self, StartError> {
        let made = tempfile::Builder::new().prefix("testbed-").tempdir();
        let directory = made.map_err(prepare(&std::env::temp_dir()))?.keep();
        let guard = Guard::over(directory.clone()).map_err(prepare(&directory))?;
        let authority = Authority::new().map_err(certify("the cluster CA"))?;
        let server = servers::uri(ports.api_server).map_err(as_client_error)?;
        let ground = Self {
            guard,
            files: Files { directory },
            authority,
            server_url: servers::url("https", ports.api_server),
            server,
            identities: AtomicU32::new(0),
        };
        ground.write_files()?;
        Ok(ground)
    }

    fn write_files(&self) -> Result<(), StartError> {
        let files = &self.files;
        for directory in [files.pki_directory(), files.kubeconfigs()] {
            fs::create_dir(&directory).map_err(prepare(&directory))?;
        }
        let ca = self.authority.credentials();
        let serving = self.serving()?;
        let front_proxy_ca = authority::front_proxy_ca().map_err(certify("the front proxy CA"))?;
        let (private, public) = authority::service_account_keys().map_err(certify("service accounts"))?;
        let texts = [
            (files.ca(), ca.certificate.as_str()),
            (files.ca_key(), &ca.key),
            (files.serving(), &serving.certificate),
            (files.serving_key(), &serving.key),
            (files.front_proxy_ca(), &front_proxy_ca),
            (files.service_account_key(), &private),
            (files.service_account_public(), &public),
            (files.stages(), include_str!("../../assets/stages.yaml")),
        ];
        for (path, text) in texts {
            write_private(&path, text).map_err(prepare(&path))?;
        }
        Ok(())
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    pub(super) fn directory(&self) -> &Path {
        self.guard.directory()
    }

    pub(super) fn server_url(&self) -> &str {
        &self.server_url
    }

    pub(super) fn serving(&self) -> Result<Credentials, StartError> {
        self.authority.serving(servers::API_SERVICE).map_err(certify("the servers"))
    }

    pub(super) fn certificate_of_ca(&self) -> Vec<u8> {
        self.authority.certificate_der()
    }

    pub(super) fn identify(&self, name: &str, groups: &[&str]) -> Result<Identity, StartError> {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let credentials = self.authority.client(name, &groups).map_err(certify(name))?;
        let ca = self.authority.credentials().certificate;
        let document = kubeconfig::document(&self.server_url, &ca, name, &credentials);
        let number = self.identities.fetch_add(1, Ordering::Relaxed);
        let path = self.files.kubeconfigs().join(file_name(number, name));
        write_private(&path, &format!("{document:#}\n")).map_err(prepare(&path))?;

        let mut config = kube::Config::new(self.server.clone());
        config.root_cert = Some(vec![self.authority.certificate_der()]);
        config.auth_info = serde_json::from_value::<AuthInfo>(kubeconfig::authentication(&credentials))
            .map_err(|error| StartError::Client(kube::Error::SerdeError(error)))?;
        config.default_retry = false;
        Ok(Identity { name: name.to_owned(), groups, kubeconfig: path, config })
    }

    pub(super) fn spawn(&self, command: Command, log_name: &str) -> io::Result<ManagedProcess> {
        ManagedProcess::start(&self.guard, command, log_name)
    }

    pub(super) fn start(&self, tool: Tool, command: Command) -> Result<ManagedProcess, StartError> {
        self.spawn(command, tool.name())
            .map_err(|source| StartError::Spawn { server: tool.name().to_owned(), source })
    }

    /// Starts what runs beside the API server, all at once.
    pub(super) fn start_components(
        &self,
        options: &Options,
        binaries: &Binaries,
        ports: &Ports,
    ) -> Result<Vec<ManagedProcess>, StartError> {
        let files = &self.files;
        let mut started = Vec::new();
        if options.controller_manager {
            let tool = Tool::KubeControllerManager;
            let user = self.identify("system:kube-controller-manager", &[])?;
            let program = binaries.path(tool)?;
            let command = servers::controller_manager(program, user.kubeconfig(), files, ports, options);
            started.push(self.start(tool, command)?);
        }
        if options.scheduler {
            let tool = Tool::KubeScheduler;
            let user = self.identify("system:kube-scheduler", &[])?;
            let command = servers::scheduler(binaries.path(tool)?, user.kubeconfig(), files, ports, options);
            started.push(self.start(tool, command)?);
        }
        if options.kwok {
            let user = self.identify("kwok", &[super::ADMINISTRATORS])?;
            let command = servers::kwok(binaries.path(Tool::Kwok)?, user.kubeconfig(), files, ports);
            started.push(self.start(Tool::Kwok, command)?);
        }
        Ok(started)
    }

    /// Waits for all of them at once; each starts by itself.
    pub(super) async fn components_ready(
        &self,
        servers: &[ManagedProcess],
        client: &Client,
        ports: &Ports,
    ) -> Result<(), StartError> {
        let running = |tool: Tool| servers.iter().find(|server| server.name() == tool.name());
        let manager = async {
            let Some(process) = running(Tool::KubeControllerManager) else { return Ok(()) };
            let health = self.health_of(ports.controller_manager)?;
            self.ready(process, async || ready::https(&health, "/healthz").await).await?;
            self.ready(process, async || ready::service_account(client, "default").await).await
        };
        let scheduler = async {
            let Some(process) = running(Tool::KubeScheduler) else { return Ok(()) };
            let health = self.health_of(ports.scheduler)?;
            self.ready(process, async || ready::https(&health, "/readyz").await).await
        };
        let kwok = async {
            let Some(process) = running(Tool::Kwok) else { return Ok(()) };
            let health = self.health_of(ports.kwok)?;
            self.ready(process, async || ready::https(&health, "/healthz").await).await
        };
        tokio::try_join!(manager, scheduler, kwok).map(drop)
    }

    fn health_of(&self, port: u16) -> Result<Client, StartError> {
        let uri = servers::uri(port).map_err(as_client_error)?;
        ready::anonymous(uri, self.authority.certificate_der()).map_err(StartError::Client)
    }

    pub(super) async fn ready(
        &self,
        process: &ManagedProcess,
        probe: impl AsyncFn() -> Result<(), String>,
    ) -> Result<(), StartError> {
        ready::wait(process, limits::READY_DEADLINE, probe).await.map_err(|failure| explain(process, failure))
    }
}

/// How Go's listeners say that a port is taken.
const PORT_TAKEN: &str = "address already in use";

/// The failure with the end of the log, which is copied because its directory goes.
fn explain(process: &ManagedProcess, failure: NotReady) -> StartError {
    let text = process.log().unwrap_or_else(|error| format!("(no log: {error})"));
    let log = keep(process);
    let server = process.name().to_owned();
    let last_lines = last_lines(&text);
    match failure {
        _ if text.contains(PORT_TAKEN) => StartError::PortBusy { server, log },
        NotReady::Exited(status) => StartError::Exited { server, status, log, last_lines },
        NotReady::Silent(last) => StartError::NotReady { server, last, log, last_lines },
    }
}

fn keep(process: &ManagedProcess) -> PathBuf {
    let kept = std::env::temp_dir().join(format!("testbed-failed-{}-{}.log", process.name(), process.pid()));
    match fs::copy(process.log_path(), &kept) {
        Ok(_) => kept,
        Err(_) => process.log_path().to_owned(),
    }
}

fn prepare(path: &Path) -> impl FnOnce(io::Error) -> StartError + '_ {
    move |source| StartError::Prepare { path: path.to_owned(), source }
}

fn as_client_error(error: http::Error) -> StartError {
    StartError::Client(kube::Error::HttpError(error))
}

fn certify(subject: &str) -> impl FnOnce(rcgen::Error) -> StartError + '_ {
    move |source| StartError::Certificate { subject: subject.to_owned(), source }
}
