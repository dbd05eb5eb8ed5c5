//! The annotations that mean something to us; all others are dropped while parsing.
//!
//! Annotations hold kilobytes of other tools' state (`last-applied-configuration`), so nothing of them is kept but
//! what a decision reads.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::labels::Text;

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

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Known;
        impl<'de> Visitor<'de> for Known {
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
                    if key == PROTECT_ANNOTATION {
                        known.protect = map.next_value::<Value<'de>>()?.protects();
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(known)
            }
        }
        deserializer.deserialize_any(Known)
    }
}

/// A value as it stands in a manifest, where people also write a bare `true`.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Value<'a> {
    Bool(bool),
    #[serde(borrow)]
    Text(Text<'a>),
    Other(IgnoredAny),
}

impl Value<'_> {
    fn protects(&self) -> bool {
        match self {
            Self::Bool(protects) => *protects,
            Self::Text(Text(text)) => text != "false",
            Self::Other(_) => true,
        }
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
