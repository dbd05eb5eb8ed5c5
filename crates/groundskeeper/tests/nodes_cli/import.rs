//! The webhook of `infra.894.io` is replaced: its settings become a policy, its finalizers ours, and back.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::bed::{Bed, OURS, bed};
use crate::support::{eventually, holds, kubectl};

const OLD: &str = "infra.894.io/node-cleanup";

/// The old system, as it runs.
fn old_system(bed: &Bed) {
    let env = json!([
        {"name": "ENABLED_PLUGINS", "value": "logger,slack"},
        {"name": "SLACK_WEBHOOK_URL", "value": "https://hooks.example.com/T0/secret"},
    ]);
    let container = json!({"name": "webhook", "image": "example.com/node-cleanup-webhook:1", "env": env});
    let labels = json!({"app": "node-cleanup-webhook"});
    let spec = json!({
        "replicas": 2, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    });
    let metadata = json!({"name": "node-cleanup-webhook", "namespace": "infra"});
    let webhook = json!({
        "name": "node-cleanup.infra.894.io", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore",
        "clientConfig": {"url": "https://127.0.0.1:1/mutate-node"}, "timeoutSeconds": 1,
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nodes"]}],
        "objectSelector": {"matchLabels": {"pool": "workers"}},
    });
    let items = json!([
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "infra"}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "loose", "namespace": "infra"}, "data": {"DRAIN_GRACE_PERIOD": "45s"}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "node-cleanup"}, "webhooks": [webhook]},
    ]);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    kubectl(bed.cluster, &["apply", "-f", "-"], &list.to_string());
}

#[tokio::test]
async fn the_old_systems_settings_become_a_policy_and_its_finalizers_ours_and_back() {
    let bed = bed().await;
    old_system(&bed);
    let said = bed.run("import node-cleanup-webhook --cluster --name workers -o json");
    assert_eq!(said.status, 2, "{said:?}");
    assert!(!said.out.contains("hooks.example.com"), "a Slack URL is a secret");
    let policy = said.json()["policy"].clone();
    let spec = &policy["spec"];
    assert_eq!(spec["nodeSelector"], json!({"matchLabels": {"pool": "workers"}}));
    assert_eq!((&spec["dryRun"], &spec["drain"]["gracePeriodSeconds"]), (&json!(true), &json!(45)));
    let plugins: Vec<_> = spec["steps"].as_array().unwrap().iter().map(|step| &step["plugin"]).collect();
    assert_eq!(plugins, ["log", "slack"]);
    bed.create_as("NodeCleanupPolicy", policy).await;

    // Webhooks of nodes are not asked any more before nodes are made here.
    let rewrite = "import node-cleanup-webhook --rewrite-nodes --yes";
    assert!(
        bed.run(rewrite).complaint().contains("kubectl delete mutatingwebhookconfiguration node-cleanup")
    );
    kubectl(bed.cluster, &["delete", "mutatingwebhookconfiguration", "node-cleanup"], "");
    assert!(bed.run(rewrite).complaint().contains("kubectl scale deployment/node-cleanup-webhook -n infra"));
    kubectl(bed.cluster, &["scale", "deployment/node-cleanup-webhook", "-n", "infra", "--replicas=0"], "");

    bed.node("worker-1", &["example.com/a", OLD, "example.com/b"]).await;
    bed.node("worker-2", &[OLD, OURS]).await;
    bed.node("new", &[]).await;
    bed.leaving("leaving", &[OLD]).await;
    let skip = Patch::Merge(
        json!({"metadata": {"annotations": {"infra.894.io/skip-cleanup": "true", "other": "x"}}}),
    );
    bed.api("Node").patch("worker-1", &PatchParams::default(), &skip).await.unwrap();
    let planning = bed.run(rewrite);
    assert_eq!(planning.status, 2, "{planning:?}");
    assert!(planning.out.contains("policy workers only plans"), "{planning:?}");
    let act = Patch::Merge(json!({"spec": {"dryRun": false}}));
    bed.api("NodeCleanupPolicy").patch("workers", &PatchParams::default(), &act).await.unwrap();

    let outcomes = |report: &Value| {
        let rows = report["nodes"].as_array().unwrap();
        let row = |row: &Value| format!("{} {}", row["node"], row["outcome"]).replace('"', "");
        rows.iter().map(row).collect::<Vec<_>>()
    };
    let tried = bed.run(&format!("{rewrite} --dry-run -o json")).json();
    assert_eq!(outcomes(&tried), ["leaving Left", "worker-1 Swapped", "worker-2 Swapped"], "{tried:#}");
    assert_eq!(bed.finalizers("worker-2").await, [OLD, OURS]);
    let done = bed.run(&format!("{rewrite} -o json"));
    assert_eq!(done.status, 2, "{done:?}");
    assert_eq!(outcomes(&done.json()), ["leaving Left", "worker-1 Swapped", "worker-2 Swapped"]);
    assert_eq!(bed.finalizers("worker-1").await, ["example.com/a", OURS, "example.com/b"]);
    assert_eq!(bed.finalizers("worker-2").await, [OURS]);
    assert_eq!(bed.finalizers("new").await, Vec::<String>::new());
    let node = bed.look("Node", "worker-1").await.unwrap();
    let ours: Vec<_> = node["metadata"]["annotations"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|key| !key.contains("kubernetes.io"))
        .collect();
    assert_eq!(ours, ["groundskeeper.dev/skip-cleanup", "other"]);
    bed.takes_off("leaving", OLD).await;
    assert!(bed.run(rewrite).ok().out.contains("No node has the finalizer"));

    let back = "import node-cleanup-webhook --rollback --yes";
    assert!(bed.run(back).complaint().contains("policy workers would put our finalizer back"));
    let plan = Patch::Merge(json!({"spec": {"dryRun": true}}));
    bed.api("NodeCleanupPolicy").patch("workers", &PatchParams::default(), &plan).await.unwrap();
    let said = bed.run(back).ok();
    assert!(said.out.contains("2 of 2 nodes now have infra.894.io/node-cleanup"), "{said:?}");
    assert_eq!(bed.finalizers("worker-1").await, ["example.com/a", OLD, "example.com/b"]);
    assert_eq!(
        bed.look("Node", "worker-1").await.unwrap()["metadata"]["annotations"]["infra.894.io/skip-cleanup"],
        "true"
    );
    kubectl(bed.cluster, &["delete", "deployment/node-cleanup-webhook", "-n", "infra"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_others_write_their_finalizers_at_once_and_none_is_lost() {
    let bed = bed().await;
    bed.create("NodeCleanupPolicy", "workers", json!({})).await;
    bed.node("worker-1", &[OLD]).await;
    let writers: Vec<_> = (0..50)
        .map(|number| {
            let nodes = bed.api("Node");
            tokio::spawn(async move {
                let mine = format!("example.com/writer-{number}");
                loop {
                    let node = nodes.get("worker-1").await.unwrap();
                    let mut finalizers = node.metadata.finalizers.unwrap_or_default();
                    finalizers.push(mine.clone());
                    let version = node.metadata.resource_version;
                    let patch = json!({"metadata": {"resourceVersion": version, "finalizers": finalizers}});
                    match nodes.patch("worker-1", &PatchParams::default(), &Patch::Merge(patch)).await {
                        Ok(_) => return,
                        Err(kube::Error::Api(status)) if status.code == 409 => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let said = bed.start("import node-cleanup-webhook --rewrite-nodes --yes").await.unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    said.ok();
    let finalizers = bed.finalizers("worker-1").await;
    assert_eq!(
        finalizers.iter().filter(|one| one.starts_with("example.com/writer-")).count(),
        50,
        "{finalizers:?}"
    );
    assert!(
        finalizers.iter().any(|one| one == OURS) && !finalizers.iter().any(|one| one == OLD),
        "{finalizers:?}"
    );

    // Fifty take theirs off again while the node leaves and ours goes without an operator.
    bed.api("Node").delete("worker-1", &kube::api::DeleteParams::default()).await.unwrap();
    let releasing = bed.start("nodes release worker-1 --stand-alone --yes");
    let taking = (0..49).map(|number| {
        let nodes = bed.api("Node");
        tokio::spawn(async move {
            let mine = format!("example.com/writer-{number}");
            loop {
                let node = nodes.get("worker-1").await.unwrap();
                let left: Vec<_> = node.metadata.finalizers.unwrap_or_default().into_iter().filter(|one| *one != mine).collect();
                let patch = json!({"metadata": {"resourceVersion": node.metadata.resource_version, "finalizers": left}});
                match nodes.patch("worker-1", &PatchParams::default(), &Patch::Merge(patch)).await {
                    Ok(_) => return,
                    Err(kube::Error::Api(status)) if status.code == 409 => {}
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    for writer in taking.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    releasing.await.unwrap().ok();
    assert_eq!(bed.finalizers("worker-1").await, ["example.com/writer-49"]);
    eventually(bed.cluster, "it is still being deleted", async || {
        let node = bed.look("Node", "worker-1").await.unwrap();
        holds(node["metadata"]["deletionTimestamp"].is_string(), node)
    })
    .await;
}

#[tokio::test]
async fn files_are_converted_without_a_cluster() {
    let bed = bed().await;
    let file = bed.cluster.directory().join("old.env");
    std::fs::write(
        &file,
        "# The old system\nENABLED_PLUGINS=\"logger\"\nexport LOGGER_FORMAT=pretty\nHOME=/\n",
    )
    .unwrap();
    let said = bed.run(&format!("import node-cleanup-webhook -f {}", file.display()));
    assert_eq!(said.status, 2, "{said:?}");
    assert!(said.out.contains("kind: NodeCleanupPolicy") && said.out.contains("plugin: log"), "{said:?}");
    assert!(said.err.contains("left out: LOGGER_FORMAT"), "{said:?}");
    kubectl(bed.cluster, &["apply", "--dry-run=server", "-f", "-"], &said.out);
    std::fs::write(&file, "HOME=/\n").unwrap();
    let nothing = bed.run(&format!("import node-cleanup-webhook -f {}", file.display())).complaint();
    assert!(nothing.contains("nothing of the old system"), "{nothing}");
}
