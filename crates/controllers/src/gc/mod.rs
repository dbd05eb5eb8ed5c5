//! Garbage collection: the driver.
//!
//! One loop owns all state. Watches feed it ([`observe`]), due objects leave it ([`apply`]), and what users see is
//! written beside it ([`report`]). Deletions and status writes run as tasks of their own and come back as outcomes.
//!
//! Every replica watches; only the one that leads deletes and writes.
//!
//! Invariant: nothing is deleted while the policies are not up to date, for one of them may just have been deleted; nor
//! before all has been seen that was done before this replica came to lead.

pub mod admission;
mod apply;
mod author;
mod authors;
mod limits;
pub mod lint;
mod observe;
mod old_metrics;
mod owners;
mod patience;
mod report;
mod reserve;
pub mod rights;
mod turns;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api::Rails;
use chassis::actuator::Actuator;
use chassis::lease::{Epoch, Leadership};
use chassis::limits::LIVENESS_SILENCE_MAX;
use chassis::reconcile::{self, AtStop, Controller as _, Pace, Work};
use chassis::takeover::{self, Takeover};
use chassis::{AccessReviews, Check, Feed, FeedEvent, FeedId, Feeds, Health, Recorder, Ticker};
use control::Clock;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use units::NamespacedName;

use apply::Deletions;
use authors::{Authors, Checked};
use limits::{
    FEED_BATCH_EVENTS, FINISH_TIMEOUT, REPORT_DEADLINE, REPORTS_IN_FLIGHT_MAX, SCAN_INTERVAL, SLEEP_MAX,
};
use observe::{AnyPolicy, Counted, Observed, PolicyKind};
use owners::Owners;
use patience::Patience;
use report::{Reporter, Reports, reports};

/// What the garbage collector stands on.
#[derive(Debug)]
pub struct Foundation {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// What is never deleted.
    pub rails: Rails,
    /// Watches, and who owns the tasks and where numbers go.
    pub feeds: Feeds,
    /// Whether this replica leads.
    pub leadership: Leadership,
    /// What deletes.
    pub actuator: Actuator,
    /// Where events go.
    pub recorder: Recorder,
    /// What probes are told.
    pub health: Health,
    /// Whether a policy is carried out only if its author may do what it does.
    pub author_check: AuthorCheck,
}

/// Whether a policy is carried out only if its author may do what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorCheck {
    /// The author must be known, and be allowed to list and delete the objects.
    Required,
    /// Every policy is carried out with our own rights, whoever wrote it.
    Off,
}

/// The garbage collector.
struct GarbageCollector {
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    leadership: Leadership,
    pulse: Ticker,
    policies_check: Check,
    policy_feeds: Vec<(PolicyKind, Feed)>,
    policy_events: mpsc::Receiver<(FeedId, FeedEvent<AnyPolicy>)>,
    ground_events: mpsc::Receiver<(FeedId, FeedEvent<views::Object>)>,
    surrounding_events: mpsc::Receiver<(FeedId, FeedEvent<views::Object>)>,
    observed: Observed,
    authors: Authors,
    owners: Owners,
    deletions: Deletions,
    takeover: Takeover,
    /// Whether what is due is done: if not, whatever lets it be done wakes the loop.
    acts: bool,
    reports: Reports,
}

/// Starts the collector and its reports; both end when the supervisor's work does, after what is in flight.
pub fn start(foundation: Foundation) {
    let Foundation { clock, feeds, leadership, recorder, health, .. } = &foundation;
    let (metrics, supervisor) = (feeds.metrics.clone(), feeds.supervisor.clone());
    let work = Work::new(Reporter::NAME, Arc::clone(clock), metrics.clone());
    let (reports, reporter) = reports(feeds.client.clone(), recorder.clone(), metrics, work.clone());
    let pace = Pace {
        concurrency: REPORTS_IN_FLIGHT_MAX,
        deadline: REPORT_DEADLINE,
        scan_interval: SCAN_INTERVAL,
        at_stop: AtStop::FinishReady,
    };
    // The reports end after the collector, for it has the last word to report.
    let collected = CancellationToken::new();
    let reporting =
        reconcile::run(Arc::new(reporter), work, pace, leadership.clone(), health.clone(), collected.clone());
    supervisor.spawn("reports", reporting);
    let collector = GarbageCollector::new(foundation, reports);
    supervisor.spawn("garbage collection", async move {
        collector.run().await;
        collected.cancel();
    });
}

/// What woke the loop.
enum Wake {
    Stop,
    Time,
    Policy(FeedId, Box<FeedEvent<AnyPolicy>>),
    Ground,
    Surroundings(FeedId, Box<FeedEvent<views::Object>>),
    Counted(Box<Counted>),
    Owners(Box<owners::Found>),
    Deleted(Box<apply::Done>),
    Checked(Box<Checked>),
    Leadership,
    Policies(takeover::Answer),
}

impl GarbageCollector {
    fn new(foundation: Foundation, reports: Reports) -> Self {
        let Foundation { clock, rails, feeds, leadership, actuator, health, author_check, .. } = foundation;
        let (policy_sink, policy_events) = mpsc::channel(chassis::limits::FEED_QUEUE_EVENTS);
        let (ground_sink, ground_events) = mpsc::channel(chassis::limits::FEED_QUEUE_EVENTS);
        let (surrounding_sink, surrounding_events) = mpsc::channel(chassis::limits::FEED_QUEUE_EVENTS);
        let start = |kind: PolicyKind| (kind, feeds.start(kind.feed(), kind.target(), (), &policy_sink));
        let policy_feeds = PolicyKind::ALL.into_iter().map(start).collect();
        let access = AccessReviews::new(feeds.client.clone(), Arc::clone(&clock));
        Self {
            clock: Arc::clone(&clock),
            stop: feeds.supervisor.stopping().clone(),
            leadership,
            pulse: health.register("garbage collection", LIVENESS_SILENCE_MAX),
            policies_check: health.check("policies"),
            policy_feeds,
            policy_events,
            ground_events,
            surrounding_events,
            deletions: Deletions::new(actuator, feeds.metrics.clone(), clock),
            authors: Authors::new(access),
            owners: Owners::new(feeds.client.clone()),
            takeover: Takeover::new(feeds.client.clone(), PolicyKind::ALL.map(PolicyKind::resource).to_vec()),
            acts: false,
            observed: Observed::new(feeds, (ground_sink, surrounding_sink), (rails, author_check)),
            reports,
        }
    }

    async fn run(mut self) {
        let mut batch = Vec::with_capacity(FEED_BATCH_EVENTS);
        loop {
            self.pulse.tick();
            let now = self.clock.now();
            self.catch_up(now);
            self.authors.launch(&self.observed, now);
            let (is_ready, epoch) = (self.check_readiness(), self.settled_epoch(now));
            let epoch = epoch.filter(|_| is_ready);
            self.acts = epoch.is_some();
            if let Some(epoch) = epoch {
                for key in self.deletions.launch(&mut self.observed, &epoch, now) {
                    self.reports.mark(&key, now);
                }
                for key in self.deletions.take_unsecured() {
                    self.reports.post_now(&key, (&self.observed, &mut self.deletions), now);
                }
            }
            self.owners.launch(&mut self.observed, now);
            self.observed.scan_due(now);
            self.reports.post_due(&self.observed, &mut self.deletions, now);
            match self.wait(now, &mut batch).await {
                Wake::Stop => break,
                Wake::Time => {}
                Wake::Policy(id, event) => self.take_policy_event(id, *event),
                Wake::Owners(found) => self.take_owners(&found),
                Wake::Counted(counted) => self.take_counted(&counted),
                Wake::Surroundings(id, event) => self.take_surroundings(id, *event),
                Wake::Ground => self.take_ground_events(&mut batch),
                Wake::Deleted(done) => self.settle_all(*done),
                Wake::Checked(checked) => self.take_checked(*checked),
                Wake::Leadership => self.look_at_all(self.clock.now()),
                Wake::Policies(answer) => self.takeover.settle(answer, self.clock.now()),
            }
        }
        self.finish().await;
    }

    /// Judges some of what waits to be judged.
    fn catch_up(&mut self, now: Timestamp) {
        let patience = Patience::of_a_round(&self.clock);
        for key in self.observed.catch_up(&patience, now) {
            self.look_at(&key, now);
        }
    }

    async fn wait(&mut self, now: Timestamp, batch: &mut Vec<(FeedId, FeedEvent<views::Object>)>) -> Wake {
        let pause = self.pause(now);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Wake::Stop,
            Some((id, event)) = self.policy_events.recv() => Wake::Policy(id, Box::new(event)),
            Some(done) = self.deletions.next_done() => Wake::Deleted(Box::new(done)),
            Some(checked) = self.authors.next_checked() => Wake::Checked(Box::new(checked)),
            Some(found) = self.owners.next_found() => Wake::Owners(Box::new(found)),
            Some(counted) = self.observed.next_counted() => Wake::Counted(Box::new(counted)),
            () = self.leadership.changed() => Wake::Leadership,
            answer = self.takeover.next_answer() => Wake::Policies(answer),
            Some((id, event)) = self.surrounding_events.recv() => Wake::Surroundings(id, Box::new(event)),
            _ = self.ground_events.recv_many(batch, FEED_BATCH_EVENTS) => Wake::Ground,
            () = tokio::time::sleep(pause) => Wake::Time,
        }
    }

    /// How long there is nothing to do but to take in what comes.
    fn pause(&self, now: Timestamp) -> Duration {
        if self.observed.is_behind() {
            return Duration::ZERO;
        }
        let deletions = self.deletions.next_wake().filter(|_| self.acts);
        let others = [self.takeover.next_wake(), self.reports.next_wake(), self.authors.next_wake()];
        let next = others.into_iter().chain([deletions]).flatten().min();
        let until =
            next.map_or(SLEEP_MAX, |at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
        until.min(SLEEP_MAX)
    }

    /// The epoch that lasts, once all has been seen that was done before it: from then on what others have spent counts.
    fn settled_epoch(&mut self, now: Timestamp) -> Option<Epoch> {
        let epoch = self.leadership.epoch();
        let is_seen = self.takeover.go_on(epoch.as_ref(), &self.observed, now);
        let done_in = self.takeover.done_in();
        self.reports.speak_in(done_in);
        if is_seen {
            let keys: Vec<_> = self.observed.policies().map(|(key, _)| key.clone()).collect();
            self.observed.policies().for_each(|(_, tracked)| self.deletions.resume(tracked));
            keys.iter().for_each(|key| self.observed.restore_wards(key, now));
            self.look_at_all(now);
        }
        epoch.filter(|epoch| done_in == Some(epoch.number()))
    }

    /// Whether decisions may be made: the policies are up to date.
    ///
    /// The order matters: what the feed showed before it became live is in the queue by then, and is taken in first.
    fn check_readiness(&mut self) -> bool {
        let heard = self.policy_feeds.iter().all(|(_, feed)| feed.is_live());
        while let Ok((id, event)) = self.policy_events.try_recv() {
            self.take_policy_event(id, event);
        }
        // No precondition of a deletion would notice that the labels of its namespace have changed, either.
        let surroundings = self.observed.hears_surroundings();
        while let Ok((id, event)) = self.surrounding_events.try_recv() {
            self.take_surroundings(id, event);
        }
        self.observed.heard_surroundings(surroundings);
        let live = heard && self.observed.has_all_policies();
        if live {
            self.policies_check.pass();
        } else {
            self.policies_check.fail(self.observed.why_no_policies());
        }
        live
    }

    fn take_policy_event(&mut self, id: FeedId, event: FeedEvent<AnyPolicy>) {
        let now = self.clock.now();
        let is_listed = matches!(event, FeedEvent::Listed);
        let Some((kind, feed)) = self.policy_feeds.iter().find(|(kind, _)| kind.feed() == id) else { return };
        for key in self.observed.policy_event(*kind, event, now) {
            match self.observed.policy(&key) {
                None => {
                    self.authors.forget(&key);
                    self.deletions.forget(&key);
                    self.reports.forget(&key);
                }
                Some(tracked) => {
                    let is_new = self.deletions.admit(tracked, now);
                    self.reports.admit(&key, tracked);
                    if is_new {
                        self.observed.restore_wards(&key, now);
                    }
                    look_at(
                        (&mut self.observed, &mut self.authors),
                        (&mut self.deletions, &mut self.reports),
                        &key,
                        now,
                    );
                }
            }
        }
        if is_listed && self.observed.doubts_policies(*kind) {
            feed.relist();
        }
    }

    fn take_ground_events(&mut self, batch: &mut Vec<(FeedId, FeedEvent<views::Object>)>) {
        let now = self.clock.now();
        for key in self.observed.ground_events(batch, now) {
            self.look_at(&key, now);
        }
    }

    fn take_surroundings(&mut self, id: FeedId, event: FeedEvent<views::Object>) {
        let now = self.clock.now();
        for key in self.observed.surrounding_event(id, event, now) {
            self.look_at(&key, now);
        }
    }

    fn take_owners(&mut self, found: &owners::Found) {
        let now = self.clock.now();
        self.owners.settle(found, now);
        for key in self.observed.owners_found(found, now) {
            self.look_at(&key, now);
        }
    }

    fn take_counted(&mut self, counted: &Counted) {
        let now = self.clock.now();
        for key in self.observed.take_counted(counted, now) {
            self.look_at(&key, now);
        }
    }

    /// Takes in this and whatever else has been answered by now, before what may follow is begun.
    fn settle_all(&mut self, first: apply::Done) {
        let (now, mut next) = (self.clock.now(), Some(first));
        let mut policies = BTreeSet::new();
        while let Some(done) = next {
            self.settle(&done, now);
            policies.insert(done.policy);
            next = self.deletions.try_next_done();
        }
        policies.iter().for_each(|key| self.look_at(key, now));
    }

    fn settle(&mut self, done: &apply::Done, now: Timestamp) {
        self.deletions.settle(&mut self.observed, done, now);
        if done.was_unheard() {
            // The server could not be reached: what it has to say of the policies may not have reached us either.
            self.policy_feeds.iter().for_each(|(_, feed)| feed.doubt());
            self.observed.doubt_surroundings();
        }
        if let Some(name) = done.deleted() {
            self.reports.deleted(&done.policy, name, now);
        }
        if let Some(deletes_at) = done.told() {
            self.reports.told(&self.observed, &done.policy, (&done.due, deletes_at), now);
        }
    }

    fn take_checked(&mut self, checked: Checked) {
        let (key, now) = (checked.policy.clone(), self.clock.now());
        self.authors.settle(&mut self.observed, checked, now);
        self.look_at(&key, now);
    }

    fn look_at_all(&mut self, now: Timestamp) {
        let keys: Vec<_> = self.observed.policies().map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.look_at(key, now));
    }

    fn look_at(&mut self, key: &NamespacedName, now: Timestamp) {
        look_at((&mut self.observed, &mut self.authors), (&mut self.deletions, &mut self.reports), key, now);
    }

    /// Waits for what is in flight, and says what became of it.
    async fn finish(mut self) {
        let finishing = async {
            while let Some(done) = self.deletions.next_in_flight().await {
                self.settle_all(done);
            }
        };
        if tokio::time::timeout(FINISH_TIMEOUT, finishing).await.is_err() {
            tracing::warn!("deletions were still in flight at the end; they are settled by the next start");
        }
        self.reports.post_all(&self.observed, &mut self.deletions, self.clock.now());
        tracing::info!("garbage collection has ended");
    }
}

/// Something about a policy has changed: whether it may act, when it is to be woken, and what is to be said of it.
fn look_at(
    (observed, authors): (&mut Observed, &mut Authors),
    (deletions, reports): (&mut Deletions, &mut Reports),
    key: &NamespacedName,
    now: Timestamp,
) {
    observed.accept(key, now);
    authors.arm(observed, key, now);
    deletions.arm(observed, key, now);
    reports.mark(key, now);
}
