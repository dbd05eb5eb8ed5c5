//! A plugin that is a Job: done when it completes, failed when it fails.
//!
//! The name of a Job is made of run, step and attempt, so that whoever makes it again finds it. Nothing is deleted: a Job
//! goes by itself some time after it has ended, and ends by itself when its attempt does.

use std::collections::BTreeMap;

use api::node_cleanup::JobPlugin;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Request as HttpRequest;
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use node_cleanup::contract::{self, Checked, Described, Executed, Planned, Request, Task};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::builtin::{Builtin, Desk, Trouble, healthy, ours, planned};
use crate::declared::Terms;
use crate::limits::{
    JOB_CALL_TIMEOUT, JOB_CONTAINERS_MAX, JOB_KEPT_SECONDS, JOB_KEPT_SECONDS_MIN, JOB_POLL_SECONDS,
};
use crate::settings::{read, schema_of};

/// The environment variable that holds the request.
const REQUEST_VARIABLE: &str = "GROUNDSKEEPER_REQUEST";

/// The annotation that says for which attempt of which step a Job was made.
const MADE_FOR: &str = "groundskeeper.dev/made-for";

/// The annotation that names the node that leaves.
const NODE: &str = "groundskeeper.dev/node";

/// A template of Jobs, checked.
#[derive(Clone, Debug)]
pub(crate) struct Jobs {
    /// None takes ours.
    namespace: Option<String>,
    template: Map<String, Value>,
}

/// What a request about a Job came to.
enum Made {
    There(Box<Job>),
    Exists,
    Refused { code: u16, message: String },
}

impl Jobs {
    /// Checks what was written.
    pub(crate) fn of(written: &JobPlugin) -> Result<Self, String> {
        Self::new(Some(&written.namespace), &written.template)
    }

    fn new(namespace: Option<&str>, template: &Map<String, Value>) -> Result<Self, String> {
        if namespace.is_some_and(|name| !is_label(name)) {
            return Err("namespace is no name of one: write lower-case letters, digits and dashes".to_owned());
        }
        let pod = template.get("template").and_then(|template| template.get("spec"));
        let pod = pod
            .and_then(Value::as_object)
            .ok_or("template has no `template.spec`: write the spec of the Job's pod there")?;
        let containers = pod.get("containers").and_then(Value::as_array).map_or(0, Vec::len);
        if !(1..=JOB_CONTAINERS_MAX).contains(&containers) {
            return Err(format!("template.template.spec.containers: write 1 to {JOB_CONTAINERS_MAX}"));
        }
        let policy = pod.get("restartPolicy").and_then(Value::as_str);
        if policy.is_some_and(|policy| !["Never", "OnFailure"].contains(&policy)) {
            return Err("template.template.spec.restartPolicy: write Never or OnFailure".to_owned());
        }
        let kept = template.get("ttlSecondsAfterFinished");
        if kept.is_some_and(|kept| kept.as_i64().is_none_or(|kept| kept < JOB_KEPT_SECONDS_MIN)) {
            return Err(format!(
                "template.ttlSecondsAfterFinished: write at least {JOB_KEPT_SECONDS_MIN}, so that what has ended is seen"
            ));
        }
        if template.get("suspend").is_some_and(|suspend| *suspend == Value::Bool(true)) {
            return Err("template.suspend would keep the Job from ever beginning: leave it out".to_owned());
        }
        Ok(Self { namespace: namespace.map(str::to_owned), template: template.clone() })
    }

    fn namespace<'a>(&'a self, desk: &'a Desk) -> &'a str {
        self.namespace.as_deref().unwrap_or(&desk.namespace)
    }

    /// The Job of one attempt.
    fn manifest(&self, desk: &Desk, task: &Task) -> Value {
        let mut spec = self.template.clone();
        spec.entry("backoffLimit").or_insert_with(|| json!(0));
        spec.entry("ttlSecondsAfterFinished").or_insert_with(|| json!(JOB_KEPT_SECONDS));
        if let Some(deadline) = task.deadline {
            let left = deadline.duration_since(desk.clock.now()).as_secs().max(1);
            let own = spec.get("activeDeadlineSeconds").and_then(Value::as_i64).unwrap_or(i64::MAX);
            spec.insert("activeDeadlineSeconds".to_owned(), json!(left.min(own)));
        }
        let request = json!(Request::new(contract::Call::Execute(Box::new(task.clone())))).to_string();
        let labels = labels(task);
        if let Some(pod) = spec.get_mut("template").and_then(Value::as_object_mut) {
            add_labels(pod, &labels);
            if let Some(pod) = pod.get_mut("spec").and_then(Value::as_object_mut) {
                prepare_pod(pod, &request);
            }
        }
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name(task),
                "namespace": self.namespace(desk),
                "labels": labels,
                "annotations": {MADE_FOR: made_for(task), NODE: task.node.name},
            },
            "spec": spec,
        })
    }

    /// Whether such a Job could be made: the API server says so, rights and admission included.
    async fn check(&self, desk: &Desk, settings: &Map<String, Value>) -> Result<Checked, Trouble> {
        let task = Task {
            run_id: "check".to_owned(),
            step_id: "check".to_owned(),
            idempotency_key: desk.clock.now().as_nanosecond().to_string(),
            settings: settings.clone(),
            ..Task::default()
        };
        match self.make(desk, &task, "&dryRun=All").await? {
            Made::There(_) | Made::Exists => Ok(healthy("the API server would take the Job")),
            Made::Refused { code, message } => Ok(Checked {
                healthy: false,
                message: format!("the API server would refuse the Job ({code}): {message}"),
            }),
        }
    }

    fn plan(&self, desk: &Desk, task: &Task) -> Planned {
        planned([format!("makes the Job {}/{}, and waits for its end", self.namespace(desk), name(task))])
    }

    async fn execute(&self, desk: &Desk, task: &Task) -> Result<Executed, Trouble> {
        let known = task.state.get("madeFor").and_then(Value::as_str) == Some(&made_for(task));
        let job = if known {
            self.get(desk, task).await?
        } else {
            match self.make(desk, task, "").await? {
                Made::There(job) => Some(job),
                Made::Exists => self.get(desk, task).await?,
                Made::Refused { code, message } => return Ok(refused(code, &message)),
            }
        };
        let Some(job) = job else {
            let message = format!("the Job {} is gone, and nobody saw how it ended", name(task));
            return Ok(failed(true, "JobGone", message, None));
        };
        Ok(judged(&job, task))
    }

    async fn make(&self, desk: &Desk, task: &Task, query: &str) -> Result<Made, Trouble> {
        let namespace = self.namespace(desk);
        let path = format!(
            "/apis/batch/v1/namespaces/{namespace}/jobs?fieldManager=groundskeeper&fieldValidation=Strict{query}"
        );
        let body = self.manifest(desk, task).to_string().into_bytes();
        let request =
            HttpRequest::post(path).header(http::header::CONTENT_TYPE, "application/json").body(body);
        match call(desk, request).await? {
            Ok(job) => Ok(Made::There(job)),
            Err((409, _)) => Ok(Made::Exists),
            Err((code, message)) => Ok(Made::Refused { code, message }),
        }
    }

    async fn get(&self, desk: &Desk, task: &Task) -> Result<Option<Box<Job>>, Trouble> {
        let path = format!("/apis/batch/v1/namespaces/{}/jobs/{}", self.namespace(desk), name(task));
        match call(desk, HttpRequest::get(path).body(Vec::new())).await? {
            Ok(job) => Ok(Some(job)),
            Err((404, _)) => Ok(None),
            Err((code, message)) => {
                Err(Trouble::Unreachable(format!("the API server answered {code}: {message}")))
            }
        }
    }
}

/// Asks the API server; what it refuses is an answer, unless it is its own fault.
async fn call(
    desk: &Desk,
    request: Result<HttpRequest<Vec<u8>>, http::Error>,
) -> Result<Result<Box<Job>, (u16, String)>, Trouble> {
    let request = request.map_err(|error| Trouble::Settings(error.to_string()))?;
    let answer = tokio::time::timeout(JOB_CALL_TIMEOUT, desk.client.0.request::<Job>(request)).await;
    let answer = answer.map_err(|_| chassis::ApiError::TimedOut(JOB_CALL_TIMEOUT));
    match answer.and_then(|answer| answer.map_err(chassis::ApiError::from)) {
        Ok(job) => Ok(Ok(Box::new(job))),
        Err(chassis::ApiError::Refused { code: code @ 400..=499, message, .. }) if code != 429 => {
            Ok(Err((code, message)))
        }
        Err(other) => Err(Trouble::Unreachable(other.to_string())),
    }
}

/// A request about a Job that the API server turned down: rights and quotas may change, what was written does not.
fn refused(code: u16, message: &str) -> Executed {
    let message = format!("the API server refused the Job ({code}): {message}");
    failed(matches!(code, 401 | 403 | 404), "JobRefused", message, None)
}

fn failed(retryable: bool, reason: &str, message: String, state: Option<Map<String, Value>>) -> Executed {
    Executed::Failed { retryable, reason: reason.to_owned(), message, state }
}

/// What a Job says of itself.
fn judged(job: &Job, task: &Task) -> Executed {
    let annotations = job.metadata.annotations.as_ref();
    if annotations.and_then(|all| all.get(MADE_FOR)) != Some(&made_for(task)) {
        let message =
            format!("there is a Job {} that somebody else made: remove it, or rename the step", name(task));
        return failed(false, "JobNameTaken", message, None);
    }
    let name = name(task);
    let state = json!({"madeFor": made_for(task), "job": name, "uid": job.metadata.uid}).as_object().cloned();
    let status = job.status.clone().unwrap_or_default();
    let condition = |kind: &str| {
        let all = status.conditions.iter().flatten();
        all.clone().find(|condition| condition.type_ == kind && condition.status == "True")
    };
    if condition("Complete").is_some() {
        return Executed::Done { message: format!("the Job {name} completed"), state };
    }
    if let Some(failure) = condition("Failed") {
        let why = failure.message.clone().or_else(|| failure.reason.clone()).unwrap_or_default();
        return failed(true, "JobFailed", format!("the Job {name} failed: {why}"), state);
    }
    let JobStatus { active, succeeded, .. } = status;
    let wanted = i64::from(job.spec.as_ref().and_then(|spec| spec.completions).unwrap_or(1).max(1));
    let percent = (i64::from(succeeded.unwrap_or(0)) * 100 / wanted).clamp(0, 99);
    Executed::Progress {
        percent: u8::try_from(percent).ok(),
        message: format!("the Job {name} has {} pods under way", active.unwrap_or(0)),
        retry_after_seconds: JOB_POLL_SECONDS,
        state,
    }
}

/// The name of the Job of one attempt: the step for people, and the rest so that no other attempt has it.
fn name(task: &Task) -> String {
    let digest = Sha256::digest(made_for(task).as_bytes());
    let hash = digest.iter().take(8).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
    let step: String = task.step_id.chars().take(30).collect();
    format!("gk-{}-{hash:016x}", step.trim_end_matches('-'))
}

fn made_for(task: &Task) -> String {
    format!("{}/{}", task.idempotency_key, task.attempt)
}

fn labels(task: &Task) -> BTreeMap<&'static str, &str> {
    let mut labels = BTreeMap::from([("app.kubernetes.io/managed-by", "groundskeeper")]);
    if is_label(&task.step_id) {
        labels.insert("groundskeeper.dev/step", &task.step_id);
    }
    if is_label(&task.run_id) {
        labels.insert("groundskeeper.dev/run", &task.run_id);
    }
    labels
}

fn is_label(text: &str) -> bool {
    let is_inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn add_labels(pod: &mut Map<String, Value>, labels: &BTreeMap<&'static str, &str>) {
    let metadata = pod.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else { return };
    let present = metadata.entry("labels").or_insert_with(|| json!({}));
    let Some(present) = present.as_object_mut() else { return };
    present.extend(labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
}

/// Gives every container the request. A token of the cluster's is only there if the template asks for an account.
fn prepare_pod(pod: &mut Map<String, Value>, request: &str) {
    pod.entry("restartPolicy").or_insert_with(|| json!("Never"));
    if !pod.contains_key("serviceAccountName") {
        pod.entry("automountServiceAccountToken").or_insert_with(|| json!(false));
    }
    for kind in ["initContainers", "containers"] {
        let containers = pod.get_mut(kind).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            let env = container.entry("env").or_insert_with(|| json!([]));
            if let Some(env) = env.as_array_mut() {
                env.retain(|variable| variable.get("name").and_then(Value::as_str) != Some(REQUEST_VARIABLE));
                env.push(json!({"name": REQUEST_VARIABLE, "value": request.replace("$(", "$$(")}));
            }
        }
    }
}

/// `job`: a Job from a template of the step's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobHook;

/// The settings of `job`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JobSettings {
    /// The namespace in which the Job is made. Default: the operator's own. The operator needs the right to make Jobs there.
    #[serde(default)]
    #[schemars(length(max = 63))]
    namespace: Option<String>,
    /// The spec of the Job, as in batch/v1. Each container gets the request as `GROUNDSKEEPER_REQUEST`.
    template: Map<String, Value>,
    /// What the Job is told as `settings`.
    #[serde(default)]
    settings: Map<String, Value>,
}

impl JobSettings {
    fn jobs(written: &Map<String, Value>) -> Result<(Jobs, Map<String, Value>), Trouble> {
        let Self { namespace, template, settings } = read(written)?;
        Ok((Jobs::new(namespace.as_deref(), &template).map_err(Trouble::Settings)?, settings))
    }

    fn task(task: &Task) -> Result<(Jobs, Task), Trouble> {
        let (jobs, settings) = Self::jobs(&task.settings)?;
        Ok((jobs, Task { settings, ..task.clone() }))
    }
}

impl Builtin for JobHook {
    fn schema(&self) -> Map<String, Value> {
        schema_of::<JobSettings>()
    }

    fn describe<'a>(&'a self, _: &'a Desk) -> BoxFuture<'a, Result<Described, Trouble>> {
        async { Ok(ours("job", self.schema())) }.boxed()
    }

    fn check<'a>(
        &'a self,
        desk: &'a Desk,
        settings: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Checked, Trouble>> {
        async {
            let (jobs, settings) = JobSettings::jobs(settings)?;
            jobs.check(desk, &settings).await
        }
        .boxed()
    }

    fn plan<'a>(&'a self, desk: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Planned, Trouble>> {
        async {
            let (jobs, task) = JobSettings::task(task)?;
            Ok(jobs.plan(desk, &task))
        }
        .boxed()
    }

    fn execute<'a>(&'a self, desk: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Executed, Trouble>> {
        async {
            let (jobs, task) = JobSettings::task(task)?;
            jobs.execute(desk, &task).await
        }
        .boxed()
    }
}

/// A `CleanupPlugin` that is a Job.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) jobs: Jobs,
    pub(crate) terms: Terms,
}

impl Builtin for Declared {
    fn schema(&self) -> Map<String, Value> {
        self.terms.schema.clone()
    }

    fn concurrency(&self) -> u32 {
        self.terms.concurrency
    }

    fn describe<'a>(&'a self, _: &'a Desk) -> BoxFuture<'a, Result<Described, Trouble>> {
        let described = Described {
            name: self.name.clone(),
            version: String::new(),
            settings_schema: Some(self.terms.schema.clone()),
        };
        async { Ok(described) }.boxed()
    }

    fn check<'a>(
        &'a self,
        desk: &'a Desk,
        settings: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Checked, Trouble>> {
        async {
            self.terms.met_by(settings)?;
            self.jobs.check(desk, settings).await
        }
        .boxed()
    }

    fn plan<'a>(&'a self, desk: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Planned, Trouble>> {
        async {
            self.terms.met_by(&task.settings)?;
            Ok(self.jobs.plan(desk, task))
        }
        .boxed()
    }

    fn execute<'a>(&'a self, desk: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Executed, Trouble>> {
        async {
            self.terms.met_by(&task.settings)?;
            self.jobs.execute(desk, task).await
        }
        .boxed()
    }
}
