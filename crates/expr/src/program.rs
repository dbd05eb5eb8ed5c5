//! An expression that has been understood: names are slots, fields are numbered, constants are parsed.
//!
//! Shared between threads; evaluating it changes nothing in it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use regex::Regex;

use crate::functions::Function;
use crate::lexer::Span;
use crate::syntax::{Access, Logic, Operator};

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Where it stands in the text: the words for it in messages.
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Constant(Constant),
    Now,
    /// A variable of a loop or of `optMap`, by how many surround it.
    Variable(usize),
    /// A field below `object`, by its number among the paths that are read.
    Field(usize),
    HasField(usize),
    OptionalField(usize),
    /// A field of something that was computed.
    Select {
        operand: Box<Node>,
        key: Box<str>,
        access: Access,
    },
    Has {
        operand: Box<Node>,
        key: Box<str>,
    },
    Index {
        operand: Box<Node>,
        index: Box<Node>,
        access: Access,
    },
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary(Operator, Box<[Node; 2]>),
    Logic(Logic, Box<[Node]>),
    Choice(Box<[Node; 3]>),
    List(Box<[Node]>),
    Map(Box<[(Node, Node)]>),
    /// The target, if there is one, is the first argument.
    Call(Function, Box<[Node]>),
    Matches {
        text: Box<Node>,
        pattern: Regex,
    },
    /// A part of a timestamp, as the clocks of a zone show it, or of a duration.
    Part {
        of: Box<Node>,
        part: Part,
        zone: TimeZone,
    },
    Loop {
        kind: Loop,
        range: Box<Node>,
        /// What each element has to be or becomes.
        body: Box<Node>,
    },
    /// `map` with a condition: condition, result.
    MapWhere {
        range: Box<Node>,
        bodies: Box<[Node; 2]>,
    },
    OptionalMap {
        operand: Box<Node>,
        body: Box<Node>,
        result: Wrapped,
    },
}

#[derive(Debug, Clone)]
pub(crate) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Box<str>),
    Time(Timestamp),
    Span(SignedDuration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loop {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

/// Whether the body of `optMap` gives a value, or an optional itself (`optFlatMap`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrapped {
    Value,
    Optional,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    FullYear,
    /// From 0.
    Month,
    /// From 1.
    Date,
    /// From 0.
    DayOfMonth,
    /// From 0, a Sunday.
    DayOfWeek,
    /// From 0.
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}
