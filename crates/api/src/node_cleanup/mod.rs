//! `NodeCleanupPolicy`, `NodeCleanup`, `NodeMaintenance`, `DrainRule` and `CleanupPlugin`: how a node leaves.
//!
//! A policy says how; a `NodeCleanup` is the record of one departure; a `NodeMaintenance` empties a node that comes back.

#![allow(clippy::doc_markdown, reason = "`kubectl explain` shows the comments as they stand")]

mod cleanup;
mod drain;
mod maintenance;
mod plugin;
mod policy;
mod reasons;
mod rule;
mod step;

pub use cleanup::*;
pub use drain::*;
pub use maintenance::*;
pub use plugin::*;
pub use policy::*;
pub use reasons::*;
pub use rule::*;
pub use step::*;

/// The finalizer that keeps a deleted node until its cleanup has ended.
pub const NODE_FINALIZER: &str = "groundskeeper.dev/node-cleanup";

/// The annotation by which a node goes without any cleanup, whatever a policy says: `"true"`, read between all steps.
pub const SKIP_CLEANUP_ANNOTATION: &str = "groundskeeper.dev/skip-cleanup";

/// The label of a node whose deletion is refused, with one of [`GuardedBecause`]'s words as its value. The controller keeps it
/// fresh; the API server asks nobody but the label.
pub const DELETION_GUARD_LABEL: &str = "groundskeeper.dev/deletion-guard";

/// The labels of nodes that the cluster itself runs on. They are nobody's unless a policy says so in words.
pub const CONTROL_PLANE_LABELS: [&str; 3] = [
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
    "node-role.kubernetes.io/etcd",
];

/// Why the deletion of a node is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GuardedBecause {
    /// It is the last node with its value of the label that `validateDeletion.lastOf` names.
    LastOfPool,
    /// A disruption budget would keep one of its pods.
    BudgetWouldBreak,
}

impl GuardedBecause {
    /// Both.
    pub const ALL: [Self; 2] = [Self::LastOfPool, Self::BudgetWouldBreak];

    /// The value of [`DELETION_GUARD_LABEL`].
    pub const fn word(self) -> &'static str {
        match self {
            Self::LastOfPool => "LastOfPool",
            Self::BudgetWouldBreak => "BudgetWouldBreak",
        }
    }

    /// Why, and what lifts it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::LastOfPool => {
                "it is the last node of its pool: add another one, and this one may go once that is ready"
            }
            Self::BudgetWouldBreak => {
                "a disruption budget would keep one of its pods: raise the budget or the number of pods, or let the pods leave first by `groundskeeper nodes drain`"
            }
        }
    }
}

/// The annotation of a node that a maintenance holds: the UID of the NodeMaintenance, and what was put on the node for it.
pub const MAINTENANCE_ANNOTATION: &str = "groundskeeper.dev/maintenance";

/// The taint, with effect `NoSchedule`, of a node that leaves or is under maintenance.
pub const LEAVING_TAINT: &str = "groundskeeper.dev/leaving";

/// Kubernetes' label that takes a node out of the cloud's load balancers.
pub const EXCLUDE_FROM_LOAD_BALANCERS_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The label of a pod that says how a drain treats it, before any rule: `skip` or `wait-completed`.
pub const POD_DRAIN_LABEL: &str = "groundskeeper.dev/drain";
