//! Telling an object before it goes: when it is told, and what a telling is worth.
//!
//! The annotation names the moment of the deletion that was announced. It counts as long as the object does not fall due
//! later than that: an object that got more time is told anew.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use units::{KeyPath, Value};

use crate::object::Object;

/// The annotation of an object that says when it will be deleted, as RFC 3339.
pub const NOTICE_ANNOTATION: &str = "groundskeeper.dev/notice";

/// Where the annotation lies.
pub(crate) fn annotation() -> &'static KeyPath {
    static PATH: LazyLock<KeyPath> =
        LazyLock::new(|| ["metadata", "annotations", NOTICE_ANNOTATION].into_iter().collect());
    &PATH
}

/// How far the telling of an object has come that falls due at `expires_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It has been told that it goes at this moment, which is not before it falls due.
    Of(Timestamp),
    /// It is to be told at this moment, or as soon as it can be.
    NotBefore(Timestamp),
}

impl Told {
    pub(crate) fn read(object: &Object, notice: SignedDuration, expires_at: Timestamp) -> Self {
        let announced = object.fields.get(annotation()).and_then(Value::as_text);
        match announced.and_then(|text| text.parse::<Timestamp>().ok()) {
            Some(at) if at >= expires_at => Self::Of(at),
            _ => Self::NotBefore(expires_at.checked_sub(notice).unwrap_or(Timestamp::MIN)),
        }
    }
}

/// When an object goes that is told now.
pub(crate) fn announced(expires_at: Timestamp, notice: SignedDuration, now: Timestamp) -> Timestamp {
    expires_at.max(now.checked_add(notice).unwrap_or(Timestamp::MAX))
}
