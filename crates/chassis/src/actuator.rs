//! The only code that deletes and evicts, and that writes on objects which are about to go.
//!
//! It demands proof: a [`Warrant`] names one incarnation of one object (UID), the version that the decision was made on
//! where it read what may change, the epoch of the lease under which it is carried out, the grounds that it rests on, and
//! consumes a [`BudgetSlot`]; [`Actuator::prove`] refuses what the rails keep, whatever the engine said. The server itself
//! then refuses if anything has changed, so one request is all that it takes, and repeating one is harmless.
//!
//! Knows nothing of policies. What can fail is a call; what became of the object is in the [`Outcome`].
//!
//! Invariants: no request leaves here without a UID precondition, nor once its epoch has ended.

mod budget;
mod finalizers;
mod flow;
mod options;
mod request;

pub mod dismantle;

use std::sync::Arc;
use std::time::Duration;

use api::{Rail, Rails, Unlock};
use control::Clock;
use jiff::Timestamp;
use kube::Client;
use units::{ResourceVersion, Uid};

pub use budget::{Budget, BudgetSlot, Exhausted};

use finalizers::{Change, Finalizers};
use flow::Flow;

use crate::client::accepted;
use crate::discovery::Resource;
use crate::error::{ApiError, Class, Classify};
use crate::lease::Epoch;
use crate::ledger::{self, Evidence, Ledger, Rule, Subject};
use crate::limits::{EPOCH_MARGIN, LOST_ANSWER_LOOK_TIMEOUT};
use crate::metrics::{MetricName, Metrics};
use crate::reconcile::fenced;
use crate::service_account::ServiceAccountName;
use crate::settlement::{Found, look_in};

/// The part of a pod by which it is evicted, as roles name it.
pub const EVICTIONS: &str = "pods/eviction";

/// Deletes and evicts objects, with proof.
#[derive(Clone, Debug)]
pub struct Actuator {
    client: Arc<Quiet>,
    rails: Arc<Rails>,
    ledger: Ledger,
    metrics: Metrics,
    flow: Arc<Flow>,
}

/// What an actuator acts with.
#[derive(Clone)]
pub struct Means {
    /// Whom it acts as.
    pub client: Client,
    /// Where it writes down what it does.
    pub ledger: Ledger,
    /// Where numbers go.
    pub metrics: Metrics,
    /// Tells how long an act takes.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Means {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Means").field("ledger", &self.ledger).finish_non_exhaustive()
    }
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
    /// Where it lies; empty if it lies in no namespace.
    pub namespace: String,
    /// Its name.
    pub name: Box<str>,
    /// Which incarnation of that name.
    pub uid: Uid,
    /// The version that was judged; none only if the decision read nothing that may change.
    pub resource_version: Option<ResourceVersion>,
    /// With whose rights it is done; none for our own. We need the right to impersonate the account.
    pub act_as: Option<ServiceAccountName>,
}

/// What a decision rests on: written down before the act.
#[derive(Clone, Debug)]
pub struct Grounds {
    /// Who decided.
    pub controller: &'static str,
    /// The rule that asks for it, in the form that was acted on.
    pub rule: Rule,
    /// What was seen, in a few words each. Never an object's content.
    pub evidence: Evidence,
    /// What the rule unlocks, in words.
    pub unlocked: Vec<Unlock>,
    /// What it is done for.
    pub purpose: Purpose,
}

/// What an act is done for, which says whom the rails keep from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Somebody's policy takes objects: the rails keep what no policy may take.
    #[default]
    Collection,
    /// A node leaves, or is emptied: its pods go with it wherever they lie, and it loses our finalizer. For anything but
    /// pods and nodes the rails hold.
    Departure,
    /// A record of ours has been kept for as long as it should be. For anything else the rails hold.
    Upkeep,
}

impl Purpose {
    /// Whether the rails do not speak of objects of this kind.
    fn is_about(self, resource: &Resource) -> bool {
        let kind = &resource.kind;
        matches!(
            (self, kind.group(), kind.kind.as_str()),
            (Self::Departure, "", "Pod" | "Node") | (Self::Upkeep, api::GROUP, "NodeCleanup")
        )
    }
}

/// Proof that this object may be destroyed now. Only [`Actuator::prove`] makes one, and an act consumes it.
#[derive(Debug)]
pub struct Warrant {
    target: Target,
    epoch: Epoch,
    grounds: Grounds,
    _slot: BudgetSlot,
}

/// There is no warrant. To be handed to [`Actuator::record`], so that the refusal is written down.
#[derive(Debug)]
pub struct Objection {
    /// Why not.
    pub refused: Refused,
    target: Target,
    grounds: Grounds,
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
    /// This replica does not lead, or will not for long enough.
    #[error("this replica does not hold the lease")]
    NotLeading,
}

impl Refused {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Rail(rail) => rail.reason(),
            Self::NoUid => "NoUid",
            Self::NoResourceVersion => "NoResourceVersion",
            Self::NotLeading => "NotLeading",
        }
    }
}

/// What is done.
#[derive(Clone, Debug)]
pub enum Act {
    /// The object is deleted.
    Delete(Manner),
    /// A pod is evicted: deleted if the budgets that cover it allow that.
    Evict {
        /// Seconds that the pod gets to end; none leaves it to the pod.
        grace_period_seconds: Option<i64>,
    },
    /// An annotation is written on the object, such as when it will go.
    Notify {
        /// Its key and its value.
        annotation: (&'static str, String),
    },
    /// A finalizer is put on the object, unless it is there: the object then stays until it is taken off again.
    AddFinalizer(String),
    /// A finalizer is taken off the object, if it is there.
    RemoveFinalizer(String),
    /// The same, of an object that is being deleted; any other has changed, and keeps it.
    Release(String),
}

impl Act {
    /// What it is called.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Delete(_) => "delete",
            Self::Evict { .. } => "evict",
            Self::Notify { .. } => "notify",
            Self::AddFinalizer(_) => "add-finalizer",
            Self::RemoveFinalizer(_) | Self::Release(_) => "remove-finalizer",
        }
    }

    /// What the ledger calls it once it was done.
    const fn done(&self) -> &'static str {
        match self {
            Self::Delete(_) | Self::Evict { .. } => "deleted",
            Self::Notify { .. } => "notified",
            Self::AddFinalizer(_) => "finalizer-added",
            Self::RemoveFinalizer(_) | Self::Release(_) => "finalizer-removed",
        }
    }

    /// Whether an object that is gone, or on its way out, shows that it was done.
    const fn destroys(&self) -> bool {
        matches!(self, Self::Delete(_) | Self::Evict { .. })
    }

    fn change(&self) -> Option<Change<'_>> {
        match self {
            Self::AddFinalizer(finalizer) => Some(Change::Add(finalizer)),
            Self::RemoveFinalizer(finalizer) | Self::Release(finalizer) => Some(Change::Remove(finalizer)),
            Self::Delete(_) | Self::Evict { .. } | Self::Notify { .. } => None,
        }
    }
}

/// How an object is deleted.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// `Background`, `Foreground` or `Orphan`.
    pub propagation: &'static str,
    /// Seconds that a pod gets to end; none leaves it to the object.
    pub grace_period_seconds: Option<i64>,
}

/// What became of an act.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The server accepted it; or there was nothing to do, for the object has the finalizer already, or has it no more.
    Accepted,
    /// The answer was lost, as this says; the object was looked for, and is gone or on its way out.
    FoundDone(ApiError),
    /// The object was gone, or is another by now.
    Gone,
    /// The object has changed since the decision: decide again.
    Changed,
    /// We may not.
    Denied(ApiError),
    /// A disruption budget does not allow the eviction now.
    Blocked {
        /// When the server wants to be asked again.
        retry_after: Duration,
        /// The server's words.
        message: String,
    },
    /// The server is busy; it wants to be asked again after this time.
    Throttled(Duration),
    /// It failed, or nobody knows: the server may have done it without our hearing of it.
    Failed(ApiError),
    /// The epoch had ended; nothing was sent.
    Fenced,
    /// The epoch ended while the answer was awaited: it may have been done.
    CutOff,
    /// It could not be recorded first, so it was not done.
    Unrecorded(String),
    /// There was no warrant for it.
    Refused(Refused),
}

impl Outcome {
    /// All metric labels.
    pub const LABELS: [&'static str; 9] =
        ["deleted", "gone", "changed", "denied", "blocked", "throttled", "failed", "fenced", "unrecorded"];

    /// The metric label, for acts that delete.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Accepted | Self::FoundDone(_) => "deleted",
            Self::Gone => "gone",
            Self::Changed => "changed",
            Self::Denied(_) => "denied",
            Self::Blocked { .. } => "blocked",
            Self::Throttled(_) => "throttled",
            Self::Failed(_) => "failed",
            Self::Fenced | Self::CutOff => "fenced",
            Self::Unrecorded(_) => "unrecorded",
            Self::Refused(_) => "refused",
        }
    }

    /// How the ledger tells it: whether it was done is not known if nobody heard the answer.
    fn recorded(&self, act: &Act) -> ledger::Outcome {
        let (outcome, message) = match self {
            Self::Failed(error) if error.leaves_open() => ("unknown", Some(error.to_string())),
            Self::Accepted => (act.done(), None),
            Self::FoundDone(error) => {
                (act.done(), Some(format!("found to be done; the answer was lost: {error}")))
            }
            Self::CutOff => ("unknown", Some("the epoch ended before the answer came".to_owned())),
            Self::Denied(error) | Self::Failed(error) => (self.label(), Some(error.to_string())),
            Self::Blocked { message, .. } => (self.label(), Some(message.clone())),
            _ => (self.label(), None),
        };
        ledger::Outcome { outcome, message }
    }
}

impl Actuator {
    /// An actuator that acts within these rails, with so many acts in flight at most; with fewer while the API server is
    /// busy or slow.
    pub fn new(means: Means, rails: Rails, in_flight_max: u16) -> Self {
        let Means { client, ledger, metrics, clock } = means;
        let flow = Flow::new(in_flight_max, clock, metrics.clone());
        Self { client: Arc::new(Quiet(client)), rails: Arc::new(rails), ledger, metrics, flow }
    }

    /// A budget of so many acts per second, within what this actuator may have in flight at the time.
    pub fn budget(&self, rate: u32, now: Timestamp) -> Budget {
        Budget::new(rate, now, &self.flow)
    }

    /// Proves that an object may be destroyed now, or says why not.
    pub fn prove(
        &self,
        target: Target,
        slot: BudgetSlot,
        epoch: Epoch,
        grounds: Grounds,
    ) -> Result<Warrant, Box<Objection>> {
        match self.objection(&target, &epoch, &grounds) {
            None => Ok(Warrant { target, epoch, grounds, _slot: slot }),
            Some(refused) => {
                self.metrics.count(MetricName::ActuatorRefusals, &[("reason", refused.label())]);
                Err(Box::new(Objection { refused, target, grounds }))
            }
        }
    }

    /// Writes down that there was no warrant, and why.
    pub async fn record(&self, objection: Box<Objection>, act: &Act) -> Outcome {
        let Objection { refused, target, grounds } = *objection;
        let refusal = ledger::Refusal {
            intent: intent(&target, grounds, act, None),
            reason: refused.label().to_owned(),
            message: refused.to_string(),
        };
        self.ledger.refusal(refusal).await;
        Outcome::Refused(refused)
    }

    fn objection(&self, target: &Target, epoch: &Epoch, grounds: &Grounds) -> Option<Refused> {
        let Target { resource, namespace, name, .. } = target;
        let rail = self.rails.keep(&resource.kind, namespace, name, &grounds.unlocked);
        if let Some(rail) = rail.filter(|_| !grounds.purpose.is_about(resource)) {
            return Some(Refused::Rail(rail));
        }
        if target.uid.is_empty() {
            return Some(Refused::NoUid);
        }
        if target.resource_version.as_ref().is_some_and(ResourceVersion::is_empty) {
            return Some(Refused::NoResourceVersion);
        }
        (!epoch.is_valid_for(EPOCH_MARGIN)).then_some(Refused::NotLeading)
    }

    /// Acts on one object: one request, with UID and version as preconditions, between two records in the ledger. What
    /// changes finalizers reads them first.
    pub async fn carry_out(&self, warrant: Warrant, act: Act) -> Outcome {
        let Warrant { target, epoch, grounds, _slot } = warrant;
        // What is seldom needed has a place of its own, so that it takes none where it is not: an act is moved some times.
        let (request, seen) = match self.prepare(&target, &epoch, &act).await {
            Ok(prepared) => prepared,
            Err(outcome) => return outcome,
        };
        let intent = intent(&target, grounds, &act, Some(epoch.number()));
        let written = match fenced(&epoch, self.ledger.intent(intent)).await {
            None => return Outcome::Fenced,
            Some(Err(unavailable)) => return Outcome::Unrecorded(unavailable.reason),
            Some(Ok(written)) => written,
        };
        let outcome = match (self.send(request, &epoch, &act).await, &seen) {
            (Outcome::Failed(error), _) if error.leaves_open() && act.destroys() => {
                Box::pin(self.look_after(&target, error, &epoch)).await
            }
            // A test in the patch has failed, or the object may not be so: the server says the same of both.
            (Outcome::Failed(error), Some(seen)) if error.code() == Some(422) => {
                Box::pin(self.look_again(&target, seen, error, &epoch)).await
            }
            (outcome, _) => outcome,
        };
        self.ledger.outcome(written, outcome.recorded(&act)).await;
        outcome
    }

    /// The one request that an act takes, and the finalizers that it rests on; or what became of the act without one.
    async fn prepare(
        &self,
        target: &Target,
        epoch: &Epoch,
        act: &Act,
    ) -> Result<(http::Request<Vec<u8>>, Option<Finalizers>), Outcome> {
        let Some(change) = act.change() else {
            return Ok((request::of(target, act).map_err(Outcome::Failed)?, None));
        };
        let looking = Box::pin(finalizers::look(&self.client.0, target));
        let seen = match fenced(epoch, looking).await {
            None => return Err(Outcome::Fenced),
            Some(Err(error)) => return Err(became(error, act)),
            Some(Ok(finalizers::Found::Gone)) => return Err(Outcome::Gone),
            Some(Ok(finalizers::Found::Changed)) => return Err(Outcome::Changed),
            Some(Ok(finalizers::Found::There(seen))) => seen,
        };
        if matches!(act, Act::Release(_)) && !seen.is_terminating() {
            return Err(Outcome::Changed);
        }
        let Some((form, patch)) = seen.write(change) else { return Err(Outcome::Accepted) };
        let request = request::patch(target, form, &patch).map_err(Outcome::Failed)?;
        Ok((request, Some(seen)))
    }

    async fn send(&self, request: http::Request<Vec<u8>>, epoch: &Epoch, act: &Act) -> Outcome {
        if !epoch.is_valid_for(EPOCH_MARGIN) {
            return Outcome::Fenced;
        }
        let began = self.flow.begin();
        let outcome = match fenced(epoch, Box::pin(accepted(&self.client.0, request))).await {
            // It may have reached the server all the same; the preconditions hold there.
            None => Outcome::CutOff,
            Some(Ok(())) => Outcome::Accepted,
            Some(Err(error)) => became(error, act),
        };
        self.flow.answered(&outcome, began);
        outcome
    }

    /// Finalizers were not changed: because the object is not what it was, or because it may not be so.
    async fn look_again(
        &self,
        target: &Target,
        seen: &Finalizers,
        error: ApiError,
        epoch: &Epoch,
    ) -> Outcome {
        match fenced(epoch, finalizers::look(&self.client.0, target)).await {
            Some(Ok(finalizers::Found::Gone)) => Outcome::Gone,
            Some(Ok(finalizers::Found::Changed)) => Outcome::Changed,
            Some(Ok(finalizers::Found::There(found))) if !seen.stand_in(&found) => Outcome::Changed,
            _ => Outcome::Failed(error),
        }
    }

    /// Nobody knows whether it was done: looks once. What is still there is acted on again, which is harmless.
    async fn look_after(&self, target: &Target, error: ApiError, epoch: &Epoch) -> Outcome {
        let object = subject(target);
        let look = look_in(&self.client.0, &target.resource, &object);
        let found = fenced(epoch, tokio::time::timeout(LOST_ANSWER_LOOK_TIMEOUT, look)).await;
        match found {
            Some(Ok(Ok(Found::Gone | Found::Terminating))) => Outcome::FoundDone(error),
            _ => Outcome::Failed(error),
        }
    }
}

fn intent(target: &Target, grounds: Grounds, act: &Act, epoch: Option<u64>) -> ledger::Intent {
    let Grounds { controller, rule, evidence, .. } = grounds;
    let evidence = match &target.act_as {
        Some(account) => evidence.with("actsAs", account),
        None => evidence,
    };
    ledger::Intent { controller, act: act.name(), rule, object: subject(target), epoch, evidence }
}

/// The object, as the ledger names it.
fn subject(target: &Target) -> Subject {
    let Target { resource, namespace, name, uid, resource_version, .. } = target;
    Subject {
        api_version: resource.kind.api_version.to_string(),
        kind: resource.kind.kind.clone(),
        namespace: namespace.clone(),
        name: name.to_string(),
        uid: uid.to_string(),
        resource_version: resource_version.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn became(error: ApiError, act: &Act) -> Outcome {
    const SOON: Duration = Duration::from_secs(1);
    match &error {
        ApiError::Refused { code: 404, .. } => Outcome::Gone,
        ApiError::Refused { code: 409, .. } => Outcome::Changed,
        // To an eviction it is an answer: a budget says no. Priority and fairness says so by another reason.
        ApiError::Refused { code: 429, retry_after, message, .. }
            if matches!(act, Act::Evict { .. }) && message.contains("disruption budget") =>
        {
            // The eviction API proposes ten seconds where a budget's controller has yet to catch up, and else none.
            Outcome::Blocked { retry_after: retry_after.unwrap_or(SOON), message: message.clone() }
        }
        ApiError::Refused { code: 429, retry_after, .. } => Outcome::Throttled(retry_after.unwrap_or(SOON)),
        error if error.class() == Class::Denied => Outcome::Denied(error.clone()),
        _ => Outcome::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::GroupVersionKind;

    pub(super) fn target(api_version: &str, namespace: &str) -> Target {
        let kind = GroupVersionKind { api_version: api_version.parse().unwrap(), kind: "ConfigMap".into() };
        let resource = Resource { kind, plural: "things".into(), namespaced: true, verbs: Vec::new() };
        Target {
            resource: Arc::new(resource),
            namespace: namespace.into(),
            name: "a".into(),
            uid: Uid::from("u-1"),
            resource_version: Some(ResourceVersion::from("7")),
            act_as: None,
        }
    }

    const DELETE_IT: Act = Act::Delete(Manner { propagation: "Background", grace_period_seconds: None });

    fn grounds() -> Grounds {
        let rule = Rule { policy: "team/sweep".into(), uid: "p-1".into(), generation: 1 };
        let purpose = Purpose::Collection;
        Grounds { controller: "gc", rule, evidence: Evidence::default(), unlocked: Vec::new(), purpose }
    }

    /// Nobody answers, and nothing is written down.
    async fn unheard() -> Means {
        let client = Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let (metrics, clock) = (Metrics::default(), Arc::new(control::SystemClock));
        Means { client, ledger: no_ledger().await, metrics, clock }
    }

    async fn no_ledger() -> Ledger {
        let options = ledger::LedgerOptions {
            directory: "unused".into(),
            instance: "test".into(),
            requirement: ledger::Requirement::Off,
            limits: ledger::LedgerLimits::default(),
        };
        Ledger::open(options, Arc::new(control::SystemClock), Metrics::default()).await.unwrap().ledger
    }

    #[tokio::test]
    async fn there_is_no_warrant_for_what_the_rails_keep_or_what_is_not_told_apart() {
        let actuator = Actuator::new(unheard().await, Rails::new("grounds"), 8);
        let epoch = Epoch::lasting(Duration::from_secs(5));
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
                Target { resource_version: Some(ResourceVersion::from("")), ..target("v1", "team") },
                Refused::NoResourceVersion,
            ),
        ];
        for (target, expected) in table {
            let slot = budget.take(now).unwrap();
            assert_eq!(
                actuator.prove(target.clone(), slot, epoch.clone(), grounds()).unwrap_err().refused,
                expected,
                "{target:?}"
            );
        }
        let lease = target("coordination.k8s.io/v1", "team");
        let unlocking = Grounds { unlocked: vec![Unlock::Leases], ..grounds() };
        assert!(actuator.prove(lease, budget.take(now).unwrap(), epoch.clone(), unlocking).is_ok());
        let mut prove =
            |epoch| actuator.prove(target("v1", "team"), budget.take(now).unwrap(), epoch, grounds());
        assert!(prove(epoch).is_ok());
        let nearly_over = Epoch::lasting(EPOCH_MARGIN / 2);
        assert_eq!(prove(nearly_over).unwrap_err().refused, Refused::NotLeading);
    }

    #[tokio::test]
    async fn an_act_that_waits_is_small() {
        let actuator = Actuator::new(unheard().await, Rails::new("grounds"), 8);
        let (epoch, now) = (Epoch::lasting(Duration::from_secs(5)), Timestamp::UNIX_EPOCH);
        let slot = actuator.budget(1_000, now).take(now).unwrap();
        let warrant = actuator.prove(target("v1", "team"), slot, epoch, grounds()).unwrap();
        let size = size_of_val(&actuator.carry_out(warrant, DELETE_IT));
        assert!(size < 4_096, "{size} bytes for each deletion under way, copied at each of its steps");
    }

    #[tokio::test]
    async fn pods_and_nodes_leave_wherever_they_lie_and_nothing_else_does() {
        let actuator = Actuator::new(unheard().await, Rails::new("grounds"), 8);
        let epoch = Epoch::lasting(Duration::from_secs(5));
        let now = Timestamp::UNIX_EPOCH;
        let mut budget = actuator.budget(1_000, now);
        let mut refused = |purpose, api_version: &str, kind: &str, namespace: &str| {
            let mut target = target(api_version, namespace);
            let mut resource = Resource::clone(&target.resource);
            resource.kind.kind = kind.into();
            target.resource = Arc::new(resource);
            let grounds = Grounds { purpose, ..grounds() };
            let slot = budget.take(now).unwrap();
            actuator.prove(target, slot, epoch.clone(), grounds).err().map(|objection| objection.refused)
        };
        let ours = "groundskeeper.dev/v1alpha1";
        for (purpose, api_version, kind, namespace, expected) in [
            (Purpose::Departure, "v1", "Pod", "kube-system", None),
            (Purpose::Departure, "v1", "Pod", "grounds", None),
            (Purpose::Departure, "v1", "Node", "", None),
            (Purpose::Departure, "v1", "Secret", "kube-system", Some(Rail::SystemNamespace)),
            (Purpose::Departure, ours, "NodeCleanup", "", Some(Rail::OwnResource)),
            (Purpose::Upkeep, ours, "NodeCleanup", "", None),
            (Purpose::Upkeep, ours, "NodeCleanupPolicy", "", Some(Rail::OwnResource)),
            (Purpose::Upkeep, "v1", "Pod", "kube-system", Some(Rail::SystemNamespace)),
            (Purpose::Collection, "v1", "Pod", "kube-system", Some(Rail::SystemNamespace)),
        ] {
            let found = refused(purpose, api_version, kind, namespace);
            assert_eq!(found, expected.map(Refused::Rail), "{purpose:?} {kind} in {namespace}");
        }
    }

    #[tokio::test]
    async fn a_warrant_whose_epoch_has_ended_does_nothing() {
        let actuator = Actuator::new(unheard().await, Rails::new("grounds"), 8);
        let slot = actuator.budget(10, Timestamp::UNIX_EPOCH).take(Timestamp::UNIX_EPOCH).unwrap();
        let epoch = Epoch::lasting(Duration::from_secs(5));
        let warrant = actuator.prove(target("v1", "team"), slot, epoch.clone(), grounds()).unwrap();
        epoch.end();
        assert!(matches!(actuator.carry_out(warrant, DELETE_IT).await, Outcome::Fenced));
    }

    #[test]
    fn answers_are_told_apart() {
        let refused = |code| ApiError::Refused {
            code,
            reason: String::new(),
            message: String::new(),
            retry_after: Some(Duration::from_secs(3)),
        };
        assert!(matches!(became(refused(404), &DELETE_IT), Outcome::Gone));
        assert!(matches!(became(refused(409), &DELETE_IT), Outcome::Changed));
        assert!(matches!(became(refused(403), &DELETE_IT), Outcome::Denied(_)));
        assert!(
            matches!(became(refused(429), &DELETE_IT), Outcome::Throttled(wait) if wait == Duration::from_secs(3))
        );
        assert!(matches!(became(refused(500), &DELETE_IT), Outcome::Failed(_)));
        let evict = Act::Evict { grace_period_seconds: None };
        assert!(matches!(became(refused(429), &evict), Outcome::Throttled(_)));
        let budget = ApiError::Refused {
            code: 429,
            reason: "TooManyRequests".into(),
            message: "Cannot evict pod as it would violate the pod's disruption budget.".into(),
            retry_after: None,
        };
        assert!(matches!(became(budget, &evict), Outcome::Blocked { .. }));
    }
}
