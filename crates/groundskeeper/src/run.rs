//! `groundskeeper run`: the operator.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use api::Rails;
use chassis::{
    ClientOptions, Endpoint, Exit, Health, LogFormat, MetricName, Metrics, Pages, Scrapers, Supervisor,
    Telemetry, TraceTarget, connect_measured, recorder, serve, start_telemetry,
};
use control::{Clock, SystemClock};
use controllers::gc::{self, Foundation};

use crate::config::{self, Config, Flags, Format, Live, MetricsAuth};

/// What `run` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    settings: Flags,
}

/// Runs the operator until it is asked to stop.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let effective = args.settings.resolve()?;
    let config = effective.config.clone();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let telemetry = telemetry(&config, Arc::clone(&clock))?;
    let supervisor = Supervisor::default();
    let metrics = Metrics::default();
    let cluster = ClientOptions {
        kubeconfig: config.cluster.kubeconfig.clone(),
        context: config.cluster.context.clone(),
    };
    let client = connect_measured(&cluster, &metrics, Arc::clone(&clock)).await?;
    let health = Health::new(Arc::clone(&clock));
    metrics.set(MetricName::BuildInfo, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let pages = Pages {
        metrics: Some(metrics.clone()),
        scrapers: Some(Scrapers::new(client.clone(), Arc::clone(&clock))),
        health: Some(health.clone()),
        log_level: Some(telemetry.log_level.clone()),
    };
    listen(&config, &supervisor, pages).await?;
    let stop = supervisor.stopping();
    supervisor.spawn("log level", telemetry.log_level.clone().keep(stop.clone()));
    let live = Live {
        log_level: telemetry.log_level.clone(),
        traces: telemetry.traces.clone(),
        metrics: metrics.clone(),
    };
    supervisor.spawn("configuration", config::watch(args.settings, effective, live, stop.clone()));

    let (recorder, events) = recorder(client.clone(), instance(), metrics.clone(), Arc::clone(&clock));
    supervisor.spawn("events", events);
    let foundation = Foundation {
        clock,
        rails: Rails::new(&*config.namespace),
        supervisor: supervisor.clone(),
        metrics,
        recorder,
        health: health.clone(),
        deletions_in_flight_max: config.limits.deletions_in_flight,
    };
    supervisor.spawn("garbage collection", gc::run(client, foundation));
    health.started();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");

    let exit = supervisor.run().await.context("cannot listen for signals")?;
    tracing::info!(?exit, "stopped");
    telemetry.traces.finish().await;
    Ok(if exit == Exit::Clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
        supervisor.spawn("http", serve(endpoint, pages, supervisor.stopping().clone()));
    }
    Ok(())
}

/// Who speaks in events: the pod's name, or else the host's and the process.
fn instance() -> String {
    let host = ["POD_NAME", "HOSTNAME"].iter().find_map(|name| std::env::var(name).ok());
    host.unwrap_or_else(|| format!("groundskeeper-{}", std::process::id()))
}
