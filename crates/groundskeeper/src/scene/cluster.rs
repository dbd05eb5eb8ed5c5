//! The objects of a cluster that policies are about.
//!
//! Looks kinds up, lists, counts, and asks for owners; nothing else. What is wrong with one policy's kind does not hide what
//! is wrong with another's; if the server does not answer or does not know us, asking again is of no use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use chassis::objects::{self, ObjectRef};
use chassis::{ApiError, Continuity, FeedTarget, Pushed, Representation, Resource, Unserved};
use gc::{Object, OwnerName, Rule};
use units::{GroupVersionKind, KeyPath, NamespacedName};
use views::{Labels, Projection};

use super::{Part, Question, Scene};
use crate::cluster::Cluster;
use crate::plan::problems::Problems;
use crate::progress::Progress;

/// How much is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Every object where the policies look.
    All,
    /// Those that the policies select, as far as the server can tell.
    Selected,
}

/// Why a policy's objects cannot be had.
enum Failure {
    /// Other policies may fare better.
    Here(String),
    /// None will.
    Everywhere(String),
}

/// Asks a cluster for what scenes are about.
pub(super) struct Listing<'a> {
    pub(super) cluster: &'a mut Cluster,
    pub(super) progress: &'a Progress,
    pub(super) question: &'a Question,
    /// Rules whose fields are to be read besides those of the scenes.
    pub(super) also: &'a [Rule],
}

/// One listing: a kind, in a namespace or everywhere, and a policy that asks for it.
struct Place {
    kind: GroupVersionKind,
    namespace: Option<String>,
    policy: NamespacedName,
}

impl Listing<'_> {
    pub(super) async fn fill(&mut self, scenes: &mut [Scene]) -> anyhow::Result<()> {
        self.namespaces(scenes).await?;
        let mut problems = Problems::default();
        for place in self.places(scenes) {
            match self.list(&place, scenes).await {
                Ok(()) => {}
                Err(Failure::Here(message)) => problems.add(format!("policy {}: {message}", place.policy)),
                Err(Failure::Everywhere(message)) => bail!("policy {}: {message}", place.policy),
            }
        }
        problems.into_result()?;
        self.owners(scenes).await
    }

    /// What is to be listed: by the policies that were asked about alone, for what others keep from them lies there, too.
    fn places(&self, scenes: &[Scene]) -> Vec<Place> {
        let asked = |scene: &Scene| scene.asked.clone();
        let parts: Vec<Part> = scenes.iter().flat_map(asked).collect();
        let mut found: BTreeMap<GroupVersionKind, BTreeMap<Option<String>, NamespacedName>> = BTreeMap::new();
        for rule in parts.iter().flat_map(|part| part.policy.rules()) {
            let own = rule.policy.reach.namespace().map(ToOwned::to_owned);
            let namespace = match &self.question.focus {
                Some(focus) if !focus.is_empty() => Some(focus.clone()),
                _ => own,
            };
            found.entry(rule.kind().clone()).or_default().entry(namespace).or_insert(rule.policy.key.clone());
        }
        let place = |(kind, wanted): (GroupVersionKind, BTreeMap<Option<String>, NamespacedName>)| {
            let everywhere = wanted.contains_key(&None);
            let kept = wanted.into_iter().filter(move |(namespace, _)| !everywhere || namespace.is_none());
            kept.map(move |(namespace, policy)| Place { kind: kind.clone(), namespace, policy })
        };
        found.into_iter().flat_map(place).collect()
    }

    async fn list(&mut self, place: &Place, scenes: &mut [Scene]) -> Result<(), Failure> {
        let Place { kind, namespace, .. } = place;
        let resource = self.resolve(place).await?;
        let namespace = namespace.clone().filter(|_| resource.namespaced);
        let mut projected: Vec<Rule> = self.also.iter().filter(|rule| rule.kind() == kind).cloned().collect();
        projected.extend(scenes.iter().flat_map(|scene| rules_on(scene, kind)));
        let guests = scenes.iter().flat_map(|scene| scene.guests_read(kind));
        let projection = Arc::new(Projection::new(projected.iter().flat_map(Rule::reads).chain(guests)));
        let mut target = FeedTarget {
            kind: kind.clone(),
            namespace,
            selector: self.pushed(kind, scenes),
            representation: representation(&projection),
            continuity: Continuity::Resume,
        };
        let objects = match self.objects(&resource, &target, &projection).await {
            // The server does not select by a field that we know: then we do.
            Err(error) if error.code() == Some(400) && target.selector.fields.is_some() => {
                target.selector.fields = None;
                self.objects(&resource, &target, &projection).await
            }
            listed => listed,
        };
        let objects = objects.map_err(|error| list_failure(&target, &resource.name(), &error))?;
        let listed = u64::try_from(objects.len()).unwrap_or(u64::MAX);
        if target.selector != Pushed::default() {
            let counted = chassis::count(&self.cluster.client, &resource, target.namespace.as_deref()).await;
            let counted = counted.map_err(|error| list_failure(&target, &resource.name(), &error))?;
            for scene in &mut *scenes {
                scene.count(kind, target.namespace.as_deref(), (counted.max(listed), listed));
            }
        }
        for object in objects {
            scenes.iter_mut().for_each(|scene| scene.put(kind, object.clone()));
        }
        Ok(())
    }

    async fn resolve(&mut self, place: &Place) -> Result<Arc<Resource>, Failure> {
        let Place { kind, namespace, policy } = place;
        let resource = match self.cluster.ask_for(kind).await {
            Ok(resource) => resource,
            Err(unserved) => return Err(look_up_failure(&unserved)),
        };
        if !resource.namespaced && namespace.is_some() && !policy.namespace.is_empty() {
            return Err(Failure::Here(format!(
                "{kind} has no namespaces, and a GarbageCollectionPolicy collects only in its own: write a ClusterGarbageCollectionPolicy"
            )));
        }
        if !resource.verbs.iter().any(|verb| verb == "list") {
            return Err(Failure::Here(format!(
                "{kind} cannot be listed: the cluster does not offer `list` on {}",
                resource.name()
            )));
        }
        Ok(resource)
    }

    async fn objects(
        &self,
        resource: &Resource,
        target: &FeedTarget,
        projection: &Arc<Projection>,
    ) -> Result<Vec<Object>, ApiError> {
        let what = format!("listing {}", resource.name());
        self.progress.say(&what);
        let mut shared: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut objects = Vec::new();
        chassis::list(&self.cluster.client, resource, target, projection, |object: views::Object| {
            let name = object.metadata.namespace.as_deref().unwrap_or_default();
            let namespace = shared.get(name).cloned().unwrap_or_else(|| name.into());
            if !shared.contains(&namespace) {
                shared.insert(Arc::clone(&namespace));
            }
            objects.push(Object::new(object, namespace));
            self.progress.count(&what, objects.len());
        })
        .await?;
        Ok(objects)
    }

    /// What the server may leave out: what no policy selects, if all select the same and all of a place is asked about.
    fn pushed(&self, kind: &GroupVersionKind, scenes: &[Scene]) -> Pushed {
        let rules: Vec<Rule> = scenes.iter().flat_map(|scene| rules_on(scene, kind)).collect();
        let is_whole =
            |rule: &Rule| rule.policy.reach.namespace().is_some() || rule.policy.reach.is_everything();
        let mut selectors = rules.iter().map(|rule| rule.target().pushed());
        let first = selectors.next().unwrap_or_default();
        if self.question.detail == Detail::All
            || !rules.iter().all(is_whole)
            || !selectors.all(|other| other == first)
        {
            return Pushed::default();
        }
        Pushed { labels: first.0, fields: first.1 }
    }

    /// The labels of namespaces, if a policy asks for them.
    async fn namespaces(&mut self, scenes: &mut [Scene]) -> anyhow::Result<()> {
        let needs = |part: &Part| part.policy.reach.needs_labels();
        if !scenes.iter().any(|scene| scene.asked.iter().chain(&scene.others).any(needs)) {
            return Ok(());
        }
        let kind = GroupVersionKind {
            api_version: units::ApiVersion { group: String::new(), version: "v1".to_owned() },
            kind: "Namespace".to_owned(),
        };
        let resource = self.cluster.ask_for(&kind).await?;
        let target = FeedTarget {
            kind,
            namespace: None,
            selector: Pushed::default(),
            representation: Representation::Metadata,
            continuity: Continuity::Resume,
        };
        let projection = Arc::new(Projection::default());
        let mut found: Vec<(Box<str>, Labels)> = Vec::new();
        self.progress.say("listing namespaces");
        chassis::list(&self.cluster.client, &resource, &target, &projection, |object: views::Object| {
            found.push((object.metadata.name, object.metadata.labels));
        })
        .await
        .context("cannot list the namespaces, by whose labels a policy selects; you need the right to `list` namespaces")?;
        for (name, labels) in &found {
            scenes.iter_mut().for_each(|scene| scene.put_namespace(name, labels));
        }
        Ok(())
    }

    /// Looks for the owners of objects, where a policy asks whether they exist.
    async fn owners(&mut self, scenes: &mut [Scene]) -> anyhow::Result<()> {
        let mut seen: BTreeMap<String, Option<bool>> = BTreeMap::new();
        for scene in scenes {
            loop {
                let questions = scene.owner_questions();
                if questions.is_empty() {
                    break;
                }
                for (lot, question) in questions {
                    let mut exists = Vec::new();
                    for owner in &question.owners {
                        let uid = owner.uid.to_string();
                        if !seen.contains_key(&uid) {
                            self.progress.count("looking for owners", seen.len());
                            seen.insert(uid.clone(), self.is_there(owner, &question.namespace).await?);
                        }
                        exists.push(seen.get(&uid).copied().flatten());
                    }
                    // One that is there is enough; that all are gone has to be known of each.
                    if exists.contains(&Some(true)) {
                        scene.owners_seen(lot, &question, false);
                    } else if exists.iter().all(|exists| *exists == Some(false)) {
                        scene.owners_seen(lot, &question, true);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether an owner is there; none if that cannot be told.
    async fn is_there(&mut self, owner: &OwnerName, namespace: &str) -> anyhow::Result<Option<bool>> {
        let Ok(Some(resource)) = self.cluster.resource(&owner.api_version, &owner.kind).await else {
            return Ok(None);
        };
        let namespace = Some(namespace).filter(|_| resource.namespaced);
        let object = ObjectRef { resource: &resource, namespace, name: &owner.name };
        match objects::look_at(&self.cluster.client, object).await {
            Ok(None) => Ok(Some(false)),
            Ok(Some(found)) => {
                let uid = crate::cluster::text(&found, "/metadata/uid");
                Ok(Some(uid == owner.uid.to_string()))
            }
            Err(error) if concerns_all(&error) => Err(error).context("cannot look for owners"),
            Err(_) => Ok(None),
        }
    }
}

impl Scene {
    /// What policies on other versions of a kind, which may keep objects of it from others, read of them.
    fn guests_read(&self, kind: &GroupVersionKind) -> Vec<KeyPath> {
        let lots = self.lots.iter().filter(|lot| lot.kind == *kind);
        lots.flat_map(|lot| lot.ground.guests_read(None)).collect()
    }

    /// There are so many objects of a kind in a namespace or, without one, in all; so many have been listed.
    fn count(&mut self, kind: &GroupVersionKind, namespace: Option<&str>, (counted, listed): (u64, u64)) {
        let Some(lot) = self.lots.iter_mut().find(|lot| lot.kind == *kind) else { return };
        lot.counted.insert(namespace.map(ToOwned::to_owned), counted);
        self.left_out += counted - listed;
    }
}

fn rules_on(scene: &Scene, kind: &GroupVersionKind) -> Vec<Rule> {
    let lot = scene.lots.iter().find(|lot| lot.kind == *kind);
    lot.map(|lot| lot.ground.rules().cloned().collect()).unwrap_or_default()
}

fn representation(projection: &Projection) -> Representation {
    if projection.is_metadata_only() { Representation::Metadata } else { Representation::Full }
}

fn look_up_failure(unserved: &Unserved) -> Failure {
    match unserved {
        Unserved::Api { source, .. } if concerns_all(source) => Failure::Everywhere(unserved.to_string()),
        _ => Failure::Here(unserved.to_string()),
    }
}

fn list_failure(target: &FeedTarget, resource: &str, error: &ApiError) -> Failure {
    let FeedTarget { kind, namespace, .. } = target;
    let place = namespace.as_ref().map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
    if concerns_all(error) {
        return Failure::Everywhere(format!("cannot list {kind}{place}: {error}"));
    }
    let right = match (error.code(), namespace) {
        (Some(403), Some(_)) => format!("; you need the right to `list` {resource} there"),
        (Some(403), None) => format!("; you need the right to `list` {resource} in all namespaces"),
        _ => String::new(),
    };
    Failure::Here(format!("cannot list {kind}{place}: {error}{right}"))
}

/// Whether it is about the server or about who we are, and not about what was asked for.
fn concerns_all(error: &ApiError) -> bool {
    matches!(error.code(), None | Some(401))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16) -> ApiError {
        ApiError::Refused {
            code,
            reason: String::new(),
            message: "the server's words".into(),
            retry_after: None,
        }
    }

    fn target(namespace: Option<&str>) -> FeedTarget {
        FeedTarget {
            kind: GroupVersionKind { api_version: "batch/v1".parse().unwrap(), kind: "Job".into() },
            namespace: namespace.map(ToOwned::to_owned),
            selector: Pushed::default(),
            representation: Representation::Metadata,
            continuity: Continuity::Resume,
        }
    }

    #[test]
    fn a_missing_right_is_named_with_kind_verb_and_namespace() {
        let table = [
            (
                Some("team"),
                "cannot list Job (batch/v1) in namespace team: the server's words; you need the right to `list` jobs.batch there",
            ),
            (
                None,
                "cannot list Job (batch/v1): the server's words; you need the right to `list` jobs.batch in all namespaces",
            ),
        ];
        for (namespace, expected) in table {
            let Failure::Here(message) = list_failure(&target(namespace), "jobs.batch", &refused(403)) else {
                panic!("other policies may fare better")
            };
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn a_server_that_does_not_answer_or_does_not_know_us_is_told_once() {
        let target = target(Some("team"));
        for error in [refused(401), ApiError::Unreachable("connection refused".into())] {
            assert!(matches!(list_failure(&target, "jobs.batch", &error), Failure::Everywhere(_)));
            let unserved = Unserved::Api { kind: target.kind.clone().into(), source: error };
            assert!(matches!(look_up_failure(&unserved), Failure::Everywhere(_)));
        }
        let unserved = Unserved::NotFound { kind: target.kind.into(), suggestion: None };
        assert!(matches!(look_up_failure(&unserved), Failure::Here(_)));
    }
}
