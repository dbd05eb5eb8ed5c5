//! All objects of one kind, and when each falls due under the policies that look at it.
//!
//! A pure index fed by events: `begin_listing`, `apply`, `remove`, `finish_listing` from the watches, `admit` and
//! `dismiss` from the policies, `take_due`, `take_notice` and `settle` from whoever acts. Everything here is derived
//! state; losing it costs a listing, never a wrong deletion.
//!
//! Overlaps: an object that several policies select is kept by any that says `action: Keep`; else only those with the
//! highest priority decide, and of them the one by which it goes first.
//!
//! Invariants: an object is in a rule's queue exactly if the rule would delete it in time and nobody is deleting it now;
//! a changed object replaces its entries; what is taken is judged again at the time of taking. What concerns many objects
//! may wait (`unjudged`): that never lets anything go.

mod alike;
mod groups;
mod listing;
mod queue;
mod spaces;
mod tenants;
mod unjudged;
mod wards;

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use api::garbage_collection::Action;
use control::Mutant;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use jiff::{SignedDuration, Timestamp};
use units::{GroupVersionKind, KeyPath, NamespacedName, ResourceVersion, Uid};
use views::{Labels, Projection};

use self::alike::Alike;
use self::listing::Listings;
use self::spaces::{SpaceId, Spaces};
use self::tenants::{Next, Role, Seat, TenantId, Tenants, has_a_say, is_metadata};
use self::unjudged::{Pace, Unjudged};
use self::wards::Wards;
use crate::decide::{
    Circumstances, Ending, Gate, Keeper, KeepsBecause, Kept, Standing, Verdict, acts_at, decide, ending,
    standing,
};
use crate::limits::RECHECK;
use crate::object::{Object, OwnersSeen};
use crate::policy::{Mode, Policy, Reach, Rule};

pub use self::listing::Scope;
pub use self::tenants::{Bucket, Counts};
pub use self::wards::Ward;

/// How long to wait for the watch to show the change that a refused deletion ran into, before it is tried again.
const CHANGE_AWAITED: SignedDuration = SignedDuration::from_secs(1);

/// Objects that one call judges anew before it gives the loop its turn back: with the dearest expression some tens of
/// milliseconds.
const JUDGED_AT_ONCE_MAX: usize = 32;

/// Objects of one kind, with the rules that look at them.
#[derive(Debug, Default)]
pub struct Ground {
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    names: HashTable<u32>,
    hasher: RandomState,
    spaces: Spaces,
    alike: Alike,
    tenants: Tenants,
    listings: Listings,
    pace: Pace,
    unjudged: Unjudged,
    /// Objects of which a policy has to know whether their owners exist, and nobody has looked yet.
    unasked: BTreeSet<u32>,
    /// The last object that was asked about: all others have their turn before it comes again.
    last_asked: Option<u32>,
    /// Deletions that failed are not tried again before this time, in milliseconds.
    not_before: HashMap<u32, i64>,
    wards: Wards,
    /// When what had fallen due before was first let go by its policies, in milliseconds: by a change of it, of others, or
    /// of what other policies say.
    freed_at: HashMap<u32, i64>,
}

#[derive(Debug)]
struct Entry {
    object: Object,
    space: SpaceId,
    /// The listing that last showed it.
    listing: u32,
    progress: Progress,
    seats: Seats,
}

/// The places of an object with the rules that select it; mostly one, so that more take an allocation.
#[derive(Debug, Default)]
enum Seats {
    #[default]
    None,
    One(Seat),
    Two(Box<[Seat; 2]>),
    #[allow(clippy::box_collection, reason = "a million have none of it: 8 bytes are less than 24")]
    Many(Box<Vec<Seat>>),
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

/// An object for which there is something to do now, taken from the ground in order to do it.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// Its namespace; empty if it has none.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its incarnation.
    pub uid: Uid,
    /// The version that was judged; empty if a finalizer is to be taken off, and the object is not in sight.
    pub resource_version: ResourceVersion,
    /// When it fell due; of an object that is to be told, when it was taken for that.
    pub since: Timestamp,
    /// Since when nothing that we have seen of the object and of its surroundings has kept it; never before `since`.
    pub free_since: Timestamp,
    /// What is to be done.
    pub step: Step,
    /// Which of the policy's targets selects it.
    pub target: usize,
    /// It carries the finalizer that the policy takes off once it has deleted it: if the deletion is accepted,
    /// [`Ground::entrust`] is to follow.
    pub is_held: bool,
    slot: u32,
}

/// What is to be done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is deleted.
    Delete,
    /// It is told that it goes at this moment.
    Notify {
        /// When it will go.
        deletes_at: Timestamp,
    },
    /// The policy has deleted it: the policy's finalizer is taken off.
    Release,
}

/// How what was to be done with an object went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The server accepted it, or the object was gone.
    Done,
    /// The object had changed since it was judged.
    Changed,
    /// It failed, or was not tried; not to be tried again before this time.
    NotBefore(Timestamp),
}

/// An object of which a policy has to know whether its owners exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerQuestion {
    /// Its namespace; empty if it has none.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its incarnation.
    pub uid: Uid,
    /// The owners that it names.
    pub owners: Vec<OwnerName>,
}

/// An owner that an object names, in its namespace or in none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerName {
    /// Group and version.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The incarnation.
    pub uid: Uid,
}

impl Due {
    /// What is to be written into the object's [`NOTICE_ANNOTATION`](crate::NOTICE_ANNOTATION); none if it is to be deleted.
    pub fn note(&self) -> Option<String> {
        match self.step {
            Step::Notify { deletes_at } => Some(crate::notice::note(self.since, deletes_at)),
            Step::Delete | Step::Release => None,
        }
    }
}

/// What a policy is about that it was not about before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewlySelected {
    /// So many objects.
    pub known: u64,
    /// So many more, if their owners are gone; that is not known yet.
    pub if_owners_are_gone: u64,
}

impl Ground {
    /// An object is there, in this form, as the watch of this scope shows it.
    pub fn apply(&mut self, scope: &Scope, object: Object, now: Timestamp) {
        let space = self.enter_space(&object.namespace);
        let mut object = self.with_shared(object, space);
        let found = self.find(space, &object.name);
        let is_known = found.and_then(|slot| self.entry(slot)).is_some_and(|known| {
            known.object.uid == object.uid && known.object.resource_version == object.resource_version
        });
        let listing = self.listings.shown(scope, &object.resource_version, is_known);
        let Some(slot) = found else {
            let slot = self.insert(object, space, listing);
            return self.enlist(slot, now);
        };
        let waited = self.waits(slot);
        self.delist(slot, now);
        self.not_before.remove(&slot);
        if let Some(known) = self.entry(slot).filter(|_| Mutant::StaleLabelsBelieved.is_on()) {
            object.labels = known.object.labels.clone();
        }
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
            entry.listing = listing;
        }
        self.enlist(slot, now);
        self.note_freedom(slot, waited, now);
    }

    /// An object is gone. A later incarnation of the name stays.
    pub fn remove(&mut self, namespace: &str, name: &str, uid: &Uid, now: Timestamp) {
        let Some(space) = self.spaces.id(namespace) else { return };
        let same = |slot: &u32| self.entry(*slot).is_some_and(|entry| entry.object.uid == *uid);
        if let Some(slot) = self.find(space, name).filter(same) {
            self.vacate(slot, now);
        }
    }

    /// A namespace has these labels; none: it is gone.
    pub fn put_namespace(&mut self, name: &str, labels: Option<Labels>, now: Timestamp) {
        if !self.spaces.put_labels(name, labels) {
            return;
        }
        let Some(space) = self.spaces.id(name) else { return };
        if !self.tenants.cover(space, &self.spaces).is_empty() {
            self.judge_space_anew(space, now);
        }
    }

    /// Whether a namespace has no room for more objects of this kind: what counts against its quota goes first.
    pub fn set_full(&mut self, namespace: &str, is_full: bool) {
        let space = self.enter_space(namespace);
        if let Some(space) = self.spaces.get_mut(space) {
            space.is_full = is_full;
        }
    }

    /// A rule looks at this ground, in this form; it replaces an earlier form of the same rule.
    pub fn admit(&mut self, rule: Rule, now: Timestamp) {
        self.admit_after(rule, None, now);
    }

    /// The same, with the rules by which the policy selected before: [`Ground::newly_selected`] counts what none of them
    /// was about, until [`Ground::accepted`].
    pub fn admit_after(&mut self, rule: Rule, before: Option<Arc<[Rule]>>, now: Timestamp) {
        let earlier = self.tenants.of(&rule.policy.key).find(|id| {
            self.tenants.get(*id).is_some_and(|known| known.rule.target_index() == rule.target_index())
        });
        if let Some(id) = earlier {
            self.dismiss_one(id, now);
        }
        if let Some(namespace) = rule.policy.reach.namespace() {
            self.enter_space(namespace);
        }
        // The groups of the rule have moved objects, and so seated them already.
        let concerns_others = self.tenants.overrides_any(&rule) || rule.policy.keep.is_some();
        let id = self.tenants.insert(rule, Role::Resident, before, &mut self.spaces);
        self.begin_sweep(id, concerns_others, now);
    }

    /// A policy has these rules on the same kind in other versions of its API; they replace those that it had. They keep
    /// objects from the policies that look here, and do nothing else. Returns whether that is news.
    pub fn admit_guests(&mut self, policy: &NamespacedName, rules: Vec<Rule>, now: Timestamp) -> bool {
        let rules: Vec<_> = rules.into_iter().filter(has_a_say).collect();
        let before: Vec<_> = self.tenants.guests_of(policy).collect();
        let same = |(id, rule): (&TenantId, &Rule)| {
            let known = self.tenants.get(*id).map(|tenant| &tenant.rule);
            known.is_some_and(|known| {
                Arc::ptr_eq(&known.policy, &rule.policy) && known.target_index() == rule.target_index()
            })
        };
        if before.len() == rules.len() && before.iter().zip(&rules).all(same) {
            return false;
        }
        before.into_iter().for_each(|id| self.dismiss_one(id, now));
        rules.into_iter().for_each(|rule| self.admit_guest(rule, now));
        true
    }

    fn admit_guest(&mut self, rule: Rule, now: Timestamp) {
        if let Some(namespace) = rule.policy.reach.namespace() {
            self.enter_space(namespace);
        }
        let id = self.tenants.insert(rule, Role::Guest, None, &mut self.spaces);
        let entries = (0..).zip(&self.slots).filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)));
        let reached = entries.filter(|(_, entry)| self.reaches(id, entry.space));
        let slots: Vec<u32> = reached.map(|(slot, _)| slot).collect();
        self.judge_anew(slots, now);
    }

    /// What the rules on other versions of the kind, which keep objects from the policies that look here, read of what is
    /// the same in all versions.
    pub fn guests_read(&self, namespace: Option<&str>) -> Vec<KeyPath> {
        let guests = self.tenants.guests().filter_map(|id| self.tenants.get(id));
        let rules = guests.map(|tenant| &tenant.rule).filter(|rule| {
            namespace.is_none_or(|here| rule.policy.reach.namespace().is_none_or(|own| own == here))
        });
        rules.flat_map(Rule::reads).filter(is_metadata).collect()
    }

    /// Whether a policy may keep objects from others that look here.
    pub fn has_a_say(&self, policy: &NamespacedName) -> bool {
        let ids = self.tenants.of(policy).chain(self.tenants.guests_of(policy));
        ids.filter_map(|id| self.tenants.get(id)).any(|tenant| self.tenants.overrides_any(&tenant.rule))
    }

    /// A policy looks away.
    pub fn dismiss(&mut self, policy: &NamespacedName, now: Timestamp) {
        let ids: Vec<_> = self.tenants.of(policy).chain(self.tenants.guests_of(policy)).collect();
        ids.into_iter().for_each(|id| self.dismiss_one(id, now));
        self.wards.forget(policy);
    }

    /// A policy has no more targets than these first ones here.
    pub fn dismiss_targets(&mut self, policy: &NamespacedName, kept: impl Fn(usize) -> bool, now: Timestamp) {
        let goes =
            |id: &TenantId| self.tenants.get(*id).is_some_and(|tenant| !kept(tenant.rule.target_index()));
        let ids: Vec<_> = self.tenants.of(policy).filter(goes).collect();
        ids.into_iter().for_each(|id| self.dismiss_one(id, now));
    }

    /// How many objects a policy is about that none of these earlier rules of it was about.
    pub fn newly_matched(&self, policy: &NamespacedName, before: &[Rule], now: Timestamp) -> u64 {
        let mut slots = BTreeSet::new();
        self.tenants.of(policy).for_each(|id| slots.extend(self.matched_slots(id)));
        let kind = self.tenants.of(policy).find_map(|id| Some(self.tenants.get(id)?.rule.kind()));
        let objects = slots.into_iter().filter_map(|slot| Some(&self.entry(slot)?.object));
        let was = |object: &Object| {
            kind.is_some_and(|kind| before.iter().any(|rule| self.was_about(rule, kind, object, now)))
        };
        let newly = objects.filter(|object| !was(object)).count();
        u64::try_from(newly).unwrap_or(u64::MAX)
    }

    /// Whether an earlier rule was about an object of this kind.
    fn was_about(&self, rule: &Rule, kind: &GroupVersionKind, object: &Object, now: Timestamp) -> bool {
        let is_read = rule.reads().iter().all(|path| object.fields.has_read(path));
        kind == rule.kind()
            && is_read
            && rule.policy.reach.covers(&object.namespace, self.spaces.labels(&object.namespace))
            && may_be_about(&standing(rule, object, now))
    }

    /// What a policy is about that it was not about by its rules before. None if it was not said which rules these were. To
    /// be believed once the policy has looked at all objects; see [`Ground::is_behind_with`].
    pub fn newly_selected(&self, policy: &NamespacedName) -> Option<NewlySelected> {
        let tenants = self.tenants.of(policy).filter_map(|id| self.tenants.get(id));
        let mut selected = NewlySelected::default();
        for tenant in tenants {
            let newly = tenant.newly.as_ref()?.selected;
            selected.known += newly.known;
            selected.if_owners_are_gone += newly.if_owners_are_gone;
        }
        Some(selected)
    }

    /// What a policy newly selects matters no more.
    pub fn accepted(&mut self, policy: &NamespacedName) {
        let ids: Vec<_> = self.tenants.of(policy).collect();
        for id in ids {
            if let Some(tenant) = self.tenants.get_mut(id) {
                tenant.newly = None;
            }
        }
    }

    /// Whether no policy looks at this ground.
    pub fn is_idle(&self) -> bool {
        self.tenants.is_empty()
    }

    /// The policies that look at this ground.
    pub fn policies(&self) -> impl Iterator<Item = &NamespacedName> {
        let mut last = None;
        self.tenants.ids().map(|(key, _)| key).filter(move |key| last.replace(*key) != Some(*key))
    }

    /// The rules that look at this ground.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.tenants.ids().filter_map(|(_, id)| Some(&self.tenants.get(id)?.rule))
    }

    /// Whether any object was read for less than is wanted of those in its namespace.
    pub fn lacks<'p>(&self, wanted: impl Fn(&str) -> &'p Projection) -> bool {
        self.objects().any(|object| {
            let asked = object.fields.projection();
            let is_asked = |path: &KeyPath| asked.is_some_and(|asked| asked.contains(path));
            !wanted(&object.namespace).paths().iter().all(is_asked)
        })
    }

    /// Objects that are held.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many objects lie where a policy looks, whether it selects them or not.
    pub fn base(&self, policy: &NamespacedName) -> u64 {
        if Mutant::BaseAfterFiltering.is_on() {
            return u64::try_from(self.counts(policy).matched()).unwrap_or_default();
        }
        let mut tenants = self.tenants.of(policy).filter_map(|id| self.tenants.get(id));
        let Some(tenant) = tenants.next() else { return 0 };
        if let Some(namespace) = tenant.rule.policy.reach.namespace() {
            let space = self.spaces.id(namespace).and_then(|id| self.spaces.get(id));
            return space.map_or(0, |space| space.objects);
        }
        let covered = self.spaces.iter().filter(|(id, _)| tenant.covers(*id));
        covered.map(|(_, space)| space.objects).sum()
    }

    /// The namespaces where a policy of the cluster looks, of those that are known.
    pub fn namespaces_of(&self, policy: &Policy) -> BTreeSet<Box<str>> {
        let known = self.spaces.iter().map(|(_, space)| &*space.name).chain(self.spaces.labelled());
        let names = known.filter(|name| !name.is_empty());
        names.filter(|name| policy.reach.covers(name, self.spaces.labels(name))).map(Into::into).collect()
    }

    /// When the next object falls due under a policy; in the past if one waits to be taken.
    pub fn next_due(&self, policy: &NamespacedName) -> Option<Timestamp> {
        self.earliest(policy, |tenant| tenant.order.first())
    }

    /// When the next object falls due under a policy, of those that are not due at `now` yet.
    pub fn next_due_after(&self, policy: &NamespacedName, now: Timestamp) -> Option<Timestamp> {
        self.earliest(policy, |tenant| tenant.order.first_after(now.as_millisecond()))
    }

    /// When the next object is to be told of its deletion under a policy.
    pub fn next_notice(&self, policy: &NamespacedName) -> Option<Timestamp> {
        self.earliest(policy, |tenant| tenant.notices.first().map(|(at, _)| *at))
    }

    /// When the next object is to be judged anew although it has not changed.
    pub fn next_recheck(&self, policy: &NamespacedName) -> Option<Timestamp> {
        self.earliest(policy, |tenant| tenant.rechecks.first().map(|(at, _)| *at))
    }

    fn earliest(
        &self,
        policy: &NamespacedName,
        of: impl Fn(&tenants::Tenant) -> Option<i64>,
    ) -> Option<Timestamp> {
        let tenants = self.tenants.of(policy).filter_map(|id| self.tenants.get(id));
        Timestamp::from_millisecond(tenants.filter_map(of).min()?).ok()
    }

    /// How many objects a policy has of each sort.
    pub fn counts(&self, policy: &NamespacedName) -> Counts {
        let mut counts = Counts::default();
        let tenants = self.tenants.of(policy).filter_map(|id| self.tenants.get(id));
        tenants.for_each(|tenant| counts += tenant.counts);
        counts
    }

    /// How many objects of a policy are due at `now` and wait to be taken; counted up to `most`.
    pub fn due_count(&self, policy: &NamespacedName, now: Timestamp, most: usize) -> usize {
        let mut tenants = self.tenants.of(policy).filter_map(|id| self.tenants.get(id));
        let (first, rest) = (tenants.next(), tenants.collect::<Vec<_>>());
        let count = |tenant: &tenants::Tenant| tenant.order.due_count(now.as_millisecond(), most);
        if rest.is_empty() {
            return first.map_or(0, count);
        }
        // Several targets may select one object.
        let all = first.into_iter().chain(rest);
        let due: BTreeSet<u32> =
            all.flat_map(|tenant| tenant.order.due(now.as_millisecond()).take(most)).collect();
        due.len().min(most)
    }

    /// One object of which it cannot be told when its time is up under a policy, and why.
    pub fn unresolvable(&self, policy: &NamespacedName, now: Timestamp) -> Option<(&Object, Verdict)> {
        let mut tenants = self.tenants.of(policy).filter_map(|id| self.tenants.get(id));
        let (tenant, slot) = tenants.find_map(|tenant| Some((tenant, *tenant.unresolvable.first()?)))?;
        let object = &self.entry(slot)?.object;
        Some((object, decide(&tenant.rule, object, &Circumstances::default(), now)))
    }

    /// One object that is being deleted, and hangs on finalizers that a policy does not take off; and why.
    pub fn held(&self, policy: &NamespacedName, now: Timestamp) -> Option<(&Object, Verdict)> {
        let mut ids = self.tenants.of(policy);
        let (id, slot) = ids.find_map(|id| Some((id, *self.tenants.get(id)?.held.first()?)))?;
        Some((&self.entry(slot)?.object, self.verdict(id, slot, Gate::Open, now)?))
    }

    /// The object of this name, if there is one.
    pub fn object(&self, namespace: &str, name: &str) -> Option<&Object> {
        let slot = self.find(self.spaces.id(namespace)?, name)?;
        self.entry(slot).map(|entry| &entry.object)
    }

    /// All objects, in no order.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.slots.iter().flatten().map(|entry| &entry.object)
    }

    /// What every policy that looks at an object makes of it.
    pub fn verdicts(
        &self,
        namespace: &str,
        name: &str,
        gate: impl Fn(&Policy) -> Gate,
        now: Timestamp,
    ) -> Vec<(Rule, Verdict)> {
        let slot = self.spaces.id(namespace).and_then(|space| self.find(space, name));
        let Some((slot, entry)) = slot.and_then(|slot| Some((slot, self.entry(slot)?))) else {
            return Vec::new();
        };
        let ids: Vec<_> = self.tenants.ids().map(|(_, id)| id).collect();
        let reaching = ids.into_iter().filter(|id| self.reaches(*id, entry.space));
        let judge = |id| {
            let rule = &self.tenants.get(id)?.rule;
            Some((rule.clone(), self.verdict(id, slot, gate(&rule.policy), now)?))
        };
        reaching.filter_map(judge).collect()
    }

    /// The policies of the cluster that do not look at the namespace where an object lies, and why they do not.
    pub fn elsewhere(&self, namespace: &str, name: &str) -> Vec<(Rule, Verdict)> {
        if self.object(namespace, name).is_none() {
            return Vec::new();
        }
        let labels = self.spaces.labels(namespace);
        let unselected = |rule: &Rule| match &rule.policy.reach {
            Reach::Cluster(namespaces) if !rule.policy.reach.covers(namespace, labels) => {
                let why = namespaces.why_uncovered(namespace, labels);
                Some((rule.clone(), Verdict::Keep(Kept::NotSelected { why })))
            }
            _ => None,
        };
        self.rules().filter_map(unselected).collect()
    }

    /// What a policy makes of every object where it looks.
    pub fn judge_all(
        &self,
        policy: &NamespacedName,
        gate: Gate,
        now: Timestamp,
    ) -> impl Iterator<Item = (&Rule, &Object, Verdict)> {
        let ids: Vec<_> = self.tenants.of(policy).collect();
        let entries = (0..).zip(&self.slots).filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)));
        entries.flat_map(move |(slot, entry)| {
            let judge = move |id: TenantId| {
                let rule = &self.tenants.get(id).filter(|_| self.reaches(id, entry.space))?.rule;
                Some((rule, &entry.object, self.verdict(id, slot, gate, now)?))
            };
            ids.clone().into_iter().filter_map(judge)
        })
    }

    fn reaches(&self, id: TenantId, space: SpaceId) -> bool {
        self.tenants.get(id).is_some_and(|tenant| match tenant.rule.policy.reach.namespace() {
            Some(namespace) => self.spaces.name(space) == namespace,
            None => tenant.covers(space),
        })
    }

    /// Judges anew what has to be, although it has not changed; returns whether there is more of it.
    pub fn recheck(&mut self, policy: &NamespacedName, now: Timestamp) -> bool {
        let mut left = JUDGED_AT_ONCE_MAX;
        self.recheck_while(policy, now, || {
            left -= 1;
            left > 0
        })
    }

    /// The same: at least one object, and others until `more` says no.
    pub fn recheck_while(
        &mut self,
        policy: &NamespacedName,
        now: Timestamp,
        mut more: impl FnMut() -> bool,
    ) -> bool {
        let ids: Vec<_> = self.tenants.of(policy).collect();
        let first = |ground: &Self, id| ground.tenants.get(id)?.rechecks.first().copied();
        'all: for id in ids {
            while let Some((_, slot)) = first(self, id).filter(|(at, _)| *at <= now.as_millisecond()) {
                self.rejoin_after(slot, now, |object| {
                    if matches!(object.owners, OwnersSeen::There | OwnersSeen::Asked) {
                        object.owners = OwnersSeen::Unknown;
                    }
                });
                if !more() {
                    break 'all;
                }
            }
        }
        self.next_recheck(policy).is_some_and(|at| at <= now)
    }

    /// Objects of which a policy has to know whether their owners exist, and nobody has looked yet; at most so many.
    /// [`Ground::owners_seen`] is to follow for each.
    pub fn take_owner_questions(&mut self, most: usize) -> Vec<OwnerQuestion> {
        let next = self.last_asked.map_or(0, |last| last.saturating_add(1));
        let in_turn = self.unasked.range(next..).chain(self.unasked.range(..next));
        let slots: Vec<u32> = in_turn.take(most).copied().collect();
        self.last_asked = slots.last().copied().or(self.last_asked);
        slots.into_iter().filter_map(|slot| self.take_owner_question(slot)).collect()
    }

    fn take_owner_question(&mut self, slot: u32) -> Option<OwnerQuestion> {
        self.unasked.remove(&slot);
        let entry = self.entry_mut(slot)?;
        entry.object.owners = OwnersSeen::Asked;
        let object = &entry.object;
        Some(OwnerQuestion {
            namespace: Arc::clone(&object.namespace),
            name: object.name.clone(),
            uid: object.uid.clone(),
            owners: owner_names(object),
        })
    }

    /// What was found of an object's owners; none if it could not be told, so that it is asked again later.
    pub fn owners_seen(&mut self, question: &OwnerQuestion, are_gone: Option<bool>, now: Timestamp) {
        let slot = self.spaces.id(&question.namespace).and_then(|space| self.find(space, &question.name));
        // Owners may have been added since the question was put: the answer says nothing of them.
        let same = |slot: &u32| {
            self.entry(*slot).is_some_and(|entry| {
                entry.object.uid == question.uid && owner_names(&entry.object) == question.owners
            })
        };
        let Some(slot) = slot.filter(same) else { return };
        let owners = match are_gone {
            Some(true) => OwnersSeen::Gone,
            Some(false) => OwnersSeen::There,
            // It stays unknown, and is asked again in a while.
            None => OwnersSeen::Asked,
        };
        self.rejoin_after(slot, now, |object| object.owners = owners);
    }

    /// Takes the object whose turn it is of those that are due under a policy, for it to be deleted; [`Ground::settle`]
    /// must follow. Gives nothing for a policy that deletes nothing.
    pub fn take_due(&mut self, policy: &NamespacedName, now: Timestamp) -> Option<Due> {
        self.take(policy, now, |ground, id, millis| {
            let Ground { slots, spaces, tenants, .. } = ground;
            let space_of =
                |slot: u32| slots.get(slot as usize).and_then(Option::as_ref).map_or(0, |entry| entry.space);
            let is_full = |space| spaces.get(space).is_some_and(|space: &spaces::Space| space.is_full);
            tenants.get_mut(id)?.order.next_due(millis, space_of, is_full)
        })
    }

    /// Takes the next object that is to be told that it goes under a policy; [`Ground::settle`] must follow.
    pub fn take_notice(&mut self, policy: &NamespacedName, now: Timestamp) -> Option<Due> {
        self.take(policy, now, |ground, id, millis| {
            ground.tenants.get(id)?.notices.first().copied().filter(|(at, _)| *at <= millis)
        })
    }

    fn take(
        &mut self,
        policy: &NamespacedName,
        now: Timestamp,
        first: impl Fn(&mut Self, TenantId, i64) -> Option<(i64, u32)>,
    ) -> Option<Due> {
        let ids: Vec<_> = self.tenants.of(policy).collect();
        for id in ids {
            let may_act =
                |tenant: &tenants::Tenant| tenant.rule.policy.mode == Mode::Enforce && !tenant.is_sweeping;
            if !self.tenants.get(id).is_some_and(may_act) {
                continue;
            }
            for _ in 0..JUDGED_AT_ONCE_MAX {
                let Some((_, slot)) = first(self, id, now.as_millisecond()) else { break };
                if let Some(due) = self.take_slot(id, slot, now) {
                    return Some(due);
                }
                // Something lies otherwise than it did when it was seated.
                self.rejoin(slot, now);
            }
        }
        None
    }

    fn take_slot(&mut self, id: TenantId, slot: u32, now: Timestamp) -> Option<Due> {
        if !self.is_in_place(id, slot) {
            return None;
        }
        self.rank_anew(id, slot, now);
        let circumstances = self.circumstances(id, slot, Gate::Open, now);
        let (tenant, object) = (self.tenants.get(id)?, &self.entry(slot)?.object);
        let rule = &tenant.rule;
        if !tenant.has_read(object) {
            return None;
        }
        let (since, step) = match decide(rule, object, &circumstances, now) {
            Verdict::Delete { since } => (since, Step::Delete),
            Verdict::Notify { deletes_at } => (now, Step::Notify { deletes_at }),
            _ => return None,
        };
        let due = Due {
            namespace: Arc::clone(&object.namespace),
            name: object.name.clone(),
            uid: object.uid.clone(),
            resource_version: object.resource_version.clone(),
            since,
            free_since: self.free_since(slot, object).max(since),
            step,
            target: rule.target_index(),
            is_held: rule.policy.finalizer.as_ref().is_some_and(|finalizer| finalizer.is_on(object)),
            slot,
        };
        self.progress(slot, Progress::InFlight, now);
        Some(due)
    }

    /// A policy has deleted this object, and it hangs on the finalizer that the policy takes off: the server has accepted the
    /// deletion of the very version that was judged, or the policy's status says so.
    pub fn entrust(&mut self, policy: &NamespacedName, ward: Ward, now: Timestamp) {
        let slot = self.slot_of(&ward);
        self.wards.put(policy, ward, now);
        if let Some(slot) = slot {
            self.reseat(slot, now);
        }
    }

    /// The objects that a policy has deleted, and that hang on its finalizer.
    pub fn wards(&self, policy: &NamespacedName) -> impl Iterator<Item = &Ward> {
        self.wards.of(policy)
    }

    /// When the policy's finalizer is to be taken off an object next; in the past if one waits to be taken.
    pub fn next_release(&self, policy: &NamespacedName) -> Option<Timestamp> {
        let rule = self.releasing_rule(policy)?;
        self.wards.next(policy, |ward| self.is_releasable(rule, ward))
    }

    /// Takes an object off which the policy's finalizer is to be taken; [`Ground::settle`] must follow. Gives nothing for a
    /// policy that acts on nothing, and none but what the policy has deleted itself.
    pub fn take_release(&mut self, policy: &NamespacedName, now: Timestamp) -> Option<Due> {
        let rule = self.releasing_rule(policy)?.clone();
        let mut wards = std::mem::take(&mut self.wards);
        let ward = wards.take(policy, |ward| self.is_releasable(&rule, ward), now);
        self.wards = wards;
        let ward = ward?;
        let in_sight = self.slot_of(&ward).and_then(|slot| self.entry(slot));
        Some(Due {
            resource_version: in_sight
                .map_or_else(|| ResourceVersion::from(""), |entry| entry.object.resource_version.clone()),
            namespace: ward.namespace,
            name: ward.name,
            uid: ward.uid,
            since: now,
            free_since: now,
            step: Step::Release,
            target: rule.target_index(),
            is_held: true,
            slot: u32::MAX,
        })
    }

    /// A rule of a policy that acts, and takes a finalizer off.
    fn releasing_rule(&self, policy: &NamespacedName) -> Option<&Rule> {
        let id = self.tenants.of(policy).next()?;
        let rule = &self.tenants.get(id)?.rule;
        let acts = rule.policy.mode == Mode::Enforce && rule.policy.action == Action::Delete;
        (acts && rule.policy.finalizer.is_some()).then_some(rule)
    }

    /// Whether the finalizer may be taken off what a policy has deleted. What is out of sight may have lost the labels that
    /// the watch selects by: the server is asked.
    fn is_releasable(&self, rule: &Rule, ward: &Ward) -> bool {
        if rule.rail_at(&ward.namespace, &ward.name).is_some() {
            return false;
        }
        let in_sight = self.slot_of(ward).and_then(|slot| self.entry(slot));
        in_sight.is_none_or(|entry| entry.object.terminating && !entry.object.protect)
    }

    /// Where the very incarnation that was deleted lies, if it is in sight.
    fn slot_of(&self, ward: &Ward) -> Option<u32> {
        let slot = self.find(self.spaces.id(&ward.namespace)?, &ward.name)?;
        self.entry(slot).filter(|entry| entry.object.uid == ward.uid).map(|_| slot)
    }

    /// Since when an object might have gone, as far as that does not depend on its time.
    fn free_since(&self, slot: u32, object: &Object) -> Timestamp {
        let freed = self.freed_at.get(&slot).and_then(|at| Timestamp::from_millisecond(*at).ok());
        freed.max(object.created()).unwrap_or(Timestamp::MIN)
    }

    /// Whether an object waits to go, or is going.
    fn waits(&self, slot: u32) -> bool {
        self.entry(slot).is_some_and(|entry| {
            let is_to_go = |seat: &Seat| matches!(seat.next, Next::Deletion | Next::Notice);
            entry.progress != Progress::Idle || entry.seats.iter().any(is_to_go)
        })
    }

    /// An object has its places anew: if it did not wait before, and is due already, then it is free to go only now.
    fn note_freedom(&mut self, slot: u32, waited: bool, now: Timestamp) {
        let millis = now.as_millisecond();
        let is_due = self.entry(slot).is_some_and(|entry| {
            entry.seats.iter().any(|seat| seat.next == Next::Deletion && seat.at <= millis)
        });
        if is_due && !waited {
            self.freed_at.insert(slot, millis);
        } else if !self.waits(slot) {
            self.freed_at.remove(&slot);
        }
    }

    /// Whether the labels of its namespace, and its group, are as they were when it was seated.
    fn is_in_place(&self, id: TenantId, slot: u32) -> bool {
        let (Some(tenant), Some(entry)) = (self.tenants.get(id), self.entry(slot)) else { return false };
        let is_grouped = match (&tenant.groups, &tenant.rule.policy.keep) {
            (Some(groups), Some(keep)) => groups.has(keep, (slot, entry.space), &entry.object),
            _ => true,
        };
        is_grouped && self.reaches(id, entry.space)
    }

    /// Sees to it that whoever is kept beside an object is one that the rule is about now, if that depends on the time.
    fn rank_anew(&mut self, id: TenantId, slot: u32, now: Timestamp) {
        loop {
            let strays = self.strays(id, slot, now);
            if strays.is_empty() {
                return;
            }
            strays.into_iter().for_each(|stray| self.rejoin(stray, now));
        }
    }

    /// Those kept beside an object that the rule is about no more.
    fn strays(&self, id: TenantId, slot: u32, now: Timestamp) -> Vec<u32> {
        let (Some(tenant), Some(entry)) = (self.tenants.get(id), self.entry(slot)) else { return Vec::new() };
        let rule = &tenant.rule;
        let (Some(groups), Some(keep)) = (&tenant.groups, &rule.policy.keep) else { return Vec::new() };
        if !rule.policy.uses_now() {
            return Vec::new();
        }
        let is_stray = |slot: &u32| {
            self.entry(*slot).is_some_and(|entry| !standing(rule, &entry.object, now).is_matched())
        };
        groups.kept_beside(keep, entry.space, &entry.object).into_iter().filter(is_stray).collect()
    }

    /// The deletion of an object has come so far. What goes has no place in a group, so that nobody goes on account of it.
    fn progress(&mut self, slot: u32, progress: Progress, now: Timestamp) {
        self.delist(slot, now);
        if let Some(entry) = self.entry_mut(slot) {
            entry.progress = progress;
        }
        self.enlist(slot, now);
    }

    /// Says how what was to be done with a taken object went.
    pub fn settle(&mut self, due: &Due, settled: Settled, now: Timestamp) {
        if due.step == Step::Release {
            let soon = || now.checked_add(CHANGE_AWAITED).unwrap_or(now);
            return self.wards.settle(
                &due.uid,
                match settled {
                    Settled::Done => None,
                    Settled::Changed => Some(soon()),
                    Settled::NotBefore(at) => Some(at),
                },
            );
        }
        let slot = due.slot;
        let Some(entry) = self.entry(slot).filter(|entry| entry.object.uid == due.uid) else { return };
        if entry.progress != Progress::InFlight {
            return;
        }
        let seen_change = entry.object.resource_version != due.resource_version;
        let soon = now.checked_add(CHANGE_AWAITED).ok();
        let (progress, not_before) = match (settled, due.step) {
            (Settled::Done, Step::Delete) => (Progress::Accepted, None),
            (Settled::Done | Settled::Changed, _) if seen_change => (Progress::Idle, None),
            (Settled::Done | Settled::Changed, _) => (Progress::Idle, soon),
            (Settled::NotBefore(at), _) => (Progress::Idle, Some(at)),
        };
        if let Some(at) = not_before {
            self.not_before.insert(slot, ceil_millis(at));
        }
        self.progress(slot, progress, now);
    }

    fn enter_space(&mut self, name: &str) -> SpaceId {
        let (space, is_new) = self.spaces.enter(name);
        if is_new {
            // Nothing lies there yet that would have to be judged anew.
            self.tenants.cover(space, &self.spaces);
        }
        space
    }

    /// Forgets the namespaces in which nothing lies any more.
    ///
    /// Not as soon as one is empty: where jobs come and go one by one, each would be matched with all rules anew.
    fn forget_empty_spaces(&mut self) {
        let Self { spaces, tenants, .. } = self;
        for space in spaces.forget_empty(|space| tenants.are_confined_to(space)) {
            tenants.uncover(space);
        }
    }

    /// The object, holding in common with others what it has in common with them.
    fn with_shared(&mut self, mut object: Object, space: SpaceId) -> Object {
        if let Some(space) = self.spaces.get(space) {
            object.namespace = Arc::clone(&space.name);
        }
        object.fields = self.alike.share(std::mem::take(&mut object.fields));
        object
    }

    fn find(&self, space: SpaceId, name: &str) -> Option<u32> {
        let same = |slot: &u32| {
            self.entry(*slot).is_some_and(|entry| entry.space == space && &*entry.object.name == name)
        };
        self.names.find(self.hasher.hash_one((space, name)), same).copied()
    }

    fn entry(&self, slot: u32) -> Option<&Entry> {
        self.slots.get(slot as usize)?.as_ref()
    }

    fn entry_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    fn insert(&mut self, object: Object, space: SpaceId, listing: u32) -> u32 {
        let hash = self.hasher.hash_one((space, &*object.name));
        let entry = Some(Entry { object, space, listing, progress: Progress::Idle, seats: Seats::None });
        let reused = self.free.pop().and_then(|slot| Some((slot, self.slots.get_mut(slot as usize)?)));
        let slot = if let Some((slot, place)) = reused {
            *place = entry;
            slot
        } else {
            self.slots.push(entry);
            // A cluster cannot hold four billion objects: etcd's limits come first.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        let rehash = |slot: &u32| {
            slots
                .get(*slot as usize)
                .and_then(Option::as_ref)
                .map_or(0, |entry| hasher.hash_one((entry.space, &*entry.object.name)))
        };
        self.names.insert_unique(hash, slot, rehash);
        if let Some(space) = self.spaces.get_mut(space) {
            space.objects += 1;
        }
        slot
    }

    fn vacate(&mut self, slot: u32, now: Timestamp) {
        self.delist(slot, now);
        self.not_before.remove(&slot);
        self.freed_at.remove(&slot);
        let Some(entry) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        let hash = self.hasher.hash_one((entry.space, &*entry.object.name));
        if let Ok(place) = self.names.find_entry(hash, |&other| other == slot) {
            place.remove();
        }
        if let Some(space) = self.spaces.get_mut(entry.space) {
            space.objects = space.objects.saturating_sub(1);
        }
        self.free.push(slot);
    }

    fn dismiss_one(&mut self, id: TenantId, now: Timestamp) {
        let Some(rule) = self.tenants.get(id).map(|tenant| tenant.rule.clone()) else { return };
        let overrode = self.tenants.overrides_any(&rule);
        let has_siblings = self.tenants.has_siblings(id);
        let mut freed = Vec::new();
        for (slot, entry) in (0..).zip(&mut self.slots) {
            let Some(entry) = entry else { continue };
            let was_kept = entry.seats.iter().any(|seat| seat.bucket == Bucket::KeptBy);
            let was_counted = entry.seats.iter().any(|seat| seat.tenant == id && seat.is_counted);
            entry.seats.drop_of(id);
            if (overrode && was_kept) || (has_siblings && was_counted) {
                freed.push(slot);
            }
        }
        self.tenants.remove(id, &self.spaces);
        self.unjudged.forget(id);
        self.judge_anew(freed, now);
    }

    fn matched_slots(&self, id: TenantId) -> BTreeSet<u32> {
        // What is not known counts: the rest is to be approved.
        let is_selected = |bucket: Bucket| bucket.is_matched() || bucket == Bucket::OwnerUnknown;
        let matched =
            |entry: &&Entry| entry.seats.iter().any(|seat| seat.tenant == id && is_selected(seat.bucket));
        let entries = (0..).zip(&self.slots).filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)));
        entries.filter(|(_, entry)| matched(entry)).map(|(slot, _)| slot).collect()
    }

    /// Finds the places of an object with the rules that select it.
    fn enlist(&mut self, slot: u32, now: Timestamp) {
        let candidates = self.candidates(slot);
        self.join_groups(slot, &candidates, now);
        self.seat(slot, &candidates, now);
    }

    /// Undoes [`Ground::enlist`]; to be called before anything that it depends on changes.
    fn delist(&mut self, slot: u32, now: Timestamp) {
        self.unseat(slot);
        self.leave_groups(slot, now);
    }

    /// Time or circumstances have changed: the object's groups and places are found anew.
    fn rejoin(&mut self, slot: u32, now: Timestamp) {
        self.rejoin_after(slot, now, |_| {});
    }

    /// Something about the object has come to be known.
    fn rejoin_after(&mut self, slot: u32, now: Timestamp, change: impl FnOnce(&mut Object)) {
        let waited = self.waits(slot);
        self.delist(slot, now);
        if let Some(entry) = self.entry_mut(slot) {
            change(&mut entry.object);
        }
        self.enlist(slot, now);
        self.note_freedom(slot, waited, now);
    }

    /// The object's places are found anew; its groups are as they were.
    fn reseat(&mut self, slot: u32, now: Timestamp) {
        let waited = self.waits(slot);
        self.unseat(slot);
        let candidates = self.candidates(slot);
        self.seat(slot, &candidates, now);
        self.note_freedom(slot, waited, now);
    }

    fn candidates(&self, slot: u32) -> Vec<TenantId> {
        self.entry(slot)
            .map_or_else(Vec::new, |entry| self.tenants.candidates(entry.space, &entry.object.labels))
    }

    fn join_groups(&mut self, slot: u32, candidates: &[TenantId], now: Timestamp) {
        let mut moved = Vec::new();
        let Self { slots, tenants, .. } = self;
        let Some(entry) = slots.get(slot as usize).and_then(Option::as_ref) else { return };
        if entry.progress != Progress::Idle {
            return;
        }
        for id in candidates {
            let Some(tenant) = tenants.get_mut(*id) else { continue };
            if tenant.groups.is_none() || !tenant.has_read(&entry.object) {
                continue;
            }
            let (Some(groups), Some(keep)) = (&mut tenant.groups, &tenant.rule.policy.keep) else { continue };
            let stands = standing(&tenant.rule, &entry.object, now);
            // What is on its way out has no place, also if it is protected besides.
            if stands.is_matched() && !entry.object.terminating {
                moved.extend(groups.join(keep, (slot, entry.space), &entry.object));
            }
        }
        moved.into_iter().filter(|other| *other != slot).for_each(|other| self.reseat(other, now));
    }

    fn leave_groups(&mut self, slot: u32, now: Timestamp) {
        let candidates = self.candidates(slot);
        let mut moved = Vec::new();
        let Self { slots, tenants, .. } = self;
        let Some(entry) = slots.get(slot as usize).and_then(Option::as_ref) else { return };
        for id in candidates {
            let Some(tenant) = tenants.get_mut(id) else { continue };
            let (Some(groups), Some(keep)) = (&mut tenant.groups, &tenant.rule.policy.keep) else { continue };
            moved.extend(groups.leave(keep, (slot, entry.space), &entry.object));
        }
        moved.into_iter().for_each(|other| self.reseat(other, now));
    }

    /// Undoes the part of [`Ground::seat`] that concerns one rule.
    fn unseat_of(&mut self, id: TenantId, slot: u32) {
        let Self { slots, tenants, .. } = self;
        let Some(entry) = slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let Some(seat) = entry.seats.iter().find(|seat| seat.tenant == id).copied() else { return };
        entry.seats.drop_of(id);
        if let Some(tenant) = tenants.get_mut(id) {
            tenant.leave_seat(seat, (slot, entry.space));
        }
    }

    fn seat(&mut self, slot: u32, ids: &[TenantId], now: Timestamp) {
        let overriders = self.overriders(slot);
        let seats: Vec<_> = ids.iter().filter_map(|id| self.place(*id, slot, &overriders, now)).collect();
        let Self { slots, tenants, unasked, .. } = self;
        let Some(entry) = slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        for seat in seats {
            if seat.bucket == Bucket::OwnerUnknown && entry.object.owners == OwnersSeen::Unknown {
                unasked.insert(slot);
            }
            if let Some(tenant) = tenants.get_mut(seat.tenant) {
                tenant.take_seat(seat, slot);
                entry.seats.push(seat);
            }
        }
        if entry.seats.iter().any(|seat| tenants.has_siblings(seat.tenant)) {
            entry.count_once(tenants);
        }
    }

    fn unseat(&mut self, slot: u32) {
        let Self { slots, tenants, unasked, .. } = self;
        unasked.remove(&slot);
        let Some(entry) = slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        for seat in std::mem::take(&mut entry.seats).iter() {
            if let Some(tenant) = tenants.get_mut(seat.tenant) {
                tenant.leave_seat(*seat, (slot, entry.space));
            }
        }
    }

    /// The place of an object with a rule; none if the rule does not select it.
    fn place(&self, id: TenantId, slot: u32, overriders: &[TenantId], now: Timestamp) -> Option<Seat> {
        let (tenant, entry) = (self.tenants.get(id)?, self.entry(slot)?);
        let rule = &tenant.rule;
        if !tenant.has_read(&entry.object) {
            // Labels and names are there whatever was asked for.
            if !rule.target().may_select(&entry.object) {
                return None;
            }
            let (bucket, next) = (Bucket::Unread, Next::Nothing);
            return Some(Seat { at: i64::MAX, tenant: id, bucket, next, is_counted: true, is_new: false });
        }
        let stands = standing(rule, &entry.object, now);
        let bucket = Bucket::of(&stands)?;
        let later = |at: Timestamp| at.max(now.checked_add(RECHECK).unwrap_or(now));
        let turns_at = || rule.policy.may_turn_at(&entry.object, now);
        let recheck = || turns_at().map_or((Next::Nothing, now), |at| (Next::Recheck, at));
        let (bucket, (next, at)) = match stands {
            Standing::Expires(_) if self.ranked(id, slot).is_some() => (Bucket::Ranked, recheck()),
            Standing::Expires(at) => match self.keeper(id, slot, overriders, now) {
                // A guest has no seat by which it would be noticed that it changes its mind.
                Some(keeper) if keeper.ends_at().is_none() && self.tenants.guests_use_now(overriders) => {
                    (Bucket::KeptBy, (Next::Recheck, later(now)))
                }
                Some(keeper) => {
                    (Bucket::KeptBy, keeper.ends_at().map_or_else(recheck, |at| (Next::Recheck, at)))
                }
                None if entry.progress != Progress::Idle => (Bucket::Pending, (Next::Nothing, now)),
                None => match next_step(rule, &entry.object, at) {
                    // By then the expression may say another time, and an earlier one.
                    step if rule.policy.moves() => match turns_at() {
                        Some(at) if at < step.1 => (Bucket::Pending, (Next::Recheck, at)),
                        _ => (Bucket::Pending, step),
                    },
                    step => (Bucket::Pending, step),
                },
            },
            Standing::Owned(OwnersSeen::There | OwnersSeen::Asked) => (bucket, (Next::Recheck, later(now))),
            // While the answer to its deletion is awaited, it is not known yet who has deleted it.
            Standing::Terminating if entry.progress != Progress::InFlight && self.is_held(rule, entry) => {
                (Bucket::Held, recheck())
            }
            _ => (bucket, recheck()),
        };
        let at = match next {
            Next::Nothing => i64::MAX,
            Next::Recheck => ceil_millis(at),
            Next::Deletion | Next::Notice => {
                ceil_millis(at).max(self.not_before.get(&slot).copied().unwrap_or(i64::MIN))
            }
        };
        let is_new = self.is_new(tenant, bucket, &entry.object, now);
        Some(Seat { at, tenant: id, bucket, next, is_counted: true, is_new })
    }

    /// Whether a policy is about an object that it was not about by its rules before.
    fn is_new(&self, tenant: &tenants::Tenant, bucket: Bucket, object: &Object, now: Timestamp) -> bool {
        let may_be = bucket.is_matched() || bucket == Bucket::OwnerUnknown;
        let Some(newly) = tenant.newly.as_ref().filter(|_| may_be) else { return false };
        let kind = tenant.rule.kind();
        !newly.before.iter().any(|rule| self.was_about(rule, kind, object, now))
    }

    fn verdict(&self, id: TenantId, slot: u32, gate: Gate, now: Timestamp) -> Option<Verdict> {
        let (tenant, object) = (self.tenants.get(id)?, &self.entry(slot)?.object);
        if !tenant.has_read(object) && tenant.rule.target().may_select(object) {
            return Some(Verdict::Keep(Kept::Unread));
        }
        Some(decide(&tenant.rule, object, &self.circumstances(id, slot, gate, now), now))
    }

    fn circumstances(&self, id: TenantId, slot: u32, gate: Gate, now: Timestamp) -> Circumstances {
        let keeper = self.keeper(id, slot, &self.overriders(slot), now);
        Circumstances { ranked: self.ranked(id, slot), keeper, gate, is_ward: self.is_ward(id, slot) }
    }

    /// Whether it is known that the policy of a rule has deleted an object.
    fn is_ward(&self, id: TenantId, slot: u32) -> bool {
        let ward = || Some((&self.tenants.get(id)?.rule.policy.key, &self.entry(slot)?.object.uid));
        ward().is_some_and(|(policy, uid)| self.wards.has(policy, uid))
    }

    /// Whether an object that is being deleted hangs on finalizers that a rule's policy does not take off.
    fn is_held(&self, rule: &Rule, Entry { object, .. }: &Entry) -> bool {
        let is_ward = || self.wards.has(&rule.policy.key, &object.uid);
        rule.policy.finalizer.is_some()
            && matches!(ending(rule, object, is_ward()), Ending::Unproven(_) | Ending::Held(_))
    }

    fn ranked(&self, id: TenantId, slot: u32) -> Option<crate::decide::Ranked> {
        let (tenant, entry) = (self.tenants.get(id)?, self.entry(slot)?);
        let (groups, keep) = (tenant.groups.as_ref()?, tenant.rule.policy.keep.as_ref()?);
        groups.keeps(keep, (slot, entry.space), &entry.object)
    }

    /// The rules that may keep an object from others; mostly there are none.
    fn overriders(&self, slot: u32) -> Vec<TenantId> {
        let of = |entry: &Entry| self.tenants.overriders(entry.space, &entry.object.labels);
        self.entry(slot).map(of).unwrap_or_default()
    }

    /// Another policy that keeps an object from a rule.
    fn keeper(&self, id: TenantId, slot: u32, overriders: &[TenantId], now: Timestamp) -> Option<Keeper> {
        let Entry { object, space, .. } = self.entry(slot)?;
        self.tenants.overriders_of(id, overriders).find_map(|other| {
            let policy = &other.rule.policy;
            let because = other.keeps(object, *space, now)?;
            Some(Keeper { policy: policy.key.clone(), because })
        })
    }
}

/// Whether a rule is about an object, or will be once it is known that its owners are gone.
fn may_be_about(standing: &Standing) -> bool {
    standing.is_matched() || matches!(standing, Standing::Owned(OwnersSeen::Unknown | OwnersSeen::Asked))
}

fn owner_names(object: &Object) -> Vec<OwnerName> {
    let name = |owner: crate::owners::Owner<'_>| OwnerName {
        api_version: owner.api_version.to_owned(),
        kind: owner.kind.to_owned(),
        name: owner.name.to_owned(),
        uid: Uid::from(owner.uid),
    };
    crate::owners::owners(object).map(name).collect()
}

impl Entry {
    /// Sees to it that the object counts once for each policy, although several of its targets select it: for the one by which
    /// there is most to be done.
    fn count_once(&mut self, tenants: &mut Tenants) {
        let seats: Vec<Seat> = self.seats.iter().copied().collect();
        let yields = |seat: &Seat, other: &Seat| {
            (other.bucket, other.tenant) < (seat.bucket, seat.tenant)
                && tenants.are_siblings(other.tenant, seat.tenant)
        };
        let counted: Vec<bool> =
            seats.iter().map(|seat| !seats.iter().any(|other| yields(seat, other))).collect();
        for (seat, is_counted) in self.seats.iter_mut().zip(counted) {
            if seat.is_counted != is_counted {
                seat.is_counted = is_counted;
                tenants.recount(seat);
            }
        }
    }
}

impl Keeper {
    fn ends_at(&self) -> Option<Timestamp> {
        match self.because {
            KeepsBecause::Keep { until } => until,
            KeepsBecause::Priority(_) | KeepsBecause::Unknown => None,
        }
    }
}

/// What is to be done with an object that expires at this moment, and when.
fn next_step(rule: &Rule, object: &Object, expires_at: Timestamp) -> (Next, Timestamp) {
    let at = acts_at(rule, object, expires_at);
    // Whoever is to be told is told before it falls due.
    if rule.policy.notice.is_some() && at < expires_at { (Next::Notice, at) } else { (Next::Deletion, at) }
}

/// The first whole millisecond that is not before `at`.
fn ceil_millis(at: Timestamp) -> i64 {
    let millis = at.as_millisecond();
    match Timestamp::from_millisecond(millis) {
        Ok(whole) if whole < at => millis + 1,
        _ => millis,
    }
}

impl Seats {
    fn iter(&self) -> impl Iterator<Item = &Seat> {
        match self {
            Self::None => [].iter(),
            Self::One(seat) => std::slice::from_ref(seat).iter(),
            Self::Two(seats) => seats.iter(),
            Self::Many(seats) => seats.iter(),
        }
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Seat> {
        match self {
            Self::None => [].iter_mut(),
            Self::One(seat) => std::slice::from_mut(seat).iter_mut(),
            Self::Two(seats) => seats.iter_mut(),
            Self::Many(seats) => seats.iter_mut(),
        }
    }

    fn push(&mut self, seat: Seat) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(seat),
            Self::One(first) => Self::Two(Box::new([first, seat])),
            Self::Two(seats) => Self::Many(Box::new(seats.into_iter().chain([seat]).collect())),
            Self::Many(mut seats) => {
                seats.push(seat);
                Self::Many(seats)
            }
        };
    }

    fn drop_of(&mut self, id: TenantId) {
        if self.iter().any(|seat| seat.tenant == id) {
            let seats = std::mem::take(self);
            seats.iter().filter(|seat| seat.tenant != id).for_each(|seat| self.push(*seat));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn namespaces_in_which_nothing_lies_any_more_are_forgotten_with_the_next_listing() {
        let mut ground = Ground::default();
        let sweep = |namespace: &str, name: &str| {
            let target = json!({"apiVersion": "v1", "kind": "ConfigMap"});
            let spec = json!({"targetResource": target, "mode": "Enforce", "keep": {"newest": 0}});
            let rails = api::Rails::new("grounds");
            if namespace.is_empty() {
                let policy = json!({"metadata": {"name": name}, "spec": spec});
                let policy: api::ClusterGarbageCollectionPolicy = serde_json::from_value(policy).unwrap();
                return Arc::new(Policy::compile(&policy, &rails).unwrap());
            }
            let policy = json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec});
            let policy: api::GarbageCollectionPolicy = serde_json::from_value(policy).unwrap();
            Arc::new(Policy::compile(&policy, &rails).unwrap())
        };
        let (everywhere, own) = (sweep("", "everywhere"), sweep("own", "own"));
        let rules = [&everywhere, &own].into_iter().flat_map(Policy::rules);
        let now = Timestamp::UNIX_EPOCH;
        rules.for_each(|rule| ground.admit(rule, now));
        ground.put_namespace("labelled", Some([("a", "b")].into_iter().collect()), now);
        ground.set_full("full", true);
        let list = |ground: &mut Ground, namespaces: &[&str]| {
            ground.begin_listing(&Scope::CLUSTER, None);
            for namespace in namespaces {
                let text = json!({"metadata": {
                    "name": "a", "namespace": namespace, "uid": namespace, "resourceVersion": "1",
                    "creationTimestamp": "1970-01-01T00:00:00Z",
                }});
                let object = crate::testing::object(&text.to_string(), &[]);
                ground.apply(&Scope::CLUSTER, object, now);
            }
            ground.finish_listing(&Scope::CLUSTER, now);
        };
        for number in 0..100 {
            let name = format!("preview-{number}");
            list(&mut ground, &[&name, "stays", "labelled"]);
            assert_eq!(ground.spaces.iter().count(), 5, "{number}");
            assert_eq!(ground.tenants.covered(), 5, "{number}");
            assert_eq!(ground.counts(&everywhere.key).matched(), 3, "{number}");
        }
        assert_eq!(ground.base(&everywhere.key), 3);
    }

    #[test]
    fn an_entry_is_small() {
        // The budget of a tracked object is 300 bytes: name, labels and its place in the queue take the rest.
        assert!(size_of::<Seats>() <= 16, "{} bytes", size_of::<Seats>());
        assert!(size_of::<Option<Entry>>() <= 144, "{} bytes", size_of::<Option<Entry>>());
    }
}
