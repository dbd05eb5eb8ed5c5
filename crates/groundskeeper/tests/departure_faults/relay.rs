//! One leader after the other dies while nodes leave: each at an event about a departure, or at a write of the lease.
//!
//! Events are sent one after the other, so that one that is held holds up those behind it: each is the only one that its
//! leader dies at. The lease is written by whoever begins to lead, goes on to, or ends.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use testbed::faults::{Calls, FaultProxy, Gate, Held};

use crate::bed::{Bed, Leaver, PODS, plant, remove, unbounded};
use crate::crashes::{Point, STANDING_WITHIN, Side, is_right, steps};
use crate::doer::Doer;
use crate::story::{Asked, lease_writes};
use crate::support::checks::{Found, within};
use crate::support::{holds, now};
use crate::yard::Yard;

/// All that is written to the lease. Somebody's first write replaces that of a leader who has died since.
const LEASE_WRITES: [&str; 4] =
    ["create leases taken", "update leases taken", "update leases renewed", "update leases released"];

/// Events that come later than this are told of a node that has settled; those before it, as soon as it is deleted.
const AT_ONCE: Duration = Duration::from_secs(4);

/// Before and after each of these events, and each write of the lease.
pub(crate) async fn one_after_the_other(bed: &Bed, doer: &Doer, events: &[Point]) -> Found {
    let yard = Yard::in_cluster(bed.cluster, "relay").await;
    let first = bed.leader(bed.plain().quick_lease()).await;
    yard.policy(json!({"steps": steps(doer), "concurrency": unbounded()})).await;
    let leavers = plant(&yard, events.len(), &PODS).await;
    let (early, late): (Vec<_>, Vec<_>) =
        leavers.iter().zip(events).partition(|(_, point)| point.offset < AT_ONCE);
    let begun = now();
    for (leaver, _) in &late {
        doer.detain(&leaver.run);
        remove(&yard, leaver).await;
    }
    first.kill();
    for (leaver, point) in early {
        let tells = async || {
            remove(&yard, leaver).await;
            Ok(())
        };
        dies_telling(bed, (leaver, point), tells).await?;
    }
    for words in LEASE_WRITES {
        for side in [Side::Before, Side::After] {
            dies_at_the_lease(bed, words, side).await?;
        }
    }
    for (leaver, point) in late {
        let tells = async || {
            within(STANDING_WITHIN, &format!("{} is detained", leaver.node), async || {
                holds(!doer.calls(&leaver.run).is_empty(), "no step is asked for")
            })
            .await?;
            doer.let_go(&leaver.run);
            Ok(())
        };
        dies_telling(bed, (leaver, point), tells).await?;
    }
    bed.free_lease();
    let last = bed.leader(bed.plain().quick_lease()).await;
    for (leaver, point) in leavers.iter().zip(events) {
        let ends = is_right(&yard, doer, leaver, begun).await;
        ends.map_err(|wrong| format!("killed {:?} {}: {wrong}", point.side, point.words))?;
    }
    let errors = last.errors();
    last.stop().await;
    holds(errors.is_empty(), format!("whoever came last complained: {errors:#?}"))?;
    let written: BTreeSet<_> = lease_writes(&yard, begun).into_iter().collect();
    let known = LEASE_WRITES.map(str::to_owned).into();
    holds(written == known, format!("nobody died at some of these: {written:?}"))
}

/// Whoever leads now dies at an event that `tells` brings about.
async fn dies_telling(
    bed: &Bed,
    (leaver, point): (&Leaver, &Point),
    tells: impl AsyncFnOnce() -> Found,
) -> Found {
    bed.free_lease();
    let (proxy, launch) = bed.rig().await;
    let gate = point.gate(&proxy, leaver);
    let leader = bed.leader(launch.quick_lease()).await;
    tells().await?;
    let held = standing(&gate, &point.words).await?;
    leader.kill();
    drop(held);
    Ok(())
}

/// Somebody dies at a write of the lease; what the last one has left of it lies there, unless it is to be created or is
/// not about taking it.
async fn dies_at_the_lease(bed: &Bed, words: &'static str, side: Side) -> Found {
    if words != "update leases taken" {
        bed.free_lease();
    }
    let (proxy, launch) = bed.rig().await;
    let gate = hold(&proxy, words, side);
    let leader = launch.quick_lease().start(bed.cluster).await;
    if words.ends_with("released") {
        leader.leads(bed.cluster).await;
        leader.process.terminate().map_err(|error| error.to_string())?;
    }
    let held = standing(&gate, words).await?;
    leader.kill();
    drop(held);
    Ok(())
}

fn hold(proxy: &FaultProxy, words: &'static str, side: Side) -> Gate {
    let gate = Gate::new();
    let calls = Calls::of("leases").that(move |call| Asked::on_its_way(call).words() == words);
    proxy.on(calls.nth(1), side.hold(&gate));
    gate
}

async fn standing(gate: &Gate, words: &str) -> Result<Held, String> {
    let held = tokio::time::timeout(STANDING_WITHIN, gate.arrived()).await;
    held.map_err(|_| format!("nobody comes to {words}"))
}
