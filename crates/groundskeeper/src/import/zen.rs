//! What zen-gc's policies are, and how they are read.
//!
//! Types of a format that is not ours: every field that its collector read, and a place for what it did not know, so
//! that nothing is lost unsaid. Null counts as left out, as in Go.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::limits::{DOCUMENTS_MAX, FILES_MAX};
use crate::plan::documents::{self, Malformed};
use crate::plan::input::{files_of, name_of, text_of};
use crate::plan::problems::Problems;

/// What its policies are called, in each of its groups.
pub(crate) const KIND: &str = "GarbageCollectionPolicy";
/// Their version, in each of its groups.
pub(crate) const VERSION: &str = "v1alpha1";
/// The groups that a collector of theirs has read policies of, the oldest first.
pub(crate) const GROUPS: [&str; 3] = ["gc.k8s.io", "gc.kube-zen.io", "gc.ops.zen-mesh.io"];

/// What stands in files that a collector of another name may have left.
pub(super) type Unknown = BTreeMap<String, Value>;

/// Who read policies of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The first releases: `gc.kube-zen.io`, and before it `gc.k8s.io`.
    KubeZen,
    /// The later ones: `gc.ops.zen-mesh.io`.
    ZenMesh,
    /// Nobody: `gc.zen-mesh.io` stands in a test script alone.
    Nobody,
}

impl Line {
    fn of(group: &str) -> Option<Self> {
        match group {
            "gc.kube-zen.io" | "gc.k8s.io" => Some(Self::KubeZen),
            "gc.ops.zen-mesh.io" => Some(Self::ZenMesh),
            "gc.zen-mesh.io" => Some(Self::Nobody),
            _ => None,
        }
    }
}

/// A policy as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) origin: String,
    pub(super) line: Line,
    pub(super) policy: ZenPolicy,
}

/// A policy that is none for our purposes, and why.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) origin: String,
    pub(super) name: String,
    pub(super) reason: String,
}

/// What the files hold.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) found: Vec<Found>,
    pub(super) unreadable: Vec<Unreadable>,
    /// Documents of other kinds.
    pub(super) others: Vec<Value>,
    files: usize,
    documents: usize,
}

#[derive(Debug, Deserialize)]
pub(super) struct ZenPolicy {
    #[serde(default)]
    pub(super) metadata: ZenMetadata,
    pub(super) spec: ZenSpec,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ZenMetadata {
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ZenSpec {
    pub(super) target_resource: ZenTarget,
    pub(super) ttl: Option<ZenTtl>,
    pub(super) conditions: Option<ZenConditions>,
    pub(super) behavior: Option<ZenBehavior>,
    pub(super) evaluation_interval: Option<String>,
    pub(super) paused: Option<bool>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ZenTarget {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespace: Option<String>,
    pub(super) label_selector: Option<Value>,
    pub(super) field_selector: Option<ZenFieldSelector>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ZenFieldSelector {
    pub(super) match_fields: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ZenTtl {
    pub(super) seconds_after_creation: Option<i64>,
    pub(super) field_path: Option<String>,
    pub(super) mappings: Option<BTreeMap<String, i64>>,
    pub(super) default: Option<i64>,
    pub(super) relative_to: Option<String>,
    pub(super) seconds_after: Option<i64>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ZenConditions {
    pub(super) phase: Option<Vec<String>>,
    pub(super) has_labels: Option<Vec<ZenKey>>,
    pub(super) has_annotations: Option<Vec<ZenKey>>,
    pub(super) and: Option<Vec<ZenField>>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

#[derive(Debug, Deserialize)]
pub(super) struct ZenKey {
    pub(super) key: String,
    pub(super) value: Option<String>,
    pub(super) operator: Option<String>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ZenField {
    pub(super) field_path: String,
    pub(super) operator: Option<String>,
    pub(super) value: Option<String>,
    pub(super) values: Option<Vec<String>>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ZenBehavior {
    pub(super) max_deletions_per_second: Option<i64>,
    pub(super) batch_size: Option<i64>,
    pub(super) dry_run: Option<bool>,
    pub(super) finalizer: Option<String>,
    pub(super) propagation_policy: Option<String>,
    pub(super) grace_period_seconds: Option<i64>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// Reads files, directories and standard input.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Input> {
    let mut input = Input::default();
    let mut problems = Problems::default();
    for path in paths {
        match files_of(path) {
            Ok(files) => files.iter().try_for_each(|file| input.file(file, &mut problems))?,
            Err(error) => problems.add(format!("{error:#}")),
        }
    }
    problems.into_result()?;
    Ok(input)
}

impl Input {
    fn file(&mut self, path: &Path, problems: &mut Problems) -> anyhow::Result<()> {
        self.files += 1;
        ensure!(self.files <= FILES_MAX, "there are more than {FILES_MAX} files: give fewer at a time");
        let text = match text_of(path) {
            Ok(text) => text,
            Err(error) => {
                problems.add(format!("{error:#}"));
                return Ok(());
            }
        };
        let name = name_of(path);
        for document in documents::split(text.strip_prefix('\u{feff}').unwrap_or(&text)) {
            let read = document.and_then(|document| Ok((document.number, document.parse::<Value>()?)));
            match read {
                Ok((number, value)) => self.document(&format!("{name}, document {number}"), value)?,
                Err(Malformed { document, line, message }) => {
                    let line = line.map_or_else(String::new, |line| format!(", line {line}"));
                    problems.add(format!("{name}, document {document}{line}: {message}"));
                }
            }
        }
        Ok(())
    }

    fn document(&mut self, origin: &str, mut document: Value) -> anyhow::Result<()> {
        self.documents += 1;
        if self.documents > DOCUMENTS_MAX {
            bail!("there are more than {DOCUMENTS_MAX} documents: give fewer at a time");
        }
        let kind = text_at(&document, "/kind").to_owned();
        let Some(items) = document.get_mut("items").filter(|_| kind.ends_with("List")).map(Value::take)
        else {
            self.policy(origin.to_owned(), document);
            return Ok(());
        };
        let api_version = text_at(&document, "/apiVersion").to_owned();
        let items = if let Value::Array(items) = items { items } else { Vec::new() };
        for (at, mut item) in items.into_iter().enumerate() {
            // Items of a typed list need not repeat its type.
            if let (Value::Object(fields), Some(kind)) = (&mut item, kind.strip_suffix("List"))
                && !kind.is_empty()
            {
                fields.entry("apiVersion").or_insert_with(|| api_version.clone().into());
                fields.entry("kind").or_insert_with(|| kind.into());
            }
            self.document(&format!("{origin}, items[{at}]"), item)?;
        }
        Ok(())
    }

    fn policy(&mut self, origin: String, document: Value) {
        let (api_version, kind) = (text_at(&document, "/apiVersion"), text_at(&document, "/kind"));
        let (group, version) = api_version.split_once('/').unwrap_or_default();
        let Some(line) = Line::of(group) else {
            return self.others.push(document);
        };
        let name = text_at(&document, "/metadata/name").to_owned();
        if (version, kind) != (VERSION, KIND) {
            let reason = format!(
                "{kind} of {api_version} is not known: only {KIND} of {group}/{VERSION} is converted"
            );
            return self.unreadable.push(Unreadable { origin, name, reason });
        }
        match serde_json::from_value::<ZenPolicy>(document) {
            Ok(policy) if name.is_empty() => {
                drop(policy);
                self.unreadable.push(Unreadable {
                    origin,
                    name,
                    reason: "it has no metadata.name".to_owned(),
                });
            }
            Ok(policy) => self.found.push(Found { origin, line, policy }),
            Err(error) => {
                let reason = format!("zen-gc's API server would not have taken it: {error}");
                self.unreadable.push(Unreadable { origin, name, reason });
            }
        }
    }
}

fn text_at<'v>(document: &'v Value, pointer: &str) -> &'v str {
    document.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KubeZen => "kube-zen",
            Self::ZenMesh => "zen-mesh",
            Self::Nobody => "nobody",
        })
    }
}
