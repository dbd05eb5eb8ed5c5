//! Which values are equal, and which of two comes first.

use std::cmp::Ordering;

use super::Run;
use crate::answer::EvaluationError;
use crate::datum::Datum;

impl<'v> Run<'v> {
    /// Whether two values are the same; values of different types are not, except that numbers compare as numbers.
    pub(super) fn equal(&mut self, a: &Datum<'v>, b: &Datum<'v>) -> Result<bool, EvaluationError> {
        self.spend(1)?;
        if let (Some(a), Some(b)) = (a.text(), b.text()) {
            self.spend_bytes(a.len().min(b.len()))?;
            return Ok(a == b);
        }
        if a.is_list() && b.is_list() {
            return self.equal_lists(a, b);
        }
        if a.is_map() && b.is_map() {
            return self.equal_maps(a, b);
        }
        match (a, b) {
            (Datum::Null, Datum::Null) | (Datum::Optional(None), Datum::Optional(None)) => Ok(true),
            (Datum::Optional(Some(a)), Datum::Optional(Some(b))) => self.equal(a, b),
            _ => Ok(order(a, b) == Some(Ordering::Equal)),
        }
    }

    fn equal_lists(&mut self, a: &Datum<'v>, b: &Datum<'v>) -> Result<bool, EvaluationError> {
        let length = a.length().unwrap_or(0);
        if b.length() != Some(length) {
            return Ok(false);
        }
        for at in 0..length {
            let (Some(a), Some(b)) = (a.element(at), b.element(at)) else { return Ok(false) };
            if !self.equal(&a, &b)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn equal_maps(&mut self, a: &Datum<'v>, b: &Datum<'v>) -> Result<bool, EvaluationError> {
        let length = a.length().unwrap_or(0);
        if b.length() != Some(length) {
            return Ok(false);
        }
        for at in 0..length {
            let (Some(key), Some(value)) = (a.element(at), a.value_at(at)) else { return Ok(false) };
            let Some(other) = self.lookup(b, &key)? else { return Ok(false) };
            if !self.equal(&value, &other)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Which comes first; nothing if these types have no order, or if one is not a number at all.
    pub(super) fn order(
        &mut self,
        a: &Datum<'v>,
        b: &Datum<'v>,
    ) -> Result<Option<Ordering>, EvaluationError> {
        if let (Some(a), Some(b)) = (a.text(), b.text()) {
            self.spend_bytes(a.len().min(b.len()))?;
        }
        Ok(order(a, b))
    }
}

fn order(a: &Datum<'_>, b: &Datum<'_>) -> Option<Ordering> {
    match (a, b) {
        (Datum::Bool(a), Datum::Bool(b)) => Some(a.cmp(b)),
        (Datum::Int(a), Datum::Int(b)) => Some(a.cmp(b)),
        (Datum::Float(a), Datum::Float(b)) => a.partial_cmp(b),
        (Datum::Int(a), Datum::Float(b)) => order_mixed(*a, *b),
        (Datum::Float(a), Datum::Int(b)) => order_mixed(*b, *a).map(Ordering::reverse),
        (Datum::Time(a), Datum::Time(b)) => Some(a.cmp(b)),
        (Datum::Span(a), Datum::Span(b)) => Some(a.cmp(b)),
        (Datum::Quantity(a), Datum::Quantity(b)) => Some(a.cmp(b)),
        (a, b) => Some(a.text()?.cmp(b.text()?)),
    }
}

/// Exact, also where not every integer has a float.
fn order_mixed(int: i64, float: f64) -> Option<Ordering> {
    /// 2⁶³: the first float beyond all integers.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() {
        return None;
    }
    if float >= BEYOND {
        return Some(Ordering::Less);
    }
    if float < -BEYOND {
        return Some(Ordering::Greater);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "within the range of an i64; what is cut off decides below"
    )]
    let whole = float.trunc() as i64;
    Some(int.cmp(&whole).then_with(|| 0.0_f64.total_cmp(&(float.fract() + 0.0))))
}
