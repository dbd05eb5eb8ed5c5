//! Why a policy cannot be acted on, and what to write instead.

use api::GcReason;

use crate::target::InvalidTarget;
use crate::when::InvalidWhen;
use crate::which::InvalidWhich;

/// Why a policy cannot be acted on, and what to write instead.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Invalid {
    /// A target is not one.
    #[error("{at}.{fault}")]
    Target {
        /// Its path below `spec`.
        at: String,
        /// What is wrong with it.
        fault: InvalidTarget,
    },
    /// The selection of namespaces is not one.
    #[error("{0}")]
    Namespaces(InvalidTarget),
    /// The time to live cannot be told.
    #[error("{0}")]
    When(#[from] InvalidWhen),
    /// A condition is not one.
    #[error("{0}")]
    Which(#[from] InvalidWhich),
    /// A namespaced policy reaches into another namespace.
    #[error(
        "targetResource.namespace is `{given}`, but a policy collects only in its own namespace, `{own}`: leave the field out, or create the policy in `{given}`"
    )]
    ForeignNamespace {
        /// What was written.
        given: String,
        /// The policy's own.
        own: String,
    },
    /// A policy of the cluster names a namespace in its target.
    #[error(
        "targetResource.namespace is `{given}`, but a ClusterGarbageCollectionPolicy selects namespaces by `namespaces: {{names: [{given}]}}`"
    )]
    NamespaceInCluster {
        /// What was written.
        given: String,
    },
    /// A namespaced policy selects namespaces.
    #[error(
        "namespaces: a GarbageCollectionPolicy collects in its own namespace: leave the field out, or write a ClusterGarbageCollectionPolicy"
    )]
    NamespacesInNamespaced,
    /// Neither or both of `targetResource` and `targetResources`.
    #[error("write either targetResource, for one kind, or targetResources, for several")]
    Targets,
    /// Nothing says when objects go.
    #[error("say when objects go: write ttl, or keep, or both")]
    NoTime,
    /// A policy that keeps objects says how it deletes them.
    #[error("a policy with `action: Keep` deletes nothing: leave keep, notice and budget out")]
    KeepDeletes,
    /// A field cannot be understood.
    #[error("{field}: {problem}")]
    Field {
        /// The field's path below `spec`.
        field: &'static str,
        /// What is wrong, and what to write instead.
        problem: String,
    },
    /// A number out of its bounds.
    #[error("{field} is {given}: write a number from {least} to {most}")]
    OutOfBounds {
        /// The field's path below `spec`.
        field: &'static str,
        /// What was written.
        given: i64,
        /// The least that is allowed.
        least: i64,
        /// The most that is allowed.
        most: i64,
    },
}

impl Invalid {
    /// The reason of the condition that reports it.
    pub const fn reason(&self) -> GcReason {
        match self {
            Self::ForeignNamespace { .. } => GcReason::ForeignNamespace,
            _ => GcReason::Invalid,
        }
    }
}
