//! One condition on one field: checked, prepared, judged, and put into words.

use std::cmp::Ordering;
use std::fmt;

use api::AnyScalar;
use api::garbage_collection::{FieldCondition, KeyCondition, Operator};
use api::selector::is_label_key;
use regex::{Regex, RegexBuilder};
use units::{InvalidFieldPath, KeyPath};

use crate::limits::{
    CONDITION_VALUE_BYTES_MAX, CONDITION_VALUES_MAX, PATTERN_COMPILED_BYTES_MAX, PATTERN_DEPTH_MAX,
};
use crate::literal::{Bound, Literal};
use crate::object::Object;
use crate::place::{Found, Place, excerpt};

/// A condition on a field that has been checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    place: Place,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    OneOf(Box<[Literal]>),
    NoneOf(Box<[Literal]>),
    Exists,
    Missing,
    Greater(Bound),
    Less(Bound),
    Matches(Pattern),
}

/// A regular expression.
#[derive(Clone, Debug)]
struct Pattern {
    text: Box<str>,
    /// It, matching nothing but whole texts.
    whole: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Why a condition cannot be acted on, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCondition {
    /// The path is not one.
    #[error("fieldPath: {0}")]
    FieldPath(#[from] InvalidFieldPath),
    /// The key is not one that an object could have.
    #[error("`{key}` is not a key of labels or annotations: write `name` or `prefix/name`, such as `app`")]
    Key {
        /// What was written, shortened.
        key: Box<str>,
    },
    /// The operator compares with a value.
    #[error("operator {} needs value{}", .0.name(), empty_hint(*.0))]
    ValueMissing(Operator),
    /// The operator compares with one value.
    #[error("operator {} compares with one value: write value instead of values{}", .0.name(), list_hint(*.0))]
    ValuesUnexpected(Operator),
    /// `In` and `NotIn` compare with several values.
    #[error("operator {} needs at least one entry in values", .0.name())]
    ValuesMissing(Operator),
    /// `In` and `NotIn` compare with several values.
    #[error("operator {} compares with several values: write values instead of value", .0.name())]
    ValueUnexpected(Operator),
    /// `Exists` and `DoesNotExist` compare with nothing.
    #[error("operator {} compares with nothing: leave value and values out", .0.name())]
    NothingToCompare(Operator),
    /// `GreaterThan` and `LessThan` compare with what has an order.
    #[error(
        "operator {}: `{given}` has no order: write a number, a quantity such as `500m`, or a time such as \
         `2027-01-01T00:00:00Z`", .operator.name()
    )]
    Unordered {
        /// The operator.
        operator: Operator,
        /// What was written, shortened.
        given: Box<str>,
    },
    /// More values than anyone needs.
    #[error("{given} values; at most {CONDITION_VALUES_MAX} are allowed")]
    TooManyValues {
        /// How many there are.
        given: usize,
    },
    /// A value that is longer than anyone needs.
    #[error("a value of {bytes} bytes; at most {CONDITION_VALUE_BYTES_MAX} are allowed")]
    ValueTooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The regular expression is wrong, or too large.
    #[error("`{pattern}` is no regular expression that can be used: {why}")]
    Pattern {
        /// What was written, shortened.
        pattern: Box<str>,
        /// What is wrong with it, in one line.
        why: String,
    },
}

fn empty_hint(operator: Operator) -> &'static str {
    match operator {
        Operator::Equals | Operator::NotEquals => "; write `value: \"\"` for an empty one",
        _ => "",
    }
}

fn list_hint(operator: Operator) -> &'static str {
    match operator {
        Operator::Equals => ", or operator In",
        Operator::NotEquals => ", or operator NotIn",
        _ => "",
    }
}

/// On which map of the metadata a condition on a key looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyed {
    Label,
    Annotation,
}

impl Condition {
    /// Checks and compiles a condition on a field.
    pub(crate) fn new(condition: &FieldCondition) -> Result<Self, InvalidCondition> {
        let place = Place::new(condition.field_path.parse()?);
        let test = Test::new(condition.operator, condition.value.as_ref(), &condition.values)?;
        Ok(Self { place, test })
    }

    /// Checks and compiles a condition on a label or an annotation.
    pub(crate) fn on_key(keyed: Keyed, condition: &KeyCondition) -> Result<Self, InvalidCondition> {
        let key = &condition.key;
        let place = match keyed {
            Keyed::Label if is_label_key(key) => Place::label(key)?,
            Keyed::Annotation if is_label_key(&key.to_ascii_lowercase()) => Place::annotation(key)?,
            _ => return Err(InvalidCondition::Key { key: excerpt(key) }),
        };
        let value = condition.value.clone().map(AnyScalar::Text);
        let mut values: Vec<_> = condition.values.iter().cloned().map(AnyScalar::Text).collect();
        let given = if value.is_some() { Operator::Equals } else { Operator::Exists };
        let test = match condition.operator.unwrap_or(given) {
            operator @ (Operator::In | Operator::NotIn) => {
                values.extend(value);
                Test::new(operator, None, &values)
            }
            operator => Test::new(operator, value.as_ref(), &values),
        };
        Ok(Self { place, test: test? })
    }

    /// The field at this place is one of these texts.
    pub(crate) fn one_of(place: Place, texts: &[String]) -> Self {
        let literals = texts.iter().map(|text| Literal::text(text));
        Self { place, test: Test::OneOf(literals.collect()) }
    }

    pub(crate) fn reads(&self) -> Option<&KeyPath> {
        self.place.reads()
    }

    pub(crate) fn holds(&self, object: &Object) -> bool {
        self.test.holds(self.place.find(object).as_ref())
    }

    /// What is the case instead, and what is not; only sensible where [`Condition::holds`] does not say so itself.
    pub(crate) fn words<'a>(&'a self, object: &'a Object) -> Words<'a> {
        Words { condition: self, object }
    }
}

impl Test {
    fn new(
        operator: Operator,
        value: Option<&AnyScalar>,
        values: &[AnyScalar],
    ) -> Result<Self, InvalidCondition> {
        check_sizes(value, values)?;
        match operator {
            Operator::Exists | Operator::DoesNotExist if value.is_some() || !values.is_empty() => {
                Err(InvalidCondition::NothingToCompare(operator))
            }
            Operator::Exists => Ok(Self::Exists),
            Operator::DoesNotExist => Ok(Self::Missing),
            Operator::In | Operator::NotIn if value.is_some() => {
                Err(InvalidCondition::ValueUnexpected(operator))
            }
            Operator::In | Operator::NotIn if values.is_empty() => {
                Err(InvalidCondition::ValuesMissing(operator))
            }
            Operator::In => Ok(Self::OneOf(values.iter().map(Literal::new).collect())),
            Operator::NotIn => Ok(Self::NoneOf(values.iter().map(Literal::new).collect())),
            _ if !values.is_empty() => Err(InvalidCondition::ValuesUnexpected(operator)),
            operator => Self::with_one(operator, value.ok_or(InvalidCondition::ValueMissing(operator))?),
        }
    }

    /// The operators that compare with exactly one value.
    fn with_one(operator: Operator, value: &AnyScalar) -> Result<Self, InvalidCondition> {
        let literal = Literal::new(value);
        let unordered = || InvalidCondition::Unordered { operator, given: excerpt(&literal.to_string()) };
        match operator {
            Operator::GreaterThan => Ok(Self::Greater(Bound::new(value).ok_or_else(unordered)?)),
            Operator::LessThan => Ok(Self::Less(Bound::new(value).ok_or_else(unordered)?)),
            Operator::Matches => Pattern::new(literal.as_text()).map(Self::Matches),
            Operator::NotEquals => Ok(Self::NoneOf([literal].into())),
            _ => Ok(Self::OneOf([literal].into())),
        }
    }

    fn holds(&self, found: Option<&Found<'_>>) -> bool {
        let compared = |bound: &Bound| found.and_then(|found| bound.compare(found));
        let listed = |literals: &[Literal]| {
            found.is_some_and(|found| literals.iter().any(|literal| literal.equals(found)))
        };
        match self {
            Self::OneOf(literals) => listed(literals),
            Self::NoneOf(literals) => !listed(literals),
            Self::Exists => found.is_some(),
            Self::Missing => found.is_none(),
            Self::Greater(bound) => compared(bound) == Some(Ordering::Greater),
            Self::Less(bound) => compared(bound) == Some(Ordering::Less),
            Self::Matches(pattern) => {
                found.and_then(|found| found.with_text(|text| pattern.whole.is_match(text))).unwrap_or(false)
            }
        }
    }
}

fn check_sizes(value: Option<&AnyScalar>, values: &[AnyScalar]) -> Result<(), InvalidCondition> {
    if values.len() > CONDITION_VALUES_MAX {
        return Err(InvalidCondition::TooManyValues { given: values.len() });
    }
    let bytes = |scalar: &AnyScalar| if let AnyScalar::Text(text) = scalar { text.len() } else { 0 };
    match value.into_iter().chain(values).map(bytes).max() {
        Some(bytes) if bytes > CONDITION_VALUE_BYTES_MAX => Err(InvalidCondition::ValueTooLong { bytes }),
        _ => Ok(()),
    }
}

impl Pattern {
    fn new(text: &str) -> Result<Self, InvalidCondition> {
        let refused =
            |error: regex::Error| InvalidCondition::Pattern { pattern: excerpt(text), why: words_of(&error) };
        // Alone first: `a)|(b` is no expression, though it would be one between the brackets.
        bounded(text).map_err(refused)?;
        let whole = bounded(&format!(r"\A(?:{text})\z")).map_err(refused)?;
        Ok(Self { text: text.into(), whole })
    }
}

fn bounded(pattern: &str) -> Result<Regex, regex::Error> {
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(PATTERN_COMPILED_BYTES_MAX).dfa_size_limit(PATTERN_COMPILED_BYTES_MAX);
    builder.nest_limit(PATTERN_DEPTH_MAX).build()
}

fn words_of(error: &regex::Error) -> String {
    if let regex::Error::CompiledTooBig(_) = error {
        let kib = PATTERN_COMPILED_BYTES_MAX / 1024;
        return format!(
            "it grows beyond {kib} KiB when compiled; use smaller repetitions, and [a-z0-9] for \\w"
        );
    }
    // The last line says what is wrong, those above it show where.
    error.to_string().lines().last().unwrap_or_default().replace("error: ", "")
}

/// What a condition finds in an object, beside what it wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a> {
    condition: &'a Condition,
    object: &'a Object,
}

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Condition { place, test } = self.condition;
        let Some(found) = place.find(self.object) else { return write!(f, "{place} is missing") };
        let holds = test.holds(Some(&found));
        let not = if holds { "" } else { "not " };
        match test {
            Test::Exists | Test::Missing => return write!(f, "{place} is there"),
            _ if place.is_confidential() => {
                return write!(f, "{place} is {not}as it should be; it is not shown");
            }
            _ => write!(f, "{place} is {}", place.excerpt(&found))?,
        }
        match test {
            Test::OneOf(literals) if holds && literals.len() == 1 => Ok(()),
            Test::NoneOf(literals) if !holds && literals.len() == 1 => Ok(()),
            Test::OneOf(literals) => write_listed(f, if holds { ", " } else { ", not " }, literals),
            Test::NoneOf(literals) => write_listed(f, if holds { ", not " } else { ", " }, literals),
            Test::Exists | Test::Missing => Ok(()),
            Test::Greater(bound) | Test::Less(bound) if bound.compare(&found).is_none() => {
                write!(f, ", not {}", bound.wanted())
            }
            Test::Greater(bound) => write!(f, ", {not}greater than {bound}"),
            Test::Less(bound) => write!(f, ", {not}less than {bound}"),
            Test::Matches(pattern) if holds => write!(f, ", as in {}", pattern.text),
            Test::Matches(pattern) => write!(f, ", not as in {}", pattern.text),
        }
    }
}

fn write_listed(f: &mut fmt::Formatter<'_>, start: &str, literals: &[Literal]) -> fmt::Result {
    f.write_str(start)?;
    if literals.len() > 1 {
        f.write_str("one of ")?;
    }
    for (index, literal) in literals.iter().enumerate() {
        write!(f, "{}{literal}", if index > 0 { ", " } else { "" })?;
    }
    Ok(())
}
