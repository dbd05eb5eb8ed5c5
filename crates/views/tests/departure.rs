//! What the departure of a node reads of pods, nodes, budgets and attachments.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, from_value, json};
use units::Uid;
use views::{DisruptionBudget, Node, Pod, PodPhase, Readiness, Standstill, UnhealthyPods, VolumeAttachment};

#[test]
fn a_pod_is_read_down_to_what_a_drain_needs() {
    let pod: Pod = from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web-0", "namespace": "team", "uid": "u-1", "resourceVersion": "42",
            "deletionTimestamp": "2026-11-21T05:00:30Z", "deletionGracePeriodSeconds": 30,
            "finalizers": ["example.com/backup"], "labels": {"app": "web"}, "annotations": {"kubernetes.io/config.mirror": "x", "a": "b"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "o-0"},
                {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "o-1", "controller": true},
            ],
        },
        "spec": {
            "nodeName": "n-1", "priority": 7, "priorityClassName": "high", "terminationGracePeriodSeconds": 90,
            "containers": [{"name": "c", "image": "i"}],
            "volumes": [
                {"name": "tmp", "emptyDir": {}}, {"name": "host", "hostPath": {"path": "/"}},
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}},
                {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
            ],
            "tolerations": [{"operator": "Exists"}],
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }))
    .unwrap();
    assert_eq!((&*pod.metadata.name, pod.metadata.namespace.as_deref()), ("web-0", Some("team")));
    assert_eq!(pod.finalizers, ["example.com/backup".into()].into());
    let controller = pod.controller.as_ref().unwrap();
    assert_eq!(
        (&*controller.group, &*controller.kind, &controller.uid),
        ("apps", "StatefulSet", &Uid::from("o-1"))
    );
    assert_eq!(pod.ends_by(), Some("2026-11-21T05:00:30Z".parse().unwrap()));
    assert_eq!(
        (pod.node.as_deref(), pod.priority, pod.priority_class.as_deref()),
        (Some("n-1"), 7, Some("high"))
    );
    assert_eq!(pod.claims.iter().map(|claim| &**claim).collect::<Vec<_>>(), ["data-web-0", "web-0-scratch"]);
    assert_eq!((pod.termination_grace_seconds, pod.phase), (90, PodPhase::Running));
    assert!(pod.has_empty_dir && pod.is_ready && pod.is_mirror && pod.tolerations.len() == 1);
}

#[test]
fn what_is_missing_or_null_is_as_if_it_were_not_there() {
    let manifests = [
        json!({"metadata": {"name": "x"}}),
        json!({"metadata": {"name": "x", "labels": null, "annotations": null, "ownerReferences": null, "finalizers": null},
               "spec": null, "status": null}),
        json!({"metadata": {"name": "x"},
               "spec": {"volumes": null, "tolerations": null, "taints": null, "selector": null, "source": null},
               "status": {"phase": null, "conditions": null, "addresses": null, "nodeInfo": null, "disruptedPods": null}}),
    ];
    for manifest in manifests {
        let pod: Pod = from_value(manifest.clone()).unwrap();
        assert_eq!((pod.node, pod.termination_grace_seconds, pod.phase), (None, 30, PodPhase::Unknown));
        let node: Node = from_value(manifest.clone()).unwrap();
        assert_eq!((node.readiness, node.provider_id.as_deref()), (Readiness::Unreported, None));
        assert!(!node.is_unreachable());
        let budget: DisruptionBudget = from_value(manifest.clone()).unwrap();
        assert_eq!((budget.selector, budget.disruptions_allowed), (None, 0));
        let attachment: VolumeAttachment = from_value(manifest).unwrap();
        assert!(!attachment.is_attached);
    }
}

#[test]
fn a_node_is_read_with_our_annotations_and_no_others() {
    let node: Node = from_value(json!({
        "metadata": {
            "name": "n-1", "uid": "u-1", "deletionTimestamp": "2026-11-21T05:00:00Z",
            "finalizers": ["groundskeeper.dev/node-cleanup", "other/one"],
            "annotations": {
                "groundskeeper.dev/skip-cleanup": "true", "infra.894.io/skip-cleanup": true, "csi.volume.kubernetes.io/nodeid": "{}",
            },
        },
        "spec": {"unschedulable": true, "providerID": "kwok://n-1",
                 "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]},
        "status": {
            "conditions": [{"type": "Ready", "status": "Unknown", "lastTransitionTime": "2026-11-21T04:00:00Z"}],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "nodeInfo": {"machineID": "m-1", "kernelVersion": "6"},
        },
    }))
    .unwrap();
    assert_eq!(node.annotations.get("groundskeeper.dev/skip-cleanup"), Some("true"));
    assert_eq!(node.annotations.get("infra.894.io/skip-cleanup"), Some("true"));
    assert_eq!(node.annotations.iter().count(), 2);
    assert!(node.has_finalizer("groundskeeper.dev/node-cleanup") && !node.has_finalizer("other"));
    assert!(node.is_unschedulable && node.is_unreachable());
    assert_eq!(node.readiness_since, Some("2026-11-21T04:00:00Z".parse().unwrap()));
    assert_eq!((node.provider_id.as_deref(), node.machine_id.as_deref()), (Some("kwok://n-1"), Some("m-1")));
    assert_eq!(&*node.addresses[0].address, "10.0.0.1");
}

#[test]
fn a_node_is_unreachable_only_if_nobody_could_end_its_pods() {
    let node = |status: &str, taints: Value| -> Node {
        let conditions = json!([{"type": "Ready", "status": status}]);
        from_value(json!({"metadata": {}, "spec": {"taints": taints}, "status": {"conditions": conditions}}))
            .unwrap()
    };
    let tainted = |key: &str| json!([{"key": key, "effect": "NoExecute"}]);
    assert!(!node("True", json!([])).is_unreachable());
    assert!(!node("False", tainted("node.kubernetes.io/not-ready")).is_unreachable());
    assert!(node("Unknown", json!([])).is_unreachable());
    assert!(node("False", tainted("node.kubernetes.io/unreachable")).is_unreachable());
    assert!(node("False", tainted("node.kubernetes.io/out-of-service")).is_unreachable());
}

fn budget(status: &Value) -> DisruptionBudget {
    from_value(json!({
        "metadata": {"name": "web", "namespace": "team", "generation": 2},
        "spec": {
            "minAvailable": "50%", "maxUnavailable": 1, "unhealthyPodEvictionPolicy": "IfHealthyBudget",
            "selector": {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "t", "operator": "Exists"}]},
        },
        "status": status,
    }))
    .unwrap()
}

#[test]
fn a_budget_is_read_with_its_own_words() {
    let budget = budget(
        &json!({"disruptedPods": {"web-1": "2026-11-21T05:00:00Z"}, "desiredHealthy": 2, "expectedPods": 3}),
    );
    assert_eq!(
        (budget.min_available.as_deref(), budget.max_unavailable.as_deref()),
        (Some("50%"), Some("1"))
    );
    let selector = budget.selector.unwrap();
    assert_eq!(selector.match_labels["app"], "web");
    assert_eq!(selector.match_expressions[0].operator, "Exists");
    assert_eq!((budget.desired_healthy, budget.expected_pods, budget.disrupted_pods), (2, 3, 1));
    assert_eq!(budget.unhealthy_pods, UnhealthyPods::IfHealthyBudget);
}

#[test]
fn a_budget_that_lets_nobody_go_says_why() {
    let table = [
        (
            json!({"observedGeneration": 2, "disruptionsAllowed": 1, "currentHealthy": 3, "expectedPods": 3}),
            None,
        ),
        (json!({"observedGeneration": 1, "disruptionsAllowed": 1}), Some(Standstill::Stale)),
        (
            json!({"observedGeneration": 2, "disruptionsAllowed": 0, "currentHealthy": 3, "expectedPods": 3}),
            Some(Standstill::Misconfigured),
        ),
        (
            json!({"observedGeneration": 2, "disruptionsAllowed": 0, "currentHealthy": 3, "expectedPods": 3,
                   "disruptedPods": {"a": null}}),
            Some(Standstill::Exhausted),
        ),
        (
            json!({"observedGeneration": 2, "disruptionsAllowed": 0, "currentHealthy": 2, "expectedPods": 3}),
            Some(Standstill::Exhausted),
        ),
        (json!({"observedGeneration": 2, "expectedPods": 0}), Some(Standstill::Exhausted)),
    ];
    for (status, expected) in table {
        assert_eq!(budget(&status).standstill(), expected, "{status}");
    }
}

#[test]
fn an_attachment_names_its_node_and_its_volume() {
    let attachment: VolumeAttachment = from_value(json!({
        "metadata": {"name": "csi-1"},
        "spec": {"attacher": "d", "nodeName": "n-1", "source": {"persistentVolumeName": "pv-1"}},
        "status": {"attached": true},
    }))
    .unwrap();
    assert_eq!(
        (&*attachment.node, attachment.volume.as_deref(), attachment.is_attached),
        ("n-1", Some("pv-1"), true)
    );
}
