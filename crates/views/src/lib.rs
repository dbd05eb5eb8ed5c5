//! Slim read-only views of Kubernetes objects.
//!
//! A view keeps what decisions read and drops the rest while parsing: `managedFields`, and of specs, data and status
//! all but the fields of a [`Projection`]. It is lossy, so it is never written back, and to let the compiler see to that
//! it does not implement `Serialize`.
//!
//! Knows no client. What can fail is parsing, and only where the API server itself would have refused the object.

#![forbid(unsafe_code)]

mod annotations;
mod fields;
mod known;
mod labels;
mod limits;
mod marks;
mod object;
mod projection;
mod read;

pub use annotations::{Annotations, PROTECT_ANNOTATION};
pub use fields::Fields;
pub use known::Known;
pub use labels::Labels;
pub use limits::KEPT_BYTES_MAX;
pub use marks::{
    EXPIRES_ANNOTATION, JANITOR_EXPIRES_ANNOTATION, JANITOR_TTL_ANNOTATION, KYVERNO_TTL_LABEL,
    TTL_ANNOTATION, TTL_CONTROLLER_REFRESHED_AT_ANNOTATION, TTL_CONTROLLER_TTL_ANNOTATION,
};
pub use object::{Meta, Object};
pub use projection::Projection;
