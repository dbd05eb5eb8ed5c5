//! The reference pages: kinds from their schemas; reasons, events, metrics and settings from their tables.

#![allow(clippy::indexing_slicing, reason = "indexing JSON gives null where there is nothing")]

use anyhow::{Context as _, Result};
use api::{ConditionType, EventReason, GcReason};
use chassis::MetricName;
use chassis::rights::Scope;
use groundskeeper::check::Check;
use groundskeeper::config::{Reload, SETTINGS};
use groundskeeper::manifests::declared_rights;
use serde_json::Value;

/// The heads of the columns of [`rows`].
pub(super) const COLUMNS: &str = "| field | type | meaning | bounds | default |\n|---|---|---|---|---|\n";

pub(super) const HEADER: &str = "<!-- Made by `cargo xtask generate`; do not edit. -->\n";

/// The definition of `GarbageCollectionPolicy`.
fn definition() -> Result<Value> {
    let crds = api::crds();
    let crd =
        crds.iter().find(|crd| crd.spec.names.kind == "GarbageCollectionPolicy").context("no such kind")?;
    Ok(serde_json::to_value(crd)?)
}

/// The schema of a policy's spec.
pub(super) fn spec_schema() -> Result<Value> {
    at(&definition()?, "/spec/versions/0/schema/openAPIV3Schema/properties/spec").cloned()
}

/// The page of `GarbageCollectionPolicy`.
pub(super) fn garbage_collection_policy() -> Result<String> {
    let crd = definition()?;
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
    page += CLUSTER;
    for (heading, path) in [("Spec", "spec"), ("Status", "status")] {
        page += &format!("## {heading}\n\n{COLUMNS}");
        page.extend(rows(at(schema, &format!("/properties/{path}"))?, path).into_iter().map(|(_, row)| row));
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
    ("Delete", "Expired", "Its time is up. Under `mode: Plan` and a dry run it is only reported."),
    ("Keep", "NotYet", "Its time has not come."),
    (
        "Keep",
        "NotSelected",
        "No target selects it: the message names the namespace, label, field, name or owner that is otherwise.",
    ),
    ("Keep", "ConditionNotMet", "A condition does not hold, or `when` is false; the message says which."),
    ("Keep", "OwnerExists", "`owner.is: Gone`: an owner of it exists."),
    ("Keep", "OwnerUnknown", "`owner.is: Gone`: nobody has looked yet, or it cannot be told."),
    ("Keep", "NoMark", "`ttl.marks`: it carries none of them."),
    ("Keep", "NotDue", "`ttl.expression` gives null."),
    ("Keep", "Forever", "Its time to live has no end, or ends after the year 9999."),
    ("Keep", "Newest", "It is one of the newest of its group, which `keep` keeps."),
    ("Keep", "Oldest", "It is one of the oldest of its group, which `keep` keeps."),
    (
        "Keep",
        "KeptBy",
        "Another policy keeps it: one with `action: Keep`, or one with a higher priority, which decides alone.",
    ),
    ("Keep", "Keeping", "This policy says `action: Keep` and keeps it from others."),
    ("Keep", "NoticeDue", "Its time is up or near, and it is to be told first."),
    ("Keep", "NoticeGiven", "It was told, and the moment that was announced has not come."),
    ("Keep", "Paused", "The policy is paused."),
    ("Keep", "AwaitingApproval", "Its time is up, and the policy waits for `groundskeeper approve`."),
    ("Keep", "OutsideWindow", "Its time is up, and no window of `schedule` is open."),
    ("Keep", "OverBudget", "Its time is up, and the budget is used up by what goes before it."),
    ("Keep", "Terminating", "It is being deleted already."),
    (
        "Keep",
        "HeldByFinalizers",
        "`behavior.finalizer`: it is being deleted already, and hangs on finalizers that the policy does not take off.",
    ),
    (
        "Keep",
        "Unread",
        "It was read before the policy asked for what it reads of it, which passes with the next listing; or that takes more than 64 KiB.",
    ),
    (
        "Protected",
        "ProtectedByAnnotation",
        "It carries the annotation `groundskeeper.dev/protect` with any value but `false`.",
    ),
    (
        "Protected",
        "SystemNamespace",
        "It lies in kube-system, kube-public or kube-node-lease. `unlock: [SystemNamespaces]` lifts it.",
    ),
    ("Protected", "Namespace", "It is a namespace. `unlock: [Namespaces]` lifts it."),
    ("Protected", "Node", "It is a node. `unlock: [Nodes]` lifts it."),
    (
        "Protected",
        "CustomResourceDefinition",
        "It is the definition of a kind. `unlock: [CustomResourceDefinitions]` lifts it.",
    ),
    ("Protected", "PersistentVolume", "It is a volume. `unlock: [PersistentVolumes]` lifts it."),
    ("Protected", "Lease", "It is of the group `coordination.k8s.io`. `unlock: [Leases]` lifts it."),
    ("Protected", "HelmRelease", "Helm keeps a release in it. `unlock: [HelmReleases]` lifts it."),
    ("Protected", "OwnNamespace", "It lies in the namespace that Groundskeeper runs in."),
    (
        "Protected",
        "EssentialNamespace",
        "It is `default`, a namespace of the cluster itself, or the one that Groundskeeper runs in.",
    ),
    ("Protected", "OwnResource", "It is a resource of groundskeeper.dev, or the definition of one."),
    (
        "Protected",
        "PublishedByControlPlane",
        "The control plane puts it into every namespace: `kube-root-ca.crt`, the service account `default`.",
    ),
    ("Unresolvable", "FieldMissing", "The field that says when is missing."),
    (
        "Unresolvable",
        "NotUnderstood",
        "The field or mark that says when holds something else than it should.",
    ),
    (
        "Unresolvable",
        "NotPositive",
        "The time to live that it holds is zero or less, which never means at once.",
    ),
    ("Unresolvable", "ConditionFailed", "`when` fails on it, or gives neither true nor false."),
    (
        "Unresolvable",
        "ExpressionFailed",
        "`ttl.expression` fails on it, or gives something else than a time, a duration or null.",
    ),
    ("Unresolvable", "NoCreationTime", "It has no creationTimestamp, as a manifest that no server has seen."),
];

/// What is said of the other kind, whose spec and status are the same.
const CLUSTER: &str = "A `ClusterGarbageCollectionPolicy` (cluster, short name `cgcp`) has the same spec and status. It looks at the \
namespaces that `spec.namespaces` selects, and at kinds without namespaces. Its targets name no namespace, and it writes \
`serviceAccountName` as `namespace/name`.\n\nEach field has an [example](../gc/fields.md) that a test runs.\n\n";

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
    page += &format!("with the verbs {}. ", controllers::gc::rights::COLLECT_VERBS.join(", "));
    page += "Secrets that cleanup plugins read are granted one by one, with `--plugin-secret`.\n\n";
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

/// The page of events.
pub(super) fn events() -> String {
    let mut page = format!("{HEADER}\n# Events\n\n");
    page += "Events of `events.k8s.io/v1`, with `groundskeeper.dev/groundskeeper` as `reportingController`. Equal events ";
    page += "within ten minutes are one with a `series`; similar ones that differ in more than ten notes are combined. ";
    page += "About one object there are at most 25 in a row, and then one in five minutes.\n\n";
    page += "| about | reason | action | type | when |\n|---|---|---|---|---|\n";
    for reason in EventReason::ALL {
        page += &format!(
            "| {} | `{}` | `{}` | {} | {} |\n",
            reason.regarding(),
            reason.name(),
            reason.action(),
            reason.type_name(),
            reason.meaning()
        );
    }
    page += "| GarbageCollectionPolicy | a [reason of `Ready`](conditions.md) but `Listing` | `Observe` | Normal, or Warning ";
    page += "where the policy is stalled | `Ready` has taken this reason; the note is its message |\n";
    page
}

/// The page of conditions.
pub(super) fn conditions() -> String {
    let mut page = format!("{HEADER}\n# Conditions\n\n");
    page += "Every kind of ours has these, each with `observedGeneration`; `kubectl wait` and kstatus read them.\n\n";
    page += "| condition | true while |\n|---|---|\n";
    for type_ in ConditionType::ALL {
        page += &format!("| `{}` | {} |\n", type_.name(), type_.meaning());
    }
    page += "\n## Reasons of a GarbageCollectionPolicy\n\n`Ready` carries one of these; of the other two, the one that is ";
    page += "true carries the same.\n\n| reason | meaning |\n|---|---|\n";
    for reason in GcReason::ALL {
        page += &format!("| `{}` | {} |\n", reason.name(), reason.meaning());
    }
    page += "\nThose of node cleanup are in [its reference](../nodes/reference.md#conditions).\n";
    page
}

/// The page of settings.
pub(super) fn configuration() -> String {
    let mut page = format!("{HEADER}\n# Configuration\n\n");
    page += "Later layers win: default, file (`--config FILE` or `GROUNDSKEEPER_CONFIG`), environment, flag. How that ";
    page += "works is in [configuration](../configuration.md).\n\n";
    page += "*Live* settings take effect within seconds when the file changes; the others with the next start.\n\n";
    page += "| in the file | flag | environment | may be | default | live | meaning |\n|---|---|---|---|---|---|---|\n";
    for setting in SETTINGS {
        let other = setting.other_variable.map(|name| format!(", `{name}`")).unwrap_or_default();
        page += &format!(
            "| `{}` | `--{}` | `{}`{other} | {} | {} | {} | {} |\n",
            setting.path,
            setting.flag,
            setting.variable(),
            setting.kind.bounds(),
            setting.default_text().map(|text| format!("`{text}`")).unwrap_or_default(),
            if setting.reload == Reload::Live { "yes" } else { "" },
            setting.help
        );
    }
    page
}

/// A row for every property below `schema`, parents before children, each with the property's path.
pub(super) fn rows(schema: &Value, path: &str) -> Vec<(String, String)> {
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut rows = Vec::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let needed = if required.contains(&name.as_str()) { ", required" } else { "" };
        let meaning = text(property, "description").replace('\n', " ");
        let default =
            property.get("default").filter(|default| !default.is_object()).map(|d| format!("`{d}`"));
        let row = format!(
            "| `{path}` | {}{needed} | {meaning} | {} | {} |\n",
            text(property, "type"),
            bounds(property),
            default.unwrap_or_default()
        );
        let inner = &property["items"];
        let below = if inner["properties"].is_object() {
            self::rows(inner, &format!("{path}[]"))
        } else {
            self::rows(property, &path)
        };
        rows.push((path, row));
        rows.extend(below);
    }
    rows
}

pub(super) fn bounds(property: &Value) -> String {
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

pub(super) fn at<'a>(value: &'a Value, path: &str) -> Result<&'a Value> {
    value.pointer(path).with_context(|| format!("the CRD has no {path}"))
}

pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// The page of CEL.
pub(super) fn cel() -> String {
    let mut page = format!("{HEADER}\n# CEL: functions and limits\n\n");
    page += "What these mean together is in [expressions](../gc/cel.md).\n\n## Functions\n\n| function | written |\n|---|---|\n";
    for (name, usage) in expr::functions() {
        page += &format!("| `{name}` | `{usage}` |\n");
    }
    page += "\n## Limits\n\n| what | at most |\n|---|---|\n";
    let limits = [
        ("bytes of an expression", expr::EXPRESSION_BYTES_MAX),
        ("parts of an expression", expr::NODES_MAX),
        ("brackets and operators inside of each other", usize::from(expr::HEIGHT_MAX)),
        ("loops inside of each other", expr::LOOPS_MAX),
        ("regular expressions in one expression", expr::PATTERNS_MAX),
        ("bytes of a regular expression", expr::PATTERN_BYTES_MAX),
        ("bytes of a regular expression when compiled", expr::PATTERN_COMPILED_BYTES_MAX),
    ];
    for (what, most) in limits {
        page += &format!("| {what} | {most} |\n");
    }
    page += &format!("| steps of an evaluation on one object | {} |\n", expr::STEPS_MAX);
    page
}
