//! What users do in a yard, and what they see there.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::{eventually, holds, now};
use crate::yard::{FINALIZER, Yard, finalizers};

impl Yard {
    /// Another policy than the yard's own, with a name and a selector of its own. Nobody waits until it is ready.
    pub(crate) async fn policy_called(&self, name: &str, spec: Value) {
        self.create(json!({
            "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "NodeCleanupPolicy",
            "metadata": {"name": name}, "spec": spec,
        }))
        .await;
    }

    /// A node that works, with these labels; whether it gets our finalizer is not waited for.
    pub(crate) async fn node_labelled(&self, suffix: &str, labels: Value) -> String {
        let name = format!("{}-{suffix}", self.name);
        self.cluster.add_kwok_node(&name).await.unwrap();
        self.patch("Node", &name, json!({"metadata": {"labels": labels}})).await;
        name
    }

    /// Waits until a node is kept by our finalizer, or not.
    pub(crate) async fn is_kept(&self, node: &str, expected: bool) {
        let what = if expected { "the node has our finalizer" } else { "the node has not our finalizer" };
        eventually(self.cluster, what, async || {
            let node = self.look("v1", "Node", node).await.ok_or("it is gone")?;
            holds(finalizers(&node).contains(&FINALIZER.to_owned()) == expected, node["metadata"].clone())
        })
        .await;
    }

    /// A pod that does not end before [`Yard::let_end`]: a finalizer keeps it.
    pub(crate) async fn stubborn_pod(&self, node: &str, name: &str) {
        self.pod_with(node, name, json!({"finalizers": ["example.com/stubborn"]}), json!({})).await;
    }

    /// A pod of no controller, with more in its metadata and spec.
    pub(crate) async fn pod_with(&self, node: &str, name: &str, metadata: Value, spec: Value) {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace, "labels": {"app": name}},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "a", "image": "example.invalid/a"}]},
        });
        for (part, more) in [("metadata", metadata), ("spec", spec)] {
            for (key, value) in more.as_object().unwrap() {
                pod[part][key] = value.clone();
            }
        }
        self.create(pod).await;
        self.ready(name).await;
    }

    /// Lets a stubborn pod end.
    pub(crate) async fn let_end(&self, pod: &str) {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        match self.api("v1", "Pod").patch(pod, &PatchParams::default(), &patch).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Pods of a `ReplicaSet` that only this node takes; returns when all of them run there.
    pub(crate) async fn replicas(&self, node: &str, name: &str, count: usize) {
        self.create(json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"replicas": count, "selector": {"matchLabels": {"app": name}}, "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 1, "nodeSelector": {"kubernetes.io/hostname": node},
                    "containers": [{"name": "a", "image": "example.invalid/a"}]},
            }},
        }))
        .await;
        eventually(self.cluster, "the replicas are ready", async || {
            let set = self.look("apps/v1", "ReplicaSet", name).await.unwrap();
            holds(set["status"]["readyReplicas"] == count, set["status"].clone())
        })
        .await;
    }

    /// A disruption budget over the pods with this `app`; returns when its pods are counted.
    pub(crate) async fn budget(&self, name: &str, app: &str, limit: Value) {
        let mut spec = limit;
        spec["selector"] = json!({"matchLabels": {"app": app}});
        self.create(json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": name, "namespace": self.namespace}, "spec": spec,
        }))
        .await;
        eventually(self.cluster, "the budget is counted", async || {
            let budget = self.look("policy/v1", "PodDisruptionBudget", name).await.unwrap();
            holds(budget["status"]["expectedPods"] == 1, budget["status"].clone())
        })
        .await;
    }

    /// Takes all finalizers off a node, as an administrator in a hurry.
    pub(crate) async fn strip(&self, node: &str) {
        self.patch("Node", node, json!({"metadata": {"finalizers": null}})).await;
    }

    /// Says something about a departure, as the administrator.
    pub(crate) async fn override_by(&self, run: &str, overrides: Value) {
        self.patch("NodeCleanup", run, json!({"spec": {"overrides": overrides}})).await;
    }

    /// What the administrator says now, of a step if there is one.
    pub(crate) fn said(&self, step: Option<&str>) -> Value {
        let mut said = json!({"by": self.cluster.admin().name(), "at": now().to_string(), "why": "a test"});
        if let Some(step) = step {
            said["step"] = json!(step);
        }
        said
    }

    /// Waits until a node is gone.
    pub(crate) async fn gone(&self, node: &str, uid: &str) {
        eventually(self.cluster, "the node is gone", async || {
            let found = self.look("v1", "Node", node).await;
            let found = found.filter(|found| found["metadata"]["uid"] == uid);
            holds(found.is_none(), found.unwrap_or_default()["metadata"].clone())
        })
        .await;
    }

    /// The record of a departure, once there is one.
    pub(crate) async fn begun(&self, run: &str) -> Value {
        self.until(run, "there is a record", |_| true).await
    }

    /// Waits until there is an event of this reason about a node, and returns how many there are.
    pub(crate) async fn told(&self, node: &str, reason: &str) -> usize {
        eventually(self.cluster, &format!("there is an event {reason}"), async || {
            let events = self.events(node).await;
            let count = events.iter().filter(|(told, _)| told == reason).count();
            if count > 0 { Ok(count) } else { Err(format!("{events:?}")) }
        })
        .await
    }

    pub(crate) async fn remove(&self, api_version: &str, kind: &str, name: &str) {
        self.api(api_version, kind).delete(name, &DeleteParams::default()).await.unwrap();
    }
}

/// Lets some time pass in which something would happen that must not.
pub(crate) async fn meanwhile(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Whether somebody has closed a node.
pub(crate) fn is_closed(node: &Value) -> bool {
    let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    node["spec"]["unschedulable"] == true
        || taints.iter().any(|taint| taint["key"] == "groundskeeper.dev/leaving")
}

/// The reason of a condition, if it is there.
pub(crate) fn why<'a>(object: &'a Value, condition: &str) -> (&'a str, &'a str) {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|one| one["type"] == condition);
    let text = |field: &str| found.and_then(|one| one[field].as_str()).unwrap_or_default();
    (text("reason"), text("message"))
}
