//! Whose turn it is, and when.

use node_cleanup::drain::{Answer, By, DrainState, Tier};
use serde_json::{Value, json};

use crate::support::{PodJson, World, asked, at, of, pod, reasons};

fn critical(name: &str) -> PodJson {
    pod(name).spec("priorityClassName", json!("system-cluster-critical"))
}

#[test]
fn nothing_is_asked_before_the_node_has_settled() {
    let world = |cordoned_at| World { cordoned_at, ..World::deletion([pod("a")]) };
    let plan = world(None).plan();
    assert_eq!((plan.state, asked(&plan), plan.wake), (DrainState::Settling, vec![], None));
    let plan = world(Some(56)).plan();
    assert_eq!((plan.state, asked(&plan), plan.wake), (DrainState::Settling, vec![], Some(at(61))));
    let plan = world(Some(55)).plan();
    assert_eq!((plan.state, asked(&plan)), (DrainState::Leaving, vec!["a"]));
    // A pod may be on its way to an empty node, too.
    let empty = World { cordoned_at: Some(56), ..World::deletion([]) };
    assert_eq!((empty.plan().state, empty.at(61).state), (DrainState::Settling, DrainState::Done));
}

#[test]
fn the_most_dispensable_leave_first_and_are_gone_before_others_are_asked() {
    let orphan = pod("b").of("apps/v1", "DaemonSet", "gone");
    let critical_orphan = critical("d").of("apps/v1", "DaemonSet", "gone");
    let all = [critical_orphan, critical("c"), orphan, pod("a")];
    for (gone, expected) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let pods = all.iter().rev().skip(gone).cloned();
        let world = World { daemon_sets: Some(vec![]), ..World::deletion(pods) };
        assert_eq!(asked(&world.plan()), [expected]);
    }
    let plan = World { daemon_sets: Some(vec![]), ..World::deletion(all) }.plan();
    let tiers: Vec<_> = plan.pods.iter().map(|pod| pod.tier).collect();
    assert_eq!(tiers, [Tier::Ordinary, Tier::OrdinaryDaemon, Tier::Critical, Tier::CriticalDaemon]);
    assert_eq!(tiers.map_numbers(), [0, 1, 2, 3]);
}

trait Numbers {
    fn map_numbers(&self) -> Vec<u8>;
}

impl Numbers for Vec<Tier> {
    fn map_numbers(&self) -> Vec<u8> {
        self.iter().map(|tier| tier.number()).collect()
    }
}

#[test]
fn a_pod_that_ends_or_may_not_be_asked_holds_up_the_next_group_and_one_that_ends_by_itself_does_not() {
    assert_eq!(asked(&World::deletion([pod("a").ends_by(90), critical("b")]).plan()), Vec::<&str>::new());
    let held = pod("a").annotated("groundskeeper.dev/protect", "true");
    assert_eq!(asked(&World::deletion([held, critical("b")]).plan()), Vec::<&str>::new());
    let waiting = pod("a").labelled("groundskeeper.dev/drain", "wait-completed");
    assert_eq!(asked(&World::deletion([waiting, critical("b")]).plan()), ["b"]);
    assert_eq!(
        asked(&World::deletion([pod("a").spec("priority", json!(2_000_000_000)), pod("b")]).plan()),
        ["b"]
    );
}

#[test]
fn the_order_of_a_rule_counts_before_the_tier() {
    let first = json!({"order": -1, "podSelector": {"matchLabels": {"app": "first"}}});
    let pods = [pod("a"), critical("b").labelled("app", "first")];
    let plan = World::deletion(pods).rule("r", first).plan();
    assert_eq!((asked(&plan), of(&plan, "b").order), (vec!["b"], -1));
}

#[test]
fn pods_with_volumes_leave_one_after_another_those_of_low_priority_first() {
    let pods = || {
        [
            pod("a").with_claim("a").spec("priority", json!(5)),
            pod("b").with_claim("b"),
            pod("c").with_claim("c"),
            pod("d"),
        ]
    };
    assert_eq!(asked(&World::deletion(pods()).plan()), ["b", "d"]);
    let two = World::deletion(pods()).settings(json!({"volumePodsAtOnce": 2}));
    assert_eq!(asked(&two.plan()), ["b", "c", "d"]);
    // One that was let go and is not seen ending yet, or ends, takes its place.
    let let_go = World::deletion(pods()).answered("b", Answer::Accepted, 59);
    assert_eq!(asked(&let_go.plan()), ["d"]);
    let ends = World::deletion([pod("a").with_claim("a"), pod("b").with_claim("b").ends_by(90)]);
    assert_eq!(asked(&ends.plan()), Vec::<&str>::new());
    // One that was refused gives its place to the next.
    let refused = Answer::Denied { message: String::new() };
    assert_eq!(asked(&World::deletion(pods()).answered("b", refused, 60).plan()), ["c", "d"]);
}

#[test]
fn pods_get_the_time_that_was_said() {
    let grace =
        |settings: Value, pod: PodJson| World::deletion([pod]).settings(settings).plan().now[0].grace_seconds;
    assert_eq!(grace(json!({}), pod("a")), None);
    assert_eq!(grace(json!({"gracePeriodSeconds": -1}), pod("a")), None);
    assert_eq!(grace(json!({"gracePeriodSeconds": 5}), pod("a")), Some(5));
    let by = |settings: Value| World::deletion([pod("a")]).settings(settings).plan().now[0].by;
    assert_eq!(by(json!({})), By::Eviction);
    assert_eq!(by(json!({"disableEviction": true})), By::Deletion);
}

#[test]
fn a_drain_is_done_when_nobody_is_left_who_has_to_leave() {
    let daemon = || pod("a").of("apps/v1", "DaemonSet", "agent");
    let plan = World::deletion([daemon()]).plan();
    assert_eq!((plan.state, plan.left, plan.wake), (DrainState::Done, 0, None));
    let plan = World::deletion([daemon(), pod("b").ends_by(90)]).plan();
    assert_eq!((plan.state, plan.left, plan.wake), (DrainState::Leaving, 1, Some(at(151))));
}

#[test]
fn volumes_are_waited_for_but_not_those_of_pods_that_stay() {
    let attachment = |name: &str, node: &str, volume: &str| json!({"metadata": {"name": name}, "spec": {"nodeName": node, "source": {"persistentVolumeName": volume}}});
    let daemon = pod("a").of("apps/v1", "DaemonSet", "agent").with_claim("kept");
    let world = |pods: Vec<PodJson>| World {
        attachments: vec![
            attachment("x", "n-1", "pv-kept"),
            attachment("y", "n-1", "pv-1"),
            attachment("z", "n-2", "pv-2"),
        ],
        volumes: vec![("kept", "pv-kept"), ("b", "pv-1")],
        ..World::deletion(pods)
    };
    let plan = world(vec![daemon.clone()]).plan();
    assert_eq!((plan.volumes_left, reasons(&plan.blockers)), (1, vec!["VolumeAttached"]));
    assert_eq!(plan.blockers[0].objects, ["VolumeAttachment y"]);
    // While pods leave, it is plain that volumes are attached.
    let plan = world(vec![daemon, pod("b").with_claim("b")]).plan();
    assert_eq!((plan.volumes_left, plan.blockers.len()), (1, 0));
    assert_eq!(world(vec![]).plan().volumes_left, 2);
}

#[test]
fn a_drain_wakes_when_there_is_something_to_do() {
    let skip = json!({"skipWaitForDeleteTimeoutSeconds": 10});
    let world = World::deletion([pod("a").ends_by(55)]).settings(skip);
    assert_eq!((world.plan().wake, world.at(65).left, world.at(66).left), (Some(at(66)), 1, 0));
    let late = World {
        began_at: Some(0),
        ..World::maintenance([pod("a")]).settings(json!({"timeoutSeconds": 100}))
    };
    assert_eq!((late.plan().wake, late.plan().is_overdue), (Some(at(100)), false));
    let plan = late.at(100);
    assert_eq!((plan.is_overdue, asked(&plan)), (true, vec![]));
    let deletion = World { intent: node_cleanup::drain::Intent::Deletion, ..late };
    assert_eq!((deletion.at(100).is_overdue, asked(&deletion.at(100))), (true, vec!["a"]));
}
