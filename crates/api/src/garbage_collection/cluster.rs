//! The kind without a namespace. Its spec and status are those of the other one; its schema differs by a few rules.

use std::borrow::Cow;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionNames, JSONSchemaProps, ValidationRule,
};
use kube::core::crd::CustomResourceExt;
use kube::core::{ApiResource, ClusterResourceScope, ObjectMeta, Resource};
use serde::{Deserialize, Serialize};

use super::{GarbageCollectionPolicy, GarbageCollectionPolicySpec, GarbageCollectionPolicyStatus};
use crate::{GROUP, VERSION};

const KIND: &str = "ClusterGarbageCollectionPolicy";
const PLURAL: &str = "clustergarbagecollectionpolicies";
const SHORT_NAME: &str = "cgcp";
const DOC: &str =
    "Deletes objects, in the namespaces that it selects or without namespaces, when their time is up.";

/// What only this kind demands: an expression, and what it tells who breaks it.
const RULES: [(&str, &str); 3] = [
    ("!has(self.spec.targetResource) || !has(self.spec.targetResource.namespace)", NO_NAMESPACE),
    ("!has(self.spec.targetResources) || self.spec.targetResources.all(t, !has(t.namespace))", NO_NAMESPACE),
    (
        "!has(self.spec.serviceAccountName) || self.spec.serviceAccountName.contains('/')",
        "write serviceAccountName as namespace/name, for the policy itself has no namespace",
    ),
];

const NO_NAMESPACE: &str = "a ClusterGarbageCollectionPolicy selects namespaces by spec.namespaces: leave the namespace of the target out";

/// Deletes objects, in the namespaces that it selects or without namespaces, when their time is up.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterGarbageCollectionPolicy {
    /// `groundskeeper.dev/v1alpha1`.
    #[serde(default)]
    pub api_version: String,
    /// `ClusterGarbageCollectionPolicy`.
    #[serde(default)]
    pub kind: String,
    /// Name, version, generation and so on.
    pub metadata: ObjectMeta,
    /// What is collected, when and how.
    pub spec: GarbageCollectionPolicySpec,
    /// What it sees and has done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<GarbageCollectionPolicyStatus>,
}

impl ClusterGarbageCollectionPolicy {
    /// A policy of this name.
    pub fn new(name: &str, spec: GarbageCollectionPolicySpec) -> Self {
        Self {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: KIND.to_owned(),
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            spec,
            status: None,
        }
    }
}

impl Resource for ClusterGarbageCollectionPolicy {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl CustomResourceExt for ClusterGarbageCollectionPolicy {
    fn crd() -> CustomResourceDefinition {
        let mut crd = GarbageCollectionPolicy::crd();
        crd.metadata.name = Some(Self::crd_name().to_owned());
        "Cluster".clone_into(&mut crd.spec.scope);
        crd.spec.names = CustomResourceDefinitionNames {
            kind: KIND.to_owned(),
            plural: PLURAL.to_owned(),
            singular: Some(KIND.to_lowercase()),
            short_names: Some(vec![SHORT_NAME.to_owned()]),
            ..crd.spec.names
        };
        for version in &mut crd.spec.versions {
            if let Some(schema) =
                version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut())
            {
                amend(schema);
            }
        }
        crd
    }

    fn crd_name() -> &'static str {
        "clustergarbagecollectionpolicies.groundskeeper.dev"
    }

    fn api_resource() -> ApiResource {
        ApiResource::erase::<Self>(&())
    }

    fn shortnames() -> &'static [&'static str] {
        &[SHORT_NAME]
    }
}

/// The rules of the other kind speak of its namespace; ours speak of ours.
fn amend(schema: &mut JSONSchemaProps) {
    schema.description = Some(DOC.to_owned());
    schema.title = Some(KIND.to_owned());
    let rule = |(rule, message): (&str, &str)| ValidationRule {
        rule: rule.to_owned(),
        message: Some(message.to_owned()),
        ..ValidationRule::default()
    };
    schema.x_kubernetes_validations = Some(RULES.into_iter().map(rule).collect());
}
