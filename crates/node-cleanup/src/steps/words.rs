//! What becomes of steps is called, in one place: status, events, plans and the reference say the same.

use api::node_cleanup::{StepState, StepStatus};

use crate::limits::NAMES_IN_MESSAGE_MAX;

/// Why a step failed or was not taken, where the plugin has no word of its own for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StepReason {
    /// The attempt took longer than it may.
    TimedOut,
    /// The plugin could not be reached.
    Unreachable,
    /// The plugin's answer could not be understood.
    BadAnswer,
    /// The plugin said that it failed, and gave no reason.
    PluginFailed,
    /// `when` has no answer for the node.
    WhenFailed,
    /// `when` is not true of the node.
    WhenNotTrue,
    /// Somebody skipped the step.
    SkippedByHand,
    /// Somebody let the node go.
    Released,
}

impl StepReason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::TimedOut,
        Self::Unreachable,
        Self::BadAnswer,
        Self::PluginFailed,
        Self::WhenFailed,
        Self::WhenNotTrue,
        Self::SkippedByHand,
        Self::Released,
    ];

    /// The word that programs may read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TimedOut => "TimedOut",
            Self::Unreachable => "Unreachable",
            Self::BadAnswer => "BadAnswer",
            Self::PluginFailed => "PluginFailed",
            Self::WhenFailed => "WhenFailed",
            Self::WhenNotTrue => "WhenNotTrue",
            Self::SkippedByHand => "SkippedByHand",
            Self::Released => "Released",
        }
    }

    /// What it means, for the reference.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::TimedOut => "The attempt took longer than the step's `timeout`. It is tried again.",
            Self::Unreachable => "The plugin could not be reached. It is tried again.",
            Self::BadAnswer => {
                "The plugin's answer could not be understood; the message says what it should have written. It is tried again."
            }
            Self::PluginFailed => "The plugin said that it failed, and gave no reason of its own.",
            Self::WhenFailed => {
                "`when` has no answer for the node, so that the step is neither taken nor skipped."
            }
            Self::WhenNotTrue => "`when` is not true of the node, so that the step was not taken.",
            Self::SkippedByHand => "Somebody skipped the step.",
            Self::Released => "Somebody let the node go before the step had ended.",
        }
    }
}

/// What keeps steps from going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StepBlocker {
    /// A critical step failed for good.
    StepFailed,
    /// A plugin says that it could not work.
    PluginUnhealthy,
    /// Nobody has asked a plugin yet whether it could work.
    PluginUnchecked,
    /// A plugin failed too often of late, and is left alone for a while.
    PluginResting,
}

impl StepBlocker {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::StepFailed, Self::PluginUnhealthy, Self::PluginUnchecked, Self::PluginResting];

    /// The word that programs may read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StepFailed => "StepFailed",
            Self::PluginUnhealthy => "PluginUnhealthy",
            Self::PluginUnchecked => "PluginUnchecked",
            Self::PluginResting => "PluginResting",
        }
    }

    /// What it means, for the reference.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::StepFailed => {
                "A critical step failed for good, and the node is held. `nodes retry-step` tries it anew, `nodes skip-step` goes on without it."
            }
            Self::PluginUnhealthy => {
                "A plugin says that it could not work, so that no critical step of it begins. Steps that are not critical are tried all the same."
            }
            Self::PluginUnchecked => "Nobody has asked the plugin yet whether it could work.",
            Self::PluginResting => {
                "The plugin failed too often of late, and is left alone until the next try."
            }
        }
    }
}

/// The steps under way, in a few words: `drain (40 %), tell-the-cmdb (attempt 2)`. Nothing if there are none.
pub fn current(statuses: &[StepStatus]) -> Option<String> {
    let under_way = |status: &&StepStatus| matches!(status.state, StepState::Running | StepState::Retrying);
    let under_way: Vec<&StepStatus> = statuses.iter().filter(under_way).collect();
    let more = under_way.len().saturating_sub(NAMES_IN_MESSAGE_MAX);
    let mut words: Vec<String> = under_way.into_iter().take(NAMES_IN_MESSAGE_MAX).map(one).collect();
    if more > 0 {
        words.push(format!("{more} more"));
    }
    (!words.is_empty()).then(|| words.join(", "))
}

fn one(status: &StepStatus) -> String {
    let StepStatus { name, state, attempts, percent, .. } = status;
    match (state, percent) {
        (StepState::Retrying, _) => format!("{name} (failed, to be tried again)"),
        (_, Some(percent)) => format!("{name} ({percent} %)"),
        (_, None) if *attempts > 1 => format!("{name} (attempt {attempts})"),
        (_, None) => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_one_meaning() {
        let reasons = StepReason::ALL.map(|reason| (reason.name(), reason.meaning()));
        let blockers = StepBlocker::ALL.map(|blocker| (blocker.name(), blocker.meaning()));
        let words: Vec<_> = reasons.into_iter().chain(blockers).collect();
        let names: std::collections::BTreeSet<_> = words.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), words.len());
        assert!(words.iter().all(|(_, meaning)| meaning.ends_with('.')));
    }

    #[test]
    fn what_is_under_way_is_told_in_a_few_words() {
        let status = |name: &str, state, attempts, percent| StepStatus {
            name: name.to_owned(),
            state,
            attempts,
            percent,
            ..StepStatus::default()
        };
        let statuses = [
            status("drain", StepState::Running, 1, Some(40)),
            status("tell", StepState::Running, 2, None),
            status("log", StepState::Retrying, 1, None),
            status("last", StepState::Pending, 0, None),
        ];
        let words = "drain (40 %), tell (attempt 2), log (failed, to be tried again)";
        assert_eq!(current(&statuses).as_deref(), Some(words));
        assert_eq!(current(&statuses[3..]), None);
    }
}
