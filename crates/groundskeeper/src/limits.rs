//! The limits of what is read and shown, each with its reason.

use std::time::Duration;

/// Bytes of one file, or of standard input: 50,000 full objects of a kilobyte as `kubectl get -o json` writes them,
/// and a bit. A larger set can be given in several files.
pub const INPUT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Files in one run: more than any directory of manifests that a person keeps.
pub const FILES_MAX: usize = 10_000;

/// Documents and list items in one run: four times the largest cluster's kind that we plan for offline. Each is held
/// in about 200 bytes, and what policies read of it.
pub const DOCUMENTS_MAX: usize = 200_000;

/// YAML nodes of one document: a scalar takes at least two bytes, and a manifest's take more than ten on average, so
/// that this is beyond what [`INPUT_BYTES_MAX`] can hold in practice. Together with [`YAML_REPLAYED_EVENTS_MAX`] it
/// bounds the work that one document can cause.
pub const YAML_NODES_MAX: usize = 8_000_000;

/// Events that aliases of one YAML document may be expanded to. Manifests written by people repeat a block of labels a
/// few times; those written by programs have no aliases at all.
pub const YAML_REPLAYED_EVENTS_MAX: usize = 100_000;

/// Levels of one YAML document: twice those of the deepest manifests that we know, definitions of custom resources that
/// hold pod templates. A parse of so many fits into a stack of 2 MiB, without optimization too.
pub const YAML_DEPTH_MAX: usize = 64;

/// Problems that are written out; the rest are counted. A screen of them says enough.
pub const PROBLEMS_SHOWN_MAX: usize = 20;

/// Files of `--openapi` in one run: a cluster publishes one for each group and version, and has some tens of them.
pub const SCHEMA_FILES_MAX: usize = 200;

/// Characters of one cell of a table: the longest namespace (63) and name (253), and the slash between them.
pub const CELL_CHARS_MAX: usize = 63 + 1 + 253;

/// `--collect` in one run: more kinds than the largest cluster that we know serves.
pub const COLLECTED_RESOURCES_MAX: usize = 2_000;

/// Bytes of a file with anchors: a `ConfigMap` holds 1 MiB at most, and quotes within quotes may double it.
pub const ANCHORS_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of a configuration file: every setting with a page of comment each.
pub const CONFIG_BYTES_MAX: u64 = 256 * 1024;

/// YAML nodes of a configuration file: twenty times what all settings take.
pub const CONFIG_NODES_MAX: usize = 2_000;

/// Bytes of one setting's value: a path has at most 4,096 on Linux.
pub const SETTING_CHARS_MAX: usize = 4_096;

/// How often the configuration file is looked at. A ConfigMap takes about a minute to reach a pod; this adds nothing
/// that anybody would notice.
pub const CONFIG_POLL: std::time::Duration = std::time::Duration::from_secs(3);
/// How long an installation waits until the API server serves a kind that was just defined; it takes about a second.
pub const ESTABLISHED_WAIT_MAX: Duration = Duration::from_secs(30);

/// How long an installation waits until the API server applies admission policies that were just declared to a kind that
/// was just defined: it takes note of both by polling, at intervals of up to 30 s.
pub const IN_FORCE_WAIT_MAX: Duration = Duration::from_mins(1);

/// The pause between two looks at something that is about to change.
pub const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// EndpointSlices of the API server that are looked at: each holds a hundred addresses.
pub const API_SERVER_ENDPOINTS_MAX: u32 = 10;

/// How long an uninstallation waits for our pods to end: their grace period of 30 s, and a bit.
pub const PODS_WAIT_MAX: Duration = Duration::from_secs(40);

/// How long an uninstallation waits until a kind, with all its objects, is gone.
pub const DEFINITION_WAIT_MAX: Duration = Duration::from_mins(1);

/// Objects of one kind that are looked at for somebody else's: the first one that is found decides.
pub const FOREIGN_LOOKED_AT_MAX: u32 = 500;

/// Service accounts that `--act-as` may name: a role and a binding for each.
pub const ACCOUNTS_MAX: usize = 200;

/// Secrets that `--plugin-secret` may name: more than there are plugins, and few enough to be read in one role.
pub const PLUGIN_SECRETS_MAX: usize = 200;

/// Policies for which `check` tries a node: one request each, and clusters have a few.
pub const FINALIZER_TRIALS_MAX: usize = 20;

/// Objects whose owners are looked for in one round: what is asked twice is remembered between rounds.
pub const OWNERS_ASKED_AT_ONCE: usize = 1_000;

/// Acts of one simulation: a minute of work, and more than anybody reads. What goes beyond them is told.
pub const SIMULATED_ACTS_MAX: usize = 1_000_000;

/// Rounds in which one policy's objects are judged anew in a simulation, although they have not changed: each may be as
/// dear as a plan.
pub const SIMULATED_RECHECKS_MAX: i32 = 2_000;

/// Rows that `simulate` and `diff` write, unless they are told otherwise: some screens of them.
pub const ROWS_DEFAULT: usize = 1_000;

/// Bytes of the reason for which an object is held: a line of text. An object's annotations hold 256 KiB in all.
pub const HOLD_REASON_BYTES_MAX: usize = 1_024;

/// How often an approval is tried again that the operator's writing to the status got in the way of: it writes once a
/// second at most.
pub const APPROVAL_ATTEMPTS_MAX: usize = 5;

/// How often the records of departures are looked at by somebody who watches: the operator writes one once a second at most.
pub const RECORDS_LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Characters of what stands in the way in a line of `nodes list`: half a wide terminal. `nodes watch` and JSON have all.
pub const BLOCKER_CHARS_SHOWN: usize = 80;

/// How long `nodes cleanup` waits until our finalizer is on the node: the operator puts it on within a second of seeing
/// that it is missing, and sees everything within its slow scan.
pub const FINALIZER_WAIT_MAX: Duration = Duration::from_mins(1);

/// How long `nodes drain` waits before it says that nobody has begun: a maintenance is taken up within a second.
pub const TAKEN_UP_WAIT: Duration = Duration::from_secs(15);

/// How much longer than the drain's own timeout `nodes drain` waits for the operator's word that it has passed.
pub const DRAIN_WORD_WAIT: Duration = Duration::from_secs(30);

/// How long `nodes undrain` waits until the maintenance is gone: what it put on the node is taken off in one request.
pub const UNDRAIN_WAIT_MAX: Duration = Duration::from_mins(1);

/// Nodes that a line names; the rest are counted.
pub const NODES_NAMED_MAX: usize = 10;

/// How long an uninstallation takes to go over all nodes once: 5,000 of them, each of which takes some milliseconds.
pub const STRIP_WAIT_MAX: Duration = Duration::from_mins(5);

/// How long it then takes off again what comes back: the operator has lost its rights by then, and what it had asked for
/// before, or another API server still allows it, is written within seconds.
pub const COMES_BACK_MAX: Duration = Duration::from_secs(30);

/// Characters of a node's name in the name of an event about it: the API server adds five of its own, and takes 63 in all.
pub const EVENT_PREFIX_CHARS_MAX: usize = 57;
