//! Functions other than those on texts: sizes, conversions, quantities, optionals and the parts of times.

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use std::cmp::Ordering;
use std::rc::Rc;
use units::Quantity;

use super::{Outcome, Run, not_optional};
use crate::answer::EvaluationError;
use crate::datum::Datum;
use crate::functions::Function;
use crate::invalid::shortened;
use crate::program::{Node, Part};
use crate::time::{parse_span, parse_time, within_range};

impl<'v> Run<'v> {
    pub(super) fn call(&mut self, node: &'v Node, function: Function, arguments: &'v [Node]) -> Outcome<'v> {
        match (function, arguments) {
            (Function::OptionalNone, _) => Ok(Datum::Optional(None)),
            (Function::OptionalOf, [held]) => self.node(held).map(Datum::some),
            (Function::HasValue, [held]) => self.held(held).map(|held| Datum::Bool(held.is_some())),
            (Function::Value, [held]) => match self.held(held)? {
                Some(held) => Ok((*held).clone()),
                None => Err(self.no_such_field(held)),
            },
            (Function::Or, [held, other]) => match self.held(held)? {
                Some(held) => Ok(Datum::Optional(Some(held))),
                None => self.held(other).map(Datum::Optional),
            },
            (Function::OrValue, [held, other]) => match self.held(held)? {
                Some(held) => Ok((*held).clone()),
                None => self.node(other),
            },
            (Function::Size, [of]) => self.size(of),
            (Function::Min, [list]) => self.extreme(node, list, Ordering::Less),
            (Function::Max, [list]) => self.extreme(node, list, Ordering::Greater),
            (Function::Join, nodes) => self.join(nodes),
            (Function::IsGreaterThan | Function::IsLessThan | Function::CompareTo, [a, b]) => {
                self.quantities(function, a, b)
            }
            (
                Function::Dyn
                | Function::Int
                | Function::Double
                | Function::String
                | Function::Bool
                | Function::Timestamp
                | Function::Duration
                | Function::Quantity
                | Function::IsQuantity,
                [of],
            ) => self.convert(node, function, of),
            (function, nodes) => self.text_call(node, function, nodes),
        }
    }

    fn held(&mut self, node: &'v Node) -> Result<Option<Rc<Datum<'v>>>, EvaluationError> {
        match self.node(node)? {
            Datum::Optional(held) => Ok(held),
            other => Err(self.wrong_type(node.span, not_optional(&other))),
        }
    }

    fn size(&mut self, node: &'v Node) -> Outcome<'v> {
        let of = self.node(node)?;
        if let Some(text) = of.text() {
            self.spend_bytes(text.len())?;
        }
        let size = of.length().or_else(|| of.text().map(|text| text.chars().count()));
        let Some(size) = size.and_then(|size| i64::try_from(size).ok()) else {
            let what = format!("only strings, lists and maps have a size, not {}", of.described());
            return Err(self.wrong_type(node.span, what));
        };
        Ok(Datum::Int(size))
    }

    /// The smallest or the largest element of a list.
    fn extreme(&mut self, node: &Node, list_node: &'v Node, wanted: Ordering) -> Outcome<'v> {
        let list = self.list_of(list_node)?;
        let mut best: Option<Datum<'v>> = None;
        for element in (0..list.length().unwrap_or(0)).filter_map(|at| list.element(at)) {
            self.spend(1)?;
            let Some(champion) = &best else {
                best = Some(element);
                continue;
            };
            match self.order(&element, champion)? {
                Some(order) if order == wanted => best = Some(element),
                Some(_) => {}
                None => {
                    let (a, b) = (element.described(), champion.described());
                    return Err(self.wrong_type(node.span, format!("{a} cannot be compared with {b}")));
                }
            }
        }
        best.ok_or_else(|| self.wrong_value(node.span, "the list is empty"))
    }

    fn quantities(&mut self, function: Function, a: &'v Node, b: &'v Node) -> Outcome<'v> {
        let order = self.quantity(a)?.cmp(&self.quantity(b)?);
        Ok(match function {
            Function::IsGreaterThan => Datum::Bool(order.is_gt()),
            Function::IsLessThan => Datum::Bool(order.is_lt()),
            _ => Datum::Int(match order {
                Ordering::Less => -1,
                Ordering::Equal => 0,
                Ordering::Greater => 1,
            }),
        })
    }

    fn quantity(&mut self, node: &'v Node) -> Result<Quantity, EvaluationError> {
        match self.node(node)? {
            Datum::Quantity(quantity) => Ok(quantity),
            other => {
                let what =
                    format!("has to be a quantity, such as quantity('1Gi'), not {}", other.described());
                Err(self.wrong_type(node.span, what))
            }
        }
    }

    fn convert(&mut self, node: &Node, function: Function, of: &'v Node) -> Outcome<'v> {
        let datum = self.node(of)?;
        if let Some(text) = datum.text() {
            self.spend_bytes(text.len())?;
        }
        let (converted, wanted) = match function {
            Function::Dyn => return Ok(datum),
            Function::IsQuantity => return Ok(Datum::Bool(quantity_of(&datum).is_some())),
            Function::Int => (int(&datum), "an integer of 64 bits"),
            Function::Double => (double(&datum), "a number"),
            Function::String => (string(&datum), "a string"),
            Function::Bool => (bool(&datum), "true or false"),
            Function::Timestamp => (timestamp(&datum), "a timestamp, such as 2026-01-31T22:00:00Z"),
            Function::Duration => (duration(&datum), "a duration, such as 72h, 1h30m or 7d"),
            _ => (quantity_of(&datum), "a quantity, such as 500m or 1Gi"),
        };
        converted.ok_or_else(|| match datum.text() {
            Some(text) => self.wrong_value(node.span, format!("'{}' is not {wanted}", shortened(text, 40))),
            None => self.wrong_type(node.span, format!("this {} is not {wanted}", datum.type_name())),
        })
    }

    /// A part of a time or of a duration.
    pub(super) fn part(&mut self, of: &'v Node, part: Part, zone: &TimeZone) -> Outcome<'v> {
        let datum = self.node(of)?;
        let value = match &datum {
            Datum::Time(time) => Some(part_of_time(&zone.to_datetime(*time), part)),
            Datum::Span(span) => part_of_span(*span, part),
            _ => None,
        };
        value.map(Datum::Int).ok_or_else(|| {
            let hint = if datum.text().is_some() { "; write timestamp(…) around it" } else { "" };
            let what = format!("{} has no such part{hint}", datum.described());
            self.wrong_type(of.span, what)
        })
    }
}

fn part_of_time(time: &jiff::civil::DateTime, part: Part) -> i64 {
    match part {
        Part::FullYear => time.year().into(),
        Part::Month => i64::from(time.month()) - 1,
        Part::Date => time.day().into(),
        Part::DayOfMonth => i64::from(time.day()) - 1,
        Part::DayOfWeek => time.weekday().to_sunday_zero_offset().into(),
        Part::DayOfYear => i64::from(time.day_of_year()) - 1,
        Part::Hours => time.hour().into(),
        Part::Minutes => time.minute().into(),
        Part::Seconds => time.second().into(),
        Part::Milliseconds => time.millisecond().into(),
    }
}

/// All of its hours, minutes or seconds; of its milliseconds only those beyond a whole second.
fn part_of_span(span: SignedDuration, part: Part) -> Option<i64> {
    Some(match part {
        Part::Hours => span.as_hours(),
        Part::Minutes => span.as_mins(),
        Part::Seconds => span.as_secs(),
        Part::Milliseconds => span.subsec_millis().into(),
        _ => return None,
    })
}

fn int<'v>(datum: &Datum<'v>) -> Option<Datum<'v>> {
    /// 2⁶³: the first float beyond all integers.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    Some(Datum::Int(match datum {
        Datum::Int(value) => *value,
        #[expect(clippy::cast_possible_truncation, reason = "within the range of an i64")]
        Datum::Float(value) if *value > -BEYOND && *value < BEYOND => *value as i64,
        Datum::Time(time) => time.as_second(),
        other => other.text()?.parse().ok()?,
    }))
}

fn double<'v>(datum: &Datum<'v>) -> Option<Datum<'v>> {
    Some(Datum::Float(match datum {
        #[expect(clippy::cast_precision_loss, reason = "as CEL has it")]
        Datum::Int(value) => *value as f64,
        Datum::Float(value) => *value,
        other => other.text()?.parse().ok()?,
    }))
}

fn string<'v>(datum: &Datum<'v>) -> Option<Datum<'v>> {
    Some(match datum {
        Datum::Text(_) | Datum::MadeText(_) => datum.clone(),
        Datum::Bool(value) => Datum::made(if *value { "true" } else { "false" }),
        Datum::Int(value) => Datum::made(&value.to_string()),
        Datum::Float(value) => Datum::made(&value.to_string()),
        Datum::Time(time) => Datum::made(&time.to_string()),
        Datum::Span(span) => Datum::made(&seconds(*span)),
        _ => return None,
    })
}

/// As CEL writes durations: `90s`, `-1.5s`.
fn seconds(span: SignedDuration) -> String {
    let sign = if span.is_negative() { "-" } else { "" };
    let (whole, nanos) = (span.as_secs().unsigned_abs(), span.subsec_nanos().unsigned_abs());
    let fraction = format!(".{nanos:09}");
    format!("{sign}{whole}{}s", fraction.trim_end_matches('0').trim_end_matches('.'))
}

fn bool<'v>(datum: &Datum<'v>) -> Option<Datum<'v>> {
    Some(Datum::Bool(match (datum, datum.text()) {
        (Datum::Bool(value), _) => *value,
        (_, Some("true" | "True" | "TRUE" | "t" | "1")) => true,
        (_, Some("false" | "False" | "FALSE" | "f" | "0")) => false,
        _ => return None,
    }))
}

fn timestamp<'v>(datum: &Datum<'v>) -> Option<Datum<'v>> {
    let time = match datum {
        Datum::Time(time) => *time,
        Datum::Int(second) => jiff::Timestamp::from_second(*second).ok().and_then(within_range)?,
        other => parse_time(other.text()?)?,
    };
    Some(Datum::Time(time))
}

fn duration<'v>(datum: &Datum<'v>) -> Option<Datum<'v>> {
    match datum {
        Datum::Span(span) => Some(Datum::Span(*span)),
        other => parse_span(other.text()?).map(Datum::Span),
    }
}

fn quantity_of<'v>(datum: &Datum<'v>) -> Option<Datum<'v>> {
    let quantity = match datum {
        Datum::Quantity(quantity) => *quantity,
        // A quantity without a suffix is often written as a number: `cpu: 2`, `cpu: 0.5`.
        Datum::Int(units) => Quantity::from_units(*units),
        Datum::Float(number) => number.to_string().parse().ok()?,
        other => other.text()?.parse().ok()?,
    };
    Some(Datum::Quantity(quantity))
}
