//! Schemas of kinds from files, for advice where no cluster is asked.
//!
//! A file is a document of the API server's, as `kubectl get --raw /openapi/v3/apis/batch/v1` writes it. Which kinds it
//! describes it says itself; its name says nothing. What is wrong with a file is an error, for whoever gives one relies on
//! the advice.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use api::GarbageCollectionPolicySpec;
use chassis::limits::SCHEMA_BYTES_MAX;
use controllers::gc::lint::advice;
use gc::lint::SchemaDocument;
use gc::{Policy, SpecHash};
use units::ApiVersion;

use crate::limits::SCHEMA_FILES_MAX;
use crate::scene::{Part, Scene, Warning};

/// The schemas of some kinds.
#[derive(Debug, Default)]
pub(super) struct Schemas(Vec<Arc<SchemaDocument>>);

impl Schemas {
    /// Reads the files, at most [`SCHEMA_FILES_MAX`] of at most [`SCHEMA_BYTES_MAX`] bytes each.
    pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Self> {
        ensure!(
            files.len() <= SCHEMA_FILES_MAX,
            "--openapi is given {} times; at most {SCHEMA_FILES_MAX} are allowed",
            files.len()
        );
        files.iter().map(|file| document(file).map(Arc::new)).collect::<Result<_, _>>().map(Self)
    }

    /// Adds to a scene what its policies say in vain, as far as these schemas tell.
    pub(super) fn advise(&self, scene: &mut Scene, specs: &[GarbageCollectionPolicySpec]) {
        if self.0.is_empty() {
            return;
        }
        let mut warnings = Vec::new();
        for Part { policy, .. } in &scene.asked {
            let Some(spec) = specs.iter().find(|spec| SpecHash::of(spec) == policy.spec_hash) else {
                continue;
            };
            let found = advice(spec, Some(policy), &self.of(policy));
            warnings.extend(found.into_iter().map(|advice| Warning::advice(&policy.key, advice)));
            warnings.extend(self.unknown(policy));
        }
        scene.warnings.extend(warnings);
    }

    /// The schemas of a policy's targets.
    fn of(&self, policy: &Policy) -> BTreeMap<ApiVersion, Arc<SchemaDocument>> {
        let document = |target: &gc::TargetRule| {
            let document = self.0.iter().find(|document| document.describes(&target.kind))?;
            Some((target.kind.api_version.clone(), Arc::clone(document)))
        };
        policy.targets.iter().filter_map(document).collect()
    }

    /// The targets that no file describes: of them nothing is said, which must not be taken for praise.
    fn unknown(&self, policy: &Policy) -> Vec<Warning> {
        let is_unknown =
            |target: &&gc::TargetRule| !self.0.iter().any(|document| document.describes(&target.kind));
        let say = |target: &gc::TargetRule| Warning {
            policy: Some(policy.key.to_string()),
            field: None,
            message: format!(
                "no file of --openapi describes {}, so nothing is said of its fields: `kubectl get --raw {}` writes one that does",
                target.kind,
                address(&target.kind.api_version)
            ),
        };
        policy.targets.iter().filter(is_unknown).map(say).collect()
    }
}

/// Where an API server publishes the schemas of a group and version.
fn address(version: &ApiVersion) -> String {
    match &*version.group {
        "" => format!("/openapi/v3/api/{}", version.version),
        group => format!("/openapi/v3/apis/{group}/{}", version.version),
    }
}

fn document(path: &Path) -> anyhow::Result<SchemaDocument> {
    let mut bytes = Vec::new();
    let file = File::open(path);
    file.and_then(|file| file.take(SCHEMA_BYTES_MAX + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(
        u64::try_from(bytes.len()).unwrap_or(u64::MAX) <= SCHEMA_BYTES_MAX,
        "{} is larger than {} MiB: write one group and version to a file",
        path.display(),
        SCHEMA_BYTES_MAX / 1024 / 1024
    );
    let document: SchemaDocument = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is no JSON as an API server writes it", path.display()))?;
    ensure!(
        !document.is_empty(),
        "{} describes no kind: write one with `kubectl get --raw /openapi/v3/apis/batch/v1`, or `/openapi/v3/api/v1` for those without a group",
        path.display()
    );
    Ok(document)
}
