//! The labels of one object, in one allocation.
//!
//! Held a million times, read seldom: so a sorted run of `key NUL value NUL` and a linear search, instead of a map with
//! two allocations for each pair. The API server refuses NUL in keys and values.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Labels of one object: keys are unique, pairs are sorted by key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Labels(Box<str>);

impl units::Labelled for Labels {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key)
    }
}

impl Labels {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// All pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut parts = self.0.split_terminator('\0');
        std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
    }

    fn from_pairs<'a>(mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>) -> Self {
        pairs.retain(|(key, value)| !key.contains('\0') && !value.contains('\0'));
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|later, earlier| later.0 == earlier.0);
        let mut run =
            String::with_capacity(pairs.iter().map(|(key, value)| key.len() + value.len() + 2).sum());
        for (key, value) in pairs {
            run.push_str(&key);
            run.push('\0');
            run.push_str(&value);
            run.push('\0');
        }
        Self(run.into_boxed_str())
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Labels {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        Self::from_pairs(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_unit<E>(self) -> Result<Labels, E> {
                Ok(Labels::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(8).min(64));
                while let Some((Text(key), value)) = map.next_entry::<Text<'de>, Option<Text<'de>>>()? {
                    pairs.push((key, value.map_or(Cow::Borrowed(""), |Text(value)| value)));
                }
                Ok(Labels::from_pairs(pairs))
            }
        }
        deserializer.deserialize_any(Pairs)
    }
}

/// A string that is borrowed from the input where that is possible.
#[derive(serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_whatever_their_order() {
        let labels: Labels =
            serde_json::from_str(r#"{"b":"2","a":"1","esc\"aped":"\u00e9","empty":""}"#).unwrap();
        assert_eq!(labels.get("a"), Some("1"));
        assert_eq!(labels.get("b"), Some("2"));
        assert_eq!(labels.get("empty"), Some(""));
        assert_eq!(labels.get("esc\"aped"), Some("é"));
        assert_eq!(labels.get("c"), None);
        assert_eq!(labels.iter().count(), 4);
    }

    #[test]
    fn null_is_no_labels() {
        assert_eq!(serde_json::from_str::<Labels>("null").unwrap(), Labels::default());
    }
}
