//! What concerns many objects is done bit by bit, and nothing goes in between that would not go at its end.

use gc::{Bucket, Ground, Policy};
use serde_json::json;
use std::sync::Arc;

use crate::support::{Field, TEAM, cluster, labels, policy, second, thing};

const MANY: i64 = 500;

/// A ground in turns, with many objects that were created one second after the other, and these policies.
fn field<'a>(policies: impl IntoIterator<Item = &'a Arc<Policy>>) -> Field {
    let mut field = Field { ground: Ground::in_turns(), now: second(0) };
    policies.into_iter().for_each(|policy| field.admit(policy));
    while field.ground.is_behind() {
        field.ground.catch_up(field.now, || true);
    }
    (0..MANY).for_each(|number| field.put(&thing(&format!("{number:03}"), number, json!({}))));
    field
}

/// Judges so many objects, in turns of so many.
fn judge(field: &mut Field, objects: i64, of: i64) {
    let mut left = objects;
    while left > 0 && field.ground.is_behind() {
        let mut turn = of.min(left);
        left -= turn;
        field.ground.catch_up(field.now, || {
            turn -= 1;
            turn > 0
        });
    }
}

fn sweep() -> Arc<Policy> {
    policy("sweep", json!({"ttl": {"secondsAfterCreation": 1000}}))
}

#[test]
fn a_policy_that_comes_looks_at_a_few_objects_at_a_time_and_takes_none_before_it_has_seen_all() {
    let dear = policy(
        "dear",
        json!({"ttl": {"secondsAfterCreation": 60}, "when": "size(object.metadata.name) > 1"}),
    );
    let mut field = field([&sweep()]);
    field.admit(&dear);
    field.at(10_000);
    assert_eq!(field.counts(&dear).matched(), 0, "nothing is judged while it is admitted");
    judge(&mut field, MANY - 1, 10);
    assert!(field.ground.is_judging(&dear.key) && field.ground.is_behind_with(&dear.key));
    assert_eq!((field.counts(&dear).matched(), field.take(&dear).len()), (MANY - 1, 0));
    assert!(field.ground.take_due(&sweep().key, field.now).is_some(), "another policy goes on");
    judge(&mut field, 1, 1);
    assert!(!field.ground.is_behind());
    assert!(!field.take(&dear).is_empty());
}

#[test]
fn policies_that_come_together_take_turns() {
    let [one, other] =
        ["one", "other"].map(|name| policy(name, json!({"ttl": {"secondsAfterCreation": 60}})));
    let mut field = field([&sweep()]);
    field.admit(&one);
    field.admit(&other);
    judge(&mut field, 40, 10);
    assert_eq!((field.counts(&one).matched(), field.counts(&other).matched()), (20, 20));
}

#[test]
fn a_policy_that_keeps_does_so_before_it_has_looked() {
    let keep = policy("keep", json!({"action": "Keep"}));
    let mut field = field([&sweep()]);
    field.admit(&keep);
    assert_eq!(field.at(10_000).take(&sweep()), []);
    judge(&mut field, MANY, 100);
    assert_eq!(field.count(&keep, Bucket::Keeping), MANY);
    assert_eq!(field.count(&sweep(), Bucket::KeptBy), MANY);

    field.ground.dismiss(&keep.key, field.now);
    assert!(field.ground.is_behind_with(&sweep().key), "what it kept is to be judged anew");
    judge(&mut field, MANY, 100);
    assert_eq!(field.count(&sweep(), Bucket::Pending), MANY);
}

#[test]
fn of_a_group_that_is_seen_in_part_nobody_goes_who_stays_in_the_end() {
    let newest = cluster(
        "newest",
        json!({"namespaces": {"selector": {"matchLabels": {"tidy": "yes"}}}, "keep": {"newest": 3}}),
    );
    let tidy = |field: &mut Field, tidy: &str| {
        field.ground.put_namespace(TEAM, Some(labels(&[("tidy", tidy)])), field.now);
    };
    let mut field = field([&newest]);
    tidy(&mut field, "yes");
    judge(&mut field, MANY, 7);
    assert_eq!(field.count(&newest, Bucket::Ranked), 3);
    // The groups are forgotten, and the places in them are found anew one by one.
    tidy(&mut field, "no");
    assert_eq!(field.at(10_000).take(&newest), [], "the namespace is not one of those any more");
    tidy(&mut field, "yes");
    let gone = field.collect(&newest);
    assert!(gone.iter().all(|name| !["497", "498", "499"].contains(&&**name)), "{gone:?}");
    judge(&mut field, MANY, 7);
    assert_eq!(field.collect(&newest).len() + gone.len(), usize::try_from(MANY - 3).unwrap());
}

#[test]
fn what_comes_and_goes_while_a_policy_looks_is_counted_once() {
    let other = policy("other", json!({"ttl": {"secondsAfterCreation": 60}}));
    let mut field = field([&sweep()]);
    field.admit(&other);
    judge(&mut field, 250, 50);
    for number in (0..MANY).step_by(2) {
        field.remove(&format!("{number:03}"));
    }
    for number in (1..MANY).step_by(2) {
        field.put(&thing(&format!("{number:03}"), number, json!({"metadata": {"resourceVersion": "2"}})));
    }
    field.put(&thing("later", 0, json!({})));
    judge(&mut field, MANY, 50);
    assert_eq!(field.counts(&other).matched(), MANY / 2 + 1);
    field.ground.dismiss(&other.key, field.now);
    field.admit(&other);
    field.ground.dismiss(&other.key, field.now);
    assert!(!field.ground.is_behind(), "nobody looks for a policy that is gone");
}
