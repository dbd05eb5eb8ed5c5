//! Departures are listed, watched, begun.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::bed::{OURS, bed};

#[tokio::test]
async fn departures_are_listed_with_what_stands_in_their_way_and_those_without_a_record_too() {
    let bed = bed().await;
    bed.node("staying", &[OURS]).await;
    let uid = bed.leaving("worker-1", &[OURS]).await;
    let blocker = json!({"reason": "BudgetExhausted", "message": "team/web lets none go", "objects": []});
    let status = json!({
        "phase": "Draining", "startTime": "2026-11-21T11:00:00Z", "deadline": "2126-11-21T17:00:00Z",
        "podsTotal": 3, "podsLeft": 2, "blockers": [blocker],
    });
    bed.record("worker-1", &uid, status).await;
    bed.leaving("worker-2", &[OURS, "example.com/other"]).await;
    bed.leaving("foreign", &["example.com/other"]).await;
    bed.record("gone", "u-gone", json!({"phase": "Completed", "completionTime": "2026-11-21T10:00:00Z"}))
        .await;

    let told = bed.run("nodes list -o json").ok().json();
    let rows: Vec<_> =
        told["departures"].as_array().unwrap().iter().map(|row| (&row["node"], &row["phase"])).collect();
    let expected = [("worker-1", "Draining"), ("worker-2", "Unrecorded")]
        .map(|(node, phase)| (json!(node), json!(phase)));
    assert_eq!(rows, expected.iter().map(|(node, phase)| (node, phase)).collect::<Vec<_>>(), "{told:#}");
    assert_eq!(told["departures"][0]["blockers"][0]["reason"], "BudgetExhausted");
    let all = bed.run("nodes list --all -o json").ok().json();
    assert_eq!(all["departures"][2]["node"], "gone", "what has ended comes last: {all:#}");
    let table = bed.run("nodes list").ok().out;
    assert!(table.contains("BudgetExhausted: team/web lets none go") && table.contains("2/3"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_departure_is_watched_to_its_end_and_the_status_says_how_it_ended() {
    let bed = bed().await;
    for (node, last, status) in [("done", "Completed", 0), ("freed", "Released", 2), ("lost", "Lost", 3)] {
        let uid = bed.leaving(node, &[OURS]).await;
        let watching = bed.start(&format!("nodes watch {node} --timeout 30s"));
        bed.record(node, &uid, json!({"phase": "Draining", "podsTotal": 2, "podsLeft": 1})).await;
        // Also a watch that begins late tells the end.
        bed.says("NodeCleanup", &uid, json!({"phase": last, "podsLeft": 0})).await;
        let said = watching.await.unwrap();
        assert_eq!(said.status, status, "{said:?}");
        assert!(said.out.contains(last), "{said:?}");
        bed.takes_off(node, OURS).await;
        let late = bed.run(&format!("nodes watch {node} -o json"));
        let line: Value = serde_json::from_str(late.out.lines().next().unwrap()).unwrap();
        assert_eq!((late.status, &line["event"], &line["phase"]), (status, &json!("phase"), &json!(last)));
    }
    let uid = bed.leaving("slow", &[OURS]).await;
    bed.record("slow", &uid, json!({"phase": "Draining"})).await;
    assert_eq!(bed.run("nodes watch slow --timeout 1500ms").status, 4);
    assert!(bed.run("nodes watch nobody").complaint().contains("there is no node nobody"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_deleted_only_if_somebody_will_clean_up_after_it() {
    let bed = bed().await;
    let uid = bed.node("worker-1", &["example.com/other"]).await;
    let refused = bed.run("nodes cleanup worker-1 --yes").complaint();
    assert!(refused.contains("there is no NodeCleanupPolicy"), "{refused}");
    bed.create("NodeCleanupPolicy", "gpus", json!({"nodeSelector": {"matchLabels": {"pool": "gpus"}}})).await;
    assert!(bed.run("nodes cleanup worker-1 --yes").complaint().contains("no NodeCleanupPolicy selects it"));
    bed.create("NodeCleanupPolicy", "workers", json!({"dryRun": true})).await;
    assert!(bed.run("nodes cleanup worker-1 --yes").complaint().contains("policy workers only plans"));
    let act = Patch::Merge(json!({"spec": {"dryRun": false}}));
    bed.api("NodeCleanupPolicy").patch("workers", &PatchParams::default(), &act).await.unwrap();
    assert!(bed.run("nodes cleanup worker-1").complaint().contains("--yes"));
    assert!(bed.look("Node", "worker-1").await.unwrap()["metadata"].get("deletionTimestamp").is_none());

    // The finalizer is missing, and waited for.
    let cleaning = bed.start("nodes cleanup worker-1 --yes");
    let add = Patch::Merge(json!({"metadata": {"finalizers": ["example.com/other", OURS]}}));
    tokio::time::sleep(crate::bed::LOOK * 10).await;
    assert!(!cleaning.is_finished());
    bed.api("Node").patch("worker-1", &PatchParams::default(), &add).await.unwrap();
    let said = cleaning.await.unwrap().ok();
    assert!(said.out.contains("node worker-1 leaves"), "{said:?}");
    let node = bed.look("Node", "worker-1").await.unwrap();
    assert!(node["metadata"]["uid"] == uid.as_str() && node["metadata"]["deletionTimestamp"].is_string());
    let again = bed.run("nodes cleanup worker-1 --yes").ok();
    assert!(again.out.contains("leaves already"), "{again:?}");
}

#[tokio::test]
async fn a_dry_run_of_a_cleanup_changes_nothing() {
    let bed = bed().await;
    bed.node("worker-1", &[OURS]).await;
    bed.create("NodeCleanupPolicy", "workers", json!({})).await;
    let said = bed.run("nodes cleanup worker-1 --dry-run").ok();
    assert!(said.out.contains("by policy workers") && said.out.contains("would leave"), "{said:?}");
    let node = bed.look("Node", "worker-1").await.unwrap();
    assert!(node["metadata"].get("deletionTimestamp").is_none(), "{node}");
}
