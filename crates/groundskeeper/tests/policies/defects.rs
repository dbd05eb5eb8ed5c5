//! What the collector that we replace does wrong, each told by a test: `paused` without effect, one cache for two
//! selectors, half the rate, dry runs that count, one policy that holds up all others, a policy that wakes itself, counts
//! that stay, and objects that are deleted again and again.

use std::time::Duration;

use serde_json::json;

use crate::support::drafts::{config_map, policy};
use crate::support::{audit, eventually, holds};
use crate::{Leaves, team, team_and_operator};

#[tokio::test]
async fn paused_is_not_lost_and_has_effect() {
    let team = team("paused").await;
    let draft = policy("sweep").labelled("tmp=yes").after(1).paused().with("/spec/evaluationInterval", "2m");
    let sweep = team.create(draft).await;
    let object = team.create(config_map("object").labelled("tmp=yes")).await;
    let found = team.look_at(&sweep).await.unwrap();
    assert_eq!(
        (&found["spec"]["paused"], &found["spec"]["evaluationInterval"]),
        (&json!(true), &json!("2m"))
    );
    team.ready_is(&sweep, "True", "Paused").await;
    team.wait_past(object.due(1)).await;
    team.assert_untouched(&object).await;
}

#[tokio::test]
async fn two_policies_of_one_kind_see_each_what_it_selects() {
    let team = team("selectors").await;
    let first = team.create(policy("first").labelled("tmp=a").after(2)).await;
    let a = team.create(config_map("a").labelled("tmp=a")).await;
    let b = team.create(config_map("b").labelled("tmp=b")).await;
    let c = team.create(config_map("c").labelled("tmp=c")).await;
    team.collecting(&first).await;
    let second = team.create(policy("second").labelled("tmp=b").after(2)).await;
    team.goes_in_time(&a, 2).await;
    team.goes_in_time(&b, 2).await;
    team.assert_untouched(&c).await;

    // An edited selector is heard of, and a deleted policy leaves the other one as it was.
    let selector = json!({"spec": {"targetResource": {"labelSelector": {"matchLabels": {"tmp": "c"}}}}});
    team.edit(&first, selector).await;
    team.goes_in_time(&c, 2).await;
    team.delete(&second).await;
    let b = team.create(config_map("b").labelled("tmp=b")).await;
    let c = team.create(config_map("c").labelled("tmp=c")).await;
    team.goes_in_time(&c, 2).await;
    team.assert_untouched(&b).await;
}

#[tokio::test]
async fn the_rate_is_the_one_that_was_asked_for() {
    let team = team("rate").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1).at_rate(5).paused()).await;
    let objects = team.create_many(16, &config_map("due").labelled("tmp=yes")).await;
    team.policy_is(&sweep, "all are seen", |policy| policy["status"]["pending"] == 16).await;
    team.wait_until(objects[15].due(1)).await;
    team.edit(&sweep, json!({"spec": {"paused": false}})).await;
    for object in &objects {
        team.gone(object).await;
    }
    let asked = eventually(team.cluster, "the audit log tells of all", async || {
        let asked: Vec<_> = team.deletions().into_iter().map(|asked| asked.at).collect();
        holds(asked.len() == 16, format!("{asked:?}")).map(|()| asked)
    })
    .await;
    // One at once, and then one every 200 ms.
    let took = Duration::try_from(asked[15].duration_since(asked[0])).unwrap();
    assert!((2_900..4_000).contains(&took.as_millis()), "{took:?} instead of three seconds");
}

#[tokio::test]
async fn a_dry_run_counts_nothing_as_deleted() {
    let (team, operator) = team_and_operator("dry").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1).dry_run()).await;
    let objects = team.create_many(2, &config_map("object").labelled("tmp=yes")).await;
    team.wait_past(objects[1].due(2)).await;
    let found =
        team.policy_is(&sweep, "two are due", |policy| crate::reason_count(policy, "Expired") == 2).await;
    assert_eq!((&found["status"]["deleted"], &found["status"]["matched"]), (&json!(0), &json!(2)), "{found}");
    let name = format!(r#"policy_namespace="{}",policy_name="sweep""#, team.namespace);
    assert_eq!(operator.metric("groundskeeper_gc_deletions_total", &[&name]).await, None);
    let events = team.api("events.k8s.io/v1", "Event");
    let events = events.list(&kube::api::ListParams::default()).await.unwrap().items;
    let events = events.iter().map(|event| serde_json::to_value(event).unwrap());
    let told: Vec<_> = events.filter(|event| event["regarding"]["uid"] == sweep.uid).collect();
    assert!(told.iter().all(|event| event["reason"] != "Deleted"), "{told:#?}");
}

#[tokio::test]
async fn many_objects_of_a_slow_policy_hold_up_no_other() {
    let team = team("slow").await;
    let slow = team.create(policy("slow").labelled("tmp=slow").after(1).at_rate(1)).await;
    let many = team.create_many(300, &config_map("slow").labelled("tmp=slow")).await;
    team.create(policy("quick").labelled("tmp=quick").after(1)).await;
    let quick = team.create(config_map("quick").labelled("tmp=quick")).await;
    let asked = team.goes_in_time(&quick, 1).await;
    let late = Duration::try_from(asked.at.duration_since(quick.due(1))).unwrap();
    assert!(late < Duration::from_secs(2), "{late:?}");
    assert!(team.look_at(&many[299]).await.is_some());
    team.delete(&slow).await;
}

#[tokio::test]
async fn a_policy_does_not_wake_itself_and_its_counts_return_to_nothing() {
    let (team, operator) = team_and_operator("quiet").await;
    // Of a kind of its own: policies that come and go have watches begun anew, and that is told in the status.
    let leaves = Leaves::define(&team, "quiet").await;
    let sweep = team.create(leaves.policy("sweep").labelled("tmp=yes").after(1)).await;
    for object in team.create_many(5, &leaves.leaf("object").labelled("tmp=yes")).await {
        team.goes_in_time(&object, 1).await;
    }
    let counts = |policy: &serde_json::Value| {
        ["matched", "pending", "unresolvable", "deleted"].map(|count| policy["status"][count].as_i64())
    };
    let nothing = [Some(0), Some(0), Some(0), Some(5)];
    team.policy_is(&sweep, "nothing is left", |policy| counts(policy) == nothing).await;
    let name = format!(r#"policy_namespace="{}",policy_name="sweep""#, team.namespace);
    for state in ["matched", "pending"] {
        let found =
            operator.metric("groundskeeper_gc_objects", &[&name, &format!(r#"state="{state}""#)]).await;
        assert_eq!(found, Some(0.0), "{state}");
    }
    let deleted = operator.metric("groundskeeper_gc_deletions_total", &[&name, r#"outcome="deleted""#]).await;
    assert_eq!(deleted, Some(5.0));

    // No write of ours is followed by another one.
    let writes = || {
        let requests = audit::requests(team.cluster, &team.namespace);
        let is_write = |request: &&audit::Request| request.name == "sweep" && request.verb == "patch";
        requests.iter().filter(is_write).count()
    };
    team.told(&sweep, "Deleted", "object-").await;
    let settled = team.create(leaves.leaf("settled")).await;
    team.wait_past(settled.due(1)).await;
    let last = team.look_at(&sweep).await.unwrap();
    let before = writes();
    assert!(before <= 12, "{before} writes for five objects");
    let other = team.create(leaves.leaf("other")).await;
    team.wait_past(other.due(4)).await;
    let after = team.look_at(&sweep).await.unwrap();
    assert_eq!(last["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"], "{last}\n{after}");
    assert_eq!(writes(), before);
}

#[tokio::test]
async fn an_object_that_is_going_is_not_deleted_again() {
    let team = team("going").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let held = team.create(config_map("held").labelled("tmp=yes").held_by("example.com/hold")).await;
    team.policy_is(&sweep, "it is counted", |policy| policy["status"]["deleted"] == 1).await;
    // Also not by a policy that is new, or is changed, or whose watch begins anew.
    team.create(policy("second").labelled("tmp=yes").after(1)).await;
    team.edit(
        &sweep,
        json!({"spec": {"conditions": {"hasAnnotations": [{"key": "a", "operator": "DoesNotExist"}]}}}),
    )
    .await;
    team.wait_past(held.due(3)).await;
    let asked: Vec<_> = team.deletions().into_iter().filter(|asked| asked.name == "held").collect();
    assert_eq!(asked.len(), 1, "{asked:#?}");
    let found = team.look_at(&sweep).await.unwrap();
    assert_eq!((&found["status"]["deleted"], &found["status"]["pending"]), (&json!(1), &json!(0)), "{found}");
}
