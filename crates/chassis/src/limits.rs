//! The chassis' limits, each with its reason.

use std::time::Duration;

/// How long one call may take. The API server gives up on its own side after 60 s; a call that takes half of that is
/// not coming back in time to be of use.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a request is sent that may be repeated, and the pauses between: enough for an API server that restarts or is
/// busy for a moment. What takes longer is the caller's to try again.
pub const ASK_ATTEMPTS_MAX: u32 = 3;
/// See [`ASK_ATTEMPTS_MAX`].
pub const ASK_PAUSE_FIRST: Duration = Duration::from_millis(100);
/// See [`ASK_ATTEMPTS_MAX`].
pub const ASK_PAUSE_MAX: Duration = Duration::from_secs(3);

/// How long a connection may take to come about.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the server is asked to keep a watch open, in seconds: within client-go's 5 to 10 minutes.
pub const WATCH_TIMEOUT_SECONDS: u32 = 7 * 60;

/// Objects in one page of a listing, as in client-go.
pub const LIST_PAGE_OBJECTS: usize = 500;

/// Bytes of one watch event: an object is at most 3 MiB as the API server takes it (etcd's limit is 1.5 MiB), and
/// escapes may double it.
pub const WATCH_LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of what the server says when it refuses: a status is some hundreds, a proxy's page some thousands.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// First and longest wait after a failed attempt to watch. The longest is what a user waits at worst after granting a
/// missing right or installing a missing kind.
pub const FEED_RETRY_FIRST: Duration = Duration::from_millis(200);
/// See [`FEED_RETRY_FIRST`].
pub const FEED_RETRY_MAX: Duration = Duration::from_secs(5);

/// How long a feed rests between two connections, so that a server which closes at once does not make it spin.
pub const FEED_REOPEN_PAUSE: Duration = Duration::from_millis(50);

/// How long a connection must have lasted for what went wrong before it to be over. What ends sooner is waited for ever
/// longer, so that watches which are refused after every listing do not become a storm of listings.
pub const FEED_SETTLED: Duration = Duration::from_secs(3);

/// Events of feeds that may wait to be taken in: a page and a bit, so that a feed does not outrun its reader's memory.
pub const FEED_QUEUE_EVENTS: usize = 1_024;

/// Deletions in flight at one time, over all policies, unless told otherwise. With 48 an API server of two cores still idles
/// now and then, while their intents become durable; with 128 it does no more than with 96 (docs/performance.md). How many of
/// them it works on at one time is for its priority and fairness to say.
pub const DELETIONS_IN_FLIGHT_DEFAULT: u16 = 96;

/// The most deletions in flight that may be asked for: beyond it, other users of the API server suffer for nothing.
pub const DELETIONS_IN_FLIGHT_MAX: u16 = 256;

/// How long an act may take until it counts as slow. Kubernetes' own objective for calls that change one object is that 99
/// of 100 are answered within a second.
pub const ACT_SLOW: Duration = Duration::from_secs(1);

/// Of the last [`ACTS_REMEMBERED`] acts, how many may be slow: of more, so that the 90th percentile is beyond
/// [`ACT_SLOW`], the server is ten times as far from its objective as it should be, and is asked for less.
pub const ACTS_SLOW_MAX: u32 = 2;
/// See [`ACTS_SLOW_MAX`]. So few that a server which is slow for every request is noticed within three.
pub const ACTS_REMEMBERED: u32 = 20;

/// How the number of acts in flight changes: after a refusal half of them remain, and after a second without one there
/// are four more, so that from half of [`DELETIONS_IN_FLIGHT_DEFAULT`] to all of them it takes 12 s. A second is what the API
/// server asks to wait when it turns a request away.
pub const IN_FLIGHT_STEP: u32 = 4;
/// See [`IN_FLIGHT_STEP`].
pub const IN_FLIGHT_REMAINING_PERCENT: u8 = 50;
/// See [`IN_FLIGHT_STEP`].
pub const IN_FLIGHT_WINDOW: Duration = Duration::from_secs(1);

/// Kubernetes events that may wait to be sent; beyond it they are dropped and counted.
pub const EVENT_QUEUE_MAX: usize = 512;

/// Characters of an event's note: the API server's limit is 1,024 bytes.
pub const EVENT_NOTE_BYTES_MAX: usize = 1_000;

/// Events about one object in a row, and how long it takes until it gets one more; both as in client-go.
pub const EVENT_BURST: u32 = 25;
/// See [`EVENT_BURST`].
pub const EVENT_REFILL: Duration = Duration::from_mins(5);

/// How long after the last one an equal event is one more of the same series, and how long notes are remembered that
/// similar events differ in; as in client-go.
pub const EVENT_SIMILAR_SPAN: Duration = Duration::from_mins(10);

/// Notes in which events may differ within that time before they are combined; as in client-go.
pub const EVENT_NOTES_MAX: usize = 10;

/// Series that are remembered of one object: a burst, and what is refilled while one of them is remembered.
pub const EVENT_SERIES_MAX: usize = 32;

/// Objects whose events are remembered; as in client-go. A policy writes at most one in ten seconds.
pub const EVENT_OBJECTS_MAX: usize = 4_096;

/// How long one attempt to send an event may take, and the pauses between attempts.
pub const EVENT_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
/// See [`EVENT_ATTEMPT_TIMEOUT`].
pub const EVENT_RETRY_PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

/// How long the last events may take at the end of the program: less than [`SHUTDOWN_RECORD_TIMEOUT`].
pub const EVENT_FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a shutdown waits for work under way, then for what tells and records, for the lease, for the listeners: in
/// sum below Kubernetes' default grace period of 30 s.
pub const SHUTDOWN_WORK_TIMEOUT: Duration = Duration::from_secs(18);
/// See [`SHUTDOWN_WORK_TIMEOUT`].
pub const SHUTDOWN_RECORD_TIMEOUT: Duration = Duration::from_secs(4);
/// See [`SHUTDOWN_WORK_TIMEOUT`].
pub const SHUTDOWN_LEAD_TIMEOUT: Duration = Duration::from_secs(4);
/// See [`SHUTDOWN_WORK_TIMEOUT`].
pub const SHUTDOWN_LISTEN_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an epoch that has ended is waited for before it is told. What works in it is fenced and stops at its next
/// step; within this, it stops also if that step is slow.
pub const EPOCH_RETURN_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a destructive call must still lie within the epoch when it starts: a call is answered within milliseconds,
/// and what is not is refused by the server's own preconditions.
pub const EPOCH_MARGIN: Duration = Duration::from_millis(500);

/// How long an object is looked for whose deletion was not answered: an API server that is well answers within
/// milliseconds, and one that is not is asked again by the next attempt.
pub const LOST_ANSWER_LOOK_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a key waits for the cache to show our own last write. A watch that is well shows it within milliseconds.
pub const OWN_WRITE_WAIT_MAX: Duration = Duration::from_secs(10);

/// First and longest pause of a key that failed: client-go's and the old collector's.
pub const RECONCILE_RETRY_FIRST: Duration = Duration::from_millis(100);
/// See [`RECONCILE_RETRY_FIRST`].
pub const RECONCILE_RETRY_MAX: Duration = Duration::from_secs(30);

/// How long a key pauses after somebody else was faster: long enough for the watch to show what they wrote.
pub const CONFLICT_RETRY: Duration = Duration::from_millis(50);

/// The longest pause before a person's change of finalizers is tried again that others got in the way of: they write once
/// in a while, not all the time.
pub const CONFLICT_RETRY_MAX: Duration = Duration::from_secs(1);

/// How often a person's change of one finalizer is tried again: fifty others at once, each of whom writes once, are done
/// long before.
pub const HAND_ATTEMPTS_MAX: u32 = 50;

/// First and longest pause of a key that panicked: it will most likely do so again.
pub const QUARANTINE_FIRST: Duration = Duration::from_secs(10);
/// See [`QUARANTINE_FIRST`].
pub const QUARANTINE_MAX: Duration = Duration::from_mins(30);

/// How often, and after which pauses, an object is looked for whose intent had no outcome, while the API server does not
/// answer: for about ten minutes.
pub const SETTLEMENT_ATTEMPTS_MAX: u32 = 20;
/// See [`SETTLEMENT_ATTEMPTS_MAX`].
pub const SETTLEMENT_RETRY_FIRST: Duration = Duration::from_millis(500);
/// See [`SETTLEMENT_ATTEMPTS_MAX`].
pub const SETTLEMENT_RETRY_MAX: Duration = Duration::from_secs(30);

/// How long a controller's loop sleeps at most: after a jump of the wall clock nothing is later than this.
pub const WORK_SLEEP_MAX: Duration = Duration::from_secs(1);

/// Connections to one endpoint at a time: a scraper, a probe and a person, several times over.
pub const HTTP_CONNECTIONS_MAX: usize = 64;

/// How long the head of a request may take, also the next one on an open connection. Scrapers come every 15 to 60 s;
/// those that come later connect anew.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request's head: a service account's token has about 1 KiB, hyper's least is 8 KiB.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Headers of a request; a browser sends about 20.
pub const HTTP_HEADERS_MAX: usize = 64;

/// How long an answer may take: two reviews, and a bit.
pub const HTTP_REQUEST_TIMEOUT: Duration = Duration::from_secs(12);

/// How long a connection is kept, so that a client which does not read cannot hold its place for ever.
pub const HTTP_CONNECTION_LIFE: Duration = Duration::from_mins(5);

/// How long an answer that has begun may take after the end was asked for.
pub const HTTP_END_GRACE: Duration = Duration::from_secs(1);

/// The pause after a connection could not be accepted: out of file descriptors, mostly.
pub const HTTP_ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long the API server may take for one review of who reads the metrics.
pub const REVIEW_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the answer of a review is kept: a right that was taken away works no longer than this.
pub const REVIEW_KEPT: Duration = Duration::from_secs(10);

/// Answers of reviews that are kept, and reviews under way at a time: few read metrics, and a flood of bad tokens must
/// not become a flood of reviews.
pub const REVIEWS_KEPT_MAX: usize = 256;
/// See [`REVIEWS_KEPT_MAX`].
pub const REVIEWS_IN_FLIGHT_MAX: usize = 4;

/// How long a log level holds that was set at run time, unless told otherwise, and at most: whoever forgets it does not
/// fill a disk.
pub const LOG_LEVEL_OVERRIDE_DEFAULT: Duration = Duration::from_mins(10);
/// See [`LOG_LEVEL_OVERRIDE_DEFAULT`].
pub const LOG_LEVEL_OVERRIDE_MAX: Duration = Duration::from_hours(1);

/// Characters of a log level: a list of a few dozen targets.
pub const LOG_LEVEL_CHARS_MAX: usize = 1_024;

/// How long the main loop may go without a tick before liveness falls.
pub const LIVENESS_SILENCE_MAX: Duration = Duration::from_mins(1);

/// Characters of an API server's message that are repeated in logs and conditions.
pub const API_MESSAGE_CHARS_MAX: usize = 512;

/// Bytes of one segment of the ledger: some 30,000 records, which a person's editor still opens.
pub const LEDGER_SEGMENT_BYTES_DEFAULT: u64 = 16 * 1024 * 1024;

/// Segments of the ledger that are kept: with [`LEDGER_SEGMENT_BYTES_DEFAULT`] half a gigabyte, which is a month at 500
/// deletions in an hour and is read through in seconds at a start.
pub const LEDGER_SEGMENTS_DEFAULT: usize = 32;

/// Segments of the ledger that are kept at the least: the one that is written, and the one before it, so that the latest
/// records never go with the oldest.
pub const LEDGER_SEGMENTS_MIN: usize = 2;

/// Records that may wait to be written. Intents are never more than [`DELETIONS_IN_FLIGHT_MAX`]; the rest is for what is
/// not waited for.
pub const LEDGER_QUEUE_RECORDS: usize = 1_024;

/// Records that are written and made durable at one time: what may wait, twice.
pub const LEDGER_BATCH_RECORDS: usize = 2 * LEDGER_QUEUE_RECORDS;

/// How long records wait for company before they are made durable together: many acts at one time for each other, and
/// outcomes, for which nobody waits, for the next intent. To make something durable takes 0.4 ms of a disk and costs more
/// CPU than the records themselves; an act takes 20 ms while many are in flight, and one that is alone never waits.
pub const LEDGER_GATHER: Duration = Duration::from_millis(2);

/// First and longest wait after a failed write. The longest is what one waits at worst after having made room.
pub const LEDGER_RETRY_FIRST: Duration = Duration::from_millis(200);
/// See [`LEDGER_RETRY_FIRST`].
pub const LEDGER_RETRY_MAX: Duration = Duration::from_secs(5);

/// Intents without an outcome that are handed out at a start: four times as many as can be in flight. Of more, the oldest
/// are only counted, in the record of the start.
pub const LEDGER_UNSETTLED_MAX: usize = 4 * DELETIONS_IN_FLIGHT_MAX as usize;

/// Bytes of a name in a record: the longest name of an object.
pub const LEDGER_NAME_BYTES_MAX: usize = 253;

/// Bytes of a message in a record: as many as we repeat of an API server's message elsewhere.
pub const LEDGER_MESSAGE_BYTES_MAX: usize = API_MESSAGE_CHARS_MAX;

/// Entries of a record's evidence: twice as many as the longest rule has inputs today.
pub const LEDGER_EVIDENCE_ENTRIES_MAX: usize = 16;

/// Bytes of one value of a record's evidence: a label with the longest key (253 and 63) fits on the whole.
pub const LEDGER_VALUE_BYTES_MAX: usize = 320;

/// Bytes of a line that is read: the largest record with every byte escaped (sixfold) stays below it
/// (`the_largest_record_fits_a_line` shows it).
pub const LEDGER_LINE_BYTES_MAX: u64 = 128 * 1024;

/// Anchors that the cluster's object holds: of 250 bytes each they stay far below the 1 MiB of a ConfigMap. The oldest
/// make room.
pub const LEDGER_ANCHORS_MAX: usize = 200;

/// Characters of one value in a log line; what is longer is cut. An API server's message, several times over.
pub const LOG_VALUE_CHARS_MAX: usize = 4_096;

/// Spans that wait to be sent, and spans in one request: OpenTelemetry's own defaults. What does not fit is lost.
pub const TRACE_QUEUE_SPANS: usize = 2_048;
/// See [`TRACE_QUEUE_SPANS`].
pub const TRACE_BATCH_SPANS: usize = 512;

/// How long spans wait for others to go with them.
pub const TRACE_EXPORT_DELAY: Duration = Duration::from_secs(2);

/// How long one request may take: the next batch waits for it, beside the program.
pub const TRACE_EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the last spans may take at the end of the program; with the shutdown itself below 30 s.
pub const TRACE_FLUSH_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How long a question about somebody's rights may take: webhook authorizers are given 3 s by default.
pub const ACCESS_TIMEOUT: Duration = Duration::from_secs(5);

/// Questions about rights in flight at one time: a burst of policies must not become a burst of authorizer calls.
pub const ACCESS_IN_FLIGHT_MAX: usize = 64;

/// How long a right that was found is relied on. RBAC itself takes a second or two to hear of a change, and webhook
/// authorizers remember for five minutes.
pub const ACCESS_ALLOWED_LIFE: Duration = Duration::from_secs(30);

/// How long a missing right is relied on: whoever has just been granted it tries again at once.
pub const ACCESS_DENIED_LIFE: Duration = Duration::from_secs(2);

/// Answers about rights that are remembered, with a few hundred bytes each.
pub const ACCESS_CACHE_MAX: usize = 4_096;
/// Records about one object that are shown: a hundred attempts with intent and outcome, of each of five incarnations.
pub const LEDGER_PAST_RECORDS_MAX: usize = 1_000;
/// Slots that work is split into, each with a lease of its own: one controller does not outgrow one process yet.
pub const LEASE_SLOTS: usize = 1;

/// Bytes of the schemas of one group and version: twenty times those of the largest that Kubernetes has (`v1`, 1.6 MB).
pub const SCHEMA_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Groups and versions whose schemas are kept: more than policies of one cluster target in practice. Each takes up to
/// some megabytes.
pub const SCHEMA_DOCUMENTS_MAX: usize = 32;

/// How long it is remembered where schemas are: users write policies in bursts, and define kinds just before.
pub const SCHEMA_INDEX_REMEMBERED_FOR: Duration = Duration::from_secs(10);

/// First and longest pause until the server is asked again what there was when an epoch began: an object may be gone before
/// its watch has shown it, which must not hold up whoever takes over for long.
pub const TAKEOVER_PAUSE_FIRST: Duration = Duration::from_millis(200);
/// See [`TAKEOVER_PAUSE_FIRST`].
pub const TAKEOVER_PAUSE_MAX: Duration = Duration::from_secs(5);
