//! What an uninstallation does about nodes: departures under way end or are released, and our finalizer goes from all.
//!
//! Works without an operator, and again after an attempt that was cut off: every finalizer is taken off by a patch of its
//! own, which names what it was made on, and at the end the nodes are listed anew and counted.
//!
//! Invariant: nothing is touched but our own finalizer, and what we have put on nodes besides.

use std::io::{self, IsTerminal as _};

use anyhow::{Context as _, bail, ensure};
use api::node_cleanup::{DELETION_GUARD_LABEL, MAINTENANCE_ANNOTATION, NODE_FINALIZER};
use api::{GROUP, VERSION};
use chassis::Resource;
use chassis::actuator::dismantle::{Handling, dismantle, handle};
use chassis::objects::{self, Effect, ObjectRef};
use chassis::writes::{self, Seen};
use controllers::node_cleanup::{Unmarking, unmarking};
use serde_json::Value;
use units::{Span, Uid};

use crate::cluster::{Cluster, text};
use crate::limits::{COMES_BACK_MAX, LOOK_PAUSE, NODES_NAMED_MAX, RECORDS_LOOK_PAUSE, STRIP_WAIT_MAX};
use crate::nodes::records::{self, Held};
use crate::nodes::release;
use crate::output;

/// Our kinds of node cleanup.
pub(super) const KINDS: [&str; 5] =
    ["NodeCleanupPolicy", "NodeCleanup", "NodeMaintenance", "DrainRule", "CleanupPlugin"];

/// What `uninstall` is told about nodes.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct NodeOptions {
    /// Wait so long for departures of nodes under way to end, such as 30m; the operator carries them on meanwhile. With
    /// --release-departures those are released that have not ended by then.
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    wait_for_departures: Option<Span>,

    /// Release nodes whose departure is under way: they go at once, without what has not been done.
    #[arg(long)]
    release_departures: bool,
}

/// What becomes of departures under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    wait: Option<Span>,
    release: bool,
}

/// The nodes that carry our finalizer.
pub(super) async fn look(cluster: &mut Cluster) -> anyhow::Result<Vec<Held>> {
    records::finalized(cluster).await
}

/// What becomes of departures under way; an error, before anything was changed, if nobody says so.
pub(super) fn choose(nodes: &[Held], options: &NodeOptions, asks: bool) -> anyhow::Result<Choice> {
    let given = Choice { wait: options.wait_for_departures, release: options.release_departures };
    let leaving: Vec<_> = nodes.iter().filter(|node| node.since.is_some()).collect();
    if leaving.is_empty() || given.wait.is_some() || given.release {
        return Ok(given);
    }
    let under_way = format!(
        "{} under way ({})",
        counted(leaving.len(), "departure is", "departures are"),
        named(&leaving)
    );
    ensure!(
        asks && io::stdin().is_terminal(),
        "{under_way}; nothing was changed: give --wait-for-departures 30m to let them end, --release-departures to let the nodes go at once, or both"
    );
    output::confirm(
        &format!("{under_way}. Release these nodes, without what has not been done for them?"),
        "nothing was changed; --wait-for-departures lets departures end",
    )?;
    Ok(Choice { release: true, ..given })
}

/// The policies go one by one, so that no departure begins any more; those under way carry on by their records.
pub(super) async fn remove_policies(cluster: &mut Cluster) -> anyhow::Result<()> {
    let Some(resource) = cluster.resource(&format!("{GROUP}/{VERSION}"), "NodeCleanupPolicy").await? else {
        return Ok(());
    };
    for policy in objects::list_metadata(&cluster.client, &resource)
        .await
        .context("cannot list the policies for nodes")?
    {
        let (name, uid) = (text(&policy, "/metadata/name"), Uid::from(text(&policy, "/metadata/uid")));
        let object = ObjectRef { resource: &resource, namespace: None, name };
        dismantle(&cluster.client, object, &uid, Effect::Real)
            .await
            .with_context(|| format!("cannot delete {object}"))?;
        output::print(&format!("{object} deleted\n"))?;
    }
    Ok(())
}

/// Departures under way end, or are released.
pub(super) async fn settle(cluster: &mut Cluster, choice: Choice) -> anyhow::Result<()> {
    if let Some(wait) = choice.wait {
        let look = async {
            let mut before = usize::MAX;
            loop {
                let left = leaving(cluster).await?.len();
                if left == 0 {
                    return Ok::<(), anyhow::Error>(());
                }
                if left != before {
                    output::print(&format!("waiting for {}\n", counted(left, "departure", "departures")))?;
                }
                before = left;
                tokio::time::sleep(RECORDS_LOOK_PAUSE).await;
            }
        };
        if let Ok(ended) = tokio::time::timeout(wait.into(), look).await {
            return ended;
        }
    }
    let left = leaving(cluster).await?;
    if left.is_empty() {
        return Ok(());
    }
    if !choice.release {
        bail!(
            "{} not ended in time ({}): run this again with a longer --wait-for-departures, or with --release-departures",
            counted(left.len(), "departure has", "departures have"),
            named(&left.iter().collect::<Vec<_>>())
        );
    }
    let said = release::said(cluster, Some("Groundskeeper is being uninstalled".to_owned())).await?;
    for node in left {
        let mut warnings = Vec::new();
        let released = release::stand_alone(cluster, &node, &said, &mut warnings).await?;
        for warning in warnings {
            output::tell(&format!("warning: {}\n", output::printable(&warning)));
        }
        if released {
            output::print(&format!("node/{} released\n", node.name))?;
        }
    }
    Ok(())
}

async fn leaving(cluster: &mut Cluster) -> anyhow::Result<Vec<Held>> {
    Ok(look(cluster).await?.into_iter().filter(|node| node.since.is_some()).collect())
}

/// Takes our finalizer off all nodes, until none has it; also if an operator puts it back on in its last moments.
pub(super) async fn strip(cluster: &mut Cluster, effect: Effect) -> anyhow::Result<()> {
    if effect == Effect::DryRun {
        return strip_once(cluster, effect).await.map(drop);
    }
    if until_none(async || strip_once(cluster, effect).await).await? {
        return Ok(());
    }
    let left = look(cluster).await?;
    bail!("our finalizer comes back on {}: {STILL_RUNS}", named(&left.iter().collect::<Vec<_>>()))
}

/// Goes over all nodes again and again, until nothing was found any more; says whether it came to that.
async fn until_none(mut pass: impl AsyncFnMut() -> anyhow::Result<usize>) -> anyhow::Result<bool> {
    let first = tokio::time::timeout(STRIP_WAIT_MAX, pass()).await;
    if first.context("there are more nodes than one run can do: run this again")?? == 0 {
        return Ok(true);
    }
    let passes = async {
        loop {
            tokio::time::sleep(LOOK_PAUSE).await;
            if pass().await? == 0 {
                return Ok(true);
            }
        }
    };
    tokio::time::timeout(COMES_BACK_MAX, passes).await.unwrap_or(Ok(false))
}

/// Takes it off those that have it now; says how many had it.
async fn strip_once(cluster: &mut Cluster, effect: Effect) -> anyhow::Result<usize> {
    let mode = if effect == Effect::DryRun { " (server dry run)" } else { "" };
    let nodes = look(cluster).await?;
    for node in &nodes {
        if release::take_off(cluster, node, effect).await? {
            output::print(&format!("node/{} has our finalizer no more{mode}\n", node.name))?;
        }
    }
    Ok(nodes.len())
}

/// Why something of ours comes back, and what is to be done about it.
const STILL_RUNS: &str = "some operator runs still, outside of the cluster and by rights that are not ours; end it, and run this again";

/// Takes off nodes that stay what we have put on them, until nothing of it is left; tells which stay cordoned.
pub(super) async fn unmark(cluster: &mut Cluster) -> anyhow::Result<()> {
    let nodes = records::node_resource(cluster).await?;
    if until_none(async || unmark_once(cluster, &nodes).await).await? {
        return Ok(());
    }
    let left = marked(cluster, &nodes).await?;
    bail!("our marks come back on {}: {STILL_RUNS}", named(&left.iter().collect::<Vec<_>>()))
}

/// Takes them off those that have them now; says how many had some.
async fn unmark_once(cluster: &Cluster, nodes: &Resource) -> anyhow::Result<usize> {
    let mut had = 0;
    for node in marked(cluster, nodes).await? {
        let object = ObjectRef { resource: nodes, namespace: None, name: &node.name };
        had += usize::from(unmark_one(cluster, object).await?);
    }
    Ok(had)
}

/// Nodes that may have something of ours on them.
async fn marked(cluster: &Cluster, nodes: &Resource) -> anyhow::Result<Vec<Held>> {
    let found = objects::list_metadata(&cluster.client, nodes).await.context("cannot list the nodes")?;
    Ok(found.iter().filter(|node| may_be_marked(node)).map(Held::of).collect())
}

/// Says whether there was something to take off.
async fn unmark_one(cluster: &Cluster, object: ObjectRef<'_>) -> anyhow::Result<bool> {
    let found =
        objects::look_at(&cluster.client, object).await.with_context(|| format!("cannot read {object}"))?;
    let Some(found) = found else { return Ok(false) };
    let node: views::Node =
        serde_json::from_value(found).with_context(|| format!("cannot understand {object}"))?;
    let Unmarking { operations, is_cordoned } = unmarking(&node);
    let (Some(uid), Some(version)) = (&node.metadata.uid, &node.metadata.resource_version) else {
        return Ok(false);
    };
    if operations.is_empty() {
        return Ok(false);
    }
    match writes::change(&cluster.client, object, Seen { uid, version }, operations).await {
        Ok(_) => {}
        // It has gone, or its kubelet had something to say: whoever looks again sees which.
        Err(error) if matches!(error.code(), Some(404 | 409)) => return Ok(true),
        Err(error) => {
            return Err(anyhow::Error::from(error).context(format!("cannot take our marks off {object}")));
        }
    }
    let name = object.name;
    output::print(&format!("node/{name} has nothing of ours on it any more\n"))?;
    if is_cordoned {
        output::print(&format!(
            "node/{name} stays cordoned, as a maintenance has left it: `kubectl uncordon {name}` when it is ready\n"
        ))?;
    }
    Ok(true)
}

/// Whether something of ours may be on a node, by its metadata.
fn may_be_marked(node: &Value) -> bool {
    let has = |place: &str, key: &str| node.pointer(place).is_some_and(|place| place.get(key).is_some());
    has("/metadata/labels", DELETION_GUARD_LABEL) || has("/metadata/annotations", MAINTENANCE_ANNOTATION)
}

/// Takes our finalizers off our own kinds, so that they can be deleted without an operator.
pub(super) async fn strip_ours(cluster: &mut Cluster) -> anyhow::Result<()> {
    for kind in KINDS {
        let Some(resource) = cluster.resource(&format!("{GROUP}/{VERSION}"), kind).await? else { continue };
        let found = objects::list(&cluster.client, &resource, None).await;
        for object in absent_is_none(found).with_context(|| format!("cannot list {kind}"))? {
            let (name, uid) = (text(&object, "/metadata/name"), Uid::from(text(&object, "/metadata/uid")));
            let reference = ObjectRef { resource: &resource, namespace: None, name };
            for finalizer in ours(&object) {
                let handling = Handling::TakeOff(finalizer);
                let taken = handle(&cluster.client, reference, &uid, handling, Effect::Real).await;
                taken.with_context(|| format!("cannot take {finalizer} off {reference}"))?;
                output::print(&format!("{reference} has our finalizer no more\n"))?;
            }
        }
    }
    Ok(())
}

/// What of ours could still hold a node or one of our own kinds.
pub(super) async fn left(cluster: &mut Cluster) -> anyhow::Result<Vec<String>> {
    let mut left: Vec<_> =
        look(cluster).await?.iter().map(|node| format!("our finalizer on node {}", node.name)).collect();
    for kind in KINDS {
        let Some(resource) = cluster.resource(&format!("{GROUP}/{VERSION}"), kind).await? else { continue };
        let found = objects::list_metadata(&cluster.client, &resource).await;
        let held = absent_is_none(found).with_context(|| format!("cannot list {kind}"))?;
        let held = held.iter().filter(|object| !ours(object).is_empty());
        left.extend(held.map(|object| format!("our finalizer on {kind} {}", text(object, "/metadata/name"))));
    }
    Ok(left)
}

/// Why the definition of one of our kinds for nodes stays, if there are objects.
pub(super) async fn why_definition_stays(cluster: &mut Cluster) -> anyhow::Result<Option<String>> {
    for kind in KINDS {
        let Some(resource) = cluster.resource(&format!("{GROUP}/{VERSION}"), kind).await? else { continue };
        let found = objects::look_for(&cluster.client, &resource, None, "", 1).await.map(|(found, _)| found);
        if !absent_is_none(found).with_context(|| format!("cannot list {kind}"))?.is_empty() {
            return Ok(Some(format!("there is a {kind}: delete them, or give --delete-policies")));
        }
    }
    Ok(None)
}

/// A kind that went with its definition meanwhile has no objects.
fn absent_is_none(found: Result<Vec<Value>, chassis::ApiError>) -> Result<Vec<Value>, chassis::ApiError> {
    match found {
        Err(error) if error.code() == Some(404) => Ok(Vec::new()),
        found => found,
    }
}

fn ours(object: &Value) -> Vec<&str> {
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    let finalizers = finalizers.into_iter().flatten().filter_map(Value::as_str);
    finalizers.filter(|one| one.split_once('/').is_some_and(|(group, _)| group == GROUP)).collect()
}

fn named(nodes: &[&Held]) -> String {
    let mut names: Vec<_> = nodes.iter().take(NODES_NAMED_MAX).map(|node| node.name.clone()).collect();
    let more = nodes.len().saturating_sub(NODES_NAMED_MAX);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// What an uninstallation would do, for whoever is asked.
pub(super) fn summary(nodes: &[Held]) -> Option<String> {
    let all: Vec<_> = nodes.iter().collect();
    (!nodes.is_empty()).then(|| {
        format!("{NODE_FINALIZER} goes from {} ({})", counted(nodes.len(), "node", "nodes"), named(&all))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, since: Option<&str>) -> Held {
        let since = since.map(|since| since.parse().unwrap());
        Held { name: name.into(), uid: name.into(), since, finalizers: vec![NODE_FINALIZER.into()] }
    }

    #[test]
    fn departures_under_way_are_decided_about_before_anything_is_changed() {
        let options = |wait: Option<&str>, release_departures| NodeOptions {
            wait_for_departures: wait.map(|wait| units::parse_duration(wait).unwrap()),
            release_departures,
        };
        let staying = [node("a", None)];
        let leaving = [node("a", None), node("b", Some("2026-11-21T12:00:00Z"))];
        assert!(choose(&staying, &options(None, false), false).is_ok());
        let refused = choose(&leaving, &options(None, false), false).unwrap_err().to_string();
        assert!(refused.contains("1 departure is under way (b); nothing was changed"), "{refused}");
        assert!(choose(&leaving, &options(Some("1m"), false), false).unwrap().wait.is_some());
        assert!(choose(&leaving, &options(None, true), false).unwrap().release);
    }

    #[test]
    fn only_finalizers_of_our_own_group_are_ours() {
        let object = serde_json::json!({"metadata": {"finalizers":
            ["groundskeeper.dev/uncordon", "example.com/groundskeeper.dev", "notgroundskeeper.dev/x", "foregroundDeletion"]}});
        assert_eq!(ours(&object), ["groundskeeper.dev/uncordon"]);
    }

    #[test]
    fn of_many_nodes_some_are_named() {
        let many: Vec<_> = (0..NODES_NAMED_MAX + 3).map(|number| node(&number.to_string(), None)).collect();
        let summary = summary(&many).unwrap();
        assert!(summary.ends_with("and 3 more)") && summary.contains("nodes (0, 1"), "{summary}");
        assert_eq!(super::summary(&[]), None);
    }
}
