//! Slim read-only views of Kubernetes objects.
//!
//! A view keeps what decisions read and drops the rest while parsing: `managedFields`, and of specs, data and status
//! all but the fields of a [`Projection`]. It is lossy, so it is never written back, and to let the compiler see to that
//! it does not implement `Serialize`.
//!
//! [`Object`] is any object; [`Pod`], [`Node`], [`DisruptionBudget`] and [`VolumeAttachment`] have the fields that the
//! departure of a node reads.
//!
//! Knows no client. What can fail is parsing, and only where the API server itself would have refused the object.

#![forbid(unsafe_code)]

mod annotations;
mod conditions;
mod disruption_budget;
mod fields;
mod known;
mod labels;
mod limits;
mod marks;
mod node;
mod object;
mod pod;
mod projection;
pub mod protobuf;
mod read;
mod taints;
mod volume_attachment;
mod wire;

pub use annotations::{Annotations, PROTECT_ANNOTATION};
pub use disruption_budget::{DisruptionBudget, LabelRequirement, LabelSelector, Standstill, UnhealthyPods};
pub use fields::Fields;
pub use known::Known;
pub use labels::Labels;
pub use limits::KEPT_BYTES_MAX;
pub use marks::{
    EXPIRES_ANNOTATION, JANITOR_EXPIRES_ANNOTATION, JANITOR_TTL_ANNOTATION, KYVERNO_TTL_LABEL,
    TTL_ANNOTATION, TTL_CONTROLLER_REFRESHED_AT_ANNOTATION, TTL_CONTROLLER_TTL_ANNOTATION,
};
pub use node::{Address, Node, Readiness};
pub use object::{Meta, Object};
pub use pod::{Controller, Pod, PodPhase};
pub use projection::Projection;
pub use taints::{Taint, Toleration};
pub use volume_attachment::VolumeAttachment;
