//! What a part of an expression gives while it is evaluated.

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use units::{Quantity, Value};

use crate::answer::Answer;
use crate::program::Constant;

/// A value that borrows from the object or the expression wherever it can; a clone copies no text and no list.
#[derive(Debug, Clone)]
pub(crate) enum Datum<'v> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'v str),
    MadeText(Rc<str>),
    Time(Timestamp),
    Span(SignedDuration),
    Quantity(Quantity),
    List(&'v [Value]),
    MadeList(Rc<[Datum<'v>]>),
    Map(&'v Value),
    MadeMap(Rc<[(Datum<'v>, Datum<'v>)]>),
    Optional(Option<Rc<Datum<'v>>>),
}

impl Datum<'_> {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::MadeText(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn made(text: &str) -> Self {
        Self::MadeText(text.into())
    }

    pub(crate) fn some(datum: Self) -> Self {
        Self::Optional(Some(Rc::new(datum)))
    }

    /// How many elements a list has, or keys a map.
    pub(crate) fn length(&self) -> Option<usize> {
        match self {
            Self::List(list) => Some(list.len()),
            Self::MadeList(list) => Some(list.len()),
            Self::Map(Value::Map(pairs)) => Some(pairs.len()),
            Self::MadeMap(pairs) => Some(pairs.len()),
            _ => None,
        }
    }

    /// The element of a list, or the key of a map, at this place.
    pub(crate) fn element(&self, at: usize) -> Option<Self> {
        match self {
            Self::List(list) => list.get(at).map(Self::from),
            Self::MadeList(list) => list.get(at).cloned(),
            Self::Map(Value::Map(pairs)) => pairs.get(at).map(|(key, _)| Self::Text(key)),
            Self::MadeMap(pairs) => pairs.get(at).map(|(key, _)| key.clone()),
            _ => None,
        }
    }

    /// What a map has at the key at this place.
    pub(crate) fn value_at(&self, at: usize) -> Option<Self> {
        match self {
            Self::Map(Value::Map(pairs)) => pairs.get(at).map(|(_, value)| Self::from(value)),
            Self::MadeMap(pairs) => pairs.get(at).map(|(_, value)| value.clone()),
            _ => None,
        }
    }

    pub(crate) const fn is_list(&self) -> bool {
        matches!(self, Self::List(_) | Self::MadeList(_))
    }

    pub(crate) const fn is_map(&self) -> bool {
        matches!(self, Self::Map(_) | Self::MadeMap(_))
    }

    /// What people call this type.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) => "integer",
            Self::Float(_) => "number",
            Self::Text(_) | Self::MadeText(_) => "string",
            Self::Time(_) => "timestamp",
            Self::Span(_) => "duration",
            Self::Quantity(_) => "quantity",
            Self::List(_) | Self::MadeList(_) => "list",
            Self::Map(_) | Self::MadeMap(_) => "map",
            Self::Optional(_) => "optional",
        }
    }

    /// The type with its article.
    pub(crate) const fn described(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Text(_) | Self::MadeText(_) => "a string",
            Self::Time(_) => "a timestamp",
            Self::Span(_) => "a duration",
            Self::Quantity(_) => "a quantity",
            Self::List(_) | Self::MadeList(_) => "a list",
            Self::Map(_) | Self::MadeMap(_) => "a map",
            Self::Optional(_) => "an optional",
        }
    }

    pub(crate) fn answer(&self) -> Answer {
        match self {
            Self::Null | Self::Optional(None) => Answer::Null,
            Self::Bool(value) => Answer::Bool(*value),
            Self::Time(time) => Answer::Time(*time),
            Self::Span(span) => Answer::Span(*span),
            Self::Text(text) => Answer::Text((*text).into()),
            Self::MadeText(text) => Answer::Text((&**text).into()),
            Self::Optional(Some(held)) => match &**held {
                // One in the other is no answer, and what is in them may be deep.
                Self::Optional(_) => Answer::Other("optional"),
                held => held.answer(),
            },
            other => Answer::Other(other.type_name()),
        }
    }
}

impl<'v> From<&'v Value> for Datum<'v> {
    fn from(value: &'v Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Float(value) => Self::Float(*value),
            Value::Text(text) => Self::Text(text),
            Value::List(list) => Self::List(list),
            Value::Map(_) => Self::Map(value),
        }
    }
}

impl<'v> From<&'v Constant> for Datum<'v> {
    fn from(constant: &'v Constant) -> Self {
        match constant {
            Constant::Null => Self::Null,
            Constant::Bool(value) => Self::Bool(*value),
            Constant::Int(value) => Self::Int(*value),
            Constant::Float(value) => Self::Float(*value),
            Constant::Text(text) => Self::Text(text),
            Constant::Time(time) => Self::Time(*time),
            Constant::Span(span) => Self::Span(*span),
        }
    }
}
