//! An expression, compiled.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use units::{KeyPath, Value};

use crate::answer::{Answer, EvaluationError};
use crate::evaluate::{evaluate, stays};
use crate::gives::{AnswerKind, gives};
use crate::invalid::InvalidExpression;
use crate::limits::EXPRESSION_BYTES_MAX;
use crate::parser::parse;
use crate::resolve::{Program, resolve};
use crate::steady::Stays;

/// Where an expression finds the fields of one object.
pub trait Fields {
    /// What lies at this path, which is one of [`Expression::reads`] or below one; nothing if it is missing.
    fn field(&self, path: &KeyPath) -> Option<&Value>;
}

/// A whole object.
impl Fields for Value {
    fn field(&self, path: &KeyPath) -> Option<&Value> {
        path.resolve(self)
    }
}

/// A CEL expression over `object` and `now` that has been parsed, checked and measured. Cheap to share, dear to compile.
#[derive(Clone)]
pub struct Expression {
    text: Box<str>,
    program: Program,
    reads: Box<[KeyPath]>,
}

impl Expression {
    /// Compiles a text; what is wrong with it is said in one line, with the place and what to write instead.
    pub fn compile(text: &str) -> Result<Self, InvalidExpression> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(InvalidExpression::TooLong { bytes: text.len() });
        }
        let program = resolve(text, &parse(text)?)?;
        let reads = outermost(&program.fields);
        Ok(Self { text: text.into(), program, reads })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The fields below `object` that an answer depends on, in order. None lies below another.
    pub fn reads(&self) -> &[KeyPath] {
        &self.reads
    }

    /// Whether the answer depends on the time.
    pub fn uses_now(&self) -> bool {
        self.program.uses_now
    }

    /// How long what it gives for one object at `now` stays as it is, as far as that depends on the time.
    pub fn stays(&self, object: &dyn Fields, now: Timestamp) -> Stays {
        match (self.program.uses_now, self.program.is_steady) {
            (false, _) => Stays::ForGood,
            (true, false) => Stays::Unknown,
            (true, true) => stays(&self.text, &self.program, object, now),
        }
    }

    /// Whether an answer of this kind is possible at all; where that depends on a field's type, it is.
    ///
    /// `object.spec.replicas > 3` gives truths and never a time, whatever the object: as an expiry it is a mistake.
    pub fn can_give(&self, kind: AnswerKind) -> bool {
        gives(&self.program.root).contains(kind)
    }

    /// What the expression gives for one object, within [`STEPS_MAX`](crate::STEPS_MAX) steps.
    pub fn evaluate(&self, object: &dyn Fields, now: Timestamp) -> Result<Answer, EvaluationError> {
        evaluate(&self.text, &self.program, object, now)
    }
}

/// The paths that lie below no other of them.
fn outermost(fields: &[KeyPath]) -> Box<[KeyPath]> {
    let is_covered =
        |field: &KeyPath| fields.iter().any(|other| other != field && field.is_at_or_below(other));
    let mut outermost: Vec<KeyPath> = fields.iter().filter(|field| !is_covered(field)).cloned().collect();
    outermost.sort();
    outermost.into_boxed_slice()
}

impl FromStr for Expression {
    type Err = InvalidExpression;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::compile(text)
    }
}

/// Two expressions are equal if they are written alike.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}
