//! Which policies take part: those that were asked about, and those of the cluster that may keep objects from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::garbage_collection::{Finalizing, GarbageCollectionPolicyStatus};
use api::{ConditionStatus, ConditionType, GROUP, GarbageCollectionPolicySpec, ObjectMeta, Rails, VERSION};
use chassis::{Continuity, FeedTarget, Pushed, Representation, View};
use gc::{APPROVED_ANNOTATION, Outlook, Policy, Rule, Ward};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use units::{GroupVersionKind, NamespacedName, ResourceVersion, Uid};

use super::{Detail, Lot, Part, Scene, Warning};
use crate::cluster::Cluster;
use crate::plan::input::{AnyPolicy, GivenPolicy};
use crate::plan::problems::Problems;

/// What is to be found out.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The moment that is asked about.
    pub(crate) at: Timestamp,
    /// The moment that it is.
    pub(crate) now: Timestamp,
    /// How much is asked for.
    pub(crate) detail: Detail,
    /// Policies of the cluster that were not given do not count.
    pub(crate) alone: bool,
    /// Only what lies here is asked for; empty for what lies in no namespace.
    pub(crate) focus: Option<String>,
}

/// The policies of a question.
#[derive(Debug, Default)]
pub(crate) struct Cast {
    pub(crate) asked: Vec<Arc<Policy>>,
    pub(crate) others: Vec<Arc<Policy>>,
    /// The policies of the cluster that have been read.
    pub(crate) known: BTreeMap<NamespacedName, AnyPolicy>,
    /// What the cluster has under the names of those that are asked about, compiled.
    earlier: BTreeMap<NamespacedName, Arc<Policy>>,
    pub(crate) warnings: Vec<Warning>,
    /// Policies of the cluster that cannot be judged by, and why.
    pub(crate) unusable: Vec<String>,
}

/// A policy as the cluster shows it.
enum Shown {
    Readable(Box<AnyPolicy>),
    Unreadable { key: NamespacedName, error: String },
}

/// Given policies without any of the cluster's.
fn alone(asked: Vec<Arc<Policy>>) -> Cast {
    Cast { asked, ..Cast::default() }
}

/// Compiles all policies, or says of each why it cannot be.
pub(crate) fn compile(
    given: Vec<GivenPolicy>,
    namespace: &str,
    rails: &Rails,
) -> anyhow::Result<Vec<Arc<Policy>>> {
    let mut problems = Problems::default();
    let mut keys = BTreeSet::new();
    let mut policies = Vec::new();
    for GivenPolicy { mut policy, origin } in given {
        settle(&mut policy, namespace);
        match Policy::compile(policy.written(), rails) {
            Ok(policy) if !keys.insert(policy.key.clone()) => {
                problems.add(format!("{origin}: policy {} is given a second time", policy.key));
            }
            Ok(policy) => policies.push(Arc::new(policy)),
            Err(error) => problems.add(format!("{origin}: policy {}: {error}", policy.key())),
        }
    }
    problems.into_result().map(|()| policies)
}

/// A policy of a namespace that names none lies in this one; one of the cluster lies in none, whatever it says.
fn settle(policy: &mut AnyPolicy, namespace: &str) {
    if policy.is_namespaced {
        policy.metadata.namespace.get_or_insert_with(|| namespace.to_owned());
    } else {
        policy.metadata.namespace = None;
    }
}

impl Cast {
    /// The given policies, and those of the cluster that look where they do. Without any given, all of the namespace, or of
    /// all if it is empty, and of the cluster are asked about.
    pub(crate) async fn gather(
        cluster: &mut Cluster,
        mut given: Vec<GivenPolicy>,
        (namespace, rails): (&str, &Rails),
        question: &Question,
    ) -> anyhow::Result<Self> {
        given.iter_mut().for_each(|given| settle(&mut given.policy, namespace));
        if question.alone {
            return Ok(alone(compile(given, namespace, rails)?));
        }
        let is_of_cluster = namespace.is_empty() || given.iter().any(|given| !given.policy.is_namespaced);
        let reaches_all = question.focus.is_none() && is_of_cluster;
        let namespaces: BTreeSet<&str> = given
            .iter()
            .filter_map(|given| given.policy.metadata.namespace.as_deref())
            .chain([namespace])
            .collect();
        let mut cast = Self::default();
        cast.learn(cluster, None, "ClusterGarbageCollectionPolicy").await?;
        if reaches_all {
            cast.learn(cluster, None, "GarbageCollectionPolicy").await?;
        } else {
            for namespace in namespaces {
                cast.learn(cluster, Some(namespace), "GarbageCollectionPolicy").await?;
            }
        }
        given.iter_mut().for_each(|given| cast.take_over_approval(&mut given.policy));
        let is_given = !given.is_empty();
        cast.asked = compile(given, namespace, rails)?;
        cast.admit(rails, is_given);
        Ok(cast)
    }

    /// Reads the policies of one kind, of a namespace or of all. What may not be read, or is not there, is left out.
    async fn learn(
        &mut self,
        cluster: &mut Cluster,
        namespace: Option<&str>,
        kind: &str,
    ) -> anyhow::Result<()> {
        let api_version = units::ApiVersion { group: GROUP.to_owned(), version: VERSION.to_owned() };
        let kind = GroupVersionKind { api_version, kind: kind.to_owned() };
        let Some(resource) = cluster.resource_of(&kind).await? else { return Ok(()) };
        let target = FeedTarget {
            kind: kind.clone(),
            namespace: namespace.map(ToOwned::to_owned),
            selector: Pushed::default(),
            representation: Representation::Full,
            continuity: Continuity::Resume,
        };
        let mut shown = Vec::new();
        match chassis::list(&cluster.client, &resource, &target, &(), |policy| shown.push(policy)).await {
            Ok(()) => {}
            Err(error) if error.code() == Some(404) => return Ok(()),
            Err(error) if error.code() == Some(403) => {
                self.warnings.push(Warning::of(format!(
                    "the cluster's own policies are left out, for they cannot be read: {error}; with the right to `list` {} they would count, and with --alone nobody asks for them",
                    resource.name()
                )));
            }
            Err(error) => {
                return Err(anyhow::Error::new(error).context(format!("cannot list {kind}")));
            }
        }
        for policy in shown {
            match policy {
                Shown::Readable(policy) => drop(self.known.insert(policy.key(), *policy)),
                Shown::Unreadable { key, error } => self.unusable.push(format!("{key}: {error}")),
            }
        }
        Ok(())
    }

    /// What somebody approved of a policy stands in the cluster, and is still there after `kubectl apply`.
    fn take_over_approval(&self, given: &mut AnyPolicy) {
        let annotations = |policy: &AnyPolicy| policy.metadata.annotations.clone().unwrap_or_default();
        let approved =
            self.known.get(&given.key()).map(annotations).unwrap_or_default().remove(APPROVED_ANNOTATION);
        if let Some(approved) = approved {
            let annotations = given.metadata.annotations.get_or_insert_default();
            annotations.entry(APPROVED_ANNOTATION.to_owned()).or_insert(approved);
        }
    }

    /// Compiles the cluster's policies: those of the same names as given ones are what these were; the others take part.
    fn admit(&mut self, rails: &Rails, is_given: bool) {
        let asked: BTreeSet<_> = self.asked.iter().map(|policy| policy.key.clone()).collect();
        for (key, policy) in &self.known {
            match Policy::compile(policy.written(), rails).map(Arc::new) {
                Ok(policy) if asked.contains(key) => drop(self.earlier.insert(key.clone(), policy)),
                Ok(policy) if is_given => self.others.push(policy),
                Ok(policy) => self.asked.push(policy),
                Err(error) if !asked.contains(key) => {
                    self.unusable.push(format!("{key}: {error}"));
                    // As in the operator, it goes on keeping what it may have kept.
                    self.others.extend(Policy::stand_in(policy.written(), rails).map(Arc::new));
                }
                Err(_) => {}
            }
        }
    }

    /// The rules that the asked policies had before, which say what is new.
    pub(crate) fn earlier_rules(&self) -> Vec<Rule> {
        self.earlier.values().flat_map(Policy::rules).collect()
    }

    /// What is known of whether a policy may act.
    fn outlook(&self, scene: &Scene, policy: &Policy, later: SignedDuration) -> Outlook {
        let held = scene.base_of(policy);
        let Some(known) = self.known.get(&policy.key) else {
            return Outlook { budget_left: Some(policy.budget.limit(held)), awaits_approval: false };
        };
        let status = known.status.clone().unwrap_or_default();
        // The operator has counted everywhere; here may be only a part.
        let counted = status.budget.as_ref().and_then(|budget| u64::try_from(budget.base).ok()).unwrap_or(0);
        let limit = policy.budget.limit(held.max(counted));
        let window = SignedDuration::try_from(policy.budget.window).unwrap_or(SignedDuration::MAX);
        let budget = status.budget.as_ref().filter(|_| later < window);
        let used = budget.and_then(|budget| u64::try_from(budget.used).ok()).unwrap_or(0);
        Outlook {
            budget_left: Some(limit.saturating_sub(used)),
            awaits_approval: self.awaits(scene, policy, (&status, limit)),
        }
    }

    /// Whether a policy waits, or would wait in this form, to be approved.
    fn awaits(
        &self,
        scene: &Scene,
        policy: &Policy,
        (status, limit): (&GarbageCollectionPolicyStatus, u64),
    ) -> bool {
        if policy.is_approved(scene.at) {
            return false;
        }
        let Some(accepted) = &status.accepted else { return says_it_waits(status) };
        if accepted.spec_hash == policy.spec_hash.as_str() {
            return false;
        }
        let earlier = self.earlier.get(&policy.key);
        let is_accepted = |earlier: &&Arc<Policy>| earlier.spec_hash.as_str() == accepted.spec_hash;
        let newly = if let Some(earlier) = earlier.filter(is_accepted) {
            let rules: Vec<_> = earlier.rules().collect();
            scene.grounds().map(|ground| ground.newly_matched(&policy.key, &rules, scene.at)).sum()
        } else {
            let matched: i64 = scene.grounds().map(|ground| ground.counts(&policy.key).matched()).sum();
            u64::try_from(matched - accepted.matched).unwrap_or(0)
        };
        newly > limit
    }
}

/// Whether the operator has said that a policy waits.
fn says_it_waits(status: &GarbageCollectionPolicyStatus) -> bool {
    let waits = |condition: &api::Condition| {
        condition.type_ == ConditionType::AwaitingApproval.name() && condition.status == ConditionStatus::True
    };
    status.conditions.iter().any(waits)
}

impl Scene {
    /// Takes in what the cluster says of the policies: what is used of budgets, and what waits. The moment that is asked
    /// about lies so much later than what it says.
    pub(crate) fn consider(&mut self, cast: &Cast, later: SignedDuration) {
        let looked_at = |part: &Part| Part {
            outlook: cast.outlook(self, &part.policy, later),
            policy: Arc::clone(&part.policy),
        };
        let asked = self.asked.iter().map(looked_at).collect();
        let others = self.others.iter().map(looked_at).collect();
        (self.asked, self.others) = (asked, others);
        for (key, policy) in &cast.known {
            let deleted = policy.status.iter().flat_map(|status| &status.finalizing);
            deleted.for_each(|object| self.entrust(key, object));
        }
    }

    /// A policy has deleted an object that hangs on its finalizer, as its status says.
    fn entrust(&mut self, policy: &NamespacedName, object: &Finalizing) {
        let is_it = |lot: &&mut Lot| {
            lot.kind.kind == object.kind && lot.kind.api_version.to_string() == object.api_version
        };
        if let Some(lot) = self.lots.iter_mut().find(is_it) {
            let (namespace, name) = (object.namespace.as_str().into(), object.name.as_str().into());
            let ward = Ward { namespace, name, uid: Uid::from(object.uid.as_str()) };
            lot.ground.entrust(policy, ward, self.at);
        }
    }
}

impl View for Shown {
    type Context = ();

    fn read(object: &str, (): &()) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Whole {
            metadata: ObjectMeta,
            spec: GarbageCollectionPolicySpec,
            #[serde(default)]
            status: Option<GarbageCollectionPolicyStatus>,
        }
        #[derive(Deserialize)]
        struct Named {
            metadata: ObjectMeta,
        }
        let error = match serde_json::from_str(object) {
            Ok(Whole { metadata, spec, status }) => {
                let is_namespaced = metadata.namespace.is_some();
                return Ok(Self::Readable(Box::new(AnyPolicy { is_namespaced, metadata, spec, status })));
            }
            Err(error) => error.to_string(),
        };
        let Named { metadata } = serde_json::from_str(object)?;
        let part = |part: Option<String>| part.unwrap_or_default();
        Ok(Self::Unreadable {
            key: NamespacedName::new(part(metadata.namespace), part(metadata.name)),
            error,
        })
    }

    fn resource_version(&self) -> Option<ResourceVersion> {
        None
    }
}
