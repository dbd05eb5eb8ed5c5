//! What can go wrong with a request.

use std::time::Duration;

use serde_json::json;

use super::{Received, Reply};

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Nothing is done, and this status is answered.
    Fail(u16),
    /// Nothing is done, this status is answered, and to come again after so many seconds.
    Busy(u16, u32),
    /// Nothing is done, and no answer ever comes; the connection stays open.
    Hang,
    /// What was asked is done and answered, after this time.
    Late(Duration),
    /// What was asked is done, and the connection breaks instead of an answer.
    LoseAnswer,
    /// Nothing is done, and something is answered that says that it is JSON and is none.
    Garbage,
    /// Nothing is done, and so many bytes are answered.
    Flood(usize),
    /// What was asked is done and answered, under another media type.
    ContentType(&'static str),
    /// Nothing is done, and another address is answered.
    Redirect(String),
    /// Nothing is done; the answer has this status and repeats all headers and the path of the request in its `message`.
    Repeat(u16),
}

impl Misbehaviour {
    /// What is answered instead, where something is answered instead.
    pub(super) fn instead(&self, request: &Received) -> Option<Reply> {
        match self {
            Self::Fail(status) => Some(Reply::json(*status, &json!({"error": "told to fail"}))),
            Self::Busy(status, seconds) => {
                let reply = Reply::json(*status, &json!({"error": "busy"}));
                Some(reply.header("retry-after", seconds.to_string()))
            }
            Self::Garbage => {
                Some(Reply::text(200, "{\"status\": done, <html>").media_type("application/json"))
            }
            Self::Redirect(to) => Some(Reply::text(302, "").header("location", to.clone())),
            Self::Repeat(status) => {
                let headers = request
                    .headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
                let message = format!("{} {}", request.path, headers.collect::<Vec<_>>().join(", "));
                let body = json!({"status": "failed", "healthy": false, "message": message, "state": {"said": message}});
                Some(Reply::json(*status, &body))
            }
            Self::Hang | Self::Late(_) | Self::LoseAnswer | Self::Flood(_) | Self::ContentType(_) => None,
        }
    }
}
