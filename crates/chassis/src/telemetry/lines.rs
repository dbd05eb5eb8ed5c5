//! The form of a log line.
//!
//! JSON: `timestamp` (ISO 8601), `level`, `message`, `target`, then the fields of the event and of every span around it,
//! flat; the innermost wins. Text has the same in the same order. Values come from clusters, so that control characters
//! in them are replaced or escaped: no value can steer a terminal, break a line, or pass for a field.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::sync::Arc;

use control::Clock;
use serde::Serializer as _;
use serde::ser::SerializeMap as _;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope, SpanRef};

use super::LogFormat;
use crate::limits::LOG_VALUE_CHARS_MAX;

/// Writes a line for each event.
pub(super) struct Lines<W> {
    format: LogFormat,
    clock: Arc<dyn Clock>,
    write: W,
}

/// Fields with their names, each once: so few that a list is the quickest to search.
#[derive(Clone, Debug, Default)]
struct Fields(Vec<(&'static str, Value)>);

/// The fields of an event and of the spans around it; the innermost wins.
type Line<'a> = BTreeMap<&'static str, &'a Value>;

/// Room for most lines.
const LINE_BYTES_USUAL: usize = 512;
/// Room for most values.
const VALUE_BYTES_USUAL: usize = 64;

impl<W: Fn(&str)> Lines<W> {
    pub(super) fn new(format: LogFormat, clock: Arc<dyn Clock>, write: W) -> Self {
        Self { format, clock, write }
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&str) + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().replace(fields);
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            record.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let spans: Vec<_> = context.event_scope(event).into_iter().flat_map(Scope::from_root).collect();
        let around: Vec<_> = spans.iter().map(SpanRef::extensions).collect();
        let mut own = Fields::default();
        event.record(&mut own);
        let around = around.iter().filter_map(|extensions| extensions.get::<Fields>());
        let mut fields: Line<'_> = around.chain([&own]).flat_map(Fields::iter).collect();
        let head = Head {
            timestamp: &format!("{:.6}", self.clock.now()),
            level: event.metadata().level().as_str(),
            message: fields.remove("message").unwrap_or(&Value::Null),
            target: event.metadata().target(),
        };
        let line = match self.format {
            LogFormat::Json => json(&head, &fields),
            LogFormat::Text => text(&head, &fields),
        };
        (self.write)(&line);
    }
}

/// What each line begins with.
struct Head<'a> {
    timestamp: &'a str,
    level: &'a str,
    message: &'a Value,
    target: &'a str,
}

fn json(head: &Head<'_>, fields: &Line<'_>) -> String {
    let mut line = Vec::with_capacity(LINE_BYTES_USUAL);
    let written = write_json(&mut line, head, fields);
    // Strings as keys, and writing to memory: neither fails.
    debug_assert!(written.is_ok());
    line.push(b'\n');
    String::from_utf8(line).unwrap_or_default()
}

fn write_json(line: &mut Vec<u8>, head: &Head<'_>, fields: &Line<'_>) -> serde_json::Result<()> {
    let mut serializer = serde_json::Serializer::new(line);
    let mut members = serializer.serialize_map(None)?;
    members.serialize_entry("timestamp", head.timestamp)?;
    members.serialize_entry("level", head.level)?;
    members.serialize_entry("message", head.message)?;
    members.serialize_entry("target", head.target)?;
    let is_free = |name: &str| !matches!(name, "timestamp" | "level" | "message" | "target");
    for (name, value) in fields.iter().filter(|(name, _)| is_free(name)) {
        members.serialize_entry(name, value)?;
    }
    members.end()
}

fn text(head: &Head<'_>, fields: &Line<'_>) -> String {
    let Head { timestamp, level, message, target } = head;
    let message = message.as_str().unwrap_or_default();
    let mut line =
        format!("{timestamp} {level:>5} {target}: {message}").replace(char::is_control, "\u{fffd}");
    for (name, value) in fields {
        let plain = |text: &&str| {
            let odd = |char: char| char.is_control() || char.is_whitespace() || "\"=\\".contains(char);
            !text.is_empty() && !text.contains(odd)
        };
        match value.as_str().filter(plain) {
            Some(text) => line.push_str(&format!(" {name}={text}")),
            None => line.push_str(&format!(" {name}={value}")),
        }
    }
    line.push('\n');
    line
}

impl Fields {
    fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    fn set(&mut self, field: &Field, value: Value) {
        // Fields for the exporter of traces are not for people.
        let name = field.name();
        if name.starts_with("otel.") {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// JSON escapes control characters below a space only; those above can steer a terminal as well.
    fn set_text(&mut self, field: &Field, text: Cow<'_, str>) {
        let is_plain = |byte: u8| byte.is_ascii() && byte != 0x7f;
        if text.len() <= LOG_VALUE_CHARS_MAX && text.bytes().all(is_plain) {
            return self.set(field, Value::String(text.into_owned()));
        }
        let high = |char: char| char.is_control() && !char.is_ascii_control() || char == '\u{7f}';
        let cut: String = text.chars().take(LOG_VALUE_CHARS_MAX).collect();
        self.set(field, Value::String(cut.replace(high, "\u{fffd}")));
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set_text(field, Cow::Borrowed(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::with_capacity(VALUE_BYTES_USUAL);
        // Writing to memory does not fail; what cannot tell itself has told as much as it could.
        let _ = write!(text, "{value:?}");
        self.set_text(field, Cow::Owned(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Redacted;
    use control::SystemClock;
    use std::sync::Mutex;
    use tracing_subscriber::layer::SubscriberExt as _;

    /// What is logged by an act.
    fn logged(format: LogFormat, act: impl FnOnce()) -> String {
        let written = Arc::new(Mutex::new(String::new()));
        let to = Arc::downgrade(&written);
        let write = move |line: &str| *to.upgrade().unwrap().lock().unwrap() += line;
        let lines = Lines::new(format, Arc::new(SystemClock), write);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), act);
        Arc::into_inner(written).unwrap().into_inner().unwrap()
    }

    fn reconcile() {
        let outer = tracing::info_span!("work", correlation_id = "c-1", key = "outer", otel.name = "x");
        let _outer = outer.enter();
        let inner = tracing::info_span!(
            "reconcile",
            controller = "gc",
            key = "team/sweep",
            late = tracing::field::Empty
        );
        inner.record("late", true);
        let _inner = inner.enter();
        tracing::warn!(reason = "Forbidden", count = 3, "not deleted");
    }

    #[test]
    fn every_line_within_a_reconcile_says_which_one_it_is() {
        let line = logged(LogFormat::Json, reconcile);
        let value: Value = serde_json::from_str(&line).unwrap();
        for (name, expected) in [
            ("level", Value::from("WARN")),
            ("message", "not deleted".into()),
            ("correlation_id", "c-1".into()),
            ("controller", "gc".into()),
            ("key", "team/sweep".into()),
            ("reason", "Forbidden".into()),
            ("count", 3.into()),
            ("late", true.into()),
        ] {
            assert_eq!(value[name], expected, "{name}: {line}");
        }
        assert!(value.get("otel.name").is_none());
        let timestamp = value["timestamp"].as_str().unwrap();
        assert!(timestamp.parse::<jiff::Timestamp>().is_ok() && timestamp.ends_with('Z'), "{line}");
        assert!(line.starts_with("{\"timestamp\":"), "{line}");
        let text = logged(LogFormat::Text, reconcile);
        assert!(
            text.contains(" WARN chassis::telemetry::lines::tests: not deleted controller=gc "),
            "{text}"
        );
    }

    #[test]
    fn no_value_breaks_a_line_or_steers_a_terminal() {
        let hostile = "a\n{\"level\":\"ERROR\"}\r\u{1b}[31m\u{9b}31m\u{7f}";
        for format in [LogFormat::Json, LogFormat::Text] {
            let line = logged(format, || tracing::info!(name = hostile, debug = ?hostile, "{hostile}"));
            assert_eq!(line.matches('\n').count(), 1, "{line:?}");
            assert!(!line.trim_end_matches('\n').contains(char::is_control), "{line:?}");
        }
    }

    #[test]
    fn no_field_passes_for_another_and_no_secret_is_written() {
        let token = Redacted::new("hunter2");
        let act = || tracing::info!(level = "fake", timestamp = 1, %token, also = ?token, "said");
        let line = logged(LogFormat::Json, act);
        assert_eq!(line.matches("\"level\"").count(), 1, "{line}");
        assert!(line.contains("[redacted]") && !line.contains("hunter2"), "{line}");
    }

    #[test]
    fn a_long_value_is_cut() {
        let line = logged(LogFormat::Json, || tracing::info!(long = "x".repeat(1_000_000), "said"));
        assert!(line.len() < 2 * LOG_VALUE_CHARS_MAX, "{}", line.len());
    }
}
