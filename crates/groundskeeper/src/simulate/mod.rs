//! `groundskeeper simulate`: what would go when, from one moment to another.
//!
//! Steps the engine through time over the objects that are there now. Changes nothing.

mod course;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use api::garbage_collection::PolicyMode;
use control::{Clock as _, SystemClock};
use jiff::Timestamp;
use serde::Serialize;

use crate::limits::{ROWS_DEFAULT, SIMULATED_ACTS_MAX};
use crate::moment::{self, Moment};
use crate::output::{self, Form};
use crate::plan::input::GivenPolicy;
use crate::plan::table::{cell, grid, place, whole_seconds};
use crate::scene::{self, Detail, Question, Warning};
use course::{Account, Course, Event, follow};

/// The exit status of `--exit-code` if something would go.
const WOULD_DELETE: u8 = 2;

const HEADER: [&str; 7] = ["TIME", "ACT", "POLICY", "KIND", "NAMESPACE/NAME", "DUE", "WAITED FOR"];

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
Every given policy is followed as if it said `mode: Enforce`, unless it is paused. Rates, budgets, windows, notices, \
`keep` and the other policies of the cluster are honoured. What is not known is left out: objects that are yet to be made \
or changed, what the API server refuses, and what else goes with what is deleted. A condition that asks for the time is \
asked about every minute, or 2,000 times in all, whichever is seldomer. At most 1,000,000 acts are followed.

Exit status: 0; 1 after any error; with --exit-code 2 if something would go.";

/// What `simulate` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// A file with policies or objects, a directory of them, or - for standard input, as in `plan`. May be given again.
    /// Without objects, a cluster is asked for them.
    #[arg(short, long, value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,

    /// The moment to begin at, as RFC 3339, such as 2026-11-21T04:00:00Z. Default: now.
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    from: Option<Timestamp>,

    /// The moment to end at, as RFC 3339, or the time from the beginning to it, such as 7d or 1h30m.
    #[arg(long, value_name = "TIME", value_parser = moment::parse_or_span)]
    to: Moment,

    /// How many acts are written out at most; all are counted.
    #[arg(long, value_name = "COUNT", default_value_t = ROWS_DEFAULT)]
    limit: usize,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,

    /// Ask a cluster for objects alone, and leave its own policies out. Default: they take part.
    #[arg(long)]
    alone: bool,

    /// Exit with status 2 if something would go. Default: 0 either way.
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    scene: scene::Whereabouts,
}

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    from: Timestamp,
    to: Timestamp,
    summary: Summary,
    /// What each policy did.
    policies: &'a [Account],
    /// What would be done, in the order of time.
    events: &'a [Event],
    /// Events that are not written out.
    events_left_out: usize,
    /// The moment up to which it was followed, if that is not the end: there was too much to do.
    stopped_at: Option<Timestamp>,
    warnings: &'a [Warning],
}

/// How much would be done.
#[derive(Clone, Copy, Serialize)]
struct Summary {
    deletions: usize,
    notices: usize,
    /// Objects that are due at the end and have not gone.
    waiting: usize,
}

/// Simulates.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let now = SystemClock.now();
    let from = args.from.unwrap_or(now);
    let to = args.to.from(from);
    ensure!(to > from, "--to is {to}, which is not after {from}: write a later time, or a span such as 7d");
    let mut input = scene::read_policies(&args.filename)?;
    let mut warnings = as_if_enforced(&mut input.policies);
    let question = Question { at: from, now, detail: Detail::Selected, alone: args.alone, focus: None };
    let mut scene = scene::set(&args.scene, (input.policies, input.objects), question).await?;
    let Course { events, accounts, stopped_at } = follow(&mut scene, to, SIMULATED_ACTS_MAX);
    warnings.append(&mut scene.warnings);
    let shown = events.get(..args.limit).unwrap_or(&events);
    let answer = Answer {
        api_version: "groundskeeper.dev/v1alpha1",
        kind: "Simulation",
        from,
        to,
        summary: Summary {
            deletions: accounts.iter().map(|account| account.deletions).sum(),
            notices: accounts.iter().map(|account| account.notices).sum(),
            waiting: accounts.iter().map(|account| account.waiting).sum(),
        },
        policies: &accounts,
        events: shown,
        events_left_out: events.len() - shown.len(),
        stopped_at,
        warnings: &warnings,
    };
    output::warn(&warnings);
    match args.output {
        Form::Table => output::print(&render(&answer))?,
        Form::Json => output::print_json(&answer)?,
    }
    let would_delete = args.exit_code && answer.summary.deletions > 0;
    Ok(if would_delete { ExitCode::from(WOULD_DELETE) } else { ExitCode::SUCCESS })
}

/// Lets policies act that only report, and says of which that is so; and of which nothing goes, for they are paused.
fn as_if_enforced(policies: &mut [GivenPolicy]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for GivenPolicy { policy, .. } in policies {
        let key = policy.key().to_string();
        let spec = &mut policy.spec;
        if spec.paused {
            let message = "the policy is paused, so nothing goes by it".to_owned();
            warnings.push(Warning { policy: Some(key), field: Some("spec.paused".to_owned()), message });
        }
        spec.mode = PolicyMode::Enforce;
        spec.behavior.dry_run = false;
    }
    warnings
}

fn render(answer: &Answer<'_>) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    if !answer.events.is_empty() {
        let _ = writeln!(text, "{}\n", grid(&HEADER, answer.events.iter().map(row)));
    }
    if answer.events_left_out > 0 {
        let _ = writeln!(text, "Not shown: {} later acts (--limit shows more).", answer.events_left_out);
    }
    for Account { policy, waiting, held_by, .. } in answer.policies {
        if let Some(held) = held_by.filter(|_| *waiting > 0) {
            let _ =
                writeln!(text, "Policy {}: {waiting} due at the end wait ({}).", cell(policy), held.name());
        }
    }
    if let Some(at) = answer.stopped_at {
        let _ = writeln!(
            text,
            "There is too much to do: what comes after {at} was not followed. Give fewer policies, or an earlier --to."
        );
    }
    let Summary { deletions, notices, waiting } = answer.summary;
    let (from, to) = (whole_seconds(answer.from), whole_seconds(answer.to));
    let _ =
        writeln!(text, "{deletions} to delete, {notices} to notify, {waiting} waiting (from {from} to {to})");
    text
}

fn row(event: &Event) -> Vec<String> {
    vec![
        event.at.to_string(),
        event.act.to_owned(),
        cell(&event.policy),
        cell(&event.object.kind),
        place(&event.object),
        event.since.to_string(),
        event.held_by.map_or_else(|| "-".to_owned(), |held| held.name().to_owned()),
    ]
}
