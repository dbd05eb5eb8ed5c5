//! The limits of names that come from outside, each with its reason.

/// Bytes of an `apiVersion`: a DNS subdomain (253), a slash and a DNS label (63), as the API server allows.
pub const API_VERSION_BYTES_MAX: usize = 253 + 1 + 63;

/// Bytes of a `kind`: the API server demands that it is a DNS label when it is in lower case.
pub const KIND_BYTES_MAX: usize = 63;
