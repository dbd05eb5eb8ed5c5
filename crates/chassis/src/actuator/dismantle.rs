//! Takes away what an installation put there: the other way of deleting, for a person who says so.
//!
//! Not for controllers: it knows neither rails nor budgets nor leases, because it also has to work when no operator runs.
//! What it shares with the actuator is the proof: one incarnation of one object, by its UID, in one request.
//!
//! Invariant: no request leaves here without a UID precondition.

use kube::Client;
use units::Uid;

use crate::client::bounded;
use crate::error::ApiError;
use crate::objects::{Effect, ObjectRef};

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
    let request = request(object, uid, effect)?;
    match bounded(client.request_text(request)).await {
        Ok(_) => Ok(Dismantled::Accepted),
        Err(error) => match error.code() {
            Some(404) => Ok(Dismantled::Gone),
            Some(409) => Ok(Dismantled::Replaced),
            _ => Err(error),
        },
    }
}

fn request(object: ObjectRef<'_>, uid: &Uid, effect: Effect) -> Result<http::Request<Vec<u8>>, ApiError> {
    if uid.to_string().is_empty() {
        return Err(ApiError::Garbled(format!("{object} has no UID, so a later object could be hit")));
    }
    let options = serde_json::json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": "Background",
        "preconditions": {"uid": uid},
    });
    let mut path = object.path();
    if effect == Effect::DryRun {
        path += "?dryRun=All";
    }
    http::Request::delete(path)
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
        let asked = request(object, &Uid::from("u-1"), Effect::DryRun).unwrap();
        assert_eq!(asked.method(), http::Method::DELETE);
        assert_eq!(asked.uri(), "/apis/apps/v1/namespaces/grounds/deployments/keeper?dryRun=All");
        let body: serde_json::Value = serde_json::from_slice(asked.body()).unwrap();
        assert_eq!(body["preconditions"], serde_json::json!({"uid": "u-1"}));
        assert!(request(object, &Uid::from(""), Effect::Real).is_err());
    }
}
