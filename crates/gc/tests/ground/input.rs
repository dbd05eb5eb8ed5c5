//! Odd input: what cannot be acted on is refused with what to write, and what cannot be told of one object stays its own.

use gc::Bucket;
use serde_json::json;

use crate::support::{Field, compile, policy, thing};

#[test]
fn a_policy_that_cannot_be_acted_on_is_refused_with_what_to_write() {
    let deep = "(".repeat(200) + &")".repeat(200);
    let long = format!("object.metadata.name == '{}'", "x".repeat(9_000));
    let matches = |pattern: &str| json!({"conditions": {"and": [{"fieldPath": "data.a", "operator": "Matches", "value": pattern}]}});
    let table = [
        (json!({"targetResource": {"namespace": "other"}}), "leave the field out"),
        (json!({"targetResource": {"apiVersion": "a/b/c"}}), "write `version` or `group/version`"),
        (json!({"targetResource": {"kind": "config maps"}}), "write a name such as Job"),
        (json!({"ttl": {"secondsAfterCreation": 0}}), "write seconds from 1 to"),
        (json!({"ttl": {"secondsAfterCreation": -5}}), "write seconds from 1 to"),
        (json!({"ttl": {"secondsAfterCreation": 300_i64 * 365 * 86_400}}), "a hundred years"),
        (json!({"ttl": {"after": "0s"}}), "ttl.after"),
        (json!({"ttl": {"after": "15700w"}}), "ttl.after"),
        (json!({"ttl": {"fieldPath": "data.t", "default": 0}}), "write seconds from 1 to"),
        (json!({"ttl": {"relativeTo": "data.t", "secondsAfter": -1}}), "write seconds from 0 to"),
        (json!({"behavior": {"maxDeletionsPerSecond": 0}}), "from 1 to 10000"),
        (json!({"behavior": {"gracePeriodSeconds": -1}}), "from 0 to 86400"),
        (json!({"when": deep}), "when"),
        (json!({"when": long}), "when"),
        (json!({"when": "object.metadata.name.matches('(a{1000}){1000}')"}), "when"),
        (json!({"when": "object.metadata.name +"}), "when"),
        (json!({"ttl": {"expression": "now."}}), "expression"),
        (matches("(a{1000}){1000}"), "no regular expression that can be used"),
        (matches(&"(".repeat(400)), "no regular expression that can be used"),
        (matches("a)|(b"), "no regular expression that can be used"),
    ];
    for (change, expected) in table {
        let mut spec = json!({"ttl": {"secondsAfterCreation": 60}});
        if let Some(ttl) = change.get("ttl") {
            spec["ttl"] = ttl.clone();
        }
        crate::support::merge(&mut spec, change.clone());
        let error = compile("sweep", spec, json!({})).unwrap_err().to_string();
        assert!(error.contains(expected), "{change}: {error}");
    }
}

#[test]
fn an_expression_that_fails_on_one_object_spares_that_one_and_the_others_go() {
    for (what, bad) in [
        (json!({"ttl": {"after": "1s"}, "when": "int(object.data.n) > 0"}), json!("x")),
        (json!({"ttl": {"after": "1s"}, "when": "object.data.n"}), json!("yes")),
        (json!({"ttl": {"expression": "duration(object.data.n + 's')"}}), json!("soon")),
        (json!({"ttl": {"expression": "duration(object.data.n + 's')"}}), json!("0")),
        (json!({"ttl": {"expression": "duration(object.data.n + 's')"}}), json!("-5")),
        (json!({"ttl": {"fieldPath": "data.n"}}), json!("0")),
        (json!({"ttl": {"fieldPath": "data.n"}}), json!("soon")),
    ] {
        let sweep = policy("sweep", what.clone());
        let mut field = Field::with([&sweep]);
        field.put(&thing("bad", 0, json!({"data": {"n": bad}})));
        let good = if what["when"] == "object.data.n" { json!(true) } else { json!("1") };
        field.put(&thing("good", 0, json!({"data": {"n": good}})));
        assert_eq!(field.at(100).collect(&sweep), ["good"], "{what}");
        assert_eq!(field.count(&sweep, Bucket::Unresolvable), 1, "{what}");
        let (object, verdict) = field.ground.unresolvable(&sweep.key, field.now).unwrap();
        assert_eq!((&*object.name, verdict.name()), ("bad", "Unresolvable"));
    }
}

#[test]
fn an_expression_that_is_too_dear_for_one_object_spares_that_one() {
    let dear = "object.data.l.all(x, object.data.l.all(y, x + y >= 0))";
    let sweep = policy("sweep", json!({"ttl": {"after": "1s"}, "when": dear}));
    let mut field = Field::with([&sweep]);
    field.put(&thing("many", 0, json!({"data": {"l": (0..2_000).collect::<Vec<_>>()}})));
    field.put(&thing("few", 0, json!({"data": {"l": [1, 2]}})));
    assert_eq!(field.at(100).collect(&sweep), ["few"]);
    assert_eq!(field.reason(&sweep, "many"), "ConditionFailed");
}

#[test]
fn three_hundred_years_in_a_field_are_waited_for() {
    let sweep = policy("sweep", json!({"ttl": {"fieldPath": "data.n"}}));
    let mut field = Field::with([&sweep]);
    field.put(&thing("a", 0, json!({"data": {"n": (300_i64 * 365 * 86_400).to_string()}})));
    field.put(&thing("b", 0, json!({"data": {"n": "9".repeat(30)}})));
    assert_eq!(field.at(300 * 365 * 86_400 - 1).collect(&sweep), [""; 0]);
    assert_eq!(field.at(300 * 365 * 86_400).collect(&sweep), ["a"]);
}

#[test]
fn a_time_that_was_never_set_is_no_reason_to_go() {
    let unset = "0001-01-01T00:00:00Z";
    for ttl in [
        json!({"relativeTo": "status.at", "secondsAfter": 60}),
        json!({"expression": "timestamp(object.status.at) + duration('1h')"}),
        json!({"marks": {"sources": ["Groundskeeper"]}}),
        json!({"marks": {"sources": ["K8sTtlController"]}}),
    ] {
        let sweep = policy("sweep", json!({"ttl": ttl}));
        let mut field = Field::with([&sweep]);
        let annotations = json!({
            "groundskeeper.dev/expires": unset,
            "k8s-ttl-controller.twin.sh/ttl": "1h", "k8s-ttl-controller.twin.sh/refreshed-at": unset,
        });
        field.put(&thing("a", 0, json!({"status": {"at": unset}, "metadata": {"annotations": annotations}})));
        assert_eq!(field.at(10_000).collect(&sweep), [""; 0], "{ttl}");
        assert_eq!(field.count(&sweep, Bucket::Unresolvable), 1, "{ttl}");
    }
}

#[test]
fn what_is_judged_anew_before_each_deletion_is_not_much() {
    let keep = |newest: u32, when: &str| {
        let spec = json!({"keep": {"newest": newest}, "when": when});
        compile("sweep", spec, json!({})).map(|_| ()).map_err(|error| error.to_string())
    };
    let timely = "now > timestamp('2020-01-01T00:00:00Z')";
    assert_eq!(keep(1_000, timely), Ok(()));
    assert_eq!(keep(1_000_000, "object.spec.done"), Ok(()));
    let refusal = keep(1_001, timely).unwrap_err();
    assert!(refusal.contains("newest and oldest are at most 1000"), "{refusal}");
}
