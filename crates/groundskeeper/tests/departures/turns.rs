//! How many nodes leave at one time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::api::ListParams;
use serde_json::json;

use crate::yard::{Yard, blockers};

/// They take their time, one beside the other.
#[tokio::test]
async fn no_more_leave_than_may() {
    tokio::join!(
        two_of_three_wait_for_their_turn(),
        of_one_zone_one_leaves_at_a_time(),
        a_storm_holds_all_and_lets_go_when_the_policy_says_so(),
    );
}

async fn two_of_three_wait_for_their_turn() {
    let yard = Yard::new("turns").await;
    yard.policy(json!({"concurrency": {"max": 1, "stormBrakePercent": 100}})).await;
    let nodes = [yard.node("a").await, yard.node("b").await, yard.node("c").await];
    yard.patch("NodeCleanupPolicy", "turns", json!({"spec": {"paused": true}})).await;
    let mut runs = Vec::new();
    for node in &nodes {
        runs.push(yard.delete_node(node).await);
    }
    for run in &runs {
        yard.begun(run).await;
    }
    yard.patch("NodeCleanupPolicy", "turns", json!({"spec": {"paused": false}})).await;

    let are_all_gone = AtomicBool::new(false);
    let watching = async {
        let mut most = 0;
        while !are_all_gone.load(Ordering::Relaxed) {
            let records = yard.ours("NodeCleanup").list(&ListParams::default()).await.unwrap();
            let begun = records.items.iter().filter(|record| {
                let phase = record.data["status"]["phase"].as_str().unwrap_or("Waiting");
                record.data["spec"]["policy"] == "turns" && !["Waiting", "Completed"].contains(&phase)
            });
            most = most.max(begun.count());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        most
    };
    let waiting = async {
        let others = |status: &serde_json::Value| blockers(status) == ["WaitsForTurn"];
        yard.until(&runs[1], "it waits", others).await;
        yard.until(&runs[2], "it waits", others).await;
        for (node, run) in nodes.iter().zip(&runs) {
            yard.ends(node, run, "Completed").await;
        }
        are_all_gone.store(true, Ordering::Relaxed);
    };
    let (most, ()) = tokio::join!(watching, waiting);
    assert_eq!(most, 1);
}

async fn of_one_zone_one_leaves_at_a_time() {
    let yard = Yard::new("zones").await;
    let per_zone = json!({"key": "zone", "max": 1});
    yard.policy(json!({"concurrency": {"max": 5, "perLabel": per_zone, "stormBrakePercent": 100}})).await;
    let mut nodes = BTreeMap::new();
    for (name, zone) in [("a", "x"), ("b", "x"), ("c", "y")] {
        let node = yard.node_labelled(name, json!({"yard": "zones", "zone": zone})).await;
        yard.is_kept(&node, true).await;
        yard.stubborn_pod(&node, &format!("stays-{name}")).await;
        nodes.insert(name, node);
    }
    let first = yard.delete_node(&nodes["a"]).await;
    yard.until(&first, "the first has begun", |status| status["phase"] != "Waiting").await;

    let second = yard.delete_node(&nodes["b"]).await;
    let elsewhere = yard.delete_node(&nodes["c"]).await;

    let record = yard.until(&second, "it waits", |status| blockers(status) == ["WaitsForGroup"]).await;
    assert!(record["status"]["blockers"].to_string().contains("zone=x"), "{record}");
    yard.until(&elsewhere, "the other zone goes on", |status| status["phase"] != "Waiting").await;
    for (name, run) in [("a", &first), ("b", &second), ("c", &elsewhere)] {
        yard.let_end(&format!("stays-{name}")).await;
        yard.ends(&nodes[name], run, "Completed").await;
    }
}

async fn a_storm_holds_all_and_lets_go_when_the_policy_says_so() {
    let yard = Yard::new("storm").await;
    yard.policy(json!({})).await;
    let nodes = [yard.node("a").await, yard.node("b").await, yard.node("c").await, yard.node("d").await];
    yard.patch("NodeCleanupPolicy", "storm", json!({"spec": {"paused": true}})).await;
    let mut runs = Vec::new();
    for node in &nodes[..3] {
        runs.push(yard.delete_node(node).await);
    }
    for run in &runs {
        yard.begun(run).await;
    }
    yard.patch("NodeCleanupPolicy", "storm", json!({"spec": {"paused": false}})).await;

    for run in &runs {
        // What it counts is looked at again every ten seconds.
        let holds = |status: &serde_json::Value| {
            let message = status["blockers"][0]["message"].as_str().unwrap_or_default();
            blockers(status) == ["StormBrake"]
                && message.contains("3 of 4")
                && message.contains("stormBrakePercent")
        };
        let record = yard.until(run, "the brake holds", holds).await;
        assert_eq!(record["status"]["phase"], "Waiting");
    }
    yard.patch("NodeCleanupPolicy", "storm", json!({"spec": {"concurrency": {"stormBrakePercent": 100}}}))
        .await;
    for (node, run) in nodes.iter().zip(&runs) {
        yard.ends(node, run, "Completed").await;
    }
}
