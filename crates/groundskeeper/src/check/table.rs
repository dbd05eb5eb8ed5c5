//! The checks, in one table: what each is called, how bad it is if it fails, what it means and what to do.

/// How bad it is if a check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The operator does not do its work, or must not be trusted to.
    Fatal,
    /// Somebody should look.
    Warning,
}

impl Severity {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Warning => "warning",
        }
    }
}

/// Something that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The API server answers.
    ApiReachable,
    /// It is new enough.
    KubernetesVersion,
    /// Its clock and ours agree.
    ClockSkew,
    /// Whoever asks may install.
    InstallRights,
    /// Our kinds are defined as this version knows them.
    Definitions,
    /// The operator may do what its code does.
    OperatorRights,
    /// The API server guards our kinds.
    AdmissionPolicies,
    /// The API server guards what keeps nodes until they are clean.
    NodeGuards,
    /// New nodes get the finalizer as they are created.
    NodeFinalizer,
    /// Our requests have a priority of their own.
    FlowControl,
    /// Prometheus is told of us.
    ServiceMonitor,
    /// The API server knows of our webhook.
    WebhookConfiguration,
    /// It trusts our CA.
    WebhookCa,
    /// The webhook can be reached.
    WebhookReachable,
    /// Its certificate is valid for a while.
    WebhookCertificate,
    /// The operator runs.
    Replicas,
    /// It is of this version.
    Version,
    /// One of its replicas acts.
    Lease,
    /// No policy is stuck.
    Policies,
    /// No other collector deletes the same objects.
    OtherCollectors,
    /// The ledger is anchored.
    LedgerAnchor,
}

/// A row of the table.
struct Row {
    id: &'static str,
    severity: Severity,
    meaning: &'static str,
    remedy: &'static str,
}

impl Check {
    /// All of them, in the order in which they are made.
    pub const ALL: [Self; 21] = [
        Self::ApiReachable,
        Self::KubernetesVersion,
        Self::ClockSkew,
        Self::InstallRights,
        Self::Definitions,
        Self::OperatorRights,
        Self::AdmissionPolicies,
        Self::NodeGuards,
        Self::NodeFinalizer,
        Self::FlowControl,
        Self::ServiceMonitor,
        Self::WebhookConfiguration,
        Self::WebhookCa,
        Self::WebhookReachable,
        Self::WebhookCertificate,
        Self::Replicas,
        Self::Version,
        Self::Lease,
        Self::Policies,
        Self::OtherCollectors,
        Self::LedgerAnchor,
    ];

    /// Its id, which never changes; also its anchor in `docs/checks.md`.
    pub const fn id(self) -> &'static str {
        self.row().id
    }

    /// How bad it is if it fails.
    pub const fn severity(self) -> Severity {
        self.row().severity
    }

    /// What is looked at, and why.
    pub const fn meaning(self) -> &'static str {
        self.row().meaning
    }

    /// What to do if it fails.
    pub const fn remedy(self) -> &'static str {
        self.row().remedy
    }

    /// Whether it is made by `check --pre`.
    pub const fn is_made_before(self) -> bool {
        matches!(self, Self::ApiReachable | Self::KubernetesVersion | Self::ClockSkew | Self::InstallRights)
    }

    #[allow(clippy::too_many_lines, reason = "a table")]
    const fn row(self) -> Row {
        use Severity::{Fatal, Warning};
        match self {
            Self::ApiReachable => row(
                "gk-api-reachable",
                Fatal,
                "The API server answers, within 30 seconds. Nothing else can be checked if it does not.",
                "Look at `kubectl version`, the kubeconfig and its context; in a pod, at network policies.",
            ),
            Self::KubernetesVersion => row(
                "gk-kubernetes-version",
                Fatal,
                "At least Kubernetes 1.30, whose API server guards our kinds with ValidatingAdmissionPolicies. A warning below 1.36: without MutatingAdmissionPolicies our webhook writes the author of a policy down, so that a policy which is created while no replica runs has none, and nothing is deleted for it.",
                "Upgrade the cluster.",
            ),
            Self::ClockSkew => row(
                "gk-clock-skew",
                Fatal,
                "The API server's clock and that of the machine that checks agree. Objects expire by the timestamps that the API server writes and the clock of the operator: as much as that one is ahead, they go early. The answer tells whole seconds, so that up to 2 s say nothing; beyond it is a warning, beyond 30 s it is fatal. Run it where the operator runs to learn of the operator's clock.",
                "Let both machines follow a time server.",
            ),
            Self::InstallRights => row(
                "gk-install-rights",
                Fatal,
                "You may read, create and patch every kind of object that an installation declares (`check --pre` only). Roles can be created only by who holds their rights, or may `escalate`; that is not asked.",
                "Let an administrator install, or grant what is missing.",
            ),
            Self::Definitions => row(
                "gk-crds",
                Fatal,
                "Every kind is defined, served, and as this version of the program knows it. One that differs is a warning: the cluster's is older or newer.",
                "Run `groundskeeper install`, with the version that shall run.",
            ),
            Self::OperatorRights => row(
                "gk-operator-rights",
                Fatal,
                "The operator's service account may do all that its code does: every right that the code declares is asked for. What policies collect is granted kind by kind, and not part of it.",
                "Run `groundskeeper install`. If a right is still missing, look for another authorizer than RBAC.",
            ),
            Self::AdmissionPolicies => row(
                "gk-admission-policies",
                Warning,
                "The policies by which the API server itself guards our kinds are there, each with its binding.",
                "Run `groundskeeper install`.",
            ),
            Self::NodeGuards => row(
                "gk-node-guards",
                Warning,
                "The policies are there, each with its binding and as this version declares it, by which the API server keeps our finalizer on nodes, refuses deletions of nodes that are unsafe, and lets only those who may change the record of a departure. Without them a node's own kubelet can take the finalizer off, and the node then goes without its cleanup.",
                "Run `groundskeeper install`. A policy that is still another one has been changed by somebody: delete it first.",
            ),
            Self::NodeFinalizer => row(
                "gk-node-finalizer",
                Warning,
                "A new node gets the finalizer as it is created: for each of the first 20 NodeCleanupPolicies the creation of a node that it governs is tried, without effect, and the answer tells whether the API server or the webhook has put it on. Policies that only plan, and those that say `finalizerBy: Controller`, are left out. It fails for a policy that says `AdmissionPolicy` before Kubernetes 1.36, and for one that needs the webhook while no replica can be reached.",
                "Run `groundskeeper install`; where the webhook has to do it, look at `gk-webhook-reachable`. Until then the controller puts the finalizer on once it sees the node; one that is deleted within that second goes without its cleanup.",
            ),
            Self::FlowControl => row(
                "gk-flow-control",
                Warning,
                "Our leases are renewed at the priority of leader election, and our other requests have a level of their own. Without it, a busy API server may hold up the renewal of a lease behind our own lists.",
                "Run `groundskeeper install`.",
            ),
            Self::ServiceMonitor => row(
                "gk-service-monitor",
                Warning,
                "Whether Prometheus' operator is told of our metrics, where the cluster has it.",
                "Run `groundskeeper install` again if Prometheus' operator came later.",
            ),
            Self::WebhookConfiguration => row(
                "gk-webhook-configuration",
                Warning,
                "The API server asks our webhook about policies. Without it, a policy is accepted whose author may not delete what it targets; the operator asks again, deletes nothing, and says so on the policy.",
                "Run `groundskeeper install`.",
            ),
            Self::WebhookCa => row(
                "gk-webhook-ca",
                Warning,
                "The CA that the webhook configuration names is the one in the Secret that the operator made. As long as it is not, the API server cannot ask the webhook, and goes on without.",
                "A running operator writes it within a minute. If it does not, look at its log for `certificate`.",
            ),
            Self::WebhookReachable => row(
                "gk-webhook-reachable",
                Warning,
                "Behind the webhook's Service there is at least one replica that is ready; or, if it is reached by an address, something listens there.",
                "Look at the pods of the operator, and at network policies towards port 9443.",
            ),
            Self::WebhookCertificate => row(
                "gk-webhook-certificate",
                Fatal,
                "The webhook's certificate is valid. A warning if less than two days are left: the operator issues one for seven days and renews it in time, so that something keeps it from doing so.",
                "Look at the operator's log for `certificate`. Deleting the Secret makes it issue a new one.",
            ),
            Self::Replicas => row(
                "gk-replicas",
                Warning,
                "As many replicas of the operator are available as its Deployment asks for.",
                "`kubectl describe` the Deployment and its pods.",
            ),
            Self::Version => row(
                "gk-version",
                Warning,
                "The operator that runs and the program that checks are of one version, as far as the image's tag tells it.",
                "Use the program of the version that runs, or install the version that you use.",
            ),
            Self::Lease => row(
                "gk-lease",
                Warning,
                "One replica holds the lease, and has renewed it within its duration: it acts, and it alone.",
                "Nobody acts until a replica takes it: look whether one runs, and at its log for `lease`.",
            ),
            Self::Policies => row(
                "gk-policies",
                Warning,
                "No policy is `Stalled`: such as for a kind that is not served, or a right that is missing.",
                "`kubectl describe gcp NAME`: the message of `Ready` says what stands in the way.",
            ),
            Self::OtherCollectors => row(
                "gk-other-collectors",
                Warning,
                "Policies of zen-gc do not act beside policies of ours that say `mode: Enforce`: what ours keep, hold back by a budget, or tell first, zen-gc deletes nevertheless. That it runs is told by its lease `gc-controller-leader-election`; if there is none, it is taken to run as long as it has policies that are not paused.",
                "Scale zen-gc to 0 replicas, or set `mode: Plan` in our policies until then; see the migration from zen-gc.",
            ),
            Self::LedgerAnchor => row(
                "gk-ledger-anchor",
                Warning,
                "The heads of the ledgers are anchored in the cluster, and no ledger contradicts an earlier anchor of its own.",
                "`groundskeeper audit verify` names the record that was altered, removed or reordered.",
            ),
        }
    }
}

const fn row(id: &'static str, severity: Severity, meaning: &'static str, remedy: &'static str) -> Row {
    Row { id, severity, meaning, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_check_has_an_id_of_its_own() {
        let ids: BTreeSet<_> = Check::ALL.iter().map(|check| check.id()).collect();
        assert_eq!(ids.len(), Check::ALL.len());
        for check in Check::ALL {
            assert!(
                check.id().starts_with("gk-")
                    && check.meaning().ends_with('.')
                    && check.remedy().ends_with('.')
            );
        }
    }
}
