//! The segments of one chain on disk, as their only writer sees them.
//!
//! A batch is written at the end of the latest segment and made durable before anything is said of it. After a failure
//! the file is opened anew and cut back to the last durable record, for nobody knows what a failed `fdatasync` has left
//! behind. A segment that has grown past its size is followed by the next; of too many the oldest are removed, after
//! their head has been written into the chain.
//!
//! Invariant: `head` is the last durable record, and `length` the bytes of its segment up to and with it.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::line;
use super::record::{Body, Draft, Head, RecordKind};
use super::writer::Dated;
use crate::limits::{LEDGER_SEGMENT_BYTES_DEFAULT, LEDGER_SEGMENTS_DEFAULT, LEDGER_SEGMENTS_MIN};

/// The file whose lock says that somebody writes here.
const LOCK_FILE: &str = "LOCK";

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerLimits {
    /// Bytes after which a segment is followed by the next. A segment exceeds it by one batch at most.
    pub segment_bytes_max: u64,
    /// Segments that are kept, the one that is written among them: 2 at the least.
    pub segments_max: usize,
}

impl Default for LedgerLimits {
    fn default() -> Self {
        Self { segment_bytes_max: LEDGER_SEGMENT_BYTES_DEFAULT, segments_max: LEDGER_SEGMENTS_DEFAULT }
    }
}

/// A segment: its first record's number, and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) path: PathBuf,
}

/// The segments in a directory, by their first records.
pub(super) fn segments(directory: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(first) = entry.file_name().to_str().and_then(first_of) {
            found.push(Segment { first, path: entry.path() });
        }
    }
    found.sort_unstable_by_key(|segment| segment.first);
    Ok(found)
}

fn file_name(first: u64) -> String {
    format!("ledger-{first:020}.jsonl")
}

fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("ledger-")?.strip_suffix(".jsonl")?;
    digits.parse().ok().filter(|&first| file_name(first) == name)
}

/// Takes the lock of a directory; none if somebody else has it. It is held as long as the file is open.
pub(super) fn lock(directory: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(directory.join(LOCK_FILE))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Where a chain ends, as it was found.
#[derive(Debug, Default)]
pub(super) struct Extent {
    /// The segments that are complete, oldest first, each with the head of its last record.
    pub(super) complete: VecDeque<(u64, Head)>,
    /// The first record of the segment that is written.
    pub(super) current: u64,
    /// Bytes of whole records in it.
    pub(super) length: u64,
    /// The last record.
    pub(super) head: Head,
}

/// The writer's side of a chain.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    instance: String,
    limits: LedgerLimits,
    _lock: File,
    extent: Extent,
    /// The segment that is written; none if it has to be opened first.
    file: Option<File>,
}

impl Store {
    pub(super) fn new(
        directory: PathBuf,
        instance: String,
        limits: LedgerLimits,
        lock: File,
        extent: Extent,
    ) -> Self {
        let segments_max = limits.segments_max.max(LEDGER_SEGMENTS_MIN);
        Self {
            directory,
            instance,
            limits: LedgerLimits { segments_max, ..limits },
            _lock: lock,
            extent,
            file: None,
        }
    }

    /// The last durable record.
    pub(super) const fn head(&self) -> Head {
        self.extent.head
    }

    /// Writes records and makes them durable; returns the number of the first. After an error none of them is there.
    pub(super) fn append(&mut self, bodies: &[Dated]) -> io::Result<u64> {
        if self.extent.length >= self.limits.segment_bytes_max {
            self.begin_segment();
        }
        let retired = self.overflow();
        let (first, text, head) = self.seal(retired, bodies)?;
        if let Err(error) = self.write(&text) {
            self.give_up_file();
            return Err(error);
        }
        self.extent.length += text.len() as u64;
        self.extent.head = head;
        if let Some(retired) = retired {
            self.remove_retired(retired);
        }
        Ok(first)
    }

    fn begin_segment(&mut self) {
        self.extent.complete.push_back((self.extent.current, self.extent.head));
        self.extent.current = self.extent.head.sequence + 1;
        self.extent.length = 0;
        self.file = None;
    }

    /// The head of what is too much, if anything is.
    fn overflow(&self) -> Option<Head> {
        let excess = (self.extent.complete.len() + 1).checked_sub(self.limits.segments_max + 1)?;
        self.extent.complete.get(excess).map(|(_, head)| *head)
    }

    /// The records as text, with the number of the first and the head that they lead to.
    fn seal(&self, retired: Option<Head>, bodies: &[Dated]) -> io::Result<(u64, Vec<u8>, Head)> {
        let (mut head, mut text) = (self.extent.head, Vec::new());
        let mut add = |time: Timestamp, body: &Body| -> io::Result<()> {
            let sequence = head.sequence + 1;
            let draft = Draft { sequence, prev: head.hash, time, instance: &self.instance, body };
            let hash = line::seal(&draft, &mut text)?;
            head = Head { sequence, hash };
            Ok(())
        };
        let mut first = self.extent.head.sequence + 1;
        if let (Some(retired), Some((time, _))) = (retired, bodies.first()) {
            add(*time, &Body { head: Some(retired), ..Body::new(RecordKind::Retired) })?;
            first += 1;
        }
        for (time, body) in bodies {
            add(*time, body)?;
        }
        Ok((first, text, head))
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.open_segment()?,
        };
        let file = self.file.insert(file);
        file.write_all(text)?;
        file.sync_data()
    }

    /// Opens the segment that is written, cut back to its last durable record.
    fn open_segment(&self) -> io::Result<File> {
        let path = self.directory.join(file_name(self.extent.current));
        let is_new = self.extent.length == 0;
        let mut file = OpenOptions::new().create(is_new).truncate(false).write(true).open(&path)?;
        let present = file.metadata()?.len();
        if present < self.extent.length {
            let message =
                format!("{} has lost records: somebody has cut it while it was written", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        file.set_len(self.extent.length)?;
        file.seek(SeekFrom::Start(self.extent.length))?;
        if is_new {
            // The name of a new file is durable only with its directory.
            File::open(&self.directory)?.sync_all()?;
        }
        Ok(file)
    }

    /// Lets go of the file after a failure, and of what it holds of the failed batch as far as that works now.
    fn give_up_file(&mut self) {
        if let Some(file) = self.file.take() {
            // It is cut when it is opened again in any case.
            drop(file.set_len(self.extent.length));
        }
    }

    /// Removes the segments up to and with a head that the chain has recorded.
    pub(super) fn remove_retired(&mut self, retired: Head) {
        while let Some((first, end)) = self.extent.complete.front().copied() {
            if end.sequence > retired.sequence {
                break;
            }
            self.extent.complete.pop_front();
            let path = self.directory.join(file_name(first));
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "a segment of the ledger cannot be removed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_segments_sort_as_their_numbers_do() {
        for first in [1, 9, 10, u64::MAX] {
            assert_eq!(first_of(&file_name(first)), Some(first));
        }
        assert!(file_name(9) < file_name(10));
        for other in ["ledger-1.jsonl", "ledger-.jsonl", "LOCK", "ledger-00000000000000000001.json"] {
            assert_eq!(first_of(other), None, "{other}");
        }
    }
}
