//! The reasons of events that are not reasons of conditions, in one place.

/// Why an event was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventReason {
    /// Objects were deleted under a policy.
    Deleted,
    /// A replica has become the leader.
    LeaderElected,
    /// A replica has ceased to be the leader.
    LeadershipLost,
}

impl EventReason {
    /// All of them, for the reference page.
    pub const ALL: [Self; 3] = [Self::Deleted, Self::LeaderElected, Self::LeadershipLost];

    /// The word as it stands in `reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deleted => "Deleted",
            Self::LeaderElected => "LeaderElected",
            Self::LeadershipLost => "LeadershipLost",
        }
    }

    /// The word as it stands in `action`.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Deleted => "Delete",
            Self::LeaderElected | Self::LeadershipLost => "Lead",
        }
    }

    /// `Normal` or `Warning`.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Deleted | Self::LeaderElected => "Normal",
            Self::LeadershipLost => "Warning",
        }
    }

    /// The kind of the object that it is about.
    pub const fn regarding(self) -> &'static str {
        match self {
            Self::Deleted => "GarbageCollectionPolicy",
            Self::LeaderElected | Self::LeadershipLost => "Lease",
        }
    }

    /// When it is sent.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Deleted => {
                "Objects were deleted under the policy; at most one event in 10 s, with the first names and the number"
            }
            Self::LeaderElected => "A replica has taken the lease, and acts from now on",
            Self::LeadershipLost => "A replica could not renew the lease in time, and has stopped acting",
        }
    }
}
