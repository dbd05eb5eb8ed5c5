//! The grounds: one for each kind, fed by one watch of the whole cluster, or by one for each namespace that a policy looks
//! at.
//!
//! A watch asks for no more than its policies read: only metadata where that is enough, else the paths that they name;
//! and only what they select, as long as all of them select the same. What a policy needs that the watch does not show
//! begins the watch anew; until it has listed everything, nothing that it shows is relied on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chassis::{
    Continuity, Feed, FeedEvent, FeedId, FeedState, FeedTarget, MetricName, Metrics, Parked, Pushed,
    Representation, Resource,
};
use control::{MassChange, MassChangeRules};
use gc::{Ground, Object, Policy, Rule, Scope};
use jiff::Timestamp;
use units::{GroupVersionKind, NamespacedName};
use views::{Labels, Projection};

use super::{believes, tell_parked};

/// Tells the grounds apart.
pub(in super::super) type PlotId = u64;

/// A ground with its watches.
pub(in super::super) struct Plot {
    pub(in super::super) kind: GroupVersionKind,
    pub(in super::super) ground: Ground,
    lanes: BTreeMap<Scope, Lane>,
}

/// One watch.
struct Lane {
    id: FeedId,
    feed: Feed,
    state: PlotState,
    guard: MassChange,
    lens: Lens,
    /// A listing of this watch has been taken in, so that every object is as the lens shows it.
    is_listed: bool,
    /// The server does not know a field of the selector: it is applied by us.
    fields_refused: bool,
    /// All objects where the watch looks, whether it selects them or not; none if that is not known.
    base: Option<u64>,
    listed_at: Option<Timestamp>,
    /// When the listing under way began.
    listing_since: Option<Timestamp>,
}

/// How much of each object is asked for, and of which.
#[derive(Clone, Debug)]
struct Lens {
    projection: Arc<Projection>,
    pushed: Pushed,
}

/// How far a ground can be relied on.
#[derive(Clone, Debug)]
pub(in super::super) enum PlotState {
    /// It is being listed for the first time.
    Listing,
    /// It shows what is there.
    Live(Arc<Resource>),
    /// It cannot be watched.
    Parked(Parked),
}

/// A watch that a plot wants to have begun.
pub(super) struct Wanted {
    scope: Scope,
    lens: Lens,
    fields_refused: bool,
}

/// All objects somewhere are to be counted, whether the watch selects them or not.
#[derive(Clone, Debug)]
pub(super) struct Uncounted {
    pub(super) feed: FeedId,
    pub(super) resource: Arc<Resource>,
    pub(super) namespace: Option<String>,
}

impl Plot {
    pub(super) fn new(kind: GroupVersionKind) -> Self {
        Self { kind, ground: Ground::default(), lanes: BTreeMap::new() }
    }

    /// A rule looks here, in this form.
    pub(super) fn admit(&mut self, rule: Rule, now: Timestamp) {
        self.ground.admit(rule, now);
    }

    /// Finds out which watches are to begin, and ends those that nobody needs; returns the ids of the ended ones.
    pub(super) fn arrange(&mut self, now: Timestamp) -> (Vec<Wanted>, Vec<FeedId>) {
        let scopes = self.wanted_scopes();
        let mut ended = Vec::new();
        let superfluous: Vec<_> =
            self.lanes.keys().filter(|scope| !scopes.contains(*scope)).cloned().collect();
        for scope in superfluous {
            ended.extend(self.lanes.remove(&scope).map(|lane| lane.id));
            let shown = |namespace: &str| {
                scopes.contains(&Scope::CLUSTER) || scopes.contains(&Scope::namespace(namespace))
            };
            self.ground.abandon(&scope, shown, now);
        }
        let mut wanted = Vec::new();
        for scope in scopes {
            let known = self.lanes.get(&scope);
            let fields_refused = known.is_some_and(|lane| lane.fields_refused);
            let lens = self.lens(&scope, fields_refused);
            if known.is_none_or(|lane| !lane.lens.shows(&lens)) {
                ended.extend(self.lanes.remove(&scope).map(|lane| lane.id));
                wanted.push(Wanted { scope, lens, fields_refused });
            }
        }
        (wanted, ended)
    }

    /// A watch that was wanted has begun.
    pub(super) fn begin(
        &mut self,
        id: FeedId,
        wanted: Wanted,
        start: impl FnOnce(FeedTarget, Arc<Projection>) -> Feed,
    ) {
        let Wanted { scope, lens, fields_refused } = wanted;
        let target = lens.target(&self.kind, &scope);
        tracing::info!(
            kind = %target.kind, namespace = target.namespace, labels = target.selector.labels,
            fields = target.selector.fields, paths = lens.projection.paths().len(), "watching"
        );
        let feed = start(target, Arc::clone(&lens.projection));
        let lane = Lane {
            id,
            feed,
            state: PlotState::Listing,
            guard: MassChange::new(MassChangeRules::DEFAULT),
            lens,
            is_listed: false,
            fields_refused,
            base: None,
            listed_at: None,
            listing_since: None,
        };
        self.lanes.insert(scope, lane);
    }

    /// One watch of everything as soon as one policy looks everywhere; else one for each namespace.
    fn wanted_scopes(&self) -> BTreeSet<Scope> {
        let scope = |rule: &Rule| rule.policy.reach.namespace().map_or(Scope::CLUSTER, Scope::namespace);
        let scopes: BTreeSet<_> = self.ground.rules().map(scope).collect();
        if scopes.contains(&Scope::CLUSTER) { BTreeSet::from([Scope::CLUSTER]) } else { scopes }
    }

    fn lens(&self, scope: &Scope, fields_refused: bool) -> Lens {
        let looks_here = |rule: &&Rule| {
            *scope == Scope::CLUSTER
                || rule.policy.reach.namespace().map(Scope::namespace).as_ref() == Some(scope)
        };
        let rules: Vec<_> = self.ground.rules().filter(looks_here).collect();
        let projection = Arc::new(Projection::new(rules.iter().flat_map(|rule| rule.reads())));
        let mut selectors = rules.iter().map(|rule| rule.target().pushed());
        let first = selectors.next().unwrap_or_default();
        let (labels, fields) = if selectors.all(|other| other == first) { first } else { (None, None) };
        Lens { projection, pushed: Pushed { labels, fields: fields.filter(|_| !fields_refused) } }
    }

    /// The watch that shows a policy's objects.
    fn lane_of(&self, policy: &Policy) -> Option<&Lane> {
        let own = || self.lanes.get(&policy.reach.namespace().map_or(Scope::CLUSTER, Scope::namespace));
        self.lanes.get(&Scope::CLUSTER).or_else(own)
    }

    /// How far what a policy's watch shows can be relied on.
    pub(in super::super) fn state_of(&self, policy: &Policy) -> &PlotState {
        const LISTING: &PlotState = &PlotState::Listing;
        self.lane_of(policy).map_or(LISTING, |lane| match &lane.state {
            PlotState::Live(_) if !lane.is_listed => LISTING,
            state => state,
        })
    }

    /// What the cluster calls the kind, if it is known.
    pub(in super::super) fn resource_of(&self, policy: &Policy) -> Option<&Arc<Resource>> {
        match &self.lane_of(policy)?.state {
            PlotState::Live(resource) => Some(resource),
            PlotState::Listing | PlotState::Parked(_) => None,
        }
    }

    /// What the cluster calls the kind, if any watch has found out.
    pub(super) fn resource(&self) -> Option<&Arc<Resource>> {
        self.lanes.values().find_map(|lane| match &lane.state {
            PlotState::Live(resource) => Some(resource),
            PlotState::Listing | PlotState::Parked(_) => None,
        })
    }

    /// The resource, if what the ground shows of a policy's objects can be relied on now.
    pub(in super::super) fn reliable(&self, policy: &Policy) -> Option<&Arc<Resource>> {
        let lane = self.lane_of(policy)?;
        match &lane.state {
            PlotState::Live(resource)
                if lane.is_listed && lane.feed.is_live() && !lane.guard.is_in_doubt() =>
            {
                Some(resource)
            }
            _ => None,
        }
    }

    /// How many objects lie where a policy looks, whether it selects them or not; at least so many.
    pub(in super::super) fn base_of(&self, policy: &Policy) -> u64 {
        let held = self.ground.base(&policy.key);
        let Some(lane) = self.lane_of(policy) else { return held };
        let counts_the_same = match policy.reach.namespace() {
            Some(_) => !self.lanes.contains_key(&Scope::CLUSTER),
            None => policy.reach.is_everything(),
        };
        held.max(lane.base.filter(|_| counts_the_same).unwrap_or(0))
    }

    /// When all of a policy's objects were last listed together.
    pub(in super::super) fn listed_at(&self, policy: &Policy) -> Option<Timestamp> {
        self.lane_of(policy)?.listed_at
    }

    /// The watches whose listings are to be repeated every so often.
    pub(super) fn live_feeds(&self) -> impl Iterator<Item = FeedId> {
        self.lanes.values().filter(|lane| matches!(lane.state, PlotState::Live(_))).map(|lane| lane.id)
    }

    pub(super) fn relist(&self, id: FeedId) {
        if let Some(lane) = self.lanes.values().find(|lane| lane.id == id) {
            lane.feed.relist();
        }
    }

    pub(super) fn policies(&self) -> Vec<NamespacedName> {
        self.ground.policies().cloned().collect()
    }

    pub(super) fn put_namespace(&mut self, name: &str, labels: Option<Labels>, now: Timestamp) {
        self.ground.put_namespace(name, labels, now);
    }

    /// What a watch selects is not all that there is: the rest has been counted.
    pub(super) fn counted(&mut self, id: FeedId, base: u64) {
        if let Some(lane) = self.lanes.values_mut().find(|lane| lane.id == id) {
            lane.base = Some(base);
        }
    }

    /// Takes in what a watch shows; says what is to be counted after it, and whether the watches are to be arranged anew.
    pub(super) fn take(
        &mut self,
        scope: &Scope,
        event: FeedEvent<views::Object>,
        metrics: &Metrics,
        now: Timestamp,
    ) -> (Option<Uncounted>, bool) {
        let Some(lane) = self.lanes.get_mut(scope) else { return (None, false) };
        match event {
            FeedEvent::Listing(watched) => {
                lane.listing_since = Some(now);
                self.ground.begin_listing(scope, watched);
            }
            FeedEvent::Listed => return (self.judge_listing(scope, metrics, now), false),
            FeedEvent::Vanished => {
                lane.guard = MassChange::new(MassChangeRules::DEFAULT);
                self.ground.begin_listing(scope, None);
                self.finish_listing(scope, metrics, now);
            }
            FeedEvent::Applied(object) => self.ground.apply(scope, Object::from(object), now),
            FeedEvent::Deleted(object) => {
                if let Some(uid) = &object.metadata.uid {
                    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
                    self.ground.remove(namespace, &object.metadata.name, uid, now);
                }
            }
            FeedEvent::Unreadable { meta, error, .. } => {
                // What cannot be understood cannot be judged: whatever was known of the object is forgotten.
                let namespace = meta.namespace.as_deref().unwrap_or_default();
                tracing::warn!(kind = %self.kind, namespace, name = %meta.name, error, "an object cannot be understood; it is left alone");
                if let Some(uid) = &meta.uid {
                    self.ground.remove(namespace, &meta.name, uid, now);
                }
            }
            FeedEvent::State(FeedState::Live(resource)) => {
                lane.state = PlotState::of(resource);
                // Some listings are complete before it is said what was listed.
                let is_uncounted = lane.is_listed && lane.base.is_none();
                return (if is_uncounted { self.uncounted(scope) } else { None }, false);
            }
            FeedEvent::State(FeedState::Parked(parked)) => {
                lane.tell_parked(&parked, &self.kind, scope);
                let refused = matches!(parked, Parked::SelectorRefused { .. }) && !lane.fields_refused;
                lane.fields_refused |= refused;
                lane.state = PlotState::Parked(parked);
                return (None, refused);
            }
        }
        (None, false)
    }

    /// A listing is complete. One that lacks much of what was there is believed once a second one does so, too.
    fn judge_listing(&mut self, scope: &Scope, metrics: &Metrics, now: Timestamp) -> Option<Uncounted> {
        let (known, lacked) = (self.ground.known(scope), self.ground.unlisted(scope));
        let lacked_again = self.ground.unlisted_again(scope);
        let lane = self.lanes.get_mut(scope)?;
        // A watch that has just begun to select shows fewer objects than the one before it, and rightly so.
        if !lane.is_listed || believes(&mut lane.guard, known, lacked, lacked_again) {
            self.finish_listing(scope, metrics, now);
            return self.uncounted(scope);
        }
        metrics.count(MetricName::MassChangeDoubts, &[]);
        tracing::warn!(kind = %self.kind, namespace = scope.0.as_deref(), known, lacked, "a listing is not believed");
        self.ground.doubt_listing(scope);
        lane.feed.relist();
        None
    }

    /// A listing is believed. What it shows and the watch did not is news that was missed.
    fn finish_listing(&mut self, scope: &Scope, metrics: &Metrics, now: Timestamp) {
        let missed = self.ground.finish_listing(scope, now);
        if let Some(lane) = self.lanes.get_mut(scope) {
            (lane.is_listed, lane.listed_at) = (true, Some(now));
            if let Some(since) = lane.listing_since.take() {
                let took = now.duration_since(since).as_secs_f64().max(0.0);
                metrics.observe(MetricName::OldEvaluationDuration, took);
            }
        }
        if missed > 0 {
            metrics.count_by(MetricName::MissedEvents, &[("controller", "gc")], missed);
            tracing::warn!(kind = %self.kind, namespace = scope.0.as_deref(), missed, "a listing shows what the watch did not");
        }
    }

    fn uncounted(&self, scope: &Scope) -> Option<Uncounted> {
        let lane = self.lanes.get(scope).filter(|lane| lane.lens.pushed != Pushed::default())?;
        let PlotState::Live(resource) = &lane.state else { return None };
        let namespace = scope.0.as_deref().map(str::to_owned);
        Some(Uncounted { feed: lane.id, resource: Arc::clone(resource), namespace })
    }
}

impl Wanted {
    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }
}

impl Lens {
    /// Whether it shows all that another one would: the same objects, and of them no less.
    fn shows(&self, other: &Self) -> bool {
        self.pushed == other.pushed
            && other.projection.paths().iter().all(|path| self.projection.contains(path))
    }

    fn target(&self, kind: &GroupVersionKind, scope: &Scope) -> FeedTarget {
        let metadata = self.projection.is_metadata_only();
        FeedTarget {
            kind: kind.clone(),
            namespace: scope.0.as_deref().map(str::to_owned),
            selector: self.pushed.clone(),
            representation: if metadata { Representation::Metadata } else { Representation::Full },
            continuity: Continuity::Resume,
        }
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

impl Lane {
    /// Tells it once: while the reason stays the same, every further try would say it again.
    fn tell_parked(&self, parked: &Parked, kind: &GroupVersionKind, scope: &Scope) {
        let reason = parked.to_string();
        let told = matches!(&self.state, PlotState::Parked(before) if before.to_string() == reason);
        if !told {
            tell_parked(parked, &self.lens.target(kind, scope), &reason);
        }
    }
}
