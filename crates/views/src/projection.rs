//! Which fields are kept of each object besides its metadata.
//!
//! The union of what all policies for one kind read, so that there is one watch and one record for all of them. Knows
//! paths, not who asked for them.

use units::KeyPath;

use crate::Known;
use crate::annotations::LAST_APPLIED_ANNOTATION;

/// A set of fields; where it has a field, it has all that lies below.
///
/// Compared by its paths, so that a feed knows whether it has to read its objects again.
#[derive(Debug, Default)]
pub struct Projection {
    /// Sorted, and none at or below another. A path's slot is its place here.
    paths: Box<[KeyPath]>,
    /// Fingerprint and slot of each path, sorted.
    slots: Box<[(u64, u32)]>,
    /// The same paths as a tree, for the decoder, but for what is never kept.
    root: Node,
    /// The slots whose values are read out of the metadata that is always there.
    known: Box<[u32]>,
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    /// Sorted by key.
    children: Box<[(Box<str>, Child)]>,
}

#[derive(Debug)]
pub(crate) enum Child {
    /// All of the value is kept, in this slot.
    Whole(u32),
    /// Only parts of the value are.
    Part(Node),
}

/// A place in the tree, or beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Branch<'a>(&'a [(Box<str>, Child)]);

impl Projection {
    /// The set of these fields and all below them. An empty path names no field, and is left out.
    pub fn new(paths: impl IntoIterator<Item = KeyPath>) -> Self {
        let mut paths: Vec<_> = paths.into_iter().filter(|path| !path.is_empty()).collect();
        paths.sort();
        paths.dedup_by(|later, earlier| later.is_at_or_below(earlier));
        let mut numbered: Vec<(&KeyPath, u32)> = paths.iter().zip(0..).collect();
        let mut slots: Vec<_> = numbered.iter().map(|(path, slot)| (path.fingerprint(), *slot)).collect();
        slots.sort_unstable();
        let known = numbered.iter().filter(|(path, _)| Known::has(path)).map(|(_, slot)| *slot).collect();
        numbered.retain(|(path, _)| !is_never_kept(path) && !Known::has(path));
        let root = Node::at(0, &numbered);
        Self { paths: paths.into_boxed_slice(), slots: slots.into_boxed_slice(), root, known }
    }

    /// The fields, sorted; none lies below another.
    pub fn paths(&self) -> &[KeyPath] {
        &self.paths
    }

    /// Whether it is the empty set.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether the value of this path, if an object has one, is kept.
    pub fn contains(&self, path: &KeyPath) -> bool {
        self.slot_of(path).is_some()
    }

    /// Whether all of its fields lie below `metadata`, so that a watch of metadata alone serves it.
    pub fn is_metadata_only(&self) -> bool {
        self.paths.iter().all(|path| path.keys().first().is_some_and(|key| **key == *"metadata"))
    }

    /// The slot that this path or one above it has, and how many keys lead to it.
    pub(crate) fn slot_of(&self, path: &KeyPath) -> Option<(u32, usize)> {
        let beginnings = path.fingerprints().iter().enumerate().rev();
        beginnings.map(|(at, fingerprint)| (at + 1, *fingerprint)).find_map(|(depth, fingerprint)| {
            let keys = path.keys().get(..depth)?;
            let first = self.slots.partition_point(|(known, _)| *known < fingerprint);
            let alike = self.slots.iter().skip(first).take_while(|(known, _)| *known == fingerprint);
            let mut slots = alike.map(|(_, slot)| *slot);
            let slot = slots.find(|slot| self.path(*slot).is_some_and(|path| path.keys() == keys))?;
            Some((slot, depth))
        })
    }

    pub(crate) fn path(&self, slot: u32) -> Option<&KeyPath> {
        self.paths.get(usize::try_from(slot).ok()?)
    }

    pub(crate) const fn root(&self) -> &Node {
        &self.root
    }

    /// Slots and paths of what is read out of the metadata that is always there.
    pub(crate) fn known(&self) -> impl Iterator<Item = (u32, &KeyPath)> {
        self.known.iter().filter_map(|slot| Some((*slot, self.path(*slot)?)))
    }
}

impl PartialEq for Projection {
    fn eq(&self, other: &Self) -> bool {
        self.paths == other.paths
    }
}

impl Eq for Projection {}

/// What no decision may read: kilobytes that only other tools understand.
fn is_never_kept(path: &KeyPath) -> bool {
    let mut keys = path.keys().iter().map(|key| &**key);
    match (keys.next(), keys.next(), keys.next()) {
        (Some("metadata"), Some("managedFields"), _) => true,
        (Some("metadata"), Some("annotations"), Some(key)) => key == LAST_APPLIED_ANNOTATION,
        _ => false,
    }
}

impl Node {
    /// The tree of these paths, which are sorted, have the same first `depth` keys, and are all longer.
    fn at(depth: usize, paths: &[(&KeyPath, u32)]) -> Self {
        let key = |path: &KeyPath| path.keys().get(depth).cloned();
        let groups = paths.chunk_by(|(a, _), (b, _)| key(a) == key(b));
        let children = groups.filter_map(|group| {
            let (first, slot) = group.first()?;
            let is_end = first.len() == depth + 1;
            let child = if is_end { Child::Whole(*slot) } else { Child::Part(Self::at(depth + 1, group)) };
            Some((key(first)?, child))
        });
        Self { children: children.collect() }
    }

    pub(crate) const fn branch(&self) -> Branch<'_> {
        Branch(&self.children)
    }
}

impl<'a> Branch<'a> {
    /// Where nothing is kept.
    pub(crate) const NONE: Self = Self(&[]);

    pub(crate) fn child(self, key: &str) -> Option<&'a Child> {
        let at = self.0.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        self.0.get(at).map(|(_, child)| child)
    }
}
