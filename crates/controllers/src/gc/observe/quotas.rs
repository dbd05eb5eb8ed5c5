//! Namespaces that have no room for more: what counts against a quota that is used up goes first.
//!
//! Knows only quotas. Without the right to see them everything goes in its usual order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chassis::{Continuity, Feed, FeedEvent, FeedTarget, Feeds, Pushed, Representation, Resource};
use tokio::sync::mpsc;
use units::{ApiVersion, GroupVersionKind, KeyPath, Quantity, Value};
use views::Projection;

use super::QUOTAS;

/// All quotas that are used up in some respect.
#[derive(Default)]
pub(super) struct Quotas {
    feed: Option<Feed>,
    /// What is used up, by namespace and name of the quota.
    used_up: BTreeMap<Key, BTreeSet<Box<str>>>,
    shown: BTreeSet<Key>,
}

/// Namespace and name of a quota.
type Key = (Box<str>, Box<str>);

impl Quotas {
    /// Watches quotas while somebody deletes.
    pub(super) fn watch(
        &mut self,
        wanted: bool,
        feeds: &Feeds,
        sink: &mpsc::Sender<(chassis::FeedId, FeedEvent<views::Object>)>,
    ) {
        if wanted == self.feed.is_some() {
            return;
        }
        *self = Self::default();
        if wanted {
            let api_version = ApiVersion { group: String::new(), version: "v1".to_owned() };
            let target = FeedTarget {
                kind: GroupVersionKind { api_version, kind: "ResourceQuota".to_owned() },
                namespace: None,
                selector: Pushed::default(),
                representation: Representation::Full,
                continuity: Continuity::Resume,
            };
            let projection = Arc::new(Projection::new([hard(), used()]));
            self.feed = Some(feeds.start(QUOTAS, target, projection, sink));
        }
    }

    /// Takes in what the watch shows; returns the namespaces whose room has changed.
    pub(super) fn take(&mut self, event: FeedEvent<views::Object>) -> BTreeSet<Box<str>> {
        let mut changed = BTreeSet::new();
        match event {
            FeedEvent::State(_) => {}
            FeedEvent::Listing(_) => self.shown.clear(),
            FeedEvent::Applied(object) => {
                let key = key(&object.metadata);
                let full = used_up(&object);
                self.shown.insert(key.clone());
                if self.used_up.get(&key).is_none_or(|known| *known != full) {
                    changed.insert(key.0.clone());
                    self.used_up.insert(key, full);
                }
            }
            FeedEvent::Deleted(views::Object { metadata, .. }) => self.forget(&key(&metadata), &mut changed),
            FeedEvent::Unreadable { meta, .. } => self.forget(&key(&meta), &mut changed),
            FeedEvent::Listed | FeedEvent::Vanished => {
                let gone: Vec<_> =
                    self.used_up.keys().filter(|key| !self.shown.contains(*key)).cloned().collect();
                gone.iter().for_each(|key| self.forget(key, &mut changed));
            }
        }
        changed
    }

    fn forget(&mut self, key: &Key, changed: &mut BTreeSet<Box<str>>) {
        if self.used_up.remove(key).is_some() {
            changed.insert(key.0.clone());
        }
    }

    /// The namespaces that have quotas.
    pub(super) fn namespaces(&self) -> BTreeSet<Box<str>> {
        self.used_up.keys().map(|(namespace, _)| namespace.clone()).collect()
    }

    /// Whether a namespace has no room for more objects of a kind, or for what they ask for.
    pub(super) fn is_full(&self, namespace: &str, resource: &Resource) -> bool {
        let here = self.used_up.iter().filter(|((of, _), _)| **of == *namespace);
        here.flat_map(|(_, full)| full).any(|name| counts(name, resource))
    }
}

fn key(meta: &views::Meta) -> Key {
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone())
}

fn hard() -> KeyPath {
    ["status", "hard"].into_iter().collect()
}

fn used() -> KeyPath {
    ["status", "used"].into_iter().collect()
}

/// What of a quota is used up, by the quota's own names.
fn used_up(quota: &views::Object) -> BTreeSet<Box<str>> {
    let (Some(Value::Map(hard)), Some(used)) = (quota.fields.get(&hard()), quota.fields.get(&used())) else {
        return BTreeSet::new();
    };
    let is_used_up = |(name, most): &&(Box<str>, Value)| {
        let used = used.get(name).and_then(Quantity::of);
        used.zip(Quantity::of(most)).is_some_and(|(used, most)| used >= most)
    };
    hard.iter().filter(is_used_up).map(|(name, _)| name.clone()).collect()
}

/// Whether objects of a resource count against what a quota calls by this name (Kubernetes, "Resource Quotas").
fn counts(name: &str, resource: &Resource) -> bool {
    let (group, plural) = (resource.kind.group(), resource.plural.as_str());
    if let Some(counted) = name.strip_prefix("count/") {
        return counted == if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
    }
    match (group, plural) {
        ("", "persistentvolumeclaims") => name == plural || name.contains("requests.storage"),
        ("", "services") => name == plural || name.starts_with("services."),
        // What pods ask for: requests.cpu, limits.memory, cpu, and extended resources.
        ("", "pods") => {
            name == plural
                || ["cpu", "memory", "ephemeral-storage"].contains(&name)
                || ((name.starts_with("requests.") || name.starts_with("limits."))
                    && !name.contains("requests.storage"))
        }
        ("", _) => name == plural,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(hard: &str, used: &str) -> views::Object {
        let projection = Arc::new(Projection::new([super::hard(), super::used()]));
        let json = format!(
            r#"{{"metadata": {{"name": "q", "namespace": "team"}}, "status": {{"hard": {hard}, "used": {used}}}}}"#
        );
        views::Object::read(&json, &projection).unwrap()
    }

    fn resource(api_version: &str, kind: &str, plural: &str) -> Resource {
        Resource {
            kind: GroupVersionKind { api_version: api_version.parse().unwrap(), kind: kind.to_owned() },
            plural: plural.to_owned(),
            namespaced: true,
            verbs: Vec::new(),
        }
    }

    #[test]
    fn what_counts_against_a_quota_that_is_used_up_has_no_room() {
        let mut quotas = Quotas::default();
        let hard = r#"{"count/jobs.batch": "3", "requests.cpu": "2", "configmaps": "10"}"#;
        let used = r#"{"count/jobs.batch": "3", "requests.cpu": "2000m", "configmaps": "9"}"#;
        quotas.take(FeedEvent::Applied(quota(hard, used)));

        assert!(quotas.is_full("team", &resource("batch/v1", "Job", "jobs")));
        assert!(quotas.is_full("team", &resource("v1", "Pod", "pods")));
        assert!(!quotas.is_full("team", &resource("v1", "ConfigMap", "configmaps")));
        assert!(!quotas.is_full("other", &resource("v1", "Pod", "pods")));

        let changed = quotas.take(FeedEvent::Applied(quota(hard, "{}")));
        assert_eq!(changed.len(), 1);
        assert!(!quotas.is_full("team", &resource("v1", "Pod", "pods")));
    }
}
