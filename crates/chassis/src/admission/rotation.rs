//! When certificates change, and in which order, so that no caller ever meets one that it cannot verify.
//!
//! Pure: given what the Secret holds, what the webhook configurations show and the time, [`decide`] says the next step.
//! Every replica decides the same; whoever writes the Secret first has taken the step.
//!
//! A new authority is first *added* to the bundle. Only when every webhook configuration has shown the bundle for a
//! while does the leaf *switch* to it. The old authority stays in the bundle until every leaf that it signed has expired.
//!
//! Invariant: a leaf that any replica may still serve is signed by an authority that every API server may know.

use std::time::Duration;

use jiff::Timestamp;

use super::limits::{BACKDATED_MAX, KEEPER_INTERVAL, SHOWN_FOR};

/// How long certificates live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// An authority's life.
    pub authority: Duration,
    /// A leaf's life.
    pub leaf: Duration,
}

impl Lifetimes {
    /// How long a bundle must have been shown before it counts as known to every API server.
    pub(super) fn shown_for(&self) -> Duration {
        SHOWN_FOR.min(self.leaf / 8)
    }

    /// How often the state is looked at.
    pub(super) fn interval(&self) -> Duration {
        KEEPER_INTERVAL.min(self.leaf / 12)
    }
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

impl Span {
    /// The life of a certificate that is issued now, for callers whose clock is a little behind, too.
    pub(super) fn issued(now: Timestamp, life: Duration) -> Self {
        let backdated = BACKDATED_MAX.min(Duration::from_secs(life.as_secs() / 10));
        let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self {
            not_before: second.checked_sub(backdated).unwrap_or(second),
            not_after: second.checked_add(life).unwrap_or(Timestamp::MAX),
        }
    }

    pub(super) fn contains(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// When its successor is due: after two thirds of its life, less up to a twentieth that differs from one certificate
    /// to the next, so that a fleet that was installed at one time does not renew at one time.
    pub(super) fn renewal(&self, jitter: u8) -> Timestamp {
        let life = Duration::try_from(self.not_after.duration_since(self.not_before)).unwrap_or_default();
        let early = life / 20 * u32::from(jitter) / 255;
        let age = (life * 2 / 3).saturating_sub(early);
        self.not_before.checked_add(age).unwrap_or(self.not_after)
    }
}

/// A certificate, as far as its rotation is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) span: Span,
    pub(super) jitter: u8,
}

impl Held {
    fn renewal(&self) -> Timestamp {
        self.span.renewal(self.jitter)
    }
}

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The authority that signs.
    pub(super) signer: Held,
    /// The authority that has been added and waits to sign.
    pub(super) next: Option<Held>,
    /// Authorities that have signed before are still in the bundle; the last leaf of theirs expires then.
    pub(super) previous_until: Option<Timestamp>,
    pub(super) leaf: Held,
    /// The leaf is for the names that are asked for.
    pub(super) leaf_fits: bool,
    /// Since when every webhook configuration has shown exactly this bundle.
    pub(super) shown_since: Option<Timestamp>,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Rest,
    /// A new leaf of the authority that signs.
    RenewLeaf,
    /// A new authority joins the bundle; it does not sign yet.
    AddAuthority,
    /// The authority that was added signs from now on, beginning with a new leaf.
    SwitchAuthority,
    /// Authorities whose leaves have all expired leave the bundle.
    DropAuthorities,
    /// The authority that signs has expired, and there is no other: a new one signs at once, for nothing works as it is.
    Begin,
}

impl Step {
    /// The metric label.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::RenewLeaf => "leaf_renewed",
            Self::AddAuthority => "authority_added",
            Self::SwitchAuthority => "authority_switched",
            Self::DropAuthorities => "authority_dropped",
            Self::Begin => "begun",
        }
    }
}

/// The next step.
pub(super) fn decide(state: &State, lifetimes: &Lifetimes, now: Timestamp) -> Step {
    let expired = now >= state.signer.span.not_after;
    let shown = state.shown_since.is_some_and(|since| {
        now.duration_since(since).unsigned_abs() >= lifetimes.shown_for() && since <= now
    });
    match state.next {
        Some(_) if shown || expired => return Step::SwitchAuthority,
        None if expired => return Step::Begin,
        _ => {}
    }
    // A leaf does not outlive its authority: renewing one that ends with it would gain nothing.
    let can_gain = state.leaf.span.not_after < state.signer.span.not_after;
    if (can_gain && state.leaf.renewal() <= now) || !state.leaf_fits {
        return Step::RenewLeaf;
    }
    if state.next.is_none() && state.signer.renewal() <= now {
        return Step::AddAuthority;
    }
    if state.next.is_none() && state.previous_until.is_some_and(|until| until <= now) {
        return Step::DropAuthorities;
    }
    Step::Rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIVES: Lifetimes = Lifetimes { authority: Duration::from_mins(150), leaf: Duration::from_mins(15) };

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn held(from: i64, to: i64) -> Held {
        Held { span: Span { not_before: second(from), not_after: second(to) }, jitter: 0 }
    }

    fn fresh() -> State {
        State {
            signer: held(0, 9_000),
            next: None,
            previous_until: None,
            leaf: held(0, 900),
            leaf_fits: true,
            shown_since: Some(second(0)),
        }
    }

    #[test]
    fn each_state_has_one_next_step() {
        let due = State { signer: held(0, 9_000), leaf: held(5_900, 6_800), ..fresh() };
        let added = State { next: Some(held(6_000, 15_000)), leaf: held(5_900, 6_800), ..due };
        let table = [
            (fresh(), 1, Step::Rest),
            (fresh(), 599, Step::Rest),
            (fresh(), 600, Step::RenewLeaf),
            (State { leaf_fits: false, ..fresh() }, 1, Step::RenewLeaf),
            (due, 5_999, Step::Rest),
            (due, 6_000, Step::AddAuthority),
            (State { shown_since: None, ..added }, 6_200, Step::Rest),
            (State { shown_since: Some(second(6_141)), ..added }, 6_200, Step::Rest),
            (State { shown_since: Some(second(6_140)), ..added }, 6_200, Step::SwitchAuthority),
            (State { shown_since: Some(second(6_300)), ..added }, 6_200, Step::Rest),
            (State { shown_since: None, ..added }, 6_500, Step::RenewLeaf),
            (State { shown_since: None, leaf: held(8_100, 9_000), ..added }, 8_999, Step::Rest),
            (State { shown_since: None, ..added }, 9_000, Step::SwitchAuthority),
            (State { previous_until: Some(second(800)), ..fresh() }, 500, Step::Rest),
            (State { previous_until: Some(second(500)), ..fresh() }, 500, Step::DropAuthorities),
            (State { leaf: held(8_500, 9_000), signer: held(0, 9_000), ..fresh() }, 9_000, Step::Begin),
        ];
        for (state, now, expected) in table {
            assert_eq!(decide(&state, &LIVES, second(now)), expected, "{state:?} at {now}");
        }
    }

    #[test]
    fn certificates_of_one_moment_are_not_renewed_at_one_moment() {
        let span = Span { not_before: second(0), not_after: second(600) };
        assert_eq!(span.renewal(0), second(400));
        assert_eq!(span.renewal(255), second(370));
    }

    #[test]
    fn a_certificate_is_valid_for_callers_whose_clock_is_behind() {
        let long = Span::issued(second(100_000), Duration::from_hours(24 * 7));
        assert_eq!(long.not_before, second(100_000 - 300));
        let short = Span::issued(second(100_000), Duration::from_secs(30));
        assert_eq!((short.not_before, short.not_after), (second(99_997), second(100_030)));
    }

    /// A Secret, the webhook configurations that follow it, the API servers that follow those, and the replicas that
    /// serve what was in the Secret a while ago. Authorities are numbers.
    #[derive(Clone, Debug)]
    struct World {
        /// In the order of signing: the signer comes first, one that waits second.
        bundle: Vec<u32>,
        signer: u32,
        state: State,
        leaf_of: u32,
        /// What API servers may believe: bundles, and until when.
        believed: Vec<(Vec<u32>, i64)>,
        /// What replicas may serve: the authority of a leaf, and until when.
        served: Vec<(u32, i64)>,
        shown: Vec<u32>,
        last: u32,
    }

    /// How long the slowest API server takes to hear of a new bundle, and the slowest replica of a new leaf.
    const HEARD_AFTER: i64 = 60;
    /// See [`HEARD_AFTER`].
    const SERVED_AFTER: i64 = 600;

    impl World {
        fn take(&mut self, step: Step, now: i64) {
            let at = second(now);
            let issued = |life| Held { span: Span::issued(at, life), jitter: 7 };
            match step {
                Step::Rest => {}
                Step::RenewLeaf => self.issue(now),
                Step::AddAuthority => {
                    self.last += 1;
                    self.bundle.insert(1, self.last);
                    self.state.next = Some(issued(LIVES.authority));
                    self.state.shown_since = None;
                }
                Step::SwitchAuthority => {
                    self.bundle.swap(0, 1);
                    self.signer = self.bundle[0];
                    self.state.signer = self.state.next.take().unwrap();
                    let last = self.state.leaf.span.not_after;
                    self.state.previous_until = self.state.previous_until.max(Some(last));
                    self.issue(now);
                }
                Step::DropAuthorities => {
                    self.bundle.truncate(1);
                    self.state.previous_until = None;
                    self.state.shown_since = None;
                }
                Step::Begin => panic!("it never comes to that"),
            }
        }

        fn issue(&mut self, now: i64) {
            let mut span = Span::issued(second(now), LIVES.leaf);
            span.not_after = span.not_after.min(self.state.signer.span.not_after);
            let until = (now + SERVED_AFTER).min(self.state.leaf.span.not_after.as_second());
            self.served.push((self.leaf_of, until));
            self.state.leaf = Held { span, jitter: 3 };
            self.leaf_of = self.signer;
        }

        /// The webhook configurations take over the bundle; API servers may believe the old one for a while.
        fn show(&mut self, now: i64) {
            if self.shown != self.bundle {
                self.believed.push((self.shown.clone(), now + HEARD_AFTER));
                self.shown = self.bundle.clone();
            }
            self.state.shown_since.get_or_insert(second(now));
        }

        fn check(&mut self, now: i64) {
            self.believed.retain(|(_, until)| *until > now);
            self.served.retain(|(_, until)| *until > now);
            let leaves = self.served.iter().map(|(issuer, _)| *issuer).chain([self.leaf_of]);
            for issuer in leaves {
                for bundle in self.believed.iter().map(|(bundle, _)| bundle).chain([&self.shown]) {
                    assert!(bundle.contains(&issuer), "at {now}: {self:#?}");
                }
            }
            assert!(self.state.leaf.span.contains(second(now)), "at {now}: {self:#?}");
            assert!(self.bundle.len() <= 3);
        }
    }

    proptest! {
        /// However late configurations are written (but within the authority's life), no API server ever meets a leaf
        /// whose authority it does not know.
        #[test]
        fn no_caller_meets_a_leaf_that_it_cannot_verify(delays in prop::collection::vec(0_i64..1_500, 1..40)) {
            let mut delays = delays.into_iter().cycle();
            let mut world = World {
                bundle: vec![0], signer: 0, state: fresh(), leaf_of: 0,
                believed: Vec::new(), served: Vec::new(), shown: vec![0], last: 0,
            };
            let mut shows_at = None;
            for now in (0..60_000).step_by(10) {
                world.take(decide(&world.state, &LIVES, second(now)), now);
                if world.shown == world.bundle {
                    world.show(now);
                } else if now >= *shows_at.get_or_insert(now + delays.next().unwrap()) {
                    world.show(now);
                    shows_at = None;
                }
                world.check(now);
            }
            assert!(world.last > 5, "authorities have changed: {}", world.last);
        }
    }
}
