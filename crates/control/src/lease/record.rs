//! What the cluster holds, what a candidate asks it to hold, and what that is worth.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::Steady;

/// The record of a lease, as the cluster holds it (`coordination.k8s.io/v1`, `Lease`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaseRecord {
    /// Who holds it (`holderIdentity`); empty if nobody does.
    pub holder: Arc<str>,
    /// How long the holder's promise lasts after a renewal (`leaseDurationSeconds`). Zero if the record says nothing.
    pub duration: Duration,
    /// When the present holder got it, by that holder's wall clock (`acquireTime`). For people.
    pub acquired_at: Timestamp,
    /// When it was last renewed, by the holder's wall clock, to the microsecond (`renewTime`). For people, and for us to
    /// recognise our own writes; no expiry is judged by it.
    pub renewed_at: Timestamp,
    /// How often the holder changed (`leaseTransitions`); the number of the present epoch.
    pub transitions: u32,
    /// The version that a replacement has to name; empty in a record that is to be created.
    pub resource_version: Arc<str>,
}

impl LeaseRecord {
    /// Whether nobody holds it.
    pub fn is_released(&self) -> bool {
        self.holder.is_empty()
    }

    /// Whether both say the same, be it in another version: labels may change without a sign of life from the holder.
    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        self.holder == other.holder
            && self.duration == other.duration
            && self.acquired_at == other.acquired_at
            && self.renewed_at == other.renewed_at
            && self.transitions == other.transitions
    }
}

/// What a write is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Become the holder.
    Acquire,
    /// Remain the holder.
    Renew,
    /// Hand over without making the next one wait.
    Release,
}

/// One write that the machine asks for. It may be sent once, and only unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub(super) purpose: Purpose,
    pub(super) record: LeaseRecord,
    /// The moment from which on its success counts. Whoever sends it later loses that time, and never gains any.
    pub(super) decided_at: Steady,
}

impl Attempt {
    /// What it is for.
    pub const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// What the cluster should hold afterwards. Its `resource_version` is the one to replace (PUT); if that is empty, the
    /// record is to be created (POST).
    pub const fn record(&self) -> &LeaseRecord {
        &self.record
    }

    /// Whether the record is to be created, and must not exist.
    pub fn creates(&self) -> bool {
        self.record.resource_version.is_empty()
    }
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The server stored it, and shows what it holds now.
    Stored(LeaseRecord),
    /// Another version stands there, or it exists already (409), or it is gone (404).
    Conflict,
    /// No answer, or one that does not say whether the write was performed: timeout, cut connection, 5xx.
    Unknown,
    /// The server says that it did not perform the write: 401, 403, 422, 429.
    Refused,
}

/// The right to act, with its end. A copy of it is worth no more and lasts no longer.
///
/// It is void, too, as soon as its holder was told to stop or has released the lease: workers end then, and whoever
/// drives the election sees to that before it says so to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch {
    /// Which tenure this is: larger than that of every tenure before it, of whomever, for as long as nobody removes the
    /// record from the cluster. At least 1.
    pub number: u32,
    /// The moment of the holder's steady clock at which the right ends, unless a renewal has moved it.
    pub valid_until: Steady,
}

impl Epoch {
    /// Whether the right still stands at this moment.
    pub fn is_valid_at(self, now: Steady) -> bool {
        now < self.valid_until
    }

    /// Whether it will still stand when an act that begins now and may take so long has ended.
    pub fn is_valid_for(self, now: Steady, span: Duration) -> bool {
        self.is_valid_at(now.after(span))
    }
}
