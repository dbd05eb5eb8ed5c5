//! What is done at a turn, and what is written down of an answer.

use super::*;
use serde_json::Map;

fn one(more: &Value) -> Value {
    let mut step = json!({"name": "tell", "plugin": "slack"});
    step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([step])
}

fn reasons(advance: &Advance) -> Vec<&str> {
    advance.blockers.iter().map(|blocker| &*blocker.reason).collect()
}

fn said(by: &str, at: &str) -> Value {
    json!({"by": by, "at": at, "why": "a reason"})
}

fn said_of(step: &str, by: &str, at: &str) -> Value {
    json!({"step": step, "by": by, "at": at})
}

#[test]
fn the_node_is_emptied_then_its_volumes_go_then_the_rest() {
    let mut departure = Departure::of(&one(&json!({})));
    for step in [DRAIN_STEP, VOLUMES_STEP, "tell"] {
        let turn = departure.turn();
        assert_eq!(turn.standing, Standing::UnderWay);
        let wanted = Asked {
            step: step.into(),
            attempt: 1,
            idempotency_key: format!("u-1/{step}"),
            deadline: (step == "tell").then(|| "2026-11-21T04:12:00Z".parse().unwrap()),
        };
        assert_eq!((turn.begins, turn.asks), (vec![wanted], vec![]));
        assert_eq!(departure.begins(), [""; 0], "what is being asked is not asked twice");
        departure.settles(step, &done());
    }
    let turn = departure.turn();
    assert_eq!(turn.standing, Standing::Ended(vec![]));
    assert!(turn.begins.is_empty() && turn.blockers.is_empty() && turn.wake_at.is_none());
    let status = departure.status("tell");
    assert_eq!((status.percent, status.message.as_deref()), (Some(100), Some("done")));
    assert!(status.start_time.is_some() && status.end_time.is_some());
}

#[test]
fn a_step_that_depends_on_nothing_begins_beside_the_drain_and_an_early_one_before_it() {
    let mut departure = Departure::of(&json!([{"name": "tell", "plugin": "slack", "dependsOn": []}]));
    assert_eq!(departure.begins(), [DRAIN_STEP, "tell"]);
    let mut departure =
        Departure::of(&json!([{"name": "tell", "plugin": "slack", "dependsOn": [], "priority": 10}]));
    assert_eq!(departure.begins(), ["tell"]);
    departure.settles("tell", &failed(true));
    assert_eq!(departure.begins(), [""; 0], "it is still under way, and is tried again");
    departure.pass(10);
    assert_eq!(departure.begins(), ["tell"]);
    departure.settles("tell", &done());
    assert_eq!(departure.begins(), [DRAIN_STEP]);
}

#[test]
fn an_optional_failure_lets_the_node_go_and_a_critical_one_holds_it() {
    for (critical, standing) in
        [(false, Standing::Ended(vec!["tell".into()])), (true, Standing::Held(vec!["tell".into()]))]
    {
        let mut departure = Departure::emptied(&json!([
            {"name": "tell", "plugin": "slack", "critical": critical},
            {"name": "then", "plugin": "log", "dependsOn": ["tell"]},
        ]));
        departure.turn();
        departure.settles("tell", &failed(false));
        let turn = departure.turn();
        if critical {
            assert_eq!(reasons(&turn), ["StepFailed"]);
            let message = &turn.blockers[0].message;
            assert!(
                message.contains(
                    "step `tell` failed for good (Refused): not today; `groundskeeper nodes retry-step`"
                ),
                "{message}"
            );
            assert!(turn.blockers[0].since.is_some());
        } else {
            assert_eq!(turn.begins[0].step, "then".into());
            departure.settles("then", &done());
        }
        assert_eq!(departure.turn().standing, standing);
    }
}

#[test]
fn a_step_whose_condition_is_not_true_is_skipped_and_one_whose_condition_fails_has_failed() {
    let mut departure = Departure::emptied(&json!([
        {"name": "px", "plugin": "portworx", "when": "object.metadata.labels['px'] == 'true'"},
        {"name": "etcd", "plugin": "log", "when": "has(object.metadata.labels.etcd)"},
        {"name": "then", "plugin": "log", "dependsOn": ["etcd"]},
        {"name": "odd", "plugin": "log", "when": "object.metadata.labels.odd == 'x'"},
    ]));
    assert_eq!(departure.begins(), ["px", "then"]);
    assert_eq!(departure.status("etcd").reason.as_deref(), Some("WhenNotTrue"));
    let odd = departure.status("odd");
    assert_eq!((odd.state, odd.reason.as_deref(), odd.attempts), (StepState::Failed, Some("WhenFailed"), 0));
    assert!(odd.message.as_deref().unwrap().contains("there is no field"), "{odd:?}");
}

#[test]
fn a_failed_attempt_is_tried_again_after_a_pause_and_not_for_ever() {
    let retry = json!({"retry": {"maxRetries": 2, "initialDelay": "10s", "maxDelay": "1m"}});
    let mut departure = Departure::emptied(&one(&retry));
    for (attempt, pause) in [(1, 10), (2, 20), (3, 0)] {
        let turn = departure.turn();
        assert_eq!((turn.begins.len(), turn.begins[0].attempt), (1, attempt));
        departure.settles("tell", &failed(true));
        let turn = departure.turn();
        assert!(turn.begins.is_empty());
        if let Some(wake_at) = turn.wake_at {
            let wait = wake_at.duration_since(departure.now);
            assert!(wait > SignedDuration::from_secs(pause * 4 / 5) && wait.as_secs() <= pause, "{wait}");
            assert_eq!(departure.state("tell"), StepState::Retrying);
        }
        departure.pass(pause + 1);
    }
    assert_eq!(departure.state("tell"), StepState::Failed);
    assert_eq!(departure.turn().standing, Standing::Held(vec!["tell".into()]));
}

#[test]
fn what_is_under_way_is_asked_again_when_it_said_and_keeps_its_attempt() {
    let mut departure = Departure::emptied(&one(&json!({})));
    departure.turn();
    departure.settles("tell", &progress(40, 30));
    let turn = departure.turn();
    assert_eq!((turn.asks.len(), turn.wake_at), (0, Some("2026-11-21T04:07:31Z".parse().unwrap())));
    assert_eq!(departure.status("tell").percent, Some(40));
    departure.pass(31);
    let asks = departure.turn().asks;
    assert_eq!((asks.len(), asks[0].attempt), (1, 1));
}

#[test]
fn an_attempt_that_a_crash_left_is_asked_for_again_as_the_same_attempt() {
    let mut departure = Departure::emptied(&one(&json!({"timeout": "1m"})));
    let begun = departure.turn().begins;
    departure.crash();
    departure.pass(59);
    let again = departure.turn();
    assert_eq!((again.begins, again.asks), (vec![], begun));
    departure.settles("tell", &done());
    departure.crash();
    assert_eq!(departure.turn().standing, Standing::Ended(vec![]));
}

#[test]
fn an_attempt_whose_time_is_up_is_followed_by_the_next_with_the_same_key() {
    let mut departure = Departure::emptied(&one(&json!({"timeout": "1m"})));
    let begun = departure.turn().begins;
    departure.pass(60);
    departure.turn();
    assert_eq!(departure.state("tell"), StepState::Running, "the call under way has a deadline of its own");
    departure.crash();
    let turn = departure.turn();
    assert!(turn.asks.is_empty() && turn.begins.is_empty());
    assert_eq!(departure.status("tell").reason.as_deref(), Some("TimedOut"));
    departure.pass(11);
    let next = departure.turn().begins;
    assert_eq!((next[0].attempt, &next[0].idempotency_key), (2, &begun[0].idempotency_key));
    let task = departure.graph.step("tell").unwrap().task(
        "u-1",
        &crate::contract::Node::default(),
        departure.status("tell"),
    );
    assert_eq!(
        (task.attempt, task.idempotency_key, task.deadline),
        (2, "u-1/tell".to_owned(), next[0].deadline)
    );
}

#[test]
fn an_answer_to_an_attempt_that_is_over_changes_nothing() {
    let mut departure = Departure::emptied(&one(&json!({})));
    departure.turn();
    let step = departure.graph.step("tell").unwrap();
    for (state, attempts, attempt) in [
        (StepState::Done, 1, 1),
        (StepState::Skipped, 1, 1),
        (StepState::Retrying, 1, 1),
        (StepState::Running, 2, 1),
    ] {
        let status = StepStatus { state, attempts, ..departure.status("tell").clone() };
        assert_eq!(settle(step, &status, attempt, &done(), departure.at()), status);
    }
}

#[test]
fn every_outcome_is_written_down_with_its_reason() {
    let state = |text: &str| Some(Map::from_iter([("ticket".to_owned(), json!(text))]));
    let bad = Executed::read(b"{}").unwrap_err();
    let rows = [
        (Outcome::TimedOut, StepState::Retrying, Some("TimedOut"), "no answer within 5m"),
        (Outcome::Unreachable("refused".to_owned()), StepState::Retrying, Some("Unreachable"), "refused"),
        (
            Outcome::Garbage(bad),
            StepState::Retrying,
            Some("BadAnswer"),
            "the answer has no `status`: the plugin should write `done`, `progress` or `failed`",
        ),
        (failed(true), StepState::Retrying, Some("Refused"), "not today"),
        (failed(false), StepState::Failed, Some("Refused"), "not today"),
        (progress(3, 9), StepState::Running, None, "moving"),
        (done(), StepState::Done, None, "done"),
        (
            Outcome::Answered(Executed::Failed {
                retryable: true,
                reason: String::new(),
                message: "x".to_owned(),
                state: state("INC-2"),
            }),
            StepState::Retrying,
            Some("PluginFailed"),
            "x",
        ),
    ];
    for (outcome, wanted, reason, message) in rows {
        let mut departure = Departure::emptied(&one(&json!({})));
        departure.turn();
        departure.statuses.iter_mut().for_each(|status| status.state_blob = state("INC-1").unwrap());
        departure.settles("tell", &outcome);
        let status = departure.status("tell");
        assert_eq!(
            (status.state, status.reason.as_deref(), status.message.as_deref()),
            (wanted, reason, Some(message))
        );
        let kept = if reason == Some("PluginFailed") { state("INC-2") } else { state("INC-1") };
        assert_eq!(Some(&status.state_blob), kept.as_ref(), "{outcome:?}");
    }
}

#[test]
fn no_critical_step_begins_whose_plugin_could_not_work_and_an_optional_one_is_tried() {
    let steps = json!([
        {"name": "tell", "plugin": "slack"},
        {"name": "too", "plugin": "slack", "critical": false},
        {"name": "note", "plugin": "log"},
    ]);
    let mut departure = Departure::emptied(&steps);
    departure.plugins.get_mut("slack").unwrap().health = Health::Unhealthy("no channel".to_owned());
    let turn = departure.turn();
    let begun: Vec<&str> = turn.begins.iter().map(|asked| &*asked.step).collect();
    assert_eq!((begun, reasons(&turn)), (vec!["too", "note"], vec!["PluginUnhealthy"]));
    let message = "plugin `slack` says that it could not work: no channel; mend it, or `groundskeeper nodes skip-step` for `tell`";
    assert_eq!(turn.blockers[0].message, message);
    assert!(turn.wake_at.is_some() && turn.standing == Standing::UnderWay);

    let mut departure = Departure::emptied(&steps);
    departure.plugins.remove("slack");
    assert_eq!(reasons(&departure.look()), ["PluginUnchecked"], "said once for both steps");
    assert_eq!(departure.begins(), ["note"]);
}

#[test]
fn what_a_plugin_says_of_its_health_is_known_before_the_first_step() {
    let mut departure = Departure::of(&json!([
        {"name": "tell", "plugin": "slack"},
        {"name": "etcd", "plugin": "log", "when": "has(object.metadata.labels.etcd)"},
    ]));
    for plugin in ["slack", "log"] {
        departure.plugins.get_mut(plugin).unwrap().health = Health::Unhealthy("no channel".to_owned());
    }
    let turn = departure.turn();
    assert_eq!(
        reasons(&turn),
        ["PluginUnhealthy"],
        "of a step that is not going to be taken nothing is said"
    );
    assert_eq!(turn.begins[0].step, DRAIN_STEP.into(), "what does not depend on it goes on");
}

#[test]
fn a_plugin_that_rests_is_neither_given_steps_nor_asked() {
    let mut departure = Departure::emptied(&one(&json!({})));
    let until = departure.now + SignedDuration::from_secs(30);
    departure.plugins.get_mut("slack").unwrap().rests_until = Some(until);
    let turn = departure.turn();
    assert_eq!((reasons(&turn), turn.begins.len(), turn.wake_at), (vec!["PluginResting"], 0, Some(until)));
    departure.pass(30);
    assert_eq!(departure.begins(), ["tell"]);
    departure.settles("tell", &progress(1, 1));
    departure.pass(2);
    let until = departure.now + SignedDuration::from_secs(30);
    departure.plugins.get_mut("slack").unwrap().rests_until = Some(until);
    let turn = departure.turn();
    assert_eq!((turn.asks.len(), turn.wake_at), (0, Some(until)));
}

#[test]
fn a_plugin_is_given_no_more_steps_than_it_takes() {
    let mut departure = Departure::emptied(&json!([
        {"name": "a", "plugin": "slack"}, {"name": "b", "plugin": "slack"}, {"name": "c", "plugin": "log"},
        {"name": "late", "plugin": "log", "priority": 90},
    ]));
    departure.plugins.get_mut("slack").unwrap().free = 1;
    assert_eq!(departure.begins(), ["a", "c"]);
    departure.plugins.get_mut("slack").unwrap().free = 0;
    departure.settles("c", &done());
    let turn = departure.turn();
    assert!(turn.begins.is_empty() && turn.wake_at.is_some(), "the late one waits for b too");
}

#[test]
fn nothing_begins_and_nothing_is_asked_while_it_is_stopped() {
    let mut by_policy = Departure::of(&one(&json!({})));
    by_policy.pace = Pace::Stopped;
    let mut by_hand = Departure::of(&one(&json!({})));
    by_hand.overrides(json!({"paused": said("alice", "2026-11-21T04:00:00Z")}));
    for mut departure in [by_policy, by_hand] {
        let turn = departure.turn();
        assert_eq!((turn.begins, turn.asks, turn.standing), (vec![], vec![], Standing::Paused));
        assert_eq!(departure.state(DRAIN_STEP), StepState::Pending);
        (departure.pace, departure.overrides) = (Pace::Going, Overrides::default());
        assert_eq!(departure.begins(), [DRAIN_STEP]);
    }
}

#[test]
fn a_skipped_step_lets_others_go_and_says_who_skipped_it() {
    let mut departure = Departure::emptied(&json!([
        {"name": "tell", "plugin": "slack"},
        {"name": "then", "plugin": "log", "dependsOn": ["tell"]},
    ]));
    departure.turn();
    departure.settles("tell", &failed(false));
    assert!(matches!(departure.turn().standing, Standing::Held(_)));
    departure.overrides(json!({"skip": [
        {"step": "tell", "by": "alice", "at": "2026-11-21T04:09:00Z", "why": "no ticket\nneeded"},
        said_of(DRAIN_STEP, "alice", "2026-11-21T04:09:00Z"),
    ]}));
    assert_eq!(departure.begins(), ["then"]);
    let status = departure.status("tell");
    assert_eq!((status.state, status.reason.as_deref()), (StepState::Skipped, Some("SkippedByHand")));
    let words = "skipped by alice at 2026-11-21T04:09:00Z: no ticket needed";
    assert_eq!(status.overridden_by.as_deref(), Some(words));
    assert_eq!(departure.state(DRAIN_STEP), StepState::Done, "what is done stays so");
}

#[test]
fn a_step_that_is_retried_begins_anew_once_and_keeps_its_state_and_key() {
    let mut departure = Departure::emptied(&one(&json!({"retry": {"maxRetries": 0}})));
    departure.turn();
    departure.overrides(json!({"retry": [said_of("tell", "bob", "2026-11-21T04:07:00Z")]}));
    assert_eq!(departure.turn().begins, [], "two attempts are never under way at once");
    departure.statuses[2].state_blob = Map::from_iter([("ticket".to_owned(), json!("INC-1"))]);
    departure.settles("tell", &failed(true));
    let turn = departure.turn();
    assert_eq!((turn.begins[0].attempt, &*turn.begins[0].idempotency_key), (1, "u-1/tell"));
    assert_eq!(departure.status("tell").state_blob["ticket"], "INC-1");
    assert_eq!(
        departure.status("tell").overridden_by.as_deref(),
        Some("retried by bob at 2026-11-21T04:07:00Z")
    );
    departure.settles("tell", &failed(true));
    assert!(matches!(departure.turn().standing, Standing::Held(_)), "it was obeyed once");
    departure.overrides(json!({"retry": [said_of("tell", "bob", "2026-11-21T04:08:00Z")]}));
    assert_eq!(departure.begins(), ["tell"]);
    departure.settles("tell", &done());
    departure.overrides(json!({"retry": [said_of("tell", "bob", "2026-11-21T04:09:00Z")]}));
    assert_eq!(departure.turn().standing, Standing::Ended(vec![]), "what is done is never done twice");
}

#[test]
fn of_two_decisions_the_later_counts_and_a_call_on_its_way_ends_before_another_begins() {
    let mut departure = Departure::emptied(&one(&json!({})));
    departure.turn();
    departure.overrides(json!({"skip": [said_of("tell", "alice", "2026-11-21T04:08:00Z")]}));
    departure.turn();
    assert_eq!(departure.state("tell"), StepState::Skipped);
    let skip = said_of("tell", "alice", "2026-11-21T04:08:00Z");
    departure.overrides(json!({"skip": [skip], "retry": [said_of("tell", "bob", "2026-11-21T04:09:00Z")]}));
    let turn = departure.turn();
    assert_eq!((turn.begins.len(), turn.standing), (0, Standing::UnderWay));
    departure.settles("tell", &done());
    assert_eq!(departure.state("tell"), StepState::Pending, "the answer was to what had been skipped");
    assert_eq!(departure.begins(), ["tell"]);
}

#[test]
fn a_release_ends_all_and_says_who_said_so() {
    let mut departure = Departure::of(&one(&json!({})));
    departure.turn();
    departure.overrides(json!({"release": said("carol", "2026-11-21T05:00:00Z")}));
    let turn = departure.turn();
    assert_eq!((turn.standing, turn.begins.len(), turn.asks.len()), (Standing::Released, 0, 0));
    for status in &departure.statuses {
        assert_eq!((status.state, status.reason.as_deref()), (StepState::Skipped, Some("Released")));
        let words = "released by carol at 2026-11-21T05:00:00Z: a reason";
        assert_eq!(status.overridden_by.as_deref(), Some(words));
    }
}
