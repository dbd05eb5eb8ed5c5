//! Paths to a field of an object: `status.conditions[?type=Complete].lastTransitionTime`.
//!
//! Knows how they are written and how they are followed, not which fields a kind has. A path that was parsed starts
//! with a field's name and is within its limits; what it prints is parsed to the same path.

mod parse;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

pub use parse::{InvalidFieldPath, PathFault};

use crate::Value;

/// A path to one value below the root of an object.
///
/// Written `spec.replicas`; a name with dots as `annotations['example.com/ttl']` or `annotations.example\.com/ttl`; an
/// element of a list as `[0]`, or as `[?type=Complete]` for the first whose field has that value (quoted if it has
/// blanks or brackets in it). A dot in front of it all may be there. At most
/// [`FIELD_PATH_BYTES_MAX`](crate::FIELD_PATH_BYTES_MAX) bytes and
/// [`FIELD_PATH_STEPS_MAX`](crate::FIELD_PATH_STEPS_MAX) steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath {
    prefix: KeyPath,
    /// All steps; as many as the prefix has keys are keys.
    segments: Box<[Segment]>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// To the value of this key of a map.
    Key(Box<str>),
    /// To the element of a list at this place, from 0.
    Index(u32),
    /// To the first element of a list whose field `key` is a scalar that is written as `value`.
    Where {
        /// The field of the element.
        key: Box<str>,
        /// What it has to hold.
        value: Box<str>,
    },
}

impl FieldPath {
    /// The first of the steps is a key.
    fn new(segments: Vec<Segment>) -> Self {
        let keys = segments.iter().map_while(|segment| match segment {
            Segment::Key(key) => Some(&**key),
            Segment::Index(_) | Segment::Where { .. } => None,
        });
        Self { prefix: keys.collect(), segments: segments.into_boxed_slice() }
    }

    /// All steps, from the root of the object; there is at least one.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The longest run of keys that the path starts with: what has to be kept of an object to follow it.
    pub const fn prefix(&self) -> &KeyPath {
        &self.prefix
    }

    /// What the path leads to in this object.
    pub fn resolve<'v>(&self, root: &'v Value) -> Option<&'v Value> {
        self.segments.iter().try_fold(root, follow)
    }

    /// What the path leads to, given what lies at its [`prefix`](Self::prefix).
    pub fn resolve_below<'v>(&self, at_prefix: &'v Value) -> Option<&'v Value> {
        self.segments.iter().skip(self.prefix.len()).try_fold(at_prefix, follow)
    }
}

fn follow<'v>(value: &'v Value, segment: &Segment) -> Option<&'v Value> {
    match (value, segment) {
        (_, Segment::Key(key)) => value.get(key),
        (Value::List(items), Segment::Index(at)) => items.get(usize::try_from(*at).ok()?),
        (Value::List(items), Segment::Where { key, value }) => {
            items.iter().find(|item| item.get(key).is_some_and(|held| held.is_written_as(value)))
        }
        _ => None,
    }
}

impl FromStr for FieldPath {
    type Err = InvalidFieldPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse::field_path(text)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Key(key) => write_key(f, key, at == 0)?,
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Where { key, value } => {
                    f.write_str("[?")?;
                    write_word(f, key, is_plain)?;
                    f.write_str("=")?;
                    write_word(f, value, |c| is_plain(c) || c == '.')?;
                    f.write_str("]")?;
                }
            }
        }
        Ok(())
    }
}

fn write_key(f: &mut fmt::Formatter<'_>, key: &str, is_first: bool) -> fmt::Result {
    if !key.chars().all(is_plain) {
        f.write_str("[")?;
        write_word(f, key, is_plain)?;
        return f.write_str("]");
    }
    if !is_first {
        f.write_str(".")?;
    }
    f.write_str(key)
}

fn write_word(f: &mut fmt::Formatter<'_>, word: &str, is_plain: impl Fn(char) -> bool) -> fmt::Result {
    if !word.is_empty() && word.chars().all(is_plain) {
        return f.write_str(word);
    }
    f.write_str("'")?;
    for c in word.chars() {
        if matches!(c, '\'' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{c}")?;
    }
    f.write_str("'")
}

/// What needs no quotes anywhere.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | ':' | '+' | '~')
}

/// A path of keys alone: the place of a field that is kept of an object.
///
/// Hashed once, when it is made, with each of its beginnings, so that looking it up reads no text but to confirm.
#[derive(Clone)]
pub struct KeyPath {
    keys: Box<[Box<str>]>,
    /// The hash of the first one, two, … keys.
    hashes: Box<[u64]>,
}

impl KeyPath {
    /// The keys, from the root of the object.
    pub fn keys(&self) -> &[Box<str>] {
        &self.keys
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has no key and means the whole object.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether this is `other` or lies below it.
    pub fn is_at_or_below(&self, other: &Self) -> bool {
        self.keys.starts_with(&other.keys)
    }

    /// What identifies this path among few, with certainty only after the keys were compared.
    pub fn fingerprint(&self) -> u64 {
        self.hashes.last().copied().unwrap_or(HASH_SEED)
    }

    /// The fingerprints of its beginnings: of the first key, the first two, and so on to its own.
    pub fn fingerprints(&self) -> &[u64] {
        &self.hashes
    }

    /// What the path leads to in this object.
    pub fn resolve<'v>(&self, root: &'v Value) -> Option<&'v Value> {
        self.keys.iter().try_fold(root, |value, key| value.get(key))
    }
}

/// The offset and the prime of FNV-1a in 64 bits.
const HASH_SEED: u64 = 0xcbf2_9ce4_8422_2325;
const HASH_PRIME: u64 = 0x0100_0000_01b3;

fn hash_on(hash: u64, key: &str) -> u64 {
    // What ends a key is no byte of UTF-8, so that `a.b` and `ab` differ.
    key.bytes().chain([0xff]).fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(HASH_PRIME))
}

impl<K: Into<Box<str>>> FromIterator<K> for KeyPath {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        let keys: Box<[Box<str>]> = keys.into_iter().map(Into::into).collect();
        let mut hash = HASH_SEED;
        let hashes = keys.iter().map(|key| {
            hash = hash_on(hash, key);
            hash
        });
        let hashes = hashes.collect();
        Self { keys, hashes }
    }
}

impl PartialEq for KeyPath {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint() == other.fingerprint() && self.keys == other.keys
    }
}

impl Eq for KeyPath {}

impl Hash for KeyPath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.fingerprint());
    }
}

impl PartialOrd for KeyPath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyPath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.keys.cmp(&other.keys)
    }
}

impl fmt::Display for KeyPath {
    /// As a [`FieldPath`] is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.keys.iter().enumerate().try_for_each(|(at, key)| write_key(f, key, at == 0))
    }
}

impl fmt::Debug for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPath({self})")
    }
}

#[cfg(test)]
mod tests;
