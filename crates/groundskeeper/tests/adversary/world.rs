//! The world: people who write policies and objects, and change and replace them at the worst moment, while the operator
//! works and faults and ends befall it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use control::Mutant;
use kube::Client;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};
use testbed::{ControlPlane, Turn};

use crate::crew::{Crew, Disaster};
use crate::ground::{self, CLUSTER_POLICY, NAMESPACE, POLICY, kind_of};
use crate::history::Recorder;
use crate::judge::{self, Judge};
use crate::oracle::{self, No, ObjectKey, PolicyKey, Scene};
use crate::random::Random;
use crate::specs::{self, NAMES, OWNERS, text};
use crate::support::drafts::{Draft, policy};
use crate::support::now;
use crate::support::team::condition;
use crate::terms::{KINDS, SPACES, api_version};

/// How long a step takes at most, in milliseconds, besides what is done in it.
const STEP_MAX: i64 = 60;

/// How often deletions are judged while the world goes on.
const STEPS_OF_A_SITTING: u64 = 20;

/// How long what may go may stay once nothing happens any more: the longest pause after failures, and a take-over.
const LEFT_FOR_AT_MOST: Duration = Duration::from_secs(15);

/// How long it has to be so that nothing is left: what falls due only now is not late.
const LATE_AFTER: i64 = 1_500;

pub(crate) struct World {
    cluster: &'static ControlPlane,
    client: Client,
    random: Random,
    recorder: Recorder,
    crew: Crew,
    judge: Judge,
    owners: BTreeMap<(String, String), String>,
    /// UIDs of the objects that people have removed, or tried to.
    by_people: BTreeSet<String>,
    /// What is to befall the operator, and after which step.
    disasters: Vec<(u64, Disaster)>,
    start: i64,
    steps: u64,
    done: u64,
    pub(crate) tally: Tally,
    _turn: Turn,
}

/// What has come to pass.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) deleted: usize,
    pub(crate) refused: usize,
    pub(crate) at_the_last_moment: u32,
    pub(crate) faults: u32,
    pub(crate) disasters: Vec<Disaster>,
}

impl World {
    pub(crate) async fn new(seed: u64, steps: u64, mutant: Option<Mutant>) -> Self {
        let (turn, cluster) = ground::turn().await;
        let client = cluster.admin().client().unwrap();
        let mut random = Random::new(seed);
        let recorder = Recorder::start(&client).await;
        let judge = Judge::new(cluster);
        let owners = ground::make_owners(&client).await.into_iter().collect();
        let crew = Crew::start(cluster, mutant).await;
        let first = random.below(Disaster::ALL.len());
        let disaster = |number: u64| {
            let choice = first + usize::try_from(number).unwrap() * 2;
            (steps * (2 * number + 1) / 5, Disaster::ALL[choice % Disaster::ALL.len()])
        };
        // A mutant is to be caught by what it does in peace.
        let disasters = if mutant.is_some() { Vec::new() } else { (0..2).map(disaster).collect() };
        let start = now().as_millisecond();
        let (by_people, tally) = (BTreeSet::new(), Tally::default());
        let mut world = Self {
            cluster,
            client,
            random,
            recorder,
            crew,
            judge,
            owners,
            by_people,
            disasters,
            start,
            steps,
            done: 0,
            tally,
            _turn: turn,
        };
        world.write_standing_policies().await;
        for _ in 0..3 {
            world.write_policy().await;
        }
        for _ in 0..30 {
            world.create().await;
        }
        world
    }

    /// Lets it all happen; says which deletion was wrong.
    pub(crate) async fn run(&mut self) -> Result<(), String> {
        while self.done < self.steps {
            self.done += 1;
            self.step().await;
            if self.done.is_multiple_of(STEPS_OF_A_SITTING) {
                self.sit()?;
            }
        }
        Ok(())
    }

    fn sit(&mut self) -> Result<(), String> {
        let history = self.recorder.history.borrow();
        self.judge.sit(&history, &self.crew.names)?;
        (self.tally.deleted, self.tally.refused) = (self.judge.deleted(), self.judge.refused());
        self.tally.faults = self.crew.faults;
        Ok(())
    }

    async fn step(&mut self) {
        self.crew.go_on(Instant::now()).await;
        self.meet().await;
        match self.random.below(100) {
            0..=39 => self.create().await,
            40..=47 => {
                if let Some(key) = self.any() {
                    self.meddle(&key).await;
                }
            }
            48 | 49 => self.write_policy().await,
            50 | 51 => self.approve().await,
            52 => self.relabel().await,
            53 if self.random.percent(30) => self.remove_owner().await,
            54..=57 => self.let_go().await,
            58..=65 => self.crew.disturb(&mut self.random, Instant::now()),
            66..=95 => self.crew.arm(self.next_stop_is_before()),
            _ => {}
        }
        let pause = self.random.between(0, STEP_MAX).unsigned_abs();
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    fn next_disaster(&self) -> Option<Disaster> {
        self.disasters.first().filter(|(after, _)| *after <= self.done).map(|(_, disaster)| *disaster)
    }

    fn next_stop_is_before(&self) -> bool {
        self.next_disaster() != Some(Disaster::KilledAfter)
    }

    /// While a deletion is on its way something happens to its object, or to whoever has sent it.
    async fn meet(&mut self) {
        let Some((number, held)) = self.crew.stopped().await else { return };
        let call = held.call();
        let kind = kind_of(call.resource());
        let key = kind.map(|kind| (kind, call.namespace().to_owned(), call.name().to_owned()));
        if let Some(disaster) = self.next_disaster() {
            self.disasters.remove(0);
            self.tally.disasters.push(disaster);
            self.crew.disarm();
            return self.crew.suffer(disaster, (number, held), Instant::now());
        }
        if let Some(key) = key {
            self.tally.at_the_last_moment += 1;
            match self.random.below(10) {
                0 => self.mark(&key, "annotations", "groundskeeper.dev/protect").await,
                1 | 2 => self.mark(&key, "labels", "tier").await,
                3..=5 => self.replace(&key).await,
                _ => self.edit(&key).await,
            }
        }
        held.release();
    }

    // What people do to objects.

    /// An object as it is, unless it is not one of the people's.
    fn object(&self, key: &ObjectKey) -> Option<Value> {
        if !NAMES.contains(&key.2.as_str()) {
            return None;
        }
        self.recorder.history.borrow().at(key, u64::MAX).cloned()
    }

    fn any(&mut self) -> Option<ObjectKey> {
        let history = self.recorder.history.borrow();
        let all = KINDS.into_iter().flat_map(|kind| history.all(kind));
        let keys: Vec<_> =
            all.map(|(key, _)| key.clone()).filter(|key| NAMES.contains(&key.2.as_str())).collect();
        (!keys.is_empty()).then(|| self.random.of(&keys).clone())
    }

    async fn create(&mut self) {
        let kind = if self.random.percent(75) { KINDS[0] } else { *self.random.of(&KINDS[1..]) };
        let space = if self.random.percent(70) { SPACES[0] } else { *self.random.of(&SPACES) };
        let key = (kind, space.to_owned(), (*self.random.of(&NAMES)).to_owned());
        if self.object(&key).is_none() {
            self.create_at(&key).await;
        } else if self.random.percent(25) {
            self.replace(&key).await;
        }
    }

    async fn create_at(&mut self, key: &ObjectKey) {
        let mut object = specs::object(&mut self.random, now().as_millisecond());
        if self.random.percent(5) {
            object["metadata"]["finalizers"] = json!(["example.com/wait"]);
        }
        let object = self.fitted(key, object);
        // What the server does not take is not there.
        drop(ground::api(&self.client, key.0, &key.1).create(&PostParams::default(), &object).await);
    }

    /// In the form that the server knows: of its kind, and with owners that are or have been there.
    fn fitted(&self, key: &ObjectKey, mut object: Value) -> DynamicObject {
        let (kind, space, name) = key;
        (object["apiVersion"], object["kind"]) = (json!(api_version(kind)), json!(kind));
        (object["metadata"]["namespace"], object["metadata"]["name"]) = (json!(space), json!(name));
        if *kind != "Leaf" {
            object.as_object_mut().unwrap().remove("status");
        }
        if *kind == "Secret" {
            object.as_object_mut().unwrap().remove("data");
        }
        if *kind == "ConfigMap" && object["data"]["ttl"].is_number() {
            object["data"]["ttl"] = json!(object["data"]["ttl"].to_string());
        }
        if object["data"].is_null() {
            object.as_object_mut().unwrap().remove("data");
        }
        let owners = object["metadata"]["ownerReferences"].as_array_mut();
        for owner in owners.into_iter().flatten() {
            let of_this_name = (space.clone(), owner["name"].as_str().unwrap().to_owned());
            owner["uid"] = json!(self.owners[&of_this_name]);
        }
        serde_json::from_value(object).unwrap()
    }

    async fn meddle(&mut self, key: &ObjectKey) {
        match self.random.below(10) {
            0 => self.remove(key).await,
            1 => self.replace(key).await,
            _ => self.edit(key).await,
        }
    }

    async fn edit(&mut self, key: &ObjectKey) {
        let Some(mut object) = self.object(key) else { return };
        specs::edit(&mut self.random, &mut object, now().as_millisecond());
        self.put(key, object).await;
    }

    /// Writes something on an object by which the standing policies leave it alone.
    async fn mark(&mut self, key: &ObjectKey, place: &str, mark: &str) {
        let Some(mut object) = self.object(key) else { return };
        object["metadata"][place][mark] = json!("x");
        self.put(key, object).await;
    }

    async fn put(&mut self, key: &ObjectKey, object: Value) {
        let object = self.fitted(key, object);
        drop(ground::api(&self.client, key.0, &key.1).replace(&key.2, &PostParams::default(), &object).await);
    }

    async fn remove(&mut self, key: &ObjectKey) {
        let Some(object) = self.object(key) else { return };
        let uid = object["metadata"]["uid"].as_str().unwrap().to_owned();
        self.by_people.insert(uid.clone());
        let preconditions = Preconditions { uid: Some(uid), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        drop(ground::api(&self.client, key.0, &key.1).delete(&key.2, &params).await);
    }

    /// It goes, and another one takes its name.
    async fn replace(&mut self, key: &ObjectKey) {
        self.remove(key).await;
        self.create_at(key).await;
    }

    /// Takes the finalizers off an object that waits for it.
    async fn let_go(&mut self) {
        let waiting = {
            let history = self.recorder.history.borrow();
            let all = KINDS.into_iter().flat_map(|kind| history.all(kind));
            let mut waiting = all.filter(|(_, object)| !object["metadata"]["deletionTimestamp"].is_null());
            waiting.next().map(|(key, _)| key.clone())
        };
        let Some(key) = waiting else { return };
        let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        drop(ground::api(&self.client, key.0, &key.1).patch(&key.2, &PatchParams::default(), &free).await);
    }

    async fn remove_owner(&mut self) {
        let (space, name) = (*self.random.of(&SPACES[..2]), *self.random.of(&OWNERS));
        let owners = ground::api(&self.client, ground::owners_kind(name), space);
        drop(owners.delete(name, &DeleteParams::default()).await);
    }

    async fn relabel(&mut self) {
        let space = *self.random.of(&SPACES);
        let label = if self.random.percent(50) { json!("yes") } else { Value::Null };
        let patch = Patch::Merge(json!({"metadata": {"labels": {"tidy": label}}}));
        let spaces = ground::everywhere(&self.client, NAMESPACE);
        drop(spaces.patch(space, &PatchParams::default(), &patch).await);
    }

    // What people do to policies.

    fn policies(&self) -> Vec<(ObjectKey, Value)> {
        let history = self.recorder.history.borrow();
        let all = history.all(POLICY).chain(history.all(CLUSTER_POLICY));
        all.map(|(key, policy)| (key.clone(), policy.clone())).collect()
    }

    /// Two plain policies that nobody changes, so that there is always something to go.
    async fn write_standing_policies(&self) {
        let unmarked = json!([{"key": "tier", "operator": "DoesNotExist"}]);
        let team = policy("standing").requiring(unmarked.clone()).after(2).at_rate(50);
        let namespaces = json!({"names": ["team", "o*"]});
        let limits = json!({"count": 30, "window": "1m"});
        let target = |kind: &str| {
            let labels = json!({"matchExpressions": unmarked});
            json!({"apiVersion": api_version(kind), "kind": kind, "labelSelector": labels})
        };
        let mut everywhere = policy("standing").with("/kind", CLUSTER_POLICY);
        everywhere.0["spec"].as_object_mut().unwrap().remove("targetResource");
        let everywhere = everywhere
            .with("/spec/targetResources", json!([target("Leaf"), target("Secret")]))
            .with("/spec/namespaces", namespaces)
            .with("/spec/ttl/secondsAfterCreation", 1)
            .with("/spec/keep", json!({"newest": 1, "groupBy": {"label": "app"}}))
            .with("/spec/budget", limits);
        for (kind, space, Draft(policy)) in [(POLICY, SPACES[0], team), (CLUSTER_POLICY, "", everywhere)] {
            let policy: DynamicObject = serde_json::from_value(policy).unwrap();
            let api = ground::api(&self.client, kind, space);
            api.create(&PostParams::default(), &policy).await.unwrap();
        }
    }

    async fn write_policy(&mut self) {
        let is_namespaced = self.random.percent(60);
        let space = match (is_namespaced, self.random.percent(25)) {
            (true, true) => *self.random.of(&SPACES),
            (true, false) => SPACES[0],
            (false, _) => "",
        };
        let kind = if is_namespaced { POLICY } else { CLUSTER_POLICY };
        let key = (kind, space.to_owned(), format!("p{}", self.random.below(3)));
        let policies = self.policies();
        let known = policies.iter().find(|(other, _)| *other == key).map(|(_, policy)| policy.clone());
        let api = ground::api(&self.client, kind, space);
        if policies.len() > 8 || (policies.len() > 5 && self.random.percent(15)) {
            drop(api.delete(&key.2, &DeleteParams::default()).await);
            return;
        }
        // Many forms are no policies; the server says so.
        for _ in 0..5 {
            let spec = match &known {
                Some(policy) if self.random.percent(40) => {
                    let mut spec = policy["spec"].clone();
                    let is_paused = spec["paused"] == true;
                    spec[if is_paused { "paused" } else { "mode" }] =
                        if is_paused { json!(false) } else { json!("Enforce") };
                    spec
                }
                _ => self.spec(is_namespaced),
            };
            let mut written = policy(&key.2).with("/kind", kind).0;
            written["spec"] = spec;
            let params = PostParams::default();
            let taken = if let Some(known) = &known {
                written["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"].clone();
                api.replace(&key.2, &params, &serde_json::from_value(written).unwrap()).await
            } else {
                api.create(&params, &serde_json::from_value(written).unwrap()).await
            };
            if taken.is_ok() {
                return;
            }
        }
    }

    fn spec(&mut self, is_namespaced: bool) -> Value {
        let now = now().as_millisecond();
        let mut spec = specs::spec(&mut self.random, is_namespaced, (self.start, now));
        spec["behavior"]["maxDeletionsPerSecond"] = json!(self.random.between(5, 50));
        spec
    }

    /// Approves a policy as of about now; sometimes another form of it.
    async fn approve(&mut self) {
        let policies = self.policies();
        if policies.is_empty() {
            return;
        }
        let (key, policy) = self.random.of(&policies).clone();
        let Some(hash) = policy["status"]["specHash"].as_str() else { return };
        let hash = if self.random.percent(80) { hash.to_owned() } else { "0".repeat(32) };
        let at = text(now().as_millisecond() + self.random.between(-3_000, 3_000));
        let approval = json!({"groundskeeper.dev/approved": format!("{hash}@{at}")});
        let patch = Patch::Merge(json!({"metadata": {"annotations": approval}}));
        let api = ground::api(&self.client, key.0, &key.1);
        drop(api.patch(&key.2, &PatchParams::default(), &patch).await);
    }

    // Whether what may go goes.

    /// Nobody meddles any more, and nothing goes wrong: what may go is soon gone. Then the last deletions are judged.
    pub(crate) async fn settle_down(&mut self) -> Result<(), String> {
        self.crew.come_to_rest().await?;
        let begun = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            self.sit()?;
            match self.nothing_is_left() {
                Ok(()) if self.judge.has_done() && self.nothing_else_went()? => break,
                Err(left) if begun.elapsed() > LEFT_FOR_AT_MOST => return Err(left),
                _ if begun.elapsed() > 2 * LEFT_FOR_AT_MOST => {
                    return Err("stuck: not all is judged".to_owned());
                }
                _ => {}
            }
        }
        let errors = self.crew.errors();
        if errors.is_empty() { Ok(()) } else { Err(format!("errors: {errors:#?}")) }
    }

    fn nothing_else_went(&mut self) -> Result<bool, String> {
        self.judge.nothing_else_went(&self.recorder.history.borrow(), &self.by_people)
    }

    fn nothing_is_left(&self) -> Result<(), String> {
        let history = self.recorder.history.borrow();
        let (shown, owners) = judge::truth(&history);
        let now = now().as_millisecond();
        let scene = Scene { shown: &shown, owners: &owners, now: now - LATE_AFTER };
        for (policy, shape) in &shown.policies {
            let kind = if policy.0.is_empty() { CLUSTER_POLICY } else { POLICY };
            let written = history.at(&(kind, policy.0.clone(), policy.1.clone()), u64::MAX).unwrap();
            let base = oracle::base(&scene, policy, &shape.spec);
            if may_wait(written, oracle::allowance(&shape.spec["budget"], base)) {
                continue;
            }
            for (key, object) in &shown.objects {
                let verdict = scene.judge(policy, key, object);
                let is_new = oracle::created(object) > now - 3 * LATE_AFTER;
                if matches!(verdict, Err(No::Because(_)))
                    || is_new
                    || asks_for_owners(&shown.policies, object)
                {
                    continue;
                }
                return Err(format!(
                    "stuck at {}: {policy:?} leaves {key:?} ({verdict:?})\n{object:#}\n{written:#}\n{}",
                    text(now),
                    crate::support::last_words(self.cluster)
                ));
            }
        }
        Ok(())
    }
}

/// Whether a policy has a reason to wait that the oracle does not know.
fn may_wait(policy: &Value, most: u64) -> bool {
    let spec = policy["spec"].to_string();
    let used = policy["status"]["budget"]["used"].as_u64().unwrap_or(0);
    // What changes with the time is noticed within a minute, and so is an owner that goes.
    spec.contains("now ")
        || spec.contains("Gone")
        || used >= most
        || condition(policy, "AwaitingApproval")["status"] == "True"
}

/// Whether it has to be found out first that its owners are gone, for a policy that keeps such objects.
fn asks_for_owners(policies: &BTreeMap<PolicyKey, oracle::Shape>, object: &Value) -> bool {
    !object["metadata"]["ownerReferences"].is_null()
        && policies.values().any(|shape| shape.spec.to_string().contains("Gone"))
}
