//! Any object, seen through its metadata.

use jiff::Timestamp;
use serde::Deserialize;
use units::{ResourceVersion, Uid};

use crate::{Annotations, Labels};

/// Any object, of which only the metadata matters.
///
/// Parses a full object as well as the `PartialObjectMetadata` that an API server sends when asked for it.
#[derive(Clone, Debug, Deserialize)]
pub struct Object {
    /// The metadata that decisions read.
    #[serde(default)]
    pub metadata: Meta,
}

/// The metadata that decisions read.
///
/// Everything is optional here, for a manifest that no API server has seen yet lacks most of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// The name; empty in a manifest that has only `generateName`.
    #[serde(deserialize_with = "null_as_default")]
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

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
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
