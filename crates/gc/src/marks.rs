//! What objects say of themselves, in our words and in those of other tools.
//!
//! Each tool's values are read as the tool reads them, but for what would delete earlier than its author may have meant:
//! a part that is not understood, a time to live of nothing, a time to count from that is no time. Such an object stays.

use std::fmt;

use api::garbage_collection::MarkSource;
use jiff::Timestamp;
use units::{InvalidFieldPath, KeyPath};
use views::{
    EXPIRES_ANNOTATION, JANITOR_EXPIRES_ANNOTATION, JANITOR_TTL_ANNOTATION, KYVERNO_TTL_LABEL,
    TTL_ANNOTATION, TTL_CONTROLLER_REFRESHED_AT_ANNOTATION, TTL_CONTROLLER_TTL_ANNOTATION,
};

use crate::moments::{Life, is_set, rfc3339, utc};
use crate::object::Object;
use crate::place::Place;
use crate::when::{Expiry, NotDue, Unresolved};

/// The marks of some tools.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    sources: Vec<MarkSource>,
    marks: Vec<Mark>,
}

/// The marks follow from the sources.
impl PartialEq for Marks {
    fn eq(&self, other: &Self) -> bool {
        self.sources == other.sources
    }
}

/// One annotation or label.
#[derive(Clone, Debug)]
struct Mark {
    place: Place,
    read: fn(&str) -> Meaning,
    /// What a time to live counts from if it is there, instead of the object's creation.
    base: Option<Place>,
    /// What it has to be, for messages.
    wanted: &'static str,
}

/// What a mark says.
enum Meaning {
    Lives(Life),
    Until(Timestamp),
}

const DURATION: &str = "a duration such as 5d12h";
const MOMENT: &str = "a time such as 2027-01-01T00:00:00Z";

impl Marks {
    pub(crate) fn new(sources: &[MarkSource]) -> Result<Self, InvalidFieldPath> {
        let mut sources = sources.to_vec();
        sources.sort_unstable();
        sources.dedup();
        let mut marks = Vec::new();
        for source in &sources {
            marks.extend(marks_of(*source)?);
        }
        Ok(Self { sources, marks })
    }

    pub(crate) fn reads(&self) -> impl Iterator<Item = &KeyPath> {
        let places = self.marks.iter().flat_map(|mark| [Some(&mark.place), mark.base.as_ref()]);
        places.flatten().filter_map(Place::reads)
    }

    /// The earliest of what an object's marks say; one that cannot be read makes the others count for nothing.
    pub(crate) fn expiry(&self, object: &Object) -> Expiry {
        let mut earliest = Expiry::Never(NotDue::NoMark);
        for mark in &self.marks {
            match (mark.expiry(object), &earliest) {
                (Some(unresolvable @ Expiry::Unresolvable(_)), _) => return unresolvable,
                (Some(Expiry::At(time)), Expiry::At(earlier)) if *earlier <= time => {}
                (Some(Expiry::Never(_)), Expiry::At(_)) | (None, _) => {}
                (Some(expiry), _) => earliest = expiry,
            }
        }
        earliest
    }
}

fn marks_of(source: MarkSource) -> Result<Vec<Mark>, InvalidFieldPath> {
    let mark = |place, read, wanted| Mark { place, read, base: None, wanted };
    Ok(match source {
        MarkSource::Groundskeeper => vec![
            mark(Place::annotation(TTL_ANNOTATION)?, |text| Meaning::Lives(Life::of_text(text)), DURATION),
            mark(Place::annotation(EXPIRES_ANNOTATION)?, |text| until(rfc3339(text)), MOMENT),
        ],
        MarkSource::Kyverno => vec![mark(
            Place::label(KYVERNO_TTL_LABEL)?,
            kyverno,
            "a duration such as 2d, or a time such as 2027-01-01T000000Z or 2027-01-01",
        )],
        MarkSource::KubeJanitor => vec![
            mark(
                Place::annotation(JANITOR_TTL_ANNOTATION)?,
                janitor_ttl,
                "a number with s, m, h, d or w, or forever",
            ),
            mark(
                Place::annotation(JANITOR_EXPIRES_ANNOTATION)?,
                janitor_expires,
                "a time such as 2027-01-01T00:00:00Z, 2027-01-01T00:00 or 2027-01-01",
            ),
        ],
        MarkSource::K8sTtlController => vec![Mark {
            base: Some(Place::annotation(TTL_CONTROLLER_REFRESHED_AT_ANNOTATION)?),
            ..mark(
                Place::annotation(TTL_CONTROLLER_TTL_ANNOTATION)?,
                |text| Meaning::Lives(Life::of_go_duration(text)),
                DURATION,
            )
        }],
    })
}

fn kyverno(text: &str) -> Meaning {
    match Life::of_kyverno_duration(text) {
        Life::NotUnderstood => until(utc(text, "YYYY-MM-DDThhmmssZ").or_else(|| utc(text, "YYYY-MM-DD"))),
        life => Meaning::Lives(life),
    }
}

fn janitor_ttl(text: &str) -> Meaning {
    Meaning::Lives(if text == "forever" { Life::Forever } else { Life::of_janitor_duration(text) })
}

fn janitor_expires(text: &str) -> Meaning {
    let layouts = ["YYYY-MM-DDThh:mm:ssZ", "YYYY-MM-DDThh:mm", "YYYY-MM-DD"];
    until(layouts.iter().find_map(|layout| utc(text, layout)))
}

fn until(time: Option<Timestamp>) -> Meaning {
    time.filter(|time| is_set(*time)).map_or(Meaning::Lives(Life::NotUnderstood), Meaning::Until)
}

impl Mark {
    /// What it says of an object; nothing if the object does not have it.
    fn expiry(&self, object: &Object) -> Option<Expiry> {
        let found = self.place.find(object)?;
        let life = match found.with_text(self.read) {
            Some(Meaning::Until(time)) => return Some(Expiry::At(time)),
            Some(Meaning::Lives(life)) => life,
            None => Life::NotUnderstood,
        };
        Some(match (life, self.base(object)) {
            (Life::NotUnderstood, _) => {
                Expiry::Unresolvable(Unresolved::not_understood(&self.place, &found, self.wanted))
            }
            (Life::NotPositive, _) => Expiry::Unresolvable(Unresolved::not_positive(&self.place, &found)),
            (_, Err(unresolved)) => Expiry::Unresolvable(unresolved),
            (Life::Forever, Ok(_)) => Expiry::Never(NotDue::Forever),
            (Life::Span(span), Ok(base)) => Expiry::after(base, span),
        })
    }

    /// What a time to live counts from.
    fn base(&self, object: &Object) -> Result<Option<Timestamp>, Unresolved> {
        let Some((place, found)) = self.base.as_ref().and_then(|base| Some((base, base.find(object)?)))
        else {
            return Ok(object.created());
        };
        match found.with_text(rfc3339).flatten() {
            Some(time) if is_set(time) => Ok(Some(time)),
            _ => Err(Unresolved::not_understood(place, &found, MOMENT)),
        }
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, source) in self.sources.iter().enumerate() {
            f.write_str(if index > 0 { ", " } else { "" })?;
            f.write_str(match source {
                MarkSource::Groundskeeper => "Groundskeeper",
                MarkSource::Kyverno => "Kyverno",
                MarkSource::KubeJanitor => "KubeJanitor",
                MarkSource::K8sTtlController => "K8sTtlController",
            })?;
        }
        Ok(())
    }
}
