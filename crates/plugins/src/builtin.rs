//! What every plugin of ours is: a name, a schema, and answers to the questions of the contract.
//!
//! A [`Builtin`] neither counts its calls nor bounds its time: who asks it does both.

use std::sync::Arc;

use api::node_cleanup::SecretKey;
use chassis::Redacted;
use control::Clock;
use futures::future::BoxFuture;
use node_cleanup::contract::{BadAnswer, Checked, Described, Executed, Planned, Task};
use serde_json::{Map, Value};

use crate::outbound::{Answer, Call, CallError, Caller};
use crate::secrets::{SecretError, Secrets};

/// What a plugin works with.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    /// The cluster, with the operator's own rights.
    pub(crate) client: Client,
    /// Where we live, and our Secrets lie.
    pub(crate) namespace: Arc<str>,
    /// The one way out.
    pub(crate) caller: Caller,
    pub(crate) secrets: Secrets,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A client that says nothing of itself.
#[derive(Clone)]
pub(crate) struct Client(pub(crate) kube::Client);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// Why there is no answer of a plugin.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// What was written into the step cannot work, however often it is tried.
    #[error("{0}")]
    Settings(String),
    /// A secret is not there.
    #[error("{0}")]
    Secret(#[from] SecretError),
    /// It could not be reached, or did not let us speak.
    #[error("{0}")]
    Unreachable(String),
    /// It answered, and cannot be understood.
    #[error("{0}")]
    Garbage(#[from] BadAnswer),
}

/// A plugin: what it is, and what it answers. `settings` and the task's have met the schema.
pub(crate) trait Builtin: Send + Sync + std::fmt::Debug {
    /// The JSON Schema of its settings.
    fn schema(&self) -> Map<String, Value>;

    /// How many steps it is given at one time.
    fn concurrency(&self) -> u32 {
        crate::limits::CONCURRENCY_DEFAULT
    }

    /// The server that a step with these settings asks, in words that are no secret: each has a breaker of its own. Empty if
    /// it is the same for all steps.
    fn target(&self, _settings: &Map<String, Value>) -> String {
        crate::gate::WHOLE.to_owned()
    }

    /// What it is.
    fn describe<'a>(&'a self, desk: &'a Desk) -> BoxFuture<'a, Result<Described, Trouble>>;

    /// Whether it could work now. Changes nothing.
    fn check<'a>(
        &'a self,
        desk: &'a Desk,
        settings: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Checked, Trouble>>;

    /// What it would do, in words. Changes nothing.
    fn plan<'a>(&'a self, desk: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Planned, Trouble>>;

    /// Does it, or says how far it is.
    fn execute<'a>(&'a self, desk: &'a Desk, task: &'a Task) -> BoxFuture<'a, Result<Executed, Trouble>>;
}

impl Desk {
    /// The text of a Secret.
    pub(crate) async fn secret(&self, key: &SecretKey) -> Result<Redacted<String>, Trouble> {
        Ok(self.secrets.read(key).await?)
    }

    /// Makes a call.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, Trouble> {
        Ok(self.caller.send(call).await?)
    }
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        match error {
            CallError::TooLarge { .. } => Self::Garbage(BadAnswer::TooLarge),
            CallError::Trust(_) => Self::Settings(error.to_string()),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

/// One of ours describes itself.
pub(crate) fn ours(name: &str, schema: Map<String, Value>) -> Described {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Described { name: name.to_owned(), version, settings_schema: Some(schema) }
}

/// A plan of these lines.
pub(crate) fn planned<const N: usize>(lines: [String; N]) -> Planned {
    Planned { steps: lines.into_iter().filter(|line| !line.is_empty()).collect() }
}

/// It could work.
pub(crate) fn healthy(message: impl Into<String>) -> Checked {
    Checked { healthy: true, message: message.into() }
}
