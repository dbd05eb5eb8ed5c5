//! A node is drained for a maintenance, and given back.

use serde_json::json;

use crate::bed::{OURS, bed};
use crate::support::{eventually, holds};

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_is_a_maintenance_that_is_waited_for_and_taken_back() {
    let bed = bed().await;
    bed.node("worker-1", &[]).await;
    let draining =
        bed.start("nodes drain worker-1 --force --pod-selector app=web --timeout 10m --reason kernel_update");
    eventually(bed.cluster, "the maintenance is made", async || {
        holds(bed.look("NodeMaintenance", "worker-1").await.is_some(), "none")
    })
    .await;
    let made = bed.look("NodeMaintenance", "worker-1").await.unwrap();
    let drain = json!({"force": true, "podSelector": {"matchLabels": {"app": "web"}}, "timeoutSeconds": 600});
    assert_eq!(made["spec"], json!({"nodeName": "worker-1", "reason": "kernel update", "drain": drain}));
    let blocker = json!({"reason": "BudgetExhausted", "message": "team/web lets none go", "objects": []});
    let running = json!({"phase": "Running", "podsTotal": 3, "podsLeft": 1, "blockers": [blocker], "drainProgress": 66});
    bed.says("NodeMaintenance", "worker-1", running).await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    bed.says("NodeMaintenance", "worker-1", json!({"phase": "Succeeded", "podsLeft": 0, "blockers": []}))
        .await;
    let said = draining.await.unwrap().ok();
    for expected in
        ["worker-1: 1 of 3 pods left", "BudgetExhausted: team/web lets none go", "worker-1 is empty"]
    {
        assert!(said.out.contains(expected), "{said:?}");
    }

    let same = "nodes drain worker-1 --force --pod-selector app=web --timeout 10m";
    assert!(bed.run(same).ok().out.contains("to be empty already"));
    let other = bed.run("nodes drain worker-1").complaint();
    assert!(other.contains("with other settings"), "{other}");
    assert!(bed.run("nodes undrain worker-1").ok().out.contains("is given back"));
    assert!(bed.look("NodeMaintenance", "worker-1").await.is_none());
    assert!(bed.run("nodes undrain worker-1").ok().out.contains("was not drained"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_fails_says_why_and_leaves_its_maintenance() {
    let bed = bed().await;
    bed.node("worker-1", &[]).await;
    let draining = bed.start("nodes drain worker-1");
    eventually(bed.cluster, "the maintenance is made", async || {
        holds(bed.look("NodeMaintenance", "worker-1").await.is_some(), "none")
    })
    .await;
    let ready = json!({"type": "Ready", "status": "False", "reason": "Refused", "message": "a pod has local storage",
        "lastTransitionTime": "2026-11-21T12:00:00Z"});
    bed.says("NodeMaintenance", "worker-1", json!({"phase": "Failed", "conditions": [ready]})).await;
    let said = draining.await.unwrap();
    assert_eq!(said.status, 2, "{said:?}");
    assert!(
        said.out.contains("was not drained: a pod has local storage") && said.err.contains("undrain"),
        "{said:?}"
    );
}

#[tokio::test]
async fn only_what_drain_has_made_is_taken_back_and_a_dry_run_makes_nothing() {
    let bed = bed().await;
    bed.node("worker-1", &[]).await;
    let tried = bed.run("nodes drain worker-1 --dry-run=server").ok();
    assert!(tried.out.contains("Node worker-1 under maintenance"), "{tried:?}");
    assert!(bed.look("NodeMaintenance", "worker-1").await.is_none());
    assert!(bed.run("nodes drain nobody").complaint().contains("there is no node nobody"));
    bed.leaving("worker-2", &[OURS]).await;
    assert!(bed.run("nodes drain worker-2").complaint().contains("it leaves for good"));

    bed.create("NodeMaintenance", "worker-1", json!({"nodeName": "worker-1"})).await;
    let refused = bed.run("nodes undrain worker-1").complaint();
    assert!(refused.contains("`nodes drain` did not make"), "{refused}");
    bed.create("NodeMaintenance", "by-hand", json!({"nodeName": "worker-3"})).await;
    assert!(bed.run("nodes undrain worker-3").complaint().contains("NodeMaintenance by-hand did"));
    assert!(bed.look("NodeMaintenance", "worker-1").await.is_some());
}
