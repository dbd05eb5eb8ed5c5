//! For checks that a mutant is to fail: they answer instead of panicking.

#![allow(clippy::print_stdout, reason = "says why a mutant was caught")]

use std::time::{Duration, Instant};

use control::Mutant;
use testbed::faults::{FaultProxy, Faults, Write};
use testbed::{ControlPlane, Turn};

use super::operator::{Launch, Operator};
use super::team::{Made, Team};
use super::{eventually, holds, identity, kubectl};

/// What a check found; in an error, what does not hold.
pub(crate) type Found = Result<(), String>;

/// Asks again and again; what was seen last, if there is no answer in time.
pub(crate) async fn within<T>(
    span: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, String> {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(answer) => return Ok(answer),
            Err(seen) if begun.elapsed() > span => {
                return Err(format!("not within {span:?}: {what}; seen last: {seen}"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// A check that is to fail, for it runs without the safety that it is about.
pub(crate) async fn is_caught(mutant: Mutant, check: impl AsyncFnOnce(Option<Mutant>) -> Found) {
    match Box::pin(check(Some(mutant))).await {
        Ok(()) => panic!("nobody notices {}", mutant.name()),
        Err(why) => println!("{} is caught: {why}", mutant.name()),
    }
}

/// A control plane with our manifests, where no policy and no lease is left over, for one check at a time.
pub(crate) async fn turn() -> (Turn, &'static ControlPlane) {
    let (turn, cluster) = super::turn().await;
    let remove = ["delete", "--ignore-not-found", "--wait=false"];
    kubectl(
        cluster,
        &[&remove[..], &["garbagecollectionpolicies", "--all", "--all-namespaces"]].concat(),
        "",
    );
    let lease = ["lease", "groundskeeper-slot-0", "--namespace", "groundskeeper-system"];
    kubectl(cluster, &[&remove[..], &lease].concat(), "");
    (turn, cluster)
}

/// A replica whose way to the API server leads through a proxy of its own.
pub(crate) struct Replica {
    pub(crate) proxy: FaultProxy,
    pub(crate) operator: Operator,
}

impl Replica {
    /// Starts one, and waits until it is ready.
    pub(crate) async fn start(
        cluster: &ControlPlane,
        mutant: Option<Mutant>,
        with: impl FnOnce(Launch) -> Launch,
    ) -> Self {
        let proxy = Faults::between(cluster, &identity(cluster)).await.unwrap();
        let mut launch = with(Launch::new(proxy.kubeconfig()));
        if let Some(mutant) = mutant {
            launch = launch.mutant(mutant);
        }
        let operator = launch.start(cluster).await;
        operator.ready(cluster).await;
        Self { proxy, operator }
    }

    /// Starts one, and waits until it leads.
    pub(crate) async fn leader(
        cluster: &ControlPlane,
        mutant: Option<Mutant>,
        with: impl FnOnce(Launch) -> Launch,
    ) -> Self {
        let replica = Self::start(cluster, mutant, with).await;
        replica.operator.leads(cluster).await;
        replica
    }

    /// What it has asked the server to change in namespaces of others, besides events: the acts of a leader.
    pub(crate) fn acts(&self) -> Vec<Write> {
        let is_act = |write: &&Write| {
            !matches!(write.namespace.as_str(), "" | "groundskeeper-system") && write.resource != "events"
        };
        self.proxy.trace().writes().iter().filter(is_act).cloned().collect()
    }
}

impl Operator {
    pub(crate) async fn is_leader(&self) -> bool {
        self.metric("leader_election_master_status", &[]).await == Some(1.0)
    }

    /// Waits until it leads.
    pub(crate) async fn leads(&self, cluster: &ControlPlane) {
        let what = format!("{} leads", self.name);
        eventually(cluster, &what, async || holds(self.is_leader().await, "it does not")).await;
    }

    /// A counter, or zero if it has not counted yet.
    pub(crate) async fn counted(&self, name: &str, labels: &[&str]) -> f64 {
        self.metric(name, labels).await.unwrap_or_default()
    }
}

impl Team<'_> {
    /// Whether an object goes within this time.
    pub(crate) async fn goes_within(&self, made: &Made, span: Duration) -> Found {
        let what = format!("{} goes", made.name);
        within(span, &what, async || holds(self.look_at(made).await.is_none(), "it is there")).await
    }

    /// Whether nobody has changed or removed the object since.
    pub(crate) async fn is_untouched(&self, made: &Made) -> Found {
        let found = self.look_at(made).await.ok_or_else(|| format!("{} is gone", made.name))?;
        holds(found["metadata"]["resourceVersion"] == made.version, format!("it was changed: {found}"))
    }

    /// Whether every object has gone, each by one accepted deletion, and none before its time.
    pub(crate) async fn all_go_once(&self, objects: &[Made], seconds: i64, span: Duration) -> Found {
        for object in objects {
            self.goes_within(object, span).await?;
        }
        within(Duration::from_secs(5), "the audit log tells of every deletion", async || {
            let deletions = self.deletions();
            for object in objects {
                let of_it: Vec<_> =
                    deletions.iter().filter(|deletion| deletion.uid() == object.uid).collect();
                let accepted = of_it.iter().filter(|deletion| deletion.accepted()).count();
                let early = of_it.iter().any(|deletion| deletion.at < object.due(seconds));
                holds(accepted == 1 && !early, format!("{}: {of_it:?}", object.name))?;
            }
            Ok(())
        })
        .await
    }
}
