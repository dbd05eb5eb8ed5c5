//! What happens to a departure while it is under way: to its node, its record, its policy, and by people.

use std::time::Duration;

use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::support::{eventually, holds};
use crate::target::{Target, done, failed, silence};
use crate::users::{is_closed, meanwhile};
use crate::yard::{FINALIZER, Yard, blockers, finalizers, is, step};

/// They take their time, one beside the other.
#[tokio::test]
async fn whatever_happens_to_a_departure_it_concerns_one_node_and_is_done_once() {
    tokio::join!(
        a_node_that_comes_back_while_its_departure_waits_is_another_one(),
        a_node_that_comes_back_after_its_departure_is_governed_anew(),
        a_record_that_is_deleted_is_made_again(),
        neither_a_change_nor_the_end_of_its_policy_changes_a_departure(),
        a_deletion_that_is_repeated_changes_nothing(),
        a_node_that_is_taken_away_in_the_middle_of_a_step_is_lost_and_the_step_named(),
    );
}

/// See above.
#[tokio::test]
async fn people_decide_and_their_word_stands_in_the_record() {
    tokio::join!(
        a_policy_that_rests_holds_its_departures_and_says_so(),
        a_departure_is_paused_and_goes_on(),
        a_step_that_failed_is_retried_by_hand_and_another_one_skipped(),
        a_deadline_is_extended_and_the_node_let_go(),
    );
}

/// Waits until a node is as nobody has touched it, but for our finalizer.
async fn is_untouched(yard: &Yard, node: &str, uid: &str) {
    yard.is_kept(node, true).await;
    let found = yard.look("v1", "Node", node).await.unwrap();
    assert_ne!(found["metadata"]["uid"], uid);
    assert!(!is_closed(&found), "{found}");
    assert!(found["metadata"]["labels"]["node.kubernetes.io/exclude-from-external-load-balancers"].is_null());
}

async fn a_node_that_comes_back_while_its_departure_waits_is_another_one() {
    let yard = Yard::new("ghost").await;
    yard.policy(json!({"concurrency": {"max": 1, "stormBrakePercent": 100}})).await;
    let (first, node) = (yard.node("a").await, yard.node("b").await);
    yard.stubborn_pod(&first, "stays").await;
    let before = yard.delete_node(&first).await;
    yard.until(&before, "it has begun", |status| status["phase"] != "Waiting").await;
    let run = yard.delete_node(&node).await;
    yard.until(&run, "it waits for its turn", |status| blockers(status) == ["WaitsForTurn"]).await;

    yard.strip(&node).await;
    yard.gone(&node, &run).await;
    yard.node("b").await;

    let record = yard.ends(&node, &run, "Lost").await;
    assert!(record["status"]["completionTime"].is_string(), "{record}");
    assert_eq!(yard.told(&node, "CleanupLost").await, 1);
    let told = yard.events(&node).await;
    assert!(told.iter().all(|(reason, _)| reason != "CleanupStarted"), "it has not begun: {told:?}");
    yard.pod(&node, "new").await;
    meanwhile(2).await;
    is_untouched(&yard, &node, &run).await;
    assert!(yard.look("v1", "Pod", "new").await.unwrap()["metadata"]["deletionTimestamp"].is_null());

    // It is lost at any other time just the same.
    yard.strip(&first).await;
    yard.ends(&first, &before, "Lost").await;
    let again = yard.delete_node(&node).await;
    yard.ends(&node, &again, "Completed").await;
    yard.let_end("stays").await;
}

async fn a_node_that_comes_back_after_its_departure_is_governed_anew() {
    let yard = Yard::new("again").await;
    yard.policy(json!({})).await;
    let node = yard.node("a").await;
    let run = yard.delete_node(&node).await;
    yard.ends(&node, &run, "Completed").await;

    yard.node("a").await;
    is_untouched(&yard, &node, &run).await;

    let again = yard.delete_node(&node).await;
    assert_ne!(again, run);
    yard.ends(&node, &again, "Completed").await;
    assert_eq!(yard.record(&run).await.unwrap()["status"]["phase"], "Completed");
}

async fn a_record_that_is_deleted_is_made_again() {
    let yard = Yard::new("norecord").await;
    let target = Target::new(|_, _| done()).await;
    yard.create(target.plugin("norecord-target")).await;
    yard.policy(json!({"steps": [{"name": "tell", "plugin": "norecord-target"}]})).await;
    let node = yard.node("a").await;
    yard.stubborn_pod(&node, "stays").await;
    let run = yard.delete_node(&node).await;
    let first = yard.until(&run, "it drains", |status| status["phase"] == "Draining").await;

    yard.ours("NodeCleanup").delete(&run, &DeleteParams::default()).await.unwrap();

    let second = yard.until(&run, "it drains again", |status| status["phase"] == "Draining").await;
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
    assert!(finalizers(&yard.look("v1", "Node", &node).await.unwrap()).contains(&FINALIZER.to_owned()));
    yard.let_end("stays").await;
    yard.ends(&node, &run, "Completed").await;
    assert_eq!(target.executed().len(), 1);
}

async fn neither_a_change_nor_the_end_of_its_policy_changes_a_departure() {
    let yard = Yard::new("frozen").await;
    let target = Target::new(|_, _| done()).await;
    yard.create(target.plugin("frozen-target")).await;
    yard.policy(
        json!({"steps": [{"name": "tell", "plugin": "frozen-target", "settings": {"as": "it was"}}]}),
    )
    .await;
    let node = yard.node("a").await;
    yard.stubborn_pod(&node, "stays").await;
    let run = yard.delete_node(&node).await;
    yard.until(&run, "it drains", |status| status["phase"] == "Draining").await;

    let changed = json!([{"name": "tell", "plugin": "frozen-target", "settings": {"as": "it became"}},
        {"name": "extra", "plugin": "log"}]);
    yard.patch("NodeCleanupPolicy", "frozen", json!({"spec": {"steps": changed}})).await;
    meanwhile(1).await;
    yard.ours("NodeCleanupPolicy").delete("frozen", &DeleteParams::default()).await.unwrap();
    meanwhile(1).await;
    yard.is_kept(&node, true).await;
    yard.let_end("stays").await;

    let record = yard.ends(&node, &run, "Completed").await;
    assert_eq!(step(&record["status"], "extra"), &Value::Null, "{record}");
    let asked = target.executed();
    assert_eq!(asked.iter().map(|(_, asked)| &asked["settings"]["as"]).collect::<Vec<_>>(), ["it was"]);
}

async fn a_node_that_is_taken_away_in_the_middle_of_a_step_is_lost_and_the_step_named() {
    let yard = Yard::new("taken").await;
    let target = Target::new(|_, _| silence()).await;
    yard.create(target.plugin("taken-target")).await;
    yard.policy(
        json!({"steps": [{"name": "tell", "plugin": "taken-target", "timeout": "1h", "dependsOn": []}]}),
    )
    .await;
    let node = yard.node("a").await;
    let run = yard.delete_node(&node).await;
    eventually(yard.cluster, "the step is under way", async || holds(!target.executed().is_empty(), ""))
        .await;

    yard.strip(&node).await;

    let record = yard.ends(&node, &run, "Lost").await;
    assert_eq!(
        (is(&record, "Ready"), is(&record, "Reconciling")),
        (Some("False"), Some("False")),
        "{record}"
    );
    yard.told(&node, "CleanupLost").await;
    let events = yard.events(&node).await;
    let lost = events.iter().find(|(reason, _)| reason == "CleanupLost");
    assert!(lost.is_some_and(|(_, note)| note.contains("tell")), "{events:?}");
}

/// As cloud controllers do, for as long as the node is there.
async fn a_deletion_that_is_repeated_changes_nothing() {
    let yard = Yard::new("repeated").await;
    let target = Target::new(|_, _| done()).await;
    yard.create(target.plugin("repeated-target")).await;
    yard.policy(json!({"steps": [{"name": "tell", "plugin": "repeated-target"}]})).await;
    let node = yard.node("a").await;
    yard.pod(&node, "goes").await;
    let run = yard.delete_node(&node).await;

    let repeating = async {
        while yard.api("v1", "Node").delete(&node, &DeleteParams::default()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let (record, ()) = tokio::join!(yard.ends(&node, &run, "Completed"), repeating);

    assert_eq!(target.executed().len(), 1);
    for name in ["drain", "wait-volume-detach", "tell"] {
        assert_eq!(step(&record["status"], name)["attempts"], 1, "{record}");
    }
    assert_eq!(yard.told(&node, "CleanupStarted").await, 1);
    assert_eq!(yard.told(&node, "CleanupCompleted").await, 1);
    let told = yard.events(&node).await;
    assert!(told.iter().all(|(reason, _)| reason != "CleanupBlocked"), "nothing stood in the way: {told:?}");
}

async fn a_policy_that_rests_holds_its_departures_and_says_so() {
    let yard = Yard::new("rests").await;
    yard.policy(json!({})).await;
    let (begun, waiting) = (yard.node("a").await, yard.node("b").await);
    yard.stubborn_pod(&begun, "stays").await;
    let run = yard.delete_node(&begun).await;
    yard.until(&run, "it drains", |status| status["phase"] == "Draining").await;

    let rests = async |run: &str| {
        let record = yard
            .until(run, "it says why it rests", |status| blockers(status).first() == Some(&"PolicyPaused"))
            .await;
        assert!(record["status"]["blockers"][0]["since"].is_string(), "{record}");
    };
    yard.patch("NodeCleanupPolicy", "rests", json!({"spec": {"paused": true}})).await;
    rests(&run).await;
    yard.pod(&begun, "late").await;
    let second = yard.delete_node(&waiting).await;
    rests(&second).await;
    yard.let_end("stays").await;
    meanwhile(2).await;
    assert!(yard.look("v1", "Pod", "late").await.unwrap()["metadata"]["deletionTimestamp"].is_null());
    let untouched = yard.look("v1", "Node", &waiting).await.unwrap();
    assert!(!is_closed(&untouched), "{untouched}");

    yard.patch("NodeCleanupPolicy", "rests", json!({"spec": {"paused": false}})).await;
    tokio::join!(yard.ends(&begun, &run, "Completed"), yard.ends(&waiting, &second, "Completed"));
}

async fn a_departure_is_paused_and_goes_on() {
    let yard = Yard::new("paused").await;
    yard.policy(json!({})).await;
    let node = yard.node("a").await;
    yard.pod(&node, "stays").await;
    let run = yard.delete_node(&node).await;
    yard.begun(&run).await;

    yard.override_by(&run, json!({"paused": yard.said(None)})).await;

    let record = yard.until(&run, "it says who paused it", |status| blockers(status) == ["Paused"]).await;
    let blocker = &record["status"]["blockers"][0];
    let message = blocker["message"].as_str().unwrap();
    assert!(
        message.contains("admin") && message.contains("a test") && message.contains("resume"),
        "{blocker}"
    );
    assert!(blocker["since"].is_string(), "{blocker}");
    meanwhile(6).await;
    assert!(yard.look("v1", "Pod", "stays").await.unwrap()["metadata"]["deletionTimestamp"].is_null());

    yard.override_by(&run, json!({"paused": null})).await;
    yard.ends(&node, &run, "Completed").await;
}

async fn a_step_that_failed_is_retried_by_hand_and_another_one_skipped() {
    let yard = Yard::new("byhand").await;
    let target =
        Target::new(|asked, before| if asked["stepId"] == "tell" && before > 1 { done() } else { failed() })
            .await;
    yard.create(target.plugin("byhand-target")).await;
    let never = json!({"maxRetries": 0});
    yard.policy(json!({"steps": [
        {"name": "tell", "plugin": "byhand-target", "retry": never, "dependsOn": []},
        {"name": "other", "plugin": "byhand-target", "retry": never, "dependsOn": []},
    ]}))
    .await;
    let node = yard.node("a").await;
    let run = yard.delete_node(&node).await;
    let record = yard
        .until(&run, "both failed for good", |status| {
            blockers(status).iter().filter(|reason| **reason == "StepFailed").count() == 2
        })
        .await;
    let messages = record["status"]["blockers"].to_string();
    assert!(messages.contains("retry-step") && messages.contains("NotToday"), "{messages}");
    yard.told(&node, "CleanupFailed").await;

    let overrides = json!({"retry": [yard.said(Some("tell"))], "skip": [yard.said(Some("other"))]});
    yard.override_by(&run, overrides).await;

    let record = yard.ends(&node, &run, "Completed").await;
    let (tell, other) = (step(&record["status"], "tell"), step(&record["status"], "other"));
    assert_eq!((&tell["state"], &other["state"]), (&json!("Done"), &json!("Skipped")), "{record}");
    for step in [tell, other] {
        assert!(step["overriddenBy"].as_str().unwrap().contains("admin"), "{step}");
    }
    assert_eq!(target.executed().len(), 3);
}

async fn a_deadline_is_extended_and_the_node_let_go() {
    let yard = Yard::new("release").await;
    yard.policy(json!({"deadlines": {"total": "1s"}})).await;
    let node = yard.node("a").await;
    yard.stubborn_pod(&node, "stays").await;
    let run = yard.delete_node(&node).await;
    yard.until(&run, "it took too long", |status| blockers(status).contains(&"DeadlinePassed")).await;

    let mut extension = yard.said(None);
    extension["until"] = json!("2100-01-01T00:00:00Z");
    yard.override_by(&run, json!({"extend": extension})).await;
    let record =
        yard.until(&run, "it has time again", |status| !blockers(status).contains(&"DeadlinePassed")).await;
    assert_eq!(record["status"]["deadline"], "2100-01-01T00:00:00Z");

    yard.override_by(&run, json!({"release": yard.said(None)})).await;
    let record = yard.ends(&node, &run, "Released").await;
    assert!(step(&record["status"], "drain")["overriddenBy"].as_str().unwrap().contains("admin"), "{record}");
    yard.told(&node, "CleanupReleased").await;
    eventually(yard.cluster, "the pod was left to its fate", async || {
        holds(yard.look("v1", "Pod", "stays").await.is_some(), "it is gone")
    })
    .await;
    yard.let_end("stays").await;
}
