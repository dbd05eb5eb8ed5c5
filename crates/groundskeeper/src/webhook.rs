//! The admission webhook of `run`: how its parts are put together.

use std::sync::Arc;

use anyhow::Context as _;
use api::Rails;
use chassis::admission::{
    CertificateState, ClientAuthentication, Lifetimes, OwnCertificates, Server, follow_directory,
    keep_own_certificates, serve_reviews,
};
use chassis::{Metrics, Stage, Supervisor};
use control::Clock;
use controllers::gc::admission::{AuthorStamp, PolicyReviewer};
use controllers::node_cleanup::admission::{FinalizerStamp, Nodes};
use kube::Client;

use crate::config::{CertificateSource, Webhook};

/// The Secret that holds our own certificates.
pub const CERTIFICATE_SECRET: &str = chassis::rights::WEBHOOK_SECRET;

/// The name of the webhook configurations that lead to us.
pub const WEBHOOK_CONFIGURATION: &str = chassis::rights::WEBHOOK_CONFIGURATION;

/// The Service that leads to the webhook.
pub const WEBHOOK_SERVICE: &str = "groundskeeper-webhook";

/// What the webhook stands on.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) own_namespace: &'a str,
    pub(crate) rails: &'a Rails,
    pub(crate) nodes: Nodes,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: &'a Metrics,
    pub(crate) supervisor: &'a Supervisor,
}

/// Starts to answer admission reviews, if an address was given; returns what says whether the certificate is valid.
pub(crate) async fn serve_admission(
    webhook: &Webhook,
    client: &Client,
    ground: Ground<'_>,
) -> anyhow::Result<Option<CertificateState>> {
    let Some(address) = webhook.bind_address else { return Ok(None) };
    let Ground { own_namespace, rails, nodes, clock, metrics, supervisor } = ground;
    let state = CertificateState::new(Arc::clone(&clock), metrics.clone());
    let clients = webhook.client_ca.clone().map(|authorities| {
        let names = webhook.client_names.iter().flat_map(|names| names.split(','));
        ClientAuthentication { authorities, common_names: names.map(|name| name.trim().to_owned()).collect() }
    });
    let server = Server::bind(address, state.clone(), clients).await.context(
        "the admission webhook: name another address with --webhook-bind-address, or a free port with :0",
    )?;
    tracing::info!(purpose = "webhook", address = %server.address(), "listening");
    let shared = || (Arc::clone(&clock), metrics.clone());
    let stop = supervisor.stopping_in(Stage::Listen);
    match &webhook.certificates {
        CertificateSource::Directory(path) => supervisor.spawn_in(
            Stage::Listen,
            "webhook certificates",
            follow_directory(path.clone(), state.clone(), stop.clone()),
        ),
        CertificateSource::Own => supervisor.spawn_in(
            Stage::Listen,
            "webhook certificates",
            keep_own_certificates(
                own_certificates(webhook, own_namespace),
                client.clone(),
                state.clone(),
                shared(),
                stop.clone(),
            ),
        ),
    }
    let judge = PolicyReviewer::new(client.clone(), rails.clone(), Arc::clone(&clock));
    let reviewers: Vec<Box<dyn chassis::admission::Reviewer>> = vec![
        Box::new(judge),
        Box::new(AuthorStamp),
        Box::new(FinalizerStamp::new(nodes, metrics.clone(), Arc::clone(&clock))),
    ];
    supervisor.spawn_in(Stage::Listen, "webhook", serve_reviews(server, reviewers, shared(), stop.clone()));
    Ok(Some(state))
}

/// The names do not depend on where we listen: all replicas share the certificate.
fn own_certificates(webhook: &Webhook, namespace: &str) -> OwnCertificates {
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
        lifetimes: Lifetimes { authority: webhook.authority_life.0, leaf: webhook.certificate_life.0 },
    }
}
