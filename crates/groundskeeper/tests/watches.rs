//! What the operator makes of watches and listings that fall silent, break off, or lie, and of objects that make no sense.
//!
//! The numbers are those of `docs/reliability.md`. Each check is run twice: as it is, and without the safety that it is
//! about, with which it has to fail.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests take their time, and say how long"
)]

mod support;

use std::time::Duration;

use control::Mutant;
use jiff::SignedDuration;
use serde_json::{Value, json};
use testbed::ControlPlane;
use testbed::faults::{Calls, EventType, Events, Fault, Faults, Refusal, Verb};

use support::checks::{Found, Replica, is_caught, turn, within};
use support::drafts::{config_map, policy};
use support::operator::Launch;
use support::scenery::Scenery;
use support::team::Team;
use support::{audit, holds, identity, install_crds, install_rbac, kubectl, now, printed};

const POLICIES: &str = "garbagecollectionpolicies";

/// How long what comes by itself may take here: two of a feed's longest pauses, and a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// The operator sees so many objects that a policy selects.
async fn seen(replica: &Replica, count: u32) -> Found {
    within(SOON, "it sees the objects", async || sees(replica, count).await).await
}

async fn sees(replica: &Replica, count: u32) -> Found {
    let matched = replica.operator.counted("groundskeeper_gc_objects", &["state=\"matched\""]).await;
    holds((matched - f64::from(count)).abs() < 0.5, matched)
}

/// A start is no news: whoever waits for `Ready` sees the status of the one before until all objects have been read.
#[tokio::test]
async fn an_operator_that_ends_before_it_has_read_the_objects_has_changed_no_status() {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "unread").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(600)).await;
    team.create(config_map("young").labelled("tmp=yes")).await;
    let first = Replica::leader(cluster, None, |launch| launch).await;
    team.policy_is(&sweep, "it sees the object", |policy| policy["status"]["pending"] == 1).await;
    assert!(first.operator.stop().await.success());
    let before = team.look_at(&sweep).await.unwrap();

    let proxy = Faults::between(cluster, &identity(cluster)).await.unwrap();
    for calls in [Calls::watches("configmaps"), Calls::lists("configmaps")] {
        proxy.on(calls, Fault::delay(Duration::from_mins(1)));
    }
    let second = Launch::new(proxy.kubeconfig()).start(cluster).await;
    second.ready(cluster).await;
    second.leads(cluster).await;
    team.wait_until(now() + SignedDuration::from_secs(2)).await;
    assert!(second.stop().await.success());
    let after = team.look_at(&sweep).await.unwrap();
    assert_eq!(before["status"], after["status"]);
}

// R06: a watch falls silent without being closed.

fn listens_briefly(launch: Launch) -> Launch {
    launch.flag("--watch-silence-max=5s")
}

/// Nothing is deleted on the word of a watch that says nothing; what was changed meanwhile holds.
async fn silence_of_objects(mutant: Option<Mutant>) -> Found {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "silence").await;
    let replica = Replica::leader(cluster, mutant, listens_briefly).await;
    team.create(policy("sweep").labelled("tmp=yes").after(10)).await;
    let due = team.create(config_map("due").labelled("tmp=yes")).await;
    let saved = team.create(config_map("saved").labelled("tmp=yes")).await;
    seen(&replica, 2).await?;

    let silence = replica.proxy.on(Calls::watches("configmaps"), Fault::freeze_watch());
    let saved = team.edit(&saved, json!({"metadata": {"labels": {"tmp": null}}})).await;
    team.wait_until(saved.due(12)).await;
    let asked = team.deletions();
    holds(asked.is_empty(), format!("deleted on the word of a silent watch: {asked:?}"))?;
    let noticed =
        replica.operator.counted("groundskeeper_watch_restarts_total", &["reason=\"silent\""]).await;
    holds(noticed >= 1.0, "no metric tells of the silence")?;

    silence.lift();
    team.all_go_once(&[due], 10, SOON).await?;
    team.is_untouched(&saved).await
}

/// A watch of the policies that says nothing makes the operator unready; a policy that ends meanwhile does nothing more.
async fn silence_of_policies(mutant: Option<Mutant>) -> Found {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "unsaid").await;
    let replica = Replica::leader(cluster, mutant, listens_briefly).await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(9)).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    seen(&replica, 1).await?;

    // The watches that are open say nothing any more; those that take their place work.
    replica.proxy.on(Calls::watches(POLICIES).already_open(), Fault::freeze_watch());
    let unready = replica.proxy.on(Calls::lists(POLICIES), Fault::delay(Duration::from_secs(2)));
    team.edit(&sweep, json!({"spec": {"paused": true}})).await;
    let fell = within(Duration::from_secs(8), "readiness falls", async || {
        let (code, text) = replica.operator.readiness().await;
        holds(code == 503, text)
    });
    let fell = fell.await;
    unready.lift();
    team.wait_until(object.due(11)).await;
    team.is_untouched(&object).await?;
    fell?;
    within(SOON, "it recovers by itself", async || {
        let (code, text) = replica.operator.readiness().await;
        holds(code == 200, text)
    })
    .await?;
    team.edit(&sweep, json!({"spec": {"paused": false}})).await;
    team.all_go_once(&[object], 9, SOON).await
}

#[tokio::test]
async fn r06_nothing_goes_on_the_word_of_a_silent_watch() {
    silence_of_objects(None).await.unwrap();
}

#[tokio::test]
async fn r06_nothing_goes_on_the_word_of_a_silent_watch_is_caught() {
    is_caught(Mutant::SilenceBelieved, silence_of_objects).await;
}

#[tokio::test]
async fn r06_a_silent_watch_of_policies_makes_unready() {
    silence_of_policies(None).await.unwrap();
}

#[tokio::test]
async fn r06_a_silent_watch_of_policies_makes_unready_is_caught() {
    is_caught(Mutant::SilenceBelieved, silence_of_policies).await;
}

// R07: what a watch or a page was to go on from is too old.

/// After 410 everything is listed anew: nothing is lost, nothing happens twice, and a server that says it over and over is
/// asked ever more slowly.
async fn expired(mutant: Option<Mutant>, scenery: Scenery) -> Found {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "expired").await;
    let replica = Replica::leader(cluster, mutant, |launch| launch).await;
    let proxy = &replica.proxy;
    team.create(scenery.policy(policy("sweep").labelled("tmp=yes").after(4))).await;
    let early = team.create(config_map("early").labelled("tmp=yes")).await;
    seen(&replica, 1).await?;
    let guards = scenery.set(&team).await;

    // The events of one object get lost before the watch fails; what does not list anew never hears of it.
    let gap = proxy.on(Calls::watches("configmaps"), Fault::drop_events(Events::about("late")));
    let late = team.create(config_map("late").labelled("tmp=yes")).await;
    team.goes_within(&early, SOON).await?;
    gap.lift();
    let resumed = Calls::watches("configmaps").that(|call| !call.is_list());
    proxy.on(resumed, Fault::refuse(Refusal::expired()));
    let already = Calls::watches("configmaps").already_open();
    let in_stream = proxy.on(already, Fault::fail_watch(Refusal::expired()));
    team.all_go_once(&[early, late], 4, SOON).await?;
    in_stream.lift();

    // A storm: every watch fails at once, whether it lists or not.
    let storm = proxy.on(Calls::watches("configmaps"), Fault::fail_watch(Refusal::expired()));
    let before = proxy.trace().reads(Verb::Watch, "configmaps");
    let kept = team.create(config_map("kept").labelled("tmp=yes")).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let opened = proxy.trace().reads(Verb::Watch, "configmaps") - before;
    println!("a storm of 6 s: {opened} listings");
    holds((2..=10).contains(&opened), format!("{opened} listings in 6 s"))?;
    storm.lift();
    team.all_go_once(&[kept], 4, SOON).await?;
    match guards {
        Some(guards) => guards.go(&team, SOON).await,
        None => Ok(()),
    }
}

#[tokio::test]
async fn r07_what_expired_is_listed_anew() {
    expired(None, Scenery::Plain).await.unwrap();
}

#[tokio::test]
async fn r07_what_expired_is_listed_anew_within_limits() {
    expired(None, Scenery::Guarded).await.unwrap();
}

#[tokio::test]
async fn r07_what_expired_is_listed_anew_is_caught() {
    let check = async |mutant| Box::pin(expired(mutant, Scenery::Plain)).await;
    is_caught(Mutant::ExpiredWatchResumed, check).await;
}

/// A server that lists in pages, and forgets its second page.
#[tokio::test]
async fn r07_a_page_that_expired_makes_the_listing_begin_anew() {
    let options = support::audited().api_server_flag("--feature-gates=WatchList=false");
    let cluster = ControlPlane::start(options).await.unwrap();
    install_crds(&cluster);
    install_rbac(&cluster, &["configmaps"]);
    let team = Team::new(&cluster, "pages").await;
    let items: Vec<_> =
        (0..520).map(|number| config_map(&format!("object-{number}")).labelled("tmp=yes").0).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    kubectl(&cluster, &["create", "--namespace", &team.namespace, "-f", "-"], &list);
    let replica = Replica::leader(&cluster, None, |launch| launch).await;
    let second = Calls::lists("configmaps").continued().times(2);
    let lost = replica.proxy.on(second, Fault::refuse(Refusal::expired()));

    team.create(policy("sweep").labelled("tmp=yes").after(1).at_rate(5_000)).await;

    within(SOON * 2, "all go", async || {
        let left = team.count("v1", "ConfigMap", "tmp=yes").await;
        holds(left == 0, left)
    })
    .await
    .unwrap();
    assert_eq!(lost.acted(), 2);
    let deletions = team.deletions();
    let uids: std::collections::BTreeSet<_> = deletions.iter().map(audit::Request::uid).collect();
    assert_eq!((deletions.len(), uids.len()), (520, 520));
}

// R08: a listing with status 200 that lacks what is there.

const MANY: u32 = 20;

/// Provokes a listing of the objects.
fn relist(replica: &Replica, resource: &str) {
    let fail = Fault::fail_watch(Refusal::expired());
    replica.proxy.on(Calls::watches(resource).already_open(), fail);
}

async fn doubts(replica: &Replica) -> f64 {
    replica.operator.counted("groundskeeper_mass_change_doubts_total", &[]).await
}

/// How many objects each status that was written for a policy since then shows.
fn matched(team: &Team<'_>, since: jiff::Timestamp) -> Vec<i64> {
    audit::requests(team.cluster, &team.namespace)
        .into_iter()
        .filter(|request| request.resource == format!("{POLICIES}/status") && request.at >= since)
        .filter_map(|request| request.body["status"]["matched"].as_i64())
        .collect()
}

/// A listing that has lost most of it is looked at a second time; objects that are there are never forgotten.
async fn lying_list(mutant: Option<Mutant>) -> Found {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "lies").await;
    let replica = Replica::leader(cluster, mutant, |launch| launch).await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(3600)).await;
    let objects = team.create_many(MANY as usize, &config_map("object").labelled("tmp=yes")).await;
    team.policy_is(&sweep, "it sees them", |policy| policy["status"]["matched"] == MANY).await;

    for (round, lie) in (0_u32..).zip([Fault::empty_list(), Fault::truncate_list(15)]) {
        let begun = now();
        let lie = replica.proxy.on(Calls::lists("configmaps").times(1), lie);
        relist(&replica, "configmaps");
        within(SOON, "the listing is taken in", async || {
            let forgotten = sees(&replica, MANY).await.is_err();
            holds(forgotten || doubts(&replica).await > f64::from(round), format!("{lie:?}"))
        })
        .await?;
        // A change makes a status be written that counts anew.
        let paused = round == 0;
        team.edit(&sweep, json!({"spec": {"paused": paused}})).await;
        team.ready_is(&sweep, "True", if paused { "Paused" } else { "Collecting" }).await;
        let shown = matched(&team, begun);
        holds(shown.iter().all(|count| *count == i64::from(MANY)), format!("statuses show {shown:?}"))?;
        holds(doubts(&replica).await > f64::from(round), "no metric tells of the doubt")?;
        within(SOON, "a second look", async || {
            let looks = replica.proxy.trace().reads(Verb::List, "configmaps");
            holds(looks > round.into(), looks)
        })
        .await?;
    }
    holds(team.deletions().is_empty(), format!("{:?}", team.deletions()))?;

    // The second look has been taken in, and the watch goes on.
    let witness = team.create(config_map("witness").labelled("tmp=yes")).await;
    seen(&replica, MANY + 1).await?;
    team.delete(&witness).await;
    seen(&replica, MANY).await?;

    // What has gone indeed is believed, after a second look.
    let gap = Fault::drop_events(Events::of(EventType::Deleted));
    let gap = replica.proxy.on(Calls::watches("configmaps"), gap);
    for object in &objects {
        team.delete(object).await;
    }
    within(SOON, "nothing is heard of it", async || {
        holds(gap.acted() == u64::from(MANY), format!("{gap:?}"))
    })
    .await?;
    gap.lift();
    relist(&replica, "configmaps");
    seen(&replica, 0).await?;
    holds(doubts(&replica).await >= 3.0, "it was believed at once")
}

/// The same of policies: while it is in doubt whether they are gone, the operator is not ready, and none is forgotten.
async fn lying_list_of_policies(mutant: Option<Mutant>, scenery: Scenery) -> Found {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "policies").await;
    let replica = Replica::leader(cluster, mutant, |launch| launch).await;
    team.create_many(MANY as usize, &policy("sweep").labelled("tmp=yes").paused()).await;
    let last = team.create(scenery.policy(policy("last").labelled("tmp=last").after(1))).await;
    team.collecting(&last).await;
    let guards = scenery.set(&team).await;

    let lie = replica.proxy.on(Calls::lists(POLICIES).times(1), Fault::empty_list());
    let slow =
        replica.proxy.on(Calls::to(Verb::List).resource(POLICIES), Fault::delay(Duration::from_secs(2)));
    relist(&replica, POLICIES);
    let unready = within(SOON, "readiness falls", async || {
        let (code, text) = replica.operator.readiness().await;
        holds(code == 503 && text.contains("a listing lacks"), text)
    });
    let object = team.create(config_map("object").labelled("tmp=last")).await;
    unready.await?;
    slow.lift();
    holds(lie.acted() == 1 && doubts(&replica).await >= 1.0, "no metric tells of the doubt")?;
    team.all_go_once(&[object], 1, SOON).await?;
    match guards {
        Some(guards) => guards.go(&team, SOON).await,
        None => Ok(()),
    }
}

#[tokio::test]
async fn r08_a_listing_that_lacks_most_is_not_believed_at_once() {
    lying_list(None).await.unwrap();
}

#[tokio::test]
async fn r08_a_listing_that_lacks_most_is_not_believed_at_once_is_caught() {
    is_caught(Mutant::EmptyListBelieved, lying_list).await;
}

#[tokio::test]
async fn r08_policies_that_a_listing_lacks_are_not_forgotten_at_once() {
    lying_list_of_policies(None, Scenery::Plain).await.unwrap();
}

/// Neither those that delete, nor the one that keeps.
#[tokio::test]
async fn r08_policies_that_a_listing_lacks_are_not_forgotten_at_once_within_limits() {
    lying_list_of_policies(None, Scenery::Guarded).await.unwrap();
}

#[tokio::test]
async fn r08_policies_that_a_listing_lacks_are_not_forgotten_at_once_is_caught() {
    let check = async |mutant| Box::pin(lying_list_of_policies(mutant, Scenery::Plain)).await;
    is_caught(Mutant::EmptyListBelieved, check).await;
}

// R18: objects that make no sense.

const ODD: &str = "\u{1b}[2J\u{1b}[31mred\u{7}\n{\"level\":\"ERROR\"}\u{2028}\u{202e}\u{0}";

/// Lets the API server store any policy.
fn take_anything(cluster: &ControlPlane) {
    let definitions: Vec<Value> = serde_saphyr::from_multiple(&printed(&["crds"])).unwrap();
    let is_it =
        |definition: &Value| definition["metadata"]["name"] == "garbagecollectionpolicies.groundskeeper.dev";
    let mut definition = definitions.into_iter().find(is_it).unwrap();
    for version in definition["spec"]["versions"].as_array_mut().unwrap() {
        let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        version["schema"] = json!({"openAPIV3Schema": anything});
        version.as_object_mut().unwrap().remove("additionalPrinterColumns");
    }
    kubectl(cluster, &["apply", "--server-side", "-f", "-"], &definition.to_string());
}

/// Policies that no schema would let in.
fn poison() -> Vec<(&'static str, Value)> {
    let mut deep = json!("end");
    for _ in 0..200 {
        deep = json!({"matchLabels": deep});
    }
    let target = |kind: &str| json!({"apiVersion": "v1", "kind": kind});
    let ttl = json!({"secondsAfterCreation": 1});
    vec![
        ("number", json!(5)),
        ("nothing", json!({})),
        ("words", json!({"targetResource": target("ConfigMap"), "ttl": {"secondsAfterCreation": "soon"}})),
        ("lists", json!({"targetResource": [1, 2], "ttl": [[]]})),
        ("negative", json!({"targetResource": target("ConfigMap"), "ttl": {"secondsAfterCreation": -1e300}})),
        ("odd", json!({"targetResource": target(ODD), "ttl": ttl})),
        ("huge", json!({"targetResource": target(&"K".repeat(1_000_000)), "ttl": ttl})),
        ("path", json!({"targetResource": {"apiVersion": "v1/../../x?y#", "kind": "../%2e%2e"}, "ttl": ttl})),
        (
            "deep",
            json!({"targetResource": {"apiVersion": "v1", "kind": "ConfigMap", "labelSelector": deep}, "ttl": ttl}),
        ),
    ]
}

/// Only what makes no sense fails; all else goes on, and what is said of it harms no log.
async fn poisoned(mutant: Option<Mutant>) -> Found {
    let (_turn, cluster) = turn().await;
    let team = Team::new(cluster, "poison").await;
    let replica = Replica::leader(cluster, mutant, |launch| launch).await;
    team.create(policy("good").labelled("tmp=yes").after(2)).await;

    take_anything(cluster);
    let first = policy("first").with("/spec", 5);
    within(SOON, "the server takes it", async || team.try_create(first.clone()).await).await.unwrap();
    let poisons = poison();
    for (name, spec) in &poisons {
        let draft = policy(name).with("/spec", spec.clone()).annotated(&format!("example.com/odd={ODD}"));
        kubectl(cluster, &["create", "--namespace", &team.namespace, "-f", "-"], &draft.0.to_string());
    }
    install_crds(cluster);

    let odd = config_map("odd").labelled("tmp=yes").annotated(&format!("example.com/odd={ODD}"));
    let big =
        config_map("big").labelled("tmp=yes").annotated(&format!("example.com/big={}", "x".repeat(200_000)));
    let plain = config_map("plain").labelled("tmp=yes");
    let kept = team.create(
        config_map("kept").labelled("tmp=yes").annotated(&format!("groundskeeper.dev/protect={ODD}")),
    );
    let kept = kept.await;
    let objects = [team.create(odd).await, team.create(big).await, team.create(plain).await];
    team.all_go_once(&objects, 2, SOON).await?;
    team.is_untouched(&kept).await?;

    for (name, _) in &poisons {
        let what = format!("it says what is wrong with {name}");
        within(SOON, &what, async || told(&replica, &team, name)).await?;
    }
    let requests = audit::requests(cluster, &team.namespace);
    for (name, _) in &poisons {
        let writes: Vec<_> =
            requests.iter().filter(|request| request.verb == "patch" && request.name == *name).collect();
        let brief: Vec<_> = writes.iter().map(|w| format!("{} {} {}\n", w.at, w.code, w.body)).collect();
        holds(writes.len() <= 8, format!("so many writes about {name}: {}", brief.concat()))?;
    }
    let errors = replica.operator.errors();
    holds(errors.is_empty() && replica.operator.is_running(), format!("{errors:#?}"))
}

/// Whether the log or a condition says what is wrong with a policy. Every line of the log is one JSON object.
fn told(replica: &Replica, team: &Team<'_>, name: &str) -> Found {
    let key = format!("{}/{name}", team.namespace);
    let log = replica.operator.log();
    let is_told =
        |line: &Value| line["message"] == "a policy cannot be understood" && line["policy"] == key.as_str();
    let ready = r#"jsonpath={.status.conditions[?(@.type=="Ready")]}"#;
    let get = ["get", POLICIES, name, "--namespace", &team.namespace, "--output", ready];
    let condition = kubectl(team.cluster, &get, "");
    holds(log.iter().any(is_told) || condition.contains(r#""status":"False""#), condition)
}

#[tokio::test]
async fn r18_an_object_that_makes_no_sense_stands_alone() {
    poisoned(None).await.unwrap();
}

#[tokio::test]
async fn r18_an_object_that_makes_no_sense_stands_alone_is_caught() {
    is_caught(Mutant::PoisonEndsWatch, poisoned).await;
}
