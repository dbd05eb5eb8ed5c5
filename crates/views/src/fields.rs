//! The projected fields of one object.
//!
//! Only the fields that the object has take memory: of the paths that all policies of a kind name together, most are
//! absent from most objects. What many objects hold alike, such as one of five phases, they can share.

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
    pub(crate) value: Value,
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
    /// `None` also for a path that the projection lacks; the caller sees to it that it has all that is read.
    pub fn get(&self, path: &KeyPath) -> Option<&Value> {
        let record = self.0.as_ref()?;
        let (slot, depth) = record.projection.slot_of(path)?;
        let held = record.held.as_slice();
        let at = held.binary_search_by_key(&slot, |held| held.slot).ok()?;
        let value = &held.get(at)?.value;
        path.keys().iter().skip(depth).try_fold(value, |value, key| value.get(key))
    }

    /// The same with this value at a path; as they were, if the projection lacks the path or what lies there is no map.
    #[must_use]
    pub fn with(self, path: &KeyPath, value: Value) -> Self {
        let Some(record) = &self.0 else { return self };
        let Some((slot, depth)) = record.projection.slot_of(path) else { return self };
        let below = path.keys().get(depth..).unwrap_or_default();
        let mut held = record.held.as_slice().to_vec();
        match held.iter_mut().find(|held| held.slot == slot) {
            Some(known) => known.value = put(std::mem::replace(&mut known.value, Value::Null), below, value),
            None => held.push(Held { slot, value: put(Value::Null, below, value) }),
        }
        Self::new(&record.projection, held)
    }

    /// Which fields were looked for when the object was read; `None` if none were.
    pub fn projection(&self) -> Option<&Arc<Projection>> {
        self.0.as_ref().map(|record| &record.projection)
    }

    /// Whether all that is held are numbers, words and the like, of which many objects may hold the same.
    pub fn is_plain(&self) -> bool {
        let is_plain = |held: &Held| !matches!(held.value, Value::List(_) | Value::Map(_));
        self.0.as_ref().is_none_or(|record| record.held.as_slice().iter().all(is_plain))
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
