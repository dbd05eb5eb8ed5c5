//! `groundskeeper nodes plan`, run on files as a person or a script would run it, and against a real API server.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_pass_by_value, reason = "tests")]

use std::io::Write as _;
use std::process::{Command, Output};

use kube::Api;
use kube::api::{DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use testbed::{ControlPlane, Options};

const NOON: &str = "2026-11-21T12:00:00Z";

fn run(objects: &[Value], arguments: &str) -> Output {
    let mut file = NamedTempFile::with_suffix(".json").unwrap();
    write!(file, "{}", json!({"apiVersion": "v1", "kind": "List", "items": objects})).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_groundskeeper"));
    command.args(["nodes", "plan"]).args(arguments.split_whitespace()).arg("-f").arg(file.path());
    command.output().unwrap()
}

/// The plan for node `a` at noon.
fn plan(objects: &[Value], arguments: &str) -> Value {
    let output = run(objects, &format!("a -o json --at {NOON} {arguments}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn complaint(objects: &[Value], arguments: &str) -> String {
    let output = run(objects, arguments);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

fn node(labels: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "a", "uid": "node-a", "labels": labels},
        "spec": {"providerID": "cloud://a"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    })
}

/// A pod on node `a` that a `ReplicaSet` would create again.
fn pod(name: &str, change: Value) -> Value {
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": true});
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "team", "uid": format!("uid-{name}"), "labels": {"app": "web"},
            "ownerReferences": [owner]},
        "spec": {"nodeName": "a"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    merge(&mut pod, change);
    pod
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change,
    }
}

fn budget(allowed: i64) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "team", "generation": 1},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
        "status": {"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 2 + allowed,
            "desiredHealthy": 2, "expectedPods": 3},
    })
}

fn policy(spec: Value) -> Value {
    json!({"apiVersion": "groundskeeper.dev/v1alpha1", "kind": "NodeCleanupPolicy", "metadata": {"name": "all"}, "spec": spec})
}

fn unmanaged() -> Value {
    json!({"metadata": {"ownerReferences": null}})
}

fn action<'a>(plan: &'a Value, pod: &str) -> &'a str {
    let found = plan["pods"].as_array().unwrap().iter().find(|row| row["name"] == pod);
    found.unwrap_or(&Value::Null)["action"].as_str().unwrap_or("not there")
}

fn blockers(plan: &Value) -> Vec<&str> {
    plan["blockers"].as_array().unwrap().iter().map(|blocker| blocker["reason"].as_str().unwrap()).collect()
}

#[test]
fn the_policies_that_we_show_make_sense() {
    let inventory = json!({
        "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "CleanupPlugin", "metadata": {"name": "inventory"},
        "spec": {"http": {"url": "https://inventory.example.com/"}},
    });
    let shown = [("examples/nodes/policy.yaml", 4), ("docs/nodes/examples/tutorial/policy.yaml", 3)];
    for (file, steps) in shown {
        let objects = [node(json!({"pool": "tutorial"})), inventory.clone()];
        let plan = plan(&objects, &format!("-f ../../{file}"));
        assert_eq!(plan["steps"].as_array().unwrap().len(), steps, "{file}: {plan}");
    }
}

#[test]
fn pods_leave_and_those_of_the_node_itself_stay() {
    let daemon = json!({"metadata": {"ownerReferences":
        [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "ds", "controller": true}]}});
    let mirror = json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}});
    let elsewhere = json!({"spec": {"nodeName": "b"}});
    let objects = [
        node(json!({})),
        pod("web", json!({})),
        pod("agent", daemon),
        pod("static", mirror),
        pod("far", elsewhere),
    ];
    let plan = plan(&objects, "");
    assert_eq!(
        (&plan["kind"], &plan["node"], &plan["intent"]),
        (&json!("NodePlan"), &json!("a"), &json!("deletion"))
    );
    assert_eq!(
        ["web", "agent", "static", "far"].map(|pod| action(&plan, pod)),
        ["Evict", "Skip", "Skip", "not there"]
    );
    assert_eq!(plan["policy"], Value::Null);
    let steps: Vec<_> = plan["steps"].as_array().unwrap().iter().map(|step| &step["name"]).collect();
    assert_eq!(steps, ["drain", "wait-volume-detach"]);
}

#[test]
fn a_maintenance_refuses_what_a_deletion_takes() {
    let objects = [node(json!({})), pod("web", json!({})), pod("alone", unmanaged())];
    let deletion = plan(&objects, "");
    assert_eq!((&deletion["refused"], action(&deletion, "alone")), (&json!(false), "Evict"));
    let maintenance = plan(&objects, "--intent maintenance");
    assert_eq!((&maintenance["refused"], action(&maintenance, "alone")), (&json!(true), "Blocked"));
    assert_eq!(blockers(&maintenance), ["UnmanagedPod"]);
    let message = maintenance["blockers"][0]["message"].as_str().unwrap();
    assert!(message.contains("force"), "{message}");

    let allowed = json!({"apiVersion": "groundskeeper.dev/v1alpha1", "kind": "NodeMaintenance",
        "metadata": {"name": "reboot"}, "spec": {"nodeName": "a", "drain": {"force": true}}});
    let objects = [objects.to_vec(), vec![allowed]].concat();
    let maintenance = plan(&objects, "--intent maintenance");
    assert_eq!((&maintenance["refused"], action(&maintenance, "alone")), (&json!(false), "Evict"));
    assert_eq!(maintenance["policy"], "NodeMaintenance reboot");
}

#[test]
fn budgets_are_added_up_before_the_first_eviction() {
    let objects =
        |allowed| [node(json!({})), pod("web-0", json!({})), pod("web-1", json!({})), budget(allowed)];
    assert_eq!(blockers(&plan(&objects(2), "")), Vec::<&str>::new());
    let mut all_wanted = objects(0);
    merge(
        &mut all_wanted[3],
        json!({"spec": {"minAvailable": 3}, "status": {"currentHealthy": 3, "desiredHealthy": 3}}),
    );
    assert_eq!(blockers(&plan(&all_wanted, "")), ["BudgetMisconfigured"], "it never lets anybody go");
    let one = plan(&objects(1), "");
    assert_eq!(blockers(&one), ["BudgetExhausted"], "one may go now, and then the other has to wait");
    assert_eq!(run(&objects(1), "a --exit-code").status.code(), Some(2));
    assert_eq!(run(&objects(2), "a --exit-code").status.code(), Some(0));
}

#[test]
fn the_last_pod_of_its_kind_is_named_and_leaves_all_the_same() {
    let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web", "namespace": "team", "uid": "rs"},
        "spec": {"replicas": 1}});
    let objects = [node(json!({})), pod("web", json!({})), set];
    let plan = plan(&objects, "");
    assert_eq!((blockers(&plan), action(&plan, "web")), (vec!["LastReplica"], "Evict"));
    assert_eq!(plan["blockers"][0]["blocks"], false);
    assert_eq!(run(&objects, "a --exit-code").status.code(), Some(0));
}

#[test]
fn a_policy_says_which_steps_come_after() {
    let steps = json!({"steps": [
        {"name": "tell", "plugin": "slack", "dependsOn": ["forget"], "critical": false},
        {"name": "forget", "plugin": "cmdb", "when": "object.metadata.labels.pool == 'gpu'"},
    ]});
    let plan_of = |pool: &str| plan(&[node(json!({"pool": pool})), policy(steps.clone())], "");
    let gpu = plan_of("gpu");
    let rows: Vec<_> =
        gpu["steps"].as_array().unwrap().iter().map(|step| (&step["name"], &step["expected"])).collect();
    let taken = json!("Taken");
    let names = ["drain", "wait-volume-detach", "forget", "tell"].map(|name| json!(name));
    assert_eq!(rows, names.iter().map(|name| (name, &taken)).collect::<Vec<_>>());
    assert_eq!((&gpu["policy"], &gpu["steps"][3]["critical"]), (&json!("all"), &json!(false)));
    assert_eq!(plan_of("web")["steps"][2]["expected"], "NotTaken");
}

#[test]
fn a_node_of_the_control_plane_is_nobodys_unless_named_in_words() {
    let node = node(json!({"node-role.kubernetes.io/control-plane": ""}));
    let plan_with = |spec: Value| plan(&[node.clone(), policy(spec)], "");
    let left_alone = plan_with(json!({}));
    assert_eq!(left_alone["policy"], Value::Null);
    assert!(left_alone["warnings"][0].as_str().unwrap().contains("ControlPlaneNodes"), "{left_alone}");
    assert_eq!(plan_with(json!({"unlock": ["ControlPlaneNodes"]}))["policy"], "all");
}

#[test]
fn bad_input_is_refused_with_what_to_write() {
    let cycle = policy(json!({"steps": [
        {"name": "x", "plugin": "log", "dependsOn": ["y"]}, {"name": "y", "plugin": "log", "dependsOn": ["x"]},
    ]}));
    let table = [
        (vec![node(json!({})), cycle], "x"),
        (vec![node(json!({})), policy(json!({"steps": [{"name": "x", "plugin": "nobody"}]}))], "nobody"),
        (
            vec![
                node(json!({})),
                policy(json!({"steps": [{"name": "x", "plugin": "log", "when": "object."}]})),
            ],
            "when",
        ),
        (vec![node(json!({})), policy(json!({"drain": {"graceSeconds": 3}}))], "graceSeconds"),
        (vec![pod("web", json!({}))], "no Node is among the given objects"),
    ];
    for (objects, expected) in table {
        let complaint = complaint(&objects, "a");
        assert!(complaint.contains(expected), "{complaint}");
    }
    assert!(complaint(&[node(json!({}))], "b").contains("there is a"));
}

#[test]
fn people_read_why_a_pod_stays() {
    let output =
        run(&[node(json!({})), pod("alone", unmanaged())], &format!("a --intent maintenance --at {NOON}"));
    let text = String::from_utf8(output.stdout).unwrap();
    for expected in ["whole node is refused", "team/alone", "Blocked", "UnmanagedPod", "drain"] {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
}

/// Creates objects; what the server says of one that it refuses.
async fn create(cluster: &ControlPlane, plural: &str, object: Value) -> Result<(), String> {
    let api_version = object["apiVersion"].as_str().unwrap();
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let kind = GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap());
    let (client, resource) =
        (cluster.admin().client().unwrap(), ApiResource::from_gvk_with_plural(&kind, plural));
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    api.create(&PostParams::default(), &object).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_cluster_is_asked_for_what_is_around_the_node() {
    let cluster = ControlPlane::start(Options::api_server_only()).await.unwrap();
    let create = async |plural: &str, object: Value| create(&cluster, plural, object).await.unwrap();
    create("nodes", json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}})).await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}});
    create("serviceaccounts", account).await;
    let container = json!({"name": "c", "image": "example.com/none"});
    for (name, node) in [("here", "a"), ("there", "b")] {
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
            "spec": {"nodeName": node, "containers": [container.clone()],
                "automountServiceAccountToken": false, "volumes": [{"name": "v", "emptyDir": {}}]}});
        create("pods", pod).await;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_groundskeeper"))
        .args(["nodes", "plan", "a", "--intent", "maintenance", "-o", "json", "--kubeconfig"])
        .arg(cluster.admin().kubeconfig())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(["here", "there"].map(|pod| action(&plan, pod)), ["Blocked", "not there"], "{plan:#}");
    assert_eq!(plan["pods"][0]["reasons"], json!(["LocalStorage", "UnmanagedPod"]));
    assert_eq!(plan["warnings"], json!([]));
}

#[tokio::test]
async fn the_api_server_takes_our_kinds_and_refuses_what_cannot_be_meant() {
    let cluster = ControlPlane::start(Options::api_server_only()).await.unwrap();
    for crd in api::node_crds() {
        let mut crd = serde_json::to_value(crd).unwrap();
        (crd["apiVersion"], crd["kind"]) =
            ("apiextensions.k8s.io/v1".into(), "CustomResourceDefinition".into());
        create(&cluster, "customresourcedefinitions", crd).await.unwrap();
    }
    let object = |kind: &str, spec: &Value| json!({"apiVersion": "groundskeeper.dev/v1alpha1", "kind": kind, "metadata": {"generateName": "x-"}, "spec": spec});
    let good = [
        (
            "nodecleanuppolicies",
            "NodeCleanupPolicy",
            json!({
                "nodeSelector": {"matchLabels": {"pool": "gpu"}}, "unlock": ["ControlPlaneNodes"],
                "steps": [{"name": "forget", "plugin": "cmdb", "dependsOn": [], "when": "true", "settings": {"url": "x", "deep": {"er": [1]}},
                    "retry": {"maxRetries": 2, "initialDelay": "10s"}}],
                "drain": {"force": true, "podSelector": {"matchLabels": {"a": "b"}}}, "deadlines": {"drain": "1h"},
                "escalation": [{"after": "30m", "action": "TightenGrace", "gracePeriodSeconds": 10}],
                "concurrency": {"max": 3, "perLabel": {"key": "zone", "max": 1}, "stormBrakePercent": 50},
                "validateDeletion": {"lastOf": "pool"}, "keepRecordsFor": "7d",
            }),
        ),
        (
            "nodecleanups",
            "NodeCleanup",
            json!({"nodeName": "a", "nodeUid": "u", "policy": "all",
            "overrides": {"skip": [{"step": "forget", "by": "ann", "at": "2026-11-21T12:00:00Z"}]}}),
        ),
        (
            "nodemaintenances",
            "NodeMaintenance",
            json!({"nodeName": "a", "drain": {"deleteEmptyDirData": true}}),
        ),
        ("drainrules", "DrainRule", json!({"behavior": "Drain", "order": 3, "namespaces": ["team-*"]})),
        ("cleanupplugins", "CleanupPlugin", json!({"http": {"url": "https://cleanup.example.com/v1"}})),
    ];
    for (plural, kind, spec) in good {
        let served = async {
            // A kind that was just defined can be created after a moment.
            while let Err(error) = create(&cluster, plural, object(kind, &spec)).await {
                assert!(error.contains("not found"), "{kind}: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_mins(1), served).await.expect(kind);
    }
    let bad = [
        (
            "nodecleanuppolicies",
            "NodeCleanupPolicy",
            json!({"validateDeletion": {}}),
            "say which deletions are refused",
        ),
        (
            "nodecleanuppolicies",
            "NodeCleanupPolicy",
            json!({"steps": [{"name": "A b", "plugin": "log"}]}),
            "lower-case letters",
        ),
        (
            "drainrules",
            "DrainRule",
            json!({"behavior": "Skip", "order": 1}),
            "order is for pods that are drained",
        ),
        ("cleanupplugins", "CleanupPlugin", json!({}), "write one of them"),
        (
            "cleanupplugins",
            "CleanupPlugin",
            json!({"http": {"url": "https://me@example.com"}}),
            "no user, no query",
        ),
    ];
    for (plural, kind, spec, expected) in bad {
        let error = create(&cluster, plural, object(kind, &spec)).await.unwrap_err();
        assert!(error.contains(expected), "{kind}: {error}");
    }
}
