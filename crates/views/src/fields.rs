//! The projected fields of one object.
//!
//! Only the fields that the object has take memory: of the paths that all policies of a kind name together, most are
//! absent from most objects. What many objects hold alike, such as one of five phases, they can share. A value that is too
//! large to be kept is marked, so that it does not look like one that is absent.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use units::{KeyPath, Value};

use crate::Projection;

/// What an object holds at the paths of a projection; a clone shares it.
///
/// Takes no allocation for the empty projection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(Option<Arc<Record>>);

#[derive(Debug, PartialEq)]
struct Record {
    projection: Arc<Projection>,
    held: Many,
}

/// Sorted by slot. Mostly there is one, and it then takes no allocation of its own.
#[derive(Debug)]
enum Many {
    One(Held),
    Any(Box<[Held]>),
}

#[derive(Clone, Debug, PartialEq, Hash)]
pub(crate) struct Held {
    pub(crate) slot: u32,
    /// None if it is too large to be kept.
    pub(crate) value: Option<Value>,
}

impl Fields {
    pub(crate) fn new(projection: &Arc<Projection>, mut held: Vec<Held>) -> Self {
        if projection.is_empty() {
            return Self::default();
        }
        held.sort_unstable_by_key(|held| held.slot);
        let held = match held.len() {
            1 => held.pop().map_or_else(|| Many::Any(Box::default()), Many::One),
            _ => Many::Any(held.into_boxed_slice()),
        };
        Self(Some(Arc::new(Record { projection: Arc::clone(projection), held })))
    }

    /// The value at a path, if the object has one there: [`Value::Null`] where it has an explicit `null`.
    ///
    /// `None` also for a path that was not read; see [`Fields::has_read`].
    pub fn get(&self, path: &KeyPath) -> Option<&Value> {
        let record = self.0.as_ref()?;
        let (slot, depth) = record.projection.slot_of(path)?;
        let held = record.held.as_slice();
        let at = held.binary_search_by_key(&slot, |held| held.slot).ok()?;
        let value = held.get(at)?.value.as_ref()?;
        path.keys().iter().skip(depth).try_fold(value, |value, key| value.get(key))
    }

    /// Whether what the object has at a path was read: the projection has it, and it was not too large to be kept.
    pub fn has_read(&self, path: &KeyPath) -> bool {
        let Some(record) = self.0.as_ref() else { return false };
        let Some((slot, _)) = record.projection.slot_of(path) else { return false };
        !record.held.as_slice().iter().any(|held| held.slot == slot && held.value.is_none())
    }

    /// Whether these hold more than so many bytes at one path that a projection lacks.
    pub fn exceeds_beyond(&self, kept: &Projection, bytes: usize) -> bool {
        let Some(record) = self.0.as_ref() else { return false };
        record.held.as_slice().iter().any(|held| {
            let is_beyond = record.projection.path(held.slot).is_some_and(|path| !kept.contains(path));
            let mut left = bytes;
            is_beyond && held.value.as_ref().is_some_and(|value| exceeds(value, &mut left))
        })
    }

    /// What these hold at the paths of a narrower projection, as if no more had been read.
    #[must_use]
    pub fn narrowed(&self, to: &Arc<Projection>) -> Self {
        let slots = to.paths().iter().zip(0..);
        let held = slots.filter_map(|(path, slot)| {
            let value = self.get(path).cloned();
            (value.is_some() || !self.has_read(path)).then_some(Held { slot, value })
        });
        Self::new(to, held.collect())
    }

    /// The same with this value at a path; as they were, if the projection lacks the path or what lies there is no map.
    #[must_use]
    pub fn with(self, path: &KeyPath, value: Value) -> Self {
        let Some(record) = &self.0 else { return self };
        let Some((slot, depth)) = record.projection.slot_of(path) else { return self };
        let below = path.keys().get(depth..).unwrap_or_default();
        let mut held = record.held.as_slice().to_vec();
        match held.iter_mut().find(|held| held.slot == slot) {
            Some(known) => known.value = known.value.take().map(|known| put(known, below, value)),
            None => held.push(Held { slot, value: Some(put(Value::Null, below, value)) }),
        }
        Self::new(&record.projection, held)
    }

    /// Which fields were looked for when the object was read; `None` if none were.
    pub fn projection(&self) -> Option<&Arc<Projection>> {
        self.0.as_ref().map(|record| &record.projection)
    }

    /// Whether all that is held are numbers, words and the like, of which many objects may hold the same.
    pub fn is_plain(&self) -> bool {
        let is_plain = |held: &Held| !matches!(held.value, Some(Value::List(_) | Value::Map(_)));
        self.0.as_ref().is_none_or(|record| record.held.as_slice().iter().all(is_plain))
    }
}

/// Whether a value takes more bytes than are left; stops as soon as that is known.
fn exceeds(value: &Value, left: &mut usize) -> bool {
    let text = if let Value::Text(text) = value { text.len() } else { 0 };
    let Some(rest) = left.checked_sub(size_of::<Value>() + text) else { return true };
    *left = rest;
    match value {
        Value::List(items) => items.iter().any(|item| exceeds(item, left)),
        Value::Map(pairs) => pairs.iter().any(|(key, value)| {
            let rest = left.checked_sub(key.len());
            *left = rest.unwrap_or(0);
            rest.is_none() || exceeds(value, left)
        }),
        _ => false,
    }
}

/// What a value becomes when another one is put below it; what is neither a map nor null stays.
fn put(root: Value, below: &[Box<str>], value: Value) -> Value {
    let Some((key, rest)) = below.split_first() else { return value };
    let mut pairs = match root {
        Value::Map(pairs) => pairs.into_vec(),
        Value::Null => Vec::new(),
        other => return other,
    };
    let at = pairs.iter().position(|(known, _)| known == key);
    let before = at.map_or(Value::Null, |at| pairs.swap_remove(at).1);
    pairs.push((key.clone(), put(before, rest, value)));
    Value::map(pairs)
}

/// What is held counts, and not by which projection: of those there are few.
impl Hash for Fields {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Some(record) = &self.0 {
            record.held.as_slice().hash(state);
        }
    }
}

impl Many {
    fn as_slice(&self) -> &[Held] {
        match self {
            Self::One(held) => std::slice::from_ref(held),
            Self::Any(held) => held,
        }
    }
}

impl PartialEq for Many {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use units::FieldPath;

    use super::*;
    use crate::Object;

    #[test]
    fn a_value_can_be_put_where_the_projection_looks_and_nowhere_else() {
        let path = |text: &str| text.parse::<FieldPath>().unwrap().prefix().clone();
        let note = path("metadata.annotations['a/b']");
        let read = |paths: &[&str]| {
            let projection = Arc::new(Projection::new(paths.iter().map(|text| path(text))));
            Object::read(r#"{"metadata": {"name": "x", "annotations": {"c": "d"}}}"#, &projection)
                .unwrap()
                .fields
        };
        for paths in [&["metadata.annotations['a/b']"][..], &["metadata.annotations", "status"]] {
            let fields = read(paths).with(&note, Value::from("now")).with(&note, Value::from("then"));
            assert_eq!(fields.get(&note).and_then(Value::as_text), Some("then"), "{paths:?}");
        }
        let whole = read(&["metadata.annotations"]).with(&note, Value::from("now"));
        assert_eq!(whole.get(&path("metadata.annotations.c")).and_then(Value::as_text), Some("d"));
        assert_eq!(read(&["status"]).with(&note, Value::from("now")).get(&note), None);
        assert_eq!(read(&[]).with(&note, Value::from("now")), read(&[]));
    }
}
