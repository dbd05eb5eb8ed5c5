//! Policies: what each sees and does, in its status.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::NodeCleanupPolicy;
use api::node_cleanup::{NodeCleanupPolicyStatus, NodeCondition, NodeReason};
use chassis::lease::Epoch;
use chassis::objects::ObjectRef;
use chassis::reconcile::{Controller, Did, Report, Requeue};
use chassis::writes::{self, Seen};
use chassis::{Class, Classify as _, MetricName};
use jiff::Timestamp;
use units::{ResourceVersion, Uid};

use super::apply::{self, Deeds};
use super::departures::Trouble;
use super::limits::{COUNT_INTERVAL, OVERTAKEN_PAUSE};
use super::observe::{Ground, Tally};
use super::report::conditions::{self, Said, said};

/// Policies.
pub(super) struct Policies {
    pub(super) ground: Ground,
    pub(super) deeds: Deeds,
}

/// What is seen of a policy.
pub(super) struct Snapshot {
    policy: Arc<NodeCleanupPolicy>,
    problem: Option<String>,
    unread: Option<String>,
    tally: Tally,
    /// How many of its departures each kind of blocker stands in the way of.
    blocked: BTreeMap<String, i64>,
}

/// What its status is to say.
pub(super) struct Plan {
    policy: Arc<NodeCleanupPolicy>,
    status: NodeCleanupPolicyStatus,
    ended: i64,
    blocked: BTreeMap<String, i64>,
}

impl Controller for Policies {
    type Key = String;
    type Snapshot = Snapshot;
    type Plan = Plan;
    type Outcome = ();
    type Error = Trouble;

    const NAME: &'static str = "nodecleanuppolicy";

    async fn observe(&self, key: &String) -> Result<Option<Snapshot>, Trouble> {
        let unread = self.ground.unheard().map(|unread| unread.to_string());
        let stock = self.ground.stock();
        let Some(policy) = stock.policy(key).cloned() else {
            for state in STATES {
                self.deeds.metrics.forget(MetricName::NodeDepartures, &labels(key, state));
            }
            self.deeds.metrics.forget(MetricName::NodePolicyNodes, &[("policy_name", key)]);
            // A departure goes on when its policy is gone, and is still to be seen.
            self.count_blocked(key, &stock.blocked(key));
            return Ok(None);
        };
        let problem = stock.compiled(key).and_then(Result::err);
        Ok(Some(Snapshot { tally: stock.tally(key), blocked: stock.blocked(key), policy, problem, unread }))
    }

    fn decide(snapshot: &Snapshot, now: Timestamp) -> Plan {
        let Snapshot { policy, tally, blocked, .. } = snapshot;
        let before = policy.status.clone().unwrap_or_default();
        let observed_generation = policy.metadata.generation;
        let said = snapshot.said();
        let status = NodeCleanupPolicyStatus {
            observed_generation,
            nodes: tally.nodes,
            finalized: tally.finalized,
            leaving: tally.leaving,
            held: tally.held,
            completed: before.completed.saturating_add(tally.ended),
            conditions: conditions::conditions(said, &before.conditions, observed_generation, now),
        };
        Plan { policy: Arc::clone(policy), status, ended: tally.ended, blocked: blocked.clone() }
    }

    async fn apply(&self, _: &String, _: &Plan, _: &Epoch) {}

    async fn report(&self, key: &String, plan: Plan, (): ()) -> Result<Report, Trouble> {
        let Plan { policy, status, ended, blocked } = plan;
        for (state, number) in STATES.into_iter().zip([status.leaving, status.held]) {
            self.deeds.metrics.set(MetricName::NodeDepartures, &labels(key, state), number);
        }
        self.deeds.metrics.set(MetricName::NodePolicyNodes, &[("policy_name", key)], status.nodes);
        self.count_blocked(key, &blocked);
        if policy.status.as_ref() == Some(&status) {
            return Ok(Report { requeue: Requeue::AwaitChange, did: Did::Nothing });
        }
        let resource = apply::policy_resource();
        let object = ObjectRef { resource: &resource, namespace: None, name: key };
        let uid = Uid::from(policy.metadata.uid.as_deref().unwrap_or_default());
        let version = ResourceVersion::from(policy.metadata.resource_version.as_deref().unwrap_or_default());
        let seen = Seen { uid: &uid, version: &version };
        match writes::replace_status(self.deeds.client(), object, seen, &status).await {
            Ok(version) => {
                self.ground.stock().have_been_told(key, ended);
                self.ground.works.policies.wrote(key, version);
            }
            Err(error) if error.class() == Class::Conflict => {
                let requeue = Requeue::After(OVERTAKEN_PAUSE, "the policy has changed meanwhile");
                return Ok(Report { requeue, did: Did::Something });
            }
            Err(error) if error.code() == Some(404) => {}
            Err(error) => return Err(Trouble::Writing(error)),
        }
        // What changes within a second comes in one write.
        let requeue = Requeue::After(COUNT_INTERVAL, "what was counted may have changed");
        Ok(Report { requeue, did: Did::Something })
    }
}

impl Policies {
    fn count_blocked(&self, policy: &str, blocked: &BTreeMap<String, i64>) {
        for reason in node_cleanup::blocker_words() {
            let labels = [("policy_name", policy), ("reason", reason)];
            match blocked.get(reason) {
                Some(departures) => {
                    self.deeds.metrics.set(MetricName::NodeDeparturesBlocked, &labels, *departures);
                }
                None => self.deeds.metrics.forget(MetricName::NodeDeparturesBlocked, &labels),
            }
        }
    }
}

const STATES: [&str; 2] = ["leaving", "held"];

fn labels<'a>(policy: &'a str, state: &'static str) -> [(&'static str, &'a str); 2] {
    [("policy_name", policy), ("state", state)]
}

impl Snapshot {
    /// Of what it decides; and of what not, although its author named it.
    fn governs(&self) -> String {
        let Tally { nodes, left_alone, .. } = self.tally;
        if left_alone == 0 || self.policy.spec.node_selector.is_none() {
            return format!("it decides of {nodes} nodes");
        }
        format!(
            "it decides of {nodes} nodes; {left_alone} of the control plane, which nodeSelector selects, are left alone: \
             write `unlock: [ControlPlaneNodes]` if they are meant"
        )
    }

    fn said(&self) -> Vec<Said> {
        let Self { policy, problem, unread, tally, .. } = self;
        let (is_ready, reason, message) = match (problem, unread) {
            (Some(problem), _) => (false, NodeReason::Invalid, problem.clone()),
            (None, Some(unread)) => (false, NodeReason::Unavailable, unread.clone()),
            (None, None) if policy.spec.dry_run => {
                (true, NodeReason::DryRun, format!("it would decide of {} nodes; dryRun is set", tally.nodes))
            }
            (None, None) if policy.spec.paused => {
                (false, NodeReason::PolicyPaused, "paused is set: departures stop where they are".to_owned())
            }
            (None, None) => (true, NodeReason::Governing, self.governs()),
        };
        let is_stuck = problem.is_some();
        vec![
            said(NodeCondition::Ready, is_ready, reason, message.clone()),
            said(NodeCondition::Reconciling, unread.is_some() && !is_stuck, reason, message.clone()),
            said(NodeCondition::Stalled, is_stuck, reason, if is_stuck { message } else { String::new() }),
        ]
    }
}
