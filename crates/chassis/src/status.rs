//! Writing a status.

use kube::Client;
use serde::{Deserialize, Serialize};
use units::{ApiVersion, NamespacedName, ResourceVersion, Uid};

use crate::client::ask;
use crate::error::ApiError;
use crate::paths;

/// Writes the status of one incarnation of an object, by one merge patch; returns the version that it has now.
///
/// The UID is part of the patch, so that the status of a deleted object never lands on its successor: the server then
/// answers 409. Repeating it is harmless.
pub async fn write_status(
    client: &Client,
    resource: (&ApiVersion, &str),
    key: &NamespacedName,
    uid: &Uid,
    status: &impl Serialize,
) -> Result<ResourceVersion, ApiError> {
    let (version, plural) = resource;
    let garbled = |error: &dyn std::fmt::Display| ApiError::Garbled(error.to_string());
    let path = format!("{}/status", paths::object(version, plural, &key.namespace, &key.name));
    let body = serde_json::to_vec(&serde_json::json!({"metadata": {"uid": uid}, "status": status}));
    let request = http::Request::patch(path)
        .header(http::header::CONTENT_TYPE, "application/merge-patch+json")
        .body(body.map_err(|error| garbled(&error))?)
        .map_err(|error| garbled(&error))?;
    let text = ask(client, request).await?;
    written_version(&text)
}

/// The version that an object has after a write, as the answer says it.
pub(crate) fn written_version(answer: &str) -> Result<ResourceVersion, ApiError> {
    let Written { metadata } =
        serde_json::from_str(answer).map_err(|error| ApiError::Garbled(error.to_string()))?;
    Ok(metadata.resource_version)
}

#[derive(Deserialize)]
struct Written {
    metadata: WrittenMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenMeta {
    resource_version: ResourceVersion,
}
