//! Garbage collection: the driver.
//!
//! One loop owns all state. Watches feed it ([`observe`]), due objects leave it ([`apply`]), and what users see is
//! written beside it ([`report`]). Deletions and status writes run as tasks of their own and come back as outcomes.
//!
//! Every replica watches; only the one that leads deletes and writes.
//!
//! Invariant: nothing is deleted while the policies are not up to date, for one of them may just have been deleted.

pub mod admission;
mod apply;
mod author;
mod authors;
mod limits;
mod observe;
mod report;
pub mod rights;

use std::sync::Arc;
use std::time::Duration;

use api::{GarbageCollectionPolicy, Rails};
use chassis::actuator::Actuator;
use chassis::lease::Leadership;
use chassis::limits::LIVENESS_SILENCE_MAX;
use chassis::reconcile::{self, AtStop, Controller as _, Pace, Work};
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
use observe::Observed;
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
    policy_feed: Feed,
    policy_events: mpsc::Receiver<(FeedId, FeedEvent<GarbageCollectionPolicy>)>,
    ground_events: mpsc::Receiver<(FeedId, FeedEvent<views::Object>)>,
    observed: Observed,
    authors: Authors,
    deletions: Deletions,
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
    Policy(Box<FeedEvent<GarbageCollectionPolicy>>),
    Ground,
    Deleted(Box<apply::Done>),
    Checked(Box<Checked>),
    Leadership,
}

impl GarbageCollector {
    fn new(foundation: Foundation, reports: Reports) -> Self {
        let Foundation { clock, rails, feeds, leadership, actuator, health, author_check, .. } = foundation;
        let (policy_sink, policy_events) = mpsc::channel(chassis::limits::FEED_QUEUE_EVENTS);
        let (ground_sink, ground_events) = mpsc::channel(chassis::limits::FEED_QUEUE_EVENTS);
        let policy_feed = feeds.start(0, observe::policies(), &policy_sink);
        let access = AccessReviews::new(feeds.client.clone(), Arc::clone(&clock));
        Self {
            clock,
            stop: feeds.supervisor.stopping().clone(),
            leadership,
            pulse: health.register("garbage collection", LIVENESS_SILENCE_MAX),
            policies_check: health.check("policies"),
            policy_feed,
            policy_events,
            ground_events,
            deletions: Deletions::new(actuator, feeds.metrics.clone()),
            authors: Authors::new(access),
            observed: Observed::new(feeds, ground_sink, (rails, author_check)),
            reports,
        }
    }

    async fn run(mut self) {
        let mut batch = Vec::with_capacity(FEED_BATCH_EVENTS);
        loop {
            self.pulse.tick();
            let now = self.clock.now();
            self.authors.launch(&self.observed, now);
            if let (true, Some(epoch)) = (self.check_readiness(), self.leadership.epoch()) {
                for key in self.deletions.launch(&mut self.observed, &epoch, now) {
                    self.reports.mark(&key, now);
                }
            }
            self.observed.scan_due(now);
            self.reports.post_due(&self.observed, &self.deletions, now);
            match self.wait(now, &mut batch).await {
                Wake::Stop => break,
                Wake::Time => {}
                Wake::Policy(event) => self.take_policy_event(*event),
                Wake::Ground => self.take_ground_events(&mut batch),
                Wake::Deleted(done) => self.settle(&done),
                Wake::Checked(checked) => self.take_checked(*checked),
                Wake::Leadership => self.take_leadership(),
            }
        }
        self.finish().await;
    }

    async fn wait(&mut self, now: Timestamp, batch: &mut Vec<(FeedId, FeedEvent<views::Object>)>) -> Wake {
        let pause = self.pause(now);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Wake::Stop,
            Some((_, event)) = self.policy_events.recv() => Wake::Policy(Box::new(event)),
            Some(done) = self.deletions.next_done() => Wake::Deleted(Box::new(done)),
            Some(checked) = self.authors.next_checked() => Wake::Checked(Box::new(checked)),
            () = self.leadership.changed() => Wake::Leadership,
            _ = self.ground_events.recv_many(batch, FEED_BATCH_EVENTS) => Wake::Ground,
            () = tokio::time::sleep(pause) => Wake::Time,
        }
    }

    /// How long there is nothing to do but to take in what comes.
    fn pause(&self, now: Timestamp) -> Duration {
        // What is due waits for the next epoch if there is none.
        let deletions = self.deletions.next_wake().filter(|_| self.leadership.epoch().is_some());
        let next =
            [deletions, self.reports.next_wake(), self.authors.next_wake()].into_iter().flatten().min();
        let until =
            next.map_or(SLEEP_MAX, |at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
        until.min(SLEEP_MAX)
    }

    /// Whether decisions may be made: the policies are up to date.
    ///
    /// The order matters: what the feed showed before it became live is in the queue by then, and is taken in first.
    fn check_readiness(&mut self) -> bool {
        let heard = self.policy_feed.is_live();
        while let Ok((_, event)) = self.policy_events.try_recv() {
            self.take_policy_event(event);
        }
        let live = heard && self.observed.has_all_policies();
        if live {
            self.policies_check.pass();
        } else {
            self.policies_check.fail(self.observed.why_no_policies());
        }
        live
    }

    fn take_policy_event(&mut self, event: FeedEvent<GarbageCollectionPolicy>) {
        let now = self.clock.now();
        let is_listed = matches!(event, FeedEvent::Listed);
        for key in self.observed.policy_event(event) {
            match self.observed.policy(&key) {
                None => {
                    self.authors.forget(&key);
                    self.deletions.forget(&key);
                    self.reports.forget(&key);
                }
                Some(tracked) => {
                    self.deletions.admit(tracked, now);
                    self.reports.admit(&key, tracked, self.leadership.epoch().is_some());
                    self.look_at(&key, now);
                }
            }
        }
        if is_listed && self.observed.doubts_policies() {
            self.policy_feed.relist();
        }
    }

    fn take_ground_events(&mut self, batch: &mut Vec<(FeedId, FeedEvent<views::Object>)>) {
        let now = self.clock.now();
        for key in self.observed.ground_events(batch) {
            self.look_at(&key, now);
        }
    }

    fn settle(&mut self, done: &apply::Done) {
        let now = self.clock.now();
        let was_deleted = self.deletions.settle(&mut self.observed, done, now);
        if done.was_unheard() {
            // The server could not be reached: what it has to say of the policies may not have reached us either.
            self.policy_feed.doubt();
        }
        if was_deleted {
            self.reports.deleted(&done.policy, &done.due.name, now);
        }
        self.look_at(&done.policy, now);
    }

    fn take_checked(&mut self, checked: Checked) {
        let (key, now) = (checked.policy.clone(), self.clock.now());
        self.authors.settle(&mut self.observed, checked, now);
        self.look_at(&key, now);
    }

    /// Leading has begun or ended: every policy is looked at as if it had changed.
    fn take_leadership(&mut self) {
        let now = self.clock.now();
        let keys: Vec<_> = self.observed.policies().map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.look_at(key, now));
    }

    /// Something about a policy has changed: when it is to be woken, and what is to be said of it.
    fn look_at(&mut self, key: &NamespacedName, now: Timestamp) {
        self.authors.arm(&self.observed, key, now);
        self.deletions.arm(&self.observed, key, now);
        self.reports.mark(key, now);
    }

    /// Waits for what is in flight, and says what became of it.
    async fn finish(mut self) {
        let finishing = async {
            while let Some(done) = self.deletions.next_in_flight().await {
                self.settle(&done);
            }
        };
        if tokio::time::timeout(FINISH_TIMEOUT, finishing).await.is_err() {
            tracing::warn!("deletions were still in flight at the end; they are settled by the next start");
        }
        self.reports.post_all(&self.observed, &self.deletions, self.clock.now());
        tracing::info!("garbage collection has ended");
    }
}
