//! The conditions of node cleanup and their reasons, in one place, so that status, events and docs say the same.

/// What the conditions of departures, maintenances, policies and plugins are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeCondition {
    /// It is done, or does what its spec says.
    Ready,
    /// Work is under way that will change `Ready`.
    Reconciling,
    /// Nothing goes on before somebody helps.
    Stalled,
    /// Something stands in the way.
    Blocked,
    /// No pod is left that has to leave.
    Drained,
    /// No volume is attached that has to go.
    VolumesDetached,
}

impl NodeCondition {
    /// All of them, in the order in which they stand in a status.
    pub const ALL: [Self; 6] =
        [Self::Ready, Self::Reconciling, Self::Stalled, Self::Blocked, Self::Drained, Self::VolumesDetached];

    /// The name as it stands in `type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Blocked => "Blocked",
            Self::Drained => "Drained",
            Self::VolumesDetached => "VolumesDetached",
        }
    }

    /// While what it is true, for the reference page.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ready => {
                "The departure has ended; the policy or the plugin does what its spec says; the node is empty."
            }
            Self::Reconciling => "Work is under way that will change `Ready`.",
            Self::Stalled => "Nothing goes on before somebody helps. The message says what would.",
            Self::Blocked => {
                "Something stands in the way. The reason is that of the first blocker, the message says what would lift it; `status.blockers` has all."
            }
            Self::Drained => "No pod is left that has to leave the node.",
            Self::VolumesDetached => "No volume is attached to the node that has to go.",
        }
    }
}

/// The reasons of these conditions, besides those of blockers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeReason {
    /// The departure waits for its turn.
    Waiting,
    /// The departure goes on.
    Leaving,
    /// All was done, and the node is gone.
    Completed,
    /// Somebody let the node go.
    Released,
    /// The node was gone before all was done.
    Lost,
    /// A critical step failed for good.
    StepFailed,
    /// The departure has taken longer than it may.
    DeadlinePassed,
    /// The record makes no sense to this version.
    InvalidRecord,
    /// Something that was decided could not be done.
    ActFailed,
    /// The policy decides of its nodes.
    Governing,
    /// The policy only plans.
    DryRun,
    /// The policy rests.
    PolicyPaused,
    /// The spec cannot be acted on.
    Invalid,
    /// Something cannot be read.
    Unavailable,
    /// The plugin answers.
    Answering,
    /// The plugin does not answer, or says that it could not work.
    NotAnswering,
    /// The plugin is asked when a step needs it.
    Declared,
    /// The maintenance goes on.
    Draining,
    /// The node is empty, and held.
    Held,
    /// The maintenance was refused, or its time ran out.
    MaintenanceFailed,
    /// There is no such node, or another one of its name.
    NodeGone,
    /// The condition does not hold, and there is nothing to say about it.
    AsExpected,
}

impl NodeReason {
    /// All of them, for the reference page.
    pub const ALL: [Self; 22] = [
        Self::Waiting,
        Self::Leaving,
        Self::Completed,
        Self::Released,
        Self::Lost,
        Self::StepFailed,
        Self::DeadlinePassed,
        Self::InvalidRecord,
        Self::ActFailed,
        Self::Governing,
        Self::DryRun,
        Self::PolicyPaused,
        Self::Invalid,
        Self::Unavailable,
        Self::Answering,
        Self::NotAnswering,
        Self::Declared,
        Self::Draining,
        Self::Held,
        Self::MaintenanceFailed,
        Self::NodeGone,
        Self::AsExpected,
    ];

    /// The name as it stands in `reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Leaving => "Leaving",
            Self::Completed => "Completed",
            Self::Released => "Released",
            Self::Lost => "Lost",
            Self::StepFailed => "StepFailed",
            Self::DeadlinePassed => "DeadlinePassed",
            Self::InvalidRecord => "InvalidRecord",
            Self::ActFailed => "ActFailed",
            Self::Governing => "Governing",
            Self::DryRun => "DryRun",
            Self::PolicyPaused => "PolicyPaused",
            Self::Invalid => "Invalid",
            Self::Unavailable => "Unavailable",
            Self::Answering => "Answering",
            Self::NotAnswering => "NotAnswering",
            Self::Declared => "Declared",
            Self::Draining => "Draining",
            Self::Held => "Held",
            Self::MaintenanceFailed => "MaintenanceFailed",
            Self::NodeGone => "NodeGone",
            Self::AsExpected => "AsExpected",
        }
    }

    /// What it means and what to do, for the reference page.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Waiting => "The departure waits for its turn; its blockers say what for.",
            Self::Leaving => "The departure goes on.",
            Self::Completed => "All was done, and the node is gone.",
            Self::Released => {
                "Somebody let the node go before all was done; `status.steps` says what was not."
            }
            Self::Lost => {
                "The node was gone before all was done, because somebody took the finalizer off. `status.steps` says what was not done: do it by hand."
            }
            Self::StepFailed => {
                "A critical step failed for good. `groundskeeper nodes retry-step` tries it anew, `skip-step` goes on without it."
            }
            Self::DeadlinePassed => {
                "The departure has taken longer than its deadline. It goes on; `groundskeeper nodes extend` gives it more time, `release` lets the node go."
            }
            Self::InvalidRecord => {
                "This version cannot act on what the record says. `groundskeeper nodes release` lets the node go."
            }
            Self::ActFailed => {
                "Something that was decided could not be done, such as to cordon the node. The message says what and why; it is tried again."
            }
            Self::Governing => "The policy decides of its nodes.",
            Self::DryRun => "`dryRun` is set: nothing is done, and a node that is deleted waits.",
            Self::PolicyPaused => "`paused` is set: nothing goes on until it is unset.",
            Self::Invalid => "The spec cannot be acted on. The message says what to write instead.",
            Self::Unavailable => {
                "Something that decides cannot be read. The message says what; it is tried again."
            }
            Self::Answering => "The plugin answers, and says that it could work.",
            Self::NotAnswering => {
                "The plugin does not answer, or says that it could not work. The message says why; it is asked again."
            }
            Self::Declared => "The plugin is a Job: it is seen to work when a step needs it.",
            Self::Draining => "Pods leave the node.",
            Self::Held => "The node is empty, and gets no pods until the maintenance is deleted.",
            Self::MaintenanceFailed => {
                "The node was refused, or its time ran out. The blockers say why. Change `drain`, or delete the maintenance."
            }
            Self::NodeGone => {
                "There is no node of this name, or it is another one than was seen. Delete the maintenance."
            }
            Self::AsExpected => "The condition does not hold, and there is nothing to say about it.",
        }
    }
}
