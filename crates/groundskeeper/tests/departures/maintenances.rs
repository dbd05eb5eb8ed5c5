//! A node is emptied, held, and given back.

use std::future::ready;
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use kube::api::{WatchEvent, WatchParams};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{eventually, holds};
use crate::users::{is_closed, meanwhile};
use crate::yard::{Yard, blockers, is};

/// They take their time, one beside the other.
#[tokio::test]
async fn a_maintenance_empties_a_node_holds_it_and_gives_it_back() {
    tokio::join!(
        a_node_with_an_unmanaged_pod_is_refused_and_not_touched(),
        what_was_put_on_is_taken_off_and_no_more(),
        two_maintenances_of_one_node_follow_one_another(),
        a_departure_takes_over_a_node_under_maintenance(),
        a_drain_that_takes_too_long_fails_and_asks_nobody_any_more(),
    );
}

const OURS: &str = "groundskeeper.dev/v1alpha1";
const LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

impl Yard {
    async fn maintenance(&self, name: &str, node: &str, drain: Value) {
        self.create(json!({
            "apiVersion": OURS, "kind": "NodeMaintenance", "metadata": {"name": name},
            "spec": {"nodeName": node, "reason": "a test", "drain": drain},
        }))
        .await;
    }

    async fn maintenance_is(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(self.cluster, what, async || {
            let found = self.look(OURS, "NodeMaintenance", name).await.ok_or("it is gone")?;
            if is_so(&found["status"]) { Ok(found) } else { Err(found["status"].to_string()) }
        })
        .await
    }

    async fn node_is(&self, node: &str, what: &str, is_so: impl Fn(&Value) -> bool) {
        eventually(self.cluster, what, async || {
            let found = self.look("v1", "Node", node).await.ok_or("it is gone")?;
            holds(is_so(&found), &found)
        })
        .await;
    }
}

/// A node, as it was from some moment on.
struct Following {
    seen: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<()>,
}

impl Yard {
    async fn follow_node(&self, node: &str) -> Following {
        let api = self.api("v1", "Node");
        let version = api.get(node).await.unwrap().metadata.resource_version.unwrap();
        let only = WatchParams::default().fields(&format!("metadata.name={node}"));
        let events = api.watch(&only, &version).await.unwrap().boxed();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&seen);
        let task = tokio::spawn(events.for_each(move |event| {
            if let Ok(WatchEvent::Modified(node)) = event {
                written.lock().unwrap().push(serde_json::to_value(node).unwrap());
            }
            ready(())
        }));
        Following { seen, task }
    }
}

impl Following {
    fn stop(self) -> Vec<Value> {
        self.task.abort();
        self.seen.lock().unwrap().clone()
    }
}

async fn a_node_with_an_unmanaged_pod_is_refused_and_not_touched() {
    let yard = Yard::new("refused").await;
    let node = yard.node_labelled("a", json!({})).await;
    yard.pod(&node, "alone").await;
    let scratch = json!({"volumes": [{"name": "scratch", "emptyDir": {}}]});
    yard.pod_with(&node, "scratch", json!({}), scratch).await;

    yard.maintenance("refused", &node, json!({})).await;

    let found = yard.maintenance_is("refused", "it is refused", |status| status["phase"] == "Failed").await;
    let reasons = blockers(&found["status"]);
    assert!(reasons.contains(&"UnmanagedPod") && reasons.contains(&"LocalStorage"), "{found}");
    assert_eq!((is(&found, "Stalled"), is(&found, "Ready")), (Some("True"), Some("False")), "{found}");
    meanwhile(1).await;
    assert!(!is_closed(&yard.look("v1", "Node", &node).await.unwrap()));

    let allowed = json!({"spec": {"drain": {"force": true, "deleteEmptyDirData": true}}});
    yard.patch("NodeMaintenance", "refused", allowed).await;
    let found = yard.maintenance_is("refused", "it is empty", |status| status["phase"] == "Succeeded").await;
    assert_eq!(
        (&found["status"]["drainProgress"], &found["status"]["podsTotal"]),
        (&json!(100), &json!(2)),
        "{found}"
    );
    assert!(is_closed(&yard.look("v1", "Node", &node).await.unwrap()));
    assert!(yard.look("v1", "Pod", "alone").await.is_none());
    yard.told(&node, "NodeDrained").await;
    yard.remove(OURS, "NodeMaintenance", "refused").await;
    yard.node_is(&node, "the node is given back", |node| !is_closed(node)).await;
    yard.told(&node, "MaintenanceEnded").await;
}

async fn what_was_put_on_is_taken_off_and_no_more() {
    let yard = Yard::new("giveback").await;
    let node = yard.node_labelled("a", json!({})).await;
    let theirs = json!({"key": "theirs", "value": "yes", "effect": "NoSchedule"});
    yard.patch("Node", &node, json!({"spec": {"unschedulable": true, "taints": [theirs]}})).await;

    yard.maintenance("giveback", &node, json!({})).await;
    let found = yard.maintenance_is("giveback", "it is held", |status| status["phase"] == "Succeeded").await;
    assert_eq!(found["status"]["cordoned"], false, "{found}");
    let taints = |node: &Value| {
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        let keys = taints.iter().map(|taint| taint["key"].as_str().unwrap().to_owned());
        keys.filter(|key| !key.starts_with("node.kubernetes.io/")).collect::<Vec<_>>()
    };
    yard.node_is(&node, "our taint is on", |node| taints(node) == ["theirs", "groundskeeper.dev/leaving"])
        .await;
    yard.remove(OURS, "NodeMaintenance", "giveback").await;

    yard.node_is(&node, "our taint is off, and the node stays as it was", |node| {
        taints(node) == ["theirs"]
            && node["spec"]["unschedulable"] == true
            && node["metadata"]["labels"][LABEL].is_null()
            && node["metadata"]["annotations"]["groundskeeper.dev/maintenance"].is_null()
    })
    .await;
}

async fn two_maintenances_of_one_node_follow_one_another() {
    let yard = Yard::new("twice").await;
    let node = yard.node_labelled("a", json!({})).await;
    yard.maintenance("twice-a", &node, json!({})).await;
    yard.maintenance_is("twice-a", "it is held", |status| status["phase"] == "Succeeded").await;

    // It waits for longer, but nobody knows how it would drain the node.
    let senseless = json!({"podSelector": {"matchLabels": {"no key": "a"}}});
    yard.maintenance("twice-0", &node, senseless).await;
    yard.maintenance_is("twice-0", "it makes no sense", |status| {
        is(&json!({"status": status}), "Stalled") == Some("True")
    })
    .await;
    yard.maintenance("twice-b", &node, json!({})).await;
    let second =
        yard.maintenance_is("twice-b", "it waits", |status| blockers(status) == ["AnotherMaintenance"]).await;
    assert!(second["status"]["blockers"].to_string().contains("twice-a"), "{second}");

    let seen = yard.follow_node(&node).await;
    yard.remove(OURS, "NodeMaintenance", "twice-a").await;
    yard.maintenance_is("twice-b", "it goes on", |status| status["phase"] == "Succeeded").await;
    let seen = seen.stop();
    assert!(!seen.is_empty() && seen.iter().all(is_closed), "it was open for a moment: {seen:#?}");
    yard.node_is(&node, "it is held", is_closed).await;
    yard.remove(OURS, "NodeMaintenance", "twice-b").await;
    yard.node_is(&node, "it is given back", |node| !is_closed(node)).await;
}

async fn a_departure_takes_over_a_node_under_maintenance() {
    let yard = Yard::new("takeover").await;
    yard.policy(json!({})).await;
    let node = yard.node("a").await;
    yard.stubborn_pod(&node, "stays").await;
    yard.maintenance("takeover", &node, json!({"force": true})).await;
    yard.maintenance_is("takeover", "it drains", |status| status["phase"] == "Running").await;
    yard.node_is(&node, "it is held", is_closed).await;

    let run = yard.delete_node(&node).await;

    yard.maintenance_is("takeover", "it says why", |status| blockers(status) == ["NodeLeaves"]).await;
    yard.until(&run, "it drains", |status| status["phase"] == "Draining").await;
    yard.remove(OURS, "NodeMaintenance", "takeover").await;
    meanwhile(1).await;
    assert!(is_closed(&yard.look("v1", "Node", &node).await.unwrap()), "it leaves, and stays closed");
    yard.let_end("stays").await;
    yard.ends(&node, &run, "Completed").await;
}

async fn a_drain_that_takes_too_long_fails_and_asks_nobody_any_more() {
    let yard = Yard::new("overdue").await;
    let node = yard.node_labelled("a", json!({})).await;
    yard.pod(&node, "kept").await;
    yard.budget("closed", "kept", json!({"minAvailable": 1})).await;

    yard.maintenance("overdue", &node, json!({"force": true, "timeoutSeconds": 8})).await;

    yard.maintenance_is("overdue", "the budget is named", |status| {
        blockers(status).first().is_some_and(|reason| reason.starts_with("Budget"))
    })
    .await;
    let found = yard.maintenance_is("overdue", "its time is up", |status| status["phase"] == "Failed").await;
    assert_eq!(blockers(&found["status"])[0], "TimedOut", "{found}");
    yard.patch("PodDisruptionBudget", "closed", json!({"spec": {"minAvailable": 0}})).await;
    meanwhile(2).await;
    assert!(yard.look("v1", "Pod", "kept").await.unwrap()["metadata"]["deletionTimestamp"].is_null());
    assert!(is_closed(&yard.look("v1", "Node", &node).await.unwrap()), "what was cordoned stays so");
    yard.remove(OURS, "NodeMaintenance", "overdue").await;
    yard.node_is(&node, "it is given back", |node| !is_closed(node)).await;
}
