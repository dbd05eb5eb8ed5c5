//! Every bound of this crate, each with its reason.

use std::time::Duration;

/// How often a build that goes on says so: often enough that nobody takes it for a hang, seldom enough for a CI log.
pub(crate) const REPORT_EVERY: Duration = Duration::from_secs(10);

/// How often a running build, or the lock of somebody else's, is looked at. A build takes seconds at least.
pub(crate) const BUILD_POLL: Duration = Duration::from_millis(100);

/// Lines of a log that an error carries: a Go panic's head or a server's last words fit, and so does a terminal.
pub(crate) const ERROR_LINES: usize = 20;

/// Bytes that are read from the end of a log to find its last lines, or to return it: no log of a test comes near.
pub(crate) const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How long one server may take until it is ready. Measured: 3 s at most on two idle cores; the rest is for machines
/// that build something else meanwhile.
pub(crate) const READY_DEADLINE: Duration = Duration::from_mins(1);

/// How long one probe may take: a healthy server answers in milliseconds, and a lost probe must not eat the deadline.
pub(crate) const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// How often readiness, an exit or an object is looked at: below what a person notices, above what loads the server.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(40);

/// Bytes that are read of an answer to a plain HTTP probe: its status line and a short body.
pub(crate) const PROBE_BYTES_MAX: u64 = 4 * 1024;

/// Starts that are tried when a port turns out to be taken. Ports are drawn anew each time; two losses in a row are
/// rare, three mean that something systematic is wrong.
pub(crate) const START_ATTEMPTS: u32 = 3;

/// How long one server may take to stop in peace before it is killed: the API server takes up to 3 s (measured).
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// How long a kwok node may take to become ready, and a namespace to get its service account: both under 1 s alone.
pub(crate) const OBJECT_DEADLINE: Duration = Duration::from_secs(30);

/// Bytes that etcd may keep. Its own limit of 2 GiB is reached by load tests; 8 GiB is the largest it recommends.
pub(crate) const ETCD_QUOTA_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// Requests per second of the controller manager and the scheduler. Their own limit (20 to 50) is meant to spare a
/// production API server and makes 500 pods take 24 s instead of 8.5 s (measured).
pub(crate) const CLIENT_QPS: u32 = 500;

/// Requests in one burst, beside [`CLIENT_QPS`].
pub(crate) const CLIENT_BURST: u32 = 1000;

/// Bytes of a namespace's prefix: a name may have 63, and the unique end takes up to 32.
pub(crate) const NAMESPACE_PREFIX_MAX: usize = 31;

/// Bytes of a user's name that become part of its kubeconfig's file name, which may have 255.
pub(crate) const FILE_NAME_PART_MAX: usize = 100;

/// Attempts to remove a directory whose writers have just been killed: the last write may still land.
pub(crate) const REMOVE_ATTEMPTS: u32 = 20;

/// Connections to one fault proxy at a time: a client of HTTP/1.1 has one for each request in flight and each watch,
/// and our largest tests have some hundreds. More wait to be accepted.
pub(crate) const CONNECTIONS_MAX: usize = 2048;

/// Bytes on their way through a fault proxy in each direction of a connection, as in the buffers of a socket.
pub(crate) const WIRE_BYTES: usize = 64 * 1024;

/// Bytes of a request's body: the API server itself takes 3 MiB.
pub(crate) const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a reply that has to be read as a whole, to be held or altered: 50,000 `ConfigMaps` are 38 MB (measured).
pub(crate) const REPLY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of one event of a watch: ten times what etcd stores of one object (1.5 MiB).
pub(crate) const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Events of one watch that are held back. Beyond it the rest of the watch waits as well, in the server.
pub(crate) const HELD_EVENTS_MAX: usize = 10_000;

/// Chunks of a watch between the proxy's two sides: one suffices, a few spare switches of tasks.
pub(crate) const CHUNKS: usize = 4;

/// Writes of a trace: a load test's 50,000 objects, made and collected. Those beyond are only counted.
pub(crate) const TRACE_WRITES_MAX: usize = 100_000;

/// Kinds of reads that a trace counts: verbs times resources, which a cluster has some hundreds of.
pub(crate) const TRACE_READS_MAX: usize = 10_000;

/// Requests that stand at one gate; more are cut, as nobody can look at so many.
pub(crate) const GATE_REQUESTS_MAX: usize = 1024;

/// Threads of a fault proxy: one is enough for a process under test, and the second keeps the switches (cut, freeze)
/// prompt while the first copies a large list.
pub(crate) const PROXY_THREADS: usize = 2;
