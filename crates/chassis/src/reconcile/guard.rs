//! One key, once through the four methods, whatever happens on the way.
//!
//! Every step is polled under the fence: once the epoch is no longer valid, not one line of the controller runs any more,
//! also if the process was stopped in between and did not notice the time.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::poll_fn;
use jiff::Timestamp;

use super::{Controller, Report};
use crate::error::{Class, Classify as _};
use crate::lease::Epoch;

/// How one reconciliation ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It is done.
    Done(Report),
    /// What the key names is gone.
    Gone,
    /// It failed, with this class.
    Failed(Class, String),
    /// It took longer than it may.
    TimedOut,
    /// It panicked.
    Panicked,
    /// The epoch ended in the middle of it.
    Fenced,
}

/// Takes a key once through the four methods.
pub(super) async fn reconcile<C: Controller>(
    controller: &C,
    key: &C::Key,
    epoch: &Epoch,
    now: Timestamp,
    deadline: Duration,
) -> Ended {
    let steps = AssertUnwindSafe(four_steps(controller, key, epoch, now)).catch_unwind();
    let bounded = tokio::time::timeout(deadline, steps);
    match fenced(epoch, bounded).await {
        None => Ended::Fenced,
        Some(Err(_)) => Ended::TimedOut,
        Some(Ok(Err(_))) => Ended::Panicked,
        Some(Ok(Ok(Ok(Some(report))))) => Ended::Done(report),
        Some(Ok(Ok(Ok(None)))) => Ended::Gone,
        Some(Ok(Ok(Err(error)))) => Ended::Failed(error.class(), error.to_string()),
    }
}

async fn four_steps<C: Controller>(
    controller: &C,
    key: &C::Key,
    epoch: &Epoch,
    now: Timestamp,
) -> Result<Option<Report>, C::Error> {
    let Some(snapshot) = controller.observe(key).await? else { return Ok(None) };
    let plan = C::decide(&snapshot, now);
    let outcome = controller.apply(key, &plan, epoch).await;
    controller.report(key, plan, outcome).await.map(Some)
}

/// Polls a future only while an epoch is valid; none once it is not.
pub(crate) async fn fenced<F: Future>(epoch: &Epoch, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut ended = pin!(epoch.ended());
    poll_fn(|context| {
        if !epoch.is_valid() || ended.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        future.as_mut().poll(context).map(Some)
    })
    .await
}
