//! A lease as the API server holds it.

use std::time::Duration;

use control::{Attempt, LeaseRecord};
use jiff::Timestamp;
use kube::Client;
use serde::{Deserialize, Serialize};
use units::ApiVersion;

use super::LeaseOptions;
use crate::client::{get as get_request, within};
use crate::error::ApiError;
use crate::paths;

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Lease {
    api_version: String,
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    resource_version: String,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    holder_identity: Option<String>,
    #[serde(default)]
    lease_duration_seconds: Option<u32>,
    #[serde(default)]
    acquire_time: Option<String>,
    #[serde(default)]
    renew_time: Option<String>,
    #[serde(default)]
    lease_transitions: Option<u32>,
}

/// The lease as it stands; none if there is none.
pub(super) async fn get(
    client: &Client,
    options: &LeaseOptions,
    patience: Duration,
) -> Result<Option<LeaseRecord>, ApiError> {
    let request = get_request(&path(options, Some(&options.name)), "application/json")?;
    match within(patience, client.request_text(request)).await {
        Ok(text) => read(&text).map(Some),
        Err(ApiError::Refused { code: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a lease: creates it, or replaces the very version that the attempt names. Returns what is stored.
pub(super) async fn put(
    client: &Client,
    options: &LeaseOptions,
    attempt: &Attempt,
    patience: Duration,
) -> Result<LeaseRecord, ApiError> {
    let garbled = |error: &dyn std::fmt::Display| ApiError::Garbled(error.to_string());
    let body = serde_json::to_vec(&lease(options, attempt)).map_err(|error| garbled(&error))?;
    let builder = if attempt.creates() {
        http::Request::post(path(options, None))
    } else {
        http::Request::put(path(options, Some(&options.name)))
    };
    let request = builder
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(|error| garbled(&error))?;
    read(&within(patience, client.request_text(request)).await?)
}

fn path(options: &LeaseOptions, name: Option<&str>) -> String {
    let version = ApiVersion { group: "coordination.k8s.io".to_owned(), version: "v1".to_owned() };
    match name {
        Some(name) => paths::object(&version, "leases", &options.namespace, name),
        None => paths::collection(&version, "leases", Some(&options.namespace)),
    }
}

fn lease(options: &LeaseOptions, attempt: &Attempt) -> Lease {
    let record = attempt.record();
    Lease {
        api_version: "coordination.k8s.io/v1".to_owned(),
        kind: "Lease".to_owned(),
        metadata: Metadata {
            name: options.name.clone(),
            namespace: options.namespace.clone(),
            resource_version: record.resource_version.to_string(),
        },
        spec: Spec {
            holder_identity: Some(record.holder.to_string()),
            lease_duration_seconds: Some(u32::try_from(record.duration.as_secs()).unwrap_or(u32::MAX)),
            acquire_time: Some(micros(record.acquired_at)),
            renew_time: Some(micros(record.renewed_at)),
            lease_transitions: Some(record.transitions),
        },
    }
}

/// Reads what is stored. A lease that somebody else has filled in strangely is read as far as it goes.
fn read(text: &str) -> Result<LeaseRecord, ApiError> {
    let Lease { metadata, spec, .. } =
        serde_json::from_str(text).map_err(|error| ApiError::Garbled(error.to_string()))?;
    let time = |text: Option<String>| {
        text.and_then(|text| text.parse::<Timestamp>().ok()).unwrap_or(Timestamp::UNIX_EPOCH)
    };
    Ok(LeaseRecord {
        holder: spec.holder_identity.unwrap_or_default().into(),
        duration: Duration::from_secs(u64::from(spec.lease_duration_seconds.unwrap_or(0))),
        acquired_at: time(spec.acquire_time),
        renewed_at: time(spec.renew_time),
        transitions: spec.lease_transitions.unwrap_or(0),
        resource_version: metadata.resource_version.into(),
    })
}

/// `metav1.MicroTime`.
fn micros(at: Timestamp) -> String {
    format!("{at:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_of_another_program_is_read_as_far_as_it_goes() {
        let text = r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"a","namespace":"n","resourceVersion":"7"}}"#;
        let record = read(text).unwrap();
        assert_eq!((&*record.holder, record.transitions, &*record.resource_version), ("", 0, "7"));

        let text = r#"{"apiVersion":"v1","kind":"Lease","metadata":{"name":"a","namespace":"n","resourceVersion":"8"},
            "spec":{"holderIdentity":"x","renewTime":"nonsense","leaseDurationSeconds":15,"leaseTransitions":3,"strategy":"?"}}"#;
        let record = read(text).unwrap();
        assert_eq!((&*record.holder, record.transitions), ("x", 3));
        assert_eq!(record.renewed_at, Timestamp::UNIX_EPOCH);
    }
}
