//! Since when an object that goes might have gone.

use gc::Settled;
use serde_json::json;

use crate::support::{Field, policy, second, thing};

/// Since when the next object that is due under a policy might have gone, in seconds.
fn free_since(field: &mut Field, policy: &gc::Policy) -> Option<i64> {
    let due = field.ground.take_due(&policy.key, field.now)?;
    assert!(due.free_since >= due.since, "{due:?}");
    Some(due.free_since.as_second())
}

#[test]
fn an_object_whose_time_comes_is_late_from_then_on_however_often_its_deletion_fails() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
    let mut field = Field::with([&sweep]);
    field.put(&thing("a", 0, json!({})));
    let due = field.at(100).ground.take_due(&sweep.key, second(100)).unwrap();
    field.ground.settle(&due, Settled::NotBefore(second(110)), second(101));
    assert_eq!(free_since(field.at(120), &sweep), Some(60));
}

#[test]
fn what_was_due_when_it_was_first_read_is_late_from_its_time_on() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
    let mut field = Field::with([&sweep]);
    field.at(500).put(&thing("a", 0, json!({})));
    assert_eq!(free_since(&mut field, &sweep), Some(60));
}

#[test]
fn what_was_created_after_the_moment_is_not_late_before_that() {
    let sweep = policy("sweep", json!({"ttl": {"at": "1970-01-01T00:00:10Z"}}));
    let mut field = Field::with([&sweep]);
    field.at(101).put(&thing("a", 100, json!({})));
    assert_eq!(free_since(&mut field, &sweep), Some(100));
}

#[test]
fn what_came_to_match_after_its_time_is_late_from_then_on() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}, "conditions": {"phase": ["Done"]}}));
    let mut field = Field::with([&sweep]);
    let phase = |phase: &str, version: &str| {
        thing("a", 0, json!({"metadata": {"resourceVersion": version}, "status": {"phase": phase}}))
    };
    field.put(&phase("Running", "1"));
    field.at(300).put(&phase("Done", "2"));
    // A change that changes nothing about it is no excuse.
    field.at(310).put(&phase("Done", "3"));
    assert_eq!(free_since(field.at(320), &sweep), Some(300));
}

#[test]
fn what_the_newest_pushes_out_is_late_from_then_on() {
    let sweep = policy("sweep", json!({"keep": {"newest": 1}}));
    let mut field = Field::with([&sweep]);
    field.put(&thing("a", 0, json!({})));
    field.at(200).put(&thing("b", 200, json!({})));
    assert_eq!(free_since(field.at(205), &sweep), Some(200));
}

#[test]
fn what_another_policy_lets_go_is_late_from_then_on() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
    for until in [None, Some("150s")] {
        let ttl = until.map(|after| json!({"after": after}));
        let keep = policy("keep", json!({"action": "Keep", "ttl": ttl}));
        let mut field = Field::with([&sweep, &keep]);
        field.put(&thing("a", 0, json!({})));
        field.at(150);
        if until.is_none() {
            field.ground.dismiss(&keep.key, second(150));
        }
        field.ground.recheck(&sweep.key, second(150));
        assert_eq!(free_since(field.at(160), &sweep), Some(150));
    }
}

#[test]
fn what_was_kept_again_meanwhile_is_late_from_the_last_time_on() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
    let keep = policy("keep", json!({"action": "Keep"}));
    let mut field = Field::with([&sweep, &keep]);
    field.put(&thing("a", 0, json!({})));
    for now in [100, 200] {
        field.at(now).ground.dismiss(&keep.key, second(now));
        field.at(now + 50).admit(&keep);
    }
    field.at(300).ground.dismiss(&keep.key, second(300));
    assert_eq!(free_since(field.at(310), &sweep), Some(300));
}
