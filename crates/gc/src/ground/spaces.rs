//! The namespaces of a ground: how many objects lie in each, what their labels are, and which are short of room.

use std::collections::HashMap;
use std::sync::Arc;

use views::Labels;

/// A namespace's number within its ground; never reused.
pub(super) type SpaceId = u32;

/// All namespaces that objects or policies of the ground have named.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    all: Vec<Space>,
    ids: HashMap<Arc<str>, SpaceId>,
    labels: HashMap<Arc<str>, Labels>,
}

#[derive(Debug)]
pub(super) struct Space {
    pub(super) name: Arc<str>,
    /// Objects of the ground in it.
    pub(super) objects: u64,
    /// It has no room for more of them: what counts against its quota goes first.
    pub(super) is_full: bool,
}

impl Spaces {
    pub(super) fn id(&self, name: &str) -> Option<SpaceId> {
        self.ids.get(name).copied()
    }

    /// The namespace of this name, and whether it is new.
    pub(super) fn enter(&mut self, name: &str) -> (SpaceId, bool) {
        if let Some(id) = self.id(name) {
            return (id, false);
        }
        // etcd's limits come long before four billion namespaces.
        let id = SpaceId::try_from(self.all.len()).unwrap_or(SpaceId::MAX);
        let name: Arc<str> = name.into();
        self.all.push(Space { name: Arc::clone(&name), objects: 0, is_full: false });
        self.ids.insert(name, id);
        (id, true)
    }

    pub(super) fn get(&self, id: SpaceId) -> Option<&Space> {
        self.all.get(id as usize)
    }

    pub(super) fn get_mut(&mut self, id: SpaceId) -> Option<&mut Space> {
        self.all.get_mut(id as usize)
    }

    pub(super) fn name(&self, id: SpaceId) -> &str {
        self.get(id).map_or("", |space| &space.name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SpaceId, &Space)> {
        (0..).zip(&self.all)
    }

    pub(super) fn labels(&self, name: &str) -> Option<&Labels> {
        self.labels.get(name)
    }

    /// The namespaces whose labels are known, whether anything lies in them or not.
    pub(super) fn labelled(&self) -> impl Iterator<Item = &str> {
        self.labels.keys().map(|name| &**name)
    }

    /// The labels of a namespace, or that it is gone; returns whether that is news.
    pub(super) fn put_labels(&mut self, name: &str, labels: Option<Labels>) -> bool {
        match labels {
            Some(labels) => self.labels.insert(name.into(), labels.clone()) != Some(labels),
            None => self.labels.remove(name).is_some(),
        }
    }
}
