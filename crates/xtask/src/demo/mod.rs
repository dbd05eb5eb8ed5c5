//! `cargo demo`: what Groundskeeper does, on a real cluster, in two minutes. `cargo demo nodes`: how a node leaves.
//!
//! The driver: which step follows which, what ends it all, and what is left behind (nothing). What is seen stands in
//! `screen`, what happens in `play`.
//!
//! Invariant: however this process ends, no process and no directory of its own is left; what it has put into somebody
//! else's cluster is removed, unless it is killed in between.

mod account;
mod authors;
mod budget;
mod cluster;
mod departures;
mod install;
mod inventory;
mod leash;
mod limits;
mod modes;
mod nodes;
mod operator;
mod play;
mod program;
mod replicas;
mod screen;
mod shell;
mod site;
mod stay;
mod takeover;
mod theirs;

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use control::{Clock as _, SystemClock};
use jiff::Timestamp;
use testbed::ControlPlane;
use tokio::signal::unix::{SignalKind, signal};

use inventory::Inventory;
use limits::POLL_EVERY;
use operator::Operator;
use replicas::Replicas;
use screen::Screen;
use shell::Shell;
use site::{Authors, Site};
use theirs::{Consent, TheirCluster};

/// Shows what Groundskeeper does, on a real control plane that this builds and starts by itself.
///
/// Needs Go 1.26 or newer the first time. On a terminal it then stays up for you to try things, until Ctrl-C.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// What is shown.
    #[arg(value_enum, value_name = "WHAT", default_value_t = Show::Collection)]
    show: Show,

    /// End after the last step, and exit with 1 if a step did not come out as it should. Default without a terminal.
    #[arg(long)]
    once: bool,

    /// Use the cluster of the current kubeconfig context instead. Shows what it would create there, and asks first.
    #[arg(long)]
    cluster: bool,

    /// Do not ask. Only with --cluster.
    #[arg(long, requires = "cluster")]
    yes: bool,
}

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Show {
    /// How objects are deleted when their time is up.
    Collection,
    /// How a node leaves.
    Nodes,
}

/// The demo, as far as it has come.
struct Demo {
    args: Args,
    screen: Screen,
    root: PathBuf,
    /// Lines for another terminal.
    exports: Vec<String>,
    stays: bool,
    replicas: Replicas,
    place: Option<Place>,
}

/// Whose cluster it is.
enum Place {
    Ours(Box<ControlPlane>),
    Theirs(Box<TheirCluster>),
}

/// How it came to an end.
enum End {
    Done,
    Failed(anyhow::Error),
    Interrupted(u8),
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new().context("starting the async runtime")?;
    let code = runtime.block_on(drive(args));
    // A build or a question that was interrupted still holds a thread; what it started ends with this process.
    runtime.shutdown_background();
    code
}

async fn drive(args: Args) -> Result<ExitCode> {
    let mut demo = Demo::new(args)?;
    let mut interrupted = Interruption::listen()?;
    let since = SystemClock.now();
    let outcome = tokio::select! {
        outcome = demo.perform() => outcome,
        number = interrupted.next() => return Ok(demo.finish(End::Interrupted(number), since).await),
    };
    let outcome = match outcome {
        Ok(()) => End::Done,
        Err(error) => interrupted.or_failed(error).await,
    };
    Ok(demo.finish(outcome, since).await)
}

impl Demo {
    fn new(args: Args) -> Result<Self> {
        let folder = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&folder).ancestors().nth(2).context("the crate lies in `crates/`")?.to_owned();
        let screen = Screen::new();
        Ok(Self {
            args,
            screen,
            root,
            exports: Vec::new(),
            stays: false,
            replicas: Replicas::default(),
            place: None,
        })
    }

    /// The whole demo, up to where it stays or ends.
    async fn perform(&mut self) -> Result<()> {
        if self.args.show == Show::Nodes {
            return self.perform_departure().await;
        }
        self.screen.title("Groundskeeper deletes Kubernetes objects when their time is up, by policies.");
        let site = if self.args.cluster { self.enter_theirs().await? } else { self.build_ours().await? };
        self.start_replicas(&site).await?;
        let pages = self.replicas.metrics()?;
        tokio::select! {
            played = play_first(&site, &pages) => played?,
            ended = self.replicas.fail() => ended?,
        }
        self.screen.step("The leader dies in the middle of its work");
        takeover::play(&site, &mut self.replicas).await?;
        tokio::select! {
            played = look_back(&site) => played?,
            ended = self.replicas.fail() => ended?,
        }
        self.stay(&site, &stay::COLLECTION).await
    }

    /// How a node leaves, up to where it stays or ends.
    async fn perform_departure(&mut self) -> Result<()> {
        ensure!(
            !self.args.cluster,
            "--cluster shows how objects are deleted: for how a node leaves, nodes of yours would have to go"
        );
        self.screen.title("Groundskeeper lets a node go when nothing of it stays behind.");
        let site = self.build_ours().await?;
        self.start_replicas(&site).await?;
        let inventory = Inventory::open().await?;
        let Some(Place::Ours(cluster)) = &self.place else { bail!("there is no cluster to play on") };
        tokio::select! {
            played = nodes::play(&site, cluster, &inventory) => played?,
            ended = self.replicas.fail() => ended?,
        }
        self.stay(&site, &stay::NODES).await
    }

    /// Ends, or stays up for whoever is there to try things.
    async fn stay(&mut self, site: &Site, things: &[stay::Thing]) -> Result<()> {
        self.screen.gap();
        if self.args.once || !self.screen.is_terminal() {
            return Ok(());
        }
        self.stays = true;
        stay::invite(site, things, &self.exports, &self.replicas.logs());
        self.replicas.fail().await
    }

    /// A control plane of our own, with the operator's kind and rights.
    async fn build_ours(&mut self) -> Result<Site> {
        self.screen.step("Build a Kubernetes control plane");
        cluster::provide(&self.screen).await?;
        self.screen.step("Start it");
        let show = self.args.show;
        let cluster = cluster::start(&self.screen, show.nodes()).await?;
        let admin = cluster.admin().kubeconfig().to_owned();
        let operator_kubeconfig = cluster::operator_kubeconfig(&cluster)?;
        let (client, kubectl) = (cluster.admin().client()?, cluster.kubectl().to_owned());
        let directory = cluster.directory().to_owned();
        self.place = Some(Place::Ours(Box::new(cluster)));
        self.screen.step("Build Groundskeeper");
        let program = program::build(&self.screen, &self.root).await?;
        self.exports = stay::exports(&admin, &kubectl, &program);
        let shell = Shell::new(&self.screen, &self.root).with_programs(folder(&program));
        let shell = shell.with_programs(folder(&kubectl)).with_kubeconfig(&admin);
        let site = Site {
            screen: self.screen.clone(),
            shell,
            kubectl: "kubectl".to_owned(),
            context_flag: String::new(),
            namespace: "demo".to_owned(),
            own_namespace: api::DEFAULT_NAMESPACE.to_owned(),
            webhook: Some(install::free_address()?),
            authors: Authors::Known,
            flags: show.flags(),
            directory,
            client,
            program,
            operator_kubeconfig,
        };
        self.screen.step("Install it: its kind, its rights, and guards in the API server itself");
        self.screen.say(&format!("Below, kubectl is {}, on this cluster.", kubectl.display()));
        site.shell.show(&install::line(None, site.webhook, show.collected())).await?;
        install::check(&site, show.rights()).await?;
        site.shell.show("kubectl create namespace demo").await?;
        site.shell.show("kubectl config set-context --current --namespace demo").await?;
        Ok(site)
    }

    /// Somebody's own cluster, with the operator's kind and rights, after they have agreed.
    async fn enter_theirs(&mut self) -> Result<Site> {
        let consent = if self.args.yes { Consent::Given } else { Consent::ToBeAsked };
        ensure!(
            consent == Consent::Given || theirs::somebody_is_there(),
            "--cluster changes the cluster of your current context, and there is no terminal to ask you on: \
             add --yes if you mean it"
        );
        self.screen.step("Build Groundskeeper");
        let program = program::build(&self.screen, &self.root).await?;
        self.screen.step("Your cluster");
        let shell = Shell::new(&self.screen, &self.root).with_programs(folder(&program));
        let cluster = TheirCluster::look(&self.screen, shell).await?;
        cluster.ask(consent).await?;
        self.screen.step("Install it: its kind, its rights, and guards in the API server itself");
        let Place::Theirs(cluster) = self.place.insert(Place::Theirs(Box::new(cluster))) else {
            bail!("another cluster than the one just entered");
        };
        let site = cluster.enter(program).await?;
        install::check(&site, Show::Collection.rights()).await?;
        Ok(site)
    }

    async fn start_replicas(&mut self, site: &Site) -> Result<()> {
        self.screen.step("Run two replicas, with these rights and no others");
        let ours = match &self.place {
            Some(Place::Ours(cluster)) => Some(&**cluster),
            Some(Place::Theirs(_)) => None,
            None => bail!("there is no cluster to run on"),
        };
        self.replicas.start(site, ours).await
    }

    /// Says how it came to an end, ends everything, and returns what that means for who called.
    async fn finish(self, outcome: End, since: Timestamp) -> ExitCode {
        let (screen, stayed) = (self.screen.clone(), self.stays);
        if let End::Failed(error) = &outcome {
            screen.failed(&explain(error, &screen.current_step(), &self.replicas.last_lines()));
        }
        let ended = self.end(&outcome).await;
        if let Err(error) = &ended {
            screen.failed(&explain(error, "the end", &[]));
        }
        let code = match outcome {
            End::Failed(_) => 1,
            _ if ended.is_err() => 1,
            End::Interrupted(number) if !stayed => 128 + number,
            End::Done | End::Interrupted(_) => 0,
        };
        if code == 0 {
            let seconds = SystemClock.now().duration_since(since).as_secs();
            screen.holds(&format!("all is well, and nothing is left behind (after {seconds} s)"));
        }
        ExitCode::from(code)
    }

    /// Ends everything, in the reverse order of its start.
    async fn end(mut self, outcome: &End) -> Result<()> {
        if matches!(outcome, End::Interrupted(_)) {
            self.screen.gap();
            self.screen.say("Stopping.");
        }
        let mut stopped = Ok(());
        while let Some(operator) = self.replicas.pop() {
            if !matches!(outcome, End::Failed(_)) {
                stopped = stopped.and(stop(&self.screen, operator).await);
            }
        }
        let left = match self.place.take() {
            Some(Place::Ours(cluster)) => {
                let directory = cluster.directory().to_owned();
                drop(cluster);
                let gone = !directory.exists();
                gone.then_some(()).with_context(|| format!("{} is left behind", directory.display()))
            }
            Some(Place::Theirs(cluster)) => cluster.leave().await,
            None => Ok(()),
        };
        stopped.and(left)
    }
}

impl Show {
    /// The nodes that are there from the beginning.
    const fn nodes(self) -> &'static [&'static str] {
        match self {
            Self::Collection => &["node-1"],
            Self::Nodes => &[],
        }
    }

    /// The kinds that are opted in.
    const fn collected(self) -> &'static [&'static str] {
        match self {
            Self::Collection => &install::COLLECTED,
            Self::Nodes => &[],
        }
    }

    /// What the operator must be allowed to do, as `kubectl auth can-i` takes it.
    const fn rights(self) -> &'static [&'static str] {
        match self {
            Self::Collection => &["delete configmaps", "delete jobs.batch"],
            Self::Nodes => &["patch nodes", "create pods --subresource=eviction"],
        }
    }

    /// Further flags of the operator.
    const fn flags(self) -> &'static str {
        match self {
            Self::Collection => "",
            // The inventory runs on this machine.
            Self::Nodes => " --plugin-allow-loopback=true",
        }
    }
}

/// What is shown while both replicas run.
async fn play_first(site: &Site, pages: &[(&'static str, SocketAddr)]) -> Result<()> {
    play::play(site, pages).await?;
    budget::play(site).await?;
    site.screen.step("A mistake is refused, or warned of, with what to write instead");
    play::be_corrected(site).await?;
    site.screen.step("A policy does only what its author may do");
    authors::play(site).await
}

/// What is asked afterwards.
async fn look_back(site: &Site) -> Result<()> {
    site.screen.step("Can the ledger be believed?");
    account::verify(site).await?;
    site.screen.step("Ask the doctor");
    account::check(site).await
}

/// Asks the operator to end, as a cluster would.
async fn stop(screen: &Screen, mut operator: Operator) -> Result<()> {
    let since = SystemClock.now();
    let status = operator.stop().await?;
    let name = operator.name();
    ensure!(status.success(), "{name} did not end well after SIGTERM ({status})");
    let milliseconds = SystemClock.now().duration_since(since).as_millis();
    screen.holds(&format!("{name} ended {milliseconds} ms after SIGTERM, with status 0"));
    Ok(())
}

/// What failed, where, why, and what the operator said last; each cause once.
fn explain(error: &anyhow::Error, step: &str, log: &[String]) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            let separator = if text.is_empty() { "" } else { ": " };
            text = format!("{text}{separator}{cause}");
        }
    }
    text += &format!("\n(this was {step})");
    if !log.is_empty() {
        text += &format!("\n\nThe operator's log ends:\n{}", log.join("\n"));
    }
    text
}

fn folder(program: &Path) -> &Path {
    program.parent().unwrap_or(Path::new("."))
}

/// The signals by which somebody, or the system, asks us to end.
struct Interruption([tokio::signal::unix::Signal; 3]);

impl Interruption {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(listen);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    /// What an error means: a signal may have hit what we had just started a moment before us.
    async fn or_failed(&mut self, error: anyhow::Error) -> End {
        match tokio::time::timeout(POLL_EVERY * 2, self.next()).await {
            Ok(number) => End::Interrupted(number),
            Err(_) => End::Failed(error),
        }
    }

    /// The number of the next one.
    async fn next(&mut self) -> u8 {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
            _ = hangup.recv() => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_each_cause_once_and_shows_the_log() {
        let error = anyhow::anyhow!("no space").context("cannot write x: no space").context("starting");
        let log = ["{\"message\":\"bye\"}".to_owned()];
        assert_eq!(
            explain(&error, "step 2, Start it", &log),
            "starting: cannot write x: no space\n(this was step 2, Start it)\n\nThe operator's log ends:\n{\"message\":\"bye\"}"
        );
    }
}
