//! The head of the chain, written to the cluster.
//!
//! One `ConfigMap` holds the latest head of each instance. Whoever can change the disk of a pod can cut a chain off or make
//! it anew; he cannot also change what the cluster holds, unless he has that right too. An anchor that the chain
//! contradicts is kept beside the new one, so that a restart wipes no traces.
//!
//! What fails here is told and counted; nothing waits for it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use units::ApiVersion;

use super::record::{Body, Head, RecordHash, RecordKind};
use super::walk::{Item, Walk};
use super::{Ledger, Requirement};
use crate::client::{ask, ask_for, get};
use crate::error::{ApiError, Class, Classify};
use crate::limits::LEDGER_ANCHORS_MAX;
use crate::metrics::MetricName;
use crate::paths;

/// The `ConfigMap` that holds the anchors, in the operator's own namespace; a key for each instance.
pub const CONFIG_MAP: &str = "groundskeeper-ledger";

/// A head that was written to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Where the chain ended.
    #[serde(flatten)]
    pub head: Head,
    /// When it was written.
    pub time: Timestamp,
}

/// What the cluster holds of one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    latest: Anchor,
    /// An earlier one that the chain contradicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contradicted: Option<Anchor>,
}

/// The anchors of all instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anchors(BTreeMap<String, Entry>);

/// Why there are no anchors.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AnchorError {
    /// The API server did not do what it was asked for.
    #[error("cannot {verb} the ConfigMap {namespace}/{CONFIG_MAP}: {source}")]
    Api {
        /// `get`, `patch`, `create`.
        verb: &'static str,
        /// Where it lies.
        namespace: String,
        /// Why.
        source: ApiError,
    },
    /// An entry is not an anchor.
    #[error("the anchor of {instance} is not one: {message}")]
    Malformed {
        /// Whose it is.
        instance: String,
        /// What is wrong with it.
        message: String,
    },
}

impl Classify for AnchorError {
    fn class(&self) -> Class {
        match self {
            Self::Api { source, .. } => source.class(),
            Self::Malformed { .. } => Class::Invalid,
        }
    }
}

impl Anchors {
    /// Reads the `data` of the `ConfigMap`.
    pub fn parse<'a>(data: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, AnchorError> {
        let mut anchors = BTreeMap::new();
        for (instance, text) in data {
            let malformed = |error: serde_json::Error| AnchorError::Malformed {
                instance: instance.to_owned(),
                message: error.to_string(),
            };
            anchors.insert(instance.to_owned(), serde_json::from_str(text).map_err(malformed)?);
        }
        Ok(Self(anchors))
    }

    /// Reads them from the cluster. None are there if nothing was ever anchored.
    pub async fn read(client: &Client, namespace: &str) -> Result<Self, AnchorError> {
        let data = read(client, namespace).await?.unwrap_or_default();
        Self::parse(data.iter().map(|(instance, text)| (&**instance, &**text)))
    }

    /// Those of one instance.
    pub fn of(&self, instance: &str) -> Vec<&Anchor> {
        let entry = self.0.get(instance);
        entry
            .into_iter()
            .flat_map(|entry| [Some(&entry.latest), entry.contradicted.as_ref()])
            .flatten()
            .collect()
    }

    /// The instances that have some.
    pub fn instances(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|instance| &**instance)
    }
}

/// Writes the head to the cluster.
#[derive(Clone)]
pub struct Anchorer {
    client: Client,
    namespace: String,
    ledger: Ledger,
    anchored: Head,
    /// What is to be kept of what was there before us; none as long as nobody has looked.
    before: Option<Before>,
}

impl std::fmt::Debug for Anchorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Anchorer")
            .field("namespace", &self.namespace)
            .field("anchored", &self.anchored)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Default)]
struct Before {
    exists: bool,
    contradicted: Option<Anchor>,
    /// Keys that make room for ours.
    outdated: Vec<String>,
}

impl Anchorer {
    /// Anchors this ledger in the `ConfigMap` of a namespace.
    pub fn new(client: Client, namespace: impl Into<String>, ledger: Ledger) -> Self {
        Self { client, namespace: namespace.into(), ledger, anchored: Head::EMPTY, before: None }
    }

    /// Anchors the head every `interval` if it has moved, and once more at the end. Let `stop` be cancelled after the ledger
    /// is closed, so that its last record is anchored, too.
    pub async fn run(mut self, interval: Duration, stop: CancellationToken) {
        loop {
            let ends = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(interval) => false,
            };
            if let Err(error) = self.anchor().await {
                let reason = if error.class() == Class::Denied { "denied" } else { "unreachable" };
                self.ledger.shared.metrics.count(MetricName::LedgerAnchorFailures, &[("reason", reason)]);
                tracing::warn!(%error, "the ledger's head is not anchored");
            }
            if ends {
                return;
            }
        }
    }

    /// Anchors the head now, if it has moved.
    pub async fn anchor(&mut self) -> Result<(), AnchorError> {
        let head = self.ledger.state().head;
        // The record of an anchor moves the head by one: that alone is no reason to anchor again.
        if self.ledger.shared.requirement == Requirement::Off || head.sequence <= self.anchored.sequence + 1 {
            return Ok(());
        }
        let before = match self.before.take() {
            Some(before) => before,
            None => self.look().await?,
        };
        let instance = &self.ledger.shared.instance;
        let latest = Anchor { head, time: self.ledger.shared.clock.now() };
        let entry = Entry { latest, contradicted: before.contradicted.clone() };
        let text = serde_json::to_string(&entry).map_err(|error| AnchorError::Malformed {
            instance: instance.clone(),
            message: error.to_string(),
        })?;
        let outdated = before.outdated.iter().map(|key| (key.clone(), serde_json::Value::Null));
        let data = outdated.chain([(instance.clone(), text.into())]).collect();
        write(&self.client, &self.namespace, &data, before.exists).await?;
        // After a failure we look again: somebody may have taken the object away.
        self.before = Some(Before { exists: true, outdated: Vec::new(), ..before });
        self.anchored = head;
        self.ledger.note_anchor(head).await;
        Ok(())
    }

    /// Looks at what is there before we write for the first time.
    async fn look(&self) -> Result<Before, AnchorError> {
        let Some(data) = read(&self.client, &self.namespace).await? else { return Ok(Before::default()) };
        let instance = &self.ledger.shared.instance;
        let entry = |text: &String| serde_json::from_str::<Entry>(text).ok();
        let own = data.get(instance).and_then(entry);
        let contradicted = match own {
            Some(Entry { contradicted: Some(anchor), .. }) => Some(anchor),
            Some(Entry { latest, .. }) if self.contradicts(latest.head).await => {
                tracing::error!(
                    sequence = latest.head.sequence, hash = %latest.head.hash, anchored_at = %latest.time,
                    "the ledger does not hold the record that was anchored: it was cut off, lost or made anew"
                );
                let labels = [("reason", "contradiction")];
                self.ledger.shared.metrics.count(MetricName::LedgerAnchorFailures, &labels);
                Some(latest)
            }
            _ => None,
        };
        let others = data.iter().filter(|(key, _)| *key != instance);
        let mut by_age: Vec<_> =
            others.map(|(key, text)| (entry(text).map(|entry| entry.latest.time), key.clone())).collect();
        by_age.sort_unstable();
        let excess = (by_age.len() + 1).saturating_sub(LEDGER_ANCHORS_MAX);
        let outdated = by_age.into_iter().take(excess).map(|(_, key)| key).collect();
        Ok(Before { exists: true, contradicted, outdated })
    }

    /// Whether the chain on disk lacks a record that it should have, or has another in its place.
    async fn contradicts(&self, anchored: Head) -> bool {
        let directory = self.ledger.shared.directory.clone();
        let held = tokio::task::spawn_blocking(move || hash_at(&directory, anchored.sequence)).await;
        match held {
            Ok(Ok(Held::Hash(hash))) => hash != anchored.hash,
            Ok(Ok(Held::Beyond)) => true,
            // It is retired, or cannot be read: that proves nothing.
            _ => false,
        }
    }
}

/// What a chain holds at a place.
enum Held {
    Hash(RecordHash),
    Retired,
    Beyond,
}

fn hash_at(directory: &std::path::Path, sequence: u64) -> std::io::Result<Held> {
    let mut walk = Walk::new(directory)?;
    if walk.segments().first().is_some_and(|oldest| sequence < oldest.first) {
        return Ok(Held::Retired);
    }
    while let Some((_, item)) = walk.next()? {
        if let Item::Sound(link, hash) = item
            && link.sequence == sequence
        {
            return Ok(Held::Hash(hash));
        }
    }
    Ok(Held::Beyond)
}

impl Ledger {
    async fn note_anchor(&self, head: Head) {
        if self.state().unavailable.is_none() {
            self.note(Box::new(Body { head: Some(head), ..Body::new(RecordKind::Anchor) })).await;
        }
    }
}

type Data = BTreeMap<String, String>;

#[derive(Deserialize)]
struct ConfigMap {
    #[serde(default)]
    data: Data,
}

/// The data of the `ConfigMap`; none if there is no such.
async fn read(client: &Client, namespace: &str) -> Result<Option<Data>, AnchorError> {
    let api = |source| AnchorError::Api { verb: "get", namespace: namespace.to_owned(), source };
    let request = get(&path(namespace), "application/json").map_err(api)?;
    match ask_for::<ConfigMap>(client, request).await {
        Ok(config_map) => Ok(Some(config_map.data)),
        Err(error) if error.code() == Some(404) => Ok(None),
        Err(error) => Err(api(error)),
    }
}

/// Writes these keys, and makes the `ConfigMap` if there is none. Repeating it is harmless.
async fn write(
    client: &Client,
    namespace: &str,
    data: &serde_json::Map<String, serde_json::Value>,
    exists: bool,
) -> Result<(), AnchorError> {
    if !exists {
        let kept: BTreeMap<_, _> = data.iter().filter(|(_, value)| !value.is_null()).collect();
        let body = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CONFIG_MAP, "namespace": namespace, "labels": {"app.kubernetes.io/name": "groundskeeper"}},
            "data": kept,
        });
        let collection = paths::collection(&core(), "configmaps", Some(namespace));
        let created = send(client, http::Method::POST, collection, "application/json", &body).await;
        match created {
            // Another instance was faster, or an answer of ours was lost.
            Err(error) if error.code() == Some(409) => {}
            other => {
                return other.map_err(|source| AnchorError::Api {
                    verb: "create",
                    namespace: namespace.to_owned(),
                    source,
                });
            }
        }
    }
    let body = json!({ "data": data });
    let patched =
        send(client, http::Method::PATCH, path(namespace), "application/merge-patch+json", &body).await;
    patched.map_err(|source| AnchorError::Api { verb: "patch", namespace: namespace.to_owned(), source })
}

async fn send(
    client: &Client,
    method: http::Method,
    path: String,
    content_type: &str,
    body: &serde_json::Value,
) -> Result<(), ApiError> {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("{path}?fieldManager=groundskeeper"))
        .header(http::header::CONTENT_TYPE, content_type)
        .body(body.to_string().into_bytes())
        .map_err(|error| ApiError::Garbled(error.to_string()))?;
    ask(client, request).await.map(drop)
}

fn core() -> ApiVersion {
    ApiVersion { group: String::new(), version: "v1".to_owned() }
}

fn path(namespace: &str) -> String {
    paths::object(&core(), "configmaps", namespace, CONFIG_MAP)
}
