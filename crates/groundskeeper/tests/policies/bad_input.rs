//! What no policy can be carried out with: refused at admission, and by a condition where admission was missed.

use serde_json::{Value, json};

use crate::support::drafts::{Draft, config_map, policy};
use crate::support::team::{Team, condition};
use crate::support::webhook::{configure, configured, launch, remove};
use crate::support::{eventually, holds};
use crate::{Leaves, cluster_policy, team};

/// Policies that the schema cannot tell to be wrong, and what is said of each.
fn wrong() -> Vec<(Draft, &'static str)> {
    let with = |name: &str, path: &str, value: Value| policy(name).with(path, value);
    let costly = "object.data.all(a, object.data.all(b, object.data.all(c, object.data.all(d, a == d))))";
    let deep = format!("{}1{} > 0", "(".repeat(100), ")".repeat(100));
    let matches = |pattern: &str| json!([{"fieldPath": "data.a", "operator": "Matches", "value": pattern}]);
    vec![
        (with("after-words", "/spec/ttl", json!({"after": "two weeks"})), "ttl.after"),
        (with("after-zero", "/spec/ttl", json!({"after": "0s"})), "ttl.after"),
        (with("after-long", "/spec/ttl", json!({"after": "15654w"})), "ttl.after"),
        (with("path", "/spec/ttl", json!({"fieldPath": "spec..a"})), "ttl.fieldPath"),
        (with("filter", "/spec/ttl", json!({"relativeTo": "a[?b]", "secondsAfter": 1})), "ttl.relativeTo"),
        (with("default", "/spec/ttl", json!({"fieldPath": "data.a", "default": "soon"})), "ttl.default"),
        (
            with("mapping", "/spec/ttl", json!({"fieldPath": "data.a", "mappings": {"a": 0}})),
            "ttl.mappings[a]",
        ),
        (with("at", "/spec/ttl", json!({"at": "2027-01-01 at midnight"})), "write a time such as"),
        (with("syntax", "/spec/ttl", json!({"expression": "duration('1h'"})), "ttl.expression"),
        (with("unknown", "/spec/ttl", json!({"expression": "self.data.a"})), "object"),
        (
            with("bare", "/spec/ttl", json!({"expression": "object == null ? duration('1h') : null"})),
            "object",
        ),
        (with("type", "/spec/ttl", json!({"expression": "object.data.a == 'x'"})), "ttl.expression"),
        (with("when-syntax", "/spec/when", json!("object.data.a ==")), "when"),
        (with("when-type", "/spec/when", json!("'yes'")), "when"),
        (with("costly", "/spec/when", json!(costly)), "loops"),
        (with("deep", "/spec/when", json!(deep)), "when"),
        (with("bomb", "/spec/conditions/and", matches("(a{1000}){1000}")), "conditions.and"),
        (with("regex", "/spec/conditions/and", matches("(a")), "conditions.and"),
        (with("cel-bomb", "/spec/when", json!("object.data.a.matches('(a{1000}){1000}')")), "when"),
        (
            with(
                "window",
                "/spec/schedule",
                json!({"timeZone": "Mars/Base", "windows": [{"from": "01:00", "to": "02:00"}]}),
            ),
            "no time zone",
        ),
        (with("notice", "/spec/notice", json!("5s")), "notice"),
        (with("account", "/spec/serviceAccountName", json!("a b")), "serviceAccountName"),
    ]
}

#[tokio::test]
async fn what_cannot_be_carried_out_gets_a_condition_that_says_what_is_wrong() {
    let team = team("wrong").await;
    let due = team.create(config_map("due").with("/data/a", "aaa")).await;
    let mut made = Vec::new();
    for (draft, expected) in wrong() {
        made.push((team.create(draft.clone()).await, expected));
    }
    for (policy, expected) in &made {
        let said = team.ready_is(policy, "False", "Invalid").await;
        assert!(said.contains(expected), "{}: {said}", policy.name);
        let found = team.look_at(policy).await.unwrap();
        assert_eq!(condition(&found, "Stalled")["status"], "True", "{found}");
    }
    team.assert_untouched(&due).await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_the_api_server_itself() {
    let team = team("senseless").await;
    let at_least = "greater than or equal to 1";
    let term = |term: Value| json!({"and": [term]});
    let table = [
        ("/spec/ttl", json!({"secondsAfterCreation": 0}), at_least),
        ("/spec/ttl", json!({"secondsAfterCreation": 9_467_280_000_i64}), "less than or equal to"),
        ("/spec/ttl", json!({"secondsAfterCreation": 1, "after": "1h"}), "ttl needs exactly one of"),
        ("/spec/ttl", json!({"secondsAfterCreation": 0, "fieldPath": "a"}), "ttl needs exactly one of"),
        ("/spec/ttl", json!({"relativeTo": "a"}), "relativeTo and secondsAfter belong together"),
        ("/spec/ttl", json!({"marks": {"sources": ["Janitor"]}}), "Unsupported value"),
        ("/spec/mode", json!("Dry"), "Unsupported value"),
        ("/spec/budget", json!({"window": "1h"}), "budget needs count or percent"),
        ("/spec/keep", json!({"newest": 1, "oldest": 1}), "exactly one of newest and oldest"),
        ("/spec/conditions", term(json!({"fieldPath": "a"})), "fieldPath and operator belong together"),
        ("/spec/conditions", term(json!({"fieldPath": "a", "operator": "Like"})), "Unsupported value"),
        ("/spec/unlock", json!(["Everything"]), "Unsupported value"),
        (
            "/spec/schedule",
            json!({"windows": [{"from": "25:00", "to": "26:00"}]}),
            "write a time of day as HH:MM",
        ),
        ("/spec/behavior", json!({"finalizr": "a"}), "unknown field"),
        ("/spec/behavior", json!({"finalizer": ""}), "write a finalizer with its domain"),
        ("/spec/behavior", json!({"finalizer": "foregroundDeletion"}), "write a finalizer with its domain"),
        (
            "/spec/behavior",
            json!({"finalizer": "service.kubernetes.io/load-balancer-cleanup"}),
            "a finalizer of Kubernetes is taken off by Kubernetes alone",
        ),
        ("/spec/behavior", json!({"finalizer": "k8s.io/x"}), "a finalizer of Kubernetes"),
        ("/spec/behavior", json!({"finalizer": "groundskeeper.dev/x"}), "a finalizer of Groundskeeper"),
    ];
    for (path, value, expected) in table {
        let refusal = team.try_create(policy("sweep").with(path, value.clone())).await;
        let refusal = refusal.expect_err(&value.to_string());
        assert!(refusal.contains(expected), "{value}: {refusal}");
    }
}

/// Each evaluation is bounded; an object that needs more is unresolvable, and nobody waits for it.
#[tokio::test]
async fn an_expression_that_is_too_dear_for_one_object_fails_for_that_object() {
    let team = team("dear").await;
    let leaves = Leaves::define(&team, "dear").await;
    let when = "object.spec.list.all(a, !object.spec.list.exists(b, a + b == 1))";
    let sweep = team.create(leaves.policy("sweep").after(1).with("/spec/when", when)).await;
    let list = |length: usize| json!(vec![0; length]);
    let dear = team.create(leaves.leaf("dear").with("/spec/list", list(2_000))).await;
    let cheap = team.create(leaves.leaf("cheap").with("/spec/list", list(1))).await;
    team.goes_in_time(&cheap, 1).await;
    let found = team.policy_is(&sweep, "one fails", |policy| policy["status"]["unresolvable"] == 1).await;
    let said = crate::message(&found, "Unresolvable");
    assert!(said.contains("/dear:"), "{said}");
    team.assert_untouched(&dear).await;
}

#[tokio::test]
async fn a_kind_that_nobody_can_delete_is_refused_by_a_condition() {
    let team = team("no-delete").await;
    let sweep = team.create(policy("sweep").on("v1", "ComponentStatus")).await;
    let said = team.ready_is(&sweep, "False", "KindNotNamespaced").await;
    assert!(said.contains("ComponentStatus"), "{said}");
    let sweep = team.create(cluster_policy("no-delete").on("v1", "ComponentStatus").labelled("a=b")).await;
    let said = team.ready_is(&sweep, "False", "KindNotCollectable").await;
    assert!(said.contains("ComponentStatus"), "{said}");
    team.delete(&sweep).await;
}

/// Somebody who may write policies of both kinds, and nothing else.
fn writer(team: &Team<'static>) -> Team<'static> {
    let group = "rbac.authorization.k8s.io";
    let metadata = json!({"name": "policy-writers"});
    let kinds = ["garbagecollectionpolicies", "clustergarbagecollectionpolicies"];
    let documents = [
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": metadata,
            "rules": [{"apiGroups": ["groundskeeper.dev"], "resources": kinds, "verbs": ["*"]}],
        }),
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "policy-writers"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "wendy"}],
        }),
    ];
    crate::support::webhook::apply(team.cluster, &documents);
    let client = team.cluster.user("wendy", &[]).unwrap().client().unwrap();
    Team { cluster: team.cluster, namespace: team.namespace.clone(), client }
}

#[tokio::test]
async fn admission_refuses_what_cannot_be_carried_out() {
    let (_turn, cluster) = crate::support::turn().await;
    remove(cluster);
    let operator = launch(cluster, &[]).await;
    configure(cluster, &[&operator]);
    configured(cluster).await;
    let team = Team::new(cluster, "admission").await;
    eventually(cluster, "the webhook is called", async || {
        let answer = team.try_create(policy("heard").with("/spec/when", "object.data.a ==")).await;
        holds(answer.as_ref().is_err_and(|refusal| refusal.contains("when")), format!("{answer:?}"))
    })
    .await;
    for (draft, expected) in wrong() {
        let name = draft.name().to_owned();
        let refusal = team.try_create(draft).await.expect_err(&name);
        assert!(refusal.contains(expected), "{name}: {refusal}");
    }
    // Policies of the cluster are judged, too: kinds, and the author's rights in all namespaces.
    let component = cluster_policy("component").on("v1", "ComponentStatus").labelled("a=b");
    let refusal = team.try_create(component).await.unwrap_err();
    assert!(refusal.contains("ComponentStatus (v1) cannot be collected"), "{refusal}");
    let spaces = cluster_policy("spaces").on("v1", "Namespace").labelled("a=b");
    let refusal = team.try_create(spaces.clone()).await.unwrap_err();
    assert!(refusal.contains("unless the policy unlocks Namespaces"), "{refusal}");
    team.create(spaces.with("/spec/unlock", json!(["Namespaces"])).with("/spec/mode", "Plan")).await;

    let writer = writer(&team);
    let narrow = cluster_policy("narrow").labelled("a=b");
    let refusal =
        writer.try_create(narrow.with("/spec/namespaces", json!({"names": [team.namespace]}))).await;
    let refusal = refusal.unwrap_err();
    assert!(
        refusal.contains("`wendy` may not `list` or `delete` `configmaps` in all namespaces"),
        "{refusal}"
    );
    assert!(operator.errors().is_empty(), "{:#?}", operator.errors());
    remove(cluster);
    assert!(operator.stop().await.success());
}
