//! What holds a whole departure is called, in one place: status, plans and the reference say the same.
//!
//! What stands in the way of its pods has its words in [`crate::drain`], what keeps a step in [`crate::steps`].

use crate::drain::Reason;
use crate::steps::StepBlocker;

/// What holds a departure as a whole, or what is to be known about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DepartureBlocker {
    /// As many nodes leave as may.
    WaitsForTurn,
    /// As many nodes with one value of a label leave as may.
    WaitsForGroup,
    /// Too many nodes leave or are not ready.
    StormBrake,
    /// The departure, or a part of it, has taken longer than it may.
    DeadlinePassed,
    /// Something that was decided could not be done.
    ActFailed,
    /// The record makes no sense to this version.
    InvalidRecord,
    /// The policy only plans.
    DryRun,
    /// The policy rests.
    PolicyPaused,
    /// Somebody has stopped the departure.
    Paused,
    /// There is a record, and nobody has deleted the node.
    NodeNotDeleted,
}

impl DepartureBlocker {
    /// All of them, for the reference page.
    pub const ALL: [Self; 10] = [
        Self::WaitsForTurn,
        Self::WaitsForGroup,
        Self::StormBrake,
        Self::DeadlinePassed,
        Self::ActFailed,
        Self::InvalidRecord,
        Self::DryRun,
        Self::PolicyPaused,
        Self::Paused,
        Self::NodeNotDeleted,
    ];

    /// The word that programs may read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WaitsForTurn => "WaitsForTurn",
            Self::WaitsForGroup => "WaitsForGroup",
            Self::StormBrake => "StormBrake",
            Self::DeadlinePassed => "DeadlinePassed",
            Self::ActFailed => "ActFailed",
            Self::InvalidRecord => "InvalidRecord",
            Self::DryRun => "DryRun",
            Self::PolicyPaused => "PolicyPaused",
            Self::Paused => "Paused",
            Self::NodeNotDeleted => "NodeNotDeleted",
        }
    }

    /// What it means, and what lifts it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::WaitsForTurn => {
                "As many nodes of the policy leave as `concurrency.max` lets. It goes on when one of them has gone."
            }
            Self::WaitsForGroup => {
                "As many nodes with the same value of a label leave as `concurrency.perLabel` lets. It goes on when one of them has gone."
            }
            Self::StormBrake => {
                "More of the policy's nodes leave or are not ready than `concurrency.stormBrakePercent` lets pass. Departures that have begun go on; the others begin when enough nodes are ready again, or the number is raised."
            }
            Self::DeadlinePassed => {
                "The departure has taken longer than `deadlines.total`, its drain than `deadlines.drain` or `drain.timeoutSeconds`, or the detachment of its volumes than `deadlines.volumeDetach`. It goes on; `groundskeeper nodes extend` gives the departure more time, `release` lets the node go."
            }
            Self::ActFailed => {
                "Something that was decided could not be done, such as to cordon the node. The message says what and why; it is tried again."
            }
            Self::InvalidRecord => {
                "This version cannot act on what the record says, and holds the node. `groundskeeper nodes release` lets it go."
            }
            Self::DryRun => "The policy has `dryRun: true`. Nothing is done until it is unset.",
            Self::PolicyPaused => "The policy has `paused: true`. Nothing goes on until it is unset.",
            Self::Paused => {
                "Somebody has paused the departure; the message says who, when and why. `groundskeeper nodes resume` lets it go on."
            }
            Self::NodeNotDeleted => {
                "Somebody has created a record for a node that nobody has deleted. Nothing is done to the node. Delete the record, or the node."
            }
        }
    }
}

/// Every word that a blocker of a departure may have.
pub fn blocker_words() -> impl Iterator<Item = &'static str> {
    let departures = DepartureBlocker::ALL.into_iter().map(DepartureBlocker::name);
    let steps = StepBlocker::ALL.into_iter().map(StepBlocker::name);
    departures.chain(steps).chain(Reason::ALL.into_iter().map(Reason::name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maintenance::MaintenanceBlocker;

    #[test]
    fn no_two_things_that_stand_in_the_way_have_one_word() {
        let mut words: Vec<&str> = blocker_words().collect();
        words.extend(MaintenanceBlocker::ALL.map(MaintenanceBlocker::name));
        let different: std::collections::BTreeSet<_> = words.iter().collect();
        assert_eq!(different.len(), words.len(), "{words:?}");
        assert!(DepartureBlocker::ALL.iter().all(|one| one.meaning().ends_with('.')));
    }
}
