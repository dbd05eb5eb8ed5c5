//! Where policies look, and whose turn it is.

use gc::{Bucket, Scope};
use serde_json::{Value, json};

use crate::support::{Field, cluster, labels, policy, second, thing};

fn elsewhere(name: &str, namespace: &str) -> Value {
    thing(name, 0, json!({"metadata": {"namespace": namespace, "uid": format!("{namespace}-{name}")}}))
}

fn sweep(namespaces: Value) -> std::sync::Arc<gc::Policy> {
    cluster("sweep", json!({"ttl": {"after": "60s"}, "namespaces": namespaces}))
}

#[test]
fn a_policy_of_the_cluster_looks_at_the_namespaces_that_it_names() {
    let tidy = json!({"matchLabels": {"tidy": "yes"}});
    let table = [
        (json!({}), vec!["a", "b", "ci-1", "kube-system"]),
        (json!({"names": ["ci-*", "a"]}), vec!["a", "ci-1"]),
        (json!({"exclude": ["ci-?", "kube-*"]}), vec!["a", "b"]),
        (json!({"names": ["a", "b"], "exclude": ["b"]}), vec!["a"]),
        (json!({"selector": tidy}), vec!["a", "ci-1"]),
        (json!({"selector": tidy, "exclude": ["a"]}), vec!["ci-1"]),
        (
            json!({"selector": {"matchExpressions": [{"key": "tidy", "operator": "DoesNotExist"}]}}),
            vec!["b", "kube-system"],
        ),
    ];
    for (namespaces, expected) in table {
        let sweep = sweep(namespaces.clone());
        // The labels may be known before the objects, or after them.
        for first in [true, false] {
            let mut field = Field::with([&sweep]);
            let label = |field: &mut Field| {
                for (name, tidy) in [("a", true), ("b", false), ("ci-1", true), ("kube-system", false)] {
                    let labels = if tidy { labels(&[("tidy", "yes")]) } else { labels(&[]) };
                    field.ground.put_namespace(name, Some(labels), second(0));
                }
            };
            if first {
                label(&mut field);
            }
            ["a", "b", "ci-1", "kube-system"].into_iter().for_each(|space| field.put(&elsewhere("x", space)));
            if !first {
                label(&mut field);
            }
            let expected = i64::try_from(expected.len()).unwrap();
            assert_eq!(field.counts(&sweep).matched(), expected, "{namespaces} {first}");
            assert_eq!(field.ground.base(&sweep.key), expected.unsigned_abs(), "{namespaces} {first}");
        }
    }
}

#[test]
fn a_namespace_whose_labels_are_not_known_is_left_alone() {
    let sweep =
        sweep(json!({"selector": {"matchExpressions": [{"key": "keep", "operator": "DoesNotExist"}]}}));
    let mut field = Field::with([&sweep]);
    field.put(&elsewhere("x", "a"));
    assert_eq!(field.at(100).take(&sweep), []);
    field.ground.put_namespace("a", Some(labels(&[("keep", "")])), second(100));
    assert_eq!(field.take(&sweep), []);
    field.ground.put_namespace("a", Some(labels(&[])), second(100));
    assert_eq!(field.take(&sweep).len(), 1);
}

#[test]
fn labels_that_change_just_before_the_due_time_save_the_objects() {
    let sweep = sweep(json!({"selector": {"matchLabels": {"tidy": "yes"}}}));
    let mut field = Field::with([&sweep]);
    field.ground.put_namespace("a", Some(labels(&[("tidy", "yes")])), second(0));
    field.put(&elsewhere("x", "a"));
    assert_eq!(field.count(&sweep, Bucket::Pending), 1);
    field.ground.put_namespace("a", None, second(59));
    assert_eq!(field.at(60).take(&sweep), []);
    assert_eq!(field.counts(&sweep), gc::Counts::default());
}

#[test]
fn a_keeper_that_may_look_at_a_namespace_keeps_until_the_labels_are_known() {
    let delete = policy("delete", json!({"ttl": {"after": "60s"}}));
    let keep = cluster(
        "keep",
        json!({"action": "Keep", "namespaces": {"selector": {"matchLabels": {"precious": "yes"}}}}),
    );
    for (found, kept) in [(labels(&[("precious", "yes")]), true), (labels(&[]), false)] {
        let mut field = Field::with([&delete, &keep]);
        field.put(&thing("a", 0, json!({})));
        assert_eq!(field.at(60).take(&delete), [], "it is not known yet");
        assert!(field.verdict(&delete, "a").message(gc::Mode::Enforce, second(60)).contains("may keep it"));
        field.ground.put_namespace("team", Some(found), second(60));
        assert_eq!(field.take(&delete).is_empty(), kept);
    }
}

#[test]
fn a_namespace_that_a_policy_named_first_is_seen_by_the_others_too() {
    let (own, all) = (policy("own", json!({"ttl": {"after": "1h"}})), sweep(json!({})));
    let mut field = Field::with([&all, &own]);
    field.put(&thing("a", 0, json!({})));
    assert_eq!(field.counts(&all).matched(), 1);
}

#[test]
fn a_policy_of_a_namespace_sees_nothing_of_another() {
    let own = policy("own", json!({"ttl": {"after": "60s"}}));
    let mut field = Field::with([&own]);
    field.put(&elsewhere("x", "other"));
    assert_eq!(field.at(100).take(&own), []);
    assert_eq!((field.ground.base(&own.key), field.counts(&own)), (0, gc::Counts::default()));
    assert!(field.ground.judge_all(&own.key, gc::Gate::Open, second(100)).next().is_none());
}

#[test]
fn namespaces_take_turns_and_full_ones_go_first() {
    let sweep = sweep(json!({}));
    let mut field = Field::with([&sweep]);
    for number in 0..4 {
        field.put(&elsewhere(&format!("x{number}"), "many"));
    }
    field.put(&elsewhere("y", "few"));
    field.put(&elsewhere("z0", "full"));
    field.put(&elsewhere("z1", "full"));
    field.ground.set_full("full", true);
    let spaces = |field: &mut Field, count: usize| -> Vec<String> {
        let taken = (0..count).filter_map(|_| field.ground.take_due(&sweep.key, second(100)));
        taken.map(|due| due.namespace.to_string()).collect()
    };
    assert_eq!(spaces(&mut field, 2), ["full", "full"]);
    let rest = spaces(&mut field, 9);
    assert!(rest.len() == 5 && rest[..2].contains(&"few".to_owned()), "{rest:?}");
}

#[test]
fn the_base_of_a_share_counts_what_is_not_selected_too() {
    let own = policy(
        "own",
        json!({"ttl": {"after": "60s"}, "targetResource": {"names": ["x"]}, "budget": {"percent": 50}}),
    );
    let mut field = Field::with([&own]);
    ["x", "y", "z", "u"].into_iter().for_each(|name| field.put(&thing(name, 0, json!({}))));
    field.put(&elsewhere("x", "other"));
    let base = field.ground.base(&own.key);
    assert_eq!((base, own.budget.limit(base)), (4, 2));
    field.ground.remove("team", "y", &"y".into(), second(0));
    assert_eq!(field.ground.base(&own.key), 3);
    field.ground.abandon(&Scope::CLUSTER, |_| false, second(0));
    assert_eq!(field.ground.base(&own.key), 0);
}

#[test]
fn a_selection_of_namespaces_is_about_namespaces_themselves_too() {
    let tidy = json!({"matchLabels": {"tidy": "yes"}});
    let table = [
        (json!({"names": ["pr-*"]}), vec!["pr-1"]),
        (json!({"exclude": ["prod"]}), vec!["pr-1"]),
        (json!({"selector": tidy}), vec!["pr-1"]),
        (json!({}), vec!["pr-1", "prod"]),
    ];
    for (namespaces, expected) in table {
        let spec = json!({
            "targetResource": {"kind": "Namespace"}, "unlock": ["Namespaces"], "ttl": {"after": "60s"},
            "namespaces": namespaces,
        });
        let previews = cluster("previews", spec);
        let mut field = Field::with([&previews]);
        for (name, tidy) in [("pr-1", "yes"), ("prod", "no")] {
            field.put(&thing(name, 0, json!({"metadata": {"namespace": null, "labels": {"tidy": tidy}}})));
        }
        assert_eq!(field.at(100).collect(&previews), expected, "{namespaces}");
    }
}
