//! What the collector's loop has last seen of each policy, for the reports to read.
//!
//! The loop posts, the reports read; nobody holds the lock for longer than it takes to copy a few numbers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::garbage_collection::{Finalizing, Lateness};
use api::{GarbageCollectionPolicyStatus, GcReason};
use chassis::{MetricName, Metrics};
use control::Mutant;
use gc::{Counts, Gate, Policy};
use jiff::Timestamp;
use units::{GroupVersionKind, NamespacedName, ResourceVersion, Uid};

use super::super::author::AuthorVerdict;
use super::super::limits::EVENT_NAMES_MAX;
use super::super::observe::{Acceptance, PlotState, Unusable};
use super::super::owners::Untold;
use super::super::turns::Denial;
use super::say::Said;

/// What a report about one policy is decided on.
#[derive(Clone, Debug)]
pub(in super::super) struct Snapshot {
    pub(super) key: NamespacedName,
    pub(super) seen: Arc<Seen>,
    /// The status as it stands in the cluster.
    pub(super) status: GarbageCollectionPolicyStatus,
    pub(super) tally: Tally,
}

/// What the loop sees of a policy.
#[derive(Clone, Debug)]
pub(in super::super) struct Seen {
    /// The epoch in which it was seen, after all that was done before it.
    pub(super) epoch: Option<u64>,
    pub(super) uid: Uid,
    pub(super) generation: Option<i64>,
    pub(super) spec: Result<Arc<Policy>, Unusable>,
    /// How far each of its grounds can be relied on.
    pub(super) plots: Vec<PlotState>,
    /// What was found of the author.
    pub(super) verdict: AuthorVerdict,
    /// Whether the spec may be acted on, given what it selects.
    pub(super) acceptance: Acceptance,
    /// Whether the policy as a whole may act now, apart from its budget.
    pub(super) gate: Gate,
    pub(super) counts: Counts,
    /// The same, by kind.
    pub(super) targets: Vec<(GroupVersionKind, Counts)>,
    pub(super) next_expiry: Option<Timestamp>,
    /// How many are due and wait, up to a bound.
    pub(super) due: usize,
    /// One object of which it cannot be told when its time is up, and why.
    pub(super) unresolvable: Option<String>,
    pub(super) budget: BudgetSeen,
    pub(super) lateness: Option<Lateness>,
    /// When all objects were last looked at together.
    pub(super) listed_at: Option<Timestamp>,
    /// What the server denied last, and with which words.
    pub(super) denied: Option<Denial>,
    /// What the policy has deleted that hangs on its finalizer.
    pub(super) finalizing: Vec<Finalizing>,
    /// One object that is being deleted, and hangs on finalizers that the policy does not take off; and why.
    pub(super) held: Option<String>,
    /// Why it cannot be told whether owners of some objects exist.
    pub(super) untold: Option<Untold>,
    /// Whether this is the last that will be seen before the end.
    pub(super) is_last: bool,
}

/// What a policy's budget allows, and what of it is used.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct BudgetSeen {
    pub(in super::super) base: u64,
    pub(in super::super) spent: u64,
    /// So much may be used when the next status is written.
    pub(in super::super) reserved: u64,
    /// Something is due, and there is nothing left for it.
    pub(in super::super) exceeded: bool,
}

/// What is remembered of a policy from report to report.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) deleted: i64,
    pub(super) last_deletion: Option<Timestamp>,
    /// Deletions that no event has told of yet.
    pub(super) untold: u64,
    pub(super) untold_names: Vec<Box<str>>,
    pub(super) told_at: Option<Timestamp>,
}

/// The board.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Board(Arc<Mutex<Posts>>);

#[derive(Debug, Default)]
struct Posts {
    policies: HashMap<NamespacedName, Post>,
    reasons: BTreeMap<&'static str, i64>,
}

#[derive(Debug)]
struct Post {
    uid: Uid,
    seen: Option<Arc<Seen>>,
    status: GarbageCollectionPolicyStatus,
    /// The version with the status that we wrote last.
    written: Option<ResourceVersion>,
    tally: Tally,
    reason: Option<GcReason>,
}

/// A policy's status as the watch shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    pub(super) uid: &'a Uid,
    pub(super) version: Option<&'a ResourceVersion>,
    pub(super) status: &'a GarbageCollectionPolicyStatus,
}

impl Board {
    /// The cluster shows this status of a policy. Counts go on from there, unless we are the one who counts. What is
    /// older than our own last words is no news.
    pub(super) fn shows(&self, key: &NamespacedName, shown: Shown<'_>, counts_here: bool) {
        let Shown { uid, version, status } = shown;
        let mut posts = self.lock();
        let known = posts.policies.get_mut(key).filter(|post| post.uid == *uid);
        let Some(post) = known else {
            let reason = posts.policies.get(key).and_then(|post| post.reason);
            let post = Post {
                uid: uid.clone(),
                seen: None,
                status: status.clone(),
                written: None,
                tally: Tally::of(status),
                reason,
            };
            posts.policies.insert(key.clone(), post);
            return;
        };
        let written = post.written.as_ref().zip(version);
        if written.is_some_and(|(written, shown)| !shown.has_reached(written)) {
            return;
        }
        post.status = status.clone();
        if !counts_here && post.tally.untold == 0 {
            post.tally = Tally { told_at: post.tally.told_at, ..Tally::of(status) };
        }
    }

    /// We have written this status of a policy. The next report goes on from there, also if the watch has yet to show it,
    /// or never will because it has ended.
    pub(super) fn wrote(&self, key: &NamespacedName, said: &Said, version: ResourceVersion) {
        if Mutant::OwnWriteUnawaited.is_on() {
            return;
        }
        let uid = &said.snapshot.seen.uid;
        if let Some(post) = self.lock().policies.get_mut(key).filter(|post| post.uid == *uid) {
            post.status = said.status.clone();
            post.written = Some(version);
        }
    }

    /// A policy is gone.
    pub(super) fn forget(&self, key: &NamespacedName, metrics: &Metrics) {
        let mut posts = self.lock();
        if let Some(reason) = posts.policies.remove(key).and_then(|post| post.reason) {
            posts.count(reason, -1, metrics);
        }
    }

    /// An object of a policy was deleted.
    pub(super) fn deleted(&self, key: &NamespacedName, name: &str, now: Timestamp) {
        let mut posts = self.lock();
        let Some(Post { tally, .. }) = posts.policies.get_mut(key) else { return };
        tally.deleted += 1;
        tally.last_deletion = Some(now);
        tally.untold += 1;
        if tally.untold_names.len() < EVENT_NAMES_MAX {
            tally.untold_names.push(name.into());
        }
    }

    /// What the loop sees of a policy now.
    pub(super) fn post(&self, key: &NamespacedName, seen: Seen) {
        if let Some(post) = self.lock().policies.get_mut(key).filter(|post| post.uid == seen.uid) {
            post.seen = Some(Arc::new(seen));
        }
    }

    /// Everything that a report is decided on; none if the policy is gone, or has not been looked at.
    pub(super) fn read(&self, key: &NamespacedName) -> Option<Snapshot> {
        let posts = self.lock();
        let Post { seen, status, tally, .. } = posts.policies.get(key)?;
        let seen = Arc::clone(seen.as_ref()?);
        Some(Snapshot { key: key.clone(), seen, status: status.clone(), tally: tally.clone() })
    }

    /// So many deletions have been told of by an event.
    pub(super) fn told(&self, key: &NamespacedName, count: u64, now: Timestamp) {
        let mut posts = self.lock();
        let Some(Post { tally, .. }) = posts.policies.get_mut(key) else { return };
        tally.tell(count, now);
    }

    /// The reason of a policy's `Ready` condition is this now.
    pub(super) fn ready_because(&self, key: &NamespacedName, reason: GcReason, metrics: &Metrics) {
        let mut posts = self.lock();
        let Some(post) = posts.policies.get_mut(key) else { return };
        let before = post.reason.replace(reason);
        if before != Some(reason) {
            before.into_iter().for_each(|before| posts.count(before, -1, metrics));
            posts.count(reason, 1, metrics);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Posts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Posts {
    fn count(&mut self, reason: GcReason, one: i64, metrics: &Metrics) {
        let count = self.reasons.entry(reason.name()).or_default();
        *count += one;
        metrics.set(MetricName::GcPolicies, &[("reason", reason.name())], *count);
    }
}

impl Tally {
    fn of(status: &GarbageCollectionPolicyStatus) -> Self {
        Self {
            deleted: status.deleted,
            last_deletion: status.last_deletion.as_ref().map(|time| time.0),
            ..Self::default()
        }
    }

    /// An event has told of the first so many. What has gone since then is told of by the next one, by name.
    fn tell(&mut self, count: u64, now: Timestamp) {
        self.untold = self.untold.saturating_sub(count);
        let named = usize::try_from(count).unwrap_or(usize::MAX).min(self.untold_names.len());
        self.untold_names.drain(..named);
        self.told_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_while_an_event_is_sent_keeps_its_name_for_the_next_one() {
        let names = ["a", "b", "c"].map(Box::from).to_vec();
        let mut tally = Tally { untold: 3, untold_names: names, ..Tally::default() };

        tally.tell(1, Timestamp::UNIX_EPOCH);

        assert_eq!((tally.untold, tally.untold_names), (2, vec![Box::from("b"), Box::from("c")]));
    }

    #[test]
    fn names_are_told_of_once() {
        let mut tally =
            Tally { untold: 9, untold_names: vec![Box::from("a"), Box::from("b")], ..Tally::default() };

        tally.tell(9, Timestamp::UNIX_EPOCH);

        assert_eq!((tally.untold, tally.untold_names.len()), (0, 0));
    }
}
