//! What becomes of an object that several policies select.

use serde_json::json;

use crate::support::drafts::{Draft, config_map, policy};
use crate::support::team::{Made, Team};
use crate::{Leaves, reason_count, team};

fn keeper(name: &str) -> Draft {
    keeper_of_all(name).labelled("hold=yes")
}

fn keeper_of_all(name: &str) -> Draft {
    let mut draft = policy(name).with("/spec/action", "Keep");
    let spec = draft.0["spec"].as_object_mut().unwrap();
    spec.remove("ttl");
    spec.remove("budget");
    draft
}

async fn held(team: &Team<'_>, name: &str) -> Made {
    team.create(config_map(name).labelled("tmp=yes").labelled("hold=yes")).await
}

#[tokio::test]
async fn a_policy_that_keeps_wins_until_it_is_lifted() {
    let team = team("keeper").await;
    let keeper = team.create(keeper("keeper")).await;
    team.ready_is(&keeper, "True", "Keeping").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1).with("/spec/priority", 1000)).await;
    let (by_label, by_policy) = (held(&team, "by-label").await, held(&team, "by-policy").await);
    let free = team.create(config_map("free").labelled("tmp=yes")).await;

    team.goes_in_time(&free, 1).await;
    team.policy_is(&sweep, "two are kept", |policy| reason_count(policy, "KeptBy") == 2).await;
    team.wait_past(by_policy.due(1)).await;
    team.assert_untouched(&by_label).await;
    team.assert_untouched(&by_policy).await;

    let by_label = team.edit(&by_label, json!({"metadata": {"labels": {"hold": null}}})).await;
    team.goes_in_time(&by_label, 1).await;
    team.assert_untouched(&by_policy).await;
    team.delete(&keeper).await;
    team.goes_in_time(&by_policy, 1).await;
}

#[tokio::test]
async fn a_policy_keeps_the_objects_of_a_kind_in_whatever_version_others_name() {
    let team = team("versions").await;
    let leaves = Leaves::define_versions(&team, "versions", &["v1", "v2"]).await;
    let leaf = |name: &str| leaves.leaf(name).labelled("tmp=yes");
    // The policy that deletes is there first: the one that keeps is heard when it comes, and when it goes.
    team.create(leaves.policy("sweep").labelled("tmp=yes").after(3)).await;
    let keeper = team.create(keeper("keeper").on("versions.example.com/v2", "Leaf")).await;
    team.ready_is(&keeper, "True", "Keeping").await;
    let annotated = json!([{"fieldPath": "metadata.annotations.hold", "operator": "Exists"}]);
    let by_annotation = keeper_of_all("by-annotation").on("versions.example.com/v2", "Leaf");
    team.create(by_annotation.with("/spec/conditions", json!({"and": annotated}))).await;
    let held = team.create(leaf("held").labelled("hold=yes")).await;
    let marked = team.create(leaf("marked").annotated("hold=yes")).await;
    let free = team.create(leaf("free")).await;

    team.goes_in_time(&free, 3).await;
    team.wait_past(free.due(3)).await;
    team.assert_untouched(&held).await;
    team.assert_untouched(&marked).await;
    team.delete(&keeper).await;
    team.goes_in_time(&held, 3).await;
    team.assert_untouched(&marked).await;
}

#[tokio::test]
async fn a_policy_keeps_for_a_time_and_one_that_plans_keeps_nothing() {
    let team = team("keeps-for").await;
    team.create(keeper("keeper").with("/spec/ttl", json!({"after": "5s"}))).await;
    let plans = keeper("plans")
        .with("/spec/mode", "Plan")
        .with("/spec/targetResource/labelSelector/matchLabels", json!({"plan": "yes"}));
    let plans = team.create(plans).await;
    team.ready_is(&plans, "True", "Planning").await;
    team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let held = held(&team, "held").await;
    let planned = team.create(config_map("planned").labelled("tmp=yes").labelled("plan=yes")).await;
    team.goes_in_time(&planned, 1).await;
    team.goes_in_time(&held, 5).await;
}

#[tokio::test]
async fn the_policy_of_the_highest_priority_decides_and_of_equals_the_first_to_fall_due() {
    let team = team("priority").await;
    team.create(policy("low").labelled("tmp=yes").after(1)).await;
    let high = team.create(policy("high").labelled("high=yes").after(5).with("/spec/priority", 10)).await;
    team.create(policy("equal").labelled("equal=yes").after(3600)).await;
    let high_one = team.create(config_map("high").labelled("tmp=yes").labelled("high=yes")).await;
    let low_one = team.create(config_map("low").labelled("tmp=yes")).await;
    let equal_one = team.create(config_map("equal").labelled("tmp=yes").labelled("equal=yes")).await;
    team.collecting(&high).await;

    team.goes_in_time(&low_one, 1).await;
    team.goes_in_time(&equal_one, 1).await;
    team.goes_in_time(&high_one, 5).await;
}

#[tokio::test]
async fn a_policy_that_keeps_goes_on_keeping_after_somebody_has_broken_it() {
    let team = team("broken-keeper").await;
    let keeper = team.create(keeper("keeper")).await;
    team.ready_is(&keeper, "True", "Keeping").await;
    team.edit(&keeper, json!({"spec": {"when": "object."}})).await;
    team.ready_is(&keeper, "False", "Invalid").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let kept = held(&team, "kept").await;
    let free = team.create(config_map("free").labelled("tmp=yes")).await;

    team.goes_in_time(&free, 1).await;
    team.wait_past(kept.due(1)).await;
    team.assert_untouched(&kept).await;
    team.policy_is(&sweep, "it is kept", |policy| reason_count(policy, "KeptBy") == 1).await;
    // Mended, it keeps what it selects, and that is not everything any more.
    team.edit(&keeper, json!({"spec": {"when": "object.metadata.name != 'kept'"}})).await;
    team.goes_in_time(&kept, 1).await;
}
