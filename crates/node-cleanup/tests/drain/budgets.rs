//! What budgets and namespaces are expected to allow, before anybody is asked.

use node_cleanup::drain::{Action, Reason};
use serde_json::{Value, json};

use crate::support::{World, asked, budget, of, pod, reasons};

use Action::{Blocked, Evict};

#[test]
fn pods_are_added_up_budget_by_budget() {
    let world = World::deletion([pod("c"), pod("a"), pod("b"), pod("d").labelled("app", "db")])
        .budget(budget("web", 2));
    let plan = world.plan();
    let actions: Vec<_> = ["a", "b", "c", "d"].map(|name| of(&plan, name).action).into();
    assert_eq!(actions, [Evict, Evict, Blocked, Evict]);
    assert_eq!(of(&plan, "c").reasons, [Reason::BudgetExhausted]);
    assert_eq!(plan.blockers[0].objects, ["PodDisruptionBudget team/web", "Pod team/c"]);
    // The server decides, so all are asked.
    assert_eq!(asked(&plan), ["a", "b", "c", "d"]);
}

#[test]
fn a_budget_speaks_only_of_pods_that_it_selects_and_that_count() {
    let selecting = |selector: Value| {
        let mut budget = budget("web", 0);
        budget["spec"]["selector"] = selector;
        budget
    };
    let expression = json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]});
    let mut elsewhere = budget("web", 0);
    elsewhere["metadata"]["namespace"] = json!("other");
    let table = [
        (pod("a"), budget("web", 0), Blocked),
        (pod("a"), selecting(json!({})), Blocked),
        (pod("a"), selecting(expression), Blocked),
        (pod("a"), selecting(Value::Null), Evict),
        (pod("a"), elsewhere, Evict),
        (pod("a").labelled("app", "db"), budget("web", 0), Evict),
        (pod("a").phase("Pending"), budget("web", 0), Evict),
        (pod("a").phase("Failed"), budget("web", 0), Evict),
    ];
    for (row, (pod, budget, action)) in table.into_iter().enumerate() {
        assert_eq!(World::deletion([pod]).budget(budget).plan().pods[0].action, action, "row {row}");
    }
}

#[test]
fn a_pod_that_is_not_ready_goes_if_the_budget_lets_it() {
    let table = [
        (json!({"currentHealthy": 2}), json!({}), Evict),
        (json!({"currentHealthy": 1}), json!({}), Blocked),
        (json!({"currentHealthy": 1}), json!({"unhealthyPodEvictionPolicy": "AlwaysAllow"}), Evict),
        (json!({"currentHealthy": 0, "desiredHealthy": 0}), json!({}), Blocked),
    ];
    for (row, (status, spec, action)) in table.into_iter().enumerate() {
        let mut budget = budget("web", 0);
        merge(&mut budget["status"], status);
        merge(&mut budget["spec"], spec);
        let plan = World::deletion([pod("a").unready()]).budget(budget).plan();
        assert_eq!(plan.pods[0].action, action, "row {row}");
        if action == Blocked {
            assert!(plan.blockers[0].message.contains("AlwaysAllow"), "{}", plan.blockers[0].message);
        }
    }
}

#[test]
fn a_budget_that_never_opens_is_told_from_one_that_is_used_up() {
    let table = [
        (json!({"currentHealthy": 3}), "BudgetMisconfigured", "minAvailable: 2"),
        (json!({"currentHealthy": 2}), "BudgetExhausted", "2 of 3 pods ready"),
        (json!({"currentHealthy": 3, "disruptedPods": {"x": null}}), "BudgetExhausted", "3 of 3 pods ready"),
        (
            json!({"observedGeneration": 0, "disruptionsAllowed": 5}),
            "BudgetExhausted",
            "has not been counted",
        ),
    ];
    for (status, reason, words) in table {
        let mut budget = budget("web", 0);
        merge(&mut budget["status"], status);
        let plan = World::deletion([pod("a")]).budget(budget).plan();
        assert_eq!(reasons(&plan.blockers), [reason]);
        assert!(plan.blockers[0].message.contains(words), "{}", plan.blockers[0].message);
    }
}

#[test]
fn two_budgets_on_one_pod_are_both_named() {
    let world = World::deletion([pod("a")]).budget(budget("web-2", 5)).budget(budget("web-1", 5));
    let plan = world.plan();
    assert_eq!(plan.pods[0].reasons, [Reason::MultipleBudgets]);
    assert_eq!(
        plan.blockers[0].objects,
        ["PodDisruptionBudget team/web-1", "PodDisruptionBudget team/web-2", "Pod team/a"]
    );
    let settings = json!({"disableEviction": true});
    assert_eq!(world.settings(settings).plan().pods[0].action, Action::Delete);
}

#[test]
fn a_namespace_that_is_being_deleted_takes_no_evictions() {
    let world =
        World { terminating_namespaces: vec!["team"], ..World::deletion([pod("a"), pod("b").ends_by(90)]) };
    let plan = world.plan();
    assert_eq!((of(&plan, "a").action, of(&plan, "b").action), (Blocked, Action::Wait));
    assert_eq!(reasons(&plan.blockers), ["NamespaceTerminating"]);
    assert_eq!(plan.blockers[0].objects, ["Namespace team", "Pod team/a"]);
}

#[test]
fn the_last_pods_of_a_controller_are_a_risk_and_no_blocker() {
    let table = [(1, 1, true), (2, 2, true), (2, 3, false), (1, 2, false)];
    for (here, wanted, is_last) in table {
        let pods = (0..here).map(|n| pod(&format!("p-{n}")));
        let plan = World { replicas: vec![("web", wanted)], ..World::deletion(pods) }.plan();
        assert_eq!(reasons(&plan.risks) == ["LastReplica"], is_last, "{here} of {wanted}");
        assert_eq!((plan.blockers.len(), plan.now.len()), (0, here));
    }
    let world = World { replicas: vec![("web", 1)], ..World::deletion([pod("a").unready()]) };
    assert_eq!(world.plan().risks, []);
}

fn merge(into: &mut Value, from: Value) {
    let from = serde_json::from_value::<serde_json::Map<_, _>>(from).unwrap();
    into.as_object_mut().unwrap().extend(from);
}
