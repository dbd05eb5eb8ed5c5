//! The doctor, with patients that are well and patients that are not.

use std::net::TcpListener;

use jiff::Timestamp;
use serde_json::{Value, json};
use testbed::{ControlPlane, Identity};

use crate::support::drafts::{definition, object, policy};
use crate::support::{eventually, holds, kubectl, now};
use crate::{done, run_as, turn};

/// What the doctor says, by check; and whether anything is fatal.
fn examined(identity: &Identity, arguments: &str) -> (Value, bool) {
    let output = run_as(identity, &format!("check -o json {arguments}"));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(report["fatal"], !output.status.success(), "{report}");
    let by_id = report["checks"].as_array().unwrap().iter();
    let by_id = by_id.map(|check| (check["id"].as_str().unwrap().to_owned(), check.clone())).collect();
    (Value::Object(by_id), report["fatal"] == true)
}

fn apply(cluster: &ControlPlane, manifest: &Value) {
    kubectl(cluster, &["apply", "--server-side", "--force-conflicts", "-f", "-"], &manifest.to_string());
}

fn lease(renewed: Timestamp) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "groundskeeper-slot-0", "namespace": "groundskeeper-system"},
        "spec": {"holderIdentity": "pod-1", "leaseDurationSeconds": 3600, "renewTime": format!("{renewed:.6}")},
    })
}

#[tokio::test]
async fn a_cluster_that_can_be_installed_into_is_told_from_one_that_cannot() {
    let (_turn, cluster) = turn().await;
    let (said, fatal) = examined(cluster.admin(), "--pre");
    assert!(!fatal, "{said}");
    for id in ["gk-api-reachable", "gk-kubernetes-version", "gk-clock-skew", "gk-install-rights"] {
        assert_eq!(said[id]["state"], "passed", "{said}");
    }
    let (said, fatal) = examined(&cluster.user("nobody", &[]).unwrap(), "--pre");
    assert!(fatal);
    let message = said["gk-install-rights"]["message"].as_str().unwrap();
    assert!(message.contains("patch clusterroles.rbac.authorization.k8s.io"), "{message}");

    let (said, fatal) = examined(cluster.admin(), "");
    assert!(fatal);
    assert_eq!(said["gk-crds"]["state"], "fatal", "{said}");
    assert_eq!(said["gk-operator-rights"]["state"], "fatal", "{said}");
    assert_eq!(said["gk-webhook-configuration"]["state"], "warning", "{said}");
}

#[tokio::test]
async fn an_installation_that_is_sound_is_told_from_one_that_is_not() {
    let (_turn, cluster) = turn().await;
    let webhook = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", webhook.local_addr().unwrap());
    done(cluster, &format!("install --no-workload --webhook-url {url}"));
    // What a running operator has made.
    apply(cluster, &lease(now()));
    let ca = cluster.ca();
    let file = |key: &str| format!("--from-file={key}={}", ca.display());
    let (bundle, leaf) = (file("ca.crt"), file("tls.crt"));
    let secret = ["create", "secret", "generic", "groundskeeper-webhook-tls", "-n", "groundskeeper-system"];
    kubectl(cluster, &[&secret[..], &[&bundle, &leaf]].concat(), "");
    let before = examined(cluster.admin(), "").0;
    assert_eq!(before["gk-webhook-ca"]["state"], "warning", "{before}");
    let secret = crate::get(cluster, "secret/groundskeeper-webhook-tls -n groundskeeper-system");
    let bundle = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": secret["data"]["ca.crt"]}]);
    let webhooks = "validatingwebhookconfiguration/groundskeeper";
    kubectl(cluster, &["patch", webhooks, "--type=json", "-p", &bundle.to_string()], "");

    let passed = [
        "gk-crds",
        "gk-operator-rights",
        "gk-admission-policies",
        "gk-node-guards",
        "gk-flow-control",
        "gk-webhook-configuration",
        "gk-webhook-ca",
        "gk-webhook-reachable",
        "gk-lease",
        "gk-policies",
        "gk-other-collectors",
    ];
    eventually(cluster, "everything is well", async || {
        let (said, fatal) = examined(cluster.admin(), "");
        holds(!fatal && passed.iter().all(|id| said[*id]["state"] == "passed"), said)
    })
    .await;
    let (said, _) = examined(cluster.admin(), "");
    assert!(said["gk-webhook-certificate"]["message"].as_str().unwrap().contains("valid for"), "{said}");
    for id in ["gk-node-finalizer", "gk-replicas", "gk-version", "gk-service-monitor", "gk-ledger-anchor"] {
        assert_eq!(said[id]["state"], "skipped", "{said}");
    }

    drop(webhook);
    apply(cluster, &lease(now() - jiff::SignedDuration::from_hours(2)));
    kubectl(cluster, &["delete", "flowschema/groundskeeper-leases"], "");
    kubectl(cluster, &["delete", "validatingadmissionpolicybinding/groundskeeper-scope"], "");
    kubectl(cluster, &["delete", "role/groundskeeper-leases", "-n", "groundskeeper-system"], "");
    let stalled = json!({"status": {"conditions": [{
        "type": "Stalled", "status": "True", "reason": "Forbidden", "message": "",
        "lastTransitionTime": "2026-11-21T00:00:00Z",
    }]}});
    kubectl(cluster, &["create", "-n", "default", "-f", "-"], &policy("stuck").paused().0.to_string());
    let patch = ["patch", "gcp/stuck", "-n", "default", "--subresource=status", "--type=merge", "-p"];
    kubectl(cluster, &[&patch[..], &[&stalled.to_string()]].concat(), "");
    let expected = [
        ("gk-webhook-reachable", "warning", "nothing listens"),
        ("gk-lease", "warning", "pod-1 renewed it 7"),
        ("gk-flow-control", "warning", "flowschema/groundskeeper-leases"),
        ("gk-admission-policies", "warning", "validatingadmissionpolicybinding/groundskeeper-scope"),
        ("gk-operator-rights", "fatal", "update leases.coordination.k8s.io/groundskeeper-slot-0"),
        ("gk-policies", "warning", "default/stuck"),
    ];
    eventually(cluster, "everything that is wrong is told", async || {
        let (said, _) = examined(cluster.admin(), "");
        let is_told = |(id, state, words): &(&str, &str, &str)| {
            let check = &said[*id];
            check["state"] == *state
                && check["message"].as_str().unwrap().contains(words)
                && check["hint"] == format!("docs/checks.md#{id}")
        };
        holds(expected.iter().all(is_told), &said)
    })
    .await;

    // Whoever may look at nothing learns that, and not that something is wrong.
    let (said, _) = examined(&cluster.user("nobody", &[]).unwrap(), "");
    assert_eq!(said["gk-lease"]["state"], "skipped", "{said}");
    done(cluster, "uninstall --yes --delete-policies");
}

#[tokio::test]
async fn nodes_that_would_go_without_their_cleanup_are_warned_of() {
    let (_turn, cluster) = turn().await;
    done(cluster, "install --no-workload --webhook-url https://127.0.0.1:9");
    let node_policy = |name: &str, spec: Value| {
        let mut policy = object("groundskeeper.dev/v1alpha1", "NodeCleanupPolicy", name).0;
        policy["spec"] = spec;
        apply(cluster, &policy);
    };
    let says = async |id: &str, expected: &str, words: &str| {
        eventually(cluster, &format!("{id} is {expected}: {words}"), async || {
            let said = examined(cluster.admin(), "").0[id].clone();
            let is_said = said["message"].as_str().is_some_and(|message| message.contains(words));
            holds(said["state"] == expected && is_said, said)
        })
        .await;
    };
    let pools = json!({"matchExpressions": [{"key": "pool", "operator": "Exists"}]});
    node_policy("by-server", json!({"nodeSelector": pools}));
    node_policy("by-nobody", json!({"finalizerBy": "Controller"}));
    says("gk-node-finalizer", "passed", "put on by: by-server: the API server, by its admission policy")
        .await;
    says("gk-node-guards", "passed", "by 5 policies").await;

    // Nobody listens at the webhook's address.
    node_policy(
        "by-webhook",
        json!({"finalizerBy": "Webhook", "nodeSelector": {"matchLabels": {"tier": "gpu"}}}),
    );
    says(
        "gk-node-finalizer",
        "warning",
        "puts the finalizer on a new node of by-webhook; the controller does",
    )
    .await;

    kubectl(cluster, &["delete", "validatingadmissionpolicybinding/groundskeeper-node-finalizer"], "");
    says(
        "gk-node-guards",
        "warning",
        "missing: validatingadmissionpolicybinding/groundskeeper-node-finalizer",
    )
    .await;
    done(cluster, "install --no-workload");
    says("gk-node-guards", "passed", "by 5 policies").await;
    // It is there, and does nothing any more.
    let open = json!({"spec": {"matchConditions": [{"name": "never", "expression": "false"}]}}).to_string();
    let guard =
        ["patch", "validatingadmissionpolicy/groundskeeper-node-records", "--type=merge", "-p", &open];
    kubectl(cluster, &guard, "");
    let words = "not as this version declares it: validatingadmissionpolicy/groundskeeper-node-records";
    says("gk-node-guards", "warning", words).await;
    done(cluster, "uninstall --yes --delete-policies");
}

#[tokio::test]
async fn another_collector_beside_policies_that_delete_is_warned_about() {
    let (_turn, cluster) = turn().await;
    done(cluster, "install --no-workload");
    let mut crd = definition("gc.kube-zen.io", "GarbageCollectionPolicy").0;
    crd["spec"]["versions"][0]["name"] = json!("v1alpha1");
    apply(cluster, &crd);
    let crd = format!("crd/{}", crd["metadata"]["name"].as_str().unwrap());
    kubectl(cluster, &["wait", "--for=condition=Established", "--timeout=30s", &crd], "");
    let mut theirs = object("gc.kube-zen.io/v1alpha1", "GarbageCollectionPolicy", "theirs").0;
    theirs["metadata"]["namespace"] = json!("default");
    let says = async |expected: &str, words: &str| {
        eventually(cluster, &format!("it is {expected}: {words}"), async || {
            let said = examined(cluster.admin(), "").0["gk-other-collectors"].clone();
            let message = said["message"].as_str().unwrap_or_default();
            holds(said["state"] == expected && message.contains(words), said.clone())
        })
        .await;
    };
    says("passed", "no other collector").await;
    apply(cluster, &theirs);
    says("passed", "none of ours deletes yet").await;
    kubectl(cluster, &["create", "-n", "default", "-f", "-"], &policy("ours").0.to_string());
    says("warning", "whether it runs cannot be told").await;
    let mut leader = lease(now());
    leader["metadata"]["name"] = json!("gc-controller-leader-election");
    leader["metadata"]["namespace"] = json!("default");
    apply(cluster, &leader);
    says("warning", "zen-gc runs (pod-1 renewed it").await;
    leader["spec"]["renewTime"] = json!(format!("{:.6}", now() - jiff::SignedDuration::from_hours(2)));
    apply(cluster, &leader);
    says("passed", "does not run").await;
    kubectl(cluster, &["delete", &crd], "");
    kubectl(cluster, &["delete", "lease/gc-controller-leader-election", "-n", "default"], "");
    done(cluster, "uninstall --yes --delete-policies");
}
