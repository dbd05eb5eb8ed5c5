//! Several replicas and one lease: who acts, for how long, and who comes after.
//!
//! The numbers are those of `docs/reliability.md`. Each check with a number is run twice: as it is, and without the safety
//! that it is about, with which it has to fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests take their time, and say how long"
)]

mod support;

use std::time::Duration;

use control::{CLOCK_OFFSET_VARIABLE, CLOCK_RATE_VARIABLE, Mutant};
use jiff::Timestamp;
use serde_json::json;
use testbed::ControlPlane;
use testbed::faults::{Calls, Fault, Gate, Verb};

use support::checks::{Found, Replica, is_caught, turn, within};
use support::drafts::{config_map, policy};
use support::operator::Launch;
use support::team::{Made, Team};
use support::{audit, eventually, holds, now};

const OWN_NAMESPACE: &str = "groundskeeper-system";

/// How long what comes by itself may take here.
const SOON: Duration = Duration::from_secs(25);

/// One write of the lease that the server took.
#[derive(Debug)]
struct Held {
    at: Timestamp,
    /// Empty once it is released.
    holder: String,
    epoch: u64,
}

/// The lease's story since then: each write that the server took.
fn story(cluster: &ControlPlane, since: Timestamp) -> Vec<Held> {
    audit::requests(cluster, OWN_NAMESPACE)
        .into_iter()
        .filter(|request| request.resource == "leases" && matches!(request.code, 200 | 201))
        .filter(|request| matches!(request.verb.as_str(), "create" | "update") && request.at >= since)
        .map(|request| Held {
            at: request.at,
            holder: request.body["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned(),
            epoch: request.body["spec"]["leaseTransitions"].as_u64().unwrap_or_default(),
        })
        .collect()
}

/// When a replica got the lease, after that moment.
fn taken(cluster: &ControlPlane, by: &Replica, since: Timestamp) -> Option<Timestamp> {
    let is_theirs = |held: &Held| held.holder.starts_with(&format!("{}_", by.operator.name));
    story(cluster, since).into_iter().find(is_theirs).map(|held| held.at)
}

/// Each epoch has one holder, and their numbers only grow.
fn epochs_are_in_order(cluster: &ControlPlane, since: Timestamp) -> Found {
    let story = story(cluster, since);
    for pair in story.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        let same = before.holder == after.holder || after.holder.is_empty();
        let is_in_order = if same { before.epoch == after.epoch } else { before.epoch < after.epoch };
        holds(is_in_order, format!("{before:?} {after:?}"))?;
    }
    Ok(())
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// Waits until so many of a team's objects are gone.
async fn some_are_gone(team: &Team<'_>, total: usize, gone: usize) {
    eventually(team.cluster, "some are gone", async || {
        let left = team.count("v1", "ConfigMap", "tmp=yes").await;
        holds(left + gone <= total, left)
    })
    .await;
}

/// A policy whose objects are all due, and wait until it is set free.
async fn burst(team: &Team<'_>, count: usize, rate: u32) -> (Made, Vec<Made>) {
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1).at_rate(rate).paused()).await;
    let objects = team.create_many(count, &config_map("object").labelled("tmp=yes")).await;
    team.wait_until(objects[count - 1].due(1)).await;
    (sweep, objects)
}

async fn set_free(team: &Team<'_>, sweep: &Made) {
    team.edit(sweep, serde_json::json!({"spec": {"paused": false}})).await;
}

/// Lets what is left go quickly.
async fn hurry(team: &Team<'_>, sweep: &Made) {
    team.edit(sweep, serde_json::json!({"spec": {"behavior": {"maxDeletionsPerSecond": 100}}})).await;
}

// R14: the leader is paused for longer than its lease.

/// A leader that comes to itself after its lease does nothing more, and can lead again later.
async fn paused_leader(mutant: Option<Mutant>) -> Found {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "paused").await;
    let begun = now();
    let first = Replica::leader(cluster, mutant, Launch::quick_lease).await;
    let second = Replica::start(cluster, mutant, Launch::quick_lease).await;
    let (sweep, objects) = burst(&team, 200, 10).await;

    // It is stopped while one of its deletions is on its way, which arrives only when it has lost its lease.
    let gate = Gate::new();
    first.proxy.on(Calls::to(Verb::Delete).nth(10), Fault::hold_before(&gate));
    set_free(&team, &sweep).await;
    let held = tokio::time::timeout(SOON, gate.arrived()).await.map_err(|_| "it deletes nothing")?;
    first.operator.process.pause().unwrap();
    let paused = now();
    let what = "the other one takes over";
    within(SOON, what, async || taken(cluster, &second, paused).ok_or_else(String::new)).await?;
    within(SOON, "the other one deletes", async || {
        let acts = second.acts().len();
        holds(acts >= 10, acts)
    })
    .await?;
    let (before, on_its_way) = (first.acts().len(), held.call().name().to_owned());
    held.release();
    first.operator.process.resume().unwrap();
    hurry(&team, &sweep).await;

    team.all_go_once(&objects, 1, SOON).await?;
    let mut late = first.acts().split_off(before);
    // What was on its way arrives; the server has the last word on it.
    late.retain(|write| write.name != on_its_way || write.code == Some(200));
    holds(late.is_empty(), format!("it went on after its lease: {late:#?}"))?;
    holds(!first.operator.is_leader().await, "it takes itself for the leader")?;

    // It is a standby again, and leads when its turn comes.
    second.operator.stop().await;
    within(SOON, "it leads again", async || holds(first.operator.is_leader().await, "it does not")).await?;
    epochs_are_in_order(cluster, begun)
}

#[tokio::test]
async fn r14_a_leader_that_was_paused_does_nothing_more() {
    paused_leader(None).await.unwrap();
}

#[tokio::test]
async fn r14_a_leader_that_was_paused_does_nothing_more_is_caught() {
    is_caught(Mutant::NoEpochCheck, paused_leader).await;
}

// R15: the replicas' clocks disagree.

/// By half again as much as the renew deadline, so that a clock may run that much faster than another.
fn longer_lease(launch: Launch) -> Launch {
    launch.flag("--lease-duration=6s").flag("--lease-renew-deadline=4s").flag("--lease-retry-period=1s")
}

/// Whatever a standby's clock shows, it leaves the lease to whoever renews it; and it never acts beside the holder.
async fn foreign_clocks(mutant: Option<Mutant>, offset: &str, rate: &str) -> Found {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "clocks").await;
    let begun = now();
    let first = Replica::leader(cluster, mutant, longer_lease).await;
    let second = Replica::start(cluster, mutant, |launch| {
        longer_lease(launch).env(CLOCK_OFFSET_VARIABLE, offset).env(CLOCK_RATE_VARIABLE, rate)
    })
    .await;
    let (sweep, objects) = burst(&team, 200, 10).await;
    set_free(&team, &sweep).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    let others: Vec<_> = story(cluster, begun)
        .into_iter()
        .filter(|held| !held.holder.starts_with(&first.operator.name))
        .collect();
    holds(others.is_empty(), format!("it took a lease that was being renewed: {others:?}"))?;
    holds(second.acts().is_empty(), format!("{:?}", second.acts()))?;

    // The holder is cut off from its lease, and from nothing else. It stops before the other one begins.
    let cut = now();
    first.proxy.on(Calls::of("leases"), Fault::cut_before());
    let at = within(SOON, "the other one takes over", async || {
        taken(cluster, &second, cut).ok_or_else(String::new)
    })
    .await?;
    let acts = first.acts().len();
    println!("clock {offset} s, {rate} %: taken over after {:.1} s", seconds(cut, at));
    tokio::time::sleep(Duration::from_secs(3)).await;
    holds(first.acts().len() == acts, "both acted")?;
    if !offset.starts_with('-') {
        // By a clock that is behind, they are not due for a while.
        hurry(&team, &sweep).await;
        team.all_go_once(&objects, 1, SOON).await?;
    }
    let transitions =
        story(cluster, begun).windows(2).filter(|pair| pair[0].holder != pair[1].holder).count();
    holds(transitions == 1, format!("{transitions} transitions"))?;
    epochs_are_in_order(cluster, begun)
}

#[tokio::test]
async fn r15_a_clock_that_is_ahead_and_fast_steals_no_lease() {
    foreign_clocks(None, "300", "140").await.unwrap();
}

#[tokio::test]
async fn r15_a_clock_that_is_behind_and_slow_steals_no_lease() {
    foreign_clocks(None, "-300", "71").await.unwrap();
}

#[tokio::test]
async fn r15_a_clock_that_is_ahead_and_fast_steals_no_lease_is_caught() {
    let check = async |mutant| Box::pin(foreign_clocks(mutant, "300", "140")).await;
    is_caught(Mutant::ForeignClockBelieved, check).await;
}

// What a successor knows.

/// A successor whose watch has stopped before anything was spent spends nothing more of a budget than is left.
#[tokio::test]
async fn a_successor_with_late_news_keeps_to_what_is_left_of_a_budget() {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "inherited").await;
    let first = Replica::leader(cluster, None, Launch::quick_lease).await;
    let bounded = policy("bounded").labelled("tmp=yes").after(1).at_rate(50);
    let bounded = team.create(bounded.with("/spec/budget", json!({"count": 3, "window": "1h"}))).await;
    let other = team.create(policy("other").labelled("other=yes").after(1)).await;
    team.collecting(&bounded).await;
    team.collecting(&other).await;
    let second = Replica::start(cluster, None, Launch::quick_lease).await;
    let policies = || Calls::of("garbagecollectionpolicies");
    let late = second.proxy.on(policies().verb(Verb::Watch), Fault::freeze_watch());
    let objects = team.create_many(5, &config_map("object").labelled("tmp=yes")).await;
    some_are_gone(&team, objects.len(), 3).await;
    team.policy_is(&bounded, "three are written down", |policy| policy["status"]["budget"]["used"] == 3)
        .await;

    let (asked, asked_again) = (Gate::new(), Gate::new());
    second.proxy.on(policies().verb(Verb::List).nth(1), Fault::hold_after(&asked));
    second.proxy.on(policies().verb(Verb::List).nth(2), Fault::hold_before(&asked_again));
    assert!(first.operator.stop().await.success());
    for gate in [&asked, &asked_again] {
        let held = tokio::time::timeout(SOON, gate.arrived()).await.expect("the server is not asked");
        assert!(second.acts().is_empty(), "{:?}", second.acts());
        held.release();
    }
    late.lift();

    let free = team.create(config_map("free").labelled("other=yes")).await;
    team.gone(&free).await;
    assert_eq!(team.count("v1", "ConfigMap", "tmp=yes").await, 2);
    team.policy_is(&bounded, "it says so", |policy| policy["status"]["budget"]["used"] == 3).await;
}

// Failover and hand-over.

/// What others can see of a leader: its metrics, and an event on the lease.
async fn is_visible(cluster: &ControlPlane, leader: &Replica, standbys: &[Replica]) -> Found {
    for standby in standbys {
        holds(!standby.operator.is_leader().await, format!("{} leads, too", standby.operator.name))?;
        holds(standby.operator.readiness().await.0 == 200, "a standby is not ready")?;
        let acts = standby.acts();
        holds(acts.is_empty(), format!("a standby acts: {acts:?}"))?;
        within(SOON, "a standby's cache is warm", async || {
            let objects = standby.operator.counted("groundskeeper_gc_tracked_objects", &[]).await;
            holds(objects > 0.0, objects)
        })
        .await?;
    }
    let transitions = leader.operator.counted("groundskeeper_leader_transitions_total", &[]).await;
    holds(transitions >= 1.0, "no metric tells of the transition")?;
    let own = Team::in_namespace(cluster, OWN_NAMESPACE);
    within(SOON, "an event on the lease tells of it", async || {
        let events = own.api("events.k8s.io/v1", "Event").list(&kube::api::ListParams::default()).await;
        let events = serde_json::to_value(events.unwrap().items).unwrap();
        let told = events.as_array().unwrap().iter().any(|event| {
            event["regarding"]["kind"] == "Lease"
                && event["reason"] == "LeaderElection"
                && event["note"].as_str().is_some_and(|note| {
                    note.starts_with(&leader.operator.name) && note.contains("became leader")
                })
        });
        holds(told, &events)
    })
    .await
}

/// The one of these that leads, as soon as one does; the rest stay.
async fn successor(replicas: &mut Vec<Replica>) -> Result<Replica, String> {
    let position = within(SOON, "another one leads", async || {
        for (position, replica) in replicas.iter().enumerate() {
            if replica.operator.is_leader().await {
                return Ok(position);
            }
        }
        Err(String::new())
    });
    let position = position.await?;
    Ok(replicas.remove(position))
}

/// So many replicas, of which the leader is killed in the middle of a burst, and its successor asked to stop.
async fn succession(count: usize) -> Found {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "succession").await;
    let begun = now();
    let leader = Replica::leader(cluster, None, Launch::quick_lease).await;
    let mut standbys = Vec::new();
    for _ in 1..count {
        standbys.push(Replica::start(cluster, None, Launch::quick_lease).await);
    }
    let (sweep, objects) = burst(&team, 300, 20).await;
    is_visible(cluster, &leader, &standbys).await?;
    set_free(&team, &sweep).await;

    some_are_gone(&team, 300, 40).await;
    let killed = now();
    leader.operator.kill();
    let leader = successor(&mut standbys).await?;
    let at = taken(cluster, &leader, killed).ok_or("nobody wrote the lease")?;
    let takeover = seconds(killed, at);
    println!("{count} replicas: taken over {takeover:.2} s after SIGKILL");
    holds(takeover < 8.0, format!("{takeover} s"))?;

    // With two, the one that was killed is started anew, as the cluster does.
    if standbys.is_empty() {
        standbys.push(Replica::start(cluster, None, Launch::quick_lease).await);
    }
    is_visible(cluster, &leader, &standbys).await?;
    let asked = now();
    let stopped = leader.operator.stop().await;
    holds(stopped.success(), stopped)?;
    let next = successor(&mut standbys).await?;
    let released = story(cluster, asked).into_iter().find(|held| held.holder.is_empty());
    let released = released.ok_or("the lease was not released")?.at;
    let at = taken(cluster, &next, released).ok_or("nobody wrote the lease")?;
    let handover = seconds(released, at);
    println!(
        "{count} replicas: handed over {handover:.2} s after the release, {:.2} s after SIGTERM",
        seconds(asked, at)
    );
    holds(handover < 3.0, format!("{handover} s"))?;

    team.all_go(&objects, 1).await?;
    epochs_are_in_order(cluster, begun)?;
    let errors = next.operator.errors();
    holds(errors.is_empty(), format!("{errors:#?}"))
}

impl Team<'_> {
    /// Whether every object has gone, by one accepted deletion at most: the answer to one that was killed may be none.
    async fn all_go(&self, objects: &[Made], seconds: i64) -> Found {
        for object in objects {
            self.goes_within(object, SOON).await?;
        }
        let deletions = self.deletions();
        for object in objects {
            let of_it: Vec<_> = deletions.iter().filter(|deletion| deletion.uid() == object.uid).collect();
            let accepted = of_it.iter().filter(|deletion| deletion.accepted()).count();
            let early = of_it.iter().any(|deletion| deletion.at < object.due(seconds));
            holds(accepted <= 1 && !early, format!("{}: {of_it:?}", object.name))?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn of_two_replicas_the_other_one_goes_on() {
    succession(2).await.unwrap();
}

#[tokio::test]
async fn of_three_replicas_another_one_goes_on_and_then_the_third() {
    succession(3).await.unwrap();
}
