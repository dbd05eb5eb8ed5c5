//! What users see of a policy: status, events, metrics.
//!
//! The loop marks a policy when something about it has changed, and posts what it sees of it a little later; the reports
//! are a [`Controller`] of their own, with a policy as their key. A status is written only if it differs from what the
//! cluster holds, and an event is sent only for what is new.

mod board;
mod conditions;
mod say;

use std::time::Duration;

use api::{GarbageCollectionPolicyStatus, GcReason};
use chassis::lease::Epoch;
use chassis::reconcile::{Cause, Controller, Did, Report, Requeue, Work};
use chassis::{ApiError, Class, Classify, MetricName, Metrics, Recorder, write_status};
use control::Timers;
use gc::Mode;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use units::{NamespacedName, ResourceVersion};

use self::board::{Board, Seen, Shown, Snapshot};
use self::conditions::Situation;
use self::say::{Said, say};
use super::apply::Deletions;
use super::author::AuthorVerdict;
use super::limits::{DRY_RUN_COUNT_MAX, REPORT_DELAY, REPORT_INTERVAL};
use super::observe::{Observed, Tracked};

/// The loop's side of the reports: what is due to be posted.
pub(super) struct Reports {
    board: Board,
    work: Work<NamespacedName>,
    metrics: Metrics,
    due: Timers<NamespacedName>,
    posted_at: std::collections::HashMap<NamespacedName, Timestamp>,
}

/// The reports.
pub(super) struct Reporter {
    board: Board,
    work: Work<NamespacedName>,
    client: Client,
    recorder: Recorder,
    metrics: Metrics,
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
        board: board.clone(),
        work: work.clone(),
        metrics: metrics.clone(),
        due: Timers::default(),
        posted_at: std::collections::HashMap::new(),
    };
    (reports, Reporter { board, work, client, recorder, metrics })
}

impl Reports {
    /// A policy is there, in this form; it counts here if we lead.
    pub(super) fn admit(&mut self, key: &NamespacedName, tracked: &Tracked, counts_here: bool) {
        let shown = Shown { uid: &tracked.uid, version: tracked.version.as_ref(), status: &tracked.status };
        self.board.shows(key, shown, counts_here);
        if let Some(version) = &tracked.version {
            self.work.shows(key, version.clone());
        }
    }

    /// A policy is gone.
    pub(super) fn forget(&mut self, key: &NamespacedName) {
        self.board.forget(key, &self.metrics);
        self.due.set(key, None);
        self.posted_at.remove(key);
        for state in ["matched", "pending", "protected"] {
            self.metrics.forget(MetricName::GcObjects, &labels(key, state));
        }
        // It is looked at once more, found gone, and forgotten there as well.
        self.work.add(key, Cause::Edited);
    }

    /// Something about a policy has changed.
    pub(super) fn mark(&mut self, key: &NamespacedName, now: Timestamp) {
        let soon = after(now, REPORT_DELAY);
        let at = self.posted_at.get(key).map_or(soon, |last| soon.max(after(*last, REPORT_INTERVAL)));
        self.due.set_no_later(key, at);
    }

    /// An object of a policy was deleted, by us.
    pub(super) fn deleted(&mut self, key: &NamespacedName, name: &str, now: Timestamp) {
        self.board.deleted(key, name, now);
    }

    /// When the next posting is due.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.due.next()
    }

    /// Posts what is seen of the policies that are due.
    pub(super) fn post_due(&mut self, observed: &Observed, deletions: &Deletions, now: Timestamp) {
        while let Some(key) = self.due.pop_due(now) {
            observed.measure();
            self.post(&key, (observed, deletions), now, false);
        }
    }

    /// Posts what is seen of all policies, for the last time.
    pub(super) fn post_all(&mut self, observed: &Observed, deletions: &Deletions, now: Timestamp) {
        let keys: Vec<_> = observed.policies().map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.post(key, (observed, deletions), now, true));
    }

    fn post(&mut self, key: &NamespacedName, seen: (&Observed, &Deletions), now: Timestamp, is_last: bool) {
        let (observed, deletions) = seen;
        let Some(tracked) = observed.policy(key) else { return };
        self.posted_at.insert(key.clone(), now);
        let seen = see(tracked, key, (observed, deletions), now, is_last);
        if is_last && Situation::of(&seen).reason() == GcReason::Listing {
            // We end before we have seen anything: what stands there is better than what we could say.
            return;
        }
        self.board.post(key, seen);
        self.work.add(key, if is_last { Cause::Edited } else { Cause::Changed });
    }
}

/// What the loop sees of a policy.
fn see(
    tracked: &Tracked,
    key: &NamespacedName,
    (observed, deletions): (&Observed, &Deletions),
    now: Timestamp,
    is_last: bool,
) -> Seen {
    let plot = observed.plot_of(key);
    let mode = tracked.spec.as_ref().ok().map(|policy| policy.mode);
    // What an author may not list is not counted out to them either.
    let hidden = matches!(tracked.verdict, AuthorVerdict::Forbidden(_) | AuthorVerdict::Unknown(_));
    let counted = plot.filter(|_| !hidden);
    let next_expiry = counted.zip(mode).and_then(|(plot, mode)| match mode {
        Mode::Enforce => plot.ground.next_due(key),
        Mode::DryRun | Mode::Paused => plot.ground.next_due_after(key, now),
    });
    let due_in_dry_run = counted.filter(|_| mode == Some(Mode::DryRun));
    Seen {
        uid: tracked.uid.clone(),
        generation: tracked.generation,
        spec: tracked.spec.clone(),
        plot: plot.map(|plot| plot.state.clone()),
        verdict: tracked.verdict.clone(),
        counts: counted.map(|plot| plot.ground.counts(key)).unwrap_or_default(),
        next_expiry,
        due: due_in_dry_run.map_or(0, |plot| plot.ground.due_count(key, now, DRY_RUN_COUNT_MAX)),
        denied: deletions.denied(key).map(str::to_owned),
        is_last,
    }
}

impl Controller for Reporter {
    type Key = NamespacedName;
    type Snapshot = Snapshot;
    type Plan = Said;
    type Outcome = ();
    type Error = Unreported;

    const NAME: &'static str = "garbagecollectionpolicy";

    async fn observe(&self, key: &NamespacedName) -> Result<Option<Snapshot>, Unreported> {
        Ok(self.board.read(key))
    }

    fn decide(snapshot: &Snapshot, now: Timestamp) -> Said {
        say(snapshot, now)
    }

    /// A policy is only spoken of: its objects are acted on as they fall due, by the collector's loop.
    async fn apply(&self, _: &NamespacedName, _: &Said, _: &Epoch) {}

    async fn report(&self, key: &NamespacedName, said: Said, (): ()) -> Result<Report, Unreported> {
        self.measure(key, &said);
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
        let GarbageCollectionPolicyStatus { matched, pending, protected, .. } = said.status;
        for (state, count) in [("matched", matched), ("pending", pending), ("protected", protected)] {
            self.metrics.set(MetricName::GcObjects, &labels(key, state), count);
        }
        self.board.ready_because(key, said.reason, &self.metrics);
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

async fn write(client: &Client, key: &NamespacedName, said: &Said) -> Result<ResourceVersion, ApiError> {
    let version = units::ApiVersion { group: api::GROUP.to_owned(), version: api::VERSION.to_owned() };
    // A merge patch removes what is null: fields that have no value any more must say so.
    let mut patch =
        serde_json::to_value(&said.status).map_err(|error| ApiError::Garbled(error.to_string()))?;
    for field in ["nextExpiry", "lastDeletion", "observedGeneration"] {
        if let Some(patch) = patch.as_object_mut().filter(|patch| !patch.contains_key(field)) {
            patch.insert(field.to_owned(), serde_json::Value::Null);
        }
    }
    let resource = (&version, "garbagecollectionpolicies");
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
