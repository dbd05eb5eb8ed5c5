//! `groundskeeper nodes cleanup`: deletes a Node, so that it leaves as its policy says.
//!
//! Shows what would happen, and asks. Then it makes sure that the departure really runs: some policy decides of the node, and
//! our finalizer is on it in the very version that is deleted.

use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use api::node_cleanup::{NODE_FINALIZER, SKIP_CLEANUP_ANNOTATION};
use chassis::actuator::dismantle::{Dismantled, dismantle_as_seen};
use chassis::objects::{self, Effect, ObjectRef};
use control::{Clock as _, SystemClock};
use serde_json::Value;
use units::{ResourceVersion, Span, Uid};

use super::plan::{self, Why};
use super::records::{self, Held};
use super::stock::Stock;
use super::{cluster as reading, watch};
use crate::cluster::{Cluster, Connection, text};
use crate::limits::{APPROVAL_ATTEMPTS_MAX, FINALIZER_WAIT_MAX, LOOK_PAUSE};
use crate::output::{self, Form};

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
A deletion cannot be taken back: the node leaves. It is refused if no NodeCleanupPolicy decides of the node, or the one that \
does only plans, for then the Node would go at once and nothing would be done. Our finalizer is waited for if it is missing. \
If the node is made anew meanwhile, nothing is deleted.

Exit status: 0 if the node leaves, also if it did so already; with --wait that of `nodes watch`; 1 after any error, also if \
nobody confirms.";

/// What `nodes cleanup` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The name of the node.
    #[arg(value_name = "NODE")]
    node: String,

    /// Do not ask. Default: ask on a terminal, and refuse where there is none.
    #[arg(short, long)]
    yes: bool,

    /// Show what would be done, let the server judge the deletion, and change nothing.
    #[arg(long)]
    dry_run: bool,

    /// Watch the departure until it has ended. Default: end once it has begun.
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,

    /// How long to watch, such as 30m. Default: as long as it takes.
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration, requires = "wait")]
    timeout: Option<Span>,

    #[command(flatten)]
    connection: Connection,
}

/// Cleans up.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connection.cluster().await?;
    let node = &args.node;
    let held =
        records::node(&mut cluster, node).await?.with_context(|| format!("there is no node {node}"))?;
    if held.since.is_some() {
        ensure!(
            held.is_ours(),
            "node {node} is being deleted already, and not held by us but by {}",
            held.finalizers.join(", ")
        );
        output::print(&format!("node {} leaves already\n", output::printable(node)))?;
        return follow(&mut cluster, &args).await;
    }
    let mut stock = Stock::default();
    let warnings = reading::fill(&mut stock, &mut cluster, node).await?;
    let plan = plan::make(&stock, node, Why::Deletion, (SystemClock.now(), warnings))?;
    plan::print(&plan, Form::Table)?;
    is_governed(&stock, plan.policy.as_deref(), node)?;
    if !(args.yes || args.dry_run) {
        output::confirm(&format!("Delete node {node}, so that it leaves for good?"), "nothing was deleted")?;
    }
    if args.dry_run && !held.is_ours() {
        output::tell(&format!("{NODE_FINALIZER} is not on the node: it would be waited for\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let effect = if args.dry_run { Effect::DryRun } else { Effect::Real };
    remove(&mut cluster, &held, effect).await?;
    if args.dry_run {
        output::print(&format!("node {} would leave (server dry run)\n", output::printable(node)))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::print(&format!("node {} leaves\n", output::printable(node)))?;
    follow(&mut cluster, &args).await
}

async fn follow(cluster: &mut Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    if args.wait {
        return watch::follow(cluster, Some(&args.node), args.timeout, Form::Table).await;
    }
    output::tell(&format!(
        "`groundskeeper nodes watch {}` shows how far it is\n",
        output::printable(&args.node)
    ));
    Ok(ExitCode::SUCCESS)
}

/// Refuses a node of which no policy decides that acts.
fn is_governed(stock: &Stock, policy: Option<&str>, node: &str) -> anyhow::Result<()> {
    let Some(policy) = policy else {
        let reason = if stock.policies.is_empty() {
            "there is no NodeCleanupPolicy: write one"
        } else {
            "no NodeCleanupPolicy selects it: write one that does, and with `unlock: [ControlPlaneNodes]` if it belongs to the control plane"
        };
        bail!(
            "nothing would be done for node {node}: {reason}; or delete it by `kubectl delete node {node}` as it is"
        );
    };
    let found = stock.policies.iter().find(|found| found.metadata.name.as_deref() == Some(policy));
    let spec = &found.with_context(|| format!("policy {policy} is gone"))?.spec;
    ensure!(
        !spec.dry_run,
        "nothing would be done for node {node}: policy {policy} only plans; write `dryRun: false` in it"
    );
    let (_, manifest) = stock.node(node).with_context(|| format!("there is no node {node}"))?;
    let skips = manifest.pointer("/metadata/annotations").and_then(|all| all.get(SKIP_CLEANUP_ANNOTATION));
    ensure!(
        skips.and_then(Value::as_str) != Some("true"),
        "nothing would be done for node {node}: its annotation {SKIP_CLEANUP_ANNOTATION} says so; take that off first"
    );
    if spec.paused {
        output::tell(&format!("policy {policy} is paused: the node waits until it is not\n"));
    }
    Ok(())
}

/// Deletes the incarnation that was shown, in a version that carries our finalizer.
async fn remove(cluster: &mut Cluster, shown: &Held, effect: Effect) -> anyhow::Result<()> {
    let resource = records::node_resource(cluster).await?;
    let object = ObjectRef { resource: &resource, namespace: None, name: &shown.name };
    let uid = Uid::from(&*shown.uid);
    for _ in 0..APPROVAL_ATTEMPTS_MAX {
        let version = finalized(cluster, object, shown).await?;
        let answer = dismantle_as_seen(&cluster.client, object, (&uid, &version), effect).await;
        match answer.with_context(|| format!("cannot delete {object}"))? {
            Dismantled::Accepted => return Ok(()),
            Dismantled::Gone => bail!("{object} is gone"),
            // Its status is written all the time, so that it may only be newer.
            Dismantled::Replaced => {}
        }
    }
    bail!("{object} changes all the time; nothing was deleted: run this again")
}

/// The version in which the node carries our finalizer; waited for if it does not.
async fn finalized(
    cluster: &Cluster,
    object: ObjectRef<'_>,
    shown: &Held,
) -> anyhow::Result<ResourceVersion> {
    let look = async {
        let mut has_told = false;
        loop {
            let found = objects::look_at(&cluster.client, object).await?;
            let found = found.filter(|found| text(found, "/metadata/uid") == shown.uid);
            let found = found.with_context(|| format!("{object} went meanwhile; nothing was deleted"))?;
            if Held::of(&found).is_ours() {
                return Ok(ResourceVersion::from(text(&found, "/metadata/resourceVersion")));
            }
            if !std::mem::replace(&mut has_told, true) {
                output::tell(&format!("waiting until the operator has put {NODE_FINALIZER} on {object}\n"));
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    match tokio::time::timeout(FINALIZER_WAIT_MAX, look).await {
        Ok(version) => version,
        Err(_) => bail!(
            "nobody has put {NODE_FINALIZER} on {object}, so that it would go at once and nothing would be done; nothing was deleted: `groundskeeper check` looks whether the operator runs"
        ),
    }
}
