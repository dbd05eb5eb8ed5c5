//! Policies of the cluster: namespaces by name and label, kinds without namespaces.

use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};

use crate::support::drafts::{Draft, config_map, object, policy};
use crate::support::team::{Made, Team};
use crate::support::{eventually, holds};
use crate::{Leaves, cluster_policy, team};

async fn label_namespace(team: &Team<'_>, labels: Value) {
    let namespace = object("v1", "Namespace", &team.namespace);
    let api = team.api("v1", "Namespace");
    let patch = kube::api::Patch::Merge(json!({"metadata": {"labels": labels}}));
    api.patch(namespace.name(), &kube::api::PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test]
async fn namespaces_are_chosen_by_name_and_label_and_left_out_by_name() {
    let team = team("spaces").await;
    let leaves = Leaves::define(&team, "spaces").await;
    let mut teams = Vec::new();
    for prefix in ["spaces-a", "spaces-b", "spaces-c", "spaces-d"] {
        teams.push(Team::new(team.cluster, prefix).await);
    }
    let [a, b, c, d] = &teams[..] else { panic!() };
    for labelled in [a, b, d] {
        label_namespace(labelled, json!({"stage": "tmp"})).await;
    }
    let namespaces = json!({
        "names": ["spaces-a*", "spaces-b*", "spaces-c*"],
        "exclude": [b.namespace],
        "selector": {"matchLabels": {"stage": "tmp"}},
    });
    let sweep = leaves.cluster_policy("spaces").after(2).with("/spec/namespaces", namespaces);
    let sweep = team.create(sweep).await;
    let (of_a, of_b) = (a.create(leaves.leaf("leaf")).await, b.create(leaves.leaf("leaf")).await);
    let (of_c, of_d) = (c.create(leaves.leaf("leaf")).await, d.create(leaves.leaf("leaf")).await);

    a.goes_in_time(&of_a, 2).await;
    team.wait_past(of_d.due(2)).await;
    b.assert_untouched(&of_b).await;
    c.assert_untouched(&of_c).await;
    d.assert_untouched(&of_d).await;

    // A namespace comes in by its label, and goes out by it.
    label_namespace(c, json!({"stage": "tmp"})).await;
    c.goes_in_time(&of_c, 2).await;
    label_namespace(c, json!({"stage": "live"})).await;
    let of_c = c.create(leaves.leaf("later")).await;
    team.wait_past(of_c.due(2)).await;
    c.assert_untouched(&of_c).await;
    team.collecting(&sweep).await;
    team.policy_is(&sweep, "two are deleted", |policy| policy["status"]["deleted"] == 2).await;
    team.delete(&sweep).await;
}

/// A policy whose watch shows only what it selects takes its share of everything where it looks, from the first deletion on.
#[tokio::test]
async fn a_share_is_of_all_objects_in_the_namespaces_that_a_policy_selects() {
    let team = team("census").await;
    let leaves = Leaves::define(&team, "census").await;
    let (a, b) = (Team::new(team.cluster, "census-a").await, Team::new(team.cluster, "census-b").await);
    label_namespace(&a, json!({"census": "yes"})).await;
    a.create_many(9, &leaves.leaf("kept")).await;
    b.create_many(40, &leaves.leaf("elsewhere")).await;
    let due = a.create_many(4, &leaves.leaf("due").labelled("tmp=yes")).await;
    let by_label = json!({"selector": {"matchLabels": {"census": "yes"}}});
    let by_name = json!({"names": ["census-?*"], "exclude": [b.namespace]});
    // Four of 13 are not more than a third of them, but all four that are selected.
    let sweep = |name: &str, namespaces: Value| {
        let draft = leaves.cluster_policy(name).labelled("tmp=yes").after(2);
        draft.with("/spec/namespaces", namespaces).with("/spec/budget", json!({"percent": 34}))
    };
    let plan = team.create(sweep("census-plan", by_name).with("/spec/mode", "Plan")).await;
    let sweep = team.create(sweep("census", by_label)).await;
    for object in &due {
        a.goes_in_time(object, 2).await;
    }
    for policy in [&sweep, &plan] {
        let base = |policy: &Value| policy["status"]["budget"]["base"].as_i64();
        team.policy_is(policy, "all objects are counted", |policy| base(policy) >= Some(9)).await;
        let found = team.policy_is(policy, "and no others", |policy| base(policy) <= Some(13)).await;
        assert_eq!(found["status"]["unresolvable"], 0, "{found}");
    }
    let default = Team::in_namespace(team.cluster, "default");
    let events = default.api("events.k8s.io/v1", "Event").list(&ListParams::default()).await.unwrap();
    let told = |event: &DynamicObject| {
        (event.data["regarding"]["uid"] == sweep.uid).then(|| event.data["reason"].clone())
    };
    let told: Vec<_> = events.items.iter().filter_map(told).collect();
    assert!(told.contains(&json!("Deleted")) && !told.contains(&json!("BudgetExceeded")), "{told:?}");
    team.delete(&sweep).await;
    team.delete(&plan).await;
}

#[tokio::test]
async fn a_share_of_a_namespaces_policy_is_of_its_namespace_also_if_it_shares_a_watch() {
    let team = team("share-one").await;
    let leaves = Leaves::define(&team, "share-one").await;
    let other = Team::new(team.cluster, "share-two").await;
    team.create_many(8, &leaves.leaf("kept")).await;
    other.create_many(30, &leaves.leaf("elsewhere")).await;
    team.create_many(2, &leaves.leaf("due").labelled("tmp=yes")).await;
    let limited = |draft: Draft| draft.labelled("tmp=yes").with("/spec/budget", json!({"percent": 50}));
    let all = team.create(limited(leaves.cluster_policy("share-all")).with("/spec/mode", "Plan")).await;
    let base = |base: i64| move |policy: &Value| policy["status"]["budget"]["base"] == base;
    team.policy_is(&all, "it is of all there are", base(40)).await;
    // It comes to a watch that is there, and looks for the same label.
    let own = team.create(limited(leaves.policy("share-own"))).await;
    team.policy_is(&own, "it is of all in its namespace", base(10)).await;
    team.policy_is(&all, "it is of all there are", base(40)).await;
    team.delete(&all).await;
}

#[tokio::test]
async fn a_kind_without_namespaces_is_collected_by_label() {
    let team = team("roles").await;
    let roles = cluster_policy("roles").on("rbac.authorization.k8s.io/v1", "ClusterRole");
    let sweep = team.create(roles.labelled("tmp=yes").after(2)).await;
    let role =
        |name: &str| object("rbac.authorization.k8s.io/v1", "ClusterRole", name).with("/rules", json!([]));
    let kept = team.create(role("policies-kept").labelled("tmp=no")).await;
    let due = team.create(role("policies-due").labelled("tmp=yes")).await;
    team.gone(&due).await;
    team.wait_past(kept.due(2)).await;
    team.assert_untouched(&kept).await;
    team.policy_is(&sweep, "one is deleted", |policy| policy["status"]["deleted"] == 1).await;
    team.delete(&sweep).await;
}

async fn leaf(team: &Team<'_>, leaves: &Leaves, name: &str, label: &str) -> Made {
    team.create(leaves.leaf(name).labelled(label)).await
}

#[tokio::test]
async fn policies_of_a_namespace_and_of_the_cluster_share_a_kind() {
    let team = team("shared").await;
    let leaves = Leaves::define(&team, "shared").await;
    let other = Team::new(team.cluster, "shared-other").await;
    let own = team.create(leaves.policy("own").labelled("tmp=own").after(3)).await;
    team.collecting(&own).await;
    let before = leaf(&team, &leaves, "before", "tmp=own").await;

    // The watch of the namespace is replaced by one of the cluster while an object is about to go.
    let names = json!({"names": [team.namespace, other.namespace]});
    let everywhere =
        leaves.cluster_policy("shared").labelled("tmp=all").after(3).with("/spec/namespaces", names);
    let everywhere = team.create(everywhere).await;
    let foreign = leaf(&other, &leaves, "foreign", "tmp=own").await;
    let (here, there) =
        (leaf(&team, &leaves, "here", "tmp=all").await, leaf(&other, &leaves, "there", "tmp=all").await);
    team.goes_in_time(&before, 3).await;
    team.goes_in_time(&here, 3).await;
    other.goes_in_time(&there, 3).await;
    team.collecting(&everywhere).await;
    let after = leaf(&team, &leaves, "after", "tmp=own").await;
    team.goes_in_time(&after, 3).await;

    // And back.
    let last = leaf(&team, &leaves, "last", "tmp=own").await;
    let (stays, stays_too) =
        (leaf(&team, &leaves, "stays", "tmp=all").await, leaf(&other, &leaves, "stays", "tmp=all").await);
    team.delete(&everywhere).await;
    team.goes_in_time(&last, 3).await;
    team.wait_past(stays_too.due(3)).await;
    for (team, kept) in [(&team, &stays), (&other, &stays_too), (&other, &foreign)] {
        team.assert_untouched(kept).await;
    }
    team.policy_is(&own, "three are deleted", |policy| {
        policy["status"]["deleted"] == 3 && policy["status"]["matched"] == 0
    })
    .await;
}

#[tokio::test]
async fn an_author_without_rights_everywhere_deletes_nothing_anywhere() {
    let team = team("author").await;
    let draft = cluster_policy("author")
        .labelled("tmp=yes")
        .after(1)
        .with("/spec/namespaces", json!({"names": [team.namespace]}))
        .written_by("ada", "developers");
    let sweep = team.create(draft).await;
    let due = team.create(config_map("due").labelled("tmp=yes")).await;
    let said = team.ready_is(&sweep, "False", "AuthorForbidden").await;
    assert!(said.contains("`ada` may not `list` or `delete` `configmaps` in all namespaces"), "{said}");
    team.wait_past(due.due(1)).await;
    team.assert_untouched(&due).await;
    let told = eventually(team.cluster, "an event tells of it", async || {
        let events = Team::in_namespace(team.cluster, "default").api("events.k8s.io/v1", "Event");
        let events = events.list(&kube::api::ListParams::default()).await.unwrap();
        let found = events.items.iter().map(|event| serde_json::to_value(event).unwrap());
        found
            .filter(|event| event["regarding"]["uid"] == sweep.uid)
            .find(|event| event["reason"] == "AuthorForbidden")
            .ok_or_else(String::new)
    });
    assert_eq!(told.await["regarding"]["kind"], "ClusterGarbageCollectionPolicy");
    team.delete(&sweep).await;
    holds(team.look_at(&sweep).await.is_none(), "it is still there").unwrap();
}

#[tokio::test]
async fn a_policy_of_a_namespace_names_no_namespaces() {
    let team = team("confined").await;
    let refusal = team.try_create(policy("sweep").with("/spec/namespaces", json!({"names": ["a"]}))).await;
    assert!(refusal.unwrap_err().contains("collects in its own namespace: leave namespaces out"));
    let draft = cluster_policy("confined").with("/spec/targetResource/namespace", "a");
    let refusal = team.try_create(draft).await.unwrap_err();
    assert!(refusal.contains("selects namespaces by spec.namespaces"), "{refusal}");
}

/// The API server selects by the namespace of what lies in one, and refuses to for namespaces themselves.
#[tokio::test]
async fn a_field_that_the_server_does_not_select_by_is_compared_by_us() {
    let team = team("refused").await;
    label_namespace(&team, json!({"refused": "yes"})).await;
    let policy = |name: &str, field: &str, value: &str| {
        cluster_policy(name)
            .on("v1", "Namespace")
            .labelled("refused=yes")
            .after(1)
            .with("/spec/mode", "Plan")
            .with("/spec/unlock", json!(["Namespaces"]))
            .with("/spec/targetResource/fieldSelector/matchFields", json!({field: value}))
    };
    let other = team.create(policy("refused-other", "metadata.namespace", "elsewhere")).await;
    team.ready_is(&other, "True", "Planning").await;
    let own = team.create(policy("refused-own", "metadata.name", &team.namespace)).await;
    team.policy_is(&own, "it is matched", |policy| policy["status"]["matched"] == 1).await;
    let found = team.look_at(&other).await.unwrap();
    assert_eq!(found["status"]["matched"], 0, "{found}");
    team.delete(&other).await;
    team.delete(&own).await;
}
