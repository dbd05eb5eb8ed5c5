//! Objects from files, read as far as policies look.
//!
//! No cluster says what has namespaces and what has none; so that is told by lists of what every cluster serves, and for
//! other kinds by the object: what a server has made and that lies in no namespace has none.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use gc::{Object, Rule};
use views::{Labels, Projection};

use super::{NAMELESS, Scene, projection_of};
use crate::plan::input::{GroupKind, Manifests};
use crate::plan::problems::Problems;

/// Groups of Kubernetes itself with kinds that have no namespaces; the empty list means all of them.
const WITHOUT_NAMESPACES: [(&str, &[&str]); 15] = [
    ("", &["Namespace", "Node", "PersistentVolume"]),
    ("admissionregistration.k8s.io", &[]),
    ("apiextensions.k8s.io", &[]),
    ("apiregistration.k8s.io", &[]),
    ("certificates.k8s.io", &["CertificateSigningRequest", "ClusterTrustBundle"]),
    ("flowcontrol.apiserver.k8s.io", &[]),
    ("groundskeeper.dev", &["ClusterGarbageCollectionPolicy"]),
    ("internal.apiserver.k8s.io", &[]),
    ("networking.k8s.io", &["IngressClass", "IPAddress", "ServiceCIDR"]),
    ("node.k8s.io", &[]),
    ("rbac.authorization.k8s.io", &["ClusterRole", "ClusterRoleBinding"]),
    ("resource.k8s.io", &["DeviceClass", "DeviceTaintRule", "ResourceSlice"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    (
        "storage.k8s.io",
        &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"],
    ),
    ("storagemigration.k8s.io", &[]),
];

/// The label by which every namespace is found, which the server writes.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The objects of all kinds.
pub(super) struct Stock {
    objects: BTreeMap<GroupKind, Vec<Object>>,
    namespaces: BTreeMap<Box<str>, Labels>,
    /// What the files hold, whatever it is: who is among them exists.
    uids: BTreeSet<String>,
}

impl Stock {
    /// Reads the objects. What names no namespace, and could lie in one, lies in `namespace`. Fails if an object is given
    /// twice.
    pub(super) fn read(manifests: &Manifests, rules: &[Rule], namespace: &str) -> anyhow::Result<Self> {
        let mut projections: HashMap<GroupKind, Arc<Projection>> = HashMap::new();
        for rule in rules {
            projections.entry(rule.kind().into()).or_insert_with_key(|kind| {
                projection_of(rules.iter().filter(|rule| GroupKind::from(rule.kind()) == *kind))
            });
        }
        let nothing = Arc::new(Projection::default());
        let mut stock = Self { objects: BTreeMap::new(), namespaces: BTreeMap::new(), uids: BTreeSet::new() };
        let mut shared = BTreeSet::new();
        manifests.read(
            |kind| Arc::clone(projections.get(kind).unwrap_or(&nothing)),
            |kind, mut object| {
                let own = object.metadata.namespace.take();
                let own = own.map_or_else(|| home(kind, &object, namespace).to_owned(), String::from);
                stock.put(kind, object, share(&mut shared, &own));
            },
        )?;
        stock.refuse_twins().map(|()| stock)
    }

    fn put(&mut self, kind: &GroupKind, object: views::Object, namespace: Arc<str>) {
        if let Some(uid) = &object.metadata.uid {
            self.uids.insert(uid.to_string());
        }
        if kind.group.is_empty() && kind.kind == "Namespace" {
            let labels = &object.metadata.labels;
            let own = labels.iter().filter(|(key, _)| *key != NAME_LABEL);
            let labels = own.chain([(NAME_LABEL, &*object.metadata.name)]).collect();
            self.namespaces.insert(object.metadata.name.clone(), labels);
        }
        let alike = self.objects.entry(kind.clone()).or_default();
        let mut object = Object::new(object, namespace);
        if object.name.is_empty() {
            // Those that have only a generateName are different objects.
            object.name = format!("{NAMELESS}{}", alike.len()).into();
        }
        alike.push(object);
    }

    fn refuse_twins(&mut self) -> anyhow::Result<()> {
        let mut problems = Problems::default();
        for (kind, objects) in &mut self.objects {
            objects.sort_unstable_by(|one, other| {
                (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name))
            });
            for pair in objects.array_windows() {
                let [one, other] = pair;
                if (&one.namespace, &one.name) == (&other.namespace, &other.name) {
                    problems.add(format!("{} {}/{} is given twice", kind.kind, one.namespace, one.name));
                }
            }
        }
        problems.into_result()
    }

    /// Puts everything into a scene, and answers which owners are there. Of one that is not in the files nobody can tell.
    pub(super) fn fill(&self, scene: &mut Scene) {
        for (name, labels) in &self.namespaces {
            scene.put_namespace(name, labels);
        }
        let kinds: Vec<_> = scene.lots.iter().map(|lot| lot.kind.clone()).collect();
        for kind in kinds {
            for object in self.objects.get(&GroupKind::from(&kind)).into_iter().flatten() {
                scene.put(&kind, object.clone());
            }
        }
        loop {
            let questions = scene.owner_questions();
            if questions.is_empty() {
                return;
            }
            for (lot, question) in questions {
                if question.owners.iter().any(|owner| self.uids.contains(&owner.uid.to_string())) {
                    scene.owners_seen(lot, &question, false);
                }
            }
        }
    }
}

/// Where an object lies that names no namespace.
fn home<'n>(kind: &GroupKind, object: &views::Object, namespace: &'n str) -> &'n str {
    let GroupKind { group, kind } = kind;
    let is_built_in = !group.contains('.') || group.ends_with(".k8s.io");
    let listed = WITHOUT_NAMESPACES.iter().find(|(known, _)| known == group);
    let has_none = listed.is_some_and(|(_, kinds)| kinds.is_empty() || kinds.contains(&&**kind))
        || (!is_built_in && object.metadata.uid.is_some());
    if has_none { "" } else { namespace }
}

/// One text for all objects of a namespace.
fn share(known: &mut BTreeSet<Arc<str>>, name: &str) -> Arc<str> {
    if let Some(known) = known.get(name) {
        return Arc::clone(known);
    }
    let name: Arc<str> = name.into();
    known.insert(Arc::clone(&name));
    name
}
