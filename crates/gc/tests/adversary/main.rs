//! A world that does its worst against the engine, and an oracle that judges every deletion.
//!
//! Random policies of all forms; objects that are edited at the last millisecond, deleted and made anew under the same
//! name; watches that lag behind, listings that show too little; clocks that jump; leaders that lose all memory while
//! their requests are still under way; refusals and lost answers. The driver (`world.rs`) does with the engine what the
//! controller does; the oracle (`oracle.rs`) says from the specification alone whether an object may go.
//!
//! `GROUNDSKEEPER_ADVERSARY_SEED` and `GROUNDSKEEPER_ADVERSARY_STEPS` choose a longer run, or repeat a failed world.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod oracle;
mod random;
mod server;
mod specs;
mod terms;
mod world;

use control::{MUTANT_VARIABLE, Mutant};

/// The variable that names the first world's seed; the others have those that follow.
const SEED: &str = "GROUNDSKEEPER_ADVERSARY_SEED";
/// The variable that says how many steps are done in all.
const STEPS: &str = "GROUNDSKEEPER_ADVERSARY_STEPS";

/// Steps of one world: some ten minutes of its time.
const STEPS_OF_A_WORLD: u64 = 400;

/// Steps of an ordinary run: done in some seconds without optimization.
const STEPS_DEFAULT: u64 = 40_000;

/// Steps within which each mutant is caught.
const STEPS_OF_A_MUTANT: u64 = 40_000;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn nothing_is_deleted_that_the_specification_keeps_and_all_else_goes() {
    let (seed, steps) = (number(SEED, 1), number(STEPS, STEPS_DEFAULT));
    let (mut done, mut deleted, mut refused) = (0, 0, 0);
    // A mutant that deletes wrongly leaves too much, too; that is not what it is to be caught by.
    let looks_for_wrong_deletions_alone = Mutant::NoRails.is_on() || Mutant::StaleLabelsBelieved.is_on();
    for seed in seed.. {
        let mut world = world::World::new(seed);
        let outcome = (0..STEPS_OF_A_WORLD)
            .try_for_each(|_| world.step())
            .and_then(|()| if looks_for_wrong_deletions_alone { Ok(()) } else { world.settle_down() });
        if let Err(why) = outcome {
            panic!("in the world of {SEED}={seed} {STEPS}={STEPS_OF_A_WORLD}: {why}");
        }
        (deleted, refused) = (deleted + world.deleted, refused + world.refused);
        done += STEPS_OF_A_WORLD;
        if done >= steps {
            break;
        }
    }
    println!(
        "{done} steps: {deleted} deletions, all of them right; {refused} refused by their preconditions"
    );
    assert!(deleted * 400 > done, "an adversary that lets nothing go shows nothing");
}

/// A test that no mutant can fail is not a test.
#[test]
fn each_mutant_is_caught() {
    let mutants = [
        (Mutant::DueTimeExcluded, "stuck"),
        (Mutant::BaseAfterFiltering, "stuck"),
        (Mutant::NoRails, "wrong deletion"),
        (Mutant::StaleLabelsBelieved, "wrong deletion"),
    ];
    for (mutant, expected) in mutants {
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "nothing_is_deleted_that_the_specification_keeps_and_all_else_goes"])
            .env(MUTANT_VARIABLE, mutant.name())
            .env(SEED, "1")
            .env(STEPS, STEPS_OF_A_MUTANT.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(!run.status.success() && said.contains(expected), "{} is not caught: {said}", mutant.name());
    }
}
