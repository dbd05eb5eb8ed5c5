//! What is to be said of a conversion.

use serde::Serialize;

/// What something means for the objects that a policy collects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Bearing {
    /// The policy cannot be converted.
    NotConverted,
    /// Objects match that zen-gc never deleted.
    NewlyMatches,
    /// Nothing matches, here as there, which can hardly have been meant.
    MatchesNothing,
    /// Objects match no more that zen-gc deleted.
    NoLongerMatches,
    /// What is done with objects differs.
    ActsOtherwise,
    /// Somebody has to do something before it works.
    ToDo,
    /// Something that zen-gc did not know either is left out.
    LeftOut,
    /// Worth knowing; the same objects are collected.
    Told,
}

impl Bearing {
    /// How a line of the report begins.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::NotConverted => "not converted",
            Self::NewlyMatches => "newly matches",
            Self::MatchesNothing => "matches nothing",
            Self::NoLongerMatches => "no longer matches",
            Self::ActsOtherwise => "acts otherwise",
            Self::ToDo => "to do",
            Self::LeftOut => "left out",
            Self::Told => "note",
        }
    }
}

/// One thing to be said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Note {
    pub(super) bearing: Bearing,
    /// The field of zen-gc's policy that it is about.
    pub(super) field: String,
    pub(super) message: String,
}

/// Why a policy cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) field: String,
    pub(super) reason: String,
}

impl Refused {
    pub(super) fn new(field: &str, reason: impl Into<String>) -> Self {
        Self { field: field.to_owned(), reason: reason.into() }
    }
}

/// What has been said so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    pub(super) fn add(&mut self, bearing: Bearing, field: &str, message: impl Into<String>) {
        self.0.push(Note { bearing, field: field.to_owned(), message: message.into() });
    }

    /// The weightiest first.
    pub(super) fn sorted(mut self) -> Vec<Note> {
        self.0.sort_by_key(|note| note.bearing);
        self.0
    }
}
