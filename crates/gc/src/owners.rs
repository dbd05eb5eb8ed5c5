//! The owners that an object names in its metadata.

use std::fmt;

use api::garbage_collection::{OwnerSelector, OwnerState};
use units::{KeyPath, Value};

use crate::limits::OWNER_KINDS_MAX;
use crate::object::Object;
use crate::place::excerpt;
use crate::target::InvalidTarget;

/// An owner that an object names; whether it exists is not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    /// Its group and version; empty if the object does not say.
    pub api_version: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// Its name, in the object's namespace or in none.
    pub name: &'a str,
    /// Its incarnation.
    pub uid: &'a str,
    /// Whether it manages the object.
    pub is_controller: bool,
}

/// The owners of an object, in its order; none if nobody reads [`owner_path`] of its kind.
pub fn owners(object: &Object) -> impl Iterator<Item = Owner<'_>> {
    let held = object.fields.get(owner_path());
    let listed = if let Some(Value::List(owners)) = held { &**owners } else { &[] };
    listed.iter().map(|owner| {
        let text = |key| owner.get(key).and_then(Value::as_text).unwrap_or_default();
        Owner {
            api_version: text("apiVersion"),
            kind: text("kind"),
            name: text("name"),
            uid: text("uid"),
            is_controller: owner.get("controller") == Some(&Value::Bool(true)),
        }
    })
}

/// Where an object names its owners.
pub fn owner_path() -> &'static KeyPath {
    static PATH: std::sync::LazyLock<KeyPath> =
        std::sync::LazyLock::new(|| ["metadata", "ownerReferences"].into_iter().collect());
    &PATH
}

/// What the owners of an object must be like, compiled.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnerRule {
    is: Option<OwnerState>,
    kinds: Box<[Box<str>]>,
}

/// What owners say, as far as it can be told without looking for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owned {
    AsWanted,
    /// As wanted if none of them exists any more.
    IfGone,
    Unwanted(OwnerUnwanted),
}

/// Why an object's owners are not as a policy wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerUnwanted {
    /// It has none, and should have one.
    NoOwner,
    /// It has one, and should have none.
    HasOwner,
    /// None of them is of a wanted kind.
    OtherKind,
}

impl OwnerRule {
    pub(crate) fn new(selector: &OwnerSelector) -> Result<Self, InvalidTarget> {
        match (selector.is, selector.kinds.len()) {
            (None, 0) => return Err(InvalidTarget::OwnerSaysNothing),
            (Some(OwnerState::Absent), 1..) => return Err(InvalidTarget::OwnerContradicts),
            (_, given) if given > OWNER_KINDS_MAX => {
                return Err(InvalidTarget::TooMany { field: "owner.kinds", given, most: OWNER_KINDS_MAX });
            }
            _ => {}
        }
        if let Some(kind) = selector.kinds.iter().find(|kind| !is_kind(kind)) {
            return Err(InvalidTarget::Kind { field: "owner.kinds", given: excerpt(kind) });
        }
        Ok(Self { is: selector.is, kinds: selector.kinds.iter().map(|kind| kind.as_str().into()).collect() })
    }

    pub(crate) fn judge(&self, object: &Object) -> Owned {
        let is_owned = owners(object).next().is_some();
        let is_wanted_kind = |owner: Owner<'_>| self.kinds.iter().any(|kind| **kind == *owner.kind);
        match (self.is, is_owned) {
            (Some(OwnerState::Absent), true) => Owned::Unwanted(OwnerUnwanted::HasOwner),
            (Some(OwnerState::Absent), false) => Owned::AsWanted,
            (_, false) => Owned::Unwanted(OwnerUnwanted::NoOwner),
            _ if !self.kinds.is_empty() && !owners(object).any(is_wanted_kind) => {
                Owned::Unwanted(OwnerUnwanted::OtherKind)
            }
            (Some(OwnerState::Gone), true) => Owned::IfGone,
            (Some(OwnerState::Present) | None, true) => Owned::AsWanted,
        }
    }
}

pub(crate) fn is_kind(kind: &str) -> bool {
    kind.len() <= units::KIND_BYTES_MAX
        && kind.starts_with(|c: char| c.is_ascii_alphabetic())
        && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

impl fmt::Display for OwnerUnwanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoOwner => "it has no owner",
            Self::HasOwner => "it has an owner",
            Self::OtherKind => "none of its owners is of the kinds in owner.kinds",
        })
    }
}
