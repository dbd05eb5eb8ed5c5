//! What becomes of a departure now, as the engine decides it, and as its record is to say it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::NodeCleanup;
use api::node_cleanup::{Blocker, CleanupPhase, NodeAddress, NodeCleanupStatus, NodeReason, NodeSnapshot};
use expr::Fields;
use jiff::Timestamp;
use node_cleanup::Turn;
use node_cleanup::departure::{self, Act, Departure};
use node_cleanup::drain::{Rules, Tries, since};
use node_cleanup::limits::BLOCKERS_MAX;
use node_cleanup::steps::{Moment, Pace, PluginState, settle};
use views::Node;

use super::super::memory::{Answered, Course};
use super::super::observe::{Around, is_over};
use super::super::report::{self, conditions};
use super::Plan;
use super::sight::count_interval;

/// All that is seen around a departure.
pub(super) struct Sight {
    pub(super) course: Result<Arc<Course>, String>,
    pub(super) around: Option<Around>,
    pub(super) fields: Box<dyn Fields + Send + Sync>,
    pub(super) rules: Arc<Rules>,
    pub(super) tries: Tries,
    pub(super) turn: Turn,
    pub(super) pace: Pace,
    /// Why it rests, if it does.
    pub(super) rests: Option<Blocker>,
    pub(super) plugins: BTreeMap<Box<str>, PluginState>,
    pub(super) in_flight: BTreeSet<Box<str>>,
    pub(super) answers: Vec<Answered>,
    /// What could not be done in the last turn.
    pub(super) trouble: Option<Blocker>,
    /// Whether the record was written within the last second.
    pub(super) has_counted_lately: bool,
}

impl Sight {
    /// What the engine makes of it.
    pub(super) fn decide(&self, resting: Plan, at: Moment) -> Plan {
        let record = Arc::clone(&resting.record);
        let before = resting.status.clone();
        let decided = match &self.course {
            Ok(course) => self.departure(course, &record, &before, at),
            Err(why) => self.stuck(why, &before, &record),
        };
        let (mut status, acts, wake_at) = decided;
        if status.node.is_none() {
            status.node = self.around.as_ref().map(|around| snapshot(&around.node));
        }
        self.add_blockers(&mut status, &before, at.now);
        status.observed_generation = record.metadata.generation;
        conditions::dress(&mut status, &before, at.now);
        let is_same = before == status;
        let only_counts = !is_same && self.has_counted_lately && report::only_counts(&before, &status);
        let writes = !is_same && !only_counts;
        let wake = match (wake_at, only_counts) {
            (at_, true) => {
                let soon = at.now.checked_add(count_interval(before.phase)).unwrap_or(at.now);
                Some((at_.map_or(soon, |given| given.min(soon)), "what was counted is to be written"))
            }
            (at, false) => at.map(|at| (at, "something is due")),
        };
        Plan { status, writes, acts, answers: self.answers.len(), wake, ..resting }
    }

    /// What stands in the way besides what the engine sees.
    fn add_blockers(&self, status: &mut NodeCleanupStatus, before: &NodeCleanupStatus, now: Timestamp) {
        let more: Vec<Blocker> = self.rests.iter().chain(&self.trouble).cloned().collect();
        if is_over(status.phase) || more.is_empty() {
            return;
        }
        let blockers = more.into_iter().chain(std::mem::take(&mut status.blockers));
        let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
        status.blockers = since(&before.blockers, blockers.take(BLOCKERS_MAX).collect(), second);
    }

    fn departure(
        &self,
        course: &Course,
        record: &NodeCleanup,
        before: &NodeCleanupStatus,
        at: Moment,
    ) -> (NodeCleanupStatus, Vec<Act>, Option<Timestamp>) {
        let mut status = before.clone();
        for Answered { step, attempt, outcome } in &self.answers {
            let (Some(step), Some(told)) =
                (course.steps.step(step), status.steps.iter_mut().find(|told| *told.name == **step))
            else {
                continue;
            };
            *told = settle(step, told, *attempt, outcome, at);
        }
        let departure = Departure {
            run: &record.spec.node_uid,
            spec: &record.spec,
            status: &status,
            steps: &course.steps,
            drain: &course.drain,
            deadlines: course.deadlines,
            scene: self.around.as_ref().map(Around::scene),
            fields: &*self.fields,
            rules: &self.rules,
            tries: &self.tries,
            turn: &self.turn,
            pace: self.pace,
            plugins: &self.plugins,
            in_flight: &self.in_flight,
        };
        let decision = departure::decide(&departure, at);
        (decision.status, decision.acts, decision.wake_at)
    }

    /// The record makes no sense to this version of ours: the node is held, unless somebody lets it go.
    fn stuck(
        &self,
        why: &str,
        before: &NodeCleanupStatus,
        record: &NodeCleanup,
    ) -> (NodeCleanupStatus, Vec<Act>, Option<Timestamp>) {
        let mut status = before.clone();
        if self.around.is_none() {
            status.phase = CleanupPhase::Lost;
            return (status, Vec::new(), None);
        }
        let message =
            format!("the record cannot be acted on: {why}; `groundskeeper nodes release` lets the node go");
        status.blockers = vec![Blocker {
            reason: NodeReason::InvalidRecord.name().to_owned(),
            message,
            ..Blocker::default()
        }];
        if record.spec.overrides.release.is_some() {
            status.phase = CleanupPhase::Releasing;
            return (status, vec![Act::Release], None);
        }
        (status, Vec::new(), None)
    }
}

/// What plugins are told of a node.
fn snapshot(node: &Node) -> NodeSnapshot {
    let labels = node.metadata.labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    NodeSnapshot {
        labels: labels.collect(),
        provider_id: node.provider_id.as_deref().map(ToOwned::to_owned),
        machine_id: node.machine_id.as_deref().map(ToOwned::to_owned),
        addresses: node
            .addresses
            .iter()
            .map(|address| NodeAddress {
                type_: address.type_.to_string(),
                address: address.address.to_string(),
            })
            .collect(),
    }
}
