//! One step, as a policy says it, checked and prepared.

use std::ops::RangeInclusive;

use api::node_cleanup::{CleanupStep, StepStatus};
use expr::{Answer, AnswerKind, Expression, Fields};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use units::Span;

use super::graph::PluginFacts;
use super::{DRAIN_PLUGIN, DRAIN_STEP, InvalidSteps, Retry, VOLUMES_PLUGIN, VOLUMES_STEP};
use crate::contract::{Node, Task, height, idempotency_key};
use crate::limits::{
    FREE_FORM_KEYS_MAX, NESTING_MAX, SETTINGS_BYTES_MAX, STEP_PRIORITY_DEFAULT, STEP_PRIORITY_MAX,
    STEP_TIMEOUT_SECONDS_DEFAULT, STEP_TIMEOUT_SECONDS_MAX,
};
use crate::settings::SettingsSchema;

/// One step of a departure, checked and prepared.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name, which no other step has.
    pub name: Box<str>,
    /// What does it.
    pub plugin: Box<str>,
    /// The names of the steps that must have ended before.
    pub depends_on: Box<[Box<str>]>,
    /// Lower goes first, 0 to [`STEP_PRIORITY_MAX`].
    pub priority: u32,
    /// Whether the node is held if it fails for good.
    pub critical: bool,
    /// What must be true of the node for it to be taken.
    pub(super) when: Option<Expression>,
    /// How long one attempt may take; none for the steps that only the policy's deadlines bound.
    pub timeout: Option<Span>,
    /// How often and when it is tried again.
    pub retry: Retry,
    /// What the plugin is told.
    pub settings: Map<String, Value>,
}

/// Whether a step is to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Yes,
    No,
    /// It cannot be told; why, in words.
    Unknown(String),
}

impl Step {
    /// Checks all of a step but its place among the others.
    pub(super) fn compile(
        given: &CleanupStep,
        known: &dyn Fn(&str) -> Option<PluginFacts>,
    ) -> Result<Self, InvalidSteps> {
        let name = given.name.as_str();
        check_name_of_plugin(given)?;
        check_settings(given, known)?;
        let priority = given.priority.unwrap_or(STEP_PRIORITY_DEFAULT);
        let timeout = span(name, "timeout", given.timeout.as_deref(), STEP_TIMEOUT_SECONDS_MAX)?;
        let unless_said =
            (!is_of_the_engine(&given.plugin)).then_some(Span::from_seconds(STEP_TIMEOUT_SECONDS_DEFAULT));
        Ok(Self {
            name: name.into(),
            plugin: given.plugin.as_str().into(),
            depends_on: depends_on(given),
            priority: bounded(name, "priority", priority, 0..=STEP_PRIORITY_MAX)?,
            critical: given.critical.unwrap_or(true),
            when: given.when.as_deref().map(|when| compile_when(name, when)).transpose()?,
            timeout: timeout.or(unless_said),
            retry: Retry::compile(name, given.retry.as_ref())?,
            settings: given.settings.clone(),
        })
    }

    /// What the plugin is asked to do in the attempt that this status speaks of.
    pub fn task(&self, run: &str, node: &Node, status: &StepStatus) -> Task {
        Task {
            run_id: run.to_owned(),
            step_id: self.name.to_string(),
            attempt: status.attempts,
            idempotency_key: idempotency_key(run, &self.name),
            node: node.clone(),
            state: status.state_blob.clone(),
            deadline: self.deadline(status),
            settings: self.settings.clone(),
        }
    }

    /// When the attempt that this status speaks of counts as failed.
    pub fn deadline(&self, status: &StepStatus) -> Option<Timestamp> {
        let begun = status.attempt_time.as_ref()?.0;
        Some(begun.saturating_add(SignedDuration::from(self.timeout?)).unwrap_or(Timestamp::MAX))
    }

    /// Whether the step is done by the engine itself, as draining is: no plugin has to be reached for it.
    pub fn is_of_the_engine(&self) -> bool {
        is_of_the_engine(&self.plugin)
    }

    pub(super) fn wanted(&self, node: &dyn Fields, now: Timestamp) -> Wanted {
        let Some(when) = &self.when else { return Wanted::Yes };
        match when.evaluate(node, now) {
            Ok(Answer::Bool(true)) => Wanted::Yes,
            Ok(Answer::Bool(false)) => Wanted::No,
            Ok(answer) => {
                Wanted::Unknown(format!("when gives a {}, neither true nor false", answer.type_name()))
            }
            Err(error) => Wanted::Unknown(format!("when: {error}")),
        }
    }
}

fn is_of_the_engine(plugin: &str) -> bool {
    plugin == DRAIN_PLUGIN || plugin == VOLUMES_PLUGIN
}

fn check_name_of_plugin(step: &CleanupStep) -> Result<(), InvalidSteps> {
    let pairs = [
        (DRAIN_STEP, DRAIN_PLUGIN, "the step `drain` and the plugin `drain`"),
        (VOLUMES_STEP, VOLUMES_PLUGIN, "the step `wait-volume-detach` and the plugin `waitVolumeDetach`"),
    ];
    let apart = pairs.iter().find(|(name, plugin, _)| (step.name == *name) != (step.plugin == *plugin));
    let Some((_, _, belongs)) = apart else { return Ok(()) };
    Err(InvalidSteps::Misnamed { step: step.name.clone(), plugin: step.plugin.clone(), belongs })
}

fn check_settings(
    given: &CleanupStep,
    known: &dyn Fn(&str) -> Option<PluginFacts>,
) -> Result<(), InvalidSteps> {
    let step = || given.name.clone();
    let plugin = || given.plugin.clone();
    let bytes = serde_json::to_vec(&given.settings).map_or(usize::MAX, |text| text.len());
    let levels = given.settings.values().map(height).max().unwrap_or(0) + 1;
    if bytes > SETTINGS_BYTES_MAX || given.settings.len() > FREE_FORM_KEYS_MAX || levels > NESTING_MAX {
        return Err(InvalidSteps::SettingsTooLarge { step: step(), bytes });
    }
    let facts = if is_of_the_engine(&given.plugin) {
        Some(PluginFacts::without_settings())
    } else {
        known(&given.plugin)
    };
    let Some(facts) = facts else {
        return Err(InvalidSteps::UnknownPlugin { step: step(), plugin: plugin() });
    };
    let schema = SettingsSchema::compile(&facts.settings_schema)
        .map_err(|fault| InvalidSteps::PluginSchema { step: step(), plugin: plugin(), fault })?;
    schema.check(&given.settings).map_err(|fault| InvalidSteps::Settings { step: step(), fault })
}

/// What a step waits for that does not say: the drain for nothing, the volumes for the drain, all others for the volumes.
fn depends_on(given: &CleanupStep) -> Box<[Box<str>]> {
    match (&given.depends_on, given.name.as_str()) {
        (Some(names), _) => names.iter().map(|name| name.as_str().into()).collect(),
        (None, DRAIN_STEP) => Box::default(),
        (None, VOLUMES_STEP) => Box::new([DRAIN_STEP.into()]),
        (None, _) => Box::new([VOLUMES_STEP.into()]),
    }
}

fn compile_when(step: &str, when: &str) -> Result<Expression, InvalidSteps> {
    let step = || step.to_owned();
    let when = Expression::compile(when).map_err(|fault| InvalidSteps::When { step: step(), fault })?;
    if when.can_give(AnswerKind::Bool) { Ok(when) } else { Err(InvalidSteps::NeverATruth { step: step() }) }
}

/// A span from a second to so many of them.
pub(super) fn span(
    step: &str,
    field: &'static str,
    text: Option<&str>,
    seconds_max: u64,
) -> Result<Option<Span>, InvalidSteps> {
    let Some(text) = text else { return Ok(None) };
    let step = || step.to_owned();
    let span: Span = text.parse().map_err(|fault| InvalidSteps::Span { step: step(), field, fault })?;
    span.within(Span::from_seconds(1), Span::from_seconds(seconds_max))
        .map(Some)
        .map_err(|fault| InvalidSteps::SpanOutOfBounds { step: step(), field, fault })
}

pub(super) fn bounded(
    step: &str,
    field: &'static str,
    given: u32,
    bounds: RangeInclusive<u32>,
) -> Result<u32, InvalidSteps> {
    if bounds.contains(&given) {
        return Ok(given);
    }
    let (least, most) = bounds.into_inner();
    Err(InvalidSteps::OutOfBounds { step: step.to_owned(), field, given, least, most })
}
