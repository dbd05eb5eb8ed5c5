//! What another client sees: a watch of its own, and its clock.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use control::{Clock as _, SystemClock};
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use testbed::ControlPlane;

/// Measures a span.
#[derive(Clone, Copy)]
pub(super) struct Stopwatch(Timestamp);

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(SystemClock.now())
    }

    pub(super) fn seconds(&self) -> f64 {
        SystemClock.now().duration_since(self.0).as_secs_f64()
    }
}

/// Watches the deletions of one namespace.
pub(super) struct Watcher {
    seen: tokio::task::JoinHandle<Result<Vec<f64>>>,
    want: tokio::sync::watch::Sender<usize>,
}

/// How late objects went, in seconds, in order.
pub(super) struct Lateness(Vec<f64>);

impl Lateness {
    pub(super) fn new(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self(seconds)
    }

    pub(super) fn percentile(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.0.get(at.min(last)).copied().unwrap_or(f64::NAN)
    }
}

impl Watcher {
    #[allow(clippy::disallowed_methods, reason = "it is joined in `finish`")]
    pub(super) async fn start(cluster: &ControlPlane, namespace: &str, ttl_seconds: i64) -> Result<Self> {
        let maps = Api::<ConfigMap>::namespaced(cluster.admin().client()?, namespace);
        let from = maps.list_metadata(&ListParams::default().limit(1)).await?.metadata.resource_version;
        let params = WatchParams::default().timeout(290);
        let events = maps.watch_metadata(&params, &from.unwrap_or_default()).await?.boxed();
        let (want, wanted) = tokio::sync::watch::channel(usize::MAX);
        let ttl = SignedDuration::from_secs(ttl_seconds);
        let seen = tokio::spawn(async move {
            let (mut events, mut seen, mut wanted) = (events, Vec::new(), wanted);
            while seen.len() < *wanted.borrow_and_update() {
                tokio::select! {
                    event = events.next() => match event.context("the watch ended")?? {
                        WatchEvent::Deleted(object) => {
                            let now = SystemClock.now();
                            let created = object.metadata.creation_timestamp.context("no creation time")?.0;
                            seen.push(now.duration_since(created + ttl).as_secs_f64());
                        }
                        WatchEvent::Error(error) => bail!("the watch failed: {error}"),
                        _ => {}
                    },
                    changed = wanted.changed() => changed?,
                }
            }
            Ok(seen)
        });
        Ok(Self { seen, want })
    }

    /// Waits until so many deletions have been seen.
    pub(super) async fn finish(self, count: usize, timeout: Duration) -> Result<Lateness> {
        self.want.send(count)?;
        let seen =
            tokio::time::timeout(timeout, self.seen).await.context("the deletions did not come in time")?;
        Ok(Lateness::new(seen??))
    }
}
