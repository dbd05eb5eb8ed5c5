//! What the collector sees: the policies, and the grounds that they look at.
//!
//! A ground is one kind; its watches are shared by all policies on it. Starts a watch with the first policy that needs it,
//! ends it with the last.

mod plots;
mod policies;
mod quotas;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::pending;
use std::ops::Bound;
use std::sync::Arc;

use api::garbage_collection::{Accepted, Finalizing};
use api::limits::FINALIZING_MAX;
use api::{AuthorUnknown, GarbageCollectionPolicyStatus, Rails};
use chassis::takeover::{Shown, Written};
use chassis::{
    ApiError, Continuity, Feed, FeedEvent, FeedId, FeedState, FeedTarget, Feeds, MetricName, Parked, Pushed,
    Representation, Resource, count,
};
use control::{Belief, Confirmation, MassChange, Timers};
use gc::{Bucket, Counts, Gate, Ground, Mode, NewlySelected, OwnerQuestion, Policy, Rule, Scope, Ward};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use units::{GroupVersionKind, NamespacedName, Uid};
use views::{Labels, Projection};

use plots::Uncounted;
pub(super) use plots::{Plot, PlotId, PlotState};
pub(super) use policies::{Acceptance, AnyPolicy, PolicyKind, Tracked, Unusable};
use policies::{Before, Listing};
use quotas::Quotas;

use super::AuthorCheck;
use super::author::AuthorVerdict;
use super::limits::COUNT_INTERVAL;
use super::owners::Found;
use super::patience::Patience;

/// The feed that shows the labels of namespaces.
const NAMESPACES: FeedId = 2;

/// The feed that shows which namespaces have no room.
const QUOTAS: FeedId = 3;

type Sink = mpsc::Sender<(FeedId, FeedEvent<views::Object>)>;

/// All that the collector sees.
pub(super) struct Observed {
    feeds: Feeds,
    sink: Sink,
    /// Where the watches of what policies depend on besides their objects lead.
    surroundings: Sink,
    rails: Rails,
    author_check: AuthorCheck,
    policies: BTreeMap<NamespacedName, Tracked>,
    listings: BTreeMap<PolicyKind, Listing>,
    why_no_policies: String,
    plots: BTreeMap<PlotId, Plot>,
    kinds: HashMap<GroupVersionKind, PlotId>,
    lanes: HashMap<FeedId, (PlotId, Scope)>,
    last_id: u64,
    /// The ground of which an object was last asked about.
    last_asked: PlotId,
    /// The ground in which objects were last judged that waited for it.
    last_judged: PlotId,
    /// When each watch is listed anew, to see whether it has shown everything.
    scans: Timers<FeedId>,
    namespaces: Namespaces,
    quotas: Quotas,
    counting: JoinSet<Counted>,
}

/// All namespaces and their labels, watched while a policy asks for some of them.
#[derive(Default)]
struct Namespaces {
    feed: Option<Feed>,
    is_listed: bool,
    is_heard: bool,
    labels: BTreeMap<Box<str>, Labels>,
    shown: BTreeSet<Box<str>>,
}

/// All objects in some places have been counted, whether a watch selects them or not.
#[derive(Debug)]
pub(super) struct Counted {
    feed: FeedId,
    /// None for a place where they could not be counted.
    counts: Vec<(Scope, Option<u64>)>,
    /// Why they could not be, in the last of these places.
    error: Option<ApiError>,
}

impl Shown for Observed {
    fn has_shown(&self, kind: usize, there: &[Written]) -> bool {
        let Some(kind) = PolicyKind::ALL.get(kind) else { return false };
        let known = self.policies().filter(|(key, _)| PolicyKind::of(key) == *kind);
        let is_shown = |written: &Written| {
            let known = self.policy(&written.key);
            known.is_some_and(|known| written.is_shown_by(Some(&known.uid), known.version.as_ref()))
        };
        known.count() == there.len() && there.iter().all(is_shown)
    }
}

impl Observed {
    pub(super) fn new(feeds: Feeds, (sink, surroundings): (Sink, Sink), rules: (Rails, AuthorCheck)) -> Self {
        let (rails, author_check) = rules;
        Self {
            feeds,
            sink,
            surroundings,
            rails,
            author_check,
            policies: BTreeMap::new(),
            listings: PolicyKind::ALL.into_iter().map(|kind| (kind, Listing::new())).collect(),
            why_no_policies: "the policies have not been listed yet".to_owned(),
            plots: BTreeMap::new(),
            kinds: HashMap::new(),
            lanes: HashMap::new(),
            last_id: QUOTAS,
            last_asked: 0,
            last_judged: 0,
            scans: Timers::default(),
            namespaces: Namespaces::default(),
            quotas: Quotas::default(),
            counting: JoinSet::new(),
        }
    }

    /// Whether listings of all policies have been completed and believed, and none is under way.
    pub(super) fn has_all_policies(&self) -> bool {
        self.listings.values().all(Listing::is_complete)
    }

    /// Whether the last listing of these policies is not believed, so that another one is needed.
    pub(super) fn doubts_policies(&self, kind: PolicyKind) -> bool {
        self.listings.get(&kind).is_some_and(Listing::is_doubted)
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

    /// The grounds that a policy looks at, each once.
    pub(super) fn plots_of(&self, key: &NamespacedName) -> impl Iterator<Item = &Plot> {
        // What stands in for a policy that cannot be acted on is not what it collects.
        let usable = self.policies.get(key).filter(|tracked| tracked.spec.is_ok());
        distinct(usable.map(|tracked| tracked.plots.as_slice()).unwrap_or_default())
            .filter_map(|id| self.plots.get(&id))
    }

    /// Which grounds a policy looks at, each once, although several of its targets may be of one kind.
    pub(super) fn plot_ids_of(&self, key: &NamespacedName) -> Vec<PlotId> {
        distinct(self.policies.get(key).map(|tracked| tracked.plots.as_slice()).unwrap_or_default()).collect()
    }

    /// What the cluster calls the kinds that a policy looks at, as far as that is known.
    pub(super) fn resources_of(&self, key: &NamespacedName) -> Vec<Arc<Resource>> {
        let Some(Ok(policy)) = self.policies.get(key).map(|tracked| &tracked.spec) else { return Vec::new() };
        self.plots_of(key).filter_map(|plot| plot.resource_of(policy).cloned()).collect()
    }

    pub(super) fn ground_mut(&mut self, id: PlotId) -> Option<&mut Ground> {
        self.plots.get_mut(&id).map(|plot| &mut plot.ground)
    }

    /// Takes from a policy's status which objects the policy has deleted that hang on its finalizer.
    pub(super) fn restore_wards(&mut self, key: &NamespacedName, now: Timestamp) {
        let Some(tracked) = self.policies.get(key) else { return };
        for Finalizing { api_version, kind, namespace, name, uid } in &tracked.status.finalizing {
            let is_it =
                |plot: &Plot| plot.kind.kind == *kind && plot.kind.api_version.to_string() == *api_version;
            for id in &tracked.plots {
                let Some(plot) = self.plots.get_mut(id).filter(|plot| is_it(plot)) else { continue };
                let (namespace, name) = (namespace.as_str().into(), name.as_str().into());
                plot.ground.entrust(key, Ward { namespace, name, uid: Uid::from(uid.as_str()) }, now);
            }
        }
    }

    /// The objects that a policy has deleted and that hang on its finalizer, as the status has them.
    pub(super) fn wards_of(&self, key: &NamespacedName) -> Vec<Finalizing> {
        let of = |plot: &'_ Plot| {
            let (api_version, kind) = (plot.kind.api_version.to_string(), plot.kind.kind.clone());
            let entry = |Ward { namespace, name, uid }: &Ward| Finalizing {
                api_version: api_version.clone(),
                kind: kind.clone(),
                namespace: namespace.to_string(),
                name: name.to_string(),
                uid: uid.to_string(),
            };
            plot.ground.wards(key).map(entry).collect::<Vec<_>>()
        };
        let mut wards: Vec<_> = self.plots_of(key).flat_map(of).collect();
        wards.sort_by(|a, b| a.uid.cmp(&b.uid));
        // A policy may look at one kind twice.
        wards.dedup_by(|a, b| a.uid == b.uid);
        wards.truncate(FINALIZING_MAX);
        wards
    }

    /// The kind of a ground.
    pub(super) fn kind_of(&self, id: PlotId) -> Option<&GroupVersionKind> {
        self.plots.get(&id).map(|plot| &plot.kind)
    }

    /// Whether what is seen of a ground under a policy can be relied on now; if so, what the cluster calls the kind.
    pub(super) fn reliable(&self, id: PlotId, policy: &Policy) -> Option<&Arc<Resource>> {
        let knows_namespaces = !policy.reach.needs_labels() || self.namespaces.is_reliable();
        self.plots.get(&id).filter(|_| knows_namespaces)?.reliable(policy)
    }

    /// How many objects a policy has of each sort, in all of its grounds.
    pub(super) fn counts_of(&self, key: &NamespacedName) -> Counts {
        let mut counts = Counts::default();
        self.plots_of(key).for_each(|plot| counts += plot.ground.counts(key));
        counts
    }

    /// How many objects lie where a policy looks, whether it selects them or not.
    pub(super) fn base_of(&self, key: &NamespacedName) -> u64 {
        let Some(Ok(policy)) = self.policies.get(key).map(|tracked| &tracked.spec) else { return 0 };
        self.plots_of(key).map(|plot| plot.base_of(policy)).sum()
    }

    /// Whether it is being found out of how many objects a policy's budget is a share.
    pub(super) fn is_counting(&self, policy: &Policy) -> bool {
        policy.budget.is_share() && self.plots_of(&policy.key).any(|plot| plot.is_counting(policy))
    }

    /// Has objects counted anew for a policy of which nothing may go any more, if that was not done of late.
    pub(super) fn count_again(&mut self, policy: &Policy, now: Timestamp) {
        if !policy.budget.is_share() {
            return;
        }
        let since = now.checked_sub(COUNT_INTERVAL).unwrap_or(now);
        for id in self.plot_ids_of(&policy.key) {
            let plot = self.plots.get_mut(&id);
            if let Some(uncounted) = plot.and_then(|plot| plot.uncounted_since(policy, since)) {
                self.count(uncounted);
            }
        }
    }

    /// Has counted what is not being counted yet of what a policy's budget is a share of: the policy may have come to a
    /// watch that was there, or a namespace to the policy.
    pub(super) fn count_missing(&mut self, policy: &Policy) {
        for id in self.plot_ids_of(&policy.key) {
            let plot = self.plots.get_mut(&id);
            if let Some(uncounted) = plot.and_then(|plot| plot.uncounted_for(policy)) {
                self.count(uncounted);
            }
        }
    }

    /// Whether a policy as a whole may act, apart from its budget.
    pub(super) fn gate_of(&self, key: &NamespacedName, now: Timestamp) -> Gate {
        let Some(tracked) = self.policies.get(key) else { return Gate::AwaitingApproval };
        let Ok(policy) = &tracked.spec else { return Gate::AwaitingApproval };
        policy.gate(!matches!(tracked.acceptance, Acceptance::Accepted(_)), now)
    }

    /// Looks whether a policy's spec may be acted on: it is as it was let through, or newly selects no more than its
    /// budget, or was approved. To be asked once all of its grounds are reliable.
    pub(super) fn accept(&mut self, key: &NamespacedName, now: Timestamp) {
        let Some(tracked) = self.policies.get(key) else { return };
        let Ok(policy) = tracked.spec.clone() else { return };
        let is_current = |accepted: &Accepted| accepted.spec_hash == policy.spec_hash.as_str();
        let settled = matches!(&tracked.acceptance, Acceptance::Accepted(accepted) if is_current(accepted));
        let is_seen = |id: &PlotId| {
            let is_behind = |plot: &Plot| plot.ground.is_behind_with(key);
            self.reliable(*id, &policy).is_some() && !self.plots.get(id).is_some_and(is_behind)
        };
        if settled || !tracked.plots.iter().all(is_seen) {
            return;
        }
        if self.is_counting(&policy) {
            return self.count_missing(&policy);
        }
        let Some(tracked) = self.policies.get(key) else { return };
        let before = tracked.before();
        let newly = match &before {
            None => NewlySelected::default(),
            Some(before) if is_current(&before.accepted) => NewlySelected::default(),
            Some(before) => self.newly_matched(key, before),
        };
        let limit = policy.budget.limit(self.base_of(key));
        let at_most = newly.known.saturating_add(newly.if_owners_are_gone);
        let acceptance = if at_most <= limit || policy.is_approved(now) {
            let matched = self.counts_of(key).matched();
            Acceptance::Accepted(Accepted { spec_hash: policy.spec_hash.to_string(), matched })
        } else if newly.known <= limit {
            // Its owners are being looked for; so much is not known that it cannot be told yet.
            Acceptance::Open { before }
        } else {
            Acceptance::Waits { newly: newly.known, limit, before }
        };
        let waited = matches!(tracked.acceptance, Acceptance::Waits { .. });
        match &acceptance {
            Acceptance::Waits { newly, limit, .. } if !waited => {
                tracing::warn!(policy = %key, newly, limit, "a changed policy waits to be approved");
            }
            Acceptance::Waits { .. } | Acceptance::Open { .. } => {}
            Acceptance::Accepted(_) => self.each_ground_of(key, |ground| ground.accepted(key)),
        }
        if let Some(tracked) = self.policies.get_mut(key) {
            tracked.acceptance = acceptance;
        }
    }

    fn each_ground_of(&mut self, key: &NamespacedName, change: impl Fn(&mut Ground)) {
        for id in self.plot_ids_of(key) {
            self.ground_mut(id).into_iter().for_each(&change);
        }
    }

    /// What a policy selects that its earlier form did not; only by their number if that form is not known.
    fn newly_matched(&self, key: &NamespacedName, before: &Before) -> NewlySelected {
        let plots: BTreeSet<PlotId> = self.plot_ids_of(key).into_iter().collect();
        let grounds = plots.iter().filter_map(|id| self.plots.get(id)).map(|plot| &plot.ground);
        let mut newly = NewlySelected::default();
        for ground in grounds {
            let Some(here) = ground.newly_selected(key) else { return self.newly_by_number(key, before) };
            newly.known += here.known;
            newly.if_owners_are_gone += here.if_owners_are_gone;
        }
        newly
    }

    fn newly_by_number(&self, key: &NamespacedName, before: &Before) -> NewlySelected {
        let counts = self.counts_of(key);
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        NewlySelected {
            known: count(counts.matched() - before.accepted.matched),
            if_owners_are_gone: count(counts.of(Bucket::OwnerUnknown)),
        }
    }

    /// Takes in what the watch of a kind of policies shows; returns the policies that it concerns.
    pub(super) fn policy_event(
        &mut self,
        kind: PolicyKind,
        event: FeedEvent<AnyPolicy>,
        now: Timestamp,
    ) -> Vec<NamespacedName> {
        match event {
            FeedEvent::State(FeedState::Live(_)) => Vec::new(),
            FeedEvent::State(FeedState::Parked(parked)) => {
                let why = match &parked {
                    Parked::KindNotFound(_) => format!(
                        "the cluster does not know {}: install it with `groundskeeper crds | kubectl apply -f -`",
                        kind.name()
                    ),
                    parked => format!("the policies cannot be watched: {parked}"),
                };
                if why != self.why_no_policies {
                    tell_parked(&parked, &kind.target(), &why);
                    self.why_no_policies = why;
                }
                Vec::new()
            }
            FeedEvent::Listing(_) => {
                self.listing(kind, Listing::begin);
                Vec::new()
            }
            FeedEvent::Listed => self.finish_policy_listing(kind, now),
            FeedEvent::Vanished => {
                self.listing(kind, Listing::begin);
                let gone = self.known_policies(kind);
                self.listing(kind, Listing::believe);
                self.drop_policies(&gone, now)
            }
            FeedEvent::Deleted(policy) => self.drop_policies(&[policy.key()], now),
            FeedEvent::Applied(policy) => self.take_policy(kind, policy, now),
            FeedEvent::Unreadable { meta, status, error } => {
                let status = status.and_then(|status| serde_json::from_str(status.get()).ok());
                self.take_unreadable(kind, &meta, (status.unwrap_or_default(), error), now)
            }
        }
    }

    fn listing(&mut self, kind: PolicyKind, change: impl FnOnce(&mut Listing)) {
        if let Some(listing) = self.listings.get_mut(&kind) {
            change(listing);
        }
    }

    fn known_policies(&self, kind: PolicyKind) -> Vec<NamespacedName> {
        self.policies.keys().filter(|key| PolicyKind::of(key) == kind).cloned().collect()
    }

    /// A listing of policies is complete. One that lacks many of them is believed once a second one does so, too.
    fn finish_policy_listing(&mut self, kind: PolicyKind, now: Timestamp) -> Vec<NamespacedName> {
        let known = self.known_policies(kind);
        let Some(listing) = self.listings.get_mut(&kind) else { return Vec::new() };
        match listing.finish(known.iter()) {
            Ok(gone) => {
                "the policies are being listed anew".clone_into(&mut self.why_no_policies);
                let gone = self.drop_policies(&gone, now);
                let policies = self.known_policies(kind).len();
                tracing::info!(kind = kind.name(), policies, "the policies have been listed");
                gone
            }
            Err(lacked) => {
                let known = known.len();
                self.why_no_policies =
                    format!("a listing lacks {lacked} of {known} policies; they are being listed again");
                self.feeds.metrics.count(MetricName::MassChangeDoubts, &[]);
                tracing::warn!(known, lacked, "a listing of the policies is not believed");
                Vec::new()
            }
        }
    }

    fn take_policy(&mut self, kind: PolicyKind, policy: AnyPolicy, now: Timestamp) -> Vec<NamespacedName> {
        let key = policy.key();
        let uid = Uid::from(policy.metadata.uid.as_deref().unwrap_or_default());
        let author = policy.author();
        let incarnation = self.policies.get(&key).filter(|known| known.uid == uid);
        // Mostly only the status has changed, as it does whenever we write it.
        let known = incarnation.filter(|known| known.is_of(&policy));
        let spec = known.map_or_else(|| policy.compile(&self.rails), |known| known.spec.clone());
        if let Err(error @ Unusable::Unreadable(_)) = &spec {
            tracing::warn!(policy = %key, %error, "a policy cannot be understood");
        }
        let stand_in = match &spec {
            // What the rails keep, nobody has to keep besides.
            Ok(_) | Err(Unusable::Protected(_)) => None,
            Err(_) => policy.stand_in(&self.rails),
        };
        let verdict = match known {
            Some(known) if known.author == author => known.verdict.clone(),
            _ => self.first_verdict(&author),
        };
        let status = policy.status.unwrap_or_default();
        let acceptance = match (known, incarnation) {
            (Some(known), _) => known.acceptance.clone(),
            (None, Some(earlier)) => Acceptance::Open { before: earlier.before() },
            (None, None) => Acceptance::from_status(&status),
        };
        let version = policy.metadata.resource_version.as_deref().map(units::ResourceVersion::from);
        let generation = policy.metadata.generation;
        let tracked = Tracked {
            uid,
            generation,
            version,
            spec,
            stand_in,
            status,
            author,
            verdict,
            acceptance,
            plots: Vec::new(),
        };
        self.listing(kind, |listing| listing.shows(&key));
        self.put_policy(&key, tracked, now)
    }

    /// What is known of an author before anybody has looked.
    fn first_verdict(&self, author: &Result<api::Author, AuthorUnknown>) -> AuthorVerdict {
        match (self.author_check, author) {
            (AuthorCheck::Off, _) => AuthorVerdict::Allowed,
            (AuthorCheck::Required, Ok(_)) => AuthorVerdict::Unchecked,
            (AuthorCheck::Required, Err(unknown)) => AuthorVerdict::Unknown(*unknown),
        }
    }

    fn take_unreadable(
        &mut self,
        kind: PolicyKind,
        meta: &views::Meta,
        (status, error): (GarbageCollectionPolicyStatus, String),
        now: Timestamp,
    ) -> Vec<NamespacedName> {
        let key = NamespacedName::new(meta.namespace.as_deref().unwrap_or_default(), &*meta.name);
        tracing::warn!(policy = %key, error, "a policy cannot be understood");
        let uid = meta.uid.clone().unwrap_or_else(|| Uid::from(""));
        let known = self.policies.get(&key).filter(|known| known.uid == uid);
        let before = known.and_then(Tracked::before);
        let acceptance = match known {
            Some(_) => Acceptance::Open { before },
            None => Acceptance::from_status(&status),
        };
        let tracked = Tracked {
            uid,
            generation: None,
            version: meta.resource_version.clone(),
            spec: Err(Unusable::Unreadable(error)),
            stand_in: None,
            status,
            author: Err(AuthorUnknown::Missing),
            verdict: AuthorVerdict::Unchecked,
            acceptance,
            plots: Vec::new(),
        };
        self.listing(kind, |listing| listing.shows(&key));
        self.put_policy(&key, tracked, now)
    }

    /// Puts a policy in place of what was known of it, and moves it to the grounds that it looks at. Returns the policies that
    /// it concerns: it, and those from which it begins or ceases to keep objects.
    fn put_policy(
        &mut self,
        key: &NamespacedName,
        mut tracked: Tracked,
        now: Timestamp,
    ) -> Vec<NamespacedName> {
        let before = self.plot_ids_of(key);
        let unchanged = match (self.policies.get(key).map(|known| &known.spec), &tracked.spec) {
            (Some(Ok(before)), Ok(after)) => Arc::ptr_eq(before, after),
            _ => false,
        };
        if unchanged {
            tracked.plots = self.policies.get(key).map(|known| known.plots.clone()).unwrap_or_default();
            self.policies.insert(key.clone(), tracked);
            return vec![key.clone()];
        }
        let mut concerned = self.listeners(key);
        let rules: Vec<Rule> = tracked.presence().into_iter().flat_map(Policy::rules).collect();
        tracked.plots = rules.iter().map(|rule| self.plot_for(rule.kind(), now)).collect();
        let mut touched: BTreeSet<PlotId> = before.into_iter().collect();
        for id in &touched {
            // Targets that the policy has no more, or that are of another kind now.
            let kept = |target: usize| tracked.plots.get(target) == Some(id);
            if let Some(plot) = self.plots.get_mut(id) {
                plot.ground.dismiss_targets(key, kept, now);
            }
        }
        let before = tracked.rules_before();
        for (rule, id) in rules.into_iter().zip(&tracked.plots) {
            if let Some(plot) = self.plots.get_mut(id) {
                plot.ground.admit_after(rule, before.clone(), now);
            }
            touched.insert(*id);
        }
        self.policies.insert(key.clone(), tracked);
        touched.extend(self.invite(key, now));
        concerned.extend(self.listeners(key));
        touched.into_iter().for_each(|id| self.arrange(id, now));
        self.watch_surroundings(now);
        concerned.remove(key);
        [key.clone()].into_iter().chain(concerned).collect()
    }

    /// Has a policy heard on the grounds of the same kinds in other versions of their API: the objects there are the same.
    /// Returns the grounds to which it says something new.
    fn invite(&mut self, key: &NamespacedName, now: Timestamp) -> Vec<PlotId> {
        let presence = self.policies.get(key).and_then(Tracked::presence);
        let rules: Vec<Rule> = presence.into_iter().flat_map(Policy::rules).collect();
        let told = |(id, plot): (&PlotId, &mut Plot)| plot.invite(key, &rules, now).then_some(*id);
        self.plots.iter_mut().filter_map(told).collect()
    }

    /// The policies on the grounds where a policy may keep objects from others.
    fn listeners(&self, key: &NamespacedName) -> BTreeSet<NamespacedName> {
        self.plots.values().filter(|plot| plot.ground.has_a_say(key)).flat_map(Plot::policies).collect()
    }

    fn drop_policies(&mut self, keys: &[NamespacedName], now: Timestamp) -> Vec<NamespacedName> {
        let mut concerned: BTreeSet<_> = keys.iter().cloned().collect();
        for key in keys {
            concerned.extend(self.listeners(key));
            let Some(tracked) = self.policies.remove(key) else { continue };
            for id in tracked.plots.iter().copied().chain(self.invite(key, now)) {
                if let Some(plot) = self.plots.get_mut(&id) {
                    plot.ground.dismiss(key, now);
                }
                self.arrange(id, now);
            }
        }
        self.watch_surroundings(now);
        concerned.into_iter().collect()
    }

    fn plot_for(&mut self, kind: &GroupVersionKind, now: Timestamp) -> PlotId {
        if let Some(id) = self.kinds.get(kind) {
            return *id;
        }
        self.last_id += 1;
        let mut plot = Plot::new(kind.clone());
        for (name, labels) in &self.namespaces.labels {
            plot.put_namespace(name, Some(labels.clone()), now);
        }
        for (key, tracked) in &self.policies {
            let rules: Vec<Rule> = tracked.presence().into_iter().flat_map(Policy::rules).collect();
            plot.invite(key, &rules, now);
        }
        self.kinds.insert(kind.clone(), self.last_id);
        self.plots.insert(self.last_id, plot);
        self.last_id
    }

    /// Begins the watches that a ground needs, and ends those that it does not.
    fn arrange(&mut self, id: PlotId, now: Timestamp) {
        let Some(plot) = self.plots.get_mut(&id) else { return };
        let (wanted, ended) = plot.arrange(now);
        for feed in ended {
            self.lanes.remove(&feed);
            self.scans.set(&feed, None);
        }
        for wanted in wanted {
            self.last_id += 1;
            let feed_id = self.last_id;
            self.lanes.insert(feed_id, (id, wanted.scope().clone()));
            let (feeds, sink) = (&self.feeds, &self.sink);
            plot.begin(feed_id, wanted, |target, projection| feeds.start(feed_id, target, projection, sink));
        }
        if plot.ground.is_idle() {
            tracing::info!(kind = %plot.kind, "no longer watching");
            self.kinds.remove(&plot.kind);
            self.plots.remove(&id);
        }
    }

    /// Takes in what the watches of grounds show; returns the policies that it concerns.
    pub(super) fn ground_events(
        &mut self,
        batch: &mut Vec<(FeedId, FeedEvent<views::Object>)>,
        now: Timestamp,
    ) -> Vec<NamespacedName> {
        let (mut touched, mut rearranged) = (BTreeSet::new(), BTreeSet::new());
        for (id, event) in batch.drain(..) {
            let is_listed = matches!(event, FeedEvent::Listed);
            let Some((plot_id, scope)) = self.lanes.get(&id) else { continue };
            let (plot_id, Some(plot)) = (*plot_id, self.plots.get_mut(plot_id)) else { continue };
            let (uncounted, rearrange) = plot.take(scope, event, &self.feeds.metrics, now);
            touched.insert(plot_id);
            if is_listed {
                // What the cluster calls the kind is known by now.
                self.resize(&self.quotas.namespaces());
            }
            if rearrange {
                rearranged.insert(plot_id);
            }
            if let Some(uncounted) = uncounted {
                self.count(uncounted);
            }
        }
        rearranged.into_iter().for_each(|id| self.arrange(id, now));
        let policies = touched.iter().filter_map(|id| self.plots.get(id)).flat_map(Plot::policies);
        policies.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Takes in what policies depend on besides their objects; returns the policies that it concerns.
    pub(super) fn surrounding_event(
        &mut self,
        id: FeedId,
        event: FeedEvent<views::Object>,
        now: Timestamp,
    ) -> Vec<NamespacedName> {
        if id == QUOTAS {
            let resized = self.quotas.take(event);
            self.resize(&resized);
            return Vec::new();
        }
        self.take_namespace(event, now);
        let asks = |tracked: &Tracked| tracked.presence().is_some_and(|policy| policy.reach.needs_labels());
        let concerned = self.policies.iter().filter(|(_, tracked)| asks(tracked));
        concerned.map(|(key, _)| key.clone()).collect()
    }

    /// Whether the labels of namespaces are up to date, once all that has come of them is taken in.
    pub(super) fn hears_surroundings(&self) -> bool {
        self.namespaces.feed.as_ref().is_some_and(Feed::is_live)
    }

    /// All that had come is taken in.
    pub(super) fn heard_surroundings(&mut self, heard: bool) {
        self.namespaces.is_heard = heard;
    }

    /// The server could not be heard: what it has to say of namespaces may not have reached us.
    pub(super) fn doubt_surroundings(&mut self) {
        self.namespaces.is_heard = false;
        if let Some(feed) = &self.namespaces.feed {
            feed.doubt();
        }
    }

    /// Says of these namespaces whether they have room.
    fn resize(&mut self, namespaces: &BTreeSet<Box<str>>) {
        for plot in self.plots.values_mut() {
            let Some(resource) = plot.resource().cloned() else { continue };
            for namespace in namespaces {
                plot.ground.set_full(namespace, self.quotas.is_full(namespace, &resource));
            }
        }
    }

    fn count(&mut self, uncounted: Uncounted) {
        let Uncounted { feed, resource, scopes } = uncounted;
        let client = self.feeds.client.clone();
        self.counting.spawn(async move {
            let mut counted = Counted { feed, counts: Vec::new(), error: None };
            // One after the other: nothing waits for it but deletions beyond what is known to be allowed.
            for scope in scopes {
                match count(&client, &resource, scope.0.as_deref()).await {
                    Ok(count) => counted.counts.push((scope, Some(count))),
                    Err(error) => {
                        counted.counts.push((scope, None));
                        counted.error = Some(error);
                    }
                }
            }
            counted
        });
    }

    /// The next count that has come; never, while nothing is being counted.
    pub(super) async fn next_counted(&mut self) -> Option<Counted> {
        loop {
            if self.counting.is_empty() {
                return pending().await;
            }
            match self.counting.join_next().await? {
                Ok(counted) => return Some(counted),
                Err(error) => tracing::error!(%error, "a count broke; please report this"),
            }
        }
    }

    /// Judges what waits to be judged, for as long as `patience` lasts; returns the policies that have nothing left that
    /// waits.
    pub(super) fn catch_up(&mut self, patience: &Patience, now: Timestamp) -> Vec<NamespacedName> {
        let mut caught_up = Vec::new();
        while patience.lasts() {
            // The grounds take turns, and in each of them its policies do.
            let after = (Bound::Excluded(self.last_judged), Bound::Unbounded);
            let mut in_turn = self.plots.range(after).chain(self.plots.range(..=self.last_judged));
            let Some(id) = in_turn.find(|(_, plot)| plot.ground.is_behind()).map(|(id, _)| *id) else {
                break;
            };
            self.last_judged = id;
            let turn = patience.turn();
            let ground = self.ground_mut(id);
            caught_up.extend(ground.map(|ground| ground.catch_up(now, || turn.lasts())).unwrap_or_default());
        }
        caught_up
    }

    /// Whether anything waits to be judged.
    pub(super) fn is_behind(&self) -> bool {
        self.plots.values().any(|plot| plot.ground.is_behind())
    }

    /// An object of which a policy has to know whether its owners exist.
    pub(super) fn take_owner_question(&mut self) -> Option<(PlotId, OwnerQuestion)> {
        // The grounds take turns: one with many objects does not hold up the others.
        let after = (Bound::Excluded(self.last_asked), Bound::Unbounded);
        let in_turn = self.plots.range(after).chain(self.plots.range(..=self.last_asked));
        let in_turn: Vec<PlotId> = in_turn.map(|(id, _)| *id).collect();
        for id in in_turn {
            if let Some(question) =
                self.ground_mut(id).and_then(|ground| ground.take_owner_questions(1).pop())
            {
                self.last_asked = id;
                return Some((id, question));
            }
        }
        None
    }

    /// Takes in what was found of an object's owners; returns the policies that it concerns.
    pub(super) fn owners_found(&mut self, found: &Found, now: Timestamp) -> Vec<NamespacedName> {
        let Some(plot) = self.plots.get_mut(&found.plot) else { return Vec::new() };
        plot.ground.owners_seen(&found.question, found.are_gone.as_ref().ok().copied(), now);
        plot.take_untold(found);
        plot.policies()
    }

    /// Takes in a count; returns the policies that it concerns.
    pub(super) fn take_counted(&mut self, counted: &Counted, now: Timestamp) -> Vec<NamespacedName> {
        let Some((id, _)) = self.lanes.get(&counted.feed) else { return Vec::new() };
        let Some(plot) = self.plots.get_mut(id) else { return Vec::new() };
        plot.counted(counted.feed, &counted.counts, now);
        if let Some(error) = &counted.error {
            tracing::warn!(kind = %plot.kind, %error, "all objects could not be counted; a share is taken of those that are selected");
        }
        plot.policies()
    }

    /// Watches what policies depend on besides their objects.
    fn watch_surroundings(&mut self, now: Timestamp) {
        let acts = |tracked: &Tracked| tracked.spec.as_ref().is_ok_and(|policy| policy.mode == Mode::Enforce);
        let wanted = self.policies.values().any(acts);
        self.quotas.watch(wanted, &self.feeds, &self.surroundings);
        self.watch_namespaces(now);
    }

    /// Watches namespaces while a policy asks for some of them: for their labels, or to count what lies in them.
    fn watch_namespaces(&mut self, now: Timestamp) {
        let asks =
            |tracked: &Tracked| tracked.presence().is_some_and(|policy| policy.reach.narrows_namespaces());
        let wanted = self.policies.values().any(asks);
        if wanted == self.namespaces.feed.is_some() {
            return;
        }
        let before = std::mem::take(&mut self.namespaces);
        for plot in self.plots.values_mut() {
            // What nobody watches may be wrong tomorrow.
            before.labels.keys().for_each(|name| plot.put_namespace(name, None, now));
        }
        if wanted {
            let kind = GroupVersionKind {
                api_version: units::ApiVersion { group: String::new(), version: "v1".to_owned() },
                kind: "Namespace".to_owned(),
            };
            let target = FeedTarget {
                kind,
                namespace: None,
                selector: Pushed::default(),
                representation: Representation::Metadata,
                // No precondition of a deletion would notice that the labels of its namespace have changed.
                continuity: Continuity::Relist,
            };
            let projection = Arc::new(Projection::new([]));
            self.namespaces.feed = Some(self.feeds.start(NAMESPACES, target, projection, &self.surroundings));
        }
    }

    fn take_namespace(&mut self, event: FeedEvent<views::Object>, now: Timestamp) {
        let Namespaces { is_listed, labels, shown, .. } = &mut self.namespaces;
        match event {
            FeedEvent::State(_) => {}
            FeedEvent::Listing(_) => {
                *is_listed = false;
                shown.clear();
            }
            FeedEvent::Applied(object) => {
                let views::Meta { name, labels: new, .. } = object.metadata;
                shown.insert(name.clone());
                labels.insert(name.clone(), new.clone());
                self.plots.values_mut().for_each(|plot| plot.put_namespace(&name, Some(new.clone()), now));
            }
            FeedEvent::Deleted(object) => self.drop_namespace(&object.metadata.name, now),
            FeedEvent::Unreadable { meta, .. } => self.drop_namespace(&meta.name, now),
            FeedEvent::Listed | FeedEvent::Vanished => {
                *is_listed = true;
                let gone: Vec<_> = labels.keys().filter(|name| !shown.contains(*name)).cloned().collect();
                gone.iter().for_each(|name| self.drop_namespace(name, now));
            }
        }
    }

    fn drop_namespace(&mut self, name: &str, now: Timestamp) {
        self.namespaces.labels.remove(name);
        self.plots.values_mut().for_each(|plot| plot.put_namespace(name, None, now));
    }

    /// Has the watches listed anew whose turn it is. One after the other: a cluster's worth at once would be felt.
    pub(super) fn scan_due(&mut self, now: Timestamp) {
        for (plot_id, plot) in &self.plots {
            let interval = self.evaluation_interval(*plot_id);
            for id in plot.live_feeds() {
                // The first scan comes at a moment of the interval that depends on the watch, so that they spread.
                let share = interval / 64 * u32::try_from(id % 64).unwrap_or(0);
                let next = now.checked_add(interval.saturating_sub(share / 2)).unwrap_or(Timestamp::MAX);
                self.scans.set_no_later(&id, next);
            }
        }
        while let Some(id) = self.scans.pop_due(now) {
            if let Some(plot) = self.lanes.get(&id).and_then(|(plot, _)| self.plots.get(plot)) {
                plot.relist(id);
            }
        }
    }

    /// The shortest interval that a policy on the ground asks for.
    fn evaluation_interval(&self, id: PlotId) -> std::time::Duration {
        let policies = self.policies.values().filter(|tracked| tracked.plots.contains(&id));
        let intervals = policies.filter_map(|tracked| Some(tracked.spec.as_ref().ok()?.evaluation_interval));
        intervals.min().unwrap_or(super::limits::SCAN_INTERVAL)
    }

    /// Writes numbers that belong to no policy.
    pub(super) fn measure(&self) {
        let tracked: usize = self.plots.values().map(|plot| plot.ground.len()).sum();
        let tracked = i64::try_from(tracked).unwrap_or(i64::MAX);
        self.feeds.metrics.set(MetricName::GcTrackedObjects, &[], tracked);
        let watches = i64::try_from(self.lanes.len()).unwrap_or(i64::MAX);
        self.feeds.metrics.set(MetricName::OldInformers, &[], watches);
    }
}

impl Namespaces {
    fn is_reliable(&self) -> bool {
        self.is_listed && self.is_heard
    }
}

/// Each of them once, in their order.
fn distinct(ids: &[PlotId]) -> impl Iterator<Item = PlotId> {
    let is_first = |(at, id): &(usize, PlotId)| ids.iter().position(|other| other == id) == Some(*at);
    ids.iter().copied().enumerate().filter(is_first).map(|(_, id)| id)
}

/// Whether a complete listing is to be taken in: it lacks so many of the known things, and of those that the doubted one
/// before it lacked, so many again.
fn believes(guard: &mut MassChange, known: usize, lacked: usize, lacked_again: usize) -> bool {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let agreed = guard.is_in_doubt() && guard.confirm(count(lacked_again)) == Confirmation::Agreed;
    agreed || guard.judge(count(known), count(lacked)) == Belief::Believed
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
    use control::MassChangeRules;

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
