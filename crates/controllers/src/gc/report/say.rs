//! What is to be said of a policy: pure.

use api::{ConditionStatus, ConditionType, EventReason, GarbageCollectionPolicyStatus, GcReason};
use chassis::{Event, EventType, Regarding};
use jiff::Timestamp;

use super::board::{Seen, Snapshot, Tally};
use super::conditions::{Situation, conditions};
use super::{after, whole_second};
use crate::gc::limits::DELETION_EVENT_INTERVAL;

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
    GarbageCollectionPolicyStatus {
        observed_generation: seen.generation,
        matched: seen.counts.matched,
        pending: seen.counts.pending,
        deleted: tally.deleted,
        protected: seen.counts.protected,
        next_expiry: seen.next_expiry.and_then(whole_second),
        last_deletion: tally.last_deletion.and_then(whole_second),
        conditions: conditions(situation, &before.conditions, seen.generation, now),
    }
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
        kind: "GarbageCollectionPolicy".to_owned(),
        namespace: snapshot.key.namespace.clone(),
        name: snapshot.key.name.clone(),
        uid: snapshot.seen.uid.to_string(),
    };
    Event { regarding, related: None, type_, reason, action, note, at }
}

/// `deleted 7 ConfigMap objects whose time was up: a, b, c, d, e and 2 more`.
fn tell(tally: &Tally, seen: &Seen) -> String {
    let kind = seen.spec.as_ref().map_or("object", |policy| policy.target.kind.as_str());
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
