//! The leader is killed in the middle of its work; a warm replica goes on.
//!
//! What went, and when, is told by a watch of our own; who did it, by the ledgers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use control::{Clock as _, SystemClock};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::time::sleep;

use super::departures::{Departure, Departures};
use super::limits::{POLL_EVERY, SOON, TAKEOVER_MAX};
use super::replicas::{Replicas, leader_is};
use super::site::Site;

/// How many objects fall due: at ten a second, some six seconds of work, longer than anything else here takes.
const COUNT: usize = 60;

/// How many are gone when the leader is killed.
const GONE_BEFORE: usize = 15;

/// As in `examples/gc/sessions.yaml`.
const LABEL: &str = "example.com/session";
const LIFE: SignedDuration = SignedDuration::from_secs(6);

/// Departures by name.
type Gone = BTreeMap<String, Departure>;

pub(super) async fn play(site: &Site, replicas: &mut Replicas) -> Result<()> {
    let mut departures = Departures::watch(site.client.clone(), &site.namespace).await?;
    create_objects(site).await?;
    let mut gone = Gone::new();
    gather(site, &mut departures, &mut gone, GONE_BEFORE).await?;

    let first = leader_is(site, |_| true).await?;
    let killed = SystemClock.now();
    replicas.kill(&first).await?;
    site.screen
        .holds(&format!("{first}, which leads, is killed (SIGKILL) with {} of {COUNT} gone", gone.len()));
    let second = leader_is(site, |leader| leader != first).await?;
    gather(site, &mut departures, &mut gone, COUNT).await?;

    let resumed = resumed(&gone, killed)?.duration_since(killed);
    site.screen.holds(&format!(
        "{second} has taken the lease, and gone on {:.1} s after the kill (a lease lasts 4 s here, 15 s by default)",
        resumed.as_secs_f64()
    ));
    ensure!(resumed.unsigned_abs() <= TAKEOVER_MAX, "more than {} s is a failure", TAKEOVER_MAX.as_secs());
    check_all(site, &gone).await?;
    tell_who(site, &first, &second).await
}

async fn create_objects(site: &Site) -> Result<()> {
    site.screen.say(&format!("{COUNT} ConfigMaps that live for {} s; ten a second may go:", LIFE.as_secs()));
    site.create_config_maps("session", LABEL, COUNT).await?;
    site.screen.gap();
    Ok(())
}

/// Takes departures in until there are so many.
async fn gather(site: &Site, departures: &mut Departures, gone: &mut Gone, count: usize) -> Result<()> {
    let since = SystemClock.now();
    while gone.len() < count {
        let waited = SystemClock.now().duration_since(since).unsigned_abs();
        ensure!(waited < SOON, "only {} of {count} are gone after {} s", gone.len(), waited.as_secs());
        site.screen.fleeting(&format!("{} of {COUNT} are gone", gone.len()));
        let Some(departure) = departures.next(Duration::from_secs(1)).await? else { continue };
        ensure!(departure.name.starts_with("session-"), "{} was not to be deleted", departure.name);
        let due = departure.created.checked_add(LIFE).context("a time beyond the calendar")?;
        ensure!(departure.gone >= due, "{} was deleted before its time", departure.name);
        if let Some(twice) = gone.insert(departure.name.clone(), departure) {
            bail!("{} went twice", twice.name);
        }
    }
    Ok(())
}

/// When the work went on: at the end of the longest pause after the kill. What the killed one had asked for may still have
/// gone in between.
fn resumed(gone: &Gone, killed: Timestamp) -> Result<Timestamp> {
    let mut times: Vec<_> = gone.values().map(|departure| departure.gone).filter(|at| *at > killed).collect();
    times.push(killed);
    times.sort();
    let pauses = times.iter().zip(times.iter().skip(1));
    let longest = pauses.max_by_key(|(from, to)| to.duration_since(**from));
    longest.map(|(_, to)| *to).context("nothing was left to do after the kill")
}

async fn check_all(site: &Site, gone: &Gone) -> Result<()> {
    let left = site.kubectl(&format!("get configmaps -l {LABEL} -o name"));
    let left = site.shell.quietly(&left).await?;
    ensure!(left.trim().is_empty() && gone.len() == COUNT, "some are still there: {left}");
    site.screen.holds(&format!("all {COUNT} are gone, each once, none before its time"));
    Ok(())
}

/// What the ledgers say: who did how many, and that nobody did anything twice.
async fn tell_who(site: &Site, first: &str, second: &str) -> Result<()> {
    let since = SystemClock.now();
    while has_open(&records(&site.ledger().join(second))?) {
        let waited = SystemClock.now().duration_since(since).unsigned_abs();
        ensure!(waited < SOON, "{second} does not write down what became of its deletions");
        sleep(POLL_EVERY).await;
    }
    let mut deleted: BTreeMap<String, u32> = BTreeMap::new();
    let mut counts = Vec::new();
    for name in [first, second] {
        let records = records(&site.ledger().join(name))?;
        let uids = deleted_uids(&records);
        counts.push(format!("{name} deleted {}", uids.len()));
        uids.into_iter().for_each(|uid| *deleted.entry(uid).or_default() += 1);
    }
    ensure!(
        deleted.values().all(|times| *times == 1),
        "the ledgers tell of an object that was deleted twice"
    );
    // What the killed one had asked for without hearing the answer has an intent and no outcome.
    let open = COUNT.saturating_sub(deleted.len());
    let open = if open == 0 { String::new() } else { format!(", {open} were under way at the kill") };
    site.screen.holds(&format!("the ledgers agree: {}{open}", counts.join(", ")));
    Ok(())
}

/// The records of one replica, in their order.
pub(super) fn records(directory: &Path) -> Result<Vec<Value>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))? {
        files.push(entry?.path());
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let mut records = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let whole = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records.extend(whole);
    }
    Ok(records)
}

/// Whether something that was to be done has no outcome yet.
fn has_open(records: &[Value]) -> bool {
    let is_answered = |intent: &Value| records.iter().any(|record| record["intent"] == intent["sequence"]);
    records.iter().filter(|record| record["kind"] == "Intent").any(|intent| !is_answered(intent))
}

/// The sessions whose deletion was accepted, by UID.
fn deleted_uids(records: &[Value]) -> Vec<String> {
    let outcomes =
        records.iter().filter(|record| record["kind"] == "Outcome" && record["outcome"] == "deleted");
    let intent = |outcome: &Value| records.iter().find(|record| record["sequence"] == outcome["intent"]);
    let objects = outcomes.filter_map(intent).map(|intent| &intent["object"]);
    let sessions =
        objects.filter(|object| object["name"].as_str().is_some_and(|name| name.starts_with("session-")));
    sessions.filter_map(|object| object["uid"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    #[test]
    fn the_work_goes_on_after_the_longest_pause() {
        let departure = |milliseconds| Departure {
            kind: "configmap",
            name: format!("session-{milliseconds}"),
            created: at(0),
            gone: at(milliseconds),
        };
        let gone: Gone = [900, 1_050, 5_000, 5_100].map(|ms| (ms.to_string(), departure(ms))).into();
        assert_eq!(resumed(&gone, at(1_000)).unwrap(), at(5_000));
        assert!(resumed(&gone, at(6_000)).is_err());
    }

    #[test]
    fn only_what_was_accepted_counts() {
        let records = [
            json!({"sequence": 1, "kind": "Intent", "object": {"name": "session-1", "uid": "a"}}),
            json!({"sequence": 2, "kind": "Intent", "object": {"name": "session-2", "uid": "b"}}),
            json!({"sequence": 3, "kind": "Outcome", "intent": 1, "outcome": "deleted"}),
            json!({"sequence": 4, "kind": "Outcome", "intent": 2, "outcome": "denied"}),
        ];
        assert_eq!(deleted_uids(&records), ["a"]);
    }
}
