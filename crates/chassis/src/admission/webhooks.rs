//! The webhook configurations that lead to us, and the bundle that callers are to trust.
//!
//! Of a configuration only the `caBundle` of each webhook is ever written, by a JSON patch that fails if anything has
//! changed since it was read.

use http::header::CONTENT_TYPE;
use k8s_openapi::ByteString;
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::{ask, ask_for, get};
use crate::error::ApiError;
use crate::paths::segment;

const RESOURCES: [&str; 2] = ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"];

/// Who has written a bundle, as it stands in `managedFields`. Not the manager of the installation, which may then be
/// repeated without taking the bundle away.
const FIELD_MANAGER: &str = "groundskeeper-certificates";

/// A configuration as it was read.
#[derive(Debug)]
pub(super) struct Configuration {
    path: String,
    version: String,
    /// The bundle of each webhook, in base64.
    bundles: Vec<String>,
}

#[derive(Deserialize)]
struct Read {
    metadata: Metadata,
    #[serde(default)]
    webhooks: Vec<Webhook>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    client_config: ClientConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientConfig {
    #[serde(default)]
    ca_bundle: String,
}

/// Reads the configurations of this name, of both kinds; one that does not exist leads nobody to us.
pub(super) async fn read(client: &Client, name: &str) -> Result<Vec<Configuration>, ApiError> {
    let mut found = Vec::new();
    for resource in RESOURCES {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{resource}/{}", segment(name));
        let request = get(&path, "application/json")?;
        let read: Read = match ask_for(client, request).await {
            Ok(read) => read,
            Err(error) if error.code() == Some(404) => continue,
            Err(error) => return Err(error),
        };
        let bundles = read.webhooks.into_iter().map(|webhook| webhook.client_config.ca_bundle).collect();
        found.push(Configuration { path, version: read.metadata.resource_version, bundles });
    }
    Ok(found)
}

impl Configuration {
    /// Whether every webhook shows exactly this bundle.
    pub(super) fn shows(&self, bundle: &str) -> bool {
        let wanted = encoded(bundle);
        self.bundles.iter().all(|shown| wanted.as_str() == Some(shown))
    }

    /// Makes every webhook show this bundle.
    pub(super) async fn show(&self, client: &Client, bundle: &str) -> Result<(), ApiError> {
        let garbled = |error: &dyn std::fmt::Display| ApiError::Garbled(error.to_string());
        let body = serde_json::to_vec(&self.patch(bundle)).map_err(|error| garbled(&error))?;
        let request = http::Request::patch(format!("{}?fieldManager={FIELD_MANAGER}", self.path))
            .header(CONTENT_TYPE, "application/json-patch+json")
            .body(body)
            .map_err(|error| garbled(&error))?;
        ask(client, request).await.map(drop)
    }

    fn patch(&self, bundle: &str) -> Value {
        let unchanged = json!({"op": "test", "path": "/metadata/resourceVersion", "value": self.version});
        let wanted = encoded(bundle);
        let one = |at: usize| json!({"op": "add", "path": format!("/webhooks/{at}/clientConfig/caBundle"), "value": wanted});
        let stale = self.bundles.iter().enumerate().filter(|(_, shown)| wanted.as_str() != Some(shown));
        std::iter::once(unchanged).chain(stale.map(|(at, _)| one(at))).collect()
    }
}

fn encoded(bundle: &str) -> Value {
    json!(ByteString(bundle.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bundles_that_differ_are_written_and_only_on_what_was_read() {
        let configuration = Configuration {
            path: String::new(),
            version: "7".to_owned(),
            bundles: vec!["YWJj".to_owned(), String::new()],
        };
        assert!(!configuration.shows("abc"));
        assert_eq!(
            configuration.patch("abc"),
            json!([
                {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
                {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": "YWJj"},
            ])
        );
    }
}
