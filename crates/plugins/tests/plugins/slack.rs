//! `slack` against a webhook as Slack publishes it.

use serde_json::json;
use testbed::targets::slack::Slack;
use testbed::targets::{Misbehaviour, Target};

use crate::support::{Ground, kind, object, task};

const PATH: &str = "/services/T000/B000/s3cr3t-path-1";
const OTHER_PATH: &str = "/services/T000/B000/s3cr3t-path-2";

#[tokio::test]
async fn a_message_arrives_and_the_webhook_stays_a_secret() {
    let (ground, slack) = (Ground::in_cluster("slack").await, Target::start(Slack::new(PATH)).await.unwrap());
    ground.secret("slack", &[("url", &format!("{}{PATH}", slack.url()))]).await;
    let url_from = json!({"name": "slack", "key": "url"});
    let message = json!({"urlFrom": url_from, "message": "*{{node.name}}* <{{node.labels['team']}}> leaves"});
    let mut tell = task("tell", message);
    tell.node.labels.insert("team".to_owned(), "a<b>&c".to_owned());

    assert!(ground.plugins.check("slack", &tell.settings).await.unwrap().healthy);
    assert_eq!(
        ground.plugins.plan("slack", &tell).await.unwrap().steps,
        ["says to Slack: *worker-1* <a&lt;b&gt;&amp;c> leaves"]
    );
    assert_eq!(slack.received().len(), 0, "to ask says nothing");
    assert_eq!(kind(&ground.execute("slack", &tell).await), "done");
    assert_eq!(
        slack.with(|slack| slack.messages().to_vec()),
        [json!({"text": "*worker-1* <a&lt;b&gt;&amp;c> leaves"})]
    );

    let mut said = String::new();
    let plain = json!({"urlFrom": url_from});
    let rows = [
        (Misbehaviour::Fail(500), "unreachable"),
        (Misbehaviour::Busy(429, 30), "progress"),
        (Misbehaviour::Fail(403), "failed:Refused"),
        (Misbehaviour::Garbage, "unreachable"),
        (Misbehaviour::Redirect("http://127.0.0.1:9".to_owned()), "failed-for-good:Redirected"),
        (Misbehaviour::Repeat(400), "failed-for-good:Refused"),
    ];
    for (number, (how, wanted)) in rows.into_iter().enumerate() {
        slack.misbehave(1, how.clone());
        let outcome = ground.execute("slack", &task(&format!("s{number}"), plain.clone())).await;
        assert_eq!(kind(&outcome), wanted, "{how:?}: {outcome:?}");
        said += &format!("{outcome:?}");
        ground.clock.on(std::time::Duration::from_mins(2));
    }

    slack.with(|slack| slack.rotate(OTHER_PATH));
    let gone = ground.execute("slack", &task("gone", plain.clone())).await;
    assert_eq!(kind(&gone), "failed-for-good:Refused");
    assert!(format!("{gone:?}").contains("404: no_service"), "{gone:?}");
    ground.secret("slack", &[("url", &format!("{}{OTHER_PATH}", slack.url()))]).await;
    assert_eq!(kind(&ground.execute("slack", &task("gone", plain.clone())).await), "done");
    slack.with(Slack::archive);
    said += &format!("{gone:?}{:?}", ground.execute("slack", &task("archived", plain)).await);
    assert!(said.contains("channel_is_archived") && !said.contains("s3cr3t"), "{said}");

    let wrong =
        ground.plugins.check("slack", &object(json!({"urlFrom": url_from, "message": "{{node}}"}))).await;
    assert!(wrong.unwrap_err().to_string().contains("is no placeholder"));
}
