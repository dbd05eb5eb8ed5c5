//! `groundskeeper import zen-gc`, run as a person or a script would run it. No cluster is needed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use api::garbage_collection::{ClusterGarbageCollectionPolicy, GarbageCollectionPolicy};
use serde_json::{Value, json};

/// Policies with the fields of the nine that zen-gc's repository shows as examples.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zen-gc");

#[derive(Debug)]
struct Outcome {
    status: Option<i32>,
    out: String,
    err: String,
}

fn import(arguments: &str, input: &str) -> Outcome {
    let mut child = Command::new(env!("CARGO_BIN_EXE_groundskeeper"))
        .args(["import", "zen-gc"])
        .args(arguments.split_whitespace())
        .current_dir(EXAMPLES)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// The report as JSON on this one policy.
fn imported(policy: &Value) -> Value {
    imported_with(policy, &[])
}

/// The same, with a look at these objects.
fn imported_with(policy: &Value, objects: &[Value]) -> Value {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("objects.json");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    std::fs::write(&file, list.to_string()).unwrap();
    let look = match objects {
        [] => String::new(),
        _ => format!("--objects {} --at 2026-11-21T12:00:00Z", file.display()),
    };
    let outcome = import(&format!("-f - -o json --enforce {look}"), &policy.to_string());
    let report: Value = serde_json::from_str(&outcome.out).unwrap_or_else(|_| panic!("{outcome:?}"));
    let expected = if report["summary"]["exact"] == 1 { 0 } else { 2 };
    assert_eq!((outcome.status, &*outcome.err), (Some(expected), ""));
    report["policies"][0].clone()
}

/// A policy of zen-gc with these changes, by JSON pointer.
fn policy(changes: &[(&str, Value)]) -> Value {
    let mut policy = json!({
        "apiVersion": "gc.ops.zen-mesh.io/v1alpha1",
        "kind": "GarbageCollectionPolicy",
        "metadata": {"name": "sweep", "namespace": "team"},
        "spec": {
            "targetResource": {
                "apiVersion": "example.com/v1", "kind": "Gizmo", "labelSelector": {"matchLabels": {"tmp": "yes"}},
            },
            "ttl": {"secondsAfterCreation": 60},
        },
    });
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        policy.pointer_mut(parent).unwrap()[name] = value.clone();
    }
    policy
}

/// The notes that are more than worth knowing: bearing, field.
fn notes(account: &Value) -> Vec<(&str, &str)> {
    account["notes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|note| note["bearing"] != "Told")
        .map(|note| (note["bearing"].as_str().unwrap(), note["field"].as_str().unwrap()))
        .collect()
}

// The published examples.

#[test]
fn every_published_example_gets_a_true_answer() {
    // File, outcome, what is said, a part of it.
    let table = [
        ("completed-jobs", "Attention", vec![("MatchesNothing", "spec.conditions.phase")]),
        ("evicted-pods", "Exact", vec![]),
        ("failed-pods", "Exact", vec![]),
        ("old-deployments", "Attention", vec![("NewlyMatches", "spec.conditions.and[0]")]),
        ("old-secrets", "Exact", vec![]),
        ("orphaned-replicasets", "Attention", vec![("NewlyMatches", "spec.conditions.and[0].operator")]),
        ("released-claims", "Attention", vec![("MatchesNothing", "spec.conditions.phase")]),
        ("temp-configmaps", "Exact", vec![]),
        ("test-pods", "Exact", vec![]),
    ];
    for (file, expected, said) in table {
        let outcome = import(&format!("-f {file}.yaml -o json --enforce"), "");
        let report: Value = serde_json::from_str(&outcome.out).unwrap();
        let account = &report["policies"][0];
        assert_eq!((account["outcome"].as_str().unwrap(), notes(account)), (expected, said), "{file}");
        let mode = if expected == "Exact" { "Enforce" } else { "Plan" };
        assert_eq!(
            (&account["mode"], &account["policy"]["spec"]["mode"]),
            (&json!(mode), &json!(mode)),
            "{file}"
        );
        assert_eq!(outcome.status, Some(if expected == "Exact" { 0 } else { 2 }), "{file}");
    }
}

#[test]
fn the_report_says_what_is_to_be_looked_at() {
    let outcome = import("-f .", "");

    assert_eq!(outcome.status, Some(2));
    insta::assert_snapshot!(outcome.err, @"
    default/cleanup-completed-jobs (./completed-jobs.yaml, document 1) -> ClusterGarbageCollectionPolicy cleanup-completed-jobs, mode Plan
      matches nothing: spec.conditions.phase: Job has no status.phase; for jobs that are over ask for their conditions: `or: [{fieldPath: 'status.conditions[?type=Complete].status', operator: Equals, value: 'True'}, {fieldPath: 'status.conditions[?type=Failed].status', operator: Equals, value: 'True'}]`
      note: spec.targetResource.namespace: zen-gc takes this for all namespaces, and so it is here, but for those of the cluster itself
    default/cleanup-evicted-pods (./evicted-pods.yaml, document 1) -> ClusterGarbageCollectionPolicy cleanup-evicted-pods, mode Plan
      newly matches: spec.targetResource.labelSelector: other policies here are about the same kind and namespaces with another selector; of such policies zen-gc saw only what the first one selected
      note: spec.targetResource.namespace: zen-gc takes this for all namespaces, and so it is here, but for those of the cluster itself
    default/cleanup-failed-pods (./failed-pods.yaml, document 1) -> ClusterGarbageCollectionPolicy cleanup-failed-pods, mode Plan
      newly matches: spec.targetResource.labelSelector: other policies here are about the same kind and namespaces with another selector; of such policies zen-gc saw only what the first one selected
      note: spec.targetResource.namespace: zen-gc takes this for all namespaces, and so it is here, but for those of the cluster itself
    default/cleanup-old-deployments (./old-deployments.yaml, document 1) -> ClusterGarbageCollectionPolicy cleanup-old-deployments, mode Plan
      newly matches: spec.conditions.and[0]: zen-gc compared texts only, and `0` never equalled a number or a truth value there: an object whose `spec.replicas` is the number or truth value 0 matches here
      note: spec.targetResource.namespace: zen-gc takes this for all namespaces, and so it is here, but for those of the cluster itself
    default/cleanup-old-secrets (./old-secrets.yaml, document 1) -> ClusterGarbageCollectionPolicy cleanup-old-secrets, mode Plan
      note: spec.targetResource.namespace: zen-gc takes this for all namespaces, and so it is here, but for those of the cluster itself
    default/cleanup-orphaned-replicasets (./orphaned-replicasets.yaml, document 1) -> ClusterGarbageCollectionPolicy cleanup-orphaned-replicasets, mode Plan
      newly matches: spec.conditions.and[0].operator: zen-gc does not know DoesNotExist, and so matched nothing
      note: spec.targetResource.namespace: zen-gc takes this for all namespaces, and so it is here, but for those of the cluster itself
    default/cleanup-released-pvcs (./released-claims.yaml, document 1) -> ClusterGarbageCollectionPolicy cleanup-released-pvcs, mode Plan
      matches nothing: spec.conditions.phase: PersistentVolumeClaim is never Released: its phases are Pending, Bound, Lost
      note: spec.targetResource.namespace: zen-gc takes this for all namespaces, and so it is here, but for those of the cluster itself
    default/temp-configmap-cleanup (./temp-configmaps.yaml, document 1) -> ClusterGarbageCollectionPolicy temp-configmap-cleanup, mode Plan
      note: spec.targetResource.namespace: zen-gc takes this for all namespaces, and so it is here, but for those of the cluster itself
    default/test-pod-cleanup (./test-pods.yaml, document 1) -> ClusterGarbageCollectionPolicy test-pod-cleanup, mode Plan
      newly matches: spec.targetResource.labelSelector: other policies here are about the same kind and namespaces with another selector; of such policies zen-gc saw only what the first one selected
      note: spec.targetResource.namespace: zen-gc takes this for all namespaces, and so it is here, but for those of the cluster itself

    9 policies: 2 as before, 7 to be looked at, 0 not converted; 5 of them newly match.
    Of every policy here: what is protected stays (the namespaces of the cluster itself, Helm's releases, whatever carries groundskeeper.dev/protect, objects that are going already); a budget of 50 objects or 10 percent in an hour, whichever is more, holds unless the policy has its own; maxDeletionsPerSecond is kept exactly, of which zen-gc reached about half.
    `groundskeeper plan -f FILE` shows what they would do. Stop zen-gc before a policy here says `mode: Enforce`.
    ");
}

#[test]
fn what_is_written_is_read_back_by_our_own_types() {
    let outcome = import("-f . --enforce", "");

    let documents: Vec<Value> = serde_saphyr::from_multiple(&outcome.out).unwrap();
    assert_eq!(documents.len(), 9);
    for document in documents {
        let policy: ClusterGarbageCollectionPolicy = serde_json::from_value(document).unwrap();
        assert_eq!(policy.spec.targets().count(), 1);
    }
    assert!(
        outcome.out.starts_with("# Converted by `groundskeeper import zen-gc`.\n---\n"),
        "{}",
        outcome.out
    );
}

// Namespaces.

#[test]
fn the_namespace_decides_which_kind_a_policy_becomes() {
    let namespace = |namespace: Value| imported(&policy(&[("/spec/targetResource/namespace", namespace)]));
    for all in [json!(null), json!(""), json!("*")] {
        let converted = namespace(all);
        assert_eq!(converted["policy"]["kind"], "ClusterGarbageCollectionPolicy");
        assert_eq!(converted["policy"]["metadata"], json!({"name": "sweep"}));
        assert_eq!(converted["policy"]["spec"]["namespaces"], Value::Null);
    }
    let own = namespace(json!("team"))["policy"].clone();
    assert_eq!(
        (&own["kind"], &own["metadata"]["namespace"]),
        (&json!("GarbageCollectionPolicy"), &json!("team"))
    );
    serde_json::from_value::<GarbageCollectionPolicy>(own).unwrap();
    let other = namespace(json!("garden"))["policy"].clone();
    assert_eq!(other["kind"], "ClusterGarbageCollectionPolicy");
    assert_eq!(other["spec"]["namespaces"], json!({"names": ["garden"]}));
    serde_json::from_value::<ClusterGarbageCollectionPolicy>(other).unwrap();
}

#[test]
fn a_policy_without_a_namespace_lies_in_the_one_that_is_named() {
    let mut nowhere = policy(&[("/spec/targetResource/namespace", json!("garden"))]);
    nowhere["metadata"] = json!({"name": "sweep"});
    let outcome = import("-f - -o json -n garden", &nowhere.to_string());
    let report: Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(report["policies"][0]["policy"]["metadata"]["namespace"], "garden");
}

#[test]
fn two_policies_that_would_be_one_are_told_apart() {
    let one = policy(&[]);
    let two =
        policy(&[("/metadata/namespace", json!("garden")), ("/spec/targetResource/kind", json!("Other"))]);
    let outcome = import("-f - -o json", &format!("{one}{two}"));
    let report: Value = serde_json::from_str(&outcome.out).unwrap();
    let name = |at: usize| report["policies"][at]["policy"]["metadata"]["name"].as_str().unwrap();
    assert_eq!([name(0), name(1)], ["team-sweep", "garden-sweep"]);
}

// What each field becomes.

#[test]
fn what_means_the_same_is_taken_over() {
    // A field of theirs with its value, a field of ours with its value.
    let table = [
        (
            "/spec/targetResource/labelSelector",
            json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}),
            "/targetResource/labelSelector",
            json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}),
        ),
        (
            "/spec/targetResource/fieldSelector",
            json!({"matchFields": {"spec.owner": "me"}}),
            "/targetResource/fieldSelector",
            json!({"matchFields": {"spec.owner": "me"}}),
        ),
        (
            "/spec/ttl",
            json!({"secondsAfterCreation": 60, "fieldPath": "spec.ttl", "default": 5}),
            "/ttl",
            json!({"secondsAfterCreation": 60}),
        ),
        ("/spec/conditions", json!({"phase": ["Done"]}), "/conditions", json!({"phase": ["Done"]})),
        (
            "/spec/conditions",
            json!({"hasLabels": [{"key": "a", "value": "b"}]}),
            "/conditions/hasLabels/0",
            json!({"key": "a", "value": "b", "operator": "Equals"}),
        ),
        (
            "/spec/conditions",
            json!({"hasLabels": [{"key": "a"}]}),
            "/conditions/hasLabels/0",
            json!({"key": "a", "value": "", "operator": "Equals"}),
        ),
        (
            "/spec/conditions",
            json!({"hasLabels": [{"key": "a", "operator": "Exists"}]}),
            "/conditions/hasLabels/0",
            json!({"key": "a", "operator": "Exists"}),
        ),
        (
            "/spec/conditions",
            json!({"hasLabels": [{"key": "a", "value": "b", "operator": "In"}]}),
            "/conditions/hasLabels/0",
            json!({"key": "a", "value": "b", "operator": "Equals"}),
        ),
        (
            "/spec/conditions",
            json!({"hasLabels": [{"key": "a", "value": "b", "operator": "NotIn"}]}),
            "/conditions/hasLabels/0",
            json!({"key": "a", "value": "b", "operator": "NotEquals"}),
        ),
        (
            "/spec/conditions",
            json!({"hasAnnotations": [{"key": "a"}]}),
            "/conditions/hasAnnotations/0",
            json!({"key": "a", "value": "", "operator": "Equals"}),
        ),
        (
            "/spec/conditions",
            json!({"and": [{"fieldPath": "status.reason", "operator": "Equals", "value": "Evicted"}]}),
            "/conditions/and",
            json!([{"fieldPath": "status.reason", "operator": "Equals", "value": "Evicted"}]),
        ),
        (
            "/spec/conditions",
            json!({"and": [{"fieldPath": "status.reason", "operator": "In", "values": ["A", "B"]}]}),
            "/conditions/and",
            json!([{"fieldPath": "status.reason", "operator": "In", "values": ["A", "B"]}]),
        ),
        // There a field that is missing differs from nothing.
        (
            "/spec/conditions",
            json!({"and": [{"fieldPath": "metadata.labels.a", "operator": "NotEquals", "value": "b"}]}),
            "/conditions/and",
            json!([{"fieldPath": "metadata.labels.a", "operator": "Exists"}, {"fieldPath": "metadata.labels.a", "operator": "NotEquals", "value": "b"}]),
        ),
        (
            "/spec/conditions",
            json!({"and": [{"fieldPath": "metadata.labels.a", "operator": "Equals", "value": "5"}]}),
            "/conditions/and/0/value",
            json!("5"),
        ),
        (
            "/spec/behavior",
            json!({"maxDeletionsPerSecond": 5, "batchSize": 7, "dryRun": true, "propagationPolicy": "Orphan", "gracePeriodSeconds": 0}),
            "/behavior",
            json!({"maxDeletionsPerSecond": 5, "batchSize": 7, "dryRun": true, "propagationPolicy": "Orphan", "gracePeriodSeconds": 0}),
        ),
        ("/spec/behavior", json!({"maxDeletionsPerSecond": 0, "batchSize": 0}), "/behavior", Value::Null),
        // What nobody may take off is left out.
        ("/spec/behavior", json!({"finalizer": "kubernetes.io/pvc-protection"}), "/behavior", Value::Null),
        ("/spec/behavior", json!({"finalizer": "wait"}), "/behavior", Value::Null),
        ("/spec/evaluationInterval", json!("1m30s"), "/evaluationInterval", json!("1m30s")),
        ("/metadata/labels", json!({"team": "a"}), "/ttl/secondsAfterCreation", json!(60)),
    ];
    for (theirs, value, ours, expected) in table {
        let account = imported_with(&policy(&[(theirs, value.clone())]), &gizmos());
        assert_eq!((account["outcome"].as_str(), notes(&account)), (Some("Exact"), vec![]), "{value}");
        let found = account["policy"]["spec"].pointer(ours).unwrap_or(&Value::Null);
        assert_eq!(found, &expected, "{value}");
    }
}

#[test]
fn what_zen_gc_never_acted_on_is_said_to_match_newly_and_only_plans() {
    let ttl = "/spec/ttl";
    let and = |path: &str, operator: &str, value: &str| {
        ("/spec/conditions", json!({"and": [{"fieldPath": path, "operator": operator, "value": value}]}))
    };
    let table = [
        (
            ttl,
            json!({"fieldPath": r"metadata.annotations.example\.com/ttl"}),
            "spec.ttl.fieldPath",
            "always a text",
        ),
        (
            ttl,
            json!({"fieldPath": "spec.ttl", "default": 60}),
            "spec.ttl.fieldPath",
            "for any other the default does",
        ),
        (
            ttl,
            json!({"fieldPath": "spec.severity", "mappings": {"LOW": 60}}),
            "spec.ttl.fieldPath",
            "one that mappings lacks",
        ),
        (
            ttl,
            json!({"relativeTo": "status.conditions[?type=Done].at", "secondsAfter": 5}),
            "spec.ttl.relativeTo",
            "did not understand the path",
        ),
        (
            "/spec/conditions",
            json!({"hasLabels": [{"key": "a", "operator": "DoesNotExist"}]}),
            "spec.conditions.hasLabels[0].operator",
            "zen-gc does not know DoesNotExist",
        ),
        (
            "/spec/targetResource/fieldSelector",
            json!({"matchFields": {"spec.ready": "true"}}),
            "spec.targetResource.fieldSelector.matchFields['spec.ready']",
            "the number or truth value true",
        ),
    ];
    let conditions = [
        (and("spec.count", "Equals", "0"), "spec.conditions.and[0]", "the number or truth value 0"),
        (and("spec.count", "NotEquals", "x"), "spec.conditions.and[0]", "compared by its text here"),
        (
            and("spec.count", "GreaterThan", "5"),
            "spec.conditions.and[0].operator",
            "does not know GreaterThan",
        ),
        (and("spec.owner", "Exists", ""), "spec.conditions.and[0].operator", "does not know Exists"),
        (
            and(r"metadata.annotations.example\.com/done", "Equals", "yes"),
            "spec.conditions.and[0].fieldPath",
            "did not understand the path",
        ),
        (
            and("status.conditions[0].type", "Equals", "Done"),
            "spec.conditions.and[0].fieldPath",
            "did not understand the path",
        ),
    ];
    let conditions = conditions.map(|((pointer, value), field, words)| (pointer, value, field, words));
    for (pointer, value, field, words) in table.into_iter().chain(conditions) {
        let account = imported(&policy(&[(pointer, value.clone())]));
        assert_eq!(notes(&account), [("NewlyMatches", field)], "{value}");
        assert_eq!((&account["outcome"], &account["mode"]), (&json!("Attention"), &json!("Plan")), "{value}");
        assert!(account["notes"].to_string().contains(words), "{account}");
    }
}

#[test]
fn the_group_says_what_a_policy_did() {
    let relative = ("/spec/ttl", json!({"relativeTo": "status.doneAt", "secondsAfter": 60}));
    let escaped = ("/spec/ttl", json!({"fieldPath": r"metadata.labels.a\.b/c", "mappings": {"x": 5}}));
    let table = [
        ("gc.ops.zen-mesh.io", relative.clone(), vec!["spec.ttl.relativeTo"]),
        ("gc.ops.zen-mesh.io", escaped.clone(), vec!["spec.ttl.fieldPath"]),
        ("gc.kube-zen.io", relative.clone(), vec!["spec.ttl.relativeTo"]),
        ("gc.k8s.io", relative.clone(), vec!["spec.ttl.relativeTo"]),
        ("gc.zen-mesh.io", relative, vec!["apiVersion", "spec.ttl.relativeTo"]),
        ("gc.kube-zen.io", escaped, vec!["spec.ttl.fieldPath"]),
    ];
    for (group, change, expected) in table {
        let api_version = json!(format!("{group}/v1alpha1"));
        let account = imported(&policy(&[("/apiVersion", api_version), change]));
        let expected: Vec<_> = expected.into_iter().map(|field| ("NewlyMatches", field)).collect();
        assert_eq!(notes(&account), expected, "{group}");
    }
}

#[test]
fn what_has_no_counterpart_is_not_converted_and_the_reason_is_said() {
    let table = [
        (
            "/spec/ttl",
            json!({"secondsAfterCreation": 0, "fieldPath": "spec.ttl"}),
            "deletes everything that the policy selects at once, whatever else ttl says: leave it out",
        ),
        (
            "/spec/ttl",
            json!({"secondsAfterCreation": -1}),
            "deletes everything that the policy selects at once",
        ),
        (
            "/spec/ttl",
            json!({"secondsAfterCreation": 9_999_999_999_i64}),
            "write a number of seconds from 1 to 3153600000",
        ),
        ("/spec/ttl", json!({"fieldPath": "spec.ttl", "default": 0}), "spec.ttl.default"),
        ("/spec/ttl", json!({"fieldPath": "spec..ttl"}), "is not a field path"),
        ("/spec/ttl", json!({"relativeTo": "status.doneAt"}), "it says no time to live"),
        ("/spec/ttl", json!(null), "it is missing"),
        (
            "/spec/targetResource",
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "namespace": "team"}),
            "PersistentVolume lies in no namespace",
        ),
        ("/spec/targetResource", json!({"apiVersion": "a/b/c", "kind": "Gizmo"}), "is not an apiVersion"),
        (
            "/spec/targetResource/labelSelector",
            json!({"matchExpressions": [{"key": "a", "operator": "Like"}]}),
            "it is no label selector",
        ),
        (
            "/spec/conditions",
            json!({"and": [{"fieldPath": "a", "operator": "Contains", "value": "b"}]}),
            "`Contains` is no operator",
        ),
        (
            "/spec/conditions",
            json!({"and": [{"fieldPath": "a", "value": "b"}]}),
            "without an operator zen-gc matched nothing",
        ),
        (
            "/spec/conditions",
            json!({"and": [{"fieldPath": "a", "operator": "In", "value": "b"}]}),
            "In without values",
        ),
        (
            "/spec/conditions",
            json!({"and": [{"fieldPath": "a", "operator": "LessThan"}]}),
            "LessThan needs a value",
        ),
        ("/spec/conditions", json!({"hasLabels": [{"key": "a", "operator": "In"}]}), "In without a value"),
        (
            "/spec/conditions",
            json!({"and": [{"fieldPath": "a", "operator": "Equals", "value": 5}]}),
            "would not have taken it: invalid type",
        ),
        ("/spec/conditions", json!({"phase": vec!["x"; 17]}), "there are 17; Groundskeeper takes at most 16"),
        ("/spec/behavior", json!({"gracePeriodSeconds": 100_000}), "write a number from 0 to 86400"),
        (
            "/kind",
            json!("ZenGCPolicy"),
            "only GarbageCollectionPolicy of gc.ops.zen-mesh.io/v1alpha1 is converted",
        ),
        ("/metadata/name", json!(""), "it has no metadata.name"),
    ];
    for (pointer, value, expected) in table {
        let account = imported(&policy(&[(pointer, value.clone())]));
        assert_eq!(
            (&account["outcome"], &account["policy"]),
            (&json!("NotConverted"), &Value::Null),
            "{value}"
        );
        assert!(account["notes"].to_string().contains(expected), "{account}");
    }
}

#[test]
fn what_acts_otherwise_and_what_nobody_read_is_said() {
    let table = [
        ("/spec/paused", json!(true), ("ActsOtherwise", "spec.paused")),
        (
            "/spec/behavior",
            json!({"maxDeletionsPerSecond": 20_000}),
            ("ActsOtherwise", "spec.behavior.maxDeletionsPerSecond"),
        ),
        (
            "/spec/behavior",
            json!({"finalizer": "example.com/wait"}),
            ("ActsOtherwise", "spec.behavior.finalizer"),
        ),
        ("/spec/evaluationInterval", json!("10s"), ("LeftOut", "spec.evaluationInterval")),
        ("/spec/priority", json!(5), ("LeftOut", "spec.priority")),
        (
            "/spec/conditions",
            json!({"hasLabels": [{"key": "a", "value": "b", "values": ["c"]}]}),
            ("LeftOut", "spec.conditions.hasLabels[0].values"),
        ),
        (
            "/spec/conditions",
            json!({"hasAnnotations": [{"key": "a", "value": "b", "operator": "Exists"}]}),
            ("LeftOut", "spec.conditions.hasAnnotations[0].operator"),
        ),
        (
            "/spec/conditions",
            json!({"and": [{"fieldPath": "metadata.labels.a.b", "operator": "Equals", "value": "x"}]}),
            ("MatchesNothing", "spec.conditions.and[0].fieldPath"),
        ),
    ];
    for (pointer, value, expected) in table {
        let account = imported(&policy(&[(pointer, value.clone())]));
        assert_eq!(notes(&account), [expected], "{value}");
    }
}

#[test]
fn a_finalizer_is_taken_over_with_the_remark_that_it_did_nothing() {
    let given = |name: &str| imported(&policy(&[("/spec/behavior", json!({"finalizer": name}))]));
    let account = given("example.com/wait");
    assert_eq!(account["policy"]["spec"]["behavior"]["finalizer"], "example.com/wait", "{account}");
    assert!(account["notes"].to_string().contains("zen-gc never read it"), "{account}");
    let account = given("foregroundDeletion");
    assert_eq!(account["policy"]["spec"]["behavior"]["finalizer"], Value::Null, "{account}");
    let said = account["notes"].to_string();
    assert!(said.contains("zen-gc never read it") && said.contains("a finalizer of Kubernetes"), "{said}");
}

#[test]
fn what_the_engine_makes_of_a_policy_is_said() {
    let target = |api_version: &str, kind: &str| {
        imported(&policy(&[("/spec/targetResource", json!({"apiVersion": api_version, "kind": kind}))]))
    };
    let node = target("v1", "Node");
    assert_eq!(notes(&node), [("ActsOtherwise", "spec.targetResource"); 2]);
    assert!(node["notes"].to_string().contains("nothing is deleted here: nodes are never deleted"), "{node}");
    let everything = target("v1", "ConfigMap");
    assert_eq!(notes(&everything), [("ActsOtherwise", "spec.targetResource")]);
    assert!(everything["notes"].to_string().contains("waits for an approval here"), "{everything}");
    let selector = json!({"matchLabels": {"not a key": "x"}});
    let account = imported(&policy(&[("/spec/targetResource/labelSelector", selector)]));
    assert_eq!(notes(&account), [("NotConverted", "spec")]);
    assert!(account["notes"].to_string().contains("`not a key` is not a label key"), "{account}");
}

// Objects.

/// Objects of all sorts.
fn gizmos() -> Vec<Value> {
    let labels =
        [json!({}), json!({"tmp": "yes"}), json!({"tmp": "yes", "a": "b"}), json!({"tmp": "yes", "a": ""})];
    let statuses = [
        json!({}),
        json!({"phase": "Done", "reason": "Evicted", "doneAt": "2026-11-21T10:00:00Z"}),
        json!({"phase": "Running", "reason": "A", "doneAt": "2026-11-22T10:00:00Z"}),
        json!({"phase": 5, "reason": 5, "doneAt": "tomorrow"}),
    ];
    let mut gizmos = Vec::new();
    for labels in &labels {
        for status in &statuses {
            for created in ["2026-11-21T11:59:30Z", "2026-11-20T12:00:00Z"] {
                gizmos.push(json!({
                    "apiVersion": "example.com/v1", "kind": "Gizmo",
                    "metadata": {
                        "name": format!("g{}", gizmos.len()), "namespace": "team", "labels": labels,
                        "annotations": labels, "creationTimestamp": created,
                    },
                    "spec": {"owner": if gizmos.len() % 3 == 0 { json!("me") } else { json!(3) }, "ttl": 5},
                    "status": status,
                }));
            }
        }
    }
    gizmos
}

#[test]
fn of_given_objects_those_are_named_that_go_only_here_or_only_there() {
    let deployment = |name: &str, namespace: &str, replicas: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": "b"},
            },
            "spec": {"replicas": replicas},
            "status": {"phase": "Done"},
        })
    };
    let objects = [
        deployment("idle", "team", json!(0)),
        deployment("busy", "team", json!(3)),
        deployment("text", "team", json!("0")),
        deployment("dns", "kube-system", json!("0")),
    ];
    let replicas = json!({"and": [{"fieldPath": "spec.replicas", "operator": "Equals", "value": "0"}]});
    let target =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "labelSelector": {"matchLabels": {"a": "b"}}});
    let changes = [("/spec/targetResource", target), ("/spec/conditions", replicas)];
    let account = imported_with(&policy(&changes), &objects);

    let named = |bearing: &str| {
        let notes = account["notes"].as_array().unwrap().iter();
        let mut named = notes.filter(|note| note["bearing"] == bearing && note["field"] == "");
        named.next().map(|note| note["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(named("NewlyMatches").as_deref(), Some("1 of the given objects: team/idle"));
    assert_eq!(named("NoLongerMatches").as_deref(), Some("1 of the given objects: kube-system/dns"));
    assert_eq!(account["mode"], "Plan");
}

#[test]
fn many_objects_are_counted_and_a_few_of_them_named() {
    let and = json!({"and": [{"fieldPath": "spec.owner", "operator": "Exists"}]});
    let account = imported_with(&policy(&[("/spec/conditions", and)]), &gizmos());
    let notes = account["notes"].to_string();
    assert!(notes.contains("12 of the given objects: team/g9, ") && notes.contains(" and 2 more"), "{notes}");
}

#[test]
fn policies_that_shared_a_listing_are_named() {
    let one = policy(&[("/spec/targetResource/labelSelector", json!({"matchLabels": {"a": "b"}}))]);
    let two = policy(&[("/metadata/name", json!("other"))]);
    let outcome = import("-f - -o json --enforce", &format!("{one}{two}"));
    let report: Value = serde_json::from_str(&outcome.out).unwrap();
    for account in report["policies"].as_array().unwrap() {
        assert_eq!(notes(account), [("NewlyMatches", "spec.targetResource.labelSelector")]);
        assert_eq!(account["mode"], "Plan");
    }
}

#[test]
fn a_text_that_looks_like_something_else_stays_a_text() {
    for text in ["0", "1e3", "true", "no", "null", "~", "", " a", "2026-11-21", "0x1F", "#", "- a"] {
        let and = json!({"and": [{"fieldPath": "metadata.labels.a", "operator": "Equals", "value": text}]});
        let outcome = import("-f -", &policy(&[("/spec/conditions", and)]).to_string());
        let read: Vec<Value> = serde_saphyr::from_multiple(&outcome.out).unwrap();
        assert_eq!(read[0]["spec"]["conditions"]["and"][0]["value"], json!(text), "{}", outcome.out);
    }
}

#[test]
fn annotations_of_tools_are_left_behind() {
    let annotations = json!({
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "groundskeeper.dev/author": "somebody",
        "team": "garden",
    });
    let account = imported(&policy(&[("/metadata/annotations", annotations)]));
    assert_eq!(account["policy"]["metadata"]["annotations"], json!({"team": "garden"}));
}

// Files, lists, exit statuses.

#[test]
fn lists_are_unfolded_and_other_documents_passed_over() {
    let mut item = policy(&[]);
    item.as_object_mut().unwrap().retain(|key, _| key == "metadata" || key == "spec");
    let list = json!({
        "apiVersion": "gc.kube-zen.io/v1alpha1", "kind": "GarbageCollectionPolicyList", "metadata": {}, "items": [item],
    });
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
    let mixed = json!({"apiVersion": "v1", "kind": "List", "items": [other, list]});
    let outcome = import("-f -", &mixed.to_string());
    assert_eq!(outcome.status, Some(0), "{}", outcome.err);
    assert!(
        outcome.err.starts_with("team/sweep (standard input, document 1, items[1], items[0]) -> "),
        "{}",
        outcome.err
    );
    assert!(outcome.err.contains("\nPassed over: 1 other document.\n"), "{}", outcome.err);
}

#[test]
fn what_cannot_be_read_fails_with_the_place() {
    let table = [
        ("-f missing.yaml", "", "cannot read missing.yaml"),
        ("-f -", "", "there is no policy of zen-gc in what was given"),
        ("-f -", "apiVersion: v1\nkind: ConfigMap\n", "there is no policy of zen-gc in what was given"),
        ("-f -", "a: 1\n---\nb: [\n", "standard input, document 2, line 3"),
        ("", "", "--filename <FILE>"),
        ("-f - --objects -", "", "standard input (-) can be read only once"),
    ];
    for (arguments, input, expected) in table {
        let outcome = import(arguments, input);
        assert_eq!((outcome.status, &*outcome.out), (Some(1), ""), "{arguments}");
        assert!(outcome.err.contains(expected), "{}", outcome.err);
    }
}
