//! A change of a policy takes effect at once.

use serde_json::json;

use crate::support::drafts::{config_map, policy};
use crate::team;

#[tokio::test]
async fn a_longer_time_to_live_saves_an_object_and_a_shorter_one_lets_it_go() {
    let team = team("ttl").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(4)).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    team.collecting(&sweep).await;
    team.edit(&sweep, json!({"spec": {"ttl": {"secondsAfterCreation": 3600}}})).await;
    team.wait_past(object.due(4)).await;
    team.assert_untouched(&object).await;

    team.edit(&sweep, json!({"spec": {"ttl": {"secondsAfterCreation": 1}}})).await;
    team.goes_in_time(&object, 4).await;
}

#[tokio::test]
async fn another_selector_saves_some_objects_and_lets_others_go() {
    let team = team("selector").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(4)).await;
    let saved = team.create(config_map("saved").labelled("tmp=yes")).await;
    let lost = team.create(config_map("lost").labelled("tmp=no")).await;
    team.collecting(&sweep).await;
    let selector = json!({"matchLabels": {"tmp": "no"}});
    team.edit(&sweep, json!({"spec": {"targetResource": {"labelSelector": selector}}})).await;

    team.goes_in_time(&lost, 4).await;
    team.wait_past(saved.due(4)).await;
    team.assert_untouched(&saved).await;
}

#[tokio::test]
async fn a_paused_policy_deletes_nothing_until_it_goes_on() {
    let team = team("paused").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1).paused()).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    team.ready_is(&sweep, "True", "Paused").await;
    team.wait_past(object.due(1)).await;
    team.assert_untouched(&object).await;
    team.policy_is(&sweep, "it still counts", |policy| policy["status"]["pending"] == 1).await;

    team.edit(&sweep, json!({"spec": {"paused": false}})).await;
    team.goes_in_time(&object, 1).await;
    team.collecting(&sweep).await;
}

#[tokio::test]
async fn a_running_policy_that_is_paused_stops_at_once() {
    let team = team("pause").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(4)).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    team.collecting(&sweep).await;
    team.edit(&sweep, json!({"spec": {"paused": true}})).await;
    team.wait_past(object.due(4)).await;
    team.assert_untouched(&object).await;
}

#[tokio::test]
async fn a_policy_that_is_turned_into_a_dry_run_stops_at_once() {
    let team = team("to-dry-run").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(4)).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    team.collecting(&sweep).await;
    team.edit(&sweep, json!({"spec": {"behavior": {"dryRun": true}}})).await;
    team.wait_past(object.due(4)).await;
    team.assert_untouched(&object).await;
}

#[tokio::test]
async fn the_objects_of_a_deleted_policy_live_on() {
    let team = team("deleted").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(4)).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    team.collecting(&sweep).await;
    team.delete(&sweep).await;
    team.wait_past(object.due(4)).await;
    team.assert_untouched(&object).await;
}

#[tokio::test]
async fn a_policy_that_is_created_anew_counts_from_nothing() {
    let team = team("policy-anew").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    team.goes_in_time(&object, 1).await;
    team.policy_is(&sweep, "it has deleted one", |policy| policy["status"]["deleted"] == 1).await;

    team.delete(&sweep).await;
    let anew = team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    team.collecting(&anew).await;
    let found = team.look_at(&anew).await.unwrap();
    assert_eq!(found["status"]["deleted"], 0, "{found}");
    assert!(found["status"]["lastDeletion"].is_null(), "{found}");
}
