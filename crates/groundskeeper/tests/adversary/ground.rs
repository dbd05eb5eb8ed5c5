//! The control plane that the world lies on: etcd and the API server alone, with our manifests, the world's own kinds, and the
//! right to collect them.
//!
//! Without a controller manager nobody but the operator and the world's people removes anything.

use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use testbed::{ControlPlane, Options, Turn, Turns};

use crate::specs::{NAMES, OWNERS};
use crate::support::drafts::{definition, object};
use crate::support::{self, OPERATOR, kubectl, printed};
use crate::terms::{GROUP, KINDS, OWNERS_API_VERSION, OWNERS_KINDS, SPACES, api_version};

pub(crate) const POLICY: &str = "GarbageCollectionPolicy";
pub(crate) const CLUSTER_POLICY: &str = "ClusterGarbageCollectionPolicy";
pub(crate) const NAMESPACE: &str = "Namespace";

fn options() -> Options {
    support::audited().controller_manager(false)
}

/// A control plane on which there is nothing yet, for one world at a time.
pub(crate) async fn turn() -> (Turn, &'static ControlPlane) {
    static CLUSTERS: Turns<2> = Turns::new(options);
    let (turn, cluster) = CLUSTERS.take().await.unwrap();
    install(cluster);
    clear(cluster).await;
    (turn, cluster)
}

fn install(cluster: &ControlPlane) {
    support::install_crds(cluster);
    kubectl(cluster, &["apply", "-f", "-"], &printed(&["rbac"]));
    let apply = ["apply", "--server-side", "-f", "-"];
    for kind in ["Leaf"].into_iter().chain(OWNERS_KINDS) {
        let crd = definition(GROUP, kind).0;
        kubectl(cluster, &apply, &crd.to_string());
        let crd = format!("crd/{}", crd["metadata"]["name"].as_str().unwrap());
        kubectl(cluster, &["wait", "--for=condition=Established", "--timeout=30s", &crd], "");
    }
    let space = |name: &str| object("v1", NAMESPACE, name).0.to_string();
    let spaces = SPACES.map(space).join("\n---\n");
    kubectl(cluster, &apply, &[spaces, rights()].join("\n---\n"));
}

/// What a kind's opting in gives: the aggregated role is filled by a controller that does not run here.
fn rights() -> String {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "adversary"},
        "rules": [{
            "apiGroups": ["", GROUP], "resources": ["configmaps", "secrets", "leafs", "pods", "jobs"],
            "verbs": ["list", "watch", "delete", "patch"],
        }],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "adversary"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "adversary"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": OPERATOR}],
    });
    format!("{role}\n---\n{binding}")
}

/// Takes away what an earlier world has left.
async fn clear(cluster: &ControlPlane) {
    let client = &cluster.admin().client().unwrap();
    for kind in [POLICY, CLUSTER_POLICY].into_iter().chain(KINDS).chain(OWNERS_KINDS) {
        let all = everywhere(client, kind);
        // A definition may be so new that the server has yet to get ready for it.
        let found = support::eventually(cluster, "the kind can be listed", async || {
            all.list(&ListParams::default()).await.map_err(|error| error.to_string())
        });
        for found in found.await {
            let (name, namespace) = (found.name_any(), found.namespace().unwrap_or_default());
            let is_ours = NAMES.contains(&name.as_str()) || !KINDS.contains(&kind);
            if !is_ours {
                continue;
            }
            let api = api(client, kind, &namespace);
            if found.metadata.finalizers.is_some() {
                let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
                drop(api.patch(&name, &PatchParams::default(), &free).await);
            }
            drop(api.delete(&name, &DeleteParams::default()).await);
        }
    }
    let lease = ApiResource::from_gvk(&GroupVersionKind::gvk("coordination.k8s.io", "v1", "Lease"));
    let leases: Api<DynamicObject> = Api::namespaced_with(client.clone(), SPACES[3], &lease);
    drop(leases.delete("groundskeeper-slot-0", &DeleteParams::default()).await);
}

/// Those who own objects, in every namespace.
pub(crate) async fn make_owners(client: &Client) -> Vec<((String, String), String)> {
    let mut owners = Vec::new();
    for space in SPACES {
        for name in OWNERS {
            let kind = owners_kind(name);
            let owner: Value = object(OWNERS_API_VERSION, kind, name).0;
            let owner: DynamicObject = serde_json::from_value(owner).unwrap();
            let made = api(client, kind, space).create(&PostParams::default(), &owner).await.unwrap();
            owners.push(((space.to_owned(), name.to_owned()), made.uid().unwrap()));
        }
    }
    owners
}

/// The kind of an owner of this name, as `specs` writes it.
pub(crate) fn owners_kind(name: &str) -> &'static str {
    OWNERS_KINDS[usize::from(name >= "o3")]
}

fn resource(kind: &str) -> ApiResource {
    let (group, version) = match kind {
        POLICY | CLUSTER_POLICY => ("groundskeeper.dev", "v1alpha1"),
        "Leaf" | "Pod" | "Job" => (GROUP, "v1"),
        _ => ("", api_version(kind)),
    };
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// A kind in the whole cluster.
pub(crate) fn everywhere(client: &Client, kind: &str) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &resource(kind))
}

/// A kind in a namespace; in none, if it is of the cluster.
pub(crate) fn api(client: &Client, kind: &str, namespace: &str) -> Api<DynamicObject> {
    if namespace.is_empty() {
        return everywhere(client, kind);
    }
    Api::namespaced_with(client.clone(), namespace, &resource(kind))
}

/// What the API server calls a kind, and every proxy.
pub(crate) fn plural(kind: &str) -> &'static str {
    match kind {
        "ConfigMap" => "configmaps",
        "Secret" => "secrets",
        "Leaf" => "leafs",
        POLICY => "garbagecollectionpolicies",
        CLUSTER_POLICY => "clustergarbagecollectionpolicies",
        _ => "namespaces",
    }
}

/// The kind that the API server calls so.
pub(crate) fn kind_of(plural: &str) -> Option<&'static str> {
    KINDS.into_iter().find(|kind| self::plural(kind) == plural)
}
