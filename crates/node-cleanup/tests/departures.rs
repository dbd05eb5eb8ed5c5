//! Departures from their first moment to their last, in a world that does what it is told.
//!
//! The record is read back after each write, as from the API server, and every act is done only after its write.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_pass_by_value, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use api::node_cleanup::{CleanupPhase, NodeCleanupSpec, NodeCleanupStatus, StepState};
use jiff::{SignedDuration, Timestamp};
use node_cleanup::contract::Executed;
use node_cleanup::departure::{Act, Decision, Departure, decide};
use node_cleanup::drain::{Rules, Scene, Tries};
use node_cleanup::steps::{Asked, Health, Moment, Outcome, Pace, PluginFacts, PluginState, settle};
use node_cleanup::{Policy, Turn};
use proptest::prelude::*;
use serde_json::{Value, json};
use views::{Node, Pod, VolumeAttachment};

/// How many turns a departure may take before it counts as stuck.
const TURNS_MAX: usize = 200;

struct World {
    policy: Policy,
    spec: NodeCleanupSpec,
    status: NodeCleanupStatus,
    node: Option<Value>,
    /// By name; a pod that was asked to leave is gone at the next turn.
    pods: BTreeMap<String, Value>,
    volumes: Vec<Value>,
    turn: Turn,
    pace: Pace,
    now: Timestamp,
    /// What was done, in order.
    log: Vec<String>,
    /// How often each plugin's step was asked, and what it answers.
    asked: BTreeMap<String, u32>,
    answers: fn(&Asked, u32) -> Executed,
}

fn done(_: &Asked, _: u32) -> Executed {
    Executed::Done { message: "done".to_owned(), state: None }
}

fn never(_: &Asked, _: u32) -> Executed {
    let (reason, message) = ("Refused".to_owned(), "never".to_owned());
    Executed::Failed { retryable: false, reason, message, state: None }
}

fn at_the_third(_: &Asked, times: u32) -> Executed {
    if times >= 3 {
        return Executed::Done { message: "at last".to_owned(), state: None };
    }
    let (reason, message) = ("Busy".to_owned(), "not yet".to_owned());
    Executed::Failed { retryable: true, reason, message, state: None }
}

impl World {
    fn with(spec: Value) -> Self {
        let manifest = json!({"metadata": {"name": "all"}, "spec": spec});
        let policy: api::NodeCleanupPolicy = serde_json::from_value(manifest).unwrap();
        let policy = Policy::compile(&policy, &|_| Some(PluginFacts::default())).unwrap();
        let spec: NodeCleanupSpec =
            serde_json::from_value(json!({"nodeName": "a", "nodeUid": "u", "policy": "all"})).unwrap();
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let node = json!({"metadata": {"name": "a", "uid": "u", "deletionTimestamp": now.to_string(),
            "finalizers": ["groundskeeper.dev/node-cleanup"]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        Self {
            policy,
            spec,
            status: NodeCleanupStatus::default(),
            node: Some(node),
            pods: BTreeMap::new(),
            volumes: Vec::new(),
            turn: Turn::Begins,
            pace: Pace::Going,
            now,
            log: Vec::new(),
            asked: BTreeMap::new(),
            answers: done,
        }
    }

    fn pod(mut self, name: &str) -> Self {
        let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": true});
        let pod = json!({"metadata": {"name": name, "namespace": "team", "uid": format!("uid-{name}"),
            "ownerReferences": [owner]}, "spec": {"nodeName": "a"}, "status": {"phase": "Running"}});
        self.pods.insert(name.to_owned(), pod);
        self
    }

    fn volume(mut self) -> Self {
        self.volumes.push(json!({"metadata": {"name": "va"},
            "spec": {"nodeName": "a", "attacher": "csi", "source": {"persistentVolumeName": "pv"}},
            "status": {"attached": true}}));
        self
    }

    fn decision(&self) -> Decision {
        let read = |value: &Value| serde_json::from_value::<Node>(value.clone()).unwrap();
        let node = self.node.as_ref().map(read);
        let pods: Vec<Pod> =
            self.pods.values().map(|pod| serde_json::from_value(pod.clone()).unwrap()).collect();
        let volumes: Vec<VolumeAttachment> =
            self.volumes.iter().map(|volume| serde_json::from_value(volume.clone()).unwrap()).collect();
        let scene = node.as_ref().map(|node| Scene {
            pods: pods.iter().collect(),
            attachments: volumes.iter().collect(),
            ..Scene::of(node)
        });
        let healthy = PluginState { health: Health::Healthy, free: 10, rests_until: None };
        let plugins =
            self.policy.steps.plugins().into_iter().map(|plugin| (plugin.into(), healthy.clone())).collect();
        let fields: units::Value = serde_json::from_value(json!({})).unwrap();
        let departure = Departure {
            run: "u",
            spec: &self.spec,
            status: &self.status,
            steps: &self.policy.steps,
            drain: &self.policy.drain,
            deadlines: self.policy.deadlines,
            scene,
            fields: &fields,
            rules: &Rules::default(),
            tries: &Tries::default(),
            turn: &self.turn,
            pace: self.pace,
            plugins: &plugins,
            in_flight: &BTreeSet::new(),
        };
        decide(&departure, self.moment())
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now, seed: 7 }
    }

    fn write(&mut self, status: &NodeCleanupStatus) {
        self.status = serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap();
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Close => {
                self.log.push("close".to_owned());
                let node = self.node.as_mut().unwrap();
                node["metadata"]["labels"] =
                    json!({"node.kubernetes.io/exclude-from-external-load-balancers": "true"});
                node["spec"] = json!({"unschedulable": true, "taints": [{"key": "groundskeeper.dev/leaving", "effect": "NoSchedule"}]});
            }
            Act::Ask(eviction) => {
                self.log.push(format!("evict {}", eviction.name));
                self.pods.remove(&*eviction.name);
            }
            Act::Call(asked) => self.call(asked),
            Act::Release => {
                self.log.push("release".to_owned());
                self.node = None;
            }
        }
    }

    fn call(&mut self, asked: &Asked) {
        let times = self.asked.entry(asked.step.to_string()).or_default();
        *times += 1;
        let answer = (self.answers)(asked, *times);
        self.log.push(format!("call {}", asked.step));
        let step = self.policy.steps.step(&asked.step).unwrap();
        let status = self.status.steps.iter().find(|status| *status.name == *asked.step).unwrap();
        let settled = settle(step, status, asked.attempt, &Outcome::Answered(answer), self.moment());
        let mut status = self.status.clone();
        *status.steps.iter_mut().find(|status| *status.name == *asked.step).unwrap() = settled;
        self.write(&status);
    }

    /// One turn: what was decided is written, then done.
    fn turn(&mut self) {
        let decision = self.decision();
        self.write(&decision.status);
        decision.acts.iter().for_each(|act| self.act(act));
        self.pass(1);
    }

    fn pass(&mut self, seconds: i64) {
        self.now = self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    /// Goes on until it is over, or nothing has changed for long.
    fn play(&mut self) -> CleanupPhase {
        for _ in 0..TURNS_MAX {
            self.turn();
            if self.status.completion_time.is_some() {
                break;
            }
        }
        self.status.phase
    }

    fn state(&self, step: &str) -> StepState {
        self.status.steps.iter().find(|status| status.name == step).unwrap().state
    }
}

fn two_steps() -> Value {
    json!({"steps": [{"name": "forget", "plugin": "cmdb"}, {"name": "tell", "plugin": "slack", "dependsOn": ["forget"], "critical": false}]})
}

#[test]
fn a_node_that_nobody_has_deleted_is_left_alone_whatever_a_record_says() {
    let mut world = World::with(json!({})).pod("web");
    world.node.as_mut().unwrap()["metadata"]["deletionTimestamp"] = Value::Null;
    let decision = world.decision();
    assert_eq!(decision.acts, []);
    assert_eq!(decision.status.blockers[0].reason, "NodeNotDeleted");
}

#[test]
fn a_node_is_closed_then_emptied_then_forgotten_then_let_go() {
    let mut world = World::with(two_steps()).pod("web");
    assert_eq!(world.play(), CleanupPhase::Completed);
    assert_eq!(world.log, ["close", "evict web", "call forget", "call tell", "release"]);
    assert_eq!((world.status.pods_total, world.status.pods_left), (1, 0));
    assert!(world.status.blockers.is_empty() && world.status.current.is_none());
}

#[test]
fn nothing_leaves_before_the_node_has_settled() {
    let mut world = World::with(json!({})).pod("web");
    let began = world.now;
    while !world.log.contains(&"evict web".to_owned()) {
        world.turn();
    }
    let cordoned = world.status.cordon_time.as_ref().unwrap().0;
    assert!(cordoned > began);
    assert!(world.now.duration_since(cordoned) >= SignedDuration::from_secs(5), "{:?}", world.log);
}

/// A record keeps whole seconds.
#[test]
fn a_node_that_is_cordoned_late_in_a_second_settles_as_long_as_any_other() {
    let mut world = World::with(json!({})).pod("web");
    let after = |moment: Timestamp, millis| moment.checked_add(SignedDuration::from_millis(millis)).unwrap();
    world.now = after(world.now, 900);
    world.turn();
    let seen_closed = world.now;
    world.turn();
    world.now = after(seen_closed, 4_900);
    world.turn();
    assert_eq!(world.log, ["close"]);
    world.now = after(seen_closed, 5_100);
    world.turn();
    assert_eq!(world.log, ["close", "evict web"]);
}

#[test]
fn a_volume_that_stays_attached_holds_the_steps_and_the_node() {
    let mut world = World::with(two_steps()).pod("web").volume();
    assert_eq!(world.play(), CleanupPhase::Detaching);
    assert_eq!((world.status.volumes_left, world.log.last().unwrap().as_str()), (1, "evict web"));
    assert_eq!(world.status.blockers[0].reason, "VolumeAttached");
    world.volumes.clear();
    assert_eq!(world.play(), CleanupPhase::Completed);
}

#[test]
fn who_waits_for_its_turn_is_closed_and_no_more() {
    let mut world = World::with(two_steps()).pod("web");
    world.turn = Turn::Storm { affected: 4, nodes: 10, limit: 3 };
    assert_eq!(world.play(), CleanupPhase::Waiting);
    assert_eq!(world.log, ["close"]);
    assert_eq!(world.status.blockers[0].reason, "StormBrake");
    let quiet = world.decision();
    assert_eq!(quiet.status, world.status, "nothing is written while nothing changes");
    world.turn = Turn::Begins;
    assert_eq!(world.play(), CleanupPhase::Completed);
}

#[test]
fn a_critical_step_that_failed_holds_the_node_until_somebody_helps() {
    let mut world = World::with(two_steps());
    world.answers = never;
    assert_eq!(world.play(), CleanupPhase::CleaningUp);
    assert_eq!(world.state("forget"), StepState::Failed);
    assert!(world.status.blockers.iter().any(|blocker| blocker.reason == "StepFailed"));
    let skip = json!([{"step": "forget", "by": "ann", "at": "2026-11-21T13:00:00Z"}]);
    world.spec.overrides.skip = serde_json::from_value(skip).unwrap();
    assert_eq!(world.play(), CleanupPhase::Completed, "what is not critical may fail");
    assert_eq!((world.state("forget"), world.state("tell")), (StepState::Skipped, StepState::Failed));
}

#[test]
fn what_failed_for_now_is_tried_again() {
    let mut world = World::with(
        json!({"steps": [{"name": "forget", "plugin": "cmdb", "retry": {"initialDelay": "1s"}}]}),
    );
    world.answers = at_the_third;
    assert_eq!(world.play(), CleanupPhase::Completed);
    assert_eq!(world.asked["forget"], 3);
}

#[test]
fn the_annotation_and_the_release_let_a_node_go_at_once() {
    let mut by_annotation = World::with(two_steps()).pod("web").volume();
    by_annotation.node.as_mut().unwrap()["metadata"]["annotations"] =
        json!({"groundskeeper.dev/skip-cleanup": "true"});
    let mut by_release = World::with(two_steps()).pod("web").volume();
    by_release.spec.overrides.release =
        serde_json::from_value(json!({"by": "ann", "at": "2026-11-21T12:00:00Z"})).unwrap();
    for mut world in [by_annotation, by_release] {
        assert_eq!(world.play(), CleanupPhase::Released);
        assert_eq!(world.log.last().unwrap(), "release");
        assert!(
            !world.log.iter().any(|act| act.starts_with("evict") || act.starts_with("call")),
            "{:?}",
            world.log
        );
    }
}

#[test]
fn a_paused_policy_and_a_dry_run_touch_nothing() {
    let mut world = World::with(two_steps()).pod("web");
    world.pace = Pace::Stopped;
    world.play();
    assert_eq!(world.log, Vec::<String>::new());
    world.pace = Pace::Going;
    assert_eq!(world.play(), CleanupPhase::Completed);
}

#[test]
fn a_node_that_is_gone_before_its_time_is_lost_and_said_so() {
    let mut world = World::with(two_steps()).pod("web");
    (0..3).for_each(|_| world.turn());
    world.node = None;
    assert_eq!(world.play(), CleanupPhase::Lost);
    let log = world.log.len();
    (0..5).for_each(|_| world.turn());
    assert_eq!((world.status.phase, world.log.len()), (CleanupPhase::Lost, log), "it never changes again");
}

#[test]
fn a_drain_that_takes_longer_than_was_said_for_it_is_late_and_goes_on() {
    let mut world = World::with(json!({"drain": {"timeoutSeconds": 60}})).pod("kept");
    world.pods.get_mut("kept").unwrap()["metadata"]["annotations"] =
        json!({"groundskeeper.dev/protect": "true"});
    let is_late = |world: &World| world.status.blockers.iter().any(|one| one.reason == "DeadlinePassed");
    world.turn();
    world.turn();
    let wake = world.decision().wake_at.unwrap();
    assert!(!is_late(&world) && wake.duration_since(world.now).as_secs() <= 60, "{wake}");
    world.pass(60);
    world.turn();
    assert!(is_late(&world), "{:?}", world.status.blockers);
    world.pods.get_mut("kept").unwrap()["metadata"]["annotations"] = Value::Null;
    assert_eq!(world.play(), CleanupPhase::Completed);
}

#[test]
fn what_the_drain_costs_is_said_before_it_and_stays_said() {
    let mut world = World::with(json!({})).pod("scratch");
    world.pods.get_mut("scratch").unwrap()["spec"]["volumes"] = json!([{"name": "a", "emptyDir": {}}]);
    let reasons =
        |world: &World| -> Vec<_> { world.status.risks.iter().map(|risk| risk.reason.clone()).collect() };
    world.turn();
    world.turn();
    assert_eq!(reasons(&world), ["LocalStorage"], "{:?}", world.status);
    assert!(world.status.blockers.is_empty(), "it keeps nothing: {:?}", world.status.blockers);
    assert_eq!(world.play(), CleanupPhase::Completed);
    assert_eq!(reasons(&world), ["LocalStorage"]);
}

#[test]
fn a_deadline_that_has_passed_is_said_and_can_be_extended() {
    let mut world = World::with(json!({"deadlines": {"total": "10s"}})).volume();
    world.play();
    let reasons =
        |world: &World| world.status.blockers.iter().map(|known| known.reason.clone()).collect::<Vec<_>>();
    assert!(reasons(&world).contains(&"DeadlinePassed".to_owned()), "{:?}", world.status.blockers);
    world.spec.overrides.extend = serde_json::from_value(
        json!({"until": "2026-11-22T12:00:00Z", "by": "ann", "at": "2026-11-21T12:00:00Z"}),
    )
    .unwrap();
    world.turn();
    assert!(!reasons(&world).contains(&"DeadlinePassed".to_owned()));
}

proptest! {
    /// A crash after a write loses its acts, and one before it loses the decision; the next one goes on from the record.
    #[test]
    fn a_crash_at_any_moment_changes_nothing_about_the_end(crashes in prop::collection::vec(0u8..4, 0..40)) {
        let mut world = World::with(two_steps()).pod("web-0").pod("web-1");
        for crash in crashes {
            let decision = world.decision();
            match crash {
                0 => {}
                1 => world.write(&decision.status),
                2 => {
                    world.write(&decision.status);
                    if let Some(act) = decision.acts.first() {
                        world.act(act);
                    }
                }
                _ => world.turn(),
            }
            world.pass(1);
        }
        prop_assert_eq!(world.play(), CleanupPhase::Completed);
        let done = world.status.steps.iter().filter(|step| step.state == StepState::Done).count();
        prop_assert_eq!(done, 4);
        prop_assert_eq!(world.log.iter().filter(|act| *act == "release").count(), 1);
        let place = |act: &str| world.log.iter().position(|done| done == act).unwrap();
        prop_assert!(place("close") < place("evict web-0"));
        prop_assert!(place("evict web-0").max(place("evict web-1")) < place("call forget"));
        prop_assert!(place("call forget") < place("call tell") && place("call tell") < place("release"));
        prop_assert_eq!(world.asked["forget"], 1, "a step that is done is not asked for again");
    }
}
