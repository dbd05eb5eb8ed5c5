//! What a verdict is called, in one place: plans, events, logs and status say the same.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use units::span_text;

use crate::decide::{Ending, Gate, Keeper, KeepsBecause, Kept, Ranked, Verdict};
use crate::keep::End;
use crate::limits::FINALIZERS_SHOWN_MAX;
use crate::object::OwnersSeen;
use crate::policy::Mode;

impl Verdict {
    /// `Delete`, `Keep`, `Protected` or `Unresolvable`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Delete { .. } => "Delete",
            Self::Notify { .. } | Self::Keep(_) => "Keep",
            Self::Protected(_) => "Protected",
            Self::Unresolvable(_) => "Unresolvable",
        }
    }

    /// Why, in one word that programs may read.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Delete { .. } => "Expired",
            Self::Notify { .. } => "NoticeDue",
            Self::Keep(kept) => kept.reason(),
            Self::Protected(rail) => rail.reason(),
            Self::Unresolvable(why) => why.reason(),
        }
    }

    /// Why, as a sentence.
    pub fn message(&self, mode: Mode, now: Timestamp) -> String {
        match self {
            Self::Delete { since } => format!("its time was up {} ago{}", ago(*since, now), only(mode)),
            Self::Notify { deletes_at } => {
                format!("it is to be told that it goes in {}{}", until(*deletes_at, now), only(mode))
            }
            Self::Keep(kept) => kept.message(mode, now),
            Self::Protected(rail) => rail.to_string(),
            Self::Unresolvable(why) => why.to_string(),
        }
    }
}

impl Kept {
    /// Why, in one word that programs may read.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotSelected { .. } => "NotSelected",
            Self::Unread => "Unread",
            Self::Terminating(ending) => ending.reason(),
            Self::Owned(OwnersSeen::There) => "OwnerExists",
            Self::Owned(_) => "OwnerUnknown",
            Self::ConditionNotMet(_) => "ConditionNotMet",
            Self::NotDue(why) => why.reason(),
            Self::Ranked(Ranked { end, .. }) => end.reason(),
            Self::By(_) => "KeptBy",
            Self::Keeping { .. } => "Keeping",
            Self::NotYet { .. } => "NotYet",
            Self::Told { .. } => "NoticeGiven",
            Self::Paused { .. } => "Paused",
            Self::Shut { gate, .. } => gate.reason(),
        }
    }

    fn message(&self, mode: Mode, now: Timestamp) -> String {
        match self {
            Self::NotSelected { why } => format!("the policy does not select it: {why}"),
            Self::Terminating(ending) => ending.message(mode),
            Self::Unread => "what the policy reads of it was not read: the policy asked for it later, or it is too large to be kept".to_owned(),
            Self::Owned(OwnersSeen::There) => "an owner of it exists".to_owned(),
            Self::Owned(_) => "nobody has looked yet whether its owners exist".to_owned(),
            Self::ConditionNotMet(unmet) => unmet.clone(),
            Self::NotDue(why) => why.to_string(),
            Self::Ranked(ranked) => ranked.to_string(),
            Self::By(keeper) => keeper.to_string(),
            Self::Keeping { until: None } => "the policy keeps it from other policies".to_owned(),
            Self::Keeping { until: Some(at) } if *at > now => {
                format!("the policy keeps it from other policies for another {}", until(*at, now))
            }
            Self::Keeping { .. } => "the policy kept it from other policies, and its time is up".to_owned(),
            Self::NotYet { expires_at } => format!("its time is up in {}", until(*expires_at, now)),
            Self::Told { deletes_at } => {
                format!("it has been told that it goes in {}", until(*deletes_at, now))
            }
            Self::Paused { expires_at } if *expires_at > now => {
                format!("the policy is paused; its time is up in {}", until(*expires_at, now))
            }
            Self::Paused { .. } => "the policy is paused; its time is up".to_owned(),
            Self::Shut { since, gate } => format!("its time was up {} ago, but {gate}", ago(*since, now)),
        }
    }
}

impl Ending {
    /// Why, in one word that programs may read.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Plain | Self::Released(_) => "Terminating",
            Self::Unproven(_) | Self::Held(_) => "HeldByFinalizers",
        }
    }

    fn message(&self, mode: Mode) -> String {
        const TEXT: &str = "it is being deleted already";
        match self {
            Self::Plain => TEXT.to_owned(),
            Self::Released(finalizer) if mode == Mode::Enforce => {
                format!("{TEXT}; the policy takes the finalizer `{finalizer}` off, for it has deleted it")
            }
            Self::Released(finalizer) => {
                format!("{TEXT}; the policy will take the finalizer `{finalizer}` off when it acts again")
            }
            Self::Unproven(finalizer) => format!(
                "{TEXT}, and hangs on the finalizer `{finalizer}`, which stays: nothing shows that it was this policy that deleted it"
            ),
            Self::Held(others) => {
                let shown: Vec<_> =
                    others.iter().take(FINALIZERS_SHOWN_MAX).map(|one| format!("`{one}`")).collect();
                let more = others.len().saturating_sub(FINALIZERS_SHOWN_MAX);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("{TEXT}, and hangs on finalizers of others, which stay: {}{more}", shown.join(", "))
            }
        }
    }
}

impl Gate {
    /// Why nothing is deleted, in one word.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::OutsideWindow { .. } => "OutsideWindow",
            Self::OverBudget => "OverBudget",
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("nothing stands in the way"),
            Self::AwaitingApproval => {
                f.write_str("the policy waits for its approval (`groundskeeper approve`)")
            }
            Self::OutsideWindow { opens_at } => write!(f, "the policy's next window opens at {opens_at}"),
            Self::OverBudget => f.write_str("the policy's budget is used up"),
        }
    }
}

impl fmt::Display for Ranked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { end, count, of } = self;
        let end = match end {
            End::Newest => "newest",
            End::Oldest => "oldest",
        };
        write!(f, "it is one of the {count} {end} of the {of} in its group")
    }
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = &self.policy;
        match self.because {
            KeepsBecause::Keep { until: None } => write!(f, "policy {policy} keeps it"),
            KeepsBecause::Keep { until: Some(until) } => write!(f, "policy {policy} keeps it until {until}"),
            KeepsBecause::Unknown => {
                write!(f, "policy {policy} may keep it, which is not known yet")
            }
            KeepsBecause::Priority(priority) => {
                write!(
                    f,
                    "policy {policy} selects it with the higher priority {priority}, so that it alone decides"
                )
            }
        }
    }
}

fn only(mode: Mode) -> &'static str {
    match mode {
        Mode::DryRun => "; the policy is a dry run, so it is only reported",
        Mode::Plan => "; the policy's mode is Plan, so it is only reported",
        Mode::Enforce | Mode::Paused => "",
    }
}

fn ago(then: Timestamp, now: Timestamp) -> String {
    span(now.duration_since(then))
}

fn until(then: Timestamp, now: Timestamp) -> String {
    span(then.duration_since(now))
}

fn span(span: SignedDuration) -> String {
    span_text(span.as_secs())
}
