//! Clocks that are put forward and back, leap days, far years, and rules that ask what time it is.

use gc::{Bucket, Gate};
use serde_json::{Value, json};

use crate::support::{Field, at, policy, thing};

fn gate(zone: &str, window: Value, now: &str) -> Gate {
    let schedule = json!({"timeZone": zone, "windows": [window]});
    policy("sweep", json!({"ttl": {"after": "1s"}, "schedule": schedule})).gate(false, at(now))
}

#[test]
fn a_window_is_open_when_the_clock_on_the_wall_says_so() {
    let night = json!({"from": "02:30", "to": "03:30"});
    let table = [
        // Berlin, 29 March 2026: 02:00 becomes 03:00, at 01:00 UTC.
        ("2026-03-29T00:59:59.999Z", false),
        ("2026-03-29T01:00:00Z", true),
        ("2026-03-29T01:29:59.999Z", true),
        ("2026-03-29T01:30:00Z", false),
        // 25 October 2026: 03:00 becomes 02:00, at 01:00 UTC; 02:30 comes twice.
        ("2026-10-25T00:29:59Z", false),
        ("2026-10-25T00:30:00Z", true),
        ("2026-10-25T01:00:00Z", false),
        ("2026-10-25T01:29:59Z", false),
        ("2026-10-25T01:30:00Z", true),
        ("2026-10-25T02:29:59Z", true),
        ("2026-10-25T02:30:00Z", false),
        // An ordinary night, and one of the year 2100.
        ("2026-06-10T00:30:00Z", true),
        ("2100-06-10T00:30:00Z", true),
    ];
    for (now, open) in table {
        assert_eq!(gate("Europe/Berlin", night.clone(), now) == Gate::Open, open, "{now}");
    }
}

#[test]
fn a_window_opens_when_it_says_that_it_will() {
    // Samoa had no 30 December 2011; Lord Howe puts its clocks by half an hour.
    for (zone, from) in [
        ("Pacific/Apia", "2011-12-28T00:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-03T00:00:00Z"),
        ("Europe/Berlin", "2026-03-27T00:00:00Z"),
    ] {
        let window = json!({"from": "02:10", "to": "02:20"});
        let mut now = at(from);
        for _ in 0..6 {
            let Gate::OutsideWindow { opens_at } = gate(zone, window.clone(), &now.to_string()) else {
                panic!("{now}")
            };
            assert!(opens_at > now);
            let just_before = opens_at - jiff::SignedDuration::from_millis(1);
            assert_ne!(gate(zone, window.clone(), &just_before.to_string()), Gate::Open, "{zone} {opens_at}");
            assert_eq!(gate(zone, window.clone(), &opens_at.to_string()), Gate::Open, "{zone} {opens_at}");
            now = opens_at + jiff::SignedDuration::from_mins(10);
        }
    }
}

#[test]
fn nothing_is_a_moment_early_on_any_day_of_the_calendar() {
    let table = [
        ("2028-02-28T23:59:59Z", json!({"after": "1d"}), "2028-02-29T23:59:59Z"),
        ("2027-02-28T12:00:00Z", json!({"after": "1d"}), "2027-03-01T12:00:00Z"),
        ("2100-02-28T12:00:00Z", json!({"after": "1d"}), "2100-03-01T12:00:00Z"),
        ("2099-12-31T23:59:59Z", json!({"after": "1s"}), "2100-01-01T00:00:00Z"),
        ("2026-03-29T00:30:00Z", json!({"after": "1d"}), "2026-03-30T00:30:00Z"),
        ("2026-01-01T00:00:00Z", json!({"secondsAfterCreation": 3_153_600_000_i64}), "2125-12-08T00:00:00Z"),
        ("2026-01-01T00:00:00Z", json!({"at": "2100-03-01T00:00:00.25Z"}), "2100-03-01T00:00:00.25Z"),
        (
            "2026-01-01T00:00:00Z",
            json!({"at": "2100-03-01T00:00:00.0000001Z"}),
            "2100-03-01T00:00:00.0000001Z",
        ),
        ("2026-01-01T00:00:00Z", json!({"at": "2027-01-01T00:00:00+14:00"}), "2026-12-31T10:00:00Z"),
        (
            "2026-01-01T00:00:00Z",
            json!({"relativeTo": "data.done", "secondsAfter": 86_400}),
            "2028-03-01T00:00:00Z",
        ),
        (
            "2026-01-01T00:00:00Z",
            json!({"expression": "timestamp(object.data.done) + duration('24h')"}),
            "2028-03-01T00:00:00Z",
        ),
    ];
    for (created, ttl, due) in table {
        let sweep = policy("sweep", json!({"ttl": ttl}));
        let change =
            json!({"metadata": {"creationTimestamp": created}, "data": {"done": "2028-02-29T00:00:00Z"}});
        let due = at(due);
        for nanos in [1, 1_000_000, 3_600_000_000_000_i64] {
            let mut field = Field::with([&sweep]);
            field.put(&thing("a", 0, change.clone()));
            field.now = due - jiff::SignedDuration::from_nanos(nanos);
            assert_eq!(field.take(&sweep), [], "{ttl} {nanos} early");
            assert_eq!(field.reason(&sweep, "a"), "NotYet");
        }
        let mut field = Field::with([&sweep]);
        field.put(&thing("a", 0, change));
        field.now = due;
        assert_eq!(field.reason(&sweep, "a"), "Expired", "{ttl}");
        // The index looks at whole milliseconds.
        field.now = due + jiff::SignedDuration::from_millis(1);
        assert_eq!(field.take(&sweep).len(), 1, "{ttl}");
    }
}

#[test]
fn what_lies_beyond_the_last_date_is_never_due() {
    let sweep = policy("sweep", json!({"ttl": {"secondsAfterCreation": 3_153_600_000_i64}}));
    let mut field = Field::with([&sweep]);
    field.put(&thing("a", 0, json!({"metadata": {"creationTimestamp": "9999-06-01T00:00:00Z"}})));
    field.now = jiff::Timestamp::MAX;
    assert_eq!(field.take(&sweep), []);
    assert_eq!(field.count(&sweep, Bucket::NotDue), 1);
}

#[test]
fn what_depends_on_the_time_is_looked_at_again() {
    // It has a hundred days to live, or, from the second minute on, none.
    let ttl = json!({"expression": "now >= timestamp('1970-01-01T00:02:00Z') ? duration('1s') : duration('2400h')"});
    let sweep = policy("sweep", json!({"ttl": ttl}));
    let mut field = Field::with([&sweep]);
    field.put(&thing("a", 0, json!({})));
    for minute in 1..2 {
        field.at(minute * 60).ground.recheck(&sweep.key, crate::support::second(minute * 60));
        assert_eq!(field.take(&sweep), []);
    }
    field.at(120).ground.recheck(&sweep.key, crate::support::second(120));
    assert_eq!(field.take(&sweep).len(), 1);
}

#[test]
fn a_condition_on_the_time_holds_when_the_object_is_taken_or_nothing_goes() {
    let sweep =
        policy("sweep", json!({"ttl": {"after": "60s"}, "when": "now < timestamp('1970-01-01T00:02:00Z')"}));
    let mut field = Field::with([&sweep]);
    field.put(&thing("a", 0, json!({})));
    assert_eq!(field.count(&sweep, Bucket::Pending), 1);
    assert_eq!(field.at(120).take(&sweep), []);
    assert_eq!(field.count(&sweep, Bucket::Unmet), 1);
}

/// When an object that was created at second 0 is looked at again under a policy with this in its spec, at second 10.
fn looked_at_again(spec: serde_json::Value) -> Option<i64> {
    let sweep = policy("sweep", spec);
    let mut field = Field::with([&sweep]);
    field.at(10).put(&thing("a", 0, json!({})));
    field.ground.next_recheck(&sweep.key).map(jiff::Timestamp::as_second)
}

#[test]
fn an_object_is_looked_at_again_when_its_verdict_turns_and_not_every_minute() {
    let when = |when: &str| json!({"ttl": {"after": "60s"}, "when": when});
    let ttl = |ttl: &str| json!({"ttl": {"expression": ttl}});
    let age = "now - timestamp(object.metadata.creationTimestamp)";
    let table = [
        (when(&format!("{age} > duration('1h')")), Some(3_600)),
        (when("now > timestamp('1970-01-02T00:00:00Z')"), Some(86_400)),
        // It has turned already, and never turns back.
        (when("now < timestamp('1970-01-01T00:00:05Z')"), None),
        // Its hour is asked for: nobody can tell.
        (when("now.getHours() == 3"), Some(70)),
        (ttl(&format!("{age} > duration('2h') ? now : null")), Some(70)),
        (ttl(&format!("{age} > duration('2h') ? object.metadata.creationTimestamp : null")), Some(7_200)),
    ];
    for (spec, expected) in table {
        assert_eq!(looked_at_again(spec.clone()), expected, "{spec}");
    }
}

#[test]
fn an_object_goes_as_soon_as_its_condition_turns() {
    let when = "now - timestamp(object.metadata.creationTimestamp) >= duration('1h')";
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}, "when": when}));
    let mut field = Field::with([&sweep]);
    field.put(&thing("a", 0, json!({})));
    field.at(3_599).ground.recheck(&sweep.key, crate::support::second(3_599));
    assert_eq!(field.take(&sweep), []);
    field.at(3_600).ground.recheck(&sweep.key, crate::support::second(3_600));
    assert_eq!(field.take(&sweep).len(), 1);
}

#[test]
fn a_guest_that_asks_for_the_time_lets_go_within_a_minute() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
    let target = json!({"apiVersion": "v2", "kind": "ConfigMap"});
    let when = "now < timestamp('1970-01-01T01:00:00Z')";
    let keep = policy("keep", json!({"action": "Keep", "targetResource": target, "when": when}));
    let mut field = Field::with([&sweep]);
    field.ground.admit_guests(&keep.key, keep.rules().collect(), crate::support::second(0));
    field.put(&thing("a", 0, json!({})));
    for minute in 1..60 {
        field.at(minute * 60).ground.recheck(&sweep.key, crate::support::second(minute * 60));
        assert_eq!(field.take(&sweep), []);
    }
    field.at(3_660).ground.recheck(&sweep.key, crate::support::second(3_660));
    assert_eq!(field.take(&sweep).len(), 1);
}
