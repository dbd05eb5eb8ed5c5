//! All objects of one kind in one namespace, and when each falls due under the policies that look at it.
//!
//! A pure index fed by events: `begin_listing`, `apply`, `remove`, `finish_listing` from the watch, `admit` and
//! `dismiss` from the policies, `take_due` and `settle` from whoever deletes. Everything here is derived state; losing
//! it costs a listing, never a wrong deletion.
//!
//! Invariants: an object is in a policy's order of expiry exactly if the policy would delete it in time and nobody is
//! deleting it now; a changed object replaces its entries; what is taken is judged again at the time of taking.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use jiff::{SignedDuration, Timestamp};
use units::{NamespacedName, ResourceVersion, Uid};

use crate::decide::{Standing, Verdict, decide, standing};
use crate::object::Object;
use crate::policy::{Mode, Policy};

/// How long to wait for the watch to show the change that a refused deletion ran into, before it is tried again.
const CHANGE_AWAITED: SignedDuration = SignedDuration::from_secs(1);

/// Objects of one kind in one namespace, with the policies that look at them.
#[derive(Debug, Default)]
pub struct Ground {
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    names: HashTable<u32>,
    hasher: RandomState,
    tenants: BTreeMap<NamespacedName, Tenant>,
    /// Deletions that failed are not tried again before this time, in milliseconds.
    not_before: HashMap<u32, i64>,
    listing: u32,
    /// The listing that was not believed, until another one settles what it lacked.
    doubted: Option<u32>,
    /// Objects that were held when the listing began.
    known: usize,
    /// The version up to which the watch had shown everything when the listing began.
    watched: Option<ResourceVersion>,
    /// Objects that the listing shows as the watch should have shown them before.
    missed: u64,
}

#[derive(Debug)]
struct Entry {
    object: Object,
    /// The listing that last showed it.
    listing: u32,
    progress: Progress,
}

/// How far the deletion of an object has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nobody is deleting it.
    Idle,
    /// Somebody took it to delete it, and has not said yet how that went.
    InFlight,
    /// The server accepted the deletion; the watch will show it.
    Accepted,
}

/// A policy that looks at this ground.
#[derive(Debug)]
struct Tenant {
    policy: Arc<Policy>,
    /// Milliseconds at which each slot falls due.
    order: BTreeSet<(i64, u32)>,
    counts: Counts,
}

/// How many objects of each standing a policy has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Objects that the policy selects.
    pub matched: i64,
    /// Selected objects whose time is up at some moment.
    pub pending: i64,
    /// Selected objects that are never deleted.
    pub protected: i64,
    /// Selected objects that are being deleted already.
    pub terminating: i64,
    /// Selected objects of which it cannot be told when their time is up.
    pub unresolvable: i64,
}

/// An object whose time is up, taken from the ground in order to delete it.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// Its name.
    pub name: Box<str>,
    /// Its incarnation.
    pub uid: Uid,
    /// The version that was judged.
    pub resource_version: ResourceVersion,
    /// When it fell due.
    pub since: Timestamp,
    slot: u32,
}

/// How the deletion of an object went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The server accepted it, or the object was gone.
    Deleted,
    /// The object had changed since it was judged.
    Changed,
    /// It failed, or was not tried; not to be tried again before this time.
    NotBefore(Timestamp),
}

impl Ground {
    /// A listing begins: what it does not show by its end is gone. Up to the version `watched`, if there is one, the
    /// watch has shown everything before.
    pub fn begin_listing(&mut self, watched: Option<ResourceVersion>) {
        self.listing = self.listing.wrapping_add(1);
        self.known = self.len();
        self.watched = watched;
        self.missed = 0;
    }

    /// How many objects were held when the listing began.
    pub fn known(&self) -> usize {
        self.known
    }

    /// How many objects the listing that is under way has not shown.
    pub fn unlisted(&self) -> usize {
        self.unlisted_slots().count()
    }

    /// How many objects have not been shown since the doubted listing began; none if none is in doubt.
    pub fn unlisted_again(&self) -> usize {
        let Some(doubted) = self.doubted else { return 0 };
        let before = |entry: &&Entry| {
            let since = entry.listing.wrapping_sub(doubted);
            since > u32::MAX / 2
        };
        self.slots.iter().flatten().filter(before).count()
    }

    /// The listing is complete, and is not believed: what it has not shown stays until another listing is believed.
    pub fn doubt_listing(&mut self) {
        self.doubted = Some(self.listing);
        self.watched = None;
    }

    /// The listing is complete, and is believed. Returns how many objects it showed that the watch should have shown before.
    pub fn finish_listing(&mut self) -> u64 {
        let gone: Vec<u32> = self.unlisted_slots().collect();
        gone.into_iter().for_each(|slot| self.vacate(slot));
        (self.watched, self.doubted) = (None, None);
        std::mem::take(&mut self.missed)
    }

    fn unlisted_slots(&self) -> impl Iterator<Item = u32> {
        let unlisted = |entry: &&Entry| entry.listing != self.listing;
        (0..).zip(&self.slots).filter_map(move |(slot, entry)| entry.as_ref().filter(unlisted).map(|_| slot))
    }

    /// An object is there, in this form.
    pub fn apply(&mut self, object: Object) {
        let found = self.find(&object.name);
        let is_known = found.and_then(|slot| self.entry(slot)).is_some_and(|known| {
            known.object.uid == object.uid && known.object.resource_version == object.resource_version
        });
        if !is_known && self.watched.as_ref().is_some_and(|seen| seen.has_reached(&object.resource_version)) {
            self.missed += 1;
        }
        let Some(slot) = found else {
            let slot = self.insert(object);
            return self.enlist(slot);
        };
        self.delist(slot);
        self.not_before.remove(&slot);
        if let Some(entry) = self.entry_mut(slot) {
            let same = entry.object.uid == object.uid;
            let unchanged = same && entry.object.resource_version == object.resource_version;
            entry.progress = match entry.progress {
                // Whoever has it in flight will settle it, unless it is not that object any more.
                Progress::InFlight if same => Progress::InFlight,
                // A listing may still show what was accepted for deletion.
                Progress::Accepted if unchanged => Progress::Accepted,
                _ => Progress::Idle,
            };
            entry.object = object;
        }
        if let (listing, Some(entry)) = (self.listing, self.entry_mut(slot)) {
            entry.listing = listing;
        }
        self.enlist(slot);
    }

    /// An object is gone. A later incarnation of the name stays.
    pub fn remove(&mut self, name: &str, uid: &Uid) {
        let slot =
            self.find(name).filter(|&slot| self.entry(slot).is_some_and(|entry| entry.object.uid == *uid));
        if let Some(slot) = slot {
            self.vacate(slot);
        }
    }

    /// A policy looks at this ground, in this form; it replaces an earlier form of the same policy.
    pub fn admit(&mut self, policy: Arc<Policy>) {
        let mut tenant = Tenant { policy, order: BTreeSet::new(), counts: Counts::default() };
        for (slot, entry) in (0..).zip(&self.slots) {
            if let Some(entry) = entry {
                tenant.enlist(slot, entry, self.not_before.get(&slot).copied());
            }
        }
        self.tenants.insert(tenant.policy.key.clone(), tenant);
    }

    /// A policy looks away.
    pub fn dismiss(&mut self, policy: &NamespacedName) {
        self.tenants.remove(policy);
    }

    /// Whether no policy looks at this ground.
    pub fn is_idle(&self) -> bool {
        self.tenants.is_empty()
    }

    /// The policies that look at this ground.
    pub fn policies(&self) -> impl Iterator<Item = &NamespacedName> {
        self.tenants.keys()
    }

    /// Objects that are held.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// When the next object falls due under a policy; in the past if one waits to be taken.
    pub fn next_due(&self, policy: &NamespacedName) -> Option<Timestamp> {
        let (at, _) = self.tenants.get(policy)?.order.first()?;
        Timestamp::from_millisecond(*at).ok()
    }

    /// When the next object falls due under a policy, of those that are not due at `now` yet.
    pub fn next_due_after(&self, policy: &NamespacedName, now: Timestamp) -> Option<Timestamp> {
        let later = (now.as_millisecond().saturating_add(1), 0)..;
        let (at, _) = self.tenants.get(policy)?.order.range(later).next()?;
        Timestamp::from_millisecond(*at).ok()
    }

    /// How many objects a policy has of each standing.
    pub fn counts(&self, policy: &NamespacedName) -> Counts {
        self.tenants.get(policy).map(|tenant| tenant.counts).unwrap_or_default()
    }

    /// How many objects of a policy are due at `now` and wait to be taken; counted up to `most`.
    pub fn due_count(&self, policy: &NamespacedName, now: Timestamp, most: usize) -> usize {
        let now = now.as_millisecond();
        self.tenants
            .get(policy)
            .map_or(0, |tenant| tenant.order.iter().take_while(|(at, _)| *at <= now).take(most).count())
    }

    /// Takes the object that has been due longest under a policy, for it to be deleted; [`Ground::settle`] must follow.
    ///
    /// Gives nothing for a policy that deletes nothing.
    pub fn take_due(&mut self, policy: &NamespacedName, now: Timestamp) -> Option<Due> {
        let tenant = self.tenants.get(policy).filter(|tenant| tenant.policy.mode == Mode::Enforce)?;
        let &(at, slot) = tenant.order.first()?;
        if at > now.as_millisecond() {
            return None;
        }
        let object = &self.entry(slot)?.object;
        let Verdict::Delete { since } = decide(&tenant.policy, object, now) else { return None };
        let due = Due {
            name: object.name.clone(),
            uid: object.uid.clone(),
            resource_version: object.resource_version.clone(),
            since,
            slot,
        };
        self.delist(slot);
        if let Some(entry) = self.entry_mut(slot) {
            entry.progress = Progress::InFlight;
        }
        self.enlist(slot);
        Some(due)
    }

    /// Says how the deletion of a taken object went.
    pub fn settle(&mut self, due: &Due, settled: Settled, now: Timestamp) {
        let slot = due.slot;
        let Some(entry) = self.entry(slot).filter(|entry| entry.object.uid == due.uid) else { return };
        if entry.progress != Progress::InFlight {
            return;
        }
        let seen_change = entry.object.resource_version != due.resource_version;
        let (progress, not_before) = match settled {
            Settled::Deleted => (Progress::Accepted, None),
            Settled::Changed if seen_change => (Progress::Idle, None),
            Settled::Changed => (Progress::Idle, now.checked_add(CHANGE_AWAITED).ok()),
            Settled::NotBefore(at) => (Progress::Idle, Some(at)),
        };
        self.delist(slot);
        if let Some(entry) = self.entry_mut(slot) {
            entry.progress = progress;
        }
        if let Some(at) = not_before {
            self.not_before.insert(slot, ceil_millis(at));
        }
        self.enlist(slot);
    }

    fn find(&self, name: &str) -> Option<u32> {
        let same = |slot: &u32| self.entry(*slot).is_some_and(|entry| &*entry.object.name == name);
        self.names.find(self.hasher.hash_one(name), same).copied()
    }

    fn entry(&self, slot: u32) -> Option<&Entry> {
        self.slots.get(slot as usize)?.as_ref()
    }

    fn entry_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    fn insert(&mut self, object: Object) -> u32 {
        let hash = self.hasher.hash_one(&*object.name);
        let entry = Some(Entry { object, listing: self.listing, progress: Progress::Idle });
        let reused = self.free.pop().and_then(|slot| Some((slot, self.slots.get_mut(slot as usize)?)));
        let slot = if let Some((slot, place)) = reused {
            *place = entry;
            slot
        } else {
            self.slots.push(entry);
            // A namespace cannot hold four billion objects: etcd's limits come first.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        let rehash = |slot: &u32| {
            slots
                .get(*slot as usize)
                .and_then(Option::as_ref)
                .map_or(0, |entry| hasher.hash_one(&*entry.object.name))
        };
        self.names.insert_unique(hash, slot, rehash);
        slot
    }

    fn vacate(&mut self, slot: u32) {
        self.delist(slot);
        self.not_before.remove(&slot);
        let Some(entry) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        if let Ok(place) =
            self.names.find_entry(self.hasher.hash_one(&*entry.object.name), |&other| other == slot)
        {
            place.remove();
        }
        self.free.push(slot);
    }

    /// Counts an object for each policy, and puts it into the orders of expiry that it belongs to.
    fn enlist(&mut self, slot: u32) {
        let Some(entry) = self.slots.get(slot as usize).and_then(Option::as_ref) else { return };
        let not_before = self.not_before.get(&slot).copied();
        self.tenants.values_mut().for_each(|tenant| tenant.enlist(slot, entry, not_before));
    }

    /// Undoes [`Ground::enlist`]; to be called before anything that it depends on changes.
    fn delist(&mut self, slot: u32) {
        let Some(entry) = self.slots.get(slot as usize).and_then(Option::as_ref) else { return };
        let not_before = self.not_before.get(&slot).copied();
        self.tenants.values_mut().for_each(|tenant| tenant.delist(slot, entry, not_before));
    }
}

impl Tenant {
    fn enlist(&mut self, slot: u32, entry: &Entry, not_before: Option<i64>) {
        let standing = standing(&self.policy, &entry.object);
        self.counts.add(standing, 1);
        if let Some(at) = falls_due(standing, entry, not_before) {
            self.order.insert((at, slot));
        }
    }

    fn delist(&mut self, slot: u32, entry: &Entry, not_before: Option<i64>) {
        let standing = standing(&self.policy, &entry.object);
        self.counts.add(standing, -1);
        if let Some(at) = falls_due(standing, entry, not_before) {
            self.order.remove(&(at, slot));
        }
    }
}

/// The millisecond at which an object is to be taken, if it is to be.
fn falls_due(standing: Standing, entry: &Entry, not_before: Option<i64>) -> Option<i64> {
    match standing {
        Standing::Expires(at) if entry.progress == Progress::Idle => {
            Some(ceil_millis(at).max(not_before.unwrap_or(i64::MIN)))
        }
        _ => None,
    }
}

/// The first whole millisecond that is not before `at`.
fn ceil_millis(at: Timestamp) -> i64 {
    let millis = at.as_millisecond();
    match Timestamp::from_millisecond(millis) {
        Ok(whole) if whole < at => millis + 1,
        _ => millis,
    }
}

impl Counts {
    fn add(&mut self, standing: Standing, one: i64) {
        let counter = match standing {
            Standing::NotSelected => return,
            Standing::Terminating => &mut self.terminating,
            Standing::Protected(_) => &mut self.protected,
            Standing::Unresolvable(_) => &mut self.unresolvable,
            Standing::Expires(_) => &mut self.pending,
        };
        *counter += one;
        self.matched += one;
    }
}
