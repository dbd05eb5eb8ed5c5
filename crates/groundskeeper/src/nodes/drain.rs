//! `groundskeeper nodes drain` and `undrain`: a maintenance of a node, made and taken back.
//!
//! The flags are `kubectl drain`'s. What is made is a `NodeMaintenance` with the node's name, so that the drain goes on when
//! this program ends, and is taken back by deleting that one object.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use api::NodeMaintenance;
use api::garbage_collection::LabelSelector;
use api::node_cleanup::{Blocker, DrainSettings, MaintenancePhase};
use chassis::Resource;
use chassis::actuator::dismantle::{Dismantled, dismantle};
use chassis::objects::{self, Effect, ObjectRef};
use control::{Clock as _, SystemClock};
use serde_json::{Value, json};
use units::{Span, Uid};

use super::plan::{self, Why};
use super::stock::Stock;
use super::{OURS, cluster as reading, decide, records, who};
use crate::cluster::{Cluster, Connection, text};
use crate::label_selector;
use crate::limits::{DRAIN_WORD_WAIT, LOOK_PAUSE, RECORDS_LOOK_PAUSE, TAKEN_UP_WAIT, UNDRAIN_WAIT_MAX};
use crate::output::{self, Form};

/// Says that `nodes drain` made a maintenance, and for whom.
const DRAINED_BY: &str = "groundskeeper.dev/drained-by";

/// The drain has failed: the node was refused, or the time ran out.
const FAILED: u8 = 2;
/// The drain has not ended in time, and the operator has not said so.
const UNHEARD: u8 = 4;

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
It makes a NodeMaintenance with the node's name, and waits. If this program ends, the drain goes on; `groundskeeper nodes \
undrain NODE` takes it back. Without --force and --delete-emptydir-data a node is refused as a whole if something would be \
lost, as kubectl does; pods of DaemonSets are left alone unless --ignore-daemonsets=false refuses the node for them.

Exit status: 0 if the node is empty, or with --no-wait asked for; 2 if the drain has failed; 4 if nobody says so although \
its time is up; 1 after any error.";

/// The same for `undrain`.
pub(crate) const UNDRAIN_HELP: &str = "\
It deletes the NodeMaintenance that `nodes drain` made, by its UID, and waits until it is gone. The operator takes off what \
that maintenance put on the node, and no more: a node that was cordoned before stays cordoned.

Exit status: 0; 1 after any error.";

/// What `nodes drain` is told.
#[derive(clap::Args, Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct Args {
    /// The name of the node.
    #[arg(value_name = "NODE")]
    node: String,

    /// Evict pods, too, that no controller would create again.
    #[arg(long)]
    force: bool,

    /// Evict pods with emptyDir volumes, too; what lies there is lost.
    #[arg(long)]
    delete_emptydir_data: bool,

    /// Whether pods of DaemonSets are left alone; false refuses a node that has any. Default: true.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    ignore_daemonsets: Option<bool>,

    /// Seconds that each pod gets to end: 1 to 86,400; -1 is what the pod itself asks for. Default: -1.
    #[arg(long, value_name = "SECONDS", value_parser = grace_period, allow_negative_numbers = true)]
    grace_period: Option<i64>,

    /// Do not wait for pods whose time to end was up longer than so many seconds ago: 0 to 86,400; 0 waits for all.
    /// Default: 0.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(0..=86_400))]
    skip_wait_for_delete_timeout: Option<i64>,

    /// Only pods whose labels match, such as app=web,tier!=cache. Default: all.
    #[arg(long, value_name = "SELECTOR", value_parser = label_selector::parse)]
    pod_selector: Option<LabelSelector>,

    /// Delete pods instead of evicting them, past all disruption budgets.
    #[arg(long)]
    disable_eviction: bool,

    /// How long the drain may take, such as 10m, at most 7d; 0s is as long as it takes. Default: 0s.
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    timeout: Option<Span>,

    /// Show what would be done, let the server judge it, and change nothing.
    #[arg(long, value_name = "HOW", num_args = 0..=1, default_missing_value = "server", require_equals = true, value_enum)]
    dry_run: Option<DryRun>,

    /// Do not wait until the node is empty. Default: wait, and show how far it is.
    #[arg(long)]
    no_wait: bool,

    /// Why, for whoever sees the maintenance: one line of at most 1,024 bytes.
    #[arg(long, value_name = "TEXT", value_parser = decide::reason)]
    reason: Option<String>,

    #[command(flatten)]
    connection: Connection,
}

/// kubectl's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum DryRun {
    /// It is done.
    None,
    /// The server is not asked to judge it.
    Client,
    /// The server judges it.
    Server,
}

/// What `nodes undrain` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct UndrainArgs {
    /// The name of the node.
    #[arg(value_name = "NODE")]
    node: String,

    /// Do not wait until the maintenance is gone. Default: wait.
    #[arg(long)]
    no_wait: bool,

    #[command(flatten)]
    connection: Connection,
}

fn grace_period(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(seconds) if seconds == -1 || (1..=86_400).contains(&seconds) => Ok(seconds),
        Ok(0) => {
            Err("0 would not let a pod end at all: write 1, or -1 for what the pod itself asks for"
                .to_owned())
        }
        _ => Err("write seconds from 1 to 86400, or -1 for what the pod itself asks for".to_owned()),
    }
}

impl Args {
    /// What was not said is left to the API's own defaults.
    fn settings(&self) -> anyhow::Result<DrainSettings> {
        let said = |flag: bool| flag.then_some(true);
        let timeout = self.timeout.map(|span| i64::try_from(Duration::from(span).as_secs())).transpose()?;
        Ok(DrainSettings {
            force: said(self.force),
            delete_empty_dir_data: said(self.delete_emptydir_data),
            ignore_daemon_sets: self.ignore_daemonsets,
            grace_period_seconds: self.grace_period,
            skip_wait_for_delete_timeout_seconds: self.skip_wait_for_delete_timeout,
            pod_selector: self.pod_selector.clone(),
            evict_daemon_set_pods: None,
            disable_eviction: said(self.disable_eviction),
            timeout_seconds: timeout,
            volume_pods_at_once: None,
        })
    }

    fn spec(&self) -> anyhow::Result<Value> {
        let mut spec = json!({"nodeName": self.node, "drain": self.settings()?});
        if let (Some(reason), Some(spec)) = (&self.reason, spec.as_object_mut()) {
            spec.insert("reason".to_owned(), json!(reason));
        }
        Ok(spec)
    }

    /// How long to wait for the operator's word.
    fn patience(&self) -> Duration {
        let timeout = self.timeout.filter(|span| !span.is_zero());
        timeout.map_or(Duration::MAX, |span| Duration::from(span).saturating_add(DRAIN_WORD_WAIT))
    }
}

/// Drains.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connection.cluster().await?;
    let node = records::node(&mut cluster, &args.node).await?;
    let node = node.with_context(|| format!("there is no node {}", args.node))?;
    ensure!(
        node.since.is_none(),
        "node {} is being deleted: it leaves for good, and `groundskeeper nodes watch {}` shows how far it is",
        args.node,
        args.node
    );
    if let Some(how) = args.dry_run.filter(|how| *how != DryRun::None) {
        return rehearse(&mut cluster, &args, how).await;
    }
    let resource = records::kind(&mut cluster, "NodeMaintenance").await?;
    let uid = make(&mut cluster, &resource, &args).await?;
    if args.no_wait {
        return Ok(ExitCode::SUCCESS);
    }
    let waiting = wait(&cluster, &resource, (&args.node, &uid));
    if let Ok(ended) = tokio::time::timeout(args.patience(), waiting).await {
        return ended;
    }
    output::tell(
        "the time is up, and the operator has not said so: `groundskeeper check` looks whether it runs\n",
    );
    Ok(ExitCode::from(UNHEARD))
}

/// Shows the plan of the drain as it would be.
async fn rehearse(cluster: &mut Cluster, args: &Args, how: DryRun) -> anyhow::Result<ExitCode> {
    if how == DryRun::Server {
        let resource = records::kind(cluster, "NodeMaintenance").await?;
        let manifest = manifest(args, "dry-run")?;
        let tried = objects::create(&cluster.client, &resource, None, &manifest, Effect::DryRun).await;
        tried.with_context(|| format!("the maintenance of node {} would be refused", args.node))?;
    }
    let mut stock = Stock::default();
    let warnings = reading::fill(&mut stock, cluster, &args.node).await?;
    stock.maintenances = vec![serde_json::from_value(manifest(args, "dry-run")?)?];
    let plan = plan::make(&stock, &args.node, Why::Maintenance, (SystemClock.now(), warnings))?;
    plan::print(&plan, Form::Table)?;
    Ok(ExitCode::SUCCESS)
}

fn manifest(args: &Args, by: &str) -> anyhow::Result<Value> {
    Ok(json!({
        "apiVersion": OURS,
        "kind": "NodeMaintenance",
        "metadata": {"name": args.node, "annotations": {DRAINED_BY: by}},
        "spec": args.spec()?,
    }))
}

/// Makes the maintenance, or finds it as it is wanted; returns its UID.
async fn make(cluster: &mut Cluster, resource: &Resource, args: &Args) -> anyhow::Result<String> {
    let node = &args.node;
    let by = who::am_i(cluster).await?;
    let manifest = manifest(args, &by)?;
    match objects::create(&cluster.client, resource, None, &manifest, Effect::Real).await {
        Ok(made) => {
            output::print(&format!("node {} is to be empty\n", output::printable(node)))?;
            return Ok(text(&made, "/metadata/uid").to_owned());
        }
        Err(error) if error.code() == Some(409) => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot make the maintenance of node {node}"));
        }
    }
    let object = ObjectRef { resource, namespace: None, name: node };
    let found = objects::look_at(&cluster.client, object).await?;
    let found =
        found.with_context(|| format!("the maintenance of node {node} went meanwhile: run this again"))?;
    let going = found.pointer("/metadata/deletionTimestamp").is_some();
    ensure!(!going, "node {node} is just being given back: wait for that, and run this again");
    let spec =
        |object: &Value| -> anyhow::Result<NodeMaintenance> { Ok(serde_json::from_value(object.clone())?) };
    let (is, wanted) = (spec(&found)?.spec, spec(&manifest)?.spec);
    ensure!(
        is.node_name == wanted.node_name && is.drain == wanted.drain,
        "there is a maintenance of node {node} already, with other settings: `groundskeeper nodes undrain {node}` takes it back"
    );
    output::print(&format!("node {} is to be empty already\n", output::printable(node)))?;
    Ok(text(&found, "/metadata/uid").to_owned())
}

/// Waits until the drain has ended, and tells how far it is.
async fn wait(cluster: &Cluster, resource: &Resource, (node, uid): (&str, &str)) -> anyhow::Result<ExitCode> {
    let object = ObjectRef { resource, namespace: None, name: node };
    let begun = SystemClock.steady();
    let (mut seen, mut has_warned) = (Vec::new(), false);
    loop {
        let found =
            objects::look_at(&cluster.client, object).await.context("cannot see how far the drain is")?;
        let Some(found) = found.filter(|found| text(found, "/metadata/uid") == uid) else {
            bail!("somebody has taken the maintenance of node {node} back")
        };
        let maintenance: NodeMaintenance = serde_json::from_value(found)?;
        let is = lines(&maintenance);
        for line in is.iter().filter(|line| !seen.contains(*line)) {
            output::print(&format!("{}\n", output::printable(line)))?;
        }
        match maintenance.status.as_ref().map(|status| status.phase).unwrap_or_default() {
            MaintenancePhase::Succeeded => return Ok(ExitCode::SUCCESS),
            MaintenancePhase::Failed => {
                let how = format!(
                    "what was cordoned stays so; `groundskeeper nodes undrain {node}` takes it back\n"
                );
                output::tell(&how);
                return Ok(ExitCode::from(FAILED));
            }
            MaintenancePhase::Pending if !has_warned && SystemClock.steady().since(begun) > TAKEN_UP_WAIT => {
                has_warned = true;
                output::tell("nobody has begun yet: `groundskeeper check` looks whether the operator runs\n");
            }
            _ => {}
        }
        seen = is;
        tokio::time::sleep(RECORDS_LOOK_PAUSE).await;
    }
}

/// How far a maintenance is, in lines that are worth to be told when they are new.
fn lines(maintenance: &NodeMaintenance) -> Vec<String> {
    let node = &maintenance.spec.node_name;
    let Some(status) = &maintenance.status else { return Vec::new() };
    let mut lines = vec![match status.phase {
        MaintenancePhase::Pending => format!("node {node} waits"),
        MaintenancePhase::Running => {
            format!("node {node}: {} of {} pods left", status.pods_left, status.pods_total)
        }
        MaintenancePhase::Succeeded => format!("node {node} is empty"),
        MaintenancePhase::Failed => {
            let why = status.conditions.iter().find(|condition| condition.type_ == "Ready");
            let why = why.map(|why| format!(": {}", why.message)).unwrap_or_default();
            format!("node {node} was not drained{why}")
        }
    }];
    let blocker = |Blocker { reason, message, .. }: &Blocker| format!("  {reason}: {message}");
    lines.extend(status.blockers.iter().map(blocker));
    lines
}

/// Gives a node back.
pub(super) async fn undo(args: UndrainArgs) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connection.cluster().await?;
    let node = &args.node;
    let resource = records::kind(&mut cluster, "NodeMaintenance").await?;
    let object = ObjectRef { resource: &resource, namespace: None, name: node };
    let Some(found) =
        objects::look_at(&cluster.client, object).await.context("cannot read the maintenance")?
    else {
        let others = others(&cluster, &resource, node).await?;
        ensure!(others.is_empty(), "`nodes drain` has not drained node {node}; {others} did");
        output::print(&format!("node {} was not drained by `nodes drain`\n", output::printable(node)))?;
        return Ok(ExitCode::SUCCESS);
    };
    let drained_by = found.pointer("/metadata/annotations").and_then(|all| all.get(DRAINED_BY));
    ensure!(
        drained_by.is_some() && text(&found, "/spec/nodeName") == node,
        "`nodes drain` did not make {object}: delete it by `kubectl delete nodemaintenance {node}` if it is yours"
    );
    let uid = Uid::from(text(&found, "/metadata/uid"));
    match dismantle(&cluster.client, object, &uid, Effect::Real)
        .await
        .with_context(|| format!("cannot delete {object}"))?
    {
        Dismantled::Replaced => bail!("{object} was made anew meanwhile: look at it, and run this again"),
        Dismantled::Accepted | Dismantled::Gone => {}
    }
    if !args.no_wait {
        gone(&cluster, object, &uid).await?;
    }
    let word = if args.no_wait { "is being given back" } else { "is given back" };
    output::print(&format!("node {} {word}\n", output::printable(node)))?;
    Ok(ExitCode::SUCCESS)
}

/// The maintenances of the node that bear other names.
async fn others(cluster: &Cluster, resource: &Resource, node: &str) -> anyhow::Result<String> {
    let found =
        objects::list(&cluster.client, resource, None).await.context("cannot list the maintenances")?;
    let of_it = found.iter().filter(|object| text(object, "/spec/nodeName") == node);
    let names: Vec<_> =
        of_it.map(|object| format!("NodeMaintenance {}", text(object, "/metadata/name"))).collect();
    Ok(names.join(", "))
}

async fn gone(cluster: &Cluster, object: ObjectRef<'_>, uid: &Uid) -> anyhow::Result<()> {
    let look = async {
        loop {
            let found = objects::look_at(&cluster.client, object).await?;
            if found.is_none_or(|found| Uid::from(text(&found, "/metadata/uid")) != *uid) {
                return Ok::<(), anyhow::Error>(());
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    match tokio::time::timeout(UNDRAIN_WAIT_MAX, look).await {
        Ok(gone) => gone,
        Err(_) => bail!(
            "{object} does not go: `groundskeeper check` looks whether the operator runs, which has to take back what it put on the node"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn spec(arguments: &str) -> Value {
        let words = ["drain"].into_iter().chain(arguments.split_whitespace());
        Line::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).args.spec().unwrap()
    }

    #[test]
    fn what_kubectl_is_told_stands_in_the_maintenance() {
        assert_eq!(spec("a"), json!({"nodeName": "a", "drain": {}}));
        let given = spec(
            "a --force --delete-emptydir-data --ignore-daemonsets --grace-period -1 --skip-wait-for-delete-timeout 60 \
             --pod-selector app=web --disable-eviction --timeout 10m --reason kernel",
        );
        let drain = json!({
            "force": true, "deleteEmptyDirData": true, "ignoreDaemonSets": true, "gracePeriodSeconds": -1,
            "skipWaitForDeleteTimeoutSeconds": 60, "podSelector": {"matchLabels": {"app": "web"}},
            "disableEviction": true, "timeoutSeconds": 600,
        });
        assert_eq!(given, json!({"nodeName": "a", "reason": "kernel", "drain": drain}));
        assert_eq!(spec("a --ignore-daemonsets=false")["drain"], json!({"ignoreDaemonSets": false}));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for arguments in
            ["a --grace-period 0", "a --grace-period -2", "a --pod-selector a=,", "a --dry-run=never", ""]
        {
            let words = ["drain"].into_iter().chain(arguments.split_whitespace());
            assert!(Line::try_parse_from(words).is_err(), "{arguments}");
        }
    }
}
