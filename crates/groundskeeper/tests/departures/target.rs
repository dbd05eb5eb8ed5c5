//! A plugin behind an address, which does as a test says, and remembers what it was asked.

use std::time::Instant;

use serde_json::{Value, json};
use testbed::targets::{Behaviour, Misbehaviour, Received, Reply as Answer, Target as Server};

/// How a question is answered.
pub(crate) enum Reply {
    /// With an object.
    Says(Value),
    /// Not as it should be.
    Fails(Misbehaviour),
}

type Answers = dyn Fn(&Value, usize) -> Reply + Send;

/// A server that ends with the test.
pub(crate) struct Target(Server<Plugin>);

struct Plugin {
    answers: Box<Answers>,
    asked: Vec<(Instant, Value)>,
    answer: Value,
}

impl Target {
    /// One that says of each step what `execute` says, given the request and how many were made before it.
    pub(crate) async fn new(execute: impl Fn(&Value, usize) -> Reply + Send + 'static) -> Self {
        let plugin = Plugin { answers: Box::new(execute), asked: Vec::new(), answer: Value::Null };
        Self(Server::start(plugin).await.unwrap())
    }

    /// The `CleanupPlugin` that leads here.
    pub(crate) fn plugin(&self, name: &str) -> Value {
        json!({
            "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "CleanupPlugin",
            "metadata": {"name": name},
            "spec": {"http": {"url": format!("{}/", self.0.url()), "allowPrivateAddresses": true}},
        })
    }

    /// What it was asked to do, and when.
    pub(crate) fn executed(&self) -> Vec<(Instant, Value)> {
        self.0.with(|plugin| plugin.asked.clone())
    }
}

impl Behaviour for Plugin {
    fn misbehaviour(&mut self, request: &Received) -> Option<Misbehaviour> {
        let request = request.json();
        self.answer = match request["call"].as_str() {
            Some("describe") => json!({"name": "target", "version": "1"}),
            Some("check") => json!({"healthy": true}),
            _ => {
                let reply = (self.answers)(&request, self.asked.len());
                self.asked.push((Instant::now(), request));
                match reply {
                    Reply::Says(answer) => answer,
                    Reply::Fails(how) => return Some(how),
                }
            }
        };
        None
    }

    fn answer(&mut self, _: &Received) -> Answer {
        Answer::json(200, &self.answer)
    }
}

/// That a step is done.
pub(crate) fn done() -> Reply {
    Reply::Says(json!({"status": "done", "message": "did it"}))
}

/// That it failed, and might be tried again.
pub(crate) fn failed() -> Reply {
    Reply::Says(json!({"status": "failed", "reason": "NotToday", "message": "come back later"}))
}

/// Nothing, and never.
pub(crate) fn silence() -> Reply {
    Reply::Fails(Misbehaviour::Hang)
}
