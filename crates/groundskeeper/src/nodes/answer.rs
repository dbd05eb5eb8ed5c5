//! The plan for a node: as JSON, whose fields are added to and never renamed, and as tables for people.

use std::fmt::Write as _;

use api::node_cleanup::Blocker;
use jiff::Timestamp;
use node_cleanup::drain::{DrainPlan, DrainState, Intent, PodPlan, Reason};
use node_cleanup::steps::{Expected, Outlook};
use serde::Serialize;

use crate::output::printable;
use crate::plan::table::{cell, grid};

/// What becomes of a node that leaves.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodePlan<'a> {
    pub(super) kind: &'static str,
    pub(super) node: &'a str,
    pub(super) intent: &'static str,
    pub(super) at: Timestamp,
    /// The policy that decides; absent if the defaults do.
    pub(super) policy: Option<String>,
    /// Whether no pod is asked to leave, because one may not be.
    pub(super) refused: bool,
    pub(super) pods: Vec<PodRow>,
    pub(super) steps: Vec<StepRow>,
    pub(super) blockers: Vec<BlockerRow>,
    /// What is not in the way, and worth to be known before.
    pub(super) risks: Vec<BlockerRow>,
    pub(super) warnings: Vec<String>,
}

/// What becomes of a pod.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodRow {
    namespace: String,
    name: String,
    action: &'static str,
    reasons: Vec<&'static str>,
    /// Lower leaves first: 0 ordinary pods, 1 their daemons, 2 critical pods, 3 their daemons.
    tier: u8,
    /// The order of the DrainRule that speaks of it, which counts before the tier.
    order: i32,
}

/// What becomes of a step.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StepRow {
    pub(super) name: String,
    pub(super) plugin: String,
    pub(super) depends_on: Vec<String>,
    pub(super) priority: u32,
    pub(super) critical: bool,
    /// `Taken`, `NotTaken` (its `when` is not true of the node) or `Unknown`.
    pub(super) expected: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
}

/// What stands in the way.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockerRow {
    /// Whether it keeps a pod from leaving. What does not is worth to be known before.
    pub(super) blocks: bool,
    reason: String,
    message: String,
    objects: Vec<String>,
}

impl From<&PodPlan> for PodRow {
    fn from(pod: &PodPlan) -> Self {
        Self {
            namespace: pod.namespace.to_string(),
            name: pod.name.to_string(),
            action: pod.action.name(),
            reasons: pod.reasons.iter().map(|reason| reason.name()).collect(),
            tier: pod.tier.number(),
            order: pod.order,
        }
    }
}

impl From<&Outlook<'_>> for StepRow {
    fn from(outlook: &Outlook<'_>) -> Self {
        let step = outlook.step;
        let (expected, message) = match &outlook.expected {
            Expected::Taken => ("Taken", None),
            Expected::NotTaken => ("NotTaken", Some("its `when` is not true of the node".to_owned())),
            Expected::Unknown(why) => ("Unknown", Some(why.clone())),
        };
        Self {
            name: step.name.to_string(),
            plugin: step.plugin.to_string(),
            depends_on: step.depends_on.iter().map(ToString::to_string).collect(),
            priority: step.priority,
            critical: step.critical,
            expected,
            message,
        }
    }
}

impl BlockerRow {
    fn of(blocker: &Blocker, blocks: bool) -> Self {
        let Blocker { reason, message, objects, .. } = blocker;
        Self { blocks, reason: reason.clone(), message: message.clone(), objects: objects.clone() }
    }
}

/// What stands in the way, and what does not: the blockers, with the services that would be interrupted, and the risks.
pub(super) fn troubles(plan: &DrainPlan) -> (Vec<BlockerRow>, Vec<BlockerRow>) {
    let interrupts = |risk: &&Blocker| risk.reason == Reason::LastReplica.name();
    let (last, risks): (Vec<_>, Vec<_>) = plan.risks.iter().partition(interrupts);
    let blockers = plan.blockers.iter().map(|blocker| BlockerRow::of(blocker, true));
    let last = last.into_iter().map(|risk| BlockerRow::of(risk, false));
    (blockers.chain(last).collect(), risks.into_iter().map(|risk| BlockerRow::of(risk, false)).collect())
}

pub(super) const fn intent(intent: Intent) -> &'static str {
    match intent {
        Intent::Deletion => "deletion",
        Intent::Maintenance => "maintenance",
    }
}

pub(super) fn is_refused(plan: &DrainPlan) -> bool {
    plan.state == DrainState::Refused
}

impl NodePlan<'_> {
    /// The plan as people read it.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        let by = self.policy.as_ref().map_or_else(
            || "as without a policy".to_owned(),
            |policy| format!("by policy {}", printable(policy)),
        );
        // Writing to a string does not fail.
        let _ = writeln!(text, "Node {} under {}, {by}\n", printable(self.node), self.intent);
        if self.refused {
            let _ = writeln!(
                text,
                "The whole node is refused: no pod is asked to leave before this is settled.\n"
            );
        }
        let pods = self.pods.iter().map(|pod| {
            let name = cell(&format!("{}/{}", pod.namespace, pod.name));
            let reasons = if pod.reasons.is_empty() { "-".to_owned() } else { cell(&pod.reasons.join(", ")) };
            vec![name, pod.action.to_owned(), pod.tier.to_string(), pod.order.to_string(), reasons]
        });
        text += &section("POD", &["ACTION", "TIER", "ORDER", "REASONS"], pods.collect());
        let steps = self.steps.iter().map(|step| {
            let waits = if step.depends_on.is_empty() { "-".to_owned() } else { step.depends_on.join(", ") };
            let if_it_fails = if step.critical { "the node is held" } else { "it is reported" };
            let expected = step.message.as_deref().unwrap_or("yes");
            vec![cell(&step.name), cell(&step.plugin), cell(&waits), cell(expected), if_it_fails.to_owned()]
        });
        text += &section("STEP", &["PLUGIN", "AFTER", "TAKEN", "IF IT FAILS"], steps.collect());
        text += &trouble_table("BLOCKER", &self.blockers);
        text += &trouble_table("RISK", &self.risks);
        let leaving = self.pods.iter().filter(|pod| !matches!(pod.action, "Skip")).count();
        let _ = writeln!(
            text,
            "{leaving} of {} pods leave; {} in the way, {} to be known before.",
            self.pods.len(),
            self.blockers.iter().filter(|blocker| blocker.blocks).count(),
            self.risks.len() + self.blockers.iter().filter(|blocker| !blocker.blocks).count()
        );
        text
    }
}

fn section(first: &str, rest: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let header: Vec<&str> = std::iter::once(first).chain(rest.iter().copied()).collect();
    grid(&header, rows.into_iter()) + "\n\n"
}

fn trouble_table(what: &str, rows: &[BlockerRow]) -> String {
    let row = |trouble: &BlockerRow| {
        vec![cell(&trouble.reason), cell(&trouble.objects.join(", ")), cell(&trouble.message)]
    };
    section(what, &["OBJECTS", "MESSAGE"], rows.iter().map(row).collect())
}
