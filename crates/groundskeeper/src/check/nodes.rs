//! Node cleanup: whether what guards our finalizer is there, and who puts it on, tried on a node that is never made.

use anyhow::Context as _;
use api::node_cleanup::{FinalizerBy, NODE_FINALIZER, NodeCleanupPolicySpec};
use api::{GROUP, NodeCleanupPolicy, VERSION};
use chassis::objects;
use node_cleanup::{Governs, Policy};
use serde_json::{Value, json};

use super::installed::{Extra, find, is_same};
use super::{Asked, Verdict};
use crate::cluster::{Cluster, text};
use crate::limits::{FINALIZER_TRIALS_MAX, FOREIGN_LOOKED_AT_MAX};
use crate::manifests::{FINALIZER_POLICY, node_guards};

const API: &str = "admissionregistration.k8s.io/v1";

/// What guards finalizer, deletions and records is there, and as this version declares it.
pub(super) async fn guards(cluster: &mut Cluster) -> Asked {
    let (mut missing, mut different) = (Vec::new(), Vec::new());
    let ours = node_guards();
    for guard in &ours {
        let (kind, name) = (text(guard, "/kind"), text(guard, "/metadata/name"));
        let named = format!("{}/{name}", kind.to_lowercase());
        match find(cluster, API, kind, (None, name)).await? {
            None => missing.push(named),
            Some(found) if !is_as_declared(guard, &found) => different.push(named),
            Some(_) => {}
        }
    }
    let problems = [("missing", missing), ("not as this version declares it", different)];
    let problems: Vec<_> = problems
        .iter()
        .filter(|(_, which)| !which.is_empty())
        .map(|(what, which)| format!("{what}: {}", which.join(", ")))
        .collect();
    if problems.is_empty() {
        let policies = ours.len() / 2;
        return Ok(Verdict::Passed(format!(
            "the API server keeps finalizers, nodes and records by {policies} policies"
        )));
    }
    Ok(Verdict::Failed(problems.join("; ")))
}

/// What a guard does not say, and what would keep it from its work if somebody else had added it.
const NARROWING: [&str; 6] = [
    "/spec/matchConditions",
    "/spec/matchConstraints/excludeResourceRules",
    "/spec/matchConstraints/namespaceSelector",
    "/spec/matchConstraints/objectSelector",
    "/spec/matchResources",
    "/spec/paramRef",
];

fn is_as_declared(ours: &Value, theirs: &Value) -> bool {
    let is_nothing = |value: &Value| {
        value.is_null()
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty)
    };
    let is_added = |pointer: &&str| {
        ours.pointer(pointer).is_none() && theirs.pointer(pointer).is_some_and(|added| !is_nothing(added))
    };
    let spec = |object: &Value| object.get("spec").cloned().unwrap_or_default();
    is_same(&spec(ours), &spec(theirs), Extra::Default) && !NARROWING.iter().any(is_added)
}

/// Who puts the finalizer on: for each of the first policies a node is tried that it governs.
pub(super) async fn finalizer(cluster: &mut Cluster) -> Asked {
    let kind = cluster.resource(&format!("{GROUP}/{VERSION}"), "NodeCleanupPolicy").await?;
    let Some(kind) = kind else { return Ok(Verdict::Skipped("the kinds are not served".to_owned())) };
    let (found, _) = objects::look_for(&cluster.client, &kind, None, "", FOREIGN_LOOKED_AT_MAX).await?;
    let policies: Vec<_> = found.iter().filter_map(Tried::read).collect();
    if policies.is_empty() {
        return Ok(Verdict::Skipped("there is no NodeCleanupPolicy".to_owned()));
    }
    let is_served =
        find(cluster, API, "MutatingAdmissionPolicyBinding", (None, FINALIZER_POLICY)).await?.is_some();
    let nodes = cluster.resource("v1", "Node").await?.context("the cluster serves no nodes")?;
    let (mut lines, mut misses) = (Vec::new(), Vec::new());
    for policy in policies.iter().filter(|policy| policy.puts_on()).take(FINALIZER_TRIALS_MAX) {
        let Some(trial) = policy.trial() else {
            lines.push(format!("{}: no node could be thought of that it selects", policy.name));
            continue;
        };
        let node = objects::try_create(&cluster.client, &nodes, None, &trial).await?;
        let finalizers = node.pointer("/metadata/finalizers").and_then(Value::as_array);
        if !finalizers.into_iter().flatten().any(|one| one == NODE_FINALIZER) {
            misses.push(policy.name.clone());
            continue;
        }
        let by_server = is_served && policies.iter().any(|other| other.asks_the_server_about(&trial));
        let who = if by_server { "the API server, by its admission policy" } else { "the webhook" };
        lines.push(format!("{}: {who}", policy.name));
    }
    Ok(said(&lines, &misses))
}

fn said(lines: &[String], misses: &[String]) -> Verdict {
    if !misses.is_empty() {
        return Verdict::Failed(format!(
            "neither the API server nor the webhook puts the finalizer on a new node of {}; the controller does, once it sees the node",
            misses.join(", ")
        ));
    }
    if lines.is_empty() {
        return Verdict::Passed("every policy only plans, or leaves it to the controller".to_owned());
    }
    Verdict::Passed(format!("put on by: {}", lines.join("; ")))
}

/// A policy, as far as it says which nodes get the finalizer, and from whom.
struct Tried {
    name: String,
    spec: NodeCleanupPolicySpec,
    /// With nothing but its choice of nodes: whatever else is wrong is not asked here.
    choice: Policy,
}

impl Tried {
    fn read(found: &Value) -> Option<Self> {
        let policy: NodeCleanupPolicy = serde_json::from_value(found.clone()).ok()?;
        let NodeCleanupPolicySpec { node_selector, unlock, .. } = policy.spec.clone();
        let choice = NodeCleanupPolicySpec { node_selector, unlock, ..NodeCleanupPolicySpec::default() };
        let choice = NodeCleanupPolicy::new("choice", choice);
        let choice = Policy::compile(&choice, &|_| None).ok()?;
        Some(Self { name: text(found, "/metadata/name").to_owned(), spec: policy.spec, choice })
    }

    /// Whether a new node of its has the finalizer from the beginning.
    fn puts_on(&self) -> bool {
        !self.spec.dry_run && self.spec.finalizer_by != FinalizerBy::Controller
    }

    /// A node that it governs, if it is easy to think of one.
    fn trial(&self) -> Option<Value> {
        let mut labels = std::collections::BTreeMap::new();
        let selector = self.spec.node_selector.clone().unwrap_or_default();
        for term in selector.match_expressions {
            use api::garbage_collection::LabelOperator::{DoesNotExist, Exists, In, NotIn};
            match term.operator {
                In => _ = labels.insert(term.key, term.values.first().cloned().unwrap_or_default()),
                Exists => _ = labels.insert(term.key, "any".to_owned()),
                NotIn | DoesNotExist => {}
            }
        }
        labels.extend(selector.match_labels);
        (self.choice.governs(&labels) == Governs::Yes).then(|| {
            json!({
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"generateName": "groundskeeper-trial-", "labels": labels},
            })
        })
    }

    /// Whether the API server's policy puts the finalizer on such a node for it.
    fn asks_the_server_about(&self, trial: &Value) -> bool {
        let labels = trial.pointer("/metadata/labels").cloned().unwrap_or_default();
        let labels: std::collections::BTreeMap<String, String> =
            serde_json::from_value(labels).unwrap_or_default();
        let is_asked =
            matches!(self.spec.finalizer_by, FinalizerBy::Automatic | FinalizerBy::AdmissionPolicy);
        is_asked && !self.spec.dry_run && self.choice.governs(&labels) == Governs::Yes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(spec: &Value) -> Tried {
        Tried::read(&json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    #[test]
    fn a_guard_that_somebody_has_narrowed_is_not_ours_any_more() {
        let ours = json!({"spec": {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [1]}}});
        let with = |pointer: &str, value: Value| {
            let mut theirs = ours.clone();
            theirs["spec"]["matchConstraints"]["namespaceSelector"] = json!({});
            theirs["spec"][pointer] = value;
            is_as_declared(&ours, &theirs)
        };
        assert!(with("auditAnnotations", json!([])));
        assert!(!with("matchConditions", json!([{"name": "never", "expression": "false"}])));
        assert!(!with("failurePolicy", json!("Ignore")));
        assert!(!with("matchResources", json!({"objectSelector": {"matchLabels": {"a": "b"}}})));
    }

    #[test]
    fn a_node_is_thought_of_that_the_policy_governs() {
        let expression = |operator: &str, values: Value| {
            let mut term = json!({"key": "a", "operator": operator});
            if values.is_array() {
                term["values"] = values;
            }
            json!({"nodeSelector": {"matchLabels": {"pool": "gpu"}, "matchExpressions": [term]}})
        };
        let table = [
            (json!({}), Some(json!({}))),
            (expression("In", json!(["1", "2"])), Some(json!({"pool": "gpu", "a": "1"}))),
            (expression("Exists", Value::Null), Some(json!({"pool": "gpu", "a": "any"}))),
            (expression("NotIn", json!(["1"])), Some(json!({"pool": "gpu"}))),
            (expression("DoesNotExist", Value::Null), Some(json!({"pool": "gpu"}))),
            (json!({"nodeSelector": {"matchLabels": {"node-role.kubernetes.io/control-plane": ""}}}), None),
            (
                json!({"nodeSelector": {"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}}),
                None,
            ),
        ];
        for (spec, expected) in table {
            let labels = tried(&spec).trial().map(|node| node["metadata"]["labels"].clone());
            assert_eq!(labels, expected, "{spec}");
        }
    }

    #[test]
    fn what_is_missed_is_named_whatever_else_is_well() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let missed = said(&names(&["a: the webhook"]), &names(&["b"]));
        assert!(matches!(missed, Verdict::Failed(words) if words.contains("of b;")));
        assert!(matches!(said(&[], &[]), Verdict::Passed(words) if words.contains("only plans")));
        assert!(!tried(&json!({"dryRun": true})).puts_on());
        assert!(!tried(&json!({"finalizerBy": "Controller"})).puts_on());
    }
}
