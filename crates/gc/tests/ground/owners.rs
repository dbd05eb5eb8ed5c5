//! Objects whose owners are gone.

use gc::Bucket;
use serde_json::{Value, json};

use crate::support::{Field, policy, second, thing};

fn orphans() -> std::sync::Arc<gc::Policy> {
    policy("orphans", json!({"ttl": {"after": "60s"}, "targetResource": {"owner": {"is": "Gone"}}}))
}

fn owned(owners: &[&str], version: u64) -> Value {
    let owner = |name: &&str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": name});
    let owners: Vec<_> = owners.iter().map(owner).collect();
    thing("a", 0, json!({"metadata": {"ownerReferences": owners, "resourceVersion": version.to_string()}}))
}

#[test]
fn nothing_goes_before_somebody_has_looked_for_its_owners() {
    let orphans = orphans();
    let mut field = Field::with([&orphans]);
    field.put(&owned(&["x"], 1));
    assert_eq!(field.at(100).take(&orphans), []);
    assert_eq!(field.count(&orphans, Bucket::OwnerUnknown), 1);

    let questions = field.ground.take_owner_questions(9);
    assert_eq!((questions.len(), &*questions[0].owners[0].name), (1, "x"));
    assert_eq!(field.ground.take_owner_questions(9), [], "it has been asked");
    field.ground.owners_seen(&questions[0], Some(true), second(100));
    assert_eq!(field.take(&orphans).len(), 1);
}

#[test]
fn an_owner_that_exists_is_looked_for_again_in_a_while() {
    let orphans = orphans();
    let mut field = Field::with([&orphans]);
    field.put(&owned(&["x"], 1));
    let question = field.ground.take_owner_questions(9).remove(0);
    field.ground.owners_seen(&question, Some(false), second(0));
    assert_eq!(field.count(&orphans, Bucket::OwnerExists), 1);
    assert_eq!(field.ground.next_recheck(&orphans.key), Some(second(60)));
    field.at(60).ground.recheck(&orphans.key, second(60));
    assert_eq!(field.ground.take_owner_questions(9), [question]);
}

#[test]
fn what_could_not_be_told_is_asked_again_and_nothing_goes_meanwhile() {
    let orphans = orphans();
    let mut field = Field::with([&orphans]);
    field.put(&owned(&["x"], 1));
    let question = field.ground.take_owner_questions(9).remove(0);
    field.ground.owners_seen(&question, None, second(0));
    assert_eq!(field.count(&orphans, Bucket::OwnerUnknown), 1);
    field.at(60).ground.recheck(&orphans.key, second(60));
    assert_eq!(field.take(&orphans), []);
    let question = field.ground.take_owner_questions(9).remove(0);
    field.ground.owners_seen(&question, Some(true), second(60));
    assert_eq!(field.take(&orphans).len(), 1);
}

#[test]
fn an_answer_says_nothing_of_an_owner_that_came_after_the_question() {
    let orphans = orphans();
    let mut field = Field::with([&orphans]);
    field.put(&owned(&["x"], 1));
    let question = field.ground.take_owner_questions(9).remove(0);
    field.put(&owned(&["x", "y"], 2));
    field.ground.owners_seen(&question, Some(true), second(100));
    assert_eq!(field.at(100).take(&orphans), []);

    let question = field.ground.take_owner_questions(9).remove(0);
    assert_eq!(question.owners.len(), 2);
    let mut anew = owned(&["x", "y"], 3);
    anew["metadata"]["uid"] = json!("a-2");
    field.put(&anew);
    field.ground.owners_seen(&question, Some(true), second(100));
    assert_eq!(field.take(&orphans), [], "it is another object");
}

#[test]
fn a_keeper_of_orphans_keeps_until_it_is_known_whether_they_are() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
    let keep = policy("keep", json!({"action": "Keep", "targetResource": {"owner": {"is": "Gone"}}}));
    for (are_gone, kept) in [(Some(true), true), (Some(false), false), (None, true)] {
        let mut field = Field::with([&sweep, &keep]);
        field.put(&owned(&["x"], 1));
        assert_eq!(field.at(100).take(&sweep), []);
        let question = field.ground.take_owner_questions(9).remove(0);
        field.ground.owners_seen(&question, are_gone, second(100));
        assert_eq!(field.take(&sweep).is_empty(), kept, "{are_gone:?}");
    }
}

#[test]
fn everybody_is_asked_about_before_anybody_is_asked_about_again() {
    let orphans = orphans();
    let mut field = Field::with([&orphans]);
    for name in ["a", "b", "c"] {
        field.put(&{
            let mut object = owned(&["x"], 1);
            crate::support::merge(&mut object, json!({"metadata": {"name": name, "uid": name}}));
            object
        });
    }
    let mut asked = Vec::new();
    for minute in 0..6 {
        // The owner is there, so that it is looked for again in a minute; by then nobody else has been asked about.
        field.at(60 * minute).ground.recheck(&orphans.key, second(60 * minute));
        let question = field.ground.take_owner_questions(1).remove(0);
        asked.push(question.name.to_string());
        field.ground.owners_seen(&question, Some(false), second(60 * minute));
    }
    assert_eq!(asked, ["a", "b", "c", "a", "b", "c"]);
}

#[test]
fn a_policy_that_asks_for_orphans_from_now_on_may_be_about_all_whose_owners_nobody_has_looked_for() {
    let before = policy("orphans", json!({"ttl": {"after": "60s"}, "targetResource": {"names": ["b*"]}}));
    let (before, orphans) = (before.rules().collect::<Vec<_>>(), orphans());
    let mut field = Field::with([]);
    field.admit(&orphans);
    field.put(&owned(&["x"], 1));
    let admit = |field: &mut Field, before: &[gc::Rule]| {
        field.ground.dismiss(&orphans.key, second(0));
        let rule = orphans.rules().next().unwrap();
        field.ground.admit_after(rule, Some(before.into()), second(0));
    };
    let newly = |field: &Field| {
        let newly = field.ground.newly_selected(&orphans.key).unwrap();
        (newly.known, newly.if_owners_are_gone)
    };
    admit(&mut field, &before);
    assert_eq!(newly(&field), (0, 1));
    assert_eq!(field.ground.newly_matched(&orphans.key, &before, second(0)), 1);
    let question = field.ground.take_owner_questions(9).remove(0);
    field.ground.owners_seen(&question, None, second(0));
    assert_eq!(newly(&field), (0, 1), "what could not be told is not known either");
    field.ground.owners_seen(&question, Some(true), second(0));
    assert_eq!(newly(&field), (1, 0));
    field.ground.owners_seen(&question, Some(false), second(0));
    assert_eq!(newly(&field), (0, 0));

    field.put(&owned(&["y"], 2));
    admit(&mut field, &orphans.rules().collect::<Vec<_>>());
    assert_eq!(newly(&field), (0, 0), "it asked for them before");
}
