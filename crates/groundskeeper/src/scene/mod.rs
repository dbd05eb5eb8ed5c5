//! What policies look at, as of one moment: the same for `plan`, `explain`, `simulate`, `diff` and `approve`, from files or
//! from a cluster.
//!
//! For each kind there is one ground, with the rules of all policies that look there, so that what one policy keeps from
//! another is as the operator sees it. Decides nothing: that is the engine's.

mod cast;
mod cluster;
mod stock;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::ensure;
use api::{DEFAULT_NAMESPACE, GarbageCollectionPolicySpec, Rails};
use control::SystemClock;
use controllers::gc::lint::{self, ClusterSchemas};
use gc::{Ground, Item, Object, Outlook, OwnerQuestion, Plan, Policy, Rule, Scope, SpecHash};
use jiff::Timestamp;
use serde::Serialize;
use units::{GroupVersionKind, NamespacedName};
use views::{Labels, Projection};

use crate::cluster::{Cluster, Connection};
use crate::limits::OWNERS_ASKED_AT_ONCE;
use crate::names;
use crate::plan::input::{self, GivenPolicy, Manifests};
use crate::progress::Progress;
use cluster::Listing;
use stock::Stock;

pub(crate) use cast::{Cast, Question, compile};
pub(crate) use cluster::Detail;

/// What stands in the namespace that neither a manifest nor a flag names.
const NAMESPACE_FALLBACK: &str = "default";

/// What starts the name of an object that has none yet, so that two of them are told apart.
const NAMELESS: char = '\0';

/// Where policies and objects are looked for.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Whereabouts {
    #[command(flatten)]
    pub(crate) connection: Connection,

    /// The namespace of policies and objects that name none: 1 to 63 lower-case letters, digits and dashes. Default:
    /// the kubeconfig's if a cluster is asked, else `default`.
    #[arg(short, long, value_name = "NAMESPACE", value_parser = names::namespace)]
    pub(crate) namespace: Option<String>,

    /// The namespace that the operator runs in; nothing in it is ever deleted.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE, value_parser = names::namespace)]
    own_namespace: String,
}

/// A policy, and whether it may act.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) policy: Arc<Policy>,
    pub(crate) outlook: Outlook,
}

/// One kind, with all objects of it that policies look at.
#[derive(Debug)]
pub(crate) struct Lot {
    pub(crate) kind: GroupVersionKind,
    pub(crate) ground: Ground,
    /// All objects in a namespace or, without one, in all, whether policies select them or not; nothing of where all of
    /// them are here.
    counted: BTreeMap<Option<String>, u64>,
}

/// Policies, and what they look at.
#[derive(Debug)]
pub(crate) struct Scene {
    /// The moment that is asked about.
    pub(crate) at: Timestamp,
    /// The policies that were asked about, in their order.
    pub(crate) asked: Vec<Part>,
    /// Other policies of the cluster, which may keep objects from those.
    pub(crate) others: Vec<Part>,
    pub(crate) lots: Vec<Lot>,
    pub(crate) warnings: Vec<Warning>,
    /// Policies of the cluster that cannot be judged by, and why.
    pub(crate) unusable: Vec<String>,
    /// Objects that the server was not asked for, because no policy selects them.
    pub(crate) left_out: u64,
}

/// Something that whoever reads an answer has to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Warning {
    /// The policy that it is about, if it is about one.
    pub(crate) policy: Option<String>,
    /// The field that it is about, if it is about one.
    pub(crate) field: Option<String>,
    /// What is to be known.
    pub(crate) message: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(policy) = &self.policy {
            write!(f, "policy {policy}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl Warning {
    pub(crate) fn of(message: impl Into<String>) -> Self {
        Self { policy: None, field: None, message: message.into() }
    }

    /// What a policy says in vain.
    pub(crate) fn advice(policy: &NamespacedName, advice: gc::lint::Warning) -> Self {
        let gc::lint::Warning { field, message, instead } = advice;
        Self {
            policy: Some(policy.to_string()),
            field: Some(field),
            message: format!("{message}: {instead}"),
        }
    }
}

/// The scene of what was given: policies, and objects from files or, if there are none, from a cluster.
pub(crate) async fn set(
    args: &Whereabouts,
    (policies, objects): (Vec<GivenPolicy>, Option<Manifests>),
    question: Question,
) -> anyhow::Result<Scene> {
    if let Some(objects) = objects {
        let policies = compile(policies, args.offline_namespace(), &args.rails())?;
        let [scene] = from_files([policies], &objects, args.offline_namespace(), question.at)?;
        return Ok(scene);
    }
    let mut cluster = args.connection.cluster().await?;
    let namespace = args.namespace_in(&cluster);
    let specs: Vec<_> = policies.iter().map(|given| given.policy.spec.clone()).collect();
    let cast = Cast::gather(&mut cluster, policies, (&namespace, &args.rails()), &question).await?;
    let mut scene = from_cluster(&mut cluster, cast, &question).await?;
    scene.take_advice(&cluster, &specs).await;
    Ok(scene)
}

/// The scenes of several sets of policies, all with the same objects.
pub(crate) fn from_files<const N: usize>(
    casts: [Vec<Arc<Policy>>; N],
    objects: &Manifests,
    namespace: &str,
    at: Timestamp,
) -> anyhow::Result<[Scene; N]> {
    let rules: Vec<Rule> = casts.iter().flatten().flat_map(Policy::rules).collect();
    let stock = Stock::read(objects, &rules, namespace)?;
    Ok(casts.map(|policies| {
        let mut scene = Scene::new(policies, Vec::new(), at);
        stock.fill(&mut scene);
        scene
    }))
}

/// The scene of these policies in a cluster.
pub(crate) async fn from_cluster(
    cluster: &mut Cluster,
    cast: Cast,
    question: &Question,
) -> anyhow::Result<Scene> {
    let mut scenes = [Scene::new(cast.asked.clone(), cast.others.clone(), question.at)];
    fill(cluster, &mut scenes, &cast.earlier_rules(), question).await?;
    let [mut scene] = scenes;
    scene.warnings.extend(cast.warnings.iter().cloned());
    scene.unusable.clone_from(&cast.unusable);
    scene.consider(&cast, question.at.duration_since(question.now));
    Ok(scene)
}

/// Lists what the policies of these scenes look at. `also` are rules whose fields are to be read besides.
pub(crate) async fn fill(
    cluster: &mut Cluster,
    scenes: &mut [Scene],
    also: &[Rule],
    question: &Question,
) -> anyhow::Result<()> {
    let progress = Progress::new();
    let mut listing = Listing { cluster, progress: &progress, question, also };
    listing.fill(scenes).await
}

impl Whereabouts {
    pub(crate) fn rails(&self) -> Rails {
        Rails::new(&*self.own_namespace)
    }

    /// The namespace of what names none, if no cluster is asked.
    pub(crate) fn offline_namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(NAMESPACE_FALLBACK)
    }

    /// The namespace of what names none.
    pub(crate) fn namespace_in(&self, cluster: &Cluster) -> String {
        self.namespace.clone().unwrap_or_else(|| cluster.client.default_namespace().to_owned())
    }
}

/// Reads files, of which at least one must hold a policy.
pub(crate) fn read_policies(files: &[PathBuf]) -> anyhow::Result<input::Input> {
    let input = input::read(files)?;
    let names = || files.iter().map(|file| input::name_of(file)).collect::<Vec<_>>().join(", ");
    ensure!(
        !input.policies.is_empty(),
        "there is no policy in {}: give a file with `apiVersion: groundskeeper.dev/v1alpha1` and `kind: GarbageCollectionPolicy` or `kind: ClusterGarbageCollectionPolicy`",
        names()
    );
    Ok(input)
}

/// The fields that judging objects of a kind by these rules reads.
fn projection_of<'r>(rules: impl Iterator<Item = &'r Rule>) -> Arc<Projection> {
    Arc::new(Projection::new(rules.flat_map(Rule::reads)))
}

impl Scene {
    /// Adds what the asked policies say in vain, by the schemas that the cluster publishes.
    async fn take_advice(&mut self, cluster: &Cluster, specs: &[GarbageCollectionPolicySpec]) {
        let schemas = ClusterSchemas::new(cluster.client.clone(), Arc::new(SystemClock));
        for Part { policy, .. } in &self.asked {
            let Some(spec) = specs.iter().find(|spec| SpecHash::of(spec) == policy.spec_hash) else {
                continue;
            };
            let advice = lint::warnings(&schemas, spec, Some(policy)).await;
            self.warnings.extend(advice.into_iter().map(|advice| Warning::advice(&policy.key, advice)));
        }
    }

    /// Policies that look at nothing yet.
    pub(crate) fn new(asked: Vec<Arc<Policy>>, others: Vec<Arc<Policy>>, at: Timestamp) -> Self {
        let mut lots: Vec<Lot> = Vec::new();
        for rule in asked.iter().flat_map(Policy::rules) {
            if !lots.iter().any(|lot| lot.kind == *rule.kind()) {
                lots.push(Lot {
                    kind: rule.kind().clone(),
                    ground: Ground::default(),
                    counted: BTreeMap::new(),
                });
            }
        }
        for rule in asked.iter().chain(&others).flat_map(Policy::rules) {
            if let Some(lot) = lots.iter_mut().find(|lot| lot.kind == *rule.kind()) {
                lot.ground.admit(rule, at);
            }
        }
        for policy in asked.iter().chain(&others) {
            for lot in &mut lots {
                let guests = policy.rules().filter(|rule| rule.kind().is_other_version_of(&lot.kind));
                lot.ground.admit_guests(&policy.key, guests.collect(), at);
            }
        }
        let part = |policy| Part { policy, outlook: Outlook::default() };
        Self {
            at,
            asked: asked.into_iter().map(part).collect(),
            others: others.into_iter().map(part).collect(),
            lots,
            warnings: Vec::new(),
            unusable: Vec::new(),
            left_out: 0,
        }
    }

    /// An object of a kind is there.
    pub(crate) fn put(&mut self, kind: &GroupVersionKind, object: Object) {
        if let Some(lot) = self.lots.iter_mut().find(|lot| lot.kind == *kind) {
            lot.ground.apply(&Scope::CLUSTER, object, self.at);
        }
    }

    /// A namespace is there.
    pub(crate) fn put_namespace(&mut self, name: &str, labels: &Labels) {
        for lot in &mut self.lots {
            lot.ground.put_namespace(name, Some(labels.clone()), self.at);
        }
    }

    /// The objects of which a policy has to know whether their owners exist.
    pub(crate) fn owner_questions(&mut self) -> Vec<(usize, OwnerQuestion)> {
        let ask = |(at, lot): (usize, &mut Lot)| {
            lot.ground.take_owner_questions(OWNERS_ASKED_AT_ONCE).into_iter().map(move |asked| (at, asked))
        };
        self.lots.iter_mut().enumerate().flat_map(ask).collect()
    }

    /// What was found of an object's owners. What could not be told is not said, and stays unknown.
    pub(crate) fn owners_seen(&mut self, lot: usize, question: &OwnerQuestion, are_gone: bool) {
        if let Some(lot) = self.lots.get_mut(lot) {
            lot.ground.owners_seen(question, Some(are_gone), self.at);
        }
    }

    pub(crate) fn grounds(&self) -> impl Iterator<Item = &Ground> {
        self.lots.iter().map(|lot| &lot.ground)
    }

    /// All objects where a policy looks, whether it selects them or not.
    pub(crate) fn base_of(&self, policy: &Policy) -> u64 {
        let base = |lot: &Lot| {
            let held = lot.ground.base(&policy.key);
            let looks_here = lot.ground.rules().any(|rule| rule.policy.key == policy.key);
            let own = policy.reach.namespace().map(ToOwned::to_owned);
            held.max(lot.counted.get(&own).copied().filter(|_| looks_here).unwrap_or(0))
        };
        self.lots.iter().map(base).sum()
    }

    /// What the asked policies say of an object, of any kind, that lies in a namespace where they do not look: one answer
    /// each.
    pub(crate) fn elsewhere(&self, (namespace, name): (&str, &str)) -> Vec<Item> {
        let is_asked = |rule: &Rule| self.asked.iter().any(|part| part.policy.key == rule.policy.key);
        let mut told = BTreeSet::new();
        let mut items = Vec::new();
        for Lot { ground, .. } in &self.lots {
            let Some(object) = ground.object(namespace, name) else { continue };
            for (rule, verdict) in ground.elsewhere(namespace, name) {
                if is_asked(&rule) && told.insert((rule.kind().clone(), rule.policy.key.clone())) {
                    items.push(Item::new(&rule, object, &verdict, self.at));
                }
            }
        }
        items
    }

    /// What the asked policies make of everything.
    pub(crate) fn plan(&self) -> Plan {
        let mut plan = Plan::new(self.at);
        for Part { policy, outlook } in &self.asked {
            plan.add(policy, self.grounds(), *outlook);
        }
        for item in &mut plan.items {
            if item.object.name.starts_with(NAMELESS) {
                item.object.name = "".into();
            }
        }
        plan
    }
}
