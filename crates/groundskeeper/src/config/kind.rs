//! What a setting may be: reads a text, and says what to write instead of a wrong one.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

use crate::limits::SETTING_CHARS_MAX;
use crate::names::{is_dns_label, is_dns_subdomain};

/// What a setting may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Anything that is not empty.
    Text,
    /// A file or a folder.
    Path,
    /// A DNS label.
    Namespace,
    /// A DNS subdomain.
    Name,
    /// An IP address and a port.
    Address,
    /// The URL of a gRPC server.
    Endpoint,
    /// `self`, or `directory:PATH`.
    Certificates,
    /// A level or a list of `target=level`.
    LogLevel,
    /// `true` or `false`.
    Switch,
    /// One of these.
    Choice(&'static [&'static str]),
    /// A whole number within bounds.
    Number {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A number from 0 to 1.
    Ratio,
    /// A span of time within bounds, in seconds; zero is never allowed.
    Span {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
}

impl Kind {
    /// What stands for a value in the help of a flag.
    pub(super) const fn value_name(self) -> &'static str {
        match self {
            Self::Text | Self::Name => "NAME",
            Self::Path => "PATH",
            Self::Namespace => "NAMESPACE",
            Self::Address => "ADDRESS:PORT",
            Self::Endpoint => "URL",
            Self::Certificates => "SOURCE",
            Self::LogLevel => "LEVEL",
            Self::Switch => "BOOL",
            Self::Choice(_) => "CHOICE",
            Self::Number { .. } => "NUMBER",
            Self::Ratio => "RATIO",
            Self::Span { .. } => "SPAN",
        }
    }

    /// What may be written, for the reference page.
    pub fn bounds(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Namespace => "a namespace".to_owned(),
            Self::Name => "a name".to_owned(),
            Self::Address => "`ADDRESS:PORT`".to_owned(),
            Self::Endpoint => "an `http://` URL".to_owned(),
            Self::Certificates => "`self`, or `directory:PATH`".to_owned(),
            Self::LogLevel => "a level, or a list of `target=level`".to_owned(),
            Self::Switch => "`true` or `false`".to_owned(),
            Self::Choice(choices) => {
                choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", ")
            }
            Self::Number { least, most } => format!("{least} to {most}"),
            Self::Ratio => "0 to 1".to_owned(),
            Self::Span { least: 0, most } => format!("more than 0 s, at most {most} s"),
            Self::Span { least, most } => format!("{least} s to {most} s"),
        }
    }

    /// Reads what a file holds; numbers and switches may be written with or without quotes.
    pub(super) fn read(self, value: &Value) -> Result<Value, String> {
        match value {
            Value::String(text) => self.parse(text),
            Value::Number(number) => self.parse(&number.to_string()),
            Value::Bool(switch) => self.parse(&switch.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => Err(self.wrong("it")),
        }
    }

    /// Reads a text.
    pub(super) fn parse(self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        let quoted = format!("`{}`", crate::output::printable(&text.chars().take(100).collect::<String>()));
        let wrong = || self.wrong(&quoted);
        if text.is_empty() || text.len() > SETTING_CHARS_MAX || text.contains(char::is_control) {
            return Err(wrong());
        }
        let same = |right: bool| if right { Ok(Value::from(text)) } else { Err(wrong()) };
        match self {
            Self::Text | Self::Path => Ok(text.into()),
            Self::Namespace => same(is_dns_label(text)),
            Self::Name => same(is_dns_subdomain(text)),
            Self::Address => same(text.parse::<SocketAddr>().is_ok()),
            Self::Endpoint => same(is_endpoint(text)),
            Self::Certificates => {
                same(text == "self" || text.strip_prefix("directory:").is_some_and(|path| !path.is_empty()))
            }
            Self::LogLevel => chassis::check_log_level(text).map(|()| text.into()),
            Self::Switch => text.parse::<bool>().map(Value::from).map_err(|_| wrong()),
            Self::Choice(choices) => same(choices.contains(&text)),
            Self::Number { least, most } => {
                let number = text.parse::<u64>().ok().filter(|number| (least..=most).contains(number));
                number.map(Value::from).ok_or_else(wrong)
            }
            Self::Ratio => {
                let ratio = text.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
                ratio.map(Value::from).ok_or_else(wrong)
            }
            Self::Span { least, most } => {
                let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
                let span = span(text).filter(|span| !span.is_zero() && (least..=most).contains(span));
                span.map(|_| text.into()).ok_or_else(wrong)
            }
        }
    }

    fn wrong(self, what: &str) -> String {
        let advice = match self {
            Self::Text => "is no text: write one of at least one character".to_owned(),
            Self::Path => "is no path: write the path of a file or a folder".to_owned(),
            Self::Namespace => {
                "is no namespace: write 1 to 63 lower-case letters, digits and dashes".to_owned()
            }
            Self::Name => {
                "is no name: write 1 to 253 lower-case letters, digits, dashes and dots".to_owned()
            }
            Self::Address => {
                "is no address with a port: write such as 127.0.0.1:8080, or [::]:8080 for every address"
                    .to_owned()
            }
            Self::Endpoint => {
                "is no endpoint: write http://, host and port, without a user, such as http://collector:4317; for TLS, send to a collector beside this program"
                    .to_owned()
            }
            Self::Certificates => "is no source of certificates: write self, or directory:PATH".to_owned(),
            Self::LogLevel => {
                "is no log level: write error, warn, info, debug or trace, or a list such as info,chassis=debug"
                    .to_owned()
            }
            Self::Switch => "is neither: write true or false".to_owned(),
            Self::Choice(choices) => format!("is none of them: write {}", choices.join(" or ")),
            Self::Number { least, most } => format!("is out of bounds: write a number from {least} to {most}"),
            Self::Ratio => "is no ratio: write a number from 0 to 1, such as 0.1".to_owned(),
            Self::Span { least, most } => {
                format!("is no such span: write one of {least} s to {most} s, such as 500ms, 15s or 1m30s")
            }
        };
        format!("{what} {advice}")
    }
}

/// A span of time, such as `15s` or `1m30s`.
pub(super) fn span(text: &str) -> Option<Duration> {
    Duration::try_from(text.parse::<SignedDuration>().ok()?).ok()
}

/// Whether it can be connected to; a user or password in it would end up in logs and in `config show`.
fn is_endpoint(text: &str) -> bool {
    text.strip_prefix("http://").is_some_and(|rest| {
        let host = rest.split('/').next().unwrap_or_default();
        !host.is_empty() && !rest.contains(['@', '?', '#', ' ']) && !host.starts_with(':')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_right_is_taken_and_what_is_wrong_says_what_to_write() {
        let table: &[(Kind, &[&str], &[&str])] = &[
            (
                Kind::Address,
                &["127.0.0.1:0", "[::]:8080"],
                &["8080", ":8080", "localhost:1", "1.2.3.4:70000"],
            ),
            (Kind::Switch, &["true", "false"], &["yes", "1", ""]),
            (Kind::Choice(&["a", "b"]), &["a", " b "], &["c", "A"]),
            (Kind::Number { least: 1, most: 9 }, &["1", "9"], &["0", "10", "-1", "1.5", "x"]),
            (Kind::Ratio, &["0", "1", "0.25"], &["2", "-0.1", "NaN", "x"]),
            (Kind::Span { least: 1, most: 60 }, &["1s", "1m", "1500ms"], &["0s", "61s", "500ms", "5", "-1s"]),
            (Kind::Span { least: 0, most: 60 }, &["500ms"], &["0s", "2m"]),
            (
                Kind::Endpoint,
                &["http://c:4317", "http://c/x"],
                &["c:4317", "https://c:4317", "http://", "http://u:p@c:1", "ftp://c"],
            ),
            (Kind::Namespace, &["a-b"], &["A", "a.b", "-a"]),
            (Kind::Name, &["a.b"], &["A", "a..b"]),
            (Kind::Certificates, &["self", "directory:/a:b"], &["directory:", "directory", "other:x"]),
            (Kind::LogLevel, &["info", "info,chassis=debug"], &["loud"]),
            (Kind::Path, &["/a b"], &["a\nb"]),
        ];
        for (kind, right, wrong) in table {
            for text in *right {
                assert!(kind.parse(text).is_ok(), "{kind:?} {text}");
            }
            for text in *wrong {
                assert!(kind.parse(text).is_err_and(|error| error.contains("write ")), "{kind:?} {text}");
            }
        }
    }

    #[test]
    fn a_wrong_value_is_repeated_without_what_steers_a_terminal() {
        let error = Kind::Switch.parse("\u{1b}[31mred").unwrap_err();
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}
