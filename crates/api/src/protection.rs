//! What is never deleted, whatever a policy says.
//!
//! One rule, asked twice: by the engine when it judges, and by the actuator before it acts. The object's own word (the
//! annotation) is the engine's to read; the rest follows from kind and namespace alone.

use std::fmt;

use units::GroupVersionKind;

use crate::GROUP;

/// Namespaces that belong to the cluster itself.
const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// Why an object is never deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rail {
    /// It lies in `kube-system`, `kube-public` or `kube-node-lease`.
    SystemNamespace,
    /// It lies in the namespace that Groundskeeper itself runs in.
    OwnNamespace,
    /// It is a lease: someone's leadership or a node's heartbeat.
    Lease,
    /// It is one of our own resources.
    OwnResource,
    /// The control plane puts it into every namespace, and pods do not start without it.
    Published,
    /// It carries the annotation `groundskeeper.dev/protect`.
    Annotated,
}

impl Rail {
    /// The reason as it stands in plans, events and metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::SystemNamespace => "SystemNamespace",
            Self::OwnNamespace => "OwnNamespace",
            Self::Lease => "Lease",
            Self::OwnResource => "OwnResource",
            Self::Published => "PublishedByControlPlane",
            Self::Annotated => "ProtectedByAnnotation",
        }
    }
}

impl fmt::Display for Rail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SystemNamespace => {
                "objects in kube-system, kube-public and kube-node-lease are never deleted"
            }
            Self::OwnNamespace => "objects in Groundskeeper's own namespace are never deleted",
            Self::Lease => "leases are never deleted",
            Self::OwnResource => "resources of groundskeeper.dev are never deleted",
            Self::Published => "the control plane puts it into every namespace; pods do not start without it",
            Self::Annotated => "it carries the annotation groundskeeper.dev/protect",
        })
    }
}

/// The rails that follow from where and what an object is.
#[derive(Clone, Debug)]
pub struct Rails {
    own_namespace: String,
}

impl Rails {
    /// The rails of an operator that runs in `own_namespace`.
    pub fn new(own_namespace: impl Into<String>) -> Self {
        Self { own_namespace: own_namespace.into() }
    }

    /// The rail that keeps all objects of this kind in this namespace, if there is one.
    pub fn keep(&self, kind: &GroupVersionKind, namespace: &str) -> Option<Rail> {
        if SYSTEM_NAMESPACES.contains(&namespace) {
            return Some(Rail::SystemNamespace);
        }
        if namespace == self.own_namespace {
            return Some(Rail::OwnNamespace);
        }
        if kind.group() == "coordination.k8s.io" {
            return Some(Rail::Lease);
        }
        if kind.group() == GROUP || kind.group().ends_with(".groundskeeper.dev") {
            return Some(Rail::OwnResource);
        }
        None
    }
}

/// The objects of a kind that the control plane puts into every namespace, and would put there again.
pub fn published_names(kind: &GroupVersionKind) -> &'static [&'static str] {
    match (kind.group(), kind.kind.as_str()) {
        ("", "ConfigMap") => &["kube-root-ca.crt", "openshift-service-ca.crt"],
        ("", "ServiceAccount") => &["default"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rails_hold() {
        let rails = Rails::new("grounds");
        let table = [
            ("v1", "ConfigMap", "team", None),
            ("v1", "ConfigMap", "kube-system", Some(Rail::SystemNamespace)),
            ("v1", "ConfigMap", "kube-public", Some(Rail::SystemNamespace)),
            ("v1", "ConfigMap", "kube-node-lease", Some(Rail::SystemNamespace)),
            ("v1", "ConfigMap", "grounds", Some(Rail::OwnNamespace)),
            ("coordination.k8s.io/v1", "Lease", "team", Some(Rail::Lease)),
            ("coordination.k8s.io/v1beta1", "LeaseCandidate", "team", Some(Rail::Lease)),
            ("groundskeeper.dev/v1alpha1", "GarbageCollectionPolicy", "team", Some(Rail::OwnResource)),
            ("notgroundskeeper.dev/v1", "Thing", "team", None),
        ];
        for (api_version, kind, namespace, expected) in table {
            let kind = GroupVersionKind { api_version: api_version.parse().unwrap(), kind: kind.to_owned() };
            assert_eq!(rails.keep(&kind, namespace), expected, "{kind} in {namespace}");
        }
    }
}
