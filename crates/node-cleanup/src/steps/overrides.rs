//! What people have decided about steps, and the trace that it leaves.
//!
//! A decision stands in the record's spec for good, so that it must be known whether it has been obeyed: its words are
//! written into the step's status, and are the proof. No clock is compared with another machine's.

use api::node_cleanup::{Overrides, StepState, StepStatus};
use jiff::Timestamp;

use super::StepReason;
use super::settle::{ends, whole_second};
use crate::contract::plain;
use crate::limits::MESSAGE_CHARS_MAX;

/// What somebody decided about a step, and the words for it.
enum Decision {
    Skip(String),
    Retry(String),
}

/// Does as people have decided, unless that has been done. A step that has ended well stays so.
pub(super) fn obey(overrides: &Overrides, statuses: &mut [StepStatus], now: Timestamp) {
    for status in statuses.iter_mut() {
        match decision(overrides, &status.name) {
            Some(Decision::Skip(words)) => skip(status, StepReason::SkippedByHand, words, now),
            Some(Decision::Retry(words)) => retry(status, words),
            None => {}
        }
        if let Some(said) = &overrides.release {
            let words = words("released", &said.by, said.at.0, said.why.as_deref());
            skip(status, StepReason::Released, words, now);
        }
    }
}

/// The last that was decided about a step; of two at one time the skip.
fn decision(overrides: &Overrides, step: &str) -> Option<Decision> {
    let skip = overrides.skip.iter().find(|said| said.step == step);
    let retry = overrides.retry.iter().find(|said| said.step == step);
    let later = skip.filter(|skip| retry.is_none_or(|retry| skip.at.0 >= retry.at.0));
    if let Some(said) = later {
        return Some(Decision::Skip(words("skipped", &said.by, said.at.0, said.why.as_deref())));
    }
    retry.map(|said| Decision::Retry(words("retried", &said.by, said.at.0, said.why.as_deref())))
}

fn words(what: &str, by: &str, at: Timestamp, why: Option<&str>) -> String {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    plain(&format!("{what} by {by} at {}{why}", whole_second(at)), MESSAGE_CHARS_MAX)
}

fn skip(status: &mut StepStatus, reason: StepReason, words: String, now: Timestamp) {
    if matches!(status.state, StepState::Done | StepState::Skipped) {
        return;
    }
    ends(status, StepState::Skipped, now);
    status.reason = Some(reason.name().to_owned());
    status.overridden_by = Some(words);
}

/// A step that has failed begins anew. One that is under way is left alone until it has failed: two attempts of a step are
/// never under way at once. What the plugin wanted to be told is kept.
fn retry(status: &mut StepStatus, words: String) {
    let has_failed = matches!(status.state, StepState::Failed | StepState::Retrying | StepState::Skipped);
    if !has_failed || status.overridden_by.as_ref() == Some(&words) {
        return;
    }
    *status = StepStatus {
        name: std::mem::take(&mut status.name),
        start_time: status.start_time.take(),
        message: status.message.take(),
        state_blob: std::mem::take(&mut status.state_blob),
        overridden_by: Some(words),
        ..StepStatus::default()
    };
}
