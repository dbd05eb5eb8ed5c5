//! Plans: what they say, and that carrying one out leaves nothing to be done.

use gc::{Gate, Outlook, Plan, Summary};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{Field, policy, second, thing};

#[test]
fn the_plans_json_is_as_promised() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
    let mut field = Field::with([&sweep]);
    field.put(&thing("b", 90, json!({})));
    field.put(&thing("a", 0, json!({})));
    let mut plan = Plan::new(second(100));
    plan.add(&sweep, [&field.ground], Outlook::default());
    let object = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "team", "name": name, "uid": name});
    let expected = json!({
        "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "Plan", "at": "1970-01-01T00:01:40Z",
        "items": [
            {
                "policy": "team/sweep", "object": object("a"), "verdict": "Delete", "reason": "Expired",
                "message": "its time was up 40s ago", "expiresAt": "1970-01-01T00:01:00Z",
            },
            {
                "policy": "team/sweep", "object": object("b"), "verdict": "Keep", "reason": "NotYet",
                "message": "its time is up in 50s", "expiresAt": "1970-01-01T00:02:30Z",
            },
        ],
        "summary": {"delete": 1, "keep": 1, "protected": 0, "unresolvable": 0},
    });
    assert_eq!(serde_json::to_value(plan).unwrap(), expected);
}

#[test]
fn a_plan_stops_at_the_budget_of_all_there_are() {
    for (budget, base, goes) in [
        (json!({"count": 3}), 10, 3),
        (json!({"percent": 20}), 10, 2),
        (json!({"percent": 19}), 10, 1),
        (json!({"percent": 9}), 10, 0),
        (json!({"count": 3, "percent": 20}), 10, 2),
        (json!({"percent": 100}), 10, 5),
        (json!({"count": 0}), 10, 0),
    ] {
        let sweep = policy(
            "sweep",
            json!({"ttl": {"after": "60s"}, "budget": budget, "targetResource": {"names": ["old-*"]}}),
        );
        let mut field = Field::with([&sweep]);
        for number in 0..base {
            let name = format!("{}-{number}", if number % 2 == 0 { "old" } else { "new" });
            field.put(&thing(&name, 0, json!({})));
        }
        let outlook = |budget_left| Outlook { budget_left, awaits_approval: false };
        let summary = |outlook| -> Summary {
            let mut plan = Plan::new(second(100));
            plan.add(&sweep, [&field.ground], outlook);
            plan.summary
        };
        assert_eq!(summary(outlook(None)).delete, goes, "{budget}");
        assert_eq!(summary(outlook(Some(1))).delete, 1, "{budget}");
        let waits = Outlook { budget_left: None, awaits_approval: true };
        assert_eq!(summary(waits).delete, 0, "{budget}");
    }
}

/// A policy with two targets that both select `both`, and each one object more.
fn twins() -> std::sync::Arc<gc::Policy> {
    let target = |names: [&str; 2]| json!({"apiVersion": "v1", "kind": "ConfigMap", "names": names});
    policy(
        "sweep",
        json!({"targetResources": [target(["both", "a"]), target(["both", "b"])], "ttl": {"after": "60s"}}),
    )
}

#[test]
fn an_object_of_two_targets_is_in_a_plan_once() {
    let sweep = twins();
    let mut field = Field::with([&sweep]);
    ["a", "b", "both", "neither"].iter().for_each(|name| field.put(&thing(name, 0, json!({}))));
    let mut plan = Plan::new(second(100));
    plan.add(&sweep, [&field.ground], Outlook::default());
    let found: Vec<_> = plan.items.iter().map(|item| (&*item.object.name, item.reason)).collect();
    let expected = [("a", "Expired"), ("b", "Expired"), ("both", "Expired"), ("neither", "NotSelected")];
    assert_eq!(found, expected);
    assert_eq!(plan.summary, Summary { delete: 3, keep: 1, protected: 0, unresolvable: 0 });
    // A budget of three lets all of them go.
    let mut plan = Plan::new(second(100));
    plan.add(&sweep, [&field.ground], Outlook { budget_left: Some(3), awaits_approval: false });
    assert_eq!(plan.summary.delete, 3);
}

#[test]
fn an_object_of_two_targets_is_counted_once() {
    let sweep = twins();
    let mut field = Field::with([&sweep]);
    ["a", "b", "both"].iter().for_each(|name| field.put(&thing(name, 0, json!({}))));
    let numbers = |field: &Field| {
        let due = field.ground.due_count(&sweep.key, second(100), usize::MAX);
        (field.counts(&sweep).matched(), field.count(&sweep, gc::Bucket::Pending), due)
    };
    assert_eq!(numbers(&field), (3, 3, 3));
    field.remove("b");
    assert_eq!(numbers(&field), (2, 2, 2));
    // One target goes, and what it counted the other one counts.
    field.ground.dismiss_targets(&sweep.key, |target| target == 1, second(0));
    assert_eq!(numbers(&field), (1, 1, 1));
    field.admit(&sweep);
    assert_eq!(numbers(&field), (2, 2, 2));
    assert_eq!(field.at(100).take(&sweep).len(), 2);
}

proptest! {
    /// After a plan has been carried out, the same question yields an empty plan.
    #[test]
    fn the_plan_after_applying_the_plan_is_empty(
        objects in prop::collection::btree_map(0..50_u8, (0..100_i64, any::<bool>(), any::<bool>()), 0..50),
        ttl in 1..100_i64, newest in 0..5_u32, now in 0..200_i64,
    ) {
        let sweep = policy("sweep", json!({
            "ttl": {"secondsAfterCreation": ttl}, "keep": {"newest": newest, "groupBy": {"label": "g"}},
            "budget": {"percent": 100},
        }));
        let mut field = Field::with([&sweep]);
        for (name, (created, labelled, protect)) in &objects {
            let annotations = if *protect { json!({"groundskeeper.dev/protect": "true"}) } else { json!({}) };
            let labels = if *labelled { json!({"g": "a"}) } else { json!({}) };
            field.put(&thing(&name.to_string(), *created, json!({"metadata": {"labels": labels, "annotations": annotations}})));
        }
        let plan = |field: &Field| {
            let mut plan = Plan::new(second(now));
            plan.add(&sweep, [&field.ground], Outlook::default());
            plan
        };
        let first = plan(&field);
        // The engine takes exactly what the plan says.
        let mut taken = field.at(now).collect(&sweep);
        taken.sort();
        let mut planned: Vec<_> = first.items.iter().filter(|item| item.verdict == "Delete").map(|item| item.object.name.to_string()).collect();
        planned.sort();
        prop_assert_eq!(taken, planned);
        prop_assert_eq!(plan(&field).summary.delete, 0);
    }

    /// `decide` never fails, never deletes early, and never deletes what is protected.
    #[test]
    fn decide_is_total_and_never_early(
        created in any::<i32>(), ttl in 1..=api::limits::TTL_SECONDS_MAX, now in any::<i32>(), protect: bool, terminating: bool,
    ) {
        let sweep = policy("sweep", json!({"ttl": {"secondsAfterCreation": ttl}}));
        let (created, now) = (i64::from(created), i64::from(now));
        let mut object = thing("a", created, json!({}));
        if protect {
            object["metadata"]["annotations"] = json!({"groundskeeper.dev/protect": ""});
        }
        if terminating {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let mut field = Field::with([&sweep]);
        field.put(&object);
        let verdict = field.ground.verdicts("team", "a", |_| Gate::Open, second(now)).remove(0).1;
        let goes = !protect && !terminating && created + ttl <= now;
        prop_assert_eq!(matches!(verdict, gc::Verdict::Delete { .. }), goes);
        prop_assert!(!verdict.message(sweep.mode, second(now)).is_empty());
        prop_assert_eq!(field.at(now).take(&sweep).len(), usize::from(goes));
    }
}
