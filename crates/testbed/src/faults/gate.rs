//! Where requests wait until the test lets them go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, mpsc, oneshot};

use super::calls::Call;
use crate::limits;

/// A place where requests are stopped; see [`Fault::hold_before`](super::Fault::hold_before) and
/// [`Fault::hold_after`](super::Fault::hold_after). Its clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    arrivals: mpsc::Sender<Held>,
    arrived: Arc<Mutex<mpsc::Receiver<Held>>>,
    waiting: Arc<AtomicUsize>,
}

/// A request that stands at a gate. Dropping it is as good as [`Held::cut`].
#[derive(Debug)]
pub struct Held {
    call: Arc<Call>,
    release: oneshot::Sender<()>,
}

impl Gate {
    /// A gate that nobody stands at.
    #[must_use]
    pub fn new() -> Self {
        let (arrivals, arrived) = mpsc::channel(limits::GATE_REQUESTS_MAX);
        Self { arrivals, arrived: Arc::new(Mutex::new(arrived)), waiting: Arc::default() }
    }

    /// Waits for the next request. The test bounds how long.
    pub async fn arrived(&self) -> Held {
        match self.arrived.lock().await.recv().await {
            Some(held) => held,
            // Not reached: this gate is a sender itself.
            None => std::future::pending().await,
        }
    }

    /// Requests that stand here now, taken by [`Gate::arrived`] or not.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Whether the request may go on; otherwise its connection is cut.
    pub(super) async fn hold(&self, call: &Arc<Call>) -> Passage {
        let (release, released) = oneshot::channel();
        let _standing = Standing::at(&self.waiting);
        if self.arrivals.try_send(Held { call: Arc::clone(call), release }).is_err() {
            return Passage::Cut;
        }
        match released.await {
            Ok(()) => Passage::On,
            Err(_) => Passage::Cut,
        }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Held {
    /// What it asks for.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Lets it go on. A client that was killed a moment ago may not have been missed yet: [`Held::cut`] is exact.
    pub fn release(self) {
        let _ = self.release.send(());
    }

    /// Breaks its connection. Before the server, the request is never passed on; after it, the reply is lost.
    pub fn cut(self) {}
}

/// How it goes on behind a gate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passage {
    On,
    Cut,
}

/// Counts one request, until the wait is over or its client has gone.
struct Standing<'a>(&'a AtomicUsize);

impl<'a> Standing<'a> {
    fn at(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
