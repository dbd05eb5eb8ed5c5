//! `groundskeeper plugins test`: asks a plugin all that changes nothing: what it is, whether it could work, what it would do.
//!
//! Through the same code as the operator, from here instead of from its pod.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use api::node_cleanup::NodeSnapshot;
use api::{CleanupPlugin, DEFAULT_NAMESPACE};
use chassis::Metrics;
use chassis::objects;
use control::SystemClock;
use node_cleanup::contract::{Described, Node, Task, idempotency_key};
use node_cleanup::settings::SettingsSchema;
use plugins::{Means, Outbound, Plugins};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cluster::{Cluster, Connection, text};
use crate::nodes::OURS;
use crate::output::{self, Form, printable};
use crate::plan::input;
use crate::{names, nodes};

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
It asks describe, check and plan, as the operator would, and never execute: nothing is changed. The questions go out from here, \
not from the operator's pod, so that another network may answer otherwise; Secrets are read from --namespace with your rights.

Exit status: 0 if every question has a good answer; 2 if one has not, or the plugin says that it could not work now; 1 after \
any error.";

/// One of the answers is not good.
const FAILED: u8 = 2;

/// The name of the node that a plan is asked for, unless one is named.
const EXAMPLE_NODE: &str = "example-node";

/// What `plugins test` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The name of the plugin, as steps write it.
    #[arg(value_name = "PLUGIN")]
    name: String,

    /// A file with the plugin's declaration, as YAML or JSON, instead of the cluster's.
    #[arg(short, long, value_name = "FILE")]
    filename: Option<PathBuf>,

    /// A file with the settings of the step, as YAML or JSON. Default: none.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,

    /// The node of the cluster that the plan is asked for. Default: one that does not exist, without labels.
    #[arg(long, value_name = "NODE")]
    node: Option<String>,

    /// The operator's namespace, in which Secrets lie: 1 to 63 lower-case letters, digits and dashes.
    #[arg(long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE, value_parser = names::namespace)]
    namespace: String,

    /// Let loopback addresses be called, for a plugin that runs here. The operator never does.
    #[arg(long)]
    allow_loopback: bool,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,

    #[command(flatten)]
    connection: Connection,
}

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    plugin: &'a str,
    /// Whether every question has a good answer.
    passed: bool,
    questions: Vec<Asked>,
}

/// One question, and what became of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    /// `settings`, `describe`, `check` or `plan`.
    question: &'static str,
    passed: bool,
    /// The answer in words, a line each; or what is wrong.
    lines: Vec<String>,
}

impl Asked {
    fn of<T, E: std::fmt::Display>(
        question: &'static str,
        answer: Result<T, E>,
        good: impl FnOnce(T) -> (bool, Vec<String>),
    ) -> Self {
        let (passed, lines) = match answer {
            Ok(answer) => good(answer),
            Err(error) => (false, vec![error.to_string()]),
        };
        Self { question, passed, lines }
    }
}

/// Asks.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    ensure!(
        !super::row::OF_THE_ENGINE.contains(&&*args.name),
        "{} is carried out by the operator itself: `groundskeeper nodes plan NODE` shows what it would do",
        args.name
    );
    let mut cluster = args.connection.cluster().await?;
    let settings = args.settings.as_deref().map(settings).transpose()?.unwrap_or_default();
    let node = node(&mut cluster, args.node.as_deref()).await?;
    let plugins = Plugins::new(Means {
        client: cluster.client.clone(),
        clock: Arc::new(SystemClock),
        metrics: Metrics::default(),
        namespace: args.namespace.clone(),
        outbound: Outbound { allow_loopback: args.allow_loopback, ..Outbound::default() },
    });
    declare(&mut cluster, &plugins, &args).await?;
    let questions = ask(&plugins, &args.name, settings, node).await?;
    let passed = questions.iter().all(|question| question.passed);
    let answer = Answer { api_version: OURS, kind: "PluginTest", plugin: &args.name, passed, questions };
    match args.output {
        Form::Json => output::print_json(&answer)?,
        Form::Table => output::print(&answer.render())?,
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn settings(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let text = input::text_of(path)?;
    let read: Value = serde_saphyr::from_str(&text).with_context(|| format!("{}", path.display()))?;
    match read {
        Value::Object(settings) => Ok(settings),
        _ => bail!("{} holds no settings: write them as `name: value` lines", path.display()),
    }
}

/// The node that the plan is asked for, as plugins are told of it.
async fn node(cluster: &mut Cluster, name: Option<&str>) -> anyhow::Result<Node> {
    let Some(name) = name else { return Ok(Node { name: EXAMPLE_NODE.to_owned(), ..Node::default() }) };
    let resource = nodes::records::node_resource(cluster).await?;
    let object = objects::ObjectRef { resource: &resource, namespace: None, name };
    let found =
        objects::look_at(&cluster.client, object).await.with_context(|| format!("cannot read {object}"))?;
    let found = found.with_context(|| format!("there is no node {name}"))?;
    let read = |pointer: &str| found.pointer(pointer).cloned().unwrap_or_default();
    let given = |pointer: &str| Some(text(&found, pointer).to_owned()).filter(|text| !text.is_empty());
    let snapshot = NodeSnapshot {
        labels: serde_json::from_value(read("/metadata/labels")).unwrap_or_default(),
        provider_id: given("/spec/providerID"),
        machine_id: given("/status/nodeInfo/machineID"),
        addresses: serde_json::from_value(read("/status/addresses")).unwrap_or_default(),
    };
    Ok(Node::new(name, text(&found, "/metadata/uid"), &snapshot))
}

/// Takes up the plugin of the file, or the cluster's, if there is one of that name.
async fn declare(cluster: &mut Cluster, plugins: &Plugins, args: &Args) -> anyhow::Result<()> {
    let plugin: CleanupPlugin = if let Some(file) = &args.filename {
        let objects = input::objects(std::slice::from_ref(file))?;
        let is_it = |object: &Value| {
            text(object, "/kind") == "CleanupPlugin" && text(object, "/metadata/name") == args.name
        };
        let found = objects.into_iter().map(|(_, object)| object).find(is_it);
        let found =
            found.with_context(|| format!("{} holds no CleanupPlugin {}", file.display(), args.name))?;
        serde_json::from_value(found).with_context(|| format!("the CleanupPlugin in {}", file.display()))?
    } else {
        let Some(resource) = cluster.resource(OURS, "CleanupPlugin").await? else { return Ok(()) };
        let object = objects::ObjectRef { resource: &resource, namespace: None, name: &args.name };
        let found = objects::look_at(&cluster.client, object).await;
        match found.with_context(|| format!("cannot read {object}"))? {
            Some(found) => {
                serde_json::from_value(found).with_context(|| format!("cannot understand {object}"))?
            }
            None => return Ok(()),
        }
    };
    plugins.declare(&plugin).with_context(|| format!("CleanupPlugin {} cannot be used", args.name))
}

async fn ask(
    plugins: &Plugins,
    name: &str,
    settings: Map<String, Value>,
    node: Node,
) -> anyhow::Result<Vec<Asked>> {
    let Some(facts) = plugins.facts(name) else {
        bail!(
            "there is no plugin {name}: there are {}; or give its CleanupPlugin with -f",
            plugins.names().join(", ")
        )
    };
    let schema = SettingsSchema::compile(&facts.settings_schema);
    let meets = schema.map_err(|error| error.to_string());
    let meets = meets.and_then(|schema| schema.check(&settings).map_err(|fault| fault.to_string()));
    let mut questions =
        vec![Asked::of("settings", meets, |()| (true, vec!["they are as the plugin wants them".to_owned()]))];
    let says = |Described { name, version, settings_schema }: Described| {
        let schema = if settings_schema.is_some() { "with" } else { "without" };
        (true, vec![format!("{name} {version}, {schema} a schema of its settings").replace(" ,", ",")])
    };
    questions.push(Asked::of("describe", plugins.describe(name).await, says));
    let checked = plugins.check(name, &settings).await;
    questions.push(Asked::of("check", checked, |checked| {
        let word = if checked.healthy { "it could work now" } else { "it could not work now" };
        let message =
            if checked.message.is_empty() { String::new() } else { format!(": {}", checked.message) };
        (checked.healthy, vec![format!("{word}{message}")])
    }));
    let (run, step) = ("test", name);
    let task = Task {
        run_id: run.to_owned(),
        step_id: step.to_owned(),
        attempt: 1,
        idempotency_key: idempotency_key(run, step),
        node,
        state: Map::new(),
        deadline: None,
        settings,
    };
    let planned = plugins.plan(name, &task).await;
    questions.push(Asked::of("plan", planned, |planned| (true, planned.steps)));
    Ok(questions)
}

impl Answer<'_> {
    fn render(&self) -> String {
        let mut text = String::new();
        for Asked { question, passed, lines } in &self.questions {
            let word = if *passed { "ok" } else { "FAILED" };
            let mut label = format!("{question:<10}{word:<8}");
            if lines.is_empty() {
                text += &format!("{}\n", label.trim_end());
            }
            for line in lines {
                text += &format!("{label}{}\n", printable(line));
                label = " ".repeat(18);
            }
        }
        text
    }
}
