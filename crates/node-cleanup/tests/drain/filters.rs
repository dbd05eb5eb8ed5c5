//! kubectl's filters, one by one: each row of the table of semantics is a row here.

use node_cleanup::drain::{Action, DrainState, Intent, Reason};
use serde_json::json;

use crate::support::{World, asked, budget, of, only, pod, reasons};

use Action::{Blocked, Evict, Skip, Wait};
use Intent::{Deletion, Maintenance};

#[test]
fn a_pod_of_a_controller_is_evicted() {
    for intent in [Deletion, Maintenance] {
        let plan = World::new(intent, [pod("a")]).plan();
        assert_eq!((only(&plan), plan.state), ((Evict, vec![]), DrainState::Leaving));
        let eviction = &plan.now[0];
        assert_eq!(
            (&*eviction.namespace, &*eviction.name, eviction.uid.to_string()),
            ("team", "a", "u-a".to_owned())
        );
    }
}

#[test]
fn pods_of_daemon_sets_stay_unless_somebody_says_otherwise() {
    let daemon = pod("a").of("apps/v1", "DaemonSet", "agent");
    let foreign = pod("a").of("apps.kruise.io/v1alpha1", "DaemonSet", "agent");
    let there = Some(vec!["agent"]);
    let gone = Some(vec![]);
    let strict = json!({"ignoreDaemonSets": false});
    let table = [
        (Maintenance, daemon.clone(), there.clone(), json!({}), Skip, vec![Reason::DaemonSetPod]),
        (Maintenance, daemon.clone(), None, json!({}), Skip, vec![Reason::DaemonSetPod]),
        (Deletion, daemon.clone(), there.clone(), strict.clone(), Blocked, vec![Reason::DaemonSetPod]),
        (Maintenance, daemon.clone(), gone.clone(), json!({}), Blocked, vec![Reason::OrphanedDaemonSetPod]),
        (
            Maintenance,
            daemon.clone(),
            gone.clone(),
            json!({"force": true}),
            Evict,
            vec![Reason::OrphanedDaemonSetPod],
        ),
        (Deletion, daemon.clone(), gone.clone(), json!({}), Evict, vec![Reason::OrphanedDaemonSetPod]),
        (Maintenance, daemon.clone().phase("Succeeded"), there, strict, Evict, vec![]),
        (Maintenance, foreign, gone, json!({}), Skip, vec![Reason::DaemonSetPod]),
    ];
    for (row, (intent, pod, daemon_sets, settings, action, reasons)) in table.into_iter().enumerate() {
        let world = World { daemon_sets, ..World::new(intent, [pod]).settings(settings) };
        let plan = world.plan();
        assert_eq!(only(&plan), (action, reasons), "row {row}");
        assert_eq!(plan.state == DrainState::Refused, action == Blocked, "row {row}");
    }
}

#[test]
fn pods_of_daemon_sets_leave_after_the_others_if_somebody_says_so_unless_they_would_come_back() {
    let daemon = |name: &str| pod(name).of("apps/v1", "DaemonSet", "agent");
    let tolerant = daemon("tolerant").spec("tolerations", json!([{"operator": "Exists"}]));
    let settings = json!({"evictDaemonSetPods": true, "ignoreDaemonSets": false});
    let world = |pods: Vec<_>, settings| World {
        daemon_sets: Some(vec!["agent"]),
        ..World::new(Deletion, pods).settings(settings)
    };

    let both = world(vec![daemon("agent"), pod("web")], settings.clone()).plan();
    assert_eq!(asked(&both), ["web"], "it waits for the others");
    assert_eq!(of(&both, "agent").action, Evict);
    let alone = world(vec![daemon("agent")], settings).plan();
    assert_eq!(asked(&alone), ["agent"]);
    let stays = world(vec![tolerant], json!({"evictDaemonSetPods": true})).plan();
    assert_eq!((only(&stays), stays.state), ((Skip, vec![Reason::DaemonSetPod]), DrainState::Done));
}

#[test]
fn static_pods_stay() {
    let annotated = pod("a").unmanaged().annotated("kubernetes.io/config.mirror", "hash");
    let of_node = pod("a").of("v1", "Node", "n-1");
    for mirror in [annotated, of_node] {
        let plan = World::deletion([mirror]).plan();
        assert_eq!(plan.pods[0].action, Skip);
        assert_eq!(plan.pods[0].reasons[0], Reason::StaticPod);
        assert_eq!((plan.state, plan.left), (DrainState::Done, 0));
    }
}

#[test]
fn local_storage_and_unmanaged_pods_die_with_the_node_and_refuse_a_maintenance() {
    let empty_dir = || pod("a").with_empty_dir();
    let bare = || pod("a").unmanaged();
    let host_path = pod("a").volume(json!({"name": "h", "hostPath": {"path": "/"}}));
    let delete = json!({"deleteEmptyDirData": true});
    let force = json!({"force": true});
    let table = [
        (Deletion, empty_dir(), json!({}), Evict, vec![Reason::LocalStorage]),
        (Maintenance, empty_dir(), json!({}), Blocked, vec![Reason::LocalStorage]),
        (Maintenance, empty_dir(), delete, Evict, vec![Reason::LocalStorage]),
        (Deletion, empty_dir(), json!({"deleteEmptyDirData": false}), Blocked, vec![Reason::LocalStorage]),
        (Maintenance, empty_dir().phase("Failed"), json!({}), Evict, vec![]),
        (Maintenance, host_path, json!({}), Evict, vec![]),
        (Deletion, bare(), json!({}), Evict, vec![Reason::UnmanagedPod]),
        (Maintenance, bare(), json!({}), Blocked, vec![Reason::UnmanagedPod]),
        (Maintenance, bare(), force, Evict, vec![Reason::UnmanagedPod]),
        (Deletion, bare(), json!({"force": false}), Blocked, vec![Reason::UnmanagedPod]),
        (Maintenance, bare().phase("Succeeded"), json!({}), Evict, vec![]),
    ];
    for (row, (intent, pod, settings, action, expected)) in table.into_iter().enumerate() {
        let plan = World::new(intent, [pod]).settings(settings).plan();
        assert_eq!(only(&plan), (action, expected.clone()), "row {row}");
        let names: Vec<_> = expected.iter().map(|reason| reason.name()).collect();
        let (blockers, risks) = (reasons(&plan.blockers), reasons(&plan.risks));
        if action == Blocked {
            assert_eq!((blockers, plan.now.len()), (names, 0), "row {row}");
        } else {
            assert_eq!((risks, plan.now.len()), (names, 1), "row {row}");
        }
    }
}

#[test]
fn one_pod_that_must_not_be_lost_refuses_the_whole_node_and_each_reason_is_named() {
    let plan =
        World::maintenance([pod("a"), pod("b").unmanaged().with_empty_dir(), pod("c").with_empty_dir()])
            .plan();
    assert_eq!((plan.state, asked(&plan)), (DrainState::Refused, vec![]));
    assert_eq!(of(&plan, "a").action, Evict);
    assert_eq!(of(&plan, "b").reasons, [Reason::LocalStorage, Reason::UnmanagedPod]);
    assert_eq!(reasons(&plan.blockers), ["LocalStorage", "UnmanagedPod"]);
    assert_eq!(plan.blockers[0].objects, ["Pod team/b", "Pod team/c"]);
    assert!(plan.blockers[0].message.contains("team/b and team/c"), "{}", plan.blockers[0].message);
    assert!(plan.blockers[0].message.contains("deleteEmptyDirData: true"));
    assert!(plan.blockers[1].message.contains("force: true"));
}

#[test]
fn whoever_lifts_a_refusal_knows_what_comes_next() {
    let plan = World::maintenance([pod("a").with_empty_dir()]).budget(budget("web", 0)).plan();
    assert_eq!(only(&plan), (Blocked, vec![Reason::LocalStorage, Reason::BudgetExhausted]));
    assert_eq!(reasons(&plan.blockers), ["LocalStorage", "BudgetExhausted"]);
}

#[test]
fn no_reason_hides_another_and_what_stays_refuses_nothing() {
    let daemon = pod("a").of("apps/v1", "DaemonSet", "agent").with_empty_dir();
    let plan = World::maintenance([daemon]).plan();
    assert_eq!(only(&plan), (Skip, vec![Reason::DaemonSetPod, Reason::LocalStorage]));
    assert_eq!((plan.state, plan.blockers.len()), (DrainState::Done, 0));
    let labelled = pod("a").unmanaged().labelled("groundskeeper.dev/drain", "skip");
    let plan = World::maintenance([labelled]).plan();
    assert_eq!(only(&plan), (Skip, vec![Reason::UnmanagedPod, Reason::LabelSkip]));
    assert_eq!(plan.state, DrainState::Done);
}

#[test]
fn a_pod_that_ends_already_is_waited_for_until_its_time_was_up_for_too_long() {
    let skip = |seconds: i64| json!({"skipWaitForDeleteTimeoutSeconds": seconds});
    let table = [
        // Now is second 60.
        (json!({}), false, 60 - 3_600, Wait),
        (skip(0), true, 60 - 3_600, Wait),
        (skip(10), false, 60 - 10, Wait),
        (skip(10), false, 60 - 11, Skip),
        (skip(10), false, 60 + 30, Wait),
        (json!({}), true, 60 - 60, Wait),
        (json!({}), true, 60 - 61, Skip),
    ];
    for (row, (settings, is_unreachable, ends_by, action)) in table.into_iter().enumerate() {
        let world = World::maintenance([pod("a").unmanaged().ends_by(ends_by)]).settings(settings);
        let world = if is_unreachable { world.unreachable() } else { world };
        let plan = world.plan();
        assert_eq!(plan.pods[0].action, action, "row {row}");
        assert_eq!((asked(&plan), plan.left), (vec![], usize::from(action == Wait)), "row {row}");
    }
}

#[test]
fn a_pod_that_should_be_gone_is_named_with_what_keeps_it() {
    let mut kept = pod("a").ends_by(-1);
    assert_eq!(World::deletion([pod("a").ends_by(0)]).plan().blockers, []);
    let plan = World::deletion([kept.clone()]).plan();
    assert_eq!(only(&plan), (Wait, vec![Reason::Terminating, Reason::StuckTerminating]));
    assert_eq!(reasons(&plan.blockers), ["StuckTerminating"]);
    assert!(plan.blockers[0].message.contains("kubelet"), "{}", plan.blockers[0].message);
    kept.0["metadata"]["finalizers"] = json!(["example.com/backup"]);
    let plan = World::deletion([kept]).plan();
    assert!(plan.blockers[0].message.contains("example.com/backup"), "{}", plan.blockers[0].message);
}

#[test]
fn pods_of_other_nodes_and_those_that_are_not_selected_are_none_of_its_business() {
    let elsewhere = pod("elsewhere").spec("nodeName", json!("n-2"));
    let settings = json!({"podSelector": {"matchLabels": {"app": "web"}}});
    let plan = World::maintenance([elsewhere, pod("a"), pod("b").labelled("app", "db").unmanaged()])
        .settings(settings)
        .plan();
    assert_eq!(plan.pods.len(), 2);
    assert_eq!((asked(&plan), plan.left), (vec!["a"], 1));
    assert_eq!(of(&plan, "b").reasons, [Reason::UnmanagedPod, Reason::NotSelected]);
}

#[test]
fn a_protected_pod_holds_the_drain_and_says_what_lifts_that() {
    let plan = World::deletion([pod("a").annotated("groundskeeper.dev/protect", "true"), pod("b")]).plan();
    assert_eq!((of(&plan, "a").action, asked(&plan)), (Blocked, vec!["b"]));
    assert_eq!((reasons(&plan.blockers), plan.state), (vec!["Protected"], DrainState::Leaving));
    let ends = pod("a").annotated("groundskeeper.dev/protect", "true").ends_by(90);
    assert_eq!(World::deletion([ends]).plan().pods[0].action, Wait);
}

#[test]
fn a_pod_that_may_come_back_to_the_node_is_told_of() {
    let tolerant = pod("a").spec("tolerations", json!([{"operator": "Exists"}]));
    let plan = World::deletion([tolerant]).plan();
    assert_eq!(only(&plan), (Evict, vec![Reason::ToleratesCordon]));
    assert_eq!(reasons(&plan.risks), ["ToleratesCordon"]);
}
