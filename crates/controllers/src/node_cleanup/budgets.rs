//! Which nodes hold pods of disruption budgets that let nothing go: asked now and then, for the label that refuses their
//! deletion.
//!
//! Only while a policy asks for it, and only by the replica that leads. What is missed in between, the drain finds.

use std::collections::BTreeSet;

use chassis::objects;
use chassis::reconcile::Cause;
use tokio_util::sync::CancellationToken;
use views::LabelSelector;

use super::apply::{Deeds, pod_resource};
use super::limits::{BUDGET_PODS_MAX, BUDGETS_INTERVAL, BUDGETS_MAX};
use super::observe::Ground;

/// Keeps up to date which nodes those are.
pub(super) async fn watch(ground: Ground, deeds: Deeds, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if ground.leadership.epoch().is_some() && ground.unread().is_none() {
            look(&ground, &deeds).await;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(BUDGETS_INTERVAL) => {}
        }
    }
}

async fn look(ground: &Ground, deeds: &Deeds) {
    let budgets = ground.stock().tight_budgets();
    let resource = pod_resource();
    let mut nodes: BTreeSet<Box<str>> = BTreeSet::new();
    for (namespace, selector) in budgets.iter().take(BUDGETS_MAX) {
        let labels = text(selector);
        let found =
            objects::look_for(deeds.client(), &resource, Some(namespace), &labels, BUDGET_PODS_MAX).await;
        let Ok((pods, _)) = found else {
            // What was known before is believed until it can be asked again.
            return;
        };
        let names = pods.iter().filter_map(|pod| pod.pointer("/spec/nodeName")?.as_str());
        nodes.extend(names.map(Box::from));
    }
    let changed = ground.stock().are_tight(nodes);
    changed.iter().for_each(|node| ground.works.nodes.add(node, Cause::Changed));
}

/// A selector as a query writes it.
fn text(selector: &LabelSelector) -> String {
    let equal = selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
    let others = selector.match_expressions.iter().map(|one| {
        let values = one.values.join(",");
        match &*one.operator {
            "In" => format!("{} in ({values})", one.key),
            "NotIn" => format!("{} notin ({values})", one.key),
            "Exists" => one.key.clone(),
            _ => format!("!{}", one.key),
        }
    });
    equal.chain(others).collect::<Vec<_>>().join(",")
}
