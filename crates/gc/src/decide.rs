//! The decision about one object under one policy.
//!
//! [`standing`] is the part that no passing of time changes; [`decide`] adds `now`. The index keeps objects by their
//! standing, and asks [`decide`] again when one's time has come.

use api::Rail;
use jiff::Timestamp;

use crate::object::Object;
use crate::policy::{Mode, Policy};

/// What is to become of an object now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its time is up.
    Delete {
        /// When it fell due.
        since: Timestamp,
    },
    /// It stays, for now or for good.
    Keep(Kept),
    /// It is never deleted.
    Protected(Rail),
    /// It cannot be told when its time is up, so it stays.
    Unresolvable(Unresolved),
}

/// Why an object stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The policy's selector does not select it.
    NotSelected,
    /// It is being deleted already.
    Terminating,
    /// Its time has not come.
    NotYet {
        /// When it will fall due.
        expires_at: Timestamp,
    },
    /// The policy is paused.
    Paused {
        /// When it falls due, or fell due.
        expires_at: Timestamp,
    },
}

/// Why it cannot be told when an object's time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// It has no `creationTimestamp`.
    NoCreationTime,
}

/// What a policy makes of an object, whatever the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The selector does not select it.
    NotSelected,
    /// It is being deleted already.
    Terminating,
    /// It is never deleted.
    Protected(Rail),
    /// It cannot be told when its time is up.
    Unresolvable(Unresolved),
    /// Its time is up at this moment.
    Expires(Timestamp),
}

/// What `policy` makes of `object`, whatever the time.
pub fn standing(policy: &Policy, object: &Object) -> Standing {
    if !policy.selector.matches(&object.labels) {
        return Standing::NotSelected;
    }
    if let Some(rail) = policy.rail {
        return Standing::Protected(rail);
    }
    if policy.published.contains(&&*object.name) {
        return Standing::Protected(Rail::Published);
    }
    if object.protect {
        return Standing::Protected(Rail::Annotated);
    }
    if object.terminating {
        return Standing::Terminating;
    }
    match object.created {
        Some(created) => Standing::Expires(policy.expires_at(created)),
        None => Standing::Unresolvable(Unresolved::NoCreationTime),
    }
}

/// What is to become of `object` under `policy` at `now`.
pub fn decide(policy: &Policy, object: &Object, now: Timestamp) -> Verdict {
    match standing(policy, object) {
        Standing::NotSelected => Verdict::Keep(Kept::NotSelected),
        Standing::Terminating => Verdict::Keep(Kept::Terminating),
        Standing::Protected(rail) => Verdict::Protected(rail),
        Standing::Unresolvable(why) => Verdict::Unresolvable(why),
        Standing::Expires(expires_at) if policy.mode == Mode::Paused => {
            Verdict::Keep(Kept::Paused { expires_at })
        }
        Standing::Expires(expires_at) if expires_at > now => Verdict::Keep(Kept::NotYet { expires_at }),
        Standing::Expires(since) => Verdict::Delete { since },
    }
}

impl Verdict {
    /// When the object falls due, or fell due.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Delete { since } => Some(*since),
            Self::Keep(Kept::NotYet { expires_at } | Kept::Paused { expires_at }) => Some(*expires_at),
            _ => None,
        }
    }
}
