//! A world that does its worst against the real operator on a real API server, and an oracle that judges every deletion.
//!
//! What `crates/gc/tests/adversary` does to the engine alone happens here to two replicas of the binary: random policies of
//! all forms over several kinds; objects that are edited, protected or replaced under their name while their deletion is on
//! its way; answers that get lost, watches that stop, hang, break off and expire; leaders that are killed, stopped, cut off or
//! asked to go in the middle of a batch. The oracle is the simulation's: it reads the specification over plain JSON, and shares
//! no code with the engine. It judges each deletion that the API server's audit log tells of, on the object as it was in the
//! version that went. What may go has to go once there is peace.
//!
//! `GROUNDSKEEPER_ADVERSARY_SEED` and `GROUNDSKEEPER_ADVERSARY_STEPS` choose a longer run, or other choices. The choices follow
//! from the seed; what meets when does not, for time is real.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests take their time, and delete as users do"
)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../../../gc/tests/adversary/oracle.rs"]
mod oracle;
#[path = "../../../gc/tests/adversary/random.rs"]
mod random;
#[path = "../../../gc/tests/adversary/specs.rs"]
mod specs;

mod crew;
mod ground;
mod history;
mod intents;
mod judge;
mod terms;
mod world;

use control::Mutant;
use tokio::task::LocalSet;
use world::World;

/// The variable that names the first world's seed; the others have those that follow.
const SEED: &str = "GROUNDSKEEPER_ADVERSARY_SEED";
/// The variable that says how many steps are done in all.
const STEPS: &str = "GROUNDSKEEPER_ADVERSARY_STEPS";

/// Steps of one world: a quarter of a minute.
const STEPS_OF_A_WORLD: u64 = 400;

/// Steps within which each mutant is caught; it ends when it is, mostly after some seconds.
const STEPS_OF_A_MUTANT: u64 = 2_000;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test]
async fn nothing_is_deleted_that_the_specification_keeps_and_all_else_goes() {
    let (seed, steps) = (number(SEED, 1), number(STEPS, STEPS_OF_A_WORLD));
    let mut done = 0;
    for seed in seed.. {
        println!("the world of {SEED}={seed}");
        let lived = async {
            let mut world = World::new(seed, STEPS_OF_A_WORLD, None).await;
            let outcome = async {
                world.run().await?;
                world.settle_down().await
            };
            if let Err(why) = outcome.await {
                panic!("in the world of {SEED}={seed} {STEPS}={STEPS_OF_A_WORLD}: {why}");
            }
            println!("{:?}, all of them right", world.tally);
            assert!(world.tally.deleted > 5, "an adversary that lets nothing go shows nothing");
            assert!(
                !world.tally.disasters.is_empty() && world.tally.faults > 0,
                "an adversary does its worst"
            );
        };
        LocalSet::new().run_until(Box::pin(lived)).await;
        done += STEPS_OF_A_WORLD;
        if done >= steps {
            return;
        }
    }
}

/// A test that no mutant can fail is not a test.
#[tokio::test]
async fn each_mutant_is_caught() {
    let mutants =
        [Mutant::NoRails, Mutant::StaleLabelsBelieved, Mutant::NoUidPrecondition, Mutant::NoResourceVersion];
    let seed = number(SEED, 1);
    for mutant in mutants {
        let lived = async {
            let mut world = World::new(seed, STEPS_OF_A_MUTANT, Some(mutant)).await;
            let Err(wrong) = world.run().await else {
                panic!("nobody notices {} {SEED}={seed}: {:?}", mutant.name(), world.tally);
            };
            assert!(
                wrong.starts_with("wrong deletion"),
                "{} is caught by something else: {wrong}",
                mutant.name()
            );
            let first = wrong.lines().next().unwrap_or_default();
            println!("{} is caught after {:?}: {first}", mutant.name(), world.tally);
        };
        LocalSet::new().run_until(Box::pin(lived)).await;
    }
}
