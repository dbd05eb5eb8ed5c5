//! The one finalizer that a policy takes off objects that it has deleted itself, and off no others.

use serde_json::{Value, json};
use testbed::ControlPlane;

use crate::support::drafts::{Draft, config_map, policy};
use crate::support::operator::{Launch, Operator};
use crate::support::team::{Made, Team};
use crate::support::webhook::remove;
use crate::support::{audit, eventually, groundskeeper, holds, identity, kubectl, printed};
use crate::{is_true, message, team, team_and_operator};

const OURS: &str = "example.com/cleanup";
const FOREIGN: &str = "other.example.com/x";

fn sweep(seconds: i64) -> Draft {
    policy("sweep").labelled("tmp=yes").after(seconds).with("/spec/behavior/finalizer", OURS)
}

fn held(name: &str, finalizers: &[&str]) -> Draft {
    config_map(name).labelled("tmp=yes").with("/metadata/finalizers", json!(finalizers))
}

/// Waits until an object is being deleted, and has these finalizers left.
async fn ends_with(team: &Team<'_>, made: &Made, finalizers: &[&str]) -> Value {
    eventually(team.cluster, &format!("{} ends with {finalizers:?}", made.name), async || {
        let found = team.look_at(made).await.unwrap_or_default();
        let meta = &found["metadata"];
        let is_so = meta["deletionTimestamp"].is_string() && meta["finalizers"] == json!(finalizers);
        holds(is_so, &found).map(|()| found)
    })
    .await
}

/// Somebody else deletes an object; returns it as it is then.
async fn deleted_by_others(team: &Team<'_>, made: &Made, finalizers: &[&str]) -> Made {
    team.delete(made).await;
    let found = ends_with(team, made, finalizers).await;
    let version = found["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    Made { version, ..made.clone() }
}

/// What is written on objects of a namespace by the operator, by their names.
fn patched(team: &Team<'_>) -> Vec<String> {
    let patches = audit::requests(team.cluster, &team.namespace);
    let patches =
        patches.into_iter().filter(|request| request.resource == "configmaps" && request.verb == "patch");
    let mut names: Vec<_> = patches.map(|request| request.name).collect();
    names.sort();
    names
}

/// What `explain` says of an object.
fn explained(team: &Team<'_>, name: &str) -> Value {
    let kubeconfig = team.cluster.admin().kubeconfig().to_str().unwrap();
    let object = format!("configmap/{name}");
    let words =
        ["explain", &object, "-o", "json", "--kubeconfig", kubeconfig, "--namespace", &team.namespace];
    let output = groundskeeper(&words);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[tokio::test]
async fn ours_goes_and_a_foreign_one_stays_and_is_reported() {
    let (team, operator) = team_and_operator("finalizer").await;
    let sweep = team.create(sweep(1)).await;
    let ours = team.create(held("ours", &[OURS])).await;
    let both = team.create(held("both", &[FOREIGN, OURS])).await;
    team.goes_in_time(&ours, 1).await;
    ends_with(&team, &both, &[FOREIGN]).await;
    let found = team
        .policy_is(&sweep, "what stays is told", |policy| {
            is_true(policy, "HeldByFinalizers") && policy["status"]["finalizing"].is_null()
        })
        .await;
    let said = message(&found, "HeldByFinalizers");
    assert!(said.contains("1 object is being deleted") && said.contains("/both:"), "{said}");
    assert!(said.contains("hangs on finalizers of others, which stay: `other.example.com/x`"), "{said}");
    assert_eq!(crate::reason_count(&found, "HeldByFinalizers"), 1, "{found}");
    let told = explained(&team, "both");
    assert_eq!(told["verdicts"][0]["reason"], "HeldByFinalizers", "{told}");

    let name = format!(r#"policy_namespace="{}""#, team.namespace);
    let labels = [name.as_str(), r#"outcome="removed""#];
    eventually(team.cluster, "two are counted", async || {
        let counted = operator.metric("groundskeeper_gc_finalizers_removed_total", &labels).await;
        holds(counted == Some(2.0), format!("{counted:?}"))
    })
    .await;
    team.edit(&both, json!({"metadata": {"finalizers": null}})).await;
    team.gone(&both).await;
    team.policy_is(&sweep, "nothing is held", |policy| !is_true(policy, "HeldByFinalizers")).await;
    assert_eq!(patched(&team), ["both", "ours"]);
}

#[tokio::test]
async fn what_somebody_else_deleted_keeps_it_also_under_a_name_that_the_policy_deleted_before() {
    let team = team("not-ours").await;
    let sweep = team.create(sweep(3)).await;
    let first = team.create(held("again", &[OURS])).await;
    team.goes_in_time(&first, 3).await;
    let second = team.create(held("again", &[OURS])).await;
    let second = deleted_by_others(&team, &second, &[OURS]).await;
    let found = team.policy_is(&sweep, "it is told", |policy| is_true(policy, "HeldByFinalizers")).await;
    let said = message(&found, "HeldByFinalizers");
    assert!(said.contains("nothing shows that it was this policy that deleted it"), "{said}");
    team.wait_past(second.due(4)).await;
    team.assert_untouched(&second).await;
    let told = explained(&team, "again");
    assert_eq!(told["verdicts"][0]["reason"], "HeldByFinalizers", "{told}");
    assert_eq!(patched(&team), ["again"]);
}

#[tokio::test]
async fn a_policy_that_only_plans_takes_nothing_off() {
    let team = team("plans").await;
    let plan = sweep(1).with("/spec/mode", "Plan");
    team.create(plan.with("/metadata/name", "plan")).await;
    team.create(sweep(1).dry_run().with("/metadata/name", "dry")).await;
    let due = team.create(held("due", &[OURS])).await;
    let ending = team.create(held("ending", &[OURS])).await;
    let ending = deleted_by_others(&team, &ending, &[OURS]).await;
    team.wait_past(due.due(2)).await;
    team.assert_untouched(&due).await;
    team.assert_untouched(&ending).await;
    assert_eq!(patched(&team), [""; 0]);
}

async fn start(cluster: &ControlPlane) -> Operator {
    let operator = Launch::new(identity(cluster).kubeconfig()).quick_lease().start(cluster).await;
    operator.ready(cluster).await;
    operator
}

/// Without the right to patch it deletes, and says what it lacks; then it is killed. The next one has the right, and takes
/// the finalizer off what the status proves to be the policy's, and off nothing else.
#[tokio::test]
async fn after_a_restart_it_goes_where_the_status_proves_whose_deletion_it_was() {
    let (_turn, cluster) = crate::support::turn().await;
    remove(cluster);
    let team = Team::new(cluster, "proof").await;
    let first = start(cluster).await;
    let sweep = team.create(sweep(1)).await;
    let proven = team.create(held("proven", &[OURS])).await;
    let unproven = team.create(held("unproven", &[OURS])).await;
    let found = team
        .policy_is(&sweep, "two wait, and the right is missing", |policy| {
            policy["status"]["finalizing"].as_array().is_some_and(|all| all.len() == 2)
                && is_true(policy, "PermissionDenied")
        })
        .await;
    let said = message(&found, "PermissionDenied");
    assert!(said.contains("lacks `patch` on `configmaps`"), "{said}");
    let told = explained(&team, "proven");
    assert_eq!(told["verdicts"][0]["reason"], "Terminating", "{told}");
    assert!(told.to_string().contains("takes the finalizer `example.com/cleanup` off"), "{told}");
    first.kill();

    // What the status does not say is known to nobody any more.
    let entries = found["status"]["finalizing"].as_array().unwrap().iter();
    let kept: Vec<_> = entries.filter(|entry| entry["uid"] == proven.uid).cloned().collect();
    crate::set_status(&team, &sweep, json!({"finalizing": kept})).await;
    let other = team.create(held("other", &[OURS])).await;
    let other = deleted_by_others(&team, &other, &[OURS]).await;
    kubectl(cluster, &["apply", "-f", "-"], &printed(&["rbac", "--collect", "configmaps", "--finalizers"]));
    let second = start(cluster).await;
    team.gone(&proven).await;
    let found = team
        .policy_is(&sweep, "two stay", |policy| {
            crate::reason_count(policy, "HeldByFinalizers") == 2 && policy["status"]["finalizing"].is_null()
        })
        .await;
    assert!(message(&found, "HeldByFinalizers").contains("nothing shows"), "{found}");
    assert!(!is_true(&found, "PermissionDenied"), "{found}");
    team.wait_past(crate::from_now(1)).await;
    team.assert_untouched(&other).await;
    ends_with(&team, &unproven, &[OURS]).await;
    team.delete(&sweep).await;
    assert!(second.stop().await.success());
}
