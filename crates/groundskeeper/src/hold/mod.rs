//! `groundskeeper hold` and `unhold`: keep an object, or let it go again, by its annotation.
//!
//! Whoever may edit an object may hold it; no policy overrules that.

use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use chassis::objects::{self, ObjectRef};
use serde::Serialize;
use serde_json::{Value, json};
use views::PROTECT_ANNOTATION;

use crate::cluster::{Connection, text};
use crate::kind_name::KindName;
use crate::limits::HOLD_REASON_BYTES_MAX;
use crate::names;
use crate::output::{self, Form};

/// What the annotation says if no reason is given.
const HELD: &str = "true";

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
The annotation is groundskeeper.dev/protect; its value is the reason, or \"true\". Groundskeeper never deletes an object \
that carries it, whatever a policy says. If the object is made anew meanwhile, nothing is written.

Exit status: 0, also if it was so already; 1 after any error.";

/// What `hold` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct HoldArgs {
    #[command(flatten)]
    about: About,

    /// Why the object is held, for whoever reads its annotation: one line of at most 1,024 bytes.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
}

/// What `unhold` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct UnholdArgs {
    #[command(flatten)]
    about: About,
}

/// Which object.
#[derive(clap::Args, Clone, Debug)]
struct About {
    /// The object: its kind, plural, short name or plural.group, in any case, and its name, such as configmap/report.
    #[arg(value_name = "KIND/NAME")]
    object: KindName,

    /// The object's namespace, if its kind has namespaces. Default: the kubeconfig's.
    #[arg(short, long, value_name = "NAMESPACE", value_parser = names::namespace)]
    namespace: Option<String>,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,

    #[command(flatten)]
    connection: Connection,
}

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    object: Value,
    /// Whether the object is held now.
    held: bool,
    /// Why, if somebody said so.
    reason: Option<&'a str>,
    /// Whether that is news.
    changed: bool,
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text == "false" {
        return Err("write a reason, such as `until the audit is over`, or leave it out".to_owned());
    }
    if text.len() > HOLD_REASON_BYTES_MAX || text.contains(char::is_control) {
        return Err(format!("write one line of at most {HOLD_REASON_BYTES_MAX} bytes"));
    }
    Ok(text.to_owned())
}

/// Holds an object.
pub async fn hold(args: HoldArgs) -> anyhow::Result<ExitCode> {
    write(&args.about, Some(args.reason.as_deref().unwrap_or(HELD))).await
}

/// Lets an object go again.
pub async fn unhold(args: UnholdArgs) -> anyhow::Result<ExitCode> {
    write(&args.about, None).await
}

async fn write(about: &About, wanted: Option<&str>) -> anyhow::Result<ExitCode> {
    let About { object: KindName { kind, name }, namespace, .. } = about;
    let client = about.connection.client().await?;
    let Some(resource) =
        objects::find_kind(&client, kind).await.context("cannot ask the cluster for its kinds")?
    else {
        bail!(
            "the cluster serves no kind {kind}: write it as `kubectl api-resources` does, such as jobs.batch/{name}"
        );
    };
    let namespace = namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let namespace = Some(&*namespace).filter(|_| resource.namespaced);
    let object = ObjectRef { resource: &resource, namespace, name };
    let place = namespace.map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
    let found =
        objects::look_at(&client, object).await.with_context(|| format!("cannot read {object}{place}"))?;
    let Some(found) = found else { bail!("there is no {object}{place}") };
    let before = found.pointer("/metadata/annotations").and_then(|all| all.get(PROTECT_ANNOTATION));
    let changed = before.and_then(Value::as_str) != wanted;
    if changed {
        let (uid, annotations) = (text(&found, "/metadata/uid"), json!({ PROTECT_ANNOTATION: wanted }));
        let written = objects::annotate(&client, object, &json!({ "uid": uid }), &annotations).await;
        if let Err(error) = written {
            ensure!(
                error.code() != Some(409),
                "{object}{place} was made anew meanwhile: look at it, and run this again"
            );
            return Err(error).with_context(|| format!("cannot write the annotation of {object}{place}"));
        }
    }
    let answer = Answer {
        api_version: "groundskeeper.dev/v1alpha1",
        kind: "Hold",
        object: json!({
            "apiVersion": resource.kind.api_version.to_string(), "kind": resource.kind.kind,
            "namespace": namespace.unwrap_or_default(), "name": name, "uid": text(&found, "/metadata/uid"),
        }),
        held: wanted.is_some(),
        reason: wanted.filter(|wanted| *wanted != HELD),
        changed,
    };
    match about.output {
        Form::Json => output::print_json(&answer)?,
        Form::Table => {
            let outcome = if wanted.is_some() { "held" } else { "not held" };
            let already = if changed { "" } else { " already" };
            let line = format!("{object}{place} is {outcome}{already}");
            output::print(&format!("{}\n", output::printable(&line)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_always_holds() {
        assert_eq!(reason(" until the audit is over "), Ok("until the audit is over".to_owned()));
        for text in ["", "  ", "false", "two\nlines", &"x".repeat(HOLD_REASON_BYTES_MAX + 1)] {
            assert!(reason(text).is_err(), "{text}");
        }
    }
}
