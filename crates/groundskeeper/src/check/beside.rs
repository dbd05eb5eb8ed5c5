//! Whether another collector acts on the same objects: zen-gc, whose policies ours were converted from.
//!
//! It can only be told that it runs, not on what it acts: any policy of its own beside one of ours that deletes is worth a
//! warning.

use chassis::objects;
use control::{Clock as _, SystemClock};
use jiff::Timestamp;
use serde_json::Value;

use super::life::{held, our_policies};
use super::{Asked, Verdict};
use crate::cluster::{Cluster, text};
use crate::import::zen;
use crate::limits::FOREIGN_LOOKED_AT_MAX;

/// The lease by which replicas of zen-gc elect a leader, in whatever namespace it runs.
const LEASE: &str = "gc-controller-leader-election";

pub(super) async fn other_collectors(cluster: &mut Cluster) -> Asked {
    let theirs = policies_of_zen_gc(cluster).await?;
    let acting = theirs.iter().filter(|policy| policy.pointer("/spec/paused") != Some(&Value::Bool(true)));
    let acting = acting.count();
    if acting == 0 {
        return Ok(Verdict::Passed("no other collector has policies that act".to_owned()));
    }
    let ours = our_policies(cluster).await?.unwrap_or_default().0;
    let enforcing = ours.iter().filter(|policy| deletes(policy)).count();
    if enforcing == 0 {
        let policies = plural(acting, "policy", "policies");
        return Ok(Verdict::Passed(format!("zen-gc has {policies}, and none of ours deletes yet")));
    }
    let leases = cluster.resource("coordination.k8s.io/v1", "Lease").await?;
    let mut found = Vec::new();
    if let Some(leases) = leases {
        found = objects::look_for(&cluster.client, &leases, None, "", FOREIGN_LOOKED_AT_MAX).await?.0;
    }
    let leases: Vec<_> = found.iter().filter(|lease| text(lease, "/metadata/name") == LEASE).collect();
    Ok(beside((acting, enforcing), &leases, SystemClock.now()))
}

/// What so many policies of zen-gc beside so many of ours that delete mean, given its leases.
fn beside((acting, enforcing): (usize, usize), leases: &[&Value], now: Timestamp) -> Verdict {
    let theirs = plural(acting, "policy", "policies");
    let ours = plural(enforcing, "policy of ours deletes", "policies of ours delete");
    let mut runs = None;
    let mut rests = Vec::new();
    for lease in leases {
        match held(Some(lease), now) {
            Ok(words) => runs = Some(words),
            Err(words) => rests.push(words),
        }
    }
    match (runs, &*rests) {
        (Some(words), _) => Verdict::Failed(format!("zen-gc runs ({words}) with {theirs}, and {ours}")),
        (None, []) => Verdict::Failed(format!(
            "zen-gc has {theirs}, and {ours}; whether it runs cannot be told: there is no lease {LEASE}"
        )),
        (None, [words, ..]) => {
            Verdict::Passed(format!("zen-gc has {theirs}, and does not run: of its lease, {words}"))
        }
    }
}

async fn policies_of_zen_gc(cluster: &mut Cluster) -> anyhow::Result<Vec<Value>> {
    let mut found = Vec::new();
    for group in zen::GROUPS {
        let api_version = format!("{group}/{}", zen::VERSION);
        let Some(kind) = cluster.resource(&api_version, zen::KIND).await? else { continue };
        found.extend(objects::look_for(&cluster.client, &kind, None, "", FOREIGN_LOOKED_AT_MAX).await?.0);
    }
    Ok(found)
}

/// Whether a policy of ours deletes what is due.
fn deletes(policy: &Value) -> bool {
    let is = |pointer, value: &str| text(policy, pointer) == value;
    let holds = |pointer| policy.pointer(pointer) == Some(&Value::Bool(true));
    is("/spec/mode", "Enforce")
        && !is("/spec/action", "Keep")
        && !holds("/spec/paused")
        && !holds("/spec/behavior/dryRun")
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn zen_gc_beside_us_is_told_by_its_lease() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let lease = |renewed: &str| {
            let spec = json!({"holderIdentity": "zen-1", "leaseDurationSeconds": 15, "renewTime": renewed});
            json!({"metadata": {"name": LEASE}, "spec": spec})
        };
        let (fresh, old) = (lease("2026-11-21T11:59:55.000000Z"), lease("2026-11-20T12:00:00.000000Z"));
        let table: [(&[&Value], bool, &str); 4] = [
            (
                &[&fresh],
                true,
                "zen-gc runs (zen-1 renewed it 5 s ago) with 2 policies, and 1 policy of ours deletes",
            ),
            (&[&old, &fresh], true, "zen-gc runs"),
            (&[&old], false, "does not run: of its lease, zen-1 renewed it 86400 s ago"),
            (&[], true, "whether it runs cannot be told"),
        ];
        for (leases, warns, expected) in table {
            let verdict = beside((2, 1), leases, now);
            let (Verdict::Failed(words) | Verdict::Passed(words)) = &verdict else { panic!("{verdict:?}") };
            assert!(words.contains(expected), "{words}");
            assert_eq!(matches!(verdict, Verdict::Failed(_)), warns, "{words}");
        }
    }

    #[test]
    fn only_a_policy_that_deletes_stands_in_the_way() {
        let policy = |spec: Value| deletes(&json!({"spec": spec}));
        assert!(policy(json!({"mode": "Enforce", "action": "Delete"})));
        for spec in [
            json!({}),
            json!({"mode": "Plan"}),
            json!({"mode": "Enforce", "action": "Keep"}),
            json!({"mode": "Enforce", "paused": true}),
            json!({"mode": "Enforce", "behavior": {"dryRun": true}}),
        ] {
            assert!(!policy(spec.clone()), "{spec}");
        }
    }
}
