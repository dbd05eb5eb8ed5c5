//! Whether the author of a policy may do what the policy does.
//!
//! Asked twice: when a policy is written, of whoever writes it, and before anything is deleted for it, of whoever its
//! annotations name. So an admission that was missed changes nothing.

use api::{Author, AuthorUnknown};
use chassis::{Access, AccessReviews, ApiError, Attributes, Resource, Subject};

/// What an author must be allowed to do with the objects that a policy targets.
const VERBS: [&str; 2] = ["list", "delete"];

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
    "a policy may only collect what its author may list and delete, and `{user}` may not {} `{resource}` in namespace `{namespace}`: bind a role with these rights to `{user}`, or let somebody who has them write the policy",
    verbs.iter().map(|verb| format!("`{verb}`")).collect::<Vec<_>>().join(" or ")
)]
pub(super) struct Missing {
    pub(super) user: String,
    pub(super) verbs: Vec<&'static str>,
    pub(super) resource: String,
    pub(super) namespace: String,
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

/// What somebody lacks to collect a resource in a namespace; none if nothing.
pub(super) async fn missing_rights(
    access: &AccessReviews,
    subject: &Subject,
    target: (&Resource, &str),
    freshness: Freshness,
) -> Result<Option<Missing>, ApiError> {
    let (resource, namespace) = target;
    let mut verbs = Vec::new();
    for verb in VERBS {
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
    resource: &Resource,
    namespace: &str,
) -> AuthorVerdict {
    match missing_rights(access, &subject(author), (resource, namespace), Freshness::Now).await {
        Ok(None) => AuthorVerdict::Allowed,
        Ok(Some(missing)) => AuthorVerdict::Forbidden(missing),
        Err(error) => AuthorVerdict::Unavailable(format!(
            "cannot check whether the author `{}` may list and delete `{}`: {error}",
            author.name,
            resource.name()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
