//! `log`: one line in the operator's log.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use node_cleanup::contract::{Checked, Described, Executed, Planned, Task};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::builtin::{Builtin, Desk, Trouble, healthy, ours, planned};
use crate::settings::{read, schema_of};
use crate::template::{Facts, Speaks, Template, TemplateFault, plain};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log;

/// The settings of `log`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LogSettings {
    /// What is written, with placeholders such as `{{node.name}}`. Default: `node {{node.name}} leaves`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024))]
    message: Option<String>,
    /// How loud: `info` or `warn`. Default: `info`.
    #[serde(default)]
    level: Level,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Level {
    #[default]
    Info,
    Warn,
}

impl LogSettings {
    fn template(settings: &Map<String, Value>) -> Result<(Template, Level), Trouble> {
        let Self { message, level } = read(settings)?;
        let message = message.as_deref().unwrap_or("node {{node.name}} leaves");
        Ok((Template::read(message, Speaks::OfTheNode)?, level))
    }

    fn line(task: &Task) -> Result<(String, Level), Trouble> {
        let (template, level) = Self::template(&task.settings)?;
        Ok((template.text(Facts { task, id: None }, plain)?, level))
    }
}

impl From<TemplateFault> for Trouble {
    fn from(fault: TemplateFault) -> Self {
        Self::Settings(fault.to_string())
    }
}

impl Builtin for Log {
    fn schema(&self) -> Map<String, Value> {
        schema_of::<LogSettings>()
    }

    fn describe<'a>(&'a self, _: &'a Desk) -> BoxFuture<'a, Result<Described, Trouble>> {
        async { Ok(ours("log", self.schema())) }.boxed()
    }

    fn check<'a>(
        &'a self,
        _: &'a Desk,
        settings: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Checked, Trouble>> {
        async { LogSettings::template(settings).map(|_| healthy("")) }.boxed()
    }

    fn plan<'a>(&'a self, _: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Planned, Trouble>> {
        async { Ok(planned([format!("writes into the log: {}", LogSettings::line(task)?.0)])) }.boxed()
    }

    fn execute<'a>(&'a self, _: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Executed, Trouble>> {
        async {
            let (line, level) = LogSettings::line(task)?;
            let (node, run, step) = (&task.node.name, &task.run_id, &task.step_id);
            match level {
                Level::Info => tracing::info!(node, run, step, line, "a step of a departure says"),
                Level::Warn => tracing::warn!(node, run, step, line, "a step of a departure says"),
            }
            Ok(Executed::Done { message: line, state: None })
        }
        .boxed()
    }
}
