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
use gc::{Bucket, Ground, Object, Policy, Rule, Scope};
use jiff::Timestamp;
use units::{GroupVersionKind, KeyPath, NamespacedName};
use views::{Labels, Projection};

use super::super::limits::{COUNTED_NAMESPACES_MAX, UNREAD_BYTES_MAX, UNTELLABLE_MAX};
use super::super::owners::{Found, OwnerKind, Untold, kinds_of};
use super::{believes, tell_parked};

/// Tells the grounds apart.
pub(in super::super) type PlotId = u64;

/// A ground with its watches.
pub(in super::super) struct Plot {
    pub(in super::super) kind: GroupVersionKind,
    pub(in super::super) ground: Ground,
    lanes: BTreeMap<Scope, Lane>,
    /// Why it cannot be told whether owners exist, by their kind.
    untold: BTreeMap<OwnerKind, Untold>,
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
    /// How many objects there are in each of these places, whether the watch selects them or not.
    counts: BTreeMap<Scope, u64>,
    /// Where they are being counted.
    counting: BTreeSet<Scope>,
    counted_at: Option<Timestamp>,
    listed_at: Option<Timestamp>,
    /// When the listing under way began.
    listing_since: Option<Timestamp>,
}

/// How much of each object is asked for, and of which.
#[derive(Clone, Debug)]
struct Lens {
    projection: Arc<Projection>,
    pushed: Pushed,
    kept: Kept,
}

/// How much of what is asked for is kept where it is large: what one namespace's policies read need not be held for all.
#[derive(Clone, Debug)]
struct Kept {
    /// What policies of the cluster read, and policies on other versions of the kind.
    everywhere: Arc<Projection>,
    /// What is read in a namespace with policies of its own.
    own: BTreeMap<Box<str>, Arc<Projection>>,
}

/// How far a ground can be relied on.
#[derive(Clone, Debug)]
pub(in super::super) enum PlotState {
    /// It is being listed for the first time.
    Listing,
    /// It shows what is there, and the policy has not looked at all of it.
    Judging,
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

/// All objects in some places are to be counted, whether the watch selects them or not.
#[derive(Clone, Debug)]
pub(super) struct Uncounted {
    pub(super) feed: FeedId,
    pub(super) resource: Arc<Resource>,
    pub(super) scopes: BTreeSet<Scope>,
}

/// Which places are to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Census {
    /// All of them.
    Anew,
    /// Those that have not been.
    Missing,
}

impl Plot {
    pub(super) fn new(kind: GroupVersionKind) -> Self {
        Self { kind, ground: Ground::in_turns(), lanes: BTreeMap::new(), untold: BTreeMap::new() }
    }

    /// A policy has these rules, of which those on other versions of the kind are heard here, too; returns whether that is
    /// news.
    pub(super) fn invite(&mut self, policy: &NamespacedName, rules: &[Rule], now: Timestamp) -> bool {
        let guests = rules.iter().filter(|rule| rule.kind().is_other_version_of(&self.kind));
        self.ground.admit_guests(policy, guests.cloned().collect(), now)
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
            let lacks = |lane: &Lane| {
                !lane.lens.shows(&lens)
                    || (!lane.lens.kept.has(&lens.kept) && self.ground.lacks(|space| lens.kept.of(space)))
            };
            if known.is_some_and(|lane| !lacks(lane)) {
                if let Some(lane) = self.lanes.get_mut(&scope) {
                    lane.lens.kept = lens.kept;
                }
            } else {
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
            counts: BTreeMap::new(),
            counting: BTreeSet::new(),
            counted_at: None,
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
        // Policies on other versions of the kind have a word on the same objects.
        let guests = self.ground.guests_read(scope.0.as_deref());
        Lens::new(&rules, guests, *scope == Scope::CLUSTER, fields_refused)
    }

    /// The watch that shows a policy's objects.
    fn lane_of(&self, policy: &Policy) -> Option<&Lane> {
        self.lanes.get(&self.scope_of(policy))
    }

    /// What the watch that shows a policy's objects looks at.
    fn scope_of(&self, policy: &Policy) -> Scope {
        match policy.reach.namespace() {
            Some(namespace) if !self.lanes.contains_key(&Scope::CLUSTER) => Scope::namespace(namespace),
            _ => Scope::CLUSTER,
        }
    }

    /// How far what a policy's watch shows can be relied on.
    pub(in super::super) fn state_of(&self, policy: &Policy) -> &PlotState {
        const LISTING: &PlotState = &PlotState::Listing;
        const JUDGING: &PlotState = &PlotState::Judging;
        self.lane_of(policy).map_or(LISTING, |lane| match &lane.state {
            PlotState::Live(_) if !lane.is_listed => LISTING,
            PlotState::Live(_) if self.ground.is_judging(&policy.key) => JUDGING,
            state => state,
        })
    }

    /// What the cluster calls the kind, if it is known.
    pub(in super::super) fn resource_of(&self, policy: &Policy) -> Option<&Arc<Resource>> {
        match &self.lane_of(policy)?.state {
            PlotState::Live(resource) => Some(resource),
            PlotState::Listing | PlotState::Judging | PlotState::Parked(_) => None,
        }
    }

    /// What the cluster calls the kind, if any watch has found out.
    pub(super) fn resource(&self) -> Option<&Arc<Resource>> {
        self.lanes.values().find_map(|lane| match &lane.state {
            PlotState::Live(resource) => Some(resource),
            PlotState::Listing | PlotState::Judging | PlotState::Parked(_) => None,
        })
    }

    /// The resource, if what the ground shows of a policy's objects can be relied on now.
    pub(in super::super) fn reliable(&self, policy: &Policy) -> Option<&Arc<Resource>> {
        let lane = self.lane_of(policy)?;
        match &lane.state {
            PlotState::Live(resource)
                if lane.is_listed
                    && lane.feed.is_live()
                    && !lane.guard.is_in_doubt()
                    && !self.ground.is_judging(&policy.key) =>
            {
                Some(resource)
            }
            _ => None,
        }
    }

    /// How many objects lie where a policy looks, whether it selects them or not; at least so many.
    pub(in super::super) fn base_of(&self, policy: &Policy) -> u64 {
        let held = self.ground.base(&policy.key);
        let Some(lane) = self.lane_of(policy).filter(|lane| lane.selects()) else { return held };
        let counts = self.places_of(policy, lane).into_iter().filter_map(|place| lane.counts.get(&place));
        held.max(counts.sum())
    }

    /// Whether it is being found out how many objects lie where a policy looks.
    pub(super) fn is_counting(&self, policy: &Policy) -> bool {
        let Some(lane) = self.lane_of(policy).filter(|lane| lane.selects()) else { return false };
        self.places_of(policy, lane).iter().any(|place| !lane.counts.contains_key(place))
    }

    /// Where a policy looks, as far as what lies there can be counted.
    fn places_of(&self, policy: &Policy, lane: &Lane) -> BTreeSet<Scope> {
        if let Some(namespace) = policy.reach.namespace() {
            return BTreeSet::from([Scope::namespace(namespace)]);
        }
        let has_namespaces = !matches!(&lane.state, PlotState::Live(resource) if !resource.namespaced);
        if !policy.reach.narrows_namespaces() || !has_namespaces {
            return BTreeSet::from([Scope::CLUSTER]);
        }
        let namespaces = self.ground.namespaces_of(policy).into_iter().take(COUNTED_NAMESPACES_MAX);
        namespaces.map(|namespace| Scope(Some(namespace))).collect()
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

    /// Whether owners exist was asked, and could be told or not.
    pub(super) fn take_untold(&mut self, found: &Found) {
        match &found.are_gone {
            Err(untold) if self.untold.len() < UNTELLABLE_MAX => {
                self.untold.insert(untold.of.clone(), untold.clone());
            }
            Err(_) => {}
            Ok(_) => kinds_of(&found.question).for_each(|kind| _ = self.untold.remove(&kind)),
        }
    }

    /// Why it cannot be told whether owners of a policy's objects exist; none if there is none of which it could not.
    pub(in super::super) fn untold(&self, policy: &Policy) -> Option<&Untold> {
        if self.ground.counts(&policy.key).of(Bucket::OwnerUnknown) == 0 {
            return None;
        }
        let is_here = |untold: &&Untold| {
            policy.reach.namespace().is_none_or(|namespace| *namespace == *untold.of.namespace)
        };
        let mut here = self.untold.values().filter(is_here);
        // What somebody can mend goes first.
        here.clone().find(|untold| untold.is_denied).or_else(|| here.next())
    }

    /// What a watch selects is not all that there is: all has been counted, as far as it could be. Of a place that could not
    /// be counted, the last number stands.
    pub(super) fn counted(&mut self, id: FeedId, counts: &[(Scope, Option<u64>)], now: Timestamp) {
        let Some(lane) = self.lanes.values_mut().find(|lane| lane.id == id) else { return };
        lane.counted_at = Some(now);
        for (place, count) in counts {
            lane.counting.remove(place);
            let known = lane.counts.entry(place.clone()).or_default();
            *known = count.unwrap_or(*known);
        }
    }

    /// What is still to be counted for a policy.
    pub(super) fn uncounted_for(&mut self, policy: &Policy) -> Option<Uncounted> {
        let scope = self.scope_of(policy);
        self.uncounted_by(&scope, Census::Missing)
    }

    /// What is to be counted anew for a policy, unless that was done since this moment.
    pub(super) fn uncounted_since(&mut self, policy: &Policy, since: Timestamp) -> Option<Uncounted> {
        self.lane_of(policy).filter(|lane| lane.counted_at.is_none_or(|at| at < since))?;
        let scope = self.scope_of(policy);
        self.uncounted_by(&scope, Census::Anew)
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
            FeedEvent::Applied(mut object) => {
                lane.lens.kept.narrow(&mut object);
                self.ground.apply(scope, Object::from(object), now);
            }
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
                return (self.uncounted_by(scope, Census::Missing), false);
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
            return self.uncounted_by(scope, Census::Anew);
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

    /// What is to be counted beside a watch that has listed all that it selects; from now on it is being counted.
    fn uncounted_by(&mut self, scope: &Scope, census: Census) -> Option<Uncounted> {
        let lane = self.lanes.get(scope).filter(|lane| lane.is_listed && lane.selects())?;
        let PlotState::Live(resource) = &lane.state else { return None };
        let policies: BTreeMap<_, _> =
            self.ground.rules().map(|rule| (&rule.policy.key, &rule.policy)).collect();
        let is_its = |policy: &&Arc<Policy>| self.scope_of(policy) == *scope;
        let places = policies.into_values().filter(is_its).flat_map(|policy| self.places_of(policy, lane));
        let is_open = |place: &Scope| {
            !lane.counting.contains(place) && (census == Census::Anew || !lane.counts.contains_key(place))
        };
        let scopes: BTreeSet<_> = places.filter(is_open).collect();
        let uncounted = Uncounted { feed: lane.id, resource: Arc::clone(resource), scopes };
        let lane = self.lanes.get_mut(scope)?;
        lane.counting.extend(uncounted.scopes.iter().cloned());
        Some(uncounted).filter(|uncounted| !uncounted.scopes.is_empty())
    }
}

impl Wanted {
    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }
}

impl Kept {
    fn new(rules: &[&Rule], guests: Vec<KeyPath>, is_of_cluster: bool) -> Self {
        let mut everywhere = guests;
        let mut by_space: BTreeMap<Box<str>, Vec<KeyPath>> = BTreeMap::new();
        for rule in rules {
            match rule.policy.reach.namespace() {
                Some(space) if is_of_cluster => {
                    by_space.entry(space.into()).or_default().extend(rule.reads());
                }
                _ => everywhere.extend(rule.reads()),
            }
        }
        let all = |own| Arc::new(Projection::new(everywhere.iter().cloned().chain(own)));
        let own = by_space.into_iter().map(|(space, reads)| (space, all(reads))).collect();
        Self { everywhere: all(Vec::new()), own }
    }

    fn of(&self, namespace: &str) -> &Arc<Projection> {
        self.own.get(namespace).unwrap_or(&self.everywhere)
    }

    /// Whether it has all that another one has.
    fn has(&self, other: &Self) -> bool {
        let has_all =
            |one: &Projection, other: &Projection| other.paths().iter().all(|path| one.contains(path));
        let spaces = self.own.keys().chain(other.own.keys());
        has_all(&self.everywhere, &other.everywhere)
            && spaces.into_iter().all(|space| has_all(self.of(space), other.of(space)))
    }

    /// Drops what nobody reads of an object in its namespace, if that is large.
    fn narrow(&self, object: &mut views::Object) {
        let kept = self.of(object.metadata.namespace.as_deref().unwrap_or_default());
        if object.fields.exceeds_beyond(kept, UNREAD_BYTES_MAX) {
            object.fields = object.fields.narrowed(kept);
        }
    }
}

impl Lens {
    fn new(rules: &[&Rule], guests: Vec<KeyPath>, is_of_cluster: bool, fields_refused: bool) -> Self {
        let own = rules.iter().flat_map(|rule| rule.reads());
        let projection = Arc::new(Projection::new(own.chain(guests.iter().cloned())));
        let mut selectors = rules.iter().map(|rule| rule.target().pushed());
        let first = selectors.next().unwrap_or_default();
        let (labels, fields) = if selectors.all(|other| other == first) { first } else { (None, None) };
        let pushed = Pushed { labels, fields: fields.filter(|_| !fields_refused) };
        Self { projection, pushed, kept: Kept::new(rules, guests, is_of_cluster) }
    }

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
    /// Whether it shows only a part of what there is.
    fn selects(&self) -> bool {
        self.lens.pushed != Pushed::default()
    }

    /// Tells it once: while the reason stays the same, every further try would say it again.
    fn tell_parked(&self, parked: &Parked, kind: &GroupVersionKind, scope: &Scope) {
        let reason = parked.to_string();
        let told = matches!(&self.state, PlotState::Parked(before) if before.to_string() == reason);
        if !told {
            tell_parked(parked, &self.lens.target(kind, scope), &reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::{ClusterGarbageCollectionPolicy, GarbageCollectionPolicy, Rails};
    use serde_json::{Value, json};

    /// A rule on ConfigMaps, of this namespace or, without one, of the cluster, that reads what this condition does.
    fn rule(namespace: &str, when: &str) -> Rule {
        let spec = json!({
            "targetResource": {"apiVersion": "v1", "kind": "ConfigMap"}, "ttl": {"after": "1h"}, "when": when,
        });
        let metadata = json!({"name": "sweep", "namespace": namespace});
        let rails = Rails::new("grounds");
        let policy = if namespace.is_empty() {
            let policy = json!({"metadata": {"name": "sweep"}, "spec": spec});
            let policy: ClusterGarbageCollectionPolicy = serde_json::from_value(policy).unwrap();
            Policy::compile(&policy, &rails).unwrap()
        } else {
            let policy = json!({"metadata": metadata, "spec": spec});
            let policy: GarbageCollectionPolicy = serde_json::from_value(policy).unwrap();
            Policy::compile(&policy, &rails).unwrap()
        };
        Arc::new(policy).rules().next().unwrap()
    }

    fn lens(rules: &[Rule]) -> Lens {
        Lens::new(&rules.iter().collect::<Vec<_>>(), Vec::new(), true, false)
    }

    fn read(lens: &Lens, namespace: &str, text: &Value) -> views::Object {
        let object = json!({
            "metadata": {"name": "a", "namespace": namespace, "uid": "u"},
            "data": {"text": text}, "status": {"phase": "Done"},
        });
        let mut object = views::Object::read(&object.to_string(), &lens.projection).unwrap();
        lens.kept.narrow(&mut object);
        object
    }

    #[test]
    fn what_one_namespace_reads_is_not_held_for_all_if_it_is_large() {
        let lens =
            lens(&[rule("", "object.status.phase == 'Done'"), rule("team", "object.data.text == 'x'")]);
        let path = |text: &str| text.parse::<units::FieldPath>().unwrap().prefix().clone();
        let (text, phase) = (path("data.text"), path("status.phase"));
        let large = json!("x".repeat(UNREAD_BYTES_MAX));
        let own = read(&lens, "team", &large).fields;
        assert!(own.has_read(&text) && own.get(&text).is_some() && own.has_read(&phase));
        let other = read(&lens, "other", &large).fields;
        assert!(!other.has_read(&text) && other.has_read(&phase), "what was dropped is not absent");
        assert!(
            read(&lens, "other", &json!("x")).fields.has_read(&text),
            "what is small need not be read anew"
        );
    }

    #[test]
    fn a_policy_that_reads_what_was_dropped_has_it_read_again() {
        let done = rule("", "object.status.phase == 'Done'");
        let [team, other] = ["team", "other"].map(|space| rule(space, "object.data.text == 'x'"));
        let before = lens(&[done.clone(), team.clone()]);
        let after = lens(&[done.clone(), team, other]);
        assert!(before.shows(&after), "the watch shows it already");
        assert!(!before.kept.has(&after.kept) && after.kept.has(&before.kept));
        let everywhere = lens(&[done, rule("", "object.data.text == 'x'")]);
        assert!(everywhere.kept.has(&after.kept) && !after.kept.has(&everywhere.kept));

        let mut ground = Ground::in_turns();
        let mut put = |text: &Value| {
            let object = Object::from(read(&before, "other", text));
            ground.apply(&Scope::CLUSTER, object, Timestamp::UNIX_EPOCH);
            ground.lacks(|space| after.kept.of(space))
        };
        assert!(!put(&json!("x")));
        assert!(put(&json!("x".repeat(UNREAD_BYTES_MAX))));
        assert!(!put(&json!("x".repeat(views::KEPT_BYTES_MAX))), "reading it again would not help");
    }
}
