//! `portworx`: a storage node leaves the Portworx cluster, so that nothing waits for it and nothing is lost with it.
//!
//! `stage` is what is recorded between two calls, `flow` says what is asked next and what follows from an answer, `api` asks
//! Portworx and `cluster` Kubernetes; this file leads from one question to the next. One call of `execute` does at most one
//! thing that changes something, and answers `progress`, so that it is recorded before the next is done.
//!
//! It does not stop Portworx on the node: that is done there, and the plugin waits for it.

mod answers;
mod api;
mod cluster;
mod flow;
mod settings;
mod stage;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use node_cleanup::contract::{Checked, Described, Executed, Planned, Task};
use serde_json::{Map, Value};

use self::answers::Trouble as Fault;
use self::api::Interfaces;
use self::flow::{Answer, Ask, Facts, Reason, Turn, Word};
use self::settings::Settings;
use self::stage::Stage;
use crate::builtin::{Builtin, Desk, Trouble, healthy, ours};
use crate::hook::origin;
use crate::limits::{PORTWORX_AFTER_ACT_SECONDS, PORTWORX_QUESTIONS_MAX};

/// The plugin of this name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portworx;

const NAME: &str = "portworx";

impl Builtin for Portworx {
    fn schema(&self) -> Map<String, Value> {
        crate::settings::schema_of::<Settings>()
    }

    fn target(&self, settings: &Map<String, Value>) -> String {
        origin(settings.get("gatewayUrl"))
    }

    fn describe<'a>(&'a self, _: &'a Desk) -> BoxFuture<'a, Result<Described, Trouble>> {
        async { Ok(ours(NAME, self.schema())) }.boxed()
    }

    fn check<'a>(
        &'a self,
        desk: &'a Desk,
        settings: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Checked, Trouble>> {
        check(desk, settings).boxed()
    }

    fn plan<'a>(&'a self, _: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Planned, Trouble>> {
        async { plan(task) }.boxed()
    }

    fn execute<'a>(&'a self, desk: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Executed, Trouble>> {
        execute(desk, task).boxed()
    }
}

async fn check(desk: &Desk, settings: &Map<String, Value>) -> Result<Checked, Trouble> {
    let settings: Settings = crate::settings::read(settings)?;
    let portworx = Interfaces::open(desk, &settings, "").await?;
    let message = match portworx.check().await {
        Ok(()) => return Ok(healthy("Portworx answers at both addresses")),
        Err(Fault::Unreachable(words)) => return Err(Trouble::Unreachable(words)),
        Err(Fault::Denied(words)) => {
            forget_token(desk, &settings);
            words
        }
        Err(Fault::BadAnswer(words) | Fault::Error(words)) => words,
        Err(Fault::Unsupported | Fault::NoSuchNode) => {
            "what answers is no Portworx: see settings.gatewayUrl and settings.managementUrl".to_owned()
        }
    };
    Ok(Checked { healthy: false, message })
}

fn plan(task: &Task) -> Result<Planned, Trouble> {
    let settings: Settings = crate::settings::read(&task.settings)?;
    let node = &task.node.name;
    let id = match settings.given_id(&task.node.labels)? {
        Some(id) => {
            format!("take `{}`, which the Node's label says, for the storage node of `{node}`", id.as_str())
        }
        None => format!("find the storage node of `{node}`: by its StorageNode, else in Portworx' list"),
    };
    let drains = [
        "let no volume be attached to it any more, unless it is offline already".to_owned(),
        "detach its volumes, and wait for that".to_owned(),
    ];
    let leaves = [
        "wait until Portworx is offline there, or in maintenance: somebody else stops it".to_owned(),
        "remove it from the Portworx cluster, which Portworx refuses if data would be lost".to_owned(),
        "wait until Portworx does not list it any more".to_owned(),
        format!("label the Node `{node}` px/enabled=remove, if it is still there"),
    ];
    let drains = drains.into_iter().filter(|_| settings.drain_attachments);
    Ok(Planned { steps: [id].into_iter().chain(drains).chain(leaves).collect() })
}

async fn execute(desk: &Desk, task: &Task) -> Result<Executed, Trouble> {
    let settings: Settings = crate::settings::read(&task.settings)?;
    let given = settings.given_id(&task.node.labels)?;
    let issuer = format!("groundskeeper {}", task.idempotency_key);
    let facts = Facts {
        node: &task.node.name,
        given: given.as_ref(),
        drains: settings.drain_attachments,
        issuer: &issuer,
    };
    let portworx = Interfaces::open(desk, &settings, &issuer).await?;
    let (stage, word) = turn(desk, &portworx, task, &facts).await;
    if matches!(word, Word::Failed { reason: Reason::Denied, .. }) {
        forget_token(desk, &settings);
    }
    said(&stage, word)
}

/// Question by question, until something was done or has to be waited for.
async fn turn(desk: &Desk, portworx: &Interfaces<'_>, task: &Task, facts: &Facts<'_>) -> (Stage, Word) {
    let mut point = flow::begin(Stage::read(&task.state), facts);
    for _ in 0..PORTWORX_QUESTIONS_MAX {
        let Some(question) = flow::ask(&point) else {
            return (Stage::Finished, Word::Done("the storage node is gone from Portworx".to_owned()));
        };
        let answer = ask(desk, portworx, task, &question).await;
        match flow::step(point, answer, facts) {
            Turn::On(next) => point = next,
            Turn::Over(stage, word) => return (stage, word),
        }
    }
    // Not reached: a test goes every way.
    let message = "Portworx is asked again".to_owned();
    (point.rest(), Word::Waits { percent: 0, message, seconds: PORTWORX_AFTER_ACT_SECONDS })
}

async fn ask(desk: &Desk, portworx: &Interfaces<'_>, task: &Task, question: &Ask) -> Answer {
    let node = &*task.node.name;
    let changes = matches!(question, Ask::Disable(_) | Ask::Drain(_) | Ask::Remove(_) | Ask::Label);
    if changes {
        tracing::info!(node, run = task.run_id, question = ?question, "asking Portworx to change something");
    }
    let answer = match question {
        Ask::StorageNode => cluster::storage_node(&desk.client.0, node)
            .await
            .map_or_else(Answer::Trouble, Answer::StorageNode),
        Ask::Label => {
            cluster::label(&desk.client.0, &task.node).await.map_or_else(Answer::Trouble, Answer::Labelled)
        }
        _ => portworx.ask(question).await,
    };
    if changes {
        tracing::info!(node, run = task.run_id, answer = ?answer, "Portworx has answered");
    }
    answer
}

/// A token that was refused is read anew the next time: it may have been rotated.
fn forget_token(desk: &Desk, settings: &Settings) {
    if let Some(key) = &settings.token_from {
        desk.secrets.doubt(&key.name);
    }
}

fn said(stage: &Stage, word: Word) -> Result<Executed, Trouble> {
    let state = Some(stage.write());
    Ok(match word {
        Word::Waits { percent, message, seconds } => {
            Executed::Progress { percent: Some(percent), message, retry_after_seconds: seconds, state }
        }
        Word::Done(message) => Executed::Done { message, state },
        // That nobody answers is told as every plugin tells it.
        Word::Failed { reason: Reason::Unreachable, message, .. } => {
            return Err(Trouble::Unreachable(message));
        }
        Word::Failed { retryable, reason, message } => {
            Executed::Failed { retryable, reason: reason.name().to_owned(), message, state }
        }
    })
}
