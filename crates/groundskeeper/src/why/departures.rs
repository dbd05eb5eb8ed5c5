//! What the records of a node's departures say: how far each was, step by step.

use api::NodeCleanup;
use api::node_cleanup::{Blocker, StepState, StepStatus};
use chassis::objects;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::Args;
use crate::cluster::Cluster;

/// One departure.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Departure {
    /// The name of its record, which is the node's UID.
    pub(super) run: String,
    pub(super) policy: String,
    pub(super) phase: String,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    pub(super) steps: Vec<StepStatus>,
    pub(super) blockers: Vec<Blocker>,
    /// What the drain cost, as it was told before.
    pub(super) risks: Vec<Blocker>,
}

/// The departures of all nodes of this name that the cluster has records of, oldest first. None if another kind is asked
/// for, or the cluster serves no such records.
pub(super) async fn of(args: &Args, cluster: &mut Cluster) -> anyhow::Result<Vec<Departure>> {
    if !args.object.means("Node", "") {
        return Ok(Vec::new());
    }
    let Some(resource) = cluster.resource("groundskeeper.dev/v1alpha1", "NodeCleanup").await? else {
        return Ok(Vec::new());
    };
    let records = objects::list(&cluster.client, &resource, None).await?;
    let of_node =
        |record: &Value| record.pointer("/spec/nodeName").and_then(Value::as_str) == Some(&args.object.name);
    let mut departures = Vec::new();
    for record in records.into_iter().filter(of_node) {
        departures.push(departure(serde_json::from_value(record)?));
    }
    departures.sort_by_key(|departure| departure.since);
    Ok(departures)
}

fn departure(record: NodeCleanup) -> Departure {
    let status = record.status.unwrap_or_default();
    Departure {
        run: record.metadata.name.unwrap_or_default(),
        policy: record.spec.policy,
        phase: format!("{:?}", status.phase),
        since: status.start_time.map(|at| at.0),
        until: status.completion_time.map(|at| at.0),
        steps: status.steps,
        blockers: status.blockers,
        risks: status.risks,
    }
}

/// For people.
pub(super) fn render(departures: &[Departure], lines: &mut Vec<String>) {
    for Departure { run, policy, phase, since, until, steps, blockers, risks } in departures {
        lines.push(String::new());
        let since = since.map(|at| format!(", deleted {at:.0}")).unwrap_or_default();
        let until = until.map(|at| format!(", ended {at:.0}")).unwrap_or_default();
        lines.push(format!("Departure {run}, as NodeCleanupPolicy {policy} said: {phase}{since}{until}"));
        for Blocker { reason, message, .. } in risks {
            lines.push(format!("  known before the drain: {reason}: {message}"));
        }
        steps.iter().for_each(|step| lines.push(line(step)));
        for Blocker { reason, message, since, .. } in blockers {
            let since = since.as_ref().map(|at| format!(" since {:.0}", at.0)).unwrap_or_default();
            lines.push(format!("  blocked{since}: {reason}: {message}"));
        }
    }
}

fn line(step: &StepStatus) -> String {
    let StepStatus { name, state, attempts, start_time, end_time, reason, message, overridden_by, .. } = step;
    let at =
        end_time.as_ref().or(start_time.as_ref()).map_or_else(|| "-".to_owned(), |at| format!("{:.0}", at.0));
    let attempts = match attempts {
        0 | 1 => String::new(),
        more => format!(" after {more} attempts"),
    };
    let reason = reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let message = message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
    let by = overridden_by.as_deref().map(|by| format!("; {by}")).unwrap_or_default();
    let word = match state {
        StepState::Pending => "not begun",
        StepState::Running => "under way",
        StepState::Retrying => "to be tried again",
        StepState::Done => "done",
        StepState::Failed => "failed for good",
        StepState::Skipped => "not taken",
    };
    format!("  {at}  step {name}: {word}{attempts}{reason}{message}{by}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_departure_is_told_step_by_step() {
        let record: NodeCleanup = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "u-1"},
            "spec": {"nodeName": "a", "nodeUid": "u-1", "policy": "web"},
            "status": {"phase": "CleaningUp", "startTime": "2026-11-21T12:00:00Z", "podsTotal": 1, "podsLeft": 0,
                "volumesLeft": 0, "conditions": [],
                "steps": [
                    {"name": "drain", "state": "Done", "attempts": 1, "endTime": "2026-11-21T12:01:00Z",
                        "message": "no pod is left that has to leave"},
                    {"name": "tell", "state": "Failed", "attempts": 3, "reason": "Busy", "message": "no"},
                ],
                "risks": [{"reason": "LocalStorage", "message": "what is in emptyDir volumes is lost (team/web)"}],
                "blockers": [{"reason": "StepFailed", "message": "step `tell` failed for good",
                    "since": "2026-11-21T12:02:00Z"}]},
        }))
        .unwrap();
        let mut lines = Vec::new();
        render(&[departure(record)], &mut lines);
        assert_eq!(
            lines,
            [
                "",
                "Departure u-1, as NodeCleanupPolicy web said: CleaningUp, deleted 2026-11-21T12:00:00Z",
                "  known before the drain: LocalStorage: what is in emptyDir volumes is lost (team/web)",
                "  2026-11-21T12:01:00Z  step drain: done: no pod is left that has to leave",
                "  -  step tell: failed for good after 3 attempts (Busy): no",
                "  blocked since 2026-11-21T12:02:00Z: StepFailed: step `tell` failed for good",
            ]
        );
    }
}
