//! Object keys, versions and identities, as small as they can be.
//!
//! Every crate above speaks of objects in these words. Knows no Kubernetes client, no clock and no policy. A value
//! of these types has been parsed once, so that whoever holds it need not check it again.

#![forbid(unsafe_code)]

mod identity;
mod kind;
mod limits;
mod span;

pub use identity::{NamespacedName, ResourceVersion, Uid};
pub use kind::{ApiVersion, GroupVersionKind, InvalidApiVersion};
pub use limits::{API_VERSION_BYTES_MAX, KIND_BYTES_MAX};
pub use span::span_text;
