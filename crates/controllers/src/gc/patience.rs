//! How long the loop stays with what may take long, before it turns to what else there is.

use std::sync::Arc;
use std::time::Duration;

use control::{Clock, Steady};

use super::limits::{JUDGING_TIME_MAX, JUDGING_TURN_MAX};

/// A span of the steady clock that ends some time.
#[derive(Debug)]
pub(super) struct Patience {
    clock: Arc<dyn Clock>,
    since: Steady,
    span: Duration,
}

impl Patience {
    /// What one round of the loop may take to judge objects anew.
    pub(super) fn of_a_round(clock: &Arc<dyn Clock>) -> Self {
        Self { clock: Arc::clone(clock), since: clock.steady(), span: JUDGING_TIME_MAX }
    }

    /// What one policy may take of it.
    pub(super) fn turn(&self) -> Self {
        Self { clock: Arc::clone(&self.clock), since: self.clock.steady(), span: JUDGING_TURN_MAX }
    }

    /// Whether it has not ended.
    pub(super) fn lasts(&self) -> bool {
        self.clock.steady().since(self.since) < self.span
    }
}
