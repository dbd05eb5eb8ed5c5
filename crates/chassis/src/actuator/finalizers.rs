//! Finalizers: put on and taken off one at a time, none of the others touched.
//!
//! The list is read, and changed as it was read: the patch names the version that it was read in, and says what has to
//! stand in the list still. If the object has changed meanwhile, nothing is written.

use control::Mutant;
use kube::Client;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use units::{ResourceVersion, Uid};

use super::{Target, request};
use crate::client::{ask_for, get};
use crate::error::ApiError;
use crate::paths;

/// What is to be done with one finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change<'a> {
    /// It is put on.
    Add(&'a str),
    /// It is taken off.
    Remove(&'a str),
    /// The first is taken off, and the second is there instead, at its place.
    Swap(&'a str, &'a str),
}

/// What is found of a target.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing, or another incarnation.
    Gone,
    /// It, in another version than was judged.
    Changed,
    /// It, with these finalizers.
    There(Finalizers),
}

/// An object's finalizers, in the version in which they were read.
#[derive(Clone, Debug)]
pub(super) struct Finalizers {
    uid: Uid,
    version: ResourceVersion,
    is_terminating: bool,
    list: Vec<String>,
}

#[derive(Deserialize)]
struct List {
    /// The API server writes `null` for none.
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    uid: Uid,
    resource_version: ResourceVersion,
    #[serde(default)]
    deletion_timestamp: Option<IgnoredAny>,
    #[serde(default)]
    finalizers: Vec<String>,
}

/// Reads a target's finalizers, by a list of one name: to list is a right that whoever watches has anyway, to get is not.
pub(super) async fn look(client: &Client, target: &Target) -> Result<Found, ApiError> {
    let Target { resource, namespace, name, uid, resource_version, .. } = target;
    let path = paths::collection(&resource.kind.api_version, &resource.plural, Some(namespace));
    let path = format!("{path}?fieldSelector=metadata.name%3D{}", paths::segment(name));
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let List { items } = ask_for(client, get(&path, accept)?).await?;
    let Some(Item { metadata }) = items.into_iter().flatten().find(|item| item.metadata.uid == *uid) else {
        return Ok(Found::Gone);
    };
    if resource_version.as_ref().is_some_and(|judged| *judged != metadata.resource_version) {
        return Ok(Found::Changed);
    }
    let Meta { uid, resource_version: version, deletion_timestamp, finalizers: list } = metadata;
    Ok(Found::There(Finalizers { uid, version, is_terminating: deletion_timestamp.is_some(), list }))
}

impl Finalizers {
    /// Those of an object whose metadata has been read.
    pub(super) fn of(metadata: Value) -> Result<Self, ApiError> {
        let metadata = serde_json::from_value(metadata);
        let Meta { uid, resource_version: version, deletion_timestamp, finalizers: list } =
            metadata.map_err(|error| ApiError::Garbled(format!("the metadata of an object: {error}")))?;
        Ok(Self { uid, version, is_terminating: deletion_timestamp.is_some(), list })
    }

    /// Whether they are those of this incarnation.
    pub(super) fn are_of(&self, uid: &Uid) -> bool {
        self.uid == *uid
    }

    /// Whether the object is being deleted, which nothing can take back.
    pub(super) const fn is_terminating(&self) -> bool {
        self.is_terminating
    }

    /// Whether a target is still as it was here.
    pub(super) fn stand_in(&self, found: &Self) -> bool {
        self.version == found.version
    }

    /// The patch by which controllers make a change, and its form; none if nothing has to be changed.
    pub(super) fn write(&self, change: Change<'_>) -> Option<(&'static str, Value)> {
        let patch = self.patch(change)?;
        if Mutant::FinalizersMerged.is_on() {
            return Some((request::MERGE_PATCH, self.merged(change)));
        }
        Some((request::JSON_PATCH, patch))
    }

    /// The patch that makes a change; none if nothing has to be changed.
    pub(super) fn patch(&self, change: Change<'_>) -> Option<Value> {
        let place = |finalizer: &str| self.list.iter().position(|found| found == finalizer);
        let edit = match change {
            Change::Add(finalizer) if place(finalizer).is_some() => return None,
            Change::Add(finalizer) if self.list.is_empty() => {
                json!({"op": "add", "path": "/metadata/finalizers", "value": [finalizer]})
            }
            Change::Add(finalizer) => {
                json!({"op": "add", "path": "/metadata/finalizers/-", "value": finalizer})
            }
            Change::Swap(old, new) if place(new).is_none() => {
                json!({"op": "replace", "path": format!("/metadata/finalizers/{}", place(old)?), "value": new})
            }
            Change::Remove(finalizer) | Change::Swap(finalizer, _) => {
                json!({"op": "remove", "path": format!("/metadata/finalizers/{}", place(finalizer)?)})
            }
        };
        let mut operations = vec![
            json!({"op": "test", "path": "/metadata/uid", "value": self.uid}),
            // Writes what is there: the server takes it for the version that the change was made on, and answers 409 if
            // that is not the latest.
            json!({"op": "replace", "path": "/metadata/resourceVersion", "value": self.version}),
        ];
        if !self.list.is_empty() {
            operations.push(json!({"op": "test", "path": "/metadata/finalizers", "value": self.list}));
        }
        operations.push(edit);
        Some(Value::Array(operations))
    }

    /// The whole list, whatever stands there by then: what a mutant writes.
    fn merged(&self, change: Change<'_>) -> Value {
        let mut list = self.list.clone();
        match change {
            Change::Add(finalizer) => list.push(finalizer.to_owned()),
            Change::Remove(finalizer) => list.retain(|found| found != finalizer),
            Change::Swap(old, new) => {
                list.retain(|found| found != old);
                list.push(new.to_owned());
            }
        }
        json!({"metadata": {"finalizers": list}})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(list: &[&str], change: Change<'_>) -> Option<Value> {
        let list = list.iter().map(|&finalizer| finalizer.to_owned()).collect();
        let (uid, version) = (Uid::from("u-1"), ResourceVersion::from("7"));
        Finalizers { uid, version, is_terminating: false, list }.patch(change)
    }

    #[test]
    fn a_change_names_what_it_was_made_on_and_touches_one_finalizer() {
        let before = [
            json!({"op": "test", "path": "/metadata/uid", "value": "u-1"}),
            json!({"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}),
        ];
        let with = |operations: &[Value]| Some(Value::Array([&before[..], operations].concat()));
        let seen = json!({"op": "test", "path": "/metadata/finalizers", "value": ["a/x", "b/y"]});
        let table = [
            (
                &[][..],
                Change::Add("a/x"),
                with(&[json!({"op": "add", "path": "/metadata/finalizers", "value": ["a/x"]})]),
            ),
            (
                &["a/x", "b/y"],
                Change::Add("c/z"),
                with(&[seen.clone(), json!({"op": "add", "path": "/metadata/finalizers/-", "value": "c/z"})]),
            ),
            (
                &["a/x", "b/y"],
                Change::Remove("b/y"),
                with(&[seen.clone(), json!({"op": "remove", "path": "/metadata/finalizers/1"})]),
            ),
            (
                &["a/x", "b/y"],
                Change::Swap("a/x", "c/z"),
                with(&[
                    seen.clone(),
                    json!({"op": "replace", "path": "/metadata/finalizers/0", "value": "c/z"}),
                ]),
            ),
            (
                &["a/x", "b/y"],
                Change::Swap("a/x", "b/y"),
                with(&[seen, json!({"op": "remove", "path": "/metadata/finalizers/0"})]),
            ),
            (&["b/y"], Change::Swap("a/x", "b/y"), None),
            (&["a/x"], Change::Add("a/x"), None),
            (&["a/x"], Change::Remove("b/y"), None),
            (&[], Change::Remove("b/y"), None),
        ];
        for (list, change, expected) in table {
            assert_eq!(patch(list, change), expected, "{list:?} {change:?}");
        }
    }
}
