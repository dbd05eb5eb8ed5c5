//! Why steps cannot be taken, and what to write instead.

use std::fmt;

use expr::InvalidExpression;
use units::{InvalidSpan, Span, SpanOutOfBounds};

use super::{DRAIN_STEP, VOLUMES_STEP};
use crate::limits::{DEPENDS_ON_MAX, FREE_FORM_KEYS_MAX, NESTING_MAX, SETTINGS_BYTES_MAX, STEPS_MAX};
use crate::settings::{InvalidSchema, SettingsFault};

/// Why steps cannot be taken, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSteps {
    /// More steps than anybody follows.
    #[error("steps has {given} entries; at most {STEPS_MAX} are allowed")]
    TooMany {
        /// How many there are.
        given: usize,
    },
    /// A name is not one.
    #[error(
        "steps[{index}].name is `{given}`: write lower-case letters, digits and dashes, such as tell-the-cmdb"
    )]
    Name {
        /// Which step, from 0.
        index: usize,
        /// What was written, shortened.
        given: String,
    },
    /// Two steps have one name.
    #[error("two steps are called `{step}`: give one of them another name")]
    Duplicate {
        /// The name.
        step: String,
    },
    /// The drain, or the wait for volumes, under another name, or that name for something else.
    #[error(
        "step `{step}` has the plugin `{plugin}`: {belongs} belong together, so give the other one its own"
    )]
    Misnamed {
        /// The step.
        step: String,
        /// Its plugin.
        plugin: String,
        /// What belongs together.
        belongs: &'static str,
    },
    /// There is no such plugin.
    #[error(
        "step `{step}`: there is no plugin `{plugin}`: write a built-in one, or create a CleanupPlugin of this name"
    )]
    UnknownPlugin {
        /// The step.
        step: String,
        /// As it was written.
        plugin: String,
    },
    /// A step waits for one that there is none of.
    #[error("step `{step}` depends on `{given}`, which is not there: write {known}")]
    UnknownDependency {
        /// The step.
        step: String,
        /// As it was written.
        given: String,
        /// The names of the others.
        known: String,
    },
    /// A step waits for more than can be written.
    #[error("step `{step}`: dependsOn has {given} entries; at most {DEPENDS_ON_MAX} are allowed")]
    TooManyDependencies {
        /// The step.
        step: String,
        /// How many there are.
        given: usize,
    },
    /// Steps wait for each other.
    #[error("each of these steps depends on the next: {0}")]
    Circle(Circle),
    /// The wait for volumes would end before a pod has left.
    #[error(
        "step `{VOLUMES_STEP}` does not wait for `{DRAIN_STEP}`, so that it would end before the pods give up their volumes: write `dependsOn: [{DRAIN_STEP}]`, or leave dependsOn out"
    )]
    VolumesBeforeDrain,
    /// A number out of its bounds.
    #[error("step `{step}`: {field} is {given}: write a number from {least} to {most}")]
    OutOfBounds {
        /// The step.
        step: String,
        /// The field below the step.
        field: &'static str,
        /// What was written.
        given: u32,
        /// The least that is allowed.
        least: u32,
        /// The most that is allowed.
        most: u32,
    },
    /// A text is no span of time.
    #[error("step `{step}`: {field}: {fault}")]
    Span {
        /// The step.
        step: String,
        /// The field below the step.
        field: &'static str,
        /// What is wrong with it.
        fault: InvalidSpan,
    },
    /// A span is shorter or longer than it may be.
    #[error("step `{step}`: {field}: {fault}")]
    SpanOutOfBounds {
        /// The step.
        step: String,
        /// The field below the step.
        field: &'static str,
        /// What is wrong with it.
        fault: SpanOutOfBounds,
    },
    /// The longest pause is shorter than the first.
    #[error(
        "step `{step}`: retry.maxDelay is `{longest}`, shorter than the first pause: write at least `{first_pause}`, or a shorter initialDelay"
    )]
    PausesCrossed {
        /// The step.
        step: String,
        /// The first pause.
        first_pause: Span,
        /// The longest.
        longest: Span,
    },
    /// `when` is no expression.
    #[error("step `{step}`: when: {fault}")]
    When {
        /// The step.
        step: String,
        /// What is wrong with it.
        fault: InvalidExpression,
    },
    /// `when` gives something else than true or false, whatever the node.
    #[error(
        "step `{step}`: when is neither true nor false, whatever the node: compare something, such as object.metadata.labels['px/enabled'] == 'true'"
    )]
    NeverATruth {
        /// The step.
        step: String,
    },
    /// Settings are larger than a record can keep.
    #[error(
        "step `{step}`: settings has {bytes} bytes; at most {SETTINGS_BYTES_MAX} are allowed, in {FREE_FORM_KEYS_MAX} keys and {NESTING_MAX} levels"
    )]
    SettingsTooLarge {
        /// The step.
        step: String,
        /// How many there are, written as JSON without spaces.
        bytes: usize,
    },
    /// The plugin does not know what to do with the settings.
    #[error("step `{step}`: {fault}")]
    Settings {
        /// The step.
        step: String,
        /// What is wrong with them.
        fault: SettingsFault,
    },
    /// The plugin's own schema cannot be held against settings.
    #[error("step `{step}`: the schema of plugin `{plugin}` cannot be used: {fault}")]
    PluginSchema {
        /// The step.
        step: String,
        /// The plugin.
        plugin: String,
        /// What is wrong with it.
        fault: InvalidSchema,
    },
}

/// Steps of which each waits for the next, and the last for the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle {
    /// Their names, in this order.
    pub steps: Vec<String>,
    /// The first of them that says nothing of what it depends on, and so waits for the volumes.
    pub unsaid: Option<String>,
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.steps.first().map(String::as_str).unwrap_or_default();
        for step in &self.steps {
            write!(f, "`{step}` → ")?;
        }
        write!(f, "`{first}`")?;
        match &self.unsaid {
            Some(step) => write!(
                f,
                "; `{step}` leaves dependsOn out and so waits for `{VOLUMES_STEP}`: write `dependsOn: []` there if it is to begin before the drain"
            ),
            None => f.write_str("; take one of these out of dependsOn"),
        }
    }
}
