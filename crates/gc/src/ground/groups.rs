//! Who is kept of each group: the newest or oldest so many.
//!
//! A group is split into those that are kept and the rest; an object that comes or goes moves at most one other across
//! the border, and whoever asked is told which.
//!
//! Invariant: nobody of the rest ranks above anybody who is kept, and the rest is empty while there is room.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::spaces::SpaceId;
use crate::decide::Ranked;
use crate::keep::{End, KeepRule};
use crate::object::Object;

/// The groups of one rule.
#[derive(Debug)]
pub(super) struct Groups {
    end: End,
    count: usize,
    by_key: HashMap<(SpaceId, Box<str>), Group>,
}

#[derive(Debug, Default)]
struct Group {
    kept: BTreeSet<Place>,
    rest: BTreeSet<Place>,
}

/// An object's place; the greatest are kept. Names make the order one that everybody comes to.
type Place = (i128, Box<str>, u32);

impl Groups {
    pub(super) fn new(keep: &KeepRule) -> Self {
        Self { end: keep.end, count: keep.count, by_key: HashMap::new() }
    }

    /// An object belongs to its group; returns whom that pushes out of the kept ones.
    pub(super) fn join(
        &mut self,
        keep: &KeepRule,
        (slot, space): (u32, SpaceId),
        object: &Object,
    ) -> Option<u32> {
        let place = self.place(slot, object)?;
        let group = self.by_key.entry((space, keep.group_of(object))).or_default();
        if group.rest.contains(&place) || !group.kept.insert(place) || group.kept.len() <= self.count {
            return None;
        }
        let pushed_out = group.kept.pop_first()?;
        let slot = pushed_out.2;
        group.rest.insert(pushed_out);
        Some(slot)
    }

    /// An object belongs to its group no more; returns who takes its place among the kept ones.
    pub(super) fn leave(
        &mut self,
        keep: &KeepRule,
        (slot, space): (u32, SpaceId),
        object: &Object,
    ) -> Option<u32> {
        let place = self.place(slot, object)?;
        let key = (space, keep.group_of(object));
        let group = self.by_key.get_mut(&key)?;
        let had_place = group.kept.remove(&place);
        group.rest.remove(&place);
        let successor = if had_place { group.rest.pop_last() } else { None };
        let moved = successor.as_ref().map(|(_, _, slot)| *slot);
        group.kept.extend(successor);
        if group.kept.is_empty() && group.rest.is_empty() {
            self.by_key.remove(&key);
        }
        moved
    }

    /// Nobody in this namespace has a place any more.
    pub(super) fn forget(&mut self, space: SpaceId) {
        self.by_key.retain(|(of, _), _| *of != space);
    }

    /// Who is kept in the group of an object.
    pub(super) fn kept_beside(&self, keep: &KeepRule, space: SpaceId, object: &Object) -> Vec<u32> {
        let group = self.by_key.get(&(space, keep.group_of(object)));
        group.into_iter().flat_map(|group| &group.kept).map(|(_, _, slot)| *slot).collect()
    }

    /// The place of an object that is kept by it; none if it is not.
    pub(super) fn keeps(
        &self,
        keep: &KeepRule,
        (slot, space): (u32, SpaceId),
        object: &Object,
    ) -> Option<Ranked> {
        let place = self.place(slot, object)?;
        let group = self.by_key.get(&(space, keep.group_of(object)))?;
        let of = group.kept.len() + group.rest.len();
        group.kept.contains(&place).then_some(Ranked { end: self.end, count: self.count, of })
    }

    /// Whether an object has a place, among the kept ones or the rest.
    pub(super) fn has(&self, keep: &KeepRule, (slot, space): (u32, SpaceId), object: &Object) -> bool {
        let Some(place) = self.place(slot, object) else { return false };
        let group = self.by_key.get(&(space, keep.group_of(object)));
        group.is_some_and(|group| group.kept.contains(&place) || group.rest.contains(&place))
    }

    fn place(&self, slot: u32, object: &Object) -> Option<Place> {
        let created = object.created().map(Timestamp::as_nanosecond)?;
        let rank = match self.end {
            End::Newest => created,
            End::Oldest => -created,
        };
        Some((rank, object.name.clone(), slot))
    }
}
