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
}

impl EventReason {
    /// All of them, for the reference page.
    pub const ALL: [Self; 3] = [Self::Deleted, Self::DeletionNotice, Self::LeaderElection];

    /// The word as it stands in `reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deleted => "Deleted",
            Self::DeletionNotice => "DeletionNotice",
            Self::LeaderElection => "LeaderElection",
        }
    }

    /// The word as it stands in `action`.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Deleted => "Delete",
            Self::DeletionNotice => "Notify",
            Self::LeaderElection => "Lead",
        }
    }

    /// `Normal` or `Warning`.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Deleted | Self::DeletionNotice | Self::LeaderElection => "Normal",
        }
    }

    /// The kind of the object that it is about.
    pub const fn regarding(self) -> &'static str {
        match self {
            Self::Deleted => "GarbageCollectionPolicy",
            Self::DeletionNotice => "the object",
            Self::LeaderElection => "Lease",
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
        }
    }
}
