//! Conditions and their reasons, in one place, so that status, events and docs say the same.
//!
//! Three conditions, as kstatus reads them: `Ready` is what users wait for; `Reconciling` and `Stalled` are true only
//! while something is under way or stuck. All three are always present.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One aspect of an object's state, in the form of `metav1.Condition`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect: Ready, Reconciling or Stalled.
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
}

impl ConditionType {
    /// All of them, for the reference page.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Reconciling, Self::Stalled];

    /// While what it is true, for the reference page.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ready => "The object does what its spec says.",
            Self::Reconciling => "Work is under way that will change `Ready`.",
            Self::Stalled => {
                "Nothing will change until somebody changes the object, the cluster or our rights. The message says what."
            }
        }
    }

    /// The name as it stands in `type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
        }
    }
}

/// The reasons of a garbage collection policy's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GcReason {
    /// Objects are deleted as they fall due.
    Collecting,
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
    /// The condition does not hold, and there is nothing to say about it.
    AsExpected,
}

impl GcReason {
    /// All of them, for the reference page.
    pub const ALL: [Self; 15] = [
        Self::Collecting,
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
        Self::AsExpected,
    ];

    /// The name as it stands in `reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Collecting => "Collecting",
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
            Self::AsExpected => "AsExpected",
        }
    }

    /// What it means and what to do, for the reference page.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Collecting => "Objects are deleted as they fall due.",
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
                "The kind has no namespaces; a namespaced policy collects only objects of its namespace."
            }
            Self::KindNotCollectable => "The kind does not offer list, watch and delete.",
            Self::Forbidden => {
                "Our service account lacks the right that the message names. Grant it, for instance with what `groundskeeper rbac --collect` prints; collection then starts by itself."
            }
            Self::AuthorUnknown => {
                "The annotations that name the author are missing or make no sense. Create the policy again, or change its spec, while the admission policies are installed; they stamp the annotations."
            }
            Self::AuthorForbidden => {
                "Whoever created the policy or last changed its spec may not list and delete its objects. Grant them the right that the message names, or let somebody who has it write the policy. Collection then starts by itself."
            }
            Self::AsExpected => "The condition does not hold, and there is nothing to say about it.",
        }
    }
}
