//! What is kept of an object, and what is not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use units::{FieldPath, KeyPath, Value};
use views::{KEPT_BYTES_MAX, Known, Meta, Object, Projection};

fn path(text: &str) -> KeyPath {
    text.parse::<FieldPath>().unwrap().prefix().clone()
}

fn projection(paths: &[&str]) -> Arc<Projection> {
    Arc::new(Projection::new(paths.iter().map(|text| path(text))))
}

fn read(object: &serde_json::Value, paths: &[&str]) -> Object {
    Object::read(&object.to_string(), &projection(paths)).unwrap()
}

fn value(json: &serde_json::Value) -> Value {
    serde_json::from_value(json.clone()).unwrap()
}

fn pod() -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "worker", "namespace": "team", "uid": "u-1", "resourceVersion": "42",
            "creationTimestamp": "2026-11-21T04:07:00Z",
            "labels": {"app": "worker", "tmp": "yes"},
            "annotations": {
                "example.com/ttl": "1h", "groundskeeper.dev/protect": "true",
                "kubectl.kubernetes.io/last-applied-configuration": "{}", "other": "x",
            },
            "managedFields": [{"manager": "kubectl"}], "generation": 3,
            "ownerReferences": [{"kind": "Job", "name": "j"}],
        },
        "spec": {"nodeName": "n-1", "replicas": 0, "empty": {}, "nothing": null, "list": [1, {"a": 2}]},
        "status": {"phase": "Failed", "conditions": [{"type": "Ready", "status": "False"}], "float": 0.5},
    })
}

#[test]
fn what_the_projection_names_is_kept_and_nothing_else() {
    let object = read(
        &pod(),
        &[
            "status.phase",
            r"metadata.annotations.example\.com/ttl",
            "spec.nothing",
            "spec.absent",
            "spec.list",
        ],
    );
    let get = |text: &str| object.fields.get(&path(text)).cloned();
    assert_eq!(get("status.phase"), Some("Failed".into()));
    assert_eq!(get("metadata.annotations['example.com/ttl']"), Some("1h".into()));
    assert_eq!(get("spec.nothing"), Some(Value::Null));
    assert_eq!(get("spec.list"), Some(value(&json!([1, {"a": 2}]))));
    for absent in
        ["spec.absent", "spec.nodeName", "spec", "metadata.annotations.other", "status.phase.deeper"]
    {
        assert_eq!(get(absent), None, "{absent}");
    }
    assert!(object.metadata.annotations.protect);
    assert_eq!(&*object.metadata.name, "worker");
}

#[test]
fn a_path_leads_on_into_what_is_kept() {
    let object = read(&pod(), &["status", "status.phase"]);
    assert_eq!(object.fields.get(&path("status.phase")), Some(&"Failed".into()));
    assert_eq!(object.fields.get(&path("status")), Some(&value(&pod()["status"])));
    assert_eq!(object.fields.projection().unwrap().paths(), [path("status")]);
}

#[test]
fn other_tools_state_is_never_kept() {
    let last_applied = r"metadata.annotations.kubectl\.kubernetes\.io/last-applied-configuration";
    for paths in [
        ["metadata", "status.phase"],
        ["metadata.annotations", "metadata.managedFields"],
        [last_applied, "metadata.managedFields[0]"],
    ] {
        let object = read(&pod(), &paths);
        assert_eq!(object.fields.get(&path(last_applied)), None, "{paths:?}");
        assert_eq!(object.fields.get(&path("metadata.managedFields")), None, "{paths:?}");
        assert!(object.metadata.annotations.protect);
        assert_eq!(object.metadata.labels.get("app"), Some("worker"));
    }
    let object = read(&pod(), &["metadata"]);
    let metadata = object.fields.get(&path("metadata")).unwrap();
    let Value::Map(pairs) = metadata else { panic!("{metadata:?}") };
    assert_eq!(pairs.len(), 9);
    assert_eq!(metadata.get("annotations").unwrap().get("other"), Some(&"x".into()));
}

#[test]
fn whatever_is_projected_the_metadata_is_the_same() {
    let plain = format!("{:?}", serde_json::from_value::<Object>(pod()).unwrap().metadata);
    for paths in [
        &[][..],
        &["metadata"],
        &["metadata.labels", "metadata.annotations"],
        &["metadata.labels.app", "metadata.name", r"metadata.annotations.groundskeeper\.dev/protect"],
        &["status"],
    ] {
        assert_eq!(format!("{:?}", read(&pod(), paths).metadata), plain, "{paths:?}");
    }
}

#[test]
fn the_metadata_that_is_always_there_may_be_projected_too() {
    let paths = [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "metadata.resourceVersion",
        "metadata.creationTimestamp",
        "metadata.labels.app",
        r"metadata.annotations.groundskeeper\.dev/protect",
    ];
    let object = read(&pod(), &paths);
    let found = paths
        .map(|text| object.fields.get(&path(text)).and_then(Value::as_text).unwrap_or("absent").to_owned());
    assert_eq!(found, ["worker", "team", "u-1", "42", "2026-11-21T04:07:00Z", "worker", "true"]);
    assert_eq!(object.fields.get(&path("metadata.deletionTimestamp")), None);
    let known = Known::from(&object.metadata);
    assert_eq!(known.get(&path("metadata.labels.tmp")), Some("yes".into()));
    assert_eq!(known.get(&path("metadata.labels")), Some(value(&pod()["metadata"]["labels"])));
    assert_eq!(known.get(&path("metadata.name.first")), None);
    assert_eq!(known.get(&path("metadata.labels.app.first")), None);
    assert_eq!(known.get(&path("metadata.generation")), None);
    for text in paths.iter().take(6) {
        assert!(Known::has(&path(text)), "{text}");
    }
    assert!(!Known::has(&path("metadata.annotations")) && !Known::has(&path("metadata")));
}

#[test]
fn a_path_is_followed_into_what_is_projected_and_what_is_always_there() {
    let object = read(&pod(), &["status.conditions", "metadata.ownerReferences"]);
    let find = |text: &str| {
        let path = text.parse::<FieldPath>().unwrap();
        Known::from(&object.metadata).find(&object.fields, &path).map(std::borrow::Cow::into_owned)
    };
    assert_eq!(find("status.conditions[?type=Ready].status"), Some("False".into()));
    assert_eq!(find("metadata.ownerReferences[0].kind"), Some("Job".into()));
    assert_eq!(find("metadata.labels.app"), Some("worker".into()));
    assert_eq!(find("metadata.creationTimestamp"), Some("2026-11-21T04:07:00Z".into()));
    for absent in [
        "status.conditions[?type=Failed].status",
        "metadata.labels[0]",
        "metadata.name.first",
        "spec.nodeName",
    ] {
        assert_eq!(find(absent), None, "{absent}");
    }
}

#[test]
fn a_tree_holds_what_an_expression_reads() {
    let object = read(&pod(), &["status", "spec.list", "spec.absent"]);
    let reads = [
        "metadata.name",
        "metadata.labels.app",
        "metadata.labels.absent",
        "spec.absent",
        "spec.list",
        "status.phase",
    ];
    let expected = json!({
        "metadata": {"name": "worker", "labels": {"app": "worker"}},
        "spec": {"list": [1, {"a": 2}]},
        "status": {"phase": "Failed"},
    });
    assert_eq!(object.tree(&reads.map(path)), value(&expected));
    assert_eq!(object.tree(&[]), value(&json!({})));
}

#[test]
fn in_a_tree_an_absent_field_is_absent_from_an_empty_parent() {
    let bare = json!({"metadata": {"name": "a"}});
    let object = read(&bare, &["status"]);
    assert_eq!(object.tree(&[path("status.phase")]), value(&json!({"status": {}})));
    // Whoever asks whether there is a status at all gets the true answer.
    assert_eq!(object.tree(&[path("status"), path("status.phase")]), value(&json!({})));
}

#[test]
fn a_projection_knows_what_it_has_and_which_watch_serves_it() {
    let metadata = projection(&[r"metadata.annotations.a\.b/c", "metadata.ownerReferences"]);
    assert!(metadata.is_metadata_only() && projection(&[]).is_metadata_only() && projection(&[]).is_empty());
    assert!(!projection(&["metadata.ownerReferences", "status.phase"]).is_metadata_only());
    assert!(metadata.contains(&path("metadata.ownerReferences")));
    assert!(metadata.contains(&path("metadata.ownerReferences.deeper")));
    assert!(!metadata.contains(&path("metadata")) && !metadata.contains(&path("metadata.annotations.a")));
    assert_eq!(projection(&["a", "b.c"]), projection(&["b.c", "a.x", "a"]));
    assert_ne!(projection(&["a"]), projection(&["a.x"]));
    let nothing = std::iter::empty::<Box<str>>().collect::<KeyPath>();
    assert!(Projection::new([nothing]).is_empty());
}

#[test]
fn of_an_object_with_too_much_to_keep_the_largest_field_is_not_read_and_nothing_is_cut() {
    let large = |bytes: usize| json!({"metadata": {"name": "a"}, "spec": {"text": "x".repeat(bytes)}, "status": {"n": 1}});
    assert!(Object::read(&large(KEPT_BYTES_MAX).to_string(), &projection(&["status"])).is_ok());
    assert!(Object::read(&large(KEPT_BYTES_MAX - 100).to_string(), &projection(&["spec"])).is_ok());
    let text = large(KEPT_BYTES_MAX).to_string();
    let object = Object::read(&text, &projection(&["spec.text", "status.n"])).unwrap();
    assert_eq!((&*object.metadata.name, object.fields.get(&path("spec.text"))), ("a", None));
    assert!(
        !object.fields.has_read(&path("spec.text")) && !object.fields.has_read(&path("spec.text.deeper"))
    );
    assert!(object.fields.has_read(&path("status.n")) && object.fields.get(&path("status.n")).is_some());
    let nulls = json!({"status": vec![(); KEPT_BYTES_MAX / 20]});
    assert!(!read(&nulls, &["status"]).fields.has_read(&path("status")));

    // Files are few, and whoever writes them is there to be told.
    let mut json = serde_json::Deserializer::from_str(&text);
    let error = Object::read_from(&mut json, &projection(&["spec.text"])).unwrap_err();
    assert!(error.to_string().contains("65536 bytes: read smaller parts"), "{error}");
}

#[test]
fn a_large_field_makes_no_smaller_one_unread_whichever_comes_first() {
    for (first, second) in [(KEPT_BYTES_MAX - 100, 200), (200, KEPT_BYTES_MAX - 100)] {
        let object = read(
            &json!({"metadata": {"name": "a"}, "a": "x".repeat(first), "b": "y".repeat(second)}),
            &["a", "b"],
        );
        assert_eq!(["a", "b"].map(|at| object.fields.has_read(&path(at))), [first == 200, second == 200]);
    }
}

#[test]
fn an_object_of_nothing_but_large_fields_is_read_with_none_of_them() {
    let names: Vec<_> = (0..40).map(|number| format!("f{number:02}")).collect();
    let mut large: serde_json::Map<_, _> =
        names.iter().map(|name| (name.clone(), json!("x".repeat(KEPT_BYTES_MAX / 2)))).collect();
    large.insert(
        "metadata".to_owned(),
        json!({"name": "a", "annotations": {"groundskeeper.dev/protect": "true"}}),
    );
    let paths: Vec<_> = names.iter().map(String::as_str).chain(["metadata"]).collect();
    let object = read(&json!(large), &paths);
    assert!(object.metadata.annotations.protect && &*object.metadata.name == "a");
    assert!(names.iter().all(|name| !object.fields.has_read(&path(name))));
}

#[test]
fn fields_can_be_narrowed_to_some_of_their_paths() {
    let object = read(
        &json!({"data": {"a": "x".repeat(KEPT_BYTES_MAX), "b": {"c": 1}}, "status": {"phase": "Done"}}),
        &["data.a", "data.b", "status"],
    );
    let narrow = object.fields.narrowed(&projection(&["data.a", "data.b.c", "status.absent"]));
    assert_eq!(
        ["data.a", "data.b", "data.b.c", "status.absent"].map(|at| narrow.has_read(&path(at))),
        [false, false, true, true]
    );
    assert_eq!(narrow.get(&path("data.b.c")), Some(&Value::Int(1)));
    assert_eq!(object.fields.narrowed(&projection(&[])), read(&json!({}), &[]).fields);

    let object = read(&json!({"data": {"a": "x".repeat(600)}, "status": ["y"]}), &["data", "status"]);
    let beyond = |kept: &[&str], bytes| object.fields.exceeds_beyond(&projection(kept), bytes);
    assert!(
        beyond(&[], 600) && beyond(&["status"], 600) && beyond(&["data.a"], 600) && beyond(&["data"], 20)
    );
    assert!(!beyond(&["data"], 600) && !beyond(&[], 800) && !beyond(&["data", "status"], 0));
}

#[test]
fn what_is_nested_too_deeply_is_refused() {
    let deep = format!(r#"{{"spec":{}1{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    for paths in [&["spec"][..], &["spec.a"], &[]] {
        let _ = Object::read(&deep, &projection(paths)).map(|_| ());
    }
    assert!(Object::read(&deep, &projection(&["spec"])).is_err());
}

#[test]
fn a_field_below_what_is_no_map_is_absent() {
    for spec in [json!(null), json!(1), json!(-1), json!(0.5), json!("x"), json!(true), json!([{"a": 1}])] {
        let object = read(
            &json!({"metadata": {"annotations": null, "labels": null}, "spec": spec}),
            &["spec.a", "metadata.annotations.x"],
        );
        assert_eq!(object.fields.get(&path("spec.a")), None, "{spec}");
    }
}

#[test]
fn text_after_an_object_is_refused() {
    assert!(Object::read("{} {}", &projection(&[])).is_err());
    assert!(Object::read("[]", &projection(&[])).is_err());
}

#[test]
fn fields_are_small() {
    assert!(size_of::<views::Fields>() <= 24);
    let object = read(&pod(), &[]);
    assert_eq!((object.fields.projection(), object.fields.get(&path("status"))), (None, None));
    assert_eq!(Meta::default().annotations, views::Annotations::default());
}

#[test]
fn the_status_of_a_busy_pod_fits_many_times_over() {
    let container = json!({
        "containerID": format!("containerd://{}", "a".repeat(64)), "image": "registry.example.com/team/worker:v1.2.3",
        "imageID": format!("registry.example.com/team/worker@sha256:{}", "b".repeat(64)), "name": "worker",
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": "2026-11-21T04:07:00Z", "finishedAt": "2026-11-21T04:07:00Z"}},
        "ready": true, "restartCount": 7, "started": true, "state": {"running": {"startedAt": "2026-11-21T04:07:00Z"}},
    });
    let condition = json!({"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-11-21T04:07:00Z"});
    let status = json!({"phase": "Running", "podIP": "10.0.0.1", "conditions": vec![condition; 5], "containerStatuses": vec![container; 10]});
    let mut memory = units::Memory::of(KEPT_BYTES_MAX);
    let text = status.to_string();
    let mut json = serde_json::Deserializer::from_str(&text);
    serde::de::DeserializeSeed::deserialize(units::Within(&mut memory), &mut json).unwrap();
    let taken = KEPT_BYTES_MAX - memory.bytes_left();
    assert!(taken * 4 <= KEPT_BYTES_MAX, "{taken} bytes");
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let scalar = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        "[ab]{0,3}".prop_map(|s| json!(s)),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map("[abc]", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn key_path() -> impl Strategy<Value = KeyPath> {
    proptest::collection::vec("[abc]", 1..5).prop_map(|keys| keys.into_iter().collect())
}

proptest! {
    /// The whole object, held as a value and walked by hand, is the oracle.
    #[test]
    fn what_is_kept_is_what_the_object_holds(
        object in proptest::collection::btree_map("[abc]", json_value(), 0..4),
        projected in proptest::collection::vec(key_path(), 0..5),
        asked in proptest::collection::vec(key_path(), 0..5),
    ) {
        let whole = json!(object);
        let projection = Arc::new(Projection::new(projected.iter().cloned()));
        let read = Object::read(&whole.to_string(), &projection).unwrap();
        for asked in projected.iter().chain(&asked) {
            let has = projected.iter().any(|p| asked.is_at_or_below(p));
            prop_assert_eq!(projection.contains(asked), has);
            let expected = asked.keys().iter().try_fold(&whole, |value, key| value.get(&**key)).filter(|_| has);
            prop_assert_eq!(read.fields.get(asked).cloned(), expected.map(value));
        }
    }
}
