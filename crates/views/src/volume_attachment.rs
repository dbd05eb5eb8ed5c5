//! A `VolumeAttachment` of `storage.k8s.io/v1`: a volume that is attached to a node, or is to be.

use serde::Deserialize;

use crate::Meta;
use crate::wire::WireMeta;

/// A volume that is attached to a node, or is to be.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "WireAttachment")]
pub struct VolumeAttachment {
    /// Its metadata.
    pub metadata: Meta,
    /// The node's name.
    pub node: Box<str>,
    /// The name of the PersistentVolume; absent for a volume that is written in its pod.
    pub volume: Option<Box<str>>,
    /// Whether the volume is attached, as far as its driver has said.
    pub is_attached: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireAttachment {
    metadata: WireMeta,
    spec: Option<WireSpec>,
    status: Option<WireStatus>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSpec {
    node_name: Box<str>,
    source: Option<WireSource>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSource {
    persistent_volume_name: Option<Box<str>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireStatus {
    attached: Option<bool>,
}

impl From<WireAttachment> for VolumeAttachment {
    fn from(wire: WireAttachment) -> Self {
        let spec = wire.spec.unwrap_or_default();
        Self {
            metadata: wire.metadata.into_meta(),
            node: spec.node_name,
            volume: spec.source.and_then(|source| source.persistent_volume_name),
            is_attached: wire.status.and_then(|status| status.attached).unwrap_or_default(),
        }
    }
}
