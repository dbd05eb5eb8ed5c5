//! `groundskeeper plan`: what policies would do at a moment.
//!
//! Asks the same engine as the controller, about objects from files or, if there are none, from a cluster. Changes
//! nothing: it only reads and lists.

pub(crate) mod documents;
pub(crate) mod input;
pub(crate) mod problems;
mod schemas;
pub(crate) mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::ValueEnum;
use control::{Clock as _, SystemClock};
use gc::Plan;
use jiff::Timestamp;
use serde::Serialize;

use crate::scene::{self, Detail, Question, Scene, Warning};
use crate::{moment, output};
use schemas::Schemas;
use table::{Rows, Width};

/// The exit status of `--exit-code` if something would be deleted.
const WOULD_DELETE: u8 = 2;

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
Policies are GarbageCollectionPolicies and ClusterGarbageCollectionPolicies of groundskeeper.dev/v1alpha1; everything else \
in the files is an object that they may select, and Namespaces among them tell the labels of namespaces. If the files \
hold objects, also if only an empty list of them, no cluster is asked. An object that names no namespace is then taken to \
lie in that of --namespace, unless its kind is known to have none; whether an owner exists is known only of owners in the \
files.

If a cluster is asked, its own policies take part, because they may keep objects from the given ones (--alone leaves them \
out); a given policy takes the place of the one of its name, and what that has used of its budget counts.

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
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
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

    /// Ask a cluster for objects alone, and leave its own policies out. Default: they take part.
    #[arg(long)]
    alone: bool,

    /// A file with the schemas of a group and version, for advice on policies where no cluster is asked, as `kubectl get
    /// --raw /openapi/v3/apis/batch/v1` writes it (`/openapi/v3/api/v1` for kinds without a group). May be given again, up
    /// to 200 times; at most 32 MiB a file. Default: none, and no advice. A cluster has its own.
    #[arg(long, value_name = "FILE")]
    openapi: Vec<PathBuf>,

    #[command(flatten)]
    scene: scene::Whereabouts,
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

/// A plan, and what is to be known of it.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    warnings: &'a [Warning],
}

/// Makes the plan and prints it.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let now = SystemClock.now();
    let input = scene::read_policies(&args.filename)?;
    let question = Question {
        at: args.at.unwrap_or(now),
        now,
        // JSON holds every object; a table counts those that no policy selects.
        detail: if args.all || args.output == Format::Json { Detail::All } else { Detail::Selected },
        alone: args.alone,
        focus: None,
    };
    ensure!(
        args.openapi.is_empty() || input.objects.is_some(),
        "--openapi is for a plan from files: a cluster has its own schemas. Give objects, too, or leave it out"
    );
    let schemas = Schemas::read(&args.openapi)?;
    let specs: Vec<_> = input.policies.iter().map(|given| given.policy.spec.clone()).collect();
    let mut scene = scene::set(&args.scene, (input.policies, input.objects), question).await?;
    schemas.advise(&mut scene, &specs);
    let plan = scene.plan();
    output::warn(&scene.warnings);
    print(&plan, &scene, &args)?;
    let would_delete = args.exit_code && plan.summary.delete > 0;
    Ok(if would_delete { ExitCode::from(WOULD_DELETE) } else { ExitCode::SUCCESS })
}

fn print(plan: &Plan, scene: &Scene, args: &Args) -> anyhow::Result<()> {
    match args.output {
        Format::Json => output::print_json(&Answer { plan, warnings: &scene.warnings }),
        Format::Table | Format::Wide => {
            let rows = if args.all { Rows::All } else { Rows::Selected };
            let width = if args.output == Format::Wide { Width::Wide } else { Width::Narrow };
            output::print(&table::render(plan, scene.left_out, rows, width))
        }
    }
}
