//! What the garbage collector asks of the API server.

use chassis::rights::{Component, Right, Scope};

/// What is done with the kinds that policies collect. Granted kind by kind, by roles with the opt-in label.
pub const COLLECT_VERBS: [&str; 3] = ["list", "watch", "delete"];

/// What is done besides with the kinds of policies that give notice: it writes an annotation.
pub const NOTICE_VERB: &str = "patch";

/// What is done besides with the kinds of policies that take a finalizer off what they have deleted.
pub const FINALIZER_VERB: &str = "patch";

/// What is done with policies.
pub const RIGHTS: &[Right] = &[
    Right {
        component: Component::GarbageCollection,
        group: api::GROUP,
        resources: &["garbagecollectionpolicies", "clustergarbagecollectionpolicies"],
        names: &[],
        verbs: &["list", "watch"],
        scope: Scope::Cluster,
        why: "to know what is to be collected",
    },
    Right {
        component: Component::GarbageCollection,
        group: api::GROUP,
        resources: &["garbagecollectionpolicies/status", "clustergarbagecollectionpolicies/status"],
        names: &[],
        verbs: &["patch"],
        scope: Scope::Cluster,
        why: "to report what was done, and what stands in the way",
    },
    Right {
        component: Component::GarbageCollection,
        group: "",
        resources: &["namespaces"],
        names: &[],
        verbs: &["list", "watch"],
        scope: Scope::Cluster,
        why: "to know which namespaces a policy selects by name and label",
    },
    Right {
        component: Component::GarbageCollection,
        group: "",
        resources: &["resourcequotas"],
        names: &[],
        verbs: &["list", "watch"],
        scope: Scope::Cluster,
        why: "to let go first what counts against a quota that is used up",
    },
];
