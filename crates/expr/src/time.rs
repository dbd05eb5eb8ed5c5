//! Timestamps and durations as texts.

use jiff::{SignedDuration, Timestamp};

use crate::limits::{SPAN_SECONDS_MAX, TIME_SECONDS_MIN};

/// The instant that an RFC 3339 text names, such as `2026-01-31T22:00:00Z`; nothing looser is a timestamp.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    if !has_rfc_3339_shape(text.as_bytes()) {
        return None;
    }
    text.parse().ok().and_then(within_range)
}

/// Digits where there have to be digits, then a fraction and a zone.
fn has_rfc_3339_shape(text: &[u8]) -> bool {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let Some((date_time, rest)) = text.split_at_checked(SHAPE.len()) else { return false };
    let rest = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            fraction.get(digits..).unwrap_or_default()
        }
        rest => rest,
    };
    let zone: &[u8] = match rest {
        b"Z" | b"z" => b"",
        [b'+' | b'-', zone @ ..] if zone.len() == 5 => zone,
        _ => return false,
    };
    fits(date_time, SHAPE) && (zone.is_empty() || fits(zone, b"dd:dd"))
}

fn fits(text: &[u8], shape: &[u8]) -> bool {
    let fits = |(byte, wanted): (&u8, &u8)| match wanted {
        b'd' => byte.is_ascii_digit(),
        other => byte.eq_ignore_ascii_case(other),
    };
    text.len() == shape.len() && text.iter().zip(shape).all(fits)
}

/// The instant, if it is in the years 1 to 9999.
pub(crate) fn within_range(time: Timestamp) -> Option<Timestamp> {
    (time.as_second() >= TIME_SECONDS_MIN).then_some(time)
}

/// The span, if it is at most 10,000 years.
pub(crate) fn within_span(span: SignedDuration) -> Option<SignedDuration> {
    let longest = SignedDuration::from_secs(SPAN_SECONDS_MAX).unsigned_abs();
    (span.unsigned_abs() <= longest).then_some(span)
}

/// The span of a text such as `72h`, `1h30m`, `-1.5s` or `7d`: as Go writes them, and with days and weeks.
pub(crate) fn parse_span(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let (part, after) = leading_part(rest)?;
        nanos = nanos.checked_add(part)?;
        rest = after;
    }
    if text.len() < 2 {
        return None;
    }
    let signed = if negative { -nanos } else { nanos };
    let seconds = i64::try_from(signed.div_euclid(NANOS_PER_SECOND)).ok()?;
    let fraction = i32::try_from(signed.rem_euclid(NANOS_PER_SECOND)).ok()?;
    within_span(SignedDuration::new(seconds, 0).checked_add(SignedDuration::new(0, fraction))?)
}

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// Longest first, so that `ms` is not read as minutes.
const UNITS: &[(&str, i128)] = &[
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
    ("w", 7 * 86_400 * NANOS_PER_SECOND),
    ("d", 86_400 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
];

/// The nanoseconds of a number with its unit, and what follows it.
fn leading_part(text: &str) -> Option<(i128, &str)> {
    let length = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(length)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // More digits than these exceed the bound, or are less than a nanosecond.
    if (whole.is_empty() && fraction.is_empty())
        || whole.len() > 18
        || fraction.len() > 18
        || fraction.contains('.')
    {
        return None;
    }
    let (unit, nanos) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part =
        digits(whole)?.checked_mul(*nanos)?.checked_add(digits(fraction)?.checked_mul(*nanos)? / scale)?;
    Some((part, rest.get(unit.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_go_writes_them_and_with_days_and_weeks() {
        let table = [
            ("72h", 259_200_000),
            ("1h30m", 5_400_000),
            ("-1.5s", -1_500),
            ("0", 0),
            ("7d", 604_800_000),
            ("1w2d", 777_600_000),
            ("250ms", 250),
            (".5h", 1_800_000),
        ];
        for (text, millis) in table {
            assert_eq!(parse_span(text), Some(SignedDuration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_or_longer_than_ten_thousand_years_is_refused() {
        for text in
            ["", "-", "5", "h", "1x", "1.2.3s", ".s", "87660001h", "99999999999999999999h", "1h-5m", "1 h"]
        {
            assert_eq!(parse_span(text), None, "{text}");
        }
        assert!(parse_span("87660000h").is_some());
    }

    #[test]
    fn only_rfc_3339_is_a_timestamp() {
        for text in ["2026-01-31T22:00:00Z", "2026-01-31t22:00:00.25z", "2026-01-31T22:00:00+02:00"] {
            assert!(parse_time(text).is_some(), "{text}");
        }
        for text in [
            "2026-01-31",
            "2026-01-31 22:00:00Z",
            "2026-01-31T22:00:00",
            "2026-02-30T22:00:00Z",
            "2026-01-31T22:00:00.Z",
            "2026-01-31T22:00:00+0200",
            "2026-01-31T22:00:00+02:00[Europe/Berlin]",
            "0000-01-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
