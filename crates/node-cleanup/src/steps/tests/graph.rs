//! What is compiled, in which order, and what is refused.

use super::*;
use proptest::prelude::*;

fn names(graph: &Graph) -> Vec<&str> {
    graph.steps().iter().map(|step| &*step.name).collect()
}

#[test]
fn the_drain_and_the_wait_for_volumes_are_there_without_being_written() {
    let graph = compile(&json!([{"name": "tell", "plugin": "slack"}])).unwrap();
    assert_eq!(names(&graph), [DRAIN_STEP, VOLUMES_STEP, "tell"]);
    assert_eq!(&*graph.step("tell").unwrap().depends_on, [Box::from(VOLUMES_STEP)]);
    assert_eq!(graph.plugins(), ["slack"], "the engine's own have not to be reached");
    let drain = graph.step(DRAIN_STEP).unwrap();
    assert_eq!((drain.critical, drain.timeout, drain.priority), (true, None, 50));
}

#[test]
fn they_may_be_written_to_change_them() {
    let graph = compile(&json!([
        {"name": "log-it", "plugin": "log", "dependsOn": []},
        {"name": "drain", "plugin": "drain", "dependsOn": ["log-it"], "timeout": "2h", "critical": false},
    ]));
    let graph = graph.unwrap();
    assert_eq!(names(&graph), ["log-it", DRAIN_STEP, VOLUMES_STEP]);
    assert_eq!(graph.step(DRAIN_STEP).unwrap().timeout, Some(units::Span::from_seconds(7_200)));
}

#[test]
fn what_could_go_first_stands_first_by_priority_and_then_as_written() {
    let graph = compile(&json!([
        {"name": "late", "plugin": "log", "priority": 90},
        {"name": "b", "plugin": "log"},
        {"name": "a", "plugin": "log"},
        {"name": "early", "plugin": "log", "priority": 10, "dependsOn": []},
        {"name": "after-late", "plugin": "log", "priority": 0, "dependsOn": ["late"]},
    ]));
    assert_eq!(names(&graph.unwrap()), ["early", DRAIN_STEP, VOLUMES_STEP, "b", "a", "late", "after-late"]);
}

#[test]
fn what_is_wrong_is_said_with_what_to_write() {
    let many: Vec<Value> = (0..65).map(|n| json!({"name": format!("s{n}"), "plugin": "log"})).collect();
    let long: Vec<String> = (0..33).map(|n| format!("s{n}")).collect();
    let log = |more: Value| {
        let mut step = json!({"name": "tell", "plugin": "log"});
        step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([step])
    };
    let rows = [
        (json!(many), "steps has 65 entries; at most 64 are allowed"),
        (json!([{"name": "Tell", "plugin": "log"}]), "steps[0].name is `Tell`: write lower-case letters"),
        (json!([{"name": "-a", "plugin": "log"}]), "steps[0].name is `-a`"),
        (
            json!([{"name": "a", "plugin": "log"}, {"name": "a", "plugin": "log"}]),
            "two steps are called `a`: give one of them another name",
        ),
        (
            json!([{"name": "drain", "plugin": "log"}]),
            "the step `drain` and the plugin `drain` belong together",
        ),
        (json!([{"name": "again", "plugin": "drain"}]), "step `again` has the plugin `drain`"),
        (
            json!([{"name": "x", "plugin": "waitVolumeDetach"}]),
            "the step `wait-volume-detach` and the plugin",
        ),
        (
            json!([{"name": "x", "plugin": "cmbd"}]),
            "there is no plugin `cmbd`: write a built-in one, or create",
        ),
        (
            log(json!({"dependsOn": ["drian"]})),
            "step `tell` depends on `drian`, which is not there: write `drain` or `wait-volume-detach`",
        ),
        (log(json!({"dependsOn": long})), "step `tell`: dependsOn has 33 entries; at most 32"),
        (log(json!({"dependsOn": ["tell"]})), "depends on the next: `tell` → `tell`; take one of these out"),
        (log(json!({"priority": 1_001})), "step `tell`: priority is 1001: write a number from 0 to 1000"),
        (log(json!({"timeout": "5"})), "step `tell`: timeout: `5` is not a duration"),
        (log(json!({"timeout": "8d"})), "step `tell`: timeout: `8d` is too long: write at most `7d`"),
        (
            log(json!({"retry": {"maxRetries": 1_001}})),
            "retry.maxRetries is 1001: write a number from 0 to 1000",
        ),
        (
            log(json!({"retry": {"initialDelay": "10ms"}})),
            "retry.initialDelay: `10ms` is too short: write at least `1s`",
        ),
        (
            log(json!({"retry": {"backoffPercent": 50}})),
            "retry.backoffPercent is 50: write a number from 100 to 1000",
        ),
        (
            log(json!({"retry": {"maxDelay": "2s"}})),
            "retry.maxDelay is `2s`, shorter than the first pause: write at least `10s`",
        ),
        (log(json!({"when": "object.spec."})), "step `tell`: when: "),
        (log(json!({"when": "'yes'"})), "step `tell`: when is neither true nor false, whatever the node"),
        (
            log(json!({"settings": {"a": "x".repeat(16_384)}})),
            "step `tell`: settings has 16392 bytes; at most 16384",
        ),
        (
            json!([{"name": "t", "plugin": "cmdb", "settings": {"uri": 1, "url": "x"}}]),
            "step `t`: settings.uri is not known to the plugin: write `url`",
        ),
        (json!([{"name": "t", "plugin": "cmdb"}]), "step `t`: settings.url is missing: write it"),
        (
            json!([{"name": "drain", "plugin": "drain", "settings": {"force": true}}]),
            "step `drain`: settings.force is not known to the plugin, which has no settings: leave it out",
        ),
        (
            json!([{"name": "t", "plugin": "strange"}]),
            "the schema of plugin `strange` cannot be used: settingsSchema has `$ref`",
        ),
        (
            json!([{"name": "wait-volume-detach", "plugin": "waitVolumeDetach", "dependsOn": []}]),
            "does not wait for `drain`, so that it would end before the pods give up their volumes: write `dependsOn: [drain]`",
        ),
    ];
    for (steps, said) in rows {
        let error = compile(&steps).unwrap_err();
        assert!(error.contains(said), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_departure_that_has_begun_goes_on_when_a_plugin_is_gone_or_wants_other_settings() {
    let steps = json!([
        {"name": "gone", "plugin": "no-more"}, {"name": "tell", "plugin": "cmdb", "settings": {"uri": "x"}},
    ]);
    assert!(compile(&steps).is_err());
    let recorded: Vec<CleanupStep> = serde_json::from_value(steps).unwrap();
    assert_eq!(names(&Graph::resume(&recorded).unwrap()), [DRAIN_STEP, VOLUMES_STEP, "gone", "tell"]);
}

#[test]
fn a_circle_is_named_in_its_order() {
    let steps = json!([
        {"name": "a", "plugin": "log", "dependsOn": ["c"]},
        {"name": "b", "plugin": "log", "dependsOn": ["a"]},
        {"name": "c", "plugin": "log", "dependsOn": ["drain", "b"]},
        {"name": "behind-it", "plugin": "log", "dependsOn": ["a"]},
    ]);
    let error = compile(&steps).unwrap_err();
    assert_eq!(
        error,
        "each of these steps depends on the next: `a` → `c` → `b` → `a`; take one of these out of dependsOn"
    );
}

#[test]
fn the_drain_cannot_wait_for_what_waits_for_it_unsaid() {
    let steps = json!([
        {"name": "drain", "plugin": "drain", "dependsOn": ["tell"]},
        {"name": "tell", "plugin": "log"},
    ]);
    let error = compile(&steps).unwrap_err();
    assert!(
        error.contains("next: `wait-volume-detach` → `drain` → `tell` → `wait-volume-detach`; `tell` leaves"),
        "{error}"
    );
    assert!(
        error.contains(
            "`tell` leaves dependsOn out and so waits for `wait-volume-detach`: write `dependsOn: []`"
        ),
        "{error}"
    );
}

#[test]
fn a_plan_says_which_steps_are_going_to_be_taken() {
    let graph = compile(&json!([
        {"name": "px", "plugin": "portworx", "when": "object.metadata.labels['px'] == 'true'"},
        {"name": "etcd", "plugin": "log", "when": "has(object.metadata.labels.etcd)"},
        {"name": "odd", "plugin": "log", "when": "object.metadata.labels.odd == 1"},
    ]));
    let graph = graph.unwrap();
    let node: units::Value = serde_json::from_value(json!({"metadata": {"labels": {"px": "true"}}})).unwrap();
    let outlook = graph.outlook(&node, "2026-11-21T04:07:00Z".parse().unwrap());
    let expected: Vec<_> =
        outlook.iter().skip(2).map(|step| (&*step.step.name, step.expected.clone())).collect();
    let unknown = Expected::Unknown("when: there is no field `object.metadata.labels.odd`".to_owned());
    assert_eq!(expected, [("px", Expected::Taken), ("etcd", Expected::NotTaken), ("odd", unknown)]);
    assert_eq!(graph.reads().len(), 3);
}

proptest! {
    #[test]
    fn whatever_is_written_is_sorted_or_has_a_circle(
        edges in prop::collection::vec((0..10_usize, 0..10_usize), 0..20),
        priorities in prop::collection::vec(0..4_u32, 10),
    ) {
        let steps: Vec<Value> = priorities.iter().enumerate().map(|(n, priority)| {
            let after: Vec<String> =
                edges.iter().filter(|(from, _)| *from == n).map(|(_, to)| format!("s{to}")).collect();
            json!({"name": format!("s{n}"), "plugin": "log", "priority": priority, "dependsOn": after})
        }).collect();
        match compile(&json!(steps)) {
            Ok(graph) => {
                prop_assert_eq!(graph.steps().len(), 12);
                for (place, step) in graph.steps().iter().enumerate() {
                    let before: BTreeSet<&str> = graph.steps()[..place].iter().map(|step| &*step.name).collect();
                    prop_assert!(step.depends_on.iter().all(|name| before.contains(&**name)));
                    let places: BTreeSet<&str> =
                        graph.after(place).iter().map(|at| &*graph.steps()[*at].name).collect();
                    prop_assert_eq!(places, step.depends_on.iter().map(|name| &**name).collect());
                }
            }
            Err(error) => {
                let named = error.split('`').filter(|word| word.starts_with('s')).collect::<Vec<_>>();
                prop_assert!(named.len() >= 2 && named.first() == named.last(), "{error}");
                for pair in named.windows(2) {
                    let number = |name: &str| name[1..].parse::<usize>().unwrap();
                    prop_assert!(edges.contains(&(number(pair[0]), number(pair[1]))), "{error}");
                }
            }
        }
    }
}
