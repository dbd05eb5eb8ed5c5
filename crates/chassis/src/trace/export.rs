//! Sends spans by OTLP over gRPC.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use opentelemetry::trace::{Link, SpanKind, TraceId, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SamplingResult, SdkTracerProvider, ShouldSample,
    SpanData, SpanExporter,
};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::limits::{
    TRACE_BATCH_SPANS, TRACE_EXPORT_DELAY, TRACE_EXPORT_TIMEOUT, TRACE_FLUSH_TIMEOUT, TRACE_QUEUE_SPANS,
};
use crate::telemetry::is_our_span;

/// Where traces go.
#[derive(Clone, Debug)]
pub struct TraceTarget {
    /// The server, such as `http://collector:4317`.
    pub endpoint: String,
    /// The share of traces that is sent, from 0 to 1.
    pub sample_ratio: f64,
    /// Which replica sends them.
    pub instance: String,
}

/// Traces that are being sent, or none.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Sending>);

#[derive(Clone, Debug)]
struct Sending {
    provider: SdkTracerProvider,
    share: Share,
}

impl Traces {
    /// Sends this share from now on, from 0 to 1.
    pub fn set_sample_ratio(&self, ratio: f64) {
        if let Some(Sending { share, .. }) = &self.0 {
            share.0.store(ratio.to_bits(), Ordering::Relaxed);
        }
    }

    /// Sends what waits, for a few seconds at most, and then no more.
    pub async fn finish(self) {
        let Some(Sending { provider, .. }) = self.0 else { return };
        // It blocks its thread while it waits for the server.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(TRACE_FLUSH_TIMEOUT));
        match tokio::time::timeout(TRACE_FLUSH_TIMEOUT, ended).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last spans were not sent"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the last spans were not sent in time"),
        }
    }
}

/// Makes spans into traces that are sent to a server. Does not wait for the server.
pub(crate) fn spans_to<S>(target: &TraceTarget) -> Result<(impl Layer<S> + use<S>, Traces), String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&target.endpoint)
        .with_timeout(TRACE_EXPORT_TIMEOUT)
        .build()
        .map_err(|error| format!("cannot send traces to {}: {error}", target.endpoint))?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(TRACE_QUEUE_SPANS)
        .with_max_export_batch_size(TRACE_BATCH_SPANS)
        .with_scheduled_delay(TRACE_EXPORT_DELAY)
        .build();
    let exporter = Telling { exporter, failing: AtomicBool::new(false) };
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    let share = Share(Arc::new(AtomicU64::new(target.sample_ratio.to_bits())));
    let resource = Resource::builder_empty()
        .with_service_name("groundskeeper")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", target.instance.clone()))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(share.clone())
        .with_resource(resource)
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("groundskeeper"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(is_our_span));
    Ok((layer, Traces(Some(Sending { provider, share }))))
}

/// Which traces are sent: a share that can be changed. What belongs to a trace goes with it.
#[derive(Clone, Debug)]
struct Share(Arc<AtomicU64>);

impl ShouldSample for Share {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let ratio = f64::from_bits(self.0.load(Ordering::Relaxed));
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
        sampler.should_sample(parent, trace, name, kind, attributes, links)
    }
}

/// Says once when sending begins to fail, and once when it works again.
#[derive(Debug)]
struct Telling<E> {
    exporter: E,
    failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Telling<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        match (&result, self.failing.swap(result.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => tracing::warn!(%error, "traces are not being sent"),
            (Ok(()), true) => tracing::info!("traces are being sent again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: std::time::Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
