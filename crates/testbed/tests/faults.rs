//! Each fault does what it says, on a real API server, with kube's own client as the process under test.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests look at the clock, and remove as users do")]

use std::collections::BTreeSet;
use std::pin::Pin;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, StreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, PostParams, Preconditions};
use serde_json::{Value, json};
use testbed::faults::{Calls, EventType, Events, Fault, FaultProxy, Faults, Gate, Refusal, Verb};
use testbed::{Options, Shared};
use tokio::time::timeout;

mod support;
use support::eventually;

static CLUSTER: Shared = Shared::new(Options::api_server_only);

const SOON: Duration = Duration::from_secs(20);
/// How long a silence is listened to. What is not there by then was kept back: without a fault it takes milliseconds.
const SILENCE: Duration = Duration::from_millis(300);
/// A delay in which anything else gets done, also on a machine that is busy.
const LATE: Duration = Duration::from_secs(3);

// Requests and replies.

#[tokio::test]
async fn a_delayed_request_is_not_performed_before_its_time() {
    let ground = Ground::new().await;
    ground.proxy.on(Calls::to(Verb::Create), Fault::delay(LATE));
    let (maps, begun) = (ground.robots(), Instant::now());
    let creating = tokio::spawn(async move { maps.create(&PostParams::default(), &map("a")).await });

    tokio::time::sleep(SILENCE).await;

    assert!(!ground.exists("a").await, "after {:?}", begun.elapsed());
    creating.await.unwrap().unwrap();
    assert!(begun.elapsed() >= LATE);
    assert!(ground.exists("a").await);
}

#[tokio::test]
async fn a_delayed_reply_comes_after_the_write_has_been_performed() {
    let ground = Ground::new().await;
    ground.proxy.on(Calls::to(Verb::Create), Fault::delay_reply(LATE));
    let (maps, begun) = (ground.robots(), Instant::now());
    let creating = tokio::spawn(async move { maps.create(&PostParams::default(), &map("a")).await });

    eventually(LATE, "it exists", async || ground.exists("a").await).await;

    assert!(!creating.is_finished());
    creating.await.unwrap().unwrap();
    assert!(begun.elapsed() >= LATE);
}

#[tokio::test]
async fn a_refusal_is_a_proper_status_and_the_server_sees_nothing() {
    let ground = Ground::new().await;
    let rows = [
        (Refusal::too_many_requests(Duration::from_secs(7)), 429, "TooManyRequests"),
        (Refusal::conflict(), 409, "Conflict"),
        (Refusal::already_exists(), 409, "AlreadyExists"),
        (Refusal::internal_error(), 500, "InternalError"),
        (Refusal::unavailable(), 503, "ServiceUnavailable"),
        (Refusal::timeout(), 504, "Timeout"),
        (Refusal::expired(), 410, "Expired"),
        (Refusal::forbidden(), 403, "Forbidden"),
        (Refusal::not_found(), 404, "NotFound"),
        (Refusal::new(418, "Teapot").saying("short and stout"), 418, "Teapot"),
    ];
    for (refusal, code, reason) in rows {
        let rule = ground.proxy.on(Calls::to(Verb::Create), Fault::refuse(refusal));
        let status = refused(ground.robots().create(&PostParams::default(), &map("a")).await);
        rule.lift();
        assert_eq!((status.code, status.reason.as_str()), (code, reason));
        assert_eq!((rule.matched(), rule.acted()), (1, 1));
    }
    assert!(!ground.exists("a").await);
    assert_eq!(ground.proxy.trace().writes(), []);
}

#[tokio::test]
async fn a_refusal_for_too_many_requests_says_when_to_come_back() {
    let ground = Ground::new().await;
    ground.proxy.on(Calls::any(), Fault::refuse(Refusal::too_many_requests(Duration::from_secs(7))));
    let request = http::Request::get(ground.path("")).body(kube::client::Body::empty()).unwrap();

    let response = ground.proxy.identity().client().unwrap().send(request).await.unwrap();

    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
}

#[tokio::test]
async fn a_replaced_reply_hides_a_write_that_was_performed() {
    let ground = Ground::new().await;
    ground.proxy.on(Calls::to(Verb::Create), Fault::replace_reply(Refusal::timeout()));

    let status = refused(ground.robots().create(&PostParams::default(), &map("a")).await);

    assert_eq!(status.code, 504);
    assert!(ground.exists("a").await);
    let trace = ground.proxy.trace();
    assert_eq!((trace.writes()[0].code, trace.writes()[0].delivered), (Some(201), false));
}

#[tokio::test]
async fn a_cut_before_the_server_leaves_nothing_behind() {
    let ground = Ground::new().await;
    ground.proxy.on(Calls::to(Verb::Create).named("a"), Fault::cut_before());

    let lost = ground.robots().create(&PostParams::default(), &map("a")).await.unwrap_err();

    assert!(!matches!(lost, kube::Error::Api(_)), "{lost:?}");
    assert!(!ground.exists("a").await);
    ground.robots().create(&PostParams::default(), &map("b")).await.unwrap();
}

#[tokio::test]
async fn a_cut_after_the_server_loses_the_reply_of_a_write_that_was_performed() {
    let ground = Ground::new().await;
    ground.proxy.on(Calls::to(Verb::Create).named("a"), Fault::cut_after());

    let lost = ground.robots().create(&PostParams::default(), &map("a")).await.unwrap_err();

    assert!(!matches!(lost, kube::Error::Api(_)), "{lost:?}");
    assert!(ground.exists("a").await);
    let trace = ground.proxy.trace();
    assert_eq!((trace.writes()[0].code, trace.writes()[0].delivered), (Some(201), false));
}

#[tokio::test]
async fn a_request_held_before_the_server_waits_for_the_test() {
    let ground = Ground::new().await;
    let gate = Gate::new();
    ground.proxy.on(Calls::writes().resource("configmaps"), Fault::hold_before(&gate));
    for (name, passes) in [("released", true), ("cut", false)] {
        let maps = ground.robots();
        let creating = tokio::spawn(async move { maps.create(&PostParams::default(), &map(name)).await });

        let held = timeout(SOON, gate.arrived()).await.unwrap();

        assert_eq!(
            (held.call().verb(), held.call().resource(), held.call().name()),
            (Verb::Create, "configmaps", name)
        );
        assert_eq!(gate.waiting(), 1);
        assert!(!ground.exists(name).await);
        if passes {
            held.release();
        } else {
            held.cut();
        }
        assert_eq!(creating.await.unwrap().is_ok(), passes);
        assert_eq!(ground.exists(name).await, passes);
    }
}

#[tokio::test]
async fn a_process_can_be_killed_between_a_write_and_its_reply() {
    let ground = Ground::new().await;
    let gate = Gate::new();
    ground.proxy.on(Calls::writes().nth(2), Fault::hold_after(&gate));
    let cluster = CLUSTER.get().await.unwrap();
    let script = format!(
        "for name in a b c; do {} --kubeconfig {} --namespace {} create configmap $name; done",
        cluster.kubectl().display(),
        ground.proxy.kubeconfig().display(),
        ground.namespace,
    );
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script]);
    let process = cluster.spawn(command, &ground.namespace).unwrap();

    let held = timeout(SOON, gate.arrived()).await.unwrap();
    process.kill().unwrap();
    held.cut();

    assert!(ground.exists("a").await && ground.exists("b").await && !ground.exists("c").await);
    let writes = ground.proxy.trace().writes().to_vec();
    let seen: Vec<_> =
        writes.iter().map(|write| (write.name.as_str(), write.code, write.delivered)).collect();
    assert_eq!(seen, [("a", Some(201), true), ("b", Some(201), false)]);
}

#[tokio::test]
async fn a_request_whose_client_is_gone_is_never_passed_on_from_a_gate_before_the_server() {
    let ground = Ground::new().await;
    let gate = Gate::new();
    ground.proxy.on(Calls::to(Verb::Create), Fault::hold_before(&gate));
    let maps = ground.robots();
    let creating = tokio::spawn(async move { maps.create(&PostParams::default(), &map("a")).await });
    let held = timeout(SOON, gate.arrived()).await.unwrap();

    creating.abort();

    eventually(SOON, "nobody stands at the gate", async || gate.waiting() == 0).await;
    held.release();
    assert!(!ground.exists("a").await);
    assert_eq!(ground.proxy.trace().writes(), []);
}

#[tokio::test]
async fn a_write_is_performed_and_traced_although_its_client_is_gone() {
    let ground = Ground::new().await;
    let gate = Gate::new();
    ground.proxy.on(Calls::to(Verb::Create), Fault::hold_after(&gate));
    let maps = ground.robots();
    let creating = tokio::spawn(async move { maps.create(&PostParams::default(), &map("a")).await });
    let held = timeout(SOON, gate.arrived()).await.unwrap();

    creating.abort();

    eventually(SOON, "nobody stands at the gate", async || gate.waiting() == 0).await;
    drop(held);
    assert!(ground.exists("a").await);
    assert_eq!(ground.proxy.trace().writes()[0].code, Some(201));
}

// Which requests.

#[tokio::test]
async fn a_count_chooses_among_the_matches_of_its_rule() {
    let ground = Ground::new().await;
    let creates = || Calls::of("configmaps").verb(Verb::Create);
    let rows = [
        (creates(), [true; 4]),
        (creates().nth(3), [false, false, true, false]),
        (creates().times(2), [true, true, false, false]),
        (creates().from_nth(3), [false, false, true, true]),
    ];
    for (row, (calls, refused)) in rows.into_iter().enumerate() {
        let rule = ground.proxy.on(calls, Fault::refuse(Refusal::conflict()));
        for (n, refused) in refused.into_iter().enumerate() {
            let created = ground.robots().create(&PostParams::default(), &map(&format!("m-{row}-{n}"))).await;
            assert_eq!(created.is_err(), refused, "row {row}, create {n}");
        }
        assert_eq!(rule.matched(), 4);
        rule.lift();
    }
}

#[tokio::test]
async fn every_condition_of_a_rule_has_to_hold() {
    let ground = Ground::new().await;
    let maps = ground.robots();
    let rows = [
        (Calls::of("configmaps"), true),
        (Calls::of("configmaps").in_group(""), true),
        (Calls::of("configmaps").in_group("apps"), false),
        (Calls::of("configmaps/*"), false),
        (Calls::any().except("configmaps"), false),
        (Calls::writes().in_namespace(&ground.namespace), true),
        (Calls::writes().in_namespace("elsewhere"), false),
        (Calls::any().verbs([Verb::Delete, Verb::Create]).named("a"), true),
        (Calls::any().verbs([Verb::Delete, Verb::Patch]).named("a"), false),
        (Calls::any().named("b"), false),
        (Calls::any().that(|call| call.body()["data"]["x"] == "y"), true),
        (Calls::any().that(|call| call.path().ends_with("/secrets")), false),
        (Calls::lists("configmaps"), false),
    ];
    for (calls, matches) in rows {
        let words = format!("{calls:?}");
        let rule = ground.proxy.on(calls, Fault::refuse(Refusal::conflict()));
        let mut wanted = map("a");
        wanted.data = Some([("x".to_owned(), "y".to_owned())].into());
        let created = maps.create(&PostParams { dry_run: false, ..PostParams::default() }, &wanted).await;
        rule.lift();
        assert_eq!(created.is_err(), matches, "{words}");
        if created.is_ok() {
            maps.delete("a", &DeleteParams::default()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_faults_of_several_rules_act_in_the_order_of_the_rules() {
    let ground = Ground::new().await;
    let gate = Gate::new();
    ground.proxy.on(Calls::to(Verb::Create), Fault::hold_before(&gate));
    ground.proxy.on(Calls::to(Verb::Create), Fault::refuse(Refusal::conflict()));
    let never = ground.proxy.on(Calls::to(Verb::Create), Fault::cut_before());
    let maps = ground.robots();
    let creating = tokio::spawn(async move { maps.create(&PostParams::default(), &map("a")).await });

    timeout(SOON, gate.arrived()).await.unwrap().release();

    assert_eq!(refused(creating.await.unwrap()).code, 409);
    assert_eq!((never.matched(), never.acted()), (1, 0));
    ground.proxy.lift_all();
    ground.robots().create(&PostParams::default(), &map("a")).await.unwrap();
}

// Watches.

#[tokio::test]
async fn a_frozen_watch_is_open_and_silent_until_the_rule_is_lifted() {
    let ground = Ground::new().await;
    let mut watch = ground.watch("").await;
    ground.create("before").await;
    assert_eq!(watch.next().await, added("before"));

    let freeze = ground.proxy.on(Calls::watches("configmaps"), Fault::freeze_watch());
    ground.create("meanwhile").await;

    watch.is_silent().await;
    freeze.lift();
    assert_eq!(watch.next().await, added("meanwhile"));
}

#[tokio::test]
async fn a_freeze_of_open_watches_spares_those_that_take_their_place() {
    let ground = Ground::new().await;
    let mut old = ground.watch("").await;
    ground.proxy.on(Calls::watches("configmaps").already_open(), Fault::freeze_watch());
    let mut new = ground.watch("").await;

    ground.create("a").await;

    assert_eq!(new.next().await, added("a"));
    old.is_silent().await;
}

#[tokio::test]
async fn a_watch_freezes_after_the_event_that_the_rule_names() {
    let ground = Ground::new().await;
    let mut watch = ground.watch("").await;
    let second = Events::of(EventType::Added).nth(2);
    let freeze = ground.proxy.on(Calls::watches("configmaps"), Fault::freeze_watch_after(second));

    for name in ["a", "b", "c"] {
        ground.create(name).await;
    }

    assert_eq!([watch.next().await, watch.next().await], [added("a"), added("b")]);
    watch.is_silent().await;
    assert_eq!(freeze.acted(), 1);
    freeze.lift();
    assert_eq!(watch.next().await, added("c"));
}

#[tokio::test]
async fn a_watch_can_be_closed_now_or_after_an_event() {
    let ground = Ground::new().await;
    let mut now = ground.watch("").await;
    ground.proxy.on(Calls::watches("configmaps").already_open(), Fault::close_watch());
    assert_eq!(now.end().await, "");

    let mut later = ground.watch("").await;
    ground.proxy.on(Calls::watches("configmaps"), Fault::close_watch_after(Events::about("b")));
    for name in ["a", "b", "c"] {
        ground.create(name).await;
    }
    let names: Vec<String> = later.end().await.lines().map(name_of).collect();
    assert_eq!(names, ["a", "b"]);
}

#[tokio::test]
async fn an_expired_watch_is_refused_at_once_or_fails_in_the_stream() {
    let ground = Ground::new().await;
    let at_once = ground.proxy.on(Calls::watches("configmaps"), Fault::refuse(Refusal::expired()));
    let (status, _) = ground.open("").await;
    assert_eq!(status, 410);
    at_once.lift();

    let mut open = ground.watch("").await;
    ground.proxy.on(Calls::watches("configmaps").already_open(), Fault::fail_watch(Refusal::expired()));
    let last: Value = serde_json::from_str(&open.end().await).unwrap();
    assert_eq!((&last["type"], &last["object"]["code"]), (&json!("ERROR"), &json!(410)));

    let fails = Fault::fail_watch_after(Events::any().nth(2), Refusal::expired());
    ground.proxy.on(Calls::watches("configmaps"), fails);
    let mut later = ground.watch("").await;
    ground.create("a").await;
    ground.create("b").await;
    let lines = later.end().await;
    assert_eq!(lines.lines().map(type_of).collect::<Vec<_>>(), ["ADDED", "ADDED", "ERROR"]);
}

#[tokio::test]
async fn dropped_events_are_chosen_by_type_name_and_label() {
    let ground = Ground::new().await;
    let mut watch = ground.watch("").await;
    let dropped = [
        Events::of(EventType::Deleted).named("a"),
        Events::about("b").nth(1),
        Events::any().labelled("tmp", "yes").in_namespace(&ground.namespace),
        Events::any().that(|event| event.object()["data"]["x"] == "y"),
    ];
    for events in dropped {
        ground.proxy.on(Calls::watches("configmaps"), Fault::drop_events(events));
    }

    for name in ["a", "b", "c"] {
        ground.create(name).await;
    }
    ground.apply(json!({ "metadata": { "name": "labelled", "labels": { "tmp": "yes" } } })).await;
    ground.apply(json!({ "metadata": { "name": "filled" }, "data": { "x": "y" } })).await;
    for name in ["a", "b", "c"] {
        ground.remove(name).await;
    }

    let seen = [watch.next().await, watch.next().await, watch.next().await, watch.next().await];
    let gone = |name: &str| ("DELETED".to_owned(), name.to_owned());
    assert_eq!(seen, [added("a"), added("c"), gone("b"), gone("c")]);
}

#[tokio::test]
async fn held_events_come_in_order_when_the_rule_is_lifted_and_others_overtake() {
    let ground = Ground::new().await;
    let mut watch = ground.watch("").await;
    let creation = Events::of(EventType::Added).named("held");
    let hold = ground.proxy.on(Calls::watches("configmaps"), Fault::hold_events(creation));

    ground.create("held").await;
    ground.create("other").await;
    ground.remove("held").await;

    assert_eq!(watch.next().await, added("other"));
    watch.is_silent().await;
    assert_eq!(hold.acted(), 1, "what waits behind a held event is not held by itself");
    hold.lift();
    assert_eq!(watch.next().await, added("held"));
    assert_eq!(watch.next().await, ("DELETED".to_owned(), "held".to_owned()));
}

#[tokio::test]
async fn delayed_events_come_by_themselves() {
    let ground = Ground::new().await;
    let mut watch = ground.watch("").await;
    let late = Fault::delay_events(Events::about("late"), LATE);
    ground.proxy.on(Calls::watches("configmaps"), late);
    let begun = Instant::now();

    ground.create("late").await;
    ground.create("other").await;

    assert_eq!(watch.next().await, added("other"));
    assert_eq!(watch.next().await, added("late"));
    assert!(begun.elapsed() >= LATE);
}

// Lists.

#[tokio::test]
async fn an_emptied_list_has_status_200_and_no_items() {
    let ground = Ground::with_maps(5).await;
    let empty = ground.proxy.on(Calls::lists("configmaps"), Fault::empty_list());

    assert_eq!(ground.names(&ListParams::default().limit(2)).await, (vec![], None));
    assert_eq!(ground.beginning().await, Vec::<String>::new());

    empty.lift();
    assert_eq!(ground.beginning().await.len(), 5);
}

#[tokio::test]
async fn a_truncated_list_lacks_its_last_items() {
    let ground = Ground::with_maps(5).await;
    ground.proxy.on(Calls::lists("configmaps"), Fault::truncate_list(2));

    assert_eq!(ground.names(&ListParams::default()).await.0, ["m-0", "m-1", "m-2"]);
    assert_eq!(ground.beginning().await.len(), 3);
}

#[tokio::test]
async fn an_emptied_last_page_leaves_the_pages_before_it() {
    let ground = Ground::with_maps(5).await;
    ground.proxy.on(Calls::lists("configmaps"), Fault::empty_last_page());

    let (first, token) = ground.names(&ListParams::default().limit(3)).await;
    let (second, end) = ground.names(&ListParams::default().limit(3).continue_token(&token.unwrap())).await;

    assert_eq!((first.len(), second.len(), end), (3, 0, None));
    assert_eq!(ground.names(&ListParams::default()).await.0.len(), 5, "the only page");
}

#[tokio::test]
async fn a_list_without_its_continue_token_ends_early() {
    let ground = Ground::with_maps(5).await;
    ground.proxy.on(Calls::lists("configmaps"), Fault::drop_continue());
    let (names, token) = ground.names(&ListParams::default().limit(3)).await;
    assert_eq!((names.len(), token), (3, None));
}

#[tokio::test]
async fn the_nth_page_of_a_list_can_expire() {
    let ground = Ground::with_maps(5).await;
    let second_token = Calls::lists("configmaps").continued().nth(2);
    ground.proxy.on(second_token, Fault::refuse(Refusal::expired()));
    let page = |token: &str| ListParams::default().limit(2).continue_token(token);

    let (_, first) = ground.names(&ListParams::default().limit(2)).await;
    let (_, second) = ground.names(&page(&first.unwrap())).await;

    assert_eq!(refused(ground.robots().list(&page(&second.unwrap())).await).code, 410);
}

// The whole proxy.

#[tokio::test]
async fn a_cut_proxy_refuses_connections_until_it_is_mended() {
    let ground = Ground::new().await;
    let mut watch = ground.watch("").await;
    let maps = ground.robots();
    maps.create(&PostParams::default(), &map("a")).await.unwrap();
    assert_eq!(watch.next().await, added("a"));

    ground.proxy.cut().await.unwrap();
    ground.proxy.cut().await.unwrap();

    assert!(watch.breaks().await);
    let refused = maps.get("a").await.unwrap_err();
    assert!(format!("{refused:?}").contains("ConnectionRefused"), "{refused:?}");
    ground.proxy.mend().await.unwrap();
    ground.proxy.mend().await.unwrap();
    maps.get("a").await.unwrap();
}

#[tokio::test]
async fn a_frozen_proxy_moves_no_byte_and_closes_nothing() {
    let ground = Ground::new().await;
    let mut watch = ground.watch("").await;
    let maps = ground.robots();
    maps.create(&PostParams::default(), &map("a")).await.unwrap();
    assert_eq!(watch.next().await, added("a"));

    ground.proxy.freeze();
    ground.create("b").await;
    let creating = tokio::spawn(async move { maps.create(&PostParams::default(), &map("c")).await });

    watch.is_silent().await;
    assert!(!creating.is_finished());
    assert!(!ground.exists("c").await, "the request is on the wire still");
    ground.proxy.thaw();
    creating.await.unwrap().unwrap();
    assert_eq!([watch.next().await, watch.next().await], [added("b"), added("c")]);
}

#[tokio::test]
async fn a_dropped_proxy_is_gone() {
    let ground = Ground::new().await;
    let maps = ground.robots();
    maps.list(&ListParams::default()).await.unwrap();
    drop(ground.proxy);
    eventually(SOON, "connections are refused", async || {
        let error = maps.list(&ListParams::default()).await;
        error.is_err_and(|error| format!("{error:?}").contains("ConnectionRefused"))
    })
    .await;
}

// What does not change.

#[tokio::test]
async fn the_server_sees_the_identity_and_rbac_decides() {
    let cluster = CLUSTER.get().await.unwrap();
    let nobody = cluster.user("nobody", &["nothing"]).unwrap();
    let proxy = Faults::between(cluster, &nobody).await.unwrap();
    let maps = Api::<ConfigMap>::namespaced(proxy.identity().client().unwrap(), "default");

    let status = refused(maps.list(&ListParams::default()).await);

    assert_eq!(status.code, 403);
    assert!(status.message.contains("\"nobody\""), "{}", status.message);
    assert_eq!(proxy.identity().name(), "nobody");
}

#[tokio::test]
async fn who_has_no_certificate_of_the_cluster_is_not_served() {
    let ground = Ground::new().await;
    let mut config = ground.proxy.identity().config();
    config.auth_info = kube::config::AuthInfo::default();
    let stranger = Api::<ConfigMap>::namespaced(kube::Client::try_from(config).unwrap(), &ground.namespace);
    let refused = stranger.list(&ListParams::default()).await.unwrap_err();
    assert!(!matches!(refused, kube::Error::Api(_)), "{refused:?}");
}

#[tokio::test]
async fn two_thousand_objects_and_a_large_one_pass_byte_for_byte() {
    let ground = Ground::new().await;
    let large = json!({ "metadata": { "name": "large" }, "data": { "x": "ü\\\"".repeat(200_000) } });
    ground.apply(large).await;
    let creates = (0..2_000).map(|n| {
        let maps = ground.admins();
        async move { maps.create(&PostParams::default(), &map(&format!("m-{n}"))).await.map(drop) }
    });
    let created: Vec<_> = futures::stream::iter(creates).buffer_unordered(32).collect().await;
    assert!(created.into_iter().all(|created| created.is_ok()));
    // A rule that never acts has every line read; the bytes are the same.
    ground.proxy.on(Calls::watches("configmaps"), Fault::drop_events(Events::about("nothing")));

    // Other tests write meanwhile: only a list of one version is the same twice.
    let version =
        ground.admins().list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let list = format!("?resourceVersionMatch=Exact&resourceVersion={version}");
    let watch = "?watch=true&resourceVersion=0&timeoutSeconds=1";
    for path in [ground.path(&list), ground.path("/large"), ground.path(watch)] {
        let direct = bytes(&ground.admin, &path).await;
        let proxied = bytes(&ground.proxy.identity().client().unwrap(), &path).await;
        // The watch cache gives its objects in no fixed order.
        let (direct, proxied): (BTreeSet<_>, BTreeSet<_>) = (lines(&direct), lines(&proxied));
        assert!(direct == proxied, "{path}: {} and {} lines", direct.len(), proxied.len());
    }
    assert_eq!(ground.names(&ListParams::default()).await.0.len(), 2_001);
}

#[tokio::test]
async fn fifty_requests_at_once_are_served_and_counted() {
    let ground = Ground::new().await;
    let fifth = ground
        .proxy
        .on(Calls::of("configmaps").verb(Verb::Create).nth(5), Fault::refuse(Refusal::conflict()));
    let creates = (0..50).map(|n| {
        let maps = ground.robots();
        async move { maps.create(&PostParams::default(), &map(&format!("m-{n}"))).await.is_err() }
    });

    let refused = futures::future::join_all(creates).await;

    assert_eq!(refused.into_iter().filter(|refused| *refused).count(), 1);
    assert_eq!((fifth.matched(), fifth.acted()), (50, 1));
    let trace = ground.proxy.trace();
    let numbers: Vec<u64> = trace.writes().iter().map(|write| write.sequence).collect();
    assert_eq!(numbers, (1..=49).collect::<Vec<_>>());
    assert!(trace.writes().iter().all(|write| write.code == Some(201) && write.delivered));
}

#[tokio::test]
async fn the_trace_tells_each_write_with_its_preconditions() {
    let ground = Ground::new().await;
    let maps = ground.robots();
    let generated: ConfigMap = object(json!({ "metadata": { "generateName": "made-" } }));
    let made = maps.create(&PostParams::default(), &generated).await.unwrap();
    let (name, uid, version) = (
        made.metadata.name.clone().unwrap(),
        made.metadata.uid.clone().unwrap(),
        made.metadata.resource_version.clone().unwrap(),
    );
    maps.replace(&name, &PostParams::default(), &made).await.unwrap();
    let preconditions = |uid: &str| Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let removal =
        |uid: &str| DeleteParams { preconditions: Some(preconditions(uid)), ..DeleteParams::default() };
    maps.delete(&name, &removal("another")).await.unwrap_err();
    maps.delete(&name, &removal(&uid)).await.unwrap();
    maps.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    maps.create(&PostParams { dry_run: true, ..PostParams::default() }, &map("dry")).await.unwrap();
    maps.list(&ListParams::default()).await.unwrap();

    let trace = ground.proxy.trace();
    let rows: Vec<_> = trace
        .writes()
        .iter()
        .map(|write| {
            (
                write.verb,
                write.name.as_str(),
                write.uid.as_deref(),
                write.resource_version.as_deref(),
                write.code,
            )
        })
        .collect();
    let (name, uid, version) = (name.as_str(), uid.as_str(), version.as_str());
    assert_eq!(
        rows,
        [
            (Verb::Create, name, None, None, Some(201)),
            (Verb::Update, name, Some(uid), Some(version), Some(200)),
            (Verb::Delete, name, Some("another"), None, Some(409)),
            (Verb::Delete, name, Some(uid), None, Some(200)),
            (Verb::DeleteCollection, "", None, None, Some(200)),
        ]
    );
    assert!(
        trace
            .writes()
            .iter()
            .all(|write| write.resource == "configmaps" && write.namespace == ground.namespace)
    );
    assert!(trace.writes().is_sorted_by_key(|write| write.at));
    assert_eq!((trace.reads(Verb::List, "configmaps"), trace.forgotten()), (1, 0));
}

#[tokio::test]
async fn a_paused_process_stands_still_until_it_is_resumed() {
    let cluster = CLUSTER.get().await.unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "while :; do echo tick; sleep 0.02; done"]);
    let process = cluster.spawn(command, "ticking").unwrap();
    let ticks = || process.log().unwrap().len();
    eventually(SOON, "it ticks", async || ticks() > 0).await;

    process.pause().unwrap();
    // Its last tick may be on its way into the log.
    tokio::time::sleep(SILENCE).await;
    let paused_at = ticks();
    tokio::time::sleep(SILENCE).await;
    assert_eq!(ticks(), paused_at);

    process.resume().unwrap();
    eventually(SOON, "it ticks again", async || ticks() > paused_at).await;
    process.pause().unwrap();
    process.kill().unwrap();
    process.resume().unwrap();
}

/// A namespace, a proxy in front of the API server for an administrator, and the way past it.
struct Ground {
    namespace: String,
    proxy: FaultProxy,
    admin: kube::Client,
}

impl Ground {
    async fn new() -> Self {
        let cluster = CLUSTER.get().await.unwrap();
        let namespace = cluster.namespace("faults").await.unwrap();
        let robot = cluster.user("robot", &["system:masters"]).unwrap();
        let proxy = Faults::between(cluster, &robot).await.unwrap();
        Self { namespace, proxy, admin: cluster.admin().client().unwrap() }
    }

    async fn with_maps(count: usize) -> Self {
        let ground = Self::new().await;
        for n in 0..count {
            ground.create(&format!("m-{n}")).await;
        }
        ground
    }

    /// Through the proxy.
    fn robots(&self) -> Api<ConfigMap> {
        Api::namespaced(self.proxy.identity().client().unwrap(), &self.namespace)
    }

    /// Past it.
    fn admins(&self) -> Api<ConfigMap> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    async fn create(&self, name: &str) {
        self.admins().create(&PostParams::default(), &map(name)).await.unwrap();
    }

    async fn apply(&self, map: Value) {
        self.admins().create(&PostParams::default(), &object(map)).await.unwrap();
    }

    async fn remove(&self, name: &str) {
        self.admins().delete(name, &DeleteParams::default()).await.unwrap();
    }

    async fn exists(&self, name: &str) -> bool {
        self.admins().get_opt(name).await.unwrap().is_some()
    }

    /// Names and continue token of one page, through the proxy.
    async fn names(&self, params: &ListParams) -> (Vec<String>, Option<String>) {
        let list = self.robots().list(params).await.unwrap();
        let token = list.metadata.continue_.filter(|token| !token.is_empty());
        (list.items.into_iter().map(|map| map.metadata.name.unwrap()).collect(), token)
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/configmaps{rest}", self.namespace)
    }

    async fn open(&self, query: &str) -> (u16, Watch) {
        let path = self.path(&format!("?watch=true{query}"));
        let request = http::Request::get(path).body(vec![]).unwrap();
        let client = self.proxy.identity().client().unwrap();
        match client.request_stream(request).await {
            Ok(stream) => (200, Watch(Box::pin(stream))),
            Err(kube::Error::Api(status)) => (status.code, Watch(Box::pin(futures::io::empty()))),
            Err(error) => panic!("{error:?}"),
        }
    }

    /// A watch from now on.
    async fn watch(&self, query: &str) -> Watch {
        let version = self.admins().list(&ListParams::default()).await.unwrap().metadata.resource_version;
        let (status, watch) = self.open(&format!("{query}&resourceVersion={}", version.unwrap())).await;
        assert_eq!(status, 200);
        watch
    }

    /// What a streaming list begins with, up to its bookmark.
    async fn beginning(&self) -> Vec<String> {
        let query = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
        let (_, mut watch) = self.open(query).await;
        let mut names = Vec::new();
        loop {
            match watch.next().await {
                (kind, _) if kind == "BOOKMARK" => return names,
                (_, name) => names.push(name),
            }
        }
    }
}

struct Watch(Pin<Box<dyn AsyncBufRead + Send>>);

impl Watch {
    /// Type and name of the next event.
    async fn next(&mut self) -> (String, String) {
        let mut line = String::new();
        timeout(SOON, self.0.read_line(&mut line)).await.unwrap().unwrap();
        (type_of(&line), name_of(&line))
    }

    async fn is_silent(&mut self) {
        let mut byte = [0];
        let read = timeout(SILENCE, self.0.read(&mut byte)).await;
        assert!(read.is_err(), "{read:?}");
    }

    /// All lines up to an end in order.
    async fn end(&mut self) -> String {
        let mut rest = String::new();
        timeout(SOON, self.0.read_to_string(&mut rest)).await.unwrap().unwrap();
        rest
    }

    async fn breaks(&mut self) -> bool {
        timeout(SOON, self.0.read(&mut [0])).await.unwrap().is_err()
    }
}

fn added(name: &str) -> (String, String) {
    ("ADDED".to_owned(), name.to_owned())
}

fn type_of(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap();
    event["type"].as_str().unwrap().to_owned()
}

fn name_of(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap();
    event["object"]["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn map(name: &str) -> ConfigMap {
    object(json!({ "metadata": { "name": name } }))
}

fn object(value: Value) -> ConfigMap {
    serde_json::from_value(value).unwrap()
}

fn refused<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> kube::core::Status {
    match result {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("{other:?}"),
    }
}

async fn bytes(client: &kube::Client, path: &str) -> Vec<u8> {
    let request = http::Request::get(path).body(vec![]).unwrap();
    let mut stream = Box::pin(client.request_stream(request).await.unwrap());
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

fn lines(bytes: &[u8]) -> BTreeSet<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}
