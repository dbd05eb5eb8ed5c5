//! When an object's time is up, in each of the seven ways to say so.
//!
//! Compiled once per policy; asked for each object. Knows neither which objects are selected nor what is done about them.
//! What cannot be told of one object is said of that object, and it stays.
//!
//! Invariants: nothing falls due before its time in exact arithmetic; no value of an object means "at once"; what lies
//! beyond the last date (the year 9999) never falls due.

use std::fmt;

use api::IntOrText;
use api::garbage_collection::{MarkSource, Ttl};
use api::limits::TTL_SECONDS_MAX;
use expr::{Answer, AnswerKind, Expression, InvalidExpression, Stays};
use jiff::{SignedDuration, Timestamp};
use units::{FieldPath, InvalidFieldPath, InvalidSpan, KeyPath, Span, SpanOutOfBounds, Value};

use crate::limits::MAPPINGS_MAX;
use crate::literal::Literal;
use crate::marks::Marks;
use crate::moments::{Life, is_set, rfc3339};
use crate::object::Object;
use crate::place::{Found, Place, excerpt};
use crate::scope;

/// A way to say when an object's time is up, compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct When(Mode);

#[derive(Clone, Debug, PartialEq)]
enum Mode {
    After(Span),
    Field { place: Place, mappings: Vec<(Literal, SignedDuration)>, default: Option<SignedDuration> },
    Relative { place: Place, after: Span },
    At(Timestamp),
    Expression(Expression),
    Marks(Marks),
}

/// When an object's time is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// At this moment, which may be past.
    At(Timestamp),
    /// As things stand, never.
    Never(NotDue),
    /// It cannot be told.
    Unresolvable(Unresolved),
}

/// Why an object's time is never up, as things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotDue {
    /// It carries none of the marks.
    NoMark,
    /// The expression gives null.
    Null,
    /// Its mark says so, or its time is up after the year 9999.
    Forever,
}

/// Why it cannot be told when an object's time is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// It has no `creationTimestamp`.
    NoCreationTime,
    /// The field is missing.
    FieldMissing {
        /// The field.
        path: Box<str>,
    },
    /// The field or mark holds something else than it should.
    NotUnderstood {
        /// The field or mark.
        path: Box<str>,
        /// What it holds, shortened; never what may be secret.
        found: Box<str>,
        /// What it should hold.
        wanted: &'static str,
    },
    /// The field or mark holds a time to live of nothing or less.
    NotPositive {
        /// The field or mark.
        path: Box<str>,
        /// What it holds, shortened; never what may be secret.
        found: Box<str>,
    },
    /// A condition has no answer for this object.
    Condition {
        /// Why, in one line.
        message: Box<str>,
    },
    /// The expression has no answer for this object, or one that says nothing of a time.
    Expression {
        /// Why, in one line.
        message: Box<str>,
    },
}

/// Why a `ttl` cannot be acted on, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWhen {
    /// The expression gives something else than a time, whatever the object.
    #[error(
        "ttl.expression gives neither a timestamp nor a duration, whatever the object: write one, such as timestamp(object.status.completionTime) + duration('1h')"
    )]
    NeverATime,
    /// No way is chosen.
    #[error(
        "ttl says nothing: write one of secondsAfterCreation, after, fieldPath, relativeTo, at, expression and marks"
    )]
    NoMode,
    /// Several ways are chosen.
    #[error("ttl has {}: keep one of them, or write several policies", .given.join(" and "))]
    SeveralModes {
        /// All that are given.
        given: Vec<&'static str>,
    },
    /// A field that makes no sense without another.
    #[error("ttl.{given} belongs to {missing}: write {missing} too, or leave {given} out")]
    Apart {
        /// The field that is given.
        given: &'static str,
        /// The field that is missing.
        missing: &'static str,
    },
    /// A number out of its bounds.
    #[error(
        "ttl.{field} is {given}: write seconds from {least} to {TTL_SECONDS_MAX}, which is a hundred years"
    )]
    OutOfBounds {
        /// The field's path below `ttl`.
        field: Box<str>,
        /// What was written.
        given: i64,
        /// The least that is allowed.
        least: i64,
    },
    /// A text that is no duration.
    #[error("ttl.{field}: {fault}")]
    Duration {
        /// The field's path below `ttl`.
        field: Box<str>,
        /// What is wrong with it.
        fault: InvalidSpan,
    },
    /// A duration out of its bounds.
    #[error("ttl.{field}: {fault}")]
    DurationOutOfBounds {
        /// The field's path below `ttl`.
        field: Box<str>,
        /// What is wrong with it.
        fault: SpanOutOfBounds,
    },
    /// A text that is no moment.
    #[error("ttl.at is `{given}`: write a time such as `2027-01-01T00:00:00Z`")]
    Moment {
        /// What was written, shortened.
        given: Box<str>,
    },
    /// The path is not one.
    #[error("ttl.{field}: {fault}")]
    FieldPath {
        /// The field below `ttl`.
        field: &'static str,
        /// What is wrong with it.
        fault: InvalidFieldPath,
    },
    /// More words than anyone needs.
    #[error("ttl.mappings has {given} entries; at most {MAPPINGS_MAX} are allowed")]
    TooManyMappings {
        /// How many there are.
        given: usize,
    },
    /// The expression is not one.
    #[error("ttl.expression: {0}")]
    Expression(#[from] InvalidExpression),
    /// No tool's marks are read.
    #[error(
        "ttl.marks.sources is empty: write one of Groundskeeper, Kyverno, KubeJanitor and K8sTtlController"
    )]
    NoSources,
}

impl When {
    /// Checks and compiles a `ttl`.
    pub fn compile(ttl: &Ttl) -> Result<Self, InvalidWhen> {
        check_chosen(ttl)?;
        let mode = if let Some(seconds) = ttl.seconds_after_creation {
            Mode::After(seconds_within("secondsAfterCreation", seconds, 1)?)
        } else if let Some(text) = &ttl.after {
            Mode::After(duration_within("after", text)?)
        } else if let Some(path) = &ttl.field_path {
            field(path, ttl)?
        } else if let (Some(path), Some(seconds)) = (&ttl.relative_to, ttl.seconds_after) {
            let after = seconds_within("secondsAfter", seconds, 0)?;
            Mode::Relative { place: place("relativeTo", path)?, after }
        } else if let Some(text) = &ttl.at {
            Mode::At(rfc3339(text).ok_or_else(|| InvalidWhen::Moment { given: excerpt(text) })?)
        } else if let Some(text) = &ttl.expression {
            let expression = Expression::compile(text)?;
            let kinds = [AnswerKind::Time, AnswerKind::Span, AnswerKind::Text, AnswerKind::Null];
            if !kinds.into_iter().any(|kind| expression.can_give(kind)) {
                return Err(InvalidWhen::NeverATime);
            }
            Mode::Expression(expression)
        } else if let Some(marks) = &ttl.marks {
            Mode::Marks(checked_marks(&marks.sources)?)
        } else {
            return Err(InvalidWhen::NoMode);
        };
        Ok(Self(mode))
    }

    /// Whether objects say of themselves when they go, so that nothing goes unasked.
    pub const fn is_marked(&self) -> bool {
        matches!(self.0, Mode::Marks(_))
    }

    /// What has to be projected of each object.
    pub fn reads(&self) -> Vec<KeyPath> {
        match &self.0 {
            Mode::After(_) | Mode::At(_) => Vec::new(),
            Mode::Field { place, .. } | Mode::Relative { place, .. } => {
                place.reads().cloned().into_iter().collect()
            }
            Mode::Expression(expression) => scope::reads(expression).collect(),
            Mode::Marks(marks) => marks.reads().cloned().collect(),
        }
    }

    /// What its expression reads, if it is one; none if it is not.
    pub fn expression_reads(&self) -> &[KeyPath] {
        match &self.0 {
            Mode::Expression(expression) => expression.reads(),
            _ => &[],
        }
    }

    /// Whether it depends on the time, so that the answer for an unchanged object may change.
    pub fn uses_now(&self) -> bool {
        matches!(&self.0, Mode::Expression(expression) if expression.uses_now())
    }

    /// How long what it says of an object stays as it is.
    pub(crate) fn stays(&self, object: &Object, now: Timestamp) -> Stays {
        match &self.0 {
            Mode::Expression(expression) => scope::stays(expression, object, now),
            _ => Stays::ForGood,
        }
    }

    /// When an object's time is up. Only an expression asks for `now`.
    pub fn expiry(&self, object: &Object, now: Timestamp) -> Expiry {
        match &self.0 {
            Mode::After(span) => Expiry::after(object.created(), (*span).into()),
            Mode::Field { place, mappings, default } => match life(place, mappings, *default, object) {
                Ok(Life::Span(span)) => Expiry::after(object.created(), span),
                Ok(_) => Expiry::Never(NotDue::Forever),
                Err(unresolved) => Expiry::Unresolvable(unresolved),
            },
            Mode::Relative { place, after } => match moment(place, object) {
                Ok(base) => Expiry::after(Some(base), (*after).into()),
                Err(unresolved) => Expiry::Unresolvable(unresolved),
            },
            Mode::At(moment) => Expiry::At(*moment),
            Mode::Expression(expression) => expressed(expression, object, now),
            Mode::Marks(marks) => marks.expiry(object),
        }
    }
}

/// Exactly one way has to be chosen, and what belongs to it has to be there.
fn check_chosen(ttl: &Ttl) -> Result<(), InvalidWhen> {
    let modes = [
        ("secondsAfterCreation", ttl.seconds_after_creation.is_some()),
        ("after", ttl.after.is_some()),
        ("fieldPath", ttl.field_path.is_some()),
        ("relativeTo", ttl.relative_to.is_some()),
        ("at", ttl.at.is_some()),
        ("expression", ttl.expression.is_some()),
        ("marks", ttl.marks.is_some()),
    ];
    let given: Vec<_> = modes.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect();
    if given.len() > 1 {
        return Err(InvalidWhen::SeveralModes { given });
    }
    let apart = |given, missing| Err(InvalidWhen::Apart { given, missing });
    match (ttl.relative_to.is_some(), ttl.seconds_after.is_some()) {
        (true, false) => return apart("relativeTo", "secondsAfter"),
        (false, true) => return apart("secondsAfter", "relativeTo"),
        _ => {}
    }
    match (ttl.field_path.is_some(), ttl.mappings.is_empty(), ttl.default.is_some()) {
        (false, false, _) => apart("mappings", "fieldPath"),
        (false, true, true) => apart("default", "fieldPath"),
        _ => Ok(()),
    }
}

fn seconds_within(field: &str, seconds: i64, least: i64) -> Result<Span, InvalidWhen> {
    match u64::try_from(seconds) {
        Ok(given) if (least..=TTL_SECONDS_MAX).contains(&seconds) => Ok(Span::from_seconds(given)),
        _ => Err(InvalidWhen::OutOfBounds { field: field.into(), given: seconds, least }),
    }
}

fn duration_within(field: &str, text: &str) -> Result<Span, InvalidWhen> {
    let span: Span = text.parse().map_err(|fault| InvalidWhen::Duration { field: field.into(), fault })?;
    let most = Span::from_seconds(TTL_SECONDS_MAX.unsigned_abs());
    span.within(Span::from_seconds(1), most)
        .map_err(|fault| InvalidWhen::DurationOutOfBounds { field: field.into(), fault })
}

fn place(field: &'static str, path: &str) -> Result<Place, InvalidWhen> {
    let path: FieldPath = path.parse().map_err(|fault| InvalidWhen::FieldPath { field, fault })?;
    Ok(Place::new(path))
}

fn field(path: &str, ttl: &Ttl) -> Result<Mode, InvalidWhen> {
    if ttl.mappings.len() > MAPPINGS_MAX {
        return Err(InvalidWhen::TooManyMappings { given: ttl.mappings.len() });
    }
    let mapping = |(word, life): (&String, &IntOrText)| {
        Ok((Literal::text(word), written(&format!("mappings[{}]", excerpt(word)), life)?))
    };
    Ok(Mode::Field {
        place: place("fieldPath", path)?,
        mappings: ttl.mappings.iter().map(mapping).collect::<Result<_, InvalidWhen>>()?,
        default: ttl.default.as_ref().map(|life| written("default", life)).transpose()?,
    })
}

/// A time to live as the policy's author writes it.
fn written(field: &str, life: &IntOrText) -> Result<SignedDuration, InvalidWhen> {
    let span = match life {
        IntOrText::Int(seconds) => seconds_within(field, *seconds, 1)?,
        IntOrText::Text(text) => match text.parse() {
            Ok(seconds) => seconds_within(field, seconds, 1)?,
            Err(_) => duration_within(field, text)?,
        },
    };
    Ok(span.into())
}

fn checked_marks(sources: &[MarkSource]) -> Result<Marks, InvalidWhen> {
    if sources.is_empty() {
        return Err(InvalidWhen::NoSources);
    }
    Marks::new(sources).map_err(|fault| InvalidWhen::FieldPath { field: "marks", fault })
}

/// The time to live that a field holds: a word of the policy's, a number, a duration, or else the default.
fn life(
    place: &Place,
    mappings: &[(Literal, SignedDuration)],
    default: Option<SignedDuration>,
    object: &Object,
) -> Result<Life, Unresolved> {
    let default = default.map(Life::Span);
    let Some(found) = place.find(object) else {
        return default.ok_or_else(|| Unresolved::FieldMissing { path: place.to_string().into() });
    };
    if let Some((_, span)) = mappings.iter().find(|(word, _)| word.equals(&found)) {
        return Ok(Life::Span(*span));
    }
    match held(&found) {
        Life::NotPositive => Err(Unresolved::not_positive(place, &found)),
        Life::NotUnderstood => default.ok_or_else(|| {
            Unresolved::not_understood(place, &found, "a number of seconds or a duration such as 5d12h")
        }),
        life => Ok(life),
    }
}

fn held(found: &Found<'_>) -> Life {
    let value = match found {
        Found::Text(text) => return Life::of_text(text),
        Found::Time(_) => return Life::NotUnderstood,
        Found::Value(value) => &**value,
    };
    match value {
        Value::Int(seconds) => Life::of_seconds(*seconds),
        // A whole number that does not fit an integer.
        Value::Float(number) if number.fract() == 0.0 && *number > 0.0 => Life::Forever,
        Value::Float(number) if *number <= 0.0 => Life::NotPositive,
        Value::Text(text) => Life::of_text(text),
        _ => Life::NotUnderstood,
    }
}

/// The time that a field holds.
fn moment(place: &Place, object: &Object) -> Result<Timestamp, Unresolved> {
    let found =
        place.find(object).ok_or_else(|| Unresolved::FieldMissing { path: place.to_string().into() })?;
    if let Found::Time(time) = found {
        return Ok(time);
    }
    let wanted = "a time such as 2027-01-01T00:00:00Z";
    let time = found.with_text(rfc3339).flatten().filter(|time| is_set(*time));
    time.ok_or_else(|| Unresolved::not_understood(place, &found, wanted))
}

fn expressed(expression: &Expression, object: &Object, now: Timestamp) -> Expiry {
    let answer = match scope::evaluate(expression, object, now) {
        Ok(answer) => answer,
        Err(message) => return Expiry::failed(message),
    };
    match answer.as_time() {
        Some(time) if is_set(time) => return Expiry::At(time),
        Some(_) => return Expiry::failed("it gives a time before 1970, as of a time that was never set"),
        None => {}
    }
    match answer {
        Answer::Null => Expiry::Never(NotDue::Null),
        Answer::Span(span) if span.is_positive() => Expiry::after(object.created(), span),
        Answer::Span(_) => Expiry::failed("it gives a duration that is not positive"),
        Answer::Text(_) => Expiry::failed("it gives a text that is no time such as 2027-01-01T00:00:00Z"),
        other => {
            Expiry::failed(format!("it gives a {}, not a timestamp, a duration or null", other.type_name()))
        }
    }
}

impl Expiry {
    /// So long after a moment, which the caller takes from the object's creation if there is no other.
    pub(crate) fn after(base: Option<Timestamp>, span: SignedDuration) -> Self {
        let Some(base) = base else { return Self::Unresolvable(Unresolved::NoCreationTime) };
        base.checked_add(span).map_or(Self::Never(NotDue::Forever), Self::At)
    }

    fn failed(message: impl Into<Box<str>>) -> Self {
        Self::Unresolvable(Unresolved::Expression { message: message.into() })
    }
}

impl Unresolved {
    pub(crate) fn not_understood(place: &Place, found: &Found<'_>, wanted: &'static str) -> Self {
        Self::NotUnderstood { path: place.to_string().into(), found: place.excerpt(found), wanted }
    }

    pub(crate) fn not_positive(place: &Place, found: &Found<'_>) -> Self {
        Self::NotPositive { path: place.to_string().into(), found: place.excerpt(found) }
    }

    /// Why, in one word that programs may read.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoCreationTime => "NoCreationTime",
            Self::FieldMissing { .. } => "FieldMissing",
            Self::NotUnderstood { .. } => "NotUnderstood",
            Self::NotPositive { .. } => "NotPositive",
            Self::Condition { .. } => "ConditionFailed",
            Self::Expression { .. } => "ExpressionFailed",
        }
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCreationTime => f.write_str("it has no metadata.creationTimestamp"),
            Self::FieldMissing { path } => write!(f, "{path} is missing"),
            Self::NotUnderstood { path, found, wanted } => write!(f, "{path} is {found}, not {wanted}"),
            Self::NotPositive { path, found } => {
                write!(f, "{path} is {found}: a time to live has to be positive")
            }
            Self::Condition { message } => f.write_str(message),
            Self::Expression { message } => write!(f, "ttl.expression: {message}"),
        }
    }
}

impl NotDue {
    /// Why, in one word that programs may read.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoMark => "NoMark",
            Self::Null => "NotDue",
            Self::Forever => "Forever",
        }
    }
}

impl fmt::Display for NotDue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMark => "it carries no mark that says when its time is up",
            Self::Null => "the expression gives null",
            Self::Forever => "its time to live has no end",
        })
    }
}

/// In a few words, for the policy's status: `30m after creation`.
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Mode::After(span) => write!(f, "{span} after creation"),
            Mode::Field { place, .. } => write!(f, "{place} after creation"),
            Mode::Relative { place, after } if after.is_zero() => write!(f, "{place}"),
            Mode::Relative { place, after } => write!(f, "{place} + {after}"),
            Mode::At(moment) => write!(f, "at {moment}"),
            Mode::Expression(_) => f.write_str("by expression"),
            Mode::Marks(marks) => write!(f, "by marks of {marks}"),
        }
    }
}

#[cfg(test)]
mod tests;
