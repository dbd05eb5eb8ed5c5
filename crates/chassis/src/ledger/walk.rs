//! The records of one instance, one line after the other, for those who only read.
//!
//! Holds one line at a time, so that it can run beside the operator in a small container. Takes no lock: the writer only
//! appends, and what it has not finished looks like a torn line at the end.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::line::{Line, Lines, Link, Malformed, link};
use super::record::RecordHash;
use super::store::{Segment, segments};

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which segment, from 0.
    pub(super) segment: usize,
    /// Which line of it, from 1.
    pub(super) line: u64,
}

/// What a line is.
#[derive(Debug)]
pub(super) enum Item {
    /// A record as it was written.
    Sound(Box<Link>, RecordHash),
    /// A line that is not, or is no record.
    Malformed(Malformed),
    /// Bytes without an end.
    Torn(u64),
}

/// Goes through the records of one instance.
#[derive(Debug)]
pub(super) struct Walk {
    segments: Vec<Segment>,
    next: usize,
    lines: Option<Lines<BufReader<File>>>,
    line: u64,
}

impl Walk {
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self { segments: segments(directory)?, next: 0, lines: None, line: 0 })
    }

    /// The segments, oldest first.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The name of a segment.
    pub(super) fn name_of(&self, segment: usize) -> String {
        let name = self.segments.get(segment).and_then(|segment| segment.path.file_name());
        name.unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The next line as a link of the chain; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<(Place, Item)>> {
        self.next_with(|line| match link(line) {
            Ok((link, hash)) => Item::Sound(Box::new(link), hash),
            Err(malformed) => Item::Malformed(malformed),
        })
    }

    /// The next line, looked at by `read`; none at the end.
    fn next_with(&mut self, read: impl FnOnce(&[u8]) -> Item) -> io::Result<Option<(Place, Item)>> {
        loop {
            let Some(lines) = &mut self.lines else {
                if !self.open_next()? {
                    return Ok(None);
                }
                continue;
            };
            let place = Place { segment: self.next - 1, line: self.line + 1 };
            let item = match lines.next()? {
                None => {
                    self.lines = None;
                    continue;
                }
                Some(Line::Whole(line)) => read(line),
                Some(Line::Torn(bytes)) => Item::Torn(bytes),
                Some(Line::Endless) => {
                    self.lines = None;
                    Item::Malformed(Malformed::NoRecord)
                }
            };
            self.line += 1;
            return Ok(Some((place, item)));
        }
    }

    /// Opens the next segment that is still there; the writer may have retired one meanwhile.
    fn open_next(&mut self) -> io::Result<bool> {
        while let Some(segment) = self.segments.get(self.next) {
            self.next += 1;
            match File::open(&segment.path) {
                Ok(file) => {
                    self.lines = Some(Lines::new(BufReader::with_capacity(256 * 1024, file)));
                    self.line = 0;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// The instances that have segments in a directory, with theirs, by name. A directory that holds segments itself is one.
pub(super) fn instances(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    if !segments(directory)?.is_empty() {
        let name =
            fs::canonicalize(directory)?.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(vec![(name, directory.to_owned())]);
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        // What is no directory, or may not be read, is not an instance's.
        if path.is_dir() && !segments(&path)?.is_empty() {
            found.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Goes through the whole lines of one instance that hold a text.
pub(super) fn lines_with(directory: &Path, text: &str, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut walk = Walk::new(directory)?;
    let look = |line: &[u8], take: &mut dyn FnMut(&[u8])| {
        if std::str::from_utf8(line).is_ok_and(|line| line.contains(text)) {
            take(line);
        }
        Item::Torn(0)
    };
    while walk.next_with(|line| look(line, &mut take))?.is_some() {}
    Ok(())
}
