//! The newest and oldest of each group, which stay.

use gc::{Bucket, Settled};
use serde_json::{Value, json};

use crate::support::{Field, TEAM, cluster, labels, policy, second, thing};

fn keep(change: Value) -> std::sync::Arc<gc::Policy> {
    policy("keep", json!({"keep": change}))
}

fn app(name: &str, created: i64, app: &str) -> Value {
    thing(name, created, json!({"metadata": {"labels": {"app": app}}}))
}

#[test]
fn the_newest_of_each_group_stay_and_the_rest_goes() {
    let table = [
        (json!({"newest": 2}), vec!["a1", "a2", "b1"]),
        (json!({"oldest": 2}), vec!["a3", "b1", "b2"]),
        (json!({"newest": 1, "groupBy": {"label": "app"}}), vec!["a1", "a2", "b1"]),
        (json!({"oldest": 1, "groupBy": {"label": "app"}}), vec!["a2", "a3", "b2"]),
        (json!({"newest": 1, "groupBy": {"label": "none"}}), vec!["a1", "a2", "a3", "b1"]),
        (json!({"newest": 1, "groupBy": {"fieldPath": "data.kind"}}), vec!["a2", "b1"]),
        (json!({"newest": 1, "groupBy": {"owner": true}}), vec!["a1", "a3"]),
        (json!({"newest": 0}), vec!["a1", "a2", "a3", "b1", "b2"]),
        (json!({"newest": 9}), vec![]),
        (json!({"newest": 1, "minAge": "100s"}), vec!["a1"]),
    ];
    for (rule, expected) in table {
        let keep = keep(rule.clone());
        let mut field = Field::with([&keep]);
        for (name, created, label, owner, kind) in [
            ("a1", 0, "a", Some("x"), "t"),
            ("a2", 10, "a", Some("x"), "u"),
            ("a3", 20, "a", None, "u"),
            ("b1", 15, "b", Some("y"), "v"),
            ("b2", 25, "b", None, "v"),
        ] {
            let mut thing = app(name, created, label);
            thing["data"] = json!({"kind": kind});
            if let Some(owner) = owner {
                // The controller counts, whoever is named first.
                thing["metadata"]["ownerReferences"] = json!([
                    {"kind": "A", "name": name, "uid": name}, {"kind": "J", "name": "j", "uid": owner, "controller": true},
                ]);
            }
            field.put(&thing);
        }
        let mut gone = field.at(105).collect(&keep);
        gone.sort();
        assert_eq!(gone, expected, "{rule}");
    }
}

#[test]
fn of_objects_of_one_age_as_many_stay_as_are_to_stay() {
    for rule in [json!({"newest": 2}), json!({"oldest": 2})] {
        let keep = keep(rule);
        let mut field = Field::with([&keep]);
        ["d", "a", "c", "b"].into_iter().for_each(|name| field.put(&thing(name, 0, json!({}))));
        assert_eq!(field.at(1).collect(&keep).len(), 2);
        assert_eq!(field.collect(&keep), [""; 0]);
    }
}

#[test]
fn who_leaves_is_replaced_by_the_next() {
    let keep = keep(json!({"newest": 2}));
    let mut field = Field::with([&keep]);
    ["a", "b", "c", "d"].into_iter().zip(0..).for_each(|(name, at)| field.put(&thing(name, at, json!({}))));
    assert_eq!(field.count(&keep, Bucket::Ranked), 2);
    field.remove("d");
    assert_eq!((field.count(&keep, Bucket::Ranked), field.count(&keep, Bucket::Pending)), (2, 1));

    // One that ends, one that is not selected any more, one that somebody protects and that keeps its place.
    field.put(&thing("c", 2, json!({"metadata": {"deletionTimestamp": "1970-01-01T00:00:03Z"}})));
    assert_eq!(field.at(9).collect(&keep), [""; 0]);
    assert_eq!(field.counts(&keep).of(Bucket::Ranked), 2);
}

#[test]
fn who_moves_to_another_group_takes_a_place_there() {
    let keep = keep(json!({"newest": 1, "groupBy": {"label": "app"}}));
    let mut field = Field::with([&keep]);
    [app("a1", 0, "a"), app("a2", 1, "a"), app("b1", 2, "b")].iter().for_each(|thing| field.put(thing));
    field.put(&app("b1", 2, "a"));
    let mut gone = field.at(9).collect(&keep);
    gone.sort();
    assert_eq!(gone, ["a1", "a2"]);
}

#[test]
fn somebody_who_goes_under_another_policy_holds_no_place() {
    let keep = keep(json!({"newest": 1}));
    let other = policy("other", json!({"targetResource": {"names": ["new"]}, "ttl": {"after": "5s"}}));
    let mut field = Field::with([&keep, &other]);
    field.put(&thing("old", 0, json!({})));
    field.put(&thing("new", 1, json!({})));

    let taken = field.at(10).take(&other);
    assert_eq!(field.take(&keep), [], "the other one may be the last by now");
    field.ground.settle(&taken[0], Settled::Done, second(10));
    assert_eq!(field.take(&keep), [], "the watch has not shown it, and yet it is gone");
    field.put(&thing("newer", 11, json!({})));
    assert_eq!(field.collect(&keep), ["old"]);
}

#[test]
fn a_deletion_that_failed_gives_the_place_back() {
    let keep = keep(json!({"newest": 1}));
    let other = policy("other", json!({"targetResource": {"names": ["new"]}, "ttl": {"after": "5s"}}));
    let mut field = Field::with([&keep, &other]);
    field.put(&thing("old", 0, json!({})));
    field.put(&thing("new", 1, json!({})));
    let taken = field.at(10).take(&other);
    field.ground.settle(&taken[0], Settled::NotBefore(second(90)), second(10));
    assert_eq!(field.collect(&keep), ["old"]);
}

#[test]
fn a_place_is_lost_with_the_time_at_which_the_policy_was_about_its_holder() {
    // The policy is about what is younger than a minute; the young ones are kept first.
    let keep = policy(
        "keep",
        json!({"keep": {"newest": 1}, "when": "object.metadata.name != 'night' || now < timestamp('1970-01-01T00:01:00Z')"}),
    );
    let mut field = Field::with([&keep]);
    field.put(&thing("day", 0, json!({})));
    field.put(&thing("night", 30, json!({})));
    assert_eq!(field.count(&keep, Bucket::Pending), 1);
    assert_eq!(field.at(60).take(&keep), [], "of those that the policy is about now, it is the newest");
    assert_eq!(field.reason(&keep, "day"), "Newest");
}

#[test]
fn a_namespace_that_a_policy_looks_at_again_has_no_ghosts_in_its_groups() {
    let keep = cluster(
        "keep",
        json!({"keep": {"newest": 1}, "namespaces": {"selector": {"matchLabels": {"tidy": "yes"}}}}),
    );
    let mut field = Field::with([&keep]);
    field.ground.put_namespace(TEAM, Some(labels(&[("tidy", "yes")])), second(0));
    field.put(&thing("old", 0, json!({})));
    field.put(&thing("new", 1, json!({})));
    assert_eq!(field.count(&keep, Bucket::Pending), 1);

    field.ground.put_namespace(TEAM, Some(labels(&[])), second(0));
    field.remove("new");
    field.ground.put_namespace(TEAM, Some(labels(&[("tidy", "yes")])), second(0));
    assert_eq!(field.at(100).collect(&keep), [""; 0], "it is the only one, and so the newest");
    field.put(&thing("newer", 50, json!({})));
    assert_eq!(field.collect(&keep), ["old"]);
}

#[test]
fn a_policy_that_comes_later_counts_each_object_once() {
    let keep = keep(json!({"newest": 2}));
    let mut field = Field::with([]);
    ["c", "a", "b", "d"].into_iter().zip(0..).for_each(|(name, at)| field.put(&thing(name, at, json!({}))));
    field.admit(&keep);
    assert_eq!((field.count(&keep, Bucket::Ranked), field.count(&keep, Bucket::Pending)), (2, 2));
    assert_eq!(field.counts(&keep).matched(), 4);
    field.admit(&crate::support::policy("keep", json!({"keep": {"newest": 3}})));
    assert_eq!((field.count(&keep, Bucket::Ranked), field.count(&keep, Bucket::Pending)), (3, 1));
}

#[test]
fn what_is_on_its_way_out_has_no_place_although_it_is_protected() {
    let keep = policy("keep", json!({"keep": {"oldest": 1}}));
    let mut field = Field::with([&keep]);
    let going = json!({"metadata": {
        "deletionTimestamp": second(1).to_string(), "finalizers": ["example.com/wait"],
        "annotations": {"groundskeeper.dev/protect": "true"},
    }});
    field.put(&thing("going", 0, going));
    field.put(&thing("stays", 1, json!({})));
    field.put(&thing("goes", 2, json!({})));
    assert_eq!(field.at(60).collect(&keep), ["goes"]);
}
