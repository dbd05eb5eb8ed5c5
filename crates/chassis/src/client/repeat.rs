//! Asking again, where that cannot do harm.
//!
//! Which requests may be repeated follows from what they are: reads, server-side apply, patches that name the incarnation
//! or the version that they change, and reviews, which store nothing. Creations and deletions are never repeated here: a
//! lost answer leaves open whether they were done, and only the caller can look. Nor is a refusal repeated, except that
//! the server was too busy.

use std::time::Duration;

use control::Backoff;
use http::{Method, Request, header};
use kube::Client;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::within;
use crate::error::ApiError;
use crate::limits::{ASK_ATTEMPTS_MAX, ASK_PAUSE_FIRST, ASK_PAUSE_MAX, CALL_TIMEOUT};

/// Sends a request, again if that is harmless and may help; all attempts together take no longer than one call may.
pub(crate) async fn ask(client: &Client, request: Request<Vec<u8>>) -> Result<String, ApiError> {
    let mut backoff = Backoff::new(ASK_PAUSE_FIRST, ASK_PAUSE_MAX, &request.uri().path());
    let asking = async {
        loop {
            let answer = client.request_text(copy(&request)).await.map_err(ApiError::from);
            let Err(error) = answer else { return answer };
            let pause = backoff.after_failure();
            match wait_before(&error, pause) {
                Some(pause) if is_repeatable(&request) && backoff.failures() < ASK_ATTEMPTS_MAX => {
                    tracing::debug!(path = request.uri().path(), %error, "asking again");
                    tokio::time::sleep(pause).await;
                }
                _ => return Err(error),
            }
        }
    };
    match within(CALL_TIMEOUT, async { Ok(asking.await) }).await {
        Ok(answer) => answer,
        Err(late) => Err(late),
    }
}

/// The same, for an answer in JSON.
pub(crate) async fn ask_for<T: DeserializeOwned>(
    client: &Client,
    request: Request<Vec<u8>>,
) -> Result<T, ApiError> {
    let text = ask(client, request).await?;
    serde_json::from_str(&text).map_err(|error| ApiError::Garbled(error.to_string()))
}

/// How long to wait before another attempt; none if another would end the same way.
fn wait_before(error: &ApiError, pause: Duration) -> Option<Duration> {
    match error {
        ApiError::Refused { code: 429 | 502..=504, retry_after, .. } => {
            Some(retry_after.unwrap_or(pause).min(ASK_PAUSE_MAX))
        }
        ApiError::Unreachable(_) => Some(pause),
        _ => None,
    }
}

/// Whether doing it twice is the same as doing it once.
fn is_repeatable(request: &Request<Vec<u8>>) -> bool {
    match *request.method() {
        Method::GET => true,
        Method::POST => request.uri().path().ends_with("reviews"),
        Method::PATCH => is_apply(request) || names_what_it_changes(request.body()),
        _ => false,
    }
}

fn is_apply(request: &Request<Vec<u8>>) -> bool {
    let form = request.headers().get(header::CONTENT_TYPE).and_then(|form| form.to_str().ok());
    form.is_some_and(|form| form.starts_with("application/apply-patch"))
}

/// A patch with a UID or a version in it is refused if it has been overtaken.
fn names_what_it_changes(body: &[u8]) -> bool {
    let Ok(patch) = serde_json::from_slice::<Value>(body) else { return false };
    let names = |field: &str| patch.pointer(&format!("/metadata/{field}")).is_some_and(Value::is_string);
    names("uid") || names("resourceVersion")
}

fn copy(request: &Request<Vec<u8>>) -> Request<Vec<u8>> {
    let mut copy = Request::new(request.body().clone());
    request.method().clone_into(copy.method_mut());
    request.uri().clone_into(copy.uri_mut());
    request.headers().clone_into(copy.headers_mut());
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str, form: &str, body: &str) -> Request<Vec<u8>> {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, form)
            .body(body.as_bytes().to_vec())
            .unwrap()
    }

    #[test]
    fn only_what_does_no_harm_is_repeated() {
        let (merge, apply) = ("application/merge-patch+json", "application/apply-patch+yaml");
        let table = [
            ("GET", "/api/v1/pods", "", "", true),
            ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "", "{}", true),
            ("POST", "/api/v1/namespaces/a/secrets", "", "{}", false),
            ("POST", "/api/v1/namespaces/a/pods/b/eviction", "", "{}", false),
            ("DELETE", "/api/v1/namespaces/a/pods/b", "", "{}", false),
            ("PUT", "/api/v1/namespaces/a/secrets/b", "", r#"{"metadata":{"resourceVersion":"7"}}"#, false),
            ("PATCH", "/api/v1/namespaces/a/configmaps/b", apply, "{}", true),
            ("PATCH", "/apis/x/v1/things/b/status", merge, r#"{"metadata":{"uid":"u"},"status":{}}"#, true),
            ("PATCH", "/apis/x/v1/things/b/status", merge, r#"{"status":{}}"#, false),
            ("PATCH", "/apis/x/v1/things/b", merge, "not JSON", false),
        ];
        for (method, path, form, body, expected) in table {
            assert_eq!(is_repeatable(&request(method, path, form, body)), expected, "{method} {path} {body}");
        }
    }

    #[test]
    fn a_refusal_is_an_answer_and_a_busy_server_says_when() {
        let refused = |code, retry_after| ApiError::Refused {
            code,
            reason: String::new(),
            message: String::new(),
            retry_after,
        };
        let pause = Duration::from_millis(100);
        assert_eq!(wait_before(&refused(404, None), pause), None);
        assert_eq!(wait_before(&refused(409, None), pause), None);
        assert_eq!(wait_before(&refused(500, None), pause), None);
        assert_eq!(wait_before(&refused(503, None), pause), Some(pause));
        let busy = refused(429, Some(Duration::from_secs(1)));
        assert_eq!(wait_before(&busy, pause), Some(Duration::from_secs(1)));
        let very_busy = refused(429, Some(Duration::from_hours(1)));
        assert_eq!(wait_before(&very_busy, pause), Some(ASK_PAUSE_MAX));
        assert_eq!(wait_before(&ApiError::Unreachable(String::new()), pause), Some(pause));
    }
}
