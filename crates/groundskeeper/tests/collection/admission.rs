//! What the API server refuses, with our words.

use serde_json::{Value, json};

use crate::support::drafts::policy;
use crate::team;

#[tokio::test]
async fn the_api_server_refuses_what_makes_no_sense_and_says_what_to_write() {
    let team = team("refused").await;
    let table: [(&str, &str, Value, &str); 14] = [
        (
            "api-version",
            "/spec/targetResource/apiVersion",
            json!("v1/"),
            "must be `version` or `group/version`",
        ),
        (
            "kind",
            "/spec/targetResource/kind",
            json!("Config Map"),
            "kind must be a name such as Job or ConfigMap",
        ),
        ("kind-empty", "/spec/targetResource/kind", json!(""), "should be at least 1 chars long"),
        ("ttl-zero", "/spec/ttl/secondsAfterCreation", json!(0), "should be greater than or equal to 1"),
        ("ttl-missing", "/spec/ttl", json!({}), "ttl needs exactly one of secondsAfterCreation, after"),
        (
            "ttl-long",
            "/spec/ttl/secondsAfterCreation",
            json!(3_153_600_001_i64),
            "should be less than or equal to",
        ),
        ("rate", "/spec/behavior/maxDeletionsPerSecond", json!(-1), "should be greater than or equal to 1"),
        ("grace", "/spec/behavior/gracePeriodSeconds", json!(-1), "should be greater than or equal to 0"),
        ("propagation", "/spec/behavior/propagationPolicy", json!("Slowly"), "Unsupported value"),
        (
            "in",
            "/spec/targetResource/labelSelector/matchExpressions",
            json!([{"key": "a", "operator": "In"}]),
            "operators In and NotIn need at least one entry in values",
        ),
        (
            "exists",
            "/spec/targetResource/labelSelector/matchExpressions",
            json!([{"key": "a", "operator": "Exists", "values": ["b"]}]),
            "operators Exists and DoesNotExist take no values",
        ),
        (
            "ours",
            "/spec/targetResource",
            json!({"apiVersion": "groundskeeper.dev/v1alpha1", "kind": "GarbageCollectionPolicy"}),
            "resources of groundskeeper.dev are never collected",
        ),
        (
            "unknown",
            "/spec/ttl/secondsAfterUpdate",
            json!(3),
            "unknown field \"spec.ttl.secondsAfterUpdate\"",
        ),
        ("unknown-top", "/spec/calendar", json!("daily"), "unknown field \"spec.calendar\""),
    ];
    for (name, field, value, expected) in table {
        let refusal = team.try_create(policy(name).with(field, value)).await;
        let refusal = refusal.expect_err(name);
        assert!(refusal.contains(expected), "{name}: {refusal}");
    }
}

#[tokio::test]
async fn the_api_server_accepts_what_makes_sense_and_fills_in_the_defaults() {
    let team = team("accepted").await;
    let full = policy("full")
        .on("batch/v1", "Job")
        .requiring(json!([{"key": "example.com/a", "operator": "NotIn", "values": ["b", ""]}]))
        .labelled("app.kubernetes.io/name=report")
        .after(3_153_600_000)
        .at_rate(10_000)
        .propagating("Foreground")
        .with("/spec/behavior/gracePeriodSeconds", 86_400)
        .paused();
    team.create(full).await;
    let minimal = team.create(policy("minimal")).await;
    let found = team.look_at(&minimal).await.unwrap();
    assert_eq!(found["spec"]["targetResource"]["kind"], "ConfigMap", "{found}");
    team.collecting(&minimal).await;
}
