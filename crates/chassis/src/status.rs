//! Writing a status.

use kube::Client;
use serde::Serialize;
use units::{ApiVersion, NamespacedName, Uid};

use crate::client::bounded;
use crate::error::ApiError;
use crate::paths;

/// Writes the status of one incarnation of an object, by one merge patch.
///
/// The UID is part of the patch, so that the status of a deleted object never lands on its successor: the server then
/// answers 409. Repeating it is harmless.
pub async fn write_status(
    client: &Client,
    resource: (&ApiVersion, &str),
    key: &NamespacedName,
    uid: &Uid,
    status: &impl Serialize,
) -> Result<(), ApiError> {
    let (version, plural) = resource;
    let garbled = |error: &dyn std::fmt::Display| ApiError::Garbled(error.to_string());
    let path = format!("{}/status", paths::object(version, plural, &key.namespace, &key.name));
    let body = serde_json::to_vec(&serde_json::json!({"metadata": {"uid": uid}, "status": status}));
    let request = http::Request::patch(path)
        .header(http::header::CONTENT_TYPE, "application/merge-patch+json")
        .body(body.map_err(|error| garbled(&error))?)
        .map_err(|error| garbled(&error))?;
    bounded(client.request_text(request)).await.map(drop)
}
