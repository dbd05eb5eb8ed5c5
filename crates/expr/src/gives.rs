//! What an expression can give, as far as its text tells.
//!
//! Never too little: a field can hold anything, so whatever depends on one can give anything.

use crate::functions::Function;
use crate::program::{Constant, Kind, Loop, Node};
use crate::syntax::Operator;

/// A kind of [`Answer`](crate::Answer).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    /// `true` or `false`.
    Bool,
    /// An instant.
    Time,
    /// A span of time.
    Span,
    /// A text.
    Text,
    /// Nothing.
    Null,
    /// Anything else.
    Other,
}

/// A set of kinds, one bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    const ALL: Self = Self(u8::MAX);

    const fn of(kind: AnswerKind) -> Self {
        Self(1 << kind as u8)
    }

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn contains(self, kind: AnswerKind) -> bool {
        self.0 & Self::of(kind).0 != 0
    }
}

const BOOL: Kinds = Kinds::of(AnswerKind::Bool);
const TIME: Kinds = Kinds::of(AnswerKind::Time);
const SPAN: Kinds = Kinds::of(AnswerKind::Span);
const TEXT: Kinds = Kinds::of(AnswerKind::Text);
const NULL: Kinds = Kinds::of(AnswerKind::Null);
const OTHER: Kinds = Kinds::of(AnswerKind::Other);

/// What a node can give.
pub(crate) fn gives(node: &Node) -> Kinds {
    match &node.kind {
        Kind::Constant(constant) => of_constant(constant),
        Kind::Now => TIME,
        Kind::HasField(_)
        | Kind::Has { .. }
        | Kind::Not(_)
        | Kind::Logic(..)
        | Kind::Matches { .. }
        | Kind::Loop { kind: Loop::All | Loop::Exists | Loop::ExistsOne, .. } => BOOL,
        Kind::Negate(_)
        | Kind::List(_)
        | Kind::Map(_)
        | Kind::Part { .. }
        | Kind::MapWhere { .. }
        | Kind::Loop { kind: Loop::Map | Loop::Filter, .. } => OTHER,
        Kind::Binary(operator, operands) => of_operator(*operator, operands),
        Kind::Choice(parts) => {
            let [_, then, otherwise] = &**parts;
            gives(then).or(gives(otherwise))
        }
        Kind::Call(function, arguments) => of_call(*function, arguments),
        Kind::OptionalMap { body, .. } => gives(body).or(NULL).or(OTHER),
        Kind::Variable(_)
        | Kind::Field(_)
        | Kind::OptionalField(_)
        | Kind::Select { .. }
        | Kind::Index { .. } => Kinds::ALL,
    }
}

const fn of_constant(constant: &Constant) -> Kinds {
    match constant {
        Constant::Null => NULL,
        Constant::Bool(_) => BOOL,
        Constant::Int(_) | Constant::Float(_) => OTHER,
        Constant::Text(_) => TEXT,
        Constant::Time(_) => TIME,
        Constant::Span(_) => SPAN,
    }
}

fn of_operator(operator: Operator, operands: &[Node; 2]) -> Kinds {
    let [a, b] = operands.each_ref().map(gives);
    match operator {
        Operator::Multiply | Operator::Divide | Operator::Remainder => OTHER,
        Operator::Add | Operator::Subtract => match (a, b) {
            (TIME, SPAN) | (SPAN, TIME) => TIME,
            (TIME, TIME) | (SPAN, SPAN) => SPAN,
            (TEXT, _) | (_, TEXT) => TEXT,
            (TIME | SPAN, _) | (_, TIME | SPAN) => TIME.or(SPAN),
            _ => Kinds::ALL,
        },
        _ => BOOL,
    }
}

fn of_call(function: Function, arguments: &[Node]) -> Kinds {
    match function {
        Function::Contains
        | Function::StartsWith
        | Function::EndsWith
        | Function::Matches
        | Function::Bool
        | Function::IsQuantity
        | Function::IsGreaterThan
        | Function::IsLessThan
        | Function::HasValue => BOOL,
        Function::LowerAscii
        | Function::UpperAscii
        | Function::Trim
        | Function::Replace
        | Function::Substring
        | Function::CharAt
        | Function::Join
        | Function::String => TEXT,
        Function::Size
        | Function::Split
        | Function::IndexOf
        | Function::LastIndexOf
        | Function::Int
        | Function::Double
        | Function::Quantity
        | Function::CompareTo
        | Function::Part(_) => OTHER,
        Function::Timestamp => TIME,
        Function::Duration => SPAN,
        Function::OptionalNone => NULL,
        Function::OptionalOf | Function::Or => arguments.iter().map(gives).fold(OTHER, Kinds::or),
        Function::Dyn | Function::Value | Function::OrValue => {
            arguments.iter().map(gives).reduce(Kinds::or).unwrap_or(Kinds::ALL)
        }
        Function::Min | Function::Max | Function::Macro(_) => Kinds::ALL,
    }
}
