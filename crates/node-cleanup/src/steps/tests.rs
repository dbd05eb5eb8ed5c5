//! Steps as a departure takes them: compiled from what people write, turn by turn, the record read back in between.

mod graph;
mod journey;
mod turns;

use std::collections::{BTreeMap, BTreeSet};

use api::node_cleanup::{CleanupStep, Overrides, StepState, StepStatus};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::contract::Executed;

/// Plugins that there are; `cmdb` wants an `url`, and nothing else.
fn known(plugin: &str) -> Option<PluginFacts> {
    let schema = match plugin {
        "cmdb" => json!({
            "required": ["url"], "properties": {"url": {"type": "string"}}, "additionalProperties": false,
        }),
        "strange" => json!({"$ref": "#"}),
        "log" | "slack" | "portworx" => json!({}),
        _ => return None,
    };
    Some(PluginFacts { settings_schema: schema.as_object().cloned().unwrap() })
}

fn compile(steps: &Value) -> Result<Graph, String> {
    let steps: Vec<CleanupStep> = serde_json::from_value(steps.clone()).unwrap();
    Graph::compile(&steps, &known).map_err(|error| error.to_string())
}

/// The record, as it is read back after it was written.
fn read_back(statuses: &[StepStatus]) -> Vec<StepStatus> {
    serde_json::from_str(&serde_json::to_string(statuses).unwrap()).unwrap()
}

fn done() -> Outcome {
    Outcome::Answered(Executed::Done { message: "done".to_owned(), state: None })
}

fn failed(retryable: bool) -> Outcome {
    let (reason, message) = ("Refused".to_owned(), "not today".to_owned());
    Outcome::Answered(Executed::Failed { retryable, reason, message, state: None })
}

fn progress(percent: u8, retry_after_seconds: u32) -> Outcome {
    let message = "moving".to_owned();
    Outcome::Answered(Executed::Progress {
        percent: Some(percent),
        message,
        retry_after_seconds,
        state: None,
    })
}

/// A departure on its way.
struct Departure {
    graph: Graph,
    statuses: Vec<StepStatus>,
    overrides: Overrides,
    node: units::Value,
    pace: Pace,
    plugins: BTreeMap<Box<str>, PluginState>,
    in_flight: BTreeSet<Box<str>>,
    now: Timestamp,
}

impl Departure {
    fn of(steps: &Value) -> Self {
        let graph = compile(steps).unwrap();
        let healthy = PluginState { health: Health::Healthy, free: 100, rests_until: None };
        Self {
            statuses: graph.untouched(),
            plugins: graph.plugins().into_iter().map(|plugin| (plugin.into(), healthy.clone())).collect(),
            graph,
            overrides: Overrides::default(),
            node: serde_json::from_value(json!({"metadata": {"labels": {"px": "true"}}})).unwrap(),
            pace: Pace::Going,
            in_flight: BTreeSet::new(),
            now: "2026-11-21T04:07:00.5Z".parse().unwrap(),
        }
    }

    /// One whose drain and volumes are done.
    fn emptied(steps: &Value) -> Self {
        let mut departure = Self::of(steps);
        for step in [DRAIN_STEP, VOLUMES_STEP] {
            departure.turn();
            departure.settles(step, &done());
        }
        departure
    }

    fn look(&self) -> Advance {
        let facts = Facts {
            run: "u-1",
            node: &self.node,
            pace: self.pace,
            plugins: &self.plugins,
            in_flight: &self.in_flight,
        };
        advance(&self.graph, &self.statuses, &facts, &self.overrides, self.at())
    }

    /// One turn: what is decided is written down, and asked.
    fn turn(&mut self) -> Advance {
        let advance = self.look();
        self.statuses = read_back(&advance.statuses);
        assert_eq!(self.statuses, advance.statuses, "a record says what was decided");
        let asked = advance.begins.iter().chain(&advance.asks);
        self.in_flight.extend(asked.map(|asked| asked.step.clone()));
        advance
    }

    /// The names of the steps that begin in one turn.
    fn begins(&mut self) -> Vec<String> {
        self.turn().begins.iter().map(|asked| asked.step.to_string()).collect()
    }

    /// The plugin's answer comes, and is written down.
    fn settles(&mut self, step: &str, outcome: &Outcome) {
        assert!(self.in_flight.remove(step), "{step} is not being asked");
        let (at, attempt) = (self.at(), self.status(step).attempts);
        let settled = settle(self.graph.step(step).unwrap(), self.status(step), attempt, outcome, at);
        let status = self.statuses.iter_mut().find(|status| status.name == step).unwrap();
        *status = settled;
        self.statuses = read_back(&self.statuses);
    }

    /// The process dies, and another goes on with the record.
    fn crash(&mut self) {
        self.in_flight.clear();
    }

    fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    fn at(&self) -> Moment {
        Moment { now: self.now, seed: 7 }
    }

    fn status(&self, step: &str) -> &StepStatus {
        self.statuses.iter().find(|status| status.name == step).unwrap()
    }

    fn state(&self, step: &str) -> StepState {
        self.status(step).state
    }

    fn overrides(&mut self, overrides: Value) {
        self.overrides = serde_json::from_value(overrides).unwrap();
    }
}
