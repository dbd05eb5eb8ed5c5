//! The listener: connections, their limits, and their orderly end.
//!
//! Every limit fails fast: a connection too many is closed, a review too many is answered 503 at once and counted. A
//! review is answered before its caller stops waiting. Whatever a reviewer does, the server goes on.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::limits::{
    CONNECTIONS_MAX, DIRECTORY_INTERVAL, DRAIN_TIMEOUT, FIRST_REQUEST_TIMEOUT, HANDSHAKE_TIMEOUT,
    HEADER_BYTES_MAX, HEADERS_MAX, IDLE_TIMEOUT, STREAMS_MAX,
};
use super::tls::{
    CertificateState, ClientAuthentication, TlsError, common_name, read_bounded, server_config,
};
use crate::metrics::{MetricName, Metrics};

/// A listener for reviews.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    certificates: CertificateState,
    callers: Option<Callers>,
    config: Arc<ServerConfig>,
}

/// Who may call, and the file that this was read from.
#[derive(Debug)]
struct Callers {
    rule: ClientAuthentication,
    content: Vec<u8>,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is not to be had.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, std::io::Error),
    /// No connection could be taken.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Server {
    /// Binds an address; port 0 takes a free one. With `clients`, callers must show a certificate.
    pub async fn bind(
        address: SocketAddr,
        certificates: CertificateState,
        clients: Option<ClientAuthentication>,
    ) -> Result<Self, ServerError> {
        let callers = clients.map(Callers::read).transpose()?;
        let config = Arc::new(server_config(&certificates, callers.as_ref().map(Callers::authorities))?);
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = bound.await.map_err(|error| ServerError::Bind(address, error))?;
        Ok(Self { listener, address, certificates, callers, config })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until stopped; then takes no more connections, finishes the reviews in flight, and returns.
    pub(super) async fn run(mut self, desk: Arc<Desk>, metrics: Metrics, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        let mut reload = tokio::time::interval(DIRECTORY_INTERVAL);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                _ = reload.tick() => self.reload_callers().await,
                accepted = self.listener.accept() => match (accepted, Arc::clone(&permits).try_acquire_owned()) {
                    (Ok((stream, _)), Ok(permit)) => {
                        let connection = Connection {
                            config: Arc::clone(&self.config),
                            names: self.callers.as_ref().map(|callers| callers.rule.common_names.clone()),
                            desk: Arc::clone(&desk),
                            metrics: metrics.clone(),
                            stop: stop.clone(),
                        };
                        connections.spawn(connection.serve(stream, permit));
                    }
                    (Ok(_), Err(_)) => metrics.count(MetricName::WebhookShed, &[("limit", "connections")]),
                    // Too many open files, most often: waiting a moment is all that helps.
                    (Err(error), _) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    }
                },
            }
        }
        drop(self.listener);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::warn!("reviews were still in flight at the end");
        }
    }

    /// Takes over a changed file with the authorities of callers; a bad one changes nothing.
    async fn reload_callers(&mut self) {
        let Some(callers) = &self.callers else { return };
        let rule = callers.rule.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || Callers::read(rule)).await else { return };
        let changed = read.and_then(|fresh| {
            if fresh.content == callers.content {
                return Ok(None);
            }
            server_config(&self.certificates, Some(fresh.authorities())).map(|config| Some((fresh, config)))
        });
        match changed {
            Ok(None) => {}
            Ok(Some((fresh, config))) => {
                (self.callers, self.config) = (Some(fresh), Arc::new(config));
                tracing::info!("the authorities of webhook callers have changed");
            }
            Err(error) => tracing::warn!(%error, "the authorities of webhook callers stay as they were"),
        }
    }
}

impl Callers {
    fn read(rule: ClientAuthentication) -> Result<Self, TlsError> {
        let content = read_bounded(&rule.authorities).map_err(|error| TlsError::ClientAuthorities {
            path: rule.authorities.clone(),
            message: error.to_string(),
        })?;
        Ok(Self { rule, content })
    }

    fn authorities(&self) -> (&std::path::Path, &[u8]) {
        (&self.rule.authorities, &self.content)
    }
}

/// What one connection needs.
struct Connection {
    config: Arc<ServerConfig>,
    /// The common names that are accepted; none if no certificate is demanded, empty if any will do.
    names: Option<Vec<String>>,
    desk: Arc<Desk>,
    metrics: Metrics,
    stop: CancellationToken,
}

impl Connection {
    async fn serve(self, stream: TcpStream, _permit: OwnedSemaphorePermit) {
        // Answers are small: waiting to fill a packet only makes them late.
        drop(stream.set_nodelay(true));
        let handshake = TlsAcceptor::from(Arc::clone(&self.config)).accept(stream);
        let failed = |reason| self.metrics.count(MetricName::WebhookHandshakeFailures, &[("reason", reason)]);
        let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a caller's handshake failed");
                return failed("tls");
            }
            Err(_) => return failed("timeout"),
        };
        if !self.accepts(&stream) {
            return failed("name");
        }
        self.answer(stream).await;
    }

    fn accepts(&self, stream: &TlsStream<TcpStream>) -> bool {
        let Some(names) = self.names.as_ref().filter(|names| !names.is_empty()) else { return true };
        let found = common_name(stream.get_ref().1.peer_certificates());
        let accepted = found.as_ref().is_some_and(|name| names.contains(name));
        if !accepted {
            tracing::warn!(
                name = found.map(|name| super::review::quoted(&name)),
                "a caller's certificate has a name that may not call"
            );
        }
        accepted
    }

    async fn answer(self, stream: TlsStream<TcpStream>) {
        let second_version = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let heard = Arc::new(AtomicBool::new(false));
        let (desk, noted) = (self.desk, Arc::clone(&heard));
        let service = service_fn(move |request: http::Request<Incoming>| {
            noted.store(true, Ordering::Relaxed);
            let desk = Arc::clone(&desk);
            async move { Ok::<_, std::convert::Infallible>(desk.answer(request.map(Body::new)).await) }
        });
        let io = TokioIo::new(stream);
        // A caller that connects and says nothing holds a place that others could use.
        let silent = async {
            tokio::time::sleep(FIRST_REQUEST_TIMEOUT).await;
            if heard.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        let mut silent = pin!(silent);
        let ended = if second_version {
            let mut connection = pin!(second().serve_connection(io, service));
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = silent.as_mut() => return,
                () = self.stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        } else {
            let mut connection = pin!(first().serve_connection(io, service));
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = silent.as_mut() => return,
                () = self.stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a caller's connection broke");
        }
    }
}

/// HTTP/1.1.
fn first() -> hyper::server::conn::http1::Builder {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX);
    builder
}

/// HTTP/2.
fn second() -> hyper::server::conn::http2::Builder<TokioExecutor> {
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(IDLE_TIMEOUT / 4)
        .keep_alive_timeout(HANDSHAKE_TIMEOUT)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX));
    builder
}
