//! All steps of a departure, and which waits for which.
//!
//! Compiled from what a policy says, and from then on sorted: what a step depends on stands before it. What can fail is the
//! compilation, and only on account of what was written.

use std::collections::BTreeMap;

use api::node_cleanup::{CleanupStep, StepStatus};
use expr::{Expression, Fields};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use units::KeyPath;

use super::step::Wanted;
use super::{Circle, DRAIN_PLUGIN, DRAIN_STEP, InvalidSteps, Step, VOLUMES_PLUGIN, VOLUMES_STEP};
use crate::contract::plain;
use crate::limits::{DEPENDS_ON_MAX, STEP_NAME_BYTES_MAX, STEPS_MAX, WORD_CHARS_MAX};
use crate::settings::listed;

/// What has to be known of a plugin before a step may name it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginFacts {
    /// The JSON Schema of its settings; an empty one allows all.
    pub settings_schema: Map<String, Value>,
}

/// All steps of a departure, in an order in which they can be taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    steps: Box<[Step]>,
    /// For each step the places of those that it depends on, all of which are before it.
    after: Box<[Box<[usize]>]>,
}

/// A step as it is going to be taken, for plans.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook<'a> {
    /// The step.
    pub step: &'a Step,
    /// Whether it is going to be taken.
    pub expected: Expected,
}

/// Whether a step is going to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It is.
    Taken,
    /// Its `when` is not true of the node.
    NotTaken,
    /// Its `when` gives no answer for the node, which fails the step; why, in words.
    Unknown(String),
}

impl PluginFacts {
    /// A plugin that has no settings, and refuses all.
    pub(super) fn without_settings() -> Self {
        Self { settings_schema: Map::from_iter([("additionalProperties".to_owned(), json!(false))]) }
    }
}

impl Graph {
    /// Checks and sorts the steps of a policy, and adds the drain and the wait for volumes where they are not written.
    ///
    /// `known` says what is known of a plugin that is not the engine's own, and nothing if there is none of this name.
    pub fn compile(
        given: &[CleanupStep],
        known: &dyn Fn(&str) -> Option<PluginFacts>,
    ) -> Result<Self, InvalidSteps> {
        let given = completed(given)?;
        let steps = given.iter().map(|step| Step::compile(step, known)).collect::<Result<Vec<_>, _>>()?;
        let after = places(&steps)?;
        let order =
            sorted(&steps, &after).map_err(|rest| InvalidSteps::Circle(circle(&given, &after, &rest)))?;
        let graph = Self::in_order(steps, &after, &order);
        graph.check_volumes_wait_for_the_drain()?;
        Ok(graph)
    }

    /// The steps of a departure that has begun, as its record has them. Plugins and settings were checked then: a plugin that
    /// is gone by now, or wants other settings, fails its own step and not the whole departure.
    pub fn resume(recorded: &[CleanupStep]) -> Result<Self, InvalidSteps> {
        Self::compile(recorded, &|_| Some(PluginFacts::default()))
    }

    /// The steps, each after all that it depends on; of those that could go, first the one with the lower priority number,
    /// then the one that was written first.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The step of this name.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| *step.name == *name)
    }

    /// The plugins that have to be reached, in order, each once: not those of the engine.
    pub fn plugins(&self) -> Vec<&str> {
        let mut plugins: Vec<&str> =
            self.steps.iter().filter(|step| !step.is_of_the_engine()).map(|step| &*step.plugin).collect();
        plugins.sort_unstable();
        plugins.dedup();
        plugins
    }

    /// The fields of the node that conditions read.
    pub fn reads(&self) -> Vec<KeyPath> {
        let whens = self.steps.iter().filter_map(|step| step.when.as_ref());
        whens.flat_map(Expression::reads).cloned().collect()
    }

    /// A record in which no step has begun.
    pub fn untouched(&self) -> Vec<StepStatus> {
        let untouched = |step: &Step| StepStatus { name: step.name.to_string(), ..StepStatus::default() };
        self.steps.iter().map(untouched).collect()
    }

    /// Which steps are going to be taken on this node, in order.
    pub fn outlook(&self, node: &dyn Fields, now: Timestamp) -> Vec<Outlook<'_>> {
        let expected = |step: &Step| match step.wanted(node, now) {
            Wanted::Yes => Expected::Taken,
            Wanted::No => Expected::NotTaken,
            Wanted::Unknown(why) => Expected::Unknown(why),
        };
        self.steps.iter().map(|step| Outlook { step, expected: expected(step) }).collect()
    }

    /// The steps that this one depends on, by their places.
    pub(super) fn after(&self, place: usize) -> &[usize] {
        self.after.get(place).map(|after| &**after).unwrap_or_default()
    }

    fn in_order(steps: Vec<Step>, after: &[Vec<usize>], order: &[usize]) -> Self {
        let new_place = |old: &usize| order.iter().position(|place| place == old);
        let moved = |old: &usize| after.get(*old).into_iter().flatten().filter_map(new_place).collect();
        let after = order.iter().map(moved).collect();
        let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
        let steps = order.iter().filter_map(|old| steps.get_mut(*old)?.take()).collect();
        Self { steps, after }
    }

    fn check_volumes_wait_for_the_drain(&self) -> Result<(), InvalidSteps> {
        let place = |name: &str| self.steps.iter().position(|step| *step.name == *name);
        let (Some(drain), Some(volumes)) = (place(DRAIN_STEP), place(VOLUMES_STEP)) else { return Ok(()) };
        let mut open = vec![volumes];
        while let Some(step) = open.pop() {
            if step == drain {
                return Ok(());
            }
            open.extend(self.after(step));
        }
        Err(InvalidSteps::VolumesBeforeDrain)
    }
}

/// The steps with the two that are there without being written, each name once.
fn completed(given: &[CleanupStep]) -> Result<Vec<CleanupStep>, InvalidSteps> {
    if let Some((index, step)) = given.iter().enumerate().find(|(_, step)| !is_name(&step.name)) {
        return Err(InvalidSteps::Name { index, given: plain(&step.name, WORD_CHARS_MAX) });
    }
    let mut steps = Vec::new();
    for (name, plugin) in [(DRAIN_STEP, DRAIN_PLUGIN), (VOLUMES_STEP, VOLUMES_PLUGIN)] {
        if !given.iter().any(|step| step.name == name) {
            steps.push(CleanupStep { name: name.into(), plugin: plugin.into(), ..CleanupStep::default() });
        }
    }
    steps.extend(given.iter().cloned());
    if steps.len() > STEPS_MAX + 2 {
        return Err(InvalidSteps::TooMany { given: given.len() });
    }
    let mut seen = std::collections::BTreeSet::new();
    match steps.iter().find(|step| !seen.insert(&step.name)) {
        Some(twice) => Err(InvalidSteps::Duplicate { step: twice.name.clone() }),
        None => Ok(steps),
    }
}

fn is_name(name: &str) -> bool {
    let is_inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !name.is_empty()
        && name.len() <= STEP_NAME_BYTES_MAX
        && name.bytes().all(is_inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// For each step the places of those that it depends on.
fn places(steps: &[Step]) -> Result<Vec<Vec<usize>>, InvalidSteps> {
    let by_name: BTreeMap<&str, usize> =
        steps.iter().enumerate().map(|(place, step)| (&*step.name, place)).collect();
    let places_of = |step: &Step| {
        if step.depends_on.len() > DEPENDS_ON_MAX {
            let given = step.depends_on.len();
            return Err(InvalidSteps::TooManyDependencies { step: step.name.to_string(), given });
        }
        let place = |given: &str| {
            by_name.get(given).copied().ok_or_else(|| InvalidSteps::UnknownDependency {
                step: step.name.to_string(),
                given: plain(given, WORD_CHARS_MAX),
                known: listed(others(&by_name, &step.name).into_iter()),
            })
        };
        step.depends_on.iter().map(|given| place(given)).collect()
    };
    steps.iter().map(places_of).collect()
}

fn others(by_name: &BTreeMap<&str, usize>, step: &str) -> Vec<String> {
    by_name.keys().filter(|name| **name != step).map(ToString::to_string).collect()
}

/// The places in an order in which nothing stands before what it depends on; or those that no order has room for.
fn sorted(steps: &[Step], after: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut order: Vec<usize> = Vec::new();
    let mut rest: Vec<usize> = (0..steps.len()).collect();
    rest.sort_by_key(|place| (steps.get(*place).map(|step| step.priority), *place));
    while !rest.is_empty() {
        let is_next =
            |place: &usize| after.get(*place).into_iter().flatten().all(|other| order.contains(other));
        let Some(at) = rest.iter().position(is_next) else { return Err(rest) };
        order.push(rest.remove(at));
    }
    Ok(order)
}

/// One circle among steps of which each waits for another one of them.
fn circle(given: &[CleanupStep], after: &[Vec<usize>], rest: &[usize]) -> Circle {
    let mut walked: Vec<usize> = Vec::new();
    let mut at = rest.iter().min().copied();
    while let Some(place) = at.filter(|place| !walked.contains(place)) {
        walked.push(place);
        at = after.get(place).into_iter().flatten().find(|other| rest.contains(other)).copied();
    }
    let begin = walked.iter().position(|place| Some(*place) == at).unwrap_or(0);
    let steps: Vec<&CleanupStep> = walked.iter().skip(begin).filter_map(|place| given.get(*place)).collect();
    let is_unsaid = |step: &&&CleanupStep| {
        step.depends_on.is_none() && step.name != DRAIN_STEP && step.name != VOLUMES_STEP
    };
    let unsaid = steps.iter().find(is_unsaid).map(|step| step.name.clone());
    Circle { steps: steps.iter().map(|step| step.name.clone()).collect(), unsaid }
}
