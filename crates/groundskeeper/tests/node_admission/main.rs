//! What the API server does about nodes and the records of their departure, as an installation makes it: asked by kubelets,
//! by people with some rights, and by the operator.
//!
//! Nothing of ours runs here but, in one test, the webhook.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod deletion;
mod finalizer;
mod overrides;
mod records;
#[path = "../support/mod.rs"]
mod support;
mod webhook;

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Value, json};
use testbed::{ControlPlane, Identity, Options, Shared};
use tokio::sync::OnceCell;

use support::{eventually, groundskeeper, holds, kubectl};

const FINALIZER: &str = "groundskeeper.dev/node-cleanup";

/// One control plane for all tests, with our manifests and without the operator. Policies concern the nodes of one test.
async fn cluster() -> &'static ControlPlane {
    static CLUSTER: Shared = Shared::new(options);
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let cluster = CLUSTER.get().await.unwrap();
    INSTALLED
        .get_or_init(async || {
            let kubeconfig = cluster.admin().kubeconfig().to_str().unwrap();
            let output = groundskeeper(&["install", "--no-workload", "--kubeconfig", kubeconfig]);
            assert!(output.status.success(), "{output:?}");
            let node = json!({"metadata": {"name": "guarded", "finalizers": [FINALIZER]}});
            nodes(cluster.admin()).create(&PostParams::default(), &read(node)).await.unwrap();
            let kubelet = kubelet(cluster, "guarded");
            eventually(cluster, "the guards are in force", async || {
                let stripped = strip(&kubelet, "guarded", "nodes", "merge").await;
                let restore = json!({"metadata": {"finalizers": [FINALIZER]}});
                kubectl(cluster, &["patch", "node/guarded", "--type=merge", "-p", &restore.to_string()], "");
                holds(stripped.is_err(), "the finalizer was taken off")
            })
            .await;
        })
        .await;
    cluster
}

/// As clusters are that take no chances with kubelets.
fn options() -> Options {
    Options::new().scheduler(false).kwok(false).api_server_flag("--enable-admission-plugins=NodeRestriction")
}

/// Who a machine is once it has joined.
fn kubelet(cluster: &ControlPlane, node: &str) -> Identity {
    cluster.user(&format!("system:node:{node}"), &["system:nodes"]).unwrap()
}

fn nodes(identity: &Identity) -> Api<Node> {
    Api::all(identity.client().unwrap())
}

fn of_kind(identity: &Identity, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("groundskeeper.dev", "v1alpha1", kind);
    Api::all_with(identity.client().unwrap(), &ApiResource::from_gvk(&kind))
}

fn read<T: serde::de::DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).unwrap()
}

/// Applies a `NodeCleanupPolicy` as the administrator.
fn apply_policy(cluster: &ControlPlane, name: &str, spec: &Value) {
    let policy = json!({
        "apiVersion": "groundskeeper.dev/v1alpha1",
        "kind": "NodeCleanupPolicy",
        "metadata": {"name": name},
        "spec": spec,
    });
    kubectl(cluster, &["apply", "--server-side", "-f", "-"], &policy.to_string());
}

/// What a new node with these labels would have.
async fn finalizers_of_new(identity: &Identity, labels: &Value) -> Vec<String> {
    let node = json!({"metadata": {"generateName": "tried-", "labels": labels}});
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let created = nodes(identity).create(&dry_run, &read(node)).await.unwrap();
    created.metadata.finalizers.unwrap_or_default()
}

/// Waits until a policy that was just applied puts the finalizer on nodes with these labels.
async fn in_force(cluster: &ControlPlane, labels: &Value) {
    eventually(cluster, "the policy is in force", async || {
        let found = finalizers_of_new(cluster.admin(), labels).await;
        holds(found == [FINALIZER], format!("{found:?}"))
    })
    .await;
}

/// Takes all finalizers off, by `nodes` or `nodes/status`, by a patch of this type or by a PUT.
async fn strip(identity: &Identity, name: &str, resource: &str, how: &str) -> Result<(), String> {
    use kube::api::{Patch, PatchParams};
    let api = nodes(identity);
    let is_status = resource == "nodes/status";
    let merge = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let strategic =
        Patch::Strategic(json!({"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}}));
    let params = PatchParams::default();
    let answer = match (how, is_status) {
        ("put", _) => put(identity, name, resource, |node| node.metadata.finalizers = None).await,
        ("merge", false) => api.patch(name, &params, &merge).await,
        ("merge", true) => api.patch_status(name, &params, &merge).await,
        (_, false) => api.patch(name, &params, &strategic).await,
        (_, true) => api.patch_status(name, &params, &strategic).await,
    };
    match answer {
        Ok(node) if node.metadata.finalizers.is_none() => Ok(()),
        Ok(node) => panic!("{how} on {resource} has kept {:?}", node.metadata.finalizers),
        Err(error) => Err(words(&error)),
    }
}

/// Reads a node, changes it and puts it back; once more if somebody wrote in between, as the controller manager does with taints.
async fn put(
    identity: &Identity,
    name: &str,
    resource: &str,
    change: impl Fn(&mut Node),
) -> kube::Result<Node> {
    let api = nodes(identity);
    let mut writes = 0;
    loop {
        let mut node = api.get(name).await.unwrap();
        let version = node.metadata.resource_version.clone();
        change(&mut node);
        let params = PostParams::default();
        let answer = match resource {
            "nodes/status" => api.replace_status(name, &params, &node).await,
            _ => api.replace(name, &params, &node).await,
        };
        if answer.is_ok() {
            return answer;
        }
        let now = api.get_opt(name).await.unwrap();
        if now.is_none_or(|now| now.metadata.resource_version == version) {
            return answer;
        }
        writes += 1;
        assert!(writes < 20, "somebody writes to {name} without end");
    }
}

/// What the server says, in full.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{}: {}", status.code, status.message),
        other => other.to_string(),
    }
}

/// Somebody with these rights in the whole cluster: group, resource, verbs.
fn somebody(cluster: &ControlPlane, name: &str, rules: &[(&str, &str, &[&str])]) -> Identity {
    let group = "rbac.authorization.k8s.io";
    let rules: Vec<_> = rules
        .iter()
        .map(
            |(group, resource, verbs)| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs}),
        )
        .collect();
    let documents = [
        json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}),
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": group, "kind": "User", "name": name}],
        }),
    ];
    support::webhook::apply(cluster, &documents);
    cluster.user(name, &[]).unwrap()
}

#[tokio::test]
async fn the_api_server_finds_nothing_odd_in_our_expressions() {
    let cluster = cluster().await;
    eventually(cluster, "all policies have been checked", async || {
        let found = kubectl(cluster, &["get", "validatingadmissionpolicies", "-o", "json"], "");
        let found: Value = serde_json::from_str(&found).unwrap();
        let ours = found["items"].as_array().unwrap();
        for policy in ours {
            assert_eq!(policy["status"]["typeChecking"]["expressionWarnings"], Value::Null, "{policy:#}");
        }
        let checked =
            |policy: &Value| policy["status"]["observedGeneration"] == policy["metadata"]["generation"];
        holds(ours.len() == 8 && ours.iter().all(checked), format!("{} policies", ours.len()))
    })
    .await;
}
