//! The rules that look at a ground, and which of them may have a word on an object.
//!
//! A guest is a rule on the same kind in another version of its API: the objects are the same, so it may keep them from
//! others. Their metadata is the same in all versions; their other fields may lie elsewhere, so a guest that reads such
//! fields counts as one that has not read the object.
//!
//! A rule that demands a label with one value is found by that label; so an event costs the rules that may match, not
//! all that there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use api::garbage_collection::Action;
use jiff::Timestamp;
use units::{KeyPath, NamespacedName};
use views::Labels;

use super::NewlySelected;
use super::groups::Groups;
use super::queue::Queue;
use super::spaces::{SpaceId, Spaces};
use crate::decide::{KeepsBecause, Standing, is_unmarked, standing};
use crate::object::{Object, OwnersSeen};
use crate::policy::{Mode, Reach, Rule};
use crate::when::NotDue;

/// A rule's number within its ground.
pub(super) type TenantId = u32;

/// All rules that look at the ground.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    all: Vec<Option<Tenant>>,
    ids: Names,
    guests: Names,
    confined: HashMap<SpaceId, Index>,
    everywhere: Index,
}

/// A rule that looks at the ground.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) rule: Rule,
    role: Role,
    /// The policy has, or had, other rules here.
    has_siblings: bool,
    /// What falls due, and when.
    pub(super) order: Queue,
    /// What is to be told, and when.
    pub(super) notices: BTreeSet<(i64, u32)>,
    /// What is to be judged anew although it has not changed, and when.
    pub(super) rechecks: BTreeSet<(i64, u32)>,
    pub(super) counts: Counts,
    /// Objects of which it cannot be told when their time is up.
    pub(super) unresolvable: BTreeSet<u32>,
    /// Objects that are being deleted, and hang on finalizers that the policy does not take off.
    pub(super) held: BTreeSet<u32>,
    pub(super) groups: Option<Groups>,
    /// It has not looked at all objects yet.
    pub(super) is_sweeping: bool,
    /// What it is about that its policy was not about before, if anybody wants to know.
    pub(super) newly: Option<Newly>,
    /// What judging an object reads of it, besides what every record holds.
    reads: Vec<KeyPath>,
    covered: HashMap<SpaceId, Coverage>,
}

/// What a rule does on a ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Its objects are those of the ground.
    Resident,
    /// It is about another version of the kind, and only keeps objects from others.
    Guest,
}

/// What a rule is about that its policy was not about before.
#[derive(Debug)]
pub(super) struct Newly {
    /// The rules of the policy before.
    pub(super) before: Arc<[Rule]>,
    pub(super) selected: NewlySelected,
}

impl Newly {
    fn count(&mut self, seat: Seat) -> Option<&mut u64> {
        let selected = &mut self.selected;
        seat.is_new.then_some(match seat.bucket {
            Bucket::OwnerUnknown => &mut selected.if_owners_are_gone,
            _ => &mut selected.known,
        })
    }
}

/// Whether a rule looks at a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coverage {
    #[default]
    No,
    /// It does if the labels of the namespace, which are not known, are as it wants them.
    Unknown,
    Yes,
}

/// How it stands with an object under a rule, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Bucket {
    /// Its time comes, or has come.
    Pending,
    /// It is being deleted already.
    Terminating,
    /// It is being deleted already, and hangs on finalizers that the policy, which takes one off, does not take off.
    Held,
    /// It is never deleted.
    Protected,
    /// It cannot be told when its time is up.
    Unresolvable,
    /// Nothing says that it should go.
    NotDue,
    /// A condition does not hold.
    Unmet,
    /// It is one of the newest or oldest of its group.
    Ranked,
    /// Another policy keeps it.
    KeptBy,
    /// The policy keeps it from others.
    Keeping,
    /// An owner of it exists.
    OwnerExists,
    /// It is not known whether its owners exist.
    OwnerUnknown,
    /// It was read before the policy asked for what it reads of it, or that is too large to be kept.
    Unread,
}

/// How many objects of each sort a rule has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([i64; Bucket::ALL.len()]);

/// An object's place with one rule: how it is counted, and when it is looked at next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    /// In milliseconds; the greatest number if nothing is to be done at any time.
    pub(super) at: i64,
    pub(super) tenant: TenantId,
    pub(super) bucket: Bucket,
    pub(super) next: Next,
    /// No other target of the same policy counts the object already.
    pub(super) is_counted: bool,
    /// The policy was not about the object before.
    pub(super) is_new: bool,
}

/// What is to be done with an object next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Next {
    Nothing,
    Deletion,
    Notice,
    Recheck,
}

impl Bucket {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Pending,
        Self::Terminating,
        Self::Held,
        Self::Protected,
        Self::Unresolvable,
        Self::NotDue,
        Self::Unmet,
        Self::Ranked,
        Self::KeptBy,
        Self::Keeping,
        Self::OwnerExists,
        Self::OwnerUnknown,
        Self::Unread,
    ];

    /// The reason under which it is counted in a status.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Terminating => "Terminating",
            Self::Held => "HeldByFinalizers",
            Self::Protected => "Protected",
            Self::Unresolvable => "Unresolvable",
            Self::NotDue => "NotDue",
            Self::Unmet => "ConditionNotMet",
            Self::Ranked => "Ranked",
            Self::KeptBy => "KeptBy",
            Self::Keeping => "Keeping",
            Self::OwnerExists => "OwnerExists",
            Self::OwnerUnknown => "OwnerUnknown",
            Self::Unread => "Unread",
        }
    }

    /// Whether the policy is about the object: it is selected, and all conditions hold.
    pub const fn is_matched(self) -> bool {
        !matches!(self, Self::Unmet | Self::Keeping | Self::OwnerExists | Self::OwnerUnknown | Self::Unread)
    }

    pub(super) fn of(standing: &Standing) -> Option<Self> {
        Some(match standing {
            Standing::NotSelected => return None,
            Standing::Owned(OwnersSeen::There) => Self::OwnerExists,
            Standing::Owned(_) => Self::OwnerUnknown,
            Standing::Unmet => Self::Unmet,
            Standing::Protected(_) => Self::Protected,
            Standing::Terminating => Self::Terminating,
            Standing::Unresolvable(_) => Self::Unresolvable,
            Standing::NotDue(_) => Self::NotDue,
            Standing::Keeps { .. } => Self::Keeping,
            Standing::Expires(_) => Self::Pending,
        })
    }
}

impl Counts {
    /// Objects of one sort.
    pub fn of(&self, bucket: Bucket) -> i64 {
        self.0.get(bucket as usize).copied().unwrap_or_default()
    }

    /// Objects that the policy is about.
    pub fn matched(&self) -> i64 {
        Bucket::ALL.into_iter().filter(|bucket| bucket.is_matched()).map(|bucket| self.of(bucket)).sum()
    }

    /// The same with so many objects of a sort.
    #[must_use]
    pub fn with(mut self, bucket: Bucket, count: i64) -> Self {
        self.add(bucket, count - self.of(bucket));
        self
    }

    pub(super) fn add(&mut self, bucket: Bucket, one: i64) {
        if let Some(count) = self.0.get_mut(bucket as usize) {
            *count += one;
        }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }
}

impl Tenants {
    pub(super) fn insert(
        &mut self,
        rule: Rule,
        role: Role,
        before: Option<Arc<[Rule]>>,
        spaces: &mut Spaces,
    ) -> TenantId {
        let free = self.all.iter().position(Option::is_none);
        let place = free.unwrap_or(self.all.len());
        let id = TenantId::try_from(place).unwrap_or(TenantId::MAX);
        let index = match &rule.policy.reach {
            Reach::Namespace(namespace) => self.confined.entry(spaces.enter(namespace).0).or_default(),
            Reach::Cluster(_) => &mut self.everywhere,
        };
        index.insert(&rule, id);
        self.names_of(role).insert(&rule, id);
        let mut tenant = Tenant::new(rule, role);
        tenant.newly = before.map(|before| Newly { before, selected: NewlySelected::default() });
        for (space, _) in spaces.iter() {
            tenant.cover(space, spaces);
        }
        match self.all.get_mut(place) {
            Some(vacant) => *vacant = Some(tenant),
            None => self.all.push(Some(tenant)),
        }
        self.note_siblings(id);
        id
    }

    fn note_siblings(&mut self, id: TenantId) {
        let Some(key) = self.get(id).map(|tenant| tenant.rule.policy.key.clone()) else { return };
        let siblings: Vec<_> = self.of(&key).collect();
        if siblings.len() > 1 {
            siblings.into_iter().for_each(|id| {
                if let Some(tenant) = self.get_mut(id) {
                    tenant.has_siblings = true;
                }
            });
        }
    }

    pub(super) fn remove(&mut self, id: TenantId, spaces: &Spaces) {
        let Some(tenant) = self.all.get_mut(id as usize).and_then(Option::take) else { return };
        self.names_of(tenant.role).remove(&tenant.rule);
        match &tenant.rule.policy.reach {
            Reach::Cluster(_) => self.everywhere.remove(id),
            Reach::Namespace(namespace) => {
                let Some(space) = spaces.id(namespace) else { return };
                let Some(index) = self.confined.get_mut(&space) else { return };
                index.remove(id);
                if index.is_empty() {
                    self.confined.remove(&space);
                }
            }
        }
    }

    fn names_of(&mut self, role: Role) -> &mut Names {
        match role {
            Role::Resident => &mut self.ids,
            Role::Guest => &mut self.guests,
        }
    }

    /// Whether there are no residents.
    pub(super) fn is_empty(&self) -> bool {
        self.ids.0.is_empty()
    }

    /// The guests of a policy.
    pub(super) fn guests_of(&self, policy: &NamespacedName) -> impl Iterator<Item = TenantId> {
        self.guests.of(policy)
    }

    pub(super) fn guests(&self) -> impl Iterator<Item = TenantId> {
        self.guests.iter().map(|(_, id)| id)
    }

    pub(super) fn get(&self, id: TenantId) -> Option<&Tenant> {
        self.all.get(id as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: TenantId) -> Option<&mut Tenant> {
        self.all.get_mut(id as usize)?.as_mut()
    }

    /// A namespace has come, or its labels have changed: the rules that have begun or ceased to look at it.
    pub(super) fn cover(&mut self, space: SpaceId, spaces: &Spaces) -> Vec<TenantId> {
        let tenants = (0..).zip(&mut self.all).filter_map(|(id, tenant)| Some((id, tenant.as_mut()?)));
        tenants.filter_map(|(id, tenant)| tenant.cover(space, spaces).then_some(id)).collect()
    }

    /// Whether two rules are of one policy.
    pub(super) fn are_siblings(&self, one: TenantId, other: TenantId) -> bool {
        let key = |id| self.get(id).map(|tenant| &tenant.rule.policy.key);
        key(one) == key(other)
    }

    /// Whether the policy of a rule has, or had, other rules here.
    pub(super) fn has_siblings(&self, id: TenantId) -> bool {
        self.get(id).is_some_and(|tenant| tenant.has_siblings)
    }

    /// An object has begun, or ceased, to count for the rule of this seat.
    pub(super) fn recount(&mut self, seat: &Seat) {
        if let Some(tenant) = self.get_mut(seat.tenant) {
            tenant.count(*seat, if seat.is_counted { 1 } else { -1 });
        }
    }

    /// Whether a rule is confined to a namespace.
    pub(super) fn are_confined_to(&self, space: SpaceId) -> bool {
        self.confined.contains_key(&space)
    }

    /// A namespace is forgotten.
    pub(super) fn uncover(&mut self, space: SpaceId) {
        for tenant in self.all.iter_mut().flatten() {
            tenant.covered.remove(&space);
            if let Some(groups) = &mut tenant.groups {
                groups.forget(space);
            }
        }
    }

    /// In how many places namespaces are remembered.
    #[cfg(test)]
    pub(super) fn covered(&self) -> usize {
        self.all.iter().flatten().map(|tenant| tenant.covered.len()).sum()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = (&NamespacedName, TenantId)> {
        self.ids.iter()
    }

    /// The rules of a policy.
    pub(super) fn of(&self, policy: &NamespacedName) -> impl Iterator<Item = TenantId> {
        self.ids.of(policy)
    }

    /// The rules that may select an object with these labels in this namespace.
    pub(super) fn candidates(&self, space: SpaceId, labels: &Labels) -> Vec<TenantId> {
        let mut found = self.indexed(space, labels);
        found.retain(|id| {
            self.get(*id).is_some_and(|tenant| tenant.role == Role::Resident && tenant.covers(space))
        });
        found
    }

    fn indexed(&self, space: SpaceId, labels: &Labels) -> Vec<TenantId> {
        let mut found = Vec::new();
        if let Some(index) = self.confined.get(&space) {
            index.collect(labels, &mut found);
        }
        self.everywhere.collect(labels, &mut found);
        found
    }

    /// The rules that may keep an object with these labels in this namespace from any other, the strongest first.
    ///
    /// Found once for an object: if each of a thousand rules had to look at all others, one event would cost a million.
    pub(super) fn overriders(&self, space: SpaceId, labels: &Labels) -> Vec<TenantId> {
        let mut of = self.indexed(space, labels);
        of.retain(|id| self.get(*id).is_some_and(|tenant| tenant.coverage(space) != Coverage::No));
        let strength = |id: &TenantId| self.get(*id).and_then(|tenant| strength(&tenant.rule));
        let priority = |id: &TenantId| Some(self.get(*id)?.rule.policy.priority);
        let Some(weakest) = of.iter().filter_map(priority).min() else { return of };
        of.retain(|id| strength(id) > Some(Strength::Priority(weakest)));
        of.sort_by_key(|id| std::cmp::Reverse(strength(id)));
        of
    }

    /// Those overriders that may keep an object from this rule.
    pub(super) fn overriders_of(
        &self,
        id: TenantId,
        overriders: &[TenantId],
    ) -> impl Iterator<Item = &Tenant> {
        let own = self.get(id);
        let others = overriders.iter().filter_map(|other| self.get(*other));
        others.filter(move |other| own.is_some_and(|own| overrides(&other.rule, &own.rule)))
    }

    /// Whether one of these rules is a guest whose mind changes with the time.
    pub(super) fn guests_use_now(&self, rules: &[TenantId]) -> bool {
        let tenants = rules.iter().filter_map(|id| self.get(*id));
        tenants.into_iter().any(|tenant| tenant.role == Role::Guest && tenant.rule.policy.uses_now())
    }

    /// Whether a rule keeps objects from any other.
    pub(super) fn overrides_any(&self, rule: &Rule) -> bool {
        self.all.iter().flatten().any(|other| overrides(rule, &other.rule))
    }
}

/// Whether one rule may keep objects from another. One that only reports changes nothing, not even what others may do.
fn overrides(one: &Rule, other: &Rule) -> bool {
    let is_other = one.policy.key != other.policy.key;
    is_other
        && other.policy.action != Action::Keep
        && strength(one) > Some(Strength::Priority(other.policy.priority))
}

/// Whether a path is one that all versions of a kind have in common.
pub(super) fn is_metadata(path: &KeyPath) -> bool {
    path.keys().first().is_some_and(|key| **key == *"metadata")
}

/// Whether a rule may keep objects from any other at all.
pub(super) fn has_a_say(rule: &Rule) -> bool {
    strength(rule).is_some()
}

/// How strongly a rule has a say in what others may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    /// It keeps objects from those of lower priority.
    Priority(i32),
    /// It keeps objects from all.
    Keep,
}

/// None if it has no say.
fn strength(rule: &Rule) -> Option<Strength> {
    let policy = &rule.policy;
    match (policy.action, policy.mode) {
        // Whoever pauses a policy wants less to go, not more.
        (Action::Keep, Mode::Enforce | Mode::Paused) => Some(Strength::Keep),
        (Action::Delete, Mode::Enforce | Mode::Paused) => Some(Strength::Priority(policy.priority)),
        (Action::Keep | Action::Delete, _) => None,
    }
}

impl Tenant {
    fn new(rule: Rule, role: Role) -> Self {
        let groups = rule.policy.keep.as_ref().map(Groups::new);
        Self {
            order: Queue::default(),
            notices: BTreeSet::new(),
            rechecks: BTreeSet::new(),
            counts: Counts::default(),
            unresolvable: BTreeSet::new(),
            held: BTreeSet::new(),
            groups,
            is_sweeping: false,
            newly: None,
            reads: rule.reads(),
            covered: HashMap::new(),
            rule,
            role,
            has_siblings: false,
        }
    }

    /// Finds out whether it looks at a namespace; returns whether that is news.
    pub(super) fn cover(&mut self, space: SpaceId, spaces: &Spaces) -> bool {
        let Reach::Cluster(namespaces) = &self.rule.policy.reach else { return false };
        let (name, labels) = (spaces.name(space), spaces.labels(spaces.name(space)));
        let coverage = if name.is_empty() || namespaces.covers(name, labels) {
            Coverage::Yes
        } else if labels.is_none() && namespaces.may_cover(name) {
            Coverage::Unknown
        } else {
            Coverage::No
        };
        let is_news = self.covered.insert(space, coverage).unwrap_or_default() != coverage;
        // Whoever is here joins anew; nobody leaves the groups of a rule that looks elsewhere.
        if let Some(groups) = self.groups.as_mut().filter(|_| is_news) {
            groups.forget(space);
        }
        is_news
    }

    pub(super) fn covers(&self, space: SpaceId) -> bool {
        self.coverage(space) == Coverage::Yes
    }

    fn coverage(&self, space: SpaceId) -> Coverage {
        match &self.rule.policy.reach {
            // The index by namespace has found it.
            Reach::Namespace(_) => Coverage::Yes,
            Reach::Cluster(_) => self.covered.get(&space).copied().unwrap_or_default(),
        }
    }

    /// Whether an object was read with all that judging it takes. What was not read must not count as missing.
    pub(super) fn has_read(&self, object: &Object) -> bool {
        let is_shown = |path: &KeyPath| self.role == Role::Resident || is_metadata(path);
        self.reads.iter().all(|path| is_shown(path) && object.fields.has_read(path))
    }

    /// Whether it keeps an object from a rule that it overrides, and why. What is not known, it keeps.
    pub(super) fn keeps(&self, object: &Object, space: SpaceId, now: Timestamp) -> Option<KeepsBecause> {
        if self.coverage(space) != Coverage::Yes || !self.has_read(object) {
            return self.rule.target().may_select(object).then_some(KeepsBecause::Unknown);
        }
        match standing(&self.rule, object, now) {
            Standing::Keeps { until } if until.is_none_or(|until| until > now) => {
                Some(KeepsBecause::Keep { until })
            }
            Standing::Owned(OwnersSeen::Unknown | OwnersSeen::Asked) => Some(KeepsBecause::Unknown),
            // Marks say nothing of what carries none; the rule leaves that to others, also what is protected from it.
            Standing::NotDue(NotDue::NoMark) => None,
            Standing::Protected(_) if is_unmarked(&self.rule, object, now) => None,
            Standing::Expires(_)
            | Standing::Unresolvable(_)
            | Standing::Protected(_)
            | Standing::NotDue(_) => Some(KeepsBecause::Priority(self.rule.policy.priority)),
            _ => None,
        }
    }

    /// An object counts here once more, or once less.
    fn count(&mut self, seat: Seat, one: i64) {
        self.counts.add(seat.bucket, one);
        if let Some(count) = self.newly.as_mut().and_then(|newly| newly.count(seat)) {
            *count = count.saturating_add_signed(one);
        }
    }

    pub(super) fn take_seat(&mut self, seat: Seat, slot: u32) {
        self.count(seat, i64::from(seat.is_counted));
        match seat.bucket {
            Bucket::Unresolvable => drop(self.unresolvable.insert(slot)),
            Bucket::Held => drop(self.held.insert(slot)),
            _ => {}
        }
        match seat.next {
            Next::Nothing => {}
            Next::Deletion => self.order.insert((seat.at, slot)),
            Next::Notice => drop(self.notices.insert((seat.at, slot))),
            Next::Recheck => drop(self.rechecks.insert((seat.at, slot))),
        }
    }

    pub(super) fn leave_seat(&mut self, seat: Seat, (slot, space): (u32, SpaceId)) {
        self.count(seat, -i64::from(seat.is_counted));
        match seat.bucket {
            Bucket::Unresolvable => drop(self.unresolvable.remove(&slot)),
            Bucket::Held => drop(self.held.remove(&slot)),
            _ => {}
        }
        match seat.next {
            Next::Nothing => {}
            Next::Deletion => self.order.remove((seat.at, slot), space),
            Next::Notice => drop(self.notices.remove(&(seat.at, slot))),
            Next::Recheck => drop(self.rechecks.remove(&(seat.at, slot))),
        }
    }
}

/// Rules by their policy, and by which of its targets they are about.
#[derive(Debug, Default)]
struct Names(BTreeMap<NamespacedName, BTreeMap<usize, TenantId>>);

impl Names {
    fn insert(&mut self, rule: &Rule, id: TenantId) {
        self.0.entry(rule.policy.key.clone()).or_default().insert(rule.target_index(), id);
    }

    fn remove(&mut self, rule: &Rule) {
        let Some(targets) = self.0.get_mut(&rule.policy.key) else { return };
        targets.remove(&rule.target_index());
        if targets.is_empty() {
            self.0.remove(&rule.policy.key);
        }
    }

    fn of(&self, policy: &NamespacedName) -> impl Iterator<Item = TenantId> {
        self.0.get(policy).into_iter().flat_map(BTreeMap::values).copied()
    }

    fn iter(&self) -> impl Iterator<Item = (&NamespacedName, TenantId)> {
        self.0.iter().flat_map(|(policy, targets)| targets.values().map(move |id| (policy, *id)))
    }
}

/// Rules by the label that they demand.
#[derive(Debug, Default)]
struct Index {
    by_label: HashMap<Box<str>, HashMap<Box<str>, Vec<TenantId>>>,
    others: Vec<TenantId>,
}

impl Index {
    fn insert(&mut self, rule: &Rule, id: TenantId) {
        match rule.target().labels().demanded() {
            Some((key, value)) => {
                let values = self.by_label.entry(key.into()).or_default();
                values.entry(value.into()).or_default().push(id);
            }
            None => self.others.push(id),
        }
    }

    fn remove(&mut self, id: TenantId) {
        self.others.retain(|other| *other != id);
        for values in self.by_label.values_mut() {
            values.values_mut().for_each(|ids| ids.retain(|other| *other != id));
            values.retain(|_, ids| !ids.is_empty());
        }
        self.by_label.retain(|_, values| !values.is_empty());
    }

    fn is_empty(&self) -> bool {
        self.by_label.is_empty() && self.others.is_empty()
    }

    fn collect(&self, labels: &Labels, found: &mut Vec<TenantId>) {
        found.extend(&self.others);
        if self.by_label.is_empty() {
            return;
        }
        for (key, value) in labels.iter() {
            if let Some(ids) = self.by_label.get(key).and_then(|values| values.get(value)) {
                found.extend(ids);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use api::{GarbageCollectionPolicy, Rails};
    use serde_json::json;

    use super::*;
    use crate::policy::Policy;

    fn rule(name: &str, action: &str, mode: &str, priority: i32) -> Rule {
        let target = json!({"apiVersion": "v1", "kind": "ConfigMap"});
        let policy: GarbageCollectionPolicy = serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "team"},
            "spec": {
                "targetResource": target, "action": action, "mode": mode, "priority": priority,
                "ttl": {"secondsAfterCreation": 60},
            },
        }))
        .unwrap();
        let policy = Arc::new(Policy::compile(&policy, &Rails::new("grounds")).unwrap());
        policy.rules().next().unwrap()
    }

    #[test]
    fn only_who_may_keep_an_object_from_another_is_asked_and_the_strongest_first() {
        let (mut tenants, mut spaces) = (Tenants::default(), Spaces::default());
        let mut insert = |rule| tenants.insert(rule, Role::Resident, None, &mut spaces);
        let low = insert(rule("low", "Delete", "Enforce", -1));
        insert(rule("equal", "Delete", "Enforce", -1));
        let high = insert(rule("high", "Delete", "Enforce", 7));
        let plan = insert(rule("plan", "Delete", "Plan", 9));
        let keep = insert(rule("keep", "Keep", "Enforce", -1));
        let space = spaces.id("team").unwrap();

        assert_eq!(tenants.overriders(space, &Labels::default()), [keep, high]);
        let keepers = |id| tenants.overriders_of(id, &[keep, high]).count();
        assert_eq!([low, high, plan, keep].map(keepers), [2, 1, 1, 0]);
    }
}
