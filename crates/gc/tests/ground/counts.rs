//! The counts of each sort are at any time what counting anew would give.

use gc::{Bucket, Ground, Scope, Settled};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{cluster, labels, policy, read, second, thing};

/// Policies that between them use every sort.
fn policies(variant: u8) -> Vec<std::sync::Arc<gc::Policy>> {
    let a = json!({"labelSelector": {"matchLabels": {"app": "a"}}});
    let all = match variant % 3 {
        0 => json!({"ttl": {"after": "60m"}, "namespaces": {"selector": {"matchLabels": {"tidy": "yes"}}}}),
        1 => json!({"ttl": {"fieldPath": "data.ttl"}, "priority": 1}),
        _ => json!({"keep": {"newest": 1, "groupBy": {"label": "app"}}}),
    };
    let own = match variant % 4 {
        0 => json!({"ttl": {"after": "30m"}, "targetResource": a, "conditions": {"phase": ["Failed"]}}),
        1 => {
            let target = |rest: serde_json::Value| {
                let mut target = json!({"apiVersion": "v1", "kind": "ConfigMap"});
                crate::support::merge(&mut target, rest);
                target
            };
            let gone = json!({"owner": {"is": "Gone"}});
            json!({"ttl": {"after": "30m"}, "targetResources": [target(gone), target(a.clone())]})
        }
        2 => {
            json!({"keep": {"oldest": 2}, "targetResource": a, "notice": "1m", "when": "now > timestamp('1970-01-01T02:00:00Z') || has(object.data)"})
        }
        _ => json!({"ttl": {"marks": {}}, "targetResource": a}),
    };
    let keep = match variant % 2 {
        0 => json!({"action": "Keep", "targetResource": a, "conditions": {"phase": ["Running"]}}),
        _ => {
            json!({"action": "Keep", "ttl": {"after": "90m"}, "targetResource": {"owner": {"is": "Present"}}})
        }
    };
    vec![cluster("all", all), policy("own", own), policy("keep", keep)]
}

#[derive(Clone, Debug)]
enum Step {
    Put { name: u8, space: u8, traits: u16 },
    Remove { name: u8, space: u8 },
    Label { space: u8, tidy: Option<bool> },
    Admit { variant: u8 },
    Dismiss { which: u8 },
    Pass { seconds: i64 },
    Take { which: u8, outcome: u8 },
    Owners { are_gone: Option<bool> },
    List { shown: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..6_u8, 0..2_u8, any::<u16>()).prop_map(|(name, space, traits)| Step::Put { name, space, traits }),
        1 => (0..6_u8, 0..2_u8).prop_map(|(name, space)| Step::Remove { name, space }),
        1 => (0..2_u8, any::<Option<bool>>()).prop_map(|(space, tidy)| Step::Label { space, tidy }),
        2 => any::<u8>().prop_map(|variant| Step::Admit { variant }),
        1 => (0..3_u8).prop_map(|which| Step::Dismiss { which }),
        2 => (0..3_000_i64).prop_map(|seconds| Step::Pass { seconds }),
        2 => (0..3_u8, 0..4_u8).prop_map(|(which, outcome)| Step::Take { which, outcome }),
        1 => any::<Option<bool>>().prop_map(|are_gone| Step::Owners { are_gone }),
        1 => any::<u8>().prop_map(|shown| Step::List { shown }),
    ];
    prop::collection::vec(step, 1..60)
}

fn object(name: u8, space: u8, traits: u16) -> Value {
    let has = |bit: u16| traits & (1 << bit) != 0;
    let mut metadata =
        json!({"namespace": (["team", "other"][usize::from(space)]), "resourceVersion": traits.to_string()});
    if has(0) {
        metadata["labels"] = json!({"app": if has(1) { "a" } else { "b" }});
    }
    if has(2) && has(3) {
        metadata["annotations"] = json!({"groundskeeper.dev/protect": "true"});
    } else if has(2) {
        metadata["annotations"] = json!({"groundskeeper.dev/ttl": "45m"});
    }
    if has(4) && has(5) {
        metadata["deletionTimestamp"] = json!("1970-01-01T00:00:05Z");
    }
    if has(6) {
        metadata["ownerReferences"] = json!([{"kind": "Pod", "name": "p", "uid": "p", "apiVersion": "v1"}]);
    }
    if has(7) {
        metadata["uid"] = json!(format!("{name}-{}", traits >> 12));
    }
    let mut change = json!({"metadata": metadata});
    if has(8) {
        change["status"] = json!({"phase": if has(9) { "Failed" } else { "Running" }});
    }
    if has(10) {
        change["data"] = json!({"ttl": if has(11) { "50m" } else { "odd" }});
    }
    thing(&format!("x{name}"), i64::from(traits >> 13) * 600, change)
}

/// A ground that has seen nothing but how things lie now.
fn recount(ground: &Ground, names: &[(&str, Option<bool>)], now: i64) -> Ground {
    let mut anew = Ground::default();
    for (name, tidy) in names {
        anew.put_namespace(name, tidy.map(space_labels), second(now));
    }
    for object in ground.objects() {
        anew.apply(&Scope::CLUSTER, object.clone(), second(now));
    }
    ground.rules().for_each(|rule| anew.admit(rule.clone(), second(now)));
    anew
}

fn space_labels(tidy: bool) -> views::Labels {
    labels(if tidy { &[("tidy", "yes")] } else { &[] })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn counts_are_what_a_recount_gives(steps in steps()) {
        let (mut ground, mut now) = (Ground::default(), 0_i64);
        let mut spaces = [("team", None), ("other", None)];
        let mut known = policies(0);
        for step in steps {
            let at = second(now);
            match step {
                Step::Put { name, space, traits } => {
                    // Some are read before the policies asked for what they read.
                    let reads: Vec<_> = ground.rules().flat_map(gc::Rule::reads).filter(|_| traits % 5 != 0).collect();
                    ground.apply(&Scope::CLUSTER, read(&object(name, space, traits), reads), at);
                }
                Step::Remove { name, space } => {
                    let (space, name) = (spaces[usize::from(space)].0, format!("x{name}"));
                    let uid = ground.objects().find(|object| &*object.namespace == space && *object.name == *name).map(|object| object.uid.clone());
                    if let Some(uid) = uid {
                        ground.remove(space, &name, &uid, at);
                    }
                }
                Step::Label { space, tidy } => {
                    let space = &mut spaces[usize::from(space)];
                    space.1 = tidy;
                    ground.put_namespace(space.0, tidy.map(space_labels), at);
                }
                Step::Admit { variant } => {
                    known = policies(variant);
                    let which = usize::from(variant / 12 % 3);
                    known[which].rules().for_each(|rule| ground.admit(rule, at));
                }
                Step::Dismiss { which } => ground.dismiss(&known[usize::from(which)].key, at),
                Step::Pass { seconds } => now += seconds,
                Step::Take { which, outcome } => {
                    let key = &known[usize::from(which)].key;
                    let due = if outcome % 2 == 0 { ground.take_due(key, at) } else { ground.take_notice(key, at) };
                    if let Some(due) = due {
                        let settled = [Settled::Changed, Settled::NotBefore(second(now + 5)), Settled::Done];
                        ground.settle(&due, settled[usize::from(outcome) % 3], at);
                        if outcome == 2 {
                            ground.remove(&due.namespace, &due.name, &due.uid, at);
                        }
                    }
                }
                Step::Owners { are_gone } => {
                    for question in ground.take_owner_questions(3) {
                        ground.owners_seen(&question, are_gone, at);
                    }
                }
                Step::List { shown } => {
                    ground.begin_listing(&Scope::CLUSTER, None);
                    let objects: Vec<_> = ground.objects().cloned().collect();
                    for (_, object) in objects.into_iter().enumerate().filter(|(index, _)| shown & (1 << (index % 8)) != 0) {
                        ground.apply(&Scope::CLUSTER, object, at);
                    }
                    if shown % 3 == 0 {
                        ground.doubt_listing(&Scope::CLUSTER);
                    } else {
                        ground.finish_listing(&Scope::CLUSTER, at);
                    }
                }
            }
            // What depends on the time alone is counted as of the last look at it, a minute ago at most.
            now += 100;
            let keys: Vec<_> = ground.policies().cloned().collect();
            keys.iter().for_each(|key| while ground.recheck(key, second(now)) {});
            let anew = recount(&ground, &spaces, now);
            for key in &keys {
                for bucket in Bucket::ALL {
                    prop_assert_eq!(ground.counts(key).of(bucket), anew.counts(key).of(bucket), "{} {:?}", key, bucket);
                }
                prop_assert_eq!(ground.base(key), anew.base(key));
            }
        }
    }
}
