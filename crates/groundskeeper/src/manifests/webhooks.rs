//! The webhook configurations: what the API server asks us about, and what it does if we do not answer.
//!
//! It asks about our own kinds, and about nodes that are being created without our finalizer. It goes on if there is no
//! answer within three seconds, for a node within two. That is safe: what is dangerous is refused by policies in the API
//! server itself (`guards`, `nodes`), the controller asks again what the webhook would have asked before it deletes
//! anything, and it puts the finalizer on where it is missing.

use api::node_cleanup::NODE_FINALIZER;
use api::{GROUP, VERSION};
use chassis::rights::WEBHOOK_CONFIGURATION;
use serde_json::{Value, json};

use super::workload::WEBHOOK_SERVICE;
use super::{Facts, InstallOptions, RbacOptions, labels};

/// Seconds that a user's request waits for us at most: far below the renew deadline of any lease (10 s).
const TIMEOUT_SECONDS: u32 = 3;

/// Seconds that a node waits for us at most when it registers.
const NODE_TIMEOUT_SECONDS: u32 = 2;

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
    configuration("ValidatingWebhookConfiguration", &[webhook])
}

/// Puts the finalizer on nodes whose policy asks for it, and writes the author down where the cluster has no
/// `MutatingAdmissionPolicy` to do so.
pub(super) fn mutating(options: &InstallOptions, facts: &Facts) -> Value {
    let mut webhooks = vec![nodes(options)];
    if !facts.mutating_policies {
        let mut stamp = webhook("/mutate/policies", &conditions(&options.rbac), options);
        stamp["reinvocationPolicy"] = json!("IfNeeded");
        webhooks.push(stamp);
    }
    configuration("MutatingWebhookConfiguration", &webhooks)
}

/// Kubelets create nodes, so that their requests count here.
fn nodes(options: &InstallOptions) -> Value {
    let lacks_it = format!("!('{NODE_FINALIZER}' in object.metadata.?finalizers.orValue([]))");
    json!({
        "name": "nodes.groundskeeper.dev",
        "admissionReviewVersions": ["v1"],
        "clientConfig": client_config("/mutate/nodes", options),
        "failurePolicy": "Ignore",
        "matchConditions": [condition("lacks-the-finalizer", &lacks_it)],
        "matchPolicy": "Equivalent",
        "reinvocationPolicy": "IfNeeded",
        "rules": [{
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["nodes"],
            "scope": "Cluster",
        }],
        "sideEffects": "None",
        "timeoutSeconds": NODE_TIMEOUT_SECONDS,
    })
}

fn configuration(kind: &str, webhooks: &[Value]) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"labels": labels(), "name": WEBHOOK_CONFIGURATION},
        "webhooks": webhooks,
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

/// Where we are reached. The CA is written by the operator: it makes it, and rotates it.
fn client_config(path: &str, options: &InstallOptions) -> Value {
    match &options.webhook_url {
        Some(url) => json!({"url": format!("{url}{path}")}),
        None => json!({"service": {
            "name": WEBHOOK_SERVICE, "namespace": options.rbac.namespace, "path": path, "port": 443,
        }}),
    }
}

fn webhook(path: &str, conditions: &[Value], options: &InstallOptions) -> Value {
    json!({
        "name": "policies.groundskeeper.dev",
        "admissionReviewVersions": ["v1"],
        "clientConfig": client_config(path, options),
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
    fn a_webhook_can_hold_up_nothing_but_our_own_kinds_and_new_nodes_and_those_not_for_long() {
        let options = InstallOptions::default();
        let old = Facts { mutating_policies: false, ..Facts::default() };
        for configuration in [validating(&options), mutating(&options, &old)] {
            for webhook in configuration["webhooks"].as_array().unwrap() {
                let is_of_nodes = webhook["name"] == "nodes.groundskeeper.dev";
                assert_eq!(webhook["failurePolicy"], "Ignore");
                assert_eq!(webhook["timeoutSeconds"], if is_of_nodes { 2 } else { 3 });
                for rule in webhook["rules"].as_array().unwrap() {
                    assert_eq!(rule["apiGroups"], if is_of_nodes { json!([""]) } else { json!([GROUP]) });
                    assert!(!is_of_nodes || rule["operations"] == json!(["CREATE"]), "{rule}");
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
