//! The admission server's limits, each with its reason.

use std::time::Duration;

/// Connections at one time. An API server opens one per request that it has in flight (HTTP/1.1) and keeps them; three
/// of them at their default of 600 mutating requests are well below twice this.
pub const CONNECTIONS_MAX: usize = 1_024;

/// How long a TLS handshake may take: two round trips and a signature, on a network that is in trouble.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a new connection may be silent before its first request. An API server connects because it has one.
pub const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may be idle. Longer than the 90 s of client-go, so that the caller is the one who closes: a
/// request that meets a closing connection is a failed admission.
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(2);

/// Bytes of all headers of one request. An API server sends a few hundred, and a bearer token at most some thousand.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Headers of one request.
pub const HEADERS_MAX: usize = 64;

/// Bytes of one review: it may hold an object and its predecessor, each near the API server's 3 MiB for a request, and
/// a bit.
pub const BODY_BYTES_MAX: usize = 7 * 1024 * 1024;

/// Bytes of all reviews that are being read or judged at one time. A policy's review has about 3 KB, so that this does
/// not hold up a cluster, but it bounds what a flood can make us hold.
pub const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Reviews at one time; beyond it the answer is 503 at once. Above what one API server has in flight by default (600).
pub const REVIEWS_IN_FLIGHT_MAX: usize = 768;

/// HTTP/2 streams of one connection at one time, as `net/http` has it for its server.
pub const STREAMS_MAX: u32 = 250;

/// How long a review may take if the caller does not say how long it waits.
pub const REVIEW_TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);

/// How long a review may take, however patient the caller is: the API server's default for webhooks is 10 s, and its
/// user waits meanwhile.
pub const REVIEW_TIMEOUT_MAX: Duration = Duration::from_secs(8);

/// The caller's patience is used up to this share, in percent; the rest is for the network.
pub const PATIENCE_USED_PERCENT: u32 = 75;

/// What a caller that was turned away is told to wait, in seconds. The API server itself does not ask again.
pub const RETRY_AFTER_SECONDS: &str = "1";

/// How long the end waits for reviews in flight: the longest review, and a bit.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(9);

/// Characters of a refusal's message: enough for a screen; the API server takes more, but nobody reads it.
pub const MESSAGE_CHARS_MAX: usize = 2_048;

/// Warnings of one answer, and the characters of one. The API server cuts a warning at 256 characters when all of them
/// together are above 4,096.
pub const WARNINGS_MAX: usize = 8;
/// See [`WARNINGS_MAX`].
pub const WARNING_CHARS_MAX: usize = 256;

/// Characters of a value from a review that are repeated in an answer or a log.
pub const QUOTED_CHARS_MAX: usize = 120;

/// Bytes of one file with certificates or a key, and of one entry of the Secret: a chain of a few certificates has
/// some kilobytes, a bundle of a cloud's authorities below 300 KB.
pub const PEM_BYTES_MAX: usize = 1024 * 1024;

/// Certificates in one bundle. Ours holds two while authorities change, and three if that happens again at once.
pub const CERTIFICATES_MAX: usize = 64;

/// Our own authorities that stay in the bundle at one time, so that it cannot grow.
pub const AUTHORITIES_MAX: usize = 4;

/// How long an authority lives, unless told otherwise.
pub const AUTHORITY_LIFE_DEFAULT: Duration = Duration::from_hours(365 * 24);

/// How long a leaf lives, unless told otherwise: so short that renewal is routine, so long that a week-end without it
/// does no harm.
pub const LEAF_LIFE_DEFAULT: Duration = Duration::from_hours(7 * 24);

/// The shortest life of a certificate: it is renewed after two thirds, and X.509 counts in seconds.
pub const LIFE_MIN: Duration = Duration::from_secs(3);

/// The longest life of a certificate: ten years.
pub const LIFE_MAX: Duration = Duration::from_hours(10 * 365 * 24);

/// How long before it is issued a certificate counts as valid, for callers whose clock is behind; at most a tenth of
/// its life.
pub const BACKDATED_MAX: Duration = Duration::from_mins(5);

/// How often the Secret and the webhook configurations are looked at: a new leaf is served within this time by every
/// replica. Shorter if leaves live shorter.
pub const KEEPER_INTERVAL: Duration = Duration::from_secs(10);

/// How long all webhook configurations must have shown a new authority before a leaf of it is served: API servers watch
/// them, and the slowest must have heard. Shorter if leaves live shorter.
pub const SHOWN_FOR: Duration = Duration::from_mins(1);

/// Attempts of one round to write the Secret: each lost one means that another replica has written it.
pub const WRITE_ATTEMPTS_MAX: u32 = 4;

/// How often mounted certificates are read. The kubelet itself takes up to a minute or two to update them.
pub const DIRECTORY_INTERVAL: Duration = Duration::from_secs(5);
