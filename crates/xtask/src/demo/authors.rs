//! A policy does only what its author may do: one file, written by two people.

use anyhow::{Result, ensure};

use super::limits::SOON;
use super::site::{Authors, Site};

/// Deletes ConfigMaps, at a rate that can be watched.
pub(super) const POLICY_FILE: &str = "examples/gc/sessions.yaml";

/// Somebody who may write policies here, and nothing else.
const SOMEBODY: &str = "rose";

/// Shows who is refused, and who is not; the policy is there in the end.
pub(super) async fn play(site: &Site) -> Result<()> {
    if site.authors == Authors::Unknown {
        site.screen.say(
            "Left out: this cluster is older than Kubernetes 1.36 and does not reach a webhook on this machine, so \
             nobody notes down who wrote a policy. The operator runs with --author-check off.",
        );
    } else {
        be_refused(site).await?;
    }
    site.shell.show(&site.kubectl(&format!("apply -f {POLICY_FILE}"))).await?;
    let wait =
        site.kubectl(&format!("wait --for=condition=Ready gcp/sessions --timeout={}s", SOON.as_secs()));
    site.shell.quietly(&wait).await?;
    let form = r"{.metadata.annotations.groundskeeper\.dev/author}";
    let author = site.kubectl(&format!("get gcp sessions -o jsonpath='{form}'"));
    if site.authors == Authors::Known {
        let author = site.shell.show(&author).await?;
        ensure!(!author.trim().is_empty(), "nobody has noted down who wrote the policy");
        site.screen.gap();
        site.screen
            .holds("the API server itself writes the author down, and the operator asks what the author may");
    }
    Ok(())
}

async fn be_refused(site: &Site) -> Result<()> {
    site.screen.say(&format!(
        "{SOMEBODY} may write policies, and may not touch a ConfigMap. Through the operator, who may, {SOMEBODY} \
         cannot either."
    ));
    let grant = format!("create rolebinding {SOMEBODY} --clusterrole=groundskeeper-edit --user={SOMEBODY}");
    site.shell.show(&site.kubectl(&grant)).await?;
    let create = site.kubectl(&format!("create --as={SOMEBODY} -f {POLICY_FILE}"));
    if site.webhook.is_some() {
        in_force(site, &create).await?;
        let said = site.shell.show_refused(&create).await?;
        return is_explained(&said);
    }
    site.screen.aside(
        "(Your API server does not reach a webhook on this machine. What it misses, the operator asks.)",
    );
    site.shell.show(&create).await?;
    let form = "{range .status.conditions[?(@.type==\"Ready\")]}{.reason}: {.message}{end}";
    let line = site.kubectl(&format!("get gcp sessions -o jsonpath='{form}'"));
    let is_judged = |output: &str| output.starts_with("AuthorForbidden");
    site.shell.eventually("the operator refuses to carry the policy out", &line, is_judged).await?;
    is_explained(&site.shell.show(&line).await?)?;
    site.shell.show(&site.kubectl("delete gcp sessions")).await.map(drop)
}

fn is_explained(said: &str) -> Result<()> {
    ensure!(said.contains(SOMEBODY) && said.contains("configmaps"), "the refusal does not say why: {said}");
    Ok(())
}

/// Waits until the API server asks the webhook, and knows the new right: both take it a moment.
async fn in_force(site: &Site, create: &str) -> Result<()> {
    let line = format!("{create} --dry-run=server 2>&1");
    let is_asked = |output: &str| output.contains("policies.groundskeeper.dev");
    site.shell.eventually("the API server asks our webhook", &line, is_asked).await.map(drop)
}
