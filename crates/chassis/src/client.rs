//! The client: where the API server is, who we are, and how long we wait.
//!
//! kube's own retries are off: they repeat creations and evictions blindly. What may be repeated is repeated by [`ask`].

mod answer;
mod measured;
mod repeat;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control::Clock;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::error::ApiError;
use crate::limits::{CALL_TIMEOUT, CONNECT_TIMEOUT};
use crate::metrics::Metrics;
use measured::Measure;

pub(crate) use answer::{Encoding, PROTOBUF, accepted, content, send, status};
pub(crate) use repeat::{ask, ask_for};

/// Where to find the cluster.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// The kubeconfig file; none looks at `KUBECONFIG`, the home directory, and then at the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context within the kubeconfig; none takes the current one.
    pub context: Option<String>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The named file cannot be read.
    #[error("cannot use the kubeconfig {path}: {message}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// No configuration at all.
    #[error(
        "found no cluster to talk to: {0}; name a file with --kubeconfig or KUBECONFIG, or run in a pod with a service account"
    )]
    NoCluster(String),
    /// The configuration does not make a client.
    #[error("cannot build a client for {server}: {message}")]
    Client {
        /// The server's address.
        server: String,
        /// What is wrong.
        message: String,
    },
}

/// Builds a client. Does not talk to the server yet.
pub async fn connect(options: &ClientOptions) -> Result<Client, ConnectError> {
    let config = prepared(options).await?;
    let server = config.cluster_url.to_string();
    Client::try_from(config).map_err(|error| ConnectError::Client { server, message: error.to_string() })
}

/// Builds a client whose every request is counted, timed and traced. Does not talk to the server yet.
pub async fn connect_measured(
    options: &ClientOptions,
    metrics: &Metrics,
    clock: Arc<dyn Clock>,
) -> Result<Client, ConnectError> {
    let config = prepared(options).await?;
    let server = config.cluster_url.to_string();
    let host = config.cluster_url.authority().map_or("", |authority| authority.as_str()).into();
    let builder = ClientBuilder::try_from(config)
        .map_err(|error| ConnectError::Client { server, message: error.to_string() })?;
    Ok(builder.with_layer(&Measure { metrics: metrics.clone(), clock, host }).build())
}

async fn prepared(options: &ClientOptions) -> Result<Config, ConnectError> {
    // kube installs a provider only if there is none; ours goes first. It may be there already: that is fine.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let mut config = configuration(options).await?;
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Watches are long: silence is bounded where they are read, calls where they are made.
    config.read_timeout = None;
    config.write_timeout = Some(CALL_TIMEOUT);
    Ok(config)
}

async fn configuration(options: &ClientOptions) -> Result<Config, ConnectError> {
    let chosen = KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
    match &options.kubeconfig {
        Some(path) => {
            let fail = |message: String| ConnectError::Kubeconfig { path: path.clone(), message };
            let kubeconfig = Kubeconfig::read_from(path).map_err(|error| fail(error.to_string()))?;
            Config::from_custom_kubeconfig(kubeconfig, &chosen).await.map_err(|error| fail(error.to_string()))
        }
        None if options.context.is_some() => {
            Config::from_kubeconfig(&chosen).await.map_err(|error| ConnectError::NoCluster(error.to_string()))
        }
        None => Config::infer().await.map_err(|error| ConnectError::NoCluster(error.to_string())),
    }
}

/// Waits for a call, but not for ever.
pub(crate) fn bounded<T>(
    call: impl Future<Output = kube::Result<T>>,
) -> impl Future<Output = Result<T, ApiError>> {
    within(CALL_TIMEOUT, call)
}

/// Waits for a call for so long.
pub(crate) fn within<T>(
    limit: Duration,
    call: impl Future<Output = kube::Result<T>>,
) -> impl Future<Output = Result<T, ApiError>> {
    // Each future that waits for another may hold it twice: a call has a place of its own, or acts would take many kilobytes.
    let call = Box::pin(call);
    async move {
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer.map_err(ApiError::from),
            Err(_) => Err(ApiError::TimedOut(limit)),
        }
    }
}

/// A GET of a path.
pub(crate) fn get(path: &str, accept: &str) -> Result<http::Request<Vec<u8>>, ApiError> {
    http::Request::get(path)
        .header(http::header::ACCEPT, accept)
        .body(Vec::new())
        .map_err(|error| ApiError::Garbled(error.to_string()))
}
