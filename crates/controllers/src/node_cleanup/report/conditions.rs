//! The conditions of departures, from what their status says.

use api::node_cleanup::{Blocker, CleanupPhase, NodeCleanupStatus, NodeCondition, NodeReason, StepState};
use api::{Condition, ConditionStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use node_cleanup::steps::{DRAIN_STEP, VOLUMES_STEP};

/// One condition in the making.
pub(in super::super) struct Said {
    pub(in super::super) about: NodeCondition,
    pub(in super::super) holds: bool,
    pub(in super::super) reason: String,
    pub(in super::super) message: String,
}

/// Puts the conditions into a status; those that hold as before keep their time.
pub(in super::super) fn dress(status: &mut NodeCleanupStatus, before: &NodeCleanupStatus, now: Timestamp) {
    let said = departure(status);
    status.conditions = conditions(said, &before.conditions, status.observed_generation, now);
}

/// Conditions as the API writes them.
pub(in super::super) fn conditions(
    said: Vec<Said>,
    before: &[Condition],
    observed_generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |Said { about, holds, reason, message }: Said| {
        let status = ConditionStatus::from(holds);
        let known = before.iter().find(|known| known.type_ == about.name() && known.status == status);
        let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let last_transition_time = known.map_or(Time(second), |known| known.last_transition_time.clone());
        Condition {
            type_: about.name().to_owned(),
            status,
            reason,
            message,
            last_transition_time,
            observed_generation,
        }
    };
    said.into_iter().map(condition).collect()
}

/// A condition with a reason that is ours.
pub(in super::super) fn said(
    about: NodeCondition,
    holds: bool,
    reason: NodeReason,
    message: impl Into<String>,
) -> Said {
    Said { about, holds, reason: reason.name().to_owned(), message: message.into() }
}

fn departure(status: &NodeCleanupStatus) -> Vec<Said> {
    let (reason, message) = standing(status);
    let is_over =
        matches!(status.phase, CleanupPhase::Completed | CleanupPhase::Released | CleanupPhase::Lost);
    let is_well = matches!(status.phase, CleanupPhase::Completed | CleanupPhase::Released);
    let stalled = stalled(status);
    let is_stalled = stalled.is_some();
    let (why, what) = stalled.unwrap_or((NodeReason::AsExpected, String::new()));
    vec![
        said(NodeCondition::Ready, is_well, reason, message.clone()),
        said(NodeCondition::Reconciling, !is_over && !is_stalled, reason, message),
        said(NodeCondition::Stalled, is_stalled, why, what),
        blocked(&status.blockers),
        ended(status, NodeCondition::Drained, DRAIN_STEP, "pods are left that have to leave"),
        ended(
            status,
            NodeCondition::VolumesDetached,
            VOLUMES_STEP,
            "volumes are attached, or the drain goes on",
        ),
    ]
}

fn standing(status: &NodeCleanupStatus) -> (NodeReason, String) {
    match status.phase {
        CleanupPhase::Waiting => (NodeReason::Waiting, "the departure waits for its turn".to_owned()),
        CleanupPhase::Settling
        | CleanupPhase::Draining
        | CleanupPhase::Detaching
        | CleanupPhase::CleaningUp
        | CleanupPhase::Releasing => {
            let current = status.current.as_deref().unwrap_or("nothing");
            (NodeReason::Leaving, format!("under way: {current}"))
        }
        CleanupPhase::Completed => (NodeReason::Completed, "all was done".to_owned()),
        CleanupPhase::Released => (NodeReason::Released, "somebody let the node go".to_owned()),
        CleanupPhase::Lost => (
            NodeReason::Lost,
            "the node was gone before all was done; status.steps says what was not".to_owned(),
        ),
    }
}

/// Why nothing goes on before somebody helps.
fn stalled(status: &NodeCleanupStatus) -> Option<(NodeReason, String)> {
    let helps = [NodeReason::InvalidRecord, NodeReason::StepFailed, NodeReason::DeadlinePassed];
    helps.into_iter().find_map(|reason| {
        let blocker = status.blockers.iter().find(|blocker| blocker.reason == reason.name())?;
        Some((reason, blocker.message.clone()))
    })
}

/// Whether something stands in the way, with the first thing that does.
pub(in super::super) fn blocked(blockers: &[Blocker]) -> Said {
    match blockers.first() {
        None => said(NodeCondition::Blocked, false, NodeReason::AsExpected, ""),
        Some(first) => {
            let more = match blockers.len() - 1 {
                0 => String::new(),
                more => format!("; {more} more in status.blockers"),
            };
            Said {
                about: NodeCondition::Blocked,
                holds: true,
                reason: first.reason.clone(),
                message: format!("{}{more}", first.message),
            }
        }
    }
}

fn ended(status: &NodeCleanupStatus, about: NodeCondition, step: &str, otherwise: &str) -> Said {
    let step = status.steps.iter().find(|told| told.name == step);
    let has_ended = step.is_some_and(|step| matches!(step.state, StepState::Done | StepState::Skipped));
    match step.filter(|_| has_ended) {
        Some(step) => {
            let reason =
                if step.state == StepState::Done { NodeReason::Completed } else { NodeReason::Released };
            said(about, true, reason, step.message.clone().unwrap_or_default())
        }
        None => said(about, false, NodeReason::Leaving, otherwise),
    }
}
