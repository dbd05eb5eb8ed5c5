//! A test's own namespace, and what its users do in it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use kube::Api;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::core::Request;
use serde_json::{Value, json};
use testbed::ControlPlane;

use super::audit::{self, Request as Asked};
use super::drafts::{Draft, config_map, policy};
use super::{eventually, holds, now};

/// A namespace, and somebody who may do everything in it.
pub(crate) struct Team<'a> {
    pub(crate) cluster: &'a ControlPlane,
    pub(crate) namespace: String,
    pub(crate) client: kube::Client,
}

/// An object as it was when it was created or looked at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Made {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) version: String,
    pub(crate) created: Timestamp,
}

impl Made {
    /// When it falls due under a policy of so many seconds.
    pub(crate) fn due(&self, seconds: i64) -> Timestamp {
        self.created.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap()
    }
}

impl<'a> Team<'a> {
    /// A namespace of one's own. The client belongs to the test's runtime.
    pub(crate) async fn new(cluster: &'a ControlPlane, prefix: &str) -> Self {
        Self::in_namespace(cluster, &cluster.namespace(prefix).await.unwrap())
    }

    /// A namespace that is there already.
    pub(crate) fn in_namespace(cluster: &'a ControlPlane, namespace: &str) -> Self {
        Self { cluster, namespace: namespace.to_owned(), client: cluster.admin().client().unwrap() }
    }

    pub(crate) fn api(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match kind {
            "CustomResourceDefinition" | "ClusterRole" | "Namespace" | "ClusterGarbageCollectionPolicy" => {
                Api::all_with(self.client.clone(), &resource)
            }
            _ => Api::namespaced_with(self.client.clone(), &self.namespace, &resource),
        }
    }

    fn api_of(&self, made: &Made) -> Api<DynamicObject> {
        self.api(&made.api_version, &made.kind)
    }

    pub(crate) async fn create(&self, draft: Draft) -> Made {
        self.try_create(draft).await.unwrap()
    }

    /// Creates an object as `kubectl` does: a field that the server does not know is an error.
    pub(crate) async fn try_create(&self, draft: Draft) -> Result<Made, String> {
        let Draft(manifest) = draft;
        let text = |field: &str| manifest[field].as_str().unwrap().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let collection = Request::new(self.api(&api_version, &kind).resource_url());
        let body = serde_json::to_vec(&manifest).unwrap();
        let mut request = collection.create(&PostParams::default(), body).unwrap();
        let path = request.uri().path().to_owned();
        *request.uri_mut() = format!("{path}?fieldValidation=Strict").parse().unwrap();
        let created = self.client.request::<DynamicObject>(request).await;
        created.map(|object| made(&object, &api_version, &kind)).map_err(|error| error.to_string())
    }

    /// So many objects of one draft, with a number after its name.
    pub(crate) async fn create_many(&self, count: usize, draft: &Draft) -> Vec<Made> {
        let mut made = Vec::with_capacity(count);
        for number in 0..count {
            let name = format!("{}-{number}", draft.name());
            made.push(self.create(draft.clone().with("/metadata/name", name)).await);
        }
        made
    }

    /// Changes an object by a merge patch.
    pub(crate) async fn edit(&self, made: &Made, patch: Value) -> Made {
        self.try_edit(made, patch).await.unwrap()
    }

    pub(crate) async fn try_edit(&self, made: &Made, patch: Value) -> Result<Made, kube::Error> {
        let patched =
            self.api_of(made).patch(&made.name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.map(|object| self::made(&object, &made.api_version, &made.kind))
    }

    /// Deletes an object, if it is there.
    pub(crate) async fn delete(&self, made: &Made) {
        match self.api_of(made).delete(&made.name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// An object as it is now; none if it is gone.
    pub(crate) async fn look_at(&self, made: &Made) -> Option<Value> {
        let found = self.api_of(made).get_opt(&made.name).await.unwrap();
        found
            .map(|object| serde_json::to_value(object).unwrap())
            .filter(|found| found["metadata"]["uid"] == made.uid)
    }

    pub(crate) async fn count(&self, api_version: &str, kind: &str, label: &str) -> usize {
        self.api(api_version, kind).list(&ListParams::default().labels(label)).await.unwrap().items.len()
    }

    /// Nobody has touched the object since.
    pub(crate) async fn assert_untouched(&self, made: &Made) {
        let found = self.look_at(made).await;
        let found = found.unwrap_or_else(|| panic!("{} is gone:\n{:#?}", made.name, self.deletions()));
        assert_eq!(found["metadata"]["resourceVersion"], made.version, "{found}");
    }

    /// Waits until an object is gone.
    pub(crate) async fn gone(&self, made: &Made) {
        eventually(self.cluster, &format!("{} {} goes", made.kind, made.name), async || {
            match self.look_at(made).await {
                None => Ok(()),
                Some(found) => Err(found.to_string()),
            }
        })
        .await;
    }

    /// Waits until the operator has deleted an object, and makes sure that it did so in its time, as it was last seen,
    /// and no other incarnation of its name.
    pub(crate) async fn goes_in_time(&self, made: &Made, seconds: i64) -> Asked {
        self.gone(made).await;
        let what = format!("the audit log tells of the deletion of {}", made.name);
        let deletion = eventually(self.cluster, &what, async || {
            let all = self.deletions();
            let found = all.iter().find(|deletion| deletion.uid() == made.uid && deletion.accepted());
            found.cloned().ok_or_else(|| format!("{all:#?}"))
        })
        .await;
        assert!(
            deletion.at >= made.due(seconds),
            "{} went before {}: {deletion:?}",
            made.name,
            made.due(seconds)
        );
        assert!(!deletion.version().is_empty(), "{deletion:?}");
        deletion
    }

    /// The deletions that the operator has asked for here.
    pub(crate) fn deletions(&self) -> Vec<Asked> {
        audit::deletions(self.cluster, &self.namespace)
    }

    /// The operator has asked for no object of the resource by name, for none to change, and for none to go but with
    /// both preconditions.
    pub(crate) fn assert_gentle(&self, resource: &str) {
        for request in audit::requests(self.cluster, &self.namespace) {
            let plain = matches!(request.verb.as_str(), "list" | "watch");
            let fenced =
                request.verb == "delete" && !request.uid().is_empty() && !request.version().is_empty();
            assert!(request.resource != resource || plain || fenced, "{request:?}");
        }
    }

    /// Waits until a moment has passed, and whatever was to be done about it has been done: the operator itself deletes
    /// a witness that falls due later.
    pub(crate) async fn wait_past(&self, moment: Timestamp) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let label = format!("witness=w{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let name = label.replace('=', "-");
        let seconds = (moment.as_second() - now().as_second()).max(0) + 2;
        self.create(policy(&name).labelled(&label).after(seconds)).await;
        let witness = self.create(config_map(&name).labelled(&label)).await;
        self.goes_in_time(&witness, seconds).await;
    }

    /// Waits until the clock shows this moment.
    pub(crate) async fn wait_until(&self, moment: Timestamp) {
        let rest = moment.duration_since(now());
        tokio::time::sleep(Duration::try_from(rest).unwrap_or_default()).await;
    }

    /// Waits until a policy looks like this; returns it.
    pub(crate) async fn policy_is(
        &self,
        made: &Made,
        what: &str,
        like_this: impl Fn(&Value) -> bool,
    ) -> Value {
        eventually(self.cluster, &format!("policy {}: {what}", made.name), async || {
            let found = self.look_at(made).await.unwrap_or_default();
            holds(like_this(&found), &found).map(|()| found)
        })
        .await
    }

    /// Waits until a policy's `Ready` condition has this status and reason, for the spec as it is now; returns its
    /// message.
    pub(crate) async fn ready_is(&self, made: &Made, status: &str, reason: &str) -> String {
        let found = self
            .policy_is(made, &format!("Ready is {status} because of {reason}"), |policy| {
                let ready = condition(policy, "Ready");
                ready["status"] == status
                    && ready["reason"] == reason
                    && ready["observedGeneration"] == policy["metadata"]["generation"]
            })
            .await;
        condition(&found, "Ready")["message"].as_str().unwrap().to_owned()
    }

    /// Waits until a policy collects.
    pub(crate) async fn collecting(&self, made: &Made) {
        self.ready_is(made, "True", "Collecting").await;
    }

    /// Waits until the operator has told this of a policy; returns the event.
    pub(crate) async fn told(&self, made: &Made, reason: &str, note: &str) -> Value {
        let events = self.api("events.k8s.io/v1", "Event");
        eventually(self.cluster, &format!("an event {reason} about {}: {note}", made.name), async || {
            let events = events.list(&ListParams::default()).await.unwrap();
            let events: Vec<Value> =
                events.items.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
            let found = events.iter().find(|event| {
                event["regarding"]["uid"] == made.uid
                    && event["reason"] == reason
                    && event["note"].as_str().is_some_and(|said| said.contains(note))
            });
            found.cloned().ok_or_else(|| json!(events).to_string())
        })
        .await
    }
}

/// A condition of an object.
pub(crate) fn condition(object: &Value, type_: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == type_).cloned().unwrap_or_default()
}

fn made(object: &DynamicObject, api_version: &str, kind: &str) -> Made {
    let meta = &object.metadata;
    Made {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: meta.name.clone().unwrap(),
        uid: meta.uid.clone().unwrap(),
        version: meta.resource_version.clone().unwrap(),
        created: meta.creation_timestamp.as_ref().unwrap().0,
    }
}
