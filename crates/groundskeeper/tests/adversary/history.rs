//! What the API server has stored, version by version, as its own watches tell it: the truth by which deletions are judged.
//!
//! One etcd holds everything, so versions of all kinds are in one order, and a version is a moment of the whole cluster.
//! The watches go straight to the server; no fault lies between.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::TryStreamExt as _;
use kube::api::{DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use serde_json::Value;

use crate::ground::{self, CLUSTER_POLICY, NAMESPACE, POLICY};
use crate::oracle::ObjectKey;
use crate::support::now;
use crate::terms::{KINDS, OWNERS_KINDS};

/// One version of one object.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    /// When the watch told of it, in milliseconds; it was stored a little earlier.
    pub(crate) seen: i64,
    /// None once the object is gone.
    pub(crate) object: Option<Value>,
}

/// Everything that is known, by kind, namespace and name.
#[derive(Default)]
pub(crate) struct History {
    stories: BTreeMap<ObjectKey, Vec<Change>>,
}

/// What is being written down, for as long as it is there.
pub(crate) struct Recorder {
    pub(crate) history: Rc<RefCell<History>>,
    watches: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.watches.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Recorder {
    /// Begins with what there is. To be called within a `LocalSet`.
    pub(crate) async fn start(client: &Client) -> Self {
        let history = Rc::new(RefCell::new(History::default()));
        let mut watches = Vec::new();
        for kind in [POLICY, CLUSTER_POLICY, NAMESPACE].into_iter().chain(KINDS).chain(OWNERS_KINDS) {
            let api = ground::everywhere(client, kind);
            let list = api.list(&ListParams::default()).await.unwrap();
            let version = list.metadata.resource_version.unwrap();
            for object in list.items {
                history.borrow_mut().put(kind, &object, true);
            }
            watches.push(tokio::task::spawn_local(follow(api, kind, version, Rc::clone(&history))));
        }
        Self { history, watches }
    }
}

async fn follow(
    api: Api<DynamicObject>,
    kind: &'static str,
    mut version: String,
    history: Rc<RefCell<History>>,
) {
    loop {
        let events = api.watch(&WatchParams::default(), &version).await.unwrap();
        let mut events = std::pin::pin!(events);
        while let Ok(Some(event)) = events.try_next().await {
            let (object, is_there) = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, true),
                WatchEvent::Deleted(object) => (object, false),
                WatchEvent::Bookmark(mark) => {
                    version = mark.metadata.resource_version;
                    continue;
                }
                WatchEvent::Error(error) => panic!("the watch of {kind} has a hole: {error:?}"),
            };
            version = object.metadata.resource_version.clone().unwrap();
            history.borrow_mut().put(kind, &object, is_there);
        }
    }
}

impl History {
    fn put(&mut self, kind: &'static str, object: &DynamicObject, is_there: bool) {
        let meta = &object.metadata;
        let key = (kind, meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap());
        let revision = meta.resource_version.as_ref().unwrap().parse().unwrap();
        let mut value = serde_json::to_value(object).unwrap();
        value["metadata"].as_object_mut().unwrap().remove("managedFields");
        let change = Change { revision, seen: now().as_millisecond(), object: is_there.then_some(value) };
        self.stories.entry(key).or_default().push(change);
    }

    /// The versions of an object of this name, and of those that had the name before.
    pub(crate) fn story(&self, key: &ObjectKey) -> &[Change] {
        self.stories.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// An object as it was at that moment.
    pub(crate) fn at(&self, key: &ObjectKey, revision: u64) -> Option<&Value> {
        let story = self.story(key);
        let after = story.partition_point(|change| change.revision <= revision);
        story.get(after.checked_sub(1)?)?.object.as_ref()
    }

    /// All objects of a kind as they were at that moment.
    pub(crate) fn all_at(
        &self,
        kind: &'static str,
        revision: u64,
    ) -> impl Iterator<Item = (&ObjectKey, &Value)> {
        let keys = self.stories.keys().filter(move |key| key.0 == kind);
        keys.filter_map(move |key| Some((key, self.at(key, revision)?)))
    }

    /// All objects of a kind as they are.
    pub(crate) fn all(&self, kind: &'static str) -> impl Iterator<Item = (&ObjectKey, &Value)> {
        self.all_at(kind, u64::MAX)
    }

    /// The last moment that had been told of by then.
    pub(crate) fn revision_at(&self, millis: i64) -> u64 {
        let told = self.stories.values().flatten().filter(|change| change.seen <= millis);
        told.map(|change| change.revision).max().unwrap_or(0)
    }

    /// The moments within a span at which something of a kind changed; the newest first, and the beginning last.
    pub(crate) fn moments(&self, kinds: &[&str], from: u64, to: u64) -> Vec<u64> {
        let of_kinds = self.stories.iter().filter(|(key, _)| kinds.contains(&key.0));
        let changes = of_kinds.flat_map(|(_, story)| story.iter().map(|change| change.revision));
        let mut moments: Vec<_> = changes.filter(|revision| (from + 1..=to).contains(revision)).collect();
        moments.push(from);
        moments.sort_unstable_by(|one, other| other.cmp(one));
        moments
    }

    /// When each incarnation of a name began to go, and what it was directly before.
    pub(crate) fn departures<'a>(&'a self, key: &ObjectKey) -> impl Iterator<Item = (&'a Value, &'a Change)> {
        let is_going = |object: &Value| !object["metadata"]["deletionTimestamp"].is_null();
        self.story(key).windows(2).filter_map(move |pair| {
            let before = pair[0].object.as_ref().filter(|object| !is_going(object))?;
            pair[1].object.as_ref().is_none_or(is_going).then_some((before, &pair[1]))
        })
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.stories.keys()
    }
}
