//! Several policies on one object: who decides.

use gc::Bucket;
use serde_json::{Value, json};

use crate::support::{Field, TEAM, cluster, merge, policy, second, thing};

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

/// What stands in for a policy of the namespace with this spec.
fn stand_in(change: Value) -> Option<std::sync::Arc<gc::Policy>> {
    let mut spec = json!({"targetResource": {"apiVersion": "v1", "kind": "ConfigMap"}, "mode": "Enforce"});
    merge(&mut spec, change);
    let policy: api::GarbageCollectionPolicy = serde_json::from_value(json!({
        "metadata": {"name": "broken", "namespace": crate::support::TEAM}, "spec": spec,
    }))
    .unwrap();
    assert!(gc::Policy::compile(&policy, &api::Rails::new("grounds")).is_err(), "it is not broken");
    gc::Policy::stand_in(&policy, &api::Rails::new("grounds")).map(std::sync::Arc::new)
}

#[test]
fn a_policy_that_is_broken_goes_on_keeping_from_others_and_deletes_nothing() {
    let labelled = json!({"labelSelector": {"matchLabels": {"keep": "yes"}}});
    let table = [
        (
            "by its labels",
            json!({"action": "Keep", "when": "object.", "targetResource": labelled}),
            [true, false],
        ),
        (
            "all, if not even they are right",
            json!({"action": "Keep", "targetResource": {"labelSelector": {"matchLabels": {"a b": "yes"}}}}),
            [true, true],
        ),
        ("one of a higher priority", json!({"priority": 1, "ttl": {"after": "soon"}}), [true, true]),
        ("none of the same", json!({"ttl": {"after": "soon"}}), [false, false]),
    ];
    for (name, spec, kept) in table {
        let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
        let broken = stand_in(spec).unwrap();
        let mut field = Field::with([&sweep, &broken]);
        field.put(&thing("a", 0, json!({"metadata": {"labels": {"keep": "yes"}}})));
        field.put(&thing("b", 0, json!({})));
        field.at(200 * 365 * 86_400);
        assert_eq!(field.take(&broken), [], "{name}");
        assert_eq!(["a", "b"].map(|object| field.reason(&sweep, object) == "KeptBy"), kept, "{name}");
    }
    assert!(stand_in(json!({"action": "Keep", "when": "object.", "mode": "Plan"})).is_none());
    assert!(stand_in(json!({"action": "Keep", "targetResource": {"kind": "config maps"}})).is_none());
}

#[test]
fn what_another_policy_may_unlock_can_be_kept() {
    let namespaces = json!({"action": "Keep", "targetResource": {"kind": "Namespace"}});
    assert_eq!(cluster("keep", namespaces).rail(), None);
    let sweep = cluster("sweep", json!({"targetResource": {"kind": "Namespace"}, "ttl": {"after": "1h"}}));
    assert_eq!(sweep.rail(), Some(api::Rail::Namespace));
}

/// Whether an object goes by a policy on `v1` although another policy, on `v2` of the same kind, has this in its spec.
fn goes_beside(guest: Value, object: &Value) -> bool {
    let mut on_v2 = json!({"targetResource": {"apiVersion": "example.com/v2", "kind": "Widget"}});
    merge(&mut on_v2, guest);
    let (v1, guest) = (widgets("example.com/v1"), policy("guest", on_v2));
    let mut field = Field::with([&v1]);
    let mut reads: Vec<_> = v1.rules().flat_map(|rule| rule.reads()).collect();
    field.ground.admit_guests(&guest.key, guest.rules().collect(), second(0));
    reads.extend(field.ground.guests_read(Some(TEAM)));
    field.ground.apply(&gc::Scope::CLUSTER, crate::support::read(object, reads), second(0));
    assert_eq!(field.ground.policies().collect::<Vec<_>>(), [&v1.key]);
    assert_eq!(field.counts(&guest).matched(), 0, "its objects are counted where it looks");
    field.at(60).take(&v1).len() == 1
}

fn widgets(api_version: &str) -> std::sync::Arc<gc::Policy> {
    let target = json!({"apiVersion": api_version, "kind": "Widget"});
    policy("sweep", json!({"targetResource": target, "ttl": {"after": "60s"}}))
}

#[test]
fn a_policy_on_another_version_of_a_kind_keeps_the_same_objects() {
    let labelled = thing("a", 0, json!({"metadata": {"labels": {"hold": "yes"}}, "spec": {"hold": true}}));
    let by_label = json!({"labelSelector": {"matchLabels": {"hold": "yes"}}});
    let by_annotation = json!({"fieldPath": "metadata.annotations.hold", "operator": "Exists"});
    let by_field = json!({"fieldPath": "spec.hold", "operator": "Equals", "value": "false"});
    let keep = |change: Value| {
        let mut keep = json!({"action": "Keep"});
        merge(&mut keep, change);
        keep
    };
    let table = [
        ("it keeps all", keep(json!({})), false),
        ("it keeps by a label", keep(json!({"targetResource": by_label})), false),
        ("not by a name of others", keep(json!({"targetResource": {"names": ["b"]}})), true),
        ("by a name", keep(json!({"targetResource": {"names": ["a"]}})), false),
        (
            "metadata are the same in all versions",
            keep(json!({"conditions": {"and": [by_annotation]}})),
            true,
        ),
        ("other fields are not, so it may keep it", keep(json!({"conditions": {"and": [by_field]}})), false),
        (
            "but not what its label selector does not select",
            keep(
                json!({"conditions": {"and": [by_field]}, "targetResource": {"labelSelector": {"matchLabels": {"other": "yes"}}}}),
            ),
            true,
        ),
        ("a plan keeps nothing", keep(json!({"mode": "Plan"})), true),
        ("a higher priority decides", json!({"priority": 1, "ttl": {"after": "1h"}}), false),
        ("an equal one does not", json!({"ttl": {"after": "1h"}}), true),
    ];
    for (name, guest, goes) in table {
        assert_eq!(goes_beside(guest, &labelled), goes, "{name}");
    }
}

#[test]
fn a_guest_that_leaves_or_changes_lets_go() {
    let sweep = widgets("example.com/v1");
    let keep = |label: &str| {
        let selector = json!({"matchLabels": {"app": label}});
        let target = json!({"apiVersion": "example.com/v2", "kind": "Widget", "labelSelector": selector});
        policy("keep", json!({"action": "Keep", "targetResource": target}))
    };
    let (mine, other) = (keep("mine"), keep("other"));
    let mut field = Field::with([&sweep]);
    field.put(&thing("a", 0, json!({"metadata": {"labels": {"app": "mine"}}})));
    field.at(60);
    let mut invite = |keep: &std::sync::Arc<gc::Policy>| {
        let is_news = field.ground.admit_guests(&keep.key, keep.rules().collect(), second(60));
        (is_news, field.count(&sweep, Bucket::KeptBy))
    };
    assert_eq!([invite(&mine), invite(&mine), invite(&other)], [(true, 1), (false, 1), (true, 0)]);
    invite(&mine);
    assert_eq!(field.take(&sweep), []);
    field.ground.dismiss(&mine.key, second(60));
    assert_eq!(field.take(&sweep).len(), 1);
}

#[test]
fn a_policy_that_reads_marks_leaves_to_others_what_carries_none_although_it_is_protected_from_it() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}, "unlock": ["HelmReleases"]}));
    let marks = policy("marks", json!({"priority": 1, "ttl": {"marks": {}}}));
    let mut field = Field::with([&sweep, &marks]);
    let release = "sh.helm.release.v1.a";
    field.put(&thing(release, 0, json!({})));
    assert_eq!(
        (field.at(60).reason(&marks, release), field.reason(&sweep, release)),
        ("HelmRelease", "Expired")
    );
    let marked =
        json!({"metadata": {"annotations": {"groundskeeper.dev/ttl": "1h"}, "resourceVersion": "2"}});
    field.put(&thing(release, 0, marked));
    assert_eq!(field.reason(&sweep, release), "KeptBy");
}
