//! `groundskeeper run`: the operator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use api::{DEFAULT_NAMESPACE, Rails};
use chassis::limits::{DELETIONS_IN_FLIGHT_DEFAULT, DELETIONS_IN_FLIGHT_MAX};
use chassis::{
    ClientOptions, Endpoint, Exit, Health, LogFormat, MetricName, Metrics, Supervisor, connect_measured,
    init_logs, recorder, serve,
};
use clap::ValueEnum;
use control::SystemClock;
use controllers::gc::{self, Foundation};

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

    /// How many deletions may be in flight at one time, over all policies: 1 to 256.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = DELETIONS_IN_FLIGHT_DEFAULT,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(DELETIONS_IN_FLIGHT_MAX))
    )]
    max_deletions_in_flight: u16,

    /// What is logged: error, warn, info, debug or trace, or a list such as info,chassis=debug.
    #[arg(long, env = "GROUNDSKEEPER_LOG", value_name = "LEVEL", default_value = "info")]
    log_level: String,

    /// How it is logged.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    log_format: Format,
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

    let (recorder, events) = recorder(client.clone(), instance(), metrics.clone(), clock.clone());
    supervisor.spawn("events", events);
    let rails = Rails::new(&*args.own_namespace);
    let foundation = Foundation {
        clock,
        rails,
        supervisor: supervisor.clone(),
        metrics,
        recorder,
        health,
        deletions_in_flight_max: args.max_deletions_in_flight,
    };
    supervisor.spawn("garbage collection", gc::run(client, foundation));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");

    let exit = supervisor.run().await.context("cannot listen for signals")?;
    tracing::info!(?exit, "stopped");
    Ok(if exit == Exit::Clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
        let stop = supervisor.stopping().clone();
        supervisor.spawn("http", serve(endpoint, metrics.clone(), health.clone(), stop));
    }
    Ok(())
}

/// Who speaks in events: the pod's name, or else the host's and the process.
fn instance() -> String {
    let host = ["POD_NAME", "HOSTNAME"].iter().find_map(|name| std::env::var(name).ok());
    host.unwrap_or_else(|| format!("groundskeeper-{}", std::process::id()))
}
