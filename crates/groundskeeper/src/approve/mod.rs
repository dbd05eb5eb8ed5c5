//! `groundskeeper approve`: let a policy go on that waits for somebody, or let one run through its budget.
//!
//! An approval is bound to the spec that was shown, by its hash, and to the moment: it lets that spec begin, and, for
//! a week, lets go what had fallen due by then. Whoever may edit a policy may approve it.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use api::{ConditionStatus, ConditionType};
use chassis::objects::{self, ObjectRef};
use control::{Clock as _, SystemClock};
use gc::{APPROVED_ANNOTATION, Approval, Policy, SpecHash};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use units::NamespacedName;

use crate::cluster::Cluster;
use crate::limits::APPROVAL_ATTEMPTS_MAX;
use crate::output::{self, Form};
use crate::plan::input::AnyPolicy;
use crate::plan::table::{cell, grid};
use crate::scene::{self, Cast, Detail, Question, Scene, Warning};

const HEADER: [&str; 5] = ["POLICY", "MATCHED", "DUE", "BUDGET LEFT", "WAITS FOR"];

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
Without a POLICY it shows which policies wait. What is approved is the spec as it is shown: if somebody changes it \
meanwhile, nothing is approved. An approval lets go whatever has fallen due by its moment, whatever the budget, for seven \
days; what falls due later, or goes later than that, counts against the budget again.

Exit status: 0; 1 after any error, also if nobody confirms.";

/// What `approve` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The policy: NAMESPACE/NAME or, with --namespace, NAME; the NAME alone for one of the whole cluster. Default:
    /// show which policies of the namespace and of the cluster wait.
    #[arg(value_name = "POLICY")]
    policy: Option<String>,

    /// Do not ask. Default: ask on a terminal, and refuse where there is none.
    #[arg(short, long)]
    yes: bool,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,

    #[command(flatten)]
    scene: scene::Whereabouts,
}

/// What would go by a policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stake {
    /// `namespace/name` of the policy, or the name of a policy of the cluster.
    policy: String,
    /// The hash of the spec, to which an approval is bound.
    spec_hash: String,
    /// Objects that the policy is about.
    matched: i64,
    /// Objects that would go as soon as it is approved.
    due: usize,
    /// How many may go without; none if there is no limit.
    budget_left: Option<u64>,
    /// `AwaitingApproval` or `OverBudget`; none if it waits for nobody.
    waits_for: Option<&'static str>,
}

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    policies: &'a [Stake],
    /// What was written; none if nothing was.
    approved: Option<String>,
    warnings: &'a [Warning],
}

/// Approves.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.scene.connection.cluster().await?;
    let namespace = args.scene.namespace_in(&cluster);
    let now = objects::server_version(&cluster.client).await?.1.unwrap_or_else(|| SystemClock.now());
    let wanted = args.policy.as_deref().map(|policy| key_of(policy, args.scene.namespace.as_deref()));
    let focus = wanted.as_ref().map_or(&*namespace, |wanted| &*wanted.namespace).to_owned();
    let question = Question { at: now, now, detail: Detail::Selected, alone: false, focus: None };
    let rails = args.scene.rails();
    let gathering = Cast::gather(&mut cluster, Vec::new(), (&focus, &rails), &question);
    let mut cast = gathering.await?;
    if let Some(wanted) = &wanted {
        find(&mut cast, wanted)?;
    } else {
        cast.only_waiting();
    }
    let known = wanted.as_ref().and_then(|wanted| cast.known.get(wanted)).cloned();
    let scene = scene::from_cluster(&mut cluster, cast, &question).await?;
    let stakes = stakes(&scene);
    output::warn(&scene.warnings);
    if args.output == Form::Table {
        output::print(&render(&stakes))?;
    }
    let mut approved = None;
    if let (Some(known), Some(stake)) = (known, stakes.first()) {
        if !args.yes {
            let question = format!("Approve {}, so that these {} go at once?", stake.policy, stake.due);
            output::confirm(&question, "nothing was approved")?;
        }
        approved = Some(write(&mut cluster, &known, now).await?);
        if args.output == Form::Table {
            output::print(&format!("{} approved\n", output::printable(&stake.policy)))?;
        }
    }
    if args.output == Form::Json {
        let answer = Answer {
            api_version: "groundskeeper.dev/v1alpha1",
            kind: "Approval",
            policies: &stakes,
            approved,
            warnings: &scene.warnings,
        };
        output::print_json(&answer)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Which policy is meant.
fn key_of(policy: &str, namespace: Option<&str>) -> NamespacedName {
    match policy.split_once('/') {
        Some((namespace, name)) => NamespacedName::new(namespace, name),
        None => NamespacedName::new(namespace.unwrap_or_default(), policy),
    }
}

/// Leaves one policy to be asked about; the others only take part.
fn find(cast: &mut Cast, wanted: &NamespacedName) -> anyhow::Result<()> {
    if let Some(reason) = cast.unusable.iter().find(|reason| reason.starts_with(&format!("{wanted}: "))) {
        bail!("policy {reason}");
    }
    let (asked, others) =
        std::mem::take(&mut cast.asked).into_iter().partition(|policy| policy.key == *wanted);
    (cast.asked, cast.others) = (asked, others);
    let hint =
        if wanted.namespace.is_empty() { "; say its namespace with --namespace, if it has one" } else { "" };
    ensure!(!cast.asked.is_empty(), "there is no policy {wanted}{hint}");
    Ok(())
}

impl Cast {
    /// Leaves those policies to be asked about of which the operator says that they wait.
    fn only_waiting(&mut self) {
        let Self { asked, others, known, .. } = self;
        let waits = |policy: &std::sync::Arc<Policy>| {
            known.get(&policy.key).is_some_and(|known| waits_for(known).is_some())
        };
        let (waiting, rest): (Vec<_>, Vec<_>) = std::mem::take(asked).into_iter().partition(waits);
        *asked = waiting;
        others.extend(rest);
    }
}

/// What the operator says that a policy waits for.
fn waits_for(policy: &AnyPolicy) -> Option<&'static str> {
    let conditions = policy.status.as_ref().map(|status| &*status.conditions).unwrap_or_default();
    let holds = |kind: ConditionType| {
        conditions.iter().any(|held| held.type_ == kind.name() && held.status == ConditionStatus::True)
    };
    match (holds(ConditionType::AwaitingApproval), holds(ConditionType::BudgetExceeded)) {
        (true, _) => Some("AwaitingApproval"),
        (false, true) => Some("OverBudget"),
        _ => None,
    }
}

/// What would go by each policy that was asked about.
fn stakes(scene: &Scene) -> Vec<Stake> {
    let plan = scene.plan();
    let stake = |part: &scene::Part| {
        let key = part.policy.key.to_string();
        let count = |reason: &str| {
            plan.items.iter().filter(|item| item.policy == key && item.reason == reason).count()
        };
        let (awaiting, over) = (count("AwaitingApproval"), count("OverBudget"));
        let is_gated = part.outlook.awaits_approval
            || (part.policy.is_unselective() && !part.policy.is_approved(scene.at));
        Stake {
            spec_hash: part.policy.spec_hash.to_string(),
            matched: scene.grounds().map(|ground| ground.counts(&part.policy.key).matched()).sum(),
            due: awaiting + over + count("Expired"),
            budget_left: part.outlook.budget_left.filter(|left| *left < u64::MAX),
            waits_for: match (is_gated, over) {
                (true, _) => Some("AwaitingApproval"),
                (false, 1..) => Some("OverBudget"),
                _ => None,
            },
            policy: key,
        }
    };
    scene.asked.iter().map(stake).collect()
}

fn render(stakes: &[Stake]) -> String {
    if stakes.is_empty() {
        return "No policy waits.\n".to_owned();
    }
    let row = |stake: &Stake| {
        vec![
            cell(&stake.policy),
            stake.matched.to_string(),
            stake.due.to_string(),
            stake.budget_left.map_or_else(|| "no limit".to_owned(), |left| left.to_string()),
            stake.waits_for.unwrap_or("-").to_owned(),
        ]
    };
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(text, "{}", grid(&HEADER, stakes.iter().map(row)));
    text
}

/// Writes the approval of the spec that was shown. The operator writes to a policy's status all the time: only a changed
/// spec is refused.
async fn write(cluster: &mut Cluster, shown: &AnyPolicy, now: Timestamp) -> anyhow::Result<String> {
    let kind = if shown.is_namespaced { "GarbageCollectionPolicy" } else { "ClusterGarbageCollectionPolicy" };
    let key = shown.key();
    let resource = cluster.resource(&format!("{}/{}", api::GROUP, api::VERSION), kind).await?;
    let resource = resource.with_context(|| format!("the cluster serves no {kind} any more"))?;
    let namespace = shown.metadata.namespace.as_deref();
    let object = ObjectRef { resource: &resource, namespace, name: &key.name };
    let hash = SpecHash::of(&shown.spec);
    let approval = Approval { spec_hash: hash.clone(), at: now }.to_string();
    let mut metadata = shown.metadata.clone();
    for _ in 0..APPROVAL_ATTEMPTS_MAX {
        let preconditions = json!({ "uid": metadata.uid, "resourceVersion": metadata.resource_version });
        let annotations = json!({ APPROVED_ANNOTATION: approval });
        match objects::annotate(&cluster.client, object, &preconditions, &annotations).await {
            Ok(_) => return Ok(approval),
            Err(error) if error.code() == Some(409) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot write the approval to policy {key}"));
            }
        }
        let found = objects::look_at(&cluster.client, object).await?;
        let found = found.with_context(|| format!("policy {key} is gone; nothing was approved"))?;
        let spec = serde_json::from_value(found.get("spec").cloned().unwrap_or_default())
            .with_context(|| format!("policy {key} cannot be understood any more; nothing was approved"))?;
        metadata = serde_json::from_value(found.get("metadata").cloned().unwrap_or_default())?;
        let is_same = SpecHash::of(&spec) == hash && metadata.uid == shown.metadata.uid;
        ensure!(
            is_same,
            "policy {key} was changed since it was shown, so nothing was approved: look at it, and run this again"
        );
    }
    bail!("policy {key} changes all the time; nothing was approved: run this again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_named_with_its_namespace_or_beside_it() {
        let table = [
            ("team/sweep", None, ("team", "sweep")),
            ("sweep", Some("team"), ("team", "sweep")),
            ("sweep", None, ("", "sweep")),
            ("other/sweep", Some("team"), ("other", "sweep")),
        ];
        for (given, flag, (namespace, name)) in table {
            assert_eq!(key_of(given, flag), NamespacedName::new(namespace, name), "{given}");
        }
    }
}
