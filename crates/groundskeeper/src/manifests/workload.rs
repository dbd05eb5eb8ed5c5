//! The operator as a workload: its Deployment, and what stands around it.
//!
//! The pods meet the Pod Security Standard `restricted`, which the namespace enforces.

use serde_json::{Value, json};

use super::configuration::{CONFIG_MAP, FILE as CONFIG_FILE};
use super::{Facts, InstallOptions, RbacOptions, labels};

/// The Deployment.
pub(crate) const DEPLOYMENT: &str = "groundskeeper";

/// Where the API server reaches the webhook.
pub(super) const WEBHOOK_SERVICE: &str = crate::webhook::WEBHOOK_SERVICE;

/// Where metrics are read.
pub(super) const METRICS_SERVICE: &str = "groundskeeper-metrics";

const METRICS_PORT: u16 = 8080;
const HEALTH_PORT: u16 = 8081;
const WEBHOOK_PORT: u16 = 9443;

/// Where the configuration file lies in a pod.
const CONFIGURATION: &str = "/etc/groundskeeper";

/// Nobody's: what distroless images call `nonroot`.
const USER: u32 = 65_532;

/// What `run` is told in a pod; what it is not told there, the configuration file says.
fn arguments() -> Vec<String> {
    vec![
        "run".to_owned(),
        format!("--config={CONFIGURATION}/{CONFIG_FILE}"),
        format!("--metrics-bind-address=0.0.0.0:{METRICS_PORT}"),
        format!("--health-probe-bind-address=0.0.0.0:{HEALTH_PORT}"),
        format!("--webhook-bind-address=0.0.0.0:{WEBHOOK_PORT}"),
    ]
}

/// What tells our pods from others.
pub(super) fn selector() -> Value {
    json!({"app.kubernetes.io/name": "groundskeeper"})
}

pub(super) fn documents(options: &InstallOptions, facts: &Facts) -> [Value; 5] {
    let rbac = &options.rbac;
    let webhook = json!([{"name": "webhook", "port": 443, "targetPort": "webhook"}]);
    let metrics = json!([{"name": "metrics", "port": METRICS_PORT, "targetPort": "metrics"}]);
    [
        service(WEBHOOK_SERVICE, "webhook", &webhook, rbac),
        service(METRICS_SERVICE, "metrics", &metrics, rbac),
        network_policy(rbac, facts),
        disruption_budget(rbac),
        deployment(options),
    ]
}

fn metadata(name: &str, options: &RbacOptions) -> Value {
    json!({"labels": labels(), "name": name, "namespace": options.namespace})
}

fn service(name: &str, component: &str, ports: &Value, options: &RbacOptions) -> Value {
    let mut metadata = metadata(name, options);
    metadata["labels"]["app.kubernetes.io/component"] = json!(component);
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": selector(), "ports": ports},
    })
}

/// In: the webhook from the API server, whose address is nobody's to know; probes; metrics. Out: names and the API server.
fn network_policy(options: &RbacOptions, facts: &Facts) -> Value {
    let tcp = |port: &u16| json!({"port": port, "protocol": "TCP"});
    let inward: Vec<_> = [WEBHOOK_PORT, METRICS_PORT, HEALTH_PORT].iter().map(tcp).collect();
    let server: Vec<_> = facts.api_server_ports.iter().map(tcp).collect();
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata("groundskeeper", options),
        "spec": {
            "podSelector": {"matchLabels": selector()},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": inward}],
            "egress": [
                {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
                {"ports": server},
            ],
        },
    })
}

fn disruption_budget(options: &RbacOptions) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata("groundskeeper", options),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector()},
            // A pod that is not ready guards nothing: a drain need not wait for it.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    })
}

fn deployment(options: &InstallOptions) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(DEPLOYMENT, &options.rbac),
        "spec": {
            "replicas": options.replicas,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": selector()},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1},
            },
            "template": {
                "metadata": {
                    "annotations": {"kubectl.kubernetes.io/default-container": "groundskeeper"},
                    "labels": labels(),
                },
                "spec": pod(options),
            },
        },
    })
}

fn pod(options: &InstallOptions) -> Value {
    let ledger = match &options.ledger_claim {
        Some(claim) => json!({"name": "ledger", "persistentVolumeClaim": {"claimName": claim}}),
        None => json!({"name": "ledger", "emptyDir": {"sizeLimit": "1Gi"}}),
    };
    let spread = |key: &str| {
        json!({
            "labelSelector": {"matchLabels": selector()},
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
        })
    };
    json!({
        "serviceAccountName": options.rbac.service_account,
        "automountServiceAccountToken": true,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "fsGroup": USER,
            "runAsGroup": USER,
            "runAsNonRoot": true,
            "runAsUser": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            apart("kubernetes.io/hostname", 100),
            apart("topology.kubernetes.io/zone", 50),
        ]}},
        "topologySpreadConstraints": [spread("kubernetes.io/hostname"), spread("topology.kubernetes.io/zone")],
        "containers": [container(options)],
        "volumes": [
            {"name": "config", "configMap": {"name": CONFIG_MAP}},
            ledger,
        ],
    })
}

fn apart(key: &str, weight: u8) -> Value {
    json!({
        "podAffinityTerm": {"labelSelector": {"matchLabels": selector()}, "topologyKey": key},
        "weight": weight,
    })
}

fn container(options: &InstallOptions) -> Value {
    let field =
        |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let probe = |path: &str, period: u8, failures: u8| {
        json!({
            "httpGet": {"path": path, "port": "health"},
            "failureThreshold": failures,
            "periodSeconds": period,
            "timeoutSeconds": 3,
        })
    };
    json!({
        "name": "groundskeeper",
        "image": options.image,
        "imagePullPolicy": options.image_pull_policy.name(),
        "args": arguments(),
        "env": [field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace")],
        "ports": [
            {"containerPort": METRICS_PORT, "name": "metrics", "protocol": "TCP"},
            {"containerPort": HEALTH_PORT, "name": "health", "protocol": "TCP"},
            {"containerPort": WEBHOOK_PORT, "name": "webhook", "protocol": "TCP"},
        ],
        // Half a minute to find its legs, half a minute without a sign of life.
        "startupProbe": probe("/startupz", 2, 15),
        "livenessProbe": probe("/livez", 10, 3),
        "readinessProbe": probe("/readyz", 5, 2),
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"memory": "256Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        },
        "volumeMounts": [
            {"mountPath": CONFIGURATION, "name": "config", "readOnly": true},
            {"mountPath": "/var/lib/groundskeeper", "name": "ledger"},
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn the_program_takes_the_arguments_that_its_pods_give_it() {
        let arguments = std::iter::once("groundskeeper".to_owned()).chain(arguments());
        crate::cli::Cli::try_parse_from(arguments).unwrap();
    }

    #[test]
    fn a_pod_has_no_rights_on_its_node() {
        let pod = pod(&InstallOptions::default());
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let container = &pod["containers"][0]["securityContext"];
        assert_eq!(container["readOnlyRootFilesystem"], true);
        assert_eq!(container["allowPrivilegeEscalation"], false);
        assert_eq!(container["capabilities"], json!({"drop": ["ALL"]}));
        let text = pod.to_string();
        for forbidden in ["hostPath", "hostNetwork", "hostPID", "privileged\":true", "hostPort"] {
            assert!(!text.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn every_port_that_is_named_is_there() {
        let container = container(&InstallOptions::default());
        let names: Vec<_> = container["ports"].as_array().unwrap().iter().map(|port| &port["name"]).collect();
        let [webhook, metrics, ..] = documents(&InstallOptions::default(), &Facts::default());
        for service in [webhook, metrics] {
            assert!(names.contains(&&service["spec"]["ports"][0]["targetPort"]), "{service}");
        }
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            assert!(names.contains(&&container[probe]["httpGet"]["port"]));
        }
    }

    #[test]
    fn a_claim_takes_the_place_of_the_empty_directory() {
        let options = InstallOptions { ledger_claim: Some("records".into()), ..InstallOptions::default() };
        assert_eq!(pod(&options)["volumes"][1]["persistentVolumeClaim"]["claimName"], "records");
        assert!(pod(&InstallOptions::default())["volumes"][1]["emptyDir"].is_object());
    }
}
