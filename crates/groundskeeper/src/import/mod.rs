//! `groundskeeper import`: policies of other systems as ours. `zen-gc` is here, `node-cleanup-webhook` in a module of its own.
//!
//! Of zen-gc it reads files alone: no cluster is asked and nothing is changed. What is written is either a policy that means what the
//! other collector made of it, or one that says what it newly matches, and then plans only; it is never worse than told.

mod compare;
mod convert;
mod node_webhook;
mod notes;
mod old;
mod report;
pub(crate) mod zen;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use api::garbage_collection::PolicyMode;
use clap::ValueEnum;
use control::{Clock as _, SystemClock};
use jiff::Timestamp;

use crate::moment;
use crate::{names, output};
use compare::compare;
use convert::{Conversion, Scope, convert};
use notes::{Bearing, Notes};
use report::{Account, Report};
use zen::{Input, Unreadable};

/// What stands in the namespace that neither a manifest nor a flag names.
const NAMESPACE_FALLBACK: &str = "default";

/// The exit status if a policy is not what it was.
const NEEDS_ATTENTION: u8 = 2;

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
Policies are GarbageCollectionPolicies, v1alpha1, of gc.kube-zen.io, gc.ops.zen-mesh.io and their forerunners. What they \
become goes to standard output, what is to be said of it to standard error. Nothing is asked of a cluster, and nothing \
is changed.

Exit status: 0 if every policy means what it meant; 2 if something is to be looked at, or could not be converted; 1 \
after any error.";

/// Where policies come from.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Convert policies of zen-gc, and say of each what it newly matches.
    #[command(after_long_help = HELP)]
    ZenGc(Args),
    /// Convert the settings of the webhook for node cleanup of infra.894.io, and rewrite its nodes.
    #[command(after_long_help = node_webhook::HELP)]
    NodeCleanupWebhook(Box<node_webhook::Args>),
}

/// What `import zen-gc` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// A file with policies of zen-gc, as YAML or JSON; a directory, of which all *.yaml, *.yml and *.json files are
    /// read, but no subdirectories; or - for standard input. May be given again. Other objects are passed over. At most
    /// 64 MiB a file, 10,000 files and 200,000 documents.
    #[arg(short, long, value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,

    /// Let policies that mean exactly what they meant delete: `mode: Enforce`. All others keep `mode: Plan`.
    #[arg(long)]
    enforce: bool,

    /// The namespace of policies that name none: 1 to 63 lower-case letters, digits and dashes.
    #[arg(short, long, value_name = "NAMESPACE", default_value = NAMESPACE_FALLBACK, value_parser = names::namespace)]
    namespace: String,

    /// A file with objects, as `kubectl get -A -o yaml` writes them, in the forms that --filename takes: those that go
    /// here and did not under zen-gc, or the other way round, are named. May be given again.
    #[arg(long, value_name = "FILE")]
    objects: Vec<PathBuf>,

    /// The moment at which objects are judged, as RFC 3339, such as 2026-11-21T04:00:00Z. Default: now.
    #[arg(long, value_name = "TIME", value_parser = moment::parse, requires = "objects")]
    at: Option<Timestamp>,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    output: Format,
}

/// How an import is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The policies, for `kubectl apply -f -`; the report goes to standard error, for people.
    Yaml,
    /// The report with the policies in it. For programs: fields are added, never renamed or removed.
    Json,
}

/// Runs the import that was asked for.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::ZenGc(args) => run_zen_gc(&args),
        Command::NodeCleanupWebhook(args) => node_webhook::run(&args).await,
    }
}

fn run_zen_gc(args: &Args) -> anyhow::Result<ExitCode> {
    let from_standard_input =
        args.filename.iter().chain(&args.objects).filter(|path| path.as_os_str() == "-");
    ensure!(from_standard_input.count() <= 1, "standard input (-) can be read only once");
    let input = zen::read(&args.filename)?;
    ensure!(
        !(input.found.is_empty() && input.unreadable.is_empty()),
        "there is no policy of zen-gc in what was given: give a file with `apiVersion: gc.kube-zen.io/v1alpha1` or \
         `gc.ops.zen-mesh.io/v1alpha1` and `kind: GarbageCollectionPolicy`"
    );
    let report = import(input, args)?;
    match args.output {
        Format::Yaml => {
            output::print(&report.manifests()?)?;
            output::tell(&report.text());
        }
        Format::Json => output::print(&report.json()?)?,
    }
    Ok(if report.is_exact() { ExitCode::SUCCESS } else { ExitCode::from(NEEDS_ATTENTION) })
}

fn import(input: Input, args: &Args) -> anyhow::Result<Report> {
    let Input { found, unreadable, others, .. } = input;
    let mut conversions: Vec<_> = found.into_iter().map(|found| convert(found, &args.namespace)).collect();
    note_shared_listings(&mut conversions);
    compare_all(&mut conversions, args)?;
    let names = names(&conversions);
    let mut report = Report { accounts: Vec::new(), others: others.len() };
    for (conversion, name) in conversions.into_iter().zip(names) {
        report.accounts.push(account(conversion, &name, args.enforce)?);
    }
    for Unreadable { origin, name, reason } in unreadable {
        let mut notes = Notes::default();
        notes.add(Bearing::NotConverted, "", reason);
        let was = (String::new(), name);
        report.accounts.push(Account {
            origin,
            was,
            manifest: None,
            mode: PolicyMode::Plan,
            notes: notes.sorted(),
        });
    }
    Ok(report)
}

/// Says what becomes otherwise of the objects that were given.
fn compare_all(conversions: &mut [Conversion], args: &Args) -> anyhow::Result<()> {
    if args.objects.is_empty() {
        return Ok(());
    }
    let objects = zen::read(&args.objects)?.others;
    let now = args.at.unwrap_or_else(|| SystemClock.now());
    for Conversion { policy, line, draft, notes, .. } in conversions {
        if let Some(draft) = draft {
            compare((policy, *line), draft, (&objects, now), notes)?;
        }
    }
    Ok(())
}

fn account(conversion: Conversion, name: &str, enforce: bool) -> anyhow::Result<Account> {
    let Conversion { origin, was, mut notes, draft, .. } = conversion;
    if name != was.1 {
        let message = format!("another policy is called so too, and this one becomes {name}");
        notes.add(Bearing::Told, "metadata.name", message);
    }
    let notes = notes.sorted();
    let mode = if enforce && Conversion::is_exact(&notes) { PolicyMode::Enforce } else { PolicyMode::Plan };
    let manifest = draft.map(|draft| draft.manifest(name, mode)).transpose()?;
    Ok(Account { origin, was, manifest, mode, notes })
}

/// zen-gc gave policies of one kind and namespace one listing, with the label selector of whichever came first.
fn note_shared_listings(conversions: &mut [Conversion]) {
    let mut selectors: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    let written = |selector: &Option<serde_json::Value>| {
        let mut selector = selector.clone().unwrap_or_default();
        selector.sort_all_objects();
        selector.to_string()
    };
    for conversion in &*conversions {
        selectors.entry(conversion.target.clone()).or_default().insert(written(&conversion.label_selector));
    }
    for conversion in conversions {
        if selectors.get(&conversion.target).is_some_and(|selectors| selectors.len() > 1) {
            let message = "other policies here are about the same kind and namespaces with another selector; of such \
                           policies zen-gc saw only what the first one selected";
            conversion.notes.add(Bearing::NewlyMatches, "spec.targetResource.labelSelector", message);
        }
    }
}

/// What each is called: as before, or with its namespace in front if two would be one.
fn names(conversions: &[Conversion]) -> Vec<String> {
    let is_cluster = |conversion: &Conversion| {
        conversion.draft.as_ref().is_some_and(|draft| draft.scope == Scope::Cluster)
    };
    let namesakes = |of: &Conversion| {
        conversions.iter().filter(|other| is_cluster(other) && other.was.1 == of.was.1).count()
    };
    conversions
        .iter()
        .map(|conversion| match &conversion.was {
            (namespace, name) if is_cluster(conversion) && namesakes(conversion) > 1 => {
                format!("{namespace}-{name}")
            }
            (_, name) => name.clone(),
        })
        .collect()
}
