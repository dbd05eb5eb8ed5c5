//! The series of one metric, each with its labels.
//!
//! A series is found by labels that are only looked at: a deletion counts in a dozen of them, and to make the labels anew
//! for each took a tenth of all its allocations.

use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::RandomState;
use hashbrown::{Equivalent, HashMap};
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// The labels of a series, each with its value.
pub(super) type Labels = Vec<(String, String)>;

/// The series of one metric. Clones are the same series.
pub(super) struct Series<M>(Arc<Inner<M>>);

struct Inner<M> {
    first: Box<dyn Fn() -> M + Send + Sync>,
    found: RwLock<HashMap<Labels, M, RandomState>>,
}

/// Labels that a series is asked for by. Its hash is that of [`Labels`].
#[derive(Hash)]
struct Asked<'a>(&'a [(&'a str, &'a str)]);

impl Equivalent<Labels> for Asked<'_> {
    fn equivalent(&self, labels: &Labels) -> bool {
        let owned = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.0.iter().copied().eq(owned)
    }
}

impl<M> Series<M> {
    /// None yet; each begins like this.
    pub(super) fn new(first: impl Fn() -> M + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { first: Box::new(first), found: RwLock::default() }))
    }

    /// Does something with the series that has these labels, which begins if there is none.
    pub(super) fn with<T>(&self, labels: &[(&str, &str)], act: impl FnOnce(&M) -> T) -> T {
        let asked = Asked(labels);
        if let Some(metric) = self.0.found.read().unwrap_or_else(PoisonError::into_inner).get(&asked) {
            return act(metric);
        }
        let owned = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut found = self.0.found.write().unwrap_or_else(PoisonError::into_inner);
        act(found.entry(owned).or_insert_with(&self.0.first))
    }

    /// The series that has these labels is no more.
    pub(super) fn forget(&self, labels: &[(&str, &str)]) {
        self.0.found.write().unwrap_or_else(PoisonError::into_inner).remove(&Asked(labels));
    }
}

impl<M> Clone for Series<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: fmt::Debug> fmt::Debug for Series<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Series").field(&self.0.found).finish()
    }
}

impl<M: EncodeMetric + TypedMetric> EncodeMetric for Series<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, metric) in &*self.0.found.read().unwrap_or_else(PoisonError::into_inner) {
            metric.encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.0.found.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}
