//! What the tests stand on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::CleanupPlugin;
use chassis::Metrics;
use control::{Clock, Steady, SystemClock};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Config};
use node_cleanup::contract::{Executed, Node, Task, idempotency_key};
use node_cleanup::steps::Outcome;
use plugins::{Means, Outbound, Plugins};
use serde_json::{Map, Value, json};
use testbed::ControlPlane;

/// Longer than anything takes that comes to an end.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// The machine's clocks, of which a test turns the steady one on.
#[derive(Debug, Default)]
pub(crate) struct Turned(Mutex<Duration>);

impl Turned {
    pub(crate) fn on(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn steady(&self) -> Steady {
        SystemClock.steady().after(*self.0.lock().unwrap())
    }
}

/// Plugins, and what they stand on.
pub(crate) struct Ground {
    pub(crate) plugins: Plugins,
    pub(crate) clock: Arc<Turned>,
    pub(crate) metrics: Metrics,
    pub(crate) namespace: String,
    pub(crate) client: Client,
}

impl Ground {
    /// Without a cluster.
    pub(crate) fn new() -> Self {
        Self::under(Outbound { allow_private: Vec::new(), allow_loopback: true })
    }

    /// Without a cluster, under these rules.
    pub(crate) fn under(outbound: Outbound) -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let nowhere = Config::new("http://127.0.0.1:1".parse().unwrap());
        Self::with(Client::try_from(nowhere).unwrap(), "grounds".to_owned(), outbound)
    }

    /// In a namespace of a real control plane.
    pub(crate) async fn in_cluster(name: &str) -> Self {
        let cluster = ControlPlane::shared().await.unwrap();
        let namespace = cluster.namespace(name).await.unwrap();
        let outbound = Outbound { allow_private: Vec::new(), allow_loopback: true };
        Self::with(cluster.admin().client().unwrap(), namespace, outbound)
    }

    fn with(client: Client, namespace: String, outbound: Outbound) -> Self {
        let (clock, metrics) = (Arc::new(Turned::default()), Metrics::default());
        let means = Means {
            client: client.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            namespace: namespace.clone(),
            outbound,
        };
        Self { plugins: Plugins::new(means), clock, metrics, namespace, client }
    }

    /// Declares a plugin `other`.
    pub(crate) fn declare(&self, spec: Value) {
        self.plugins.declare(&plugin("other", spec)).unwrap();
    }

    /// Writes a Secret.
    pub(crate) async fn secret(&self, name: &str, data: &[(&str, &str)]) {
        let data: BTreeMap<String, ByteString> = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())))
            .collect();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data});
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        api.patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(secret)).await.unwrap();
    }

    /// Asks once.
    pub(crate) async fn execute(&self, plugin: &str, task: &Task) -> Outcome {
        let asked = self.plugins.execute(plugin, task.clone());
        tokio::time::timeout(SOON, asked).await.expect("it comes back")
    }

    /// Asks until the attempt has ended, as a departure does: with the state of the answer before.
    pub(crate) async fn to_the_end(&self, plugin: &str, task: &mut Task) -> Outcome {
        for _ in 0..200 {
            let outcome = self.execute(plugin, task).await;
            if let Outcome::Answered(answer) = &outcome {
                let (Executed::Done { state, .. }
                | Executed::Progress { state, .. }
                | Executed::Failed { state, .. }) = answer;
                if let Some(state) = state {
                    task.state.clone_from(state);
                }
                if matches!(answer, Executed::Progress { .. }) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            }
            return outcome;
        }
        panic!("it never ends: {task:?}")
    }
}

pub(crate) fn plugin(name: &str, spec: Value) -> CleanupPlugin {
    CleanupPlugin::new(name, serde_json::from_value(spec).unwrap())
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("{value} is no object") };
    object
}

/// The first attempt of a step, whose attempt may take half a minute.
pub(crate) fn task(step: &str, settings: Value) -> Task {
    Task {
        run_id: "run-1".to_owned(),
        step_id: step.to_owned(),
        attempt: 1,
        idempotency_key: idempotency_key("run-1", step),
        node: Node { name: "worker-1".to_owned(), uid: "uid-1".to_owned(), ..Node::default() },
        state: Map::new(),
        deadline: Some(SystemClock.now() + SignedDuration::from_secs(30)),
        settings: object(settings),
    }
}

/// `done`, `progress`, `failed:REASON`, `failed-for-good:REASON`, `timed-out`, `unreachable`, `garbage`.
pub(crate) fn kind(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered(Executed::Done { .. }) => "done".to_owned(),
        Outcome::Answered(Executed::Progress { .. }) => "progress".to_owned(),
        Outcome::Answered(Executed::Failed { retryable: true, reason, .. }) => format!("failed:{reason}"),
        Outcome::Answered(Executed::Failed { retryable: false, reason, .. }) => {
            format!("failed-for-good:{reason}")
        }
        Outcome::TimedOut => "timed-out".to_owned(),
        Outcome::Unreachable(_) => "unreachable".to_owned(),
        Outcome::Garbage(_) => "garbage".to_owned(),
    }
}

impl Ground {
    /// The same as somebody else.
    pub(crate) fn acting_as(self, client: Client) -> Self {
        let outbound = Outbound { allow_private: Vec::new(), allow_loopback: true };
        Self::with(client, self.namespace, outbound)
    }
}
