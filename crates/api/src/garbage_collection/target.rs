//! Which objects a policy looks at: kinds, namespaces, labels, fields, names, owners.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::structural;

/// One kind of object, and which objects of it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
#[x_kube(
    validation = Rule::new("!self.apiVersion.startsWith('groundskeeper.dev/')")
        .message("resources of groundskeeper.dev are never collected; name another kind")
)]
pub struct TargetResource {
    /// The API version of the kind, such as `v1` or `batch/v1`.
    #[schemars(length(min = 1, max = 317))]
    #[x_kube(validation = Rule::new("self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("apiVersion must be `version` or `group/version`, such as v1 or batch/v1"))]
    pub api_version: String,
    /// The kind, such as `Job` or `ConfigMap`. Custom resources work too.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$')")
        .message("kind must be a name such as Job or ConfigMap: letters, digits and dashes, starting with a letter"))]
    pub kind: String,
    /// The namespace of the objects. Only a GarbageCollectionPolicy may name one, and only its own, which is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Only objects whose labels match are collected. Left out or empty: all objects of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Only objects whose fields have these values are collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_selector: Option<FieldSelector>,
    /// Only objects with one of these names are collected; at most 64. `*` stands for any characters, `?` for one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub names: Vec<String>,
    /// Objects with one of these names are not collected, whatever else is said; at most 64. `*` and `?` as in names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub exclude_names: Vec<String>,
    /// Only objects whose owners are as said here are collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerSelector>,
}

/// Values that fields of an object must have.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct FieldSelector {
    /// Values by field path, such as `status.phase: Failed`; all must be equal. At most 16. A number or a truth value
    /// is compared by its text. What the API server can select by itself is left to it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub match_fields: BTreeMap<String, String>,
}

/// What the owners of an object must be like.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
#[x_kube(
    validation = Rule::new("has(self.is) || (has(self.kinds) && size(self.kinds) > 0)")
        .message("owner needs `is` (Present, Absent or Gone) or `kinds`"),
    validation = Rule::new("!has(self.is) || self.is != 'Absent' || !has(self.kinds) || size(self.kinds) == 0")
        .message("an object without owners has no owner of a kind: leave kinds out")
)]
pub struct OwnerSelector {
    /// Present: the object has an owner. Absent: it has none. Gone: it has owners, and none of them exists any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<OwnerState>,
    /// Kinds of which one owner must be, such as `Job`; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub kinds: Vec<String>,
}

/// How it stands with the owners of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum OwnerState {
    /// It has an owner.
    Present,
    /// It has no owner.
    Absent,
    /// It has owners, and none of them exists any more.
    Gone,
}

/// The namespaces that a ClusterGarbageCollectionPolicy looks at, and, of the kind Namespace, collects. It says nothing of
/// other kinds without namespaces. Left out: all, but those of the cluster itself.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct NamespaceSelection {
    /// Namespaces by name; at most 64. `*` stands for any characters, `?` for one. Left out: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub names: Vec<String>,
    /// Namespaces that are left alone, whatever else is said; at most 64. `*` and `?` as in names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub exclude: Vec<String>,
    /// Only namespaces whose labels match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// A label selector, as Kubernetes has it: all its terms must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct LabelSelector {
    /// Labels that an object must have, with exactly these values; at most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements that an object's labels must meet; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// One requirement on the labels of an object.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
#[x_kube(
    validation = Rule::new("!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)")
        .message("operators In and NotIn need at least one entry in values"),
    validation = Rule::new("!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || size(self.values) == 0")
        .message("operators Exists and DoesNotExist take no values: leave values out")
)]
pub struct LabelRequirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How the label is compared: In, NotIn, Exists or DoesNotExist. NotIn also holds where the label is missing.
    pub operator: LabelOperator,
    /// The values for In and NotIn; at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum LabelOperator {
    /// The label is there, with one of the values.
    In,
    /// The label is missing, or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is missing.
    DoesNotExist,
}
