//! Kinds that are not there, are there later, or are never collected.

use serde_json::json;

use crate::support::drafts::{config_map, definition, grant, object, policy};
use crate::support::team::{Team, condition};
use crate::team;

#[tokio::test]
async fn a_kind_that_is_installed_after_the_policy_is_collected_without_a_restart() {
    let team = team("late-kind").await;
    let group = "late.example.com";
    team.create(grant("collect-late", group, "widgets", &["list", "watch", "delete"])).await;
    let sweep = team.create(policy("sweep").on("late.example.com/v1", "Widget").after(1)).await;
    let message = team.ready_is(&sweep, "False", "KindNotFound").await;
    assert!(message.contains("Widget (late.example.com/v1)"), "{message}");
    let found = team.look_at(&sweep).await.unwrap();
    assert_eq!(condition(&found, "Stalled")["status"], "True", "{found}");
    assert_eq!(condition(&found, "Reconciling")["status"], "False", "{found}");

    team.create(definition(group, "Widget")).await;
    team.collecting(&sweep).await;
    let widget = team.create(object("late.example.com/v1", "Widget", "widget")).await;
    team.goes_in_time(&widget, 1).await;
}

#[tokio::test]
async fn a_kind_that_is_removed_and_installed_again_is_collected_again() {
    let team = team("again").await;
    let group = "again.example.com";
    team.create(grant("collect-again", group, "gadgets", &["list", "watch", "delete"])).await;
    let crd = team.create(definition(group, "Gadget")).await;
    let sweep = team.create(policy("sweep").on("again.example.com/v1", "Gadget").after(600)).await;
    team.collecting(&sweep).await;
    team.create(object("again.example.com/v1", "Gadget", "gadget")).await;
    team.policy_is(&sweep, "it sees the object", |policy| policy["status"]["matched"] == 1).await;

    team.delete(&crd).await;
    team.ready_is(&sweep, "False", "KindNotFound").await;
    team.policy_is(&sweep, "nothing is left", |policy| policy["status"]["matched"] == 0).await;

    team.create(definition(group, "Gadget")).await;
    team.collecting(&sweep).await;
    let gadget = team.create(object("again.example.com/v1", "Gadget", "gadget")).await;
    team.edit(&sweep, json!({"spec": {"ttl": {"secondsAfterCreation": 1}}})).await;
    team.goes_in_time(&gadget, 1).await;
}

#[tokio::test]
async fn a_plural_instead_of_a_kind_is_set_right() {
    let team = team("plural").await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    let sweep = team.create(policy("sweep").on("v1", "configmaps").labelled("tmp=yes").after(1)).await;
    let message = team.ready_is(&sweep, "False", "KindNotFound").await;
    assert!(message.contains("did you mean ConfigMap?"), "{message}");

    team.edit(&sweep, json!({"spec": {"targetResource": {"kind": "ConfigMap"}}})).await;
    team.goes_in_time(&object, 1).await;
    team.collecting(&sweep).await;
}

#[tokio::test]
async fn a_target_that_makes_no_sense_is_refused_by_a_condition() {
    let team = team("nonsense").await;
    let table = [
        (
            "cluster-wide",
            policy("cluster-wide").on("rbac.authorization.k8s.io/v1", "ClusterRole"),
            "KindNotNamespaced",
            "has no namespaces",
        ),
        (
            "foreign",
            policy("foreign").with("/spec/targetResource/namespace", "elsewhere"),
            "ForeignNamespace",
            "leave the field out",
        ),
        (
            "review",
            policy("review").on("authorization.k8s.io/v1", "LocalSubjectAccessReview"),
            "KindNotCollectable",
            "does not offer `list`",
        ),
        ("selector", policy("selector").labelled("tmp=-no-label-value"), "Invalid", "is not a label value"),
    ];
    for (name, draft, reason, expected) in table {
        let made = team.create(draft).await;
        let message = team.ready_is(&made, "False", reason).await;
        assert!(message.contains(expected), "{name}: {message}");
        let found = team.look_at(&made).await.unwrap();
        assert_eq!(condition(&found, "Stalled")["status"], "True", "{name}: {found}");
        team.told(&made, reason, expected).await;
    }
}

#[tokio::test]
async fn a_policy_may_name_its_own_namespace() {
    let team = team("own").await;
    let draft = policy("sweep")
        .with("/spec/targetResource/namespace", team.namespace.as_str())
        .labelled("tmp=yes")
        .after(1);
    let sweep = team.create(draft).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    team.goes_in_time(&object, 1).await;
    team.collecting(&sweep).await;
}

#[tokio::test]
async fn nothing_in_a_protected_namespace_is_ever_deleted() {
    let team = team("outside").await;
    for namespace in ["kube-system", "kube-public", "kube-node-lease", "groundskeeper-system"] {
        let inside = Team::in_namespace(team.cluster, namespace);
        let object = inside.create(config_map("precious")).await;
        let sweep = inside.create(policy("sweep").after(1)).await;
        let message = inside.ready_is(&sweep, "False", "TargetProtected").await;
        assert!(message.contains("are never deleted"), "{message}");

        team.wait_past(object.due(1)).await;
        inside.assert_untouched(&object).await;
        assert!(inside.deletions().is_empty(), "{:#?}", inside.deletions());
        inside.delete(&sweep).await;
    }
}
