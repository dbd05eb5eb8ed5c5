//! When an object's time is up.

use api::IntOrText;
use api::garbage_collection::Ttl;
use api::limits::TTL_SECONDS_MAX;

use super::Converter;
use super::path::Reader;
use crate::import::notes::{Bearing, Refused};
use crate::import::zen::{Line, ZenTtl};

/// Words of one field that we map.
const MAPPINGS_MAX: usize = 64;

impl Converter {
    /// The first way that is given counts, as in zen-gc: from creation, by a field, relative to a moment.
    pub(super) fn ttl(&mut self, given: Option<&ZenTtl>) -> Result<Ttl, Refused> {
        let given =
            given.ok_or_else(|| Refused::new("spec.ttl", "it is missing, so zen-gc deleted nothing"))?;
        self.unknown("spec.ttl", &given.unknown);
        let path = given.field_path.as_deref().filter(|path| !path.is_empty());
        let relative = given.relative_to.as_deref().filter(|path| !path.is_empty()).zip(given.seconds_after);
        match (given.seconds_after_creation, path, relative) {
            (Some(seconds), path, relative) => {
                self.after_creation(seconds, path.is_some() || relative.is_some())
            }
            (None, Some(path), relative) => self.by_field(path, given, relative.is_some()),
            (None, None, Some((path, seconds))) => self.relative(path, seconds),
            (None, None, None) => {
                let reason = "it says no time to live, so zen-gc deleted nothing: write secondsAfterCreation";
                Err(Refused::new("spec.ttl", reason))
            }
        }
    }

    fn after_creation(&mut self, seconds: i64, has_others: bool) -> Result<Ttl, Refused> {
        let field = "spec.ttl.secondsAfterCreation";
        if seconds <= 0 {
            let meant = if has_others {
                "leave it out, so that the other field counts"
            } else {
                "write how long they live"
            };
            let reason = format!(
                "with {seconds} zen-gc deletes everything that the policy selects at once, whatever else ttl says: \
                 {meant}, or write 1 if that is meant"
            );
            return Err(Refused::new(field, reason));
        }
        let seconds = within(seconds, field)?;
        if has_others {
            let message = "zen-gc read only this of ttl; fieldPath and relativeTo are left out";
            self.notes.add(Bearing::Told, field, message);
        }
        Ok(Ttl { seconds_after_creation: Some(seconds), ..Ttl::default() })
    }

    fn by_field(&mut self, given_path: &str, given: &ZenTtl, has_relative: bool) -> Result<Ttl, Refused> {
        let field = "spec.ttl.fieldPath";
        let path = self.path(given_path, field, Reader::Ttl)?;
        let mappings = given.mappings.clone().unwrap_or_default();
        if mappings.len() > MAPPINGS_MAX {
            return Err(Refused::new("spec.ttl.mappings", format!("there are more than {MAPPINGS_MAX}")));
        }
        if has_relative {
            self.notes.add(Bearing::Told, field, "zen-gc read only this of ttl; relativeTo is left out");
        }
        if path.was_followed && !path.is_below_a_text() {
            self.texts(
                &mappings.keys().map(String::as_str).collect::<Vec<_>>(),
                given.default.is_some(),
                path.is_text(),
            );
        }
        let mapped = |(word, seconds): (String, i64)| {
            let seconds = within(seconds, &format!("spec.ttl.mappings['{word}']"))?;
            Ok((word, IntOrText::Int(seconds)))
        };
        let default = given.default.map(|seconds| within(seconds, "spec.ttl.default")).transpose()?;
        Ok(Ttl {
            field_path: Some(path.text),
            mappings: mappings.into_iter().map(mapped).collect::<Result<_, Refused>>()?,
            default: default.map(IntOrText::Int),
            ..Ttl::default()
        })
    }

    /// What zen-gc made of a text in the field, and what we make of it.
    fn texts(&mut self, words: &[&str], has_default: bool, is_text: bool) {
        let field = "spec.ttl.fieldPath";
        let where_ =
            if is_text { "what lies there is always a text" } else { "where the field holds a text" };
        let message = match (words.is_empty(), has_default) {
            (true, false) => format!(
                "zen-gc read only whole numbers, and {where_}: one such as `3600` or `5d12h` counts here, and counted \
                 for nothing there"
            ),
            (true, true) => format!(
                "zen-gc read only whole numbers, and {where_}: one such as `3600` or `5d12h` counts here, for any other \
                 the default does, and there neither counted"
            ),
            (false, true) => format!(
                "{where_}: one that mappings lacks, such as `3600` or `5d12h`, counts here, and there the default did"
            ),
            (false, false) => format!(
                "{where_}: one that mappings lacks, such as `3600` or `5d12h`, counts here, and counted for nothing there"
            ),
        };
        self.notes.add(Bearing::NewlyMatches, field, message);
    }

    fn relative(&mut self, given_path: &str, seconds: i64) -> Result<Ttl, Refused> {
        let field = "spec.ttl.relativeTo";
        let path = self.path(given_path, field, Reader::Ttl)?;
        if seconds != 0 {
            within(seconds, "spec.ttl.secondsAfter")?;
        }
        if path.was_followed {
            let message = match self.line {
                Line::ZenMesh => {
                    "zen-gc deletes by relativeTo only since July 2026; with an older build such a policy did nothing"
                }
                Line::KubeZen | Line::Nobody => "zen-gc of this group never deleted by relativeTo",
            };
            self.notes.add(Bearing::NewlyMatches, field, message);
        }
        Ok(Ttl { relative_to: Some(path.text), seconds_after: Some(seconds), ..Ttl::default() })
    }
}

fn within(seconds: i64, field: &str) -> Result<i64, Refused> {
    if (1..=TTL_SECONDS_MAX).contains(&seconds) {
        return Ok(seconds);
    }
    Err(Refused::new(
        field,
        format!("it is {seconds}: write a number of seconds from 1 to {TTL_SECONDS_MAX}"),
    ))
}
