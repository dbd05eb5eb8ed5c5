//! What policies make of an object now: what `explain` says of it.

use api::Rails;
use control::{Clock as _, SystemClock};
use gc::Item;
use jiff::Timestamp;
use serde::Serialize;

use super::Args;
use super::departures::{self, Departure};
use crate::explain;
use crate::plan::input::Input;
use crate::scene::{Detail, Question};

/// What policies make of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Live {
    pub(super) at: Timestamp,
    /// Policies that look at its kind in its namespace.
    pub(super) policies: usize,
    /// What each of them makes of it; none if there is no such object.
    pub(super) verdicts: Vec<Item>,
    /// Policies that cannot be judged by, and why.
    pub(super) unusable: Vec<String>,
}

/// Asks the cluster for the policies and the object, and how nodes of its name left.
pub(super) async fn judge(args: &Args) -> anyhow::Result<(Live, Vec<Departure>)> {
    let mut cluster = args.connection.cluster().await?;
    let (now, rails) = (SystemClock.now(), Rails::new(&*args.own_namespace));
    let focus = Some(args.namespace.clone());
    let question = Question { at: now, now, detail: Detail::All, alone: false, focus };
    let told = explain::live(&mut cluster, &args.object, (Input::default(), &rails), question).await?;
    let departures = departures::of(args, &mut cluster).await?;
    let live =
        Live { at: told.at, policies: told.policies, verdicts: told.verdicts, unusable: told.unusable };
    Ok((live, departures))
}
