//! Faults between the operator and the API server, by the numbers of docs/reliability.md.
//!
//! Each fault is one check: a function that says what is wrong. It must say nothing of the operator as it is, and must
//! say something of an operator that lacks the one safety that the check is about; a check that no mutant can fail would
//! show nothing. What a check panics about is trouble with the test itself.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod bed;
mod crashes;
mod denials;
mod lost_answers;
mod own_writes;
mod records;
mod same_names;
mod shutdown;

use support::scenery::Scenery;

/// The two tests of each fault: the operator stands it, and a mutant does not.
macro_rules! faults {
    ($($(#[$about:meta])* $name:ident, $caught:ident: $check:path, $mutant:ident;)*) => {$(
        $(#[$about])*
        #[tokio::test]
        async fn $name() {
            let bed = bed::Bed::turn(None, Scenery::Plain).await;
            if let Err(wrong) = $check(&bed).await {
                panic!("{wrong}\n{}", bed.last_words());
            }
        }

        #[tokio::test]
        async fn $caught() {
            let bed = bed::Bed::turn(Some(control::Mutant::$mutant), Scenery::Plain).await;
            let wrong = $check(&bed).await.expect_err("the check finds nothing wrong with the mutant");
            println!("caught: {wrong}");
        }
    )*};
}

faults! {
    r01_a_crash_after_any_write_changes_nothing_about_the_end, r01_is_caught:
        crashes::after_every_write, IntentsForgotten;
    r02_a_deletion_whose_answer_is_lost_is_neither_repeated_nor_forgotten, r02_of_deletions_is_caught:
        lost_answers::of_deletions, NoUidPrecondition;
    r02_an_event_whose_answer_is_lost_is_told_once, r02_of_events_is_caught:
        lost_answers::of_events, CreateRetried;
    r04_what_takes_a_name_over_is_not_taken_for_what_had_it, r04_of_names_is_caught:
        same_names::of_another_object, NoUidPrecondition;
    r04_what_was_changed_meanwhile_is_judged_again, r04_of_versions_is_caught:
        same_names::of_a_changed_object, NoResourceVersion;
    r10_nothing_is_said_twice_while_our_own_words_are_not_back, r10_is_caught:
        own_writes::not_shown_yet, OwnWriteUnawaited;
    r17_who_is_asked_to_stop_finishes_records_and_then_releases, r17_is_caught:
        shutdown::at_every_point, ReleasedBeforeStopped;
    r23_rights_that_are_taken_away_are_named_and_waited_for, r23_of_rights_is_caught:
        denials::of_rights, DeniedRetriedAtOnce;
    r23_a_kind_that_goes_is_named_and_waited_for, r23_of_kinds_is_caught:
        denials::of_kinds, DeniedRetriedAtOnce;
}

/// The same once more where budgets, windows, `keep` and a Keep policy limit what may go.
macro_rules! guarded_faults {
    ($($name:ident: $check:path;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let bed = bed::Bed::turn(None, Scenery::Guarded).await;
            if let Err(wrong) = $check(&bed).await {
                panic!("{wrong}\n{}", bed.last_words());
            }
        }
    )*};
}

guarded_faults! {
    r01_within_limits: crashes::after_every_write;
    r02_within_limits: lost_answers::of_deletions;
    r04_of_names_within_limits: same_names::of_another_object;
    r04_of_versions_within_limits: same_names::of_a_changed_object;
    r17_within_limits: shutdown::at_every_point;
}

/// There is no mutant of its own for this one: what is not retried at once is shown by the two before it.
#[tokio::test]
async fn r23_a_namespace_that_ends_disturbs_nobody() {
    let bed = bed::Bed::turn(None, Scenery::Plain).await;
    if let Err(wrong) = denials::of_a_namespace(&bed).await {
        panic!("{wrong}\n{}", bed.last_words());
    }
}
