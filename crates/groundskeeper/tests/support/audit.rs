//! The API server's own account of what the operator asked for.

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

/// What the operator asked for in a namespace, in the order of the answers. Watches that go on are among it.
pub(crate) fn requests(cluster: &ControlPlane, namespace: &str) -> Vec<Request> {
    let log = cluster.server(Tool::KubeApiserver).unwrap().log().unwrap();
    log.lines()
        .filter(|line| line.starts_with(r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1""#))
        .filter_map(|line| serde_json::from_str(line).ok())
        .map(|event: Value| request(&event))
        .filter(|request| request.namespace == namespace)
        .collect()
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
