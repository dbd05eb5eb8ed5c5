use serde_json::{Value, json};

use super::*;

/// Schemas as a real API server (1.36) publishes them, cut down to what these tests name.
fn schemas() -> BTreeMap<ApiVersion, Arc<SchemaDocument>> {
    let documents = [
        ("v1", include_str!("../../tests/schemas/v1.json")),
        ("apps/v1", include_str!("../../tests/schemas/apps-v1.json")),
        ("batch/v1", include_str!("../../tests/schemas/batch-v1.json")),
        ("example.com/v1", include_str!("../../tests/schemas/example.com-v1.json")),
    ];
    documents
        .map(|(version, text)| (version.parse().unwrap(), Arc::new(serde_json::from_str(text).unwrap())))
        .into()
}

/// What is said of a spec that targets this kind.
fn warnings(kind: &str, rest: &Value) -> Vec<String> {
    let (api_version, kind) = kind.rsplit_once('/').unwrap();
    let mut spec = json!({"targetResource": {"apiVersion": api_version, "kind": kind}});
    for (key, value) in rest.as_object().unwrap() {
        match key.as_str() {
            "matchFields" => spec["targetResource"]["fieldSelector"] = json!({"matchFields": value}),
            _ => spec[key] = value.clone(),
        }
    }
    let spec = serde_json::from_value(spec).unwrap();
    lint(&spec, &schemas()).iter().map(ToString::to_string).collect()
}

fn condition(kind: &str, condition: &Value) -> Vec<String> {
    warnings(kind, &json!({"conditions": {"and": [condition]}}))
}

// What a published collector shipped as examples, and could never match.

#[test]
fn jobs_have_no_phase_and_are_asked_for_their_conditions() {
    let said = warnings("batch/v1/Job", &json!({"conditions": {"phase": ["Succeeded", "Failed"]}}));
    assert_eq!(
        said,
        ["spec.conditions.phase: Job has no status.phase, so this never holds: ask for its conditions: \
          `or: [{fieldPath: 'status.conditions[?type=Complete].status', operator: Equals, value: 'True'}, \
          {fieldPath: 'status.conditions[?type=Failed].status', operator: Equals, value: 'True'}]`"]
    );
    let instead = json!({"conditions": {"or": [
        {"fieldPath": "status.conditions[?type=Complete].status", "operator": "Equals", "value": "True"},
        {"fieldPath": "status.conditions[?type=Failed].status", "operator": "Equals", "value": "True"},
    ]}});
    assert_eq!(warnings("batch/v1/Job", &instead), [""; 0]);
}

#[test]
fn claims_are_never_released() {
    let said = warnings("v1/PersistentVolumeClaim", &json!({"conditions": {"phase": ["Released"]}}));
    assert_eq!(
        said,
        [
            "spec.conditions.phase[0]: PersistentVolumeClaim is never in phase `Released`: write `Lost` for claims \
          whose volume is gone; `Released` is a phase of a PersistentVolume"
        ]
    );
    assert_eq!(warnings("v1/PersistentVolumeClaim", &json!({"conditions": {"phase": ["Lost"]}})), [""; 0]);
}

#[test]
fn what_was_dead_there_and_works_here_is_not_warned_about() {
    let replicas = json!({"fieldPath": "spec.replicas", "operator": "Equals", "value": "0"});
    assert_eq!(condition("apps/v1/Deployment", &replicas), [""; 0]);
    let owners = json!({"fieldPath": "metadata.ownerReferences", "operator": "DoesNotExist"});
    assert_eq!(condition("apps/v1/ReplicaSet", &owners), [""; 0]);
}

// Paths.

#[test]
fn a_path_to_nowhere_is_named_with_what_is_near() {
    let table = [
        (
            "v1/Pod",
            "status.phse",
            "Pod has no field `status.phse`, so this never holds: did you mean `status.phase`?",
        ),
        ("v1/Pod", "stauts.phase", "Pod has no field `stauts`, so this never holds: did you mean `status`?"),
        ("v1/Pod", "status.podip", "did you mean `status.podIP`?"),
        (
            "v1/ConfigMap",
            "spec.x",
            "the fields there are apiVersion, binaryData, data, immutable, kind, metadata",
        ),
        (
            "batch/v1/Job",
            "status.conditions.status",
            "`status.conditions` is a list, and the path does not say which element",
        ),
        (
            "batch/v1/Job",
            "status.conditions.status",
            "write `status.conditions[?type=…].status` or `status.conditions[0].status`",
        ),
        (
            "batch/v1/Job",
            "status.conditions[?typ=Complete].status",
            "Job has no field `status.conditions[].typ`",
        ),
        ("batch/v1/Job", "status[0]", "`status` holds a map and no list"),
        ("batch/v1/Job", "status.succeeded.count", "there is nothing below it"),
    ];
    for (kind, path, expected) in table {
        let said = condition(kind, &json!({"fieldPath": path, "operator": "Equals", "value": "True"}));
        assert!(said.len() == 1 && said[0].contains(expected), "{path}: {said:?}");
    }
}

#[test]
fn what_a_schema_leaves_open_is_not_warned_about() {
    let table = [
        ("v1/Pod", r"metadata.labels.example\.com/tier"),
        ("v1/Pod", "metadata.annotations['example.com/done']"),
        ("v1/ConfigMap", "data.anything"),
        ("example.com/v1/Observation", "spec.payload.deep[3].field"),
        ("example.com/v1/Observation", "spec.params.any"),
        ("example.com/v1/Observation", "spec.port"),
        ("v1/Pod", "metadata.ownerReferences[?kind=Job].name"),
        ("v1/Gizmo", "status.anything"),
        ("unknown.example.com/v1/Gizmo", "status.anything"),
    ];
    for (kind, path) in table {
        assert_eq!(
            condition(kind, &json!({"fieldPath": path, "operator": "Equals", "value": "5"})),
            [""; 0],
            "{path}"
        );
    }
}

#[test]
fn it_is_said_whether_a_condition_never_or_always_holds() {
    let table = [
        ("and", "Exists", "so this never holds"),
        ("and", "DoesNotExist", "so this always holds"),
        ("or", "NotIn", "so this always holds"),
        ("not", "Equals", "so this always holds"),
        ("not", "NotEquals", "so this never holds"),
    ];
    for (group, operator, expected) in table {
        let term = json!({"fieldPath": "status.gone", "operator": operator});
        let said = warnings("v1/Pod", &json!({"conditions": {group: [term]}}));
        assert!(said.len() == 1 && said[0].contains(expected), "{group} {operator}: {said:?}");
    }
    let nested =
        json!({"conditions": {"or": [{"not": [{"fieldPath": "status.gone", "operator": "Exists"}]}]}});
    assert!(
        warnings("v1/Pod", &nested)[0].starts_with(
            "spec.conditions.or[0].not[0]: Pod has no field `status.gone`, so this always holds"
        )
    );
}

// Values.

#[test]
fn a_value_that_a_field_never_has_is_named() {
    let table = [
        (
            "v1/Pod",
            "status.phase",
            "Equals",
            json!("Done"),
            "the values there are Failed, Pending, Running, Succeeded, Unknown",
        ),
        ("v1/Pod", "status.phase", "Equals", json!("failed"), "did you mean `Failed`?"),
        (
            "v1/Pod",
            "status.containerStatuses",
            "Equals",
            json!("x"),
            "choose an element by `status.containerStatuses[0]`",
        ),
        ("v1/Pod", "metadata.labels", "NotEquals", json!("x"), "so this always holds: name a field below it"),
        ("apps/v1/Deployment", "spec.replicas", "Equals", json!("none"), "write a whole number"),
        ("apps/v1/Deployment", "spec.replicas", "Equals", json!(true), "write a whole number"),
        ("apps/v1/Deployment", "spec.paused", "Equals", json!("yes"), "write true or false"),
        (
            "apps/v1/Deployment",
            "spec.replicas",
            "GreaterThan",
            json!("many"),
            "`many` is none, so this never holds",
        ),
        (
            "v1/Pod",
            "spec.nodeName",
            "GreaterThan",
            json!(5),
            "GreaterThan compares numbers, quantities and moments",
        ),
        (
            "v1/Pod",
            "spec.hostNetwork",
            "LessThan",
            json!(5),
            "holds true or false, which LessThan cannot compare",
        ),
        ("v1/Pod", "status.startTime", "LessThan", json!("5d"), "for an age use ttl.relativeTo"),
        ("v1/Pod", "status.conditions", "Matches", json!("x"), "has no text to match, so this never holds"),
    ];
    for (kind, path, operator, value, expected) in table {
        let said = condition(kind, &json!({"fieldPath": path, "operator": operator, "value": value}));
        assert!(said.len() == 1 && said[0].contains(expected), "{path}: {said:?}");
    }
}

#[test]
fn values_that_fit_are_not_warned_about() {
    let table = [
        ("v1/Pod", "status.phase", "Equals", json!("Failed")),
        ("v1/Pod", "status.reason", "Equals", json!("Evicted")),
        ("apps/v1/Deployment", "spec.replicas", "Equals", json!(0)),
        ("apps/v1/Deployment", "spec.replicas", "GreaterThan", json!("1k")),
        ("apps/v1/Deployment", "spec.paused", "Equals", json!("true")),
        ("v1/Pod", "status.startTime", "LessThan", json!("2026-01-01T00:00:00Z")),
        ("v1/PersistentVolumeClaim", "spec.resources.requests.storage", "GreaterThan", json!("1Gi")),
        ("v1/Pod", r"metadata.annotations.example\.com/size", "GreaterThan", json!(5)),
        ("example.com/v1/Observation", "status.lastSeen", "LessThan", json!("2026-01-01T00:00:00Z")),
    ];
    for (kind, path, operator, value) in table {
        let said = condition(kind, &json!({"fieldPath": path, "operator": operator, "value": value}));
        assert_eq!(said, [""; 0], "{path}");
    }
}

#[test]
fn each_of_several_values_is_looked_at() {
    let term =
        json!({"fieldPath": "status.phase", "operator": "In", "values": ["Failed", "Gone", "Succeeded"]});
    let said = condition("v1/Pod", &term);
    assert_eq!(
        said,
        [
            "spec.conditions.and[0]: `status.phase` has other values and never equals `Gone`, so this value is never \
          met: the values there are Failed, Pending, Running, Succeeded, Unknown"
        ]
    );
}

#[test]
fn field_selectors_are_looked_at_like_conditions() {
    let said = warnings("v1/Pod", &json!({"matchFields": {"status.phase": "Evicted", "spec.nodename": "a"}}));
    assert_eq!(
        said,
        [
            "spec.targetResource.fieldSelector.matchFields['spec.nodename']: Pod has no field `spec.nodename`, so \
             this never holds: did you mean `spec.nodeName`?",
            "spec.targetResource.fieldSelector.matchFields['status.phase']: `status.phase` has other values and \
             never equals `Evicted`, so this never holds: the values there are Failed, Pending, Running, Succeeded, \
             Unknown",
        ]
    );
}

// When.

#[test]
fn a_time_to_live_that_no_field_holds_is_named() {
    let table = [
        (
            "v1/Pod",
            json!({"fieldPath": "spec.ttl"}),
            "Pod has no field `spec.ttl`, so no object ever falls due",
        ),
        ("v1/Pod", json!({"fieldPath": "spec.ttl", "default": 5}), "so the default counts for every object"),
        (
            "v1/Pod",
            json!({"fieldPath": "spec.hostNetwork"}),
            "holds true or false, and not how long an object lives",
        ),
        ("v1/Pod", json!({"fieldPath": "spec.containers"}), "holds a list"),
        (
            "v1/Pod",
            json!({"fieldPath": "status.startTime"}),
            "write `relativeTo: status.startTime` with secondsAfter",
        ),
        (
            "example.com/v1/Observation",
            json!({"fieldPath": "spec.severity", "mappings": {"HIGH": 5, "Low": 6}}),
            "spec.ttl.mappings['HIGH']: `spec.severity` is never `HIGH`, so this is never used: did you mean `High`?",
        ),
        (
            "batch/v1/Job",
            json!({"relativeTo": "status.finishedAt", "secondsAfter": 1}),
            "no field `status.finishedAt`",
        ),
        (
            "batch/v1/Job",
            json!({"relativeTo": "status.succeeded", "secondsAfter": 1}),
            "holds a whole number, and not a moment, so no object ever falls due: the moments beside it are completionTime, startTime",
        ),
        (
            "v1/Pod",
            json!({"relativeTo": "status.message", "secondsAfter": 1}),
            "the moments beside it are startTime",
        ),
        (
            "batch/v1/Job",
            json!({"relativeTo": "status.conditions.lastTransitionTime", "secondsAfter": 1}),
            "`status.conditions[?type=…].lastTransitionTime`",
        ),
    ];
    for (kind, ttl, expected) in table {
        let said = warnings(kind, &json!({"ttl": ttl}));
        assert!(said.len() == 1 && said[0].contains(expected), "{ttl}: {said:?}");
    }
}

#[test]
fn a_time_to_live_that_a_field_can_hold_is_not_warned_about() {
    let table = [
        ("v1/Pod", json!({"fieldPath": r"metadata.annotations.example\.com/ttl"})),
        ("example.com/v1/Observation", json!({"fieldPath": "spec.ttlSeconds"})),
        ("v1/Pod", json!({"fieldPath": "spec.hostNetwork", "mappings": {"true": 5}})),
        ("example.com/v1/Observation", json!({"fieldPath": "spec.severity", "mappings": {"High": 5}})),
        ("example.com/v1/Observation", json!({"relativeTo": "status.processedAt", "secondsAfter": 1})),
        ("example.com/v1/Observation", json!({"relativeTo": "status.lastSeen", "secondsAfter": 1})),
        (
            "batch/v1/Job",
            json!({"relativeTo": "status.conditions[?type=Complete].lastTransitionTime", "secondsAfter": 1}),
        ),
        ("batch/v1/Job", json!({"relativeTo": r"metadata.annotations.example\.com/done", "secondsAfter": 1})),
        ("v1/Pod", json!({"marks": {}})),
        ("v1/Pod", json!({"after": "5d"})),
    ];
    for (kind, ttl) in table {
        assert_eq!(warnings(kind, &json!({"ttl": ttl})), [""; 0], "{ttl}");
    }
}

#[test]
fn groups_by_a_field_that_no_object_has_are_named() {
    let said =
        warnings("v1/Pod", &json!({"keep": {"newest": 1, "groupBy": {"fieldPath": "spec.nodeNames"}}}));
    assert_eq!(
        said,
        [
            "spec.keep.groupBy.fieldPath: Pod has no field `spec.nodeNames`, so every object is a group of its own: \
          did you mean `spec.nodeName`?"
        ]
    );
}

// Expressions and limits.

#[test]
fn paths_that_an_expression_reads_are_looked_at() {
    let kind = GroupVersionKind { api_version: "batch/v1".parse().unwrap(), kind: "Job".into() };
    let paths = ["status.phase", "status.succeeded", "status.conditions", "metadata.labels.x"];
    let paths = paths.map(|path| path.parse::<FieldPath>().unwrap().prefix().clone());
    let said = lint_paths(&paths, "spec.when", &kind, &schemas());
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(
        (&*said[0].field, &*said[0].message),
        ("spec.when", "Job has no field `status.phase`, so the expression never finds it")
    );
}

#[test]
fn each_target_is_looked_at_and_the_count_is_bounded() {
    let spec = json!({
        "targetResources": [{"apiVersion": "v1", "kind": "Pod"}, {"apiVersion": "batch/v1", "kind": "Job"}],
        "conditions": {"phase": ["Failed"], "and": vec![json!({"fieldPath": "a", "operator": "Exists"}); 30]},
    });
    let said = lint(&serde_json::from_value(spec).unwrap(), &schemas());
    assert_eq!(said.len(), WARNINGS_MAX);
    let phase = json!({
        "targetResources": [{"apiVersion": "v1", "kind": "Pod"}, {"apiVersion": "batch/v1", "kind": "Job"}],
        "conditions": {"phase": ["Failed"]},
    });
    let said = lint(&serde_json::from_value(phase).unwrap(), &schemas());
    assert_eq!(said.len(), 1);
    assert!(said[0].message.starts_with("Job has no status.phase"), "{said:?}");
}

#[test]
fn what_is_no_path_is_left_to_others() {
    assert_eq!(condition("v1/Pod", &json!({"fieldPath": "a[", "operator": "Exists"})), [""; 0]);
}
