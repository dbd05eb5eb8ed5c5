//! What stands in the way has a name, and goes on when it is lifted.

use serde_json::json;

use crate::support::{eventually, holds};
use crate::yard::{Yard, blockers, is};

pub(crate) async fn a_budget_that_lets_nothing_go_is_named_and_the_node_leaves_when_it_opens() {
    let yard = Yard::new("budget").await;
    yard.policy(json!({})).await;
    let node = yard.node("a").await;
    yard.pod(&node, "kept").await;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "keep", "namespace": yard.namespace},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "kept"}}},
    });
    yard.create(budget).await;
    eventually(yard.cluster, "the budget is counted", async || {
        let budget = yard.look("policy/v1", "PodDisruptionBudget", "keep").await.unwrap();
        holds(budget["status"]["currentHealthy"] == 1, budget["status"].clone())
    })
    .await;

    let run = yard.delete_node(&node).await;

    let record = yard
        .until(&run, "the budget is named", |status| {
            !blockers(status).is_empty() && status["phase"] == "Draining"
        })
        .await;
    let blocker = &record["status"]["blockers"][0];
    assert!(blocker["reason"].as_str().unwrap().starts_with("Budget"), "{blocker}");
    let named = blocker.to_string();
    assert!(named.contains("keep") && blocker["since"].is_string(), "{blocker}");
    assert_eq!(is(&record, "Blocked"), Some("True"), "{record}");
    assert_eq!(yard.told(&node, "CleanupBlocked").await, 1);

    yard.patch("PodDisruptionBudget", "keep", json!({"spec": {"minAvailable": 0}})).await;
    yard.ends(&node, &run, "Completed").await;
}
