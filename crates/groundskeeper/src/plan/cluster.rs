//! The objects of a cluster that policies are about.
//!
//! Looks kinds up and lists, nothing else. What is wrong with one policy's kind does not hide what is wrong with
//! another's; if the server does not answer or does not know us, asking again is of no use.

use std::collections::BTreeMap;

use anyhow::bail;
use chassis::{ApiError, Unserved};
use gc::{Object, Policy};
use kube::Client;
use units::GroupVersionKind;

use super::problems::Problems;

/// Why a policy's objects cannot be had.
enum Failure {
    /// Other policies may fare better.
    Here(String),
    /// None will.
    Everywhere(String),
}

/// The objects of each policy's kind in its namespace, in the order of the policies.
pub(crate) async fn observe(client: &Client, policies: &[Policy]) -> anyhow::Result<Vec<Vec<Object>>> {
    let mut listed: BTreeMap<(&GroupVersionKind, &str), Vec<Object>> = BTreeMap::new();
    let mut problems = Problems::default();
    for policy in policies {
        let ground = (&policy.target, &*policy.key.namespace);
        if listed.contains_key(&ground) {
            continue;
        }
        match list(client, ground.0, ground.1).await {
            Ok(objects) => drop(listed.insert(ground, objects)),
            Err(Failure::Here(message)) => problems.add(format!("policy {}: {message}", policy.key)),
            Err(Failure::Everywhere(message)) => bail!("policy {}: {message}", policy.key),
        }
    }
    problems.into_result()?;
    let of =
        |policy: &Policy| listed.get(&(&policy.target, &*policy.key.namespace)).cloned().unwrap_or_default();
    Ok(policies.iter().map(of).collect())
}

async fn list(client: &Client, kind: &GroupVersionKind, namespace: &str) -> Result<Vec<Object>, Failure> {
    let resource = chassis::resolve(client, kind).await.map_err(|unserved| look_up_failure(&unserved))?;
    if !resource.namespaced {
        return Err(Failure::Here(format!(
            "{kind} has no namespaces: a policy collects only what lies in its own"
        )));
    }
    if !resource.verbs.iter().any(|verb| verb == "list") {
        return Err(Failure::Here(format!(
            "{kind} cannot be listed: the cluster does not offer `list` on {}",
            resource.name()
        )));
    }
    let mut objects = Vec::new();
    let listing = chassis::list(client, &resource, namespace, |object: views::Object| {
        objects.push(object.metadata.into());
    });
    match listing.await {
        Ok(()) => Ok(objects),
        Err(error) => Err(list_failure(kind, &resource.name(), namespace, &error)),
    }
}

fn look_up_failure(unserved: &Unserved) -> Failure {
    match unserved {
        Unserved::Api { source, .. } if concerns_all(source) => Failure::Everywhere(unserved.to_string()),
        _ => Failure::Here(unserved.to_string()),
    }
}

fn list_failure(kind: &GroupVersionKind, resource: &str, namespace: &str, error: &ApiError) -> Failure {
    if concerns_all(error) {
        return Failure::Everywhere(format!("cannot list {kind} in namespace {namespace}: {error}"));
    }
    let right = if error.code() == Some(403) {
        format!("; you need the right to `list` {resource} there")
    } else {
        String::new()
    };
    Failure::Here(format!("cannot list {kind} in namespace {namespace}: {error}{right}"))
}

/// Whether it is about the server or about who we are, and not about what was asked for.
fn concerns_all(error: &ApiError) -> bool {
    matches!(error.code(), None | Some(401))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16) -> ApiError {
        ApiError::Refused {
            code,
            reason: String::new(),
            message: "the server's words".into(),
            retry_after: None,
        }
    }

    fn kind() -> GroupVersionKind {
        GroupVersionKind { api_version: "batch/v1".parse().unwrap(), kind: "Job".into() }
    }

    #[test]
    fn a_missing_right_is_named_with_kind_verb_and_namespace() {
        let Failure::Here(message) = list_failure(&kind(), "jobs.batch", "team", &refused(403)) else {
            panic!("other policies may fare better")
        };
        assert_eq!(
            message,
            "cannot list Job (batch/v1) in namespace team: the server's words; you need the right to `list` jobs.batch there"
        );
    }

    #[test]
    fn a_server_that_does_not_answer_or_does_not_know_us_is_told_once() {
        for error in [refused(401), ApiError::Unreachable("connection refused".into())] {
            assert!(matches!(list_failure(&kind(), "jobs.batch", "team", &error), Failure::Everywhere(_)));
            let unserved = Unserved::Api { kind: kind().into(), source: error };
            assert!(matches!(look_up_failure(&unserved), Failure::Everywhere(_)));
        }
        let unserved = Unserved::NotFound { kind: kind().into(), suggestion: None };
        assert!(matches!(look_up_failure(&unserved), Failure::Here(_)));
    }
}
