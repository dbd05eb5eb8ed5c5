//! Collection as users see it: the real operator, under its own generated rights, against a real API server.
//!
//! All tests share one control plane and one operator; each has a namespace of its own.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod admission;
mod authors;
mod changes;
mod expiry;
mod kinds;
mod plan;
mod rights;
mod status;

use testbed::Shared;
use tokio::sync::OnceCell;

use support::operator::Operator;
use support::team::Team;

/// A namespace of the test's own, in the shared control plane.
async fn team(prefix: &str) -> Team<'static> {
    let (team, _) = team_and_operator(prefix).await;
    team
}

/// The same, with the shared operator.
async fn team_and_operator(prefix: &str) -> (Team<'static>, &'static Operator) {
    static CLUSTER: Shared = Shared::new(support::audited);
    static OPERATOR: OnceCell<Operator> = OnceCell::const_new();
    let cluster = CLUSTER.get().await.unwrap();
    let start = async || {
        support::install_crds(cluster);
        support::install_rbac(cluster, &["configmaps"]);
        Operator::start(cluster).await
    };
    let operator = OPERATOR.get_or_init(start).await;
    (Team::new(cluster, prefix).await, operator)
}
