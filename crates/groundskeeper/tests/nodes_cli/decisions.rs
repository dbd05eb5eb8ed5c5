//! What people decide about departures: in the operator's place, beside it, and without it.

use std::sync::atomic::{AtomicBool, Ordering};

use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::bed::{OURS, bed, run_as};

const STEPS: &str = r#"{"phase": "CleaningUp", "deadline": "2126-11-21T12:00:00Z", "steps": [
    {"name": "drain", "state": "Done", "attempts": 1}, {"name": "forget", "state": "Failed", "attempts": 6}]}"#;

fn failed() -> Value {
    serde_json::from_str(STEPS).unwrap()
}

#[tokio::test]
async fn each_decision_stands_in_the_record_with_who_made_it_and_why() {
    let bed = bed().await;
    let uid = bed.leaving("worker-1", &[OURS]).await;
    bed.record("worker-1", &uid, failed()).await;
    let refused = bed.run("nodes pause worker-1").complaint();
    assert!(refused.contains("nobody is there to confirm"), "{refused}");
    let decisions = [
        "pause worker-1 --why lunch_time",
        "skip-step worker-1 forget",
        "extend worker-1 --by 2h",
        "retry-step worker-1 forget --why cmdb_is_back",
        "release worker-1",
    ];
    for decision in decisions {
        let said = bed.run(&format!("nodes {decision} --yes -o json")).ok().json();
        assert_eq!(said["changed"], true, "{said}");
    }
    let record = bed.look("NodeCleanup", &uid).await.unwrap();
    let overrides = &record["spec"]["overrides"];
    let by = bed.cluster.admin().name();
    assert_eq!((&overrides["paused"]["by"], &overrides["paused"]["why"]), (&json!(by), &json!("lunch time")));
    assert_eq!((&overrides["skip"][0]["step"], &overrides["skip"][0]["by"]), (&json!("forget"), &json!(by)));
    assert_eq!(overrides["retry"][0]["why"], "cmdb is back");
    assert_eq!(overrides["extend"]["until"], "2126-11-21T14:00:00Z");
    assert_eq!(overrides["release"]["by"], by);

    let again = bed.run("nodes pause worker-1 --yes").ok();
    assert!(again.out.contains("is so already"), "{again:?}");
    bed.run("nodes resume worker-1 --yes").ok();
    let record = bed.look("NodeCleanup", &uid).await.unwrap();
    assert!(record["spec"]["overrides"].get("paused").is_none(), "{record}");
    assert_eq!(record["spec"]["overrides"]["skip"], overrides["skip"], "the others stay");

    let unknown = bed.run("nodes skip-step worker-1 forgot --yes").complaint();
    assert!(unknown.contains("its steps are drain, wait-volume-detach, forget"), "{unknown}");
    assert!(bed.run("nodes skip-step worker-1 drain --yes").complaint().contains("nothing to skip"));
    bed.says("NodeCleanup", &uid, json!({"phase": "Completed"})).await;
    assert!(bed.run("nodes pause worker-1 --yes").complaint().contains("has ended: Completed"));
    bed.node("staying", &[OURS]).await;
    assert!(bed.run("nodes pause staying --yes").complaint().contains("nobody has deleted it"));
}

#[tokio::test]
async fn whoever_lacks_a_right_is_told_which() {
    let bed = bed().await;
    let uid = bed.leaving("worker-1", &[OURS]).await;
    bed.record("worker-1", &uid, failed()).await;
    let reads = json!({"apiGroups": ["", "groundskeeper.dev"], "resources": ["nodes", "nodecleanups"], "verbs": ["get", "list"]});
    let reader = bed.somebody("reader", json!([reads]));
    for (decision, verb) in [("pause", "`patch` and `pause`"), ("release", "`patch` and `release`")] {
        let complaint = run_as(&reader, &format!("nodes {decision} worker-1 --yes")).complaint();
        assert!(
            complaint.contains(&format!("you lack the verbs {verb} on nodecleanups.groundskeeper.dev")),
            "{complaint}"
        );
    }
    assert!(bed.look("NodeCleanup", &uid).await.unwrap()["spec"]["overrides"].get("paused").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_gets_through_while_the_operator_writes() {
    let bed = bed().await;
    let uid = bed.leaving("worker-1", &[OURS]).await;
    bed.record("worker-1", &uid, failed()).await;
    let ended = AtomicBool::new(false);
    let deciding = async {
        for decision in ["pause worker-1", "resume worker-1", "extend worker-1 --by 1h"] {
            bed.start(&format!("nodes {decision} --yes")).await.unwrap().ok();
        }
        ended.store(true, Ordering::Relaxed);
    };
    let writing = async {
        let mut written = 0;
        while !ended.load(Ordering::Relaxed) {
            written += 1;
            bed.says("NodeCleanup", &uid, json!({"podsLeft": written})).await;
            tokio::time::sleep(crate::bed::LOOK).await;
        }
        written
    };
    let ((), written) = tokio::join!(deciding, writing);
    let record = bed.look("NodeCleanup", &uid).await.unwrap();
    assert_eq!(record["status"]["podsLeft"], written, "nothing of the operator's was overwritten");
    assert!(record["spec"]["overrides"]["extend"].is_object());
}

#[tokio::test]
async fn a_node_is_let_go_without_an_operator_and_an_event_says_who_did_it() {
    let bed = bed().await;
    let uid = bed.leaving("worker-1", &["example.com/a", OURS, "example.com/b"]).await;
    bed.record("worker-1", &uid, failed()).await;
    bed.node("staying", &[OURS]).await;
    let living = bed.run("nodes release staying --stand-alone --yes").complaint();
    assert!(living.contains("is not being deleted"), "{living}");
    assert!(bed.run("nodes release worker-1 --stand-alone").complaint().contains("--yes"));

    let said = bed.run("nodes release worker-1 --stand-alone --yes --why machine_burnt -o json").ok().json();
    assert_eq!(
        (&said["changed"], &said["heldBy"]),
        (&json!(true), &json!(["example.com/a", "example.com/b"])),
        "{said}"
    );
    assert_eq!(said["warnings"], json!([]));
    assert_eq!(bed.finalizers("worker-1").await, ["example.com/a", "example.com/b"]);
    assert_eq!(bed.finalizers("staying").await, [OURS]);
    let record = bed.look("NodeCleanup", &uid).await.unwrap();
    assert_eq!(record["spec"]["overrides"]["release"]["why"], "machine burnt");
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("events.k8s.io", "v1", "Event"));
    let events: Api<DynamicObject> = Api::namespaced_with(bed.client.clone(), "default", &kind);
    let events = events.list(&ListParams::default()).await.unwrap();
    let event = events
        .iter()
        .map(|event| &event.data)
        .find(|event| event["regarding"]["uid"] == uid.as_str())
        .unwrap();
    let by = bed.cluster.admin().name();
    assert_eq!(event["reason"], "ReleasedByHand");
    assert_eq!(event["note"], format!("{by} has taken {OURS} off: machine burnt"));

    let again = bed.run("nodes release worker-1 --stand-alone --yes").ok();
    assert!(again.out.contains("not held by us; held by example.com/a, example.com/b still"), "{again:?}");
    // Without our kinds, and without a record, it works all the same.
    bed.leaving("worker-2", &[OURS]).await;
    bed.run("nodes release worker-2 --stand-alone --yes").ok();
    assert!(bed.look("Node", "worker-2").await.is_none());
}
