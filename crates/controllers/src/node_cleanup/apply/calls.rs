//! Plugins are asked, beside the turns: what they answer is remembered until a turn has written it down.

use std::time::Duration;

use chassis::MetricName;
use chassis::lease::Epoch;
use chassis::reconcile::Cause;
use node_cleanup::contract::{Node, Task};
use node_cleanup::steps::{Asked, Health, Outcome};
use serde_json::{Map, Value};

use super::super::departures::Plan;
use super::super::limits::{CALLS_IN_FLIGHT, HEALTH_TIMEOUT};
use super::super::memory::{Answered, Memories};
use super::super::observe::Ground;
use super::Deeds;

impl Deeds {
    /// Asks the plugin of a step. The call ends with the epoch, and with the process; whoever leads next asks again, with
    /// the same idempotency key.
    pub(in super::super) fn call(
        &self,
        ground: &Ground,
        memories: &Memories,
        (key, plan): (&str, &Plan),
        asked: &Asked,
        epoch: &Epoch,
    ) {
        let Some((plugin, task)) = task(plan, asked) else { return };
        let (Asked { step, attempt, .. }, ground) = (asked.clone(), ground.clone());
        let (memories, key, epoch) = (memories.clone(), key.to_owned(), epoch.clone());
        if !memories.with(&key, |memory| {
            memory.in_flight.len() < CALLS_IN_FLIGHT && memory.in_flight.insert(step.clone())
        }) {
            return;
        }
        let (metrics, clock) = (self.metrics.clone(), std::sync::Arc::clone(&self.clock));
        let stop = self.supervisor.stopping().clone();
        self.supervisor.spawn("call of a cleanup plugin", async move {
            let began = clock.steady();
            let outcome = tokio::select! {
                biased;
                () = epoch.ended() => None,
                () = stop.cancelled() => None,
                outcome = ground.plugins.execute(&plugin, task) => Some(outcome),
            };
            if let Some(outcome) = &outcome {
                let took = clock.steady().since(began).as_secs_f64();
                let labels = [("plugin", &*plugin), ("result", result(outcome))];
                metrics.count(MetricName::OldCleanupOperations, &labels);
                metrics.observe_with(MetricName::OldCleanupDuration, &[("plugin", &*plugin)], took);
            }
            memories.with(&key, |memory| {
                memory.in_flight.remove(&step);
                memory.answers.extend(outcome.map(|outcome| Answered { step, attempt, outcome }));
            });
            ground.works.departures.add(&key, Cause::Changed);
        });
    }

    /// Asks a plugin whether it could work, with the settings of each of its steps; the answer wakes the key.
    pub(in super::super) fn ask_health(
        &self,
        ground: &Ground,
        memories: &Memories,
        key: &str,
        plugin: String,
        settings: Vec<Map<String, Value>>,
    ) {
        let (ground, memories, key) = (ground.clone(), memories.clone(), key.to_owned());
        let (clock, stop) = (std::sync::Arc::clone(&self.clock), self.supervisor.stopping().clone());
        self.supervisor.spawn("check of a cleanup plugin", async move {
            let asking = health(&ground, &plugin, &settings, HEALTH_TIMEOUT);
            let health = tokio::select! {
                () = stop.cancelled() => return,
                health = asking => health,
            };
            memories.with(&key, |memory| memory.knows_health(&plugin, health, clock.now()));
            ground.works.departures.add(&key, Cause::Changed);
        });
    }
}

/// What a plugin says of its health, with the first of these settings with which it could not work.
async fn health(ground: &Ground, plugin: &str, settings: &[Map<String, Value>], within: Duration) -> Health {
    for settings in settings {
        match tokio::time::timeout(within, ground.plugins.check(plugin, settings)).await {
            Ok(Ok(checked)) if checked.healthy => {}
            Ok(Ok(checked)) => return Health::Unhealthy(checked.message),
            Ok(Err(error)) => return Health::Unhealthy(error.to_string()),
            Err(_) => return Health::Unhealthy(format!("no answer within {} s", within.as_secs())),
        }
    }
    Health::Healthy
}

fn task(plan: &Plan, asked: &Asked) -> Option<(String, Task)> {
    let spec = &plan.record.spec;
    let step = spec.steps.iter().find(|step| *step.name == *asked.step)?;
    let status = plan.status.steps.iter().find(|status| *status.name == *asked.step)?;
    let snapshot = plan.status.node.clone().unwrap_or_default();
    let task = Task {
        run_id: spec.node_uid.clone(),
        step_id: step.name.clone(),
        attempt: asked.attempt,
        idempotency_key: asked.idempotency_key.clone(),
        node: Node::new(&spec.node_name, &spec.node_uid, &snapshot),
        state: status.state_blob.clone(),
        deadline: asked.deadline,
        settings: step.settings.clone(),
    };
    Some((step.plugin.clone(), task))
}

/// The metric label.
const fn result(outcome: &Outcome) -> &'static str {
    use node_cleanup::contract::Executed;
    match outcome {
        Outcome::Answered(Executed::Done { .. }) => "success",
        Outcome::Answered(Executed::Progress { .. }) => "progress",
        Outcome::Answered(Executed::Failed { .. })
        | Outcome::TimedOut
        | Outcome::Unreachable(_)
        | Outcome::Garbage(_) => "failure",
    }
}
