//! Several policies on one object: who decides.

use gc::Bucket;
use serde_json::{Value, json};

use crate::support::{Field, cluster, merge, policy, second, thing};

#[test]
fn which_of_two_policies_decides() {
    let never = json!({"ttl": {"expression": "null"}});
    let table: [(&str, Value, &str); 14] = [
        ("a keeping one wins", json!({"action": "Keep"}), "KeptBy"),
        ("whatever its priority", json!({"action": "Keep", "priority": -9}), "KeptBy"),
        ("not as a plan", json!({"action": "Keep", "mode": "Plan"}), "Expired"),
        ("not as a dry run", json!({"action": "Keep", "behavior": {"dryRun": true}}), "Expired"),
        ("also if it is paused", json!({"action": "Keep", "paused": true}), "KeptBy"),
        (
            "not what it does not select",
            json!({"action": "Keep", "conditions": {"hasLabels": [{"key": "a"}]}}),
            "Expired",
        ),
        ("not another kind", json!({"action": "Keep", "targetResource": {"kind": "Secret"}}), "Expired"),
        ("a higher one decides", json!({"priority": 1, "ttl": {"after": "1h"}}), "KeptBy"),
        ("also if it is paused", json!({"priority": 1, "paused": true, "ttl": {"after": "1h"}}), "KeptBy"),
        ("not as a plan", json!({"priority": 1, "mode": "Plan", "ttl": {"after": "1h"}}), "Expired"),
        ("also if it cannot tell", json!({"priority": 1, "ttl": {"fieldPath": "data.ttl"}}), "KeptBy"),
        (
            "also if it says never",
            {
                let mut spec = never.clone();
                merge(&mut spec, json!({"priority": 1}));
                spec
            },
            "KeptBy",
        ),
        ("not of what carries no mark", json!({"priority": 1, "ttl": {"marks": {}}}), "Expired"),
        ("an equal one does not", json!({"ttl": {"after": "1h"}}), "Expired"),
    ];
    for (name, other, expected) in table {
        let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
        let other = policy("other", other);
        // In whatever order they come, and whether before or after the object.
        for order in 0..4 {
            let mut field = Field::with([]);
            let rules = if order % 2 == 0 { [&sweep, &other] } else { [&other, &sweep] };
            let is_here = |policy: &gc::Policy| policy.targets[0].kind.kind == "ConfigMap";
            if order < 2 {
                rules.iter().filter(|policy| is_here(policy)).for_each(|policy| field.admit(policy));
            }
            let mut reads: Vec<_> =
                rules.iter().flat_map(|policy| policy.rules()).flat_map(|rule| rule.reads()).collect();
            reads.dedup();
            let object = crate::support::read(&thing("a", 0, json!({})), reads);
            field.ground.apply(&gc::Scope::CLUSTER, object, second(0));
            if order >= 2 {
                rules.iter().filter(|policy| is_here(policy)).for_each(|policy| field.admit(policy));
            }
            field.at(60);
            assert_eq!(field.reason(&sweep, "a"), expected, "{name}, order {order}");
            assert_eq!(field.take(&sweep).len(), usize::from(expected == "Expired"), "{name}, order {order}");
        }
    }
}

#[test]
fn of_equals_the_earliest_decides() {
    let (soon, late) =
        (policy("soon", json!({"ttl": {"after": "60s"}})), policy("late", json!({"ttl": {"after": "1h"}})));
    let mut field = Field::with([&late, &soon]);
    field.put(&thing("a", 0, json!({})));
    assert_eq!(field.at(60).take(&late), []);
    assert_eq!(field.take(&soon).len(), 1);
}

#[test]
fn a_policy_keeps_until_the_time_that_it_names_and_not_a_moment_longer() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
    let keep = policy("keep", json!({"action": "Keep", "ttl": {"after": "90s"}}));
    let mut field = Field::with([&sweep, &keep]);
    field.put(&thing("a", 0, json!({})));
    assert_eq!(field.count(&sweep, Bucket::KeptBy), 1);
    assert_eq!(field.ground.next_recheck(&sweep.key), Some(second(90)));
    field.at(89).ground.recheck(&sweep.key, second(89));
    assert_eq!(field.take(&sweep), []);
    field.at(90).ground.recheck(&sweep.key, second(90));
    assert_eq!(field.take(&sweep).len(), 1);
}

#[test]
fn what_never_falls_due_is_kept_for_good() {
    for ttl in [
        json!({"expression": "null"}),
        json!({"fieldPath": "data.ttl"}),
        json!({"marks": {"sources": ["KubeJanitor"]}}),
    ] {
        let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
        let keep = policy("keep", json!({"action": "Keep", "ttl": ttl}));
        let mut field = Field::with([&sweep, &keep]);
        let much = "9".repeat(40);
        field.put(&thing(
            "a",
            0,
            json!({"data": {"ttl": much}, "metadata": {"annotations": {"janitor/ttl": "forever"}}}),
        ));
        assert_eq!(field.at(1_000).take(&sweep), [], "{ttl}");
    }
}

#[test]
fn an_edited_keeper_lets_go_at_once_and_keeps_at_once() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
    let keep = |label: &str| {
        policy(
            "keep",
            json!({"action": "Keep", "targetResource": {"labelSelector": {"matchLabels": {"app": label}}}}),
        )
    };
    let (mine, other) = (keep("mine"), keep("other"));
    let mut field = Field::with([&sweep, &mine]);
    field.put(&thing("a", 0, json!({"metadata": {"labels": {"app": "mine"}}})));
    assert_eq!(field.at(60).take(&sweep), []);
    field.admit(&other);
    assert_eq!(field.count(&sweep, Bucket::Pending), 1);
    field.admit(&mine);
    assert_eq!(field.take(&sweep), []);
    field.ground.dismiss(&mine.key, second(60));
    assert_eq!(field.take(&sweep).len(), 1);
}

#[test]
fn a_policy_of_the_cluster_keeps_what_one_of_a_namespace_would_delete_and_only_where_it_looks() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
    for (names, kept) in [(json!(["team"]), true), (json!(["te?m", "x"]), true), (json!(["other-*"]), false)]
    {
        let keep = cluster("keep", json!({"action": "Keep", "namespaces": {"names": names}}));
        let mut field = Field::with([&sweep, &keep]);
        field.put(&thing("a", 0, json!({})));
        assert_eq!(field.at(60).take(&sweep).is_empty(), kept, "{names}");
    }
}

#[test]
fn targets_of_one_policy_do_not_keep_from_each_other() {
    let target = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    let sweep =
        policy("sweep", json!({"targetResources": [target, target], "ttl": {"after": "60s"}, "priority": 5}));
    let mut field = Field::with([&sweep]);
    field.put(&thing("a", 0, json!({})));
    assert_eq!(field.at(60).take(&sweep).len(), 1);
}
