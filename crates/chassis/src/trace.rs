//! Traces: what rides along with a piece of work, from the event that caused it to the call that ends it.
//!
//! A [`Trace`] is carried through queues with the work. Its spans are in the log (a correlation id on every line) and, if
//! an endpoint is given, sent by OTLP. Sending is a thread and a bounded queue beside the program: what does not fit is
//! lost, and a server that is away holds up nothing.

mod export;

use std::fmt::Display;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::trace::TraceContextExt as _;
use tracing::field::Empty;
use tracing::{Span, debug_span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

pub(crate) use export::spans_to;
pub use export::{TraceTarget, Traces};

/// One piece of work, from what caused it to its end. Cloning it is cheap; it ends when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Trace {
    span: Span,
}

impl Trace {
    /// Begins with what caused the work, such as `watch event` or `object due`.
    pub fn begin(cause: &'static str) -> Self {
        let span = info_span!(
            parent: None,
            "work",
            otel.name = cause,
            cause,
            correlation_id = correlation_id(),
            trace_id = Empty,
            controller = Empty,
            key = Empty,
        );
        if let Some(id) = trace_id(&span) {
            span.record("trace_id", id);
        }
        Self { span }
    }

    /// Says who does the work, and on what.
    #[must_use]
    pub fn about(self, controller: &'static str, key: &impl Display) -> Self {
        self.span.record("controller", controller).record("key", tracing::field::display(key));
        self
    }

    /// A step of the work, such as `decide`: enter it, or instrument a future with it. API calls within become part of it.
    pub fn step(&self, step: &'static str) -> Span {
        let step = debug_span!(parent: &self.span, "step", otel.name = step, step);
        // Where nobody wants to hear of steps, what is said in one is still said of the work.
        if step.is_disabled() { self.span.clone() } else { step }
    }

    /// The work as a whole, for what is said of it between its steps.
    pub fn span(&self) -> &Span {
        &self.span
    }
}

/// The trace that is going on here, in hexadecimal, if it is recorded.
pub(crate) fn current_trace_id() -> Option<String> {
    trace_id(&Span::current())
}

fn trace_id(span: &Span) -> Option<String> {
    let context = span.context();
    let span = context.span().span_context().clone();
    (span.is_valid() && span.is_sampled()).then(|| span.trace_id().to_string())
}

/// Tells pieces of work apart, in this process and among others.
fn correlation_id() -> String {
    static PROCESS: OnceLock<RandomState> = OnceLock::new();
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{:016x}", PROCESS.get_or_init(RandomState::new).hash_one(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_exporter_there_is_no_trace_id_and_every_work_has_its_own_correlation_id() {
        assert_eq!(current_trace_id(), None);
        assert_ne!(correlation_id(), correlation_id());
        let trace = Trace::begin("test").about("gc", &"team/sweep");
        assert_eq!(trace.step("decide").in_scope(current_trace_id), None);
    }
}
