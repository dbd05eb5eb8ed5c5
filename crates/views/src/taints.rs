//! Taints of nodes, and which pods tolerate them.
//!
//! Semantics as in Kubernetes (`k8s.io/component-helpers/scheduling/corev1`).

use serde::Deserialize;

/// What keeps pods away from a node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Taint {
    /// Its key, such as `node.kubernetes.io/unschedulable`.
    pub key: Box<str>,
    /// Its value; mostly empty.
    #[serde(default)]
    pub value: Box<str>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: Box<str>,
}

/// What a pod tolerates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toleration {
    /// The taint's key; absent for all keys.
    pub key: Option<Box<str>>,
    /// The taint's value; absent for all values.
    pub value: Option<Box<str>>,
    /// The taint's effect; absent for all effects.
    pub effect: Option<Box<str>>,
}

impl Taint {
    /// A taint without a value.
    pub fn new(key: &str, effect: &str) -> Self {
        Self { key: key.into(), value: Box::default(), effect: effect.into() }
    }

    /// Whether one of these tolerates it.
    pub fn is_tolerated_by(&self, tolerations: &[Toleration]) -> bool {
        tolerations.iter().any(|toleration| toleration.tolerates(self))
    }
}

impl Toleration {
    fn tolerates(&self, taint: &Taint) -> bool {
        self.effect.as_ref().is_none_or(|effect| *effect == taint.effect)
            && self.key.as_ref().is_none_or(|key| *key == taint.key)
            && self.value.as_ref().is_none_or(|value| *value == taint.value)
    }
}

/// One entry of a pod's `spec.tolerations`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct WireToleration {
    key: Option<Box<str>>,
    operator: Option<Box<str>>,
    value: Option<Box<str>>,
    effect: Option<Box<str>>,
}

impl From<WireToleration> for Toleration {
    fn from(wire: WireToleration) -> Self {
        let is_any_value = wire.operator.as_deref() == Some("Exists");
        Self {
            key: wire.key.filter(|key| !key.is_empty()),
            value: if is_any_value { None } else { Some(wire.value.unwrap_or_default()) },
            effect: wire.effect.filter(|effect| !effect.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taint_is_tolerated_as_in_kubernetes() {
        let taint = Taint { key: "k".into(), value: "v".into(), effect: "NoSchedule".into() };
        let table = [
            (r#"{"operator": "Exists"}"#, true),
            (r#"{"key": "k", "operator": "Exists"}"#, true),
            (r#"{"key": "k", "operator": "Exists", "effect": "NoExecute"}"#, false),
            (r#"{"key": "k", "value": "v"}"#, true),
            (r#"{"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}"#, true),
            (r#"{"key": "k", "value": "w"}"#, false),
            (r#"{"key": "k"}"#, false),
            (r#"{"key": "other", "operator": "Exists"}"#, false),
        ];
        for (json, expected) in table {
            let wire: WireToleration = serde_json::from_str(json).unwrap();
            assert_eq!(taint.is_tolerated_by(&[wire.into()]), expected, "{json}");
        }
    }
}
