//! The admission server: answers an API server's questions about requests, over TLS, on every replica.
//!
//! Three parts: certificates (our own in one Secret, rotated without a gap, or somebody else's in a directory), a
//! listener with limits on everything, and reviews that are parsed whatever their bytes are. Who judges is a
//! [`Reviewer`] for each path.
//!
//! Knows no rule and no kind. Invariant: every review gets an answer, before its caller stops waiting.

mod authority;
mod desk;
mod directory;
mod keeper;
pub mod limits;
mod material;
pub mod review;
mod rotation;
mod server;
mod tls;
mod webhooks;

use std::sync::Arc;

use control::Clock;
use kube::Client;
use tokio_util::sync::CancellationToken;

pub use desk::{Desk, Reviewer};
pub use directory::follow_directory;
pub use keeper::OwnCertificates;
pub use review::{Answer, Denial, Operation, Request, User};
pub use rotation::Lifetimes;
pub use server::{Server, ServerError};
pub use tls::{CertificateState, ClientAuthentication, TlsError};

use crate::metrics::Metrics;

/// Keeps our own certificates in their Secret, and serves the leaf of the moment, until stopped.
pub async fn keep_own_certificates(
    own: OwnCertificates,
    client: Client,
    state: CertificateState,
    shared: (Arc<dyn Clock>, Metrics),
    stop: CancellationToken,
) {
    let (clock, metrics) = shared;
    keeper::Keeper::new(client, own, state, clock, metrics).run(stop).await;
}

/// Answers reviews until stopped; then finishes those in flight, and returns.
pub async fn serve_reviews(
    server: Server,
    reviewers: Vec<Box<dyn Reviewer>>,
    shared: (Arc<dyn Clock>, Metrics),
    stop: CancellationToken,
) {
    let (clock, metrics) = shared;
    let desk = Arc::new(desk::Desk::new(reviewers, clock, metrics.clone()));
    server.run(desk, metrics, stop).await;
}
