//! A plugin that speaks a contract of `describe`, `check`, `plan` and `execute` over HTTP POST, and does each step once.
//!
//! What it does is told by the request's `settings`, so that a test with many steps can say it for each: `progress`, how often
//! it says that it is under way before it is done; `failures`, how often it fails first; `permanent`, whether such a failure
//! is final. It remembers by `idempotencyKey`.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use super::{Behaviour, Received, Reply};

/// See the module.
#[derive(Debug, Default)]
pub struct Hook {
    steps: BTreeMap<String, Step>,
    unhealthy: Option<String>,
}

/// What became of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// How often it was asked for.
    pub asked: u32,
    /// How often it was done: a plugin that keeps to the contract does it once.
    pub effects: u32,
}

impl Hook {
    /// One that is healthy.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says from now on why it could not work; none: that it could.
    pub fn sicken(&mut self, why: Option<&str>) {
        self.unhealthy = why.map(str::to_owned);
    }

    /// What became of every step, by idempotency key.
    pub fn steps(&self) -> &BTreeMap<String, Step> {
        &self.steps
    }

    /// How much was done, over all steps.
    pub fn effects(&self) -> u32 {
        self.steps.values().map(|step| step.effects).sum()
    }

    fn execute(&mut self, request: &Value) -> Value {
        let Some(key) = request.get("idempotencyKey").and_then(Value::as_str) else {
            return json!({"status": "failed", "retryable": false, "reason": "NoKey"});
        };
        let number = |field: &str| {
            let value = request.get("settings").and_then(|settings| settings.get(field));
            u32::try_from(value.and_then(Value::as_u64).unwrap_or(0)).unwrap_or(u32::MAX)
        };
        let is_final = request.pointer("/settings/permanent").and_then(Value::as_bool).unwrap_or(false);
        let step = self.steps.entry(key.to_owned()).or_default();
        step.asked += 1;
        let (failures, progress) = (number("failures"), number("progress"));
        let state = json!({"asked": step.asked});
        if step.effects > 0 {
            return json!({"status": "done", "message": "it was done before", "state": state});
        }
        if step.asked <= failures {
            return json!({
                "status": "failed", "retryable": !is_final, "reason": "ToldToFail",
                "message": "the simulator was told to fail", "state": state,
            });
        }
        let waited = step.asked - failures - 1;
        if waited < progress {
            return json!({
                "status": "progress", "percent": waited * 100 / progress, "message": "under way",
                "retryAfterSeconds": 1, "state": state,
            });
        }
        step.effects += 1;
        json!({"status": "done", "message": "done", "state": state})
    }
}

impl Behaviour for Hook {
    fn answer(&mut self, request: &Received) -> Reply {
        if request.method != Method::POST {
            return Reply::text(405, "only POST");
        }
        let body = request.json();
        let answer = match body.get("call").and_then(Value::as_str) {
            Some("describe") => json!({"name": "hook-simulator", "version": "1.0.0"}),
            Some("check") => {
                let why = self.unhealthy.clone().unwrap_or_default();
                json!({"healthy": self.unhealthy.is_none(), "message": why})
            }
            Some("plan") => {
                let node = body.pointer("/node/name").and_then(Value::as_str).unwrap_or_default();
                json!({"steps": [format!("forgets the node {node}")]})
            }
            Some("execute") => self.execute(&body),
            _ => return Reply::json(400, &json!({"error": "no such call"})),
        };
        Reply::json(200, &answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_done_once_after_what_its_settings_say() {
        let mut hook = Hook::new();
        let request =
            json!({"call": "execute", "idempotencyKey": "a/b", "settings": {"failures": 1, "progress": 1}});
        let said: Vec<Value> = (0..4).map(|_| hook.execute(&request)["status"].clone()).collect();
        assert_eq!(said, ["failed", "progress", "done", "done"]);
        assert_eq!(hook.steps()["a/b"], Step { asked: 4, effects: 1 });
    }
}
