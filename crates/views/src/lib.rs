//! Slim read-only views of Kubernetes objects.
//!
//! A view keeps what decisions read and drops the rest while parsing: `managedFields`, specs, data. It is lossy, so it
//! is never written back, and to let the compiler see to that it does not implement `Serialize`.
//!
//! Knows no client. What can fail is parsing, and only where the API server itself would have refused the object.

#![forbid(unsafe_code)]

mod annotations;
mod labels;
mod object;

pub use annotations::{Annotations, PROTECT_ANNOTATION};
pub use labels::Labels;
pub use object::{Meta, Object};
