//! The main job, on real objects: a list of steps, each of which checks what came of it.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::departures::Departures;
use super::site::Site;
use super::{modes, replicas};

/// The policies of the main job, as kubectl and `plan` take them.
pub(super) const POLICY_FILES: &str =
    "-f examples/gc/finished-jobs.yaml -f examples/gc/temporary-configmaps.yaml";

/// What the policies delete, as in `examples/gc/objects`.
pub(super) const GOING: [(&str, &str); 6] = [
    ("configmap", "preview-41"),
    ("configmap", "preview-42"),
    ("configmap", "preview-43"),
    ("job", "report-mon"),
    ("job", "report-tue"),
    ("job", "report-wed"),
];

/// The Jobs that complete by themselves.
const COMPLETING: [&str; 5] = ["report-mon", "report-tue", "report-wed", "report-audit", "migration"];

/// What is protected by its annotation.
const PROTECTED: [(&str, &str); 2] = [("configmap", "preview-44"), ("job", "report-audit")];

/// What a policy selects, but for a condition.
const UNFINISHED: [(&str, &str); 1] = [("job", "report-thu")];

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
    screen.step("Let it watch, in mode Plan: nothing goes");
    modes::rehearse(site, &mut departures).await?;
    screen.step("Let it happen: mode Enforce");
    modes::collect(site, &mut departures).await?;
    screen.step("What is still there");
    show_what_stays(site).await?;
    screen.step("What Groundskeeper says about it");
    show_status(site).await?;
    show_events(site).await?;
    show_metrics(site, pages).await
}

async fn create_objects(site: &Site) -> Result<()> {
    site.screen.say(
        "6 Jobs and 5 ConfigMaps: of each kind, 3 to collect, 1 protected, 1 that is nobody's business; and a Job that \
         has not finished.",
    );
    site.shell.show(&site.kubectl("apply -f examples/gc/objects")).await?;
    let finished = COMPLETING.join(" ");
    let wait = format!("wait --for=condition=Complete job {finished} --timeout=180s");
    site.shell.show(&site.kubectl(&wait)).await?;
    site.shell.show(&site.kubectl("get jobs,pods")).await?;
    Ok(())
}

async fn plan(site: &Site) -> Result<()> {
    site.screen.say(
        "One policy is for the ConfigMaps of previews: they go 12 s after they were created. The other one is for the \
         Jobs of a report: they go 15 s after they have completed. `plan` asks the engine that the operator runs on, \
         and changes nothing.",
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
    let unfinished = UNFINISHED.into_iter().map(|object| (object, &["ConditionNotMet"][..]));
    let others = NOT_SELECTED.into_iter().map(|object| (object, &["NotSelected"][..]));
    going.chain(protected).chain(unfinished).chain(others)
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
    for object in PROTECTED.into_iter().chain(UNFINISHED).chain(NOT_SELECTED) {
        ensure!(is_there(object), "{object:?} was to stay, and is gone");
    }
    for object in GOING {
        ensure!(!is_there(object), "{object:?} was deleted, and is there");
    }
    site.screen.gap();
    site.screen.holds("the protected, the unfinished and those that no policy selects are still there");
    Ok(())
}

/// Shows what the API server itself refuses, and what is warned of because it would collect nothing.
pub(super) async fn be_corrected(site: &Site) -> Result<()> {
    let said =
        site.shell.show_refused(&site.kubectl("apply -f examples/gc/mistakes/two-answers.yaml")).await?;
    ensure!(said.contains("ttl needs exactly one of"), "the refusal does not say why");
    site.screen.gap();
    site.screen.say("This one is sound, but would never collect anything:");
    let line = format!(
        "groundskeeper plan -f examples/gc/mistakes/no-such-field.yaml --alone -n {}{} 2>&1",
        site.namespace, site.context_flag
    );
    let said = site.shell.show(&line).await?;
    ensure!(said.contains("status.success"), "nobody warns of a field that there is not");
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
    site.screen.say(
        "And from its metrics, the lines on deletions. Lateness counts from the due time; for the ConfigMaps, whose time was \
         up already in mode Plan, from the change to mode Enforce:",
    );
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
