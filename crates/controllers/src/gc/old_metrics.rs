//! The metrics of zen-gc, by their names, so that dashboards and alerts that people have go on; with right values.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::GcReason;
use chassis::{MetricName, Metrics};
use units::{GroupVersionKind, NamespacedName};

/// What dashboards of zen-gc look at.
#[derive(Clone, Debug)]
pub(super) struct OldMetrics {
    metrics: Metrics,
    shown: Arc<Mutex<Shown>>,
}

#[derive(Debug, Default)]
struct Shown {
    /// The kinds that each policy has series for.
    kinds: HashMap<NamespacedName, Vec<GroupVersionKind>>,
    phases: HashMap<NamespacedName, &'static str>,
}

/// The reason under which everything goes.
const REASON: &str = "ttl_expired";

/// What can fail.
const ERRORS: [&str; 3] = ["deletion_failed", "list_resources_failed", "status_update_failed"];

impl OldMetrics {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics, shown: Arc::default() }
    }

    /// A policy selects so many objects of a kind, and will delete so many of them in time.
    pub(super) fn counts(
        &self,
        policy: &NamespacedName,
        kind: &GroupVersionKind,
        matched: i64,
        pending: i64,
    ) {
        self.note(policy, kind);
        let api_version = kind.api_version.to_string();
        let labels = labels(policy, &api_version, &kind.kind);
        self.metrics.set(MetricName::OldMatched, &labels, matched);
        self.metrics.set(MetricName::OldPending, &labels, pending);
    }

    /// An object was deleted, or was to be.
    pub(super) fn deletion(
        &self,
        policy: &NamespacedName,
        kind: &GroupVersionKind,
        (took, was_deleted, failed): (Duration, bool, bool),
    ) {
        self.note(policy, kind);
        let api_version = kind.api_version.to_string();
        let labels = labels(policy, &api_version, &kind.kind);
        self.metrics.observe_with(MetricName::OldDeletionDuration, &labels, took.as_secs_f64());
        if was_deleted {
            self.metrics.count(MetricName::OldDeleted, &with_reason(labels));
        }
        if failed {
            self.error(policy, "deletion_failed");
        }
    }

    /// A policy's `Ready` is this now.
    pub(super) fn phase(&self, policy: &NamespacedName, reason: GcReason) {
        let phase = match reason {
            GcReason::Paused => "Paused",
            GcReason::Collecting
            | GcReason::Keeping
            | GcReason::Planning
            | GcReason::DryRun
            | GcReason::Listing
            | GcReason::OutsideWindow
            | GcReason::BudgetExceeded
            | GcReason::AwaitingApproval => "Active",
            _ => "Error",
        };
        let before = self.lock(|shown| shown.phases.insert(policy.clone(), phase));
        if before != Some(phase) {
            if phase == "Error" {
                self.error(policy, "list_resources_failed");
            }
            self.count_phases();
        }
    }

    /// A status could not be written.
    pub(super) fn unreported(&self, policy: &NamespacedName) {
        self.error(policy, "status_update_failed");
    }

    /// A policy is gone, and its series with it.
    pub(super) fn forget(&self, policy: &NamespacedName) {
        let kinds = self.lock(|shown| {
            shown.phases.remove(policy);
            shown.kinds.remove(policy).unwrap_or_default()
        });
        for kind in kinds {
            let api_version = kind.api_version.to_string();
            let labels = labels(policy, &api_version, &kind.kind);
            for name in [MetricName::OldMatched, MetricName::OldPending, MetricName::OldDeletionDuration] {
                self.metrics.forget(name, &labels);
            }
            self.metrics.forget(MetricName::OldDeleted, &with_reason(labels));
        }
        for error in ERRORS {
            self.metrics.forget(MetricName::OldErrors, &error_labels(policy, error));
        }
        self.count_phases();
    }

    fn error(&self, policy: &NamespacedName, error: &'static str) {
        self.metrics.count(MetricName::OldErrors, &error_labels(policy, error));
    }

    fn note(&self, policy: &NamespacedName, kind: &GroupVersionKind) {
        self.lock(|shown| match shown.kinds.get_mut(policy) {
            Some(kinds) if kinds.contains(kind) => {}
            Some(kinds) => kinds.push(kind.clone()),
            None => drop(shown.kinds.insert(policy.clone(), vec![kind.clone()])),
        });
    }

    fn count_phases(&self) {
        let counts = self.lock(|shown| {
            let mut counts = BTreeMap::from([("Active", 0), ("Paused", 0), ("Error", 0)]);
            shown.phases.values().for_each(|phase| *counts.entry(*phase).or_default() += 1);
            counts
        });
        for (phase, count) in counts {
            self.metrics.set(MetricName::OldPolicies, &[("phase", phase)], count);
        }
    }

    fn lock<T>(&self, of: impl FnOnce(&mut Shown) -> T) -> T {
        of(&mut self.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn labels<'a>(
    policy: &'a NamespacedName,
    api_version: &'a str,
    kind: &'a str,
) -> [(&'static str, &'a str); 4] {
    [
        ("policy_namespace", &policy.namespace),
        ("policy_name", &policy.name),
        ("resource_api_version", api_version),
        ("resource_kind", kind),
    ]
}

fn with_reason<'a>(labels: [(&'static str, &'a str); 4]) -> [(&'static str, &'a str); 5] {
    let [namespace, name, api_version, kind] = labels;
    [namespace, name, api_version, kind, ("reason", REASON)]
}

fn error_labels<'a>(policy: &'a NamespacedName, error: &'a str) -> [(&'static str, &'a str); 3] {
    [("policy_namespace", &policy.namespace), ("policy_name", &policy.name), ("error_type", error)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_of_a_policy_go_with_it() {
        let metrics = Metrics::default();
        let old = OldMetrics::new(metrics.clone());
        let policy = NamespacedName::new("team", "sweep");
        let kind = GroupVersionKind { api_version: "v1".parse().unwrap(), kind: "Pod".to_owned() };
        old.phase(&policy, GcReason::Collecting);
        old.counts(&policy, &kind, 3, 2);
        old.deletion(&policy, &kind, (Duration::from_millis(3), true, false));
        let text = metrics.encode().unwrap();
        assert!(text.contains("gc_policies_total{phase=\"Active\"} 1"), "{text}");
        assert!(
            text.contains("gc_resources_deleted_total{") && text.contains("reason=\"ttl_expired\""),
            "{text}"
        );

        old.forget(&policy);
        let text = metrics.encode().unwrap();
        assert!(!text.contains("sweep") && text.contains("gc_policies_total{phase=\"Active\"} 0"), "{text}");
    }
}
