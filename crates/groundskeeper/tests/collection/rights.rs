//! Rights that are missing, and come later.

use serde_json::json;

use crate::support::drafts::{config_map, grant, object, policy};
use crate::support::team::condition;
use crate::support::{eventually, holds};
use crate::{team, team_and_operator};

#[tokio::test]
async fn a_missing_right_is_named_and_once_granted_collection_starts_without_a_restart() {
    let (team, operator) = team_and_operator("forbidden").await;
    let secret = team.create(object("v1", "Secret", "secret")).await;
    let sweep = team.create(policy("sweep").on("v1", "Secret").after(1)).await;
    let message = team.ready_is(&sweep, "False", "Forbidden").await;
    assert!(message.contains("lacks `watch` on `secrets`"), "{message}");
    let found = team.look_at(&sweep).await.unwrap();
    assert_eq!(condition(&found, "Stalled")["status"], "True", "{found}");
    let event = team.told(&sweep, "Forbidden", "`secrets`").await;
    assert_eq!(event["type"], "Warning");
    assert!(operator.metric("groundskeeper_gc_policies", &[r#"reason="Forbidden""#]).await >= Some(1.0));

    // Meanwhile another policy of the same namespace goes on.
    let other = team.create(config_map("other").labelled("tmp=yes")).await;
    team.create(policy("others").labelled("tmp=yes").after(1)).await;
    team.goes_in_time(&other, 1).await;
    team.assert_untouched(&secret).await;

    team.create(grant("collect-secrets", "", "secrets", &["list", "watch", "delete"])).await;
    team.goes_in_time(&secret, 1).await;
    team.collecting(&sweep).await;
}

#[tokio::test]
async fn a_missing_right_to_delete_is_named_and_once_granted_collection_goes_on() {
    let team = team("delete-forbidden").await;
    let role = team.create(grant("collect-limits", "", "limitranges", &["list", "watch"])).await;
    let limits = team.create(object("v1", "LimitRange", "limits").with("/spec", json!({"limits": []}))).await;
    let sweep = team.create(policy("sweep").on("v1", "LimitRange").after(1)).await;
    let message = team.ready_is(&sweep, "False", "Forbidden").await;
    assert!(message.contains("lacks `delete` on `limitranges`"), "{message}");
    let found = team.look_at(&sweep).await.unwrap();
    assert_eq!(condition(&found, "Stalled")["status"], "True", "{found}");
    team.told(&sweep, "Forbidden", "`delete` on `limitranges`").await;
    team.assert_untouched(&limits).await;

    let rules =
        json!([{"apiGroups": [""], "resources": ["limitranges"], "verbs": ["list", "watch", "delete"]}]);
    team.edit(&role, json!({"rules": rules})).await;
    team.goes_in_time(&limits, 1).await;
    team.collecting(&sweep).await;
}

#[tokio::test]
async fn a_denial_is_not_held_against_a_policy_that_deletes_nothing_any_more() {
    let team = team("denied-then-paused").await;
    team.create(grant("collect-quotas", "", "resourcequotas", &["list", "watch"])).await;
    team.create(object("v1", "ResourceQuota", "quota").with("/spec", json!({}))).await;
    let sweep = team.create(policy("sweep").on("v1", "ResourceQuota").after(1)).await;
    team.ready_is(&sweep, "False", "Forbidden").await;
    team.edit(&sweep, json!({"spec": {"paused": true}})).await;
    team.ready_is(&sweep, "True", "Paused").await;
}

#[tokio::test]
async fn rights_that_are_withdrawn_are_named_and_once_granted_again_collection_goes_on() {
    let team = team("withdrawn").await;
    let role = grant("collect-templates", "", "podtemplates", &["list", "watch", "delete"]);
    let granted = team.create(role.clone()).await;
    let sweep = team.create(policy("sweep").on("v1", "PodTemplate").after(3)).await;
    team.collecting(&sweep).await;
    team.delete(&granted).await;
    let template = json!({"spec": {"containers": [{"name": "a", "image": "example.invalid/a"}]}});
    let object = team.create(object("v1", "PodTemplate", "template").with("/template", template)).await;
    // The watch goes on until it is renewed; the deletion is refused.
    team.ready_is(&sweep, "False", "Forbidden").await;
    team.assert_untouched(&object).await;

    team.create(role).await;
    team.goes_in_time(&object, 3).await;
    team.collecting(&sweep).await;
}

#[tokio::test]
async fn the_operator_asks_only_for_what_it_was_granted() {
    let team = team("asks").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    team.goes_in_time(&object, 1).await;
    team.told(&sweep, "Deleted", "object").await;
    eventually(team.cluster, "the status is written", async || {
        let asked = crate::support::audit::requests(team.cluster, &team.namespace);
        let written = |request: &crate::support::audit::Request| {
            request.resource == "garbagecollectionpolicies/status" && request.verb == "patch"
        };
        holds(asked.iter().any(written), format!("{asked:#?}"))
    })
    .await;
    for request in crate::support::audit::requests(team.cluster, &team.namespace) {
        assert!(request.code < 400 || request.code == 404 || request.code == 409, "{request:?}");
    }
    team.assert_gentle("configmaps");
}
