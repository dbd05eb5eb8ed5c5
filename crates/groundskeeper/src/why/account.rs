//! Records put together: what was to be done, and how it went.

use std::borrow::Cow;

use chassis::ledger::{Evidence, Past, Record, RecordKind, Rule};
use jiff::Timestamp;
use serde::Serialize;

/// What was done to one incarnation of an object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Incarnation {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    /// Oldest first.
    pub(super) acts: Vec<Deed>,
}

/// Something that was done, tried or refused.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deed {
    pub(super) time: Timestamp,
    /// `delete`, `evict`.
    pub(super) act: Option<Cow<'static, str>>,
    pub(super) controller: Option<Cow<'static, str>>,
    pub(super) rule: Option<Rule>,
    pub(super) evidence: Evidence,
    /// The version that was judged.
    pub(super) resource_version: String,
    /// How it went; `refused` if it was not even tried; none if nobody knows yet.
    pub(super) outcome: Option<Cow<'static, str>>,
    /// Why it was refused, in one word.
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
    /// When it was known how it went.
    pub(super) answered_at: Option<Timestamp>,
    /// It was found out only after its process had ended.
    pub(super) settled_later: bool,
    pub(super) instance: String,
    pub(super) epoch: Option<u64>,
    /// The number of its first record in the chain of its instance.
    pub(super) sequence: u64,
    pub(super) trace: Option<String>,
}

/// The acts, by incarnation; both oldest first.
pub(super) fn incarnations(past: &Past) -> Vec<Incarnation> {
    let mut found: Vec<Incarnation> = Vec::new();
    for record in &past.records {
        let (Some(object), Some(act)) = (&record.body.object, act(past, record)) else { continue };
        let known = found.iter_mut().find(|known| known.uid == object.uid && known.kind == object.kind);
        if let Some(known) = known {
            known.acts.push(act);
            continue;
        }
        found.push(Incarnation {
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            uid: object.uid.clone(),
            acts: vec![act],
        });
    }
    found
}

/// What begins with a record; nothing, if it only ends what another began.
fn act(past: &Past, record: &Record) -> Option<Deed> {
    let answer = match record.body.kind {
        RecordKind::Intent => past.answer_to(record),
        RecordKind::Outcome | RecordKind::Settled if !past.has_intent_of(record) => Some(record),
        RecordKind::Refusal => Some(record),
        _ => return None,
    };
    let body = &record.body;
    let outcome = match body.kind {
        RecordKind::Refusal => Some("refused".into()),
        _ => answer.and_then(|answer| answer.body.outcome.clone()),
    };
    Some(Deed {
        time: record.time,
        act: body.act.clone(),
        controller: body.controller.clone(),
        rule: body.rule.clone(),
        evidence: body.evidence.clone(),
        resource_version: body
            .object
            .as_ref()
            .map(|object| object.resource_version.clone())
            .unwrap_or_default(),
        outcome,
        reason: body.reason.clone(),
        message: answer.and_then(|answer| answer.body.message.clone()),
        answered_at: answer.map(|answer| answer.time),
        settled_later: answer.is_some_and(|answer| answer.body.kind == RecordKind::Settled),
        instance: record.instance.clone(),
        epoch: body.epoch,
        sequence: record.sequence,
        trace: body.trace.clone(),
    })
}
