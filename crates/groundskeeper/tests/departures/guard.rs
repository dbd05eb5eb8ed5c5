//! Deletions that a policy has refused.

use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind};
use serde_json::json;

use crate::support::{eventually, holds};
use crate::yard::Yard;

/// What the deletion of a node is answered to somebody who may delete nodes, and no more; nothing is deleted.
async fn refusal(yard: &Yard, node: &str) -> Option<String> {
    let user = yard.cluster.user("cleaner", &["cleaners"]).unwrap().client().unwrap();
    let nodes = Api::<DynamicObject>::all_with(
        user,
        &ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Node")),
    );
    let tried = DeleteParams { dry_run: true, ..DeleteParams::default() };
    nodes.delete(node, &tried).await.err().map(|error| error.to_string())
}

pub(crate) async fn the_last_node_of_a_pool_and_one_that_a_budget_needs_are_not_deleted() {
    let yard = Yard::new("guarded").await;
    for object in [
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "cleaners"},
            "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["delete"]}]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "cleaners"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cleaners"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "cleaners"}]}),
    ] {
        yard.create(object).await;
    }
    yard.policy(json!({"validateDeletion": {"lastOf": "yard", "brokenBudgets": true}})).await;
    let last = yard.node("a").await;
    eventually(yard.cluster, "the last of its pool is kept", async || {
        let refusal = refusal(&yard, &last).await.unwrap_or_default();
        holds(refusal.contains("last node of its pool"), refusal)
    })
    .await;

    let other = yard.node("b").await;
    eventually(yard.cluster, "with another one it may go", async || {
        let refusal = refusal(&yard, &last).await;
        holds(refusal.is_none(), format!("{refusal:?}"))
    })
    .await;

    yard.pod(&other, "kept").await;
    yard.budget("closed", "kept", json!({"minAvailable": 1})).await;
    eventually(yard.cluster, "the node of a budget that lets nothing go is kept", async || {
        let refusal = refusal(&yard, &other).await.unwrap_or_default();
        holds(refusal.contains("budget"), refusal)
    })
    .await;
    assert_eq!(refusal(&yard, &last).await, None, "the other one is not");
}
