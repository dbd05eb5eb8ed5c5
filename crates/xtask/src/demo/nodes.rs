//! How a node leaves: three nodes, a budget that blocks, a plugin that fails twice; a list of steps, each of which checks
//! what came of it.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use testbed::ControlPlane;

use super::inventory::{BUSY_TIMES, Inventory};
use super::limits::SOON;
use super::site::{Site, shown};

const POLICY: &str = "workers";
const PLUGIN: &str = "inventory";
const STEP: &str = "forget-in-inventory";
const WORKERS: [&str; 3] = ["worker-1", "worker-2", "worker-3"];
const FINALIZER: &str = api::node_cleanup::NODE_FINALIZER;

/// The node that leaves, and its record, which has its UID as its name.
struct Leaver {
    node: String,
    run: String,
}

/// Plays everything.
pub(super) async fn play(site: &Site, cluster: &ControlPlane, inventory: &Inventory) -> Result<()> {
    let screen = &site.screen;
    screen.step("Say how nodes leave");
    declare(site, inventory).await?;
    screen.step("Three nodes join");
    join(site, cluster).await?;
    screen.step("Something runs on them, with a budget that lets nothing go");
    let leaver = run_something(site).await?;
    screen.step("Ask first: what would become of the node?");
    plan(site, &leaver).await?;
    screen.step("Somebody deletes the node");
    see_it_deleted(site, &leaver).await?;
    screen.step("The budget holds it, and is named");
    be_blocked(site, &leaver).await?;
    screen.step("Nobody takes the finalizer off, not even the node's own kubelet");
    be_kept(site, &leaver).await?;
    screen.step("Somebody opens the budget");
    open(site, &leaver).await?;
    screen.step("A plugin fails twice, and is asked a third time");
    fail_twice(site, inventory, &leaver).await?;
    screen.step("The node is gone");
    be_gone(site, &leaver).await?;
    screen.step("What was told, and why is it gone?");
    look_back(site, &leaver).await
}

async fn declare(site: &Site, inventory: &Inventory) -> Result<()> {
    site.screen.say(
        "A policy: drain, wait for volumes, have the inventory forget the node, write a line into the log. The inventory is a \
         plugin of somebody else, a server that speaks a published contract. This one runs in the demo.",
    );
    let file = site.directory.join("inventory.yaml");
    fs::write(&file, inventory.manifest()).with_context(|| format!("writing {}", file.display()))?;
    site.shell.show(&format!("cat {}", shown(&file))).await?;
    let files = format!("apply -f {} -f examples/nodes/policy.yaml", shown(&file));
    site.shell.show(&site.kubectl(&files)).await?;
    let seconds = SOON.as_secs();
    let wait = format!("wait --for=condition=Ready cleanupplugin/{PLUGIN} ncp/{POLICY} --timeout={seconds}s");
    site.shell.show(&site.kubectl(&wait)).await?;
    Ok(())
}

async fn join(site: &Site, cluster: &ControlPlane) -> Result<()> {
    for worker in WORKERS {
        site.screen.fleeting(&format!("adding {worker}"));
        cluster.add_kwok_node(worker).await?;
    }
    let columns = "NAME:.metadata.name,FINALIZERS:.metadata.finalizers";
    let nodes = site.shell.show(&site.kubectl(&format!("get nodes -o custom-columns={columns}"))).await?;
    ensure!(nodes.matches(FINALIZER).count() == WORKERS.len(), "not every node has the finalizer");
    let counts =
        site.kubectl(&format!("get ncp {POLICY} -o jsonpath='{{.status.nodes}} {{.status.finalized}}'"));
    site.shell.eventually("the policy decides of three nodes", &counts, |said| said == "3 3").await?;
    site.shell.show(&site.kubectl("get ncp")).await?;
    site.screen.gap();
    site.screen.holds("the API server itself has put the finalizer on, as the nodes were created");
    Ok(())
}

async fn run_something(site: &Site) -> Result<Leaver> {
    site.shell.show(&site.kubectl("apply -f examples/nodes/web.yaml")).await?;
    site.shell.show(&site.kubectl("rollout status deployment/web --timeout=180s")).await?;
    let counted = site.kubectl("get pdb web -o jsonpath='{.status.currentHealthy}'");
    site.shell.eventually("the budget is counted", &counted, |said| said == "3").await?;
    show_pods(site).await?;
    site.shell.show(&site.kubectl("get pdb")).await?;
    let line = site.kubectl("get pods -l app=web -o jsonpath='{.items[*].spec.nodeName}'");
    let nodes = site.shell.quietly(&line).await?;
    let busy: Vec<&str> = nodes.split_whitespace().collect();
    // What there is to try afterwards is about the others, as long as the scheduler spreads as it was asked to.
    let node = busy.iter().find(|node| **node == WORKERS[1]).or(busy.first()).map(ToString::to_string);
    let node = node.context("no pod runs on a node")?;
    let line = site.kubectl(&format!("get node {node} -o jsonpath='{{.metadata.uid}}'"));
    let run = site.shell.quietly(&line).await?.trim().to_owned();
    ensure!(!run.is_empty(), "{node} has no UID");
    Ok(Leaver { node, run })
}

async fn plan(site: &Site, Leaver { node, .. }: &Leaver) -> Result<()> {
    let said = site.shell.show(&format!("groundskeeper nodes plan {node}{}", site.context_flag)).await?;
    for expected in ["BudgetMisconfigured", STEP, "wait-volume-detach"] {
        ensure!(said.contains(expected), "the plan does not name {expected}");
    }
    Ok(())
}

async fn see_it_deleted(site: &Site, leaver: &Leaver) -> Result<()> {
    let Leaver { node, run } = leaver;
    site.shell.show(&site.kubectl(&format!("delete node {node} --wait=false"))).await?;
    let closed = site.kubectl(&format!("get nc {run} -o jsonpath='{{.status.cordonTime}}'"));
    site.shell.eventually("the node is cordoned", &closed, |said| !said.trim().is_empty()).await?;
    site.shell.show(&site.kubectl("get nodes")).await?;
    let form = "{.metadata.finalizers}{\"\\n\"}{range .spec.taints[*]}{.key}:{.effect}{\"\\n\"}{end}";
    let said = site.shell.show(&site.kubectl(&format!("get node {node} -o jsonpath='{form}'"))).await?;
    for expected in [FINALIZER, api::node_cleanup::LEAVING_TAINT] {
        ensure!(said.contains(expected), "the node has no {expected}");
    }
    site.screen.gap();
    site.screen.holds("it is still there, cordoned, tainted, and out of the load balancers");
    Ok(())
}

async fn be_blocked(site: &Site, Leaver { node, run }: &Leaver) -> Result<()> {
    let seconds = SOON.as_secs();
    let wait = format!("wait --for=condition=Blocked nc/{run} --timeout={seconds}s");
    site.shell.show(&site.kubectl(&wait)).await?;
    site.screen.gap();
    site.screen.say("The record of the departure, which has the node's UID as its name:");
    let draining = site.kubectl(&format!("get nc {run} -o jsonpath='{{.status.phase}}'"));
    site.shell.eventually("the drain has begun", &draining, |said| said == "Draining").await?;
    site.shell.show(&site.kubectl("get nc")).await?;
    let form = "{range .status.blockers[*]}{.reason}: {.message}{\"\\n\"}{end}";
    let said = site.shell.show(&site.kubectl(&format!("get nc {run} -o jsonpath='{form}'"))).await?;
    for expected in ["BudgetMisconfigured", "/web", "minAvailable"] {
        ensure!(said.contains(expected), "the blocker does not say {expected}");
    }
    let list = site.shell.show(&format!("groundskeeper nodes list{}", site.context_flag)).await?;
    ensure!(list.contains("BudgetMisconfigured"), "the list does not name the blocker");
    site.shell.show(&site.kubectl(&format!("get pods --field-selector spec.nodeName={node}"))).await?;
    site.screen.gap();
    site.screen.holds("no pod has gone, and the record says which budget it is and what would open it");
    Ok(())
}

async fn be_kept(site: &Site, Leaver { node, .. }: &Leaver) -> Result<()> {
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    let line = format!(
        "patch node {node} --as system:node:{node} --as-group system:nodes --type merge -p '{patch}'"
    );
    let said = site.shell.show_refused(&site.kubectl(&line)).await?;
    ensure!(said.contains("until its cleanup has ended"), "it was refused for another reason");
    Ok(())
}

async fn open(site: &Site, Leaver { node, run }: &Leaver) -> Result<()> {
    let patch = r#"{"spec":{"minAvailable":2}}"#;
    site.shell.show(&site.kubectl(&format!("patch pdb web --type merge -p '{patch}'"))).await?;
    let seconds = SOON.as_secs();
    let wait = format!("wait --for=condition=Drained nc/{run} --timeout={seconds}s");
    site.shell.show(&site.kubectl(&wait)).await?;
    let ready = site.kubectl("get deployment web -o jsonpath='{.status.readyReplicas}'");
    site.shell.eventually("the Deployment has three ready pods again", &ready, |said| said == "3").await?;
    show_pods(site).await?;
    let line = site.kubectl(&format!("get pods --field-selector spec.nodeName={node} -o name"));
    let left = site.shell.quietly(&line).await?;
    ensure!(left.trim().is_empty(), "pods are left on the node: {left}");
    site.screen.gap();
    site.screen.holds("the pod was evicted, and another one runs elsewhere");
    Ok(())
}

async fn fail_twice(site: &Site, inventory: &Inventory, Leaver { run, .. }: &Leaver) -> Result<()> {
    let form = format!(
        "{{range .status.steps[?(@.name==\"{STEP}\")]}}{{.state}}, attempt {{.attempts}}: {{.reason}} {{.message}}{{\"\\n\"}}{{end}}"
    );
    let line = site.kubectl(&format!("get nc {run} -o jsonpath='{form}'"));
    for attempt in 1..=BUSY_TIMES {
        let expected = format!("Retrying, attempt {attempt}:");
        let what = format!("attempt {attempt} has failed");
        site.shell.eventually(&what, &line, |said| said.starts_with(&expected)).await?;
        site.shell.show(&line).await?;
    }
    let expected = format!("Done, attempt {}:", BUSY_TIMES + 1);
    site.shell.eventually("the last attempt is done", &line, |said| said.starts_with(&expected)).await?;
    site.shell.show(&line).await?;
    site.screen.gap();
    site.screen.say("What the inventory itself was asked:");
    let asked = inventory.seen();
    for one in &asked {
        site.screen
            .output(&format!("execute {}, attempt {}, idempotency key {}", one.node, one.attempt, one.key));
    }
    let attempts: Vec<u64> = asked.iter().map(|one| one.attempt).collect();
    let key = format!("{run}/{STEP}");
    ensure!(attempts == [1, 2, 3], "the inventory was asked in attempts {attempts:?}, not 1, 2 and 3");
    ensure!(asked.iter().all(|one| one.key == key), "the idempotency key is not the run and the step");
    site.screen.gap();
    site.screen
        .holds("three attempts with one key, each written into the record before the plugin was asked");
    Ok(())
}

async fn be_gone(site: &Site, Leaver { node, run }: &Leaver) -> Result<()> {
    let seconds = SOON.as_secs();
    let wait = format!("wait --for=jsonpath='{{.status.phase}}'=Completed nc/{run} --timeout={seconds}s");
    site.shell.show(&site.kubectl(&wait)).await?;
    site.shell.show(&site.kubectl("get nc")).await?;
    let nodes = site.shell.show(&site.kubectl("get nodes")).await?;
    ensure!(!nodes.contains(node.as_str()), "{node} is still there");
    let form = "{range .status.steps[*]}{.name} {.state} {.attempts} {.startTime} {.endTime}{\"\\n\"}{end}";
    let said = site.shell.show(&site.kubectl(&format!("get nc {run} -o jsonpath='{form}'"))).await?;
    for step in ["drain", "wait-volume-detach", STEP, "tell"] {
        ensure!(said.lines().any(|line| line.starts_with(&format!("{step} Done "))), "{step} is not done");
    }
    site.screen.gap();
    site.screen.holds(&format!("{node} is gone, and its record stays for 30 days"));
    Ok(())
}

async fn look_back(site: &Site, Leaver { node, .. }: &Leaver) -> Result<()> {
    let columns = "REASON:.reason,MESSAGE:.message";
    let selector = format!("involvedObject.name={node},reportingComponent=groundskeeper.dev/groundskeeper");
    let line = site.kubectl(&format!(
        "get events -n default --field-selector {selector} --sort-by .eventTime -o custom-columns={columns}"
    ));
    let told = ["CleanupStarted", "CleanupBlocked", "CleanupStepFailed", "CleanupCompleted"];
    let is_told = |said: &str| told.iter().all(|reason| said.contains(reason));
    site.shell.eventually("events tell of the departure", &line, is_told).await?;
    site.shell.show(&line).await?;
    let ledger = shown(&site.ledger());
    let line = format!("groundskeeper why node/{node} --ledger {ledger}{}", site.context_flag);
    let said = site.shell.show(&line).await?;
    let step = format!("step {STEP}: done after {} attempts", BUSY_TIMES + 1);
    for expected in [format!("NodeCleanupPolicy/{POLICY}"), FINALIZER.to_owned(), step] {
        ensure!(said.contains(&expected), "it does not say `{expected}`");
    }
    let line = format!("groundskeeper audit verify {ledger} --from-cluster{}", site.context_flag);
    let said = site.shell.show(&line).await?;
    ensure!(said.contains("intact"), "the ledger is not intact");
    Ok(())
}

async fn show_pods(site: &Site) -> Result<()> {
    let columns = "POD:.metadata.name,NODE:.spec.nodeName,PHASE:.status.phase";
    site.shell
        .show(&site.kubectl(&format!("get pods -l app=web -o custom-columns={columns}")))
        .await
        .map(drop)
}
