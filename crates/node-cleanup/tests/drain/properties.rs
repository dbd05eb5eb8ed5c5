//! What holds of every node, whatever runs on it.

use std::collections::BTreeSet;

use node_cleanup::drain::{Action, Answer, DrainState, Intent, Reason, Tries};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{PodJson, World, asked, budget, of, pod};

/// What makes one pod unlike another.
#[derive(Clone, Copy, Debug)]
enum Trait {
    Unmanaged,
    OfDaemonSet,
    Orphaned,
    OfAnotherApp,
    Mirror,
    EmptyDir,
    Claim,
    Phase(&'static str),
    Unready,
    EndsBy(i64),
    Label(&'static str),
    Critical,
    Protected,
}

fn traits() -> impl Strategy<Value = Vec<Trait>> {
    let plain = prop::sample::select(vec![
        Trait::Unmanaged,
        Trait::OfDaemonSet,
        Trait::Orphaned,
        Trait::OfAnotherApp,
        Trait::Mirror,
        Trait::EmptyDir,
        Trait::Claim,
        Trait::Claim,
        Trait::Phase("Pending"),
        Trait::Phase("Succeeded"),
        Trait::Unready,
        Trait::Label("skip"),
        Trait::Label("wait-completed"),
        Trait::Label("what"),
        Trait::Critical,
        Trait::Protected,
    ]);
    let one = prop_oneof![5 => plain, 1 => (-100..200_i64).prop_map(Trait::EndsBy)];
    prop::collection::vec(one, 0..4)
}

fn built(at: usize, traits: &[Trait]) -> PodJson {
    traits.iter().fold(pod(&format!("p-{at}")), |pod, one| match one {
        Trait::Unmanaged => pod.unmanaged(),
        Trait::OfDaemonSet => pod.of("apps/v1", "DaemonSet", "agent"),
        Trait::Orphaned => pod.of("apps/v1", "DaemonSet", "gone"),
        Trait::OfAnotherApp => pod.of("apps/v1", "StatefulSet", "db").labelled("app", "db"),
        Trait::Mirror => pod.annotated("kubernetes.io/config.mirror", "x"),
        Trait::EmptyDir => pod.with_empty_dir(),
        Trait::Claim => pod.with_claim(&format!("c-{at}")),
        Trait::Phase(phase) => pod.phase(phase),
        Trait::Unready => pod.unready(),
        Trait::EndsBy(seconds) => pod.ends_by(*seconds),
        Trait::Label(value) => pod.labelled("groundskeeper.dev/drain", value),
        Trait::Critical => pod.spec("priorityClassName", json!("system-node-critical")),
        Trait::Protected => pod.annotated("groundskeeper.dev/protect", "true"),
    })
}

fn answer(which: u8) -> Answer {
    match which {
        0 => Answer::Accepted,
        1 => Answer::TooManyRequests { retry_after: None, budget: None },
        2 => Answer::SeveralBudgets,
        3 => Answer::NamespaceTerminating,
        4 => Answer::Denied { message: "no".to_owned() },
        _ => Answer::Failed { message: "502".to_owned() },
    }
}

prop_compose! {
    fn worlds()(
        pods in prop::collection::vec((traits(), prop::option::weighted(0.3, 0..6_u8)), 0..12),
        is_deletion in any::<bool>(),
        is_forced in any::<bool>(),
        allowed in 0..4_i64,
        at_once in 1..3_u32,
        (has_ladder, began_at) in (any::<bool>(), prop::option::of(-4_000..60_i64)),
        cordoned_at in prop::option::weighted(0.9, 40..60_i64),
    ) -> World {
        let intent = if is_deletion { Intent::Deletion } else { Intent::Maintenance };
        let built = pods.iter().enumerate().map(|(at, (traits, _))| built(at, traits));
        let mut world = World::new(intent, built).budget(budget("web", allowed));
        let mut settings = json!({"volumePodsAtOnce": at_once, "skipWaitForDeleteTimeoutSeconds": 30});
        if is_forced {
            settings["force"] = json!(true);
            settings["deleteEmptyDirData"] = json!(true);
        }
        world = world.settings(settings);
        for (at, (_, which)) in pods.into_iter().enumerate() {
            if let Some(which) = which {
                world = world.answered(&format!("p-{at}"), answer(which), 59 - i64::from(which) * 10);
            }
        }
        if has_ladder {
            world.rungs = json!([
                {"after": "10m", "action": "TightenGrace"}, {"after": "20m", "action": "DeletePods"},
                {"after": "30m", "action": "Abandon"},
            ]);
        }
        World { daemon_sets: Some(vec!["agent"]), began_at, cordoned_at, ..world }
    }
}

proptest! {
    #[test]
    fn what_stays_is_never_asked(world in worlds()) {
        let plan = world.plan();
        for eviction in &plan.now {
            let pod = of(&plan, &eviction.name);
            prop_assert!(pod.action != Action::Skip, "{pod:?}");
            for reason in [Reason::StaticPod, Reason::DaemonSetPod, Reason::LabelSkip, Reason::InvalidDrainLabel] {
                let ends = pod.reasons.contains(&Reason::Terminating);
                prop_assert!(!pod.reasons.contains(&reason) || (ends && reason == Reason::InvalidDrainLabel), "{pod:?}");
            }
            prop_assert_eq!(Some(&eviction.uid), pod.uid.as_ref());
            prop_assert!(eviction.grace_seconds.is_none_or(|seconds| seconds >= 1));
        }
    }

    #[test]
    fn two_groups_are_never_asked_at_a_time_and_no_group_before_its_turn(world in worlds()) {
        let plan = world.plan();
        let is_ending = |name: &str| of(&plan, name).reasons.contains(&Reason::Terminating);
        let fresh: Vec<_> = asked(&plan).into_iter().filter(|name| !is_ending(name)).collect();
        let groups: BTreeSet<_> = fresh.iter().map(|name| (of(&plan, name).order, of(&plan, name).tier)).collect();
        prop_assert!(groups.len() <= 1, "{groups:?}");
        for pod in plan.pods.iter().filter(|pod| !matches!(pod.action, Action::Skip)) {
            let is_waited_for = pod.action == Action::Wait && !pod.reasons.contains(&Reason::Terminating);
            let earlier = groups.iter().any(|group| (pod.order, pod.tier) < *group);
            prop_assert!(is_waited_for || !earlier, "{pod:?} is still there");
        }
    }

    #[test]
    fn never_more_pods_with_volumes_are_under_way_than_allowed(world in worlds()) {
        let plan = world.plan();
        let has_claim = |name: &str| {
            let pod = world.pods.iter().find(|pod| pod.0["metadata"]["name"] == name).unwrap();
            pod.0["spec"]["volumes"].as_array().unwrap().iter().any(|volume| volume["persistentVolumeClaim"].is_object())
        };
        let is_ending = |name: &str| of(&plan, name).reasons.contains(&Reason::Terminating);
        let ending = plan.pods.iter().filter(|pod| pod.action == Action::Wait && is_ending(&pod.name) && has_claim(&pod.name));
        let fresh = asked(&plan).into_iter().filter(|name| has_claim(name) && !is_ending(name)).count();
        let allowed = usize::try_from(world.settings["volumePodsAtOnce"].as_u64().unwrap()).unwrap();
        prop_assert!(fresh == 0 || ending.count() + fresh <= allowed);
    }

    #[test]
    fn a_maintenance_without_force_refuses_all_if_one_pod_would_be_lost(world in worlds()) {
        let world = World { settings: json!({}), intent: Intent::Maintenance, rungs: json!([]), ..world };
        let mut with_one = world.clone();
        with_one.pods.push(pod("lost").unmanaged());
        let plan = with_one.plan();
        prop_assert_eq!(plan.state, DrainState::Refused);
        prop_assert!(plan.now.is_empty() && plan.blockers.iter().any(|blocker| blocker.reason == "UnmanagedPod"));
    }

    #[test]
    fn the_order_in_which_things_were_seen_makes_no_difference(world in worlds(), seed in any::<u64>()) {
        let mut other = world.clone();
        let len = other.pods.len().max(1);
        other.pods.rotate_left(usize::try_from(seed).unwrap_or_default() % len);
        other.pods.reverse();
        other.budgets.reverse();
        prop_assert_eq!(world.plan(), other.plan());
    }

    #[test]
    fn a_drain_that_has_pods_left_names_what_holds_it_or_goes_on(world in worlds()) {
        let plan = world.plan();
        if plan.left == 0 || plan.state != DrainState::Leaving || plan.is_overdue {
            return Ok(());
        }
        let waits = plan.pods.iter().any(|pod| pod.action == Action::Wait);
        prop_assert!(!plan.now.is_empty() || waits || plan.wake.is_some() || !plan.blockers.is_empty());
        let blocked = plan.pods.iter().any(|pod| pod.action == Action::Blocked);
        prop_assert!(!blocked || !plan.blockers.is_empty());
        prop_assert!(plan.wake.is_none_or(|wake| wake > crate::support::at(world.now)));
    }

    #[test]
    fn nothing_is_asked_before_the_node_has_settled(world in worlds()) {
        let plan = world.plan();
        let is_settled = world.cordoned_at.is_some_and(|at| at + 5 <= world.now);
        prop_assert!(is_settled || plan.now.is_empty());
    }

    #[test]
    fn a_drain_whose_evictions_are_accepted_ends_and_asks_each_pod_once(world in worlds()) {
        let mut world = World { intent: Intent::Deletion, rungs: json!([]), settings: json!({}), ..world };
        world.tries = Tries::default();
        world.pods.retain(|pod| pod.0["metadata"]["deletionTimestamp"].is_null());
        world.cordoned_at = Some(0);
        let mut asked_for = BTreeSet::new();
        let mut ending: Vec<String> = Vec::new();
        for _ in 0..2 * world.pods.len() + 2 {
            let plan = world.plan();
            world.pods.retain(|pod| !ending.iter().any(|name| pod.0["metadata"]["name"] == *name));
            ending = asked(&plan).into_iter().map(ToOwned::to_owned).collect();
            for name in &ending {
                prop_assert!(asked_for.insert(name.clone()), "{name} is asked twice");
                let now = world.now;
                world = world.answered(name, Answer::Accepted, now);
            }
            world.now += 1;
        }
        let plan = world.plan();
        prop_assert!(plan.now.is_empty());
        // Whoever is left says why, and holds up those that leave after it.
        prop_assert_eq!(plan.state == DrainState::Done, plan.left == 0);
        prop_assert!(plan.left == 0 || !plan.blockers.is_empty());
    }
}
