//! What a departure is decided on: its record, its node and all around it, and what is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api::NodeCleanup;
use api::node_cleanup::{Blocker, CleanupPhase};
use chassis::ApiError;
use chassis::objects::{self, ObjectRef};
use expr::Fields;
use jiff::{SignedDuration, Timestamp};
use node_cleanup::drain::{Intent, Rules, Settings};
use node_cleanup::steps::{Graph, Pace, PluginState};
use node_cleanup::{DepartureBlocker, Turn};
use units::{NamespacedName, ResourceVersion, Uid, Value};
use views::Node;

use super::super::apply;
use super::super::limits::{COUNT_INTERVAL, WAITING_COUNT_INTERVAL};
use super::super::memory::{Checked, Course};
use super::super::observe::{self, Around, Neighbours, Stock, is_over, is_settling, phase};
use super::judge::Sight;
use super::{Departures, Trouble, Unseen};

/// Where a departure stands.
struct Place {
    node: Option<Arc<Node>>,
    turn: Turn,
    pace: Pace,
    /// Why it rests, if it does.
    rests: Option<Blocker>,
    rules: Arc<Rules>,
    /// Whether it has begun, or begins now.
    is_under_way: bool,
}

/// The pods of the node have not been read.
struct Unread;

impl Departures {
    /// The record: in the first turn of an epoch as the server has it, for another replica may have written it last.
    pub(super) async fn record(&self, key: &str) -> Result<Option<Arc<NodeCleanup>>, Trouble> {
        let epoch = self.ground.leadership.epoch().map(|epoch| epoch.number());
        // Nodes of which no record is seen are not asked for: once one is seen, it wakes the key.
        let Some(known) = self.ground.stock().record(key).cloned() else { return Ok(None) };
        if is_over(phase(&known)) || self.memories.with(key, |memory| memory.read_in == epoch) {
            return Ok(Some(known));
        }
        let resource = apply::record_resource();
        let object = ObjectRef { resource: &resource, namespace: None, name: key };
        let found = objects::look_at(self.deeds.client(), object).await.map_err(Trouble::Reading)?;
        let Some(found) = found else { return Ok(None) };
        let record = serde_json::from_value::<NodeCleanup>(found)
            .map_err(|error| Trouble::Reading(ApiError::Garbled(error.to_string())))?;
        self.memories.with(key, |memory| memory.read_in = epoch);
        if let Some(version) = &record.metadata.resource_version {
            self.ground.works.departures.wrote(&key.to_owned(), ResourceVersion::from(version.as_str()));
        }
        Ok(Some(Arc::new(record)))
    }

    /// All that is seen around a departure.
    pub(super) async fn look(
        &self,
        key: &str,
        record: &NodeCleanup,
    ) -> Result<Result<Sight, Unseen>, Trouble> {
        let now = self.clock.now();
        if is_over(phase(record)) {
            return Ok(Err(Unseen::Over(self.kept_until(record, now))));
        }
        if self.ground.unread().is_some() {
            return Ok(Err(Unseen::Reading));
        }
        let course = self.course(key, record);
        let Some(place) = self.place(key, record) else { return Ok(Err(Unseen::Reading)) };
        if place.node.is_none() && self.has_its_node(record).await? {
            self.ground.relist_nodes();
            return Ok(Err(Unseen::Reading));
        }
        let Ok(around) = self.around(key, record, &place).await else { return Ok(Err(Unseen::Reading)) };
        let fields = self.fields(place.node.as_deref(), course.as_deref()).await?;
        if place.is_under_way
            && let Ok(course) = &course
        {
            self.ask_health(key, course, now);
        }
        let plugins = self.plugins(key, course.as_deref());
        let Place { turn, pace, rests, rules, .. } = place;
        Ok(Ok(self.memories.with(key, |memory| Sight {
            course,
            around,
            fields,
            rules,
            tries: memory.tries.clone(),
            turn,
            pace,
            rests,
            plugins,
            in_flight: memory.in_flight.clone(),
            answers: memory.answers.clone(),
            trouble: memory.trouble.clone(),
            has_counted_lately: memory.has_written_since(before(now, count_interval(phase(record)))),
        })))
    }

    /// The node of this record, and whether its departure goes on; none before it is known whose turn it is.
    fn place(&self, key: &str, record: &NodeCleanup) -> Option<Place> {
        let mut stock = self.ground.stock();
        let uid = Uid::from(record.spec.node_uid.as_str());
        let node = stock.node(&record.spec.node_name).cloned();
        let node = node.filter(|node| node.metadata.uid.as_ref() == Some(&uid));
        let (pace, rests) = pace(&stock, record);
        let is_waiting = phase(record) == CleanupPhase::Waiting;
        let goes = pace == Pace::Going;
        let turn = match (is_waiting && goes, node.is_some()) {
            (true, true) => stock.take_turn(key)?,
            _ => Turn::Begins,
        };
        let is_under_way = !is_waiting || (goes && turn == Turn::Begins);
        Some(Place { node, turn, pace, rests, rules: stock.rules(), is_under_way })
    }

    /// Whether the server has the node of a record, though no watch shows it: a departure that is over does not begin again.
    async fn has_its_node(&self, record: &NodeCleanup) -> Result<bool, Trouble> {
        let resource = apply::node_resource();
        let object = ObjectRef { resource: &resource, namespace: None, name: &record.spec.node_name };
        let found = objects::look_at(self.deeds.client(), object).await.map_err(Trouble::Reading)?;
        let uid = found.as_ref().and_then(|node| node.pointer("/metadata/uid")?.as_str());
        Ok(uid == Some(&*record.spec.node_uid))
    }

    /// The node and all around it; none if that node is gone. Around one that waits nothing is looked at.
    async fn around(&self, key: &str, record: &NodeCleanup, place: &Place) -> Result<Option<Around>, Unread> {
        let Some(node) = &place.node else { return Ok(None) };
        if !place.is_under_way {
            return Ok(Some(Around::new(Arc::clone(node), Neighbours::default())));
        }
        let name = &node.metadata.name;
        self.ground.want_pods(name, key);
        let neighbours = self.ground.stock().neighbours(node);
        let mut neighbours = neighbours.filter(|_| self.ground.hears_pods(name)).ok_or(Unread)?;
        let volumes = self.volumes(key, neighbours.claims()).await;
        neighbours.knows_volumes(volumes);
        neighbours.knows_replicas(self.replicas(key, record, &neighbours).await);
        let pods = neighbours.pods();
        self.memories.with(key, |memory| memory.tries.retain(|uid| pods.contains(uid)));
        Ok(Some(Around::new(Arc::clone(node), neighbours)))
    }

    /// What the record says, checked once for each generation.
    fn course(&self, key: &str, record: &NodeCleanup) -> Result<Arc<Course>, String> {
        let generation = record.metadata.generation;
        self.memories.with(key, |memory| {
            if let Some(known) = memory.course.as_ref().filter(|known| known.generation == generation) {
                return known.course.clone();
            }
            let course = compile(record).map(Arc::new);
            memory.course = Some(Checked { generation, course: course.clone() });
            course
        })
    }

    /// The node as `when` reads it.
    async fn fields(
        &self,
        node: Option<&Node>,
        course: Result<&Course, &String>,
    ) -> Result<Box<dyn Fields + Send + Sync>, Trouble> {
        let reads = course.map(|course| course.steps.reads()).unwrap_or_default();
        let (Some(node), false) = (node, reads.is_empty()) else { return Ok(Box::new(nothing())) };
        let resource = apply::node_resource();
        let object = ObjectRef { resource: &resource, namespace: None, name: &node.metadata.name };
        let found = objects::look_at(self.deeds.client(), object).await.map_err(Trouble::Reading)?;
        let Some(found) = found else { return Ok(Box::new(nothing())) };
        let projection = Arc::new(views::Projection::new(reads.clone()));
        let object = views::Object::read(&found.to_string(), &projection)
            .map_err(|error| Trouble::Reading(ApiError::Garbled(error.to_string())))?;
        Ok(Box::new(object.tree(&reads)))
    }

    /// Which volumes the claims of the node's pods are bound to. What cannot be asked is not known, and waited for.
    async fn volumes(
        &self,
        key: &str,
        claims: BTreeSet<NamespacedName>,
    ) -> BTreeMap<NamespacedName, Box<str>> {
        let known = self.memories.with(key, |memory| memory.volumes.clone());
        let resource = apply::claim_resource();
        for claim in claims.into_iter().filter(|claim| !known.contains_key(claim)) {
            let object =
                ObjectRef { resource: &resource, namespace: Some(&claim.namespace), name: &claim.name };
            let found = objects::look_at(self.deeds.client(), object).await;
            let volume = found.ok().flatten();
            let volume = volume.as_ref().and_then(|claim| claim.pointer("/spec/volumeName")?.as_str());
            if let Some(volume) = volume {
                self.memories.with(key, |memory| memory.volumes.insert(claim.clone(), volume.into()));
            }
        }
        self.memories.with(key, |memory| memory.volumes.clone())
    }

    /// How many pods the controllers of the node's pods want. They are asked once, before the first pod is.
    async fn replicas(&self, key: &str, record: &NodeCleanup, neighbours: &Neighbours) -> BTreeMap<Uid, i64> {
        let known = self.memories.with(key, |memory| memory.replicas.clone());
        let cordoned_at = record.status.as_ref().and_then(|status| status.cordon_time.as_ref());
        if known.is_some() || !is_settling(cordoned_at, self.clock.now()) {
            return known.unwrap_or_default();
        }
        let replicas = observe::replicas(self.deeds.client(), neighbours).await;
        self.memories.with(key, |memory| memory.replicas = Some(replicas.clone()));
        replicas
    }

    fn plugins(&self, key: &str, course: Result<&Course, &String>) -> BTreeMap<Box<str>, PluginState> {
        let names = course.map(|course| course.steps.plugins()).unwrap_or_default();
        let state = |name: &str| {
            let (free, rests_until) = self.ground.plugins.capacity(name);
            let health = self.memories.with(key, |memory| memory.health(name));
            PluginState { health, free, rests_until }
        };
        names.into_iter().map(|name| (name.into(), state(name))).collect()
    }

    /// Asks the plugins beside this turn whether they could work; the answers wake the key.
    fn ask_health(&self, key: &str, course: &Course, now: Timestamp) {
        let due: Vec<String> = self.memories.with(key, |memory| {
            let due = memory.unchecked(course.steps.plugins(), now);
            due.into_iter().map(ToOwned::to_owned).collect()
        });
        for plugin in due {
            let settings = course
                .steps
                .steps()
                .iter()
                .filter(|step| *step.plugin == *plugin)
                .map(|step| step.settings.clone())
                .collect();
            self.deeds.ask_health(&self.ground, &self.memories, key, plugin, settings);
        }
    }

    /// Until when a record is kept that has come to its end.
    fn kept_until(&self, record: &NodeCleanup, now: Timestamp) -> Option<Timestamp> {
        let policy = self.ground.stock().compiled(&record.spec.policy);
        let kept = match policy {
            Some(Ok(policy)) => policy.records_kept,
            _ => units::Span::from_seconds(node_cleanup::limits::RECORDS_KEPT_SECONDS),
        };
        let ended = record.status.as_ref().and_then(|status| status.completion_time.as_ref());
        let ended = ended.map_or(now, |ended| ended.0);
        ended.checked_add(SignedDuration::from(kept)).ok()
    }
}

/// Whether the policy lets a departure go on, and what to say if it does not.
fn pace(stock: &Stock, record: &NodeCleanup) -> (Pace, Option<Blocker>) {
    let Some(policy) = stock.policy(&record.spec.policy) else { return (Pace::Going, None) };
    let blocker = |reason: &str, message: String| {
        let blocker = Blocker { reason: reason.to_owned(), message, ..Blocker::default() };
        (Pace::Stopped, Some(blocker))
    };
    let name = &record.spec.policy;
    if policy.spec.dry_run {
        return blocker(
            DepartureBlocker::DryRun.name(),
            format!("NodeCleanupPolicy {name} has `dryRun: true`: nothing is done until it is unset"),
        );
    }
    if policy.spec.paused {
        return blocker(
            DepartureBlocker::PolicyPaused.name(),
            format!("NodeCleanupPolicy {name} has `paused: true`: nothing goes on until it is unset"),
        );
    }
    (Pace::Going, None)
}

/// Checks what a record says.
fn compile(record: &NodeCleanup) -> Result<Course, String> {
    let spec = &record.spec;
    let drain = Settings::compile(&spec.drain, Intent::Deletion).map_err(|error| error.to_string())?;
    let drain = drain.escalating(&spec.escalation).map_err(|error| error.to_string())?;
    let steps = Graph::resume(&spec.steps).map_err(|error| error.to_string())?;
    let deadlines = node_cleanup::deadlines(&spec.deadlines).map_err(|error| error.to_string())?;
    Ok(Course { steps, drain, deadlines })
}

fn nothing() -> Value {
    Value::Null
}

/// How long a change that only counts waits to be written.
pub(super) const fn count_interval(phase: CleanupPhase) -> Duration {
    match phase {
        CleanupPhase::Waiting => WAITING_COUNT_INTERVAL,
        _ => COUNT_INTERVAL,
    }
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    now.checked_sub(span).unwrap_or(now)
}
