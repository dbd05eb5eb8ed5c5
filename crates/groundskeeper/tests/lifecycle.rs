//! What the operator survives: its own end, the API server's absence, a cluster that is not ready for it, a double.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use testbed::{ControlPlane, Options, Tool};

use support::drafts::{config_map, policy};
use support::operator::Operator;
use support::proxy::Wire;
use support::team::{Made, Team};
use support::{eventually, holds, identity, install_crds, install_rbac, turn};

/// Every object has gone in its time, each by one deletion.
///
/// The answer to an operator that was killed meanwhile may be none: such a deletion may or may not have been done.
async fn all_went_once(team: &Team<'_>, objects: &[Made], seconds: i64) {
    for object in objects {
        team.gone(object).await;
    }
    eventually(team.cluster, "the audit log tells of every deletion", async || {
        let deletions = team.deletions();
        for object in objects {
            let of_it: Vec<_> = deletions.iter().filter(|deletion| deletion.uid() == object.uid).collect();
            let carried_out = of_it.iter().filter(|deletion| !matches!(deletion.code, 404 | 409)).count();
            let accepted = of_it.iter().filter(|deletion| deletion.accepted()).count();
            assert!(accepted <= 1, "{of_it:#?}");
            assert!(of_it.iter().all(|deletion| deletion.at >= object.due(seconds)), "{of_it:#?}");
            holds(carried_out >= 1, format!("{}: {of_it:#?}", object.name))?;
        }
        Ok(())
    })
    .await;
    team.assert_gentle("configmaps");
}

#[tokio::test]
async fn a_restart_loses_no_timer_and_no_count() {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "restart").await;
    let operator = Operator::start(cluster).await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(4)).await;
    let first = team.create_many(2, &config_map("first").labelled("tmp=yes")).await;
    all_went_once(&team, &first, 4).await;
    let early = team.create_many(2, &config_map("early").labelled("tmp=yes")).await;
    team.policy_is(&sweep, "it sees them", |policy| policy["status"]["pending"] == 2).await;

    let ended = operator.stop().await;
    assert!(ended.success(), "{ended}");
    let found = team.look_at(&sweep).await.unwrap();
    assert_eq!(found["status"]["deleted"], 2, "the last count is written before the end: {found}");
    for object in &early {
        team.assert_untouched(object).await;
    }
    let meanwhile = team.create_many(2, &config_map("meanwhile").labelled("tmp=yes")).await;

    let operator = Operator::start(cluster).await;
    all_went_once(&team, &early, 4).await;
    all_went_once(&team, &meanwhile, 4).await;
    team.policy_is(&sweep, "its count goes on", |policy| policy["status"]["deleted"] == 6).await;
    assert!(operator.errors().is_empty(), "{:#?}", operator.errors());
    assert!(operator.stop().await.success());
}

#[tokio::test]
async fn an_operator_that_is_killed_in_the_middle_of_a_burst_leaves_nothing_that_its_successor_does_not_finish()
 {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "killed").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1).at_rate(100)).await;
    let due = team.create_many(300, &config_map("due").labelled("tmp=yes")).await;
    let young = team.create_many(3, &config_map("young")).await;
    let kept = config_map("kept").labelled("tmp=yes").annotated("groundskeeper.dev/protect=true");
    let kept = team.create_many(3, &kept).await;
    team.wait_until(due[299].due(1)).await;

    let mut rounds = Vec::new();
    for least in [20, 80] {
        let operator = Operator::start(cluster).await;
        eventually(cluster, "some are gone", async || {
            let left = team.count("v1", "ConfigMap", "tmp=yes").await;
            holds(left + least <= 303, left)
        })
        .await;
        operator.kill();
        rounds.push(team.count("v1", "ConfigMap", "tmp=yes").await);
    }
    assert!(rounds[1] > 3, "it was killed before the end: {rounds:?} were left");

    let operator = Operator::start(cluster).await;
    all_went_once(&team, &due, 1).await;
    for object in young.iter().chain(&kept) {
        team.assert_untouched(object).await;
    }
    team.policy_is(&sweep, "nothing is pending", |policy| {
        policy["status"]["pending"] == 0 && policy["status"]["matched"] == 3
    })
    .await;
    assert!(operator.stop().await.success());
}

/// How long the threads of a process have been on a core, by their names.
#[cfg(target_os = "linux")]
fn on_core(pid: u32) -> BTreeMap<String, Duration> {
    let mut times = BTreeMap::<_, Duration>::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let thread = thread.unwrap().path();
        let read = |file: &str| std::fs::read_to_string(thread.join(file));
        // It may have ended meanwhile.
        let (Ok(name), Ok(times_on_core)) = (read("comm"), read("schedstat")) else { continue };
        let nanoseconds = times_on_core.split(' ').next().unwrap().parse().unwrap();
        *times.entry(name.trim().to_owned()).or_default() += Duration::from_nanos(nanoseconds);
    }
    times
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_the_controllers_do_is_done_by_a_thread_of_their_own() {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "thread").await;
    let operator = Operator::start(cluster).await;
    team.create(policy("sweep").labelled("tmp=yes").after(1).at_rate(1_000)).await;
    let before = on_core(operator.pid());
    let due = team.create_many(300, &config_map("due").labelled("tmp=yes")).await;
    all_went_once(&team, &due, 1).await;
    let after = on_core(operator.pid());

    let took = |name: &str| after[name].saturating_sub(before.get(name).copied().unwrap_or_default());
    let (controllers, others) = (took("controllers"), took("tokio-rt-worker"));
    assert!(controllers > 2 * others, "{controllers:?} beside {others:?}: {before:#?} {after:#?}");
    assert!(operator.stop().await.success());
}

/// An operator whose wire to the API server can be cut.
async fn wired(cluster: &ControlPlane) -> (Wire, Operator) {
    let wire = Wire::to(cluster).await;
    let kubeconfig = wire.kubeconfig(cluster, identity(cluster).kubeconfig());
    let operator = Operator::launch(cluster, &kubeconfig).await;
    operator.ready(cluster).await;
    (wire, operator)
}

#[tokio::test]
async fn an_api_server_that_is_away_for_a_while_is_waited_for() {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "away").await;
    let (mut wire, operator) = wired(cluster).await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(3)).await;
    let objects = team.create_many(5, &config_map("object").labelled("tmp=yes")).await;
    let saved = team.create(config_map("saved").labelled("tmp=yes")).await;
    team.collecting(&sweep).await;

    // While nothing can be heard, a label goes, a name changes hands, and the objects fall due.
    wire.cut().await;
    let saved = team.edit(&saved, json!({"metadata": {"labels": {"tmp": null}}})).await;
    team.delete(&objects[0]).await;
    let anew = team.create(config_map(&objects[0].name).labelled("tmp=yes")).await;
    eventually(cluster, "it says that it is not ready", async || {
        let (code, text) = operator.readiness().await;
        holds(code == 503 && text.contains("policies cannot be watched"), format!("{code} {text}"))
    })
    .await;
    team.wait_until(anew.due(4)).await;
    assert!(team.deletions().is_empty(), "{:#?}", team.deletions());
    assert!(operator.is_running());
    assert_eq!(operator.liveness().await.0, 200);

    wire.mend().await;
    operator.ready(cluster).await;
    all_went_once(&team, &objects[1..], 3).await;
    all_went_once(&team, std::slice::from_ref(&anew), 3).await;
    team.wait_past(saved.due(3)).await;
    team.assert_untouched(&saved).await;
    assert!(operator.errors().is_empty(), "{:#?}", operator.errors());
    assert!(operator.stop().await.success());
}

#[tokio::test]
async fn what_became_of_the_policies_while_nothing_could_be_heard_holds_from_the_first_deletion_on() {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "unheard").await;
    let (mut wire, operator) = wired(cluster).await;
    let changes = [
        ("paused", json!({"spec": {"paused": true}})),
        ("lengthened", json!({"spec": {"ttl": {"secondsAfterCreation": 3600}}})),
        ("narrowed", json!({"spec": {"targetResource": {"labelSelector": {"matchLabels": {"no": "more"}}}}})),
        ("deleted", json!(null)),
    ];
    let (mut policies, mut objects) = (Vec::new(), Vec::new());
    for (name, _) in &changes {
        let label = format!("tmp={name}");
        let sweep = team.create(policy(name).labelled(&label).after(3).at_rate(100)).await;
        team.collecting(&sweep).await;
        policies.push(sweep);
        objects.extend(team.create_many(3, &config_map(name).labelled(&label)).await);
    }

    wire.cut().await;
    for (sweep, (_, change)) in policies.iter().zip(&changes) {
        if change.is_null() {
            team.delete(sweep).await;
        } else {
            team.edit(sweep, change.clone()).await;
        }
    }
    eventually(cluster, "it has heard of the cut", async || {
        let (code, text) = operator.readiness().await;
        holds(code == 503, format!("{code} {text}"))
    })
    .await;
    team.wait_until(objects[11].due(4)).await;
    wire.mend().await;
    operator.ready(cluster).await;

    team.wait_past(objects[11].due(5)).await;
    let wrong: Vec<_> =
        team.deletions().into_iter().filter(|deletion| !deletion.name.starts_with("witness")).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for object in &objects {
        team.assert_untouched(object).await;
    }
    assert!(operator.stop().await.success());
}

/// Connections stay open, and nothing comes: the servers are stopped in the middle of a burst.
#[tokio::test]
async fn servers_that_hang_in_the_middle_of_a_burst_lose_nothing() {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "hangs").await;
    let operator = Operator::start(cluster).await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1).at_rate(50).paused()).await;
    let objects = team.create_many(100, &config_map("object").labelled("tmp=yes")).await;
    team.edit(&sweep, json!({"spec": {"paused": false}})).await;
    team.gone(&objects[0]).await;

    for tool in [Tool::Etcd, Tool::KubeApiserver] {
        let server = cluster.server(tool).unwrap().pid();
        signal("STOP", server);
        team.wait_until(support::now() + SignedDuration::from_secs(2)).await;
        assert_eq!(operator.liveness().await.0, 200);
        signal("CONT", server);
    }
    all_went_once(&team, &objects, 1).await;
    assert!(operator.errors().is_empty(), "{:#?}", operator.errors());
    assert!(operator.stop().await.success());
}

fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

#[tokio::test]
async fn of_two_operators_one_deletes_each_object_and_the_other_does_not_mind() {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "double").await;
    let operators = [Operator::start(cluster).await, Operator::start(cluster).await];
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(2).at_rate(1_000)).await;
    team.collecting(&sweep).await;
    let objects = team.create_many(50, &config_map("object").labelled("tmp=yes")).await;
    all_went_once(&team, &objects, 2).await;
    team.wait_past(objects[49].due(2)).await;

    let mut outcomes = BTreeSet::new();
    for operator in operators {
        let log = operator.log();
        assert!(operator.errors().is_empty(), "{:#?}", operator.errors());
        let denied = |line: &&serde_json::Value| line["message"] == "not deleted";
        outcomes.extend(log.iter().filter(denied).map(|line| line["outcome"].as_str().unwrap().to_owned()));
        assert!(operator.stop().await.success());
    }
    let harmless = ["changed", "gone"].map(str::to_owned);
    assert!(outcomes.iter().all(|outcome| harmless.contains(outcome)), "{outcomes:?}");
}

/// Nothing is there, then the definitions, then the rights: each is told, and none needs a restart.
#[tokio::test]
async fn an_operator_without_definitions_or_rights_says_what_is_missing_and_starts_when_it_comes() {
    let cluster = ControlPlane::start(Options::api_server_only().controller_manager(true)).await.unwrap();
    let operator = Operator::launch(&cluster, identity(&cluster).kubeconfig()).await;
    let says = async |expected: &str| {
        eventually(&cluster, &format!("/readyz says {expected}"), async || {
            let (code, text) = operator.readiness().await;
            holds(code == 503 && text.contains(expected), format!("{code} {text}"))
        })
        .await;
    };
    says("groundskeeper crds | kubectl apply").await;
    install_crds(&cluster);
    says("lacks `watch` on `garbagecollectionpolicies.groundskeeper.dev`").await;
    assert_eq!(operator.liveness().await.0, 200);
    install_rbac(&cluster, &["configmaps"]);
    operator.ready(&cluster).await;

    let team = Team::new(&cluster, "at-last").await;
    team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    team.gone(&object).await;
    assert!(operator.errors().is_empty(), "{:#?}", operator.errors());
    assert!(operator.stop().await.success());
}

/// Servers before 1.32, and those with the feature off, list page by page.
#[tokio::test]
async fn a_server_that_does_not_stream_lists_is_read_in_pages() {
    let options = support::audited().api_server_flag("--feature-gates=WatchList=false");
    let cluster = ControlPlane::start(options).await.unwrap();
    install_crds(&cluster);
    install_rbac(&cluster, &["configmaps"]);
    let team = Team::new(&cluster, "paged").await;
    let objects = team.create_many(600, &config_map("object").labelled("tmp=yes")).await;
    team.create(policy("sweep").labelled("tmp=yes").after(1).at_rate(5_000)).await;

    let operator = Operator::start(&cluster).await;

    all_went_once(&team, &objects, 1).await;
    let requests = support::audit::requests(&cluster, &team.namespace);
    let pages = requests.iter().filter(|request| request.verb == "list" && request.resource == "configmaps");
    assert!(pages.count() >= 2, "{requests:#?}");

    // What comes after the listing is watched from there.
    let later = team.create(config_map("later").labelled("tmp=yes")).await;
    team.gone(&later).await;
    assert!(operator.errors().is_empty(), "{:#?}", operator.errors());
    assert!(operator.stop().await.success());
}
