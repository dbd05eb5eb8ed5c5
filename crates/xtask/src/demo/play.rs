//! The main job, on real objects: a list of steps, each of which checks what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use control::{Clock as _, SystemClock};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::departures::{Departure, Departures};
use super::limits::{LATENESS_MAX, SOON};
use super::replicas;
use super::site::Site;

const POLICY_FILES: &str = "-f examples/gc/finished-jobs.yaml -f examples/gc/temporary-configmaps.yaml";

/// What the policies delete, as in `examples/gc/objects`.
const GOING: [(&str, &str); 6] = [
    ("configmap", "preview-41"),
    ("configmap", "preview-42"),
    ("configmap", "preview-43"),
    ("job", "report-mon"),
    ("job", "report-tue"),
    ("job", "report-wed"),
];

/// What is protected by its annotation.
const PROTECTED: [(&str, &str); 2] = [("configmap", "preview-44"), ("job", "report-audit")];

/// What no policy selects.
const NOT_SELECTED: [(&str, &str); 2] = [("configmap", "settings"), ("job", "migration")];

/// Plays everything; `pages` is where the replicas serve their metrics.
pub(super) async fn play(site: &Site, pages: &[(&'static str, SocketAddr)]) -> Result<()> {
    let screen = &site.screen;
    screen.step("Something to look after");
    create_objects(site).await?;
    let mut departures = Departures::watch(site.client.clone(), &site.namespace).await?;
    screen.step("Ask first: what would be deleted?");
    plan(site).await?;
    screen.step("Let it happen");
    collect(site, &mut departures).await?;
    screen.step("What is still there");
    show_what_stays(site).await?;
    screen.step("A mistake is refused, with what to write instead");
    be_refused(site).await?;
    screen.step("What Groundskeeper says about it");
    show_status(site).await?;
    show_events(site).await?;
    show_metrics(site, pages).await
}

async fn create_objects(site: &Site) -> Result<()> {
    site.screen.say(
        "5 Jobs and 5 ConfigMaps: of each kind, 3 to collect, 1 protected, 1 that is nobody's business.",
    );
    site.shell.show(&site.kubectl("apply -f examples/gc/objects")).await?;
    site.shell.show(&site.kubectl("wait --for=condition=Complete job --all --timeout=180s")).await?;
    site.shell.show(&site.kubectl("get jobs,pods")).await?;
    Ok(())
}

async fn plan(site: &Site) -> Result<()> {
    site.screen.say(
        "A policy selects by kind and labels, and says how long an object lives. `plan` asks the engine that the \
         operator runs on, and changes nothing. (Conditions such as \"only if finished\" come later; here all Jobs \
         are complete already.)",
    );
    let line = format!("groundskeeper plan {POLICY_FILES} -n {}{}", site.namespace, site.context_flag);
    site.shell.show(&line).await?;
    let plan = site.shell.quietly(&format!("{line} -o json")).await?;
    let plan: Value = serde_json::from_str(&plan).context("the plan is no JSON")?;
    for (object, expected) in expected_verdicts() {
        let found = verdict_of(&plan, object);
        ensure!(expected.contains(&found.as_str()), "the plan says {found} of {object:?}, not {expected:?}");
    }
    Ok(())
}

fn expected_verdicts() -> impl Iterator<Item = ((&'static str, &'static str), &'static [&'static str])> {
    // Where pulling an image took long, some time may be up already.
    let going = GOING.into_iter().map(|object| (object, &["NotYet", "Expired"][..]));
    let protected = PROTECTED.into_iter().map(|object| (object, &["ProtectedByAnnotation"][..]));
    let others = NOT_SELECTED.into_iter().map(|object| (object, &["NotSelected"][..]));
    going.chain(protected).chain(others)
}

/// The plan's reason for an object, or `nothing`.
fn verdict_of(plan: &Value, (kind, name): (&str, &str)) -> String {
    let items = plan["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_it = |item: &&Value| {
        let object = &item["object"];
        object["name"] == name
            && object["kind"].as_str().is_some_and(|found| found.eq_ignore_ascii_case(kind))
    };
    items.iter().find(is_it).and_then(|item| item["reason"].as_str()).unwrap_or("nothing").to_owned()
}

/// Applies the policies, and watches what they are for.
async fn collect(site: &Site, departures: &mut Departures) -> Result<()> {
    let applied = SystemClock.now();
    site.shell.show(&site.kubectl(&format!("apply {POLICY_FILES}"))).await?;
    let ttls = ttls(site).await?;
    let longest = ttls.values().max().copied().unwrap_or_default();
    site.screen.gap();
    site.screen.output(&format!("{:<10}{:<15}{:>8}   deleted (times in UTC)", "due", "gone", "late"));
    let mut missing: BTreeSet<_> = GOING.into_iter().collect();
    let mut worst = SignedDuration::ZERO;
    while !missing.is_empty() {
        let waited = SystemClock.now().duration_since(applied);
        ensure!(waited.unsigned_abs() < longest.unsigned_abs() + SOON, "not deleted in time: {missing:?}");
        site.screen.fleeting(&format!("{} to come; waiting for {} s", missing.len(), waited.as_secs()));
        let Some(gone) = departures.next(Duration::from_secs(1)).await? else { continue };
        let expected = missing.len();
        missing.retain(|object| *object != (gone.kind, gone.name.as_str()));
        ensure!(missing.len() < expected, "{} was not to be deleted", name_of(&gone));
        let ttl = ttls.get(gone.kind).copied().context("no policy is on this kind")?;
        worst = worst.max(tell(site, &gone, ttl, applied)?);
    }
    ensure!(
        worst.unsigned_abs() <= LATENESS_MAX,
        "the latest was {} ms late; more than {} s is a failure",
        worst.as_millis(),
        LATENESS_MAX.as_secs()
    );
    site.screen.gap();
    let note = "6 of 6 were deleted, none before its time";
    site.screen.holds(&format!(
        "{note}; the latest {} ms after it, as a watch beside the operator saw it",
        worst.as_millis()
    ));
    Ok(())
}

/// How long objects live, by their kind in lower case, as the policies in the cluster say.
async fn ttls(site: &Site) -> Result<BTreeMap<String, SignedDuration>> {
    let form = "{range .items[*]}{.spec.targetResource.kind}={.spec.ttl.secondsAfterCreation}{\"\\n\"}{end}";
    let found = site.shell.quietly(&site.kubectl(&format!("get gcp -o jsonpath='{form}'"))).await?;
    let ttls = found.lines().map(|line| {
        let (kind, seconds) = line.split_once('=').context("a policy without a kind")?;
        Ok((
            kind.to_lowercase(),
            SignedDuration::from_secs(seconds.parse().context("a policy without a ttl")?),
        ))
    });
    ttls.collect()
}

/// Tells of one deletion, and returns how late it was.
fn tell(site: &Site, gone: &Departure, ttl: SignedDuration, applied: Timestamp) -> Result<SignedDuration> {
    let due = gone.created.checked_add(ttl).context("a time beyond the calendar")?;
    if gone.gone < due {
        bail!("{} was due at {due}, and deleted before: at {}", name_of(gone), gone.gone);
    }
    let late = gone.gone.duration_since(due.max(applied));
    let note = if due < applied { " (its time was up before the policy came)" } else { "" };
    let (due, at) = (due.strftime("%H:%M:%S").to_string(), gone.gone.strftime("%H:%M:%S%.3f").to_string());
    let late_text = format!("{} ms", late.as_millis());
    site.screen.output(&format!("{due:<10}{at:<15}{late_text:>8}   {}{note}", name_of(gone)));
    Ok(late)
}

fn name_of(departure: &Departure) -> String {
    format!("{}/{}", departure.kind, departure.name)
}

async fn show_what_stays(site: &Site) -> Result<()> {
    site.screen.say("The pods of a deleted Job go along with it (propagationPolicy: Background).");
    let is_swept = |output: &str| {
        let is_owned = |pod: &&str| GOING.iter().any(|(_, job)| pod.contains(&format!("/{job}-")));
        !output.lines().any(|pod| is_owned(&pod))
    };
    site.shell
        .eventually("the deleted Jobs' pods are gone", &site.kubectl("get pods -o name"), is_swept)
        .await?;
    site.shell.show(&site.kubectl("get jobs,pods,configmaps")).await?;
    let names = site.shell.quietly(&site.kubectl("get jobs,configmaps -o name")).await?;
    let is_there = |(kind, name): (&str, &str)| {
        names.lines().any(|line| line.starts_with(kind) && line.ends_with(&format!("/{name}")))
    };
    for object in PROTECTED.into_iter().chain(NOT_SELECTED) {
        ensure!(is_there(object), "{object:?} was to stay, and is gone");
    }
    for object in GOING {
        ensure!(!is_there(object), "{object:?} was deleted, and is there");
    }
    site.screen.gap();
    site.screen.holds("the protected and those that no policy selects are still there");
    Ok(())
}

async fn be_refused(site: &Site) -> Result<()> {
    let said = site.shell.show_refused(&site.kubectl("apply -f examples/gc/refused/leases.yaml")).await?;
    ensure!(said.contains("leases are never collected"), "the refusal does not say why");
    Ok(())
}

async fn show_status(site: &Site) -> Result<()> {
    let form = "{range .items[*]}{.status.deleted}/{.status.protected}/{.status.pending}{\"\\n\"}{end}";
    let is_told = |output: &str| output.lines().all(|line| line == "3/1/0") && output.lines().count() == 2;
    let counts = site.kubectl(&format!("get gcp -o jsonpath='{form}'"));
    site.shell.eventually("both policies say deleted 3, protected 1, pending 0", &counts, is_told).await?;
    site.shell.show(&site.kubectl("wait --for=condition=Ready gcp --all --timeout=30s")).await?;
    site.shell.show(&site.kubectl("get gcp")).await?;
    let form = "{range .status.conditions[*]}{.type}={.status} {.reason} {.message}{\"\\n\"}{end}";
    let line = site.kubectl(&format!("get gcp reports -o jsonpath='{form}'"));
    let conditions = site.shell.show(&line).await?;
    ensure!(conditions.contains("Ready=True Collecting"), "the policy does not say that it is collecting");
    Ok(())
}

async fn show_events(site: &Site) -> Result<()> {
    let columns = "POLICY:.involvedObject.name,REASON:.reason,MESSAGE:.message";
    let line =
        site.kubectl(&format!("get events --field-selector reason=Deleted -o custom-columns={columns}"));
    let is_told = |output: &str| GOING.iter().all(|(_, name)| output.contains(name));
    site.shell.eventually("events tell of all six deletions", &line, is_told).await?;
    site.shell.show(&line).await?;
    Ok(())
}

async fn show_metrics(site: &Site, pages: &[(&'static str, SocketAddr)]) -> Result<()> {
    site.screen.gap();
    site.screen.say("And from its metrics, the lines on deletions:");
    let lines = replicas::metrics(pages).await?;
    let shown = ["groundskeeper_gc_deletions_total", "groundskeeper_gc_deletion_lateness_seconds_"];
    let is_shown = |line: &&String| {
        shown.iter().any(|name| line.starts_with(name))
            && (!line.contains("le=") || line.contains("le=\"0.1\""))
            && !line.ends_with(" 0")
    };
    lines.iter().filter(is_shown).for_each(|line| site.screen.verbatim(line));
    for (policy, count) in deleted(&lines, &site.namespace) {
        ensure!(count == 3, "the metrics count {count} deletions for policy {policy}, not three");
    }
    Ok(())
}

/// How many deletions all replicas together count for each policy.
fn deleted(lines: &[String], namespace: &str) -> Vec<(&'static str, u64)> {
    let counts = |line: &&String, policy: &str| {
        line.starts_with("groundskeeper_gc_deletions_total{")
            && line.contains("outcome=\"deleted\"")
            && (line.contains(&format!("\"{policy}\""))
                || line.contains(&format!("\"{namespace}/{policy}\"")))
    };
    let sum = |policy: &'static str| {
        let values = lines.iter().filter(|line| counts(line, policy));
        let values = values.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        (policy, values.sum())
    };
    ["previews", "reports"].into_iter().map(sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_found_by_kind_and_name() {
        let plan = serde_json::json!({"items": [
            {"object": {"kind": "Job", "name": "a"}, "reason": "NotYet"},
            {"object": {"kind": "ConfigMap", "name": "a"}, "reason": "Expired"},
        ]});
        assert_eq!(verdict_of(&plan, ("configmap", "a")), "Expired");
        assert_eq!(verdict_of(&plan, ("configmap", "b")), "nothing");
    }
}
