//! What is to be done now: which steps begin, which are asked again, and whether all is over.
//!
//! A pure function of what the record says and of a few facts; asked anew at every turn, and after every restart. Knows
//! neither how a plugin is asked nor what it answered, which [`settle`] has written down before.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use api::node_cleanup::{Blocker, Overrides, StepState, StepStatus};
use expr::Fields;
use jiff::{SignedDuration, Timestamp};

use super::overrides::obey;
use super::settle::{ends, fail_for_good, settle, whole_second};
use super::step::Wanted;
use super::{Graph, Moment, Outcome, Step, StepBlocker, StepReason};
use crate::contract::idempotency_key;
use crate::limits::RECHECK_SECONDS;
use crate::settings::listed;

/// What has to be known besides the record.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The departure: the name of its record.
    pub run: &'a str,
    /// The node, as conditions see it.
    pub node: &'a dyn Fields,
    /// Whether the policy lets departures go on.
    pub pace: Pace,
    /// The plugins, by name. One that is missing has not been checked.
    pub plugins: &'a BTreeMap<Box<str>, PluginState>,
    /// The steps that this process is asking at this moment: what came of it will be told by [`settle`].
    pub in_flight: &'a BTreeSet<Box<str>>,
}

impl fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, node: _, pace, plugins, in_flight } = self;
        let mut facts = f.debug_struct("Facts");
        facts.field("run", run).field("pace", pace).field("plugins", plugins).field("in_flight", in_flight);
        facts.finish_non_exhaustive()
    }
}

/// Whether steps go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// They do.
    #[default]
    Going,
    /// Nothing begins, and nothing is asked.
    Stopped,
}

/// How it stands with a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginState {
    /// What it says of itself.
    pub health: Health,
    /// How many more steps it may be given, over all departures.
    pub free: u32,
    /// Until when it is left alone because it failed too often.
    pub rests_until: Option<Timestamp>,
}

/// Whether a plugin says that it could work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It has not been asked.
    #[default]
    Unchecked,
    /// It could.
    Healthy,
    /// It could not; why, in its words.
    Unhealthy(String),
}

/// What is to be done now. First the statuses are written down; then, and only then, the plugins are asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Advance {
    /// What the record has to say from now on, a status for each step, in order.
    pub statuses: Vec<StepStatus>,
    /// Attempts that begin.
    pub begins: Vec<Asked>,
    /// Attempts that are under way, and whose plugin is asked how far it is.
    pub asks: Vec<Asked>,
    /// How it stands with all of them.
    pub standing: Standing,
    /// What keeps steps from going on.
    pub blockers: Vec<Blocker>,
    /// When to look again, if nothing happens before.
    pub wake_at: Option<Timestamp>,
}

/// One question to the plugin of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The step.
    pub step: Box<str>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// What makes the work of all attempts one.
    pub idempotency_key: String,
    /// When the attempt counts as failed; none if it never does.
    pub deadline: Option<Timestamp>,
}

/// How it stands with all steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Something goes on, or waits for its time.
    UnderWay,
    /// Somebody stopped it.
    Paused,
    /// Nothing goes on before somebody helps: these critical steps failed for good.
    Held(Vec<Box<str>>),
    /// All have ended. These were not critical, and failed.
    Ended(Vec<Box<str>>),
    /// Somebody let the node go.
    Released,
}

/// What is to be done now.
pub fn advance(
    graph: &Graph,
    recorded: &[StepStatus],
    facts: &Facts<'_>,
    overrides: &Overrides,
    at: Moment,
) -> Advance {
    let mut turn = Turn::new(graph, recorded, facts, at);
    obey(overrides, &mut turn.statuses, at.now);
    let stopped = facts.pace == Pace::Stopped || overrides.paused.is_some();
    if overrides.release.is_none() && !stopped {
        turn.ask_those_under_way();
        let ready = turn.ready();
        turn.begin_the_first(ready);
    }
    let standing = match turn.standing() {
        _ if overrides.release.is_some() => Standing::Released,
        _ if stopped => Standing::Paused,
        standing => standing,
    };
    turn.report(standing)
}

struct Turn<'a> {
    graph: &'a Graph,
    facts: &'a Facts<'a>,
    at: Moment,
    /// In the graph's order.
    statuses: Vec<StepStatus>,
    /// How many more steps each plugin may be given.
    free: BTreeMap<&'a str, u32>,
    begins: Vec<Asked>,
    asks: Vec<Asked>,
    blockers: Vec<Blocker>,
    wake_at: Option<Timestamp>,
    /// Whether a step could begin but for its plugin, its priority or its time.
    is_open: bool,
}

impl<'a> Turn<'a> {
    fn new(graph: &'a Graph, recorded: &[StepStatus], facts: &'a Facts<'a>, at: Moment) -> Self {
        let mut statuses = graph.untouched();
        for status in &mut statuses {
            if let Some(known) = recorded.iter().find(|known| known.name == status.name) {
                status.clone_from(known);
            }
        }
        Self {
            graph,
            facts,
            at,
            statuses,
            free: facts.plugins.iter().map(|(name, state)| (&**name, state.free)).collect(),
            begins: Vec::new(),
            asks: Vec::new(),
            blockers: Vec::new(),
            wake_at: None,
            is_open: false,
        }
    }

    fn ask_those_under_way(&mut self) {
        for (place, step) in self.graph.steps().iter().enumerate() {
            let Some(status) = self.statuses.get_mut(place) else { continue };
            if status.state != StepState::Running || self.facts.in_flight.contains(&step.name) {
                continue;
            }
            let deadline = step.deadline(status);
            if deadline.is_some_and(|deadline| deadline <= self.at.now) {
                *status = settle(step, status, status.attempts, &Outcome::TimedOut, self.at);
                continue;
            }
            let attempt = status.attempts;
            let due = status.next_time.as_ref().map_or(Timestamp::MIN, |next| next.0);
            let due = due.max(self.rests_until(step).unwrap_or(Timestamp::MIN));
            if due > self.at.now {
                self.wake_by(deadline.map_or(due, |deadline| deadline.min(due)));
            } else {
                self.asks.push(self.asked(step, attempt, deadline));
            }
        }
    }

    /// The places of the steps that could begin now, as far as the node and the other steps go.
    fn ready(&mut self) -> Vec<usize> {
        let mut ready = Vec::new();
        for (place, step) in self.graph.steps().iter().enumerate() {
            if self.facts.in_flight.contains(&step.name) {
                // What was asked before somebody overrode the step: its call comes to its end before another begins.
                self.is_open = true;
                continue;
            }
            let have_ended = self.graph.after(place).iter().all(|other| self.has_ended(*other));
            let Some(status) = self.statuses.get_mut(place) else { continue };
            match status.state {
                StepState::Retrying => match status.next_time.as_ref().map(|next| next.0) {
                    Some(next) if next > self.at.now => self.wake_by(next),
                    _ => ready.push(place),
                },
                StepState::Pending if have_ended => match step.wanted(self.facts.node, self.at.now) {
                    Wanted::Yes => ready.push(place),
                    Wanted::No => {
                        ends(status, StepState::Skipped, self.at.now);
                        status.reason = Some(StepReason::WhenNotTrue.name().to_owned());
                    }
                    Wanted::Unknown(why) => {
                        fail_for_good(status, StepReason::WhenFailed.name(), &why, self.at.now);
                    }
                },
                _ => {}
            }
        }
        self.is_open |= !ready.is_empty();
        ready
    }

    /// Of the steps that are ready those begin whose priority goes before all others that are under way or ready.
    fn begin_the_first(&mut self, mut ready: Vec<usize>) {
        ready.retain(|place| self.can_be_given(*place));
        let steps = self.graph.steps().iter().zip(&self.statuses).enumerate();
        let counts = |(place, (_, status)): &(usize, (&Step, &StepStatus))| {
            matches!(status.state, StepState::Running)
                || (status.state == StepState::Retrying && !self.is_due(status))
                || ready.contains(place)
        };
        let first = steps.filter(counts).map(|(_, (step, _))| step.priority).min();
        for place in ready {
            let Some(step) = self.graph.steps().get(place) else { continue };
            if Some(step.priority) == first {
                self.begin(place, step);
            }
        }
    }

    fn is_due(&self, status: &StepStatus) -> bool {
        status.next_time.as_ref().is_none_or(|next| next.0 <= self.at.now)
    }

    /// Whether the plugin of a step can be asked to begin; if not, that is reported.
    fn can_be_given(&mut self, place: usize) -> bool {
        let Some((step, status)) = self.graph.steps().get(place).zip(self.statuses.get(place)) else {
            return false;
        };
        if step.is_of_the_engine() {
            return true;
        }
        let plugin = &step.plugin;
        let is_first = status.attempts == 0;
        let health = self.facts.plugins.get(plugin).map_or(&Health::Unchecked, |state| &state.health);
        match health {
            Health::Unchecked if is_first => {
                let message = format!("plugin `{plugin}` has not been asked yet whether it could work");
                self.wait(StepBlocker::PluginUnchecked, message, None);
                false
            }
            // One that is not critical must not hold the node: its attempts are counted, and so come to an end.
            Health::Unhealthy(_) if is_first && step.critical => {
                self.wake_in_a_while();
                false
            }
            _ => match self.rests_until(step) {
                Some(until) => {
                    let message =
                        format!("plugin `{plugin}` failed too often of late, and is left alone for a while");
                    self.wait(StepBlocker::PluginResting, message, Some(until));
                    false
                }
                None => true,
            },
        }
    }

    fn begin(&mut self, place: usize, step: &Step) {
        if !step.is_of_the_engine() {
            let free = self.free.get_mut(&*step.plugin).filter(|free| **free > 0);
            let Some(free) = free else { return self.wake_in_a_while() };
            *free -= 1;
        }
        let now = whole_second(self.at.now);
        let Some(status) = self.statuses.get_mut(place) else { return };
        status.state = StepState::Running;
        status.attempts = status.attempts.saturating_add(1);
        status.start_time.get_or_insert_with(|| now.into());
        status.attempt_time = Some(now.into());
        status.next_time = None;
        status.end_time = None;
        status.percent = None;
        status.reason = None;
        let (attempt, deadline) = (status.attempts, step.deadline(status));
        self.begins.push(self.asked(step, attempt, deadline));
    }

    fn asked(&self, step: &Step, attempt: u32, deadline: Option<Timestamp>) -> Asked {
        let idempotency_key = idempotency_key(self.facts.run, &step.name);
        Asked { step: step.name.clone(), attempt, idempotency_key, deadline }
    }

    /// Whether what waits for this step may begin.
    fn has_ended(&self, place: usize) -> bool {
        let Some((step, status)) = self.graph.steps().get(place).zip(self.statuses.get(place)) else {
            return false;
        };
        match status.state {
            StepState::Done | StepState::Skipped => true,
            StepState::Failed => !step.critical,
            StepState::Pending | StepState::Running | StepState::Retrying => false,
        }
    }

    fn rests_until(&self, step: &Step) -> Option<Timestamp> {
        let until = self.facts.plugins.get(&step.plugin)?.rests_until?;
        (until > self.at.now && !step.is_of_the_engine()).then_some(until)
    }

    /// Reports once for each cause what keeps a step from beginning.
    fn wait(&mut self, why: StepBlocker, message: String, until: Option<Timestamp>) {
        match until {
            Some(until) => self.wake_by(until),
            None => self.wake_in_a_while(),
        }
        let blocker = Blocker {
            reason: why.name().to_owned(),
            message,
            next_try: until.map(|until| whole_second(until).into()),
            ..Blocker::default()
        };
        if !self.blockers.contains(&blocker) {
            self.blockers.push(blocker);
        }
    }

    fn wake_by(&mut self, time: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(time, |known| known.min(time)));
    }

    fn wake_in_a_while(&mut self) {
        let pause = SignedDuration::from_secs(RECHECK_SECONDS);
        self.wake_by(self.at.now.saturating_add(pause).unwrap_or(Timestamp::MAX));
    }

    fn standing(&self) -> Standing {
        let failed = |critical: bool| {
            let pairs = self.graph.steps().iter().zip(&self.statuses);
            let failed =
                pairs.filter(|(step, status)| step.critical == critical && status.state == StepState::Failed);
            failed.map(|(step, _)| step.name.clone()).collect::<Vec<_>>()
        };
        let goes_on = |status: &StepStatus| matches!(status.state, StepState::Running | StepState::Retrying);
        if (0..self.statuses.len()).all(|place| self.has_ended(place)) {
            Standing::Ended(failed(false))
        } else if self.is_open || self.statuses.iter().any(goes_on) {
            Standing::UnderWay
        } else {
            Standing::Held(failed(true))
        }
    }

    /// What plugins say that critical steps are going to need: said before the first step, not when their turn has come.
    fn unhealthy(&self) -> Vec<Blocker> {
        let mut blockers = Vec::new();
        for plugin in self.graph.plugins() {
            let health = self.facts.plugins.get(plugin).map(|state| &state.health);
            let Some(Health::Unhealthy(why)) = health else { continue };
            let needing: Vec<String> = self.needing(plugin);
            if needing.is_empty() {
                continue;
            }
            let message = format!(
                "plugin `{plugin}` says that it could not work: {why}; mend it, or `groundskeeper nodes skip-step` for {}",
                listed(needing.into_iter())
            );
            blockers.push(Blocker {
                reason: StepBlocker::PluginUnhealthy.name().to_owned(),
                message,
                ..Blocker::default()
            });
        }
        blockers
    }

    /// The critical steps that are going to be taken and have yet to begin, of one plugin.
    fn needing(&self, plugin: &str) -> Vec<String> {
        let steps = self.graph.steps().iter().zip(&self.statuses);
        let needing = steps.filter(|(step, status)| {
            *step.plugin == *plugin
                && step.critical
                && (status.state, status.attempts) == (StepState::Pending, 0)
                && step.wanted(self.facts.node, self.at.now) == Wanted::Yes
        });
        needing.map(|(step, _)| step.name.to_string()).collect()
    }

    fn report(mut self, standing: Standing) -> Advance {
        if standing != Standing::Released {
            let failures = self.graph.steps().iter().zip(&self.statuses).filter_map(failure);
            let waits = std::mem::take(&mut self.blockers);
            self.blockers = failures.chain(self.unhealthy()).chain(waits).collect();
        }
        let Self { statuses, begins, asks, blockers, wake_at, .. } = self;
        Advance { statuses, begins, asks, standing, blockers, wake_at }
    }
}

/// What a critical step that failed for good says of itself.
fn failure((step, status): (&Step, &StepStatus)) -> Option<Blocker> {
    if !step.critical || status.state != StepState::Failed {
        return None;
    }
    let name = &step.name;
    let reason = status.reason.as_deref().unwrap_or_default();
    let said = status.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
    let message = format!(
        "step `{name}` failed for good ({reason}){said}; `groundskeeper nodes retry-step` tries it anew, `skip-step` goes on without it"
    );
    Some(Blocker {
        reason: StepBlocker::StepFailed.name().to_owned(),
        message,
        since: status.end_time.clone(),
        ..Blocker::default()
    })
}
