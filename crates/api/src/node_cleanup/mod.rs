//! `NodeCleanupPolicy`, `NodeCleanup`, `NodeMaintenance`, `DrainRule` and `CleanupPlugin`: how a node leaves.
//!
//! A policy says how; a `NodeCleanup` is the record of one departure; a `NodeMaintenance` empties a node that comes back.

#![allow(clippy::doc_markdown, reason = "`kubectl explain` shows the comments as they stand")]

mod cleanup;
mod drain;
mod maintenance;
mod plugin;
mod policy;
mod rule;
mod step;

pub use cleanup::*;
pub use drain::*;
pub use maintenance::*;
pub use plugin::*;
pub use policy::*;
pub use rule::*;
pub use step::*;

/// The finalizer that keeps a deleted node until its cleanup has ended.
pub const NODE_FINALIZER: &str = "groundskeeper.dev/node-cleanup";

/// The annotation by which a node goes without any cleanup, whatever a policy says: `"true"`, read between all steps.
pub const SKIP_CLEANUP_ANNOTATION: &str = "groundskeeper.dev/skip-cleanup";

/// The taint, with effect `NoSchedule`, of a node that leaves or is under maintenance.
pub const LEAVING_TAINT: &str = "groundskeeper.dev/leaving";

/// Kubernetes' label that takes a node out of the cloud's load balancers.
pub const EXCLUDE_FROM_LOAD_BALANCERS_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The label of a pod that says how a drain treats it, before any rule: `skip` or `wait-completed`.
pub const POD_DRAIN_LABEL: &str = "groundskeeper.dev/drain";
