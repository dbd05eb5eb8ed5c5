//! R17: the operator is asked to stop while a request of its own is under way.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::api::ListParams;
use testbed::faults::{Calls, Fault, FaultProxy, Gate, Verb};

use crate::bed::{Bed, arrives, ask_to_stop, ends_well, expect, soon};
use crate::records::Records;
use crate::support::audit::Request;
use crate::support::drafts::{config_map, policy};
use crate::support::operator::Operator;
use crate::support::scenery::Guards;
use crate::support::team::{Made, Team};

/// How long a request stays under way after the operator has heard that it is to stop.
const UNDER_WAY: Duration = Duration::from_millis(700);

/// In words; which request; and where it is held.
type Point = (&'static str, Calls, fn(&Gate) -> Fault);

/// A deletion, a status and an event, each before and after the server has seen it.
pub(crate) async fn at_every_point(bed: &Bed) -> Result<(), String> {
    let deletion = || Calls::of("configmaps").verb(Verb::Delete).named("object").nth(1);
    let status = || Calls::of("garbagecollectionpolicies/status").verb(Verb::Patch).nth(1);
    let telling = || {
        let of_policy = |call: &testbed::faults::Call| call.body()["reason"] == "Collecting";
        Calls::of("events").verb(Verb::Create).that(of_policy).nth(1)
    };
    let points: [Point; 6] = [
        ("a deletion that has not arrived", deletion(), Fault::hold_before),
        ("a deletion that is not answered", deletion(), Fault::hold_after),
        ("a status that has not arrived", status(), Fault::hold_before),
        ("a status that is not answered", status(), Fault::hold_after),
        ("an event that has not arrived", telling(), Fault::hold_before),
        ("an event that is not answered", telling(), Fault::hold_after),
    ];
    // What limits deletions limits nothing else.
    let count = if bed.scenery.is_guarded() { 2 } else { points.len() };
    for (number, (words, calls, fault)) in points.into_iter().take(count).enumerate() {
        bed.clear().await;
        stop_at(bed, number, calls, fault).await.map_err(|wrong| format!("{words}: {wrong}"))?;
    }
    Ok(())
}

async fn stop_at(bed: &Bed, number: usize, calls: Calls, fault: fn(&Gate) -> Fault) -> Result<(), String> {
    let team = Team::new(bed.cluster, "stop").await;
    let (proxy, launch) = bed.rig(&format!("stopped-{number}")).await;
    let gate = Gate::new();
    proxy.on(calls, fault(&gate));
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    let sweep = team.create(bed.scenery.policy(policy("sweep").labelled("tmp=yes").after(1))).await;
    let guards = bed.scenery.set(&team).await;
    team.wait_until(object.due(1)).await;
    let name = launch.name.clone();
    let operator = launch.start(bed.cluster).await;
    let held = arrives("the request is under way", gate.arrived()).await?;

    ask_to_stop(&operator);
    hears_it(&operator).await?;
    tokio::time::sleep(UNDER_WAY).await;
    let holder = bed.holder().await.unwrap_or_default();
    expect(holder.starts_with(&name), || {
        format!("the lease is held by {holder:?} while the request is under way")
    })?;
    held.release();
    ends_well(operator).await?;

    releases_last(bed, &proxy).await?;
    if let Some(guards) = guards {
        guards.stand(&team).await?;
    }
    all_is_told(bed, &team, &sweep, &name).await
}

async fn hears_it(operator: &Operator) -> Result<(), String> {
    soon("it stops", async || {
        let stops = operator.log().iter().any(|line| line["message"] == "stopping");
        expect(stops, || "it does not".to_owned())
    })
    .await
}

/// The lease is given back, and nothing is written after that.
async fn releases_last(bed: &Bed, proxy: &FaultProxy) -> Result<(), String> {
    let holder = bed.holder().await;
    expect(holder.as_deref() == Some(""), || format!("the lease is left to {holder:?}"))?;
    let trace = proxy.trace();
    let last = trace.writes().last();
    expect(last.is_some_and(|write| write.resource == "leases"), || {
        format!("the last write is {last:?}, not the release of the lease")
    })
}

/// What was done is in the ledger, in the status and in an event.
async fn all_is_told(bed: &Bed, team: &Team<'_>, sweep: &Made, name: &str) -> Result<(), String> {
    let accepted = team.deletions().into_iter().filter(Request::accepted);
    let accepted: BTreeSet<_> = accepted.map(|deletion| deletion.name).collect();
    let records = Records::verified(bed.cluster, name)?;
    records.are_settled()?;
    expect(records.deleted() == accepted, || {
        format!("the ledger tells of {:?}, the server deleted {accepted:?}", records.deleted())
    })?;
    expect(records.end_with("Stop"), || "the ledger was not closed".to_owned())?;
    let accepted: BTreeSet<_> = accepted.into_iter().filter(|name| !Guards::is_among(name)).collect();
    let policy = team.look_at(sweep).await.unwrap_or_default();
    expect(policy["status"]["deleted"] == accepted.len(), || {
        format!("{accepted:?} were deleted, the status says {}", policy["status"])
    })?;
    let events = team.api("events.k8s.io/v1", "Event").list(&ListParams::default()).await.unwrap();
    let of_it = |event: &&kube::api::DynamicObject| {
        event.data["reason"] == "Deleted" && event.data["regarding"]["uid"] == sweep.uid.as_str()
    };
    let told = events.items.iter().filter(of_it).count();
    expect(told == accepted.len(), || format!("{told} events tell of {accepted:?}"))
}
