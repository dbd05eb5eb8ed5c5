//! Conditions and their reasons, in one place, so that status, events and docs say the same.
//!
//! Three conditions, as kstatus reads them: `Ready` is what users wait for; `Reconciling` and `Stalled` are true only
//! while something is under way or stuck. The others name one thing each that stands in the way while they are true. All
//! are always present.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One aspect of an object's state, in the form of `metav1.Condition`.
#[allow(clippy::doc_markdown, reason = "`kubectl explain` shows the comments as they stand")]
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect: Ready, Reconciling, Stalled, PermissionDenied, BudgetExceeded, AwaitingApproval or Unresolvable.
    #[serde(rename = "type")]
    #[schemars(length(max = 316))]
    pub type_: String,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// Why, as one word that programs may read.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Why, as a sentence that says what to do where there is something to do.
    #[schemars(length(max = 32768))]
    pub message: String,
    /// When the status last changed.
    pub last_transition_time: Time,
    /// The generation of the spec that this condition speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It cannot be told.
    Unknown,
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// The aspects that every kind of ours reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// The object does what its spec says.
    Ready,
    /// Work is under way that will change `Ready`.
    Reconciling,
    /// Nothing will change until somebody changes the object, the cluster or our rights.
    Stalled,
    /// Somebody lacks a right: we, or whoever wrote the policy.
    PermissionDenied,
    /// Something is due, and the budget is used up.
    BudgetExceeded,
    /// Nothing is deleted before somebody approves the spec.
    AwaitingApproval,
    /// Of some objects it cannot be told when their time is up; they stay.
    Unresolvable,
    /// Some objects are being deleted, and hang on finalizers that the policy does not take off.
    HeldByFinalizers,
}

impl ConditionType {
    /// All of them, in the order in which they stand in a status.
    pub const ALL: [Self; 8] = [
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::PermissionDenied,
        Self::BudgetExceeded,
        Self::AwaitingApproval,
        Self::Unresolvable,
        Self::HeldByFinalizers,
    ];

    /// While what it is true, for the reference page.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ready => "The object does what its spec says.",
            Self::Reconciling => "Work is under way that will change `Ready`.",
            Self::Stalled => {
                "Nothing will change until somebody changes the object, the cluster or our rights. The message says what."
            }
            Self::PermissionDenied => {
                "Somebody lacks a right: we, or whoever wrote the policy. The message names it."
            }
            Self::BudgetExceeded => {
                "Something is due, and the policy's budget is used up. It goes when the window has moved on, or when somebody approves it."
            }
            Self::AwaitingApproval => {
                "Nothing is deleted before somebody approves the spec: it takes everything everywhere, or was changed so that it newly selects more than its budget. `groundskeeper approve` lets it begin."
            }
            Self::Unresolvable => {
                "Of some objects it cannot be told when their time is up. They stay; the message counts them and names one."
            }
            Self::HeldByFinalizers => {
                "Of a policy with `behavior.finalizer`: some objects are being deleted, and hang on finalizers that it does not take off. The message counts them, names one, and says why."
            }
        }
    }

    /// The name as it stands in `type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::PermissionDenied => "PermissionDenied",
            Self::BudgetExceeded => "BudgetExceeded",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::Unresolvable => "Unresolvable",
            Self::HeldByFinalizers => "HeldByFinalizers",
        }
    }
}

/// The reasons of a garbage collection policy's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GcReason {
    /// Objects are deleted as they fall due.
    Collecting,
    /// Objects are kept from other policies.
    Keeping,
    /// The mode is Plan: objects are watched, and what would be deleted is counted; nothing is deleted.
    Planning,
    /// Objects are watched, and what would be deleted is counted; nothing is deleted.
    DryRun,
    /// The policy is paused; nothing is deleted.
    Paused,
    /// The objects are being read for the first time.
    Listing,
    /// The API server does not answer, or not with what was asked for; it is asked again.
    Unavailable,
    /// The spec cannot be acted on; the message says what to write.
    Invalid,
    /// The policy names another namespace than its own.
    ForeignNamespace,
    /// The target is protected as a whole: the kind or the namespace is never collected.
    TargetProtected,
    /// The cluster serves no such kind (yet).
    KindNotFound,
    /// The kind has no namespaces.
    KindNotNamespaced,
    /// The kind cannot be listed, watched or deleted by anyone.
    KindNotCollectable,
    /// Our service account lacks a right; the message names it.
    Forbidden,
    /// It is not known who wrote the policy, so that nobody's rights can be checked.
    AuthorUnknown,
    /// Whoever wrote the policy may not do what it does; the message names what is missing.
    AuthorForbidden,
    /// The budget is used up, and something is due.
    BudgetExceeded,
    /// The spec waits to be approved.
    AwaitingApproval,
    /// Nothing is due outside of the schedule's windows.
    OutsideWindow,
    /// Of some objects it cannot be told when their time is up.
    ObjectsUnresolvable,
    /// Some objects are being deleted, and hang on finalizers that the policy does not take off.
    FinalizersRemain,
    /// The condition does not hold, and there is nothing to say about it.
    AsExpected,
}

impl GcReason {
    /// All of them, for the reference page.
    pub const ALL: [Self; 22] = [
        Self::Collecting,
        Self::Keeping,
        Self::Planning,
        Self::DryRun,
        Self::Paused,
        Self::Listing,
        Self::Unavailable,
        Self::Invalid,
        Self::ForeignNamespace,
        Self::TargetProtected,
        Self::KindNotFound,
        Self::KindNotNamespaced,
        Self::KindNotCollectable,
        Self::Forbidden,
        Self::AuthorUnknown,
        Self::AuthorForbidden,
        Self::BudgetExceeded,
        Self::AwaitingApproval,
        Self::OutsideWindow,
        Self::ObjectsUnresolvable,
        Self::FinalizersRemain,
        Self::AsExpected,
    ];

    /// The name as it stands in `reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Collecting => "Collecting",
            Self::Keeping => "Keeping",
            Self::Planning => "Planning",
            Self::DryRun => "DryRun",
            Self::Paused => "Paused",
            Self::Listing => "Listing",
            Self::Unavailable => "Unavailable",
            Self::Invalid => "Invalid",
            Self::ForeignNamespace => "ForeignNamespace",
            Self::TargetProtected => "TargetProtected",
            Self::KindNotFound => "KindNotFound",
            Self::KindNotNamespaced => "KindNotNamespaced",
            Self::KindNotCollectable => "KindNotCollectable",
            Self::Forbidden => "Forbidden",
            Self::AuthorUnknown => "AuthorUnknown",
            Self::AuthorForbidden => "AuthorForbidden",
            Self::BudgetExceeded => "BudgetExceeded",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::OutsideWindow => "OutsideWindow",
            Self::ObjectsUnresolvable => "ObjectsUnresolvable",
            Self::FinalizersRemain => "FinalizersRemain",
            Self::AsExpected => "AsExpected",
        }
    }

    /// What it means and what to do, for the reference page.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Collecting => "Objects are deleted as they fall due.",
            Self::Keeping => "`action: Keep`: what the policy selects is kept from other policies.",
            Self::Planning => {
                "`mode` is `Plan`: what is due is counted in the message; nothing is deleted. Set `mode: Enforce` to have it deleted."
            }
            Self::DryRun => {
                "`behavior.dryRun` is set: what is due is counted in the message; nothing is deleted."
            }
            Self::Paused => "`paused` is set: nothing is deleted until it is unset.",
            Self::Listing => "The objects are being read for the first time. It passes by itself.",
            Self::Unavailable => {
                "The API server does not answer for this kind. It is asked again, at growing intervals."
            }
            Self::Invalid => "The spec cannot be acted on. The message says what to write instead.",
            Self::ForeignNamespace => {
                "`targetResource.namespace` is not the policy's own. Leave it out, or move the policy."
            }
            Self::TargetProtected => "The kind or the namespace is never collected. Delete the policy.",
            Self::KindNotFound => {
                "The cluster serves no such kind. Collection starts by itself when it does, such as after its CustomResourceDefinition is installed."
            }
            Self::KindNotNamespaced => {
                "The kind has no namespaces, and a GarbageCollectionPolicy collects only objects of its own. Write a ClusterGarbageCollectionPolicy."
            }
            Self::KindNotCollectable => "The kind does not offer list, watch and delete.",
            Self::Forbidden => {
                "Our service account lacks the right that the message names. Grant it, for instance with what `groundskeeper rbac --collect` prints; collection then starts by itself."
            }
            Self::AuthorUnknown => {
                "The annotations that name the author are missing or make no sense. Create the policy again, or change its spec, while the admission policies are installed; they stamp the annotations."
            }
            Self::AuthorForbidden => {
                "Whoever created the policy or last changed its spec may not do what it does. Grant them the right that the message names, or let somebody who has it write the policy. Collection then starts by itself."
            }
            Self::BudgetExceeded => {
                "So much has gone in the budget's window that nothing more goes now. Wait for the window to move on, raise `budget`, or let what is due go once with `groundskeeper approve`."
            }
            Self::AwaitingApproval => {
                "The spec takes everything of a kind everywhere, or was changed so that it newly selects more than its budget. Look at `groundskeeper plan`, then run `groundskeeper approve`, or narrow the spec."
            }
            Self::OutsideWindow => {
                "What is due waits for the next window of `schedule`. The message names it."
            }
            Self::ObjectsUnresolvable => {
                "A field is missing or is not understood, or an expression fails. The objects stay. Mend them, or give `ttl.default`, or select fewer."
            }
            Self::FinalizersRemain => {
                "Objects that are being deleted hang on finalizers of others, or on the policy's own where nothing shows that it was the policy that deleted them. Whoever owns a finalizer has to take it off; if nobody does any more, take it off by hand."
            }
            Self::AsExpected => "The condition does not hold, and there is nothing to say about it.",
        }
    }
}
