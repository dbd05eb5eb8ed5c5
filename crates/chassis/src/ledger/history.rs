//! What the ledger holds about one object.

use std::io;
use std::path::Path;

use super::record::{Record, RecordKind, Subject};
use super::walk::{instances, lines_with};
use crate::limits::LEDGER_PAST_RECORDS_MAX;

/// The records about the objects that were asked for, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// The records.
    pub records: Vec<Record>,
    /// Such records that are older, and too many to show.
    pub left_out: u64,
}

impl Past {
    /// The record that says how an intent went.
    pub fn answer_to(&self, intent: &Record) -> Option<&Record> {
        self.records.iter().find(|record| {
            matches!(record.body.kind, RecordKind::Outcome | RecordKind::Settled)
                && record.body.intent == Some(intent.sequence)
                && record.instance == intent.instance
        })
    }

    /// Whether the record of the intent that another one answers is there, too.
    pub fn has_intent_of(&self, answer: &Record) -> bool {
        self.records.iter().any(|record| {
            record.body.kind == RecordKind::Intent
                && Some(record.sequence) == answer.body.intent
                && record.instance == answer.instance
        })
    }
}

/// Reads what all instances in a directory have written about objects of one name. Looks at no hash: `audit` does.
pub fn past(directory: &Path, name: &str, is_meant: impl Fn(&Subject) -> bool) -> io::Result<Past> {
    let needle = format!("\"name\":{}", serde_json::Value::from(name));
    let mut past = Past::default();
    for (_, path) in instances(directory)? {
        lines_with(&path, &needle, |line| {
            let Ok(record) = serde_json::from_slice::<Record>(line) else { return };
            if record.body.object.as_ref().is_some_and(&is_meant) {
                past.records.push(record);
            }
        })?;
        past.records.sort_by_key(|record| record.time);
        let excess = past.records.len().saturating_sub(LEDGER_PAST_RECORDS_MAX);
        past.records.drain(..excess);
        past.left_out += excess as u64;
    }
    Ok(past)
}
