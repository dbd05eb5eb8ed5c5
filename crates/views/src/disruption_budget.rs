//! A `PodDisruptionBudget` of `policy/v1`: how many pods may be missing at one time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use crate::Meta;
use crate::wire::WireMeta;

/// A `PodDisruptionBudget`, with what its controller last counted.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "WireBudget")]
pub struct DisruptionBudget {
    /// Its metadata.
    pub metadata: Meta,
    /// The pods that it speaks of; absent: none. Without terms: all of its namespace.
    pub selector: Option<LabelSelector>,
    /// `spec.minAvailable` as it is written, such as `2` or `50%`.
    pub min_available: Option<Box<str>>,
    /// `spec.maxUnavailable` as it is written.
    pub max_unavailable: Option<Box<str>>,
    /// Which pods that are not ready it lets go.
    pub unhealthy_pods: UnhealthyPods,
    /// The generation of its spec.
    pub generation: i64,
    /// The generation that was last counted for.
    pub observed_generation: i64,
    /// So many pods may be evicted now.
    pub disruptions_allowed: i64,
    /// Pods that are ready.
    pub current_healthy: i64,
    /// Pods that have to be ready.
    pub desired_healthy: i64,
    /// Pods that it speaks of, as their controllers want them.
    pub expected_pods: i64,
    /// Pods whose eviction was allowed, and that have not been seen terminating yet.
    pub disrupted_pods: usize,
}

/// Which pods that are not ready a budget lets go (`spec.unhealthyPodEvictionPolicy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UnhealthyPods {
    /// Only while enough others are ready; Kubernetes' default.
    #[default]
    IfHealthyBudget,
    /// Always.
    AlwaysAllow,
}

/// A label selector of a built-in kind, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels with exactly these values.
    #[serde(deserialize_with = "or_default")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements.
    #[serde(deserialize_with = "or_default")]
    pub match_expressions: Vec<LabelRequirement>,
}

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LabelRequirement {
    /// The label's key.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// The values for `In` and `NotIn`.
    #[serde(default, deserialize_with = "or_default")]
    pub values: Vec<String>,
}

/// The budget lets nobody go: why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standstill {
    /// All its pods are ready, and it still allows no disruption: no replacement will ever open it.
    Misconfigured,
    /// Its controller has not counted for its latest spec yet.
    Stale,
    /// Not enough of its pods are ready.
    Exhausted,
}

impl DisruptionBudget {
    /// Why it lets nobody go, if it does not.
    pub fn standstill(&self) -> Option<Standstill> {
        if self.observed_generation < self.generation {
            return Some(Standstill::Stale);
        }
        if self.disruptions_allowed > 0 {
            return None;
        }
        let are_all_there = self.expected_pods > 0 && self.current_healthy >= self.expected_pods;
        if are_all_there && self.disrupted_pods == 0 {
            return Some(Standstill::Misconfigured);
        }
        Some(Standstill::Exhausted)
    }

    /// Whether a running pod that is not ready may go without counting.
    pub fn lets_unready_pods_go(&self) -> bool {
        let has_enough = self.current_healthy >= self.desired_healthy && self.desired_healthy > 0;
        self.unhealthy_pods == UnhealthyPods::AlwaysAllow || has_enough
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireBudget {
    metadata: WireMeta,
    spec: Option<WireSpec>,
    status: Option<WireStatus>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSpec {
    selector: Option<LabelSelector>,
    min_available: Option<NumberOrText>,
    max_unavailable: Option<NumberOrText>,
    unhealthy_pod_eviction_policy: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(i64),
    Text(Box<str>),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireStatus {
    observed_generation: Option<i64>,
    disruptions_allowed: Option<i64>,
    current_healthy: Option<i64>,
    desired_healthy: Option<i64>,
    expected_pods: Option<i64>,
    disrupted_pods: Option<BTreeMap<String, Option<Timestamp>>>,
}

impl From<WireBudget> for DisruptionBudget {
    fn from(wire: WireBudget) -> Self {
        let WireBudget { metadata, spec, status } = wire;
        let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
        let is_always = spec.unhealthy_pod_eviction_policy.as_deref() == Some("AlwaysAllow");
        Self {
            selector: spec.selector,
            min_available: spec.min_available.map(words),
            max_unavailable: spec.max_unavailable.map(words),
            unhealthy_pods: if is_always {
                UnhealthyPods::AlwaysAllow
            } else {
                UnhealthyPods::IfHealthyBudget
            },
            generation: metadata.generation.unwrap_or_default(),
            observed_generation: status.observed_generation.unwrap_or_default(),
            disruptions_allowed: status.disruptions_allowed.unwrap_or_default(),
            current_healthy: status.current_healthy.unwrap_or_default(),
            desired_healthy: status.desired_healthy.unwrap_or_default(),
            expected_pods: status.expected_pods.unwrap_or_default(),
            disrupted_pods: status.disrupted_pods.map_or(0, |pods| pods.len()),
            metadata: metadata.into_meta(),
        }
    }
}

fn words(given: NumberOrText) -> Box<str> {
    match given {
        NumberOrText::Number(number) => number.to_string().into(),
        NumberOrText::Text(text) => text,
    }
}

/// What is null is as good as left out.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
