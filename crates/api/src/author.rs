//! Who wrote a policy: read from two annotations that admission stamps, and that nobody else may set.
//!
//! A policy is never carried out with more rights than its author has. The annotations say whose rights those are; they
//! are set to the requester on every creation and on every change of a spec, and may not change otherwise.

use std::collections::BTreeMap;

use crate::limits::{AUTHOR_GROUPS_MAX, AUTHOR_NAME_BYTES_MAX};

/// The annotation that holds the author's user name.
pub const AUTHOR_ANNOTATION: &str = "groundskeeper.dev/author";

/// The annotation that holds the author's groups, one on each line.
pub const AUTHOR_GROUPS_ANNOTATION: &str = "groundskeeper.dev/author-groups";

/// Whoever created a policy or last changed its spec.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Author {
    /// The user's name. Never empty.
    pub name: String,
    /// The user's groups, as the API server knew them then.
    pub groups: Vec<String>,
}

/// Why it is not known who wrote a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorUnknown {
    /// The annotations are not both there.
    #[error(
        "the annotations {AUTHOR_ANNOTATION} and {AUTHOR_GROUPS_ANNOTATION} are missing, so nobody's rights can be checked: create the policy again, or change its spec, while Groundskeeper's admission policies are installed"
    )]
    Missing,
    /// There is no name.
    #[error("{AUTHOR_ANNOTATION} is empty, and an author without a name has no rights")]
    NoName,
    /// There is more than can be a user.
    #[error("the author's name or groups are longer than any that can be checked")]
    TooLong,
    /// A name could not be told from two.
    #[error(
        "the author's name or one of the groups has a line break, so they cannot be written down without doubt"
    )]
    LineBreak,
}

impl Author {
    /// The author that a requester becomes.
    pub fn new(name: &str, groups: &[String]) -> Result<Self, AuthorUnknown> {
        if name.is_empty() {
            return Err(AuthorUnknown::NoName);
        }
        let all = || std::iter::once(name).chain(groups.iter().map(String::as_str));
        if groups.len() > AUTHOR_GROUPS_MAX || all().any(|name| name.len() > AUTHOR_NAME_BYTES_MAX) {
            return Err(AuthorUnknown::TooLong);
        }
        if all().any(|name| name.contains(['\n', '\r'])) {
            return Err(AuthorUnknown::LineBreak);
        }
        Ok(Self { name: name.to_owned(), groups: groups.to_vec() })
    }

    /// The author that a policy's annotations name.
    pub fn read(annotations: &BTreeMap<String, String>) -> Result<Self, AuthorUnknown> {
        let found = |name: &str| annotations.get(name).ok_or(AuthorUnknown::Missing);
        let (name, groups) = (found(AUTHOR_ANNOTATION)?, found(AUTHOR_GROUPS_ANNOTATION)?);
        // One more than allowed is enough to be refused.
        let lines = groups.split('\n').filter(|group| !group.is_empty()).take(AUTHOR_GROUPS_MAX + 1);
        Self::new(name, &lines.map(str::to_owned).collect::<Vec<_>>())
    }

    /// The annotations that name this author.
    pub fn annotations(&self) -> [(&'static str, String); 2] {
        [(AUTHOR_ANNOTATION, self.name.clone()), (AUTHOR_GROUPS_ANNOTATION, self.groups.join("\n"))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: Option<&str>, groups: Option<&str>) -> Result<Author, AuthorUnknown> {
        let mut annotations = BTreeMap::from([("other".to_owned(), "x".to_owned())]);
        let given = [(AUTHOR_ANNOTATION, name), (AUTHOR_GROUPS_ANNOTATION, groups)];
        for (key, value) in given {
            value.map(|value| annotations.insert(key.to_owned(), value.to_owned()));
        }
        Author::read(&annotations)
    }

    fn author(name: &str, groups: &[&str]) -> Author {
        Author::new(name, &groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn an_author_reads_back_as_it_was_stamped() {
        for written in
            [author("ada", &[]), author("system:serviceaccount:a:b", &["x", "system:authenticated"])]
        {
            let annotations = written.annotations().map(|(key, value)| (key.to_owned(), value));
            assert_eq!(Author::read(&BTreeMap::from(annotations)), Ok(written));
        }
    }

    #[test]
    fn who_is_not_named_beyond_doubt_is_nobody() {
        let (long, many) = ("x".repeat(AUTHOR_NAME_BYTES_MAX + 1), "g\n".repeat(AUTHOR_GROUPS_MAX + 1));
        let table = [
            (read(None, None), AuthorUnknown::Missing),
            (read(Some("ada"), None), AuthorUnknown::Missing),
            (read(None, Some("system:masters")), AuthorUnknown::Missing),
            (read(Some(""), Some("system:masters")), AuthorUnknown::NoName),
            (read(Some(&long), Some("")), AuthorUnknown::TooLong),
            (read(Some("ada"), Some(&long)), AuthorUnknown::TooLong),
            (read(Some("ada"), Some(&many)), AuthorUnknown::TooLong),
            (read(Some("ada\nsystem:admin"), Some("")), AuthorUnknown::LineBreak),
            (Author::new("ada", &["a\nsystem:masters".to_owned()]), AuthorUnknown::LineBreak),
        ];
        for (found, expected) in table {
            assert_eq!(found, Err(expected));
        }
    }
}
