//! Advice on policies, by the schemas of a real API server.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "support/mod.rs"]
mod support;

use std::sync::Arc;

use api::GarbageCollectionPolicySpec;
use control::SystemClock;
use controllers::gc::lint::{ClusterSchemas, warnings};
use gc::lint::SchemaDocument;
use serde_json::{Value, json};
use testbed::{ControlPlane, Options, Shared};

use support::{eventually, groundskeeper, holds, kubectl};

/// Policies with the fields of the nine that zen-gc's repository shows as examples.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zen-gc");

async fn cluster() -> &'static ControlPlane {
    static CLUSTER: Shared = Shared::new(Options::api_server_only);
    CLUSTER.get().await.unwrap()
}

async fn schemas() -> ClusterSchemas {
    ClusterSchemas::new(cluster().await.admin().client().unwrap(), Arc::new(SystemClock))
}

fn spec(spec: Value) -> GarbageCollectionPolicySpec {
    serde_json::from_value(spec).unwrap()
}

/// What is said of a spec.
async fn said(schemas: &ClusterSchemas, given: &GarbageCollectionPolicySpec) -> Vec<String> {
    warnings(schemas, given, None).await.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn of_the_published_examples_those_are_named_that_match_nothing() {
    let schemas = schemas().await;
    let output = groundskeeper(&["import", "zen-gc", "-f", EXAMPLES, "-o", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut named = Vec::new();
    for account in report["policies"].as_array().unwrap() {
        let said = said(&schemas, &spec(account["policy"]["spec"].clone())).await;
        if !said.is_empty() {
            named.push((account["name"].as_str().unwrap().to_owned(), said.join("\n")));
        }
    }
    let names: Vec<_> = named.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["cleanup-completed-jobs", "cleanup-released-pvcs"], "{named:?}");
    assert!(named[0].1.contains("Job has no status.phase"), "{named:?}");
    assert!(named[1].1.contains("PersistentVolumeClaim is never in phase `Released`"), "{named:?}");
}

#[tokio::test]
async fn what_a_custom_resource_holds_is_known_once_it_is_defined() {
    let (cluster, schemas) = (cluster().await, schemas().await);
    let ask = |path: &str| {
        spec(json!({
            "targetResource": {"apiVersion": "lint.example.com/v1", "kind": "Gizmo"},
            "conditions": {"and": [{"fieldPath": path, "operator": "Exists"}]},
        }))
    };
    let properties = json!({
        "spec": {"type": "object", "properties": {
            "colour": {"type": "string"},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }},
    });
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gizmos.lint.example.com"},
        "spec": {
            "group": "lint.example.com", "scope": "Namespaced", "names": {"plural": "gizmos", "kind": "Gizmo"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}},
            }],
        },
    });
    kubectl(cluster, &["apply", "-f", "-"], &crd.to_string());
    let expected = "Gizmo has no field `spec.color`, so this never holds: did you mean `spec.colour`?";
    eventually(cluster, "the schema of the new kind is found", async || {
        // Without what was remembered before the kind was there.
        let schemas = ClusterSchemas::new(cluster.admin().client().unwrap(), Arc::new(SystemClock));
        let said = said(&schemas, &ask("spec.color")).await;
        holds(said == [format!("spec.conditions.and[0]: {expected}")], format!("{said:?}"))
    })
    .await;
    for path in ["spec.colour", "spec.open.anything[3].x", "metadata.labels.a"] {
        assert_eq!(said(&schemas, &ask(path)).await, [""; 0], "{path}");
    }
    let unknown = spec(json!({
        "targetResource": {"apiVersion": "nobody.example.com/v1", "kind": "Gizmo"},
        "conditions": {"phase": ["Done"]},
    }));
    assert_eq!(said(&schemas, &unknown).await, [""; 0]);
}

#[tokio::test]
async fn a_document_is_read_once_for_as_long_as_it_does_not_change() {
    let schemas = schemas().await;
    let version = "batch/v1".parse().unwrap();
    let one: Arc<SchemaDocument> = schemas.document(&version).await.unwrap().unwrap();
    let other = schemas.document(&version).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&one, &other));
    assert!(schemas.document(&"batch/v9".parse().unwrap()).await.unwrap().is_none());
}
