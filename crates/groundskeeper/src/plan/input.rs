//! The policies and objects in the files that were given.
//!
//! Knows files and manifests, but no cluster and no rule: whether a policy makes sense is the engine's to say.
//! Everything that is wrong is told at once, with file, document and line.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use api::{GROUP, GarbageCollectionPolicy, GarbageCollectionPolicySpec, VERSION};
use gc::{Object, Policy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use units::ApiVersion;

use super::documents::{self, Document, Malformed};
use super::problems::Problems;
use crate::limits::{DOCUMENTS_MAX, FILES_MAX, INPUT_BYTES_MAX};

const POLICY_KIND: &str = "GarbageCollectionPolicy";

/// What the files hold.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) policies: Vec<GivenPolicy>,
    /// None if the files are about policies alone; an empty list of objects counts as objects.
    pub(super) objects: Option<Objects>,
}

/// A policy, and where it stands.
#[derive(Debug)]
pub(super) struct GivenPolicy {
    pub(super) policy: GarbageCollectionPolicy,
    pub(super) origin: Origin,
}

/// Where something stands: a file, a document in it, and an item if the document is a list.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    file: Arc<str>,
    document: usize,
    item: Option<usize>,
}

/// Objects by group, kind and namespace, as a cluster would hold them; the version is only a form of the same object.
#[derive(Debug, Default)]
pub(super) struct Objects(BTreeMap<Ground, Vec<Object>>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ground {
    group: String,
    kind: String,
    /// Empty as long as it is not settled.
    namespace: String,
}

/// Reads files, directories and standard input.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Input> {
    let mut reading = Reading::default();
    let mut standard_input_seen = false;
    for path in paths {
        let repeated = is_standard_input(path) && std::mem::replace(&mut standard_input_seen, true);
        ensure!(!repeated, "standard input (-) can be read only once");
        match files_of(path) {
            Ok(files) => files.iter().try_for_each(|file| reading.file(file))?,
            Err(error) => reading.problems.add(format!("{error:#}")),
        }
    }
    reading.problems.into_result()?;
    Ok(reading.input)
}

/// What a file is called in messages.
pub(super) fn name_of(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() }
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The file itself, or the manifests in a directory, by name.
fn files_of(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if is_standard_input(path) || !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let fail = || format!("cannot read the directory {}", path.display());
    let mut files = Vec::new();
    for entry in path.read_dir().with_context(fail)? {
        let file = entry.with_context(fail)?.path();
        let is_manifest =
            file.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
        if is_manifest && file.is_file() {
            files.push(file);
        }
    }
    ensure!(!files.is_empty(), "the directory {} holds no *.yaml, *.yml or *.json file", path.display());
    files.sort();
    Ok(files)
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let read =
        |source: &mut dyn Read, bytes: &mut Vec<u8>| source.take(INPUT_BYTES_MAX + 1).read_to_end(bytes);
    if is_standard_input(path) {
        read(&mut io::stdin().lock(), &mut bytes)
    } else {
        File::open(path).and_then(|mut file| read(&mut file, &mut bytes))
    }
    .with_context(|| format!("cannot read {}", name_of(path)))?;
    let is_too_large = u64::try_from(bytes.len()).unwrap_or(u64::MAX) > INPUT_BYTES_MAX;
    ensure!(
        !is_too_large,
        "{} is larger than {} MiB: split it",
        name_of(path),
        INPUT_BYTES_MAX / 1024 / 1024
    );
    let text = String::from_utf8(bytes).map_err(|error| {
        anyhow::anyhow!("{} is not UTF-8 after byte {}", name_of(path), error.utf8_error().valid_up_to())
    })?;
    Ok(text)
}

/// What a document says of itself, and what decisions read of an object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: Option<String>,
    kind: Option<String>,
    #[serde(default)]
    metadata: Option<views::Meta>,
    #[serde(rename = "items", default, deserialize_with = "present")]
    has_items: bool,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// The items of a list.
#[derive(Deserialize)]
struct Items<T> {
    // Go writes an empty list as null at times.
    #[serde(default = "Option::default")]
    items: Option<Vec<T>>,
}

/// A policy in which every field must be known; its status is the cluster's, and is not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PolicyManifest {
    #[serde(rename = "apiVersion", default)]
    _api_version: IgnoredAny,
    #[serde(rename = "kind", default)]
    _kind: IgnoredAny,
    #[serde(rename = "status", default)]
    _status: IgnoredAny,
    metadata: ObjectMeta,
    spec: GarbageCollectionPolicySpec,
}

/// What a manifest is, by its apiVersion and kind.
enum Role {
    Policy,
    Object(Ground),
}

#[derive(Default)]
struct Reading {
    input: Input,
    problems: Problems,
    files: usize,
    documents: usize,
}

impl Reading {
    /// Reads one file. Problems are kept; only what ends the whole run is an error.
    fn file(&mut self, path: &Path) -> anyhow::Result<()> {
        self.files += 1;
        ensure!(self.files <= FILES_MAX, "there are more than {FILES_MAX} files: give fewer at a time");
        let text = match text_of(path) {
            Ok(text) => text,
            Err(error) => {
                self.problems.add(format!("{error:#}"));
                return Ok(());
            }
        };
        let name: Arc<str> = name_of(path).into();
        for document in documents::split(text.strip_prefix('\u{feff}').unwrap_or(&text)) {
            self.count(1)?;
            let outcome = document.and_then(|document| self.document(&document, &name));
            if let Err(Malformed { document, line, message }) = outcome {
                let line = line.map_or_else(String::new, |line| format!(", line {line}"));
                self.problems.add(format!("{name}, document {document}{line}: {message}"));
            }
        }
        // A list counts once its items are known.
        self.count(0)
    }

    fn count(&mut self, more: usize) -> anyhow::Result<()> {
        self.documents += more;
        if self.documents > DOCUMENTS_MAX {
            bail!("there are more than {DOCUMENTS_MAX} documents: give fewer at a time");
        }
        Ok(())
    }

    fn document(&mut self, document: &Document<'_>, file: &Arc<str>) -> Result<(), Malformed> {
        let head: Head = document.parse()?;
        let origin = Origin { file: Arc::clone(file), document: document.number, item: None };
        let kind = head.kind.as_deref().unwrap_or_default();
        if kind == "List" || (kind.ends_with("List") && head.has_items) {
            return self.list(&head, document, &origin);
        }
        match role(head.api_version.as_deref(), head.kind.as_deref()) {
            Ok(Role::Policy) => {
                let manifest: PolicyManifest = document.parse()?;
                self.policy(manifest, origin);
            }
            Ok(Role::Object(ground)) => self.object(ground, head.metadata.unwrap_or_default()),
            Err(message) => self.problems.add(format!("{origin}: {message}")),
        }
        Ok(())
    }

    fn list(&mut self, list: &Head, document: &Document<'_>, origin: &Origin) -> Result<(), Malformed> {
        let items = document.parse::<Items<Head>>()?.items.unwrap_or_default();
        self.documents += items.len();
        // Items of a typed list need not repeat its type.
        let kind =
            list.kind.as_deref().and_then(|kind| kind.strip_suffix("List")).filter(|kind| !kind.is_empty());
        let api_version = kind.and(list.api_version.as_deref());
        if kind != Some(POLICY_KIND) && items.is_empty() {
            self.input.objects.get_or_insert_default();
        }
        let mut policies = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            match role(item.api_version.as_deref().or(api_version), item.kind.as_deref().or(kind)) {
                Ok(Role::Policy) => policies.push(index),
                Ok(Role::Object(ground)) => self.object(ground, item.metadata.unwrap_or_default()),
                Err(message) => self.problems.add(format!("{}: {message}", origin.item(index))),
            }
        }
        if policies.is_empty() { Ok(()) } else { self.listed_policies(&policies, document, origin) }
    }

    fn listed_policies(
        &mut self,
        indexes: &[usize],
        document: &Document<'_>,
        origin: &Origin,
    ) -> Result<(), Malformed> {
        let items = document.parse::<Items<serde_json::Value>>()?.items.unwrap_or_default();
        for (index, item) in
            items.into_iter().enumerate().filter(|(index, _)| indexes.binary_search(index).is_ok())
        {
            let origin = origin.item(index);
            match serde_json::from_value(item) {
                Ok(manifest) => self.policy(manifest, origin),
                Err(error) => self.problems.add(format!("{origin}: {error}")),
            }
        }
        Ok(())
    }

    fn policy(&mut self, manifest: PolicyManifest, origin: Origin) {
        let PolicyManifest { metadata, spec, .. } = manifest;
        if metadata.name.as_deref().unwrap_or_default().is_empty() {
            return self.problems.add(format!("{origin}: the policy has no name: write metadata.name"));
        }
        let policy = GarbageCollectionPolicy { metadata, spec, status: None };
        self.input.policies.push(GivenPolicy { policy, origin });
    }

    fn object(&mut self, mut ground: Ground, mut meta: views::Meta) {
        ground.namespace = meta.namespace.take().map(String::from).unwrap_or_default();
        self.input.objects.get_or_insert_default().0.entry(ground).or_default().push(meta.into());
    }
}

fn role(api_version: Option<&str>, kind: Option<&str>) -> Result<Role, String> {
    let present = |field: Option<&str>| field.filter(|text| !text.is_empty()).map(str::to_owned);
    let api_version =
        present(api_version).ok_or("it has no apiVersion: write one, such as v1 or batch/v1")?;
    let kind = present(kind).ok_or("it has no kind: write one, such as ConfigMap")?;
    let ApiVersion { group, version } =
        api_version.parse().map_err(|error: units::InvalidApiVersion| error.to_string())?;
    match (&*group, &*kind) {
        (GROUP, POLICY_KIND) if version == VERSION => Ok(Role::Policy),
        (GROUP, POLICY_KIND) => Err(format!(
            "apiVersion is {api_version}, which this program does not know: write {GROUP}/{VERSION}"
        )),
        _ => Ok(Role::Object(Ground { group, kind, namespace: String::new() })),
    }
}

impl Origin {
    fn item(&self, index: usize) -> Self {
        Self { item: Some(index), ..self.clone() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, document {}", self.file, self.document)?;
        self.item.map_or(Ok(()), |item| write!(f, ", items[{item}]"))
    }
}

impl Objects {
    /// Puts objects without a namespace into this one. Fails if an object is given twice.
    pub(super) fn settled_in(self, namespace: &str) -> anyhow::Result<Self> {
        let mut settled: BTreeMap<Ground, Vec<Object>> = BTreeMap::new();
        for (mut ground, mut objects) in self.0 {
            if ground.namespace.is_empty() {
                namespace.clone_into(&mut ground.namespace);
            }
            settled.entry(ground).or_default().append(&mut objects);
        }
        let mut problems = Problems::default();
        for (ground, objects) in &mut settled {
            objects.sort_unstable_by(|one, other| one.name.cmp(&other.name));
            for pair in objects.array_windows() {
                let [one, other] = pair;
                // Those that have only a generateName are different objects.
                if one.name == other.name && !one.name.is_empty() {
                    problems.add(format!("{} {}/{} is given twice", ground.kind, ground.namespace, one.name));
                }
            }
        }
        problems.into_result().map(|()| Self(settled))
    }

    /// The objects of a policy's kind in its namespace.
    pub(super) fn of(&self, policy: &Policy) -> &[Object] {
        let ground = Ground {
            group: policy.target.group().to_owned(),
            kind: policy.target.kind.clone(),
            namespace: policy.key.namespace.clone(),
        };
        self.0.get(&ground).map_or(&[], Vec::as_slice)
    }
}
