//! Reviews of nodes that are being created: `/mutate/nodes` puts the finalizer on those whose policy asks the webhook to.
//!
//! The API server itself does so where it can; this is for clusters that cannot, and for policies that say `finalizerBy:
//! Webhook`. A node is never refused here, whatever is wrong: the controller puts on what was missed.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use api::node_cleanup::{FinalizerBy, NODE_FINALIZER, NodeCleanupPolicySpec};
use chassis::admission::{Answer, Operation, Request, Reviewer};
use chassis::{MetricName, Metrics};
use control::Clock;
use futures::future::BoxFuture;
use node_cleanup::Policy;
use serde::Deserialize;
use serde_json::json;

/// Whether the webhook puts the finalizer on the nodes of a policy.
#[derive(Clone, Debug)]
pub struct FinalizerRule {
    policy: Arc<Policy>,
    is_for_webhook: bool,
}

impl FinalizerRule {
    /// What a policy says, checked and as it is written. A policy that only plans puts nothing on; one that rests does, so
    /// that its nodes wait for it.
    pub fn new(policy: Arc<Policy>, spec: &NodeCleanupPolicySpec) -> Self {
        let is_asked = matches!(spec.finalizer_by, FinalizerBy::Automatic | FinalizerBy::Webhook);
        Self { policy, is_for_webhook: is_asked && !spec.dry_run }
    }
}

/// The policies as whoever watches them sees them. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Nodes(Arc<RwLock<Vec<FinalizerRule>>>);

impl Nodes {
    /// These are all policies now, in any order. Those that cannot be acted on are left out.
    pub fn follow(&self, rules: Vec<FinalizerRule>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Whether the policy that decides of a node with these labels wants the webhook to put the finalizer on.
    pub fn wants_finalizer(&self, labels: &BTreeMap<String, String>) -> bool {
        let rules = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let deciding = Policy::of(rules.iter().map(|rule| &*rule.policy), labels);
        deciding.is_some_and(|decides| {
            rules.iter().any(|rule| rule.policy.name == decides.name && rule.is_for_webhook)
        })
    }
}

/// Puts the finalizer on nodes.
#[derive(Clone, Debug)]
pub struct FinalizerStamp {
    nodes: Nodes,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
}

impl FinalizerStamp {
    /// By these policies.
    pub fn new(nodes: Nodes, metrics: Metrics, clock: Arc<dyn Clock>) -> Self {
        Self { nodes, metrics, clock }
    }

    /// Judges, and counts it by the names of the system that we replace.
    fn counted(&self, request: &Request) -> Answer {
        let begun = self.clock.steady();
        let answer = self.judge(request);
        let operation = match request.operation {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            _ => "OTHER",
        };
        let result = if matches!(answer, Answer::Patch { .. }) { "patched" } else { "allowed" };
        let labels = [("operation", operation), ("result", result)];
        self.metrics.count(MetricName::OldNodeWebhookRequests, &labels);
        let took = self.clock.steady().since(begun).as_secs_f64();
        self.metrics.observe_with(MetricName::OldNodeWebhookDuration, &[("operation", operation)], took);
        answer
    }

    fn judge(&self, request: &Request) -> Answer {
        let kind = &request.kind;
        if (&*kind.group, &*kind.kind) != ("", "Node") {
            return let_go("this webhook is about nodes only: correct the MutatingWebhookConfiguration");
        }
        let is_part = request.sub_resource.as_deref().is_some_and(|name| !name.is_empty());
        if request.operation != Operation::Create || is_part {
            return Answer::allow();
        }
        let node =
            request.object.as_deref().and_then(|object| serde_json::from_str::<Given>(object.get()).ok());
        let Some(Given { metadata }) = node else {
            return let_go("the node cannot be understood, so that nothing was put on it");
        };
        let finalizers = metadata.finalizers.unwrap_or_default();
        let is_on = finalizers.iter().any(|own| own == NODE_FINALIZER);
        if is_on || !self.nodes.wants_finalizer(&metadata.labels.unwrap_or_default()) {
            return Answer::allow();
        }
        let operation = if finalizers.is_empty() {
            json!({"op": "add", "path": "/metadata/finalizers", "value": [NODE_FINALIZER]})
        } else {
            json!({"op": "add", "path": "/metadata/finalizers/-", "value": NODE_FINALIZER})
        };
        Answer::Patch { operations: vec![operation] }
    }
}

impl Reviewer for FinalizerStamp {
    fn path(&self) -> &'static str {
        "/mutate/nodes"
    }

    fn review<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Answer> {
        Box::pin(async move { self.counted(request) })
    }

    fn when_late(&self) -> Answer {
        let_go("there was no time to look whether the node's cleanup is ours")
    }
}

/// The parts of a Node that say whether it gets the finalizer.
#[derive(Deserialize)]
struct Given {
    metadata: GivenMetadata,
}

#[derive(Deserialize)]
struct GivenMetadata {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    finalizers: Option<Vec<String>>,
}

fn let_go(warning: &str) -> Answer {
    Answer::Allow { warnings: vec![format!("Groundskeeper: {warning}")] }
}

#[cfg(test)]
mod tests {
    use api::NodeCleanupPolicy;
    use serde_json::Value;

    use super::*;

    fn rule((name, spec): &(&str, Value)) -> FinalizerRule {
        let manifest = json!({"metadata": {"name": name}, "spec": spec});
        let policy: NodeCleanupPolicy = serde_json::from_value(manifest).unwrap();
        let compiled = Policy::compile(&policy, &|_| None).unwrap();
        FinalizerRule::new(Arc::new(compiled), &policy.spec)
    }

    fn stamp(policies: &[(&str, Value)]) -> FinalizerStamp {
        let nodes = Nodes::default();
        nodes.follow(policies.iter().map(rule).collect());
        FinalizerStamp::new(nodes, Metrics::default(), Arc::new(control::SystemClock))
    }

    #[allow(clippy::needless_pass_by_value, reason = "the tables read better")]
    fn review(operation: &str, kind: Value, object: Value) -> Request {
        serde_json::from_value(json!({
            "uid": "u", "kind": kind, "operation": operation, "object": object,
            "userInfo": {"username": "system:node:a", "groups": ["system:nodes"]},
        }))
        .unwrap()
    }

    #[allow(clippy::needless_pass_by_value, reason = "the tables read better")]
    fn created(metadata: Value) -> Request {
        review("CREATE", json!({"group": "", "version": "v1", "kind": "Node"}), json!({"metadata": metadata}))
    }

    fn gpu(more: &Value) -> Value {
        let mut spec = json!({"nodeSelector": {"matchLabels": {"pool": "gpu"}}});
        spec.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        spec
    }

    #[test]
    fn the_policy_that_decides_says_whether_the_webhook_puts_the_finalizer_on() {
        let node = || created(json!({"labels": {"pool": "gpu"}}));
        let none = json!({});
        let table = [
            (vec![], false),
            (vec![("a", gpu(&none))], true),
            (vec![("a", gpu(&json!({"finalizerBy": "Webhook"})))], true),
            (vec![("a", gpu(&json!({"finalizerBy": "AdmissionPolicy"})))], false),
            (vec![("a", gpu(&json!({"finalizerBy": "Controller"})))], false),
            (vec![("a", gpu(&json!({"dryRun": true})))], false),
            (vec![("a", gpu(&json!({"paused": true})))], true),
            (vec![("a", json!({"nodeSelector": {"matchLabels": {"pool": "web"}}}))], false),
            (vec![("a", gpu(&json!({"dryRun": true, "priority": 1}))), ("b", gpu(&none))], true),
        ];
        for (policies, expected) in table {
            let answer = stamp(&policies).judge(&node());
            assert_eq!(matches!(answer, Answer::Patch { .. }), expected, "{policies:?}: {answer:?}");
        }
    }

    #[test]
    fn the_finalizers_of_others_stay_and_ours_is_there_once() {
        let patch = |metadata: Value| match stamp(&[("all", json!({}))]).judge(&created(metadata)) {
            Answer::Patch { operations } => operations,
            answer => {
                assert_eq!(answer, Answer::allow());
                Vec::new()
            }
        };
        let whole = json!({"op": "add", "path": "/metadata/finalizers", "value": [NODE_FINALIZER]});
        let one_more = json!({"op": "add", "path": "/metadata/finalizers/-", "value": NODE_FINALIZER});
        for none in [json!({}), json!({"labels": null, "finalizers": []})] {
            assert_eq!(patch(none), std::slice::from_ref(&whole));
        }
        assert_eq!(patch(json!({"finalizers": ["example.com/other"]})), [one_more]);
        assert_eq!(patch(json!({"finalizers": [NODE_FINALIZER]})), Vec::<Value>::new());
        assert_eq!(
            patch(json!({"labels": {"node-role.kubernetes.io/control-plane": ""}})),
            Vec::<Value>::new()
        );
    }

    #[test]
    fn a_node_is_never_refused() {
        let stamp = stamp(&[("all", json!({}))]);
        let node = json!({"group": "", "version": "v1", "kind": "Node"});
        let pod = json!({"group": "", "version": "v1", "kind": "Pod"});
        for request in [
            review("CREATE", node.clone(), Value::Null),
            review("CREATE", node.clone(), json!("x")),
            review("CREATE", node.clone(), json!({"metadata": {"finalizers": "x"}})),
            review("CREATE", pod, json!({"metadata": {}})),
            review("UPDATE", node.clone(), json!({"metadata": {}})),
            review("DELETE", node, Value::Null),
        ] {
            let answer = stamp.judge(&request);
            assert!(matches!(answer, Answer::Allow { .. }), "{request:?}: {answer:?}");
        }
        assert!(matches!(stamp.when_late(), Answer::Allow { .. }));
    }
}
