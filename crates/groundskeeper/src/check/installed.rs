//! What an installation declares once: whether it is there, and whole.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Asked, Verdict};
use crate::cluster::{Cluster, text};
use crate::manifests::{
    self, GUARD_POLICIES, LEASES_SCHEMA, MONITORING, OTHER_SCHEMA, PRIORITY_LEVEL, RbacOptions, STAMP_POLICY,
};

/// An object by kind and name, if it is there.
pub(super) async fn find(
    cluster: &mut Cluster,
    api_version: &str,
    kind: &str,
    (namespace, name): (Option<&str>, &str),
) -> anyhow::Result<Option<Value>> {
    let mut manifest = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    if let (Some(namespace), Some(metadata)) =
        (namespace, manifest.get_mut("metadata").and_then(Value::as_object_mut))
    {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    match cluster.named(&manifest).await? {
        Some(named) => Ok(cluster.look_at(&named).await?),
        None => Ok(None),
    }
}

/// Whether a condition of an object has a status.
pub(super) fn has_condition(object: &Value, type_: &str, status: &str) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|condition| text(condition, "/type") == type_ && text(condition, "/status") == status)
}

pub(super) async fn definitions(cluster: &mut Cluster) -> Asked {
    let (mut missing, mut different) = (Vec::new(), Vec::new());
    let ours = api::crds();
    for crd in &ours {
        let ours = serde_json::to_value(crd).context("cannot write a definition")?;
        let name = text(&ours, "/metadata/name").to_owned();
        let found =
            find(cluster, "apiextensions.k8s.io/v1", "CustomResourceDefinition", (None, &name)).await?;
        match found {
            Some(found) if has_condition(&found, "Established", "True") => {
                let versions = |crd: &Value| crd.pointer("/spec/versions").cloned().unwrap_or_default();
                if !is_same(&versions(&ours), &versions(&found), Extra::Default) {
                    different.push(name);
                }
            }
            _ => missing.push(name),
        }
    }
    Ok(match (&*missing, &*different) {
        ([], []) => Verdict::Passed("our kinds are defined as this version knows them".to_owned()),
        ([], different) => Verdict::Warned(format!("not as this version knows it: {}", different.join(", "))),
        (missing, _) => Verdict::Failed(format!("not defined, or not served: {}", missing.join(", "))),
    })
}

/// What a key of theirs means that we do not have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extra {
    /// The server has put a default there.
    Default,
    /// It is a field that we do not know.
    Field,
}

/// Whether the server holds what we would declare: it adds defaults, and writes numbers in its own way.
pub(super) fn is_same(ours: &Value, theirs: &Value, extra: Extra) -> bool {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let below = |key: &str| if key == "properties" { Extra::Field } else { Extra::Default };
            let covers = |(key, ours): (&String, &Value)| {
                theirs.get(key).is_some_and(|theirs| is_same(ours, theirs, below(key)))
            };
            ours.iter().all(covers) && (extra == Extra::Default || ours.len() == theirs.len())
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            let mut pairs = ours.iter().zip(theirs);
            ours.len() == theirs.len() && pairs.all(|(ours, theirs)| is_same(ours, theirs, Extra::Default))
        }
        (Value::Number(ours), Value::Number(theirs)) => ours.as_f64() == theirs.as_f64(),
        (ours, theirs) => ours == theirs,
    }
}

pub(super) async fn admission_policies(cluster: &mut Cluster) -> Asked {
    let mut wanted: Vec<_> = GUARD_POLICIES.map(|name| ("ValidatingAdmissionPolicy", name)).to_vec();
    let served = cluster.served("admissionregistration.k8s.io/v1").await?;
    if served.iter().any(|plural| plural == "mutatingadmissionpolicies") {
        wanted.push(("MutatingAdmissionPolicy", STAMP_POLICY));
    }
    let mut missing = Vec::new();
    for (kind, name) in &wanted {
        for kind in [(*kind).to_owned(), format!("{kind}Binding")] {
            if find(cluster, "admissionregistration.k8s.io/v1", &kind, (None, name)).await?.is_none() {
                missing.push(format!("{}/{name}", kind.to_lowercase()));
            }
        }
    }
    Ok(there(&missing, || format!("the API server guards our kinds by {} policies", wanted.len())))
}

pub(super) async fn flow_control(cluster: &mut Cluster) -> Asked {
    const API: &str = "flowcontrol.apiserver.k8s.io/v1";
    let mut missing = Vec::new();
    if find(cluster, API, "PriorityLevelConfiguration", (None, PRIORITY_LEVEL)).await?.is_none() {
        missing.push(format!("prioritylevelconfiguration/{PRIORITY_LEVEL}"));
    }
    for name in [LEASES_SCHEMA, OTHER_SCHEMA] {
        let schema = find(cluster, API, "FlowSchema", (None, name)).await?;
        match schema {
            Some(schema) if has_condition(&schema, "Dangling", "True") => {
                missing.push(format!("the priority level of flowschema/{name}"));
            }
            Some(_) => {}
            None => missing.push(format!("flowschema/{name}")),
        }
    }
    Ok(there(&missing, || "leases and other requests have priorities of their own".to_owned()))
}

pub(super) async fn service_monitor(cluster: &mut Cluster, options: &RbacOptions) -> Asked {
    if cluster.resource(MONITORING, "ServiceMonitor").await?.is_none() {
        return Ok(Verdict::Skipped("the cluster knows no ServiceMonitor".to_owned()));
    }
    let name = (Some(&*options.namespace), "groundskeeper-metrics");
    let found = find(cluster, MONITORING, "ServiceMonitor", name).await?;
    let missing =
        if found.is_some() { Vec::new() } else { vec!["servicemonitor/groundskeeper-metrics".to_owned()] };
    Ok(there(&missing, || "Prometheus' operator is told of our metrics".to_owned()))
}

fn there(missing: &[String], passed: impl FnOnce() -> String) -> Verdict {
    if missing.is_empty() {
        Verdict::Passed(passed())
    } else {
        Verdict::Failed(format!("missing: {}", missing.join(", ")))
    }
}

/// The operator's Deployment, if it runs in the cluster.
pub(super) async fn deployment(
    cluster: &mut Cluster,
    options: &RbacOptions,
) -> anyhow::Result<Option<Value>> {
    find(cluster, "apps/v1", "Deployment", (Some(&options.namespace), manifests::DEPLOYMENT)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_differs_by_what_it_says_and_not_by_defaults() {
        let ours = json!({"schema": {"properties": {"a": {"maximum": 3.0}}, "required": ["a"]}});
        let same = |theirs: Value| is_same(&ours, &theirs, Extra::Default);
        assert!(same(
            json!({"schema": {"properties": {"a": {"maximum": 3}}, "required": ["a"]}, "priority": 0})
        ));
        assert!(!same(json!({"schema": {"properties": {"a": {"maximum": 4}}, "required": ["a"]}})));
        assert!(!same(json!({"schema": {"properties": {"a": {"maximum": 3}, "b": {}}, "required": ["a"]}})));
        assert!(!same(json!({"schema": {"properties": {}, "required": ["a"]}})));
        assert!(!same(json!({"schema": {"properties": {"a": {"maximum": 3}}, "required": []}})));
    }
}
