//! Moments and spans as they are written on the command line.

use jiff::{SignedDuration, Timestamp};
use units::parse_duration;

/// A moment that is named by itself, or by its distance from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    At(Timestamp),
    After(SignedDuration),
}

/// A moment.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "write a time as RFC 3339, such as 2026-11-21T04:00:00Z".to_owned())
}

/// A moment, or a span from another one to it.
pub(crate) fn parse_or_span(text: &str) -> Result<Moment, String> {
    if let Ok(at) = text.parse() {
        return Ok(Moment::At(at));
    }
    match parse_duration(text) {
        Ok(span) => Ok(Moment::After(span.into())),
        Err(_) => {
            Err("write a time as RFC 3339, such as 2026-11-21T04:00:00Z, or a span such as 7d or 1h30m"
                .to_owned())
        }
    }
}

impl Moment {
    /// The moment; the end of all times if it lies beyond that.
    pub(crate) fn from(self, start: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::After(span) => start.checked_add(span).unwrap_or(Timestamp::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_may_be_named_by_its_distance() {
        let start: Timestamp = "2026-11-21T04:00:00Z".parse().unwrap();
        let table = [("2026-11-21T05:30:00Z", 5_400), ("1h30m", 5_400), ("7d", 604_800)];
        for (text, seconds) in table {
            let moment = parse_or_span(text).unwrap().from(start);
            assert_eq!(moment.duration_since(start).as_secs(), seconds, "{text}");
        }
        assert!(parse_or_span("tomorrow").unwrap_err().contains("a span such as 7d"));
        assert_eq!(Moment::After(SignedDuration::MAX).from(start), Timestamp::MAX);
    }
}
