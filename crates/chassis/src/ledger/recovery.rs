//! What an earlier process has left: where its chain ends, what it had begun and not ended.
//!
//! Only reads. A last line without its newline is a write that was cut off by the end of a process or of a machine; it was
//! never acknowledged, and the writer cuts it. Anything else that is wrong is damage, and somebody has to look at it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::line::{Line, Lines, Link, Malformed, link};
use super::record::{Head, Record, RecordHash, RecordKind};
use super::store::{Extent, Segment, segments};
use crate::limits::LEDGER_UNSETTLED_MAX;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) extent: Extent,
    /// Where the chain ends.
    pub(super) head: Head,
    /// Intents without an outcome, by their numbers.
    pub(super) unsettled: BTreeMap<u64, Box<[u8]>>,
    /// Such intents that were too many to keep.
    pub(super) unsettled_beyond: u64,
    /// Bytes of an unfinished last line.
    pub(super) torn: u64,
    /// The first thing that is wrong.
    pub(super) damage: Option<Damage>,
    /// What the latest record of its kind says was removed.
    pub(super) retired: Option<Head>,
}

/// What is wrong with a chain, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong.
    pub what: &'static str,
}

/// Reads all segments of a directory.
pub(super) fn read(directory: &Path) -> io::Result<Recovered> {
    let mut recovered = Recovered::default();
    recovered.extent.current = 1;
    let segments = segments(directory)?;
    for (index, segment) in segments.iter().enumerate() {
        if index > 0 {
            recovered.extent.complete.push_back((recovered.extent.current, recovered.extent.head));
        }
        recovered.extent.current = segment.first;
        recovered.extent.length = 0;
        recovered.read_segment(segment, index + 1 == segments.len())?;
    }
    if recovered.damage.is_some() {
        recovered.begin_after_damage();
    }
    Ok(recovered)
}

impl Recovered {
    fn read_segment(&mut self, segment: &Segment, is_last: bool) -> io::Result<()> {
        let mut lines = Lines::new(BufReader::with_capacity(256 * 1024, File::open(&segment.path)?));
        let mut number = 0;
        if segment.first != self.extent.head.sequence + 1 && self.extent.head != Head::EMPTY {
            self.note(segment, 1, "its name does not continue the segment before it");
        }
        while let Some(line) = lines.next()? {
            number += 1;
            match line {
                Line::Whole(line) => {
                    self.extent.length += line.len() as u64 + 1;
                    self.take_in(segment, number, line);
                }
                Line::Torn(bytes) if is_last => self.torn = bytes,
                Line::Torn(_) => self.note(segment, number, "it is cut off"),
                Line::Endless => {
                    self.note(segment, number, "it is longer than any record");
                    break;
                }
            }
        }
        Ok(())
    }

    fn take_in(&mut self, segment: &Segment, number: u64, line: &[u8]) {
        let (link, hash) = match link(line) {
            Ok(linked) => linked,
            Err(Malformed::NoRecord) => return self.note(segment, number, "it is not a record"),
            Err(Malformed::HashDiffers) => {
                return self.note(segment, number, "it is not what was written: its hash differs");
            }
        };
        let head = self.extent.head;
        // What was before the oldest record is retired; whether rightly is for `audit verify` to say.
        let is_oldest = head == Head::EMPTY && link.sequence == segment.first;
        if !is_oldest && (link.sequence != head.sequence + 1 || link.prev != head.hash) {
            self.note(segment, number, "it does not continue the line before it");
        }
        if head == Head::EMPTY && link.sequence == 1 && link.prev != RecordHash::NONE {
            self.note(segment, number, "it is the first record, and names one before it");
        }
        if link.sequence >= head.sequence {
            self.extent.head = Head { sequence: link.sequence, hash };
        }
        self.follow(&link, line);
    }

    fn follow(&mut self, link: &Link, line: &[u8]) {
        match (link.kind, link.intent) {
            (RecordKind::Intent, _) => {
                self.unsettled.insert(link.sequence, line.into());
                if self.unsettled.len() > LEDGER_UNSETTLED_MAX {
                    self.unsettled.pop_first();
                    self.unsettled_beyond += 1;
                }
            }
            (RecordKind::Outcome | RecordKind::Settled, Some(intent)) => {
                self.unsettled.remove(&intent);
            }
            (RecordKind::Retired, _) => self.retired = link.head,
            _ => {}
        }
    }

    fn note(&mut self, segment: &Segment, line: u64, what: &'static str) {
        self.damage.get_or_insert(Damage { path: segment.path.clone(), line, what });
    }

    /// What follows damage goes into a segment of its own.
    fn begin_after_damage(&mut self) {
        let Extent { complete, current, length, head } = &mut self.extent;
        if *current <= head.sequence {
            complete.push_back((*current, *head));
            *current = head.sequence + 1;
        } else {
            // Nothing in it can be read, but its name is taken.
            complete.push_back((*current, *head));
            *current += 1;
            head.sequence = *current - 1;
        }
        *length = 0;
        self.torn = 0;
    }

    /// The intents without an outcome, oldest first.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = Record> + '_ {
        self.unsettled.values().filter_map(|line| serde_json::from_slice(line).ok())
    }
}
