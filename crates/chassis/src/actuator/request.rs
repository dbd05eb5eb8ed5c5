//! The requests that destroy, each with its preconditions.

use control::Mutant;
use serde_json::{Value, json};

use super::{Act, Manner, Target};
use crate::error::ApiError;
use crate::paths;

/// The one request that an act takes.
pub(super) fn of(target: &Target, act: Act) -> Result<http::Request<Vec<u8>>, ApiError> {
    let Target { resource, namespace, name, .. } = target;
    let path = paths::object(&resource.kind.api_version, &resource.plural, namespace, name);
    let (builder, body) = match act {
        Act::Delete(manner) => (http::Request::delete(path), deletion(target, manner)),
        Act::Evict { grace_period_seconds } => {
            (http::Request::post(format!("{path}/eviction")), eviction(target, grace_period_seconds))
        }
    };
    builder
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes())
        .map_err(|error| ApiError::Garbled(error.to_string()))
}

fn deletion(target: &Target, manner: Manner) -> Value {
    let mut options = json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": manner.propagation,
        "preconditions": preconditions(target),
    });
    set_grace(&mut options, manner.grace_period_seconds);
    options
}

fn eviction(target: &Target, grace_period_seconds: Option<i64>) -> Value {
    let mut options = json!({"preconditions": preconditions(target)});
    set_grace(&mut options, grace_period_seconds);
    json!({
        "kind": "Eviction",
        "apiVersion": "policy/v1",
        "metadata": {"namespace": target.namespace, "name": target.name},
        "deleteOptions": options,
    })
}

/// What must still hold when the server gets to it.
fn preconditions(target: &Target) -> Value {
    if Mutant::NoUidPrecondition.is_on() {
        return json!({});
    }
    let mut conditions = serde_json::Map::from_iter([("uid".to_owned(), json!(target.uid))]);
    if let Some(version) = target.resource_version.as_ref().filter(|_| !Mutant::NoResourceVersion.is_on()) {
        conditions.insert("resourceVersion".to_owned(), json!(version));
    }
    Value::Object(conditions)
}

fn set_grace(options: &mut Value, seconds: Option<i64>) {
    if let (Some(seconds), Some(options)) = (seconds, options.as_object_mut()) {
        options.insert("gracePeriodSeconds".to_owned(), seconds.into());
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::target;
    use super::*;

    fn body(request: &http::Request<Vec<u8>>) -> Value {
        serde_json::from_slice(request.body()).unwrap()
    }

    #[test]
    fn a_deletion_carries_uid_and_version_as_preconditions() {
        let act = Act::Delete(Manner { propagation: "Background", grace_period_seconds: Some(0) });
        let request = of(&target("example.com/v1", "team"), act).unwrap();
        assert_eq!(request.method(), http::Method::DELETE);
        assert_eq!(request.uri().path(), "/apis/example.com/v1/namespaces/team/things/a");
        let body = body(&request);
        assert_eq!(body["preconditions"], json!({"uid": "u-1", "resourceVersion": "7"}));
        assert_eq!(
            (&body["gracePeriodSeconds"], &body["propagationPolicy"]),
            (&json!(0), &json!("Background"))
        );
    }

    #[test]
    fn an_eviction_carries_them_too() {
        let target = Target { resource_version: None, ..target("v1", "team") };
        let request = of(&target, Act::Evict { grace_period_seconds: None }).unwrap();
        assert_eq!(request.method(), http::Method::POST);
        assert_eq!(request.uri().path(), "/api/v1/namespaces/team/things/a/eviction");
        let body = body(&request);
        assert_eq!(body["deleteOptions"], json!({"preconditions": {"uid": "u-1"}}));
        assert_eq!(body["metadata"]["name"], "a");
    }
}
