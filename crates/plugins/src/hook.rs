//! A plugin behind an address: the contract over HTTP, one POST for each question.

use std::collections::BTreeMap;
use std::time::Duration;

use api::node_cleanup::{HttpPlugin, SecretKey};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, StatusCode};
use node_cleanup::contract::{self, Checked, Described, Executed, Planned, Request, Task};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::builtin::{Builtin, Desk, Trouble, ours};
use crate::declared::Terms;
use crate::limits::EXTRA_HEADERS_MAX;
use crate::outbound::{Answer, Call, Reach, Trust, Url, header_name};
use crate::settings::{self, read};

/// Where the server of a plugin is, and what it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    url: Url,
    reach: Reach,
    trust: Option<Trust>,
    headers_from: BTreeMap<String, SecretKey>,
    timeout: Duration,
}

impl Endpoint {
    /// Checks what was written of one.
    pub(crate) fn of(written: &HttpPlugin) -> Result<Self, String> {
        let reach = if written.allow_private_addresses { Reach::Private } else { Reach::Listed };
        if written.headers_from.len() > EXTRA_HEADERS_MAX {
            return Err(format!("headersFrom has more than {EXTRA_HEADERS_MAX} headers: write fewer"));
        }
        for name in written.headers_from.keys() {
            header_name(name).map_err(|fault| format!("headersFrom: {fault}"))?;
        }
        Ok(Self {
            url: written.url.parse().map_err(|fault: crate::outbound::InvalidUrl| fault.to_string())?,
            reach,
            trust: trust(written.ca_bundle.as_deref())?,
            headers_from: written.headers_from.clone(),
            timeout: settings::timeout(written.timeout.as_deref())?,
        })
    }

    /// Asks, and gives the body of the answer.
    async fn ask(&self, desk: &Desk, request: &contract::Call) -> Result<Vec<u8>, Trouble> {
        let mut call = Call::new(Method::POST, self.url.clone())
            .reach(self.reach)
            .trust(self.trust.clone())
            .timeout(self.timeout)
            .json(&json!(Request::new(request.clone())));
        if let contract::Call::Execute(task) = request {
            call = with_key(call, task)?;
        }
        call = with_secrets(call, desk, &self.headers_from).await?;
        let answer = desk.send(&call).await?;
        self.understood(desk, answer)
    }

    fn understood(&self, desk: &Desk, answer: Answer) -> Result<Vec<u8>, Trouble> {
        let url = &self.url;
        let status = answer.status.as_u16();
        if answer.status.is_success() && answer.is_json {
            return Ok(answer.body);
        }
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            self.headers_from.values().for_each(|key| desk.secrets.doubt(&key.name));
        }
        Err(Trouble::Unreachable(match status {
            200..=299 => format!(
                "{url} answered with something else than application/json: the plugin should say so in `Content-Type`, and write an object"
            ),
            300..=399 => format!(
                "{url} answered with a redirect ({status}), which is not followed: write the address that it leads to"
            ),
            _ => format!(
                "{url} answered {status}: a plugin answers 200, and says `failed` where something fails"
            ),
        }))
    }

    async fn describe(&self, desk: &Desk) -> Result<Described, Trouble> {
        Ok(Described::read(&self.ask(desk, &contract::Call::Describe).await?)?)
    }

    async fn check(&self, desk: &Desk, settings: &Map<String, Value>) -> Result<Checked, Trouble> {
        let call = contract::Call::Check { settings: settings.clone() };
        Ok(Checked::read(&self.ask(desk, &call).await?)?)
    }

    async fn plan(&self, desk: &Desk, task: Task) -> Result<Planned, Trouble> {
        Ok(Planned::read(&self.ask(desk, &contract::Call::Plan(Box::new(task))).await?)?)
    }

    async fn execute(&self, desk: &Desk, task: Task) -> Result<Executed, Trouble> {
        Ok(Executed::read(&self.ask(desk, &contract::Call::Execute(Box::new(task))).await?)?)
    }
}

/// Scheme, host and port of an address that was written, template or not.
pub(crate) fn origin(url: Option<&Value>) -> String {
    let url = url.and_then(Value::as_str).unwrap_or_default();
    url.split('/').take(3).collect::<Vec<_>>().join("/").to_ascii_lowercase()
}

/// The certificates that were written, if any were.
pub(crate) fn trust(pem: Option<&str>) -> Result<Option<Trust>, String> {
    pem.map(Trust::bundle).transpose().map_err(|fault| fault.to_string())
}

/// The header that makes the work of all attempts one, for servers that know it.
pub(crate) fn with_key(call: Call, task: &Task) -> Result<Call, Trouble> {
    call.header("Idempotency-Key", &task.idempotency_key)
        .map_err(|fault| Trouble::Settings(fault.to_string()))
}

/// The headers whose values lie in Secrets.
pub(crate) async fn with_secrets(
    mut call: Call,
    desk: &Desk,
    headers: &BTreeMap<String, SecretKey>,
) -> Result<Call, Trouble> {
    for (name, key) in headers {
        let value = desk.secret(key).await?;
        call = call.secret_header(name, &value).map_err(|fault| Trouble::Settings(fault.to_string()))?;
    }
    Ok(call)
}

/// `httpHook`: a server that speaks the contract, at an address of the step's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpHook;

/// The settings of `httpHook`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HookSettings {
    /// Where the server is, such as `https://cleanup.example.com/v1`. It gets one POST for each question.
    #[schemars(length(min = 1, max = 2048))]
    url: String,
    /// Headers whose values lie in Secrets of the operator's namespace, by header; at most 16.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 16))]
    headers_from: BTreeMap<String, SecretKey>,
    /// The certificates that vouch for the server, as PEM. Left out: those of the system.
    #[serde(default)]
    #[schemars(length(max = 16384))]
    ca_bundle: Option<String>,
    /// How long one call may take, such as `30s`: from `1s` to `5m`. Default: `30s`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    timeout: Option<String>,
    /// What the server is told as `settings`.
    #[serde(default)]
    settings: Map<String, Value>,
}

impl HookSettings {
    fn endpoint(written: &Map<String, Value>) -> Result<(Endpoint, Map<String, Value>), Trouble> {
        let Self { url, headers_from, ca_bundle, timeout, settings } = read(written)?;
        let plugin = HttpPlugin { url, allow_private_addresses: false, ca_bundle, headers_from, timeout };
        Ok((Endpoint::of(&plugin).map_err(Trouble::Settings)?, settings))
    }

    fn task(task: &Task) -> Result<(Endpoint, Task), Trouble> {
        let (endpoint, settings) = Self::endpoint(&task.settings)?;
        Ok((endpoint, Task { settings, ..task.clone() }))
    }
}

impl Builtin for HttpHook {
    fn schema(&self) -> Map<String, Value> {
        settings::schema_of::<HookSettings>()
    }

    fn target(&self, settings: &Map<String, Value>) -> String {
        origin(settings.get("url"))
    }

    fn describe<'a>(&'a self, _: &'a Desk) -> BoxFuture<'a, Result<Described, Trouble>> {
        async { Ok(ours("httpHook", self.schema())) }.boxed()
    }

    fn check<'a>(
        &'a self,
        desk: &'a Desk,
        settings: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Checked, Trouble>> {
        async {
            let (endpoint, settings) = HookSettings::endpoint(settings)?;
            endpoint.check(desk, &settings).await
        }
        .boxed()
    }

    fn plan<'a>(&'a self, desk: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Planned, Trouble>> {
        async {
            let (endpoint, task) = HookSettings::task(task)?;
            endpoint.plan(desk, task).await
        }
        .boxed()
    }

    fn execute<'a>(&'a self, desk: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Executed, Trouble>> {
        async {
            let (endpoint, task) = HookSettings::task(task)?;
            endpoint.execute(desk, task).await
        }
        .boxed()
    }
}

/// A `CleanupPlugin` that is a server.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) endpoint: Endpoint,
    pub(crate) terms: Terms,
}

impl Builtin for Declared {
    fn schema(&self) -> Map<String, Value> {
        self.terms.schema.clone()
    }

    fn concurrency(&self) -> u32 {
        self.terms.concurrency
    }

    fn describe<'a>(&'a self, desk: &'a Desk) -> BoxFuture<'a, Result<Described, Trouble>> {
        self.endpoint.describe(desk).boxed()
    }

    fn check<'a>(
        &'a self,
        desk: &'a Desk,
        settings: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Checked, Trouble>> {
        async {
            self.terms.met_by(settings)?;
            self.endpoint.check(desk, settings).await
        }
        .boxed()
    }

    fn plan<'a>(&'a self, desk: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Planned, Trouble>> {
        async {
            self.terms.met_by(&task.settings)?;
            self.endpoint.plan(desk, task.clone()).await
        }
        .boxed()
    }

    fn execute<'a>(&'a self, desk: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Executed, Trouble>> {
        async {
            self.terms.met_by(&task.settings)?;
            self.endpoint.execute(desk, task.clone()).await
        }
        .boxed()
    }
}

/// What a server that is no plugin says by a status other than success.
pub(crate) fn refusal(who: &str, answer: &Answer) -> Result<Executed, Trouble> {
    let status = answer.status.as_u16();
    let failed = |retryable: bool, reason: &str, message: String| {
        Ok(Executed::Failed { retryable, reason: reason.to_owned(), message, state: None })
    };
    if let (429 | 503, Some(wait)) = (status, answer.retry_after) {
        let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1);
        let message = format!("{who} is busy ({status}), and asks us to come again in {seconds} s");
        return Ok(Executed::Progress { percent: None, message, retry_after_seconds: seconds, state: None });
    }
    match status {
        500.. => Err(Trouble::Unreachable(format!("{who} answered {status}"))),
        300..=399 => failed(
            false,
            "Redirected",
            format!(
                "{who} answered with a redirect ({status}), which is not followed: write the address that it leads to"
            ),
        ),
        // What a mended secret, a pause or another hand may change.
        401 | 403 | 408 | 409 | 423 | 425 | 429 => {
            failed(true, "Refused", format!("{who} answered {status}"))
        }
        _ => failed(false, "Refused", format!("{who} answered {status}")),
    }
}
