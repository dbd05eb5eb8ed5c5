//! What follows from what the server answered.

use std::time::Duration;

use node_cleanup::drain::{Action, Answer, Tries, since};
use units::{NamespacedName, Uid};

use crate::support::{World, asked, at, blocker, budget, of, pod, reasons};

fn too_many(retry_after: Option<u64>) -> Answer {
    Answer::TooManyRequests {
        retry_after: retry_after.map(Duration::from_secs),
        budget: Some(NamespacedName::new("team", "web")),
    }
}

fn not_before(tries: &Tries) -> i64 {
    tries.not_before(&Uid::from("u")).unwrap().duration_since(at(0)).as_secs()
}

#[test]
fn each_answer_becomes_a_blocker_that_says_when_it_is_asked_again() {
    let denied = || Answer::Denied { message: "the webhook\nsays no".to_owned() };
    let table = [
        (too_many(None), vec!["BudgetExhausted"]),
        (Answer::TooManyRequests { retry_after: None, budget: None }, vec![]),
        (Answer::SeveralBudgets, vec!["MultipleBudgets"]),
        (Answer::NamespaceTerminating, vec!["NamespaceTerminating"]),
        (denied(), vec!["EvictionDenied"]),
        (Answer::Failed { message: "502".to_owned() }, vec!["EvictionFailed"]),
        (Answer::Accepted, vec![]),
    ];
    for (answer, expected) in table {
        let plan = World::deletion([pod("a")]).answered("a", answer.clone(), 60).plan();
        assert_eq!(reasons(&plan.blockers), expected, "{answer:?}");
        assert_eq!((asked(&plan), plan.left), (vec![], 1), "{answer:?}");
        let wake = plan.wake.unwrap();
        assert!(wake > at(60) && wake <= at(90), "{answer:?}: {wake}");
        assert!(
            plan.blockers.iter().all(|blocker| blocker.next_try.as_ref().map(|time| time.0) == Some(wake))
        );
        assert_eq!(asked(&World::deletion([pod("a")]).answered("a", answer, 60).at(91)), ["a"]);
    }
    let told = World::deletion([pod("a")]).answered("a", too_many(Some(10)), 60);
    assert_eq!((asked(&told.at(69)), asked(&told.at(70))), (vec![], vec!["a"]));
    let plan = World::deletion([pod("a")]).answered("a", denied(), 60).plan();
    assert!(plan.blockers[0].message.ends_with("the webhook says no"), "{}", plan.blockers[0].message);
}

#[test]
fn a_budget_that_was_seen_and_is_named_by_the_server_is_told_of_once() {
    let world =
        World::deletion([pod("a"), pod("b")]).budget(budget("web", 0)).answered("a", too_many(None), 60);
    let plan = world.plan();
    assert_eq!((reasons(&plan.blockers), plan.blockers[0].objects.len()), (vec!["BudgetExhausted"], 3));
    assert_eq!((of(&plan, "a").action, asked(&plan)), (Action::Blocked, vec!["b"]));
}

#[test]
fn a_budget_that_opens_lets_pods_go_within_five_seconds() {
    let refused_often = |budget: serde_json::Value| {
        let world = World::deletion([pod("a")]).budget(budget);
        (0..10).fold(world, |world, _| world.answered("a", too_many(None), 60))
    };
    assert_eq!(asked(&refused_often(budget("web", 0)).at(65)), Vec::<&str>::new());
    let opened = refused_often(budget("web", 1));
    let plan = opened.at(64);
    assert_eq!((of(&plan, "a").action, asked(&plan), plan.wake), (Action::Evict, vec![], Some(at(65))));
    assert_eq!(asked(&opened.at(65)), ["a"]);
    let told = opened.answered("a", too_many(Some(20)), 60);
    assert_eq!((asked(&told.at(79)), asked(&told.at(80))), (vec![], vec!["a"]));
    // What was seen says nothing of a budget that does not cover the pod as far as we understand it.
    let mut other = budget("web", 1);
    other["spec"]["selector"] = serde_json::json!({"matchLabels": {"app": "other"}});
    let plan = refused_often(other).at(65);
    assert_eq!((reasons(&plan.blockers), asked(&plan)), (vec!["BudgetExhausted"], vec![]));
}

#[test]
fn pauses_grow_from_one_second_to_thirty_and_heed_the_server() {
    let uid = Uid::from("u");
    let mut tries = Tries::default();
    let mut pauses = Vec::new();
    for _ in 0..10 {
        tries.record(&uid, too_many(Some(0)), at(0));
        pauses.push(not_before(&tries));
    }
    assert!(
        pauses[0] == 1 && pauses[9] >= 15 && pauses.iter().all(|pause| (1..=30).contains(pause)),
        "{pauses:?}"
    );
    let mut tries = Tries::default();
    tries.record(&uid, too_many(Some(10)), at(0));
    assert_eq!(not_before(&tries), 10);
    tries.record(&uid, too_many(Some(86_400)), at(0));
    assert_eq!(not_before(&tries), 60);
    tries.record(&uid, Answer::Accepted, at(0));
    tries.record(&uid, too_many(None), at(0));
    assert_eq!(not_before(&tries), 1);
}

#[test]
fn a_new_pod_of_the_same_name_is_asked_by_its_own_uid() {
    let mut again = pod("a");
    again.0["metadata"]["uid"] = "other".into();
    let world = World::deletion([again]).answered("a", Answer::Accepted, 60);
    assert_eq!(world.plan().now[0].uid, Uid::from("other"));
}

#[test]
fn a_manifest_without_a_uid_is_planned_and_never_asked() {
    let mut new = pod("a");
    new.0["metadata"].as_object_mut().unwrap().remove("uid");
    let plan = World::deletion([new]).plan();
    assert_eq!((plan.pods[0].action, plan.now.len(), plan.left), (Action::Evict, 0, 1));
}

#[test]
fn what_is_remembered_is_bounded_and_goes_with_its_pods() {
    let mut tries = Tries::default();
    let uid = |n: usize| Uid::from(format!("u-{n}").as_str());
    for n in 0..1_500 {
        tries.record(&uid(n), Answer::Accepted, at(i64::try_from(n).unwrap()));
    }
    let known = (0..1_500).filter(|n| tries.answer(&uid(*n)).is_some()).count();
    assert_eq!(
        (known, tries.answer(&uid(0)).is_some(), tries.answer(&uid(1_499)).is_some()),
        (1_000, false, true)
    );
    tries.retain(|known| *known == uid(1_499));
    assert_eq!((0..1_500).filter(|n| tries.answer(&uid(*n)).is_some()).count(), 1);
}

#[test]
fn a_blocker_keeps_the_time_since_which_it_stands_there() {
    let earlier = [
        blocker("BudgetExhausted", &["PodDisruptionBudget a/b", "Pod a/x"], Some(5)),
        blocker("X", &[], Some(6)),
    ];
    let now = vec![
        blocker("BudgetExhausted", &["PodDisruptionBudget a/b", "Pod a/y"], None),
        blocker("BudgetExhausted", &["PodDisruptionBudget a/c"], None),
        blocker("BudgetMisconfigured", &["PodDisruptionBudget a/b"], None),
        blocker("X", &[], None),
    ];
    let dated = since(&earlier, now, at(60));
    let since: Vec<_> = dated.iter().map(|blocker| blocker.since.as_ref().unwrap().0).collect();
    assert_eq!(since, [at(5), at(60), at(60), at(6)]);
}
