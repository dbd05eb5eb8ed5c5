//! The replicas of the operator: one leads, the others are warm.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use testbed::ControlPlane;
use tokio::time::sleep;

use super::limits::{LOG_LINES, POLL_EVERY};
use super::operator::{self, Operator};
use super::site::Site;

/// What they call themselves. The second answers admission reviews: whoever leads, any replica may.
const NAMES: [&str; 2] = ["replica-1", "replica-2"];

/// Those that run.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    members: Vec<Operator>,
}

impl Replicas {
    /// Starts all, one after the other, so that the first one leads. `ours` guards them, if the cluster is ours.
    pub(super) async fn start(&mut self, site: &Site, ours: Option<&ControlPlane>) -> Result<()> {
        for (number, name) in NAMES.into_iter().enumerate() {
            let webhook = site.webhook.filter(|_| number + 1 == NAMES.len());
            let arguments = Operator::arguments(site, webhook);
            site.screen.command(&format!("POD_NAME={name} groundskeeper {}", arguments.join(" ")));
            let mut operator = match ours {
                Some(cluster) => Operator::start_beside(cluster, site, name, &arguments)?,
                None => Operator::start_alone(site, name, &arguments)?,
            };
            let ready = operator.ready().await;
            self.members.push(operator);
            ready?;
            if number == 0 {
                leader_is(site, |leader| leader == name).await?;
            }
        }
        for operator in &self.members {
            let (health, metrics) = (operator.address("health")?, operator.address("metrics")?);
            site.screen.holds(&format!(
                "{} is ready: http://{health}/readyz, http://{metrics}/metrics",
                operator.name()
            ));
        }
        let leader = leader_is(site, |_| true).await?;
        site.screen.holds(&format!("{leader} holds the lease, and acts; the other watches along"));
        Ok(())
    }

    /// Where they serve metrics, each with its name.
    pub(super) fn metrics(&self) -> Result<Vec<(&'static str, SocketAddr)>> {
        self.members.iter().map(|operator| Ok((operator.name(), operator.address("metrics")?))).collect()
    }

    /// The logs, one per line.
    pub(super) fn logs(&self) -> Vec<String> {
        self.members.iter().map(|operator| operator.log_path().display().to_string()).collect()
    }

    /// The ends of their logs.
    pub(super) fn last_lines(&self) -> Vec<String> {
        let end = |operator: &Operator| {
            let title = format!("-- {} --", operator.name());
            std::iter::once(title).chain(operator.last_lines()).collect::<Vec<_>>()
        };
        let lines: Vec<_> = self.members.iter().flat_map(end).collect();
        lines.into_iter().take(NAMES.len() * (LOG_LINES + 1)).collect()
    }

    /// Fails as soon as one of them ends, which is not meant to happen.
    pub(super) async fn fail(&mut self) -> Result<()> {
        loop {
            for operator in &mut self.members {
                if let Some(status) = operator.exit_status()? {
                    bail!("{} ended by itself ({status})", operator.name());
                }
            }
            sleep(POLL_EVERY).await;
        }
    }

    /// Kills one, without a warning; it is gone then.
    pub(super) async fn kill(&mut self, name: &str) -> Result<()> {
        let is_it = |operator: &Operator| operator.name() == name;
        let place = self.members.iter().position(is_it).with_context(|| format!("there is no {name}"))?;
        self.members.remove(place).kill().await
    }

    /// Takes one away, for its end.
    pub(super) fn pop(&mut self) -> Option<Operator> {
        self.members.pop()
    }
}

/// The sum of a counter over all replicas, for the lines that are meant.
pub(super) async fn metrics(pages: &[(&'static str, SocketAddr)]) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (_, address) in pages {
        lines.extend(operator::metrics(*address).await?.lines().map(str::to_owned));
    }
    Ok(lines)
}

/// Waits until somebody leads who is the right one; returns who.
pub(super) async fn leader_is(site: &Site, is_right: impl Fn(&str) -> bool) -> Result<String> {
    let line = format!(
        "{} get lease groundskeeper-slot-0 -n {} --ignore-not-found -o jsonpath='{{.spec.holderIdentity}}'",
        site.kubectl, site.own_namespace
    );
    // A holder is a replica's name and what tells its incarnation.
    let name = |holder: &str| holder.rsplit_once('_').map(|(name, _)| name.to_owned());
    let holder = site
        .shell
        .eventually("a replica leads", &line, |holder| name(holder).is_some_and(|name| is_right(&name)))
        .await?;
    name(&holder).context("the lease has no holder")
}
