//! Certificates and keys: making them, reading them, and keeping the keys out of sight.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::limits::{CERTIFICATES_MAX, PEM_BYTES_MAX};
use super::rotation::{Held, Span};

/// A private key as PEM. It cannot be printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PrivateKey(String);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

impl PrivateKey {
    /// Takes what should be a key; whether it is one shows when it is used.
    pub(super) fn new(pem: String) -> Self {
        Self(pem)
    }

    /// The key itself, for the one place that stores it and the one that serves with it.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

/// A certificate, read.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) der: CertificateDer<'static>,
    pub(super) span: Span,
    /// Names and addresses that it is for, in order.
    pub(super) names: Vec<String>,
    /// The common name of its subject.
    pub(super) common_name: Option<String>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, span) = (&self.common_name, &self.span);
        f.debug_struct("Certificate").field("common_name", name).field("span", span).finish_non_exhaustive()
    }
}

/// Why certificates cannot be made or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CertificateError {
    #[error("it has more than {PEM_BYTES_MAX} bytes")]
    TooLong,
    #[error("it holds no certificate")]
    Empty,
    #[error("it holds more than {CERTIFICATES_MAX} certificates")]
    TooMany,
    #[error("it is not a certificate: {0}")]
    Unreadable(String),
    #[error("cannot issue a certificate: {0}")]
    Issue(String),
}

impl From<rcgen::Error> for CertificateError {
    fn from(error: rcgen::Error) -> Self {
        Self::Issue(error.to_string())
    }
}

impl Certificate {
    /// Reads every certificate of a PEM file, in its order.
    pub(super) fn read_all(pem: &[u8]) -> Result<Vec<Self>, CertificateError> {
        if pem.len() > PEM_BYTES_MAX {
            return Err(CertificateError::TooLong);
        }
        let mut certificates = Vec::new();
        for der in CertificateDer::pem_slice_iter(pem) {
            if certificates.len() >= CERTIFICATES_MAX {
                return Err(CertificateError::TooMany);
            }
            let der = der.map_err(|error| CertificateError::Unreadable(error.to_string()))?;
            certificates.push(Self::read(der)?);
        }
        if certificates.is_empty() { Err(CertificateError::Empty) } else { Ok(certificates) }
    }

    pub(super) fn read(der: CertificateDer<'static>) -> Result<Self, CertificateError> {
        let unreadable = |error: &dyn fmt::Display| CertificateError::Unreadable(error.to_string());
        let (_, x509) = X509Certificate::from_der(&der).map_err(|error| unreadable(&error))?;
        let time = |second: i64| Timestamp::from_second(second).map_err(|error| unreadable(&error));
        let validity = x509.validity();
        let span = Span {
            not_before: time(validity.not_before.timestamp())?,
            not_after: time(validity.not_after.timestamp())?,
        };
        let common_name =
            x509.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).map(str::to_owned);
        let names = names(&x509);
        drop(x509);
        Ok(Self { der, span, names, common_name })
    }

    /// The certificate as PEM.
    pub(super) fn pem(&self) -> String {
        let encoded = serde_json::json!(k8s_openapi::ByteString(self.der.to_vec()));
        let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
        for (at, character) in encoded.as_str().unwrap_or_default().chars().enumerate() {
            if at > 0 && at % 64 == 0 {
                text.push('\n');
            }
            text.push(character);
        }
        text + "\n-----END CERTIFICATE-----\n"
    }

    pub(super) fn held(&self) -> Held {
        let jitter = digest(&SHA256, &self.der).as_ref().first().copied().unwrap_or(0);
        Held { span: self.span, jitter }
    }
}

fn names(x509: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternative)) = x509.subject_alternative_name() else { return Vec::new() };
    let mut names: Vec<_> = alternative
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
                Ok(bytes) => Some(std::net::Ipv4Addr::from(bytes).to_string()),
                Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|b| std::net::Ipv6Addr::from(b).to_string()),
            },
            _ => None,
        })
        .collect();
    names.sort();
    names
}

/// Makes an authority that signs leaves and nothing else.
pub(super) fn new_authority(span: Span) -> Result<(Certificate, PrivateKey), CertificateError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    // Each has a name of its own: a verifier looks for an issuer by name first.
    let name = format!("groundskeeper-webhook-ca-{}", span.not_after.as_second());
    params.distinguished_name = named(&name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    set_span(&mut params, span);
    let certificate = Certificate::read(params.self_signed(&key)?.der().clone())?;
    Ok((certificate, PrivateKey(key.serialize_pem())))
}

/// Makes a leaf for a server of these names, signed by an authority. It does not outlive the authority.
pub(super) fn new_leaf(
    names: &[String],
    mut span: Span,
    authority: (&Certificate, &PrivateKey),
) -> Result<(Certificate, PrivateKey), CertificateError> {
    let (signer, signer_key) = authority;
    let issuer = Issuer::from_ca_cert_der(&signer.der, KeyPair::from_pem(signer_key.expose())?)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named("groundskeeper-webhook");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    span.not_after = span.not_after.min(signer.span.not_after);
    set_span(&mut params, span);
    let certificate = Certificate::read(params.signed_by(&key, &issuer)?.der().clone())?;
    Ok((certificate, PrivateKey(key.serialize_pem())))
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "groundskeeper.dev");
    name.push(DnType::CommonName, common_name);
    name
}

fn set_span(params: &mut CertificateParams, span: Span) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |time: Timestamp| {
        epoch + std::time::Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0))
    };
    (params.not_before, params.not_after) = (at(span.not_before), at(span.not_after));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: i64, to: i64) -> Span {
        let second = |second| Timestamp::from_second(second).unwrap();
        Span { not_before: second(from), not_after: second(to) }
    }

    #[test]
    fn certificates_read_back_as_they_were_issued() {
        let (authority, key) = new_authority(span(1_000_000, 2_000_000)).unwrap();
        let wanted = ["::1", "127.0.0.1", "a.b.svc"].map(str::to_owned);
        let (leaf, _) = new_leaf(&wanted, span(1_500_000, 9_000_000), (&authority, &key)).unwrap();

        assert_eq!(authority.span, span(1_000_000, 2_000_000));
        assert_eq!(leaf.span, span(1_500_000, 2_000_000), "it does not outlive its authority");
        assert_eq!(leaf.names, ["127.0.0.1", "::1", "a.b.svc"]);
        assert_eq!(leaf.common_name.as_deref(), Some("groundskeeper-webhook"));
        let bundle = format!("{}{}", authority.pem(), leaf.pem());
        assert_eq!(Certificate::read_all(bundle.as_bytes()).unwrap(), [authority, leaf]);
    }

    #[test]
    fn what_is_no_certificate_is_named() {
        let table: [(&[u8], CertificateError); 3] = [
            (b"", CertificateError::Empty),
            (b"hello", CertificateError::Empty),
            (&vec![b'x'; PEM_BYTES_MAX + 1], CertificateError::TooLong),
        ];
        for (pem, expected) in table {
            assert_eq!(Certificate::read_all(pem).unwrap_err(), expected);
        }
        let garbage = b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        assert!(matches!(Certificate::read_all(garbage), Err(CertificateError::Unreadable(_))));
        let (authority, _) = new_authority(span(1, 2)).unwrap();
        let many = authority.pem().repeat(CERTIFICATES_MAX + 1);
        assert_eq!(Certificate::read_all(many.as_bytes()).unwrap_err(), CertificateError::TooMany);
    }

    #[test]
    fn a_key_cannot_be_printed() {
        let (_, key) = new_authority(span(1, 2)).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey");
    }
}
