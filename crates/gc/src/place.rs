//! A path, with what it leads to in a record found out once.
//!
//! Names, labels and times of creation lie in the record and are read from there without making a value of them; all
//! else is looked up among the projected fields.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use units::{FieldPath, InvalidFieldPath, KeyPath, Value};

use crate::limits::EXCERPT_CHARS_MAX;
use crate::object::Object;

/// Where a condition or a time to live looks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    path: FieldPath,
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Name,
    Namespace,
    Created,
    Label,
    /// Something else that the record holds.
    Record,
    Fields,
}

/// What lies at a place; `null` lies nowhere.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found<'o> {
    Text(&'o str),
    Time(Timestamp),
    Value(Cow<'o, Value>),
}

impl Place {
    pub(crate) fn new(path: FieldPath) -> Self {
        Self { source: Source::of(&path), path }
    }

    /// The label with this key, which has been checked.
    pub(crate) fn label(key: &str) -> Result<Self, InvalidFieldPath> {
        format!("metadata.labels['{key}']").parse().map(Self::new)
    }

    /// The annotation with this key, which has been checked.
    pub(crate) fn annotation(key: &str) -> Result<Self, InvalidFieldPath> {
        format!("metadata.annotations['{key}']").parse().map(Self::new)
    }

    /// What has to be projected for it to be found, if anything has.
    pub(crate) fn reads(&self) -> Option<&KeyPath> {
        (self.source == Source::Fields).then_some(self.path.prefix())
    }

    /// Whether nothing of what lies here may be shown: the contents of Secrets, and of what holds secrets besides them.
    pub(crate) fn is_confidential(&self) -> bool {
        self.path.prefix().keys().first().is_some_and(|key| matches!(&**key, "data" | "stringData"))
    }

    pub(crate) fn find<'o>(&self, object: &'o Object) -> Option<Found<'o>> {
        match self.source {
            Source::Name => Some(&*object.name).filter(|name| !name.is_empty()).map(Found::Text),
            Source::Namespace => Some(&*object.namespace).filter(|name| !name.is_empty()).map(Found::Text),
            Source::Created => object.created().map(Found::Time),
            Source::Label => object.labels.get(self.path.prefix().keys().last()?).map(Found::Text),
            Source::Record => object.value(&self.path).map(Found::Value),
            Source::Fields => {
                let value = self.path.resolve_below(object.fields.get(self.path.prefix())?)?;
                (*value != Value::Null).then_some(Found::Value(Cow::Borrowed(value)))
            }
        }
    }

    /// What lies here, in words that may be shown.
    pub(crate) fn excerpt(&self, found: &Found<'_>) -> Box<str> {
        match found {
            _ if self.is_confidential() => "not shown".into(),
            Found::Value(value) if matches!(**value, Value::List(_) | Value::Map(_)) => {
                format!("a {}", value.type_name()).into()
            }
            found => found.with_text(excerpt).unwrap_or_default(),
        }
    }
}

impl Source {
    fn of(path: &FieldPath) -> Self {
        let prefix = path.prefix();
        if !Object::holds(prefix) {
            return Self::Fields;
        }
        if path.segments().len() > prefix.len() {
            return Self::Record;
        }
        let keys: Vec<&str> = prefix.keys().iter().map(|key| &**key).collect();
        match keys.as_slice() {
            [_, "name"] => Self::Name,
            [_, "namespace"] => Self::Namespace,
            [_, "creationTimestamp"] => Self::Created,
            [_, "labels", _] => Self::Label,
            _ => Self::Record,
        }
    }
}

impl Found<'_> {
    /// What `f` makes of the text of a scalar; nothing of a list or a map.
    pub(crate) fn with_text<T>(&self, f: impl FnOnce(&str) -> T) -> Option<T> {
        let value = match self {
            Self::Text(text) => return Some(f(text)),
            Self::Time(time) => return Some(f(&time.to_string())),
            Self::Value(value) => &**value,
        };
        match value {
            Value::Text(text) => Some(f(text)),
            Value::Bool(truth) => Some(f(if *truth { "true" } else { "false" })),
            Value::Int(number) => Some(f(&number.to_string())),
            Value::Float(number) => Some(f(&number.to_string())),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

/// The start of a text, in one line.
pub(crate) fn excerpt(text: &str) -> Box<str> {
    shortened(text, EXCERPT_CHARS_MAX)
}

/// At most so many characters of a text, in one line.
pub(crate) fn shortened(text: &str, most: usize) -> Box<str> {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = chars.by_ref().take(most).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    if short.is_empty() { "an empty text".into() } else { short.into() }
}
