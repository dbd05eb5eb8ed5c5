//! Whom the steps ask: a server that does each once, and notes what it was asked and when.

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
        }
        self.hook.answer(request)
    }
}

impl Doer {
    pub(crate) async fn start() -> Self {
        let noting = Noting { hook: Hook::new(), calls: Vec::new() };
        Self(Target::start(noting).await.unwrap())
    }

    /// A step that asks it, and is under way so often before it is done.
    pub(crate) fn step(&self, name: &str, progress: u32) -> Value {
        let settings = json!({"url": self.0.url(), "settings": {"progress": progress}});
        json!({"name": name, "plugin": "httpHook", "settings": settings})
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
