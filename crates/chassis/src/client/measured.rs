//! Counts and times every request of a client, and gives each a span.
//!
//! Knows requests and answers by their form only. It is the outermost layer: what it times includes connecting and
//! authenticating, but not the wait for a free place in the client's queue. A watch's time ends where its answer begins.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use control::Clock;
use http::{Method, Request, Response, header};
use tower::{Layer, Service};
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::metrics::{MetricName, Metrics};

/// The layer: where numbers go, and which server is talked to.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    pub(super) metrics: Metrics,
    pub(super) clock: Arc<dyn Clock>,
    /// Host and port.
    pub(super) host: Arc<str>,
}

impl<S> Layer<S> for Measure {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { inner, measure: self.clone() }
    }
}

/// A service whose requests are measured.
#[derive(Debug)]
pub(super) struct Measured<S> {
    inner: S,
    measure: Measure,
}

type Answer<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl<S, B, A> Service<Request<B>> for Measured<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answer<S::Response, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (verb, method) = (Verb::of(&request), request.method().clone());
        let span = tracing::debug_span!(
            "api call",
            otel.kind = "client",
            verb = verb.name(),
            path = request.uri().path(),
            code = Empty
        );
        let measure = self.measure.clone();
        let began = measure.clock.steady();
        let answer = span.in_scope(|| self.inner.call(request));
        let call = span.clone();
        let measured = async move {
            let answer = answer.await;
            let code = answer.as_ref().map(|answer| answer.status().as_u16()).ok();
            call.record("code", code);
            let took = measure.clock.steady().since(began);
            measure.record(verb, &method, code, took.as_secs_f64());
            answer
        };
        Box::pin(measured.instrument(span))
    }
}

impl Measure {
    fn record(&self, verb: Verb, method: &Method, code: Option<u16>, seconds: f64) {
        // As client-go calls a request that was not answered.
        let code = code.map_or_else(|| "<error>".to_owned(), |code| code.to_string());
        let labels = [("code", &*code), ("method", method.as_str()), ("host", &self.host)];
        self.metrics.count(MetricName::RestClientRequests, &labels);
        self.metrics.observe_with(MetricName::ApiRequestDuration, &[("verb", verb.name())], seconds);
    }
}

/// What is asked of the API server, as far as a request's form shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Apply,
    Removal,
    Other,
}

impl Verb {
    fn of<B>(request: &Request<B>) -> Self {
        match *request.method() {
            Method::GET if has_watch(request.uri().query()) => Self::Watch,
            Method::GET if is_collection(request.uri().path()) => Self::List,
            Method::GET => Self::Get,
            Method::POST => Self::Create,
            Method::PUT => Self::Update,
            Method::PATCH => {
                let form = request.headers().get(header::CONTENT_TYPE).and_then(|form| form.to_str().ok());
                if form.is_some_and(|form| form.starts_with("application/apply-patch")) {
                    Self::Apply
                } else {
                    Self::Patch
                }
            }
            ref method if method.as_str() == "DELETE" => Self::Removal,
            _ => Self::Other,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Apply => "apply",
            Self::Removal => "delete",
            Self::Other => "other",
        }
    }
}

fn has_watch(query: Option<&str>) -> bool {
    query.unwrap_or_default().split('&').any(|part| matches!(part, "watch=true" | "watch=1"))
}

/// Whether a path is that of a collection: `/api/v1/pods`, `/apis/g/v1/namespaces/n/things`.
fn is_collection(path: &str) -> bool {
    let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
    match segments.as_slice() {
        ["api", _, below @ ..] | ["apis", _, _, below @ ..] => matches!(below, [_] | ["namespaces", _, _]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::SystemClock;

    #[test]
    fn a_verb_is_read_from_the_form_of_a_request() {
        let table = [
            ("GET", "/api/v1/namespaces/team/pods", "list"),
            ("GET", "/api/v1/namespaces", "list"),
            ("GET", "/api/v1/namespaces/team", "get"),
            ("GET", "/apis/batch/v1/jobs?watch=true&x=y", "watch"),
            ("GET", "/apis/batch/v1/namespaces/team/jobs/a", "get"),
            ("GET", "/apis/batch/v1/namespaces/team/jobs/a/status", "get"),
            ("GET", "/version", "get"),
            ("GET", "/apis", "get"),
            ("POST", "/api/v1/pods", "create"),
            ("PUT", "/api/v1/pods/a", "update"),
            ("PATCH", "/api/v1/pods/a", "patch"),
            ("DELETE", "/api/v1/pods/a", "delete"),
            ("OPTIONS", "/", "other"),
        ];
        for (method, path, expected) in table {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            assert_eq!(Verb::of(&request).name(), expected, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn every_request_is_counted_also_one_without_an_answer() {
        let metrics = Metrics::default();
        let measure =
            Measure { metrics: metrics.clone(), clock: Arc::new(SystemClock), host: "server:6443".into() };
        let mut service = measure.layer(tower::service_fn(async |request: Request<bool>| {
            if *request.body() { Ok(Response::builder().status(409).body(()).unwrap()) } else { Err("cut") }
        }));
        for answered in [true, false] {
            let request = Request::post("/api/v1/pods").body(answered).unwrap();
            assert_eq!(service.call(request).await.is_ok(), answered);
        }
        let text = metrics.encode().unwrap();
        for code in ["409", "<error>"] {
            let series = format!(
                "rest_client_requests_total{{code=\"{code}\",method=\"POST\",host=\"server:6443\"}} 1"
            );
            assert!(text.contains(&series), "{text}");
        }
        assert!(
            text.contains("groundskeeper_api_request_duration_seconds_count{verb=\"create\"} 2"),
            "{text}"
        );
    }
}
