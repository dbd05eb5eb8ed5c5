//! What users see of a policy: status, columns, events, metrics, probes.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::drafts::{config_map, policy};
use crate::support::team::condition;
use crate::support::{eventually, holds, kubectl};
use crate::{team, team_and_operator};

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_status_says_what_is_matched_pending_protected_and_deleted() {
    let team = team("status").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(600)).await;
    let first = team.create(config_map("first").labelled("tmp=yes")).await;
    team.create(config_map("second").labelled("tmp=yes")).await;
    team.create(config_map("kept").labelled("tmp=yes").annotated("groundskeeper.dev/protect=true")).await;
    team.create(config_map("other")).await;
    let counts = |policy: &Value| {
        ["matched", "pending", "protected", "deleted"]
            .map(|count| policy["status"][count].as_i64().unwrap_or(-1))
    };
    team.collecting(&sweep).await;
    let found = team.policy_is(&sweep, "three are matched", |policy| counts(policy) == [3, 2, 1, 0]).await;
    assert_eq!(time(&found["status"]["nextExpiry"]), first.due(600), "{found}");
    assert!(found["status"]["lastDeletion"].is_null(), "{found}");
    assert_eq!(found["status"]["observedGeneration"], 1);
    let conditions: Vec<_> = ["Ready", "Reconciling", "Stalled"]
        .map(|type_| condition(&found, type_)["status"].as_str().unwrap().to_owned())
        .to_vec();
    assert_eq!(conditions, ["True", "False", "False"], "{found}");

    team.edit(&sweep, json!({"spec": {"ttl": {"secondsAfterCreation": 1}}})).await;
    let found = team.policy_is(&sweep, "two are deleted", |policy| counts(policy) == [1, 0, 1, 2]).await;
    assert_eq!(found["status"]["observedGeneration"], 2);
    assert!(time(&found["status"]["lastDeletion"]) >= first.created, "{found}");
    team.policy_is(&sweep, "nothing falls due", |policy| policy["status"]["nextExpiry"].is_null()).await;
}

#[tokio::test]
async fn kubectl_shows_the_columns() {
    let team = team("columns").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(600)).await;
    team.create(config_map("object").labelled("tmp=yes")).await;
    team.collecting(&sweep).await;
    team.policy_is(&sweep, "one is matched", |policy| policy["status"]["matched"] == 1).await;
    let table = kubectl(team.cluster, &["get", "gcp", "--namespace", &team.namespace], "");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let columns =
        ["NAME", "MODE", "TARGET", "WHEN", "MATCHED", "PENDING", "DELETED", "READY", "REASON", "AGE"];
    assert_eq!(rows[0], columns, "{table}");
    let row =
        ["sweep", "Enforce", "ConfigMap", "10m", "after", "creation", "1", "1", "0", "True", "Collecting"];
    assert_eq!(rows[1][..11], row, "{table}");

    kubectl(
        team.cluster,
        &["wait", "--for=condition=Ready", "--timeout=10s", "gcp/sweep", "--namespace", &team.namespace],
        "",
    );
}

#[tokio::test]
async fn a_status_is_quiet_while_nothing_changes() {
    let team = team("quiet").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(600)).await;
    team.create(config_map("object").labelled("tmp=yes")).await;
    team.collecting(&sweep).await;
    let found = team.policy_is(&sweep, "one is matched", |policy| policy["status"]["matched"] == 1).await;
    // A policy that reads more of the same objects begins their watch anew.
    let reads = json!([{"fieldPath": "data.a", "operator": "Equals", "value": "b"}]);
    let reader = team.create(policy("reader").labelled("tmp=no").with("/spec/conditions/and", reads)).await;
    team.collecting(&reader).await;
    // Changes of what the policy does not select, and of other policies, are none of its business.
    let other = team.create(config_map("other")).await;
    team.edit(&other, json!({"data": {"a": "b"}})).await;
    team.wait_past(other.due(3)).await;
    let after = team.look_at(&sweep).await.unwrap();
    assert_eq!(
        after["metadata"]["resourceVersion"], found["metadata"]["resourceVersion"],
        "{found}\n{after}"
    );
}

#[tokio::test]
async fn a_dry_run_counts_what_is_due_and_writes_nothing() {
    let (team, operator) = team_and_operator("dry-run").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(4).dry_run()).await;
    team.ready_is(&sweep, "True", "DryRun").await;
    let objects = team.create_many(3, &config_map("object").labelled("tmp=yes")).await;
    // Nothing happens here any more but the passing of time.
    team.policy_is(&sweep, "three are due", |policy| {
        let ready = condition(policy, "Ready");
        ready["message"].as_str().is_some_and(|message| message.contains(" 3 objects"))
    })
    .await;
    team.wait_past(objects[2].due(4)).await;

    for object in &objects {
        team.assert_untouched(object).await;
    }
    let found = team.look_at(&sweep).await.unwrap();
    assert_eq!(found["status"]["deleted"], 0, "{found}");
    let name = format!(r#"policy_namespace="{}",policy_name="sweep""#, team.namespace);
    assert_eq!(operator.metric("groundskeeper_gc_deletions_total", &[&name]).await, None);
    assert!(team.deletions().iter().all(|deletion| deletion.name.starts_with("witness")));
    team.assert_gentle("configmaps");

    team.edit(&sweep, json!({"spec": {"behavior": {"dryRun": false}}})).await;
    for object in &objects {
        team.goes_in_time(object, 4).await;
    }
}

#[tokio::test]
async fn events_on_the_policy_tell_what_was_deleted() {
    let team = team("events").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let event = team.told(&sweep, "Collecting", "when their time is up").await;
    assert_eq!(
        (&event["type"], &event["regarding"]["kind"]),
        (&json!("Normal"), &json!("GarbageCollectionPolicy"))
    );
    let object = team.create(config_map("leaflet").labelled("tmp=yes")).await;
    team.goes_in_time(&object, 1).await;
    let event = team.told(&sweep, "Deleted", "leaflet").await;
    assert_eq!((&event["type"], &event["action"]), (&json!("Normal"), &json!("Delete")));
    assert_eq!(event["note"], "deleted 1 ConfigMap object whose time was up: leaflet");

    // kubectl shows them where people look.
    let described = kubectl(team.cluster, &["describe", "gcp", "sweep", "--namespace", &team.namespace], "");
    assert!(described.contains("leaflet"), "{described}");
}

#[tokio::test]
async fn metrics_count_deletions_by_policy_and_forget_a_policy_that_is_gone() {
    let (team, operator) = team_and_operator("metrics").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let kept = config_map("kept").labelled("tmp=yes").annotated("groundskeeper.dev/protect=true");
    team.create(kept).await;
    for object in team.create_many(3, &config_map("object").labelled("tmp=yes")).await {
        team.goes_in_time(&object, 1).await;
    }
    let name = format!(r#"policy_namespace="{}",policy_name="sweep""#, team.namespace);
    let expected = [
        ("groundskeeper_gc_deletions_total", r#"outcome="deleted""#, 3.0),
        ("groundskeeper_gc_objects", r#"state="matched""#, 1.0),
        ("groundskeeper_gc_objects", r#"state="pending""#, 0.0),
        ("groundskeeper_gc_objects", r#"state="protected""#, 1.0),
        ("groundskeeper_gc_objects", r#"state="unresolvable""#, 0.0),
    ];
    for (metric, label, value) in expected {
        eventually(team.cluster, &format!("{metric}{{{label}}} is {value}"), async || {
            let found = operator.metric(metric, &[&name, label]).await;
            holds(found == Some(value), format!("{found:?}"))
        })
        .await;
    }
    assert!(operator.metric("groundskeeper_gc_deletion_lateness_seconds_count", &[]).await >= Some(3.0));
    assert!(operator.metric("groundskeeper_gc_tracked_objects", &[]).await >= Some(1.0));

    team.delete(&sweep).await;
    eventually(team.cluster, "its series are gone", async || {
        let text = operator.metrics().await;
        holds(!text.contains(&name), text)
    })
    .await;
}

/// What was due long before its policy was let delete it is not late for that.
#[tokio::test]
async fn lateness_counts_from_when_an_object_might_have_gone() {
    let team = team("late").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1).with("/spec/mode", "Plan")).await;
    let (due, held) = (config_map("due").labelled("tmp=yes"), config_map("held").labelled("hold=yes"));
    let (due, held) = (team.create(due).await, team.create(held).await);
    team.wait_past(due.due(6)).await;
    team.edit(&sweep, json!({"spec": {"mode": "Enforce"}})).await;
    team.gone(&due).await;
    let relabelled = team.edit(&held, json!({"metadata": {"labels": {"tmp": "yes"}}})).await;
    team.goes_in_time(&relabelled, 6).await;
    let lateness = |policy: &Value| policy["status"]["lateness"].clone();
    let found = team.policy_is(&sweep, "two are deleted", |policy| lateness(policy)["of"] == 2).await;
    assert!(lateness(&found)["p99Milliseconds"].as_i64().unwrap() < 4_000, "{found}");
}

#[tokio::test]
async fn a_metric_counts_what_cannot_be_told() {
    let (team, operator) = team_and_operator("odd").await;
    let mut draft = policy("odd").labelled("tmp=yes");
    draft.0["spec"]["ttl"] = json!({"fieldPath": "data.ttl"});
    let odd = team.create(draft).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    team.create(config_map("other").labelled("tmp=yes").with("/data/ttl", "1d")).await;
    let name = format!(r#"policy_namespace="{}",policy_name="odd""#, team.namespace);
    let counts = async |expected: f64| {
        eventually(team.cluster, &format!("{expected} are unresolvable"), async || {
            let found =
                operator.metric("groundskeeper_gc_objects", &[&name, r#"state="unresolvable""#]).await;
            holds(found == Some(expected), format!("{found:?}"))
        })
        .await;
    };
    counts(1.0).await;
    team.edit(&object, json!({"data": {"ttl": "1d"}})).await;
    counts(0.0).await;
    team.delete(&odd).await;
}

#[tokio::test]
async fn probes_answer_and_the_log_tells_of_no_error() {
    let (team, operator) = team_and_operator("probes").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    team.goes_in_time(&object, 1).await;
    assert_eq!(operator.readiness().await, (200, "ok\n".to_owned()));
    assert_eq!(operator.liveness().await, (200, "ok\n".to_owned()));
    assert!(operator.is_running());
    assert!(operator.errors().is_empty(), "{:#?}", operator.errors());
    let told = |line: &Value| {
        line["message"] == "deleted"
            && line["uid"] == object.uid
            && line["policy"] == format!("{}/sweep", team.namespace)
    };
    eventually(team.cluster, "the log tells of the deletion", async || {
        holds(operator.log().iter().any(told), "it does not")
    })
    .await;
    team.collecting(&sweep).await;
}
