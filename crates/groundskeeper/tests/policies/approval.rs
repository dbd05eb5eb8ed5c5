//! What somebody has to approve before it begins.

use serde_json::json;

use crate::budget::{approve, left};
use crate::support::drafts::{config_map, policy};
use crate::{Leaves, is_true, message, team};

#[tokio::test]
async fn a_policy_that_takes_everything_everywhere_waits() {
    let team = team("unselective").await;
    let leaves = Leaves::define(&team, "unselective").await;
    let sweep = team.create(leaves.cluster_policy("unselective").after(1)).await;
    let due = team.create(leaves.leaf("due")).await;
    let said = team.ready_is(&sweep, "False", "AwaitingApproval").await;
    assert!(said.contains("takes everything of a kind in all namespaces"), "{said}");
    team.policy_is(&sweep, "it waits", |policy| is_true(policy, "AwaitingApproval")).await;
    team.wait_past(due.due(2)).await;
    team.assert_untouched(&due).await;

    approve(&team, &sweep).await;
    team.goes_in_time(&due, 1).await;
    team.policy_is(&sweep, "it waits no more", |policy| !is_true(policy, "AwaitingApproval")).await;

    // An approval is of one spec: another one waits again.
    team.edit(&sweep, json!({"spec": {"ttl": {"secondsAfterCreation": 2}}})).await;
    team.policy_is(&sweep, "it waits again", |policy| is_true(policy, "AwaitingApproval")).await;
    let due = team.create(leaves.leaf("due-too")).await;
    team.wait_past(due.due(2)).await;
    team.assert_untouched(&due).await;
    // What narrows it needs no approval.
    let label = json!({"spec": {"targetResource": {"labelSelector": {"matchLabels": {"tmp": "yes"}}}}});
    team.edit(&sweep, label).await;
    team.policy_is(&sweep, "it is narrow", |policy| !is_true(policy, "AwaitingApproval")).await;
    let narrow = team.create(leaves.leaf("narrow").labelled("tmp=yes")).await;
    team.goes_in_time(&narrow, 2).await;
    team.assert_untouched(&due).await;
    team.delete(&sweep).await;
}

#[tokio::test]
async fn an_edit_that_selects_more_than_the_budget_waits() {
    let team = team("edited").await;
    let draft = policy("sweep").labelled("tmp=few").after(2).with("/spec/budget", json!({"count": 3}));
    let sweep = team.create(draft).await;
    let many = team.create_many(5, &config_map("many").labelled("tmp=many")).await;
    let few = team.create(config_map("few").labelled("tmp=few")).await;
    team.goes_in_time(&few, 2).await;
    team.policy_is(&sweep, "it was let through", |policy| policy["status"]["accepted"].is_object()).await;

    let select =
        |label: &str| json!({"spec": {"targetResource": {"labelSelector": {"matchLabels": {"tmp": label}}}}});
    team.edit(&sweep, select("many")).await;
    let found = team.policy_is(&sweep, "it waits", |policy| is_true(policy, "AwaitingApproval")).await;
    let said = message(&found, "AwaitingApproval");
    assert!(said.contains("it selects 5 objects more, and its budget is 3"), "{said}");
    team.wait_past(many[4].due(3)).await;
    assert_eq!(left(&team, "tmp=many").await, 5);

    // Back: what it was let through for goes on. Forth: it waits again, until somebody approves it.
    team.edit(&sweep, select("few")).await;
    let few = team.create(config_map("few").labelled("tmp=few")).await;
    team.goes_in_time(&few, 2).await;
    team.edit(&sweep, select("many")).await;
    team.policy_is(&sweep, "it waits again", |policy| is_true(policy, "AwaitingApproval")).await;
    approve(&team, &sweep).await;
    for object in &many {
        team.gone(object).await;
    }
}

#[tokio::test]
async fn a_policy_that_plans_says_what_would_wait_and_waits_for_nobody() {
    let team = team("planning").await;
    let leaves = Leaves::define(&team, "planning").await;
    let sweep = team.create(leaves.cluster_policy("planning").after(1).with("/spec/mode", "Plan")).await;
    team.create(leaves.leaf("due")).await;
    team.ready_is(&sweep, "True", "Planning").await;
    let would_wait = |policy: &serde_json::Value| crate::reason_count(policy, "AwaitingApproval") == 1;
    let found = team.policy_is(&sweep, "one would wait", would_wait).await;
    assert!(!is_true(&found, "AwaitingApproval"), "{found}");
    team.delete(&sweep).await;
}
