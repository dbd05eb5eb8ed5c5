//! How far a departure is says the operator, and its record stays until it is over.

use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use testbed::Identity;

use crate::overrides::record;
use crate::support::identity;
use crate::{cluster, of_kind, somebody, words};

async fn report(identity: &Identity, record: &str, phase: &str) -> Result<(), String> {
    let patch = Patch::Merge(json!({"status": {"phase": phase}}));
    let api = of_kind(identity, "NodeCleanup");
    let answer = api.patch_status(record, &PatchParams::default(), &patch).await;
    answer.map(drop).map_err(|error| words(&error))
}

async fn forget(identity: &Identity, record: &str) -> Result<(), String> {
    let api = of_kind(identity, "NodeCleanup");
    api.delete(record, &DeleteParams::default()).await.map(drop).map_err(|error| words(&error))
}

#[tokio::test]
async fn a_record_is_reported_on_by_the_operator_alone_and_stays_until_it_is_over() {
    let cluster = cluster().await;
    let operator = identity(cluster);
    let group = "groundskeeper.dev";
    let writes = |verbs: &'static [&'static str]| {
        [(group, "nodecleanups/status", &["patch"][..]), (group, "nodecleanups", verbs)]
    };
    let ada = somebody(cluster, "records-ada", &writes(&["delete"]));
    let bob = somebody(cluster, "records-bob", &writes(&["delete", "release"]));
    let made = async |name: &str| {
        of_kind(&operator, "NodeCleanup").create(&PostParams::default(), &record(name)).await.unwrap();
    };
    made("reported").await;
    let refusal = report(&ada, "reported", "Completed").await.unwrap_err();
    assert!(refusal.contains("the status of a departure is written by Groundskeeper alone"), "{refusal}");
    for phase in ["Waiting", "Settling", "Draining", "Detaching", "CleaningUp", "Releasing"] {
        report(&operator, "reported", phase).await.unwrap();
        let refusal = forget(&ada, "reported").await.unwrap_err();
        assert!(refusal.contains("the departure is not over"), "{phase}: {refusal}");
    }
    forget(&bob, "reported").await.unwrap();
    for phase in ["Completed", "Released", "Lost"] {
        made("over").await;
        report(&operator, "over", phase).await.unwrap();
        forget(&ada, "over").await.unwrap();
    }
    made("new").await;
    forget(&ada, "new").await.expect_err("nothing has been reported yet");
    forget(&operator, "new").await.unwrap();
}
