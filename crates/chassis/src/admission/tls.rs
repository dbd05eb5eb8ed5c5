//! The certificate that is served now, and what is demanded of callers.
//!
//! The certificate is exchanged while connections come in: each handshake takes the one of its moment. TLS 1.2 and 1.3
//! only. Sessions are not resumed, so that every connection shows our newest certificate and proves the caller's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use control::Clock;
use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

use super::authority::{Certificate, CertificateError, PrivateKey};
use super::limits::PEM_BYTES_MAX;
use crate::metrics::{MetricName, Metrics};

/// Where the served certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Our own authority, kept in a Secret.
    Own,
    /// A directory that somebody else fills, such as cert-manager.
    Directory,
}

impl Source {
    const fn label(self) -> &'static str {
        match self {
            Self::Own => "self",
            Self::Directory => "directory",
        }
    }
}

/// The certificate that is served now. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct CertificateState(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    served: ArcSwapOption<Served>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

struct Served {
    key: Arc<CertifiedKey>,
    certificate: Certificate,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.certificate.fmt(f)
    }
}

/// Why a certificate and a key cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unservable {
    #[error("certificate: {0}")]
    Certificate(#[from] CertificateError),
    #[error("the key cannot be read")]
    Key,
    #[error("certificate and key do not belong together: {0}")]
    Pair(String),
    #[error("the certificate has expired at {0}")]
    Expired(Timestamp),
}

impl CertificateState {
    /// None is served yet.
    pub fn new(clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        Self(Arc::new(Inner { served: ArcSwapOption::empty(), clock, metrics }))
    }

    /// Whether a caller would accept what is served now, as far as time is concerned.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.0.served.load().as_ref().is_some_and(|served| served.certificate.span.contains(now))
    }

    /// When the served certificate expires; none if none is served.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.0.served.load().as_ref().map(|served| served.certificate.span.not_after)
    }

    /// Serves another certificate from now on. If it cannot be served, the one before stays.
    pub(super) fn serve(
        &self,
        chain: &[Certificate],
        key: &PrivateKey,
        source: Source,
    ) -> Result<(), Unservable> {
        let leaf = chain.first().ok_or(CertificateError::Empty)?;
        if self.0.served.load().as_ref().is_some_and(|served| served.certificate == *leaf) {
            return Ok(());
        }
        if leaf.span.not_after <= self.0.clock.now() {
            return Err(Unservable::Expired(leaf.span.not_after));
        }
        let certified = certified(chain, key)?;
        let expires_at = leaf.span.not_after;
        self.0.served.store(Some(Arc::new(Served { key: Arc::new(certified), certificate: leaf.clone() })));
        let metrics = &self.0.metrics;
        metrics.set(MetricName::CertificateExpiry, &[("certificate", "leaf")], expires_at.as_second());
        metrics.set(MetricName::CertificateSource, &[("source", source.label())], 1);
        tracing::info!(source = source.label(), %expires_at, "serving a new certificate");
        Ok(())
    }
}

impl ResolvesServerCert for CertificateState {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.served.load().as_ref().map(|served| Arc::clone(&served.key))
    }
}

/// Certificate and key, if they can be served together.
pub(super) fn certified(chain: &[Certificate], key: &PrivateKey) -> Result<CertifiedKey, Unservable> {
    let chain = chain.iter().map(|certificate| certificate.der.clone()).collect();
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| Unservable::Key)?;
    CertifiedKey::from_der(chain, key, &default_provider())
        .map_err(|error| Unservable::Pair(error.to_string()))
}

/// Who may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuthentication {
    /// The authorities whose client certificates are accepted, as a PEM file. It is read again when it changes.
    pub authorities: PathBuf,
    /// The common names that are accepted; empty accepts every certificate of these authorities.
    pub common_names: Vec<String>,
}

/// Why no connection can be taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TlsError {
    /// The file with the authorities of clients cannot be used.
    #[error("cannot use {path} to verify client certificates: {message}")]
    ClientAuthorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The library refuses the settings.
    #[error("cannot set up TLS: {0}")]
    Setup(String),
}

/// The settings of all connections: our certificate, and the authorities of callers if there are any.
pub(super) fn server_config(
    certificates: &CertificateState,
    client_authorities: Option<(&Path, &[u8])>,
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(default_provider());
    let setup = |error: &dyn std::fmt::Display| TlsError::Setup(error.to_string());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| setup(&error))?;
    let builder = match client_authorities {
        None => builder.with_no_client_auth(),
        Some((path, pem)) => builder.with_client_cert_verifier(client_verifier(path, pem, provider)?),
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificates.clone()));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client_verifier(
    path: &Path,
    pem: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let unusable = |message: String| TlsError::ClientAuthorities { path: path.to_path_buf(), message };
    let mut roots = RootCertStore::empty();
    for certificate in Certificate::read_all(pem).map_err(|error| unusable(error.to_string()))? {
        roots.add(certificate.der).map_err(|error| unusable(error.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| unusable(error.to_string()))
}

/// The common name in a caller's certificate.
pub(super) fn common_name(chain: Option<&[CertificateDer<'static>]>) -> Option<String> {
    Certificate::read(chain?.first()?.clone()).ok()?.common_name
}

/// Reads a file of certificates or a key, up to its limit.
pub(super) fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let limit = u64::try_from(PEM_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
