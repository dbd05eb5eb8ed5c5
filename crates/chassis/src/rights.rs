//! What each component asks of the API server: declared beside the code that asks, granted by generated roles.
//!
//! A row says who asks what, where and why. `groundskeeper rbac` and `install` make one role for each component and scope
//! of it; `groundskeeper check` asks the cluster about every row. There is no wildcard anywhere, and the right to create
//! stands alone, because the API server knows no name yet when it decides about it.
//!
//! Invariant: a request of ours that no row covers is a fault, and so is a row that no request needs.

use crate::limits::LEASE_SLOTS;

/// The lease of each slot, in our own namespace.
pub const LEASE_NAMES: [&str; LEASE_SLOTS] = ["groundskeeper-slot-0"];

/// The ConfigMap in our own namespace that the heads of the ledgers are anchored in.
pub const LEDGER_CONFIG_MAP: &str = "groundskeeper-ledger";

/// The Secret in our own namespace that holds the webhook's CA and certificate.
pub const WEBHOOK_SECRET: &str = "groundskeeper-webhook-tls";

/// The name of our webhook configurations, validating and mutating.
pub const WEBHOOK_CONFIGURATION: &str = "groundskeeper";

/// The part of the program that a right is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// The garbage collection controller.
    GarbageCollection,
    /// The node cleanup controller: what drains.
    NodeCleanup,
    /// The cleanup plugins that come with us.
    Plugins,
    /// The sender of Kubernetes events.
    Events,
    /// Leader election.
    Leases,
    /// The anchor of the ledger in the cluster.
    Ledger,
    /// The webhook's certificates, and its configuration.
    Admission,
    /// Questions about what others may do.
    Reviews,
}

impl Component {
    /// All of them, in the order in which roles are printed.
    pub const ALL: [Self; 8] = [
        Self::GarbageCollection,
        Self::NodeCleanup,
        Self::Plugins,
        Self::Events,
        Self::Leases,
        Self::Ledger,
        Self::Admission,
        Self::Reviews,
    ];

    /// The name in roles: `groundskeeper-<name>`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GarbageCollection => "gc",
            Self::NodeCleanup => "nodes",
            Self::Plugins => "plugins",
            Self::Events => "events",
            Self::Leases => "leases",
            Self::Ledger => "ledger",
            Self::Admission => "admission",
            Self::Reviews => "reviews",
        }
    }
}

/// Where a right holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everywhere, or on what has no namespace.
    Cluster,
    /// In the namespace that the operator runs in.
    OwnNamespace,
}

/// One right: verbs on resources of one group, and why they are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// Who needs it.
    pub component: Component,
    /// The API group; empty for the core one.
    pub group: &'static str,
    /// The plurals, with their subresource if that is meant.
    pub resources: &'static [&'static str],
    /// Only these objects; empty for all.
    pub names: &'static [&'static str],
    /// What is done.
    pub verbs: &'static [&'static str],
    /// Where.
    pub scope: Scope,
    /// What it is needed for, in a few words.
    pub why: &'static str,
}

/// What the chassis itself needs, whatever controllers run.
pub const RIGHTS: &[Right] = &[
    Right {
        component: Component::Events,
        group: "events.k8s.io",
        resources: &["events"],
        names: &[],
        verbs: &["create", "patch"],
        scope: Scope::Cluster,
        why: "to tell of what was done on the object that it concerns, and to count repetitions",
    },
    Right {
        component: Component::Leases,
        group: "coordination.k8s.io",
        resources: &["leases"],
        names: &LEASE_NAMES,
        verbs: &["get", "update"],
        scope: Scope::OwnNamespace,
        why: "to hold the lease of a slot, so that one replica acts",
    },
    Right {
        component: Component::Leases,
        group: "coordination.k8s.io",
        resources: &["leases"],
        names: &[],
        verbs: &["create"],
        scope: Scope::OwnNamespace,
        why: "to make the lease of a slot the first time",
    },
    Right {
        component: Component::Ledger,
        group: "",
        resources: &["configmaps"],
        names: &[LEDGER_CONFIG_MAP],
        verbs: &["get", "patch"],
        scope: Scope::OwnNamespace,
        why: "to anchor the ledger's head where the machine that wrote it cannot take it back",
    },
    Right {
        component: Component::Ledger,
        group: "",
        resources: &["configmaps"],
        names: &[],
        verbs: &["create"],
        scope: Scope::OwnNamespace,
        why: "to make the anchor the first time",
    },
    Right {
        component: Component::Admission,
        group: "",
        resources: &["secrets"],
        names: &[WEBHOOK_SECRET],
        verbs: &["get", "list", "watch", "update", "patch"],
        scope: Scope::OwnNamespace,
        why: "to share the webhook's CA and certificate among the replicas, and to rotate them",
    },
    Right {
        component: Component::Admission,
        group: "",
        resources: &["secrets"],
        names: &[],
        verbs: &["create"],
        scope: Scope::OwnNamespace,
        why: "to make the webhook's CA and certificate the first time",
    },
    Right {
        component: Component::Admission,
        group: "admissionregistration.k8s.io",
        resources: &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        names: &[WEBHOOK_CONFIGURATION],
        verbs: &["get", "patch"],
        scope: Scope::Cluster,
        why: "to tell the API server which CA to trust when the CA rotates",
    },
    Right {
        component: Component::Reviews,
        group: "authorization.k8s.io",
        resources: &["subjectaccessreviews"],
        names: &[],
        verbs: &["create"],
        scope: Scope::Cluster,
        why: "to ask whether a policy's author may list and delete what the policy targets",
    },
    Right {
        component: Component::Reviews,
        group: "authentication.k8s.io",
        resources: &["tokenreviews"],
        names: &[],
        verbs: &["create"],
        scope: Scope::Cluster,
        why: "to ask who wants to read the metrics",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creation_is_not_restricted_by_name_because_it_cannot_be() {
        for right in RIGHTS.iter().filter(|right| right.verbs.contains(&"create")) {
            assert!(right.names.is_empty(), "{right:?}: the API server would refuse every creation");
        }
    }

    #[test]
    fn what_holds_passwords_and_settings_is_reached_by_name_only() {
        let held = |right: &&Right| right.group.is_empty() && right.verbs != ["create"];
        for right in RIGHTS.iter().filter(held) {
            assert!(!right.names.is_empty() && right.scope == Scope::OwnNamespace, "{right:?}");
        }
    }
}
