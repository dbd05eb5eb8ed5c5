//! A declared plugin behind HTTP, and the built-in `httpHook`.

use std::time::Duration;

use control::{Clock as _, SystemClock};
use jiff::SignedDuration;
use node_cleanup::contract::{BadAnswer, Executed};
use node_cleanup::steps::{Health, Outcome};
use serde_json::json;
use testbed::targets::hook::Hook;
use testbed::targets::{Misbehaviour, Target};

use crate::support::{Ground, kind, object, task};

async fn hook() -> (Ground, Target<Hook>) {
    let (ground, hook) = (Ground::new(), Target::start(Hook::new()).await.unwrap());
    ground.declare(json!({"http": {"url": hook.url(), "timeout": "10s"}}));
    (ground, hook)
}

#[tokio::test]
async fn a_step_is_asked_for_until_it_is_done_and_is_done_once() {
    let (ground, hook) = hook().await;
    let mut task = task("tell", json!({"failures": 1, "progress": 2}));

    assert_eq!(kind(&ground.to_the_end("other", &mut task).await), "failed:ToldToFail");
    assert_eq!(task.state, object(json!({"asked": 1})));
    task.attempt = 2;
    let progress = ground.execute("other", &task).await;
    let Outcome::Answered(Executed::Progress { percent, retry_after_seconds, .. }) = progress else {
        panic!("{progress:?}")
    };
    assert_eq!((percent, retry_after_seconds), (Some(0), 1));
    assert_eq!(kind(&ground.to_the_end("other", &mut task).await), "done");
    assert_eq!(kind(&ground.to_the_end("other", &mut task).await), "done");

    assert_eq!(hook.with(|hook| hook.effects()), 1);
    let asked = hook.received();
    assert!(asked.iter().all(|request| request.header("idempotency-key") == Some("run-1/tell")));
    let last = asked.last().unwrap().json();
    assert_eq!(
        (&last["call"], &last["attempt"], &last["node"]["name"]),
        (&json!("execute"), &json!(2), &json!("worker-1"))
    );
    assert_eq!(last["state"], json!({"asked": 4}));
}

#[tokio::test]
async fn every_lie_is_told_for_what_it_is() {
    let (ground, hook) = hook().await;
    ground.declare(json!({"http": {"url": hook.url(), "timeout": "2s"}}));
    let rows = [
        (Misbehaviour::Garbage, "garbage", "not JSON"),
        (Misbehaviour::ContentType("text/html"), "unreachable", "application/json"),
        (Misbehaviour::Fail(500), "unreachable", "answered 500"),
        (Misbehaviour::Fail(404), "unreachable", "answered 404"),
        (Misbehaviour::LoseAnswer, "unreachable", "broke off"),
        (Misbehaviour::Hang, "unreachable", "no answer within 2 s"),
        (Misbehaviour::Late(Duration::from_millis(300)), "done", ""),
    ];
    for (number, (how, wanted, words)) in rows.into_iter().enumerate() {
        hook.misbehave(1, how.clone());
        let outcome = ground.execute("other", &task(&format!("step-{number}"), json!({}))).await;
        assert_eq!(kind(&outcome), wanted, "{how:?}: {outcome:?}");
        let said = match &outcome {
            Outcome::Unreachable(why) => why.clone(),
            Outcome::Garbage(fault) => fault.to_string(),
            _ => String::new(),
        };
        assert!(said.contains(words), "{how:?}: {said}");
        ground.clock.on(Duration::from_mins(2));
    }
    let refused = ground.execute("other", &task("final", json!({"failures": 1, "permanent": true}))).await;
    assert_eq!(kind(&refused), "failed-for-good:ToldToFail");
}

#[tokio::test]
async fn an_answer_of_a_hundred_megabytes_is_cut_off_at_once() {
    let (ground, hook) = hook().await;
    hook.misbehave(1, Misbehaviour::Flood(100 * 1024 * 1024));
    let begun = SystemClock.steady();
    assert_eq!(
        ground.execute("other", &task("flood", json!({}))).await,
        Outcome::Garbage(BadAnswer::TooLarge)
    );
    assert!(SystemClock.steady().since(begun) < Duration::from_secs(8), "nobody waits for the rest");
}

#[tokio::test]
async fn the_deadline_of_an_attempt_ends_it_whatever_the_plugin_does() {
    let (ground, hook) = hook().await;
    hook.always(Misbehaviour::Hang);
    let mut task = task("late", json!({}));
    task.deadline = Some(SystemClock.now() + SignedDuration::from_millis(300));
    assert_eq!(ground.execute("other", &task).await, Outcome::TimedOut);
    task.deadline = Some(SystemClock.now() - SignedDuration::from_secs(1));
    assert_eq!(ground.execute("other", &task).await, Outcome::TimedOut, "it is over");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (ground, hook) = hook().await;
    let elsewhere = Target::start(Hook::new()).await.unwrap();
    hook.misbehave(1, Misbehaviour::Redirect(elsewhere.url()));
    let outcome = ground.execute("other", &task("tell", json!({}))).await;
    assert!(matches!(&outcome, Outcome::Unreachable(why) if why.contains("redirect (302)")), "{outcome:?}");
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn nothing_goes_along_that_was_not_written_to_go_along() {
    let (ground, hook) = hook().await;
    assert_eq!(kind(&ground.execute("other", &task("tell", json!({}))).await), "done");
    let request = hook.received().remove(0);
    let mut names: Vec<&str> = request.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["accept", "connection", "content-length", "content-type", "host", "idempotency-key", "user-agent"]
    );
}

#[tokio::test]
async fn an_answer_that_was_lost_leaves_one_effect() {
    let (ground, hook) = hook().await;
    hook.misbehave(1, Misbehaviour::LoseAnswer);
    let mut task = task("tell", json!({}));
    assert_eq!(kind(&ground.execute("other", &task).await), "unreachable");
    task.attempt = 2;
    assert_eq!(kind(&ground.execute("other", &task).await), "done");
    assert_eq!(hook.with(|hook| hook.effects()), 1);
}

#[tokio::test]
async fn a_plugin_that_fails_too_often_is_left_alone_and_then_asked_once() {
    let (ground, hook) = hook().await;
    hook.always(Misbehaviour::Fail(500));
    for number in 0..5 {
        assert_eq!(
            kind(&ground.execute("other", &task(&format!("s{number}"), json!({}))).await),
            "unreachable"
        );
    }
    let (_, rests) = ground.plugins.capacity("other");
    assert!(rests.unwrap() > ground.clock.now());
    let outcome = ground.execute("other", &task("s6", json!({}))).await;
    let Outcome::Answered(Executed::Progress { message, retry_after_seconds, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(message.contains("left alone") && (1..=31).contains(&retry_after_seconds), "{message}");
    assert_eq!(hook.received().len(), 5, "it is not asked");
    assert!(ground.metrics.encode().unwrap().contains("groundskeeper_plugin_resting{plugin=\"other\"} 1"));

    ground.clock.on(Duration::from_secs(31));
    hook.behave();
    assert_eq!(ground.plugins.capacity("other"), (1, None), "one probe");
    assert_eq!(kind(&ground.execute("other", &task("s7", json!({}))).await), "done");
    assert_eq!(ground.plugins.capacity("other"), (10, None));
}

#[tokio::test]
async fn a_plugin_is_given_no_more_steps_than_it_takes() {
    let (ground, hook) = (Ground::new(), Target::start(Hook::new()).await.unwrap());
    ground.declare(json!({"http": {"url": hook.url()}, "concurrency": 2}));
    for step in ["a", "b"] {
        assert_eq!(kind(&ground.execute("other", &task(step, json!({"progress": 1}))).await), "progress");
    }
    assert_eq!(ground.plugins.capacity("other"), (0, None));
    let third = ground.execute("other", &task("c", json!({}))).await;
    let Outcome::Answered(Executed::Progress { message, .. }) = third else { panic!("{third:?}") };
    assert!(message.contains("as many steps as it is given"), "{message}");
    assert_eq!(hook.received().len(), 2, "it is not asked");

    assert_eq!(kind(&ground.execute("other", &task("a", json!({"progress": 1}))).await), "done");
    assert_eq!(ground.plugins.capacity("other"), (1, None));
    assert_eq!(kind(&ground.execute("other", &task("c", json!({}))).await), "done");
}

#[tokio::test]
async fn a_plugin_is_asked_what_it_is_whether_it_could_work_and_what_it_would_do() {
    let (ground, hook) = hook().await;
    assert_eq!(ground.plugins.describe("other").await.unwrap().name, "hook-simulator");
    assert_eq!(
        ground.plugins.plan("other", &task("tell", json!({}))).await.unwrap().steps,
        ["forgets the node worker-1"]
    );
    assert_eq!(ground.plugins.health("other", &object(json!({}))).await, Health::Healthy);
    hook.with(|hook| hook.sicken(Some("out of quota")));
    let health = ground.plugins.health("other", &object(json!({}))).await;
    assert_eq!(health, Health::Unhealthy("out of quota".to_owned()));
    hook.always(Misbehaviour::Fail(503));
    let error = ground.plugins.check("other", &object(json!({}))).await.unwrap_err();
    assert!(error.to_string().contains("answered 503"), "{error}");
    assert_eq!(hook.with(|hook| hook.effects()), 0, "questions change nothing");
}

#[tokio::test]
async fn a_step_may_name_the_address_itself() {
    let (ground, hook) = (Ground::new(), Target::start(Hook::new()).await.unwrap());
    let settings = json!({"url": format!("{}/v1?a=b", hook.url()), "settings": {"progress": 1}});
    let mut task = task("tell", settings);
    assert_eq!(kind(&ground.to_the_end("httpHook", &mut task).await), "done");
    let asked = hook.received();
    assert_eq!((asked.len(), asked[0].path.as_str(), asked[0].query("a")), (2, "/v1", Some("b")));
    assert_eq!(
        asked[0].json()["settings"],
        json!({"progress": 1}),
        "of the settings it sees what is meant for it"
    );
}

#[tokio::test]
async fn a_server_is_who_its_certificate_says_or_is_not_spoken_to() {
    let (ground, hook) = (Ground::new(), Target::start_over_tls(Hook::new()).await.unwrap());
    let other = Target::start_over_tls(Hook::new()).await.unwrap();
    let rows = [(hook.ca_bundle(), "done"), (None, "unreachable"), (other.ca_bundle(), "unreachable")];
    for (number, (bundle, wanted)) in rows.into_iter().enumerate() {
        let mut settings = object(json!({"url": hook.url()}));
        settings.extend(bundle.map(|bundle| ("caBundle".to_owned(), json!(bundle))));
        let outcome = ground.execute("httpHook", &task(&format!("s{number}"), settings.into())).await;
        assert_eq!(kind(&outcome), wanted, "{outcome:?}");
        if let Outcome::Unreachable(why) = outcome {
            assert!(why.contains("cannot trust https://localhost") && why.contains("caBundle"), "{why}");
        }
    }
    assert_eq!(hook.received().len(), 1);
}

#[tokio::test]
async fn a_dead_server_does_not_stop_the_steps_of_another() {
    let (ground, dead, alive) =
        (Ground::new(), Target::start(Hook::new()).await.unwrap(), Target::start(Hook::new()).await.unwrap());
    dead.always(Misbehaviour::Fail(500));
    for number in 0..6 {
        let step = task(&format!("s{number}"), json!({"url": format!("{}/{number}", dead.url())}));
        let wanted = if number < 5 { "unreachable" } else { "progress" };
        assert_eq!(kind(&ground.execute("httpHook", &step).await), wanted);
    }
    assert_eq!(ground.plugins.capacity("httpHook"), (10, None));
    assert_eq!(kind(&ground.execute("httpHook", &task("other", json!({"url": alive.url()}))).await), "done");
}
