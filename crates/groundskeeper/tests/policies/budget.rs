//! How much a policy may delete in a span of time.

use kube::api::ListParams;
use serde_json::{Value, json};

use crate::support::drafts::{Draft, config_map, object, policy};
use crate::support::now;
use crate::support::team::{Made, Team, condition};
use crate::{Leaves, is_true, message, reason_count, team};

/// How many of these are still there.
pub(crate) async fn left(team: &Team<'_>, label: &str) -> usize {
    team.count("v1", "ConfigMap", label).await
}

/// Approves a policy as it stands, as of now.
pub(crate) async fn approve(team: &Team<'_>, sweep: &Made) {
    let found = team.policy_is(sweep, "the hash is there", |policy| policy["status"]["specHash"].is_string());
    let approval = format!("{}@{}", found.await["status"]["specHash"].as_str().unwrap(), now());
    let annotations = json!({"metadata": {"annotations": {"groundskeeper.dev/approved": approval}}});
    team.edit(sweep, annotations).await;
}

fn limited(name: &str, budget: Value) -> Draft {
    policy(name).labelled("tmp=yes").after(2).at_rate(100).with("/spec/budget", budget)
}

#[tokio::test]
async fn no_more_goes_than_the_budget_allows_until_it_is_approved() {
    let team = team("count").await;
    let sweep = team.create(limited("sweep", json!({"count": 3}))).await;
    let objects = team.create_many(10, &config_map("due").labelled("tmp=yes")).await;
    let found = team
        .policy_is(&sweep, "the budget is exceeded", |policy| {
            is_true(policy, "BudgetExceeded") && policy["status"]["budget"]["used"] == 3
        })
        .await;
    assert_eq!(condition(&found, "Ready")["reason"], "BudgetExceeded", "{found}");
    assert_eq!(found["status"]["budget"]["limit"], 3, "{found}");
    assert_eq!(found["status"]["deleted"], 3, "{found}");
    let said = message(&found, "BudgetExceeded");
    assert!(said.contains("groundskeeper approve"), "{said}");
    team.told(&sweep, "BudgetExceeded", "the budget allows").await;
    team.wait_past(objects[9].due(3)).await;
    assert_eq!(left(&team, "tmp=yes").await, 7);

    // An approval of something else lets nothing through; one of this spec lets go what is due by then, and no more.
    let other = json!({"metadata": {"annotations": {
        "groundskeeper.dev/approved": format!("{}@{}", "0".repeat(32), now()),
    }}});
    team.edit(&sweep, other).await;
    let foreign = now();
    team.wait_past(foreign).await;
    assert_eq!(left(&team, "tmp=yes").await, 7);
    approve(&team, &sweep).await;
    for object in &objects {
        team.gone(object).await;
    }
    let found =
        team.policy_is(&sweep, "nothing waits any more", |policy| !is_true(policy, "BudgetExceeded")).await;
    assert_eq!(found["status"]["budget"]["used"], 3, "what was approved does not count: {found}");
    let late = team.create(config_map("late").labelled("tmp=yes")).await;
    team.policy_is(&sweep, "the budget is exceeded again", |policy| is_true(policy, "BudgetExceeded")).await;
    team.wait_past(late.due(3)).await;
    team.assert_untouched(&late).await;
}

#[tokio::test]
async fn a_policy_that_says_nothing_of_it_takes_fifty_of_sixty() {
    let team = team("default").await;
    let mut draft = limited("sweep", json!({}));
    draft.0["spec"].as_object_mut().unwrap().remove("budget");
    let sweep = team.create(draft).await;
    let objects = team.create_many(60, &config_map("due").labelled("tmp=yes")).await;
    let found =
        team.policy_is(&sweep, "the budget is exceeded", |policy| is_true(policy, "BudgetExceeded")).await;
    assert_eq!(found["status"]["budget"]["limit"], 50, "{found}");
    team.wait_past(objects[59].due(4)).await;
    assert_eq!(left(&team, "tmp=yes").await, 10);
}

#[tokio::test]
async fn a_share_is_of_all_objects_also_of_those_that_are_not_selected() {
    let team = team("share").await;
    let leaves = Leaves::define(&team, "share").await;
    let draft =
        leaves.policy("sweep").labelled("tmp=yes").after(2).with("/spec/budget", json!({"percent": 10}));
    team.create_many(18, &leaves.leaf("kept")).await;
    let due = team.create_many(4, &leaves.leaf("due").labelled("tmp=yes")).await;
    let sweep = team.create(draft).await;
    team.policy_is(&sweep, "the budget is exceeded", |policy| {
        let budget = &policy["status"]["budget"];
        is_true(policy, "BudgetExceeded")
            && *budget == json!({"base": 22, "limit": 2, "used": 2, "reserved": 2})
    })
    .await;
    team.wait_past(due[3].due(3)).await;
    assert_eq!(team.count(&leaves.api_version(), "Leaf", "tmp=yes").await, 2);
    assert_eq!(team.count(&leaves.api_version(), "Leaf", "tmp!=yes").await, 18);
}

#[tokio::test]
async fn a_larger_budget_lets_more_go_and_none_at_all_lets_nothing_go() {
    let team = team("larger").await;
    let sweep = team.create(limited("sweep", json!({"count": 0}))).await;
    let objects = team.create_many(5, &config_map("due").labelled("tmp=yes")).await;
    team.policy_is(&sweep, "the budget is exceeded", |policy| is_true(policy, "BudgetExceeded")).await;
    team.wait_past(objects[4].due(2)).await;
    assert_eq!(left(&team, "tmp=yes").await, 5);
    team.edit(&sweep, json!({"spec": {"budget": {"count": 2}}})).await;
    team.policy_is(&sweep, "two are deleted", |policy| policy["status"]["deleted"] == 2).await;
    team.edit(&sweep, json!({"spec": {"budget": {"count": null, "percent": 100}}})).await;
    for object in &objects {
        team.gone(object).await;
    }
    team.collecting(&sweep).await;
    // What has gone without a limit counts under the next one, whatever its window.
    let again = json!({"count": 2, "percent": null, "window": "30m"});
    team.edit(&sweep, json!({"spec": {"budget": again}})).await;
    let late = team.create(config_map("late").labelled("tmp=yes")).await;
    team.policy_is(&sweep, "the budget is exceeded", |policy| is_true(policy, "BudgetExceeded")).await;
    team.wait_past(late.due(3)).await;
    team.assert_untouched(&late).await;
}

#[tokio::test]
async fn an_object_that_two_targets_select_counts_once() {
    let team = team("twice").await;
    let leaves = Leaves::define(&team, "twice").await;
    let mut draft = leaves.policy("sweep").after(2).with("/spec/budget", json!({"percent": 50}));
    draft.0["spec"].as_object_mut().unwrap().remove("targetResource");
    let target =
        |names: [&str; 2]| json!({"apiVersion": leaves.api_version(), "kind": "Leaf", "names": names});
    let targets = json!([target(["both", "a"]), target(["both", "b"])]);
    for name in ["a", "b", "both", "c", "d"] {
        team.create(leaves.leaf(name)).await;
    }
    let sweep = draft.with("/spec/targetResources", targets).with("/spec/mode", "Plan");
    let sweep = team.create(sweep).await;
    team.policy_is(&sweep, "three of five are due", |policy| {
        let status = &policy["status"];
        (&status["matched"], &status["pending"], &status["budget"]["base"])
            == (&json!(3), &json!(3), &json!(5))
            && condition(policy, "Ready")["message"].as_str().is_some_and(|said| said.contains(" 3 objects"))
    })
    .await;
    team.edit(&sweep, json!({"spec": {"mode": "Enforce"}})).await;
    team.policy_is(&sweep, "two may go", |policy| {
        is_true(policy, "BudgetExceeded") && policy["status"]["deleted"] == 2
    })
    .await;
    assert_eq!(
        team.api(&leaves.api_version(), "Leaf").list(&ListParams::default()).await.unwrap().items.len(),
        3
    );
}

#[tokio::test]
async fn an_approval_covers_what_was_due_by_then_in_every_kind_and_nothing_later() {
    let team = team("two-kinds").await;
    let mut draft = policy("sweep").after(1).at_rate(3).with("/spec/budget", json!({"count": 0}));
    draft.0["spec"].as_object_mut().unwrap().remove("targetResource");
    let target = |kind: &str| json!({"apiVersion": "v1", "kind": kind, "labelSelector": {"matchLabels": {"tmp": "yes"}}});
    let sweep = team
        .create(draft.with("/spec/targetResources", json!([target("ConfigMap"), target("Secret")])))
        .await;
    let secret = |name: &str| object("v1", "Secret", name).labelled("tmp=yes");
    let mut due = team.create_many(5, &config_map("due").labelled("tmp=yes")).await;
    due.extend(team.create_many(2, &secret("due")).await);
    team.policy_is(&sweep, "all are due", |policy| reason_count(policy, "OverBudget") == 7).await;
    approve(&team, &sweep).await;
    // They fall due while what was approved is still going, at its rate.
    let late = team.create_many(3, &secret("late")).await;
    for object in &due {
        team.gone(object).await;
    }
    team.wait_past(late[2].due(1)).await;
    for object in &late {
        team.assert_untouched(object).await;
    }
}
