//! The one task that writes: it takes all that waits, makes it durable at one time, and answers.
//!
//! While a batch is written, the next one gathers; so a disk that takes milliseconds to make something durable still takes
//! in thousands of records in a second. While many act at one time, the next one also waits a moment for company, and what
//! nobody waits for does so always: making something durable costs more than all the rest. After a failure intents are refused at once, what is not waited for is kept (or,
//! with best effort, counted and let go), and writing is tried again after a growing while. The first record after that
//! tells of the gap.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use control::Backoff;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Sleep, sleep, timeout};

use super::record::{Body, Evidence, Head, RecordKind, message};
use super::store::Store;
use super::{Requirement, Shared, Unavailable};
use crate::limits::{LEDGER_BATCH_RECORDS, LEDGER_GATHER, LEDGER_RETRY_FIRST, LEDGER_RETRY_MAX};
use crate::metrics::MetricName;

/// A record that somebody waits for until it is durable.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) time: Timestamp,
    pub(super) body: Box<Body>,
    pub(super) reply: oneshot::Sender<Result<u64, Unavailable>>,
}

/// A record's content, and when it was handed in.
pub(super) type Dated = (Timestamp, Box<Body>);

/// A record that nobody waits for.
pub(super) type Note = Dated;

/// What is answered, in good times or bad: these never wait behind a backlog of notes.
#[derive(Debug)]
pub(super) enum Order {
    Write(Box<Ask>),
    /// Answer when all notes that are there are durable.
    Flush(oneshot::Sender<Result<(), Unavailable>>),
    /// Write the last record and end.
    Close(oneshot::Sender<Result<(), Unavailable>>),
}

/// The task's state.
#[derive(Debug)]
pub(super) struct Writer {
    /// Locked by whichever thread writes; there is never more than one.
    store: Arc<Mutex<Store>>,
    shared: Arc<Shared>,
    orders: mpsc::Receiver<Order>,
    notes: mpsc::Receiver<Note>,
    /// Records that nobody waits for, and that are not durable yet.
    backlog: Vec<Dated>,
    /// Intents without an outcome, as far as it is known: so many acts are under way.
    open: usize,
    outage: Option<Outage>,
    backoff: Backoff,
}

/// A time in which nothing can be written.
#[derive(Debug)]
struct Outage {
    since: Timestamp,
    reason: String,
    dropped: u64,
    retry: Pin<Box<Sleep>>,
}

/// What has come in.
#[derive(Debug, Default)]
struct Batch {
    asks: Vec<Ask>,
    flushes: Vec<oneshot::Sender<Result<(), Unavailable>>>,
    /// The time to try again has come.
    retry: bool,
    /// Nothing comes after it.
    last: bool,
}

impl Writer {
    pub(super) fn new(
        store: Store,
        shared: Arc<Shared>,
        orders: mpsc::Receiver<Order>,
        notes: mpsc::Receiver<Note>,
        start: Body,
    ) -> Self {
        let backoff = Backoff::new(LEDGER_RETRY_FIRST, LEDGER_RETRY_MAX, &shared.instance);
        let backlog = vec![(shared.clock.now(), Box::new(start))];
        let store = Arc::new(Mutex::new(store));
        Self { store, shared, orders, notes, backlog, open: 0, outage: None, backoff }
    }

    /// Writes until the ledger is closed, or until nobody can write to it any more.
    pub(super) async fn run(mut self) {
        let mut batch = Batch::default();
        loop {
            let last = batch.last;
            if last {
                self.backlog.push((self.shared.clock.now(), Box::new(Body::new(RecordKind::Stop))));
            }
            self.take_in(batch).await;
            if last {
                return self.shared.close();
            }
            batch = self.gather().await;
        }
    }

    /// Waits for something to do, and takes all that is there.
    async fn gather(&mut self) -> Batch {
        let mut batch = Batch::default();
        let (mut orders, mut notes) = (Vec::new(), Vec::new());
        // Only during an outage is there a backlog. When it is full, those who hand in notes wait.
        let room = LEDGER_BATCH_RECORDS.saturating_sub(self.backlog.len());
        tokio::select! {
            taken = self.orders.recv_many(&mut orders, LEDGER_BATCH_RECORDS) => batch.last = taken == 0,
            taken = self.notes.recv_many(&mut notes, room), if room > 0 => batch.last = taken == 0,
            () = retry_is_due(&mut self.outage) => batch.retry = true,
        }
        if !notes.is_empty() {
            // Nobody waits for these: they go with the next order, if one comes soon.
            let soon = self.orders.recv_many(&mut orders, LEDGER_BATCH_RECORDS);
            batch.last = timeout(LEDGER_GATHER, soon).await == Ok(0);
        }
        // An act that is the only one is not held up.
        if !orders.is_empty() && self.open > 1 {
            sleep(LEDGER_GATHER).await;
        }
        while orders.len() < LEDGER_BATCH_RECORDS
            && let Ok(order) = self.orders.try_recv()
        {
            orders.push(order);
        }
        // Orders first, then notes: so a flush has all that was handed in before it.
        while notes.len() < room
            && let Ok(note) = self.notes.try_recv()
        {
            notes.push(note);
        }
        self.backlog.extend(notes);
        for order in orders {
            match order {
                Order::Write(ask) => batch.asks.push(*ask),
                Order::Flush(reply) => batch.flushes.push(reply),
                Order::Close(reply) => {
                    batch.flushes.push(reply);
                    batch.last = true;
                }
            }
        }
        batch
    }

    /// Makes durable what has come in, and answers those who wait.
    async fn take_in(&mut self, batch: Batch) {
        let Batch { asks, flushes, retry, last } = batch;
        // Whoever has gone away is not written down: nothing will be done for him.
        let asks = asks.into_iter().filter(|ask| !ask.reply.is_closed());
        let (asked, replies): (Vec<_>, Vec<_>) =
            asks.map(|Ask { time, body, reply }| ((time, body), reply)).unzip();
        let outcome = match &self.outage {
            Some(outage) if !retry && !last => Err(outage.reason.clone()),
            _ => self.commit(asked).await,
        };
        match outcome {
            Ok((first, written)) => {
                for ((sequence, (_, body)), reply) in (first..).zip(written).zip(replies) {
                    if reply.send(Ok(sequence)).is_err() {
                        self.backlog.push((self.shared.clock.now(), abandoned(sequence, body)));
                    }
                }
                flushes.into_iter().for_each(|reply| drop(reply.send(Ok(()))));
            }
            Err(reason) => {
                let unavailable = || Unavailable { reason: reason.clone() };
                replies.into_iter().for_each(|reply| drop(reply.send(Err(unavailable()))));
                flushes.into_iter().for_each(|reply| drop(reply.send(Err(unavailable()))));
                self.let_go();
            }
        }
    }

    /// Writes the backlog and what was asked for; returns the latter, and the number of its first.
    async fn commit(&mut self, asked: Vec<Dated>) -> Result<(u64, Vec<Dated>), String> {
        let mut bodies: Vec<_> = self.gap().into_iter().chain(self.backlog.drain(..)).collect();
        let (gaps, count) = (usize::from(self.outage.is_some()), bodies.len());
        bodies.extend(asked);
        if bodies.is_empty() {
            return Ok((0, bodies));
        }
        let (mut bodies, outcome) = self.append(bodies).await;
        match outcome {
            Ok((first, head)) => {
                self.recovered(&bodies, head);
                Ok((first + count as u64, bodies.split_off(count)))
            }
            Err(error) => {
                bodies.truncate(count);
                self.backlog = bodies.split_off(gaps);
                Err(self.failed(&error))
            }
        }
    }

    async fn append(&self, bodies: Vec<Dated>) -> (Vec<Dated>, io::Result<(u64, Head)>) {
        let started = self.shared.clock.steady();
        let store = Arc::clone(&self.store);
        let written = tokio::task::spawn_blocking(move || {
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = store.append(&bodies).map(|first| (first, store.head()));
            (bodies, outcome)
        });
        let answer = match written.await {
            Ok(answer) => answer,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down under us.
                Err(error) => (Vec::new(), Err(io::Error::other(error))),
            },
        };
        let took = self.shared.clock.steady().since(started);
        self.shared.metrics.observe(MetricName::LedgerCommitDuration, took.as_secs_f64());
        answer
    }

    fn recovered(&mut self, bodies: &[Dated], head: Head) {
        let mut counts = BTreeMap::<_, u64>::new();
        for (_, body) in bodies {
            *counts.entry(body.kind.name()).or_default() += 1;
            match body.kind {
                RecordKind::Intent => self.open += 1,
                RecordKind::Outcome => self.open = self.open.saturating_sub(1),
                _ => {}
            }
        }
        for (kind, count) in counts {
            self.shared.metrics.count_by(MetricName::LedgerRecords, &[("kind", kind)], count);
        }
        self.shared.set_available(head);
        if self.outage.take().is_some() {
            self.backoff.reset();
            tracing::info!(sequence = head.sequence, "the ledger can be written again");
        }
    }

    /// Notes a failure, and when to try again; returns why.
    fn failed(&mut self, error: &io::Error) -> String {
        let reason = format!("the ledger cannot be written: {error}");
        let retry = Box::pin(sleep(self.backoff.after_failure()));
        if let Some(outage) = &mut self.outage {
            (outage.retry, outage.reason) = (retry, reason.clone());
        } else {
            tracing::error!(%error, requirement = self.shared.requirement.name(), "the ledger cannot be written");
            let (since, reason) = (self.shared.clock.now(), reason.clone());
            self.outage = Some(Outage { since, reason, dropped: 0, retry });
        }
        self.shared.set_unavailable(&reason);
        reason
    }

    /// With best effort, lets go of what cannot be kept.
    fn let_go(&mut self) {
        if self.shared.requirement == Requirement::BestEffort
            && let Some(outage) = &mut self.outage
        {
            let count = self.backlog.len() as u64;
            outage.dropped += count;
            self.backlog.clear();
            self.shared.metrics.count_by(MetricName::LedgerDropped, &[], count);
        }
    }

    /// The record that tells of an outage, once it is over.
    fn gap(&self) -> Option<Dated> {
        let outage = self.outage.as_ref()?;
        let mut body = Body::new(RecordKind::Start);
        body.message = Some(message(format!("it could not be written for a time: {}", outage.reason)));
        body.evidence =
            Evidence::default().with("unavailableSince", outage.since).with("dropped", outage.dropped);
        Some((self.shared.clock.now(), Box::new(body)))
    }
}

/// Waits until it is time to try again; for ever, if all is well.
async fn retry_is_due(outage: &mut Option<Outage>) {
    match outage {
        Some(outage) => outage.retry.as_mut().await,
        None => pending().await,
    }
}

/// The outcome of an intent whose writer went away before it heard that it is durable.
fn abandoned(intent: u64, mut body: Box<Body>) -> Box<Body> {
    (body.kind, body.intent, body.outcome) = (RecordKind::Outcome, Some(intent), Some("abandoned".into()));
    body.message = Some("nothing was done: whoever wanted it had stopped waiting".to_owned());
    (body.rule, body.evidence, body.trace) = (None, Evidence::default(), None);
    body
}
