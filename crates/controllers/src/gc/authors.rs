//! The authors of all policies, and when each is asked about again.
//!
//! A policy's author is checked as soon as it is known what the kind is called, again at once when spec or author change,
//! and every few minutes after that. Until the author has been found to be allowed, nothing is deleted.

use std::collections::{HashMap, HashSet};
use std::future::pending;

use api::Author;
use chassis::AccessReviews;
use control::{Backoff, Timers};
use jiff::Timestamp;
use tokio::task::JoinSet;
use units::{NamespacedName, Uid};

use super::author::{AuthorVerdict, check};
use super::limits::{AUTHOR_CHECKS_IN_FLIGHT_MAX, AUTHOR_RECHECK, AUTHOR_RETRY_FIRST, AUTHOR_RETRY_MAX};
use super::observe::Observed;

/// All checks of authors, due and under way.
pub(super) struct Authors {
    access: AccessReviews,
    due: Timers<NamespacedName>,
    retries: HashMap<NamespacedName, Backoff>,
    busy: HashSet<NamespacedName>,
    checks: JoinSet<Checked>,
}

/// An author that has been checked.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) policy: NamespacedName,
    uid: Uid,
    generation: Option<i64>,
    author: Author,
    verdict: AuthorVerdict,
}

impl Authors {
    pub(super) fn new(access: AccessReviews) -> Self {
        Self {
            access,
            due: Timers::default(),
            retries: HashMap::new(),
            busy: HashSet::new(),
            checks: JoinSet::new(),
        }
    }

    /// A policy is gone.
    pub(super) fn forget(&mut self, key: &NamespacedName) {
        self.due.set(key, None);
        self.retries.remove(key);
    }

    /// Sees to it that a policy's author is checked, if nobody has looked yet and it can be done now.
    pub(super) fn arm(&mut self, observed: &Observed, key: &NamespacedName, now: Timestamp) {
        let unchecked =
            observed.policy(key).is_some_and(|tracked| tracked.verdict == AuthorVerdict::Unchecked);
        if unchecked && !self.busy.contains(key) && knows_all_kinds(observed, key) {
            self.due.set(key, Some(now));
        }
    }

    /// When the next author is to be checked.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        if self.checks.len() >= AUTHOR_CHECKS_IN_FLIGHT_MAX { None } else { self.due.next() }
    }

    /// Starts the checks that are due.
    pub(super) fn launch(&mut self, observed: &Observed, now: Timestamp) {
        while self.checks.len() < AUTHOR_CHECKS_IN_FLIGHT_MAX {
            let Some(key) = self.due.pop_due(now) else { return };
            let Some(tracked) = observed.policy(&key) else { continue };
            let (Ok(author), Ok(policy), true) =
                (tracked.author.clone(), tracked.spec.clone(), knows_all_kinds(observed, &key))
            else {
                // A kind is not served just now: that is looked at again, too.
                self.due.set(&key, now.checked_add(AUTHOR_RETRY_MAX).ok());
                continue;
            };
            let (access, resources) = (self.access.clone(), observed.resources_of(&key));
            let (uid, generation) = (tracked.uid.clone(), tracked.generation);
            self.busy.insert(key.clone());
            self.checks.spawn(async move {
                let verdict = check(&access, &author, &policy, &resources).await;
                Checked { policy: key, uid, generation, author, verdict }
            });
        }
    }

    /// The next author that has been checked; never, while none is being checked.
    pub(super) async fn next_checked(&mut self) -> Option<Checked> {
        loop {
            if self.checks.is_empty() {
                return pending().await;
            }
            match self.checks.join_next().await? {
                Ok(checked) => return Some(checked),
                Err(error) => tracing::error!(%error, "the check of an author broke; please report this"),
            }
        }
    }

    /// Takes in what was found of an author, unless the policy is another by now.
    pub(super) fn settle(&mut self, observed: &mut Observed, checked: Checked, now: Timestamp) {
        let Checked { policy, uid, generation, author, verdict } = checked;
        self.busy.remove(&policy);
        let Some(tracked) = observed.policy_mut(&policy) else { return };
        let same = tracked.uid == uid && tracked.generation == generation && tracked.author == Ok(author);
        if !same {
            return self.due.set_no_later(&policy, now);
        }
        let backoff = || Backoff::new(AUTHOR_RETRY_FIRST, AUTHOR_RETRY_MAX, &policy);
        let retry = self.retries.entry(policy.clone()).or_insert_with(backoff);
        let pause = if verdict == AuthorVerdict::Allowed {
            retry.reset();
            AUTHOR_RECHECK
        } else {
            retry.after_failure()
        };
        self.due.set(&policy, now.checked_add(pause).ok());
        if tracked.verdict != verdict {
            tracing::info!(%policy, verdict = verdict.word(), "the author was checked");
            tracked.verdict = verdict;
        }
    }
}

/// Whether it is known what the cluster calls all the kinds that a policy looks at.
fn knows_all_kinds(observed: &Observed, key: &NamespacedName) -> bool {
    let plots = observed.plot_ids_of(key).len();
    plots > 0 && observed.resources_of(key).len() == plots
}
