//! The webhook configurations: what the API server asks us about, and what it does if we do not answer.
//!
//! It asks about our own kinds alone, and goes on if there is no answer within three seconds. That is safe: what is
//! dangerous is refused by policies in the API server itself (`guards`), and the controller asks again what the webhook
//! would have asked before it deletes anything.

use api::{GROUP, VERSION};
use chassis::rights::WEBHOOK_CONFIGURATION;
use serde_json::{Value, json};

use super::workload::WEBHOOK_SERVICE;
use super::{InstallOptions, RbacOptions, labels};

/// Seconds that a user's request waits for us at most: far below the renew deadline of any lease (10 s).
const TIMEOUT_SECONDS: u32 = 3;

/// A base URL as it can stand in a webhook configuration.
pub(super) fn base_url(text: &str) -> Result<String, String> {
    let authority = text.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
    let plain = |rest: &&str| !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' ']);
    match authority.filter(plain) {
        Some(authority) => Ok(format!("https://{authority}")),
        None => Err("write https://HOST:PORT, without a path, a query or a user".to_owned()),
    }
}

pub(super) fn validating(options: &InstallOptions) -> Value {
    let mut conditions = conditions(&options.rbac);
    // Part of the control plane: what it asks for must not wait for us. The controller judges it all the same.
    conditions.push(condition(
        "not-the-control-plane",
        "!request.userInfo.username.startsWith('system:serviceaccount:kube-system:')",
    ));
    conditions
        .push(condition("spec-is-new", "request.operation == 'CREATE' || object.spec != oldObject.spec"));
    let webhook = webhook("/validate/policies", &conditions, options);
    configuration("ValidatingWebhookConfiguration", &webhook)
}

/// Writes the author down where the cluster has no `MutatingAdmissionPolicy` to do so.
pub(super) fn mutating(options: &InstallOptions) -> Value {
    let mut webhook = webhook("/mutate/policies", &conditions(&options.rbac), options);
    webhook["reinvocationPolicy"] = json!("IfNeeded");
    configuration("MutatingWebhookConfiguration", &webhook)
}

fn configuration(kind: &str, webhook: &Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"labels": labels(), "name": WEBHOOK_CONFIGURATION},
        "webhooks": [webhook],
    })
}

fn condition(name: &str, expression: &str) -> Value {
    json!({"name": name, "expression": expression})
}

/// Whose requests are never ours to judge.
fn conditions(options: &RbacOptions) -> Vec<Value> {
    let RbacOptions { namespace, service_account, .. } = options;
    let own = format!("request.userInfo.username != 'system:serviceaccount:{namespace}:{service_account}'");
    vec![
        condition("not-ourselves", &own),
        condition("not-a-node", "!request.userInfo.username.startsWith('system:node:')"),
    ]
}

fn webhook(path: &str, conditions: &[Value], options: &InstallOptions) -> Value {
    // The CA is written by the operator: it makes it, and rotates it.
    let client_config = match &options.webhook_url {
        Some(url) => json!({"url": format!("{url}{path}")}),
        None => json!({"service": {
            "name": WEBHOOK_SERVICE, "namespace": options.rbac.namespace, "path": path, "port": 443,
        }}),
    };
    json!({
        "name": "policies.groundskeeper.dev",
        "admissionReviewVersions": ["v1"],
        "clientConfig": client_config,
        "failurePolicy": "Ignore",
        "matchConditions": conditions,
        "matchPolicy": "Equivalent",
        "namespaceSelector": {"matchExpressions": [{
            "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"],
        }]},
        "rules": [{
            "apiGroups": [GROUP],
            "apiVersions": [VERSION],
            "operations": ["CREATE", "UPDATE"],
            "resources": ["garbagecollectionpolicies", "clustergarbagecollectionpolicies"],
            // Of both scopes, for the one kind has namespaces and the other has none.
            "scope": "*",
        }],
        "sideEffects": "None",
        "timeoutSeconds": TIMEOUT_SECONDS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_can_hold_up_nothing_but_our_own_kinds_and_those_not_for_long() {
        let options = InstallOptions::default();
        for configuration in [validating(&options), mutating(&options)] {
            for webhook in configuration["webhooks"].as_array().unwrap() {
                assert_eq!(webhook["failurePolicy"], "Ignore");
                assert_eq!(webhook["timeoutSeconds"], TIMEOUT_SECONDS);
                for rule in webhook["rules"].as_array().unwrap() {
                    assert_eq!(rule["apiGroups"], json!([GROUP]));
                    for field in ["apiVersions", "operations", "resources"] {
                        assert!(!rule[field].to_string().contains('*'), "{rule}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_base_url_is_https_with_a_host_and_nothing_else() {
        assert_eq!(base_url("https://192.0.2.1:9443/").unwrap(), "https://192.0.2.1:9443");
        for wrong in ["http://a", "https://", "https://a/b", "https://a?b", "https://a@b", "a:9443"] {
            assert!(base_url(wrong).is_err(), "{wrong}");
        }
    }
}
