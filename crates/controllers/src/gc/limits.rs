//! The garbage collector's limits, each with its reason.

use std::time::Duration;

/// How long after a change a status is written: what belongs together comes in one write.
pub(super) const REPORT_DELAY: Duration = Duration::from_millis(100);

/// How long a policy's status stays as it is while its objects are read anew although nobody has changed it: mostly because
/// another policy shares the watch and needs more of it. A listing of a large cluster takes no longer than this.
pub(super) const LISTING_UNTOLD_MAX: Duration = Duration::from_secs(10);

/// How often one policy's status is written at most: a burst of deletions is one line of news, not a thousand.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Policies that are reported on at one time: they must not crowd out deletions.
pub(super) const REPORTS_IN_FLIGHT_MAX: u16 = 8;

/// How long one report may take: a call that is not answered has been given up before.
pub(super) const REPORT_DEADLINE: Duration = Duration::from_secs(40);

/// How often every ground is listed anew, and every policy reported on anew, although nothing has told of a change: rare
/// enough to cost nothing, and often enough that what a watch has missed does not stay for a day.
pub(super) const SCAN_INTERVAL: Duration = Duration::from_hours(1);

/// How often one policy tells of its deletions by an event at most.
pub(super) const DELETION_EVENT_INTERVAL: Duration = Duration::from_secs(10);

/// Names that one event tells; the rest is a number.
pub(super) const EVENT_NAMES_MAX: usize = 5;

/// Events of feeds that are taken in before deletions are looked at again.
pub(super) const FEED_BATCH_EVENTS: usize = 256;

/// How long the main loop sleeps at most: after a jump of the wall clock nothing is later than this.
pub(super) const SLEEP_MAX: Duration = Duration::from_secs(1);

/// How long one round of the loop judges objects that wait for it, and how long one policy in it: what is due meanwhile
/// goes no later than that. One object takes a millisecond at most.
pub(super) const JUDGING_TIME_MAX: Duration = Duration::from_millis(10);
/// See [`JUDGING_TIME_MAX`].
pub(super) const JUDGING_TURN_MAX: Duration = Duration::from_millis(2);

/// Bytes of a field that may be kept of an object although no policy reads it there, but only in other namespaces: about
/// what a tracked object takes besides. Reading small fields again for each namespace would cost more than to keep them.
pub(super) const UNREAD_BYTES_MAX: usize = 256;

/// First and longest pause of a policy whose deletions fail or are denied. The longest is what a user waits at worst
/// after granting the missing right.
pub(super) const HOLD_FIRST: Duration = Duration::from_millis(200);
/// See [`HOLD_FIRST`].
pub(super) const HOLD_MAX: Duration = Duration::from_secs(5);

/// How often a policy whose objects are not up to date is looked at again.
pub(super) const STALE_RECHECK: Duration = Duration::from_secs(1);

/// How long the end waits for deletions, and then for statuses, that are in flight.
pub(super) const FINISH_TIMEOUT: Duration = Duration::from_secs(8);

/// Due objects of a policy that are counted; beyond it the message says "at least".
pub(super) const DUE_COUNT_MAX: usize = 1_000_000;

/// How often the rights of a policy's author are looked at again: what a withdrawn right takes to stop a policy.
pub(super) const AUTHOR_RECHECK: Duration = Duration::from_mins(3);

/// First and longest wait until an author who lacked a right, or could not be checked, is looked at again. The longest is
/// what a user waits at worst after granting the missing right.
pub(super) const AUTHOR_RETRY_FIRST: Duration = Duration::from_secs(1);
/// See [`AUTHOR_RETRY_FIRST`].
pub(super) const AUTHOR_RETRY_MAX: Duration = Duration::from_secs(30);

/// Authors that are being checked at one time: after a start all are due, and an authorizer may be slow.
pub(super) const AUTHOR_CHECKS_IN_FLIGHT_MAX: usize = 16;

/// Kinds of which a webhook remembers what the cluster calls them, and for how long: users write policies in bursts.
pub(super) const KINDS_REMEMBERED_MAX: usize = 256;
/// See [`KINDS_REMEMBERED_MAX`].
pub(super) const KINDS_REMEMBERED_FOR: Duration = Duration::from_secs(10);

/// How long advice on a policy is waited for: kubectl waits with it, and what the advice is about is no error.
pub const ADVICE_WAIT_MAX: Duration = Duration::from_secs(2);

/// Namespaces of one policy whose objects are counted, one request each, where the watch selects by labels: a second's
/// worth of requests every `evaluationInterval`. Of what lies elsewhere only what is selected counts, so that a share is of
/// fewer objects than there are, never of more.
pub(super) const COUNTED_NAMESPACES_MAX: usize = 500;

/// How often objects are counted anew for a policy whose budget is used up: what came meanwhile makes a share larger.
pub(super) const COUNT_INTERVAL: Duration = Duration::from_mins(1);

/// How often a policy whose budget is used up is looked at again at least: objects that come make the share larger.
pub(super) const BUDGET_RECHECK: Duration = Duration::from_secs(10);

/// Of how many deletions one is reserved in advance of a policy's budget, so that a deletion that comes alone need not wait
/// for a status. As many are lost to the window when the leader crashes.
pub(super) const RESERVE_ONE_OF: u64 = 20;

/// For how many seconds of a policy's rate its budget is reserved in advance: a status is written once a second at most.
pub(super) const RESERVE_SECONDS: u64 = 2;

/// Deletions of a policy whose lateness is remembered: what its status speaks of.
pub(super) const LATENESS_SAMPLES_MAX: usize = 1_000;

/// First and longest pause until a kind is asked about again of which it could not be told whether owners exist. With the
/// longest, and as objects ask once a minute, a granted right is noticed within two minutes.
pub(super) const OWNER_RETRY_FIRST: Duration = Duration::from_secs(1);
/// See [`OWNER_RETRY_FIRST`].
pub(super) const OWNER_RETRY_MAX: Duration = Duration::from_mins(1);

/// Kinds of owners, by namespace, of which is remembered that nothing can be told; objects may name kinds that nobody serves.
pub(super) const UNTELLABLE_MAX: usize = 4_096;

/// Objects whose owners are looked for at one time: the rest of the API server's work goes first.
pub(super) const OWNER_QUESTIONS_IN_FLIGHT_MAX: usize = 8;
