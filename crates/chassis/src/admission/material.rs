//! What the Secret holds: authorities, leaf, keys; and how each step of a rotation changes it.
//!
//! `ca.crt` is the bundle: the authority that signs comes first, one that waits to sign second (its key is then
//! `next-ca.key`), former ones last. `ca.key` is the signer's key, `tls.crt` and `tls.key` are the leaf.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::authority::{Certificate, CertificateError, PrivateKey, new_authority, new_leaf};
use super::limits::{AUTHORITIES_MAX, PEM_BYTES_MAX};
use super::rotation::{Lifetimes, Span, State, Step};

const BUNDLE: &str = "ca.crt";
const SIGNER_KEY: &str = "ca.key";
const NEXT_KEY: &str = "next-ca.key";
const LEAF: &str = "tls.crt";
const LEAF_KEY: &str = "tls.key";

/// Until when leaves of former authorities may be in use.
const PREVIOUS_UNTIL: &str = "groundskeeper.dev/previous-authorities-until";

/// What the Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Material {
    /// Never empty; the signer comes first.
    authorities: Vec<Certificate>,
    signer_key: PrivateKey,
    next_key: Option<PrivateKey>,
    previous_until: Option<Timestamp>,
    pub(super) leaf: Certificate,
    pub(super) leaf_key: PrivateKey,
}

/// For whom, and for how long.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) names: Vec<String>,
    pub(super) lifetimes: Lifetimes,
}

/// Why a Secret cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}`: {1}")]
    Certificate(&'static str, CertificateError),
    #[error("`{0}` is not text, or too long")]
    Key(&'static str),
}

impl Material {
    /// A first authority with a first leaf.
    pub(super) fn begin(plan: &Plan, now: Timestamp) -> Result<Self, CertificateError> {
        let (authority, signer_key) = new_authority(Span::issued(now, plan.lifetimes.authority))?;
        let issued = Span::issued(now, plan.lifetimes.leaf);
        let (leaf, leaf_key) = new_leaf(&plan.names, issued, (&authority, &signer_key))?;
        let authorities = vec![authority];
        Ok(Self { authorities, signer_key, next_key: None, previous_until: None, leaf, leaf_key })
    }

    /// What it is after a step.
    pub(super) fn after(&self, step: Step, plan: &Plan, now: Timestamp) -> Result<Self, CertificateError> {
        let mut after = self.clone();
        match step {
            Step::Rest => {}
            Step::Begin => return Self::begin(plan, now),
            Step::RenewLeaf => after.renew_leaf(plan, now)?,
            Step::AddAuthority => {
                let (authority, key) = new_authority(Span::issued(now, plan.lifetimes.authority))?;
                after.authorities.insert(1, authority);
                after.authorities.truncate(AUTHORITIES_MAX);
                after.next_key = Some(key);
            }
            Step::SwitchAuthority => {
                if let Some(key) = after.next_key.take() {
                    after.authorities.swap(0, 1);
                    after.signer_key = key;
                    after.previous_until = after.previous_until.max(Some(self.leaf.span.not_after));
                    after.renew_leaf(plan, now)?;
                }
            }
            Step::DropAuthorities => {
                after.authorities.truncate(1);
                after.previous_until = None;
            }
        }
        Ok(after)
    }

    fn renew_leaf(&mut self, plan: &Plan, now: Timestamp) -> Result<(), CertificateError> {
        let Some(signer) = self.authorities.first() else { return Err(CertificateError::Empty) };
        let issued = Span::issued(now, plan.lifetimes.leaf);
        (self.leaf, self.leaf_key) = new_leaf(&plan.names, issued, (signer, &self.signer_key))?;
        Ok(())
    }

    /// Where its rotation stands.
    pub(super) fn state(&self, names: &[String], shown_since: Option<Timestamp>) -> Option<State> {
        let waiting = self.authorities.get(1).filter(|_| self.next_key.is_some());
        let former = self.authorities.len() > 1 + usize::from(waiting.is_some());
        let mut wanted = names.to_vec();
        wanted.sort();
        Some(State {
            signer: self.authorities.first()?.held(),
            next: waiting.map(Certificate::held),
            previous_until: self.previous_until.filter(|_| former),
            leaf: self.leaf.held(),
            leaf_fits: self.leaf.names == wanted,
            shown_since,
        })
    }

    /// Whether an authority waits to sign.
    pub(super) fn has_next(&self) -> bool {
        self.next_key.is_some()
    }

    /// The end of the authority that signs.
    pub(super) fn signer_expires(&self) -> Option<Timestamp> {
        self.authorities.first().map(|signer| signer.span.not_after)
    }

    /// What callers are to trust, as PEM.
    pub(super) fn bundle(&self) -> String {
        self.authorities.iter().map(Certificate::pem).collect()
    }

    /// Reads a Secret; none if there is nothing in it yet.
    pub(super) fn read(secret: &Secret) -> Result<Option<Self>, Unusable> {
        let empty = BTreeMap::new();
        let data = secret.data.as_ref().unwrap_or(&empty);
        if data.values().all(|value| value.0.is_empty()) {
            return Ok(None);
        }
        let bytes = |name: &'static str| {
            let found = data.get(name).map(|value| value.0.as_slice()).filter(|value| !value.is_empty());
            found.ok_or(Unusable::Missing(name))
        };
        let certificates = |name: &'static str| {
            Certificate::read_all(bytes(name)?).map_err(|error| Unusable::Certificate(name, error))
        };
        let key = |name: &'static str| {
            let bytes = bytes(name)?;
            let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= PEM_BYTES_MAX);
            text.map(|text| PrivateKey::new(text.to_owned())).ok_or(Unusable::Key(name))
        };
        let next_key = if data.contains_key(NEXT_KEY) { Some(key(NEXT_KEY)?) } else { None };
        let authorities = certificates(BUNDLE)?;
        let leaf = certificates(LEAF)?.into_iter().next().ok_or(Unusable::Missing(LEAF))?;
        let former = authorities.len() > 1 + usize::from(next_key.is_some());
        let noted = secret.metadata.annotations.as_ref().and_then(|all| all.get(PREVIOUS_UNTIL));
        let noted = noted.and_then(|text| text.parse::<Timestamp>().ok());
        // Without the note a former authority stays as long as it could have signed anything that is still valid.
        let longest = authorities.iter().skip(1).map(|former| former.span.not_after).max();
        let previous_until = if former { noted.or(longest) } else { None };
        Ok(Some(Self {
            authorities,
            signer_key: key(SIGNER_KEY)?,
            next_key,
            previous_until,
            leaf,
            leaf_key: key(LEAF_KEY)?,
        }))
    }

    /// Puts all of it into a Secret; what else the Secret holds stays.
    pub(super) fn write(&self, secret: &mut Secret) {
        let data = secret.data.get_or_insert_default();
        let mut put = |name: &str, text: String| {
            data.insert(name.to_owned(), ByteString(text.into_bytes()));
        };
        put(BUNDLE, self.bundle());
        put(SIGNER_KEY, self.signer_key.expose().to_owned());
        put(LEAF, self.leaf.pem());
        put(LEAF_KEY, self.leaf_key.expose().to_owned());
        match &self.next_key {
            Some(key) => put(NEXT_KEY, key.expose().to_owned()),
            None => drop(data.remove(NEXT_KEY)),
        }
        let annotations = secret.metadata.annotations.get_or_insert_default();
        match self.previous_until {
            Some(until) => drop(annotations.insert(PREVIOUS_UNTIL.to_owned(), until.to_string())),
            None => drop(annotations.remove(PREVIOUS_UNTIL)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn plan() -> Plan {
        let lifetimes = Lifetimes { authority: Duration::from_mins(150), leaf: Duration::from_mins(15) };
        Plan { names: vec!["localhost".to_owned()], lifetimes }
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn stored(material: &Material) -> Material {
        let mut secret = Secret::default();
        material.write(&mut secret);
        Material::read(&secret).unwrap().unwrap()
    }

    #[test]
    fn a_whole_rotation_reads_back_as_it_was_written() {
        let first = Material::begin(&plan(), second(100_000)).unwrap();
        let added = first.after(Step::AddAuthority, &plan(), second(106_000)).unwrap();
        let switched = added.after(Step::SwitchAuthority, &plan(), second(106_100)).unwrap();
        let dropped = switched.after(Step::DropAuthorities, &plan(), second(107_000)).unwrap();
        for material in [&first, &added, &switched, &dropped] {
            assert_eq!(stored(material), *material);
        }
        assert_eq!(first.leaf, added.leaf, "an authority that was only added has signed nothing");
        assert_eq!(added.bundle().matches("BEGIN").count(), 2);
        assert_eq!(switched.previous_until, Some(first.leaf.span.not_after));
        assert_eq!(dropped.authorities, [added.authorities[1].clone()]);
        assert_eq!(dropped.leaf, switched.leaf);
    }

    #[test]
    fn a_secret_that_somebody_has_damaged_is_named_and_an_empty_one_is_new() {
        assert_eq!(Material::read(&Secret::default()), Ok(None));
        let mut secret = Secret::default();
        Material::begin(&plan(), second(100_000)).unwrap().write(&mut secret);
        for name in [BUNDLE, SIGNER_KEY, LEAF, LEAF_KEY] {
            let mut damaged = secret.clone();
            damaged.data.as_mut().unwrap().remove(name);
            assert_eq!(Material::read(&damaged), Err(Unusable::Missing(name)));
            damaged.data.as_mut().unwrap().insert(name.to_owned(), ByteString(vec![0xff, 0xfe]));
            assert!(Material::read(&damaged).is_err(), "{name}");
        }
    }
}
