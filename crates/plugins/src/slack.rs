//! `slack`: one message through an incoming webhook.
//!
//! The address of the webhook is the secret. Slack knows no idempotency: a message whose answer was lost is sent again.

use std::time::Duration;

use api::node_cleanup::SecretKey;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Method;
use node_cleanup::contract::{Checked, Described, Executed, Planned, Task};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::builtin::{Builtin, Desk, Trouble, healthy, ours, planned};
use crate::hook::{refusal, trust};
use crate::outbound::{Answer, Call};
use crate::settings::{self, read};
use crate::template::{Facts, Speaks, Template};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slack;

/// The settings of `slack`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SlackSettings {
    /// The Secret in the operator's namespace, and its key, under which the address of the incoming webhook lies.
    url_from: SecretKey,
    /// What is said, in Slack's markup, with placeholders such as `{{node.name}}`. Default:
    /// `Node *{{node.name}}* leaves the cluster.`
    #[serde(default)]
    #[schemars(length(min = 1, max = 3000))]
    message: Option<String>,
    /// The certificates that vouch for the server, as PEM. Left out: those of the system.
    #[serde(default)]
    #[schemars(length(max = 16384))]
    ca_bundle: Option<String>,
    /// How long the call may take, such as `30s`: from `1s` to `5m`. Default: `30s`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    timeout: Option<String>,
}

/// A webhook that can be called, and what is said there.
struct Prepared {
    template: Template,
    timeout: Duration,
    trust: Option<crate::outbound::Trust>,
    url_from: SecretKey,
}

impl Prepared {
    fn of(settings: &Map<String, Value>) -> Result<Self, Trouble> {
        let SlackSettings { url_from, message, ca_bundle, timeout } = read(settings)?;
        let message = message.as_deref().unwrap_or("Node *{{node.name}}* leaves the cluster.");
        Ok(Self {
            template: Template::read(message, Speaks::OfTheNode)?,
            timeout: settings::timeout(timeout.as_deref()).map_err(Trouble::Settings)?,
            trust: trust(ca_bundle.as_deref()).map_err(Trouble::Settings)?,
            url_from,
        })
    }

    fn text(&self, task: &Task) -> Result<String, Trouble> {
        Ok(self.template.text(Facts { task, id: None }, escaped)?)
    }

    async fn call(&self, desk: &Desk) -> Result<Call, Trouble> {
        let url = desk.secret(&self.url_from).await?;
        let fail = |fault: crate::outbound::InvalidUrl| {
            let SecretKey { name, key } = &self.url_from;
            Trouble::Settings(format!("the key `{key}` of the Secret `{name}`: {fault}"))
        };
        let mut call = Call::new(Method::POST, url.expose().parse().map_err(fail)?).hiding(&url);
        for part in url.expose().split('/').skip(3).filter(|part| part.len() > 8) {
            call = call.hiding(&chassis::Redacted::new(part.to_owned()));
        }
        Ok(call.timeout(self.timeout).trust(self.trust.clone()))
    }
}

/// As Slack wants it: these three would be markup.
fn escaped(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What Slack made of a message. It says `ok`, or one word of what is wrong.
fn understood(answer: &Answer) -> Result<Executed, Trouble> {
    let body = String::from_utf8_lossy(&answer.body);
    let said = body.trim();
    if answer.status.is_success() {
        return match said {
            "ok" => Ok(Executed::Done { message: "Slack took the message".to_owned(), state: None }),
            _ => Err(Trouble::Unreachable(
                "the server answered 200 and something else than `ok`: it is no incoming webhook of Slack"
                    .to_owned(),
            )),
        };
    }
    let is_word =
        said.len() <= 64 && !said.is_empty() && said.bytes().all(|c| c.is_ascii_lowercase() || c == b'_');
    match refusal("Slack", answer)? {
        Executed::Failed { retryable, reason, message, state } if is_word => {
            Ok(Executed::Failed { retryable, reason, message: format!("{message}: {said}"), state })
        }
        other => Ok(other),
    }
}

impl Builtin for Slack {
    fn schema(&self) -> Map<String, Value> {
        settings::schema_of::<SlackSettings>()
    }

    fn target(&self, settings: &Map<String, Value>) -> String {
        settings.get("urlFrom").map(Value::to_string).unwrap_or_default()
    }

    fn describe<'a>(&'a self, _: &'a Desk) -> BoxFuture<'a, Result<Described, Trouble>> {
        async { Ok(ours("slack", self.schema())) }.boxed()
    }

    fn check<'a>(
        &'a self,
        desk: &'a Desk,
        settings: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Checked, Trouble>> {
        async {
            desk.caller.knock(&Prepared::of(settings)?.call(desk).await?).await?;
            Ok(healthy("the server can be reached; whether the webhook is still there, only a message shows"))
        }
        .boxed()
    }

    fn plan<'a>(&'a self, _: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Planned, Trouble>> {
        async { Ok(planned([format!("says to Slack: {}", Prepared::of(&task.settings)?.text(task)?)])) }
            .boxed()
    }

    fn execute<'a>(&'a self, desk: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Executed, Trouble>> {
        async {
            let prepared = Prepared::of(&task.settings)?;
            let text = prepared.text(task)?;
            let answer = desk.send(&prepared.call(desk).await?.json(&json!({"text": text}))).await?;
            if matches!(answer.status.as_u16(), 401 | 403 | 404 | 410) {
                desk.secrets.doubt(&prepared.url_from.name);
            }
            understood(&answer)
        }
        .boxed()
    }
}
