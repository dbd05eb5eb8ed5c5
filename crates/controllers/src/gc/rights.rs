//! What the garbage collector asks of the API server.

use chassis::rights::{Component, Right, Scope};

/// What is done with the kinds that policies collect. Granted kind by kind, by roles with the opt-in label.
pub const COLLECT_VERBS: [&str; 3] = ["list", "watch", "delete"];

/// What is done with policies.
pub const RIGHTS: &[Right] = &[
    Right {
        component: Component::GarbageCollection,
        group: api::GROUP,
        resources: &["garbagecollectionpolicies"],
        names: &[],
        verbs: &["list", "watch"],
        scope: Scope::Cluster,
        why: "to know what is to be collected",
    },
    Right {
        component: Component::GarbageCollection,
        group: api::GROUP,
        resources: &["garbagecollectionpolicies/status"],
        names: &[],
        verbs: &["patch"],
        scope: Scope::Cluster,
        why: "to report what was done, and what stands in the way",
    },
];
