//! What is measured in this process: objects as the API server writes them, and policies on them.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use api::{ClusterGarbageCollectionPolicy, GarbageCollectionPolicy, Rails};
use gc::{Object, Policy, Rule};
use jiff::Timestamp;
use serde_json::{Value, json};
use views::Projection;

/// When the objects are looked at, in seconds since 1970; they were created within the day before.
const NOW: i64 = 1_800_000_000;

/// Namespaces that objects lie in.
const NAMESPACES: usize = 200;

/// Labels `app` that objects have.
const APPS: usize = 50;

const PHASES: [&str; 5] = ["Pending", "Running", "Succeeded", "Failed", "Unknown"];

/// What sort of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// The answer to a metadata-only watch of ConfigMaps.
    ConfigMap,
    /// Whole Pods, of which `status.phase` is kept.
    Pod,
}

/// Where an object lies, and what it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The number of its namespace.
    pub(super) namespace: usize,
    /// The number of its label `app`.
    pub(super) app: usize,
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap_or_default()
}

/// A policy of one namespace.
pub(super) fn policy(namespace: &str, name: &str, spec: &Value) -> Result<Arc<Policy>> {
    let metadata = json!({"namespace": namespace, "name": name});
    let policy: GarbageCollectionPolicy =
        serde_json::from_value(json!({"metadata": metadata, "spec": spec}))?;
    Ok(Arc::new(Policy::compile(&policy, &Rails::new("groundskeeper-system"))?))
}

/// A policy of the cluster.
pub(super) fn cluster_policy(name: &str, spec: &Value) -> Result<Arc<Policy>> {
    let written = json!({"metadata": {"name": name}, "spec": spec});
    let policy: ClusterGarbageCollectionPolicy = serde_json::from_value(written)?;
    Ok(Arc::new(Policy::compile(&policy, &Rails::new("groundskeeper-system"))?))
}

pub(super) fn rule(policy: &Arc<Policy>) -> Result<Rule> {
    policy.rules().next().context("a policy without a rule")
}

/// What a watch keeps that serves these rules.
pub(super) fn projection(rules: &[Rule]) -> Arc<Projection> {
    Arc::new(Projection::new(rules.iter().flat_map(Rule::reads)))
}

/// Reads an object as the feed does, and keeps of it what the controller does.
pub(super) fn read(text: &str, projection: &Arc<Projection>) -> Result<Object> {
    Ok(Object::from(views::Object::read(text, projection)?))
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Pod => "Pod",
        }
    }

    /// A spec that selects every object of a bench by label and counts from its creation.
    pub(super) fn spec(self, hours: usize) -> Value {
        let mut spec = json!({
            "targetResource": {
                "apiVersion": "v1", "kind": self.name(),
                "labelSelector": {"matchLabels": {"bench": "yes"}},
            },
            "ttl": {"after": format!("{hours}h")},
            "mode": "Enforce",
        });
        if self == Self::Pod {
            spec["conditions"] = json!({"phase": PHASES});
        }
        spec
    }

    /// The object of this number, as the API server writes it.
    pub(super) fn text(self, number: usize) -> String {
        self.text_of(number, Place { namespace: number % NAMESPACES, app: number % APPS }, 0)
    }

    /// The same of this place and version.
    pub(super) fn text_of(self, number: usize, place: Place, version: usize) -> String {
        let metadata = metadata(number, place, version);
        match self {
            Self::ConfigMap => {
                format!(
                    r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{metadata}}}"#
                )
            }
            Self::Pod => {
                let phase = PHASES[number % PHASES.len()];
                format!(
                    r#"{{"kind":"Pod","apiVersion":"v1","metadata":{metadata},{POD_SPEC},{}}}"#,
                    status(phase)
                )
            }
        }
    }
}

fn metadata(number: usize, place: Place, version: usize) -> String {
    let Place { namespace, app } = place;
    let digits = scramble(number);
    let age = 1 + (digits % 86_400).cast_signed();
    let created = Timestamp::from_second(NOW - age).unwrap_or_default();
    format!(
        r#"{{"name":"report-{app}-{suffix:010x}-{number:07}","namespace":"team-{namespace}","uid":"{high:08x}-{a:04x}-4{b:03x}-9{c:03x}-{number:012x}","resourceVersion":"{resource_version}","creationTimestamp":"{created}","labels":{{"bench":"yes","app":"report-{app}"}},"annotations":{{"kubectl.kubernetes.io/last-applied-configuration":"{{}}"}},{MANAGED_FIELDS}}}"#,
        suffix = digits & 0xff_ffff_ffff,
        high = digits >> 32,
        a = digits & 0xffff,
        b = (digits >> 16) & 0xfff,
        c = (digits >> 28) & 0xfff,
        resource_version = 1_000_000 + number + version,
    )
}

fn status(phase: &str) -> String {
    format!(
        r#""status":{{"phase":"{phase}","hostIP":"10.0.0.1","podIP":"10.1.0.1","podIPs":[{{"ip":"10.1.0.1"}}],"startTime":"2027-01-14T00:00:00Z","qosClass":"Burstable","conditions":[{{"type":"Initialized","status":"True","lastProbeTime":null,"lastTransitionTime":"2027-01-14T00:00:00Z"}},{{"type":"Ready","status":"True","lastProbeTime":null,"lastTransitionTime":"2027-01-14T00:00:00Z"}}],"containerStatuses":[{{"name":"main","ready":true,"restartCount":0,"image":"registry.example/report:1","imageID":"registry.example/report@sha256:0123456789abcdef","containerID":"containerd://0123456789abcdef","started":true,"state":{{"running":{{"startedAt":"2027-01-14T00:00:00Z"}}}}}}]}}"#
    )
}

/// Numbers that look random, and are the same in every run.
const fn scramble(number: usize) -> u64 {
    let mut digits = (number as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    digits = (digits ^ (digits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    digits = (digits ^ (digits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    digits ^ (digits >> 31)
}

const MANAGED_FIELDS: &str = r#""managedFields":[{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"2027-01-14T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{".":{},"f:app":{},"f:bench":{}}}}}]"#;

const POD_SPEC: &str = r#""spec":{"volumes":[{"name":"token","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}}],"defaultMode":420}}],"containers":[{"name":"main","image":"registry.example/report:1","command":["/report","--daily"],"env":[{"name":"REGION","value":"eu"},{"name":"LEVEL","value":"info"}],"resources":{"limits":{"memory":"256Mi"},"requests":{"cpu":"100m","memory":"128Mi"}},"volumeMounts":[{"name":"token","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],"terminationMessagePath":"/dev/termination-log","imagePullPolicy":"IfNotPresent"}],"restartPolicy":"Never","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"default","nodeName":"node-1","schedulerName":"default-scheduler","tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}]}"#;
