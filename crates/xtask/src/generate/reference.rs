//! The reference pages: kinds from their schemas, reasons and metrics from their tables.

#![allow(clippy::indexing_slicing, reason = "indexing JSON gives null where there is nothing")]

use anyhow::{Context as _, Result};
use api::GcReason;
use chassis::MetricName;
use chassis::rights::Scope;
use groundskeeper::check::Check;
use groundskeeper::manifests::declared_rights;
use serde_json::Value;

const HEADER: &str = "<!-- Made by `cargo xtask generate`; do not edit. -->\n";

/// The page of `GarbageCollectionPolicy`.
pub(super) fn garbage_collection_policy() -> Result<String> {
    let crds = api::crds();
    let crd =
        crds.iter().find(|crd| crd.spec.names.kind == "GarbageCollectionPolicy").context("no such kind")?;
    let crd = serde_json::to_value(crd)?;
    let names = at(&crd, "/spec/names")?;
    let schema = at(&crd, "/spec/versions/0/schema/openAPIV3Schema")?;
    let mut page = format!("{HEADER}\n# {}\n\n{}\n\n", text(names, "kind"), text(schema, "description"));
    let short: Vec<_> =
        names["shortNames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    page += &format!(
        "`{}/{}`, {}, short names {}.\n\n",
        text(at(&crd, "/spec")?, "group"),
        text(at(&crd, "/spec/versions/0")?, "name"),
        text(at(&crd, "/spec")?, "scope").to_lowercase(),
        short.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    );
    for (heading, path) in [("Spec", "spec"), ("Status", "status")] {
        page += &format!(
            "## {heading}\n\n| field | type | meaning | bounds | default |\n|---|---|---|---|---|\n"
        );
        fields(at(schema, &format!("/properties/{path}"))?, path, &mut page);
        page += "\n";
    }
    page += "## Conditions\n\n`Ready`, `Reconciling` and `Stalled` are always present, each with `observedGeneration`. ";
    page +=
        "`Ready` carries one of these reasons; of the other two, the one that is true carries the same.\n\n";
    page += "| reason | meaning |\n|---|---|\n";
    for reason in GcReason::ALL {
        page += &format!("| `{}` | {} |\n", reason.name(), reason.meaning());
    }
    page += "\n## Events\n\nOn the policy, in its namespace (`kubectl events --for gcp/NAME`).\n\n";
    page += "| reason | type | when |\n|---|---|---|\n";
    page += "| `Deleted` | Normal | objects were deleted; at most one event in 10 s, with the first names and the number |\n";
    page += "| a reason of `Ready` | Normal, or Warning where the policy is stalled | `Ready` has taken this reason |\n";
    page += "\n## Verdicts of `groundskeeper plan`\n\n| verdict | reason | meaning |\n|---|---|---|\n";
    for (verdict, reason, meaning) in VERDICTS {
        page += &format!("| `{verdict}` | `{reason}` | {meaning} |\n");
    }
    Ok(page)
}

const VERDICTS: &[(&str, &str, &str)] = &[
    ("Delete", "Expired", "Its time is up. Under a dry run it is only reported."),
    ("Keep", "NotYet", "Its time has not come."),
    ("Keep", "NotSelected", "The policy's labelSelector does not select it."),
    ("Keep", "Terminating", "It is being deleted already."),
    ("Keep", "Paused", "The policy is paused."),
    ("Protected", "SystemNamespace", "It lies in kube-system, kube-public or kube-node-lease."),
    ("Protected", "OwnNamespace", "It lies in the namespace that Groundskeeper runs in."),
    ("Protected", "Lease", "It is a lease."),
    ("Protected", "OwnResource", "It is a resource of groundskeeper.dev."),
    (
        "Protected",
        "PublishedByControlPlane",
        "The control plane puts it into every namespace: `kube-root-ca.crt`, the service account `default`.",
    ),
    (
        "Protected",
        "ProtectedByAnnotation",
        "It carries the annotation `groundskeeper.dev/protect` with any value but `false`.",
    ),
    ("Unresolvable", "NoCreationTime", "It has no creationTimestamp, as a manifest that no server has seen."),
];

/// The page of checks: a section for each, whose heading is its id, so that hints lead there.
pub(super) fn checks() -> String {
    let mut page = format!("{HEADER}\n# Checks\n\n");
    page += "`groundskeeper check` looks at an installation, `groundskeeper check --pre` at a cluster before one. Neither ";
    page += "changes anything. What you may not look at is skipped, and said to be. The exit status is 1 only if a check ";
    page += "failed that is fatal; `-o json` writes all of it for programs.\n";
    for check in Check::ALL {
        let when = if check.is_made_before() { ", also with `--pre`" } else { "" };
        let when = if check == Check::InstallRights { ", with `--pre` only" } else { when };
        page += &format!("\n## {}\n\n*{}{when}*\n\n", check.id(), check.severity().name());
        page += &format!("{}\n\nIf it fails: {}\n", check.meaning(), check.remedy());
    }
    page
}

/// The page of rights, as the code declares them.
pub(super) fn rights() -> String {
    let mut page =
        format!("{HEADER}\n# Rights\n\nWhat the operator may do, and what for. `groundskeeper install` and ");
    page += "`groundskeeper rbac` make a role `groundskeeper-<component>` of each component's rows; `groundskeeper check` ";
    page += "asks the cluster about every one. Kinds that policies collect are granted apart from these, kind by kind, ";
    page += &format!("with the verbs {}.\n\n", controllers::gc::rights::COLLECT_VERBS.join(", "));
    page += "| component | where | resource | only | verbs | needed |\n|---|---|---|---|---|---|\n";
    for right in declared_rights() {
        let place = match right.scope {
            Scope::Cluster => "cluster",
            Scope::OwnNamespace => "own namespace",
        };
        let dot = if right.group.is_empty() { "" } else { "." };
        let named = |resource: &&str| match resource.split_once('/') {
            Some((resource, part)) => format!("`{resource}{dot}{}/{part}`", right.group),
            None => format!("`{resource}{dot}{}`", right.group),
        };
        let resources: Vec<_> = right.resources.iter().map(named).collect();
        let names: Vec<_> = right.names.iter().map(|name| format!("`{name}`")).collect();
        page += &format!(
            "| {} | {place} | {} | {} | {} | {} |\n",
            right.component.name(),
            resources.join(", "),
            names.join(", "),
            right.verbs.join(", "),
            right.why
        );
    }
    page
}

/// The page of metrics.
pub(super) fn metrics() -> String {
    let mut page = format!("{HEADER}\n# Metrics\n\nServed at `/metrics` in the OpenMetrics text format.\n\n");
    page += "| metric | type | labels | meaning |\n|---|---|---|---|\n";
    for metric in MetricName::ALL {
        let labels: Vec<_> = metric.labels().iter().map(|label| format!("`{label}`")).collect();
        page += &format!(
            "| `{}` | {} | {} | {} |\n",
            metric.exported(),
            metric.type_name(),
            labels.join(", "),
            metric.help()
        );
    }
    page
}

/// A row for every property below `schema`, parents before children.
fn fields(schema: &Value, path: &str, page: &mut String) {
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let needed = if required.contains(&name.as_str()) { ", required" } else { "" };
        let meaning = text(property, "description").replace('\n', " ");
        let default =
            property.get("default").filter(|default| !default.is_object()).map(|d| format!("`{d}`"));
        *page += &format!(
            "| `{path}` | {}{needed} | {meaning} | {} | {} |\n",
            text(property, "type"),
            bounds(property),
            default.unwrap_or_default()
        );
        fields(property, &path, page);
        if property["items"]["properties"].is_object() {
            fields(&property["items"], &format!("{path}[]"), page);
        }
    }
}

fn bounds(property: &Value) -> String {
    let number = |name: &str| property.get(name).and_then(Value::as_f64).map(|number| format!("{number:.0}"));
    let mut bounds = Vec::new();
    if let (Some(least), Some(most)) = (number("minimum"), number("maximum")) {
        bounds.push(format!("{least} to {most}"));
    }
    for (name, what) in [("maxLength", "characters"), ("maxItems", "items"), ("maxProperties", "entries")] {
        bounds.extend(number(name).map(|most| format!("at most {most} {what}")));
    }
    if let Some(values) = property["enum"].as_array() {
        bounds.push(values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
    }
    let rules = property["x-kubernetes-validations"].as_array();
    bounds.extend(rules.into_iter().flatten().map(|rule| text(rule, "message").to_owned()));
    bounds.join("; ")
}

fn at<'a>(value: &'a Value, path: &str) -> Result<&'a Value> {
    value.pointer(path).with_context(|| format!("the CRD has no {path}"))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
