//! `groundskeeper install`: everything that the operator needs in a cluster, declared.
//!
//! One server-side apply for each object, under one field manager, in an order in which nothing can block before what
//! serves it is there. It may be repeated at any time, and says of each object whether anything changed. It takes no field
//! that somebody else holds, unless told so.

mod declare;
mod facts;
mod in_force;

use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use chassis::objects::{self, Effect, OnConflict};
use serde_json::Value;

use crate::cluster::{Cluster, Connection};
use crate::manifests::{self, InstallOptions, RbacOptions, collected_by, secrets_in};
use crate::output;
use declare::Installer;
use facts::KubernetesVersion;

pub(crate) use facts::{MINOR_MIN, MUTATING_POLICIES_MINOR};

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
One line is printed for each object: created, configured or unchanged. Kinds that were opted in before stay so, unless \
--collect-only is given. An object that another field manager has changed is left alone, and its fields are named.

Exit status: 0; 1 after any error. What was declared before the error stays; run it again.";

/// What `install` is told.
#[derive(clap::Args, Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct Args {
    #[command(flatten)]
    options: InstallOptions,

    /// Let the server judge everything and write nothing; the lines are the same.
    #[arg(long, conflicts_with = "print")]
    dry_run: bool,

    /// Print the manifests as YAML for `kubectl apply --server-side --field-manager=groundskeeper -f -`, and ask no
    /// cluster.
    #[arg(long)]
    print: bool,

    /// The Kubernetes version that --print writes for, such as 1.34. Default: 1.36. Else the cluster is asked.
    #[arg(long, value_name = "VERSION", requires = "print")]
    kubernetes_version: Option<KubernetesVersion>,

    /// Add a ServiceMonitor to what --print writes. Else it is installed where the cluster serves that kind.
    #[arg(long, requires = "print")]
    service_monitor: bool,

    /// Take the fields that other field managers hold. Default: nothing is taken, and they are named.
    #[arg(long)]
    force_conflicts: bool,

    /// Let the operator collect the kinds of --collect and read the Secrets of --plugin-secret, and no others that were
    /// opted in this way before.
    #[arg(long)]
    collect_only: bool,

    #[command(flatten)]
    connection: Connection,
}

/// Installs, or prints what would be installed.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.print {
        let facts = facts::assumed(args.kubernetes_version, args.service_monitor)?;
        output::print(&manifests::install_yaml(&args.options, &facts)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut cluster = args.connection.cluster().await?;
    let (version, _) = objects::server_version(&cluster.client).await.context("cannot ask the cluster")?;
    ensure!(
        version.major > 1 || version.minor >= MINOR_MIN,
        "the cluster runs Kubernetes {}; at least 1.{MINOR_MIN} is needed, for ValidatingAdmissionPolicies",
        version.name
    );
    let facts = facts::observe(&mut cluster).await?;
    let mut options = args.options.clone();
    if !args.collect_only {
        keep_collected(&mut cluster, &mut options.rbac).await?;
        keep_secrets(&mut cluster, &mut options.rbac).await?;
    }
    let documents = manifests::installation(&options, &facts)?;
    let mut installer = Installer::new(
        cluster,
        if args.dry_run { Effect::DryRun } else { Effect::Real },
        if args.force_conflicts { OnConflict::Take } else { OnConflict::Refuse },
    );
    for document in &documents {
        let line = installer.declare(document).await?;
        output::print(&format!("{line}\n"))?;
    }
    if !args.dry_run {
        in_force::wait(&mut installer.into_cluster(), &facts).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds the kinds that were opted in before: a right is taken away by saying so, not by forgetting a flag.
async fn keep_collected(cluster: &mut Cluster, options: &mut RbacOptions) -> anyhow::Result<()> {
    let role = manifests::custom_role(&RbacOptions::default());
    let Some(role) = as_it_is(cluster, &role).await? else { return Ok(()) };
    options.collect.extend(collected_by(&role));
    options.collect.sort();
    options.collect.dedup();
    Ok(())
}

/// The same of the Secrets that plugins may read.
async fn keep_secrets(cluster: &mut Cluster, options: &mut RbacOptions) -> anyhow::Result<()> {
    let role = manifests::plugin_secrets_role(options);
    let Some(role) = as_it_is(cluster, &role).await? else { return Ok(()) };
    options.plugin_secrets.extend(secrets_in(&role));
    options.plugin_secrets.sort();
    options.plugin_secrets.dedup();
    Ok(())
}

/// What the cluster holds of an object.
async fn as_it_is(cluster: &mut Cluster, manifest: &Value) -> anyhow::Result<Option<Value>> {
    let Some(named) = cluster.named(manifest).await? else { return Ok(None) };
    let found = cluster.look_at(&named).await;
    found.map_err(|error| declare::denied(&named, error))
}
