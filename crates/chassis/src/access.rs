//! What somebody may do, as the API server's authorizer sees it: `SubjectAccessReview`.
//!
//! Answers are remembered for a short time, refusals for a shorter one: a right that was just granted is seen soon. A
//! question has no effect on the cluster, so it may be asked again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control::{Clock, Steady};
use http::header::CONTENT_TYPE;
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::client::within;
use crate::error::ApiError;
use crate::limits::{
    ACCESS_ALLOWED_LIFE, ACCESS_CACHE_MAX, ACCESS_DENIED_LIFE, ACCESS_IN_FLIGHT_MAX, ACCESS_TIMEOUT,
    API_MESSAGE_CHARS_MAX,
};

/// Who would do something.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The user's name.
    pub user: String,
    /// What tells users of one name apart over time, if it is known.
    pub uid: Option<String>,
    /// The user's groups.
    pub groups: Vec<String>,
    /// What the authenticator says besides.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What would be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// `list`, `delete`, …
    pub verb: &'static str,
    /// The API group; empty for the core.
    pub group: String,
    /// The resource, such as `configmaps`.
    pub resource: String,
    /// The namespace.
    pub namespace: String,
}

/// Whether it may be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// It may.
    Allowed,
    /// It may not.
    Denied {
        /// The authorizer's words; often there are none.
        reason: String,
    },
}

/// Asks the API server what somebody may do. Cheap to clone; all clones share what they remember.
#[derive(Clone)]
pub struct AccessReviews(Arc<Inner>);

struct Inner {
    client: Client,
    clock: Arc<dyn Clock>,
    in_flight: Semaphore,
    known: Mutex<HashMap<Question, Known>>,
}

/// Nobody stands for ourselves.
type Question = (Subject, Attributes);

#[derive(Clone)]
struct Known {
    access: Access,
    until: Steady,
}

impl std::fmt::Debug for AccessReviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessReviews")
    }
}

#[derive(Deserialize)]
struct Answered {
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    allowed: bool,
    reason: String,
    evaluation_error: String,
}

impl AccessReviews {
    /// Asks through this client.
    pub fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        let in_flight = Semaphore::new(ACCESS_IN_FLIGHT_MAX);
        Self(Arc::new(Inner { client, clock, in_flight, known: Mutex::default() }))
    }

    /// Whether somebody may do something; remembered answers count.
    pub async fn may(&self, subject: &Subject, attributes: &Attributes) -> Result<Access, ApiError> {
        self.answer((subject.clone(), attributes.clone()), Memory::Counts).await
    }

    /// Whether somebody may do something, as it is now.
    pub async fn may_now(&self, subject: &Subject, attributes: &Attributes) -> Result<Access, ApiError> {
        self.answer((subject.clone(), attributes.clone()), Memory::IsIgnored).await
    }

    async fn answer(&self, question: Question, memory: Memory) -> Result<Access, ApiError> {
        if memory == Memory::Counts
            && let Some(access) = self.remembered(&question)
        {
            return Ok(access);
        }
        let access = self.ask(&question).await?;
        self.remember(question, access.clone());
        Ok(access)
    }

    fn remembered(&self, question: &Question) -> Option<Access> {
        let now = self.0.clock.steady();
        let known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(question).filter(|known| now < known.until).map(|known| known.access.clone())
    }

    fn remember(&self, question: Question, access: Access) {
        let now = self.0.clock.steady();
        let life = life(&access);
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ACCESS_CACHE_MAX {
            known.retain(|_, known| now < known.until);
        }
        if known.len() >= ACCESS_CACHE_MAX {
            known.clear();
        }
        known.insert(question, Known { access, until: now.after(life) });
    }

    async fn ask(&self, (subject, attributes): &Question) -> Result<Access, ApiError> {
        let garbled = |error: &dyn std::fmt::Display| ApiError::Garbled(error.to_string());
        let body = serde_json::to_vec(&body(subject, attributes)).map_err(|error| garbled(&error))?;
        let request = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| garbled(&error))?;
        let call = async {
            // The semaphore is never closed.
            let _place = self.0.in_flight.acquire().await;
            self.0.client.request::<Answered>(request).await
        };
        let Status { allowed, reason, evaluation_error } = within(ACCESS_TIMEOUT, call).await?.status;
        if allowed {
            return Ok(Access::Allowed);
        }
        // An authorizer that failed has not said no.
        if !evaluation_error.is_empty() && reason.is_empty() {
            return Err(ApiError::Refused {
                code: 503,
                reason: "AuthorizerFailed".to_owned(),
                message: evaluation_error.chars().take(API_MESSAGE_CHARS_MAX).collect(),
                retry_after: None,
            });
        }
        Ok(Access::Denied { reason: reason.chars().take(API_MESSAGE_CHARS_MAX).collect() })
    }
}

/// Whether a remembered answer will do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Counts,
    IsIgnored,
}

fn life(access: &Access) -> Duration {
    match access {
        Access::Allowed => ACCESS_ALLOWED_LIFE,
        Access::Denied { .. } => ACCESS_DENIED_LIFE,
    }
}

fn body(subject: &Subject, attributes: &Attributes) -> Value {
    let Attributes { verb, group, resource, namespace } = attributes;
    let Subject { user, uid, groups, extra } = subject;
    let wanted = json!({"verb": verb, "group": group, "resource": resource, "namespace": namespace});
    json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"resourceAttributes": wanted, "user": user, "uid": uid, "groups": groups, "extra": extra},
    })
}
