//! `groundskeeper diff`: what changed policies would do otherwise: newly matched, no longer matched, another time.
//!
//! An object is matched if it goes, now or later, by one of the policies; that their budgets, windows or modes hold it back
//! makes no difference. Changes nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use control::{Clock as _, SystemClock};
use gc::{Item, ObjectName};
use jiff::Timestamp;
use serde::Serialize;

use crate::limits::ROWS_DEFAULT;
use crate::moment;
use crate::output::{self, Form};
use crate::plan::input;
use crate::plan::table::{cell, grid, place, relative, whole_seconds};
use crate::scene::{self, Detail, Question, Scene, Warning};

/// The exit status of `--exit-code` if more goes, or something goes sooner.
const TAKES_MORE: u8 = 2;

/// The exit status of `--exit-code` if something else differs.
const DIFFERS: u8 = 3;

const HEADER: [&str; 6] = ["CHANGE", "KIND", "NAMESPACE/NAME", "OLD", "NEW", "POLICY"];

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
An object is matched if it goes by one of the policies, now or later; whether their budgets, windows, approvals or modes \
hold it back makes no difference. Policies are compared as two sets, whatever they are called. Only the policies in OLD \
and NEW count, not those of the cluster.

Exit status: 0; 1 after any error; with --exit-code 2 if objects are newly matched or go sooner, 3 if objects are no \
longer matched or go later, and nothing goes sooner.";

/// What `diff` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The policies as they were: a file, a directory of them, or - for standard input, as in `plan`.
    #[arg(value_name = "OLD")]
    old: PathBuf,

    /// The policies as they are to be.
    #[arg(value_name = "NEW")]
    new: PathBuf,

    /// A file with objects, or a directory of them. May be given again. Default: the cluster's.
    #[arg(short, long, value_name = "FILE")]
    filename: Vec<PathBuf>,

    /// The moment that is asked about, as RFC 3339, such as 2026-11-21T04:00:00Z. Default: now.
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    at: Option<Timestamp>,

    /// How many objects are written out at most; all are counted.
    #[arg(long, value_name = "COUNT", default_value_t = ROWS_DEFAULT)]
    limit: usize,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,

    /// Exit with status 2 or 3 if something differs. Default: 0 either way.
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    scene: scene::Whereabouts,
}

/// How an object fares otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
enum Change {
    NewlyMatched,
    Sooner,
    Later,
    NoLongerMatched,
}

impl Change {
    const fn name(self) -> &'static str {
        match self {
            Self::NewlyMatched => "NewlyMatched",
            Self::Sooner => "Sooner",
            Self::Later => "Later",
            Self::NoLongerMatched => "NoLongerMatched",
        }
    }

    const fn takes_more(self) -> bool {
        matches!(self, Self::NewlyMatched | Self::Sooner)
    }
}

/// By which policy an object goes first, and when.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Fate {
    policy: String,
    expires_at: Timestamp,
}

/// An object that fares otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Difference {
    change: Change,
    object: ObjectName,
    old: Option<Fate>,
    new: Option<Fate>,
}

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    at: Timestamp,
    summary: Summary,
    /// Objects that fare otherwise, what takes more first.
    items: &'a [Difference],
    /// Items that are not written out.
    items_left_out: usize,
    warnings: &'a [Warning],
}

/// How many objects fare otherwise, and how many do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    newly_matched: usize,
    sooner: usize,
    later: usize,
    no_longer_matched: usize,
    /// Objects that go as before.
    unchanged: usize,
}

/// Compares.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let [old, new] = scenes(&args).await?;
    let (items, summary) = compare(&fates(&old), &fates(&new));
    let shown = items.get(..args.limit).unwrap_or(&items);
    let answer = Answer {
        api_version: "groundskeeper.dev/v1alpha1",
        kind: "PolicyDiff",
        at: old.at,
        summary,
        items: shown,
        items_left_out: items.len() - shown.len(),
        warnings: &new.warnings,
    };
    output::warn(&new.warnings);
    match args.output {
        Form::Table => output::print(&render(&answer))?,
        Form::Json => output::print_json(&answer)?,
    }
    Ok(match items.first() {
        Some(first) if args.exit_code && first.change.takes_more() => ExitCode::from(TAKES_MORE),
        Some(_) if args.exit_code => ExitCode::from(DIFFERS),
        _ => ExitCode::SUCCESS,
    })
}

/// Both sets of policies, with the same objects.
async fn scenes(args: &Args) -> anyhow::Result<[Scene; 2]> {
    let now = SystemClock.now();
    let at = args.at.unwrap_or(now);
    let old = scene::read_policies(std::slice::from_ref(&args.old))?.policies;
    let new = scene::read_policies(std::slice::from_ref(&args.new))?.policies;
    let objects = if args.filename.is_empty() { None } else { input::read(&args.filename)?.objects };
    let rails = args.scene.rails();
    if !args.filename.is_empty() {
        let namespace = args.scene.offline_namespace();
        let casts = [scene::compile(old, namespace, &rails)?, scene::compile(new, namespace, &rails)?];
        return scene::from_files(casts, &objects.unwrap_or_default(), namespace, at);
    }
    let mut cluster = args.scene.connection.cluster().await?;
    let namespace = args.scene.namespace_in(&cluster);
    let scene = |policies| Scene::new(policies, Vec::new(), at);
    let mut scenes =
        [scene(scene::compile(old, &namespace, &rails)?), scene(scene::compile(new, &namespace, &rails)?)];
    let question = Question { at, now, detail: Detail::Selected, alone: true, focus: None };
    scene::fill(&mut cluster, &mut scenes, &[], &question).await?;
    Ok(scenes)
}

/// What goes, and by which policy first. The version of a kind is only a form of the same object.
fn fates(scene: &Scene) -> BTreeMap<(String, ObjectKey), (ObjectName, Fate)> {
    let mut fates: BTreeMap<_, (ObjectName, Fate)> = BTreeMap::new();
    for Item { policy, object, expires_at, .. } in scene.plan().items {
        let Some(expires_at) = expires_at else { continue };
        let group = object.api_version.split_once('/').map_or("", |(group, _)| group);
        let key = (format!("{}.{group}", object.kind), (object.namespace.clone(), object.name.to_string()));
        let fate = Fate { policy, expires_at };
        let known = fates.entry(key).or_insert_with(|| (object, fate.clone()));
        if fate.expires_at < known.1.expires_at {
            known.1 = fate;
        }
    }
    fates
}

type ObjectKey = (String, String);

fn compare(
    old: &BTreeMap<(String, ObjectKey), (ObjectName, Fate)>,
    new: &BTreeMap<(String, ObjectKey), (ObjectName, Fate)>,
) -> (Vec<Difference>, Summary) {
    let mut items = Vec::new();
    let mut summary = Summary::default();
    let mut put = |change, object: &ObjectName, old: Option<&Fate>, new: Option<&Fate>| {
        items.push(Difference { change, object: object.clone(), old: old.cloned(), new: new.cloned() });
    };
    for (key, (object, before)) in old {
        match new.get(key) {
            None => put(Change::NoLongerMatched, object, Some(before), None),
            Some((_, after)) if after.expires_at < before.expires_at => {
                put(Change::Sooner, object, Some(before), Some(after));
            }
            Some((_, after)) if after.expires_at > before.expires_at => {
                put(Change::Later, object, Some(before), Some(after));
            }
            Some(_) => summary.unchanged += 1,
        }
    }
    for (object, after) in new.iter().filter(|(key, _)| !old.contains_key(*key)).map(|(_, fate)| fate) {
        put(Change::NewlyMatched, object, None, Some(after));
    }
    items.sort_by(|one, other| {
        let when = |item: &Difference| item.new.as_ref().or(item.old.as_ref()).map(|fate| fate.expires_at);
        (one.change, when(one), &one.object).cmp(&(other.change, when(other), &other.object))
    });
    for item in &items {
        match item.change {
            Change::NewlyMatched => summary.newly_matched += 1,
            Change::Sooner => summary.sooner += 1,
            Change::Later => summary.later += 1,
            Change::NoLongerMatched => summary.no_longer_matched += 1,
        }
    }
    (items, summary)
}

fn render(answer: &Answer<'_>) -> String {
    let when = |fate: Option<&Fate>| {
        fate.map_or_else(|| "-".to_owned(), |fate| relative(fate.expires_at, answer.at))
    };
    let row = |item: &Difference| {
        let fate = item.new.as_ref().or(item.old.as_ref());
        vec![
            item.change.name().to_owned(),
            cell(&item.object.kind),
            place(&item.object),
            when(item.old.as_ref()),
            when(item.new.as_ref()),
            cell(fate.map_or("", |fate| &fate.policy)),
        ]
    };
    let mut text = String::new();
    // Writing to a string does not fail.
    if !answer.items.is_empty() {
        let _ = writeln!(text, "{}\n", grid(&HEADER, answer.items.iter().map(row)));
    }
    if answer.items_left_out > 0 {
        let _ = writeln!(text, "Not shown: {} more (--limit shows them).", answer.items_left_out);
    }
    let Summary { newly_matched, sooner, later, no_longer_matched, unchanged } = answer.summary;
    let at = whole_seconds(answer.at);
    let _ = writeln!(
        text,
        "{newly_matched} newly matched, {sooner} sooner, {later} later, {no_longer_matched} no longer matched, {unchanged} as before (at {at})"
    );
    text
}
