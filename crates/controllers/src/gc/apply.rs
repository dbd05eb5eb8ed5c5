//! Deletions: which policy may delete next, what is in flight, and how it went.
//!
//! Policies that have something due take turns, one deletion each, so that none holds up another. Each keeps to its own
//! rate; all together keep to what the actuator has in flight.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::sync::Arc;

use chassis::actuator::{
    Act, Actuator, Budget, Exhausted, Grounds, Manner, Outcome, Refused, Target, Warrant,
};
use chassis::lease::Epoch;
use chassis::ledger::{Evidence, Rule};
use chassis::{ApiError, FeedId, MetricName, Metrics, Trace};
use control::{Backoff, Mutant, Timers};
use gc::{Due, Mode, Policy, Settled};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Duration;
use tracing::Instrument as _;
use units::NamespacedName;

use super::author::AuthorVerdict;
use super::limits::{HOLD_FIRST, HOLD_MAX, STALE_RECHECK};
use super::observe::{Observed, Tracked};

/// All deletions, under way and to come.
pub(super) struct Deletions {
    actuator: Actuator,
    metrics: Metrics,
    turns: HashMap<NamespacedName, Turn>,
    /// Policies that have something due, in the order in which they get their turn.
    ready: VecDeque<NamespacedName>,
    /// When each other policy is to be looked at.
    timers: Timers<NamespacedName>,
    in_flight: JoinSet<Done>,
}

/// A policy's place in the order of turns.
struct Turn {
    budget: Budget,
    backoff: Backoff,
    /// Nothing is deleted for it before this time.
    not_before: Option<Timestamp>,
    /// It stands in `ready`.
    queued: bool,
    /// The server's words, if it denied the last deletion.
    denied: Option<String>,
}

/// A deletion that has been answered.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) policy: NamespacedName,
    pub(super) due: Due,
    plot: FeedId,
    outcome: Outcome,
    answered_at: Took,
    trace: Trace,
}

impl Done {
    /// Whether the server did not answer at all.
    pub(super) fn was_unheard(&self) -> bool {
        let (Outcome::Failed(error) | Outcome::FoundDone(error)) = &self.outcome else { return false };
        matches!(error, ApiError::TimedOut(_) | ApiError::Unreachable(_))
    }
}

/// How long the call took.
#[derive(Clone, Copy, Debug)]
struct Took(Duration);

/// What came of a policy's turn.
enum TurnTaken {
    Launched,
    NothingDue,
    Wait(Timestamp),
    Full,
}

impl Deletions {
    pub(super) fn new(actuator: Actuator, metrics: Metrics) -> Self {
        Self {
            actuator,
            metrics,
            turns: HashMap::new(),
            ready: VecDeque::new(),
            timers: Timers::default(),
            in_flight: JoinSet::new(),
        }
    }

    /// A policy is there, in this form.
    pub(super) fn admit(&mut self, tracked: &Tracked, now: Timestamp) {
        let Ok(policy) = &tracked.spec else { return };
        let rate = policy.deletions_per_second_max;
        let turn = self.turns.entry(policy.key.clone()).or_insert_with(|| Turn {
            budget: self.actuator.budget(rate, now),
            backoff: Backoff::new(HOLD_FIRST, HOLD_MAX, &policy.key),
            not_before: None,
            queued: false,
            denied: None,
        });
        if turn.budget.rate() != rate {
            turn.budget = self.actuator.budget(rate, now);
        }
    }

    /// A policy is gone.
    pub(super) fn forget(&mut self, key: &NamespacedName) {
        self.turns.remove(key);
        self.timers.set(key, None);
        self.ready.retain(|queued| queued != key);
        for outcome in Outcome::LABELS {
            self.metrics.forget(MetricName::GcDeletions, &labels(key, outcome));
        }
    }

    /// The server's words, if it denied a policy's last deletion.
    pub(super) fn denied(&self, key: &NamespacedName) -> Option<&str> {
        self.turns.get(key)?.denied.as_deref()
    }

    /// Sees to it that a policy is looked at when its next object falls due.
    pub(super) fn arm(&mut self, observed: &Observed, key: &NamespacedName, now: Timestamp) {
        let (Some(turn), Some(Ok(policy))) =
            (self.turns.get_mut(key), observed.policy(key).map(|tracked| &tracked.spec))
        else {
            return self.timers.set(key, None);
        };
        let ground = observed.plot_of(key).map(|plot| &plot.ground);
        if policy.mode != Mode::Enforce {
            // It deletes nothing: it is woken only to say how many are due by then.
            turn.denied = None;
            return self.timers.set(key, ground.and_then(|ground| ground.next_due_after(key, now)));
        }
        let Some(next) = ground.and_then(|ground| ground.next_due(key)) else {
            turn.denied = None;
            return self.timers.set(key, None);
        };
        let wake = turn.not_before.map_or(next, |hold| next.max(hold));
        if wake > now {
            return self.timers.set(key, Some(wake));
        }
        self.timers.set(key, None);
        if !turn.queued {
            turn.queued = true;
            self.ready.push_back(key.clone());
        }
    }

    /// When there is something to do next.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Starts all deletions that may start now; returns the policies of which something has fallen due.
    pub(super) fn launch(
        &mut self,
        observed: &mut Observed,
        epoch: &Epoch,
        now: Timestamp,
    ) -> Vec<NamespacedName> {
        let woken: Vec<_> = std::iter::from_fn(|| self.timers.pop_due(now)).collect();
        for key in &woken {
            self.arm(observed, key, now);
        }
        while let Some(key) = self.ready.pop_front() {
            match self.take_turn(observed, &key, epoch, now) {
                TurnTaken::Launched => self.ready.push_back(key),
                TurnTaken::Full => {
                    self.ready.push_front(key);
                    break;
                }
                TurnTaken::NothingDue => {
                    self.step_down(&key);
                    let next = observed.plot_of(&key).and_then(|plot| plot.ground.next_due_after(&key, now));
                    self.timers.set(&key, next);
                }
                TurnTaken::Wait(at) => {
                    self.step_down(&key);
                    self.timers.set(&key, Some(at));
                }
            }
        }
        woken
    }

    fn step_down(&mut self, key: &NamespacedName) {
        if let Some(turn) = self.turns.get_mut(key) {
            turn.queued = false;
        }
    }

    /// Takes the object that has been due longest under a policy, and starts its deletion.
    fn take_turn(
        &mut self,
        observed: &mut Observed,
        key: &NamespacedName,
        epoch: &Epoch,
        now: Timestamp,
    ) -> TurnTaken {
        let Some(tracked) = observed.policy(key) else { return TurnTaken::NothingDue };
        let (Ok(policy), rule) = (tracked.spec.clone(), rule(key, tracked)) else {
            return TurnTaken::NothingDue;
        };
        if tracked.verdict != AuthorVerdict::Allowed {
            return TurnTaken::Wait(now.checked_add(STALE_RECHECK).unwrap_or(now));
        }
        let (Some(turn), Some((plot_id, plot))) = (self.turns.get_mut(key), observed.plot_of_mut(key)) else {
            return TurnTaken::NothingDue;
        };
        if let Some(hold) = turn.not_before.filter(|hold| *hold > now) {
            return TurnTaken::Wait(hold);
        }
        let Some(resource) = plot.reliable().cloned() else {
            return TurnTaken::Wait(now.checked_add(STALE_RECHECK).unwrap_or(now));
        };
        let slot = match turn.budget.take(now) {
            Ok(slot) => slot,
            Err(Exhausted::Until(at)) => return TurnTaken::Wait(at),
            Err(Exhausted::InFlight) => return TurnTaken::Full,
        };
        let Some(due) = plot.ground.take_due(key, now) else {
            turn.budget.give_back(slot);
            return TurnTaken::NothingDue;
        };
        let target = Target {
            resource,
            namespace: key.namespace.clone(),
            name: due.name.clone(),
            uid: due.uid.clone(),
            resource_version: Some(due.resource_version.clone()),
        };
        let trace = Trace::begin("object due").about("gc", key);
        let prove = || self.actuator.prove(target, slot, epoch.clone(), grounds(&policy, rule, &due));
        match trace.step("decide").in_scope(prove) {
            Ok(warrant) => {
                let call = carry_out(self.actuator.clone(), warrant, Act::Delete(manner(&policy)));
                let call = call.instrument(trace.step("apply"));
                let (policy, plot) = (key.clone(), plot_id);
                self.in_flight.spawn(async move {
                    let (outcome, took) = call.await;
                    Done { policy, due, plot, outcome, answered_at: Took(took), trace }
                });
            }
            Err(objection) if objection.refused == Refused::NotLeading => {
                plot.ground.settle(&due, Settled::NotBefore(now), now);
                return TurnTaken::Full;
            }
            Err(objection) => {
                // The engine has let through what the rails keep: that is our fault, and the object's luck.
                tracing::error!(policy = %key, object = %due.name, reason = %objection.refused, "a deletion was refused; please report this");
                let (actuator, act) = (self.actuator.clone(), Act::Delete(manner(&policy)));
                let (policy, plot) = (key.clone(), plot_id);
                self.in_flight.spawn(async move {
                    let outcome = actuator.record(objection, act).await;
                    Done { policy, due, plot, outcome, answered_at: Took(Duration::ZERO), trace }
                });
            }
        }
        TurnTaken::Launched
    }

    /// The next deletion that has been answered; never, while there are none.
    pub(super) async fn next_done(&mut self) -> Option<Done> {
        if self.in_flight.is_empty() {
            return pending().await;
        }
        self.next_in_flight().await
    }

    /// The next deletion that has been answered; none, when there are none.
    pub(super) async fn next_in_flight(&mut self) -> Option<Done> {
        loop {
            match self.in_flight.join_next().await? {
                Ok(done) => return Some(done),
                Err(error) => {
                    tracing::error!(%error, "a deletion's task broke; its object is left alone until it changes");
                }
            }
        }
    }

    /// Takes in how a deletion went; returns whether the object was deleted, by us.
    pub(super) fn settle(&mut self, observed: &mut Observed, done: &Done, now: Timestamp) -> bool {
        let Done { policy, due, plot, outcome, answered_at: Took(took), trace } = done;
        let _trace = trace.span().enter();
        let settled = self.judge(policy, outcome, now);
        if let Some(ground) = observed.ground_mut(*plot) {
            ground.settle(due, settled, now);
        }
        let lateness = now.duration_since(due.since).as_secs_f64().max(0.0);
        self.metrics.observe(MetricName::GcDeletionDuration, took.as_secs_f64());
        if self.turns.contains_key(policy) {
            self.metrics.count(MetricName::GcDeletions, &labels(policy, outcome.label()));
        }
        let object = &due.name;
        match outcome {
            Outcome::Accepted | Outcome::FoundDone(_) => {
                self.metrics.observe(MetricName::GcDeletionLateness, lateness);
                tracing::info!(%policy, %object, uid = %due.uid, lateness_seconds = lateness, "deleted");
                return true;
            }
            Outcome::Gone | Outcome::Changed | Outcome::Fenced | Outcome::CutOff | Outcome::Refused(_) => {
                tracing::debug!(%policy, %object, outcome = outcome.label(), "not deleted");
            }
            Outcome::Throttled(wait) | Outcome::Blocked { retry_after: wait, .. } => {
                tracing::warn!(%policy, %object, wait_seconds = wait.as_secs_f64(), "the API server is busy");
            }
            Outcome::Denied(error) | Outcome::Failed(error) => {
                tracing::warn!(%policy, %object, outcome = outcome.label(), %error, "not deleted");
            }
            Outcome::Unrecorded(reason) => {
                tracing::warn!(%policy, %object, reason, "not deleted: it could not be recorded first");
            }
        }
        false
    }

    /// What the answer means for the object, and for its policy.
    fn judge(&mut self, policy: &NamespacedName, outcome: &Outcome, now: Timestamp) -> Settled {
        let later = |pause: Duration| now.checked_add(pause).unwrap_or(Timestamp::MAX);
        let Some(turn) = self.turns.get_mut(policy) else {
            return if matches!(outcome, Outcome::Accepted | Outcome::FoundDone(_) | Outcome::Gone) {
                Settled::Deleted
            } else {
                Settled::NotBefore(now)
            };
        };
        let hold = match outcome {
            Outcome::Accepted | Outcome::FoundDone(_) | Outcome::Gone => {
                turn.backoff.reset();
                (turn.denied, turn.not_before) = (None, None);
                return Settled::Deleted;
            }
            Outcome::Changed => return Settled::Changed,
            // Whoever leads next judges it again.
            Outcome::Fenced | Outcome::CutOff => return Settled::NotBefore(now),
            Outcome::Throttled(wait) | Outcome::Blocked { retry_after: wait, .. } => later(*wait),
            Outcome::Denied(error) => {
                turn.denied = Some(error.to_string());
                let pause = turn.backoff.after_failure();
                later(if Mutant::DeniedRetriedAtOnce.is_on() { Duration::ZERO } else { pause })
            }
            Outcome::Refused(_) => return Settled::NotBefore(later(HOLD_MAX)),
            Outcome::Failed(_) | Outcome::Unrecorded(_) => later(turn.backoff.after_failure()),
        };
        turn.not_before = turn.not_before.max(Some(hold));
        Settled::NotBefore(hold)
    }
}

/// Deletes, and says how long it took.
#[allow(clippy::disallowed_methods, reason = "measures a duration; no decision rests on it")]
async fn carry_out(actuator: Actuator, warrant: Warrant, act: Act) -> (Outcome, Duration) {
    let started = tokio::time::Instant::now();
    let outcome = actuator.carry_out(warrant, act).await;
    (outcome, started.elapsed())
}

fn manner(policy: &Arc<Policy>) -> Manner {
    Manner { propagation: policy.propagation.name(), grace_period_seconds: policy.grace_period_seconds }
}

fn labels<'a>(key: &'a NamespacedName, outcome: &'a str) -> [(&'static str, &'a str); 3] {
    [("policy_namespace", &key.namespace), ("policy_name", &key.name), ("outcome", outcome)]
}

/// The rule by which a policy's objects go, in the form that is acted on.
fn rule(key: &NamespacedName, tracked: &Tracked) -> Rule {
    let generation = tracked.generation.unwrap_or_default();
    Rule { policy: key.to_string(), uid: tracked.uid.to_string(), generation }
}

/// What a deletion rests on.
fn grounds(policy: &Policy, rule: Rule, due: &Due) -> Grounds {
    let evidence = Evidence::default()
        .with("dueSince", due.since)
        .with("secondsAfterCreation", policy.seconds_after_creation())
        .with("selector", policy.selector());
    Grounds { controller: "gc", rule, evidence }
}
