//! The reasons of events that are not reasons of conditions, in one place.

/// Why an event was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventReason {
    /// Objects were deleted under a policy.
    Deleted,
    /// An object was told that it will be deleted.
    DeletionNotice,
    /// A replica has become the leader, or has ceased to be it.
    LeaderElection,
    /// A node begins to leave.
    CleanupStarted,
    /// All of a departure was done.
    CleanupCompleted,
    /// A departure is held by a step that failed for good.
    CleanupFailed,
    /// Something stands in the way of a departure.
    CleanupBlocked,
    /// Somebody let a node go.
    CleanupReleased,
    /// Somebody has let a node go by hand, while no operator ran.
    ReleasedByHand,
    /// A node was gone before all was done.
    CleanupLost,
    /// A step has begun.
    CleanupStepStarted,
    /// A step has ended.
    CleanupStepDone,
    /// An attempt of a step has failed.
    CleanupStepFailed,
    /// A node under maintenance is empty.
    NodeDrained,
    /// A node cannot be emptied for maintenance.
    MaintenanceBlocked,
    /// A node was given back.
    MaintenanceEnded,
}

impl EventReason {
    /// All of them, for the reference page.
    pub const ALL: [Self; 16] = [
        Self::Deleted,
        Self::DeletionNotice,
        Self::LeaderElection,
        Self::CleanupStarted,
        Self::CleanupCompleted,
        Self::CleanupFailed,
        Self::CleanupBlocked,
        Self::CleanupReleased,
        Self::ReleasedByHand,
        Self::CleanupLost,
        Self::CleanupStepStarted,
        Self::CleanupStepDone,
        Self::CleanupStepFailed,
        Self::NodeDrained,
        Self::MaintenanceBlocked,
        Self::MaintenanceEnded,
    ];

    /// The word as it stands in `reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deleted => "Deleted",
            Self::DeletionNotice => "DeletionNotice",
            Self::LeaderElection => "LeaderElection",
            Self::CleanupStarted => "CleanupStarted",
            Self::CleanupCompleted => "CleanupCompleted",
            Self::CleanupFailed => "CleanupFailed",
            Self::CleanupBlocked => "CleanupBlocked",
            Self::CleanupReleased => "CleanupReleased",
            Self::ReleasedByHand => "ReleasedByHand",
            Self::CleanupLost => "CleanupLost",
            Self::CleanupStepStarted => "CleanupStepStarted",
            Self::CleanupStepDone => "CleanupStepDone",
            Self::CleanupStepFailed => "CleanupStepFailed",
            Self::NodeDrained => "NodeDrained",
            Self::MaintenanceBlocked => "MaintenanceBlocked",
            Self::MaintenanceEnded => "MaintenanceEnded",
        }
    }

    /// The word as it stands in `action`.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Deleted => "Delete",
            Self::DeletionNotice => "Notify",
            Self::LeaderElection => "Lead",
            Self::CleanupStarted
            | Self::CleanupCompleted
            | Self::CleanupFailed
            | Self::CleanupBlocked
            | Self::CleanupLost
            | Self::CleanupStepStarted
            | Self::CleanupStepDone
            | Self::CleanupStepFailed => "Cleanup",
            Self::CleanupReleased | Self::ReleasedByHand => "Release",
            Self::NodeDrained | Self::MaintenanceBlocked => "Drain",
            Self::MaintenanceEnded => "Uncordon",
        }
    }

    /// `Normal` or `Warning`.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Deleted
            | Self::DeletionNotice
            | Self::LeaderElection
            | Self::CleanupStarted
            | Self::CleanupCompleted
            | Self::CleanupStepStarted
            | Self::CleanupStepDone
            | Self::NodeDrained
            | Self::MaintenanceEnded => "Normal",
            Self::CleanupFailed
            | Self::CleanupBlocked
            | Self::CleanupReleased
            | Self::ReleasedByHand
            | Self::CleanupLost
            | Self::CleanupStepFailed
            | Self::MaintenanceBlocked => "Warning",
        }
    }

    /// The kind of the object that it is about.
    pub const fn regarding(self) -> &'static str {
        match self {
            Self::Deleted => "GarbageCollectionPolicy",
            Self::DeletionNotice => "the object",
            Self::LeaderElection => "Lease",
            Self::CleanupStarted
            | Self::CleanupCompleted
            | Self::CleanupFailed
            | Self::CleanupBlocked
            | Self::CleanupReleased
            | Self::ReleasedByHand
            | Self::CleanupLost
            | Self::CleanupStepStarted
            | Self::CleanupStepDone
            | Self::CleanupStepFailed
            | Self::NodeDrained
            | Self::MaintenanceBlocked
            | Self::MaintenanceEnded => "Node",
        }
    }

    /// When it is sent.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Deleted => {
                "Objects were deleted under the policy; at most one event in 10 s, with the first names and the number"
            }
            Self::DeletionNotice => {
                "A policy with `notice` will delete the object at the time that the note and the annotation groundskeeper.dev/notice name"
            }
            Self::LeaderElection => {
                "A replica has taken the lease and acts from now on, or has stopped; the note says which, and why"
            }
            Self::CleanupStarted => "A node that was deleted begins to leave; the note names the policy",
            Self::CleanupCompleted => {
                "All was done, and the node goes; the note says how many steps were taken and how long it took"
            }
            Self::CleanupFailed => {
                "A critical step failed for good, so that the node is held; the note says which, and what would help"
            }
            Self::CleanupBlocked => {
                "Something stands in the way of a departure; told once for each kind of blocker, the note says what would lift it"
            }
            Self::CleanupReleased => "Somebody let a node go before all was done; the note says who",
            Self::ReleasedByHand => {
                "Somebody has taken our finalizer off the node without the operator, by `groundskeeper nodes release --stand-alone` or `uninstall`; the note says who, and why"
            }
            Self::CleanupLost => "A node was gone before all was done: somebody took the finalizer off",
            Self::CleanupStepStarted => "A step of a departure has begun; the note says which attempt",
            Self::CleanupStepDone => "A step of a departure has ended well, or was not taken",
            Self::CleanupStepFailed => {
                "An attempt of a step has failed; the note says why, and whether it is tried again"
            }
            Self::NodeDrained => {
                "No pod is left that has to leave a node under maintenance, which is held from now on"
            }
            Self::MaintenanceBlocked => {
                "Something stands in the way of emptying a node for maintenance, or the node was refused"
            }
            Self::MaintenanceEnded => {
                "A maintenance was deleted: what it had put on the node was taken off, or another maintenance holds the node now"
            }
        }
    }
}
