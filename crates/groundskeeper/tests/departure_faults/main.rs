//! Nodes that leave while something goes wrong: the leader dies at any write of a departure, somebody else writes in the
//! same moment, many nodes go at once.
//!
//! Each check has a control plane to itself. Each check with a mutant is run twice: as it is, and without the safety
//! that it is about, with which it has to fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod bed;
mod crashes;
mod crowd;
mod doer;
mod relay;
mod safeties;
mod story;
#[path = "../support/mod.rs"]
mod support;
#[path = "../departures/users.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod users;
#[path = "../departures/yard.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod yard;

use control::Mutant;

use support::checks::is_caught;

/// Whoever leads may die before or after any write of a departure: whoever comes next ends it, and nothing is done twice.
#[tokio::test]
async fn a_departure_ends_the_same_whatever_write_the_leader_dies_at() {
    crashes::at_every_write(None).await.unwrap();
}

/// The two tests of each safety: it holds, and without it something goes wrong.
macro_rules! safeties {
    ($($(#[$about:meta])* $name:ident, $caught:ident: $check:path, $mutant:ident;)*) => {$(
        $(#[$about])*
        #[tokio::test]
        async fn $name() {
            $check(None).await.unwrap();
        }

        #[tokio::test]
        async fn $caught() {
            is_caught(Mutant::$mutant, $check).await;
        }
    )*};
}

safeties! {
    no_step_begins_before_what_came_of_the_one_before_it_is_written_down, results_unrecorded_are_caught:
        crashes::between_two_steps, ResultUnrecorded;
    no_pod_is_asked_before_its_node_has_settled, no_settle_time_is_caught:
        safeties::settling, NoSettleTime;
    a_pod_that_took_the_name_of_another_stays, no_uid_precondition_is_caught:
        safeties::incarnations, NoUidPrecondition;
    a_finalizer_that_somebody_adds_meanwhile_stays, finalizers_merged_are_caught:
        safeties::finalizers_of_others, FinalizersMerged;
    nobody_begins_in_a_storm_until_it_is_lifted, no_brake_is_caught:
        safeties::brake, BrakeOff;
}

#[tokio::test]
async fn no_node_is_let_go_while_its_policy_may_only_be_late() {
    safeties::late_news().await.unwrap();
}

#[tokio::test]
async fn nobody_goes_on_with_a_departure_before_its_node_is_seen() {
    safeties::late_nodes().await.unwrap();
}

#[tokio::test]
async fn no_departure_is_over_while_its_node_may_only_be_unseen() {
    safeties::lying_list().await.unwrap();
}

#[tokio::test]
async fn many_nodes_leave_within_their_bounds_though_the_leader_dies() {
    crowd::thirty_nodes().await.unwrap();
}
