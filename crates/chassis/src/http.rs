//! Metrics, probes and the log level over HTTP.
//!
//! Probes are for everybody. Metrics are open on loopback; elsewhere [`Scrapers`] asks who may read them. The log level can
//! be changed on loopback only, and falls back by itself. There is no TLS here: on an address that others reach, a token
//! for the metrics crosses the network as it is.

mod scrapers;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jiff::SignedDuration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::health::{Health, Report};
use crate::limits::{
    HTTP_ACCEPT_PAUSE, HTTP_CONNECTION_LIFE, HTTP_CONNECTIONS_MAX, HTTP_END_GRACE, HTTP_HEAD_BYTES_MAX,
    HTTP_HEAD_TIMEOUT, HTTP_HEADERS_MAX, HTTP_REQUEST_TIMEOUT, LOG_LEVEL_OVERRIDE_DEFAULT,
};
use crate::metrics::Metrics;
use crate::telemetry::LogLevel;

pub use scrapers::Scrapers;

/// A listener that answers probes and scrapes.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

/// What an endpoint serves.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// `/metrics`.
    pub metrics: Option<Metrics>,
    /// Who may read the metrics; none lets everybody.
    pub scrapers: Option<Scrapers>,
    /// `/livez`, `/readyz`, `/startupz`, and `/healthz` for `/livez`.
    pub health: Option<Health>,
    /// `/loglevel`, if the endpoint is on loopback.
    pub log_level: Option<LogLevel>,
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

/// Serves pages until stopped; a client that keeps its connection open does not hold up the end.
pub async fn serve(endpoint: Endpoint, pages: Pages, stop: CancellationToken) {
    let Endpoint { listener, address } = endpoint;
    let router = router(pages, address);
    let places = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let next = async { (Arc::clone(&places).acquire_owned().await, listener.accept().await) };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => next,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    converse(stream, router, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, %address, "a connection was not accepted");
                tokio::time::sleep(HTTP_ACCEPT_PAUSE).await;
            }
        }
    }
    let ends = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(HTTP_END_GRACE, ends).await);
}

/// Serves one connection, for so long and no longer.
async fn converse(stream: TcpStream, router: Router, stop: CancellationToken) {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_HEAD_TIMEOUT)
        .max_headers(HTTP_HEADERS_MAX)
        .max_buf_size(HTTP_HEAD_BYTES_MAX);
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    tokio::select! {
        // How a connection ends is the client's affair.
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = tokio::time::sleep(HTTP_CONNECTION_LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(tokio::time::timeout(HTTP_END_GRACE, connection).await);
}

fn router(pages: Pages, address: SocketAddr) -> Router {
    let Pages { metrics, scrapers, health, log_level } = pages;
    let mut router = Router::new();
    if let Some(metrics) = metrics {
        router = router.route(
            "/metrics",
            get(async move |headers: HeaderMap| match &scrapers {
                None => scrape(&metrics),
                Some(scrapers) => match scrapers.admit(&headers).await {
                    Ok(()) => scrape(&metrics),
                    Err((status, why)) => refuse(status, why),
                },
            }),
        );
    }
    if let Some(health) = health {
        for (path, ask) in [
            ("/livez", Health::liveness as fn(&Health) -> Report),
            ("/healthz", Health::liveness),
            ("/readyz", Health::readiness),
            ("/startupz", Health::startup),
        ] {
            let health = health.clone();
            router = router.route(path, get(async move |uri: Uri| answer(&ask(&health), &uri)));
        }
    }
    if let Some(log_level) = log_level.filter(|_| address.ip().is_loopback()) {
        let shown = log_level.clone();
        router = router.route(
            "/loglevel",
            get(async move || format!("{}\n", shown.current())).post(
                async move |headers: HeaderMap, uri: Uri| {
                    // A web page that somebody on this machine looks at may post here, too: it has an origin.
                    if headers.contains_key(header::ORIGIN) {
                        return refuse(StatusCode::FORBIDDEN, "not from a web page\n");
                    }
                    change_level(&log_level, &uri)
                },
            ),
        );
    }
    router.layer(axum::middleware::from_fn(async |request: Request, next: axum::middleware::Next| {
        let answer = tokio::time::timeout(HTTP_REQUEST_TIMEOUT, next.run(request)).await;
        answer.unwrap_or_else(|_| refuse(StatusCode::SERVICE_UNAVAILABLE, "this took too long\n"))
    }))
}

/// Answers a probe; `?verbose` lists every loop or check.
fn answer(report: &Report, uri: &Uri) -> Response {
    if !report.passed {
        return (StatusCode::SERVICE_UNAVAILABLE, report.lines.clone()).into_response();
    }
    let text = if query(uri, "verbose").is_some() { report.lines.clone() } else { "ok\n".to_owned() };
    (StatusCode::OK, text).into_response()
}

/// Changes the log level as `?level=debug&for=10m` wants it.
fn change_level(log_level: &LogLevel, uri: &Uri) -> Response {
    let Some(level) = query(uri, "level") else {
        return refuse(StatusCode::BAD_REQUEST, "`level` is missing: write ?level=debug&for=10m\n");
    };
    let span = match query(uri, "for").map(|span| span.parse::<SignedDuration>()) {
        None => LOG_LEVEL_OVERRIDE_DEFAULT,
        Some(Ok(span)) if span.is_positive() => span.unsigned_abs(),
        Some(_) => return refuse(StatusCode::BAD_REQUEST, "`for` is no span: write 90s, 10m or 1h\n"),
    };
    match log_level.change_for(&level, span) {
        Ok(span) => format!("{} for {} s\n", log_level.current(), span.as_secs()).into_response(),
        Err(wrong) => (StatusCode::BAD_REQUEST, format!("{wrong}\n")).into_response(),
    }
}

/// A field of the query; empty if it stands there without a value.
fn query<'a>(uri: &'a Uri, name: &str) -> Option<Cow<'a, str>> {
    let mut fields = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    fields.find(|(field, _)| field == name).map(|(_, value)| value)
}

fn refuse(status: StatusCode, why: &'static str) -> Response {
    let challenge = (status == StatusCode::UNAUTHORIZED).then_some([(header::WWW_AUTHENTICATE, "Bearer")]);
    match challenge {
        Some(challenge) => (status, challenge, why).into_response(),
        None => (status, why).into_response(),
    }
}

fn scrape(metrics: &Metrics) -> Response {
    match metrics.encode() {
        Ok(text) => {
            let form = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
            (StatusCode::OK, form, text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
