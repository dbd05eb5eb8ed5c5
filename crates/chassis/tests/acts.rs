//! The actuator and the lease on a real API server: what is deleted and evicted, by whom, and what the server refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests delete as users do")]

use std::sync::Arc;
use std::time::Duration;

use api::Rails;
use chassis::actuator::{Act, Actuator, Grounds, Manner, Means, Outcome, Purpose, Target};
use chassis::lease::{Contender, Epoch, Leadership, LeaseOptions, contender};
use chassis::ledger::{Evidence, Ledger, LedgerLimits, LedgerOptions, Requirement, Rule};
use chassis::{Metrics, ServiceAccountName, recorder, resolve};
use control::{Clock as _, LeaseTerms, SystemClock};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testbed::faults::{Calls, Fault, Faults, Gate, Refusal, Verb};
use testbed::{ControlPlane, Identity, Options, Shared, Tool};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const DEADLINE: Duration = Duration::from_secs(30);

async fn cluster() -> &'static ControlPlane {
    static CLUSTER: Shared = Shared::new(audited);
    CLUSTER.get().await.unwrap()
}

/// An API server that writes down who changes what.
fn audited() -> Options {
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audit-policy.yaml");
    Options::api_server_only()
        .api_server_flag(format!("--audit-policy-file={policy}"))
        .api_server_flag("--audit-log-path=-")
}

/// As whom the acts on an object were done, as the API server tells it: user and groups.
async fn doers(name: &str) -> Vec<(String, Value)> {
    let log = cluster().await.server(Tool::KubeApiserver).unwrap().log().unwrap();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let events = events.filter(|event| event["kind"] == "Event" && event["objectRef"]["name"] == name);
    let doer = |event: Value| {
        let user = if event["impersonatedUser"].is_null() { "user" } else { "impersonatedUser" };
        (event[user]["username"].as_str().unwrap().to_owned(), event[user]["groups"].clone())
    };
    events.map(doer).collect()
}

/// Somebody who contends for a lease and acts under it.
struct Actor {
    actuator: Actuator,
    leadership: Leadership,
    stop: CancellationToken,
    tasks: TaskTracker,
    client: kube::Client,
    metrics: Metrics,
    namespace: String,
    ledger: Ledger,
    directory: tempfile::TempDir,
}

impl Actor {
    async fn contend(namespace: &str, identity: &str) -> Self {
        Self::contend_by(namespace, identity, cluster().await.admin()).await
    }

    /// By another way to the API server.
    async fn contend_by(namespace: &str, identity: &str, way: &Identity) -> Self {
        let client = way.client().unwrap();
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
        let opened = Ledger::open(options, clock.clone(), metrics.clone()).await.unwrap();
        tasks.spawn(opened.writer);
        let ledger = opened.ledger;
        let means = Means { client: client.clone(), ledger: ledger.clone(), metrics: metrics.clone(), clock };
        let actuator = Actuator::new(means, Rails::new("grounds"), 8);
        let namespace = namespace.to_owned();
        Self { actuator, leadership, stop, tasks, client, metrics, namespace, ledger, directory }
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
        self.act_on(self.target(object).await, epoch, act).await
    }

    async fn act_on(&self, target: Target, epoch: &Epoch, act: Act) -> Outcome {
        let now = SystemClock.now();
        let slot = self.actuator.budget(1_000, now).take(now).unwrap();
        let rule = Rule { policy: "team/rule".into(), uid: "rule-1".into(), generation: 1 };
        let grounds = Grounds {
            controller: "test",
            rule,
            evidence: Evidence::default(),
            unlocked: Vec::new(),
            purpose: Purpose::Collection,
        };
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
            namespace: object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned(),
            name: text("name").into(),
            uid: text("uid").as_str().into(),
            resource_version: Some(text("resourceVersion").as_str().into()),
            act_as: None,
        }
    }

    fn api(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        if kind.starts_with("Cluster") {
            return Api::all_with(self.client.clone(), &resource);
        }
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

    async fn look_at(&self, object: &Value) -> Value {
        let api = self.api(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        serde_json::to_value(api.get(object["metadata"]["name"].as_str().unwrap()).await.unwrap()).unwrap()
    }

    /// The value of a metric of this name, in its only series.
    fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.encode().unwrap();
        let line = text.lines().find(|line| line.starts_with(name));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    /// What stands in the ledger.
    async fn told(&self) -> Vec<Value> {
        self.ledger.flush().await.unwrap();
        let own = std::fs::read_dir(self.directory.path()).unwrap().next().unwrap().unwrap().path();
        let segments = std::fs::read_dir(own).unwrap().map(|entry| entry.unwrap().path());
        let text: String = segments.filter_map(|path| std::fs::read_to_string(path).ok()).collect();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    async fn is_there(&self, object: &Value) -> bool {
        let api = self.api(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let found = api.get_opt(object["metadata"]["name"].as_str().unwrap()).await.unwrap();
        found.is_some_and(|found| found.metadata.uid.as_deref() == object["metadata"]["uid"].as_str())
    }

    /// Ends as a process does that was asked to: work first, then the lease.
    async fn end(self) {
        self.stop.cancel();
        drop((self.actuator, self.ledger));
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
async fn what_lies_in_no_namespace_is_deleted_as_well() {
    let namespace = cluster().await.namespace("nowhere").await.unwrap();
    let actor = Actor::contend(&namespace, "one").await;
    let epoch = actor.epoch().await;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"generateName": "unused-"},
    });
    let role = actor.create(role).await;
    assert!(matches!(actor.act(&role, &epoch, DELETE).await, Outcome::Accepted));
    assert!(!actor.is_there(&role).await);
    drop(epoch);
    actor.end().await;
}

#[tokio::test]
async fn what_is_done_as_a_service_account_takes_its_rights_and_is_told_of_it() {
    let namespace = cluster().await.namespace("robot").await.unwrap();
    let actor = Actor::contend(&namespace, "one").await;
    let epoch = actor.epoch().await;
    let name = format!("report-of-{namespace}");
    let object = actor.create(config_map(&name)).await;
    let robot = ServiceAccountName::new(&namespace, "robot").unwrap();
    let as_robot = Target { act_as: Some(robot.clone()), ..actor.target(&object).await };

    let denied = actor.act_on(as_robot.clone(), &epoch, DELETE).await;
    let Outcome::Denied(error) = &denied else { panic!("{denied:?}") };
    assert!(error.to_string().contains(&robot.to_string()), "{error}");
    assert!(actor.is_there(&object).await);

    let group = "rbac.authorization.k8s.io";
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["delete"]}]);
    let subjects = json!([{"kind": "ServiceAccount", "name": "robot", "namespace": namespace}]);
    let named = json!({"name": "robot"});
    actor
        .create(
            json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": named, "rules": rules}),
        )
        .await;
    actor
        .create(json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": named, "subjects": subjects,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "robot"},
        }))
        .await;
    let accepted = async {
        // The API server hears of a right a moment after it was granted.
        while !matches!(actor.act_on(as_robot.clone(), &epoch, DELETE).await, Outcome::Accepted) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, accepted).await.expect("it is allowed now");
    assert!(!actor.is_there(&object).await);
    let told = async {
        loop {
            match doers(&name).await.as_slice() {
                [denied, .., accepted] if denied == accepted => return accepted.clone(),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let told = tokio::time::timeout(DEADLINE, told).await;
    let (user, groups) = told.expect("the acts stand in the audit log");
    assert_eq!(user, robot.to_string());
    assert_eq!(groups, json!(robot.subject().groups));
    drop(epoch);
    actor.end().await;
}

#[tokio::test]
async fn a_note_is_written_on_the_object_that_was_judged_and_on_no_other() {
    let namespace = cluster().await.namespace("note").await.unwrap();
    let actor = Actor::contend(&namespace, "one").await;
    let epoch = actor.epoch().await;
    let judged = actor.create(config_map("report")).await;
    let note = || Act::Notify { annotation: ("example.com/going", "soon".to_owned()) };

    assert!(matches!(actor.act(&judged, &epoch, note()).await, Outcome::Accepted));
    let noted = actor.look_at(&judged).await;
    assert_eq!(noted["metadata"]["annotations"]["example.com/going"], "soon");
    assert!(matches!(actor.act(&judged, &epoch, note()).await, Outcome::Changed), "by the note itself");

    assert!(matches!(actor.act(&noted, &epoch, DELETE).await, Outcome::Accepted));
    assert!(matches!(actor.act(&noted, &epoch, note()).await, Outcome::Gone));
    let anew = actor.create(config_map("report")).await;
    assert!(matches!(actor.act(&noted, &epoch, note()).await, Outcome::Changed), "it is another by now");
    assert!(actor.look_at(&anew).await["metadata"]["annotations"].is_null());
    let told: Vec<_> = actor.told().await.into_iter().filter(|record| record["act"] == "notify").collect();
    let outcomes: Vec<_> = told.iter().filter_map(|record| record["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["notified", "changed", "gone", "changed"], "{told:#?}");
    drop(epoch);
    actor.end().await;
}

#[tokio::test]
async fn a_finalizer_is_put_on_and_taken_off_and_the_others_stay() {
    let namespace = cluster().await.namespace("finalizers").await.unwrap();
    let actor = Actor::contend(&namespace, "one").await;
    let epoch = actor.epoch().await;
    let object = actor.create(config_map("report")).await;
    let add = |finalizer: &str| Act::AddFinalizer(finalizer.to_owned());
    let remove = |finalizer: &str| Act::RemoveFinalizer(finalizer.to_owned());
    let finalizers = async || actor.look_at(&object).await["metadata"]["finalizers"].clone();

    assert!(matches!(actor.act(&object, &epoch, add("example.com/a")).await, Outcome::Accepted));
    assert_eq!(finalizers().await, json!(["example.com/a"]));
    let late = actor.act(&object, &epoch, add("example.com/b")).await;
    assert!(matches!(late, Outcome::Changed), "it was judged in another version: {late:?}");

    // Without a judged version, the one that is there counts.
    let whichever = Target { resource_version: None, ..actor.target(&object).await };
    let act = async |act: Act| actor.act_on(whichever.clone(), &epoch, act).await;
    for finalizer in ["example.com/b", "example.com/c", "example.com/b"] {
        assert!(matches!(act(add(finalizer)).await, Outcome::Accepted));
    }
    assert_eq!(finalizers().await, json!(["example.com/a", "example.com/b", "example.com/c"]));
    for finalizer in ["example.com/b", "example.com/none"] {
        assert!(matches!(act(remove(finalizer)).await, Outcome::Accepted));
    }
    assert_eq!(finalizers().await, json!(["example.com/a", "example.com/c"]));
    let refused = act(add("no finalizer")).await;
    assert!(matches!(&refused, Outcome::Failed(error) if error.code() == Some(422)), "{refused:?}");

    let release = || Act::Release("example.com/a".to_owned());
    assert!(matches!(act(release()).await, Outcome::Changed), "it is not being deleted");
    assert_eq!(finalizers().await, json!(["example.com/a", "example.com/c"]));
    assert!(matches!(act(DELETE).await, Outcome::Accepted));
    assert!(matches!(act(release()).await, Outcome::Accepted));
    assert_eq!(finalizers().await, json!(["example.com/c"]));
    assert!(matches!(act(remove("example.com/c")).await, Outcome::Accepted));
    assert!(matches!(act(add("example.com/a")).await, Outcome::Gone));
    drop(epoch);
    actor.end().await;
}

/// Somebody else is faster, between our look at the finalizers and our patch.
#[tokio::test]
async fn finalizers_that_change_under_our_hands_stay_as_others_have_left_them() {
    let namespace = cluster().await.namespace("race").await.unwrap();
    let proxy = Faults::between(cluster().await, cluster().await.admin()).await.unwrap();
    let actor = Actor::contend_by(&namespace, "one", proxy.identity()).await;
    let epoch = actor.epoch().await;
    let theirs: Api<ConfigMap> = Api::namespaced(cluster().await.admin().client().unwrap(), &namespace);
    let table = [
        ("swapped", json!({"metadata": {"finalizers": ["example.com/b", "example.com/a"]}})),
        ("replaced", json!({"metadata": {"finalizers": ["example.com/c", "example.com/d"]}})),
        ("emptied", json!({"metadata": {"finalizers": null}})),
        ("labelled", json!({"metadata": {"labels": {"keep": "me"}}})),
    ];
    for (name, change) in table {
        for act in ["add", "remove"] {
            let name = format!("{name}-{act}");
            let mut manifest = config_map(&name);
            manifest["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b"]);
            let object = actor.create(manifest).await;
            let target = Target { resource_version: None, ..actor.target(&object).await };
            let act = match act {
                "add" => Act::AddFinalizer("example.com/ours".to_owned()),
                _ => Act::RemoveFinalizer("example.com/b".to_owned()),
            };
            let gate = Gate::new();
            let held = Calls::of("configmaps").verb(Verb::Patch).named(&name).nth(1);
            proxy.on(held, Fault::hold_before(&gate));
            let changing = async {
                let held = gate.arrived().await;
                let changed = theirs.patch(&name, &PatchParams::default(), &Patch::Merge(&change)).await;
                held.release();
                changed.unwrap().metadata.finalizers
            };
            let (outcome, left) = tokio::join!(actor.act_on(target, &epoch, act), changing);
            assert!(matches!(outcome, Outcome::Changed), "{name}: {outcome:?}");
            let found = theirs.get(&name).await.unwrap();
            assert_eq!(found.metadata.finalizers, left, "{name}");
            let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            theirs.patch(&name, &PatchParams::default(), &free).await.unwrap();
        }
    }
    drop(epoch);
    actor.end().await;
}

#[tokio::test]
async fn a_busy_api_server_is_asked_for_less_and_then_for_more_again() {
    let namespace = cluster().await.namespace("busy").await.unwrap();
    let proxy = Faults::between(cluster().await, cluster().await.admin()).await.unwrap();
    let actor = Actor::contend_by(&namespace, "one", proxy.identity()).await;
    let epoch = actor.epoch().await;
    let at_most = || actor.metric("groundskeeper_actuator_in_flight_max");
    assert_eq!(at_most(), 8);
    for (number, busy) in
        [Refusal::too_many_requests(Duration::from_secs(1)), Refusal::unavailable()].into_iter().enumerate()
    {
        let object = actor.create(config_map(&format!("report-{number}"))).await;
        let rule = proxy.on(Calls::to(Verb::Delete), Fault::refuse(busy));
        let began = at_most();
        let fallen = async {
            while at_most() == began {
                actor.act(&object, &epoch, DELETE).await;
            }
        };
        tokio::time::timeout(DEADLINE, fallen).await.expect("it falls");
        assert_eq!(at_most(), began / 2);
        rule.lift();
        assert!(matches!(actor.act(&object, &epoch, DELETE).await, Outcome::Accepted));
        let grown = async {
            while at_most() < 8 {
                assert!(matches!(actor.act(&object, &epoch, DELETE).await, Outcome::Gone));
            }
        };
        tokio::time::timeout(DEADLINE, grown).await.expect("it grows");
    }
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

    // Somebody still acts in the first one's epoch: it is asked to end, and does not before that. The second one looks at
    // the lease twice meanwhile.
    first.stop.cancel();
    let looks = || second.metric("leader_election_slowpath");
    let before = looks();
    let looked = async {
        while looks() < before + 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, looked).await.expect("it contends");
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
