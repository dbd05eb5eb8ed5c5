//! The bounds of plugins and of the way out to them, each with its reason.

use std::time::Duration;

use control::BreakerRules;

/// How long one call may take, unless its plugin says otherwise: an answer under way is better asked for again, for
/// `progress` costs nothing.
pub const CALL_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// The shortest that may be written.
pub const CALL_TIMEOUT_SECONDS_MIN: u64 = 1;
/// The longest that may be written: what takes longer says `progress`.
pub const CALL_TIMEOUT_SECONDS_MAX: u64 = 5 * 60;

/// How long `check`, `plan` and `describe` may take: somebody waits for the answer, or a departure has not begun.
pub const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an attempt may take that has no deadline of its own: the longest call, and a bit for its Secrets.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(CALL_TIMEOUT_SECONDS_MAX + 30);

/// How long a connection to one address may take to come about, its TLS included.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Addresses of one name that are tried, one after the other: balancers give a handful.
pub(crate) const ADDRESSES_TRIED_MAX: usize = 4;

/// Bytes of an address that is written: what the schema of our kinds allows.
pub(crate) const URL_BYTES_MAX: usize = 2_048;

/// Bytes of the head of an answer, and its headers: those of big gateways fit twice.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// See [`HEAD_BYTES_MAX`].
pub(crate) const HEADERS_MAX: usize = 100;

/// Headers that one call may be given, besides ours: what the schema of our kinds allows.
pub(crate) const EXTRA_HEADERS_MAX: usize = 16;

/// Bytes of certificates that vouch for a server: what the schema of our kinds allows.
pub(crate) const CA_BUNDLE_BYTES_MAX: usize = 64 * 1024;

/// How long a Secret that was read is believed, so that a rotation is seen soon, and a thousand departures do not read one
/// Secret a thousand times.
pub const SECRET_AGE_MAX: Duration = Duration::from_secs(30);
/// How long reading one may take.
pub(crate) const SECRET_TIMEOUT: Duration = Duration::from_secs(10);
/// Secrets that are remembered at one time: more than any policy names.
pub(crate) const SECRETS_CACHED_MAX: usize = 64;
/// Characters from which on a value that comes back in an answer is taken for the secret: a shorter one is in every
/// sentence, and protects nothing.
pub(crate) const SECRET_CHARS_MIN: usize = 4;
/// Bytes of one value of a Secret that is used in a header: servers take no longer ones.
pub(crate) const SECRET_BYTES_MAX: usize = 8 * 1024;

/// Steps of departures that one plugin is given at one time, unless it says otherwise.
pub const CONCURRENCY_DEFAULT: u32 = 10;
/// The most that may be written.
pub const CONCURRENCY_MAX: u32 = 1_000;

/// When a plugin is left alone. Steps pause for ten seconds and more between their attempts, so that five calls in a minute
/// are several nodes, of which most fail.
pub(crate) const BREAKER: BreakerRules = BreakerRules {
    window: Duration::from_mins(1),
    calls_min: 5,
    failures_percent: 60,
    cool_down: Duration::from_secs(30),
    probes: 1,
};

/// Servers behind one plugin that are known apart: more than the policies of a cluster name.
pub(crate) const TARGETS_MAX: usize = 256;

/// How long a step that is under way keeps its place after it should have been asked again: whoever took it away from the
/// plugin does not always tell.
pub(crate) const PLACE_GRACE: Duration = Duration::from_mins(2);

/// Characters of a message or of an address that is put together from a template, after its placeholders were filled.
pub(crate) const RENDERED_CHARS_MAX: usize = 8 * 1024;
/// Placeholders in all templates of one call.
pub(crate) const PLACEHOLDERS_MAX: usize = 256;

/// Characters of an id that another system gives us: the record keeps it, and an address holds it.
pub(crate) const ID_CHARS_MAX: usize = 256;

/// How long a Job stays after it has ended, unless its template says otherwise: a day, in which somebody reads its log.
pub(crate) const JOB_KEPT_SECONDS: i64 = 24 * 60 * 60;
/// The least: what has ended must be seen before it goes, also if we are away for a while.
pub(crate) const JOB_KEPT_SECONDS_MIN: i64 = 10 * 60;
/// How often a Job is looked at.
pub(crate) const JOB_POLL_SECONDS: u32 = 5;
/// How long one request about a Job may take.
pub(crate) const JOB_CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Containers of a Job's pod, of one sort: more than anybody writes.
pub(crate) const JOB_CONTAINERS_MAX: usize = 32;

/// The longest pause that another server may ask of us: as long as an answer of the contract may.
pub(crate) const RETRY_AFTER_SECONDS_MAX: u64 = 3_600;

/// Bytes of an id in Portworx, of a storage node or a job: they are UUIDs of 36, and this is room for those that are not.
pub(crate) const PORTWORX_ID_BYTES_MAX: usize = 128;
/// Bytes of an answer of Portworx' gateway: one node with its pools and disks, or all jobs that drain.
pub(crate) const PORTWORX_ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the list of all storage nodes: a thousand of them, the most that a cluster has, with sixteen KiB each.
pub(crate) const PORTWORX_CENSUS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Characters of Portworx' own words in a message: its longest sentences fit, and what would help still stands beside them.
pub(crate) const PORTWORX_WORDS_CHARS_MAX: usize = 300;
/// Questions in one turn: the longest way has seven, as a test counts.
pub(crate) const PORTWORX_QUESTIONS_MAX: usize = 12;
/// Objects of one name that are looked at: a cluster has one Portworx, seldom two.
pub(crate) const PORTWORX_STORAGE_NODES_MAX: u32 = 10;
/// How long one request of the plugin to the API server may take.
pub(crate) const PORTWORX_KUBERNETES_TIMEOUT: Duration = Duration::from_secs(15);
/// Seconds after something was done: only to have it recorded.
pub(crate) const PORTWORX_AFTER_ACT_SECONDS: u32 = 1;
/// Seconds until another member of the cluster is asked, if one did not know enough.
pub(crate) const PORTWORX_UNSURE_POLL_SECONDS: u32 = 5;
/// Seconds between two looks at a job that detaches volumes, each of which takes seconds.
pub(crate) const PORTWORX_DRAIN_POLL_SECONDS: u32 = 10;
/// Seconds between two looks whether a storage node is offline: Portworx itself takes a minute to notice.
pub(crate) const PORTWORX_OFFLINE_POLL_SECONDS: u32 = 15;
/// Seconds between two looks at a removal, which takes minutes.
pub(crate) const PORTWORX_REMOVAL_POLL_SECONDS: u32 = 30;
/// Looks in a row that do not show a removal to have begun, after which it is asked for again: members of the cluster learn
/// of it from each other within seconds.
pub(crate) const PORTWORX_IDLE_LOOKS_MAX: u8 = 3;
