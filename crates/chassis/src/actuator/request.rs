//! The requests that acts take, each with its preconditions.

use control::Mutant;
use serde_json::{Value, json};

use super::options::{DeleteOptions, Form, Preconditions};
use super::{Act, Manner, Target};
use crate::error::ApiError;
use crate::paths;
use crate::service_account::IMPERSONATE_USER;

pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";
pub(super) const JSON_PATCH: &str = "application/json-patch+json";

/// The one request that an act takes. What changes finalizers has to read them first: its request is a [`patch`].
pub(super) fn of(target: &Target, act: &Act) -> Result<http::Request<Vec<u8>>, ApiError> {
    let path = path(target);
    match act {
        Act::Delete(manner) => {
            let form = Form::of(&target.resource.kind.api_version);
            let options = deletion(target, *manner).written(form);
            let options = options.map_err(|error| ApiError::Garbled(error.to_string()))?;
            let builder = http::Request::delete(path).header(http::header::ACCEPT, form.answers());
            made(target, builder, form.name(), options)
        }
        Act::Evict { grace_period_seconds } => {
            let builder = http::Request::post(format!("{path}/eviction"));
            let body = eviction(target, *grace_period_seconds).to_string();
            made(target, builder, Form::Json.name(), body.into_bytes())
        }
        Act::Notify { annotation } => patch(target, MERGE_PATCH, &note(target, annotation)),
        Act::AddFinalizer(_) | Act::RemoveFinalizer(_) | Act::Release(_) => {
            Err(ApiError::Garbled("finalizers are changed as they were read".to_owned()))
        }
    }
}

/// A patch of this form.
pub(super) fn patch(
    target: &Target,
    form: &'static str,
    patch: &Value,
) -> Result<http::Request<Vec<u8>>, ApiError> {
    made(target, http::Request::patch(path(target)), form, patch.to_string().into_bytes())
}

fn path(target: &Target) -> String {
    let Target { resource, namespace, name, .. } = target;
    paths::object(&resource.kind.api_version, &resource.plural, namespace, name)
}

fn made(
    target: &Target,
    mut builder: http::request::Builder,
    form: &'static str,
    body: Vec<u8>,
) -> Result<http::Request<Vec<u8>>, ApiError> {
    if let Some(account) = &target.act_as {
        // The server knows the groups of a service account by its name. To name them would take the right to impersonate
        // groups, which is more than anybody should have to give.
        builder = builder.header(IMPERSONATE_USER, account.to_string());
    }
    builder
        .header(http::header::CONTENT_TYPE, form)
        .body(body)
        .map_err(|error| ApiError::Garbled(error.to_string()))
}

fn deletion(target: &Target, manner: Manner) -> DeleteOptions<'_> {
    DeleteOptions {
        kind: "DeleteOptions",
        api_version: "v1",
        propagation_policy: manner.propagation,
        grace_period_seconds: manner.grace_period_seconds,
        preconditions: preconditions(target),
    }
}

fn eviction(target: &Target, grace_period_seconds: Option<i64>) -> Value {
    let mut options = json!({"preconditions": preconditions(target)});
    if let (Some(seconds), Some(options)) = (grace_period_seconds, options.as_object_mut()) {
        options.insert("gracePeriodSeconds".to_owned(), seconds.into());
    }
    json!({
        "kind": "Eviction",
        "apiVersion": "policy/v1",
        "metadata": {"namespace": target.namespace, "name": target.name},
        "deleteOptions": options,
    })
}

/// A merge patch that writes one annotation. UID and version in it are preconditions, for neither can be changed.
fn note(target: &Target, (key, value): &(&'static str, String)) -> Value {
    let mut metadata = json!(preconditions(target));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("annotations".to_owned(), json!({ *key: value }));
    }
    json!({"metadata": metadata})
}

fn preconditions(target: &Target) -> Preconditions<'_> {
    if Mutant::NoUidPrecondition.is_on() {
        return Preconditions::default();
    }
    let resource_version = target.resource_version.as_ref().filter(|_| !Mutant::NoResourceVersion.is_on());
    Preconditions { uid: Some(&target.uid), resource_version }
}

#[cfg(test)]
mod tests {
    use super::super::tests::target;
    use super::*;
    use crate::service_account::ServiceAccountName;

    fn body(request: &http::Request<Vec<u8>>) -> Value {
        serde_json::from_slice(request.body()).unwrap()
    }

    #[test]
    fn a_deletion_carries_uid_and_version_as_preconditions() {
        let act = Act::Delete(Manner { propagation: "Background", grace_period_seconds: Some(0) });
        let request = of(&target("example.com/v1", "team"), &act).unwrap();
        assert_eq!(request.method(), http::Method::DELETE);
        assert_eq!(request.uri().path(), "/apis/example.com/v1/namespaces/team/things/a");
        let body = body(&request);
        assert_eq!(body["preconditions"], json!({"uid": "u-1", "resourceVersion": "7"}));
        assert_eq!(
            (&body["gracePeriodSeconds"], &body["propagationPolicy"]),
            (&json!(0), &json!("Background"))
        );
    }

    #[test]
    fn what_is_done_for_somebody_carries_their_name_and_what_is_not_carries_none() {
        let act_as = Some(ServiceAccountName::new("team", "robot").unwrap());
        let manner = Manner { propagation: "Background", grace_period_seconds: None };
        let shown = |target| {
            let request = of(&target, &Act::Delete(manner)).unwrap();
            request.headers().get(IMPERSONATE_USER).map(|user| user.to_str().unwrap().to_owned())
        };
        let theirs = Target { act_as, ..target("v1", "team") };
        assert_eq!(shown(theirs).as_deref(), Some("system:serviceaccount:team:robot"));
        assert_eq!(shown(target("v1", "team")), None);
    }

    #[test]
    fn what_lies_in_no_namespace_is_addressed_without_one() {
        let manner = Manner { propagation: "Background", grace_period_seconds: None };
        let request = of(&target("v1", ""), &Act::Delete(manner)).unwrap();
        assert_eq!(request.uri().path(), "/api/v1/things/a");
    }

    #[test]
    fn an_eviction_carries_them_too() {
        let target = Target { resource_version: None, ..target("v1", "team") };
        let request = of(&target, &Act::Evict { grace_period_seconds: None }).unwrap();
        assert_eq!(request.method(), http::Method::POST);
        assert_eq!(request.uri().path(), "/api/v1/namespaces/team/things/a/eviction");
        let body = body(&request);
        assert_eq!(body["deleteOptions"], json!({"preconditions": {"uid": "u-1"}}));
        assert_eq!(body["metadata"]["name"], "a");
    }
    #[test]
    fn a_note_is_a_merge_patch_that_names_the_incarnation_and_the_version() {
        let act = Act::Notify { annotation: ("example.com/going", "soon".to_owned()) };
        let request = of(&target("v1", "team"), &act).unwrap();
        assert_eq!(
            (request.method(), request.uri().path()),
            (&http::Method::PATCH, "/api/v1/namespaces/team/things/a")
        );
        assert_eq!(request.headers()[http::header::CONTENT_TYPE], MERGE_PATCH);
        let expected =
            json!({"uid": "u-1", "resourceVersion": "7", "annotations": {"example.com/going": "soon"}});
        assert_eq!(body(&request), json!({"metadata": expected}));
    }
}
