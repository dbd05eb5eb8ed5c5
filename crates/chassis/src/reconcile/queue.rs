//! Which key is worked on next.
//!
//! A pure machine: time comes in as an argument. A key is in it once, however often it is added; one that is added while
//! it is being worked on comes again afterwards. Changes go before what is due, and both before the slow scan.
//!
//! Invariants: a key is never worked on twice at once; nothing comes out before its hold is over, but an edit of the
//! object itself lifts the hold; a key that awaits our own last write does not come out before the cache shows it.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use control::{Mutant, Steady, Timers};
use jiff::Timestamp;
use units::ResourceVersion;

use super::Requeue;
use crate::limits::OWN_WRITE_WAIT_MAX;

/// Why a key is to be worked on; the later, the more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The slow scan came by: events should have told of everything there is to do.
    Scan,
    /// Its time has come, or it is tried again.
    Due,
    /// Something that it depends on has changed.
    Changed,
    /// Somebody has edited the object itself: what failed before may succeed now.
    Edited,
}

impl Cause {
    /// Most urgent first.
    pub(super) const BY_URGENCY: [Self; 4] = [Self::Edited, Self::Changed, Self::Due, Self::Scan];

    /// The metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Due => "due",
            Self::Changed => "changed",
            Self::Edited => "edited",
        }
    }
}

/// A key that came out to be worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken<K> {
    pub(super) key: K,
    pub(super) cause: Cause,
    /// How long it had been ready.
    pub(super) waited: Duration,
}

/// How the work on a key ended, as far as the queue is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is done; it comes again as this says.
    Done(Requeue),
    /// What the key names is gone.
    Gone,
    /// It failed; it is not tried before so much time has passed, and comes again then.
    RetryAfter(Duration),
    /// It failed, and only an edit can help.
    AwaitEdit,
}

/// What is known of a key.
#[derive(Clone, Debug)]
struct Entry {
    /// Why it is to be worked on, and since when; none if it rests.
    wanted: Option<(Cause, Steady)>,
    running: bool,
    /// Nothing but an edit brings it out before this.
    hold: Option<Steady>,
    /// Our own last write, which the cache has not shown yet, and until when that is waited for.
    awaited: Option<(ResourceVersion, Steady)>,
    /// The version that the cache shows.
    shown: Option<ResourceVersion>,
}

/// All keys, in one of them.
#[derive(Clone, Debug)]
pub(super) struct Queue<K> {
    entries: HashMap<K, Entry>,
    ready: HashMap<Cause, VecDeque<K>>,
    /// When keys that are held back are looked at again.
    holds: Timers<K, Steady>,
    /// When keys that asked for it come again.
    alarms: Timers<K, Timestamp>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            ready: HashMap::new(),
            holds: Timers::default(),
            alarms: Timers::default(),
        }
    }
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    /// A key is to be worked on. Returns whether it was not waiting for that already.
    pub(super) fn add(&mut self, key: &K, cause: Cause, now: Steady) -> bool {
        let entry = self.entries.entry(key.clone()).or_insert_with(Entry::new);
        if cause == Cause::Edited {
            entry.hold = None;
        }
        let before = entry.wanted;
        if before.is_some_and(|(known, _)| known >= cause) {
            return false;
        }
        entry.wanted = Some((cause, before.map_or(now, |(_, since)| since)));
        self.place(key, now);
        before.is_none()
    }

    /// The cache shows this version of what the key names.
    pub(super) fn shows(&mut self, key: &K, version: ResourceVersion, now: Steady) {
        let entry = self.entries.entry(key.clone()).or_insert_with(Entry::new);
        let is_reached = entry.awaited.as_ref().is_some_and(|(written, _)| version.has_reached(written));
        entry.shown = Some(version);
        if is_reached {
            entry.awaited = None;
            self.place(key, now);
        }
    }

    /// We have written what the key names, and this is its version now.
    pub(super) fn wrote(&mut self, key: &K, version: ResourceVersion, now: Steady) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let is_shown = entry.shown.as_ref().is_some_and(|shown| shown.has_reached(&version));
        if !is_shown && !Mutant::OwnWriteUnawaited.is_on() {
            entry.awaited = Some((version, now.after(OWN_WRITE_WAIT_MAX)));
        }
    }

    /// Nothing will show our own writes any more: no key waits for that.
    pub(super) fn await_no_more(&mut self, now: Steady) {
        let waiting = |(key, entry): (&K, &mut Entry)| entry.awaited.take().map(|_| key.clone());
        let freed: Vec<K> = self.entries.iter_mut().filter_map(waiting).collect();
        freed.iter().for_each(|key| self.place(key, now));
    }

    /// Takes out the most urgent key that may be worked on now.
    pub(super) fn take(&mut self, now: Steady, wall: Timestamp) -> Option<Taken<K>> {
        self.wake(now, wall);
        for cause in Cause::BY_URGENCY {
            while let Some(key) = self.ready.get_mut(&cause).and_then(VecDeque::pop_front) {
                let Some(entry) = self.entries.get_mut(&key) else { continue };
                // It may stand in several lines: the one that it is wanted by counts.
                let Some((wanted, since)) = entry.wanted.filter(|(wanted, _)| *wanted == cause) else {
                    continue;
                };
                if entry.running || entry.held_until(now).is_some() {
                    continue;
                }
                (entry.wanted, entry.running, entry.hold) = (None, true, None);
                return Some(Taken { key, cause: wanted, waited: now.since(since) });
            }
        }
        None
    }

    /// The work on a key has ended.
    pub(super) fn ended(&mut self, key: &K, ended: Ended, now: Steady, wall: Timestamp) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.running = false;
        match ended {
            Ended::Gone if entry.wanted.is_none() => {
                self.forget(key);
                return;
            }
            Ended::Gone | Ended::AwaitEdit => self.alarms.set(key, None),
            Ended::Done(requeue) => self.alarms.set(key, requeue.at(wall)),
            Ended::RetryAfter(pause) => {
                entry.hold = Some(now.after(pause));
                if entry.wanted.is_none() {
                    entry.wanted = Some((Cause::Due, now));
                }
            }
        }
        self.place(key, now);
    }

    /// Every key that is known comes once, at the slow scan's pace.
    pub(super) fn scan(&mut self, now: Steady) {
        let keys: Vec<K> = self.entries.keys().cloned().collect();
        for key in &keys {
            self.add(key, Cause::Scan, now);
        }
    }

    /// Whether a key waited for our own last write longer than is sensible; asked once per take.
    pub(super) fn is_stale(&self, key: &K) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.awaited.is_some())
    }

    /// How long it is until a key may come out, if one will.
    pub(super) fn pause(&self, now: Steady, wall: Timestamp) -> Option<Duration> {
        let hold = self.holds.next().map(|at| at.since(now));
        let alarm =
            self.alarms.next().map(|at| Duration::try_from(at.duration_since(wall)).unwrap_or_default());
        hold.into_iter().chain(alarm).min()
    }

    /// Keys that wait, by cause.
    pub(super) fn depths(&self) -> HashMap<Cause, i64> {
        let mut depths: HashMap<Cause, i64> = Cause::BY_URGENCY.into_iter().map(|cause| (cause, 0)).collect();
        for (cause, _) in self.entries.values().filter_map(|entry| entry.wanted) {
            *depths.entry(cause).or_default() += 1;
        }
        depths
    }

    fn forget(&mut self, key: &K) {
        self.entries.remove(key);
        self.holds.set(key, None);
        self.alarms.set(key, None);
    }

    /// Brings out what was held back or asleep until now.
    fn wake(&mut self, now: Steady, wall: Timestamp) {
        while let Some(key) = self.alarms.pop_due(wall) {
            self.add(&key, Cause::Due, now);
        }
        while let Some(key) = self.holds.pop_due(now) {
            self.place(&key, now);
        }
    }

    /// Puts a key where it belongs: in a line, or among those held back.
    fn place(&mut self, key: &K, now: Steady) {
        let Some(entry) = self.entries.get(key) else { return };
        let Some((cause, _)) = entry.wanted.filter(|_| !entry.running) else {
            return self.holds.set(key, None);
        };
        let held_until = entry.held_until(now);
        self.holds.set(key, held_until);
        if held_until.is_none() {
            self.ready.entry(cause).or_default().push_back(key.clone());
        }
    }
}

impl Entry {
    const fn new() -> Self {
        Self { wanted: None, running: false, hold: None, awaited: None, shown: None }
    }

    /// Until when it is held back; none if it is not.
    fn held_until(&self, now: Steady) -> Option<Steady> {
        let own_write = self.awaited.as_ref().map(|(_, until)| *until);
        self.hold.into_iter().chain(own_write).max().filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const WALL: Timestamp = Timestamp::UNIX_EPOCH;

    fn at(millis: u64) -> Steady {
        Steady::at(Duration::from_millis(millis))
    }

    fn wall(millis: u64) -> Timestamp {
        Timestamp::from_millisecond(i64::try_from(millis).unwrap()).unwrap()
    }

    fn take(queue: &mut Queue<u8>, millis: u64) -> Option<(u8, Cause)> {
        queue.take(at(millis), wall(millis)).map(|taken| (taken.key, taken.cause))
    }

    #[test]
    fn a_key_is_in_it_once_and_the_most_urgent_comes_first() {
        let mut queue = Queue::default();
        queue.add(&1, Cause::Scan, at(0));
        assert!(!queue.add(&1, Cause::Scan, at(0)));
        queue.add(&2, Cause::Changed, at(0));
        queue.add(&3, Cause::Edited, at(0));
        queue.add(&1, Cause::Due, at(5));
        let taken: Vec<_> = std::iter::from_fn(|| take(&mut queue, 7)).collect();
        assert_eq!(taken, [(3, Cause::Edited), (2, Cause::Changed), (1, Cause::Due)]);
    }

    #[test]
    fn what_is_added_while_it_is_worked_on_comes_again_afterwards() {
        let mut queue = Queue::default();
        queue.add(&1, Cause::Changed, at(0));
        assert!(take(&mut queue, 0).is_some());
        queue.add(&1, Cause::Changed, at(1));
        assert_eq!(take(&mut queue, 1), None);
        queue.ended(&1, Ended::Done(Requeue::AwaitChange), at(2), WALL);
        assert_eq!(take(&mut queue, 2), Some((1, Cause::Changed)));
    }

    #[test]
    fn a_change_during_a_hold_waits_and_an_edit_does_not() {
        let mut queue = Queue::default();
        queue.add(&1, Cause::Changed, at(0));
        take(&mut queue, 0);
        queue.ended(&1, Ended::RetryAfter(Duration::from_millis(100)), at(0), WALL);
        queue.add(&1, Cause::Changed, at(10));
        assert_eq!(take(&mut queue, 10), None);
        assert_eq!(queue.pause(at(10), wall(10)), Some(Duration::from_millis(90)));
        queue.add(&1, Cause::Edited, at(20));
        assert_eq!(take(&mut queue, 20), Some((1, Cause::Edited)));
        queue.ended(&1, Ended::RetryAfter(Duration::from_millis(100)), at(20), WALL);
        assert_eq!(take(&mut queue, 119), None);
        assert_eq!(take(&mut queue, 120), Some((1, Cause::Due)));
    }

    #[test]
    fn what_only_an_edit_can_help_waits_for_one() {
        let mut queue = Queue::default();
        queue.add(&1, Cause::Edited, at(0));
        take(&mut queue, 0);
        queue.ended(&1, Ended::AwaitEdit, at(0), WALL);
        assert_eq!((take(&mut queue, 1_000_000), queue.pause(at(0), WALL)), (None, None));
        queue.add(&1, Cause::Edited, at(5));
        assert_eq!(take(&mut queue, 5), Some((1, Cause::Edited)));
    }

    #[test]
    fn an_alarm_brings_a_key_again_and_no_earlier() {
        let mut queue = Queue::default();
        queue.add(&1, Cause::Changed, at(0));
        take(&mut queue, 0);
        queue.ended(&1, Ended::Done(Requeue::At(wall(50), "its time comes")), at(0), wall(0));
        assert_eq!((take(&mut queue, 49), take(&mut queue, 50)), (None, Some((1, Cause::Due))));
    }

    #[test]
    fn a_key_waits_until_the_cache_shows_our_own_last_write() {
        let mut queue = Queue::default();
        let version = |number: &str| ResourceVersion::from(number);
        queue.add(&1, Cause::Changed, at(0));
        take(&mut queue, 0);
        queue.wrote(&1, version("9"), at(0));
        queue.ended(&1, Ended::Done(Requeue::AwaitChange), at(0), WALL);
        queue.shows(&1, version("8"), at(1));
        queue.add(&1, Cause::Edited, at(1));
        assert_eq!(take(&mut queue, 1), None);
        queue.shows(&1, version("9"), at(2));
        assert_eq!(take(&mut queue, 2), Some((1, Cause::Edited)));

        queue.wrote(&1, version("9"), at(3));
        queue.add(&1, Cause::Changed, at(3));
        queue.ended(&1, Ended::Done(Requeue::AwaitChange), at(3), WALL);
        assert_eq!(take(&mut queue, 3), Some((1, Cause::Changed)), "it was shown before the answer came");
    }

    #[test]
    fn a_cache_that_never_shows_our_write_is_noticed_when_the_wait_is_over() {
        let mut queue = Queue::default();
        queue.add(&1, Cause::Changed, at(0));
        take(&mut queue, 0);
        queue.wrote(&1, ResourceVersion::from("9"), at(0));
        queue.ended(&1, Ended::Done(Requeue::AwaitChange), at(0), WALL);
        queue.add(&1, Cause::Changed, at(1));
        let most = u64::try_from(OWN_WRITE_WAIT_MAX.as_millis()).unwrap();
        assert_eq!(take(&mut queue, most - 1), None);
        assert_eq!(take(&mut queue, most), Some((1, Cause::Changed)));
        assert!(queue.is_stale(&1));
    }

    #[test]
    fn at_the_end_nobody_waits_for_what_no_watch_will_show() {
        let mut queue = Queue::default();
        queue.add(&1, Cause::Changed, at(0));
        take(&mut queue, 0);
        queue.wrote(&1, ResourceVersion::from("9"), at(0));
        queue.ended(&1, Ended::Done(Requeue::AwaitChange), at(0), WALL);
        queue.add(&1, Cause::Edited, at(1));
        assert_eq!(take(&mut queue, 1), None);
        queue.await_no_more(at(2));
        assert_eq!(take(&mut queue, 2), Some((1, Cause::Edited)));
        assert!(!queue.is_stale(&1));
    }

    #[test]
    fn what_is_gone_is_forgotten_unless_it_came_back_meanwhile() {
        let mut queue = Queue::default();
        queue.add(&1, Cause::Changed, at(0));
        take(&mut queue, 0);
        queue.add(&1, Cause::Edited, at(0));
        queue.ended(&1, Ended::Gone, at(0), WALL);
        assert!(take(&mut queue, 0).is_some());
        queue.ended(&1, Ended::Gone, at(0), WALL);
        assert!(queue.entries.is_empty());
        queue.scan(at(1));
        assert_eq!(take(&mut queue, 1), None);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(u8, Cause),
        Take,
        End(u8, Ended),
        Pass(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let cause = prop::sample::select(Cause::BY_URGENCY.to_vec());
        let ended = prop_oneof![
            Just(Ended::Done(Requeue::AwaitChange)),
            (0..300_u64).prop_map(|ms| Ended::RetryAfter(Duration::from_millis(ms))),
            (0..300_u64).prop_map(|ms| Ended::Done(Requeue::After(Duration::from_millis(ms), "again"))),
            Just(Ended::AwaitEdit),
        ];
        let step = prop_oneof![
            (0..5_u8, cause).prop_map(|(key, cause)| Step::Add(key, cause)),
            Just(Step::Take),
            (0..5_u8, ended).prop_map(|(key, ended)| Step::End(key, ended)),
            (0..100_u64).prop_map(Step::Pass),
        ];
        prop::collection::vec(step, 0..300)
    }

    proptest! {
        #[test]
        fn no_key_runs_twice_at_once_and_none_that_was_added_is_lost(steps in steps()) {
            let (mut queue, mut now, mut running, mut owed) = (Queue::default(), 0, HashSet::new(), HashSet::new());
            for step in steps {
                match step {
                    Step::Add(key, cause) => {
                        queue.add(&key, cause, at(now));
                        owed.insert(key);
                    }
                    Step::Take => if let Some((key, _)) = take(&mut queue, now) {
                        prop_assert!(running.insert(key), "{key} runs already");
                        owed.remove(&key);
                    },
                    Step::End(key, ended) => if running.remove(&key) {
                        queue.ended(&key, ended, at(now), wall(now));
                    },
                    Step::Pass(millis) => now += millis,
                }
            }
            for key in running.drain() {
                queue.ended(&key, Ended::Done(Requeue::AwaitChange), at(now), wall(now));
            }
            while let Some((key, _)) = take(&mut queue, now + 1_000) {
                owed.remove(&key);
                queue.ended(&key, Ended::Done(Requeue::AwaitChange), at(now + 1_000), wall(now + 1_000));
            }
            prop_assert!(owed.is_empty(), "lost: {owed:?}");
        }
    }
}
