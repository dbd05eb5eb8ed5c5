//! The newest or oldest of each group stay.

use serde_json::json;

use crate::support::drafts::{config_map, policy};
use crate::support::team::{Made, Team};
use crate::team;

/// An object of an app, created in a later second than the one before it.
async fn next(team: &Team<'_>, before: Option<&Made>, app: &str, name: &str) -> Made {
    if let Some(before) = before {
        team.wait_until(before.due(1)).await;
    }
    team.create(config_map(name).labelled("tmp=yes").labelled(&format!("app={app}"))).await
}

#[tokio::test]
async fn the_newest_two_of_each_group_stay_and_what_is_too_young_does_too() {
    let team = team("newest").await;
    let mut draft = policy("sweep").labelled("tmp=yes");
    draft.0["spec"].as_object_mut().unwrap().remove("ttl");
    let keep = json!({"newest": 2, "groupBy": {"label": "app"}, "minAge": "4s"});
    let sweep = team.create(draft.with("/spec/keep", keep)).await;
    let first = next(&team, None, "a", "a1").await;
    let second = next(&team, Some(&first), "a", "a2").await;
    let third = next(&team, Some(&second), "a", "a3").await;
    let others = [next(&team, None, "b", "b1").await, next(&team, None, "b", "b2").await];

    team.goes_in_time(&first, 4).await;
    team.policy_is(&sweep, "four are kept", |policy| crate::reason_count(policy, "Newest") == 4).await;
    team.wait_past(others[1].due(4)).await;
    for object in [&second, &third, &others[0], &others[1]] {
        team.assert_untouched(object).await;
    }

    // A newer one pushes out the oldest; one that is taken away lets it stay.
    let fourth = next(&team, Some(&third), "a", "a4").await;
    team.goes_in_time(&second, 4).await;
    team.delete(&third).await;
    let fifth = next(&team, Some(&fourth), "a", "a5").await;
    team.wait_past(fifth.due(4)).await;
    team.assert_untouched(&fourth).await;
    team.assert_untouched(&fifth).await;
}

#[tokio::test]
async fn the_oldest_stays_although_its_time_is_up() {
    let team = team("oldest").await;
    team.create(policy("sweep").labelled("tmp=yes").after(3).with("/spec/keep", json!({"oldest": 1}))).await;
    let first = next(&team, None, "a", "a1").await;
    let second = next(&team, Some(&first), "a", "a2").await;
    team.goes_in_time(&second, 3).await;
    team.assert_untouched(&first).await;
}
