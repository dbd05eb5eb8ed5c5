//! Where departures are tried: a control plane with controllers and kwok's nodes, whose API server writes down what the
//! operators ask for; and operators that may lack a safety.

use control::Mutant;
use futures::future::join_all;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use testbed::faults::{FaultProxy, Faults};
use testbed::{ControlPlane, Options, Turn, Turns};

use crate::support::operator::{Launch, Operator};
use crate::support::{audited, groundskeeper, identity, kubectl};
use crate::yard::Yard;

/// One check's turn on a control plane.
pub(crate) struct Bed {
    pub(crate) cluster: &'static ControlPlane,
    mutant: Option<Mutant>,
    _turn: Turn,
}

/// A node that is going to leave.
#[derive(Clone, Debug)]
pub(crate) struct Leaver {
    pub(crate) node: String,
    /// Its UID, which its record is called.
    pub(crate) run: String,
}

impl Bed {
    /// Waits for one's turn. The operators will lack this safety.
    pub(crate) async fn turn(mutant: Option<Mutant>) -> Self {
        static CLUSTERS: Turns<2> = Turns::new(with_nodes);
        let (turn, cluster) = CLUSTERS.take().await.unwrap();
        let kubeconfig = cluster.admin().kubeconfig().to_str().unwrap();
        let output = groundskeeper(&["install", "--no-workload", "--kubeconfig", kubeconfig]);
        assert!(output.status.success(), "{output:?}");
        let bed = Self { cluster, mutant, _turn: turn };
        bed.free_lease();
        bed
    }

    /// Takes away the lease, so that the next operator need not wait until it has expired.
    pub(crate) fn free_lease(&self) {
        let lease =
            ["delete", "lease", "groundskeeper-slot-0", "-n", "groundskeeper-system", "--ignore-not-found"];
        kubectl(self.cluster, &lease, "");
    }

    /// How an operator is started whose way leads through a proxy.
    pub(crate) async fn rig(&self) -> (FaultProxy, Launch) {
        let proxy = Faults::between(self.cluster, &identity(self.cluster)).await.unwrap();
        let launch = self.launch(proxy.kubeconfig());
        (proxy, launch)
    }

    /// How an operator is started that nothing stands in front of.
    pub(crate) fn plain(&self) -> Launch {
        self.launch(identity(self.cluster).kubeconfig())
    }

    fn launch(&self, kubeconfig: &std::path::Path) -> Launch {
        let launch = Launch::new(kubeconfig).flag("--plugin-allow-loopback=true");
        match self.mutant {
            Some(mutant) => launch.mutant(mutant),
            None => launch,
        }
    }

    /// Starts an operator, and waits until it leads.
    pub(crate) async fn leader(&self, launch: Launch) -> Operator {
        let operator = launch.start(self.cluster).await;
        operator.ready(self.cluster).await;
        operator.leads(self.cluster).await;
        operator
    }
}

fn with_nodes() -> Options {
    audited().kwok(true)
}

/// The pods of a node: two leave, and a rule lets one stay.
pub(crate) const PODS: [&str; 3] = ["one", "two", "stays"];

/// Nodes that work, each with pods of these names.
pub(crate) async fn plant(yard: &Yard, count: usize, pods: &[&str]) -> Vec<Leaver> {
    yard.create(json!({
        "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "DrainRule", "metadata": {"name": yard.namespace},
        "spec": {"behavior": "Skip", "namespaces": [yard.namespace], "podSelector": {"matchLabels": {"stays": "yes"}}},
    }))
    .await;
    let planting = (0..count).map(async |number| {
        let node = yard.node(&number.to_string()).await;
        join_all(pods.iter().map(async |pod| {
            let name = format!("{node}-{pod}");
            yard.pod(&node, &name).await;
            if *pod == "stays" {
                yard.patch("Pod", &name, json!({"metadata": {"labels": {"stays": "yes"}}})).await;
            }
        }))
        .await;
        let found = yard.look("v1", "Node", &node).await.unwrap();
        Leaver { run: found["metadata"]["uid"].as_str().unwrap().to_owned(), node }
    });
    join_all(planting).await
}

/// Deletes a node, as a user does.
pub(crate) async fn remove(yard: &Yard, leaver: &Leaver) {
    yard.api("v1", "Node").delete(&leaver.node, &DeleteParams::default()).await.unwrap();
}

/// How a policy lets as many nodes leave at one time as there are.
pub(crate) fn unbounded() -> Value {
    json!({"max": 100, "stormBrakePercent": 100})
}
