//! The bounds of our fields, each with its reason.

/// The longest time to live, in seconds: a hundred years, beyond which an object is not meant to be collected.
pub const TTL_SECONDS_MAX: i64 = 100 * 365 * 24 * 60 * 60;

/// Deletions per second of one policy: above what one API server is able to do, so that "no limit" can be said.
pub const DELETIONS_PER_SECOND_MAX: u32 = 10_000;

/// Deletions per second of a policy that does not say: gentle enough for a busy cluster, and what the collectors that
/// we replace use.
pub const DELETIONS_PER_SECOND_DEFAULT: u32 = 10;

/// The longest grace period, in seconds: a day, as long as a drained pod's termination may be waited for.
pub const GRACE_PERIOD_SECONDS_MAX: i64 = 86_400;

/// Pairs in `matchLabels`, and requirements in `matchExpressions`: more than any selector that we have seen, and
/// small enough that judging an object stays below a microsecond.
pub const SELECTOR_TERMS_MAX: usize = 32;

/// Values of one requirement.
pub const SELECTOR_VALUES_MAX: usize = 64;

/// Characters of a condition's message: the API's own limit is 32,768; a terminal shows less.
pub const CONDITION_MESSAGE_CHARS_MAX: usize = 1_024;

/// Bytes of an author's name, or of one of the groups: identity providers stay far below it.
pub const AUTHOR_NAME_BYTES_MAX: usize = 1_024;

/// Groups of an author. Directories put people into some hundreds; with the length of names as it is in practice they
/// fit into the 256 KiB that an object's annotations may have.
pub const AUTHOR_GROUPS_MAX: usize = 2_000;

/// Deletions that one policy has under way: an API server does not get faster with more (measured: 64 are no better than 32).
pub const BATCH_SIZE_MAX: u32 = 1_000;

/// Deletions that a policy has under way that does not say: what the collectors that we replace use.
pub const BATCH_SIZE_DEFAULT: u32 = 50;

/// Characters of a finalizer: a domain of 253, a slash, and a name of 63.
pub const FINALIZER_CHARS_MAX: usize = 317;

/// Objects that a policy has deleted and that hang on its finalizer: so many stand in its status, and it deletes no more
/// while there are as many. A hundred names take some 30 KiB, and a server that answers needs far fewer.
pub const FINALIZING_MAX: usize = 100;

/// Objects that a budget may let through: more than any cluster holds of one kind.
pub const BUDGET_COUNT_MAX: i64 = 10_000_000;

/// The highest priority; the lowest is its negative. Room for a number per team, small enough to be read.
pub const PRIORITY_MAX: i32 = 1_000;

/// The highest generation of a spec: the largest whole number that JSON's numbers hold exactly, which is what the API server
/// demands of a bound. A spec that changes every second gets there in 285 million years.
pub const GENERATION_MAX: i64 = (1 << 53) - 1;
