//! The frame's side towards the network.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{Behaviour, Misbehaviour, Received, Reply, State};
use crate::faults::{decoded, pairs};
use crate::limits;

/// A certificate of an authority that was made for it.
pub(super) struct Certified {
    pub(super) ca: String,
    pub(super) acceptor: TlsAcceptor,
}

impl Certified {
    pub(super) fn new() -> io::Result<Self> {
        Self::made().map_err(io::Error::other)
    }

    fn made() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let leaf = CertificateParams::new(names)?.signed_by(&key, &authority)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )?;
        Ok(Self { ca: authority.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

/// The test hangs up, or is told nothing.
#[derive(Debug, thiserror::Error)]
#[error("the answer is lost")]
struct Lost;

/// Serves until it is dropped.
pub(super) async fn run<B: Behaviour>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    state: Arc<Mutex<State<B>>>,
) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= limits::CONNECTIONS_MAX {
            connections.join_next().await;
        }
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(connection(stream, tls.clone(), Arc::clone(&state)));
        }
    }
}

async fn connection<B: Behaviour>(stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<Mutex<State<B>>>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { answer(request, &state).await }
    });
    let http = http1::Builder::new();
    // An error is a client that has gone, or an answer that is lost on purpose.
    match tls {
        None => drop(http.serve_connection(TokioIo::new(stream), service).await),
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                drop(http.serve_connection(TokioIo::new(stream), service).await);
            }
        }
    }
}

async fn answer<B: Behaviour>(
    request: http::Request<Incoming>,
    state: &Mutex<State<B>>,
) -> Result<Response<Sent>, Lost> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
    let received = Received {
        method: head.method,
        path: decoded(head.uri.path()),
        query: pairs(head.uri.query().unwrap_or_default()),
        headers: head.headers,
        body,
    };
    let (wrong, reply) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.received.push(received.clone());
        let told = state.next.pop_front().or_else(|| state.always.clone());
        let wrong = told.or_else(|| state.behaviour.misbehaviour(&received));
        let is_done = wrong.as_ref().is_none_or(|wrong| {
            matches!(wrong, Misbehaviour::Late(_) | Misbehaviour::LoseAnswer | Misbehaviour::ContentType(_))
        });
        (wrong, is_done.then(|| state.behaviour.answer(&received)))
    };
    let instead = wrong.as_ref().and_then(|wrong| wrong.instead(&received));
    match (wrong, reply.or(instead)) {
        (Some(Misbehaviour::LoseAnswer), _) | (None, None) => Err(Lost),
        (Some(Misbehaviour::Flood(bytes)), _) => Ok(flood(bytes)),
        (Some(Misbehaviour::Late(pause)), Some(reply)) => {
            tokio::time::sleep(pause).await;
            whole(reply)
        }
        (Some(Misbehaviour::ContentType(media)), Some(reply)) => whole(reply.media_type(media)),
        (_, Some(reply)) => whole(reply),
        (Some(_), None) => std::future::pending().await,
    }
}

fn whole(reply: Reply) -> Result<Response<Sent>, Lost> {
    let Reply { status, content_type, headers, body } = reply;
    let mut response = Response::builder().status(status).header("content-type", content_type);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Sent::Whole(Some(body).filter(|body| !body.is_empty()))).map_err(|_| Lost)
}

fn flood(bytes: usize) -> Response<Sent> {
    let mut response = Response::new(Sent::Flood { left: bytes });
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

/// A body on its way.
enum Sent {
    Whole(Option<Bytes>),
    Flood { left: usize },
}

/// Bytes of one piece of a flood.
const PIECE: &[u8] = &[b'['; 16 * 1024];

impl Body for Sent {
    type Data = Bytes;
    type Error = Lost;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Lost>>> {
        let data = match self.get_mut() {
            Self::Whole(body) => body.take(),
            Self::Flood { left: 0 } => None,
            Self::Flood { left } => {
                let piece = PIECE.get(..PIECE.len().min(*left)).unwrap_or(PIECE);
                *left = left.saturating_sub(piece.len());
                Some(Bytes::from_static(piece))
            }
        };
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }
}
