//! Metrics and probes over HTTP.
//!
//! Listens on loopback unless told otherwise, for there is no authentication here.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::metrics::Metrics;

/// A listener that answers probes and scrapes.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

impl Endpoint {
    /// Binds an address; port 0 takes a free one.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers `/metrics`, `/healthz` and `/readyz` until stopped.
pub async fn serve(endpoint: Endpoint, metrics: Metrics, health: Health, stop: CancellationToken) {
    let (alive, ready) = (health.clone(), health);
    let router = Router::new()
        .route("/metrics", get(async move || scrape(&metrics)))
        .route(
            "/healthz",
            get(async move || match alive.liveness() {
                Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
                Err(seconds) => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("the main loop has not come round for {seconds} s\n"),
                ),
            }),
        )
        .route(
            "/readyz",
            get(async move || match ready.readiness() {
                Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
                Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            }),
        );
    let stopped = stop.clone();
    let server = axum::serve(endpoint.listener, router)
        .with_graceful_shutdown(async move { stopped.cancelled().await });
    // A client that keeps its connection open must not hold up the end.
    let grace = async {
        stop.cancelled().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    tokio::select! {
        result = server => if let Err(error) = result {
            tracing::error!(%error, "the metrics and health endpoint has ended");
        },
        () = grace => {}
    }
}

fn scrape(metrics: &Metrics) -> axum::response::Response {
    match metrics.encode() {
        Ok(text) => {
            let form = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
            (StatusCode::OK, form, text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
