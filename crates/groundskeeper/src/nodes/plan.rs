//! `groundskeeper nodes plan`: which pods would leave a node, what stands in the way, and which steps come after.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use api::node_cleanup::DrainSettings;
use clap::ValueEnum;
use control::{Clock as _, SystemClock};
use jiff::Timestamp;
use node_cleanup::drain::{self, Intent, Rules, Settings, Tries};
use node_cleanup::steps::{DRAIN_STEP, Expected, Graph, Outlook, PluginFacts};
use node_cleanup::{BUILT_IN_PLUGINS, Governs, Policy};
use serde_json::Value;
use views::{Node, Object, Projection};

use super::answer::{self, NodePlan, PodRow, StepRow};
use super::cluster;
use super::stock::Stock;
use crate::cluster::Connection;
use crate::moment;
use crate::output::{self, Form};
use crate::plan::input;

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
Files may hold the Node, its Pods, and whatever else tells about them: PodDisruptionBudgets, VolumeAttachments, \
PersistentVolumeClaims, Namespaces, ReplicaSets, StatefulSets, DaemonSets; and NodeCleanupPolicies, DrainRules, \
CleanupPlugins and NodeMaintenances of groundskeeper.dev/v1alpha1. If they hold a Node or a Pod, no cluster is asked. \
Where files hold no DaemonSet at all, those that pods name count as there.

Each pod has one action: Evict, Delete, Wait (it ends by itself, and is waited for), Skip (it stays) or Blocked; and all \
reasons that were found, not the first alone. Pods with a lower order leave before others, and of one order those of a lower tier.

Exit status: 0; 1 after any error; with --exit-code 2 if something stands in the way.";

/// The exit status of `--exit-code` if something stands in the way.
const BLOCKED: u8 = 2;

/// What `nodes plan` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The name of the node.
    #[arg(value_name = "NODE")]
    node: String,

    /// Why the node is drained. A deletion takes what dies with the node anyway; a maintenance refuses the whole node
    /// if something would be lost.
    #[arg(long, value_enum, default_value_t = Why::Deletion)]
    intent: Why,

    /// A file with objects and policies, as YAML or JSON; a directory, of which all *.yaml, *.yml and *.json files are read;
    /// or - for standard input. May be given again. Default: the cluster is asked.
    #[arg(short, long, value_name = "FILE")]
    filename: Vec<PathBuf>,

    /// The moment that the plan is made for, as RFC 3339, such as 2026-11-21T04:00:00Z. Default: now.
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    at: Option<Timestamp>,

    /// How the plan is written.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,

    /// Exit with status 2 if something stands in the way. Default: 0 either way.
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    connection: Connection,
}

/// Why a node is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Why {
    /// It is deleted.
    Deletion,
    /// It comes back.
    Maintenance,
}

/// How a node is to be drained, and what is done besides.
struct Course {
    settings: Settings,
    steps: Vec<StepRow>,
    /// The policy, or the maintenance, that says so.
    by: Option<String>,
}

/// Makes the plan and prints it.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut stock = Stock::default();
    let mut warnings = Vec::new();
    read_files(&args.filename, &mut stock)?;
    if stock.has_objects() {
        stock.knows_daemon_sets = stock.has_daemon_sets();
    } else {
        let mut cluster = args.connection.cluster().await?;
        warnings = cluster::fill(&mut stock, &mut cluster, &args.node).await?;
    }
    let at = args.at.unwrap_or_else(|| SystemClock.now());
    let plan = make(&stock, &args.node, args.intent, (at, warnings))?;
    print(&plan, args.output)?;
    Ok(if args.exit_code && plan.blockers.iter().any(|blocker| blocker.blocks) {
        ExitCode::from(BLOCKED)
    } else {
        ExitCode::SUCCESS
    })
}

/// The plan for a node, at a moment; what was said before is said in it.
pub(super) fn make<'a>(
    stock: &Stock,
    name: &'a str,
    intent: Why,
    (at, mut warnings): (Timestamp, Vec<String>),
) -> anyhow::Result<NodePlan<'a>> {
    let (node, manifest) = stock.node(name).with_context(|| no_such_node(stock, name))?;
    let course = match intent {
        Why::Deletion => deletion(stock, node, manifest, at, &mut warnings)?,
        Why::Maintenance => maintenance(stock, name)?,
    };
    let rules = Rules::compile(&stock.rules);
    let scene = stock.scene(node, None);
    let drain = drain::plan(&scene, &course.settings, &rules, &Tries::default(), at);
    let (blockers, risks) = answer::troubles(&drain);
    Ok(NodePlan {
        kind: "NodePlan",
        node: name,
        intent: answer::intent(course.settings.intent()),
        at,
        policy: course.by,
        refused: answer::is_refused(&drain),
        pods: drain.pods.iter().map(PodRow::from).collect(),
        steps: course.steps,
        blockers,
        risks,
        warnings,
    })
}

/// Prints a plan; for people, what is to be known of it goes to standard error.
pub(super) fn print(plan: &NodePlan<'_>, form: Form) -> anyhow::Result<()> {
    match form {
        Form::Json => output::print_json(plan),
        Form::Table => {
            for warning in &plan.warnings {
                output::tell(&format!("warning: {}\n", output::printable(warning)));
            }
            output::print(&plan.render())
        }
    }
}

fn read_files(paths: &[PathBuf], stock: &mut Stock) -> anyhow::Result<()> {
    for (origin, object) in input::objects(paths)? {
        stock.put(object).with_context(|| origin.to_string())?;
    }
    Ok(())
}

fn no_such_node(stock: &Stock, name: &str) -> String {
    let known: Vec<_> = stock.nodes.iter().take(5).map(|(node, _)| node.metadata.name.to_string()).collect();
    if known.is_empty() {
        return format!(
            "no Node is among the given objects: add {name}, as `kubectl get node {name} -o yaml` writes it"
        );
    }
    format!("no Node {name} is among the given objects; there is {}", known.join(", "))
}

/// How the policy that decides of the node says; as without one, if none does.
fn deletion(
    stock: &Stock,
    node: &Node,
    manifest: &Value,
    at: Timestamp,
    warnings: &mut Vec<String>,
) -> anyhow::Result<Course> {
    let known = |name: &str| known_plugin(stock, name);
    let mut policies = Vec::new();
    for policy in &stock.policies {
        let name = policy.metadata.name.as_deref().unwrap_or_default();
        let policy = Policy::compile(policy, &known).with_context(|| format!("NodeCleanupPolicy {name}"))?;
        if policy.governs(&node.metadata.labels) == Governs::ControlPlane {
            warnings.push(format!(
                "NodeCleanupPolicy {name} selects this node of the control plane and does not say so in words: write `unlock: [ControlPlaneNodes]` if it is meant"
            ));
        }
        policies.push(policy);
    }
    let Some(policy) = Policy::of(&policies, &node.metadata.labels) else {
        let settings = Settings::compile(&DrainSettings::default(), Intent::Deletion)?;
        let graph = Graph::compile(&[], &known)?;
        return Ok(Course { settings, steps: outlook(&graph, manifest, at)?, by: None });
    };
    let steps = outlook(&policy.steps, manifest, at)?;
    Ok(Course { settings: policy.drain.clone(), steps, by: Some(policy.name.to_string()) })
}

fn known_plugin(stock: &Stock, name: &str) -> Option<PluginFacts> {
    let given = stock.plugins.iter().find(|plugin| plugin.metadata.name.as_deref() == Some(name));
    let facts = given.map(|plugin| PluginFacts { settings_schema: plugin.spec.settings_schema.clone() });
    facts.or_else(|| BUILT_IN_PLUGINS.contains(&name).then(PluginFacts::default))
}

fn outlook(graph: &Graph, manifest: &Value, at: Timestamp) -> anyhow::Result<Vec<StepRow>> {
    let projection = Arc::new(Projection::new(graph.reads()));
    let object = Object::read(&manifest.to_string(), &projection).context("the node cannot be read")?;
    let node = object.tree(&graph.reads());
    Ok(graph.outlook(&node, at).iter().map(StepRow::from).collect())
}

/// As the maintenance of this node says; as `kubectl drain` without flags, if there is none.
fn maintenance(stock: &Stock, node: &str) -> anyhow::Result<Course> {
    let mut given = stock.maintenances.iter().filter(|given| given.spec.node_name == node);
    let (first, second) = (given.next(), given.next());
    if let (Some(first), Some(second)) = (first, second) {
        let name = |given: &api::NodeMaintenance| given.metadata.name.clone().unwrap_or_default();
        bail!("two maintenances are about node {node}, {} and {}: leave one out", name(first), name(second));
    }
    let drain = first.map(|given| given.spec.drain.clone()).unwrap_or_default();
    let graph = Graph::compile(&[], &|_| None)?;
    let drain_step = graph.step(DRAIN_STEP).map(|step| Outlook { step, expected: Expected::Taken });
    Ok(Course {
        settings: Settings::compile(&drain, Intent::Maintenance)?,
        steps: drain_step.iter().map(StepRow::from).collect(),
        by: first.and_then(|given| given.metadata.name.clone()).map(|name| format!("NodeMaintenance {name}")),
    })
}
