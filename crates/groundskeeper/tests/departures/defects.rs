//! What the system that we replace did wrong.

use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::support::operator::Launch;
use crate::support::{eventually, holds};
use crate::target::{Target, done, failed, silence};
use crate::yard::{EARLY, FINALIZER, Yard, cluster, finalizers, step};

/// They take their time, one beside the other.
#[tokio::test]
async fn none_of_the_old_defects_is_there() {
    tokio::join!(
        fifty_foreign_writers_lose_nothing_while_ours_goes_on_and_off(),
        a_step_that_failed_is_left_alone_for_its_whole_pause(),
        a_plugin_that_hangs_stops_nobody_else_and_its_node_can_be_let_go(),
        a_node_is_let_go_between_two_attempts(),
        a_node_that_was_deleted_before_anybody_ran_is_taken_up(),
        nobody_is_ready_who_cannot_read_what_decides(),
        a_dead_machine_is_not_waited_for_for_ever(),
    );
}

/// Defect 3: a bare merge patch dropped the finalizers of others, or brought them back.
async fn fifty_foreign_writers_lose_nothing_while_ours_goes_on_and_off() {
    const WRITERS: usize = 50;
    let yard = Yard::new("writers").await;
    yard.policy(json!({})).await;
    let node = yard.node("a").await;
    let nodes: Api<kube::api::DynamicObject> = yard.api("v1", "Node");
    let theirs = |writer: usize| format!("example.com/writer-{writer}");
    yard.patch("Node", &node, json!({"metadata": {"finalizers": [FINALIZER, "example.com/first"]}})).await;

    let toggling = async {
        for label in ["", "writers", "", "writers"] {
            yard.patch("Node", &node, json!({"metadata": {"labels": {"yard": label}}})).await;
            yard.is_kept(&node, !label.is_empty()).await;
        }
    };
    let writing = futures::future::join_all((0..WRITERS).map(|writer| {
        let (nodes, node, finalizer) = (nodes.clone(), node.clone(), theirs(writer));
        async move {
            if writer % 2 == 0 {
                let patch = Patch::Strategic(json!({"metadata": {"finalizers": [finalizer]}}));
                nodes.patch(&node, &PatchParams::default(), &patch).await.unwrap();
                return;
            }
            loop {
                let mut object = nodes.get(&node).await.unwrap();
                object.metadata.finalizers.get_or_insert_default().push(finalizer.clone());
                match nodes.replace(&node, &PostParams::default(), &object).await {
                    Ok(_) => return,
                    Err(kube::Error::Api(status)) if status.code == 409 => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }));
    tokio::join!(toggling, writing);

    let found = finalizers(&yard.look("v1", "Node", &node).await.unwrap());
    for finalizer in (0..WRITERS).map(theirs).chain([FINALIZER.to_owned(), "example.com/first".to_owned()]) {
        let count = found.iter().filter(|one| **one == finalizer).count();
        assert_eq!(count, 1, "{finalizer}: {found:?}");
    }
    let run = yard.delete_node(&node).await;
    yard.until(&run, "all was done", |status| status["phase"] == "Releasing").await;
    yard.is_kept(&node, false).await;
    let found = finalizers(&yard.look("v1", "Node", &node).await.unwrap());
    assert_eq!(found.len(), WRITERS + 1, "{found:?}");
    yard.strip(&node).await;
    yard.ends(&node, &run, "Completed").await;
}

/// Defect 5: the next heartbeat of the node began the next attempt at once, and nobody was told.
async fn a_step_that_failed_is_left_alone_for_its_whole_pause() {
    let yard = Yard::new("pause").await;
    let target = Target::new(|_, before| if before == 0 { failed() } else { done() }).await;
    yard.create(target.plugin("pause-target")).await;
    let retry = json!({"maxRetries": 3, "initialDelay": "5s"});
    let told = json!([{"name": "tell", "plugin": "pause-target", "retry": retry, "dependsOn": []}]);
    yard.policy(json!({"steps": told})).await;
    let node = yard.node("a").await;

    let run = yard.delete_node(&node).await;

    let record = yard
        .until(&run, "the first attempt failed", |status| step(status, "tell")["state"] == "Retrying")
        .await;
    let tell = step(&record["status"], "tell");
    assert_eq!((&tell["reason"], &tell["message"]), (&json!("NotToday"), &json!("come back later")));
    assert!(tell["nextTime"].is_string(), "{tell}");
    for beat in 0..30 {
        let heartbeat = json!({"metadata": {"labels": {"beat": beat.to_string()}}});
        if yard.look("v1", "Node", &node).await.is_none() || target.executed().len() > 1 {
            break;
        }
        yard.patch("Node", &node, heartbeat).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let record = yard.ends(&node, &run, "Completed").await;
    assert_eq!(step(&record["status"], "tell")["attempts"], 2, "{record}");
    let asked = target.executed();
    let [(first, one), (second, other)] = &asked[..] else { panic!("{asked:?}") };
    // A fifth of a pause is drawn by lot, so that nodes that failed together come back apart.
    assert!(second.duration_since(*first) >= Duration::from_secs(4), "{:?}", second.duration_since(*first));
    assert_eq!(one["idempotencyKey"], other["idempotencyKey"]);
    assert_eq!((&one["attempt"], &other["attempt"]), (&json!(1), &json!(2)));
    assert_eq!(yard.told(&node, "CleanupStepFailed").await, 1);
}

/// Defects 6 and 7: one plugin that hung stopped everything, had no time limit, and its node could not be let go.
async fn a_plugin_that_hangs_stops_nobody_else_and_its_node_can_be_let_go() {
    let (stuck, other) = (Yard::new("hang").await, Yard::new("beside").await);
    let target = Target::new(|_, _| silence()).await;
    stuck.create(target.plugin("hang-target")).await;
    stuck
        .policy(json!({"steps": [
            {"name": "tell", "plugin": "hang-target", "timeout": "1h", "dependsOn": []},
            {"name": "also", "plugin": "log", "dependsOn": ["tell"]},
        ]}))
        .await;
    other.policy(json!({"steps": [{"name": "tell", "plugin": "log", "settings": {}}]})).await;
    let (held, free) = (stuck.node("a").await, other.node("a").await);

    let run = stuck.delete_node(&held).await;
    eventually(stuck.cluster, "the plugin hangs", async || holds(!target.executed().is_empty(), "")).await;
    let beside = other.delete_node(&free).await;
    other.ends(&free, &beside, "Completed").await;
    let record = stuck.record(&run).await.unwrap();
    assert_eq!(step(&record["status"], "tell")["state"], "Running", "{record}");

    let skip = json!({"metadata": {"annotations": {"groundskeeper.dev/skip-cleanup": "true"}}});
    stuck.patch("Node", &held, skip).await;
    let record = stuck.ends(&held, &run, "Released").await;
    for name in ["tell", "also"] {
        let step = step(&record["status"], name);
        assert_eq!((&step["state"], &step["reason"]), (&json!("Skipped"), &json!("Released")), "{step}");
    }
    assert_eq!(stuck.told(&held, "CleanupReleased").await, 1);
}

/// Defect 7: whether a node may go at once was read before the first step alone.
async fn a_node_is_let_go_between_two_attempts() {
    let yard = Yard::new("between").await;
    let target = Target::new(|_, _| failed()).await;
    yard.create(target.plugin("between-target")).await;
    let retry = json!({"maxRetries": 3, "initialDelay": "1h"});
    let told = json!([{"name": "tell", "plugin": "between-target", "retry": retry, "dependsOn": []}]);
    yard.policy(json!({"steps": told})).await;
    let node = yard.node("a").await;
    yard.stubborn_pod(&node, "stays").await;
    let run = yard.delete_node(&node).await;
    yard.until(&run, "it failed", |status| step(status, "tell")["state"] == "Retrying").await;

    let skip = json!({"metadata": {"annotations": {"groundskeeper.dev/skip-cleanup": "true"}}});
    yard.patch("Node", &node, skip).await;

    let record = yard.ends(&node, &run, "Released").await;
    assert_eq!(target.executed().len(), 1);
    assert!(step(&record["status"], "tell")["overriddenBy"].as_str().unwrap().contains("skip-cleanup"));
    yard.let_end("stays").await;
}

/// Defect 8: what had been deleted while nobody ran was taken up by a later change, if one came. [`Yard::new`] starts the
/// operator when this node leaves already.
async fn a_node_that_was_deleted_before_anybody_ran_is_taken_up() {
    let yard = Yard::new("early").await;
    let run = EARLY.get().unwrap();
    let record = yard.ends("early", run, "Completed").await;
    assert_eq!(record["spec"]["policy"], "early", "{record}");
}

/// Defect 8: it was ready before it had read anything.
async fn nobody_is_ready_who_cannot_read_what_decides() {
    let cluster = cluster().await;
    let stranger = cluster.user("stranger", &[]).unwrap();
    let operator = Launch::new(stranger.kubeconfig()).start(cluster).await;
    eventually(cluster, "it says what it cannot read", async || {
        let (code, text) = operator.readiness().await;
        holds(code == 503 && text.contains("node cleanup"), text)
    })
    .await;
    operator.stop().await;
}

/// Defect 13: a clean-up that needs the kubelet of a machine that is off waited for ever.
async fn a_dead_machine_is_not_waited_for_for_ever() {
    let yard = Yard::new("dead").await;
    yard.policy(json!({"drain": {"skipWaitForDeleteTimeoutSeconds": 1}})).await;
    // Nobody plays this one: no kubelet is there that would end its pod.
    yard.create(json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "dead-a", "labels": {"yard": "dead"}}}))
        .await;
    yard.is_kept("dead-a", true).await;
    yard.create(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lost", "namespace": yard.namespace},
        "spec": {"nodeName": "dead-a", "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "a", "image": "example.invalid/a"}]},
        "status": {"phase": "Running"},
    }))
    .await;
    let running =
        json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    let pods = yard.api("v1", "Pod");
    pods.patch_status("lost", &PatchParams::default(), &Patch::Merge(running)).await.unwrap();

    let run = yard.delete_node("dead-a").await;

    let record = yard.until(&run, "the pod was asked to leave", |status| status["podsLeft"] == 1).await;
    assert!(record["status"]["phase"] != "Completed", "{record}");
    let record = yard.ends("dead-a", &run, "Completed").await;
    assert_eq!(step(&record["status"], "drain")["state"], "Done", "{record}");
}
