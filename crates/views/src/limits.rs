//! The limits of what is kept of an object, each with its reason.

/// Fields of one object that are found to be too large one by one, each by reading it again; then none is kept. An object
/// with more of them is read no better, only more often.
pub(crate) const REREAD_MAX: usize = 4;

/// Bytes of memory that the projected fields of one object may take.
///
/// At least four times what the status of a pod with ten containers takes when it is kept whole
/// (`the_status_of_a_busy_pod_fits_many_times_over` counts it). It guards against one absurd object, not against a
/// projection that asks for too much of a million.
pub const KEPT_BYTES_MAX: usize = 64 * 1024;
