//! Logs.
//!
//! One JSON object per line on standard error: `timestamp` (ISO 8601), `level`, `target`, `message`, and the fields of
//! the event. `serde_json` escapes what a terminal or a log reader could be fooled with.

use tracing_subscriber::EnvFilter;

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// Starts logging; `filter` is a level or a list of `target=level`.
pub fn init_logs(format: LogFormat, filter: &str) -> Result<(), String> {
    // kube logs every failed attempt as an error; we log what comes of it.
    let quieter =
        if filter.contains("kube_client") { filter.to_owned() } else { format!("{filter},kube_client=off") };
    let filter = EnvFilter::try_new(quieter).map_err(|error| {
        format!("`{filter}` is not a log level: write error, warn, info, debug or trace, or a list such as info,chassis=debug ({error})")
    })?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    let started = match format {
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
        }
        LogFormat::Text => builder.try_init(),
    };
    started.map_err(|error| error.to_string())
}
