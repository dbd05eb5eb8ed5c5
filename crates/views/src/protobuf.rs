//! Metadata as the API server writes it in protobuf.
//!
//! A `PartialObjectMetadata` is shown to serde as the map that its JSON would be, so that one reader serves both forms, and
//! what is kept of an object cannot depend on how it came. To write it costs the server a third of what JSON does. Knows
//! the metadata of objects and the form of messages, nothing else; what it does not know is skipped.
//!
//! The numbers are those of `k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto`, which never change. What can fail is
//! a message that is cut off, or longer than it says.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

type Error = serde_json::Error;

/// A message: fields with numbers, read one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a>(&'a [u8]);

/// What a field of a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A number or a flag.
    Number(u64),
    /// A text, bytes, or another message.
    Bytes(&'a [u8]),
    /// Four or eight bytes, which nothing that we read has.
    Fixed,
}

/// A message is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message of protobuf that is cut off, or is none")
    }
}

impl std::error::Error for Malformed {}

impl<'a> Message<'a> {
    /// Reads these bytes; nothing is looked at yet.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The field that comes next, and what is in it; none at the end.
    ///
    /// # Errors
    ///
    /// If the bytes are no message from here on.
    pub fn next_field(&mut self) -> Result<Option<(u64, Content<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let content = match tag & 7 {
            0 => Content::Number(self.varint()?),
            1 => self.take(8).map(|_| Content::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Content::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Content::Fixed)?,
            _ => return Err(Malformed),
        };
        Ok(Some((tag >> 3, content)))
    }

    /// What the field of this number holds, if it holds bytes and is there.
    ///
    /// # Errors
    ///
    /// If the bytes before it are no message.
    pub fn bytes(mut self, number: u64) -> Result<Option<&'a [u8]>, Malformed> {
        while let Some((found, content)) = self.next_field()? {
            if let (Content::Bytes(bytes), true) = (content, found == number) {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Seven bits in each byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }
}

/// A field that JSON has under a name.
struct Field {
    number: u64,
    name: &'static str,
    shape: Shape,
}

/// What JSON has there.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    /// A text that JSON leaves out when it is empty.
    AnyText,
    Number,
    /// A number that JSON leaves out when it is zero.
    AnyNumber,
    Flag,
    Time,
    Texts,
    /// Texts by texts.
    Map,
    Message(&'static [Field]),
    Messages(&'static [Field]),
    /// A message around JSON.
    Json,
}

const fn field(number: u64, name: &'static str, shape: Shape) -> Field {
    Field { number, name, shape }
}

/// `PartialObjectMetadata`
static OBJECT: [Field; 1] = [field(1, "metadata", Shape::Message(&META))];

/// `ObjectMeta`
static META: [Field; 15] = [
    field(1, "name", Shape::AnyText),
    field(2, "generateName", Shape::AnyText),
    field(3, "namespace", Shape::AnyText),
    field(4, "selfLink", Shape::AnyText),
    field(5, "uid", Shape::AnyText),
    field(6, "resourceVersion", Shape::AnyText),
    field(7, "generation", Shape::AnyNumber),
    field(8, "creationTimestamp", Shape::Time),
    field(9, "deletionTimestamp", Shape::Time),
    field(10, "deletionGracePeriodSeconds", Shape::Number),
    field(11, "labels", Shape::Map),
    field(12, "annotations", Shape::Map),
    field(13, "ownerReferences", Shape::Messages(&OWNER)),
    field(14, "finalizers", Shape::Texts),
    field(17, "managedFields", Shape::Messages(&MANAGED)),
];

/// `OwnerReference`
static OWNER: [Field; 6] = [
    field(1, "kind", Shape::Text),
    field(3, "name", Shape::Text),
    field(4, "uid", Shape::Text),
    field(5, "apiVersion", Shape::Text),
    field(6, "controller", Shape::Flag),
    field(7, "blockOwnerDeletion", Shape::Flag),
];

/// `ManagedFieldsEntry`
static MANAGED: [Field; 7] = [
    field(1, "manager", Shape::AnyText),
    field(2, "operation", Shape::AnyText),
    field(3, "apiVersion", Shape::AnyText),
    field(4, "time", Shape::Time),
    field(6, "fieldsType", Shape::AnyText),
    field(7, "fieldsV1", Shape::Json),
    field(8, "subresource", Shape::AnyText),
];

impl Shape {
    /// Whether JSON has nothing there.
    fn leaves_out(self, content: Content<'_>) -> bool {
        match self {
            // A time that is none is a message without fields.
            Self::AnyText | Self::Time => content == Content::Bytes(b""),
            Self::AnyNumber => content == Content::Number(0),
            _ => false,
        }
    }

    /// Whether there may be several of that number, which JSON has in one place.
    const fn is_many(self) -> bool {
        matches!(self, Self::Texts | Self::Map | Self::Messages(_))
    }
}

/// The metadata of an object, as its JSON would be.
pub fn object(message: &[u8]) -> impl Deserializer<'_, Error = serde_json::Error> {
    Shown { shape: Shape::Message(&OBJECT), content: Content::Bytes(message), many: Many::NONE }
}

/// A value, as its JSON would be.
#[derive(Clone, Copy)]
struct Shown<'de> {
    shape: Shape,
    content: Content<'de>,
    many: Many<'de>,
}

/// All fields of one number, from the first of them on.
#[derive(Clone, Copy)]
struct Many<'de> {
    number: u64,
    rest: Message<'de>,
}

impl Many<'_> {
    const NONE: Self = Self { number: 0, rest: Message(b"") };
}

impl<'de> Many<'de> {
    fn next(&mut self) -> Result<Option<Content<'de>>, Error> {
        while let Some((number, content)) = self.rest.next_field().map_err(Error::custom)? {
            if number == self.number {
                return Ok(Some(content));
            }
        }
        Ok(None)
    }
}

impl<'de> Shown<'de> {
    const fn one(shape: Shape, content: Content<'de>) -> Self {
        Self { shape, content, many: Many::NONE }
    }

    fn bytes(&self) -> Result<&'de [u8], Error> {
        match self.content {
            Content::Bytes(bytes) => Ok(bytes),
            _ => Err(another_type()),
        }
    }

    fn number(&self) -> Result<u64, Error> {
        match self.content {
            Content::Number(number) => Ok(number),
            _ => Err(another_type()),
        }
    }

    fn time(&self) -> Result<Timestamp, Error> {
        let mut message = Message(self.bytes()?);
        let mut seconds = 0;
        while let Some((number, content)) = message.next_field().map_err(Error::custom)? {
            if let (1, Content::Number(number)) = (number, content) {
                seconds = number.cast_signed();
            }
        }
        Timestamp::from_second(seconds).map_err(Error::custom)
    }
}

fn another_type() -> Error {
    Error::custom("a field of protobuf is of another type than it should be")
}

impl<'de> Deserializer<'de> for Shown<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.shape {
            Shape::Text | Shape::AnyText => match String::from_utf8_lossy(self.bytes()?) {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            Shape::Number | Shape::AnyNumber => {
                // A number below zero is one whose highest bit is set; JSON has the others as they are.
                let number = self.number()?;
                let signed = number.cast_signed();
                if signed < 0 { visitor.visit_i64(signed) } else { visitor.visit_u64(number) }
            }
            Shape::Flag => visitor.visit_bool(self.number()? != 0),
            Shape::Time => visitor.visit_string(self.time()?.to_string()),
            Shape::Map => visitor.visit_map(Entries { many: self.many, value: None }),
            Shape::Texts | Shape::Messages(_) => visitor.visit_seq(self),
            Shape::Message(fields) => visitor.visit_map(Fields::of(fields, self.bytes()?)),
            Shape::Json => {
                let json = Message(self.bytes()?).bytes(1).map_err(Error::custom)?.unwrap_or(b"null");
                serde_json::Deserializer::from_slice(json).deserialize_any(visitor)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct enum identifier
    }
}

/// The elements of a list.
impl<'de> SeqAccess<'de> for Shown<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let shape = match self.shape {
            Shape::Messages(fields) => Shape::Message(fields),
            _ => Shape::Text,
        };
        let next = self.many.next()?;
        next.map(|content| seed.deserialize(Shown::one(shape, content))).transpose()
    }
}

/// The entries of a map of texts: messages of a key and a value.
struct Entries<'de> {
    many: Many<'de>,
    value: Option<&'de [u8]>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(entry) = self.many.next()? else { return Ok(None) };
        let entry = Message(Shown::one(Shape::Text, entry).bytes()?);
        let part = |number| entry.bytes(number).map(Option::unwrap_or_default).map_err(Error::custom);
        self.value = Some(part(2)?);
        seed.deserialize(Shown::one(Shape::Text, Content::Bytes(part(1)?))).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(Shown::one(Shape::Text, Content::Bytes(self.value.take().unwrap_or_default())))
    }
}

/// The fields of a message, each once.
struct Fields<'de> {
    known: &'static [Field],
    rest: Message<'de>,
    /// A bit for each that has been there.
    shown: u32,
    value: Option<Shown<'de>>,
}

impl<'de> Fields<'de> {
    const fn of(known: &'static [Field], message: &'de [u8]) -> Self {
        Self { known, rest: Message(message), shown: 0, value: None }
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        loop {
            let from_here = self.rest;
            let Some((number, content)) = self.rest.next_field().map_err(Error::custom)? else {
                return Ok(None);
            };
            let found = self.known.iter().zip(0..).find(|(field, _)| field.number == number);
            let Some((Field { name, shape, .. }, place)) = found else { continue };
            let is_shown = self.shown & (1_u32 << place) != 0;
            if is_shown || shape.leaves_out(content) {
                continue;
            }
            self.shown |= 1 << place;
            let many = if shape.is_many() { Many { number, rest: from_here } } else { Many::NONE };
            self.value = Some(Shown { shape: *shape, content, many });
            let name = Content::Bytes(name.as_bytes());
            return seed.deserialize(Shown::one(Shape::Text, name)).map(Some);
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = self.value.take().ok_or_else(|| Error::custom("a value without a key"))?;
        seed.deserialize(value)
    }
}

#[cfg(test)]
mod tests;
