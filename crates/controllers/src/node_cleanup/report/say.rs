//! What is told of a departure by events, and counted: what is new in its record.

use api::node_cleanup::{CleanupPhase, NodeCleanupStatus, StepState, StepStatus};
use api::{EventReason, NodeCleanup};
use chassis::{Event, EventType, MetricName, Regarding};
use jiff::Timestamp;
use node_cleanup::steps::{DRAIN_STEP, StepBlocker, StepReason, VOLUMES_STEP};
use units::Uid;

use super::super::apply::Deeds;
use super::super::limits::EVENT_MESSAGE_CHARS_MAX;
use super::super::observe::is_over;

/// Tells and counts what is new in a record that has just been written.
pub(in super::super) fn say(deeds: &Deeds, record: &NodeCleanup, after: &NodeCleanupStatus, now: Timestamp) {
    let before = record.status.clone().unwrap_or_default();
    let about = About { deeds, record, now };
    about.beginning(&before, after);
    about.steps(&before, after);
    about.blockers(&before, after);
    about.end(&before, after);
}

struct About<'a> {
    deeds: &'a Deeds,
    record: &'a NodeCleanup,
    now: Timestamp,
}

impl About<'_> {
    fn beginning(&self, before: &NodeCleanupStatus, after: &NodeCleanupStatus) {
        let policy = &self.record.spec.policy;
        let has_begun = before.phase == CleanupPhase::Waiting && after.phase != CleanupPhase::Waiting;
        if has_begun && !is_over(after.phase) {
            self.tell(
                EventReason::CleanupStarted,
                &format!("the node leaves, as NodeCleanupPolicy {policy} says"),
            );
        }
    }

    fn end(&self, before: &NodeCleanupStatus, after: &NodeCleanupStatus) {
        if before.phase == after.phase {
            return;
        }
        let policy = &self.record.spec.policy;
        match after.phase {
            CleanupPhase::Releasing => self.releasing(after),
            CleanupPhase::Lost => {
                let left =
                    names(&after.steps, |step| !matches!(step.state, StepState::Done | StepState::Skipped));
                self.tell(
                    EventReason::CleanupLost,
                    &format!("the node was gone before all was done; not done: {left}"),
                );
            }
            _ => {}
        }
        if is_over(after.phase) {
            let labels = [("policy_name", policy.as_str()), ("phase", name(after.phase))];
            self.deeds.metrics.count(MetricName::NodeDeparturesEnded, &labels);
            if let (Some(from), Some(to)) = (&after.start_time, &after.completion_time) {
                let took = to.0.duration_since(from.0).as_secs_f64();
                self.deeds.metrics.observe(MetricName::NodeDepartureDuration, took);
            }
        }
    }

    fn releasing(&self, after: &NodeCleanupStatus) {
        let released = Some(StepReason::Released.name());
        if after.steps.iter().any(|step| step.reason.as_deref() == released) || !has_run(after) {
            let by = self.record.spec.overrides.release.as_ref();
            let by = by.map_or_else(
                || "the annotation groundskeeper.dev/skip-cleanup".to_owned(),
                |said| said.by.clone(),
            );
            return self.tell(
                EventReason::CleanupReleased,
                &format!("the node goes before all was done, as {by} said"),
            );
        }
        let taken = after.steps.iter().filter(|step| step.state == StepState::Done).count();
        let failed = names(&after.steps, |step| step.state == StepState::Failed);
        let since = after.start_time.as_ref().map_or(self.now, |start| start.0);
        let seconds = self.now.duration_since(since).as_secs();
        let but =
            if failed.is_empty() { String::new() } else { format!("; failed, and not critical: {failed}") };
        self.tell(
            EventReason::CleanupCompleted,
            &format!("{taken} steps were taken in {seconds} s, and the node goes{but}"),
        );
    }

    fn steps(&self, before: &NodeCleanupStatus, after: &NodeCleanupStatus) {
        for step in &after.steps {
            let known = before.steps.iter().find(|known| known.name == step.name);
            let (state, attempts) =
                known.map_or((StepState::Pending, 0), |known| (known.state, known.attempts));
            if (state, attempts) == (step.state, step.attempts) {
                continue;
            }
            self.step(step, attempts);
        }
    }

    fn step(&self, step: &StepStatus, attempts_before: u32) {
        let StepStatus { name, state, attempts, .. } = step;
        let message = step.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        let reason = step.reason.as_deref().unwrap_or_default();
        match state {
            StepState::Running if *attempts > attempts_before => {
                self.tell(EventReason::CleanupStepStarted, &format!("step {name}, attempt {attempts}"));
            }
            StepState::Done => {
                self.tell(EventReason::CleanupStepDone, &format!("step {name} is done{message}"));
                if matches!(&**name, DRAIN_STEP | VOLUMES_STEP) {
                    self.deeds.metrics.count(
                        MetricName::OldCleanupOperations,
                        &[("plugin", name.as_str()), ("result", "success")],
                    );
                }
            }
            StepState::Skipped => {
                let by =
                    step.overridden_by.as_deref().map(|by| format!(", as {by} said")).unwrap_or_default();
                self.tell(EventReason::CleanupStepDone, &format!("step {name} was not taken ({reason}){by}"));
            }
            StepState::Retrying => {
                self.tell(
                    EventReason::CleanupStepFailed,
                    &format!(
                        "step {name}, attempt {attempts}, failed ({reason}){message}; it is tried again"
                    ),
                );
            }
            StepState::Failed => {
                self.tell(
                    EventReason::CleanupStepFailed,
                    &format!("step {name} failed for good after {attempts} attempts ({reason}){message}"),
                );
            }
            StepState::Running | StepState::Pending => {}
        }
    }

    /// A blocker is told of when it is new, by its kind: what changes from one try to the next is in the status. That a
    /// plugin has not been asked yet passes within a moment, and is not told.
    fn blockers(&self, before: &NodeCleanupStatus, after: &NodeCleanupStatus) {
        for (place, blocker) in after.blockers.iter().enumerate() {
            let is_known = |known: &api::node_cleanup::Blocker| known.reason == blocker.reason;
            let is_old =
                before.blockers.iter().any(is_known) || after.blockers.iter().take(place).any(is_known);
            if is_old || blocker.reason == StepBlocker::PluginUnchecked.name() {
                continue;
            }
            let reason = if blocker.reason == "StepFailed" {
                EventReason::CleanupFailed
            } else {
                EventReason::CleanupBlocked
            };
            self.tell(reason, &format!("{}: {}", blocker.reason, blocker.message));
        }
    }

    fn tell(&self, reason: EventReason, note: &str) {
        let spec = &self.record.spec;
        let record = Regarding {
            api_version: "groundskeeper.dev/v1alpha1".to_owned(),
            kind: "NodeCleanup".to_owned(),
            namespace: String::new(),
            name: self.record.metadata.name.clone().unwrap_or_default(),
            uid: self.record.metadata.uid.clone().unwrap_or_default(),
        };
        let node = node(&spec.node_name, &spec.node_uid);
        tracing::info!(node = spec.node_name, reason = reason.name(), note, "node cleanup");
        self.deeds.recorder.record(event(node, Some(record), reason, note, self.now));
    }
}

/// Tells of a maintenance, on its node.
pub(in super::super) fn maintenance(
    deeds: &Deeds,
    (name, uid): (&str, Option<&Uid>),
    reason: EventReason,
    note: &str,
    now: Timestamp,
) {
    tracing::info!(node = name, reason = reason.name(), note, "maintenance");
    let uid = uid.map(ToString::to_string).unwrap_or_default();
    deeds.recorder.record(event(node(name, &uid), None, reason, note, now));
}

fn node(name: &str, uid: &str) -> Regarding {
    Regarding {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
        uid: uid.to_owned(),
    }
}

fn event(
    regarding: Regarding,
    related: Option<Regarding>,
    reason: EventReason,
    note: &str,
    at: Timestamp,
) -> Event {
    let type_ = if reason.type_name() == "Warning" { EventType::Warning } else { EventType::Normal };
    let note = note.chars().take(EVENT_MESSAGE_CHARS_MAX).collect();
    Event { regarding, related, type_, reason: reason.name(), action: reason.action(), note, at }
}

/// Whether any step has begun.
fn has_run(status: &NodeCleanupStatus) -> bool {
    status.steps.iter().any(|step| step.attempts > 0)
}

fn names(steps: &[StepStatus], of: impl Fn(&StepStatus) -> bool) -> String {
    let names: Vec<&str> = steps.iter().filter(|step| of(step)).map(|step| &*step.name).collect();
    names.join(", ")
}

const fn name(phase: CleanupPhase) -> &'static str {
    match phase {
        CleanupPhase::Completed => "Completed",
        CleanupPhase::Released => "Released",
        CleanupPhase::Lost => "Lost",
        _ => "UnderWay",
    }
}
