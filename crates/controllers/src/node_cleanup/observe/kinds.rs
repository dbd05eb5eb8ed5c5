//! The kinds that are watched, and whom a change of each concerns.

use std::sync::Arc;

use api::node_cleanup::{CleanupPhase, NodeCleanup, NodeMaintenance};
use api::{CleanupPlugin, DrainRule, NodeCleanupPolicy};
use chassis::takeover::{Shown, Written};
use chassis::{Representation, Resource, View};
use units::{GroupVersionKind, ResourceVersion};
use views::{DisruptionBudget, Node, Object, VolumeAttachment};

use super::super::apply;
use super::shelf::{Change, Shelf, Shelved};
use super::stock::{Stock, is_held, is_over, phase, run};
use super::{Ground, Unread, WHOLE, Wakes, kind};

/// A kind that is watched.
pub(super) trait Known: 'static {
    /// What is kept of each object.
    type View: View + Shelved + std::fmt::Debug + Send + Sync;

    /// What its objects are called.
    const NAME: &'static str;
    /// How much of each is asked for.
    const REPRESENTATION: Representation = WHOLE;

    fn kind() -> GroupVersionKind;

    fn context() -> <Self::View as View>::Context;

    fn shelf(stock: &mut Stock) -> &mut Shelf<Self::View>;

    /// One object has changed.
    fn changed(ground: &Ground, stock: &mut Stock, change: &Change<Self::View>, wakes: &mut Wakes);

    /// All of them have been read.
    fn listed(_: &Ground, _: &mut Stock, _: &mut Wakes) {}
}

impl Known for Node {
    type View = Self;
    const NAME: &'static str = "nodes";

    fn kind() -> GroupVersionKind {
        kind("v1", "Node")
    }

    fn context() {}

    fn shelf(stock: &mut Stock) -> &mut Shelf<Self> {
        &mut stock.nodes
    }

    fn changed(_: &Ground, stock: &mut Stock, change: &Change<Self>, wakes: &mut Wakes) {
        if let (Some(before), Some(after)) = (&change.before, &change.after)
            && is_heartbeat(before, after)
        {
            return;
        }
        stock.shake();
        for node in [&change.before, &change.after].into_iter().flatten() {
            wakes.nodes.insert(node.metadata.name.to_string());
            wakes.concerns_node(stock, &node.metadata.name);
            wakes.departures.extend(node.metadata.uid.as_ref().map(ToString::to_string));
        }
    }
}

/// Whether a node has only said that it lives.
fn is_heartbeat(before: &Node, after: &Node) -> bool {
    let (one, other) = (&before.metadata, &after.metadata);
    one.uid == other.uid
        && one.deletion_timestamp == other.deletion_timestamp
        && one.labels == other.labels
        && before.annotations == after.annotations
        && before.finalizers == after.finalizers
        && before.taints == after.taints
        && before.is_unschedulable == after.is_unschedulable
        && before.readiness == after.readiness
        && before.provider_id == after.provider_id
}

impl Known for NodeCleanupPolicy {
    type View = Self;
    const NAME: &'static str = "NodeCleanupPolicies";

    fn kind() -> GroupVersionKind {
        kind("groundskeeper.dev/v1alpha1", "NodeCleanupPolicy")
    }

    fn context() {}

    fn shelf(stock: &mut Stock) -> &mut Shelf<Self> {
        &mut stock.policies
    }

    fn changed(ground: &Ground, stock: &mut Stock, change: &Change<Self>, wakes: &mut Wakes) {
        for policy in [&change.before, &change.after].into_iter().flatten() {
            wakes.policies.extend(policy.metadata.name.clone());
        }
        let generation = |policy: &Option<Arc<Self>>| {
            policy.as_ref().map(|policy| (policy.metadata.uid.clone(), policy.metadata.generation))
        };
        if let Some((name, version)) = change
            .after
            .as_ref()
            .and_then(|policy| policy.metadata.name.clone().zip(policy.metadata.resource_version.clone()))
        {
            ground.works.policies.shows(&name, ResourceVersion::from(version.as_str()));
        }
        if generation(&change.before) != generation(&change.after) {
            ground.compile_policies(stock);
            wakes.everything(stock);
        }
    }

    fn listed(ground: &Ground, stock: &mut Stock, wakes: &mut Wakes) {
        ground.compile_policies(stock);
        wakes.everything(stock);
    }
}

impl Known for DrainRule {
    type View = Self;
    const NAME: &'static str = "DrainRules";

    fn kind() -> GroupVersionKind {
        kind("groundskeeper.dev/v1alpha1", "DrainRule")
    }

    fn context() {}

    fn shelf(stock: &mut Stock) -> &mut Shelf<Self> {
        &mut stock.rules
    }

    fn changed(_: &Ground, stock: &mut Stock, _: &Change<Self>, wakes: &mut Wakes) {
        stock.compile_rules();
        wakes.those_under_way(stock);
    }

    fn listed(_: &Ground, stock: &mut Stock, wakes: &mut Wakes) {
        stock.compile_rules();
        wakes.those_under_way(stock);
    }
}

impl Known for CleanupPlugin {
    type View = Self;
    const NAME: &'static str = "CleanupPlugins";

    fn kind() -> GroupVersionKind {
        kind("groundskeeper.dev/v1alpha1", "CleanupPlugin")
    }

    fn context() {}

    fn shelf(stock: &mut Stock) -> &mut Shelf<Self> {
        &mut stock.plugins
    }

    fn changed(ground: &Ground, stock: &mut Stock, change: &Change<Self>, wakes: &mut Wakes) {
        let generation = |plugin: &Option<Arc<Self>>| {
            plugin.as_ref().map(|plugin| (plugin.metadata.uid.clone(), plugin.metadata.generation))
        };
        for plugin in [&change.before, &change.after].into_iter().flatten() {
            wakes.plugins.extend(plugin.metadata.name.clone());
        }
        if let Some((name, version)) = change
            .after
            .as_ref()
            .and_then(|plugin| plugin.metadata.name.clone().zip(plugin.metadata.resource_version.clone()))
        {
            ground.works.plugins.shows(&name, ResourceVersion::from(version.as_str()));
        }
        if generation(&change.before) == generation(&change.after) {
            return;
        }
        match (&change.before, &change.after) {
            (_, Some(plugin)) => {
                // What is wrong with it is said in its own status.
                let _ = ground.plugins.declare(plugin);
            }
            (Some(plugin), None) => {
                ground.plugins.forget(plugin.metadata.name.as_deref().unwrap_or_default());
            }
            (None, None) => {}
        }
        ground.compile_policies(stock);
        wakes.everything(stock);
    }
}

impl Known for NodeCleanup {
    type View = Self;
    const NAME: &'static str = "NodeCleanups";

    fn kind() -> GroupVersionKind {
        kind("groundskeeper.dev/v1alpha1", "NodeCleanup")
    }

    fn context() {}

    fn shelf(stock: &mut Stock) -> &mut Shelf<Self> {
        &mut stock.records
    }

    fn changed(ground: &Ground, stock: &mut Stock, change: &Change<Self>, wakes: &mut Wakes) {
        let stage = |record: &Arc<Self>| {
            let phase = phase(record);
            (phase == CleanupPhase::Waiting, is_over(phase), is_held(record))
        };
        if change.before.as_ref().map(stage) != change.after.as_ref().map(stage) {
            stock.shake();
        }
        for record in [&change.before, &change.after].into_iter().flatten() {
            wakes.departures.insert(run(record).to_owned());
            wakes.nodes.insert(record.spec.node_name.clone());
        }
        if let Some(record) = &change.after
            && let Some(version) = &record.metadata.resource_version
        {
            ground.works.departures.shows(&run(record).to_owned(), ResourceVersion::from(version.as_str()));
        }
    }
}

impl Known for NodeMaintenance {
    type View = Self;
    const NAME: &'static str = "NodeMaintenances";

    fn kind() -> GroupVersionKind {
        kind("groundskeeper.dev/v1alpha1", "NodeMaintenance")
    }

    fn context() {}

    fn shelf(stock: &mut Stock) -> &mut Shelf<Self> {
        &mut stock.maintenances
    }

    fn changed(ground: &Ground, stock: &mut Stock, change: &Change<Self>, wakes: &mut Wakes) {
        for maintenance in [&change.before, &change.after].into_iter().flatten() {
            wakes.maintenances.extend(maintenance.metadata.name.clone());
            wakes.nodes.insert(maintenance.spec.node_name.clone());
        }
        if change.after.is_none() {
            // Whoever waited for the node may have it now.
            let node = change.before.as_ref().map(|maintenance| maintenance.spec.node_name.clone());
            let others = node.iter().flat_map(|node| stock.maintenances_of(node));
            wakes.maintenances.extend(others.filter_map(|other| other.metadata.name.clone()));
        }
        if let Some(maintenance) = &change.after
            && let Some(version) = &maintenance.metadata.resource_version
        {
            let name = maintenance.metadata.name.clone().unwrap_or_default();
            ground.works.maintenances.shows(&name, ResourceVersion::from(version.as_str()));
        }
    }
}

impl Known for DisruptionBudget {
    type View = Self;
    const NAME: &'static str = "PodDisruptionBudgets";

    fn kind() -> GroupVersionKind {
        kind("policy/v1", "PodDisruptionBudget")
    }

    fn context() {}

    fn shelf(stock: &mut Stock) -> &mut Shelf<Self> {
        &mut stock.budgets
    }

    fn changed(_: &Ground, stock: &mut Stock, _: &Change<Self>, wakes: &mut Wakes) {
        wakes.those_under_way(stock);
    }
}

impl Known for VolumeAttachment {
    type View = Self;
    const NAME: &'static str = "VolumeAttachments";

    fn kind() -> GroupVersionKind {
        kind("storage.k8s.io/v1", "VolumeAttachment")
    }

    fn context() {}

    fn shelf(stock: &mut Stock) -> &mut Shelf<Self> {
        &mut stock.attachments
    }

    fn changed(_: &Ground, stock: &mut Stock, change: &Change<Self>, wakes: &mut Wakes) {
        for attachment in [&change.before, &change.after].into_iter().flatten() {
            wakes.concerns_node(stock, &attachment.node);
        }
    }
}

/// Namespaces: whether they are being deleted.
#[derive(Debug)]
pub(super) struct Namespace;

impl Known for Namespace {
    type View = Object;
    const NAME: &'static str = "namespaces";
    const REPRESENTATION: Representation = Representation::Metadata;

    fn kind() -> GroupVersionKind {
        kind("v1", "Namespace")
    }

    fn context() -> Arc<views::Projection> {
        Arc::default()
    }

    fn shelf(stock: &mut Stock) -> &mut Shelf<Object> {
        &mut stock.namespaces
    }

    fn changed(_: &Ground, stock: &mut Stock, change: &Change<Object>, wakes: &mut Wakes) {
        let ends = |object: &Option<Arc<Object>>| {
            object.as_ref().is_some_and(|object| object.metadata.deletion_timestamp.is_some())
        };
        if ends(&change.before) || ends(&change.after) {
            wakes.those_under_way(stock);
        }
    }
}

/// `DaemonSets`: which there are.
#[derive(Debug)]
pub(super) struct DaemonSet;

impl Known for DaemonSet {
    type View = Object;
    const NAME: &'static str = "DaemonSets";
    const REPRESENTATION: Representation = Representation::Metadata;

    fn kind() -> GroupVersionKind {
        kind("apps/v1", "DaemonSet")
    }

    fn context() -> Arc<views::Projection> {
        Arc::default()
    }

    fn shelf(stock: &mut Stock) -> &mut Shelf<Object> {
        &mut stock.daemon_sets
    }

    fn changed(_: &Ground, stock: &mut Stock, change: &Change<Object>, wakes: &mut Wakes) {
        if change.before.is_none() || change.after.is_none() {
            wakes.those_under_way(stock);
        }
    }
}

impl Wakes {
    /// Everybody.
    pub(super) fn all(stock: &Stock) -> Self {
        let mut wakes = Self::default();
        wakes.everything(stock);
        wakes.maintenances.extend(stock.maintenances.iter().filter_map(|one| one.metadata.name.clone()));
        wakes.plugins.extend(stock.plugins.iter().filter_map(|one| one.metadata.name.clone()));
        wakes
    }

    /// How nodes are to leave has changed.
    fn everything(&mut self, stock: &Stock) {
        self.nodes.extend(stock.nodes.iter().map(|node| node.metadata.name.to_string()));
        self.departures.extend(stock.runs().map(|record| run(record).to_owned()));
        self.policies.extend(stock.policies.iter().filter_map(|policy| policy.metadata.name.clone()));
    }

    /// What is seen around nodes that are being emptied has changed.
    fn those_under_way(&mut self, stock: &Stock) {
        for node in stock.pods.keys() {
            self.concerns_node(stock, node);
        }
    }

    /// Something about a node has changed.
    pub(super) fn concerns_node(&mut self, stock: &Stock, node: &str) {
        if let Some(record) = stock.node(node).and_then(|node| stock.run_of(node)) {
            self.departures.insert(run(record).to_owned());
        }
        self.maintenances.extend(stock.maintenances_of(node).filter_map(|one| one.metadata.name.clone()));
    }
}

impl Stock {
    /// What has not been read, or why it cannot be; none if all has.
    pub(super) fn unread(&self) -> Option<Unread> {
        macro_rules! first_of {
            ($(($shelf:ident, $kind:ty)),*) => {
                $(if let Some(trouble) = self.$shelf.trouble() {
                    return Some(Unread::Parked(format!("{} cannot be read: {trouble}", <$kind>::NAME)));
                }
                if !self.$shelf.is_read() {
                    return Some(Unread::Reading(<$kind>::NAME));
                })*
            };
        }
        first_of!(
            (policies, NodeCleanupPolicy),
            (rules, DrainRule),
            (plugins, CleanupPlugin),
            (records, NodeCleanup),
            (maintenances, NodeMaintenance),
            (nodes, Node),
            (budgets, DisruptionBudget),
            (attachments, VolumeAttachment),
            (namespaces, Namespace),
            (daemon_sets, DaemonSet)
        );
        None
    }
}

/// The kinds that decide how nodes leave, in the order in which [`Stock`] is asked whether it shows them.
pub(super) fn deciding() -> Vec<Resource> {
    vec![
        apply::policy_resource(),
        apply::rule_resource(),
        apply::plugin_resource(),
        apply::record_resource(),
        apply::maintenance_resource(),
        apply::node_resource(),
    ]
}

impl Shown for Stock {
    fn has_shown(&self, kind: usize, there: &[Written]) -> bool {
        match kind {
            0 => self.policies.has_shown(there),
            1 => self.rules.has_shown(there),
            2 => self.plugins.has_shown(there),
            3 => self.records.has_shown(there),
            4 => self.maintenances.has_shown(there),
            5 => self.nodes.has_shown(there),
            _ => false,
        }
    }
}
