//! The ladder that a stuck drain climbs.

use node_cleanup::drain::{Action, Answer, By, DrainState, Intent};
use serde_json::json;

use crate::support::{World, asked, at, budget, pod};

fn climbing(world: World) -> World {
    let rungs = json!([
        {"after": "10m", "action": "TightenGrace", "gracePeriodSeconds": 20},
        {"after": "20m", "action": "DeletePods"},
        {"after": "30m", "action": "Abandon"},
    ]);
    World { rungs, began_at: Some(0), ..world }
}

#[test]
fn without_a_ladder_a_drain_waits_for_ever() {
    let world = World { began_at: Some(0), ..World::deletion([pod("a")]).budget(budget("web", 0)) };
    let plan = world.at(86_400 * 300);
    assert_eq!(
        (plan.state, plan.now[0].by, plan.now[0].grace_seconds),
        (DrainState::Leaving, By::Eviction, None)
    );
}

#[test]
fn each_rung_is_in_force_from_its_time_on() {
    let world = climbing(World::deletion([pod("a")]).budget(budget("web", 0)));
    let seen = |seconds: i64| {
        let plan = world.at(seconds);
        (plan.pods[0].action, plan.now[0].by, plan.now[0].grace_seconds, plan.wake)
    };
    assert_eq!(seen(599), (Action::Blocked, By::Eviction, None, Some(at(600))));
    assert_eq!(seen(600), (Action::Blocked, By::Eviction, Some(20), Some(at(1_200))));
    assert_eq!(seen(1_200), (Action::Delete, By::Deletion, Some(20), Some(at(1_800))));
    assert_eq!(seen(1_790).2, Some(10));
    let refused = world.clone().answered("a", Answer::SeveralBudgets, 1_199).at(1_200);
    assert_eq!((refused.pods[0].action, refused.blockers.len()), (Action::Delete, 0));
    let plan = world.at(1_800);
    assert_eq!((plan.state, plan.left, asked(&plan)), (DrainState::Abandoned, 1, vec![]));
    // Before the drain begins no time passes.
    assert_eq!(World { began_at: None, ..world }.at(7_200).state, DrainState::Leaving);
}

#[test]
fn a_pod_gets_at_most_the_time_that_is_left_and_at_least_a_second() {
    let slow = pod("a").spec("terminationGracePeriodSeconds", json!(3_600));
    let rungs = json!([{"after": "10m", "action": "Abandon"}]);
    let fine = World {
        rungs: json!([{"after": "600500ms", "action": "Abandon"}]),
        began_at: Some(0),
        ..World::deletion([slow.clone()])
    };
    assert_eq!(fine.at(600).now[0].grace_seconds, Some(1));
    let world = World { rungs, began_at: Some(0), ..World::deletion([slow]) };
    let grace = |seconds: i64| world.at(seconds).now[0].grace_seconds;
    assert_eq!((grace(60), grace(599)), (Some(540), Some(1)));
    let quick = World { pods: vec![pod("a")], ..world };
    assert_eq!((quick.at(60).now[0].grace_seconds, quick.at(590).now[0].grace_seconds), (None, Some(10)));
}

#[test]
fn a_pod_that_ends_too_slowly_is_asked_again_with_less_time_and_only_then() {
    let world = |ends_by| climbing(World::deletion([pod("a").ends_by(ends_by)]));
    assert_eq!(asked(&world(3_600).at(599)), Vec::<&str>::new());
    let plan = world(3_600).at(600);
    assert_eq!((plan.pods[0].action, plan.now[0].grace_seconds), (Action::Wait, Some(20)));
    assert_eq!(asked(&world(620).at(600)), Vec::<&str>::new());
}

#[test]
fn a_pod_that_was_asked_just_before_a_rung_is_asked_again_within_five_seconds() {
    let world = climbing(World::deletion([pod("a").ends_by(3_600)]));
    let world = world.answered("a", Answer::Accepted, 599);
    let plan = world.at(600);
    assert_eq!((asked(&plan), plan.wake), (vec![], Some(at(604))));
    assert_eq!(asked(&world.at(604)), ["a"]);
    // It is not seen yet that it ends sooner.
    assert_eq!(asked(&world.answered("a", Answer::Accepted, 604).at(608)), Vec::<&str>::new());
}

#[test]
fn volumes_of_pods_that_are_left_behind_are_not_waited_for() {
    let attachment = |name: &str, volume: &str| json!({"metadata": {"name": name}, "spec": {"nodeName": "n-1", "source": {"persistentVolumeName": volume}}});
    let world = World {
        attachments: vec![attachment("x", "pv-a"), attachment("y", "pv-other")],
        volumes: vec![("a", "pv-a")],
        ..climbing(World::deletion([pod("a").with_claim("a")]))
    };
    assert_eq!((world.at(1_799).volumes_left, world.at(1_800).volumes_left), (2, 1));
}

#[test]
fn deleting_past_budgets_is_not_deleting_past_what_the_settings_forbid() {
    let strict = json!({"force": false});
    let world = climbing(World::new(Intent::Deletion, [pod("a").unmanaged()]).settings(strict));
    let plan = world.at(1_200);
    assert_eq!((plan.state, asked(&plan)), (DrainState::Refused, vec![]));
    assert_eq!(world.at(1_800).state, DrainState::Abandoned);
}
