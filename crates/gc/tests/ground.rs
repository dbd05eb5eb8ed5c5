//! What the index and the decisions promise, shown on small grounds and on random ones.
//!
//! Policies and objects go through the real parsing, so that no test holds an impossible state.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{GarbageCollectionPolicy, Rails};
use gc::{Counts, Due, Ground, Object, Plan, Policy, Settled, Verdict, decide};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use units::NamespacedName;

const NAMESPACE: &str = "team";

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn key() -> NamespacedName {
    NamespacedName::new(NAMESPACE, "sweep")
}

/// A policy on ConfigMaps labelled `tmp`, with changes to its spec.
fn policy(ttl: i64, change: impl FnOnce(&mut Value)) -> Policy {
    let mut spec = json!({
        "targetResource": {
            "apiVersion": "v1", "kind": "ConfigMap",
            "labelSelector": {"matchLabels": {"tmp": "yes"}},
        },
        "ttl": {"secondsAfterCreation": ttl},
    });
    change(&mut spec);
    let policy: GarbageCollectionPolicy = serde_json::from_value(json!({
        "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "GarbageCollectionPolicy",
        "metadata": {"namespace": NAMESPACE, "name": "sweep"}, "spec": spec,
    }))
    .unwrap();
    Policy::compile(&policy, &Rails::new("grounds")).unwrap()
}

/// What the API server would send of an object.
#[derive(Clone, Debug)]
struct Thing {
    name: String,
    incarnation: u32,
    version: u64,
    created: i64,
    labelled: bool,
    protect: bool,
    terminating: bool,
}

impl Thing {
    fn new(name: &str, created: i64) -> Self {
        Self {
            name: name.into(),
            incarnation: 0,
            version: 1,
            created,
            labelled: true,
            protect: false,
            terminating: false,
        }
    }

    fn object(&self) -> Object {
        let created = second(self.created).to_string();
        let mut metadata = json!({
            "name": self.name, "namespace": NAMESPACE, "uid": format!("{}-{}", self.name, self.incarnation),
            "resourceVersion": self.version.to_string(), "creationTimestamp": created,
        });
        if self.labelled {
            metadata["labels"] = json!({"tmp": "yes"});
        }
        if self.protect {
            metadata["annotations"] = json!({"groundskeeper.dev/protect": "true"});
        }
        if self.terminating {
            metadata["deletionTimestamp"] = json!(created);
        }
        let object: views::Object = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        object.metadata.into()
    }
}

fn ground(policy: Policy) -> Ground {
    let mut ground = Ground::default();
    ground.admit(Arc::new(policy));
    ground
}

fn due(ground: &mut Ground, now: i64) -> Vec<Due> {
    std::iter::from_fn(|| ground.take_due(&key(), second(now))).collect()
}

fn names(due: &[Due]) -> Vec<&str> {
    due.iter().map(|due| &*due.name).collect()
}

#[test]
fn objects_fall_due_at_their_time_in_order_and_not_before() {
    let mut ground = ground(policy(60, |_| {}));
    ground.apply(Thing::new("later", 10).object());
    ground.apply(Thing::new("sooner", 5).object());

    assert_eq!(ground.next_due(&key()), Some(second(65)));
    assert_eq!(names(&due(&mut ground, 64)), [""; 0]);
    assert_eq!(names(&due(&mut ground, 65)), ["sooner"]);
    assert_eq!(names(&due(&mut ground, 1_000)), ["later"]);
    assert_eq!(ground.next_due(&key()), None);
}

#[test]
fn a_label_removed_just_before_the_due_time_saves_the_object() {
    let mut ground = ground(policy(60, |_| {}));
    let mut report = Thing::new("report", 0);
    ground.apply(report.object());

    (report.labelled, report.version) = (false, 2);
    ground.apply(report.object());

    assert_eq!(due(&mut ground, 60), []);
    assert_eq!(ground.counts(&key()), Counts::default());
}

#[test]
fn a_new_incarnation_starts_its_own_time() {
    let mut ground = ground(policy(60, |_| {}));
    let mut report = Thing::new("report", 0);
    ground.apply(report.object());
    let old = report.object();

    (report.incarnation, report.created, report.version) = (1, 50, 2);
    ground.apply(report.object());
    ground.remove("report", &old.uid);

    assert_eq!(due(&mut ground, 109), []);
    assert_eq!(names(&due(&mut ground, 110)), ["report"]);
}

#[test]
fn what_is_protected_or_terminating_never_falls_due_and_is_counted() {
    let mut ground = ground(policy(60, |_| {}));
    ground.apply(Thing { protect: true, ..Thing::new("kept", 0) }.object());
    ground.apply(Thing { terminating: true, ..Thing::new("going", 0) }.object());
    ground.apply(Thing { labelled: false, ..Thing::new("other", 0) }.object());
    ground.apply(Thing::new("due", 0).object());

    assert_eq!(
        ground.counts(&key()),
        Counts { matched: 3, pending: 1, protected: 1, terminating: 1, unresolvable: 0 }
    );
    assert_eq!(names(&due(&mut ground, 1_000)), ["due"]);
}

#[test]
fn what_the_control_plane_puts_into_every_namespace_stays() {
    let mut ground = ground(policy(60, |_| {}));
    ground.apply(Thing::new("kube-root-ca.crt", 0).object());

    assert_eq!(due(&mut ground, 1_000), []);
    assert_eq!(ground.counts(&key()).protected, 1);
}

#[test]
fn a_dry_run_knows_what_falls_due_next() {
    let mut ground = ground(policy(60, |spec| spec["behavior"] = json!({"dryRun": true})));
    [0, 20, 40]
        .into_iter()
        .for_each(|created| ground.apply(Thing::new(&created.to_string(), created).object()));

    assert_eq!(ground.next_due_after(&key(), second(59)), Some(second(60)));
    assert_eq!(ground.next_due_after(&key(), second(60)), Some(second(80)));
    assert_eq!(ground.next_due_after(&key(), second(100)), None);
}

#[test]
fn what_a_doubted_listing_does_not_show_stays_until_one_is_believed() {
    let mut ground = ground(policy(60, |_| {}));
    let list = |ground: &mut Ground, names: &[&str]| {
        ground.begin_listing(None);
        names.iter().for_each(|name| ground.apply(Thing::new(name, 0).object()));
    };
    list(&mut ground, &["a", "b", "c"]);
    ground.finish_listing();

    list(&mut ground, &["c"]);
    assert_eq!((ground.known(), ground.unlisted(), ground.unlisted_again()), (3, 2, 0));
    ground.doubt_listing();
    assert_eq!(ground.counts(&key()).matched, 3);

    // The second listing breaks off after what the first had lacked; the third lacks what the first had shown.
    list(&mut ground, &["a"]);
    list(&mut ground, &["a"]);
    assert_eq!((ground.unlisted(), ground.unlisted_again()), (2, 1));
    ground.finish_listing();
    assert_eq!((ground.unlisted_again(), ground.counts(&key()).matched), (0, 1));
    assert_eq!(names(&due(&mut ground, 60)), ["a"]);
}

#[test]
fn what_a_listing_does_not_show_any_more_is_gone() {
    let mut ground = ground(policy(60, |_| {}));
    ground.begin_listing(None);
    ["a", "b"].into_iter().for_each(|name| ground.apply(Thing::new(name, 0).object()));
    ground.finish_listing();

    ground.begin_listing(None);
    ground.apply(Thing::new("b", 0).object());
    ground.finish_listing();

    assert_eq!(names(&due(&mut ground, 60)), ["b"]);
}

#[test]
fn an_object_in_flight_is_not_taken_twice_whatever_policy_asks() {
    let mut ground = ground(policy(60, |_| {}));
    let mut second_policy = policy(30, |_| {});
    second_policy.key.name = "other".into();
    ground.admit(Arc::new(second_policy));
    ground.apply(Thing::new("a", 0).object());

    assert_eq!(due(&mut ground, 60).len(), 1);
    assert_eq!(ground.take_due(&NamespacedName::new(NAMESPACE, "other"), second(60)), None);
}

#[test]
fn a_deletion_that_failed_comes_back_when_it_may() {
    let mut ground = ground(policy(60, |_| {}));
    ground.apply(Thing::new("a", 0).object());
    let taken = due(&mut ground, 60);

    ground.settle(&taken[0], Settled::NotBefore(second(65)), second(60));

    assert_eq!(ground.next_due(&key()), Some(second(65)));
    assert_eq!(due(&mut ground, 64), []);
    assert_eq!(names(&due(&mut ground, 65)), ["a"]);
}

#[test]
fn a_deletion_that_ran_into_a_change_is_decided_again_on_what_the_watch_shows() {
    let mut ground = ground(policy(60, |_| {}));
    let mut report = Thing::new("a", 0);
    ground.apply(report.object());
    let taken = due(&mut ground, 60);

    // The change is seen before the answer: it is decided on at once.
    report.version = 2;
    ground.apply(report.object());
    ground.settle(&taken[0], Settled::Changed, second(60));
    let taken = due(&mut ground, 60);
    assert_eq!(taken[0].resource_version.to_string(), "2");

    // The answer comes before the change: it waits for the watch.
    ground.settle(&taken[0], Settled::Changed, second(60));
    assert_eq!(due(&mut ground, 60), []);
    (report.version, report.labelled) = (3, false);
    ground.apply(report.object());
    assert_eq!(due(&mut ground, 100), []);
}

#[test]
fn an_accepted_deletion_is_not_repeated_even_if_a_listing_still_shows_the_object() {
    let mut ground = ground(policy(60, |_| {}));
    ground.apply(Thing::new("a", 0).object());
    let taken = due(&mut ground, 60);
    ground.settle(&taken[0], Settled::Deleted, second(60));

    ground.begin_listing(None);
    ground.apply(Thing::new("a", 0).object());
    ground.finish_listing();

    assert_eq!(due(&mut ground, 1_000), []);
}

#[test]
fn an_edited_policy_takes_effect_at_once_and_a_deleted_one_does_nothing_more() {
    let mut ground = ground(policy(60, |_| {}));
    ground.apply(Thing::new("a", 0).object());
    ground.admit(Arc::new(policy(600, |_| {})));
    assert_eq!(ground.next_due(&key()), Some(second(600)));

    ground.dismiss(&key());
    assert_eq!(due(&mut ground, 10_000), []);
    assert!(ground.is_idle());
}

#[test]
fn a_dry_run_and_a_paused_policy_take_nothing() {
    for mode in [json!({"behavior": {"dryRun": true}}), json!({"paused": true})] {
        let policy = policy(60, |spec| {
            for (field, value) in mode.as_object().unwrap() {
                spec[field] = value.clone();
            }
        });
        let mut ground = ground(policy);
        ground.apply(Thing::new("a", 0).object());
        assert_eq!(due(&mut ground, 1_000), [], "{mode}");
        assert_eq!(ground.due_count(&key(), second(1_000), 10), 1);
    }
}

#[test]
fn the_plans_json_is_as_promised() {
    let mut plan = Plan::new(second(100));
    plan.add(&policy(60, |_| {}), &[Thing::new("a", 0).object(), Thing::new("b", 90).object()]);
    let plan = serde_json::to_value(plan).unwrap();
    assert_eq!(
        plan,
        json!({
            "apiVersion": "groundskeeper.dev/v1alpha1",
            "kind": "Plan",
            "at": "1970-01-01T00:01:40Z",
            "items": [
                {
                    "policy": "team/sweep",
                    "object": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "team", "name": "a", "uid": "a-0"},
                    "verdict": "Delete", "reason": "Expired", "message": "its time was up 40s ago",
                    "expiresAt": "1970-01-01T00:01:00Z",
                },
                {
                    "policy": "team/sweep",
                    "object": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "team", "name": "b", "uid": "b-0"},
                    "verdict": "Keep", "reason": "NotYet", "message": "its time is up in 50s",
                    "expiresAt": "1970-01-01T00:02:30Z",
                },
            ],
            "summary": {"delete": 1, "keep": 1, "protected": 0, "unresolvable": 0},
        })
    );
}

/// What may happen to a ground.
#[derive(Clone, Debug)]
enum Step {
    /// An object appears or changes.
    Apply { name: u8, labelled: bool, protect: bool, terminating: bool, recreate: bool },
    /// An object goes.
    Remove { name: u8 },
    /// Time passes, and everything due is taken and settled like this.
    Collect { seconds: i64, outcome: u8 },
    /// All is listed anew.
    Relist,
    /// The policy is edited.
    Edit { ttl: i64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..12_u8, any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.1), any::<bool>()).prop_map(
            |(name, labelled, protect, terminating, recreate)| Step::Apply { name, labelled, protect, terminating, recreate }
        ),
        1 => (0..12_u8).prop_map(|name| Step::Remove { name }),
        3 => (0..40_i64, 0..4_u8).prop_map(|(seconds, outcome)| Step::Collect { seconds, outcome }),
        1 => Just(Step::Relist),
        1 => (1..100_i64).prop_map(|ttl| Step::Edit { ttl }),
    ];
    prop::collection::vec(step, 1..120)
}

/// The cluster as it truly is; the ground sees it through events.
#[derive(Default)]
struct World {
    things: BTreeMap<String, Thing>,
    version: u64,
    now: i64,
    ttl: i64,
}

impl World {
    fn change(&mut self, ground: &mut Ground, step: &Step) {
        self.version += 1;
        match step {
            Step::Apply { name, labelled, protect, terminating, recreate } => {
                let name = format!("object-{name}");
                let fresh = Thing {
                    incarnation: u32::try_from(self.version).unwrap(),
                    ..Thing::new(&name, self.now)
                };
                let mut thing = self.things.get(&name).filter(|_| !recreate).cloned().unwrap_or(fresh);
                (thing.labelled, thing.protect, thing.terminating) = (*labelled, *protect, *terminating);
                thing.version = self.version;
                ground.apply(thing.object());
                self.things.insert(name, thing);
            }
            Step::Remove { name } => {
                if let Some(thing) = self.things.remove(&format!("object-{name}")) {
                    ground.remove(&thing.name, &thing.object().uid);
                }
            }
            Step::Relist => {
                ground.begin_listing(None);
                self.things.values().for_each(|thing| ground.apply(thing.object()));
                ground.finish_listing();
            }
            Step::Edit { ttl } => {
                self.ttl = *ttl;
                ground.admit(Arc::new(policy(*ttl, |_| {})));
            }
            Step::Collect { .. } => {}
        }
    }

    fn must_be_due(&self, thing: &Thing) -> bool {
        thing.labelled && !thing.protect && !thing.terminating && thing.created + self.ttl <= self.now
    }
}

proptest! {
    /// Nothing before its time, nothing protected, terminating or unselected, nothing twice; and all that is due is taken.
    #[test]
    fn what_is_taken_is_exactly_what_is_due(steps in steps()) {
        let mut world = World { ttl: 50, ..World::default() };
        let mut ground = ground(policy(world.ttl, |_| {}));
        for step in &steps {
            world.change(&mut ground, step);
            let Step::Collect { seconds, outcome } = step else { continue };
            world.now += seconds;
            let now = second(world.now);
            let taken = due(&mut ground, world.now);
            for due in &taken {
                let thing = world.things.get(&*due.name).expect("exists");
                prop_assert!(world.must_be_due(thing), "{due:?} at {}", world.now);
                prop_assert_eq!(&due.uid, &thing.object().uid);
                prop_assert_eq!(due.resource_version.to_string(), thing.version.to_string());
            }
            let owed: Vec<_> = world.things.values().filter(|thing| world.must_be_due(thing)).map(|t| t.name.clone()).collect();
            let mut found: Vec<_> = names(&taken).into_iter().map(String::from).collect();
            found.sort();
            prop_assert_eq!(found, owed);
            for due in taken {
                let settled = match outcome {
                    0 | 1 => Settled::Deleted,
                    2 => Settled::Changed,
                    _ => Settled::NotBefore(now),
                };
                ground.settle(&due, settled, now);
                if settled == Settled::Deleted {
                    world.things.remove(&*due.name);
                    ground.remove(&due.name, &due.uid);
                } else {
                    // The watch shows the change that the server spoke of.
                    world.change(&mut ground, &Step::Relist);
                }
            }
            let expected = world.things.values().filter(|thing| thing.labelled).count();
            prop_assert_eq!(usize::try_from(ground.counts(&key()).matched).unwrap(), expected);
        }
    }

    /// After a plan has been carried out, the same question yields an empty plan.
    #[test]
    fn the_plan_after_applying_the_plan_is_empty(
        objects in prop::collection::btree_map(0..50_u8, (0..100_i64, any::<bool>(), any::<bool>(), any::<bool>()), 0..50),
        ttl in 1..100_i64,
        now in 0..200_i64,
    ) {
        let policy = policy(ttl, |_| {});
        let now = second(now);
        let mut objects: Vec<_> = objects
            .into_iter()
            .map(|(name, (created, labelled, protect, terminating))| {
                Thing { labelled, protect, terminating, ..Thing::new(&name.to_string(), created) }.object()
            })
            .collect();
        let mut first = Plan::new(now);
        first.add(&policy, &objects);
        let deleted = |object: &Object| {
            first.items.iter().any(|item| item.verdict == "Delete" && item.object.uid == object.uid)
        };
        objects.retain(|object| !deleted(object));
        let mut plan = Plan::new(now);
        plan.add(&policy, &objects);
        prop_assert_eq!(plan.summary.delete, 0);
        prop_assert!(plan.items.iter().all(|item| item.verdict != "Delete"));
    }

    /// `decide` never fails, never deletes early, and never deletes what is protected.
    #[test]
    fn decide_is_total_and_never_early(
        created in any::<i32>(), ttl in 1..=api::limits::TTL_SECONDS_MAX, now in any::<i32>(),
        labelled: bool, protect: bool, terminating: bool,
    ) {
        let policy = policy(ttl, |_| {});
        let object = Thing { labelled, protect, terminating, ..Thing::new("a", i64::from(created)) }.object();
        let verdict = decide(&policy, &object, second(i64::from(now)));
        if matches!(verdict, Verdict::Delete { .. }) {
            prop_assert!(labelled && !protect && !terminating);
            prop_assert!(i64::from(created) + ttl <= i64::from(now));
        }
        prop_assert!(!verdict.message(policy.mode, second(i64::from(now))).is_empty());
    }
}

#[test]
fn a_policy_that_cannot_be_acted_on_is_refused_with_what_to_write() {
    let table = [
        (
            json!({"targetResource": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "other"}}),
            "leave the field out",
        ),
        (
            json!({"targetResource": {"apiVersion": "a/b/c", "kind": "ConfigMap"}}),
            "write `version` or `group/version`",
        ),
        (json!({"targetResource": {"apiVersion": "v1", "kind": "config maps"}}), "write a name such as Job"),
        (json!({"ttl": {"secondsAfterCreation": 0}}), "write a number from 1 to"),
        (json!({"ttl": {"secondsAfterCreation": -5}}), "write a number from 1 to"),
        (json!({"behavior": {"maxDeletionsPerSecond": 0}}), "write a number from 1 to 10000"),
        (json!({"behavior": {"gracePeriodSeconds": -1}}), "write a number from 0 to 86400"),
    ];
    for (change, expected) in table {
        let mut manifest = json!({
            "metadata": {"namespace": NAMESPACE, "name": "sweep"},
            "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "GarbageCollectionPolicy",
            "spec": {"targetResource": {"apiVersion": "v1", "kind": "ConfigMap"}, "ttl": {"secondsAfterCreation": 60}},
        });
        for (field, value) in change.as_object().unwrap() {
            manifest["spec"][field] = value.clone();
        }
        let policy: GarbageCollectionPolicy = serde_json::from_value(manifest).unwrap();
        let error = Policy::compile(&policy, &Rails::new("grounds")).unwrap_err().to_string();
        assert!(error.contains(expected), "{change}: {error}");
    }
}
