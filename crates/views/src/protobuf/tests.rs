//! What is read in protobuf is what is read in JSON.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use units::FieldPath;

use super::{Content, Field, META, Malformed, Message, Shape};
use crate::{Object, Projection};

fn varint(mut number: u64, to: &mut Vec<u8>) {
    while number > 0x7f {
        to.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    to.push(number.to_le_bytes()[0]);
}

fn number(field: u64, number: u64, to: &mut Vec<u8>) {
    varint(field << 3, to);
    varint(number, to);
}

fn bytes(field: u64, bytes: &[u8], to: &mut Vec<u8>) {
    varint(field << 3 | 2, to);
    varint(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}

/// A message with what JSON has; like the server, it also has what is empty.
fn written(fields: &[Field], json: &Json) -> Vec<u8> {
    let mut to = Vec::new();
    for field in fields {
        let value = &json[field.name];
        let text = |value: &Json| value.as_str().unwrap_or_default().as_bytes().to_vec();
        match field.shape {
            Shape::Text | Shape::AnyText => bytes(field.number, &text(value), &mut to),
            Shape::AnyNumber => number(field.number, value.as_u64().unwrap_or_default(), &mut to),
            Shape::Number => {
                value
                    .as_i64()
                    .into_iter()
                    .for_each(|value| number(field.number, value.cast_unsigned(), &mut to));
            }
            Shape::Flag => {
                value.as_bool().into_iter().for_each(|flag| number(field.number, flag.into(), &mut to));
            }
            Shape::Time => {
                let mut time = Vec::new();
                if let Some(text) = value.as_str() {
                    number(
                        1,
                        text.parse::<jiff::Timestamp>().unwrap().as_second().cast_unsigned(),
                        &mut time,
                    );
                    number(2, 0, &mut time);
                }
                bytes(field.number, &time, &mut to);
            }
            Shape::Texts => {
                for element in value.as_array().into_iter().flatten() {
                    bytes(field.number, &text(element), &mut to);
                }
            }
            Shape::Map => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    let mut entry = Vec::new();
                    bytes(1, key.as_bytes(), &mut entry);
                    bytes(2, &text(value), &mut entry);
                    bytes(field.number, &entry, &mut to);
                }
            }
            Shape::Message(fields) => bytes(field.number, &written(fields, value), &mut to),
            Shape::Messages(fields) => {
                for element in value.as_array().into_iter().flatten() {
                    bytes(field.number, &written(fields, element), &mut to);
                }
            }
            Shape::Json if value.is_null() => {}
            Shape::Json => {
                let mut json = Vec::new();
                bytes(1, value.to_string().as_bytes(), &mut json);
                bytes(field.number, &json, &mut to);
            }
        }
    }
    to
}

fn object(meta: &Json) -> Vec<u8> {
    let mut to = Vec::new();
    bytes(1, &written(&META, meta), &mut to);
    to
}

/// All that a view could keep of metadata.
fn everything() -> Arc<Projection> {
    let paths = [
        "metadata.generateName",
        "metadata.generation",
        "metadata.deletionGracePeriodSeconds",
        "metadata.labels",
        "metadata.annotations",
        "metadata.ownerReferences",
        "metadata.finalizers",
        "metadata.managedFields",
        "metadata.creationTimestamp",
        "metadata.name",
    ];
    projection(&paths)
}

fn projection(paths: &[&str]) -> Arc<Projection> {
    let path = |text: &&str| text.parse::<FieldPath>().unwrap().prefix().clone();
    Arc::new(Projection::new(paths.iter().map(path)))
}

fn same(meta: &Json) {
    let json = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta})
        .to_string();
    for projection in [Arc::default(), everything(), projection(&["metadata"])] {
        let expected = Object::read(&json, &projection).unwrap();
        let found = Object::read_protobuf(&object(meta), &projection).unwrap();
        assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    }
}

#[test]
fn an_object_with_everything_is_read_as_its_json_is() {
    same(&json!({
        "name": "a", "generateName": "a-", "namespace": "team", "uid": "u-1", "resourceVersion": "7",
        "generation": 3, "creationTimestamp": "2026-11-21T08:00:01Z",
        "deletionTimestamp": "1969-12-31T23:59:59Z", "deletionGracePeriodSeconds": 0,
        "labels": {"b": "", "a": "é"}, "annotations": {"groundskeeper.dev/protect": "true", "x/y": "{\"a\":1}"},
        "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u-2", "controller": true, "blockOwnerDeletion": false},
            {"apiVersion": "", "kind": "K", "name": "", "uid": "u-3"},
        ],
        "finalizers": ["example.com/a", "example.com/b"],
        "managedFields": [{
            "manager": "kubectl", "operation": "Update", "apiVersion": "v1", "time": "2026-11-21T08:00:01Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {".": {}}}, "subresource": "status",
        }],
    }));
}

#[test]
fn what_is_empty_is_as_absent_as_in_json() {
    same(&json!({"name": "a"}));
    let found = Object::read_protobuf(&object(&json!({"name": "a"})), &Arc::default()).unwrap().metadata;
    assert_eq!((found.namespace, found.creation_timestamp, found.deletion_timestamp), (None, None, None));
    assert!(Object::read_protobuf(b"", &Arc::default()).is_ok());
}

#[test]
fn fields_that_nobody_knows_are_skipped_whatever_they_hold() {
    let mut meta = Vec::new();
    number(99, u64::MAX, &mut meta);
    meta.extend([98_u8 << 3 & 0x7f | 0x80 | 1, 6, 1, 2, 3, 4, 5, 6, 7, 8]);
    bytes(97, b"whatever", &mut meta);
    bytes(1, b"a", &mut meta);
    let mut object = Vec::new();
    bytes(2, b"more", &mut object);
    bytes(1, &meta, &mut object);
    assert_eq!(&*Object::read_protobuf(&object, &Arc::default()).unwrap().metadata.name, "a");
}

#[test]
fn what_is_cut_off_or_of_another_type_is_refused() {
    let whole = object(&json!({"name": "abcdef", "labels": {"a": "b"}}));
    for length in 1..whole.len() {
        let read = Object::read_protobuf(&whole[..length], &Arc::default());
        assert!(read.is_err(), "{length} of {} bytes", whole.len());
    }
    let mut name = Vec::new();
    number(1, 7, &mut name);
    let mut object = Vec::new();
    bytes(1, &name, &mut object);
    assert!(Object::read_protobuf(&object, &Arc::default()).is_err());
    assert_eq!(Message::new(&[0x80; 11]).next_field(), Err(Malformed));
    assert_eq!(Message::new(&[3 << 3 | 5, 1, 2, 3, 4]).next_field(), Ok(Some((3, Content::Fixed))));
}

#[test]
fn a_path_into_a_map_or_a_list_finds_what_it_finds_in_json() {
    let meta = json!({"name": "a", "annotations": {"example.com/ttl": "5m"}, "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}]});
    let projection = projection(&["metadata.annotations['example.com/ttl']", "metadata.ownerReferences"]);
    let json = json!({"metadata": meta}).to_string();
    let expected = Object::read(&json, &projection).unwrap();
    let found = Object::read_protobuf(&object(&meta), &projection).unwrap();
    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    assert!(format!("{found:?}").contains("5m"), "{found:?}");
}

fn texts() -> impl Strategy<Value = std::collections::BTreeMap<String, String>> {
    proptest::collection::btree_map(".{1,20}", ".{0,40}", 0..5)
}

proptest! {
    #[test]
    fn any_metadata_is_read_as_its_json_is(
        name in "[a-z]{1,30}",
        namespace in proptest::option::of("[a-z]{1,9}"),
        created in 0_i64..4_102_444_800,
        generation in 0_u64..1_000_000,
        labels in texts(),
        annotations in texts(),
        finalizers in proptest::collection::vec("[a-z./]{1,20}", 0..3),
    ) {
        let created = jiff::Timestamp::from_second(created).unwrap().to_string();
        let mut meta = json!({"name": name, "uid": "u", "creationTimestamp": created});
        if generation > 0 { meta["generation"] = generation.into(); }
        if let Some(namespace) = namespace { meta["namespace"] = namespace.into(); }
        if !labels.is_empty() { meta["labels"] = json!(labels); }
        if !annotations.is_empty() { meta["annotations"] = json!(annotations); }
        if !finalizers.is_empty() { meta["finalizers"] = json!(finalizers); }
        same(&meta);
    }

    #[test]
    fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _either = Object::read_protobuf(&bytes, &everything());
    }
}
