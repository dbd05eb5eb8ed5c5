//! The leader is killed at any write that a departure takes, before the server has it or after, and somebody else goes on.
//!
//! The writes are those of a run that nothing disturbed. Many departures share one crash: each is stopped at another
//! write, and when all of them have been, the leader dies. At events leaders die [one after the other](crate::relay).

use std::sync::Arc;
use std::time::Duration;

use control::Mutant;
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use testbed::faults::{Calls, Fault, FaultProxy, Gate, Held};

use crate::bed::{Bed, Leaver, PODS, plant, remove, unbounded};
use crate::doer::Doer;
use crate::relay::one_after_the_other;
use crate::story::{Asked, is_completed, is_done_in_order, is_emptied_once, writes};
use crate::support::checks::Found;
use crate::support::{holds, now};
use crate::yard::Yard;

/// What every node here goes through, in this order.
const STEPS: [&str; 2] = ["forget", "tell"];

/// Departures that share one crash: fewer than are worked on at one time, for each holds a turn.
const AT_ONCE: usize = 12;

/// How long it may take until every departure of a round stands at its write.
pub(crate) const STANDING_WITHIN: Duration = Duration::from_secs(20);

/// A write of a departure.
#[derive(Clone)]
pub(crate) struct Point {
    pub(crate) words: String,
    is: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    pub(crate) side: Side,
    /// How long after the deletion it comes.
    pub(crate) offset: Duration,
}

impl Point {
    /// A gate at which the next such write for this departure stands.
    pub(crate) fn gate(&self, proxy: &FaultProxy, leaver: &Leaver) -> Gate {
        let gate = Gate::new();
        let (of, is) = (leaver.clone(), Arc::clone(&self.is));
        let calls = Calls::writes().that(move |call| {
            let asked = Asked::on_its_way(call);
            asked.is_for(&of) && is(&asked.words())
        });
        proxy.on(calls.nth(1), self.side.hold(&gate));
        gate
    }
}

/// Where the leader is when it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The server never sees the write.
    Before,
    /// The server has done it, and the leader never hears of it.
    After,
}

impl Side {
    /// What stops a write there.
    pub(crate) fn hold(self, gate: &Gate) -> Fault {
        match self {
            Self::Before => Fault::hold_before(gate),
            Self::After => Fault::hold_after(gate),
        }
    }
}

/// Who comes after the leader.
#[derive(Clone, Copy)]
enum Heir {
    /// A replica that has watched all the time.
    Standby,
    /// The leader itself, started again.
    Itself,
}

/// All writes of a departure, before and after each.
pub(crate) async fn at_every_write(mutant: Option<Mutant>) -> Found {
    let bed = Bed::turn(mutant).await;
    let doer = Doer::start().await;
    let points = undisturbed(&bed, &doer).await?;
    println!("{} writes", points.len());
    let sides = |side| points.iter().map(move |point| Point { side, ..point.clone() });
    let sides = sides(Side::Before).chain(sides(Side::After));
    let (events, others): (Vec<_>, Vec<_>) = sides.partition(|point| point.words.contains(" events "));
    for (number, round) in others.chunks(AT_ONCE).enumerate() {
        let heir = if number % 2 == 0 { Heir::Standby } else { Heir::Itself };
        play(&bed, &doer, &format!("crash{number}"), (round, heir)).await?;
    }
    one_after_the_other(&bed, &doer, &events).await
}

/// The write that says what came of one step, before the next one begins.
pub(crate) async fn between_two_steps(mutant: Option<Mutant>) -> Found {
    let bed = Bed::turn(mutant).await;
    let doer = Doer::start().await;
    let is = |words: &str| words.contains("forget Done") && words.contains("tell Running");
    let words = "the result of a step".to_owned();
    let point = Point { words, is: Arc::new(is), side: Side::Before, offset: Duration::ZERO };
    let name = mutant.map_or("steps", |_| "unrecorded");
    play(&bed, &doer, name, (&[point], Heir::Itself)).await
}

/// Lets a node leave, and says what was written for it.
async fn undisturbed(bed: &Bed, doer: &Doer) -> Result<Vec<Point>, String> {
    let yard = Yard::in_cluster(bed.cluster, "undisturbed").await;
    let leader = bed.leader(bed.plain()).await;
    yard.policy(json!({"steps": steps(doer), "concurrency": unbounded()})).await;
    let leavers = plant(&yard, 1, &PODS).await;
    let leaver = &leavers[0];
    let begun = now();
    remove(&yard, leaver).await;
    is_right(&yard, doer, leaver, begun).await?;
    leader.stop().await;
    let mut points: Vec<Point> = Vec::new();
    for write in writes(&yard, begun) {
        let asked = Asked::answered(&write);
        let words = asked.words();
        if asked.is_for(leaver) && points.iter().all(|known| known.words != words) {
            let offset = Duration::try_from(write.at.duration_since(begun)).unwrap_or_default();
            let same = words.clone();
            let is = Arc::new(move |given: &str| given == same);
            points.push(Point { words, is, side: Side::Before, offset });
        }
    }
    Ok(points)
}

pub(crate) fn steps(doer: &Doer) -> serde_json::Value {
    let mut tell = doer.step(STEPS[1], 0);
    tell["dependsOn"] = json!([STEPS[0]]);
    json!([doer.step(STEPS[0], 1), tell])
}

/// Lets a node leave for each point, kills the leader when each stands there, and looks how all of them end.
async fn play(bed: &Bed, doer: &Doer, name: &str, (points, heir): (&[Point], Heir)) -> Found {
    let yard = Yard::in_cluster(bed.cluster, name).await;
    let (proxy, launch) = bed.rig().await;
    let launch = launch.named(&format!("operator-{name}")).quick_lease();
    let leader = bed.leader(launch.clone()).await;
    let standby = match heir {
        Heir::Standby => Some(bed.plain().quick_lease().start(bed.cluster).await),
        Heir::Itself => None,
    };
    yard.policy(json!({"steps": steps(doer), "concurrency": unbounded()})).await;
    let leavers = plant(&yard, points.len(), &PODS).await;
    let begun = now();
    let held = stop_at(&yard, &proxy, &leavers, points).await?;
    // What is asked beside the write that is held is on its way by now.
    tokio::time::sleep(Duration::from_millis(300)).await;
    leader.kill();
    drop(held);
    proxy.lift_all();
    bed.free_lease();
    let heir = match standby {
        Some(standby) => standby,
        None => launch.start(bed.cluster).await,
    };
    for (leaver, point) in leavers.iter().zip(points) {
        let ends = is_right(&yard, doer, leaver, begun).await;
        ends.map_err(|wrong| format!("killed {:?} {}: {wrong}", point.side, point.words))?;
    }
    let errors = heir.errors();
    heir.stop().await;
    holds(errors.is_empty(), format!("whoever took over complained: {errors:#?}"))
}

/// Deletes the nodes so that each comes to its write at about the same time, and waits until all stand there.
async fn stop_at(
    yard: &Yard,
    proxy: &FaultProxy,
    leavers: &[Leaver],
    points: &[Point],
) -> Result<Vec<Held>, String> {
    let latest = points.iter().map(|point| point.offset).max().unwrap_or_default();
    let standing = leavers.iter().zip(points).map(async |(leaver, point)| {
        let gate = point.gate(proxy, leaver);
        tokio::time::sleep(latest.saturating_sub(point.offset)).await;
        remove(yard, leaver).await;
        let held = tokio::time::timeout(STANDING_WITHIN, gate.arrived()).await;
        held.map_err(|_| format!("{} does not come to {}", leaver.node, point.words))
    });
    join_all(standing).await.into_iter().collect()
}

/// A departure has ended as it should, and everything was done once, in its order.
pub(crate) async fn is_right(yard: &Yard, doer: &Doer, leaver: &Leaver, since: Timestamp) -> Found {
    is_completed(yard, leaver).await?;
    let writes = writes(yard, since);
    is_emptied_once(leaver, &writes)?;
    is_done_in_order(doer, leaver, &STEPS, &writes)
}
