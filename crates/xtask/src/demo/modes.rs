//! The way of a policy into a cluster: mode Plan, under which it counts, and mode Enforce, under which it acts.
//!
//! What goes, and when, is told by a watch of our own; when it was due, by the objects.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use control::{Clock as _, SystemClock};
use jiff::{SignedDuration, Timestamp};

use super::departures::{Departure, Departures};
use super::limits::{LATENESS_MAX, SETTLED, SOON};
use super::play::{GOING, POLICY_FILES};
use super::site::Site;

/// How long after its creation or completion an object goes, as in the files of the policies.
const PREVIEW_LIFE: SignedDuration = SignedDuration::from_secs(12);
const REPORT_LIFE: SignedDuration = SignedDuration::from_secs(15);

/// When objects fall due, by kind and name.
type Due = BTreeMap<(String, String), Timestamp>;

/// Applies the policies in mode Plan, until somebody's time is up, and nothing has gone.
pub(super) async fn rehearse(site: &Site, departures: &mut Departures) -> Result<()> {
    site.screen
        .say("A new policy is in mode Plan, unless it says otherwise: the operator watches, and counts.");
    site.shell.show(&site.kubectl(&format!("apply {POLICY_FILES}"))).await?;
    site.screen.gap();
    site.screen.fleeting("waiting until the time of the ConfigMaps is up");
    let form = r#"{.status.conditions[?(@.type=="Ready")].message}"#;
    let message = site.kubectl(&format!("get gcp previews -o jsonpath='{form}'"));
    let is_due = |output: &str| output.contains("3 objects is up");
    site.shell.eventually("the policy says that the time of 3 ConfigMaps is up", &message, is_due).await?;
    site.screen.say("12 s after the ConfigMaps were created:");
    site.shell.show(&site.kubectl("get gcp")).await?;
    site.shell.show(&message).await?;
    let gone = departures.next(SETTLED).await?;
    ensure!(gone.is_none(), "the mode is Plan, and yet something went: {gone:?}");
    site.screen.gap();
    site.screen.holds("nothing is gone");
    Ok(())
}

/// Lets the policies act, and watches what they are for.
pub(super) async fn collect(site: &Site, departures: &mut Departures) -> Result<()> {
    let due = due_times(site).await?;
    let patched = SystemClock.now();
    let patch = r#"patch gcp previews reports --type merge -p '{"spec":{"mode":"Enforce"}}'"#;
    site.shell.show(&site.kubectl(patch)).await?;
    let last = due.values().copied().max().unwrap_or(patched).max(patched);
    site.screen.gap();
    site.screen.output(&format!("{:<10}{:<15}{:>8}   deleted (times in UTC)", "due", "gone", "late"));
    let mut missing: BTreeSet<_> = GOING.into_iter().collect();
    let mut worst = SignedDuration::ZERO;
    while !missing.is_empty() {
        let now = SystemClock.now();
        let overdue = now.duration_since(last);
        ensure!(overdue < SignedDuration::try_from(SOON)?, "not deleted in time: {missing:?}");
        let seconds = now.duration_since(patched).as_secs();
        site.screen.fleeting(&format!("{} to come; waiting for {seconds} s", missing.len()));
        let Some(gone) = departures.next(Duration::from_secs(1)).await? else { continue };
        let expected = missing.len();
        missing.retain(|object| *object != (gone.kind, gone.name.as_str()));
        ensure!(missing.len() < expected, "{} was not to be deleted", name_of(&gone));
        let key = (gone.kind.to_owned(), gone.name.clone());
        let due = due.get(&key).copied().with_context(|| format!("when was {} due?", name_of(&gone)))?;
        worst = worst.max(tell(site, &gone, due, patched)?);
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

/// When everything falls due that goes, from the objects themselves.
async fn due_times(site: &Site) -> Result<Due> {
    let form = "{range .items[*]}{.kind} {.metadata.name} {.metadata.creationTimestamp} \
                {.status.completionTime}{\"\\n\"}{end}";
    let line = site.kubectl(&format!("get configmaps,jobs -o jsonpath='{form}'"));
    let found = site.shell.quietly(&line).await?;
    found.lines().filter_map(|line| due_time(line).transpose()).collect()
}

/// When one object falls due: its kind, its name, when it was created, and when it was completed if it was.
fn due_time(line: &str) -> Result<Option<((String, String), Timestamp)>> {
    let mut words = line.split_whitespace();
    let (kind, name) = (words.next().context("no kind")?, words.next().context("no name")?);
    let (since, life) = match kind {
        "ConfigMap" => (words.next(), PREVIEW_LIFE),
        _ => (words.nth(1), REPORT_LIFE),
    };
    let Some(since) = since else { return Ok(None) };
    let due = since.parse::<Timestamp>()?.checked_add(life).context("a time beyond the calendar")?;
    Ok(Some(((kind.to_lowercase(), name.to_owned()), due)))
}

/// Tells of one deletion, and returns how late it was.
fn tell(site: &Site, gone: &Departure, due: Timestamp, patched: Timestamp) -> Result<SignedDuration> {
    if gone.gone < due {
        bail!("{} was due at {due}, and deleted before: at {}", name_of(gone), gone.gone);
    }
    let late = gone.gone.duration_since(due.max(patched));
    let note = if due < patched { " (its time was up; so late after the patch)" } else { "" };
    let (due, at) = (due.strftime("%H:%M:%S").to_string(), gone.gone.strftime("%H:%M:%S%.3f").to_string());
    let late_text = format!("{} ms", late.as_millis());
    site.screen.output(&format!("{due:<10}{at:<15}{late_text:>8}   {}{note}", name_of(gone)));
    Ok(late)
}

fn name_of(departure: &Departure) -> String {
    format!("{}/{}", departure.kind, departure.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_due_after_its_completion_and_a_config_map_after_its_creation() {
        let due = |line: &str| due_time(line).unwrap().map(|(_, at)| at.to_string());
        assert_eq!(due("ConfigMap a 2026-11-21T10:00:00Z ").as_deref(), Some("2026-11-21T10:00:12Z"));
        let done = "Job a 2026-11-21T10:00:00Z 2026-11-21T10:01:00Z";
        assert_eq!(due(done).as_deref(), Some("2026-11-21T10:01:15Z"));
        assert_eq!(due("Job a 2026-11-21T10:00:00Z "), None);
    }
}
