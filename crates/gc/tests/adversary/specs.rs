//! Random policies and objects, out of few words, so that they have to do with each other. How long things last, and which
//! kinds there are, is said by the world that they are for: `terms.rs`.

use serde_json::{Map, Value, json};

use crate::random::Random;
use crate::terms::{self, KINDS};

pub(crate) const NAMES: [&str; 16] = [
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "g",
    "h",
    "i",
    "j",
    "ci-1",
    "ci-2",
    "ci-3",
    "keep-me",
    "kube-root-ca.crt",
    "sh.helm.release.v1.x",
];
pub(crate) const OWNERS: [&str; 4] = ["o1", "o2", "o3", "o4"];

/// A moment as RFC 3339.
pub(crate) fn text(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).unwrap().to_string()
}

fn near(random: &mut Random, now: i64) -> String {
    text(now + random.between(-terms::PAST_MAX, terms::FUTURE_MAX))
}

/// A new object without name and version.
pub(crate) fn object(random: &mut Random, now: i64) -> Value {
    let created = (now - random.between(0, 90_000)).div_euclid(1_000) * 1_000;
    let mut object =
        json!({"metadata": {"creationTimestamp": text(created), "labels": {}, "annotations": {}}});
    for _ in 0..random.below(7) {
        edit(random, &mut object, now);
    }
    object
}

/// Changes one trait of an object.
pub(crate) fn edit(random: &mut Random, object: &mut Value, now: i64) {
    let mut put = |path: &[&str], value: Option<Value>| {
        let (last, above) = path.split_last().unwrap();
        let mut place = &mut *object;
        for key in above {
            place = place.as_object_mut().unwrap().entry(*key).or_insert_with(|| json!({}));
        }
        let place = place.as_object_mut().unwrap();
        match value {
            Some(value) => drop(place.insert((*last).to_owned(), value)),
            None => drop(place.remove(*last)),
        }
    };
    let gone = random.percent(25);
    let some = |value: Value| (!gone).then_some(value);
    match random.below(14) {
        0..=2 => put(&["metadata", "labels", "app"], some(json!(random.of(&["a", "b"])))),
        3 => put(&["metadata", "labels", "tier"], some(json!(random.of(&["x", "y"])))),
        4 => {
            put(&["metadata", "annotations", "groundskeeper.dev/ttl"], some(json!(random.of(&terms::MARKS))));
        }
        5 => {
            let at = if random.percent(20) { "soon".to_owned() } else { near(random, now) };
            put(&["metadata", "annotations", "groundskeeper.dev/expires"], some(json!(at)));
        }
        6 => put(&["metadata", "annotations", "janitor/ttl"], some(json!(random.of(&terms::JANITORS_MARKS)))),
        7 => put(
            &["metadata", "annotations", "groundskeeper.dev/protect"],
            (random.percent(40)).then(|| json!("true")),
        ),
        8 => put(
            &["data", "ttl"],
            some(match random.below(9) {
                0 => json!("5"),
                1..=3 => json!(random.of(&terms::LIVES_IN_FIELDS)),
                4 => json!("short"),
                5 => json!("odd"),
                6 => json!("-3"),
                7 => json!(terms::LIFE_AS_NUMBER),
                _ => json!("99999999999999999999"),
            }),
        ),
        9 => put(&["status", "phase"], some(json!(random.of(&["Failed", "Running", "Done"])))),
        10 => put(
            &["status", "n"],
            some(random.of(&[json!(1), json!(4), json!(9), json!("4"), json!("x")]).clone()),
        ),
        11 => {
            let at = if random.percent(20) { "never".to_owned() } else { near(random, now) };
            put(&["status", "done"], some(json!(at)));
        }
        12 => {
            let owner = |name: &str| json!({"apiVersion": terms::OWNERS_API_VERSION, "kind": if name < "o3" { "Pod" } else { "Job" }, "name": name, "uid": name, "controller": name == "o2"});
            let owners: Vec<_> = (0..=random.below(2)).map(|_| owner(random.of::<&str>(&OWNERS))).collect();
            put(&["metadata", "ownerReferences"], some(json!(owners)));
        }
        _ => {
            let span = format!("{}/{}", near(random, now), near(random, now));
            put(
                &["metadata", "annotations", "groundskeeper.dev/notice"],
                random.percent(50).then(|| json!(span)),
            );
        }
    }
}

/// A random spec. `start` is when the world began.
pub(crate) fn spec(random: &mut Random, is_namespaced: bool, (start, now): (i64, i64)) -> Value {
    // Some policies are plain: those of all sorts keep each other from doing much.
    let is_plain = random.percent(terms::PLAIN_PERCENT);
    let mut odds = |percent: usize| random.percent(percent) && !is_plain;
    let (keeps, dry_run, paused) = (odds(12), odds(8), odds(10));
    let (has_conditions, has_when, has_notice) = (odds(30), odds(25), odds(20));
    let (has_schedule, has_priority, is_planned) = (odds(25), odds(40), odds(15));
    let has_keep = !keeps && random.percent(20);
    let mut spec = Map::new();
    let mut put = |key: &str, value: Value| drop(spec.insert(key.to_owned(), value));
    if random.percent(75) {
        let mut target = target(random);
        if keeps {
            target["labelSelector"] = selector(random);
        }
        put("targetResource", target);
    } else {
        put("targetResources", json!((0..=random.below(2)).map(|_| target(random)).collect::<Vec<_>>()));
    }
    let goes_without = (has_keep && random.percent(40)) || (keeps && random.percent(50));
    if !goes_without {
        put("ttl", ttl(random, now));
    }
    if has_keep {
        put("keep", keep(random));
    }
    if keeps {
        put("action", json!("Keep"));
    }
    put("mode", json!(if is_planned { "Plan" } else { "Enforce" }));
    put("behavior", json!({"dryRun": dry_run}));
    put("paused", json!(paused));
    put("priority", json!(if has_priority { random.between(-1, 2) } else { 0 }));
    if has_conditions {
        put("conditions", conditions(random));
    }
    if has_when {
        put("when", json!(when(random, now)));
    }
    if !is_namespaced && random.percent(85) {
        put("namespaces", namespaces(random));
    }
    if has_schedule {
        put("schedule", schedule(random, start));
    }
    if !keeps && has_notice {
        put("notice", json!(random.of(&["1m", "90s"])));
    }
    if !keeps {
        let budgets = [
            json!({"percent": 100}),
            json!({"percent": 100}),
            json!({"percent": 100}),
            json!({"percent": 100}),
            json!({"count": 2, "window": "2m"}),
            json!({"percent": 30, "window": "1m"}),
            json!({"count": 0}),
        ];
        put("budget", random.of(&budgets).clone());
    }
    if random.percent(15) {
        put("unlock", json!([random.of(&["SystemNamespaces", "HelmReleases", "Leases"])]));
    }
    Value::Object(spec)
}

fn target(random: &mut Random) -> Value {
    let kind = if random.percent(80) { KINDS[0] } else { *random.of(&KINDS[1..]) };
    let mut target = json!({"apiVersion": terms::api_version(kind), "kind": kind});
    if random.percent(35) {
        target["labelSelector"] = selector(random);
    }
    if random.percent(15) {
        target["names"] =
            json!([random.of(&["a", "ci-*", "?", "*e*"]), random.of(&["b", "keep-me", "sh.*", "kube*"])]);
    }
    if random.percent(10) {
        target["excludeNames"] = json!([random.of(&["keep-*", "a", "ci-?"])]);
    }
    if random.percent(10) {
        let field = random.of(&[
            ("status.phase", "Failed"),
            ("status.n", "4"),
            ("metadata.name", "a"),
            ("status.phase", ""),
        ]);
        target["fieldSelector"] = json!({"matchFields": {field.0: field.1}});
    }
    if random.percent(15) {
        let owners = [
            json!({"is": "Gone"}),
            json!({"is": "Gone"}),
            json!({"is": "Present"}),
            json!({"is": "Absent"}),
            json!({"kinds": ["Pod"]}),
            json!({"is": "Gone", "kinds": ["Job"]}),
        ];
        target["owner"] = random.of(&owners).clone();
    }
    target
}

fn selector(random: &mut Random) -> Value {
    match random.below(5) {
        0 | 1 => json!({"matchLabels": {"app": random.of(&["a", "b"])}}),
        2 => {
            json!({"matchExpressions": [{"key": "app", "operator": random.of(&["Exists", "DoesNotExist"])}]})
        }
        3 => {
            json!({"matchExpressions": [{"key": "app", "operator": random.of(&["In", "NotIn"]), "values": ["a", "c"]}]})
        }
        _ => {
            json!({"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["y"]}]})
        }
    }
}

fn namespaces(random: &mut Random) -> Value {
    match random.below(5) {
        0 => json!({"names": ["team", "ku*"]}),
        1 => json!({"names": ["*"], "exclude": ["other"]}),
        2 => json!({"selector": {"matchLabels": {"tidy": "yes"}}}),
        3 => json!({"selector": {"matchExpressions": [{"key": "tidy", "operator": "DoesNotExist"}]}}),
        _ => json!({"names": ["t*", "o?her"], "selector": {"matchLabels": {"tidy": "yes"}}}),
    }
}

fn ttl(random: &mut Random, now: i64) -> Value {
    match random.below(11) {
        0 | 1 => json!({"secondsAfterCreation": random.between(1, terms::LIFE_SECONDS_MAX)}),
        2 | 3 => json!({"after": random.of(&terms::LIVES)}),
        4 => {
            let mut ttl = json!({"fieldPath": "data.ttl", "mappings": {"short": terms::SHORT_SECONDS, "5": terms::LIVES[2]}});
            if random.percent(50) {
                ttl["default"] = json!(terms::LIFE_DEFAULT);
            }
            ttl
        }
        5 => {
            json!({"relativeTo": "status.done", "secondsAfter": random.between(0, terms::LIFE_SECONDS_MAX / 3)})
        }
        6 => json!({"at": near(random, now)}),
        7 | 8 => json!({"expression": expression(random, now)}),
        _ => {
            json!({"marks": {"sources": random.of(&[json!(["Groundskeeper"]), json!(["KubeJanitor"]), json!(["Groundskeeper", "KubeJanitor"])])}})
        }
    }
}

fn expression(random: &mut Random, now: i64) -> String {
    match random.below(5) {
        0 => {
            let life = terms::LIVES[0];
            format!("timestamp(object.metadata.creationTimestamp) + duration('{life}')")
        }
        1 => format!("has(object.data.ttl) ? duration('{}') : null", terms::LIVES[1]),
        2 => {
            let [short, _, long, ..] = terms::LIVES;
            format!("object.status.n > 5 ? duration('{short}') : duration('{long}')")
        }
        3 => "now + duration('1s')".to_owned(),
        _ => format!("now >= timestamp('{}') ? duration('1s') : duration('1h')", near(random, now)),
    }
}

fn when(random: &mut Random, now: i64) -> String {
    match random.below(6) {
        0 => "has(object.data.ttl)".to_owned(),
        1 => "object.metadata.name.startsWith('ci-')".to_owned(),
        2 => "object.status.n > 3".to_owned(),
        3 => format!("now >= timestamp('{}')", near(random, now)),
        4 => format!("now < timestamp('{}')", near(random, now)),
        _ => "!has(object.status.phase)".to_owned(),
    }
}

fn condition(random: &mut Random) -> Value {
    let fields = [
        ("status.phase", json!("Failed")),
        ("status.n", json!(4)),
        ("status.n", json!("4")),
        ("data.ttl", json!("30")),
        ("metadata.labels.app", json!("a")),
        ("metadata.name", json!("ci-1")),
    ];
    let (path, value) = random.of(&fields);
    match random.below(7) {
        0 => json!({"fieldPath": path, "operator": random.of(&["Exists", "DoesNotExist"])}),
        1 | 2 => json!({"fieldPath": path, "operator": random.of(&["Equals", "NotEquals"]), "value": value}),
        3 | 4 => {
            json!({"fieldPath": path, "operator": random.of(&["In", "NotIn"]), "values": [value, "Running"]})
        }
        5 => {
            json!({"fieldPath": "status.n", "operator": random.of(&["GreaterThan", "LessThan"]), "value": random.between(1, 9)})
        }
        _ => {
            json!({"fieldPath": path, "operator": "Matches", "value": random.of(&["[a-z].*", "F.*|4", "ci-."])})
        }
    }
}

fn conditions(random: &mut Random) -> Value {
    match random.below(7) {
        0 => json!({"phase": ["Failed", "Done"]}),
        1 => json!({"hasLabels": [{"key": "app", "value": "a"}]}),
        2 => json!({"hasAnnotations": [{"key": "janitor/ttl"}]}),
        3 => json!({"and": [condition(random), condition(random)]}),
        4 => json!({"or": [condition(random), {"and": [condition(random), condition(random)]}]}),
        5 => json!({"not": [condition(random), {"or": [condition(random), condition(random)]}]}),
        _ => {
            json!({"and": [{"not": [condition(random), condition(random)]}], "phase": ["Failed", "Running"]})
        }
    }
}

fn keep(random: &mut Random) -> Value {
    let mut keep = json!({(*random.of(&["newest", "oldest"])): (random.below(3))});
    match random.below(5) {
        0 => keep["groupBy"] = json!({"label": "app"}),
        1 => keep["groupBy"] = json!({"owner": true}),
        2 => keep["groupBy"] = json!({"fieldPath": "status.phase"}),
        _ => {}
    }
    if random.percent(30) {
        keep["minAge"] = json!(random.of(&terms::AGES_LEAST));
    }
    keep
}

/// Windows around the beginning of the world.
fn schedule(random: &mut Random, start: i64) -> Value {
    let zone = *random.of(&["Europe/Berlin", "UTC", "Australia/Lord_Howe"]);
    let zone_of = jiff::tz::TimeZone::get(zone).unwrap();
    let wall = |ahead: i64| {
        let at = jiff::Timestamp::from_millisecond(start + ahead * 60_000).unwrap();
        let wall = zone_of.to_datetime(at);
        format!("{:02}:{:02}", wall.hour(), wall.minute())
    };
    let (from, to) = (
        random.between(-terms::WINDOW_MINUTES_MAX, terms::WINDOW_MINUTES_MAX),
        random.between(1, terms::WINDOW_MINUTES_MAX + 5),
    );
    let (from, to) = (wall(from), wall(from + to));
    let mut window = json!({"from": from, "to": to});
    if random.percent(30) {
        window["days"] = json!([random.of(&["Sat", "Sun", "Mon", "Tue"]), "Wed"]);
    }
    json!({"timeZone": zone, "windows": [window]})
}
