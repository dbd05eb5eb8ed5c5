//! What the server answered when pods were last asked to leave, and when each is asked again.
//!
//! Held in memory alone: losing it only makes us ask sooner than we would have.

use std::collections::HashMap;
use std::time::Duration;

use control::Backoff;
use jiff::{SignedDuration, Timestamp};
use units::{NamespacedName, Uid};

use crate::limits::{
    ANSWER_CHARS_MAX, EVICTION_BACKOFF_FIRST, EVICTION_BACKOFF_MAX, EVICTION_OPEN_PAUSE_MAX, RETRY_AFTER_MAX,
    TRIES_MAX,
};

/// What the server answered to the eviction or deletion of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The pod ends. Also if it was gone (404), or another one of its name is there (409).
    Accepted,
    /// Not now (429).
    TooManyRequests {
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
        /// The budget in the answer's cause; absent if it has none, as when the server itself is busy.
        budget: Option<NamespacedName>,
    },
    /// Several budgets speak of the pod, which the server does not serve (500).
    SeveralBudgets,
    /// The namespace is being deleted, and takes no evictions (403).
    NamespaceTerminating,
    /// An admission webhook or the rights say no (other 4xx).
    Denied {
        /// What it said.
        message: String,
    },
    /// It did not work: another 5xx, or no answer at all.
    Failed {
        /// What happened.
        message: String,
    },
}

/// The last answers for the pods of one node, by their UIDs. At most 1,000.
#[derive(Clone, Debug, Default)]
pub struct Tries(HashMap<Uid, Try>);

#[derive(Clone, Debug)]
struct Try {
    backoff: Backoff,
    answer: Answer,
    not_before: Timestamp,
    /// The same, if what held the pod is seen to be lifted, or the pod to end.
    not_before_once_open: Timestamp,
}

impl Tries {
    /// Takes down what the server answered at `now`.
    pub fn record(&mut self, uid: &Uid, answer: Answer, now: Timestamp) {
        if self.0.len() >= TRIES_MAX && !self.0.contains_key(uid) {
            self.forget_the_first_due();
        }
        let backoff = || Backoff::new(EVICTION_BACKOFF_FIRST, EVICTION_BACKOFF_MAX, uid);
        let mut backoff = self.0.remove(uid).map_or_else(backoff, |known| known.backoff);
        let least = answer.retry_after().max(EVICTION_BACKOFF_FIRST);
        let pause = if answer == Answer::Accepted {
            // The watch shows soon that it ends; only an answer that was not meant needs another request.
            backoff.reset();
            EVICTION_BACKOFF_MAX
        } else {
            backoff.after_failure()
        };
        let after = |pause: Duration| {
            let pause = SignedDuration::try_from(pause.max(least)).unwrap_or_default();
            now.checked_add(pause).unwrap_or(now)
        };
        let known = Try {
            answer: answer.clipped(),
            not_before: after(pause),
            not_before_once_open: after(pause.min(EVICTION_OPEN_PAUSE_MAX)),
            backoff,
        };
        self.0.insert(uid.clone(), known);
    }

    /// Forgets the pods that are not there any more.
    pub fn retain(&mut self, is_there: impl Fn(&Uid) -> bool) {
        self.0.retain(|uid, _| is_there(uid));
    }

    /// The last answer for a pod.
    pub fn answer(&self, uid: &Uid) -> Option<&Answer> {
        self.0.get(uid).map(|known| &known.answer)
    }

    /// When a pod may be asked again; absent if it was not asked yet.
    pub fn not_before(&self, uid: &Uid) -> Option<Timestamp> {
        self.0.get(uid).map(|known| known.not_before)
    }

    /// When a pod may be asked again whose budget is seen to let it go, or which is seen to end.
    pub(super) fn not_before_once_open(&self, uid: &Uid) -> Option<Timestamp> {
        self.0.get(uid).map(|known| known.not_before_once_open)
    }

    fn forget_the_first_due(&mut self) {
        let due = self.0.iter().min_by_key(|(uid, known)| (known.not_before, (*uid).clone()));
        if let Some(uid) = due.map(|(uid, _)| uid.clone()) {
            self.0.remove(&uid);
        }
    }
}

impl Answer {
    /// How long the server wants to be left alone, as far as that is heeded.
    fn retry_after(&self) -> Duration {
        match self {
            Self::TooManyRequests { retry_after: Some(pause), .. } => (*pause).min(RETRY_AFTER_MAX),
            _ => Duration::ZERO,
        }
    }

    /// With words of a length that can be shown, on one line.
    fn clipped(self) -> Self {
        let clip = |text: String| {
            text.chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .take(ANSWER_CHARS_MAX)
                .collect::<String>()
        };
        match self {
            Self::Denied { message } => Self::Denied { message: clip(message) },
            Self::Failed { message } => Self::Failed { message: clip(message) },
            other => other,
        }
    }
}
