//! What the API server knows of a storage node, and is told of its end.
//!
//! Knows nothing of Portworx' own interfaces. A Node is labelled only as long as it is the one that left: another that has
//! come under its name has another UID.

use chassis::ApiError;
use k8s_openapi::api::core::v1::Node;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use node_cleanup::contract;
use serde_json::{Value, json};

use super::answers::{Labelled, Trouble};
use crate::limits::{PORTWORX_KUBERNETES_TIMEOUT, PORTWORX_STORAGE_NODES_MAX};

/// The label that tells Portworx to stay away from a Node.
const LABEL: (&str, &str) = ("px/enabled", "remove");

/// The id that the `StorageNode` of this name has, in whatever namespace it lies; none if there is no such object, or no such
/// kind, or Portworx has not given it one.
pub(super) async fn storage_node(client: &Client, name: &str) -> Result<Option<String>, Trouble> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind());
    let named =
        ListParams::default().fields(&format!("metadata.name={name}")).limit(PORTWORX_STORAGE_NODES_MAX);
    let listed = match within(api.list(&named)).await {
        Ok(listed) => listed.items,
        Err(error) if error.code() == Some(404) => return Ok(None),
        Err(error) => return Err(trouble("list storagenodes.core.libopenstorage.org", &error)),
    };
    let mut ids: Vec<&str> = listed.iter().filter_map(node_uid).collect();
    ids.sort_unstable();
    ids.dedup();
    match ids.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some((*only).to_owned())),
        several => Err(Trouble::BadAnswer(format!(
            "{} StorageNodes of the name `{name}` have different ids: label the Node with the right one, and name that label in settings.nodeIdLabel",
            several.len()
        ))),
    }
}

/// Labels the Node of this departure, if it is still there.
pub(super) async fn label(client: &Client, node: &contract::Node) -> Result<Labelled, Trouble> {
    let (key, value) = LABEL;
    // The UID is a precondition: of another Node of this name nothing is changed.
    let patch = Patch::Merge(json!({ "metadata": { "uid": node.uid, "labels": { key: value } } }));
    let api: Api<Node> = Api::all(client.clone());
    match within(api.patch_metadata(&node.name, &PatchParams::default(), &patch)).await {
        Ok(_) => Ok(Labelled::Yes),
        Err(error) if is_refusal(&error) && !is_there(&api, node).await? => Ok(Labelled::NoNode),
        Err(error) => Err(trouble("patch nodes", &error)),
    }
}

/// Whether the server may have refused because the Node is gone: another UID is a field that cannot be changed, which others
/// refuse with the same code for reasons of their own.
const fn is_refusal(error: &ApiError) -> bool {
    matches!(error.code(), Some(404 | 409 | 422))
}

async fn is_there(api: &Api<Node>, node: &contract::Node) -> Result<bool, Trouble> {
    let found =
        within(api.get_metadata_opt(&node.name)).await.map_err(|error| trouble("get nodes", &error))?;
    Ok(found.is_some_and(|found| found.metadata.uid.as_ref() == Some(&node.uid)))
}

async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    let late = |_| ApiError::TimedOut(PORTWORX_KUBERNETES_TIMEOUT);
    tokio::time::timeout(PORTWORX_KUBERNETES_TIMEOUT, call).await.map_err(late)?.map_err(ApiError::from)
}

fn trouble(what: &str, error: &ApiError) -> Trouble {
    match error.code() {
        Some(401 | 403) => Trouble::Denied(format!("the operator's service account may not {what}: {error}")),
        _ => Trouble::Error(format!("cannot {what}: {error}")),
    }
}

fn kind() -> ApiResource {
    ApiResource {
        group: "core.libopenstorage.org".to_owned(),
        version: "v1".to_owned(),
        api_version: "core.libopenstorage.org/v1".to_owned(),
        kind: "StorageNode".to_owned(),
        plural: "storagenodes".to_owned(),
    }
}

fn node_uid(object: &DynamicObject) -> Option<&str> {
    object.data.pointer("/status/nodeUid").and_then(Value::as_str).filter(|id| !id.is_empty())
}
