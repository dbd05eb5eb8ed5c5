//! What the specification says of one object, in other words than the engine's: straight over JSON, without an index,
//! without compiling, one thing after the other. Shares no code with the engine.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil::Weekday};
use serde_json::Value;

use crate::terms;

/// Kind, namespace and name.
pub(crate) type ObjectKey = (&'static str, String, String);
/// Namespace and name; without a namespace for a policy of the cluster.
pub(crate) type PolicyKey = (String, String);

/// What the collector has been shown.
#[derive(Clone, Default)]
pub(crate) struct Shown {
    pub(crate) policies: BTreeMap<PolicyKey, Shape>,
    pub(crate) labels: BTreeMap<String, Value>,
    pub(crate) objects: BTreeMap<ObjectKey, Value>,
    /// UIDs of objects that the collector is deleting, or knows to be deleted.
    pub(crate) going: BTreeSet<String>,
    /// UIDs of objects whose owners were found to be gone.
    pub(crate) orphans: BTreeSet<String>,
}

/// A policy as it stands.
#[derive(Clone)]
pub(crate) struct Shape {
    pub(crate) spec: Value,
    /// When this spec was approved.
    pub(crate) approved_at: Option<i64>,
}

/// Where an object is judged: what was shown, the UIDs of the owners that truly exist, and what time it is.
pub(crate) struct Scene<'a> {
    pub(crate) shown: &'a Shown,
    pub(crate) owners: &'a BTreeSet<String>,
    pub(crate) now: i64,
}

/// Why an object must not go.
#[derive(Debug, PartialEq)]
pub(crate) enum No {
    /// It has to be told before.
    Untold,
    Because(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Time {
    At(i64),
    Unmarked,
    Never,
    Unclear,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Truth {
    Yes,
    No,
    Fails,
}

/// What a policy makes of an object by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stand {
    Unselected,
    Matched(Time),
}

impl Scene<'_> {
    /// When the object fell due by which a policy may delete it now, or why it may not.
    pub(crate) fn judge(&self, policy: &PolicyKey, key: &ObjectKey, object: &Value) -> Result<i64, No> {
        let because = |why: &str| Err(No::Because(why.to_owned()));
        let Some(shape) = self.shown.policies.get(policy) else { return because("the policy is not there") };
        let spec = &shape.spec;
        if spec["mode"] != "Enforce" || spec["paused"] == true || spec["behavior"]["dryRun"] == true {
            return because("the policy does not enforce");
        }
        if spec["action"] == "Keep" {
            return because("the policy keeps");
        }
        if self.waits_for_approval(policy, shape) {
            return because("the policy waits for its approval");
        }
        if let Some(rail) = rail(spec, key, object) {
            return because(rail);
        }
        if !object["metadata"]["deletionTimestamp"].is_null() {
            return because("it is going already");
        }
        let mut told = None;
        let mut why = No::Because("no target selects it".to_owned());
        for target in targets(spec) {
            match self.by_target(policy, (spec, target), key, object) {
                Ok(since) => told = Some(since),
                Err(no) => why = no,
            }
        }
        if let Some(keeper) = self.keeper(policy, key, object) {
            return because(&keeper);
        }
        let Some(since) = told else { return Err(why) };
        if !window_is_open(spec, self.now) {
            return because("no window is open");
        }
        Ok(since)
    }

    fn by_target(
        &self,
        policy: &PolicyKey,
        (spec, target): (&Value, &Value),
        key: &ObjectKey,
        object: &Value,
    ) -> Result<i64, No> {
        let because = |why: String| Err(No::Because(why));
        let orphan = |_: &str| self.owners_are_gone(object);
        let Stand::Matched(time) = self.stand(policy, (spec, target), (key, object), &orphan) else {
            return because("it is not selected".to_owned());
        };
        let Time::At(mut due) = time else { return because(format!("its time is {time:?}")) };
        if when(spec, key, object, self.now) == Truth::Fails {
            return because("`when` fails".to_owned());
        }
        let age = spec["keep"]["minAge"].as_str().map_or(0, |text| span(text).unwrap());
        due = due.max(created(object) + age);
        if self.is_kept_of_its_group(policy, (spec, target), key, object) {
            return because("it is one of its group that stay".to_owned());
        }
        match spec["notice"].as_str() {
            None if due > self.now => because(format!("it is due in {} ms", due - self.now)),
            None => Ok(due),
            Some(notice) => {
                let note = object["metadata"]["annotations"]["groundskeeper.dev/notice"].as_str();
                let told = note.and_then(|note| note.split_once('/'));
                let told = told.and_then(|(from, to)| moment(from).zip(moment(to)));
                let told = told.filter(|(from, to)| to - from >= span(notice).unwrap()).map(|(_, to)| to);
                match told {
                    Some(told) if told >= due && told <= self.now => Ok(told),
                    Some(told) if told >= due => because("it was told a later time".to_owned()),
                    _ if due <= self.now => Err(No::Untold),
                    _ => because("it is not due".to_owned()),
                }
            }
        }
    }

    /// Whether a policy waits: it is about everything, and nobody has approved that.
    fn waits_for_approval(&self, policy: &PolicyKey, shape: &Shape) -> bool {
        let spec = &shape.spec;
        let is_empty = |value: &Value| match value {
            Value::Null => true,
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => false,
        };
        let fits_all = |glob: &Value| glob.as_str().is_some_and(|glob| glob.chars().all(|c| c == '*'));
        let names_all = |names: &Value| {
            names.as_array().is_none_or(|globs| globs.is_empty() || globs.iter().any(fits_all))
        };
        let narrows = |target: &Value| {
            let selectors = ["labelSelector", "fieldSelector", "owner"];
            !names_all(&target["names"]) || selectors.iter().any(|field| !is_empty(&target[*field]))
        };
        let everywhere = policy.0.is_empty()
            && names_all(&spec["namespaces"]["names"])
            && is_empty(&spec["namespaces"]["selector"]);
        let is_about_everything = everywhere
            && spec["ttl"]["marks"].is_null()
            && spec["when"].is_null()
            && is_empty(&spec["conditions"])
            && targets(spec).any(|target| !narrows(target));
        is_about_everything && shape.approved_at.is_none_or(|at| at > self.now)
    }

    /// What a policy with one of its targets makes of an object, whatever the others do.
    fn stand(
        &self,
        policy: &PolicyKey,
        (spec, target): (&Value, &Value),
        (key, object): (&ObjectKey, &Value),
        is_orphan: &dyn Fn(&str) -> bool,
    ) -> Stand {
        let is_selected = target["kind"] == key.0
            && self.looks_at(policy, spec, &key.1)
            && labels_match(&target["labelSelector"], &object["metadata"]["labels"])
            && names_match(target, &key.2)
            && fields_match(&target["fieldSelector"]["matchFields"], key, object)
            && owners_match(&target["owner"], object, is_orphan);
        if !is_selected || !conditions_hold(&spec["conditions"], key, object) {
            return Stand::Unselected;
        }
        match when(spec, key, object, self.now) {
            Truth::No => Stand::Unselected,
            // A keeper whose condition cannot be told keeps no longer than one whose condition holds.
            Truth::Fails if spec["action"] != "Keep" => Stand::Matched(Time::Unclear),
            Truth::Yes | Truth::Fails => Stand::Matched(expiry(&spec["ttl"], object, self.now)),
        }
    }

    fn looks_at(&self, policy: &PolicyKey, spec: &Value, namespace: &str) -> bool {
        if !policy.0.is_empty() {
            return policy.0 == namespace;
        }
        let rule = &spec["namespaces"];
        let any = |list: &Value| {
            list.as_array()
                .is_some_and(|list| list.iter().any(|glob| fits(glob.as_str().unwrap(), namespace)))
        };
        let named = rule["names"].as_array().is_none_or(Vec::is_empty) || any(&rule["names"]);
        let selected = rule["selector"].is_null()
            || self.shown.labels.get(namespace).is_some_and(|labels| labels_match(&rule["selector"], labels));
        named && !any(&rule["exclude"]) && selected
    }

    fn owners_are_gone(&self, object: &Value) -> bool {
        let owners = object["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
        !owners.is_empty() && owners.iter().all(|owner| !self.owners.contains(owner["uid"].as_str().unwrap()))
    }

    /// Whether so few stand before it in its group that it stays.
    fn is_kept_of_its_group(
        &self,
        policy: &PolicyKey,
        (spec, target): (&Value, &Value),
        key: &ObjectKey,
        object: &Value,
    ) -> bool {
        let keep = &spec["keep"];
        let Some(count) = keep["newest"].as_u64().or(keep["oldest"].as_u64()) else { return false };
        let group = group_of(keep, object);
        let mut before = 0;
        for (other_key, other) in &self.shown.objects {
            let uid = other["metadata"]["uid"].as_str().unwrap();
            if (other_key.0, &other_key.1) != (key.0, &key.1)
                || other_key == key
                || self.shown.going.contains(uid)
                || !other["metadata"]["deletionTimestamp"].is_null()
                || group_of(keep, other) != group
            {
                continue;
            }
            let orphan = |_: &str| self.owners_are_gone(other);
            if self.stand(policy, (spec, target), (other_key, other), &orphan) == Stand::Unselected {
                continue;
            }
            let is_before = if keep["newest"].is_null() {
                created(other) <= created(object)
            } else {
                created(other) >= created(object)
            };
            before += u64::from(is_before);
        }
        before < count
    }

    /// Another policy that keeps the object from this one.
    fn keeper(&self, own: &PolicyKey, key: &ObjectKey, object: &Value) -> Option<String> {
        let own_priority = self.shown.policies[own].spec["priority"].as_i64().unwrap_or(0);
        let uid = object["metadata"]["uid"].as_str().unwrap();
        let orphan = |_: &str| self.shown.orphans.contains(uid);
        for (policy, shape) in self.shown.policies.iter().filter(|(policy, _)| *policy != own) {
            let spec = &shape.spec;
            let only_reports = spec["mode"] != "Enforce" || spec["behavior"]["dryRun"] == true;
            if only_reports && spec["paused"] != true {
                continue;
            }
            for target in targets(spec) {
                let Stand::Matched(time) = self.stand(policy, (spec, target), (key, object), &orphan) else {
                    continue;
                };
                let keeps = spec["action"] == "Keep"
                    && (spec["ttl"].is_null()
                        || match time {
                            Time::At(until) => until > self.now,
                            Time::Unmarked => false,
                            Time::Never | Time::Unclear => true,
                        });
                let decides = spec["action"] != "Keep"
                    && spec["priority"].as_i64().unwrap_or(0) > own_priority
                    && time != Time::Unmarked;
                if keeps || decides {
                    return Some(format!("{policy:?} keeps it"));
                }
            }
        }
        None
    }
}

pub(crate) fn targets(spec: &Value) -> impl Iterator<Item = &Value> {
    let one = spec.get("targetResource").into_iter();
    one.chain(spec["targetResources"].as_array().into_iter().flatten())
}

/// How many objects have been shown where a policy looks, of each of its kinds, selected or not.
pub(crate) fn base(scene: &Scene<'_>, policy: &PolicyKey, spec: &Value) -> u64 {
    let kinds: BTreeSet<&str> = targets(spec).map(|target| target["kind"].as_str().unwrap()).collect();
    let here = |key: &&ObjectKey| kinds.contains(key.0) && scene.looks_at(policy, spec, &key.1);
    u64::try_from(scene.shown.objects.keys().filter(here).count()).unwrap()
}

/// The most that may go in a window, of so many.
pub(crate) fn allowance(budget: &Value, base: u64) -> u64 {
    let count = budget["count"].as_u64().unwrap_or(u64::MAX);
    let share = match budget["percent"].as_u64() {
        None | Some(100) => u64::MAX,
        Some(percent) => base * percent / 100,
    };
    count.min(share)
}

pub(crate) fn window_of(budget: &Value) -> i64 {
    budget["window"].as_str().map_or(3_600_000, |text| span(text).unwrap())
}

fn rail(spec: &Value, key: &ObjectKey, object: &Value) -> Option<&'static str> {
    let unlocks =
        |word: &str| spec["unlock"].as_array().is_some_and(|list| list.iter().any(|given| given == word));
    let annotation = &object["metadata"]["annotations"]["groundskeeper.dev/protect"];
    match (key.0, key.1.as_str(), key.2.as_str()) {
        (_, "kube-system" | "kube-public" | "kube-node-lease", _) if !unlocks("SystemNamespaces") => {
            Some("a system namespace")
        }
        (_, terms::OWN_NAMESPACE, _) => Some("our own namespace"),
        ("ConfigMap", _, "kube-root-ca.crt") => Some("the control plane puts it there"),
        ("ConfigMap" | "Secret", _, name)
            if name.starts_with("sh.helm.release.v1.") && !unlocks("HelmReleases") =>
        {
            Some("a release of Helm")
        }
        _ if !annotation.is_null() && annotation != "false" => Some("it asks to be left alone"),
        _ => None,
    }
}

/// A text against a pattern with `*` and `?`.
fn fits(glob: &str, text: &str) -> bool {
    match (glob.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            fits(&glob[1..], text)
                || text.chars().next().is_some_and(|first| fits(glob, &text[first.len_utf8()..]))
        }
        (Some('?'), Some(first)) => fits(&glob[1..], &text[first.len_utf8()..]),
        (Some(wanted), Some(first)) => {
            wanted == first && fits(&glob[wanted.len_utf8()..], &text[first.len_utf8()..])
        }
        _ => false,
    }
}

fn names_match(target: &Value, name: &str) -> bool {
    let any = |list: &Value| {
        list.as_array().is_some_and(|list| list.iter().any(|glob| fits(glob.as_str().unwrap(), name)))
    };
    (target["names"].is_null() || any(&target["names"])) && !any(&target["excludeNames"])
}

fn labels_match(selector: &Value, labels: &Value) -> bool {
    let exact =
        selector["matchLabels"].as_object().into_iter().flatten().all(|(key, value)| labels[key] == *value);
    let requirement = |term: &Value| {
        let label = &labels[term["key"].as_str().unwrap()];
        let listed = term["values"].as_array().is_some_and(|values| values.contains(label));
        match term["operator"].as_str().unwrap() {
            "Exists" => !label.is_null(),
            "DoesNotExist" => label.is_null(),
            "In" => listed,
            _ => !listed,
        }
    };
    exact && selector["matchExpressions"].as_array().into_iter().flatten().all(requirement)
}

fn fields_match(fields: &Value, key: &ObjectKey, object: &Value) -> bool {
    let equal = |(path, wanted): (&String, &Value)| {
        at(key, object, path).map_or(String::new(), |found| as_text(&found)) == wanted.as_str().unwrap()
    };
    fields.as_object().into_iter().flatten().all(equal)
}

fn owners_match(rule: &Value, object: &Value, is_orphan: &dyn Fn(&str) -> bool) -> bool {
    if rule.is_null() {
        return true;
    }
    let owners = object["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rule["is"] == "Absent" {
        return owners.is_empty();
    }
    let of_kind = |kinds: &Vec<Value>| owners.iter().any(|owner| kinds.contains(&owner["kind"]));
    !owners.is_empty()
        && rule["kinds"].as_array().is_none_or(of_kind)
        && (rule["is"] != "Gone" || is_orphan(object["metadata"]["uid"].as_str().unwrap()))
}

/// What lies at a path; `null` is nothing.
fn at(key: &ObjectKey, object: &Value, path: &str) -> Option<Value> {
    if path == "metadata.name" {
        return Some(Value::from(key.2.clone()));
    }
    let found = path.split('.').try_fold(object, |value, key| value.get(key))?;
    (!found.is_null()).then(|| found.clone())
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn conditions_hold(conditions: &Value, key: &ObjectKey, object: &Value) -> bool {
    let list = |name: &str| conditions[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let phase = list("phase").is_empty() || list("phase").contains(&object["status"]["phase"]);
    let keyed = |term: &Value, place: &str| {
        let found = &object["metadata"][place][term["key"].as_str().unwrap()];
        if term["value"].is_null() { !found.is_null() } else { *found == term["value"] }
    };
    let holds = |term: &Value| term_holds(term, key, object);
    phase
        && list("hasLabels").iter().all(|term| keyed(term, "labels"))
        && list("hasAnnotations").iter().all(|term| keyed(term, "annotations"))
        && list("and").iter().all(holds)
        && (list("or").is_empty() || list("or").iter().any(holds))
        && !list("not").iter().any(holds)
}

fn term_holds(term: &Value, key: &ObjectKey, object: &Value) -> bool {
    let list = |name: &str| term[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let holds = |term: &Value| term_holds(term, key, object);
    let Some(path) = term["fieldPath"].as_str() else {
        return list("and").iter().all(holds)
            && (list("or").is_empty() || list("or").iter().any(holds))
            && !list("not").iter().any(holds);
    };
    let found = at(key, object, path);
    let equals = |wanted: &Value| found.as_ref().is_some_and(|found| as_text(found) == as_text(wanted));
    let number = || found.as_ref().and_then(|found| as_text(found).parse::<i64>().ok());
    match term["operator"].as_str().unwrap() {
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        "Equals" => equals(&term["value"]),
        "NotEquals" => !equals(&term["value"]),
        "In" => list("values").iter().any(equals),
        "NotIn" => !list("values").iter().any(equals),
        "GreaterThan" => number().is_some_and(|number| number > term["value"].as_i64().unwrap()),
        "LessThan" => number().is_some_and(|number| number < term["value"].as_i64().unwrap()),
        "Matches" => found.is_some_and(|found| resembles(term["value"].as_str().unwrap(), &as_text(&found))),
        other => panic!("no operator {other}"),
    }
}

/// The few regular expressions that the specs use.
fn resembles(pattern: &str, text: &str) -> bool {
    match pattern {
        "[a-z].*" => text.starts_with(|first: char| first.is_ascii_lowercase()),
        "F.*|4" => text.starts_with('F') || text == "4",
        "ci-." => text.starts_with("ci-") && text.len() == 4,
        other => panic!("no pattern {other}"),
    }
}

/// The few expressions that the specs use.
fn when(spec: &Value, key: &ObjectKey, object: &Value, now: i64) -> Truth {
    let truth = |holds: bool| if holds { Truth::Yes } else { Truth::No };
    let Some(text) = spec["when"].as_str() else { return Truth::Yes };
    let quoted = || moment(text.split('\'').nth(1).unwrap()).unwrap();
    match text {
        "has(object.data.ttl)" => truth(!object["data"]["ttl"].is_null()),
        "!has(object.status.phase)" => truth(object["status"]["phase"].is_null()),
        "object.metadata.name.startsWith('ci-')" => truth(key.2.starts_with("ci-")),
        "object.status.n > 3" => object["status"]["n"].as_i64().map_or(Truth::Fails, |n| truth(n > 3)),
        _ if text.starts_with("now >= ") => truth(now >= quoted()),
        _ if text.starts_with("now < ") => truth(now < quoted()),
        other => panic!("no expression {other}"),
    }
}

fn expiry(ttl: &Value, object: &Value, now: i64) -> Time {
    let born = created(object);
    if ttl.is_null() {
        return Time::At(born);
    }
    if let Some(seconds) = ttl["secondsAfterCreation"].as_i64() {
        return Time::At(born + seconds * 1_000);
    }
    if let Some(text) = ttl["after"].as_str() {
        return Time::At(born + span(text).unwrap());
    }
    if ttl["fieldPath"].is_string() {
        return by_field(ttl, object);
    }
    if ttl["relativeTo"].is_string() {
        let done = object["status"]["done"].as_str().and_then(moment);
        return done
            .map_or(Time::Unclear, |done| Time::At(done + ttl["secondsAfter"].as_i64().unwrap() * 1_000));
    }
    if let Some(text) = ttl["at"].as_str() {
        return Time::At(moment(text).unwrap());
    }
    if let Some(text) = ttl["expression"].as_str() {
        return by_expression(text, object, now);
    }
    by_marks(&ttl["marks"]["sources"], object)
}

fn by_field(ttl: &Value, object: &Value) -> Time {
    let born = created(object);
    let default = ttl["default"].as_str().map_or(Time::Unclear, |text| Time::At(born + span(text).unwrap()));
    let found = &object["data"]["ttl"];
    if found.is_null() {
        return default;
    }
    let text = as_text(found);
    let mapped = &ttl["mappings"][text.as_str()];
    if let Some(seconds) = mapped.as_i64() {
        return Time::At(born + seconds * 1_000);
    }
    if let Some(life) = mapped.as_str() {
        return Time::At(born + span(life).unwrap());
    }
    match text.as_str() {
        "99999999999999999999" => Time::Never,
        text => match (text.parse::<i64>(), span(text)) {
            (Ok(seconds), _) if seconds > 0 => Time::At(born + seconds * 1_000),
            (Ok(_), _) => Time::Unclear,
            (_, Some(span)) => Time::At(born + span),
            _ => default,
        },
    }
}

/// The few expressions that the specs use; what stands in quotes is theirs to choose.
fn by_expression(text: &str, object: &Value, now: i64) -> Time {
    let born = created(object);
    let quoted: Vec<&str> = text.split('\'').skip(1).step_by(2).collect();
    let after = |index: usize| Time::At(born + span(quoted[index]).unwrap());
    let form: Vec<&str> = text.split('\'').step_by(2).collect();
    match form.join("").as_str() {
        "timestamp(object.metadata.creationTimestamp) + duration()" => after(0),
        "has(object.data.ttl) ? duration() : null" => {
            if object["data"]["ttl"].is_null() {
                Time::Never
            } else {
                after(0)
            }
        }
        "now + duration()" => Time::At(now + span(quoted[0]).unwrap()),
        "object.status.n > 5 ? duration() : duration()" => match object["status"]["n"].as_i64() {
            Some(n) => after(usize::from(n <= 5)),
            None => Time::Unclear,
        },
        "now >= timestamp() ? duration() : duration()" => {
            after(if now >= moment(quoted[0]).unwrap() { 1 } else { 2 })
        }
        other => panic!("no expression {other}"),
    }
}

fn by_marks(sources: &Value, object: &Value) -> Time {
    let mark = |key: &str| object["metadata"]["annotations"][key].as_str();
    let mut times = Vec::new();
    for source in sources.as_array().unwrap() {
        if source == "Groundskeeper" {
            times.extend(mark("groundskeeper.dev/ttl").map(|text| {
                let life = text.parse().ok().map(|seconds: i64| seconds * 1_000).or_else(|| span(text));
                life.filter(|life| *life > 0).map_or(Time::Unclear, |life| Time::At(created(object) + life))
            }));
            times.extend(
                mark("groundskeeper.dev/expires").map(|text| moment(text).map_or(Time::Unclear, Time::At)),
            );
        } else {
            times.extend(mark("janitor/ttl").map(|text| match text {
                "forever" => Time::Never,
                // It knows one number with one unit.
                "1m30s" => Time::Unclear,
                text => Time::At(created(object) + span(text).unwrap()),
            }));
        }
    }
    let earliest =
        times.iter().filter_map(|time| if let Time::At(at) = time { Some(*at) } else { None }).min();
    match earliest {
        _ if times.contains(&Time::Unclear) => Time::Unclear,
        Some(at) => Time::At(at),
        None if times.is_empty() => Time::Unmarked,
        None => Time::Never,
    }
}

fn group_of(keep: &Value, object: &Value) -> String {
    let by = &keep["groupBy"];
    let text = |value: &Value| if value.is_null() { String::new() } else { as_text(value) };
    if by["label"].is_string() {
        return text(&object["metadata"]["labels"]["app"]);
    }
    if by["fieldPath"].is_string() {
        return text(&object["status"]["phase"]);
    }
    if by["owner"] == true {
        let owners = object["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
        let controller = owners.iter().find(|owner| owner["controller"] == true).or(owners.first());
        return controller.map_or(String::new(), |owner| text(&owner["uid"]));
    }
    String::new()
}

fn window_is_open(spec: &Value, now: i64) -> bool {
    let schedule = &spec["schedule"];
    if schedule.is_null() {
        return true;
    }
    let zone = TimeZone::get(schedule["timeZone"].as_str().unwrap()).unwrap();
    let wall = zone.to_datetime(Timestamp::from_millisecond(now).unwrap());
    let clock = format!("{:02}:{:02}", wall.hour(), wall.minute());
    let name = |day: Weekday| match day {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    };
    let today = wall.date().weekday();
    schedule["windows"].as_array().unwrap().iter().any(|window| {
        let on = |day: Weekday| {
            window["days"].as_array().is_none_or(|days| days.iter().any(|given| given == name(day)))
        };
        let (from, to) = (window["from"].as_str().unwrap(), window["to"].as_str().unwrap());
        let clock = clock.as_str();
        if from < to {
            on(today) && from <= clock && clock < to
        } else {
            (on(today) && from <= clock) || (on(today.previous()) && clock < to)
        }
    })
}

pub(crate) fn created(object: &Value) -> i64 {
    moment(object["metadata"]["creationTimestamp"].as_str().unwrap()).unwrap()
}

fn moment(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// `2m30s` in milliseconds.
fn span(text: &str) -> Option<i64> {
    let (mut sum, mut number) = (0, String::new());
    for letter in text.chars() {
        let unit = match letter {
            digit if digit.is_ascii_digit() => {
                number.push(digit);
                continue;
            }
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        sum += number.parse::<i64>().ok()? * unit * 1_000;
        number.clear();
    }
    (number.is_empty() && !text.is_empty()).then_some(sum)
}
