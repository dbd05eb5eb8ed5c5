//! The real binary, run on files as a person or a script would run it. No cluster is needed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const NOON: &str = "2026-11-21T12:00:00Z";

const POLICY: &str = r"
apiVersion: groundskeeper.dev/v1alpha1
kind: GarbageCollectionPolicy
metadata: {name: sweep, namespace: team}
spec:
  targetResource:
    apiVersion: v1
    kind: ConfigMap
    labelSelector: {matchLabels: {tmp: 'yes'}}
  ttl: {secondsAfterCreation: 3600}
  mode: Enforce
  budget: {percent: 100}
";

const OBJECTS: &str = r#"
# Old, young, protected, and not selected.
apiVersion: v1
kind: ConfigMap
metadata: {name: old, namespace: team, labels: {tmp: "yes"}, creationTimestamp: 2026-11-21T10:00:00Z}
data: {a: b}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: young, namespace: team, uid: u-1, labels: {tmp: "yes"}, creationTimestamp: "2026-11-21T11:55:00Z"}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: kept
  namespace: team
  labels: {tmp: "yes"}
  annotations: {groundskeeper.dev/protect: "true"}
  creationTimestamp: 2026-11-21T10:00:00Z
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other, namespace: team, creationTimestamp: 2026-11-21T10:00:00Z}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: elsewhere, namespace: garden, labels: {tmp: "yes"}, creationTimestamp: 2026-11-21T10:00:00Z}
---
apiVersion: v1
kind: Secret
metadata: {name: secret, namespace: team, labels: {tmp: "yes"}, creationTimestamp: 2026-11-21T10:00:00Z}
"#;

/// A directory with files, in which the binary is run.
struct Shed(TempDir);

impl Shed {
    fn with(files: &[(&str, &str)]) -> Self {
        let shed = Self(TempDir::new().unwrap());
        for (name, content) in files {
            shed.put(name, content);
        }
        shed
    }

    fn put(&self, name: &str, content: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn command(&self, arguments: &str) -> Command {
        command(self.0.path(), arguments)
    }

    fn run(&self, arguments: &str) -> Outcome {
        Outcome::from(self.command(arguments).output().unwrap())
    }

    fn run_with_input(&self, arguments: &str, input: &str) -> Outcome {
        let piped = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = piped.unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Outcome::from(child.wait_with_output().unwrap())
    }

    /// The plan as JSON, at noon.
    fn plan(&self, arguments: &str) -> Value {
        self.run(&format!("plan -o json --at {NOON} {arguments}")).json()
    }
}

/// The binary, cut off from the cluster that a developer may have configured.
fn command(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_groundskeeper"));
    command.args(arguments.split_whitespace()).current_dir(folder).stdin(Stdio::null());
    command
        .env("KUBECONFIG", folder.join("no-kubeconfig"))
        .env_remove("POD_NAMESPACE")
        .env_remove("KUBERNETES_SERVICE_HOST");
    command
}

#[derive(Debug)]
struct Outcome {
    status: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Outcome {
    fn json(self) -> Value {
        assert_eq!((self.status, &*self.err), (Some(0), ""));
        serde_json::from_str(&self.out).unwrap()
    }

    /// What stands on standard error, if the run failed in good order.
    fn complaint(self) -> String {
        assert_eq!((self.status, &*self.out), (Some(1), ""), "{self:?}");
        assert!(self.err.starts_with("error: ") && !self.err.contains("panicked"), "{}", self.err);
        self.err
    }
}

/// Names with verdicts and reasons, in the order of the plan.
fn verdicts(plan: &Value) -> Vec<[&str; 3]> {
    let items = plan["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| [text(&item["object"]["name"]), text(&item["verdict"]), text(&item["reason"])])
        .collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn config_map(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": name, "namespace": "team", "labels": {"tmp": "yes"}, "creationTimestamp": "2026-11-21T10:00:00Z",
        },
    })
}

// The plan.

#[test]
fn the_table_shows_what_policies_select_and_counts_the_rest() {
    let shed = Shed::with(&[("policy.yaml", POLICY), ("objects.yaml", OBJECTS)]);

    let shown = shed.run(&format!("plan -f policy.yaml -f objects.yaml --at {NOON}"));

    assert_eq!((shown.status, &*shown.err), (Some(0), ""));
    insta::assert_snapshot!(shown.out, @"
    POLICY       KIND        NAMESPACE/NAME   VERDICT     REASON                  EXPIRES
    team/sweep   ConfigMap   team/old         Delete      Expired                 1h ago
    team/sweep   ConfigMap   team/young       Keep        NotYet                  in 55m
    team/sweep   ConfigMap   team/kept        Protected   ProtectedByAnnotation   -

    Not shown: 1 that the policies do not select (--all shows them).
    1 to delete, 1 to keep, 1 protected, 0 unresolvable (at 2026-11-21T12:00:00Z)
    ");
    let wide = shed.run(&format!("plan -f policy.yaml -f objects.yaml --at {NOON} -o wide")).out;
    assert!(
        wide.contains("EXPIRES   MESSAGE\n") && wide.contains("1h ago    its time was up 1h ago\n"),
        "{wide}"
    );
    let all = shed.run(&format!("plan -f policy.yaml -f objects.yaml --at {NOON} --all")).out;
    assert!(all.contains("team/other") && !all.contains("Not shown"), "{all}");
}

#[test]
fn the_json_is_a_contract() {
    let shed = Shed::with(&[("policy.yaml", POLICY), ("objects.yaml", OBJECTS)]);

    let plan = shed.plan("-f policy.yaml -f objects.yaml");

    let item = |name: &str, uid: &str, verdict: &str, reason: &str, message: &str, expires_at: Value| {
        json!({
            "policy": "team/sweep",
            "object": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "team", "name": name, "uid": uid},
            "verdict": verdict, "reason": reason, "message": message, "expiresAt": expires_at,
        })
    };
    assert_eq!(
        plan,
        json!({
            "apiVersion": "groundskeeper.dev/v1alpha1",
            "kind": "Plan",
            "at": NOON,
            "items": [
                item("old", "", "Delete", "Expired", "its time was up 1h ago", json!("2026-11-21T11:00:00Z")),
                item("young", "u-1", "Keep", "NotYet", "its time is up in 55m", json!("2026-11-21T12:55:00Z")),
                item("kept", "", "Protected", "ProtectedByAnnotation", "it carries the annotation groundskeeper.dev/protect", Value::Null),
                item("other", "", "Keep", "NotSelected", "the policy does not select it: its labels do not meet `tmp=yes` of labelSelector", Value::Null),
            ],
            "summary": {"delete": 1, "keep": 2, "protected": 1, "unresolvable": 0},
            "warnings": [],
        })
    );
}

#[test]
fn the_moment_decides_and_defaults_to_now() {
    let shed = Shed::with(&[("policy.yaml", POLICY), ("objects.yaml", OBJECTS)]);
    let deleted = |at: &str| {
        shed.run(&format!("plan -o json -f policy.yaml -f objects.yaml {at}")).json()["summary"]["delete"]
            .clone()
    };

    assert_eq!(deleted("--at 2026-11-21T10:59:59Z"), 0);
    assert_eq!(deleted("--at 2026-11-21T11:00:00Z"), 1);
    assert_eq!(deleted("--at 2026-11-21T13:00:00+00:00"), 2);
    assert_eq!(deleted("--at 2126-11-21T13:00:00Z"), 2);
    let now = shed.run("plan -o json -f policy.yaml -f objects.yaml").json();
    assert!(now["at"].as_str().unwrap() > "2026-01-01", "{}", now["at"]);
    let complaint = shed.run("plan -f policy.yaml --at tomorrow").complaint();
    assert!(complaint.contains("write a time as RFC 3339, such as 2026-11-21T04:00:00Z"), "{complaint}");
}

#[test]
fn the_exit_status_tells_whether_there_is_something_to_delete_only_if_asked() {
    let shed = Shed::with(&[("policy.yaml", POLICY), ("objects.yaml", OBJECTS)]);
    let status =
        |arguments: &str| shed.run(&format!("plan -f policy.yaml -f objects.yaml {arguments}")).status;

    assert_eq!(status(&format!("--at {NOON}")), Some(0));
    assert_eq!(status(&format!("--at {NOON} --exit-code")), Some(2));
    assert_eq!(status(&format!("--at {NOON} --exit-code -o json")), Some(2));
    assert_eq!(status("--at 2026-11-21T10:30:00Z --exit-code"), Some(0));
    assert_eq!(status(&format!("--at {NOON} --exit-code -f missing.yaml")), Some(1));
    assert_eq!(status("--no-such-flag"), Some(1));
}

#[test]
fn paused_policies_dry_runs_and_rails_are_told() {
    let change = |from: &str, to: &str| POLICY.replace(from, to);
    let table = [
        (change("spec:", "spec:\n  paused: true"), ["old", "Keep", "Paused"]),
        (change("spec:", "spec:\n  behavior: {dryRun: true}"), ["old", "Delete", "Expired"]),
        (change("team", "kube-system"), ["old", "Protected", "SystemNamespace"]),
        (change("team", "groundskeeper-system"), ["old", "Protected", "OwnNamespace"]),
    ];
    for (policy, expected) in table {
        let namespace =
            policy.split_once("namespace: ").and_then(|(_, rest)| rest.split_once('}')).unwrap().0;
        let shed =
            Shed::with(&[("policy.yaml", &policy), ("objects.yaml", &OBJECTS.replace("team", namespace))]);
        assert!(verdicts(&shed.plan("-f policy.yaml -f objects.yaml")).contains(&expected), "{policy}");
    }
    let shed = Shed::with(&[("policy.yaml", POLICY), ("objects.yaml", OBJECTS)]);
    let own = shed.plan("-f policy.yaml -f objects.yaml --own-namespace team");
    assert!(verdicts(&own).contains(&["old", "Protected", "OwnNamespace"]));
}

#[test]
fn an_object_without_a_creation_time_is_unresolvable() {
    let shed = Shed::with(&[("policy.yaml", POLICY)]);
    shed.put("new.json", r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"x-","namespace":"team","labels":{"tmp":"yes"}}}"#);

    assert_eq!(verdicts(&shed.plan("-f policy.yaml -f new.json")), [["", "Unresolvable", "NoCreationTime"]]);
}

// What it reads.

#[test]
fn one_file_may_hold_policies_and_objects_in_any_order() {
    let shed = Shed::with(&[("all.yaml", &format!("{OBJECTS}---\n{POLICY}"))]);
    assert_eq!(shed.plan("-f all.yaml")["summary"]["delete"], 1);
}

#[test]
fn lists_are_unfolded_in_yaml_and_json() {
    let policy: Value = serde_saphyr::from_str(POLICY).unwrap();
    let plain =
        json!({"apiVersion": "v1", "kind": "List", "items": [config_map("a"), policy, config_map("b")]});
    let mut bare = config_map("a");
    bare.as_object_mut().unwrap().retain(|key, _| key == "metadata");
    let typed = json!({"items": [bare], "kind": "ConfigMapList", "metadata": {"resourceVersion": "7"}, "apiVersion": "v1"});
    let policies = json!({"apiVersion": "groundskeeper.dev/v1alpha1", "kind": "GarbageCollectionPolicyList", "items": [policy]});
    let shed = Shed::with(&[
        ("plain.json", &plain.to_string()),
        ("plain.yaml", &serde_saphyr::to_string(&plain).unwrap()),
        ("typed.json", &typed.to_string()),
        ("policies.yaml", &serde_saphyr::to_string(&policies).unwrap()),
    ]);

    for file in ["plain.json", "plain.yaml"] {
        assert_eq!(
            verdicts(&shed.plan(&format!("-f {file}"))),
            [["a", "Delete", "Expired"], ["b", "Delete", "Expired"]]
        );
    }
    assert_eq!(verdicts(&shed.plan("-f typed.json -f policies.yaml")), [["a", "Delete", "Expired"]]);
}

#[test]
fn an_empty_list_of_objects_is_an_answer_and_no_reason_to_ask_a_cluster() {
    let shed = Shed::with(&[("policy.yaml", POLICY)]);
    for items in ["[]", "null"] {
        shed.put("none.yaml", &format!("apiVersion: v1\nkind: List\nitems: {items}\n"));
        let plan = shed.run(&format!("plan -f policy.yaml -f none.yaml --at {NOON}"));
        assert_eq!(
            plan.out,
            "0 to delete, 0 to keep, 0 protected, 0 unresolvable (at 2026-11-21T12:00:00Z)\n"
        );
    }
}

#[test]
fn a_directory_stands_for_its_manifests_but_not_those_below() {
    let shed = Shed::with(&[
        ("all/policy.yml", POLICY),
        ("all/a.json", &config_map("a").to_string()),
        ("all/b.yaml", &config_map("b").to_string()),
        ("all/notes.txt", "not: [a manifest"),
        ("all/below/c.json", &config_map("c").to_string()),
        ("empty/notes.txt", ""),
    ]);

    assert_eq!(verdicts(&shed.plan("-f all")), [["a", "Delete", "Expired"], ["b", "Delete", "Expired"]]);
    assert!(shed.run("plan -f empty").complaint().contains("empty holds no *.yaml, *.yml or *.json file"));
}

#[test]
fn standard_input_is_read_once() {
    let shed = Shed::with(&[("policy.yaml", POLICY)]);

    let plan = shed.run_with_input(&format!("plan -o json --at {NOON} -f policy.yaml -f -"), OBJECTS).json();

    assert_eq!(plan["summary"]["delete"], 1);
    let twice = shed.run("plan -f - -f -").complaint();
    assert!(twice.contains("standard input (-) can be read only once"), "{twice}");
    let wrong = shed.run_with_input("plan -f -", "a: 1").complaint();
    assert!(wrong.contains("standard input, document 1: it has no apiVersion"), "{wrong}");
}

#[test]
fn manifests_without_a_namespace_lie_in_the_one_that_is_named() {
    let bare = |text: &str| text.replace(", namespace: team", "");
    let shed = Shed::with(&[("policy.yaml", &bare(POLICY)), ("objects.yaml", &bare(OBJECTS))]);

    let fallback = shed.plan("-f policy.yaml -f objects.yaml");
    let named = shed.plan("-f policy.yaml -f objects.yaml --namespace team");

    assert_eq!(
        (&fallback["items"][0]["policy"], &fallback["summary"]["delete"]),
        (&json!("default/sweep"), &json!(1))
    );
    assert_eq!(
        (&named["items"][0]["policy"], &named["summary"]["delete"]),
        (&json!("team/sweep"), &json!(1))
    );
    assert!(shed.run("plan -f policy.yaml -n Team").complaint().contains("a namespace has 1 to 63"));
}

#[test]
fn another_version_of_a_kind_is_the_same_kind() {
    let policy = POLICY.replace("apiVersion: v1\n", "apiVersion: batch/v1\n").replace("ConfigMap", "CronJob");
    let object =
        config_map("a").to_string().replace("ConfigMap", "CronJob").replace(r#""v1""#, r#""batch/v1beta1""#);
    let shed = Shed::with(&[("policy.yaml", &policy), ("object.json", &object)]);

    assert_eq!(verdicts(&shed.plan("-f policy.yaml -f object.json")), [["a", "Delete", "Expired"]]);
}

// What it refuses.

#[test]
fn without_a_policy_it_says_what_to_write() {
    let shed = Shed::with(&[("objects.yaml", OBJECTS)]);
    let complaint = shed.run("plan -f objects.yaml").complaint();
    assert!(
        complaint.contains(
            "there is no policy in objects.yaml: give a file with `apiVersion: groundskeeper.dev/v1alpha1`"
        ),
        "{complaint}"
    );
    assert!(shed.run("plan").complaint().contains("--filename <FILE>"));
}

#[test]
fn without_objects_it_asks_a_cluster() {
    let shed = Shed::with(&[("policy.yaml", POLICY)]);
    let complaint = shed.run("plan -f policy.yaml").complaint();
    assert!(
        complaint.contains("found no cluster to talk to") && complaint.contains("--kubeconfig"),
        "{complaint}"
    );
    let complaint = shed.run("plan -f policy.yaml --kubeconfig nowhere").complaint();
    assert!(complaint.contains("cannot use the kubeconfig nowhere"), "{complaint}");
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let mistakes = [
        (
            "kind: ConfigMap\n",
            "kind: Config Map\n",
            "document 1: policy team/sweep: targetResource.kind: `Config Map` is not a kind",
        ),
        (
            "3600",
            "0",
            "document 1: policy team/sweep: ttl.secondsAfterCreation is 0: write seconds from 1 to",
        ),
        ("3600}", "3600, secondsAfterUpdate: 1}", "document 1, line 10: unknown field `secondsAfterUpdate`"),
        ("spec:", "spec:\n  pausd: true", "document 1, line 6: unknown field `pausd`"),
        ("spec:", "extra: 1\nspec:", "document 1, line 5: unknown field `extra`"),
        ("name: sweep, ", "", "document 1: the policy has no name: write metadata.name"),
        (
            "dev/v1alpha1",
            "dev/v1",
            "document 1: apiVersion is groundskeeper.dev/v1, which this program does not know: write groundskeeper.dev/v1alpha1",
        ),
        (
            "kind: ConfigMap\n",
            "kind: ConfigMap\n    namespace: garden\n",
            "targetResource.namespace is `garden`, but a policy collects only in its own namespace, `team`",
        ),
        ("apiVersion: groundskeeper.dev/v1alpha1", "", "document 1: it has no apiVersion"),
        ("{name: sweep", "{name: [sweep", "document 1, line 4: "),
    ];
    for (from, to, expected) in mistakes {
        assert!(POLICY.contains(from));
        let shed = Shed::with(&[("policy.yaml", &POLICY.replacen(from, to, 1)), ("objects.yaml", OBJECTS)]);
        let complaint = shed.run("plan -f policy.yaml -f objects.yaml").complaint();
        assert!(complaint.starts_with("error: policy.yaml, ") && complaint.contains(expected), "{complaint}");
    }
    let two = format!(
        "{}---{}",
        POLICY.replace("3600", "0"),
        POLICY.replace("sweep", "rake").replace("kind: ConfigMap", "kind: ''")
    );
    let shed = Shed::with(&[("policies.yaml", &two), ("objects.yaml", OBJECTS)]);
    let complaint = shed.run("plan -f policies.yaml -f objects.yaml").complaint();
    assert!(
        complaint
            .starts_with("error: there are 2 problems:\n  policies.yaml, document 1: policy team/sweep: ttl"),
        "{complaint}"
    );
    assert!(
        complaint.contains("\n  policies.yaml, document 2: policy team/rake: targetResource.kind"),
        "{complaint}"
    );
}

#[test]
fn a_mistake_in_a_listed_policy_names_its_item() {
    let mut policy: Value = serde_saphyr::from_str(POLICY).unwrap();
    policy["spec"]["pausd"] = json!(true);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [config_map("a"), policy]});
    let shed = Shed::with(&[("list.json", &list.to_string())]);
    let complaint = shed.run("plan -f list.json").complaint();
    assert!(
        complaint.starts_with("error: list.json, document 1, items[1]: unknown field `pausd`"),
        "{complaint}"
    );
}

#[test]
fn what_is_given_twice_is_refused() {
    let shed = Shed::with(&[("policy.yaml", POLICY), ("objects.yaml", OBJECTS)]);
    let complaint = shed.run("plan -f policy.yaml -f policy.yaml -f objects.yaml").complaint();
    assert!(
        complaint.contains("policy.yaml, document 1: policy team/sweep is given a second time"),
        "{complaint}"
    );
    let complaint = shed.run("plan -f policy.yaml -f objects.yaml -f objects.yaml").complaint();
    assert!(complaint.contains("ConfigMap team/old is given twice"), "{complaint}");
}

#[test]
fn files_that_cannot_be_read_are_named_together() {
    let shed = Shed::with(&[]);
    std::fs::write(shed.0.path().join("binary.yaml"), b"a: \xff").unwrap();
    let complaint = shed.run("plan -f missing.yaml -f binary.yaml").complaint();
    assert!(
        complaint.contains("cannot read missing.yaml: No such file")
            && complaint.contains("binary.yaml is not UTF-8 after byte 3"),
        "{complaint}"
    );
}

#[test]
fn a_file_that_is_too_large_is_refused() {
    let shed = Shed::with(&[]);
    std::fs::File::create(shed.0.path().join("huge.yaml")).unwrap().set_len(64 * 1024 * 1024 + 1).unwrap();
    assert!(shed.run("plan -f huge.yaml").complaint().contains("huge.yaml is larger than 64 MiB: split it"));
}

#[test]
fn nothing_that_a_file_holds_steers_the_terminal() {
    let name = "a\u{1b}[2J\nb";
    let shed = Shed::with(&[("policy.yaml", POLICY), ("evil.json", &config_map(name).to_string())]);
    let plan = shed.run(&format!("plan -f policy.yaml -f evil.json --at {NOON}"));
    assert!(plan.out.contains("team/a\u{fffd}[2J\u{fffd}b") && !plan.out.contains('\u{1b}'), "{}", plan.out);
    shed.put("evil.yaml", "apiVersion: \"\\e[2J\"\nkind: X\n");
    let complaint = shed.run("plan -f evil.yaml").complaint();
    assert!(!complaint.contains('\u{1b}'), "{complaint}");
}

// What policies of all forms look at.

/// A policy, with a spec as it is written in JSON.
#[allow(clippy::needless_pass_by_value, reason = "written in place")]
fn policy(kind: &str, name: &str, spec: Value) -> String {
    let mut metadata = json!({"name": name});
    if kind == "GarbageCollectionPolicy" {
        metadata["namespace"] = json!("team");
    }
    json!({"apiVersion": "groundskeeper.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
        .to_string()
}

/// An object that was made at ten, with changes.
fn object(api_version: &str, kind: &str, place: &str, change: impl FnOnce(&mut Value)) -> String {
    let (namespace, name) = place.split_once('/').unwrap_or(("", place));
    let mut object = json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {"name": name, "uid": format!("u-{name}"), "creationTimestamp": "2026-11-21T10:00:00Z"},
    });
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    change(&mut object);
    object.to_string()
}

/// The plan at noon of one policy and some objects: names with verdicts and reasons.
fn planned(policy: &str, objects: &[String]) -> Vec<[String; 3]> {
    let shed = Shed::with(&[("policy.json", policy), ("objects.json", &objects.join("\n"))]);
    let plan = shed.plan("-f policy.json -f objects.json");
    verdicts(&plan).into_iter().map(|row| row.map(ToOwned::to_owned)).collect()
}

#[test]
fn a_policy_of_the_cluster_looks_where_its_namespaces_are_labelled_and_where_there_are_none() {
    let spec = json!({
        "targetResources": [
            {"apiVersion": "v1", "kind": "ConfigMap"},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "names": ["tmp-*"]},
            {"apiVersion": "example.com/v1", "kind": "Gizmo"},
        ],
        "namespaces": {"selector": {"matchLabels": {"kind": "preview"}}},
        "ttl": {"after": "1h"}, "mode": "Enforce", "budget": {"percent": 100},
    });
    let label = |namespace: &mut Value| namespace["metadata"]["labels"] = json!({"kind": "preview"});
    let objects = [
        object("v1", "Namespace", "pr-1", label),
        object("v1", "Namespace", "live", |_| {}),
        object("v1", "ConfigMap", "pr-1/due", |_| {}),
        object("v1", "ConfigMap", "live/kept", |_| {}),
        object("rbac.authorization.k8s.io/v1", "ClusterRole", "tmp-1", |_| {}),
        object("rbac.authorization.k8s.io/v1", "ClusterRole", "view", |_| {}),
        object("example.com/v1", "Gizmo", "everywhere", |_| {}),
    ];
    let mut seen = planned(&policy("ClusterGarbageCollectionPolicy", "previews", spec), &objects);
    seen.sort();
    assert_eq!(
        seen,
        [
            ["due", "Delete", "Expired"],
            ["everywhere", "Delete", "Expired"],
            ["tmp-1", "Delete", "Expired"],
            ["view", "Keep", "NotSelected"]
        ]
    );
}

#[test]
fn what_policies_read_of_an_object_is_read_from_files() {
    let spec = json!({
        "targetResource": {"apiVersion": "batch/v1", "kind": "Job"},
        "ttl": {"relativeTo": "status.conditions[?type=Complete].lastTransitionTime", "secondsAfter": 60},
        "conditions": {"and": [{"fieldPath": "spec.parallelism", "operator": "LessThan", "value": 3}]},
        "mode": "Enforce",
    });
    let job = |name: &str, parallelism: i64, done: Option<&str>| {
        object("batch/v1", "Job", &format!("team/{name}"), |job| {
            job["spec"] = json!({"parallelism": parallelism, "template": {"spec": {"containers": []}}});
            if let Some(done) = done {
                job["status"]["conditions"] =
                    json!([{"type": "Failed"}, {"type": "Complete", "lastTransitionTime": done}]);
            }
        })
    };
    let objects = [
        job("done", 1, Some("2026-11-21T11:00:00Z")),
        job("fresh", 1, Some("2026-11-21T11:59:30Z")),
        job("wide", 3, Some("2026-11-21T11:00:00Z")),
        job("running", 1, None),
    ];
    let mut seen = planned(&policy("GarbageCollectionPolicy", "jobs", spec), &objects);
    seen.sort();
    assert_eq!(
        seen,
        [
            ["done", "Delete", "Expired"],
            ["fresh", "Keep", "NotYet"],
            ["running", "Unresolvable", "FieldMissing"],
            ["wide", "Keep", "ConditionNotMet"]
        ]
    );
}

#[test]
fn owners_are_looked_for_among_the_files() {
    let spec = json!({
        "targetResource": {"apiVersion": "v1", "kind": "ConfigMap", "owner": {"is": "Gone"}},
        "ttl": {"after": "1h"}, "mode": "Enforce",
    });
    let owned = |name: &str, owner: &str| {
        object("v1", "ConfigMap", &format!("team/{name}"), |object| {
            object["metadata"]["ownerReferences"] =
                json!([{"apiVersion": "v1", "kind": "Secret", "name": owner, "uid": format!("u-{owner}")}]);
        })
    };
    let objects =
        [object("v1", "Secret", "team/there", |_| {}), owned("kept", "there"), owned("unknown", "elsewhere")];
    let mut seen = planned(&policy("GarbageCollectionPolicy", "orphans", spec), &objects);
    seen.sort();
    assert_eq!(seen, [["kept", "Keep", "OwnerExists"], ["unknown", "Keep", "OwnerUnknown"]]);
}

#[test]
fn policies_keep_from_each_other_and_are_held_by_budgets_windows_and_approvals() {
    let on_config_maps = |more: Value| {
        let mut spec = json!({
            "targetResource": {"apiVersion": "v1", "kind": "ConfigMap"}, "ttl": {"after": "1h"}, "mode": "Enforce",
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let objects = ["team/a", "team/b"].map(|place| object("v1", "ConfigMap", place, |_| {}));
    let first = |policies: &str| planned(policies, &objects)[0][1..].join(" ");
    let namespaced = |more| policy("GarbageCollectionPolicy", "sweep", on_config_maps(more));
    let closed = json!({"schedule": {"timeZone": "UTC", "windows": [{"from": "22:00", "to": "23:00"}]}});
    let keep = json!({"targetResource": {"apiVersion": "v1", "kind": "ConfigMap"}, "action": "Keep", "mode": "Enforce"});

    assert_eq!(first(&namespaced(json!({"budget": {"count": 0}}))), "Keep OverBudget");
    assert_eq!(first(&namespaced(closed)), "Keep OutsideWindow");
    assert_eq!(first(&namespaced(json!({"keep": {"newest": 2}}))), "Keep Newest");
    let cluster = policy("ClusterGarbageCollectionPolicy", "all", on_config_maps(json!({})));
    assert_eq!(first(&cluster), "Keep AwaitingApproval");
    let kept = [namespaced(json!({})), policy("GarbageCollectionPolicy", "keep", keep)].join("\n");
    assert_eq!(first(&kept), "Keep KeptBy");
}

#[test]
fn an_object_that_asks_too_much_is_told_with_its_place() {
    let spec = json!({
        "targetResource": {"apiVersion": "v1", "kind": "ConfigMap"}, "ttl": {"fieldPath": "data.ttl", "default": "1h"},
    });
    let huge =
        object("v1", "ConfigMap", "team/huge", |object| object["data"]["ttl"] = json!("x".repeat(100_000)));
    let shed =
        Shed::with(&[("policy.json", &policy("GarbageCollectionPolicy", "p", spec)), ("huge.json", &huge)]);
    let complaint = shed.run("plan -f policy.json -f huge.json").complaint();
    assert!(complaint.starts_with("error: huge.json, document 1"), "{complaint}");
}

// What the other commands say.

#[test]
fn an_explanation_says_what_every_policy_makes_of_an_object_and_which_decides() {
    let slow = POLICY.replace("sweep", "slow").replace("3600", "86400");
    let shed = Shed::with(&[
        ("policy.yaml", POLICY),
        ("slow.yaml", &slow),
        (
            "plan.yaml",
            &POLICY.replace("sweep", "trial").replace("3600", "60").replace("mode: Enforce", "mode: Plan"),
        ),
        ("objects.yaml", OBJECTS),
    ]);
    let files = "-f policy.yaml -f slow.yaml -f plan.yaml -f objects.yaml -n team";

    let told = shed.run(&format!("explain configmap/young {files} --at {NOON}"));
    assert_eq!((told.status, &*told.err), (Some(0), ""));
    insta::assert_snapshot!(told.out, @"
    ConfigMap team/young (at 2026-11-21T12:00:00Z)

    POLICY       VERDICT   REASON    EXPIRES     MESSAGE
    team/sweep   Keep      NotYet    in 55m      its time is up in 55m
    team/slow    Keep      NotYet    in 23h55m   its time is up in 23h55m
    team/trial   Delete    Expired   4m ago      its time was up 4m ago; the policy's mode is Plan, so it is only reported

    Policy team/sweep decides: due in 55m.
    ");
    let json = shed.run(&format!("explain configmaps/young {files} --at {NOON} -o json")).json();
    assert_eq!(
        json["decides"],
        json!({"policy": "team/sweep", "effect": "Delete", "expiresAt": "2026-11-21T12:55:00Z"})
    );
    assert_eq!((&json["kind"], &json["policies"]), (&json!("Explanation"), &json!(3)));
    let missing = shed.run(&format!("explain configmap/nothing {files}")).complaint();
    assert!(
        missing.contains("there is no configmap/nothing where a policy looks; say where it is"),
        "{missing}"
    );
    let unseen = shed.run(&format!("explain secret/secret {files}"));
    assert_eq!((unseen.status, &*unseen.out), (Some(0), "No policy looks at secret.\n"));
}

#[test]
fn an_explanation_says_which_selector_leaves_the_object_out() {
    let sweep = |name: &str, rest: &str| {
        format!(
            "apiVersion: groundskeeper.dev/v1alpha1\nkind: ClusterGarbageCollectionPolicy\nmetadata: {{name: {name}}}\nspec:\n  mode: Enforce\n  ttl: {{after: 1h}}\n{rest}\n"
        )
    };
    let on = |rest: &str| format!("  targetResource: {{apiVersion: v1, kind: ConfigMap{rest}}}");
    let plain = on("");
    let policies = [
        sweep("by-name", &on(", names: [a-*, b]")),
        sweep("by-excluded-name", &on(", excludeNames: [b, o*]")),
        sweep("by-label", &on(", labelSelector: {matchExpressions: [{key: tmp, operator: Exists}]}")),
        sweep("by-field", &on(", fieldSelector: {matchFields: {data.a: b}}")),
        sweep("by-owner", &on(", owner: {is: Present}")),
        sweep("by-condition", &format!("{plain}\n  conditions: {{phase: [Failed]}}")),
        sweep("by-namespace", &format!("{plain}\n  namespaces: {{names: [garden, 'pre-*']}}")),
        sweep("by-excluded-space", &format!("{plain}\n  namespaces: {{exclude: [te*]}}")),
        sweep(
            "by-space-label",
            &format!("{plain}\n  namespaces: {{selector: {{matchLabels: {{stage: dev}}}}}}"),
        ),
    ];
    let space = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: team, labels: {stage: live}}\n";
    let shed = Shed::with(&[
        ("policies.yaml", &policies.join("---\n")),
        ("objects.yaml", &format!("{OBJECTS}{space}")),
    ]);

    let told = shed.run(&format!(
        "explain configmap/other -f policies.yaml -f objects.yaml -n team --at {NOON} -o json"
    ));
    let told = told.json();
    let verdicts: Vec<_> = told["verdicts"].as_array().unwrap().iter().collect();
    let message = |policy: &str| {
        let found = verdicts.iter().find(|verdict| verdict["policy"] == policy).unwrap();
        format!("{}: {}", found["reason"].as_str().unwrap(), found["message"].as_str().unwrap())
    };
    let unselected = "NotSelected: the policy does not select it: ";
    let table = [
        ("by-name", "its name is not among names: a-*, b"),
        ("by-excluded-name", "its name is among excludeNames, by o*"),
        ("by-label", "its labels do not meet `tmp` of labelSelector"),
        ("by-field", "data.a is missing, not `b` (fieldSelector)"),
        ("by-owner", "it has no owner"),
        ("by-namespace", "namespace team is not among namespaces.names: garden, pre-*"),
        ("by-excluded-space", "namespace team is among namespaces.exclude, by te*"),
        ("by-space-label", "namespace team has no labels that meet `stage=dev` of namespaces.selector"),
    ];
    for (policy, expected) in table {
        assert_eq!(message(policy), format!("{unselected}{expected}"));
    }
    assert!(message("by-condition").starts_with("ConditionNotMet: "), "{}", message("by-condition"));
    assert_eq!((told["policies"].as_u64(), verdicts.len()), (Some(9), 9));
}

#[test]
fn a_simulation_says_what_would_go_when() {
    let shed = Shed::with(&[
        ("policy.yaml", &POLICY.replace("mode: Enforce", "mode: Plan")),
        ("objects.yaml", OBJECTS),
    ]);
    let simulate =
        |arguments: &str| shed.run(&format!("simulate -f policy.yaml -f objects.yaml {arguments}"));

    let told = simulate(&format!("--from {NOON} --to 2h"));
    assert_eq!((told.status, &*told.err), (Some(0), ""));
    insta::assert_snapshot!(told.out, @"
    TIME                   ACT      POLICY       KIND        NAMESPACE/NAME   DUE                    WAITED FOR
    2026-11-21T12:00:00Z   Delete   team/sweep   ConfigMap   team/old         2026-11-21T11:00:00Z   -
    2026-11-21T12:55:00Z   Delete   team/sweep   ConfigMap   team/young       2026-11-21T12:55:00Z   -

    2 to delete, 0 to notify, 0 waiting (from 2026-11-21T12:00:00Z to 2026-11-21T14:00:00Z)
    ");
    let json = simulate(&format!("--from {NOON} --to 2026-11-21T13:00:00Z -o json")).json();
    assert_eq!(json["summary"], json!({"deletions": 2, "notices": 0, "waiting": 0}));
    assert_eq!(
        json["events"][1],
        json!({
            "at": "2026-11-21T12:55:00Z", "act": "Delete", "policy": "team/sweep", "since": "2026-11-21T12:55:00Z",
            "object": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "team", "name": "young", "uid": "u-1"},
            "deletesAt": null, "heldBy": null, "reason": "1h after creation",
        })
    );
    assert_eq!(simulate(&format!("--from {NOON} --to 2h --exit-code --limit 1 -o json")).status, Some(2));
    assert_eq!(simulate("--from 2026-11-21T09:00:00Z --to 1m --exit-code").status, Some(0));
    assert!(
        simulate(&format!("--from {NOON} --to {NOON}")).complaint().contains("write a later time, or a span")
    );
    assert!(simulate("--to soon").complaint().contains("or a span such as 7d"));
}

#[test]
fn a_plan_from_files_gives_advice_by_schemas_from_files() {
    let shed = Shed::with(&[]);
    let jobs = |phase: &str| {
        let target = json!({"apiVersion": "batch/v1", "kind": "Job"});
        let conditions = json!({"phase": [phase]});
        policy(
            "GarbageCollectionPolicy",
            "jobs",
            json!({"targetResource": target, "ttl": {"after": "1h"}, "conditions": conditions}),
        )
    };
    shed.put("policy.json", &jobs("Succeeded"));
    shed.put("none.json", r#"{"apiVersion": "v1", "kind": "List", "items": []}"#);
    let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/../gc/tests/schemas");
    let plan = |files: &str| -> Value {
        let said = shed.run(&format!("plan -o json -f policy.json -f none.json {files}"));
        assert_eq!(said.status, Some(0), "{said:?}");
        serde_json::from_str(&said.out).unwrap()
    };
    assert_eq!(plan("")["warnings"], json!([]));
    let warnings = plan(&format!("--openapi {schemas}/v1.json --openapi {schemas}/batch-v1.json"));
    let warnings = warnings["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert_eq!(warnings[0]["field"], "spec.conditions.phase", "{warnings:#?}");
    let missing = plan(&format!("--openapi {schemas}/v1.json"));
    let said = missing["warnings"][0]["message"].as_str().unwrap();
    assert!(said.contains("kubectl get --raw /openapi/v3/apis/batch/v1"), "{said}");

    let refused = |arguments: &str| shed.run(&format!("plan {arguments}")).complaint();
    let said = refused(&format!("-f policy.json --openapi {schemas}/v1.json"));
    assert!(said.contains("a cluster has its own schemas"), "{said}");
    let said = refused("-f policy.json -f none.json --openapi policy.json");
    assert!(said.contains("describes no kind: write one with"), "{said}");
    shed.put("odd.json", "openapi: 3.0.0");
    let said = refused("-f policy.json -f none.json --openapi odd.json");
    assert!(said.contains("odd.json is no JSON"), "{said}");
    let said = refused("-f policy.json -f none.json --openapi missing.json");
    assert!(said.contains("cannot read missing.json"), "{said}");
}

#[test]
fn a_comparison_says_what_changed_policies_match_otherwise() {
    let shed = Shed::with(&[
        ("old.yaml", POLICY),
        ("sooner.yaml", &POLICY.replace("3600", "1800")),
        ("later.yaml", &POLICY.replace("3600", "7200")),
        ("wider.yaml", &POLICY.replace("labelSelector: {matchLabels: {tmp: 'yes'}}", "names: ['o*', young]")),
        ("objects.yaml", OBJECTS),
    ]);
    let diff = |new: &str, more: &str| {
        shed.run(&format!("diff old.yaml {new} -f objects.yaml -n team --at {NOON} {more}"))
    };

    insta::assert_snapshot!(diff("wider.yaml", "").out, @"
    CHANGE         KIND        NAMESPACE/NAME   OLD   NEW      POLICY
    NewlyMatched   ConfigMap   team/other       -     1h ago   team/sweep

    1 newly matched, 0 sooner, 0 later, 0 no longer matched, 2 as before (at 2026-11-21T12:00:00Z)
    ");
    assert_eq!(diff("wider.yaml", "--exit-code").status, Some(2));
    assert_eq!(diff("sooner.yaml", "--exit-code").status, Some(2));
    assert_eq!(diff("later.yaml", "--exit-code").status, Some(3));
    assert_eq!(diff("old.yaml", "--exit-code").status, Some(0));
    let json = diff("later.yaml", "-o json").json();
    assert_eq!(
        json["summary"],
        json!({"newlyMatched": 0, "sooner": 0, "later": 2, "noLongerMatched": 0, "unchanged": 0})
    );
    assert_eq!(json["items"][0]["old"], json!({"policy": "team/sweep", "expiresAt": "2026-11-21T11:00:00Z"}));
}

#[test]
fn what_writes_needs_a_cluster_and_says_what_is_wrong_before_it_asks_one() {
    let shed = Shed::with(&[]);
    for arguments in ["approve sweep", "hold configmap/a", "unhold configmap/a", "explain configmap/a"] {
        let complaint = shed.run(arguments).complaint();
        assert!(complaint.contains("found no cluster to talk to"), "{complaint}");
    }
    assert!(shed.run("hold report").complaint().contains("such as configmap/report"));
    assert!(shed.run("hold configmap/a --reason false").complaint().contains("write a reason"));
}

// How much it reads and writes.

#[test]
fn ten_thousand_objects_of_a_kilobyte_are_read_as_a_stream_and_as_a_list() {
    let filler = "x".repeat(800);
    let metadata = |n: usize| {
        format!(
            "{{name: o{n}, namespace: team, labels: {{tmp: 'yes'}}, creationTimestamp: 2026-11-21T10:00:00Z}}"
        )
    };
    let (mut stream, mut list) = (String::new(), "apiVersion: v1\nkind: List\nitems:\n".to_owned());
    for n in 0..10_000 {
        write!(
            stream,
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\ndata: {{a: {filler}}}\n---\n",
            metadata(n)
        )
        .unwrap();
        write!(
            list,
            "- apiVersion: v1\n  kind: ConfigMap\n  metadata: {}\n  data: {{a: {filler}}}\n",
            metadata(n)
        )
        .unwrap();
    }
    let shed = Shed::with(&[("policy.yaml", POLICY), ("stream.yaml", &stream), ("list.yaml", &list)]);
    for file in ["stream.yaml", "list.yaml"] {
        assert_eq!(shed.plan(&format!("-f policy.yaml -f {file}"))["summary"]["delete"], 10_000, "{file}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let objects: Vec<_> = (0..20_000).map(|n| config_map(&format!("o{n}")).to_string()).collect();
    let shed = Shed::with(&[("policy.yaml", POLICY), ("objects.json", &objects.join("\n"))]);
    for format in ["table", "json"] {
        let mut command =
            shed.command(&format!("plan -f policy.yaml -f objects.json -o {format} --exit-code --at {NOON}"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let outcome = Outcome::from(child.wait_with_output().unwrap());
        assert_eq!((outcome.status, &*outcome.err), (Some(2), ""), "{format}");
    }
}

// The manifests.

#[test]
fn the_definitions_hold_every_kind() {
    let outcome = Shed::with(&[]).run("crds");
    assert_eq!((outcome.status, &*outcome.err), (Some(0), ""));
    let documents: Vec<Value> = serde_saphyr::from_multiple(&outcome.out).unwrap();
    let kinds =
        |crds: Vec<Value>| crds.iter().map(|crd| crd["spec"]["names"]["kind"].clone()).collect::<Vec<_>>();
    let expected = api::crds().iter().map(|crd| serde_json::to_value(crd).unwrap()).collect();
    assert_eq!(kinds(documents), kinds(expected));
}

#[test]
fn no_right_is_a_wildcard() {
    for arguments in [
        "rbac",
        "rbac --collect configmaps --collect jobs.batch --namespace grounds --service-account keeper",
    ] {
        let outcome = Shed::with(&[]).run(arguments);
        assert_eq!((outcome.status, &*outcome.err), (Some(0), ""));
        assert!(!outcome.out.contains('*'), "{}", outcome.out);
        assert!(serde_saphyr::from_multiple::<Value>(&outcome.out).unwrap().len() >= 6);
    }
    let complaint =
        Shed::with(&[]).run("rbac --collect garbagecollectionpolicies.groundskeeper.dev").complaint();
    assert!(complaint.contains("resources of groundskeeper.dev are never deleted"), "{complaint}");
}

#[test]
fn help_and_version_go_to_standard_output() {
    let shed = Shed::with(&[]);
    for arguments in ["--help", "--version", "plan --help", "help rbac"] {
        let outcome = shed.run(arguments);
        assert_eq!((outcome.status, &*outcome.err), (Some(0), ""), "{arguments}");
        assert!(!outcome.out.is_empty());
    }
    assert_eq!(shed.run("").status, Some(1));
}
