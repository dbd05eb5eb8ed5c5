//! Values out of any format, and anything out of a value.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use super::Value;

impl<'de> Deserialize<'de> for Value {
    /// Bounds neither size nor depth; see [`Within`] for size. Deserializers of JSON bound the depth.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Within(&mut Memory::of(usize::MAX)).deserialize(deserializer)
    }
}

/// Reads a value within a share of memory, and takes what it needs off that.
///
/// Refuses, with the words of [`TooLarge`], before what is too large is held.
#[derive(Debug)]
pub struct Within<'m>(pub &'m mut Memory);

/// How much memory values may take together.
#[derive(Clone, Debug)]
pub struct Memory {
    bytes_max: usize,
    bytes_left: usize,
    was_exceeded: bool,
}

/// Values take more memory than they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the fields that are read of it take more than {bytes_max} bytes: read smaller parts, such as `status.phase` \
     instead of `status`"
)]
pub struct TooLarge {
    /// What they may take.
    pub bytes_max: usize,
}

impl Memory {
    /// This many bytes.
    pub const fn of(bytes_max: usize) -> Self {
        Self { bytes_max, bytes_left: bytes_max, was_exceeded: false }
    }

    /// What has not been taken yet.
    pub const fn bytes_left(&self) -> usize {
        self.bytes_left
    }

    /// Whether somebody has asked for more than was left.
    pub const fn was_exceeded(&self) -> bool {
        self.was_exceeded
    }

    /// Takes some of it, or nothing if there is too little left.
    pub const fn take(&mut self, bytes: usize) -> Result<(), TooLarge> {
        let Some(left) = self.bytes_left.checked_sub(bytes) else {
            self.was_exceeded = true;
            return Err(TooLarge { bytes_max: self.bytes_max });
        };
        self.bytes_left = left;
        Ok(())
    }
}

impl Within<'_> {
    fn take<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.0.take(bytes).map_err(E::custom)
    }

    fn scalar<E: serde::de::Error>(mut self, value: impl Into<Value>) -> Result<Value, E> {
        self.take(size_of::<Value>())?;
        Ok(value.into())
    }
}

impl<'de> DeserializeSeed<'de> for Within<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Within<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.scalar(Value::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E: serde::de::Error>(self, truth: bool) -> Result<Value, E> {
        self.scalar(truth)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Value, E> {
        self.scalar(number)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        self.scalar(number)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        self.scalar(number)
    }

    fn visit_str<E: serde::de::Error>(mut self, text: &str) -> Result<Value, E> {
        self.take(text.len())?;
        self.scalar(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Value, A::Error> {
        self.take(size_of::<Value>())?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(Within(self.0))? {
            items.push(item);
        }
        Ok(Value::List(items.into_boxed_slice()))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        self.take(size_of::<Value>())?;
        let mut pairs = Vec::new();
        while let Some(key) = map.next_key::<Box<str>>()? {
            self.take(size_of::<Box<str>>() + key.len())?;
            pairs.push((key, map.next_value_seed(Within(self.0))?));
        }
        Ok(Value::map(pairs))
    }
}

impl<'v, E: serde::de::Error> IntoDeserializer<'v, E> for &'v Value {
    type Deserializer = ValueReader<'v, E>;

    fn into_deserializer(self) -> ValueReader<'v, E> {
        ValueReader { value: self, error: PhantomData }
    }
}

/// Reads any type out of a value, as if out of the text that it came from.
#[derive(Debug)]
pub struct ValueReader<'v, E> {
    value: &'v Value,
    error: PhantomData<E>,
}

impl<'de, E: serde::de::Error> Deserializer<'de> for ValueReader<'de, E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Int(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => visitor.visit_seq(SeqDeserializer::new(items.iter())),
            Value::Map(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| (&**key, value));
                visitor.visit_map(MapDeserializer::new(pairs))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, E> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}
