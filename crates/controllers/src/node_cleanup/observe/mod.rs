//! What node cleanup sees: watches fill the [`Stock`], and whatever concerns a key wakes it.
//!
//! Every kind has a task of its own, which takes in what its watch shows and says who is concerned. The pods of a node are
//! watched only while it is being emptied, so that memory grows with the nodes that leave and not with the cluster.
//!
//! Invariant: nothing is decided before all that decides has been read once, and while its watch is not live; nor, in an epoch,
//! before all has been seen that was done before it.

mod guard;
mod kinds;
mod pods;
mod replicas;
mod shelf;
mod snapshot;
mod stock;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chassis::lease::Leadership;
use chassis::reconcile::{Cause, Work};
use chassis::takeover::Takeover;
use chassis::{
    Check, Continuity, Feed, FeedEvent, FeedId, FeedTarget, Feeds, Health, MetricName, Metrics, Pushed,
    Representation, View,
};
use control::Clock;
use jiff::Timestamp;
use plugins::Plugins;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use units::GroupVersionKind;

use super::admission::{FinalizerRule, Nodes as Admission};
use super::limits::TURNS_INTERVAL;
use kinds::Known;
use pods::PodWatches;

pub(super) use replicas::{is_settling, replicas};
pub(super) use snapshot::{Around, Neighbours};
pub(super) use stock::{Governor, Heir, Stock, Tally, is_over, phase};

/// Where work is handed in, by what a key names.
#[derive(Clone, Debug)]
pub(super) struct Works {
    /// Departures, by their runs.
    pub(super) departures: Work<String>,
    /// Nodes, by their names.
    pub(super) nodes: Work<String>,
    /// Policies, by their names.
    pub(super) policies: Work<String>,
    /// Maintenances, by their names.
    pub(super) maintenances: Work<String>,
    /// External plugins, by their names.
    pub(super) plugins: Work<String>,
}

/// Why nothing can be decided now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Objects of this kind are being read, or have not been heard of lately.
    Reading(&'static str),
    /// Objects of a kind cannot be read, for this reason.
    Parked(String),
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reading(what) => write!(f, "{what} are being read"),
            Self::Parked(why) => f.write_str(why),
        }
    }
}

/// Whom something concerns.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    departures: BTreeSet<String>,
    nodes: BTreeSet<String>,
    policies: BTreeSet<String>,
    maintenances: BTreeSet<String>,
    plugins: BTreeSet<String>,
}

/// What all rooms share: what is known, whom to wake, and the plugins.
#[derive(Clone)]
pub(super) struct Ground {
    stock: Arc<Mutex<Stock>>,
    feeds: Arc<Mutex<Vec<(&'static str, Feed)>>>,
    pods: Arc<Mutex<PodWatches>>,
    pub(super) works: Works,
    pub(super) plugins: Plugins,
    /// What the webhook is told of policies.
    admission: Admission,
    pub(super) leadership: Leadership,
}

/// Who is told how it stands.
struct Told {
    check: Check,
    metrics: Metrics,
}

impl std::fmt::Debug for Ground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ground").finish_non_exhaustive()
    }
}

impl Ground {
    /// Starts to watch all that departures depend on.
    pub(super) fn start(
        feeds: &Feeds,
        works: Works,
        (plugins, admission): (Plugins, Admission),
        leadership: Leadership,
        (health, clock): (&Health, Arc<dyn Clock>),
    ) -> Self {
        let (pod_sink, pod_events) = mpsc::channel(chassis::limits::FEED_QUEUE_EVENTS);
        let ground = Self {
            stock: Arc::default(),
            feeds: Arc::default(),
            pods: Arc::new(Mutex::new(PodWatches::new(feeds.clone(), pod_sink))),
            works,
            plugins,
            admission,
            leadership,
        };
        ground.watch::<api::NodeCleanupPolicy>(feeds, Continuity::Relist);
        ground.watch::<api::DrainRule>(feeds, Continuity::Relist);
        ground.watch::<api::CleanupPlugin>(feeds, Continuity::Relist);
        ground.watch::<api::NodeCleanup>(feeds, Continuity::Resume);
        ground.watch::<api::NodeMaintenance>(feeds, Continuity::Resume);
        ground.watch::<views::Node>(feeds, Continuity::Resume);
        ground.watch::<views::DisruptionBudget>(feeds, Continuity::Resume);
        ground.watch::<views::VolumeAttachment>(feeds, Continuity::Resume);
        ground.watch::<kinds::Namespace>(feeds, Continuity::Resume);
        ground.watch::<kinds::DaemonSet>(feeds, Continuity::Resume);
        let stop = feeds.supervisor.stopping().clone();
        feeds
            .supervisor
            .spawn("pods of nodes that leave", ground.clone().follow_pods(pod_events, stop.clone()));
        let told = Told { check: health.check("node cleanup"), metrics: feeds.metrics.clone() };
        let takeover = Takeover::new(feeds.client.clone(), kinds::deciding());
        feeds
            .supervisor
            .spawn("turns of departures", ground.clone().keep_turns((takeover, clock), told, stop));
        ground
    }

    fn watch<K: Known>(&self, feeds: &Feeds, continuity: Continuity) {
        let (sink, events) = mpsc::channel(chassis::limits::FEED_QUEUE_EVENTS);
        let target = FeedTarget {
            kind: K::kind(),
            namespace: None,
            selector: Pushed::default(),
            representation: K::REPRESENTATION,
            continuity,
        };
        let feed = feeds.start::<K::View>(0, target, K::context(), &sink);
        lock(&self.feeds).push((K::NAME, feed));
        let stop = feeds.supervisor.stopping().clone();
        feeds.supervisor.spawn("watch of node cleanup", self.clone().follow::<K>(events, stop));
    }

    async fn follow<K: Known>(
        self,
        mut events: mpsc::Receiver<(FeedId, FeedEvent<K::View>)>,
        stop: CancellationToken,
    ) {
        while let Some((_, event)) = next(&mut events, &stop).await {
            let is_listed = matches!(event, FeedEvent::Listed);
            let mut wakes = Wakes::default();
            {
                let mut stock = self.stock();
                for change in K::shelf(&mut stock).take(event) {
                    K::changed(&self, &mut stock, &change, &mut wakes);
                }
                if is_listed {
                    K::listed(&self, &mut stock, &mut wakes);
                }
            }
            self.wake(wakes, Cause::Changed);
        }
    }

    async fn follow_pods(
        self,
        mut events: mpsc::Receiver<(FeedId, FeedEvent<views::Pod>)>,
        stop: CancellationToken,
    ) {
        while let Some((id, event)) = next(&mut events, &stop).await {
            let mut wakes = Wakes::default();
            {
                // Held to the end: what is released meanwhile must not come back to its shelf.
                let pods = lock(&self.pods);
                let Some(node) = pods.node(id) else { continue };
                let mut stock = self.stock();
                stock.pods.entry(node.clone()).or_default().take(event);
                wakes.concerns_node(&stock, &node);
            }
            self.wake(wakes, Cause::Changed);
        }
    }

    /// Says every so often whose turn it is, and looks at all keys when this replica begins to lead.
    async fn keep_turns(
        mut self,
        (mut takeover, clock): (Takeover, Arc<dyn Clock>),
        told: Told,
        stop: CancellationToken,
    ) {
        let Told { check, metrics } = told;
        let (mut led, mut was_read) = (None, false);
        while !stop.is_cancelled() {
            self.take_over(&mut takeover, clock.now());
            let leads = self.leadership.epoch().map(|epoch| epoch.number());
            if led != leads {
                led = leads;
                let wakes = self.begin_anew();
                self.wake(wakes, Cause::Changed);
            }
            let is_read = self.unread().is_none();
            if is_read && !was_read {
                let wakes = Wakes::all(&self.stock());
                self.wake(wakes, Cause::Changed);
            }
            was_read = is_read;
            if is_read {
                let wakes = self.stock().give_turns();
                self.wake(wakes, Cause::Changed);
            }
            match self.unheard() {
                Some(Unread::Reading(what)) => check.fail(&format!("{what} are being read")),
                // What is parked, parks alone: what else we do goes on.
                None | Some(Unread::Parked(_)) => check.pass(),
            }
            let finalized = i64::try_from(self.stock().finalized()).unwrap_or(i64::MAX);
            metrics.set(MetricName::OldNodesWithFinalizer, &[], finalized);
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.leadership.changed() => {}
                answer = takeover.next_answer() => takeover.settle(answer, clock.now()),
                () = tokio::time::sleep(TURNS_INTERVAL) => {}
            }
        }
    }

    fn take_over(&self, takeover: &mut Takeover, now: Timestamp) {
        let epoch = self.leadership.epoch();
        let mut stock = self.stock();
        takeover.go_on(epoch.as_ref(), &*stock, now);
        stock.taken_over = takeover.done_in();
    }

    /// Whoever leads watches the pods of its departures; nobody else does.
    fn begin_anew(&self) -> Wakes {
        let mut pods = lock(&self.pods);
        pods.release_all();
        let mut stock = self.stock();
        stock.pods.clear();
        stock.forget_turns();
        Wakes::all(&stock)
    }

    /// What is known now.
    pub(super) fn stock(&self) -> MutexGuard<'_, Stock> {
        lock(&self.stock)
    }

    /// What keeps us from deciding anything; none if nothing does. Whoever leads has to know what was done before.
    pub(super) fn unread(&self) -> Option<Unread> {
        let epoch = self.leadership.epoch().map(|epoch| epoch.number());
        let is_behind = epoch.is_some() && self.stock().taken_over != epoch;
        self.unheard().or_else(|| is_behind.then_some(Unread::Reading("the last leader's writes")))
    }

    /// What has not been read, or is not live; none if all is.
    pub(super) fn unheard(&self) -> Option<Unread> {
        let silent = lock(&self.feeds).iter().find(|(_, feed)| !feed.is_live()).map(|(name, _)| *name);
        self.stock().unread().or_else(|| silent.map(Unread::Reading))
    }

    /// Nodes are not as their watch has shown: it is to show them anew.
    pub(super) fn relist_nodes(&self) {
        let feeds = lock(&self.feeds);
        feeds.iter().filter(|(name, _)| *name == views::Node::NAME).for_each(|(_, feed)| feed.relist());
    }

    /// The server could not be heard for a while: what it has to say may not have reached us either.
    pub(super) fn doubt(&self) {
        lock(&self.feeds).iter().for_each(|(_, feed)| feed.doubt());
        lock(&self.pods).doubt();
    }

    /// Policies have changed: they are checked anew, and the webhook is told.
    fn compile_policies(&self, stock: &mut Stock) {
        stock.compile_policies(&|name| self.plugins.facts(name));
        let rules = stock.sound_policies().into_iter().filter_map(|policy| {
            let object = stock.policy(&policy.name)?;
            Some(FinalizerRule::new(Arc::clone(&policy), &object.spec))
        });
        self.admission.follow(rules.collect());
    }

    /// The pods of a node are wanted by a key, from now on.
    pub(super) fn want_pods(&self, node: &str, by: &str) {
        lock(&self.pods).want(node, by);
    }

    /// A key wants no more pods.
    pub(super) fn release_pods(&self, by: &str) {
        let mut pods = lock(&self.pods);
        let unwanted = pods.release(by);
        let mut stock = self.stock();
        unwanted.iter().for_each(|node| drop(stock.pods.remove(node)));
    }

    /// Whether the watch of a node's pods is live.
    pub(super) fn hears_pods(&self, node: &str) -> bool {
        lock(&self.pods).is_live(node)
    }

    /// Says to all who are concerned that they should look.
    pub(super) fn wake(&self, wakes: Wakes, cause: Cause) {
        let Wakes { departures, nodes, policies, maintenances, plugins } = wakes;
        let Works { departures: runs, .. } = &self.works;
        departures.iter().for_each(|key| runs.add(key, cause));
        nodes.iter().for_each(|key| self.works.nodes.add(key, cause));
        policies.iter().for_each(|key| self.works.policies.add(key, cause));
        maintenances.iter().for_each(|key| self.works.maintenances.add(key, cause));
        plugins.iter().for_each(|key| self.works.plugins.add(key, cause));
    }
}

/// A kind as the server names it.
pub(super) fn kind(api_version: &str, kind: &str) -> GroupVersionKind {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let api_version = units::ApiVersion { group: group.to_owned(), version: version.to_owned() };
    GroupVersionKind { api_version, kind: kind.to_owned() }
}

async fn next<V: View>(
    events: &mut mpsc::Receiver<(FeedId, FeedEvent<V>)>,
    stop: &CancellationToken,
) -> Option<(FeedId, FeedEvent<V>)> {
    tokio::select! {
        () = stop.cancelled() => None,
        event = events.recv() => event,
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How much of a kind is read.
const WHOLE: Representation = Representation::Full;
