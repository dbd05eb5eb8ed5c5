//! One candidate's part in the election.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Answer, Attempt, Epoch, LeaseRecord, LeaseTerms, Purpose};
use crate::{Mutant, Steady};

/// How long a released lease claims to last: nobody waits for it (client-go writes the same).
const RELEASED_DURATION: Duration = Duration::from_secs(1);

/// How often a standby looks at the least: a lease that was released is to have its next holder within a second.
const LOOK_EVERY_MAX: Duration = Duration::from_millis(700);

/// What the driver has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Read the record, with a quorum read, then call [`Election::observe`] or [`Election::look_failed`].
    Look,
    /// Send this write, once, without a retry, then call [`Election::answered`].
    Write(Attempt),
    /// Nothing before this moment.
    WaitUntil(Steady),
    /// The lease is lost: abort all work that it covers. Once that has ended, call [`Election::stopped`].
    Stop,
}

/// A candidate's state.
///
/// It sends one request at a time. Whoever gives up on an answer may go on asking [`Self::decide`]: a write without an
/// answer is looked after.
#[derive(Clone, Debug)]
pub struct Election {
    pub(super) identity: Arc<str>,
    pub(super) terms: LeaseTerms,
    /// How often a standby looks.
    pub(super) look_every: Duration,
    /// How long nothing is written after a write that did not succeed plainly.
    pub(super) pause: Duration,
    /// The weakening that judges foreign leases by their own timestamps.
    pub(super) believes_foreign_clocks: bool,
    pub(super) role: Role,
    /// What we saw last; nothing before the first look.
    pub(super) sight: Option<Sight>,
    /// Whether the record may have changed by our own doing since then.
    pub(super) in_doubt: bool,
    /// The last write whose success has not been seen.
    pub(super) pending: Option<Attempt>,
    /// No look before this moment.
    pub(super) look_at: Steady,
    /// No write before this moment.
    pub(super) write_at: Steady,
    /// The highest number of an epoch that we saw.
    pub(super) number_max: u32,
    /// The time that our last write carried. It only grows, so that it tells our writes apart.
    pub(super) stamp: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Candidate,
    Holder(Tenure),
    /// Lost; the work has not stopped yet.
    Stopping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tenure {
    pub(super) epoch: Epoch,
    acquired_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Sight {
    /// `None`: there was none.
    pub(super) record: Option<LeaseRecord>,
    /// When it may be taken, by our steady clock.
    pub(super) free_at: Steady,
}

impl Election {
    /// A candidate that has seen nothing yet. `identity` must be unique to this run of this process (a pod's name with
    /// random characters, say), for whatever carries it counts as ours; it also seeds the jitter.
    ///
    /// A standby looks at every half retry period, and at the least every 0.7 seconds, and up to a fifth more: its takeover
    /// is late by what it overlooks.
    pub fn new(identity: &str, terms: LeaseTerms) -> Self {
        Self {
            identity: identity.into(),
            terms,
            look_every: (terms.retry_period / 2).min(LOOK_EVERY_MAX).mul_f64(1.0 + 0.2 * jitter(identity)),
            pause: terms.retry_period / 10,
            believes_foreign_clocks: Mutant::ForeignClockBelieved.is_on(),
            role: Role::Candidate,
            sight: None,
            in_doubt: false,
            pending: None,
            look_at: Steady::default(),
            write_at: Steady::default(),
            number_max: 0,
            stamp: Timestamp::MIN,
        }
    }

    /// The right to act, if there is one at this moment.
    pub fn epoch(&self, now: Steady) -> Option<Epoch> {
        match self.role {
            Role::Holder(tenure) => Some(tenure.epoch).filter(|epoch| epoch.is_valid_at(now)),
            Role::Candidate | Role::Stopping => None,
        }
    }

    /// Who this candidate is.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What it saw last, or what its own last write left; `None` if it has seen no record.
    pub fn record(&self) -> Option<&LeaseRecord> {
        self.sight.as_ref()?.record.as_ref()
    }

    /// Whether the fate of a write is unknown, so that a look should come before a [`Self::release`].
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// What to do now. `now` must be taken before the call, `wall` is written into the record and decides nothing.
    pub fn decide(&mut self, now: Steady, wall: Timestamp) -> Move {
        if matches!(self.role, Role::Holder(tenure) if !tenure.epoch.is_valid_at(now)) {
            self.role = Role::Stopping;
        }
        match self.role {
            Role::Stopping => Move::Stop,
            Role::Holder(tenure) => self.keep(tenure, now, wall),
            Role::Candidate => self.seek(now, wall),
        }
    }

    /// A look found this record, or none. `at` must be taken after the answer came.
    ///
    /// Only answers of quorum reads, in the order in which they were asked for: a cache would show a holder its past.
    pub fn observe(&mut self, found: Option<LeaseRecord>, at: Steady) {
        let free_at = self.free_at(found.as_ref(), at);
        self.in_doubt = false;
        self.look_at = at.after(self.look_every);
        self.see(found, free_at);
        let ours = self.record().filter(|record| record.holder == self.identity).cloned();
        match (ours, self.role) {
            (None, Role::Holder(_)) => self.role = Role::Stopping,
            (Some(record), _) => self.recognise(&record, at),
            (None, _) => {}
        }
    }

    /// A look got no answer.
    pub fn look_failed(&mut self, at: Steady) {
        self.look_at = at.after(self.look_every);
    }

    /// What became of an attempt. A success counts from when it was decided.
    pub fn answered(&mut self, attempt: &Attempt, answer: Answer, now: Steady) {
        if self.pending.as_ref().is_none_or(|pending| pending.record != attempt.record) {
            return;
        }
        match answer {
            Answer::Stored(record) => {
                self.in_doubt = false;
                self.look_at = now.after(self.look_every);
                self.see(Some(record), now);
                self.pending = None;
                self.grant(attempt, now);
            }
            // After a conflict, too, it may have been stored: whatever carried it may have sent it twice.
            Answer::Conflict | Answer::Unknown => {
                self.look_at = now;
                self.write_at = now.after(self.pause);
            }
            Answer::Refused => {
                self.in_doubt = false;
                self.look_at = now.after(self.look_every);
                self.write_at = now.after(self.terms.retry_period);
                self.pending = None;
            }
        }
    }

    /// All work that the lost lease covered has ended: this is a candidate again.
    pub fn stopped(&mut self) {
        if self.role == Role::Stopping {
            self.become_candidate();
        }
    }

    /// Ends the tenure, and says what to write so that the next holder need not wait; `None` if the record, as we saw it,
    /// is not ours.
    ///
    /// Call it only after the workers have stopped: another may act from the moment on at which the server has stored
    /// this. After a conflict or while [`Self::is_in_doubt`], look and call it again; or leave it, and the next holder
    /// waits until the lease has expired. This candidate stands back for one lease duration.
    pub fn release(&mut self, now: Steady, wall: Timestamp) -> Option<Attempt> {
        self.become_candidate();
        self.write_at = now.after(self.terms.duration);
        let record = self.record().filter(|record| record.holder == self.identity)?;
        let released = LeaseRecord { holder: Arc::from(""), duration: RELEASED_DURATION, ..record.clone() };
        Some(self.attempt(Purpose::Release, released, now, wall))
    }

    fn keep(&mut self, tenure: Tenure, now: Steady, wall: Timestamp) -> Move {
        let (true, Some(record)) = (!self.in_doubt, self.record()) else {
            return self.look_no_later_than(tenure.epoch.valid_until, now);
        };
        if now < self.write_at {
            return Move::WaitUntil(self.write_at.min(tenure.epoch.valid_until));
        }
        let renewed = LeaseRecord {
            holder: Arc::clone(&self.identity),
            duration: self.terms.duration,
            acquired_at: tenure.acquired_at,
            transitions: tenure.epoch.number,
            ..record.clone()
        };
        Move::Write(self.attempt(Purpose::Renew, renewed, now, wall))
    }

    fn seek(&mut self, now: Steady, wall: Timestamp) -> Move {
        let (true, Some(sight)) = (!self.in_doubt, &self.sight) else {
            return self.look_no_later_than(self.look_at, now);
        };
        let mut free_at = sight.free_at;
        if self.believes_foreign_clocks && self.record().is_some_and(|record| has_expired_by(wall, record)) {
            free_at = now;
        }
        let take_at = free_at.max(self.write_at);
        if now < take_at {
            return self.look_no_later_than(take_at, now);
        }
        let acquired_at = self.next_stamp(wall);
        let acquired = LeaseRecord {
            holder: Arc::clone(&self.identity),
            duration: self.terms.duration,
            acquired_at,
            renewed_at: acquired_at,
            transitions: self.number_max.saturating_add(1),
            resource_version: self
                .record()
                .map_or_else(|| Arc::from(""), |record| Arc::clone(&record.resource_version)),
        };
        Move::Write(self.attempt(Purpose::Acquire, acquired, now, wall))
    }

    fn look_no_later_than(&self, at: Steady, now: Steady) -> Move {
        if now >= self.look_at { Move::Look } else { Move::WaitUntil(self.look_at.min(at)) }
    }

    /// A write with a time of its own. Until it is answered we are in doubt.
    fn attempt(&mut self, purpose: Purpose, record: LeaseRecord, now: Steady, wall: Timestamp) -> Attempt {
        self.stamp = self.next_stamp(wall);
        let record = LeaseRecord { renewed_at: self.stamp, ..record };
        let attempt = Attempt { purpose, record, decided_at: now };
        self.pending = Some(attempt.clone());
        self.in_doubt = true;
        self.look_at = now;
        attempt
    }

    /// The wall clock to the microsecond, as the cluster keeps it; later than what was written last.
    fn next_stamp(&self, wall: Timestamp) -> Timestamp {
        let wall = Timestamp::from_microsecond(wall.as_microsecond()).unwrap_or(wall);
        let next = self.stamp.saturating_add(Duration::from_micros(1)).unwrap_or(Timestamp::MAX);
        wall.max(next)
    }

    /// When what was found may be taken.
    fn free_at(&self, found: Option<&LeaseRecord>, at: Steady) -> Steady {
        match (found, &self.sight) {
            (Some(record), _) if record.is_released() || record.holder == self.identity => at,
            (Some(record), Some(Sight { record: Some(before), free_at }))
                if record.says_the_same_as(before) =>
            {
                *free_at
            }
            (Some(record), _) => at.after(self.terms.promised(record.duration)),
            (None, None) => at,
            (None, Some(Sight { record: None, free_at })) => *free_at,
            // Removed by somebody. Nobody but us can hold it while our own epoch is valid; else whoever held it last,
            // perhaps unseen by us, may go on for as long as it promised.
            (None, Some(_)) if self.epoch(at).is_some() => at,
            (None, Some(Sight { record: Some(before), .. })) => {
                at.after(self.terms.promised(before.duration).max(self.terms.duration))
            }
        }
    }

    fn see(&mut self, record: Option<LeaseRecord>, free_at: Steady) {
        if let Some(record) = &record {
            self.number_max = self.number_max.max(record.transitions);
        }
        self.sight = Some(Sight { record, free_at });
    }

    /// The record is ours; if it is what we wrote without getting an answer, then that was stored.
    fn recognise(&mut self, record: &LeaseRecord, now: Steady) {
        if let Some(attempt) = self.pending.take_if(|attempt| attempt.record.renewed_at == record.renewed_at)
        {
            self.grant(&attempt, now);
        }
    }

    /// The attempt was stored: it gives the right to act as of when it was decided, if that has not passed already.
    fn grant(&mut self, attempt: &Attempt, now: Steady) {
        let valid_until = attempt.decided_at.after(self.terms.renew_deadline);
        match (attempt.purpose, &mut self.role) {
            (Purpose::Acquire, role @ Role::Candidate) if now < valid_until => {
                let epoch = Epoch { number: attempt.record.transitions, valid_until };
                *role = Role::Holder(Tenure { epoch, acquired_at: attempt.record.acquired_at });
            }
            (Purpose::Renew, Role::Holder(tenure)) => {
                tenure.epoch.valid_until = tenure.epoch.valid_until.max(valid_until);
            }
            _ => return,
        }
        self.write_at = attempt.decided_at.after(self.terms.retry_period);
    }

    /// What was pending belongs to the tenure that has ended.
    fn become_candidate(&mut self) {
        self.role = Role::Candidate;
        self.pending = None;
    }
}

fn has_expired_by(wall: Timestamp, record: &LeaseRecord) -> bool {
    record.renewed_at.saturating_add(record.duration).is_ok_and(|expires_at| expires_at <= wall)
}

/// A number from 0 to 1 that differs between identities.
fn jitter(identity: &str) -> f64 {
    let mut hasher = DefaultHasher::new();
    identity.hash(&mut hasher);
    f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Timestamp = Timestamp::UNIX_EPOCH;

    /// The server's record, and who drives the candidates: what each test does with them is all that it shows.
    #[derive(Default)]
    struct Server {
        record: Option<LeaseRecord>,
        version: u32,
    }

    impl Server {
        fn write(&mut self, attempt: &Attempt) -> Answer {
            let version = self.record.as_ref().map_or("", |record| &record.resource_version);
            if version != &*attempt.record().resource_version {
                return Answer::Conflict;
            }
            self.version += 1;
            let resource_version = self.version.to_string().into();
            self.record = Some(LeaseRecord { resource_version, ..attempt.record().clone() });
            Answer::Stored(self.record.clone().unwrap())
        }
    }

    fn second(second: u64) -> Steady {
        Steady::at(Duration::from_secs(second))
    }

    fn candidate(identity: &str) -> Election {
        Election::new(identity, LeaseTerms::DEFAULT)
    }

    fn write(election: &mut Election, now: Steady) -> Attempt {
        match election.decide(now, WALL) {
            Move::Write(attempt) => attempt,
            other => panic!("{other:?} instead of a write"),
        }
    }

    /// A candidate that looked at `server`, wrote at `now` and was answered at once.
    fn holder(identity: &str, server: &mut Server, now: Steady) -> Election {
        let mut election = candidate(identity);
        assert_eq!(election.decide(now, WALL), Move::Look);
        election.observe(server.record.clone(), now);
        renew(&mut election, server, now);
        assert!(election.epoch(now).is_some());
        election
    }

    fn renew(election: &mut Election, server: &mut Server, now: Steady) {
        let attempt = write(election, now);
        let answer = server.write(&attempt);
        election.answered(&attempt, answer, now);
    }

    #[test]
    fn who_finds_no_record_creates_it_and_holds_the_first_epoch() {
        let mut server = Server::default();
        let election = holder("a", &mut server, second(0));
        let epoch = Epoch { number: 1, valid_until: second(10) };
        assert_eq!(election.epoch(second(0)), Some(epoch));
        assert_eq!(election.epoch(second(10)), None);
        assert!(epoch.is_valid_for(second(8), Duration::from_secs(1)));
        assert!(!epoch.is_valid_for(second(8), Duration::from_secs(2)));
    }

    #[test]
    fn a_holder_renews_every_retry_period_within_its_epoch() {
        let mut server = Server::default();
        let mut election = holder("a", &mut server, second(0));
        assert_eq!(election.decide(second(1), WALL), Move::WaitUntil(second(2)));
        renew(&mut election, &mut server, second(2));
        assert_eq!(election.epoch(second(2)), Some(Epoch { number: 1, valid_until: second(12) }));
    }

    #[test]
    fn an_answer_that_comes_late_moves_the_epoch_only_as_of_the_decision() {
        let mut server = Server::default();
        let mut election = holder("a", &mut server, second(0));
        let attempt = write(&mut election, second(2));
        let answer = server.write(&attempt);
        election.answered(&attempt, answer, second(9));
        assert_eq!(election.epoch(second(9)), Some(Epoch { number: 1, valid_until: second(12) }));
    }

    #[test]
    fn a_lost_answer_is_looked_after_and_counts_as_of_the_decision() {
        let mut server = Server::default();
        let mut election = holder("a", &mut server, second(0));
        let attempt = write(&mut election, second(2));
        server.write(&attempt);
        election.answered(&attempt, Answer::Unknown, second(5));
        assert_eq!(election.decide(second(5), WALL), Move::Look);
        election.observe(server.record.clone(), second(6));
        assert_eq!(election.epoch(second(6)), Some(Epoch { number: 1, valid_until: second(12) }));
    }

    #[test]
    fn a_write_that_nobody_answered_is_looked_after_without_being_told() {
        let mut server = Server::default();
        let mut election = holder("a", &mut server, second(0));
        let attempt = write(&mut election, second(2));
        assert_eq!(election.decide(second(5), WALL), Move::Look);
        election.observe(server.record.clone(), second(5));
        let again = write(&mut election, second(5));
        assert_ne!(attempt, again);
        election.answered(&attempt, Answer::Conflict, second(5));
        assert_eq!(election.pending, Some(again), "an answer to what is no longer asked for changes nothing");
    }

    #[test]
    fn a_conflict_with_our_own_write_is_no_conflict() {
        let mut server = Server::default();
        let mut election = candidate("a");
        election.observe(None, second(0));
        let attempt = write(&mut election, second(0));
        server.write(&attempt);
        let answer = server.write(&attempt);
        election.answered(&attempt, answer, second(1));
        election.observe(server.record.clone(), second(1));
        assert_eq!(election.epoch(second(1)), Some(Epoch { number: 1, valid_until: second(10) }));
    }

    #[test]
    fn at_the_renew_deadline_the_holder_stops_and_comes_back_with_a_new_epoch() {
        let mut server = Server::default();
        let mut election = holder("a", &mut server, second(0));
        assert_eq!(election.decide(second(10), WALL), Move::Stop);
        assert_eq!(election.decide(second(11), WALL), Move::Stop, "until it has stopped");
        election.stopped();
        renew(&mut election, &mut server, second(12));
        assert_eq!(election.epoch(second(12)), Some(Epoch { number: 2, valid_until: second(22) }));
    }

    #[test]
    fn a_refused_renewal_is_tried_again_until_the_deadline() {
        let mut server = Server::default();
        let mut election = holder("a", &mut server, second(0));
        for now in [2, 4, 6, 8] {
            let attempt = write(&mut election, second(now));
            election.answered(&attempt, Answer::Refused, second(now));
        }
        assert_eq!(election.decide(second(9), WALL), Move::WaitUntil(second(10)));
        assert_eq!(election.decide(second(10), WALL), Move::Stop);
    }

    #[test]
    fn a_foreign_lease_is_taken_once_it_has_not_changed_for_its_duration_by_our_clock() {
        let mut server = Server::default();
        holder("a", &mut server, second(0));
        let mut standby = candidate("b");
        for now in 100..115 {
            standby.observe(server.record.clone(), second(now));
            let far_future = Timestamp::from_second(1_000_000).unwrap();
            assert!(matches!(standby.decide(second(now), far_future), Move::WaitUntil(_)));
        }
        renew(&mut standby, &mut server, second(115));
        assert_eq!(standby.epoch(second(115)).map(|epoch| epoch.number), Some(2));
    }

    #[test]
    fn a_renewal_makes_a_standby_wait_anew_and_a_label_does_not() {
        let mut server = Server::default();
        let mut election = holder("a", &mut server, second(0));
        let mut standby = candidate("b");
        standby.observe(server.record.clone(), second(0));
        renew(&mut election, &mut server, second(2));
        standby.observe(server.record.clone(), second(3));
        let labelled = LeaseRecord { resource_version: "77".into(), ..server.record.clone().unwrap() };
        standby.observe(Some(labelled), second(9));
        assert!(!matches!(standby.decide(second(17), WALL), Move::Write(_)));
        assert_eq!(&*write(&mut standby, second(18)).record().resource_version, "77");
    }

    #[test]
    fn a_record_that_promises_for_ever_is_believed_for_ten_minutes() {
        let mut server = Server::default();
        holder("a", &mut server, second(0));
        let mut standby = candidate("b");
        let forever = LeaseRecord { duration: Duration::from_secs(9_999_999), ..server.record.unwrap() };
        standby.observe(Some(forever), second(0));
        assert!(!matches!(standby.decide(second(599), WALL), Move::Write(_)));
        write(&mut standby, second(600));
    }

    #[test]
    fn a_released_lease_is_taken_at_once_with_the_next_number() {
        let mut server = Server::default();
        let mut election = holder("a", &mut server, second(0));
        let release = election.release(second(3), WALL).unwrap();
        assert_eq!(election.epoch(second(3)), None);
        let answer = server.write(&release);
        election.answered(&release, answer, second(3));
        assert!(server.record.as_ref().unwrap().is_released());
        assert!(!matches!(election.decide(second(4), WALL), Move::Write(_)), "others go first");

        let standby = holder("b", &mut server, second(4));
        assert_eq!(standby.epoch(second(4)).map(|epoch| epoch.number), Some(2));
    }

    #[test]
    fn nobody_releases_what_another_holds() {
        let mut server = Server::default();
        holder("a", &mut server, second(0));
        let mut standby = candidate("b");
        standby.observe(server.record.clone(), second(1));
        assert_eq!(standby.release(second(1), WALL), None);
    }

    #[test]
    fn a_holder_that_sees_another_in_its_place_stops_at_once() {
        let mut server = Server::default();
        let mut election = holder("a", &mut server, second(0));
        let stolen = LeaseRecord { holder: "b".into(), ..server.record.clone().unwrap() };
        election.observe(Some(stolen), second(1));
        assert_eq!(election.epoch(second(1)), None);
        assert_eq!(election.decide(second(1), WALL), Move::Stop);
    }

    #[test]
    fn a_lease_that_vanished_is_waited_out_by_others_and_made_anew_by_its_holder() {
        let mut server = Server::default();
        let mut election = holder("a", &mut server, second(0));
        let mut standby = candidate("b");
        standby.observe(server.record.clone(), second(1));
        for now in 2..=16 {
            standby.observe(None, second(now));
            assert!(!matches!(standby.decide(second(now), WALL), Move::Write(_)));
        }
        assert_eq!(write(&mut standby, second(17)).record().transitions, 2);

        server.record = None;
        election.observe(None, second(5));
        assert_eq!(election.decide(second(5), WALL), Move::Stop);
        election.stopped();
        assert_eq!(write(&mut election, second(5)).record().transitions, 2);
    }

    #[test]
    fn times_that_we_write_only_grow_though_the_wall_clock_was_set_back() {
        let mut server = Server::default();
        let mut election = holder("a", &mut server, second(0));
        let before = server.record.clone().unwrap();
        let attempt = match election.decide(second(2), WALL.saturating_sub(Duration::from_hours(1)).unwrap())
        {
            Move::Write(attempt) => attempt,
            other => panic!("{other:?}"),
        };
        assert!(attempt.record().renewed_at > before.renewed_at);
        assert_eq!(attempt.record().acquired_at, before.acquired_at);
    }

    #[test]
    fn standbys_do_not_look_in_step() {
        let spans: std::collections::BTreeSet<_> =
            (0..50).map(|n| candidate(&format!("pod-{n}")).look_every).collect();
        assert!(spans.len() > 45);
        assert!(spans.iter().all(|span| (700..=840).contains(&span.as_millis())));
    }
}
