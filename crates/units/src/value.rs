//! What a field of an object holds.
//!
//! Held a million times, so a value is 24 bytes and what it owns is exactly as long as it must be. Knows nothing of
//! what a value means; whoever reads it says what type it wants.

mod read;

pub use read::{Memory, TooLarge, ValueReader, Within};

use std::hash::{Hash, Hasher};

use serde::ser::{Serialize, SerializeMap, Serializer};

/// The value of a field, as JSON has them.
///
/// A whole number is an [`Int`](Value::Int) if it fits, also when it is written as `3.0`: a YAML file and the API
/// server's answer then hold the same. Larger ones are floats. The keys of a map are unique and sorted.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// An explicit `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(Box<str>),
    /// A list.
    List(Box<[Value]>),
    /// A map; made by [`Value::map`], which sorts it.
    Map(Box<[(Box<str>, Value)]>),
}

impl Value {
    /// A map of these pairs. Of two with the same key the later counts.
    pub fn map(mut pairs: Vec<(Box<str>, Self)>) -> Self {
        if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            pairs.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0;
                if same {
                    std::mem::swap(later, earlier);
                }
                same
            });
        }
        Self::Map(pairs.into_boxed_slice())
    }

    /// The value of a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        let at = pairs.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        pairs.get(at).map(|(_, value)| value)
    }

    /// The text, if this is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What people call this type, for messages: `null`, `boolean`, `integer`, `number`, `string`, `list` or `map`.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) => "integer",
            Self::Float(_) => "number",
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    /// Whether this is a scalar that people write as this text: `Complete`, `true`, `3`. Null is written as nothing.
    pub fn is_written_as(&self, text: &str) -> bool {
        match self {
            Self::Text(own) => **own == *text,
            Self::Bool(own) => text == if *own { "true" } else { "false" },
            Self::Int(own) => own.to_string() == text,
            Self::Float(own) => text.parse() == Ok(*own),
            Self::Null | Self::List(_) | Self::Map(_) => false,
        }
    }
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Null => {}
            Self::Bool(value) => value.hash(state),
            Self::Int(value) => value.hash(state),
            // The two zeros are equal: this makes one of them.
            Self::Float(value) => (value + 0.0).to_bits().hash(state),
            Self::Text(value) => value.hash(state),
            Self::List(values) => values.hash(state),
            Self::Map(pairs) => pairs.hash(state),
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        /// 2⁵³: up to here every whole float is exact.
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && number.abs() <= EXACT_MAX {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole, and far within the range of an i64"
            )]
            return Self::Int(number as i64);
        }
        Self::Float(number)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "Kubernetes has no whole numbers beyond an i64")]
        i64::try_from(number).map_or(Self::Float(number as f64), Self::Int)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items.iter()),
            Self::Map(pairs) => {
                let mut map = serializer.serialize_map(Some(pairs.len()))?;
                for (key, value) in pairs {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::de::{Deserialize, DeserializeSeed, IntoDeserializer};

    use super::*;

    fn read(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_value_is_small() {
        assert_eq!(size_of::<Value>(), 24);
        assert_eq!(size_of::<Option<Value>>(), 24);
    }

    #[test]
    fn a_value_is_written_back_as_it_was_read() {
        for json in
            ["null", "true", "-3", "0.5", r#""text""#, r#"[1,[],{"a":null}]"#, r#"{"a":{"b":[1]},"c":""}"#]
        {
            assert_eq!(serde_json::to_string(&read(json)).unwrap(), json);
        }
    }

    #[test]
    fn keys_are_found_whatever_their_order_and_the_last_of_equal_ones_counts() {
        let value = read(r#"{"c":3,"a":1,"b":2,"a":4}"#);
        let got = ["a", "b", "c", "d"].map(|key| value.get(key).cloned());
        assert_eq!(got, [Some(Value::Int(4)), Some(Value::Int(2)), Some(Value::Int(3)), None]);
        assert_eq!(read("[1]").get("0"), None);
    }

    #[test]
    fn whole_numbers_are_integers_however_they_are_written() {
        assert_eq!(read("3.0"), Value::Int(3));
        assert_eq!(read("1e3"), Value::Int(1_000));
        assert_eq!(read("9223372036854775807"), Value::Int(i64::MAX));
        assert_eq!(read("9223372036854775808"), Value::Float(9_223_372_036_854_775_808.0));
        assert_eq!(read("-0.5"), Value::Float(-0.5));
    }

    #[test]
    fn a_scalar_is_compared_as_people_write_it() {
        let table = [
            (r#""True""#, "True", true),
            (r#""True""#, "true", false),
            ("true", "true", true),
            ("3", "3", true),
            ("3", "+3", false),
            ("3", "03", false),
            ("0.5", "0.5", true),
            ("null", "", false),
            ("null", "null", false),
            (r#"["a"]"#, "a", false),
        ];
        for (json, text, expected) in table {
            assert_eq!(read(json).is_written_as(text), expected, "{json} {text}");
        }
    }

    #[test]
    fn a_value_that_is_too_large_is_refused() {
        let read = |json: &str, bytes: usize| {
            let mut memory = Memory::of(bytes);
            let mut json = serde_json::Deserializer::from_str(json);
            Within(&mut memory).deserialize(&mut json).map(|_| memory.bytes_left())
        };
        let size = 24 + 16 + "a".len() + 24 + 24 + "text".len() + 24;
        let json = r#"{"a":["text",1]}"#;
        assert_eq!(read(json, size + 5).unwrap(), 5);
        assert!(read(json, size - 1).unwrap_err().to_string().contains("more than"));
    }

    #[test]
    fn a_value_is_read_like_the_text_that_it_came_from() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Name(String);
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Thing {
            name: Name,
            count: Option<u8>,
            none: Option<u8>,
            list: Vec<f64>,
        }
        let json = r#"{"name":"a","count":3,"none":null,"list":[1,0.5]}"#;
        let value = read(json);
        let reader: ValueReader<'_, serde::de::value::Error> = (&value).into_deserializer();
        assert_eq!(Thing::deserialize(reader).unwrap(), serde_json::from_str(json).unwrap());
    }
}
