//! One kind in one scope, kept in view: resolve, list, watch, and again.
//!
//! A feed looks its kind up, lists it (as a stream where the server can, else in pages of 500), then watches from there.
//! It resumes where a watch ended, lists anew when it cannot, and parks alone when the kind is missing or may not be
//! read: then it tries again, ever more slowly up to a bound, while all other feeds go on.
//!
//! Knows nothing of what its events are used for. Every failure becomes a [`FeedState`]; none is an end.
//!
//! Invariant: after [`FeedEvent::Listed`], whoever applied all events since the last [`FeedEvent::Listing`] and forgot what
//! they did not show, holds what the server holds, up to the events still under way.

mod count;
mod decode;
mod frame;
mod selector;
mod stream;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use control::{Backoff, Mutant};
use kube::Client;
use serde_json::value::RawValue;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use units::{GroupVersionKind, ResourceVersion};

use crate::discovery::{Resource, Unserved, resolve};
use crate::error::{ApiError, Class, Classify};
use crate::limits::{FEED_REOPEN_PAUSE, FEED_RETRY_FIRST, FEED_RETRY_MAX, FEED_SETTLED};
use crate::metrics::{MetricName, Metrics};
use crate::supervisor::Supervisor;

pub use count::count;
pub use decode::{ReadProtobuf, View};
pub use selector::Pushed;
pub use wire::list;
use wire::{Ended, Watcher};

/// Tells the feeds of one queue apart.
pub type FeedId = u64;

/// What a feed is to show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FeedTarget {
    /// The kind.
    pub kind: GroupVersionKind,
    /// The namespace; none for the whole cluster.
    pub namespace: Option<String>,
    /// Which of the objects there.
    pub selector: Pushed,
    /// How much of each object.
    pub representation: Representation,
    /// What is done when a connection has ended.
    pub continuity: Continuity,
}

/// What is done when a connection has ended, in good order or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Continuity {
    /// The watch resumes where it was. What was missed comes in a moment later, and nobody can tell when that moment is
    /// over: for what is judged with a version as a precondition, so that the server refuses what is out of date.
    Resume,
    /// Everything is listed anew, and the feed is not live before that is complete: for what nothing else would refuse,
    /// such as a policy that was deleted meanwhile.
    Relist,
}

/// How much of each object the server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Representation {
    /// Only its metadata.
    Metadata,
    /// All of it.
    Full,
}

/// What a feed shows.
#[derive(Debug)]
pub enum FeedEvent<V> {
    /// The feed's state has changed.
    State(FeedState),
    /// A listing begins: what is not applied until it is complete is gone. Up to the version that it names, if it names
    /// one, everything has been shown before.
    Listing(Option<ResourceVersion>),
    /// An object is there, in this form.
    Applied(V),
    /// An object is gone, or is not selected any more; this is its last form.
    Deleted(V),
    /// An object is there that cannot be understood.
    Unreadable {
        /// Its metadata.
        meta: Box<views::Meta>,
        /// Its status as it stands, if it has one.
        status: Option<Box<RawValue>>,
        /// What is wrong with it.
        error: String,
    },
    /// The listing is complete.
    Listed,
    /// The server does not know the kind any more: every object of it is gone.
    Vanished,
}

/// How a feed is.
#[derive(Clone, Debug)]
pub enum FeedState {
    /// What is shown is up to date.
    Live(Arc<Resource>),
    /// Nothing is shown, for this reason.
    Parked(Parked),
}

/// Why a feed shows nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Parked {
    /// The cluster does not serve the kind (now).
    #[error("{0}; collection starts by itself when it does")]
    KindNotFound(Unserved),
    /// The kind has no namespaces, and one was asked for.
    #[error("{0} has no namespaces; name a kind that has")]
    KindNotNamespaced(GroupVersionKind),
    /// The kind cannot be listed, watched or deleted.
    #[error("{kind} does not offer `{verb}`; name another kind")]
    KindNotCollectable {
        /// The kind.
        kind: GroupVersionKind,
        /// What it lacks.
        verb: &'static str,
    },
    /// We may not.
    #[error("the service account lacks `{verb}` on `{resource}`: {message}")]
    Forbidden {
        /// `list` or `watch`.
        verb: &'static str,
        /// What it is called in RBAC.
        resource: String,
        /// The server's words.
        message: String,
    },
    /// The server does not select by what it was asked to: an unselected feed would show the objects.
    #[error("the server cannot select {kind} so: {message}")]
    SelectorRefused {
        /// The kind.
        kind: GroupVersionKind,
        /// The server's words.
        message: String,
    },
    /// The server does not answer as it should.
    #[error("{0}")]
    Unavailable(ApiError),
}

/// A running feed; it ends when this is dropped.
#[derive(Debug)]
pub struct Feed {
    signals: Arc<Signals>,
    _stop: DropGuard,
}

/// What a feed and its task tell each other.
#[derive(Debug, Default)]
struct Signals {
    live: AtomicBool,
    doubt: Notify,
    /// The next connection begins with a listing by quorum.
    relist: AtomicBool,
}

/// What all feeds of a program stand on.
#[derive(Clone)]
pub struct Feeds {
    /// Whom to ask.
    pub client: Client,
    /// Owns the tasks.
    pub supervisor: Supervisor,
    /// Where numbers go.
    pub metrics: Metrics,
    /// How long a watch may be silent before it counts as dead.
    pub silence_max: Duration,
}

impl std::fmt::Debug for Feeds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feeds").field("silence_max", &self.silence_max).finish_non_exhaustive()
    }
}

impl Feeds {
    /// Starts a feed. Its events come in order, each with `id`; objects are read in this context.
    pub fn start<V: View>(
        &self,
        id: FeedId,
        target: FeedTarget,
        context: V::Context,
        sink: &mpsc::Sender<(FeedId, FeedEvent<V>)>,
    ) -> Feed {
        let stop = self.supervisor.stopping().child_token();
        let signals = Arc::new(Signals::default());
        let task = FeedTask {
            id,
            backoff: Backoff::new(FEED_RETRY_FIRST, FEED_RETRY_MAX, &target),
            target,
            context,
            feeds: self.clone(),
            sink: sink.clone(),
            signals: Arc::clone(&signals),
        };
        self.supervisor.spawn("feed", run_until_stopped(task, stop.clone()));
        Feed { signals, _stop: stop.drop_guard() }
    }
}

impl Feed {
    /// Something suggests that the server could not be heard for a while: the feed is not live until it has connected
    /// anew. A connection may look well long after the network has come and gone.
    pub fn doubt(&self) {
        self.signals.live.store(false, Ordering::Release);
        self.signals.doubt.notify_one();
    }

    /// Everything is listed anew, as the server's quorum has it, and the feed is not live before that is complete.
    pub fn relist(&self) {
        self.signals.relist.store(true, Ordering::Release);
        self.doubt();
    }

    /// Whether the server has been heard of lately, and everything that it said has been passed on.
    pub fn is_live(&self) -> bool {
        self.signals.live.load(Ordering::Acquire)
    }
}

struct FeedTask<V: View> {
    id: FeedId,
    target: FeedTarget,
    context: V::Context,
    feeds: Feeds,
    sink: mpsc::Sender<(FeedId, FeedEvent<V>)>,
    signals: Arc<Signals>,
    backoff: Backoff,
}

/// Nobody listens any more.
struct Unheard;

async fn run_until_stopped<V: View>(mut task: FeedTask<V>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        Unheard = task.run() => {}
    }
}

impl<V: View> FeedTask<V> {
    async fn run(&mut self) -> Unheard {
        loop {
            let parked = match self.look_up().await {
                Ok(resource) => match self.follow(Arc::new(resource)).await {
                    Ok(parked) => parked,
                    Err(unheard) => return unheard,
                },
                Err(parked) => parked,
            };
            if let Err(unheard) = self.park(parked).await {
                return unheard;
            }
        }
    }

    async fn look_up(&self) -> Result<Resource, Parked> {
        let kind = &self.target.kind;
        let resource = resolve(&self.feeds.client, kind).await.map_err(|unserved| match unserved {
            Unserved::Api { source, .. } if source.class() == Class::Denied => Parked::Forbidden {
                verb: "get",
                resource: "discovery".to_owned(),
                message: source.to_string(),
            },
            Unserved::Api { source, .. } => Parked::Unavailable(source),
            not_found @ Unserved::NotFound { .. } => Parked::KindNotFound(not_found),
        })?;
        if self.target.namespace.is_some() && !resource.namespaced {
            return Err(Parked::KindNotNamespaced(kind.clone()));
        }
        for verb in ["list", "watch"] {
            if !resource.verbs.iter().any(|offered| offered == verb) {
                return Err(Parked::KindNotCollectable { kind: kind.clone(), verb });
            }
        }
        Ok(resource)
    }

    /// Lists and watches until it has to park.
    async fn follow(&mut self, resource: Arc<Resource>) -> Result<Parked, Unheard> {
        let (target, context) = (self.target.clone(), self.context.clone());
        let mut watcher = Watcher::new(&self.feeds, Arc::clone(&resource), target, context);
        loop {
            if self.signals.relist.swap(false, Ordering::AcqRel) {
                watcher.list_by_quorum();
            }
            let (ended, lasted) = self.connection(&mut watcher).await;
            if lasted {
                self.backoff.reset();
            }
            watcher.end(&ended);
            if self.target.continuity == Continuity::Relist {
                self.signals.live.store(false, Ordering::Release);
            }
            let reason = ended.label();
            self.feeds.metrics.count(MetricName::WatchRestarts, &[("reason", reason)]);
            let error = match ended {
                Ended::Unheard => return Err(Unheard),
                Ended::Normally | Ended::Expired | Ended::Doubted => {
                    // A server that ends every watch at once must not make us spin, nor list as fast as it can answer.
                    let pause = if lasted { FEED_REOPEN_PAUSE } else { self.backoff.after_failure() };
                    tokio::time::sleep(pause).await;
                    continue;
                }
                Ended::Silent(span) => ApiError::TimedOut(span),
                Ended::Failed(error) => error,
            };
            self.signals.live.store(false, Ordering::Release);
            tracing::debug!(kind = %self.target.kind, namespace = self.target.namespace, %error, "a watch failed");
            match (error.code(), error.class()) {
                (Some(404), _) => {
                    // The kind is gone, or never was: its objects are gone with it.
                    self.send(FeedEvent::Vanished).await?;
                    return Ok(Parked::Unavailable(error));
                }
                (_, Class::Denied) => {
                    let (verb, message) = (watcher.verb(), error.to_string());
                    return Ok(Parked::Forbidden { verb, resource: resource.name(), message });
                }
                _ if self.target.selector.is_refused_by(&error) => {
                    let (kind, message) = (self.target.kind.clone(), error.to_string());
                    return Ok(Parked::SelectorRefused { kind, message });
                }
                _ => self.park(Parked::Unavailable(error)).await?,
            }
        }
    }

    /// One connection to its end, and whether it lasted long enough for troubles before it to be over.
    async fn connection(&mut self, watcher: &mut Watcher<V>) -> (Ended, bool) {
        let running = watcher.run((self.id, &self.sink), &self.signals.live);
        let lasting = tokio::time::sleep(FEED_SETTLED);
        tokio::pin!(running, lasting);
        let mut lasted = false;
        loop {
            tokio::select! {
                ended = &mut running => return (ended, lasted),
                () = self.signals.doubt.notified() => return (Ended::Doubted, lasted),
                () = &mut lasting, if !lasted => lasted = true,
            }
        }
    }

    /// Says why nothing is shown, and waits a while.
    async fn park(&mut self, parked: Parked) -> Result<(), Unheard> {
        self.signals.live.store(false, Ordering::Release);
        self.send(FeedEvent::State(FeedState::Parked(parked))).await?;
        let pause = self.backoff.after_failure();
        let pause = if Mutant::DeniedRetriedAtOnce.is_on() { Duration::ZERO } else { pause };
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.sink.closed() => Err(Unheard),
        }
    }

    async fn send(&self, event: FeedEvent<V>) -> Result<(), Unheard> {
        self.sink.send((self.id, event)).await.map_err(|_| Unheard)
    }
}
