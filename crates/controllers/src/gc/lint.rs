//! Advice on a policy, by the schemas that the cluster publishes.
//!
//! Advice never fails and is never waited for long: what cannot be looked up in time is not spoken of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::GarbageCollectionPolicySpec;
use chassis::OpenApi;
use gc::Policy;
use gc::lint::{SchemaDocument, Warning, lint, lint_paths};
use units::ApiVersion;

pub use super::limits::ADVICE_WAIT_MAX;

/// The schemas that the cluster publishes, kept as far as advice needs them.
pub type ClusterSchemas = OpenApi<SchemaDocument>;

/// The schemas of the targets of a spec; those that cannot be had within `patience`, which holds for all together, are
/// missing.
pub async fn schemas_of(
    schemas: &ClusterSchemas,
    spec: &GarbageCollectionPolicySpec,
    patience: Duration,
) -> BTreeMap<ApiVersion, Arc<SchemaDocument>> {
    let mut found = BTreeMap::new();
    let looking = async {
        for version in spec.targets().filter_map(|target| target.api_version.parse::<ApiVersion>().ok()) {
            if found.contains_key(&version) {
                continue;
            }
            match schemas.document(&version).await {
                Ok(document) => found.extend(document.map(|document| (version, document))),
                Err(error) => tracing::debug!(%version, %error, "cannot look up schemas"),
            }
        }
    };
    if tokio::time::timeout(patience, looking).await.is_err() {
        tracing::debug!("looking up schemas took too long");
    }
    found
}

/// What a policy says in vain; nothing of what cannot be looked up within [`ADVICE_WAIT_MAX`].
pub async fn warnings(
    schemas: &ClusterSchemas,
    spec: &GarbageCollectionPolicySpec,
    policy: Option<&Policy>,
) -> Vec<Warning> {
    let found = schemas_of(schemas, spec, ADVICE_WAIT_MAX).await;
    advice(spec, policy, &found)
}

/// What a policy says in vain, by these schemas. Expressions are looked at if the policy could be compiled.
pub fn advice(
    spec: &GarbageCollectionPolicySpec,
    policy: Option<&Policy>,
    schemas: &BTreeMap<ApiVersion, Arc<SchemaDocument>>,
) -> Vec<Warning> {
    let mut warnings = lint(spec, schemas);
    let Some(policy) = policy else { return warnings };
    for (field, paths) in policy.expression_reads() {
        for target in &policy.targets {
            warnings.extend(lint_paths(paths, field, &target.kind, schemas));
        }
    }
    warnings
}
