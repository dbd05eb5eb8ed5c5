//! Which nodes' pods are watched, and for whom.

use std::collections::{BTreeSet, HashMap};

use chassis::{Continuity, Feed, FeedEvent, FeedId, FeedTarget, Feeds, Pushed, Representation};
use tokio::sync::mpsc;
use views::Pod;

use super::kind;

/// The watches of pods, one for each node that is being emptied.
#[derive(Debug)]
pub(super) struct PodWatches {
    feeds: Feeds,
    sink: mpsc::Sender<(FeedId, FeedEvent<Pod>)>,
    watched: HashMap<Box<str>, Watched>,
    nodes: HashMap<FeedId, Box<str>>,
    next: FeedId,
}

#[derive(Debug)]
struct Watched {
    id: FeedId,
    feed: Feed,
    wanted_by: BTreeSet<String>,
}

impl PodWatches {
    pub(super) fn new(feeds: Feeds, sink: mpsc::Sender<(FeedId, FeedEvent<Pod>)>) -> Self {
        Self { feeds, sink, watched: HashMap::new(), nodes: HashMap::new(), next: 0 }
    }

    /// A key wants to see the pods of a node.
    pub(super) fn want(&mut self, node: &str, by: &str) {
        if let Some(watched) = self.watched.get_mut(node) {
            watched.wanted_by.insert(by.to_owned());
            return;
        }
        let id = self.next;
        self.next += 1;
        let target = FeedTarget {
            kind: kind("v1", "Pod"),
            namespace: None,
            selector: Pushed { labels: None, fields: Some(format!("spec.nodeName={node}")) },
            representation: Representation::Full,
            continuity: Continuity::Resume,
        };
        let feed = self.feeds.start(id, target, (), &self.sink);
        self.nodes.insert(id, node.into());
        let wanted_by = BTreeSet::from([by.to_owned()]);
        self.watched.insert(node.into(), Watched { id, feed, wanted_by });
    }

    /// A key has seen enough; returns the nodes whose pods nobody wants to see any more.
    pub(super) fn release(&mut self, by: &str) -> Vec<Box<str>> {
        for watched in self.watched.values_mut() {
            watched.wanted_by.remove(by);
        }
        let unwanted = self.watched.iter().filter(|(_, watched)| watched.wanted_by.is_empty());
        let unwanted: Vec<_> = unwanted.map(|(node, watched)| (node.clone(), watched.id)).collect();
        for (node, id) in &unwanted {
            self.watched.remove(node);
            self.nodes.remove(id);
        }
        unwanted.into_iter().map(|(node, _)| node).collect()
    }

    /// Nobody wants to see any pods.
    pub(super) fn release_all(&mut self) {
        self.watched.clear();
        self.nodes.clear();
    }

    /// The node whose pods a feed shows; none if nobody wants them any more.
    pub(super) fn node(&self, id: FeedId) -> Option<Box<str>> {
        self.nodes.get(&id).cloned()
    }

    pub(super) fn is_live(&self, node: &str) -> bool {
        self.watched.get(node).is_some_and(|watched| watched.feed.is_live())
    }

    pub(super) fn doubt(&self) {
        self.watched.values().for_each(|watched| watched.feed.doubt());
    }
}
