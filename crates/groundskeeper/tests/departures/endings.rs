//! Pods that are asked to leave and do not end, or not in time.
//!
//! Some of these nodes have no kubelet, so that nobody ends their pods before the test does.

use jiff::Timestamp;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::support::{eventually, holds, now};
use crate::users::meanwhile;
use crate::yard::{Yard, blockers, is, step};

/// Seconds that a slow pod asks for.
const SLOW: i64 = 600;

pub(crate) async fn a_pod_that_ends_too_slowly_is_asked_again_when_the_ladder_says_so() {
    let rungs = json!([{"after": "12s", "action": "TightenGrace", "gracePeriodSeconds": 40}]);
    let (tight, loose) = tokio::join!(Slow::ends("tighten", rungs), Slow::ends("unhurried", json!([])));

    eventually(tight.yard.cluster, "it gets less time", async || {
        let grace = tight.grace().await;
        holds(grace == Some(40), format!("it gets {grace:?}"))
    })
    .await;
    assert_eq!(tight.yard.asked_to_leave("slow"), 2);
    assert_eq!((loose.grace().await, loose.yard.asked_to_leave("slow")), (Some(SLOW), 1));
    // It has less time now, and is not asked once more.
    meanwhile(6).await;
    assert_eq!((tight.yard.asked_to_leave("slow"), loose.yard.asked_to_leave("slow")), (2, 1));
    assert_eq!(loose.grace().await, Some(SLOW));
    tokio::join!(tight.leaves(), loose.leaves());
}

/// A departure with a pod that was asked to leave, and takes ten minutes.
struct Slow {
    yard: Yard,
    node: String,
    run: String,
}

impl Slow {
    async fn ends(name: &str, escalation: Value) -> Self {
        let yard = Yard::new(name).await;
        yard.policy(json!({"escalation": escalation})).await;
        let node = yard.silent_node("a").await;
        yard.pod_nobody_ends(&node, "slow", SLOW).await;
        let run = yard.delete_node(&node).await;
        let slow = Self { yard, node, run };
        eventually(slow.yard.cluster, "it ends in its own time", async || {
            let grace = slow.grace().await;
            holds(grace == Some(SLOW), format!("it gets {grace:?}"))
        })
        .await;
        slow
    }

    /// The seconds that the API server has given it to end; none if it does not end.
    async fn grace(&self) -> Option<i64> {
        let pod = self.yard.look("v1", "Pod", "slow").await.unwrap();
        pod["metadata"]["deletionGracePeriodSeconds"].as_i64()
    }

    async fn leaves(&self) {
        self.yard.end("slow").await;
        self.yard.ends(&self.node, &self.run, "Completed").await;
    }
}

/// The node is deleted while it still answers. The controller manager finds it silent after 50 s; from then on its pod is
/// waited for no longer than a minute after its time was up.
pub(crate) async fn a_pod_that_nobody_can_end_is_waited_for_for_a_minute_unless_the_settings_say_otherwise() {
    let forever = json!({"drain": {"skipWaitForDeleteTimeoutSeconds": 0}});
    let (unsaid, patient, reachable) = tokio::join!(
        Ending::on_silent_node("silent", json!({})),
        Ending::on_silent_node("patient", forever),
        Ending::on_node("reachable", json!({})),
    );

    meanwhile(50).await;
    let record = unsaid.yard.ends(&unsaid.node, &unsaid.run, "Completed").await;

    let drained: Timestamp = step(&record["status"], "drain")["endTime"].as_str().unwrap().parse().unwrap();
    let waited = drained.duration_since(unsaid.ends_by).as_secs();
    assert!(waited >= 60, "{waited} s\n{record}");
    for other in [&patient, &reachable] {
        let waits =
            |status: &Value| status["phase"] == "Draining" && blockers(status) == ["StuckTerminating"];
        let record = other.yard.until(&other.run, "it is waited for", waits).await;
        assert_eq!((&record["status"]["podsLeft"], is(&record, "Blocked")), (&json!(1), Some("True")));
    }
    assert!(patient.is_unreachable().await && !reachable.is_unreachable().await);
    patient.yard.end("last").await;
    reachable.yard.let_end("last").await;
    patient.yard.ends(&patient.node, &patient.run, "Completed").await;
    reachable.yard.ends(&reachable.node, &reachable.run, "Completed").await;
}

pub(crate) async fn a_pod_is_waited_for_as_long_as_the_settings_say() {
    let settings = json!({"drain": {"skipWaitForDeleteTimeoutSeconds": 2}});
    let ending = Ending::on_node("impatient", settings).await;

    let record = ending.yard.ends(&ending.node, &ending.run, "Completed").await;

    assert_eq!(step(&record["status"], "drain")["state"], "Done", "{record}");
    let pod = ending.yard.look("v1", "Pod", "last").await;
    assert!(
        pod.is_some_and(|pod| pod["metadata"]["deletionTimestamp"].is_string()),
        "it has ended after all"
    );
    ending.yard.let_end("last").await;
}

/// A departure whose one pod was deleted before, and is not gone.
struct Ending {
    yard: Yard,
    node: String,
    run: String,
    /// When its time was up.
    ends_by: Timestamp,
}

impl Ending {
    /// Of a node whose kubelet keeps silent.
    async fn on_silent_node(name: &str, policy: Value) -> Self {
        let yard = Yard::new(name).await;
        yard.policy(policy).await;
        let node = yard.silent_node("a").await;
        yard.pod_nobody_ends(&node, "last", 1).await;
        Self::begins(yard, node).await
    }

    /// Of a node that answers, with a pod that a finalizer keeps.
    async fn on_node(name: &str, policy: Value) -> Self {
        let yard = Yard::new(name).await;
        yard.policy(policy).await;
        let node = yard.node("a").await;
        yard.stubborn_pod(&node, "last").await;
        Self::begins(yard, node).await
    }

    async fn begins(yard: Yard, node: String) -> Self {
        yard.remove("v1", "Pod", "last").await;
        let pod = yard.look("v1", "Pod", "last").await.unwrap();
        let ends_by = pod["metadata"]["deletionTimestamp"].as_str().unwrap().parse().unwrap();
        let run = yard.delete_node(&node).await;
        Self { yard, node, run, ends_by }
    }

    async fn is_unreachable(&self) -> bool {
        let node = self.yard.look("v1", "Node", &self.node).await.unwrap();
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        taints.iter().any(|taint| taint["key"] == "node.kubernetes.io/unreachable")
    }
}

/// The API server takes no eviction there, and somebody forbids the deletion with which the namespace ends its pods.
pub(crate) async fn a_pod_that_its_closing_namespace_does_not_end_is_named_with_it() {
    let yard = Yard::new("shut").await;
    yard.policy(json!({})).await;
    let node = yard.node("a").await;
    yard.pod(&node, "kept").await;
    yard.forbid_deletion("kept").await;
    yard.remove("v1", "Namespace", &yard.namespace).await;

    let run = yard.delete_node(&node).await;

    let is_asked_again = |status: &Value| status["blockers"][0]["nextTry"].is_string();
    let record = yard.until(&run, "it was asked, and is named", is_asked_again).await;
    let status = &record["status"];
    assert_eq!(
        (blockers(status), &status["phase"], &status["podsLeft"]),
        (vec!["NamespaceTerminating"], &json!("Draining"), &json!(1)),
        "{record}"
    );
    let objects = json!([format!("Namespace {}", yard.namespace), format!("Pod {}/kept", yard.namespace)]);
    assert_eq!(status["blockers"][0]["objects"], objects, "{record}");
    assert_eq!((is(&record, "Blocked"), yard.told(&node, "CleanupBlocked").await), (Some("True"), 1));
    assert!(yard.asked_to_leave("kept") > 0, "the API server decides, not we");
    let pod = yard.look("v1", "Pod", "kept").await.unwrap();
    assert!(pod["metadata"]["deletionTimestamp"].is_null(), "it is named only as long as nobody ends it");

    yard.patch("Pod", "kept", json!({"metadata": {"labels": {"forbidden": null}}})).await;
    yard.remove_if_there("kept").await;
    yard.ends(&node, &run, "Completed").await;
}

impl Yard {
    /// A node that has once said that it works, and says no more. That another one than kwok holds its Lease, as far as kwok
    /// can see, keeps kwok from renewing it.
    async fn silent_node(&self, suffix: &str) -> String {
        let name = format!("{}-{suffix}", self.name);
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": "kube-node-lease"},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": 3_600,
                "renewTime": format!("{:.6}", now())},
        });
        let kind = GroupVersionKind::gvk("coordination.k8s.io", "v1", "Lease");
        let resource = ApiResource::from_gvk(&kind);
        let leases = Api::<DynamicObject>::namespaced_with(self.client.clone(), "kube-node-lease", &resource);
        leases.create(&PostParams::default(), &serde_json::from_value(lease).unwrap()).await.unwrap();
        self.create(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"yard": self.name}, "annotations": left_alone()},
        }))
        .await;
        self.say("Node", &name, json!({"conditions": [ready()]})).await;
        self.is_kept(&name, true).await;
        name
    }

    /// A pod on a silent node, which runs until [`Yard::end`].
    async fn pod_nobody_ends(&self, node: &str, name: &str, grace_seconds: i64) {
        self.create(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace, "labels": {"app": name},
                "annotations": left_alone()},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": grace_seconds,
                "containers": [{"name": "a", "image": "example.invalid/a"}]},
        }))
        .await;
        self.say("Pod", name, json!({"phase": "Running", "conditions": [ready()]})).await;
    }

    /// What a kubelet would say.
    async fn say(&self, kind: &str, name: &str, status: Value) {
        let patch = Patch::Merge(json!({"status": status}));
        self.api("v1", kind).patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Ends a pod as its kubelet would.
    async fn end(&self, pod: &str) {
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.api("v1", "Pod").delete(pod, &at_once).await.unwrap();
    }

    /// Deletes a pod, unless somebody else has done so meanwhile.
    async fn remove_if_there(&self, pod: &str) {
        match self.api("v1", "Pod").delete(pod, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Forbids everybody to delete a pod as long as it has the label `forbidden`.
    async fn forbid_deletion(&self, pod: &str) {
        self.patch("Pod", pod, json!({"metadata": {"labels": {"forbidden": "yes"}}})).await;
        let ours = json!({"matchLabels": {"kubernetes.io/metadata.name": self.namespace}});
        let pods = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["pods"]}]);
        let expression = "!('forbidden' in oldObject.metadata.labels)";
        self.create(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": self.name},
            "spec": {"matchConstraints": {"namespaceSelector": ours, "resourceRules": pods},
                "validations": [{"expression": expression}]},
        }))
        .await;
        self.create(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": self.name},
            "spec": {"policyName": self.name, "validationActions": ["Deny"]},
        }))
        .await;
        eventually(self.cluster, "nobody may delete it", async || {
            let only_asks = DeleteParams { dry_run: true, ..DeleteParams::default() };
            let asked = self.api("v1", "Pod").delete(pod, &only_asks).await;
            holds(asked.is_err(), "it may be deleted")
        })
        .await;
    }
}

/// What keeps kwok from playing a node or a pod.
fn left_alone() -> Value {
    json!({"kwok.x-k8s.io/status": "custom"})
}

fn ready() -> Value {
    let now = now().to_string();
    json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "a test says so",
        "lastHeartbeatTime": now, "lastTransitionTime": now})
}
