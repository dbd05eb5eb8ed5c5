//! Metrics: each is one variant, with its name, its help and its labels in one table.
//!
//! Label values come from enums, from the names of controllers, queues and webhooks, or from the keys of policies, so
//! that there are never more series than policies times a small number; the series of what is gone are taken out.
//! Histograms keep the trace of their latest measurement in each bucket as an exemplar, while traces are on.

mod series;
mod table;

#[cfg(test)]
mod openmetrics;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::trace;
use series::{Labels, Series};
use table::Kind;

pub use table::MetricName;

type Spans = HistogramWithExemplars<Labels>;

/// All metrics of a program.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    registry: Mutex<Registry>,
    counters: HashMap<MetricName, Series<Counter>>,
    gauges: HashMap<MetricName, Series<Gauge>>,
    seconds: HashMap<MetricName, Series<Gauge<f64, AtomicU64>>>,
    histograms: HashMap<MetricName, Series<Spans>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let mut inner = Inner::default();
        for &name in MetricName::ALL {
            let (stem, help) = (name.row().stem, name.help());
            match name.row().kind {
                Kind::Counter => {
                    let series = Series::new(Counter::default);
                    if name.labels().is_empty() {
                        // A counter that is there from the start shows its first increment as one.
                        series.with(&[], |_| ());
                    }
                    registry.register(stem, help, series.clone());
                    inner.counters.insert(name, series);
                }
                Kind::Gauge => {
                    let series = Series::new(Gauge::default);
                    registry.register(stem, help, series.clone());
                    inner.gauges.insert(name, series);
                }
                Kind::GaugeSeconds => {
                    let series = Series::new(Gauge::default);
                    registry.register(stem, help, series.clone());
                    inner.seconds.insert(name, series);
                }
                Kind::Histogram(buckets) => {
                    let series = Series::new(|| HistogramWithExemplars::new(buckets.iter().copied()));
                    registry.register(stem, help, series.clone());
                    inner.histograms.insert(name, series);
                }
            }
        }
        inner.registry = Mutex::new(registry);
        Self(Arc::new(inner))
    }
}

impl Metrics {
    /// Counts one more.
    pub fn count(&self, name: MetricName, labels: &[(&str, &str)]) {
        self.count_by(name, labels, 1);
    }

    /// Counts so many more.
    pub fn count_by(&self, name: MetricName, labels: &[(&str, &str)], more: u64) {
        if let Some(series) = self.0.counters.get(&name) {
            series.with(labels, |counter| counter.inc_by(more));
        }
    }

    /// Sets a gauge.
    pub fn set(&self, name: MetricName, labels: &[(&str, &str)], value: i64) {
        if let Some(series) = self.0.gauges.get(&name) {
            series.with(labels, |gauge| gauge.set(value));
        }
    }

    /// Changes a gauge by so much, up or down.
    pub fn add(&self, name: MetricName, labels: &[(&str, &str)], difference: i64) {
        if let Some(series) = self.0.gauges.get(&name) {
            series.with(labels, |gauge| gauge.inc_by(difference));
        }
    }

    /// Sets a gauge that is a span, in seconds.
    pub fn set_seconds(&self, name: MetricName, labels: &[(&str, &str)], seconds: f64) {
        if let Some(series) = self.0.seconds.get(&name) {
            series.with(labels, |gauge| gauge.set(seconds));
        }
    }

    /// Records a measurement, in seconds.
    pub fn observe(&self, name: MetricName, seconds: f64) {
        self.observe_with(name, &[], seconds);
    }

    /// Records a measurement with labels, in seconds; the trace that is going on is its exemplar.
    pub fn observe_with(&self, name: MetricName, labels: &[(&str, &str)], seconds: f64) {
        if let Some(series) = self.0.histograms.get(&name) {
            let exemplar = trace::current_trace_id().map(|id| vec![("trace_id".to_owned(), id)]);
            series.with(labels, |spans| spans.observe(seconds, exemplar, None));
        }
    }

    /// Takes a series out: what it spoke of is gone.
    pub fn forget(&self, name: MetricName, labels: &[(&str, &str)]) {
        if let Some(series) = self.0.counters.get(&name) {
            series.forget(labels);
        }
        if let Some(series) = self.0.gauges.get(&name) {
            series.forget(labels);
        }
        if let Some(series) = self.0.seconds.get(&name) {
            series.forget(labels);
        }
        if let Some(series) = self.0.histograms.get(&name) {
            series.forget(labels);
        }
    }

    /// All of them, as OpenMetrics text.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn with_every_metric(value: &str) -> String {
        let metrics = Metrics::default();
        for &name in MetricName::ALL {
            let labels: Vec<_> = name.labels().iter().map(|label| (*label, value)).collect();
            metrics.count(name, &labels);
            metrics.set(name, &labels, 1);
            metrics.set_seconds(name, &labels, 1.5);
            metrics.observe_with(name, &labels, 0.3);
        }
        metrics.encode().unwrap()
    }

    #[test]
    fn every_metric_can_be_written_and_is_exported_by_its_name() {
        let text = with_every_metric("x");
        for name in MetricName::ALL {
            assert!(
                text.contains(&format!("# TYPE {} {}", name.row().stem, name.type_name())),
                "{name:?}\n{text}"
            );
            assert!(
                text.lines().any(|line| !line.starts_with('#') && line.starts_with(&name.exported())),
                "{name:?}"
            );
        }
    }

    #[test]
    fn what_is_exported_is_openmetrics_whatever_stands_in_a_label() {
        for value in ["x", "", "a\"b", "a\nb", "a\\b", "ü\u{1b}[31m"] {
            let text = with_every_metric(value);
            openmetrics::check(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
        }
    }

    #[test]
    fn no_two_metrics_have_one_name_and_every_bucket_is_larger_than_the_one_before() {
        let names: BTreeSet<_> = MetricName::ALL.iter().map(|name| name.row().stem).collect();
        assert_eq!(names.len(), MetricName::ALL.len());
        for name in MetricName::ALL {
            if let Kind::Histogram(buckets) = name.row().kind {
                assert!(buckets.is_sorted_by(|one, next| one < next), "{name:?}");
            }
        }
    }

    #[test]
    fn an_exemplar_names_its_trace() {
        let metrics = Metrics::default();
        let series = &metrics.0.histograms[&MetricName::ReconcileTime];
        let trace = vec![("trace_id".to_owned(), "4bf92f3577b34da6a3ce929d0e0e4736".to_owned())];
        series.with(&[("controller", "gc")], |spans| spans.observe(0.3, Some(trace), None));
        let text = metrics.encode().unwrap();
        assert!(text.contains(" # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 0.3"), "{text}");
        openmetrics::check(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
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

    #[test]
    fn a_counter_without_labels_is_there_before_the_first_count() {
        let text = Metrics::default().encode().unwrap();
        assert!(text.contains("\ngroundskeeper_events_sent_total{} 0\n"), "{text}");
    }
}
