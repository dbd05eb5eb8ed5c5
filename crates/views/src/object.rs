//! Any object, seen through its metadata and the fields of a projection.

use std::sync::Arc;

use jiff::Timestamp;
use serde::de::{Deserialize, DeserializeSeed, Deserializer};
use units::{KeyPath, ResourceVersion, Uid, Value};

use crate::read::{Kept, MetaSeed, ObjectSeed};
use crate::{Annotations, Fields, Known, Labels, Projection, protobuf};

/// Any object, of which its metadata matters, and the fields that somebody reads.
///
/// Parses a full object as well as the `PartialObjectMetadata` that an API server sends when asked for it.
#[derive(Clone, Debug)]
pub struct Object {
    /// The metadata that decisions read.
    pub metadata: Meta,
    /// The projected fields; none in an object that was read without a projection.
    pub fields: Fields,
}

impl Object {
    /// Reads the metadata and the fields of a projection out of JSON; the rest is skipped.
    ///
    /// Where the fields together take more than [`KEPT_BYTES_MAX`](crate::KEPT_BYTES_MAX), the largest of them are not
    /// kept; see [`Fields::has_read`].
    pub fn read(json: &str, projection: &Arc<Projection>) -> serde_json::Result<Self> {
        read_within_limits(projection, |seed| {
            let mut json = serde_json::Deserializer::from_str(json);
            seed.deserialize(&mut json).and_then(|object| json.end().map(|()| object))
        })
    }

    /// Reads the same out of a `PartialObjectMetadata` in protobuf.
    pub fn read_protobuf(message: &[u8], projection: &Arc<Projection>) -> serde_json::Result<Self> {
        read_within_limits(projection, |seed| seed.deserialize(protobuf::object(message)))
    }

    /// Reads the same out of any format, such as a manifest.
    ///
    /// An object whose fields take more than [`KEPT_BYTES_MAX`](crate::KEPT_BYTES_MAX) is refused.
    pub fn read_from<'de, D: Deserializer<'de>>(
        deserializer: D,
        projection: &Arc<Projection>,
    ) -> Result<Self, D::Error> {
        ObjectSeed { projection, kept: &mut Kept::default() }.deserialize(deserializer)
    }

    /// The object as far as these paths lead into it; see [`Known::tree`].
    pub fn tree(&self, reads: &[KeyPath]) -> Value {
        Known::from(&self.metadata).tree(&self.fields, reads)
    }
}

/// Reads an object, again if there was too little room: each time with one field less, and in the end with none.
fn read_within_limits(
    projection: &Arc<Projection>,
    read: impl Fn(ObjectSeed<'_>) -> serde_json::Result<Object>,
) -> serde_json::Result<Object> {
    let mut kept = Kept::default();
    loop {
        let object = read(ObjectSeed { projection, kept: &mut kept });
        let Err(error) = object else { return object };
        let Some(too_large) = kept.exceeded() else { return Err(error) };
        kept = Kept::without(too_large);
    }
}

impl<'de> Deserialize<'de> for Object {
    /// Reads the metadata alone.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read_from(deserializer, &Arc::default())
    }
}

/// The metadata that decisions read.
///
/// Everything is optional here, for a manifest that no API server has seen yet lacks most of it.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    /// The name; empty in a manifest that has only `generateName`.
    pub name: Box<str>,
    /// The namespace; `None` for objects of the cluster, and in manifests that leave it to the caller.
    pub namespace: Option<Box<str>>,
    /// The identity of this incarnation.
    pub uid: Option<Uid>,
    /// The version that was read.
    pub resource_version: Option<ResourceVersion>,
    /// When it was created, to the second.
    pub creation_timestamp: Option<Timestamp>,
    /// When its deletion was asked for; such an object is terminating.
    pub deletion_timestamp: Option<Timestamp>,
    /// Its labels.
    pub labels: Labels,
    /// What its annotations say to us.
    pub annotations: Annotations,
}

impl<'de> Deserialize<'de> for Meta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        MetaSeed { child: None, kept: &mut Kept::default() }.deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_object_is_read_down_to_its_metadata() {
        let object: Object = serde_json::from_value(serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"big": "x"},
            "metadata": {
                "name": "report", "namespace": "team", "uid": "u-1", "resourceVersion": "42",
                "creationTimestamp": "2026-11-21T04:07:00Z", "deletionTimestamp": "2026-11-21T05:00:00Z",
                "labels": {"tmp": "yes"}, "annotations": {"groundskeeper.dev/protect": "true"},
                "managedFields": [{"manager": "kubectl"}], "generation": 3,
            },
        }))
        .unwrap();
        let meta = object.metadata;
        assert_eq!((&*meta.name, meta.namespace.as_deref()), ("report", Some("team")));
        assert_eq!(meta.uid, Some(Uid::from("u-1")));
        assert_eq!(meta.resource_version, Some(ResourceVersion::from("42")));
        assert_eq!(meta.creation_timestamp, Some("2026-11-21T04:07:00Z".parse().unwrap()));
        assert!(meta.deletion_timestamp.is_some());
        assert_eq!(meta.labels.get("tmp"), Some("yes"));
        assert!(meta.annotations.protect);
    }

    #[test]
    fn a_manifest_that_no_server_has_seen_is_read_too() {
        let object: Object = serde_json::from_str(
            r#"{"metadata":{"generateName":"a-","creationTimestamp":null,"labels":null}}"#,
        )
        .unwrap();
        assert_eq!(&*object.metadata.name, "");
        assert_eq!(object.metadata.creation_timestamp, None);
    }
}
