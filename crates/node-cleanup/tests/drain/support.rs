//! A node with its pods, as the API server would show them.

use api::node_cleanup::{Blocker, DrainSettings, EscalationRung};
use api::{DrainRule, Time};
use jiff::{SignedDuration, Timestamp};
use node_cleanup::drain::{
    Action, Answer, DrainPlan, Intent, PodPlan, Reason, Rules, Scene, Settings, Tries, plan,
};
use serde_json::{Value, from_value, json};
use units::{NamespacedName, Uid};

/// Seconds after the moment at which all worlds begin.
pub(crate) fn at(seconds: i64) -> Timestamp {
    "2026-11-21T04:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// A pod of the replica set `web` in namespace `team`, running and ready on node `n-1`.
#[derive(Clone, Debug)]
pub(crate) struct PodJson(pub(crate) Value);

pub(crate) fn pod(name: &str) -> PodJson {
    PodJson(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "team", "uid": format!("u-{name}"), "labels": {"app": "web"}},
        "spec": {"nodeName": "n-1", "volumes": []},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }))
    .of("apps/v1", "ReplicaSet", "web")
}

impl PodJson {
    pub(crate) fn of(mut self, api_version: &str, kind: &str, name: &str) -> Self {
        let owner = json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": format!("o-{name}"), "controller": true});
        self.0["metadata"]["ownerReferences"] = json!([owner]);
        self
    }

    pub(crate) fn unmanaged(mut self) -> Self {
        self.0["metadata"]["ownerReferences"] = json!([]);
        self
    }

    pub(crate) fn labelled(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][key] = json!(value);
        self
    }

    pub(crate) fn annotated(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["annotations"][key] = json!(value);
        self
    }

    pub(crate) fn in_namespace(mut self, namespace: &str) -> Self {
        self.0["metadata"]["namespace"] = json!(namespace);
        self
    }

    pub(crate) fn volume(mut self, volume: Value) -> Self {
        self.0["spec"]["volumes"].as_array_mut().unwrap().push(volume);
        self
    }

    pub(crate) fn with_empty_dir(self) -> Self {
        self.volume(json!({"name": "tmp", "emptyDir": {}}))
    }

    pub(crate) fn with_claim(self, name: &str) -> Self {
        self.volume(json!({"name": "data", "persistentVolumeClaim": {"claimName": name}}))
    }

    pub(crate) fn spec(mut self, field: &str, value: Value) -> Self {
        self.0["spec"][field] = value;
        self
    }

    pub(crate) fn phase(mut self, phase: &str) -> Self {
        self.0["status"]["phase"] = json!(phase);
        self
    }

    pub(crate) fn unready(mut self) -> Self {
        self.0["status"]["conditions"][0]["status"] = json!("False");
        self
    }

    /// It ends, and its time to do so is up at this second.
    pub(crate) fn ends_by(mut self, seconds: i64) -> Self {
        self.0["metadata"]["deletionTimestamp"] = json!(at(seconds).to_string());
        self
    }
}

/// A budget over the pods with `app: web` in namespace `team`.
pub(crate) fn budget(name: &str, allowed: i64) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "team", "generation": 1},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
        "status": {
            "observedGeneration": 1, "disruptionsAllowed": allowed,
            "currentHealthy": 2, "desiredHealthy": 2, "expectedPods": 3,
        },
    })
}

/// Node `n-1`, cordoned a minute ago, with nothing around it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) node: Value,
    pub(crate) pods: Vec<PodJson>,
    pub(crate) budgets: Vec<Value>,
    pub(crate) attachments: Vec<Value>,
    pub(crate) rules: Vec<Value>,
    pub(crate) settings: Value,
    pub(crate) rungs: Value,
    pub(crate) intent: Intent,
    pub(crate) daemon_sets: Option<Vec<&'static str>>,
    pub(crate) replicas: Vec<(&'static str, i64)>,
    pub(crate) volumes: Vec<(&'static str, &'static str)>,
    pub(crate) terminating_namespaces: Vec<&'static str>,
    pub(crate) cordoned_at: Option<i64>,
    pub(crate) began_at: Option<i64>,
    pub(crate) tries: Tries,
    pub(crate) now: i64,
}

impl World {
    pub(crate) fn new(intent: Intent, pods: impl IntoIterator<Item = PodJson>) -> Self {
        Self {
            node: json!({
                "metadata": {"name": "n-1", "uid": "n-u", "labels": {"pool": "a"}},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]},
            }),
            pods: pods.into_iter().collect(),
            budgets: Vec::new(),
            attachments: Vec::new(),
            rules: Vec::new(),
            settings: json!({}),
            rungs: json!([]),
            intent,
            daemon_sets: None,
            replicas: Vec::new(),
            volumes: Vec::new(),
            terminating_namespaces: Vec::new(),
            cordoned_at: Some(0),
            began_at: None,
            tries: Tries::default(),
            now: 60,
        }
    }

    pub(crate) fn deletion(pods: impl IntoIterator<Item = PodJson>) -> Self {
        Self::new(Intent::Deletion, pods)
    }

    pub(crate) fn maintenance(pods: impl IntoIterator<Item = PodJson>) -> Self {
        Self::new(Intent::Maintenance, pods)
    }

    pub(crate) fn settings(mut self, settings: Value) -> Self {
        self.settings = settings;
        self
    }

    pub(crate) fn budget(mut self, budget: Value) -> Self {
        self.budgets.push(budget);
        self
    }

    pub(crate) fn rule(mut self, name: &str, spec: Value) -> Self {
        let mut rule = json!({"apiVersion": "groundskeeper.dev/v1alpha1", "kind": "DrainRule", "metadata": {"name": name}});
        rule["spec"] = spec;
        self.rules.push(rule);
        self
    }

    pub(crate) fn unreachable(mut self) -> Self {
        self.node["status"]["conditions"][0]["status"] = json!("Unknown");
        self
    }

    /// The server answered so at this second.
    pub(crate) fn answered(mut self, pod: &str, answer: Answer, seconds: i64) -> Self {
        self.tries.record(&Uid::from(format!("u-{pod}").as_str()), answer, at(seconds));
        self
    }

    pub(crate) fn plan(&self) -> DrainPlan {
        let read = |values: &[Value]| values.to_vec();
        let node = from_value(self.node.clone()).unwrap();
        let pods: Vec<views::Pod> = self.pods.iter().map(|pod| from_value(pod.0.clone()).unwrap()).collect();
        let budgets: Vec<_> =
            read(&self.budgets).into_iter().map(|budget| from_value(budget).unwrap()).collect();
        let attachments: Vec<_> =
            read(&self.attachments).into_iter().map(|attachment| from_value(attachment).unwrap()).collect();
        let rules: Vec<DrainRule> =
            read(&self.rules).into_iter().map(|rule| from_value(rule).unwrap()).collect();
        let drain: DrainSettings = from_value(self.settings.clone()).unwrap();
        let rungs: Vec<EscalationRung> = from_value(self.rungs.clone()).unwrap();
        let settings = Settings::compile(&drain, self.intent).unwrap().escalating(&rungs).unwrap();
        let uid = |name: &&str| Uid::from(format!("o-{name}").as_str());
        let mut scene = Scene::of(&node);
        scene.pods = pods.iter().collect();
        scene.budgets = budgets.iter().collect();
        scene.attachments = attachments.iter().collect();
        scene.daemon_sets = self.daemon_sets.as_ref().map(|names| names.iter().map(uid).collect());
        scene.replicas = self.replicas.iter().map(|(name, wanted)| (uid(name), *wanted)).collect();
        scene.volumes = self
            .volumes
            .iter()
            .map(|(claim, volume)| (NamespacedName::new("team", *claim), (*volume).into()))
            .collect();
        scene.terminating_namespaces =
            self.terminating_namespaces.iter().map(|name| (*name).into()).collect();
        scene.cordoned_at = self.cordoned_at.map(at);
        scene.began_at = self.began_at.map(at);
        plan(&scene, &settings, &Rules::compile(&rules), &self.tries, at(self.now))
    }

    pub(crate) fn at(&self, seconds: i64) -> DrainPlan {
        Self { now: seconds, ..self.clone() }.plan()
    }
}

pub(crate) fn of<'a>(plan: &'a DrainPlan, name: &str) -> &'a PodPlan {
    plan.pods.iter().find(|pod| &*pod.name == name).unwrap()
}

/// What becomes of the only pod, and why.
pub(crate) fn only(plan: &DrainPlan) -> (Action, Vec<Reason>) {
    assert_eq!(plan.pods.len(), 1);
    (plan.pods[0].action, plan.pods[0].reasons.clone())
}

/// The names of the pods that are asked now.
pub(crate) fn asked(plan: &DrainPlan) -> Vec<&str> {
    plan.now.iter().map(|eviction| &*eviction.name).collect()
}

pub(crate) fn reasons(blockers: &[Blocker]) -> Vec<&str> {
    blockers.iter().map(|blocker| blocker.reason.as_str()).collect()
}

pub(crate) fn blocker(reason: &str, objects: &[&str], since: Option<i64>) -> Blocker {
    Blocker {
        reason: reason.to_owned(),
        objects: objects.iter().map(|object| (*object).to_owned()).collect(),
        since: since.map(|seconds| Time(at(seconds))),
        ..Blocker::default()
    }
}
