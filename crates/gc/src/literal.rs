//! What a condition compares with: a value as its author wrote it, prepared so that comparing makes nothing new.

use std::cmp::Ordering;
use std::fmt;

use api::AnyScalar;
use jiff::Timestamp;
use units::{Quantity, Value};

use crate::moments::rfc3339;
use crate::place::Found;

/// A text, a number or a truth value. A number or a truth value equals its text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Literal {
    text: Box<str>,
    int: Option<i64>,
    float: Option<f64>,
    time: Option<Timestamp>,
}

impl Literal {
    pub(crate) fn new(scalar: &AnyScalar) -> Self {
        // A whole number is one however it is written: `3.0` is stored as 3 by the API server.
        match scalar {
            AnyScalar::Text(text) => Self::text(text),
            AnyScalar::Bool(truth) => Self::text(if *truth { "true" } else { "false" }),
            AnyScalar::Int(number) => Self::text(&number.to_string()),
            AnyScalar::Float(number) => match Value::from(*number) {
                Value::Int(whole) => Self::text(&whole.to_string()),
                _ => Self::text(&number.to_string()),
            },
        }
    }

    pub(crate) fn text(text: &str) -> Self {
        Self {
            int: text.parse().ok().filter(|number: &i64| number.to_string() == text),
            float: text.parse().ok(),
            time: rfc3339(text),
            text: text.into(),
        }
    }

    pub(crate) fn as_text(&self) -> &str {
        &self.text
    }

    pub(crate) fn equals(&self, found: &Found<'_>) -> bool {
        let value = match found {
            Found::Text(text) => return **text == *self.text,
            Found::Time(time) => return self.time == Some(*time),
            Found::Value(value) => &**value,
        };
        match value {
            Value::Text(text) => *text == self.text,
            Value::Int(number) => self.int == Some(*number),
            Value::Float(number) => self.float == Some(*number),
            Value::Bool(truth) => *self.text == *if *truth { "true" } else { "false" },
            Value::Null | Value::List(_) | Value::Map(_) => false,
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.text.is_empty() { "an empty text" } else { &self.text })
    }
}

/// What `GreaterThan` and `LessThan` compare with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bound {
    text: Box<str>,
    value: Ordered,
}

/// A value of which there are greater ones and lesser ones.
#[derive(Clone, Debug, PartialEq)]
enum Ordered {
    Amount(Quantity),
    Time(Timestamp),
}

impl Bound {
    /// `None` for what has no order.
    pub(crate) fn new(scalar: &AnyScalar) -> Option<Self> {
        let text = match scalar {
            AnyScalar::Bool(_) => return None,
            AnyScalar::Int(number) => number.to_string(),
            AnyScalar::Float(number) => number.to_string(),
            AnyScalar::Text(text) => text.clone(),
        };
        let value = match text.parse() {
            Ok(amount) => Ordered::Amount(amount),
            Err(_) => Ordered::Time(rfc3339(&text)?),
        };
        Some(Self { text: text.into(), value })
    }

    /// How what was found compares with this; `None` if it is not of its kind.
    pub(crate) fn compare(&self, found: &Found<'_>) -> Option<Ordering> {
        match (&self.value, found) {
            (Ordered::Time(bound), Found::Time(time)) => Some(time.cmp(bound)),
            (Ordered::Time(bound), found) => found.with_text(rfc3339)?.map(|time| time.cmp(bound)),
            (Ordered::Amount(bound), found) => amount(found).map(|amount| amount.cmp(bound)),
        }
    }

    /// What the field has to hold to be comparable, for messages.
    pub(crate) const fn wanted(&self) -> &'static str {
        match self.value {
            Ordered::Amount(_) => "a number or quantity",
            Ordered::Time(_) => "a time",
        }
    }
}

fn amount(found: &Found<'_>) -> Option<Quantity> {
    match found {
        Found::Value(value) => Quantity::of(value),
        Found::Text(text) => text.parse().ok(),
        Found::Time(_) => None,
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
