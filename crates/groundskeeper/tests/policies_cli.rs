//! The commands for people against a real API server, without an operator: what is asked, and what is written.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "support/mod.rs"]
mod support;

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testbed::faults::{Calls, Fault, Faults, Gate, Verb};
use testbed::{Options, Shared};

use support::drafts::{Draft, config_map, object, policy};
use support::team::{Made, Team};
use support::{eventually, groundskeeper, holds, now};

/// A namespace of the test's own.
async fn team(prefix: &str) -> Team<'static> {
    static CLUSTER: Shared = Shared::new(Options::api_server_only);
    static INSTALLED: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    let cluster = CLUSTER.get().await.unwrap();
    INSTALLED.get_or_init(async || support::install_crds(cluster)).await;
    Team::new(cluster, prefix).await
}

/// What a command says in the team's namespace: its status, standard output, and standard error.
fn say(team: &Team<'_>, arguments: &str) -> (Option<i32>, String, String) {
    let kubeconfig = team.cluster.admin().kubeconfig().to_str().unwrap();
    let mut words: Vec<&str> = arguments.split_whitespace().collect();
    words.extend(["--kubeconfig", kubeconfig, "--namespace", &team.namespace]);
    let output = groundskeeper(&words);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn json_of((status, out, err): (Option<i32>, String, String)) -> Value {
    assert_eq!(status, Some(0), "{out}{err}");
    serde_json::from_str(&out).unwrap()
}

/// Writes a policy to a file; returns its name.
fn file(team: &Team<'_>, draft: &Draft) -> String {
    let path = team.cluster.directory().join(format!("{}-{}.json", team.namespace, draft.name()));
    std::fs::write(&path, draft.0.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn reasons(plan: &Value) -> Vec<String> {
    let items = plan["items"].as_array().unwrap().iter();
    let mut told: Vec<_> =
        items.map(|item| format!("{} {}", item["object"]["name"], item["reason"]).replace('"', "")).collect();
    told.sort();
    told
}

#[tokio::test]
async fn the_clusters_own_policies_keep_objects_from_a_given_one_unless_it_stands_alone() {
    let team = team("keep").await;
    for name in ["a", "b"] {
        team.create(config_map(name).labelled("tmp=yes")).await;
    }
    team.create(config_map("other")).await;
    let keep = policy("keep")
        .with("/spec/targetResource/names", json!(["a"]))
        .with("/spec/action", "Keep")
        .with("/spec/mode", "Enforce");
    let Draft(mut keep) = keep;
    let spec = keep["spec"].as_object_mut().unwrap();
    spec.retain(|field, _| field != "ttl" && field != "budget");
    team.create(Draft(keep)).await;
    let given = file(&team, &policy("sweep").labelled("tmp=yes").after(1).with("/spec/mode", "Enforce"));

    let plan = json_of(say(&team, &format!("plan -f {given} -o json --at 2126-01-01T00:00:00Z")));
    assert_eq!(reasons(&plan), ["a KeptBy", "b Expired", "other NotSelected"]);
    let alone = json_of(say(&team, &format!("plan -f {given} -o json --alone --at 2126-01-01T00:00:00Z")));
    assert_eq!(alone["summary"]["delete"], 2);
    // The table asks only for what is selected, and counts the rest.
    let (_, table, _) = say(&team, &format!("plan -f {given} --alone --at 2126-01-01T00:00:00Z"));
    assert!(table.contains("Not shown: 1 that the policies do not select"), "{table}");

    let told = json_of(say(&team, "explain secret/a -o json"));
    assert_eq!((&told["object"], &told["policies"]), (&Value::Null, &json!(0)));
    let told = json_of(say(&team, &format!("explain cm/a -f {given} -o json")));
    assert_eq!(told["decides"]["effect"], "Keep", "{told}");
    let course = json_of(say(&team, &format!("simulate -f {given} --to 1h -o json")));
    assert_eq!(course["summary"]["deletions"], 1, "{course}");
}

#[tokio::test]
async fn an_owner_is_looked_for_where_a_policy_asks_whether_it_is_gone() {
    let team = team("owners").await;
    let owner = team.create(config_map("owner")).await;
    for (name, uid) in [("kept", owner.uid.as_str()), ("orphan", "no-such-uid")] {
        let owners = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]);
        team.create(object("v1", "Secret", name).with("/metadata/ownerReferences", owners)).await;
    }
    let given = policy("orphans")
        .on("v1", "Secret")
        .with("/spec/targetResource/owner/is", "Gone")
        .after(1)
        .with("/spec/mode", "Enforce");
    let given = file(&team, &given);

    let plan = json_of(say(&team, &format!("plan -f {given} -o json --at 2126-01-01T00:00:00Z")));
    assert_eq!(reasons(&plan), ["kept OwnerExists", "orphan Expired"]);
}

#[tokio::test]
async fn an_object_is_held_and_let_go_again() {
    let team = team("hold").await;
    let report = team.create(config_map("report")).await;
    let protect = async || {
        let seen = team.look_at(&report).await.unwrap();
        seen["metadata"]["annotations"]["groundskeeper.dev/protect"].clone()
    };

    let (status, out, err) = say(&team, "hold cm/report --reason audit");
    assert_eq!(
        (status, &*out),
        (Some(0), &*format!("configmap/report in namespace {} is held\n", team.namespace)),
        "{err}"
    );
    assert_eq!(protect().await, "audit");
    let again = json_of(say(&team, "hold configmaps/report --reason audit -o json"));
    assert_eq!((&again["held"], &again["changed"]), (&json!(true), &json!(false)));
    let (status, ..) = say(&team, "unhold ConfigMap/report");
    assert_eq!((status, protect().await), (Some(0), Value::Null));
    let (status, _, err) = say(&team, "hold cm/nothing");
    assert!(status == Some(1) && err.contains("there is no configmap/nothing in namespace"), "{err}");
    let (status, _, err) = say(&team, "hold gizmo/nothing");
    assert!(status == Some(1) && err.contains("the cluster serves no kind gizmo: write it as"), "{err}");
}

/// Approves a policy, which changes like this after it was shown and before the approval reaches the server.
async fn approve_while(team: &Team<'_>, sweep: &Made, change: Value) -> (Option<i32>, String) {
    let proxy = Faults::between(team.cluster, team.cluster.admin()).await.unwrap();
    let gate = Gate::new();
    let approval = Calls::of("garbagecollectionpolicies").verb(Verb::Patch).nth(1);
    proxy.on(approval, Fault::hold_before(&gate));
    let kubeconfig = proxy.kubeconfig().to_str().unwrap().to_owned();
    let namespace = team.namespace.clone();
    let command = tokio::task::spawn_blocking(move || {
        groundskeeper(&["approve", "sweep", "--yes", "--kubeconfig", &kubeconfig, "--namespace", &namespace])
    });
    let held = tokio::time::timeout(Duration::from_mins(1), gate.arrived()).await.unwrap();
    let at_status = change.get("status").is_some();
    if at_status {
        let api = team.api(&sweep.api_version, &sweep.kind);
        api.patch_status(&sweep.name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    } else {
        team.edit(sweep, change).await;
    }
    held.release();
    let output = command.await.unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn a_spec_that_changes_between_showing_and_writing_is_not_approved() {
    let team = team("approve-late").await;
    let sweep =
        team.create(policy("sweep").after(1).with("/spec/targetResource/names", json!(["due-*"]))).await;
    let approved = async || {
        let found = team.look_at(&sweep).await.unwrap();
        found["metadata"]["annotations"]["groundskeeper.dev/approved"].as_str().map(ToOwned::to_owned)
    };
    let wider = json!({"spec": {"targetResource": {"names": null}}});
    let (status, err) = approve_while(&team, &sweep, wider).await;
    assert!(
        status == Some(1) && err.contains("was changed since it was shown, so nothing was approved"),
        "{err}"
    );
    assert_eq!(approved().await, None);

    // The operator writes statuses all the time; that is no change of what was shown.
    let (status, err) = approve_while(&team, &sweep, json!({"status": {"matched": 7}})).await;
    assert_eq!((status, &*err), (Some(0), ""));
    assert!(approved().await.is_some());
}

#[tokio::test]
async fn an_approval_is_bound_to_the_spec_that_was_shown() {
    let team = team("approve").await;
    for number in 0..3 {
        team.create(config_map(&format!("due-{number}"))).await;
    }
    let sweep = policy("sweep")
        .after(1)
        .with("/spec/targetResource/names", json!(["due-*"]))
        .with("/spec/mode", "Enforce")
        .with("/spec/budget/count", 1);
    let sweep = team.create(sweep).await;
    let due = sweep.due(2);
    eventually(team.cluster, "the objects are due", async || holds(now() > due, now())).await;

    let (status, out, err) = say(&team, "approve sweep");
    assert!(status == Some(1) && err.contains("nobody is there to confirm: give --yes"), "{out}{err}");
    assert!(out.contains("OverBudget"), "{out}");
    let told = json_of(say(&team, "approve sweep --yes -o json"));
    assert_eq!(
        (&told["policies"][0]["due"], &told["policies"][0]["budgetLeft"]),
        (&json!(3), &json!(1)),
        "{told}"
    );
    let seen = team.look_at(&sweep).await.unwrap();
    assert_eq!(seen["metadata"]["annotations"]["groundskeeper.dev/approved"], told["approved"]);
    let hash = told["policies"][0]["specHash"].as_str().unwrap();
    assert!(told["approved"].as_str().unwrap().starts_with(&format!("{hash}@")), "{told}");

    let file = file(
        &team,
        &Draft(json!({
            "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "GarbageCollectionPolicy",
            "metadata": {"name": "sweep"}, "spec": seen["spec"],
        })),
    );
    let plan = json_of(say(&team, &format!("plan -f {file} -o json")));
    assert_eq!(plan["summary"]["delete"], 3, "what was approved goes, whatever the budget: {plan}");
    team.edit(&sweep, json!({"spec": {"ttl": {"secondsAfterCreation": 2}}})).await;
    let (_, out, _) = say(&team, "approve sweep");
    assert!(out.contains("OverBudget"), "another spec is not approved: {out}");
    let (status, _, err) = say(&team, "approve nothing --yes");
    assert!(status == Some(1) && err.contains("there is no policy"), "{err}");
}
