//! What the collector sees: the policies, and the grounds that they look at.
//!
//! A ground is one kind in one namespace, with one watch, shared by all policies on it. Starts a watch with the first
//! policy, ends it with the last.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use api::{Author, AuthorUnknown, GarbageCollectionPolicy, GarbageCollectionPolicyStatus, Rail, Rails};
use chassis::{
    Continuity, Feed, FeedEvent, FeedId, FeedState, FeedTarget, Feeds, MetricName, Metrics, Parked,
    Representation, Resource,
};
use control::{Belief, Confirmation, MassChange, MassChangeRules, Timers};
use gc::{Ground, Invalid, Policy};
use jiff::Timestamp;
use tokio::sync::mpsc;
use units::{GroupVersionKind, NamespacedName, ResourceVersion, Uid};

use super::AuthorCheck;
use super::author::AuthorVerdict;
use super::limits::SCAN_INTERVAL;

/// What the policies are watched as.
pub(super) fn policies() -> FeedTarget {
    let api_version = units::ApiVersion { group: api::GROUP.to_owned(), version: api::VERSION.to_owned() };
    FeedTarget {
        kind: GroupVersionKind { api_version, kind: "GarbageCollectionPolicy".to_owned() },
        namespace: None,
        representation: Representation::Full,
        // No precondition of a deletion would notice that its policy is gone.
        continuity: Continuity::Relist,
    }
}

/// All that the collector sees.
pub(super) struct Observed {
    feeds: Feeds,
    sink: mpsc::Sender<(FeedId, FeedEvent<views::Object>)>,
    rails: Rails,
    author_check: AuthorCheck,
    policies: BTreeMap<NamespacedName, Tracked>,
    plots: BTreeMap<FeedId, Plot>,
    ids: HashMap<FeedTarget, FeedId>,
    last_id: FeedId,
    /// When each ground is listed anew, to see whether its watch has shown everything.
    scans: Timers<FeedId>,
    /// The policies that the listing under way has shown; none when it is complete and believed.
    shown: Option<BTreeSet<NamespacedName>>,
    /// What the guard doubts: the policies that the last listing lacked.
    lacked: BTreeSet<NamespacedName>,
    guard: MassChange,
    why_no_policies: String,
}

/// A policy as it stands in the cluster.
pub(super) struct Tracked {
    pub(super) uid: Uid,
    pub(super) generation: Option<i64>,
    /// The version that the watch shows.
    pub(super) version: Option<ResourceVersion>,
    /// The policy, or why it cannot be acted on.
    pub(super) spec: Result<Arc<Policy>, Unusable>,
    /// The status as it stands in the cluster.
    pub(super) status: GarbageCollectionPolicyStatus,
    /// Whose rights the policy is carried out with.
    pub(super) author: Result<Author, AuthorUnknown>,
    /// What was found of the author. Nothing is deleted unless it is that the author is allowed to.
    pub(super) verdict: AuthorVerdict,
    plot: Option<FeedId>,
}

/// Why a policy cannot be acted on.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("{0}")]
    Invalid(#[from] Invalid),
    #[error(
        "the policy cannot be understood: {0}; it may have been written for another version of Groundskeeper"
    )]
    Unreadable(String),
    #[error("nothing is collected here: {0}")]
    Protected(Rail),
}

/// A ground with its watch.
pub(super) struct Plot {
    pub(super) ground: Ground,
    guard: MassChange,
    pub(super) state: PlotState,
    target: FeedTarget,
    feed: Feed,
}

/// How far a ground can be relied on.
#[derive(Clone, Debug)]
pub(super) enum PlotState {
    /// It is being listed for the first time.
    Listing,
    /// It shows what is there.
    Live(Arc<Resource>),
    /// It cannot be watched.
    Parked(Parked),
}

impl Observed {
    pub(super) fn new(
        feeds: Feeds,
        sink: mpsc::Sender<(FeedId, FeedEvent<views::Object>)>,
        rules: (Rails, AuthorCheck),
    ) -> Self {
        let (rails, author_check) = rules;
        Self {
            feeds,
            sink,
            rails,
            author_check,
            policies: BTreeMap::new(),
            plots: BTreeMap::new(),
            ids: HashMap::new(),
            last_id: 0,
            scans: Timers::default(),
            shown: Some(BTreeSet::new()),
            lacked: BTreeSet::new(),
            guard: MassChange::new(MassChangeRules::DEFAULT),
            why_no_policies: "the policies have not been listed yet".to_owned(),
        }
    }

    /// Whether a listing of the policies has been completed and believed, and none is under way.
    pub(super) fn has_all_policies(&self) -> bool {
        self.shown.is_none()
    }

    /// Whether the last listing of the policies is not believed, so that another one is needed.
    pub(super) fn doubts_policies(&self) -> bool {
        self.guard.is_in_doubt()
    }

    /// What stands in the way of seeing the policies.
    pub(super) fn why_no_policies(&self) -> &str {
        &self.why_no_policies
    }

    pub(super) fn policy(&self, key: &NamespacedName) -> Option<&Tracked> {
        self.policies.get(key)
    }

    pub(super) fn policy_mut(&mut self, key: &NamespacedName) -> Option<&mut Tracked> {
        self.policies.get_mut(key)
    }

    pub(super) fn policies(&self) -> impl Iterator<Item = (&NamespacedName, &Tracked)> {
        self.policies.iter()
    }

    /// The ground that a policy looks at.
    pub(super) fn plot_of(&self, key: &NamespacedName) -> Option<&Plot> {
        self.plots.get(&self.policies.get(key)?.plot?)
    }

    /// What the cluster calls the kind that a policy looks at, if it is known.
    pub(super) fn resource_of(&self, key: &NamespacedName) -> Option<&Arc<Resource>> {
        match &self.plot_of(key)?.state {
            PlotState::Live(resource) => Some(resource),
            PlotState::Listing | PlotState::Parked(_) => None,
        }
    }

    /// The ground that a policy looks at, and which it is.
    pub(super) fn plot_of_mut(&mut self, key: &NamespacedName) -> Option<(FeedId, &mut Plot)> {
        let id = self.policies.get(key)?.plot?;
        Some((id, self.plots.get_mut(&id)?))
    }

    pub(super) fn ground_mut(&mut self, id: FeedId) -> Option<&mut Ground> {
        self.plots.get_mut(&id).map(|plot| &mut plot.ground)
    }

    /// Objects held in all grounds.
    pub(super) fn tracked_objects(&self) -> usize {
        self.plots.values().map(|plot| plot.ground.len()).sum()
    }

    /// Takes in what the watch of the policies shows; returns the policies that it concerns.
    pub(super) fn policy_event(&mut self, event: FeedEvent<GarbageCollectionPolicy>) -> Vec<NamespacedName> {
        match event {
            FeedEvent::State(FeedState::Live(_)) => Vec::new(),
            FeedEvent::State(FeedState::Parked(parked)) => {
                let why = match &parked {
                    Parked::KindNotFound(_) => {
                        "the cluster does not know GarbageCollectionPolicy: install it with `groundskeeper crds | kubectl apply -f -`"
                            .to_owned()
                    }
                    parked => format!("the policies cannot be watched: {parked}"),
                };
                if why != self.why_no_policies {
                    tell_parked(&parked, &policies(), &why);
                    self.why_no_policies = why;
                }
                Vec::new()
            }
            FeedEvent::Listing(_) => {
                self.shown = Some(BTreeSet::new());
                Vec::new()
            }
            FeedEvent::Listed => self.finish_policy_listing(),
            FeedEvent::Vanished => {
                self.shown = Some(BTreeSet::new());
                self.believe_policy_listing()
            }
            FeedEvent::Deleted(policy) => {
                let key = key(policy.metadata.namespace.as_deref(), policy.metadata.name.as_deref());
                self.drop_policy(&key);
                vec![key]
            }
            FeedEvent::Applied(policy) => vec![self.take_policy(policy)],
            FeedEvent::Unreadable { meta, status, error } => {
                let status = status.and_then(|status| serde_json::from_str(status.get()).ok());
                vec![self.take_unreadable(&meta, status.unwrap_or_default(), error)]
            }
        }
    }

    /// Takes in what the watches of grounds show; returns the policies that it concerns.
    pub(super) fn ground_events(
        &mut self,
        batch: &mut Vec<(FeedId, FeedEvent<views::Object>)>,
    ) -> Vec<NamespacedName> {
        let mut touched = BTreeSet::new();
        for (id, event) in batch.drain(..) {
            if let Some(plot) = self.plots.get_mut(&id) {
                plot.take(event, &self.feeds.metrics);
                touched.insert(id);
            }
        }
        touched
            .iter()
            .filter_map(|id| self.plots.get(id))
            .flat_map(|plot| plot.ground.policies().cloned())
            .collect()
    }

    /// A listing of the policies is complete. One that lacks many of them is believed once a second one does so, too.
    fn finish_policy_listing(&mut self) -> Vec<NamespacedName> {
        let shown = self.shown.clone().unwrap_or_default();
        let lacked: BTreeSet<_> = self.policies.keys().filter(|key| !shown.contains(*key)).cloned().collect();
        let lacked_too = self.lacked.intersection(&lacked).count();
        let known = self.policies.len();
        if believes(&mut self.guard, known, lacked.len(), lacked_too) {
            return self.believe_policy_listing();
        }
        self.why_no_policies =
            format!("a listing lacks {} of {known} policies; they are being listed again", lacked.len());
        self.feeds.metrics.count(MetricName::MassChangeDoubts, &[]);
        tracing::warn!(known, lacked = lacked.len(), "a listing of the policies is not believed");
        self.lacked = lacked;
        Vec::new()
    }

    fn believe_policy_listing(&mut self) -> Vec<NamespacedName> {
        let shown = self.shown.take().unwrap_or_default();
        self.lacked.clear();
        let gone: Vec<_> = self.policies.keys().filter(|key| !shown.contains(*key)).cloned().collect();
        gone.iter().for_each(|key| self.drop_policy(key));
        "the policies are being listed anew".clone_into(&mut self.why_no_policies);
        tracing::info!(policies = self.policies.len(), "the policies have been listed");
        gone
    }

    fn take_policy(&mut self, policy: GarbageCollectionPolicy) -> NamespacedName {
        let key = key(policy.metadata.namespace.as_deref(), policy.metadata.name.as_deref());
        let uid = Uid::from(policy.metadata.uid.as_deref().unwrap_or_default());
        let known = self
            .policies
            .get(&key)
            .filter(|known| known.uid == uid && known.spec_is_of(policy.metadata.generation));
        let spec =
            match known {
                // Only the status has changed, as it does whenever we write it.
                Some(known) => known.spec.clone(),
                None => Policy::compile(&policy, &self.rails).map_err(Unusable::from).and_then(|policy| {
                    match policy.rail {
                        Some(rail) => Err(Unusable::Protected(rail)),
                        None => Ok(Arc::new(policy)),
                    }
                }),
            };
        let author = Author::read(policy.metadata.annotations.as_ref().unwrap_or(&BTreeMap::new()));
        let verdict = match known {
            Some(known) if known.author == author => known.verdict.clone(),
            _ => self.first_verdict(&author),
        };
        let (generation, status) = (policy.metadata.generation, policy.status.unwrap_or_default());
        let version = policy.metadata.resource_version.as_deref().map(ResourceVersion::from);
        let tracked = Tracked { uid, generation, version, spec, status, author, verdict, plot: None };
        self.put_policy(&key, tracked);
        key
    }

    /// What is known of an author before anybody has looked.
    fn first_verdict(&self, author: &Result<Author, AuthorUnknown>) -> AuthorVerdict {
        match (self.author_check, author) {
            (AuthorCheck::Off, _) => AuthorVerdict::Allowed,
            (AuthorCheck::Required, Ok(_)) => AuthorVerdict::Unchecked,
            (AuthorCheck::Required, Err(unknown)) => AuthorVerdict::Unknown(*unknown),
        }
    }

    fn take_unreadable(
        &mut self,
        meta: &views::Meta,
        status: GarbageCollectionPolicyStatus,
        error: String,
    ) -> NamespacedName {
        let key = key(meta.namespace.as_deref(), Some(&meta.name));
        tracing::warn!(policy = %key, error, "a policy cannot be understood");
        let uid = meta.uid.clone().unwrap_or_else(|| Uid::from(""));
        let spec = Err(Unusable::Unreadable(error));
        let version = meta.resource_version.clone();
        let (author, verdict) = (Err(AuthorUnknown::Missing), AuthorVerdict::Unchecked);
        let tracked = Tracked { uid, generation: None, version, spec, status, author, verdict, plot: None };
        self.put_policy(&key, tracked);
        key
    }

    /// Puts a policy in place of what was known of it, and moves it to the ground that it looks at.
    fn put_policy(&mut self, key: &NamespacedName, mut tracked: Tracked) {
        if let Some(shown) = &mut self.shown {
            shown.insert(key.clone());
        }
        let before = self.policies.get(key).and_then(|known| known.plot);
        let unchanged = match (self.policies.get(key).map(|known| &known.spec), &tracked.spec) {
            (Some(Ok(before)), Ok(after)) => Arc::ptr_eq(before, after),
            _ => false,
        };
        if unchanged {
            tracked.plot = before;
        } else {
            tracked.plot = tracked.spec.as_ref().ok().map(|policy| self.settle_on_plot(policy));
            if let Some(left) = before.filter(|left| Some(*left) != tracked.plot) {
                self.leave_plot(left, key);
            }
        }
        self.policies.insert(key.clone(), tracked);
    }

    fn drop_policy(&mut self, key: &NamespacedName) {
        if let Some(plot) = self.policies.remove(key).and_then(|tracked| tracked.plot) {
            self.leave_plot(plot, key);
        }
    }

    fn settle_on_plot(&mut self, policy: &Arc<Policy>) -> FeedId {
        let target = FeedTarget {
            kind: policy.target.clone(),
            namespace: Some(policy.key.namespace.clone()),
            representation: Representation::Metadata,
            continuity: Continuity::Resume,
        };
        let id = match self.ids.get(&target) {
            Some(id) => *id,
            None => self.open_plot(target),
        };
        if let Some(plot) = self.plots.get_mut(&id) {
            plot.ground.admit(Arc::clone(policy));
        }
        id
    }

    fn open_plot(&mut self, target: FeedTarget) -> FeedId {
        self.last_id += 1;
        let id = self.last_id;
        tracing::info!(kind = %target.kind, namespace = target.namespace, "watching");
        let feed = self.feeds.start(id, target.clone(), &self.sink);
        self.ids.insert(target.clone(), id);
        let (ground, guard) = (Ground::default(), MassChange::new(MassChangeRules::DEFAULT));
        self.plots.insert(id, Plot { ground, guard, state: PlotState::Listing, target, feed });
        id
    }

    fn leave_plot(&mut self, id: FeedId, policy: &NamespacedName) {
        let Some(plot) = self.plots.get_mut(&id) else { return };
        plot.ground.dismiss(policy);
        if plot.ground.is_idle() {
            tracing::info!(kind = %plot.target.kind, namespace = plot.target.namespace, "no longer watching");
            self.ids.remove(&plot.target);
            self.plots.remove(&id);
            self.scans.set(&id, None);
        }
    }

    /// Has the grounds listed anew whose turn it is. One after the other: a cluster's worth at once would be felt.
    pub(super) fn scan_due(&mut self, now: Timestamp) {
        for (id, plot) in &self.plots {
            // The first scan comes at a moment of the interval that depends on the ground, so that they spread.
            let share = SCAN_INTERVAL / 64 * u32::try_from(id % 64).unwrap_or(0);
            let next = now.checked_add(SCAN_INTERVAL.saturating_sub(share / 2)).unwrap_or(Timestamp::MAX);
            if matches!(plot.state, PlotState::Live(_)) {
                self.scans.set_no_later(id, next);
            }
        }
        while let Some(plot) = self.scans.pop_due(now).and_then(|id| self.plots.get(&id)) {
            plot.feed.relist();
        }
    }

    /// Writes numbers that belong to no policy.
    pub(super) fn measure(&self) {
        let tracked = i64::try_from(self.tracked_objects()).unwrap_or(i64::MAX);
        self.feeds.metrics.set(MetricName::GcTrackedObjects, &[], tracked);
    }
}

impl Tracked {
    fn spec_is_of(&self, generation: Option<i64>) -> bool {
        generation.is_some() && self.generation == generation
    }
}

impl PlotState {
    fn of(resource: Arc<Resource>) -> Self {
        if resource.verbs.iter().any(|verb| verb == "delete") {
            return Self::Live(resource);
        }
        Self::Parked(Parked::KindNotCollectable { kind: resource.kind.clone(), verb: "delete" })
    }
}

impl Plot {
    /// The resource, if what the ground shows can be relied on now.
    pub(super) fn reliable(&self) -> Option<&Arc<Resource>> {
        match &self.state {
            PlotState::Live(resource) if self.feed.is_live() && !self.guard.is_in_doubt() => Some(resource),
            _ => None,
        }
    }

    /// Tells it once: while the reason stays the same, every further try would say it again.
    fn tell_parked(&self, parked: &Parked) {
        let reason = parked.to_string();
        let told = matches!(&self.state, PlotState::Parked(before) if before.to_string() == reason);
        if !told {
            tell_parked(parked, &self.target, &reason);
        }
    }

    /// A listing is complete. One that lacks much of what was there is believed once a second one does so, too.
    fn judge_listing(&mut self, metrics: &Metrics) {
        let (known, lacked) = (self.ground.known(), self.ground.unlisted());
        if believes(&mut self.guard, known, lacked, self.ground.unlisted_again()) {
            return self.finish_listing(metrics);
        }
        metrics.count(MetricName::MassChangeDoubts, &[]);
        tracing::warn!(kind = %self.target.kind, namespace = self.target.namespace, known, lacked, "a listing is not believed");
        self.ground.doubt_listing();
        self.feed.relist();
    }

    /// A listing is believed. What it shows and the watch did not is news that was missed.
    fn finish_listing(&mut self, metrics: &Metrics) {
        let missed = self.ground.finish_listing();
        if missed > 0 {
            metrics.count_by(MetricName::MissedEvents, &[("controller", "gc")], missed);
            tracing::warn!(kind = %self.target.kind, namespace = self.target.namespace, missed, "a listing shows what the watch did not");
        }
    }

    fn take(&mut self, event: FeedEvent<views::Object>, metrics: &Metrics) {
        match event {
            FeedEvent::Listing(watched) => self.ground.begin_listing(watched),
            FeedEvent::Listed => self.judge_listing(metrics),
            FeedEvent::Vanished => {
                self.guard = MassChange::new(MassChangeRules::DEFAULT);
                self.ground.begin_listing(None);
                self.finish_listing(metrics);
            }
            FeedEvent::Applied(object) => self.ground.apply(object.metadata.into()),
            FeedEvent::Deleted(object) => {
                if let Some(uid) = &object.metadata.uid {
                    self.ground.remove(&object.metadata.name, uid);
                }
            }
            FeedEvent::Unreadable { meta, error, .. } => {
                // Metadata that cannot be understood cannot be judged: whatever was known of the object is forgotten.
                tracing::warn!(kind = %self.target.kind, namespace = self.target.namespace, name = %meta.name, error, "an object cannot be understood; it is left alone");
                if let Some(uid) = &meta.uid {
                    self.ground.remove(&meta.name, uid);
                }
            }
            FeedEvent::State(FeedState::Live(resource)) => self.state = PlotState::of(resource),
            FeedEvent::State(FeedState::Parked(parked)) => {
                self.tell_parked(&parked);
                self.state = PlotState::Parked(parked);
            }
        }
    }
}

/// Whether a complete listing is to be taken in: it lacks so many of the known things, and of those that the doubted one
/// before it lacked, so many again.
fn believes(guard: &mut MassChange, known: usize, lacked: usize, lacked_again: usize) -> bool {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let agreed = guard.is_in_doubt() && guard.confirm(count(lacked_again)) == Confirmation::Agreed;
    agreed || guard.judge(count(known), count(lacked)) == Belief::Believed
}

fn key(namespace: Option<&str>, name: Option<&str>) -> NamespacedName {
    NamespacedName::new(namespace.unwrap_or_default(), name.unwrap_or_default())
}

/// What passes by itself, such as a kind that the server is still setting up, is not worth a warning.
fn tell_parked(parked: &Parked, target: &FeedTarget, reason: &str) {
    let (kind, namespace) = (&target.kind, &target.namespace);
    if matches!(parked, Parked::Unavailable(_)) {
        tracing::info!(%kind, namespace, reason, "cannot watch yet");
    } else {
        tracing::warn!(%kind, namespace, reason, "cannot watch");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_listing_lacks_is_believed_to_be_gone_once_a_second_one_lacks_it_too() {
        let mut guard = MassChange::new(MassChangeRules::DEFAULT);
        assert!(believes(&mut guard, 100, 5, 0), "a few may go");
        assert!(!believes(&mut guard, 100, 60, 0));
        assert!(!believes(&mut guard, 100, 60, 20), "it lacks other ones, and is doubted in its turn");
        assert!(believes(&mut guard, 100, 80, 60));
        assert!(!believes(&mut guard, 100, 60, 0), "each loss is doubted anew");
        assert!(believes(&mut guard, 100, 0, 0), "the second one shows them all");
    }
}
