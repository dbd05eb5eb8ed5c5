//! `groundskeeper why`: what was done to an object, when, by which rule, on what evidence, by whom, and how it went; or why
//! not. It tells the past; what is to come, `explain` tells.
//!
//! The past comes from the ledger, the present from the same engine as `plan`. Changes nothing.

mod account;
mod departures;
mod live;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use api::DEFAULT_NAMESPACE;
use chassis::ledger::{self, DIRECTORY_DEFAULT, Past, Subject};
use serde::Serialize;

use crate::cluster::Connection;
use crate::kind_name::KindName;
use crate::names;
use crate::output::{self, Form};
use account::Incarnation;
use departures::Departure;
use live::Live;

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
The ledger lies where the operator runs: kubectl exec -n groundskeeper-system deploy/groundskeeper -- groundskeeper why \
configmap/NAME -n NAMESPACE. Each pod has its own; ask the one that did it, or copy the directories together.";

/// What `why` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The object: its kind, plural or plural.group, in any case, and its name, such as configmap/report.
    #[arg(value_name = "KIND/NAME")]
    object: KindName,

    /// The object's namespace: 1 to 63 lower-case letters, digits and dashes.
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default", value_parser = names::namespace)]
    namespace: String,

    /// The directory of the ledger, of all instances or of one.
    #[arg(long, value_name = "DIR", env = "GROUNDSKEEPER_LEDGER_DIRECTORY", default_value = DIRECTORY_DEFAULT)]
    ledger: PathBuf,

    /// Ask no cluster what policies make of the object now.
    #[arg(long)]
    offline: bool,

    #[command(flatten)]
    connection: Connection,

    /// The namespace that the operator runs in; nothing in it is ever deleted.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE, value_parser = names::namespace)]
    own_namespace: String,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    api_version: &'static str,
    kind: &'static str,
    object: Asked,
    /// Each object of that name that the ledger knows, oldest first.
    incarnations: Vec<Incarnation>,
    /// Records that are older, and too many to show.
    records_left_out: u64,
    /// Why the ledger was not asked, if it was not.
    ledger_unread: Option<String>,
    /// What policies make of it now.
    now: Option<Live>,
    /// How the nodes of that name left, if a node is asked for; oldest first.
    departures: Vec<Departure>,
    /// Why the cluster was not asked, if it was not.
    cluster_unread: Option<String>,
}

/// What was asked for.
#[derive(Debug, Serialize)]
struct Asked {
    kind: String,
    namespace: String,
    name: String,
}

/// Answers.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (past, ledger_unread) = past(&args).await?;
    let (now, cluster_unread) = if args.offline {
        (None, Some("--offline".to_owned()))
    } else {
        match live::judge(&args).await {
            Ok(judged) => (Some(judged), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        }
    };
    let (now, departures) = now.map_or((None, Vec::new()), |(live, departures)| (Some(live), departures));
    ensure!(
        ledger_unread.is_none() || now.is_some(),
        "neither the ledger ({}) nor the cluster ({}) can be asked",
        ledger_unread.unwrap_or_default(),
        cluster_unread.unwrap_or_default()
    );
    let answer = Answer {
        api_version: "groundskeeper.dev/v1alpha1",
        kind: "Why",
        object: Asked {
            kind: args.object.kind.clone(),
            namespace: args.namespace.clone(),
            name: args.object.name.clone(),
        },
        incarnations: account::incarnations(&past),
        records_left_out: past.left_out,
        ledger_unread,
        now,
        departures,
        cluster_unread,
    };
    match args.output {
        Form::Table => output::print(&text::render(&answer))?,
        Form::Json => output::print(&format!("{}\n", serde_json::to_string_pretty(&answer)?))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What the ledger holds, or why there is none.
async fn past(args: &Args) -> anyhow::Result<(Past, Option<String>)> {
    if !args.ledger.exists() {
        let unread = format!("there is none in {}", args.ledger.display());
        return Ok((Past::default(), Some(unread)));
    }
    let Args { object, namespace, ledger, .. } = args.clone();
    let is_meant = move |subject: &Subject, object: &KindName| {
        let group = subject.api_version.split_once('/').map_or("", |(group, _)| group);
        let lies_there = subject.namespace == namespace || subject.namespace.is_empty();
        lies_there && subject.name == object.name && object.means(&subject.kind, group)
    };
    let read = tokio::task::spawn_blocking(move || {
        ledger::past(&ledger, &object.name, |subject| is_meant(subject, &object))
    });
    let past = read.await?.with_context(|| format!("cannot read the ledger in {}", args.ledger.display()))?;
    Ok((past, None))
}
