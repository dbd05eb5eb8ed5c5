//! Which objects go, and when.

use serde_json::json;

use crate::support::drafts::{config_map, policy};
use crate::support::{eventually, holds};
use crate::team;

#[tokio::test]
async fn due_objects_go_in_their_time_and_nothing_else_is_touched() {
    let team = team("due").await;
    team.create(policy("sweep").labelled("tmp=yes").after(2)).await;
    let kept = [
        team.create(config_map("unlabelled")).await,
        team.create(config_map("otherwise").labelled("tmp=no")).await,
        team.create(config_map("protected").labelled("tmp=yes").annotated("groundskeeper.dev/protect=true"))
            .await,
    ];
    let due = team.create_many(5, &config_map("due").labelled("tmp=yes")).await;

    for object in &due {
        team.goes_in_time(object, 2).await;
    }
    team.wait_past(due[4].due(2)).await;
    for object in &kept {
        team.assert_untouched(object).await;
    }
    assert_eq!(team.deletions().len(), due.len() + 1, "one request for each, and one for the witness");
    team.assert_gentle("configmaps");
}

#[tokio::test]
async fn what_is_older_than_the_policy_goes_at_once() {
    let team = team("old").await;
    let old = team.create(config_map("old")).await;
    team.wait_until(old.due(2)).await;
    // Without a selector all objects of the kind are meant, those that the cluster makes by itself too.
    let sweep = team.create(policy("sweep").after(1)).await;
    team.goes_in_time(&old, 1).await;
    team.delete(&sweep).await;
}

#[tokio::test]
async fn an_object_that_is_being_deleted_is_left_alone() {
    let team = team("terminating").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(2)).await;
    let ending = team.create(config_map("ending").labelled("tmp=yes").held_by("example.com/hold")).await;
    team.delete(&ending).await;

    team.wait_past(ending.due(2)).await;
    assert!(team.look_at(&ending).await.is_some());
    assert!(team.deletions().iter().all(|deletion| deletion.name != "ending"), "{:#?}", team.deletions());
    team.policy_is(&sweep, "it is matched, and not pending", |policy| {
        policy["status"]["matched"] == 1
            && policy["status"]["pending"] == 0
            && policy["status"]["deleted"] == 0
    })
    .await;
}

#[tokio::test]
async fn an_object_that_a_finalizer_holds_is_deleted_once() {
    let team = team("held").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let held = team.create(config_map("held").labelled("tmp=yes").held_by("example.com/hold")).await;
    eventually(team.cluster, "its deletion is asked for", async || {
        let found = team.look_at(&held).await.unwrap();
        holds(found["metadata"]["deletionTimestamp"].is_string(), found)
    })
    .await;

    team.wait_past(held.due(3)).await;
    let asked: Vec<_> = team.deletions().into_iter().filter(|deletion| deletion.name == "held").collect();
    assert_eq!(asked.len(), 1, "{asked:#?}");
    assert!(asked[0].at >= held.due(1));
    team.policy_is(&sweep, "it is counted once", |policy| policy["status"]["deleted"] == 1).await;
}

/// The labels are removed just before, at, and just after the due time. The answer to whoever removes one says what
/// must hold.
#[tokio::test]
async fn whoever_removes_the_label_in_time_keeps_the_object() {
    let team = team("relabel").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(3).at_rate(50)).await;
    team.collecting(&sweep).await;
    let objects = team.create_many(40, &config_map("object").labelled("tmp=yes")).await;
    team.wait_until(objects[0].due(3) - jiff::SignedDuration::from_millis(30)).await;

    let (mut saved, mut lost) = (Vec::new(), Vec::new());
    for object in objects.iter().rev() {
        match team.try_edit(object, json!({"metadata": {"labels": {"tmp": null}}})).await {
            Ok(relabelled) => saved.push(relabelled),
            Err(kube::Error::Api(status)) if status.code == 404 => lost.push(object),
            Err(error) => panic!("{error}"),
        }
    }
    for object in lost {
        team.goes_in_time(object, 3).await;
    }
    team.wait_past(objects[39].due(5)).await;
    for object in &saved {
        team.assert_untouched(object).await;
    }
}

#[tokio::test]
async fn a_label_that_is_added_late_makes_an_old_object_go() {
    let team = team("late-label").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let object = team.create(config_map("object")).await;
    team.wait_past(object.due(1)).await;
    team.assert_untouched(&object).await;

    team.edit(&object, json!({"metadata": {"labels": {"tmp": "yes"}}})).await;
    team.goes_in_time(&object, 1).await;
    team.policy_is(&sweep, "it is counted", |policy| policy["status"]["deleted"] == 1).await;
}

#[tokio::test]
async fn a_protection_that_is_lifted_lets_an_old_object_go() {
    let team = team("unprotect").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1)).await;
    let object = team
        .create(config_map("object").labelled("tmp=yes").annotated("groundskeeper.dev/protect=true"))
        .await;
    team.policy_is(&sweep, "it is protected", |policy| policy["status"]["protected"] == 1).await;
    team.wait_past(object.due(1)).await;
    team.assert_untouched(&object).await;

    team.edit(&object, json!({"metadata": {"annotations": {"groundskeeper.dev/protect": null}}})).await;
    team.goes_in_time(&object, 1).await;
}

/// Deleted and created anew around the due time, again and again: each incarnation of the name lives its own time.
#[tokio::test]
async fn an_object_that_is_created_anew_lives_its_own_time() {
    let team = team("anew").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(3).at_rate(50)).await;
    team.collecting(&sweep).await;
    let first = team.create_many(20, &config_map("object").labelled("tmp=yes")).await;
    team.wait_until(first[0].due(3) - jiff::SignedDuration::from_millis(30)).await;

    let mut second = Vec::new();
    for object in first.iter().rev() {
        team.delete(object).await;
        second.push(team.create(config_map(&object.name).labelled("tmp=yes")).await);
    }
    for object in &second {
        team.goes_in_time(object, 3).await;
    }
    let known: Vec<_> = first.iter().chain(&second).map(|object| object.uid.as_str()).collect();
    for deletion in team.deletions() {
        assert!(known.contains(&deletion.uid()), "{deletion:?}");
        let object = first.iter().chain(&second).find(|object| object.uid == deletion.uid()).unwrap();
        assert!(deletion.at >= object.due(3), "{deletion:?}");
    }
}

#[tokio::test]
async fn a_policy_keeps_to_its_rate() {
    let team = team("rate").await;
    let sweep = team.create(policy("sweep").labelled("tmp=yes").after(1).at_rate(5).paused()).await;
    let objects = team.create_many(20, &config_map("object").labelled("tmp=yes")).await;
    team.wait_until(objects[19].due(1)).await;
    team.edit(&sweep, json!({"spec": {"paused": false}})).await;

    let mut times = Vec::new();
    for object in &objects {
        times.push(team.goes_in_time(object, 1).await.at);
    }
    times.sort();
    // Twenty at five a second with a burst of one take 3.8 s; a request may have been 0.2 s on its way.
    let took = times[19].duration_since(times[0]);
    assert!(took >= jiff::SignedDuration::from_millis(3_600), "{took}");
}

#[tokio::test]
async fn an_object_under_two_policies_is_deleted_once_when_the_first_says_so() {
    let team = team("overlap").await;
    let early = team.create(policy("early").labelled("tmp=yes").after(2)).await;
    let late = team.create(policy("late").labelled("tmp=yes").after(3)).await;
    let same = team.create(policy("same").labelled("tmp=yes").after(2)).await;
    let objects = team.create_many(5, &config_map("object").labelled("tmp=yes")).await;
    for object in &objects {
        team.goes_in_time(object, 2).await;
    }
    team.wait_past(objects[4].due(4)).await;

    let asked = team.deletions().into_iter().filter(|deletion| deletion.name.starts_with("object")).count();
    assert_eq!(asked, objects.len(), "{:#?}", team.deletions());
    let deleted = async |made| {
        let found = team.look_at(made).await.unwrap();
        found["status"]["deleted"].as_i64().unwrap()
    };
    eventually(team.cluster, "the deletions are counted for one policy each", async || {
        let counts = (deleted(&early).await + deleted(&same).await, deleted(&late).await);
        holds(counts.0 == 5 && counts.1 <= 1, format!("{counts:?}"))
    })
    .await;
}

#[tokio::test]
async fn match_expressions_select_as_the_api_server_does() {
    let team = team("expressions").await;
    let expressions = json!([
        {"key": "tier", "operator": "NotIn", "values": ["gold", "silver"]},
        {"key": "tmp", "operator": "Exists"},
        {"key": "keep", "operator": "DoesNotExist"},
        {"key": "env", "operator": "In", "values": ["dev", "test"]},
    ]);
    let label_sets: [&[&str]; 6] = [
        &["tmp=1", "env=dev"],
        &["tmp=", "env=test", "tier=bronze"],
        &["tmp=1", "env=dev", "tier=gold"],
        &["env=dev"],
        &["tmp=1", "env=dev", "keep="],
        &["tmp=1", "env=prod"],
    ];
    let mut objects = Vec::new();
    for (number, labels) in label_sets.iter().enumerate() {
        let draft = config_map(&format!("object-{number}"));
        objects.push(team.create(labels.iter().fold(draft, |draft, label| draft.labelled(label))).await);
    }
    let selector = "tier notin (gold,silver),tmp,!keep,env in (dev,test)";
    assert_eq!(team.count("v1", "ConfigMap", selector).await, 2, "the server selects the first two");

    team.create(policy("sweep").requiring(expressions).after(2)).await;
    team.goes_in_time(&objects[0], 2).await;
    team.goes_in_time(&objects[1], 2).await;
    team.wait_past(objects[5].due(2)).await;
    for object in &objects[2..] {
        team.assert_untouched(object).await;
    }
}

#[tokio::test]
async fn what_a_deleted_object_owns_stays_or_goes_as_the_policy_says() {
    let team = team("owned").await;
    let mut owned = Vec::new();
    for propagation in ["Orphan", "Background", "Foreground"] {
        let label = format!("tmp={propagation}");
        let name = propagation.to_lowercase();
        team.create(
            policy(&name)
                .labelled(&label)
                .after(2)
                .propagating(propagation)
                .with("/spec/behavior/gracePeriodSeconds", 0),
        )
        .await;
        let owner = team.create(config_map(&format!("owner-{name}")).labelled(&label)).await;
        let reference =
            json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": owner.name, "uid": owner.uid}]);
        let draft = config_map(&format!("owned-{name}")).with("/metadata/ownerReferences", reference);
        owned.push((team.create(draft).await, owner));
    }
    for (object, owner) in &owned[1..] {
        team.gone(object).await;
        team.goes_in_time(owner, 2).await;
    }
    let (orphan, owner) = &owned[0];
    let deletion = team.goes_in_time(owner, 2).await;
    assert_eq!(deletion.body["propagationPolicy"], "Orphan");
    assert_eq!(deletion.body["gracePeriodSeconds"], 0);
    eventually(team.cluster, "the orphan is nobody's", async || {
        let found = team.look_at(orphan).await.ok_or("the orphan is gone")?;
        holds(found["metadata"]["ownerReferences"].is_null(), found)
    })
    .await;
}
