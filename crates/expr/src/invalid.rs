//! Why a text is no expression, and what to write instead.

use std::fmt;

use crate::limits::{
    EXCERPT_CHARS_MAX, EXPRESSION_BYTES_MAX, HEIGHT_MAX, LOOPS_MAX, NODES_MAX, PATTERN_BYTES_MAX,
    PATTERN_COMPILED_BYTES_MAX, PATTERNS_MAX,
};

/// Why a text is refused as an expression. One line, with the place and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExpression {
    /// The text is longer than [`EXPRESSION_BYTES_MAX`].
    #[error(
        "the expression has {bytes} bytes, at most {EXPRESSION_BYTES_MAX} are allowed: write several policies"
    )]
    TooLong {
        /// The text's length in bytes.
        bytes: usize,
    },
    /// More nodes than [`NODES_MAX`].
    #[error("the expression has more than {NODES_MAX} parts: write several policies")]
    TooManyNodes,
    /// Brackets, chains or operators deeper than [`HEIGHT_MAX`].
    #[error("more than {HEIGHT_MAX} brackets or operators inside of each other ({place})")]
    TooHigh {
        /// Where it became too high.
        place: Place,
    },
    /// More loops inside of each other than [`LOOPS_MAX`].
    #[error(
        "more than {LOOPS_MAX} loops (all, exists, exists_one, map, filter) inside of each other ({place})"
    )]
    TooManyLoops {
        /// The innermost loop.
        place: Place,
    },
    /// The text is not CEL.
    #[error("{what} ({place})")]
    Syntax {
        /// What was expected and found.
        what: String,
        /// Where.
        place: Place,
    },
    /// A part of CEL that makes no sense on Kubernetes objects, or that cannot be bounded.
    #[error("{what} ({place})")]
    Unsupported {
        /// What it is, and what to write instead.
        what: String,
        /// Where.
        place: Place,
    },
    /// Neither `object` nor `now` nor the variable of a loop.
    #[error("there is no variable `{name}`: {instead} ({place})")]
    UnknownVariable {
        /// As it was written.
        name: String,
        /// What to write instead.
        instead: String,
        /// Where.
        place: Place,
    },
    /// No function has this name.
    #[error("there is no function `{name}`: {instead} ({place})")]
    UnknownFunction {
        /// As it was written.
        name: String,
        /// What to write instead.
        instead: String,
        /// Where.
        place: Place,
    },
    /// A function that exists, called in another way.
    #[error("`{name}` is not called like this: write {usage} ({place})")]
    WrongCall {
        /// The function.
        name: String,
        /// How it is called.
        usage: &'static str,
        /// Where.
        place: Place,
    },
    /// `object` without a field: all of every object would have to be kept.
    #[error(
        "`object` can only be read by fields that are named here: write `object.metadata.labels['app']` or \
         `object.spec` ({place})"
    )]
    WholeObject {
        /// Where.
        place: Place,
    },
    /// A regular expression that is wrong, too large, or not constant.
    #[error("{what} ({place})")]
    Pattern {
        /// What is wrong with it.
        what: String,
        /// Where.
        place: Place,
    },
    /// A constant that its function refuses, such as `duration('soon')`.
    #[error("{what} ({place})")]
    Constant {
        /// What is wrong with it.
        what: String,
        /// Where.
        place: Place,
    },
}

impl InvalidExpression {
    pub(crate) fn pattern_too_long(place: Place) -> Self {
        let what = format!("the regular expression is longer than {PATTERN_BYTES_MAX} bytes");
        Self::Pattern { what, place }
    }

    pub(crate) fn pattern_too_large(place: Place) -> Self {
        let kib = PATTERN_COMPILED_BYTES_MAX / 1024;
        let what =
            format!("the regular expression grows beyond {kib} KiB when compiled: use smaller repetitions");
        Self::Pattern { what, place }
    }

    pub(crate) fn too_many_patterns(place: Place) -> Self {
        let what = format!("more than {PATTERNS_MAX} regular expressions: join them with `|`");
        Self::Pattern { what, place }
    }
}

/// A place in an expression, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// What stands there, in one line and shortened; empty at the end of the text.
    pub excerpt: String,
}

impl Place {
    /// The place `at` so many bytes into the text.
    pub(crate) fn of(text: &str, at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_before = before.rsplit('\n').next().unwrap_or(before);
        let after = text.get(at..).unwrap_or_default();
        Self {
            line: count(before.matches('\n').count()),
            column: count(line_before.chars().count()),
            excerpt: shortened(after.lines().next().unwrap_or_default(), EXCERPT_CHARS_MAX / 2),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)?;
        if self.excerpt.is_empty() { write!(f, ", at the end") } else { write!(f, ", at `{}`", self.excerpt) }
    }
}

fn count(before: usize) -> u32 {
    u32::try_from(before + 1).unwrap_or(u32::MAX)
}

/// A text in at most `chars` characters and in one line.
pub(crate) fn shortened(text: &str, chars: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(chars).map(plain).collect();
    if text.chars().nth(chars).is_some() {
        short.push('…');
    }
    short
}
