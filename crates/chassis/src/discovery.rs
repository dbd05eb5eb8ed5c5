//! What the cluster calls a kind.
//!
//! Plurals are looked up, never guessed. An answer holds until a request to the resource fails with 404; then it is
//! looked up again.

use kube::Client;
use serde::Deserialize;
use units::GroupVersionKind;

use crate::client::{ask_for, get};
use crate::error::ApiError;
use crate::paths;

/// A kind as the cluster serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The kind.
    pub kind: GroupVersionKind,
    /// What it is called in paths and in RBAC.
    pub plural: String,
    /// Whether its objects lie in namespaces.
    pub namespaced: bool,
    /// What can be done with it.
    pub verbs: Vec<String>,
}

impl Resource {
    /// What it is called in RBAC and by `kubectl`: `configmaps`, `jobs.batch`.
    pub fn name(&self) -> String {
        match self.kind.group() {
            "" => self.plural.clone(),
            group => format!("{}.{group}", self.plural),
        }
    }
}

/// Why a kind cannot be resolved.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unserved {
    /// The cluster does not serve it now.
    #[error("the cluster serves no kind {kind}{}", suggestion.as_ref().map(|s| format!("; did you mean {s}?")).unwrap_or_default())]
    NotFound {
        /// What was asked for.
        kind: Box<GroupVersionKind>,
        /// A kind of the same group and version that it may have been meant to be.
        suggestion: Option<String>,
    },
    /// The cluster did not say.
    #[error("cannot look up {kind}: {source}")]
    Api {
        /// What was asked for.
        kind: Box<GroupVersionKind>,
        /// Why.
        source: ApiError,
    },
}

#[derive(Deserialize)]
struct ResourceList {
    #[serde(default)]
    resources: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    kind: String,
    #[serde(default)]
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

/// Looks a kind up.
pub async fn resolve(client: &Client, kind: &GroupVersionKind) -> Result<Resource, Unserved> {
    let api = |source| Unserved::Api { kind: Box::new(kind.clone()), source };
    let request = get(&paths::group_version(&kind.api_version), "application/json").map_err(api)?;
    let list: ResourceList = match ask_for(client, request).await {
        Ok(list) => list,
        Err(error) if error.code() == Some(404) => ResourceList { resources: Vec::new() },
        Err(error) => return Err(api(error)),
    };
    find(kind, list)
}

fn find(kind: &GroupVersionKind, list: ResourceList) -> Result<Resource, Unserved> {
    let mut top_level =
        list.resources.into_iter().filter(|listed| !listed.name.contains('/')).collect::<Vec<_>>();
    if let Some(at) = top_level.iter().position(|listed| listed.kind == kind.kind) {
        let Listed { name, namespaced, verbs, .. } = top_level.swap_remove(at);
        return Ok(Resource { kind: kind.clone(), plural: name, namespaced, verbs });
    }
    let meant = |listed: &&Listed| {
        listed.name == kind.kind.to_lowercase() || listed.kind.eq_ignore_ascii_case(&kind.kind)
    };
    let suggestion = top_level.iter().find(meant).map(|listed| listed.kind.clone());
    Err(Unserved::NotFound { kind: Box::new(kind.clone()), suggestion })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(kind: &str) -> Result<Resource, Unserved> {
        let list = serde_json::from_value(serde_json::json!({"resources": [
            {"name": "jobs", "kind": "Job", "namespaced": true, "verbs": ["list", "watch", "delete"]},
            {"name": "jobs/status", "kind": "Job", "namespaced": true, "verbs": ["get"]},
        ]}));
        find(&GroupVersionKind { api_version: "batch/v1".parse().unwrap(), kind: kind.into() }, list.unwrap())
    }

    #[test]
    fn a_plural_instead_of_a_kind_is_set_right() {
        assert_eq!(look_up("Job").unwrap().name(), "jobs.batch");
        for wrong in ["jobs", "job"] {
            assert!(look_up(wrong).unwrap_err().to_string().ends_with("did you mean Job?"));
        }
        assert!(look_up("Thing").unwrap_err().to_string().ends_with("serves no kind Thing (batch/v1)"));
    }
}
