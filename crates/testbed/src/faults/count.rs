//! Which of the matches counts.

/// Counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Always,
    Nth(u64),
    First(u64),
    From(u64),
    /// What has begun before the rule was added.
    Before,
}

impl Count {
    /// Whether the match with this number is meant.
    pub(super) fn takes(self, number: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Nth(n) => number == n,
            Self::First(n) => number <= n,
            Self::From(n) => number >= n,
            Self::Before => false,
        }
    }
}
