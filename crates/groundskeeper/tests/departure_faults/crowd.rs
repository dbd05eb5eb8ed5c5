//! Many nodes are deleted at once, and the leader of three replicas dies in the middle.

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bed::{Bed, Leaver, plant, remove};
use crate::doer::Doer;
use crate::story::{Asked, evictions, is_completed, is_done_in_order, uid, writes};
use crate::support::audit::Request;
use crate::support::checks::{Found, within};
use crate::support::holds;
use crate::support::now;
use crate::support::operator::{Launch, Operator};
use crate::yard::Yard;

const NODES: usize = 30;

/// How many may leave at one time.
const AT_ONCE: usize = 8;

/// Events about one node: the bucket of client-go, which ours is.
const EVENTS_MAX: usize = 25;

/// How long it may take until a third of them have gone.
const UNDER_WAY_WITHIN: Duration = Duration::from_mins(1);

/// All of them leave, never more at a time than may, and each step of each is done once.
pub(crate) async fn thirty_nodes() -> Found {
    let bed = Bed::turn(None).await;
    let doer = Doer::start().await;
    let yard = Yard::in_cluster(bed.cluster, "crowd").await;
    let leader = bed.leader(quick(&bed)).await;
    let heirs = join_all([quick(&bed), quick(&bed)].map(|launch| launch.start(bed.cluster))).await;
    let concurrency = json!({"max": AT_ONCE, "stormBrakePercent": 100});
    yard.policy(json!({"steps": [doer.step("tell", 0)], "concurrency": concurrency})).await;
    let leavers = plant(&yard, NODES, &["one"]).await;

    let begun = now();
    join_all(leavers.iter().map(async |leaver| remove(&yard, leaver).await)).await;
    within(UNDER_WAY_WITHIN, "a third of them have gone", async || {
        let over = phases(&yard, &leavers).await.iter().filter(|phase| **phase == "Completed").count();
        holds(over >= NODES / 3, format!("{over} have"))
    })
    .await?;
    leader.kill();

    for leaver in &leavers {
        is_completed(&yard, leaver).await?;
    }
    let writes = writes(&yard, begun);
    for leaver in &leavers {
        is_done_in_order(&doer, leaver, &["tell"], &writes)?;
        is_evicted_once(leaver, &writes)?;
        let events =
            writes.iter().filter(|write| write.resource == "events" && Asked::answered(write).is_for(leaver));
        holds(events.count() <= EVENTS_MAX, format!("{}: too many events", leaver.node))?;
    }
    let most = most_at_once(&leavers, &writes);
    println!("{most} of {NODES} left at one time at most, {} writes", writes.len());
    holds(most <= AT_ONCE, format!("{most} left at one time"))?;
    for heir in heirs {
        is_well(heir).await?;
    }
    Ok(())
}

fn quick(bed: &Bed) -> Launch {
    bed.plain().quick_lease()
}

async fn is_well(operator: Operator) -> Found {
    let errors = operator.errors();
    operator.stop().await;
    holds(errors.is_empty(), format!("it complained: {errors:#?}"))
}

async fn phases(yard: &Yard, leavers: &[Leaver]) -> Vec<String> {
    let phase = |record: Option<Value>| {
        record.map_or_else(String::new, |record| {
            record["status"]["phase"].as_str().unwrap_or_default().to_owned()
        })
    };
    join_all(leavers.iter().map(async |leaver| phase(yard.record(&leaver.run).await))).await
}

fn is_evicted_once(leaver: &Leaver, writes: &[Request]) -> Found {
    let asked = evictions(leaver, writes);
    let accepted = asked.iter().filter(|eviction| eviction.code == 201).count();
    // Whoever asked may have been killed before the server answered.
    let is_once = accepted == 1 || (accepted == 0 && asked.iter().any(|eviction| eviction.has_failed()));
    let answers: Vec<_> = asked.iter().map(|eviction| (uid(eviction), eviction.code)).collect();
    holds(is_once, format!("{}: evicted: {answers:?}", leaver.node))
}

/// How many were leaving at one time at most: from the first word of it in the record until the finalizer was off.
pub(crate) fn most_at_once(leavers: &[Leaver], writes: &[Request]) -> usize {
    let mut moments: Vec<(Timestamp, isize)> = Vec::new();
    for leaver in leavers {
        let of_it = || writes.iter().filter(|write| Asked::answered(write).is_for(leaver));
        let begins = of_it().find(|write| {
            let words = Asked::answered(write).words();
            write.code < 300 && words.contains("nodecleanups/status") && !words.contains("status Waiting")
        });
        let releases =
            || of_it().filter(|write| Asked::answered(write).words().contains("nodes /metadata/finalizers"));
        // Whoever wrote it may have been killed before the server answered.
        let ends = releases().find(|write| write.code < 300);
        let ends = ends.or_else(|| releases().find(|write| write.has_failed()));
        moments.extend(begins.map(|write| (write.at, 1)));
        moments.extend(ends.map(|write| (write.at, -1)));
    }
    moments.sort_unstable();
    let mut leaving = 0;
    let counts = moments.iter().map(|(_, change)| {
        leaving += change;
        leaving
    });
    counts.max().unwrap_or_default().try_into().unwrap_or_default()
}
