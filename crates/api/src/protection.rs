//! What is never deleted, and what only where a policy says so in words.
//!
//! One rule, asked twice: by the engine when it judges, and by the actuator before it acts. The object's own word (the
//! annotation) is the engine's to read; the rest follows from kind, namespace and name alone.
//!
//! Invariant: an object that several rails keep is kept until each of them is unlocked, and some cannot be.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::GroupVersionKind;

use crate::GROUP;

/// Namespaces that belong to the cluster itself.
const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// How Helm names the objects that hold its releases.
const HELM_RELEASE_PREFIX: &str = "sh.helm.release.v1.";

/// Why an object is never deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rail {
    /// It lies in `kube-system`, `kube-public` or `kube-node-lease`.
    SystemNamespace,
    /// It lies in the namespace that Groundskeeper itself runs in.
    OwnNamespace,
    /// It is a namespace without which the cluster, or Groundskeeper, does not work.
    EssentialNamespace,
    /// It is a namespace: with it goes all that lies in it.
    Namespace,
    /// It is a node.
    Node,
    /// It is the definition of a kind: with it go all objects of that kind.
    CustomResourceDefinition,
    /// It is a volume: with it may go what is stored there.
    PersistentVolume,
    /// It is a lease: someone's leadership or a node's heartbeat.
    Lease,
    /// Helm keeps a release in it: without it, Helm does not know what it has installed.
    HelmRelease,
    /// It is one of our own resources, or the definition of one.
    OwnResource,
    /// The control plane puts it into every namespace, and pods do not start without it.
    Published,
    /// It carries the annotation `groundskeeper.dev/protect`.
    Annotated,
}

/// What a policy may delete although a rail keeps it, because the policy says so in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Unlock {
    /// Nodes.
    Nodes,
    /// Definitions of kinds; all objects of such a kind go with it.
    CustomResourceDefinitions,
    /// Volumes; what is stored there may go with them.
    PersistentVolumes,
    /// Namespaces, apart from `default`, `kube-system`, `kube-public`, `kube-node-lease` and the operator's own; all that
    /// lies in one goes with it.
    Namespaces,
    /// Secrets and ConfigMaps in which Helm keeps releases.
    HelmReleases,
    /// What the group `coordination.k8s.io` holds.
    Leases,
    /// What lies in `kube-system`, `kube-public` and `kube-node-lease`.
    SystemNamespaces,
}

impl Unlock {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Nodes,
        Self::CustomResourceDefinitions,
        Self::PersistentVolumes,
        Self::Namespaces,
        Self::HelmReleases,
        Self::Leases,
        Self::SystemNamespaces,
    ];

    /// As a policy writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nodes => "Nodes",
            Self::CustomResourceDefinitions => "CustomResourceDefinitions",
            Self::PersistentVolumes => "PersistentVolumes",
            Self::Namespaces => "Namespaces",
            Self::HelmReleases => "HelmReleases",
            Self::Leases => "Leases",
            Self::SystemNamespaces => "SystemNamespaces",
        }
    }
}

impl fmt::Display for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Rail {
    /// The reason as it stands in plans, events and metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::SystemNamespace => "SystemNamespace",
            Self::OwnNamespace => "OwnNamespace",
            Self::EssentialNamespace => "EssentialNamespace",
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::CustomResourceDefinition => "CustomResourceDefinition",
            Self::PersistentVolume => "PersistentVolume",
            Self::Lease => "Lease",
            Self::HelmRelease => "HelmRelease",
            Self::OwnResource => "OwnResource",
            Self::Published => "PublishedByControlPlane",
            Self::Annotated => "ProtectedByAnnotation",
        }
    }

    /// What a policy has to name so that this rail does not hold for it; none if it holds whatever a policy says.
    pub const fn unlock(self) -> Option<Unlock> {
        match self {
            Self::SystemNamespace => Some(Unlock::SystemNamespaces),
            Self::Namespace => Some(Unlock::Namespaces),
            Self::Node => Some(Unlock::Nodes),
            Self::CustomResourceDefinition => Some(Unlock::CustomResourceDefinitions),
            Self::PersistentVolume => Some(Unlock::PersistentVolumes),
            Self::Lease => Some(Unlock::Leases),
            Self::HelmRelease => Some(Unlock::HelmReleases),
            Self::OwnNamespace
            | Self::EssentialNamespace
            | Self::OwnResource
            | Self::Published
            | Self::Annotated => None,
        }
    }

    /// Whether it holds for a policy that has unlocked these.
    fn holds(self, unlocked: &[Unlock]) -> bool {
        self.unlock().is_none_or(|unlock| !unlocked.contains(&unlock))
    }
}

impl fmt::Display for Rail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SystemNamespace => {
                "objects in kube-system, kube-public and kube-node-lease are never deleted"
            }
            Self::OwnNamespace => "objects in Groundskeeper's own namespace are never deleted",
            Self::EssentialNamespace => {
                "the namespaces default, kube-system, kube-public, kube-node-lease and Groundskeeper's own are never deleted"
            }
            Self::Namespace => "namespaces are never deleted",
            Self::Node => "nodes are never deleted",
            Self::CustomResourceDefinition => "definitions of kinds are never deleted",
            Self::PersistentVolume => "persistent volumes are never deleted",
            Self::Lease => "leases are never deleted",
            Self::HelmRelease => "what Helm keeps its releases in is never deleted",
            Self::OwnResource => "resources of groundskeeper.dev are never deleted",
            Self::Published => "the control plane puts it into every namespace; pods do not start without it",
            Self::Annotated => "it carries the annotation groundskeeper.dev/protect",
        })?;
        match self.unlock() {
            Some(unlock) => write!(f, ", unless the policy unlocks {unlock}"),
            None => Ok(()),
        }
    }
}

/// The rails that follow from where and what an object is, and what it is called.
#[derive(Clone, Debug)]
pub struct Rails {
    own_namespace: String,
}

impl Rails {
    /// The rails of an operator that runs in `own_namespace`.
    pub fn new(own_namespace: impl Into<String>) -> Self {
        Self { own_namespace: own_namespace.into() }
    }

    /// The rail that keeps this object from a policy that has unlocked these, if there is one. An object that lies in no
    /// namespace has an empty one.
    pub fn keep(
        &self,
        kind: &GroupVersionKind,
        namespace: &str,
        name: &str,
        unlocked: &[Unlock],
    ) -> Option<Rail> {
        self.keep_all(kind, namespace, unlocked).or_else(|| self.by_name(kind, unlocked).keep(name))
    }

    /// The rail that keeps all objects of this kind in this namespace, whatever they are called, if there is one.
    pub fn keep_all(&self, kind: &GroupVersionKind, namespace: &str, unlocked: &[Unlock]) -> Option<Rail> {
        let rails = [self.of_place(namespace), of_kind(kind)];
        rails.into_iter().flatten().find(|rail| rail.holds(unlocked))
    }

    /// The rails that keep some objects of this kind by their names, wherever they lie.
    pub fn by_name(&self, kind: &GroupVersionKind, unlocked: &[Unlock]) -> NamedRails {
        let none = NamedRails { published: published_names(kind), ..NamedRails::default() };
        match (kind.group(), kind.kind.as_str()) {
            ("", "Secret" | "ConfigMap") => NamedRails { helm: Rail::HelmRelease.holds(unlocked), ..none },
            ("", "Namespace") => NamedRails { essential: Some(self.own_namespace.clone()), ..none },
            ("apiextensions.k8s.io", "CustomResourceDefinition") => NamedRails { definitions: true, ..none },
            _ => none,
        }
    }

    fn of_place(&self, namespace: &str) -> Option<Rail> {
        if SYSTEM_NAMESPACES.contains(&namespace) {
            return Some(Rail::SystemNamespace);
        }
        (!namespace.is_empty() && namespace == self.own_namespace).then_some(Rail::OwnNamespace)
    }
}

fn of_kind(kind: &GroupVersionKind) -> Option<Rail> {
    match (kind.group(), kind.kind.as_str()) {
        ("", "Namespace") => Some(Rail::Namespace),
        ("", "Node") => Some(Rail::Node),
        ("", "PersistentVolume") => Some(Rail::PersistentVolume),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Some(Rail::CustomResourceDefinition),
        ("coordination.k8s.io", _) => Some(Rail::Lease),
        (group, _) => is_ours(group).then_some(Rail::OwnResource),
    }
}

fn is_ours(group: &str) -> bool {
    group.strip_suffix(GROUP).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The rails that depend on an object's name, for one kind: made once, asked for each object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedRails {
    published: &'static [&'static str],
    /// Helm's releases are kept.
    helm: bool,
    /// Our own definitions are kept.
    definitions: bool,
    /// The cluster's namespaces are kept, and this one, which is ours.
    essential: Option<String>,
}

impl NamedRails {
    /// The rail that keeps an object of this name, if there is one.
    pub fn keep(&self, name: &str) -> Option<Rail> {
        if self.published.contains(&name) {
            return Some(Rail::Published);
        }
        if self.helm && name.starts_with(HELM_RELEASE_PREFIX) {
            return Some(Rail::HelmRelease);
        }
        // A definition is called by its plural and its group.
        if self.definitions && name.split_once('.').is_some_and(|(_, group)| is_ours(group)) {
            return Some(Rail::OwnResource);
        }
        let own = self.essential.as_ref()?;
        (name == own || name == "default" || SYSTEM_NAMESPACES.contains(&name))
            .then_some(Rail::EssentialNamespace)
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

    fn kind(api_version: &str, kind: &str) -> GroupVersionKind {
        GroupVersionKind { api_version: api_version.parse().unwrap(), kind: kind.to_owned() }
    }

    #[test]
    fn the_rails_hold() {
        let rails = Rails::new("grounds");
        let table = [
            ("v1", "ConfigMap", "team", "a", None),
            ("v1", "ConfigMap", "", "a", None),
            ("v1", "ConfigMap", "kube-system", "a", Some(Rail::SystemNamespace)),
            ("v1", "ConfigMap", "kube-public", "a", Some(Rail::SystemNamespace)),
            ("v1", "ConfigMap", "kube-node-lease", "a", Some(Rail::SystemNamespace)),
            ("v1", "ConfigMap", "default", "a", None),
            ("v1", "ConfigMap", "grounds", "a", Some(Rail::OwnNamespace)),
            ("v1", "ConfigMap", "team", "kube-root-ca.crt", Some(Rail::Published)),
            ("v1", "ServiceAccount", "team", "default", Some(Rail::Published)),
            ("v1", "ConfigMap", "team", "sh.helm.release.v1.web.v3", Some(Rail::HelmRelease)),
            ("v1", "Secret", "team", "sh.helm.release.v1.web.v3", Some(Rail::HelmRelease)),
            ("v1", "Secret", "team", "sh.helm.release", None),
            ("example.com/v1", "Secret", "team", "sh.helm.release.v1.web.v3", None),
            ("v1", "Node", "", "n", Some(Rail::Node)),
            ("v1", "PersistentVolume", "", "v", Some(Rail::PersistentVolume)),
            ("v1", "PersistentVolumeClaim", "team", "v", None),
            ("v1", "Namespace", "", "team", Some(Rail::Namespace)),
            ("example.com/v1", "Namespace", "", "team", None),
            (
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                "",
                "things.example.com",
                Some(Rail::CustomResourceDefinition),
            ),
            ("coordination.k8s.io/v1", "Lease", "team", "a", Some(Rail::Lease)),
            ("coordination.k8s.io/v1beta1", "LeaseCandidate", "team", "a", Some(Rail::Lease)),
            ("groundskeeper.dev/v1alpha1", "GarbageCollectionPolicy", "team", "a", Some(Rail::OwnResource)),
            ("sub.groundskeeper.dev/v1", "Thing", "team", "a", Some(Rail::OwnResource)),
            ("notgroundskeeper.dev/v1", "Thing", "team", "a", None),
        ];
        for (api_version, named, namespace, name, expected) in table {
            let kind = kind(api_version, named);
            assert_eq!(rails.keep(&kind, namespace, name, &[]), expected, "{kind} {namespace}/{name}");
        }
    }

    #[test]
    fn a_rail_gives_way_only_to_the_word_that_names_it() {
        let rails = Rails::new("grounds");
        let table = [
            ("v1", "ConfigMap", "kube-system", "a", Unlock::SystemNamespaces),
            ("v1", "Node", "", "n", Unlock::Nodes),
            ("v1", "PersistentVolume", "", "v", Unlock::PersistentVolumes),
            ("v1", "Namespace", "", "team", Unlock::Namespaces),
            (
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                "",
                "things.example.com",
                Unlock::CustomResourceDefinitions,
            ),
            ("coordination.k8s.io/v1", "Lease", "team", "a", Unlock::Leases),
            ("v1", "Secret", "team", "sh.helm.release.v1.web.v3", Unlock::HelmReleases),
        ];
        for (api_version, named, namespace, name, unlock) in table {
            let kind = kind(api_version, named);
            let keep = |unlocked: &[Unlock]| rails.keep(&kind, namespace, name, unlocked);
            assert_eq!(keep(&[unlock]), None, "{kind} {namespace}/{name}");
            let others: Vec<_> = Unlock::ALL.into_iter().filter(|other| *other != unlock).collect();
            assert_eq!(keep(&others).and_then(Rail::unlock), Some(unlock), "{kind} {namespace}/{name}");
        }
    }

    #[test]
    fn some_objects_stay_whatever_is_unlocked() {
        let rails = Rails::new("grounds");
        let table = [
            ("v1", "ConfigMap", "grounds", "a", Rail::OwnNamespace),
            ("coordination.k8s.io/v1", "Lease", "grounds", "a", Rail::OwnNamespace),
            ("v1", "ConfigMap", "kube-system", "kube-root-ca.crt", Rail::Published),
            ("v1", "Namespace", "", "default", Rail::EssentialNamespace),
            ("v1", "Namespace", "", "kube-system", Rail::EssentialNamespace),
            ("v1", "Namespace", "", "kube-public", Rail::EssentialNamespace),
            ("v1", "Namespace", "", "kube-node-lease", Rail::EssentialNamespace),
            ("v1", "Namespace", "", "grounds", Rail::EssentialNamespace),
            ("groundskeeper.dev/v1alpha1", "GarbageCollectionPolicy", "team", "a", Rail::OwnResource),
            (
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                "",
                "garbagecollectionpolicies.groundskeeper.dev",
                Rail::OwnResource,
            ),
        ];
        for (api_version, named, namespace, name, expected) in table {
            let kind = kind(api_version, named);
            let kept = rails.keep(&kind, namespace, name, &Unlock::ALL);
            assert_eq!(kept, Some(expected), "{kind} {namespace}/{name}");
            assert_eq!(expected.unlock(), None);
        }
    }

    #[test]
    fn an_object_that_two_rails_keep_is_kept_until_both_are_unlocked() {
        let (rails, lease) = (Rails::new("grounds"), kind("coordination.k8s.io/v1", "Lease"));
        let keep = |unlocked: &[Unlock]| rails.keep_all(&lease, "kube-system", unlocked);
        assert_eq!(keep(&[Unlock::Leases]), Some(Rail::SystemNamespace));
        assert_eq!(keep(&[Unlock::SystemNamespaces]), Some(Rail::Lease));
        assert_eq!(keep(&[Unlock::SystemNamespaces, Unlock::Leases]), None);
    }

    #[test]
    fn a_rail_says_which_word_unlocks_it_and_the_word_is_written_as_it_is_said() {
        assert_eq!(Rail::Lease.to_string(), "leases are never deleted, unless the policy unlocks Leases");
        for unlock in Unlock::ALL {
            assert_eq!(serde_json::to_value(unlock).unwrap(), unlock.name());
        }
    }
}
