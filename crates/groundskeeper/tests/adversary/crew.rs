//! Two replicas of the operator, and what befalls them: faults between them and the API server, and their own ends.

use std::time::{Duration, Instant};

use control::Mutant;
use testbed::ControlPlane;
use testbed::faults::{Calls, Events, Fault, Gate, Held, Refusal, RuleHandle, Verb};
use tokio::task::JoinHandle;

use crate::ground::{CLUSTER_POLICY, NAMESPACE, POLICY, plural};
use crate::random::Random;
use crate::support::checks::Replica;
use crate::support::operator::Launch;
use crate::terms::KINDS;

/// How long a watch may be held up: no news is older than this, and the time that it then takes to be read.
const WATCH_FAULT_MAX: i64 = 1_500;

/// How long a replica is out of the world: longer than its lease.
const ABSENCE: Duration = Duration::from_millis(5_500);

/// What befalls whoever has just sent a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disaster {
    /// SIGKILL; the deletion is never made.
    KilledBefore,
    /// SIGKILL; the deletion is made, and nobody hears of it.
    KilledAfter,
    /// SIGSTOP for longer than the lease; the deletion arrives when another one leads.
    Paused,
    /// No byte moves for longer than the lease.
    Parted,
    /// SIGTERM.
    Asked,
}

impl Disaster {
    pub(crate) const ALL: [Self; 5] =
        [Self::KilledBefore, Self::KilledAfter, Self::Paused, Self::Parted, Self::Asked];
}

struct Member {
    replica: Replica,
    gate: Gate,
    /// The rule that stops the next deletion at the gate.
    armed: Option<RuleHandle>,
    faults: Vec<Disturbance>,
    /// It is out of the world until then, and what it had sent.
    absent: Option<(Instant, Disaster, Held)>,
}

/// A rule that is lifted after a while.
struct Disturbance {
    rule: RuleHandle,
    until: Instant,
    is_of_a_watch: bool,
}

pub(crate) struct Crew {
    cluster: &'static ControlPlane,
    mutant: Option<Mutant>,
    members: Vec<Member>,
    coming: Vec<JoinHandle<Replica>>,
    ending: Vec<JoinHandle<bool>>,
    /// The names of all that have been.
    pub(crate) names: Vec<String>,
    pub(crate) faults: u32,
}

impl Crew {
    /// One that leads, and one that comes; a mutant is alone.
    pub(crate) async fn start(cluster: &'static ControlPlane, mutant: Option<Mutant>) -> Self {
        let (names, members) = (Vec::new(), Vec::new());
        let mut crew =
            Self { cluster, mutant, members, coming: Vec::new(), ending: Vec::new(), names, faults: 0 };
        let first = Replica::leader(cluster, mutant, Launch::quick_lease).await;
        crew.admit(first);
        if mutant.is_none() {
            crew.call_another();
        }
        crew
    }

    fn admit(&mut self, replica: Replica) {
        self.names.push(replica.operator.name.clone());
        let gate = Gate::new();
        self.members.push(Member { replica, gate, armed: None, faults: Vec::new(), absent: None });
    }

    fn call_another(&mut self) {
        let (cluster, mutant) = (self.cluster, self.mutant);
        let coming = async move { Replica::start(cluster, mutant, Launch::quick_lease).await };
        self.coming.push(tokio::task::spawn_local(coming));
    }

    /// Whoever comes is there, whoever was away comes back, and what was wrong for a while is right again.
    pub(crate) async fn go_on(&mut self, now: Instant) {
        while let Some(at) = self.coming.iter().position(JoinHandle::is_finished) {
            let replica = self.coming.swap_remove(at).await.unwrap();
            self.admit(replica);
        }
        for member in &mut self.members {
            member.faults.extract_if(.., |fault| fault.until <= now).for_each(|fault| fault.rule.lift());
            if member.absent.as_ref().is_some_and(|(until, ..)| *until <= now) {
                member.come_back();
            }
        }
    }

    /// Stops the next deletion of whoever leads on its way: before the server, or after it.
    pub(crate) fn arm(&mut self, is_before: bool) {
        for member in &mut self.members {
            // Another fault may have met the deletion before it came to the gate.
            let has_missed = |rule: &RuleHandle| rule.matched() > 0 && member.gate.waiting() == 0;
            if member.armed.as_ref().is_some_and(|rule| !has_missed(rule)) {
                continue;
            }
            let fault =
                if is_before { Fault::hold_before(&member.gate) } else { Fault::hold_after(&member.gate) };
            member.armed = Some(member.replica.proxy.on(Calls::to(Verb::Delete).times(1), fault));
        }
    }

    /// Stops no deletion any more that is not stopped already.
    pub(crate) fn disarm(&mut self) {
        for member in &mut self.members {
            if let Some(rule) = member.armed.take() {
                rule.lift();
            }
        }
    }

    /// A deletion that is on its way, and who sent it.
    pub(crate) async fn stopped(&mut self) -> Option<(usize, Held)> {
        for (number, member) in self.members.iter_mut().enumerate() {
            if let Ok(held) = tokio::time::timeout(Duration::ZERO, member.gate.arrived()).await {
                if let Some(rule) = member.armed.take() {
                    rule.lift();
                }
                return Some((number, held));
            }
        }
        None
    }

    /// Lets it befall whoever has sent this.
    pub(crate) fn suffer(&mut self, disaster: Disaster, (number, held): (usize, Held), now: Instant) {
        match disaster {
            Disaster::KilledBefore | Disaster::KilledAfter => {
                let member = self.members.swap_remove(number);
                member.replica.operator.kill();
                held.cut();
                self.call_another();
            }
            Disaster::Asked => {
                let Member { replica: Replica { proxy, operator }, gate, armed, .. } =
                    self.members.swap_remove(number);
                held.release();
                proxy.lift_all();
                drop((gate, armed));
                let ending = async move {
                    let ended = operator.stop().await;
                    drop(proxy);
                    ended.success()
                };
                self.ending.push(tokio::task::spawn_local(ending));
                self.call_another();
            }
            Disaster::Paused | Disaster::Parted => {
                let member = &mut self.members[number];
                if disaster == Disaster::Paused {
                    member.replica.operator.process.pause().unwrap();
                } else {
                    member.replica.proxy.freeze();
                }
                member.absent = Some((now + ABSENCE, disaster, held));
            }
        }
    }

    /// Something goes wrong between one of them and the server.
    pub(crate) fn disturb(&mut self, random: &mut Random, now: Instant) {
        if self.members.is_empty() {
            return;
        }
        let number = random.below(self.members.len());
        let member = &mut self.members[number];
        let (calls, fault, span, is_of_a_watch) = fault(random);
        // One after the other, so that there is a bound to how old news may be.
        if is_of_a_watch && member.faults.iter().any(|fault| fault.is_of_a_watch) {
            return;
        }
        let rule = member.replica.proxy.on(calls, fault);
        member.faults.push(Disturbance { rule, until: now + span, is_of_a_watch });
        self.faults += 1;
    }

    /// Nothing goes wrong any more, and both are there.
    pub(crate) async fn come_to_rest(&mut self) -> Result<(), String> {
        self.disarm();
        for member in &mut self.members {
            member.faults.clear();
            member.replica.proxy.lift_all();
            member.come_back();
        }
        while let Some((_, held)) = self.stopped().await {
            held.release();
        }
        for coming in std::mem::take(&mut self.coming) {
            let replica = coming.await.unwrap();
            self.admit(replica);
        }
        for ending in std::mem::take(&mut self.ending) {
            if !ending.await.unwrap() {
                return Err("a replica that was asked to stop did not end well".to_owned());
            }
        }
        Ok(())
    }

    /// What they have called errors of their own.
    pub(crate) fn errors(&self) -> Vec<serde_json::Value> {
        self.members.iter().flat_map(|member| member.replica.operator.errors()).collect()
    }
}

impl Member {
    fn come_back(&mut self) {
        let Some((_, disaster, held)) = self.absent.take() else { return };
        held.release();
        if disaster == Disaster::Paused {
            self.replica.operator.process.resume().unwrap();
        } else {
            self.replica.proxy.thaw();
        }
    }
}

/// Which requests, what happens to them, for how long, and whether it holds up a watch.
fn fault(random: &mut Random) -> (Calls, Fault, Duration, bool) {
    let mut millis = |most| Duration::from_millis(random.between(10, most).unsigned_abs());
    let (span, short, delay) = (millis(WATCH_FAULT_MAX), millis(400), millis(WATCH_FAULT_MAX / 2));
    let (kind, choice) = (random.below(6), random.below(16));
    let kinds = [KINDS[0], KINDS[1], KINDS[2], POLICY, CLUSTER_POLICY, NAMESPACE];
    let deletions = Calls::to(Verb::Delete).times(1 + random.next() % 3);
    let watches = Calls::watches(plural(kinds[kind]));
    let statuses = Calls::of(format!("{}/status", plural(POLICY))).times(2);
    let busy = Refusal::too_many_requests(Duration::from_secs(1));
    let (calls, fault) = match choice {
        0 => (deletions, Fault::cut_before()),
        1 | 2 => (deletions, Fault::cut_after()),
        3 => (deletions, Fault::delay(short)),
        4 => (deletions, Fault::delay_reply(short)),
        5 => (deletions, Fault::replace_reply(Refusal::timeout())),
        6 => (deletions, Fault::refuse(busy)),
        7 => (deletions, Fault::refuse(Refusal::internal_error())),
        8 => (statuses, Fault::cut_after()),
        9 => (statuses, Fault::refuse(Refusal::conflict())),
        10 => (watches.already_open(), Fault::close_watch()),
        11 => (watches.already_open(), Fault::fail_watch(Refusal::expired())),
        12 => (watches.times(2), Fault::refuse(Refusal::expired())),
        13 => (watches, Fault::freeze_watch()),
        14 => (watches, Fault::hold_events(Events::any())),
        _ => return (watches, Fault::delay_events(Events::any(), delay), delay, true),
    };
    (calls, fault, span, choice >= 10)
}
