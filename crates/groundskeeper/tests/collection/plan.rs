//! `groundskeeper plan` against the live cluster.

use std::path::Path;

use serde_json::Value;
use testbed::Identity;

use crate::support::drafts::{Draft, config_map, policy};
use crate::support::team::Team;
use crate::support::{OPERATOR, groundskeeper, identity};
use crate::team;

/// Runs `plan` as somebody, on policies that only a file knows.
fn plan(
    team: &Team<'_>,
    who: &Identity,
    policies: &Draft,
    arguments: &[&str],
) -> (Option<i32>, String, String) {
    let path = team.cluster.directory().join(format!("plan-{}-{}.json", team.namespace, policies.name()));
    let in_namespace = policies.clone().with("/metadata/namespace", team.namespace.as_str());
    std::fs::write(&path, in_namespace.0.to_string()).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (file, kubeconfig) = (text(&path), text(who.kubeconfig()));
    let output = groundskeeper(&[&["plan", "-f", &file, "--kubeconfig", &kubeconfig], arguments].concat());
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), said(output.stdout), said(output.stderr))
}

#[tokio::test]
async fn a_plan_of_the_live_cluster_says_what_the_operator_then_does() {
    let team = team("plan").await;
    let draft = policy("sweep").labelled("tmp=yes").after(2);
    let due = team.create_many(2, &config_map("due").labelled("tmp=yes")).await;
    let kept = [
        team.create(config_map("kept").labelled("tmp=yes").annotated("groundskeeper.dev/protect=true")).await,
        team.create(config_map("other")).await,
    ];
    let at = due[1].due(2).to_string();
    let before = due[0].due(2) - jiff::SignedDuration::from_secs(1);
    let who = identity(team.cluster);
    let (code, early, _) =
        plan(&team, &who, &draft, &["-o", "json", "--exit-code", "--at", &before.to_string()]);
    assert_eq!(code, Some(0), "{early}");
    let (code, planned, problems) = plan(&team, &who, &draft, &["-o", "json", "--exit-code", "--at", &at]);
    assert_eq!(code, Some(2), "{planned}{problems}");
    let planned: Value = serde_json::from_str(&planned).unwrap();
    let doomed: Vec<_> = planned["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["verdict"] == "Delete")
        .map(|item| item["object"]["uid"].as_str().unwrap())
        .collect();
    assert_eq!(doomed.len(), 2, "{planned}");
    assert_eq!(planned["summary"]["protected"], 1, "{planned}");
    assert!(team.deletions().is_empty(), "a plan changes nothing");

    team.create(draft).await;
    for object in &due {
        assert!(doomed.contains(&object.uid.as_str()), "{planned}");
        team.goes_in_time(object, 2).await;
    }
    team.wait_past(kept[1].due(2)).await;
    for object in &kept {
        team.assert_untouched(object).await;
    }
}

#[tokio::test]
async fn a_plan_that_cannot_be_made_says_why_and_fails() {
    let team = team("no-plan").await;
    let admin = team.cluster.admin();
    let (code, _, problems) = plan(&team, admin, &policy("unknown").on("example.com/v1", "Gizmo"), &[]);
    assert_eq!(code, Some(1), "{problems}");
    assert!(problems.contains("serves no kind Gizmo (example.com/v1)"), "{problems}");

    let (code, _, problems) = plan(&team, admin, &policy("plural").on("v1", "configmaps"), &[]);
    assert_eq!(code, Some(1), "{problems}");
    assert!(problems.contains("did you mean ConfigMap?"), "{problems}");

    let nobody = team.cluster.user("nobody", &[]).unwrap();
    let (code, _, problems) = plan(&team, &nobody, &policy("forbidden"), &[]);
    assert_eq!(code, Some(1), "{problems}");
    assert!(problems.contains("configmaps") && problems.contains("list"), "{problems}");
    assert_ne!(nobody.name(), OPERATOR);
}
