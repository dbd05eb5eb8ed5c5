//! Deletions of nodes that are refused, and whoever may have their way all the same.

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};
use testbed::{ControlPlane, Identity};

use crate::{FINALIZER, cluster, nodes, read, somebody, words};

async fn create(cluster: &ControlPlane, name: &str, metadata: Value) {
    let mut node = json!({"metadata": metadata});
    node["metadata"]["name"] = json!(name);
    nodes(cluster.admin()).create(&PostParams::default(), &read(node)).await.unwrap();
}

/// A node that carries the guard's label.
async fn guarded(cluster: &ControlPlane, name: &str, because: &str) {
    let labels = json!({"groundskeeper.dev/deletion-guard": because, "suite": "deletion"});
    create(cluster, name, json!({"labels": labels, "finalizers": [FINALIZER]})).await;
}

async fn delete(identity: &Identity, name: &str) -> Result<(), String> {
    let api: Api<Node> = nodes(identity);
    api.delete(name, &DeleteParams::default()).await.map(drop).map_err(|error| words(&error))
}

#[tokio::test]
async fn a_node_that_may_not_go_stays_and_the_refusal_says_why_and_what_lifts_it() {
    let cluster = cluster().await;
    let ada =
        somebody(cluster, "deletion-ada", &[("", "nodes", &["get", "list", "delete", "deletecollection"])]);
    let bob = somebody(
        cluster,
        "deletion-bob",
        &[("", "nodes", &["delete"]), ("groundskeeper.dev", "nodecleanups", &["override"])],
    );
    let table = [
        ("LastOfPool", "it is the last node of its pool: add another one"),
        ("BudgetWouldBreak", "a disruption budget would keep one of its pods: raise the budget"),
        ("Else", "its label says so"),
    ];
    for (because, expected) in table {
        let name = format!("deletion-{}", because.to_lowercase());
        guarded(cluster, &name, because).await;
        let refusal = delete(&ada, &name).await.unwrap_err();
        assert!(refusal.starts_with("422: ") || refusal.starts_with("403: "), "{refusal}");
        assert!(
            refusal.contains(expected) && refusal.contains("groundskeeper.dev/skip-cleanup=true"),
            "{refusal}"
        );
    }
    let all = ListParams::default().labels("suite=deletion");
    let refusal = nodes(&ada).delete_collection(&DeleteParams::default(), &all).await.unwrap_err();
    assert!(words(&refusal).contains("may not be deleted now"), "{refusal}");

    // Whoever may override deletes it; that it is being deleted already is news to nobody.
    delete(&bob, "deletion-lastofpool").await.unwrap();
    let node = nodes(&ada).get("deletion-lastofpool").await.unwrap();
    assert!(node.metadata.deletion_timestamp.is_some(), "it waits for its cleanup");
    delete(&ada, "deletion-lastofpool").await.unwrap();
    delete(cluster.admin(), "deletion-budgetwouldbreak").await.unwrap();

    let annotations = json!({"groundskeeper.dev/skip-cleanup": "true"});
    let labels = json!({"groundskeeper.dev/deletion-guard": "LastOfPool"});
    create(cluster, "deletion-skips", json!({"annotations": annotations, "labels": labels})).await;
    delete(&ada, "deletion-skips").await.unwrap();
    create(cluster, "deletion-free", json!({})).await;
    delete(&ada, "deletion-free").await.unwrap();
}
