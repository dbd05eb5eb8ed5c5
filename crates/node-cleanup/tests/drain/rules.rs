//! DrainRules and the pods' own label.

use node_cleanup::drain::{Action, DrainState, Reason};
use serde_json::json;

use crate::support::{World, asked, of, only, pod, reasons};

#[test]
fn the_label_of_a_pod_counts_before_any_rule_and_of_rules_the_first_by_name() {
    let skip = json!({"behavior": "Skip"});
    let wait = json!({"behavior": "WaitCompleted"});
    let drain = json!({"behavior": "Drain", "order": 7});
    let label = |value: &str| pod("a").labelled("groundskeeper.dev/drain", value);
    let table = [
        (
            World::deletion([pod("a")]).rule("b", skip.clone()).rule("a", wait.clone()),
            Action::Wait,
            Reason::RuleWaitCompleted,
        ),
        (
            World::deletion([pod("a")]).rule("b", wait.clone()).rule("a", skip.clone()),
            Action::Skip,
            Reason::RuleSkip,
        ),
        (World::deletion([label("skip")]).rule("a", wait), Action::Skip, Reason::LabelSkip),
        (
            World::deletion([label("wait-completed")]).rule("a", skip.clone()),
            Action::Wait,
            Reason::LabelWaitCompleted,
        ),
        (
            World::deletion([label("Skip")]).rule("a", skip.clone()),
            Action::Blocked,
            Reason::InvalidDrainLabel,
        ),
    ];
    for (row, (world, action, reason)) in table.into_iter().enumerate() {
        let plan = world.plan();
        assert_eq!(only(&plan), (action, vec![reason]), "row {row}");
        assert_eq!(asked(&plan), Vec::<&str>::new(), "row {row}");
    }
    let plan = World::deletion([pod("a")]).rule("b", skip).rule("a", drain).plan();
    assert_eq!((plan.pods[0].action, plan.pods[0].order), (Action::Evict, 7));
}

#[test]
fn a_rule_selects_by_node_pod_and_namespace() {
    let rule = |node: &str, app: &str, namespace: &str| {
        json!({
            "behavior": "Skip", "namespaces": [namespace],
            "nodeSelector": {"matchLabels": {"pool": node}}, "podSelector": {"matchLabels": {"app": app}},
        })
    };
    let table = [
        (rule("a", "web", "te*"), Action::Skip),
        (rule("b", "web", "te*"), Action::Evict),
        (rule("a", "db", "te*"), Action::Evict),
        (rule("a", "web", "other"), Action::Evict),
    ];
    for (rule, action) in table {
        let plan = World::deletion([pod("a")]).rule("r", rule.clone()).plan();
        assert_eq!(plan.pods[0].action, action, "{rule}");
    }
}

#[test]
fn whoever_ends_by_himself_is_waited_for_and_then_left() {
    let rule = json!({"behavior": "WaitCompleted"});
    let plan = World::deletion([pod("a"), pod("b").phase("Succeeded")]).rule("r", rule).plan();
    assert_eq!((of(&plan, "a").action, of(&plan, "b").action), (Action::Wait, Action::Skip));
    assert_eq!((plan.left, plan.state), (1, DrainState::Leaving));
    assert_eq!(reasons(&plan.blockers), ["RuleWaitCompleted"]);
    assert_eq!(plan.blockers[0].objects, ["DrainRule r", "Pod team/a"]);
}

#[test]
fn a_rule_that_cannot_be_understood_holds_the_pods_that_it_may_be_about_and_no_others() {
    let broken =
        json!({"behavior": "Skip", "namespaces": ["team"], "podSelector": {"matchLabels": {"a b": "c"}}});
    let world = World::deletion([pod("a"), pod("b").in_namespace("other")]).rule("broken", broken);
    let plan = world.plan();
    assert_eq!(of(&plan, "a").action, Action::Blocked);
    assert_eq!((asked(&plan), reasons(&plan.blockers)), (vec!["b"], vec!["InvalidRule"]));
    assert_eq!(plan.blockers[0].objects, ["DrainRule broken", "Pod team/a"]);
    assert!(plan.blockers[0].message.contains("is not a label key"), "{}", plan.blockers[0].message);
    // One that comes before it and speaks of the pod for sure decides.
    let plan = world.rule("a", json!({"behavior": "Drain"})).plan();
    assert_eq!(asked(&plan), ["b", "a"]);
}
