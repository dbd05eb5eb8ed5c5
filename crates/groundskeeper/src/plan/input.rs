//! The policies and objects in the files that were given.
//!
//! Knows files and manifests, but no cluster and no rule: whether a policy makes sense is the engine's to say. Files are
//! gone through twice: first for the policies, and for what is wrong; then, once it is known what the policies read, for
//! that much of the objects. Everything that is wrong is told at once, with file, document and line.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use api::garbage_collection::GarbageCollectionPolicyStatus;
use api::{GROUP, GarbageCollectionPolicySpec, ObjectMeta, VERSION};
use gc::Written;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use units::{ApiVersion, GroupVersionKind, NamespacedName};
use views::Projection;

use super::documents::{self, Document, Malformed};
use super::problems::Problems;
use crate::limits::{DOCUMENTS_MAX, FILES_MAX, INPUT_BYTES_MAX};

const POLICY_KIND: &str = "GarbageCollectionPolicy";
const CLUSTER_POLICY_KIND: &str = "ClusterGarbageCollectionPolicy";

/// What the files hold.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pub(crate) policies: Vec<GivenPolicy>,
    /// None if the files are about policies alone; an empty list of objects counts as objects.
    pub(crate) objects: Option<Manifests>,
}

/// A policy of either kind, as it stands in a file or in a cluster.
#[derive(Clone, Debug)]
pub(crate) struct AnyPolicy {
    pub(crate) is_namespaced: bool,
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: GarbageCollectionPolicySpec,
    /// What the operator has said of it; none in a file.
    pub(crate) status: Option<GarbageCollectionPolicyStatus>,
}

impl AnyPolicy {
    pub(crate) fn written(&self) -> Written<'_> {
        Written { is_namespaced: self.is_namespaced, metadata: &self.metadata, spec: &self.spec }
    }

    pub(crate) fn key(&self) -> NamespacedName {
        self.written().key()
    }
}

/// A policy, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct GivenPolicy {
    pub(crate) policy: AnyPolicy,
    pub(crate) origin: Origin,
}

/// Where something stands: a file, a document in it, and an item if the document is a list.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    file: Arc<str>,
    document: usize,
    item: Option<usize>,
}

/// What an object is, whatever its version: that is only a form of the same object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupKind {
    pub(crate) group: String,
    pub(crate) kind: String,
}

impl From<&GroupVersionKind> for GroupKind {
    fn from(kind: &GroupVersionKind) -> Self {
        Self { group: kind.group().to_owned(), kind: kind.kind.clone() }
    }
}

/// The objects in files, of which nothing has been read yet but what they are.
#[derive(Debug, Default)]
pub(crate) struct Manifests(Vec<ManifestFile>);

#[derive(Debug)]
struct ManifestFile {
    name: Arc<str>,
    text: String,
    /// What each document with objects holds, by its number.
    documents: BTreeMap<usize, Content>,
}

#[derive(Clone, Debug)]
enum Content {
    One(GroupKind),
    /// The items of a list; none for those that are no objects.
    Several(Vec<Option<GroupKind>>),
}

/// Reads files, directories and standard input.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Input> {
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

/// All objects of files, directories and standard input, whatever they are, each with where it stands. Lists are unfolded.
pub(crate) fn objects(paths: &[PathBuf]) -> anyhow::Result<Vec<(Origin, serde_json::Value)>> {
    let mut found = Vec::new();
    let mut problems = Problems::default();
    let mut standard_input_seen = false;
    for path in paths {
        let repeated = is_standard_input(path) && std::mem::replace(&mut standard_input_seen, true);
        ensure!(!repeated, "standard input (-) can be read only once");
        let files = files_of(path)?;
        ensure!(files.len() <= FILES_MAX, "there are more than {FILES_MAX} files: give fewer at a time");
        for file in files {
            let (name, text): (Arc<str>, _) = (name_of(&file).into(), text_of(&file)?);
            for document in documents::split(without_mark(&text)) {
                match document.and_then(|document| Ok((document.number, document.parse()?))) {
                    Ok((document, value)) => {
                        unfold(value, &Origin { file: Arc::clone(&name), document, item: None }, &mut found);
                    }
                    Err(malformed) => problems.add(told(&name, &malformed)),
                }
                ensure!(
                    found.len() <= DOCUMENTS_MAX,
                    "there are more than {DOCUMENTS_MAX} documents: give fewer at a time"
                );
            }
        }
    }
    problems.into_result()?;
    Ok(found)
}

/// The items of a list, or the object itself. Items of a typed list need not repeat its type.
fn unfold(mut value: serde_json::Value, origin: &Origin, found: &mut Vec<(Origin, serde_json::Value)>) {
    let kind = value.get("kind").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let Some(of) = kind.strip_suffix("List").filter(|of| value.get("items").is_some() || of.is_empty())
    else {
        return found.push((origin.clone(), value));
    };
    let api_version = value.get("apiVersion").cloned();
    let items = value.get_mut("items").map(serde_json::Value::take);
    let Some(serde_json::Value::Array(items)) = items else { return };
    for (index, mut item) in items.into_iter().enumerate() {
        if let (Some(object), false) = (item.as_object_mut(), of.is_empty()) {
            object.entry("kind").or_insert_with(|| of.into());
            object.entry("apiVersion").or_insert_with(|| api_version.clone().unwrap_or_default());
        }
        found.push((origin.item(index), item));
    }
}

/// What a file is called in messages.
pub(crate) fn name_of(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() }
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The file itself, or the manifests in a directory, by name.
pub(crate) fn files_of(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
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

/// The text of a file, or of standard input; at most [`INPUT_BYTES_MAX`] bytes of UTF-8.
pub(crate) fn text_of(path: &Path) -> anyhow::Result<String> {
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

/// What a document says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: Option<String>,
    kind: Option<String>,
    /// Read for what may be wrong with it.
    #[serde(default)]
    #[allow(dead_code, reason = "what is wrong with it is told in the first round")]
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
    Policy { is_namespaced: bool },
    Object(GroupKind),
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
        let mut found = BTreeMap::new();
        for document in documents::split(without_mark(&text)) {
            self.count(1)?;
            let outcome = document.and_then(|document| {
                let content = self.document(&document, &name)?;
                found.extend(content.map(|content| (document.number, content)));
                Ok(())
            });
            if let Err(malformed) = outcome {
                self.problems.add(told(&name, &malformed));
            }
        }
        if !found.is_empty() {
            let file = ManifestFile { name, text, documents: found };
            self.input.objects.get_or_insert_default().0.push(file);
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

    /// Takes in the policies of a document; returns what else it holds.
    fn document(&mut self, document: &Document<'_>, file: &Arc<str>) -> Result<Option<Content>, Malformed> {
        let head: Head = document.parse()?;
        let origin = Origin { file: Arc::clone(file), document: document.number, item: None };
        let kind = head.kind.as_deref().unwrap_or_default();
        if kind == "List" || (kind.ends_with("List") && head.has_items) {
            return self.list(&head, document, &origin);
        }
        match role(head.api_version.as_deref(), head.kind.as_deref()) {
            Ok(Role::Policy { is_namespaced }) => {
                let manifest: PolicyManifest = document.parse()?;
                self.policy(manifest, is_namespaced, origin);
            }
            Ok(Role::Object(kind)) => return Ok(Some(Content::One(kind))),
            Err(message) => self.problems.add(format!("{origin}: {message}")),
        }
        Ok(None)
    }

    fn list(
        &mut self,
        list: &Head,
        document: &Document<'_>,
        origin: &Origin,
    ) -> Result<Option<Content>, Malformed> {
        let items = document.parse::<Items<Head>>()?.items.unwrap_or_default();
        self.documents += items.len();
        // Items of a typed list need not repeat its type.
        let kind =
            list.kind.as_deref().and_then(|kind| kind.strip_suffix("List")).filter(|kind| !kind.is_empty());
        let api_version = kind.and(list.api_version.as_deref());
        let is_of_policies = kind.is_some_and(|kind| kind == POLICY_KIND || kind == CLUSTER_POLICY_KIND);
        if items.is_empty() && !is_of_policies {
            self.input.objects.get_or_insert_default();
        }
        let mut policies = Vec::new();
        let mut objects = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let role = role(item.api_version.as_deref().or(api_version), item.kind.as_deref().or(kind));
            let mut object = None;
            match role {
                Ok(Role::Policy { is_namespaced }) => policies.push((index, is_namespaced)),
                Ok(Role::Object(kind)) => object = Some(kind),
                Err(message) => self.problems.add(format!("{}: {message}", origin.item(index))),
            }
            objects.push(object);
        }
        if !policies.is_empty() {
            self.listed_policies(&policies, document, origin)?;
        }
        let has_objects = objects.iter().any(Option::is_some);
        Ok(has_objects.then_some(Content::Several(objects)))
    }

    fn listed_policies(
        &mut self,
        policies: &[(usize, bool)],
        document: &Document<'_>,
        origin: &Origin,
    ) -> Result<(), Malformed> {
        let items = document.parse::<Items<serde_json::Value>>()?.items.unwrap_or_default();
        let roles: BTreeMap<_, _> = policies.iter().copied().collect();
        for (index, item) in items.into_iter().enumerate() {
            let Some(is_namespaced) = roles.get(&index) else { continue };
            let origin = origin.item(index);
            match serde_json::from_value(item) {
                Ok(manifest) => self.policy(manifest, *is_namespaced, origin),
                Err(error) => self.problems.add(format!("{origin}: {error}")),
            }
        }
        Ok(())
    }

    fn policy(&mut self, manifest: PolicyManifest, is_namespaced: bool, origin: Origin) {
        let PolicyManifest { metadata, spec, .. } = manifest;
        if metadata.name.as_deref().unwrap_or_default().is_empty() {
            return self.problems.add(format!("{origin}: the policy has no name: write metadata.name"));
        }
        let policy = AnyPolicy { is_namespaced, metadata, spec, status: None };
        self.input.policies.push(GivenPolicy { policy, origin });
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
        (GROUP, POLICY_KIND | CLUSTER_POLICY_KIND) if version == VERSION => {
            Ok(Role::Policy { is_namespaced: kind == POLICY_KIND })
        }
        (GROUP, POLICY_KIND | CLUSTER_POLICY_KIND) => Err(format!(
            "apiVersion is {api_version}, which this program does not know: write {GROUP}/{VERSION}"
        )),
        _ => Ok(Role::Object(GroupKind { group, kind })),
    }
}

/// A text without the mark of its byte order.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn told(file: &str, malformed: &Malformed) -> String {
    let Malformed { document, line, message } = malformed;
    let line = line.map_or_else(String::new, |line| format!(", line {line}"));
    format!("{file}, document {document}{line}: {message}")
}

impl Manifests {
    /// Reads of each object what `projection` says of its kind, and gives it to `each`.
    pub(crate) fn read(
        &self,
        projection: impl Fn(&GroupKind) -> Arc<Projection>,
        mut each: impl FnMut(&GroupKind, views::Object),
    ) -> anyhow::Result<()> {
        let mut problems = Problems::default();
        for ManifestFile { name, text, documents: held } in &self.0 {
            // What cannot be read at all has been told before.
            for document in documents::split(without_mark(text)).filter_map(Result::ok) {
                let Some(content) = held.get(&document.number) else { continue };
                if let Err(malformed) = read_content(&document, content, &projection, &mut each) {
                    problems.add(told(name, &malformed));
                }
            }
        }
        problems.into_result()
    }
}

fn read_content(
    document: &Document<'_>,
    content: &Content,
    projection: &impl Fn(&GroupKind) -> Arc<Projection>,
    each: &mut impl FnMut(&GroupKind, views::Object),
) -> Result<(), Malformed> {
    match content {
        Content::One(kind) => each(kind, document.parse_as(ObjectOf(&projection(kind)))?),
        Content::Several(kinds) => {
            let known: Vec<_> = kinds.iter().map(|kind| kind.as_ref().map(projection)).collect();
            let objects = document.parse_as(ListOf(&known))?;
            kinds.iter().flatten().zip(objects).for_each(|(kind, object)| each(kind, object));
        }
    }
    Ok(())
}

/// Reads one object.
struct ObjectOf<'p>(&'p Arc<Projection>);

impl<'de> DeserializeSeed<'de> for ObjectOf<'_> {
    type Value = views::Object;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<views::Object, D::Error> {
        views::Object::read_from(deserializer, self.0)
    }
}

/// Reads those items of a list that have a projection.
struct ListOf<'p>(&'p [Option<Arc<Projection>>]);

impl<'de> DeserializeSeed<'de> for ListOf<'_> {
    type Value = Vec<views::Object>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ListOf<'_> {
    type Value = Vec<views::Object>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut objects = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                objects = map.next_value_seed(ItemsOf(self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(objects)
    }
}

struct ItemsOf<'p>(&'p [Option<Arc<Projection>>]);

impl<'de> DeserializeSeed<'de> for ItemsOf<'_> {
    type Value = Vec<views::Object>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ItemsOf<'_> {
    type Value = Vec<views::Object>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the items of a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut objects = Vec::new();
        for projection in self.0 {
            match projection {
                Some(projection) => objects.extend(items.next_element_seed(ObjectOf(projection))?),
                None => drop(items.next_element::<IgnoredAny>()?),
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(objects)
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
