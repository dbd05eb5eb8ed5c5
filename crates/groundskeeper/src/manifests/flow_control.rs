//! Priority and fairness: our leases are renewed even while everybody lists, and our lists push nobody aside.
//!
//! Without these objects the API server puts all that a service account asks into one level (`workload-low`), so that our
//! own lists could hold up the renewal of our own lease.

use serde_json::{Value, json};

use super::{RbacOptions, labels};

/// What puts our leases into the level of leader election.
pub(crate) const LEASES_SCHEMA: &str = "groundskeeper-leases";

/// What puts everything else of ours into a level of its own.
pub(crate) const OTHER_SCHEMA: &str = "groundskeeper";

/// Our own level.
pub(crate) const PRIORITY_LEVEL: &str = "groundskeeper";

/// Lower wins. Kubernetes' own: 100 for its own leases, 200 for leases in kube-system, 9,000 for service accounts.
const LEASES_PRECEDENCE: u32 = 150;
const OTHER_PRECEDENCE: u32 = 1_000;

/// Shares of the API server's concurrency; `workload-low` has 100, `workload-high` 40.
const SHARES: u32 = 10;

pub(super) fn documents(options: &RbacOptions) -> [Value; 3] {
    let leases = json!({
        "verbs": ["create", "get", "patch", "update"],
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "namespaces": [options.namespace],
    });
    // These say which requests are meant, and give no right to any.
    let any = json!({
        "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true,
    });
    [
        priority_level(),
        schema(LEASES_SCHEMA, "leader-election", LEASES_PRECEDENCE, &leases, options),
        schema(OTHER_SCHEMA, PRIORITY_LEVEL, OTHER_PRECEDENCE, &any, options),
    ]
}

/// Few seats of its own, of which it lends out half while they are idle. It may borrow four times as many: a listing of a
/// large kind takes up to ten seats.
fn priority_level() -> Value {
    json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "PriorityLevelConfiguration",
        "metadata": {"labels": labels(), "name": PRIORITY_LEVEL},
        "spec": {
            "type": "Limited",
            "limited": {
                "nominalConcurrencyShares": SHARES,
                "lendablePercent": 50,
                "borrowingLimitPercent": 400,
                "limitResponse": {
                    "type": "Queue",
                    "queuing": {"queues": 16, "handSize": 4, "queueLengthLimit": 50},
                },
            },
        },
    })
}

fn schema(name: &str, level: &str, precedence: u32, requests: &Value, options: &RbacOptions) -> Value {
    let RbacOptions { namespace, service_account, .. } = options;
    json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"labels": labels(), "name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": level},
            "matchingPrecedence": precedence,
            "distinguisherMethod": {"type": "ByNamespace"},
            "rules": [{
                "subjects": [{
                    "kind": "ServiceAccount",
                    "serviceAccount": {"name": service_account, "namespace": namespace},
                }],
                "resourceRules": [requests],
            }],
        },
    })
}
