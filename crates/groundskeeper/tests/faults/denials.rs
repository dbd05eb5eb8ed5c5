//! R23: rights, kinds and namespaces go while the operator works with them, and come back.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::faults::{Calls, Fault, FaultProxy, Verb};

use crate::bed::{Bed, ends_well, expect, soon};
use crate::support::drafts::{Draft, config_map, definition, grant, object, policy};
use crate::support::team::{Made, Team, condition};
use crate::support::{audit, kubectl};

/// How long requests are counted.
const SPAN: Duration = Duration::from_secs(4);

/// Requests of one kind within [`SPAN`]: pauses double from 200 ms, so there are five; a few more after a change.
const REQUESTS_MAX: u64 = 10;

/// First the right to delete goes, then the others.
pub(crate) async fn of_rights(bed: &Bed) -> Result<(), String> {
    let team = Team::new(bed.cluster, "rights").await;
    let (proxy, launch) = bed.rig("rights").await;
    let right = |verbs: &[&str]| grant("collect-limits", "", "limitranges", verbs);
    let role = made_anew(&team, right(&["list", "watch", "delete"])).await;
    let sweep = team.create(policy("sweep").on("v1", "LimitRange").after(1)).await;
    let operator = launch.start(bed.cluster).await;
    says(&team, &sweep, "Collecting", "").await?;

    team.edit(&role, json!({"rules": right(&["list", "watch"]).0["rules"]})).await;
    takes_effect(bed, "delete", "no").await?;
    let first = team.create(limits("first")).await;
    says(&team, &sweep, "Forbidden", "lacks `delete` on `limitranges`").await?;
    let deletions = || audit::deletions(bed.cluster, &team.namespace).len() as u64;
    counts("deletions", deletions).await?;

    team.delete(&role).await;
    takes_effect(bed, "watch", "no").await?;
    proxy.on(Calls::watches("limitranges").already_open(), Fault::close_watch());
    says(&team, &sweep, "Forbidden", "lacks `watch` on `limitranges`").await?;
    counts("watches", || proxy.trace().reads(Verb::Watch, "limitranges")).await?;
    let second = team.create(limits("second")).await;

    made_anew(&team, right(&["list", "watch", "delete"])).await;
    goes(&team, &first).await?;
    goes(&team, &second).await?;
    says(&team, &sweep, "Collecting", "").await?;
    ends_well(operator).await
}

/// The kind's definition is deleted, and its objects with it; then it is there again.
pub(crate) async fn of_kinds(bed: &Bed) -> Result<(), String> {
    let group = "denials.example.com";
    let team = Team::new(bed.cluster, "kinds").await;
    let (proxy, launch) = bed.rig("kinds").await;
    made_anew(&team, grant("collect-things", group, "things", &["list", "watch", "delete"])).await;
    let crd = made_anew(&team, definition(group, "Thing")).await;
    let version = "denials.example.com/v1";
    let sweep = team.create(policy("sweep").on(version, "Thing").after(5)).await;
    let operator = launch.start(bed.cluster).await;
    says(&team, &sweep, "Collecting", "").await?;
    let due = team.create_many(3, &object(version, "Thing", "thing")).await;

    team.delete(&crd).await;
    says(&team, &sweep, "KindNotFound", "Thing (denials.example.com/v1)").await?;
    counts("look-ups", || look_ups(&proxy)).await?;
    for thing in &due {
        expect(!asked_for(&team, thing), || format!("a deletion of {} was sent", thing.name))?;
    }

    made_anew(&team, definition(group, "Thing")).await;
    says(&team, &sweep, "Collecting", "").await?;
    let thing = team.create(object(version, "Thing", "thing")).await;
    goes(&team, &thing).await?;
    ends_well(operator).await
}

/// A namespace ends while objects in it fall due; finalizers keep it, its policy and its objects for a while.
pub(crate) async fn of_a_namespace(bed: &Bed) -> Result<(), String> {
    let (team, other) = (Team::new(bed.cluster, "ends").await, Team::new(bed.cluster, "goes-on").await);
    let (proxy, launch) = bed.rig("namespace").await;
    let finalizer = "denials.example.com/kept";
    let operator = launch.start(bed.cluster).await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(3).held_by(finalizer)).await;
    let held = config_map("held").labelled("tmp=yes").held_by(finalizer);
    let held = team.create_many(3, &held).await;
    team.create_many(3, &config_map("free").labelled("tmp=yes")).await;
    says(&team, &sweep, "Collecting", "").await?;

    kubectl(bed.cluster, &["delete", "namespace", &team.namespace, "--wait=false"], "");
    let before = proxy.trace().writes().len();
    team.wait_until(held[2].due(3)).await;
    let requests = || audit::requests(bed.cluster, &team.namespace).len() as u64;
    counts("requests in it", requests).await?;
    let writes = proxy.trace().writes().len() - before;
    expect(writes < 40, || format!("{writes} writes since it began to end"))?;
    expect(operator.is_running(), || "the operator has ended".to_owned())?;

    // Elsewhere nothing of it is felt.
    other.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let object = other.create(config_map("object").labelled("tmp=yes")).await;
    goes(&other, &object).await?;

    // It comes back under the same name, and is kept as if it were another.
    for kept in held.iter().chain([&sweep]) {
        team.edit(kept, json!({"metadata": {"finalizers": null}})).await;
    }
    kubectl(bed.cluster, &["wait", "--for=delete", &format!("namespace/{}", team.namespace)], "");
    kubectl(bed.cluster, &["create", "namespace", &team.namespace], "");
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    goes(&team, &object).await?;
    says(&team, &sweep, "Collecting", "").await?;
    ends_well(operator).await
}

fn limits(name: &str) -> Draft {
    object("v1", "LimitRange", name).with("/spec", json!({"limits": []}))
}

/// Discoveries of a group's kinds: the only path without a resource that the operator asks for again and again.
fn look_ups(proxy: &FaultProxy) -> u64 {
    proxy.trace().reads(Verb::Get, "")
}

/// Counts requests for a while: pauses between them have to grow.
async fn counts(what: &str, count: impl Fn() -> u64) -> Result<(), String> {
    let before = count();
    tokio::time::sleep(SPAN).await;
    let more = count() - before;
    expect(more <= REQUESTS_MAX, || format!("{more} {what} within {SPAN:?}"))
}

/// An object of the cluster, whatever an earlier check has left of it.
async fn made_anew(team: &Team<'_>, draft: Draft) -> Made {
    let mut wrong = String::new();
    for _ in 0..100 {
        match team.try_create(draft.clone()).await {
            Ok(made) => return made,
            Err(error) => wrong = error,
        }
        let Value::String(kind) = &draft.0["kind"] else { break };
        let name = draft.name();
        kubectl(team.cluster, &["delete", kind, name, "--ignore-not-found"], "");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{wrong}");
}

/// Waits until the API server itself gives this answer to whether the operator may do something to limit ranges.
async fn takes_effect(bed: &Bed, verb: &str, answer: &str) -> Result<(), String> {
    soon("the change of rights takes effect", async || {
        let who = ["--as", crate::support::OPERATOR];
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": who[1], "resourceAttributes": {"verb": verb, "resource": "limitranges", "namespace": "default"}},
        });
        let arguments = ["create", "-f", "-", "-o", "jsonpath={.status.allowed}"];
        let allowed = kubectl(bed.cluster, &arguments, &review.to_string());
        expect((allowed.trim() == "true") == (answer == "yes"), || format!("allowed: {allowed}"))
    })
    .await
}

async fn says(team: &Team<'_>, sweep: &Made, reason: &str, words: &str) -> Result<(), String> {
    soon(&format!("the policy says {reason}: {words}"), async || {
        let policy = team.look_at(sweep).await.unwrap_or_default();
        let ready = condition(&policy, "Ready");
        let message = ready["message"].as_str().unwrap_or_default();
        expect(ready["reason"] == reason && message.contains(words), || ready.to_string())
    })
    .await
}

async fn goes(team: &Team<'_>, object: &Made) -> Result<(), String> {
    soon(&format!("{} goes", object.name), async || match team.look_at(object).await {
        None => Ok(()),
        Some(found) => Err(found.to_string()),
    })
    .await
}

fn asked_for(team: &Team<'_>, object: &Made) -> bool {
    team.deletions().iter().any(|deletion| deletion.uid() == object.uid && deletion.accepted())
}
