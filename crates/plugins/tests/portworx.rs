//! The plugin `portworx` against a simulated Portworx, with Nodes, `StorageNodes` and Secrets on a real API server.
//!
//! What a real Portworx does was never seen: the simulator plays its published API.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests look at the clock")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::Metrics;
use control::{Clock as _, SystemClock};
use k8s_openapi::api::core::v1::{Node, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use node_cleanup::contract::{self, Executed, Task, idempotency_key};
use node_cleanup::steps::Outcome;
use plugins::{Means, Outbound, Plugins};
use serde_json::{Map, Value, json};
use testbed::targets::Misbehaviour;
use testbed::targets::portworx::{Call, DrainEnd, Effect, Fault, Portworx, Status};
use testbed::{ControlPlane, Options, Shared};

const STEP: &str = "leave-portworx";
const LABEL: &str = "px/node-id";

/// Turns after which a test gives up: the longest journey here takes a third of them.
const TURNS_MAX: usize = 60;

async fn cluster() -> &'static ControlPlane {
    static CLUSTER: Shared = Shared::new(Options::api_server_only);
    CLUSTER.get().await.unwrap()
}

/// A Node that leaves, and its storage node beside another one.
struct Ground {
    client: Client,
    namespace: String,
    portworx: Portworx,
    node: Node,
    id: String,
    settings: Map<String, Value>,
    labels: BTreeMap<String, String>,
}

/// How a turn ended.
#[derive(Debug)]
enum Ended {
    Waits(String),
    Done(String),
    Fails { retryable: bool, reason: String, message: String },
    Unreachable(String),
    TimedOut,
}

impl Ground {
    async fn new(name: &str) -> Self {
        let cluster = cluster().await;
        let client = cluster.admin().client().unwrap();
        let namespace = cluster.namespace("px").await.unwrap();
        let node: Node = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        let nodes: Api<Node> = Api::all(client.clone());
        let node = nodes.create(&PostParams::default(), &node).await.unwrap();
        let portworx = Portworx::start().await.unwrap();
        let id = format!("px-{name}");
        portworx.join("px-other", "other");
        portworx.join(&id, name);
        portworx.attach(&id, 3);
        portworx.removals_take(2);
        let settings = json!({
            "gatewayUrl": portworx.gateway_url(), "managementUrl": portworx.management_url(), "nodeIdLabel": LABEL,
        });
        let settings = settings.as_object().cloned().unwrap();
        let labels = BTreeMap::from([(LABEL.to_owned(), id.clone())]);
        Self { client, namespace, portworx, node, id, settings, labels }
    }

    /// Nothing of the Node says which storage node it is.
    fn unlabelled(mut self) -> Self {
        self.labels.clear();
        self
    }

    fn with(mut self, setting: &str, value: Value) -> Self {
        self.settings.insert(setting.to_owned(), value);
        self
    }

    /// As after a start of the operator.
    fn plugins(&self) -> Plugins {
        Plugins::new(Means {
            client: self.client.clone(),
            clock: Arc::new(SystemClock),
            metrics: Metrics::default(),
            namespace: self.namespace.clone(),
            outbound: Outbound { allow_loopback: true, ..Outbound::default() },
        })
    }

    fn task(&self, state: &Map<String, Value>) -> Task {
        let uid = self.node.metadata.uid.clone().unwrap();
        let key = idempotency_key(&uid, STEP);
        let name = self.node.metadata.name.clone().unwrap();
        let node = contract::Node {
            name,
            uid: uid.clone(),
            labels: self.labels.clone(),
            ..contract::Node::default()
        };
        Task {
            run_id: uid,
            step_id: STEP.to_owned(),
            attempt: 1,
            idempotency_key: key,
            node,
            state: state.clone(),
            deadline: None,
            settings: self.settings.clone(),
        }
    }

    /// One call of the plugin, by an operator that has just started; the state is what is recorded then. As the step would be,
    /// it is repeated while another test is defining the kind of storage nodes.
    async fn turn(&self, state: &mut Map<String, Value>) -> Ended {
        let by = Instant::now() + Duration::from_secs(30);
        loop {
            let ended = ended(self.plugins().execute("portworx", self.task(state)).await, state);
            let is_being_defined =
                matches!(&ended, Ended::Fails { message, .. } if message.contains("(re)initializing"));
            if !is_being_defined || Instant::now() > by {
                return ended;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Turn after turn, until it is done or fails. Portworx is stopped on the node as soon as it is waited for.
    async fn run(&self, state: &mut Map<String, Value>) -> Ended {
        let mut is_stopped = false;
        for _ in 0..TURNS_MAX {
            match self.turn(state).await {
                Ended::Waits(_) => self.stop_if_waited_for(state, &mut is_stopped),
                ended => return ended,
            }
        }
        panic!("it does not end: {state:?}");
    }

    fn stop_if_waited_for(&self, state: &Map<String, Value>, is_stopped: &mut bool) {
        if stage(state) == "offline" && !std::mem::replace(is_stopped, true) {
            self.portworx.set_status(&self.id, Status::Offline);
        }
    }

    async fn labels_of_node(&self) -> BTreeMap<String, String> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = nodes.get(self.node.metadata.name.as_deref().unwrap()).await.unwrap();
        node.metadata.labels.unwrap_or_default()
    }

    async fn write_token(&self, token: &str) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "portworx" }, "stringData": { "token": token },
        });
        secrets.patch("portworx", &PatchParams::apply("test").force(), &Patch::Apply(&secret)).await.unwrap();
    }

    /// Everything happened, and each thing once.
    fn assert_all_happened_once(&self, why: &str) {
        let effects = [
            (Effect::AttachmentsDisabled, 1),
            (Effect::DrainBegun, 1),
            (Effect::VolumeDetached, 3),
            (Effect::RemovalBegun, 1),
            (Effect::Gone, 1),
        ];
        for (effect, wanted) in effects {
            assert_eq!(self.portworx.effects(effect), wanted, "{effect:?}, {why}");
        }
        assert!(!self.portworx.has(&self.id), "{why}");
        assert!(self.portworx.has("px-other"), "{why}");
    }

    fn assert_nothing_was_removed(&self) {
        assert_eq!(self.portworx.effects(Effect::RemovalBegun), 0);
        assert!(self.portworx.has(&self.id));
    }
}

fn stage(state: &Map<String, Value>) -> &str {
    state.get("stage").and_then(Value::as_str).unwrap_or_default()
}

fn ended(outcome: Outcome, state: &mut Map<String, Value>) -> Ended {
    let answer = match outcome {
        Outcome::Answered(answer) => answer,
        Outcome::Unreachable(why) => return Ended::Unreachable(why),
        Outcome::TimedOut => return Ended::TimedOut,
        Outcome::Garbage(fault) => panic!("{fault}"),
    };
    let (Executed::Done { state: given, .. }
    | Executed::Progress { state: given, .. }
    | Executed::Failed { state: given, .. }) = &answer;
    if let Some(given) = given {
        state.clone_from(given);
    }
    match answer {
        Executed::Done { message, .. } => Ended::Done(message),
        Executed::Progress { message, percent, .. } => {
            assert!(percent.is_some_and(|percent| percent < 100), "{message}");
            Ended::Waits(message)
        }
        Executed::Failed { retryable, reason, message, .. } => Ended::Fails { retryable, reason, message },
    }
}

#[track_caller]
fn assert_done(ended: &Ended) {
    assert!(matches!(ended, Ended::Done(_)), "{ended:?}");
}

#[track_caller]
fn assert_waits(ended: &Ended, for_what: &str) {
    assert!(matches!(ended, Ended::Waits(message) if message.contains(for_what)), "{ended:?}");
}

#[track_caller]
fn assert_fails(ended: &Ended, wanted: &str, is_retryable: bool) -> String {
    match ended {
        Ended::Fails { retryable, reason, message } => {
            assert_eq!((reason.as_str(), *retryable), (wanted, is_retryable), "{message}");
            message.clone()
        }
        other => panic!("{other:?}"),
    }
}

/// The kind that Portworx' operator brings, as far as we read it.
async fn bring_storage_nodes(client: &Client) -> Api<DynamicObject> {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "storagenodes.core.libopenstorage.org" },
        "spec": {
            "group": "core.libopenstorage.org", "scope": "Namespaced",
            "names": { "kind": "StorageNode", "plural": "storagenodes", "singular": "storagenode" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
            }],
        },
    });
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = "storagenodes.core.libopenstorage.org";
    definitions.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&definition)).await.unwrap();
    let kind = GroupVersionKind::gvk("core.libopenstorage.org", "v1", "StorageNode");
    let api: Api<DynamicObject> =
        Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&kind, "storagenodes"));
    let by = Instant::now() + Duration::from_secs(30);
    while api.list(&ListParams::default()).await.is_err() {
        assert!(Instant::now() < by, "StorageNode is not served");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    api
}

#[tokio::test]
async fn a_storage_node_leaves_from_end_to_end() {
    let ground = Ground::new("whole").await.unlabelled();
    bring_storage_nodes(&ground.client).await;
    let kind = GroupVersionKind::gvk("core.libopenstorage.org", "v1", "StorageNode");
    let kind = ApiResource::from_gvk_with_plural(&kind, "storagenodes");
    let objects: Api<DynamicObject> = Api::namespaced_with(ground.client.clone(), &ground.namespace, &kind);
    let object = json!({
        "apiVersion": "core.libopenstorage.org/v1", "kind": "StorageNode", "metadata": { "name": "whole" },
        "status": { "nodeUid": ground.id, "phase": "Online" },
    });
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    objects.create(&PostParams::default(), &object).await.unwrap();
    // Its name would lead to another one: the object's word counts.
    ground.portworx.join("px-wrong", "whole");

    let mut state = Map::new();
    let mut said: Vec<String> = Vec::new();
    while stage(&state) != "offline" {
        match ground.turn(&mut state).await {
            Ended::Waits(message) => said.push(message),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ground.portworx.attached(&ground.id), 0);
    assert!(said.iter().any(|message| message.contains("of 3 done")), "{said:?}");
    assert_waits(&ground.turn(&mut state).await, "that of `whole` is OK: stop Portworx there");
    ground.assert_nothing_was_removed();

    ground.portworx.set_status(&ground.id, Status::Maintenance);
    assert_done(&ground.run(&mut state).await);
    ground.assert_all_happened_once("the whole journey");
    assert_eq!(ground.labels_of_node().await.get("px/enabled").map(String::as_str), Some("remove"));
    assert!(ground.portworx.has("px-wrong"));

    let asked = ground.portworx.requests(Call::Inspect);
    assert_done(&ground.turn(&mut state).await);
    assert_eq!(ground.portworx.requests(Call::Inspect), asked, "what is finished asks nobody");
}

#[tokio::test]
async fn whatever_turn_is_lost_in_a_crash_everything_happens_once() {
    let mut lost = 0;
    loop {
        let ground = Ground::new(&format!("crash-{lost}")).await;
        let (mut state, mut is_stopped) = (Map::new(), false);
        for turn in 0.. {
            assert!(turn < TURNS_MAX, "it does not end: {state:?}");
            let before = state.clone();
            let ended = ground.turn(&mut state).await;
            if turn == lost {
                // The operator died before it had written down what the plugin said.
                state = before;
                continue;
            }
            match ended {
                Ended::Waits(_) => ground.stop_if_waited_for(&state, &mut is_stopped),
                Ended::Done(_) if turn < lost => return,
                Ended::Done(_) => break,
                other => panic!("{other:?}"),
            }
        }
        ground.assert_all_happened_once(&format!("turn {lost} was lost"));
        lost += 1;
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_on_the_way_repeats_nothing() {
    for (number, call) in [Call::Disable, Call::Drain, Call::Remove].into_iter().enumerate() {
        let ground = Ground::new(&format!("lost-{number}")).await;
        ground.portworx.once(call, Fault::Misbehaves(Misbehaviour::LoseAnswer));
        let mut state = Map::new();
        let ended = ground.run(&mut state).await;
        assert!(matches!(&ended, Ended::Unreachable(why) if !why.contains("/v1/")), "{call:?}: {ended:?}");
        assert_done(&ground.run_without_stopping(&mut state).await);
        ground.assert_all_happened_once(&format!("{call:?}"));
    }
}

impl Ground {
    /// As [`Ground::run`], but Portworx is stopped only if it is online.
    async fn run_without_stopping(&self, state: &mut Map<String, Value>) -> Ended {
        let mut is_stopped = self.portworx.effects(Effect::RemovalBegun) > 0;
        for _ in 0..TURNS_MAX {
            match self.turn(state).await {
                Ended::Waits(_) => self.stop_if_waited_for(state, &mut is_stopped),
                ended => return ended,
            }
        }
        panic!("it does not end: {state:?}");
    }
}

#[tokio::test]
async fn a_node_that_portworx_does_not_know_is_done_and_one_that_it_may_know_is_not() {
    let ground = Ground::new("unknown").await.unlabelled();
    ground.portworx.forget(&ground.id);
    let mut state = Map::new();
    ground.portworx.set_status("px-other", Status::Maintenance);
    assert_waits(&ground.turn(&mut state).await, "does not know all others itself");
    ground.portworx.set_status("px-other", Status::Ok);
    assert_done(&ground.turn(&mut state).await);
    assert_eq!(ground.portworx.requests(Call::Remove), 0);
    assert_eq!(ground.labels_of_node().await.get("px/enabled"), None);
}

#[tokio::test]
async fn a_node_is_found_by_its_name_if_there_is_no_object_and_two_of_one_name_are_a_question() {
    let ground = Ground::new("named").await.unlabelled();
    let mut state = Map::new();
    assert_done(&ground.run(&mut state).await);
    ground.assert_all_happened_once("found by its name");

    let ground = Ground::new("twice").await.unlabelled();
    ground.portworx.join("px-twin", "twice");
    let message = assert_fails(&ground.turn(&mut Map::new()).await, "AmbiguousNode", false);
    assert!(message.contains("px-twin") && message.contains("nodeIdLabel"), "{message}");
}

#[tokio::test]
async fn data_loss_is_refused_for_good_until_somebody_helps() {
    let ground = Ground::new("loss").await;
    ground.portworx.set_only_replicas(&ground.id, 2);
    let mut state = Map::new();
    let message = assert_fails(&ground.run(&mut state).await, "DataLoss", false);
    assert!(
        message.contains("ha-update") && message.contains("2 volumes have their only replica"),
        "{message}"
    );
    ground.assert_nothing_was_removed();

    ground.portworx.set_only_replicas(&ground.id, 0);
    assert_done(&ground.run_without_stopping(&mut state).await);
    ground.assert_all_happened_once("after the replicas had been raised");
}

#[tokio::test]
async fn a_member_that_refuses_is_asked_again_until_another_takes_the_removal() {
    let ground = Ground::new("refused").await;
    let mut state = Map::new();
    while stage(&state) != "offline" {
        ground.turn(&mut state).await;
    }
    ground.portworx.set_status(&ground.id, Status::Offline);
    // A member does not remove itself, unless it is in maintenance.
    ground.portworx.answer_as(&ground.id);
    assert_waits(&ground.turn(&mut state).await, "must be offline or in maintenance mode");
    assert_eq!(stage(&state), "offline");
    ground.assert_nothing_was_removed();
    ground.portworx.answer_as("px-other");
    assert_done(&ground.run_without_stopping(&mut state).await);
    ground.assert_all_happened_once("another member was asked");
}

#[tokio::test]
async fn a_drain_that_fails_is_begun_anew_and_one_that_somebody_cancels_is_not() {
    let ground = Ground::new("drains").await;
    let mut state = Map::new();
    ground.portworx.end_drains(DrainEnd::Failed);
    let message = assert_fails(&ground.run(&mut state).await, "DrainFailed", true);
    assert!(message.contains("a volume is in use"), "{message}");
    ground.portworx.end_drains(DrainEnd::Cancelled);
    let message = assert_fails(&ground.run(&mut state).await, "DrainCancelled", false);
    assert!(message.contains("retry-step"), "{message}");
    ground.portworx.end_drains(DrainEnd::Paused);
    for _ in 0..4 {
        ground.turn(&mut state).await;
    }
    assert_waits(&ground.turn(&mut state).await, "somebody paused the job");
    ground.portworx.end_drains(DrainEnd::Done);
    assert_done(&ground.run(&mut state).await);
    assert_eq!(ground.portworx.effects(Effect::DrainBegun), 3);
    assert_eq!(ground.portworx.effects(Effect::RemovalBegun), 1);
}

#[tokio::test]
async fn a_dead_machine_is_removed_without_waiting_for_volumes_that_nobody_can_detach() {
    let ground = Ground::new("dead").await;
    ground.portworx.set_status(&ground.id, Status::Offline);
    assert_done(&ground.run(&mut Map::new()).await);
    assert_eq!(ground.portworx.requests(Call::Drain), 0);
    assert_eq!(ground.portworx.effects(Effect::RemovalBegun), 1);
}

#[tokio::test]
async fn a_storageless_node_goes_the_same_way_also_if_portworx_forgets_it_first() {
    let ground = Ground::new("storageless").await;
    ground.portworx.set_storageless(&ground.id);
    assert_done(&ground.run(&mut Map::new()).await);
    ground.assert_all_happened_once("a node without drives");

    let ground = Ground::new("forgotten").await;
    let mut state = Map::new();
    while stage(&state) != "offline" {
        ground.turn(&mut state).await;
    }
    ground.portworx.forget(&ground.id);
    ground.portworx.speak_as_of_old();
    assert_done(&ground.turn(&mut state).await);
    assert_eq!(ground.portworx.requests(Call::Remove), 0);
    assert_eq!(ground.labels_of_node().await.get("px/enabled").map(String::as_str), Some("remove"));
}

#[tokio::test]
async fn garbage_is_never_taken_for_an_answer() {
    let page = || Fault::Says(200, "<html>Sign in</html>".to_owned());
    let says = |json: &str| Fault::Says(200, json.to_owned());
    let flood = Fault::Misbehaves(Misbehaviour::Flood(100 * 1024 * 1024));
    let rows = [
        ("page", Call::Inspect, page()),
        ("other", Call::Inspect, says(r#"{"node":{"id":"px-other","status":"STATUS_OFFLINE"}}"#)),
        ("flood", Call::Inspect, flood),
        ("disabled", Call::Disable, page()),
        ("nameless", Call::Drain, says("{}")),
        ("jobless", Call::Job, says("[]")),
        ("removed", Call::Remove, page()),
    ];
    for (name, call, fault) in rows {
        let ground = Ground::new(&format!("garbage-{name}")).await;
        ground.portworx.once(call, fault);
        let mut state = Map::new();
        assert_fails(&ground.run(&mut state).await, "BadAnswer", true);
        ground.assert_nothing_was_removed();
        assert_done(&ground.run_without_stopping(&mut state).await);
        ground.assert_all_happened_once(name);
    }
}

#[tokio::test]
async fn a_list_that_lacks_the_node_is_believed_only_from_a_member_that_knows_all() {
    let ground = Ground::new("census").await;
    let mut state = Map::new();
    ground.portworx.on(Call::Inspect, Fault::Says(404, r#"{"error":"no","code":5}"#.to_owned()));
    let lists = [
        r#"{"NodeId":"px-other","Nodes":[]}"#,
        r#"{"NodeId":"px-other","Nodes":null}"#,
        r#"{"NodeId":"px-other","Nodes":[{"Id":"px-other","Status":7}]}"#,
        r#"{"NodeId":"px-other","Nodes":[{"Id":"px-third","Status":2}]}"#,
    ];
    for list in lists {
        ground.portworx.once(Call::Enumerate, Fault::Says(200, list.to_owned()));
        assert_waits(&ground.turn(&mut state).await, "does not know all others itself");
    }
    ground.portworx.once(Call::Enumerate, Fault::Says(200, "{}".to_owned()));
    assert_fails(&ground.turn(&mut state).await, "BadAnswer", true);
    assert_eq!(ground.labels_of_node().await.get("px/enabled"), None);
    ground.portworx.mend();
    assert_done(&ground.run(&mut state).await);
    ground.assert_all_happened_once("in the end");
}

#[tokio::test]
async fn a_removal_that_was_only_claimed_is_asked_for_again() {
    let ground = Ground::new("liar").await;
    ground.portworx.once(Call::Remove, Fault::Lies);
    assert_done(&ground.run(&mut Map::new()).await);
    ground.assert_all_happened_once("the second request was honest");
    assert_eq!(ground.portworx.requests(Call::Remove), 2);
}

#[tokio::test]
async fn who_does_not_answer_or_late_holds_the_call_no_longer_than_its_deadline() {
    let ground = Ground::new("hang").await;
    ground.portworx.once(Call::Inspect, Fault::Misbehaves(Misbehaviour::Hang));
    let state = Map::new();
    let begun = Instant::now();
    let task = Task { deadline: Some(SystemClock.now() + Duration::from_secs(1)), ..ground.task(&state) };
    let outcome = ground.plugins().execute("portworx", task).await;
    assert!(matches!(outcome, Outcome::TimedOut), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());

    ground.portworx.once(Call::Inspect, Fault::Misbehaves(Misbehaviour::Late(Duration::from_millis(100))));
    assert_done(&ground.run(&mut Map::new()).await);
    ground.assert_all_happened_once("after a call that hung");
}

#[tokio::test]
async fn a_refusal_of_the_server_is_tried_again_and_a_connection_that_breaks_too() {
    let ground = Ground::new("broken").await;
    let mut state = Map::new();
    ground.portworx.once(Call::Inspect, Fault::Says(503, String::new()));
    let message = assert_fails(&ground.turn(&mut state).await, "PortworxError", true);
    assert!(message.contains("503"), "{message}");
    ground.portworx.once(Call::Inspect, Fault::Misbehaves(Misbehaviour::LoseAnswer));
    let ended = ground.turn(&mut state).await;
    assert!(matches!(ended, Ended::Unreachable(_)), "{ended:?}");
    ground.portworx.once(Call::Remove, Fault::Says(500, String::new()));
    assert_fails(&ground.run(&mut state).await, "PortworxError", true);
    ground.assert_nothing_was_removed();
    assert_done(&ground.run_without_stopping(&mut state).await);
    ground.assert_all_happened_once("in the end");
}

#[tokio::test]
async fn a_gateway_without_the_calls_is_told_from_one_without_the_node() {
    let ground = Ground::new("old-gateway").await;
    ground.portworx.on(Call::Disable, Fault::Says(404, String::new()));
    let message = assert_fails(&ground.run(&mut Map::new()).await, "NotSupported", false);
    assert!(message.contains("drainAttachments"), "{message}");
    let ground = ground.with("drainAttachments", json!(false));
    assert_done(&ground.run(&mut Map::new()).await);
    assert_eq!(ground.portworx.requests(Call::Drain), 0);
    assert_eq!(ground.portworx.effects(Effect::RemovalBegun), 1);

    let ground = Ground::new("old-jobs").await;
    ground.portworx.on(Call::Jobs, Fault::Says(501, String::new()));
    assert_done(&ground.run(&mut Map::new()).await);
    ground.assert_all_happened_once("without a list of jobs");
}

#[tokio::test]
async fn the_token_goes_along_is_read_anew_when_refused_and_is_never_said() {
    let token = json!({ "name": "portworx", "key": "token" });
    let ground = Ground::new("token").await.with("tokenFrom", token);
    ground.portworx.demand_token("second-secret");
    ground.write_token("first-secret").await;
    let (plugins, mut state) = (ground.plugins(), Map::new());
    let refused = ended(plugins.execute("portworx", ground.task(&state)).await, &mut state);
    let message = assert_fails(&refused, "Denied", true);
    assert!(message.contains("settings.tokenFrom") && !message.contains("secret"), "{message}");

    ground.write_token("second-secret").await;
    let waits = ended(plugins.execute("portworx", ground.task(&state)).await, &mut state);
    assert!(matches!(waits, Ended::Waits(_)), "{waits:?}");
    assert!(!serde_json::to_string(&state).unwrap().contains("secret"), "{state:?}");
    assert_done(&ground.run(&mut state).await);
    ground.assert_all_happened_once("with the right token");

    ground.portworx.once(Call::Inspect, Fault::Misbehaves(Misbehaviour::Repeat(500)));
    let message = assert_fails(&ground.turn(&mut Map::new()).await, "PortworxError", true);
    assert!(!message.contains("second-secret"), "{message}");
}

#[tokio::test]
async fn another_node_of_the_name_is_not_labelled() {
    let mut ground = Ground::new("reborn").await;
    ground.node.metadata.uid = Some("00000000-0000-4000-8000-000000000000".to_owned());
    let ended = ground.run(&mut Map::new()).await;
    assert!(matches!(&ended, Ended::Done(message) if !message.contains("label")), "{ended:?}");
    assert_eq!(ground.labels_of_node().await.get("px/enabled"), None);
}

#[tokio::test]
async fn it_describes_itself_checks_and_plans_without_changing_anything() {
    let ground = Ground::new("words").await;
    let plugins = ground.plugins();
    let described = plugins.describe("portworx").await.unwrap();
    assert_eq!(described.name, "portworx");
    let schema = Value::Object(described.settings_schema.unwrap());
    for (name, setting) in schema["properties"].as_object().unwrap() {
        assert!(setting["description"].is_string(), "{name}: {setting}");
    }
    assert!(plugins.check("portworx", &ground.settings).await.unwrap().healthy);
    ground.portworx.once(Call::Versions, Fault::Says(404, String::new()));
    let checked = plugins.check("portworx", &ground.settings).await.unwrap();
    assert!(!checked.healthy && checked.message.contains("settings.managementUrl"), "{checked:?}");

    let planned = plugins.plan("portworx", &ground.task(&Map::new())).await.unwrap();
    assert_eq!(planned.steps.len(), 7, "{planned:?}");
    assert!(planned.steps[0].contains(&ground.id), "{planned:?}");
    for effect in [Effect::AttachmentsDisabled, Effect::DrainBegun, Effect::RemovalBegun] {
        assert_eq!(ground.portworx.effects(effect), 0);
    }
    assert_eq!(ground.portworx.requests(Call::Inspect), 0);
}
