//! Weakenings on purpose: each takes away one safety, so that a test which is to show that safety can be seen to fail.
//!
//! A test that no mutant can fail is not a test. Only debug builds know the switch; in a release build every question
//! below is answered `false` by the compiler, and no environment can change that.

use std::sync::OnceLock;

/// The environment variable that names the mutant, in debug builds.
pub const MUTANT_VARIABLE: &str = "GROUNDSKEEPER_MUTANT";

/// One safety that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Deletions carry no precondition that tells one incarnation from the next: no UID, and no version either.
    NoUidPrecondition,
    /// Deletions carry no resourceVersion precondition.
    NoResourceVersion,
    /// A destructive act does not ask whether its epoch is still valid, and nobody tells it.
    NoEpochCheck,
    /// A list that lost too much at once is believed.
    EmptyListBelieved,
    /// A creation whose answer was lost is repeated blindly.
    CreateRetried,
    /// A watch that says nothing counts as live for ever.
    SilenceBelieved,
    /// The cache is believed before it has seen our own last write.
    OwnWriteUnawaited,
    /// An intent without an outcome is forgotten at the next start.
    IntentsForgotten,
    /// The lease is released before the workers have stopped.
    ReleasedBeforeStopped,
    /// Expiry of a foreign lease is judged by its own timestamps.
    ForeignClockBelieved,
    /// An object that cannot be understood ends its watch.
    PoisonEndsWatch,
    /// A watch whose version is too old goes on without listing anew.
    ExpiredWatchResumed,
    /// A kind that is denied or gone is asked for again at once.
    DeniedRetriedAtOnce,
    /// An object is due only after its time, and not at it: `>=` where `>` should be.
    DueTimeExcluded,
    /// A share is of the objects that a policy selects, and not of all that there are.
    BaseAfterFiltering,
    /// What the rails keep goes as everything else does.
    NoRails,
    /// An object's labels are believed to be as they were when it was first seen.
    StaleLabelsBelieved,
    /// Pods are asked to leave as soon as their node is cordoned, while some may still be on their way to it.
    NoSettleTime,
    /// What is done for a departure is written down only after it was done.
    ResultUnrecorded,
    /// However many nodes leave at one time, the storm brake holds none.
    BrakeOff,
    /// Finalizers are written as a list by a merge patch that names no version.
    FinalizersMerged,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::NoUidPrecondition,
        Self::NoResourceVersion,
        Self::NoEpochCheck,
        Self::EmptyListBelieved,
        Self::CreateRetried,
        Self::SilenceBelieved,
        Self::OwnWriteUnawaited,
        Self::IntentsForgotten,
        Self::ReleasedBeforeStopped,
        Self::ForeignClockBelieved,
        Self::PoisonEndsWatch,
        Self::ExpiredWatchResumed,
        Self::DeniedRetriedAtOnce,
        Self::DueTimeExcluded,
        Self::BaseAfterFiltering,
        Self::NoRails,
        Self::StaleLabelsBelieved,
        Self::NoSettleTime,
        Self::ResultUnrecorded,
        Self::BrakeOff,
        Self::FinalizersMerged,
    ];

    /// The name, as the environment gives it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoUidPrecondition => "no-uid-precondition",
            Self::NoResourceVersion => "no-resource-version",
            Self::NoEpochCheck => "no-epoch-check",
            Self::EmptyListBelieved => "empty-list-believed",
            Self::CreateRetried => "create-retried",
            Self::SilenceBelieved => "silence-believed",
            Self::OwnWriteUnawaited => "own-write-unawaited",
            Self::IntentsForgotten => "intents-forgotten",
            Self::ReleasedBeforeStopped => "released-before-stopped",
            Self::ForeignClockBelieved => "foreign-clock-believed",
            Self::PoisonEndsWatch => "poison-ends-watch",
            Self::ExpiredWatchResumed => "expired-watch-resumed",
            Self::DeniedRetriedAtOnce => "denied-retried-at-once",
            Self::DueTimeExcluded => "due-time-excluded",
            Self::BaseAfterFiltering => "base-after-filtering",
            Self::NoRails => "no-rails",
            Self::StaleLabelsBelieved => "stale-labels-believed",
            Self::NoSettleTime => "no-settle-time",
            Self::ResultUnrecorded => "result-unrecorded",
            Self::BrakeOff => "brake-off",
            Self::FinalizersMerged => "finalizers-merged",
        }
    }

    /// Whether this safety is missing in this process. Never in a release build.
    #[inline]
    pub fn is_on(self) -> bool {
        cfg!(debug_assertions) && current() == Some(self)
    }
}

fn current() -> Option<Mutant> {
    static CURRENT: OnceLock<Option<Mutant>> = OnceLock::new();
    *CURRENT.get_or_init(|| {
        let named = std::env::var(MUTANT_VARIABLE).ok()?;
        Mutant::ALL.into_iter().find(|mutant| mutant.name() == named)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_missing_unless_it_is_asked_for() {
        assert!(Mutant::ALL.iter().all(|mutant| !mutant.is_on()));
    }

    #[test]
    fn names_tell_them_apart() {
        let names: std::collections::BTreeSet<_> = Mutant::ALL.iter().map(|mutant| mutant.name()).collect();
        assert_eq!(names.len(), Mutant::ALL.len());
    }
}
