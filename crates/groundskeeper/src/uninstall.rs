//! `groundskeeper uninstall`: takes out what `install` put in, and leaves nothing that blocks anyone.
//!
//! What could block goes first, then the operator, then what it stood on. It works whether or not the operator lives,
//! however much of it is left, and in every order of attempts. It takes objects by their exact names, and only those that
//! carry our label; each by its UID.
//!
//! Nodes carry our finalizer, and could not be deleted without us. So what puts it on goes first; then departures under way
//! end or are released; then the operator, and its rights, for one may run outside of the cluster as well; then the finalizer
//! is taken off all nodes, and counted; and only then the rest.

mod nodes;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use api::garbage_collection::POLICY_KINDS;
use api::{DEFAULT_NAMESPACE, GROUP, VERSION};
use chassis::actuator::dismantle::{Dismantled, dismantle};
use chassis::objects::{self, Effect};
use chassis::rights::{LEASE_NAMES, LEDGER_CONFIG_MAP, WEBHOOK_SECRET};
use serde_json::{Value, json};
use units::Uid;

use crate::cluster::{Cluster, Connection, Named, is_labelled, text};
use crate::limits::{DEFINITION_WAIT_MAX, FOREIGN_LOOKED_AT_MAX, LOOK_PAUSE, PODS_WAIT_MAX};
use crate::manifests::{self, MANAGED_BY, RbacOptions};
use crate::nodes::records::Held;
use crate::{names, output};

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
Policies, and the definition of their kind, stay unless --delete-policies is given; objects that policies look at are \
never touched. Nodes lose our finalizer and our marks, and nothing else: afterwards `kubectl delete node` deletes them at once. If \
departures of nodes are under way, nothing is changed before --wait-for-departures or --release-departures says what becomes of \
them. The namespace stays if it was there before the installation, or holds anything of somebody else's.

Exit status: 0 if nothing is left that could block a request; 1 after any error.";

/// Kinds in the order in which their objects go: what blocks, what runs, what it stands on.
const ORDER: [&str; 23] = [
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
    "MutatingAdmissionPolicy",
    "Deployment",
    "ServiceMonitor",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "Service",
    "ClusterRoleBinding",
    "RoleBinding",
    "ClusterRole",
    "Role",
    "FlowSchema",
    "PriorityLevelConfiguration",
    "Lease",
    "Secret",
    "ConfigMap",
    "ServiceAccount",
    "CustomResourceDefinition",
    "Namespace",
];

/// How many kinds at the head of [`ORDER`] can block requests.
const BLOCKING: usize = 6;

/// What `uninstall` is told.
#[derive(clap::Args, Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct Args {
    /// The namespace that it was installed into: 1 to 63 lower-case letters, digits and dashes.
    #[arg(long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE, value_parser = names::namespace)]
    namespace: String,

    /// The service account that it ran as.
    #[arg(long, value_name = "NAME", default_value = "groundskeeper", value_parser = names::service_account)]
    service_account: String,

    /// Do not ask. Default: ask on a terminal, and refuse where there is none.
    #[arg(short, long)]
    yes: bool,

    /// Let the server judge everything and delete nothing; the lines are the same.
    #[arg(long)]
    dry_run: bool,

    /// Delete the policies, too, with the definition of their kind.
    #[arg(long, conflicts_with = "keep_crds")]
    delete_policies: bool,

    /// Keep the definitions, also if there is no policy. Default: they go if there is none.
    #[arg(long)]
    keep_crds: bool,

    #[command(flatten)]
    nodes: nodes::NodeOptions,

    #[command(flatten)]
    connection: Connection,
}

/// An object of ours that is there.
struct Found {
    named: Named,
    uid: Uid,
}

/// What there is: what goes, in this order, and what stays and why.
#[derive(Default)]
struct Survey {
    goes: Vec<Found>,
    stays: Vec<String>,
}

/// Uninstalls.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connection.cluster().await?;
    let survey = survey(&mut cluster, &args).await?;
    let held = nodes::look(&mut cluster).await?;
    let choice = nodes::choose(&held, &args.nodes, !args.yes);
    let choice = if args.dry_run { None } else { Some(choice?) };
    for line in &survey.stays {
        output::print(&format!("{line}\n"))?;
    }
    if !(survey.goes.is_empty() && held.is_empty()) {
        confirm(&survey, &held, &args)?;
    }
    take_out(&mut cluster, &survey, choice, &args).await?;
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    verify(&mut cluster).await?;
    output::print("nothing of Groundskeeper is left that could block a request\n")?;
    Ok(ExitCode::SUCCESS)
}

/// Looks for everything that any installation may have declared, and what the operator makes by itself.
async fn survey(cluster: &mut Cluster, args: &Args) -> anyhow::Result<Survey> {
    let options = RbacOptions {
        namespace: args.namespace.clone(),
        service_account: args.service_account.clone(),
        ..RbacOptions::default()
    };
    let declared = manifests::all_ever_declared(&options)?;
    let is_declared = |definition: &Value| declared.iter().any(|manifest| is_same(manifest, definition));
    let defined: Vec<_> = node_definitions().into_iter().filter(|one| !is_declared(one)).collect();
    let declared = declared.into_iter().map(|manifest| (manifest, Mark::Label));
    let made = made_by_the_operator(&args.namespace).into_iter().map(|manifest| (manifest, Mark::Name));
    let defined = defined.into_iter().map(|manifest| (manifest, Mark::Name));
    let mut candidates: Vec<_> = declared.chain(made).chain(defined).collect();
    candidates.sort_by_key(|(manifest, _)| rank(text(manifest, "/kind")));
    let mut survey = Survey::default();
    for (manifest, mark) in candidates {
        let Some(named) = cluster.named(&manifest).await? else { continue };
        let found = cluster.look_at(&named).await.with_context(|| named.reference().to_string())?;
        let Some(found) = found else { continue };
        let is_definition = named.resource.kind.kind == "CustomResourceDefinition";
        if mark == Mark::Label && !is_definition && !is_labelled(&found, MANAGED_BY) {
            survey.stays.push(format!("{} stays: it does not carry our label", named.reference()));
            continue;
        }
        let why = match &*named.resource.kind.kind {
            "CustomResourceDefinition" => why_definition_stays(cluster, &named.name, args).await?,
            "Namespace" => why_namespace_stays(cluster, &survey, &named.name).await?,
            _ => None,
        };
        match why {
            Some(why) => survey.stays.push(format!("{} stays: {why}", named.reference())),
            None => survey.goes.push(Found { uid: Uid::from(text(&found, "/metadata/uid")), named }),
        }
    }
    Ok(survey)
}

/// What an object is known by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// Its name, and our label.
    Label,
    /// Its name in our own namespace.
    Name,
}

fn rank(kind: &str) -> usize {
    ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len())
}

fn is_same(one: &Value, other: &Value) -> bool {
    ["/apiVersion", "/kind", "/metadata/namespace", "/metadata/name"]
        .iter()
        .all(|field| text(one, field) == text(other, field))
}

/// The definitions of the kinds of node cleanup, however they came into the cluster.
fn node_definitions() -> Vec<Value> {
    let names = api::node_crds().into_iter().filter_map(|definition| definition.metadata.name);
    names
        .map(|name| {
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name}})
        })
        .collect()
}

fn made_by_the_operator(namespace: &str) -> Vec<Value> {
    let object = |api_version: &str, kind: &str, name: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}});
    let leases = LEASE_NAMES.iter().map(|name| object("coordination.k8s.io/v1", "Lease", name));
    let held = [object("v1", "Secret", WEBHOOK_SECRET), object("v1", "ConfigMap", LEDGER_CONFIG_MAP)];
    leases.chain(held).collect()
}

async fn why_definition_stays(
    cluster: &mut Cluster,
    name: &str,
    args: &Args,
) -> anyhow::Result<Option<String>> {
    if args.keep_crds {
        return Ok(Some("--keep-crds is given".to_owned()));
    }
    if args.delete_policies {
        return Ok(None);
    }
    if node_definitions().iter().any(|definition| text(definition, "/metadata/name") == name) {
        return nodes::why_definition_stays(cluster).await;
    }
    let policies = policies(cluster, 1).await?;
    let why = "there are policies: delete them, or give --delete-policies";
    Ok((!policies.is_empty()).then(|| why.to_owned()))
}

/// Policies of either kind, wherever they are; at most so many of each.
async fn policies(cluster: &mut Cluster, most: u32) -> anyhow::Result<Vec<Value>> {
    let mut policies = Vec::new();
    for kind in POLICY_KINDS {
        let Some(kind) = cluster.resource(&format!("{GROUP}/{VERSION}"), kind).await? else { continue };
        match objects::look_for(&cluster.client, &kind, None, "", most).await {
            Ok((found, _)) => policies.extend(found),
            // The kind went with its definition meanwhile.
            Err(error) if error.code() == Some(404) => {}
            Err(error) => return Err(anyhow::Error::from(error).context("cannot list the policies")),
        }
    }
    Ok(policies)
}

/// Kinds that people keep in namespaces: if one of theirs is in ours, the namespace is not ours alone.
const KEPT_IN_NAMESPACES: [(&str, &str); 9] = [
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("v1", "Secret"),
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
];

async fn why_namespace_stays(
    cluster: &mut Cluster,
    survey: &Survey,
    namespace: &str,
) -> anyhow::Result<Option<String>> {
    for (api_version, kind) in KEPT_IN_NAMESPACES {
        let Some(resource) = cluster.resource(api_version, kind).await? else { continue };
        let found =
            objects::look_for(&cluster.client, &resource, Some(namespace), "", FOREIGN_LOOKED_AT_MAX).await;
        let (found, _) = found.with_context(|| format!("cannot list what is in namespace {namespace}"))?;
        let foreign =
            found.iter().find(|object| !is_ours(object, survey) && !is_published(object, &resource.kind));
        if let Some(foreign) = foreign {
            let name = text(foreign, "/metadata/name");
            return Ok(Some(format!("{}/{name} in it is somebody else's", kind.to_lowercase())));
        }
    }
    Ok(None)
}

fn is_ours(object: &Value, survey: &Survey) -> bool {
    let uid = Uid::from(text(object, "/metadata/uid"));
    is_labelled(object, MANAGED_BY) || survey.goes.iter().any(|found| found.uid == uid)
}

fn is_published(object: &Value, kind: &units::GroupVersionKind) -> bool {
    api::protection::published_names(kind).contains(&text(object, "/metadata/name"))
}

/// Asks whoever sits there.
fn confirm(survey: &Survey, held: &[Held], args: &Args) -> anyhow::Result<()> {
    if args.yes || args.dry_run {
        return Ok(());
    }
    ensure!(std::io::stdin().is_terminal(), "nobody is there to confirm: give --yes");
    let mut out = std::io::stderr().lock();
    for found in &survey.goes {
        writeln!(out, "  {}", output::printable(&found.named.reference().to_string()))?;
    }
    if let Some(nodes) = nodes::summary(held) {
        writeln!(out, "  {}", output::printable(&nodes))?;
    }
    write!(out, "Delete these {} objects? [y/N] ", survey.goes.len())?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("cannot read an answer")?;
    ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "nothing was deleted");
    Ok(())
}

/// Takes everything out, in the order that holds nobody up: see the module.
async fn take_out(
    cluster: &mut Cluster,
    survey: &Survey,
    choice: Option<nodes::Choice>,
    args: &Args,
) -> anyhow::Result<()> {
    let of = |stage: Stage| {
        survey.goes.iter().filter(move |found| Stage::of(&found.named.resource.kind.kind) == stage)
    };
    take_out_these(cluster, of(Stage::PutsOn), args).await?;
    if let Some(choice) = choice {
        if args.delete_policies {
            nodes::remove_policies(cluster).await?;
        }
        nodes::settle(cluster, choice).await?;
    }
    take_out_these(cluster, of(Stage::Acts), args).await?;
    take_out_these(cluster, of(Stage::Allows), args).await?;
    nodes::strip(cluster, if args.dry_run { Effect::DryRun } else { Effect::Real }).await?;
    if !args.dry_run {
        nodes::unmark(cluster).await?;
        nodes::strip_ours(cluster).await?;
    }
    take_out_these(cluster, of(Stage::Rest), args).await
}

/// When an object goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It puts our finalizer on nodes as they are created: first.
    PutsOn,
    /// It refuses requests, or is the operator: before the finalizers.
    Acts,
    /// It gives the operator its rights: after it has ended, and before the finalizers, which it could put back.
    Allows,
    /// After them.
    Rest,
}

impl Stage {
    fn of(kind: &str) -> Self {
        match kind {
            _ if kind.starts_with("Mutating") => Self::PutsOn,
            _ if rank(kind) <= rank("Deployment") => Self::Acts,
            "ClusterRoleBinding" | "RoleBinding" => Self::Allows,
            _ => Self::Rest,
        }
    }
}

async fn take_out_these(
    cluster: &mut Cluster,
    these: impl Iterator<Item = &Found>,
    args: &Args,
) -> anyhow::Result<()> {
    let (effect, mode) =
        if args.dry_run { (Effect::DryRun, " (server dry run)") } else { (Effect::Real, "") };
    for Found { named, uid } in these {
        let object = named.reference();
        let outcome = dismantle(&cluster.client, object, uid, effect).await;
        let outcome = match outcome.with_context(|| format!("cannot delete {object}"))? {
            Dismantled::Accepted => "deleted",
            Dismantled::Gone => "gone",
            Dismantled::Replaced => bail!("{object} was made anew meanwhile: run it again"),
        };
        output::print(&format!("{object} {outcome}{mode}\n"))?;
        if effect == Effect::DryRun {
            continue;
        }
        match &*named.resource.kind.kind {
            "Deployment" => pods_end(cluster, &args.namespace).await?,
            "CustomResourceDefinition" => definition_ends(cluster, named).await?,
            _ => {}
        }
    }
    Ok(())
}

/// Waits until our pods have written their last words; they may still do so until their rights go.
async fn pods_end(cluster: &mut Cluster, namespace: &str) -> anyhow::Result<()> {
    let Some(pods) = cluster.resource("v1", "Pod").await? else { return Ok(()) };
    let label = format!("{}={}", MANAGED_BY.0, MANAGED_BY.1);
    let look = async {
        loop {
            let found = objects::look_for(&cluster.client, &pods, Some(namespace), &label, 1).await;
            if found.context("cannot look whether our pods have ended")?.0.is_empty() {
                return Ok::<(), anyhow::Error>(());
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    match tokio::time::timeout(PODS_WAIT_MAX, look).await {
        Ok(ended) => ended,
        Err(_) => output::print("our pods have not ended yet; they lose their rights now\n"),
    }
}

async fn definition_ends(cluster: &Cluster, named: &Named) -> anyhow::Result<()> {
    let look = async {
        while cluster.look_at(named).await?.is_some() {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        Ok::<(), anyhow::Error>(())
    };
    match tokio::time::timeout(DEFINITION_WAIT_MAX, look).await {
        Ok(gone) => gone,
        Err(_) => bail!(
            "{}: it does not go, because a finalizer that is not ours holds a policy: `kubectl get gcp -A -o yaml` shows which",
            named.reference()
        ),
    }
}

/// Looks for whatever of ours could block a request: by label, so that a forgotten name is found, too.
async fn verify(cluster: &mut Cluster) -> anyhow::Result<()> {
    let mut left = Vec::new();
    let label = format!("{}={}", MANAGED_BY.0, MANAGED_BY.1);
    for kind in ORDER.iter().take(BLOCKING) {
        let Some(resource) = cluster.resource("admissionregistration.k8s.io/v1", kind).await? else {
            continue;
        };
        let found = objects::look_for(&cluster.client, &resource, None, &label, FOREIGN_LOOKED_AT_MAX).await;
        let (found, _) = found.with_context(|| format!("cannot look for what is left of {kind}"))?;
        left.extend(found.iter().map(|object| format!("{kind}/{}", text(object, "/metadata/name"))));
    }
    for policy in policies(cluster, FOREIGN_LOOKED_AT_MAX).await? {
        let finalizers = policy.pointer("/metadata/finalizers").and_then(Value::as_array);
        if finalizers.into_iter().flatten().any(|one| one.as_str().is_some_and(|one| one.contains(GROUP))) {
            left.push(format!("a finalizer of policy {}", text(&policy, "/metadata/name")));
        }
    }
    left.extend(nodes::left(cluster).await?);
    ensure!(left.is_empty(), "still there, and able to block requests: {}", left.join(", "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_block_goes_first_and_every_kind_has_its_place() {
        for manifest in manifests::all_ever_declared(&RbacOptions::default()).unwrap() {
            let kind = text(&manifest, "/kind");
            assert!(rank(kind) < ORDER.len(), "{kind}");
            let blocks = text(&manifest, "/apiVersion").starts_with("admissionregistration");
            assert_eq!(rank(kind) < BLOCKING, blocks, "{kind}");
            assert!(!blocks || Stage::of(kind) != Stage::Rest, "{kind}");
        }
        assert!(
            made_by_the_operator("grounds").iter().all(|object| rank(text(object, "/kind")) < ORDER.len())
        );
    }
}
