//! The alerts that are worth waking somebody for, in one table: a rule for Prometheus and a runbook of each.
//!
//! What a replica that does not lead exports may be old; an expression asks only those that lead, or takes the most.

use serde_json::{Value, json};

use super::{labels, monitoring, stream};

/// Where the runbooks lie, from the root of the repository.
pub const RUNBOOKS: &str = "docs/runbooks/nodes.md";

/// One alert, and what to do about it.
#[derive(Clone, Copy, Debug)]
pub struct Alert {
    /// Its name, which is the heading of its runbook.
    pub name: &'static str,
    /// What has to hold, in `PromQL`.
    pub expression: &'static str,
    /// For how long, such as `5m`.
    pub lasts: &'static str,
    /// `critical` if a node or a cluster is stuck until somebody acts, else `warning`.
    pub severity: &'static str,
    /// What is wrong, in one line.
    pub summary: &'static str,
    /// What it means, and what it does not.
    pub meaning: &'static str,
    /// Commands that show what is the matter.
    pub look: &'static [&'static str],
    /// What may be the cause, and what to do then.
    pub causes: &'static [(&'static str, &'static str)],
}

/// All of them.
pub const ALERTS: [Alert; 5] = [
    Alert {
        name: "GroundskeeperNodeDepartureStalled",
        expression: "sum by (policy_name, reason) (groundskeeper_node_departures_blocked{reason=~\"StepFailed|InvalidRecord|ActFailed\"} and on (instance) leader_election_master_status == 1) > 0",
        lasts: "5m",
        severity: "critical",
        summary: "{{ $value }} departures of NodeCleanupPolicy {{ $labels.policy_name }} are held until somebody helps ({{ $labels.reason }})",
        meaning: "A critical step has failed for good (`StepFailed`), this version cannot act on what the record says (`InvalidRecord`), \
or something that was decided could not be done (`ActFailed`), which is tried again. The Node is cordoned and stays. Other departures go on.",
        look: &[
            "kubectl get nc",
            "kubectl get nc -o jsonpath='{range .items[*]}{.spec.nodeName}{range .status.blockers[*]}{\"\\n  \"}{.reason}: {.message}{end}{\"\\n\"}{end}'",
            "kubectl get events -A --field-selector involvedObject.kind=Node,reason=CleanupStepFailed",
        ],
        causes: &[
            (
                "`StepFailed`, and what the step calls works again",
                "`groundskeeper nodes retry-step NODE STEP` tries it anew from its first attempt.",
            ),
            (
                "`StepFailed`, and the step was done by hand or is not needed",
                "`groundskeeper nodes skip-step NODE STEP` goes on without it. Who did so, and why, stays in the record.",
            ),
            (
                "`ActFailed`",
                "The message says what could not be done, and why: often a right is missing, and `groundskeeper check` names it.",
            ),
            (
                "`InvalidRecord`",
                "The message says what is wrong with it. Run the version that wrote the record, or do by hand what is left and let the node go: `groundskeeper nodes release NODE`.",
            ),
        ],
    },
    Alert {
        name: "GroundskeeperNodeDepartureOverdue",
        expression: "sum by (policy_name) (groundskeeper_node_departures_blocked{reason=\"DeadlinePassed\"} and on (instance) leader_election_master_status == 1) > 0",
        lasts: "5m",
        severity: "warning",
        summary: "{{ $value }} departures of NodeCleanupPolicy {{ $labels.policy_name }} take longer than they may",
        meaning: "A departure has passed `deadlines.total`, its drain `deadlines.drain`, or the detachment of its volumes `deadlines.volumeDetach`: the \
message says which. It goes on all the same: nothing is deleted past a budget, and no finalizer taken off, because time has passed, unless \
`escalation` says so.",
        look: &[
            "kubectl get nc -o wide",
            "kubectl get nc UID -o jsonpath='{range .status.blockers[*]}{.since} {.reason}: {.message}{\"\\n\"}{end}'",
            "groundskeeper nodes plan NODE",
        ],
        causes: &[
            (
                "`BudgetExhausted`, `BudgetMisconfigured` or `MultipleBudgets` beside it",
                "The message names the budget and what would open it: more ready pods, a lower `minAvailable`, one budget less. Once it opens, the drain goes on by itself.",
            ),
            (
                "`StuckTerminating` beside it",
                "A pod has a finalizer of somebody else, or its kubelet is gone. Whoever put the finalizer on has to take it off; once the machine is off for sure, `kubectl delete pod --force` ends the pod.",
            ),
            (
                "`VolumeAttached` beside it",
                "The storage driver has not detached it. Look at `kubectl get volumeattachments` and at the driver's log.",
            ),
            (
                "A step that takes its time",
                "`groundskeeper nodes extend NODE --by 2h` gives the departure more time.",
            ),
            (
                "The machine is gone, and nothing of this matters any more",
                "`groundskeeper nodes release NODE` lets the node go without what is left. Do that by hand first if others must hear of it.",
            ),
        ],
    },
    Alert {
        name: "GroundskeeperNodeHeldByNobody",
        expression: "count(kube_node_deletion_timestamp > 0) > 0 and on () (absent(leader_election_master_status{name=~\"groundskeeper-.+\"} == 1))",
        lasts: "10m",
        severity: "critical",
        summary: "{{ $value }} nodes are being deleted, and no replica of Groundskeeper acts",
        meaning: "Nodes that carry our finalizer stay until Groundskeeper takes it off, and nobody does: no replica runs, none can take the lease, or \
Prometheus does not reach them. Nodes of other finalizers may be among those that are counted. The expression needs kube-state-metrics 2.7 or newer, \
which exports `kube_node_deletion_timestamp`.",
        look: &[
            "kubectl get nodes -o custom-columns='NAME:.metadata.name,DELETED:.metadata.deletionTimestamp,FINALIZERS:.metadata.finalizers'",
            "kubectl get lease,pods -n groundskeeper-system",
            "groundskeeper check",
        ],
        causes: &[
            ("No pod of ours runs", "The events of the Deployment say why."),
            (
                "Pods run, and none leads",
                "Their logs say what keeps them from the lease: the API server, or a missing right. `groundskeeper check` names it.",
            ),
            (
                "It is not to come back",
                "`groundskeeper uninstall --release-departures` lets those nodes go and takes our finalizer, and no other, off all nodes. It works while the operator is dead.",
            ),
        ],
    },
    Alert {
        name: "GroundskeeperCleanupPluginFailing",
        expression: "max by (plugin) (groundskeeper_plugin_resting) > 0 or sum by (plugin) (increase(groundskeeper_plugin_calls_total{call=\"execute\",outcome!~\"done|progress\"}[15m])) > 5",
        lasts: "5m",
        severity: "warning",
        summary: "cleanup plugin {{ $labels.plugin }} fails",
        meaning: "More than five calls of the plugin have failed in a quarter of an hour, or it failed so often in a row that it is left alone for a \
while. Steps of it are tried again as their `retry` says; when that is used up, a critical step holds its node.",
        look: &[
            "kubectl get cleanupplugins",
            "kubectl get nc -o jsonpath='{range .items[*].status.steps[?(@.state==\"Retrying\")]}{.name} {.attempts} {.reason}: {.message}{\"\\n\"}{end}'",
            "kubectl get events -A --field-selector involvedObject.kind=Node,reason=CleanupStepFailed",
        ],
        causes: &[
            (
                "`Unreachable`, `TimedOut`",
                "What it calls is down, or may not be called: the message says whether a name could not be resolved, an address is not allowed (`--plugin-allow-private`), or a certificate is not trusted.",
            ),
            (
                "`BadAnswer`",
                "It answers something else than the [contract](../nodes/plugin-contract.schema.json). The message says what it should have written.",
            ),
            ("A word of its own", "The plugin gave this reason; its own documentation says what it means."),
            (
                "It will not come back soon, and nodes wait for it",
                "`groundskeeper nodes skip-step NODE STEP`, or `critical: false` in the policy, which counts for departures that begin afterwards.",
            ),
        ],
    },
    Alert {
        name: "GroundskeeperNodeStormBrake",
        expression: "sum by (policy_name) (groundskeeper_node_departures_blocked{reason=\"StormBrake\"} and on (instance) leader_election_master_status == 1) > 0",
        lasts: "2m",
        severity: "critical",
        summary: "the storm brake of NodeCleanupPolicy {{ $labels.policy_name }} holds {{ $value }} departures",
        meaning: "More than `concurrency.stormBrakePercent` of the policy's nodes leave or are not ready. Departures that have not begun wait: their nodes \
are cordoned, their pods stay. Those that have begun go on.",
        look: &["kubectl get nodes", "kubectl get nc", "kubectl get ncp"],
        causes: &[
            (
                "Many nodes are not ready",
                "That is the outage; mend it first. The brake lets go by itself once enough of them are ready.",
            ),
            (
                "Somebody, or some program, deleted many nodes by mistake",
                "A deletion cannot be taken back, but their pods still run. Stop the program, add nodes, and let the departures go on one by one.",
            ),
            (
                "All of them are meant to go",
                "Raise `concurrency.stormBrakePercent` of the policy; 100 never holds.",
            ),
        ],
    },
];

impl Alert {
    fn rule(&self) -> Value {
        json!({
            "alert": self.name,
            "annotations": {
                "runbook": format!("{RUNBOOKS}#{}", self.name.to_lowercase()),
                "summary": self.summary,
            },
            "expr": self.expression,
            "for": self.lasts,
            "labels": {"severity": self.severity},
        })
    }
}

/// The rules, for Prometheus' operator.
pub fn alerts_yaml() -> anyhow::Result<String> {
    let rules: Vec<Value> = ALERTS.iter().map(Alert::rule).collect();
    let document = json!({
        "apiVersion": monitoring::API_VERSION,
        "kind": "PrometheusRule",
        "metadata": {"labels": labels(), "name": "groundskeeper-nodes", "namespace": api::DEFAULT_NAMESPACE},
        "spec": {"groups": [{"name": "groundskeeper-nodes", "rules": rules}]},
    });
    stream("Generated by `cargo xtask generate`, from what the code exports.", vec![document])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chassis::MetricName;

    use super::*;

    /// The words of an expression that may be names of metrics.
    fn metrics(expression: &str) -> BTreeSet<&str> {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.filter(|word| word.starts_with("groundskeeper_") || word.starts_with("leader_")).collect()
    }

    #[test]
    fn an_alert_asks_only_for_what_we_export() {
        let exported: BTreeSet<String> = MetricName::ALL.iter().map(|metric| metric.exported()).collect();
        for alert in ALERTS {
            for metric in metrics(alert.expression) {
                assert!(exported.contains(metric), "{}: {metric}", alert.name);
            }
        }
    }

    #[test]
    fn the_reasons_that_an_alert_waits_for_are_words_of_ours() {
        let known: BTreeSet<&str> = node_cleanup::blocker_words().collect();
        let mut asked = 0;
        for alert in ALERTS {
            for part in alert.expression.split("reason=").skip(1) {
                let reasons = part.trim_start_matches('~').split('"').nth(1).unwrap();
                for reason in reasons.split('|') {
                    assert!(known.contains(reason), "{}: {reason}", alert.name);
                    asked += 1;
                }
            }
        }
        assert!(asked >= ALERTS.len());
    }
}
