//! API versions and kinds.
//!
//! Knows how they are written, not whether a cluster serves them: that is discovery's to say, and never guessed.

use std::fmt;
use std::str::FromStr;

use crate::limits::API_VERSION_BYTES_MAX;

/// A group and a version, such as `batch/v1`; the core group's is the empty string, written `v1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiVersion {
    /// The API group, empty for the core group.
    pub group: String,
    /// The version within the group, such as `v1` or `v1beta2`.
    pub version: String,
}

/// The text is not an `apiVersion`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not an apiVersion: write `version` or `group/version`, such as `v1` or `batch/v1`")]
pub struct InvalidApiVersion {
    /// What was written, cut to a readable length.
    pub given: String,
}

impl FromStr for ApiVersion {
    type Err = InvalidApiVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (group, version) = text.split_once('/').unwrap_or(("", text));
        let has_group = text.contains('/');
        let group_is_well_formed = !has_group || is_dns_subdomain(group);
        if text.len() > API_VERSION_BYTES_MAX || !group_is_well_formed || !is_version(version) {
            return Err(InvalidApiVersion { given: text.chars().take(80).collect() });
        }
        Ok(Self { group: group.to_owned(), version: version.to_owned() })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.version)
        } else {
            write!(f, "{}/{}", self.group, self.version)
        }
    }
}

/// A version is a DNS label; the API server accepts more than `v1`, `v1beta2` and so do we.
fn is_version(text: &str) -> bool {
    is_dns_label(text)
}

fn is_dns_subdomain(text: &str) -> bool {
    text.split('.').all(is_dns_label)
}

fn is_dns_label(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// What a kind is called in a manifest: `apiVersion` and `kind` together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// Group and version.
    pub api_version: ApiVersion,
    /// The kind, such as `ConfigMap`.
    pub kind: String,
}

impl GroupVersionKind {
    /// The API group, empty for the core group.
    pub fn group(&self) -> &str {
        &self.api_version.group
    }

    /// Whether it is the same kind in another version of its API, so that both show the same objects.
    pub fn is_other_version_of(&self, other: &Self) -> bool {
        self.kind == other.kind && self.group() == other.group() && self.api_version != other.api_version
    }
}

impl fmt::Display for GroupVersionKind {
    /// `ConfigMap (v1)`: the kind first, for that is what a reader looks for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind, self.api_version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_version_is_written_back_as_it_was_read() {
        for text in ["v1", "batch/v1", "groundskeeper.dev/v1alpha1", "a.b-c.d/v2beta10"] {
            assert_eq!(text.parse::<ApiVersion>().map(|v| v.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_not_an_api_version_is_refused_with_what_to_write() {
        for text in ["", "/v1", "batch/", "a/b/c", "Batch/v1", "batch /v1", "v1 ", "-v1"] {
            let error = text.parse::<ApiVersion>().expect_err(text);
            assert!(error.to_string().contains("write `version` or `group/version`"), "{error}");
        }
    }
}
