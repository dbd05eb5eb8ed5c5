//! Reviews of policies, judged in this process as the webhook judges them: parsed, compiled, the author's rights looked up
//! (the first time at the API server), answered. Without a network between, which would measure the bench's own TLS.

use std::sync::Arc;

use anyhow::{Result, ensure};
use axum::body::{Body, to_bytes};
use chassis::Metrics;
use chassis::admission::{Desk, Reviewer};
use control::SystemClock;
use controllers::gc::admission::PolicyReviewer;
use kube::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::watcher::Stopwatch;

/// Hands in so many policies at one moment, again and again; returns the seconds from that moment to the answer of each:
/// what waits for its turn on the machine's cores counts.
pub(super) async fn judge(client: Client, namespace: &str, load: (usize, usize)) -> Result<Vec<f64>> {
    let (at_one_time, times) = load;
    let clock = Arc::new(SystemClock);
    let reviewer = PolicyReviewer::new(client, api::Rails::new("groundskeeper-system"), clock.clone());
    let reviewers: Vec<Box<dyn Reviewer>> = vec![Box::new(reviewer)];
    let desk = Arc::new(Desk::new(reviewers, clock, Metrics::default()));
    let review: Arc<[u8]> = review(namespace).to_string().into_bytes().into();
    ask(&desk, &review).await?;

    let mut seconds = Vec::with_capacity(at_one_time * times);
    for _ in 0..times {
        let clock = Stopwatch::start();
        let mut tasks = JoinSet::new();
        for _ in 0..at_one_time {
            let (desk, review) = (Arc::clone(&desk), Arc::clone(&review));
            tasks.spawn(async move { ask(&desk, &review).await.map(|()| clock.seconds()) });
        }
        let all: Result<Vec<f64>> = tasks.join_all().await.into_iter().collect();
        seconds.extend(all?);
    }
    Ok(seconds)
}

async fn ask(desk: &Desk, review: &[u8]) -> Result<()> {
    let request = http::Request::post("/validate/policies?timeout=10s")
        .header("Content-Type", "application/json")
        .header("Content-Length", review.len())
        .body(Body::from(review.to_vec()))?;
    let answer = to_bytes(desk.answer(request).await.into_body(), 1 << 20).await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    ensure!(answer["response"]["allowed"] == true, "refused: {answer}");
    Ok(())
}

/// A policy that the administrator creates.
fn review(namespace: &str) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "bench",
        "kind": {"group": api::GROUP, "version": api::VERSION, "kind": "GarbageCollectionPolicy"},
        "operation": "CREATE",
        "name": "bench",
        "namespace": namespace,
        "userInfo": {"username": "admin", "groups": ["system:masters"]},
        "object": {
            "apiVersion": format!("{}/{}", api::GROUP, api::VERSION),
            "kind": "GarbageCollectionPolicy",
            "metadata": {
                "name": "bench",
                "namespace": namespace,
                "annotations": {api::AUTHOR_ANNOTATION: "admin", api::AUTHOR_GROUPS_ANNOTATION: "system:masters"},
            },
            "spec": {
                "targetResource": {"apiVersion": "v1", "kind": "ConfigMap", "labelSelector": {"matchLabels": {"bench": "yes"}}},
                "ttl": {"secondsAfterCreation": 3_600},
            },
        },
    }})
}
