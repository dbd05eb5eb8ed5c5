//! A policy that goes further than its author thought is stopped by its budget; somebody looks, and approves.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use control::{Clock as _, SystemClock};

use super::account;
use super::departures::Departures;
use super::limits::{SETTLED, SOON};
use super::site::Site;

const POLICY_FILE: &str = "examples/gc/ci-leftovers.yaml";

/// As in the file.
const POLICY: &str = "ci-leftovers";
const LABEL: &str = "example.com/ci-run";
const LIMIT: usize = 3;

/// How many objects there are.
const COUNT: usize = 8;

/// Shows the stop, the approval, and what is said of one object that went by it.
pub(super) async fn play(site: &Site) -> Result<()> {
    site.screen.step("A budget stops what goes too far");
    let mut departures = Departures::watch(site.client.clone(), &site.namespace).await?;
    stop(site, &mut departures).await?;
    site.screen.step("Somebody looks, and approves");
    let name = approve(site, &mut departures).await?;
    site.screen.step("Why is it gone?");
    let policy = format!("{}/{POLICY}", site.namespace);
    account::ask_why(site, &name, &[&policy, "approvedAt="]).await
}

async fn stop(site: &Site, departures: &mut Departures) -> Result<()> {
    site.screen.say(&format!(
        "Whoever wrote this policy did not go through mode Plan, but expected at most {LIMIT} objects in an hour, and \
         said so: `budget: {{count: {LIMIT}}}`. There are {COUNT}, all due after a second. (Without `budget`, it is 50 \
         objects or 10 percent in an hour, whichever is more.)"
    ));
    site.create_config_maps("ci", LABEL, COUNT).await?;
    site.shell.show(&site.kubectl(&format!("apply -f {POLICY_FILE}"))).await?;
    let seconds = SOON.as_secs();
    let wait = format!("wait --for=condition=BudgetExceeded gcp/{POLICY} --timeout={seconds}s");
    site.shell.show(&site.kubectl(&wait)).await?;
    gather(site, departures, LIMIT).await?;
    let counts = site.kubectl(&format!("get gcp {POLICY} -o jsonpath='{{.status.deleted}}'"));
    let is_told = |output: &str| output.trim() == LIMIT.to_string();
    site.shell.eventually("the status counts what was deleted", &counts, is_told).await?;
    show_policy(site).await?;
    let form = r#"{.status.conditions[?(@.type=="BudgetExceeded")].message}"#;
    let line = site.kubectl(&format!("get gcp {POLICY} -o jsonpath='{form}'"));
    let said = site.shell.show(&line).await?;
    ensure!(said.contains("groundskeeper approve"), "the condition does not say what to do: {said}");
    let more = departures.next(SETTLED).await?;
    ensure!(more.is_none(), "the budget is {LIMIT}, and yet more went: {more:?}");
    site.screen.gap();
    site.screen.holds(&format!(
        "{LIMIT} of {COUNT} are gone; {} are due, and stay until somebody has looked, or the hour has moved on",
        COUNT - LIMIT
    ));
    Ok(())
}

/// Returns the name of an object that went.
async fn approve(site: &Site, departures: &mut Departures) -> Result<String> {
    let Site { namespace, context_flag, .. } = site;
    let own = site.own_namespace_flag("--own-namespace");
    site.shell.show(&format!("groundskeeper approve {namespace}/{POLICY} --yes{context_flag}{own}")).await?;
    let gone = gather(site, departures, COUNT - LIMIT).await?;
    let form = r#"{.status.deleted} {.status.conditions[?(@.type=="BudgetExceeded")].status}"#;
    let line = site.kubectl(&format!("get gcp {POLICY} -o jsonpath='{form}'"));
    let expected = format!("{COUNT} False");
    site.shell.eventually("the policy is itself again", &line, |output| output == expected).await?;
    show_policy(site).await?;
    site.screen.gap();
    site.screen.holds(&format!(
        "the other {} are gone, too; the approval holds for this very spec and what was due by then: what falls due \
         later counts against the budget again",
        COUNT - LIMIT
    ));
    gone.into_iter().next().context("nothing went")
}

async fn show_policy(site: &Site) -> Result<()> {
    site.shell.show(&site.kubectl(&format!("get gcp {POLICY}"))).await.map(drop)
}

/// Takes in so many departures.
async fn gather(site: &Site, departures: &mut Departures, count: usize) -> Result<BTreeSet<String>> {
    let since = SystemClock.now();
    let mut gone = BTreeSet::new();
    while gone.len() < count {
        let waited = SystemClock.now().duration_since(since).unsigned_abs();
        ensure!(waited < SOON, "only {} of {count} are gone after {} s", gone.len(), waited.as_secs());
        let Some(departure) = departures.next(Duration::from_secs(1)).await? else { continue };
        ensure!(departure.name.starts_with("ci-"), "{} was not to be deleted", departure.name);
        site.screen.fleeting(&format!("{} of {count} are gone", gone.len()));
        gone.insert(departure.name);
    }
    Ok(gone)
}
