//! Quantities as Kubernetes writes them: `500m`, `1Gi`, `1e3`.
//!
//! Held as whole nano-units, so that they compare exactly. What is finer is rounded away from zero and what is larger
//! than an `i64` of units is refused; the API server rounds in the same way, and cuts where we refuse.

use std::fmt;
use std::str::FromStr;

use crate::Value;
use crate::limits::QUANTITY_BYTES_MAX;

/// An amount of something: of cores, bytes or things.
///
/// Written as a number with an optional suffix: `n`, `u`, `m`, `k`, `M`, `G`, `T`, `P`, `E` (powers of 1,000), `Ki` to
/// `Ei` (powers of 1,024), or an exponent (`1e3`). Printed as a plain decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Quantity {
    nano_units: i128,
}

const NANO_DIGITS: u32 = 9;
const NANO: i128 = 1_000_000_000;

/// The largest amount, in nano-units: what the API server holds of units.
const NANO_UNITS_MAX: i128 = i64::MAX as i128 * NANO;

/// The text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuantity {
    /// Not a number with a suffix.
    #[error(
        "`{given}` is not a quantity: write a number with a suffix such as `m`, `k`, `M`, `Ki` or `Gi`, or without one, such as `500m` or `1.5Gi`"
    )]
    Form {
        /// What was written, cut to a readable length.
        given: String,
    },
    /// More than fits, or more digits than can be reckoned with.
    #[error("`{given}` is too large or too long for a quantity: write one below 9.2E with fewer digits")]
    TooLarge {
        /// What was written, cut to a readable length.
        given: String,
    },
}

impl Quantity {
    /// This many whole units.
    pub fn from_units(units: i64) -> Self {
        Self { nano_units: i128::from(units) * NANO }
    }

    /// The amount that a field holds: a number, or a string that is written as a quantity.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Int(units) => Some(Self::from_units(*units)),
            // The shortest decimal that means this float is what its author wrote.
            Value::Float(number) => number.to_string().parse().ok(),
            Value::Text(text) => text.parse().ok(),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => None,
        }
    }
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let given = || text.chars().take(80).collect();
        let parts = Parts::of(text).ok_or_else(|| InvalidQuantity::Form { given: given() })?;
        let nano_units = parts.nano_units().ok_or_else(|| InvalidQuantity::TooLarge { given: given() })?;
        Ok(Self { nano_units })
    }
}

/// A number as it is written.
struct Parts<'t> {
    is_negative: bool,
    whole: &'t str,
    fraction: &'t str,
    scale: Scale,
}

/// What the digits are multiplied with: `factor` × 10^`exponent`.
#[derive(Clone, Copy)]
struct Scale {
    factor: i128,
    exponent: i32,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let digits_end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (digits, suffix) = unsigned.split_at_checked(digits_end)?;
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let has_digits = !(whole.is_empty() && fraction.is_empty());
        if text.len() > QUANTITY_BYTES_MAX || !has_digits || fraction.contains('.') {
            return None;
        }
        Some(Self { is_negative: text.starts_with('-'), whole, fraction, scale: Scale::of(suffix)? })
    }

    fn nano_units(&self) -> Option<i128> {
        let fraction = self.fraction.trim_end_matches('0');
        let mut digits = 0_i128;
        for digit in self.whole.bytes().chain(fraction.bytes()) {
            digits = digits.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        let amount = digits.checked_mul(self.scale.factor)?;
        if amount == 0 {
            return Some(0);
        }
        let exponent =
            i32::try_from(NANO_DIGITS).ok()? + self.scale.exponent - i32::try_from(fraction.len()).ok()?;
        let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
        let nano_units = if exponent < 0 { rounded_up(amount, power) } else { amount.checked_mul(power)? };
        let nano_units = Some(nano_units).filter(|nano_units| *nano_units <= NANO_UNITS_MAX)?;
        Some(if self.is_negative { -nano_units } else { nano_units })
    }
}

/// Neither is negative.
fn rounded_up(amount: i128, divisor: i128) -> i128 {
    amount / divisor + i128::from(amount % divisor != 0)
}

impl Scale {
    fn of(suffix: &str) -> Option<Self> {
        let decimal = |exponent| Some(Self { factor: 1, exponent });
        let binary = |power: u32| Some(Self { factor: 1 << (10 * power), exponent: 0 });
        match suffix {
            "n" => decimal(-9),
            "u" => decimal(-6),
            "m" => decimal(-3),
            "" => decimal(0),
            "k" => decimal(3),
            "M" => decimal(6),
            "G" => decimal(9),
            "T" => decimal(12),
            "P" => decimal(15),
            "E" => decimal(18),
            "Ki" => binary(1),
            "Mi" => binary(2),
            "Gi" => binary(3),
            "Ti" => binary(4),
            "Pi" => binary(5),
            "Ei" => binary(6),
            _ => {
                let exponent = suffix.strip_prefix(['e', 'E'])?;
                // As many digits as an exponent may need; beyond that nothing fits anyway.
                decimal(exponent.parse().ok().filter(|e: &i32| e.abs() < 100)?)
            }
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.nano_units < 0 { "-" } else { "" };
        let nano_units = self.nano_units.unsigned_abs();
        let (whole, fraction) = (nano_units / NANO.unsigned_abs(), nano_units % NANO.unsigned_abs());
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let fraction = format!("{fraction:09}");
        write!(f, "{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    #[test]
    fn a_quantity_may_be_written_in_several_ways_and_is_printed_in_one() {
        let table = [
            ("500m", "0.5"),
            ("0.5", "0.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("+1", "1"),
            ("-1500u", "-0.0015"),
            ("1n", "0.000000001"),
            ("0.1n", "0.000000001"),
            ("-0.1n", "-0.000000001"),
            ("1k", "1000"),
            ("1e3", "1000"),
            ("1E3", "1000"),
            ("1e+3", "1000"),
            ("1500e-3", "1.5"),
            ("1E", "1000000000000000000"),
            ("1Ki", "1024"),
            ("1.5Gi", "1610612736"),
            ("7Ei", "8070450532247928832"),
            ("9223372036854775807", "9223372036854775807"),
            ("0e99", "0"),
            ("00012.50", "12.5"),
        ];
        for (text, printed) in table {
            assert_eq!(quantity(text).to_string(), printed, "{text}");
        }
    }

    #[test]
    fn quantities_compare_by_what_they_mean() {
        assert_eq!(quantity("1000m"), quantity("1"));
        assert_eq!(quantity("1Gi"), quantity("1024Mi"));
        assert!(quantity("1G") < quantity("1Gi"));
        assert!(quantity("999m") < quantity("1") && quantity("-1") < quantity("0"));
        assert!(quantity("9007199254740993") > quantity("9007199254740992"));
    }

    #[test]
    fn what_is_not_a_quantity_is_refused_with_what_to_write() {
        let long = "1".repeat(65);
        for text in [
            "", "m", ".", "-", "1.2.3", "1 Gi", "1gi", "1K", "1e", "1e1.5", "1e100", "abc", "--1", "0x1",
            "1,5", &long,
        ] {
            let error = text.parse::<Quantity>().expect_err(text);
            assert!(
                matches!(error, InvalidQuantity::Form { .. }) && error.to_string().contains("write "),
                "{error}"
            );
        }
        for text in [
            "9223372036854775808",
            "8Ei",
            "10E",
            "1e19",
            "1e-99",
            "99999999999999999999999999999999999999999",
        ] {
            let error = text.parse::<Quantity>().expect_err(text);
            assert!(matches!(error, InvalidQuantity::TooLarge { .. }), "{error}");
        }
    }

    #[test]
    fn numbers_and_strings_of_an_object_are_quantities() {
        assert_eq!(Quantity::of(&Value::Int(2)), Some(quantity("2000m")));
        assert_eq!(Quantity::of(&Value::Float(0.1)), Some(quantity("100m")));
        assert_eq!(Quantity::of(&Value::from("1Ki")), Some(quantity("1024")));
        for value in
            [Value::Float(f64::NAN), Value::Float(1e300), Value::Null, Value::Bool(true), Value::from("x")]
        {
            assert_eq!(Quantity::of(&value), None, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn every_quantity_is_read_as_it_was_printed(nano_units in -NANO_UNITS_MAX..=NANO_UNITS_MAX) {
            let quantity = Quantity { nano_units };
            prop_assert_eq!(quantity.to_string().parse(), Ok(quantity));
        }

        #[test]
        fn a_suffix_is_its_factor(number in 0..1_000_i64, index in 0_usize..5) {
            let (suffix, factor) = [("k", 1_000), ("M", 1_000_000), ("Ki", 1 << 10), ("Mi", 1 << 20), ("Ti", 1 << 40)][index];
            prop_assert_eq!(quantity(&format!("{number}{suffix}")), Quantity::from_units(number * factor));
        }

        #[test]
        fn any_text_is_a_quantity_or_is_refused(text in "[-+]?[0-9.]{0,45}([a-zA-Z]{0,2}|[eE][-+]?[0-9]{0,4})|\\PC{0,70}") {
            if let Ok(quantity) = text.parse::<Quantity>() {
                prop_assert_eq!(quantity.to_string().parse::<Quantity>(), Ok(quantity));
            }
        }
    }
}
