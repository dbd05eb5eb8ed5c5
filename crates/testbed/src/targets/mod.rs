//! Servers on loopback that stand for those of others, and misbehave when a test says so.
//!
//! A [`Target`] has a behaviour, such as [`hook::Hook`] or [`slack::Slack`], which answers as the published interface does.
//! The frame around it remembers every request, and lets a test say what goes wrong with the next ones: a failing status,
//! an answer that never comes, comes late or is lost, a lie. It has threads of its own, so a test may block, and it ends when
//! it is dropped.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use testbed::targets::{Misbehaviour, Target, slack::Slack};
//!
//! let slack = Target::start(Slack::new("/services/T0/B0/secret")).await?;
//! slack.misbehave(2, Misbehaviour::Fail(500));
//! // Let the process under test post to `slack.url()`: the third message arrives.
//! assert_eq!(slack.with(|slack| slack.messages().len()), 1);
//! # Ok(())
//! # }
//! ```
//!
//! Knows nothing of what is tested with it.

pub mod cmdb;
pub mod hook;
mod misbehaviour;
pub mod portworx;
mod serve;
pub mod slack;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, Method};
use hyper::body::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;

pub use misbehaviour::Misbehaviour;

use crate::faults::Threads;

/// How a server answers when nothing is wrong. One request at a time.
pub trait Behaviour: Send + 'static {
    /// The answer to a request; what it changes, it has changed.
    fn answer(&mut self, request: &Received) -> Reply;

    /// What goes wrong with this request, if the test did not say it to the frame: for servers that are asked many things.
    fn misbehaviour(&mut self, _: &Received) -> Option<Misbehaviour> {
        None
    }
}

/// A server until it is dropped.
pub struct Target<B> {
    address: SocketAddr,
    ca_bundle: Option<String>,
    state: Arc<Mutex<State<B>>>,
    _threads: Threads,
}

struct State<B> {
    behaviour: B,
    received: Vec<Received>,
    /// What goes wrong with the next requests, and then with all.
    next: VecDeque<Misbehaviour>,
    always: Option<Misbehaviour>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its method.
    pub method: Method,
    /// Its path, decoded.
    pub path: String,
    /// Its query, decoded.
    pub query: Vec<(String, String)>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// An answer as it goes.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    content_type: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Received {
    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A parameter of the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body, if it is JSON; otherwise null.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Reply {
    /// An answer of JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            body: body.to_string().into(),
        }
    }

    /// An answer of text.
    pub fn text(status: u16, body: &str) -> Self {
        let content_type = "text/html; charset=utf-8".to_owned();
        Self { status, content_type, headers: Vec::new(), body: body.to_owned().into() }
    }

    /// Under another media type.
    #[must_use]
    pub fn media_type(self, media: &str) -> Self {
        Self { content_type: media.to_owned(), ..self }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl<B: Behaviour> Target<B> {
    /// Starts a server on a free port of loopback.
    pub async fn start(behaviour: B) -> io::Result<Self> {
        Self::listen(behaviour, None).await
    }

    /// Starts one that speaks TLS, for `localhost` and `127.0.0.1`, by an authority of its own: see [`Self::ca_bundle`].
    pub async fn start_over_tls(behaviour: B) -> io::Result<Self> {
        Self::listen(behaviour, Some(serve::Certified::new()?)).await
    }

    async fn listen(behaviour: B, tls: Option<serve::Certified>) -> io::Result<Self> {
        let threads = Threads::start()?;
        let listening = threads.handle.spawn(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).await;
        let listener = listening.map_err(io::Error::other).flatten()?;
        let address = listener.local_addr()?;
        let state = State { behaviour, received: Vec::new(), next: VecDeque::new(), always: None };
        let state = Arc::new(Mutex::new(state));
        let ca_bundle = tls.as_ref().map(|tls| tls.ca.clone());
        threads.handle.spawn(serve::run(listener, tls.map(|tls| tls.acceptor), Arc::clone(&state)));
        Ok(Self { address, ca_bundle, state, _threads: threads })
    }

    /// Where it listens, without a path: `http://127.0.0.1:PORT`, or `https://localhost:PORT`.
    pub fn url(&self) -> String {
        match self.ca_bundle {
            Some(_) => format!("https://localhost:{}", self.address.port()),
            None => format!("http://{}", self.address),
        }
    }

    /// The certificate of the authority that vouches for it, as PEM; none if it does not speak TLS.
    pub fn ca_bundle(&self) -> Option<&str> {
        self.ca_bundle.as_deref()
    }

    /// Lets this go wrong with so many of the next requests, after what was said before.
    pub fn misbehave(&self, times: usize, how: Misbehaviour) {
        self.lock().next.extend(std::iter::repeat_n(how, times));
    }

    /// Lets this go wrong with all requests, until [`Self::behave`].
    pub fn always(&self, how: Misbehaviour) {
        self.lock().always = Some(how);
    }

    /// Lets nothing go wrong any more. What hangs goes on hanging.
    pub fn behave(&self) {
        let mut state = self.lock();
        state.always = None;
        state.next.clear();
    }

    /// All requests that came, in order; also those that were not answered.
    pub fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }

    /// Looks at the behaviour, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut B) -> T) -> T {
        look(&mut self.lock().behaviour)
    }

    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> fmt::Debug for Target<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("address", &self.address).finish_non_exhaustive()
    }
}
