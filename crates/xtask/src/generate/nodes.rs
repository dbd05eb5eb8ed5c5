//! The pages of node cleanup: its kinds from their schemas, its words from their enums, its runbooks from the alerts.

#![allow(clippy::indexing_slicing, reason = "indexing JSON gives null where there is nothing")]

use anyhow::{Context as _, Result, ensure};
use api::node_cleanup::{GuardedBecause, NodeCondition, NodeReason};
use groundskeeper::manifests::{ALERTS, Alert};
use node_cleanup::DepartureBlocker;
use node_cleanup::drain::Reason;
use node_cleanup::maintenance::MaintenanceBlocker;
use node_cleanup::steps::{StepBlocker, StepReason};
use serde_json::Value;

use super::reference::{COLUMNS, HEADER, at, bounds, text};

/// Fields whose own fields stand somewhere else on the page: below which kind, from where on, and what is said instead.
const ELSEWHERE: [(&str, &str, &str); 5] = [
    ("NodeCleanup", "spec.steps", "spec-of-a-nodecleanuppolicy"),
    ("NodeCleanup", "spec.drain", "spec-of-a-nodecleanuppolicy"),
    ("NodeCleanup", "spec.deadlines", "spec-of-a-nodecleanuppolicy"),
    ("NodeCleanup", "spec.escalation", "spec-of-a-nodecleanuppolicy"),
    ("NodeMaintenance", "spec.drain", "spec-of-a-nodecleanuppolicy"),
];

/// A value of an enum, and what it means.
type Meaning = (&'static str, &'static str);

/// What the values of an enum mean, by the path of the field and the kind; a test holds them to the schema.
const VALUES: [(&str, &str, &[Meaning]); 6] = [
    (
        "NodeCleanupPolicy",
        "spec.escalation[].action",
        &[
            ("TightenGrace", "Pods are still evicted, and get less time to end."),
            ("DeletePods", "Pods that are still there are deleted, past their disruption budgets."),
            (
                "Abandon",
                "What has not left is left behind: the drain counts as done, and the steps after it begin.",
            ),
        ],
    ),
    (
        "NodeCleanupPolicy",
        "spec.finalizerBy",
        &[
            (
                "Automatic",
                "The API server by an admission policy where it has that (Kubernetes 1.36), else the webhook, else the controller.",
            ),
            ("AdmissionPolicy", "The API server, by a MutatingAdmissionPolicy."),
            ("Webhook", "The webhook, as the node is created."),
            ("Controller", "The controller, as soon as it sees the node."),
        ],
    ),
    (
        "NodeCleanup",
        "status.phase",
        &[
            ("Waiting", "It waits for its turn. The node is cordoned."),
            ("Settling", "After a moment the first pods are asked to leave."),
            ("Draining", "Pods leave."),
            ("Detaching", "Volumes are being detached."),
            ("CleaningUp", "Steps are taken."),
            ("Releasing", "All is done; the finalizer is taken off."),
            ("Completed", "The node is gone, and nothing of it is left."),
            ("Released", "The node is gone although not all was done, because somebody said so."),
            ("Lost", "The node was gone before all was done."),
        ],
    ),
    (
        "NodeCleanup",
        "status.steps[].state",
        &[
            ("Pending", "It has not begun."),
            ("Running", "An attempt is under way. This is written down before the plugin is asked."),
            ("Retrying", "The last attempt has failed; it is tried again."),
            ("Done", "It ended well."),
            ("Failed", "It failed for good."),
            ("Skipped", "It was not taken: its `when` was not true, or somebody skipped it."),
        ],
    ),
    (
        "NodeMaintenance",
        "status.phase",
        &[
            ("Pending", "Nothing has been done yet."),
            ("Running", "Pods leave."),
            ("Succeeded", "The node is empty, and held."),
            (
                "Failed",
                "The node was refused, or the time ran out; the blockers say why. What was cordoned stays so.",
            ),
        ],
    ),
    (
        "DrainRule",
        "spec.behavior",
        &[
            ("Drain", "The pods leave."),
            ("Skip", "They stay, and nobody waits for them."),
            ("WaitCompleted", "They are not evicted, and waited for until they have ended by themselves."),
        ],
    ),
];

/// The reference of the five kinds.
pub(super) fn reference() -> Result<String> {
    let mut page = format!("{HEADER}\n# Reference of node cleanup\n\n");
    page += "Five kinds of `groundskeeper.dev/v1alpha1`, all of the cluster. `kubectl` refuses a field that is not ";
    page += "here. A duration is a number with a unit: `s`, `m`, `h`, `d`. `kubectl explain ncp.spec` says the same.\n\n";
    for crd in api::node_crds() {
        page += &kind(&serde_json::to_value(crd)?)?;
    }
    page += &conditions();
    page += &blockers();
    page += &step_reasons();
    page += GUARD;
    for because in GuardedBecause::ALL {
        page += &format!("| `{}` | {} |\n", because.word(), sentence(because.meaning()));
    }
    Ok(page)
}

const GUARD: &str = "\n## Values of the label `groundskeeper.dev/deletion-guard`\n\nWhile a node carries it, the API server refuses its deletion. \
The controller keeps it fresh where a policy says `validateDeletion`.\n\n| value | why |\n|---|---|\n";

fn kind(crd: &Value) -> Result<String> {
    let names = at(crd, "/spec/names")?;
    let name = text(names, "kind");
    let version = at(crd, "/spec/versions/0")?;
    let schema = at(version, "/schema/openAPIV3Schema")?;
    let short: Vec<_> =
        names["shortNames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut page = format!("## {name}\n\n{}\n\n", text(schema, "description"));
    page += &format!("`kubectl get {}`, or in short `{}`", text(names, "plural"), short.join("`, `"));
    page += &columns(version);
    let parts = [("spec", "Spec"), ("status", "Status")];
    for (part, heading) in parts.into_iter().filter(|(part, _)| schema["properties"][part].is_object()) {
        page += &format!("### {heading} of a {name}\n\n{COLUMNS}");
        for row in rows(at(schema, &format!("/properties/{part}"))?, part) {
            page += &row.write(name);
        }
        page += "\n";
        for (of, path, values) in VALUES.iter().filter(|(of, path, _)| *of == name && path.starts_with(part))
        {
            ensure!(
                is_in(schema, path, values),
                "{of}: the values of {path} are others than those in the table"
            );
            page += &format!("| `{path}` | meaning |\n|---|---|\n");
            page.extend(values.iter().map(|(value, meaning)| format!("| `{value}` | {meaning} |\n")));
            page += "\n";
        }
    }
    Ok(page)
}

/// What `kubectl get` shows.
fn columns(version: &Value) -> String {
    let columns = version["additionalPrinterColumns"].as_array().into_iter().flatten();
    let mut told = String::from(", shows:\n\n| column | meaning |\n|---|---|\n");
    for column in columns {
        let wide = if column["priority"] == 1 { " (with `-o wide`)" } else { "" };
        told += &format!("| {}{wide} | {} |\n", text(column, "name"), text(column, "description"));
    }
    told + "\n"
}

/// Whether a field has these values and no others.
fn is_in(schema: &Value, path: &str, values: &[(&str, &str)]) -> bool {
    let mut found = schema;
    for step in path.split('.') {
        found = &found["properties"][step.trim_end_matches("[]")];
        if step.ends_with("[]") {
            found = &found["items"];
        }
    }
    let given = found["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    given.eq(values.iter().map(|(value, _)| *value))
}

/// One field.
struct Row {
    path: String,
    type_: String,
    is_required: bool,
    description: String,
    bounds: String,
    default: Option<String>,
}

/// A row for every property below `schema`, parents before children. What conditions have in them is said once.
fn rows(schema: &Value, path: &str) -> Vec<Row> {
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut rows = Vec::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let default = property
            .get("default")
            .filter(|default| !default.is_object() && !default.is_array() && **default != "");
        rows.push(Row {
            type_: text(property, "type").to_owned(),
            is_required: required.contains(&name.as_str()),
            description: text(property, "description").replace('\n', " "),
            bounds: bounds(property),
            default: default
                .map(|default| default.as_str().map_or_else(|| default.to_string(), str::to_owned)),
            path: path.clone(),
        });
        if name == "conditions" {
            continue;
        }
        let below = [(&property["items"], "[]"), (&property["additionalProperties"], ".KEY"), (property, "")];
        let below = below.into_iter().find(|(inner, _)| inner["properties"].is_object());
        rows.extend(below.into_iter().flat_map(|(inner, mark)| self::rows(inner, &format!("{path}{mark}"))));
    }
    rows
}

impl Row {
    fn write(&self, kind: &str) -> String {
        let Self { path, type_, is_required, description, bounds, default } = self;
        let is_below = |from: &str| path.strip_prefix(from).is_some_and(|rest| rest.starts_with(['.', '[']));
        let elsewhere = ELSEWHERE.iter().filter(|(of, ..)| *of == kind);
        if elsewhere.clone().any(|(_, from, _)| is_below(from)) {
            return String::new();
        }
        let link = elsewhere.clone().find(|(_, from, _)| *from == path);
        let link = link
            .map(|(_, _, anchor)| format!(" Its fields are those [of a NodeCleanupPolicy](#{anchor})."))
            .unwrap_or_default();
        let (meaning, said) = split(description);
        let default = default.as_ref().map(|default| format!("`{default}`")).or(said).unwrap_or_default();
        let needed = if *is_required { ", required" } else { "" };
        let bounds = in_words(description).unwrap_or_else(|| bounds.clone());
        format!("| `{path}` | {type_}{needed} | {meaning}{link} | {bounds} | {default} |\n")
    }
}

/// A description without what holds if the field is left out, and that.
fn split(description: &str) -> (String, Option<String>) {
    for mark in ["Default: ", "Left out: ", "; default: "] {
        let Some((before, after)) = description.split_once(mark) else { continue };
        let (default, rest) = after.split_once(". ").unwrap_or((after.trim_end_matches('.'), ""));
        let stop = if mark.starts_with(';') { ". " } else { "" };
        return (format!("{before}{stop}{rest}").trim().to_owned(), Some(default.trim().to_owned()));
    }
    (description.to_owned(), None)
}

/// The bounds of a duration, which its description says: the schema knows only how long the text may be.
fn in_words(description: &str) -> Option<String> {
    let (_, after) = description.split_once("from `")?;
    let (least, after) = after.split_once("` to `")?;
    let (most, _) = after.split_once('`')?;
    Some(format!("`{least}` to `{most}`"))
}

/// A text that ends as a sentence does.
fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

fn conditions() -> String {
    let mut page = String::from(
        "## Conditions\n\nEach has `type`, `status`, `reason`, `message`, `lastTransitionTime` and ",
    );
    page += "`observedGeneration`. `Ready`, `Reconciling` and `Stalled` are those of every kind of ours but DrainRule, which has no status; ";
    page += "`Blocked` and `Drained` are those of departures and maintenances, `VolumesDetached` of departures alone.\n\n";
    page += "| condition | true while |\n|---|---|\n";
    for condition in NodeCondition::ALL {
        page += &format!("| `{}` | {} |\n", condition.name(), condition.meaning());
    }
    page += "\n### Reasons\n\n`Blocked` has the reason of its first blocker, below, or `AsExpected`.\n\n| reason | meaning |\n|---|---|\n";
    for reason in NodeReason::ALL {
        page += &format!("| `{}` | {} |\n", reason.name(), reason.meaning());
    }
    page
}

fn blockers() -> String {
    let mut page = String::from(
        "\n## Blockers\n\nWhat stands in the way, in `status.blockers` of a departure or a maintenance and in ",
    );
    page += "`groundskeeper nodes plan`: `reason`, `message` (with what would lift it), `objects`, `since`, `nextTry`. ";
    page += "Programs read the reason. What the drain costs is told by the same words in `status.risks`, before the first pod is ";
    page += "asked to leave.\n\n### Of a departure as a whole\n\n| reason | meaning |\n|---|---|\n";
    let row = |name: &str, meaning: &str| format!("| `{name}` | {} |\n", sentence(meaning));
    page.extend(DepartureBlocker::ALL.map(|blocker| row(blocker.name(), blocker.meaning())));
    page += "\n### Of steps\n\n| reason | meaning |\n|---|---|\n";
    page.extend(StepBlocker::ALL.map(|blocker| row(blocker.name(), blocker.meaning())));
    page += "\n### Of a maintenance\n\n| reason | meaning |\n|---|---|\n";
    page.extend(MaintenanceBlocker::ALL.map(|blocker| row(blocker.name(), blocker.meaning())));
    page += "\n### Of pods and volumes\n\nThose that block nothing are reasons of a pod in `groundskeeper nodes plan`.\n\n| reason | meaning |\n|---|---|\n";
    page.extend(Reason::ALL.map(|reason| row(reason.name(), reason.meaning())));
    page
}

fn step_reasons() -> String {
    let mut page = String::from(
        "\n## Reasons of steps\n\nIn `status.steps[].reason`, where the plugin has no word of its own.\n\n",
    );
    page += "| reason | meaning |\n|---|---|\n";
    for reason in StepReason::ALL {
        page += &format!("| `{}` | {} |\n", reason.name(), reason.meaning());
    }
    page
}

/// The contract of plugins, for programs.
pub(super) fn contract() -> Result<String> {
    let mut schema = node_cleanup::contract::schema();
    // The order of keys would else depend on a feature of serde_json that any dependency may turn on.
    schema.sort_all_objects();
    let text = serde_json::to_string_pretty(&schema).context("writing the schema")?;
    Ok(format!("{text}\n"))
}

/// A section for each alert, whose heading is its name, so that the alert leads there.
pub(super) fn runbooks() -> String {
    let mut page = format!("{HEADER}\n# Runbooks of node cleanup\n\n");
    page += "A section for each alert of [deploy/alerts.yaml](../../deploy/alerts.yaml), a PrometheusRule: `kubectl apply -f deploy/alerts.yaml`. ";
    page += "`NODE` is the node's name, `UID` its UID and with that the name of its record. What the words mean is in the ";
    page += "[reference](../nodes/reference.md#blockers).\n";
    for Alert { name, expression, lasts, severity, meaning, look, causes, .. } in &ALERTS {
        page += &format!(
            "\n## {name}\n\n*{severity}, after {lasts}*\n\n{meaning}\n\n```promql\n{expression}\n```\n\nLook first:\n\n```console\n"
        );
        page.extend(look.iter().map(|line| format!("$ {line}\n")));
        page += "```\n\n| if it is this | then |\n|---|---|\n";
        page.extend(causes.iter().map(|(cause, act)| format!("| {cause} | {act} |\n")));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_if_a_field_is_left_out_is_taken_out_of_its_description() {
        let table = [
            ("How long. Default: `5m`.", ("How long.", Some("`5m`"))),
            ("Seconds, 1 to 5. Only for A; default: 30.", ("Seconds, 1 to 5. Only for A.", Some("30"))),
            ("Which. Left out: all. More.", ("Which. More.", Some("all"))),
            ("Its name.", ("Its name.", None)),
        ];
        for (description, (meaning, default)) in table {
            assert_eq!(split(description), (meaning.to_owned(), default.map(str::to_owned)), "{description}");
        }
    }

    #[test]
    fn the_bounds_of_a_duration_are_read_from_its_words() {
        assert_eq!(in_words("Such as `30d`: from `1m` to `366d`.").as_deref(), Some("`1m` to `366d`"));
        assert_eq!(in_words("From the first."), None);
    }

    #[test]
    fn no_cell_of_a_table_ends_it() {
        let page = reference().unwrap();
        for line in page.lines().filter(|line| line.starts_with("| ")) {
            let cells = line.replace("\\|", "").matches(" |").count();
            assert!(matches!(cells, 2 | 5), "{line}");
        }
    }
}
