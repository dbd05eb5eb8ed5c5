//! What is remembered of departures between two turns, and stands in no record: losing it only makes us ask again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::node_cleanup::Blocker;
use jiff::{SignedDuration, Timestamp};
use node_cleanup::departure::Limits;
use node_cleanup::drain::{Settings, Tries};
use node_cleanup::steps::{Graph, Health, Outcome};
use units::{NamespacedName, Uid};

use super::limits::HEALTH_RECHECK;

/// What is remembered of departures, by their runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Memories(Arc<Mutex<HashMap<String, Memory>>>);

/// What is remembered of one departure.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What the server answered when pods were asked to leave.
    pub(super) tries: Tries,
    /// What plugins answered and is not written down yet.
    pub(super) answers: Vec<Answered>,
    /// The steps whose plugins are being asked.
    pub(super) in_flight: BTreeSet<Box<str>>,
    /// What plugins say of their health, and when they were asked.
    health: BTreeMap<Box<str>, (Health, Timestamp)>,
    /// The plugins that are being asked for it.
    asking_health: BTreeSet<Box<str>>,
    /// The epoch in which the record was last read from the server itself.
    pub(super) read_in: Option<u64>,
    /// When the record was last written, by us.
    pub(super) written_at: Option<Timestamp>,
    /// What the record says, checked, and in which generation.
    pub(super) course: Option<Checked>,
    /// What could not be done in the last turn.
    pub(super) trouble: Option<Blocker>,
    /// Which volumes claims are bound to.
    pub(super) volumes: BTreeMap<NamespacedName, Box<str>>,
    /// How many pods the controllers of the node's pods want, as they said before the drain.
    pub(super) replicas: Option<BTreeMap<Uid, i64>>,
}

/// What a record says in one generation, checked; or why it makes no sense.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) generation: Option<i64>,
    pub(super) course: Result<Arc<Course>, String>,
}

/// How a node leaves, as its record says, checked.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) steps: Graph,
    pub(super) drain: Settings,
    pub(super) deadlines: Limits,
}

/// What a plugin answered.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) step: Box<str>,
    pub(super) attempt: u32,
    pub(super) outcome: Outcome,
}

impl Memories {
    /// Looks into what is remembered of a run.
    pub(super) fn with<T>(&self, run: &str, look: impl FnOnce(&mut Memory) -> T) -> T {
        let mut memories = self.lock();
        if let Some(memory) = memories.get_mut(run) {
            return look(memory);
        }
        look(memories.entry(run.to_owned()).or_default())
    }

    pub(super) fn forget(&self, run: &str) {
        self.lock().remove(run);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// The plugins of those named that have to be asked for their health now; they count as being asked from here on.
    pub(super) fn unchecked<'p>(
        &mut self,
        plugins: impl IntoIterator<Item = &'p str>,
        now: Timestamp,
    ) -> Vec<&'p str> {
        let pause = SignedDuration::try_from(HEALTH_RECHECK).unwrap_or_default();
        // A plugin that could work once is not asked again: what then fails, its steps say.
        let holds = |(health, asked_at): &(Health, Timestamp)| {
            *health == Health::Healthy || now.duration_since(*asked_at) < pause
        };
        let mut due = Vec::new();
        for plugin in plugins {
            let is_known = self.health.get(plugin).is_some_and(holds);
            if !is_known && self.asking_health.insert(plugin.into()) {
                due.push(plugin);
            }
        }
        due
    }

    /// The first so many answers stand in the record.
    pub(super) fn told(&mut self, answers: usize) {
        self.answers.drain(..answers.min(self.answers.len()));
    }

    /// Whether the record was written after this moment.
    pub(super) fn has_written_since(&self, moment: Timestamp) -> bool {
        self.written_at.is_some_and(|at| at > moment)
    }

    pub(super) fn knows_health(&mut self, plugin: &str, health: Health, now: Timestamp) {
        self.asking_health.remove(plugin);
        self.health.insert(plugin.into(), (health, now));
    }

    pub(super) fn health(&self, plugin: &str) -> Health {
        self.health.get(plugin).map_or(Health::Unchecked, |(health, _)| health.clone())
    }
}
