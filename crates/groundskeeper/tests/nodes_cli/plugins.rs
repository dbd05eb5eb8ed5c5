//! What is known of plugins.

use serde_json::json;
use testbed::targets::Target;
use testbed::targets::hook::Hook;

use crate::bed::bed;

#[tokio::test]
async fn plugins_are_listed_with_what_the_operator_says_of_them() {
    let bed = bed().await;
    bed.create("CleanupPlugin", "forget", json!({"http": {"url": "https://cleanup.example.com/v1"}})).await;
    bed.create("CleanupPlugin", "wipe", json!({"job": {"namespace": "ops", "template": {"template": {}}}}))
        .await;
    let steps = json!([{"name": "tell-the-cmdb", "plugin": "forget"}]);
    bed.create("NodeCleanupPolicy", "workers", json!({ "steps": steps })).await;
    let ready = json!({"type": "Ready", "status": "False", "reason": "Unreachable", "message": "connection refused",
        "lastTransitionTime": "2026-11-21T12:00:00Z"});
    bed.says("CleanupPlugin", "forget", json!({"observedGeneration": 1, "conditions": [ready]})).await;

    let told = bed.run("plugins list -o json").ok().json();
    let row = |name: &str| {
        let rows = told["plugins"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name}: {told:#}")).clone()
    };
    assert_eq!((&row("portworx")["type"], &row("drain")["ready"]), (&json!("BuiltIn"), &json!(true)));
    assert_eq!((&row("forget")["ready"], &row("forget")["reason"]), (&json!(false), &json!("Unreachable")));
    assert_eq!((&row("wipe")["ready"], &row("wipe")["type"]), (&json!(null), &json!("Job")));

    let status = bed.run("plugins status forget");
    assert_eq!(status.status, 2, "{status:?}");
    assert!(
        status.out.contains("connection refused") && status.out.contains("tell-the-cmdb of workers"),
        "{status:?}"
    );
    assert!(bed.run("plugins status wipe").ok().out.contains("has not looked at it"));
    assert!(
        bed.run("plugins status nobody")
            .complaint()
            .contains("there is no plugin nobody; there are cmdb, drain,")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_asked_all_that_changes_nothing() {
    let bed = bed().await;
    bed.node("worker-1", &[]).await;
    let hook = Target::start(Hook::new()).await.unwrap();
    let schema =
        json!({"type": "object", "properties": {"zone": {"type": "string"}}, "additionalProperties": false});
    let plugin = json!({
        "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "CleanupPlugin", "metadata": {"name": "forget"},
        "spec": {"http": {"url": hook.url(), "timeout": "5s"}, "settingsSchema": schema},
    });
    let write = |name: &str, text: &str| {
        let path = bed.cluster.directory().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (file, good, bad) = (
        write("plugin.json", &plugin.to_string()),
        write("good.yaml", "zone: a\n"),
        write("bad.yaml", "zone: 1\n"),
    );

    let test = "plugins test forget --allow-loopback --node worker-1";
    let said = bed.start(&format!("{test} -f {file} --settings {good}")).await.unwrap().ok();
    assert!(said.out.contains("it could work now"), "{said:?}");
    let calls: Vec<_> = hook.received().iter().map(|request| request.json()["call"].clone()).collect();
    assert_eq!(calls, ["describe", "check", "plan"], "it is never asked to execute");
    assert_eq!(hook.received()[2].json()["node"]["name"], "worker-1");
    assert_eq!(hook.received()[2].json()["settings"], json!({"zone": "a"}));

    bed.create_as("CleanupPlugin", plugin).await;
    let said = bed.start(&format!("{test} --settings {bad} -o json")).await.unwrap();
    assert_eq!(said.status, 2, "{said:?}");
    let answer = said.json();
    assert_eq!(
        (&answer["questions"][0]["question"], &answer["questions"][0]["passed"]),
        (&json!("settings"), &json!(false))
    );
    hook.with(|hook| hook.sicken(Some("the CMDB is being migrated")));
    let said = bed.start(test).await.unwrap();
    assert!(said.status == 2 && said.out.contains("the CMDB is being migrated"), "{said:?}");
    let far = bed.start("plugins test forget").await.unwrap();
    assert!(
        far.status == 2 && far.out.contains("FAILED"),
        "loopback is not called unless that is allowed: {far:?}"
    );
    assert!(bed.run("plugins test drain").complaint().contains("nodes plan"));
    assert!(bed.run("plugins test nobody").complaint().contains("there is no plugin nobody"));
}
