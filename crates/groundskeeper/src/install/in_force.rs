//! Waits until the API server applies what was just declared.
//!
//! It takes note of new kinds and of admission policies by and by; until then it answers 503 to whoever creates a policy,
//! or lets it pass unstamped. So a creation is tried, without effect, until the answer is the one that users shall get.

use anyhow::Context as _;
use api::{GROUP, VERSION};
use chassis::objects;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::limits::{IN_FORCE_WAIT_MAX, LOOK_PAUSE};
use crate::manifests::{AUTHOR, Facts};
use crate::output;

/// Where the creation is tried: it is always there.
const NAMESPACE: &str = "default";

/// How it stands.
enum State {
    InForce,
    /// Why not yet.
    NotYet(String),
    /// It cannot be told, for we may not try.
    Unknown,
}

pub(super) async fn wait(cluster: &mut Cluster, facts: &Facts) -> anyhow::Result<()> {
    let kind = cluster.resource(&format!("{GROUP}/{VERSION}"), "GarbageCollectionPolicy").await?;
    let kind = kind.context("the cluster does not serve the kind that was just defined")?;
    let mut last = String::new();
    let look = async {
        loop {
            let tried = objects::try_create(&cluster.client, &kind, Some(NAMESPACE), &trial()).await;
            match judge(tried, facts) {
                State::InForce | State::Unknown => return,
                State::NotYet(why) => last = why,
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    if tokio::time::timeout(IN_FORCE_WAIT_MAX, look).await.is_err() {
        output::print(&format!(
            "not in force after {} s, which may still come: {last}\n",
            IN_FORCE_WAIT_MAX.as_secs()
        ))?;
    }
    Ok(())
}

fn judge(tried: Result<Value, chassis::ApiError>, facts: &Facts) -> State {
    match tried {
        Ok(policy) => {
            let annotations = policy.pointer("/metadata/annotations");
            let is_stamped = annotations.is_some_and(|annotations| annotations.get(AUTHOR).is_some());
            if facts.mutating_policies && !is_stamped {
                return State::NotYet("the author of a policy is not written down".to_owned());
            }
            State::InForce
        }
        Err(error) if matches!(error.code(), Some(401 | 403)) => State::Unknown,
        Err(error) => State::NotYet(error.to_string()),
    }
}

/// A policy that would do nothing.
fn trial() -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "GarbageCollectionPolicy",
        "metadata": {"generateName": "groundskeeper-trial-"},
        "spec": {
            "paused": true,
            "targetResource": {"apiVersion": "v1", "kind": "ConfigMap"},
            "ttl": {"secondsAfterCreation": 3_153_600_000_i64},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trial_is_a_policy() {
        let spec = trial()["spec"].clone();
        assert!(serde_json::from_value::<api::GarbageCollectionPolicySpec>(spec).unwrap().paused);
    }
}
