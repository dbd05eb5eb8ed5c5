//! Garbage collection: the driver.
//!
//! One loop owns all state. Watches feed it ([`observe`]), due objects leave it ([`apply`]), and what users see is
//! written beside it ([`report`]). Deletions and status writes run as tasks of their own and come back as outcomes.
//!
//! Invariant: nothing is deleted while the policies are not up to date, for one of them may just have been deleted.

mod apply;
mod limits;
mod observe;
mod report;

use std::sync::Arc;
use std::time::Duration;

use api::{GarbageCollectionPolicy, Rails};
use chassis::actuator::Actuator;
use chassis::limits::LIVENESS_SILENCE_MAX;
use chassis::{Check, Feed, FeedEvent, FeedId, Health, Metrics, Recorder, Supervisor, Ticker};
use control::Clock;
use jiff::Timestamp;
use kube::Client;
use tokio::sync::mpsc;
use units::NamespacedName;

use apply::Deletions;
use limits::{FEED_BATCH_EVENTS, FINISH_TIMEOUT, SLEEP_MAX};
use observe::Observed;
use report::Reports;

/// What the garbage collector stands on.
#[derive(Debug)]
pub struct Foundation {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// What is never deleted.
    pub rails: Rails,
    /// Owns the tasks.
    pub supervisor: Supervisor,
    /// Where numbers go.
    pub metrics: Metrics,
    /// Where events go.
    pub recorder: Recorder,
    /// What probes are told.
    pub health: Health,
    /// How many deletions may be in flight at one time, over all policies.
    pub deletions_in_flight_max: u16,
}

/// The garbage collector.
struct GarbageCollector {
    clock: Arc<dyn Clock>,
    supervisor: Supervisor,
    pulse: Ticker,
    policies_check: Check,
    policy_feed: Feed,
    policy_events: mpsc::Receiver<(FeedId, FeedEvent<GarbageCollectionPolicy>)>,
    ground_events: mpsc::Receiver<(FeedId, FeedEvent<views::Object>)>,
    observed: Observed,
    deletions: Deletions,
    reports: Reports,
}

/// Collects garbage until the supervisor stops; finishes what is in flight, then returns. Its loop and its check are
/// registered when this returns, before anything runs.
pub fn run(client: Client, foundation: Foundation) -> impl Future<Output = ()> + Send {
    GarbageCollector::new(client, foundation).run()
}

/// What woke the loop.
enum Wake {
    Stop,
    Time,
    Policy(Box<FeedEvent<GarbageCollectionPolicy>>),
    Ground,
    Deleted(apply::Done),
    Written(report::Written),
}

impl GarbageCollector {
    fn new(client: Client, foundation: Foundation) -> Self {
        let Foundation { clock, rails, supervisor, metrics, recorder, health, deletions_in_flight_max } =
            foundation;
        let (policy_sink, policy_events) = mpsc::channel(chassis::limits::FEED_QUEUE_EVENTS);
        let (ground_sink, ground_events) = mpsc::channel(chassis::limits::FEED_QUEUE_EVENTS);
        let shared = (&supervisor, &metrics);
        let policy_feed = Feed::start(0, observe::policies(), &client, &policy_sink, shared);
        let actuator = Actuator::new(client.clone(), rails.clone(), deletions_in_flight_max);
        Self {
            policy_feed,
            policy_events,
            ground_events,
            observed: Observed::new(
                client.clone(),
                ground_sink,
                rails,
                (supervisor.clone(), metrics.clone()),
            ),
            deletions: Deletions::new(actuator, metrics.clone()),
            reports: Reports::new(client, recorder, metrics),
            clock,
            supervisor,
            pulse: health.register("garbage collection", LIVENESS_SILENCE_MAX),
            policies_check: health.check("policies"),
        }
    }

    async fn run(mut self) {
        let mut batch = Vec::with_capacity(FEED_BATCH_EVENTS);
        loop {
            self.pulse.tick();
            let now = self.clock.now();
            if self.check_readiness() {
                for key in self.deletions.launch(&mut self.observed, now) {
                    self.reports.mark(&key, now);
                }
            }
            self.reports.write_due(&self.observed, &self.deletions, now);
            match self.wait(now, &mut batch).await {
                Wake::Stop => break,
                Wake::Time => {}
                Wake::Policy(event) => self.take_policy_event(*event),
                Wake::Ground => self.take_ground_events(&mut batch),
                Wake::Deleted(done) => self.settle(&done),
                Wake::Written(written) => self.reports.written(&mut self.observed, written, self.clock.now()),
            }
        }
        self.finish().await;
    }

    async fn wait(&mut self, now: Timestamp, batch: &mut Vec<(FeedId, FeedEvent<views::Object>)>) -> Wake {
        let pause = self.pause(now);
        tokio::select! {
            biased;
            () = self.supervisor.stopping().cancelled() => Wake::Stop,
            Some((_, event)) = self.policy_events.recv() => Wake::Policy(Box::new(event)),
            Some(done) = self.deletions.next_done() => Wake::Deleted(done),
            _ = self.ground_events.recv_many(batch, FEED_BATCH_EVENTS) => Wake::Ground,
            Some(written) = self.reports.next_written() => Wake::Written(written),
            () = tokio::time::sleep(pause) => Wake::Time,
        }
    }

    /// How long there is nothing to do but to take in what comes.
    fn pause(&self, now: Timestamp) -> Duration {
        let next = [self.deletions.next_wake(), self.reports.next_wake()].into_iter().flatten().min();
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
        for key in self.observed.policy_event(event) {
            match self.observed.policy(&key) {
                None => {
                    self.deletions.forget(&key);
                    self.reports.forget(&key);
                }
                Some(tracked) => {
                    self.deletions.admit(tracked, now);
                    self.reports.admit(&key, tracked);
                    self.look_at(&key, now);
                }
            }
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
        let settled = self.deletions.settle(&mut self.observed, done, now);
        if done.was_unheard() {
            // The server could not be reached: what it has to say of the policies may not have reached us either.
            self.policy_feed.doubt();
        }
        self.reports.deletion(&done.policy, &done.due.name, settled, now);
        self.look_at(&done.policy, now);
    }

    /// Something about a policy has changed: when it is to be woken, and what is to be said of it.
    fn look_at(&mut self, key: &NamespacedName, now: Timestamp) {
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
        // What is being written now may be out of date already: first let it end, then say the last word.
        let reporting = async {
            self.reports.wait_all(&mut self.observed, &*self.clock).await;
            self.reports.write_all(&self.observed, &self.deletions, self.clock.now());
            self.reports.wait_all(&mut self.observed, &*self.clock).await;
        };
        if tokio::time::timeout(FINISH_TIMEOUT, reporting).await.is_err() {
            tracing::warn!("statuses were still being written at the end; the next start writes them");
        }
        tracing::info!("garbage collection has ended");
    }
}
