//! What waits to be approved, and what an approval is worth.

use gc::{Gate, Outlook, Plan};
use serde_json::{Value, json};

use crate::support::{Field, cluster, compile, policy, second, thing};

fn everything(approved: Option<&str>) -> gc::Policy {
    let spec: api::GarbageCollectionPolicySpec = serde_json::from_value(json!({
        "targetResource": {"apiVersion": "v1", "kind": "ConfigMap"}, "ttl": {"after": "60s"}, "mode": "Enforce",
    }))
    .unwrap();
    let approved = approved.map(|at| format!("{}@{at}", gc::SpecHash::of(&spec)));
    let mut policy = api::ClusterGarbageCollectionPolicy::new("all", spec);
    policy.metadata.annotations =
        approved.map(|text| [("groundskeeper.dev/approved".to_owned(), text)].into());
    gc::Policy::compile(&policy, &api::Rails::new("grounds")).unwrap()
}

#[test]
fn a_policy_on_everything_waits_until_it_is_approved_and_not_ahead_of_time() {
    let gate = |approved, now| everything(approved).gate(false, second(now));
    assert_eq!(gate(None, 100), Gate::AwaitingApproval);
    assert_eq!(gate(Some("1970-01-01T00:01:40Z"), 100), Gate::Open);
    assert_eq!(gate(Some("1970-01-01T00:01:40Z"), 99), Gate::AwaitingApproval);
    assert_eq!(gate(Some("2100-01-01T00:00:00Z"), 100), Gate::AwaitingApproval);
    assert_eq!(everything(Some("1970-01-01T00:01:40Z")).gate(true, second(100)), Gate::AwaitingApproval);
}

fn plan(approval: Value, now: i64) -> Plan {
    let spec = json!({"ttl": {"after": "10s"}, "budget": {"count": 1}});
    let sweep = compile("sweep", spec, approval).unwrap();
    let mut field = Field::with([&sweep]);
    [0, 1, 50, 60].into_iter().for_each(|at| field.put(&thing(&format!("x{at}"), at, json!({}))));
    let mut plan = Plan::new(second(now));
    plan.add(&sweep, [&field.ground], Outlook::default());
    plan
}

#[test]
fn an_approval_lets_through_what_was_due_by_then_and_the_budget_counts_the_rest() {
    let spec =
        policy("sweep", json!({"ttl": {"after": "10s"}, "budget": {"count": 1}})).spec_hash.to_string();
    let approved =
        |hash: &str, at: i64| json!({"groundskeeper.dev/approved": format!("{hash}@{}", second(at))});
    let went =
        |approval: Value| -> Vec<_> { plan(approval, 100).items.iter().map(|item| item.reason).collect() };
    assert_eq!(went(json!({})), ["Expired", "OverBudget", "OverBudget", "OverBudget"]);
    assert_eq!(went(approved(&spec, 20)), ["Expired", "Expired", "Expired", "OverBudget"]);
    assert_eq!(went(approved(&"0".repeat(32), 20)), ["Expired", "OverBudget", "OverBudget", "OverBudget"]);
    assert_eq!(
        went(approved(&spec, 5_000)),
        ["Expired", "OverBudget", "OverBudget", "OverBudget"],
        "dated ahead"
    );
}

#[test]
fn what_comes_to_be_due_long_after_an_approval_counts_against_the_budget_however_old_it_is() {
    let spec = json!({
        "ttl": {"after": "10s"}, "budget": {"count": 1},
        "targetResource": {"labelSelector": {"matchLabels": {"tmp": "yes"}}},
    });
    let hash = policy("sweep", spec.clone()).spec_hash.clone();
    let approved = json!({"groundskeeper.dev/approved": format!("{hash}@{}", second(20))});
    let sweep = compile("sweep", spec, approved).unwrap();
    let mut field = Field::with([&sweep]);
    // They were there when it was approved, and nobody meant them then.
    for name in ["x", "y", "z"] {
        field.put(&thing(name, 0, json!({"metadata": {"labels": {"tmp": "yes"}}})));
    }
    let went = |now: i64| {
        let mut plan = Plan::new(second(now));
        plan.add(&sweep, [&field.ground], Outlook::default());
        plan.summary.delete
    };
    let week = 7 * 86_400;
    assert_eq!((went(20), went(20 + week - 1)), (3, 3), "a window that opens once a week comes within it");
    assert_eq!((went(20 + week), went(300 * 86_400)), (1, 1));
    assert!(sweep.is_approved(second(300 * 86_400)), "the spec stays approved");
}

#[test]
fn what_says_nothing_of_an_object_narrows_nothing() {
    let role = || json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"});
    let gate = |change: Value| cluster("all", change).gate(false, second(100));
    let ttl = || json!({"after": "60s"});
    for waits in [
        json!({"ttl": ttl(), "targetResource": {"names": ["*"]}}),
        json!({"ttl": ttl(), "targetResource": {"names": ["a", "**"]}}),
        json!({"ttl": ttl(), "namespaces": {"names": ["*"]}}),
        // Objects of this kind lie in no namespace, so that this says nothing of them.
        json!({"ttl": ttl(), "namespaces": {"names": ["a"]}, "targetResource": role()}),
    ] {
        assert_eq!(gate(waits.clone()), Gate::AwaitingApproval, "{waits}");
    }
    for goes in [
        json!({"ttl": ttl(), "targetResource": {"names": ["?"]}}),
        json!({"ttl": ttl(), "namespaces": {"names": ["a*"]}}),
        json!({"ttl": ttl(), "namespaces": {"names": ["a*"]}, "targetResource": {"kind": "Namespace"}}),
    ] {
        assert_eq!(gate(goes.clone()), Gate::Open, "{goes}");
    }
}
