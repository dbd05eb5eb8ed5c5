//! What one record says.
//!
//! Names and short words only: nothing of an object's content ever goes in. Every text is cut to its bound when the
//! record is made, so that a record has a largest size whatever a cluster holds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{self, SHA256};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::{
    LEDGER_EVIDENCE_ENTRIES_MAX, LEDGER_MESSAGE_BYTES_MAX, LEDGER_NAME_BYTES_MAX, LEDGER_VALUE_BYTES_MAX,
};

/// A SHA-256 digest, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RecordHash([u8; 32]);

impl RecordHash {
    /// What stands for the record before the first.
    pub const NONE: Self = Self([0; 32]);

    /// The digest of the parts, one after the other.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&SHA256);
        parts.iter().for_each(|part| context.update(part));
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }
}

impl fmt::Display for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Two of them are in every record: put together at once, not by a call of the formatter for each byte.
        let mut text = [0; 64];
        HEXLOWER.encode_mut(&self.0, &mut text);
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordHash({self})")
    }
}

/// The text is not a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash has 64 digits of 0-9 and a-f")]
pub struct InvalidHash;

impl FromStr for RecordHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 64 || !text.bytes().all(is_digit) {
            return Err(InvalidHash);
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            let digits = text.get(at..at + 2).ok_or(InvalidHash)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| InvalidHash)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for RecordHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = RecordHash;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 digits of 0-9 and a-f")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RecordHash, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// The end of a chain, or of a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of its last record; 0 if there is none.
    pub sequence: u64,
    /// The hash of its last record.
    pub hash: RecordHash,
}

impl Head {
    /// Of a chain without records.
    pub const EMPTY: Self = Self { sequence: 0, hash: RecordHash::NONE };
}

/// What a record is about; also the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RecordKind {
    /// A process has opened the ledger.
    Start,
    /// It has closed it in good order.
    Stop,
    /// Something is about to be done.
    Intent,
    /// How it went.
    Outcome,
    /// Something was not even tried.
    Refusal,
    /// The head was written to the cluster.
    Anchor,
    /// How an intent went that had no outcome when its process ended, as found out afterwards.
    Settled,
    /// The oldest records were removed, up to and with this head.
    Retired,
}

impl RecordKind {
    /// The name, as records and metrics write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Stop => "Stop",
            Self::Intent => "Intent",
            Self::Outcome => "Outcome",
            Self::Refusal => "Refusal",
            Self::Anchor => "Anchor",
            Self::Settled => "Settled",
            Self::Retired => "Retired",
        }
    }
}

/// One record, as a line holds it, apart from its own hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its place in the chain, from 1.
    pub sequence: u64,
    /// The hash of the record before it.
    pub prev: RecordHash,
    /// When it was made, by the wall clock.
    pub time: Timestamp,
    /// Who made it.
    pub instance: String,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

/// A [`Record`] that is about to be written, of borrowed parts.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Draft<'a> {
    pub(super) sequence: u64,
    pub(super) prev: RecordHash,
    pub(super) time: Timestamp,
    pub(super) instance: &'a str,
    #[serde(flatten)]
    pub(super) body: &'a Body,
}

/// What a record says, apart from its place in the chain. Which fields are there depends on the kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Body {
    /// What it is about.
    pub kind: RecordKind,
    /// The epoch of the lease under which it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The controller that did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<Cow<'static, str>>,
    /// What is to be done: `delete`, `evict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Cow<'static, str>>,
    /// The rule that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// The object that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Subject>,
    /// The sequence of the intent that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<u64>,
    /// How it went, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Cow<'static, str>>,
    /// Why it was refused, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it rests on.
    #[serde(default, skip_serializing_if = "Evidence::is_empty")]
    pub evidence: Evidence,
    /// The head that was anchored or retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// The trace that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

impl Body {
    pub(super) const fn new(kind: RecordKind) -> Self {
        Self {
            kind,
            epoch: None,
            controller: None,
            act: None,
            rule: None,
            object: None,
            intent: None,
            outcome: None,
            reason: None,
            message: None,
            evidence: Evidence(BTreeMap::new()),
            head: None,
            trace: None,
        }
    }
}

/// The rule that asked for something, as it was then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `namespace/name` of the policy.
    pub policy: String,
    /// Its incarnation.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
}

/// The object that something is done to, as the decision saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// Group and version.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The namespace; empty for an object that lies in none.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The incarnation.
    pub uid: String,
    /// The version that was judged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
}

impl Rule {
    pub(super) fn bounded(self) -> Self {
        Self { policy: cut(self.policy, 2 * LEDGER_NAME_BYTES_MAX), uid: name(self.uid), ..self }
    }
}

impl Subject {
    pub(super) fn bounded(self) -> Self {
        Self {
            api_version: name(self.api_version),
            kind: name(self.kind),
            namespace: name(self.namespace),
            name: name(self.name),
            uid: name(self.uid),
            resource_version: name(self.resource_version),
        }
    }
}

/// What a decision rests on: a few names with short values, such as `createdAt`, `expiresAt`, `ttlSeconds`.
///
/// At most [`LEDGER_EVIDENCE_ENTRIES_MAX`]; what comes later is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence(BTreeMap<Cow<'static, str>, String>);

impl Evidence {
    /// With one more entry.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        if self.0.len() < LEDGER_EVIDENCE_ENTRIES_MAX {
            let value = cut(value.to_string(), LEDGER_VALUE_BYTES_MAX);
            self.0.insert(word(key.into()), value);
        }
        self
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

/// A name within its bound.
pub(super) fn name(text: String) -> String {
    cut(text, LEDGER_NAME_BYTES_MAX)
}

/// A word, usually one of ours, within the bound of a name.
pub(super) fn word(text: Cow<'static, str>) -> Cow<'static, str> {
    if text.len() <= LEDGER_NAME_BYTES_MAX { text } else { Cow::Owned(name(text.into_owned())) }
}

/// A message within its bound.
pub(super) fn message(text: String) -> String {
    cut(text, LEDGER_MESSAGE_BYTES_MAX)
}

/// A text of so many bytes at most, cut between characters.
fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_written_as_others_write_it() {
        let hash = RecordHash::of(&[b"ab", b"c"]);
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse(), Ok(hash));
        for wrong in ["", &text[1..], &text.to_uppercase(), &format!("+{}", &text[1..])] {
            assert_eq!(wrong.parse::<RecordHash>(), Err(InvalidHash), "{wrong}");
        }
    }

    #[test]
    fn evidence_is_bounded_in_every_direction() {
        let long = "é".repeat(10_000);
        let mut evidence = Evidence::default();
        for number in 0..100 {
            evidence = evidence.with(format!("{number}{long}"), &long);
        }
        assert_eq!(evidence.iter().count(), LEDGER_EVIDENCE_ENTRIES_MAX);
        for (key, value) in evidence.iter() {
            assert!(key.len() <= LEDGER_NAME_BYTES_MAX && value.len() <= LEDGER_VALUE_BYTES_MAX);
        }
    }
}
