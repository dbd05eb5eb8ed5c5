//! How many pods the controllers of a node's pods want: whose service a drain interrupts.
//!
//! They are asked before a drain, each once, and not watched: of all that there are few concern a node that leaves. What cannot
//! be asked is not known, and nobody waits for it.

use std::collections::BTreeMap;

use api::Time;
use chassis::Resource;
use chassis::objects::{self, ObjectRef};
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use node_cleanup::limits::SETTLE_SECONDS;
use serde_json::Value;
use units::Uid;
use views::Controller;

use super::super::apply;
use super::super::limits::{CONTROLLERS_ASKED_AT_ONCE, CONTROLLERS_ASKED_MAX};
use super::Neighbours;

/// Whether no pod of a node that was cordoned then, if it was, has been asked to leave yet.
pub(in super::super) fn is_settling(cordoned_at: Option<&Time>, now: Timestamp) -> bool {
    let settle = SignedDuration::from_secs(SETTLE_SECONDS);
    cordoned_at.is_none_or(|at| now.duration_since(at.0) < settle)
}

/// How many pods each controller of the pods around a node wants.
pub(in super::super) async fn replicas(client: &Client, neighbours: &Neighbours) -> BTreeMap<Uid, i64> {
    let controllers: BTreeMap<Uid, (String, Controller)> = neighbours
        .controllers()
        .map(|(namespace, controller)| (controller.uid.clone(), (namespace.to_owned(), controller.clone())))
        .collect();
    let mut asked = Vec::new();
    for (namespace, controller) in controllers.into_values() {
        if let Some(resource) = apply::replicated_resource(&controller.group, &controller.kind) {
            asked.push(wanted(client.clone(), resource, namespace, controller));
        }
    }
    asked.truncate(CONTROLLERS_ASKED_MAX);
    let answers = futures::stream::iter(asked).buffer_unordered(CONTROLLERS_ASKED_AT_ONCE);
    answers.filter_map(std::future::ready).collect().await
}

async fn wanted(
    client: Client,
    resource: Resource,
    namespace: String,
    controller: Controller,
) -> Option<(Uid, i64)> {
    let object = ObjectRef { resource: &resource, namespace: Some(&namespace), name: &controller.name };
    let found = objects::look_at(&client, object).await.ok()??;
    let is_it = found.pointer("/metadata/uid").and_then(Value::as_str).map(Uid::from).as_ref()
        == Some(&controller.uid);
    // A controller that does not say wants one pod.
    let wanted = found.pointer("/spec/replicas").map_or(Some(1), Value::as_i64)?;
    is_it.then_some((controller.uid, wanted))
}
