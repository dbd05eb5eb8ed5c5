//! CEL expressions over one object: compiled once, bounded, evaluated many times.
//!
//! An [`Expression`] sees an object as `object` and the time as `now`, and gives a truth, an instant, a span or nothing. It
//! says before it meets any object which fields it reads, so that nothing else need be kept of a million of them. Knows
//! neither Kubernetes nor the wall clock: the caller passes the [`Fields`] and `now`.
//!
//! # Why not a library
//!
//! Measured on `cel` 0.15.0, on which `kube-cel` stands too, without optimization: both of its parsers overflow a stack of
//! 2 MiB on less than 8 KiB of text, such as `a.b.b.b…`, `1+1+1…` or `a?b:a?b:…`. That ends the process and cannot be caught.
//! Its evaluation has no limit and cannot be stopped, and wants an object copied into its own values. Here the height and
//! size of the tree are bounded while it is parsed, every step of an evaluation is counted, and values are borrowed. The
//! tests hold our answers against those of `cel`.
//!
//! # Where this is not CEL
//!
//! * `has(object.a.b)` and `object.?a.b` are false and empty if any of the fields above is missing too, and if the field is
//!   `null`: the API server drops nulls, and whoever keeps only the fields that are read cannot tell these cases apart.
//! * Integers and floats may be mixed in arithmetic; the result is a float. JSON has one kind of number.
//! * `duration()` also takes days and weeks: `'7d'`.
//! * Absent: unsigned integers, bytes, messages and `type()`, for which Kubernetes' objects have no use; and regular
//!   expressions that are not constant. What is absent is refused when the expression is compiled.
//!
//! # Invariants
//!
//! No text and no object makes this crate panic or overflow a stack. An evaluation ends after at most [`STEPS_MAX`] steps.
//! What is not a field among [`Expression::reads`] cannot change an answer.

#![forbid(unsafe_code)]

mod answer;
mod datum;
mod evaluate;
mod expression;
mod functions;
mod gives;
mod invalid;
mod lexer;
mod limits;
mod literal;
mod parser;
mod program;
mod resolve;
mod steady;
mod syntax;
mod time;

pub use answer::{Answer, EvaluationError};
pub use expression::{Expression, Fields};
pub use functions::functions;
pub use gives::AnswerKind;
pub use invalid::{InvalidExpression, Place};
pub use limits::{
    EXPRESSION_BYTES_MAX, HEIGHT_MAX, LOOPS_MAX, NODES_MAX, PATTERN_BYTES_MAX, PATTERN_COMPILED_BYTES_MAX,
    PATTERNS_MAX, STEPS_MAX,
};
pub use steady::Stays;
