//! Who may read the metrics: asks the API server who somebody is, and whether they may.
//!
//! A bearer token is shown to a `TokenReview`, its user to a `SubjectAccessReview` (`get` on the path `/metrics`). Answers are
//! kept for seconds, by the digest of the token, so that a scrape costs no more than two calls, and a flood of bad tokens
//! no more than a few at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use control::{Clock, Steady};
use http::{HeaderMap, StatusCode, header};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::client::within;
use crate::error::ApiError;
use crate::limits::{REVIEW_KEPT, REVIEW_TIMEOUT, REVIEWS_IN_FLIGHT_MAX, REVIEWS_KEPT_MAX};
use crate::secret::Redacted;

/// Lets in who may read the metrics.
#[derive(Clone)]
pub struct Scrapers(Arc<Inner>);

struct Inner {
    client: Client,
    clock: Arc<dyn Clock>,
    kept: Mutex<HashMap<[u8; 32], Kept>>,
    in_flight: Semaphore,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    verdict: Verdict,
    until: Steady,
}

/// Whether somebody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Unknown,
    Forbidden,
}

impl std::fmt::Debug for Scrapers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scrapers")
    }
}

impl Scrapers {
    /// Asks with this client's identity, which needs the right to create both reviews (`system:auth-delegator`).
    pub fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        let in_flight = Semaphore::new(REVIEWS_IN_FLIGHT_MAX);
        Self(Arc::new(Inner { client, clock, kept: Mutex::default(), in_flight }))
    }

    /// Whether a request with these headers is let in; else the status and the reason.
    pub(super) async fn admit(&self, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        let Some(token) = bearer(headers) else {
            return Err((StatusCode::UNAUTHORIZED, "a bearer token is needed\n"));
        };
        match self.verdict(&token).await {
            Ok(Verdict::Allowed) => Ok(()),
            Ok(Verdict::Unknown) => {
                Err((StatusCode::UNAUTHORIZED, "the API server does not know this token\n"))
            }
            Ok(Verdict::Forbidden) => {
                Err((StatusCode::FORBIDDEN, "the right to get the path /metrics is missing\n"))
            }
            Err(error) => {
                tracing::warn!(%error, "cannot ask whether somebody may read the metrics");
                Err((StatusCode::SERVICE_UNAVAILABLE, "the API server could not be asked\n"))
            }
        }
    }

    async fn verdict(&self, token: &Redacted<String>) -> Result<Verdict, ApiError> {
        let digest = digest(&SHA256, token.expose().as_bytes());
        let key: [u8; 32] = digest.as_ref().try_into().unwrap_or_default();
        if let Some(verdict) = self.kept(&key) {
            return Ok(verdict);
        }
        let busy = |_| ApiError::Unreachable("too many reviews are under way".to_owned());
        let _permit = self.0.in_flight.try_acquire().map_err(busy)?;
        let verdict = self.ask(token).await?;
        self.keep(key, verdict);
        Ok(verdict)
    }

    async fn ask(&self, token: &Redacted<String>) -> Result<Verdict, ApiError> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token.expose()},
        });
        let answer = self.create("/apis/authentication.k8s.io/v1/tokenreviews", &review).await?;
        let user = answer.pointer("/status/user").cloned().unwrap_or_default();
        let name = user.get("username").and_then(Value::as_str).unwrap_or_default().to_owned();
        // A user without a name is nobody, whatever the rest says.
        if answer.pointer("/status/authenticated") != Some(&Value::Bool(true)) || name.is_empty() {
            return Ok(Verdict::Unknown);
        }
        let field = |name: &str| user.get(name).cloned().unwrap_or_default();
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": name,
                "uid": field("uid"),
                "groups": field("groups"),
                "extra": field("extra"),
                "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
            },
        });
        let answer = self.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await?;
        let allowed = answer.pointer("/status/allowed") == Some(&Value::Bool(true));
        Ok(if allowed { Verdict::Allowed } else { Verdict::Forbidden })
    }

    async fn create(&self, path: &str, review: &Value) -> Result<Value, ApiError> {
        let garbled = |error: &dyn std::fmt::Display| ApiError::Garbled(error.to_string());
        let request = http::Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(review.to_string().into_bytes())
            .map_err(|error| garbled(&error))?;
        let answer = within(REVIEW_TIMEOUT, self.0.client.request_text(request)).await?;
        serde_json::from_str(&answer).map_err(|error| garbled(&error))
    }

    fn kept(&self, key: &[u8; 32]) -> Option<Verdict> {
        let now = self.0.clock.steady();
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|kept| kept.until > now).map(|kept| kept.verdict)
    }

    fn keep(&self, key: [u8; 32], verdict: Verdict) {
        let now = self.0.clock.steady();
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= REVIEWS_KEPT_MAX {
            kept.retain(|_, kept| kept.until > now);
        }
        if kept.len() < REVIEWS_KEPT_MAX {
            kept.insert(key, Kept { verdict, until: now.after(REVIEW_KEPT) });
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<Redacted<String>> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| Redacted::new(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_is_a_token() {
        let table = [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Bearer ", None),
            ("Bearer", None),
            ("Basic abc", None),
        ];
        for (value, expected) in table {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            assert_eq!(bearer(&headers).map(Redacted::into_inner).as_deref(), expected, "{value}");
        }
        assert!(bearer(&HeaderMap::new()).is_none());
    }
}
