//! Whose word is taken for who a server is.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::limits::CA_BUNDLE_BYTES_MAX;

/// The certificates that vouch for a server. There is no way to do without.
#[derive(Clone)]
pub struct Trust(pub(super) Arc<ClientConfig>);

/// The certificates cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBundle {
    /// There are none, or they cannot be read.
    #[error(
        "caBundle holds no certificate that can be used: write PEM, from `-----BEGIN CERTIFICATE-----` to `-----END CERTIFICATE-----`"
    )]
    Certificates,
    /// There are too many.
    #[error(
        "caBundle is larger than {CA_BUNDLE_BYTES_MAX} bytes: write only those that sign this server's certificate"
    )]
    TooLarge,
    /// The library that speaks TLS does not work.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

impl Trust {
    /// Those of the system; if it has none, as in an image without files, those that Mozilla trusts.
    pub fn system() -> Result<Self, InvalidBundle> {
        static SYSTEM: OnceLock<Trust> = OnceLock::new();
        if let Some(trust) = SYSTEM.get() {
            return Ok(trust.clone());
        }
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if usable == 0 {
            roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        }
        let trust = Self::of(roots)?;
        Ok(SYSTEM.get_or_init(|| trust).clone())
    }

    /// Those of a PEM text, and no others.
    pub fn bundle(pem: &str) -> Result<Self, InvalidBundle> {
        if pem.len() > CA_BUNDLE_BYTES_MAX {
            return Err(InvalidBundle::TooLarge);
        }
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| InvalidBundle::Certificates)?;
            roots.add(certificate).map_err(|_| InvalidBundle::Certificates)?;
        }
        if roots.is_empty() { Err(InvalidBundle::Certificates) } else { Self::of(roots) }
    }

    fn of(roots: RootCertStore) -> Result<Self, InvalidBundle> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| InvalidBundle::Tls(error.to_string()))?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_without_certificates_vouches_for_nobody() {
        for wrong in ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert_eq!(Trust::bundle(wrong).unwrap_err(), InvalidBundle::Certificates, "{wrong}");
        }
        assert_eq!(Trust::bundle(&"x".repeat(CA_BUNDLE_BYTES_MAX + 1)).unwrap_err(), InvalidBundle::TooLarge);
        assert!(Trust::system().is_ok());
    }
}
