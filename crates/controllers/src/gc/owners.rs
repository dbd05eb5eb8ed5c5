//! Whether the owners of objects exist, for policies that collect what its owners have left behind.
//!
//! The server itself is asked, for each object once: an owner that is gone never comes again, for its UID is its own. One
//! that is there, or of which nothing can be told, is asked for again later; until then the object stays.

use std::future::pending;

use chassis::{Unserved, is_there};
use gc::{OwnerName, OwnerQuestion};
use kube::Client;
use tokio::task::JoinSet;
use units::GroupVersionKind;

use super::limits::OWNER_QUESTIONS_IN_FLIGHT_MAX;
use super::observe::{Observed, PlotId};

/// All questions after owners, under way.
pub(super) struct Owners {
    client: Client,
    asking: JoinSet<Found>,
}

/// What was found of an object's owners.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) plot: PlotId,
    pub(super) question: OwnerQuestion,
    /// Whether all of them are gone; none if it could not be told.
    pub(super) are_gone: Option<bool>,
}

impl Owners {
    pub(super) fn new(client: Client) -> Self {
        Self { client, asking: JoinSet::new() }
    }

    /// Asks what is to be asked.
    pub(super) fn launch(&mut self, observed: &mut Observed) {
        while self.asking.len() < OWNER_QUESTIONS_IN_FLIGHT_MAX {
            let Some((plot, question)) = observed.take_owner_question() else { return };
            let client = self.client.clone();
            self.asking.spawn(async move {
                let are_gone = are_gone(&client, &question).await;
                Found { plot, question, are_gone }
            });
        }
    }

    /// The next answer; never, while nothing has been asked.
    pub(super) async fn next_found(&mut self) -> Option<Found> {
        loop {
            if self.asking.is_empty() {
                return pending().await;
            }
            match self.asking.join_next().await? {
                Ok(found) => return Some(found),
                Err(error) => tracing::error!(%error, "a question after owners broke; please report this"),
            }
        }
    }
}

/// Whether all owners of an object are gone; none if that cannot be told, such as for want of a right.
async fn are_gone(client: &Client, question: &OwnerQuestion) -> Option<bool> {
    for owner in &question.owners {
        match exists(client, &question.namespace, owner).await {
            Ok(true) => return Some(false),
            Ok(false) => {}
            Err(error) => {
                let (namespace, object) = (&question.namespace, &question.name);
                tracing::info!(%namespace, %object, owner = owner.name, error, "cannot tell whether an owner exists; the object stays");
                return None;
            }
        }
    }
    Some(!question.owners.is_empty())
}

async fn exists(client: &Client, namespace: &str, owner: &OwnerName) -> Result<bool, String> {
    let api_version =
        owner.api_version.parse().map_err(|error: units::InvalidApiVersion| error.to_string())?;
    let kind = GroupVersionKind { api_version, kind: owner.kind.clone() };
    let uid = owner.uid.to_string();
    is_there(client, &kind, namespace, (&owner.name, &uid)).await.map_err(|error: Unserved| error.to_string())
}
