//! The webhook: whether the API server knows of it, trusts it, and reaches it.

use std::time::Duration;

use anyhow::Context as _;
use chassis::objects;
use chassis::rights::{WEBHOOK_CONFIGURATION, WEBHOOK_SECRET};
use control::{Clock as _, SystemClock};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use serde_json::Value;
use x509_parser::pem::parse_x509_pem;

use super::installed::find;
use super::report::Finding;
use super::table::Check;
use super::{Asked, Verdict, judged};
use crate::cluster::{Cluster, text};
use crate::limits::FOREIGN_LOOKED_AT_MAX;
use crate::manifests::RbacOptions;

const API: &str = "admissionregistration.k8s.io/v1";

/// What should be left of a certificate that lives seven days and is renewed in time.
const CERTIFICATE_LEFT_MIN: SignedDuration = SignedDuration::from_hours(48);

/// How long a connection to the webhook may take: what the API server waits for an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn examine(cluster: &mut Cluster, options: &RbacOptions) -> Vec<Finding> {
    let configuration =
        find(cluster, API, "ValidatingWebhookConfiguration", (None, WEBHOOK_CONFIGURATION)).await;
    let configuration = match configuration {
        Ok(Some(found)) => found,
        Ok(None) => {
            let verdict = Verdict::Failed("the API server does not know of the webhook".to_owned());
            return vec![Finding::new(Check::WebhookConfiguration, verdict)];
        }
        Err(error) => return vec![judged(Check::WebhookConfiguration, Err(error))],
    };
    let secret = find(cluster, "v1", "Secret", (Some(&options.namespace), WEBHOOK_SECRET)).await;
    vec![
        judged(Check::WebhookConfiguration, mutating(cluster).await),
        judged(Check::WebhookReachable, reachable(cluster, &configuration).await),
        match &secret {
            Ok(secret) => Finding::new(Check::WebhookCa, authority(&configuration, secret.as_ref())),
            Err(error) => judged(Check::WebhookCa, Err(again(error))),
        },
        match &secret {
            Ok(secret) => {
                Finding::new(Check::WebhookCertificate, certificate(secret.as_ref(), SystemClock.now()))
            }
            Err(error) => judged(Check::WebhookCertificate, Err(again(error))),
        },
    ]
}

/// The same error for another check.
fn again(error: &anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<chassis::ApiError>() {
        Some(api) => api.clone().into(),
        None => anyhow::anyhow!("{error:#}"),
    }
}

/// The validating one is there; the mutating one as well.
async fn mutating(cluster: &mut Cluster) -> Asked {
    let served = cluster.served(API).await?;
    let is_needed = !served.iter().any(|plural| plural == "mutatingadmissionpolicies");
    let found = find(cluster, API, "MutatingWebhookConfiguration", (None, WEBHOOK_CONFIGURATION)).await?;
    Ok(match (found, is_needed) {
        (Some(_), _) => {
            Verdict::Passed("the API server asks the webhook about policies and new nodes".to_owned())
        }
        (None, true) => Verdict::Failed("nothing writes the author of a policy down".to_owned()),
        (None, false) => {
            Verdict::Failed("the API server does not ask the webhook about new nodes".to_owned())
        }
    })
}

async fn reachable(cluster: &mut Cluster, configuration: &Value) -> Asked {
    let client = configuration.pointer("/webhooks/0/clientConfig").unwrap_or(&Value::Null);
    if let Some(url) = client.get("url").and_then(Value::as_str) {
        return Ok(listens(url).await);
    }
    let (namespace, service) = (text(client, "/service/namespace"), text(client, "/service/name"));
    let slices = cluster.resource("discovery.k8s.io/v1", "EndpointSlice").await?;
    let slices = slices.context("the cluster knows no EndpointSlice")?;
    let label = format!("kubernetes.io/service-name={service}");
    let (slices, _) =
        objects::look_for(&cluster.client, &slices, Some(namespace), &label, FOREIGN_LOOKED_AT_MAX).await?;
    let endpoints = slices.iter().filter_map(|slice| slice.get("endpoints")?.as_array()).flatten();
    let is_ready = |endpoint: &&Value| endpoint.pointer("/conditions/ready") == Some(&Value::Bool(true));
    let ready = endpoints.filter(is_ready).count();
    Ok(if ready == 0 {
        Verdict::Failed(format!("no replica is ready behind the Service {namespace}/{service}"))
    } else {
        Verdict::Passed(format!("{ready} replicas are ready behind the Service {namespace}/{service}"))
    })
}

/// Whether something listens at an address, as seen from here.
async fn listens(url: &str) -> Verdict {
    let authority = url.trim_start_matches("https://").split('/').next().unwrap_or_default();
    let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:443") };
    match tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::TcpStream::connect(&address)).await {
        Ok(Ok(_)) => Verdict::Passed(format!("something listens at {address}, as seen from here")),
        Ok(Err(error)) => {
            Verdict::Failed(format!("nothing listens at {address}, as seen from here: {error}"))
        }
        Err(_) => Verdict::Failed(format!(
            "no connection to {address} within {} s, as seen from here",
            CONNECT_TIMEOUT.as_secs()
        )),
    }
}

/// What a Secret holds under a key.
fn held(secret: &Value, key: &str) -> Option<Vec<u8>> {
    let value = secret.get("data")?.get(key)?.clone();
    serde_json::from_value(value).ok().map(|ByteString(bytes)| bytes)
}

fn authority(configuration: &Value, secret: Option<&Value>) -> Verdict {
    let Some(bundle) = secret.and_then(|secret| held(secret, "ca.crt")) else {
        return Verdict::Skipped(format!(
            "there is no CA in the Secret {WEBHOOK_SECRET}: no operator has run yet"
        ));
    };
    let webhooks = configuration.get("webhooks").and_then(Value::as_array).into_iter().flatten();
    let shown = |webhook: &Value| {
        let shown = webhook.pointer("/clientConfig/caBundle").cloned()?;
        serde_json::from_value(shown).ok().map(|ByteString(bytes)| bytes)
    };
    let differs = webhooks.filter(|webhook| shown(webhook).as_ref() != Some(&bundle)).count();
    if differs > 0 {
        return Verdict::Failed(
            "the webhook configuration names another CA than the Secret holds".to_owned(),
        );
    }
    Verdict::Passed("the API server trusts the CA that the Secret holds".to_owned())
}

fn certificate(secret: Option<&Value>, now: Timestamp) -> Verdict {
    let Some(leaf) = secret.and_then(|secret| held(secret, "tls.crt")) else {
        return Verdict::Skipped(format!(
            "there is no certificate in the Secret {WEBHOOK_SECRET}: no operator has run yet"
        ));
    };
    let Some(ends) = end_of(&leaf) else {
        return Verdict::Failed(format!("`tls.crt` in the Secret {WEBHOOK_SECRET} is no certificate"));
    };
    let left = ends.duration_since(now);
    if left <= SignedDuration::ZERO {
        return Verdict::Failed(format!("it ended at {ends}"));
    }
    let hours = left.as_hours();
    let message = format!("it is valid for {} days and {} hours", hours / 24, hours % 24);
    if left < CERTIFICATE_LEFT_MIN { Verdict::Warned(message) } else { Verdict::Passed(message) }
}

fn end_of(pem: &[u8]) -> Option<Timestamp> {
    let (_, pem) = parse_x509_pem(pem).ok()?;
    let certificate = pem.parse_x509().ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}
