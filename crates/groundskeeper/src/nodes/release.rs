//! `groundskeeper nodes release --stand-alone`: lets a node go while no operator runs.
//!
//! Takes our finalizer off by the same patch as the operator would: it names the node's incarnation, its version and the
//! whole list, and touches no finalizer but ours. Before it does, an event on the node says who and why.

use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use api::node_cleanup::{NODE_FINALIZER, Said};
use api::{EventReason, Time};
use chassis::actuator::dismantle::{Dismantled, Handling, handle};
use chassis::objects::{self, Effect, ObjectRef};
use control::{Clock as _, SystemClock};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use units::Uid;

use super::decide::{self, Decision, Given};
use super::records::{self, Held};
use super::{OURS, who};
use crate::cluster::Cluster;
use crate::limits::EVENT_PREFIX_CHARS_MAX;
use crate::output::{self, Form};
use crate::plan::table::whole_seconds;

/// The namespace of events about what has none.
const EVENTS_NAMESPACE: &str = "default";

/// What `release` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    given: Given,

    /// Take our finalizer off the node right here, instead of asking the operator to do so: for when it does not run any
    /// more. Needs the right to `patch` nodes.
    #[arg(long)]
    stand_alone: bool,
}

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    node: &'a str,
    node_uid: &'a str,
    by: &'a str,
    at: Timestamp,
    why: Option<&'a str>,
    /// Whether our finalizer was there.
    changed: bool,
    /// Whose finalizers hold the node still.
    held_by: Vec<&'a str>,
    warnings: Vec<String>,
}

/// Releases.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if !args.stand_alone {
        return decide::run((args.given, Decision::Release)).await;
    }
    let Given { node, why, yes, output: form, connection } = args.given;
    let mut cluster = connection.cluster().await?;
    let Some(held) = records::node(&mut cluster, &node).await? else { bail!("there is no node {node}") };
    ensure!(
        held.since.is_some(),
        "node {node} is not being deleted, so that nothing of ours holds it: the operator would put the finalizer back on"
    );
    if held.is_ours() && !yes {
        output::tell(
            "The departure is not carried on: what has not been done for this node is not done any more.\n",
        );
        output::confirm(&format!("Take {NODE_FINALIZER} off node {node}?"), "nothing was changed")?;
    }
    let said = said(&mut cluster, why).await?;
    let mut warnings = Vec::new();
    let changed = stand_alone(&mut cluster, &held, &said, &mut warnings).await?;
    let others = held.finalizers.iter().map(|one| &**one).filter(|one| *one != NODE_FINALIZER).collect();
    let answer = Answer {
        api_version: OURS,
        kind: "NodeRelease",
        node: &node,
        node_uid: &held.uid,
        by: &said.by,
        at: said.at.0,
        why: said.why.as_deref(),
        changed,
        held_by: others,
        warnings,
    };
    match form {
        Form::Json => output::print_json(&answer)?,
        Form::Table => output::print(&answer.render())?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Answer<'_> {
    fn render(&self) -> String {
        for warning in &self.warnings {
            output::tell(&format!("warning: {}\n", output::printable(warning)));
        }
        let done = if self.changed { "released" } else { "not held by us" };
        let others = match &*self.held_by {
            [] => String::new(),
            others => format!("; held by {} still", others.join(", ")),
        };
        format!("{}\n", output::printable(&format!("node {} {done}{others}", self.node)))
    }
}

/// Who says so, when and why.
pub(crate) async fn said(cluster: &mut Cluster, why: Option<String>) -> anyhow::Result<Said> {
    let by = who::am_i(cluster).await?;
    let now = objects::server_version(&cluster.client).await?.1.unwrap_or_else(|| SystemClock.now());
    Ok(Said { by, at: Time(whole_seconds(now)), why })
}

/// Takes our finalizer off one incarnation of a node that is being deleted; says whether it was there.
///
/// What cannot be written down before is a warning: the node goes all the same.
pub(crate) async fn stand_alone(
    cluster: &mut Cluster,
    node: &Held,
    said: &Said,
    warnings: &mut Vec<String>,
) -> anyhow::Result<bool> {
    if !node.is_ours() {
        return Ok(false);
    }
    if let Err(error) = write_record(cluster, node, said).await {
        warnings
            .push(format!("the record of node {} does not say that it was released: {error:#}", node.name));
    }
    if let Err(error) = write_event(cluster, node, said).await {
        warnings.push(format!("no event says that node {} was released: {error:#}", node.name));
    }
    take_off(cluster, node, Effect::Real).await
}

/// Takes our finalizer off one incarnation of a node; says whether it was there.
pub(crate) async fn take_off(cluster: &mut Cluster, node: &Held, effect: Effect) -> anyhow::Result<bool> {
    let resource = records::node_resource(cluster).await?;
    let object = ObjectRef { resource: &resource, namespace: None, name: &node.name };
    let handling = Handling::TakeOff(NODE_FINALIZER);
    match handle(&cluster.client, object, &Uid::from(&*node.uid), handling, effect).await {
        Ok(Dismantled::Accepted) => Ok(true),
        Ok(Dismantled::Gone | Dismantled::Replaced) => Ok(false),
        Err(error) => {
            let error = who::explain(cluster, error, &["release"]).await;
            Err(error.context(format!("cannot take {NODE_FINALIZER} off node {}", node.name)))
        }
    }
}

/// If there is a record of this departure, it says who has released the node.
async fn write_record(cluster: &mut Cluster, node: &Held, said: &Said) -> anyhow::Result<()> {
    let Some(resource) = cluster.resource(OURS, "NodeCleanup").await? else { return Ok(()) };
    let Some(record) = records::read(cluster, &resource, &node.uid).await? else { return Ok(()) };
    if !records::is_over(records::phase(&record)) {
        decide::write(cluster, &resource, record, (&Decision::Release, said)).await?;
    }
    Ok(())
}

async fn write_event(cluster: &mut Cluster, node: &Held, said: &Said) -> anyhow::Result<()> {
    let resource = cluster.resource("events.k8s.io/v1", "Event").await?;
    let resource = resource.context("the cluster serves no events")?;
    let event = event(node, said);
    objects::create(&cluster.client, &resource, Some(EVENTS_NAMESPACE), &event, Effect::Real).await?;
    Ok(())
}

fn event(node: &Held, said: &Said) -> Value {
    let Said { by, at, why } = said;
    let reason = EventReason::ReleasedByHand;
    let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    // A name may be as long as a node's; the server adds to this one.
    let prefix: String = node.name.chars().take(EVENT_PREFIX_CHARS_MAX).collect();
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": format!("{}-", prefix.trim_end_matches('.')), "namespace": EVENTS_NAMESPACE},
        "eventTime": format!("{:.6}", at.0),
        "reportingController": "groundskeeper.dev/cli",
        "reportingInstance": "groundskeeper nodes release",
        "regarding": {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node.uid},
        "reason": reason.name(),
        "action": reason.action(),
        "type": reason.type_name(),
        "note": format!("{by} has taken {NODE_FINALIZER} off{why}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_says_who_and_why_with_a_time_that_the_api_takes() {
        let node = Held { name: "a".into(), uid: "u".into(), since: None, finalizers: Vec::new() };
        let at = Time("2026-11-21T12:00:00Z".parse().unwrap());
        let event = event(&node, &Said { by: "ann".into(), at, why: Some("burnt".into()) });
        assert_eq!(event["eventTime"], "2026-11-21T12:00:00.000000Z");
        assert_eq!(event["note"], "ann has taken groundskeeper.dev/node-cleanup off: burnt");
    }
}
