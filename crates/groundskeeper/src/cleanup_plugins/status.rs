//! `groundskeeper plugins status`: one plugin, and the steps that name it.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use api::NodeCleanupPolicy;
use chassis::objects;
use serde::Serialize;

use super::row::{self, Row};
use crate::cluster::{Cluster, Connection, text};
use crate::nodes::OURS;
use crate::output::{self, Form, printable};

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
Exit status: 0 if the plugin answers, or nobody has asked it yet; 2 if it does not; 1 after any error.";

/// The plugin does not answer.
const NOT_READY: u8 = 2;

/// What `plugins status` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The name of the plugin, as steps write it.
    #[arg(value_name = "PLUGIN")]
    name: String,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,

    #[command(flatten)]
    connection: Connection,
}

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    api_version: &'static str,
    kind: &'static str,
    plugin: Row,
    /// The steps that name it.
    steps: Vec<Step>,
    warnings: Vec<String>,
}

/// A step that names it.
#[derive(Serialize)]
struct Step {
    policy: String,
    step: String,
}

/// Tells about a plugin.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connection.cluster().await?;
    let (plugins, mut warnings) = row::all(&mut cluster).await?;
    let names: Vec<_> = plugins.iter().map(|plugin| plugin.name.clone()).collect();
    let Some(plugin) = plugins.into_iter().find(|plugin| plugin.name == args.name) else {
        bail!("there is no plugin {}; there are {}", args.name, names.join(", "))
    };
    let steps = steps(&mut cluster, &args.name, &mut warnings).await?;
    let is_ready = plugin.ready != Some(false);
    let answer = Answer { api_version: OURS, kind: "Plugin", plugin, steps, warnings };
    match args.output {
        Form::Json => output::print_json(&answer)?,
        Form::Table => output::print(&answer.render())?,
    }
    Ok(if is_ready { ExitCode::SUCCESS } else { ExitCode::from(NOT_READY) })
}

async fn steps(cluster: &mut Cluster, plugin: &str, warnings: &mut Vec<String>) -> anyhow::Result<Vec<Step>> {
    let Some(kind) = cluster.resource(OURS, "NodeCleanupPolicy").await? else { return Ok(Vec::new()) };
    let mut steps = Vec::new();
    for object in
        objects::list(&cluster.client, &kind, None).await.context("cannot list the policies for nodes")?
    {
        let name = text(&object, "/metadata/name").to_owned();
        match serde_json::from_value::<NodeCleanupPolicy>(object) {
            Ok(policy) => {
                let naming = policy.spec.steps.into_iter().filter(|step| step.plugin == plugin);
                steps.extend(naming.map(|step| Step { policy: name.clone(), step: step.name }));
            }
            Err(error) => warnings.push(format!("NodeCleanupPolicy {name} cannot be read: {error}")),
        }
    }
    Ok(steps)
}

impl Answer {
    fn render(&self) -> String {
        for warning in &self.warnings {
            output::tell(&format!("warning: {}\n", printable(warning)));
        }
        let plugin = &self.plugin;
        let mut text = String::new();
        let mut line = |what: &str, is: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{what:<14}{}", printable(is));
        };
        line("plugin", &plugin.name);
        line("type", plugin.reached.name());
        line("ready", plugin.readiness());
        if let Some(reason) = &plugin.reason {
            line("reason", reason);
        }
        if let Some(message) = &plugin.message {
            line("message", message);
        }
        if let Some(itself) = &plugin.describes_itself_as {
            line("calls itself", itself);
        }
        if !plugin.is_current {
            line("", "the operator has not looked at it since it was last changed");
        }
        let named: Vec<_> =
            self.steps.iter().map(|step| format!("{} of {}", step.step, step.policy)).collect();
        line("steps", if named.is_empty() { "none name it" } else { "" });
        for step in named {
            line("", &step);
        }
        text
    }
}
