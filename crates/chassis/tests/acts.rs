//! The actuator and the lease on a real API server: what is deleted and evicted, by whom, and what the server refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests delete as users do")]

use std::sync::Arc;
use std::time::Duration;

use api::Rails;
use chassis::actuator::{Act, Actuator, Grounds, Manner, Outcome, Target};
use chassis::lease::{Contender, Epoch, Leadership, LeaseOptions, contender};
use chassis::ledger::{Evidence, Ledger, LedgerLimits, LedgerOptions, Requirement, Rule};
use chassis::{Metrics, recorder, resolve};
use control::{Clock as _, LeaseTerms, SystemClock};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testbed::{ControlPlane, Options, Shared};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const DEADLINE: Duration = Duration::from_secs(30);

async fn cluster() -> &'static ControlPlane {
    static CLUSTER: Shared = Shared::new(Options::api_server_only);
    CLUSTER.get().await.unwrap()
}

/// Somebody who contends for a lease and acts under it.
struct Actor {
    actuator: Actuator,
    leadership: Leadership,
    stop: CancellationToken,
    tasks: TaskTracker,
    client: kube::Client,
    namespace: String,
    _ledger: tempfile::TempDir,
}

impl Actor {
    async fn contend(namespace: &str, identity: &str) -> Self {
        let client = cluster().await.admin().client().unwrap();
        let (metrics, clock, tasks) = (Metrics::default(), Arc::new(SystemClock), TaskTracker::new());
        let stop = CancellationToken::new();
        let events = recorder(
            client.clone(),
            identity.to_owned(),
            metrics.clone(),
            Arc::new(SystemClock),
            stop.clone(),
        );
        let (recorder, sending) = events;
        tasks.spawn(sending);
        let terms =
            LeaseTerms::new(Duration::from_secs(3), Duration::from_secs(2), Duration::from_millis(200));
        let options = LeaseOptions {
            namespace: namespace.to_owned(),
            name: "slot".to_owned(),
            identity: identity.to_owned(),
            terms: terms.unwrap(),
        };
        let (leadership, contender) =
            contender(client.clone(), options, clock.clone(), metrics.clone(), recorder);
        tasks.spawn(Contender::run(contender, stop.clone()));
        let directory = tempfile::tempdir().unwrap();
        let options = LedgerOptions {
            directory: directory.path().to_owned(),
            instance: identity.to_owned(),
            requirement: Requirement::Required,
            limits: LedgerLimits::default(),
        };
        let opened = Ledger::open(options, clock, metrics.clone()).await.unwrap();
        tasks.spawn(opened.writer);
        let actuator = Actuator::new(client.clone(), Rails::new("grounds"), opened.ledger, metrics, 8);
        let namespace = namespace.to_owned();
        Self { actuator, leadership, stop, tasks, client, namespace, _ledger: directory }
    }

    async fn epoch(&self) -> Epoch {
        let look = async {
            loop {
                match self.leadership.epoch() {
                    Some(epoch) => return epoch,
                    None => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(DEADLINE, look).await.expect("it leads")
    }

    /// Acts on an object as it was when it looked like this.
    async fn act(&self, object: &Value, epoch: &Epoch, act: Act) -> Outcome {
        let now = SystemClock.now();
        let slot = self.actuator.budget(1_000, now).take(now).unwrap();
        let target = self.target(object).await;
        let rule = Rule { policy: "team/rule".into(), uid: "rule-1".into(), generation: 1 };
        let grounds = Grounds { controller: "test", rule, evidence: Evidence::default() };
        match self.actuator.prove(target, slot, epoch.clone(), grounds) {
            Ok(warrant) => self.actuator.carry_out(warrant, act).await,
            Err(objection) => Outcome::Refused(objection.refused),
        }
    }

    async fn target(&self, object: &Value) -> Target {
        let kind = units::GroupVersionKind {
            api_version: object["apiVersion"].as_str().unwrap().parse().unwrap(),
            kind: object["kind"].as_str().unwrap().to_owned(),
        };
        let text = |field: &str| object["metadata"][field].as_str().unwrap().to_owned();
        Target {
            resource: Arc::new(resolve(&self.client, &kind).await.unwrap()),
            namespace: self.namespace.clone(),
            name: text("name").into(),
            uid: text("uid").as_str().into(),
            resource_version: Some(text("resourceVersion").as_str().into()),
        }
    }

    fn api(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    async fn create(&self, manifest: Value) -> Value {
        let api = self.api(manifest["apiVersion"].as_str().unwrap(), manifest["kind"].as_str().unwrap());
        let object: DynamicObject = serde_json::from_value(manifest).unwrap();
        serde_json::to_value(api.create(&PostParams::default(), &object).await.unwrap()).unwrap()
    }

    async fn set_status(&self, object: &Value, status: Value) -> Value {
        let api = self.api(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let patch = Patch::Merge(json!({"status": status}));
        let name = object["metadata"]["name"].as_str().unwrap();
        let patched = api.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
        serde_json::to_value(patched).unwrap()
    }

    async fn is_there(&self, object: &Value) -> bool {
        let api = self.api(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let found = api.get_opt(object["metadata"]["name"].as_str().unwrap()).await.unwrap();
        found.is_some_and(|found| found.metadata.uid.as_deref() == object["metadata"]["uid"].as_str())
    }

    /// Ends as a process does that was asked to: work first, then the lease.
    async fn end(self) {
        self.stop.cancel();
        drop(self.actuator);
        self.tasks.close();
        tokio::time::timeout(DEADLINE, self.tasks.wait()).await.expect("it ends");
    }
}

const DELETE: Act = Act::Delete(Manner { propagation: "Background", grace_period_seconds: None });
const EVICT: Act = Act::Evict { grace_period_seconds: Some(0) };

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "main"}], "automountServiceAccountToken": false},
    })
}

#[tokio::test]
async fn what_changed_after_the_decision_is_not_deleted_and_what_did_not_is() {
    let namespace = cluster().await.namespace("delete").await.unwrap();
    let actor = Actor::contend(&namespace, "one").await;
    let epoch = actor.epoch().await;
    let judged = actor.create(config_map("report")).await;
    let touch = Patch::Merge(json!({"metadata": {"labels": {"keep": "me"}}}));
    let maps = actor.api("v1", "ConfigMap");
    let changed = maps.patch("report", &PatchParams::default(), &touch).await.unwrap();

    assert!(matches!(actor.act(&judged, &epoch, DELETE).await, Outcome::Changed));
    assert!(actor.is_there(&judged).await);

    let changed = serde_json::to_value(changed).unwrap();
    assert!(matches!(actor.act(&changed, &epoch, DELETE).await, Outcome::Accepted));
    assert!(matches!(actor.act(&changed, &epoch, DELETE).await, Outcome::Gone));
    actor.create(config_map("report")).await;
    assert!(matches!(actor.act(&changed, &epoch, DELETE).await, Outcome::Changed), "it is another by now");
    drop(epoch);
    actor.end().await;
}

#[tokio::test]
async fn an_eviction_asks_the_budgets_and_their_no_is_an_answer() {
    let namespace = cluster().await.namespace("evict").await.unwrap();
    let actor = Actor::contend(&namespace, "one").await;
    let epoch = actor.epoch().await;
    actor
        .create(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}))
        .await;
    let pod = actor.create(pod("web")).await;
    let pod = actor
        .set_status(&pod, json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}))
        .await;
    let budget = actor
        .create(json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        }))
        .await;
    let allows = async |count: i64| {
        let status = json!({
            "observedGeneration": 1, "disruptionsAllowed": count,
            "currentHealthy": 1 + count, "desiredHealthy": 1, "expectedPods": 1 + count,
        });
        actor.set_status(&budget, status).await
    };
    allows(0).await;

    let outcome = actor.act(&pod, &epoch, EVICT).await;
    let Outcome::Blocked { message, .. } = &outcome else { panic!("{outcome:?}") };
    assert!(message.contains("disruption budget"), "{message}");
    assert!(actor.is_there(&pod).await);

    allows(1).await;
    assert!(matches!(actor.act(&pod, &epoch, EVICT).await, Outcome::Accepted));
    assert!(!actor.is_there(&pod).await);
    drop(epoch);
    actor.end().await;
}

#[tokio::test]
async fn of_two_contenders_one_leads_and_hands_over_only_after_its_last_act() {
    let namespace = cluster().await.namespace("lead").await.unwrap();
    let first = Actor::contend(&namespace, "first").await;
    let epoch = first.epoch().await;
    let second = Actor::contend(&namespace, "second").await;
    let object = first.create(config_map("report")).await;

    // Somebody still acts in the first one's epoch: it is asked to end, and does not before that.
    first.stop.cancel();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(second.leadership.epoch().is_none());
    assert!(epoch.is_valid());
    assert!(matches!(first.act(&object, &epoch, DELETE).await, Outcome::Accepted));
    let number = epoch.number();
    drop(epoch);
    first.end().await;

    let later = second.epoch().await;
    assert!(later.number() > number, "{} after {number}", later.number());
    drop(later);
    second.end().await;
}
