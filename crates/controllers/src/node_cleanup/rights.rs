//! What node cleanup asks of the API server: the controller, and apart from it the plugins.
//!
//! Invariant: what drains holds no right on Secrets. Those that plugins read are granted by name, in the operator's own
//! namespace, by `--plugin-secret`; without it there is none.

use chassis::actuator::EVICTIONS;
use chassis::rights::{Component, Right, Scope};

/// Our resource whose verbs say who may do what to departures.
pub const RECORDS: &str = "nodecleanups";

/// To write records and their status. Nobody but the operator needs it.
pub const RECORD_VERB: &str = "record";

/// To let a node go without its cleanup: to take the finalizer off, or to delete a record that is not over.
pub const RELEASE_VERB: &str = "release";

/// To delete a node whose deletion is refused.
pub const OVERRIDE_VERB: &str = "override";

/// A part of a record's `spec.overrides`, and the verb of whoever may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverrideRight {
    /// The field.
    pub field: &'static str,
    /// The verb on `nodecleanups`.
    pub verb: &'static str,
    /// Whether the field holds one entry for each step.
    pub is_of_steps: bool,
}

/// Who may change what of `spec.overrides`. Whoever may write a part may also take it away.
pub const OVERRIDE_RIGHTS: [OverrideRight; 5] = [
    OverrideRight { field: "paused", verb: "pause", is_of_steps: false },
    OverrideRight { field: "skip", verb: "skip", is_of_steps: true },
    OverrideRight { field: "retry", verb: "retry", is_of_steps: true },
    OverrideRight { field: "extend", verb: "extend", is_of_steps: false },
    OverrideRight { field: "release", verb: RELEASE_VERB, is_of_steps: false },
];

/// What is done with the Secrets that plugins are given, each granted by its name.
pub const PLUGIN_SECRET_VERBS: [&str; 1] = ["get"];

/// What is done with nodes, what runs on them, and our own kinds.
pub const RIGHTS: &[Right] = &[
    cleanup(
        api::GROUP,
        &["nodecleanuppolicies", "nodemaintenances", "drainrules", "cleanupplugins"],
        &["list", "watch"],
        "to know how nodes leave, and which do",
    ),
    cleanup(
        api::GROUP,
        &[RECORDS],
        &["get", "list", "watch"],
        "to go on where a departure was left, by whichever replica",
    ),
    cleanup(
        api::GROUP,
        &[
            "nodecleanuppolicies/status",
            "nodecleanups/status",
            "nodemaintenances/status",
            "cleanupplugins/status",
        ],
        &["patch"],
        "to report what was done, and what stands in the way",
    ),
    cleanup(
        api::GROUP,
        &[RECORDS],
        &["create", "delete", RECORD_VERB],
        "to write down every departure, and to forget it after its time",
    ),
    cleanup(
        api::GROUP,
        &[RECORDS],
        &[RELEASE_VERB],
        "to take the finalizer off a node whose cleanup has ended",
    ),
    cleanup(
        "",
        &["nodes"],
        &["get", "list", "watch", "patch"],
        "to see nodes that leave, to cordon and mark them, and to put the finalizer on and take it off",
    ),
    cleanup(
        "",
        &["pods"],
        &["list", "watch"],
        "to know which pods have to leave a node, and when they have left",
    ),
    cleanup("", &[EVICTIONS], &["create"], "to ask pods to leave, within their disruption budgets"),
    cleanup(
        "",
        &["pods"],
        &["delete"],
        "to end pods past their budgets: only where `drain.disableEviction` or a rung of `escalation` says so",
    ),
    cleanup("", &["namespaces"], &["list", "watch"], "to know whether a pod's namespace is being deleted"),
    cleanup("", &["persistentvolumeclaims"], &["get"], "to know which volumes the pods hold that stay"),
    cleanup("apps", &["replicasets", "statefulsets"], &["get"], "to tell whose last pods leave with a node"),
    cleanup("", &["replicationcontrollers"], &["get"], "to tell whose last pods leave with a node"),
    cleanup("policy", &["poddisruptionbudgets"], &["list", "watch"], "to name the budget that keeps a pod"),
    cleanup(
        "storage.k8s.io",
        &["volumeattachments"],
        &["list", "watch"],
        "to let a node go only when no volume is attached to it",
    ),
    cleanup(
        "apps",
        &["daemonsets"],
        &["list", "watch"],
        "to tell pods of a DaemonSet from those of one that is gone",
    ),
    plugins(
        "batch",
        &["jobs"],
        &["create", "get"],
        Scope::OwnNamespace,
        "to run the steps that are Jobs, and to see how they end",
    ),
    plugins(
        "core.libopenstorage.org",
        &["storagenodes"],
        &["list"],
        Scope::Cluster,
        "to learn by which id Portworx knows a node",
    ),
    plugins(
        "",
        &["nodes"],
        &["get", "patch"],
        Scope::Cluster,
        "to tell Portworx by a label to stay away from a node",
    ),
];

const fn cleanup(
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    why: &'static str,
) -> Right {
    Right {
        component: Component::NodeCleanup,
        group,
        resources,
        names: &[],
        verbs,
        scope: Scope::Cluster,
        why,
    }
}

const fn plugins(
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    scope: Scope,
    why: &'static str,
) -> Right {
    Right { component: Component::Plugins, group, resources, names: &[], verbs, scope, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drains_has_no_right_on_secrets_and_neither_has_a_plugin_unasked() {
        for right in RIGHTS {
            assert!(!right.resources.iter().any(|resource| resource.starts_with("secrets")), "{right:?}");
        }
    }

    #[test]
    fn a_plugin_touches_no_pod_and_of_nodes_no_more_than_a_label() {
        for right in RIGHTS.iter().filter(|right| right.component == Component::Plugins) {
            assert!(
                !right.group.is_empty() || (right.resources, right.verbs) == (&["nodes"], &["get", "patch"]),
                "{right:?}"
            );
        }
    }

    #[test]
    fn every_part_of_the_overrides_has_a_verb() {
        use api::node_cleanup::{Extension, Overrides, Said, SaidOfStep};
        let at = || api::Time(jiff::Timestamp::UNIX_EPOCH);
        let said = || Said { by: "ada".to_owned(), at: at(), why: None };
        let of_step = || SaidOfStep { step: "drain".to_owned(), by: "ada".to_owned(), at: at(), why: None };
        let all = Overrides {
            paused: Some(said()),
            skip: vec![of_step()],
            retry: vec![of_step()],
            extend: Some(Extension { until: at(), by: "ada".to_owned(), at: at(), why: None }),
            release: Some(said()),
        };
        let written = serde_json::to_value(all).unwrap();
        let written = written.as_object().unwrap();
        assert_eq!(written.len(), OVERRIDE_RIGHTS.len());
        for right in OVERRIDE_RIGHTS {
            assert_eq!(written[right.field].is_array(), right.is_of_steps, "{right:?}");
        }
    }
}
