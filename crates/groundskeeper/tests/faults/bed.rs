//! Where the faults are tried: a control plane for each check in its turn, and a proxy for each operator.

#![allow(clippy::disallowed_methods, reason = "tests look at the clock, and delete as users do")]

use std::process::Command;
use std::time::{Duration, Instant};

use control::Mutant;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, ResourceExt as _};
use serde_json::Value;
use testbed::faults::{FaultProxy, Faults};
use testbed::{ControlPlane, Turn};

use crate::support::operator::{Launch, Operator};
use crate::support::scenery::Scenery;
use crate::support::team::Made;
use crate::support::{self, identity};

/// How long a check waits for what is to come by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A control plane, for the time of one check, with operators that may lack a safety.
pub(crate) struct Bed {
    pub(crate) cluster: &'static ControlPlane,
    mutant: Option<Mutant>,
    /// How policies delete here, and what stands around them.
    pub(crate) scenery: Scenery,
    _turn: Turn,
}

impl Bed {
    /// Waits for one's turn, and leaves nothing of the check before. The operators will lack this safety.
    #[allow(clippy::large_futures, reason = "once for each test")]
    pub(crate) async fn turn(mutant: Option<Mutant>, scenery: Scenery) -> Self {
        let (turn, cluster) = support::turn().await;
        let bed = Self { cluster, mutant, scenery, _turn: turn };
        bed.clear().await;
        bed
    }

    /// Takes away all policies, so that the next operator has nothing to do but its own.
    pub(crate) async fn clear(&self) {
        let kind = GroupVersionKind::gvk("groundskeeper.dev", "v1alpha1", "GarbageCollectionPolicy");
        let resource = ApiResource::from_gvk(&kind);
        let client = self.cluster.admin().client().unwrap();
        let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        // Their definition may be so new that the server has yet to get ready for it.
        let policies = support::eventually(self.cluster, "policies can be listed", async || {
            all.list(&ListParams::default()).await.map_err(|error| error.to_string())
        });
        for policy in policies.await.items {
            let there = Api::<DynamicObject>::namespaced_with(
                client.clone(),
                &policy.namespace().unwrap(),
                &resource,
            );
            drop(there.delete(&policy.name_any(), &DeleteParams::default()).await);
        }
        self.free_lease().await;
    }

    /// Takes away the lease, so that the next operator need not wait until it has expired.
    pub(crate) async fn free_lease(&self) {
        drop(self.leases().delete("groundskeeper-slot-0", &DeleteParams::default()).await);
    }

    /// Who holds the lease; nobody is the empty name, and none if there is no lease.
    pub(crate) async fn holder(&self) -> Option<String> {
        let lease = self.leases().get_opt("groundskeeper-slot-0").await.unwrap()?;
        Some(lease.data["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
    }

    fn leases(&self) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("coordination.k8s.io", "v1", "Lease"));
        let client = self.cluster.admin().client().unwrap();
        Api::namespaced_with(client, "groundskeeper-system", &resource)
    }

    /// A proxy for one operator, and how to start that operator behind it.
    pub(crate) async fn rig(&self, name: &str) -> (FaultProxy, Launch) {
        let proxy = Faults::between(self.cluster, &identity(self.cluster)).await.unwrap();
        let launch = Launch::new(proxy.kubeconfig());
        let mutant = self.mutant.map_or("none", Mutant::name);
        let launch = launch.named(&format!("operator-{name}-{mutant}"));
        let launch = match self.mutant {
            Some(mutant) => launch.mutant(mutant),
            None => launch,
        };
        (proxy, launch)
    }

    /// The end of every operator's log.
    pub(crate) fn last_words(&self) -> String {
        support::last_words(self.cluster)
    }
}

/// Asks an operator to stop, and does not wait.
pub(crate) fn ask_to_stop(operator: &Operator) {
    let sent = Command::new("kill").args(["-TERM", &operator.pid().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Asks an operator to stop; it has to end well.
pub(crate) async fn ends_well(operator: Operator) -> Result<(), String> {
    let errors = operator.errors();
    let ended = operator.stop().await;
    if !ended.success() {
        return Err(format!("it ended with {ended}"));
    }
    if errors.is_empty() { Ok(()) } else { Err(format!("it complained: {errors:#?}")) }
}

/// Asks again and again until there is an answer; after a while says what was seen last.
pub(crate) async fn soon<T>(what: &str, look: impl AsyncFnMut() -> Result<T, String>) -> Result<T, String> {
    within(PATIENCE, what, look).await
}

/// The same, for so long.
pub(crate) async fn within<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, String> {
    let begun = Instant::now();
    loop {
        let seen = match look().await {
            Ok(answer) => return Ok(answer),
            Err(seen) => seen,
        };
        if begun.elapsed() > patience {
            return Err(format!("not within {patience:?}: {what}; seen last: {seen}"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits for something that a fault is to bring about; the test itself is wrong if it does not come.
pub(crate) async fn arrives<T>(what: &str, coming: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(PATIENCE, coming).await.map_err(|_| format!("not within {PATIENCE:?}: {what}"))
}

/// It holds, or this is wrong.
pub(crate) fn expect(condition: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(wrong()) }
}

/// An object as it was left: the same incarnation in the same version.
pub(crate) fn untouched(made: &Made, found: Option<&Value>) -> Result<(), String> {
    match found {
        None => Err(format!("{} is gone, and nobody but the operator deletes here", made.name)),
        Some(found) if found["metadata"]["resourceVersion"] != made.version => {
            Err(format!("{} was touched: {found}", made.name))
        }
        Some(_) => Ok(()),
    }
}
