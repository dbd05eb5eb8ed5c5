//! What users see of a policy: status, events, metrics.
//!
//! The loop marks a policy when something about it has changed, and posts what it sees of it a little later; the reports
//! are a [`Controller`] of their own, with a policy as their key. A status is written only if it differs from what the
//! cluster holds, and an event is sent only for what is new.

mod board;
mod conditions;
mod say;

use std::collections::HashMap;
use std::time::Duration;

use api::{ConditionType, GarbageCollectionPolicyStatus, GcReason};
use chassis::lease::Epoch;
use chassis::reconcile::{Cause, Controller, Did, Report, Requeue, Work};
use chassis::{ApiError, Class, Classify, MetricName, Metrics, Recorder, write_status};
use control::Timers;
use gc::{Bucket, Counts, Due, Gate, Mode, Policy};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use units::{GroupVersionKind, NamespacedName, ResourceVersion};

use self::board::{Board, BudgetSeen, Seen, Shown, Snapshot};
use self::conditions::Situation;
use self::say::{Said, say};
use super::apply::Deletions;
use super::author::AuthorVerdict;
use super::limits::{DUE_COUNT_MAX, LISTING_UNTOLD_MAX, REPORT_DELAY, REPORT_INTERVAL};
use super::observe::{Observed, PolicyKind, Tracked};
use super::old_metrics::OldMetrics;

/// The loop's side of the reports: what is due to be posted.
pub(super) struct Reports {
    recorder: Recorder,
    board: Board,
    work: Work<NamespacedName>,
    metrics: Metrics,
    due: Timers<NamespacedName>,
    posted: HashMap<NamespacedName, Posted>,
    /// The epoch whose beginning has been seen, if it lasts.
    epoch: Option<u64>,
}

/// What was posted of a policy last.
#[derive(Clone, Copy, Debug)]
struct Posted {
    at: Timestamp,
    /// The generation that was spoken of, once its objects had been read.
    generation: Option<i64>,
    /// Since when its objects are being read anew, which was not posted.
    listing_since: Option<Timestamp>,
}

/// The reports.
pub(super) struct Reporter {
    board: Board,
    work: Work<NamespacedName>,
    client: Client,
    recorder: Recorder,
    metrics: Metrics,
    old: OldMetrics,
}

/// Whether what was seen of a policy may be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Good,
    /// It was seen before this epoch: what was done meanwhile is missing.
    OfAnotherTime,
}

/// Why a report was not made.
#[derive(Debug, thiserror::Error)]
#[error("a status was not written: {0}")]
pub(super) struct Unreported(#[from] ApiError);

impl Classify for Unreported {
    fn class(&self) -> Class {
        match self.0.class() {
            // The next status may be another; nothing that a user edits would make this one right.
            Class::Invalid => Class::Transient,
            class => class,
        }
    }
}

/// The two sides.
pub(super) fn reports(
    client: Client,
    recorder: Recorder,
    metrics: Metrics,
    work: Work<NamespacedName>,
) -> (Reports, Reporter) {
    let board = Board::default();
    let reports = Reports {
        recorder: recorder.clone(),
        board: board.clone(),
        work: work.clone(),
        metrics: metrics.clone(),
        due: Timers::default(),
        posted: HashMap::new(),
        epoch: None,
    };
    let old = OldMetrics::new(metrics.clone());
    (reports, Reporter { board, work, client, recorder, metrics, old })
}

impl Reports {
    /// What is posted from now on may be written in this epoch; in none, before all is seen that was done before it.
    pub(super) fn speak_in(&mut self, epoch: Option<u64>) {
        self.epoch = epoch;
    }

    /// A policy is there, in this form; it counts here if we lead.
    pub(super) fn admit(&mut self, key: &NamespacedName, tracked: &Tracked) {
        let shown = Shown { uid: &tracked.uid, version: tracked.version.as_ref(), status: &tracked.status };
        self.board.shows(key, shown, self.epoch.is_some());
        if let Some(version) = &tracked.version {
            self.work.shows(key, version.clone());
        }
    }

    /// A policy is gone.
    pub(super) fn forget(&mut self, key: &NamespacedName) {
        self.board.forget(key, &self.metrics);
        self.due.set(key, None);
        self.posted.remove(key);
        let own = [("policy_namespace", key.namespace.as_str()), ("policy_name", key.name.as_str())];
        self.metrics.forget(MetricName::GcBudgetUsed, &own);
        self.metrics.forget(MetricName::GcBudgetLimit, &own);
        for state in ["matched", "pending", "protected", "unresolvable"] {
            self.metrics.forget(MetricName::GcObjects, &labels(key, state));
        }
        // It is looked at once more, found gone, and forgotten there as well.
        self.work.add(key, Cause::Edited);
    }

    /// Something about a policy has changed.
    pub(super) fn mark(&mut self, key: &NamespacedName, now: Timestamp) {
        let soon = after(now, REPORT_DELAY);
        let at = self.posted.get(key).map_or(soon, |last| soon.max(after(last.at, REPORT_INTERVAL)));
        self.due.set_no_later(key, at);
    }

    /// An object of a policy was deleted, by us.
    pub(super) fn deleted(&mut self, key: &NamespacedName, name: &str, now: Timestamp) {
        self.board.deleted(key, name, now);
    }

    /// An object was told that it goes: whoever looks at it sees it by an event, too.
    pub(super) fn told(
        &mut self,
        observed: &Observed,
        key: &NamespacedName,
        (due, deletes_at): (&Due, Timestamp),
        now: Timestamp,
    ) {
        let Some(Ok(policy)) = observed.policy(key).map(|tracked| &tracked.spec) else { return };
        let Some(target) = policy.targets.get(due.target) else { return };
        self.recorder.record(say::notice(key, &target.kind, due, deletes_at, now));
    }

    /// When the next posting is due.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.due.next()
    }

    /// Posts what is seen of a policy without delay: its next deletion waits until the status is written.
    pub(super) fn post_now(
        &mut self,
        key: &NamespacedName,
        seen: (&Observed, &mut Deletions),
        now: Timestamp,
    ) {
        self.post(key, seen, now, false);
    }

    /// Posts what is seen of the policies that are due.
    pub(super) fn post_due(&mut self, observed: &Observed, deletions: &mut Deletions, now: Timestamp) {
        while let Some(key) = self.due.pop_due(now) {
            observed.measure();
            deletions.measure();
            self.post(&key, (observed, &mut *deletions), now, false);
        }
    }

    /// Posts what is seen of all policies, for the last time.
    pub(super) fn post_all(&mut self, observed: &Observed, deletions: &mut Deletions, now: Timestamp) {
        let keys: Vec<_> = observed.policies().map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.post(key, (observed, &mut *deletions), now, true));
    }

    fn post(
        &mut self,
        key: &NamespacedName,
        seen: (&Observed, &mut Deletions),
        now: Timestamp,
        is_last: bool,
    ) {
        let (observed, deletions) = seen;
        let Some(tracked) = observed.policy(key) else { return };
        let seen = Seen { epoch: self.epoch, ..see(tracked, key, (observed, deletions), now, is_last) };
        let is_listing = Situation::of(&seen).reason() == GcReason::Listing;
        if is_last && is_listing {
            // We end before we have seen anything: what stands there is better than what we could say.
            return;
        }
        let posted = self.posted.entry(key.clone()).or_insert_with(|| Posted {
            at: now,
            generation: told_before(tracked),
            listing_since: None,
        });
        if !posted.tells(is_listing, seen.generation, now) {
            return self.due.set_no_later(key, after(now, REPORT_INTERVAL));
        }
        self.board.post(key, seen);
        self.work.add(key, if is_last { Cause::Edited } else { Cause::Changed });
    }
}

impl Posted {
    /// Whether what is seen of a policy is to be posted: that its objects are being read again, only if nobody expects it to
    /// be over soon.
    fn tells(&mut self, is_listing: bool, generation: Option<i64>, now: Timestamp) -> bool {
        self.at = now;
        if !is_listing {
            (self.generation, self.listing_since) = (generation, None);
            return true;
        }
        let is_again = self.generation.is_some() && self.generation == generation;
        let since = *self.listing_since.get_or_insert(now);
        !is_again || after(since, LISTING_UNTOLD_MAX) <= now
    }
}

/// The generation of which the status tells how it stands, whoever has written it: a start or a take-over is no news, and
/// should look like none to whoever waits for `Ready`.
fn told_before(tracked: &Tracked) -> Option<i64> {
    let conditions = &tracked.status.conditions;
    let ready = conditions.iter().find(|condition| condition.type_ == ConditionType::Ready.name())?;
    tracked.status.observed_generation.filter(|_| ready.reason != GcReason::Listing.name())
}

/// What the loop sees of a policy.
fn see(
    tracked: &Tracked,
    key: &NamespacedName,
    (observed, deletions): (&Observed, &mut Deletions),
    now: Timestamp,
    is_last: bool,
) -> Seen {
    let policy = tracked.spec.as_ref().ok();
    let mode = policy.map(|policy| policy.mode);
    // What an author may not list is not counted out to them either.
    let hidden = matches!(tracked.verdict, AuthorVerdict::Forbidden(_) | AuthorVerdict::Unknown(_));
    let plots = || observed.plots_of(key).filter(|_| !hidden);
    let earliest =
        |of: &dyn Fn(&gc::Ground) -> Option<Timestamp>| plots().filter_map(|plot| of(&plot.ground)).min();
    let next_expiry = match mode {
        Some(Mode::Enforce) => earliest(&|ground| ground.next_due(key)),
        _ => earliest(&|ground| ground.next_due_after(key, now)),
    };
    let due = plots().map(|plot| plot.ground.due_count(key, now, DUE_COUNT_MAX)).sum();
    let base = if hidden { 0 } else { observed.base_of(key) };
    let gate = observed.gate_of(key, now);
    let acts = mode == Some(Mode::Enforce) && gate == Gate::Open && !is_last;
    let reserved = deletions.reserve(tracked, base, acts.then_some(due));
    let (spent, exceeded) = deletions.spent(key);
    let states =
        policy.map(|policy| observed.plots_of(key).map(|plot| plot.state_of(policy).clone()).collect());
    Seen {
        epoch: None,
        uid: tracked.uid.clone(),
        generation: tracked.generation,
        spec: tracked.spec.clone(),
        plots: states.unwrap_or_default(),
        verdict: tracked.verdict.clone(),
        acceptance: tracked.acceptance.clone(),
        gate,
        targets: policy.map(|policy| targets(policy, observed, hidden)).unwrap_or_default(),
        counts: if hidden { Counts::default() } else { observed.counts_of(key) },
        next_expiry,
        due,
        unresolvable: plots().find_map(|plot| unresolvable(plot, key, now)),
        budget: BudgetSeen { base, spent, reserved, exceeded },
        lateness: deletions.lateness(key),
        listed_at: policy.and_then(|policy| plots().filter_map(|plot| plot.listed_at(policy)).min()),
        denied: deletions.denied(key).cloned(),
        finalizing: observed.wards_of(key),
        held: plots().find_map(|plot| Some(named(plot, plot.ground.held(key, now)?, now))),
        untold: policy.and_then(|policy| plots().find_map(|plot| plot.untold(policy)).cloned()),
        is_last,
    }
}

/// What a policy selects and will delete, by kind.
fn targets(policy: &Policy, observed: &Observed, hidden: bool) -> Vec<(GroupVersionKind, Counts)> {
    let of = |plot: &super::observe::Plot| {
        (plot.kind.clone(), if hidden { Counts::default() } else { plot.ground.counts(&policy.key) })
    };
    observed.plots_of(&policy.key).map(of).collect()
}

/// One object of which it cannot be told when its time is up, and why.
fn unresolvable(plot: &super::observe::Plot, key: &NamespacedName, now: Timestamp) -> Option<String> {
    Some(named(plot, plot.ground.unresolvable(key, now)?, now))
}

/// An object, and what is made of it.
fn named(
    plot: &super::observe::Plot,
    (object, verdict): (&gc::Object, gc::Verdict),
    now: Timestamp,
) -> String {
    let name = NamespacedName::new(&*object.namespace, &*object.name);
    format!("{} {name}: {}", plot.kind.kind, verdict.message(Mode::Enforce, now))
}

impl Controller for Reporter {
    type Key = NamespacedName;
    type Snapshot = Snapshot;
    type Plan = Said;
    type Outcome = Word;
    type Error = Unreported;

    const NAME: &'static str = "garbagecollectionpolicy";

    async fn observe(&self, key: &NamespacedName) -> Result<Option<Snapshot>, Unreported> {
        let snapshot = self.board.read(key);
        if snapshot.is_none() {
            self.old.forget(key);
        }
        Ok(snapshot)
    }

    fn decide(snapshot: &Snapshot, now: Timestamp) -> Said {
        say(snapshot, now)
    }

    /// A policy is only spoken of: its objects are acted on as they fall due, by the collector's loop.
    async fn apply(&self, _: &NamespacedName, said: &Said, epoch: &Epoch) -> Word {
        if said.snapshot.seen.epoch == Some(epoch.number()) { Word::Good } else { Word::OfAnotherTime }
    }

    async fn report(&self, key: &NamespacedName, said: Said, word: Word) -> Result<Report, Unreported> {
        self.measure(key, &said);
        if word == Word::OfAnotherTime {
            // All policies are looked at again when what was done before this epoch has been seen.
            return Ok(Report { requeue: Requeue::AwaitChange, did: Did::Nothing });
        }
        let did = if said.status == said.snapshot.status && said.events.is_empty() {
            Did::Nothing
        } else {
            Did::Something
        };
        if said.status != said.snapshot.status {
            self.write(key, &said).await?;
        }
        said.events.into_iter().for_each(|event| self.recorder.record(event));
        if said.told > 0 {
            self.board.told(key, said.told, said.at);
        }
        let requeue =
            said.tell_at.map_or(Requeue::AwaitChange, |at| Requeue::At(at, "deletions wait to be told of"));
        Ok(Report { requeue, did })
    }
}

impl Reporter {
    fn measure(&self, key: &NamespacedName, said: &Said) {
        let GarbageCollectionPolicyStatus { matched, pending, protected, unresolvable, .. } = said.status;
        let counts = [
            ("matched", matched),
            ("pending", pending),
            ("protected", protected),
            ("unresolvable", unresolvable),
        ];
        for (state, count) in counts {
            self.metrics.set(MetricName::GcObjects, &labels(key, state), count);
        }
        self.board.ready_because(key, said.reason, &self.metrics);
        self.old.phase(key, said.reason);
        for (kind, counts) in &said.snapshot.seen.targets {
            self.old.counts(key, kind, counts.matched(), counts.of(Bucket::Pending));
        }
        let own = [("policy_namespace", key.namespace.as_str()), ("policy_name", key.name.as_str())];
        if let Some(budget) = &said.status.budget {
            self.metrics.set(MetricName::GcBudgetUsed, &own, budget.used);
            self.metrics.set(MetricName::GcBudgetLimit, &own, budget.limit);
        }
    }

    async fn write(&self, key: &NamespacedName, said: &Said) -> Result<(), Unreported> {
        let result = write(&self.client, key, said).await;
        let outcome = match &result {
            Ok(_) => "written",
            // The policy is gone, or another by now: the watch will say so.
            Err(error) if error.class() == Class::Conflict || error.code() == Some(404) => "conflict",
            Err(_) => "failed",
        };
        self.metrics.count(MetricName::StatusWrites, &[("outcome", outcome)]);
        if outcome == "failed" {
            self.old.unreported(key);
        }
        match result {
            Ok(version) => {
                self.board.wrote(key, said, version.clone());
                self.work.wrote(key, version);
                Ok(())
            }
            Err(_) if outcome == "conflict" => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Fields of a status that may have no value.
const OPTIONAL: [&str; 11] = [
    "nextExpiry",
    "lastDeletion",
    "observedGeneration",
    "lastRun",
    "lateness",
    "target",
    "when",
    "specHash",
    "accepted",
    "budget",
    "finalizing",
];

async fn write(client: &Client, key: &NamespacedName, said: &Said) -> Result<ResourceVersion, ApiError> {
    let version = units::ApiVersion { group: api::GROUP.to_owned(), version: api::VERSION.to_owned() };
    // A merge patch removes what is null: fields that have no value any more must say so.
    let mut patch =
        serde_json::to_value(&said.status).map_err(|error| ApiError::Garbled(error.to_string()))?;
    for field in OPTIONAL {
        if let Some(patch) = patch.as_object_mut().filter(|patch| !patch.contains_key(field)) {
            patch.insert(field.to_owned(), serde_json::Value::Null);
        }
    }
    let resource = (&version, PolicyKind::of(key).plural());
    write_status(client, resource, key, &said.snapshot.seen.uid, &patch).await
}

/// Times in a status have a resolution of one second, so that it reads back as it was written.
fn whole_second(at: Timestamp) -> Option<Time> {
    Timestamp::from_second(at.as_second()).ok().map(Time)
}

fn after(at: Timestamp, pause: Duration) -> Timestamp {
    at.checked_add(pause).unwrap_or(Timestamp::MAX)
}

fn labels<'a>(key: &'a NamespacedName, state: &'a str) -> [(&'static str, &'a str); 3] {
    [("policy_namespace", &key.namespace), ("policy_name", &key.name), ("state", state)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn that_objects_are_read_again_is_told_only_if_it_takes_long() {
        let mut posted = Posted { at: second(0), generation: None, listing_since: None };
        assert!(posted.tells(true, Some(1), second(0)), "the first reading is news");
        assert!(posted.tells(false, Some(1), second(1)));
        assert!(!posted.tells(true, Some(1), second(100)), "another policy has begun the watch anew");
        assert!(posted.tells(false, Some(1), second(101)));
        assert!(!posted.tells(true, Some(1), second(200)) && !posted.tells(true, Some(1), second(209)));
        assert!(posted.tells(true, Some(1), second(210)), "it takes long");
        assert!(posted.tells(true, Some(2), second(300)), "the policy was changed");
    }
}
