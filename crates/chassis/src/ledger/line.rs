//! A record as a line: sealed with its hash, and read back.
//!
//! A line is `{…,"hash":"<64 digits>"}` and a newline. The hash is the SHA-256 of the same bytes without that last
//! member, that is, of `{…}`. So nobody has to bring JSON into a canonical form to check it: cut the last 75 bytes, put
//! a `}` in their place, hash.

use std::io::{self, BufRead, Read as _};

use serde::Deserialize;

use super::record::{Draft, Head, RecordHash, RecordKind};
use crate::limits::LEDGER_LINE_BYTES_MAX;

const OPENING: &[u8] = b",\"hash\":\"";
const CLOSING: &[u8] = b"\"}";
const DIGITS: usize = 64;

/// Writes a record as a line behind what is there; returns its hash.
pub(super) fn seal(draft: &Draft<'_>, text: &mut Vec<u8>) -> Result<RecordHash, serde_json::Error> {
    let start = text.len();
    serde_json::to_writer(&mut *text, draft)?;
    let hash = RecordHash::of(&[text.get(start..).unwrap_or_default()]);
    text.pop();
    text.extend_from_slice(OPENING);
    text.extend_from_slice(hash.to_string().as_bytes());
    text.extend_from_slice(CLOSING);
    text.push(b'\n');
    Ok(hash)
}

/// The hash that a line names, and the one that it has; none if it names none.
pub(super) fn hashes(line: &[u8]) -> Option<(RecordHash, RecordHash)> {
    let content = line.len().checked_sub(OPENING.len() + DIGITS + CLOSING.len())?;
    let (content, end) = line.split_at_checked(content)?;
    let digits = end.strip_prefix(OPENING)?.strip_suffix(CLOSING)?;
    let named = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((named, RecordHash::of(&[content, b"}"])))
}

/// What a line says of its place in the chain; the rest of it is not read.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    pub(super) sequence: u64,
    pub(super) prev: RecordHash,
    pub(super) kind: RecordKind,
    #[serde(default)]
    pub(super) intent: Option<u64>,
    #[serde(default)]
    pub(super) head: Option<Head>,
}

/// What is wrong with a line taken by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// It is no record.
    NoRecord,
    /// It is one, but not as it was written.
    HashDiffers,
}

/// A line's link and hash, if the line is as it was written.
pub(super) fn link(line: &[u8]) -> Result<(Link, RecordHash), Malformed> {
    let (named, actual) = hashes(line).ok_or(Malformed::NoRecord)?;
    if named != actual {
        return Err(Malformed::HashDiffers);
    }
    serde_json::from_slice(line).map(|link| (link, actual)).map_err(|_| Malformed::NoRecord)
}

/// What comes next in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A line with a newline at its end, given without it.
    Whole(&'a [u8]),
    /// So many bytes without a newline: a write that was not finished.
    Torn(u64),
    /// A line that is longer than any record. What follows is not read.
    Endless,
}

/// The lines of a segment.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new() }
    }

    /// The next line; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let mut bounded = self.reader.by_ref().take(LEDGER_LINE_BYTES_MAX);
        let read = bounded.read_until(b'\n', &mut self.buffer)? as u64;
        Ok(match self.buffer.strip_suffix(b"\n") {
            _ if read == 0 => None,
            Some(line) => Some(Line::Whole(line)),
            None if read < LEDGER_LINE_BYTES_MAX => Some(Line::Torn(read)),
            None => Some(Line::Endless),
        })
    }
}

/// A whole record as a line, with its hash.
#[cfg(test)]
pub(super) fn sealed(record: &super::record::Record) -> (String, RecordHash) {
    let super::record::Record { sequence, prev, time, ref instance, ref body } = *record;
    let mut line = Vec::new();
    let hash = seal(&Draft { sequence, prev, time, instance, body }, &mut line).unwrap();
    (String::from_utf8(line).unwrap(), hash)
}

#[cfg(test)]
mod tests {
    use super::super::record::{Body, Record};
    use super::*;

    fn record() -> Record {
        let mut body = Body::new(RecordKind::Start);
        body.message = Some("a \"quoted\" line\nand \u{1b}[31m another".into());
        Record {
            sequence: 1,
            prev: RecordHash::NONE,
            time: jiff::Timestamp::UNIX_EPOCH,
            instance: "pod-1".into(),
            body,
        }
    }

    #[test]
    fn a_sealed_line_is_one_line_and_reads_back() {
        let (text, hash) = sealed(&record());
        assert!(text.ends_with("\"}\n") && !text[..text.len() - 1].contains(char::is_control), "{text}");
        let line = &text.as_bytes()[..text.len() - 1];
        assert_eq!(hashes(line), Some((hash, hash)));
        assert_eq!(serde_json::from_slice::<Record>(line).unwrap(), record());
    }

    #[test]
    fn every_changed_byte_shows() {
        let (line, hash) = sealed(&record());
        for at in 0..line.len() - 1 {
            let mut changed = line.as_bytes()[..line.len() - 1].to_vec();
            changed[at] ^= 1;
            assert_ne!(hashes(&changed), Some((hash, hash)), "byte {at}");
            assert!(hashes(&changed).is_none_or(|(named, actual)| named != actual), "byte {at}");
        }
    }

    #[test]
    fn lines_are_told_from_what_is_torn() {
        let mut lines = Lines::new(&b"one\n\ntwo"[..]);
        assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"one")));
        assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"")));
        assert_eq!(lines.next().unwrap(), Some(Line::Torn(3)));
        assert_eq!(lines.next().unwrap(), None);
        let endless = vec![b'x'; usize::try_from(LEDGER_LINE_BYTES_MAX).unwrap() + 1];
        assert_eq!(Lines::new(&*endless).next().unwrap(), Some(Line::Endless));
    }
}
