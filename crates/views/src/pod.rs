//! A pod, as one sees it who has to make it leave its node.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use units::Uid;

use crate::Meta;
use crate::conditions::{WireCondition, holds};
use crate::taints::{Toleration, WireToleration};
use crate::wire::{WireMeta, WireOwner};

/// A pod, as one sees it who has to make it leave its node.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "WirePod")]
pub struct Pod {
    /// Its metadata. For a terminating pod `deletion_timestamp` is when its time to end is up: the moment of the request
    /// and the grace period together.
    pub metadata: Meta,
    /// What has to be done before it may be gone.
    pub finalizers: Box<[Box<str>]>,
    /// Who would create it again: the owner reference that is marked as controller.
    pub controller: Option<Controller>,
    /// Whether it only mirrors a pod that its kubelet runs from a file.
    pub is_mirror: bool,
    /// The node that it is bound to.
    pub node: Option<Box<str>>,
    /// Its priority, as its class had it when it was created; 0 if it has none.
    pub priority: i32,
    /// The name of that class.
    pub priority_class: Option<Box<str>>,
    /// Seconds that it asks for to end; Kubernetes' default is 30.
    pub termination_grace_seconds: i64,
    /// Whether it has an emptyDir volume, whose content dies with it.
    pub has_empty_dir: bool,
    /// The names of its PersistentVolumeClaims, also of those that live as long as it does.
    pub claims: Box<[Box<str>]>,
    /// The taints that it tolerates.
    pub tolerations: Box<[Toleration]>,
    /// How far its life is.
    pub phase: PodPhase,
    /// Whether its condition Ready is true.
    pub is_ready: bool,
}

/// Who would create a pod again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// The group of its kind, such as `apps`; empty for the core group.
    pub group: Box<str>,
    /// Its kind, such as `ReplicaSet`.
    pub kind: Box<str>,
    /// Its name, in the pod's namespace.
    pub name: Box<str>,
    /// Its UID.
    pub uid: Uid,
}

/// How far the life of a pod is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PodPhase {
    /// Not all of its containers have started.
    Pending,
    /// It runs.
    Running,
    /// It has ended well.
    Succeeded,
    /// It has ended, and not well.
    Failed,
    /// Nobody knows, as in a manifest that no server has seen.
    #[default]
    Unknown,
}

impl Pod {
    /// Whether it has ended by itself, well or not.
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed)
    }

    /// When a terminating pod's time to end is up, or was; absent if nobody has asked it to end.
    pub fn ends_by(&self) -> Option<Timestamp> {
        self.metadata.deletion_timestamp
    }
}

/// Seconds that a pod gets to end which does not say, as the API server fills it in.
const TERMINATION_GRACE_SECONDS_DEFAULT: i64 = 30;

#[derive(Default, Deserialize)]
#[serde(default)]
struct WirePod {
    metadata: WireMeta,
    spec: Option<WireSpec>,
    status: Option<WireStatus>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSpec {
    node_name: Option<Box<str>>,
    priority: Option<i32>,
    priority_class_name: Option<Box<str>>,
    termination_grace_period_seconds: Option<i64>,
    volumes: Option<Vec<WireVolume>>,
    tolerations: Option<Vec<WireToleration>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireVolume {
    name: Box<str>,
    empty_dir: Option<IgnoredAny>,
    persistent_volume_claim: Option<WireClaim>,
    ephemeral: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireClaim {
    claim_name: Box<str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireStatus {
    phase: Option<Box<str>>,
    conditions: Option<Vec<WireCondition>>,
}

impl From<WirePod> for Pod {
    fn from(wire: WirePod) -> Self {
        let WirePod { mut metadata, spec, status } = wire;
        let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
        let finalizers = metadata.finalizers.take().unwrap_or_default().into();
        let owners = metadata.owner_references.take().unwrap_or_default();
        let is_mirror = metadata.annotations.is_mirror;
        let metadata = metadata.into_meta();
        let volumes = spec.volumes.unwrap_or_default();
        let claims = volumes.iter().filter_map(|volume| volume.claim(&metadata.name)).collect();
        Self {
            finalizers,
            controller: owners.into_iter().find(|owner| owner.controller == Some(true)).map(Controller::from),
            is_mirror,
            node: spec.node_name.filter(|name| !name.is_empty()),
            priority: spec.priority.unwrap_or_default(),
            priority_class: spec.priority_class_name.filter(|name| !name.is_empty()),
            termination_grace_seconds: spec
                .termination_grace_period_seconds
                .unwrap_or(TERMINATION_GRACE_SECONDS_DEFAULT),
            has_empty_dir: volumes.iter().any(|volume| volume.empty_dir.is_some()),
            claims,
            tolerations: spec.tolerations.unwrap_or_default().into_iter().map(Toleration::from).collect(),
            phase: status.phase.as_deref().map_or(PodPhase::Unknown, phase),
            is_ready: holds(status.conditions.as_deref(), "Ready"),
            metadata,
        }
    }
}

impl WireVolume {
    /// The claim behind the volume. One that lives as long as its pod is named after both.
    fn claim(&self, pod: &str) -> Option<Box<str>> {
        if self.ephemeral.is_some() {
            return Some(format!("{pod}-{}", self.name).into());
        }
        self.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.clone())
    }
}

impl From<WireOwner> for Controller {
    fn from(owner: WireOwner) -> Self {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        Self { group: group.into(), kind: owner.kind, name: owner.name, uid: owner.uid }
    }
}

fn phase(text: &str) -> PodPhase {
    match text {
        "Pending" => PodPhase::Pending,
        "Running" => PodPhase::Running,
        "Succeeded" => PodPhase::Succeeded,
        "Failed" => PodPhase::Failed,
        _ => PodPhase::Unknown,
    }
}
