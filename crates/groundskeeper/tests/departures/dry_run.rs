//! A policy that only plans.

use serde_json::json;

use crate::users::{is_closed, meanwhile, why};
use crate::yard::{FINALIZER, Yard, blockers, finalizers};

pub(crate) async fn a_policy_that_only_plans_touches_nothing() {
    let yard = Yard::new("dry").await;
    let guard = json!({"lastOf": "yard"});
    yard.policy(json!({"dryRun": true, "validateDeletion": guard})).await;
    let policy = yard.look("groundskeeper.dev/v1alpha1", "NodeCleanupPolicy", "dry").await.unwrap();
    assert_eq!(why(&policy, "Ready").0, "DryRun", "{policy}");
    let node = yard.node_labelled("a", json!({"yard": "dry"})).await;
    yard.pod(&node, "stays").await;
    meanwhile(2).await;
    let found = yard.look("v1", "Node", &node).await.unwrap();
    assert!(finalizers(&found).is_empty() && !is_closed(&found), "{found}");
    assert!(found["metadata"]["labels"]["groundskeeper.dev/deletion-guard"].is_null(), "{found}");

    // A node that was kept before the policy became one that only plans.
    yard.patch("Node", &node, json!({"metadata": {"finalizers": [FINALIZER]}})).await;
    let run = yard.delete_node(&node).await;
    yard.until(&run, "it says why it waits", |status| blockers(status) == ["DryRun"]).await;
    meanwhile(6).await;
    let found = yard.look("v1", "Node", &node).await.unwrap();
    assert!(finalizers(&found) == [FINALIZER] && !is_closed(&found), "{found}");
    assert!(yard.look("v1", "Pod", "stays").await.unwrap()["metadata"]["deletionTimestamp"].is_null());

    yard.patch("NodeCleanupPolicy", "dry", json!({"spec": {"dryRun": false}})).await;
    yard.ends(&node, &run, "Completed").await;
}
