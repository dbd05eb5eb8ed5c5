//! What a `NodeCleanupPolicy` says, checked once, and which of several decides of a node.
//!
//! Invariant: a node of the control plane is nobody's unless a policy names it in words.

use api::NodeCleanupPolicy;
use api::node_cleanup::{CONTROL_PLANE_LABELS, Deadlines, NodeUnlock};
use api::selector::{InvalidSelector, Selector};
use units::{Labelled, Span, SpanOutOfBounds, parse_duration};

use crate::departure::Limits;
use crate::drain::{Intent, InvalidSettings, Settings};
use crate::limits::{
    DRAIN_DEADLINE_SECONDS, PHASE_DEADLINE_SECONDS_MAX, RECORDS_KEPT_SECONDS, RECORDS_KEPT_SECONDS_MAX,
    RECORDS_KEPT_SECONDS_MIN, TOTAL_DEADLINE_SECONDS, TOTAL_DEADLINE_SECONDS_MAX, VOLUMES_DEADLINE_SECONDS,
};
use crate::steps::{Graph, InvalidSteps, PluginFacts};
use crate::turn::TurnRule;

/// How nodes leave, as a policy says, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The policy's name.
    pub name: Box<str>,
    /// Higher decides before lower.
    pub priority: i32,
    /// How pods are made to leave.
    pub drain: Settings,
    /// What is done, and in which order.
    pub steps: Graph,
    /// How many nodes leave at one time.
    pub turns: TurnRule,
    /// How long each part of a departure may take.
    pub deadlines: Limits,
    /// How long the record of a departure is kept that has ended.
    pub records_kept: Span,
    /// Whether it only plans: one that acts decides before it.
    pub only_plans: bool,
    nodes: Selector,
    is_of_control_plane: bool,
}

/// Of which nodes a policy might decide, whatever else is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// None: the selector is not one, and so might select any.
    nodes: Option<Selector>,
    is_of_control_plane: bool,
}

/// Whether a policy decides of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Governs {
    /// It does, unless another one comes before it.
    Yes,
    /// Its selector does not select the node.
    NotSelected,
    /// The node belongs to the control plane, and the policy does not name that in words.
    ControlPlane,
}

/// Why a policy cannot be acted on, and what to write instead.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidPolicy {
    /// The selector of nodes is not one.
    #[error("nodeSelector: {0}")]
    Nodes(#[from] InvalidSelector),
    /// How pods leave.
    #[error(transparent)]
    Drain(#[from] InvalidSettings),
    /// What is done besides.
    #[error(transparent)]
    Steps(#[from] InvalidSteps),
    /// A duration is not one, or out of its bounds.
    #[error("{field}: {problem}")]
    Duration {
        /// The field.
        field: &'static str,
        /// What is wrong, and what to write.
        problem: String,
    },
}

impl Policy {
    /// Checks a policy. `known` says what is known of plugins that are not the engine's own.
    pub fn compile(
        policy: &NodeCleanupPolicy,
        known: &dyn Fn(&str) -> Option<PluginFacts>,
    ) -> Result<Self, InvalidPolicy> {
        let spec = &policy.spec;
        Ok(Self {
            name: policy.metadata.name.as_deref().unwrap_or_default().into(),
            priority: spec.priority,
            drain: Settings::compile(&spec.drain, Intent::Deletion)?.escalating(&spec.escalation)?,
            steps: Graph::compile(&spec.steps, known)?,
            turns: TurnRule::compile(&spec.concurrency),
            deadlines: deadlines(&spec.deadlines)?,
            records_kept: span(
                "keepRecordsFor",
                spec.keep_records_for.as_deref(),
                RECORDS_KEPT_SECONDS,
                (RECORDS_KEPT_SECONDS_MIN, RECORDS_KEPT_SECONDS_MAX),
            )?,
            only_plans: spec.dry_run,
            nodes: Selector::compile(spec.node_selector.as_ref())?,
            is_of_control_plane: unlocks_control_plane(policy),
        })
    }

    /// Whether the policy decides of a node with these labels, if it alone is asked.
    pub fn governs(&self, labels: &impl Labelled) -> Governs {
        if !self.nodes.matches(labels) {
            return Governs::NotSelected;
        }
        if belongs_to_control_plane(labels) && !self.is_of_control_plane {
            Governs::ControlPlane
        } else {
            Governs::Yes
        }
    }

    /// Which of several policies decides of a node: one that acts before one that only plans, then that with the highest
    /// priority, and of equals the first by name.
    pub fn of<'p>(policies: impl IntoIterator<Item = &'p Self>, labels: &impl Labelled) -> Option<&'p Self> {
        policies.into_iter().filter(|policy| policy.governs(labels) == Governs::Yes).min_by(|a, b| {
            let acting = a.only_plans.cmp(&b.only_plans);
            acting.then_with(|| b.priority.cmp(&a.priority)).then_with(|| a.name.cmp(&b.name))
        })
    }
}

impl Reach {
    /// What a policy says of its nodes.
    pub fn of(policy: &NodeCleanupPolicy) -> Self {
        Self {
            nodes: Selector::compile(policy.spec.node_selector.as_ref()).ok(),
            is_of_control_plane: unlocks_control_plane(policy),
        }
    }

    /// Whether the policy might decide of a node with these labels.
    pub fn may_include(&self, labels: &impl Labelled) -> bool {
        let is_selected = self.nodes.as_ref().is_none_or(|nodes| nodes.matches(labels));
        is_selected && (self.is_of_control_plane || !belongs_to_control_plane(labels))
    }
}

fn unlocks_control_plane(policy: &NodeCleanupPolicy) -> bool {
    policy.spec.unlock.contains(&NodeUnlock::ControlPlaneNodes)
}

fn belongs_to_control_plane(labels: &impl Labelled) -> bool {
    CONTROL_PLANE_LABELS.iter().any(|key| labels.label(key).is_some())
}

/// How long each part of a departure may take, checked.
pub fn deadlines(given: &Deadlines) -> Result<Limits, InvalidPolicy> {
    let Deadlines { drain, volume_detach, total } = given;
    let phase = (1, PHASE_DEADLINE_SECONDS_MAX);
    let whole = (1, TOTAL_DEADLINE_SECONDS_MAX);
    Ok(Limits {
        drain: span("deadlines.drain", drain.as_deref(), DRAIN_DEADLINE_SECONDS, phase)?,
        volumes: span("deadlines.volumeDetach", volume_detach.as_deref(), VOLUMES_DEADLINE_SECONDS, phase)?,
        total: span("deadlines.total", total.as_deref(), TOTAL_DEADLINE_SECONDS, whole)?,
    })
}

fn span(
    field: &'static str,
    given: Option<&str>,
    otherwise: u64,
    (least, most): (u64, u64),
) -> Result<Span, InvalidPolicy> {
    let Some(given) = given else { return Ok(Span::from_seconds(otherwise)) };
    let span = parse_duration(given)
        .map_err(|error| InvalidPolicy::Duration { field, problem: error.to_string() })?;
    let within = span.within(Span::from_seconds(least), Span::from_seconds(most));
    within.map_err(|error: SpanOutOfBounds| InvalidPolicy::Duration { field, problem: error.to_string() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    fn try_policy(name: &str, spec: &Value) -> Result<Policy, InvalidPolicy> {
        let manifest = json!({"metadata": {"name": name}, "spec": spec});
        Policy::compile(&serde_json::from_value(manifest).unwrap(), &|_| None)
    }

    #[allow(clippy::needless_pass_by_value, reason = "so that it reads as a manifest")]
    fn policy(name: &str, spec: Value) -> Policy {
        try_policy(name, &spec).unwrap()
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_highest_priority_decides_and_of_equals_the_first_by_name() {
        let policies =
            [policy("b", json!({})), policy("a", json!({})), policy("low", json!({"priority": -1}))];
        assert_eq!(&*Policy::of(&policies, &labels(&[])).unwrap().name, "a");
        let high = policy("z", json!({"priority": 1}));
        assert_eq!(&*Policy::of(policies.iter().chain([&high]), &labels(&[])).unwrap().name, "z");
    }

    #[test]
    fn one_that_only_plans_takes_no_node_from_one_that_acts() {
        let plans = policy("plans", json!({"priority": 9, "dryRun": true}));
        let acts = policy("acts", json!({}));
        assert_eq!(&*Policy::of([&plans, &acts], &labels(&[])).unwrap().name, "acts");
        assert_eq!(&*Policy::of([&plans], &labels(&[])).unwrap().name, "plans");
    }

    #[test]
    fn a_policy_decides_only_of_the_nodes_that_it_selects() {
        let gpu = policy("gpu", json!({"nodeSelector": {"matchLabels": {"pool": "gpu"}}}));
        assert_eq!(gpu.governs(&labels(&[("pool", "gpu")])), Governs::Yes);
        assert_eq!(gpu.governs(&labels(&[("pool", "web")])), Governs::NotSelected);
        assert!(Policy::of([&gpu], &labels(&[])).is_none());
    }

    #[test]
    fn the_control_plane_is_named_in_words_or_left_alone() {
        for key in CONTROL_PLANE_LABELS {
            let node = labels(&[(key, "")]);
            let by_label =
                json!({"nodeSelector": {"matchExpressions": [{"key": key, "operator": "Exists"}]}});
            assert_eq!(policy("all", json!({})).governs(&node), Governs::ControlPlane);
            assert_eq!(policy("by-label", by_label).governs(&node), Governs::ControlPlane);
            let in_words = policy("in-words", json!({"unlock": ["ControlPlaneNodes"]}));
            assert_eq!(in_words.governs(&node), Governs::Yes);
        }
    }

    #[test]
    fn what_is_wrong_with_a_policy_concerns_the_nodes_in_its_reach_alone() {
        let reach = |spec: Value| {
            Reach::of(&serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap())
        };
        let gpu = reach(json!({"nodeSelector": {"matchLabels": {"pool": "gpu"}}}));
        let master = CONTROL_PLANE_LABELS[0];
        assert!(gpu.may_include(&labels(&[("pool", "gpu")])));
        assert!(!gpu.may_include(&labels(&[("pool", "web")])));
        assert!(!gpu.may_include(&labels(&[("pool", "gpu"), (master, "")])));
        let garbled = reach(json!({"nodeSelector": {"matchLabels": {"a b": "c"}}}));
        assert!(garbled.may_include(&labels(&[("pool", "web")])));
        assert!(!garbled.may_include(&labels(&[(master, "")])));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_fields_name() {
        let table = [
            (json!({"deadlines": {"drain": "soon"}}), "deadlines.drain"),
            (json!({"deadlines": {"drain": "8d"}}), "deadlines.drain"),
            (json!({"deadlines": {"total": "31d"}}), "deadlines.total"),
            (json!({"keepRecordsFor": "1s"}), "keepRecordsFor"),
            (json!({"nodeSelector": {"matchLabels": {"a b": "c"}}}), "nodeSelector"),
            (json!({"drain": {"gracePeriodSeconds": 0}}), "drain.gracePeriodSeconds"),
            (json!({"steps": [{"name": "tell", "plugin": "nobody"}]}), "nobody"),
        ];
        for (spec, expected) in table {
            let error = try_policy("p", &spec).unwrap_err().to_string();
            assert!(error.contains(expected), "{spec}: {error}");
        }
    }
}
