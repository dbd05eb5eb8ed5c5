//! The webhook that puts the finalizer on where a policy asks it to.

use std::sync::Arc;

use axum::body::Body;
use chassis::Metrics;
use chassis::admission::limits::BODY_BYTES_MAX;
use chassis::admission::{
    CertificateState, Desk, Lifetimes, OwnCertificates, Reviewer, Server, keep_own_certificates,
    serve_reviews,
};
use control::SystemClock;
use controllers::node_cleanup::admission::{FinalizerRule, FinalizerStamp, Nodes};
use kube::api::PostParams;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{eventually, holds, kubectl, printed};
use crate::{FINALIZER, apply_policy, cluster, finalizers_of_new, kubelet, nodes, read};

fn pool() -> Value {
    json!({"pool": "by-webhook"})
}

fn spec() -> Value {
    json!({"finalizerBy": "Webhook", "nodeSelector": {"matchLabels": pool()}})
}

/// What the controller would tell the webhook.
fn known() -> Nodes {
    let policy: api::NodeCleanupPolicy = read(json!({"metadata": {"name": "by-webhook"}, "spec": spec()}));
    let compiled = node_cleanup::Policy::compile(&policy, &|_| None).unwrap();
    let nodes = Nodes::default();
    nodes.follow(vec![FinalizerRule::new(Arc::new(compiled), &policy.spec)]);
    nodes
}

#[tokio::test]
async fn a_kubelet_registers_and_the_webhook_puts_the_finalizer_on() {
    let cluster = cluster().await;
    let (clock, metrics, stop) = (Arc::new(SystemClock), Metrics::default(), CancellationToken::new());
    let state = CertificateState::new(clock.clone(), metrics.clone());
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), state.clone(), None).await.unwrap();
    let url = format!("https://{}", server.address());
    let own = OwnCertificates {
        namespace: "groundskeeper-system".to_owned(),
        secret: "groundskeeper-webhook-tls".to_owned(),
        configurations: "groundskeeper".to_owned(),
        names: vec!["127.0.0.1".to_owned()],
        lifetimes: Lifetimes {
            authority: std::time::Duration::from_hours(2),
            leaf: std::time::Duration::from_hours(1),
        },
    };
    let shared = || (clock.clone() as Arc<dyn control::Clock>, metrics.clone());
    let client = cluster.admin().client().unwrap();
    tokio::spawn(keep_own_certificates(own, client, state, shared(), stop.clone()));
    let stamp: Box<dyn Reviewer> = Box::new(FinalizerStamp::new(
        known(),
        chassis::Metrics::default(),
        std::sync::Arc::new(control::SystemClock),
    ));
    let serving = tokio::spawn(serve_reviews(server, vec![stamp], shared(), stop.clone()));
    // The real manifest, and of it the part about nodes.
    let manifests = printed(&["install", "--print", "--webhook-url", &url]);
    let manifest = manifests
        .split("---\n")
        .find(|manifest| manifest.contains("kind: MutatingWebhookConfiguration"))
        .unwrap();
    assert!(manifest.contains("/mutate/nodes") && !manifest.contains("/mutate/policies"), "{manifest}");
    kubectl(cluster, &["apply", "--server-side", "-f", "-"], manifest);
    apply_policy(cluster, "by-webhook", &spec());
    eventually(cluster, "the webhook puts the finalizer on", async || {
        let found = finalizers_of_new(cluster.admin(), &pool()).await;
        holds(found == [FINALIZER], format!("{found:?}"))
    })
    .await;

    let kubelet = kubelet(cluster, "by-webhook-1");
    let register = async |labels: Value| {
        let node = json!({"metadata": {"name": "by-webhook-1", "labels": labels}});
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        nodes(&kubelet).create(&dry_run, &read(node)).await.unwrap().metadata.finalizers.unwrap_or_default()
    };
    assert_eq!(register(pool()).await, [FINALIZER]);
    assert_eq!(register(json!({"pool": "another"})).await, Vec::<String>::new());
    // Nobody answers any more: nodes register all the same, and the controller would put it on.
    stop.cancel();
    serving.await.unwrap();
    assert_eq!(register(pool()).await, Vec::<String>::new());
    kubectl(cluster, &["delete", "mutatingwebhookconfiguration/groundskeeper"], "");
}

#[tokio::test]
async fn a_review_that_is_none_or_too_large_is_answered_with_what_is_wrong() {
    let stamp: Box<dyn Reviewer> = Box::new(FinalizerStamp::new(
        known(),
        chassis::Metrics::default(),
        std::sync::Arc::new(control::SystemClock),
    ));
    let desk = Desk::new(vec![stamp], Arc::new(SystemClock), Metrics::default());
    let review = |request: Value| {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
            .to_string()
    };
    let node = json!({"metadata": {"name": "a", "labels": pool()}});
    let request = json!({
        "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Node"}, "operation": "CREATE",
        "userInfo": {"username": "system:node:a"}, "object": node,
    });
    let without = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}).to_string();
    let table = [
        (without, 400, "the AdmissionReview has no request with a uid"),
        (review(Value::Null), 400, "the AdmissionReview has no request with a uid"),
        ("{".to_owned(), 400, "the body is not an AdmissionReview"),
        (" ".repeat(BODY_BYTES_MAX + 1), 413, "too large"),
        (review(request), 200, "JSONPatch"),
    ];
    for (body, expected, words) in table {
        let request = http::Request::post("/mutate/nodes").header("content-type", "application/json");
        let answer = desk.answer(request.body(Body::from(body)).unwrap()).await;
        let code = answer.status().as_u16();
        let said = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(code == expected && said.contains(words), "{code}: {said}");
    }
}
