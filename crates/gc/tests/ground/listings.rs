//! What listings show, lack, and are believed.

use gc::{Scope, Settled};
use serde_json::json;

use crate::support::{Field, cluster, policy, read, second, thing};

fn list(field: &mut Field, scope: &Scope, names: &[&str]) {
    field.ground.begin_listing(scope, None);
    names.iter().for_each(|name| show(field, scope, name));
}

fn show(field: &mut Field, scope: &Scope, name: &str) {
    let (namespace, short) = name.split_once('/').unwrap_or(("team", name));
    let thing = thing(short, 0, json!({"metadata": {"namespace": namespace, "uid": name}}));
    field.ground.apply(scope, read(&thing, []), second(0));
}

fn finish(field: &mut Field, scope: &Scope) {
    field.ground.finish_listing(scope, second(0));
}

#[test]
fn what_a_listing_does_not_show_any_more_is_gone() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
    let mut field = Field::with([&sweep]);
    list(&mut field, &Scope::CLUSTER, &["a", "b"]);
    finish(&mut field, &Scope::CLUSTER);
    list(&mut field, &Scope::CLUSTER, &["b"]);
    finish(&mut field, &Scope::CLUSTER);
    assert_eq!(field.at(60).collect(&sweep), ["b"]);
}

#[test]
fn what_a_doubted_listing_does_not_show_stays_until_one_is_believed() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
    let mut field = Field::with([&sweep]);
    let all = Scope::CLUSTER;
    list(&mut field, &all, &["a", "b", "c"]);
    finish(&mut field, &all);

    list(&mut field, &all, &["c"]);
    let ground = &field.ground;
    assert_eq!((ground.known(&all), ground.unlisted(&all), ground.unlisted_again(&all)), (3, 2, 0));
    field.ground.doubt_listing(&all);
    assert_eq!(field.counts(&sweep).matched(), 3);

    // The second listing breaks off after what the first had lacked; the third lacks what the first had shown.
    list(&mut field, &all, &["a"]);
    list(&mut field, &all, &["a"]);
    assert_eq!((field.ground.unlisted(&all), field.ground.unlisted_again(&all)), (2, 1));
    finish(&mut field, &all);
    assert_eq!((field.ground.unlisted_again(&all), field.counts(&sweep).matched()), (0, 1));
    assert_eq!(field.at(60).collect(&sweep), ["a"]);
}

#[test]
fn a_listing_of_one_namespace_says_nothing_of_another() {
    let all = cluster("all", json!({"ttl": {"after": "60s"}}));
    let mut field = Field::with([&all]);
    let (a, b) = (Scope::namespace("a"), Scope::namespace("b"));
    list(&mut field, &a, &["a/x", "a/y"]);
    list(&mut field, &b, &["b/x"]);
    finish(&mut field, &a);
    finish(&mut field, &b);
    list(&mut field, &a, &["a/y"]);
    finish(&mut field, &a);
    assert_eq!((field.ground.known(&a), field.ground.unlisted(&b), field.ground.len()), (2, 0, 2));
}

#[test]
fn watches_of_namespaces_give_way_to_one_of_the_cluster_and_come_back() {
    let own = policy("own", json!({"ttl": {"after": "60s"}}));
    let mut field = Field::with([&own]);
    let team = Scope::namespace("team");
    list(&mut field, &team, &["x", "y"]);
    finish(&mut field, &team);

    let all = cluster("all", json!({"ttl": {"after": "1h"}}));
    field.admit(&all);
    field.ground.abandon(&team, |_| true, second(0));
    assert_eq!(field.ground.len(), 2, "the watch of the cluster will show them");
    list(&mut field, &Scope::CLUSTER, &["y", "other/z"]);
    finish(&mut field, &Scope::CLUSTER);
    assert_eq!((field.ground.len(), field.counts(&own).matched(), field.counts(&all).matched()), (2, 1, 2));

    field.ground.dismiss(&all.key, second(0));
    field.ground.abandon(&Scope::CLUSTER, |namespace| namespace == "team", second(0));
    assert_eq!(field.ground.len(), 1);
    list(&mut field, &team, &["y", "w"]);
    finish(&mut field, &team);
    let mut gone = field.at(60).collect(&own);
    gone.sort();
    assert_eq!(gone, ["w", "y"]);
}

#[test]
fn what_a_listing_shows_and_the_watch_had_not_is_counted() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
    let mut field = Field::with([&sweep]);
    list(&mut field, &Scope::CLUSTER, &["a"]);
    finish(&mut field, &Scope::CLUSTER);
    field.ground.begin_listing(&Scope::CLUSTER, Some("5".into()));
    ["a", "b"].into_iter().for_each(|name| show(&mut field, &Scope::CLUSTER, name));
    assert_eq!(field.ground.finish_listing(&Scope::CLUSTER, second(0)), 1);
}

#[test]
fn an_answer_that_comes_after_everything_was_forgotten_changes_nothing() {
    let sweep = policy("sweep", json!({"ttl": {"after": "60s"}}));
    let mut field = Field::with([&sweep]);
    list(&mut field, &Scope::CLUSTER, &["a", "b"]);
    finish(&mut field, &Scope::CLUSTER);
    let taken = field.at(60).take(&sweep);
    list(&mut field, &Scope::CLUSTER, &[]);
    finish(&mut field, &Scope::CLUSTER);
    list(&mut field, &Scope::CLUSTER, &["c"]);
    finish(&mut field, &Scope::CLUSTER);
    taken.iter().for_each(|due| field.ground.settle(due, Settled::Done, second(60)));
    assert_eq!(field.collect(&sweep), ["c"]);
}
