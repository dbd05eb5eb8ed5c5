//! Nodes: who may not go without a cleanup, and whose departure begins.
//!
//! The key is a node's name. Whatever else puts the finalizer on, a miss is repaired here; and it is taken off where no
//! policy decides any more, so that it never keeps a node that nobody cleans up.
//!
//! Invariants: the finalizer is taken off only where none of the policies that the server has decides of the node, or might
//! if it made sense; and never while the departure of this incarnation has a record.

use std::sync::Arc;

use api::node_cleanup::{DELETION_GUARD_LABEL, GuardedBecause, NODE_FINALIZER, NodeCleanupSpec};
use api::{EventReason, NodeCleanup, NodeCleanupPolicy};
use chassis::actuator::{Act, Outcome};
use chassis::lease::Epoch;
use chassis::objects;
use chassis::reconcile::{Controller, Did, Report, Requeue};
use chassis::{ApiError, Class, Classify as _};
use control::Clock;
use jiff::Timestamp;
use views::Node;

use super::apply::{self, Deeds, Held, Overtaken, Word};
use super::departures::Trouble;
use super::limits::{OVERTAKEN_PAUSE, UNREAD_PAUSE};
use super::observe::{Governor, Ground, Heir};
use super::report;

/// Nodes.
pub(super) struct Nodes {
    pub(super) ground: Ground,
    pub(super) deeds: Deeds,
    pub(super) clock: Arc<dyn Clock>,
}

/// What is decided on.
pub(super) struct Snapshot {
    node: Arc<Node>,
    governor: Governor,
    has_record: bool,
    /// What the node's label should say about its deletion.
    guard: Option<&'static str>,
    /// Whether it is held for a maintenance that is not there any more.
    is_held_for_nobody: bool,
    /// The maintenance that holds it next, if it is held for nobody.
    heir: Option<Heir>,
    is_read: bool,
}

/// What is to be done with a node.
pub(super) struct Plan {
    node: Arc<Node>,
    acts: Vec<Deed>,
    waits: bool,
}

/// One thing to do.
enum Deed {
    PutOn(Word),
    TakeOff(Word, Act),
    Begin(Box<NodeCleanup>),
    Label(Option<&'static str>),
    /// Nobody holds it any more.
    Open,
    /// Another maintenance holds it from now on.
    PassOn(Heir),
}

impl Controller for Nodes {
    type Key = String;
    type Snapshot = Snapshot;
    type Plan = Plan;
    type Outcome = Vec<(&'static str, Outcome)>;
    type Error = Trouble;

    const NAME: &'static str = "node";

    async fn observe(&self, key: &String) -> Result<Option<Snapshot>, Trouble> {
        let is_read = self.ground.unread().is_none();
        let stock = self.ground.stock();
        let Some(node) = stock.node(key).cloned() else { return Ok(None) };
        let governor = stock.governor(&node);
        let uid = node.metadata.uid.as_ref().map(ToString::to_string).unwrap_or_default();
        let has_record = stock.record(&uid).is_some();
        let guard = stock.guard(&node, &governor).map(GuardedBecause::word);
        let is_held_for_nobody =
            Held::of(&node).is_some_and(|held| !stock.has_maintenance(held.by, &node.metadata.name));
        let heir = if is_held_for_nobody { stock.heir(&node) } else { None };
        Ok(Some(Snapshot { node, governor, has_record, guard, is_held_for_nobody, heir, is_read }))
    }

    fn decide(snapshot: &Snapshot, _: Timestamp) -> Plan {
        let Snapshot { node, governor, has_record, guard, is_held_for_nobody, heir, is_read } = snapshot;
        let mut plan = Plan { node: Arc::clone(node), acts: Vec::new(), waits: !is_read };
        if !is_read {
            return plan;
        }
        let has_finalizer = node.has_finalizer(NODE_FINALIZER);
        let is_leaving = node.metadata.deletion_timestamp.is_some();
        if *is_held_for_nobody && !is_leaving {
            plan.acts.push(heir.clone().map_or(Deed::Open, Deed::PassOn));
        }
        match governor {
            Governor::Unknown => {}
            Governor::Policy(_, policy) if is_leaving => {
                if has_finalizer && !has_record {
                    plan.acts.extend(record(node, policy).map(|record| Deed::Begin(Box::new(record))));
                }
            }
            Governor::Policy(_, policy) => {
                if !has_finalizer && !policy.spec.dry_run {
                    plan.acts.push(Deed::PutOn(word(policy)));
                }
                let guard = guard.filter(|_| !policy.spec.dry_run);
                plan.acts.extend(relabel(node, guard));
            }
            Governor::Nobody if has_finalizer && !has_record => {
                let finalizer = NODE_FINALIZER.to_owned();
                let act = if is_leaving { Act::Release(finalizer) } else { Act::RemoveFinalizer(finalizer) };
                plan.acts.push(Deed::TakeOff(nobody(), act));
                plan.acts.extend(relabel(node, None));
            }
            Governor::Nobody => plan.acts.extend(relabel(node, None)),
        }
        plan
    }

    async fn apply(&self, _: &String, plan: &Plan, epoch: &Epoch) -> Self::Outcome {
        let mut outcomes = Vec::new();
        for act in &plan.acts {
            outcomes.push(match act {
                Deed::PutOn(word) => {
                    let act = Act::AddFinalizer(NODE_FINALIZER.to_owned());
                    let outcome = self.deeds.finalizer(&plan.node, word.clone(), act, epoch).await;
                    ("the finalizer was not put on", outcome)
                }
                Deed::TakeOff(word, act) => {
                    let outcome = match self.is_nobodys(&plan.node).await {
                        Ok(true) => self.deeds.finalizer(&plan.node, word.clone(), act.clone(), epoch).await,
                        Ok(false) => Outcome::Changed,
                        Err(error) => Outcome::Failed(error),
                    };
                    ("the finalizer was not taken off", outcome)
                }
                Deed::Begin(record) => {
                    let outcome = match self.deeds.begin(record).await {
                        Ok(()) => Outcome::Accepted,
                        Err(error) => Outcome::Failed(error),
                    };
                    ("the record of its departure was not created", outcome)
                }
                Deed::Label(value) => {
                    let written = self.deeds.label(&plan.node, DELETION_GUARD_LABEL, *value).await;
                    ("the label about its deletion was not written", became(written))
                }
                Deed::Open => {
                    let opened = self.deeds.give_back(&plan.node).await;
                    if opened.is_ok() {
                        let note =
                            "the maintenance was deleted, and what it had put on the node was taken off";
                        self.tell_that_it_ended(&plan.node, note);
                    }
                    ("what a maintenance had put on it was not taken off", became(opened))
                }
                Deed::PassOn(Heir { name, uid }) => {
                    let passed = self.deeds.pass_on(&plan.node, uid).await;
                    if passed.is_ok() {
                        let note = format!(
                            "the maintenance was deleted, and NodeMaintenance {name} holds the node now"
                        );
                        self.tell_that_it_ended(&plan.node, &note);
                    }
                    ("it was not passed on to another maintenance", became(passed))
                }
            });
        }
        outcomes
    }

    async fn report(&self, _: &String, plan: Plan, outcomes: Self::Outcome) -> Result<Report, Trouble> {
        let did = if outcomes.is_empty() { Did::Nothing } else { Did::Something };
        if plan.waits {
            return Ok(Report {
                requeue: Requeue::After(UNREAD_PAUSE, "something has to be read first"),
                did,
            });
        }
        settled(outcomes)?;
        Ok(Report { requeue: Requeue::AwaitChange, did })
    }
}

impl Nodes {
    /// Whether none of the policies that the server has decides of a node. Their watch may be behind that of the nodes, and
    /// what it has shown since the plan was made counts as well.
    async fn is_nobodys(&self, node: &Node) -> Result<bool, ApiError> {
        let found = objects::list_metadata(self.deeds.client(), &apply::policy_resource()).await?;
        let stock = self.ground.stock();
        Ok(stock.knows_policies(&found) && matches!(stock.governor(node), Governor::Nobody))
    }

    fn tell_that_it_ended(&self, node: &Node, note: &str) {
        let about = (&*node.metadata.name, node.metadata.uid.as_ref());
        report::maintenance(&self.deeds, about, EventReason::MaintenanceEnded, note, self.clock.now());
    }
}

/// What a write on an object became.
pub(super) fn became(written: Result<(), Overtaken>) -> Outcome {
    match written {
        Ok(()) => Outcome::Accepted,
        Err(Overtaken::Changed) => Outcome::Changed,
        Err(Overtaken::Failed(error)) => Outcome::Failed(error),
    }
}

/// What has not been done is tried again, sooner or later.
pub(super) fn settled(outcomes: Vec<(&'static str, Outcome)>) -> Result<(), Trouble> {
    for (act, outcome) in outcomes {
        let (why, class) = match outcome {
            Outcome::Accepted | Outcome::FoundDone(_) | Outcome::Gone | Outcome::Blocked { .. } => continue,
            Outcome::Changed => ("what was seen has changed".to_owned(), Class::Conflict),
            Outcome::Fenced | Outcome::CutOff => ("the epoch has ended".to_owned(), Class::Transient),
            Outcome::Throttled(_) => {
                (format!("the server is busy; again in {} ms", OVERTAKEN_PAUSE.as_millis()), Class::Conflict)
            }
            Outcome::Denied(error) | Outcome::Failed(error) => (error.to_string(), retried(&error)),
            Outcome::Unrecorded(why) => (why, Class::Transient),
            Outcome::Refused(refused) => (refused.to_string(), Class::Transient),
        };
        return Err(Trouble::Acting { act, why, class });
    }
    Ok(())
}

/// The next try may be about another state: nothing that a user edits would make this one right.
fn retried(error: &ApiError) -> Class {
    match error.class() {
        Class::Invalid => Class::Transient,
        class => class,
    }
}

fn relabel(node: &Node, guard: Option<&'static str>) -> Option<Deed> {
    (node.metadata.labels.get(DELETION_GUARD_LABEL) != guard).then_some(Deed::Label(guard))
}

/// The record of a departure that begins: what the policy says now holds to its end.
fn record(node: &Node, policy: &NodeCleanupPolicy) -> Option<NodeCleanup> {
    let uid = node.metadata.uid.as_ref()?.to_string();
    let spec = &policy.spec;
    let name = policy.metadata.name.clone().unwrap_or_default();
    Some(NodeCleanup::new(
        &uid,
        NodeCleanupSpec {
            node_name: node.metadata.name.to_string(),
            node_uid: uid.clone(),
            policy: name,
            policy_generation: policy.metadata.generation.unwrap_or_default(),
            steps: spec.steps.clone(),
            drain: spec.drain.clone(),
            deadlines: spec.deadlines.clone(),
            escalation: spec.escalation.clone(),
            ..NodeCleanupSpec::default()
        },
    ))
}

fn word(policy: &NodeCleanupPolicy) -> Word {
    Word {
        policy: format!("NodeCleanupPolicy/{}", policy.metadata.name.as_deref().unwrap_or_default()),
        uid: policy.metadata.uid.clone().unwrap_or_default(),
        generation: policy.metadata.generation.unwrap_or_default(),
    }
}

/// No policy decides of the node.
fn nobody() -> Word {
    Word { policy: "no NodeCleanupPolicy decides of it".to_owned(), uid: String::new(), generation: 0 }
}
