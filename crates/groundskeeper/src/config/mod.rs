//! The configuration: one struct, filled from four layers.
//!
//! Defaults < YAML file < environment < flags ([`layers`]). What a value may be stands in one table ([`table`]), from which
//! flags, `config show` and the reference page are made. Some settings take effect while the program runs ([`watch`]).

mod flags;
mod kind;
mod layers;
mod show;
mod table;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use flags::{ConfigError, Flags, environment};
pub use kind::Kind;
pub use layers::{Effective, Origin, Problem, Problems, Sources, layer};
pub use show::{Args as ShowArgs, show};
pub use table::{Reload, SETTINGS, Setting};
pub(crate) use watch::{Live, watch};

/// What the operator is told. Every field is a row of [`SETTINGS`], which says what it means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// Where the cluster is.
    pub cluster: Cluster,
    /// The namespace that this operator runs in.
    pub namespace: String,
    /// Who of several replicas acts.
    pub leases: Leases,
    /// Where destructive acts are written down.
    pub ledger: Ledger,
    /// How watches are believed.
    pub watches: Watches,
    /// Admission reviews.
    pub webhook: Webhook,
    /// What policies may do.
    pub policies: Policies,
    /// What cleanup plugins may call.
    pub plugins: Plugins,
    /// How much at one time.
    pub limits: Limits,
    /// `/metrics`.
    pub metrics: Metrics,
    /// `/livez`, `/readyz`, `/startupz`.
    pub health: Health,
    /// What is logged, and how.
    pub log: Log,
    /// Where traces go.
    pub traces: Traces,
}

/// Where the cluster is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Cluster {
    /// The kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// The context within it.
    pub context: Option<String>,
}

/// Who of several replicas acts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Leases {
    /// The namespace of the lease; none is the operator's own.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// How long others wait for a leader that has gone silent.
    pub duration: Span,
    /// How long a leader that cannot renew goes on.
    pub renew_deadline: Span,
    /// How often it is renewed, or tried for.
    pub retry_period: Span,
}

/// Where destructive acts are written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Ledger {
    /// Whether they must be.
    pub mode: LedgerMode,
    /// The folder.
    pub directory: PathBuf,
    /// Bytes of one file.
    pub segment_bytes: u64,
    /// Files that are kept.
    pub keep_segments: usize,
    /// How often the head is written to the cluster.
    pub anchor_interval: Span,
}

/// Whether destructive acts must be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LedgerMode {
    /// What cannot be written down is not done.
    Required,
    /// What cannot be written down is done all the same.
    BestEffort,
    /// Nothing is written down.
    Off,
}

/// How watches are believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Watches {
    /// How long one may be silent before it counts as dead.
    pub silence_max: Span,
}

/// Admission reviews.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Webhook {
    /// Where they are answered; none is nowhere.
    pub bind_address: Option<SocketAddr>,
    /// Where its certificate comes from.
    pub certificates: CertificateSource,
    /// How long our own authority lives.
    pub authority_life: Span,
    /// How long our own certificate lives.
    pub certificate_life: Span,
    /// Who certifies callers; none lets anybody call.
    pub client_ca: Option<PathBuf>,
    /// The common names that callers may have, separated by commas; none is any.
    pub client_names: Option<String>,
}

/// Where the webhook's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CertificateSource {
    /// Our own authority.
    Own,
    /// A folder with `tls.crt` and `tls.key`.
    Directory(PathBuf),
}

impl TryFrom<String> for CertificateSource {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "self" => Ok(Self::Own),
            Some(("directory", path)) => Ok(Self::Directory(path.into())),
            _ => Err(format!("`{text}` is neither self nor directory:PATH")),
        }
    }
}

impl From<CertificateSource> for String {
    fn from(source: CertificateSource) -> Self {
        match source {
            CertificateSource::Own => "self".to_owned(),
            CertificateSource::Directory(path) => format!("directory:{}", path.display()),
        }
    }
}

/// What policies may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Policies {
    /// Whether a policy needs the rights of its author.
    pub author_check: AuthorCheck,
}

/// Whether a policy acts only if its author may do what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthorCheck {
    /// Only then.
    Required,
    /// In any case.
    Off,
}

/// What cleanup plugins may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Plugins {
    /// Hosts and networks, separated by commas, that may be called although their addresses are private.
    pub allow_private: Option<String>,
    /// Whether this machine itself may be called.
    pub allow_loopback: bool,
}

/// How much at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Limits {
    /// Deletions in flight, over all policies.
    pub deletions_in_flight: u16,
}

/// `/metrics`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Metrics {
    /// Where it is served.
    pub bind_address: SocketAddr,
    /// Who may read it.
    pub auth: MetricsAuth,
}

/// Who may read metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricsAuth {
    /// Everybody on loopback; elsewhere who has the right to get `/metrics`.
    Auto,
    /// Who has the right to get `/metrics`, wherever it is served.
    Required,
    /// Everybody.
    Off,
}

/// `/livez`, `/readyz`, `/startupz`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Health {
    /// Where they are served.
    pub bind_address: SocketAddr,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Log {
    /// A level, or a list of `target=level`.
    pub level: String,
    /// The form of a line.
    pub format: Format,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// Where traces go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Traces {
    /// An OTLP server; none is nowhere.
    pub endpoint: Option<String>,
    /// The share that is sent, from 0 to 1.
    pub sample_ratio: f64,
}

/// A span of time, written such as `15s` or `1m30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = jiff::SignedDuration::try_from(self.0).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&format!("{span:#}").replace(' ', ""))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        kind::span(&text).map(Self).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no span")))
    }
}

#[cfg(test)]
impl Default for Config {
    fn default() -> Self {
        layer(&Sources::default()).unwrap().config
    }
}
