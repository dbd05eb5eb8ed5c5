//! A node, as one sees it who lets it go.

use jiff::Timestamp;
use serde::Deserialize;

use crate::conditions::{WireCondition, condition};
use crate::taints::Taint;
use crate::wire::WireMeta;
use crate::{Labels, Meta};

/// A node, as one sees it who lets it go.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "WireNode")]
pub struct Node {
    /// Its metadata; with a `deletion_timestamp` it leaves.
    pub metadata: Meta,
    /// What has to be done before it may be gone.
    pub finalizers: Box<[Box<str>]>,
    /// Its annotations, as far as they are ours or of the system that we replace.
    pub annotations: Labels,
    /// Whether it has any annotation at all, of ours or of somebody else's.
    pub has_annotations: bool,
    /// Whether it is cordoned.
    pub is_unschedulable: bool,
    /// What keeps pods away from it.
    pub taints: Box<[Taint]>,
    /// What its cloud calls it.
    pub provider_id: Option<Box<str>>,
    /// What its kubelet last said.
    pub readiness: Readiness,
    /// Since when it has said so.
    pub readiness_since: Option<Timestamp>,
    /// Its addresses.
    pub addresses: Box<[Address]>,
    /// What its operating system calls it.
    pub machine_id: Option<Box<str>>,
}

/// The condition Ready of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// Its kubelet says that it is ready.
    Ready,
    /// Its kubelet says that it is not.
    NotReady,
    /// Its kubelet has said nothing for too long.
    Silent,
    /// There is no such condition, as on a node that has just been registered.
    #[default]
    Unreported,
}

/// An address of a node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Address {
    /// Such as `InternalIP` or `Hostname`.
    #[serde(rename = "type")]
    pub type_: Box<str>,
    /// The address.
    pub address: Box<str>,
}

/// The taint of a node from whose kubelet nothing has been heard for too long.
const UNREACHABLE_TAINT: &str = "node.kubernetes.io/unreachable";

/// The taint that somebody puts on a node whose machine is off for sure.
const OUT_OF_SERVICE_TAINT: &str = "node.kubernetes.io/out-of-service";

impl Node {
    /// Whether nobody is there who could end its pods: its kubelet is silent, or its machine is off.
    pub fn is_unreachable(&self) -> bool {
        let is_gone = |taint: &Taint| matches!(&*taint.key, UNREACHABLE_TAINT | OUT_OF_SERVICE_TAINT);
        self.readiness == Readiness::Silent || self.taints.iter().any(is_gone)
    }

    /// Whether it has this finalizer.
    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|own| **own == *finalizer)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireNode {
    metadata: WireMeta,
    spec: Option<WireSpec>,
    status: Option<WireStatus>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSpec {
    unschedulable: Option<bool>,
    taints: Option<Vec<Taint>>,
    #[serde(rename = "providerID")]
    provider_id: Option<Box<str>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireStatus {
    conditions: Option<Vec<WireCondition>>,
    addresses: Option<Vec<Address>>,
    node_info: Option<WireInfo>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireInfo {
    #[serde(rename = "machineID")]
    machine_id: Option<Box<str>>,
}

impl From<WireNode> for Node {
    fn from(wire: WireNode) -> Self {
        let WireNode { mut metadata, spec, status } = wire;
        let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
        let ready = condition(status.conditions.as_deref(), "Ready");
        Self {
            finalizers: metadata.finalizers.take().unwrap_or_default().into(),
            has_annotations: metadata.annotations.is_any,
            annotations: std::mem::take(&mut metadata.annotations.own),
            is_unschedulable: spec.unschedulable.unwrap_or_default(),
            taints: spec.taints.unwrap_or_default().into(),
            provider_id: spec.provider_id.filter(|text| !text.is_empty()),
            readiness: ready.map_or(Readiness::Unreported, readiness),
            readiness_since: ready.and_then(|ready| ready.last_transition_time),
            addresses: status.addresses.unwrap_or_default().into(),
            machine_id: status.node_info.and_then(|info| info.machine_id).filter(|text| !text.is_empty()),
            metadata: metadata.into_meta(),
        }
    }
}

fn readiness(condition: &WireCondition) -> Readiness {
    match &*condition.status {
        "True" => Readiness::Ready,
        "False" => Readiness::NotReady,
        _ => Readiness::Silent,
    }
}
