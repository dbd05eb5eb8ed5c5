//! Objects as a user writes them.

use serde_json::{Value, json};

/// A manifest that is being written.
#[derive(Clone, Debug)]
pub(crate) struct Draft(pub(crate) Value);

pub(crate) fn config_map(name: &str) -> Draft {
    object("v1", "ConfigMap", name)
}

pub(crate) fn object(api_version: &str, kind: &str, name: &str) -> Draft {
    Draft(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}))
}

/// A policy on all `ConfigMaps` that deletes after an hour, until it is told otherwise; no budget holds it
/// up. Its author is the administrator,
/// as admission would have stamped it.
pub(crate) fn policy(name: &str) -> Draft {
    let Draft(mut policy) = object("groundskeeper.dev/v1alpha1", "GarbageCollectionPolicy", name);
    policy["spec"] = json!({
        "targetResource": {"apiVersion": "v1", "kind": "ConfigMap"},
        "ttl": {"secondsAfterCreation": 3600},
        "mode": "Enforce",
        "budget": {"percent": 100},
    });
    Draft(policy).written_by("admin", "system:masters\nsystem:authenticated")
}

impl Draft {
    /// Any field, by its JSON pointer.
    pub(crate) fn with(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let (mut at, value) = (&mut self.0, value.into());
        for step in pointer.split('/').skip(1) {
            at = &mut at[step.replace("~1", "/").replace("~0", "~").as_str()];
        }
        *at = value;
        self
    }

    /// An object has this label, `key=value`; a policy selects it.
    pub(crate) fn labelled(self, label: &str) -> Self {
        let (key, value) = label.split_once('=').unwrap();
        let labels = if self.0["spec"]["targetResource"].is_object() {
            "/spec/targetResource/labelSelector/matchLabels"
        } else {
            "/metadata/labels"
        };
        self.with(&format!("{labels}/{}", key.replace('/', "~1")), value)
    }

    pub(crate) fn annotated(self, annotation: &str) -> Self {
        let (key, value) = annotation.split_once('=').unwrap();
        self.with(&format!("/metadata/annotations/{}", key.replace('/', "~1")), value)
    }

    /// A policy's author, as admission stamps it.
    pub(crate) fn written_by(self, name: &str, groups: &str) -> Self {
        self.with("/metadata/annotations/groundskeeper.dev~1author", name)
            .with("/metadata/annotations/groundskeeper.dev~1author-groups", groups)
    }

    pub(crate) fn held_by(self, finalizer: &str) -> Self {
        self.with("/metadata/finalizers", json!([finalizer]))
    }

    /// The kind that a policy targets.
    pub(crate) fn on(self, api_version: &str, kind: &str) -> Self {
        self.with("/spec/targetResource/apiVersion", api_version).with("/spec/targetResource/kind", kind)
    }

    pub(crate) fn requiring(self, expressions: Value) -> Self {
        self.with("/spec/targetResource/labelSelector/matchExpressions", expressions)
    }

    /// Seconds from creation to deletion.
    pub(crate) fn after(self, seconds: i64) -> Self {
        self.with("/spec/ttl/secondsAfterCreation", seconds)
    }

    pub(crate) fn dry_run(self) -> Self {
        self.with("/spec/behavior/dryRun", true)
    }

    pub(crate) fn paused(self) -> Self {
        self.with("/spec/paused", true)
    }

    /// Deletions per second.
    pub(crate) fn at_rate(self, rate: u32) -> Self {
        self.with("/spec/behavior/maxDeletionsPerSecond", rate)
    }

    pub(crate) fn propagating(self, propagation: &str) -> Self {
        self.with("/spec/behavior/propagationPolicy", propagation)
    }

    pub(crate) fn name(&self) -> &str {
        self.0["metadata"]["name"].as_str().unwrap()
    }
}

/// A `CustomResourceDefinition` of one namespaced kind that takes anything.
pub(crate) fn definition(group: &str, kind: &str) -> Draft {
    let singular = kind.to_lowercase();
    Draft(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{singular}s.{group}")},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": format!("{singular}s"), "singular": singular},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    }))
}

/// A role that the aggregated one takes in: these verbs on this resource.
pub(crate) fn grant(name: &str, group: &str, resource: &str, verbs: &[&str]) -> Draft {
    Draft(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": {"rbac.groundskeeper.dev/collect": "true"}},
        "rules": [{"apiGroups": [group], "resources": [resource], "verbs": verbs}],
    }))
}
