//! Writes of controllers on what they work on: records of their own, and fields of other objects.
//!
//! Each names the incarnation and the version that it was decided on; the server refuses with 409 whatever has changed
//! since, and the decision is made anew. What destroys is not written here, but by the actuator.

use http::header::CONTENT_TYPE;
use kube::Client;
use serde::Serialize;
use serde_json::{Value, json};
use units::{ResourceVersion, Uid};

use crate::client::ask;
use crate::error::ApiError;
use crate::objects::{FIELD_MANAGER, ObjectRef};
use crate::status::written_version;

/// Which version of which incarnation was seen.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The incarnation.
    pub uid: &'a Uid,
    /// Its version.
    pub version: &'a ResourceVersion,
}

/// Changes fields of an object by JSON Patch operations; returns the version that it has now.
pub async fn change(
    client: &Client,
    object: ObjectRef<'_>,
    seen: Seen<'_>,
    operations: Vec<Value>,
) -> Result<ResourceVersion, ApiError> {
    send(client, &object.path(), seen, operations).await
}

/// Writes a status in place of the one that is there; returns the version that the object has now.
///
/// Unlike a merge it leaves nothing behind of what the new status does not have.
pub async fn replace_status(
    client: &Client,
    object: ObjectRef<'_>,
    seen: Seen<'_>,
    status: &impl Serialize,
) -> Result<ResourceVersion, ApiError> {
    let path = format!("{}/status", object.path());
    send(client, &path, seen, vec![json!({"op": "add", "path": "/status", "value": status})]).await
}

async fn send(
    client: &Client,
    path: &str,
    Seen { uid, version }: Seen<'_>,
    operations: Vec<Value>,
) -> Result<ResourceVersion, ApiError> {
    let garbled = |error: &dyn std::fmt::Display| ApiError::Garbled(error.to_string());
    let mut patch = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": uid}),
        // Writes what is there: the server takes it for the version that the change was made on, and answers 409 if that is
        // not the latest.
        json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version}),
    ];
    patch.extend(operations);
    let request = http::Request::patch(format!("{path}?fieldManager={FIELD_MANAGER}"))
        .header(CONTENT_TYPE, "application/json-patch+json")
        .body(serde_json::to_vec(&patch).map_err(|error| garbled(&error))?)
        .map_err(|error| garbled(&error))?;
    let text = match ask(client, request).await {
        // A test in the patch has failed, of which the server says no more: it is another incarnation by now. What it finds
        // invalid, it names.
        Err(ApiError::Refused { code: 422, reason, message, retry_after })
            if message.contains("rejected our request") =>
        {
            return Err(ApiError::Refused { code: 409, reason, message, retry_after });
        }
        answer => answer?,
    };
    written_version(&text)
}
