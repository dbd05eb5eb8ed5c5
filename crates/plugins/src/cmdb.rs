//! `cmdb`: a record in another system, opened once and then changed, by HTTP with templates.
//!
//! What the other system calls the record is kept in the step's state before anything is done with it. An answer that was
//! lost leaves no second record: the record is looked for first, or the server knows it by the idempotency key. One of the
//! two has to be said.

use std::collections::BTreeMap;
use std::time::Duration;

use api::node_cleanup::SecretKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::Redacted;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Method;
use node_cleanup::contract::{Checked, Described, Executed, Planned, Task};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::builtin::{Builtin, Desk, Trouble, healthy, ours};
use crate::hook::{origin, refusal, trust, with_key, with_secrets};
use crate::limits::ID_CHARS_MAX;
use crate::outbound::{Answer, Call, Trust, Url, header_name};
use crate::settings::{self, read};
use crate::template::{Facts, Speaks, Template, fill_json};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cmdb;

/// The settings of `cmdb`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CmdbSettings {
    /// How a record is looked for that exists: a GET. Asked as long as its id is not known.
    #[serde(default)]
    find: Option<Find>,
    /// How a record is opened. Left out: only one that is found is changed.
    #[serde(default)]
    create: Option<Create>,
    /// How the record is changed or closed, once its id is known. Left out: it is left as it is.
    #[serde(default)]
    update: Option<Write>,
    /// Headers whose values lie in Secrets of the operator's namespace, by header; at most 16.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 16))]
    headers_from: BTreeMap<String, SecretKey>,
    /// Name and password in Secrets of the operator's namespace, sent as HTTP Basic.
    #[serde(default)]
    basic_auth_from: Option<BasicAuth>,
    /// The certificates that vouch for the server, as PEM. Left out: those of the system.
    #[serde(default)]
    #[schemars(length(max = 16384))]
    ca_bundle: Option<String>,
    /// How long one call may take, such as `30s`: from `1s` to `5m`. Default: `30s`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    timeout: Option<String>,
}

/// How a record is looked for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Find {
    /// The address of the question, with placeholders behind the host, such as
    /// `https://example.service-now.com/api/now/table/incident?sysparm_query=correlation_id={{idempotencyKey}}&sysparm_limit=1`.
    #[schemars(length(min = 1, max = 2048))]
    url: String,
    /// Where the id lies in the answer, as a JSON Pointer, such as `/result/0/sys_id`. Nothing there: there is no record.
    #[schemars(length(max = 256), regex(pattern = "^/"))]
    id_at: String,
}

/// How a record is opened.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    /// `POST` or `PUT`. Default: `POST`.
    #[serde(default)]
    method: Verb,
    /// The address, with placeholders behind the host.
    #[schemars(length(min = 1, max = 2048))]
    url: String,
    /// The body, as JSON; placeholders are filled in within its texts.
    #[serde(default)]
    body: Map<String, Value>,
    /// Where the id lies in the answer, as a JSON Pointer, such as `/result/sys_id`.
    #[schemars(length(max = 256), regex(pattern = "^/"))]
    id_at: String,
    /// Whether the server itself opens one record only for each value of the header `Idempotency-Key`. Default: false; then
    /// `find` is needed.
    #[serde(default)]
    idempotent: bool,
}

/// How a record is changed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Write {
    /// `PATCH`, `PUT` or `POST`. Default: `PATCH`.
    #[serde(default = "patch")]
    method: Verb,
    /// The address, with placeholders behind the host; `{{id}}` is the record's id.
    #[schemars(length(min = 1, max = 2048))]
    url: String,
    /// The body, as JSON; placeholders are filled in within its texts.
    #[serde(default)]
    body: Map<String, Value>,
}

/// Name and password.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BasicAuth {
    /// Where the name lies.
    username: SecretKey,
    /// Where the password lies.
    password: SecretKey,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Verb {
    #[default]
    Post,
    Put,
    Patch,
}

const fn patch() -> Verb {
    Verb::Patch
}

impl Verb {
    fn method(self) -> Method {
        match self {
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
        }
    }
}

/// Settings that were checked.
struct Prepared {
    settings: CmdbSettings,
    trust: Option<Trust>,
    timeout: Duration,
}

/// How far the record is, as the step's state has it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// No id is known.
    Unknown,
    /// There is one of this id.
    Known(String),
    /// It has been changed.
    Updated(String),
}

impl Stage {
    fn of(state: &Map<String, Value>) -> Self {
        let id = state.get("id").and_then(Value::as_str).map(str::to_owned);
        match (id, state.get("stage").and_then(Value::as_str)) {
            (Some(id), Some("updated")) => Self::Updated(id),
            (Some(id), _) => Self::Known(id),
            (None, _) => Self::Unknown,
        }
    }
}

fn state(stage: &str, id: &str) -> Option<Map<String, Value>> {
    json!({"stage": stage, "id": id}).as_object().cloned()
}

impl Prepared {
    fn of(written: &Map<String, Value>) -> Result<Self, Trouble> {
        let settings: CmdbSettings = read(written)?;
        let wrong = |what: &str| Err(Trouble::Settings(what.to_owned()));
        match (&settings.find, &settings.create, &settings.update) {
            (_, None, None) => {
                return wrong(
                    "settings has neither `create` nor `update`: write what is to be done with the record",
                );
            }
            (None, None, Some(_)) => {
                return wrong("settings.update needs an id: write `find` or `create`, which give one");
            }
            (None, Some(create), _) if !create.idempotent => {
                return wrong(
                    "settings.create might open a second record after an answer was lost: write `find`, or `idempotent: true` if the server opens one only for each Idempotency-Key",
                );
            }
            _ => {}
        }
        let prepared = Self {
            trust: trust(settings.ca_bundle.as_deref()).map_err(Trouble::Settings)?,
            timeout: settings::timeout(settings.timeout.as_deref()).map_err(Trouble::Settings)?,
            settings,
        };
        prepared.check_texts()?;
        Ok(prepared)
    }

    /// Reads all templates, so that what is wrong with the last one is said before the first is used.
    fn check_texts(&self) -> Result<(), Trouble> {
        let CmdbSettings { find, create, update, headers_from, .. } = &self.settings;
        for name in headers_from.keys() {
            header_name(name).map_err(|fault| Trouble::Settings(format!("settings.headersFrom: {fault}")))?;
        }
        let about_the_node = find.iter().map(|find| &find.url).chain(create.iter().map(|create| &create.url));
        about_the_node.map(|url| address(url, Speaks::OfTheNode)).try_for_each(|read| read.map(drop))?;
        if let Some(update) = update {
            address(&update.url, Speaks::OfTheRecord)?;
        }
        let bodies = [
            (create.as_ref().map(|create| &create.body), Speaks::OfTheNode),
            (update.as_ref().map(|update| &update.body), Speaks::OfTheRecord),
        ];
        for (body, speaks) in bodies {
            body.into_iter()
                .flat_map(|body| body.values())
                .try_for_each(|value| check_json(value, speaks))?;
        }
        Ok(())
    }

    /// A call with all that it is shown.
    async fn call(&self, desk: &Desk, method: Method, url: Url, task: &Task) -> Result<Call, Trouble> {
        let call = Call::new(method, url).trust(self.trust.clone()).timeout(self.timeout);
        let call = with_secrets(with_key(call, task)?, desk, &self.settings.headers_from).await?;
        let Some(BasicAuth { username, password }) = &self.settings.basic_auth_from else { return Ok(call) };
        let (username, password) = (desk.secret(username).await?, desk.secret(password).await?);
        let pair = format!("{}:{}", username.expose(), password.expose());
        let value = Redacted::new(format!("Basic {}", STANDARD.encode(pair)));
        let call = call.hiding(&password).secret_header("Authorization", &value);
        call.map_err(|fault| Trouble::Settings(fault.to_string()))
    }

    async fn execute(&self, desk: &Desk, task: &Task) -> Result<Executed, Trouble> {
        match Stage::of(&task.state) {
            Stage::Unknown => self.make_known(desk, task).await,
            Stage::Known(id) => self.update(desk, task, &id).await,
            Stage::Updated(id) => {
                Ok(done(format!("the record {id} is as it should be"), state("updated", &id)))
            }
        }
    }

    /// Finds the record, or opens it. Its id is answered before anything else is done, so that it is written down.
    async fn make_known(&self, desk: &Desk, task: &Task) -> Result<Executed, Trouble> {
        if let Some(find) = &self.settings.find {
            let url = filled(&find.url, Facts { task, id: None })?;
            let answer = desk.send(&self.call(desk, Method::GET, url, task).await?).await?;
            match self.found(desk, find, &answer)? {
                Found::Record(id) => return Ok(self.known("found", &id)),
                Found::None => {}
                Found::Refused(refused) => return Ok(refused),
            }
        }
        let Some(create) = &self.settings.create else {
            return Ok(done("there is no record of the node: nothing to do".to_owned(), None));
        };
        let facts = Facts { task, id: None };
        let url = filled(&create.url, facts)?;
        let body = fill_json(&Value::Object(create.body.clone()), facts, Speaks::OfTheNode)?;
        let answer =
            desk.send(&self.call(desk, create.method.method(), url, task).await?.json(&body)).await?;
        if !answer.status.is_success() {
            return self.refused(desk, &answer);
        }
        let id = json_of(&answer).and_then(|body| id_at(&body, &create.id_at));
        Ok(match id {
            Some(id) => self.known("created", &id),
            None => Executed::Failed {
                retryable: true,
                reason: "NoIdInAnswer".to_owned(),
                message: format!(
                    "the server took the record, and its answer has no id at `{}`: correct settings.create.idAt",
                    create.id_at
                ),
                state: None,
            },
        })
    }

    fn known(&self, stage: &str, id: &str) -> Executed {
        if self.settings.update.is_none() {
            return done(format!("the record {id} was {stage}"), state(stage, id));
        }
        Executed::Progress {
            percent: Some(50),
            message: format!("the record {id} was {stage}; it is changed next"),
            retry_after_seconds: node_cleanup::limits::RETRY_AFTER_SECONDS_MIN,
            state: state(stage, id),
        }
    }

    async fn update(&self, desk: &Desk, task: &Task, id: &str) -> Result<Executed, Trouble> {
        let Some(update) = &self.settings.update else {
            return Ok(done(format!("the record {id} is there"), None));
        };
        let facts = Facts { task, id: Some(id) };
        let url = filled(&update.url, facts)?;
        let body = fill_json(&Value::Object(update.body.clone()), facts, Speaks::OfTheRecord)?;
        let answer =
            desk.send(&self.call(desk, update.method.method(), url, task).await?.json(&body)).await?;
        if answer.status.is_success() {
            return Ok(done(format!("the record {id} was changed"), state("updated", id)));
        }
        self.refused(desk, &answer)
    }

    fn found(&self, desk: &Desk, find: &Find, answer: &Answer) -> Result<Found, Trouble> {
        match answer.status.as_u16() {
            200..=299 => {
                let body = json_of(answer).ok_or_else(|| {
                    Trouble::Unreachable(
                        "the server answered the search with something else than JSON".to_owned(),
                    )
                })?;
                Ok(id_at(&body, &find.id_at).map_or(Found::None, Found::Record))
            }
            404 => Ok(Found::None),
            _ => self.refused(desk, answer).map(Found::Refused),
        }
    }

    fn refused(&self, desk: &Desk, answer: &Answer) -> Result<Executed, Trouble> {
        if matches!(answer.status.as_u16(), 401 | 403) {
            let CmdbSettings { headers_from, basic_auth_from, .. } = &self.settings;
            let pair = basic_auth_from.iter().flat_map(|pair| [&pair.username, &pair.password]);
            headers_from.values().chain(pair).for_each(|key| desk.secrets.doubt(&key.name));
        }
        refusal("the server", answer)
    }
}

enum Found {
    Record(String),
    None,
    Refused(Executed),
}

fn done(message: String, state: Option<Map<String, Value>>) -> Executed {
    Executed::Done { message, state }
}

fn json_of(answer: &Answer) -> Option<Value> {
    serde_json::from_slice(&answer.body).ok()
}

/// An id: a word or a whole number, and nothing that would break an address or a message.
fn id_at(body: &Value, pointer: &str) -> Option<String> {
    let id = match body.pointer(pointer)? {
        Value::String(id) => id.clone(),
        Value::Number(number) if number.is_u64() || number.is_i64() => number.to_string(),
        _ => return None,
    };
    let is_word = !id.is_empty() && id.chars().count() <= ID_CHARS_MAX && !id.chars().any(char::is_control);
    is_word.then_some(id)
}

/// The address of a call.
fn filled(text: &str, facts: Facts<'_>) -> Result<Url, Trouble> {
    let filled = address(text, Speaks::OfTheRecord)?.address(facts)?;
    filled.parse().map_err(|fault: crate::outbound::InvalidUrl| Trouble::Settings(fault.to_string()))
}

/// A template of an address, whose host nobody's value can change.
fn address(text: &str, speaks: Speaks) -> Result<Template, Trouble> {
    let template = Template::read(text, speaks)?;
    let host_begins = text.find("://").map_or(0, |at| at + 3);
    let path_begins =
        text.get(host_begins..).and_then(|rest| rest.find(['/', '?'])).map(|at| at + host_begins);
    let is_fixed = match path_begins {
        Some(at) => template.is_fixed_up_to(at + 1),
        None => !text.contains("{{"),
    };
    if !is_fixed {
        let what = "a url has a placeholder before its path: write scheme and host as they are";
        return Err(Trouble::Settings(what.to_owned()));
    }
    let fixed = path_begins.and_then(|at| text.get(..at)).unwrap_or(text);
    let read: Result<Url, _> = fixed.parse();
    read.map_err(|fault| Trouble::Settings(fault.to_string()))?;
    Ok(template)
}

fn check_json(value: &Value, speaks: Speaks) -> Result<(), Trouble> {
    match value {
        Value::String(text) => Ok(Template::read(text, speaks).map(drop)?),
        Value::Array(values) => values.iter().try_for_each(|value| check_json(value, speaks)),
        Value::Object(fields) => fields.values().try_for_each(|value| check_json(value, speaks)),
        _ => Ok(()),
    }
}

impl Builtin for Cmdb {
    fn schema(&self) -> Map<String, Value> {
        settings::schema_of::<CmdbSettings>()
    }

    fn target(&self, settings: &Map<String, Value>) -> String {
        let url = |part: &str| settings.get(part).and_then(|part| part.get("url"));
        origin(url("find").or_else(|| url("create")))
    }

    fn describe<'a>(&'a self, _: &'a Desk) -> BoxFuture<'a, Result<Described, Trouble>> {
        async { Ok(ours("cmdb", self.schema())) }.boxed()
    }

    fn check<'a>(
        &'a self,
        desk: &'a Desk,
        settings: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Checked, Trouble>> {
        async {
            let prepared = Prepared::of(settings)?;
            let CmdbSettings { find, create, update, .. } = &prepared.settings;
            let urls = [
                find.as_ref().map(|it| &it.url),
                create.as_ref().map(|it| &it.url),
                update.as_ref().map(|it| &it.url),
            ];
            let mut knocked: Vec<String> = Vec::new();
            for text in urls.into_iter().flatten() {
                let url = host_of(text)?;
                if knocked.contains(&url.to_string()) {
                    continue;
                }
                knocked.push(url.to_string());
                let call = prepared.call(desk, Method::GET, url, &Task::default()).await?;
                desk.caller.knock(&call).await?;
            }
            Ok(healthy("the server can be reached, and the secrets are there"))
        }
        .boxed()
    }

    fn plan<'a>(&'a self, _: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Planned, Trouble>> {
        async {
            let prepared = Prepared::of(&task.settings)?;
            let CmdbSettings { find, create, update, .. } = &prepared.settings;
            let host = |text: &str| host_of(text).map(|url| url.host().to_owned());
            let look = find
                .as_ref()
                .map(|find| Ok(format!("looks for the record of the node at {}", host(&find.url)?)));
            let open = create
                .as_ref()
                .map(|create| Ok(format!("opens a record at {}, if there is none", host(&create.url)?)));
            let change =
                update.as_ref().map(|update| Ok(format!("changes the record at {}", host(&update.url)?)));
            let lines: Result<Vec<String>, Trouble> = [look, open, change].into_iter().flatten().collect();
            Ok(Planned { steps: lines? })
        }
        .boxed()
    }

    fn execute<'a>(&'a self, desk: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Executed, Trouble>> {
        async { Prepared::of(&task.settings)?.execute(desk, task).await }.boxed()
    }
}

/// Scheme, host and port of a template.
fn host_of(text: &str) -> Result<Url, Trouble> {
    let end = text.find("://").and_then(|at| text.get(at + 3..)?.find(['/', '?']).map(|path| path + at + 3));
    let fixed = end.and_then(|end| text.get(..end)).unwrap_or(text);
    fixed.parse().map_err(|fault: crate::outbound::InvalidUrl| Trouble::Settings(fault.to_string()))
}
