//! What a plugin is asked, and what it answers: one contract for every way of reaching one.
//!
//! A plugin is asked to `describe` itself, to `check` whether it could work now, to `plan` in words what it would do, and to
//! `execute`. The last may be asked many times for one step: after a crash of ours the same question comes again, with the
//! same idempotency key, and a plugin that has done the work already says so.
//!
//! Knows no transport. What can fail is reading an answer, and [`BadAnswer`] says what the plugin should have written.
//!
//! Invariant: whatever a plugin sends, what is read of it keeps the bounds of the record that it goes into.

mod read;

use std::collections::BTreeMap;

use api::node_cleanup::{NodeAddress, NodeSnapshot};
use jiff::Timestamp;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use read::BadAnswer;
pub(crate) use read::{height, plain};

use crate::limits::RETRY_AFTER_SECONDS_DEFAULT;

/// The version of the contract. Every request carries it; an answer may.
pub const CONTRACT_VERSION: &str = "groundskeeper.dev/plugin/v1alpha1";

/// One question to a plugin.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The version of the contract: `groundskeeper.dev/plugin/v1alpha1`.
    #[schemars(extend("const" = CONTRACT_VERSION))]
    pub api_version: String,
    /// What is asked.
    #[serde(flatten)]
    pub call: Call,
}

/// What a plugin is asked.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "call", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Call {
    /// What the plugin is. It answers with its name, its version and the schema of its settings.
    Describe,
    /// Whether the plugin could work now. It changes nothing.
    Check {
        /// The settings of the step that is going to ask.
        settings: Map<String, Value>,
    },
    /// What the plugin would do, in words. It changes nothing.
    Plan(Box<Task>),
    /// To do it, or to say how far it is. Asked again with the same idempotency key it does not do twice what it has done.
    Execute(Box<Task>),
}

/// One step of one departure.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// The departure: the name of its `NodeCleanup`.
    pub run_id: String,
    /// The step's name in the policy.
    pub step_id: String,
    /// Which attempt this is, from 1. Asking again how far an attempt is does not count.
    pub attempt: u32,
    /// The run and the step. It is the same in all attempts of a step: what was done under it is done.
    pub idempotency_key: String,
    /// The node that leaves, as it was when the departure began. It may be gone by now.
    pub node: Node,
    /// What the plugin wanted to be told, in its last answer that had a state; at most 16 KiB.
    #[serde(default)]
    pub state: Map<String, Value>,
    /// When the attempt counts as failed; left out if it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub deadline: Option<Timestamp>,
    /// The step's settings, as they were when the departure began.
    #[serde(default)]
    pub settings: Map<String, Value>,
}

/// A node that leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its `spec.providerID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// Its `status.nodeInfo.machineID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// Its addresses.
    #[serde(default)]
    pub addresses: Vec<NodeAddress>,
}

/// What a plugin is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Described {
    /// What it calls itself.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Its version.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub version: String,
    /// The JSON Schema of its settings, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_schema: Option<Map<String, Value>>,
}

/// Whether a plugin could work now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// Whether it could.
    pub healthy: bool,
    /// Why not, or what else is to be said.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// What a plugin would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// In words, a line for each act; at most 32.
    #[schemars(length(max = 32))]
    pub steps: Vec<String>,
}

/// How far a plugin is with a step.
///
/// What a message says goes into status and events, so it must not hold secrets.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "status", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Executed {
    /// It is done, now or before.
    Done {
        /// What was done.
        #[serde(default)]
        #[schemars(length(max = 1024))]
        message: String,
        /// What the record keeps of it. Left out: what it has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<Map<String, Value>>,
    },
    /// It is under way.
    Progress {
        /// How much is done, in percent, if that can be told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 0, max = 100))]
        percent: Option<u8>,
        /// What is being done or waited for.
        #[serde(default)]
        #[schemars(length(max = 1024))]
        message: String,
        /// When to ask again, in seconds: 1 to 3,600. Left out: 10.
        #[serde(default = "soon")]
        #[schemars(range(min = 1, max = 3_600))]
        retry_after_seconds: u32,
        /// What the plugin wants to be told then, at most 16 KiB. Left out: what it was told now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<Map<String, Value>>,
    },
    /// It could not be done.
    Failed {
        /// Whether another attempt may help. Left out: true.
        #[serde(default = "yes")]
        retryable: bool,
        /// What failed, as one word that programs may read, such as `NodeStillOnline`.
        #[serde(default)]
        #[schemars(length(max = 64))]
        reason: String,
        /// What failed, and what would help.
        #[serde(default)]
        #[schemars(length(max = 1024))]
        message: String,
        /// What the plugin wants to be told in the next attempt. Left out: what it was told now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<Map<String, Value>>,
    },
}

const fn soon() -> u32 {
    RETRY_AFTER_SECONDS_DEFAULT
}

const fn yes() -> bool {
    true
}

impl Request {
    /// The question, in this version of the contract.
    pub fn new(call: Call) -> Self {
        Self { api_version: CONTRACT_VERSION.to_owned(), call }
    }
}

impl Node {
    /// A node of this name and UID, as it was when its departure began.
    pub fn new(name: &str, uid: &str, snapshot: &NodeSnapshot) -> Self {
        let NodeSnapshot { labels, provider_id, machine_id, addresses } = snapshot.clone();
        Self { name: name.to_owned(), uid: uid.to_owned(), labels, provider_id, machine_id, addresses }
    }
}

/// What makes a step's work one, however often it is asked for: the run and the step.
pub fn idempotency_key(run: &str, step: &str) -> String {
    format!("{run}/{step}")
}

/// The JSON Schema of requests and answers, as it is published. `$defs` has one entry for each.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let request = generator.subschema_for::<Request>();
    let answers = [
        ("Described", generator.subschema_for::<Described>()),
        ("Checked", generator.subschema_for::<Checked>()),
        ("Planned", generator.subschema_for::<Planned>()),
        ("Executed", generator.subschema_for::<Executed>()),
    ];
    let mut definitions = generator.take_definitions(true);
    for (name, _) in &answers {
        add_version(definitions.get_mut(*name));
    }
    let all: Vec<Value> =
        [request].into_iter().chain(answers.map(|(_, answer)| answer)).map(Value::from).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://groundskeeper.dev/schemas/plugin/v1alpha1.json",
        "title": "What a cleanup plugin is asked, and what it answers",
        "anyOf": all,
        "$defs": definitions,
    })
}

/// An answer may say which version of the contract it speaks.
fn add_version(answer: Option<&mut Value>) {
    let Some(answer) = answer.and_then(Value::as_object_mut) else { return };
    let properties = answer.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        let version = json!({"const": CONTRACT_VERSION, "description": "The version of the contract; may be left out."});
        properties.insert("apiVersion".to_owned(), version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        Task {
            run_id: "u-1".to_owned(),
            step_id: "tell-the-cmdb".to_owned(),
            attempt: 2,
            idempotency_key: idempotency_key("u-1", "tell-the-cmdb"),
            node: Node { name: "worker-1".to_owned(), uid: "u-1".to_owned(), ..Node::default() },
            state: Map::from_iter([("ticket".to_owned(), json!("INC-7"))]),
            deadline: Some("2026-11-21T04:07:00Z".parse().unwrap()),
            settings: Map::new(),
        }
    }

    #[test]
    fn a_request_is_one_flat_object() {
        let request = Request::new(Call::Execute(Box::new(task())));
        let written = serde_json::to_value(&request).unwrap();
        assert_eq!(
            written,
            json!({
                "apiVersion": "groundskeeper.dev/plugin/v1alpha1", "call": "execute", "runId": "u-1",
                "stepId": "tell-the-cmdb", "attempt": 2, "idempotencyKey": "u-1/tell-the-cmdb",
                "node": {"name": "worker-1", "uid": "u-1", "labels": {}, "addresses": []},
                "state": {"ticket": "INC-7"}, "deadline": "2026-11-21T04:07:00Z", "settings": {},
            })
        );
        assert_eq!(serde_json::from_value::<Request>(written).unwrap(), request);
        let describe = serde_json::to_value(Request::new(Call::Describe)).unwrap();
        assert_eq!(describe, json!({"apiVersion": "groundskeeper.dev/plugin/v1alpha1", "call": "describe"}));
    }

    #[test]
    fn the_schema_names_every_call_every_status_and_every_bound() {
        let schema = schema();
        for name in ["Request", "Task", "Node", "Described", "Checked", "Planned", "Executed"] {
            assert!(schema["$defs"][name].is_object(), "{name}");
        }
        let text = schema.to_string();
        for word in ["describe", "check", "plan", "execute", "done", "progress", "failed"] {
            assert!(text.contains(&format!("\"const\":\"{word}\"")), "{word} in {text}");
        }
        for field in ["idempotencyKey", "retryAfterSeconds", "settingsSchema", "runId"] {
            assert!(text.contains(&format!("\"{field}\"")), "{field} in {text}");
        }
        assert!(text.contains("\"maximum\":3600") && text.contains("\"maxLength\":1024"), "{text}");
        for name in ["Request", "Described", "Checked", "Planned", "Executed"] {
            let version = &schema["$defs"][name]["properties"]["apiVersion"];
            assert_eq!(version["const"], CONTRACT_VERSION, "{name}");
        }
        let required: Vec<&Value> = schema["$defs"]["Executed"]["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["required"])
            .collect();
        assert_eq!(required, [&json!(["status"]); 3], "only the status is demanded");
    }
}
