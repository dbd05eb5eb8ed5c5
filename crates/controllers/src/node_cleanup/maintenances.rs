//! Maintenances: a node is emptied, held, and given back.
//!
//! The key is a maintenance's name. What it puts on a node is written on the node, and taken off by [`super::nodes`] once no
//! maintenance wants it any more: deleting one needs no finalizer, and works while nobody runs.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::node_cleanup::{MaintenancePhase, NodeCondition, NodeMaintenanceStatus, NodeReason};
use api::{EventReason, NodeMaintenance};
use chassis::actuator::Outcome;
use chassis::lease::Epoch;
use chassis::objects::ObjectRef;
use chassis::reconcile::{Controller, Did, Report, Requeue};
use chassis::writes::{self, Seen};
use chassis::{Class, Classify as _};
use control::Clock;
use jiff::{SignedDuration, Timestamp};
use node_cleanup::drain::{Intent, Rules, Settings, Tries};
use node_cleanup::maintenance::{self, Act, Hold, Maintenance};
use units::{ResourceVersion, Uid};
use views::Node;

use super::apply::{self, Deeds, Held, Word};
use super::departures::Trouble;
use super::limits::{COUNT_INTERVAL, NO_SLOT_PAUSE, OVERTAKEN_PAUSE, UNREAD_PAUSE};
use super::nodes::{became, settled};
use super::observe::{self, Around, Ground, Neighbours, Stock, is_settling};
use super::report::conditions::{self, Said, said};
use super::report::{self};

/// Maintenances.
pub(super) struct Maintenances {
    pub(super) ground: Ground,
    pub(super) deeds: Deeds,
    pub(super) clock: Arc<dyn Clock>,
    /// What is remembered of each.
    pub(super) memories: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of a maintenance, and stands in no status.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// What the server answered when pods were asked to leave.
    tries: Tries,
    /// How many pods the controllers of the node's pods want, as they said before the drain.
    replicas: Option<BTreeMap<Uid, i64>>,
}

/// What is decided on.
pub(super) struct Snapshot {
    object: Arc<NodeMaintenance>,
    settings: Result<Settings, String>,
    around: Option<Around>,
    rules: Arc<Rules>,
    tries: Tries,
    hold: Holder,
    is_read: bool,
}

/// On whose behalf the node is held.
enum Holder {
    Nobody,
    Ours { cordoned: bool },
    Others(String),
}

impl Holder {
    fn of(node: Option<&Node>, object: &NodeMaintenance, stock: &Stock) -> Self {
        match node.and_then(Held::of) {
            None => Self::Nobody,
            Some(held) if object.metadata.uid.as_deref() == Some(held.by) => {
                Self::Ours { cordoned: held.cordoned() }
            }
            Some(held) => {
                Self::Others(stock.maintenance_called(held.by).unwrap_or_else(|| held.by.to_owned()))
            }
        }
    }
}

/// What is to be written, and done.
pub(super) struct Plan {
    object: Arc<NodeMaintenance>,
    status: NodeMaintenanceStatus,
    acts: Vec<Act>,
    wake: Option<Timestamp>,
    waits: bool,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Done {
    outcomes: Vec<(&'static str, Outcome)>,
    has_more: bool,
    wrote: bool,
    unwritten: Option<chassis::ApiError>,
}

impl Controller for Maintenances {
    type Key = String;
    type Snapshot = Snapshot;
    type Plan = Plan;
    type Outcome = Done;
    type Error = Trouble;

    const NAME: &'static str = "nodemaintenance";

    async fn observe(&self, key: &String) -> Result<Option<Snapshot>, Trouble> {
        let is_read = self.ground.unread().is_none();
        let Some(object) = self.ground.stock().maintenance(key).cloned() else {
            self.forget(key);
            return Ok(None);
        };
        if object.metadata.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let name = &object.spec.node_name;
        let node = self.ground.stock().node(name).cloned();
        self.ground.want_pods(name, &wanted_by(key));
        let (neighbours, rules, hold) = {
            let stock = self.ground.stock();
            let neighbours = node.as_ref().map(|node| stock.neighbours(node));
            (neighbours, stock.rules(), Holder::of(node.as_deref(), &object, &stock))
        };
        let is_read =
            is_read && !matches!(neighbours, Some(None)) && (node.is_none() || self.ground.hears_pods(name));
        let settings = Settings::compile(&object.spec.drain, Intent::Maintenance);
        let mut neighbours = neighbours.flatten().unwrap_or_else(Neighbours::default);
        if is_read {
            neighbours.knows_replicas(self.replicas(key, &object, &neighbours).await);
        }
        let around = node.map(|node| Around::new(node, neighbours));
        let tries = self.memories().get(key).map(|memory| memory.tries.clone()).unwrap_or_default();
        Ok(Some(Snapshot {
            object,
            settings: settings.map_err(|error| error.to_string()),
            around,
            rules,
            tries,
            hold,
            is_read,
        }))
    }

    fn decide(snapshot: &Snapshot, now: Timestamp) -> Plan {
        let object = Arc::clone(&snapshot.object);
        let before = object.status.clone().unwrap_or_default();
        let resting = Plan { object, status: before.clone(), acts: Vec::new(), wake: None, waits: false };
        if !snapshot.is_read {
            return Plan { waits: true, ..resting };
        }
        let generation = snapshot.object.metadata.generation;
        let drain = match &snapshot.settings {
            Ok(drain) => drain,
            Err(problem) => {
                let mut status = before.clone();
                status.observed_generation = generation;
                let said = invalid(problem);
                status.conditions = conditions::conditions(said, &before.conditions, generation, now);
                return Plan { status, ..resting };
            }
        };
        let hold = match &snapshot.hold {
            Holder::Nobody => Hold::None,
            Holder::Ours { cordoned } => Hold::Ours { cordoned: *cordoned },
            Holder::Others(name) => Hold::Others(name),
        };
        let decision = maintenance::decide(
            &Maintenance {
                status: &before,
                drain,
                scene: snapshot.around.as_ref().map(Around::scene),
                rules: &snapshot.rules,
                tries: &snapshot.tries,
                hold,
            },
            now,
        );
        let mut status = decision.status;
        status.observed_generation = generation;
        status.conditions = conditions::conditions(standing(&status), &before.conditions, generation, now);
        Plan { status, acts: decision.acts, wake: decision.wake_at, ..resting }
    }

    async fn apply(&self, key: &String, plan: &Plan, epoch: &Epoch) -> Done {
        let mut done = Done::default();
        if plan.object.status.as_ref() != Some(&plan.status) && !plan.waits {
            match self.write(key, plan).await {
                Ok(version) => {
                    done.wrote = true;
                    self.ground.works.maintenances.wrote(key, version);
                }
                Err(error) => {
                    done.unwritten = Some(error);
                    return done;
                }
            }
        }
        let mut pods = Vec::new();
        for act in &plan.acts {
            match act {
                Act::Hold => {
                    let node = self.ground.stock().node(&plan.object.spec.node_name).cloned();
                    // Another node of this name is none of this maintenance's business.
                    let seen = plan.status.node_uid.as_deref().map(Uid::from);
                    let node = node.filter(|node| node.metadata.uid == seen);
                    let uid = plan.object.metadata.uid.as_deref().unwrap_or_default();
                    if let Some(node) = node {
                        done.outcomes
                            .push(("the node was not cordoned", became(self.deeds.hold(&node, uid).await)));
                    }
                }
                Act::Ask(eviction) => pods.push(eviction.clone()),
            }
        }
        if !pods.is_empty() {
            let word = word(&plan.object);
            let asked = self.deeds.ask(pods, &word, &plan.object.spec.node_name, epoch).await;
            done.has_more = asked.has_more;
            let now = self.clock.now();
            let mut memories = self.memories();
            let Memory { tries, .. } = memories.entry(key.clone()).or_default();
            asked.answers.into_iter().for_each(|(uid, answer)| tries.record(&uid, answer, now));
        }
        done
    }

    async fn report(&self, _: &String, plan: Plan, done: Done) -> Result<Report, Trouble> {
        let Done { outcomes, has_more, wrote, unwritten } = done;
        let did = if wrote || has_more { Did::Something } else { Did::Nothing };
        if let Some(error) = unwritten {
            if error.class() == Class::Conflict || error.code() == Some(404) {
                let requeue = Requeue::After(OVERTAKEN_PAUSE, "the maintenance has changed meanwhile");
                return Ok(Report { requeue, did: Did::Something });
            }
            return Err(Trouble::Writing(error));
        }
        if wrote {
            self.tell(&plan);
        }
        settled(outcomes)?;
        let soon = self.clock.now().checked_add(SignedDuration::try_from(COUNT_INTERVAL).unwrap_or_default());
        let requeue = match (has_more, plan.waits, plan.wake) {
            (true, ..) => Requeue::After(NO_SLOT_PAUSE, "more pods are to be asked"),
            (_, true, _) => Requeue::After(UNREAD_PAUSE, "something has to be read first"),
            (.., Some(at)) => Requeue::At(soon.map_or(at, |soon| at.max(soon)), "something is due"),
            (.., None) => Requeue::AwaitChange,
        };
        Ok(Report { requeue, did })
    }
}

impl Maintenances {
    async fn write(&self, key: &str, plan: &Plan) -> Result<ResourceVersion, chassis::ApiError> {
        let metadata = &plan.object.metadata;
        let uid = Uid::from(metadata.uid.as_deref().unwrap_or_default());
        let version = ResourceVersion::from(metadata.resource_version.as_deref().unwrap_or_default());
        let resource = apply::maintenance_resource();
        let object = ObjectRef { resource: &resource, namespace: None, name: key };
        writes::replace_status(
            self.deeds.client(),
            object,
            Seen { uid: &uid, version: &version },
            &plan.status,
        )
        .await
    }

    /// Tells what is new: that the node is empty, or what stands in the way.
    fn tell(&self, plan: &Plan) {
        let before = plan.object.status.clone().unwrap_or_default();
        let uid = plan.status.node_uid.as_deref().map(Uid::from);
        let about = (plan.object.spec.node_name.as_str(), uid.as_ref());
        let now = self.clock.now();
        if plan.status.phase == MaintenancePhase::Succeeded && before.phase != MaintenancePhase::Succeeded {
            let note = format!("{} pods have left, and the node is held", plan.status.pods_total);
            report::maintenance(&self.deeds, about, EventReason::NodeDrained, &note, now);
        }
        for blocker in &plan.status.blockers {
            if !before.blockers.iter().any(|known| known.reason == blocker.reason) {
                let note = format!("{}: {}", blocker.reason, blocker.message);
                report::maintenance(&self.deeds, about, EventReason::MaintenanceBlocked, &note, now);
            }
        }
    }

    /// How many pods the controllers of the node's pods want. They are asked once, before the first pod is.
    async fn replicas(
        &self,
        key: &str,
        object: &NodeMaintenance,
        neighbours: &Neighbours,
    ) -> BTreeMap<Uid, i64> {
        let known = self.memories().get(key).and_then(|memory| memory.replicas.clone());
        let cordoned_at = object.status.as_ref().and_then(|status| status.cordon_time.as_ref());
        if known.is_some() || !is_settling(cordoned_at, self.clock.now()) {
            return known.unwrap_or_default();
        }
        let replicas = observe::replicas(self.deeds.client(), neighbours).await;
        self.memories().entry(key.to_owned()).or_default().replicas = Some(replicas.clone());
        replicas
    }

    fn memories(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, key: &str) {
        self.memories().remove(key);
        self.ground.release_pods(&wanted_by(key));
    }
}

/// Who wants to see pods: a maintenance may have the name of a run.
fn wanted_by(key: &str) -> String {
    format!("maintenance/{key}")
}

fn word(object: &NodeMaintenance) -> Word {
    Word {
        policy: format!("NodeMaintenance/{}", object.metadata.name.as_deref().unwrap_or_default()),
        uid: object.metadata.uid.clone().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
    }
}

fn invalid(problem: &str) -> Vec<Said> {
    let reason = NodeReason::Invalid;
    vec![
        said(NodeCondition::Ready, false, reason, problem),
        said(NodeCondition::Reconciling, false, reason, ""),
        said(NodeCondition::Stalled, true, reason, problem),
    ]
}

fn standing(status: &NodeMaintenanceStatus) -> Vec<Said> {
    let is_held = status.phase == MaintenancePhase::Succeeded;
    let has_failed = status.phase == MaintenancePhase::Failed;
    let first = status.blockers.first().map(|blocker| blocker.message.clone()).unwrap_or_default();
    let (reason, message) = match status.phase {
        MaintenancePhase::Pending => (NodeReason::Waiting, first.clone()),
        MaintenancePhase::Running => {
            (NodeReason::Draining, format!("{} pods have yet to leave", status.pods_left))
        }
        MaintenancePhase::Succeeded => {
            (NodeReason::Held, "the node is empty, and held until this is deleted".to_owned())
        }
        MaintenancePhase::Failed => (NodeReason::MaintenanceFailed, first.clone()),
    };
    let stalled = if has_failed { first } else { String::new() };
    let why = if has_failed { NodeReason::MaintenanceFailed } else { NodeReason::AsExpected };
    vec![
        said(NodeCondition::Ready, is_held, reason, message.clone()),
        said(NodeCondition::Reconciling, !is_held && !has_failed, reason, message.clone()),
        said(NodeCondition::Stalled, has_failed, why, stalled),
        conditions::blocked(&status.blockers),
        said(NodeCondition::Drained, is_held, reason, message),
    ]
}
