//! An uninstallation beside an operator that lives, leads and works: in the cluster, where it ends with its pod, or outside of
//! it, where nobody ends it.

use std::time::Duration;

use kube::api::ListParams;
use serde_json::{Value, json};
use testbed::{ControlPlane, Options, Turn, Turns};
use tokio::task::JoinHandle;

use crate::bed::{CLEAN, Said, run_as};
use crate::support::operator::{Launch, Operator};
use crate::support::{DEADLINE, eventually, holds, kubectl};
use crate::yard::{FINALIZER, Yard, blockers, finalizers, launch};

/// How long an uninstallation may take that waits for nobody.
const AT_ONCE: Duration = Duration::from_mins(1);

/// What stands for the operator's process in its pod: the pod is there until it is taken off.
const PROCESS: &str = "example.com/process";

/// An operator with three nodes: one leaves, and a budget holds it; one is held for a maintenance; one works.
struct Works {
    yard: Yard,
    operator: Operator,
    leaving: String,
    held: String,
    /// The record of the departure.
    run: String,
    _turn: Turn,
}

impl Works {
    async fn at(name: &str, launch: impl FnOnce(&ControlPlane) -> Launch) -> Self {
        static CLUSTERS: Turns<2> = Turns::new(|| Options::new().scheduler(false));
        let (turn, cluster) = CLUSTERS.take().await.unwrap();
        kubectl(cluster, &["wait", "--for=delete", "namespace/groundskeeper-system", "--timeout=60s"], "");
        run_as(cluster.admin(), "install").ok();
        let operator = launch(cluster).start(cluster).await;
        operator.ready(cluster).await;
        operator.leads(cluster).await;
        let yard = Yard::in_cluster(cluster, name).await;
        yard.policy(json!({})).await;
        let (leaving, held, _) = tokio::join!(yard.node("leaving"), yard.node("held"), yard.node("working"));
        let (run, ()) = tokio::join!(is_leaving(&yard, &leaving), is_held(&yard, &held));
        Self { yard, operator, leaving, held, run, _turn: turn }
    }

    fn cluster(&self) -> &'static ControlPlane {
        self.yard.cluster
    }

    /// Runs beside the test.
    fn begins(&self, arguments: &str) -> JoinHandle<Said> {
        let (cluster, arguments) = (self.cluster(), arguments.to_owned());
        tokio::task::spawn_blocking(move || run_as(cluster.admin(), &arguments))
    }

    /// Ends what is left, by the means that everybody has: nothing waits for us.
    fn end(self) {
        self.operator.kill();
        let known = kubectl(self.yard.cluster, &["get", "crds", "-o", "name"], "");
        let ours = ["nodecleanuppolicies", "nodemaintenances", "nodecleanups"];
        for kind in ours.into_iter().filter(|kind| known.contains(kind)).chain(["nodes"]) {
            kubectl(self.yard.cluster, &["delete", kind, "--all", "--timeout=20s"], "");
        }
    }

    /// No node has our finalizer, and the one that was held has nothing of ours on it but the cordon.
    async fn are_over(&self, said: &Said) {
        assert!(said.out.contains(CLEAN), "{said:?}");
        assert!(said.out.contains(&format!("node/{} stays cordoned", self.held)), "{said:?}");
        for node in self.yard.api("v1", "Node").list(&ListParams::default()).await.unwrap() {
            let node = serde_json::to_value(node).unwrap();
            assert!(!finalizers(&node).iter().any(|one| one == FINALIZER), "{node}");
        }
        let held = self.yard.look("v1", "Node", &self.held).await.unwrap();
        let marks = [&held["metadata"]["labels"], &held["metadata"]["annotations"], &held["spec"]["taints"]];
        assert!(marks.iter().all(|marks| !marks.to_string().contains("groundskeeper.dev/")), "{held}");
        assert!(held["spec"]["unschedulable"] == true, "{held}");
        assert!(self.yard.look("v1", "Node", &self.leaving).await.is_none());
    }
}

async fn is_held(yard: &Yard, node: &str) {
    yard.create(json!({
        "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "NodeMaintenance", "metadata": {"name": yard.name},
        "spec": {"nodeName": node, "reason": "a test"},
    }))
    .await;
    eventually(yard.cluster, "the node is held", async || {
        let found = yard.ours("NodeMaintenance").get(&yard.name).await.unwrap().data;
        holds(found["status"]["phase"] == "Succeeded", found)
    })
    .await;
}

/// A node is deleted, and a budget keeps its pod; returns the name of its record.
async fn is_leaving(yard: &Yard, node: &str) -> String {
    yard.pod(node, "kept").await;
    yard.create(json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "keep", "namespace": yard.namespace},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "kept"}}},
    }))
    .await;
    eventually(yard.cluster, "the budget is counted", async || {
        let budget = yard.look("policy/v1", "PodDisruptionBudget", "keep").await.unwrap();
        holds(budget["status"]["currentHealthy"] == 1, budget["status"].clone())
    })
    .await;
    let run = yard.delete_node(node).await;
    yard.until(&run, "the budget is named", |status| {
        status["phase"] == "Draining" && !blockers(status).is_empty()
    })
    .await;
    run
}

/// The operator's pods, which nothing runs here.
fn pods(cluster: &ControlPlane) -> Vec<Value> {
    let found = kubectl(cluster, &["get", "pods", "-n", "groundskeeper-system", "-o", "json"], "");
    let found: Value = serde_json::from_str(&found).unwrap();
    found["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_departure_is_carried_to_its_end_before_the_operator_goes() {
    let works = Works::at("carried", launch).await;
    let cluster = works.cluster();
    let pod = eventually(cluster, "there is a pod", async || {
        pods(cluster).first().cloned().ok_or_else(|| "there is none".to_owned())
    })
    .await;
    let pod = pod["metadata"]["name"].as_str().unwrap().to_owned();
    let patch = |finalizers: Value| {
        let patch = json!({"metadata": {"finalizers": finalizers}}).to_string();
        kubectl(
            cluster,
            &["patch", "pod", &pod, "-n", "groundskeeper-system", "--type=merge", "-p", &patch],
            "",
        );
    };
    patch(json!([PROCESS]));

    let uninstalling = works.begins("uninstall --yes --wait-for-departures 30s");
    eventually(cluster, "what puts the finalizer on is gone", async || {
        let get = ["get", "mutatingadmissionpolicies", "-o", "name"];
        let found = kubectl(cluster, &get, "");
        holds(found.is_empty(), found)
    })
    .await;
    let status = works.yard.record(&works.run).await.unwrap()["status"].clone();
    assert!(status["phase"] == "Draining" && !uninstalling.is_finished(), "{status}");
    works.yard.patch("PodDisruptionBudget", "keep", json!({"spec": {"minAvailable": 0}})).await;
    works.yard.ends(&works.leaving, &works.run, "Completed").await;

    // As a kubelet ends it.
    eventually(cluster, "the pod is to end", async || {
        let ends =
            |one: &Value| one["metadata"]["name"] == *pod && one["metadata"]["deletionTimestamp"].is_string();
        holds(pods(cluster).iter().any(ends), "it is not")
    })
    .await;
    works.operator.process.terminate().unwrap();
    let ended = works.operator.process.wait_exit(DEADLINE).await.unwrap();
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    patch(Value::Null);

    let said = uninstalling.await.unwrap().ok();
    works.are_over(&said).await;
    assert_eq!(works.operator.errors(), [] as [Value; 0]);
    // What people have made stays until they say so.
    let kept = works.yard.ours("NodeMaintenance").get(&works.yard.name).await.unwrap();
    assert!(kept.metadata.finalizers.unwrap_or_default().is_empty());
    works.end();
}

/// Uninstalls beside an operator that nobody ends, and looks whether it does anything of its own afterwards.
async fn outlives(name: &str, arguments: &str) {
    let works = Works::at(name, launch).await;
    let said = tokio::time::timeout(AT_ONCE, works.begins(arguments)).await;
    let said = said.unwrap().unwrap().ok();
    works.are_over(&said).await;
    assert!(said.out.contains(&format!("node/{} released", works.leaving)), "{said:?}");
    assert!(works.operator.is_running());
    // So long that it would have repaired what is missing.
    tokio::time::sleep(Duration::from_secs(3)).await;
    works.are_over(&said).await;
    works.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_outside_of_the_cluster_holds_no_node_once_it_is_uninstalled() {
    outlives("outside", "uninstall --yes --release-departures --delete-policies").await;
}

/// Its policies still say that nodes are to have the finalizer.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_outside_of_the_cluster_holds_no_node_though_its_policies_stay() {
    outlives("outside-kept", "uninstall --yes --release-departures").await;
}

/// It runs as an administrator, whose rights are nobody's to take.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_by_rights_that_are_not_ours_is_told_of_and_another_run_ends_well() {
    let works = Works::at("foreign", |cluster| Launch::new(cluster.admin().kubeconfig())).await;
    let said = tokio::time::timeout(AT_ONCE, works.begins("uninstall --yes --release-departures")).await;
    let complaint = said.unwrap().unwrap().complaint();
    assert!(complaint.contains("our finalizer comes back on foreign-"), "{complaint}");
    assert!(complaint.contains("end it, and run this again"), "{complaint}");
    works.operator.process.kill().unwrap();
    let again = works.begins("uninstall --yes").await.unwrap().ok();
    works.are_over(&again).await;
    works.end();
}
