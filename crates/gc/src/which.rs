//! Which of the selected objects are collected: conditions on their fields, and an expression.
//!
//! Everything is checked and prepared once; judging an object by its fields makes nothing new. Knows neither when an
//! object's time is up nor which policy asks. What can fail on one object is its expression, and that is said of it.

use std::fmt;

use api::garbage_collection::{Conditions, FieldCondition, KeyCondition, Term};
use expr::{Answer, AnswerKind, Expression, InvalidExpression, Stays};
use jiff::Timestamp;
use units::KeyPath;

pub use crate::condition::InvalidCondition;

use crate::condition::{Condition, Keyed};
use crate::limits::{CONDITIONS_MAX, KEY_CONDITIONS_MAX};
use crate::object::Object;
use crate::place::Place;
use crate::scope;

/// What an object must be like to be collected, compiled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Which {
    /// All hold.
    clauses: Box<[Clause]>,
    when: Option<Expression>,
}

/// Whether an object is as it must be.
#[derive(Clone, Debug)]
pub enum Held<'a> {
    /// It is.
    Yes,
    /// It is not; the first condition that does not hold.
    No(Unmet<'a>),
    /// It cannot be told: why the expression has no answer for this object.
    Failed(String),
}

/// A condition that does not hold of an object; its words are only put together when they are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Unmet<'a>(Missed<'a>);

#[derive(Clone, Copy, Debug)]
enum Missed<'a> {
    Clause(&'a Clause, &'a Object),
    When,
}

/// Conditions, of which all, one or none has to hold.
#[derive(Clone, Debug, PartialEq)]
enum Clause {
    One(Condition),
    All(Box<[Clause]>),
    Any(Box<[Clause]>),
    None(Box<[Clause]>),
}

/// Why conditions cannot be acted on, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWhich {
    /// A condition is wrong.
    #[error("{at}: {fault}")]
    Condition {
        /// Its path below `spec`.
        at: String,
        /// What is wrong with it.
        fault: InvalidCondition,
    },
    /// A condition says nothing, or several things.
    #[error("{at}: a condition needs exactly one of fieldPath, and, or and not")]
    NotOne {
        /// Its path below `spec`.
        at: String,
    },
    /// A field without an operator, or the other way round.
    #[error("{at}: fieldPath and operator belong together")]
    Apart {
        /// Its path below `spec`.
        at: String,
    },
    /// More conditions than anyone reads.
    #[error("{at} has {given} entries; at most {most} are allowed")]
    TooMany {
        /// The list's path below `spec`.
        at: String,
        /// How many there are.
        given: usize,
        /// How many are allowed.
        most: usize,
    },
    /// The expression gives something else than true or false, whatever the object.
    #[error(
        "when is neither true nor false, whatever the object: compare something, such as object.spec.replicas == 0"
    )]
    NeverATruth,
    /// The expression is not one.
    #[error("when: {0}")]
    When(#[from] InvalidExpression),
}

impl Which {
    /// Checks and compiles conditions and expression; none of both is met by everything.
    pub fn compile(conditions: Option<&Conditions>, when: Option<&str>) -> Result<Self, InvalidWhich> {
        let clauses = conditions.map(clauses).transpose()?.unwrap_or_default();
        let when = when.map(Expression::compile).transpose()?;
        if when.as_ref().is_some_and(|when| !when.can_give(AnswerKind::Bool)) {
            return Err(InvalidWhich::NeverATruth);
        }
        Ok(Self { clauses: clauses.into_boxed_slice(), when })
    }

    /// What has to be projected of each object.
    pub fn reads(&self) -> Vec<KeyPath> {
        let mut reads = Vec::new();
        self.clauses.iter().for_each(|clause| clause.add_reads(&mut reads));
        reads.extend(self.when.iter().flat_map(scope::reads));
        reads
    }

    /// What its expression reads; none if there is none.
    pub fn expression_reads(&self) -> &[KeyPath] {
        self.when.as_ref().map(Expression::reads).unwrap_or_default()
    }

    /// Whether it depends on the time, so that an object that is not met now may be met later.
    pub fn uses_now(&self) -> bool {
        self.when.as_ref().is_some_and(Expression::uses_now)
    }

    /// How long what it makes of an object stays as it is.
    pub(crate) fn stays(&self, object: &Object, now: Timestamp) -> Stays {
        self.when.as_ref().map_or(Stays::ForGood, |when| scope::stays(when, object, now))
    }

    /// Whether everything meets it.
    pub fn is_empty(&self) -> bool {
        self.clauses.is_empty() && self.when.is_none()
    }

    /// Whether an object is as it must be.
    pub fn judge<'a>(&'a self, object: &'a Object, now: Timestamp) -> Held<'a> {
        if let Some(clause) = self.clauses.iter().find(|clause| !clause.holds(object)) {
            return Held::No(Unmet(Missed::Clause(clause, object)));
        }
        let Some(when) = &self.when else { return Held::Yes };
        match scope::evaluate(when, object, now) {
            Ok(Answer::Bool(true)) => Held::Yes,
            Ok(Answer::Bool(false)) => Held::No(Unmet(Missed::When)),
            Ok(answer) => Held::Failed(format!(
                "when gives {} {}, neither true nor false",
                article(answer.type_name()),
                answer.type_name()
            )),
            Err(message) => Held::Failed(format!("when: {message}")),
        }
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn clauses(conditions: &Conditions) -> Result<Vec<Clause>, InvalidWhich> {
    let mut clauses = Vec::new();
    if !conditions.phase.is_empty() {
        check_count("conditions.phase", conditions.phase.len(), CONDITIONS_MAX)?;
        let place = "status.phase".parse().map(Place::new).map_err(InvalidCondition::from);
        let place =
            place.map_err(|fault| InvalidWhich::Condition { at: "conditions.phase".to_owned(), fault })?;
        clauses.push(Clause::One(Condition::one_of(place, &conditions.phase)));
    }
    clauses.extend(keyed("conditions.hasLabels", Keyed::Label, &conditions.has_labels)?);
    clauses.extend(keyed("conditions.hasAnnotations", Keyed::Annotation, &conditions.has_annotations)?);
    clauses.extend(terms("conditions.and", &conditions.and)?);
    let any = terms("conditions.or", &conditions.or)?;
    if !any.is_empty() {
        clauses.push(Clause::Any(any.into_boxed_slice()));
    }
    let none = terms("conditions.not", &conditions.not)?;
    if !none.is_empty() {
        clauses.push(Clause::None(none.into_boxed_slice()));
    }
    Ok(clauses)
}

fn keyed(at: &str, keyed: Keyed, conditions: &[KeyCondition]) -> Result<Vec<Clause>, InvalidWhich> {
    check_count(at, conditions.len(), KEY_CONDITIONS_MAX)?;
    let compile = |(index, condition)| {
        Condition::on_key(keyed, condition)
            .map(Clause::One)
            .map_err(|fault| InvalidWhich::Condition { at: format!("{at}[{index}]"), fault })
    };
    conditions.iter().enumerate().map(compile).collect()
}

fn terms(at: &str, terms: &[Term]) -> Result<Vec<Clause>, InvalidWhich> {
    check_count(at, terms.len(), CONDITIONS_MAX)?;
    terms.iter().enumerate().map(|(index, given)| term(&format!("{at}[{index}]"), given)).collect()
}

fn term(at: &str, term: &Term) -> Result<Clause, InvalidWhich> {
    let groups = [&term.and, &term.or, &term.not].into_iter().filter(|group| !group.is_empty()).count();
    let at = || at.to_owned();
    match (&term.field_path, term.operator, groups) {
        (Some(field_path), Some(operator), 0) => {
            let condition = FieldCondition {
                field_path: field_path.clone(),
                operator,
                value: term.value.clone(),
                values: term.values.clone(),
            };
            field(&at(), &condition)
        }
        (Some(_), None, 0) | (None, Some(_), _) => Err(InvalidWhich::Apart { at: at() }),
        (None, None, 1) => group(&at(), term),
        _ => Err(InvalidWhich::NotOne { at: at() }),
    }
}

/// A term of which exactly one group has conditions.
fn group(at: &str, term: &Term) -> Result<Clause, InvalidWhich> {
    let compile = |name: &str, conditions: &[FieldCondition]| {
        let at = format!("{at}.{name}");
        check_count(&at, conditions.len(), CONDITIONS_MAX)?;
        let compile = |(index, condition)| field(&format!("{at}[{index}]"), condition);
        conditions.iter().enumerate().map(compile).collect::<Result<_, _>>()
    };
    if !term.and.is_empty() {
        return Ok(Clause::All(compile("and", &term.and)?));
    }
    if !term.or.is_empty() {
        return Ok(Clause::Any(compile("or", &term.or)?));
    }
    Ok(Clause::None(compile("not", &term.not)?))
}

fn field(at: &str, condition: &FieldCondition) -> Result<Clause, InvalidWhich> {
    Condition::new(condition)
        .map(Clause::One)
        .map_err(|fault| InvalidWhich::Condition { at: at.to_owned(), fault })
}

fn check_count(at: &str, given: usize, most: usize) -> Result<(), InvalidWhich> {
    if given > most { Err(InvalidWhich::TooMany { at: at.to_owned(), given, most }) } else { Ok(()) }
}

impl Clause {
    fn holds(&self, object: &Object) -> bool {
        match self {
            Self::One(condition) => condition.holds(object),
            Self::All(clauses) => clauses.iter().all(|clause| clause.holds(object)),
            Self::Any(clauses) => clauses.iter().any(|clause| clause.holds(object)),
            Self::None(clauses) => !clauses.iter().any(|clause| clause.holds(object)),
        }
    }

    fn add_reads(&self, reads: &mut Vec<KeyPath>) {
        match self {
            Self::One(condition) => reads.extend(condition.reads().cloned()),
            Self::All(clauses) | Self::Any(clauses) | Self::None(clauses) => {
                clauses.iter().for_each(|clause| clause.add_reads(reads));
            }
        }
    }

    /// What is the case of the object: for conditions that do not hold as they should, why not; for others, why.
    fn write(&self, f: &mut fmt::Formatter<'_>, object: &Object) -> fmt::Result {
        let write_first = |f: &mut fmt::Formatter<'_>, clauses: &[Self], holds: bool| {
            let culprit = clauses.iter().find(|clause| clause.holds(object) == holds);
            culprit.map_or(Ok(()), |clause| clause.write(f, object))
        };
        match (self, self.holds(object)) {
            (Self::One(condition), _) => write!(f, "{}", condition.words(object)),
            (Self::All(clauses), false) => write_first(f, clauses, false),
            (Self::Any(clauses), true) | (Self::None(clauses), false) => write_first(f, clauses, true),
            (Self::All(clauses) | Self::None(clauses), true) | (Self::Any(clauses), false) => {
                for (index, clause) in clauses.iter().enumerate() {
                    f.write_str(if index > 0 { " and " } else { "" })?;
                    clause.write(f, object)?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Unmet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Missed::Clause(clause, object) => clause.write(f, object),
            Missed::When => f.write_str("when is false"),
        }
    }
}

#[cfg(test)]
mod tests;
