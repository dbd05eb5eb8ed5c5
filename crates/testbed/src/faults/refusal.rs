//! An answer that the API server could have given, with a proper `Status`.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::calls::Call;
use super::reply::Reply;

/// An answer instead of the server's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    code: u16,
    reason: String,
    message: String,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// Any code (400 to 599; another one is sent as 500) with the reason of a `Status`.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let message = format!("{reason} (a fault of the test)");
        Self { code: if (400..600).contains(&code) { code } else { 500 }, reason, message, retry_after: None }
    }

    /// 429 with `Retry-After`, in whole seconds.
    pub fn too_many_requests(retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(429, "TooManyRequests") }
    }

    /// 409: the object has changed since it was read.
    pub fn conflict() -> Self {
        Self::new(409, "Conflict")
    }

    /// 409 to a create: there is one of this name.
    pub fn already_exists() -> Self {
        Self::new(409, "AlreadyExists")
    }

    /// 410: the version is too old for a watch, or for the next page of a list.
    pub fn expired() -> Self {
        Self::new(410, "Expired")
    }

    /// 403, as RBAC says it.
    pub fn forbidden() -> Self {
        Self::new(403, "Forbidden")
    }

    /// 404.
    pub fn not_found() -> Self {
        Self::new(404, "NotFound")
    }

    /// 500.
    pub fn internal_error() -> Self {
        Self::new(500, "InternalError")
    }

    /// 503.
    pub fn unavailable() -> Self {
        Self::new(503, "ServiceUnavailable")
    }

    /// 504: the server gave up waiting; whether the write was performed is open.
    pub fn timeout() -> Self {
        Self::new(504, "Timeout")
    }

    /// In these words.
    #[must_use]
    pub fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    pub(super) fn response(&self, call: &Call) -> Response<Reply> {
        let mut response = Response::new(Reply::whole(Bytes::from(self.status(call).to_string())));
        *response.status_mut() = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs()));
        }
        response
    }

    /// The last line of a watch that fails after it has begun.
    pub(super) fn line(&self, call: &Call) -> Bytes {
        Bytes::from(format!("{}\n", json!({ "type": "ERROR", "object": self.status(call) })))
    }

    fn status(&self, call: &Call) -> Value {
        let mut details = json!({ "name": call.name(), "group": call.group(), "kind": call.resource() });
        if let (Some(after), Some(details)) = (self.retry_after, details.as_object_mut()) {
            details.insert("retryAfterSeconds".to_owned(), Value::from(after.as_secs()));
        }
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": details, "code": self.code,
        })
    }
}
