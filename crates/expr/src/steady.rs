//! How long an answer stays as it is while time passes and nothing else changes.
//!
//! Where `now` stands only in comparisons, and only grows or falls with the time itself there (`now - object.x > d`), the
//! moment at which a comparison turns is known once it has been made. Whatever else an expression does with `now`, such as
//! asking for the hour, nobody can tell.

use jiff::Timestamp;

use crate::datum::Datum;
use crate::program::{Kind, Node};
use crate::syntax::Operator;

/// How long an answer stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    /// For good.
    ForGood,
    /// At least until this moment, which is later than the one that was asked about.
    Until(Timestamp),
    /// Nobody can tell.
    Unknown,
}

/// How much the value of a node grows while a second passes, and how often `now` stands in it. What is neither `now` nor a
/// sum or difference counts as if `now` did not stand in it.
pub(crate) fn slope(node: &Node) -> (i32, usize) {
    match &node.kind {
        Kind::Now => (1, 1),
        Kind::Binary(operator @ (Operator::Add | Operator::Subtract), operands) => {
            let [(left, here), (right, there)] = operands.each_ref().map(slope);
            let sign = if *operator == Operator::Add { 1 } else { -1 };
            (left + sign * right, here + there)
        }
        _ => (0, 0),
    }
}

/// How often `now` stands in a comparison of which it can be told when it turns.
pub(crate) fn told_in(operator: Operator, operands: &[Node; 2]) -> usize {
    let [(left, here), (right, there)] = operands.each_ref().map(slope);
    if is_order(operator) && (-1..=1).contains(&(left - right)) { here + there } else { 0 }
}

const fn is_order(operator: Operator) -> bool {
    use Operator::{Greater, GreaterOrEqual, Less, LessOrEqual};
    matches!(operator, Less | LessOrEqual | Greater | GreaterOrEqual)
}

/// When a comparison turns that was made at `now` of these values; none if it does not any more.
pub(crate) fn turns_at(
    (operator, operands): (Operator, &[Node; 2]),
    (a, b): (&Datum<'_>, &Datum<'_>),
    now: Timestamp,
) -> Option<Timestamp> {
    if !is_order(operator) {
        return None;
    }
    let distance = match (a, b) {
        (Datum::Time(a), Datum::Time(b)) => b.duration_since(*a),
        (Datum::Span(a), Datum::Span(b)) => b.checked_sub(*a)?,
        _ => return None,
    };
    let [(left, _), (right, _)] = operands.each_ref().map(slope);
    let meets_at = match left - right {
        1 => now.checked_add(distance).ok()?,
        -1 => now.checked_sub(distance).ok()?,
        _ => return None,
    };
    // Where both are equal now, it turns as soon as they are not.
    let next = now.checked_add(jiff::SignedDuration::from_nanos(1)).ok()?;
    (meets_at >= now).then(|| meets_at.max(next))
}
