//! One policy and its objects: what falls due when, and what becomes of it.

use gc::{Bucket, Settled};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Field, policy, second, thing};

fn sweep() -> std::sync::Arc<gc::Policy> {
    policy(
        "sweep",
        json!({"targetResource": {"labelSelector": {"matchLabels": {"tmp": "yes"}}}, "ttl": {"after": "60s"}}),
    )
}

fn tmp(name: &str, created: i64, version: u64) -> Value {
    thing(
        name,
        created,
        json!({"metadata": {"labels": {"tmp": "yes"}, "resourceVersion": version.to_string()}}),
    )
}

#[test]
fn objects_fall_due_at_their_time_in_order_and_not_before() {
    let sweep = sweep();
    let mut field = Field::with([&sweep]);
    field.put(&tmp("later", 10, 1));
    field.put(&tmp("sooner", 5, 1));

    assert_eq!(field.ground.next_due(&sweep.key), Some(second(65)));
    assert_eq!(field.at(64).collect(&sweep), [""; 0]);
    assert_eq!(field.at(65).collect(&sweep), ["sooner"]);
    assert_eq!(field.at(1_000).collect(&sweep), ["later"]);
    assert_eq!(field.ground.next_due(&sweep.key), None);
}

#[test]
fn a_label_removed_just_before_the_due_time_saves_the_object() {
    let sweep = sweep();
    let mut field = Field::with([&sweep]);
    field.put(&tmp("report", 0, 1));
    field.at(59).put(&thing("report", 0, json!({"metadata": {"resourceVersion": "2"}})));

    assert_eq!(field.at(60).collect(&sweep), [""; 0]);
    assert_eq!(field.counts(&sweep), gc::Counts::default());
}

#[test]
fn a_new_incarnation_starts_its_own_time() {
    let sweep = sweep();
    let mut field = Field::with([&sweep]);
    field.put(&tmp("report", 0, 1));
    let mut anew = tmp("report", 50, 2);
    anew["metadata"]["uid"] = json!("report-2");
    field.put(&anew);
    // The old one's end is told late.
    field.remove("report");

    assert_eq!(field.at(109).collect(&sweep), [""; 0]);
    assert_eq!(field.at(110).collect(&sweep), ["report"]);
}

#[test]
fn what_is_protected_or_terminating_never_falls_due_and_is_counted() {
    let sweep = sweep();
    let mut field = Field::with([&sweep]);
    let mut kept = tmp("kept", 0, 1);
    kept["metadata"]["annotations"] = json!({"groundskeeper.dev/protect": "true"});
    let mut going = tmp("going", 0, 1);
    going["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:00:05Z");
    for thing in
        [&kept, &going, &tmp("kube-root-ca.crt", 0, 1), &thing("other", 0, json!({})), &tmp("due", 0, 1)]
    {
        field.put(thing);
    }

    let count = |bucket| field.count(&sweep, bucket);
    assert_eq!((count(Bucket::Pending), count(Bucket::Protected), count(Bucket::Terminating)), (1, 2, 1));
    assert_eq!(field.counts(&sweep).matched(), 4);
    assert_eq!(field.at(1_000).collect(&sweep), ["due"]);
}

#[test]
fn a_policy_that_does_not_enforce_takes_nothing_and_knows_what_falls_due_next() {
    for mode in [json!({"behavior": {"dryRun": true}}), json!({"paused": true}), json!({"mode": "Plan"})] {
        let mut spec = json!({"ttl": {"after": "60s"}});
        crate::support::merge(&mut spec, mode.clone());
        let sweep = policy("sweep", spec);
        let mut field = Field::with([&sweep]);
        [0, 20, 40].into_iter().for_each(|created| field.put(&tmp(&created.to_string(), created, 1)));

        assert_eq!(field.at(1_000).take(&sweep), [], "{mode}");
        let next = |now| field.ground.next_due_after(&sweep.key, second(now));
        assert_eq!((next(59), next(60), next(100)), (Some(second(60)), Some(second(80)), None), "{mode}");
        assert_eq!(field.ground.due_count(&sweep.key, second(80), 10), 2, "{mode}");
    }
}

#[test]
fn an_object_in_flight_is_not_taken_twice_whatever_policy_asks() {
    let (sweep, other) = (sweep(), policy("other", json!({"ttl": {"after": "30s"}})));
    let mut field = Field::with([&sweep, &other]);
    field.put(&tmp("a", 0, 1));

    assert_eq!(field.at(60).take(&sweep).len(), 1);
    assert_eq!(field.take(&other), []);
}

#[test]
fn an_object_of_two_targets_of_one_policy_is_taken_once() {
    let target = |label: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "labelSelector": {"matchLabels": {label: "yes"}}});
    let sweep = policy(
        "sweep",
        json!({"targetResources": [target("tmp"), target("old"), target("new")], "ttl": {"after": "60s"}}),
    );
    let mut field = Field::with([&sweep]);
    field.put(&thing("both", 0, json!({"metadata": {"labels": {"tmp": "yes", "old": "yes"}}})));
    field.put(&thing("old", 1, json!({"metadata": {"labels": {"old": "yes"}}})));

    let taken = field.at(100).take(&sweep);
    assert_eq!(
        taken.iter().map(|due| (&*due.name, due.target)).collect::<Vec<_>>(),
        [("both", 0), ("old", 1)]
    );

    field.ground.dismiss_targets(&sweep.key, |target| target == 0, second(100));
    assert_eq!(field.counts(&sweep).matched(), 1);
}

#[test]
fn a_deletion_that_failed_comes_back_when_it_may() {
    let sweep = sweep();
    let mut field = Field::with([&sweep]);
    field.put(&tmp("a", 0, 1));
    let taken = field.at(60).take(&sweep);
    field.ground.settle(&taken[0], Settled::NotBefore(second(65)), second(60));

    assert_eq!(field.ground.next_due(&sweep.key), Some(second(65)));
    assert_eq!(field.at(64).take(&sweep), []);
    assert_eq!(field.at(65).take(&sweep).len(), 1);
}

#[test]
fn a_deletion_that_ran_into_a_change_is_decided_again_on_what_the_watch_shows() {
    let sweep = sweep();
    let mut field = Field::with([&sweep]);
    field.put(&tmp("a", 0, 1));
    let taken = field.at(60).take(&sweep);

    // The change is seen before the answer: it is decided on at once.
    field.put(&tmp("a", 0, 2));
    field.ground.settle(&taken[0], Settled::Changed, second(60));
    let taken = field.take(&sweep);
    assert_eq!(taken[0].resource_version.to_string(), "2");

    // The answer comes before the change: it waits for the watch, and not for ever.
    field.ground.settle(&taken[0], Settled::Changed, second(60));
    assert_eq!(field.take(&sweep), []);
    assert_eq!(field.at(61).take(&sweep).len(), 1);
}

#[test]
fn an_answer_about_an_earlier_incarnation_says_nothing_of_the_present_one() {
    let sweep = sweep();
    let mut field = Field::with([&sweep]);
    field.put(&tmp("a", 0, 1));
    let taken = field.at(60).take(&sweep);
    let mut anew = tmp("a", 0, 2);
    anew["metadata"]["uid"] = json!("a-2");
    field.put(&anew);
    field.ground.settle(&taken[0], Settled::Done, second(60));

    let again = field.take(&sweep);
    assert_eq!(again[0].uid, "a-2".into());
}

#[test]
fn an_accepted_deletion_is_not_repeated_even_if_a_listing_still_shows_the_object() {
    let sweep = sweep();
    let mut field = Field::with([&sweep]);
    field.put(&tmp("a", 0, 1));
    let taken = field.at(60).take(&sweep);
    field.ground.settle(&taken[0], Settled::Done, second(60));
    field.put(&tmp("a", 0, 1));
    assert_eq!(field.at(1_000).take(&sweep), []);

    // It has been changed, so it is there: whatever was accepted did not end it.
    field.put(&tmp("a", 0, 2));
    assert_eq!(field.take(&sweep).len(), 1);
}

#[test]
fn an_edited_policy_takes_effect_at_once_and_a_deleted_one_does_nothing_more() {
    let sweep = sweep();
    let mut field = Field::with([&sweep]);
    field.put(&tmp("a", 0, 1));
    let later = policy("sweep", json!({"ttl": {"after": "600s"}}));
    field.admit(&later);
    assert_eq!(field.ground.next_due(&later.key), Some(second(600)));

    field.ground.dismiss(&later.key, second(0));
    assert_eq!(field.at(10_000).take(&later), []);
    assert!(field.ground.is_idle());
}

#[test]
fn an_edited_policy_says_how_much_it_newly_matches() {
    let sweep = sweep();
    let mut field = Field::with([&sweep]);
    field.put(&tmp("a", 0, 1));
    field.put(&thing("b", 0, json!({})));
    let wider = policy("sweep", json!({"ttl": {"after": "60s"}}));
    let before: Vec<_> = sweep.rules().collect();
    let rule = wider.rules().next().unwrap();
    field.ground.admit_after(rule, Some(before.clone().into()), second(0));
    let newly = |field: &Field| {
        let Field { ground, now } = field;
        (
            ground.newly_selected(&wider.key).map(|newly| newly.known),
            ground.newly_matched(&wider.key, &before, *now),
        )
    };
    assert_eq!((field.counts(&wider).matched(), newly(&field)), (2, (Some(1), 1)));
    field.put(&thing("c", 0, json!({})));
    assert_eq!(newly(&field), (Some(2), 2), "what comes while the policy waits counts as well");
    field.remove("b");
    assert_eq!(newly(&field), (Some(1), 1));
    field.ground.accepted(&wider.key);
    field.remove("c");
    assert_eq!(field.ground.newly_selected(&wider.key), None);
}

#[test]
fn a_jump_of_the_clock_back_takes_nothing_before_its_time() {
    let sweep = sweep();
    let mut field = Field::with([&sweep]);
    (0..600).for_each(|number| field.put(&tmp(&number.to_string(), 0, 1)));
    assert_eq!(field.at(60).take(&sweep).len(), 600);
    (0..600).for_each(|number| field.put(&tmp(&number.to_string(), 0, 2)));

    // What waits in line does so by the time that it was.
    let one = field.ground.take_due(&sweep.key, second(60));
    assert!(one.is_none(), "all are in flight");
    let mut field = Field::with([&sweep]);
    (0..600).for_each(|number| field.put(&tmp(&number.to_string(), 0, 1)));
    assert!(field.ground.take_due(&sweep.key, second(60)).is_some());
    assert_eq!(field.at(59).take(&sweep), []);
    for _ in 0..4 {
        field.take(&sweep);
    }
    assert_eq!(field.at(60).take(&sweep).len(), 599);
}

/// What may happen to a ground.
#[derive(Clone, Debug)]
enum Step {
    Put {
        name: u8,
        labelled: bool,
        protect: bool,
        terminating: bool,
        recreate: bool,
    },
    Remove {
        name: u8,
    },
    /// Time passes, and everything due is taken and settled like this.
    Collect {
        seconds: i64,
        outcome: u8,
    },
    Edit {
        ttl: i64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let flags =
        (0..12_u8, any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.1), any::<bool>());
    let step = prop_oneof![
        4 => flags.prop_map(|(name, labelled, protect, terminating, recreate)| {
            Step::Put { name, labelled, protect, terminating, recreate }
        }),
        1 => (0..12_u8).prop_map(|name| Step::Remove { name }),
        3 => (0..40_i64, 0..4_u8).prop_map(|(seconds, outcome)| Step::Collect { seconds, outcome }),
        1 => (1..100_i64).prop_map(|ttl| Step::Edit { ttl }),
    ];
    prop::collection::vec(step, 1..120)
}

/// An object as it truly is.
#[derive(Clone)]
struct Known {
    uid: u64,
    version: u64,
    created: i64,
    labelled: bool,
    protect: bool,
    terminating: bool,
}

impl Known {
    fn json(&self, name: &str) -> Value {
        let mut thing = tmp(name, self.created, self.version);
        let metadata = &mut thing["metadata"];
        metadata["uid"] = json!(self.uid.to_string());
        if !self.labelled {
            metadata["labels"] = json!({});
        }
        if self.protect {
            metadata["annotations"] = json!({"groundskeeper.dev/protect": "true"});
        }
        if self.terminating {
            metadata["deletionTimestamp"] = json!(second(self.created).to_string());
        }
        thing
    }
}

proptest! {
    /// Nothing before its time, nothing protected, terminating or unselected, nothing twice; and all that is due is taken.
    #[test]
    fn what_is_taken_is_exactly_what_is_due(steps in steps()) {
        let edited = |ttl: i64| policy("sweep", json!({
            "targetResource": {"labelSelector": {"matchLabels": {"tmp": "yes"}}}, "ttl": {"secondsAfterCreation": ttl},
        }));
        let (mut ttl, mut now, mut version) = (50, 0, 0);
        let mut sweep = edited(ttl);
        let mut field = Field::with([&sweep]);
        let mut world: std::collections::BTreeMap<String, Known> = std::collections::BTreeMap::new();
        for step in steps {
            version += 1;
            match step {
                Step::Put { name, labelled, protect, terminating, recreate } => {
                    let name = format!("object-{name}");
                    let before = world.get(&name).filter(|_| !recreate);
                    let (uid, created) = before.map_or((version, now), |known| (known.uid, known.created));
                    let known = Known { uid, version, created, labelled, protect, terminating };
                    field.put(&known.json(&name));
                    world.insert(name, known);
                }
                Step::Remove { name } => {
                    let name = format!("object-{name}");
                    if let Some(known) = world.remove(&name) {
                        field.ground.remove("team", &name, &known.uid.to_string().as_str().into(), second(now));
                    }
                }
                Step::Edit { ttl: other } => {
                    (ttl, sweep) = (other, edited(other));
                    field.admit(&sweep);
                }
                Step::Collect { seconds, outcome } => {
                    now += seconds;
                    let is_due = |known: &Known| {
                        known.labelled && !known.protect && !known.terminating && known.created + ttl <= now
                    };
                    let taken = field.at(now).take(&sweep);
                    let mut found: Vec<_> = taken
                        .iter()
                        .map(|due| (due.name.to_string(), due.uid.to_string(), due.resource_version.to_string()))
                        .collect();
                    found.sort();
                    let owed: Vec<_> = world
                        .iter()
                        .filter(|(_, known)| is_due(known))
                        .map(|(name, known)| (name.clone(), known.uid.to_string(), known.version.to_string()))
                        .collect();
                    prop_assert_eq!(found, owed);
                    for due in taken {
                        match outcome {
                            0 | 1 => {
                                field.ground.settle(&due, Settled::Done, second(now));
                                world.remove(&*due.name);
                                field.ground.remove("team", &due.name, &due.uid, second(now));
                            }
                            // The watch shows the change that the server spoke of.
                            2 => {
                                version += 1;
                                let known = world.get_mut(&*due.name).unwrap();
                                known.version = version;
                                field.put(&known.json(&due.name));
                                field.ground.settle(&due, Settled::Changed, second(now));
                            }
                            _ => field.ground.settle(&due, Settled::NotBefore(second(now)), second(now)),
                        }
                    }
                }
            }
            let labelled = world.values().filter(|known| known.labelled).count();
            prop_assert_eq!(field.counts(&sweep).matched(), i64::try_from(labelled).unwrap());
        }
    }
}
