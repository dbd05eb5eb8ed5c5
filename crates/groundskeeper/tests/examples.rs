//! The examples of `docs/gc`: each is a file with policies, objects, and at its top the verdicts that it promises.
//!
//! They are judged by the real binary: what the pages show is what `groundskeeper plan` says.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, iter};

use serde_json::Value;

/// Properties whose own properties are those of `targetResource`, of its `labelSelector`, or of `conditions.and[]`, which
/// have the examples.
const ALIKE: [&str; 7] = [
    "targetResources[]",
    "namespaces.selector",
    "conditions.or[]",
    "conditions.not[]",
    "conditions.and[].and[]",
    "conditions.and[].or[]",
    "conditions.and[].not[]",
];

/// What an example's first lines say.
#[derive(Debug)]
struct Promise {
    title: String,
    shows: Vec<String>,
    at: String,
    verdicts: BTreeSet<Verdict>,
}

/// Policy (empty if there is only one), `Kind/name`, verdict and reason.
type Verdict = (String, String, String, String);

#[derive(Debug)]
struct Example {
    file: PathBuf,
    promise: Promise,
    policies: Vec<Value>,
}

#[test]
fn every_example_is_judged_as_it_says() {
    let mut wrong = Vec::new();
    for example in examples() {
        let found = example.judge();
        let show = |verdicts: BTreeSet<&Verdict>| {
            let lines = verdicts
                .into_iter()
                .map(|(policy, object, verdict, reason)| format!("\n  {policy} {object} {verdict} {reason}"));
            lines.collect::<String>()
        };
        if found != example.promise.verdicts {
            let (promised, found) = (&example.promise.verdicts, &found);
            wrong.push(format!(
                "{}\n promised{}\n found{}",
                example.file.display(),
                show(promised.difference(found).collect()),
                show(found.difference(promised).collect())
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_field_has_an_example_that_sets_it() {
    let examples = examples();
    let mut wrong = Vec::new();
    for field in fields() {
        let shown: Vec<_> = examples.iter().filter(|example| example.promise.shows(&field)).collect();
        match &*shown {
            [example] if example.sets(&field) => {}
            [example] => wrong.push(format!("{} shows {field} and does not set it", example.file.display())),
            [] => wrong.push(format!("no example shows {field}")),
            several => wrong.push(format!("{} examples show {field}", several.len())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_of_the_cookbook_is_on_its_page() {
    let page = fs::read_to_string(docs().join("cookbook.md")).unwrap();
    for example in examples().iter().filter(|example| example.file.parent().unwrap().ends_with("cookbook")) {
        let link = format!("](examples/cookbook/{})", example.file.file_name().unwrap().to_str().unwrap());
        assert!(page.contains(&link), "{} is not in the cookbook: {link}", example.file.display());
        let heading = format!("\n## {}\n", example.promise.title);
        assert!(page.contains(&heading), "{} has another heading: {heading}", example.file.display());
    }
}

#[test]
fn the_pages_promise_no_reason_that_the_reference_does_not_explain() {
    let page = docs().join("../reference/garbagecollectionpolicy.md");
    let page = fs::read_to_string(page).unwrap();
    for example in examples() {
        for (_, object, verdict, reason) in &example.promise.verdicts {
            let row = format!("| `{verdict}` | `{reason}` |");
            assert!(page.contains(&row), "{}: {object}: {row}", example.file.display());
        }
    }
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/gc")
}

fn examples() -> Vec<Example> {
    let folder = |name: &str| fs::read_dir(docs().join("examples").join(name)).unwrap();
    let files = folder("fields").chain(folder("cookbook")).map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    files.into_iter().map(Example::read).collect()
}

impl Example {
    fn read(file: PathBuf) -> Self {
        let text = fs::read_to_string(&file).unwrap();
        let promise = Promise::read(&text).unwrap_or_else(|| panic!("{} promises nothing", file.display()));
        let parse = |document: &str| {
            serde_saphyr::from_str::<Value>(document)
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        };
        let mut policies: Vec<Value> = text.split("\n---\n").map(parse).collect();
        policies.retain(|document| document["apiVersion"] == "groundskeeper.dev/v1alpha1");
        Self { file, promise, policies }
    }

    /// The verdict on every object that a policy looks at.
    fn judge(&self) -> BTreeSet<Verdict> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_groundskeeper"));
        command.arg("plan").arg("-f").arg(&self.file).args(["--at", &self.promise.at, "-o", "json"]);
        let output = command.env_remove("KUBECONFIG").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{}: {said}", self.file.display());
        let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        plan["items"].as_array().unwrap().iter().map(|item| self.verdict(item)).collect()
    }

    fn verdict(&self, item: &Value) -> Verdict {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let policy = text(&item["policy"]);
        let policy = policy.rsplit('/').next().filter(|_| self.policies.len() > 1).unwrap_or_default();
        let object = format!("{}/{}", text(&item["object"]["kind"]), text(&item["object"]["name"]));
        (policy.to_owned(), object, text(&item["verdict"]), text(&item["reason"]))
    }

    /// Whether one of its policies sets a field, or the one that is alike.
    fn sets(&self, field: &str) -> bool {
        let alike =
            ["conditions.or[]", "conditions.not[]"].map(|list| field.replace("conditions.and[]", list));
        let sets = |policy: &Value| {
            is_set(&policy["spec"], field) || alike.iter().any(|field| is_set(&policy["spec"], field))
        };
        self.policies.iter().any(sets)
    }
}

fn is_set(spec: &Value, field: &str) -> bool {
    let mut values = vec![spec];
    for step in field.split('.') {
        let (key, is_list) = step.strip_suffix("[]").map_or((step, false), |key| (key, true));
        values = values.into_iter().filter_map(|value| value.get(key)).collect();
        if is_list {
            values = values.into_iter().filter_map(Value::as_array).flatten().collect();
        }
    }
    !values.is_empty()
}

impl Promise {
    fn read(text: &str) -> Option<Self> {
        let comments = text.lines().map_while(|line| line.strip_prefix('#')).collect::<Vec<_>>();
        let title = comments.first()?.trim().to_owned();
        let starts = |start: &str| comments.iter().position(|line| line.starts_with(start));
        let at = starts(" At ")?;
        let moment = comments[at].trim().strip_prefix("At ")?.strip_suffix(':')?.to_owned();
        let shows = starts(" Shows: ").map(|from| comments[from..at].concat().replace(" Shows: ", ""));
        let shows = shows.iter().flat_map(|shows| shows.split(',')).map(|field| field.trim().to_owned());
        let verdicts = comments[at + 1..].iter().map(|row| verdict(row)).collect::<Option<_>>()?;
        Some(Self { title, shows: shows.collect(), at: moment, verdicts })
    }

    /// Whether this is where a field is explained: it is named, or what it is a part of and nothing more exact.
    fn shows(&self, field: &str) -> bool {
        let is_part = |named: &String| {
            let rest = field.strip_prefix(&**named);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.shows.iter().any(is_part)
    }
}

fn verdict(row: &str) -> Option<Verdict> {
    let mut words = row.split_whitespace().map(str::to_owned).peekable();
    let policy = words.next_if(|word| word.ends_with(':')).unwrap_or_default();
    let policy = policy.trim_end_matches(':').to_owned();
    let found = (policy, words.next()?, words.next()?, words.next()?);
    words.next().is_none().then_some(found)
}

/// The paths of all fields of a spec that hold a value of their own.
fn fields() -> Vec<String> {
    let crds = api::crds();
    let crd = crds.iter().find(|crd| crd.spec.names.kind == "GarbageCollectionPolicy").unwrap();
    let crd = serde_json::to_value(crd).unwrap();
    let spec = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
    let mut found = Vec::new();
    add_fields(spec, "", &mut found);
    found
}

fn add_fields(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = iter::once(path).filter(|path| !path.is_empty()).chain([&**name]);
        let path = path.collect::<Vec<_>>().join(".");
        let (inner, below) = if property["items"]["properties"].is_object() {
            (&property["items"], format!("{path}[]"))
        } else {
            (property, path.clone())
        };
        if ALIKE.contains(&&*below) || !inner["properties"].is_object() {
            found.push(path);
        } else {
            add_fields(inner, &below, found);
        }
    }
}
