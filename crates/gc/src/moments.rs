//! Moments and spans of time as texts, in the forms that users and other tools write them.
//!
//! Every form is read strictly: what is not exactly one of them is nothing, for a date that is misread deletes too early.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use units::{Span, SpanFault};

/// The moment that an RFC 3339 text names, such as `2027-01-01T00:00:00Z` or `2027-01-01T01:00:00.5+01:00`.
pub(crate) fn rfc3339(text: &str) -> Option<Timestamp> {
    let (date_time, rest) = text.split_at_checked("YYYY-MM-DDThh:mm:ss".len())?;
    civil(date_time, "YYYY-MM-DDThh:mm:ss")?;
    let zone = match rest.strip_prefix('.') {
        Some(rest) => {
            let zone = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            (zone.len() < rest.len()).then_some(zone)?
        }
        None => rest,
    };
    let is_offset = |zone: &str| {
        let digits = |at| zone.get(at).is_some_and(|pair: &str| pair.bytes().all(|b| b.is_ascii_digit()));
        zone.len() == 6
            && zone.starts_with(['+', '-'])
            && digits(1..3)
            && digits(4..6)
            && zone.get(3..4) == Some(":")
    };
    if zone == "Z" || is_offset(zone) { text.parse().ok() } else { None }
}

/// Whether a moment that an object names was ever set. Programs that write a time which they have not got write that of
/// year 1; what counts from there would go at once.
pub(crate) fn is_set(moment: Timestamp) -> bool {
    moment >= Timestamp::UNIX_EPOCH
}

/// The moment that a text of this layout names, in UTC: Y, M, D, h, m and s stand for digits, all else for itself.
pub(crate) fn utc(text: &str, layout: &str) -> Option<Timestamp> {
    Some(civil(text, layout)?.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn civil(text: &str, layout: &str) -> Option<DateTime> {
    if text.len() != layout.len() {
        return None;
    }
    let [mut year, mut month, mut day, mut hour, mut minute, mut second] = [0, 0, 0, 0, 0, 0];
    for (byte, slot) in text.bytes().zip(layout.bytes()) {
        let number: &mut i16 = match slot {
            b'Y' => &mut year,
            b'M' => &mut month,
            b'D' => &mut day,
            b'h' => &mut hour,
            b'm' => &mut minute,
            b's' => &mut second,
            itself if itself == byte => continue,
            _ => return None,
        };
        let digit = byte.is_ascii_digit().then(|| i16::from(byte - b'0'))?;
        *number = number.checked_mul(10)?.checked_add(digit)?;
    }
    let small = |number: i16| i8::try_from(number).ok();
    DateTime::new(year, small(month)?, small(day)?, small(hour)?, small(minute)?, small(second)?, 0).ok()
}

/// What a text says of a time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// So long, and more than nothing.
    Span(SignedDuration),
    /// Longer than there are dates.
    Forever,
    /// Nothing, or less: never a reason to delete at once.
    NotPositive,
    /// Not in a form that is understood.
    NotUnderstood,
}

const NANOS_PER_SECOND: i128 = 1_000_000_000;

impl Life {
    pub(crate) fn of_seconds(seconds: i64) -> Self {
        Self::of_nanos(i128::from(seconds) * NANOS_PER_SECOND)
    }

    fn of_nanos(nanos: i128) -> Self {
        if nanos <= 0 {
            return Self::NotPositive;
        }
        let parts = (i64::try_from(nanos / NANOS_PER_SECOND), i32::try_from(nanos % NANOS_PER_SECOND));
        let (Ok(seconds), Ok(rest)) = parts else { return Self::Forever };
        Self::Span(SignedDuration::new(seconds, rest))
    }

    /// A whole number of seconds, such as `3600`, or a duration such as `5d12h`.
    pub(crate) fn of_text(text: &str) -> Self {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let whole = digits.split_once('.').map_or(digits, |(whole, fraction)| {
            let is_whole = !fraction.is_empty() && fraction.bytes().all(|b| b == b'0');
            if is_whole { whole } else { digits }
        });
        if whole.is_empty() || !whole.bytes().all(|b| b.is_ascii_digit()) {
            return Self::of_duration(text);
        }
        match whole.parse::<i64>() {
            Ok(seconds) if digits.len() == text.len() => Self::of_seconds(seconds),
            Err(_) if digits.len() == text.len() => Self::Forever,
            _ => Self::NotPositive,
        }
    }

    /// A duration as we write it, such as `5d12h`.
    pub(crate) fn of_duration(text: &str) -> Self {
        match text.parse::<Span>().map_err(|invalid| invalid.fault) {
            Ok(span) if span.is_zero() => Self::NotPositive,
            Ok(span) => Self::Span(span.into()),
            Err(SpanFault::TooLong) => Self::Forever,
            // What is not a span without its sign either is not understood.
            Err(SpanFault::Negative) if text.get(1..).is_some_and(|rest| rest.parse::<Span>().is_ok()) => {
                Self::NotPositive
            }
            Err(_) => Self::NotUnderstood,
        }
    }

    /// A duration as Go writes it, also with days and weeks: `1d2h`, `1.5h`.
    pub(crate) fn of_go_duration(text: &str) -> Self {
        Self::in_units(text, |unit| match unit {
            "w" => Some(7 * 86_400 * NANOS_PER_SECOND),
            "d" => Some(86_400 * NANOS_PER_SECOND),
            unit => go_unit(unit),
        })
    }

    /// A duration as Kyverno takes it: as Go writes it, or with the words of `strfmt`, in any case.
    pub(crate) fn of_kyverno_duration(text: &str) -> Self {
        Self::in_units(text, |unit| {
            let unit = unit.to_lowercase();
            let known = |short: &str, start: &str| unit == short || unit.starts_with(start);
            match unit.as_str() {
                _ if known("w", "week") || unit == "wk" => Some(7 * 86_400 * NANOS_PER_SECOND),
                _ if known("d", "day") => Some(86_400 * NANOS_PER_SECOND),
                _ if known("h", "hour") || unit == "hr" => Some(3_600 * NANOS_PER_SECOND),
                _ if known("m", "min") => Some(60 * NANOS_PER_SECOND),
                _ if known("s", "sec") => Some(NANOS_PER_SECOND),
                _ if known("ms", "milli") => Some(NANOS_PER_SECOND / 1_000),
                _ if known("us", "micro") || unit == "µs" => Some(1_000),
                _ if known("ns", "nano") => Some(1),
                _ => None,
            }
        })
    }

    /// A number with one of the units s, m, h, d and w, as kube-janitor takes it.
    pub(crate) fn of_janitor_duration(text: &str) -> Self {
        let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let is_plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        if is_plain && number.len() + 1 == text.len() {
            Self::of_go_duration(text)
        } else {
            Self::NotUnderstood
        }
    }

    /// Numbers, each with its unit, all of which add up. What a unit means is given in nanoseconds.
    fn in_units(text: &str, unit_nanos: impl Fn(&str) -> Option<i128>) -> Self {
        let (is_negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut sum: i128 = 0;
        while !rest.is_empty() {
            let Some((number, unit, after)) = leading(rest) else { return Self::NotUnderstood };
            let Some(nanos) = unit_nanos(unit).and_then(|unit| times(number, unit)) else {
                return Self::NotUnderstood;
            };
            sum = sum.saturating_add(nanos);
            rest = after;
        }
        match (text.len(), is_negative) {
            (0, _) | (1, true) => Self::NotUnderstood,
            (_, true) => Self::NotPositive,
            (_, false) => Self::of_nanos(sum),
        }
    }
}

fn go_unit(unit: &str) -> Option<i128> {
    match unit {
        "h" => Some(3_600 * NANOS_PER_SECOND),
        "m" => Some(60 * NANOS_PER_SECOND),
        "s" => Some(NANOS_PER_SECOND),
        "ms" => Some(NANOS_PER_SECOND / 1_000),
        "us" | "µs" | "μs" => Some(1_000),
        "ns" => Some(1),
        _ => None,
    }
}

/// A number, its unit, and what follows them.
fn leading(text: &str) -> Option<(&str, &str, &str)> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at_checked(number_end)?;
    let unit_end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let (unit, after) = rest.split_at_checked(unit_end)?;
    Some((number, unit, after))
}

/// A decimal number of units, in nanoseconds, rounded up: never early.
fn times(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    // What has more digits is longer than there are dates.
    let whole =
        if whole.is_empty() { 0 } else { whole.parse::<u64>().map_or(i128::from(u64::MAX), i128::from) };
    let (mut parts, mut scale) = (0_i128, 1_i128);
    for digit in fraction.bytes().take(18) {
        parts = parts * 10 + i128::from(digit - b'0');
        scale *= 10;
    }
    // Digits beyond these are less than a nanosecond of any unit.
    let rest = i128::from(fraction.bytes().skip(18).any(|digit| digit != b'0'));
    let rounded = (parts * unit).checked_add(scale - 1)? / scale;
    Some(whole.checked_mul(unit)?.saturating_add(rounded).saturating_add(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rfc_3339_is_a_moment() {
        let table = [
            ("2027-01-01T00:00:00Z", Some("2027-01-01T00:00:00Z")),
            ("2027-01-01T00:00:00.25Z", Some("2027-01-01T00:00:00.25Z")),
            ("2027-01-01T01:00:00+01:00", Some("2027-01-01T00:00:00Z")),
            ("2026-12-31T19:30:00.000001-04:30", Some("2027-01-01T00:00:00.000001Z")),
            ("2028-02-29T00:00:00Z", Some("2028-02-29T00:00:00Z")),
            ("2027-02-29T00:00:00Z", None),
            ("2100-02-29T00:00:00Z", None),
            ("2100-03-01T00:00:00Z", Some("2100-03-01T00:00:00Z")),
            ("2027-01-01", None),
            ("2027-01-01T00:00:00", None),
            ("2027-01-01 00:00:00Z", None),
            ("2027-01-01T00:00Z", None),
            ("2027-01-01T00:00:00.Z", None),
            ("2027-01-01T00:00:00Z[UTC]", None),
            ("2027-01-01T00:00:00+0100", None),
            ("27-01-01T00:00:00Z", None),
            ("+2027-01-01T00:00:00Z", None),
            ("1767225600", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(rfc3339(text), expected.map(|time| time.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn times_to_live_are_numbers_of_seconds_or_durations() {
        let seconds = |seconds| Life::Span(SignedDuration::from_secs(seconds));
        let table = [
            ("3600", seconds(3_600)),
            ("3600.0", seconds(3_600)),
            ("3600.5", Life::NotUnderstood),
            ("5d12h", seconds(475_200)),
            ("1h30m", seconds(5_400)),
            ("1w", seconds(604_800)),
            ("500ms", Life::Span(SignedDuration::from_millis(500))),
            ("1.5h", seconds(5_400)),
            ("0", Life::NotPositive),
            ("0s", Life::NotPositive),
            ("-5", Life::NotPositive),
            ("-5m", Life::NotPositive),
            ("99999999999999999999", Life::Forever),
            ("99999999999999999999d", Life::Forever),
            ("", Life::NotUnderstood),
            ("-", Life::NotUnderstood),
            ("soon", Life::NotUnderstood),
            ("5x", Life::NotUnderstood),
            ("1h 30m", Life::NotUnderstood),
            ("h", Life::NotUnderstood),
            ("1..5h", Life::NotUnderstood),
            ("inf", Life::NotUnderstood),
            ("1e3", Life::NotUnderstood),
            ("+5", Life::NotUnderstood),
            ("0x10", Life::NotUnderstood),
        ];
        for (text, expected) in table {
            assert_eq!(Life::of_text(text), expected, "{text}");
        }
    }

    #[test]
    fn a_fraction_of_a_nanosecond_is_rounded_up() {
        assert_eq!(Life::of_go_duration("0.1ns"), Life::Span(SignedDuration::from_nanos(1)));
        assert_eq!(
            Life::of_go_duration("0.0000000000000000001ns"),
            Life::Span(SignedDuration::from_nanos(1))
        );
        let third = Life::of_go_duration("0.333333333333333333h");
        assert_eq!(third, Life::Span(SignedDuration::from_nanos(1_200_000_000_000)));
    }
}
