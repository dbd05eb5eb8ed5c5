//! Whole departures with random graphs, random answers and crashes at random moments.

use super::*;
use crate::contract::BadAnswer;
use proptest::prelude::*;

/// What a plugin does when it is asked once.
#[derive(Clone, Debug)]
enum Act {
    Answers(Outcome),
    /// It does the work, and the answer is lost with our process.
    DoneUnheard,
    /// Our process dies before it asks.
    CrashBefore,
}

/// A plugin as the contract wants it: what it has done under a key it does not do again.
#[derive(Default)]
struct World {
    scripts: BTreeMap<Box<str>, Vec<Act>>,
    effects: BTreeMap<String, u32>,
    attempts: BTreeMap<Box<str>, u32>,
}

impl World {
    /// What comes back; nothing if our process dies.
    fn is_asked(&mut self, asked: &Asked) -> Option<Outcome> {
        let act = self.scripts.get_mut(&asked.step).and_then(Vec::pop).unwrap_or(Act::Answers(done()));
        let is_effect =
            matches!(&act, Act::DoneUnheard) || matches!(&act, Act::Answers(outcome) if *outcome == done());
        if is_effect {
            self.effects.entry(asked.idempotency_key.clone()).or_insert(1);
        }
        match act {
            Act::Answers(_) if self.effects.contains_key(&asked.idempotency_key) => Some(done()),
            Act::Answers(outcome) => Some(outcome),
            Act::DoneUnheard | Act::CrashBefore => None,
        }
    }
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Answers(done())),
        3 => any::<bool>().prop_map(|retryable| Act::Answers(failed(retryable))),
        2 => (0..100_u8, 1..400_u32).prop_map(|(percent, after)| Act::Answers(progress(percent, after))),
        1 => Just(Act::Answers(Outcome::TimedOut)),
        1 => Just(Act::Answers(Outcome::Unreachable("refused".to_owned()))),
        1 => Just(Act::Answers(Outcome::Garbage(BadAnswer::TooLarge))),
        2 => Just(Act::DoneUnheard),
        2 => Just(Act::CrashBefore),
    ]
}

#[derive(Clone, Debug)]
struct Plan {
    /// What it depends on, by number: only earlier ones. None: it does not say.
    after: Option<Vec<usize>>,
    priority: u32,
    critical: bool,
    when: Option<bool>,
    script: Vec<Act>,
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let after = prop::option::of(prop::collection::vec(0..8_usize, 0..3));
    let script = prop::collection::vec(any_act(), 0..6);
    (after, 40..60_u32, any::<bool>(), prop::option::weighted(0.3, any::<bool>()), script).prop_map(
        |(after, priority, critical, when, script)| Plan { after, priority, critical, when, script },
    )
}

fn departure_of(plans: &[Plan], drain: &[Act]) -> (Departure, World) {
    let step = |(number, plan): (usize, &Plan)| {
        let mut step = json!({
            "name": format!("s{number}"), "plugin": if number % 2 == 0 { "log" } else { "slack" },
            "priority": plan.priority, "critical": plan.critical, "timeout": "5m",
            "retry": {"maxRetries": 2},
        });
        if let Some(after) = &plan.after {
            let names = after.iter().filter(|other| **other < number).map(|other| format!("s{other}"));
            step["dependsOn"] = json!(names.collect::<BTreeSet<_>>());
        }
        if let Some(when) = plan.when {
            step["when"] =
                json!(if when { "has(object.metadata.labels.px)" } else { "has(object.metadata.labels.no)" });
        }
        step
    };
    let steps: Vec<Value> = plans.iter().enumerate().map(step).collect();
    let mut world = World::default();
    world.scripts.insert(DRAIN_STEP.into(), drain.to_vec());
    for (number, plan) in plans.iter().enumerate() {
        world.scripts.insert(format!("s{number}").into(), plan.script.clone());
    }
    (Departure::of(&json!(steps)), world)
}

fn is_over(standing: &Standing) -> bool {
    !matches!(standing, Standing::UnderWay)
}

fn check(departure: &Departure, world: &mut World, turn: &Advance) -> Result<(), TestCaseError> {
    for asked in turn.begins.iter().chain(&turn.asks) {
        let step = departure.graph.step(&asked.step).unwrap();
        for before in &step.depends_on {
            let optional = !departure.graph.step(before).unwrap().critical;
            let has_ended = match departure.state(before) {
                StepState::Done | StepState::Skipped => true,
                StepState::Failed => optional,
                _ => false,
            };
            prop_assert!(has_ended, "{} before {before}", asked.step);
        }
        prop_assert_eq!(
            departure.state(&asked.step),
            StepState::Running,
            "it is written down before it is asked"
        );
        prop_assert!(asked.attempt <= step.retry.retries_max + 1);
        let known = world.attempts.insert(asked.step.clone(), asked.attempt).unwrap_or(0);
        let is_begun = turn.begins.contains(asked);
        prop_assert_eq!(
            asked.attempt,
            known + u32::from(is_begun),
            "an attempt that is asked again is the same"
        );
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_departure_ends_or_is_held_and_no_effect_happens_twice(
        plans in prop::collection::vec(any_plan(), 0..8),
        drain in prop::collection::vec(any_act(), 0..4),
    ) {
        let (mut departure, mut world) = departure_of(&plans, &drain);
        let mut turns = 0;
        loop {
            turns += 1;
            prop_assert!(turns < 2_000, "it never ends: {:?}", departure.statuses);
            let again = departure.look();
            let turn = departure.turn();
            prop_assert_eq!(&again, &turn, "the same record gives the same continuation");
            check(&departure, &mut world, &turn)?;
            if is_over(&turn.standing) {
                break;
            }
            let done_before: Vec<String> = departure.statuses.iter()
                .filter(|status| status.state == StepState::Done).map(|status| status.name.clone()).collect();
            for asked in turn.begins.iter().chain(&turn.asks) {
                prop_assert!(!done_before.iter().any(|name| **name == *asked.step));
                let Some(outcome) = world.is_asked(asked) else {
                    departure.crash();
                    break;
                };
                departure.settles(&asked.step, &outcome);
            }
            match turn.wake_at {
                Some(wake_at) if turn.begins.is_empty() && turn.asks.is_empty() => {
                    prop_assert!(wake_at > departure.now);
                    departure.now = wake_at;
                }
                _ => departure.pass(1),
            }
        }
        for status in &departure.statuses {
            let effects = world.effects.get(&format!("u-1/{}", status.name)).copied().unwrap_or(0);
            prop_assert!(effects <= 1);
            prop_assert!(status.state != StepState::Done || effects == 1, "{status:?}");
        }
        match departure.turn().standing {
            Standing::Held(failed) => prop_assert!(!failed.is_empty()),
            Standing::Ended(failed) => {
                let critical = |name: &str| departure.graph.step(name).unwrap().critical;
                prop_assert!(failed.iter().all(|name| !critical(name)));
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn a_release_at_any_moment_ends_every_departure(
        plans in prop::collection::vec(any_plan(), 0..6), turns in 0..20_usize,
    ) {
        let (mut departure, mut world) = departure_of(&plans, &[]);
        for _ in 0..turns {
            let turn = departure.turn();
            for asked in turn.begins.iter().chain(&turn.asks) {
                match world.is_asked(asked) {
                    Some(outcome) => departure.settles(&asked.step, &outcome),
                    None => _ = departure.in_flight.remove(&asked.step),
                }
            }
            departure.pass(20);
        }
        departure.overrides(json!({"release": {"by": "carol", "at": "2026-11-21T05:00:00Z"}}));
        let turn = departure.turn();
        prop_assert_eq!(turn.standing, Standing::Released);
        prop_assert!(turn.begins.is_empty() && turn.asks.is_empty());
        prop_assert!(departure.statuses.iter().all(|status| matches!(status.state, StepState::Done | StepState::Skipped)));
    }
}
