//! The pages that are made of examples: all fields of a policy, each with its description from the schema, and the cookbook.
//!
//! An example is a file with policies and objects. Its first lines say what becomes of the objects, and which fields it shows;
//! a test of the binary holds it to that.

use anyhow::{Context as _, Result, ensure};

use super::reference::{COLUMNS, HEADER, rows, spec_schema};

/// A file with policies and objects.
struct Example {
    /// From `docs/gc`.
    path: &'static str,
    text: &'static str,
}

macro_rules! examples {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(Example {
            path: concat!("examples/", $folder, "/", $name, ".yaml"),
            text: include_str!(concat!("../../../../docs/gc/examples/", $folder, "/", $name, ".yaml")),
        }),*]
    };
}

/// Headings, and the examples below each in their order.
const PARTS: [(&str, &[Example]); 4] = [
    (
        "What",
        examples!["fields": "target", "field-selector", "names", "owner", "several-kinds", "namespaces"],
    ),
    (
        "When",
        examples![
            "fields":
            "seconds-after-creation",
            "after",
            "field-path",
            "relative-to",
            "at",
            "expression",
            "marks",
        ],
    ),
    (
        "Which",
        examples![
            "fields":
            "phase",
            "has-labels",
            "operators",
            "groups",
            "when",
            "keep-newest",
            "keep-oldest",
            "keep-by-field",
        ],
    ),
    (
        "How",
        examples![
            "fields":
            "mode",
            "action",
            "priority",
            "budget",
            "schedule",
            "notice",
            "unlock",
            "behavior",
            "finalizer",
            "paused",
            "evaluation-interval",
            "service-account-name",
        ],
    ),
];

/// What users ask for.
const TASKS: &[Example] = examples![
    "cookbook":
    "finished-jobs",
    "failed-jobs-later",
    "cronjob-history",
    "completed-pods",
    "evicted-pods",
    "preview-namespaces",
    "old-replicasets",
    "ci-leftovers",
    "keep-last-5",
    "temporary-configmaps",
    "orphaned-volumes",
    "ttl-annotation",
    "other-tools-marks",
    "expire-at-a-date",
    "tekton-and-argo",
    "helm-releases",
    "e2e-secrets",
    "owner-gone",
    "finalizer-nobody-owns",
    "weekends-only",
    "notice-a-day-before",
    "protect-by-policy",
    "longer-for-one-team",
    "large-clean-up",
    "as-a-service-account",
];

/// Properties whose own properties are explained elsewhere, and where.
const ALIKE: [(&str, &str); 7] = [
    ("spec.targetResources[]", "the parts of `targetResource`"),
    ("spec.namespaces.selector", "the parts of `targetResource.labelSelector`"),
    ("spec.conditions.or[]", "the parts of `conditions.and[]`"),
    ("spec.conditions.not[]", "the parts of `conditions.and[]`"),
    ("spec.conditions.and[].and[]", "`fieldPath`, `operator`, `value` and `values`"),
    ("spec.conditions.and[].or[]", "`fieldPath`, `operator`, `value` and `values`"),
    ("spec.conditions.and[].not[]", "`fieldPath`, `operator`, `value` and `values`"),
];

const INTRODUCTION: &str = "Every field of a policy, with an example. Each example is a file with policies and objects; a test \
runs them all. Try one:\n\n```console\n$ groundskeeper plan -f docs/gc/examples/fields/after.yaml --at 2026-11-21T12:00:00Z --all\n\
```\n\nTypes, bounds and defaults of all fields in one table, with the fields of the status, are in the \
[reference](../reference/garbagecollectionpolicy.md). What the reasons mean is in [how it decides](how-it-decides.md).\n";

const COOKBOOK: &str = "Tasks of users, each as a file with policies and objects that a test runs. Begin with `mode: Plan`, look at \
`groundskeeper plan`, and write `mode: Enforce` then. Whatever a recipe says, an object with the annotation \
`groundskeeper.dev/protect: \"true\"` stays. Every kind has to be opted in once: `groundskeeper install --collect jobs.batch`.\n\n\
```console\n$ groundskeeper plan -f docs/gc/examples/cookbook/finished-jobs.yaml --at 2026-11-21T12:00:00Z --all\n```\n\n\
Each field is explained in [fields](fields.md), each reason in [how it decides](how-it-decides.md).\n";

/// The page of all fields.
pub(super) fn fields() -> Result<String> {
    let schema = spec_schema()?;
    let is_part =
        |path: &str, whole: &str| path.strip_prefix(whole).is_some_and(|rest| rest.starts_with('.'));
    let mut left = rows(&schema, "spec");
    left.retain(|(path, _)| !ALIKE.iter().any(|(alike, _)| is_part(path, alike)));
    let all: Vec<_> = left.iter().map(|(path, _)| path.clone()).collect();
    let mut page = format!("{HEADER}\n# Fields\n\n{INTRODUCTION}");
    for (heading, examples) in PARTS {
        page += &format!("\n## {heading}\n");
        for example in examples {
            page += &field_section(example, &mut left)
                .with_context(|| format!("the example {}", example.path))?;
        }
    }
    // What is left has parts, and they have been shown.
    for (path, _) in &left {
        let is_whole = |other: &String| is_part(other, path) || is_part(other, &format!("{path}[]"));
        ensure!(all.iter().any(is_whole), "no example shows {path}");
    }
    Ok(page)
}

/// The page of tasks.
pub(super) fn cookbook() -> Result<String> {
    let mut page = format!("{HEADER}\n# Cookbook\n\n{COOKBOOK}");
    for example in TASKS {
        page += &task_section(example).with_context(|| format!("the example {}", example.path))?;
    }
    Ok(page)
}

fn task_section(example: &Example) -> Result<String> {
    let Head { title, prose, outcome, .. } = example.head()?;
    let policies = policies_of(example.text);
    Ok(format!("\n## {title}\n\n{prose}```yaml\n{policies}```\n\n{outcome}"))
}

/// An example, with the rows of the fields that it shows; takes them out of what is left to be shown.
fn field_section(example: &Example, left: &mut Vec<(String, String)>) -> Result<String> {
    let Head { title, prose, shows, outcome } = example.head()?;
    let mut shown = Vec::new();
    for field in &shows {
        shown.extend(taken(field, left)?);
    }
    let rows: String = shown.iter().map(|(_, row)| &**row).collect();
    let (hints, policies) = (hints(&shown), policies_of(example.text));
    Ok(format!("\n### {title}\n\n{prose}{COLUMNS}{rows}{hints}\n```yaml\n{policies}```\n\n{outcome}"))
}

/// What the first lines of an example say.
struct Head {
    title: String,
    /// Ends with an empty line, if there is any.
    prose: String,
    shows: Vec<String>,
    /// A table.
    outcome: String,
}

impl Example {
    fn head(&self) -> Result<Head> {
        let comments: Vec<_> = self.text.lines().map_while(|line| line.strip_prefix('#')).collect();
        let start = |what: &str| comments.iter().position(|line| line.starts_with(what));
        let at = start(" At ").context("it has no line `# At TIME:`")?;
        let shows = start(" Shows: ").unwrap_or(at);
        let part = |range: std::ops::Range<usize>| {
            let lines = comments.get(range).unwrap_or_default().iter().map(|line| line.trim());
            lines.collect::<Vec<_>>().join("\n").trim().to_owned()
        };
        let prose = part(1..shows);
        let named = part(shows..at).replace("Shows:", "").replace('\n', " ");
        let named = named.split(',').map(str::trim).filter(|field| !field.is_empty());
        Ok(Head {
            title: part(0..1),
            prose: if prose.is_empty() { prose } else { format!("{prose}\n\n") },
            shows: named.map(str::to_owned).collect(),
            outcome: outcome(comments.get(at..).unwrap_or_default(), self.path)?,
        })
    }
}

/// The rows of a field and its parts.
fn taken(field: &str, left: &mut Vec<(String, String)>) -> Result<Vec<(String, String)>> {
    let field = format!("spec.{field}");
    let is_shown = |(path, _): &mut (String, String)| {
        path.strip_prefix(&field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let shown: Vec<_> = left.extract_if(.., is_shown).collect();
    ensure!(!shown.is_empty(), "{field} is no field, or another example shows it already");
    Ok(shown)
}

/// Where the parts of fields are explained that have none here.
fn hints(shown: &[(String, String)]) -> String {
    let hint = |(path, _): &(String, String)| {
        let (alike, parts) = ALIKE.iter().find(|(alike, _)| alike.trim_end_matches("[]") == path)?;
        Some(format!("`{alike}` has {parts}.\n"))
    };
    let hints = shown.iter().filter_map(hint).collect::<String>();
    if hints.is_empty() { hints } else { format!("\n{hints}") }
}

/// The documents that are policies, as they stand in the file.
fn policies_of(text: &str) -> String {
    let body = text.lines().skip_while(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let policies =
        body.split("\n---\n").filter(|document| document.contains("apiVersion: groundskeeper.dev/"));
    policies.map(|policy| format!("{}\n", policy.trim_end())).collect::<Vec<_>>().join("---\n")
}

/// What becomes of the objects.
fn outcome(lines: &[&str], path: &str) -> Result<String> {
    let (at, rows) = lines.split_first().context("nothing is promised")?;
    let at = at.trim().trim_start_matches("At ").trim_end_matches(':');
    let several = rows.iter().any(|row| row.contains(": "));
    let policy = if several { "| policy " } else { "" };
    let line = if several { "|---" } else { "" };
    let mut table = format!("At {at}, of the objects in [the file]({path}):\n\n");
    table += &format!("{policy}| object | verdict | reason |\n{line}|---|---|---|\n");
    for row in rows {
        let cells = row.split_whitespace().map(|cell| format!("| `{}` ", cell.trim_end_matches(':')));
        table += &format!("{}|\n", cells.collect::<String>());
    }
    Ok(table)
}
