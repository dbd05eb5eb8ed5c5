//! The reasons of events that are not reasons of conditions, in one place.

/// Why an event was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventReason {
    /// Objects were deleted under a policy.
    Deleted,
    /// A replica has become the leader, or has ceased to be it.
    LeaderElection,
}

impl EventReason {
    /// All of them, for the reference page.
    pub const ALL: [Self; 2] = [Self::Deleted, Self::LeaderElection];

    /// The word as it stands in `reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deleted => "Deleted",
            Self::LeaderElection => "LeaderElection",
        }
    }

    /// The word as it stands in `action`.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Deleted => "Delete",
            Self::LeaderElection => "Lead",
        }
    }

    /// `Normal` or `Warning`.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Deleted | Self::LeaderElection => "Normal",
        }
    }

    /// The kind of the object that it is about.
    pub const fn regarding(self) -> &'static str {
        match self {
            Self::Deleted => "GarbageCollectionPolicy",
            Self::LeaderElection => "Lease",
        }
    }

    /// When it is sent.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Deleted => {
                "Objects were deleted under the policy; at most one event in 10 s, with the first names and the number"
            }
            Self::LeaderElection => {
                "A replica has taken the lease and acts from now on, or has stopped; the note says which, and why"
            }
        }
    }
}
