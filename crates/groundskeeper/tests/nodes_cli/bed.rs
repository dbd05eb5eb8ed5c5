//! A cluster with our kinds for nodes, and nodes that nobody plays.

use std::process::Output;
use std::time::Duration;

use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use testbed::{ControlPlane, Identity, Options, Turn, Turns};

use crate::support::{eventually, groundskeeper, kubectl};

pub(crate) const OURS: &str = "groundskeeper.dev/node-cleanup";

/// What an uninstallation says last.
pub(crate) const CLEAN: &str = "nothing of Groundskeeper is left that could block a request";

/// A cluster for one test alone: an uninstallation is about all of its nodes.
pub(crate) struct Bed {
    pub(crate) cluster: &'static ControlPlane,
    pub(crate) client: kube::Client,
    _turn: Turn,
}

const KINDS: [&str; 5] = ["NodeCleanup", "NodeMaintenance", "NodeCleanupPolicy", "CleanupPlugin", "Node"];

/// A cluster with our kinds and without nodes.
pub(crate) async fn bed() -> Bed {
    static CLUSTERS: Turns<2> = Turns::new(|| Options::new().scheduler(false).kwok(false));
    let (turn, cluster) = CLUSTERS.take().await.unwrap();
    let client = cluster.admin().client().unwrap();
    let bed = Bed { cluster, client, _turn: turn };
    bed.define_kinds();
    for kind in KINDS {
        bed.clear(kind).await;
    }
    bed
}

impl Bed {
    /// Makes our kinds known, as an installation does.
    pub(crate) fn define_kinds(&self) {
        let definitions = api::node_crds().into_iter().map(|definition| {
            let mut definition = serde_json::to_value(definition).unwrap();
            definition["apiVersion"] = json!("apiextensions.k8s.io/v1");
            definition["kind"] = json!("CustomResourceDefinition");
            definition
        });
        let list = json!({"apiVersion": "v1", "kind": "List", "items": definitions.collect::<Vec<_>>()});
        kubectl(self.cluster, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &list.to_string());
        let names = api::node_crds()
            .into_iter()
            .map(|definition| format!("crd/{}", definition.metadata.name.unwrap()));
        let names: Vec<_> = names.collect();
        let mut wait = vec!["wait", "--for=condition=Established", "--timeout=30s"];
        wait.extend(names.iter().map(String::as_str));
        kubectl(self.cluster, &wait, "");
    }

    async fn clear(&self, kind: &str) {
        // A kind that was just defined is served after a moment.
        let listed = eventually(self.cluster, "the kind is served", async || {
            self.api(kind).list(&ListParams::default()).await.map_err(|error| error.to_string())
        });
        for object in listed.await {
            let name = object.metadata.name.unwrap();
            let bare = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            // What is being deleted goes with its last finalizer.
            let _ = self.api(kind).patch(&name, &PatchParams::default(), &bare).await;
            let _ = self.api(kind).delete(&name, &DeleteParams::default()).await;
        }
    }

    pub(crate) fn api(&self, kind: &str) -> Api<DynamicObject> {
        let (group, version) = match kind {
            "Node" => ("", "v1"),
            "CustomResourceDefinition" => ("apiextensions.k8s.io", "v1"),
            "MutatingWebhookConfiguration" | "MutatingAdmissionPolicy" => {
                ("admissionregistration.k8s.io", "v1")
            }
            _ => ("groundskeeper.dev", "v1alpha1"),
        };
        let plural = if kind == "NodeCleanupPolicy" { Some("nodecleanuppolicies") } else { None };
        let kind = GroupVersionKind::gvk(group, version, kind);
        let resource = plural.map_or_else(
            || ApiResource::from_gvk(&kind),
            |plural| ApiResource::from_gvk_with_plural(&kind, plural),
        );
        Api::all_with(self.client.clone(), &resource)
    }

    /// Creates an object; returns it.
    pub(crate) async fn create(&self, kind: &str, name: &str, spec: Value) -> Value {
        let version = if kind == "Node" { "v1" } else { "groundskeeper.dev/v1alpha1" };
        let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
        self.create_as(kind, object).await
    }

    pub(crate) async fn create_as(&self, kind: &str, object: Value) -> Value {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let made = self.api(kind).create(&PostParams::default(), &object).await.unwrap();
        serde_json::to_value(made).unwrap()
    }

    /// A node with these finalizers; returns its UID.
    pub(crate) async fn node(&self, name: &str, finalizers: &[&str]) -> String {
        let metadata = json!({"name": name, "finalizers": finalizers, "labels": {"pool": "workers"}});
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}});
        self.create_as("Node", node).await["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    /// The same, being deleted.
    pub(crate) async fn leaving(&self, name: &str, finalizers: &[&str]) -> String {
        let uid = self.node(name, finalizers).await;
        self.api("Node").delete(name, &DeleteParams::default()).await.unwrap();
        uid
    }

    /// The record of a departure, with a status.
    pub(crate) async fn record(&self, node: &str, uid: &str, status: Value) {
        let steps = json!([{"name": "forget", "plugin": "cmdb"}]);
        let spec = json!({"nodeName": node, "nodeUid": uid, "policy": "workers", "steps": steps});
        self.create("NodeCleanup", uid, spec).await;
        self.says("NodeCleanup", uid, status).await;
    }

    /// The operator writes a status.
    pub(crate) async fn says(&self, kind: &str, name: &str, status: Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        self.api(kind).patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub(crate) async fn look(&self, kind: &str, name: &str) -> Option<Value> {
        self.api(kind).get_opt(name).await.unwrap().map(|found| serde_json::to_value(found).unwrap())
    }

    pub(crate) async fn finalizers(&self, node: &str) -> Vec<String> {
        let node = self.look("Node", node).await.unwrap();
        serde_json::from_value(node["metadata"]["finalizers"].clone()).unwrap_or_default()
    }

    /// Takes a finalizer off, as the operator or another owner would.
    pub(crate) async fn takes_off(&self, node: &str, finalizer: &str) {
        let left: Vec<_> = self.finalizers(node).await.into_iter().filter(|one| one != finalizer).collect();
        let patch = Patch::Merge(json!({"metadata": {"finalizers": left}}));
        self.api("Node").patch(node, &PatchParams::default(), &patch).await.unwrap();
    }

    pub(crate) fn run(&self, arguments: &str) -> Said {
        run_as(self.cluster.admin(), arguments)
    }

    /// Runs beside the test, which plays the operator meanwhile.
    pub(crate) fn start(&self, arguments: &str) -> tokio::task::JoinHandle<Said> {
        let (cluster, arguments) = (self.cluster, arguments.to_owned());
        tokio::task::spawn_blocking(move || run_as(cluster.admin(), &arguments))
    }

    /// Somebody with these rights on the kinds of nodes and departures, as `verb verb/resource.group` rules.
    pub(crate) fn somebody(&self, name: &str, rules: Value) -> Identity {
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
        });
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [role, binding]});
        kubectl(self.cluster, &["apply", "-f", "-"], &list.to_string());
        self.cluster.user(name, &[]).unwrap()
    }
}

/// What the program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn run_as(identity: &Identity, arguments: &str) -> Said {
    let kubeconfig = identity.kubeconfig().to_str().unwrap();
    // A word with spaces is written with underscores.
    let words = arguments.split_whitespace().map(|word| word.replace('_', " "));
    let words: Vec<String> = words.chain(["--kubeconfig".to_owned(), kubeconfig.to_owned()]).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Output { status, stdout, stderr } = groundskeeper(&words);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { status: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

impl Said {
    /// It went well.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 0, "{self:?}");
        self
    }

    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It failed; its complaint.
    pub(crate) fn complaint(self) -> String {
        assert_eq!(self.status, 1, "{self:?}");
        self.err
    }
}

/// So long that something begun meanwhile has been seen.
pub(crate) const LOOK: Duration = Duration::from_millis(50);
