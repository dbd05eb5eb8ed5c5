//! The limits of expressions, which come from whoever writes a policy, each with its reason.

/// Bytes of one expression. The longest of our cookbook has some 300; whoever needs more than this writes two policies.
pub const EXPRESSION_BYTES_MAX: usize = 8 * 1024;

/// Nodes of one syntax tree. 8 KiB of text may hold some 4,000; a hundred is much for a person.
pub const NODES_MAX: usize = 1_000;

/// Height of the syntax tree and of nested brackets. The parser and the evaluator descend it: at this height they need less
/// than 1 MiB of stack even without optimization (`the_highest_tree_fits_on_a_small_stack`); threads have 2 MiB.
pub const HEIGHT_MAX: u16 = 48;

/// Loops (`all`, `exists`, `exists_one`, `map`, `filter`) inside of each other: a list of lists has two.
pub const LOOPS_MAX: usize = 2;

/// Steps of one evaluation: one for each node that is evaluated and for each element that is looked at, more for long
/// texts. 100,000 of them take about a millisecond; without a loop an expression takes a few
/// thousand at most, unless its texts are long.
pub const STEPS_MAX: u32 = 100_000;

/// Bytes of one regular expression: longer than any name that it could describe.
pub const PATTERN_BYTES_MAX: usize = 1_024;

/// Bytes of one regular expression when compiled. `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$` needs less than 4 KiB, and a label's
/// value of at most 63 characters less than 64; `(a{1000}){1000}` would need gigabytes.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 256 * 1024;

/// Regular expressions in one expression, each of which may hold [`PATTERN_COMPILED_BYTES_MAX`] and as much for its cache.
pub const PATTERNS_MAX: usize = 16;

/// Characters of the expression that a message repeats.
pub(crate) const EXCERPT_CHARS_MAX: usize = 60;

/// The longest span, in seconds: 10,000 years, as CEL has it.
pub(crate) const SPAN_SECONDS_MAX: i64 = 315_576_000_000;

/// The first second that a timestamp may lie in: 0001-01-01T00:00:00Z, as RFC 3339 and CEL have it.
pub(crate) const TIME_SECONDS_MIN: i64 = -62_135_596_800;

/// Steps that finding a field takes: a map is searched from front to back.
pub(crate) const LOOKUP_STEPS: u32 = 8;

/// Bytes of text that are searched, copied or compared in one step.
pub(crate) const BYTES_PER_STEP: usize = 32;
