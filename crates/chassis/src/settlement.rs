//! What became of intents that had no outcome when their process ended.
//!
//! Looks at each object once the API server answers, and writes down what it finds. What cannot be told, for lack of
//! rights or because the kind is gone, stays open and comes again at the next start.

use kube::Client;
use serde::Deserialize;
use units::{ApiVersion, GroupVersionKind};

use crate::client::{ask, get};
use crate::discovery::{Resource, Unserved, resolve};
use crate::error::{ApiError, Class, Classify as _};
use crate::ledger::{Evidence, Ledger, Settled, Subject, UnsettledIntent};
use crate::limits::{SETTLEMENT_ATTEMPTS_MAX, SETTLEMENT_RETRY_FIRST, SETTLEMENT_RETRY_MAX};
use crate::paths;

/// What is found where the object of an intent was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, or another object of that name.
    Gone,
    /// It, on its way out.
    Terminating,
    /// It, as if nothing had happened.
    There,
}

/// Settles what earlier processes have left open.
pub async fn settle(client: Client, ledger: Ledger, unsettled: Vec<UnsettledIntent>) {
    for intent in unsettled {
        if !matches!(intent.body.act.as_deref(), Some("delete" | "evict")) {
            // That an object is there says nothing of what was written on it, and whoever reads the note sees it there.
            let evidence = Evidence::default().with("found", "the object was not looked at");
            ledger.settle(&intent, Settled::Unknown, evidence).await;
            continue;
        }
        let Subject { kind, namespace, name, .. } = &intent.object;
        match look_until_answered(&client, &intent.object).await {
            Ok(found) => {
                let (settled, word) = match found {
                    Found::Gone => (Settled::Done, "the object is gone"),
                    Found::Terminating => (Settled::Done, "the object is being deleted"),
                    Found::There => (Settled::NotDone, "the object is there"),
                };
                tracing::info!(
                    sequence = intent.sequence,
                    kind,
                    namespace,
                    name,
                    outcome = settled.name(),
                    "settled an intent that had no outcome"
                );
                ledger.settle(&intent, settled, Evidence::default().with("found", word)).await;
            }
            Err(error) => {
                tracing::warn!(sequence = intent.sequence, kind, namespace, name, %error, "cannot tell what became of an intent; the next start looks again");
            }
        }
    }
}

async fn look_until_answered(client: &Client, object: &Subject) -> Result<Found, ApiError> {
    let mut backoff =
        control::Backoff::new(SETTLEMENT_RETRY_FIRST, SETTLEMENT_RETRY_MAX, &(&object.uid, &object.name));
    loop {
        match look(client, object).await {
            Err(error)
                if error.class() == Class::Transient && backoff.failures() < SETTLEMENT_ATTEMPTS_MAX =>
            {
                tokio::time::sleep(backoff.after_failure()).await;
            }
            answer => return answer,
        }
    }
}

#[derive(Deserialize)]
struct List {
    /// The API server writes `null` for none.
    items: Option<Vec<views::Object>>,
}

async fn look(client: &Client, object: &Subject) -> Result<Found, ApiError> {
    let api_version: ApiVersion =
        object.api_version.parse().map_err(|_| ApiError::Garbled("an API version".to_owned()))?;
    let kind = GroupVersionKind { api_version, kind: object.kind.clone() };
    let resource = match resolve(client, &kind).await {
        Ok(resource) => resource,
        // With its kind, the object is gone as well.
        Err(Unserved::NotFound { .. }) => return Ok(Found::Gone),
        Err(Unserved::Api { source, .. }) => return Err(source),
    };
    look_in(client, &resource, object).await
}

/// Looks at an object of a resource that is known, by a list of one name: to list is a right that the collector has
/// anyway, to get is not.
pub(crate) async fn look_in(
    client: &Client,
    resource: &Resource,
    object: &Subject,
) -> Result<Found, ApiError> {
    find(client, resource, &object.namespace, (&object.name, &object.uid)).await
}

async fn find(
    client: &Client,
    resource: &Resource,
    namespace: &str,
    (name, uid): (&str, &str),
) -> Result<Found, ApiError> {
    let namespace = Some(namespace).filter(|namespace| resource.namespaced && !namespace.is_empty());
    let path = paths::collection(&resource.kind.api_version, &resource.plural, namespace);
    let path = format!("{path}?fieldSelector=metadata.name%3D{}", paths::segment(name));
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let text = ask(client, get(&path, accept)?).await?;
    let List { items } = serde_json::from_str(&text).map_err(|error| ApiError::Garbled(error.to_string()))?;
    let is_it =
        |found: &&views::Object| found.metadata.uid.as_ref().is_some_and(|found| found.to_string() == uid);
    Ok(match items.iter().flatten().find(is_it) {
        None => Found::Gone,
        Some(found) if found.metadata.deletion_timestamp.is_some() => Found::Terminating,
        Some(_) => Found::There,
    })
}

/// Whether this incarnation of an object is there, or still on its way out; in `namespace` if its kind has namespaces.
///
/// Asks the server itself, by a list of one name. A kind that the cluster does not serve says nothing of its objects.
///
/// # Errors
///
/// If the kind is not served, or the server refuses (the right to `list` is needed) or does not answer.
pub async fn is_there(
    client: &Client,
    kind: &GroupVersionKind,
    namespace: &str,
    (name, uid): (&str, &str),
) -> Result<bool, Unserved> {
    let resource = resolve(client, kind).await?;
    let found = find(client, &resource, namespace, (name, uid)).await;
    let found = found.map_err(|source| Unserved::Api { kind: kind.clone().into(), source })?;
    Ok(!matches!(found, Found::Gone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_nothing_is_written_as_null() {
        let List { items } = serde_json::from_str(r#"{"metadata":{},"items":null}"#).unwrap();
        assert!(items.is_none());
    }
}
