//! The one finalizer that a policy takes off objects that it has deleted.

use std::sync::Arc;

use gc::{Bucket, Due, Policy, Settled, Step, Ward};
use serde_json::{Value, json};

use crate::support::{Field, TEAM, compile, merge, policy, second, thing};

const OURS: &str = "example.com/cleanup";
const FOREIGN: &str = "other.example.com/x";

fn sweep(change: Value) -> Arc<Policy> {
    let mut spec = json!({"ttl": {"secondsAfterCreation": 60}, "behavior": {"finalizer": OURS}});
    merge(&mut spec, change);
    policy("sweep", spec)
}

/// An object with these finalizers, in this version.
fn held(finalizers: &[&str], version: u64, change: Value) -> Value {
    let mut held = thing(
        "a",
        0,
        json!({"metadata": {"finalizers": finalizers, "resourceVersion": version.to_string()}}),
    );
    merge(&mut held, change);
    held
}

fn terminating(finalizers: &[&str], version: u64) -> Value {
    held(finalizers, version, json!({"metadata": {"deletionTimestamp": second(61).to_string()}}))
}

fn ward(uid: &str) -> Ward {
    Ward { namespace: TEAM.into(), name: "a".into(), uid: uid.into() }
}

/// What is to be deleted, deleted: the server has accepted it.
fn delete(field: &mut Field, sweep: &Arc<Policy>) -> Due {
    let due = field.ground.take_due(&sweep.key, field.now).unwrap();
    if due.is_held {
        let ward = Ward { namespace: due.namespace.clone(), name: due.name.clone(), uid: due.uid.clone() };
        field.ground.entrust(&sweep.key, ward, field.now);
    }
    field.ground.settle(&due, Settled::Done, field.now);
    due
}

fn release(field: &mut Field, sweep: &Policy) -> Option<Due> {
    field.ground.take_release(&sweep.key, field.now)
}

#[test]
fn it_is_taken_off_once_the_object_that_the_policy_deleted_is_seen_to_end() {
    let sweep = sweep(json!({}));
    let mut field = Field::with([&sweep]);
    field.put(&held(&[OURS, FOREIGN], 1, json!({})));
    field.at(60);
    assert!(delete(&mut field, &sweep).is_held);
    assert_eq!(
        (release(&mut field, &sweep), field.ground.next_release(&sweep.key)),
        (None, None),
        "it is not seen to end"
    );

    field.at(61).put(&terminating(&[OURS, FOREIGN], 2));
    assert_eq!(field.count(&sweep, Bucket::Terminating), 1);
    let said = field.verdict(&sweep, "a").message(gc::Mode::Enforce, field.now);
    assert!(said.contains("takes the finalizer `example.com/cleanup` off"), "{said}");
    assert_eq!(field.ground.next_release(&sweep.key), Some(second(60)));
    let due = release(&mut field, &sweep).unwrap();
    assert_eq!((due.step, &*due.name, due.resource_version.to_string().as_str()), (Step::Release, "a", "2"));
    assert_eq!(
        (release(&mut field, &sweep), field.ground.next_release(&sweep.key)),
        (None, None),
        "one is under way"
    );

    field.ground.settle(&due, Settled::Done, field.now);
    field.at(62).put(&terminating(&[FOREIGN], 3));
    assert_eq!((release(&mut field, &sweep), field.ground.wards(&sweep.key).count()), (None, 0));
    assert_eq!((field.reason(&sweep, "a"), field.count(&sweep, Bucket::Held)), ("HeldByFinalizers", 1));
    let (object, verdict) = field.ground.held(&sweep.key, field.now).unwrap();
    assert_eq!(&*object.name, "a");
    let said = verdict.message(gc::Mode::Enforce, field.now);
    assert!(said.contains("hangs on finalizers of others, which stay: `other.example.com/x`"), "{said}");
}

#[test]
fn nobody_touches_what_somebody_else_deleted() {
    let sweep = sweep(json!({}));
    let mut field = Field::with([&sweep]);
    field.at(61).put(&terminating(&[OURS], 2));
    assert_eq!((release(&mut field, &sweep), field.ground.next_release(&sweep.key)), (None, None));
    assert_eq!((field.reason(&sweep, "a"), field.count(&sweep, Bucket::Held)), ("HeldByFinalizers", 1));
    let said = field.verdict(&sweep, "a").message(gc::Mode::Enforce, field.now);
    assert!(said.contains("nothing shows that it was this policy that deleted it"), "{said}");
    // Another policy's deletion is no proof for this one.
    let other =
        policy("other", json!({"ttl": {"secondsAfterCreation": 60}, "behavior": {"finalizer": OURS}}));
    field.admit(&other);
    field.ground.entrust(&other.key, ward("a"), second(61));
    assert_eq!(release(&mut field, &sweep), None);
    assert_eq!(field.count(&sweep, Bucket::Held), 1);
    assert!(release(&mut field, &other).is_some());
}

#[test]
fn a_later_object_of_the_same_name_is_another() {
    let sweep = sweep(json!({}));
    let mut field = Field::with([&sweep]);
    field.put(&held(&[OURS], 1, json!({})));
    field.at(60);
    delete(&mut field, &sweep);
    field.at(61).remove("a");
    let mut anew = terminating(&[OURS], 9);
    merge(&mut anew, json!({"metadata": {"uid": "b"}}));
    field.put(&anew);
    assert_eq!(field.count(&sweep, Bucket::Held), 1);
    // The server is asked of the one that was deleted, by its UID.
    let due = release(&mut field, &sweep).unwrap();
    assert_eq!((due.uid.to_string().as_str(), due.resource_version.to_string().as_str()), ("a", ""));
    field.ground.settle(&due, Settled::Done, field.now);
    assert_eq!(release(&mut field, &sweep), None);
}

#[test]
fn nothing_is_touched_by_a_policy_that_rests_or_only_plans_nor_what_is_protected() {
    for change in [json!({"paused": true}), json!({"mode": "Plan"}), json!({"behavior": {"dryRun": true}})] {
        let sweep = sweep(change);
        let mut field = Field::with([&sweep]);
        field.at(61).put(&terminating(&[OURS], 2));
        field.ground.entrust(&sweep.key, ward("a"), second(61));
        assert_eq!((release(&mut field, &sweep), field.ground.next_release(&sweep.key)), (None, None));
        assert_eq!((field.reason(&sweep, "a"), field.count(&sweep, Bucket::Held)), ("Terminating", 0));
    }
    let sweep = sweep(json!({}));
    let mut field = Field::with([&sweep]);
    let mut protected = terminating(&[OURS], 2);
    merge(&mut protected, json!({"metadata": {"annotations": {"groundskeeper.dev/protect": "true"}}}));
    field.at(61).put(&protected);
    field.ground.entrust(&sweep.key, ward("a"), second(61));
    assert_eq!(release(&mut field, &sweep), None);
    field.put(&terminating(&[OURS], 3));
    assert!(release(&mut field, &sweep).is_some());
}

#[test]
fn an_object_that_changes_on_its_way_out_is_the_policys_still() {
    let sweep = sweep(json!({"targetResource": {"labelSelector": {"matchLabels": {"tmp": "yes"}}}}));
    let mut field = Field::with([&sweep]);
    field.put(&held(&[OURS], 1, json!({"metadata": {"labels": {"tmp": "yes"}}})));
    field.at(60);
    delete(&mut field, &sweep);
    field.at(61).put(&terminating(&[OURS], 2));
    assert_eq!(field.reason(&sweep, "a"), "NotSelected");
    assert_eq!(release(&mut field, &sweep).unwrap().step, Step::Release);
}

#[test]
fn what_does_not_carry_it_is_no_ward_and_is_read_without_it_by_others() {
    let sweep = sweep(json!({}));
    let mut field = Field::with([&sweep]);
    field.put(&held(&[FOREIGN], 1, json!({})));
    field.at(60);
    assert!(!delete(&mut field, &sweep).is_held);
    assert_eq!(field.ground.wards(&sweep.key).count(), 0);
    let plain = policy("plain", json!({"ttl": {"secondsAfterCreation": 60}}));
    assert_eq!(plain.rules().next().unwrap().reads(), []);
    field.at(61).put(&terminating(&[FOREIGN], 2));
    field.admit(&plain);
    assert_eq!((field.reason(&plain, "a"), field.count(&plain, Bucket::Terminating)), ("Terminating", 1));
}

#[test]
fn what_failed_is_tried_again_and_a_policy_that_is_gone_leaves_nothing() {
    let sweep = sweep(json!({}));
    let mut field = Field::with([&sweep]);
    field.at(61).put(&terminating(&[OURS], 2));
    field.ground.entrust(&sweep.key, ward("a"), second(61));
    field.ground.entrust(&sweep.key, ward("a"), second(61));
    let due = release(&mut field, &sweep).unwrap();
    field.ground.settle(&due, Settled::NotBefore(second(70)), second(61));
    assert_eq!(field.ground.next_release(&sweep.key), Some(second(70)));
    assert_eq!(release(&mut field, &sweep), None);
    field.at(70);
    let due = release(&mut field, &sweep).unwrap();
    field.ground.settle(&due, Settled::Changed, second(70));
    assert_eq!(field.ground.next_release(&sweep.key), Some(second(71)));
    // The spec changes, and what was done stays done.
    field.admit(&self::sweep(json!({"ttl": {"secondsAfterCreation": 90}})));
    assert_eq!(field.ground.wards(&sweep.key).count(), 1);
    field.ground.dismiss(&sweep.key, second(71));
    assert_eq!(field.ground.wards(&sweep.key).count(), 0);
}

#[test]
fn a_policy_names_one_that_may_be_taken_off() {
    let said = |change: Value| {
        let mut spec = json!({"ttl": {"after": "1h"}});
        merge(&mut spec, change);
        compile("sweep", spec, json!({})).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(said(json!({"behavior": {"finalizer": OURS}})), Ok(()));
    let table = [
        (json!({"behavior": {"finalizer": ""}}), "behavior.finalizer: it is empty: write"),
        (json!({"behavior": {"finalizer": "cleanup"}}), "behavior.finalizer: `cleanup` has no domain: write"),
        (json!({"behavior": {"finalizer": "foregroundDeletion"}}), "a finalizer of Kubernetes"),
        (json!({"behavior": {"finalizer": "batch.kubernetes.io/job-tracking"}}), "a finalizer of Kubernetes"),
        (json!({"behavior": {"finalizer": "groundskeeper.dev/x"}}), "a finalizer of Groundskeeper"),
        (
            json!({"behavior": {"finalizer": OURS}, "action": "Keep"}),
            "behavior.finalizer: a policy with `action: Keep` deletes nothing: leave it out",
        ),
    ];
    for (change, expected) in table {
        let said = said(change.clone()).unwrap_err();
        assert!(said.contains(expected), "{change}: {said}");
    }
}
