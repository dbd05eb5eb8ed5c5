//! `groundskeeper run`: the operator.

use std::hash::BuildHasher as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::{DEFAULT_NAMESPACE, Rails};
use chassis::actuator::Actuator;
use chassis::lease::{Leadership, LeaseOptions, contender};
use chassis::ledger::{Ledger, LedgerLimits, LedgerOptions, Requirement};
use chassis::limits::{DELETIONS_IN_FLIGHT_DEFAULT, DELETIONS_IN_FLIGHT_MAX};
use chassis::{
    ClientOptions, Endpoint, Feeds, Health, LogFormat, MetricName, Metrics, Recorder, Stage, Supervisor,
    connect_measured, init_logs, recorder, serve, settle,
};
use clap::ValueEnum;
use control::{LeaseTerms, SystemClock};
use controllers::gc::{self, AuthorCheck, Foundation};

use crate::webhook::{Ground, WebhookArgs, serve_admission};

/// What `run` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The kubeconfig file. Default: KUBECONFIG, then ~/.kube/config, then the pod's service account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The context within the kubeconfig. Default: the current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// The namespace that this operator runs in; nothing in it is ever deleted.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    own_namespace: String,

    /// Where /metrics is served. It is not protected: keep it on loopback, or behind a network policy. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    metrics_bind_address: SocketAddr,

    /// Where /healthz and /readyz are served; /metrics as well if it is the same address. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8081")]
    health_probe_bind_address: SocketAddr,

    /// Whether what is destroyed must be recorded first: required, best-effort or off.
    #[arg(long, value_enum, default_value_t = LedgerMode::Required)]
    ledger: LedgerMode,

    /// The directory of the ledger; each instance writes below its own name.
    #[arg(long, value_name = "DIRECTORY", default_value = "/var/lib/groundskeeper/ledger")]
    ledger_dir: PathBuf,

    /// The name of the Lease, in the own namespace, that says which replica acts.
    #[arg(long, value_name = "NAME", default_value = "groundskeeper-slot-0")]
    lease_name: String,

    /// How long a standby waits for a sign of life before it takes over: whole seconds from 1s to 10m.
    #[arg(long, value_name = "SPAN", default_value = "15s")]
    lease_duration: Span,

    /// How long the leader acts on without a renewal; shorter than the duration.
    #[arg(long, value_name = "SPAN", default_value = "10s")]
    lease_renew_deadline: Span,

    /// How often the leader renews, and how long is waited after a failure; clearly shorter than the deadline.
    #[arg(long, value_name = "SPAN", default_value = "2s")]
    lease_retry_period: Span,

    /// How long a watch may be silent before it counts as dead, and nothing is deleted on its word: 5s to 10m. The API
    /// server sends a sign of life about every minute; below that, watches are opened anew for nothing.
    #[arg(long, value_name = "SPAN", default_value = "90s", value_parser = watch_silence)]
    watch_silence_max: Span,

    /// How many deletions may be in flight at one time, over all policies: 1 to 256.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = DELETIONS_IN_FLIGHT_DEFAULT,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(DELETIONS_IN_FLIGHT_MAX))
    )]
    max_deletions_in_flight: u16,

    /// Whether a policy is carried out only if its author may list and delete what it targets.
    #[arg(long, value_enum, default_value_t = CheckAuthors::Required)]
    author_check: CheckAuthors,

    #[command(flatten)]
    webhook: WebhookArgs,

    /// What is logged: error, warn, info, debug or trace, or a list such as info,chassis=debug.
    #[arg(long, env = "GROUNDSKEEPER_LOG", value_name = "LEVEL", default_value = "info")]
    log_level: String,

    /// How it is logged.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    log_format: Format,
}

fn watch_silence(text: &str) -> Result<Span, String> {
    let span: Span = text.parse()?;
    let is_within = (Duration::from_secs(5)..=Duration::from_mins(10)).contains(&span.0);
    if is_within { Ok(span) } else { Err("write a span from 5s to 10m".to_owned()) }
}

/// Whether what is destroyed must be recorded first.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LedgerMode {
    /// Nothing is destroyed while it cannot be recorded.
    Required,
    /// What cannot be recorded is done all the same, and counted.
    BestEffort,
    /// Nothing is recorded.
    Off,
}

impl From<LedgerMode> for Requirement {
    fn from(mode: LedgerMode) -> Self {
        match mode {
            LedgerMode::Required => Self::Required,
            LedgerMode::BestEffort => Self::BestEffort,
            LedgerMode::Off => Self::Off,
        }
    }
}

/// A span as it is written: `15s`, `1m30s`, `500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span(Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span: jiff::SignedDuration =
            text.parse().map_err(|_| "write a span such as 15s, 1m30s or 500ms".to_owned())?;
        Duration::try_from(span).map(Self).map_err(|_| "a span cannot be negative".to_owned())
    }
}

/// Whether a policy is carried out only if its author may do what it does.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum CheckAuthors {
    /// The author must be known from the policy's annotations, and be allowed to.
    Required,
    /// Every policy is carried out with the operator's own rights, whoever wrote it.
    Off,
}

impl From<CheckAuthors> for AuthorCheck {
    fn from(given: CheckAuthors) -> Self {
        match given {
            CheckAuthors::Required => Self::Required,
            CheckAuthors::Off => Self::Off,
        }
    }
}

/// How logs are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// Runs the operator until it is asked to stop.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let format = match args.log_format {
        Format::Json => LogFormat::Json,
        Format::Text => LogFormat::Text,
    };
    init_logs(format, &args.log_level).map_err(anyhow::Error::msg)?;
    let supervisor = Supervisor::default();
    let metrics = Metrics::default();
    let clock = Arc::new(SystemClock);
    let cluster = ClientOptions { kubeconfig: args.kubeconfig.clone(), context: args.context.clone() };
    let client = connect_measured(&cluster, &metrics, clock.clone()).await?;
    let health = Health::new(clock.clone());
    metrics.set(MetricName::BuildInfo, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    listen(&args, &supervisor, &metrics, &health).await?;

    let (recorder, events) =
        recorder(client.clone(), instance(), metrics.clone(), supervisor.stopping_in(Stage::Record).clone());
    supervisor.spawn_in(Stage::Record, "events", events);
    let leadership = contend(&args, &supervisor, &metrics, &recorder).await?;
    let rails = Rails::new(&*args.own_namespace);
    let ledger = open_ledger(&args, &supervisor, &metrics, &client).await?;
    let ground = Ground {
        own_namespace: &args.own_namespace,
        rails: &rails,
        clock: clock.clone(),
        metrics: &metrics,
        supervisor: &supervisor,
    };
    let _certificate = serve_admission(&args.webhook, &client, ground).await?;
    gc::start(Foundation {
        clock,
        actuator: Actuator::new(
            client.clone(),
            rails.clone(),
            ledger,
            metrics.clone(),
            args.max_deletions_in_flight,
        ),
        rails,
        feeds: Feeds {
            client,
            supervisor: supervisor.clone(),
            metrics,
            silence_max: args.watch_silence_max.0,
        },
        leadership,
        recorder,
        health,
        author_check: args.author_check.into(),
    });
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");

    let exit = supervisor.run().await.context("cannot listen for signals")?;
    tracing::info!(?exit, "stopped");
    Ok(ExitCode::from(exit.code()))
}

/// Opens the ledger, and settles what an earlier process of this name has left open.
async fn open_ledger(
    args: &Args,
    supervisor: &Supervisor,
    metrics: &Metrics,
    client: &kube::Client,
) -> anyhow::Result<Ledger> {
    let options = LedgerOptions {
        directory: args.ledger_dir.clone(),
        instance: instance(),
        requirement: args.ledger.into(),
        limits: LedgerLimits::default(),
    };
    let advice =
        "name a directory that can be written with --ledger-dir, or go without one with --ledger=off";
    let opened = Ledger::open(options, Arc::new(SystemClock), metrics.clone()).await.context(advice)?;
    let (ledger, stop) = (opened.ledger, supervisor.stopping_in(Stage::Record).clone());
    supervisor.spawn_in(Stage::Record, "ledger", opened.writer);
    let closing = ledger.clone();
    supervisor.spawn_in(Stage::Record, "end of the ledger", async move {
        stop.cancelled().await;
        if let Err(error) = closing.close().await {
            tracing::warn!(%error, "the ledger could not be ended");
        }
    });
    let (settling, client) = (ledger.clone(), client.clone());
    let stop = supervisor.stopping().clone();
    supervisor.spawn("settlement", async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = settle(client, settling, opened.unsettled) => {}
        }
    });
    Ok(ledger)
}

/// Contends for the lease of this replica's work, over a client of its own: nothing else may hold up its calls.
async fn contend(
    args: &Args,
    supervisor: &Supervisor,
    metrics: &Metrics,
    recorder: &Recorder,
) -> anyhow::Result<Leadership> {
    let terms =
        LeaseTerms::new(args.lease_duration.0, args.lease_renew_deadline.0, args.lease_retry_period.0)?;
    let cluster = ClientOptions { kubeconfig: args.kubeconfig.clone(), context: args.context.clone() };
    let client = connect_measured(&cluster, metrics, Arc::new(SystemClock)).await?;
    let options = LeaseOptions {
        namespace: args.own_namespace.clone(),
        name: args.lease_name.clone(),
        identity: identity(),
        terms,
    };
    let (leadership, contender) =
        contender(client, options, Arc::new(SystemClock), metrics.clone(), recorder.clone());
    let stop = supervisor.stopping_in(Stage::Lead).clone();
    supervisor.spawn_in(Stage::Lead, "lease", contender.run(stop));
    Ok(leadership)
}

/// Who contends: unique to this incarnation, so that a restart under the same name is not taken for a renewal.
fn identity() -> String {
    let incarnation = std::hash::RandomState::new().hash_one(std::process::id());
    format!("{}_{incarnation:016x}", instance())
}

async fn listen(
    args: &Args,
    supervisor: &Supervisor,
    metrics: &Metrics,
    health: &Health,
) -> anyhow::Result<()> {
    let bind = async |flag: &str, address: SocketAddr| {
        let advice =
            format!("cannot listen on {address}: name another address with {flag}, or a free port with :0");
        Endpoint::bind(address).await.context(advice)
    };
    let same =
        args.health_probe_bind_address == args.metrics_bind_address && args.metrics_bind_address.port() != 0;
    let mut listeners = vec![("metrics", bind("--metrics-bind-address", args.metrics_bind_address).await?)];
    if !same {
        listeners
            .push(("health", bind("--health-probe-bind-address", args.health_probe_bind_address).await?));
    }
    for (purpose, endpoint) in listeners {
        tracing::info!(purpose, address = %endpoint.address(), "listening");
        let stop = supervisor.stopping_in(Stage::Listen).clone();
        supervisor.spawn_in(Stage::Listen, "http", serve(endpoint, metrics.clone(), health.clone(), stop));
    }
    Ok(())
}

/// Who speaks in events: the pod's name, or else the host's and the process.
fn instance() -> String {
    let host = ["POD_NAME", "HOSTNAME"].iter().find_map(|name| std::env::var(name).ok());
    host.unwrap_or_else(|| format!("groundskeeper-{}", std::process::id()))
}
