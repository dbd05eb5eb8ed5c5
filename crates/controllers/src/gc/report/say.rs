//! What is to be said of a policy: pure.

use std::time::Duration;

use api::garbage_collection::{BudgetUse, ReasonCount};
use api::{ConditionStatus, ConditionType, EventReason, GarbageCollectionPolicyStatus, GcReason};
use chassis::{Event, EventType, Regarding};
use gc::{Bucket, Due, End, Gate, Mode, Policy};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use units::{GroupVersionKind, NamespacedName};

use super::board::{Seen, Snapshot, Tally};
use super::conditions::{Situation, conditions};
use super::{after, whole_second};
use crate::gc::limits::DELETION_EVENT_INTERVAL;
use crate::gc::observe::PolicyKind;

/// What is to be said of a policy, and what only to be noted.
#[derive(Clone, Debug)]
pub(in super::super) struct Said {
    pub(super) snapshot: Snapshot,
    pub(super) reason: GcReason,
    /// The status that the policy should have now.
    pub(super) status: GarbageCollectionPolicyStatus,
    pub(super) events: Vec<Event>,
    /// How many deletions the events tell of.
    pub(super) told: u64,
    /// When deletions that are untold yet may be told of.
    pub(super) tell_at: Option<Timestamp>,
    pub(super) at: Timestamp,
}

/// Decides what is to be said.
pub(super) fn say(snapshot: &Snapshot, now: Timestamp) -> Said {
    let Snapshot { seen, status: before, tally, .. } = snapshot;
    let situation = Situation::of(seen);
    let status = status(snapshot, &situation, now);
    let mut events = Vec::new();
    if let Some((type_, reason, message)) = turned(before, &status) {
        events.push(event(snapshot, type_, reason, "Observe", message, now));
    }
    let may_tell = |last: Timestamp| seen.is_last || after(last, DELETION_EVENT_INTERVAL) <= now;
    let tells = tally.untold > 0 && tally.told_at.is_none_or(may_tell);
    if tells {
        let (reason, action) = (EventReason::Deleted.name(), EventReason::Deleted.action());
        events.push(event(snapshot, EventType::Normal, reason, action, tell(tally, seen), now));
    }
    let tell_at = tally.told_at.filter(|_| tally.untold > 0 && !tells);
    Said {
        snapshot: snapshot.clone(),
        reason: situation.reason(),
        status,
        events,
        told: if tells { tally.untold } else { 0 },
        tell_at: tell_at.map(|last| after(last, DELETION_EVENT_INTERVAL)),
        at: now,
    }
}

/// The status that a policy should have now.
fn status(snapshot: &Snapshot, situation: &Situation, now: Timestamp) -> GarbageCollectionPolicyStatus {
    let Snapshot { seen, status: before, tally, .. } = snapshot;
    let (counts, policy) = (&seen.counts, seen.spec.as_ref().ok());
    GarbageCollectionPolicyStatus {
        observed_generation: seen.generation,
        matched: counts.matched(),
        pending: counts.of(Bucket::Pending),
        deleted: tally.deleted,
        protected: counts.of(Bucket::Protected),
        unresolvable: counts.of(Bucket::Unresolvable),
        reasons: reasons(seen),
        next_expiry: seen.next_expiry.and_then(whole_second),
        last_deletion: tally.last_deletion.and_then(whole_second),
        last_run: last_run(seen, before),
        lateness: seen.lateness.clone().or_else(|| before.lateness.clone()),
        target: policy.map(|policy| policy.target_text()),
        when: policy.map(|policy| policy.when_text().to_owned()),
        spec_hash: policy.map(|policy| policy.spec_hash.to_string()),
        accepted: seen.acceptance.accepted().cloned(),
        budget: policy.filter(|policy| policy.budget.is_limited()).map(|policy| budget(seen, policy)),
        // What cannot be understood for now may be mended, and goes on with what it has done.
        finalizing: if policy.is_some() { seen.finalizing.clone() } else { before.finalizing.clone() },
        conditions: conditions(seen, situation, &before.conditions, now),
    }
}

/// When all objects were last looked at together. Only what comes of the policy itself is told: that another one begins their
/// watch anew, or that a watch breaks, is no news of it, and changes its status as little as it changes what it does.
fn last_run(seen: &Seen, before: &GarbageCollectionPolicyStatus) -> Option<Time> {
    let listed_at = seen.listed_at?;
    let told = before.last_run.as_ref().filter(|_| before.observed_generation == seen.generation);
    let interval = seen.spec.as_ref().map_or(Duration::ZERO, |policy| policy.evaluation_interval);
    match told {
        Some(told) if !is_news(told.0, listed_at, interval) => Some(told.clone()),
        _ => whole_second(listed_at),
    }
}

/// Whether a listing is one that the interval asks for: those lie more than half of it apart.
fn is_news(told: Timestamp, listed_at: Timestamp, interval: Duration) -> bool {
    listed_at >= after(told, interval / 2)
}

/// Objects by the reason that a plan would give; what is due and what is not are told apart.
fn reasons(seen: &Seen) -> Vec<ReasonCount> {
    let due = i64::try_from(seen.due).unwrap_or(i64::MAX);
    let pending = seen.counts.of(Bucket::Pending);
    let others = Bucket::ALL.into_iter().filter(|bucket| *bucket != Bucket::Pending);
    let others = others.map(|bucket| (reason_of(bucket, seen), seen.counts.of(bucket)));
    let counts =
        [(due_reason(seen), due.min(pending)), ("NotYet", (pending - due).max(0))].into_iter().chain(others);
    let counts = counts.filter(|(_, count)| *count > 0);
    counts.map(|(reason, count)| ReasonCount { reason: reason.to_owned(), count }).collect()
}

fn reason_of(bucket: Bucket, seen: &Seen) -> &'static str {
    let kept = seen.spec.as_ref().ok().filter(|_| bucket == Bucket::Ranked).and_then(|policy| policy.keeps());
    kept.map_or_else(|| bucket.reason(), End::reason)
}

/// Why what is due is still there.
fn due_reason(seen: &Seen) -> &'static str {
    match (&seen.spec, seen.gate) {
        (Ok(policy), _) if policy.mode == Mode::Paused => "Paused",
        (_, Gate::Open) if seen.budget.exceeded => Gate::OverBudget.reason(),
        (_, Gate::Open) => "Expired",
        (_, gate) => gate.reason(),
    }
}

fn budget(seen: &Seen, policy: &Policy) -> BudgetUse {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    BudgetUse {
        base: number(seen.budget.base),
        limit: number(policy.budget.limit(seen.budget.base)),
        used: number(seen.budget.spent),
        reserved: number(seen.budget.reserved),
    }
}

/// What is said at an object that was told that it goes.
pub(in super::super) fn notice(
    policy: &NamespacedName,
    kind: &GroupVersionKind,
    due: &Due,
    deletes_at: Timestamp,
    now: Timestamp,
) -> Event {
    let regarding = Regarding {
        api_version: kind.api_version.to_string(),
        kind: kind.kind.clone(),
        namespace: due.namespace.to_string(),
        name: due.name.to_string(),
        uid: due.uid.to_string(),
    };
    let (reason, action) = (EventReason::DeletionNotice.name(), EventReason::DeletionNotice.action());
    let note = format!(
        "policy {policy} will delete it at {deletes_at}; the annotation groundskeeper.dev/protect keeps it"
    );
    Event { regarding, related: None, type_: EventType::Normal, reason, action, note, at: now }
}

fn event(
    snapshot: &Snapshot,
    type_: EventType,
    reason: &'static str,
    action: &'static str,
    note: String,
    at: Timestamp,
) -> Event {
    let regarding = Regarding {
        api_version: format!("{}/{}", api::GROUP, api::VERSION),
        kind: PolicyKind::of(&snapshot.key).name().to_owned(),
        namespace: snapshot.key.namespace.clone(),
        name: snapshot.key.name.clone(),
        uid: snapshot.seen.uid.to_string(),
    };
    Event { regarding, related: None, type_, reason, action, note, at }
}

/// `deleted 7 ConfigMap objects whose time was up: a, b, c, d, e and 2 more`.
fn tell(tally: &Tally, seen: &Seen) -> String {
    let kind = seen.spec.as_ref().map_or_else(|_| "object".to_owned(), |policy| policy.target_text());
    let (count, names) = (tally.untold, &tally.untold_names);
    let rest = count - u64::try_from(names.len()).unwrap_or(count).min(count);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let objects = if count == 1 { "object" } else { "objects" };
    format!("deleted {count} {kind} {objects} whose time was up: {}{more}", names.join(", "))
}

/// Whether `Ready` has turned, or says something else: what kind of news that is, its reason and its message.
fn turned(
    before: &GarbageCollectionPolicyStatus,
    after: &GarbageCollectionPolicyStatus,
) -> Option<(EventType, &'static str, String)> {
    let find = |status: &GarbageCollectionPolicyStatus, type_: ConditionType| {
        status.conditions.iter().find(|condition| condition.type_ == type_.name()).cloned()
    };
    let ready = find(after, ConditionType::Ready)?;
    let same = |known: api::Condition| known.reason == ready.reason;
    if find(before, ConditionType::Ready).is_some_and(same) || ready.reason == GcReason::Listing.name() {
        return None;
    }
    let stalled =
        find(after, ConditionType::Stalled).is_some_and(|stalled| stalled.status == ConditionStatus::True);
    let type_ = if stalled { EventType::Warning } else { EventType::Normal };
    let reason = GcReason::ALL.into_iter().find(|reason| reason.name() == ready.reason)?;
    Some((type_, reason.name(), ready.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listing_that_the_interval_asks_for_is_news() {
        let is_news = |told, listed| {
            let second = |second| Timestamp::from_second(second).unwrap();
            is_news(second(told), second(listed), Duration::from_hours(1))
        };
        assert!(!is_news(1_000, 1_000) && !is_news(1_000, 2_799));
        assert!(is_news(1_000, 2_800) && is_news(1_000, 4_600));
        assert!(!is_news(1_000, 900), "whoever led before has looked later");
    }
}
