//! Metrics: each is one variant, with its name, its help and its labels in one table.
//!
//! Label values come from enums or from the keys of policies, so that there are never more series than policies times a
//! small number; the series of a policy that is gone are taken out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Every metric that we export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricName {
    /// Deletions by policy and outcome.
    GcDeletions,
    /// Time from falling due to the accepted deletion.
    GcDeletionLateness,
    /// Time that a delete call takes.
    GcDeletionDuration,
    /// Objects by policy and state.
    GcObjects,
    /// Objects held in the index.
    GcTrackedObjects,
    /// Policies by the reason of their `Ready` condition.
    GcPolicies,
    /// Status writes by outcome.
    StatusWrites,
    /// Watches that ended, by reason.
    WatchRestarts,
    /// Kubernetes events sent.
    EventsSent,
    /// Kubernetes events dropped, by reason.
    EventsDropped,
    /// The version that runs.
    BuildInfo,
}

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Counter,
    Gauge,
    /// With the upper bounds of its buckets, in seconds.
    Histogram(&'static [f64]),
}

const LATENESS_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0];
const DURATION_BUCKETS: &[f64] =
    &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

impl MetricName {
    /// All of them, in the order of the reference page.
    pub const ALL: [Self; 11] = [
        Self::GcDeletions,
        Self::GcDeletionLateness,
        Self::GcDeletionDuration,
        Self::GcObjects,
        Self::GcTrackedObjects,
        Self::GcPolicies,
        Self::StatusWrites,
        Self::WatchRestarts,
        Self::EventsSent,
        Self::EventsDropped,
        Self::BuildInfo,
    ];

    /// The name as it is exported, with its suffix.
    pub fn exported(self) -> String {
        let suffix = if self.kind() == Kind::Counter { "_total" } else { "" };
        format!("{}{suffix}", self.stem())
    }

    /// `counter`, `gauge` or `histogram`.
    pub const fn type_name(self) -> &'static str {
        match self.kind() {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        }
    }

    /// The name of each label.
    pub const fn labels(self) -> &'static [&'static str] {
        match self {
            Self::GcDeletions => &["policy_namespace", "policy_name", "outcome"],
            Self::GcObjects => &["policy_namespace", "policy_name", "state"],
            Self::GcPolicies | Self::WatchRestarts | Self::EventsDropped => &["reason"],
            Self::StatusWrites => &["outcome"],
            Self::BuildInfo => &["version"],
            _ => &[],
        }
    }

    /// What it counts or measures.
    pub const fn help(self) -> &'static str {
        match self {
            Self::GcDeletions => {
                "Deletions that were tried, by policy and outcome: deleted, gone, changed, denied, throttled, failed"
            }
            Self::GcDeletionLateness => {
                "Seconds from an object's due time until the server accepted its deletion"
            }
            Self::GcDeletionDuration => "Seconds that a delete call took, whatever came of it",
            Self::GcObjects => "Objects that a policy selects, by state: matched, pending, protected",
            Self::GcTrackedObjects => {
                "Objects held in the index, over all kinds and namespaces that policies look at"
            }
            Self::GcPolicies => "Garbage collection policies, by the reason of their Ready condition",
            Self::StatusWrites => "Status writes by outcome: written, conflict, failed",
            Self::WatchRestarts => "Watches that ended, by reason: ended, expired, doubted, failed, stopped",
            Self::EventsSent => "Kubernetes events that the API server accepted",
            Self::EventsDropped => "Kubernetes events that were dropped, by reason: queue_full, send_failed",
            Self::BuildInfo => "Always 1; the label says which version runs",
        }
    }

    const fn stem(self) -> &'static str {
        match self {
            Self::GcDeletions => "groundskeeper_gc_deletions",
            Self::GcDeletionLateness => "groundskeeper_gc_deletion_lateness_seconds",
            Self::GcDeletionDuration => "groundskeeper_gc_deletion_duration_seconds",
            Self::GcObjects => "groundskeeper_gc_objects",
            Self::GcTrackedObjects => "groundskeeper_gc_tracked_objects",
            Self::GcPolicies => "groundskeeper_gc_policies",
            Self::StatusWrites => "groundskeeper_status_writes",
            Self::WatchRestarts => "groundskeeper_watch_restarts",
            Self::EventsSent => "groundskeeper_events_sent",
            Self::EventsDropped => "groundskeeper_events_dropped",
            Self::BuildInfo => "groundskeeper_build_info",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::GcObjects | Self::GcTrackedObjects | Self::GcPolicies | Self::BuildInfo => Kind::Gauge,
            Self::GcDeletionLateness => Kind::Histogram(LATENESS_BUCKETS),
            Self::GcDeletionDuration => Kind::Histogram(DURATION_BUCKETS),
            _ => Kind::Counter,
        }
    }
}

type Labels = Vec<(String, String)>;

/// All metrics of a program.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Mutex<Registry>,
    counters: HashMap<MetricName, Family<Labels, Counter>>,
    gauges: HashMap<MetricName, Family<Labels, Gauge>>,
    histograms: HashMap<MetricName, Family<Labels, Histogram, Buckets>>,
}

#[derive(Clone, Copy, Debug)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let (mut counters, mut gauges, mut histograms) = (HashMap::new(), HashMap::new(), HashMap::new());
        for name in MetricName::ALL {
            match name.kind() {
                Kind::Counter => {
                    let family = Family::default();
                    registry.register(name.stem(), name.help(), Family::clone(&family));
                    counters.insert(name, family);
                }
                Kind::Gauge => {
                    let family = Family::default();
                    registry.register(name.stem(), name.help(), Family::clone(&family));
                    gauges.insert(name, family);
                }
                Kind::Histogram(buckets) => {
                    let family = Family::new_with_constructor(Buckets(buckets));
                    registry.register(name.stem(), name.help(), Family::clone(&family));
                    histograms.insert(name, family);
                }
            }
        }
        Self(Arc::new(Inner { registry: Mutex::new(registry), counters, gauges, histograms }))
    }
}

impl Metrics {
    /// Counts one more.
    pub fn count(&self, name: MetricName, labels: &[(&str, &str)]) {
        if let Some(family) = self.0.counters.get(&name) {
            family.get_or_create(&owned(labels)).inc();
        }
    }

    /// Sets a gauge.
    pub fn set(&self, name: MetricName, labels: &[(&str, &str)], value: i64) {
        if let Some(family) = self.0.gauges.get(&name) {
            family.get_or_create(&owned(labels)).set(value);
        }
    }

    /// Records a measurement, in seconds.
    pub fn observe(&self, name: MetricName, seconds: f64) {
        if let Some(family) = self.0.histograms.get(&name) {
            family.get_or_create(&Labels::new()).observe(seconds);
        }
    }

    /// Takes a series out: what it spoke of is gone.
    pub fn forget(&self, name: MetricName, labels: &[(&str, &str)]) {
        let labels = owned(labels);
        if let Some(family) = self.0.counters.get(&name) {
            family.remove(&labels);
        }
        if let Some(family) = self.0.gauges.get(&name) {
            family.remove(&labels);
        }
    }

    /// All of them, as OpenMetrics text.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }
}

fn owned(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_can_be_written_and_is_exported_by_its_name() {
        let metrics = Metrics::default();
        for name in MetricName::ALL {
            let labels: Vec<_> = name.labels().iter().map(|label| (*label, "x")).collect();
            metrics.count(name, &labels);
            metrics.set(name, &labels, 1);
            metrics.observe(name, 0.3);
        }
        let text = metrics.encode().unwrap();
        for name in MetricName::ALL {
            assert!(
                text.contains(&format!("# TYPE {} {}", name.stem(), name.type_name())),
                "{name:?}\n{text}"
            );
            assert!(
                text.lines().any(|line| !line.starts_with('#') && line.starts_with(&name.exported())),
                "{name:?}"
            );
        }
    }

    #[test]
    fn a_forgotten_series_is_gone() {
        let metrics = Metrics::default();
        let labels = [("policy_namespace", "team"), ("policy_name", "sweep"), ("state", "matched")];
        metrics.set(MetricName::GcObjects, &labels, 3);
        assert!(metrics.encode().unwrap().contains("sweep"));
        metrics.forget(MetricName::GcObjects, &labels);
        assert!(!metrics.encode().unwrap().contains("sweep"));
    }
}
