//! Whose rights a policy is carried out with. No webhook is installed here: what admission would have refused changes
//! nothing.

use serde_json::json;

use crate::support::drafts::{Draft, config_map, object, policy};
use crate::support::holds;
use crate::support::team::condition;
use crate::team;

fn role(name: &str, verbs: &[&str]) -> Draft {
    object("rbac.authorization.k8s.io/v1", "Role", name)
        .with("/rules", json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]))
}

fn binding(role: &str, user: &str) -> Draft {
    let group = "rbac.authorization.k8s.io";
    object("rbac.authorization.k8s.io/v1", "RoleBinding", role)
        .with("/roleRef", json!({"apiGroup": group, "kind": "Role", "name": role}))
        .with("/subjects", json!([{"apiGroup": group, "kind": "User", "name": user}]))
}

#[tokio::test]
async fn nothing_is_deleted_for_an_author_who_may_not_until_they_may() {
    let team = team("author-forbidden").await;
    let granted = team.create(role("collects", &["list"])).await;
    team.create(binding("collects", "ada")).await;
    let due = team.create(config_map("due").labelled("tmp=yes")).await;
    let draft = policy("sweep").labelled("tmp=yes").after(1);
    let sweep = team.create(draft.written_by("ada", "developers")).await;

    let message = team.ready_is(&sweep, "False", "AuthorForbidden").await;
    assert!(message.contains("`ada` may not `delete` `configmaps`"), "{message}");
    let found = team.look_at(&sweep).await.unwrap();
    assert_eq!(condition(&found, "Stalled")["status"], "True", "{found}");
    assert_eq!(found["status"]["matched"], 0, "what may not be listed is not counted out: {found}");
    team.told(&sweep, "AuthorForbidden", "`ada`").await;
    team.wait_past(due.due(2)).await;
    team.assert_untouched(&due).await;

    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "delete"]}]);
    team.edit(&granted, json!({"rules": rules})).await;
    team.goes_in_time(&due, 1).await;
    team.collecting(&sweep).await;
}

#[tokio::test]
async fn nothing_is_deleted_for_an_author_who_is_not_known() {
    let team = team("author-unknown").await;
    let due = team.create(config_map("due").labelled("tmp=yes")).await;
    let draft = policy("sweep").labelled("tmp=yes").after(1).with("/metadata/annotations", json!({}));
    let sweep = team.create(draft).await;
    let message = team.ready_is(&sweep, "False", "AuthorUnknown").await;
    assert!(message.contains("groundskeeper.dev/author"), "{message}");
    team.wait_past(due.due(2)).await;
    team.assert_untouched(&due).await;

    let author =
        json!({"groundskeeper.dev/author": "admin", "groundskeeper.dev/author-groups": "system:masters"});
    team.edit(&sweep, json!({"metadata": {"annotations": author}})).await;
    team.goes_in_time(&due, 1).await;
}

#[tokio::test]
async fn an_author_who_is_exchanged_for_one_without_rights_stops_the_policy() {
    let team = team("author-exchanged").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    team.collecting(&sweep).await;
    team.edit(&sweep, json!({"metadata": {"annotations": {"groundskeeper.dev/author": ""}}})).await;
    team.ready_is(&sweep, "False", "AuthorUnknown").await;
    let nobody = json!({"groundskeeper.dev/author": "nobody", "groundskeeper.dev/author-groups": ""});
    team.edit(&sweep, json!({"metadata": {"annotations": nobody}})).await;
    team.ready_is(&sweep, "False", "AuthorForbidden").await;
    let due = team.create(config_map("due").labelled("tmp=yes")).await;
    team.wait_past(due.due(2)).await;
    team.assert_untouched(&due).await;
    holds(team.deletions().iter().all(|deletion| deletion.name != "due"), "it was asked for").unwrap();
}
