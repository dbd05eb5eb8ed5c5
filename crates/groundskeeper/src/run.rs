//! `groundskeeper run`: the operator.

use std::hash::BuildHasher as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::Rails;
use chassis::actuator::{Actuator, Means};
use chassis::admission::CertificateState;
use chassis::lease::{Leadership, LeaseOptions, contender};
use chassis::ledger::{Anchorer, Ledger, LedgerLimits, LedgerOptions, Requirement};
use chassis::{
    Check, ClientOptions, ControllerThread, Endpoint, Feeds, Health, LogFormat, MetricName, Metrics, Pages,
    Recorder, Scrapers, Stage, Supervisor, Telemetry, TraceTarget, connect_measured, recorder, serve, settle,
    start_telemetry,
};
use control::{Clock, LeaseTerms, SystemClock};
use controllers::gc::{self, AuthorCheck, Foundation};
use controllers::node_cleanup;
use controllers::node_cleanup::admission::Nodes;
use plugins::{Outbound, Plugins};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, Flags, Format, LedgerMode, Live, MetricsAuth};
use crate::webhook::{Ground, serve_admission};

/// What `run` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    settings: Flags,
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

impl From<config::AuthorCheck> for AuthorCheck {
    fn from(given: config::AuthorCheck) -> Self {
        match given {
            config::AuthorCheck::Required => Self::Required,
            config::AuthorCheck::Off => Self::Off,
        }
    }
}

/// Runs the operator until it is asked to stop.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let effective = args.settings.resolve()?;
    let config = effective.config.clone();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let telemetry = telemetry(&config, Arc::clone(&clock))?;
    let supervisor = Supervisor::default();
    let metrics = Metrics::default();
    let client = connect_measured(&cluster(&config), &metrics, Arc::clone(&clock)).await?;
    let health = Health::new(Arc::clone(&clock));
    metrics.set(MetricName::BuildInfo, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let pages = Pages {
        metrics: Some(metrics.clone()),
        scrapers: Some(Scrapers::new(client.clone(), Arc::clone(&clock))),
        health: Some(health.clone()),
        log_level: Some(telemetry.log_level.clone()),
    };
    listen(&config, &supervisor, pages).await?;
    supervisor.spawn("log level", telemetry.log_level.clone().keep(supervisor.stopping().clone()));
    let live = Live {
        log_level: telemetry.log_level.clone(),
        traces: telemetry.traces.clone(),
        metrics: metrics.clone(),
    };
    let watching = config::watch(args.settings, effective, live, supervisor.stopping().clone());
    supervisor.spawn("configuration", watching);

    let stop = supervisor.stopping_in(Stage::Record).clone();
    let (recorder, events) = recorder(client.clone(), instance(), metrics.clone(), Arc::clone(&clock), stop);
    supervisor.spawn_in(Stage::Record, "events", events);
    let leadership = contend(&config, &supervisor, &metrics, &recorder).await?;
    let rails = Rails::new(&*config.namespace);
    let thread = ControllerThread::start().context("cannot start the controllers' thread")?;
    let ledger = open_ledger(&config, (&supervisor, &thread), &metrics, &client).await?;
    let nodes = Nodes::default();
    let ground = Ground {
        own_namespace: &config.namespace,
        rails: &rails,
        nodes: nodes.clone(),
        clock: Arc::clone(&clock),
        metrics: &metrics,
        supervisor: &supervisor,
    };
    if let Some(certificate) = serve_admission(&config.webhook, &client, ground).await? {
        let check = health.check("webhook-certificate");
        let stop = supervisor.stopping_in(Stage::Listen).clone();
        let watching = watch_certificate(certificate, check, Arc::clone(&clock), stop);
        supervisor.spawn_in(Stage::Listen, "readiness of the webhook", watching);
    }
    let in_flight_max = config.limits.deletions_in_flight;
    let client = connect_there(&config, &thread, &metrics, &clock).await?;
    // The controllers, and whatever they start, run on their thread.
    let entered = thread.enter();
    let means = Means { client: client.clone(), ledger, metrics: metrics.clone(), clock: Arc::clone(&clock) };
    let actuator = Actuator::new(means, rails.clone(), in_flight_max);
    let feeds =
        Feeds { client, supervisor: supervisor.clone(), metrics, silence_max: config.watches.silence_max.0 };
    node_cleanup::start(node_cleanup::Foundation {
        plugins: plugins(&config, &feeds, Arc::clone(&clock))?,
        clock: Arc::clone(&clock),
        feeds: feeds.clone(),
        leadership: leadership.clone(),
        actuator: actuator.clone(),
        recorder: recorder.clone(),
        health: health.clone(),
        admission: nodes,
    });
    gc::start(Foundation {
        clock,
        actuator,
        rails,
        feeds,
        leadership,
        recorder,
        health: health.clone(),
        author_check: config.policies.author_check.into(),
    });
    drop(entered);
    health.started();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");

    let exit = supervisor.run().await.context("cannot listen for signals")?;
    tracing::info!(?exit, "stopped");
    telemetry.traces.finish().await;
    Ok(ExitCode::from(exit.code()))
}

/// What departures ask of others, within what the configuration lets them call.
fn plugins(config: &Config, feeds: &Feeds, clock: Arc<dyn Clock>) -> anyhow::Result<Plugins> {
    let given = config.plugins.allow_private.as_deref().unwrap_or_default();
    let names = given.split(',').map(str::trim).filter(|name| !name.is_empty());
    let allow_private = names.map(str::parse).collect::<Result<_, _>>();
    let allow_private = allow_private.context("plugins.allowPrivate (--plugin-allow-private)")?;
    Ok(Plugins::new(plugins::Means {
        client: feeds.client.clone(),
        clock,
        metrics: feeds.metrics.clone(),
        namespace: config.namespace.clone(),
        outbound: Outbound { allow_private, allow_loopback: config.plugins.allow_loopback },
    }))
}

fn cluster(config: &Config) -> ClientOptions {
    let config::Cluster { kubeconfig, context } = config.cluster.clone();
    ClientOptions { kubeconfig, context }
}

fn telemetry(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Telemetry> {
    let format = match config.log.format {
        Format::Json => LogFormat::Json,
        Format::Text => LogFormat::Text,
    };
    let target = config.traces.endpoint.clone().map(|endpoint| TraceTarget {
        endpoint,
        sample_ratio: config.traces.sample_ratio,
        instance: instance(),
    });
    start_telemetry(format, &config.log.level, target.as_ref(), clock).map_err(anyhow::Error::msg)
}

/// Keeps the probe of the webhook's certificate up to date.
async fn watch_certificate(
    certificate: CertificateState,
    check: Check,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    const LOOK_EVERY: Duration = Duration::from_secs(1);
    while !stop.is_cancelled() {
        if certificate.is_valid(clock.now()) {
            check.pass();
        } else {
            check.fail("there is no valid certificate for the webhook yet");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// A client of the controllers' own, whose connections live on their thread.
async fn connect_there(
    config: &Config,
    thread: &ControllerThread,
    metrics: &Metrics,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<kube::Client> {
    let (options, metrics, clock) = (cluster(config), metrics.clone(), Arc::clone(clock));
    let connecting = async move { connect_measured(&options, &metrics, clock).await };
    Ok(thread.run(connecting).await.context("the controllers' thread has ended")??)
}

/// Opens the ledger, which is written beside the controllers, and settles what an earlier process of this name has left
/// open.
async fn open_ledger(
    config: &Config,
    (supervisor, thread): (&Supervisor, &ControllerThread),
    metrics: &Metrics,
    client: &kube::Client,
) -> anyhow::Result<Ledger> {
    let options = LedgerOptions {
        directory: config.ledger.directory.clone(),
        instance: instance(),
        requirement: config.ledger.mode.into(),
        limits: LedgerLimits {
            segment_bytes_max: config.ledger.segment_bytes,
            segments_max: config.ledger.keep_segments,
        },
    };
    let advice =
        "name a directory that can be written with --ledger-dir, or go without one with --ledger=off";
    let opened = Ledger::open(options, Arc::new(SystemClock), metrics.clone()).await.context(advice)?;
    let (ledger, stop) = (opened.ledger, supervisor.stopping_in(Stage::Record).clone());
    let entered = thread.enter();
    supervisor.spawn_in(Stage::Record, "ledger", opened.writer);
    drop(entered);
    let (closing, closed) = (ledger.clone(), CancellationToken::new());
    let anchorer = Anchorer::new(client.clone(), &*config.namespace, ledger.clone());
    supervisor.spawn_in(
        Stage::Record,
        "anchors of the ledger",
        anchorer.run(config.ledger.anchor_interval.0, closed.clone()),
    );
    supervisor.spawn_in(Stage::Record, "end of the ledger", async move {
        stop.cancelled().await;
        if let Err(error) = closing.close().await {
            tracing::warn!(%error, "the ledger could not be ended");
        }
        closed.cancel();
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
    config: &Config,
    supervisor: &Supervisor,
    metrics: &Metrics,
    recorder: &Recorder,
) -> anyhow::Result<Leadership> {
    let leases = &config.leases;
    let terms = LeaseTerms::new(leases.duration.0, leases.renew_deadline.0, leases.retry_period.0)?;
    let client = connect_measured(&cluster(config), metrics, Arc::new(SystemClock)).await?;
    let options = LeaseOptions {
        namespace: leases.namespace.clone().unwrap_or_else(|| config.namespace.clone()),
        name: leases.name.clone(),
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

/// Opens the listeners: one for metrics and one for probes, or one for both.
async fn listen(config: &Config, supervisor: &Supervisor, pages: Pages) -> anyhow::Result<()> {
    let bind = async |flag: &str, address: SocketAddr| {
        let advice =
            format!("cannot listen on {address}: name another address with {flag}, or a free port with :0");
        Endpoint::bind(address).await.context(advice)
    };
    let (metrics, health) = (config.metrics.bind_address, config.health.bind_address);
    let asks = match config.metrics.auth {
        MetricsAuth::Auto => !metrics.ip().is_loopback(),
        MetricsAuth::Required => true,
        MetricsAuth::Off => false,
    };
    let pages = Pages { scrapers: pages.scrapers.filter(|_| asks), ..pages };
    let mut listeners = Vec::new();
    if metrics == health && metrics.port() != 0 {
        listeners.push(("metrics", bind("--metrics-bind-address", metrics).await?, pages));
    } else {
        let probes = Pages { metrics: None, scrapers: None, ..pages.clone() };
        let scrapes = Pages { health: None, log_level: None, ..pages };
        listeners.push(("metrics", bind("--metrics-bind-address", metrics).await?, scrapes));
        listeners.push(("health", bind("--health-probe-bind-address", health).await?, probes));
    }
    for (purpose, endpoint, pages) in listeners {
        tracing::info!(purpose, address = %endpoint.address(), "listening");
        let stop = supervisor.stopping_in(Stage::Listen).clone();
        supervisor.spawn_in(Stage::Listen, "http", serve(endpoint, pages, stop));
    }
    Ok(())
}

/// Who speaks in events: the pod's name, or else the host's and the process.
fn instance() -> String {
    let host = ["POD_NAME", "HOSTNAME"].iter().find_map(|name| std::env::var(name).ok());
    host.unwrap_or_else(|| format!("groundskeeper-{}", std::process::id()))
}
