//! Secrets: read by name, seen when they change, shown to nobody.

use std::time::Duration;

use serde_json::json;
use testbed::targets::hook::Hook;
use testbed::targets::{Misbehaviour, Target};

use crate::support::{Ground, kind, object, task};

const TOKEN: &str = "Bearer s3cr3t-token-0001";

async fn hook(name: &str) -> (Ground, Target<Hook>) {
    let (ground, hook) = (Ground::in_cluster(name).await, Target::start(Hook::new()).await.unwrap());
    let headers = json!({"Authorization": {"name": "hook", "key": "token"}});
    ground.declare(json!({"http": {"url": hook.url(), "headersFrom": headers}}));
    (ground, hook)
}

fn shown(hook: &Target<Hook>) -> Vec<String> {
    hook.received()
        .iter()
        .map(|request| request.header("authorization").unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn a_secret_that_is_rotated_is_seen() {
    let (ground, hook) = hook("rotated").await;
    let missing = ground.execute("other", &task("a", json!({}))).await;
    assert_eq!(kind(&missing), "failed:SecretUnreadable");
    assert!(format!("{missing:?}").contains("there is no Secret `hook`"), "{missing:?}");

    ground.secret("hook", &[("token", &format!("{TOKEN}\n"))]).await;
    assert_eq!(kind(&ground.execute("other", &task("a", json!({}))).await), "done");
    ground.secret("hook", &[("token", "Bearer other-token")]).await;
    assert_eq!(kind(&ground.execute("other", &task("b", json!({}))).await), "done");
    ground.clock.on(Duration::from_secs(31));
    assert_eq!(kind(&ground.execute("other", &task("c", json!({}))).await), "done");
    assert_eq!(shown(&hook), [TOKEN, TOKEN, "Bearer other-token"], "it is believed for half a minute");

    ground.secret("hook", &[("token", "Bearer third-token")]).await;
    hook.misbehave(1, Misbehaviour::Fail(401));
    assert_eq!(kind(&ground.execute("other", &task("d", json!({}))).await), "unreachable");
    assert_eq!(kind(&ground.execute("other", &task("d", json!({}))).await), "done");
    assert_eq!(shown(&hook).last().unwrap(), "Bearer third-token", "who is refused reads it anew");

    ground.secret("hook", &[("token", "two\nlines")]).await;
    ground.clock.on(Duration::from_secs(31));
    assert_eq!(kind(&ground.execute("other", &task("e", json!({}))).await), "failed:SecretUnreadable");
    ground.secret("hook", &[("other", "x")]).await;
    ground.clock.on(Duration::from_secs(31));
    let no_key = format!("{:?}", ground.execute("other", &task("e", json!({}))).await);
    assert!(no_key.contains("has no key `token`") || no_key.contains("no line of text"), "{no_key}");
}

#[tokio::test]
async fn a_secret_is_in_nothing_that_we_say() {
    let (ground, hook) = hook("unshown").await;
    ground.secret("hook", &[("token", TOKEN)]).await;
    let mut said = String::new();
    for (number, status) in [200, 400, 500].into_iter().enumerate() {
        hook.misbehave(3, Misbehaviour::Repeat(status));
        said += &format!("{:?}", ground.execute("other", &task(&format!("s{number}"), json!({}))).await);
        said += &format!("{:?}", ground.plugins.check("other", &object(json!({}))).await);
        said += &format!("{:?}", ground.plugins.describe("other").await);
    }
    said += &format!("{:?} {:#?}", ground.plugins, ground.plugins);
    said += &ground.metrics.encode().unwrap();
    assert_eq!(shown(&hook), [TOKEN; 9], "it was sent");
    assert!(said.contains("[redacted]"), "it came back: {said}");
    assert!(!said.contains("s3cr3t"), "{said}");
}

#[tokio::test]
async fn a_secret_that_we_may_not_read_is_named_with_the_right_that_lacks() {
    let cluster = testbed::ControlPlane::shared().await.unwrap();
    let ground = Ground::in_cluster("forbidden")
        .await
        .acting_as(cluster.user("nobody", &[]).unwrap().client().unwrap());
    ground.declare(json!({"http": {"url": "http://127.0.0.1:9", "headersFrom": {"A": {"name": "hook", "key": "token"}}}}));
    let outcome = format!("{:?}", ground.execute("other", &task("a", json!({}))).await);
    assert!(outcome.contains("allow `get` on it, by its name"), "{outcome}");
}
