//! `all`, `exists`, `exists_one`, `map` and `filter`, over the elements of a list or the keys of a map.

use super::{Outcome, Run, forget};
use crate::answer::EvaluationError;
use crate::datum::Datum;
use crate::program::{Loop, Node};

impl<'v> Run<'v> {
    pub(super) fn run_loop(&mut self, kind: Loop, range: &'v Node, body: &'v Node) -> Outcome<'v> {
        let (range, length) = self.range(range)?;
        match kind {
            Loop::All => self.any(&range, length, body, false),
            Loop::Exists => self.any(&range, length, body, true),
            Loop::ExistsOne => {
                let kept = self.filter(&range, length, body)?;
                Ok(Datum::Bool(kept.len() == 1))
            }
            Loop::Filter => self.filter(&range, length, body).map(|kept| Datum::MadeList(kept.into())),
            Loop::Map => {
                let mut made = Vec::new();
                for element in elements(&range, length) {
                    made.push(self.with(element, body)?);
                }
                Ok(Datum::MadeList(made.into()))
            }
        }
    }

    pub(super) fn map_where(&mut self, range: &'v Node, bodies: &'v [Node; 2]) -> Outcome<'v> {
        let [condition, result] = bodies;
        let (range, length) = self.range(range)?;
        let kept = self.filter(&range, length, condition)?;
        let made: Result<Vec<_>, _> = kept.into_iter().map(|element| self.with(element, result)).collect();
        Ok(Datum::MadeList(made?.into()))
    }

    /// A list or map and its length.
    fn range(&mut self, node: &'v Node) -> Result<(Datum<'v>, usize), EvaluationError> {
        let range = self.node(node)?;
        let Some(length) = range.length() else {
            let what = format!("has to be a list or a map here, not {}", range.described());
            return Err(self.wrong_type(node.span, what));
        };
        Ok((range, length))
    }

    /// Whether the body gives `decisive` for any element; gives `decisive` if so, and its opposite if not.
    fn any(&mut self, range: &Datum<'v>, length: usize, body: &'v Node, decisive: bool) -> Outcome<'v> {
        let mut first_error = None;
        for element in elements(range, length) {
            match self.condition(element, body) {
                Ok(value) if value == decisive => return Ok(Datum::Bool(decisive)),
                Ok(_) => {}
                Err(error) => forget(&mut first_error, error)?,
            }
        }
        first_error.map_or(Ok(Datum::Bool(!decisive)), Err)
    }

    fn filter(
        &mut self,
        range: &Datum<'v>,
        length: usize,
        body: &'v Node,
    ) -> Result<Vec<Datum<'v>>, EvaluationError> {
        let mut kept = Vec::new();
        for element in elements(range, length) {
            if self.condition(element.clone(), body)? {
                kept.push(element);
            }
        }
        Ok(kept)
    }

    fn condition(&mut self, element: Datum<'v>, body: &'v Node) -> Result<bool, EvaluationError> {
        self.variables.push(element);
        let outcome = self.boolean(body);
        self.variables.pop();
        outcome
    }
}

fn elements<'v>(range: &Datum<'v>, length: usize) -> impl Iterator<Item = Datum<'v>> {
    (0..length).filter_map(|at| range.element(at))
}
