//! Whether to believe a listing from which much has vanished at once.
//!
//! An answer may be empty or cut short and still say 200: a proxy, a storage that was restored, a server that starts. Whoever
//! takes it for the truth finds that all owners are gone, and deletes what they own. So a listing that lacks too many of
//! the objects known before is doubted, until a second reading, made independently and by quorum, lacks them too.
//!
//! Knows no objects, only how many. Always holds: a listing above the bounds is never believed on its own word.

use crate::Mutant;

/// How much a listing may lack before it is doubted. Doubt costs one more listing, so little suffices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MassChangeRules {
    /// The share of the known objects that may be missing, in percent, rounded down.
    pub missing_percent_max: u8,
    /// A listing that lacks fewer than this is believed whatever the share: of three objects two may well be gone.
    pub missing_min: u64,
}

impl MassChangeRules {
    /// More than a tenth, and at least ten.
    pub const DEFAULT: Self = Self { missing_percent_max: 10, missing_min: 10 };
}

impl Default for MassChangeRules {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What to do with a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// Take it in.
    Believed,
    /// Keep what is known, act on none of it, read again by quorum, and [`MassChange::confirm`].
    Doubted,
}

/// What a second reading says of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// They are gone indeed: take in the second reading.
    Agreed,
    /// The first was wrong and is discarded. The second is a listing like any other: [`MassChange::judge`] it.
    Disagreed,
}

/// The guard of one listing.
#[derive(Clone, Debug)]
pub struct MassChange {
    rules: MassChangeRules,
    /// How many objects the listing lacks that is in doubt.
    doubted: Option<u64>,
}

impl MassChange {
    /// A guard that doubts nothing yet.
    pub fn new(rules: MassChangeRules) -> Self {
        Self { rules, doubted: None }
    }

    /// Whether a listing is in doubt: until that is settled nothing may be done that rests on it or on what it replaces.
    pub fn is_in_doubt(&self) -> bool {
        self.doubted.is_some()
    }

    /// A listing has come that lacks `missing` of the `known` objects. A doubt about an earlier one ends with it.
    pub fn judge(&mut self, known: u64, missing: u64) -> Belief {
        self.doubted =
            (self.is_too_much(known, missing) && !Mutant::EmptyListBelieved.is_on()).then_some(missing);
        if self.doubted.is_some() { Belief::Doubted } else { Belief::Believed }
    }

    /// A second reading lacks `missing_too` of the objects that the doubted listing lacks. It agrees if it lacks all of them;
    /// whether it lacks others besides does not matter, for more may have gone since. Objects count by UID: one that was made
    /// anew under the same name is another.
    pub fn confirm(&mut self, missing_too: u64) -> Confirmation {
        match self.doubted.take() {
            Some(doubted) if missing_too >= doubted => Confirmation::Agreed,
            Some(_) | None => Confirmation::Disagreed,
        }
    }

    fn is_too_much(&self, known: u64, missing: u64) -> bool {
        missing >= self.rules.missing_min
            && u128::from(missing) * 100 > u128::from(known) * u128::from(self.rules.missing_percent_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_listing_is_doubted_and_a_usual_change_is_not() {
        let rows = [
            (50_000, 50_000, Belief::Doubted),
            (50_000, 5_001, Belief::Doubted),
            (50_000, 5_000, Belief::Believed),
            (10, 10, Belief::Doubted),
            (9, 9, Belief::Believed),
            (0, 0, Belief::Believed),
        ];
        for (known, missing, belief) in rows {
            let mut guard = MassChange::new(MassChangeRules::DEFAULT);
            assert_eq!(guard.judge(known, missing), belief, "{missing} of {known}");
            assert_eq!(guard.is_in_doubt(), belief == Belief::Doubted);
        }
    }

    #[test]
    fn what_a_second_reading_lacks_too_is_gone() {
        let mut guard = MassChange::new(MassChangeRules::DEFAULT);
        guard.judge(100, 60);
        assert_eq!(guard.confirm(60), Confirmation::Agreed);
        assert!(!guard.is_in_doubt());
    }

    #[test]
    fn what_a_second_reading_still_has_discards_the_first() {
        let mut guard = MassChange::new(MassChangeRules::DEFAULT);
        guard.judge(100, 60);
        assert_eq!(guard.confirm(59), Confirmation::Disagreed);
        assert_eq!(guard.confirm(60), Confirmation::Disagreed, "the doubt is used up");
        assert_eq!(guard.judge(100, 59), Belief::Doubted, "the second stands on its own");
    }

    proptest! {
        #[test]
        fn nothing_above_the_bounds_is_taken_in_on_one_reading(
            readings in prop::collection::vec((0..200_u64, 0..200_u64, any::<bool>()), 0..100),
            missing_percent_max in 0..=100_u8,
            missing_min in 0..50_u64,
        ) {
            let mut guard = MassChange::new(MassChangeRules { missing_percent_max, missing_min });
            let mut doubted = None;
            for (known, other, is_second) in readings {
                let missing = other.min(known);
                if is_second {
                    let agreed = guard.confirm(missing) == Confirmation::Agreed;
                    prop_assert_eq!(agreed, doubted.is_some_and(|first| missing >= first));
                    doubted = None;
                } else {
                    let is_small = missing < missing_min || missing * 100 <= known * u64::from(missing_percent_max);
                    let believed = guard.judge(known, missing) == Belief::Believed;
                    prop_assert_eq!(believed, is_small);
                    doubted = (!believed).then_some(missing);
                }
            }
        }
    }
}
