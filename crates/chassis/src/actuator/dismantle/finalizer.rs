//! One finalizer of one object, taken off or swapped by hand.
//!
//! The same patch as the actuator's: it names the incarnation, the version and the list that it was made on, and touches
//! one entry. What somebody else changes meanwhile is read again, and kept.

use control::Backoff;
use http::header::CONTENT_TYPE;
use kube::Client;
use serde_json::{Value, json};
use units::Uid;

use super::Dismantled;
use crate::actuator::finalizers::{Change, Finalizers};
use crate::actuator::request::JSON_PATCH;
use crate::client::{ask_for, bounded, get};
use crate::error::ApiError;
use crate::limits::{CONFLICT_RETRY, CONFLICT_RETRY_MAX, HAND_ATTEMPTS_MAX};
use crate::objects::{Effect, ObjectRef};

/// Metadata alone, whatever the kind.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// What is done by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling<'a> {
    /// A finalizer is taken off, if it is there.
    TakeOff(&'a str),
    /// A finalizer is replaced by another one, if it is there; with it the key of an annotation, which keeps its value.
    Swap {
        /// The finalizer that goes, and the one that comes.
        finalizer: (&'a str, &'a str),
        /// The key of the annotation that goes, and the one that comes.
        annotation: (&'a str, &'a str),
    },
}

/// Does it to one incarnation of one object: `Accepted` if it was done, `Gone` if nothing had to be done or the object is
/// gone, `Replaced` if another object has its name.
///
/// Repeating it is harmless. While others change the object at the same time, it is read and tried again, some dozens of
/// times; then the last refusal is returned.
pub async fn handle(
    client: &Client,
    object: ObjectRef<'_>,
    uid: &Uid,
    handling: Handling<'_>,
    effect: Effect,
) -> Result<Dismantled, ApiError> {
    let mut backoff = Backoff::new(CONFLICT_RETRY, CONFLICT_RETRY_MAX, &object.name);
    loop {
        let Some(metadata) = metadata_of(client, object).await? else { return Ok(Dismantled::Gone) };
        let annotations = metadata.get("annotations").cloned().unwrap_or_default();
        let seen = Finalizers::of(metadata)?;
        if !seen.are_of(uid) {
            return Ok(Dismantled::Replaced);
        }
        let Some(patch) = patch(&seen, &annotations, handling) else { return Ok(Dismantled::Gone) };
        if seen.is_terminating() && matches!(handling, Handling::Swap { .. }) {
            return Err(too_late());
        }
        let pause = backoff.after_failure();
        match bounded(client.request_text(request(object, &patch, effect)?)).await {
            Ok(_) => return Ok(Dismantled::Accepted),
            Err(error) if error.code() == Some(404) => return Ok(Dismantled::Gone),
            // 409: changed meanwhile. 422: a test of the patch did not hold.
            Err(error)
                if matches!(error.code(), Some(409 | 422)) && backoff.failures() < HAND_ATTEMPTS_MAX =>
            {
                tokio::time::sleep(pause).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// What the server would say, if it were asked.
fn too_late() -> ApiError {
    ApiError::Refused {
        code: 422,
        reason: "Invalid".to_owned(),
        message: "it is being deleted, and gets no finalizer any more".to_owned(),
        retry_after: None,
    }
}

async fn metadata_of(client: &Client, object: ObjectRef<'_>) -> Result<Option<Value>, ApiError> {
    match ask_for::<Value>(client, get(&object.path(), METADATA)?).await {
        Ok(mut found) => Ok(Some(found.get_mut("metadata").map(Value::take).unwrap_or_default())),
        Err(error) if error.code() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The patch; none if nothing has to be done.
fn patch(seen: &Finalizers, annotations: &Value, handling: Handling<'_>) -> Option<Value> {
    match handling {
        Handling::TakeOff(finalizer) => seen.patch(Change::Remove(finalizer)),
        Handling::Swap { finalizer: (from, to), annotation } => {
            let mut patch = seen.patch(Change::Swap(from, to))?;
            if let (Some(value), Value::Array(operations)) = (annotations.get(annotation.0), &mut patch) {
                operations.push(json!({"op": "remove", "path": place_of(annotation.0)}));
                operations.push(json!({"op": "add", "path": place_of(annotation.1), "value": value}));
            }
            Some(patch)
        }
    }
}

fn place_of(annotation: &str) -> String {
    format!("/metadata/annotations/{}", annotation.replace('~', "~0").replace('/', "~1"))
}

fn request(object: ObjectRef<'_>, patch: &Value, effect: Effect) -> Result<http::Request<Vec<u8>>, ApiError> {
    let dry_run = if effect == Effect::DryRun { "?dryRun=All" } else { "" };
    http::Request::patch(format!("{}{dry_run}", object.path()))
        .header(CONTENT_TYPE, JSON_PATCH)
        .body(patch.to_string().into_bytes())
        .map_err(|error| ApiError::Garbled(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_goes_with_its_finalizer_and_keeps_its_value() {
        let metadata = json!({"uid": "u", "resourceVersion": "7", "finalizers": ["old/x", "other/y"]});
        let seen = Finalizers::of(metadata).unwrap();
        let handling = Handling::Swap { finalizer: ("old/x", "new/x"), annotation: ("old/skip", "new/skip") };

        let patch = patch(&seen, &json!({"old/skip": "true"}), handling).unwrap();

        let edits = patch.as_array().unwrap().get(3..).unwrap();
        assert_eq!(
            edits,
            [
                json!({"op": "replace", "path": "/metadata/finalizers/0", "value": "new/x"}),
                json!({"op": "remove", "path": "/metadata/annotations/old~1skip"}),
                json!({"op": "add", "path": "/metadata/annotations/new~1skip", "value": "true"}),
            ]
        );
    }
}
