//! Signs of life: replicas, their version, the lease, policies that are stuck, the ledger's anchor.

use api::garbage_collection::POLICY_KINDS;
use chassis::objects;
use chassis::rights::{LEASE_NAMES, LEDGER_CONFIG_MAP};
use control::{Clock as _, SystemClock};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::installed::{deployment, find, has_condition};
use super::{Asked, Verdict};
use crate::cluster::{Cluster, text};
use crate::limits::FOREIGN_LOOKED_AT_MAX;
use crate::manifests::RbacOptions;

/// Stuck policies that are named; the rest are counted.
const NAMED_MAX: usize = 5;

pub(super) async fn replicas(cluster: &mut Cluster, options: &RbacOptions) -> Asked {
    let Some(found) = deployment(cluster, options).await? else { return Ok(elsewhere()) };
    let number = |pointer: &str| found.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let (available, wanted) = (number("/status/availableReplicas"), number("/spec/replicas"));
    let message = format!("{available} of {wanted} replicas are available");
    Ok(if available < wanted.max(1) { Verdict::Failed(message) } else { Verdict::Passed(message) })
}

fn elsewhere() -> Verdict {
    Verdict::Skipped("there is no Deployment: the operator runs elsewhere, or is not installed".to_owned())
}

pub(super) async fn version(cluster: &mut Cluster, options: &RbacOptions) -> Asked {
    let Some(found) = deployment(cluster, options).await? else { return Ok(elsewhere()) };
    let image = text(&found, "/spec/template/spec/containers/0/image");
    Ok(compare(image, env!("CARGO_PKG_VERSION")))
}

fn compare(image: &str, ours: &str) -> Verdict {
    let name = image.split('@').next().unwrap_or_default();
    let tag = name.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    match tag {
        Some(tag) if tag.trim_start_matches('v') == ours => Verdict::Passed(format!("both are {ours}")),
        Some(tag) => Verdict::Failed(format!("the Deployment's image is {tag}, this program is {ours}")),
        None => Verdict::Skipped(format!("the image {image} has no tag")),
    }
}

pub(super) async fn lease(cluster: &mut Cluster, options: &RbacOptions) -> Asked {
    let now = SystemClock.now();
    let mut holders = Vec::new();
    for name in LEASE_NAMES {
        let at = (Some(&*options.namespace), name);
        let lease = find(cluster, "coordination.k8s.io/v1", "Lease", at).await?;
        match held(lease.as_ref(), now) {
            Ok(holder) => holders.push(holder),
            Err(why) => return Ok(Verdict::Failed(format!("{name}: {why}"))),
        }
    }
    Ok(Verdict::Passed(holders.join("; ")))
}

/// Who holds a lease, or why nobody does.
pub(super) fn held(lease: Option<&Value>, now: Timestamp) -> Result<String, String> {
    let lease = lease.ok_or("it does not exist: no replica has run yet")?;
    let holder = text(lease, "/spec/holderIdentity");
    if holder.is_empty() {
        return Err("nobody holds it".to_owned());
    }
    let renewed: Timestamp =
        text(lease, "/spec/renewTime").parse().map_err(|_| format!("{holder} has never renewed it"))?;
    let seconds = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_i64).unwrap_or_default();
    let age = now.duration_since(renewed);
    let words = format!("{holder} renewed it {} s ago", age.as_secs().max(0));
    if age > SignedDuration::from_secs(seconds) {
        return Err(format!("{words}, and it lasts {seconds} s"));
    }
    Ok(words)
}

/// The first of our policies, and whether there are more; none if their kinds are not served.
pub(super) async fn our_policies(cluster: &mut Cluster) -> anyhow::Result<Option<(Vec<Value>, bool)>> {
    let api_version = format!("{}/{}", api::GROUP, api::VERSION);
    let (mut found, mut more, mut served) = (Vec::new(), false, false);
    for kind in POLICY_KINDS {
        let Some(kind) = cluster.resource(&api_version, kind).await? else { continue };
        served = true;
        let (policies, rest) =
            objects::look_for(&cluster.client, &kind, None, "", FOREIGN_LOOKED_AT_MAX).await?;
        found.extend(policies);
        more |= rest;
    }
    Ok(served.then_some((found, more)))
}

pub(super) async fn policies(cluster: &mut Cluster) -> Asked {
    let Some((found, more)) = our_policies(cluster).await? else {
        return Ok(Verdict::Skipped("the kinds are not served".to_owned()));
    };
    let stalled: Vec<_> = found.iter().filter(|policy| has_condition(policy, "Stalled", "True")).collect();
    let many = if more { " first" } else { "" };
    if stalled.is_empty() {
        return Ok(Verdict::Passed(format!("none of the{many} {} policies is stalled", found.len())));
    }
    let name = |policy: &&Value| {
        let part = |pointer| text(policy, pointer).to_owned();
        units::NamespacedName::new(part("/metadata/namespace"), part("/metadata/name")).to_string()
    };
    let named: Vec<_> = stalled.iter().take(NAMED_MAX).map(name).collect();
    let rest = if stalled.len() > NAMED_MAX { ", …" } else { "" };
    let (some, all) = (stalled.len(), found.len());
    Ok(Verdict::Failed(format!("{some} of the{many} {all} policies are stalled: {}{rest}", named.join(", "))))
}

pub(super) async fn ledger_anchor(cluster: &mut Cluster, options: &RbacOptions) -> Asked {
    let at = (Some(&*options.namespace), LEDGER_CONFIG_MAP);
    let anchors = find(cluster, "v1", "ConfigMap", at).await?;
    Ok(anchored(anchors.as_ref(), SystemClock.now()))
}

/// What the anchors say: each is JSON with a time, and with an earlier one that its ledger contradicts, if there is one.
fn anchored(anchors: Option<&Value>, now: Timestamp) -> Verdict {
    let data = anchors.and_then(|anchors| anchors.get("data")?.as_object());
    let Some(data) = data.filter(|data| !data.is_empty()) else {
        return Verdict::Skipped("no ledger is anchored: nothing was recorded yet".to_owned());
    };
    let mut newest = None;
    for (instance, entry) in data {
        let entry: Value =
            entry.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        if entry.get("contradicted").is_some_and(|earlier| !earlier.is_null()) {
            return Verdict::Failed(format!(
                "the ledger of {instance} contradicts an earlier anchor of its own"
            ));
        }
        let Ok(time) = text(&entry, "/time").parse::<Timestamp>() else {
            return Verdict::Failed(format!("the anchor of {instance} cannot be read"));
        };
        newest = newest.max(Some(time));
    }
    let age = newest.map_or(0, |newest| now.duration_since(newest).as_secs().max(0));
    Verdict::Passed(format!("{} ledgers are anchored, the last one {age} s ago", data.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    #[test]
    fn a_lease_is_held_by_whoever_renewed_it_in_time() {
        let lease = |holder: &str| json!({"spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": at(0).to_string()}});
        assert_eq!(held(Some(&lease("a")), at(15)).unwrap(), "a renewed it 15 s ago");
        assert!(held(Some(&lease("a")), at(16)).unwrap_err().contains("lasts 15 s"));
        assert!(held(Some(&lease("")), at(1)).unwrap_err().contains("nobody"));
        assert!(held(None, at(1)).is_err());
    }

    #[test]
    fn an_image_tells_its_version_by_its_tag() {
        assert!(matches!(compare("example.com:5000/a/groundskeeper:v0.1.0", "0.1.0"), Verdict::Passed(_)));
        assert!(matches!(compare("groundskeeper:0.2.0@sha256:ab", "0.1.0"), Verdict::Failed(_)));
        for without in ["example.com:5000/a/groundskeeper", "groundskeeper@sha256:ab"] {
            assert!(matches!(compare(without, "0.1.0"), Verdict::Skipped(_)), "{without}");
        }
    }

    #[test]
    fn an_anchor_that_is_contradicted_is_told() {
        let anchors = |entry: Value| json!({"data": {"pod-1": entry.to_string()}});
        let sound = anchors(json!({"time": at(0).to_string()}));
        assert!(
            matches!(anchored(Some(&sound), at(9)), Verdict::Passed(message) if message.contains("9 s ago"))
        );
        let wrong = anchors(json!({"time": at(0).to_string(), "contradicted": {"time": at(0).to_string()}}));
        assert!(matches!(anchored(Some(&wrong), at(9)), Verdict::Failed(_)));
        assert!(matches!(anchored(None, at(9)), Verdict::Skipped(_)));
        assert!(matches!(anchored(Some(&anchors(json!("x"))), at(9)), Verdict::Failed(_)));
    }
}
