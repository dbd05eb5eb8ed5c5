//! Whatever state an installation is in when it is taken out: no node hangs on us afterwards.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::bed::{Bed, CLEAN, OURS, Said, bed};
use crate::support::kubectl;

/// Nothing of ours holds a node, and a Node that is deleted goes at once; what others hold stays.
async fn nothing_hangs(bed: &Bed, said: &Said) {
    assert!(said.out.contains(CLEAN), "{said:?}");
    let nodes = bed.api("Node").list(&kube::api::ListParams::default()).await.unwrap();
    for node in nodes {
        let finalizers = node.metadata.finalizers.unwrap_or_default();
        assert!(!finalizers.iter().any(|one| one == OURS), "{finalizers:?}");
    }
    bed.node("afterwards", &[]).await;
    bed.api("Node").delete("afterwards", &DeleteParams::default()).await.unwrap();
    assert!(bed.look("Node", "afterwards").await.is_none());
}

/// What `install` leaves of itself, without pods that nobody starts here.
fn install(bed: &Bed, arguments: &str) {
    let wait = ["wait", "--for=delete", "namespace/groundskeeper-system", "--timeout=60s"];
    kubectl(bed.cluster, &wait, "");
    bed.run(&format!("install {arguments}")).ok();
}

#[tokio::test]
async fn departures_under_way_are_decided_about_before_anything_is_changed() {
    let bed = bed().await;
    install(&bed, "--no-workload");
    bed.node("staying", &[OURS, "example.com/other"]).await;
    let uid = bed.leaving("leaving", &[OURS]).await;
    bed.record("leaving", &uid, json!({"phase": "Draining"})).await;

    let refused = bed.run("uninstall --yes").complaint();
    assert!(refused.contains("1 departure is under way (leaving); nothing was changed"), "{refused}");
    assert_eq!(bed.finalizers("staying").await, [OURS, "example.com/other"]);
    let tried = bed.run("uninstall --dry-run").ok();
    assert!(tried.out.contains("node/staying has our finalizer no more (server dry run)"), "{tried:?}");
    assert!(bed.look("MutatingAdmissionPolicy", "groundskeeper-author").await.is_some());
    let late = bed.run("uninstall --yes --wait-for-departures 1s").complaint();
    assert!(late.contains("1 departure has not ended in time (leaving)"), "{late}");
    assert!(
        bed.look("MutatingAdmissionPolicy", "groundskeeper-author").await.is_none(),
        "what puts it on is gone"
    );
    assert_eq!(bed.finalizers("leaving").await, [OURS], "and what holds is not");

    let said = bed.run("uninstall --yes --release-departures --delete-policies").ok();
    assert!(said.out.contains("node/leaving released"), "{said:?}");
    assert!(bed.look("Node", "leaving").await.is_none());
    assert_eq!(bed.finalizers("staying").await, ["example.com/other"]);
    nothing_hangs(&bed, &said).await;
    let again = bed.run("uninstall --yes").ok();
    assert!(again.out.trim().ends_with(CLEAN), "{again:?}");
    bed.define_kinds();
}

#[tokio::test(flavor = "multi_thread")]
async fn departures_end_while_they_are_waited_for_and_records_keep_their_kind() {
    let bed = bed().await;
    let uid = bed.leaving("leaving", &[OURS]).await;
    bed.record("leaving", &uid, json!({"phase": "Releasing"})).await;
    let uninstalling = bed.start("uninstall --yes --wait-for-departures 30s");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!uninstalling.is_finished());
    bed.takes_off("leaving", OURS).await;
    let said = uninstalling.await.unwrap().ok();
    assert!(said.out.contains("nodecleanups.groundskeeper.dev stays: there is a NodeCleanup"), "{said:?}");
    assert!(bed.look("NodeCleanup", &uid).await.is_some());
    nothing_hangs(&bed, &said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_puts_its_finalizer_back_until_it_ends_is_outlived() {
    let bed = bed().await;
    install(&bed, "");
    bed.node("worker-1", &[OURS]).await;
    let client = bed.client.clone();
    let nodes = bed.api("Node");
    // As the operator repairs what is missing, for as long as its Deployment is there.
    let repairing = tokio::spawn(async move {
        let deployments: kube::Api<k8s_openapi::api::apps::v1::Deployment> =
            kube::Api::namespaced(client, "groundskeeper-system");
        while deployments.get_opt("groundskeeper").await.unwrap().is_some() {
            let back = Patch::Merge(json!({"metadata": {"finalizers": [OURS]}}));
            nodes.patch("worker-1", &PatchParams::default(), &back).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Its last write comes when it has begun to end.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let back = Patch::Merge(json!({"metadata": {"finalizers": [OURS]}}));
        nodes.patch("worker-1", &PatchParams::default(), &back).await.unwrap();
    });
    let said = bed.start("uninstall --yes --delete-policies").await.unwrap();
    repairing.await.unwrap();
    if !bed.finalizers("worker-1").await.is_empty() {
        // The last write came after the last look, as it may if pods do not end in time: another run sees it.
        assert!(bed.run("uninstall --yes").ok().out.contains("node/worker-1 has our finalizer no more"));
    }
    nothing_hangs(&bed, &said.ok()).await;
    bed.define_kinds();
}

/// A node as a maintenance and a policy have left it.
fn held_node(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "groundskeeper.dev/deletion-guard": "last-of-its-pool",
                "node.kubernetes.io/exclude-from-external-load-balancers": "true",
            },
            "annotations": {"groundskeeper.dev/maintenance": "a-uid,cordon,taint,label"},
        },
        "spec": {"unschedulable": true, "taints": [{"key": "groundskeeper.dev/leaving", "effect": "NoSchedule"}]},
    })
}

#[tokio::test]
async fn whatever_is_left_of_an_installation_is_taken_out_in_every_order() {
    let bed = bed().await;
    let half_gone = [
        // The operator and its namespace, by somebody in a hurry.
        vec!["delete", "namespace", "groundskeeper-system", "--wait=false"],
        // Our kinds: the records, and with them what departures were.
        vec!["delete", "crd", "nodecleanups.groundskeeper.dev", "nodecleanuppolicies.groundskeeper.dev"],
        // The rights.
        vec!["delete", "clusterrole,clusterrolebinding", "-l", "app.kubernetes.io/managed-by=groundskeeper"],
        // What refuses and what stamps.
        vec![
            "delete",
            "validatingadmissionpolicies,validatingadmissionpolicybindings,mutatingadmissionpolicies,mutatingadmissionpolicybindings",
            "-l",
            "app.kubernetes.io/managed-by=groundskeeper",
        ],
    ];
    for (number, first) in half_gone.iter().enumerate() {
        install(&bed, "--no-workload");
        bed.define_kinds();
        let maintenance = json!({
            "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "NodeMaintenance",
            "metadata": {"name": "worker", "finalizers": ["groundskeeper.dev/uncordon"]}, "spec": {"nodeName": "worker"},
        });
        bed.create_as("NodeMaintenance", maintenance).await;
        bed.says("NodeMaintenance", "worker", json!({"phase": "Succeeded", "cordoned": true})).await;
        bed.create_as("Node", held_node("worker")).await;
        bed.node(&format!("living-{number}"), &["example.com/a", OURS]).await;
        bed.leaving(&format!("leaving-{number}"), &[OURS]).await;
        kubectl(bed.cluster, first, "");

        let said = bed.run("uninstall --yes --release-departures --delete-policies").ok();
        assert!(said.out.contains("node/worker stays cordoned"), "{said:?}");
        let worker = bed.look("Node", "worker").await.unwrap();
        assert!(
            worker["spec"]["unschedulable"] == true
                && !worker.to_string().contains("groundskeeper.dev/leaving"),
            "{worker}"
        );
        assert!(
            worker["metadata"]["labels"]["node.kubernetes.io/exclude-from-external-load-balancers"].is_null()
        );
        let marks = [&worker["metadata"]["labels"], &worker["metadata"]["annotations"]];
        assert!(!marks.iter().any(|marks| marks.to_string().contains("groundskeeper.dev/")), "{worker}");
        kubectl(bed.cluster, &["delete", "node", "worker"], "");
        nothing_hangs(&bed, &said).await;
        assert!(bed.look("Node", &format!("leaving-{number}")).await.is_none());
        assert_eq!(bed.finalizers(&format!("living-{number}")).await, ["example.com/a"]);
        assert!(bed.look("CustomResourceDefinition", "nodemaintenances.groundskeeper.dev").await.is_none());
    }
    bed.define_kinds();
}
