//! The API server's own account of what the operator asked for.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::Value;
use testbed::{ControlPlane, Tool};

/// One request of the operator, answered.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) verb: String,
    /// `configmaps`, `garbagecollectionpolicies/status`
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// When the server received it.
    pub(crate) at: Timestamp,
    pub(crate) code: u64,
    /// As whom the operator asked; empty if as itself.
    pub(crate) acting_as: String,
    pub(crate) body: Value,
}

/// The log from some point on.
pub(crate) struct Tail {
    path: PathBuf,
    read: u64,
}

impl Tail {
    /// What is asked for from now on.
    pub(crate) fn from_now(cluster: &ControlPlane) -> Self {
        let path = cluster.server(Tool::KubeApiserver).unwrap().log_path().to_owned();
        let read = std::fs::metadata(&path).unwrap().len();
        Self { path, read }
    }

    /// What has been answered since the last reading, in the order of the answers.
    pub(crate) fn read(&mut self) -> Vec<Request> {
        let mut file = File::open(&self.path).unwrap();
        file.seek(SeekFrom::Start(self.read)).unwrap();
        let mut text = Vec::new();
        file.read_to_end(&mut text).unwrap();
        // The server may be in the middle of a line.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        events(&String::from_utf8_lossy(&text[..whole]))
    }
}

/// What the operator asked for in a namespace, in the order of the answers. Watches that go on are among it.
pub(crate) fn requests(cluster: &ControlPlane, namespace: &str) -> Vec<Request> {
    let log = cluster.server(Tool::KubeApiserver).unwrap().log().unwrap();
    events(&log).into_iter().filter(|request| request.namespace == namespace).collect()
}

fn events(log: &str) -> Vec<Request> {
    let events =
        log.lines().filter(|line| line.starts_with(r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1""#));
    let events = events.filter_map(|line| serde_json::from_str(line).ok());
    events.map(|event: Value| request(&event)).collect()
}

/// The deletions that the operator asked for in a namespace, whatever the answer.
pub(crate) fn deletions(cluster: &ControlPlane, namespace: &str) -> Vec<Request> {
    requests(cluster, namespace).into_iter().filter(|request| request.verb.starts_with("delete")).collect()
}

impl Request {
    /// The incarnation that a deletion insists on.
    pub(crate) fn uid(&self) -> &str {
        self.body["preconditions"]["uid"].as_str().unwrap_or_default()
    }

    /// The version that a deletion insists on.
    pub(crate) fn version(&self) -> &str {
        self.body["preconditions"]["resourceVersion"].as_str().unwrap_or_default()
    }

    pub(crate) fn accepted(&self) -> bool {
        self.code == 200
    }

    /// Whether the server called it failed, without saying that it was not done.
    pub(crate) fn has_failed(&self) -> bool {
        self.code == 0 || self.code >= 499
    }
}

fn request(event: &Value) -> Request {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    let mut resource = text(&object["resource"]);
    if let Some(part) = object["subresource"].as_str() {
        resource = format!("{resource}/{part}");
    }
    Request {
        verb: text(&event["verb"]),
        resource,
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        at: event["requestReceivedTimestamp"].as_str().unwrap().parse().unwrap(),
        code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
        acting_as: text(&event["impersonatedUser"]["username"]),
        body: event["requestObject"].clone(),
    }
}
