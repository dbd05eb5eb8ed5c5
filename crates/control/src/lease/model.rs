//! The election, explored: every interleaving of candidates, requests, answers and clocks.
//!
//! A world is a server with one record and compare-and-swap, and candidates that run the real [`Election`]. From each
//! world all events that may happen next are tried: a candidate moves, or does not while time passes (it is paused, or its
//! request or answer is slow); the server performs a request or refuses it; a sender gives up, and its write is lost,
//! or was performed already, or lands later at any time; a process dies and is started anew; a holder resigns; somebody
//! removes the record. Clocks tick at different rates and show different wall times.
//!
//! Only what a candidate can tell apart is kept of a world ([`World::essence`]): times relative to its own clock, names and
//! versions by order of appearance. So the worlds are finitely many, although time, crashes and faults have no bound, and
//! the search ends when there are no new ones. It checks in each world that
//!
//! - no two candidates' workers believe in a valid epoch,
//! - a newer epoch has a larger number than every older one, unless the record was removed meanwhile;
//!
//! and, once the search has ended, that from each world, with faults off, some candidate soon holds the lease and keeps it.
//! The last tests show that the search finds what is wrong: each weakens the machine or the world, and fails without a
//! counterexample.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::election::Role;
use super::{Answer, Attempt, Election, Epoch, LeaseRecord, LeaseTerms, Move};
use crate::Steady;

/// What is explored.
#[derive(Clone)]
struct Setup {
    terms: LeaseTerms,
    /// For each candidate: seconds that its clock advances while one tick of real time passes, and how far its wall clock
    /// is off, in seconds.
    clocks: Vec<(u64, i64)>,
    faults: Vec<Fault>,
    looks: Looks,
    weakness: Option<Weakness>,
}

/// Whether a look may be slow, outdated or lost, too. Three candidates make too many worlds of that.
#[derive(Clone, Copy, PartialEq)]
enum Looks {
    MayFail,
    AtOnce,
}

/// What may happen besides slow or lost messages and pauses, which always may.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Crash,
    Resign,
    Refuse,
    /// A write lands after its sender has given up on it.
    Stray,
    /// Once, somebody removes the record, which all have seen before.
    Remove,
}

/// What is taken from the machine, to see that the search notices.
#[derive(Clone, Copy, PartialEq)]
enum Weakness {
    ForeignClockBelieved,
    CountsFromAnswer,
    NoPrecondition,
    ReleasedBeforeStopped,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Move(usize),
    Perform(usize),
    Refuse(usize),
    Hear(usize),
    GiveUp(usize),
    LandStray(usize),
    Crash(usize),
    Resign(usize),
    Remove,
    Tick,
}

#[derive(Clone)]
struct World {
    record: Option<LeaseRecord>,
    versions: u64,
    removals_left: u8,
    /// The newest epoch that any candidate had, and whose it was.
    newest: (u32, Arc<str>),
    processes: Vec<Process>,
}

#[derive(Clone)]
struct Process {
    election: Election,
    starts: u32,
    now: u64,
    call: Option<Call>,
    stray: Option<Attempt>,
    /// The newest epoch that the workers were shown, and act by until they are stopped.
    workers: Option<Epoch>,
}

#[derive(Clone)]
enum Call {
    Look,
    Write(Attempt),
    Found(Option<LeaseRecord>),
    Answered(Attempt, Answer),
}

impl Process {
    fn start(index: usize, starts: u32, now: u64, setup: &Setup) -> Self {
        let mut election = Election::new(&format!("{index}-{starts}"), setup.terms);
        election.look_every = setup.terms.retry_period;
        election.pause = Duration::ZERO;
        election.believes_foreign_clocks = setup.weakness == Some(Weakness::ForeignClockBelieved);
        Self { election, starts, now, call: None, stray: None, workers: None }
    }

    fn steady(&self) -> Steady {
        Steady::at(Duration::from_secs(self.now))
    }

    fn wall(&self, offset: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + offset + i64::try_from(self.now).unwrap()).unwrap()
    }

    fn acts(&self) -> bool {
        self.workers.is_some_and(|epoch| epoch.is_valid_at(self.steady()))
    }
}

impl World {
    fn new(setup: &Setup) -> Self {
        let processes = (0..setup.clocks.len()).map(|index| Process::start(index, 0, 0, setup)).collect();
        let removals_left = u8::from(setup.faults.contains(&Fault::Remove));
        let mut world = Self { record: None, versions: 0, removals_left, newest: (0, "".into()), processes };
        if removals_left > 0 {
            world.record = Some(LeaseRecord {
                holder: "".into(),
                duration: Duration::from_secs(1),
                acquired_at: Timestamp::UNIX_EPOCH,
                renewed_at: Timestamp::UNIX_EPOCH,
                transitions: 0,
                resource_version: "0".into(),
            });
            let (record, start) = (world.record.clone(), Steady::default());
            world.processes.iter_mut().for_each(|process| process.election.observe(record.clone(), start));
        }
        world
    }

    /// The world after an event, if that can happen.
    fn after(&self, event: Event, setup: &Setup) -> Option<Self> {
        if !self.may_happen(event) {
            return None;
        }
        let mut world = self.clone();
        world.happen(event, setup)?;
        for process in &mut world.processes {
            if let Some(epoch) = process.election.epoch(process.steady()) {
                process.workers = Some(epoch);
            }
        }
        Some(world)
    }

    /// Whether an event can be ruled out at a glance, before a world is made for it.
    fn may_happen(&self, event: Event) -> bool {
        let call = |index: usize| self.processes[index].call.as_ref();
        match event {
            Event::Move(index) | Event::Resign(index) => call(index).is_none(),
            Event::Perform(index) => matches!(call(index), Some(Call::Look | Call::Write(_))),
            Event::Refuse(index) => matches!(call(index), Some(Call::Write(_))),
            Event::Hear(index) => matches!(call(index), Some(Call::Found(_) | Call::Answered(..))),
            Event::GiveUp(index) => call(index).is_some(),
            Event::LandStray(index) => self.processes[index].stray.is_some(),
            Event::Remove => self.removals_left > 0,
            Event::Crash(_) | Event::Tick => true,
        }
    }

    fn happen(&mut self, event: Event, setup: &Setup) -> Option<()> {
        let allowed = |fault| setup.faults.contains(&fault).then_some(());
        match event {
            Event::Move(index) => {
                let process = self.processes.get_mut(index).filter(|process| process.call.is_none())?;
                let wall = process.wall(setup.clocks[index].1);
                match process.election.decide(process.steady(), wall) {
                    Move::Look if setup.looks == Looks::AtOnce => {
                        process.election.observe(self.record.clone(), process.steady());
                    }
                    Move::Look => process.call = Some(Call::Look),
                    Move::Write(attempt) => process.call = Some(Call::Write(attempt)),
                    Move::Stop => {
                        process.workers = None;
                        process.election.stopped();
                    }
                    Move::WaitUntil(at) => {
                        assert!(at > process.steady(), "a wait that has passed is a hot loop");
                        return None;
                    }
                }
            }
            Event::Perform(index) => {
                let answer = match self.processes[index].call.take()? {
                    Call::Look => Call::Found(self.record.clone()),
                    Call::Write(attempt) => {
                        let answer = self.perform(&attempt, setup);
                        Call::Answered(attempt, answer)
                    }
                    Call::Found(_) | Call::Answered(..) => return None,
                };
                self.processes[index].call = Some(answer);
            }
            Event::Refuse(index) => {
                allowed(Fault::Refuse)?;
                let Some(Call::Write(attempt)) = self.processes[index].call.take() else { return None };
                self.processes[index].call = Some(Call::Answered(attempt, Answer::Refused));
            }
            Event::Hear(index) => {
                let process = &mut self.processes[index];
                let now = process.steady();
                match process.call.take()? {
                    Call::Found(record) => process.election.observe(record, now),
                    Call::Answered(mut attempt, answer) => {
                        if setup.weakness == Some(Weakness::CountsFromAnswer) {
                            attempt.decided_at = now;
                        }
                        process.election.answered(&attempt, answer, now);
                    }
                    Call::Look | Call::Write(_) => return None,
                }
            }
            Event::GiveUp(index) => {
                let process = &mut self.processes[index];
                let now = process.steady();
                match process.call.take()? {
                    Call::Look | Call::Found(_) => process.election.look_failed(now),
                    Call::Answered(attempt, _) => process.election.answered(&attempt, Answer::Unknown, now),
                    Call::Write(attempt) => {
                        process.election.answered(&attempt, Answer::Unknown, now);
                        process.stray = allowed(Fault::Stray).map(|()| attempt);
                    }
                }
            }
            Event::LandStray(index) => {
                let attempt = self.processes[index].stray.take()?;
                self.perform(&attempt, setup);
            }
            Event::Crash(index) => {
                allowed(Fault::Crash)?;
                let process = &mut self.processes[index];
                let stray = match process.call.take() {
                    Some(Call::Write(attempt)) => allowed(Fault::Stray).map(|()| attempt),
                    _ => process.stray.take(),
                };
                *process = Process { stray, ..Process::start(index, process.starts + 1, process.now, setup) };
            }
            Event::Resign(index) => {
                allowed(Fault::Resign)?;
                let process = &mut self.processes[index];
                if process.call.is_some() || process.workers.is_none() {
                    return None;
                }
                if setup.weakness != Some(Weakness::ReleasedBeforeStopped) {
                    process.workers = None;
                }
                let wall = process.wall(setup.clocks[index].1);
                process.call = process.election.release(process.steady(), wall).map(Call::Write);
            }
            Event::Remove => {
                self.removals_left = self.removals_left.checked_sub(1)?;
                self.record.take()?;
            }
            Event::Tick => {
                for (process, (rate, _)) in self.processes.iter_mut().zip(&setup.clocks) {
                    process.now += rate;
                }
            }
        }
        Some(())
    }

    fn perform(&mut self, attempt: &Attempt, setup: &Setup) -> Answer {
        let present = self.record.as_ref().map_or("", |record| &record.resource_version);
        if present != &*attempt.record.resource_version && setup.weakness != Some(Weakness::NoPrecondition) {
            return Answer::Conflict;
        }
        self.versions += 1;
        let resource_version = self.versions.to_string().into();
        let record = LeaseRecord { resource_version, ..attempt.record.clone() };
        self.record = Some(record.clone());
        Answer::Stored(record)
    }

    /// What must hold in every world.
    fn check(&mut self, is_removable: bool) -> Result<(), String> {
        if self.processes.iter().filter(|process| process.acts()).count() > 1 {
            return Err("two act at once".into());
        }
        for process in &self.processes {
            let Some(epoch) = process.election.epoch(process.steady()) else { continue };
            let (number, holder) = &self.newest;
            let is_old =
                epoch.number < *number || (epoch.number == *number && *holder != process.election.identity);
            if is_old && !is_removable {
                return Err(format!(
                    "epoch {} of {} after {number} of {holder}",
                    epoch.number, process.election.identity
                ));
            }
            self.newest = (epoch.number, Arc::clone(&process.election.identity));
        }
        Ok(())
    }

    /// All that may happen. The first of these that can is what does happen if nothing goes wrong: messages arrive, then
    /// candidates move, then time passes.
    fn events(&self) -> Vec<Event> {
        let fair: [fn(usize) -> Event; 3] = [Event::Perform, Event::Hear, Event::Move];
        let faults: [fn(usize) -> Event; 5] =
            [Event::Refuse, Event::GiveUp, Event::LandStray, Event::Crash, Event::Resign];
        let of_each = |events: &[fn(usize) -> Event]| -> Vec<Event> {
            (0..self.processes.len()).flat_map(|index| events.iter().map(move |event| event(index))).collect()
        };
        [of_each(&fair), vec![Event::Tick], of_each(&faults), vec![Event::Remove]].concat()
    }

    /// All that decides the world's future: two worlds with the same essence behave alike.
    ///
    /// Versions and stamps never come back, so it matters only what is the same as what the server holds now, or as what
    /// is on its way to whom. Numbers below the record's are alike: nobody writes successfully without having seen it. Candidates
    /// whose clocks run alike may change places.
    fn essence(&self, are_alike: bool) -> Box<[u8]> {
        let base = self.record.as_ref().map_or(self.newest.0, |record| record.transitions);
        let is_there = match &self.record {
            None => 0,
            Some(record) if record.is_released() => 1,
            Some(_) => 2,
        };
        let mut parts: Vec<Vec<u8>> =
            self.processes.iter().map(|process| Writer::process(self, process, base)).collect();
        if are_alike {
            parts.sort_unstable();
        }
        parts.push(vec![is_there, self.removals_left, relative(self.newest.0, base)]);
        parts.concat().into()
    }
}

/// Below, the same, one more, or more than that.
fn relative(number: u32, base: u32) -> u8 {
    u8::try_from((i64::from(number) - i64::from(base)).clamp(-1, 2) + 1).unwrap()
}

/// Writes down what decides a process's future.
struct Writer<'world> {
    world: &'world World,
    process: &'world Process,
    base: u32,
    bytes: Vec<u8>,
}

impl<'world> Writer<'world> {
    fn process(world: &'world World, process: &'world Process, base: u32) -> Vec<u8> {
        let mut writer = Self { world, process, base, bytes: Vec::with_capacity(40) };
        writer.write();
        writer.bytes
    }

    fn write(&mut self) {
        let election = &self.process.election;
        let (server, arriving) = (self.world.record.as_ref(), self.arriving());
        self.flags([self.is_ours(server), self.world.newest.1 == election.identity, election.in_doubt]);
        self.byte(relative(election.number_max, self.base));
        self.moment(election.look_at);
        self.moment(election.write_at);
        match election.role {
            Role::Candidate => self.byte(254),
            Role::Stopping => self.byte(253),
            Role::Holder(tenure) => {
                self.byte(relative(tenure.epoch.number, self.base));
                self.moment(tenure.epoch.valid_until);
            }
        }
        self.moment(self.process.workers.map_or(Steady::default(), |epoch| epoch.valid_until));
        match &election.sight {
            None => self.byte(254),
            Some(sight) => {
                self.record(sight.record.as_ref());
                self.flags([
                    same_words(sight.record.as_ref(), server),
                    same_words(sight.record.as_ref(), arriving),
                ]);
                self.moment(sight.free_at);
            }
        }
        let stray = self.process.stray.as_ref().filter(|stray| self.may_land(&stray.record));
        match &self.process.call {
            None => self.byte(254),
            Some(Call::Look) => self.byte(253),
            Some(Call::Found(record)) => {
                self.byte(252);
                self.found(record.as_ref());
            }
            Some(Call::Write(attempt)) => self.byte(240 + u8::from(self.may_land(&attempt.record))),
            Some(Call::Answered(_, Answer::Stored(record))) => {
                self.byte(251);
                self.found(Some(record));
            }
            Some(Call::Answered(_, Answer::Refused)) => self.byte(250),
            Some(Call::Answered(_, _)) => self.byte(249),
        }
        self.byte(u8::from(stray.is_some()));
        if let Some(stray) = stray {
            self.flags([stray.record.is_released(), stray.creates()]);
            self.byte(relative(stray.record.transitions, self.base));
        }
        self.pending(stray);
    }

    /// The write whose success has not been seen, if it can still be.
    fn pending(&mut self, stray: Option<&Attempt>) {
        let Some(pending) = &self.process.election.pending else { return self.byte(254) };
        let is = |record: Option<&LeaseRecord>| same_words(record, Some(&pending.record));
        let is_asked = matches!(&self.process.call, Some(Call::Write(_) | Call::Answered(..)));
        let facts = [
            is_asked,
            is(self.world.record.as_ref()),
            is(self.arriving()),
            is(stray.map(|stray| &stray.record)),
        ];
        if facts == [false; 4] {
            return self.byte(254);
        }
        self.flags(facts);
        self.byte(pending.purpose as u8);
        self.byte(relative(pending.record.transitions, self.base));
        self.moment(pending.decided_at.after(self.process.election.terms.renew_deadline));
    }

    fn found(&mut self, record: Option<&LeaseRecord>) {
        self.record(record);
        self.byte(u8::from(same_words(record, self.world.record.as_ref())));
        self.byte(record.map_or(0, |record| relative(record.transitions, self.base)));
    }

    /// Whose a record is, and whether it is the one that a write has to name now.
    fn record(&mut self, record: Option<&LeaseRecord>) {
        let Some(record) = record else { return self.byte(255) };
        let is_present = self
            .world
            .record
            .as_ref()
            .is_some_and(|present| present.resource_version == record.resource_version);
        self.flags([self.is_ours(Some(record)), record.is_released(), is_present]);
    }

    /// Whether a write may still succeed. A creation might after a removal.
    fn may_land(&self, record: &LeaseRecord) -> bool {
        let present = self.world.record.as_ref().map_or("", |present| &present.resource_version);
        *present == *record.resource_version
            || (record.resource_version.is_empty() && self.world.removals_left > 0)
    }

    fn arriving(&self) -> Option<&'world LeaseRecord> {
        match &self.process.call {
            Some(Call::Found(record)) => record.as_ref(),
            Some(Call::Answered(_, Answer::Stored(record))) => Some(record),
            _ => None,
        }
    }

    fn is_ours(&self, record: Option<&LeaseRecord>) -> bool {
        record.is_some_and(|record| record.holder == self.process.election.identity)
    }

    fn flags<const N: usize>(&mut self, flags: [bool; N]) {
        self.bytes.push(flags.iter().fold(0, |byte, flag| byte << 1 | u8::from(*flag)));
    }

    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// How far a moment lies ahead. All moments that have come are alike.
    fn moment(&mut self, at: Steady) {
        let ahead = at.since(self.process.steady());
        self.bytes.push(u8::try_from(ahead.as_secs()).unwrap());
    }
}

fn same_words(left: Option<&LeaseRecord>, right: Option<&LeaseRecord>) -> bool {
    matches!((left, right), (Some(left), Some(right)) if left.says_the_same_as(right))
}

/// What a search remembers of a world.
struct Node {
    parent: u32,
    event: Event,
    /// Where it goes if nothing goes wrong.
    fair: u32,
    fair_ticks: bool,
    /// Whether somebody holds the lease here, and the fair event does not change who.
    is_held: bool,
}

struct Found {
    worlds: usize,
    /// The most ticks from any world until somebody holds the lease for good, with faults off.
    ticks_to_settle_max: u32,
}

struct Counterexample {
    what: String,
    events: Vec<Event>,
}

impl std::fmt::Debug for Counterexample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} after {} events: {:?}", self.what, self.events.len(), self.events)
    }
}

/// Explores all worlds that can be reached, and prints how many there are.
fn explore(setup: &Setup) -> Result<Found, Counterexample> {
    let are_alike = setup.clocks.windows(2).all(|pair| pair[0].0 == pair[1].0) && setup.weakness.is_none();
    let is_removable = setup.faults.contains(&Fault::Remove);
    let mut search = Search { are_alike, is_removable, ..Search::default() };
    search.meet(World::new(setup), u32::MAX, Event::Tick)?;
    while let Some((index, world)) = search.queue.pop_front() {
        let mut is_fair = true;
        for event in world.events() {
            let Some(next) = world.after(event, setup) else { continue };
            let (next, newest) = search.meet(next, index, event)?;
            if std::mem::take(&mut is_fair) {
                let is_held = newest == world.newest.0 && world.processes.iter().any(Process::acts);
                let node = &mut search.nodes[index as usize];
                (node.fair, node.fair_ticks, node.is_held) = (next, event == Event::Tick, is_held);
            }
        }
    }
    let ticks_to_settle_max = search.settle()?;
    println!("{} worlds; settled after {ticks_to_settle_max} ticks at most", search.nodes.len());
    Ok(Found { worlds: search.nodes.len(), ticks_to_settle_max })
}

#[derive(Default)]
struct Search {
    are_alike: bool,
    is_removable: bool,
    nodes: Vec<Node>,
    known: HashMap<Box<[u8]>, u32>,
    queue: VecDeque<(u32, World)>,
}

impl Search {
    /// Takes in a world: its index, and the number of the newest epoch in it.
    fn meet(&mut self, mut world: World, parent: u32, event: Event) -> Result<(u32, u32), Counterexample> {
        let verdict = world.check(self.is_removable);
        let newest = world.newest.0;
        let next = u32::try_from(self.nodes.len()).unwrap();
        let index = *self.known.entry(world.essence(self.are_alike)).or_insert(next);
        if index == next {
            self.nodes.push(Node { parent, event, fair: next, fair_ticks: false, is_held: false });
            self.queue.push_back((index, world));
        }
        verdict.map_err(|what| Counterexample { what, events: self.way_to(index) })?;
        Ok((index, newest))
    }

    fn way_to(&self, mut index: u32) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(node) = self.nodes.get(index as usize).filter(|node| node.parent != u32::MAX) {
            events.push(node.event);
            index = node.parent;
        }
        events.reverse();
        events
    }

    /// Follows what happens without faults from each world, until worlds repeat: in those, one must hold the lease and
    /// keep it. Says how many ticks it takes at most until then.
    fn settle(&self) -> Result<u32, Counterexample> {
        let mut ticks: Vec<Option<u32>> = vec![None; self.nodes.len()];
        let mut on_path = vec![false; self.nodes.len()];
        for start in 0..self.nodes.len() {
            let mut path = Vec::new();
            let mut at = start;
            while ticks[at].is_none() && !on_path[at] {
                on_path[at] = true;
                path.push(at);
                at = self.nodes[at].fair as usize;
            }
            if ticks[at].is_none() {
                let repeats = path.split_off(path.iter().position(|index| *index == at).unwrap());
                for index in repeats {
                    if !self.nodes[index].is_held {
                        let events = self.way_to(u32::try_from(index).unwrap());
                        return Err(Counterexample { what: "nobody holds it for good".into(), events });
                    }
                    ticks[index] = Some(0);
                }
            }
            for index in path.into_iter().rev() {
                let node = &self.nodes[index];
                let after = ticks[node.fair as usize].unwrap();
                let is_settled = node.is_held && after == 0;
                ticks[index] = Some(if is_settled { 0 } else { after + u32::from(node.fair_ticks) });
            }
        }
        Ok(ticks.into_iter().flatten().max().unwrap_or(0))
    }
}

/// Terms in seconds, free of the bounds for users.
fn terms(duration: u64, renew_deadline: u64, retry_period: u64) -> LeaseTerms {
    let [duration, renew_deadline, retry_period] =
        [duration, renew_deadline, retry_period].map(Duration::from_secs);
    LeaseTerms { duration, renew_deadline, retry_period }
}

fn setup(terms: LeaseTerms, clocks: &[(u64, i64)], faults: &[Fault]) -> Setup {
    Setup { terms, clocks: clocks.to_vec(), faults: faults.to_vec(), looks: Looks::MayFail, weakness: None }
}

/// Explores a sound setup: no counterexample, and it settles within a lease duration of the slowest clock and a tick.
fn holds(setup: &Setup) {
    let found = explore(setup).unwrap();
    let slowest = setup.clocks.iter().map(|(rate, _)| *rate).min().unwrap();
    let duration_ticks = setup.terms.duration.as_secs().div_ceil(slowest);
    assert!(u64::from(found.ticks_to_settle_max) <= duration_ticks + 1, "{}", found.ticks_to_settle_max);
    assert!(found.worlds > 10_000, "a search that ends at once shows nothing");
}

/// Two candidates a tick of whose clocks is a second, and whose wall clocks are ten minutes apart.
const EVEN: [(u64, i64); 2] = [(1, -300), (1, 300)];

/// One clock runs 1.4 times as fast as the other: less than 1.5, the duration over the deadline.
const UNEVEN: [(u64, i64); 2] = [(5, 300), (7, -300)];

#[test]
fn two_candidates_never_act_at_once_whatever_is_slow_or_lost_or_dies_or_lands_late() {
    holds(&setup(terms(3, 2, 1), &EVEN, &[Fault::Crash, Fault::Stray]));
}

#[test]
fn two_candidates_never_act_at_once_though_they_resign_and_are_refused() {
    holds(&setup(terms(3, 2, 1), &EVEN, &[Fault::Resign, Fault::Refuse, Fault::Crash]));
}

#[test]
fn two_candidates_never_act_at_once_though_one_clock_runs_faster_than_the_other() {
    holds(&setup(terms(30, 20, 10), &UNEVEN, &[Fault::Crash]));
    holds(&setup(terms(15, 10, 5), &UNEVEN, &[Fault::Resign, Fault::Stray]));
}

#[test]
fn three_candidates_never_act_at_once() {
    let three = [(1, 0), (1, 300), (1, -300)];
    let looks = Looks::AtOnce;
    holds(&Setup { looks, ..setup(terms(3, 2, 1), &three, &[Fault::Crash]) });
}

#[test]
fn two_candidates_never_act_at_once_though_somebody_removes_the_record() {
    holds(&setup(terms(3, 2, 1), &EVEN, &[Fault::Remove, Fault::Resign]));
}

// What follows takes something away, and fails if the search does not notice.

fn counterexample(setup: &Setup) {
    let found = explore(setup).err().expect("a counterexample");
    println!("{found:?}");
    assert_eq!(found.what, "two act at once");
}

#[test]
fn the_search_notices_what_is_taken_from_the_machine() {
    let whole = setup(terms(3, 2, 1), &EVEN, &[Fault::Resign]);
    for weakness in [
        Weakness::ForeignClockBelieved,
        Weakness::CountsFromAnswer,
        Weakness::NoPrecondition,
        Weakness::ReleasedBeforeStopped,
    ] {
        counterexample(&Setup { weakness: Some(weakness), ..whole.clone() });
    }
}

#[test]
fn the_search_notices_clocks_that_drift_beyond_what_the_terms_allow() {
    counterexample(&setup(terms(30, 20, 10), &[(5, 0), (10, 0)], &[]));
}

#[test]
fn the_search_notices_a_deadline_as_long_as_the_lease_once_clocks_drift() {
    counterexample(&setup(terms(30, 30, 10), &UNEVEN, &[]));
}
