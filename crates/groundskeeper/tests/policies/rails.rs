//! What is never deleted, and what only by a policy that says so in words.

use serde_json::json;

use crate::support::drafts::{config_map, object, policy};
use crate::support::team::Team;
use crate::support::{eventually, holds};
use crate::{Leaves, cluster_policy, team};

#[tokio::test]
async fn what_helm_keeps_its_releases_in_stays_until_it_is_unlocked() {
    let team = team("helm").await;
    let sweep = team.create(policy("sweep").on("v1", "Secret").labelled("owner=helm").after(1)).await;
    let release = object("v1", "Secret", "sh.helm.release.v1.web.v1").labelled("owner=helm");
    let release = team.create(release.with("/type", "helm.sh/release.v1")).await;
    team.policy_is(&sweep, "it is protected", |policy| policy["status"]["protected"] == 1).await;
    team.wait_past(release.due(1)).await;
    team.assert_untouched(&release).await;
    let foreign = json!({"spec": {"unlock": ["Leases", "Nodes"]}});
    team.edit(&sweep, foreign).await;
    team.wait_past(release.due(1)).await;
    team.assert_untouched(&release).await;
    team.edit(&sweep, json!({"spec": {"unlock": ["HelmReleases"]}})).await;
    team.goes_in_time(&release, 1).await;
}

#[tokio::test]
async fn a_namespace_goes_only_by_a_policy_that_names_namespaces() {
    let team = team("spaces-unlocked").await;
    let preview = object("v1", "Namespace", "preview-17").labelled("preview=yes");
    let preview = team.create(preview).await;
    let default = object("v1", "Namespace", "default");
    let draft = cluster_policy("previews").on("v1", "Namespace").labelled("preview=yes").after(1);
    let sweep = team.create(draft).await;
    let said = team.ready_is(&sweep, "False", "TargetProtected").await;
    assert!(said.contains("unless the policy unlocks Namespaces"), "{said}");
    team.wait_past(preview.due(1)).await;
    assert!(team.look_at(&preview).await.unwrap()["metadata"]["deletionTimestamp"].is_null());

    // Also by one that unlocks them, the cluster's own stay.
    let api = team.api("v1", "Namespace");
    let label = kube::api::Patch::Merge(json!({"metadata": {"labels": {"preview": "yes"}}}));
    for name in [default.name(), "kube-system", "groundskeeper-system"] {
        api.patch(name, &kube::api::PatchParams::default(), &label).await.unwrap();
    }
    team.edit(&sweep, json!({"spec": {"unlock": ["Namespaces"]}})).await;
    team.gone(&preview).await;
    team.policy_is(&sweep, "three are protected", |policy| policy["status"]["protected"] == 3).await;
    for name in [default.name(), "kube-system", "groundskeeper-system"] {
        let found = api.get(name).await.unwrap();
        assert!(found.metadata.deletion_timestamp.is_none(), "{name}");
    }
    team.delete(&sweep).await;
    let unlabel = kube::api::Patch::Merge(json!({"metadata": {"labels": {"preview": null}}}));
    for name in [default.name(), "kube-system", "groundskeeper-system"] {
        api.patch(name, &kube::api::PatchParams::default(), &unlabel).await.unwrap();
    }
}

#[tokio::test]
async fn what_lies_in_kube_system_goes_only_by_a_policy_that_names_it() {
    let team = team("system").await;
    let system = Team::in_namespace(team.cluster, "kube-system");
    let draft = policy("sweep").labelled("policies=tmp").after(1);
    let sweep = system.create(draft).await;
    let due = system.create(config_map("policies-due").labelled("policies=tmp")).await;
    let kept = system.create(config_map("policies-kept")).await;
    let said = system.ready_is(&sweep, "False", "TargetProtected").await;
    assert!(said.contains("unless the policy unlocks SystemNamespaces"), "{said}");
    team.wait_past(due.due(1)).await;
    system.assert_untouched(&due).await;
    system.edit(&sweep, json!({"spec": {"unlock": ["SystemNamespaces"]}})).await;
    system.goes_in_time(&due, 1).await;
    system.assert_untouched(&kept).await;
    system.delete(&sweep).await;
    system.delete(&kept).await;

    // Our own namespace never does.
    let own = Team::in_namespace(team.cluster, "groundskeeper-system");
    let unlocked = policy("sweep").labelled("policies=tmp").after(1);
    let sweep = own.create(unlocked.with("/spec/unlock", json!(["SystemNamespaces"]))).await;
    let due = own.create(config_map("policies-due").labelled("policies=tmp")).await;
    own.ready_is(&sweep, "False", "TargetProtected").await;
    team.wait_past(due.due(1)).await;
    own.assert_untouched(&due).await;
    own.delete(&sweep).await;
}

#[tokio::test]
async fn our_own_kinds_never_go() {
    let team = team("own-kinds").await;
    let own = "groundskeeper.dev/v1alpha1";
    let refusal = team.try_create(cluster_policy("own").on(own, "GarbageCollectionPolicy")).await;
    let refusal = refusal.unwrap_err();
    assert!(refusal.contains("resources of groundskeeper.dev are never collected"), "{refusal}");

    // Nor do their definitions, unlike those of others.
    let leaves = Leaves::define(&team, "own-kinds").await;
    let group = "apiextensions.k8s.io";
    let rights = ["list", "watch", "delete"];
    let grant = crate::support::drafts::grant("collect-crds", group, "customresourcedefinitions", &rights);
    team.create(grant).await;
    let names = json!(["*.groundskeeper.dev", format!("leafs.{}", leaves.group)]);
    let draft = cluster_policy("own")
        .on("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        .with("/spec/targetResource/names", names)
        .with("/spec/unlock", json!(["CustomResourceDefinitions"]))
        .after(1);
    let sweep = team.create(draft).await;
    let definitions = team.api("apiextensions.k8s.io/v1", "CustomResourceDefinition");
    eventually(team.cluster, "another definition goes", async || {
        let found = definitions.get_opt(&format!("leafs.{}", leaves.group)).await.unwrap();
        holds(found.is_none_or(|found| found.metadata.deletion_timestamp.is_some()), "it is there")
    })
    .await;
    let ours = api::crds().len();
    team.policy_is(&sweep, "ours are protected", |policy| policy["status"]["protected"] == ours).await;
    team.delete(&sweep).await;
    for name in ["garbagecollectionpolicies", "clustergarbagecollectionpolicies"] {
        let found = definitions.get(&format!("{name}.groundskeeper.dev")).await.unwrap();
        assert!(found.metadata.deletion_timestamp.is_none(), "{name}");
    }
}
