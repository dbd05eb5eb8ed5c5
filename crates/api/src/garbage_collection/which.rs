//! Which of the selected objects are collected: conditions on fields, and the ones that are kept of each group.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{AnyScalar, structural};

/// What an object must be like to be collected. All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct Conditions {
    /// The object's `status.phase` is one of these; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub phase: Vec<String>,
    /// All of these hold of the object's labels; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub has_labels: Vec<KeyCondition>,
    /// All of these hold of the object's annotations; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub has_annotations: Vec<KeyCondition>,
    /// All of these hold; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub and: Vec<Term>,
    /// At least one of these holds; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub or: Vec<Term>,
    /// None of these holds; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub not: Vec<Term>,
}

/// A condition on a label or an annotation.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct KeyCondition {
    /// The key of the label or annotation.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// The value for Equals, NotEquals and Matches; for In and NotIn it counts as one of the values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub value: Option<String>,
    /// The values for In and NotIn; at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<String>,
    /// How it is compared. Default: Equals if a value is given, else Exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Operator>,
}

/// A condition on a field, or a group of such conditions.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
#[x_kube(
    validation = Rule::new("(has(self.fieldPath) ? 1 : 0) + (has(self.and) && size(self.and) > 0 ? 1 : 0) + (has(self.or) && size(self.or) > 0 ? 1 : 0) + (has(self.not) && size(self.not) > 0 ? 1 : 0) == 1")
        .message("a condition needs exactly one of fieldPath, and, or and not"),
    validation = Rule::new("has(self.fieldPath) == has(self.operator)")
        .message("fieldPath and operator belong together")
)]
pub struct Term {
    /// The path of the field, such as `status.succeeded` or `metadata.annotations.example\.com/done`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub field_path: Option<String>,
    /// How the field is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Operator>,
    /// What it is compared with: a text, a number or a truth value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<AnyScalar>,
    /// What it is compared with by In and NotIn; at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<AnyScalar>,
    /// All of these hold; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub and: Vec<FieldCondition>,
    /// At least one of these holds; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub or: Vec<FieldCondition>,
    /// None of these holds; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub not: Vec<FieldCondition>,
}

/// A condition on a field.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct FieldCondition {
    /// The path of the field, such as `status.succeeded` or `metadata.annotations.example\.com/done`.
    #[schemars(length(min = 1, max = 512))]
    pub field_path: String,
    /// How the field is compared.
    pub operator: Operator,
    /// What it is compared with: a text, a number or a truth value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<AnyScalar>,
    /// What it is compared with by In and NotIn; at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<AnyScalar>,
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Operator {
    /// The field is there and equal. A number equals its text.
    #[default]
    Equals,
    /// The field is missing or differs.
    NotEquals,
    /// The field is there and equals one of the values.
    In,
    /// The field is missing or equals none of the values.
    NotIn,
    /// The field is there. A field that is null counts as missing.
    Exists,
    /// The field is missing.
    DoesNotExist,
    /// The field is there and greater: numbers, quantities such as `500m`, and times are compared as such.
    GreaterThan,
    /// The field is there and less.
    LessThan,
    /// The field is there and its whole text matches a regular expression (RE2 syntax).
    Matches,
}

impl Operator {
    /// All of them, for messages and the reference page.
    pub const ALL: [Self; 9] = [
        Self::Equals,
        Self::NotEquals,
        Self::In,
        Self::NotIn,
        Self::Exists,
        Self::DoesNotExist,
        Self::GreaterThan,
        Self::LessThan,
        Self::Matches,
    ];

    /// The name as it stands in the spec.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equals => "Equals",
            Self::NotEquals => "NotEquals",
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
            Self::GreaterThan => "GreaterThan",
            Self::LessThan => "LessThan",
            Self::Matches => "Matches",
        }
    }
}

/// The objects that are kept of each group, whatever their time to live.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
#[x_kube(validation = Rule::new("has(self.newest) != has(self.oldest)")
    .message("keep needs exactly one of newest and oldest"))]
pub struct Keep {
    /// So many of the objects that were created last are kept of each group: 0 to 1,000,000; at most 1,000 if an
    /// expression asks for `now`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000), extend("format" = "int32"))]
    pub newest: Option<u32>,
    /// So many of the objects that were created first are kept of each group: 0 to 1,000,000; at most 1,000 if an
    /// expression asks for `now`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000), extend("format" = "int32"))]
    pub oldest: Option<u32>,
    /// What makes a group. Objects of different namespaces and kinds are never in one group. Left out: all of a namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<GroupBy>,
    /// Nothing younger than this is collected, such as `1h`; in units w, d, h, m and s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64))]
    pub min_age: Option<String>,
}

/// What makes a group. Objects that lack it are a group of their own.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = structural)]
#[x_kube(validation = Rule::new("[has(self.label), has(self.owner), has(self.fieldPath)].filter(given, given).size() == 1")
    .message("groupBy needs exactly one of label, owner and fieldPath"))]
pub struct GroupBy {
    /// Objects with the same value of this label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    pub label: Option<String>,
    /// Objects with the same controlling owner, or else the same first owner. Only true makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self").message("write `owner: true`, or leave it out"))]
    pub owner: Option<bool>,
    /// Objects with the same value of this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub field_path: Option<String>,
}
