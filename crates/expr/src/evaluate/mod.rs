//! Evaluating a program on one object.
//!
//! Descends the tree; its height bounds the stack, a meter the time and the memory. A fault in one operand of `&&`, `||`,
//! `all` and `exists` is forgotten if another decides, as CEL has it; running out of steps never is.

mod calls;
mod compare;
mod loops;
mod operators;
mod texts;

use std::rc::Rc;

use jiff::Timestamp;
use units::Value;

use crate::answer::{Answer, EvaluationError};
use crate::datum::Datum;
use crate::expression::Fields;
use crate::lexer::Span;
use crate::limits::{BYTES_PER_STEP, LOOKUP_STEPS, STEPS_MAX};
use crate::program::{Kind, Node, Wrapped};
use crate::resolve::{Program, excerpt};
use crate::steady::Stays;
use crate::syntax::{Access, Logic};

type Outcome<'v> = Result<Datum<'v>, EvaluationError>;

pub(crate) fn evaluate(
    text: &str,
    program: &Program,
    object: &dyn Fields,
    now: Timestamp,
) -> Result<Answer, EvaluationError> {
    Run::new(text, program, object, now).node(&program.root).map(|datum| datum.answer())
}

/// How long the answer of a program that is steady stays as it is.
pub(crate) fn stays(text: &str, program: &Program, object: &dyn Fields, now: Timestamp) -> Stays {
    let mut run = Run::new(text, program, object, now);
    // Also a fault stays one until a comparison turns.
    let _ = run.node(&program.root);
    run.turns_at.map_or(Stays::ForGood, Stays::Until)
}

/// One evaluation.
struct Run<'v> {
    text: &'v str,
    program: &'v Program,
    object: &'v dyn Fields,
    now: Timestamp,
    /// What the variables of the surrounding loops hold, outermost first.
    variables: Vec<Datum<'v>>,
    steps_left: u32,
    /// When the first of the comparisons that were made turns.
    turns_at: Option<Timestamp>,
}

impl<'v> Run<'v> {
    fn new(text: &'v str, program: &'v Program, object: &'v dyn Fields, now: Timestamp) -> Self {
        Self { text, program, object, now, variables: Vec::new(), steps_left: STEPS_MAX, turns_at: None }
    }

    fn node(&mut self, node: &'v Node) -> Outcome<'v> {
        self.spend(1)?;
        match &node.kind {
            Kind::Constant(constant) => Ok(constant.into()),
            Kind::Now => Ok(Datum::Time(self.now)),
            Kind::Variable(slot) => {
                self.variables.get(*slot).cloned().ok_or_else(|| self.no_such_field(node))
            }
            Kind::Field(number) => {
                self.field(*number)?.map(Datum::from).ok_or_else(|| self.no_such_field(node))
            }
            Kind::HasField(number) => Ok(Datum::Bool(self.present_field(*number)?.is_some())),
            Kind::OptionalField(number) => Ok(optional(self.present_field(*number)?.map(Datum::from))),
            Kind::Select { operand, key, access } => self.select(node, operand, key, *access),
            Kind::Has { operand, key } => self.has(operand, key),
            Kind::Index { operand, index, access } => self.index(node, operand, index, *access),
            Kind::Not(operand) => self.boolean(operand).map(|value| Datum::Bool(!value)),
            Kind::Negate(operand) => self.negate(node, operand),
            Kind::Binary(operator, operands) => self.binary(node, *operator, operands),
            Kind::Logic(logic, operands) => self.logic(*logic, operands),
            Kind::Choice(parts) => self.choice(parts),
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(node, entries),
            Kind::Call(function, arguments) => self.call(node, *function, arguments),
            Kind::Matches { text, pattern } => self.matches(text, pattern),
            Kind::Part { of, part, zone } => self.part(of, *part, zone),
            Kind::Loop { kind, range, body } => self.run_loop(*kind, range, body),
            Kind::MapWhere { range, bodies } => self.map_where(range, bodies),
            Kind::OptionalMap { operand, body, result } => self.optional_map(operand, body, *result),
        }
    }

    /// Takes so many steps, if there are as many left.
    fn spend(&mut self, steps: u32) -> Result<(), EvaluationError> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(EvaluationError::TooDear)?;
        Ok(())
    }

    /// The steps for so many bytes of text.
    fn spend_bytes(&mut self, bytes: usize) -> Result<(), EvaluationError> {
        self.spend(u32::try_from(bytes / BYTES_PER_STEP).unwrap_or(u32::MAX))
    }

    fn field(&mut self, number: usize) -> Result<Option<&'v Value>, EvaluationError> {
        self.spend(LOOKUP_STEPS)?;
        Ok(self.program.fields.get(number).and_then(|path| self.object.field(path)))
    }

    /// A field that is there and not null.
    fn present_field(&mut self, number: usize) -> Result<Option<&'v Value>, EvaluationError> {
        Ok(self.field(number)?.filter(|value| **value != Value::Null))
    }

    fn select(&mut self, node: &Node, operand: &'v Node, key: &'v str, access: Access) -> Outcome<'v> {
        let operand = self.node(operand)?;
        let key = Datum::Text(key);
        match (operand, access) {
            (Datum::Optional(None), _) => Ok(Datum::Optional(None)),
            // What is selected from an optional is an optional.
            (Datum::Optional(Some(held)), _) => Ok(optional(self.lookup(&held, &key)?.filter(is_present))),
            (operand, Access::Optional) => Ok(optional(self.lookup(&operand, &key)?.filter(is_present))),
            (operand, Access::Required) => {
                self.lookup(&operand, &key)?.ok_or_else(|| self.no_such_field(node))
            }
        }
    }

    fn has(&mut self, operand: &'v Node, key: &'v str) -> Outcome<'v> {
        let operand = match self.node(operand) {
            Ok(Datum::Optional(None)) | Err(EvaluationError::NoSuchField { .. }) => {
                return Ok(Datum::Bool(false));
            }
            Ok(Datum::Optional(Some(held))) => (*held).clone(),
            Ok(operand) => operand,
            Err(error) => return Err(error),
        };
        let found = self.lookup(&operand, &Datum::Text(key))?;
        Ok(Datum::Bool(found.is_some_and(|datum| is_present(&datum))))
    }

    fn index(&mut self, node: &'v Node, operand: &'v Node, index: &'v Node, access: Access) -> Outcome<'v> {
        let operand = self.node(operand)?;
        let index_node = index;
        let index = self.node(index)?;
        let (operand, access) = match operand {
            Datum::Optional(None) => return Ok(Datum::Optional(None)),
            Datum::Optional(Some(held)) => ((*held).clone(), Access::Optional),
            operand => (operand, access),
        };
        if !operand.is_list() && !operand.is_map() {
            return Err(
                self.wrong_type(node.span, format!("nothing can be indexed in {}", operand.described()))
            );
        }
        if operand.is_list() && place_of(&index).is_none() {
            let what = format!("the index of a list is an integer, not {}", index.described());
            return Err(self.wrong_type(index_node.span, what));
        }
        let found = self.lookup(&operand, &index)?;
        match (found, access) {
            (found, Access::Optional) => Ok(optional(found)),
            (Some(found), Access::Required) => Ok(found),
            (None, Access::Required) => Err(self.no_such_field(node)),
        }
    }

    /// The value of a map at a key or of a list at an index, if there is one.
    fn lookup(&mut self, within: &Datum<'v>, key: &Datum<'v>) -> Result<Option<Datum<'v>>, EvaluationError> {
        self.spend(LOOKUP_STEPS)?;
        match within {
            Datum::Map(map) => Ok(key.text().and_then(|key| map.get(key)).map(Datum::from)),
            Datum::List(_) | Datum::MadeList(_) => Ok(place_of(key).and_then(|at| within.element(at))),
            Datum::MadeMap(pairs) => {
                for (at, (own, _)) in pairs.iter().enumerate() {
                    if self.equal(own, key)? {
                        return Ok(within.value_at(at));
                    }
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn boolean(&mut self, node: &'v Node) -> Result<bool, EvaluationError> {
        match self.node(node)? {
            Datum::Bool(value) => Ok(value),
            other => {
                let what = format!("has to be true or false here, not {}", other.described());
                Err(self.wrong_type(node.span, what))
            }
        }
    }

    /// `&&` and `||`: the first operand that decides, even if one before it has failed.
    fn logic(&mut self, logic: Logic, operands: &'v [Node]) -> Outcome<'v> {
        let decisive = logic == Logic::Or;
        let mut first_error = None;
        for operand in operands {
            match self.boolean(operand) {
                Ok(value) if value == decisive => return Ok(Datum::Bool(decisive)),
                Ok(_) => {}
                Err(error) => forget(&mut first_error, error)?,
            }
        }
        first_error.map_or(Ok(Datum::Bool(!decisive)), Err)
    }

    fn choice(&mut self, parts: &'v [Node; 3]) -> Outcome<'v> {
        let [condition, then, otherwise] = parts;
        if self.boolean(condition)? { self.node(then) } else { self.node(otherwise) }
    }

    fn list(&mut self, elements: &'v [Node]) -> Outcome<'v> {
        elements.iter().map(|element| self.node(element)).collect::<Result<Rc<[_]>, _>>().map(Datum::MadeList)
    }

    fn map(&mut self, node: &Node, entries: &'v [(Node, Node)]) -> Outcome<'v> {
        let mut pairs: Vec<(Datum<'v>, Datum<'v>)> = Vec::with_capacity(entries.len());
        for (key_node, value) in entries {
            let key = self.node(key_node)?;
            if !matches!(key, Datum::Text(_) | Datum::MadeText(_) | Datum::Int(_) | Datum::Bool(_)) {
                let what = format!("the key of a map is a string, not {}", key.described());
                return Err(self.wrong_type(key_node.span, what));
            }
            for (other, _) in &pairs {
                if self.equal(other, &key)? {
                    return Err(self.wrong_value(node.span, "a map cannot have the same key twice"));
                }
            }
            pairs.push((key, self.node(value)?));
        }
        Ok(Datum::MadeMap(pairs.into()))
    }

    fn optional_map(&mut self, operand: &'v Node, body: &'v Node, result: Wrapped) -> Outcome<'v> {
        let span = operand.span;
        let held = match self.node(operand)? {
            Datum::Optional(Some(held)) => (*held).clone(),
            Datum::Optional(None) => return Ok(Datum::Optional(None)),
            other => return Err(self.wrong_type(span, not_optional(&other))),
        };
        let made = self.with(held, body)?;
        match (result, made) {
            (Wrapped::Value, made) => Ok(Datum::some(made)),
            (Wrapped::Optional, made @ Datum::Optional(_)) => Ok(made),
            (Wrapped::Optional, other) => Err(self.wrong_type(body.span, not_optional(&other))),
        }
    }

    /// A body with its variable set to a value.
    fn with(&mut self, value: Datum<'v>, body: &'v Node) -> Outcome<'v> {
        self.variables.push(value);
        let outcome = self.node(body);
        self.variables.pop();
        outcome
    }

    fn no_such_field(&self, node: &Node) -> EvaluationError {
        EvaluationError::NoSuchField { path: self.excerpt(node.span) }
    }

    fn wrong_type(&self, span: Span, what: impl Into<Box<str>>) -> EvaluationError {
        EvaluationError::WrongType { part: self.excerpt(span), what: what.into() }
    }

    fn wrong_value(&self, span: Span, what: impl Into<Box<str>>) -> EvaluationError {
        EvaluationError::WrongValue { part: self.excerpt(span), what: what.into() }
    }

    fn excerpt(&self, span: Span) -> Box<str> {
        excerpt(self.text, span).into_boxed_str()
    }
}

/// Keeps the first of several faults, of which another operand may still make nothing; running out of steps stays one.
fn forget(first: &mut Option<EvaluationError>, error: EvaluationError) -> Result<(), EvaluationError> {
    if error == EvaluationError::TooDear {
        return Err(error);
    }
    first.get_or_insert(error);
    Ok(())
}

fn optional(datum: Option<Datum<'_>>) -> Datum<'_> {
    Datum::Optional(datum.map(Rc::new))
}

fn is_present(datum: &Datum<'_>) -> bool {
    !matches!(datum, Datum::Null)
}

fn not_optional(datum: &Datum<'_>) -> String {
    format!("has to be an optional, such as object.?field, not {}", datum.described())
}

/// The index that a whole number means.
fn place_of(index: &Datum<'_>) -> Option<usize> {
    match index {
        Datum::Int(at) => usize::try_from(*at).ok(),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, and within the range of a usize"
        )]
        Datum::Float(at) if at.fract() == 0.0 && (0.0..1e9).contains(at) => Some(*at as usize),
        _ => None,
    }
}
