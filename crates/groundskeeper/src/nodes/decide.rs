//! `groundskeeper nodes pause`, `resume`, `skip-step`, `retry-step`, `extend` and `release`: what somebody decides about a
//! departure.
//!
//! A decision is a field of the record's spec, with who made it, when and why. The API server refuses one without the right
//! to its verb, or in another's name. Every replica obeys it, also one that starts later.

use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use api::node_cleanup::{Extension, Overrides, Said, SaidOfStep, StepState};
use api::{NodeCleanup, Time};
use chassis::Resource;
use chassis::objects::{self, ObjectRef};
use control::{Clock as _, SystemClock};
use jiff::{SignedDuration, Timestamp};
use node_cleanup::steps::{DRAIN_STEP, VOLUMES_STEP};
use serde::Serialize;
use serde_json::{Value, json};
use units::Span;

use super::{OURS, records, who};
use crate::cluster::{Cluster, Connection};
use crate::limits::{APPROVAL_ATTEMPTS_MAX, HOLD_REASON_BYTES_MAX};
use crate::moment;
use crate::output::{self, Form};
use crate::plan::table::{relative, whole_seconds};

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
Each needs the right to `patch` nodecleanups.groundskeeper.dev and to a verb of its own on them: pause and resume `pause`, \
skip-step `skip`, retry-step `retry`, extend `extend`, release `release`. What is decided stands in the record of the \
departure, with your name as the API server knows it.

Exit status: 0, also if it was so already; 1 after any error, also if nobody confirms.";

/// What every decision is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Given {
    /// The name of the node.
    #[arg(value_name = "NODE")]
    pub(super) node: String,

    /// Why, for whoever reads the record: one line of at most 1,024 bytes.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(super) why: Option<String>,

    /// Do not ask. Default: ask on a terminal, and refuse where there is none.
    #[arg(short, long)]
    pub(super) yes: bool,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    pub(super) output: Form,

    #[command(flatten)]
    pub(super) connection: Connection,
}

/// What `skip-step` and `retry-step` are told.
#[derive(clap::Args, Clone, Debug)]
pub struct StepArgs {
    #[command(flatten)]
    given: Given,

    /// The name of the step.
    #[arg(value_name = "STEP")]
    step: String,
}

/// What `extend` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct ExtendArgs {
    #[command(flatten)]
    given: Given,

    /// How much later than now, or than the present deadline if that has not passed, such as 2h.
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration, required_unless_present = "until")]
    by: Option<Span>,

    /// The new deadline, as RFC 3339, such as 2026-11-21T04:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment::parse, conflicts_with = "by")]
    until: Option<Timestamp>,
}

/// One line that fits into a record.
pub(super) fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > HOLD_REASON_BYTES_MAX || text.contains(char::is_control) {
        return Err(format!("write one line of at most {HOLD_REASON_BYTES_MAX} bytes"));
    }
    Ok(text.to_owned())
}

/// What is decided.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    Pause,
    Resume,
    Skip(String),
    Retry(String),
    Extend { by: Option<Span>, until: Option<Timestamp> },
    Release,
}

impl Decision {
    /// Of `skip-step`.
    pub(super) fn skip(args: StepArgs) -> (Given, Self) {
        (args.given, Self::Skip(args.step))
    }

    /// Of `retry-step`.
    pub(super) fn retry(args: StepArgs) -> (Given, Self) {
        (args.given, Self::Retry(args.step))
    }

    /// Of `extend`.
    pub(super) fn extend(args: ExtendArgs) -> (Given, Self) {
        (args.given, Self::Extend { by: args.by, until: args.until })
    }

    /// The verb on nodecleanups that it takes the right to.
    const fn verb(&self) -> &'static str {
        match self {
            Self::Pause | Self::Resume => "pause",
            Self::Skip(_) => "skip",
            Self::Retry(_) => "retry",
            Self::Extend { .. } => "extend",
            Self::Release => "release",
        }
    }

    /// What becomes of the departure, for whoever is asked.
    fn effect(&self) -> String {
        match self {
            Self::Pause => "It stops where it is: no pod is asked to leave and no step begins.".to_owned(),
            Self::Resume => "It goes on where it was.".to_owned(),
            Self::Skip(step) => {
                format!(
                    "Step {step} is not taken, or not tried again; the steps after it begin as if it had ended well."
                )
            }
            Self::Retry(step) => {
                format!(
                    "Step {step} is tried anew from its first attempt, once an attempt that is under way has ended."
                )
            }
            Self::Extend { .. } => "Until then it does not count as stuck.".to_owned(),
            Self::Release => "The node goes at once. What has not been done is not done any more.".to_owned(),
        }
    }

    /// What people have decided, with this; none if it is so already.
    fn put(&self, record: &NodeCleanup, said: &Said) -> anyhow::Result<Option<Overrides>> {
        let before = &record.spec.overrides;
        let mut after = before.clone();
        match self {
            Self::Pause => _ = after.paused.get_or_insert_with(|| said.clone()),
            Self::Resume => after.paused = None,
            Self::Release => _ = after.release.get_or_insert_with(|| said.clone()),
            Self::Skip(step) => {
                let state = state_of(record, step)?;
                ensure!(state != StepState::Done, "step {step} has ended well: there is nothing to skip");
                if state == StepState::Skipped {
                    return Ok(None);
                }
                put_step(&mut after.skip, step, said);
            }
            Self::Retry(step) => {
                let state = state_of(record, step)?;
                ensure!(state != StepState::Done, "step {step} has ended well: it is not done twice");
                ensure!(
                    state != StepState::Pending,
                    "step {step} has not begun: there is nothing to try again"
                );
                put_step(&mut after.retry, step, said);
            }
            Self::Extend { by, until } => {
                let until = until_when(record, (*by, *until), said.at.0)?;
                let Said { by, at, why } = said.clone();
                after.extend = Some(Extension { until: Time(until), by, at, why });
            }
        }
        Ok((*before != after).then_some(after))
    }
}

/// How it stands with a step. There is none of that name: the error names those that there are.
fn state_of(record: &NodeCleanup, step: &str) -> anyhow::Result<StepState> {
    let statuses = record.status.as_ref().map(|status| &*status.steps).unwrap_or_default();
    if let Some(found) = statuses.iter().find(|found| found.name == step) {
        return Ok(found.state);
    }
    let mut known: Vec<&str> = vec![DRAIN_STEP, VOLUMES_STEP];
    for written in
        record.spec.steps.iter().map(|step| &*step.name).chain(statuses.iter().map(|step| &*step.name))
    {
        if !known.contains(&written) {
            known.push(written);
        }
    }
    ensure!(
        known.contains(&step),
        "the departure of node {} has no step {step}; its steps are {}",
        record.spec.node_name,
        known.join(", ")
    );
    Ok(StepState::Pending)
}

fn put_step(steps: &mut Vec<SaidOfStep>, step: &str, said: &Said) {
    let Said { by, at, why } = said.clone();
    let said = SaidOfStep { step: step.to_owned(), by, at, why };
    match steps.iter_mut().find(|known| known.step == step) {
        Some(known) => *known = said,
        None => steps.push(said),
    }
}

fn until_when(
    record: &NodeCleanup,
    (by, until): (Option<Span>, Option<Timestamp>),
    now: Timestamp,
) -> anyhow::Result<Timestamp> {
    let deadline = record.status.as_ref().and_then(|status| status.deadline.as_ref()).map(|at| at.0);
    let start = deadline.map_or(now, |deadline| deadline.max(now));
    let until = match (by, until) {
        (Some(by), _) => {
            whole_seconds(start.saturating_add(SignedDuration::from(by)).unwrap_or(Timestamp::MAX))
        }
        (None, Some(until)) => until,
        (None, None) => bail!("say how much later, with --by or --until"),
    };
    ensure!(until > now, "{until} has passed: name a time to come");
    if let Some(deadline) = deadline {
        ensure!(until >= deadline, "the deadline is {deadline} already: name a later time");
    }
    Ok(until)
}

/// What people have decided, each in a line.
pub(super) fn told(overrides: &Overrides) -> Vec<String> {
    let line = |what: &str, by: &str, at: &Time, why: Option<&str>| {
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        format!("{what} by {by} at {}{why}", whole_seconds(at.0))
    };
    let said = |what: &str, said: &Said| line(what, &said.by, &said.at, said.why.as_deref());
    let step = |what: &str, said: &SaidOfStep| {
        line(&format!("step {} {what}", said.step), &said.by, &said.at, said.why.as_deref())
    };
    let mut told: Vec<_> = overrides.paused.iter().map(|it| said("paused", it)).collect();
    told.extend(overrides.skip.iter().map(|it| step("skipped", it)));
    told.extend(overrides.retry.iter().map(|it| step("tried again", it)));
    told.extend(
        overrides
            .extend
            .iter()
            .map(|it| line(&format!("extended until {}", it.until.0), &it.by, &it.at, it.why.as_deref())),
    );
    told.extend(overrides.release.iter().map(|it| said("released", it)));
    told
}

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    node: &'a str,
    node_uid: &'a str,
    record: &'a str,
    /// The verb that it took the right to.
    verb: &'static str,
    by: &'a str,
    at: Timestamp,
    why: Option<&'a str>,
    /// What people have decided, with this.
    overrides: &'a Overrides,
    /// Whether that is news.
    changed: bool,
}

/// Decides.
pub(super) async fn run((given, decision): (Given, Decision)) -> anyhow::Result<ExitCode> {
    let mut cluster = given.connection.cluster().await?;
    let (resource, record) = records::under_way(&mut cluster, &given.node).await?;
    let now = objects::server_version(&cluster.client).await?.1.unwrap_or_else(|| SystemClock.now());
    let by = who::am_i(&mut cluster).await?;
    let said = Said { by, at: Time(whole_seconds(now)), why: given.why.clone() };
    let wanted = decision.put(&record, &said)?;
    if let (Some(_), false) = (&wanted, given.yes) {
        output::tell(&format!("{}\n", output::printable(&summary(&record, now))));
        let question = format!("{} {} for node {}?", decision.effect(), capital(decision.verb()), given.node);
        output::confirm(&question, "nothing was decided")?;
    }
    let changed = wanted.is_some();
    let overrides = match wanted {
        Some(_) => write(&mut cluster, &resource, record.clone(), (&decision, &said)).await?,
        None => record.spec.overrides.clone(),
    };
    let name = record.metadata.name.as_deref().unwrap_or_default();
    let answer = Answer {
        api_version: OURS,
        kind: "NodeDecision",
        node: &given.node,
        node_uid: &record.spec.node_uid,
        record: name,
        verb: decision.verb(),
        by: &said.by,
        at: said.at.0,
        why: said.why.as_deref(),
        overrides: &overrides,
        changed,
    };
    match given.output {
        Form::Json => output::print_json(&answer)?,
        Form::Table if changed => {
            let line = format!("the departure of node {}: {}", given.node, done(&decision, &overrides));
            output::print(&format!("{}\n", output::printable(&line)))?;
        }
        Form::Table => output::print(&format!(
            "the departure of node {} is so already\n",
            output::printable(&given.node)
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn capital(verb: &str) -> String {
    let mut letters = verb.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// How far the departure is, for whoever decides about it.
fn summary(record: &NodeCleanup, now: Timestamp) -> String {
    let status = record.status.clone().unwrap_or_default();
    let mut text = format!("node {}: {:?}", record.spec.node_name, status.phase);
    if let Some(deadline) = &status.deadline {
        text += &format!(", deadline {}", relative(deadline.0, now));
    }
    if status.pods_left > 0 {
        text += &format!(", {} pods left", status.pods_left);
    }
    let open = |state| !matches!(state, StepState::Done | StepState::Skipped);
    let left: Vec<_> = status.steps.iter().filter(|step| open(step.state)).map(|step| &*step.name).collect();
    if !left.is_empty() {
        text += &format!(", steps that have not ended: {}", left.join(", "));
    }
    text
}

fn done(decision: &Decision, overrides: &Overrides) -> String {
    let is_it = |line: &&String| match decision {
        Decision::Pause => line.starts_with("paused"),
        Decision::Resume => false,
        Decision::Skip(step) => line.starts_with(&format!("step {step} skipped")),
        Decision::Retry(step) => line.starts_with(&format!("step {step} tried again")),
        Decision::Extend { .. } => line.starts_with("extended"),
        Decision::Release => line.starts_with("released"),
    };
    told(overrides).iter().find(is_it).cloned().unwrap_or_else(|| "resumed".to_owned())
}

/// Writes what was decided into the record. The operator writes to its status all the time: a record that has only gone on is
/// read again, and decided about again.
pub(super) async fn write(
    cluster: &mut Cluster,
    resource: &Resource,
    mut record: NodeCleanup,
    (decision, said): (&Decision, &Said),
) -> anyhow::Result<Overrides> {
    let name = record.metadata.name.clone().unwrap_or_default();
    let node = record.spec.node_name.clone();
    for _ in 0..APPROVAL_ATTEMPTS_MAX {
        let Some(wanted) = decision.put(&record, said)? else { return Ok(record.spec.overrides) };
        let object = ObjectRef { resource, namespace: None, name: &name };
        let patch = patch(&record, &wanted)?;
        match objects::merge(&cluster.client, object, &patch).await {
            Ok(_) => return Ok(wanted),
            Err(error) if error.code() == Some(409) => {}
            Err(error) => {
                let error = who::explain(cluster, error, &["patch", decision.verb()]).await;
                return Err(
                    error.context(format!("cannot write the decision into the record of node {node}"))
                );
            }
        }
        let found = records::read(cluster, resource, &name).await?;
        let found =
            found.with_context(|| format!("the record of node {node} is gone; nothing was decided"))?;
        ensure!(
            found.metadata.uid == record.metadata.uid,
            "the record of node {node} was made anew; nothing was decided: look at it, and run this again"
        );
        let phase = records::phase(&found);
        ensure!(!records::is_over(phase), "the departure of node {node} has ended meanwhile: {phase:?}");
        record = found;
    }
    bail!("the record of node {node} changes all the time; nothing was decided: run this again")
}

/// The patch that writes what has changed, and nothing else, on the version that was seen.
fn patch(record: &NodeCleanup, wanted: &Overrides) -> anyhow::Result<Value> {
    let fields = |overrides: &Overrides| serde_json::to_value(overrides).context("cannot write the decision");
    let (before, after) = (fields(&record.spec.overrides)?, fields(wanted)?);
    let mut changed = serde_json::Map::new();
    for field in ["paused", "skip", "retry", "extend", "release"] {
        if before.get(field) != after.get(field) {
            changed.insert(field.to_owned(), after.get(field).cloned().unwrap_or_default());
        }
    }
    let (uid, version) = (&record.metadata.uid, &record.metadata.resource_version);
    ensure!(
        uid.is_some() && version.is_some(),
        "the record has no UID or no version, so that another one could be hit"
    );
    Ok(json!({"metadata": {"uid": uid, "resourceVersion": version}, "spec": {"overrides": changed}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "so that it reads as a record")]
    fn record(status: Value, overrides: Value) -> NodeCleanup {
        let spec = json!({"nodeName": "a", "nodeUid": "u", "policy": "p", "overrides": overrides,
            "steps": [{"name": "tell", "plugin": "slack"}]});
        let metadata = json!({"name": "u", "uid": "r", "resourceVersion": "7"});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
    }

    fn ann() -> Said {
        Said { by: "ann".into(), at: Time("2026-11-21T12:00:00Z".parse().unwrap()), why: None }
    }

    /// What the patch writes below `overrides`.
    fn written(decision: &Decision, record: &NodeCleanup) -> Value {
        let wanted = decision.put(record, &ann()).unwrap().unwrap();
        let mut patch = patch(record, &wanted).unwrap();
        assert_eq!(patch["metadata"], json!({"uid": "r", "resourceVersion": "7"}));
        patch["spec"]["overrides"].take()
    }

    const NOON: &str = "2026-11-21T12:00:00Z";

    #[test]
    fn a_decision_writes_its_own_field_with_who_made_it() {
        let fresh = record(json!({}), json!({}));
        let said = json!({"by": "ann", "at": NOON});
        let of_step = json!([{"step": "tell", "by": "ann", "at": NOON}]);
        assert_eq!(written(&Decision::Pause, &fresh), json!({"paused": said}));
        assert_eq!(written(&Decision::Release, &fresh), json!({"release": said}));
        assert_eq!(written(&Decision::Skip("tell".into()), &fresh), json!({"skip": of_step}));
        let failed = record(json!({"steps": [{"name": "tell", "state": "Failed"}]}), json!({}));
        assert_eq!(written(&Decision::Retry("tell".into()), &failed), json!({"retry": of_step}));
        let paused = record(json!({}), json!({"paused": {"by": "bob", "at": NOON}}));
        assert_eq!(written(&Decision::Resume, &paused), json!({"paused": null}));
        assert_eq!(Decision::Pause.put(&paused, &ann()).unwrap(), None, "bob has paused it already");
        assert_eq!(Decision::Resume.put(&fresh, &ann()).unwrap(), None);
    }

    #[test]
    fn what_others_have_decided_about_steps_is_kept() {
        let bobs = json!({"skip": [{"step": "drain", "by": "bob", "at": NOON}, {"step": "tell", "by": "bob", "at": NOON}]});
        let skipped = written(&Decision::Skip("tell".into()), &record(json!({}), bobs));
        let expected =
            json!([{"step": "drain", "by": "bob", "at": NOON}, {"step": "tell", "by": "ann", "at": NOON}]);
        assert_eq!(skipped["skip"], expected);
    }

    #[test]
    fn a_step_that_there_is_none_of_is_refused_with_those_that_there_are() {
        let steps =
            json!({"steps": [{"name": "tell", "state": "Done"}, {"name": "drain", "state": "Pending"}]});
        let table = [
            (Decision::Skip("sell".into()), "its steps are drain, wait-volume-detach, tell"),
            (Decision::Retry("sell".into()), "has no step sell"),
            (Decision::Skip("tell".into()), "nothing to skip"),
            (Decision::Retry("tell".into()), "not done twice"),
            (Decision::Retry("drain".into()), "has not begun"),
        ];
        for (decision, expected) in table {
            let error = decision.put(&record(steps.clone(), json!({})), &ann()).unwrap_err().to_string();
            assert!(error.contains(expected), "{decision:?}: {error}");
        }
    }

    #[test]
    fn a_deadline_only_moves_later() {
        let until = |status: Value, by: Option<&str>, until: Option<&str>| {
            let decision = Decision::Extend {
                by: by.map(|by| units::parse_duration(by).unwrap()),
                until: until.map(|until| until.parse().unwrap()),
            };
            let wanted =
                decision.put(&record(status, json!({})), &ann()).map_err(|error| error.to_string())?;
            Ok::<_, String>(wanted.unwrap().extend.unwrap().until.0.to_string())
        };
        let later = json!({"deadline": "2026-11-21T14:00:00Z"});
        let passed = json!({"deadline": "2026-11-21T11:00:00Z"});
        assert_eq!(until(later.clone(), Some("1h"), None).unwrap(), "2026-11-21T15:00:00Z");
        assert_eq!(until(passed, Some("1h"), None).unwrap(), "2026-11-21T13:00:00Z");
        assert_eq!(until(json!({}), None, Some("2026-11-21T18:00:00Z")).unwrap(), "2026-11-21T18:00:00Z");
        assert!(until(later, None, Some("2026-11-21T13:00:00Z")).unwrap_err().contains("already"));
        assert!(until(json!({}), None, Some("2026-11-21T11:00:00Z")).unwrap_err().contains("has passed"));
    }

    #[test]
    fn everything_that_was_decided_is_told() {
        let said = json!({"by": "ann", "at": NOON, "why": "late"});
        let overrides = json!({"paused": said, "release": said,
            "skip": [{"step": "tell", "by": "bob", "at": NOON}],
            "extend": {"until": "2026-11-22T00:00:00Z", "by": "ann", "at": NOON}});
        let expected = [
            "paused by ann at 2026-11-21T12:00:00Z: late",
            "step tell skipped by bob at 2026-11-21T12:00:00Z",
            "extended until 2026-11-22T00:00:00Z by ann at 2026-11-21T12:00:00Z",
            "released by ann at 2026-11-21T12:00:00Z: late",
        ];
        assert_eq!(told(&record(json!({}), overrides).spec.overrides), expected);
    }
}
