//! What was not read must not count as missing.

use gc::{Bucket, Gate, Scope};
use serde_json::{Value, json};

use crate::support::{Field, merge, policy, read, second, thing};

fn rules() -> Vec<Value> {
    let condition = |operator: &str, value: Value| {
        let mut term = json!({"fieldPath": "status.phase", "operator": operator});
        merge(&mut term, value);
        json!({"ttl": {"after": "60s"}, "conditions": {"and": [term]}})
    };
    vec![
        condition("NotEquals", json!({"value": "Running"})),
        condition("NotIn", json!({"values": ["Running"]})),
        condition("DoesNotExist", json!({})),
        json!({"ttl": {"after": "60s"}, "conditions": {"not": [{"fieldPath": "status.phase", "operator": "Exists"}]}}),
        json!({"ttl": {"after": "60s"}, "when": "!has(object.status)"}),
        json!({"ttl": {"after": "60s"}, "targetResource": {"owner": {"is": "Absent"}}}),
        json!({"ttl": {"after": "60s"}, "targetResource": {"fieldSelector": {"matchFields": {"spec.host": ""}}}}),
        json!({"ttl": {"fieldPath": "spec.ttl", "default": 60}}),
        json!({"ttl": {"expression": "has(object.spec) ? null : object.metadata.creationTimestamp"}}),
        json!({"keep": {"newest": 0, "groupBy": {"fieldPath": "spec.group"}}}),
    ]
}

#[test]
fn an_object_that_was_read_for_others_is_never_due() {
    for spec in rules() {
        for (earlier, reads) in [
            ("nothing", vec![]),
            ("a label", vec!["metadata.annotations.a"]),
            ("a neighbour", vec!["status.other"]),
        ] {
            let sweep = policy("sweep", spec.clone());
            let mut field = Field::with([]);
            let reads =
                reads.into_iter().map(|path| path.parse::<units::FieldPath>().unwrap().prefix().clone());
            let object = read(&thing("a", 0, json!({"status": {"phase": "Running"}})), reads);
            field.ground.apply(&Scope::CLUSTER, object, second(0));
            field.admit(&sweep);
            assert_eq!(field.at(10_000).take(&sweep), [], "{spec}, {earlier}");
            assert_eq!(field.count(&sweep, Bucket::Unread), 1, "{spec}, {earlier}");

            // Read for it, and without the field in truth, it is due.
            field.put(&thing("a", 0, json!({"metadata": {"resourceVersion": "2"}})));
            assert_eq!(field.take(&sweep).len(), 1, "{spec}, {earlier}");
        }
    }
}

#[test]
fn an_object_with_a_field_that_is_too_large_is_unread_for_those_alone_that_read_it() {
    let [phase, data] = [
        policy("phase", json!({"ttl": {"after": "60s"}, "conditions": {"phase": ["Done"]}})),
        policy("data", json!({"ttl": {"after": "60s"}, "when": "!('keep' in object.data)"})),
    ];
    let keep = policy("keep", json!({"action": "Keep", "when": "has(object.data.keep)"}));
    let large = |name: &str| {
        let data = json!({"text": "x".repeat(views::KEPT_BYTES_MAX)});
        thing(name, 0, json!({"data": data, "status": {"phase": "Done"}}))
    };
    let mut field = Field::with([&phase, &data]);
    field.put(&large("a"));
    assert_eq!(field.at(60).take(&data), []);
    assert_eq!((field.count(&data, Bucket::Unread), field.reason(&data, "a")), (1, "Unread"));
    assert_eq!(field.collect(&phase), ["a"]);

    field.admit(&keep);
    field.put(&large("b"));
    assert_eq!(field.at(120).take(&phase), [], "what cannot be read may say that it is kept");
}

#[test]
fn what_a_keeper_has_not_read_it_keeps() {
    let keepers = [
        json!({"action": "Keep", "conditions": {"phase": ["Running"]}}),
        json!({"priority": 1, "ttl": {"after": "1h"}, "conditions": {"phase": ["Running"]}}),
    ];
    for keeper in keepers {
        let (sweep, keep) =
            (policy("sweep", json!({"ttl": {"after": "60s"}})), policy("keep", keeper.clone()));
        let mut field = Field::with([&sweep]);
        let running = thing("a", 0, json!({"status": {"phase": "Running"}}));
        field.put(&running);
        field.put(&thing("b", 0, json!({"status": {"phase": "Failed"}})));
        field.admit(&keep);
        assert_eq!(field.at(100).take(&sweep), [], "{keeper}");
        assert_eq!(field.reason(&sweep, "a"), "KeptBy");

        field.put(&running);
        field.put(&thing("b", 0, json!({"status": {"phase": "Failed"}})));
        assert_eq!(field.collect(&sweep), ["b"], "{keeper}");
    }
}

#[test]
fn a_keeper_that_could_not_select_an_object_holds_nobody_up() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
    let keep = policy(
        "keep",
        json!({"action": "Keep", "conditions": {"phase": ["Running"]}, "targetResource": {"labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}}),
    );
    let mut field = Field::with([&sweep]);
    field.put(&thing("a", 0, json!({})));
    field.admit(&keep);
    assert_eq!(field.count(&keep, Bucket::Unread), 0);
    assert_eq!(field.at(60).collect(&sweep), ["a"]);
}

#[test]
fn verdicts_on_what_was_not_read_do_not_say_that_it_goes() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}, "when": "!has(object.status)"}));
    let mut field = Field::with([]);
    field.ground.apply(&Scope::CLUSTER, read(&thing("a", 0, json!({})), []), second(0));
    field.admit(&sweep);
    field.at(100);
    assert_eq!(field.reason(&sweep, "a"), "Unread");
    let judged = field.ground.judge_all(&sweep.key, Gate::Open, second(100));
    assert_eq!(judged.map(|(_, _, verdict)| verdict.reason()).collect::<Vec<_>>(), ["Unread"]);
}
