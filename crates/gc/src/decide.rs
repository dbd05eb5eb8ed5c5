//! The decision about one object under one rule.
//!
//! [`standing`] is what the rule alone makes of the object; [`decide`] adds what lies outside of both: the other objects
//! of its group, the other policies, the policy's gate, and the time. The index keeps objects by their standing, and asks
//! [`decide`] again when one's time has come.

use api::Rail;
use api::garbage_collection::Action;
use control::Mutant;
use jiff::Timestamp;
use units::NamespacedName;

use crate::finalizer::{Finalizer, finalizers};
use crate::keep::End;
use crate::notice::{Told, announced};
use crate::object::{Object, OwnersSeen};
use crate::policy::{Mode, Rule};
use crate::target::Selected;
use crate::when::{Expiry, NotDue, Unresolved, When};
use crate::which::Held;

/// What is to become of an object now.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Its time is up.
    Delete {
        /// When it fell due.
        since: Timestamp,
    },
    /// It is to be told that it goes.
    Notify {
        /// When it will go.
        deletes_at: Timestamp,
    },
    /// It stays, for now or for good.
    Keep(Kept),
    /// It is never deleted.
    Protected(Rail),
    /// It cannot be told when its time is up, so it stays.
    Unresolvable(Unresolved),
}

/// Why an object stays.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// The policy does not select it.
    NotSelected {
        /// Which of its selectors does not, in words.
        why: Box<str>,
    },
    /// It is being deleted already.
    Terminating(Ending),
    /// It was read before the policy asked for what it reads of it, or that is too large to be kept.
    Unread,
    /// An owner of it exists, or it is not known whether one does.
    Owned(OwnersSeen),
    /// A condition of the policy does not hold.
    ConditionNotMet(String),
    /// Nothing says that it should go.
    NotDue(NotDue),
    /// It is one of the newest or oldest of its group.
    Ranked(Ranked),
    /// Another policy keeps it.
    By(Keeper),
    /// The policy itself keeps it from others.
    Keeping {
        /// Until then; none for as long as it is selected.
        until: Option<Timestamp>,
    },
    /// Its time has not come.
    NotYet {
        /// When it will fall due.
        expires_at: Timestamp,
    },
    /// It has been told that it goes at a moment that has not come.
    Told {
        /// When it will go.
        deletes_at: Timestamp,
    },
    /// The policy is paused.
    Paused {
        /// When it falls due, or fell due.
        expires_at: Timestamp,
    },
    /// It is due, and the policy as a whole may delete nothing now.
    Shut {
        /// When it fell due.
        since: Timestamp,
        /// Why nothing is deleted.
        gate: Gate,
    },
}

/// What an object that is being deleted hangs on, as far as its policy asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing, or the policy takes no finalizer off.
    Plain,
    /// The finalizer that the policy takes off, for it has deleted the object.
    Released(Finalizer),
    /// The finalizer that the policy takes off what it has deleted; and nothing shows that it has deleted this.
    Unproven(Finalizer),
    /// Finalizers that are not the policy's to take off.
    Held(Vec<String>),
}

/// How many of its group are kept, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Which end of the ages is kept.
    pub end: End,
    /// So many are kept.
    pub count: usize,
    /// Of so many.
    pub of: usize,
}

/// Another policy that keeps an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeper {
    /// Which policy.
    pub policy: NamespacedName,
    /// Why it does.
    pub because: KeepsBecause,
}

/// Why another policy keeps an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepsBecause {
    /// It says `action: Keep`.
    Keep {
        /// Until then; none for as long as it is selected.
        until: Option<Timestamp>,
    },
    /// It has a higher priority, so that it alone decides.
    Priority(i32),
    /// It may, and that is not known yet: the object was read for others, its owners or the labels of its namespace have
    /// not been seen.
    Unknown,
}

/// Whether a policy as a whole may delete now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    #[default]
    Open,
    /// Its spec waits to be approved.
    AwaitingApproval,
    /// Its schedule has no window open.
    OutsideWindow {
        /// When the next one opens.
        opens_at: Timestamp,
    },
    /// Its budget is used up.
    OverBudget,
}

/// What a rule makes of an object, whatever the others do.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It does not select it.
    NotSelected,
    /// An owner of it exists, or it is not known whether one does.
    Owned(OwnersSeen),
    /// A condition does not hold.
    Unmet,
    /// It is never deleted.
    Protected(Rail),
    /// It is being deleted already.
    Terminating,
    /// It cannot be told when its time is up.
    Unresolvable(Unresolved),
    /// Nothing says that it should go.
    NotDue(NotDue),
    /// It is kept from other policies.
    Keeps {
        /// Until then; none for as long as it is selected.
        until: Option<Timestamp>,
    },
    /// Its time is up at this moment.
    Expires(Timestamp),
}

/// What lies outside of the rule and the object.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// Its place among its group, if that keeps it.
    pub ranked: Option<Ranked>,
    /// Another policy that keeps it.
    pub keeper: Option<Keeper>,
    /// Whether the policy may delete now.
    pub gate: Gate,
    /// It is known that this very policy has deleted it.
    pub is_ward: bool,
}

/// What `rule` makes of `object` at `now`, whatever the others do.
///
/// Only rules that ask for the time depend on `now`.
pub fn standing(rule: &Rule, object: &Object, now: Timestamp) -> Standing {
    let policy = &rule.policy;
    if !rule.looks_at(object) {
        return Standing::NotSelected;
    }
    match rule.target().selects(object) {
        Selected::No(_) => return Standing::NotSelected,
        Selected::IfOwnersAreGone if object.owners != OwnersSeen::Gone => {
            return Standing::Owned(object.owners);
        }
        Selected::Yes | Selected::IfOwnersAreGone => {}
    }
    if policy.action == Action::Keep {
        return keeping(rule, object, now);
    }
    let held = policy.which.judge(object, now);
    if let Held::No(_) = held {
        return Standing::Unmet;
    }
    if let Some(rail) = rail(rule, object) {
        return Standing::Protected(rail);
    }
    if object.terminating {
        return Standing::Terminating;
    }
    if let Held::Failed(error) = held {
        return Standing::Unresolvable(Unresolved::Condition { message: error.into() });
    }
    let Some(created) = object.created() else { return Standing::Unresolvable(Unresolved::NoCreationTime) };
    let oldest = policy.keep.as_ref().map_or(created, |keep| keep.old_enough_at(created));
    match expiry(policy.when.as_ref(), object, created, now) {
        Expiry::At(at) => Standing::Expires(at.max(oldest)),
        Expiry::Never(why) => Standing::NotDue(why),
        Expiry::Unresolvable(why) => Standing::Unresolvable(why),
    }
}

/// What a policy that keeps makes of an object that it selects. What it cannot tell, it keeps.
fn keeping(rule: &Rule, object: &Object, now: Timestamp) -> Standing {
    let policy = &rule.policy;
    if let Held::No(_) = policy.which.judge(object, now) {
        return Standing::Unmet;
    }
    let Some(when) = &policy.when else { return Standing::Keeps { until: None } };
    match when.expiry(object, now) {
        Expiry::At(at) => Standing::Keeps { until: Some(at) },
        // Who carries no mark has not asked to be kept.
        Expiry::Never(NotDue::NoMark) => Standing::NotDue(NotDue::NoMark),
        Expiry::Never(NotDue::Null | NotDue::Forever) | Expiry::Unresolvable(_) => {
            Standing::Keeps { until: None }
        }
    }
}

/// Whether a rule goes by marks, and the object carries none.
pub(crate) fn is_unmarked(rule: &Rule, object: &Object, now: Timestamp) -> bool {
    let expiry = rule.policy.when.as_ref().map(|when| when.expiry(object, now));
    matches!(expiry, Some(Expiry::Never(NotDue::NoMark)))
}

fn rail(rule: &Rule, object: &Object) -> Option<Rail> {
    if Mutant::NoRails.is_on() {
        return None;
    }
    rule.rail(object).or_else(|| object.protect.then_some(Rail::Annotated))
}

fn expiry(when: Option<&When>, object: &Object, created: Timestamp, now: Timestamp) -> Expiry {
    when.map_or(Expiry::At(created), |when| when.expiry(object, now))
}

/// What is to become of `object` under `rule` at `now`.
pub fn decide(rule: &Rule, object: &Object, circumstances: &Circumstances, now: Timestamp) -> Verdict {
    let expires_at = match standing(rule, object, now) {
        Standing::NotSelected => return Verdict::Keep(Kept::not_selected(rule, object)),
        Standing::Owned(owners) => return Verdict::Keep(Kept::Owned(owners)),
        Standing::Unmet => return Verdict::Keep(Kept::ConditionNotMet(unmet(rule, object, now))),
        Standing::Protected(rail) => return Verdict::Protected(rail),
        Standing::Terminating => {
            return Verdict::Keep(Kept::Terminating(ending(rule, object, circumstances.is_ward)));
        }
        Standing::Unresolvable(why) => return Verdict::Unresolvable(why),
        Standing::NotDue(why) => return Verdict::Keep(Kept::NotDue(why)),
        Standing::Keeps { until } => return Verdict::Keep(Kept::Keeping { until }),
        Standing::Expires(at) => at,
    };
    if let Some(ranked) = circumstances.ranked {
        return Verdict::Keep(Kept::Ranked(ranked));
    }
    if let Some(keeper) = circumstances.keeper.as_ref().filter(|keeper| keeper.keeps_at(now)) {
        return Verdict::Keep(Kept::By(keeper.clone()));
    }
    if rule.policy.mode == Mode::Paused {
        return Verdict::Keep(Kept::Paused { expires_at });
    }
    due(rule, object, (expires_at, circumstances.gate), now)
}

/// What an object that is being deleted hangs on under a rule.
pub(crate) fn ending(rule: &Rule, object: &Object, is_ward: bool) -> Ending {
    let Some(finalizer) = &rule.policy.finalizer else { return Ending::Plain };
    if finalizer.is_on(object) {
        let finalizer = finalizer.clone();
        return if is_ward { Ending::Released(finalizer) } else { Ending::Unproven(finalizer) };
    }
    let others: Vec<_> = finalizers(object).map(str::to_owned).collect();
    if others.is_empty() { Ending::Plain } else { Ending::Held(others) }
}

impl Kept {
    fn not_selected(rule: &Rule, object: &Object) -> Self {
        Self::NotSelected { why: rule.target().why_unselected(object) }
    }
}

/// The first condition that does not hold, in words.
fn unmet(rule: &Rule, object: &Object, now: Timestamp) -> String {
    match rule.policy.which.judge(object, now) {
        Held::No(unmet) => unmet.to_string(),
        Held::Yes | Held::Failed(_) => String::new(),
    }
}

/// What is to become of an object that goes by its own standing, and that nobody keeps.
fn due(rule: &Rule, object: &Object, (expires_at, gate): (Timestamp, Gate), now: Timestamp) -> Verdict {
    let shut = |since| Verdict::Keep(Kept::Shut { since, gate });
    let since = match told(rule, object, expires_at) {
        None if expires_at > now || (expires_at == now && Mutant::DueTimeExcluded.is_on()) => {
            return Verdict::Keep(Kept::NotYet { expires_at });
        }
        None => expires_at,
        Some((_, Told::Of(deletes_at))) if deletes_at > now => {
            return Verdict::Keep(Kept::Told { deletes_at });
        }
        Some((_, Told::Of(deletes_at))) => deletes_at,
        Some((_, Told::NotBefore(at))) if at > now => return Verdict::Keep(Kept::NotYet { expires_at }),
        // Nobody is alarmed about what waits for an approval.
        Some((_, Told::NotBefore(at))) if gate == Gate::AwaitingApproval => return shut(at),
        Some((notice, Told::NotBefore(_))) => {
            return Verdict::Notify { deletes_at: announced(expires_at, notice, now) };
        }
    };
    match gate {
        Gate::Open => Verdict::Delete { since },
        _ => shut(since),
    }
}

fn told(rule: &Rule, object: &Object, expires_at: Timestamp) -> Option<(jiff::SignedDuration, Told)> {
    let notice = rule.policy.notice?;
    Some((notice, Told::read(object, notice, expires_at)))
}

/// When there is something to do about an object that expires at this moment: it is told, or it goes.
pub(crate) fn acts_at(rule: &Rule, object: &Object, expires_at: Timestamp) -> Timestamp {
    match told(rule, object, expires_at) {
        None => expires_at,
        Some((_, Told::Of(at) | Told::NotBefore(at))) => at,
    }
}

impl Keeper {
    fn keeps_at(&self, now: Timestamp) -> bool {
        !matches!(self.because, KeepsBecause::Keep { until: Some(until) } if until <= now)
    }
}

impl Standing {
    /// Whether the object is one of those that the policy is about: it is counted, and it has a place in its group.
    pub fn is_matched(&self) -> bool {
        !matches!(self, Self::NotSelected | Self::Owned(_) | Self::Unmet | Self::Keeps { .. })
    }
}

impl Verdict {
    /// When the object falls due, or fell due.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Delete { since } | Self::Keep(Kept::Shut { since, .. }) => Some(*since),
            Self::Notify { deletes_at } | Self::Keep(Kept::Told { deletes_at }) => Some(*deletes_at),
            Self::Keep(Kept::NotYet { expires_at } | Kept::Paused { expires_at }) => Some(*expires_at),
            _ => None,
        }
    }
}
