//! The example of `docs/nodes/write-a-plugin.md`, as it stands there.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::support::{Ground, kind, object, task};

#[tokio::test]
async fn the_example_of_the_page_is_a_plugin() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/nodes/examples/plugin.py");
    let text = std::fs::read_to_string(example).unwrap();
    assert!(text.lines().count() <= 30, "the page says 30 lines");
    let mut python = Command::new("python3")
        .arg("-u")
        .arg(example)
        .args(["127.0.0.1", "0"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(python.stdout.take().unwrap()).lines();
    let line =
        tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await.unwrap().unwrap().unwrap();
    let port = line.rsplit(' ').next().unwrap().to_owned();

    let ground = Ground::new();
    ground.declare(json!({"http": {"url": format!("http://127.0.0.1:{port}")}}));
    assert_eq!(ground.plugins.describe("other").await.unwrap().name, "forget-the-node");
    assert!(ground.plugins.check("other", &object(json!({}))).await.unwrap().healthy);
    let mut forget = task("forget", json!({}));
    assert_eq!(ground.plugins.plan("other", &forget).await.unwrap().steps, ["would forget worker-1"]);
    assert_eq!(kind(&ground.execute("other", &forget).await), "progress");
    assert_eq!(kind(&ground.to_the_end("other", &mut forget).await), "done");
    let again = ground.execute("other", &forget).await;
    assert!(kind(&again) == "done" && format!("{again:?}").contains("before"), "{again:?}");
    python.kill().await.unwrap();
}
