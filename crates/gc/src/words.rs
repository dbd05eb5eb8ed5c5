//! What a verdict is called, in one place: plans, events, logs and status say the same.

use jiff::{SignedDuration, Timestamp};
use units::span_text;

use crate::decide::{Kept, Unresolved, Verdict};
use crate::policy::Mode;

impl Verdict {
    /// `Delete`, `Keep`, `Protected` or `Unresolvable`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Delete { .. } => "Delete",
            Self::Keep(_) => "Keep",
            Self::Protected(_) => "Protected",
            Self::Unresolvable(_) => "Unresolvable",
        }
    }

    /// Why, in one word that programs may read.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Delete { .. } => "Expired",
            Self::Keep(Kept::NotSelected) => "NotSelected",
            Self::Keep(Kept::Terminating) => "Terminating",
            Self::Keep(Kept::NotYet { .. }) => "NotYet",
            Self::Keep(Kept::Paused { .. }) => "Paused",
            Self::Protected(rail) => rail.reason(),
            Self::Unresolvable(Unresolved::NoCreationTime) => "NoCreationTime",
        }
    }

    /// Why, as a sentence.
    pub fn message(&self, mode: Mode, now: Timestamp) -> String {
        match self {
            Self::Delete { since } => {
                let ago = span(now.duration_since(*since));
                let only = if mode == Mode::DryRun {
                    "; the policy is a dry run, so it is only reported"
                } else {
                    ""
                };
                format!("its time was up {ago} ago{only}")
            }
            Self::Keep(Kept::NotSelected) => "the policy's labelSelector does not select it".to_owned(),
            Self::Keep(Kept::Terminating) => "it is being deleted already".to_owned(),
            Self::Keep(Kept::NotYet { expires_at }) => {
                format!("its time is up in {}", span(expires_at.duration_since(now)))
            }
            Self::Keep(Kept::Paused { expires_at }) if *expires_at > now => {
                format!("the policy is paused; its time is up in {}", span(expires_at.duration_since(now)))
            }
            Self::Keep(Kept::Paused { .. }) => "the policy is paused; its time is up".to_owned(),
            Self::Protected(rail) => rail.to_string(),
            Self::Unresolvable(Unresolved::NoCreationTime) => {
                "it has no metadata.creationTimestamp, so it cannot be told when its time is up".to_owned()
            }
        }
    }
}

fn span(span: SignedDuration) -> String {
    span_text(span.as_secs())
}
