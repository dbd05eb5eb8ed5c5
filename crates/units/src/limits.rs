//! The limits of names that come from outside, each with its reason.

/// Bytes of an `apiVersion`: a DNS subdomain (253), a slash and a DNS label (63), as the API server allows.
pub const API_VERSION_BYTES_MAX: usize = 253 + 1 + 63;

/// Bytes of a `kind`: the API server demands that it is a DNS label when it is in lower case.
pub const KIND_BYTES_MAX: usize = 63;

/// Bytes of a field path: an annotation's key alone takes up to 317 (253 for its prefix, a slash, 63 for its name).
pub const FIELD_PATH_BYTES_MAX: usize = 512;

/// Steps of a field path: the deepest of the built-in kinds (the affinity of a pod template in a cron job) has 15.
pub const FIELD_PATH_STEPS_MAX: usize = 32;

/// Bytes of a span of time: all six units, each with a number that no longer fits the span.
pub const SPAN_BYTES_MAX: usize = 64;

/// The longest span, in milliseconds: 300 years of 366 days. From any date that a cluster will see, a time so far
/// ahead can still be written with four digits for the year.
pub const SPAN_MILLISECONDS_MAX: u64 = 300 * 366 * 24 * 60 * 60 * 1_000;

/// Bytes of a glob: the longest name that the API server accepts.
pub const GLOB_BYTES_MAX: usize = 253;

/// Bytes of a quantity: the largest in nano-units has 28 digits, so this is twice what anybody needs.
pub const QUANTITY_BYTES_MAX: usize = 64;

/// Windows of one schedule: four for each day of the week, and some for special ones.
pub const WINDOWS_MAX: usize = 32;
