//! How people read and write spans of time.
//!
//! A span that was parsed is whole milliseconds, not negative, and within its limit. A day has 24 hours and a week
//! seven days: these are spans, not dates.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

use crate::limits::{SPAN_BYTES_MAX, SPAN_MILLISECONDS_MAX};

/// A span of time, written `5d12h`, `90s` or `1h30m`.
///
/// Units are `w`, `d`, `h`, `m`, `s` and `ms`, in falling order and each at most once; a number may have a fraction
/// (`1.5h`). At most 300 years. Printed without weeks, for people count those seldom: `14d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    milliseconds: u64,
}

/// The units, by what people call them, and their milliseconds.
const UNITS: [(&str, u64); 6] =
    [("w", 7 * 86_400_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The text is not a span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a duration: {fault}")]
pub struct InvalidSpan {
    /// What was written, cut to a readable length.
    pub given: String,
    /// What is wrong with it.
    pub fault: SpanFault,
}

/// What is wrong with the text of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanFault {
    /// Not numbers with units.
    #[error("write numbers with units, such as `5d12h`, `30m` or `90s`")]
    Form,
    /// A number without a unit.
    #[error("a number has no unit; write one of `w`, `d`, `h`, `m`, `s` and `ms` behind it, such as `30s`")]
    UnitMissing,
    /// A unit that there is none of, or one whose length depends on the calendar.
    #[error(
        "a unit is unknown; write `w`, `d`, `h`, `m`, `s` or `ms`, and days for months and years, such as `30d`"
    )]
    UnitUnknown,
    /// Units out of order, or twice.
    #[error("write the units in falling order, each once, such as `1d6h30m`")]
    Order,
    /// Less than nothing.
    #[error("it is negative; write a span without a sign")]
    Negative,
    /// Not a whole number of milliseconds.
    #[error("it is finer than a millisecond; write whole milliseconds, such as `250ms`")]
    TooFine,
    /// More than 300 years.
    #[error("it is longer than 300 years; write a shorter one")]
    TooLong,
}

/// A span is shorter or longer than it may be in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanOutOfBounds {
    /// It is shorter than the shortest.
    #[error("`{given}` is too short: write at least `{min}`")]
    TooShort {
        /// What was given.
        given: Span,
        /// The shortest that may be.
        min: Span,
    },
    /// It is longer than the longest.
    #[error("`{given}` is too long: write at most `{max}`")]
    TooLong {
        /// What was given.
        given: Span,
        /// The longest that may be.
        max: Span,
    },
}

impl Span {
    /// The longest: 300 years.
    pub const MAX: Self = Self { milliseconds: SPAN_MILLISECONDS_MAX };

    /// This many seconds, at most [`Span::MAX`].
    pub const fn from_seconds(seconds: u64) -> Self {
        let milliseconds = seconds.saturating_mul(1_000);
        if milliseconds > SPAN_MILLISECONDS_MAX { Self::MAX } else { Self { milliseconds } }
    }

    /// Its milliseconds.
    pub const fn milliseconds(self) -> u64 {
        self.milliseconds
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.milliseconds == 0
    }

    /// The same span, if it lies within these bounds.
    pub fn within(self, min: Self, max: Self) -> Result<Self, SpanOutOfBounds> {
        if self < min {
            return Err(SpanOutOfBounds::TooShort { given: self, min });
        }
        if self > max {
            return Err(SpanOutOfBounds::TooLong { given: self, max });
        }
        Ok(self)
    }
}

/// Reads a span of time; see [`Span`] for how it is written.
pub fn parse_duration(text: &str) -> Result<Span, InvalidSpan> {
    text.parse()
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let milliseconds =
            read(text).map_err(|fault| InvalidSpan { given: text.chars().take(80).collect(), fault })?;
        Ok(Self { milliseconds })
    }
}

fn read(text: &str) -> Result<u64, SpanFault> {
    if text.starts_with('-') {
        return Err(SpanFault::Negative);
    }
    if text.is_empty() || text.len() > SPAN_BYTES_MAX {
        return Err(SpanFault::Form);
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (number, unit, next) = split_part(rest)?;
        if !UNITS.iter().any(|(name, _)| *name == unit) {
            return Err(SpanFault::UnitUnknown);
        }
        let (_, size) = units.find(|(name, _)| *name == unit).ok_or(SpanFault::Order)?;
        total = total.checked_add(scaled(number, *size)?).ok_or(SpanFault::TooLong)?;
        rest = next;
    }
    if total > SPAN_MILLISECONDS_MAX {
        return Err(SpanFault::TooLong);
    }
    Ok(total)
}

/// The first number, its unit, and what follows.
fn split_part(text: &str) -> Result<(&str, &str, &str), SpanFault> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let number_end = text.find(|c| !is_number(c)).ok_or(SpanFault::UnitMissing)?;
    let (number, rest) = text.split_at(number_end);
    let (unit, rest) = rest.split_at(rest.find(is_number).unwrap_or(rest.len()));
    if number.is_empty() || !unit.chars().all(char::is_alphabetic) {
        return Err(SpanFault::Form);
    }
    Ok((number, unit, rest))
}

/// The milliseconds of a number of units of this size.
fn scaled(number: &str, size: u64) -> Result<u64, SpanFault> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return Err(SpanFault::Form);
    }
    let whole =
        whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(size)).ok_or(SpanFault::TooLong)?;
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        return Ok(whole);
    }
    // No unit divides into more than 2¹⁰·5⁸ parts, so that more digits than these never make whole milliseconds.
    let digits =
        u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 11).ok_or(SpanFault::TooFine)?;
    let parts = fraction.parse::<u64>().ok().and_then(|f| f.checked_mul(size)).ok_or(SpanFault::TooFine)?;
    let divisor = 10_u64.pow(digits);
    if !parts.is_multiple_of(divisor) {
        return Err(SpanFault::TooFine);
    }
    whole.checked_add(parts / divisor).ok_or(SpanFault::TooLong)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0s");
        }
        let mut rest = self.milliseconds;
        for (unit, size) in UNITS.iter().skip(1) {
            if rest >= *size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        Self::from_millis(span.milliseconds)
    }
}

impl From<Span> for SignedDuration {
    fn from(span: Span) -> Self {
        Self::from_millis(i64::try_from(span.milliseconds).unwrap_or(i64::MAX))
    }
}

/// A span in its two largest units, as `kubectl` writes ages: `3d4h`, `12m5s`, `0s`. What is negative counts as zero.
pub fn span_text(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds.max(0);
    let Some(first) = units.iter().position(|(size, _)| rest >= *size) else { return "0s".to_owned() };
    let mut text = String::new();
    for (size, unit) in units.iter().skip(first).take(2) {
        if rest >= *size {
            text += &format!("{}{unit}", rest / size);
            rest %= size;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_written_in_their_two_largest_units() {
        let table =
            [(0, "0s"), (59, "59s"), (60, "1m"), (125, "2m5s"), (7_200, "2h"), (90_061, "1d1h"), (-5, "0s")];
        for (seconds, expected) in table {
            assert_eq!(span_text(seconds), expected);
        }
    }

    #[test]
    fn a_span_may_be_written_in_several_ways_and_is_printed_in_one() {
        let table = [
            ("5d12h", 475_200_000, "5d12h"),
            ("2w", 1_209_600_000, "14d"),
            ("1h30m0s", 5_400_000, "1h30m"),
            ("1.5h", 5_400_000, "1h30m"),
            ("90s", 90_000, "1m30s"),
            ("0.25s", 250, "250ms"),
            ("1w1d1h1m1s1ms", 694_861_001, "8d1h1m1s1ms"),
            ("0s", 0, "0s"),
            ("109800d", SPAN_MILLISECONDS_MAX, "109800d"),
        ];
        for (text, milliseconds, printed) in table {
            let span = parse_duration(text).unwrap();
            assert_eq!((span.milliseconds(), &*span.to_string()), (milliseconds, printed), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_span_is_refused_with_what_to_write() {
        let long = "1".repeat(65);
        let table = [
            ("", SpanFault::Form),
            ("h", SpanFault::Form),
            (".h", SpanFault::Form),
            ("1.h", SpanFault::Form),
            ("1..5h", SpanFault::Form),
            ("1h 30m", SpanFault::Form),
            (" 1h", SpanFault::Form),
            ("+1h", SpanFault::Form),
            (&*long, SpanFault::Form),
            ("30", SpanFault::UnitMissing),
            ("1h30", SpanFault::UnitMissing),
            ("1y", SpanFault::UnitUnknown),
            ("1mo", SpanFault::UnitUnknown),
            ("1M", SpanFault::UnitUnknown),
            ("5µs", SpanFault::UnitUnknown),
            ("30m1h", SpanFault::Order),
            ("1h1h", SpanFault::Order),
            ("-5m", SpanFault::Negative),
            ("0.5ms", SpanFault::TooFine),
            ("0.33333333333333333333s", SpanFault::TooFine),
            ("109801d", SpanFault::TooLong),
            ("99999999999999999999s", SpanFault::TooLong),
            ("18446744073709551615w", SpanFault::TooLong),
        ];
        for (text, fault) in table {
            let error = parse_duration(text).expect_err(text);
            assert_eq!(error.fault, fault, "{text}");
            assert!(error.to_string().contains("write "), "{error}");
        }
    }

    #[test]
    fn the_caller_names_the_bounds() {
        let span = |text: &str| parse_duration(text).unwrap();
        let within = |text: &str| span(text).within(span("1s"), span("1d")).map_err(|e| e.to_string());
        assert_eq!(within("1s"), Ok(span("1s")));
        assert_eq!(within("0s"), Err("`0s` is too short: write at least `1s`".to_owned()));
        assert_eq!(within("1w"), Err("`7d` is too long: write at most `1d`".to_owned()));
    }

    proptest! {
        #[test]
        fn every_span_is_read_as_it_was_printed(milliseconds in 0..=SPAN_MILLISECONDS_MAX) {
            let span = Span { milliseconds };
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn any_text_is_refused_or_printed_in_a_form_that_is_read_as_the_same(text in "[0-9.wdhms]{0,12}|\\PC{0,80}") {
            if let Ok(span) = parse_duration(&text) {
                prop_assert_eq!(parse_duration(&span.to_string()), Ok(span));
            }
        }
    }
}
