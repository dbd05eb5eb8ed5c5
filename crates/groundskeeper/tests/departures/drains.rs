//! How pods leave, and what keeps them.

use std::process::Command;

use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::endings;
use crate::support::{eventually, holds};
use crate::users::meanwhile;
use crate::yard::{Yard, blockers, finalizers, is, step};

/// They take their time, one beside the other; and beside those that take more than a minute, some of other files.
#[tokio::test]
async fn pods_leave_as_they_are_said_to() {
    tokio::join!(
        two_budgets_over_one_pod_are_both_named(),
        a_budget_that_never_opens_is_told_from_one_that_is_exhausted(),
        a_namespace_that_is_being_deleted_holds_nobody_for_ever(),
        a_pod_of_a_daemon_set_stays_and_what_dies_anyway_goes(),
        rules_let_pods_stay_end_by_themselves_or_go_first(),
        a_budget_is_overridden_only_when_the_ladder_says_so(),
        what_does_not_end_is_left_behind_when_the_ladder_says_so(),
        the_node_is_kept_until_its_volumes_are_detached(),
        endings::a_pod_that_ends_too_slowly_is_asked_again_when_the_ladder_says_so(),
        endings::a_pod_that_nobody_can_end_is_waited_for_for_a_minute_unless_the_settings_say_otherwise(),
        endings::a_pod_is_waited_for_as_long_as_the_settings_say(),
        endings::a_pod_that_its_closing_namespace_does_not_end_is_named_with_it(),
        crate::blockers::a_budget_that_lets_nothing_go_is_named_and_the_node_leaves_when_it_opens(),
        crate::dry_run::a_policy_that_only_plans_touches_nothing(),
        crate::guard::the_last_node_of_a_pool_and_one_that_a_budget_needs_are_not_deleted(),
    );
}

async fn two_budgets_over_one_pod_are_both_named() {
    let yard = Yard::new("twobudgets").await;
    yard.policy(json!({})).await;
    let node = yard.node("a").await;
    yard.pod(&node, "doubled").await;
    yard.budget("one", "doubled", json!({"minAvailable": 0})).await;
    yard.budget("two", "doubled", json!({"minAvailable": 0})).await;

    let run = yard.delete_node(&node).await;

    let record = yard.until(&run, "both are named", |status| blockers(status) == ["MultipleBudgets"]).await;
    let blocker = record["status"]["blockers"][0].to_string();
    assert!(blocker.contains("one") && blocker.contains("two") && blocker.contains("doubled"), "{blocker}");
    yard.remove("policy/v1", "PodDisruptionBudget", "two").await;
    yard.ends(&node, &run, "Completed").await;
}

async fn a_budget_that_never_opens_is_told_from_one_that_is_exhausted() {
    let yard = Yard::new("misconfigured").await;
    yard.policy(json!({})).await;
    let node = yard.node("a").await;
    yard.replicas(&node, "web", 1).await;
    yard.budget("never", "web", json!({"maxUnavailable": 0})).await;

    let run = yard.delete_node(&node).await;

    let record =
        yard.until(&run, "the budget is named", |status| blockers(status) == ["BudgetMisconfigured"]).await;
    let blocker = &record["status"]["blockers"][0];
    let message = blocker["message"].as_str().unwrap();
    assert!(message.contains("never") && message.contains("maxUnavailable"), "{blocker}");
    let risks = record["status"]["risks"].as_array().unwrap();
    let last = risks.iter().find(|risk| risk["reason"] == "LastReplica").expect("it is the only one");
    assert!(last["message"].as_str().unwrap().contains("web"), "{last}");
    yard.patch("PodDisruptionBudget", "never", json!({"spec": {"maxUnavailable": 1}})).await;
    yard.ends(&node, &run, "Completed").await;
}

/// It takes no evictions, and ends its pods itself.
async fn a_namespace_that_is_being_deleted_holds_nobody_for_ever() {
    let yard = Yard::new("closing").await;
    yard.policy(json!({})).await;
    let node = yard.node("a").await;
    yard.stubborn_pod(&node, "last").await;
    yard.pod(&node, "other").await;
    yard.remove("v1", "Namespace", &yard.namespace).await;

    let run = yard.delete_node(&node).await;

    let record = yard
        .until(&run, "one pod is waited for", |status| {
            status["phase"] == "Draining" && status["podsLeft"] == 1
        })
        .await;
    assert_eq!(step(&record["status"], "drain")["attempts"], 1, "{record}");
    yard.let_end("last").await;
    yard.ends(&node, &run, "Completed").await;
}

async fn a_pod_of_a_daemon_set_stays_and_what_dies_anyway_goes() {
    let yard = Yard::new("daemon").await;
    yard.policy(json!({})).await;
    let node = yard.node("a").await;
    let size = json!({"storage": "1Gi"});
    let claim = json!({"namespace": yard.namespace, "name": "data"});
    yard.create(json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "daemon-data"},
        "spec": {"capacity": size, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}, "claimRef": claim,
            "storageClassName": ""},
    }))
    .await;
    yard.create(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": yard.namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": size}, "volumeName": "daemon-data",
            "storageClassName": ""},
    }))
    .await;
    yard.create(json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": "daemon-data"},
        "spec": {"attacher": "csi.example.com", "nodeName": node, "source": {"persistentVolumeName": "daemon-data"}},
    }))
    .await;
    yard.create(json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": yard.namespace},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": {
            "metadata": {"labels": {"app": "agent"}},
            "spec": {"nodeSelector": {"yard": "daemon"}, "tolerations": [{"operator": "Exists"}],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
                "containers": [{"name": "a", "image": "example.invalid/a"}]},
        }},
    }))
    .await;
    eventually(yard.cluster, "its pod runs", async || {
        let set = yard.look("apps/v1", "DaemonSet", "agent").await.unwrap();
        holds(set["status"]["numberReady"] == 1, set["status"].clone())
    })
    .await;
    let scratch = json!({"volumes": [{"name": "scratch", "emptyDir": {}}]});
    yard.pod_with(&node, "scratch", json!({}), scratch).await;
    yard.pod(&node, "alone").await;

    let run = yard.delete_node(&node).await;

    let record = yard.ends(&node, &run, "Completed").await;
    assert_eq!(record["status"]["podsTotal"], 2, "{record}");
    assert!(
        yard.look("v1", "Pod", "scratch").await.is_none() && yard.look("v1", "Pod", "alone").await.is_none()
    );
    assert!(yard.asked_to_leave("alone") > 0);
    assert_eq!(yard.asked_to_leave("agent"), 0, "nobody evicts a pod that would come back at once");
    let attached = yard.look("storage.k8s.io/v1", "VolumeAttachment", "daemon-data").await;
    assert!(attached.is_some(), "nobody waited for the volume of a pod that stays");
    yard.remove("apps/v1", "DaemonSet", "agent").await;
}

async fn rules_let_pods_stay_end_by_themselves_or_go_first() {
    let yard = Yard::new("rules").await;
    yard.policy(json!({})).await;
    let node = yard.node("a").await;
    for (name, spec) in [
        ("rules-stay", json!({"behavior": "Skip", "podSelector": {"matchLabels": {"app": "stays"}}})),
        ("rules-wait", json!({"behavior": "WaitCompleted", "podSelector": {"matchLabels": {"app": "job"}}})),
        ("rules-first", json!({"order": -10, "podSelector": {"matchLabels": {"app": "first"}}})),
    ] {
        let mut spec = spec;
        spec["namespaces"] = json!([yard.namespace]);
        yard.create(json!({"apiVersion": "groundskeeper.dev/v1alpha1", "kind": "DrainRule",
            "metadata": {"name": name}, "spec": spec}))
            .await;
    }
    for pod in ["stays", "job", "second"] {
        yard.pod(&node, pod).await;
    }
    yard.stubborn_pod(&node, "first").await;

    let run = yard.delete_node(&node).await;

    eventually(yard.cluster, "the first is asked", async || {
        let pod = yard.look("v1", "Pod", "first").await.unwrap();
        holds(pod["metadata"]["deletionTimestamp"].is_string(), pod["metadata"].clone())
    })
    .await;
    meanwhile(2).await;
    let is_asked = async |pod: &str| {
        let pod = yard.look("v1", "Pod", pod).await;
        pod.is_none_or(|pod| pod["metadata"]["deletionTimestamp"].is_string())
    };
    assert!(!is_asked("second").await, "it has to wait until the first is gone");
    yard.let_end("first").await;
    eventually(yard.cluster, "the second goes", async || holds(is_asked("second").await, "it stays")).await;
    let record = yard.until(&run, "it waits for the job alone", |status| status["podsLeft"] == 1).await;
    assert_eq!(blockers(&record["status"]), ["RuleWaitCompleted"], "{record}");
    assert!(!is_asked("job").await && !is_asked("stays").await);
    let ended = json!({"status": {"phase": "Succeeded"}});
    yard.api("v1", "Pod").patch_status("job", &PatchParams::default(), &Patch::Merge(ended)).await.unwrap();
    yard.ends(&node, &run, "Completed").await;
    assert_eq!(yard.asked_to_leave("stays") + yard.asked_to_leave("job"), 0);
}

async fn a_budget_is_overridden_only_when_the_ladder_says_so() {
    let yard = Yard::new("ladder").await;
    yard.policy(json!({"escalation": [{"after": "9s", "action": "DeletePods"}]})).await;
    let node = yard.node("a").await;
    yard.pod(&node, "kept").await;
    yard.budget("closed", "kept", json!({"minAvailable": 1})).await;

    let run = yard.delete_node(&node).await;

    yard.until(&run, "the budget holds it", |status| !blockers(status).is_empty()).await;
    assert!(yard.look("v1", "Pod", "kept").await.unwrap()["metadata"]["deletionTimestamp"].is_null());
    yard.ends(&node, &run, "Completed").await;
    assert!(yard.look("v1", "Pod", "kept").await.is_none());
}

async fn what_does_not_end_is_left_behind_when_the_ladder_says_so() {
    let yard = Yard::new("abandon").await;
    yard.policy(json!({"escalation": [{"after": "9s", "action": "Abandon"}]})).await;
    let node = yard.node("a").await;
    yard.stubborn_pod(&node, "stays").await;

    let run = yard.delete_node(&node).await;

    let record = yard.ends(&node, &run, "Completed").await;
    let drain = step(&record["status"], "drain");
    assert_eq!((&drain["state"], &drain["message"]), (&json!("Done"), &json!("1 pods are left behind")));
    yard.let_end("stays").await;
}

async fn the_node_is_kept_until_its_volumes_are_detached() {
    let yard = Yard::new("volumes").await;
    yard.policy(json!({})).await;
    let node = yard.node("a").await;
    yard.create(json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": "volumes-data"},
        "spec": {"attacher": "csi.example.com", "nodeName": node, "source": {"persistentVolumeName": "volumes-data"}},
    }))
    .await;

    let run = yard.delete_node(&node).await;

    let record =
        yard.until(&run, "the volume is named", |status| blockers(status) == ["VolumeAttached"]).await;
    assert_eq!(
        (&record["status"]["phase"], &record["status"]["volumesLeft"]),
        (&json!("Detaching"), &json!(1)),
        "{record}"
    );
    assert_eq!((is(&record, "Drained"), is(&record, "VolumesDetached")), (Some("True"), Some("False")));
    meanwhile(2).await;
    assert!(!finalizers(&yard.look("v1", "Node", &node).await.unwrap()).is_empty());
    yard.remove("storage.k8s.io/v1", "VolumeAttachment", "volumes-data").await;
    yard.ends(&node, &run, "Completed").await;
}

impl Yard {
    /// How often the operator has meant to end a pod of this yard, as its ledger has it.
    pub(crate) fn asked_to_leave(&self, pod: &str) -> usize {
        let found = Command::new("grep")
            .args(["-rhF", &format!("\"namespace\":\"{}\",\"name\":\"{pod}", self.namespace)])
            .arg(self.cluster.directory().join("ledger"))
            .output()
            .unwrap();
        let lines = String::from_utf8(found.stdout).unwrap();
        lines.lines().filter(|line| line.contains(r#""kind":"Intent""#)).count()
    }
}
