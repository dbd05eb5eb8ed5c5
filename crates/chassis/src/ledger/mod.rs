//! The ledger: what was done to which object, when, by which rule, on what evidence, and how it went; or why not.
//!
//! An append-only chain of records in one directory for each instance. Each record names the hash of the one before it, so
//! that nothing can be changed, taken out or put in unseen; the latest hash is anchored in the cluster, so that nothing can
//! be cut off unseen. An intent is durable before anything is done, an outcome follows it; what has an intent and no
//! outcome is handed out at the next start, to be settled.
//!
//! Knows nothing of policies, and nothing of an object but its names. What can fail is the disk; with
//! [`Requirement::Required`] an intent then fails, and nothing may be done.
//!
//! Invariants: an intent that was answered with its number is on the disk. A sequence has no holes. There is one writer to
//! a directory, and it holds its lock.

mod anchor;
mod history;
mod line;
mod record;
mod recovery;
mod store;
mod verify;
mod walk;
mod writer;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control::{Clock, Mutant};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::error::{Class, Classify};
use crate::limits::{LEDGER_NAME_BYTES_MAX, LEDGER_QUEUE_RECORDS};
use crate::metrics::{MetricName, Metrics};
use crate::trace::current_trace_id;
use record::{message, name, word};
use recovery::Recovered;
use store::Store;
use writer::{Ask, Note, Order, Writer};

pub use anchor::{Anchor, AnchorError, Anchorer, Anchors, CONFIG_MAP};
pub use history::{Past, past};
pub use record::{Body, Evidence, Head, InvalidHash, Record, RecordHash, RecordKind, Rule, Subject};
pub use recovery::Damage;
pub use store::LedgerLimits;
pub use verify::{Fault, Finding, InstanceAudit, audit};

/// The directory of all instances in the operator's pod.
pub const DIRECTORY_DEFAULT: &str = "/var/lib/groundskeeper/ledger";

/// What happens when the ledger cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing destructive is done.
    #[default]
    Required,
    /// It is done all the same; what was not written is counted.
    BestEffort,
    /// There is no ledger.
    Off,
}

impl Requirement {
    /// The name, as flags and logs write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::BestEffort => "best-effort",
            Self::Off => "off",
        }
    }
}

/// Where the ledger is, and how it is kept.
#[derive(Clone, Debug)]
pub struct LedgerOptions {
    /// The directory of all instances; each has one of its own below it.
    pub directory: PathBuf,
    /// Who writes: the pod's name.
    pub instance: String,
    /// What happens when it cannot be written.
    pub requirement: Requirement,
    /// How much is kept.
    pub limits: LedgerLimits,
}

/// Why there is no ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The directory cannot be made or read.
    #[error("cannot use the ledger in {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process writes there.
    #[error("another process writes the ledger in {path}: give each its own --ledger-dir, or its own name")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// What is there was changed since it was written.
    #[error(
        "the ledger is damaged: {path} line {line}: {what}. Look at it with `groundskeeper audit verify {directory}`; to begin a new one, keep the directory of this instance as evidence elsewhere"
    )]
    Damaged {
        /// The directory of all instances.
        directory: PathBuf,
        /// The segment.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        what: &'static str,
    },
}

impl Classify for LedgerError {
    fn class(&self) -> Class {
        match self {
            Self::Directory { .. } | Self::Locked { .. } => Class::Transient,
            Self::Damaged { .. } => Class::Invalid,
        }
    }
}

/// The ledger cannot be written now, so nothing destructive may be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unavailable {
    /// Why.
    pub reason: String,
}

impl Classify for Unavailable {
    fn class(&self) -> Class {
        Class::Transient
    }
}

/// Something that is about to be done.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The controller that does it.
    pub controller: &'static str,
    /// What is to be done: `delete`, `evict`.
    pub act: &'static str,
    /// The rule that asks for it.
    pub rule: Rule,
    /// The object.
    pub object: Subject,
    /// The epoch of the lease under which it is done.
    pub epoch: Option<u64>,
    /// What the decision rests on.
    pub evidence: Evidence,
}

/// An intent that is in the ledger and waits for its outcome. Dropped without one, it is unsettled.
#[must_use = "an intent without an outcome has to be settled at the next start"]
#[derive(Debug)]
pub struct IntentId {
    /// None if best effort could not write it, or there is no ledger.
    sequence: Option<u64>,
    /// What its outcome repeats, so that each record speaks for itself.
    echo: Box<Body>,
}

impl IntentId {
    /// The number of its record, if there is one.
    pub const fn sequence(&self) -> Option<u64> {
        self.sequence
    }
}

/// How it went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// In one word: `deleted`, `gone`, `changed`, `denied`, `throttled`, `failed`.
    pub outcome: &'static str,
    /// For people, if there is more to say.
    pub message: Option<String>,
}

/// Something that was not even tried. Hand it in once for each change of the object or of the reason, not at each look.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What would have been done.
    pub intent: Intent,
    /// Why not, in one word.
    pub reason: String,
    /// Why not, for people.
    pub message: String,
}

/// How an intent went that had no outcome when its process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was done.
    Done,
    /// It was not done.
    NotDone,
    /// Nobody can tell any more.
    Unknown,
}

impl Settled {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotDone => "not-done",
            Self::Unknown => "unknown",
        }
    }
}

/// An intent that had no outcome when its process ended.
#[derive(Clone, Debug, PartialEq)]
pub struct UnsettledIntent {
    /// The number of its record.
    pub sequence: u64,
    /// When it was made.
    pub time: Timestamp,
    /// The object.
    pub object: Subject,
    /// The rest of the record.
    pub body: Body,
}

/// How the ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerState {
    /// What happens when it cannot be written.
    pub requirement: Requirement,
    /// Why it cannot be written, if it cannot.
    pub unavailable: Option<String>,
    /// The last durable record.
    pub head: Head,
}

/// A ledger that was opened.
pub struct Opened {
    /// Where records are handed in.
    pub ledger: Ledger,
    /// The task that writes, for the supervisor. It ends when the ledger is closed, or when nobody holds it any more.
    pub writer: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
    /// What an earlier process had begun and not ended, oldest first. Look at each object and settle it.
    pub unsettled: Vec<UnsettledIntent>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("ledger", &self.ledger)
            .field("unsettled", &self.unsettled)
            .finish_non_exhaustive()
    }
}

/// Where records are handed in.
#[derive(Clone, Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
    /// None if there is no ledger.
    queues: Option<Queues>,
}

#[derive(Clone, Debug)]
struct Queues {
    orders: mpsc::Sender<Order>,
    notes: mpsc::Sender<Note>,
}

/// What the handles and the writer share.
#[derive(Debug)]
struct Shared {
    instance: String,
    requirement: Requirement,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    /// Where its segments lie.
    directory: PathBuf,
    state: Mutex<LedgerState>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, LedgerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_available(&self, head: Head) {
        let mut state = self.state();
        (state.unavailable, state.head) = (None, head);
        drop(state);
        self.metrics.set(MetricName::LedgerUnavailable, &[], 0);
        self.metrics.set(MetricName::LedgerHead, &[], i64::try_from(head.sequence).unwrap_or(i64::MAX));
    }

    fn set_unavailable(&self, reason: &str) {
        self.state().unavailable = Some(reason.to_owned());
        self.metrics.set(MetricName::LedgerUnavailable, &[], 1);
    }

    fn close(&self) {
        self.state().unavailable = Some(CLOSED.to_owned());
    }
}

const CLOSED: &str = "the ledger is closed";

impl Ledger {
    /// Opens the ledger of an instance: takes its lock, reads what is there, and gets ready to go on behind it.
    ///
    /// With [`Requirement::BestEffort`] what is wrong is logged, and the ledger goes on behind damage, or goes without.
    /// A disk that can be read but not written is no failure here: the ledger then is unavailable until it can.
    pub async fn open(
        options: LedgerOptions,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Result<Opened, LedgerError> {
        let requirement = options.requirement;
        let shared = |head| {
            let state = LedgerState { requirement, unavailable: None, head };
            let instance = directory_name(&options.instance);
            let directory = options.directory.join(&instance);
            let (clock, metrics, state) = (Arc::clone(&clock), metrics.clone(), Mutex::new(state));
            Arc::new(Shared { instance, requirement, clock, metrics, directory, state })
        };
        if requirement == Requirement::Off {
            return Ok(without(shared(Head::EMPTY)));
        }
        let found = {
            let options = options.clone();
            tokio::task::spawn_blocking(move || find(&options)).await
        };
        let found = found.unwrap_or_else(|error| {
            let path = options.directory.clone();
            Err(LedgerError::Directory { path, source: std::io::Error::other(error) })
        });
        match found {
            Ok((store, recovered)) => Ok(begin(store, &recovered, shared(recovered.head))),
            Err(error) if requirement == Requirement::BestEffort => {
                tracing::error!(%error, "going on without a ledger");
                let shared = shared(Head::EMPTY);
                shared.set_unavailable(&error.to_string());
                Ok(without(shared))
            }
            Err(error) => Err(error),
        }
    }

    /// Writes down what is about to be done. Once this has returned well, the record is durable, and it may be done.
    pub async fn intent(&self, intent: Intent) -> Result<IntentId, Unavailable> {
        let body = Box::new(body_of(RecordKind::Intent, intent));
        let echo = Box::new(Body {
            epoch: body.epoch,
            controller: body.controller.clone(),
            act: body.act.clone(),
            object: body.object.clone(),
            trace: body.trace.clone(),
            ..Body::new(RecordKind::Outcome)
        });
        match (self.ask(body).await, self.shared.requirement) {
            (Ok(sequence), _) => Ok(IntentId { sequence, echo }),
            (Err(error), Requirement::Required) => Err(error),
            (Err(_), Requirement::BestEffort | Requirement::Off) => {
                self.shared.metrics.count(MetricName::LedgerDropped, &[]);
                Ok(IntentId { sequence: None, echo })
            }
        }
    }

    /// Writes down how it went. Returns as soon as there is room to keep it; [`Ledger::flush`] waits until it is durable.
    pub async fn outcome(&self, id: IntentId, outcome: Outcome) {
        let IntentId { sequence, echo: mut body } = id;
        (body.intent, body.message) = (sequence, outcome.message.map(message));
        body.outcome = Some(word(outcome.outcome.into()));
        self.note(body).await;
    }

    /// Writes down what was not even tried. Returns as soon as there is room to keep it.
    pub async fn refusal(&self, refusal: Refusal) {
        let body = body_of(RecordKind::Refusal, refusal.intent);
        let (reason, text) = (name(refusal.reason), message(refusal.message));
        self.note(Box::new(Body { reason: Some(reason), message: Some(text), ..body })).await;
    }

    /// Writes down how an intent of an earlier process went.
    pub async fn settle(&self, intent: &UnsettledIntent, settled: Settled, evidence: Evidence) {
        let body = Body {
            kind: RecordKind::Settled,
            intent: Some(intent.sequence),
            outcome: Some(settled.name().into()),
            rule: None,
            evidence,
            ..intent.body.clone()
        };
        self.note(Box::new(body)).await;
    }

    /// Waits until all that was handed in before is durable.
    pub async fn flush(&self) -> Result<(), Unavailable> {
        self.order(Order::Flush).await
    }

    /// Writes the last record, waits until all is durable, and ends the writer. What is handed in later is refused.
    pub async fn close(&self) -> Result<(), Unavailable> {
        self.order(Order::Close).await
    }

    /// How it is.
    pub fn state(&self) -> LedgerState {
        self.shared.state().clone()
    }

    async fn ask(&self, body: Box<Body>) -> Result<Option<u64>, Unavailable> {
        if self.shared.requirement == Requirement::Off {
            return Ok(None);
        }
        if let Some(reason) = self.state().unavailable {
            return Err(Unavailable { reason });
        }
        let closed = || Unavailable { reason: CLOSED.to_owned() };
        let queues = self.queues.as_ref().ok_or_else(closed)?;
        let (reply, answer) = oneshot::channel();
        let ask = Ask { time: self.shared.clock.now(), body, reply };
        queues.orders.send(Order::Write(Box::new(ask))).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?.map(Some)
    }

    async fn note(&self, body: Box<Body>) {
        if self.shared.requirement == Requirement::Off {
            return;
        }
        let kind = body.kind;
        let note: Note = (self.shared.clock.now(), body);
        let is_kept = match (&self.queues, self.shared.requirement) {
            (Some(queues), Requirement::Required) => queues.notes.send(note).await.is_ok(),
            (Some(queues), _) => queues.notes.try_send(note).is_ok(),
            (None, _) => false,
        };
        if !is_kept {
            self.shared.metrics.count(MetricName::LedgerDropped, &[]);
            if self.shared.requirement == Requirement::Required {
                tracing::error!(kind = kind.name(), "a record was handed in after the ledger was closed");
            }
        }
    }

    async fn order(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<(), Unavailable>>) -> Order,
    ) -> Result<(), Unavailable> {
        let Some(queues) = &self.queues else { return Ok(()) };
        let closed = || Unavailable { reason: CLOSED.to_owned() };
        let (reply, answer) = oneshot::channel();
        queues.orders.send(order(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

/// An instance as the name of a directory, and of a key in a `ConfigMap`: other characters become dashes.
pub fn directory_name(instance: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') { c } else { '-' };
    let safe: String = instance.chars().map(plain).take(LEDGER_NAME_BYTES_MAX).collect();
    if safe.bytes().all(|byte| byte == b'.') { "instance".to_owned() } else { safe }
}

fn body_of(kind: RecordKind, intent: Intent) -> Body {
    Body {
        epoch: intent.epoch,
        controller: Some(word(intent.controller.into())),
        act: Some(word(intent.act.into())),
        rule: Some(intent.rule.bounded()),
        object: Some(intent.object.bounded()),
        evidence: intent.evidence,
        trace: current_trace_id(),
        ..Body::new(kind)
    }
}

/// Takes the lock of an instance's directory and reads what is there.
fn find(options: &LedgerOptions) -> Result<(Store, Recovered), LedgerError> {
    let path = options.directory.join(directory_name(&options.instance));
    let fail = |source| LedgerError::Directory { path: path.clone(), source };
    std::fs::create_dir_all(&path).map_err(fail)?;
    let lock = store::lock(&path).map_err(fail)?;
    let lock = lock.ok_or_else(|| LedgerError::Locked { path: path.clone() })?;
    let mut recovered = recovery::read(&path).map_err(fail)?;
    if let Some(Damage { path, line, what }) = recovered.damage.clone() {
        let directory = options.directory.clone();
        let error = LedgerError::Damaged { directory, path, line, what };
        if options.requirement == Requirement::Required {
            return Err(error);
        }
        tracing::error!(%error, "going on in a new segment");
    }
    let extent = std::mem::take(&mut recovered.extent);
    recovered.head = extent.head;
    let instance = directory_name(&options.instance);
    let mut store = Store::new(path, instance, options.limits, lock, extent);
    if let Some(retired) = recovered.retired {
        store.remove_retired(retired);
    }
    Ok((store, recovered))
}

/// A ledger that goes on behind what was found.
fn begin(store: Store, recovered: &Recovered, shared: Arc<Shared>) -> Opened {
    let unsettled: Vec<_> = if Mutant::IntentsForgotten.is_on() {
        Vec::new()
    } else {
        recovered.unsettled().filter_map(unsettled).collect()
    };
    let (orders, orders_waiting) = mpsc::channel(LEDGER_QUEUE_RECORDS);
    let (notes, notes_waiting) = mpsc::channel(LEDGER_QUEUE_RECORDS);
    let writer = Writer::new(store, Arc::clone(&shared), orders_waiting, notes_waiting, start(recovered));
    let ledger = Ledger { shared, queues: Some(Queues { orders, notes }) };
    Opened { ledger, writer: Box::pin(writer.run()), unsettled }
}

/// No ledger at all.
fn without(shared: Arc<Shared>) -> Opened {
    let ledger = Ledger { shared, queues: None };
    Opened { ledger, writer: Box::pin(std::future::ready(())), unsettled: Vec::new() }
}

/// The first record of a process: what it has found.
fn start(recovered: &Recovered) -> Body {
    let mut evidence = Evidence::default().with("version", env!("CARGO_PKG_VERSION"));
    if recovered.torn > 0 {
        evidence = evidence.with("tornBytesCut", recovered.torn);
    }
    if !recovered.unsettled.is_empty() {
        evidence = evidence.with("unsettledIntents", recovered.unsettled.len());
    }
    if recovered.unsettled_beyond > 0 {
        evidence = evidence.with("unsettledIntentsBeyond", recovered.unsettled_beyond);
    }
    let found = recovered.damage.as_ref().map(|Damage { path, line, what }| {
        message(format!("goes on behind damage: {} line {line}: {what}", path.display()))
    });
    Body { evidence, message: found, ..Body::new(RecordKind::Start) }
}

fn unsettled(record: Record) -> Option<UnsettledIntent> {
    let Record { sequence, time, body, .. } = record;
    Some(UnsettledIntent { sequence, time, object: body.object.clone()?, body })
}
