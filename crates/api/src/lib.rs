//! The custom resources of `groundskeeper.dev`: a file per kind; conditions, reasons, rails.
//!
//! What stands here is what a user reads: `kubectl explain` is made from the comments, `kubectl apply` is judged by the
//! bounds and the CEL rules. Knows no client and no engine. Only fields that work are in the schema.
//!
//! Invariant: whatever the schema admits either compiles in its engine or gets a condition that says what to write.

#![forbid(unsafe_code)]

mod author;
pub mod conditions;
mod events;
#[allow(unreachable_pub, reason = "the derives repeat our types inside of functions")]
#[allow(clippy::duplicated_attributes, reason = "each printer column has attributes of its own")]
pub mod garbage_collection;
pub mod limits;
#[allow(unreachable_pub, reason = "the derives repeat our types inside of functions")]
#[allow(clippy::duplicated_attributes, reason = "each printer column has attributes of its own")]
pub mod node_cleanup;
pub mod protection;
mod schema;
pub mod selector;

pub use author::{AUTHOR_ANNOTATION, AUTHOR_GROUPS_ANNOTATION, Author, AuthorUnknown};
pub use conditions::{Condition, ConditionStatus, ConditionType, GcReason};
pub use events::EventReason;
pub use garbage_collection::{
    ClusterGarbageCollectionPolicy, GarbageCollectionPolicy, GarbageCollectionPolicySpec,
    GarbageCollectionPolicyStatus,
};
pub use node_cleanup::{CleanupPlugin, DrainRule, NodeCleanup, NodeCleanupPolicy, NodeMaintenance};
pub use protection::{NamedRails, Rail, Rails, Unlock};
pub use schema::{AnyScalar, IntOrText};

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

/// The API group of all our kinds.
pub const GROUP: &str = "groundskeeper.dev";

/// The version that all our kinds are served and stored in.
pub const VERSION: &str = "v1alpha1";

/// The namespace that our manifests install into, unless another is named.
pub const DEFAULT_NAMESPACE: &str = "groundskeeper-system";

/// All our CustomResourceDefinitions, in the order in which they are printed.
pub fn crds()
-> Vec<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> {
    use kube::CustomResourceExt as _;
    let mut crds = vec![GarbageCollectionPolicy::crd(), ClusterGarbageCollectionPolicy::crd()];
    crds.extend(node_crds());
    crds
}

/// The CustomResourceDefinitions of node cleanup, which are among [`crds`].
pub fn node_crds()
-> Vec<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> {
    use kube::CustomResourceExt as _;
    vec![
        NodeCleanupPolicy::crd(),
        NodeCleanup::crd(),
        NodeMaintenance::crd(),
        DrainRule::crd(),
        CleanupPlugin::crd(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Every property below `schema`, with its path.
    fn properties(schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            properties(property, &path, found);
            properties(&property["items"], &format!("{path}[]"), found);
            found.push((path, property.clone()));
        }
    }

    fn all_properties() -> Vec<(String, Value)> {
        let mut found = Vec::new();
        for crd in crds() {
            let crd = serde_json::to_value(crd).unwrap();
            properties(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "", &mut found);
        }
        assert!(found.len() > 20);
        found
    }

    #[test]
    fn every_field_is_documented() {
        for (path, property) in all_properties() {
            let documented = property["description"].as_str().is_some_and(|text| text.len() > 10);
            assert!(documented || path == ".status", "{path} has no documentation");
        }
    }

    #[test]
    fn every_field_of_a_spec_is_bounded() {
        for (path, property) in all_properties().into_iter().filter(|(path, _)| path.starts_with(".spec")) {
            let bounded = match property["type"].as_str() {
                // A time is as long as times are: the API server refuses what is none.
                Some("string") if property["format"] == "date-time" => true,
                Some("string") => property.get("maxLength").is_some() || property.get("enum").is_some(),
                Some("integer") => property.get("maximum").is_some() && property.get("minimum").is_some(),
                Some("array") => property.get("maxItems").is_some(),
                Some("object") => {
                    property.get("properties").is_some() || property.get("maxProperties").is_some()
                }
                _ => true,
            };
            assert!(bounded, "{path} has no bound: {property}");
        }
    }

    #[test]
    fn an_unknown_field_is_named() {
        let spec = serde_json::json!({
            "targetResource": {"apiVersion": "v1", "kind": "ConfigMap"},
            "ttl": {"secondsAfterCreation": 60, "secondsAfterUpdate": 3},
        });
        let error = serde_json::from_value::<GarbageCollectionPolicySpec>(spec).unwrap_err().to_string();
        assert!(error.contains("secondsAfterUpdate"), "{error}");
    }
}
