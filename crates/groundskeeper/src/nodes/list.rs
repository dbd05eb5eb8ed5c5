//! `groundskeeper nodes list`: which nodes leave, how far they are, and what stands in their way.

use std::collections::BTreeSet;
use std::process::ExitCode;

use api::NodeCleanup;
use api::node_cleanup::{Blocker, CleanupPhase};
use chassis::objects;
use control::{Clock as _, SystemClock};
use jiff::Timestamp;
use serde::Serialize;
use units::span_text;

use super::OURS;
use super::records::{self, Held};
use crate::cluster::Connection;
use crate::limits::BLOCKER_CHARS_SHOWN;
use crate::output::{self, Form};
use crate::plan::table::{cell, grid, relative};

const HEADER: [&str; 6] = ["NODE", "PHASE", "SINCE", "BLOCKED", "DEADLINE", "PODS"];

/// The phase of a node that is being deleted and held by us, and has no record.
const UNRECORDED: &str = "Unrecorded";

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
Unrecorded is a node that is being deleted and carries our finalizer, of which no record exists: the operator does not run, \
has not seen it yet, or no policy says how it leaves.

Exit status: 0; 1 after any error.";

/// What `nodes list` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Show departures that have ended, too, as long as their records are kept. Default: those under way.
    #[arg(long)]
    all: bool,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,

    #[command(flatten)]
    connection: Connection,
}

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    api_version: &'static str,
    kind: &'static str,
    at: Timestamp,
    departures: Vec<Row>,
    warnings: Vec<String>,
}

/// One departure.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    node: String,
    node_uid: String,
    /// The name of the record; none if there is none.
    record: Option<String>,
    /// The phase of the record, or `Unrecorded`.
    phase: String,
    /// When the node was deleted.
    since: Option<Timestamp>,
    /// When the departure came to its end.
    ended: Option<Timestamp>,
    deadline: Option<Timestamp>,
    /// The steps under way, in a few words.
    current: Option<String>,
    pods_left: i64,
    pods_total: i64,
    volumes_left: i64,
    policy: Option<String>,
    /// Who has paused it.
    paused_by: Option<String>,
    blockers: Vec<Blocker>,
}

impl Row {
    fn of(record: NodeCleanup) -> Self {
        let NodeCleanup { metadata, spec, status } = record;
        let status = status.unwrap_or_default();
        Self {
            node: spec.node_name,
            node_uid: spec.node_uid,
            record: metadata.name,
            phase: format!("{:?}", status.phase),
            since: status.start_time.map(|at| at.0),
            ended: status.completion_time.map(|at| at.0),
            deadline: status.deadline.map(|at| at.0),
            current: status.current,
            pods_left: status.pods_left,
            pods_total: status.pods_total,
            volumes_left: status.volumes_left,
            policy: Some(spec.policy),
            paused_by: spec.overrides.paused.map(|said| said.by),
            blockers: status.blockers,
        }
    }

    fn unrecorded(node: Held) -> Self {
        Self {
            node: node.name,
            node_uid: node.uid,
            record: None,
            phase: UNRECORDED.to_owned(),
            since: node.since,
            ended: None,
            deadline: None,
            current: None,
            pods_left: 0,
            pods_total: 0,
            volumes_left: 0,
            policy: None,
            paused_by: None,
            blockers: Vec::new(),
        }
    }

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let age = |at: Timestamp| span_text(now.duration_since(at).as_secs());
        let deadline = self.deadline.filter(|_| self.ended.is_none());
        let pods = match (self.pods_left, self.pods_total) {
            (0, 0) => "-".to_owned(),
            (left, total) => format!("{left}/{total}"),
        };
        vec![
            cell(&self.node),
            cell(&self.phase),
            self.since.map_or_else(|| "-".to_owned(), age),
            self.blocked(),
            deadline.map_or_else(|| "-".to_owned(), |at| relative(at, now)),
            pods,
        ]
    }

    /// The first thing that stands in the way, and how many more there are.
    fn blocked(&self) -> String {
        let mut text = match (self.blockers.first(), &self.paused_by) {
            (_, Some(by)) => format!("Paused: by {by}"),
            (Some(first), None) => format!("{}: {}", first.reason, first.message),
            (None, None) => return "-".to_owned(),
        };
        if let Some((at, _)) = text.char_indices().nth(BLOCKER_CHARS_SHOWN) {
            text.truncate(at);
            text.push('…');
        }
        let more = self.blockers.len().saturating_sub(usize::from(self.paused_by.is_none()));
        cell(&if more > 0 { format!("{text} (+{more})") } else { text })
    }
}

/// Lists departures.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connection.cluster().await?;
    let now = objects::server_version(&cluster.client).await?.1.unwrap_or_else(|| SystemClock.now());
    let (records, mut warnings) = match cluster.resource(OURS, "NodeCleanup").await? {
        Some(kind) => records::all(&cluster, &kind).await?,
        None => (
            Vec::new(),
            vec!["the cluster does not know NodeCleanup, so that nothing is recorded".to_owned()],
        ),
    };
    let recorded: BTreeSet<_> = records.iter().map(|record| record.spec.node_uid.clone()).collect();
    let mut departures: Vec<_> = records
        .into_iter()
        .filter(|record| args.all || !records::is_over(records::phase(record)))
        .map(Row::of)
        .collect();
    let held = records::finalized(&mut cluster).await?;
    let unrecorded = held.into_iter().filter(|node| node.since.is_some() && !recorded.contains(&node.uid));
    departures.extend(unrecorded.map(Row::unrecorded));
    departures
        .sort_by(|a, b| (a.ended.is_some(), a.since, &a.node).cmp(&(b.ended.is_some(), b.since, &b.node)));
    warnings.sort();
    match args.output {
        Form::Json => {
            let answer = Answer { api_version: OURS, kind: "NodeDepartures", at: now, departures, warnings };
            output::print_json(&answer)?;
        }
        Form::Table => {
            for warning in &warnings {
                output::tell(&format!("warning: {}\n", output::printable(warning)));
            }
            output::print(&render(&departures, now))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn render(departures: &[Row], now: Timestamp) -> String {
    if departures.is_empty() {
        return "No node is leaving.\n".to_owned();
    }
    grid(&HEADER, departures.iter().map(|row| row.cells(now))) + "\n"
}

/// The phase in the words of the API.
pub(super) fn phase_name(phase: CleanupPhase) -> String {
    format!("{phase:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(status: &serde_json::Value, overrides: &serde_json::Value) -> Row {
        let spec = json!({"nodeName": "a", "nodeUid": "u", "policy": "p", "overrides": overrides});
        let record = json!({"metadata": {"name": "u"}, "spec": spec, "status": status});
        Row::of(serde_json::from_value(record).unwrap())
    }

    #[test]
    fn a_line_says_what_stands_in_the_way_and_how_much_more_there_is() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let blocker = |reason: &str| json!({"reason": reason, "message": "x".repeat(500), "objects": []});
        let status = json!({
            "phase": "Draining", "startTime": "2026-11-21T11:30:00Z", "deadline": "2026-11-21T17:30:00Z",
            "podsLeft": 2, "podsTotal": 5, "blockers": [blocker("BudgetExhausted"), blocker("LocalStorage")],
        });
        let cells = row(&status, &json!({})).cells(now);
        assert_eq!(cells[..3], ["a", "Draining", "30m"]);
        assert!(cells[3].starts_with("BudgetExhausted: xxx") && cells[3].ends_with("… (+1)"), "{}", cells[3]);
        assert_eq!(cells[4..], ["in 5h30m", "2/5"]);
        let paused = json!({"paused": {"by": "ann", "at": "2026-11-21T11:59:00Z"}});
        assert_eq!(row(&status, &paused).blocked(), "Paused: by ann (+2)");
        assert_eq!(row(&json!({"phase": "Waiting"}), &json!({})).cells(now)[2..], ["-", "-", "-", "-"]);
    }
}
