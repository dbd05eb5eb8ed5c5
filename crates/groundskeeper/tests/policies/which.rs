//! Which objects are collected: conditions, fields, names, owners.

use serde_json::{Value, json};

use crate::support::drafts::{Draft, config_map, object, policy};
use crate::support::team::{Made, Team};
use crate::{Leaves, create_soon, set_status, team};

/// One policy for each row; of the two objects of each, the first goes and the second stays.
async fn first_goes_second_stays(team: &Team<'_>, rows: Vec<(Draft, Draft, Draft)>) {
    let mut pairs = Vec::new();
    for (number, (policy, goes, stays)) in rows.into_iter().enumerate() {
        let row = format!("row=r{number}");
        let name = |suffix: &str| format!("r{number}-{suffix}");
        let policy = policy.labelled(&row).after(1).with("/metadata/name", name("policy"));
        team.create(policy).await;
        let goes = team.create(goes.labelled(&row).with("/metadata/name", name("goes"))).await;
        let stays = team.create(stays.labelled(&row).with("/metadata/name", name("stays"))).await;
        pairs.push((goes, stays));
    }
    for (goes, _) in &pairs {
        team.goes_in_time(goes, 1).await;
    }
    let last = pairs.iter().map(|(_, stays)| stays.due(1)).max().unwrap();
    team.wait_past(last).await;
    for (_, stays) in &pairs {
        team.assert_untouched(stays).await;
    }
}

#[tokio::test]
async fn a_failed_pod_goes_and_one_that_waits_does_not() {
    let team = team("phase").await;
    let draft =
        policy("sweep").on("v1", "Pod").with("/spec/conditions/phase", json!(["Failed", "Succeeded"]));
    let sweep = team.create(draft.after(1)).await;
    let pod = |name: &str| {
        let containers = json!([{"name": "a", "image": "example.invalid/a"}]);
        object("v1", "Pod", name).with("/spec/containers", containers)
    };
    let waiting = create_soon(&team, pod("waiting")).await;
    let failed = create_soon(&team, pod("failed")).await;
    set_status(&team, &failed, json!({"phase": "Failed", "reason": "Evicted"})).await;

    team.goes_in_time(&failed, 1).await;
    team.wait_past(waiting.due(1)).await;
    assert!(team.look_at(&waiting).await.is_some());
    team.policy_is(&sweep, "the other is not matched", |policy| policy["status"]["matched"] == 0).await;
}

#[tokio::test]
async fn labels_and_annotations_are_compared_by_every_operator() {
    let team = team("keys").await;
    let row = |field: &str, condition: Value, goes: &[&str], stays: &[&str]| {
        let give = |given: &[&str]| {
            given.iter().fold(config_map("x"), |draft, pair| match field {
                "hasLabels" => draft.labelled(pair),
                _ => draft.annotated(pair),
            })
        };
        let policy = policy("x").with(&format!("/spec/conditions/{field}"), json!([condition]));
        (policy, give(goes), give(stays))
    };
    let rows = vec![
        row("hasLabels", json!({"key": "a", "value": "1"}), &["a=1"], &["a=2"]),
        row("hasLabels", json!({"key": "a"}), &["a=1"], &["b=1"]),
        row("hasLabels", json!({"key": "a", "operator": "DoesNotExist"}), &["b=1"], &["a=1"]),
        row("hasLabels", json!({"key": "a", "operator": "In", "values": ["1", "2"]}), &["a=2"], &["a=3"]),
        row("hasLabels", json!({"key": "a", "operator": "NotIn", "values": ["1", "2"]}), &[], &["a=2"]),
        row(
            "hasLabels",
            json!({"key": "a", "operator": "Matches", "value": "pr-[0-9]+"}),
            &["a=pr-7"],
            &["a=pr-7x"],
        ),
        row(
            "hasAnnotations",
            json!({"key": "example.com/a", "value": "1"}),
            &["example.com/a=1"],
            &["example.com/a="],
        ),
        row(
            "hasAnnotations",
            json!({"key": "example.com/a", "operator": "NotEquals", "value": "1"}),
            &[],
            &["example.com/a=1"],
        ),
        row(
            "hasAnnotations",
            json!({"key": "example.com/a", "operator": "Exists"}),
            &["example.com/a="],
            &[],
        ),
    ];
    first_goes_second_stays(&team, rows).await;
}

#[tokio::test]
async fn fields_of_any_type_are_compared_by_every_operator() {
    let team = team("fields").await;
    let leaves = Leaves::define(&team, "fields").await;
    let row = |operator: &str, value: Value, goes: Value, stays: Value| {
        let mut condition = json!({"fieldPath": "spec.x", "operator": operator});
        match value {
            Value::Array(values) => condition["values"] = json!(values),
            Value::Null => {}
            value => condition["value"] = value,
        }
        let give = |value: Value| match value {
            Value::Null => leaves.leaf("x"),
            value => leaves.leaf("x").with("/spec/x", value),
        };
        (leaves.policy("x").with("/spec/conditions/and", json!([condition])), give(goes), give(stays))
    };
    let rows = vec![
        row("Equals", json!(0), json!(0), json!(1)),
        row("Equals", json!("0"), json!(0), json!(1)),
        row("Equals", json!(true), json!(true), json!(false)),
        row("Equals", json!(1.5), json!(1.5), json!(1)),
        row("NotEquals", json!(0), json!(1), json!(0)),
        row("NotEquals", json!(0), Value::Null, json!(0)),
        row("In", json!([1, "two", false]), json!(false), json!(2)),
        row("NotIn", json!([1, "two"]), Value::Null, json!("two")),
        row("Exists", Value::Null, json!([]), Value::Null),
        row("DoesNotExist", Value::Null, Value::Null, json!("")),
        row("GreaterThan", json!(9), json!(10), json!(9)),
        row("LessThan", json!("1Gi"), json!("900Mi"), json!("1Gi")),
        row(
            "LessThan",
            json!("2026-01-01T00:00:00Z"),
            json!("2025-12-31T23:59:59Z"),
            json!("2026-01-01T00:00:00Z"),
        ),
        row("Matches", json!("v[0-9]+"), json!("v10"), json!("v10-rc")),
    ];
    first_goes_second_stays(&team, rows).await;
}

#[tokio::test]
async fn conditions_are_joined_by_and_or_and_not() {
    let team = team("joined").await;
    let leaves = Leaves::define(&team, "joined").await;
    let is = |field: &str, value: i64| json!({"fieldPath": format!("spec.{field}"), "operator": "Equals", "value": value});
    let leaf = |a: i64, b: i64| leaves.leaf("x").with("/spec", json!({"a": a, "b": b}));
    let with = |conditions: Value| leaves.policy("x").with("/spec/conditions", conditions);
    let rows = vec![
        (with(json!({"and": [is("a", 1), is("b", 1)]})), leaf(1, 1), leaf(1, 2)),
        (with(json!({"or": [is("a", 1), is("b", 1)]})), leaf(2, 1), leaf(2, 2)),
        (with(json!({"not": [is("a", 1), is("b", 1)]})), leaf(2, 2), leaf(2, 1)),
        (
            with(json!({"and": [{"or": [is("a", 1), is("a", 2)]}, {"not": [is("b", 3)]}]})),
            leaf(2, 2),
            leaf(2, 3),
        ),
        (
            with(json!({"and": [is("a", 1)], "or": [is("b", 1), is("b", 2)], "not": [is("b", 2)]})),
            leaf(1, 1),
            leaf(1, 2),
        ),
    ];
    first_goes_second_stays(&team, rows).await;
}

#[tokio::test]
async fn a_deployment_of_no_replicas_goes() {
    let team = team("replicas").await;
    let none = json!([{"fieldPath": "spec.replicas", "operator": "Equals", "value": 0}]);
    let sweep = policy("sweep").on("apps/v1", "Deployment").with("/spec/conditions/and", none);
    team.create(sweep.after(1)).await;
    let deployment = |name: &str, replicas: i64| {
        let labels = json!({"app": name});
        object("apps/v1", "Deployment", name)
            .with("/spec/replicas", replicas)
            .with("/spec/selector/matchLabels", labels.clone())
            .with(
                "/spec/template",
                json!({
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "a", "image": "example.invalid/a"}]},
                }),
            )
    };
    let idle = team.create(deployment("idle", 0)).await;
    let busy = team.create(deployment("busy", 1)).await;
    team.gone(&idle).await;
    team.wait_past(busy.due(1)).await;
    assert!(team.look_at(&busy).await.is_some());
}

#[tokio::test]
async fn an_expression_says_which_and_what_it_fails_on_is_unresolvable() {
    let team = team("cel").await;
    let leaves = Leaves::define(&team, "cel").await;
    let when = "object.spec.tags.exists(tag, tag.startsWith('tmp-')) && object.spec.size > 3";
    let sweep = team.create(leaves.policy("sweep").after(1).with("/spec/when", when)).await;
    let leaf = |name: &str, spec: Value| leaves.leaf(name).with("/spec", spec);
    let failing = team.create(leaf("failing", json!({"size": 4}))).await;
    let small = team.create(leaf("small", json!({"size": 3, "tags": ["tmp-a"]}))).await;
    let other = team.create(leaf("other", json!({"size": 4, "tags": ["a"]}))).await;
    let goes = team.create(leaf("goes", json!({"size": 4, "tags": ["a", "tmp-a"]}))).await;
    team.goes_in_time(&goes, 1).await;
    team.wait_past(failing.due(1)).await;
    for object in [&failing, &small, &other] {
        team.assert_untouched(object).await;
    }
    team.policy_is(&sweep, "one fails", |policy| policy["status"]["unresolvable"] == 1).await;
    // It grows into the condition.
    let small = team.edit(&small, json!({"spec": {"size": 5}})).await;
    team.goes_in_time(&small, 1).await;
}

#[tokio::test]
async fn a_field_selector_selects_by_what_the_server_knows_and_by_what_it_does_not() {
    let team = team("selector").await;
    let leaves = Leaves::define(&team, "selector").await;
    let fields = "/spec/targetResource/fieldSelector/matchFields";
    // Selected by the server.
    let secret = |name: &str, kind: &str| object("v1", "Secret", name).with("/type", kind);
    let typed = policy("typed").on("v1", "Secret").with(fields, json!({"type": "example.com/tmp"}));
    team.create(typed.after(1)).await;
    let goes = team.create(secret("goes", "example.com/tmp")).await;
    let stays = team.create(secret("stays", "Opaque")).await;
    // Selected by us: the server would refuse to.
    team.create(leaves.policy("own").with(fields, json!({"spec.x": "tmp", "spec.n": "3"})).after(1)).await;
    let leaf = |name: &str, n: i64| leaves.leaf(name).with("/spec", json!({"x": "tmp", "n": n}));
    let leaf_goes = team.create(leaf("goes", 3)).await;
    let leaf_stays = team.create(leaf("stays", 4)).await;
    // Both at once.
    let both = policy("both").with(fields, json!({"metadata.name": "named", "data.x": "tmp"})).after(1);
    team.create(both).await;
    let named = team.create(config_map("named").with("/data/x", "tmp")).await;

    for object in [&goes, &leaf_goes, &named] {
        team.goes_in_time(object, 1).await;
    }
    let named = team.create(config_map("named").with("/data/x", "other")).await;
    team.wait_past(named.due(1)).await;
    for object in [&stays, &leaf_stays, &named] {
        team.assert_untouched(object).await;
    }
}

#[tokio::test]
async fn names_are_chosen_and_excluded_by_globs() {
    let team = team("globs").await;
    let names = policy("sweep")
        .with("/spec/targetResource/names", json!(["tmp-*", "pr-??"]))
        .with("/spec/targetResource/excludeNames", json!(["*-keep"]));
    team.create(names.after(1)).await;
    let create = async |name: &str| team.create(config_map(name)).await;
    let (a, b) = (create("tmp-a").await, create("pr-17").await);
    let kept = [create("pr-171").await, create("tmp-a-keep").await, create("a-tmp-a").await];
    team.goes_in_time(&a, 1).await;
    team.goes_in_time(&b, 1).await;
    team.wait_past(kept[2].due(1)).await;
    for object in &kept {
        team.assert_untouched(object).await;
    }
}

#[tokio::test]
async fn objects_are_chosen_by_whether_they_have_an_owner_and_of_which_kind() {
    let team = team("owners").await;
    let owner = team.create(config_map("owner")).await;
    let secret = team.create(object("v1", "Secret", "owner")).await;
    let owned = |by: &Made| {
        let owners = json!([{"apiVersion": by.api_version, "kind": by.kind, "name": by.name, "uid": by.uid}]);
        config_map("x").with("/metadata/ownerReferences", owners)
    };
    let with = |owner: Value| policy("x").with("/spec/targetResource/owner", owner);
    let rows = vec![
        (with(json!({"is": "Present"})), owned(&owner), config_map("x")),
        (with(json!({"is": "Absent"})), config_map("x"), owned(&owner)),
        (with(json!({"kinds": ["Secret"]})), owned(&secret), owned(&owner)),
        (with(json!({"is": "Present", "kinds": ["ConfigMap"]})), owned(&owner), owned(&secret)),
    ];
    first_goes_second_stays(&team, rows).await;
}
