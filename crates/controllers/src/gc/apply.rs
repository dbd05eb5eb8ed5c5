//! Deleting what is due.
//!
//! Policies that have something due take turns, one object each, so that none starves another. A policy waits alone: for
//! its rate, its budget, its window, its approval, for the author's rights, for its objects to be up to date, after a
//! refusal. How many deletions run at one time is the actuator's budget.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use api::garbage_collection::Lateness;
use api::limits::FINALIZING_MAX;
use api::{ConditionType, GarbageCollectionPolicyStatus, GcReason};
use chassis::actuator::{
    Act, Actuator, BudgetSlot, Exhausted, Grounds, Manner, Objection, Outcome, Purpose, Refused, Target,
    Warrant,
};
use chassis::lease::Epoch;
use chassis::ledger::{Evidence, Rule as LedgerRule};
use chassis::{ApiError, MetricName, Metrics, Resource, ServiceAccountName, Trace};
use control::{Clock, Mutant, Timers};
use gc::{Due, Gate, Mode, NOTICE_ANNOTATION, Policy, Settled, Step, Ward};
use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument as _;
use units::NamespacedName;

use super::author::AuthorVerdict;
use super::limits::{BUDGET_RECHECK, HOLD_MAX, STALE_RECHECK};
use super::observe::{Observed, PlotId, Tracked};
use super::old_metrics::OldMetrics;
use super::patience::Patience;
use super::turns::{Charge, Denial, Shut, Turn, Unspent};

/// All deletions, under way and to come.
pub(super) struct Deletions {
    actuator: Actuator,
    metrics: Metrics,
    old: OldMetrics,
    clock: Arc<dyn Clock>,
    turns: HashMap<NamespacedName, Turn>,
    /// Policies that have something to do, in the order in which they get their turn.
    ready: VecDeque<NamespacedName>,
    /// When each other policy is to be looked at.
    timers: Timers<NamespacedName>,
    /// Policies whose status has to say that more of the budget may be used, before it is.
    unsecured: Vec<NamespacedName>,
    in_flight: JoinSet<Done>,
}

/// An act that has been answered.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) policy: NamespacedName,
    pub(super) due: Due,
    plot: PlotId,
    charge: Charge,
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

    /// The object that was deleted, by us; none if it was not.
    pub(super) fn deleted(&self) -> Option<&str> {
        let was_deleted = matches!(self.outcome, Outcome::Accepted | Outcome::FoundDone(_));
        (was_deleted && self.due.step == Step::Delete).then_some(&*self.due.name)
    }

    /// When the object will go that was told so; none if none was.
    pub(super) fn told(&self) -> Option<Timestamp> {
        match (&self.outcome, self.due.step) {
            (Outcome::Accepted, Step::Notify { deletes_at }) => Some(deletes_at),
            _ => None,
        }
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
    /// The policy has as much under way as it may.
    Busy,
    /// Everybody has.
    Full,
}

/// An object that is to be acted on, and what it takes.
struct Job {
    due: Due,
    plot: PlotId,
    resource: Arc<Resource>,
    slot: BudgetSlot,
    charge: Charge,
}

impl Deletions {
    pub(super) fn new(actuator: Actuator, metrics: Metrics, clock: Arc<dyn Clock>) -> Self {
        Self {
            actuator,
            old: OldMetrics::new(metrics.clone()),
            metrics,
            clock,
            turns: HashMap::new(),
            ready: VecDeque::new(),
            timers: Timers::default(),
            unsecured: Vec::new(),
            in_flight: JoinSet::new(),
        }
    }

    /// A policy is there, in this form; returns whether it is new here.
    pub(super) fn admit(&mut self, tracked: &Tracked, now: Timestamp) -> bool {
        let Ok(policy) = &tracked.spec else { return false };
        let is_new = !self.turns.contains_key(&policy.key);
        let (actuator, moment) = (&self.actuator, (now, self.clock.steady()));
        self.turns
            .entry(policy.key.clone())
            .and_modify(|turn| {
                turn.adapt(policy, actuator, moment);
                turn.secure(reserved(tracked));
            })
            .or_insert_with(|| {
                let mut turn = Turn::new(policy, actuator, spent_before(tracked), moment);
                if !was_collecting(tracked) {
                    turn.freedom.began(now);
                }
                turn
            });
        is_new
    }

    /// This replica leads from now on: what others have spent counts.
    pub(super) fn resume(&mut self, tracked: &Tracked) {
        let (spent, now) = (spent_before(tracked), self.clock.steady());
        let Ok(policy) = &tracked.spec else { return };
        if let Some(turn) = self.turns.get_mut(&policy.key) {
            turn.resume(spent, now);
        }
    }

    /// A policy is gone.
    pub(super) fn forget(&mut self, key: &NamespacedName) {
        self.turns.remove(key);
        self.timers.set(key, None);
        self.ready.retain(|queued| queued != key);
        self.old.forget(key);
        for outcome in Outcome::LABELS {
            self.metrics.forget(MetricName::GcDeletions, &labels(key, outcome));
            self.metrics.forget(MetricName::GcFinalizersRemoved, &labels(key, removal_label(outcome)));
        }
    }

    /// What the server denied a policy last.
    pub(super) fn denied(&self, key: &NamespacedName) -> Option<&Denial> {
        let turn = self.turns.get(key)?;
        turn.denied.as_ref().or(turn.release_denied.as_ref())
    }

    /// How much of a policy's budget is used, and whether that is all of it.
    pub(super) fn spent(&self, key: &NamespacedName) -> (u64, bool) {
        let now = self.clock.steady();
        self.turns.get(key).map_or((0, false), |turn| (turn.used(now), turn.is_exceeded))
    }

    /// Writes numbers that belong to no policy.
    pub(super) fn measure(&self) {
        let turns = i64::try_from(self.turns.len()).unwrap_or(i64::MAX);
        self.metrics.set(MetricName::OldRateLimiters, &[], turns);
    }

    /// How much of its budget the next status is to say a policy may have used, of so large a base; `due` objects wait, if
    /// it acts.
    pub(super) fn reserve(&mut self, tracked: &Tracked, base: u64, due: Option<usize>) -> u64 {
        let now = self.clock.steady();
        let Ok(policy) = &tracked.spec else { return 0 };
        let Some(turn) = self.turns.get_mut(&policy.key) else { return 0 };
        turn.reserve(policy.budget.limit(base), due, reserved(tracked), now)
    }

    /// The policies of which a status has to be written before they may go on.
    pub(super) fn take_unsecured(&mut self) -> Vec<NamespacedName> {
        std::mem::take(&mut self.unsecured)
    }

    /// How late a policy's last deletions were.
    pub(super) fn lateness(&self, key: &NamespacedName) -> Option<Lateness> {
        self.turns.get(key)?.lateness()
    }

    /// Sees to it that a policy is looked at when there is something to do for it.
    pub(super) fn arm(&mut self, observed: &Observed, key: &NamespacedName, now: Timestamp) {
        let (Some(turn), Some(Ok(policy))) =
            (self.turns.get_mut(key), observed.policy(key).map(|tracked| &tracked.spec))
        else {
            return self.timers.set(key, None);
        };
        let recheck = earliest(observed, key, |ground| ground.next_recheck(key));
        if policy.mode != Mode::Enforce {
            // It deletes nothing: it is woken only to say how many are due by then.
            turn.freedom.shut(Shut::UntilLet);
            (turn.denied, turn.release_denied, turn.is_exceeded) = (None, None, false);
            let next = earliest(observed, key, |ground| ground.next_due_after(key, now));
            return self.timers.set(key, next.into_iter().chain(recheck).min());
        }
        let due = earliest(observed, key, |ground| ground.next_due(key));
        if due.is_none() {
            turn.denied = None;
        }
        if due.is_none_or(|due| due > now) {
            turn.is_exceeded = false;
        }
        let notice = earliest(observed, key, |ground| ground.next_notice(key));
        let release = next_release(observed, turn, key);
        if earliest(observed, key, |ground| ground.next_release(key)).is_none() {
            turn.release_denied = None;
        }
        let next = due.into_iter().chain(notice).chain(recheck).min();
        let next = next.map(|next| turn.not_before.map_or(next, |hold| next.max(hold)));
        let Some(wake) = next.into_iter().chain(release).min() else {
            return self.timers.set(key, None);
        };
        if wake > now {
            return self.timers.set(key, Some(wake));
        }
        self.timers.set(key, None);
        if !turn.is_queued {
            turn.is_queued = true;
            self.ready.push_back(key.clone());
        }
    }

    /// When there will be something to do for a policy that is not to be done now.
    fn later_steps(&self, observed: &Observed, key: &NamespacedName, now: Timestamp) -> Option<Timestamp> {
        let due = earliest(observed, key, |ground| ground.next_due_after(key, now));
        let notice = earliest(observed, key, |ground| ground.next_notice(key));
        let recheck = earliest(observed, key, |ground| ground.next_recheck(key));
        let release = self.turns.get(key).and_then(|turn| next_release(observed, turn, key));
        due.into_iter().chain(notice).chain(recheck).chain(release).min()
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
        let patience = Patience::of_a_round(&self.clock);
        for key in &woken {
            recheck(observed, key, &patience, now);
            self.arm(observed, key, now);
        }
        while let Some(key) = self.ready.pop_front() {
            let taken = self.take_turn(observed, &key, epoch, now);
            let next = match taken {
                TurnTaken::Launched => {
                    self.ready.push_back(key);
                    continue;
                }
                TurnTaken::Full => {
                    self.ready.push_front(key);
                    break;
                }
                TurnTaken::Busy => None,
                TurnTaken::NothingDue => self.later_steps(observed, &key, now),
                // What is due may have to wait for long; a finalizer need not.
                TurnTaken::Wait(at) => {
                    let turn = self.turns.get(&key);
                    let release = turn.and_then(|turn| next_release(observed, turn, &key));
                    Some(release.filter(|release| *release > now).map_or(at, |release| release.min(at)))
                }
            };
            if let Some(turn) = self.turns.get_mut(&key) {
                turn.is_queued = false;
            }
            self.timers.set(&key, next);
        }
        woken
    }

    /// Takes the object whose turn it is under a policy, and starts what is to be done with it.
    fn take_turn(
        &mut self,
        observed: &mut Observed,
        key: &NamespacedName,
        epoch: &Epoch,
        now: Timestamp,
    ) -> TurnTaken {
        let Some(tracked) = observed.policy(key) else { return TurnTaken::NothingDue };
        let (Ok(policy), rule) = (tracked.spec.clone(), ledger_rule(key, tracked)) else {
            return TurnTaken::NothingDue;
        };
        let soon = TurnTaken::Wait(now.checked_add(STALE_RECHECK).unwrap_or(now));
        let Some(turn) = self.turns.get_mut(key) else { return TurnTaken::NothingDue };
        if tracked.awaits_somebody(now) {
            turn.freedom.shut(Shut::UntilLet);
        }
        if tracked.verdict != AuthorVerdict::Allowed {
            return soon;
        }
        let release = next_release(observed, turn, key);
        if let Some(hold) = turn.not_before.filter(|hold| *hold > now && release.is_none_or(|at| at > now)) {
            return TurnTaken::Wait(hold);
        }
        if turn.in_flight >= policy.batch_size {
            return TurnTaken::Busy;
        }
        let mut gate = observed.gate_of(key, now);
        if gate == Gate::AwaitingApproval && policy.is_approved(now) {
            // The approval was dated a little ahead of our clock, and counts by now.
            observed.accept(key, now);
            gate = observed.gate_of(key, now);
        }
        if gate == Gate::AwaitingApproval {
            // Either a listing is awaited, which wakes it, or somebody.
            return soon;
        }
        let job = match self.find_job(observed, &policy, gate, now) {
            Ok(job) => job,
            Err(TurnTaken::NothingDue) if is_stale(observed, &policy) => return soon,
            Err(taken) => return taken,
        };
        self.start(observed, &policy, (job, rule, epoch.clone()), now)
    }

    /// What a policy does next: takes its finalizer off an object that it has deleted, tells one that it goes, or deletes one.
    fn find_job(
        &mut self,
        observed: &mut Observed,
        policy: &Policy,
        gate: Gate,
        now: Timestamp,
    ) -> Result<Job, TurnTaken> {
        let (key, steady) = (&policy.key, self.clock.steady());
        let base = if policy.budget.is_share() { observed.base_of(key) } else { 0 };
        let limit = policy.budget.limit(base);
        let due_at = earliest(observed, key, |ground| ground.next_due(key)).filter(|at| *at <= now);
        let turn = self.turns.get_mut(key).ok_or(TurnTaken::NothingDue)?;
        let slot = match turn.rate.take(now) {
            Ok(slot) => slot,
            Err(Exhausted::Until(at)) => return Err(TurnTaken::Wait(at)),
            Err(Exhausted::InFlight) => return Err(TurnTaken::Full),
        };
        if policy.finalizer.is_some()
            && turn.release_not_before.is_none_or(|hold| hold <= now)
            && let Some((plot, resource, due)) = take(observed, policy, turn, now, gc::Ground::take_release)
        {
            return Ok(Job { due, plot, resource, slot, charge: Charge::Approved });
        }
        if let Some(hold) = turn.not_before.filter(|hold| *hold > now) {
            turn.rate.give_back(slot);
            return Err(TurnTaken::Wait(hold));
        }
        if policy.notice.is_some()
            && let Some((plot, resource, due)) = take(observed, policy, turn, now, gc::Ground::take_notice)
        {
            return Ok(Job { due, plot, resource, slot, charge: Charge::Approved });
        }
        if due_at.is_none() {
            turn.rate.give_back(slot);
            return Err(TurnTaken::NothingDue);
        }
        if policy.finalizer.is_some() && has_its_hands_full(observed, turn, key) {
            // What is deleted has to find its place in the status, which is the proof that it was this policy.
            turn.rate.give_back(slot);
            return Err(TurnTaken::Wait(now.checked_add(STALE_RECHECK).unwrap_or(now)));
        }
        if let Gate::OutsideWindow { opens_at } = gate {
            turn.freedom.shut(Shut::Until(opens_at));
            turn.rate.give_back(slot);
            return Err(TurnTaken::Wait(opens_at));
        }
        let is_approved = policy.approved_until(now).zip(due_at).is_some_and(|(until, due)| due <= until);
        if !is_approved && observed.is_counting(policy) {
            // Of how many objects the budget is a share will be known soon.
            turn.rate.give_back(slot);
            observed.count_missing(policy);
            return Err(TurnTaken::Wait(now.checked_add(STALE_RECHECK).unwrap_or(now)));
        }
        let charge = if is_approved { Ok(Charge::Approved) } else { turn.spend(limit, steady) };
        let charge = match charge {
            Ok(charge) => charge,
            Err(unspent) => {
                turn.rate.give_back(slot);
                if matches!(unspent, Unspent::Exceeded(_)) {
                    observed.count_again(policy, now);
                }
                return Err(self.wait_for_budget(key, unspent, now));
            }
        };
        let mut put_back = false;
        // The grounds take turns: the object that the approval was looked at for is found in one of them.
        for _ in 0..policy.targets.len() {
            let Some((plot, resource, mut due)) = take(observed, policy, turn, now, gc::Ground::take_due)
            else {
                break;
            };
            let covered = matches!(charge, Charge::Charged(_))
                || policy.approved_until(now).is_some_and(|until| due.since <= until);
            // What fell due after the approval counts against the budget as if there were none.
            let charge = if covered { Some(charge) } else { turn.spend(limit, steady).ok() };
            if let Some(charge) = charge {
                turn.freedom.open(now);
                due.free_since = turn.freedom.free_since(due.free_since);
                return Ok(Job { due, plot, resource, slot, charge });
            }
            if let Some(ground) = observed.ground_mut(plot) {
                ground.settle(&due, Settled::NotBefore(now), now);
            }
            put_back = true;
        }
        turn.unspend(charge);
        turn.rate.give_back(slot);
        let soon = TurnTaken::Wait(now.checked_add(STALE_RECHECK).unwrap_or(now));
        Err(if put_back { soon } else { TurnTaken::NothingDue })
    }

    fn wait_for_budget(&mut self, key: &NamespacedName, unspent: Unspent, now: Timestamp) -> TurnTaken {
        let later = |pause: Duration| now.checked_add(pause).unwrap_or(Timestamp::MAX);
        match unspent {
            Unspent::Exceeded(pause) => {
                if let Some(turn) = self.turns.get_mut(key) {
                    turn.freedom.shut(pause.map_or(Shut::UntilLet, |pause| Shut::Until(later(pause))));
                }
                TurnTaken::Wait(later(pause.map_or(BUDGET_RECHECK, |pause| pause.min(BUDGET_RECHECK))))
            }
            Unspent::Unsecured => {
                self.unsecured.push(key.clone());
                // The watch shows the status once it is written, and wakes the policy; this is for the case that it does not.
                TurnTaken::Wait(later(STALE_RECHECK))
            }
        }
    }

    fn start(
        &mut self,
        observed: &mut Observed,
        policy: &Arc<Policy>,
        (job, rule, epoch): (Job, LedgerRule, Epoch),
        now: Timestamp,
    ) -> TurnTaken {
        let Job { due, plot, resource, slot, charge } = job;
        let Some(target) = target(policy, resource, &due) else {
            self.put_back(observed, policy, (&due, plot, charge), now);
            return TurnTaken::NothingDue;
        };
        let trace = Trace::begin("object due").about("gc", &policy.key);
        let prove = || self.actuator.prove(target, slot, epoch, grounds(policy, rule, (&due, charge), now));
        match trace.step("decide").in_scope(prove) {
            Ok(warrant) => self.act(policy, warrant, (due, plot, charge, trace)),
            Err(objection) if objection.refused == Refused::NotLeading => {
                self.put_back(observed, policy, (&due, plot, charge), now);
                return TurnTaken::Full;
            }
            Err(objection) => self.object_to(policy, objection, (due, plot, charge, trace)),
        }
        if let Some(turn) = self.turns.get_mut(&policy.key) {
            turn.in_flight += 1;
        }
        TurnTaken::Launched
    }

    /// Nothing was done with a job.
    fn put_back(
        &mut self,
        observed: &mut Observed,
        policy: &Policy,
        job: (&Due, PlotId, Charge),
        now: Timestamp,
    ) {
        let (due, plot, charge) = job;
        if let Some(ground) = observed.ground_mut(plot) {
            ground.settle(due, Settled::NotBefore(now), now);
        }
        if let Some(turn) = self.turns.get_mut(&policy.key) {
            turn.unspend(charge);
        }
    }

    fn act(&mut self, policy: &Arc<Policy>, warrant: Warrant, about: (Due, PlotId, Charge, Trace)) {
        let (due, plot, charge, trace) = about;
        let call =
            carry_out(self.actuator.clone(), warrant, act(policy, &due)).instrument(trace.step("apply"));
        let policy = policy.key.clone();
        self.in_flight.spawn(async move {
            let (outcome, took) = call.await;
            Done { policy, due, plot, charge, outcome, answered_at: Took(took), trace }
        });
    }

    /// The engine has let through what the rails keep: that is our fault, and the object's luck.
    fn object_to(
        &mut self,
        policy: &Arc<Policy>,
        objection: Box<Objection>,
        about: (Due, PlotId, Charge, Trace),
    ) {
        let (due, plot, charge, trace) = about;
        tracing::error!(policy = %policy.key, object = %due.name, reason = %objection.refused, "a deletion was refused; please report this");
        let (actuator, act, policy) = (self.actuator.clone(), act(policy, &due), policy.key.clone());
        self.in_flight.spawn(async move {
            let outcome = actuator.record(objection, &act).await;
            Done { policy, due, plot, charge, outcome, answered_at: Took(Duration::ZERO), trace }
        });
    }

    /// The next act that has been answered; never, while there are none.
    pub(super) async fn next_done(&mut self) -> Option<Done> {
        if self.in_flight.is_empty() {
            return pending().await;
        }
        self.next_in_flight().await
    }

    /// The next act that has been answered; none, when there are none.
    pub(super) async fn next_in_flight(&mut self) -> Option<Done> {
        loop {
            if let Some(done) = unbroken(self.in_flight.join_next().await?) {
                return Some(done);
            }
        }
    }

    /// The next act that has been answered by now; none, if nobody has more to tell yet.
    pub(super) fn try_next_done(&mut self) -> Option<Done> {
        loop {
            if let Some(done) = unbroken(self.in_flight.try_join_next()?) {
                return Some(done);
            }
        }
    }

    /// Takes in how an act went.
    pub(super) fn settle(&mut self, observed: &mut Observed, done: &Done, now: Timestamp) {
        let Done { policy, due, plot, charge, outcome, answered_at: Took(took), trace } = done;
        let _trace = trace.span().enter();
        let settled = self.judge(policy, (outcome, due.step), *charge, now);
        if let Some(ground) = observed.ground_mut(*plot) {
            // An answer that was lost proves nothing: somebody else may have deleted it meanwhile.
            if due.step == Step::Delete && due.is_held && matches!(outcome, Outcome::Accepted) {
                ground.entrust(policy, ward(due), now);
            }
            ground.settle(due, settled, now);
        }
        match due.step {
            Step::Delete => {}
            Step::Notify { deletes_at } => return tell_notice(done, deletes_at),
            Step::Release => {
                let removal = labels(policy, removal_label(outcome.label()));
                self.metrics.count(MetricName::GcFinalizersRemoved, &removal);
                return tell_release(done);
            }
        }
        let late = Duration::try_from(now.duration_since(due.free_since)).unwrap_or_default();
        self.metrics.observe(MetricName::GcDeletionDuration, took.as_secs_f64());
        if let Some(turn) = self.turns.get_mut(policy) {
            let failed = matches!(outcome, Outcome::Failed(_) | Outcome::Denied(_) | Outcome::Unrecorded(_));
            if let Some(kind) = observed.kind_of(*plot) {
                self.old.deletion(policy, kind, (*took, done.deleted().is_some(), failed));
            }
            self.metrics.count(MetricName::GcDeletions, &labels(policy, outcome.label()));
            if done.deleted().is_some() {
                turn.was_late(late);
            }
        }
        if done.deleted().is_some() {
            self.metrics.observe(MetricName::GcDeletionLateness, late.as_secs_f64());
        }
        tell(done, late);
    }

    /// What the answer means for the object, and for its policy.
    fn judge(
        &mut self,
        policy: &NamespacedName,
        (outcome, step): (&Outcome, Step),
        charge: Charge,
        now: Timestamp,
    ) -> Settled {
        let later = |pause: Duration| now.checked_add(pause).unwrap_or(Timestamp::MAX);
        let was_done = matches!(outcome, Outcome::Accepted | Outcome::FoundDone(_));
        let is_over = was_done || matches!(outcome, Outcome::Gone);
        let Some(turn) = self.turns.get_mut(policy) else {
            return if is_over { Settled::Done } else { Settled::NotBefore(now) };
        };
        turn.in_flight = turn.in_flight.saturating_sub(1);
        if step == Step::Release {
            return turn.judge_release(outcome, now);
        }
        // What may have been done counts.
        if !was_done && !matches!(outcome, Outcome::Failed(_) | Outcome::CutOff) {
            turn.unspend(charge);
        }
        if is_over {
            turn.backoff.reset();
            (turn.denied, turn.not_before) = (None, None);
            return Settled::Done;
        }
        let hold = match outcome {
            Outcome::Changed => return Settled::Changed,
            // Whoever leads next judges it again.
            Outcome::Fenced | Outcome::CutOff => return Settled::NotBefore(now),
            Outcome::Throttled(wait) | Outcome::Blocked { retry_after: wait, .. } => later(*wait),
            Outcome::Denied(error) => {
                let verb = if step == Step::Delete { "delete" } else { "patch" };
                turn.denied = Some(Denial { verb, message: error.to_string() });
                let pause = turn.backoff.after_failure();
                later(if Mutant::DeniedRetriedAtOnce.is_on() { Duration::ZERO } else { pause })
            }
            Outcome::Refused(_) => return Settled::NotBefore(later(HOLD_MAX)),
            _ => later(turn.backoff.after_failure()),
        };
        turn.not_before = turn.not_before.max(Some(hold));
        Settled::NotBefore(hold)
    }
}

/// Whether the status says that the policy, in this form, deletes what is due: then it may have done so ever since, also
/// while nobody was here to do it.
fn was_collecting(tracked: &Tracked) -> bool {
    let GarbageCollectionPolicyStatus { observed_generation, conditions, .. } = &tracked.status;
    let is_ready = |condition: &api::Condition| {
        condition.type_ == ConditionType::Ready.name() && condition.reason == GcReason::Collecting.name()
    };
    *observed_generation == tracked.generation && conditions.iter().any(is_ready)
}

/// What a task has come to, unless it broke.
fn unbroken(joined: Result<Done, JoinError>) -> Option<Done> {
    joined
        .inspect_err(|error| {
            tracing::error!(%error, "a deletion's task broke; its object is left alone until it changes");
        })
        .ok()
}

/// What of the budget may have been spent by whoever led last, as the status says.
fn spent_before(tracked: &Tracked) -> u64 {
    let used = tracked.status.budget.as_ref().and_then(|budget| u64::try_from(budget.used).ok()).unwrap_or(0);
    used.max(reserved(tracked))
}

/// How much the status says may be used of the budget.
fn reserved(tracked: &Tracked) -> u64 {
    tracked.status.budget.as_ref().and_then(|budget| u64::try_from(budget.reserved).ok()).unwrap_or(0)
}

/// The earliest of what all grounds of a policy say.
fn earliest(
    observed: &Observed,
    key: &NamespacedName,
    of: impl Fn(&gc::Ground) -> Option<Timestamp>,
) -> Option<Timestamp> {
    observed.plots_of(key).filter_map(|plot| of(&plot.ground)).min()
}

/// When a policy's finalizer is to be taken off something next.
fn next_release(observed: &Observed, turn: &Turn, key: &NamespacedName) -> Option<Timestamp> {
    let next = earliest(observed, key, |ground| ground.next_release(key))?;
    Some(turn.release_not_before.map_or(next, |hold| next.max(hold)))
}

/// Whether as many objects of a policy hang on its finalizer, or soon may, as its status has room for.
fn has_its_hands_full(observed: &Observed, turn: &Turn, key: &NamespacedName) -> bool {
    let wards: usize = observed.plots_of(key).map(|plot| plot.ground.wards(key).count()).sum();
    let under_way = usize::try_from(turn.in_flight).unwrap_or(usize::MAX);
    wards.saturating_add(under_way) >= FINALIZING_MAX
}

fn ward(due: &Due) -> Ward {
    Ward { namespace: Arc::clone(&due.namespace), name: due.name.clone(), uid: due.uid.clone() }
}

/// Judges anew what a policy has to judge by now, or some of it: then it is woken again at once.
fn recheck(observed: &mut Observed, key: &NamespacedName, patience: &Patience, now: Timestamp) {
    let turn = patience.turn();
    for id in observed.plot_ids_of(key) {
        if let Some(ground) = observed.ground_mut(id) {
            ground.recheck_while(key, now, || turn.lasts() && patience.lasts());
        }
    }
}

/// Whether something is due that cannot be relied on now.
fn is_stale(observed: &Observed, policy: &Policy) -> bool {
    observed.plot_ids_of(&policy.key).into_iter().any(|id| observed.reliable(id, policy).is_none())
}

/// Takes something from the grounds of a policy that can be relied on; the grounds take turns.
fn take(
    observed: &mut Observed,
    policy: &Policy,
    turn: &mut Turn,
    now: Timestamp,
    from: impl Fn(&mut gc::Ground, &NamespacedName, Timestamp) -> Option<Due>,
) -> Option<(PlotId, Arc<Resource>, Due)> {
    let mut ids = observed.plot_ids_of(&policy.key);
    ids.sort_unstable();
    ids.dedup();
    let after_last = ids.iter().position(|id| turn.last_plot.is_none_or(|last| *id > last)).unwrap_or(0);
    ids.rotate_left(after_last);
    for id in ids {
        let Some(resource) = observed.reliable(id, policy).cloned() else { continue };
        let Some(due) = observed.ground_mut(id).and_then(|ground| from(ground, &policy.key, now)) else {
            continue;
        };
        turn.last_plot = Some(id);
        return Some((id, resource, due));
    }
    None
}

/// Acts, and says how long it took.
#[allow(clippy::disallowed_methods, reason = "measures a duration; no decision rests on it")]
async fn carry_out(actuator: Actuator, warrant: Warrant, act: Act) -> (Outcome, Duration) {
    let started = tokio::time::Instant::now();
    let outcome = Box::pin(actuator.carry_out(warrant, act)).await;
    (outcome, started.elapsed())
}

fn act(policy: &Policy, due: &Due) -> Act {
    match due.step {
        Step::Delete => Act::Delete(Manner {
            propagation: policy.propagation.name(),
            grace_period_seconds: policy.grace_period_seconds,
        }),
        Step::Notify { .. } => {
            Act::Notify { annotation: (NOTICE_ANNOTATION, due.note().unwrap_or_default()) }
        }
        // Only a policy that names a finalizer is given such a step.
        Step::Release => Act::Release(policy.finalizer.as_ref().map(ToString::to_string).unwrap_or_default()),
    }
}

/// None if the account that the policy acts as is not one: then nobody's rights will do.
fn target(policy: &Policy, resource: Arc<Resource>, due: &Due) -> Option<Target> {
    let account = |account: &NamespacedName| ServiceAccountName::new(&account.namespace, &account.name);
    // What is out of sight is judged by what cannot change: who deleted it, and that it is being deleted.
    let is_out_of_sight = due.step == Step::Release && due.resource_version.to_string().is_empty();
    Some(Target {
        resource,
        namespace: due.namespace.to_string(),
        name: due.name.clone(),
        uid: due.uid.clone(),
        resource_version: (!is_out_of_sight).then(|| due.resource_version.clone()),
        act_as: policy.acts_as.as_ref().map(account).transpose().ok()?,
    })
}

fn tell(done: &Done, late: Duration) {
    let Done { policy, due, outcome, .. } = done;
    let (object, namespace, late) = (&due.name, &due.namespace, late.as_secs_f64());
    match outcome {
        Outcome::Accepted | Outcome::FoundDone(_) => {
            tracing::info!(%policy, %namespace, %object, uid = %due.uid, lateness_seconds = late, "deleted");
        }
        Outcome::Throttled(wait) | Outcome::Blocked { retry_after: wait, .. } => {
            tracing::warn!(%policy, %namespace, %object, wait_seconds = wait.as_secs_f64(), "the API server is busy");
        }
        Outcome::Denied(error) | Outcome::Failed(error) => {
            tracing::warn!(%policy, %namespace, %object, outcome = outcome.label(), %error, "not deleted");
        }
        Outcome::Unrecorded(reason) => {
            tracing::warn!(%policy, %namespace, %object, reason, "not deleted: it could not be recorded first");
        }
        _ => tracing::debug!(%policy, %namespace, %object, outcome = outcome.label(), "not deleted"),
    }
}

fn tell_notice(done: &Done, deletes_at: Timestamp) {
    let Done { policy, due, outcome, .. } = done;
    let (object, namespace) = (&due.name, &due.namespace);
    match outcome {
        Outcome::Accepted => tracing::info!(%policy, %namespace, %object, %deletes_at, "told that it goes"),
        Outcome::Denied(error) | Outcome::Failed(error) => {
            tracing::warn!(%policy, %namespace, %object, outcome = outcome.label(), %error, "not told that it goes");
        }
        _ => {
            tracing::debug!(%policy, %namespace, %object, outcome = outcome.label(), "not told that it goes");
        }
    }
}

fn tell_release(done: &Done) {
    let Done { policy, due, outcome, .. } = done;
    let (object, namespace) = (&due.name, &due.namespace);
    match outcome {
        Outcome::Accepted => {
            tracing::info!(%policy, %namespace, %object, uid = %due.uid, "the policy's finalizer is off");
        }
        Outcome::Denied(error) | Outcome::Failed(error) => {
            tracing::warn!(%policy, %namespace, %object, outcome = outcome.label(), %error, "the policy's finalizer stays on");
        }
        _ => {
            tracing::debug!(%policy, %namespace, %object, outcome = outcome.label(), "the policy's finalizer was not taken off");
        }
    }
}

/// The metric label of what became of taking a finalizer off.
fn removal_label(outcome: &'static str) -> &'static str {
    if outcome == "deleted" { "removed" } else { outcome }
}

fn labels<'a>(key: &'a NamespacedName, outcome: &'a str) -> [(&'static str, &'a str); 3] {
    [("policy_namespace", &key.namespace), ("policy_name", &key.name), ("outcome", outcome)]
}

/// The rule by which a policy's objects go, in the form that is acted on.
fn ledger_rule(key: &NamespacedName, tracked: &Tracked) -> LedgerRule {
    let generation = tracked.generation.unwrap_or_default();
    LedgerRule { policy: key.to_string(), uid: tracked.uid.to_string(), generation }
}

/// What a deletion rests on.
fn grounds(policy: &Policy, rule: LedgerRule, (due, charge): (&Due, Charge), now: Timestamp) -> Grounds {
    if due.step == Step::Release {
        let evidence = Evidence::default()
            .with("deletedBy", "this policy")
            .with("finalizer", policy.finalizer.as_ref().map(ToString::to_string).unwrap_or_default())
            .with("specHash", &policy.spec_hash);
        return collecting(rule, evidence, policy);
    }
    let mut evidence = Evidence::default()
        .with("dueSince", due.since)
        .with("when", policy.when_text())
        .with("selector", policy.selector_text(due.target))
        .with("specHash", &policy.spec_hash);
    let is_by_approval = charge == Charge::Approved && due.step == Step::Delete;
    if let Some(approved_at) = policy.approved_until(now).filter(|_| is_by_approval) {
        evidence = evidence.with("approvedAt", approved_at);
    }
    collecting(rule, evidence, policy)
}

fn collecting(rule: LedgerRule, evidence: Evidence, policy: &Policy) -> Grounds {
    let (unlocked, purpose) = (policy.unlocked.clone(), Purpose::Collection);
    Grounds { controller: "gc", rule, evidence, unlocked, purpose }
}
