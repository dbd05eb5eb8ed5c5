//! `audit verify` and `why`, run as a person would run them, on a ledger that the operator's own code has written; and the
//! ledger's anchors in a real cluster.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use chassis::Metrics;
use chassis::ledger::{
    Anchorer, CONFIG_MAP, Evidence, Intent, Ledger, LedgerLimits, LedgerOptions, Opened, Outcome, Refusal,
    Requirement, Rule, Settled, Subject,
};
use control::SystemClock;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::{Value, json};
use support::drafts::{config_map, policy};
use support::team::Team;
use support::{identity, install_crds, kubectl};
use tempfile::TempDir;
use testbed::{ControlPlane, Shared};

/// A directory of ledgers, and the binary run beside it.
struct Archive(TempDir);

struct Said {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Archive {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn segment(&self, instance: &str) -> PathBuf {
        self.path().join(instance).join("ledger-00000000000000000001.jsonl")
    }

    /// Opens the ledger of an instance, writes, and closes it.
    async fn write(&self, instance: &str, write: impl AsyncFnOnce(&Ledger)) {
        let (ledger, writer) = open(self.path(), instance).await;
        write(&ledger).await;
        ledger.close().await.unwrap();
        writer.await.unwrap();
    }

    /// Runs the binary, cut off from the cluster that a developer may have configured.
    fn run(&self, arguments: &str) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_groundskeeper"))
            .args(arguments.split_whitespace())
            .current_dir(self.path())
            .stdin(Stdio::null())
            .env("KUBECONFIG", self.path().join("no-kubeconfig"))
            .env("GROUNDSKEEPER_LEDGER_DIRECTORY", self.path())
            .env_remove("POD_NAMESPACE")
            .env_remove("KUBERNETES_SERVICE_HOST")
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn json(&self, arguments: &str, status: i32) -> Value {
        let said = self.run(&format!("{arguments} -o json"));
        assert_eq!((said.status, &*said.err), (Some(status), ""), "{}", said.out);
        serde_json::from_str(&said.out).unwrap()
    }
}

#[allow(clippy::disallowed_methods, reason = "a test's task")]
async fn open(directory: &Path, instance: &str) -> (Ledger, tokio::task::JoinHandle<()>) {
    let options = LedgerOptions {
        directory: directory.to_owned(),
        instance: instance.into(),
        requirement: Requirement::Required,
        limits: LedgerLimits::default(),
    };
    let Opened { ledger, writer, unsettled } =
        Ledger::open(options, Arc::new(SystemClock), Metrics::default()).await.unwrap();
    for intent in &unsettled {
        ledger.settle(intent, Settled::Done, Evidence::default()).await;
    }
    (ledger, tokio::spawn(writer))
}

fn intent(name: &str, uid: &str) -> Intent {
    Intent {
        controller: "gc",
        act: "delete",
        rule: Rule { policy: "team/sweep".into(), uid: "p-1".into(), generation: 3 },
        object: Subject {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: "team".into(),
            name: name.into(),
            uid: uid.into(),
            resource_version: "7".into(),
        },
        epoch: Some(4),
        evidence: Evidence::default().with("expiresAt", "2026-11-21T04:00:00Z").with("ttlSeconds", 3_600),
    }
}

async fn delete(ledger: &Ledger, name: &str, uid: &str) {
    let id = ledger.intent(intent(name, uid)).await.unwrap();
    ledger.outcome(id, Outcome { outcome: "deleted", message: None }).await;
}

// Verification.

#[tokio::test]
async fn an_intact_ledger_passes_and_a_changed_one_is_named_with_its_record() {
    let archive = Archive::new();
    for instance in ["pod-1", "pod-2"] {
        archive.write(instance, async |ledger| delete(ledger, "report", "u-1").await).await;
    }
    let said = archive.run("audit verify");
    assert_eq!((said.status, &*said.err), (Some(0), ""));
    insta::assert_snapshot!(said.out, @"
    INSTANCE   SEGMENTS   RECORDS   ANCHORS   RESULT
    pod-1      1          1-4       -         intact
    pod-2      1          1-4       -         intact

    No anchors were given, so a cut at the end would not show (--anchors, --from-cluster).
    ");

    let text = fs::read_to_string(archive.segment("pod-2")).unwrap();
    fs::write(archive.segment("pod-2"), text.replacen("\"name\":\"report\"", "\"name\":\"other\"", 1))
        .unwrap();
    let said = archive.run("audit verify");
    assert_eq!(said.status, Some(1));
    assert!(said.out.contains("pod-2      1          1-1       -         BROKEN"), "{}", said.out);
    let place = "pod-2: ledger-00000000000000000001.jsonl line 2: record 2 is not what was written";
    assert!(said.out.contains(place), "{}", said.out);
    let audit = archive.json("audit verify", 1);
    assert_eq!(audit["intact"], false);
    let fault = &audit["instances"][1]["fault"];
    assert_eq!(
        (&fault["finding"], &fault["sequence"], &fault["line"]),
        (&json!("Altered"), &json!(2), &json!(2))
    );
    assert_eq!(archive.run("audit verify pod-1").status, Some(0), "an instance can be checked by itself");
}

#[tokio::test]
async fn anchors_from_a_file_show_a_cut_at_the_end() {
    let archive = Archive::new();
    archive.write("pod-1", async |ledger| delete(ledger, "report", "u-1").await).await;
    let text = fs::read_to_string(archive.segment("pod-1")).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let anchor = json!({"sequence": 4, "hash": last["hash"], "time": "2026-11-21T04:00:00Z"}).to_string();
    let config_map = json!({"kind": "ConfigMap", "data": {"pod-1": anchor, "pod-9": anchor}});
    fs::write(archive.path().join("anchors.json"), config_map.to_string()).unwrap();
    let yaml = format!("kind: ConfigMap\ndata:\n  pod-1: '{anchor}'\n");
    fs::write(archive.path().join("anchors.yaml"), yaml).unwrap();
    let audit = archive.json("audit verify --anchors anchors.json", 0);
    assert_eq!((&audit["instances"][0]["anchorsMet"], &audit["elsewhere"]), (&json!(1), &json!(["pod-9"])));

    let cut: String = text.split_inclusive('\n').take(2).collect();
    fs::write(archive.segment("pod-1"), cut).unwrap();

    assert_eq!(archive.run("audit verify").status, Some(0));
    for anchors in ["anchors.json", "anchors.yaml"] {
        let said = archive.run(&format!("audit verify --anchors {anchors}"));
        assert_eq!(said.status, Some(1));
        assert!(said.out.contains("records 3 to 4 are missing at the end"), "{}", said.out);
    }
}

#[test]
fn what_cannot_be_checked_is_said() {
    let archive = Archive::new();
    let nothing = archive.run("audit verify");
    assert_eq!(nothing.status, Some(1));
    assert!(nothing.err.starts_with("error: there is no ledger in "), "{}", nothing.err);
    let missing = archive.run("audit verify missing");
    assert!(missing.err.contains("cannot read the ledger in missing: No such file"), "{}", missing.err);
    fs::write(archive.path().join("anchors.json"), r#"{"data": {"pod-1": "soon"}}"#).unwrap();
    let anchors = archive.run("audit verify --anchors anchors.json");
    assert!(anchors.err.contains("the anchor of pod-1 is not one"), "{}", anchors.err);
}

#[tokio::test]
async fn a_record_can_be_checked_by_hand_as_the_manual_says() {
    let archive = Archive::new();
    archive.write("pod-1", async |ledger| delete(ledger, "report", "u-1").await).await;
    let manual = include_str!("../../../docs/ledger.md");
    let script = manual.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let run = |file: &Path| {
        let output = Command::new("bash").args(["-c", script, "bash"]).arg(file).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&archive.segment("pod-1")), "4 records hold together\n");
    let text = fs::read_to_string(archive.segment("pod-1")).unwrap();
    fs::write(archive.segment("pod-1"), text.replacen("ConfigMap", "Secret", 1)).unwrap();
    assert_eq!(run(&archive.segment("pod-1")), "line 2 is not what was written\n");
}

// Why.

#[tokio::test]
async fn why_tells_of_each_incarnation_what_was_done_by_whom_and_on_what_evidence() {
    let archive = Archive::new();
    archive
        .write("pod-1", async |ledger| {
            let refusal = Refusal {
                intent: intent("report", "u-1"),
                reason: "MassChange".into(),
                message: "too many objects have gone at once".into(),
            };
            ledger.refusal(refusal).await;
            delete(ledger, "report", "u-1").await;
            delete(ledger, "another", "u-3").await;
        })
        .await;
    archive
        .write("pod-2", async |ledger| {
            let id = ledger.intent(intent("report", "u-2")).await.unwrap();
            let message = Some("forbidden".to_owned());
            ledger.outcome(id, Outcome { outcome: "denied", message }).await;
            let unanswered = ledger.intent(intent("report", "u-2")).await.unwrap();
            drop(unanswered);
        })
        .await;

    let answer = archive.json("why configmaps/report -n team --offline", 0);
    let incarnations = answer["incarnations"].as_array().unwrap();
    let uids: Vec<_> = incarnations.iter().map(|incarnation| &incarnation["uid"]).collect();
    assert_eq!(uids, ["u-1", "u-2"]);
    let outcomes = |index: usize| {
        let acts = incarnations[index]["acts"].as_array().unwrap();
        acts.iter().map(|act| act["outcome"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(0), [json!("refused"), json!("deleted")]);
    assert_eq!(outcomes(1), [json!("denied"), Value::Null]);
    let act = &incarnations[0]["acts"][1];
    assert_eq!(act["rule"], json!({"policy": "team/sweep", "uid": "p-1", "generation": 3}));
    assert_eq!(act["evidence"], json!({"expiresAt": "2026-11-21T04:00:00Z", "ttlSeconds": "3600"}));
    assert_eq!((&act["instance"], &act["epoch"], &act["sequence"]), (&json!("pod-1"), &json!(4), &json!(3)));

    let told = archive.run("why ConfigMap/report -n team --offline").out;
    for expected in [
        "ConfigMap (v1) team/report, UID u-1\n",
        "delete: refused: MassChange: too many objects have gone at once\n",
        "rule      team/sweep (generation 3, UID p-1), controller gc\n",
        "evidence  expiresAt=2026-11-21T04:00:00Z, ttlSeconds=3600, resourceVersion=7\n",
        "by        pod-1, epoch 4, record 3\n",
        "delete: denied: forbidden\n",
        "delete: no outcome yet\n",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
    assert!(!told.contains("another"), "{told}");

    // The next process of that instance finds out what became of it.
    archive.write("pod-2", async |_| {}).await;
    let told = archive.run("why ConfigMap/report -n team --offline").out;
    assert!(told.contains("delete: done (found out afterwards)\n"), "{told}");
}

#[tokio::test]
async fn why_says_plainly_that_there_is_no_record() {
    let archive = Archive::new();
    archive.write("pod-1", async |ledger| delete(ledger, "report", "u-1").await).await;
    for other in ["configmap/report", "secret/report -n team", "configmap/other -n team"] {
        let said = archive.run(&format!("why {other}"));
        assert_eq!((said.status, &*said.err), (Some(0), ""));
        assert!(said.out.starts_with("The ledger has no record of "), "{}", said.out);
        assert!(said.out.contains("The cluster was not asked: "), "{}", said.out);
    }
    let said = archive.run("why configmap/report --ledger nowhere");
    assert_eq!(said.status, Some(1));
    assert!(
        said.err.contains("neither the ledger (there is none in nowhere) nor the cluster"),
        "{}",
        said.err
    );
}

// The cluster.

async fn cluster() -> &'static ControlPlane {
    static CLUSTER: Shared = Shared::new(support::audited);
    let cluster = CLUSTER.get().await.unwrap();
    install_crds(cluster);
    cluster
}

/// The operator's own namespace, with the rights that anchoring needs.
fn install_anchor_rights(cluster: &ControlPlane, namespace: &str) {
    let role = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "anchors", "namespace": namespace},
            "rules": [
                {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [CONFIG_MAP], "verbs": ["get", "patch"]},
                {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "anchors", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "anchors"},
            "subjects": [{"kind": "ServiceAccount", "name": "groundskeeper", "namespace": "groundskeeper-system"}],
        },
    ]});
    kubectl(cluster, &["apply", "-f", "-"], &role.to_string());
}

async fn anchored(client: &kube::Client, namespace: &str, instance: &str) -> Value {
    let config_map: ConfigMap = Api::namespaced(client.clone(), namespace).get(CONFIG_MAP).await.unwrap();
    serde_json::from_str(&config_map.data.unwrap()[instance]).unwrap()
}

#[tokio::test]
async fn the_head_is_anchored_in_the_cluster_and_shows_what_was_cut_off_even_after_a_restart() {
    let cluster = cluster().await;
    let own = Team::new(cluster, "anchors").await;
    install_anchor_rights(cluster, &own.namespace);
    let client = identity(cluster).client().unwrap();
    let archive = Archive::new();
    let kubeconfig = cluster.admin().kubeconfig().display().to_string();
    let verify = format!("audit verify --kubeconfig {kubeconfig} --own-namespace {}", own.namespace);

    for instance in ["pod-1", "pod-2"] {
        let (ledger, writer) = open(archive.path(), instance).await;
        let mut anchorer = Anchorer::new(client.clone(), &*own.namespace, ledger.clone());
        delete(&ledger, "report", "u-1").await;
        ledger.flush().await.unwrap();
        anchorer.anchor().await.unwrap();
        assert_eq!(anchored(&own.client, &own.namespace, instance).await["sequence"], 3);
        ledger.flush().await.unwrap();
        anchorer.anchor().await.unwrap();
        let unmoved = anchored(&own.client, &own.namespace, instance).await;
        assert_eq!(unmoved["sequence"], 3, "its own record is no reason to anchor again");
        delete(&ledger, "another", "u-2").await;
        ledger.close().await.unwrap();
        writer.await.unwrap();
        anchorer.anchor().await.unwrap();
        assert_eq!(anchored(&own.client, &own.namespace, instance).await["sequence"], 7);
    }
    let audit = archive.json(&verify, 0);
    assert_eq!(audit["instances"][1]["anchorsMet"], 1, "{audit}");

    // Somebody cuts the end off, and the operator goes on behind it.
    let text = fs::read_to_string(archive.segment("pod-1")).unwrap();
    let cut: String = text.split_inclusive('\n').take(4).collect();
    fs::write(archive.segment("pod-1"), cut).unwrap();
    let (ledger, writer) = open(archive.path(), "pod-1").await;
    ledger.flush().await.unwrap();
    let mut anchorer = Anchorer::new(client, &*own.namespace, ledger.clone());
    anchorer.anchor().await.unwrap();
    for name in ["b", "c", "d"] {
        delete(&ledger, name, "u-9").await;
    }
    ledger.close().await.unwrap();
    writer.await.unwrap();
    anchorer.anchor().await.unwrap();
    let entry = anchored(&own.client, &own.namespace, "pod-1").await;
    assert_eq!(entry["contradicted"]["sequence"], 7, "{entry}");
    let audit = archive.json(&verify, 1);
    let fault = &audit["instances"][0]["fault"];
    assert_eq!((&fault["finding"], &fault["sequence"]), (&json!("Unanchored"), &json!(7)), "{audit}");
}

#[tokio::test]
async fn why_adds_what_policies_make_of_the_object_now() {
    let cluster = cluster().await;
    let team = Team::new(cluster, "why").await;
    team.create(policy("sweep").labelled("tmp=yes").after(3_600)).await;
    let made = team.create(config_map("report").labelled("tmp=yes")).await;
    team.create(config_map("other")).await;
    let archive = Archive::new();
    archive.write("pod-1", async |ledger| delete(ledger, "unrelated", "u-1").await).await;
    let who = cluster.admin().kubeconfig().display().to_string();
    let why =
        |object: &str| archive.json(&format!("why {object} -n {} --kubeconfig {who}", team.namespace), 0);

    let answer = why("configmaps/report");
    assert_eq!(answer["incarnations"], json!([]));
    let verdict = &answer["now"]["verdicts"][0];
    assert_eq!((&verdict["verdict"], &verdict["reason"]), (&json!("Keep"), &json!("NotYet")), "{answer}");
    assert_eq!(verdict["object"]["uid"], *made.uid);
    assert_eq!(why("configmap/other")["now"]["verdicts"][0]["reason"], "NotSelected");
    assert_eq!(why("configmap/gone")["now"]["verdicts"], json!([]));
    assert_eq!(why("secret/report")["now"]["policies"], 0);
    let told = archive.run(&format!("why configmap/report -n {} --kubeconfig {who}", team.namespace)).out;
    assert!(told.contains("/sweep: Keep, NotYet: "), "{told}");
}
