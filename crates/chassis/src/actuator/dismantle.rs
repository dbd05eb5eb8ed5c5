//! Takes away what an installation put there: the other way of deleting, and of taking finalizers off, for a person who
//! says so.
//!
//! Not for controllers: it knows neither rails nor budgets nor leases, because it also has to work when no operator runs.
//! What it shares with the actuator is the proof: one incarnation of one object, by its UID, in one request.
//!
//! Invariant: no request leaves here without a UID precondition.

mod finalizer;

use kube::Client;
use units::{ResourceVersion, Uid};

use crate::client::bounded;
use crate::error::ApiError;
use crate::objects::{Effect, ObjectRef};

pub use finalizer::{Handling, handle};

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dismantled {
    /// The server accepted the deletion.
    Accepted,
    /// It was gone already.
    Gone,
    /// Another object has its name by now; that one stays.
    Replaced,
}

/// Deletes one incarnation of one object; what it owns goes afterwards.
///
/// Repeating it is harmless. `DryRun` lets the server judge the request without doing it.
pub async fn dismantle(
    client: &Client,
    object: ObjectRef<'_>,
    uid: &Uid,
    effect: Effect,
) -> Result<Dismantled, ApiError> {
    send(client, request(object, uid, None, effect)?).await
}

/// The same, only of the version that was seen: `Replaced` also says that the object has changed since.
pub async fn dismantle_as_seen(
    client: &Client,
    object: ObjectRef<'_>,
    (uid, version): (&Uid, &ResourceVersion),
    effect: Effect,
) -> Result<Dismantled, ApiError> {
    send(client, request(object, uid, Some(version), effect)?).await
}

async fn send(client: &Client, request: http::Request<Vec<u8>>) -> Result<Dismantled, ApiError> {
    match bounded(client.request_text(request)).await {
        Ok(_) => Ok(Dismantled::Accepted),
        Err(error) => match error.code() {
            Some(404) => Ok(Dismantled::Gone),
            Some(409) => Ok(Dismantled::Replaced),
            _ => Err(error),
        },
    }
}

fn request(
    object: ObjectRef<'_>,
    uid: &Uid,
    version: Option<&ResourceVersion>,
    effect: Effect,
) -> Result<http::Request<Vec<u8>>, ApiError> {
    if uid.to_string().is_empty() {
        return Err(ApiError::Garbled(format!("{object} has no UID, so a later object could be hit")));
    }
    let preconditions = match version {
        Some(version) => serde_json::json!({"uid": uid, "resourceVersion": version}),
        None => serde_json::json!({"uid": uid}),
    };
    // The server reads options from the body if there is one, and passes over those in the address: a dry run that stood
    // there would be none.
    let dry_run: &[&str] = if effect == Effect::DryRun { &["All"] } else { &[] };
    let options = serde_json::json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": "Background",
        "preconditions": preconditions,
        "dryRun": dry_run,
    });
    http::Request::delete(object.path())
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(options.to_string().into_bytes())
        .map_err(|error| ApiError::Garbled(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Resource;
    use units::GroupVersionKind;

    #[test]
    fn a_request_insists_on_the_incarnation_and_there_is_none_without() {
        let kind = GroupVersionKind { api_version: "apps/v1".parse().unwrap(), kind: "Deployment".into() };
        let resource = Resource { kind, plural: "deployments".into(), namespaced: true, verbs: Vec::new() };
        let object = ObjectRef { resource: &resource, namespace: Some("grounds"), name: "keeper" };
        let asked = request(object, &Uid::from("u-1"), None, Effect::DryRun).unwrap();
        assert_eq!(asked.method(), http::Method::DELETE);
        assert_eq!(asked.uri(), "/apis/apps/v1/namespaces/grounds/deployments/keeper");
        let body: serde_json::Value = serde_json::from_slice(asked.body()).unwrap();
        assert_eq!(body["preconditions"], serde_json::json!({"uid": "u-1"}));
        assert_eq!(body["dryRun"], serde_json::json!(["All"]));
        let version = ResourceVersion::from("7");
        let asked = request(object, &Uid::from("u-1"), Some(&version), Effect::Real).unwrap();
        let body: serde_json::Value = serde_json::from_slice(asked.body()).unwrap();
        assert_eq!(body["preconditions"], serde_json::json!({"uid": "u-1", "resourceVersion": "7"}));
        assert_eq!(body["dryRun"], serde_json::json!([]));
        assert!(request(object, &Uid::from(""), None, Effect::Real).is_err());
    }
}
