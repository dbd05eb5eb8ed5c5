//! What somebody has approved of a policy: one spec, by its hash, as of one moment.
//!
//! An approval lets a spec begin that waits for it, and for a week lets through whatever had fallen due by its moment,
//! whatever the budget. A changed spec has another hash, so an approval never covers more than was seen.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use api::GarbageCollectionPolicySpec;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// The annotation of a policy that holds what was approved, as `HASH@TIME`.
pub const APPROVED_ANNOTATION: &str = "groundskeeper.dev/approved";

/// Bytes of the hash that are kept: nobody finds two specs that share 128 bits.
const HASH_BYTES: usize = 16;

/// The hash of a policy's spec.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpecHash(Box<str>);

/// One spec was approved at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Which spec.
    pub spec_hash: SpecHash,
    /// When.
    pub at: Timestamp,
}

/// A text is no approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an approval is written as HASH@TIME; let `groundskeeper approve` write it")]
pub struct NoApproval;

impl SpecHash {
    /// The hash of a spec: of its fields, not of how they were written.
    pub fn of(spec: &GarbageCollectionPolicySpec) -> Self {
        // Every field of a spec can be written; there are no maps with keys that are not texts.
        let text = serde_json::to_vec(spec).unwrap_or_default();
        let digest = Sha256::digest(&text);
        Self(digest.iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect())
    }

    /// The hash as it stands in a status.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SpecHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for SpecHash {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Approval {
    /// What a policy's annotations say was approved; none if they say nothing that can be read.
    pub fn read(annotations: Option<&BTreeMap<String, String>>) -> Option<Self> {
        annotations?.get(APPROVED_ANNOTATION)?.parse().ok()
    }
}

impl FromStr for Approval {
    type Err = NoApproval;

    fn from_str(text: &str) -> Result<Self, NoApproval> {
        let (hash, at) = text.split_once('@').ok_or(NoApproval)?;
        let is_hash = hash.len() == 2 * HASH_BYTES && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash {
            return Err(NoApproval);
        }
        Ok(Self { spec_hash: SpecHash::from(hash), at: at.parse().map_err(|_| NoApproval)? })
    }
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.spec_hash, self.at)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    fn hash(spec: serde_json::Value) -> SpecHash {
        SpecHash::of(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn a_hash_is_of_what_a_spec_means() {
        let short =
            hash(json!({"targetResource": {"apiVersion": "v1", "kind": "Pod"}, "ttl": {"after": "1h"}}));
        let long = hash(json!({
            "ttl": {"after": "1h"}, "mode": "Plan", "paused": false,
            "targetResource": {"kind": "Pod", "apiVersion": "v1"},
        }));
        let other =
            hash(json!({"targetResource": {"apiVersion": "v1", "kind": "Pod"}, "ttl": {"after": "2h"}}));

        assert_eq!(short, long);
        assert_ne!(short, other);
    }

    #[test]
    fn an_approval_is_read_as_it_was_written() {
        let text = "00112233445566778899aabbccddeeff@2026-11-21T10:00:00Z";
        assert_eq!(text.parse::<Approval>().unwrap().to_string(), text);
        for odd in ["", "yes", "0011@2026-11-21T10:00:00Z", "00112233445566778899aabbccddeeff@soon"] {
            assert!(odd.parse::<Approval>().is_err(), "{odd}");
        }
    }
}
