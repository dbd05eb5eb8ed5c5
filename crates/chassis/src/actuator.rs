//! The only code that deletes.
//!
//! It demands proof: a [`Warrant`] names one incarnation of one object (UID), the version that the decision was made on,
//! and consumes a [`BudgetSlot`]; [`Actuator::prove`] refuses what the rails keep, whatever the engine said. The server
//! itself then refuses if anything has changed, so one request is all that it takes, and repeating one is harmless.
//!
//! Knows nothing of policies. What can fail is a call; what became of the object is in the [`Deletion`].
//!
//! Invariant: no request leaves here without a UID precondition.

use std::sync::Arc;
use std::time::Duration;

use api::protection::published_names;
use api::{Rail, Rails};
use control::TokenBucket;
use jiff::Timestamp;
use kube::Client;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use units::{ResourceVersion, Uid};

use crate::client::bounded;
use crate::discovery::Resource;
use crate::error::{ApiError, Class, Classify};
use crate::paths;

/// Deletes objects, with proof.
#[derive(Clone, Debug)]
pub struct Actuator {
    client: Arc<Quiet>,
    rails: Arc<Rails>,
    in_flight: Arc<Semaphore>,
}

/// The client, with a `Debug` that says nothing of credentials.
struct Quiet(Client);

impl std::fmt::Debug for Quiet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// One incarnation of one object, as a decision saw it.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it is.
    pub resource: Arc<Resource>,
    /// Where it lies.
    pub namespace: String,
    /// Its name.
    pub name: Box<str>,
    /// Which incarnation of that name.
    pub uid: Uid,
    /// The version that was judged.
    pub resource_version: ResourceVersion,
}

/// Proof that this object may be deleted now. Only [`Actuator::prove`] makes one, and a deletion consumes it.
#[derive(Debug)]
pub struct Warrant {
    target: Target,
    _slot: BudgetSlot,
}

/// Why there is no warrant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A rail keeps it.
    #[error("{0}")]
    Rail(Rail),
    /// It is not known which incarnation is meant.
    #[error("it has no UID, so a later object of the same name could be hit")]
    NoUid,
    /// It is not known on which version the decision was made.
    #[error("it has no resourceVersion, so a change since the decision would go unnoticed")]
    NoResourceVersion,
}

/// How an object is deleted.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// `Background`, `Foreground` or `Orphan`.
    pub propagation: &'static str,
    /// Seconds that a pod gets to end; none leaves it to the object.
    pub grace_period_seconds: Option<i64>,
}

/// What became of a deletion.
#[derive(Clone, Debug)]
pub enum Deletion {
    /// The server accepted it.
    Accepted,
    /// The object was gone, or is another by now.
    Gone,
    /// The object has changed since the decision: decide again.
    Changed,
    /// We may not.
    Denied(ApiError),
    /// The server is busy; it wants to be asked again after this time.
    Throttled(Duration),
    /// It failed.
    Failed(ApiError),
}

impl Deletion {
    /// The metric label.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Accepted => "deleted",
            Self::Gone => "gone",
            Self::Changed => "changed",
            Self::Denied(_) => "denied",
            Self::Throttled(_) => "throttled",
            Self::Failed(_) => "failed",
        }
    }
}

impl Actuator {
    /// An actuator that acts as the client's identity, within these rails, with so many deletions in flight at most.
    pub fn new(client: Client, rails: Rails, in_flight_max: u16) -> Self {
        Self {
            client: Arc::new(Quiet(client)),
            rails: Arc::new(rails),
            in_flight: Arc::new(Semaphore::new(usize::from(in_flight_max))),
        }
    }

    /// A budget of so many deletions per second, within what this actuator has in flight at one time.
    pub fn budget(&self, rate: u32, now: Timestamp) -> Budget {
        // A burst of a tenth of a second evens out timers; more would break the promise of the rate.
        let burst = (rate / 10).max(1);
        Budget { rate, bucket: TokenBucket::new(rate, burst, now), in_flight: Arc::clone(&self.in_flight) }
    }

    /// Proves that an object may be deleted now, or says why not.
    pub fn prove(&self, target: Target, slot: BudgetSlot) -> Result<Warrant, Refused> {
        if let Some(rail) = self.rails.keep(&target.resource.kind, &target.namespace) {
            return Err(Refused::Rail(rail));
        }
        if published_names(&target.resource.kind).contains(&&*target.name) {
            return Err(Refused::Rail(Rail::Published));
        }
        if target.uid.to_string().is_empty() {
            return Err(Refused::NoUid);
        }
        if target.resource_version.to_string().is_empty() {
            return Err(Refused::NoResourceVersion);
        }
        Ok(Warrant { target, _slot: slot })
    }

    /// Deletes one object: one request, with UID and version as preconditions.
    pub async fn carry_out(&self, warrant: Warrant, manner: Manner) -> Deletion {
        let request = match request(&warrant.target, manner) {
            Ok(request) => request,
            Err(error) => return Deletion::Failed(error),
        };
        match bounded(self.client.0.request_text(request)).await {
            Ok(_) => Deletion::Accepted,
            Err(error) => became(error),
        }
    }
}

fn request(target: &Target, manner: Manner) -> Result<http::Request<Vec<u8>>, ApiError> {
    let Target { resource, namespace, name, uid, resource_version } = target;
    let mut options = serde_json::json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": manner.propagation,
        "preconditions": {"uid": uid, "resourceVersion": resource_version},
    });
    if let (Some(seconds), Some(options)) = (manner.grace_period_seconds, options.as_object_mut()) {
        options.insert("gracePeriodSeconds".to_owned(), seconds.into());
    }
    let path = paths::object(&resource.kind.api_version, &resource.plural, namespace, name);
    http::Request::delete(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(options.to_string().into_bytes())
        .map_err(|error| ApiError::Garbled(error.to_string()))
}

fn became(error: ApiError) -> Deletion {
    match &error {
        ApiError::Refused { code: 404, .. } => Deletion::Gone,
        ApiError::Refused { code: 409, .. } => Deletion::Changed,
        ApiError::Refused { code: 429, retry_after, .. } => {
            Deletion::Throttled(retry_after.unwrap_or(Duration::from_secs(1)))
        }
        error if error.class() == Class::Denied => Deletion::Denied(error.clone()),
        _ => Deletion::Failed(error),
    }
}

/// So many deletions per second.
#[derive(Debug)]
pub struct Budget {
    rate: u32,
    bucket: TokenBucket,
    in_flight: Arc<Semaphore>,
}

/// The right to do one deletion; it counts as in flight until this is dropped.
#[derive(Debug)]
pub struct BudgetSlot {
    _permit: OwnedSemaphorePermit,
}

/// Why there is no slot now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// The rate is used up; the next slot is there at this time.
    Until(Timestamp),
    /// Too many are in flight; the next slot is there when one of them ends.
    InFlight,
}

impl Budget {
    /// The rate, in deletions per second.
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes a slot.
    pub fn take(&mut self, now: Timestamp) -> Result<BudgetSlot, Exhausted> {
        let permit = Arc::clone(&self.in_flight).try_acquire_owned().map_err(|_| Exhausted::InFlight)?;
        self.bucket.take(now).map_err(Exhausted::Until)?;
        Ok(BudgetSlot { _permit: permit })
    }

    /// Gives back a slot that nothing was done with.
    pub fn give_back(&mut self, slot: BudgetSlot) {
        drop(slot);
        self.bucket.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::GroupVersionKind;

    fn target(api_version: &str, namespace: &str) -> Target {
        let kind = GroupVersionKind { api_version: api_version.parse().unwrap(), kind: "ConfigMap".into() };
        let resource = Resource { kind, plural: "things".into(), namespaced: true, verbs: Vec::new() };
        Target {
            resource: Arc::new(resource),
            namespace: namespace.into(),
            name: "a".into(),
            uid: Uid::from("u-1"),
            resource_version: ResourceVersion::from("7"),
        }
    }

    #[test]
    fn a_request_carries_uid_and_version_as_preconditions() {
        let manner = Manner { propagation: "Background", grace_period_seconds: Some(0) };
        let request = request(&target("example.com/v1", "team"), manner).unwrap();
        assert_eq!(request.method(), http::Method::DELETE);
        assert_eq!(request.uri().path(), "/apis/example.com/v1/namespaces/team/things/a");
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(body["preconditions"], serde_json::json!({"uid": "u-1", "resourceVersion": "7"}));
        assert_eq!(body["gracePeriodSeconds"], 0);
    }

    #[tokio::test]
    async fn there_is_no_warrant_for_what_the_rails_keep_or_what_is_not_told_apart() {
        let client = Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let actuator = Actuator::new(client, Rails::new("grounds"), 8);
        let now = Timestamp::UNIX_EPOCH;
        let mut budget = actuator.budget(1_000, now);
        let table = [
            (target("v1", "kube-system"), Refused::Rail(Rail::SystemNamespace)),
            (target("v1", "grounds"), Refused::Rail(Rail::OwnNamespace)),
            (target("coordination.k8s.io/v1", "team"), Refused::Rail(Rail::Lease)),
            (target("groundskeeper.dev/v1alpha1", "team"), Refused::Rail(Rail::OwnResource)),
            (
                Target { name: "kube-root-ca.crt".into(), ..target("v1", "team") },
                Refused::Rail(Rail::Published),
            ),
            (Target { uid: Uid::from(""), ..target("v1", "team") }, Refused::NoUid),
            (
                Target { resource_version: ResourceVersion::from(""), ..target("v1", "team") },
                Refused::NoResourceVersion,
            ),
        ];
        for (target, expected) in table {
            let slot = budget.take(now).unwrap();
            assert_eq!(actuator.prove(target.clone(), slot).unwrap_err(), expected, "{target:?}");
        }
        assert!(actuator.prove(target("v1", "team"), budget.take(now).unwrap()).is_ok());
    }

    #[test]
    fn answers_are_told_apart() {
        let refused = |code| ApiError::Refused {
            code,
            reason: String::new(),
            message: String::new(),
            retry_after: Some(Duration::from_secs(3)),
        };
        assert!(matches!(became(refused(404)), Deletion::Gone));
        assert!(matches!(became(refused(409)), Deletion::Changed));
        assert!(matches!(became(refused(403)), Deletion::Denied(_)));
        assert!(matches!(became(refused(429)), Deletion::Throttled(wait) if wait == Duration::from_secs(3)));
        assert!(matches!(became(refused(500)), Deletion::Failed(_)));
    }
}
