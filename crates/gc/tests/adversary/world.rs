//! The driver: does with the engine what the controller does, in a world that does its worst, and has each deletion
//! judged at the moment at which the server accepts it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use api::{ClusterGarbageCollectionPolicy, GarbageCollectionPolicy, Rails};
use control::{Allowance, Budget, Leave, Steady};
use gc::{Due, Gate, Ground, NOTICE_ANNOTATION, OwnerQuestion, Policy, Scope, Settled, SpecHash, Step};
use jiff::Timestamp;
use serde_json::{Value, json};
use units::NamespacedName;
use views::{Labels, Projection};

use crate::oracle::{self, No, ObjectKey, PolicyKey, Scene, Shape, Shown};
use crate::random::Random;
use crate::server::{Answer, Event, Server};
use crate::specs::{self, text};
use crate::terms::{KINDS, OWN_NAMESPACE, SPACES};

/// Where clocks, calendars and centuries change.
const STARTS: [&str; 6] = [
    "2026-10-25T00:50:00Z",
    "2026-03-29T00:50:00Z",
    "2028-02-28T23:50:00Z",
    "2099-12-31T23:50:00Z",
    "2027-02-28T23:55:00Z",
    "2026-04-04T14:50:00Z",
];

/// A request that is under way.
struct Act {
    policy: PolicyKey,
    due: Due,
    key: ObjectKey,
    /// The leader that sent it; answers to others reach nobody.
    leader: u32,
    /// What it took of the policy's budget; nothing if somebody approved it.
    leave: Option<Leave>,
    /// What the collector had been shown when it decided, and what time it was by its clock.
    shown: Rc<Shown>,
    decided_at: i64,
    /// True time when it decided: a budget counts what was begun.
    begun_at: i64,
    /// Its place among all decisions.
    number: u64,
}

/// A deletion that was accepted and counts against a budget.
struct Spent {
    number: u64,
    begun_at: i64,
    /// How long the budget's window was when it was decided, and how many it allowed.
    window: i64,
    most: u64,
}

/// What a policy is in the cluster.
struct Written {
    spec: Value,
    /// When it was approved, and whether the approval is of this spec.
    approval: Option<(i64, bool)>,
}

pub(crate) struct World {
    random: Random,
    server: Server,
    policies: BTreeMap<PolicyKey, Written>,
    /// Policies of which the collector has not heard the latest.
    unseen_policies: VecDeque<PolicyKey>,
    labels: BTreeMap<&'static str, Value>,
    unseen_labels: BTreeSet<&'static str>,
    /// True time, and how far ahead of it the collector's clock is, in milliseconds.
    now: i64,
    ahead: i64,
    start: i64,
    /// Whether the grounds judge what concerns many objects bit by bit.
    in_turns: bool,
    leader: u32,
    in_flight: Vec<Act>,
    grounds: BTreeMap<&'static str, Ground>,
    projections: BTreeMap<&'static str, Arc<Projection>>,
    reliable: BTreeSet<&'static str>,
    compiled: BTreeMap<PolicyKey, Arc<Policy>>,
    questions: Vec<(&'static str, OwnerQuestion)>,
    shown: Rc<Shown>,
    /// Outlives the leaders: it stands in the policies' status.
    budgets: BTreeMap<PolicyKey, (Duration, Budget)>,
    /// The deletions that were accepted and count against a budget, in the order in which they were served.
    spent: BTreeMap<PolicyKey, Vec<Spent>>,
    decisions: u64,
    pub(crate) deleted: u64,
    pub(crate) refused: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let start: Timestamp = random.of(&STARTS).parse().unwrap();
        let start = start.as_millisecond();
        let mut world = Self {
            server: Server::new(),
            policies: BTreeMap::new(),
            unseen_policies: VecDeque::new(),
            labels: SPACES.iter().map(|space| (*space, json!({}))).collect(),
            unseen_labels: SPACES.into(),
            now: start,
            ahead: 0,
            start,
            in_turns: seed % 2 == 1,
            leader: 0,
            in_flight: Vec::new(),
            grounds: BTreeMap::new(),
            projections: BTreeMap::new(),
            reliable: BTreeSet::new(),
            compiled: BTreeMap::new(),
            questions: Vec::new(),
            shown: Rc::default(),
            budgets: BTreeMap::new(),
            spent: BTreeMap::new(),
            decisions: 0,
            deleted: 0,
            refused: 0,
            random,
        };
        (0..3).for_each(|_| world.write_policy());
        (0..30).for_each(|_| world.server.create(&mut world.random, start));
        world.take_over();
        world
    }

    /// Something happens.
    pub(crate) fn step(&mut self) -> Result<(), String> {
        match self.random.below(100) {
            0..=14 => self.server.create(&mut self.random, self.now),
            15..=22 => {
                if let Some(key) = self.server.any(&mut self.random) {
                    self.server.meddle(&key, &mut self.random, self.now);
                }
            }
            23 if self.random.percent(70) => self.write_policy(),
            24 if self.random.percent(30) => self.relabel(),
            24 if self.random.percent(20) => {
                let owner = *self.random.of(&specs::OWNERS);
                self.server.owners.remove(owner);
            }
            24..=42 => (0..3).for_each(|_| self.show_next()),
            43..=45 => self.show_policy(),
            46 | 47 => self.show_labels(),
            48..=64 => self.pass_time(),
            65 if self.random.percent(30) => self.ahead += self.random.between(-90_000, 90_000),
            65 | 66 => self.list_all(),
            67 if self.random.percent(30) => self.list_some(),
            67 if self.random.percent(30) => self.take_over(),
            67..=71 => self.look_again(),
            72..=82 => self.collect(),
            _ => self.serve()?,
        }
        Ok(())
    }

    fn clock(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now + self.ahead).unwrap()
    }

    fn steady(&self) -> Steady {
        Steady::at(Duration::from_millis((self.now - self.start).unsigned_abs()))
    }

    fn pass_time(&mut self) {
        let soonest = self.compiled.values().flat_map(|policy| {
            self.grounds.values().filter_map(|ground| ground.next_due_after(&policy.key, self.clock()))
        });
        let until_next = soonest.min().map(|at| at.as_millisecond() - self.now - self.ahead);
        self.now += match (self.random.below(5), until_next) {
            (0, Some(wait)) if wait < 300_000 => wait,
            (1, Some(wait)) if wait < 300_000 => wait - 1,
            (2, _) => self.random.between(0, 50),
            _ => self.random.between(0, 8_000),
        };
    }

    // What people do to policies and namespaces.

    fn write_policy(&mut self) {
        let is_namespaced = self.random.percent(60);
        let foreign = self.random.percent(25);
        let space = match (is_namespaced, foreign) {
            (true, true) => *self.random.of(&SPACES),
            (true, false) => SPACES[0],
            (false, _) => "",
        };
        let key = (space.to_owned(), format!("p{}", self.random.below(3)));
        self.unseen_policies.push_back(key.clone());
        if self.policies.len() > 5 || (self.policies.len() > 2 && self.random.percent(20)) {
            self.policies.remove(&key);
            return;
        }
        let known = self.policies.get(&key).map(|written| written.spec.clone());
        let spec = match known {
            Some(mut spec) if self.random.percent(40) => {
                let field = *self.random.of(&["paused", "mode"]);
                spec[field] = if field == "mode" { json!("Enforce") } else { json!(spec["paused"] != true) };
                spec
            }
            _ => specs::spec(&mut self.random, is_namespaced, (self.start, self.now)),
        };
        let approval = self
            .random
            .percent(25)
            .then(|| (self.now + self.random.between(-60_000, 60_000), self.random.percent(80)));
        let written = Written { spec, approval };
        if compile(&key, &written).is_some() {
            self.policies.insert(key, written);
        }
    }

    fn relabel(&mut self) {
        let space = *self.random.of(&SPACES);
        let labels = if self.random.percent(50) { json!({"tidy": "yes"}) } else { json!({}) };
        self.labels.insert(space, labels);
        self.unseen_labels.insert(space);
    }

    // What the collector is shown.

    fn show_next(&mut self) {
        let Some((key, event)) = self.server.next_event(&mut self.random) else { return };
        match event {
            Event::Is(object) => self.show(&key, object),
            Event::Gone { uid } => {
                let now = self.clock();
                if let Some(ground) = self.grounds.get_mut(key.0) {
                    ground.remove(&key.1, &key.2, &uid.as_str().into(), now);
                }
                let shown = Rc::make_mut(&mut self.shown);
                if shown.objects.get(&key).is_some_and(|object| object["metadata"]["uid"] == *uid) {
                    shown.objects.remove(&key);
                }
            }
        }
    }

    fn show(&mut self, key: &ObjectKey, object: Value) {
        let now = self.clock();
        let projection = Arc::clone(self.projections.entry(key.0).or_default());
        let read = views::Object::read(&object.to_string(), &projection).unwrap();
        self.ground(key.0).apply(&Scope::CLUSTER, read.into(), now);
        let uid = object["metadata"]["uid"].as_str().unwrap().to_owned();
        let shown = Rc::make_mut(&mut self.shown);
        // Its owners may be others now.
        shown.orphans.remove(&uid);
        shown.objects.insert(key.clone(), object);
    }

    fn show_policy(&mut self) {
        let Some(key) = self.unseen_policies.pop_front() else { return };
        let now = self.clock();
        let gk_key = NamespacedName::new(key.0.clone(), key.1.clone());
        let Some(written) = self.policies.get(&key) else {
            self.grounds.values_mut().for_each(|ground| ground.dismiss(&gk_key, now));
            self.compiled.remove(&key);
            Rc::make_mut(&mut self.shown).policies.remove(&key);
            return;
        };
        let policy = compile(&key, written).unwrap();
        let approved_at = written.approval.filter(|(_, is_right)| *is_right).map(|(at, _)| at);
        let shape = Shape { spec: written.spec.clone(), approved_at };
        Rc::make_mut(&mut self.shown).policies.insert(key.clone(), shape);
        for kind in KINDS {
            let ground = self.ground(kind);
            let is_here =
                |target: usize| policy.targets.get(target).is_some_and(|target| target.kind.kind == kind);
            ground.dismiss_targets(&gk_key, is_here, now);
            policy.rules().filter(|rule| rule.kind().kind == kind).for_each(|rule| ground.admit(rule, now));
        }
        let window = policy.budget.window;
        let (steady, known) = (self.steady(), self.budgets.get(&key));
        if known.is_none_or(|(known, _)| *known != window) {
            let mut budget = Budget::new(Allowance { count: None, percent: None, window });
            // Whatever was spent in the longest window that there is.
            let spent = self.spent.get(&key).map_or(0, Vec::len)
                + self.in_flight.iter().filter(|act| act.policy == key).count();
            budget.charge(u64::try_from(spent).unwrap(), steady);
            self.budgets.insert(key.clone(), (window, budget));
        }
        self.compiled.insert(key, policy);
    }

    fn show_labels(&mut self) {
        let Some(space) = self.unseen_labels.pop_first() else { return };
        let (now, labels) = (self.clock(), self.labels[space].clone());
        let pairs = labels.as_object().unwrap().iter();
        let known: Labels = pairs.map(|(key, value)| (key.as_str(), value.as_str().unwrap())).collect();
        for kind in KINDS {
            self.ground(kind).put_namespace(space, Some(known.clone()), now);
        }
        Rc::make_mut(&mut self.shown).labels.insert(space.to_owned(), labels);
    }

    /// A complete listing of a kind, with all that its policies read.
    fn list(&mut self, kind: &'static str) {
        let now = self.clock();
        let ground = self.ground(kind);
        let reads: Vec<_> = ground.rules().flat_map(gc::Rule::reads).collect();
        ground.begin_listing(&Scope::CLUSTER, None);
        self.projections.insert(kind, Arc::new(Projection::new(reads)));
        let there: Vec<_> = self.server.objects.iter().filter(|(key, _)| key.0 == kind).collect();
        let there: Vec<_> = there.into_iter().map(|(key, object)| (key.clone(), object.clone())).collect();
        self.server.unseen.retain(|key, _| key.0 != kind);
        let shown = Rc::make_mut(&mut self.shown);
        shown.objects.retain(|key, _| key.0 != kind || self.server.objects.contains_key(key));
        for (key, object) in there {
            self.show(&key, object);
        }
        self.grounds.get_mut(kind).unwrap().finish_listing(&Scope::CLUSTER, now);
        self.reliable.insert(kind);
    }

    fn list_all(&mut self) {
        KINDS.into_iter().for_each(|kind| self.list(kind));
    }

    /// A listing that shows too little, and is not believed.
    fn list_some(&mut self) {
        let kind = *self.random.of(&KINDS);
        self.ground(kind).begin_listing(&Scope::CLUSTER, None);
        let there: Vec<_> = self.server.objects.iter().filter(|(key, _)| key.0 == kind).collect();
        let there: Vec<_> = there.into_iter().map(|(key, object)| (key.clone(), object.clone())).collect();
        for (key, object) in there {
            if self.random.percent(30) {
                self.server.unseen.remove(&key);
                self.show(&key, object);
            }
        }
        self.grounds.get_mut(kind).unwrap().doubt_listing(&Scope::CLUSTER);
        self.reliable.remove(kind);
    }

    /// Another leader begins with nothing; what the old one has sent may still arrive.
    fn take_over(&mut self) {
        self.leader += 1;
        (self.grounds, self.projections, self.reliable) = Default::default();
        (self.compiled, self.questions, self.shown) = Default::default();
        self.unseen_policies = self.policies.keys().cloned().collect();
        while !self.unseen_policies.is_empty() {
            self.show_policy();
        }
        // The labels may come late.
        self.unseen_labels = SPACES.into();
        self.list_all();
    }

    fn ground(&mut self, kind: &'static str) -> &mut Ground {
        let in_turns = self.in_turns;
        let begin = || if in_turns { Ground::in_turns() } else { Ground::default() };
        self.grounds.entry(kind).or_insert_with(begin)
    }

    /// Judges some of what waits to be judged.
    fn catch_up(&mut self) {
        let now = self.clock();
        for ground in self.grounds.values_mut() {
            while ground.is_behind() && self.random.percent(60) {
                let mut left = self.random.below(6);
                ground.catch_up(now, || {
                    left = left.saturating_sub(1);
                    left > 0
                });
            }
        }
    }

    fn look_again(&mut self) {
        self.catch_up();
        let now = self.clock();
        for policy in self.compiled.values() {
            self.grounds.values_mut().for_each(|ground| _ = ground.recheck(&policy.key, now));
        }
        for (kind, ground) in &mut self.grounds {
            self.questions
                .extend(ground.take_owner_questions(4).into_iter().map(|question| (*kind, question)));
        }
        // Answers may be late.
        while self.random.percent(60) {
            let Some((kind, question)) = self.questions.pop() else { return };
            let could_tell = self.random.percent(85);
            self.answer(kind, &question, could_tell);
        }
    }

    fn answer(&mut self, kind: &'static str, question: &OwnerQuestion, could_tell: bool) {
        let are_gone = question.owners.iter().all(|owner| !self.server.owners.contains(&*owner.name));
        let now = self.clock();
        if let Some(ground) = self.grounds.get_mut(kind) {
            ground.owners_seen(question, could_tell.then_some(are_gone), now);
        }
        // It says something of the object only if its owners are those that were asked for.
        let key = (kind, question.namespace.to_string(), question.name.to_string());
        let shown = Rc::make_mut(&mut self.shown);
        let Some(object) = shown.objects.get(&key) else { return };
        let owners = object["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
        let same =
            owners.iter().map(|owner| &owner["name"]).eq(question.owners.iter().map(|owner| &*owner.name));
        let uid = question.uid.to_string();
        if could_tell && are_gone && same && object["metadata"]["uid"] == *uid {
            shown.orphans.insert(uid);
        }
    }

    // What the collector does, as the controller has it do.

    fn collect(&mut self) {
        self.catch_up();
        let policies: Vec<_> =
            self.compiled.iter().map(|(key, policy)| (key.clone(), Arc::clone(policy))).collect();
        let most = self.random.below(4);
        for (key, policy) in policies {
            for _ in 0..=most {
                if !self.take_one(&key, &policy) {
                    break;
                }
            }
        }
    }

    /// Takes what a policy has to do next, and sends it.
    fn take_one(&mut self, key: &PolicyKey, policy: &Arc<Policy>) -> bool {
        let (now, steady) = (self.clock(), self.steady());
        let gate = policy.gate(false, now);
        if gate == Gate::AwaitingApproval {
            return false;
        }
        let kinds: BTreeSet<_> = KINDS
            .into_iter()
            .filter(|kind| policy.targets.iter().any(|target| target.kind.kind == *kind))
            .collect();
        for kind in kinds.iter().filter(|kind| self.reliable.contains(*kind)) {
            let due = self.grounds.get_mut(kind).and_then(|ground| ground.take_notice(&policy.key, now));
            if let Some(due) = due {
                self.send(key, kind, due, None);
                return true;
            }
        }
        if gate != Gate::Open {
            return false;
        }
        let base: u64 = kinds
            .iter()
            .filter_map(|kind| self.grounds.get(kind))
            .map(|ground| ground.base(&policy.key))
            .sum();
        for kind in kinds.iter().filter(|kind| self.reliable.contains(*kind)) {
            let Some(due) = self.grounds.get_mut(kind).and_then(|ground| ground.take_due(&policy.key, now))
            else {
                continue;
            };
            let is_approved = policy.approved_until(now).is_some_and(|until| due.since <= until);
            let budget = &mut self.budgets.get_mut(key).unwrap().1;
            let leave =
                if is_approved { None } else { budget.take_within(policy.budget.limit(base), steady).ok() };
            if !is_approved && leave.is_none() {
                let ground = self.grounds.get_mut(kind).unwrap();
                ground.settle(&due, Settled::NotBefore(now), now);
                continue;
            }
            self.send(key, kind, due, leave);
            return true;
        }
        false
    }

    fn send(&mut self, policy: &PolicyKey, kind: &'static str, due: Due, leave: Option<Leave>) {
        let key = (kind, due.namespace.to_string(), due.name.to_string());
        self.decisions += 1;
        let act = Act {
            number: self.decisions,
            policy: policy.clone(),
            key,
            leader: self.leader,
            leave,
            shown: Rc::clone(&self.shown),
            decided_at: self.now + self.ahead,
            begun_at: self.now,
            due,
        };
        if act.due.step == Step::Delete {
            Rc::make_mut(&mut self.shown).going.insert(act.due.uid.to_string());
        }
        self.in_flight.push(act);
    }

    /// The server gets a request, or does not; the collector gets the answer, or does not.
    fn serve(&mut self) -> Result<(), String> {
        if self.in_flight.is_empty() {
            return Ok(());
        }
        let act = self.in_flight.swap_remove(self.random.below(self.in_flight.len()));
        if self.random.percent(20) {
            self.server.meddle(&act.key.clone(), &mut self.random, self.now);
        }
        let soon = Settled::NotBefore(self.clock() + Duration::from_millis(self.random.next() % 5_000));
        match self.random.below(20) {
            // Refused, or lost on the way there.
            0 | 1 => self.hear(&act, soon, true),
            // Lost on the way back.
            2 => {
                self.perform(&act)?;
                self.hear(&act, soon, false);
            }
            _ => {
                let (settled, unspent) = match self.perform(&act)? {
                    Answer::Done => (Settled::Done, false),
                    Answer::NotFound => (Settled::Done, true),
                    Answer::Conflict => (Settled::Changed, true),
                };
                self.hear(&act, settled, unspent);
            }
        }
        Ok(())
    }

    fn hear(&mut self, act: &Act, settled: Settled, unspent: bool) {
        if act.leader != self.leader {
            return;
        }
        let budget = &mut self.budgets.get_mut(&act.policy).unwrap().1;
        if let Some(leave) = act.leave.filter(|_| unspent) {
            budget.give_back(leave);
        }
        let now = self.clock();
        self.grounds.get_mut(act.key.0).unwrap().settle(&act.due, settled, now);
        if settled != Settled::Done {
            Rc::make_mut(&mut self.shown).going.remove(&act.due.uid.to_string());
        }
    }

    /// The server looks at the preconditions; what it then does is judged.
    fn perform(&mut self, act: &Act) -> Result<Answer, String> {
        let answer =
            self.server.check(&act.key, &act.due.uid.to_string(), &act.due.resource_version.to_string());
        if answer != Answer::Done {
            self.refused += 1;
            return Ok(answer);
        }
        match act.due.step {
            // No policy here names a finalizer.
            Step::Release => return Err(format!("a finalizer is taken off: {:?}", act.due)),
            Step::Notify { .. } => {
                self.server.annotate(&act.key, NOTICE_ANNOTATION, &act.due.note().unwrap());
            }
            Step::Delete => {
                let object = self.server.objects[&act.key].clone();
                self.judge(act, &object).map_err(|why| {
                    format!(
                        "wrong deletion: {why}\n{:?}\n{object:#}\n{:#}",
                        act.key, act.shown.policies[&act.policy].spec
                    )
                })?;
                self.server.delete(&act.key, self.now);
                self.deleted += 1;
            }
        }
        Ok(answer)
    }

    fn judge(&mut self, act: &Act, object: &Value) -> Result<(), String> {
        let scene = Scene { shown: &act.shown, owners: &self.server.owners, now: act.decided_at };
        let since =
            scene.judge(&act.policy, &act.key, object).map_err(|no| format!("{:?}: {no:?}", act.policy))?;
        let shape = &act.shown.policies[&act.policy];
        if shape.approved_at.is_some_and(|at| since <= at && at <= act.decided_at) {
            return Ok(());
        }
        let budget = &shape.spec["budget"];
        let spent = self.spent.entry(act.policy.clone()).or_default();
        spent.retain(|known| known.begun_at > self.now - 3_600_000);
        let window = oracle::window_of(budget);
        let most = oracle::allowance(budget, oracle::base(&scene, &act.policy, &shape.spec));
        spent.push(Spent { number: act.number, begun_at: act.begun_at, window, most });
        within_budget(spent).map_err(|why| format!("{:?}: {why}", act.policy))
    }

    // Whether what may go goes.

    /// Everything is shown and answered, and nobody meddles: what may go is gone after some minutes.
    pub(crate) fn settle_down(&mut self) -> Result<(), String> {
        self.unseen_labels = SPACES.into();
        while !self.unseen_labels.is_empty() {
            self.show_labels();
        }
        while !self.unseen_policies.is_empty() {
            self.show_policy();
        }
        while !self.in_flight.is_empty() {
            self.serve()?;
        }
        self.list_all();
        for _ in 0..3 {
            // At the very moment of the next expiry, and when all that depends on the time has been looked at again.
            self.now += self.until_next_due();
            self.run_dry()?;
            if !self.asks_for_the_time() {
                self.nothing_is_left()?;
            }
            self.now += 61_000;
            self.run_dry()?;
        }
        self.nothing_is_left()
    }

    /// Whether verdicts may change although nothing does; that is noticed within a minute.
    fn asks_for_the_time(&self) -> bool {
        self.compiled.values().any(|policy| policy.uses_now())
    }

    fn until_next_due(&self) -> i64 {
        let clock = self.clock();
        let due = self.compiled.values().flat_map(|policy| {
            self.grounds.values().filter_map(|ground| ground.next_due_after(&policy.key, clock))
        });
        due.min().map_or(0, |at| at.as_millisecond() - clock.as_millisecond()).min(120_000)
    }

    /// Does all that can be done at this moment.
    fn run_dry(&mut self) -> Result<(), String> {
        loop {
            let now = self.clock();
            self.grounds.values_mut().for_each(|ground| {
                while ground.is_behind() {
                    ground.catch_up(now, || true);
                }
            });
            for policy in self.compiled.values() {
                self.grounds.values_mut().for_each(|ground| while ground.recheck(&policy.key, now) {});
            }
            for kind in KINDS {
                for question in self.ground(kind).take_owner_questions(100) {
                    self.questions.push((kind, question));
                }
            }
            while let Some((kind, question)) = self.questions.pop() {
                self.answer(kind, &question, true);
            }
            let policies: Vec<_> =
                self.compiled.iter().map(|(key, policy)| (key.clone(), Arc::clone(policy))).collect();
            for (key, policy) in policies {
                while self.take_one(&key, &policy) {}
            }
            if self.in_flight.is_empty() {
                return Ok(());
            }
            while let Some(act) = self.in_flight.pop() {
                let settled = match self.perform(&act)? {
                    Answer::Done => Settled::Done,
                    answer => {
                        return Err(format!("stuck: {answer:?} although all has been shown: {:?}", act.key));
                    }
                };
                self.hear(&act, settled, false);
            }
            while !self.server.unseen.is_empty() {
                self.show_next();
            }
        }
    }

    /// What the engine says of an object, for messages.
    fn engines_word(&self, policy: &PolicyKey, key: &ObjectKey) -> String {
        let verdicts = self.grounds[key.0].verdicts(&key.1, &key.2, |_| Gate::Open, self.clock());
        let of = |name: &NamespacedName| (&name.namespace, &name.name) == (&policy.0, &policy.1);
        let own = verdicts.into_iter().filter(|(rule, _)| of(&rule.policy.key));
        let words: Vec<_> = own.map(|(_, verdict)| verdict).collect();
        format!("{words:?}")
    }

    fn nothing_is_left(&self) -> Result<(), String> {
        let scene = Scene { shown: &self.shown, owners: &self.server.owners, now: self.now + self.ahead };
        for (policy, shape) in &self.shown.policies {
            let spec = &shape.spec;
            let budget = &spec["budget"];
            let most = oracle::allowance(budget, oracle::base(&scene, policy, spec));
            let (steady, (_, spent)) = (self.steady(), &self.budgets[policy]);
            let is_spent = spent.used(steady) >= most;
            for (key, object) in &self.server.objects {
                match scene.judge(policy, key, object) {
                    Ok(_) if is_spent => {}
                    Err(No::Because(_)) => {}
                    verdict => {
                        let clock = text(self.now + self.ahead);
                        let engine = self.engines_word(policy, key);
                        return Err(format!(
                            "stuck at {clock}: {policy:?} leaves {key:?} ({verdict:?}, engine: {engine})\n{object:#}\n{spec:#}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether each deletion was within the budget when it was decided. What was decided earlier may be served later, and what
/// was decided later may have had a larger base: neither counts against the other by the order in which they were served.
fn within_budget(spent: &[Spent]) -> Result<(), String> {
    for act in spent {
        let is_before =
            |other: &&Spent| other.number < act.number && other.begun_at > act.begun_at - act.window;
        let before = spent.iter().filter(is_before).count();
        if u64::try_from(before).unwrap() >= act.most {
            return Err(format!("{before} have gone, and {} may", act.most));
        }
    }
    Ok(())
}

fn compile(key: &PolicyKey, written: &Written) -> Option<Arc<Policy>> {
    let spec: api::GarbageCollectionPolicySpec = serde_json::from_value(written.spec.clone()).unwrap();
    let annotations = written.approval.map(|(at, is_right)| {
        let hash = if is_right { SpecHash::of(&spec).to_string() } else { "0".repeat(32) };
        [("groundskeeper.dev/approved".to_owned(), format!("{hash}@{}", text(at)))].into()
    });
    let rails = Rails::new(OWN_NAMESPACE);
    let policy = if key.0.is_empty() {
        let mut policy = ClusterGarbageCollectionPolicy::new(&key.1, spec);
        policy.metadata.annotations = annotations;
        Policy::compile(&policy, &rails)
    } else {
        let mut policy = GarbageCollectionPolicy::new(&key.1, spec);
        policy.metadata.namespace = Some(key.0.clone());
        policy.metadata.annotations = annotations;
        Policy::compile(&policy, &rails)
    };
    policy.ok().map(Arc::new)
}
