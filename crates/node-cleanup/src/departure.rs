//! What becomes of a departure now: a function of its record, of what is seen around its node, and of the time.
//!
//! The drain and the wait for volumes are steps like the others; here they are answered, since only here is seen what has
//! left. Whoever carries a decision out writes its status first, and acts only if that was accepted.
//!
//! Invariants: what has not been written down is not done; a node is let go only when every step has ended, or because
//! somebody said so; a departure that has come to its end never changes again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use api::Time;
use api::node_cleanup::{
    Blocker, CleanupPhase, EXCLUDE_FROM_LOAD_BALANCERS_LABEL, LEAVING_TAINT, NodeCleanupSpec,
    NodeCleanupStatus, Overrides, SKIP_CLEANUP_ANNOTATION, Said, StepState, StepStatus,
};
use expr::Fields;
use jiff::{SignedDuration, Timestamp};
use units::{Labelled as _, Span};
use views::Node;

use crate::contract::{Executed, plain};
use crate::drain::{self, DrainPlan, DrainState, Eviction, Rules, Scene, Settings, Tries, since};
use crate::limits::{BLOCKERS_MAX, MESSAGE_CHARS_MAX, RECHECK_SECONDS};
use crate::steps::{
    Advance, Asked, DRAIN_STEP, Facts, Graph, Moment, Outcome, Pace, PluginState, Standing, StepReason,
    VOLUMES_STEP, advance, current, next_second, settle,
};
use crate::turn::Turn;
use crate::words::DepartureBlocker;

/// What a departure is decided on.
#[derive(Clone)]
pub struct Departure<'a> {
    /// The record's name, which is the node's UID.
    pub run: &'a str,
    /// What the record says, and people have decided.
    pub spec: &'a NodeCleanupSpec,
    /// How far it was.
    pub status: &'a NodeCleanupStatus,
    /// The steps that the record names.
    pub steps: &'a Graph,
    /// How the pods leave, as the record says.
    pub drain: &'a Settings,
    /// How long each part may take, as the record says.
    pub deadlines: Limits,
    /// The node with the record's UID, and all around it; absent if that node is gone.
    pub scene: Option<Scene<'a>>,
    /// The node, as conditions see it.
    pub fields: &'a dyn Fields,
    /// How the pods of some kinds leave.
    pub rules: &'a Rules,
    /// What the server answered when pods were last asked to leave.
    pub tries: &'a Tries,
    /// Whether it may begin.
    pub turn: &'a Turn,
    /// Whether the policy lets departures go on.
    pub pace: Pace,
    /// The plugins, by name.
    pub plugins: &'a BTreeMap<Box<str>, PluginState>,
    /// The steps whose plugins are being asked at this moment.
    pub in_flight: &'a BTreeSet<Box<str>>,
}

impl fmt::Debug for Departure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut departure = f.debug_struct("Departure");
        departure.field("run", &self.run).field("status", &self.status).field("turn", &self.turn);
        departure.field("pace", &self.pace).finish_non_exhaustive()
    }
}

/// How long each part of a departure may take before it is reported as stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first eviction until no pod is left that has to leave.
    pub drain: Span,
    /// From the end of the drain until no volume is attached.
    pub volumes: Span,
    /// From the deletion of the node to its end.
    pub total: Span,
}

/// What is to be written down, and then done.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What the record has to say from now on.
    pub status: NodeCleanupStatus,
    /// What is done once that has been written.
    pub acts: Vec<Act>,
    /// When to look again, if nothing happens before.
    pub wake_at: Option<Timestamp>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The node gets no more pods and no more traffic: cordon, taint and label.
    Close,
    /// A pod is asked to leave.
    Ask(Eviction),
    /// A plugin is asked.
    Call(Asked),
    /// Our finalizer is taken off.
    Release,
}

/// What becomes of a departure at a moment.
pub fn decide(departure: &Departure<'_>, at: Moment) -> Decision {
    if departure.is_over() {
        return Decision { status: departure.status.clone(), acts: Vec::new(), wake_at: None };
    }
    match &departure.scene {
        Some(scene) if scene.node.metadata.deletion_timestamp.is_none() => departure.not_deleted(at.now),
        Some(scene) => Deciding::new(departure, scene, at).decide(),
        None => Decision { status: departure.gone(at.now), acts: Vec::new(), wake_at: None },
    }
}

impl Departure<'_> {
    /// Whether it has come to its end.
    fn is_over(&self) -> bool {
        use CleanupPhase::{Completed, Lost, Released};
        matches!(self.status.phase, Completed | Released | Lost)
    }

    /// Nobody has deleted the node: whoever wrote the record, it is left alone.
    fn not_deleted(&self, now: Timestamp) -> Decision {
        let blocker = Blocker {
            reason: DepartureBlocker::NodeNotDeleted.name().to_owned(),
            message: "nobody has deleted the node, so nothing is done to it: delete this record, or the node"
                .to_owned(),
            ..Blocker::default()
        };
        let mut status = self.status.clone();
        status.blockers = since(&self.status.blockers, vec![blocker], whole(now).0);
        Decision { status, acts: Vec::new(), wake_at: None }
    }

    /// What the record says once the node is gone.
    fn gone(&self, now: Timestamp) -> NodeCleanupStatus {
        let has_ended = self.status.phase == CleanupPhase::Releasing;
        let released = Some(StepReason::Released.name());
        let is_released = self.status.steps.iter().any(|step| step.reason.as_deref() == released);
        let phase = match (has_ended, is_released) {
            (true, false) => CleanupPhase::Completed,
            (true, true) => CleanupPhase::Released,
            (false, _) => CleanupPhase::Lost,
        };
        let mut status = self.status.clone();
        status.phase = phase;
        status.completion_time = Some(whole(now));
        status.current = None;
        status.blockers = Vec::new();
        (status.pods_left, status.volumes_left) = (0, 0);
        status
    }

    /// What people have decided, by the record or by the node's annotation.
    fn overrides(&self, node: &Node, now: Timestamp) -> Overrides {
        let mut overrides = self.spec.overrides.clone();
        if overrides.release.is_none() && node.annotations.label(SKIP_CLEANUP_ANNOTATION) == Some("true") {
            let by = format!("the annotation {SKIP_CLEANUP_ANNOTATION}");
            overrides.release = Some(Said { by, at: whole(now), why: None });
        }
        overrides
    }
}

/// One decision in the making.
struct Deciding<'a> {
    departure: &'a Departure<'a>,
    scene: Scene<'a>,
    overrides: Overrides,
    status: NodeCleanupStatus,
    acts: Vec<Act>,
    at: Moment,
}

impl<'a> Deciding<'a> {
    fn new(departure: &'a Departure<'a>, scene: &Scene<'a>, at: Moment) -> Self {
        let node = scene.node;
        let mut status = departure.status.clone();
        let begun = node.metadata.deletion_timestamp.unwrap_or(at.now);
        let start = status.start_time.get_or_insert_with(|| whole(begun)).0;
        let total = SignedDuration::from(departure.deadlines.total);
        let deadline = start.saturating_add(total).unwrap_or(Timestamp::MAX);
        let extended = departure.spec.overrides.extend.as_ref().map(|extension| extension.until.0);
        status.deadline = Some(Time(extended.map_or(deadline, |until| until.max(deadline))));
        let is_closed = is_closed(node);
        if is_closed && status.cordon_time.is_none() {
            status.cordon_time = Some(Time(next_second(at.now, SignedDuration::ZERO)));
        }
        let acts = if is_closed { Vec::new() } else { vec![Act::Close] };
        let overrides = departure.overrides(node, at.now);
        Self { departure, scene: scene.clone(), overrides, status, acts, at }
    }

    fn decide(mut self) -> Decision {
        let is_stopped = self.departure.pace == Pace::Stopped;
        if is_stopped {
            self.acts.clear();
        }
        if self.status.phase == CleanupPhase::Waiting && self.overrides.release.is_none() {
            if is_stopped || *self.departure.turn != Turn::Begins {
                return self.waits();
            }
            self.status.phase = CleanupPhase::Settling;
        }
        let (advanced, plan) = self.advance();
        self.act(&advanced, plan.as_ref());
        self.report(&advanced, plan.as_ref());
        let limits = self.limits().into_iter().map(|(_, until)| until).filter(|until| *until > self.at.now);
        let wakes = [advanced.wake_at, plan.and_then(|plan| plan.wake), limits.min()];
        Decision { status: self.status, acts: self.acts, wake_at: wakes.into_iter().flatten().min() }
    }

    fn waits(mut self) -> Decision {
        let turn = self.departure.turn;
        let blockers = match turn.reason() {
            Some(reason) => {
                vec![Blocker { reason: reason.to_owned(), message: turn.to_string(), ..Blocker::default() }]
            }
            None => Vec::new(),
        };
        self.status.blockers = since(&self.status.blockers, blockers, whole(self.at.now).0);
        let wake_at = self.at.now.saturating_add(SignedDuration::from_secs(RECHECK_SECONDS)).ok();
        Decision { status: self.status, acts: self.acts, wake_at }
    }

    /// Takes the steps as far as they go. A step of the engine that has ended lets others begin in the same decision.
    fn advance(&mut self) -> (Advance, Option<DrainPlan>) {
        let departure = self.departure;
        let facts = Facts {
            run: departure.run,
            node: departure.fields,
            pace: departure.pace,
            plugins: departure.plugins,
            in_flight: departure.in_flight,
        };
        loop {
            let advanced = advance(departure.steps, &self.status.steps, &facts, &self.overrides, self.at);
            self.status.steps.clone_from(&advanced.statuses);
            let plan = self.plan();
            let has_ended = plan.as_ref().is_some_and(|plan| self.answer(plan));
            if !has_ended {
                return (advanced, plan);
            }
        }
    }

    /// The plan of the drain, once that has begun. It is also what counts the volumes.
    fn plan(&self) -> Option<DrainPlan> {
        let drain = self.step(DRAIN_STEP)?;
        let began_at = drain.start_time.as_ref()?.0;
        let cordoned_at = self.status.cordon_time.as_ref().map(|at| at.0);
        let scene = Scene { cordoned_at, began_at: Some(began_at), ..self.scene.clone() };
        let Departure { drain, rules, tries, .. } = self.departure;
        Some(drain::plan(&scene, drain, rules, tries, self.at.now))
    }

    /// Writes down how far the engine's own steps are; says whether one of them has ended.
    fn answer(&mut self, plan: &DrainPlan) -> bool {
        let is_drained = matches!(plan.state, DrainState::Done | DrainState::Abandoned);
        let pods = match plan.state {
            DrainState::Abandoned => format!("{} pods are left behind", plan.left),
            _ => "no pod is left that has to leave".to_owned(),
        };
        let volumes = "no volume is attached".to_owned();
        let mut has_ended = false;
        for (name, is_done, message) in
            [(DRAIN_STEP, is_drained, pods), (VOLUMES_STEP, is_drained && plan.volumes_left == 0, volumes)]
        {
            if is_done {
                has_ended |= self.end(name, message);
            }
        }
        has_ended
    }

    fn end(&mut self, name: &str, message: String) -> bool {
        let Some(step) = self.departure.steps.step(name) else { return false };
        let Some(status) = self.status.steps.iter_mut().find(|status| status.name == name) else {
            return false;
        };
        if status.state != StepState::Running || !step.is_of_the_engine() {
            return false;
        }
        let outcome = Outcome::Answered(Executed::Done { message, state: None });
        *status = settle(step, status, status.attempts, &outcome, self.at);
        true
    }

    fn act(&mut self, advanced: &Advance, plan: Option<&DrainPlan>) {
        if matches!(advanced.standing, Standing::Ended(_) | Standing::Released) {
            self.acts.push(Act::Release);
            return;
        }
        if advanced.standing == Standing::Paused {
            return;
        }
        let is_draining = self.step(DRAIN_STEP).is_some_and(|drain| drain.state == StepState::Running);
        if let Some(plan) = plan.filter(|_| is_draining) {
            self.acts.extend(plan.now.iter().cloned().map(Act::Ask));
        }
        let is_of_plugin = |asked: &&Asked| {
            self.departure.steps.step(&asked.step).is_some_and(|step| !step.is_of_the_engine())
        };
        let calls = advanced.begins.iter().chain(&advanced.asks).filter(is_of_plugin);
        self.acts.extend(calls.cloned().map(Act::Call));
    }

    fn report(&mut self, advanced: &Advance, plan: Option<&DrainPlan>) {
        let has_ended = matches!(advanced.standing, Standing::Ended(_) | Standing::Released);
        self.status.phase = if has_ended { CleanupPhase::Releasing } else { self.phase(plan) };
        self.status.current = current(&self.status.steps);
        let mut blockers = Vec::new();
        if let Some(plan) = plan {
            self.status.pods_left = count(plan.left);
            self.status.pods_total = self.status.pods_total.max(self.status.pods_left);
            self.status.volumes_left = count(plan.volumes_left);
            blockers.extend(plan.blockers.iter().cloned());
            if plan.state == DrainState::Settling {
                self.status.risks = since(&self.status.risks, plan.risks.clone(), whole(self.at.now).0);
            }
        }
        blockers.extend(advanced.blockers.iter().cloned());
        blockers.extend(self.overdue());
        if let Some(said) = &self.overrides.paused {
            blockers.insert(0, paused(said));
        }
        if has_ended {
            blockers.clear();
        }
        blockers.truncate(BLOCKERS_MAX);
        self.status.blockers = since(&self.status.blockers, blockers, whole(self.at.now).0);
    }

    /// What has taken longer than it may.
    fn overdue(&self) -> Vec<Blocker> {
        let late = |(_, until): &(String, Timestamp)| *until <= self.at.now;
        let blocker = |(part, until): (String, Timestamp)| Blocker {
            reason: DepartureBlocker::DeadlinePassed.name().to_owned(),
            message: format!("{part} should have ended by {until}"),
            ..Blocker::default()
        };
        self.limits().into_iter().filter(late).map(blocker).collect()
    }

    /// Until when what is under way should have ended, with what would help if it has not.
    fn limits(&self) -> Vec<(String, Timestamp)> {
        let Limits { drain, volumes, total: _ } = self.departure.deadlines;
        let of_step = |name: &str, span: Span, words: &str| {
            let step = self.step(name).filter(|step| step.state == StepState::Running)?;
            let until = step.start_time.as_ref()?.0.checked_add(SignedDuration::from(span)).ok()?;
            Some((words.to_owned(), until))
        };
        let whole = self.status.deadline.as_ref().map(|deadline| {
            let words =
                "the departure (`groundskeeper nodes extend` gives it more time, `release` lets the node go)";
            (words.to_owned(), deadline.0)
        });
        let said = self.departure.drain.timeout();
        let drain = said.map_or(drain, |said| drain.min(said));
        let parts = [
            whole,
            of_step(DRAIN_STEP, drain, "the drain"),
            of_step(VOLUMES_STEP, volumes, "the detachment of volumes"),
        ];
        parts.into_iter().flatten().collect()
    }

    fn phase(&self, plan: Option<&DrainPlan>) -> CleanupPhase {
        let runs = |name: &str| self.step(name).is_some_and(|step| step.state == StepState::Running);
        let is_settling = plan.is_none_or(|plan| plan.state == DrainState::Settling);
        match (runs(DRAIN_STEP), runs(VOLUMES_STEP)) {
            (true, _) if is_settling => CleanupPhase::Settling,
            (true, _) => CleanupPhase::Draining,
            (false, true) => CleanupPhase::Detaching,
            (false, false) => CleanupPhase::CleaningUp,
        }
    }

    fn step(&self, name: &str) -> Option<&StepStatus> {
        self.status.steps.iter().find(|status| status.name == name)
    }
}

/// Somebody has stopped the departure.
fn paused(Said { by, at, why }: &Said) -> Blocker {
    let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let since = whole(at.0).0;
    let message =
        format!("{by} has paused the departure at {since}{why}; `groundskeeper nodes resume` lets it go on");
    let reason = DepartureBlocker::Paused.name().to_owned();
    Blocker { reason, message: plain(&message, MESSAGE_CHARS_MAX), ..Blocker::default() }
}

/// Whether the node gets no more pods and no more traffic.
fn is_closed(node: &Node) -> bool {
    node.is_unschedulable
        && node.taints.iter().any(|taint| *taint.key == *LEAVING_TAINT)
        && node.metadata.labels.get(EXCLUDE_FROM_LOAD_BALANCERS_LABEL).is_some()
}

/// A record keeps whole seconds.
fn whole(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
