//! What the engine's own tests share: objects that went through the real parsing.

use std::sync::Arc;

use jiff::Timestamp;
use units::{FieldPath, KeyPath};
use views::Projection;

use crate::object::Object;

/// An object as a watch would give it that keeps these paths.
pub(crate) fn object(json: &str, paths: &[&str]) -> Object {
    let paths = paths.iter().map(|path| path.parse::<FieldPath>().unwrap().prefix().clone());
    read(json, paths.collect())
}

/// An object as a watch would give it that keeps what its policies read.
pub(crate) fn read(json: &str, reads: Vec<KeyPath>) -> Object {
    views::Object::read(json, &Arc::new(Projection::new(reads))).unwrap().into()
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}
