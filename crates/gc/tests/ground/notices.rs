//! Objects that are told before they go.

use gc::{Bucket, NOTICE_ANNOTATION, Settled, Step};
use serde_json::{Value, json};

use crate::support::{Field, merge, policy, second, thing};

fn sweep(ttl: i64, change: Value) -> std::sync::Arc<gc::Policy> {
    let mut spec = json!({"ttl": {"secondsAfterCreation": ttl}, "notice": "2m"});
    merge(&mut spec, change);
    policy("sweep", spec)
}

/// An object that was told two minutes before this moment that it goes then.
fn told(at: i64, version: u64) -> Value {
    told_from((at - 120, at), version)
}

fn told_from((from, at): (i64, i64), version: u64) -> Value {
    let annotations = json!({NOTICE_ANNOTATION: format!("{}/{}", second(from), second(at))});
    thing("a", 0, json!({"metadata": {"annotations": annotations, "resourceVersion": version.to_string()}}))
}

/// When an object is told at `now` that it goes, if it is.
fn notice(field: &mut Field, policy: &gc::Policy, now: i64) -> Option<i64> {
    let due = field.at(now).ground.take_notice(&policy.key, second(now))?;
    field.ground.settle(&due, Settled::Done, second(now));
    match due.step {
        Step::Notify { deletes_at } => Some(deletes_at.as_second()),
        Step::Delete | Step::Release => panic!("{due:?} is deleted untold"),
    }
}

#[test]
fn an_object_is_told_so_long_before_and_goes_at_the_time_that_it_was_told() {
    let sweep = sweep(600, json!({}));
    let mut field = Field::with([&sweep]);
    field.put(&thing("a", 0, json!({})));
    assert_eq!(field.ground.next_notice(&sweep.key), Some(second(480)));
    assert_eq!((notice(&mut field, &sweep, 479), notice(&mut field, &sweep, 480)), (None, Some(600)));
    field.put(&told(600, 2));
    assert_eq!(
        (field.reason(&sweep, "a"), field.ground.next_due(&sweep.key)),
        ("NoticeGiven", Some(second(600)))
    );
    assert_eq!(field.at(599).take(&sweep), []);
    assert_eq!(field.at(600).take(&sweep).len(), 1);
}

#[test]
fn an_object_that_is_due_already_is_told_first_and_goes_no_sooner_than_so_long_after() {
    let sweep = sweep(60, json!({}));
    let mut field = Field::with([&sweep]);
    field.at(1_000).put(&thing("a", 0, json!({})));
    assert_eq!(field.take(&sweep), []);
    assert_eq!(notice(&mut field, &sweep, 1_000), Some(1_120));
    field.put(&told(1_120, 2));
    assert_eq!(field.at(1_119).take(&sweep), []);
    assert_eq!(field.at(1_120).take(&sweep).len(), 1);
}

#[test]
fn an_object_that_got_more_time_is_told_anew() {
    let short = sweep(600, json!({}));
    let mut field = Field::with([&short]);
    field.put(&told(600, 2));
    field.admit(&sweep(700, json!({})));
    assert_eq!(field.at(600).take(&short), []);
    assert_eq!(notice(&mut field, &short, 600), Some(720));

    // One with less time goes at the time that it was told, and not before.
    field.put(&told(720, 3));
    field.admit(&sweep(60, json!({})));
    assert_eq!((field.at(719).take(&short).len(), field.at(720).take(&short).len()), (0, 1));
}

#[test]
fn what_another_policy_told_counts_only_if_it_gave_as_much_time() {
    let long = sweep(600, json!({"notice": "5m"}));
    let short = policy("short", json!({"ttl": {"secondsAfterCreation": 600}, "notice": "1m"}));
    let mut field = Field::with([&long, &short]);
    // The short one told it a minute before; the long one gives it its five minutes nevertheless.
    field.put(&told_from((540, 600), 2));
    assert_eq!(field.at(600).take(&long), []);
    assert_eq!((notice(&mut field, &short, 600), notice(&mut field, &long, 600)), (None, Some(900)));
    // What the long one has told counts for the short one, too, so that they do not contradict each other for ever.
    field.put(&told_from((600, 900), 3));
    field.at(601);
    for policy in [&long, &short] {
        assert_eq!(field.reason(policy, "a"), "NoticeGiven");
        assert_eq!(notice(&mut field, policy, 899), None);
        assert_eq!(
            (field.at(899).take(policy).len(), field.ground.next_due(&policy.key)),
            (0, Some(second(900)))
        );
    }
    assert_eq!(field.at(900).take(&long).len(), 1);
}

#[test]
fn a_telling_names_when_it_was_told_and_when_it_goes() {
    let sweep = sweep(60, json!({}));
    let mut field = Field::with([&sweep]);
    field.put(&thing("a", 0, json!({})));
    let due = field.at(100).ground.take_notice(&sweep.key, second(100)).unwrap();
    assert_eq!(due.note().as_deref(), Some("1970-01-01T00:01:40Z/1970-01-01T00:03:40Z"));
}

#[test]
fn what_cannot_be_read_tells_nothing() {
    let (alone, backwards) = ("1970-01-01T00:01:00Z", "1970-01-01T00:10:00Z/1970-01-01T00:01:00Z");
    let endless = "/1970-01-01T00:10:00Z";
    for odd in ["", "soon", "600", "1970-01-01", "/", alone, backwards, endless] {
        let sweep = sweep(60, json!({}));
        let mut field = Field::with([&sweep]);
        field.put(&thing("a", 0, json!({"metadata": {"annotations": {NOTICE_ANNOTATION: odd}}})));
        assert_eq!(field.at(1_000).take(&sweep), [], "{odd}");
    }
}

#[test]
fn nobody_is_told_by_a_policy_that_rests_or_only_plans() {
    for change in [json!({"paused": true}), json!({"mode": "Plan"}), json!({"behavior": {"dryRun": true}})] {
        let sweep = sweep(60, change);
        let mut field = Field::with([&sweep]);
        field.put(&thing("a", 0, json!({})));
        assert_eq!(notice(&mut field, &sweep, 100), None);
        field.put(&told(600, 2));
        assert_eq!(field.at(600).take(&sweep), []);
        assert_eq!(field.count(&sweep, Bucket::Pending), 1);
    }
}

#[test]
fn a_telling_that_failed_is_tried_again() {
    let sweep = sweep(60, json!({}));
    let mut field = Field::with([&sweep]);
    field.put(&thing("a", 0, json!({})));
    let due = field.at(100).ground.take_notice(&sweep.key, second(100)).unwrap();
    assert_eq!(field.ground.take_notice(&sweep.key, second(100)), None);
    field.ground.settle(&due, Settled::NotBefore(second(105)), second(100));
    assert_eq!((notice(&mut field, &sweep, 104), notice(&mut field, &sweep, 105)), (None, Some(225)));
}
