//! Whether a chain is what was written, and if not, which record is the first that is not.
//!
//! Needs nothing but the segments, and the anchors if there are any. Goes through a chain once: at the first break it keeps
//! the two records that do not fit together, and looks in the rest for what tells a removed record from one that was moved
//! or put in.
//!
//! What a chain by itself cannot show is that its end was cut off, or that all of it was made anew: that is what anchors
//! are for.

use std::fmt;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::anchor::{Anchor, Anchors};
use super::line::{Link, Malformed};
use super::record::{Head, RecordHash, RecordKind};
use super::walk::{Item, Place, Walk, instances};

/// What was found about one instance's chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceAudit {
    /// Whose it is.
    pub instance: String,
    /// Segments that are there.
    pub segments: usize,
    /// Records that are as they were written.
    pub records: u64,
    /// The number of the oldest record; those before it are retired.
    pub oldest: Option<u64>,
    /// The last record of the chain, up to the first fault.
    pub head: Head,
    /// Bytes of a last line without an end: a write under way, or one that was cut off by a crash.
    pub torn_bytes: Option<u64>,
    /// Anchors that agree with the chain.
    pub anchors_met: usize,
    /// Anchors of records that are retired.
    pub anchors_retired: usize,
    /// The first thing that is wrong.
    pub fault: Option<Fault>,
}

/// What is wrong with a chain, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The file.
    pub segment: String,
    /// The line, from 1.
    pub line: u64,
    /// The number of the record that it is about.
    pub sequence: u64,
    /// What is wrong.
    pub finding: Finding,
    /// The same for people.
    pub message: String,
}

/// What can be wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Finding {
    /// It is not what was written.
    Altered,
    /// It is not there any more; the line is where it should be.
    Removed,
    /// It was never written there.
    Inserted,
    /// It stands in another place than it was written.
    Reordered,
    /// The segment has another name than its first record gives it.
    Renamed,
    /// The chain ends before an anchor, or is another than the one that was anchored.
    Unanchored,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}: {}", self.segment, self.line, self.message)
    }
}

/// Checks the chain of every instance in a directory, or of the one whose directory it is.
pub fn audit(directory: &Path, anchors: &Anchors) -> io::Result<Vec<InstanceAudit>> {
    let mut audits = Vec::new();
    for (instance, path) in instances(directory)? {
        let anchors = anchors.of(&instance);
        audits.push(Auditor::new(instance, anchors, Walk::new(&path)?).run()?);
    }
    Ok(audits)
}

/// A record in its place.
#[derive(Clone, Debug)]
struct Seen {
    place: Place,
    sequence: u64,
    prev: RecordHash,
    hash: RecordHash,
}

/// Two neighbours that do not fit together, and what the rest of the chain has said about them.
#[derive(Debug)]
struct Break {
    /// None if it is the first line.
    before: Option<Seen>,
    at: Place,
    /// None if the line is no sound record.
    found: Option<Seen>,
    malformed: Option<Malformed>,
    /// The first sound record after it continues what stands before it.
    next_continues: Option<bool>,
    /// Where the record stands that should be here.
    expected_at: Option<Place>,
    /// Some later record continues the one that was found.
    found_is_continued: bool,
    /// There is any sound record after it.
    is_followed: bool,
}

struct Auditor<'a> {
    audit: InstanceAudit,
    walk: Walk,
    anchors: Vec<&'a Anchor>,
    oldest: Option<Seen>,
    last: Option<Seen>,
    retired: Vec<Head>,
    broken: Option<Break>,
    fault: Option<Fault>,
}

impl<'a> Auditor<'a> {
    fn new(instance: String, anchors: Vec<&'a Anchor>, walk: Walk) -> Self {
        let audit = InstanceAudit {
            instance,
            segments: walk.segments().len(),
            records: 0,
            oldest: None,
            head: Head::EMPTY,
            torn_bytes: None,
            anchors_met: 0,
            anchors_retired: 0,
            fault: None,
        };
        Self {
            audit,
            walk,
            anchors,
            oldest: None,
            last: None,
            retired: Vec::new(),
            broken: None,
            fault: None,
        }
    }

    fn run(mut self) -> io::Result<InstanceAudit> {
        while let Some((place, item)) = self.walk.next()? {
            match item {
                Item::Sound(link, hash) => self.sound(place, &link, hash),
                Item::Malformed(malformed) => self.malformed(place, malformed),
                Item::Torn(bytes) if place.segment + 1 == self.audit.segments => {
                    self.audit.torn_bytes = Some(bytes);
                }
                Item::Torn(_) => self.malformed(place, Malformed::NoRecord),
            }
        }
        let beginning = self.beginning();
        let chain = self.broken.take().map(|broken| self.judge(&broken));
        let first = beginning.or(chain).or_else(|| self.fault.take());
        self.audit.fault = first.or_else(|| self.truncation());
        Ok(self.audit)
    }

    fn sound(&mut self, place: Place, link: &Link, hash: RecordHash) {
        let seen = Seen { place, sequence: link.sequence, prev: link.prev, hash };
        if let (RecordKind::Retired, Some(head)) = (link.kind, link.head) {
            self.retired.push(head);
        }
        if let Some(broken) = &mut self.broken {
            return broken.learn(&seen);
        }
        let continues = self.last.as_ref().is_none_or(|last| seen.follows(last));
        if !continues {
            self.broken = Some(Break::new(self.last.clone(), seen.place.clone(), Some(seen), None));
            return;
        }
        self.check_name(&seen);
        self.check_anchors(&seen);
        self.audit.records += 1;
        self.audit.head = Head { sequence: seen.sequence, hash };
        self.oldest.get_or_insert_with(|| seen.clone());
        self.audit.oldest.get_or_insert(seen.sequence);
        self.last = Some(seen);
    }

    fn malformed(&mut self, place: Place, malformed: Malformed) {
        if self.broken.is_none() {
            self.broken = Some(Break::new(self.last.clone(), place, None, Some(malformed)));
        }
    }

    fn check_name(&mut self, seen: &Seen) {
        let named = self.walk.segments().get(seen.place.segment).map(|segment| segment.first);
        if seen.place.line == 1 && named != Some(seen.sequence) {
            let message =
                format!("the segment's name does not say that it begins with record {}", seen.sequence);
            self.found(&seen.place.clone(), seen.sequence, Finding::Renamed, message);
        }
    }

    fn check_anchors(&mut self, seen: &Seen) {
        let here = self.anchors.iter().find(|anchor| anchor.head.sequence == seen.sequence);
        let Some(anchor) = here else { return };
        if anchor.head.hash == seen.hash {
            self.audit.anchors_met += 1;
            return;
        }
        let message = format!(
            "record {} is not the one that was anchored at {}: the chain was made anew from it or from an earlier record on",
            seen.sequence, anchor.time
        );
        self.found(&seen.place.clone(), seen.sequence, Finding::Unanchored, message);
    }

    /// Notes a fault of a chain that holds together.
    fn found(&mut self, place: &Place, sequence: u64, finding: Finding, message: String) {
        if self.fault.is_none() {
            self.fault = Some(self.fault_at(place, sequence, finding, message));
        }
    }

    fn fault_at(&self, place: &Place, sequence: u64, finding: Finding, message: String) -> Fault {
        Fault { segment: self.walk.name_of(place.segment), line: place.line, sequence, finding, message }
    }

    /// Whether what is missing before the oldest record was retired in good order.
    fn beginning(&mut self) -> Option<Fault> {
        let oldest = self.oldest.clone()?;
        let before = Head { sequence: oldest.sequence.saturating_sub(1), hash: oldest.prev };
        if before == Head::EMPTY || self.retired.contains(&before) {
            self.audit.anchors_retired =
                self.anchors.iter().filter(|anchor| anchor.head.sequence < oldest.sequence).count();
            return None;
        }
        if before.sequence == 0 {
            let message = "the first record names one before it".to_owned();
            return Some(self.fault_at(&oldest.place, oldest.sequence, Finding::Altered, message));
        }
        let retired = self.retired.iter().map(|head| head.sequence).filter(|end| *end < before.sequence);
        let from = retired.max().unwrap_or(0) + 1;
        let message = format!(
            "{} missing before record {}, and nothing says that they were retired",
            range(from, before.sequence),
            oldest.sequence
        );
        Some(self.fault_at(&oldest.place, from, Finding::Removed, message))
    }

    /// What the break is.
    fn judge(&self, broken: &Break) -> Fault {
        let expected = broken.before.as_ref().map_or(1, |before| before.sequence + 1);
        let Some(found) = &broken.found else {
            return self.judge_malformed(broken, expected);
        };
        let at = |finding, message| self.fault_at(&broken.at, found.sequence, finding, message);
        let number = found.sequence;
        if number > expected {
            return if let Some(place) = &broken.expected_at {
                let segment = self.walk.name_of(place.segment);
                at(
                    Finding::Reordered,
                    format!(
                        "record {number} stands where record {expected} should, which is at {segment} line {}",
                        place.line
                    ),
                )
            } else {
                let message = format!("{} missing before record {number}", range(expected, number - 1));
                self.fault_at(&broken.at, expected, Finding::Removed, message)
            };
        }
        let (Some(before), true) = (&broken.before, number == expected || number + 1 == expected) else {
            return at(
                Finding::Inserted,
                format!("record {number} does not belong behind record {}", expected - 1),
            );
        };
        if number == expected {
            if broken.expected_at.is_some() {
                return at(
                    Finding::Inserted,
                    format!("this is not the record {number} that was written: that one follows"),
                );
            }
            if broken.found_is_continued || !broken.is_followed {
                let message = format!(
                    "record {} is not what was written, though its hash was made to fit: record {number} names another",
                    before.sequence
                );
                return self.fault_at(&before.place, before.sequence, Finding::Altered, message);
            }
            return at(
                Finding::Altered,
                format!("record {number} is not what was written: it names another record before it"),
            );
        }
        if broken.found_is_continued && found.hash != before.hash {
            let message = format!("this is not the record {number} that was written: that one follows");
            return self.fault_at(&before.place, number, Finding::Inserted, message);
        }
        at(Finding::Inserted, format!("there is a record {number} before it already"))
    }

    fn judge_malformed(&self, broken: &Break, expected: u64) -> Fault {
        let what = match broken.malformed {
            Some(Malformed::HashDiffers) => "its hash differs",
            _ => "it is no record",
        };
        if broken.next_continues == Some(true) {
            let message = format!("this line was not written here: {what}, and record {expected} follows");
            return self.fault_at(&broken.at, expected, Finding::Inserted, message);
        }
        let message = format!("record {expected} is not what was written: {what}");
        self.fault_at(&broken.at, expected, Finding::Altered, message)
    }

    /// Whether an anchor lies beyond the end.
    fn truncation(&self) -> Option<Fault> {
        let head = self.audit.head.sequence;
        let farthest = self.anchors.iter().max_by_key(|anchor| anchor.head.sequence)?;
        if farthest.head.sequence <= head {
            return None;
        }
        let place = self.last.as_ref().map_or(Place { segment: 0, line: 1 }, |last| last.place.clone());
        let missing = range(head + 1, farthest.head.sequence);
        let message =
            format!("{missing} missing at the end: the last of them was anchored at {}", farthest.time);
        Some(self.fault_at(&place, head + 1, Finding::Unanchored, message))
    }
}

impl Seen {
    fn follows(&self, before: &Self) -> bool {
        self.sequence == before.sequence + 1 && self.prev == before.hash
    }
}

impl Break {
    fn new(before: Option<Seen>, at: Place, found: Option<Seen>, malformed: Option<Malformed>) -> Self {
        Self {
            before,
            at,
            found,
            malformed,
            next_continues: None,
            expected_at: None,
            found_is_continued: false,
            is_followed: false,
        }
    }

    /// Takes in a sound record from behind the break.
    fn learn(&mut self, later: &Seen) {
        self.is_followed = true;
        let is_expected = match &self.before {
            Some(before) => later.follows(before),
            None => later.sequence == 1 && later.prev == RecordHash::NONE,
        };
        self.next_continues.get_or_insert(is_expected);
        if is_expected && self.expected_at.is_none() {
            self.expected_at = Some(later.place.clone());
        }
        if self.found.as_ref().is_some_and(|found| later.follows(found)) {
            self.found_is_continued = true;
        }
    }
}

/// `record 7 is`, `records 7 to 9 are`.
fn range(from: u64, to: u64) -> String {
    if from == to { format!("record {from} is") } else { format!("records {from} to {to} are") }
}
