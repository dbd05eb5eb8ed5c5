//! A test's own nodes, and what its users do with them.

use std::sync::OnceLock;

use kube::Api;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use serde_json::{Value, json};
use testbed::{ControlPlane, Options, Shared};
use tokio::sync::OnceCell;

use crate::support::operator::{Launch, Operator};
use crate::support::{eventually, groundskeeper, holds, identity};

pub(crate) const FINALIZER: &str = "groundskeeper.dev/node-cleanup";

/// Nodes with one label, and a namespace for their pods.
pub(crate) struct Yard {
    pub(crate) cluster: &'static ControlPlane,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) client: kube::Client,
}

/// A control plane with our manifests; nobody runs there yet.
pub(crate) async fn cluster() -> &'static ControlPlane {
    static CLUSTER: Shared = Shared::new(Options::new);
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let cluster = CLUSTER.get().await.unwrap();
    INSTALLED
        .get_or_init(async || {
            let kubeconfig = cluster.admin().kubeconfig().to_str().unwrap();
            let output = groundskeeper(&["install", "--no-workload", "--kubeconfig", kubeconfig]);
            assert!(output.status.success(), "{output:?}");
        })
        .await;
    cluster
}

/// How an operator is started here.
pub(crate) fn launch(cluster: &ControlPlane) -> Launch {
    Launch::new(identity(cluster).kubeconfig()).flag("--plugin-allow-loopback=true")
}

impl Yard {
    /// A yard in a cluster in which one operator runs for all tests.
    pub(crate) async fn new(name: &str) -> Self {
        static OPERATOR: OnceCell<Operator> = OnceCell::const_new();
        let cluster = cluster().await;
        OPERATOR
            .get_or_init(async || {
                leaves_early(cluster).await;
                let operator = launch(cluster).start(cluster).await;
                operator.ready(cluster).await;
                operator
            })
            .await;
        Self::in_cluster(cluster, name).await
    }

    /// A yard in a cluster, whoever runs there.
    pub(crate) async fn in_cluster(cluster: &'static ControlPlane, name: &str) -> Self {
        let namespace = cluster.namespace(name).await.unwrap();
        Self { cluster, name: name.to_owned(), namespace, client: cluster.admin().client().unwrap() }
    }

    pub(crate) fn api(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match kind {
            "PersistentVolumeClaim"
            | "Pod"
            | "Deployment"
            | "ReplicaSet"
            | "DaemonSet"
            | "PodDisruptionBudget"
            | "Event"
            | "Secret" => Api::namespaced_with(self.client.clone(), &self.namespace, &resource),
            _ => Api::all_with(self.client.clone(), &resource),
        }
    }

    pub(crate) fn ours(&self, kind: &str) -> Api<DynamicObject> {
        self.api("groundskeeper.dev/v1alpha1", kind)
    }

    pub(crate) async fn create(&self, object: Value) -> Value {
        self.try_create(object).await.unwrap()
    }

    pub(crate) async fn try_create(&self, object: Value) -> Result<Value, kube::Error> {
        let text = |field: &str| object[field].as_str().unwrap().to_owned();
        let api = self.api(&text("apiVersion"), &text("kind"));
        let created = api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await?;
        Ok(serde_json::to_value(created).unwrap())
    }

    /// A policy for this yard's nodes.
    pub(crate) async fn policy(&self, spec: Value) {
        let mut spec = spec;
        spec["nodeSelector"] = json!({"matchLabels": {"yard": self.name}});
        self.create(json!({
            "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "NodeCleanupPolicy",
            "metadata": {"name": self.name}, "spec": spec,
        }))
        .await;
        eventually(self.cluster, "the policy is ready", async || {
            let policy = self.ours("NodeCleanupPolicy").get(&self.name).await.unwrap();
            holds(is(&policy.data, "Ready") == Some("True"), policy.data)
        })
        .await;
    }

    /// A node of this yard that works; with our finalizer on.
    pub(crate) async fn node(&self, suffix: &str) -> String {
        let name = format!("{}-{suffix}", self.name);
        self.cluster.add_kwok_node(&name).await.unwrap();
        self.patch("Node", &name, json!({"metadata": {"labels": {"yard": self.name}}})).await;
        eventually(self.cluster, "the node has the finalizer", async || {
            let node = self.look("v1", "Node", &name).await.unwrap();
            let has = finalizers(&node).contains(&FINALIZER.to_owned());
            holds(has, node["metadata"].clone())
        })
        .await;
        name
    }

    /// A pod on a node, of no controller.
    pub(crate) async fn pod(&self, node: &str, name: &str) {
        self.create(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace, "labels": {"app": name}},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "a", "image": "example.invalid/a"}]},
        }))
        .await;
        self.ready(name).await;
    }

    pub(crate) async fn ready(&self, pod: &str) {
        eventually(self.cluster, "the pod runs", async || {
            let found = self.look("v1", "Pod", pod).await.unwrap();
            let conditions = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let ready = conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
            holds(ready, found["status"].clone())
        })
        .await;
    }

    pub(crate) async fn patch(&self, kind: &str, name: &str, patch: Value) {
        let version = match kind {
            "Node" | "Pod" => "v1",
            "PodDisruptionBudget" => "policy/v1",
            _ => "groundskeeper.dev/v1alpha1",
        };
        let patch = Patch::Merge(patch);
        self.api(version, kind).patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub(crate) async fn look(&self, api_version: &str, kind: &str, name: &str) -> Option<Value> {
        let found = self.api(api_version, kind).get_opt(name).await.unwrap();
        found.map(|object| serde_json::to_value(object).unwrap())
    }

    /// Deletes a node as `kubectl delete node` does; returns the name of its record.
    pub(crate) async fn delete_node(&self, name: &str) -> String {
        let node = self.look("v1", "Node", name).await.unwrap();
        self.api("v1", "Node").delete(name, &DeleteParams::default()).await.unwrap();
        node["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn record(&self, run: &str) -> Option<Value> {
        self.look("groundskeeper.dev/v1alpha1", "NodeCleanup", run).await
    }

    /// Waits until a departure is so.
    pub(crate) async fn until(&self, run: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(self.cluster, &format!("{}: {what}", self.name), async || {
            let record = self.record(run).await.ok_or("there is no record")?;
            if is_so(&record["status"]) { Ok(record) } else { Err(record["status"].to_string()) }
        })
        .await
    }

    /// Waits until a departure has ended so, and its node is gone.
    pub(crate) async fn ends(&self, node: &str, run: &str, phase: &str) -> Value {
        let record =
            self.until(run, &format!("the departure is {phase}"), |status| status["phase"] == phase).await;
        let gone = self.look("v1", "Node", node).await.is_none_or(|found| found["metadata"]["uid"] != run);
        assert!(gone, "the node is still there");
        record
    }

    /// The reasons of all events about a node, in the order in which they came.
    pub(crate) async fn events(&self, node: &str) -> Vec<(String, String)> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("events.k8s.io", "v1", "Event"));
        let events = Api::<DynamicObject>::all_with(self.client.clone(), &resource);
        let mut found: Vec<_> = events
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .into_iter()
            .filter(|event| {
                event.data["regarding"]["name"] == node && event.data["regarding"]["kind"] == "Node"
            })
            .filter(|event| event.data["reportingController"] == "groundskeeper.dev/groundskeeper")
            .map(|event| {
                let text = |field: &str| event.data[field].as_str().unwrap_or_default().to_owned();
                (text("eventTime"), text("reason"), text("note"))
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, reason, note)| (reason, note)).collect()
    }
}

/// The UID of a node that was deleted before the operator ran.
pub(crate) static EARLY: OnceLock<String> = OnceLock::new();

async fn leaves_early(cluster: &'static ControlPlane) {
    let yard = Yard::in_cluster(cluster, "early").await;
    let spec = json!({"nodeSelector": {"matchLabels": {"yard": "early"}}});
    yard.policy_called("early", spec).await;
    cluster.add_kwok_node("early").await.unwrap();
    let kept = json!({"metadata": {"labels": {"yard": "early"}, "finalizers": [FINALIZER]}});
    yard.patch("Node", "early", kept).await;
    EARLY.set(yard.delete_node("early").await).unwrap();
}

pub(crate) fn finalizers(object: &Value) -> Vec<String> {
    let list = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    list.iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

/// The status of a condition, if it is there.
pub(crate) fn is<'a>(object: &'a Value, condition: &str) -> Option<&'a str> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|one| one["type"] == condition)?["status"].as_str()
}

/// The reasons of a departure's blockers.
pub(crate) fn blockers(status: &Value) -> Vec<&str> {
    let blockers = status["blockers"].as_array();
    blockers.into_iter().flatten().map(|one| one["reason"].as_str().unwrap()).collect()
}

/// How it stands with a step.
pub(crate) fn step<'a>(status: &'a Value, name: &str) -> &'a Value {
    status["steps"]
        .as_array()
        .and_then(|steps| steps.iter().find(|step| step["name"] == name))
        .unwrap_or(&Value::Null)
}
