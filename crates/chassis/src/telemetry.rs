//! Logs and traces: what is written, at which level, in which form, and where spans go.
//!
//! One line for each event on standard error ([`lines`]). The level can be changed at any time: by the configuration for
//! good, or by hand for a while. Spans of a piece of work are always kept, whatever the level, for every line says to what
//! it belongs; those of its steps and calls only for traces, and in lines for people who debug.

mod lines;

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use control::{Clock, Steady};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::limits::{LOG_LEVEL_CHARS_MAX, LOG_LEVEL_OVERRIDE_MAX};
use crate::trace::{TraceTarget, Traces, spans_to};
use lines::Lines;

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// What was started.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// Changes what is logged.
    pub log_level: LogLevel,
    /// Traces that are being sent.
    pub traces: Traces,
}

/// What is logged: a level or a list of `target=level`.
#[derive(Clone, Debug)]
pub struct LogLevel(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    wanted: Mutex<Wanted>,
    targets: ArcSwap<Targets>,
    changed: Notify,
}

#[derive(Debug)]
struct Wanted {
    /// What the configuration says.
    configured: String,
    /// What somebody wants for a while, and until when.
    meanwhile: Option<(String, Steady)>,
}

/// Starts logging and, if there is a target, traces; once in a process, within a runtime.
pub fn start_telemetry(
    format: LogFormat,
    level: &str,
    target: Option<&TraceTarget>,
    clock: Arc<dyn Clock>,
) -> Result<Telemetry, String> {
    let log_level = LogLevel::new(level, Arc::clone(&clock))?;
    let write = |line: &str| {
        // Nobody is left to be told if this fails.
        drop(std::io::stderr().lock().write_all(line.as_bytes()));
    };
    let lines = Lines::new(format, clock, write).with_filter(log_level.clone());
    let (spans, traces) = target.map(spans_to).transpose()?.unzip();
    let started = tracing_subscriber::registry().with(spans).with(lines).try_init();
    started.map_err(|error| error.to_string())?;
    Ok(Telemetry { log_level, traces: traces.unwrap_or_default() })
}

/// Whether a text is a log level; else what is wrong with it, and what to write.
pub fn check_log_level(text: &str) -> Result<(), String> {
    parse(text).map(drop)
}

impl LogLevel {
    fn new(level: &str, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let targets = ArcSwap::from_pointee(parse(level)?);
        let wanted = Mutex::new(Wanted { configured: level.to_owned(), meanwhile: None });
        Ok(Self(Arc::new(Shared { clock, wanted, targets, changed: Notify::new() })))
    }

    /// What is logged now.
    pub fn current(&self) -> String {
        let wanted = self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.meanwhile.as_ref().map_or(&wanted.configured, |(level, _)| level).clone()
    }

    /// Logs at this level from now on; what somebody wants for a while comes first.
    pub fn configure(&self, level: &str) -> Result<(), String> {
        parse(level)?;
        self.change(|wanted| level.clone_into(&mut wanted.configured));
        Ok(())
    }

    /// Logs at this level for a while, an hour at most; returns for how long.
    pub fn change_for(&self, level: &str, span: Duration) -> Result<Duration, String> {
        parse(level)?;
        let span = span.min(LOG_LEVEL_OVERRIDE_MAX);
        let until = self.0.clock.steady().after(span);
        self.change(|wanted| wanted.meanwhile = Some((level.to_owned(), until)));
        self.0.changed.notify_one();
        tracing::info!(log_level = level, seconds = span.as_secs(), "the log level was changed for a while");
        Ok(span)
    }

    /// Falls back to the configured level when somebody's while is over, until stopped.
    pub async fn keep(self, stop: CancellationToken) {
        loop {
            let until = {
                let wanted = self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner);
                wanted.meanwhile.as_ref().map(|(_, until)| *until)
            };
            let over = async {
                match until {
                    Some(until) => tokio::time::sleep(until.since(self.0.clock.steady())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.changed.notified() => {}
                () = over => self.fall_back(),
            }
        }
    }

    fn fall_back(&self) {
        let now = self.0.clock.steady();
        self.change(|wanted| wanted.meanwhile = wanted.meanwhile.take().filter(|(_, until)| *until > now));
        tracing::info!(log_level = self.current(), "the log level is that of the configuration again");
    }

    fn change(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        if let Ok(targets) = parse(&self.current()) {
            self.0.targets.store(Arc::new(targets));
            tracing::callsite::rebuild_interest_cache();
        }
    }
}

/// Spans of work are always in, so that lines can say to what they belong; its steps and events by their level.
impl<S: Subscriber + for<'a> LookupSpan<'a>> Filter<S> for LogLevel {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        is_work(metadata) || Filter::enabled(&**self.0.targets.load(), metadata, context)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_work(metadata) {
            return Interest::always();
        }
        Filter::<S>::callsite_enabled(&**self.0.targets.load(), metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let events = Filter::<S>::max_level_hint(&**self.0.targets.load());
        events.map(|events| events.max(LevelFilter::INFO))
    }
}

/// Whether it is a span that traces are made of: a piece of work, a step of it, a call.
pub(crate) fn is_our_span(metadata: &Metadata<'_>) -> bool {
    let ours = ["chassis", "controllers", "groundskeeper"];
    let target = metadata.target().split("::").next().unwrap_or_default();
    metadata.is_span() && *metadata.level() <= Level::DEBUG && ours.contains(&target)
}

/// Whether it is a span that every line within it tells of.
fn is_work(metadata: &Metadata<'_>) -> bool {
    is_our_span(metadata) && *metadata.level() <= Level::INFO
}

fn parse(text: &str) -> Result<Targets, String> {
    let wrong = || {
        format!(
            "`{}` is not a log level: write error, warn, info, debug or trace, or a list such as info,chassis=debug",
            text.chars().take(100).collect::<String>()
        )
    };
    let level = |text: &str| matches!(text, "off" | "error" | "warn" | "info" | "debug" | "trace");
    let part = |part: &str| match part.split_once('=') {
        Some((target, at)) => {
            let name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | ':' | '-');
            !target.is_empty() && target.chars().all(name) && level(at)
        }
        None => level(part),
    };
    if text.len() > LOG_LEVEL_CHARS_MAX || !text.split(',').all(part) {
        return Err(wrong());
    }
    // kube logs every failed attempt as an error; we log what comes of it.
    let quieter =
        if text.contains("kube_client") { text.to_owned() } else { format!("{text},kube_client=off") };
    quieter.parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::SystemClock;

    fn log_level(level: &str) -> LogLevel {
        LogLevel::new(level, Arc::new(SystemClock)).unwrap()
    }

    #[test]
    fn what_is_no_level_is_refused_with_what_to_write() {
        for text in ["info", "off", "info,chassis=debug", "chassis::feed=trace,warn"] {
            assert_eq!(check_log_level(text), Ok(()), "{text}");
        }
        for text in ["", "loud", "info,", "chassis=", "=debug", "INFO ", "a[b]=debug", &"info,".repeat(999)] {
            assert!(check_log_level(text).is_err_and(|error| error.contains("write error, warn")), "{text}");
        }
    }

    #[tokio::test]
    async fn a_level_for_a_while_falls_back_by_itself_to_what_is_configured_by_then() {
        let level = log_level("info");
        let stop = CancellationToken::new();
        let keeper = tokio::task::JoinSet::from_iter([level.clone().keep(stop.clone())]);
        assert_eq!(level.change_for("debug", Duration::from_millis(20)), Ok(Duration::from_millis(20)));
        level.configure("warn").unwrap();
        assert_eq!(level.current(), "debug");
        while level.current() == "debug" {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(level.current(), "warn");
        stop.cancel();
        keeper.join_all().await;
    }

    #[test]
    fn a_change_takes_effect_at_once_and_lines_tell_of_their_work_at_every_level_and_of_its_steps_at_debug() {
        let level = log_level("warn");
        let written = Arc::new(Mutex::new(String::new()));
        let to = Arc::downgrade(&written);
        let write = move |line: &str| *to.upgrade().unwrap().lock().unwrap() += line;
        let lines = Lines::new(LogFormat::Json, Arc::new(SystemClock), write).with_filter(level.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let work = crate::Trace::begin("test").about("gc", &"team/sweep");
            let _work = work.span().enter();
            let say = |round: u32| {
                let _step = work.step("apply").entered();
                tracing::debug!(round, "debug");
                tracing::warn!(round, "warn");
            };
            say(1);
            level.change_for("debug", Duration::from_mins(1)).unwrap();
            say(2);
        });
        let written = Arc::into_inner(written).unwrap().into_inner().unwrap();
        let rounds = |message: &str| {
            let said = |line: &&str| line.contains(&format!("\"message\":\"{message}\""));
            written.lines().filter(said).map(|line| line.contains("\"round\":1")).collect::<Vec<_>>()
        };
        assert_eq!((rounds("warn"), rounds("debug")), (vec![true, false], vec![false]), "{written}");
        let in_work =
            |line: &str| line.contains("changed for a while") || line.contains("\"key\":\"team/sweep\"");
        assert!(written.lines().all(in_work), "{written}");
        let tells_steps = written.lines().map(|line| line.contains("\"step\":\"apply\""));
        assert_eq!(tells_steps.collect::<Vec<_>>(), [false, false, true, true], "{written}");
    }

    #[test]
    fn no_while_is_longer_than_an_hour() {
        let day = Duration::from_hours(24);
        assert_eq!(log_level("info").change_for("debug", day), Ok(Duration::from_hours(1)));
    }
}
