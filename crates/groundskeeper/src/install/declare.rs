//! One object declared, and what came of it.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chassis::objects::{self, DeclareError, Effect, OnConflict};
use chassis::{ApiError, Class, Classify as _};
use serde_json::Value;

use crate::cluster::{Cluster, Named, is_labelled};
use crate::limits::{ESTABLISHED_WAIT_MAX, LOOK_PAUSE};
use crate::manifests::{MANAGED_BY, SEED};

/// What came of a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Created,
    Configured,
    Unchanged,
    /// It was there, and is somebody else's: it does what we need of it.
    NotOurs,
    /// It was made once, and belongs to its users since.
    Theirs,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
            Self::NotOurs => "unchanged (it was there before, and stays as it is)",
            Self::Theirs => "unchanged (it is yours since it was made)",
        })
    }
}

/// Declares one object after the other.
pub(super) struct Installer {
    cluster: Cluster,
    effect: Effect,
    on_conflict: OnConflict,
    /// A namespace that only would exist: the server cannot judge what would lie in it.
    imagined: Option<String>,
}

impl Installer {
    pub(super) fn new(cluster: Cluster, effect: Effect, on_conflict: OnConflict) -> Self {
        Self { cluster, effect, on_conflict, imagined: None }
    }

    /// The cluster, once everything is declared.
    pub(super) fn into_cluster(self) -> Cluster {
        self.cluster
    }

    /// Declares an object; returns the line about it.
    pub(super) async fn declare(&mut self, manifest: &Value) -> anyhow::Result<String> {
        let named = self.cluster.named(manifest).await?;
        let named = named.with_context(|| {
            let kind = manifest.get("kind").unwrap_or(&Value::Null);
            format!("the cluster serves no {kind} as {}", manifest.get("apiVersion").unwrap_or(&Value::Null))
        })?;
        let outcome = self.one(&named, manifest).await?;
        let mode = if self.effect == Effect::DryRun { " (server dry run)" } else { "" };
        Ok(format!("{} {outcome}{mode}", named.reference()))
    }

    async fn one(&mut self, named: &Named, manifest: &Value) -> anyhow::Result<Outcome> {
        let before = self.cluster.look_at(named).await.map_err(|error| denied(named, error))?;
        let is_going = |before: &Value| before.pointer("/metadata/deletionTimestamp").is_some();
        if before.as_ref().is_some_and(is_going) {
            bail!("{} is being deleted: wait until it is gone, and run this again", named.reference());
        }
        if let Some(before) = &before
            && let Some(outcome) = left_alone(named, manifest, before)
        {
            return Ok(outcome);
        }
        if before.is_none() && self.imagined.is_some() && named.namespace == self.imagined {
            return Ok(Outcome::Created);
        }
        let client = &self.cluster.client;
        let declared = objects::declare(client, named.reference(), manifest, self.effect, self.on_conflict);
        let after = declared.await.map_err(|error| match error {
            DeclareError::Held(fields) => held(named, &fields),
            DeclareError::Api(error) => denied(named, error),
        })?;
        let is = |kind: &str| named.resource.kind.kind == kind;
        if self.effect == Effect::Real && is("CustomResourceDefinition") {
            self.established(named).await?;
        }
        let Some(before) = before else {
            if self.effect == Effect::DryRun && is("Namespace") {
                self.imagined = Some(named.name.clone());
            }
            return Ok(Outcome::Created);
        };
        Ok(if settled(before) == settled(after) { Outcome::Unchanged } else { Outcome::Configured })
    }

    /// Waits until the server serves a kind that was just defined.
    async fn established(&self, named: &Named) -> anyhow::Result<()> {
        let look = async {
            loop {
                let found = self.cluster.look_at(named).await?;
                if found.as_ref().is_some_and(is_established) {
                    return Ok::<(), ApiError>(());
                }
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        match tokio::time::timeout(ESTABLISHED_WAIT_MAX, look).await {
            Ok(answer) => answer.with_context(|| named.reference().to_string()),
            Err(_) => bail!(
                "{}: the server does not serve it within {} s: look at its conditions",
                named.reference(),
                Duration::as_secs(&ESTABLISHED_WAIT_MAX)
            ),
        }
    }
}

/// What is not ours to change any more, or never was.
fn left_alone(named: &Named, manifest: &Value, before: &Value) -> Option<Outcome> {
    let is_seed = manifest.pointer("/metadata/annotations").is_some_and(|all| all.get(SEED).is_some());
    if is_seed {
        return Some(Outcome::Theirs);
    }
    let is_foreign = named.resource.kind.kind == "Namespace" && !is_labelled(before, MANAGED_BY);
    is_foreign.then_some(Outcome::NotOurs)
}

fn is_established(crd: &Value) -> bool {
    let conditions = crd.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        condition.get("type").and_then(Value::as_str) == Some("Established")
            && condition.get("status").and_then(Value::as_str) == Some("True")
    })
}

/// An object without what changes by itself: versions, the status, and when somebody became manager of a field.
fn settled(mut object: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return object };
    metadata.remove("resourceVersion");
    metadata.remove("generation");
    if let Some(managers) = metadata.get_mut("managedFields").and_then(Value::as_array_mut) {
        managers.retain(|manager| manager.get("subresource").is_none());
        for manager in managers.iter_mut().filter_map(Value::as_object_mut) {
            manager.remove("time");
        }
    }
    object
}

fn held(named: &Named, fields: &[objects::HeldField]) -> anyhow::Error {
    let fields: Vec<_> = fields.iter().map(|held| format!("  {}: {}", held.field, held.holder)).collect();
    anyhow::anyhow!(
        "{}: others hold fields that an installation sets otherwise:\n{}\ntake them with --force-conflicts, or undo the change",
        named.reference(),
        fields.join("\n")
    )
}

/// Why a call about an object failed, and what to do if a right is missing.
pub(super) fn denied(named: &Named, error: ApiError) -> anyhow::Error {
    let object = named.reference().to_string();
    if error.class() == Class::Denied {
        return anyhow::anyhow!(
            "{object}: you lack a right: {error}; `groundskeeper check --pre` lists all that an installation needs"
        );
    }
    anyhow::Error::from(error).context(object)
}
