//! Whom the steps ask: a server that does each once, and notes what it was asked and when.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use testbed::targets::hook::Hook;
use testbed::targets::{Behaviour, Received, Reply, Target};

use crate::support::now;

/// A server that speaks the contract of plugins.
pub(crate) struct Doer(Target<Noting>);

struct Noting {
    hook: Hook,
    calls: Vec<Call>,
    /// Departures no step of which comes to its end.
    detained: BTreeSet<String>,
}

/// One request to do a step.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) at: Timestamp,
    /// The departure.
    pub(crate) run: String,
    pub(crate) step: String,
}

impl Behaviour for Noting {
    fn answer(&mut self, request: &Received) -> Reply {
        let body = request.json();
        if body["call"] == "execute" {
            let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
            self.calls.push(Call { at: now(), run: text("runId"), step: text("stepId") });
            if self.detained.contains(&text("runId")) {
                let answer = json!({"status": "progress", "message": "detained", "retryAfterSeconds": 1});
                return Reply::json(200, &answer);
            }
        }
        self.hook.answer(request)
    }
}

impl Doer {
    pub(crate) async fn start() -> Self {
        let noting = Noting { hook: Hook::new(), calls: Vec::new(), detained: BTreeSet::new() };
        Self(Target::start(noting).await.unwrap())
    }

    /// A step that asks it, and is under way so often before it is done.
    pub(crate) fn step(&self, name: &str, progress: u32) -> Value {
        let settings = json!({"url": self.0.url(), "settings": {"progress": progress}});
        json!({"name": name, "plugin": "httpHook", "settings": settings})
    }

    /// Lets no step of a departure come to its end, until it is let go.
    pub(crate) fn detain(&self, run: &str) {
        self.0.with(|noting| noting.detained.insert(run.to_owned()));
    }

    pub(crate) fn let_go(&self, run: &str) {
        self.0.with(|noting| noting.detained.remove(run));
    }

    /// All requests to do a step of a departure, in order.
    pub(crate) fn calls(&self, run: &str) -> Vec<Call> {
        self.0.with(|noting| noting.calls.iter().filter(|call| call.run == run).cloned().collect())
    }

    /// How often each step of a departure was done: its name, and how often.
    pub(crate) fn effects(&self, run: &str) -> Vec<(String, u32)> {
        let prefix = format!("{run}/");
        self.0.with(|noting| {
            let steps = noting.hook.steps().iter();
            steps
                .filter_map(|(key, step)| Some((key.strip_prefix(&prefix)?.to_owned(), step.effects)))
                .collect()
        })
    }
}
