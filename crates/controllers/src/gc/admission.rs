//! Reviews of policies: what the schema's rules cannot say.
//!
//! `/validate/policies` refuses a policy that does not compile, that targets what is never collected or has no
//! namespaces, whose author may not list and delete what it targets, or whose annotations name somebody else as the
//! author. `/mutate/policies` stamps those annotations, for clusters that cannot do so themselves.
//!
//! A change that leaves the spec alone is not judged again, and a deletion is never held up. The controller repeats what
//! matters before it deletes, so that a review that was missed changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use api::{AUTHOR_ANNOTATION, AUTHOR_GROUPS_ANNOTATION, Author, GarbageCollectionPolicySpec, Rails};
use chassis::admission::{Answer, Operation, Request, Reviewer};
use chassis::{AccessReviews, Resource, Subject, Unserved, resolve};
use control::{Clock, Steady};
use futures::future::BoxFuture;
use gc::{Policy, Written};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use units::GroupVersionKind;

use super::author::{Freshness, missing_rights};
use super::limits::{KINDS_REMEMBERED_FOR, KINDS_REMEMBERED_MAX};
use super::lint::{self, ClusterSchemas};
use super::observe::PolicyKind;

/// Judges policies.
pub struct PolicyReviewer {
    client: Client,
    access: AccessReviews,
    rails: Rails,
    clock: Arc<dyn Clock>,
    schemas: ClusterSchemas,
    kinds: Mutex<HashMap<GroupVersionKind, (Resource, Steady)>>,
}

/// Stamps the author of a policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuthorStamp;

impl std::fmt::Debug for PolicyReviewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyReviewer").field("rails", &self.rails).finish_non_exhaustive()
    }
}

impl Reviewer for PolicyReviewer {
    fn path(&self) -> &'static str {
        "/validate/policies"
    }

    fn review<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Answer> {
        Box::pin(async move { self.judge(request).await.unwrap_or_else(|refusal| refusal) })
    }
}

impl Reviewer for AuthorStamp {
    fn path(&self) -> &'static str {
        "/mutate/policies"
    }

    fn review<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Answer> {
        Box::pin(async move { stamp(request).unwrap_or_else(|refusal| refusal) })
    }
}

/// What a request does to a policy, as far as it is judged.
enum Change {
    /// It deletes it, or does nothing to spec and author.
    Nothing,
    /// It creates the policy, or changes its spec.
    Spec,
    /// It leaves the spec alone, and names another author.
    AuthorOnly,
}

/// A policy of either kind.
#[derive(Deserialize)]
struct Given {
    metadata: ObjectMeta,
    spec: GarbageCollectionPolicySpec,
}

/// The parts of a policy that say whether it has to be judged.
#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    metadata: OutlineMetadata,
    #[serde(default)]
    spec: Value,
}

#[derive(Default, Deserialize)]
struct OutlineMetadata {
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Outline {
    fn author(&self) -> [Option<&str>; 2] {
        [AUTHOR_ANNOTATION, AUTHOR_GROUPS_ANNOTATION]
            .map(|key| self.metadata.annotations.as_ref().and_then(|all| all.get(key)).map(String::as_str))
    }
}

impl PolicyReviewer {
    /// Judges with these rails, and asks through this client.
    pub fn new(client: Client, rails: Rails, clock: Arc<dyn Clock>) -> Self {
        let access = AccessReviews::new(client.clone(), Arc::clone(&clock));
        let schemas = ClusterSchemas::new(client.clone(), Arc::clone(&clock));
        Self { client, access, rails, clock, schemas, kinds: Mutex::default() }
    }

    async fn judge(&self, request: &Request) -> Result<Answer, Answer> {
        check_kind(request)?;
        match change(request)? {
            Change::Nothing => return Ok(Answer::allow()),
            Change::AuthorOnly => return Err(forged(request)),
            Change::Spec => {}
        }
        let new = read_outline(request.object.as_deref())?;
        check_stamp(request, &new)?;
        let (spec, policy) = self.compile(request)?;
        let mut warnings = Vec::new();
        for target in &policy.targets {
            match self.resource(&target.kind).await? {
                Some(resource) => {
                    check_resource(&policy, &resource)?;
                    self.check_rights(request, &policy, &resource).await?;
                    warnings.extend(unheeded(&policy, &resource));
                }
                None => warnings.push(unserved(&target.kind)),
            }
        }
        let advice = lint::warnings(&self.schemas, &spec, Some(&policy)).await;
        warnings.extend(advice.iter().map(ToString::to_string));
        Ok(Answer::Allow { warnings })
    }

    /// The policy as the controller would carry it out.
    fn compile(&self, request: &Request) -> Result<(GarbageCollectionPolicySpec, Policy), Answer> {
        let text = request.object.as_deref().map(RawValue::get).unwrap_or_default();
        let mut policy: Given = serde_json::from_str(text)
            .map_err(|error| Answer::invalid(format!("the policy cannot be understood: {error}")))?;
        let is_namespaced = request.kind.kind == "GarbageCollectionPolicy";
        policy.metadata.namespace = is_namespaced.then(|| request.namespace.clone());
        let written = Written { is_namespaced, metadata: &policy.metadata, spec: &policy.spec };
        let compiled = Policy::compile(written, &self.rails)
            .map_err(|error| Answer::invalid(format!("spec.{error}")))?;
        match compiled.rail() {
            Some(rail) => Err(Answer::invalid(format!("nothing would be collected here: {rail}"))),
            None => Ok((policy.spec, compiled)),
        }
    }

    /// What the cluster calls the kind; none if it does not serve it.
    async fn resource(&self, kind: &GroupVersionKind) -> Result<Option<Resource>, Answer> {
        if let Some(resource) = self.remembered(kind) {
            return Ok(Some(resource));
        }
        match resolve(&self.client, kind).await {
            Ok(resource) => {
                self.remember(kind, &resource);
                Ok(Some(resource))
            }
            Err(Unserved::NotFound { suggestion: Some(meant), .. }) => Err(Answer::invalid(format!(
                "spec.targetResource.kind: the cluster serves no kind {kind}; did you mean {meant}?"
            ))),
            Err(Unserved::NotFound { .. }) => Ok(None),
            Err(error @ Unserved::Api { .. }) => {
                Err(Answer::unavailable(format!("the policy cannot be checked now: {error}; try again")))
            }
        }
    }

    fn remembered(&self, kind: &GroupVersionKind) -> Option<Resource> {
        let now = self.clock.steady();
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.get(kind).filter(|(_, until)| now < *until).map(|(resource, _)| resource.clone())
    }

    fn remember(&self, kind: &GroupVersionKind, resource: &Resource) {
        let until = self.clock.steady().after(KINDS_REMEMBERED_FOR);
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() >= KINDS_REMEMBERED_MAX {
            kinds.clear();
        }
        kinds.insert(kind.clone(), (resource.clone(), until));
    }

    async fn check_rights(
        &self,
        request: &Request,
        policy: &Policy,
        resource: &Resource,
    ) -> Result<(), Answer> {
        let user = &request.user_info;
        let subject = Subject {
            user: user.username.clone(),
            uid: user.uid.clone(),
            groups: user.groups.clone(),
            extra: user.extra.clone(),
        };
        match missing_rights(&self.access, &subject, (policy, resource), Freshness::Recent).await {
            Ok(None) => Ok(()),
            Ok(Some(missing)) => Err(Answer::forbidden(missing.to_string())),
            Err(error) => Err(Answer::unavailable(format!(
                "it cannot be checked now what `{}` may do: {error}; try again",
                subject.user
            ))),
        }
    }
}

/// Only policies lead here; anything else is a mistake in the webhook's configuration.
fn check_kind(request: &Request) -> Result<(), Answer> {
    let kind = &request.kind;
    let is_policy = PolicyKind::ALL.into_iter().any(|policy| policy.name() == kind.kind);
    if kind.group == api::GROUP && is_policy && kind.version == api::VERSION {
        return Ok(());
    }
    Err(Answer::deny(
        http::StatusCode::BAD_REQUEST,
        "BadRequest",
        format!(
            "this webhook judges GarbageCollectionPolicy and ClusterGarbageCollectionPolicy of {}/{} only",
            api::GROUP,
            api::VERSION
        ),
    ))
}

fn change(request: &Request) -> Result<Change, Answer> {
    let subresource = request.sub_resource.as_deref().is_some_and(|name| !name.is_empty());
    match request.operation {
        Operation::Delete | Operation::Connect => return Ok(Change::Nothing),
        _ if subresource => return Ok(Change::Nothing),
        Operation::Create => return Ok(Change::Spec),
        Operation::Update => {}
    }
    let (old, new) = (read_outline(request.old_object.as_deref())?, read_outline(request.object.as_deref())?);
    Ok(match (old.spec == new.spec, old.author() == new.author()) {
        (false, _) => Change::Spec,
        (true, false) => Change::AuthorOnly,
        (true, true) => Change::Nothing,
    })
}

fn read_outline(object: Option<&RawValue>) -> Result<Outline, Answer> {
    let object = object.ok_or_else(|| Answer::invalid("the request has no object"))?;
    serde_json::from_str(object.get())
        .map_err(|error| Answer::invalid(format!("the policy cannot be understood: {error}")))
}

/// The author that the requester becomes.
fn author(request: &Request) -> Result<Author, Answer> {
    Author::new(&request.user_info.username, &request.user_info.groups)
        .map_err(|unknown| Answer::forbidden(unknown.to_string()))
}

/// Whoever writes a spec must stand as its author.
fn check_stamp(request: &Request, new: &Outline) -> Result<(), Answer> {
    let [(_, name), (_, groups)] = author(request)?.annotations();
    match new.author() {
        [Some(found), Some(found_groups)] if found == name && found_groups == groups => Ok(()),
        [None, None] => Err(Answer::forbidden(format!(
            "nothing has stamped {AUTHOR_ANNOTATION}, so the author would not be known: install Groundskeeper's MutatingAdmissionPolicy, or its MutatingWebhookConfiguration where the cluster has none"
        ))),
        _ => Err(forged(request)),
    }
}

fn forged(request: &Request) -> Answer {
    Answer::forbidden(format!(
        "{AUTHOR_ANNOTATION} and {AUTHOR_GROUPS_ANNOTATION} are set by admission and name whoever writes the spec, here `{}`: leave them as they are",
        request.user_info.username
    ))
}

/// A kind that nobody serves may come; then the controller checks the rest.
fn unserved(kind: &GroupVersionKind) -> String {
    format!(
        "the cluster serves no kind {kind} yet; collection starts when it does, if you may then list and delete it"
    )
}

/// A selection of namespaces that narrows nothing.
fn unheeded(policy: &Policy, resource: &Resource) -> Option<String> {
    (!resource.namespaced && policy.reach.says_nothing_of(&resource.kind)).then(|| {
        format!(
            "spec.namespaces says nothing of {}, which has no namespaces: its objects are collected wherever; narrow them by names or labelSelector",
            resource.kind
        )
    })
}

fn check_resource(policy: &Policy, resource: &Resource) -> Result<(), Answer> {
    if !resource.namespaced && policy.reach.namespace().is_some() {
        return Err(Answer::invalid(format!(
            "spec.targetResource: {} has no namespaces, and a policy collects only objects of its own namespace; write a ClusterGarbageCollectionPolicy",
            resource.kind
        )));
    }
    let lacks = |verb: &&str| !resource.verbs.iter().any(|offered| offered == verb);
    match ["list", "watch", "delete"].iter().find(|verb| lacks(verb)) {
        Some(verb) => Err(Answer::invalid(format!(
            "spec.targetResource: {} cannot be collected, for the cluster does not offer `{verb}` on it",
            resource.kind
        ))),
        None => Ok(()),
    }
}

/// Names the requester as the author of a new policy, or of a new spec.
fn stamp(request: &Request) -> Result<Answer, Answer> {
    check_kind(request)?;
    if !matches!(change(request)?, Change::Spec) {
        return Ok(Answer::allow());
    }
    let new = read_outline(request.object.as_deref())?;
    let author = author(request)?;
    let mut operations = Vec::new();
    if new.metadata.annotations.is_none() {
        operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    for (key, value) in author.annotations() {
        let path = format!("/metadata/annotations/{}", key.replace('/', "~1"));
        operations.push(json!({"op": "add", "path": path, "value": value}));
    }
    Ok(Answer::Patch { operations })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(author: Option<(&str, &str)>, seconds: i64) -> Value {
        let annotations = author.map(|(name, groups)| {
            json!({AUTHOR_ANNOTATION: name, AUTHOR_GROUPS_ANNOTATION: groups, "other": "kept"})
        });
        json!({
            "metadata": {"name": "sweep", "annotations": annotations},
            "spec": {"ttl": {"secondsAfterCreation": seconds}},
        })
    }

    /// Ada, of two groups, writes `new` over `old`.
    #[allow(clippy::needless_pass_by_value, reason = "the tables read better")]
    fn request(operation: &str, old: Value, new: Value) -> Request {
        serde_json::from_value(json!({
            "uid": "u",
            "kind": {"group": api::GROUP, "version": api::VERSION, "kind": "GarbageCollectionPolicy"},
            "operation": operation,
            "namespace": "team",
            "userInfo": {"username": "ada", "groups": ["a", "b"]},
            "oldObject": old,
            "object": new,
        }))
        .unwrap()
    }

    fn word(answer: &Result<Change, Answer>) -> &'static str {
        match answer {
            Ok(Change::Nothing) => "nothing",
            Ok(Change::Spec) => "spec",
            Ok(Change::AuthorOnly) => "author",
            Err(_) => "refused",
        }
    }

    #[test]
    fn only_a_spec_is_judged_and_a_deletion_never() {
        let (none, ada, bob) = (None, Some(("ada", "a\nb")), Some(("bob", "")));
        let table = [
            ("CREATE", Value::Null, policy(none, 1), "spec"),
            ("UPDATE", policy(ada, 1), policy(ada, 1), "nothing"),
            ("UPDATE", policy(ada, 1), policy(ada, 2), "spec"),
            ("UPDATE", policy(ada, 1), policy(bob, 1), "author"),
            ("UPDATE", policy(ada, 1), policy(none, 1), "author"),
            ("UPDATE", policy(none, 1), policy(none, 1), "nothing"),
            ("UPDATE", json!("x"), policy(none, 1), "refused"),
            ("DELETE", policy(ada, 1), Value::Null, "nothing"),
            ("CREATE", Value::Null, Value::Null, "spec"),
        ];
        for (operation, old, new, expected) in table {
            let request = request(operation, old, new);
            assert_eq!(word(&change(&request)), expected, "{request:?}");
        }
        let mut status = request("UPDATE", policy(ada, 1), policy(ada, 2));
        status.sub_resource = Some("status".to_owned());
        assert_eq!(word(&change(&status)), "nothing");
    }

    #[test]
    fn whoever_writes_a_spec_must_stand_as_its_author() {
        let table = [
            (Some(("ada", "a\nb")), ""),
            (None, "nothing has stamped"),
            (Some(("ada", "a\nb\nsystem:masters")), "name whoever writes the spec, here `ada`"),
            (Some(("bob", "a\nb")), "name whoever writes the spec, here `ada`"),
            (Some(("", "")), "name whoever writes the spec, here `ada`"),
        ];
        for (stamped, expected) in table {
            let request = request("CREATE", Value::Null, policy(stamped, 1));
            let new = read_outline(request.object.as_deref()).unwrap();
            match check_stamp(&request, &new) {
                Ok(()) => assert_eq!(expected, "", "{stamped:?}"),
                Err(Answer::Deny(denial)) => assert!(denial.message.contains(expected), "{denial:?}"),
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_stamp_replaces_whatever_was_claimed() {
        let stamped = |operation: &str, old: Value, new: Value| match stamp(&request(operation, old, new)) {
            Ok(Answer::Patch { operations }) => operations,
            Ok(Answer::Allow { .. }) => Vec::new(),
            other => panic!("{other:?}"),
        };
        let (none, bob) = (None, Some(("bob", "system:masters")));
        let add = |path: &str, value: &str| json!({"op": "add", "path": format!("/metadata/annotations/groundskeeper.dev~1{path}"), "value": value});
        let both = [add("author", "ada"), add("author-groups", "a\nb")];
        assert_eq!(stamped("CREATE", Value::Null, policy(bob, 1)), both);
        assert_eq!(stamped("UPDATE", policy(bob, 1), policy(bob, 2)), both);
        let fresh = stamped("CREATE", Value::Null, policy(none, 1));
        assert_eq!(fresh[0], json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
        assert_eq!(fresh[1..], both);
        assert!(stamped("UPDATE", policy(bob, 1), policy(bob, 1)).is_empty());
        assert!(stamped("DELETE", policy(bob, 1), Value::Null).is_empty());
    }

    #[test]
    fn a_selection_of_namespaces_that_narrows_nothing_is_warned_about() {
        let warning = |kind: (&str, &str), namespaced: bool, namespaces: Value| {
            let spec = json!({
                "targetResource": {"apiVersion": kind.0, "kind": kind.1}, "ttl": {"after": "1h"},
                "namespaces": namespaces,
            });
            let spec = serde_json::from_value(spec).unwrap();
            let policy = api::ClusterGarbageCollectionPolicy::new("sweep", spec);
            let policy = Policy::compile(&policy, &Rails::new("grounds")).unwrap();
            let kind = policy.targets[0].kind.clone();
            unheeded(&policy, &Resource { kind, plural: "things".to_owned(), namespaced, verbs: Vec::new() })
        };
        let (role, previews) = (("rbac.authorization.k8s.io/v1", "ClusterRole"), json!({"names": ["pr-*"]}));
        assert!(warning(role, false, previews.clone()).is_some_and(|said| said.contains("ClusterRole")));
        assert_eq!(warning(role, false, Value::Null), None);
        assert_eq!(
            warning(("v1", "Namespace"), false, previews.clone()),
            None,
            "it is about these themselves"
        );
        assert_eq!(warning(("v1", "ConfigMap"), true, previews), None);
    }

    #[test]
    fn a_group_that_could_be_read_as_two_is_refused() {
        let mut odd = request("CREATE", Value::Null, policy(None, 1));
        odd.user_info.groups = vec!["a\nsystem:masters".to_owned()];
        assert!(matches!(stamp(&odd), Err(Answer::Deny(_))));
    }
}
