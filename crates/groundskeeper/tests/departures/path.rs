//! From the deletion of a node to its end.

use serde_json::json;

use crate::support::{eventually, holds};
use crate::yard::{FINALIZER, Yard, finalizers, is, step};

#[tokio::test]
async fn a_node_is_closed_emptied_and_forgotten_before_it_goes() {
    let yard = Yard::new("path").await;
    yard.policy(json!({"steps": [{"name": "tell", "plugin": "log", "settings": {}}]})).await;
    let node = yard.node("a").await;
    yard.patch("Node", &node, json!({"metadata": {"finalizers": [FINALIZER, "example.com/theirs"]}})).await;
    for pod in ["one", "two"] {
        yard.pod(&node, pod).await;
    }

    let run = yard.delete_node(&node).await;

    yard.until(&run, "the node is cordoned", |status| status["cordonTime"].is_string()).await;
    let closed = yard.look("v1", "Node", &node).await.unwrap();
    assert_eq!(closed["spec"]["unschedulable"], true, "{closed}");
    let taints = closed["spec"]["taints"].as_array().unwrap();
    assert!(taints.iter().any(|taint| taint["key"] == "groundskeeper.dev/leaving"), "{taints:?}");
    assert_eq!(
        closed["metadata"]["labels"]["node.kubernetes.io/exclude-from-external-load-balancers"],
        "true"
    );

    let record = yard.until(&run, "all was done", |status| step(status, "tell")["state"] == "Done").await;
    assert_eq!(step(&record["status"], "drain")["state"], "Done", "{record}");
    eventually(yard.cluster, "our finalizer is off, and theirs is not", async || {
        let node = yard.look("v1", "Node", &node).await.unwrap();
        holds(finalizers(&node) == ["example.com/theirs"], node["metadata"].clone())
    })
    .await;
    yard.patch("Node", &node, json!({"metadata": {"finalizers": null}})).await;
    let record = yard.ends(&node, &run, "Completed").await;
    for (condition, expected) in [
        ("Ready", "True"),
        ("Reconciling", "False"),
        ("Stalled", "False"),
        ("Blocked", "False"),
        ("Drained", "True"),
        ("VolumesDetached", "True"),
    ] {
        assert_eq!(is(&record, condition), Some(expected), "{condition}: {record}");
    }
    assert_eq!((&record["status"]["podsTotal"], &record["status"]["podsLeft"]), (&json!(2), &json!(0)));
    yard.told(&node, "CleanupCompleted").await;
    let reasons: Vec<_> = yard.events(&node).await.into_iter().map(|(reason, _)| reason).collect();
    for reason in ["CleanupStarted", "CleanupStepStarted", "CleanupStepDone", "CleanupCompleted"] {
        assert!(reasons.iter().any(|told| told == reason), "{reason}: {reasons:?}");
    }
}

#[tokio::test]
async fn a_node_that_no_policy_decides_of_any_more_is_kept_by_nobody() {
    let yard = Yard::new("orphan").await;
    yard.policy(json!({})).await;
    let node = yard.node("a").await;

    yard.ours("NodeCleanupPolicy").delete("orphan", &kube::api::DeleteParams::default()).await.unwrap();

    eventually(yard.cluster, "the finalizer is taken off", async || {
        let node = yard.look("v1", "Node", &node).await.unwrap();
        holds(finalizers(&node).is_empty(), node["metadata"].clone())
    })
    .await;
}
