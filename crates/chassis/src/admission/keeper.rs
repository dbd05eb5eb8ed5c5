//! Our own certificates: one Secret, shared by all replicas, written by whichever replica finds that something is due.
//!
//! Each round reads the webhook configurations, then the Secret, takes the next step of the rotation if there is one,
//! serves the leaf, and shows the bundle to the configurations. The order matters: a configuration that was read before
//! the Secret can only be older than it, so that no replica ever takes a newer bundle back.
//!
//! Every write is a compare-and-swap on the resourceVersion; whoever loses reads again. While the cluster cannot be
//! reached, what was served last is served on.

use std::sync::Arc;
use std::time::Duration;

use control::Clock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use super::authority::CertificateError;
use super::limits::WRITE_ATTEMPTS_MAX;
use super::material::{Material, Plan};
use super::rotation::{Lifetimes, Step, decide};
use super::tls::{CertificateState, Source, Unservable, certified};
use super::webhooks::{self, Configuration};
use crate::client::bounded;
use crate::error::ApiError;
use crate::metrics::{MetricName, Metrics};

/// Where our own certificates are kept, and for whom they are made.
#[derive(Clone, Debug)]
pub struct OwnCertificates {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The Secret's name.
    pub secret: String,
    /// The name of the webhook configurations that are to trust us.
    pub configurations: String,
    /// The names and addresses that callers know us by.
    pub names: Vec<String>,
    /// How long certificates live.
    pub lifetimes: Lifetimes,
}

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("the Secret {0}: {1}")]
    Secret(String, ApiError),
    #[error("the Secret {0} changes faster than it can be written")]
    Contended(String),
    #[error("the webhook configurations {0}: {1}")]
    Configurations(String, ApiError),
    #[error(transparent)]
    Issue(#[from] CertificateError),
    #[error(transparent)]
    Serve(#[from] Unservable),
}

/// Keeps our own certificates.
pub(super) struct Keeper {
    client: Client,
    secrets: Api<Secret>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    own: OwnCertificates,
    served: CertificateState,
    /// What the Secret held last: with it a Secret that was deleted is replaced without a gap.
    remembered: Option<Material>,
    /// The bundle that every configuration shows, and since when.
    shown: Option<(String, Timestamp)>,
    trouble: Option<String>,
}

impl Keeper {
    pub(super) fn new(
        client: Client,
        own: OwnCertificates,
        served: CertificateState,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Self {
        let secrets = Api::namespaced(client.clone(), &own.namespace);
        Self { client, secrets, clock, metrics, own, served, remembered: None, shown: None, trouble: None }
    }

    /// Keeps them until stopped.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let round = tokio::select! {
                () = stop.cancelled() => return,
                round = self.round() => round,
            };
            self.tell(round.err());
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.pause()) => {}
            }
        }
    }

    fn pause(&self) -> Duration {
        self.own.lifetimes.interval()
    }

    /// Trouble is told once, and so is its end.
    fn tell(&mut self, error: Option<RoundError>) {
        let trouble = error.map(|error| error.to_string());
        if trouble != self.trouble {
            if let Some(error) = &trouble {
                tracing::warn!(error, "the webhook's certificates cannot be kept up");
            } else {
                tracing::info!("the webhook's certificates are kept up again");
            }
            self.trouble = trouble;
        }
    }

    async fn round(&mut self) -> Result<(), RoundError> {
        let configurations = webhooks::read(&self.client, &self.own.configurations).await;
        let material = self.current(configurations.as_ref().ok()).await?;
        self.served.serve(std::slice::from_ref(&material.leaf), &material.leaf_key, Source::Own)?;
        if let Some(expires) = material.signer_expires() {
            let labels = [("certificate", "authority")];
            self.metrics.set(MetricName::CertificateExpiry, &labels, expires.as_second());
        }
        let bundle = material.bundle();
        self.remembered = Some(material);
        let unusable = |error| RoundError::Configurations(self.own.configurations.clone(), error);
        for configuration in configurations.map_err(unusable)? {
            if !configuration.shows(&bundle) {
                configuration.show(&self.client, &bundle).await.map_err(unusable)?;
                tracing::info!(
                    configuration = self.own.configurations,
                    "showed the certificates' authorities"
                );
            }
        }
        Ok(())
    }

    /// What the Secret holds, after the step that is due.
    async fn current(&mut self, configurations: Option<&Vec<Configuration>>) -> Result<Material, RoundError> {
        for _ in 0..WRITE_ATTEMPTS_MAX {
            let now = self.clock.now();
            let secret = bounded(self.secrets.get_opt(&self.own.secret)).await;
            let secret = secret.map_err(|error| RoundError::Secret(self.own.secret.clone(), error))?;
            let held = secret.as_ref().and_then(|secret| self.read(secret));
            let (step, material) = match (self.next(held.as_ref(), configurations, now)?, held) {
                (Some(due), _) => due,
                (None, Some(held)) => return Ok(held),
                (None, None) => continue,
            };
            if self.write(secret, &material).await? {
                tracing::info!(step = step.label(), "the webhook's certificates have changed");
                self.metrics.count(MetricName::CertificateRotations, &[("step", step.label())]);
                return Ok(material);
            }
        }
        Err(RoundError::Contended(self.own.secret.clone()))
    }

    fn read(&self, secret: &Secret) -> Option<Material> {
        let unusable = |error: &dyn std::fmt::Display| {
            tracing::warn!(secret = self.own.secret, %error, "the Secret cannot be used; it is filled anew");
        };
        let material = Material::read(secret).inspect_err(|error| unusable(error)).ok()??;
        let leaf = std::slice::from_ref(&material.leaf);
        certified(leaf, &material.leaf_key).inspect_err(|error| unusable(error)).ok()?;
        Some(material)
    }

    fn plan(&self) -> Plan {
        Plan { names: self.own.names.clone(), lifetimes: self.own.lifetimes }
    }

    /// The step that is due, and what comes of it; none if nothing is due.
    fn next(
        &mut self,
        held: Option<&Material>,
        configurations: Option<&Vec<Configuration>>,
        now: Timestamp,
    ) -> Result<Option<(Step, Material)>, CertificateError> {
        let plan = self.plan();
        let Some(held) = held else { return Ok(Some(self.replace(&plan, now)?)) };
        let shown_since = self.shown_since(held, configurations, now);
        let Some(state) = held.state(&plan.names, shown_since) else {
            return Ok(Some((Step::Begin, Material::begin(&plan, now)?)));
        };
        match decide(&state, &plan.lifetimes, now) {
            Step::Rest => Ok(None),
            step => match held.after(step, &plan, now) {
                Ok(material) => Ok(Some((step, material))),
                // An authority whose key cannot be used signs nothing any more: another takes over.
                Err(_) if held.has_next() => Ok(None),
                Err(error) => {
                    tracing::warn!(secret = self.own.secret, %error, "the authority cannot sign; another is added");
                    Ok(Some((Step::AddAuthority, held.after(Step::AddAuthority, &plan, now)?)))
                }
            },
        }
    }

    /// There is no Secret, or it cannot be used. If one was known it is made again with a new authority in it, which
    /// takes over as in any rotation: whoever deletes the Secret gets new certificates, and no caller is refused.
    fn replace(&self, plan: &Plan, now: Timestamp) -> Result<(Step, Material), CertificateError> {
        let known = self.remembered.as_ref().filter(|known| known.leaf.span.contains(now));
        match known {
            None => Ok((Step::Begin, Material::begin(plan, now)?)),
            Some(known) if known.has_next() => Ok((Step::AddAuthority, known.clone())),
            Some(known) => Ok((Step::AddAuthority, known.after(Step::AddAuthority, plan, now)?)),
        }
    }

    /// Since when every configuration has shown what is held; none if one does not, or if they cannot be read.
    fn shown_since(
        &mut self,
        held: &Material,
        configurations: Option<&Vec<Configuration>>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let bundle = held.bundle();
        let all = configurations.is_some_and(|all| all.iter().all(|one| one.shows(&bundle)));
        self.shown = match self.shown.take() {
            _ if !all => None,
            Some((shown, since)) if shown == bundle => Some((shown, since)),
            _ => Some((bundle, now)),
        };
        self.shown.as_ref().map(|(_, since)| *since)
    }

    /// Writes the Secret, unless somebody else has written it since it was read.
    async fn write(&self, secret: Option<Secret>, material: &Material) -> Result<bool, RoundError> {
        let exists = secret.is_some();
        let mut secret = secret.unwrap_or_default();
        material.write(&mut secret);
        let params = PostParams::default();
        let written = if exists {
            bounded(self.secrets.replace(&self.own.secret, &params, &secret)).await
        } else {
            secret.metadata.name = Some(self.own.secret.clone());
            let labels = secret.metadata.labels.get_or_insert_default();
            labels.insert("app.kubernetes.io/name".to_owned(), "groundskeeper".to_owned());
            bounded(self.secrets.create(&params, &secret)).await
        };
        match written {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(false),
            Err(error) => Err(RoundError::Secret(self.own.secret.clone(), error)),
        }
    }
}
