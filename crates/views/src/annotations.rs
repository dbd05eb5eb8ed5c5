//! The annotations that mean something to us; all others are dropped while parsing, unless a projection names them.
//!
//! Annotations hold kilobytes of other tools' state (`last-applied-configuration`), so nothing of them is kept but
//! what a decision reads.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use units::Value;

use crate::labels::Text;
use crate::projection::{Branch, Child};
use crate::read::Kept;

/// An object with this annotation is never deleted by us, unless its value is `"false"`.
///
/// The documented value is `"true"`. Any other value protects too: whoever writes `yes` means it.
pub const PROTECT_ANNOTATION: &str = "groundskeeper.dev/protect";

/// What an object's annotations say to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// The object asks not to be deleted, by [`PROTECT_ANNOTATION`].
    pub protect: bool,
}

/// What `kubectl apply` leaves of a whole manifest; it is never kept, whatever is asked for.
pub(crate) const LAST_APPLIED_ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AnnotationsSeed { branch: Branch::NONE, kept: &mut Kept::default() }.deserialize(deserializer)
    }
}

/// Reads what annotations say to us, and keeps those of the branch.
pub(crate) struct AnnotationsSeed<'a> {
    pub(crate) branch: Branch<'a>,
    pub(crate) kept: &'a mut Kept,
}

impl<'de> DeserializeSeed<'de> for AnnotationsSeed<'_> {
    type Value = Annotations;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Annotations, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnnotationsSeed<'_> {
    type Value = Annotations;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_unit<E>(self) -> Result<Annotations, E> {
        Ok(Annotations::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Annotations, A::Error> {
        let mut known = Annotations::default();
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            if key != PROTECT_ANNOTATION {
                self.kept.take(self.branch.child(&key), &mut map)?;
                continue;
            }
            let value = map.next_value::<Value>()?;
            known.protect = protects(&value);
            if let Some(Child::Whole(slot)) = self.branch.child(&key) {
                self.kept.put(*slot, value);
            }
        }
        Ok(known)
    }
}

/// Whether this value of [`PROTECT_ANNOTATION`] protects. In a manifest people also write a bare `true`.
pub(crate) fn protects(value: &Value) -> bool {
    match value {
        Value::Bool(protects) => *protects,
        Value::Text(text) => &**text != "false",
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protects(annotations: &str) -> bool {
        serde_json::from_str::<Annotations>(annotations).unwrap().protect
    }

    #[test]
    fn any_value_but_false_protects() {
        assert!(protects(r#"{"a":"b","groundskeeper.dev/protect":"true"}"#));
        assert!(protects(r#"{"groundskeeper.dev/protect":"yes"}"#));
        assert!(protects(r#"{"groundskeeper.dev/protect":""}"#));
        assert!(protects(r#"{"groundskeeper.dev/protect":true}"#));
        assert!(!protects(r#"{"groundskeeper.dev/protect":"false"}"#));
        assert!(!protects(r#"{"example.com/protect":"true"}"#));
        assert!(!protects("null"));
    }
}
