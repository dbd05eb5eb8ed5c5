//! Afterwards: why something is gone, whether the ledger can be believed, and whether the installation is sound.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::site::{Authors, Site, shown};
use super::takeover::records;

/// An object that was collected at the beginning, and a name of the same length for a forgery.
const OBJECT: &str = "preview-41";
const FORGED: &str = "preview-4l";

/// Checks that have to pass on every site.
const SOUND: [&str; 5] =
    ["gk-crds", "gk-operator-rights", "gk-admission-policies", "gk-lease", "gk-ledger-anchor"];

/// Asks why a ConfigMap is gone; the answer must hold these words.
pub(super) async fn ask_why(site: &Site, name: &str, words: &[&str]) -> Result<()> {
    let Site { namespace, context_flag, .. } = site;
    let ledger = shown(&site.ledger());
    let own = site.own_namespace_flag("--own-namespace");
    let line =
        format!("groundskeeper why configmap/{name} -n {namespace} --ledger {ledger}{context_flag}{own}");
    let said = site.shell.show(&line).await?;
    for expected in ["delete: deleted", "dueSince=", "there is no configmap"].iter().chain(words) {
        ensure!(said.contains(expected), "it does not say `{expected}`");
    }
    Ok(())
}

/// Verifies the chain, then alters a byte of a copy, and verifies that.
pub(super) async fn verify(site: &Site) -> Result<()> {
    let anchors =
        format!(" --from-cluster{}{}", site.context_flag, site.own_namespace_flag("--own-namespace"));
    let (ledger, copy) = (site.ledger(), site.directory.join("copy"));
    let said = site.shell.show(&format!("groundskeeper audit verify {}{anchors}", shown(&ledger))).await?;
    ensure!(said.matches("intact").count() == 2, "not both ledgers are intact");

    let (replica, sequence) = record_of(site)?;
    let file = copy.join(&replica).join("ledger-00000000000000000001.jsonl");
    site.screen.gap();
    site.screen.say("Somebody alters one byte of a copy:");
    site.shell.show(&format!("cp -r {} {}", shown(&ledger), shown(&copy))).await?;
    site.shell.show(&format!("sed -i '{sequence}s/{OBJECT}/{FORGED}/' {}", shown(&file))).await?;
    let said = site.shell.show_refused(&format!("groundskeeper audit verify {}", shown(&copy))).await?;
    let expected = format!("record {sequence} is not what was written");
    ensure!(said.contains(&replica) && said.contains(&expected), "it does not say `{expected}`");
    Ok(())
}

/// Who deleted the object, and which record says that it was meant to go. The first file has record N in line N.
fn record_of(site: &Site) -> Result<(String, u64)> {
    let ledger = site.ledger();
    for replica in std::fs::read_dir(&ledger).context("reading the ledgers")? {
        let replica = replica?;
        let found = records(&replica.path())?;
        let is_it = |record: &&Value| {
            record["kind"] == "Intent" && record.pointer("/object/name").is_some_and(|name| name == OBJECT)
        };
        if let Some(sequence) = found.iter().find(is_it).and_then(|record| record["sequence"].as_u64()) {
            return Ok((replica.file_name().to_string_lossy().into_owned(), sequence));
        }
    }
    anyhow::bail!("no ledger tells of {OBJECT}")
}

/// Asks the doctor.
pub(super) async fn check(site: &Site) -> Result<()> {
    let line = format!("groundskeeper check{}{}", site.own_namespace_flag("--namespace"), site.context_flag);
    site.shell.show(&line).await?;
    let report = site.shell.quietly(&format!("{line} -o json")).await?;
    let report: Value = serde_json::from_str(&report).context("the report is no JSON")?;
    let state = |id: &str| {
        let checks = report.get("checks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        checks.iter().find(|check| check["id"] == id).map(|check| check["state"].clone()).unwrap_or_default()
    };
    let webhook = ["gk-webhook-configuration", "gk-webhook-ca", "gk-webhook-certificate"];
    let sound =
        SOUND.into_iter().filter(|id| site.authors == Authors::Known || *id != "gk-admission-policies");
    for id in sound.chain(webhook.into_iter().filter(|_| site.webhook.is_some())) {
        ensure!(state(id) == "passed", "{id} is {}, not passed", state(id));
    }
    if site.webhook.is_none() {
        site.screen
            .say("It warns of the webhook, which was left out: your API server does not reach this machine.");
    }
    Ok(())
}
