//! What users see of node cleanup: conditions, events, metrics.
//!
//! Events tell of what is new in a record that has just been written, so that a restart tells nothing twice.

pub(super) mod conditions;
mod say;

use api::node_cleanup::{Blocker, NodeCleanupStatus};

pub(super) use say::{maintenance, say};

/// Whether two statuses differ in numbers alone: nobody decides anything on them.
pub(super) fn only_counts(before: &NodeCleanupStatus, after: &NodeCleanupStatus) -> bool {
    let bare = |status: &NodeCleanupStatus| {
        let mut status = status.clone();
        (status.pods_left, status.pods_total, status.volumes_left) = (0, 0, 0);
        status.blockers = status.blockers.iter().map(kind_of).collect();
        status.conditions.iter_mut().for_each(|condition| condition.message.clear());
        status
    };
    bare(before) == bare(after)
}

/// A blocker without what changes from one try to the next.
fn kind_of(blocker: &Blocker) -> Blocker {
    Blocker { reason: blocker.reason.clone(), ..Blocker::default() }
}
