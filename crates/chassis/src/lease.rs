//! Who acts: one replica at a time, by a lease, with a fence.
//!
//! The rules are those of [`control::Election`]; here they meet the API server, over a client of their own that repeats
//! nothing and waits briefly. What others see of it is a [`Leadership`]: it gives out [`Epoch`]s, and whoever acts holds
//! one and asks it before each act. An epoch ends by the clock, whether or not anybody was awake to notice.
//!
//! Invariants: the lease is released, and contended for again, only after every epoch that was given out has come back;
//! no epoch is valid for longer than the renew deadline after the last renewal was sent.

mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api::EventReason;
use control::{Answer, Attempt, Clock, Election, LeaseTerms, Move, Mutant, Steady};
use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::error::ApiError;
use crate::events::{Event, EventType, Recorder, Regarding};
use crate::limits::EPOCH_RETURN_TIMEOUT;
use crate::metrics::{MetricName, Metrics};

/// Which lease is contended for, by whom, on what terms.
#[derive(Clone, Debug)]
pub struct LeaseOptions {
    /// The namespace of the lease: the one that this operator runs in.
    pub namespace: String,
    /// The lease's name; one for each slot of work.
    pub name: String,
    /// Who contends: unique to this incarnation of this process.
    pub identity: String,
    /// How long a lease lasts, and how it is kept.
    pub terms: LeaseTerms,
}

/// Whether this replica leads, for those who act.
#[derive(Clone, Debug)]
pub struct Leadership {
    reign: watch::Receiver<Option<Arc<Reign>>>,
}

/// A time during which this replica leads, and nobody else. Held by whoever acts in it.
#[derive(Clone, Debug)]
pub struct Epoch {
    reign: Arc<Reign>,
    _held: TaskTrackerToken,
}

#[derive(Debug)]
pub(crate) struct Reign {
    number: u64,
    clock: Arc<dyn Clock>,
    /// Nanoseconds on the steady clock.
    valid_until: AtomicU64,
    ended: CancellationToken,
    holders: TaskTracker,
}

impl Leadership {
    /// The epoch that lasts now, if this replica leads.
    pub fn epoch(&self) -> Option<Epoch> {
        let reign = self.reign.borrow().clone()?;
        let epoch = Epoch { _held: reign.holders.token(), reign };
        epoch.is_valid().then_some(epoch)
    }

    /// Waits until leading has begun or ended. Never returns once nobody contends any more.
    pub async fn changed(&mut self) {
        if self.reign.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Epoch {
    /// Which epoch it is: grows with each change of the holder, over all replicas.
    pub fn number(&self) -> u64 {
        self.reign.number
    }

    /// Whether it lasts at this moment.
    pub fn is_valid(&self) -> bool {
        self.is_valid_for(Duration::ZERO)
    }

    /// Whether it lasts for so much longer even if it is not renewed.
    pub fn is_valid_for(&self, span: Duration) -> bool {
        if Mutant::NoEpochCheck.is_on() {
            return true;
        }
        let valid_until = Steady::at(Duration::from_nanos(self.reign.valid_until.load(Ordering::Acquire)));
        self.reign.clock.steady().after(span) < valid_until && !self.reign.ended.is_cancelled()
    }

    /// Waits until it has ended.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let ended: WaitForCancellationFutureOwned = self.reign.ended.clone().cancelled_owned();
        async move {
            ended.await;
            if Mutant::NoEpochCheck.is_on() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
impl Epoch {
    /// An epoch that lasts so long, for tests of those who act in one.
    pub(crate) fn lasting(span: Duration) -> Self {
        let clock = Arc::new(control::SystemClock);
        let reign = Arc::new(Reign {
            number: 1,
            valid_until: AtomicU64::new(nanos(clock.steady().after(span))),
            clock,
            ended: CancellationToken::new(),
            holders: TaskTracker::new(),
        });
        Self { _held: reign.holders.token(), reign }
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        self.reign.ended.cancel();
    }
}

#[cfg(test)]
impl Leadership {
    /// The leadership of whoever works in this epoch.
    pub(crate) fn in_epoch(epoch: &Epoch) -> (Self, watch::Sender<Option<Arc<Reign>>>) {
        let (publish, reign) = watch::channel(Some(Arc::clone(&epoch.reign)));
        (Self { reign }, publish)
    }
}

/// Contends for a lease.
#[derive(Debug)]
pub struct Contender {
    options: LeaseOptions,
    client: Quiet,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    recorder: Recorder,
    election: Election,
    publish: watch::Sender<Option<Arc<Reign>>>,
    trouble: Option<String>,
}

/// The client, with a `Debug` that says nothing of credentials.
struct Quiet(Client);

impl std::fmt::Debug for Quiet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// A contender, to be run beside the rest, and the leadership that it is for. The client should be one of its own.
pub fn contender(
    client: Client,
    options: LeaseOptions,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    recorder: Recorder,
) -> (Leadership, Contender) {
    let (publish, reign) = watch::channel(None);
    let election = Election::new(&options.identity, options.terms);
    metrics.set(MetricName::LeaderStatus, &[("name", &options.name)], 0);
    let contender = Contender {
        options,
        client: Quiet(client),
        clock,
        metrics,
        recorder,
        election,
        publish,
        trouble: None,
    };
    (Leadership { reign }, contender)
}

/// What a step of the contention asks for.
enum Step {
    Again,
    Pause(Duration),
}

impl Contender {
    /// Contends until told to stop; then waits for all epochs to come back, and releases the lease.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.step().await {
                Step::Again => {}
                Step::Pause(pause) => tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                },
            }
        }
        self.release().await;
    }

    async fn step(&mut self) -> Step {
        let now = self.clock.steady();
        match self.election.decide(now, self.clock.now()) {
            Move::Look => self.look().await,
            Move::Write(attempt) => self.write(attempt).await,
            Move::WaitUntil(at) => Step::Pause(at.since(now).max(Duration::from_millis(1))),
            Move::Stop => {
                self.end_reign("the lease could not be renewed in time").await;
                self.election.stopped();
                Step::Again
            }
        }
    }

    async fn look(&mut self) -> Step {
        self.metrics.count(MetricName::LeaderSlowPath, &[("name", &self.options.name)]);
        match wire::get(&self.client.0, &self.options, self.patience()).await {
            Ok(record) => {
                self.trouble = None;
                self.election.observe(record, self.clock.steady());
                self.publish_standing().await;
                Step::Again
            }
            Err(error) => {
                self.election.look_failed(self.clock.steady());
                self.trouble("cannot read the lease", &error)
            }
        }
    }

    async fn write(&mut self, attempt: Attempt) -> Step {
        let result = wire::put(&self.client.0, &self.options, &attempt, self.patience()).await;
        let answer = match &result {
            Ok(record) => Answer::Stored(record.clone()),
            Err(ApiError::Refused { code: 404 | 409, .. }) => Answer::Conflict,
            Err(ApiError::Refused { code: 400..500, .. }) => Answer::Refused,
            Err(_) => Answer::Unknown,
        };
        let is_conflict = answer == Answer::Conflict && !attempt.creates();
        self.election.answered(&attempt, answer, self.clock.steady());
        self.publish_standing().await;
        match result {
            Ok(_) => {
                self.trouble = None;
                Step::Again
            }
            // Somebody else was faster. A namespace that is missing answers 404 to a creation: that is worth telling.
            Err(_) if is_conflict => Step::Again,
            Err(ApiError::Refused { code: 409, .. }) => Step::Again,
            Err(error) => self.trouble("cannot write the lease", &error),
        }
    }

    /// How long a call may take: a third of the renew deadline leaves time for others, and none outlasts the epoch.
    fn patience(&self) -> Duration {
        let most = self.options.terms.renew_deadline() / 3;
        let now = self.clock.steady();
        let left = self.election.epoch(now).map_or(most, |epoch| epoch.valid_until.since(now));
        most.min(left).max(Duration::from_millis(1))
    }

    /// Tells it once for as long as it stays the same.
    fn trouble(&mut self, what: &str, error: &ApiError) -> Step {
        let text = error.to_string();
        if self.trouble.as_ref() != Some(&text) {
            let (namespace, name) = (&self.options.namespace, &self.options.name);
            let advice = match error.code() {
                Some(403 | 404) => "`groundskeeper install` makes the namespace and the rights",
                _ => "it is tried again",
            };
            tracing::warn!(namespace, lease = name, error = text, advice, "{what}");
            self.trouble = Some(text);
        }
        Step::Pause(self.options.terms.retry_period() / 2)
    }

    /// Makes known what the election says: an epoch that begins, goes on, or has ended.
    async fn publish_standing(&mut self) {
        let now = self.clock.steady();
        let reign = self.publish.borrow().clone();
        match (self.election.epoch(now), reign) {
            (Some(epoch), Some(reign)) if reign.number == u64::from(epoch.number) => {
                reign.valid_until.store(nanos(epoch.valid_until), Ordering::Release);
            }
            (Some(epoch), before) => {
                if before.is_some() {
                    self.end_reign("the lease was taken anew").await;
                }
                self.begin_reign(u64::from(epoch.number), epoch.valid_until);
            }
            (None, Some(_)) => self.end_reign("somebody else holds the lease").await,
            (None, None) => {}
        }
    }

    fn begin_reign(&self, number: u64, valid_until: Steady) {
        let reign = Reign {
            number,
            clock: Arc::clone(&self.clock),
            valid_until: AtomicU64::new(nanos(valid_until)),
            ended: CancellationToken::new(),
            holders: TaskTracker::new(),
        };
        self.publish.send_replace(Some(Arc::new(reign)));
        let (lease, identity) = (&self.options.name, &self.options.identity);
        tracing::info!(lease, identity, epoch = number, "leading");
        self.tell(EventReason::LeaderElection, format!("{identity} became leader, epoch {number}"));
        self.metrics.set(MetricName::LeaderStatus, &[("name", lease)], 1);
        self.metrics.count(MetricName::LeaderTransitions, &[]);
        self.metrics.set(MetricName::OldLeaderStatus, &[], 1);
        self.metrics.count(MetricName::OldLeaderTransitions, &[]);
    }

    /// Ends the reign, if there is one, and waits until nobody acts in it any more.
    async fn end_reign(&mut self, why: &str) {
        if Mutant::NoEpochCheck.is_on() {
            return;
        }
        let Some(reign) = self.publish.send_replace(None) else { return };
        reign.ended.cancel();
        reign.holders.close();
        let (lease, identity) = (&self.options.name, &self.options.identity);
        tracing::warn!(lease, identity, epoch = reign.number, why, "no longer leading");
        self.metrics.set(MetricName::LeaderStatus, &[("name", lease)], 0);
        self.metrics.set(MetricName::OldLeaderStatus, &[], 0);
        self.tell(EventReason::LeaderElection, format!("{identity} stopped leading: {why}"));
        if tokio::time::timeout(EPOCH_RETURN_TIMEOUT, reign.holders.wait()).await.is_err() {
            // They are fenced: each asks before it acts. But a new epoch of ours must not run beside them.
            tracing::error!(
                lease,
                epoch = reign.number,
                "work of an epoch that has ended does not come back; waiting for it"
            );
            reign.holders.wait().await;
        }
    }

    /// Gives the lease back, after the last act in its epoch. Work has been finished by then: this stage ends later.
    async fn release(&mut self) {
        let Some(reign) = self.publish.borrow().clone() else { return };
        reign.holders.close();
        if !Mutant::ReleasedBeforeStopped.is_on()
            && tokio::time::timeout(EPOCH_RETURN_TIMEOUT, reign.holders.wait()).await.is_err()
        {
            tracing::warn!(lease = self.options.name, "work is still under way; the lease is left to expire");
            reign.ended.cancel();
            return;
        }
        reign.ended.cancel();
        self.publish.send_replace(None);
        if self.election.is_in_doubt()
            && let Ok(record) = wire::get(&self.client.0, &self.options, self.patience()).await
        {
            self.election.observe(record, self.clock.steady());
        }
        self.metrics.set(MetricName::LeaderStatus, &[("name", &self.options.name)], 0);
        let Some(attempt) = self.election.release(self.clock.steady(), self.clock.now()) else { return };
        match wire::put(&self.client.0, &self.options, &attempt, self.patience()).await {
            Ok(_) => tracing::info!(lease = self.options.name, epoch = reign.number, "released the lease"),
            Err(error) => {
                tracing::warn!(lease = self.options.name, %error, "could not release the lease; it expires");
            }
        }
    }

    fn tell(&self, reason: EventReason, note: String) {
        self.recorder.record(Event {
            regarding: Regarding {
                api_version: "coordination.k8s.io/v1".to_owned(),
                kind: "Lease".to_owned(),
                namespace: self.options.namespace.clone(),
                name: self.options.name.clone(),
                uid: String::new(),
            },
            related: None,
            type_: EventType::Normal,
            reason: reason.name(),
            action: reason.action(),
            note,
            at: self.clock.now(),
        });
    }
}

fn nanos(at: Steady) -> u64 {
    u64::try_from(at.since(Steady::default()).as_nanos()).unwrap_or(u64::MAX)
}
