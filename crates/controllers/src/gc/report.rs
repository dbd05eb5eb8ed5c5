//! What users see of a policy: status, events, metrics.
//!
//! A change marks its policy; a little later one report says everything that changed. A status is written only if it
//! differs from what the cluster holds, and an event is sent only for what is new.

mod conditions;

use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::time::Duration;

use api::{ConditionStatus, ConditionType, EventReason, GarbageCollectionPolicyStatus, GcReason};
use chassis::{
    ApiError, Class, Classify, Event, EventType, MetricName, Metrics, Recorder, Regarding, write_status,
};
use control::{Clock, Timers};
use gc::Mode;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use tokio::task::JoinSet;
use units::{NamespacedName, Uid};

use self::conditions::{Situation, conditions};
use super::apply::Deletions;
use super::limits::{
    DELETION_EVENT_INTERVAL, DRY_RUN_COUNT_MAX, EVENT_NAMES_MAX, REPORT_DELAY, REPORT_INTERVAL, REPORT_RETRY,
    REPORTS_IN_FLIGHT_MAX,
};
use super::observe::{Observed, Plot, Tracked};

/// All reports, due and under way.
pub(super) struct Reports {
    client: Client,
    recorder: Recorder,
    metrics: Metrics,
    tallies: HashMap<NamespacedName, Tally>,
    due: Timers<NamespacedName>,
    writes: JoinSet<Written>,
    reasons: BTreeMap<&'static str, i64>,
}

/// What is remembered of a policy from report to report.
#[derive(Debug, Default)]
struct Tally {
    uid: Option<Uid>,
    deleted: i64,
    last_deletion: Option<Timestamp>,
    /// Deletions that no event has told of yet.
    untold: u64,
    untold_names: Vec<Box<str>>,
    told_at: Option<Timestamp>,
    reported_at: Option<Timestamp>,
    reason: Option<GcReason>,
    writing: bool,
}

/// A status that has been written, or not.
#[derive(Debug)]
pub(super) struct Written {
    key: NamespacedName,
    uid: Uid,
    status: GarbageCollectionPolicyStatus,
    result: Result<(), ApiError>,
}

impl Reports {
    pub(super) fn new(client: Client, recorder: Recorder, metrics: Metrics) -> Self {
        Self {
            client,
            recorder,
            metrics,
            tallies: HashMap::new(),
            due: Timers::default(),
            writes: JoinSet::new(),
            reasons: BTreeMap::new(),
        }
    }

    /// A policy is there; its counts go on from where its status says.
    pub(super) fn admit(&mut self, key: &NamespacedName, tracked: &Tracked) {
        let tally = self.tallies.entry(key.clone()).or_default();
        if tally.uid.as_ref() != Some(&tracked.uid) {
            *tally = Tally {
                uid: Some(tracked.uid.clone()),
                deleted: tracked.status.deleted,
                last_deletion: tracked.status.last_deletion.as_ref().map(|time| time.0),
                ..Tally::default()
            };
        }
    }

    /// A policy is gone.
    pub(super) fn forget(&mut self, key: &NamespacedName) {
        if let Some(reason) = self.tallies.remove(key).and_then(|tally| tally.reason) {
            self.count_reason(reason, -1);
        }
        self.due.set(key, None);
        for state in ["matched", "pending", "protected"] {
            self.metrics.forget(MetricName::GcObjects, &labels(key, state));
        }
    }

    /// Something about a policy has changed.
    pub(super) fn mark(&mut self, key: &NamespacedName, now: Timestamp) {
        let Some(tally) = self.tallies.get(key) else { return };
        let soon = after(now, REPORT_DELAY);
        let at = tally.reported_at.map_or(soon, |last| soon.max(after(last, REPORT_INTERVAL)));
        self.due.set_no_later(key, at);
    }

    /// A deletion was answered; `deleted` says when the object had fallen due, if it was deleted.
    pub(super) fn deletion(
        &mut self,
        key: &NamespacedName,
        name: &str,
        deleted: Option<Timestamp>,
        now: Timestamp,
    ) {
        let (Some(tally), Some(_)) = (self.tallies.get_mut(key), deleted) else { return };
        tally.deleted += 1;
        tally.last_deletion = Some(now);
        tally.untold += 1;
        if tally.untold_names.len() < EVENT_NAMES_MAX {
            tally.untold_names.push(name.into());
        }
    }

    /// When the next report is due.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        if self.writes.len() >= REPORTS_IN_FLIGHT_MAX { None } else { self.due.next() }
    }

    /// Writes the reports that are due.
    pub(super) fn write_due(&mut self, observed: &Observed, deletions: &Deletions, now: Timestamp) {
        while self.writes.len() < REPORTS_IN_FLIGHT_MAX {
            let Some(key) = self.due.pop_due(now) else { return };
            observed.measure();
            self.write(&key, (observed, deletions), now, DELETION_EVENT_INTERVAL);
        }
    }

    /// Writes all reports that say something new, whenever they are due.
    pub(super) fn write_all(&mut self, observed: &Observed, deletions: &Deletions, now: Timestamp) {
        let keys: Vec<_> = observed.policies().map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.write(key, (observed, deletions), now, Duration::ZERO));
    }

    /// The next status that has been written; never, while there are none under way.
    pub(super) async fn next_written(&mut self) -> Option<Written> {
        if self.writes.is_empty() {
            return pending().await;
        }
        self.writes.join_next().await.and_then(Result::ok)
    }

    /// Waits for all statuses that are being written.
    pub(super) async fn wait_all(&mut self, observed: &mut Observed, clock: &dyn Clock) {
        while let Some(written) = self.writes.join_next().await {
            if let Ok(written) = written {
                self.written(observed, written, clock.now());
            }
        }
    }

    /// Takes in that a status has been written, or not.
    pub(super) fn written(&mut self, observed: &mut Observed, written: Written, now: Timestamp) {
        let Written { key, uid, status, result } = written;
        let Some(tally) = self.tallies.get_mut(&key).filter(|tally| tally.uid.as_ref() == Some(&uid)) else {
            return;
        };
        tally.writing = false;
        let outcome = match &result {
            Ok(()) => {
                if let Some(tracked) = observed.policy_mut(&key) {
                    tracked.status = status;
                }
                "written"
            }
            // The policy is gone, or another by now: the watch will say so.
            Err(error) if error.class() == Class::Conflict || error.code() == Some(404) => "conflict",
            Err(error) => {
                tracing::warn!(policy = %key, %error, "a status was not written");
                self.due.set_no_later(&key, after(now, REPORT_RETRY));
                "failed"
            }
        };
        self.metrics.count(MetricName::StatusWrites, &[("outcome", outcome)]);
    }

    fn write(
        &mut self,
        key: &NamespacedName,
        seen: (&Observed, &Deletions),
        now: Timestamp,
        event_interval: Duration,
    ) {
        let (observed, deletions) = seen;
        let (Some(tracked), Some(tally)) = (observed.policy(key), self.tallies.get_mut(key)) else { return };
        if tally.writing {
            self.due.set_no_later(key, after(now, REPORT_DELAY));
            return;
        }
        tally.reported_at = Some(now);
        let plot = observed.plot_of(key);
        let situation = Situation::of(tracked, plot, deletions.denied(key), due_in_dry_run(key, plot, now));
        let status = status(tracked, plot, tally, &situation, now);
        measure(&self.metrics, key, &status);
        let events = tally.events(key, tracked, &status, now, event_interval);
        if tally.untold > 0 {
            self.due.set_no_later(key, tally.told_at.map_or(now, |last| after(last, event_interval)));
        }
        if status != tracked.status {
            tally.writing = true;
            self.writes.spawn(write(self.client.clone(), key.clone(), tracked.uid.clone(), status));
        }
        let (before, reason) = (tally.reason.replace(situation.reason()), situation.reason());
        if before != Some(reason) {
            before.into_iter().for_each(|before| self.count_reason(before, -1));
            self.count_reason(reason, 1);
        }
        events.into_iter().for_each(|event| self.recorder.record(event));
    }

    fn count_reason(&mut self, reason: GcReason, one: i64) {
        let count = self.reasons.entry(reason.name()).or_default();
        *count += one;
        self.metrics.set(MetricName::GcPolicies, &[("reason", reason.name())], *count);
    }
}

async fn write(
    client: Client,
    key: NamespacedName,
    uid: Uid,
    status: GarbageCollectionPolicyStatus,
) -> Written {
    let version = units::ApiVersion { group: api::GROUP.to_owned(), version: api::VERSION.to_owned() };
    // A merge patch removes what is null: fields that have no value any more must say so.
    let patch = serde_json::to_value(&status).map(|mut patch| {
        for field in ["nextExpiry", "lastDeletion", "observedGeneration"] {
            if let Some(patch) = patch.as_object_mut().filter(|patch| !patch.contains_key(field)) {
                patch.insert(field.to_owned(), serde_json::Value::Null);
            }
        }
        patch
    });
    let result = match patch {
        Ok(patch) => write_status(&client, (&version, "garbagecollectionpolicies"), &key, &uid, &patch).await,
        Err(error) => Err(ApiError::Garbled(error.to_string())),
    };
    Written { key, uid, status, result }
}

/// The status that a policy should have now.
fn status(
    tracked: &Tracked,
    plot: Option<&Plot>,
    tally: &Tally,
    situation: &Situation,
    now: Timestamp,
) -> GarbageCollectionPolicyStatus {
    let policy = tracked.spec.as_ref().ok();
    let counts = plot.zip(policy).map(|(plot, policy)| plot.ground.counts(&policy.key)).unwrap_or_default();
    let next = plot.zip(policy).and_then(|(plot, policy)| match policy.mode {
        Mode::Enforce => plot.ground.next_due(&policy.key),
        Mode::DryRun | Mode::Paused => plot.ground.next_due_after(&policy.key, now),
    });
    GarbageCollectionPolicyStatus {
        observed_generation: tracked.generation,
        matched: counts.matched,
        pending: counts.pending,
        deleted: tally.deleted,
        protected: counts.protected,
        next_expiry: next.and_then(whole_second),
        last_deletion: tally.last_deletion.and_then(whole_second),
        conditions: conditions(situation, &tracked.status.conditions, tracked.generation, now),
    }
}

/// Times in a status have a resolution of one second, so that it reads back as it was written.
fn whole_second(at: Timestamp) -> Option<Time> {
    Timestamp::from_second(at.as_second()).ok().map(Time)
}

fn due_in_dry_run(key: &NamespacedName, plot: Option<&Plot>, now: Timestamp) -> usize {
    plot.map_or(0, |plot| plot.ground.due_count(key, now, DRY_RUN_COUNT_MAX))
}

fn measure(metrics: &Metrics, key: &NamespacedName, status: &GarbageCollectionPolicyStatus) {
    let states = [("matched", status.matched), ("pending", status.pending), ("protected", status.protected)];
    for (state, count) in states {
        metrics.set(MetricName::GcObjects, &labels(key, state), count);
    }
}

impl Tally {
    /// What is new since the cluster's status and the last event.
    fn events(
        &mut self,
        key: &NamespacedName,
        tracked: &Tracked,
        status: &GarbageCollectionPolicyStatus,
        now: Timestamp,
        interval: Duration,
    ) -> Vec<Event> {
        let event = |type_, reason, action, note| Event {
            regarding: Regarding {
                api_version: format!("{}/{}", api::GROUP, api::VERSION),
                kind: "GarbageCollectionPolicy".to_owned(),
                namespace: key.namespace.clone(),
                name: key.name.clone(),
                uid: tracked.uid.to_string(),
            },
            related: None,
            type_,
            reason,
            action,
            note,
            at: now,
        };
        let mut events = Vec::new();
        if let Some((stalled, reason, message)) = turned(&tracked.status, status) {
            let type_ = if stalled { EventType::Warning } else { EventType::Normal };
            events.push(event(type_, reason, "Observe", message));
        }
        if self.untold > 0 && self.told_at.is_none_or(|last| after(last, interval) <= now) {
            let kind = tracked.spec.as_ref().map_or("object", |policy| policy.target.kind.as_str());
            events.push(event(
                EventType::Normal,
                EventReason::Deleted.name(),
                EventReason::Deleted.action(),
                self.tell(kind),
            ));
            self.told_at = Some(now);
        }
        events
    }

    /// `deleted 7 ConfigMap objects whose time was up: a, b, c, d, e and 2 more`.
    fn tell(&mut self, kind: &str) -> String {
        let names = std::mem::take(&mut self.untold_names);
        let count = std::mem::take(&mut self.untold);
        let rest = count - u64::try_from(names.len()).unwrap_or(count);
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let objects = if count == 1 { "object" } else { "objects" };
        format!("deleted {count} {kind} {objects} whose time was up: {}{more}", names.join(", "))
    }
}

/// Whether `Ready` has turned, or says something else: whether that is a warning, its reason and its message.
fn turned(
    before: &GarbageCollectionPolicyStatus,
    after: &GarbageCollectionPolicyStatus,
) -> Option<(bool, &'static str, String)> {
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
    let reason = GcReason::ALL.into_iter().find(|reason| reason.name() == ready.reason)?;
    Some((stalled, reason.name(), ready.message))
}

fn after(at: Timestamp, pause: Duration) -> Timestamp {
    at.checked_add(pause).unwrap_or(Timestamp::MAX)
}

fn labels<'a>(key: &'a NamespacedName, state: &'a str) -> [(&'static str, &'a str); 3] {
    [("policy_namespace", &key.namespace), ("policy_name", &key.name), ("state", state)]
}
