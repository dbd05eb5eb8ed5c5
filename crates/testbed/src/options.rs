//! What a control plane is made of.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::binaries::{self, Progress, Provision, Tool};
use crate::limits;
use crate::ports::Ports;

type Sink = Arc<dyn Fn(&Progress) + Send + Sync>;

/// The parts and settings of a control plane; the default has every part.
#[derive(Clone)]
pub struct Options {
    pub(crate) controller_manager: bool,
    pub(crate) scheduler: bool,
    pub(crate) kwok: bool,
    pub(crate) api_server_flags: Vec<String>,
    pub(crate) qps: u32,
    pub(crate) burst: u32,
    pub(crate) provision: Provision,
    pub(crate) progress: Sink,
    /// Replaced by tests only, which need a port that is taken.
    pub(crate) ports: fn() -> io::Result<Ports>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            controller_manager: true,
            scheduler: true,
            kwok: true,
            api_server_flags: Vec::new(),
            qps: limits::CLIENT_QPS,
            burst: limits::CLIENT_BURST,
            provision: Provision::new(),
            progress: Arc::new(binaries::to_stderr),
            ports: Ports::free,
        }
    }
}

impl Options {
    /// Every part.
    pub fn new() -> Self {
        Self::default()
    }

    /// etcd and the API server alone, which saves about 240 MB of memory but no time. There are then no default service
    /// accounts (so pods are refused), no garbage collection, and namespaces are never finally deleted.
    pub fn api_server_only() -> Self {
        Self::new().controller_manager(false).scheduler(false).kwok(false)
    }

    /// Whether kube-controller-manager runs.
    #[must_use]
    pub fn controller_manager(mut self, runs: bool) -> Self {
        self.controller_manager = runs;
        self
    }

    /// Whether kube-scheduler runs.
    #[must_use]
    pub fn scheduler(mut self, runs: bool) -> Self {
        self.scheduler = runs;
        self
    }

    /// Whether kwok runs. Without it, nodes do not become ready and pods do not start.
    #[must_use]
    pub fn kwok(mut self, runs: bool) -> Self {
        self.kwok = runs;
        self
    }

    /// One more flag for kube-apiserver (`--name=value`). It comes last, so it replaces a default of ours.
    #[must_use]
    pub fn api_server_flag(mut self, flag: impl Into<String>) -> Self {
        self.api_server_flags.push(flag.into());
        self
    }

    /// Requests per second, and in one burst, of the controller manager and the scheduler (500 and 1,000 by default;
    /// Kubernetes' own 20 and 30 make rollouts of hundreds of pods three times slower).
    #[must_use]
    pub fn client_rates(mut self, qps: u32, burst: u32) -> Self {
        (self.qps, self.burst) = (qps, burst);
        self
    }

    /// Where the programs come from. The tools named there do not matter: those that the parts need are provided.
    #[must_use]
    pub fn provision(mut self, provision: Provision) -> Self {
        self.provision = provision;
        self
    }

    /// Who is told about builds; by default standard error is.
    #[must_use]
    pub fn progress(mut self, sink: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.progress = Arc::new(sink);
        self
    }

    /// The tools that these options need; kubectl always.
    pub(crate) fn tools(&self) -> Vec<Tool> {
        let parts = [
            (self.controller_manager, Tool::KubeControllerManager),
            (self.scheduler, Tool::KubeScheduler),
            (self.kwok, Tool::Kwok),
        ];
        let always = [Tool::Etcd, Tool::KubeApiserver, Tool::Kubectl];
        always.into_iter().chain(parts.into_iter().filter(|(runs, _)| *runs).map(|(_, tool)| tool)).collect()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("tools", &self.tools())
            .field("api_server_flags", &self.api_server_flags)
            .field("client_rates", &(self.qps, self.burst))
            .finish_non_exhaustive()
    }
}
