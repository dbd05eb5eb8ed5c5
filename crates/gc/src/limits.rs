//! The engine's bounds, each with its reason.

use std::time::Duration;

use jiff::SignedDuration;

/// Objects that go in a window under a policy that says nothing of it: enough for a namespace's daily leftovers, and
/// few enough to be made again by hand.
pub(crate) const BUDGET_COUNT_DEFAULT: u64 = 50;

/// The share that goes in a window under a policy that says nothing of it, in percent.
pub(crate) const BUDGET_PERCENT_DEFAULT: u8 = 10;

/// How long an approval lets what had fallen due by it go beyond the budget: a week, so that a window which opens on one
/// day of the week comes within it. What is there months later is not what somebody has looked at.
pub(crate) const APPROVAL_LASTS: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The window of a budget that names none: long enough that somebody can look.
pub(crate) const BUDGET_WINDOW_DEFAULT: Duration = Duration::from_hours(1);
/// The shortest window: below it a budget would be a rate, which has a field of its own.
pub(crate) const BUDGET_WINDOW_MIN: Duration = Duration::from_mins(1);
/// The longest window: a month.
pub(crate) const BUDGET_WINDOW_MAX: Duration = Duration::from_hours(31 * 24);

/// How often all objects are looked at anew under a policy that says nothing of it.
pub(crate) const EVALUATION_INTERVAL_DEFAULT: Duration = Duration::from_hours(1);
/// The shortest interval: a listing of everything is felt by the API server.
pub(crate) const EVALUATION_INTERVAL_MIN: Duration = Duration::from_mins(1);
/// The longest interval: what a watch has missed must not stay for ever.
pub(crate) const EVALUATION_INTERVAL_MAX: Duration = Duration::from_hours(7 * 24);

/// The shortest and the longest notice: long enough to be read, and not longer than anybody remembers.
pub(crate) const NOTICE_MIN: Duration = Duration::from_mins(1);
/// See [`NOTICE_MIN`].
pub(crate) const NOTICE_MAX: Duration = Duration::from_hours(366 * 24);

/// The longest `keep.minAge`: the longest time to live.
pub(crate) const MIN_AGE_MAX: SignedDuration = SignedDuration::from_secs(api::limits::TTL_SECONDS_MAX);

/// How often an object is judged anew whose verdict depends on the time, if it cannot be told when it will change.
pub(crate) const RECHECK: SignedDuration = SignedDuration::from_secs(60);

/// Objects that are kept of each group under a policy that asks for the time: before each deletion all of them are judged
/// anew, for one that is no longer selected gives its place to another. A thousand take about a millisecond.
pub(crate) const KEPT_BY_TIME_MAX: usize = 1_000;

/// Values of fields that are remembered so that objects may share them: more than any field's usual words, few enough
/// to take no memory that counts.
pub(crate) const ALIKE_MAX: usize = 256;

/// Kinds of one policy.
pub(crate) const TARGETS_MAX: usize = 16;

/// Conditions in one list: what the schema allows, more than anyone reads.
pub(crate) const CONDITIONS_MAX: usize = 16;

/// Conditions on labels or annotations: as many as a label selector may have.
pub(crate) const KEY_CONDITIONS_MAX: usize = 32;

/// Values of one condition: as many as a label selector's requirement may have.
pub(crate) const CONDITION_VALUES_MAX: usize = 64;

/// Bytes of a value, or of a regular expression, in a condition: what the schema allows.
pub(crate) const CONDITION_VALUE_BYTES_MAX: usize = 1_024;

/// Bytes that a regular expression may take when compiled: `^\w{1,63}$` needs 70 KiB on account of Unicode's letters;
/// `(a{1000}){1000}` would need gigabytes.
pub(crate) const PATTERN_COMPILED_BYTES_MAX: usize = 256 * 1024;

/// Groups inside of each other in a regular expression: the parser's stack grows with them.
pub(crate) const PATTERN_DEPTH_MAX: u32 = 32;

/// Words in `ttl.mappings`: what the schema allows.
pub(crate) const MAPPINGS_MAX: usize = 64;

/// Names in `names`, `excludeNames` and in a selection of namespaces: what the schema allows.
pub(crate) const NAMES_MAX: usize = 64;

/// Fields in a field selector: what the schema allows.
pub(crate) const FIELDS_MAX: usize = 16;

/// Kinds of an owner: what the schema allows.
pub(crate) const OWNER_KINDS_MAX: usize = 16;

/// Characters of a selector's term that a message repeats: a label's longest key and a value, on one line of a terminal or two.
pub(crate) const SELECTOR_CHARS_MAX: usize = 160;

/// Names of a list that a message repeats: the rest is a number.
pub(crate) const NAMES_SHOWN_MAX: usize = 3;

/// Characters of a value that a message repeats: enough to recognize it.
pub(crate) const EXCERPT_CHARS_MAX: usize = 40;

/// Finalizers of others that a message names: enough to know whom to ask.
pub(crate) const FINALIZERS_SHOWN_MAX: usize = 4;
