//! Who asks, as the API server sees it, and which right they lack.

use anyhow::{Context as _, anyhow};
use api::GROUP;
use chassis::{ApiError, objects};
use serde_json::json;

use crate::cluster::{Cluster, text};

/// The user's name.
pub(crate) async fn am_i(cluster: &mut Cluster) -> anyhow::Result<String> {
    let (version, kind) = ("authentication.k8s.io/v1", "SelfSubjectReview");
    let resource = cluster.resource(version, kind).await?;
    let resource = resource.context("the cluster cannot say who you are: it serves no SelfSubjectReview")?;
    let review = json!({"apiVersion": version, "kind": kind});
    let answer = objects::review(&cluster.client, &resource, &review).await;
    let answer = answer.context("the cluster does not say who you are")?;
    let name = text(&answer, "/status/userInfo/username");
    Ok(Some(name).filter(|name| !name.is_empty()).context("the cluster does not say who you are")?.to_owned())
}

/// Whether we may do this on nodecleanups; none if the cluster does not say.
async fn may_i(cluster: &mut Cluster, verb: &str) -> Option<bool> {
    let (version, kind) = ("authorization.k8s.io/v1", "SelfSubjectAccessReview");
    let resource = cluster.resource(version, kind).await.ok()??;
    let attributes = json!({"group": GROUP, "resource": "nodecleanups", "verb": verb});
    let review = json!({"apiVersion": version, "kind": kind, "spec": {"resourceAttributes": attributes}});
    let answer = objects::review(&cluster.client, &resource, &review).await.ok()?;
    answer.pointer("/status/allowed")?.as_bool()
}

/// A refusal, with the rights on nodecleanups that would lift it.
pub(crate) async fn explain(cluster: &mut Cluster, error: ApiError, verbs: &[&str]) -> anyhow::Error {
    if error.code() != Some(403) {
        return error.into();
    }
    let mut missing = Vec::new();
    for verb in verbs {
        if may_i(cluster, verb).await == Some(false) {
            missing.push(format!("`{verb}`"));
        }
    }
    if missing.is_empty() {
        return error.into();
    }
    let right = if missing.len() == 1 { "the verb" } else { "the verbs" };
    anyhow!("you lack {right} {} on nodecleanups.{GROUP}: {error}", missing.join(" and "))
}
