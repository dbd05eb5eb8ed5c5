//! Policies and plugins that make no sense, and plugins that answer none.

use serde_json::{Value, json};
use testbed::targets::Misbehaviour;

use crate::support::{eventually, holds};
use crate::target::{Reply, Target, silence};
use crate::users::{meanwhile, why};
use crate::yard::{Yard, finalizers, is, step};

/// They take their time, one beside the other.
#[tokio::test]
async fn what_makes_no_sense_is_said_and_harms_nobody_else() {
    tokio::join!(
        a_policy_that_cannot_be_acted_on_says_what_to_write_and_concerns_no_other_node(),
        nodes_of_the_control_plane_have_to_be_named_in_words(),
        of_two_policies_one_decides_by_priority_and_then_by_name(),
        a_plugin_that_answers_garbage_too_much_or_never_fails_its_own_step_alone(),
        a_condition_without_an_answer_fails_its_step(),
    );
}

const POLICY: &str = "NodeCleanupPolicy";
const OURS: &str = "groundskeeper.dev/v1alpha1";

async fn a_policy_that_cannot_be_acted_on_says_what_to_write_and_concerns_no_other_node() {
    let yard = Yard::new("wrong").await;
    let log = |name: &str, more: Value| {
        let mut step = json!({"name": name, "plugin": "log"});
        more.as_object().unwrap().iter().for_each(|(key, value)| step[key] = value.clone());
        step
    };
    let circle = [log("one", json!({"dependsOn": ["two"]})), log("two", json!({"dependsOn": ["one"]}))];
    let table = [
        ("circle", json!(circle), "dependsOn"),
        ("unknown", json!([{"name": "tell", "plugin": "nobody"}]), "create a CleanupPlugin of this name"),
        ("cel", json!([log("tell", json!({"when": "object.metadata.name =="}))]), "when"),
        ("untrue", json!([log("tell", json!({"when": "'a'"}))]), "compare something"),
        ("settings", json!([log("tell", json!({"settings": {"mesage": "hello"}}))]), "message"),
        ("loud", json!([log("tell", json!({"settings": {"level": "shout"}}))]), "info"),
    ];
    for (name, steps, _) in &table {
        let selector = json!({"matchLabels": {"yard": "wrong", "case": name}});
        yard.policy_called(&format!("wrong-{name}"), json!({"nodeSelector": selector, "steps": steps})).await;
    }
    for (name, _, expected) in &table {
        let name = format!("wrong-{name}");
        let policy = eventually(yard.cluster, "it says that it is wrong", async || {
            let policy = yard.look(OURS, POLICY, &name).await.unwrap();
            if is(&policy, "Stalled") == Some("True") { Ok(policy) } else { Err(policy.to_string()) }
        })
        .await;
        let (reason, message) = why(&policy, "Ready");
        assert_eq!((is(&policy, "Ready"), reason), (Some("False"), "Invalid"), "{policy}");
        assert!(message.contains(expected), "{name}: {message}");
    }

    // Where no policy makes sense, what is there stays; elsewhere all goes on.
    let concerned = yard.node_labelled("a", json!({"yard": "wrong", "case": "cel"})).await;
    let finalizer = json!({"metadata": {"finalizers": [crate::yard::FINALIZER]}});
    let beside = yard.node_labelled("b", json!({"yard": "nobodys"})).await;
    for node in [&concerned, &beside] {
        yard.patch("Node", node, finalizer.clone()).await;
    }
    yard.is_kept(&beside, false).await;
    yard.is_kept(&concerned, true).await;
    yard.patch(POLICY, "wrong-cel", json!({"spec": {"steps": [log("tell", json!({}))]}})).await;
    let run = yard.delete_node(&concerned).await;
    yard.ends(&concerned, &run, "Completed").await;
    for (name, ..) in &table {
        yard.remove(OURS, POLICY, &format!("wrong-{name}")).await;
    }
}

async fn nodes_of_the_control_plane_have_to_be_named_in_words() {
    let yard = Yard::new("control").await;
    yard.policy(json!({})).await;
    let labels = json!({"yard": "control", "node-role.kubernetes.io/control-plane": ""});
    let node = yard.node_labelled("a", labels).await;
    eventually(yard.cluster, "the policy says whom it leaves alone", async || {
        let policy = yard.look(OURS, POLICY, "control").await.unwrap();
        let message = why(&policy, "Ready").1.to_owned();
        holds(
            message.contains("1 of the control plane") && message.contains("unlock: [ControlPlaneNodes]"),
            message,
        )
    })
    .await;
    meanwhile(1).await;
    assert!(finalizers(&yard.look("v1", "Node", &node).await.unwrap()).is_empty());

    yard.patch(POLICY, "control", json!({"spec": {"unlock": ["ControlPlaneNodes"]}})).await;
    yard.is_kept(&node, true).await;
    yard.patch(POLICY, "control", json!({"spec": {"unlock": null}})).await;
    yard.is_kept(&node, false).await;
}

async fn of_two_policies_one_decides_by_priority_and_then_by_name() {
    let yard = Yard::new("rivals").await;
    let rival =
        |priority: i32| json!({"nodeSelector": {"matchLabels": {"yard": "rivals"}}, "priority": priority});
    for (name, priority) in [("rivals-b", 0), ("rivals-a", 0), ("rivals-z", 5)] {
        yard.policy_called(name, rival(priority)).await;
    }
    let (node, other) = (yard.node("a").await, yard.node("b").await);
    let run = yard.delete_node(&node).await;
    assert_eq!(yard.begun(&run).await["spec"]["policy"], "rivals-z");
    yard.remove(OURS, POLICY, "rivals-z").await;
    eventually(yard.cluster, "the others share the rest", async || {
        let policy = yard.look(OURS, POLICY, "rivals-a").await.unwrap();
        holds(policy["status"]["nodes"].as_i64() > Some(0), policy["status"].clone())
    })
    .await;
    let run = yard.delete_node(&other).await;
    let record = yard.begun(&run).await;
    assert_eq!(record["spec"]["policy"], "rivals-a");
    let b = yard.look(OURS, POLICY, "rivals-b").await.unwrap();
    assert_eq!(b["status"]["nodes"], 0, "{b}");
}

async fn a_plugin_that_answers_garbage_too_much_or_never_fails_its_own_step_alone() {
    let yard = Yard::new("liars").await;
    let once = json!({"maxRetries": 0});
    let mut steps = vec![json!({"name": "last", "plugin": "log", "critical": false})];
    let mut targets = Vec::new();
    for name in ["garbage", "flood", "silence", "lie"] {
        let target = Target::new(move |_, _| match name {
            "garbage" => Reply::Fails(Misbehaviour::Garbage),
            "flood" => Reply::Fails(Misbehaviour::Flood(100 * 1024 * 1024)),
            "silence" => silence(),
            _ => Reply::Says(json!({"status": "perhaps"})),
        })
        .await;
        let plugin = format!("liars-{name}");
        yard.create(target.plugin(&plugin)).await;
        let mut step = json!({"name": name, "plugin": plugin, "critical": false, "timeout": "3s"});
        (step["retry"], step["dependsOn"]) = (once.clone(), json!([]));
        steps.push(step);
        targets.push(target);
    }
    yard.policy(json!({"steps": steps})).await;
    let node = yard.node("a").await;

    let run = yard.delete_node(&node).await;

    let record = yard.ends(&node, &run, "Completed").await;
    let table =
        [("garbage", "BadAnswer"), ("flood", "BadAnswer"), ("silence", "TimedOut"), ("lie", "BadAnswer")];
    for (name, reason) in table {
        let step = step(&record["status"], name);
        assert_eq!(step["state"], "Failed", "{step}");
        assert!(step["message"].as_str().is_some_and(|message| !message.is_empty()), "{step}");
        assert_eq!(step["reason"], reason, "{step}");
    }
    assert_eq!(step(&record["status"], "last")["state"], "Done", "{record}");
    for target in &targets {
        assert_eq!(target.executed().len(), 1);
    }
    yard.told(&node, "CleanupCompleted").await;
    let events = yard.events(&node).await;
    let end = events.iter().find(|(reason, _)| reason == "CleanupCompleted");
    assert!(end.is_some_and(|(_, note)| note.contains("garbage")), "{events:?}");
}

/// What it asks for is not there on this node: neither true nor false.
async fn a_condition_without_an_answer_fails_its_step() {
    let yard = Yard::new("unsure").await;
    let when = "object.metadata.labels['rack'] == 'r1'";
    yard.policy(json!({"steps": [
        {"name": "tell", "plugin": "log", "when": when, "critical": false},
        {"name": "not", "plugin": "log", "when": "object.metadata.name == 'another'"},
        {"name": "yes", "plugin": "log", "when": "object.metadata.labels['yard'] == 'unsure'"},
    ]}))
    .await;
    let node = yard.node("a").await;

    let run = yard.delete_node(&node).await;

    let record = yard.ends(&node, &run, "Completed").await;
    let is = |name: &str| {
        let step = step(&record["status"], name);
        (step["state"].as_str().unwrap().to_owned(), step["reason"].as_str().unwrap_or_default().to_owned())
    };
    let expected = |state: &str, reason: &str| (state.to_owned(), reason.to_owned());
    assert_eq!(is("tell"), expected("Failed", "WhenFailed"), "{record}");
    assert_eq!(is("not"), expected("Skipped", "WhenNotTrue"));
    assert_eq!(is("yes"), expected("Done", ""));
}
