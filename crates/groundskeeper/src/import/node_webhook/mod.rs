//! `groundskeeper import node-cleanup-webhook`: a policy for what the webhook of `infra.894.io` did, and its nodes as ours.
//!
//! The policy comes from files or from a cluster, and changes nothing. `--rewrite-nodes` swaps the old finalizer of each
//! node for ours in one request, so that no node is ever without one; `--rollback` swaps them back.

mod convert;
mod old;
mod rewrite;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::notes::{Bearing, Note};
use crate::cluster::Connection;
use crate::{names, output};
use rewrite::Direction;

/// The finalizer of the old system.
const OLD_FINALIZER: &str = "infra.894.io/node-cleanup";
/// Its annotation by which a node goes without any cleanup.
const OLD_SKIP_ANNOTATION: &str = "infra.894.io/skip-cleanup";
/// The name of its webhook.
const OLD_WEBHOOK: &str = "node-cleanup.infra.894.io";

/// The exit status if something is to be looked at.
const NEEDS_ATTENTION: u8 = 2;

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
The policy goes to standard output, what is to be known of it to standard error. It only plans (dryRun) unless --enforce is \
given. A Slack URL is never written: it belongs into a Secret, and the report says into which.

--rewrite-nodes swaps infra.894.io/node-cleanup for groundskeeper.dev/node-cleanup, and the annotation skip-cleanup with it, on \
every node of which a policy decides that acts. It refuses while the old system runs, which would put its finalizer back. \
--rollback swaps them back, and refuses while a policy of ours acts.

Exit status: 0; 2 if something is to be looked at, or a node was left as it is; 1 after any error.";

/// What `import node-cleanup-webhook` is told.
#[derive(clap::Args, Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct Args {
    /// A file with the old Deployment, its ConfigMap and the configuration of its webhook, as YAML or JSON; a directory of
    /// such files; a file that ends in .env, with NAME=VALUE lines; or - for standard input. May be given again.
    #[arg(short, long, value_name = "FILE", required_unless_present_any = ["cluster", "rewrite_nodes", "rollback"])]
    filename: Vec<PathBuf>,

    /// Look for the old system in the cluster instead.
    #[arg(long, conflicts_with = "filename")]
    cluster: bool,

    /// The name of the policy: letters, digits, dashes and dots.
    #[arg(long, value_name = "NAME", default_value = "node-cleanup", value_parser = names::service_account)]
    name: String,

    /// Let the policy act: `dryRun: false`. Default: it only plans.
    #[arg(long)]
    enforce: bool,

    /// Swap the old finalizer for ours on the nodes of the cluster. Nothing is converted.
    #[arg(long, conflicts_with_all = ["filename", "cluster", "enforce", "rollback"])]
    rewrite_nodes: bool,

    /// Swap our finalizer for the old one on the nodes of the cluster. Nothing is converted.
    #[arg(long, conflicts_with_all = ["filename", "cluster", "enforce"])]
    rollback: bool,

    /// Let the server judge what --rewrite-nodes and --rollback would do, and change nothing.
    #[arg(long)]
    dry_run: bool,

    /// Do not ask before nodes are changed. Default: ask on a terminal, and refuse where there is none.
    #[arg(short, long)]
    yes: bool,

    /// How the answer is written: the policy or the nodes for people, or all as JSON.
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    output: Format,

    #[command(flatten)]
    connection: Connection,
}

/// How an import is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The policy, for `kubectl apply -f -`; the report goes to standard error, for people.
    Yaml,
    /// The report with the policy in it. For programs: fields are added, never renamed or removed.
    Json,
}

/// Runs the import that was asked for.
pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let direction = match (args.rewrite_nodes, args.rollback) {
        (true, _) => Direction::ToOurs,
        (_, true) => Direction::Back,
        (false, false) => return convert(args).await,
    };
    let mut cluster = args.connection.cluster().await?;
    let report = rewrite::rewrite(&mut cluster, direction, args).await?;
    match args.output {
        Format::Yaml => output::print(&report.render())?,
        Format::Json => output::print_json(&report)?,
    }
    Ok(status(report.is_whole()))
}

async fn convert(args: &Args) -> anyhow::Result<ExitCode> {
    let found = if args.cluster {
        old::from_cluster(&mut args.connection.cluster().await?).await?
    } else {
        old::from_files(&args.filename)?
    };
    ensure!(
        found.is_anything(),
        "nothing of the old system is in what was given: give its Deployment, its ConfigMap or a .env file with ENABLED_PLUGINS"
    );
    let (manifest, notes) = convert::policy(&found, &args.name, args.enforce)?;
    match args.output {
        Format::Yaml => {
            let comment = "Converted by `groundskeeper import node-cleanup-webhook`.";
            output::print(&crate::manifests::stream(comment, vec![manifest])?)?;
            output::tell(&text(&notes));
        }
        Format::Json => output::print_json(&report(&manifest, &notes))?,
    }
    Ok(status(!notes.iter().any(needs_attention)))
}

fn status(is_fine: bool) -> ExitCode {
    if is_fine { ExitCode::SUCCESS } else { ExitCode::from(NEEDS_ATTENTION) }
}

fn needs_attention(note: &Note) -> bool {
    matches!(note.bearing, Bearing::NotConverted | Bearing::ActsOtherwise | Bearing::ToDo)
}

fn report(manifest: &Value, notes: &[Note]) -> Value {
    json!({
        "apiVersion": format!("{}/{}", api::GROUP, api::VERSION),
        "kind": "Import",
        "from": "node-cleanup-webhook",
        "notes": notes,
        "policy": manifest,
    })
}

fn text(notes: &[Note]) -> String {
    let line = |Note { bearing, field, message }: &Note| {
        let field = if field.is_empty() { String::new() } else { format!("{field}: ") };
        format!("{}\n", output::printable(&format!("{}: {field}{message}", bearing.words())))
    };
    notes.iter().map(line).collect()
}
