//! Who may do what: asked of the API server, right by right.

use std::collections::BTreeSet;

use anyhow::Context as _;
use chassis::objects;
use chassis::rights::{Right, Scope};
use serde_json::{Value, json};

use super::{Asked, Verdict};
use crate::cluster::Cluster;
use crate::manifests::{self, RbacOptions, declared_rights};

/// What is done with each object of an installation.
const INSTALLER_VERBS: [&str; 3] = ["get", "create", "patch"];

/// What an installation declares, whoever asks may declare.
pub(super) async fn of_installer(cluster: &mut Cluster, options: &RbacOptions) -> Asked {
    let review = cluster.resource("authorization.k8s.io/v1", "SelfSubjectAccessReview").await?;
    let review = review.context("the cluster reviews no rights")?;
    let mut needed = BTreeSet::new();
    for manifest in manifests::all_ever_declared(options)? {
        let Some(named) = cluster.named(&manifest).await? else { continue };
        let group = named.resource.kind.group().to_owned();
        needed.insert((group, named.resource.plural.clone(), named.namespace));
    }
    let (mut missing, mut asked) = (Vec::new(), 0);
    for (group, resource, namespace) in needed {
        for verb in INSTALLER_VERBS {
            let attributes = json!({
                "verb": verb, "group": group, "resource": resource, "namespace": namespace.clone().unwrap_or_default(),
            });
            let body = json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            });
            asked += 1;
            if !is_allowed(&objects::review(&cluster.client, &review, &body).await?) {
                missing.push(words(verb, &group, &resource, ""));
            }
        }
    }
    Ok(verdict(
        "you lack the right to",
        &missing,
        format!("you hold the {asked} rights that an installation needs"),
    ))
}

/// What the code declares, the operator's service account may do.
pub(super) async fn of_operator(cluster: &mut Cluster, options: &RbacOptions) -> Asked {
    let review = cluster.resource("authorization.k8s.io/v1", "SubjectAccessReview").await?;
    let review = review.context("the cluster reviews no rights")?;
    let RbacOptions { namespace, service_account, .. } = options;
    let (mut missing, mut asked) = (Vec::new(), 0);
    for right in declared_rights() {
        for (verb, resource, name) in single(right) {
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            let attributes = json!({
                "verb": verb,
                "group": right.group,
                "resource": resource,
                "subresource": subresource,
                "name": name,
                "namespace": if right.scope == Scope::OwnNamespace { namespace } else { "" },
            });
            let body = json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": format!("system:serviceaccount:{namespace}:{service_account}"),
                    "groups": [
                        "system:serviceaccounts",
                        format!("system:serviceaccounts:{namespace}"),
                        "system:authenticated",
                    ],
                    "resourceAttributes": attributes,
                },
            });
            asked += 1;
            if !is_allowed(&objects::review(&cluster.client, &review, &body).await?) {
                missing.push(words(verb, right.group, resource, name));
            }
        }
    }
    let who = format!("the service account {namespace}/{service_account} lacks the right to");
    Ok(verdict(&who, &missing, format!("the operator holds the {asked} rights that its code declares")))
}

/// Each verb on each resource and name of a right.
fn single(right: &Right) -> Vec<(&'static str, &'static str, &'static str)> {
    let names = if right.names.is_empty() { &[""][..] } else { right.names };
    let mut all = Vec::new();
    for resource in right.resources {
        for name in names {
            all.extend(right.verbs.iter().map(|verb| (*verb, *resource, *name)));
        }
    }
    all
}

fn is_allowed(review: &Value) -> bool {
    review.pointer("/status/allowed").and_then(Value::as_bool) == Some(true)
}

fn words(verb: &str, group: &str, resource: &str, name: &str) -> String {
    let dot = if group.is_empty() { "" } else { "." };
    let slash = if name.is_empty() { "" } else { "/" };
    format!("{verb} {resource}{dot}{group}{slash}{name}")
}

fn verdict(who: &str, missing: &[String], passed: String) -> Verdict {
    if missing.is_empty() {
        return Verdict::Passed(passed);
    }
    Verdict::Failed(format!("{who} {}", missing.join(", ")))
}
