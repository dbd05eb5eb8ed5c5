//! Every way to say when, which and how, as users see it: the real operator, under its own generated rights, against a
//! real API server.
//!
//! All tests share one control plane and one operator, but for those that start operators of their own; each has a
//! namespace of its own. Policies of the cluster look at kinds of their test's own, or at namespaces that they name, so
//! that no test takes away what another one needs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod approval;
mod bad_input;
mod budget;
mod cluster;
mod defects;
mod finalizers;
mod how;
mod keep;
mod overlap;
mod rails;
mod slow;
mod takeover;
mod when;
mod which;

use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testbed::Shared;
use tokio::sync::OnceCell;

use support::drafts::{Draft, definition, grant, object, policy};
use support::operator::Operator;
use support::team::{Made, Team};
use support::{eventually, kubectl, printed};

/// The kinds that the shared operator may collect, besides those that tests define.
const COLLECTED: [&str; 7] = [
    "configmaps",
    "secrets",
    "pods",
    "namespaces",
    "jobs.batch",
    "deployments.apps",
    "clusterroles.rbac.authorization.k8s.io",
];

/// The service account that policies may act as.
const ACCOUNT: &str = "sweepers/sweeper";

/// A namespace of the test's own, in the shared control plane.
async fn team(prefix: &str) -> Team<'static> {
    let (team, _) = team_and_operator(prefix).await;
    team
}

/// The same, with the shared operator.
async fn team_and_operator(prefix: &str) -> (Team<'static>, &'static Operator) {
    static CLUSTER: Shared = Shared::new(support::audited);
    static OPERATOR: OnceCell<Operator> = OnceCell::const_new();
    let cluster = CLUSTER.get().await.unwrap();
    let start = async || {
        support::install_crds(cluster);
        kubectl(cluster, &["create", "namespace", "sweepers"], "");
        let mut arguments = vec!["rbac", "--notices", "--finalizers", "--act-as", ACCOUNT];
        COLLECTED.iter().for_each(|kind| arguments.extend(["--collect", kind]));
        kubectl(cluster, &["apply", "-f", "-"], &printed(&arguments));
        Operator::start(cluster).await
    };
    let operator = OPERATOR.get_or_init(start).await;
    (Team::new(cluster, prefix).await, operator)
}

/// A kind of a test's own, that may be collected.
struct Leaves {
    group: String,
}

impl Leaves {
    /// Defines it, in a group that bears the test's name.
    async fn define(team: &Team<'_>, name: &str) -> Self {
        Self::define_versions(team, name, &["v1"]).await
    }

    /// Defines it in these versions, of which the first is the stored one.
    async fn define_versions(team: &Team<'_>, name: &str, versions: &[&str]) -> Self {
        let group = format!("{name}.example.com");
        let verbs = ["list", "watch", "delete", "patch"];
        team.create(grant(&format!("collect-{name}"), &group, "leafs", &verbs)).await;
        let mut crd = definition(&group, "Leaf");
        let version = crd.0["spec"]["versions"][0].clone();
        let versions = versions.iter().enumerate().map(|(number, name)| {
            let mut version = version.clone();
            (version["name"], version["storage"]) = (json!(name), json!(number == 0));
            version
        });
        crd.0["spec"]["versions"] = versions.collect();
        let crd = team.create(crd).await;
        let crd = format!("crd/{}", crd.name);
        kubectl(team.cluster, &["wait", "--for=condition=Established", "--timeout=30s", &crd], "");
        Self { group }
    }

    fn api_version(&self) -> String {
        format!("{}/v1", self.group)
    }

    fn leaf(&self, name: &str) -> Draft {
        object(&self.api_version(), "Leaf", name)
    }

    fn policy(&self, name: &str) -> Draft {
        policy(name).on(&self.api_version(), "Leaf")
    }

    fn cluster_policy(&self, name: &str) -> Draft {
        cluster_policy(name).on(&self.api_version(), "Leaf")
    }
}

/// The same as [`policy`], for the whole cluster.
fn cluster_policy(name: &str) -> Draft {
    policy(name).with("/kind", "ClusterGarbageCollectionPolicy")
}

/// A path of a field, of the annotation with this key.
fn annotation_path(key: &str) -> String {
    format!("metadata.annotations.{}", key.replace('.', r"\."))
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// So many seconds from now.
fn from_now(seconds: i64) -> Timestamp {
    support::now().checked_add(self::seconds(seconds)).unwrap()
}

/// Changes the status of an object, as its controller does.
async fn set_status(team: &Team<'_>, made: &Made, status: Value) {
    let api = team.api(&made.api_version, &made.kind);
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(&made.name, &PatchParams::default(), &patch).await.unwrap();
}

/// Creates an object whose service account the cluster has yet to make.
async fn create_soon(team: &Team<'_>, draft: Draft) -> Made {
    eventually(team.cluster, "the object is accepted", async || team.try_create(draft.clone()).await).await
}

/// How many objects of a policy there are for a reason.
fn reason_count(policy: &Value, reason: &str) -> i64 {
    let reasons = policy["status"]["reasons"].as_array();
    let found = reasons.into_iter().flatten().find(|entry| entry["reason"] == reason);
    found.and_then(|entry| entry["count"].as_i64()).unwrap_or(0)
}

/// Whether a condition of a policy is true.
fn is_true(policy: &Value, condition: &str) -> bool {
    support::team::condition(policy, condition)["status"] == "True"
}

/// The message of a condition.
fn message(policy: &Value, condition: &str) -> String {
    support::team::condition(policy, condition)["message"].as_str().unwrap_or_default().to_owned()
}
