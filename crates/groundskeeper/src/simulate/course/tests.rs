use api::{GarbageCollectionPolicy, Rails};
use proptest::prelude::*;
use serde_json::{Value, json};
use views::Projection;

use super::*;

const START: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).unwrap()
}

/// A policy on ConfigMaps that enforces, without a budget.
#[allow(clippy::needless_pass_by_value, reason = "written in place")]
fn policy(name: &str, spec: Value) -> Arc<Policy> {
    let mut whole = json!({
        "targetResource": {"apiVersion": "v1", "kind": "ConfigMap"},
        "ttl": {"secondsAfterCreation": 60},
        "mode": "Enforce",
        "budget": {"percent": 100},
        "behavior": {"maxDeletionsPerSecond": 1000},
    });
    for (key, value) in spec.as_object().unwrap() {
        if value.is_null() {
            whole.as_object_mut().unwrap().remove(key);
        } else {
            whole[key] = value.clone();
        }
    }
    let policy: GarbageCollectionPolicy = serde_json::from_value(json!({
        "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "GarbageCollectionPolicy",
        "metadata": {"namespace": "team", "name": name}, "spec": whole,
    }))
    .unwrap();
    Arc::new(Policy::compile(&policy, &Rails::new("grounds")).unwrap())
}

/// Objects with these labels, made so many seconds after the start.
fn scene(policies: &[Arc<Policy>], objects: &[(i64, &str)], moment: i64) -> Scene {
    let mut scene = Scene::new(policies.to_vec(), Vec::new(), at(moment));
    let reads = policies.iter().flat_map(Policy::rules).flat_map(|rule| rule.reads());
    let projection = Arc::new(Projection::new(reads.collect::<Vec<_>>()));
    let kind = policies[0].targets[0].kind.clone();
    for (number, (created, label)) in objects.iter().enumerate() {
        let text = json!({"metadata": {
            "name": format!("o{number:03}"), "namespace": "team", "uid": format!("u{number}"), "resourceVersion": "1",
            "creationTimestamp": at(*created).to_string(), "labels": {"kind": label},
        }});
        scene.put(&kind, views::Object::read(&text.to_string(), &projection).unwrap().into());
    }
    scene
}

/// What goes: how many seconds after the start, and which object.
fn told(course: &Course) -> Vec<(i64, &'static str, &str)> {
    course.events.iter().map(|event| (event.at.as_second() - START, event.act, &*event.object.name)).collect()
}

#[test]
fn each_object_goes_when_its_time_is_up() {
    let mut scene = scene(&[policy("sweep", json!({}))], &[(0, "a"), (30, "a"), (500, "a")], 10);
    let course = follow(&mut scene, at(100), 100);
    assert_eq!(told(&course), [(60, "Delete", "o000"), (90, "Delete", "o001")]);
    assert_eq!(course.events[0].since, at(60));
    assert_eq!((course.stopped_at, course.accounts[0].waiting), (None, 0));
}

#[test]
fn a_rate_spreads_what_is_due_at_once() {
    let sweep = policy("sweep", json!({"behavior": {"maxDeletionsPerSecond": 1}}));
    let mut scene = scene(&[sweep], &[(0, "a"), (0, "a"), (0, "a")], 10);
    let course = follow(&mut scene, at(100), 100);
    let times: Vec<_> = course.events.iter().map(|event| event.at.as_second() - START).collect();
    assert_eq!(times, [60, 61, 62]);
    assert_eq!(course.events[2].held_by, Some(Hold::Rate));
}

#[test]
fn a_budget_lets_so_many_go_in_its_window() {
    let sweep = policy("sweep", json!({"budget": {"count": 2, "window": "1h"}}));
    let mut scene = scene(&[sweep], &[(0, "a"); 3], 10);
    let course = follow(&mut scene, at(1_800), 100);
    assert_eq!(course.accounts[0].deletions, 2);
    assert_eq!((course.accounts[0].waiting, course.accounts[0].held_by), (1, Some(Hold::OverBudget)));
    let course = follow(
        &mut self::scene(
            &[policy("sweep", json!({"budget": {"count": 2, "window": "1h"}}))],
            &[(0, "a"); 3],
            10,
        ),
        at(2 * 3_600),
        100,
    );
    let last = course.events.last().unwrap();
    assert_eq!((course.accounts[0].deletions, last.held_by), (3, Some(Hold::OverBudget)));
    assert!((3_600..3_800).contains(&(last.at.as_second() - START)), "{last:?}");
}

#[test]
fn a_closed_window_holds_everything_until_it_opens() {
    // The start is 08:00 UTC on a Friday.
    let schedule = json!({"timeZone": "UTC", "windows": [{"from": "09:00", "to": "10:00"}]});
    let mut scene = scene(&[policy("sweep", json!({"schedule": schedule}))], &[(0, "a"), (5_000, "a")], 0);
    let course = follow(&mut scene, at(6_000), 100);
    assert_eq!(told(&course), [(3_600, "Delete", "o000"), (5_060, "Delete", "o001")]);
    assert_eq!(course.events[0].held_by, Some(Hold::OutsideWindow));
}

#[test]
fn an_object_is_told_before_it_goes() {
    let mut scene =
        scene(&[policy("sweep", json!({"ttl": {"after": "1h"}, "notice": "10m"}))], &[(0, "a")], 0);
    let course = follow(&mut scene, at(7_200), 100);
    assert_eq!(told(&course), [(3_000, "Notify", "o000"), (3_600, "Delete", "o000")]);
    assert_eq!(course.events[0].deletes_at, Some(at(3_600)));
}

#[test]
fn the_newest_stay_and_what_another_policy_keeps() {
    let newest = policy("newest", json!({"keep": {"newest": 1}}));
    let keep = policy(
        "keep",
        json!({
            "action": "Keep", "ttl": null, "budget": null,
            "targetResource": {"apiVersion": "v1", "kind": "ConfigMap", "labelSelector": {"matchLabels": {"kind": "b"}}},
        }),
    );
    let mut scene = scene(&[newest, keep], &[(0, "a"), (1, "b"), (2, "a"), (3, "a")], 10);
    let course = follow(&mut scene, at(10_000), 100);
    assert_eq!(told(&course), [(60, "Delete", "o000"), (62, "Delete", "o002")]);
}

#[test]
fn what_is_too_much_is_not_followed() {
    let mut scene = scene(&[policy("sweep", json!({}))], &[(0, "a"); 9], 10);
    let course = follow(&mut scene, at(100), 4);
    assert_eq!((course.events.len(), course.stopped_at.is_some()), (4, true));
}

prop_compose! {
    fn some_policy()(
        ttl in 1..400_i64,
        label in prop::option::of("[abc]"),
        newest in prop::option::of(0..3_u32),
        priority in -2..3_i32,
        keeps in 0..6_u8,
    ) -> Value {
        let mut target = json!({"apiVersion": "v1", "kind": "ConfigMap"});
        if let Some(label) = label {
            target["labelSelector"] = json!({"matchLabels": {"kind": label}});
        }
        if keeps == 0 {
            return json!({"targetResource": target, "action": "Keep", "ttl": null, "budget": null});
        }
        let keep = newest.map_or(Value::Null, |newest| json!({"newest": newest, "groupBy": {"label": "kind"}}));
        json!({"targetResource": target, "ttl": {"secondsAfterCreation": ttl}, "priority": priority, "keep": keep})
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Without rates, budgets and windows that hold, what goes up to a moment is what a plan for that moment deletes.
    #[test]
    fn a_simulation_agrees_with_the_plan_for_its_end(
        specs in prop::collection::vec(some_policy(), 1..4),
        objects in prop::collection::vec((0..300_i64, prop::sample::select(vec!["a", "b", "c"])), 0..25),
        end in 310..1_000_i64,
    ) {
        let named = |(number, spec): (usize, &Value)| policy(&format!("p{number}"), spec.clone());
        let policies: Vec<_> = specs.iter().enumerate().map(named).collect();
        let plan = scene(&policies, &objects, end).plan();
        let planned = plan.items.iter().filter(|item| item.verdict == "Delete");
        let planned: BTreeSet<_> = planned.map(|item| item.object.name.to_string()).collect();

        let course = follow(&mut scene(&policies, &objects, 300), at(end), 10_000);

        // What is due at the very end goes within that rate a moment later.
        let gone: BTreeSet<_> = course.events.iter().map(|event| event.object.name.to_string()).collect();
        let waiting = course.accounts.iter().map(|account| account.waiting).sum::<usize>();
        prop_assert!(gone.is_subset(&planned), "gone {gone:?}, planned {planned:?}");
        prop_assert!(planned.len() <= gone.len() + waiting, "gone {gone:?}, planned {planned:?}, waiting {waiting}");
        prop_assert_eq!(course.events.len(), gone.len());
    }
}

#[test]
fn only_what_was_approved_goes_beyond_the_budget() {
    let kinds = |kind: &str| json!({"apiVersion": "v1", "kind": kind});
    let spec = json!({
        "targetResource": null, "targetResources": [kinds("ConfigMap"), kinds("Secret")],
        "budget": {"count": 0},
    });
    let plain = policy("sweep", spec);
    let approval = gc::Approval { spec_hash: plain.spec_hash.clone(), at: at(70) };
    let mut sweep = Policy::clone(&plain);
    sweep.approval = Some(approval);
    let sweep = Arc::new(sweep);
    // The ConfigMap falls due after the approval, and the Secret before.
    let mut scene = scene(&[Arc::clone(&sweep)], &[(30, "a")], 100);
    let secret = json!({"metadata": {
        "name": "approved", "namespace": "team", "uid": "s", "resourceVersion": "1",
        "creationTimestamp": at(0).to_string(),
    }});
    let projection = Arc::new(Projection::new(Vec::new()));
    scene.put(&sweep.targets[1].kind, views::Object::read(&secret.to_string(), &projection).unwrap().into());
    let course = follow(&mut scene, at(1_000), 100);
    let names: Vec<_> = told(&course).into_iter().map(|(_, _, name)| name.to_owned()).collect();
    assert_eq!(names, ["approved"]);
    assert_eq!(course.accounts[0].waiting, 1);
}
