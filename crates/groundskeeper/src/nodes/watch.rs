//! `groundskeeper nodes watch`: a line for whatever changes of departures, until one has ended.
//!
//! Looks again and again, so that it goes on where it was after the API server has been away. What changed is told from two
//! records alone.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use api::NodeCleanup;
use api::node_cleanup::{Blocker, CleanupPhase, NodeCleanupStatus, StepStatus};
use chassis::{ApiError, Class, Classify as _};
use control::{Clock as _, SystemClock};
use jiff::Timestamp;
use serde::Serialize;
use units::Span;

use super::list::phase_name;
use super::records;
use crate::cluster::{Cluster, Connection};
use crate::limits::RECORDS_LOOK_PAUSE;
use crate::output::{self, Form};
use crate::plan::table::whole_seconds;

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
With a NODE it waits for its departure to begin, and ends with it. Without one it tells of all departures, and ends at the \
timeout or when it is interrupted.

Exit status: 0 if the departure was completed; 2 if the node was released although not all was done; 3 if the node was \
gone before all was done; 4 if the timeout passed; 1 after any error. Without a NODE: 0, also at the timeout.";

/// The node went although not all was done, because somebody said so.
const RELEASED: u8 = 2;
/// The node was gone before all was done.
const LOST: u8 = 3;
/// The departure has not ended in time.
const LATE: u8 = 4;

/// What `nodes watch` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The name of the node. Default: all departures.
    #[arg(value_name = "NODE")]
    node: Option<String>,

    /// How long to watch, such as 30m. Default: as long as it takes.
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    timeout: Option<Span>,

    /// How the lines are written: for people, or each as one JSON object.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,

    #[command(flatten)]
    connection: Connection,
}

/// What changed of a departure.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "event")]
enum Change {
    /// How far it is.
    #[serde(rename_all = "camelCase")]
    Phase { phase: CleanupPhase, pods_left: i64, pods_total: i64, volumes_left: i64 },
    /// A step.
    #[serde(rename_all = "camelCase")]
    Step { step: String, state: String, attempts: u32, percent: Option<u8>, message: Option<String> },
    /// Something stands in the way now.
    Blocked { reason: String, message: String },
    /// Something does not stand in the way any more.
    Lifted { reason: String },
    /// Somebody has decided something.
    Decided { what: String },
}

/// A change, with whose it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    at: Timestamp,
    node: &'a str,
    record: &'a str,
    #[serde(flatten)]
    change: &'a Change,
}

/// Watches, as it was told.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connection.cluster().await?;
    follow(&mut cluster, args.node.as_deref(), args.timeout, args.output).await
}

/// Watches until the departure of the node has ended, or for so long.
pub(super) async fn follow(
    cluster: &mut Cluster,
    node: Option<&str>,
    timeout: Option<Span>,
    form: Form,
) -> anyhow::Result<ExitCode> {
    let mut watch = Watch { node, form, seen: BTreeMap::new(), has_told: false };
    let limit = timeout.map_or(Duration::MAX, Duration::from);
    match tokio::time::timeout(limit, watch.until_the_end(cluster)).await {
        Ok(ended) => ended,
        Err(_) if node.is_none() => Ok(ExitCode::SUCCESS),
        Err(_) => {
            output::tell("the departure has not ended in time; it goes on\n");
            Ok(ExitCode::from(LATE))
        }
    }
}

struct Watch<'a> {
    node: Option<&'a str>,
    form: Form,
    /// The records as they were last seen, by name.
    seen: BTreeMap<String, NodeCleanup>,
    /// Whether it was said that nothing has begun yet.
    has_told: bool,
}

impl Watch<'_> {
    async fn until_the_end(&mut self, cluster: &mut Cluster) -> anyhow::Result<ExitCode> {
        loop {
            match self.look(cluster).await {
                Ok(Some(end)) => return Ok(end),
                Ok(None) => {}
                Err(error) if is_passing(&error) => {
                    output::tell(&format!("{}; looking again\n", output::printable(&format!("{error:#}"))));
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(RECORDS_LOOK_PAUSE).await;
        }
    }

    async fn look(&mut self, cluster: &mut Cluster) -> anyhow::Result<Option<ExitCode>> {
        let resource = records::kind(cluster, "NodeCleanup").await?;
        let Some(name) = self.node else {
            let (records, _) = records::all(cluster, &resource).await?;
            let there: Vec<_> = records.iter().filter_map(|record| record.metadata.name.clone()).collect();
            self.seen.retain(|name, _| there.contains(name));
            records.into_iter().try_for_each(|record| self.tell(record))?;
            return Ok(None);
        };
        // Once it is known which record it is, no other one is looked at.
        let followed = self.seen.keys().next().cloned();
        if let Some(followed) = followed {
            let Some(record) = records::read(cluster, &resource, &followed).await? else {
                bail!(
                    "the record of the departure of node {name} is gone, so that nobody can tell how it ended"
                );
            };
            return self.tell_to_the_end(record);
        }
        let node = records::node(cluster, name).await?;
        let (records, _) = records::all(cluster, &resource).await?;
        match records::of_node(&records, name, node.as_ref()) {
            Some(record) => self.tell_to_the_end(record.clone()),
            None if node.is_none() => bail!("there is no node {name}, nor a record of its departure"),
            None => {
                if !std::mem::replace(&mut self.has_told, true) {
                    let leaves = node.is_some_and(|node| node.since.is_some());
                    let how =
                        if leaves { "is being deleted, and has no record yet" } else { "is not leaving yet" };
                    output::tell(&format!("node {} {how}; waiting\n", output::printable(name)));
                }
                Ok(None)
            }
        }
    }

    fn tell_to_the_end(&mut self, record: NodeCleanup) -> anyhow::Result<Option<ExitCode>> {
        let phase = records::phase(&record);
        self.tell(record)?;
        Ok(match phase {
            CleanupPhase::Completed => Some(ExitCode::SUCCESS),
            CleanupPhase::Released => Some(ExitCode::from(RELEASED)),
            CleanupPhase::Lost => Some(ExitCode::from(LOST)),
            _ => None,
        })
    }

    fn tell(&mut self, record: NodeCleanup) -> anyhow::Result<()> {
        let name = record.metadata.name.clone().unwrap_or_default();
        let before = self.seen.get(&name);
        // Of all departures, those that had ended before anybody looked are no news.
        let is_news = self.node.is_some() || before.is_some() || !records::is_over(records::phase(&record));
        if is_news {
            let at = whole_seconds(SystemClock.now());
            for change in changes(before, &record) {
                let line = Line { at, node: &record.spec.node_name, record: &name, change: &change };
                output::print(&line.written(self.form)?)?;
            }
        }
        self.seen.insert(name, record);
        Ok(())
    }
}

/// Whether another look may end better.
fn is_passing(error: &anyhow::Error) -> bool {
    let api = error.chain().find_map(|cause| cause.downcast_ref::<ApiError>());
    api.is_some_and(|error| error.class() == Class::Transient)
}

/// What is new in a record.
fn changes(before: Option<&NodeCleanup>, after: &NodeCleanup) -> Vec<Change> {
    let status = |record: &NodeCleanup| record.status.clone().unwrap_or_default();
    let (was, is) = (before.map(status), status(after));
    let mut changes = Vec::new();
    let far =
        |status: &NodeCleanupStatus| (status.phase, status.pods_left, status.pods_total, status.volumes_left);
    if was.as_ref().map(far) != Some(far(&is)) {
        let (phase, pods_left, pods_total, volumes_left) = far(&is);
        changes.push(Change::Phase { phase, pods_left, pods_total, volumes_left });
    }
    let was = was.unwrap_or_default();
    for step in &is.steps {
        let seen = was.steps.iter().find(|seen| seen.name == step.name);
        let is_untouched =
            seen.is_none() && *step == StepStatus { name: step.name.clone(), ..StepStatus::default() };
        if !is_untouched && seen.map(shown) != Some(shown(step)) {
            changes.push(Change::Step {
                step: step.name.clone(),
                state: format!("{:?}", step.state),
                attempts: step.attempts,
                percent: step.percent,
                message: step.overridden_by.clone().or_else(|| step.message.clone()),
            });
        }
    }
    let has = |blockers: &[Blocker], one: &Blocker| {
        blockers.iter().any(|other| (&other.reason, &other.message) == (&one.reason, &one.message))
    };
    for blocker in is.blockers.iter().filter(|one| !has(&was.blockers, one)) {
        changes.push(Change::Blocked { reason: blocker.reason.clone(), message: blocker.message.clone() });
    }
    let still = |one: &&Blocker| is.blockers.iter().any(|other| other.reason == one.reason);
    for blocker in was.blockers.iter().filter(|one| !still(one)) {
        changes.push(Change::Lifted { reason: blocker.reason.clone() });
    }
    let decided = |record: &NodeCleanup| super::decide::told(&record.spec.overrides);
    let known = before.map(decided).unwrap_or_default();
    let news = decided(after).into_iter().filter(|what| !known.contains(what));
    changes.extend(news.map(|what| Change::Decided { what }));
    if before.is_some_and(|before| before.spec.overrides.paused.is_some())
        && after.spec.overrides.paused.is_none()
    {
        changes.push(Change::Decided { what: "resumed".to_owned() });
    }
    changes
}

fn shown(step: &StepStatus) -> (api::node_cleanup::StepState, u32, Option<u8>, Option<&str>, Option<&str>) {
    (step.state, step.attempts, step.percent, step.message.as_deref(), step.overridden_by.as_deref())
}

impl Line<'_> {
    fn written(&self, form: Form) -> anyhow::Result<String> {
        if form == Form::Json {
            return Ok(serde_json::to_string(self)? + "\n");
        }
        let what = match self.change {
            Change::Phase { phase, pods_left, pods_total, volumes_left } => {
                let mut text = phase_name(*phase);
                if *pods_total > 0 {
                    text += &format!(", {pods_left} of {pods_total} pods left");
                }
                if *volumes_left > 0 {
                    text += &format!(", {volumes_left} volumes attached");
                }
                text
            }
            Change::Step { step, state, attempts, percent, message } => {
                let attempts = if *attempts > 1 { format!(", attempt {attempts}") } else { String::new() };
                let percent = percent.map(|percent| format!(", {percent} %")).unwrap_or_default();
                let message = message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
                format!("step {step} {state}{attempts}{percent}{message}")
            }
            Change::Blocked { reason, message } => format!("blocked by {reason}: {message}"),
            Change::Lifted { reason } => format!("no longer blocked by {reason}"),
            Change::Decided { what } => what.clone(),
        };
        let line = format!("{} {} {what}", self.at, self.node);
        Ok(format!("{}\n", output::printable(&line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[allow(clippy::needless_pass_by_value, reason = "so that it reads as a record")]
    fn record(status: Value, overrides: Value) -> NodeCleanup {
        let spec = json!({"nodeName": "a", "nodeUid": "u", "policy": "p", "overrides": overrides});
        serde_json::from_value(json!({"metadata": {"name": "u"}, "spec": spec, "status": status})).unwrap()
    }

    fn told(before: Option<&NodeCleanup>, after: &NodeCleanup) -> Vec<String> {
        let at = "2026-11-21T12:00:00Z".parse().unwrap();
        let line = |change: Change| {
            let line = Line { at, node: "a", record: "u", change: &change };
            line.written(Form::Table).unwrap().trim_end().replace("2026-11-21T12:00:00Z a ", "")
        };
        changes(before, after).into_iter().map(line).collect()
    }

    #[test]
    fn a_line_is_written_for_what_has_changed_and_for_nothing_else() {
        let waiting = record(json!({"phase": "Waiting", "steps": [{"name": "drain"}]}), json!({}));
        assert_eq!(told(None, &waiting), ["Waiting"]);
        let blocker = json!({"reason": "BudgetExhausted", "message": "team/web lets none go", "since": "2026-11-21T11:00:00Z"});
        let draining = record(
            json!({"phase": "Draining", "podsLeft": 2, "podsTotal": 3, "blockers": [blocker],
                "steps": [{"name": "drain", "state": "Running", "attempts": 1}]}),
            json!({"paused": {"by": "ann", "at": "2026-11-21T11:00:00Z", "why": "lunch"}}),
        );
        let expected = [
            "Draining, 2 of 3 pods left",
            "step drain Running",
            "blocked by BudgetExhausted: team/web lets none go",
            "paused by ann at 2026-11-21T11:00:00Z: lunch",
        ];
        assert_eq!(told(Some(&waiting), &draining), expected);
        assert_eq!(told(Some(&draining), &draining), Vec::<String>::new());
        let later = record(
            json!({"phase": "Detaching", "podsTotal": 3, "volumesLeft": 1,
                "steps": [{"name": "drain", "state": "Done", "attempts": 1, "message": "no pod is left"}]}),
            json!({}),
        );
        let expected = [
            "Detaching, 0 of 3 pods left, 1 volumes attached",
            "step drain Done: no pod is left",
            "no longer blocked by BudgetExhausted",
            "resumed",
        ];
        assert_eq!(told(Some(&draining), &later), expected);
    }

    #[test]
    fn a_line_for_programs_names_its_event() {
        let change = Change::Lifted { reason: "LocalStorage".into() };
        let at = "2026-11-21T12:00:00Z".parse().unwrap();
        let line = Line { at, node: "a", record: "u", change: &change }.written(Form::Json).unwrap();
        let read: Value = serde_json::from_str(&line).unwrap();
        let expected = json!({"at": "2026-11-21T12:00:00Z", "node": "a", "record": "u", "event": "lifted", "reason": "LocalStorage"});
        assert_eq!(read, expected);
    }
}
