//! `groundskeeper plan`: what policies would do at a moment.
//!
//! Asks the same engine as the controller, about objects from files or, if there are none, from a cluster. Changes
//! nothing: it only reads and lists.

mod cluster;
mod documents;
mod input;
mod problems;
mod table;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use api::{DEFAULT_NAMESPACE, Rails};
use clap::ValueEnum;
use control::{Clock as _, SystemClock};
use gc::{Plan, Policy};
use jiff::Timestamp;

use crate::cluster::Connection;
use crate::{names, output};
use input::{GivenPolicy, Input, Objects};
use problems::Problems;
use table::{Rows, Width};

pub(crate) use cluster::observe;

/// What stands in the namespace that neither a manifest nor a flag names.
const NAMESPACE_FALLBACK: &str = "default";

/// The exit status of `--exit-code` if something would be deleted.
const WOULD_DELETE: u8 = 2;

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
Policies are GarbageCollectionPolicies of groundskeeper.dev/v1alpha1; everything else in the files is an object that \
they may select. If the files hold objects, also if only an empty list of them, no cluster is asked. An object that \
names no namespace is then taken to lie in that of --namespace, even if its kind has no namespaces.

Exit status: 0; 1 after any error; with --exit-code 2 if there is something to delete.";

/// What `plan` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// A file with policies or objects, as YAML or JSON; a directory, of which all *.yaml, *.yml and *.json files are
    /// read, but no subdirectories; or - for standard input. May be given again. Lists are unfolded. At most 64 MiB a
    /// file, 10,000 files and 200,000 documents.
    #[arg(short, long, value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,

    /// The moment that the plan is made for, as RFC 3339, such as 2026-11-21T04:00:00Z. Default: now.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Timestamp>,

    /// How the plan is written.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,

    /// Show also the objects that no policy selects in the table. Default: they are counted. JSON always has them.
    #[arg(long)]
    all: bool,

    /// Exit with status 2 if there is something to delete; what is due under a dry run counts too. Default: 0 either
    /// way.
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    connection: Connection,

    /// The namespace of policies and objects that name none: 1 to 63 lower-case letters, digits and dashes. Default:
    /// the kubeconfig's if a cluster is asked, else `default`.
    #[arg(short, long, value_name = "NAMESPACE", value_parser = names::namespace)]
    namespace: Option<String>,

    /// The namespace that the operator runs in; nothing in it is ever deleted.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE, value_parser = names::namespace)]
    own_namespace: String,
}

/// How a plan is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each selected object, and a summary. For people: it may change.
    Table,
    /// As table, with the reason as a sentence.
    Wide,
    /// Everything. For programs: fields are added, never renamed or removed.
    Json,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "write a time as RFC 3339, such as 2026-11-21T04:00:00Z".to_owned())
}

/// Makes the plan and prints it.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let at = args.at.unwrap_or_else(|| SystemClock.now());
    let Input { policies, objects } = input::read(&args.filename)?;
    ensure!(
        !policies.is_empty(),
        "there is no policy in {}: give a file with `apiVersion: groundskeeper.dev/v1alpha1` and `kind: GarbageCollectionPolicy`",
        names_of(&args.filename)
    );
    let plan = match objects {
        Some(objects) => offline(&args, policies, objects, at)?,
        None => online(&args, policies, at).await?,
    };
    print(&plan, &args)?;
    let would_delete = args.exit_code && plan.summary.delete > 0;
    Ok(if would_delete { ExitCode::from(WOULD_DELETE) } else { ExitCode::SUCCESS })
}

fn offline(args: &Args, policies: Vec<GivenPolicy>, objects: Objects, at: Timestamp) -> anyhow::Result<Plan> {
    let namespace = args.namespace.as_deref().unwrap_or(NAMESPACE_FALLBACK);
    let policies = compile(policies, namespace, &args.own_namespace)?;
    let objects = objects.settled_in(namespace)?;
    let mut plan = Plan::new(at);
    for policy in &policies {
        plan.add(policy, objects.of(policy));
    }
    Ok(plan)
}

async fn online(args: &Args, policies: Vec<GivenPolicy>, at: Timestamp) -> anyhow::Result<Plan> {
    let client = args.connection.client().await?;
    let namespace = args.namespace.as_deref().unwrap_or_else(|| client.default_namespace());
    let policies = compile(policies, namespace, &args.own_namespace)?;
    let objects = cluster::observe(&client, &policies).await?;
    let mut plan = Plan::new(at);
    for (policy, objects) in policies.iter().zip(&objects) {
        plan.add(policy, objects.iter());
    }
    Ok(plan)
}

/// Compiles all policies, or says of each why it cannot be.
fn compile(given: Vec<GivenPolicy>, namespace: &str, own_namespace: &str) -> anyhow::Result<Vec<Policy>> {
    let rails = Rails::new(own_namespace);
    let mut problems = Problems::default();
    let mut keys = BTreeSet::new();
    let mut policies = Vec::new();
    for GivenPolicy { mut policy, origin } in given {
        policy.metadata.namespace.get_or_insert_with(|| namespace.to_owned());
        match Policy::compile(&policy, &rails) {
            Ok(policy) if !keys.insert(policy.key.clone()) => {
                problems.add(format!("{origin}: policy {} is given a second time", policy.key));
            }
            Ok(policy) => policies.push(policy),
            Err(error) => {
                let name = policy.metadata.name.as_deref().unwrap_or_default();
                let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
                problems.add(format!("{origin}: policy {namespace}/{name}: {error}"));
            }
        }
    }
    problems.into_result().map(|()| policies)
}

fn print(plan: &Plan, args: &Args) -> anyhow::Result<()> {
    match args.output {
        Format::Json => output::print_with(|mut out| {
            serde_json::to_writer_pretty(&mut out, plan)?;
            out.write_all(b"\n")
        }),
        Format::Table | Format::Wide => {
            let rows = if args.all { Rows::All } else { Rows::Selected };
            let width = if args.output == Format::Wide { Width::Wide } else { Width::Narrow };
            output::print(&table::render(plan, rows, width))
        }
    }
}

fn names_of(files: &[PathBuf]) -> String {
    files.iter().map(|file| input::name_of(file)).collect::<Vec<_>>().join(", ")
}
