//! The one finalizer that a policy takes off objects that it has deleted, and the finalizers that an object carries.
//!
//! Knows names, not who has deleted what: that is for the [`Ground`](crate::Ground) to say.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use api::limits::FINALIZER_CHARS_MAX;
use units::{KeyPath, Value};

use crate::object::Object;
use crate::place::excerpt;

/// Domains whose finalizers, and those of what lies below them, are Kubernetes' own.
const KUBERNETES_DOMAINS: [&str; 2] = ["kubernetes.io", "k8s.io"];

/// Finalizers of Kubernetes that have no domain.
const KUBERNETES_NAMES: [&str; 3] = ["foregroundDeletion", "orphan", "kubernetes"];

/// Characters of the part behind the slash: what Kubernetes takes.
const NAME_CHARS_MAX: usize = 63;

/// The name of a finalizer that a policy may take off, such as `example.com/cleanup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finalizer(Box<str>);

/// A text is no finalizer that a policy may take off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFinalizer {
    /// There is nothing.
    #[error("it is empty: write a finalizer with its domain, such as `example.com/cleanup`, or leave it out")]
    Empty,
    /// It is one of Kubernetes.
    #[error(
        "`{0}` is a finalizer of Kubernetes, which takes it off when its work is done, and not before: write one whose owner is gone"
    )]
    Kubernetes(String),
    /// It is one of ours.
    #[error(
        "`{0}` is a finalizer of Groundskeeper, which takes it off when its work is done, and not before: write one whose owner is gone"
    )]
    Ours(String),
    /// It has no domain.
    #[error(
        "`{0}` has no domain: write it as it stands in metadata.finalizers, such as `example.com/cleanup`"
    )]
    NoDomain(String),
    /// It is not what Kubernetes takes for a finalizer.
    #[error(
        "`{0}` is no finalizer: write a domain in lower case, a slash, and a name of 1 to 63 letters, digits, `-`, `_` and `.`, such as `example.com/cleanup`"
    )]
    Malformed(String),
}

impl FromStr for Finalizer {
    type Err = InvalidFinalizer;

    fn from_str(text: &str) -> Result<Self, InvalidFinalizer> {
        if text.is_empty() {
            return Err(InvalidFinalizer::Empty);
        }
        if KUBERNETES_NAMES.contains(&text) {
            return Err(InvalidFinalizer::Kubernetes(text.to_owned()));
        }
        let Some((domain, name)) = text.split_once('/') else {
            return Err(InvalidFinalizer::NoDomain(excerpt(text).into()));
        };
        if domain.is_empty() {
            return Err(InvalidFinalizer::NoDomain(excerpt(text).into()));
        }
        if text.len() > FINALIZER_CHARS_MAX || !is_domain(domain) || !is_name(name) {
            return Err(InvalidFinalizer::Malformed(excerpt(text).into()));
        }
        if KUBERNETES_DOMAINS.iter().any(|theirs| is_within(domain, theirs)) {
            return Err(InvalidFinalizer::Kubernetes(text.to_owned()));
        }
        if is_within(domain, api::GROUP) {
            return Err(InvalidFinalizer::Ours(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Finalizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Finalizer {
    /// Whether an object carries it; no, if nobody reads [`finalizers_path`] of its kind.
    pub fn is_on(&self, object: &Object) -> bool {
        finalizers(object).any(|found| *found == *self.0)
    }
}

/// The finalizers that an object carries, in its order; none if nobody reads [`finalizers_path`] of its kind.
pub(crate) fn finalizers(object: &Object) -> impl Iterator<Item = &str> {
    let held = object.fields.get(finalizers_path());
    let listed = if let Some(Value::List(finalizers)) = held { &**finalizers } else { &[] };
    listed.iter().filter_map(Value::as_text)
}

/// Where an object has its finalizers.
pub(crate) fn finalizers_path() -> &'static KeyPath {
    static PATH: LazyLock<KeyPath> = LazyLock::new(|| ["metadata", "finalizers"].into_iter().collect());
    &PATH
}

fn is_within(domain: &str, theirs: &str) -> bool {
    domain.strip_suffix(theirs).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether a text is a name as DNS has them, in lower case.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_name(text: &str) -> bool {
    let is_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= NAME_CHARS_MAX
        && is_end(text.bytes().next())
        && is_end(text.bytes().last())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::object;

    #[test]
    fn a_finalizer_of_somebody_else_with_a_domain_is_taken() {
        for text in [
            "example.com/cleanup",
            "a/b",
            "x-k8s.io/y",
            "notkubernetes.io/x",
            "my-groundskeeper.dev/x",
            "a.b-c/D_e.f-9",
        ] {
            assert_eq!(text.parse::<Finalizer>().map(|it| it.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_is_not_to_be_taken_off_is_refused_with_what_to_write() {
        let long = format!("example.com/{}", "a".repeat(64));
        let table = [
            ("", "it is empty"),
            ("cleanup", "has no domain"),
            ("/cleanup", "has no domain"),
            ("foregroundDeletion", "is a finalizer of Kubernetes"),
            ("orphan", "is a finalizer of Kubernetes"),
            ("kubernetes", "is a finalizer of Kubernetes"),
            ("kubernetes.io/pvc-protection", "is a finalizer of Kubernetes"),
            ("service.kubernetes.io/load-balancer-cleanup", "is a finalizer of Kubernetes"),
            ("k8s.io/x", "is a finalizer of Kubernetes"),
            ("batch.k8s.io/job-tracking", "is a finalizer of Kubernetes"),
            ("groundskeeper.dev/cleanup", "is a finalizer of Groundskeeper"),
            ("node.groundskeeper.dev/cleanup", "is a finalizer of Groundskeeper"),
            ("Example.com/cleanup", "is no finalizer"),
            ("example..com/cleanup", "is no finalizer"),
            ("example.com/", "is no finalizer"),
            ("example.com/a/b", "is no finalizer"),
            ("example.com/-a", "is no finalizer"),
            ("example.com/a b", "is no finalizer"),
            (&long, "is no finalizer"),
        ];
        for (text, expected) in table {
            let said = text.parse::<Finalizer>().unwrap_err().to_string();
            assert!(said.contains(expected), "{text}: {said}");
            assert!(said.contains("write"), "{text}: {said}");
        }
    }

    #[test]
    fn an_objects_finalizers_are_those_that_it_was_read_with() {
        let json = r#"{"metadata": {"name": "a", "finalizers": ["example.com/a", "b"]}}"#;
        let mine: Finalizer = "example.com/a".parse().unwrap();
        let read = object(json, &["metadata.finalizers"]);
        assert_eq!(finalizers(&read).collect::<Vec<_>>(), ["example.com/a", "b"]);
        assert!(mine.is_on(&read));
        assert!(!mine.is_on(&object(json, &["metadata.annotations"])));
        let other: Finalizer = "example.com/aa".parse().unwrap();
        assert!(!other.is_on(&read));
    }
}
