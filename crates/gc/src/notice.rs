//! Telling an object before it goes: when it is told, and what a telling is worth.
//!
//! The annotation names two moments: when the object was told, and when it will go. A telling counts for a policy if it gave
//! no less time than the policy's own notice, whoever wrote it, and as long as the object does not fall due later than it
//! says: an object that got more time, or less notice than a policy promises, is told anew.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use units::{KeyPath, Value};

use crate::object::Object;

/// The annotation of an object that says when it was told that it goes, and when it will go: two moments as RFC 3339, with a
/// slash between them, which is ISO 8601's form of an interval.
pub const NOTICE_ANNOTATION: &str = "groundskeeper.dev/notice";

/// Where the annotation lies.
pub(crate) fn annotation() -> &'static KeyPath {
    static PATH: LazyLock<KeyPath> =
        LazyLock::new(|| ["metadata", "annotations", NOTICE_ANNOTATION].into_iter().collect());
    &PATH
}

/// What the annotation says of an object that is told now that it goes at this moment.
pub(crate) fn note(now: Timestamp, deletes_at: Timestamp) -> String {
    format!("{now}/{deletes_at}")
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
        let announced = object.fields.get(annotation()).and_then(Value::as_text).and_then(read);
        match announced {
            Some((told_at, deletes_at))
                if deletes_at >= expires_at && deletes_at.duration_since(told_at) >= notice =>
            {
                Self::Of(deletes_at)
            }
            _ => Self::NotBefore(expires_at.checked_sub(notice).unwrap_or(Timestamp::MIN)),
        }
    }
}

/// When the object was told, and when it will go.
fn read(note: &str) -> Option<(Timestamp, Timestamp)> {
    let (told_at, deletes_at) = note.split_once('/')?;
    told_at.parse().ok().zip(deletes_at.parse().ok())
}

/// When an object goes that is told now.
pub(crate) fn announced(expires_at: Timestamp, notice: SignedDuration, now: Timestamp) -> Timestamp {
    expires_at.max(now.checked_add(notice).unwrap_or(Timestamp::MAX))
}
