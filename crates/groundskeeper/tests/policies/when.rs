//! When an object's time is up, in every way to say so.

use serde_json::json;

use crate::support::drafts::{config_map, object, policy};
use crate::support::now;
use crate::{Leaves, annotation_path, create_soon, from_now, is_true, message, seconds, set_status, team};

#[tokio::test]
async fn an_object_lives_as_long_as_a_duration_says() {
    let team = team("after").await;
    let sweep =
        team.create(policy("sweep").labelled("tmp=yes").with("/spec/ttl", json!({"after": "2s"}))).await;
    team.create(policy("long").labelled("tmp=long").with("/spec/ttl", json!({"after": "5d12h"}))).await;
    let due = team.create(config_map("due").labelled("tmp=yes")).await;
    let long = team.create(config_map("long").labelled("tmp=long")).await;

    team.goes_in_time(&due, 2).await;
    team.wait_past(long.due(2)).await;
    team.assert_untouched(&long).await;
    let found = team.look_at(&sweep).await.unwrap();
    assert_eq!(found["status"]["when"], "2s after creation", "{found}");
}

#[tokio::test]
async fn a_field_says_how_long_in_numbers_texts_and_words() {
    let team = team("field").await;
    let leaves = Leaves::define(&team, "field").await;
    let ttl = json!({"fieldPath": "spec.keepFor", "mappings": {"short": 2, "long": "1h"}});
    let sweep = team.create(leaves.policy("sweep").labelled("tmp=yes").with("/spec/ttl", ttl.clone())).await;
    let mut with_default = ttl;
    with_default["default"] = json!("3s");
    team.create(leaves.policy("default").labelled("tmp=default").with("/spec/ttl", with_default)).await;
    let of = |name: &str| leaves.leaf(name).labelled("tmp=yes");
    let due = [
        team.create(of("number").with("/spec/keepFor", 2)).await,
        team.create(of("text").with("/spec/keepFor", "2")).await,
        team.create(of("duration").with("/spec/keepFor", "2s")).await,
        team.create(of("word").with("/spec/keepFor", "short")).await,
    ];
    let kept = [
        team.create(of("long-word").with("/spec/keepFor", "long")).await,
        team.create(of("long-number").with("/spec/keepFor", 3600)).await,
        team.create(of("zero").with("/spec/keepFor", 0)).await,
        team.create(of("odd").with("/spec/keepFor", "a while")).await,
        team.create(of("none")).await,
    ];
    let odd = leaves.leaf("odd-default").labelled("tmp=default").with("/spec/keepFor", "a while");
    let by_default =
        [team.create(odd).await, team.create(leaves.leaf("none-default").labelled("tmp=default")).await];

    for object in &due {
        team.goes_in_time(object, 2).await;
    }
    for object in &by_default {
        team.goes_in_time(object, 3).await;
    }
    let found = team.policy_is(&sweep, "three cannot be resolved", |policy| {
        policy["status"]["unresolvable"] == 3 && is_true(policy, "Unresolvable")
    });
    let found = message(&found.await, "Unresolvable");
    let names_one = ["zero", "odd", "none"].iter().any(|name| found.contains(&format!("/{name}:")));
    assert!(found.starts_with("of 3 objects") && names_one && found.contains("spec.keepFor"), "{found}");
    for object in &kept {
        team.assert_untouched(object).await;
    }

    // What is mended goes; what is left is still told of.
    let none = team.edit(&kept[4], json!({"spec": {"keepFor": 1}})).await;
    team.edit(&kept[3], json!({"spec": {"keepFor": "1s"}})).await;
    team.edit(&kept[2], json!({"spec": {"keepFor": "1h"}})).await;
    team.goes_in_time(&none, 1).await;
    let found = team.policy_is(&sweep, "all are resolved", |policy| !is_true(policy, "Unresolvable")).await;
    assert_eq!(found["status"]["unresolvable"], 0, "{found}");
}

#[tokio::test]
async fn an_annotation_with_dots_in_its_key_says_how_long() {
    let team = team("dots").await;
    let escaped = annotation_path("example.com/ttl");
    let quoted = "metadata.annotations['example.com/ttl']";
    for (name, path) in [("escaped", escaped.as_str()), ("quoted", quoted)] {
        let draft = policy(name).labelled(&format!("tmp={name}"));
        team.create(draft.with("/spec/ttl", json!({"fieldPath": path}))).await;
    }
    for name in ["escaped", "quoted"] {
        let due = config_map(name).labelled(&format!("tmp={name}")).annotated("example.com/ttl=2");
        let due = team.create(due).await;
        team.goes_in_time(&due, 2).await;
    }
}

#[tokio::test]
async fn a_job_goes_so_long_after_it_was_complete() {
    let team = team("jobs").await;
    let path = "status.conditions[?type=Complete].lastTransitionTime";
    let ttl = json!({"relativeTo": path, "secondsAfter": 2});
    let sweep = team.create(policy("sweep").on("batch/v1", "Job").with("/spec/ttl", ttl)).await;
    let job = |name: &str| {
        object("batch/v1", "Job", name)
            .with("/spec/managedBy", "example.com/nobody")
            .with("/spec/template/spec/restartPolicy", "Never")
            .with("/spec/template/spec/containers", json!([{"name": "a", "image": "example.invalid/a"}]))
    };
    let running = team.create(job("running")).await;
    let done = team.create(job("done")).await;
    let failed = team.create(job("failed")).await;
    let (begun, ended) = (done.created, now());
    let of = |type_: &str| json!({"type": type_, "status": "True", "lastTransitionTime": ended});
    let complete = json!({
        "startTime": begun, "completionTime": ended, "succeeded": 1,
        "conditions": [of("SuccessCriteriaMet"), of("Complete")],
    });
    set_status(&team, &done, complete).await;
    set_status(
        &team,
        &failed,
        json!({"startTime": begun, "failed": 1, "conditions": [of("FailureTarget"), of("Failed")]}),
    )
    .await;

    let asked = team.goes_in_time(&done, 2).await;
    let due = jiff::Timestamp::from_second(ended.as_second()).unwrap().checked_add(seconds(2)).unwrap();
    assert!(asked.at >= due, "{asked:?} before {due}");
    let found = team
        .policy_is(&sweep, "two cannot be resolved", |policy| policy["status"]["unresolvable"] == 2)
        .await;
    let said = message(&found, "Unresolvable");
    assert!(said.contains("Job") && said.contains("is missing"), "{said}");
    for job in [&running, &failed] {
        assert!(team.look_at(job).await.is_some());
    }
}

#[tokio::test]
async fn a_custom_resource_goes_so_long_after_a_time_in_its_status() {
    let team = team("finished").await;
    let leaves = Leaves::define(&team, "finished").await;
    let ttl = json!({"relativeTo": "status.finishedAt", "secondsAfter": 2});
    team.create(leaves.policy("sweep").with("/spec/ttl", ttl)).await;
    let fresh = team.create(leaves.leaf("fresh")).await;
    let leaf = team.create(leaves.leaf("leaf")).await;
    let later = team.create(leaves.leaf("later")).await;
    team.edit(&later, json!({"status": {"finishedAt": from_now(3600)}})).await;
    let finished = now();
    let leaf = team.edit(&leaf, json!({"status": {"finishedAt": finished}})).await;

    let asked = team.goes_in_time(&leaf, 0).await;
    assert!(asked.at >= finished.checked_add(seconds(2)).unwrap(), "{asked:?}");
    team.assert_untouched(&fresh).await;
    assert!(team.look_at(&later).await.is_some());
}

#[tokio::test]
async fn all_objects_go_at_one_moment() {
    let team = team("moment").await;
    let at = from_now(4);
    team.create(policy("sweep").labelled("tmp=yes").with("/spec/ttl", json!({"at": at.to_string()}))).await;
    let later = json!({"at": "2999-01-01T00:00:00+01:00"});
    team.create(policy("later").labelled("tmp=later").with("/spec/ttl", later)).await;
    let kept = team.create(config_map("kept").labelled("tmp=later")).await;
    for object in team.create_many(3, &config_map("due").labelled("tmp=yes")).await {
        let asked = team.goes_in_time(&object, 0).await;
        assert!(asked.at >= at, "{asked:?}");
    }
    let late = team.create(config_map("late").labelled("tmp=yes")).await;
    team.gone(&late).await;
    team.assert_untouched(&kept).await;
}

#[tokio::test]
async fn an_expression_gives_a_time_a_duration_or_nothing_and_fails_for_one_object_alone() {
    let team = team("expression").await;
    let expression = r#"!has(object.data) ? null
        : object.data.kind == "span" ? duration(object.data.value) : timestamp(object.data.value)"#;
    let ttl = json!({"expression": expression});
    let sweep = team.create(policy("sweep").labelled("tmp=yes").with("/spec/ttl", ttl)).await;
    let of = |name: &str, kind: &str, value: &str| {
        config_map(name).labelled("tmp=yes").with("/data", json!({"kind": kind, "value": value}))
    };
    let moment = from_now(3);
    let failing = team.create(of("failing", "time", "soon")).await;
    let null = team.create(config_map("null").labelled("tmp=yes")).await;
    let timed = team.create(of("timed", "time", &moment.to_string())).await;
    let lasting = team.create(of("lasting", "span", "2s")).await;
    let long = team.create(of("long", "span", "1h")).await;

    team.goes_in_time(&lasting, 2).await;
    let asked = team.goes_in_time(&timed, 0).await;
    assert!(asked.at >= moment, "{asked:?}");
    let found = team.policy_is(&sweep, "one fails", |policy| policy["status"]["unresolvable"] == 1).await;
    let said = message(&found, "Unresolvable");
    assert!(said.contains("/failing:") && said.contains("ttl.expression"), "{said}");
    for object in [&failing, &null, &long] {
        team.assert_untouched(object).await;
    }
}

#[tokio::test]
async fn the_marks_of_all_four_tools_are_understood() {
    let team = team("marks").await;
    let sources = json!({"sources": ["Groundskeeper", "Kyverno", "KubeJanitor", "K8sTtlController"]});
    let sweep =
        team.create(policy("sweep").labelled("tmp=yes").with("/spec/ttl", json!({"marks": sources}))).await;
    let moment = from_now(4);
    let of = |name: &str| config_map(name).labelled("tmp=yes");
    let lasting = [
        team.create(of("ours").annotated("groundskeeper.dev/ttl=2s")).await,
        team.create(of("kyverno").labelled("cleanup.kyverno.io/ttl=2s")).await,
        team.create(of("janitor").annotated("janitor/ttl=2s")).await,
        team.create(of("controller").annotated("k8s-ttl-controller.twin.sh/ttl=2s")).await,
    ];
    let whole = jiff::Timestamp::from_second(moment.as_second()).unwrap();
    let until = [
        team.create(of("ours-until").annotated(&format!("groundskeeper.dev/expires={whole}"))).await,
        team.create(of("janitor-until").annotated(&format!("janitor/expires={whole}"))).await,
    ];
    let refreshed = of("refreshed")
        .annotated("k8s-ttl-controller.twin.sh/ttl=1h")
        .annotated(&format!("k8s-ttl-controller.twin.sh/refreshed-at={}", now()));
    let kept = [
        team.create(of("unmarked")).await,
        team.create(of("forever").annotated("janitor/ttl=forever")).await,
        team.create(refreshed).await,
    ];

    for object in &lasting {
        team.goes_in_time(object, 2).await;
    }
    for object in &until {
        let asked = team.goes_in_time(object, 0).await;
        assert!(asked.at >= whole, "{asked:?}");
    }
    team.policy_is(&sweep, "the rest is not due", |policy| policy["status"]["pending"] == 1).await;
    for object in &kept {
        team.assert_untouched(object).await;
    }
}

#[tokio::test]
async fn only_our_own_marks_are_read_unless_others_are_named() {
    let team = team("own-marks").await;
    team.create(policy("sweep").labelled("tmp=yes").with("/spec/ttl", json!({"marks": {}}))).await;
    let of = |name: &str| config_map(name).labelled("tmp=yes");
    let foreign = team.create(of("foreign").annotated("janitor/ttl=1s")).await;
    let own = team.create(of("own").annotated("groundskeeper.dev/ttl=2s")).await;
    team.goes_in_time(&own, 2).await;
    team.assert_untouched(&foreign).await;

    // More time, given in time, is kept to; and less of it, too.
    let longer = team.create(of("longer").annotated("groundskeeper.dev/ttl=3s")).await;
    let longer =
        team.edit(&longer, json!({"metadata": {"annotations": {"groundskeeper.dev/ttl": "1h"}}})).await;
    team.wait_past(longer.due(3)).await;
    team.assert_untouched(&longer).await;
    let longer =
        team.edit(&longer, json!({"metadata": {"annotations": {"groundskeeper.dev/ttl": "1s"}}})).await;
    team.goes_in_time(&longer, 1).await;
}

#[tokio::test]
async fn a_pod_is_collected_as_anything_else() {
    let team = team("pods").await;
    team.create(policy("sweep").on("v1", "Pod").labelled("tmp=yes").after(2)).await;
    let pod = object("v1", "Pod", "pod")
        .labelled("tmp=yes")
        .with("/spec/containers", json!([{"name": "a", "image": "example.invalid/a"}]));
    let pod = create_soon(&team, pod).await;
    team.goes_in_time(&pod, 2).await;
}
