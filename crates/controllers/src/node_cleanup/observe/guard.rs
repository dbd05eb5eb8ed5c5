//! Which nodes may not be deleted now, as their policies say.
//!
//! The answer stands as a label on the node, and an admission policy reads it there. It is as fresh as the watches are;
//! what it misses in that moment, the drain finds.

use std::collections::{BTreeMap, BTreeSet};

use api::node_cleanup::{DELETION_GUARD_LABEL, GuardedBecause, NODE_FINALIZER};
use views::{Node, Readiness};

use super::stock::{Governor, Stock};

impl Stock {
    /// Why a node may not be deleted now; none if it may.
    pub(in super::super) fn guard(&self, node: &Node, governor: &Governor) -> Option<GuardedBecause> {
        let Governor::Policy(_, policy) = governor else { return None };
        let guard = policy.spec.validate_deletion.as_ref()?;
        if let Some(key) = &guard.last_of
            && self.is_last_of(node, key)
        {
            return Some(GuardedBecause::LastOfPool);
        }
        if guard.broken_budgets && self.would_break(&node.metadata.name) {
            return Some(GuardedBecause::BudgetWouldBreak);
        }
        None
    }

    /// The nodes whose deletion may have come to be refused, or not to be: those that carry the label, and those that are
    /// alone in their pools.
    pub(super) fn guarded(&self) -> BTreeSet<String> {
        let guards = self.policies.iter().filter_map(|policy| policy.spec.validate_deletion.as_ref());
        let keys: BTreeSet<&str> = guards.filter_map(|guard| guard.last_of.as_deref()).collect();
        let mut pools: BTreeMap<(&str, &str), Vec<&Node>> = BTreeMap::new();
        for node in self.nodes.iter() {
            for key in &keys {
                if let Some(value) = node.metadata.labels.get(key) {
                    pools.entry((key, value)).or_default().push(node);
                }
            }
        }
        let small = pools.into_values().filter(|pool| pool.iter().filter(|node| stays(node)).count() < 2);
        let carry = self.nodes.iter().map(|node| &**node);
        let carry = carry.filter(|node| node.metadata.labels.get(DELETION_GUARD_LABEL).is_some());
        small.flatten().chain(carry).map(|node| node.metadata.name.to_string()).collect()
    }

    /// Whether no other node with the same value of a label stays and works.
    fn is_last_of(&self, node: &Node, key: &str) -> bool {
        let Some(value) = node.metadata.labels.get(key) else { return false };
        let is_other = |other: &&std::sync::Arc<Node>| {
            other.metadata.name != node.metadata.name
                && other.metadata.labels.get(key) == Some(value)
                && stays(other)
        };
        self.nodes.iter().find(is_other).is_none()
    }

    /// Whether a budget that lets nothing go has a pod on the node.
    fn would_break(&self, node: &str) -> bool {
        self.tight.contains(node)
    }

    /// Nodes on which a budget that lets nothing go has pods; says which of them are new or have gone.
    pub(in super::super) fn are_tight(&mut self, nodes: BTreeSet<Box<str>>) -> Vec<String> {
        let changed = self.tight.symmetric_difference(&nodes).map(ToString::to_string).collect();
        self.tight = nodes;
        changed
    }

    /// The budgets that let nothing go, as `namespace` and selector, if any policy asks for them.
    pub(in super::super) fn tight_budgets(&self) -> Vec<(String, views::LabelSelector)> {
        let is_asked = self
            .policies
            .iter()
            .any(|policy| policy.spec.validate_deletion.as_ref().is_some_and(|guard| guard.broken_budgets));
        if !is_asked {
            return Vec::new();
        }
        let tight =
            self.budgets.iter().filter(|budget| budget.disruptions_allowed < 1 && budget.expected_pods > 0);
        tight
            .filter_map(|budget| {
                let namespace = budget.metadata.namespace.as_deref()?.to_owned();
                Some((namespace, budget.selector.clone()?))
            })
            .collect()
    }

    /// Nodes that carry our finalizer.
    pub(in super::super) fn finalized(&self) -> usize {
        self.nodes.iter().filter(|node| node.has_finalizer(NODE_FINALIZER)).count()
    }
}

/// Whether a node works, and is there for pods.
fn stays(node: &Node) -> bool {
    node.metadata.deletion_timestamp.is_none() && node.readiness == Readiness::Ready && !node.is_unschedulable
}
