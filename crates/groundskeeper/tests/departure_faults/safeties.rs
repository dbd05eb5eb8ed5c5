//! What keeps a departure from harm while others act in the same moment; each is taken away once.

use std::time::Duration;

use control::Mutant;
use futures::future::join_all;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use testbed::faults::{Calls, Fault, Gate, Refusal, Verb};

use crate::bed::{Bed, Leaver, remove, unbounded};
use crate::story::{Asked, evictions, is_completed, is_emptied_once, uid, writes};
use crate::support::checks::{Found, within};
use crate::support::{holds, now};
use crate::yard::{FINALIZER, Yard, blockers, finalizers};

/// How long what comes by itself may take here.
const SOON: Duration = Duration::from_secs(20);

/// A yard's name: two checks, one with a mutant, have nodes of their own.
fn named(name: &str, mutant: Option<Mutant>) -> String {
    if mutant.is_some() { format!("{name}-less") } else { name.to_owned() }
}

async fn leaver(yard: &Yard, suffix: &str) -> Leaver {
    let node = yard.node(suffix).await;
    let found = yard.look("v1", "Node", &node).await.unwrap();
    Leaver { run: found["metadata"]["uid"].as_str().unwrap().to_owned(), node }
}

fn pod_on(yard: &Yard, node: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": yard.namespace},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "a", "image": "example.invalid/a"}]},
    })
}

/// A scheduler that has not seen the cordon yet binds a pod two seconds after it.
pub(crate) async fn settling(mutant: Option<Mutant>) -> Found {
    let bed = Bed::turn(mutant).await;
    let yard = Yard::in_cluster(bed.cluster, &named("settling", mutant)).await;
    let operator = bed.leader(bed.plain()).await;
    yard.policy(json!({"concurrency": unbounded()})).await;
    let leaver = leaver(&yard, "a").await;
    yard.pod(&leaver.node, &format!("{}-early", leaver.node)).await;
    let begun = now();
    remove(&yard, &leaver).await;
    within(SOON, "the node is cordoned", async || {
        let node = yard.look("v1", "Node", &leaver.node).await.unwrap_or_default();
        holds(node["spec"]["unschedulable"] == true, node)
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let late = yard.create(pod_on(&yard, &leaver.node, &format!("{}-late", leaver.node))).await;

    is_completed(&yard, &leaver).await?;
    let writes = writes(&yard, begun);
    is_emptied_once(&leaver, &writes)?;
    let late = late["metadata"]["uid"].as_str().unwrap();
    let is_asked = evictions(&leaver, &writes).iter().any(|eviction| uid(eviction) == late);
    holds(is_asked, "the pod that came late was forgotten")?;
    operator.stop().await;
    Ok(())
}

/// While an eviction is on its way, its pod goes, and another of its name comes up on another node.
pub(crate) async fn incarnations(mutant: Option<Mutant>) -> Found {
    let bed = Bed::turn(mutant).await;
    let yard = Yard::in_cluster(bed.cluster, &named("incarnations", mutant)).await;
    let (proxy, launch) = bed.rig().await;
    let operator = bed.leader(launch).await;
    yard.policy(json!({"concurrency": unbounded()})).await;
    let (leaver, other) = (leaver(&yard, "a").await, yard.node("b").await);
    yard.pod(&leaver.node, "kept").await;
    let gate = Gate::new();
    let first = Calls::of("pods/eviction").in_namespace(&*yard.namespace).nth(1);
    proxy.on(first, Fault::hold_before(&gate));
    remove(&yard, &leaver).await;
    let held = tokio::time::timeout(SOON, gate.arrived()).await.map_err(|_| "no pod is asked")?;

    let now_gone = DeleteParams::default().grace_period(0);
    yard.api("v1", "Pod").delete("kept", &now_gone).await.unwrap();
    // kwok, which ends pods here, deletes them by name, and a moment later: another of the name must not be there yet.
    tokio::time::sleep(Duration::from_secs(2)).await;
    yard.pod(&other, "kept").await;
    let second = yard.look("v1", "Pod", "kept").await.unwrap();
    held.release();

    is_completed(&yard, &leaver).await?;
    let found = yard.look("v1", "Pod", "kept").await.ok_or("another pod of that name was evicted")?;
    let same = found["metadata"]["uid"] == second["metadata"]["uid"];
    holds(same && found["metadata"]["deletionTimestamp"].is_null(), format!("it was evicted: {found}"))?;
    operator.stop().await;
    Ok(())
}

/// Between our reading of a node's finalizers and our writing somebody else adds one.
pub(crate) async fn finalizers_of_others(mutant: Option<Mutant>) -> Found {
    const THEIRS: &str = "example.com/theirs";
    let bed = Bed::turn(mutant).await;
    let yard = Yard::in_cluster(bed.cluster, &named("finalizers", mutant)).await;
    let (proxy, launch) = bed.rig().await;
    let operator = bed.leader(launch).await;
    yard.policy(json!({"concurrency": unbounded()})).await;
    let node = format!("{}-a", yard.name);
    let gate = Gate::new();
    let ours = Calls::of("nodes").verb(Verb::Patch).named(&*node);
    let ours = ours.that(|call| call.body().to_string().contains(FINALIZER)).nth(1);
    proxy.on(ours, Fault::hold_before(&gate));
    yard.cluster.add_kwok_node(&node).await.unwrap();
    yard.patch("Node", &node, json!({"metadata": {"labels": {"yard": yard.name}}})).await;
    let held = tokio::time::timeout(SOON, gate.arrived()).await.map_err(|_| "no finalizer is put on")?;

    yard.patch("Node", &node, json!({"metadata": {"finalizers": [THEIRS]}})).await;
    held.release();

    let both = within(SOON, "our finalizer is on", async || {
        let node = yard.look("v1", "Node", &node).await.unwrap();
        let found = finalizers(&node);
        if found.iter().any(|one| one == FINALIZER) { Ok(found) } else { Err(format!("{found:?}")) }
    })
    .await?;
    holds(both.iter().any(|one| one == THEIRS), format!("theirs is lost: {both:?}"))?;
    operator.stop().await;
    Ok(())
}

/// A policy comes, and its watch is late: a node that has our finalizer already is nobody's, as far as we have seen.
pub(crate) async fn late_news() -> Found {
    let bed = Bed::turn(None).await;
    let yard = Yard::in_cluster(bed.cluster, "late-news").await;
    let (proxy, launch) = bed.rig().await;
    let operator = bed.leader(launch).await;
    let policies = || Calls::of("nodecleanuppolicies");
    let late = proxy.on(policies().verb(Verb::Watch), Fault::freeze_watch());
    let (first, second) = (Gate::new(), Gate::new());
    proxy.on(policies().verb(Verb::List).nth(1), Fault::hold_after(&first));
    proxy.on(policies().verb(Verb::List).nth(2), Fault::hold_before(&second));
    yard.create(json!({
        "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "NodeCleanupPolicy", "metadata": {"name": "late-news"},
        "spec": {"nodeSelector": {"matchLabels": {"yard": yard.name}}},
    }))
    .await;
    let node = format!("{}-a", yard.name);
    yard.cluster.add_kwok_node(&node).await.unwrap();
    let kept = json!({"metadata": {"labels": {"yard": yard.name}, "finalizers": [FINALIZER]}});
    yard.patch("Node", &node, kept).await;

    let asked = tokio::time::timeout(SOON, first.arrived()).await.map_err(|_| "the server is not asked")?;
    asked.release();
    let again = tokio::time::timeout(SOON, second.arrived()).await.map_err(|_| "it is not asked again")?;
    let found = yard.look("v1", "Node", &node).await.unwrap();
    holds(finalizers(&found).contains(&FINALIZER.to_owned()), "the node was let go")?;
    again.release();
    late.lift();

    let run = found["metadata"]["uid"].as_str().unwrap().to_owned();
    let leaver = Leaver { node, run };
    remove(&yard, &leaver).await;
    is_completed(&yard, &leaver).await?;
    operator.stop().await;
    Ok(())
}

/// Whoever takes over knows of the departures, and has not heard of a node that came after its watch had stopped.
pub(crate) async fn late_nodes() -> Found {
    let bed = Bed::turn(None).await;
    let yard = Yard::in_cluster(bed.cluster, "late-nodes").await;
    let first = bed.leader(bed.plain()).await;
    yard.policy(json!({"concurrency": unbounded()})).await;
    let (proxy, launch) = bed.rig().await;
    let second = launch.start(bed.cluster).await;
    second.ready(bed.cluster).await;
    let late = proxy.on(Calls::watches("nodes"), Fault::freeze_watch());
    let leaver = leaver(&yard, "a").await;
    yard.patch("NodeCleanupPolicy", &yard.name, json!({"spec": {"paused": true}})).await;
    remove(&yard, &leaver).await;
    each(&yard, std::slice::from_ref(&leaver), "has a record", |_| Ok(true)).await?;

    let (asked, asked_again) = (Gate::new(), Gate::new());
    proxy.on(Calls::of("nodes").verb(Verb::List).nth(1), Fault::hold_after(&asked));
    proxy.on(Calls::of("nodes").verb(Verb::List).nth(2), Fault::hold_before(&asked_again));
    first.kill();
    for gate in [&asked, &asked_again] {
        let held = tokio::time::timeout(SOON, gate.arrived()).await.map_err(|_| "the server is not asked")?;
        is_waiting(&yard, &leaver).await?;
        held.release();
    }
    late.lift();
    yard.patch("NodeCleanupPolicy", &yard.name, json!({"spec": {"paused": false}})).await;
    is_completed(&yard, &leaver).await?;
    second.stop().await;
    Ok(())
}

/// A listing of nodes shows none, though one is there that leaves.
pub(crate) async fn lying_list() -> Found {
    let bed = Bed::turn(None).await;
    let yard = Yard::in_cluster(bed.cluster, "lying-list").await;
    let (proxy, launch) = bed.rig().await;
    let operator = bed.leader(launch).await;
    yard.policy(json!({"concurrency": unbounded()})).await;
    let leaver = leaver(&yard, "a").await;
    yard.patch("NodeCleanupPolicy", &yard.name, json!({"spec": {"paused": true}})).await;
    remove(&yard, &leaver).await;
    each(&yard, std::slice::from_ref(&leaver), "has a record", |_| Ok(true)).await?;

    let gate = Gate::new();
    proxy.on(Calls::of("nodes").verb(Verb::Get).named(&*leaver.node).nth(1), Fault::hold_after(&gate));
    proxy.on(Calls::lists("nodes").times(1), Fault::empty_list());
    proxy.on(Calls::watches("nodes").already_open(), Fault::fail_watch(Refusal::expired()));
    let held = tokio::time::timeout(SOON, gate.arrived()).await.map_err(|_| "the server is not asked")?;
    held.release();
    within(SOON, "the nodes are listed again", async || {
        let listings = proxy.trace().reads(Verb::List, "nodes");
        holds(listings >= 2, listings)
    })
    .await?;
    is_waiting(&yard, &leaver).await?;
    yard.patch("NodeCleanupPolicy", &yard.name, json!({"spec": {"paused": false}})).await;
    is_completed(&yard, &leaver).await?;
    operator.stop().await;
    Ok(())
}

async fn is_waiting(yard: &Yard, leaver: &Leaver) -> Found {
    let record = yard.record(&leaver.run).await.ok_or("there is no record")?;
    let phase = record["status"]["phase"].as_str().unwrap_or("Waiting");
    holds(phase == "Waiting", format!("it is {phase}, though its node is there: {}", record["status"]))
}

/// Three of four nodes leave, where one may be missing.
pub(crate) async fn brake(mutant: Option<Mutant>) -> Found {
    let bed = Bed::turn(mutant).await;
    let yard = Yard::in_cluster(bed.cluster, &named("brake", mutant)).await;
    let operator = bed.leader(bed.plain()).await;
    yard.policy(json!({"concurrency": {"max": 10, "stormBrakePercent": 30}})).await;
    let nodes = join_all((0..4).map(async |number: usize| leaver(&yard, &number.to_string()).await)).await;
    let leaving = &nodes[1..];
    join_all(leaving.iter().map(async |leaver| {
        yard.pod(&leaver.node, &format!("{}-a", leaver.node)).await;
    }))
    .await;
    // Paused until all of them are deleted, or else the first would be on its way before the others are seen.
    yard.patch("NodeCleanupPolicy", &yard.name, json!({"spec": {"paused": true}})).await;
    let begun = now();
    join_all(leaving.iter().map(async |leaver| remove(&yard, leaver).await)).await;
    each(&yard, leaving, "has a record", |_| Ok(true)).await?;
    yard.patch("NodeCleanupPolicy", &yard.name, json!({"spec": {"paused": false}})).await;

    each(&yard, leaving, "is held by the brake", |status| {
        let phase = status["phase"].as_str().unwrap_or("Waiting");
        holds(phase == "Waiting", format!("it is {phase}, and too many leave"))?;
        Ok(blockers(status).contains(&"StormBrake"))
    })
    .await?;
    let asked = writes(&yard, begun);
    let asked: Vec<_> =
        asked.iter().filter(|write| Asked::answered(write).words().contains("eviction")).collect();
    holds(asked.is_empty(), format!("pods were asked: {asked:?}"))?;

    yard.patch("NodeCleanupPolicy", &yard.name, json!({"spec": {"concurrency": {"stormBrakePercent": 100}}}))
        .await;
    for leaver in leaving {
        is_completed(&yard, leaver).await?;
    }
    operator.stop().await;
    Ok(())
}

/// Waits until the status of each record is so; an error of the look ends the wait.
async fn each(
    yard: &Yard,
    leavers: &[Leaver],
    what: &str,
    look: impl Fn(&Value) -> Result<bool, String>,
) -> Found {
    for leaver in leavers {
        within(SOON, &format!("{} {what}", leaver.node), async || {
            let record = yard.record(&leaver.run).await.ok_or("there is no record")?;
            match look(&record["status"]) {
                Ok(true) => Ok(Ok(())),
                Ok(false) => Err(record["status"].to_string()),
                Err(wrong) => Ok(Err(wrong)),
            }
        })
        .await??;
    }
    Ok(())
}
