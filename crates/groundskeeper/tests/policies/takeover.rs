//! What a policy may still delete after a restart, and after another replica has taken over.

use serde_json::json;

use crate::budget::left;
use crate::is_true;
use crate::support::drafts::{config_map, policy};
use crate::support::operator::{Launch, Operator};
use crate::support::team::{Made, Team};
use crate::support::webhook::remove;
use crate::support::{eventually, holds, identity};
use testbed::ControlPlane;

async fn replica(cluster: &ControlPlane) -> Operator {
    let operator = Launch::new(identity(cluster).kubeconfig()).quick_lease().start(cluster).await;
    operator.ready(cluster).await;
    operator
}

/// Ten objects that are due, of which the budget lets three go.
async fn ten_of_three(team: &Team<'_>) -> Made {
    team.create_many(10, &config_map("due").labelled("tmp=yes")).await;
    let draft = policy("sweep").labelled("tmp=yes").after(1).at_rate(100);
    team.create(draft.with("/spec/budget", json!({"count": 3}))).await
}

/// The leader is the one who deletes; after it has been seen to work, three are gone and no more.
async fn stays_at_seven(team: &Team<'_>, sweep: &Made, leader: &Operator) {
    leader.leads(team.cluster).await;
    // The witness shows that it works, past everything that was due before.
    team.wait_past(crate::from_now(1)).await;
    assert_eq!(left(team, "tmp=yes").await, 7, "{:#?}", team.deletions());
    let found = team
        .policy_is(sweep, "the budget is exceeded", |policy| {
            is_true(policy, "BudgetExceeded") && policy["status"]["budget"]["used"] == 3
        })
        .await;
    assert_eq!(found["status"]["budget"]["limit"], 3, "{found}");
}

#[tokio::test]
async fn a_restart_lets_no_more_through() {
    let (_turn, cluster) = crate::support::turn().await;
    remove(cluster);
    let team = Team::new(cluster, "restart").await;
    let first = replica(cluster).await;
    let sweep = ten_of_three(&team).await;
    stays_at_seven(&team, &sweep, &first).await;
    assert!(first.stop().await.success());
    let second = replica(cluster).await;
    stays_at_seven(&team, &sweep, &second).await;
    team.delete(&sweep).await;
    assert!(second.stop().await.success());
}

#[tokio::test]
async fn a_leader_that_is_killed_leaves_its_budget_to_the_next_one() {
    let (_turn, cluster) = crate::support::turn().await;
    remove(cluster);
    let team = Team::new(cluster, "killed").await;
    let first = replica(cluster).await;
    first.leads(cluster).await;
    let second = replica(cluster).await;
    let sweep = ten_of_three(&team).await;
    // It dies at once, before it can say what it has done.
    eventually(cluster, "three are gone", async || {
        let left = left(&team, "tmp=yes").await;
        holds(left <= 7, left)
    })
    .await;
    first.kill();
    stays_at_seven(&team, &sweep, &second).await;
    team.delete(&sweep).await;
    assert!(second.stop().await.success());
}
