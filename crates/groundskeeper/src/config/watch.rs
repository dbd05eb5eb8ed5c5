//! Takes over a changed configuration file while the program runs, as far as that can be done.
//!
//! The file is read every few seconds and compared by what it holds: a ConfigMap swaps a symlink, which a watch of the file
//! would not see. A file that is wrong, or gone, changes nothing: that is logged once and counted, and the program goes on
//! with what it has.

use chassis::{LogLevel, MetricName, Metrics, Traces};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::flags::{ConfigError, Flags, read};
use super::layers::Effective;
use super::table::{Reload, SETTINGS};
use crate::limits::CONFIG_POLL;

/// What takes effect while the program runs.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    /// `log.level`.
    pub(crate) log_level: LogLevel,
    /// `traces.sampleRatio`.
    pub(crate) traces: Traces,
    /// Where failures are counted.
    pub(crate) metrics: Metrics,
}

/// Looks at the file again and again, until stopped.
pub(crate) async fn watch(flags: Flags, begun_with: Effective, live: Live, stop: CancellationToken) {
    let Some(path) = flags.file().map(std::path::Path::to_owned) else { return };
    let (mut current, mut seen) = (begun_with, read(&path).map_err(|error| error.to_string()));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(CONFIG_POLL) => {}
        }
        let now = read(&path).map_err(|error| error.to_string());
        if now == seen {
            continue;
        }
        seen = now;
        match flags.resolve() {
            Ok(next) => {
                take_over(&current, &next, &live);
                current = next;
            }
            Err(error) => refuse(&error, &live.metrics),
        }
    }
}

fn take_over(current: &Effective, next: &Effective, live: &Live) {
    let changed = |path: &&str| value(current, path) != value(next, path);
    let of = |reload: Reload| {
        let paths =
            SETTINGS.iter().filter(move |setting| setting.reload == reload).map(|setting| setting.path);
        paths.filter(changed).collect::<Vec<_>>().join(", ")
    };
    let (at_once, later) = (of(Reload::Live), of(Reload::Restart));
    if let Err(error) = live.log_level.configure(&next.config.log.level) {
        tracing::error!(%error, "the log level of the configuration was refused; please report this");
    }
    live.traces.set_sample_ratio(next.config.traces.sample_ratio);
    if !at_once.is_empty() {
        tracing::info!(settings = at_once, "the configuration file has changed, and is taken over");
    }
    if !later.is_empty() {
        tracing::warn!(
            settings = later,
            "the configuration file has changed in what takes effect with a restart only"
        );
    }
}

fn value<'a>(effective: &'a Effective, path: &str) -> Option<&'a Value> {
    effective.values.get(path).map(|(value, _)| value)
}

fn refuse(error: &ConfigError, metrics: &Metrics) {
    metrics.count(MetricName::ConfigReloadFailures, &[]);
    let problems = match error {
        ConfigError::Wrong(problems) => problems.0.iter().map(ToString::to_string).collect(),
        ConfigError::File { .. } => vec![error.to_string()],
    };
    for problem in problems {
        tracing::error!(
            problem,
            "the changed configuration file is not taken over; the old one stays in force"
        );
    }
}
