//! How much of a budget the status of a policy accounts for.
//!
//! Whoever takes over after a crash knows of deletions only what the status says. So the status says in advance how many
//! there may be, and no more are made until it does.
//!
//! Invariant: no more is used than the status in the cluster says, whichever of the statuses under way has been written.

/// How much the status says may be used, and what it was last asked to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reserve {
    /// The status says at least so much, and will go on doing so.
    secured: u64,
    asked: u64,
}

impl Reserve {
    /// The status says so much, and no other status is under way.
    pub(super) const fn shown_as(said: u64) -> Self {
        Self { secured: said, asked: said }
    }

    /// Whether one more may be used, beyond so many.
    pub(super) const fn covers_more_than(&self, used: u64) -> bool {
        used < self.secured
    }

    /// How much the next status has to say, if it is to say so much and says `shown` now.
    pub(super) fn ask(&mut self, wanted: u64, shown: u64) -> u64 {
        // While a status is under way it is not known which one whoever takes over will read: only a larger one will do.
        self.asked = if shown == self.asked { wanted } else { wanted.max(self.asked) };
        self.secured = self.secured.min(self.asked);
        self.show(shown);
        self.asked
    }

    /// The status says so much now.
    pub(super) const fn show(&mut self, said: u64) {
        if said == self.asked {
            self.secured = said;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_used_before_the_status_says_that_it_may_be() {
        let mut reserve = Reserve::shown_as(0);
        assert_eq!(reserve.ask(3, 0), 3);
        assert!(!reserve.covers_more_than(0));
        reserve.show(3);
        assert!(reserve.covers_more_than(2));
        assert!(!reserve.covers_more_than(3));
    }

    #[test]
    fn less_is_reserved_only_once_the_status_is_known_and_at_once_used_no_more() {
        let mut reserve = Reserve::shown_as(0);
        reserve.ask(5, 0);
        assert_eq!(reserve.ask(2, 0), 5, "the status may be read with five or without");
        reserve.show(5);
        assert_eq!(reserve.ask(2, 5), 2);
        assert!(!reserve.covers_more_than(2), "the status will say two");
    }

    #[test]
    fn an_older_status_secures_nothing() {
        let mut reserve = Reserve::shown_as(5);
        reserve.ask(2, 5);
        reserve.ask(7, 5);
        reserve.show(5);
        assert!(!reserve.covers_more_than(2));
        reserve.show(7);
        assert!(reserve.covers_more_than(6));
    }
}
