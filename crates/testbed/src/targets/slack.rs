//! Slack's incoming webhooks, as the published interface has them: a POST of JSON to a secret path, `ok` or one word of what
//! is wrong.

use http::Method;
use serde_json::Value;

use super::{Behaviour, Received, Reply};

/// One workspace with one webhook.
#[derive(Debug)]
pub struct Slack {
    path: String,
    is_archived: bool,
    messages: Vec<Value>,
}

impl Slack {
    /// A webhook at this path, such as `/services/T000/B000/secret`.
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned(), is_archived: false, messages: Vec::new() }
    }

    /// The webhook moves: the old path is none any more.
    pub fn rotate(&mut self, path: &str) {
        path.clone_into(&mut self.path);
    }

    /// Its channel is archived.
    pub fn archive(&mut self) {
        self.is_archived = true;
    }

    /// The messages that arrived.
    pub fn messages(&self) -> &[Value] {
        &self.messages
    }
}

impl Behaviour for Slack {
    fn answer(&mut self, request: &Received) -> Reply {
        if request.path != self.path {
            return Reply::text(404, "no_service");
        }
        if request.method != Method::POST {
            return Reply::text(400, "invalid_payload");
        }
        if self.is_archived {
            return Reply::text(410, "channel_is_archived");
        }
        let message = request.json();
        let Some(message) = message.as_object() else { return Reply::text(400, "invalid_payload") };
        let has = |field: &str| message.get(field).is_some_and(|value| value.as_str() != Some(""));
        if !has("text") && !has("blocks") && !has("attachments") {
            return Reply::text(400, "no_text");
        }
        self.messages.push(Value::Object(message.clone()));
        Reply::text(200, "ok")
    }
}
