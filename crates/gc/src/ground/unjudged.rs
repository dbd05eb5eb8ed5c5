//! What is to be judged anew, bit by bit.
//!
//! A rule that comes, one that goes and had kept objects from others, a namespace whose labels change: each concerns many
//! objects at once, and one expression may take a millisecond for one object. So they wait here, and whoever drives the
//! ground says how many of them are looked at before it turns to something else.
//!
//! Invariant: waiting never lets anything go. A rule takes nothing before it has looked at all objects; what it takes is
//! judged again, by its namespace, its group and all who may keep it; and who may keep an object is asked at that moment,
//! whether it has looked at the object before or not.

use std::collections::{BTreeSet, VecDeque};

use jiff::Timestamp;
use units::NamespacedName;

use super::spaces::SpaceId;
use super::tenants::TenantId;
use super::{Entry, Ground};

/// When what concerns many objects is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pace {
    /// At once: whoever asks wants an answer.
    #[default]
    AtOnce,
    /// When somebody calls [`Ground::catch_up`].
    InTurns,
}

/// What waits to be judged.
#[derive(Debug, Default)]
pub(super) struct Unjudged {
    /// In the order of turns.
    works: VecDeque<Work>,
    /// Objects that lie otherwise than when they were seated, on account of others.
    astray: BTreeSet<u32>,
}

#[derive(Debug)]
enum Work {
    /// A rule looks at all objects.
    Sweep(Sweep),
    /// The objects that are astray.
    Astray,
}

#[derive(Debug)]
struct Sweep {
    tenant: TenantId,
    /// The slots that it has not looked at.
    slots: std::ops::Range<u32>,
    /// What it makes of an object may change what other rules do with it.
    concerns_others: bool,
}

impl Unjudged {
    /// A rule is there no more.
    pub(super) fn forget(&mut self, id: TenantId) {
        self.works.retain(|work| !matches!(work, Work::Sweep(sweep) if sweep.tenant == id));
    }

    fn put_astray(&mut self, slots: impl IntoIterator<Item = u32>) {
        let was_empty = self.astray.is_empty();
        self.astray.extend(slots);
        if was_empty && !self.astray.is_empty() {
            self.works.push_back(Work::Astray);
        }
    }
}

impl Ground {
    /// A ground that judges many objects bit by bit, whenever [`Ground::catch_up`] is called; one by
    /// [`Ground::default`] does it at once.
    pub fn in_turns() -> Self {
        Self { pace: Pace::InTurns, ..Self::default() }
    }

    /// Judges some of what waits to be judged: at least one object, and others until `more` says no. Rules take turns,
    /// one for each call. Returns the policies that have nothing left that waits.
    pub fn catch_up(&mut self, now: Timestamp, mut more: impl FnMut() -> bool) -> Vec<NamespacedName> {
        match self.unjudged.works.pop_front() {
            None => Vec::new(),
            Some(Work::Astray) => self.bring_back(now, &mut more),
            Some(Work::Sweep(sweep)) => self.sweep(sweep, now, &mut more).into_iter().collect(),
        }
    }

    /// Whether anything waits to be judged.
    pub fn is_behind(&self) -> bool {
        !self.unjudged.works.is_empty()
    }

    /// Whether a policy has not looked at all objects yet; it deletes nothing until it has.
    pub fn is_judging(&self, policy: &NamespacedName) -> bool {
        self.tenants.of(policy).any(|id| self.tenants.get(id).is_some_and(|tenant| tenant.is_sweeping))
    }

    /// Whether what is counted of a policy may be wrong, for objects wait to be judged.
    pub fn is_behind_with(&self, policy: &NamespacedName) -> bool {
        !self.unjudged.astray.is_empty() || self.is_judging(policy)
    }

    /// A rule looks at all objects.
    pub(super) fn begin_sweep(&mut self, id: TenantId, concerns_others: bool, now: Timestamp) {
        let Some(tenant) = self.tenants.get_mut(id) else { return };
        tenant.is_sweeping = true;
        let end = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let sweep = Sweep { tenant: id, slots: 0..end, concerns_others };
        self.unjudged.works.push_back(Work::Sweep(sweep));
        self.keep_pace(now);
    }

    /// These objects are to be judged anew.
    pub(super) fn judge_anew(&mut self, slots: impl IntoIterator<Item = u32>, now: Timestamp) {
        self.unjudged.put_astray(slots);
        self.keep_pace(now);
    }

    /// All objects of a namespace are to be judged anew.
    pub(super) fn judge_space_anew(&mut self, space: SpaceId, now: Timestamp) {
        if self.spaces.get(space).is_none_or(|space| space.objects == 0) {
            return;
        }
        let lies_there = |entry: &Option<Entry>| entry.as_ref().is_some_and(|entry| entry.space == space);
        let slots: Vec<u32> =
            (0..).zip(&self.slots).filter(|(_, entry)| lies_there(entry)).map(|(slot, _)| slot).collect();
        self.judge_anew(slots, now);
    }

    fn keep_pace(&mut self, now: Timestamp) {
        while self.pace == Pace::AtOnce && self.is_behind() {
            self.catch_up(now, || true);
        }
    }

    fn sweep(
        &mut self,
        mut sweep: Sweep,
        now: Timestamp,
        more: &mut dyn FnMut() -> bool,
    ) -> Option<NamespacedName> {
        let (id, concerns_others) = (sweep.tenant, sweep.concerns_others);
        for slot in sweep.slots.by_ref() {
            let is_here = self.entry(slot).is_some_and(|entry| self.reaches(id, entry.space));
            if is_here {
                self.judge_for(id, slot, concerns_others, now);
            }
            if !more() {
                break;
            }
        }
        if !sweep.slots.is_empty() {
            self.unjudged.works.push_back(Work::Sweep(sweep));
            return None;
        }
        let tenant = self.tenants.get_mut(id)?;
        tenant.is_sweeping = false;
        let policy = tenant.rule.policy.key.clone();
        (!self.is_behind_with(&policy)).then_some(policy)
    }

    /// A rule that has come looks at an object, which it may have seen since it came.
    fn judge_for(&mut self, id: TenantId, slot: u32, concerns_others: bool, now: Timestamp) {
        self.join_groups(slot, &[id], now);
        if concerns_others {
            return self.reseat(slot, now);
        }
        self.unseat_of(id, slot);
        self.seat(slot, &[id], now);
    }

    fn bring_back(&mut self, now: Timestamp, more: &mut dyn FnMut() -> bool) -> Vec<NamespacedName> {
        while let Some(slot) = self.unjudged.astray.pop_first() {
            self.rejoin(slot, now);
            if !more() {
                break;
            }
        }
        if !self.unjudged.astray.is_empty() {
            self.unjudged.works.push_back(Work::Astray);
            return Vec::new();
        }
        self.policies().filter(|policy| !self.is_judging(policy)).cloned().collect()
    }
}
