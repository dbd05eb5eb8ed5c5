//! What people write and objects hold: keys, versions, identities, paths and values, as small as they can be.
//!
//! Every crate above speaks of objects in these words. Knows no Kubernetes client, no clock and no policy. A value
//! of these types has been parsed once, so that whoever holds it need not check it again.

#![forbid(unsafe_code)]

mod glob;
mod identity;
mod kind;
mod labelled;
mod limits;
mod path;
mod quantity;
mod span;
mod value;
mod windows;

pub use glob::{Glob, GlobFault, InvalidGlob};
pub use identity::{NamespacedName, ResourceVersion, Uid};
pub use kind::{ApiVersion, GroupVersionKind, InvalidApiVersion};
pub use labelled::Labelled;
pub use limits::{
    API_VERSION_BYTES_MAX, FIELD_PATH_BYTES_MAX, FIELD_PATH_STEPS_MAX, GLOB_BYTES_MAX, KIND_BYTES_MAX,
    QUANTITY_BYTES_MAX, SPAN_BYTES_MAX, SPAN_MILLISECONDS_MAX, WINDOWS_MAX,
};
pub use path::{FieldPath, InvalidFieldPath, KeyPath, PathFault, Segment};
pub use quantity::{InvalidQuantity, Quantity};
pub use span::{InvalidSpan, Span, SpanFault, SpanOutOfBounds, parse_duration, span_text};
pub use value::{Memory, TooLarge, Value, ValueReader, Within};
pub use windows::{InvalidWindows, Window, WindowState, Windows};
