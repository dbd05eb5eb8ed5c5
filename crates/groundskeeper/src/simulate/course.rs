//! How things would go: the grounds of a scene, stepped through time.
//!
//! Pure: a clock that is only counted on, and the engine's own index. Each policy acts as in the operator: notices before
//! deletions, within its rate, its window, and its budget; policies that may act at one moment take turns. The server is
//! taken to answer at once, and what is deleted to be gone.
//!
//! Invariant: what goes up to a moment, a plan for that moment would delete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use control::{Allowance, Budget, Steady, TokenBucket};
use gc::{Due, Gate, Ground, Mode, ObjectName, Policy, Scope, Settled, Step};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use units::NamespacedName;

use crate::limits::SIMULATED_RECHECKS_MAX;
use crate::scene::{Part, Scene};

/// The shortest time between two rounds in which objects are judged anew that have not changed.
const LOOK_STEP_MIN: SignedDuration = SignedDuration::from_secs(60);

/// After a turn in which nothing could be done, although something was due.
const IDLE_PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// Something that would be done.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    /// When.
    pub(crate) at: Timestamp,
    /// `Delete` or `Notify`.
    pub(crate) act: &'static str,
    /// `namespace/name` of the policy, or the name of a policy of the cluster.
    pub(crate) policy: String,
    pub(crate) object: ObjectName,
    /// When it fell due.
    pub(crate) since: Timestamp,
    /// When the object goes that is told so; none for a deletion.
    pub(crate) deletes_at: Option<Timestamp>,
    /// What the policy waited for, if it acts later than the object fell due.
    pub(crate) held_by: Option<Hold>,
    /// When the policy's objects go, in a few words.
    pub(crate) reason: String,
}

/// What a policy waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Hold {
    /// Its `maxDeletionsPerSecond`.
    Rate,
    /// The next window of its schedule.
    OutsideWindow,
    /// Its budget.
    OverBudget,
    /// Somebody's approval.
    AwaitingApproval,
}

impl Hold {
    /// The word for it, as in a plan where that has one.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rate => "Rate",
            Self::OutsideWindow => "OutsideWindow",
            Self::OverBudget => "OverBudget",
            Self::AwaitingApproval => "AwaitingApproval",
        }
    }
}

/// What one policy did, and what waits for it at the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Account {
    pub(crate) policy: String,
    pub(crate) deletions: usize,
    pub(crate) notices: usize,
    /// Objects that are due at the end and have not gone.
    pub(crate) waiting: usize,
    /// What the policy waits for at the end, if something is due.
    pub(crate) held_by: Option<Hold>,
}

/// All that would be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Course {
    pub(crate) events: Vec<Event>,
    pub(crate) accounts: Vec<Account>,
    /// The moment up to which it was followed, if that is not the end.
    pub(crate) stopped_at: Option<Timestamp>,
}

/// A policy that acts.
struct Turn {
    policy: Arc<Policy>,
    awaits: bool,
    bucket: TokenBucket,
    spent: Budget,
    held: Option<Hold>,
    /// Objects are judged anew not before this moment.
    looks_at: Timestamp,
    deletions: usize,
    notices: usize,
}

struct Stepper<'s> {
    scene: &'s mut Scene,
    from: Timestamp,
    look_step: SignedDuration,
    turns: Vec<Turn>,
    events: Vec<Event>,
    /// What is gone, for what it owned.
    gone: BTreeSet<String>,
}

/// What would be done from the scene's moment up to another, that one included; at most so many acts.
pub(crate) fn follow(scene: &mut Scene, to: Timestamp, acts_max: usize) -> Course {
    let from = scene.at;
    let turns = scene.asked.iter().chain(&scene.others).filter(|part| part.policy.mode == Mode::Enforce);
    let turns: Vec<Turn> = turns.map(|part| Turn::new(scene, part)).collect();
    let look_step = (to.duration_since(from) / SIMULATED_RECHECKS_MAX).max(LOOK_STEP_MIN);
    let mut stepper = Stepper { scene, from, look_step, turns, events: Vec::new(), gone: BTreeSet::new() };
    let mut sequence = 0;
    let mut agenda: BTreeSet<(Timestamp, u64, usize)> = BTreeSet::new();
    for turn in 0..stepper.turns.len() {
        sequence += 1;
        agenda.insert((from, sequence, turn));
    }
    let mut stopped_at = None;
    while let Some((now, _, turn)) = agenda.pop_first() {
        if now > to {
            break;
        }
        if stepper.events.len() >= acts_max {
            stopped_at = Some(now);
            break;
        }
        if let Some(next) = stepper.step(turn, now) {
            // Behind all that wait for the same moment: they take turns.
            sequence += 1;
            agenda.insert((next.max(now), sequence, turn));
        }
    }
    let end = stopped_at.unwrap_or(to);
    let accounts = stepper.accounts(end);
    Course { events: stepper.events, accounts, stopped_at }
}

impl Turn {
    fn new(scene: &Scene, part: &Part) -> Self {
        let Part { policy, outlook } = part;
        let rate = policy.deletions_per_second_max;
        let window = policy.budget.window;
        let mut spent = Budget::new(Allowance { count: None, percent: None, window });
        let limit = policy.budget.limit(scene.base_of(policy));
        if let Some(left) = outlook.budget_left.filter(|_| limit < u64::MAX) {
            spent.charge(limit.saturating_sub(left), Steady::default());
        }
        Self {
            policy: Arc::clone(policy),
            awaits: outlook.awaits_approval,
            // As the operator: a tenth of a second's worth may come at once.
            bucket: TokenBucket::new(rate, (rate / 10).max(1), scene.at),
            spent,
            held: None,
            looks_at: scene.at,
            deletions: 0,
            notices: 0,
        }
    }
}

impl Stepper<'_> {
    /// A policy does one thing, or finds out when there will be something to do; none if there never will be.
    fn step(&mut self, at: usize, now: Timestamp) -> Option<Timestamp> {
        self.look_again(at, now);
        let steady = self.steady(now);
        let key = self.turns.get(at)?.policy.key.clone();
        let due = self.earliest(&key, |ground| ground.next_due(&key));
        let notice = self.earliest(&key, |ground| ground.next_notice(&key));
        let look = self.next_look(at, &key);
        let is_due = due.is_some_and(|due| due <= now);
        let base = self.scene.base_of(&self.turns.get(at)?.policy);
        let turn = self.turns.get_mut(at)?;
        let gate = turn.policy.gate(turn.awaits, now);
        if gate == Gate::AwaitingApproval {
            turn.held = Some(Hold::AwaitingApproval);
            return None;
        }
        let later = |next: [Option<Timestamp>; 3]| next.into_iter().flatten().filter(|at| *at > now).min();
        if !is_due && notice.is_none_or(|notice| notice > now) {
            turn.held = None;
            return later([due, notice, look]);
        }
        if let Err(free_at) = turn.bucket.take(now) {
            turn.held = turn.held.or(Some(Hold::Rate));
            return Some(free_at);
        }
        if turn.policy.notice.is_some() && self.notify(at, now) {
            return Some(now);
        }
        let turn = self.turns.get_mut(at)?;
        if let (true, Gate::OutsideWindow { opens_at }) = (is_due, gate) {
            turn.bucket.give_back();
            turn.held = Some(Hold::OutsideWindow);
            return later([Some(opens_at), notice, look]);
        }
        let approved = turn.policy.approved_until(now).filter(|until| due.is_some_and(|due| due <= *until));
        let mut leave = None;
        if is_due && approved.is_none() {
            match turn.spent.take_within(turn.policy.budget.limit(base), steady) {
                Ok(taken) => leave = Some(taken),
                Err(full) => {
                    turn.bucket.give_back();
                    turn.held = Some(Hold::OverBudget);
                    let free = full.until.and_then(|until| now.checked_add(until.since(steady)).ok());
                    return later([free, notice, look]);
                }
            }
        }
        if is_due && self.remove(at, now, approved) {
            return Some(now);
        }
        let turn = self.turns.get_mut(at)?;
        turn.bucket.give_back();
        if let Some(leave) = leave {
            turn.spent.give_back(leave);
        }
        // Something lay otherwise than it did; it has its place anew.
        let soon = now.checked_add(IDLE_PAUSE).ok();
        let next = [&Ground::next_due as &dyn Fn(&Ground, &NamespacedName) -> _, &Ground::next_notice];
        let next = next.into_iter().filter_map(|next| self.earliest(&key, |ground| next(ground, &key))).min();
        later([next.max(soon.filter(|_| next.is_some())), look, None])
    }

    /// What may have another verdict by now is judged anew.
    fn look_again(&mut self, at: usize, now: Timestamp) {
        let look_step = self.look_step;
        let Some(turn) = self.turns.get_mut(at).filter(|turn| turn.looks_at <= now) else { return };
        let key = turn.policy.key.clone();
        turn.looks_at = now.checked_add(look_step).unwrap_or(Timestamp::MAX);
        self.scene.at = now;
        for lot in &mut self.scene.lots {
            while lot.ground.recheck(&key, now) {}
        }
        for (lot, question) in self.scene.owner_questions() {
            // It was asked once, so one of the owners was there.
            let are_gone = question.owners.iter().all(|owner| self.gone.contains(&owner.uid.to_string()));
            self.scene.owners_seen(lot, &question, are_gone);
        }
    }

    fn next_look(&self, at: usize, key: &NamespacedName) -> Option<Timestamp> {
        let looks_at = self.turns.get(at)?.looks_at;
        self.earliest(key, |ground| ground.next_recheck(key)).map(|next| next.max(looks_at))
    }

    fn earliest(&self, key: &NamespacedName, of: impl Fn(&Ground) -> Option<Timestamp>) -> Option<Timestamp> {
        let looks_here = |ground: &&Ground| ground.policies().any(|policy| policy == key);
        self.scene.grounds().filter(looks_here).filter_map(of).min()
    }

    /// Tells an object that it goes, if one is to be told.
    fn notify(&mut self, at: usize, now: Timestamp) -> bool {
        let Some(turn) = self.turns.get_mut(at) else { return false };
        let key = turn.policy.key.clone();
        for lot in &mut self.scene.lots {
            let Some(due) = lot.ground.take_notice(&key, now) else { continue };
            let Step::Notify { deletes_at } = due.step else {
                lot.ground.settle(&due, Settled::NotBefore(now), now);
                continue;
            };
            lot.ground.settle(&due, Settled::Done, now);
            if let Some(object) = lot.ground.object(&due.namespace, &due.name).cloned() {
                lot.ground.apply(&Scope::CLUSTER, object.told(now, deletes_at), now);
            }
            turn.notices += 1;
            let event = event(&turn.policy, &due, (now, None));
            self.events.push(event);
            return true;
        }
        false
    }

    /// Deletes an object, if one is due; only one that fell due by what was approved, if no leave was taken for it.
    fn remove(&mut self, at: usize, now: Timestamp, approved: Option<Timestamp>) -> bool {
        let Some(turn) = self.turns.get_mut(at) else { return false };
        let key = turn.policy.key.clone();
        for lot in &mut self.scene.lots {
            let Some(due) = lot.ground.take_due(&key, now) else { continue };
            if due.step != Step::Delete || approved.is_some_and(|until| due.since > until) {
                lot.ground.settle(&due, Settled::NotBefore(now), now);
                continue;
            }
            lot.ground.settle(&due, Settled::Done, now);
            lot.ground.remove(&due.namespace, &due.name, &due.uid, now);
            self.gone.insert(due.uid.to_string());
            turn.deletions += 1;
            let held = turn.held.filter(|_| due.since < now);
            let event = event(&turn.policy, &due, (now, held));
            self.events.push(event);
            return true;
        }
        false
    }

    fn steady(&self, now: Timestamp) -> Steady {
        let passed = Duration::try_from(now.duration_since(self.from)).unwrap_or_default();
        Steady::default().after(passed)
    }

    fn accounts(&self, end: Timestamp) -> Vec<Account> {
        let account = |turn: &Turn| {
            let key = &turn.policy.key;
            let waiting = self.scene.grounds().map(|ground| ground.due_count(key, end, usize::MAX)).sum();
            Account {
                policy: key.to_string(),
                deletions: turn.deletions,
                notices: turn.notices,
                waiting,
                held_by: turn.held.filter(|_| waiting > 0),
            }
        };
        let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
        for account in self.turns.iter().map(account) {
            accounts.insert(account.policy.clone(), account);
        }
        accounts.into_values().collect()
    }
}

fn event(policy: &Policy, due: &Due, (at, held_by): (Timestamp, Option<Hold>)) -> Event {
    let target = policy.targets.get(due.target);
    let deletes_at = match due.step {
        Step::Notify { deletes_at } => Some(deletes_at),
        // No finalizer is taken off here: what goes is gone at once.
        Step::Delete | Step::Release => None,
    };
    Event {
        at,
        act: if deletes_at.is_some() { "Notify" } else { "Delete" },
        policy: policy.key.to_string(),
        object: ObjectName {
            api_version: target.map(|target| target.kind.api_version.to_string()).unwrap_or_default(),
            kind: target.map(|target| target.kind.kind.clone()).unwrap_or_default(),
            namespace: due.namespace.to_string(),
            name: due.name.clone(),
            uid: due.uid.clone(),
        },
        since: due.since,
        deletes_at,
        held_by,
        reason: policy.when_text().to_owned(),
    }
}

#[cfg(test)]
mod tests;
