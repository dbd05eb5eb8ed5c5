//! How a policy acts: mode, kinds, hours, notice, identity.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::drafts::{Draft, config_map, object, policy};
use crate::support::team::{Team, condition};
use crate::support::{audit, eventually, holds};
use crate::{from_now, is_true, message, reason_count, team, team_and_operator};

#[tokio::test]
async fn a_new_policy_plans_and_deletes_once_it_is_told_to_enforce() {
    let (team, operator) = team_and_operator("mode").await;
    let mut draft = policy("sweep").labelled("tmp=yes").after(1);
    draft.0["spec"].as_object_mut().unwrap().remove("mode");
    let sweep = team.create(draft).await;
    let objects = team.create_many(3, &config_map("object").labelled("tmp=yes")).await;
    let said = team
        .policy_is(&sweep, "three are due", |policy| {
            reason_count(policy, "Expired") == 3 && condition(policy, "Ready")["reason"] == "Planning"
        })
        .await;
    assert!(message(&said, "Ready").contains("3 objects is up"), "{said}");
    assert_eq!(said["spec"]["mode"], "Plan", "{said}");
    team.wait_past(objects[2].due(1)).await;
    for object in &objects {
        team.assert_untouched(object).await;
    }
    let found = team.look_at(&sweep).await.unwrap();
    assert_eq!(found["status"]["deleted"], 0, "{found}");
    let name = format!(r#"policy_namespace="{}",policy_name="sweep""#, team.namespace);
    assert_eq!(operator.metric("groundskeeper_gc_deletions_total", &[&name]).await, None);

    team.edit(&sweep, json!({"spec": {"mode": "Enforce"}})).await;
    for object in &objects {
        team.goes_in_time(object, 1).await;
    }
    team.policy_is(&sweep, "three are deleted", |policy| policy["status"]["deleted"] == 3).await;
}

#[tokio::test]
async fn one_policy_collects_several_kinds() {
    let team = team("kinds").await;
    let mut draft = policy("sweep").after(2);
    draft.0["spec"].as_object_mut().unwrap().remove("targetResource");
    let target = |kind: &str, labels: Value| json!({"apiVersion": "v1", "kind": kind, "labelSelector": {"matchLabels": labels}});
    let targets = json!([target("ConfigMap", json!({"tmp": "yes"})), target("Secret", json!({"tmp": "no"}))]);
    let sweep = team.create(draft.with("/spec/targetResources", targets)).await;
    let map = team.create(config_map("a").labelled("tmp=yes")).await;
    let secret = team.create(object("v1", "Secret", "a").labelled("tmp=no")).await;
    let other = team.create(object("v1", "Secret", "b").labelled("tmp=yes")).await;
    team.policy_is(&sweep, "both are matched", |policy| policy["status"]["matched"] == 2).await;
    team.goes_in_time(&map, 2).await;
    team.goes_in_time(&secret, 2).await;
    let found = team.policy_is(&sweep, "two are deleted", |policy| policy["status"]["deleted"] == 2).await;
    assert_eq!(found["status"]["target"], "ConfigMap,Secret", "{found}");

    // One kind fewer: the other is still collected.
    let targets = json!([target("Secret", json!({"tmp": "yes"}))]);
    team.edit(&sweep, json!({"spec": {"targetResources": targets}})).await;
    let map = team.create(config_map("a").labelled("tmp=yes")).await;
    team.goes_in_time(&other, 2).await;
    team.wait_past(map.due(2)).await;
    team.assert_untouched(&map).await;
}

/// A window from so many hours from now until so many.
fn window(from: i64, to: i64) -> Value {
    let at = |hours: i64| from_now(hours * 3600).strftime("%H:%M").to_string();
    json!({"windows": [{"from": at(from), "to": at(to)}]})
}

#[tokio::test]
async fn what_is_due_waits_for_a_window() {
    let team = team("window").await;
    let draft = policy("sweep").labelled("tmp=yes").after(1).with("/spec/schedule", window(2, 3));
    let sweep = team.create(draft).await;
    let due = team.create(config_map("due").labelled("tmp=yes")).await;
    let said = team.ready_is(&sweep, "True", "OutsideWindow").await;
    assert!(said.contains("the next window, which opens at"), "{said}");
    team.wait_past(due.due(1)).await;
    team.assert_untouched(&due).await;

    team.edit(&sweep, json!({"spec": {"schedule": window(-1, 1)}})).await;
    team.goes_in_time(&due, 1).await;
    team.collecting(&sweep).await;
}

/// When an object says that it goes.
async fn announced(team: &Team<'_>, made: &crate::support::team::Made) -> Timestamp {
    eventually(team.cluster, &format!("{} is told", made.name), async || {
        let found = team.look_at(made).await.unwrap_or_default();
        let text = found["metadata"]["annotations"]["groundskeeper.dev/notice"].as_str();
        let at = text.and_then(|text| text.split_once('/')).map(|(_, at)| at);
        at.and_then(|at| at.parse().ok()).ok_or_else(|| found.to_string())
    })
    .await
}

#[tokio::test]
async fn an_object_is_told_before_it_goes_and_may_be_protected_in_time() {
    let team = team("notice").await;
    let draft = policy("sweep").labelled("tmp=yes").after(2).with("/spec/notice", "1m");
    let sweep = team.create(draft).await;
    let told = team.create(config_map("told").labelled("tmp=yes")).await;
    let at = announced(&team, &told).await;
    assert!(at >= told.created.checked_add(crate::seconds(60)).unwrap(), "{at}");
    let event = team.told(&told, "DeletionNotice", &at.to_string()).await;
    assert_eq!(event["regarding"]["name"], "told", "{event}");
    team.wait_past(told.due(2)).await;
    assert!(team.look_at(&told).await.is_some(), "it was told that it has a minute");
    team.policy_is(&sweep, "it is pending", |policy| policy["status"]["pending"] == 1).await;

    // A telling that gave less than a minute is not this policy's.
    let (soon, name) = (from_now(4), "groundskeeper.dev/notice");
    let hasty = format!("{name}={}/{soon}", from_now(-5));
    let hurried = team.create(config_map("hurried").labelled("tmp=yes").annotated(&hasty)).await;
    // What was told before goes when it was said to; and what is protected meanwhile does not.
    let note = format!("{name}={}/{soon}", from_now(-60));
    let early = |name_of: &str| config_map(name_of).labelled("tmp=yes").annotated(&note);
    let goes = team.create(early("goes")).await;
    let saved = team.create(early("saved")).await;
    let protect = json!({"metadata": {"annotations": {"groundskeeper.dev/protect": "true"}}});
    let saved = team.edit(&saved, protect).await;
    let asked = team.goes_in_time(&goes, 2).await;
    assert!(asked.at >= soon, "{asked:?} before {soon}");
    team.wait_past(soon).await;
    team.assert_untouched(&saved).await;
    let at = announced(&team, &hurried).await;
    assert!(at >= hurried.created.checked_add(crate::seconds(60)).unwrap(), "{at}");
    team.policy_is(&sweep, "one is protected", |policy| policy["status"]["protected"] == 1).await;
    // Nobody was told twice.
    let notices = audit::requests(team.cluster, &team.namespace);
    let notices =
        notices.iter().filter(|request| request.resource == "configmaps" && request.verb == "patch");
    assert_eq!(notices.count(), 2);
}

fn role(verbs: &[&str]) -> Draft {
    object("rbac.authorization.k8s.io/v1", "Role", "sweeper")
        .with("/rules", json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]))
}

/// In a namespace of its own name, for the operator may act as this one account.
#[tokio::test]
async fn a_policy_acts_with_the_rights_of_its_service_account() {
    let any = team("account").await;
    let team = Team::in_namespace(any.cluster, "sweepers");
    team.create(object("v1", "ServiceAccount", "sweeper")).await;
    let group = "rbac.authorization.k8s.io";
    let binding = object("rbac.authorization.k8s.io/v1", "RoleBinding", "sweeper")
        .with("/roleRef", json!({"apiGroup": group, "kind": "Role", "name": "sweeper"}))
        .with("/subjects", json!([{"kind": "ServiceAccount", "name": "sweeper", "namespace": "sweepers"}]));
    team.create(binding).await;
    let draft = policy("sweep").labelled("tmp=yes").after(1).with("/spec/serviceAccountName", "sweeper");
    let sweep = team.create(draft).await;
    let due = team.create(config_map("due").labelled("tmp=yes")).await;
    let found = team
        .policy_is(&sweep, "the account lacks the right", |policy| is_true(policy, "PermissionDenied"))
        .await;
    let said = message(&found, "PermissionDenied");
    assert!(said.contains("sweepers/sweeper") && said.contains("`delete` on `configmaps`"), "{said}");
    assert_eq!(condition(&found, "Ready")["reason"], "Forbidden", "{found}");
    team.assert_untouched(&due).await;

    team.create(role(&["delete"])).await;
    team.goes_in_time(&due, 1).await;
    let found =
        team.policy_is(&sweep, "nothing is denied", |policy| !is_true(policy, "PermissionDenied")).await;
    assert_eq!(condition(&found, "Ready")["reason"], "Collecting", "{found}");
    let asked = team.deletions();
    let account = "system:serviceaccount:sweepers:sweeper";
    assert!(asked.iter().all(|asked| asked.name != "due" || asked.acting_as == account), "{asked:#?}");
}

#[tokio::test]
async fn an_account_that_the_operator_may_not_act_as_deletes_nothing() {
    let team = team("no-account").await;
    let draft = policy("sweep").labelled("tmp=yes").after(1).with("/spec/serviceAccountName", "default");
    let sweep = team.create(draft).await;
    let due = team.create(config_map("due").labelled("tmp=yes")).await;
    let said = team.ready_is(&sweep, "False", "Forbidden").await;
    assert!(said.contains("/default"), "{said}");
    team.wait_past(due.due(1)).await;
    team.assert_untouched(&due).await;
    holds(is_true(&team.look_at(&sweep).await.unwrap(), "PermissionDenied"), "it is not said").unwrap();
}
