//! Objects as they are, read and declared: what installs and looks at ourselves, not what controllers work on.
//!
//! A declaration is a server-side apply under one field manager: it may be repeated, and says which fields somebody else
//! holds instead of taking them. Knows no kind.

use std::fmt;

use http::header::{ACCEPT, CONTENT_TYPE, DATE};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use kube::Client;
use serde_json::Value;
use units::{ApiVersion, GroupVersionKind};

use crate::client::{ask_for, bounded, get};
use crate::discovery::Resource;
use crate::error::{ApiError, Class, Classify};
use crate::limits::LIST_PAGE_OBJECTS;
use crate::paths;

/// Our name in `managedFields`.
pub const FIELD_MANAGER: &str = "groundskeeper";

/// Which object is meant.
#[derive(Clone, Copy, Debug)]
pub struct ObjectRef<'a> {
    /// What it is.
    pub resource: &'a Resource,
    /// Where it lies; none if the kind has no namespaces.
    pub namespace: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
}

impl ObjectRef<'_> {
    pub(crate) fn path(&self) -> String {
        let collection =
            paths::collection(&self.resource.kind.api_version, &self.resource.plural, self.namespace);
        format!("{collection}/{}", paths::segment(self.name))
    }
}

/// As `kubectl` writes it: `deployment.apps/groundskeeper`.
impl fmt::Display for ObjectRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource.kind.kind.to_lowercase())?;
        if !self.resource.kind.group().is_empty() {
            write!(f, ".{}", self.resource.kind.group())?;
        }
        write!(f, "/{}", self.name)
    }
}

/// Whether a declaration is only tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is written.
    Real,
    /// The server judges it, defaults included, and writes nothing.
    DryRun,
}

/// What happens to fields that another manager holds and that we declare otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// Nothing is written, and they are named.
    Refuse,
    /// They become ours.
    Take,
}

/// A field that somebody else holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldField {
    /// Which, as a path.
    pub field: String,
    /// The server's words about who holds it.
    pub holder: String,
}

/// Why an object was not declared.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeclareError {
    /// Somebody else holds fields that we declare otherwise.
    #[error("{}", held(.0))]
    Held(Vec<HeldField>),
    /// The call failed.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl Classify for DeclareError {
    fn class(&self) -> Class {
        match self {
            Self::Held(_) => Class::Conflict,
            Self::Api(error) => error.class(),
        }
    }
}

fn held(fields: &[HeldField]) -> String {
    let fields: Vec<_> = fields.iter().map(|held| format!("{} ({})", held.field, held.holder)).collect();
    fields.join(", ")
}

/// Reads an object; none if it is not there.
pub async fn look_at(client: &Client, object: ObjectRef<'_>) -> Result<Option<Value>, ApiError> {
    match ask_for(client, get(&object.path(), "application/json")?).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a few objects: those with a label selector in a namespace, or everywhere; the first `most`.
///
/// The flag says whether there are more.
pub async fn look_for(
    client: &Client,
    resource: &Resource,
    namespace: Option<&str>,
    labels: &str,
    most: u32,
) -> Result<(Vec<Value>, bool), ApiError> {
    let path = paths::collection(&resource.kind.api_version, &resource.plural, namespace);
    let labels = paths::segment(labels);
    let path = format!("{path}?limit={most}&labelSelector={labels}");
    let mut list: Value = ask_for(client, get(&path, "application/json")?).await?;
    let more = list.pointer("/metadata/continue").and_then(Value::as_str).is_some_and(|at| !at.is_empty());
    match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => Ok((items, more)),
        _ => Err(ApiError::Garbled(format!("{path} is no list"))),
    }
}

/// Reads all objects of a kind in all namespaces, as far as a field selector selects them, in pages of
/// [`LIST_PAGE_OBJECTS`](crate::limits::LIST_PAGE_OBJECTS).
pub async fn list(
    client: &Client,
    resource: &Resource,
    fields: Option<&str>,
) -> Result<Vec<Value>, ApiError> {
    let fields =
        fields.map(|fields| format!("&fieldSelector={}", paths::segment(fields))).unwrap_or_default();
    pages(client, resource, (&fields, "application/json"), |object| object).await
}

/// Reads the metadata of all objects of a kind in all namespaces, in pages: what lies below `metadata` of each, and no more.
pub async fn list_metadata(client: &Client, resource: &Resource) -> Result<Vec<Value>, ApiError> {
    read_metadata(client, resource, |object| object).await
}

/// The same, of which only what is read is kept: no more than a page is in memory at one time.
pub async fn read_metadata<T>(
    client: &Client,
    resource: &Resource,
    read: impl Fn(Value) -> T,
) -> Result<Vec<T>, ApiError> {
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    pages(client, resource, ("", accept), read).await
}

async fn pages<T>(
    client: &Client,
    resource: &Resource,
    (selection, accept): (&str, &str),
    read: impl Fn(Value) -> T,
) -> Result<Vec<T>, ApiError> {
    let collection = paths::collection(&resource.kind.api_version, &resource.plural, None);
    let mut objects = Vec::new();
    let mut next = String::new();
    loop {
        let path = format!("{collection}?limit={LIST_PAGE_OBJECTS}{selection}{next}");
        let mut page: Value = ask_for(client, get(&path, accept)?).await?;
        match page.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => objects.extend(items.into_iter().map(&read)),
            Some(Value::Null) => {}
            _ => return Err(ApiError::Garbled(format!("{path} is no list"))),
        }
        match page.pointer("/metadata/continue").and_then(Value::as_str) {
            Some(at) if !at.is_empty() => next = format!("&continue={}", paths::segment(at)),
            _ => return Ok(objects),
        }
    }
}

/// Declares an object by a server-side apply, and returns it as it then is.
pub async fn declare(
    client: &Client,
    object: ObjectRef<'_>,
    manifest: &Value,
    effect: Effect,
    on_conflict: OnConflict,
) -> Result<Value, DeclareError> {
    let mut path = format!("{}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict", object.path());
    if on_conflict == OnConflict::Take {
        path += "&force=true";
    }
    if effect == Effect::DryRun {
        path += "&dryRun=All";
    }
    let request = http::Request::patch(path)
        .header(CONTENT_TYPE, "application/apply-patch+yaml")
        .body(manifest.to_string().into_bytes())
        .map_err(|error| ApiError::Garbled(error.to_string()))?;
    // The causes of a conflict are lost in our own error, so that it is looked at before.
    let mut fields = Vec::new();
    let call = async {
        let answer = client.request(request).await;
        if let Err(kube::Error::Api(status)) = &answer {
            fields = held_fields(status);
        }
        answer
    };
    match bounded(call).await {
        Err(_) if !fields.is_empty() => Err(DeclareError::Held(fields)),
        answer => Ok(answer?),
    }
}

/// Writes and removes annotations of an object, and returns it as it then is. The preconditions, a UID or a version in
/// `metadata`, are the server's to check: it refuses with 409 if the object is another one by then.
pub async fn annotate(
    client: &Client,
    object: ObjectRef<'_>,
    preconditions: &Value,
    annotations: &Value,
) -> Result<Value, ApiError> {
    let mut metadata = preconditions.as_object().cloned().unwrap_or_default();
    metadata.insert("annotations".to_owned(), annotations.clone());
    merge(client, object, &serde_json::json!({ "metadata": metadata })).await
}

/// Writes fields of an object by a merge patch, and returns it as it then is. A UID or a version in the patch's `metadata`
/// is a precondition, and the server's to check: it refuses with 409 if the object is another one by then. Not for
/// lists that others write to, such as finalizers: it would write what it does not know.
pub async fn merge(client: &Client, object: ObjectRef<'_>, patch: &Value) -> Result<Value, ApiError> {
    let request = http::Request::patch(format!("{}?fieldManager={FIELD_MANAGER}", object.path()))
        .header(CONTENT_TYPE, "application/merge-patch+json")
        .body(patch.to_string().into_bytes())
        .map_err(|error| ApiError::Garbled(error.to_string()))?;
    ask_for(client, request).await
}

fn held_fields(status: &kube::core::Status) -> Vec<HeldField> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| HeldField { field: cause.field.clone(), holder: cause.message.clone() })
        .collect()
}

/// Hands in a review (of rights, of a token) and returns the server's answer. Nothing is stored.
pub async fn review(client: &Client, resource: &Resource, review: &Value) -> Result<Value, ApiError> {
    post(client, paths::collection(&resource.kind.api_version, &resource.plural, None), review).await
}

/// Lets the server judge the creation of an object, and returns it as it would be. Nothing is stored.
pub async fn try_create(
    client: &Client,
    resource: &Resource,
    namespace: Option<&str>,
    manifest: &Value,
) -> Result<Value, ApiError> {
    let path = paths::collection(&resource.kind.api_version, &resource.plural, namespace);
    post(client, format!("{path}?dryRun=All&fieldManager={FIELD_MANAGER}"), manifest).await
}

/// Creates an object, and returns it as it then is: 409 says that there is one of that name. Never repeated: if the answer
/// is lost, only a look can tell.
pub async fn create(
    client: &Client,
    resource: &Resource,
    namespace: Option<&str>,
    manifest: &Value,
    effect: Effect,
) -> Result<Value, ApiError> {
    let path = paths::collection(&resource.kind.api_version, &resource.plural, namespace);
    let dry_run = if effect == Effect::DryRun { "&dryRun=All" } else { "" };
    post(client, format!("{path}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict{dry_run}"), manifest)
        .await
}

async fn post(client: &Client, path: String, body: &Value) -> Result<Value, ApiError> {
    let request = http::Request::post(path)
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes())
        .map_err(|error| ApiError::Garbled(error.to_string()))?;
    ask_for(client, request).await
}

/// The plurals that the cluster serves in a group and version; none if it does not serve it.
pub async fn served(client: &Client, version: &ApiVersion) -> Result<Vec<String>, ApiError> {
    let request = get(&paths::group_version(version), "application/json")?;
    let list: Value = match ask_for(client, request).await {
        Ok(list) => list,
        Err(error) if error.code() == Some(404) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let names = list.get("resources").and_then(Value::as_array).into_iter().flatten();
    Ok(names.filter_map(|resource| resource.get("name")?.as_str().map(ToOwned::to_owned)).collect())
}

/// The kind that somebody means by one of its names: its kind, singular, plural or short name, in any case, with its
/// group behind a dot or without one. Of several groups that have it, the first in the server's order.
///
/// # Errors
///
/// If the server does not answer, or its answer cannot be read. A group that fails alone is passed over.
pub async fn find_kind(client: &Client, name: &str) -> Result<Option<Resource>, ApiError> {
    let name = name.to_lowercase();
    let (short, group) = name.split_once('.').unwrap_or((&name, ""));
    if group.is_empty()
        && let Some(found) = kind_in(client, "v1", short).await?
    {
        return Ok(Some(found));
    }
    let groups: Value = ask_for(client, get("/apis", "application/json")?).await?;
    let groups = groups.get("groups").and_then(Value::as_array).cloned().unwrap_or_default();
    for known in groups {
        let text = |pointer: &str| known.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if !group.is_empty() && group != text("/name") {
            continue;
        }
        match kind_in(client, text("/preferredVersion/groupVersion"), short).await {
            Ok(None) | Err(ApiError::Refused { .. }) => {}
            found => return found,
        }
    }
    Ok(None)
}

async fn kind_in(client: &Client, version: &str, name: &str) -> Result<Option<Resource>, ApiError> {
    let Ok(api_version) = version.parse::<ApiVersion>() else { return Ok(None) };
    let list: Value = ask_for(client, get(&paths::group_version(&api_version), "application/json")?).await?;
    let listed = list.get("resources").and_then(Value::as_array).into_iter().flatten();
    let found = listed.into_iter().find(|listed| is_called(listed, name));
    Ok(found.map(|listed| {
        let text = |field: &str| listed.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let verbs = listed.get("verbs").and_then(Value::as_array).into_iter().flatten();
        Resource {
            kind: GroupVersionKind { api_version, kind: text("kind") },
            plural: text("name"),
            namespaced: listed.get("namespaced").and_then(Value::as_bool).unwrap_or_default(),
            verbs: verbs.filter_map(|verb| verb.as_str().map(ToOwned::to_owned)).collect(),
        }
    }))
}

/// Whether a resource has this name, in lower case.
fn is_called(listed: &Value, name: &str) -> bool {
    let text = |field: &str| listed.get(field).and_then(Value::as_str).unwrap_or_default();
    let mut short = listed.get("shortNames").and_then(Value::as_array).into_iter().flatten();
    let names = [text("name"), text("singularName"), &text("kind").to_lowercase()];
    !text("name").contains('/') && (names.contains(&name) || short.any(|short| short.as_str() == Some(name)))
}

/// What the API server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerVersion {
    /// The major version.
    pub major: u32,
    /// The minor version, without the `+` that some providers write.
    pub minor: u32,
    /// The whole name, such as `v1.36.3`.
    pub name: String,
}

/// The version of the API server, and its clock as it stands in the answer, to a second.
pub async fn server_version(client: &Client) -> Result<(ServerVersion, Option<Timestamp>), ApiError> {
    let request = http::Request::get("/version")
        .header(ACCEPT, "application/json")
        .body(kube::client::Body::empty())
        .map_err(|error| ApiError::Garbled(error.to_string()))?;
    let (head, body) = bounded(client.send(request)).await?.into_parts();
    let date = head.headers.get(DATE).and_then(|date| date.to_str().ok()).and_then(date_of);
    let body = bounded(async { body.collect_bytes().await }).await?;
    let version = serde_json::from_slice::<Value>(&body).ok().as_ref().and_then(version_of);
    let garbled = || ApiError::Garbled("/version does not tell a version".to_owned());
    Ok((version.ok_or_else(garbled)?, date))
}

fn version_of(answer: &Value) -> Option<ServerVersion> {
    let number = |field: &str| {
        let text = answer.get(field)?.as_str()?;
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    let name = answer.get("gitVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(ServerVersion { major: number("major")?, minor: number("minor")?, name })
}

fn date_of(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn versions_and_dates_are_read_as_servers_write_them() {
        let version = version_of(&json!({"major": "1", "minor": "36+", "gitVersion": "v1.36.3"})).unwrap();
        assert_eq!(version, ServerVersion { major: 1, minor: 36, name: "v1.36.3".into() });
        assert_eq!(version_of(&json!({"major": "1", "minor": ""})), None);
        let date = date_of("Sat, 21 Nov 2026 07:42:54 GMT").unwrap();
        assert_eq!(date, "2026-11-21T07:42:54Z".parse().unwrap());
    }

    #[test]
    fn a_kind_is_called_by_each_of_its_names() {
        let listed = json!({
            "name": "configmaps", "singularName": "configmap", "kind": "ConfigMap", "shortNames": ["cm"],
        });
        for name in ["configmaps", "configmap", "cm"] {
            assert!(is_called(&listed, name), "{name}");
        }
        assert!(!is_called(&listed, "") && !is_called(&listed, "config"));
        assert!(!is_called(&json!({"name": "pods/status", "kind": "Pod"}), "pod"));
    }

    #[test]
    fn an_object_is_named_as_kubectl_names_it() {
        let named = |api_version: &str, kind: &str, plural: &str, namespace| {
            let kind =
                units::GroupVersionKind { api_version: api_version.parse().unwrap(), kind: kind.into() };
            let resource = Resource { kind, plural: plural.into(), namespaced: true, verbs: Vec::new() };
            let object = ObjectRef { resource: &resource, namespace, name: "a:b" };
            (object.to_string(), object.path())
        };
        assert_eq!(
            named("apps/v1", "Deployment", "deployments", Some("team")),
            ("deployment.apps/a:b".into(), "/apis/apps/v1/namespaces/team/deployments/a:b".into())
        );
        assert_eq!(
            named("v1", "Namespace", "namespaces", None),
            ("namespace/a:b".into(), "/api/v1/namespaces/a:b".into())
        );
    }
}
