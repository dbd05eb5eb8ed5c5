//! What is written down of a step once its plugin has answered, or has not.
//!
//! Knows one step and not the others. An answer to an attempt that is not under way any more changes nothing.

use api::node_cleanup::{StepState, StepStatus};
use jiff::{SignedDuration, Timestamp};

use super::{Step, StepReason};
use crate::contract::{BadAnswer, Executed, plain};
use crate::limits::MESSAGE_CHARS_MAX;

/// What came of asking a plugin once.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It answered.
    Answered(Executed),
    /// It did not answer before the attempt's deadline.
    TimedOut,
    /// It could not be reached, or did not let us speak; why, in words without secrets.
    Unreachable(String),
    /// It answered, and cannot be understood.
    Garbage(BadAnswer),
}

/// When something is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time.
    pub now: Timestamp,
    /// What pauses are drawn from, such as the node's UID: steps of other nodes that fail now come back at other times.
    pub seed: u64,
}

/// The step's status after this outcome of this attempt. What it says is to be written down before anything else is done.
pub fn settle(step: &Step, status: &StepStatus, attempt: u32, outcome: &Outcome, at: Moment) -> StepStatus {
    let mut status = status.clone();
    if status.state != StepState::Running || status.attempts != attempt {
        return status;
    }
    match outcome {
        Outcome::Answered(answer) => take(step, &mut status, answer, at),
        Outcome::TimedOut => {
            let took = step.timeout.map(|timeout| format!(" {timeout}")).unwrap_or_default();
            let message = format!("no answer within{took}");
            fail(step, &mut status, StepReason::TimedOut.name(), &message, at);
        }
        Outcome::Unreachable(why) => fail(step, &mut status, StepReason::Unreachable.name(), why, at),
        Outcome::Garbage(fault) => {
            fail(step, &mut status, StepReason::BadAnswer.name(), &fault.to_string(), at);
        }
    }
    status
}

fn take(step: &Step, status: &mut StepStatus, answer: &Executed, at: Moment) {
    let (Executed::Done { state, .. } | Executed::Progress { state, .. } | Executed::Failed { state, .. }) =
        answer;
    if let Some(state) = state {
        status.state_blob.clone_from(state);
    }
    match answer {
        Executed::Done { message, .. } => {
            ends(status, StepState::Done, at.now);
            status.percent = Some(100);
            status.message = said(message);
        }
        Executed::Progress { percent, message, retry_after_seconds, .. } => {
            let pause = SignedDuration::from_secs(i64::from(*retry_after_seconds));
            status.percent = *percent;
            status.message = said(message);
            status.next_time = Some(next_second(at.now, pause).into());
        }
        Executed::Failed { retryable: true, reason, message, .. } => {
            fail(step, status, word(reason), message, at);
        }
        Executed::Failed { retryable: false, reason, message, .. } => {
            fail_for_good(status, word(reason), message, at.now);
        }
    }
}

fn fail(step: &Step, status: &mut StepStatus, reason: &str, message: &str, at: Moment) {
    if !step.retry.allows(status.attempts) {
        return fail_for_good(status, reason, message, at.now);
    }
    status.state = StepState::Retrying;
    status.reason = Some(reason.to_owned());
    status.message = said(message);
    status.percent = None;
    let pause = step.retry.pause_after(status.attempts, at.seed);
    status.next_time = Some(next_second(at.now, pause).into());
}

pub(super) fn fail_for_good(status: &mut StepStatus, reason: &str, message: &str, now: Timestamp) {
    ends(status, StepState::Failed, now);
    status.reason = Some(reason.to_owned());
    status.message = said(message);
}

/// The step has come to an end, for better or worse.
pub(super) fn ends(status: &mut StepStatus, state: StepState, now: Timestamp) {
    status.state = state;
    status.end_time = Some(whole_second(now).into());
    status.next_time = None;
    status.percent = None;
    status.reason = None;
}

fn word(reason: &str) -> &str {
    if reason.is_empty() { StepReason::PluginFailed.name() } else { reason }
}

fn said(message: &str) -> Option<String> {
    (!message.is_empty()).then(|| plain(message, MESSAGE_CHARS_MAX))
}

/// The second that has begun: records keep whole ones, so that what is read back is what was decided.
pub(super) fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// The first whole second after a pause. What is counted from a moment that a record keeps is never counted from before it.
pub(crate) fn next_second(now: Timestamp, pause: SignedDuration) -> Timestamp {
    let after = now.saturating_add(pause).unwrap_or(Timestamp::MAX);
    let second = after.as_second().saturating_add(i64::from(after.subsec_nanosecond() > 0));
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}
