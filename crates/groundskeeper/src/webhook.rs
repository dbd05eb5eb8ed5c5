//! The admission webhook of `run`: what it is told on the command line, and how its parts are put together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use api::Rails;
use chassis::admission::limits::{LIFE_MAX, LIFE_MIN};
use chassis::admission::{
    CertificateState, ClientAuthentication, Lifetimes, OwnCertificates, Server, follow_directory,
    keep_own_certificates, serve_reviews,
};
use chassis::{Metrics, Stage, Supervisor};
use control::Clock;
use controllers::gc::admission::{AuthorStamp, PolicyReviewer};
use jiff::SignedDuration;
use kube::Client;

/// The Secret that holds our own certificates.
pub const CERTIFICATE_SECRET: &str = chassis::rights::WEBHOOK_SECRET;

/// The name of the webhook configurations that lead to us.
pub const WEBHOOK_CONFIGURATION: &str = chassis::rights::WEBHOOK_CONFIGURATION;

/// The Service that leads to the webhook.
pub const WEBHOOK_SERVICE: &str = "groundskeeper-webhook";

/// What the webhook is told.
#[derive(clap::Args, Clone, Debug)]
pub struct WebhookArgs {
    /// Where admission reviews are answered, over TLS. Port 0 takes a free one. Default: nowhere.
    #[arg(long = "webhook-bind-address", value_name = "ADDRESS:PORT")]
    bind_address: Option<SocketAddr>,

    /// Where the webhook's certificate comes from: `self` (our own authority, kept in the Secret groundskeeper-webhook-tls
    /// of our namespace and rotated), or `directory:PATH` with tls.crt and tls.key, such as a mounted Secret of cert-manager.
    #[arg(long = "webhook-certificates", value_name = "SOURCE", default_value = "self")]
    certificates: CertificateSource,

    /// How long our own authority lives, such as 8760h.
    #[arg(long = "webhook-authority-life", value_name = "DURATION", default_value = "8760h", value_parser = life)]
    authority_life: Duration,

    /// How long our own certificate lives, such as 168h; it is renewed after two thirds. At most a third of the authority's.
    #[arg(long = "webhook-certificate-life", value_name = "DURATION", default_value = "168h", value_parser = life)]
    certificate_life: Duration,

    /// A PEM file with authorities: callers of the webhook must then show a certificate of one of them. Default: none is
    /// demanded.
    #[arg(long = "webhook-client-ca", value_name = "FILE")]
    client_ca: Option<PathBuf>,

    /// A common name that a caller's certificate may have. May be given again. Default: any.
    #[arg(long = "webhook-client-name", value_name = "NAME", requires = "client_ca")]
    client_name: Vec<String>,
}

/// Where the webhook's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CertificateSource {
    Own,
    Directory(PathBuf),
}

impl FromStr for CertificateSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "self" => Ok(Self::Own),
            Some(("directory", path)) if !path.is_empty() => Ok(Self::Directory(path.into())),
            _ => Err("write self, or directory:PATH".to_owned()),
        }
    }
}

fn life(text: &str) -> Result<Duration, String> {
    let given: SignedDuration =
        text.parse().map_err(|error| format!("write a duration such as 168h ({error})"))?;
    let given = Duration::try_from(given).unwrap_or_default();
    if (LIFE_MIN..=LIFE_MAX).contains(&given) {
        Ok(given)
    } else {
        Err(format!("write a duration from {} s to ten years", LIFE_MIN.as_secs()))
    }
}

/// What the webhook stands on.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) own_namespace: &'a str,
    pub(crate) rails: &'a Rails,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: &'a Metrics,
    pub(crate) supervisor: &'a Supervisor,
}

/// Starts to answer admission reviews, if an address was given; returns what says whether the certificate is valid.
pub(crate) async fn serve_admission(
    args: &WebhookArgs,
    client: &Client,
    ground: Ground<'_>,
) -> anyhow::Result<Option<CertificateState>> {
    let Some(address) = args.bind_address else { return Ok(None) };
    ensure!(
        args.certificate_life <= args.authority_life / 3,
        "--webhook-certificate-life may be at most a third of --webhook-authority-life"
    );
    let Ground { own_namespace, rails, clock, metrics, supervisor } = ground;
    let state = CertificateState::new(Arc::clone(&clock), metrics.clone());
    let clients = args
        .client_ca
        .clone()
        .map(|authorities| ClientAuthentication { authorities, common_names: args.client_name.clone() });
    let server = Server::bind(address, state.clone(), clients).await.context(
        "the admission webhook: name another address with --webhook-bind-address, or a free port with :0",
    )?;
    tracing::info!(purpose = "webhook", address = %server.address(), "listening");
    let shared = || (Arc::clone(&clock), metrics.clone());
    let stop = supervisor.stopping_in(Stage::Listen);
    match &args.certificates {
        CertificateSource::Directory(path) => supervisor.spawn_in(
            Stage::Listen,
            "webhook certificates",
            follow_directory(path.clone(), state.clone(), stop.clone()),
        ),
        CertificateSource::Own => supervisor.spawn_in(
            Stage::Listen,
            "webhook certificates",
            keep_own_certificates(
                own_certificates(args, own_namespace),
                client.clone(),
                state.clone(),
                shared(),
                stop.clone(),
            ),
        ),
    }
    let judge = PolicyReviewer::new(client.clone(), rails.clone(), Arc::clone(&clock));
    let reviewers: Vec<Box<dyn chassis::admission::Reviewer>> = vec![Box::new(judge), Box::new(AuthorStamp)];
    supervisor.spawn_in(Stage::Listen, "webhook", serve_reviews(server, reviewers, shared(), stop.clone()));
    Ok(Some(state))
}

/// The names do not depend on where we listen: all replicas share the certificate.
fn own_certificates(args: &WebhookArgs, namespace: &str) -> OwnCertificates {
    let names = [
        format!("{WEBHOOK_SERVICE}.{namespace}.svc"),
        format!("{WEBHOOK_SERVICE}.{namespace}.svc.cluster.local"),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
    ];
    OwnCertificates {
        namespace: namespace.to_owned(),
        secret: CERTIFICATE_SECRET.to_owned(),
        configurations: WEBHOOK_CONFIGURATION.to_owned(),
        names: names.to_vec(),
        lifetimes: Lifetimes { authority: args.authority_life, leaf: args.certificate_life },
    }
}

#[cfg(test)]
mod tests {
    use chassis::admission::limits::{AUTHORITY_LIFE_DEFAULT, LEAF_LIFE_DEFAULT};

    use super::*;

    #[test]
    fn the_defaults_of_the_command_line_are_those_of_the_chassis() {
        assert_eq!(life("8760h"), Ok(AUTHORITY_LIFE_DEFAULT));
        assert_eq!(life("168h"), Ok(LEAF_LIFE_DEFAULT));
    }

    #[test]
    fn a_source_or_a_life_that_makes_no_sense_says_what_to_write() {
        for text in ["", "directory", "directory:", "other:x"] {
            assert_eq!(text.parse::<CertificateSource>(), Err("write self, or directory:PATH".to_owned()));
        }
        assert_eq!("directory:/a:b".parse(), Ok(CertificateSource::Directory("/a:b".into())));
        for text in ["", "soon", "-1h", "2s", "200000h"] {
            assert!(life(text).unwrap_err().starts_with("write a duration"), "{text}");
        }
        assert_eq!(life("3s"), Ok(Duration::from_secs(3)));
    }
}
