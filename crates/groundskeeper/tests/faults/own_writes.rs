//! R10: what the operator itself has written does not come back for a while.

use std::time::Duration;

use testbed::faults::{Calls, EventType, Events, Fault};

use crate::bed::{Bed, ends_well, expect, soon};
use crate::support::audit;
use crate::support::drafts::{config_map, policy};
use crate::support::operator::Operator;
use crate::support::team::{Made, Team};

/// Changes of policies are held on their way to the operator, and only its own writes change them. Meanwhile the ground
/// moves, which gives it one reason after the other to look at the policy again.
pub(crate) async fn not_shown_yet(bed: &Bed) -> Result<(), String> {
    let team = Team::new(bed.cluster, "own-writes").await;
    let (proxy, launch) = bed.rig("own-writes").await;
    let changed = Events::of(EventType::Modified);
    let held = proxy.on(Calls::watches("garbagecollectionpolicies"), Fault::hold_events(changed));
    let operator = launch.start(bed.cluster).await;
    // What is not selected by a label is left out by the server, and gives no reason to look.
    let not_beside = serde_json::json!(["beside-*", "kube-root-ca.crt"]);
    let draft = policy("sweep").with("/spec/targetResource/excludeNames", not_beside).after(3600);
    let sweep = team.create(draft).await;
    soon("the first status is written", async || {
        expect(!statuses(&team, &sweep).is_empty(), || "nothing is written".to_owned())
    })
    .await?;

    // More often than a status is written at most, and nothing of it is to be said of the policy.
    for number in 0..4 {
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        team.create(config_map(&format!("beside-{number}"))).await;
    }
    nothing_twice(&team, &sweep)?;
    soon("it notices that the cache lags behind its writes", async || {
        let skips = stale_skips(&operator).await;
        expect(skips >= 1.0, || format!("{skips} skips"))
    })
    .await?;
    nothing_twice(&team, &sweep)?;

    held.lift();
    team.create(config_map("object").labelled("tmp=yes")).await;
    soon("it goes on once its words are back", async || {
        let policy = team.look_at(&sweep).await.unwrap_or_default();
        expect(policy["status"]["matched"] == 1, || policy["status"].to_string())
    })
    .await?;
    nothing_twice(&team, &sweep)?;
    ends_well(operator).await
}

/// The statuses that were written of a policy, in order, without their times.
fn statuses(team: &Team<'_>, sweep: &Made) -> Vec<serde_json::Value> {
    let of_it = |request: &audit::Request| {
        request.resource == "garbagecollectionpolicies/status" && request.name == sweep.name
    };
    let requests = audit::requests(team.cluster, &team.namespace);
    let mut statuses: Vec<_> =
        requests.into_iter().filter(of_it).map(|request| request.body["status"].clone()).collect();
    for condition in statuses.iter_mut().filter_map(|status| status["conditions"].as_array_mut()).flatten() {
        // Whoever has not seen its last words takes the moment for that of the change.
        condition["lastTransitionTime"].take();
    }
    statuses
}

/// No status is written that is there already, and no event tells what has been told.
fn nothing_twice(team: &Team<'_>, sweep: &Made) -> Result<(), String> {
    let written = statuses(team, sweep);
    let is_twice = written.windows(2).any(|pair| pair[0] == pair[1]);
    expect(!is_twice, || format!("a status was written twice: {written:#?}"))?;
    let requests = audit::requests(team.cluster, &team.namespace);
    let collecting =
        |request: &&audit::Request| request.resource == "events" && request.body["reason"] == "Collecting";
    let told = requests.iter().filter(collecting).count();
    expect(told <= 1, || format!("it was told {told} times that the policy collects"))
}

async fn stale_skips(operator: &Operator) -> f64 {
    let labels = [r#"controller="garbagecollectionpolicy""#];
    operator.metric(STALE_SKIPS, &labels).await.unwrap_or_default()
}

const STALE_SKIPS: &str = "stale_sync_skips_total";
