//! The old finalizer of nodes becomes ours, and back.
//!
//! One request for each node, which names the version and the list that it was made on: no node is ever without a
//! finalizer between the two, and none of anybody else's is touched. What was done before an interruption stays, and another
//! run does the rest.

use anyhow::{Context as _, ensure};
use api::NodeCleanupPolicy;
use api::node_cleanup::{NODE_FINALIZER, SKIP_CLEANUP_ANNOTATION};
use chassis::Resource;
use chassis::actuator::dismantle::{Dismantled, Handling, handle};
use chassis::objects::{self, Effect, ObjectRef};
use node_cleanup::steps::PluginFacts;
use node_cleanup::{BUILT_IN_PLUGINS, Policy};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use units::Uid;

use super::{Args, OLD_FINALIZER, OLD_SKIP_ANNOTATION, old};
use crate::cluster::{Cluster, text};
use crate::nodes::records::{self, Held};
use crate::nodes::{OURS, who};
use crate::output;
use crate::plan::table::{cell, grid};

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToOurs,
    Back,
}

impl Direction {
    /// The finalizer that goes, and the one that comes.
    const fn finalizer(self) -> (&'static str, &'static str) {
        match self {
            Self::ToOurs => (OLD_FINALIZER, NODE_FINALIZER),
            Self::Back => (NODE_FINALIZER, OLD_FINALIZER),
        }
    }

    const fn annotation(self) -> (&'static str, &'static str) {
        match self {
            Self::ToOurs => (OLD_SKIP_ANNOTATION, SKIP_CLEANUP_ANNOTATION),
            Self::Back => (SKIP_CLEANUP_ANNOTATION, OLD_SKIP_ANNOTATION),
        }
    }
}

/// What became of all nodes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    api_version: &'static str,
    kind: &'static str,
    /// The finalizer that goes.
    from: &'static str,
    /// The finalizer that comes.
    to: &'static str,
    dry_run: bool,
    nodes: Vec<Account>,
}

/// What became of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    node: String,
    node_uid: String,
    outcome: Outcome,
    /// Why it was left as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Outcome {
    /// The finalizers were swapped.
    Swapped,
    /// It is as it was, and should not be.
    Left,
    /// The node went meanwhile, or somebody else did it.
    Gone,
}

impl Report {
    /// Whether no node was left as it is.
    pub(super) fn is_whole(&self) -> bool {
        self.nodes.iter().all(|account| account.outcome != Outcome::Left)
    }

    pub(super) fn render(&self) -> String {
        if self.nodes.is_empty() {
            return format!("No node has the finalizer {}.\n", self.from);
        }
        let row = |account: &Account| {
            let message = account.message.as_deref().unwrap_or("-");
            vec![cell(&account.node), format!("{:?}", account.outcome), cell(message)]
        };
        let table = grid(&["NODE", "OUTCOME", "MESSAGE"], self.nodes.iter().map(row));
        let swapped = self.nodes.iter().filter(|account| account.outcome == Outcome::Swapped).count();
        let mode = if self.dry_run { " (server dry run)" } else { "" };
        format!("{table}\n\n{swapped} of {} nodes now have {}{mode}.\n", self.nodes.len(), self.to)
    }
}

/// Swaps the finalizers of all nodes that may be.
pub(super) async fn rewrite(
    cluster: &mut Cluster,
    direction: Direction,
    args: &Args,
) -> anyhow::Result<Report> {
    let policies = policies(cluster).await?;
    match direction {
        Direction::ToOurs => {
            old::must_rest(&old::from_cluster(cluster).await?)?;
            ensure!(
                policies.is_some(),
                "the cluster does not know NodeCleanupPolicy: `groundskeeper install` first"
            );
        }
        Direction::Back => nobody_acts(policies.as_ref())?,
    }
    let nodes = records::node_resource(cluster).await?;
    let (from, to) = direction.finalizer();
    let found = objects::list_metadata(&cluster.client, &nodes).await.context("cannot list the nodes")?;
    let found: Vec<_> =
        found.into_iter().filter(|node| Held::of(node).finalizers.iter().any(|one| one == from)).collect();
    if !(found.is_empty() || args.yes || args.dry_run) {
        output::confirm(&format!("Swap {from} for {to} on {} nodes?", found.len()), "nothing was changed")?;
    }
    let effect = if args.dry_run { Effect::DryRun } else { Effect::Real };
    let mut accounts = Vec::with_capacity(found.len());
    for node in &found {
        let why = why_left(node, direction, policies.as_ref());
        accounts.push(match why {
            Some(why) => account(node, Outcome::Left, Some(why)),
            None => swap(cluster, &nodes, node, (direction, effect)).await?,
        });
    }
    Ok(Report { api_version: OURS, kind: "NodeRewrite", from, to, dry_run: args.dry_run, nodes: accounts })
}

/// The policies that decide of nodes, and which of them only plan.
struct Policies {
    compiled: Vec<Policy>,
    planning: BTreeSet<String>,
}

async fn policies(cluster: &mut Cluster) -> anyhow::Result<Option<Policies>> {
    let Some(resource) = cluster.resource(OURS, "NodeCleanupPolicy").await? else { return Ok(None) };
    let plugins = match cluster.resource(OURS, "CleanupPlugin").await? {
        Some(kind) => {
            objects::list_metadata(&cluster.client, &kind).await.context("cannot list the plugins")?
        }
        None => Vec::new(),
    };
    let known = |name: &str| {
        let is_declared = plugins.iter().any(|plugin| text(plugin, "/metadata/name") == name);
        (is_declared || BUILT_IN_PLUGINS.contains(&name)).then(PluginFacts::default)
    };
    let mut policies = Policies { compiled: Vec::new(), planning: BTreeSet::new() };
    let found = objects::list(&cluster.client, &resource, None)
        .await
        .context("cannot list the policies for nodes")?;
    for object in found {
        let name = text(&object, "/metadata/name").to_owned();
        let policy: NodeCleanupPolicy =
            serde_json::from_value(object).with_context(|| format!("NodeCleanupPolicy {name}"))?;
        if policy.spec.dry_run {
            policies.planning.insert(name.clone());
        }
        let compiled = Policy::compile(&policy, &known);
        policies.compiled.push(compiled.with_context(|| format!("NodeCleanupPolicy {name}"))?);
    }
    Ok(Some(policies))
}

/// Refuses while a policy of ours would put our finalizer back.
fn nobody_acts(policies: Option<&Policies>) -> anyhow::Result<()> {
    let Some(policies) = policies else { return Ok(()) };
    let acting = policies.compiled.iter().find(|policy| !policies.planning.contains(&*policy.name));
    ensure!(
        acting.is_none(),
        "policy {} would put our finalizer back: write `dryRun: true` in it first",
        acting.map(|policy| &*policy.name).unwrap_or_default()
    );
    Ok(())
}

/// Why a node is left as it is, if it is.
fn why_left(node: &Value, direction: Direction, policies: Option<&Policies>) -> Option<String> {
    let held = Held::of(node);
    if held.since.is_some() {
        return Some(format!(
            "it is being deleted, and gets no finalizer any more: let the old system finish, or take {} off by hand",
            direction.finalizer().0
        ));
    }
    if direction == Direction::Back {
        return None;
    }
    let labels: BTreeMap<String, String> = node
        .pointer("/metadata/labels")
        .and_then(|labels| serde_json::from_value(labels.clone()).ok())
        .unwrap_or_default();
    let policies = policies?;
    match Policy::of(&policies.compiled, &labels) {
        None => {
            Some("no NodeCleanupPolicy decides of it, so that nobody would take our finalizer off".to_owned())
        }
        Some(policy) if policies.planning.contains(&*policy.name) => {
            Some(format!("policy {} only plans: write `dryRun: false` in it first", policy.name))
        }
        Some(_) => None,
    }
}

async fn swap(
    cluster: &mut Cluster,
    resource: &Resource,
    node: &Value,
    (direction, effect): (Direction, Effect),
) -> anyhow::Result<Account> {
    let held = Held::of(node);
    let object = ObjectRef { resource, namespace: None, name: &held.name };
    let handling = Handling::Swap { finalizer: direction.finalizer(), annotation: direction.annotation() };
    Ok(match handle(&cluster.client, object, &Uid::from(&*held.uid), handling, effect).await {
        Ok(Dismantled::Accepted) => account(node, Outcome::Swapped, None),
        Ok(Dismantled::Gone | Dismantled::Replaced) => account(node, Outcome::Gone, None),
        Err(error) => {
            let error = who::explain(cluster, error, &["release"]).await;
            account(node, Outcome::Left, Some(format!("{error:#}")))
        }
    })
}

fn account(node: &Value, outcome: Outcome, message: Option<String>) -> Account {
    let text = |pointer| text(node, pointer).to_owned();
    Account { node: text("/metadata/name"), node_uid: text("/metadata/uid"), outcome, message }
}
