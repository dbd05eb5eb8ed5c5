//! Objects that policies have deleted, and that hang on the finalizer which their policy takes off.
//!
//! An entry is the proof that it was this policy: it is made once the server has accepted the deletion of the version that
//! was judged, or read from the policy's status. It stays until the finalizer is off or the object gone, whether the policy
//! still selects the object or not, for much changes about an object that is on its way out.
//!
//! Invariant: what has no entry is never handed out.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use units::{NamespacedName, Uid};

/// An object that a policy has deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ward {
    /// Its namespace; empty if it has none.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its incarnation.
    pub uid: Uid,
}

/// The wards of all policies that look at the ground.
#[derive(Debug, Default)]
pub(super) struct Wards(BTreeMap<NamespacedName, Vec<Entry>>);

#[derive(Debug)]
struct Entry {
    ward: Ward,
    /// Somebody is taking its finalizer off.
    is_busy: bool,
    /// Nobody tries before this time.
    not_before: Timestamp,
}

impl Wards {
    /// A policy has deleted an object. Said twice, it is known once.
    pub(super) fn put(&mut self, policy: &NamespacedName, ward: Ward, now: Timestamp) {
        let entries = self.0.entry(policy.clone()).or_default();
        if entries.iter().all(|entry| entry.ward.uid != ward.uid) {
            entries.push(Entry { ward, is_busy: false, not_before: now });
        }
    }

    /// A policy is gone, and with it the proof.
    pub(super) fn forget(&mut self, policy: &NamespacedName) {
        self.0.remove(policy);
    }

    pub(super) fn of(&self, policy: &NamespacedName) -> impl Iterator<Item = &Ward> {
        self.entries(policy).iter().map(|entry| &entry.ward)
    }

    pub(super) fn has(&self, policy: &NamespacedName, uid: &Uid) -> bool {
        !self.0.is_empty() && self.of(policy).any(|ward| ward.uid == *uid)
    }

    /// When the first of those that nobody is busy with may be tried, of those that are ready for it.
    pub(super) fn next(
        &self,
        policy: &NamespacedName,
        is_ready: impl Fn(&Ward) -> bool,
    ) -> Option<Timestamp> {
        let free = self.entries(policy).iter().filter(|entry| !entry.is_busy && is_ready(&entry.ward));
        free.map(|entry| entry.not_before).min()
    }

    /// Takes one that may be tried now; [`Wards::settle`] must follow.
    pub(super) fn take(
        &mut self,
        policy: &NamespacedName,
        is_ready: impl Fn(&Ward) -> bool,
        now: Timestamp,
    ) -> Option<Ward> {
        let mut entries = self.0.get_mut(policy)?.iter_mut();
        let entry =
            entries.find(|entry| !entry.is_busy && entry.not_before <= now && is_ready(&entry.ward))?;
        entry.is_busy = true;
        Some(entry.ward.clone())
    }

    /// How it went with one that was taken: over, or to be tried again at a time.
    pub(super) fn settle(&mut self, uid: &Uid, again_at: Option<Timestamp>) {
        for entries in self.0.values_mut() {
            match again_at {
                None => entries.retain(|entry| !(entry.is_busy && entry.ward.uid == *uid)),
                Some(at) => {
                    let taken = entries.iter_mut().filter(|entry| entry.is_busy && entry.ward.uid == *uid);
                    taken.for_each(|entry| (entry.is_busy, entry.not_before) = (false, at));
                }
            }
        }
        self.0.retain(|_, entries| !entries.is_empty());
    }

    fn entries(&self, policy: &NamespacedName) -> &[Entry] {
        self.0.get(policy).map(Vec::as_slice).unwrap_or_default()
    }
}
