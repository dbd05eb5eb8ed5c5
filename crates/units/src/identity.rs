//! What an object is called, and what tells one incarnation of it from the next.
//!
//! A million of these are held at once, so the usual forms take no allocation of their own.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Namespace and name of an object, written `namespace/name`; without a namespace, the name alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespacedName {
    /// The namespace; empty for what has none.
    pub namespace: String,
    /// The name within the namespace.
    pub name: String,
}

impl NamespacedName {
    /// Puts the two together.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            return f.write_str(&self.name);
        }
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What tells an object from a later one of the same name.
///
/// The API promises an opaque string; in practice it is a UUID, which is held in its 16 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(Text<[u8; 16]>);

/// The version of an object that a decision was made on; an opaque string, in practice a decimal number.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ResourceVersion(Text<u64>);

/// A string that usually has a compact form.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Text<C> {
    Compact(C),
    Verbatim(Box<str>),
}

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        Self(uuid_bytes(text).map_or_else(|| Text::Verbatim(text.into()), Text::Compact))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Text::Verbatim(text) => f.write_str(text),
            Text::Compact(bytes) => {
                // Each deletion writes it several times: put together at once, not by a call of the formatter for each byte.
                let (mut digits, mut text) = ([0; 32], [b'-'; 36]);
                HEXLOWER.encode_mut(bytes, &mut digits);
                let places = [0..8, 9..13, 14..18, 19..23, 24..36].into_iter().flatten();
                for (place, digit) in places.zip(digits) {
                    if let Some(at) = text.get_mut(place) {
                        *at = digit;
                    }
                }
                f.write_str(std::str::from_utf8(&text).unwrap_or_default())
            }
        }
    }
}

/// The bytes of a UUID in its canonical form (lower case, 8-4-4-4-12), so that it is written back exactly.
fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let text = text.as_bytes();
    if text.len() != 36 || [8, 13, 18, 23].iter().any(|&at| text.get(at) != Some(&b'-')) {
        return None;
    }
    let mut bytes = [0; 16];
    let mut digits = text.iter().enumerate().filter(|(at, _)| !matches!(at, 8 | 13 | 18 | 23));
    for byte in &mut bytes {
        let (_, &high) = digits.next()?;
        let (_, &low) = digits.next()?;
        *byte = hex(high)? << 4 | hex(low)?;
    }
    Some(bytes)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl From<&str> for ResourceVersion {
    fn from(text: &str) -> Self {
        // Only what is written back exactly as it was read: no sign, and no zeros before it.
        let is_canonical = text == "0" || !text.starts_with(['0', '+']);
        let number = text.parse::<u64>().ok().filter(|_| is_canonical);
        Self(number.map_or_else(|| Text::Verbatim(text.into()), Text::Compact))
    }
}

impl ResourceVersion {
    /// Whether a view of this version shows what was written as `written`.
    ///
    /// Versions of one resource are numbers that grow (KEP-5504, Kubernetes 1.35); where they are not numbers, only the
    /// very same version says so.
    pub fn has_reached(&self, written: &Self) -> bool {
        match (&self.0, &written.0) {
            (Text::Compact(seen), Text::Compact(written)) => seen >= written,
            (seen, written) => seen == written,
        }
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Text::Verbatim(text) => f.write_str(text),
            Text::Compact(number) => write!(f, "{number}"),
        }
    }
}

macro_rules! text_in_json {
    ($name:ident) => {
        impl $name {
            /// Whether it is the empty string, which tells nothing apart.
            pub fn is_empty(&self) -> bool {
                matches!(&self.0, Text::Verbatim(text) if text.is_empty())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = Infallible;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(Self::from(text))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string")
                    }

                    fn visit_str<E>(self, text: &str) -> Result<$name, E> {
                        Ok($name::from(text))
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }
    };
}

text_in_json!(Uid);
text_in_json!(ResourceVersion);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_written_back_as_it_was_read() {
        for text in
            ["0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", "", "not-a-uuid", "0A1B2C3D-4e5f-6071-8293-a4b5c6d7e8f9"]
        {
            assert_eq!(Uid::from(text).to_string(), text);
        }
    }

    #[test]
    fn a_uuid_takes_no_allocation() {
        assert!(matches!(Uid::from("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9").0, Text::Compact(_)));
        assert!(size_of::<Uid>() <= 24);
    }

    #[test]
    fn a_resource_version_is_written_back_as_it_was_read() {
        for text in ["0", "1234567", "007", "", "abc", "99999999999999999999999"] {
            assert_eq!(ResourceVersion::from(text).to_string(), text);
        }
    }

    #[test]
    fn a_view_has_reached_what_was_written_before_it() {
        let version = |text: &str| ResourceVersion::from(text);
        assert!(version("10").has_reached(&version("9")) && version("9").has_reached(&version("9")));
        assert!(!version("9").has_reached(&version("10")));
        assert!(version("a").has_reached(&version("a")) && !version("b").has_reached(&version("a")));
    }

    #[test]
    fn two_incarnations_differ() {
        assert_ne!(
            Uid::from("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"),
            Uid::from("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f8")
        );
    }
}
