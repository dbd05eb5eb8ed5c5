//! Plugins that are declared: taken up, changed, forgotten.

use plugins::InvalidPlugin;
use serde_json::json;
use testbed::targets::Target;
use testbed::targets::hook::Hook;

use crate::support::{Ground, kind, plugin, task};

#[tokio::test]
async fn a_plugin_is_taken_up_changed_and_forgotten_without_a_restart() {
    let ground = Ground::new();
    let [old, new] = [Target::start(Hook::new()).await.unwrap(), Target::start(Hook::new()).await.unwrap()];
    assert_eq!(ground.plugins.facts("other"), None);
    assert_eq!(kind(&ground.execute("other", &task("a", json!({}))).await), "unreachable");

    ground.declare(
        json!({"http": {"url": old.url()}, "settingsSchema": {"properties": {"a": {"type": "string"}}}}),
    );
    assert!(ground.plugins.facts("other").unwrap().settings_schema.contains_key("properties"));
    assert_eq!(kind(&ground.execute("other", &task("a", json!({"a": "b"}))).await), "done");
    assert_eq!(
        kind(&ground.execute("other", &task("b", json!({"a": 1}))).await),
        "failed-for-good:InvalidSettings"
    );

    ground.declare(json!({"http": {"url": new.url()}, "concurrency": 3}));
    assert_eq!(kind(&ground.execute("other", &task("c", json!({}))).await), "done");
    assert_eq!(ground.plugins.capacity("other"), (3, None));
    assert_eq!((old.received().len(), new.received().len()), (1, 1));

    ground.plugins.declare(&plugin("other", json!({"http": {"url": "nonsense"}}))).unwrap_err();
    assert_eq!(ground.plugins.facts("other"), None, "what nobody wants any more is not asked");
    ground.declare(json!({"http": {"url": new.url()}}));
    ground.plugins.forget("other");
    assert_eq!(ground.plugins.facts("other"), None);
    assert!(!ground.metrics.encode().unwrap().contains("plugin=\"other\",call=\"describe\""));
    ground.plugins.forget("log");
    assert!(ground.plugins.facts("log").is_some(), "what comes with us stays");
}

#[test]
fn what_cannot_be_used_is_refused_with_what_to_write() {
    let ground = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { Ground::new() });
    let http = |more: serde_json::Value| {
        let mut http = json!({"url": "https://a.example"});
        http.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"http": http})
    };
    let job = |template: serde_json::Value| json!({"job": {"namespace": "tools", "template": template}});
    let pod = |spec: serde_json::Value| json!({"template": {"spec": spec}});
    let containers = json!([{"name": "a", "image": "b"}]);
    let rows = [
        ("other", json!({}), "either by http or by job"),
        ("other", http(json!({"url": "ftp://a"})), "begins with neither"),
        ("other", http(json!({"url": "https://u:p@a.example"})), "names a user"),
        ("other", http(json!({"timeout": "1h"})), "too long"),
        ("other", http(json!({"timeout": "soon"})), "not a duration"),
        ("other", http(json!({"caBundle": "x"})), "BEGIN CERTIFICATE"),
        ("other", http(json!({"headersFrom": {"Host": {"name": "a", "key": "b"}}})), "is written by us"),
        ("other", http(json!({"headersFrom": {"a b": {"name": "a", "key": "b"}}})), "no name of a header"),
        ("other", json!({"http": {"url": "https://a.example"}, "concurrency": 0}), "write 1 to 1000"),
        (
            "other",
            json!({"http": {"url": "https://a.example"}, "settingsSchema": {"if": {}}}),
            "spec.settingsSchema has `if`",
        ),
        ("other", job(json!({})), "no `template.spec`"),
        ("other", job(pod(json!({}))), "containers: write 1 to"),
        (
            "other",
            job(pod(json!({"containers": containers, "restartPolicy": "Always"}))),
            "Never or OnFailure",
        ),
        (
            "other",
            job(json!({"ttlSecondsAfterFinished": 1, "template": {"spec": {"containers": containers}}})),
            "at least 600",
        ),
        ("slack", http(json!({})), "another name"),
        ("drain", http(json!({})), "another name"),
        ("portworx", http(json!({})), "another name"),
    ];
    for (name, spec, words) in rows {
        let fault: InvalidPlugin = ground.plugins.declare(&plugin(name, spec.clone())).unwrap_err();
        assert!(fault.to_string().contains(words), "{spec}: {fault}");
    }
}
