//! What an installation must know of its cluster: asked, or assumed for `--print`.

use std::str::FromStr;

use anyhow::{bail, ensure};
use chassis::objects;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::limits::API_SERVER_ENDPOINTS_MAX;
use crate::manifests::{Facts, MONITORING};

/// The oldest minor version: `ValidatingAdmissionPolicy` is v1 from then on.
pub(crate) const MINOR_MIN: u32 = 30;

/// The first minor version with `MutatingAdmissionPolicy` as v1.
pub(crate) const MUTATING_POLICIES_MINOR: u32 = 36;

/// A version of Kubernetes, as a person writes it: `1.34`, `v1.34.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KubernetesVersion {
    minor: u32,
}

impl FromStr for KubernetesVersion {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.trim_start_matches('v').split('.');
        let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match (major, minor.parse()) {
            ("1", Ok(minor)) => Ok(Self { minor }),
            _ => bail!("write a version such as 1.36"),
        }
    }
}

/// What holds of a cluster of this version.
pub(super) fn assumed(version: Option<KubernetesVersion>, service_monitors: bool) -> anyhow::Result<Facts> {
    let minor = version.map_or(MUTATING_POLICIES_MINOR, |version| version.minor);
    ensure!(
        minor >= MINOR_MIN,
        "at least Kubernetes 1.{MINOR_MIN} is needed, for ValidatingAdmissionPolicies"
    );
    Ok(Facts { mutating_policies: minor >= MUTATING_POLICIES_MINOR, service_monitors, ..Facts::default() })
}

/// What the cluster says of itself.
pub(super) async fn observe(cluster: &mut Cluster) -> anyhow::Result<Facts> {
    let admission = cluster.served("admissionregistration.k8s.io/v1").await?;
    let monitoring = cluster.served(MONITORING).await?;
    let mut api_server_ports = Facts::default().api_server_ports;
    api_server_ports.extend(endpoint_ports(cluster).await?);
    api_server_ports.sort_unstable();
    api_server_ports.dedup();
    Ok(Facts {
        mutating_policies: admission.iter().any(|plural| plural == "mutatingadmissionpolicies"),
        service_monitors: monitoring.iter().any(|plural| plural == "servicemonitors"),
        api_server_ports,
    })
}

/// The ports behind the Service `kubernetes`: what a network policy sees is often these, and not the Service's. Whoever may
/// not look at them goes on with the usual ones.
async fn endpoint_ports(cluster: &mut Cluster) -> anyhow::Result<Vec<u16>> {
    let Some(slices) = cluster.resource("discovery.k8s.io/v1", "EndpointSlice").await? else {
        return Ok(Vec::new());
    };
    let label = "kubernetes.io/service-name=kubernetes";
    let found =
        objects::look_for(&cluster.client, &slices, Some("default"), label, API_SERVER_ENDPOINTS_MAX).await;
    let slices = match found {
        Ok((slices, _)) => slices,
        Err(error) if error.code() == Some(403) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let ports = slices.iter().filter_map(|slice| slice.get("ports")?.as_array()).flatten();
    Ok(ports.filter_map(|port| u16::try_from(port.get("port").and_then(Value::as_u64)?).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_says_who_writes_the_author_down() {
        let assumed =
            |text: &str| assumed(Some(text.parse().unwrap()), false).map(|facts| facts.mutating_policies);
        assert!(assumed("1.36").unwrap());
        assert!(assumed("v1.37.0").unwrap());
        assert!(!assumed("1.35.9").unwrap());
        assert!(assumed("1.29").unwrap_err().to_string().contains("1.30"));
        for wrong in ["", "1", "2.1", "latest"] {
            assert!(wrong.parse::<KubernetesVersion>().is_err(), "{wrong}");
        }
    }
}
