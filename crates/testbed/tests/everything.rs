//! The control plane does what a real one does.

#![allow(clippy::unwrap_used, reason = "a test's aid")]

use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testbed::ControlPlane;

mod support;
use support::eventually;

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

#[tokio::test]
async fn a_jobs_pod_completes_on_a_kwok_node() {
    let cluster = ControlPlane::shared().await.unwrap();
    let namespace = cluster.namespace("job").await.unwrap();
    cluster.add_kwok_node("worker").await.unwrap();
    let client = cluster.admin().client().unwrap();
    let jobs = Api::<Job>::namespaced(client.clone(), &namespace);

    let job = object(json!({
        "metadata": { "name": "sum" },
        "spec": { "template": { "spec": {
            "restartPolicy": "Never",
            "containers": [{ "name": "sum", "image": "example.invalid/sum" }],
        } } },
    }));
    jobs.create(&PostParams::default(), &job).await.unwrap();

    eventually(Duration::from_mins(1), "the job completes", async || {
        jobs.get("sum").await.unwrap().status.and_then(|status| status.succeeded) == Some(1)
    })
    .await;
    let pods = Api::<Pod>::namespaced(client, &namespace).list(&ListParams::default()).await.unwrap();
    assert_eq!(pods.items[0].spec.as_ref().unwrap().node_name.as_deref(), Some("worker"));
    assert_eq!(pods.items[0].status.as_ref().unwrap().phase.as_deref(), Some("Succeeded"));
}

#[tokio::test]
async fn a_user_may_do_what_a_role_grants_and_nothing_else() {
    let cluster = ControlPlane::shared().await.unwrap();
    let namespace = cluster.namespace("rights").await.unwrap();
    let groups = ["testers", "readers", "system:serviceaccounts"];
    let reader = cluster.user("reader", &groups).unwrap().client().unwrap();
    let maps = Api::<ConfigMap>::namespaced(reader, &namespace);
    let refusal = maps.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(&refusal, kube::Error::Api(status) if status.code == 403), "{refusal:?}");

    let admin = cluster.admin().client().unwrap();
    let role = object(json!({
        "metadata": { "name": "reader" },
        "rules": [{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"] }],
    }));
    // Bound to the second of three groups: all of a certificate's organizations count.
    let binding = object(json!({
        "metadata": { "name": "reader" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "readers" }],
    }));
    let roles = Api::<Role>::namespaced(admin.clone(), &namespace);
    roles.create(&PostParams::default(), &role).await.unwrap();
    let bindings = Api::<RoleBinding>::namespaced(admin, &namespace);
    bindings.create(&PostParams::default(), &binding).await.unwrap();

    eventually(Duration::from_secs(10), "the binding counts", async || {
        maps.list(&ListParams::default()).await.is_ok()
    })
    .await;
    let refusal = maps.create(&PostParams::default(), &object(json!({ "metadata": { "name": "a" } }))).await;
    assert!(matches!(&refusal, Err(kube::Error::Api(status)) if status.code == 403), "{refusal:?}");
}

#[tokio::test]
async fn service_accounts_get_tokens_that_the_api_server_believes() {
    let cluster = ControlPlane::shared().await.unwrap();
    let namespace = cluster.namespace("token").await.unwrap();
    let output = Command::new(cluster.kubectl())
        .args(["create", "token", "default", "--namespace", &namespace, "--kubeconfig"])
        .arg(cluster.admin().kubeconfig())
        .output()
        .unwrap();
    let token = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut config = cluster.admin().config();
    config.auth_info = object(json!({ "token": token.trim() }));
    let client = kube::Client::try_from(config).unwrap();
    let accounts = Api::<ServiceAccount>::namespaced(client, &namespace);
    let refusal = accounts.get("default").await.unwrap_err();

    let kube::Error::Api(status) = refusal else { panic!("{refusal:?}") };
    assert_eq!(status.code, 403, "a wrong token would be a 401");
    assert!(status.message.contains(&format!("system:serviceaccount:{namespace}:default")), "{status:?}");
}

#[tokio::test]
async fn kubectl_understands_the_kubeconfig_and_the_servers_version() {
    let cluster = ControlPlane::shared().await.unwrap();
    let output = Command::new(cluster.kubectl())
        .arg("version")
        .arg("--kubeconfig")
        .arg(cluster.admin().kubeconfig())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Server Version: v1.36."), "{said}");
}

#[tokio::test]
async fn every_server_runs_and_no_log_repeats_a_known_complaint() {
    let cluster = ControlPlane::shared().await.unwrap();
    let names: Vec<String> = cluster.processes().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"]);
    for tool in testbed::Tool::ALL {
        let Some(server) = cluster.server(tool) else { continue };
        let log = server.log().unwrap();
        for complaint in ["missing content for CA bundle", "must not be a loopback", "panic:"] {
            assert!(!log.contains(complaint), "{} complains:\n{log}", tool.name());
        }
    }
}
