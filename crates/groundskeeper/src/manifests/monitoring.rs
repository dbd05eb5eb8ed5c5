//! What tells Prometheus' operator where our metrics are.

use serde_json::{Value, json};

use super::workload::{METRICS_SERVICE, selector};
use super::{RbacOptions, labels};

/// Where the kind is served, if it is.
pub(crate) const API_VERSION: &str = "monitoring.coreos.com/v1";

pub(super) fn service_monitor(options: &RbacOptions) -> Value {
    let mut service = selector();
    service["app.kubernetes.io/component"] = json!("metrics");
    json!({
        "apiVersion": API_VERSION,
        "kind": "ServiceMonitor",
        "metadata": {"labels": labels(), "name": METRICS_SERVICE, "namespace": options.namespace},
        "spec": {
            "endpoints": [{
                "port": "metrics",
                "path": "/metrics",
                "bearerTokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token",
            }],
            "selector": {"matchLabels": service},
        },
    })
}
