//! What a watch has shown of one kind, and whether all of it has been seen.
//!
//! Invariant: what a listing does not show any more is off the shelf when the listing is complete, and not before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chassis::FeedEvent;
use chassis::takeover::Written;
use units::{NamespacedName, ResourceVersion, Uid};

/// An object that stands on a shelf.
pub(super) trait Shelved {
    /// Where it stands.
    fn key(&self) -> NamespacedName;

    /// Which incarnation it is, in which version.
    fn identity(&self) -> (Option<Uid>, Option<ResourceVersion>);
}

/// What a watch has shown of one kind.
#[derive(Debug)]
pub(super) struct Shelf<V> {
    held: BTreeMap<NamespacedName, Arc<V>>,
    /// Objects that are there and cannot be understood, in the form that they have now.
    unreadable: BTreeSet<NamespacedName>,
    /// What the listing under way has shown.
    listing: Option<BTreeSet<NamespacedName>>,
    is_read: bool,
    /// Why nothing is shown, if nothing is.
    trouble: Option<String>,
}

/// What has become of one object.
#[derive(Debug)]
pub(super) struct Change<V> {
    pub(super) before: Option<Arc<V>>,
    pub(super) after: Option<Arc<V>>,
}

impl<V> Default for Shelf<V> {
    fn default() -> Self {
        Self {
            held: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            listing: None,
            is_read: false,
            trouble: None,
        }
    }
}

impl<V: Shelved> Shelf<V> {
    /// Takes in what a feed shows; says what has changed by it.
    pub(super) fn take(&mut self, event: FeedEvent<V>) -> Vec<Change<V>> {
        match event {
            FeedEvent::State(chassis::FeedState::Live(_)) => {
                self.trouble = None;
                Vec::new()
            }
            FeedEvent::State(chassis::FeedState::Parked(parked)) => {
                self.trouble = Some(parked.to_string());
                Vec::new()
            }
            FeedEvent::Listing(_) => {
                self.listing = Some(BTreeSet::new());
                Vec::new()
            }
            FeedEvent::Listed => self.complete(),
            FeedEvent::Applied(object) => vec![self.put(object)],
            FeedEvent::Deleted(object) => vec![self.lose(&object.key())],
            FeedEvent::Unreadable { meta, error, .. } => {
                let key = NamespacedName::new(meta.namespace.as_deref().unwrap_or_default(), &*meta.name);
                tracing::warn!(object = %key, error, "an object cannot be understood");
                // It is there, in whatever form: what was known of it stays.
                self.listing.iter_mut().for_each(|listing| drop(listing.replace(key.clone())));
                self.unreadable.insert(key);
                Vec::new()
            }
            FeedEvent::Vanished => {
                self.listing = Some(BTreeSet::new());
                self.complete()
            }
        }
    }

    /// Puts an object on the shelf that was read beside the watch.
    pub(super) fn put(&mut self, object: V) -> Change<V> {
        let key = object.key();
        if let Some(listing) = &mut self.listing {
            listing.insert(key.clone());
        }
        self.unreadable.remove(&key);
        let after = Arc::new(object);
        Change { before: self.held.insert(key, Arc::clone(&after)), after: Some(after) }
    }

    fn lose(&mut self, key: &NamespacedName) -> Change<V> {
        self.unreadable.remove(key);
        Change { before: self.held.remove(key), after: None }
    }

    fn complete(&mut self) -> Vec<Change<V>> {
        self.is_read = true;
        let Some(seen) = self.listing.take() else { return Vec::new() };
        self.unreadable.retain(|key| seen.contains(key));
        let gone: Vec<_> = self.held.keys().filter(|key| !seen.contains(*key)).cloned().collect();
        gone.iter().map(|key| self.lose(key)).collect()
    }

    /// Whether these are shown to be there, and no others. What cannot be understood is there in any version.
    pub(super) fn has_shown(&self, there: &[Written]) -> bool {
        let is_shown = |written: &Written| {
            let known = self.held.get(&written.key).map(|object| object.identity());
            known.is_some_and(|(uid, version)| written.is_shown_by(uid.as_ref(), version.as_ref()))
                || self.unreadable.contains(&written.key)
        };
        let others = self.unreadable.iter().filter(|key| !self.held.contains_key(*key));
        self.held.len() + others.count() == there.len() && there.iter().all(is_shown)
    }

    /// Whether all that there is has been seen once.
    pub(super) const fn is_read(&self) -> bool {
        self.is_read
    }

    /// Whether some of what is there cannot be understood, so that nobody knows what it says.
    pub(super) fn has_unreadable(&self) -> bool {
        !self.unreadable.is_empty()
    }

    /// Why nothing is shown, if nothing is.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<V>> {
        self.held.get(&NamespacedName::new(namespace, name))
    }

    /// An object of a kind without namespaces.
    pub(super) fn of_cluster(&self, name: &str) -> Option<&Arc<V>> {
        self.get("", name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<V>> {
        self.held.values()
    }
}

/// The key of what has Kubernetes' own metadata.
pub(super) fn own(metadata: &kube::core::ObjectMeta) -> NamespacedName {
    NamespacedName::new(
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}

/// The key of a view.
pub(super) fn viewed(metadata: &views::Meta) -> NamespacedName {
    NamespacedName::new(metadata.namespace.as_deref().unwrap_or_default(), &*metadata.name)
}

fn own_identity(metadata: &kube::core::ObjectMeta) -> (Option<Uid>, Option<ResourceVersion>) {
    (metadata.uid.as_deref().map(Uid::from), metadata.resource_version.as_deref().map(ResourceVersion::from))
}

fn viewed_identity(metadata: &views::Meta) -> (Option<Uid>, Option<ResourceVersion>) {
    (metadata.uid.clone(), metadata.resource_version.clone())
}

macro_rules! shelved {
    ($key:ident, $identity:ident: $($kind:ty),*) => {
        $(impl Shelved for $kind {
            fn key(&self) -> NamespacedName {
                $key(&self.metadata)
            }

            fn identity(&self) -> (Option<Uid>, Option<ResourceVersion>) {
                $identity(&self.metadata)
            }
        })*
    };
}

shelved!(own, own_identity: api::NodeCleanupPolicy, api::NodeCleanup, api::NodeMaintenance, api::DrainRule, api::CleanupPlugin);
shelved!(viewed, viewed_identity: views::Node, views::Pod, views::DisruptionBudget, views::VolumeAttachment, views::Object);

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str) -> views::Object {
        serde_json::from_value(serde_json::json!({"metadata": {"name": name}})).unwrap()
    }

    fn names(shelf: &Shelf<views::Object>) -> Vec<&str> {
        shelf.iter().map(|object| &*object.metadata.name).collect()
    }

    #[test]
    fn what_cannot_be_understood_is_there_until_it_is_gone_or_understood() {
        let unreadable = |name: &str| FeedEvent::Unreadable {
            meta: Box::new(object(name).metadata),
            status: None,
            error: "no".to_owned(),
        };
        let mut shelf = Shelf::<views::Object>::default();
        shelf.take(unreadable("a"));
        assert!(shelf.has_unreadable());
        shelf.take(FeedEvent::Applied(object("a")));
        assert!(!shelf.has_unreadable());
        shelf.take(unreadable("a"));
        shelf.take(FeedEvent::Listing(None));
        shelf.take(FeedEvent::Listed);
        assert!(!shelf.has_unreadable() && names(&shelf).is_empty());
    }

    #[test]
    fn what_a_listing_does_not_show_is_gone_when_it_is_complete() {
        let mut shelf = Shelf::default();
        for name in ["a", "b"] {
            shelf.take(FeedEvent::Applied(object(name)));
        }
        assert!(!shelf.is_read());
        shelf.take(FeedEvent::Listing(None));
        shelf.take(FeedEvent::Applied(object("b")));
        assert_eq!(names(&shelf), ["a", "b"]);
        let lost = shelf.take(FeedEvent::Listed);
        assert_eq!(lost.len(), 1);
        assert!(shelf.is_read() && names(&shelf) == ["b"]);
        shelf.take(FeedEvent::Deleted(object("b")));
        assert!(names(&shelf).is_empty());
    }
}
