//! The bounds of the engine, each with its reason.

use std::time::Duration;

/// Seconds from the cordon to the first eviction: a scheduler that saw the node before may have bound pods just before.
pub const SETTLE_SECONDS: i64 = 5;

/// Nodes that leave at one time under a policy that does not say: what a cluster of a hundred nodes bears.
pub const LEAVING_AT_ONCE: usize = 10;

/// Nodes that may be let leave at one time: as many as a cluster has.
pub const LEAVING_AT_ONCE_MAX: usize = 5_000;

/// Percent of a policy's nodes above which nothing more begins to leave, unless the policy says otherwise: a third of a
/// cluster that goes at once is more often a mistake or an outage than a wish.
pub const STORM_BRAKE_PERCENT: u8 = 30;

/// Seconds that a drain may take which a policy does not bound: an hour, after which somebody wants to know.
pub const DRAIN_DEADLINE_SECONDS: u64 = 60 * 60;

/// Seconds that volumes may take: twice the six minutes after which Kubernetes detaches by force, and a bit.
pub const VOLUMES_DEADLINE_SECONDS: u64 = 15 * 60;

/// Seconds of a whole departure: a working day's morning, in which somebody has seen the alert.
pub const TOTAL_DEADLINE_SECONDS: u64 = 6 * 60 * 60;

/// The longest deadline of one part, in seconds: a week, beyond which nobody waits for a drain.
pub const PHASE_DEADLINE_SECONDS_MAX: u64 = 7 * 24 * 60 * 60;

/// The longest deadline of a departure, in seconds: thirty days.
pub const TOTAL_DEADLINE_SECONDS_MAX: u64 = 30 * 24 * 60 * 60;

/// Seconds that the record of a departure is kept: thirty days, as long as people ask what became of a node.
pub const RECORDS_KEPT_SECONDS: u64 = 30 * 24 * 60 * 60;

/// The shortest: a minute, so that whoever waits for the end sees it.
pub const RECORDS_KEPT_SECONDS_MIN: u64 = 60;

/// The longest: a year and a day.
pub const RECORDS_KEPT_SECONDS_MAX: u64 = 366 * 24 * 60 * 60;

/// Bytes of a plugin's answer: room for the largest state and a settings schema, and nothing against what a plugin might
/// send that errs.
pub const ANSWER_BYTES_MAX: usize = 128 * 1024;

/// Lists and maps inside of each other in an answer, in settings and in a settings schema: people write four, and a
/// recursion over them stays small.
pub const NESTING_MAX: usize = 32;

/// Bytes of what a plugin wants to be told the next time. Sixty-six steps of a record then take at most 1 MiB of the 1.5
/// MiB that etcd takes in one request.
pub const STATE_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a step's settings, for the same reason.
pub const SETTINGS_BYTES_MAX: usize = 16 * 1024;

/// Keys at the top of a state or of settings: what the schema of our kinds allows.
pub const FREE_FORM_KEYS_MAX: usize = 64;

/// Characters of a plugin's message: as many as a condition's.
pub const MESSAGE_CHARS_MAX: usize = api::limits::CONDITION_MESSAGE_CHARS_MAX;

/// Characters of a reason, of a plugin's name and of its version: one word each.
pub const WORD_CHARS_MAX: usize = 64;

/// What a plugin says in words that it would do, in lines: more than anybody reads of one step.
pub const PLANNED_LINES_MAX: usize = 32;

/// Seconds until a plugin is asked again that does not say when: a departure takes minutes.
pub const RETRY_AFTER_SECONDS_DEFAULT: u32 = 10;
/// The least: below it one node's step would be a load.
pub const RETRY_AFTER_SECONDS_MIN: u32 = 1;
/// The most: whoever waits for longer would not notice for as long that it is done.
pub const RETRY_AFTER_SECONDS_MAX: u32 = 3_600;

/// Bytes of a regular expression in a settings schema, when compiled.
pub(crate) const PATTERN_COMPILED_BYTES_MAX: usize = 256 * 1024;
/// Groups inside of each other in a regular expression: the parser's stack grows with them.
pub(crate) const PATTERN_DEPTH_MAX: u32 = 32;

/// Steps that a policy writes: what the schema allows. The two that are there without being written come on top.
pub const STEPS_MAX: usize = 64;

/// Steps that one waits for: what the schema allows.
pub const DEPENDS_ON_MAX: usize = 32;

/// The characters of a step's name: those of a label's value.
pub(crate) const STEP_NAME_BYTES_MAX: usize = 63;

/// The highest priority, which goes last.
pub const STEP_PRIORITY_MAX: u32 = 1_000;
/// The priority of a step that does not say: there is room on both sides.
pub const STEP_PRIORITY_DEFAULT: u32 = 50;

/// Seconds that an attempt may take that does not say: most clean-ups are a few calls.
pub const STEP_TIMEOUT_SECONDS_DEFAULT: u64 = 5 * 60;
/// The most: a week, for whoever moves data before a node goes.
pub const STEP_TIMEOUT_SECONDS_MAX: u64 = 7 * 86_400;

/// Retries of a step that does not say: with the pauses below some five minutes of outage are survived.
pub const STEP_RETRIES_DEFAULT: u32 = 5;
/// The most retries: with the longest usual pause, three days.
pub const STEP_RETRIES_MAX: u32 = 1_000;

/// Seconds before the first retry, unless said otherwise: as the tool that we replace has it.
pub const RETRY_DELAY_SECONDS_DEFAULT: u64 = 10;
/// The longest pause, unless said otherwise: what somebody waits at most after having put things right.
pub const RETRY_DELAY_MAX_SECONDS_DEFAULT: u64 = 5 * 60;
/// The longest pause that may be written.
pub const RETRY_DELAY_SECONDS_MAX: u64 = 86_400;

/// By how much a pause is longer than the one before, in percent, unless said otherwise: twice as long.
pub const BACKOFF_PERCENT_DEFAULT: u32 = 200;
/// The least: pauses of one length.
pub const BACKOFF_PERCENT_MIN: u32 = 100;
/// The most: ten times as long.
pub const BACKOFF_PERCENT_MAX: u32 = 1_000;

/// Seconds after which a step is looked at again that waits for what brings no event of its own, such as another
/// departure that gives up a plugin.
pub const RECHECK_SECONDS: i64 = 10;

/// Names that a message lists before it says how many there are besides.
pub(crate) const NAMES_IN_MESSAGE_MAX: usize = 10;
/// The first pause before an eviction is asked for again that was refused: a budget's controller counts about once a
/// second.
pub(crate) const EVICTION_BACKOFF_FIRST: Duration = Duration::from_secs(1);

/// The longest pause between two requests to evict one pod: what somebody waits at most who has lifted a blocker.
pub(crate) const EVICTION_BACKOFF_MAX: Duration = Duration::from_secs(30);

/// The longest pause once the budget that held a pod is seen to let it go, or the pod to end: as long as kubectl's.
pub(crate) const EVICTION_OPEN_PAUSE_MAX: Duration = Duration::from_secs(5);

/// The longest `Retry-After` that is honoured: API servers send 0, 1 or 10 seconds, and what stands between us and them
/// must not stop a drain for a day.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);

/// Pods whose last answers are remembered for one node: kubelets run 110 unless told otherwise, and some hundreds at most.
pub(crate) const TRIES_MAX: usize = 1_000;

/// Characters of a server's answer that are kept: enough for the sentence of a webhook.
pub(crate) const ANSWER_CHARS_MAX: usize = 512;

/// Blockers in a plan: what the schema of a status allows.
pub const BLOCKERS_MAX: usize = 20;

/// Objects that one blocker names: what the schema of a status allows. Its message has the number of all.
pub(crate) const BLOCKER_OBJECTS_MAX: usize = 10;

/// Seconds that a pod on a node that does not answer is waited for after its time was up, unless the settings say
/// otherwise: nobody is there who could end it.
pub(crate) const UNREACHABLE_WAIT_SECONDS: i64 = 60;

/// Seconds after its time to end was up from which a pod that is still there counts as stuck: kubelets need some of them
/// to clear up behind it.
pub(crate) const STUCK_ENDING_SECONDS: i64 = 60;

/// Seconds that a pod gets to end under the rung `TightenGrace`, unless it says so itself: Kubernetes' own default.
pub(crate) const TIGHTENED_GRACE_SECONDS: i64 = 30;

/// The longest time to wait for a drain, in seconds: a week, as the schema allows.
pub(crate) const DRAIN_TIMEOUT_SECONDS_MAX: i64 = 604_800;

/// Pods with volumes that leave at one time, at most: what the schema allows.
pub(crate) const VOLUME_PODS_MAX: u32 = 1_000;

/// Rungs of a ladder: what the schema allows.
pub(crate) const RUNGS_MAX: usize = 8;

/// The priority from which a pod is critical for the cluster: that of Kubernetes' own class `system-cluster-critical`.
/// People's classes end at a half of it.
pub(crate) const CRITICAL_PRIORITY: i32 = 2_000_000_000;
