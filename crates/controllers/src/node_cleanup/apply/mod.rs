//! What node cleanup does: writes on records and nodes, and acts through the actuator.
//!
//! Each is one request with its preconditions, or one call of a plugin beside the turns. Decides nothing.

mod calls;
mod nodes;
mod pods;

use std::sync::{Arc, Mutex, PoisonError};

use api::NodeCleanup;
use api::node_cleanup::{NODE_FINALIZER, NodeCleanupStatus};
use chassis::actuator::{Act, Actuator, Budget, BudgetSlot, Grounds, Manner, Outcome, Purpose, Target};
use chassis::lease::Epoch;
use chassis::ledger::{Evidence, Rule};
use chassis::objects::{self, Effect, ObjectRef};
use chassis::writes::{self, Seen};
use chassis::{ApiError, Metrics, Recorder, Resource, Supervisor};
use control::Clock;
use kube::Client;
use units::{ResourceVersion, Uid};
use views::Node;

use super::departures::SeenRecord;
use super::limits::EVICTIONS_PER_SECOND;
use super::observe::kind;

pub(super) use nodes::{Held, Overtaken};
pub use nodes::{Unmarking, unmarking};

/// What acts.
#[derive(Clone)]
pub(super) struct Deeds {
    client: Client,
    actuator: Actuator,
    evictions: Arc<Mutex<Budget>>,
    pub(super) recorder: Recorder,
    pub(super) metrics: Metrics,
    supervisor: Supervisor,
    clock: Arc<dyn Clock>,
}

/// On whose word something is done.
#[derive(Clone, Debug)]
pub(super) struct Word {
    /// The kind and name of the record, the policy or the maintenance.
    pub(super) policy: String,
    /// Its UID.
    pub(super) uid: String,
    /// Its generation.
    pub(super) generation: i64,
}

impl Word {
    /// Of a departure.
    pub(super) fn of(record: &NodeCleanup) -> Self {
        Self {
            policy: format!("NodeCleanup/{}", record.metadata.name.as_deref().unwrap_or_default()),
            uid: record.metadata.uid.clone().unwrap_or_default(),
            generation: record.metadata.generation.unwrap_or_default(),
        }
    }

    fn grounds(self, purpose: Purpose, evidence: Evidence) -> Grounds {
        let Self { policy, uid, generation } = self;
        let rule = Rule { policy, uid, generation };
        Grounds { controller: "nodecleanup", rule, evidence, unlocked: Vec::new(), purpose }
    }
}

impl Deeds {
    pub(super) fn new(
        client: Client,
        actuator: Actuator,
        (recorder, metrics): (Recorder, Metrics),
        supervisor: Supervisor,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let evictions = Arc::new(Mutex::new(actuator.budget(EVICTIONS_PER_SECOND, clock.now())));
        Self { client, actuator, evictions, recorder, metrics, supervisor, clock }
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Writes the status of a record; returns its version.
    pub(super) async fn write(
        &self,
        run: &str,
        seen: &SeenRecord,
        status: &NodeCleanupStatus,
    ) -> Result<ResourceVersion, ApiError> {
        let resource = record_resource();
        let object = ObjectRef { resource: &resource, namespace: None, name: run };
        let seen = Seen { uid: &seen.uid, version: &seen.version };
        writes::replace_status(&self.client, object, seen, status).await
    }

    /// Creates the record of a departure. That it is there already is as good.
    pub(super) async fn begin(&self, record: &NodeCleanup) -> Result<(), ApiError> {
        let record = serde_json::to_value(record).map_err(|error| ApiError::Garbled(error.to_string()))?;
        match objects::create(&self.client, &record_resource(), None, &record, Effect::Real).await {
            Err(error) if error.code() != Some(409) => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes our finalizer off a node that is being deleted.
    pub(super) async fn release(&self, node: &Node, record: &NodeCleanup, epoch: &Epoch) -> Outcome {
        let act = Act::Release(NODE_FINALIZER.to_owned());
        let evidence = Evidence::default()
            .with("finalizer", NODE_FINALIZER)
            .with("policy", format!("NodeCleanupPolicy/{}", record.spec.policy));
        self.act_on_node((node, None), (Word::of(record), evidence), act, epoch).await
    }

    /// Puts our finalizer on a node, or takes it off one that is as it was seen, on a policy's word.
    pub(super) async fn finalizer(&self, node: &Node, word: Word, act: Act, epoch: &Epoch) -> Outcome {
        let evidence = Evidence::default().with("finalizer", NODE_FINALIZER);
        let version = node.metadata.resource_version.clone().filter(|_| !matches!(act, Act::AddFinalizer(_)));
        self.act_on_node((node, version), (word, evidence), act, epoch).await
    }

    async fn act_on_node(
        &self,
        (node, resource_version): (&Node, Option<ResourceVersion>),
        (word, evidence): (Word, Evidence),
        act: Act,
        epoch: &Epoch,
    ) -> Outcome {
        let Some(uid) = node.metadata.uid.clone() else { return Outcome::Gone };
        let target = Target {
            resource: Arc::new(node_resource()),
            namespace: String::new(),
            name: node.metadata.name.clone(),
            uid,
            resource_version,
            act_as: None,
        };
        self.carry_out(target, word.grounds(Purpose::Departure, evidence), act, epoch).await
    }

    /// Deletes a record that has been kept for long enough.
    pub(super) async fn forget(&self, record: &NodeCleanup, seen: &SeenRecord, epoch: &Epoch) -> Outcome {
        let target = Target {
            resource: Arc::new(record_resource()),
            namespace: String::new(),
            name: record.metadata.name.as_deref().unwrap_or_default().into(),
            uid: seen.uid.clone(),
            resource_version: Some(seen.version.clone()),
            act_as: None,
        };
        let evidence = Evidence::default().with("why", "it has been kept for as long as its policy says");
        let act = Act::Delete(Manner { propagation: "Background", grace_period_seconds: None });
        self.carry_out(target, Word::of(record).grounds(Purpose::Upkeep, evidence), act, epoch).await
    }

    async fn carry_out(&self, target: Target, grounds: Grounds, act: Act, epoch: &Epoch) -> Outcome {
        let Some(slot) = self.slot() else {
            return Outcome::Throttled(super::limits::NO_SLOT_PAUSE);
        };
        match self.actuator.prove(target, slot, epoch.clone(), grounds) {
            Ok(warrant) => self.actuator.carry_out(warrant, act).await,
            Err(objection) => self.actuator.record(objection, &act).await,
        }
    }

    /// The right to one act, if there is one now.
    fn slot(&self) -> Option<BudgetSlot> {
        let now = self.clock.now();
        self.evictions.lock().unwrap_or_else(PoisonError::into_inner).take(now).ok()
    }
}

/// Nodes.
pub(super) fn node_resource() -> Resource {
    resource(kind("v1", "Node"), "nodes", false)
}

/// Records of departures.
pub(super) fn record_resource() -> Resource {
    resource(kind("groundskeeper.dev/v1alpha1", "NodeCleanup"), "nodecleanups", false)
}

/// Claims of volumes.
pub(super) fn claim_resource() -> Resource {
    resource(kind("v1", "PersistentVolumeClaim"), "persistentvolumeclaims", true)
}

/// Policies.
pub(super) fn policy_resource() -> Resource {
    resource(kind("groundskeeper.dev/v1alpha1", "NodeCleanupPolicy"), "nodecleanuppolicies", false)
}

/// Drain rules.
pub(super) fn rule_resource() -> Resource {
    resource(kind("groundskeeper.dev/v1alpha1", "DrainRule"), "drainrules", false)
}

/// Maintenances.
pub(super) fn maintenance_resource() -> Resource {
    resource(kind("groundskeeper.dev/v1alpha1", "NodeMaintenance"), "nodemaintenances", false)
}

/// Declared plugins.
pub(super) fn plugin_resource() -> Resource {
    resource(kind("groundskeeper.dev/v1alpha1", "CleanupPlugin"), "cleanupplugins", false)
}

/// What keeps a number of pods running; none if a kind is not known to.
pub(super) fn replicated_resource(group: &str, kind_name: &str) -> Option<Resource> {
    let (api_version, plural) = match (group, kind_name) {
        ("apps", "ReplicaSet") => ("apps/v1", "replicasets"),
        ("apps", "StatefulSet") => ("apps/v1", "statefulsets"),
        ("", "ReplicationController") => ("v1", "replicationcontrollers"),
        _ => return None,
    };
    Some(resource(kind(api_version, kind_name), plural, true))
}

/// Pods.
pub(super) fn pod_resource() -> Resource {
    resource(kind("v1", "Pod"), "pods", true)
}

fn resource(kind: units::GroupVersionKind, plural: &str, namespaced: bool) -> Resource {
    Resource { kind, plural: plural.to_owned(), namespaced, verbs: Vec::new() }
}

/// The UID of a node; none in a manifest that no server has seen.
pub(super) fn uid(node: &Node) -> Option<&Uid> {
    node.metadata.uid.as_ref()
}
