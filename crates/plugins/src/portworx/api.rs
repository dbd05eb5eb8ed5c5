//! The calls to Portworx, and their quirks: the one place that knows paths and JSON.
//!
//! Two interfaces: the gateway of the SDK (`/v1/nodes`, `/v1/jobs`), whose enums are names and whose 64-bit numbers are texts,
//! with zeroes left out, and the older management interface (`/v1/cluster`), whose enums are numbers and whose errors come with
//! status 200. Knows nothing of what follows on what.
//!
//! What it answers is somebody else's: bounded, shortened, made plain. An answer about another node than was asked for is no
//! answer.

use chassis::Redacted;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::answers::{Census, Job, JobState, NodeState, Removal, Seen, Sighting, Trouble};
use super::flow::{Answer, Ask};
use super::settings::Settings;
use super::stage::Id;
use crate::builtin::{self, Desk};
use crate::limits::{PORTWORX_ANSWER_BYTES_MAX, PORTWORX_CENSUS_BYTES_MAX, PORTWORX_WORDS_CHARS_MAX};
use crate::outbound::{Call, CallError, Caller, InvalidUrl, Trust};

/// Both interfaces, as the settings of one step reach them.
#[derive(Debug)]
pub(super) struct Interfaces<'a> {
    caller: &'a Caller,
    settings: &'a Settings,
    trust: Option<Trust>,
    token: Option<Redacted<String>>,
    /// What jobs are signed with.
    issuer: &'a str,
}

/// What came back.
struct Reply {
    who: &'static str,
    status: StatusCode,
    body: Vec<u8>,
}

const GATEWAY: &str = "Portworx' gateway";
const MANAGEMENT: &str = "Portworx' management interface";

/// What the gateway says of a node that it does not know: a code of gRPC, in the body of a 404.
const GRPC_NOT_FOUND: i64 = 5;

impl<'a> Interfaces<'a> {
    /// Reads the token; asks nobody else.
    pub(super) async fn open(
        desk: &'a Desk,
        settings: &'a Settings,
        issuer: &'a str,
    ) -> Result<Self, builtin::Trouble> {
        let token = match &settings.token_from {
            Some(key) => Some(desk.secret(key).await?),
            None => None,
        };
        Ok(Self { caller: &desk.caller, settings, trust: settings.trust()?, token, issuer })
    }

    /// Asks, and reads the answer. What Kubernetes is asked is not its affair.
    pub(super) async fn ask(&self, ask: &Ask) -> Answer {
        let answer = match ask {
            Ask::Inspect(id) => self.inspect(id).await.map(Answer::Inspect),
            Ask::Census => self.census().await.map(Answer::Census),
            Ask::Jobs => self.jobs().await.map(Answer::Jobs),
            Ask::Job(id) => self.job(id).await.map(Answer::Job),
            Ask::Disable(id) => self.disable(id).await.map(|()| Answer::Disabled),
            Ask::Drain(id) => self.drain(id).await.map(Answer::Draining),
            Ask::Remove(id) => self.remove(id).await.map(Answer::Removal),
            Ask::StorageNode | Ask::Label => Err(Trouble::Unsupported),
        };
        answer.unwrap_or_else(Answer::Trouble)
    }

    /// Whether both interfaces answer, and take the token.
    pub(super) async fn check(&self) -> Result<(), Trouble> {
        self.gateway(Method::GET, "/v1/nodes", None).await.and_then(|reply| ids(&reply))?;
        self.management(Method::GET, "/cluster/versions").await.and_then(|reply| versions(&reply))
    }

    async fn inspect(&self, id: &Id) -> Result<Sighting, Trouble> {
        let path = format!("/v1/nodes/inspect/{}", id.as_str());
        self.gateway(Method::GET, &path, None).await.and_then(|reply| inspected(&reply, id))
    }

    async fn census(&self) -> Result<Census, Trouble> {
        self.management(Method::GET, "/v1/cluster/enumerate").await.and_then(|reply| counted(&reply))
    }

    async fn jobs(&self) -> Result<Vec<Job>, Trouble> {
        self.gateway(Method::GET, "/v1/jobs?type=DRAIN_ATTACHMENTS", None)
            .await
            .and_then(|reply| listed(&reply))
    }

    async fn job(&self, id: &Id) -> Result<Option<Job>, Trouble> {
        let path = format!("/v1/jobs/{}?type=DRAIN_ATTACHMENTS", id.as_str());
        self.gateway(Method::GET, &path, None).await.and_then(|reply| looked_up(&reply, id))
    }

    async fn disable(&self, id: &Id) -> Result<(), Trouble> {
        let path = format!("/v1/nodes/attachments/disable/{}", id.as_str());
        let body = json!({ "node_id": id.as_str() });
        let reply = self.gateway(Method::PUT, &path, Some(&body)).await?;
        reply.read::<Map<String, Value>>().map(|_| ())
    }

    async fn drain(&self, id: &Id) -> Result<Id, Trouble> {
        let path = format!("/v1/nodes/attachments/drain/{}", id.as_str());
        let body = json!({ "node_id": id.as_str(), "issuer": self.issuer });
        self.gateway(Method::PUT, &path, Some(&body)).await.and_then(|reply| begun(&reply))
    }

    async fn remove(&self, id: &Id) -> Result<Removal, Trouble> {
        let path = format!("/v1/cluster/?id={}&forceRemove=false", id.as_str());
        self.management(Method::DELETE, &path).await.and_then(|reply| removal(&reply))
    }

    async fn gateway(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply, Trouble> {
        let call = self.call(method, &self.settings.gateway_url, path)?;
        let call = body.into_iter().fold(call, Call::json);
        self.send(GATEWAY, call.answer_bytes_max(PORTWORX_ANSWER_BYTES_MAX)).await
    }

    async fn management(&self, method: Method, path: &str) -> Result<Reply, Trouble> {
        let call = self.call(method, &self.settings.management_url, path)?;
        self.send(MANAGEMENT, call.answer_bytes_max(PORTWORX_CENSUS_BYTES_MAX)).await
    }

    fn call(&self, method: Method, base: &str, path: &str) -> Result<Call, Trouble> {
        let written = format!("{}{path}", base.trim_end_matches('/'));
        let url = written.parse().map_err(|error: InvalidUrl| Trouble::Error(error.to_string()))?;
        let call = Call::new(method, url).reach(self.settings.reach()).trust(self.trust.clone());
        let Some(token) = &self.token else { return Ok(call) };
        let value = Redacted::new(format!("Bearer {}", token.expose()));
        call.hiding(token)
            .secret_header("Authorization", &value)
            .map_err(|error| Trouble::Denied(format!("settings.tokenFrom cannot be sent: {error}")))
    }

    async fn send(&self, who: &'static str, call: Call) -> Result<Reply, Trouble> {
        let answer = self.caller.send(&call).await.map_err(|error| match error {
            CallError::TooLarge { .. } => Trouble::BadAnswer(format!("{who}: {error}")),
            other => Trouble::Unreachable(format!("{who} does not answer: {other}")),
        })?;
        Ok(Reply { who, status: answer.status, body: answer.body })
    }
}

impl Reply {
    /// The JSON of a good answer.
    fn read<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        if self.status != StatusCode::OK {
            return Err(self.trouble());
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            let at = format!("line {}, column {}", error.line(), error.column());
            Trouble::BadAnswer(format!("{} answers with something else than it should ({at})", self.who))
        })
    }

    fn trouble_if_bad(&self) -> Option<Trouble> {
        (self.status != StatusCode::OK).then(|| self.trouble())
    }

    /// What another status than 200 means.
    fn trouble(&self) -> Trouble {
        let Self { who, status, .. } = self;
        let words = self.words();
        let said = if words.is_empty() { String::new() } else { format!(": {words}") };
        match *status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Trouble::Denied(format!(
                "{who} answers {}{said}; see whether the token in settings.tokenFrom may manage nodes",
                status.as_u16()
            )),
            StatusCode::NOT_FOUND if self.grpc_code() == Some(GRPC_NOT_FOUND) => Trouble::NoSuchNode,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                Trouble::Unsupported
            }
            _ => Trouble::Error(format!("{who} answers {}{said}", status.as_u16())),
        }
    }

    /// What it says in words: the `error` or the `message` of its JSON, or its text.
    fn words(&self) -> String {
        let json: Option<Map<String, Value>> = serde_json::from_slice(&self.body).ok();
        match json {
            Some(fields) => {
                let text =
                    |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
                plain(text("error").or_else(|| text("message")).unwrap_or_default())
            }
            None => plain(&String::from_utf8_lossy(&self.body)),
        }
    }

    fn grpc_code(&self) -> Option<i64> {
        let fields: Map<String, Value> = serde_json::from_slice(&self.body).ok()?;
        fields.get("code")?.as_i64()
    }
}

#[derive(Deserialize)]
struct Inspected {
    node: InspectedNode,
}

#[derive(Deserialize)]
struct InspectedNode {
    #[serde(default)]
    id: String,
    /// A name; left out if it is the first, `STATUS_NONE`.
    status: Option<String>,
}

fn inspected(reply: &Reply, id: &Id) -> Result<Sighting, Trouble> {
    // Depending on its version it calls a node that it does not have an error of its own.
    let is_lost = |words: &str| words.contains("not found") || words.contains("Unable to locate");
    match reply.trouble_if_bad() {
        Some(Trouble::NoSuchNode) => return Ok(Sighting::Missing),
        Some(Trouble::Error(words)) if is_lost(&words) => return Ok(Sighting::Missing),
        _ => {}
    }
    let InspectedNode { id: given, status } = reply.read::<Inspected>()?.node;
    if given != id.as_str() {
        let words = format!("{} was asked about one storage node, and answers about another", reply.who);
        return Err(Trouble::BadAnswer(words));
    }
    let state = match status {
        None => Some(NodeState::numbered(0)),
        Some(name) => NodeState::named(&name),
    };
    let unknown = || Trouble::BadAnswer(format!("{} answers with a state that it does not have", reply.who));
    state.map(Sighting::Listed).ok_or_else(unknown)
}

#[derive(Deserialize)]
struct Ids {
    #[serde(default)]
    node_ids: Vec<String>,
}

/// Who answers is one of them.
fn ids(reply: &Reply) -> Result<(), Trouble> {
    let Ids { node_ids } = reply.read()?;
    if node_ids.is_empty() {
        return Err(Trouble::BadAnswer(format!("{} lists no storage node at all", reply.who)));
    }
    Ok(())
}

fn versions(reply: &Reply) -> Result<(), Trouble> {
    let versions: Vec<String> = reply.read()?;
    if versions.iter().any(|version| version == "v1") { Ok(()) } else { Err(Trouble::Unsupported) }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Counted {
    node_id: String,
    /// Null where Go has none.
    nodes: Option<Vec<CountedNode>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CountedNode {
    id: String,
    #[serde(default)]
    scheduler_node_name: String,
    #[serde(default)]
    hostname: String,
    status: u8,
}

fn counted(reply: &Reply) -> Result<Census, Trouble> {
    let Counted { node_id, nodes } = reply.read()?;
    let seen = |node: CountedNode| {
        // An id that could not be ours is not the one that is looked for.
        let id = Id::new(&node.id).ok()?;
        let (scheduler_name, hostname) = (node.scheduler_node_name.into(), node.hostname.into());
        Some(Seen { id, scheduler_name, hostname, state: NodeState::numbered(node.status) })
    };
    let nodes = nodes.unwrap_or_default().into_iter().filter_map(seen).collect();
    Ok(Census { by: node_id.into(), nodes })
}

#[derive(Deserialize)]
struct Jobs {
    #[serde(default)]
    jobs: Vec<RawJob>,
}

#[derive(Deserialize)]
struct JobStatus {
    job: RawJob,
    #[serde(default)]
    summary: Summary,
}

#[derive(Deserialize)]
struct RawJob {
    #[serde(default)]
    id: String,
    /// Left out if it is the first, `UNSPECIFIED_STATE`.
    #[serde(default)]
    state: String,
    #[serde(default)]
    drain_attachments: RawDrain,
}

#[derive(Default, Deserialize)]
struct RawDrain {
    #[serde(default)]
    node_id: String,
    #[serde(default)]
    issuer: String,
    #[serde(default, rename = "Status", alias = "status")]
    status: String,
}

#[derive(Default, Deserialize)]
struct Summary {
    #[serde(default)]
    work_summaries: Vec<Work>,
}

#[derive(Deserialize)]
struct Work {
    drain_attachments_summary: Option<Volumes>,
}

#[derive(Deserialize)]
struct Volumes {
    #[serde(default)]
    num_volumes_total: Number,
    #[serde(default)]
    num_volumes_done: Number,
}

/// The gateway writes 64 bits as a text.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Number {
    #[default]
    Zero,
    Plain(u64),
    Text(String),
}

impl Number {
    fn value(&self) -> u64 {
        match self {
            Self::Zero => 0,
            Self::Plain(number) => *number,
            Self::Text(text) => text.parse().unwrap_or_default(),
        }
    }
}

impl RawJob {
    fn job(self, volumes: Option<(u64, u64)>) -> Option<Job> {
        let state = match self.state.as_str() {
            "" | "UNSPECIFIED_STATE" | "PENDING" => JobState::Pending,
            "RUNNING" => JobState::Running,
            "DONE" => JobState::Done,
            "PAUSED" => JobState::Paused,
            "CANCELLED" => JobState::Cancelled,
            "FAILED" => JobState::Failed,
            _ => return None,
        };
        let RawDrain { node_id, issuer, status } = self.drain_attachments;
        Some(Job {
            id: Id::new(&self.id).ok()?,
            state,
            node: Id::new(&node_id).ok(),
            issuer: issuer.into(),
            words: plain(&status).into(),
            volumes,
        })
    }
}

/// Jobs that cannot be read are none of ours.
fn listed(reply: &Reply) -> Result<Vec<Job>, Trouble> {
    let Jobs { jobs } = reply.read()?;
    Ok(jobs.into_iter().filter_map(|job| job.job(None)).collect())
}

fn looked_up(reply: &Reply, id: &Id) -> Result<Option<Job>, Trouble> {
    if reply.trouble_if_bad() == Some(Trouble::NoSuchNode) {
        return Ok(None);
    }
    let JobStatus { job, summary } = reply.read()?;
    let volumes = summary.work_summaries.into_iter().find_map(|work| work.drain_attachments_summary);
    let volumes =
        volumes.map(|volumes| (volumes.num_volumes_done.value(), volumes.num_volumes_total.value()));
    match job.job(volumes) {
        Some(job) if job.id == *id => Ok(Some(job)),
        _ => {
            let words =
                format!("{} answers with another job, or one in a state that there is not", reply.who);
            Err(Trouble::BadAnswer(words))
        }
    }
}

#[derive(Deserialize)]
struct Begun {
    job: RawJob,
}

fn begun(reply: &Reply) -> Result<Id, Trouble> {
    let Begun { job } = reply.read()?;
    let nameless = |_| Trouble::BadAnswer(format!("{} drains, but does not say under which id", reply.who));
    Id::new(&job.id).map_err(nameless)
}

#[derive(Deserialize)]
struct ClusterResponse {
    error: Option<String>,
}

/// Good or bad, it comes with status 200; what is bad stands in the body. The texts are Portworx' own.
fn removal(reply: &Reply) -> Result<Removal, Trouble> {
    let error = match reply.read::<ClusterResponse>() {
        Ok(ClusterResponse { error }) => plain(error.as_deref().unwrap_or_default()),
        // Some builds say the same with a status.
        Err(Trouble::Error(_)) => reply.words(),
        Err(trouble) => return Err(trouble),
    };
    Ok(match error.as_str() {
        "" if reply.status == StatusCode::OK => Removal::Accepted,
        text if text.contains("Node remove is pending") => Removal::Pending,
        text if text.contains("without data loss") => Removal::DataLoss(text.into()),
        text if text.contains("must be offline or in maintenance") => Removal::Online(text.into()),
        text if text.contains("does not exist") => Removal::Unknown,
        text if reply.status == StatusCode::OK => Removal::Refused(text.into()),
        _ => return Err(reply.trouble()),
    })
}

/// On one line, without what a terminal would obey, and short.
fn plain(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(PORTWORX_WORDS_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        let status = StatusCode::from_u16(status).unwrap();
        Reply { who: GATEWAY, status, body: body.as_bytes().to_vec() }
    }

    fn px() -> Id {
        Id::new("px-3").unwrap()
    }

    #[test]
    fn the_management_interface_says_bad_news_with_status_200() {
        let rows = [
            (200, "{}", Removal::Accepted),
            (200, r#"{"error":""}"#, Removal::Accepted),
            (200, r#"{"error":"Node Remove: Node remove is pending"}"#, Removal::Pending),
            (200, r#"{"error":"Node Remove: Node px-3 does not exist"}"#, Removal::Unknown),
        ];
        for (status, body, wanted) in rows {
            assert_eq!(removal(&reply(status, body)).unwrap(), wanted, "{body}");
        }
        let loss =
            r#"{"error":"Node Remove: Cannot remove node ID px-3: Cannot remove node without data loss."}"#;
        assert!(matches!(removal(&reply(200, loss)), Ok(Removal::DataLoss(_))));
        let online = r#"{"error":"Node Remove: Node px-3 must be offline or in maintenance mode to be decommissioned."}"#;
        assert!(matches!(removal(&reply(200, online)), Ok(Removal::Online(_))));
        let other = r#"{"error":"Node Remove: kvdb lost"}"#;
        assert_eq!(removal(&reply(200, other)), Ok(Removal::Refused("Node Remove: kvdb lost".into())));
        assert_eq!(removal(&reply(500, "Node remove is pending\n")), Ok(Removal::Pending));
        assert_eq!(
            removal(&reply(500, "oops\n")),
            Err(Trouble::Error(format!("{GATEWAY} answers 500: oops")))
        );
        assert!(matches!(removal(&reply(200, "<html>")), Err(Trouble::BadAnswer(_))));
        assert!(matches!(removal(&reply(401, "no")), Err(Trouble::Denied(_))));
    }

    #[test]
    fn a_node_is_read_by_the_name_of_its_state_and_only_if_it_is_the_one() {
        let rows = [
            (r#"{"node":{"id":"px-3","status":"STATUS_OFFLINE","cpu":1.5}}"#, NodeState::OFFLINE),
            (r#"{"node":{"id":"px-3"}}"#, NodeState::numbered(0)),
        ];
        for (body, wanted) in rows {
            assert_eq!(inspected(&reply(200, body), &px()), Ok(Sighting::Listed(wanted)), "{body}");
        }
        let missing = [
            (404, r#"{"error":"Id px-3 not found","code":5}"#),
            (500, r#"{"error":"Unable to locate node with provided UUID.","code":13}"#),
        ];
        for (status, body) in missing {
            assert_eq!(inspected(&reply(status, body), &px()), Ok(Sighting::Missing), "{body}");
        }
        for body in [
            r#"{"node":{"id":"px-4","status":"STATUS_OFFLINE"}}"#,
            r#"{"node":{"id":"px-3","status":"OFFLINE"}}"#,
            r#"{"node":{"id":"px-3","status":3}}"#,
            "{}",
            "",
            "[]",
        ] {
            assert!(matches!(inspected(&reply(200, body), &px()), Err(Trouble::BadAnswer(_))), "{body}");
        }
        assert_eq!(inspected(&reply(404, "Not Found\n"), &px()), Err(Trouble::Unsupported), "no such path");
    }

    #[test]
    fn jobs_are_read_with_their_numbers_as_texts_and_their_zeroes_left_out() {
        let body = r#"{"job":{"id":"j","state":"RUNNING","type":"DRAIN_ATTACHMENTS",
            "drain_attachments":{"node_id":"px-3","issuer":"us","Status":"at\u001b[31mwork"}},
            "summary":{"id":"j","total_runtime_seconds":"12","work_summaries":[
            {"drain_attachments_summary":{"num_volumes_total":"7","num_volumes_pending":"7"}}]}}"#;
        let id = Id::new("j").unwrap();
        let job = looked_up(&reply(200, body), &id).unwrap().unwrap();
        assert_eq!((job.state, job.volumes, &*job.words), (JobState::Running, Some((0, 7)), "at [31mwork"));
        assert_eq!(looked_up(&reply(404, r#"{"error":"no","code":5}"#), &id), Ok(None));
        let other = Id::new("k").unwrap();
        assert!(matches!(looked_up(&reply(200, body), &other), Err(Trouble::BadAnswer(_))));
        assert_eq!(listed(&reply(200, "{}")), Ok(Vec::new()), "no jobs are no field");
        let odd = r#"{"jobs":[{"id":"../x","state":"DONE"},{"id":"a","state":"NEW"},{"id":"b"}]}"#;
        let known: Vec<Job> = listed(&reply(200, odd)).unwrap();
        assert_eq!(known.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["b"]);
        assert!(matches!(begun(&reply(200, r#"{"job":{}}"#)), Err(Trouble::BadAnswer(_))));
    }

    #[test]
    fn a_census_has_its_teller_and_numbers_for_states() {
        let body = r#"{"Id":"c","Status":2,"NodeId":"px-1","Nodes":[
            {"Id":"px-1","Status":2,"SchedulerNodeName":"worker-1","Hostname":"h","Pools":null},
            {"Id":"px-3","Status":6}, {"Id":"a/b","Status":2}]}"#;
        let census = counted(&reply(200, body)).unwrap();
        assert!(census.knows_all());
        assert_eq!(census.nodes.len(), 2);
        assert_eq!(census.of(&px()).unwrap().state, NodeState::DECOMMISSION);
        let nobody = counted(&reply(200, r#"{"NodeId":"px-1","Nodes":null}"#)).unwrap();
        assert!(!nobody.knows_all());
        for body in ["{}", r#"{"NodeId":"a","Nodes":[{"Id":"b","Status":"OK"}]}"#, "null"] {
            assert!(matches!(counted(&reply(200, body)), Err(Trouble::BadAnswer(_))), "{body}");
        }
    }

    #[test]
    fn what_is_said_is_short_and_of_one_line() {
        let long = format!("a\n\u{1b}[31m {}", "x".repeat(5_000));
        let said = plain(&long);
        assert_eq!(said.chars().count(), PORTWORX_WORDS_CHARS_MAX);
        assert!(said.starts_with("a [31m x"), "{said}");
    }
}
