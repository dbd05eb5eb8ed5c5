//! `groundskeeper audit verify`: whether the ledger is what was written.
//!
//! Needs nothing but the files. With the anchors, from a file or from the cluster, it also shows what a chain by itself
//! cannot: that its end was cut off, or that all of it was made anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use api::DEFAULT_NAMESPACE;
use chassis::ledger::{self, Anchors, DIRECTORY_DEFAULT, InstanceAudit};
use comfy_table::{Table, presets};
use serde::{Deserialize, Serialize};

use crate::cluster::Connection;
use crate::limits::ANCHORS_BYTES_MAX;
use crate::names;
use crate::output::{self, Form};

/// What can be checked.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum Command {
    /// Check that no record of the ledger was altered, removed, put in or moved; name the first one that was.
    #[command(after_long_help = HELP)]
    Verify(Args),
}

const HELP: &str = "\
Without anchors, a chain that was cut off at its end or made anew as a whole looks intact. To take them along:

  kubectl get configmap groundskeeper-ledger -n groundskeeper-system -o json > anchors.json

Exit status: 0 if every chain is intact; 1 if one is not, and after any error.";

/// What `audit verify` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The directory of all instances, or that of one.
    #[arg(value_name = "DIR", env = "GROUNDSKEEPER_LEDGER_DIRECTORY", default_value = DIRECTORY_DEFAULT)]
    directory: PathBuf,

    /// A file with the `ConfigMap` that holds the anchors, as JSON or YAML, or - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from_cluster", "kubeconfig", "context"])]
    anchors: Option<PathBuf>,

    /// Read the anchors from the cluster; --kubeconfig or --context imply it.
    #[arg(long)]
    from_cluster: bool,

    #[command(flatten)]
    connection: Connection,

    /// The namespace that the operator runs in, where the anchors lie.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE, value_parser = names::namespace)]
    own_namespace: String,

    /// How the result is written.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,
}

/// What was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    api_version: &'static str,
    kind: &'static str,
    intact: bool,
    /// Whether there were anchors to compare with.
    anchored: bool,
    instances: Vec<InstanceAudit>,
    /// Instances that have an anchor, and nothing here.
    elsewhere: Vec<String>,
}

/// Checks what was asked for.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Verify(args) = command;
    let anchors = anchors(&args).await?;
    let directory = args.directory.clone();
    let instances = {
        let anchors = anchors.clone().unwrap_or_default();
        let checked = tokio::task::spawn_blocking(move || ledger::audit(&directory, &anchors));
        checked.await?.with_context(|| format!("cannot read the ledger in {}", args.directory.display()))?
    };
    ensure!(
        !instances.is_empty(),
        "there is no ledger in {}: name the directory that --ledger-dir names",
        args.directory.display()
    );
    let here: BTreeSet<_> = instances.iter().map(|audit| &*audit.instance).collect();
    let anchored = anchors.as_ref().into_iter().flat_map(Anchors::instances);
    let report = Report {
        api_version: "groundskeeper.dev/v1alpha1",
        kind: "LedgerAudit",
        intact: instances.iter().all(|audit| audit.fault.is_none()),
        anchored: anchors.is_some(),
        elsewhere: anchored.filter(|instance| !here.contains(instance)).map(str::to_owned).collect(),
        instances,
    };
    match args.output {
        Form::Table => output::print(&render(&report))?,
        Form::Json => output::print(&format!("{}\n", serde_json::to_string_pretty(&report)?))?,
    }
    Ok(if report.intact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn anchors(args: &Args) -> anyhow::Result<Option<Anchors>> {
    if let Some(path) = &args.anchors {
        return read_anchors(path).with_context(|| format!("cannot use {}", path.display())).map(Some);
    }
    if !args.from_cluster && !args.connection.is_given() {
        return Ok(None);
    }
    let client = args.connection.client().await?;
    Ok(Some(Anchors::read(&client, &args.own_namespace).await?))
}

/// The `ConfigMap`, of which the rest does not matter.
#[derive(Deserialize)]
struct Given {
    data: BTreeMap<String, String>,
}

fn read_anchors(path: &Path) -> anyhow::Result<Anchors> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(ANCHORS_BYTES_MAX + 1).read_to_string(&mut text)?;
    } else {
        File::open(path)?.take(ANCHORS_BYTES_MAX + 1).read_to_string(&mut text)?;
    }
    ensure!(text.len() as u64 <= ANCHORS_BYTES_MAX, "it is larger than any ConfigMap");
    let given: Given = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text)?
    } else {
        serde_saphyr::from_str(&text)?
    };
    Ok(Anchors::parse(given.data.iter().map(|(instance, anchor)| (&**instance, &**anchor)))?)
}

fn render(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["INSTANCE", "SEGMENTS", "RECORDS", "ANCHORS", "RESULT"]);
    for audit in &report.instances {
        let records = match audit.oldest {
            Some(oldest) => format!("{oldest}-{}", audit.head.sequence),
            None => "-".to_owned(),
        };
        let anchors = match (report.anchored, audit.anchors_met + audit.anchors_retired) {
            (false, _) => "-".to_owned(),
            (true, count) => count.to_string(),
        };
        let result = if audit.fault.is_some() { "BROKEN" } else { "intact" };
        let instance = output::printable(&audit.instance).into_owned();
        table.add_row([instance, audit.segments.to_string(), records, anchors, result.to_owned()]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    let mut text = table.trim_fmt() + "\n";
    notes(report).iter().for_each(|note| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "\n{}", output::printable(note));
    });
    text
}

/// What is to be said besides the table, a line each.
fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    for InstanceAudit { instance, fault, torn_bytes, anchors_met, anchors_retired, .. } in &report.instances {
        if let Some(fault) = fault {
            notes.push(format!("{instance}: {fault}"));
        }
        if let Some(bytes) = torn_bytes {
            notes.push(format!(
                "{instance}: {bytes} bytes without an end behind the last record: a write that is under way, or that a crash has cut off."
            ));
        }
        if report.anchored && fault.is_none() && anchors_met + anchors_retired == 0 {
            notes.push(format!("{instance}: it has no anchor, so a cut at its end would not show."));
        }
    }
    if !report.elsewhere.is_empty() {
        notes.push(format!("Anchored, but not here: {}.", report.elsewhere.join(", ")));
    }
    if !report.anchored {
        notes.push(
            "No anchors were given, so a cut at the end would not show (--anchors, --from-cluster)."
                .to_owned(),
        );
    }
    notes
}
