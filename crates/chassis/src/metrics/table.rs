//! The table of metrics: a row each, with name, kind, labels and help.
//!
//! Names and labels under `controller_runtime_`, `workqueue_`, `leader_election_` and `rest_client_` are those of Go's
//! controller-runtime and client-go (v0.24, v0.36), so that dashboards and alerts that people have work on us.

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// It only grows.
    Counter,
    /// A number of things.
    Gauge,
    /// A span that is going on, in seconds.
    GaugeSeconds,
    /// With the upper bounds of its buckets, in seconds.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) stem: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

/// Makes the enum, its list and its rows from one table, so that they cannot differ.
macro_rules! metrics {
    ($($variant:ident = $kind:expr, $stem:literal, [$($label:literal),*], $help:literal;)*) => {
        /// Every metric that we export.
        #[allow(clippy::doc_markdown, reason = "the help of a metric is plain text")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum MetricName {
            $(#[doc = $help] $variant,)*
        }

        impl MetricName {
            /// All of them, in the order of the reference page.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            pub(super) const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row { stem: $stem, kind: $kind, labels: &[$($label),*], help: $help },)*
                }
            }
        }
    };
}

use Kind::{Counter, Gauge, GaugeSeconds};

const LATENESS: Kind = Kind::Histogram(&[
    0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0,
]);
const DURATION: Kind =
    Kind::Histogram(&[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0]);
/// Nodes leave in seconds, hours or days.
const DEPARTURE: Kind = Kind::Histogram(&[
    5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 43_200.0, 86_400.0,
    604_800.0,
]);
/// Those of controller-runtime's reconciles.
const RECONCILE: Kind = Kind::Histogram(&[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25,
    1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0,
    50.0, 60.0,
]);
/// Those of client-go's work queues.
const QUEUE: Kind =
    Kind::Histogram(&[1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1_000.0]);
/// Those of controller-runtime's webhooks.
const WEBHOOK: Kind = Kind::Histogram(&[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
/// Calls of other people's servers, the longest of which take minutes.
const PLUGIN: Kind = Kind::Histogram(&[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0]);

metrics! {
    GcDeletions = Counter, "groundskeeper_gc_deletions", ["policy_namespace", "policy_name", "outcome"],
        "Deletions that were tried, by policy and outcome: deleted, gone, changed, denied, throttled, failed";
    GcDeletionLateness = LATENESS, "groundskeeper_gc_deletion_lateness_seconds", [],
        "Seconds from the moment from which an object might have gone until the server accepted its deletion: its due time or, if that was later, when it came to match, or its policy was let delete it";
    GcDeletionDuration = DURATION, "groundskeeper_gc_deletion_duration_seconds", [],
        "Seconds that a delete call took, whatever came of it";
    GcFinalizersRemoved = Counter, "groundskeeper_gc_finalizers_removed", ["policy_namespace", "policy_name", "outcome"],
        "Finalizers that policies tried to take off what they had deleted, by policy and outcome: removed, gone, changed, denied, throttled, failed";
    GcObjects = Gauge, "groundskeeper_gc_objects", ["policy_namespace", "policy_name", "state"],
        "Objects that a policy selects, by state: matched, pending, protected, unresolvable";
    GcTrackedObjects = Gauge, "groundskeeper_gc_tracked_objects", [],
        "Objects held in the index, over all kinds and namespaces that policies look at";
    GcPolicies = Gauge, "groundskeeper_gc_policies", ["reason"],
        "Garbage collection policies, by the reason of their Ready condition";
    GcBudgetUsed = Gauge, "groundskeeper_gc_budget_used", ["policy_namespace", "policy_name"],
        "Deletions that count against a policy's budget now";
    GcBudgetLimit = Gauge, "groundskeeper_gc_budget_limit", ["policy_namespace", "policy_name"],
        "Deletions that a policy's budget allows in its window; no series where there is no limit";
    OldPolicies = Gauge, "gc_policies_total", ["phase"],
        "As of zen-gc: policies by phase, Active, Paused or Error";
    OldMatched = Gauge, "gc_resources_matched_total", ["policy_namespace", "policy_name", "resource_api_version", "resource_kind"],
        "As of zen-gc, but not summed up over time: objects that a policy selects now";
    OldPending = Gauge, "gc_resources_pending_total", ["policy_namespace", "policy_name", "resource_api_version", "resource_kind"],
        "As of zen-gc: objects that a policy will delete in time";
    OldDeleted = Counter, "gc_resources_deleted", ["policy_namespace", "policy_name", "resource_api_version", "resource_kind", "reason"],
        "As of zen-gc, but not of dry runs: objects that a policy has deleted; the reason is ttl_expired";
    OldDeletionDuration = DURATION, "gc_deletion_duration_seconds", ["policy_namespace", "policy_name", "resource_api_version", "resource_kind"],
        "As of zen-gc: seconds that a delete call took";
    OldErrors = Counter, "gc_errors", ["policy_namespace", "policy_name", "error_type"],
        "As of zen-gc: what failed, by type: deletion_failed, list_resources_failed, status_update_failed";
    OldEvaluationDuration = DURATION, "gc_evaluation_duration_seconds", [],
        "As of zen-gc, but for all policies on a kind at once: seconds from the beginning of a listing until all of it was judged";
    OldInformers = Gauge, "gc_informers_total", [],
        "As of zen-gc: watches of objects, each shared by all policies that need it";
    OldRateLimiters = Gauge, "gc_rate_limiters_total", [],
        "As of zen-gc: policies with a rate of their own";
    OldLeaderStatus = Gauge, "gc_leader_election_status", [],
        "As of zen-gc: 1 while this replica leads, 0 otherwise";
    OldLeaderTransitions = Counter, "gc_leader_election_transitions", [],
        "As of zen-gc: times that this replica has begun to lead";
    NodeEvictions = Counter, "groundskeeper_node_evictions", ["outcome"],
        "Pods that were asked to leave a node, by what came of it: deleted, gone, changed, denied, blocked, throttled, failed";
    NodeDepartures = Gauge, "groundskeeper_node_departures", ["policy_name", "state"],
        "Departures of nodes that have not ended, by policy and state: leaving, held (by its turn, the storm brake, or what only somebody can lift)";
    NodeDeparturesBlocked = Gauge, "groundskeeper_node_departures_blocked", ["policy_name", "reason"],
        "Departures of nodes that have not ended and that something stands in the way of, by policy and the reason of each kind of blocker; no series where there is none";
    NodeDeparturesEnded = Counter, "groundskeeper_node_departures_ended", ["policy_name", "phase"],
        "Departures that have come to their end, by policy and phase: Completed, Released, Lost";
    NodeDepartureDuration = DEPARTURE, "groundskeeper_node_departure_duration_seconds", [],
        "Seconds from the deletion of a node until it was let go";
    NodePolicyNodes = Gauge, "groundskeeper_node_policy_nodes", ["policy_name"],
        "Nodes that a policy decides of";
    OldNodesWithFinalizer = Gauge, "node_cleanup_nodes_with_finalizer", [],
        "As of node-cleanup-webhook: nodes that carry our finalizer";
    OldNodeWebhookRequests = Counter, "node_cleanup_webhook_requests", ["operation", "result"],
        "As of node-cleanup-webhook: reviews of nodes that were asked of the webhook, by operation and result: patched, allowed";
    OldNodeWebhookDuration = WEBHOOK, "node_cleanup_webhook_duration_seconds", ["operation"],
        "As of node-cleanup-webhook: seconds that a review of a node took";
    OldCleanupOperations = Counter, "node_cleanup_operations", ["plugin", "result"],
        "As of node-cleanup-webhook: calls of plugins, by plugin and result: success, progress, failure";
    OldCleanupDuration = DURATION, "node_cleanup_duration_seconds", ["plugin"],
        "As of node-cleanup-webhook: seconds that a call of a plugin took";
    StatusWrites = Counter, "groundskeeper_status_writes", ["outcome"],
        "Status writes by outcome: written, conflict, failed";
    WatchRestarts = Counter, "groundskeeper_watch_restarts", ["reason"],
        "Watches that ended, by reason: ended, expired, doubted, silent, failed, stopped";
    MassChangeDoubts = Counter, "groundskeeper_mass_change_doubts", [],
        "Listings that had lost so many objects at once that they were not believed before a second look";
    MissedEvents = Counter, "groundskeeper_missed_events", ["controller"],
        "Work that only the slow full scan found, which no watch event had told of";
    Quarantined = Gauge, "groundskeeper_quarantined", ["controller"],
        "Keys that are set aside because work on them panicked";
    ActuatorRefusals = Counter, "groundskeeper_actuator_refusals", ["reason"],
        "Destructive acts that the actuator refused for lack of proof, by reason";
    ActuatorInFlightMax = Gauge, "groundskeeper_actuator_in_flight_max", [],
        "Destructive acts that may be in flight now: less than configured while the API server is busy or slow";
    LeaderTransitions = Counter, "groundskeeper_leader_transitions", [],
        "Times that this process has become the leader or has ceased to be it";
    EventsSent = Counter, "groundskeeper_events_sent", [],
        "Kubernetes events that the API server accepted, new or as one more of a series";
    EventsDropped = Counter, "groundskeeper_events_dropped", ["reason"],
        "Kubernetes events that were dropped, by reason: queue_full, rate_limited, send_failed, shutdown";
    ApiRequestDuration = DURATION, "groundskeeper_api_request_duration_seconds", ["verb"],
        "Seconds until the API server's answer began, by verb: get, list, watch, create, update, patch, apply, delete, other";
    LedgerRecords = Counter, "groundskeeper_ledger_records", ["kind"],
        "Records that are durable in the ledger, by kind: Start, Stop, Intent, Outcome, Refusal, Anchor, Settled, Retired";
    LedgerCommitDuration = DURATION, "groundskeeper_ledger_commit_duration_seconds", [],
        "Seconds that it took to write a batch of records and to make it durable";
    LedgerUnavailable = Gauge, "groundskeeper_ledger_unavailable", [],
        "1 while the ledger cannot be written, 0 otherwise";
    LedgerHead = Gauge, "groundskeeper_ledger_head_sequence", [],
        "The number of the latest durable record of the ledger";
    LedgerDropped = Counter, "groundskeeper_ledger_dropped", [],
        "Records that best effort could not keep";
    LedgerAnchorFailures = Counter, "groundskeeper_ledger_anchor_failures", ["reason"],
        "Times that the ledger's head was not anchored in the cluster as it should be, by reason: unreachable, denied, contradiction";
    ConfigReloadFailures = Counter, "groundskeeper_config_reload_failures", [],
        "Times that a changed configuration file was not taken over, because it is wrong";
    WebhookShed = Counter, "groundskeeper_webhook_shed", ["limit"],
        "Admission requests and connections that were turned away, by the limit that was reached: connections, reviews, bytes";
    WebhookHandshakeFailures = Counter, "groundskeeper_webhook_handshake_failures", ["reason"],
        "Connections to the webhook that came to nothing, by reason: tls, timeout, name";
    CertificateExpiry = Gauge, "groundskeeper_certificate_expiry_timestamp_seconds", ["certificate"],
        "When a certificate expires, in seconds since 1970: leaf (the one that is served), authority (the one that signs)";
    CertificateSource = Gauge, "groundskeeper_certificate_source", ["source"],
        "Always 1; the label says where the webhook's certificate comes from: self, directory";
    CertificateRotations = Counter, "groundskeeper_certificate_rotations", ["step"],
        "Steps of the rotation of our own certificates that this replica has taken: begun, leaf_renewed, authority_added, authority_switched, authority_dropped";
    BuildInfo = Gauge, "groundskeeper_build_info", ["version"],
        "Always 1; the label says which version runs";

    ReconcileTotal = Counter, "controller_runtime_reconcile", ["controller", "result"],
        "Reconciles by controller and result: success, error, requeue, requeue_after";
    ReconcileErrors = Counter, "controller_runtime_reconcile_errors", ["controller"],
        "Reconciles that failed, by controller";
    TerminalReconcileErrors = Counter, "controller_runtime_terminal_reconcile_errors", ["controller"],
        "Reconciles that failed and are not tried again before something changes, by controller";
    ReconcilePanics = Counter, "controller_runtime_reconcile_panics", ["controller"],
        "Reconciles that panicked, by controller";
    ReconcileTimeouts = Counter, "controller_runtime_reconcile_timeouts", ["controller"],
        "Reconciles that took longer than their deadline, by controller";
    ReconcileTime = RECONCILE, "controller_runtime_reconcile_time_seconds", ["controller"],
        "Seconds that a reconcile took, by controller";
    MaxConcurrentReconciles = Gauge, "controller_runtime_max_concurrent_reconciles", ["controller"],
        "Reconciles that may run at one time, by controller";
    ActiveWorkers = Gauge, "controller_runtime_active_workers", ["controller"],
        "Reconciles that are running, by controller";
    PluginCalls = Counter, "groundskeeper_plugin_calls", ["plugin", "call", "outcome"],
        "Questions to plugins, by plugin, question (describe, check, plan, execute) and outcome: done, progress, failed, refused, unreachable, garbage, timed_out, panicked";
    PluginCallTime = PLUGIN, "groundskeeper_plugin_call_duration_seconds", ["plugin", "call"],
        "Seconds that a question to a plugin took, whatever came of it";
    PluginResting = Gauge, "groundskeeper_plugin_resting", ["plugin"],
        "1 while a plugin is left alone because it failed too often of late, 0 otherwise";

    WebhookRequests = Counter, "controller_runtime_webhook_requests", ["webhook", "code"],
        "Admission requests by path and HTTP status";
    WebhookLatency = WEBHOOK, "controller_runtime_webhook_latency_seconds", ["webhook"],
        "Seconds that an admission request took, by path";
    WebhookRequestsInFlight = Gauge, "controller_runtime_webhook_requests_in_flight", ["webhook"],
        "Admission requests that are being answered, by path";
    WebhookPanics = Counter, "controller_runtime_webhook_panics", [],
        "Admission reviews that panicked; they were refused";

    QueueDepth = Gauge, "workqueue_depth", ["name", "controller", "priority"],
        "Keys that wait, by queue and priority";
    QueueAdds = Counter, "workqueue_adds", ["name", "controller"],
        "Keys that were added, by queue";
    QueueDuration = QUEUE, "workqueue_queue_duration_seconds", ["name", "controller"],
        "Seconds that a key waited until it was worked on, by queue";
    QueueWorkDuration = QUEUE, "workqueue_work_duration_seconds", ["name", "controller"],
        "Seconds that a key was worked on, by queue";
    QueueUnfinishedWork = GaugeSeconds, "workqueue_unfinished_work_seconds", ["name", "controller"],
        "Seconds that the keys which are being worked on have taken up to now, in sum, by queue";
    QueueLongestRunning = GaugeSeconds, "workqueue_longest_running_processor_seconds", ["name", "controller"],
        "Seconds that the key which has been worked on for longest has taken up to now, by queue";
    QueueRetries = Counter, "workqueue_retries", ["name", "controller"],
        "Keys that were added again after a failure, by queue";
    StaleSyncSkips = Counter, "stale_sync_skips", ["controller"],
        "Reconciles that were put off because the cache had not seen our own last write, by controller";

    LeaderStatus = Gauge, "leader_election_master_status", ["name"],
        "1 while this process holds the lease of this name, 0 otherwise";
    LeaderSlowPath = Counter, "leader_election_slowpath", ["name"],
        "Renewals of the lease that had to read it again first";
    RestClientRequests = Counter, "rest_client_requests", ["code", "method", "host"],
        "Requests to the API server by HTTP status (or <error>), method and host";
}

impl MetricName {
    /// The name as it is exported, with its suffix.
    pub fn exported(self) -> String {
        let suffix = if self.row().kind == Counter { "_total" } else { "" };
        format!("{}{suffix}", self.row().stem)
    }

    /// `counter`, `gauge` or `histogram`.
    pub const fn type_name(self) -> &'static str {
        match self.row().kind {
            Counter => "counter",
            Gauge | GaugeSeconds => "gauge",
            Kind::Histogram(_) => "histogram",
        }
    }

    /// The name of each label.
    pub const fn labels(self) -> &'static [&'static str] {
        self.row().labels
    }

    /// What it counts or measures.
    pub const fn help(self) -> &'static str {
        self.row().help
    }
}
