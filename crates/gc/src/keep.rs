//! The newest or oldest objects of each group, which stay whatever their time to live.

use std::fmt;

use api::garbage_collection::{GroupBy, Keep};
use jiff::{SignedDuration, Timestamp};
use units::{FieldPath, KeyPath, Value, span_text};

use crate::invalid::Invalid;
use crate::limits::MIN_AGE_MAX;
use crate::object::Object;
use crate::owners::{owner_path, owners};
use crate::policy::{between, path};

/// How many of each group are kept.
#[derive(Clone, Debug)]
pub(crate) struct KeepRule {
    pub(crate) end: End,
    pub(crate) count: usize,
    group_by: Grouping,
    min_age: SignedDuration,
}

/// Which end of the ages is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Those that were created last.
    Newest,
    /// Those that were created first.
    Oldest,
}

#[derive(Clone, Debug)]
enum Grouping {
    Namespace,
    Label(Box<str>),
    Owner,
    Field(FieldPath),
}

impl End {
    /// Why an object is kept, in one word.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Newest => "Newest",
            Self::Oldest => "Oldest",
        }
    }
}

impl KeepRule {
    pub(crate) fn compile(keep: &Keep) -> Result<Self, Invalid> {
        let one_of = |problem: &str| Invalid::Field { field: "keep", problem: problem.to_owned() };
        let (end, count) = match (keep.newest, keep.oldest) {
            (Some(count), None) => (End::Newest, count),
            (None, Some(count)) => (End::Oldest, count),
            _ => return Err(one_of("write exactly one of newest and oldest")),
        };
        let group_by = match &keep.group_by {
            None => Grouping::Namespace,
            Some(GroupBy { label: Some(label), owner: None, field_path: None }) => {
                Grouping::Label(label.as_str().into())
            }
            Some(GroupBy { label: None, owner: Some(true), field_path: None }) => Grouping::Owner,
            Some(GroupBy { label: None, owner: None, field_path: Some(field) }) => {
                Grouping::Field(path("keep.groupBy.fieldPath", field)?)
            }
            Some(_) => return Err(one_of("groupBy needs exactly one of label, `owner: true` and fieldPath")),
        };
        let min_age = match &keep.min_age {
            None => SignedDuration::ZERO,
            Some(text) => {
                let longest = MIN_AGE_MAX.unsigned_abs();
                let age = between("keep.minAge", text, std::time::Duration::from_secs(1), longest)?;
                SignedDuration::try_from(age).unwrap_or(MIN_AGE_MAX)
            }
        };
        Ok(Self { end, count: usize::try_from(count).unwrap_or(usize::MAX), group_by, min_age })
    }

    /// When an object is old enough to go.
    pub(crate) fn old_enough_at(&self, created: Timestamp) -> Timestamp {
        created.checked_add(self.min_age).unwrap_or(Timestamp::MAX)
    }

    /// The group that an object belongs to, among those of its namespace and kind.
    pub(crate) fn group_of(&self, object: &Object) -> Box<str> {
        match &self.group_by {
            Grouping::Namespace => "".into(),
            Grouping::Label(key) => object.labels.get(key).unwrap_or_default().into(),
            Grouping::Owner => owner_of(object).unwrap_or_default(),
            Grouping::Field(path) => object.value(path).map(|value| text_of(&value)).unwrap_or_default(),
        }
    }

    pub(crate) fn reads(&self) -> Vec<KeyPath> {
        match &self.group_by {
            Grouping::Namespace | Grouping::Label(_) => Vec::new(),
            Grouping::Owner => vec![owner_path().clone()],
            Grouping::Field(path) => {
                Vec::from_iter((!Object::holds(path.prefix())).then(|| path.prefix().clone()))
            }
        }
    }
}

impl fmt::Display for KeepRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match self.end {
            End::Newest => "newest",
            End::Oldest => "oldest",
        };
        write!(f, "all but the {end} {}", self.count)?;
        match &self.group_by {
            Grouping::Namespace => {}
            Grouping::Label(label) => write!(f, " per {label}")?,
            Grouping::Owner => write!(f, " per owner")?,
            Grouping::Field(path) => write!(f, " per {path}")?,
        }
        if self.min_age > SignedDuration::ZERO {
            write!(f, " after {}", span_text(self.min_age.as_secs()))?;
        }
        Ok(())
    }
}

/// The UID of the controlling owner, or else of the first one.
fn owner_of(object: &Object) -> Option<Box<str>> {
    let owner = owners(object).find(|owner| owner.is_controller).or_else(|| owners(object).next())?;
    Some(owner.uid.into())
}

/// A value as a group's name: equal values have equal names.
fn text_of(value: &Value) -> Box<str> {
    match value {
        Value::Text(text) => text.clone(),
        other => serde_json::to_string(other).unwrap_or_default().into(),
    }
}
