//! Where calls may go.

use plugins::Outbound;
use serde_json::json;
use testbed::targets::Target;
use testbed::targets::hook::Hook;

use crate::support::{Ground, kind, task};
use node_cleanup::steps::Outcome;

#[tokio::test]
async fn loopback_private_and_link_local_addresses_are_refused() {
    let ground = Ground::under(Outbound::default());
    let hook = Target::start(Hook::new()).await.unwrap();
    let port = hook.url().rsplit(':').next().unwrap().to_owned();
    let rows = [
        (hook.url(), "which is ourselves"),
        (format!("http://localhost:{port}"), "which is ourselves"),
        (format!("http://127.1:{port}"), "which is ourselves"),
        (format!("http://[::1]:{port}"), "which is ourselves"),
        (format!("http://[::ffff:127.0.0.1]:{port}"), "which is ourselves"),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), "link-local"),
        ("http://[fe80::1]/".to_owned(), "link-local"),
        ("http://10.0.0.1/".to_owned(), "a private address"),
        ("http://[fd12::1]/".to_owned(), "a private address"),
        ("http://0.0.0.0/".to_owned(), "unspecified"),
        ("http://224.0.0.1/".to_owned(), "multicast"),
    ];
    for (number, (url, words)) in rows.iter().enumerate() {
        let outcome = ground.execute("httpHook", &task(&format!("s{number}"), json!({"url": url}))).await;
        assert!(matches!(&outcome, Outcome::Unreachable(why) if why.contains(words)), "{url}: {outcome:?}");
        ground.clock.on(std::time::Duration::from_mins(2));
    }
    assert!(hook.received().is_empty());
}

#[tokio::test]
async fn no_word_of_a_plugin_opens_what_only_the_operator_may_open() {
    let hook = Target::start(Hook::new()).await.unwrap();
    let everything = vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
    let ground = Ground::under(Outbound { allow_private: everything, allow_loopback: false });
    for url in [hook.url(), "http://169.254.169.254".to_owned()] {
        ground.declare(json!({"http": {"url": url, "allowPrivateAddresses": true}}));
        assert_eq!(kind(&ground.execute("other", &task("tell", json!({}))).await), "unreachable", "{url}");
    }
    assert!(hook.received().is_empty());
}
