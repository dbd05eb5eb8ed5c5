//! What an expression gives for one object, or why it gives nothing.

use jiff::{SignedDuration, Timestamp};

use crate::limits::STEPS_MAX;
use crate::time::parse_time;

/// What an expression gives for one object. An empty optional is [`Null`](Answer::Null), a full one what it holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// `true` or `false`.
    Bool(bool),
    /// An instant.
    Time(Timestamp),
    /// A span of time; may be negative.
    Span(SignedDuration),
    /// A text, perhaps one that names an instant: see [`Answer::as_time`].
    Text(Box<str>),
    /// Nothing.
    Null,
    /// Anything else: the name of its type, as people call it.
    Other(&'static str),
}

impl Answer {
    /// The instant that this is, or that this text names as RFC 3339 does.
    pub fn as_time(&self) -> Option<Timestamp> {
        match self {
            Self::Time(time) => Some(*time),
            Self::Text(text) => parse_time(text),
            Self::Bool(_) | Self::Span(_) | Self::Null | Self::Other(_) => None,
        }
    }

    /// What people call the type of this answer.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "boolean",
            Self::Time(_) => "timestamp",
            Self::Span(_) => "duration",
            Self::Text(_) => "string",
            Self::Null => "null",
            Self::Other(name) => name,
        }
    }
}

/// Why an expression has no answer for one object. It says nothing about other objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The object has no such field, or nothing above it.
    #[error("there is no field `{path}`")]
    NoSuchField {
        /// As the expression has it, shortened.
        path: Box<str>,
    },
    /// A function or operator got a type that it is not made for.
    #[error("`{part}`: {what}")]
    WrongType {
        /// The part of the expression, shortened.
        part: Box<str>,
        /// What was given and what was wanted.
        what: Box<str>,
    },
    /// A value of the right type that cannot be used: no timestamp, out of range, a division by zero.
    #[error("`{part}`: {what}")]
    WrongValue {
        /// The part of the expression, shortened.
        part: Box<str>,
        /// What is wrong with the value.
        what: Box<str>,
    },
    /// More than [`STEPS_MAX`] steps.
    #[error(
        "the expression takes more than {STEPS_MAX} steps on this object: its lists are too long for loops inside of each \
         other, or its texts too long"
    )]
    TooDear,
}
