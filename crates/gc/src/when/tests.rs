use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{read, time};

const CREATED: &str = "2026-01-01T00:00:00Z";

fn compile(ttl: &str) -> Result<When, InvalidWhen> {
    When::compile(&serde_json::from_str(ttl).unwrap())
}

/// The expiry of an object of which only what the `ttl` reads was kept.
fn expiry(ttl: &str, object: &str) -> Expiry {
    let when = compile(ttl).unwrap();
    when.expiry(&read(object, when.reads()), time(CREATED))
}

/// `at TIME`, `never: WHY` or `unresolvable: WHY`.
fn told(ttl: &str, object: &str) -> String {
    match expiry(ttl, object) {
        Expiry::At(time) => format!("at {time}"),
        Expiry::Never(why) => format!("never: {why}"),
        Expiry::Unresolvable(why) => format!("unresolvable: {why}"),
    }
}

/// An object that was created at `CREATED`, with more metadata and more fields.
fn object(metadata: &str, fields: &str) -> String {
    format!(r#"{{"metadata": {{"creationTimestamp": "{CREATED}"{metadata}}}{fields}}}"#)
}

fn annotated(key: &str, value: &str) -> String {
    object(&format!(r#", "annotations": {{"{key}": {value}}}"#), "")
}

#[test]
fn each_way_of_saying_when_gives_its_moment() {
    let plain = object("", "");
    let done = object(
        "",
        r#", "status": {"completionTime": "2026-01-05T12:00:00.25+02:00", "conditions": [
            {"type": "Failed", "lastTransitionTime": "2026-01-02T00:00:00Z"},
            {"type": "Complete", "lastTransitionTime": "2026-01-03T00:00:00Z"}]}"#,
    );
    let complete = r"status.conditions[?type=Complete].lastTransitionTime";
    let table = [
        (r#"{"secondsAfterCreation": 1800}"#.to_owned(), &plain, "at 2026-01-01T00:30:00Z"),
        (r#"{"after": "5d12h"}"#.to_owned(), &plain, "at 2026-01-06T12:00:00Z"),
        (r#"{"at": "2027-01-01T01:00:00+01:00"}"#.to_owned(), &plain, "at 2027-01-01T00:00:00Z"),
        (
            r#"{"relativeTo": "status.completionTime", "secondsAfter": 60}"#.to_owned(),
            &done,
            "at 2026-01-05T10:01:00.25Z",
        ),
        (format!(r#"{{"relativeTo": "{complete}", "secondsAfter": 0}}"#), &done, "at 2026-01-03T00:00:00Z"),
        (
            r#"{"relativeTo": "metadata.creationTimestamp", "secondsAfter": 1}"#.to_owned(),
            &plain,
            "at 2026-01-01T00:00:01Z",
        ),
        (
            r#"{"relativeTo": "status.completionTime", "secondsAfter": 60}"#.to_owned(),
            &plain,
            "unresolvable: status.completionTime is missing",
        ),
        (
            r#"{"relativeTo": "status.conditions[0].type", "secondsAfter": 60}"#.to_owned(),
            &done,
            "unresolvable: status.conditions[0].type is Failed, not a time such as 2027-01-01T00:00:00Z",
        ),
        (r#"{"marks": {}}"#.to_owned(), &plain, "never: it carries no mark that says when its time is up"),
    ];
    for (ttl, object, expected) in table {
        assert_eq!(told(&ttl, object), expected, "{ttl}");
    }
}

#[test]
fn a_field_holds_seconds_a_duration_or_a_word_that_the_policy_knows() {
    let ttl = r#"{"fieldPath": "spec.ttl", "mappings": {"short": 60, "long": "1d", "5": 7, "true": 9}}"#;
    let table = [
        ("3600", "at 2026-01-01T01:00:00Z"),
        (r#""3600""#, "at 2026-01-01T01:00:00Z"),
        ("3600.0", "at 2026-01-01T01:00:00Z"),
        (r#""1h30m""#, "at 2026-01-01T01:30:00Z"),
        (r#""5d12h""#, "at 2026-01-06T12:00:00Z"),
        (r#""short""#, "at 2026-01-01T00:01:00Z"),
        (r#""long""#, "at 2026-01-02T00:00:00Z"),
        // Mappings come first, also for what would be understood without them.
        (r#""5""#, "at 2026-01-01T00:00:07Z"),
        ("5", "at 2026-01-01T00:00:07Z"),
        ("true", "at 2026-01-01T00:00:09Z"),
        ("1e300", "never: its time to live has no end"),
        ("9223372036854775807", "never: its time to live has no end"),
        (r#""99999999999999999999""#, "never: its time to live has no end"),
        (r#""1000000d""#, "never: its time to live has no end"),
        ("0", "unresolvable: spec.ttl is 0: a time to live has to be positive"),
        ("-1", "unresolvable: spec.ttl is -1: a time to live has to be positive"),
        ("-0.5", "unresolvable: spec.ttl is -0.5: a time to live has to be positive"),
        (r#""0s""#, "unresolvable: spec.ttl is 0s: a time to live has to be positive"),
        (r#""-5m""#, "unresolvable: spec.ttl is -5m: a time to live has to be positive"),
        ("0.5", "unresolvable: spec.ttl is 0.5, not a number of seconds or a duration such as 5d12h"),
        (
            r#""Short""#,
            "unresolvable: spec.ttl is Short, not a number of seconds or a duration such as 5d12h",
        ),
        (
            r#""""#,
            "unresolvable: spec.ttl is an empty text, not a number of seconds or a duration such as 5d12h",
        ),
        ("[60]", "unresolvable: spec.ttl is a list, not a number of seconds or a duration such as 5d12h"),
        ("false", "unresolvable: spec.ttl is false, not a number of seconds or a duration such as 5d12h"),
        ("null", "unresolvable: spec.ttl is missing"),
    ];
    for (value, expected) in table {
        let object = object("", &format!(r#", "spec": {{"ttl": {value}}}"#));
        assert_eq!(told(ttl, &object), expected, "{value}");
    }
}

#[test]
fn the_default_stands_for_what_is_missing_or_not_understood_but_never_for_nothing() {
    let ttl = r#"{"fieldPath": "spec.ttl", "default": "1d"}"#;
    let table = [
        (r#", "spec": {"ttl": null}"#, "at 2026-01-02T00:00:00Z"),
        ("", "at 2026-01-02T00:00:00Z"),
        (r#", "spec": {"ttl": "soon"}"#, "at 2026-01-02T00:00:00Z"),
        (r#", "spec": {"ttl": 60}"#, "at 2026-01-01T00:01:00Z"),
        (r#", "spec": {"ttl": 0}"#, "unresolvable: spec.ttl is 0: a time to live has to be positive"),
    ];
    for (fields, expected) in table {
        assert_eq!(told(ttl, &object("", fields)), expected, "{fields}");
    }
}

#[test]
fn a_number_in_an_annotation_is_read_though_it_can_only_be_a_text() {
    // The collector that we replace reads neither it nor its default (defect 11).
    let ttl = r#"{"fieldPath": "metadata.annotations.example\\.com/ttl", "default": 60}"#;
    assert_eq!(told(ttl, &annotated("example.com/ttl", r#""7200""#)), "at 2026-01-01T02:00:00Z");
    assert_eq!(told(ttl, &annotated("example.com/other", r#""7200""#)), "at 2026-01-01T00:01:00Z");
}

#[test]
fn nothing_that_an_object_or_a_policy_says_means_at_once() {
    // `secondsAfterCreation: 0` next to a `fieldPath` makes the collector that we replace delete everything (defect 10).
    let error = compile(r#"{"secondsAfterCreation": 0, "fieldPath": "spec.ttl"}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ttl has secondsAfterCreation and fieldPath: keep one of them, or write several policies"
    );
    for ttl in [r#"{"secondsAfterCreation": 0}"#, r#"{"fieldPath": "a", "default": 0}"#, r#"{"after": "0s"}"#]
    {
        assert!(compile(ttl).is_err(), "{ttl}");
    }
}

#[test]
fn an_object_without_a_time_of_creation_stays_if_its_time_counts_from_there() {
    let never_seen =
        r#"{"metadata": {"name": "a", "annotations": {"groundskeeper.dev/ttl": "1h"}}, "spec": {"ttl": 5}}"#;
    for ttl in [
        r#"{"after": "1h"}"#,
        r#"{"fieldPath": "spec.ttl"}"#,
        r#"{"marks": {}}"#,
        r#"{"expression": "duration('1h')"}"#,
    ] {
        assert_eq!(expiry(ttl, never_seen), Expiry::Unresolvable(Unresolved::NoCreationTime), "{ttl}");
    }
    assert_eq!(told(r#"{"at": "2026-01-01T00:00:00Z"}"#, never_seen), "at 2026-01-01T00:00:00Z");
}

#[test]
fn an_expression_gives_a_moment_a_span_or_nothing() {
    let table = [
        ("timestamp('2027-01-01T00:00:00Z')", "at 2027-01-01T00:00:00Z"),
        ("duration('36h')", "at 2026-01-02T12:00:00Z"),
        ("object.status.done + duration('1h')", "unresolvable"),
        ("timestamp(object.status.done) + duration('1h')", "at 2026-01-05T01:00:00Z"),
        ("object.status.done", "at 2026-01-05T00:00:00Z"),
        ("timestamp(object.metadata.creationTimestamp) + duration('1s')", "at 2026-01-01T00:00:01Z"),
        ("object.metadata.labels['ttl'] == 'short' ? duration('60s') : null", "at 2026-01-01T00:01:00Z"),
        ("has(object.spec.never) ? duration('60s') : null", "never: the expression gives null"),
        ("duration('0s')", "unresolvable: ttl.expression: it gives a duration that is not positive"),
        ("duration('-1h')", "unresolvable: ttl.expression: it gives a duration that is not positive"),
        (
            "object.metadata.labels['ttl']",
            "unresolvable: ttl.expression: it gives a text that is no time such as 2027-01-01T00:00:00Z",
        ),
        (
            "object.status.on",
            "unresolvable: ttl.expression: it gives a boolean, not a timestamp, a duration or null",
        ),
        ("object.spec.missing", "unresolvable: ttl.expression: "),
    ];
    let object = object(
        r#", "labels": {"ttl": "short"}"#,
        r#", "status": {"done": "2026-01-05T00:00:00Z", "on": true}"#,
    );
    for (expression, expected) in table {
        let ttl = json!({"expression": expression}).to_string();
        let told = told(&ttl, &object);
        assert!(told.starts_with(expected), "{expression}: {told}");
    }
    assert_eq!(compile(r#"{"expression": "true"}"#).unwrap_err(), InvalidWhen::NeverATime);
    assert!(compile(r#"{"expression": "now + duration('1h')"}"#).unwrap().uses_now());
    assert!(!compile(r#"{"expression": "duration('1h')"}"#).unwrap().uses_now());
}

#[test]
fn each_tools_marks_are_read_as_the_tool_reads_them() {
    let forever = "never: its time to live has no end";
    let groundskeeper = r#"{"marks": {}}"#;
    let janitor = r#"{"marks": {"sources": ["KubeJanitor"]}}"#;
    let ttl_controller = r#"{"marks": {"sources": ["K8sTtlController"]}}"#;
    let table = [
        (groundskeeper, "groundskeeper.dev/ttl", "5d12h", "at 2026-01-06T12:00:00Z"),
        (groundskeeper, "groundskeeper.dev/ttl", "3600", "at 2026-01-01T01:00:00Z"),
        (groundskeeper, "groundskeeper.dev/ttl", "0", "unresolvable"),
        (groundskeeper, "groundskeeper.dev/ttl", "30m1h", "unresolvable"),
        (groundskeeper, "groundskeeper.dev/expires", "2026-02-01T00:00:00Z", "at 2026-02-01T00:00:00Z"),
        (groundskeeper, "groundskeeper.dev/expires", "2026-02-01", "unresolvable"),
        (groundskeeper, "janitor/ttl", "1s", "never: it carries no mark"),
        (janitor, "janitor/ttl", "1s", "at 2026-01-01T00:00:01Z"),
        (janitor, "janitor/ttl", "08s", "at 2026-01-01T00:00:08Z"),
        (janitor, "janitor/ttl", "5m", "at 2026-01-01T00:05:00Z"),
        (janitor, "janitor/ttl", "2h", "at 2026-01-01T02:00:00Z"),
        (janitor, "janitor/ttl", "7d", "at 2026-01-08T00:00:00Z"),
        (janitor, "janitor/ttl", "1w", "at 2026-01-08T00:00:00Z"),
        (janitor, "janitor/ttl", "forever", forever),
        (janitor, "janitor/ttl", "0s", "unresolvable"),
        (janitor, "janitor/ttl", "1y", "unresolvable"),
        (janitor, "janitor/ttl", "1h30m", "unresolvable"),
        (janitor, "janitor/ttl", "1.5h", "unresolvable"),
        (janitor, "janitor/ttl", "5ms", "unresolvable"),
        (janitor, "janitor/ttl", "3600", "unresolvable"),
        (janitor, "janitor/ttl", "foo", "unresolvable"),
        (janitor, "janitor/expires", "2026-02-01T00:00:00Z", "at 2026-02-01T00:00:00Z"),
        (janitor, "janitor/expires", "2026-02-01T09:30", "at 2026-02-01T09:30:00Z"),
        (janitor, "janitor/expires", "2026-02-01", "at 2026-02-01T00:00:00Z"),
        (janitor, "janitor/expires", "26-02-01T12:12:59", "unresolvable"),
        (janitor, "janitor/expires", "2026-02-01 09:26:11", "unresolvable"),
        (janitor, "janitor/expires", "2026-02-30", "unresolvable"),
        (ttl_controller, "k8s-ttl-controller.twin.sh/ttl", "1w2d3h", "at 2026-01-10T03:00:00Z"),
        (ttl_controller, "k8s-ttl-controller.twin.sh/ttl", "1.5h", "at 2026-01-01T01:30:00Z"),
        (ttl_controller, "k8s-ttl-controller.twin.sh/ttl", "30m1h", "at 2026-01-01T01:30:00Z"),
        (ttl_controller, "k8s-ttl-controller.twin.sh/ttl", "1y", "unresolvable"),
        (ttl_controller, "k8s-ttl-controller.twin.sh/ttl", "60", "unresolvable"),
    ];
    for (ttl, key, value, expected) in table {
        let told = told(ttl, &annotated(key, &json!(value).to_string()));
        assert!(told.starts_with(expected), "{key}: {value}: {told}");
    }
}

#[test]
fn kyvernos_label_is_a_duration_a_time_or_a_date() {
    let ttl = r#"{"marks": {"sources": ["Kyverno"]}}"#;
    let table = [
        ("30m", "at 2026-01-01T00:30:00Z"),
        ("1h30m", "at 2026-01-01T01:30:00Z"),
        ("2d", "at 2026-01-03T00:00:00Z"),
        ("1d12h", "at 2026-01-02T12:00:00Z"),
        ("1w", "at 2026-01-08T00:00:00Z"),
        ("2Days", "at 2026-01-03T00:00:00Z"),
        ("5min", "at 2026-01-01T00:05:00Z"),
        ("1hr", "at 2026-01-01T01:00:00Z"),
        ("2026-10-04T003000Z", "at 2026-10-04T00:30:00Z"),
        ("2026-10-04", "at 2026-10-04T00:00:00Z"),
        ("2028-02-29", "at 2028-02-29T00:00:00Z"),
        ("2027-02-29", "unresolvable"),
        ("2026-10-04T00.30.00Z", "unresolvable"),
        ("10", "unresolvable"),
        ("0s", "unresolvable"),
        ("2months", "unresolvable"),
        ("1d-soon", "unresolvable"),
    ];
    for (value, expected) in table {
        let object = object(&format!(r#", "labels": {{"cleanup.kyverno.io/ttl": "{value}"}}"#), "");
        let told = told(ttl, &object);
        assert!(told.starts_with(expected), "{value}: {told}");
    }
    // As an annotation it is none of Kyverno's marks.
    let annotated = annotated("cleanup.kyverno.io/ttl", r#""1s""#);
    assert_eq!(expiry(ttl, &annotated), Expiry::Never(NotDue::NoMark));
}

#[test]
fn a_refreshed_object_lives_from_then_and_one_that_is_refreshed_at_no_time_stays() {
    let ttl = r#"{"marks": {"sources": ["K8sTtlController"]}}"#;
    let refreshed = |at: &str| {
        let ttl = r#""k8s-ttl-controller.twin.sh/ttl": "1h""#;
        let at = format!(r#""k8s-ttl-controller.twin.sh/refreshed-at": "{at}""#);
        object(&format!(r#", "annotations": {{{ttl}, {at}}}"#), "")
    };
    assert_eq!(told(ttl, &refreshed("2026-03-01T00:00:00Z")), "at 2026-03-01T01:00:00Z");
    assert_eq!(
        told(ttl, &refreshed("yesterday")),
        "unresolvable: metadata.annotations['k8s-ttl-controller.twin.sh/refreshed-at'] is yesterday, \
         not a time such as 2027-01-01T00:00:00Z"
    );
}

#[test]
fn of_several_marks_the_earliest_counts_and_one_that_cannot_be_read_stops_all() {
    let ttl = r#"{"marks": {"sources": ["Groundskeeper", "KubeJanitor", "Kyverno"]}}"#;
    let marked = |ours: &str, janitors: &str, kyvernos: &str| {
        let annotations = format!(r#""groundskeeper.dev/ttl": "{ours}", "janitor/ttl": "{janitors}""#);
        let labels = format!(r#""cleanup.kyverno.io/ttl": "{kyvernos}""#);
        object(&format!(r#", "annotations": {{{annotations}}}, "labels": {{{labels}}}"#), "")
    };
    assert_eq!(told(ttl, &marked("3h", "2h", "1h")), "at 2026-01-01T01:00:00Z");
    assert_eq!(told(ttl, &marked("1h", "2h", "3h")), "at 2026-01-01T01:00:00Z");
    assert_eq!(told(ttl, &marked("2h", "forever", "3h")), "at 2026-01-01T02:00:00Z");
    assert_eq!(
        told(ttl, &marked("1h", "soon", "2h")),
        "unresolvable: metadata.annotations.janitor/ttl is soon, not a number with s, m, h, d or w, or forever"
    );
}

#[test]
fn what_a_secret_holds_is_never_repeated() {
    let secret = object("", r#", "data": {"ttl": "aHVudGVyMg=="}, "stringData": {"ttl": "hunter2"}"#);
    for ttl in [
        r#"{"fieldPath": "data.ttl"}"#,
        r#"{"fieldPath": "stringData.ttl"}"#,
        r#"{"relativeTo": "data.ttl", "secondsAfter": 1}"#,
        r#"{"expression": "timestamp(object.data.ttl)"}"#,
        r#"{"expression": "duration(object.stringData.ttl)"}"#,
        r#"{"expression": "object.stringData.ttl"}"#,
    ] {
        let told = told(ttl, &secret);
        assert!(told.starts_with("unresolvable"), "{ttl}: {told}");
        assert!(!told.contains("hunter2") && !told.contains("aHVu"), "{ttl}: {told}");
    }
}

#[test]
fn calendars_and_clocks_of_zones_change_nothing() {
    let table = [
        // A leap day is a day like others, and 2100 has none.
        ("2028-02-28T12:00:00Z", "1d", "at 2028-02-29T12:00:00Z"),
        ("2027-02-28T12:00:00Z", "1d", "at 2027-03-01T12:00:00Z"),
        ("2100-02-28T12:00:00Z", "1d", "at 2100-03-01T12:00:00Z"),
        // Clocks are put forward in Europe and in America.
        ("2026-03-28T12:00:00Z", "1d", "at 2026-03-29T12:00:00Z"),
        ("2026-03-07T12:00:00Z", "24h", "at 2026-03-08T12:00:00Z"),
        ("2099-12-31T23:59:59Z", "1s", "at 2100-01-01T00:00:00Z"),
        // A hundred years of 365 days.
        ("2026-01-01T00:00:00Z", "36500d", "at 2125-12-08T00:00:00Z"),
        ("9999-12-30T00:00:00Z", "1w", "never: its time to live has no end"),
    ];
    for (created, after, expected) in table {
        let object = format!(r#"{{"metadata": {{"creationTimestamp": "{created}"}}}}"#);
        assert_eq!(told(&format!(r#"{{"after": "{after}"}}"#), &object), expected, "{created} + {after}");
    }
    // Three hundred years are too long for a policy, and not for an object.
    assert!(compile(r#"{"after": "109500d"}"#).is_err());
    let object = annotated("groundskeeper.dev/ttl", r#""109500d""#);
    assert_eq!(told(r#"{"marks": {}}"#, &object), "at 2325-10-21T00:00:00Z");
}

#[test]
fn a_ttl_that_cannot_be_acted_on_is_refused_with_what_to_write() {
    let table = [
        ("{}", "ttl says nothing: write one of secondsAfterCreation"),
        (
            r#"{"after": "1h", "at": "x", "marks": {}}"#,
            "ttl has after and at and marks: keep one of them, or write several policies",
        ),
        (
            r#"{"secondsAfterCreation": -1}"#,
            "ttl.secondsAfterCreation is -1: write seconds from 1 to 3153600000",
        ),
        (r#"{"secondsAfterCreation": 3153600001}"#, "write seconds from 1"),
        (r#"{"after": "3600"}"#, "ttl.after: `3600` is not a duration: a number has no unit"),
        (r#"{"after": "500ms"}"#, "ttl.after: `500ms` is too short: write at least `1s`"),
        (r#"{"after": "36501d"}"#, "ttl.after: `36501d` is too long: write at most `36500d`"),
        (r#"{"relativeTo": "a"}"#, "ttl.relativeTo belongs to secondsAfter: write secondsAfter too"),
        (r#"{"after": "1h", "secondsAfter": 1}"#, "ttl.secondsAfter belongs to relativeTo"),
        (r#"{"relativeTo": "a", "secondsAfter": -1}"#, "ttl.secondsAfter is -1: write seconds from 0"),
        (r#"{"relativeTo": "a[", "secondsAfter": 1}"#, "ttl.relativeTo: "),
        (r#"{"after": "1h", "mappings": {"a": 1}}"#, "ttl.mappings belongs to fieldPath"),
        (r#"{"after": "1h", "default": 1}"#, "ttl.default belongs to fieldPath"),
        (r#"{"fieldPath": "a..b"}"#, "ttl.fieldPath: "),
        (r#"{"fieldPath": "a", "default": "soon"}"#, "ttl.default: `soon` is not a duration"),
        (r#"{"fieldPath": "a", "default": "0"}"#, "ttl.default is 0: write seconds from 1"),
        (r#"{"fieldPath": "a", "mappings": {"b": "0s"}}"#, "ttl.mappings[b]: `0s` is too short"),
        (r#"{"at": "2027-01-01"}"#, "ttl.at is `2027-01-01`: write a time such as `2027-01-01T00:00:00Z`"),
        (r#"{"expression": "1 +"}"#, "ttl.expression: "),
        (r#"{"marks": {"sources": []}}"#, "ttl.marks.sources is empty: write one of Groundskeeper"),
    ];
    for (ttl, expected) in table {
        let error = compile(ttl).unwrap_err().to_string();
        assert!(error.contains(expected), "{ttl}: {error}");
    }
}

#[test]
fn a_way_is_named_in_a_few_words() {
    let table = [
        (r#"{"secondsAfterCreation": 1800}"#, "30m after creation"),
        (r#"{"after": "1w12h"}"#, "7d12h after creation"),
        (r#"{"fieldPath": "spec.ttl"}"#, "spec.ttl after creation"),
        (r#"{"relativeTo": "status.completionTime", "secondsAfter": 3600}"#, "status.completionTime + 1h"),
        (r#"{"relativeTo": "status.completionTime", "secondsAfter": 0}"#, "status.completionTime"),
        (r#"{"at": "2027-01-01T00:00:00Z"}"#, "at 2027-01-01T00:00:00Z"),
        (r#"{"expression": "null"}"#, "by expression"),
        (r#"{"marks": {"sources": ["Kyverno", "Groundskeeper"]}}"#, "by marks of Groundskeeper, Kyverno"),
    ];
    for (ttl, expected) in table {
        assert_eq!(compile(ttl).unwrap().to_string(), expected);
    }
}

#[test]
fn only_what_the_record_lacks_is_projected() {
    let table = [
        (r#"{"after": "1h"}"#, vec![]),
        (r#"{"relativeTo": "metadata.creationTimestamp", "secondsAfter": 1}"#, vec![]),
        (r#"{"fieldPath": "metadata.labels.ttl"}"#, vec![]),
        (r#"{"marks": {"sources": ["Kyverno"]}}"#, vec![]),
        (r#"{"fieldPath": "status.conditions[0].at"}"#, vec!["status.conditions"]),
        (
            r#"{"marks": {"sources": ["KubeJanitor"]}}"#,
            vec!["metadata.annotations.janitor/ttl", "metadata.annotations.janitor/expires"],
        ),
        (
            r#"{"expression": "timestamp(object.metadata.creationTimestamp) + duration(object.spec.ttl)"}"#,
            vec!["spec.ttl"],
        ),
    ];
    for (ttl, expected) in table {
        let reads: Vec<String> = compile(ttl).unwrap().reads().iter().map(ToString::to_string).collect();
        assert_eq!(reads, expected, "{ttl}");
    }
}

fn nanos(seconds: i128) -> i128 {
    seconds * 1_000_000_000
}

/// Any moment that an object may have been created at.
fn moments() -> impl Strategy<Value = Timestamp> {
    let seconds = Timestamp::MIN.as_second()..=Timestamp::MAX.as_second();
    (seconds, 0..1_000_000_000).prop_map(|(second, nano)| {
        Timestamp::new(second, nano).unwrap_or(Timestamp::from_second(second).unwrap())
    })
}

proptest! {
    #[test]
    fn a_number_of_seconds_ends_at_its_moment_and_never_before(
        created in moments(),
        seconds in prop_oneof![1..=TTL_SECONDS_MAX, 1..=i64::MAX],
    ) {
        let json = format!(r#"{{"metadata": {{"creationTimestamp": "{created}"}}, "spec": {{"ttl": {seconds}}}}}"#);
        let ends = created.as_nanosecond() + nanos(seconds.into());
        match expiry(r#"{"fieldPath": "spec.ttl"}"#, &json) {
            Expiry::At(time) => prop_assert_eq!(time.as_nanosecond(), ends),
            Expiry::Never(NotDue::Forever) => prop_assert!(ends > Timestamp::MAX.as_nanosecond()),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn a_policys_time_to_live_ends_at_its_moment_and_never_before(
        created in moments(),
        seconds in 1..=TTL_SECONDS_MAX,
    ) {
        let json = format!(r#"{{"metadata": {{"creationTimestamp": "{created}"}}}}"#);
        let ends = created.as_nanosecond() + nanos(seconds.into());
        for ttl in [format!(r#"{{"secondsAfterCreation": {seconds}}}"#), format!(r#"{{"after": "{seconds}s"}}"#)] {
            match expiry(&ttl, &json) {
                Expiry::At(time) => prop_assert_eq!(time.as_nanosecond(), ends),
                Expiry::Never(NotDue::Forever) => prop_assert!(ends > Timestamp::MAX.as_nanosecond()),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn a_fraction_of_another_tools_duration_is_never_cut(
        whole in 0..1_000_u32,
        fraction in "[0-9]{1,24}",
        unit in prop_oneof![Just(("h", 3_600_i128)), Just(("d", 86_400)), Just(("s", 1)), Just(("w", 604_800))],
    ) {
        let (unit, seconds) = unit;
        // In parts of 10^-24 nanoseconds it would not fit: the fraction is compared in its first 18 digits.
        let first: String = fraction.chars().take(18).collect();
        let scale = 10_i128.pow(u32::try_from(first.len()).unwrap());
        let least = i128::from(whole) * nanos(seconds) + first.parse::<i128>().unwrap() * nanos(seconds) / scale;
        match Life::of_go_duration(&format!("{whole}.{fraction}{unit}")) {
            Life::Span(span) => {
                prop_assert!(span.as_nanos() >= least);
                prop_assert!(span.as_nanos() <= least + 2);
            }
            Life::NotPositive => prop_assert!(whole == 0 && fraction.chars().all(|digit| digit == '0')),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn no_text_in_a_field_or_a_mark_is_too_much(text in "[0-9.wdhmsTZ:+-]{0,24}|\\PC{0,40}") {
        let value = json!(text).to_string();
        let marks = r#"{"marks": {"sources": ["Groundskeeper", "KubeJanitor", "K8sTtlController"]}}"#;
        for key in ["groundskeeper.dev/ttl", "groundskeeper.dev/expires", "janitor/ttl", "janitor/expires",
            "k8s-ttl-controller.twin.sh/ttl"]
        {
            expiry(marks, &annotated(key, &value));
        }
        for life in [Life::of_text(&text), Life::of_go_duration(&text), Life::of_kyverno_duration(&text)] {
            if let Life::Span(span) = life {
                prop_assert!(span > SignedDuration::ZERO);
            }
        }
    }
}
