//! How long the demo waits, each with its reason.

use std::time::Duration;

/// How often something is looked at that changes by itself.
pub(super) const POLL_EVERY: Duration = Duration::from_millis(100);

/// One command: most answer within a second; waiting for Jobs and deleting a namespace take as long as the cluster does.
pub(super) const COMMAND_DEADLINE: Duration = Duration::from_mins(4);

/// What the cluster does by itself within a second or two: aggregate rights, delete pods, take in a status.
pub(super) const SOON: Duration = Duration::from_secs(45);

/// Nothing more goes, if nothing has gone for so long: what is due goes within milliseconds.
pub(super) const SETTLED: Duration = Duration::from_secs(1);

/// The operator is ready: a second, or many on a machine that is busy with a build.
pub(super) const OPERATOR_READY: Duration = Duration::from_mins(1);

/// The operator ends after it was asked to; it gives itself 28 s at most.
pub(super) const OPERATOR_STOP: Duration = Duration::from_secs(30);

/// A deletion that is later than this is a failure. A healthy one takes milliseconds; the rest is for busy machines.
pub(super) const LATENESS_MAX: Duration = Duration::from_secs(5);

/// A standby that goes on later than this after the leader's death is a failure. A healthy one takes as long as the lease
/// lasts here (4 s) and a try (1 s); the rest is for busy machines.
pub(super) const TAKEOVER_MAX: Duration = Duration::from_secs(20);

/// Lines of a log that a failure shows.
pub(super) const LOG_LINES: usize = 15;

/// Bytes of a metrics page that are read; ours has some kilobytes.
pub(super) const HTTP_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How often a build that nobody sees the lines of says how far it is.
pub(super) const BUILD_REPORT_EVERY: Duration = Duration::from_secs(10);
