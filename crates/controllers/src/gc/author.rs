//! Whether the author of a policy may do what the policy does.
//!
//! Asked twice: when a policy is written, of whoever writes it, and before anything is deleted for it, of whoever its
//! annotations name. So an admission that was missed changes nothing.

use std::sync::Arc;

use api::garbage_collection::Action;
use api::{Author, AuthorUnknown};
use chassis::{Access, AccessReviews, ApiError, Attributes, Resource, Subject};
use gc::Policy;

/// What an author must be allowed to do with the objects that a policy targets.
fn verbs(policy: &Policy) -> &'static [&'static str] {
    let patches = policy.notice.is_some() || policy.finalizer.is_some();
    match (policy.action, patches) {
        (Action::Keep, _) => &["list"],
        (Action::Delete, false) => &["list", "delete"],
        (Action::Delete, true) => &["list", "delete", "patch"],
    }
}

/// What was found of an author.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AuthorVerdict {
    /// Nobody has looked yet.
    Unchecked,
    /// The author may do what the policy does.
    Allowed,
    /// It is not known who the author is.
    Unknown(AuthorUnknown),
    /// The author may not.
    Forbidden(Missing),
    /// It cannot be told now.
    Unavailable(String),
}

impl AuthorVerdict {
    /// The verdict in one word, for the log.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Allowed => "allowed",
            Self::Unknown(_) => "unknown",
            Self::Forbidden(_) => "forbidden",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

/// What an author lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a policy may only do what its author may do, and `{user}` may not {} `{resource}` {}: bind a role with these rights to `{user}`, or let somebody who has them write the policy",
    verbs.iter().map(|verb| format!("`{verb}`")).collect::<Vec<_>>().join(" or "),
    place(namespace)
)]
pub(super) struct Missing {
    pub(super) user: String,
    pub(super) verbs: Vec<&'static str>,
    pub(super) resource: String,
    pub(super) namespace: String,
}

fn place(namespace: &str) -> String {
    match namespace {
        "" => "in all namespaces".to_owned(),
        namespace => format!("in namespace `{namespace}`"),
    }
}

/// Whether an answer that was given a moment ago will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// It will.
    Recent,
    /// It will not.
    Now,
}

/// The subject that an author is: the annotations hold no more than name and groups.
pub(super) fn subject(author: &Author) -> Subject {
    Subject { user: author.name.clone(), groups: author.groups.clone(), ..Subject::default() }
}

/// What somebody lacks to do with a resource what a policy does; none if nothing.
///
/// A policy of the cluster asks for rights in all namespaces, whichever it selects: labels change.
pub(super) async fn missing_rights(
    access: &AccessReviews,
    subject: &Subject,
    (policy, resource): (&Policy, &Resource),
    freshness: Freshness,
) -> Result<Option<Missing>, ApiError> {
    let namespace = policy.reach.namespace().filter(|_| resource.namespaced).unwrap_or_default();
    let mut verbs = Vec::new();
    for verb in self::verbs(policy).iter().copied() {
        let attributes = Attributes {
            verb,
            group: resource.kind.group().to_owned(),
            resource: resource.plural.clone(),
            namespace: namespace.to_owned(),
        };
        let found = match freshness {
            Freshness::Recent => access.may(subject, &attributes).await?,
            Freshness::Now => access.may_now(subject, &attributes).await?,
        };
        if let Access::Denied { .. } = found {
            verbs.push(verb);
        }
    }
    let missing = || Missing {
        user: subject.user.clone(),
        verbs: verbs.clone(),
        resource: resource.name(),
        namespace: namespace.to_owned(),
    };
    Ok((!verbs.is_empty()).then(missing))
}

/// What is found of the author that a policy's annotations name.
pub(super) async fn check(
    access: &AccessReviews,
    author: &Author,
    policy: &Policy,
    resources: &[Arc<Resource>],
) -> AuthorVerdict {
    for resource in resources {
        match missing_rights(access, &subject(author), (policy, resource), Freshness::Now).await {
            Ok(None) => {}
            Ok(Some(missing)) => return AuthorVerdict::Forbidden(missing),
            Err(error) => {
                return AuthorVerdict::Unavailable(format!(
                    "cannot check what the author `{}` may do with `{}`: {error}",
                    author.name,
                    resource.name()
                ));
            }
        }
    }
    AuthorVerdict::Allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_needs_the_rights_that_the_policy_uses() {
        let verbs = |change: serde_json::Value| {
            let mut spec = serde_json::json!({
                "targetResource": {"apiVersion": "v1", "kind": "Pod"}, "ttl": {"after": "1h"},
            });
            spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let policy: api::GarbageCollectionPolicy = serde_json::from_value(serde_json::json!({
                "metadata": {"name": "sweep", "namespace": "team"}, "spec": spec,
            }))
            .unwrap();
            verbs(&Policy::compile(&policy, &api::Rails::new("grounds")).unwrap())
        };
        let table = [
            (serde_json::json!({}), &["list", "delete"][..]),
            (serde_json::json!({"notice": "1h"}), &["list", "delete", "patch"]),
            (
                serde_json::json!({"behavior": {"finalizer": "example.com/cleanup"}}),
                &["list", "delete", "patch"],
            ),
            (serde_json::json!({"action": "Keep"}), &["list"]),
        ];
        for (change, expected) in table {
            assert_eq!(verbs(change.clone()), expected, "{change}");
        }
    }

    #[test]
    fn what_an_author_lacks_is_named_with_what_to_do() {
        let missing = |verbs: &[&'static str]| Missing {
            user: "ada".to_owned(),
            verbs: verbs.to_vec(),
            resource: "jobs.batch".to_owned(),
            namespace: "team".to_owned(),
        };
        let said = missing(&["list", "delete"]).to_string();
        assert!(said.contains("`ada` may not `list` or `delete` `jobs.batch` in namespace `team`"), "{said}");
        assert!(missing(&["delete"]).to_string().contains("may not `delete` `jobs.batch`"));
    }
}
