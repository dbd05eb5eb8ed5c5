//! What falls due under one rule: in the order of time, and, of what is due, fair between namespaces.
//!
//! What is due waits by namespace. The namespaces take turns, and those that are short of room go before all others; so
//! one namespace's thousands do not hold up another's one.

use std::collections::{BTreeMap, BTreeSet};

use super::spaces::SpaceId;

/// Entries that become due by one call: a hundred thousand at once must not hold up the loop.
const MOVED_AT_ONCE_MAX: usize = 4_096;

/// When an object is to be taken, in milliseconds, and which.
pub(super) type Entry = (i64, u32);

/// What falls due.
#[derive(Debug, Default)]
pub(super) struct Queue {
    to_come: BTreeSet<Entry>,
    due: BTreeMap<SpaceId, BTreeSet<Entry>>,
    /// The namespace that had the last turn.
    turn: SpaceId,
}

impl Queue {
    pub(super) fn insert(&mut self, entry: Entry) {
        self.to_come.insert(entry);
    }

    pub(super) fn remove(&mut self, entry: Entry, space: SpaceId) {
        if self.to_come.remove(&entry) {
            return;
        }
        let Some(due) = self.due.get_mut(&space) else { return };
        due.remove(&entry);
        if due.is_empty() {
            self.due.remove(&space);
        }
    }

    /// The earliest of all.
    pub(super) fn first(&self) -> Option<i64> {
        let due = self.due.values().filter_map(|due| due.first());
        due.chain(self.to_come.first()).map(|(at, _)| *at).min()
    }

    /// The earliest of those that are not due at `now`.
    pub(super) fn first_after(&self, now: i64) -> Option<i64> {
        self.to_come.range((now.saturating_add(1), 0)..).next().map(|(at, _)| *at)
    }

    /// How many are due at `now`, counted up to `most`.
    pub(super) fn due_count(&self, now: i64, most: usize) -> usize {
        let waiting: usize = self.due.values().map(BTreeSet::len).sum();
        let come = self.to_come.iter().take_while(|(at, _)| *at <= now);
        come.take(most.saturating_sub(waiting)).count() + waiting.min(most)
    }

    /// All that are due at `now`.
    pub(super) fn due(&self, now: i64) -> impl Iterator<Item = u32> {
        let come = self.to_come.iter().take_while(move |(at, _)| *at <= now);
        self.due.values().flatten().chain(come).map(|(_, slot)| *slot)
    }

    /// The next one whose time has come, in the order of turns; it stays where it is.
    pub(super) fn next_due(
        &mut self,
        now: i64,
        space_of: impl Fn(u32) -> SpaceId,
        is_full: impl Fn(SpaceId) -> bool,
    ) -> Option<Entry> {
        for _ in 0..MOVED_AT_ONCE_MAX {
            let Some(entry) = self.to_come.pop_first_if_due(now) else { break };
            self.due.entry(space_of(entry.1)).or_default().insert(entry);
        }
        let full = self.due.keys().copied().find(|space| is_full(*space));
        let later = self.due.range(self.turn.saturating_add(1)..).next().map(|(space, _)| *space);
        let space = full.or(later).or_else(|| self.due.keys().next().copied())?;
        self.turn = space;
        self.due.get(&space)?.first().copied()
    }
}

trait PopIfDue {
    fn pop_first_if_due(&mut self, now: i64) -> Option<Entry>;
}

impl PopIfDue for BTreeSet<Entry> {
    fn pop_first_if_due(&mut self, now: i64) -> Option<Entry> {
        self.first().filter(|(at, _)| *at <= now)?;
        self.pop_first()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Takes everything that is due, with the namespace being the tens of the slot.
    fn taken(queue: &mut Queue, now: i64, full: &[SpaceId]) -> Vec<u32> {
        let mut taken = Vec::new();
        while let Some(entry) = queue.next_due(now, |slot| slot / 10, |space| full.contains(&space)) {
            queue.remove(entry, entry.1 / 10);
            taken.push(entry.1);
        }
        taken
    }

    fn queue(entries: &[Entry]) -> Queue {
        let mut queue = Queue::default();
        entries.iter().for_each(|entry| queue.insert(*entry));
        queue
    }

    #[test]
    fn namespaces_take_turns_and_within_one_the_oldest_goes_first() {
        let mut queue = queue(&[(1, 10), (2, 11), (3, 12), (4, 20), (9, 30)]);
        assert_eq!(taken(&mut queue, 5, &[]), [10, 20, 11, 12]);
        assert_eq!((queue.first(), queue.first_after(5)), (Some(9), Some(9)));
    }

    #[test]
    fn a_namespace_without_room_goes_before_all_others() {
        let mut queue = queue(&[(1, 10), (2, 11), (3, 20), (4, 21)]);
        assert_eq!(taken(&mut queue, 5, &[2]), [20, 21, 10, 11]);
    }

    #[test]
    fn what_is_due_is_counted_wherever_it_waits() {
        let mut queue = queue(&[(1, 10), (2, 11), (3, 20), (9, 21)]);
        assert_eq!(queue.due_count(5, 100), 3);
        queue.next_due(2, |slot| slot / 10, |_| false);
        assert_eq!((queue.due_count(5, 100), queue.due_count(5, 2)), (3, 2));
        queue.remove((1, 10), 1);
        assert_eq!((queue.due_count(5, 100), queue.first()), (2, Some(2)));
    }
}
