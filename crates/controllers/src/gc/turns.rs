//! A policy's place in the order of turns: what it may do now, and what it has done of late.

use std::collections::VecDeque;
use std::time::Duration;

use chassis::actuator::{Actuator, Budget as Rate, Outcome};
use control::{Allowance, Backoff, Budget, Leave, Steady};
use gc::{Policy, Settled, SpecHash};
use jiff::Timestamp;

use super::limits::{HOLD_FIRST, HOLD_MAX, LATENESS_SAMPLES_MAX, RESERVE_ONE_OF, RESERVE_SECONDS};
use super::observe::PlotId;
use super::reserve::Reserve;

/// A policy's place in the order of turns.
pub(super) struct Turn {
    pub(super) rate: Rate,
    pub(super) backoff: Backoff,
    /// Nothing is done for it before this time.
    pub(super) not_before: Option<Timestamp>,
    /// It stands in the queue of those that have something to do.
    pub(super) is_queued: bool,
    /// What the server said, if it denied the last deletion, or the last note.
    pub(super) denied: Option<Denial>,
    /// No finalizer is taken off for it before this time.
    pub(super) release_not_before: Option<Timestamp>,
    pub(super) release_backoff: Backoff,
    /// What the server said, if it denied that the last finalizer be taken off.
    pub(super) release_denied: Option<Denial>,
    /// How much of its window is used.
    spent: Budget,
    spec_hash: SpecHash,
    window: Duration,
    reserve: Reserve,
    /// The window was used up when it last wanted to delete something.
    pub(super) is_exceeded: bool,
    /// So many of its acts are under way.
    pub(super) in_flight: u32,
    /// The ground that had its last turn.
    pub(super) last_plot: Option<PlotId>,
    lateness: VecDeque<u32>,
    /// Since when nothing about the policy as a whole keeps it from acting.
    pub(super) freedom: Freedom,
}

/// Since when a policy may act: what waited for that was not late before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Freedom {
    since: Option<Timestamp>,
    shut: Option<Shut>,
}

/// Until when a policy may not act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shut {
    /// Until this moment, or until somebody lets it act before.
    Until(Timestamp),
    /// Until somebody does something about it.
    UntilLet,
}

impl Freedom {
    /// It has this form since this moment.
    pub(super) fn began(&mut self, at: Timestamp) {
        self.since = self.since.max(Some(at));
    }

    /// It was found not to be let act.
    pub(super) fn shut(&mut self, shut: Shut) {
        self.shut = Some(shut);
    }

    /// It was found to be let act.
    pub(super) fn open(&mut self, now: Timestamp) {
        match self.shut.take() {
            None => {}
            Some(Shut::Until(until)) => self.began(until.min(now)),
            Some(Shut::UntilLet) => self.began(now),
        }
    }

    /// Since when something may go that nothing else keeps since this moment.
    pub(super) fn free_since(&self, object: Timestamp) -> Timestamp {
        self.since.map_or(object, |since| since.max(object))
    }
}

/// The server has denied something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denial {
    /// What was tried: `delete`, `patch`.
    pub(super) verb: &'static str,
    /// The server's words.
    pub(super) message: String,
}

/// Whether a deletion counts against the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    /// It does, by this leave.
    Charged(Leave),
    /// Somebody has approved it, whatever the budget.
    Approved,
}

/// Why there is no leave to delete an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unspent {
    /// The window is used up; there may be some after this span, if ever.
    Exceeded(Option<Duration>),
    /// The status has to say first that more may be used.
    Unsecured,
}

impl Turn {
    pub(super) fn new(policy: &Policy, actuator: &Actuator, spent: u64, moment: (Timestamp, Steady)) -> Self {
        let (now, steady) = moment;
        let window = policy.budget.window;
        let mut turn = Self {
            rate: actuator.budget(policy.deletions_per_second_max, now),
            backoff: Backoff::new(HOLD_FIRST, HOLD_MAX, &policy.key),
            not_before: None,
            is_queued: false,
            denied: None,
            release_not_before: None,
            release_backoff: Backoff::new(HOLD_FIRST, HOLD_MAX, &(&policy.key, "release")),
            release_denied: None,
            spent: unspent(window),
            spec_hash: policy.spec_hash.clone(),
            window,
            reserve: Reserve::shown_as(spent),
            is_exceeded: false,
            in_flight: 0,
            last_plot: None,
            lateness: VecDeque::new(),
            freedom: Freedom::default(),
        };
        turn.resume(spent, steady);
        turn
    }

    /// The policy has this form now.
    pub(super) fn adapt(&mut self, policy: &Policy, actuator: &Actuator, (now, steady): (Timestamp, Steady)) {
        if self.spec_hash != policy.spec_hash {
            self.spec_hash = policy.spec_hash.clone();
            self.freedom.began(now);
        }
        if self.rate.rate() != policy.deletions_per_second_max {
            self.rate = actuator.budget(policy.deletions_per_second_max, now);
        }
        if self.window != policy.budget.window {
            let used = self.spent.used(steady);
            self.window = policy.budget.window;
            self.spent = unspent(self.window);
            self.spent.charge(used, steady);
        }
    }

    /// Whoever led before may have spent so much; when exactly is not known, so it counts from now.
    pub(super) fn resume(&mut self, spent: u64, now: Steady) {
        self.spent = unspent(self.window);
        self.spent.charge(spent, now);
        self.reserve = Reserve::shown_as(spent);
    }

    /// Takes leave to delete one object, or says why there is none.
    pub(super) fn spend(&mut self, limit: u64, now: Steady) -> Result<Charge, Unspent> {
        let used = self.spent.used(now);
        if limit < u64::MAX && used < limit && !self.reserve.covers_more_than(used) {
            return Err(Unspent::Unsecured);
        }
        match self.spent.take_within(limit, now) {
            Ok(leave) => {
                self.is_exceeded = false;
                Ok(Charge::Charged(leave))
            }
            Err(exhausted) => {
                self.is_exceeded = true;
                Err(Unspent::Exceeded(exhausted.until.map(|until| until.since(now))))
            }
        }
    }

    /// How much the next status is to say may be used: what is, and what is about to be, if the policy acts and has so
    /// many objects due; none if it does not act. `shown` is what the status says now.
    pub(super) fn reserve(&mut self, limit: u64, due: Option<usize>, shown: u64, now: Steady) -> u64 {
        let used = self.spent.used(now);
        if limit == u64::MAX {
            return used;
        }
        // What goes within a few statuses is enough; what is reserved when the leader crashes is lost to the window.
        let soon = u64::from(self.rate.rate()).saturating_mul(RESERVE_SECONDS);
        let ahead = |due| u64::try_from(due).unwrap_or(u64::MAX).min(soon).max(limit / RESERVE_ONE_OF).max(1);
        let wanted = used.saturating_add(due.map_or(0, ahead)).min(limit).max(used);
        self.reserve.ask(wanted, shown)
    }

    /// The status says so much now.
    pub(super) fn secure(&mut self, shown: u64) {
        self.reserve.show(shown);
    }

    pub(super) fn unspend(&mut self, charge: Charge) {
        if let Charge::Charged(leave) = charge {
            self.spent.give_back(leave);
        }
    }

    /// What the answer means for a finalizer that was to be taken off. Deletions go on whatever it is, unless the server is
    /// busy.
    pub(super) fn judge_release(&mut self, outcome: &Outcome, now: Timestamp) -> Settled {
        let later = |pause: Duration| now.checked_add(pause).unwrap_or(Timestamp::MAX);
        let hold = match outcome {
            Outcome::Accepted | Outcome::FoundDone(_) | Outcome::Gone => {
                self.release_backoff.reset();
                (self.release_denied, self.release_not_before) = (None, None);
                return Settled::Done;
            }
            Outcome::Changed => return Settled::Changed,
            Outcome::Fenced | Outcome::CutOff => return Settled::NotBefore(now),
            Outcome::Throttled(wait) | Outcome::Blocked { retry_after: wait, .. } => {
                self.not_before = self.not_before.max(Some(later(*wait)));
                later(*wait)
            }
            Outcome::Denied(error) => {
                self.release_denied = Some(Denial { verb: "patch", message: error.to_string() });
                later(self.release_backoff.after_failure())
            }
            Outcome::Refused(_) => later(HOLD_MAX),
            Outcome::Failed(_) | Outcome::Unrecorded(_) => later(self.release_backoff.after_failure()),
        };
        self.release_not_before = self.release_not_before.max(Some(hold));
        Settled::NotBefore(hold)
    }

    /// How much of the window is used.
    pub(super) fn used(&self, now: Steady) -> u64 {
        self.spent.used(now)
    }

    pub(super) fn was_late(&mut self, lateness: Duration) {
        if self.lateness.len() >= LATENESS_SAMPLES_MAX {
            self.lateness.pop_front();
        }
        self.lateness.push_back(u32::try_from(lateness.as_millis()).unwrap_or(u32::MAX));
    }

    /// How late the last deletions were: half of them, and 99 of 100, were not later than this; and of how many.
    pub(super) fn lateness(&self) -> Option<api::garbage_collection::Lateness> {
        let mut sorted: Vec<u32> = self.lateness.iter().copied().collect();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).map(|milliseconds| i64::from(*milliseconds))
        };
        Some(api::garbage_collection::Lateness {
            p50_milliseconds: at(50)?,
            p99_milliseconds: at(99)?,
            of: i64::try_from(sorted.len()).unwrap_or(i64::MAX),
        })
    }
}

fn unspent(window: Duration) -> Budget {
    Budget::new(Allowance { count: None, percent: None, window })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn nothing_is_late_before_its_policy_may_act() {
        let free = |freedom: &Freedom, object| freedom.free_since(second(object)).as_second();
        let mut freedom = Freedom::default();
        freedom.open(second(50));
        assert_eq!(free(&freedom, 10), 10, "nothing was ever in the way");

        // A window that opens at 100 is looked at a second later; that second is lateness.
        freedom.shut(Shut::Until(second(100)));
        freedom.shut(Shut::Until(second(100)));
        freedom.open(second(101));
        assert_eq!([free(&freedom, 10), free(&freedom, 120)], [100, 120]);

        // Somebody approved what would have waited until 300.
        freedom.shut(Shut::Until(second(300)));
        freedom.open(second(200));
        assert_eq!(free(&freedom, 10), 200);

        freedom.shut(Shut::UntilLet);
        freedom.open(second(400));
        freedom.open(second(500));
        freedom.began(second(350));
        assert_eq!(free(&freedom, 10), 400);
    }
}
