//! Paths as zen-gc read them.
//!
//! It split a path at its dots and looked the pieces up as keys. Brackets and quotes meant nothing to it; escaped dots
//! only in the times to live of its later releases.

use units::{FieldPath, Segment};

use super::Converter;
use crate::import::notes::{Bearing, Refused};
use crate::import::zen::Line;

/// Which part of zen-gc reads a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Ttl,
    Conditions,
}

/// A path, as we write it.
#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) text: String,
    /// Its keys; none if there are other steps.
    keys: Option<Vec<String>>,
    /// Whether zen-gc looked at the same place.
    pub(super) was_followed: bool,
}

impl Path {
    /// Whether what lies there is a text in every object that has it.
    pub(super) fn is_text(&self) -> bool {
        let Some(keys) = &self.keys else { return false };
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        matches!(
            &*keys,
            ["metadata", "labels" | "annotations", _]
                | ["metadata", "name" | "namespace" | "uid" | "generateName" | "creationTimestamp"]
                | ["status", "phase"]
                | ["apiVersion" | "kind"]
        )
    }

    /// Whether it leads below a label or an annotation, where nothing is.
    pub(super) fn is_below_a_text(&self) -> bool {
        let keys = self.keys.iter().flatten().map(String::as_str).collect::<Vec<_>>();
        matches!(&*keys, ["metadata", "labels" | "annotations", _, _, ..])
    }
}

impl Converter {
    /// Reads a path as we do, and says so if zen-gc looked elsewhere.
    pub(super) fn path(&mut self, given: &str, field: &str, reader: Reader) -> Result<Path, Refused> {
        let path: FieldPath = given.parse().map_err(|error: units::InvalidFieldPath| {
            Refused::new(field, format!("{error}; zen-gc found nothing there"))
        })?;
        let keys = path.segments().iter().map(|segment| match segment {
            Segment::Key(key) => Some(key.to_string()),
            Segment::Index(_) | Segment::Where { .. } => None,
        });
        let keys: Option<Vec<_>> = keys.collect();
        let escapes = reader == Reader::Ttl && self.line != Line::KubeZen;
        let was_followed = keys.as_ref().is_some_and(|keys| *keys == old_keys(given, escapes));
        let path = Path { text: path.to_string(), keys, was_followed };
        if !was_followed {
            let message = format!("zen-gc did not understand the path `{given}` and found nothing there");
            self.notes.add(Bearing::NewlyMatches, field, message);
        } else if path.is_below_a_text() {
            let message = format!(
                "nothing lies at `{given}`, here as there: a dot in the key of a label or an annotation is written `\\.`"
            );
            self.notes.add(Bearing::MatchesNothing, field, message);
        }
        Ok(path)
    }
}

/// The keys that zen-gc looked up.
fn old_keys(given: &str, escapes: bool) -> Vec<String> {
    if !escapes {
        return given.split('.').map(str::to_owned).collect();
    }
    given.replace("\\.", "\0").split('.').map(|key| key.replace('\0', ".")).collect()
}
