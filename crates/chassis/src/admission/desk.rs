//! One review, from the request's bytes to the answer's.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use control::Clock;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::limits::{
    BODIES_BYTES_MAX, BODY_BYTES_MAX, PATIENCE_USED_PERCENT, RETRY_AFTER_SECONDS, REVIEW_TIMEOUT_DEFAULT,
    REVIEW_TIMEOUT_MAX, REVIEWS_IN_FLIGHT_MAX,
};
use super::review::{Answer, Denial, Malformed, Request, parse, quoted, respond, status};
use crate::metrics::{MetricName, Metrics};

/// The size that bodies are accounted in.
const PIECE_BYTES: usize = 1_024;

/// Judges the reviews of one path.
pub trait Reviewer: Send + Sync + 'static {
    /// The path, such as `/validate/policies`.
    fn path(&self) -> &'static str;

    /// Judges one request. Has no side effects, for a request may be a dry run, and be judged twice.
    fn review<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Answer>;

    /// What is said when there was no time to judge.
    fn when_late(&self) -> Answer {
        Answer::deny(
            StatusCode::GATEWAY_TIMEOUT,
            "Timeout",
            "Groundskeeper could not judge this in time; try again",
        )
    }
}

/// All reviewers, and what they have to do at one time: everything of the server but its connections.
pub struct Desk {
    reviewers: BTreeMap<&'static str, Box<dyn Reviewer>>,
    reviews: Semaphore,
    bodies: Semaphore,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("paths", &self.reviewers.keys()).finish_non_exhaustive()
    }
}

/// An answer in the making: status and body.
struct Reply {
    code: StatusCode,
    body: Value,
}

impl Desk {
    /// A desk for these reviewers, each on its own path.
    pub fn new(reviewers: Vec<Box<dyn Reviewer>>, clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        let reviewers = reviewers.into_iter().map(|reviewer| (reviewer.path(), reviewer)).collect();
        let (reviews, bodies) =
            (Semaphore::new(REVIEWS_IN_FLIGHT_MAX), Semaphore::new(BODIES_BYTES_MAX / PIECE_BYTES));
        Self { reviewers, reviews, bodies, clock, metrics }
    }

    /// Answers whatever comes.
    pub async fn answer(&self, request: http::Request<Body>) -> Response<Body> {
        let Some(reviewer) = self.reviewers.get(request.uri().path()) else {
            return Reply::failed(StatusCode::NOT_FOUND, "NotFound", "there is no webhook of this path")
                .send();
        };
        let label = [("webhook", reviewer.path())];
        let begun = self.clock.steady();
        let _counted = InFlight::count(&self.metrics, reviewer.path());
        let reply = self.review(&**reviewer, request).await;
        let code = reply.code.as_u16().to_string();
        self.metrics.count(MetricName::WebhookRequests, &[("webhook", reviewer.path()), ("code", &code)]);
        let seconds = self.clock.steady().since(begun).as_secs_f64();
        self.metrics.observe_with(MetricName::WebhookLatency, &label, seconds);
        reply.send()
    }

    async fn review(&self, reviewer: &dyn Reviewer, request: http::Request<Body>) -> Reply {
        if let Err(refusal) = check_form(&request) {
            return refusal;
        }
        let Some(_permits) = self.admit(&request) else {
            return Reply::failed(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                "too many reviews at one time",
            );
        };
        let patience = patience(request.uri().query());
        let deadline = tokio::time::sleep(patience);
        tokio::pin!(deadline);
        let body = tokio::select! {
            body = to_bytes(request.into_body(), BODY_BYTES_MAX) => body,
            () = deadline.as_mut() => {
                return Reply::failed(StatusCode::REQUEST_TIMEOUT, "Timeout", "the body did not come in time");
            }
        };
        let Ok(body) = body else {
            return Reply::failed(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLarge",
                "the body is too large, or broke off",
            );
        };
        let parsed = parse(&body);
        drop(body);
        match parsed {
            Ok(request) => tokio::select! {
                answer = self.judge(reviewer, &request) => Reply::to(&request, reviewer.path(), &answer),
                () = deadline => Reply::to(&request, reviewer.path(), &reviewer.when_late()),
            },
            Err(malformed) => Reply::malformed(reviewer.path(), malformed),
        }
    }

    /// A place for one more review, and room for its body.
    fn admit(&self, request: &http::Request<Body>) -> Option<(SemaphorePermit<'_>, SemaphorePermit<'_>)> {
        let shed = |limit| self.metrics.count(MetricName::WebhookShed, &[("limit", limit)]);
        let Ok(place) = self.reviews.try_acquire() else {
            shed("reviews");
            return None;
        };
        let length = content_length(request).unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX);
        let pieces = u32::try_from(length.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX);
        let Ok(room) = self.bodies.try_acquire_many(pieces) else {
            shed("bytes");
            return None;
        };
        Some((place, room))
    }

    /// The reviewer's answer; a reviewer that panics has none, and says so.
    async fn judge(&self, reviewer: &dyn Reviewer, request: &Request) -> Answer {
        let judged = AssertUnwindSafe(async { reviewer.review(request).await }).catch_unwind();
        judged.await.unwrap_or_else(|_| {
            tracing::error!(webhook = reviewer.path(), "a review panicked; please report this");
            self.metrics.count(MetricName::WebhookPanics, &[]);
            Answer::deny(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                "Groundskeeper failed to judge this; please report it",
            )
        })
    }
}

impl Reply {
    fn failed(code: StatusCode, reason: &str, message: &str) -> Self {
        Self { code, body: status(code, reason, message) }
    }

    fn to(request: &Request, webhook: &'static str, answer: &Answer) -> Self {
        if let Answer::Deny(Denial { code, message, .. }) = answer {
            let (user, namespace, name) =
                (quoted(&request.user_info.username), quoted(&request.namespace), quoted(&request.name));
            tracing::info!(webhook, user, namespace, name, code = code.as_u16(), message, "refused");
        }
        Self { code: StatusCode::OK, body: respond(&request.uid, answer) }
    }

    fn malformed(webhook: &'static str, malformed: Malformed) -> Self {
        tracing::warn!(webhook, error = %malformed, "a review cannot be understood");
        let message = malformed.to_string();
        match malformed {
            Malformed::Request { uid, .. } => {
                let answer = Answer::deny(StatusCode::BAD_REQUEST, "BadRequest", message);
                Self { code: StatusCode::OK, body: respond(&uid, &answer) }
            }
            _ => Self::failed(StatusCode::BAD_REQUEST, "BadRequest", &message),
        }
    }

    fn send(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body.to_string()));
        *response.status_mut() = self.code;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.code == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        if self.code == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

/// Counts a request while it is in flight.
struct InFlight<'a> {
    metrics: &'a Metrics,
    webhook: &'static str,
}

impl<'a> InFlight<'a> {
    fn count(metrics: &'a Metrics, webhook: &'static str) -> Self {
        metrics.add(MetricName::WebhookRequestsInFlight, &[("webhook", webhook)], 1);
        Self { metrics, webhook }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.metrics.add(MetricName::WebhookRequestsInFlight, &[("webhook", self.webhook)], -1);
    }
}

/// What can be told before the body is read.
fn check_form(request: &http::Request<Body>) -> Result<(), Reply> {
    if request.method() != Method::POST {
        return Err(Reply::failed(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "reviews are sent by POST",
        ));
    }
    let type_ = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = type_.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        let message = "a review is application/json";
        return Err(Reply::failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message));
    }
    if content_length(request).is_some_and(|length| length > BODY_BYTES_MAX) {
        let message = format!("a review has at most {BODY_BYTES_MAX} bytes");
        return Err(Reply::failed(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message));
    }
    Ok(())
}

fn content_length(request: &http::Request<Body>) -> Option<usize> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// How long a review may take: a share of what the caller waits, which an API server says in the address
/// (`?timeout=10s`).
fn patience(query: Option<&str>) -> Duration {
    let said = query
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| pair.strip_prefix("timeout="))
        .and_then(|text| text.strip_suffix('s'))
        .and_then(|seconds| seconds.parse::<u32>().ok())
        .filter(|seconds| *seconds > 0);
    said.map_or(REVIEW_TIMEOUT_DEFAULT, |seconds| {
        (Duration::from_secs(u64::from(seconds)) * PATIENCE_USED_PERCENT / 100).min(REVIEW_TIMEOUT_MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_before_its_caller_stops_waiting() {
        let table = [
            (None, 2_000),
            (Some("timeout=10s"), 7_500),
            (Some("timeout=1s"), 750),
            (Some("dry=1&timeout=30s"), 8_000),
            (Some("timeout=0s"), 2_000),
            (Some("timeout=4294967295s"), 8_000),
            (Some("timeout=99999999999s"), 2_000),
            (Some("timeout=soon"), 2_000),
        ];
        for (query, expected) in table {
            assert_eq!(patience(query), Duration::from_millis(expected), "{query:?}");
        }
    }
}
