//! Metadata as the API server writes it, before each view takes its part.
//!
//! Whatever is missing or null is as good as not there: manifests that no server has seen are read too.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use units::{ResourceVersion, Uid, Value};

use crate::annotations::protects;
use crate::labels::Text;
use crate::{Annotations, Labels, Meta, PROTECT_ANNOTATION};

/// The annotation by which a kubelet marks the mirror of a pod that it runs by itself.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// The annotations that a view of a node keeps: ours, and those of the system that we replace.
const OWN_PREFIXES: [&str; 2] = ["groundskeeper.dev/", "infra.894.io/"];

/// All of an object's metadata that some view keeps.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WireMeta {
    name: Option<Box<str>>,
    namespace: Option<Box<str>>,
    uid: Option<Uid>,
    resource_version: Option<ResourceVersion>,
    creation_timestamp: Option<Timestamp>,
    deletion_timestamp: Option<Timestamp>,
    labels: Labels,
    pub(crate) annotations: WireAnnotations,
    pub(crate) generation: Option<i64>,
    pub(crate) owner_references: Option<Vec<WireOwner>>,
    pub(crate) finalizers: Option<Vec<Box<str>>>,
}

/// One entry of `metadata.ownerReferences`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireOwner {
    #[serde(default)]
    pub(crate) api_version: Box<str>,
    pub(crate) kind: Box<str>,
    #[serde(default)]
    pub(crate) name: Box<str>,
    pub(crate) uid: Uid,
    #[serde(default)]
    pub(crate) controller: Option<bool>,
}

/// What annotations say to us.
#[derive(Default)]
pub(crate) struct WireAnnotations {
    protect: bool,
    pub(crate) is_mirror: bool,
    /// Whether there is any.
    pub(crate) is_any: bool,
    pub(crate) own: Labels,
}

impl WireMeta {
    /// The part that every view has.
    pub(crate) fn into_meta(self) -> Meta {
        Meta {
            name: self.name.unwrap_or_default(),
            namespace: self.namespace,
            uid: self.uid,
            resource_version: self.resource_version,
            creation_timestamp: self.creation_timestamp,
            deletion_timestamp: self.deletion_timestamp,
            labels: self.labels,
            annotations: Annotations { protect: self.annotations.protect },
        }
    }
}

impl<'de> Deserialize<'de> for WireAnnotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnnotationsVisitor)
    }
}

struct AnnotationsVisitor;

impl<'de> Visitor<'de> for AnnotationsVisitor {
    type Value = WireAnnotations;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_unit<E>(self) -> Result<WireAnnotations, E> {
        Ok(WireAnnotations::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WireAnnotations, A::Error> {
        let mut known = WireAnnotations::default();
        let mut own = Vec::new();
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            known.is_any = true;
            if key == MIRROR_ANNOTATION {
                known.is_mirror = true;
            }
            if !OWN_PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value::<Value>()?;
            if key == PROTECT_ANNOTATION {
                known.protect = protects(&value);
            }
            if let Some(text) = words(&value) {
                own.push((key, text));
            }
        }
        known.own = own.iter().map(|(key, text)| (&**key, &**text)).collect();
        Ok(known)
    }
}

/// A value as the API server would store it. In a manifest people also write a bare `true`.
fn words(value: &Value) -> Option<Box<str>> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Bool(holds) => Some(holds.to_string().into()),
        _ => None,
    }
}
