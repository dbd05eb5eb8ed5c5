//! A ground with a clock of its own, and what fills it: policies and objects as JSON, with what most tests share.

use std::sync::Arc;

use api::{ClusterGarbageCollectionPolicy, GarbageCollectionPolicy, Rails};
use gc::{Bucket, Counts, Due, Gate, Ground, Invalid, Object, Policy, Scope, Settled, Verdict};
use jiff::Timestamp;
use serde_json::{Value, json};
use units::KeyPath;
use views::{Labels, Projection};

pub(crate) const TEAM: &str = "team";

pub(crate) fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Puts the fields of `change` into `base`, map by map.
pub(crate) fn merge(base: &mut Value, change: Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            change.into_iter().for_each(|(key, value)| merge(base.entry(key).or_insert(Value::Null), value));
        }
        (base, change) => *base = change,
    }
}

fn spec(change: Value) -> Value {
    let mut spec = json!({"targetResource": {"apiVersion": "v1", "kind": "ConfigMap"}, "mode": "Enforce"});
    if change.get("targetResources").is_some() {
        spec.as_object_mut().unwrap().remove("targetResource");
    }
    merge(&mut spec, change);
    spec
}

pub(crate) fn compile(name: &str, change: Value, annotations: Value) -> Result<Arc<Policy>, Invalid> {
    let policy: GarbageCollectionPolicy = serde_json::from_value(json!({
        "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "GarbageCollectionPolicy",
        "metadata": {"namespace": TEAM, "name": name, "annotations": annotations}, "spec": spec(change),
    }))
    .unwrap();
    Policy::compile(&policy, &Rails::new("grounds")).map(Arc::new)
}

/// A policy of the namespace `team` that deletes ConfigMaps, with this in its spec.
pub(crate) fn policy(name: &str, change: Value) -> Arc<Policy> {
    compile(name, change, json!({})).unwrap()
}

/// A policy of the cluster that deletes ConfigMaps, with this in its spec.
pub(crate) fn cluster(name: &str, change: Value) -> Arc<Policy> {
    let policy: ClusterGarbageCollectionPolicy = serde_json::from_value(json!({
        "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "ClusterGarbageCollectionPolicy",
        "metadata": {"name": name}, "spec": spec(change),
    }))
    .unwrap();
    Arc::new(Policy::compile(&policy, &Rails::new("grounds")).unwrap())
}

/// A ConfigMap of the namespace `team`, with this in it. Its UID is its name unless another is given.
pub(crate) fn thing(name: &str, created: i64, change: Value) -> Value {
    let mut thing = json!({"metadata": {
        "name": name, "namespace": TEAM, "uid": name, "resourceVersion": "1",
        "creationTimestamp": second(created).to_string(),
    }});
    merge(&mut thing, change);
    thing
}

/// An object read for exactly these paths.
pub(crate) fn read(thing: &Value, reads: impl IntoIterator<Item = KeyPath>) -> Object {
    views::Object::read(&thing.to_string(), &Arc::new(Projection::new(reads))).unwrap().into()
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().collect()
}

/// A ground at a moment.
pub(crate) struct Field {
    pub(crate) ground: Ground,
    pub(crate) now: Timestamp,
}

impl Field {
    /// A ground at second 0, with these policies.
    pub(crate) fn with<'a>(policies: impl IntoIterator<Item = &'a Arc<Policy>>) -> Self {
        let mut field = Self { ground: Ground::default(), now: second(0) };
        policies.into_iter().for_each(|policy| field.admit(policy));
        field
    }

    pub(crate) fn admit(&mut self, policy: &Arc<Policy>) {
        policy.rules().for_each(|rule| self.ground.admit(rule, self.now));
    }

    /// An object is there, read for all the rules that look here.
    pub(crate) fn put(&mut self, thing: &Value) {
        let reads: Vec<_> = self.ground.rules().flat_map(gc::Rule::reads).collect();
        self.ground.apply(&Scope::CLUSTER, read(thing, reads), self.now);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.ground.remove(TEAM, name, &name.into(), self.now);
    }

    pub(crate) fn at(&mut self, now: i64) -> &mut Self {
        self.now = second(now);
        self
    }

    /// Takes all that is due under a policy.
    pub(crate) fn take(&mut self, policy: &Arc<Policy>) -> Vec<Due> {
        std::iter::from_fn(|| self.ground.take_due(&policy.key, self.now)).collect()
    }

    /// Takes all that is due under a policy, has it deleted, and says what it was, in the order of going.
    pub(crate) fn collect(&mut self, policy: &Arc<Policy>) -> Vec<String> {
        let mut gone = Vec::new();
        while let Some(due) = self.ground.take_due(&policy.key, self.now) {
            self.ground.settle(&due, Settled::Done, self.now);
            self.ground.remove(&due.namespace, &due.name, &due.uid, self.now);
            gone.push(due.name.to_string());
        }
        gone
    }

    pub(crate) fn counts(&self, policy: &Arc<Policy>) -> Counts {
        self.ground.counts(&policy.key)
    }

    pub(crate) fn count(&self, policy: &Arc<Policy>, bucket: Bucket) -> i64 {
        self.counts(policy).of(bucket)
    }

    /// What a policy makes of an object, in one word.
    pub(crate) fn reason(&self, policy: &Arc<Policy>, name: &str) -> &'static str {
        self.verdict(policy, name).reason()
    }

    pub(crate) fn verdict(&self, policy: &Arc<Policy>, name: &str) -> Verdict {
        let verdicts = self.ground.verdicts(TEAM, name, |_| Gate::Open, self.now);
        verdicts.into_iter().find(|(rule, _)| rule.policy.key == policy.key).unwrap().1
    }
}
