//! How an object is read: its metadata, the fields of a projection, and nothing else.
//!
//! One pass over the text. What is not wanted is skipped without being held, however large it is; what is wanted has a
//! limit. Beyond it a field is never cut: the object is read again without the largest field, which is marked as not read.

use std::fmt;
use std::sync::Arc;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, IntoDeserializer, MapAccess,
    SeqAccess, Visitor,
};
use units::{Memory, Value, Within};

use crate::annotations::{Annotations, AnnotationsSeed, LAST_APPLIED_ANNOTATION};
use crate::fields::{Fields, Held};
use crate::labels::Text;
use crate::limits::{KEPT_BYTES_MAX, REREAD_MAX};
use crate::projection::{Branch, Child, Projection};
use crate::{Known, Meta, Object};

/// Reads an object out of any format.
#[derive(Debug)]
pub(crate) struct ObjectSeed<'p> {
    pub(crate) projection: &'p Arc<Projection>,
    pub(crate) kept: &'p mut Kept,
}

/// What was kept so far of one object.
#[derive(Debug)]
pub(crate) struct Kept {
    held: Vec<Held>,
    memory: Memory,
    /// Fields that are not read, for they are too large.
    too_large: TooLarge,
    /// The largest value of all, whether there was room for it or not.
    largest: Option<(usize, u32)>,
}

/// Fields that are not read, for they are too large.
#[derive(Clone, Debug)]
pub(crate) enum TooLarge {
    Slots(Vec<u32>),
    All,
}

impl Default for Kept {
    fn default() -> Self {
        Self::without(TooLarge::Slots(Vec::new()))
    }
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = Object;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Object, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_> {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let Self { projection, kept } = self;
        let mut metadata = Meta::default();
        let branch = projection.root().branch();
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            let child = branch.child(&key);
            if key == "metadata" {
                metadata = map.next_value_seed(MetaSeed { child, kept: &mut *kept })?;
            } else {
                kept.take(child, &mut map)?;
            }
        }
        let known = Known::from(&metadata);
        for (slot, path) in projection.known() {
            if let Some(value) = known.get(path) {
                kept.put(slot, value);
            }
        }
        Ok(Object { fields: Fields::new(projection, std::mem::take(&mut kept.held)), metadata })
    }
}

impl Kept {
    /// Nothing so far, and nothing of these fields.
    pub(crate) fn without(too_large: TooLarge) -> Self {
        let memory = Memory::of(KEPT_BYTES_MAX);
        Self { held: Vec::new(), memory, too_large, largest: None }
    }

    /// What to do without the next time, if there was too little room.
    pub(crate) fn exceeded(self) -> Option<TooLarge> {
        let (_, largest) = self.largest.filter(|_| self.memory.was_exceeded())?;
        Some(match self.too_large {
            TooLarge::Slots(slots) if slots.len() < REREAD_MAX => {
                TooLarge::Slots(slots.into_iter().chain([largest]).collect())
            }
            TooLarge::Slots(_) | TooLarge::All => TooLarge::All,
        })
    }

    /// Whether a field is one that is not read; if so, it is marked.
    fn skips(&mut self, slot: u32) -> bool {
        let skips = match &self.too_large {
            TooLarge::Slots(slots) => slots.contains(&slot),
            TooLarge::All => true,
        };
        if skips && !self.held.iter().any(|held| held.slot == slot) {
            self.held.push(Held { slot, value: None });
        }
        skips
    }

    /// Reads one field, and remembers how large it is.
    fn measure<T, E>(&mut self, slot: u32, read: impl FnOnce(&mut Memory) -> Result<T, E>) -> Result<T, E> {
        let before = self.memory.bytes_left();
        let value = read(&mut self.memory);
        let size = before - self.memory.bytes_left();
        // What did not fit is larger than what was left.
        let size = if value.is_err() && self.memory.was_exceeded() { before } else { size };
        self.largest = self.largest.max(Some((size, slot)));
        value
    }

    /// Keeps what is wanted of the next value of a map, and skips the rest of it.
    pub(crate) fn take<'de, A: MapAccess<'de>>(
        &mut self,
        child: Option<&Child>,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match child {
            None => map.next_value::<IgnoredAny>().map(|_| ()),
            Some(Child::Part(node)) => map.next_value_seed(BranchSeed { branch: node.branch(), kept: self }),
            Some(Child::Whole(slot)) if self.skips(*slot) => map.next_value::<IgnoredAny>().map(|_| ()),
            Some(Child::Whole(slot)) => {
                let value = self.measure(*slot, |memory| map.next_value_seed(Within(memory)))?;
                self.put(*slot, value);
                Ok(())
            }
        }
    }

    /// Of two values for one field, which only a manifest can have, the later counts. One that is not read stays so.
    pub(crate) fn put(&mut self, slot: u32, value: Value) {
        match self.held.iter_mut().find(|held| held.slot == slot) {
            Some(held) => held.value = Some(value),
            None => self.held.push(Held { slot, value: Some(value) }),
        }
    }
}

/// Keeps the values of a branch; what is no map has none.
struct BranchSeed<'a> {
    branch: Branch<'a>,
    kept: &'a mut Kept,
}

impl<'de> DeserializeSeed<'de> for BranchSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BranchSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            self.kept.take(self.branch.child(&key), &mut map)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// Reads the metadata that is always there, and keeps what is wanted besides.
pub(crate) struct MetaSeed<'a> {
    pub(crate) child: Option<&'a Child>,
    pub(crate) kept: &'a mut Kept,
}

impl<'de> DeserializeSeed<'de> for MetaSeed<'_> {
    type Value = Meta;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Meta, D::Error> {
        let branch = match self.child {
            None => Branch::NONE,
            Some(Child::Part(node)) => node.branch(),
            Some(Child::Whole(slot)) if self.kept.skips(*slot) => Branch::NONE,
            Some(Child::Whole(slot)) => {
                let read =
                    |memory: &mut Memory| WholeSeed { of: Place::Metadata, memory }.deserialize(deserializer);
                let whole = self.kept.measure(*slot, read)?;
                let meta = Meta::deserialize((&whole).into_deserializer())?;
                self.kept.put(*slot, whole);
                return Ok(meta);
            }
        };
        deserializer.deserialize_map(MetaVisitor { branch, kept: self.kept })
    }
}

struct MetaVisitor<'a> {
    branch: Branch<'a>,
    kept: &'a mut Kept,
}

impl<'de> Visitor<'de> for MetaVisitor<'_> {
    type Value = Meta;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the metadata of an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Meta, A::Error> {
        let mut meta = Meta::default();
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            match &*key {
                "name" => meta.name = map.next_value::<Option<_>>()?.unwrap_or_default(),
                "namespace" => meta.namespace = map.next_value()?,
                "uid" => meta.uid = map.next_value()?,
                "resourceVersion" => meta.resource_version = map.next_value()?,
                "creationTimestamp" => meta.creation_timestamp = map.next_value()?,
                "deletionTimestamp" => meta.deletion_timestamp = map.next_value()?,
                "labels" => meta.labels = map.next_value()?,
                "annotations" => meta.annotations = self.annotations(&mut map)?,
                _ => self.kept.take(self.branch.child(&key), &mut map)?,
            }
        }
        Ok(meta)
    }
}

impl MetaVisitor<'_> {
    fn annotations<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Annotations, A::Error> {
        let branch = match self.branch.child("annotations") {
            None => Branch::NONE,
            Some(Child::Part(node)) => node.branch(),
            Some(Child::Whole(slot)) if self.kept.skips(*slot) => Branch::NONE,
            Some(Child::Whole(slot)) => {
                let read =
                    |memory: &mut Memory| map.next_value_seed(WholeSeed { of: Place::Annotations, memory });
                let whole = self.kept.measure(*slot, read)?;
                let annotations = Annotations::deserialize((&whole).into_deserializer())?;
                self.kept.put(*slot, whole);
                return Ok(annotations);
            }
        };
        map.next_value_seed(AnnotationsSeed { branch, kept: self.kept })
    }
}

/// Reads all of a map but what is never kept.
struct WholeSeed<'m> {
    of: Place,
    memory: &'m mut Memory,
}

#[derive(Clone, Copy)]
enum Place {
    Metadata,
    Annotations,
}

impl<'de> DeserializeSeed<'de> for WholeSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for WholeSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            let value = match (self.of, &*key) {
                (Place::Metadata, "managedFields") | (Place::Annotations, LAST_APPLIED_ANNOTATION) => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                (Place::Metadata, "annotations") => {
                    map.next_value_seed(WholeSeed { of: Place::Annotations, memory: self.memory })?
                }
                _ => map.next_value_seed(Within(self.memory))?,
            };
            self.memory.take(size_of::<Box<str>>() + key.len()).map_err(A::Error::custom)?;
            pairs.push((Box::from(key), value));
        }
        Ok(Value::map(pairs))
    }
}
