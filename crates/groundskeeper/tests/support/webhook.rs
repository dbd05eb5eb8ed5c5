//! The smallest installation of the admission webhook: configurations that lead to loopback.

use serde_json::{Value, json};
use testbed::ControlPlane;

use super::operator::{Launch, Operator};
use super::{eventually, holds, identity, kubectl};

/// Applies manifests as the administrator.
pub(crate) fn apply(cluster: &ControlPlane, documents: &[Value]) {
    let text: Vec<_> = documents.iter().map(Value::to_string).collect();
    kubectl(cluster, &["apply", "--server-side", "-f", "-"], &text.join("\n---\n"));
}

/// Leads the API server to these operators: one of them stamps authors, all of them judge.
pub(crate) fn configure(cluster: &ControlPlane, operators: &[&Operator]) {
    let hook = |name: String, operator: &Operator, path: &str| {
        json!({
            "name": name,
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": format!("https://{}/{path}", operator.webhook().unwrap())},
            "failurePolicy": "Fail",
            "matchPolicy": "Equivalent",
            "sideEffects": "None",
            "timeoutSeconds": 5,
            "rules": [{
                "apiGroups": ["groundskeeper.dev"], "apiVersions": ["v1alpha1"], "scope": "*",
                "operations": ["CREATE", "UPDATE"],
                "resources": ["garbagecollectionpolicies", "clustergarbagecollectionpolicies"],
            }],
        })
    };
    let configuration = |kind: &str, webhooks: Vec<Value>| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": "groundskeeper"}, "webhooks": webhooks,
        })
    };
    let judges = operators.iter().enumerate();
    let judges = judges.map(|(at, operator)| {
        hook(format!("policies-{at}.groundskeeper.dev"), operator, "validate/policies")
    });
    let stamp = hook("authors.groundskeeper.dev".to_owned(), operators[0], "mutate/policies");
    apply(
        cluster,
        &[
            configuration("ValidatingWebhookConfiguration", judges.collect()),
            configuration("MutatingWebhookConfiguration", vec![stamp]),
        ],
    );
}

/// Waits until every webhook shows a bundle.
pub(crate) async fn configured(cluster: &ControlPlane) {
    eventually(cluster, "the configurations show the authorities", async || {
        let bundles = bundles(cluster);
        holds(!bundles.is_empty() && bundles.iter().all(|bundle| !bundle.is_empty()), format!("{bundles:?}"))
    })
    .await;
}

/// The bundle of each webhook.
pub(crate) fn bundles(cluster: &ControlPlane) -> Vec<String> {
    let kinds = "validatingwebhookconfiguration,mutatingwebhookconfiguration";
    let found = kubectl(cluster, &["get", kinds, "-o", "json"], "");
    let found: Value = serde_json::from_str(&found).unwrap();
    let webhooks =
        found["items"].as_array().unwrap().iter().flat_map(|item| item["webhooks"].as_array().unwrap());
    webhooks
        .map(|webhook| webhook["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Takes the webhook out again.
pub(crate) fn remove(cluster: &ControlPlane) {
    for kind in ["validatingwebhookconfiguration", "mutatingwebhookconfiguration"] {
        kubectl(cluster, &["delete", kind, "groundskeeper", "--ignore-not-found"], "");
    }
    let secret = ["delete", "secret", "groundskeeper-webhook-tls", "--ignore-not-found"];
    kubectl(cluster, &[&secret[..], &["-n", "groundskeeper-system"]].concat(), "");
}

/// Starts an operator that answers reviews; `flags` come besides.
pub(crate) async fn launch(cluster: &ControlPlane, flags: &[&str]) -> Operator {
    let listening = Launch::new(identity(cluster).kubeconfig()).flag("--webhook-bind-address=127.0.0.1:0");
    let launch = flags.iter().fold(listening, |launch, flag| launch.flag(flag));
    let operator = launch.start(cluster).await;
    eventually(cluster, "the webhook listens", async || operator.webhook().map(drop).ok_or(String::new()))
        .await;
    operator.ready(cluster).await;
    operator
}
