//! The namespaces of a ground: how many objects lie in each, what their labels are, and which are short of room.

use std::collections::HashMap;
use std::sync::Arc;

use views::Labels;

/// A namespace's number within its ground; that of one that is forgotten may become another's.
pub(super) type SpaceId = u32;

/// All namespaces in which objects of the ground lie, or that a policy names.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    all: Vec<Option<Space>>,
    free: Vec<SpaceId>,
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
        let name: Arc<str> = name.into();
        let space = Some(Space { name: Arc::clone(&name), objects: 0, is_full: false });
        let reused = self.free.pop().and_then(|id| Some((id, self.all.get_mut(id as usize)?)));
        let id = if let Some((id, place)) = reused {
            *place = space;
            id
        } else {
            self.all.push(space);
            // etcd's limits come long before four billion namespaces.
            SpaceId::try_from(self.all.len() - 1).unwrap_or(SpaceId::MAX)
        };
        self.ids.insert(name, id);
        (id, true)
    }

    /// Forgets the namespaces in which nothing lies and that nothing is known of, but for those that are wanted; returns
    /// which.
    pub(super) fn forget_empty(&mut self, is_wanted: impl Fn(SpaceId) -> bool) -> Vec<SpaceId> {
        let is_empty = |id: SpaceId, space: &Space| {
            space.objects == 0 && !space.is_full && !self.labels.contains_key(&space.name) && !is_wanted(id)
        };
        let empty: Vec<_> =
            self.iter().filter(|(id, space)| is_empty(*id, space)).map(|(id, _)| id).collect();
        for id in &empty {
            if let Some(space) = self.all.get_mut(*id as usize).and_then(Option::take) {
                self.ids.remove(&space.name);
                self.free.push(*id);
            }
        }
        empty
    }

    pub(super) fn get(&self, id: SpaceId) -> Option<&Space> {
        self.all.get(id as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: SpaceId) -> Option<&mut Space> {
        self.all.get_mut(id as usize)?.as_mut()
    }

    pub(super) fn name(&self, id: SpaceId) -> &str {
        self.get(id).map_or("", |space| &space.name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SpaceId, &Space)> {
        (0..).zip(&self.all).filter_map(|(id, space)| Some((id, space.as_ref()?)))
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
