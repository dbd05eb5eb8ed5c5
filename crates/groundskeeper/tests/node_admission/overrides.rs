//! What people may say in the record of a departure: each word needs its right, and is said in the own name.

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testbed::{ControlPlane, Identity};

use crate::support::identity;
use crate::{cluster, of_kind, read, somebody, words};

const GROUP: &str = "groundskeeper.dev";
const AT: &str = "2026-11-21T12:00:00Z";

/// A record, as the operator writes it.
pub(crate) fn record(name: &str) -> DynamicObject {
    read(json!({
        "apiVersion": "groundskeeper.dev/v1alpha1",
        "kind": "NodeCleanup",
        "metadata": {"name": name},
        "spec": {"nodeName": "a", "nodeUid": name, "policy": "p", "policyGeneration": 1, "steps": [{"name": "tell", "plugin": "log"}]},
    }))
}

async fn recorded(cluster: &ControlPlane, name: &str) {
    of_kind(&identity(cluster), "NodeCleanup").create(&PostParams::default(), &record(name)).await.unwrap();
}

/// Somebody who may write records as far as RBAC goes, and has these verbs besides.
fn writer(cluster: &ControlPlane, name: &str, verbs: &[&str]) -> Identity {
    let verbs: Vec<_> = ["create", "get", "patch"].iter().chain(verbs).copied().collect();
    somebody(cluster, name, &[(GROUP, "nodecleanups", &verbs)])
}

async fn say(somebody: &Identity, record: &str, overrides: Value) -> Result<Value, String> {
    change(somebody, record, json!({"overrides": overrides})).await
}

async fn change(somebody: &Identity, record: &str, spec: Value) -> Result<Value, String> {
    let patch = Patch::Merge(json!({ "spec": spec }));
    let changed = of_kind(somebody, "NodeCleanup").patch(record, &PatchParams::default(), &patch).await;
    changed.map(|record| record.data["spec"].clone()).map_err(|error| words(&error))
}

/// A value of a field of the overrides, said by somebody.
fn said(field: &str, by: &str) -> Value {
    match field {
        "skip" | "retry" => json!([{"step": "tell", "by": by, "at": AT}]),
        "extend" => json!({"until": AT, "by": by, "at": AT}),
        _ => json!({"by": by, "at": AT, "why": "because"}),
    }
}

const RIGHTS: [(&str, &str); 5] =
    [("paused", "pause"), ("skip", "skip"), ("retry", "retry"), ("extend", "extend"), ("release", "release")];

#[tokio::test]
async fn each_word_needs_its_right_both_to_be_said_and_to_be_taken_back() {
    let cluster = cluster().await;
    recorded(cluster, "words").await;
    let people: Vec<_> =
        RIGHTS.iter().map(|(_, verb)| (*verb, writer(cluster, &format!("words-{verb}"), &[verb]))).collect();
    for (field, needed) in RIGHTS {
        let able = &people.iter().find(|(verb, _)| *verb == needed).unwrap().1;
        for (verb, person) in people.iter().filter(|(verb, _)| *verb != needed) {
            let refusal = say(person, "words", json!({field: said(field, person.name())})).await.unwrap_err();
            let expected = format!("only by whoever has the right to `{needed}` nodecleanups");
            assert!(refusal.starts_with("403") && refusal.contains(&expected), "{verb} {field}: {refusal}");
        }
        let forged = say(able, "words", json!({field: said(field, "somebody-else")})).await.unwrap_err();
        let expected =
            format!("spec.overrides.{field}: `by` says who decided it, and you are {}", able.name());
        assert!(forged.contains(&expected), "{forged}");
        let spec = say(able, "words", json!({field: said(field, able.name())})).await.unwrap();
        assert_eq!(spec["overrides"][field], said(field, able.name()));
        for (_, person) in people.iter().filter(|(verb, _)| *verb != needed) {
            say(person, "words", json!({field: null})).await.expect_err("it is not theirs to take back");
        }
        say(able, "words", json!({field: null})).await.unwrap();
    }
    // Not even an administrator speaks for others.
    let refusal = say(cluster.admin(), "words", json!({"paused": said("paused", "ada")})).await.unwrap_err();
    assert!(refusal.contains("you are"), "{refusal}");
}

#[tokio::test]
async fn what_one_has_said_stays_in_their_name_when_another_adds_a_word() {
    let cluster = cluster().await;
    recorded(cluster, "several").await;
    let (ada, bob) = (writer(cluster, "several-ada", &["skip"]), writer(cluster, "several-bob", &["skip"]));
    let entry = |step: &str, by: &str, why: &str| json!({"step": step, "by": by, "at": AT, "why": why});
    let first = entry("tell", "several-ada", "she said");
    say(&ada, "several", json!({"skip": [first]})).await.unwrap();
    let second = entry("more", "several-bob", "he said");
    say(&bob, "several", json!({"skip": [first, second]})).await.unwrap();
    let changed = entry("tell", "several-ada", "he said that she said");
    let refusal = say(&bob, "several", json!({"skip": [changed, second]})).await.unwrap_err();
    assert!(refusal.contains("you are several-bob"), "{refusal}");
    say(&bob, "several", json!({"skip": [second]})).await.unwrap();
}

#[tokio::test]
async fn everything_else_of_a_record_is_the_operators() {
    let cluster = cluster().await;
    recorded(cluster, "foreign").await;
    let verbs = RIGHTS.map(|(_, verb)| verb);
    let ada = writer(cluster, "foreign-ada", &verbs);
    for spec in [
        json!({"policy": "other"}),
        json!({"policyGeneration": 2}),
        json!({"steps": []}),
        json!({"steps": null}),
        json!({"drain": {"disableEviction": true}}),
        json!({"deadlines": {"total": "30d"}}),
        json!({"escalation": [{"after": "1m", "action": "DeletePods"}]}),
        json!({"policy": "other", "overrides": {"paused": said("paused", "foreign-ada")}}),
    ] {
        let refusal = change(&ada, "foreign", spec.clone()).await.unwrap_err();
        assert!(refusal.contains("is written by Groundskeeper alone"), "{spec}: {refusal}");
    }
    // What leaves the spec as it is needs no right of ours.
    let api = of_kind(&ada, "NodeCleanup");
    let labelled = Patch::Merge(json!({"metadata": {"labels": {"ticket": "4711"}}}));
    api.patch("foreign", &PatchParams::default(), &labelled).await.unwrap();
    let refusal = words(&api.create(&PostParams::default(), &record("forged")).await.unwrap_err());
    assert!(refusal.contains("is written by Groundskeeper alone"), "{refusal}");
    // Whoever may write records may; the operator itself has no need to write one twice.
    let keeper = writer(cluster, "foreign-keeper", &["record"]);
    change(&keeper, "foreign", json!({"policyGeneration": 2})).await.unwrap();
    change(&identity(cluster), "foreign", json!({"policyGeneration": 3})).await.unwrap_err();
}

#[tokio::test]
async fn a_right_may_be_given_for_one_record() {
    let cluster = cluster().await;
    recorded(cluster, "this-one").await;
    recorded(cluster, "that-one").await;
    let ada = somebody(cluster, "one-ada", &[(GROUP, "nodecleanups", &["get", "patch"])]);
    let group = "rbac.authorization.k8s.io";
    crate::support::webhook::apply(
        cluster,
        &[
            json!({
                "apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": "one-ada-pauses"},
                "rules": [{"apiGroups": [GROUP], "resources": ["nodecleanups"], "resourceNames": ["this-one"], "verbs": ["pause"]}],
            }),
            json!({
                "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "one-ada-pauses"},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "one-ada-pauses"},
                "subjects": [{"apiGroup": group, "kind": "User", "name": "one-ada"}],
            }),
        ],
    );
    let paused = || json!({"paused": said("paused", "one-ada")});
    crate::support::eventually(cluster, "the right is heard of", async || {
        say(&ada, "this-one", paused()).await.map(drop)
    })
    .await;
    say(&ada, "that-one", paused()).await.expect_err("it was not given for that one");
}
