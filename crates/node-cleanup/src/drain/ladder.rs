//! The ladder that a stuck drain climbs, each rung only because somebody wrote it.
//!
//! A rung that has been reached stays in force when the next one is. Without a ladder a drain waits for ever.

use api::limits::GRACE_PERIOD_SECONDS_MAX;
use api::node_cleanup::{Escalation, EscalationRung};
use jiff::{SignedDuration, Timestamp};
use units::{InvalidSpan, Span, SpanOutOfBounds, parse_duration};

use crate::limits::{DRAIN_TIMEOUT_SECONDS_MAX, RUNGS_MAX, TIGHTENED_GRACE_SECONDS};

/// The rungs, in the order of their times.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ladder(Vec<Rung>);

#[derive(Clone, Debug, PartialEq)]
struct Rung {
    after: SignedDuration,
    action: Escalation,
    grace_seconds: i64,
}

/// What is in force at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InForce {
    /// A pod gets at most so many seconds to end.
    pub(super) grace_seconds: Option<i64>,
    /// Pods are deleted past their budgets.
    pub(super) deletes: bool,
    /// What has not left is left behind.
    pub(super) abandons: bool,
    /// When the next rung is reached.
    pub(super) next: Option<Timestamp>,
    /// When what has not left will be left behind.
    pub(super) abandons_at: Option<Timestamp>,
}

/// Why a ladder cannot be climbed, and what to write instead. Begins with the place of the rung.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRung {
    /// More rungs than the schema allows.
    #[error(" has {given} rungs: write at most {RUNGS_MAX}")]
    TooMany {
        /// How many there are.
        given: usize,
    },
    /// The time is not one.
    #[error("[{at}].after: {fault}")]
    After {
        /// The rung's place, from 0.
        at: usize,
        /// What is wrong with it.
        fault: InvalidSpan,
    },
    /// The time is out of its bounds.
    #[error("[{at}].after: {fault}")]
    Bounds {
        /// The rung's place, from 0.
        at: usize,
        /// What is wrong with it.
        fault: SpanOutOfBounds,
    },
    /// A rung is not later than the one before it.
    #[error(
        "[{at}].after is not later than that of the rung before: write the rungs in the order of their times"
    )]
    Order {
        /// The rung's place, from 0.
        at: usize,
    },
    /// A grace period where it means nothing.
    #[error("[{at}].gracePeriodSeconds is for `action: TightenGrace`: leave it out")]
    GraceUnused {
        /// The rung's place, from 0.
        at: usize,
    },
    /// A grace period out of its bounds.
    #[error("[{at}].gracePeriodSeconds is {given}: write 1 to 86400")]
    Grace {
        /// The rung's place, from 0.
        at: usize,
        /// What was written.
        given: i64,
    },
}

impl Ladder {
    pub(super) fn compile(rungs: &[EscalationRung]) -> Result<Self, InvalidRung> {
        if rungs.len() > RUNGS_MAX {
            return Err(InvalidRung::TooMany { given: rungs.len() });
        }
        let rungs: Vec<_> = rungs.iter().enumerate().map(compiled).collect::<Result<_, _>>()?;
        let is_early = rungs.windows(2).position(|pair| matches!(pair, [a, b] if b.after <= a.after));
        match is_early {
            Some(at) => Err(InvalidRung::Order { at: at + 1 }),
            None => Ok(Self(rungs)),
        }
    }

    /// What is in force at `now`, in a drain that began at `began_at`.
    pub(super) fn in_force(&self, began_at: Option<Timestamp>, now: Timestamp) -> InForce {
        let Some(began_at) = began_at else { return InForce::default() };
        let mut force = InForce::default();
        for rung in &self.0 {
            let Ok(at) = began_at.checked_add(rung.after) else { break };
            if rung.action == Escalation::Abandon {
                force.abandons_at = Some(at);
            }
            if at > now {
                force.next = force.next.or(Some(at));
                continue;
            }
            match rung.action {
                Escalation::TightenGrace => force.grace_seconds = Some(rung.grace_seconds),
                Escalation::DeletePods => force.deletes = true,
                Escalation::Abandon => force.abandons = true,
            }
        }
        force
    }
}

fn compiled((at, rung): (usize, &EscalationRung)) -> Result<Rung, InvalidRung> {
    let least = Span::from_seconds(1);
    let most = Span::from_seconds(DRAIN_TIMEOUT_SECONDS_MAX.unsigned_abs());
    let after = parse_duration(&rung.after).map_err(|fault| InvalidRung::After { at, fault })?;
    let after = after.within(least, most).map_err(|fault| InvalidRung::Bounds { at, fault })?;
    let grace_seconds = match (rung.action, rung.grace_period_seconds) {
        (_, None) => TIGHTENED_GRACE_SECONDS,
        (Escalation::TightenGrace, Some(seconds @ 1..=GRACE_PERIOD_SECONDS_MAX)) => seconds,
        (Escalation::TightenGrace, Some(given)) => return Err(InvalidRung::Grace { at, given }),
        (Escalation::DeletePods | Escalation::Abandon, Some(_)) => {
            return Err(InvalidRung::GraceUnused { at });
        }
    };
    Ok(Rung { after: after.into(), action: rung.action, grace_seconds })
}
