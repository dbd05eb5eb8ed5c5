//! Operators.

use jiff::{SignedDuration, Timestamp};
use std::cmp::Ordering;

use super::{Outcome, Run};
use crate::answer::EvaluationError;
use crate::datum::Datum;
use crate::program::Node;
use crate::steady::turns_at;
use crate::syntax::Operator;
use crate::time::{within_range, within_span};

impl<'v> Run<'v> {
    pub(super) fn binary(&mut self, node: &Node, operator: Operator, operands: &'v [Node; 2]) -> Outcome<'v> {
        let [left, right] = operands;
        let (a, b) = (self.node(left)?, self.node(right)?);
        if self.program.uses_now
            && let Some(at) = turns_at((operator, operands), (&a, &b), self.now)
        {
            self.turns_at = Some(self.turns_at.map_or(at, |first| first.min(at)));
        }
        match operator {
            Operator::Equal => self.equal(&a, &b).map(Datum::Bool),
            Operator::NotEqual => self.equal(&a, &b).map(|equal| Datum::Bool(!equal)),
            Operator::Less => self.compare(node, &a, &b, Ordering::is_lt),
            Operator::LessOrEqual => self.compare(node, &a, &b, Ordering::is_le),
            Operator::Greater => self.compare(node, &a, &b, Ordering::is_gt),
            Operator::GreaterOrEqual => self.compare(node, &a, &b, Ordering::is_ge),
            Operator::In => self.contains(node, &a, &b),
            _ => self.calculate(node, operator, &a, &b),
        }
    }

    fn compare(
        &mut self,
        node: &Node,
        a: &Datum<'v>,
        b: &Datum<'v>,
        holds: fn(Ordering) -> bool,
    ) -> Outcome<'v> {
        if let Some(order) = self.order(a, b)? {
            return Ok(Datum::Bool(holds(order)));
        }
        let is_number = |datum: &Datum<'_>| matches!(datum, Datum::Int(_) | Datum::Float(_));
        if is_number(a) && is_number(b) {
            // One of them is not a number: nothing holds of it.
            return Ok(Datum::Bool(false));
        }
        let what = format!("{} cannot be compared with {}{}", a.described(), b.described(), conversion(a, b));
        Err(self.wrong_type(node.span, what))
    }

    /// `a in b`
    fn contains(&mut self, node: &Node, a: &Datum<'v>, b: &Datum<'v>) -> Outcome<'v> {
        if b.is_map()
            && !matches!(
                a,
                Datum::Text(_) | Datum::MadeText(_) | Datum::Int(_) | Datum::Float(_) | Datum::Bool(_)
            )
        {
            return Err(
                self.wrong_type(node.span, format!("the key of a map is a string, not {}", a.described()))
            );
        }
        if let Datum::Map(map) = b {
            return Ok(Datum::Bool(a.text().is_some_and(|key| map.get(key).is_some())));
        }
        let Some(length) = b.length() else {
            let hint = if b.text().is_some() { "; write text.contains('part')" } else { "" };
            let what = format!("`in` looks into a list or a map, not into {}{hint}", b.described());
            return Err(self.wrong_type(node.span, what));
        };
        for at in 0..length {
            if let Some(element) = b.element(at)
                && self.equal(a, &element)?
            {
                return Ok(Datum::Bool(true));
            }
        }
        Ok(Datum::Bool(false))
    }

    pub(super) fn negate(&mut self, node: &Node, operand: &'v Node) -> Outcome<'v> {
        match self.node(operand)? {
            Datum::Int(value) => value.checked_neg().map(Datum::Int).ok_or_else(|| self.overflow(node)),
            Datum::Float(value) => Ok(Datum::Float(-value)),
            other => Err(self.wrong_type(node.span, format!("{} has no negative", other.described()))),
        }
    }

    fn calculate(&mut self, node: &Node, operator: Operator, a: &Datum<'v>, b: &Datum<'v>) -> Outcome<'v> {
        match (a, b) {
            (Datum::Int(a), Datum::Int(b)) => self.integers(node, operator, *a, *b),
            (Datum::Int(_) | Datum::Float(_), Datum::Int(_) | Datum::Float(_)) => {
                self.floats(node, operator, float(a), float(b))
            }
            (Datum::Time(a), Datum::Span(b)) => match operator {
                Operator::Add => self.time(node, a.checked_add(*b).ok()),
                Operator::Subtract => self.time(node, a.checked_sub(*b).ok()),
                _ => Err(self.no_operation(node, "a timestamp", "a duration")),
            },
            (Datum::Span(a), Datum::Time(b)) if operator == Operator::Add => {
                self.time(node, b.checked_add(*a).ok())
            }
            (Datum::Time(a), Datum::Time(b)) if operator == Operator::Subtract => {
                self.span(node, Some(a.duration_since(*b)))
            }
            (Datum::Span(a), Datum::Span(b)) => match operator {
                Operator::Add => self.span(node, a.checked_add(*b)),
                Operator::Subtract => self.span(node, a.checked_sub(*b)),
                _ => Err(self.no_operation(node, "a duration", "a duration")),
            },
            _ if operator == Operator::Add && a.is_list() && b.is_list() => self.joined_lists(a, b),
            (a, b) => match (a.text(), b.text()) {
                (Some(a), Some(b)) if operator == Operator::Add => {
                    self.spend_bytes(a.len() + b.len())?;
                    Ok(Datum::made(&[a, b].concat()))
                }
                _ => {
                    let what = format!(
                        "this cannot be calculated with {} and {}{}",
                        a.described(),
                        b.described(),
                        conversion(a, b)
                    );
                    Err(self.wrong_type(node.span, what))
                }
            },
        }
    }

    fn integers(&self, node: &Node, operator: Operator, a: i64, b: i64) -> Outcome<'v> {
        let result = match operator {
            Operator::Add => a.checked_add(b),
            Operator::Subtract => a.checked_sub(b),
            Operator::Multiply => a.checked_mul(b),
            Operator::Divide | Operator::Remainder if b == 0 => {
                return Err(self.wrong_value(node.span, "this divides by zero"));
            }
            Operator::Divide => a.checked_div(b),
            _ => a.checked_rem(b),
        };
        result.map(Datum::Int).ok_or_else(|| self.overflow(node))
    }

    fn floats(&self, node: &Node, operator: Operator, a: f64, b: f64) -> Outcome<'v> {
        Ok(Datum::Float(match operator {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            _ => return Err(self.wrong_type(node.span, "only integers have a remainder")),
        }))
    }

    fn joined_lists(&mut self, a: &Datum<'v>, b: &Datum<'v>) -> Outcome<'v> {
        let (first, second) = (a.length().unwrap_or(0), b.length().unwrap_or(0));
        self.spend(u32::try_from(first.saturating_add(second)).unwrap_or(u32::MAX))?;
        let elements =
            (0..first).filter_map(|at| a.element(at)).chain((0..second).filter_map(|at| b.element(at)));
        Ok(Datum::MadeList(elements.collect()))
    }

    fn time(&self, node: &Node, time: Option<Timestamp>) -> Outcome<'v> {
        let out_of_range = || self.wrong_value(node.span, "this time is not between the years 1 and 9999");
        time.and_then(within_range).map(Datum::Time).ok_or_else(out_of_range)
    }

    fn span(&self, node: &Node, span: Option<SignedDuration>) -> Outcome<'v> {
        let out_of_range = || self.wrong_value(node.span, "this duration is longer than 10,000 years");
        span.and_then(within_span).map(Datum::Span).ok_or_else(out_of_range)
    }

    fn overflow(&self, node: &Node) -> EvaluationError {
        self.wrong_value(node.span, "the result does not fit into 64 bits")
    }

    fn no_operation(&self, node: &Node, a: &str, b: &str) -> EvaluationError {
        self.wrong_type(node.span, format!("this cannot be calculated with {a} and {b}"))
    }
}

#[expect(clippy::cast_precision_loss, reason = "JSON has one kind of number, a float")]
fn float(datum: &Datum<'_>) -> f64 {
    match datum {
        Datum::Int(value) => *value as f64,
        Datum::Float(value) => *value,
        _ => f64::NAN,
    }
}

/// How a text becomes what it stands beside.
fn conversion(a: &Datum<'_>, b: &Datum<'_>) -> &'static str {
    if a.text().is_none() && b.text().is_none() {
        return "";
    }
    let is_either = |wanted: fn(&Datum<'_>) -> bool| wanted(a) || wanted(b);
    if is_either(|datum| matches!(datum, Datum::Time(_))) {
        "; write timestamp(…) around the string, or duration('…')"
    } else if is_either(|datum| matches!(datum, Datum::Span(_))) {
        "; write duration(…) or timestamp(…) around the string"
    } else if is_either(|datum| matches!(datum, Datum::Int(_) | Datum::Float(_))) {
        "; write int(…) or double(…) around the string, or string(…) around the number"
    } else if is_either(|datum| matches!(datum, Datum::Quantity(_))) {
        "; write quantity(…) around the string"
    } else {
        ""
    }
}
