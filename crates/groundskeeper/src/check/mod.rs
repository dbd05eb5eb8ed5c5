//! `groundskeeper check`: the doctor.
//!
//! Asks a cluster whether it can be installed into (`--pre`), or whether what is installed is sound. Changes nothing. Each
//! check has an id that stays, a severity, and a section in `docs/checks.md`; what may not be looked at is skipped, and
//! said to be. What is wrong is data; only a cluster that cannot be asked at all ends it early.

mod admission;
mod beside;
mod installed;
mod life;
mod nodes;
mod report;
mod rights;
mod server;
mod table;

use std::process::ExitCode;

use api::DEFAULT_NAMESPACE;
use chassis::{ApiError, Class, Classify as _};

use crate::cluster::{Cluster, Connection};
use crate::manifests::RbacOptions;
use crate::names;
use crate::output::{self, Form};
use report::{Finding, Report};
pub use table::{Check, Severity};

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
Every check has a section in docs/checks.md, which says what it means and what to do.

Exit status: 0, also if there are warnings; 1 if a check failed that is fatal, and after any error.";

/// What `check` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Check only whether it can be installed.
    #[arg(long)]
    pre: bool,

    /// How the outcome is written.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,

    /// The namespace that the operator runs in: 1 to 63 lower-case letters, digits and dashes.
    #[arg(long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE, value_parser = names::namespace)]
    namespace: String,

    /// The service account that the operator runs as.
    #[arg(long, value_name = "NAME", default_value = "groundskeeper", value_parser = names::service_account)]
    service_account: String,

    #[command(flatten)]
    connection: Connection,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// All is well.
    Passed(String),
    /// Something is wrong; how bad that is depends on the check.
    Failed(String),
    /// Something is not as it should be, and it is not bad yet, whatever the check.
    Warned(String),
    /// It cannot be told.
    Skipped(String),
}

/// What a check asks: an answer from the server is judged, its refusal to answer is told.
type Asked = Result<Verdict, anyhow::Error>;

/// Examines the cluster.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let options = RbacOptions {
        namespace: args.namespace.clone(),
        service_account: args.service_account.clone(),
        ..RbacOptions::default()
    };
    let cluster = args.connection.cluster().await?;
    let report = Report { findings: examine(cluster, &options, args.pre).await };
    match args.output {
        Form::Table => output::print(&report.table())?,
        Form::Json => output::print(&report.json()?)?,
    }
    Ok(if report.is_fatal() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn examine(mut cluster: Cluster, options: &RbacOptions, pre: bool) -> Vec<Finding> {
    let mut findings = server::examine(&cluster).await;
    if findings.iter().any(|finding| finding.check == Check::ApiReachable && finding.is_failed()) {
        return findings;
    }
    let cluster = &mut cluster;
    if pre {
        findings.push(judged(Check::InstallRights, rights::of_installer(cluster, options).await));
        return findings;
    }
    findings.push(judged(Check::Definitions, installed::definitions(cluster).await));
    findings.push(judged(Check::OperatorRights, rights::of_operator(cluster, options).await));
    findings.push(judged(Check::AdmissionPolicies, installed::admission_policies(cluster).await));
    findings.push(judged(Check::NodeGuards, nodes::guards(cluster).await));
    findings.push(judged(Check::NodeFinalizer, nodes::finalizer(cluster).await));
    findings.push(judged(Check::FlowControl, installed::flow_control(cluster).await));
    findings.push(judged(Check::ServiceMonitor, installed::service_monitor(cluster, options).await));
    findings.extend(admission::examine(cluster, options).await);
    findings.push(judged(Check::Replicas, life::replicas(cluster, options).await));
    findings.push(judged(Check::Version, life::version(cluster, options).await));
    findings.push(judged(Check::Lease, life::lease(cluster, options).await));
    findings.push(judged(Check::Policies, life::policies(cluster).await));
    findings.push(judged(Check::OtherCollectors, beside::other_collectors(cluster).await));
    findings.push(judged(Check::LedgerAnchor, life::ledger_anchor(cluster, options).await));
    findings
}

/// What came of a check, also if it could not ask.
fn judged(check: Check, asked: Asked) -> Finding {
    let verdict = asked.unwrap_or_else(|error| {
        let is_denied = error.downcast_ref::<ApiError>().is_some_and(|api| api.class() == Class::Denied);
        let message = format!("{error:#}");
        if is_denied {
            Verdict::Skipped(format!("you may not look: {message}"))
        } else {
            Verdict::Failed(message)
        }
    });
    Finding::new(check, verdict)
}
