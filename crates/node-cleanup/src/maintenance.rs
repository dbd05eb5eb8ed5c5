//! What becomes of a maintenance now: a function of its wish, its status, and what is seen around its node.
//!
//! A node is looked at before it is touched: one that may not be emptied is not cordoned either. What a maintenance puts on
//! its node is written on the node itself, in the same request, so that whoever takes it off knows what is whose.
//!
//! Invariants: a node loses no pod before it is cordoned by this maintenance or somebody else; a maintenance never acts on
//! another node of the same name, on one that is being deleted, or on one that another maintenance holds.

use api::Time;
use api::node_cleanup::{Blocker, MaintenancePhase, NodeMaintenanceStatus};
use jiff::{SignedDuration, Timestamp};

use crate::drain::{self, DrainPlan, DrainState, Eviction, Rules, Scene, Settings, Tries, since};
use crate::limits::RECHECK_SECONDS;
use crate::steps::next_second;

/// What a maintenance is decided on.
#[derive(Clone, Debug)]
pub struct Maintenance<'a> {
    /// How far it was.
    pub status: &'a NodeMaintenanceStatus,
    /// How the pods leave.
    pub drain: &'a Settings,
    /// The node and all around it; absent if there is none of that name.
    pub scene: Option<Scene<'a>>,
    /// How the pods of some kinds leave.
    pub rules: &'a Rules,
    /// What the server answered when pods were last asked to leave.
    pub tries: &'a Tries,
    /// What is on the node on whose behalf.
    pub hold: Hold<'a>,
}

/// On whose behalf a node is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold<'a> {
    /// On nobody's.
    None,
    /// On this maintenance's; whether it has cordoned the node itself.
    Ours {
        /// Whether somebody else had not cordoned it before.
        cordoned: bool,
    },
    /// On another's, of this name.
    Others(&'a str),
}

/// What is to be written down, and then done.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What the status has to say from now on.
    pub status: NodeMaintenanceStatus,
    /// What is done once that has been written.
    pub acts: Vec<Act>,
    /// When to look again, if nothing happens before.
    pub wake_at: Option<Timestamp>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The node gets no more pods and no more traffic, on this maintenance's behalf.
    Hold,
    /// A pod is asked to leave.
    Ask(Eviction),
}

/// Why a maintenance does not go on, besides what stands in the way of the drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MaintenanceBlocker {
    /// There is no node of this name.
    NodeGone,
    /// It is another node than was seen.
    NodeReplaced,
    /// The node is being deleted.
    NodeLeaves,
    /// Another maintenance holds the node.
    AnotherMaintenance,
    /// The drain has taken longer than it may.
    TimedOut,
}

impl MaintenanceBlocker {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::NodeGone, Self::NodeReplaced, Self::NodeLeaves, Self::AnotherMaintenance, Self::TimedOut];

    /// The word that programs may read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NodeGone => "NodeGone",
            Self::NodeReplaced => "NodeReplaced",
            Self::NodeLeaves => "NodeLeaves",
            Self::AnotherMaintenance => "AnotherMaintenance",
            Self::TimedOut => "TimedOut",
        }
    }

    /// What it means, for the reference.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::NodeGone => "There is no node of this name. Delete the maintenance, or write another name.",
            Self::NodeReplaced => {
                "Another node has the name by now. Delete the maintenance, and create another one."
            }
            Self::NodeLeaves => "The node is being deleted, and is drained by its departure.",
            Self::AnotherMaintenance => {
                "Another maintenance holds the node; this one goes on when that is deleted."
            }
            Self::TimedOut => {
                "The drain has taken longer than `drain.timeoutSeconds`. No pod is asked any more, and the node stays cordoned."
            }
        }
    }

    fn blocker(self, message: String) -> Blocker {
        Blocker { reason: self.name().to_owned(), message, ..Blocker::default() }
    }
}

/// What becomes of a maintenance at a moment.
pub fn decide(maintenance: &Maintenance<'_>, now: Timestamp) -> Decision {
    let status = maintenance.status.clone();
    match maintenance.obstacle() {
        Some((obstacle, message)) => maintenance.rests(status, obstacle.blocker(message), now),
        None => match &maintenance.scene {
            Some(scene) => maintenance.goes_on(status, scene, now),
            None => Decision { status, acts: Vec::new(), wake_at: None },
        },
    }
}

impl Maintenance<'_> {
    /// Why nothing may be done at all.
    fn obstacle(&self) -> Option<(MaintenanceBlocker, String)> {
        let Some(scene) = &self.scene else {
            let message = "there is no such node: delete the maintenance, or create one with another name";
            return Some((MaintenanceBlocker::NodeGone, message.to_owned()));
        };
        let metadata = &scene.node.metadata;
        let seen = self.status.node_uid.as_deref().map(units::Uid::from);
        if seen.is_some() && seen != metadata.uid {
            let message = "the node was deleted, and another one has its name: delete the maintenance, and create another one";
            return Some((MaintenanceBlocker::NodeReplaced, message.to_owned()));
        }
        if metadata.deletion_timestamp.is_some() {
            let message = "the node is being deleted: its departure drains it";
            return Some((MaintenanceBlocker::NodeLeaves, message.to_owned()));
        }
        if let Hold::Others(name) = self.hold {
            let message =
                format!("NodeMaintenance {name} holds the node: this one goes on when that is deleted");
            return Some((MaintenanceBlocker::AnotherMaintenance, message));
        }
        None
    }

    fn rests(&self, mut status: NodeMaintenanceStatus, blocker: Blocker, now: Timestamp) -> Decision {
        let has_begun = status.phase != MaintenancePhase::Pending;
        if has_begun && blocker.reason != MaintenanceBlocker::NodeLeaves.name() {
            status.phase = MaintenancePhase::Failed;
        }
        status.blockers = since(&self.status.blockers, vec![blocker], now);
        let wake_at = now.checked_add(jiff::SignedDuration::from_secs(RECHECK_SECONDS)).ok();
        Decision { status, acts: Vec::new(), wake_at }
    }

    fn goes_on(&self, mut status: NodeMaintenanceStatus, scene: &Scene<'_>, now: Timestamp) -> Decision {
        status.node_uid = scene.node.metadata.uid.as_ref().map(ToString::to_string);
        let mut acts = Vec::new();
        match self.hold {
            Hold::Ours { cordoned } => {
                status.cordoned = cordoned;
                status.cordon_time.get_or_insert_with(|| Time(next_second(now, SignedDuration::ZERO)));
            }
            Hold::None | Hold::Others(_) => acts.push(Act::Hold),
        }
        let at = status.cordon_time.as_ref().map(|at| at.0).filter(|_| acts.is_empty());
        let scene = Scene { cordoned_at: at, began_at: at, ..scene.clone() };
        let plan = drain::plan(&scene, self.drain, self.rules, self.tries, now);
        let gives_up = plan.is_overdue;
        if plan.state == DrainState::Refused {
            acts.clear();
        }
        if !gives_up {
            acts.extend(plan.now.iter().cloned().map(Act::Ask));
        }
        self.report(&mut status, &plan, now);
        Decision { status, acts, wake_at: plan.wake }
    }

    fn report(&self, status: &mut NodeMaintenanceStatus, plan: &DrainPlan, now: Timestamp) {
        let left = i64::try_from(plan.left).unwrap_or(i64::MAX);
        status.pods_left = left;
        status.pods_total = status.pods_total.max(left);
        status.drain_progress = progress(status.pods_total, left);
        if matches!(plan.state, DrainState::Settling | DrainState::Refused) {
            status.risks = since(&self.status.risks, plan.risks.clone(), whole(now).0);
        }
        let mut blockers = plan.blockers.clone();
        if plan.is_overdue {
            let message = "drain.timeoutSeconds has passed: no pod is asked any more. Raise it, or delete the maintenance";
            blockers.insert(0, MaintenanceBlocker::TimedOut.blocker(message.to_owned()));
        }
        blockers.truncate(crate::limits::BLOCKERS_MAX);
        status.phase = match plan.state {
            DrainState::Refused => MaintenancePhase::Failed,
            DrainState::Done | DrainState::Abandoned => MaintenancePhase::Succeeded,
            DrainState::Settling | DrainState::Leaving if plan.is_overdue => MaintenancePhase::Failed,
            DrainState::Settling | DrainState::Leaving => MaintenancePhase::Running,
        };
        if status.phase == MaintenancePhase::Succeeded {
            status.completion_time.get_or_insert_with(|| whole(now));
            blockers.clear();
        } else {
            status.completion_time = None;
        }
        status.blockers = since(&self.status.blockers, blockers, whole(now).0);
    }
}

fn progress(total: i64, left: i64) -> u8 {
    if total <= 0 {
        return 100;
    }
    u8::try_from((total - left).max(0).saturating_mul(100) / total).unwrap_or(100).min(100)
}

/// A status keeps whole seconds.
fn whole(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::{Value, json};
    use views::{Node, Pod};

    use super::*;
    use crate::drain::Intent;

    struct Bed {
        node: Value,
        pods: Vec<Value>,
        drain: Value,
        status: NodeMaintenanceStatus,
        now: Timestamp,
    }

    fn pod(name: &str, has_owner: bool) -> Value {
        let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": true});
        let owners = if has_owner { json!([owner]) } else { json!([]) };
        json!({"metadata": {"name": name, "namespace": "team", "uid": format!("uid-{name}"), "ownerReferences": owners},
            "spec": {"nodeName": "a"}, "status": {"phase": "Running"}})
    }

    impl Bed {
        fn with(pods: Vec<Value>) -> Self {
            Self {
                node: json!({"metadata": {"name": "a", "uid": "u"},
                    "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
                pods,
                drain: json!({}),
                status: NodeMaintenanceStatus::default(),
                now: "2026-11-21T12:00:00Z".parse().unwrap(),
            }
        }

        fn decide(&mut self, hold: Hold<'_>) -> Decision {
            let node: Node = serde_json::from_value(self.node.clone()).unwrap();
            let pods: Vec<Pod> =
                self.pods.iter().map(|pod| serde_json::from_value(pod.clone()).unwrap()).collect();
            let settings = serde_json::from_value(self.drain.clone()).unwrap();
            let drain = Settings::compile(&settings, Intent::Maintenance).unwrap();
            let maintenance = Maintenance {
                status: &self.status,
                drain: &drain,
                scene: Some(Scene { pods: pods.iter().collect(), ..Scene::of(&node) }),
                rules: &Rules::default(),
                tries: &Tries::default(),
                hold,
            };
            let decision = decide(&maintenance, self.now);
            self.status = decision.status.clone();
            decision
        }

        fn after(&mut self, seconds: i64) {
            self.now = self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        }
    }

    #[test]
    fn a_node_is_held_and_then_emptied_after_a_moment() {
        let mut bed = Bed::with(vec![pod("web", true)]);
        assert_eq!(bed.decide(Hold::None).acts, [Act::Hold]);
        assert_eq!(bed.decide(Hold::Ours { cordoned: true }).acts, []);
        bed.after(6);
        let decision = bed.decide(Hold::Ours { cordoned: true });
        assert!(
            matches!(&decision.acts[..], [Act::Ask(eviction)] if &*eviction.name == "web"),
            "{decision:?}"
        );
        bed.pods.clear();
        let done = bed.decide(Hold::Ours { cordoned: true });
        assert_eq!((done.status.phase, done.status.drain_progress), (MaintenancePhase::Succeeded, 100));
        assert!(done.status.cordoned && done.status.completion_time.is_some());
    }

    #[test]
    fn a_node_that_may_not_be_emptied_is_not_touched_at_all() {
        let mut bed = Bed::with(vec![pod("web", true), pod("alone", false)]);
        let refused = bed.decide(Hold::None);
        assert_eq!((&refused.acts[..], refused.status.phase), (&[][..], MaintenancePhase::Failed));
        assert_eq!(refused.status.blockers[0].reason, "UnmanagedPod");
        bed.drain = json!({"force": true});
        assert_eq!(bed.decide(Hold::None).acts, [Act::Hold]);
    }

    #[test]
    fn nothing_is_done_to_another_node_or_for_two_at_a_time() {
        let mut bed = Bed::with(vec![pod("web", true)]);
        let other = bed.decide(Hold::Others("first"));
        assert_eq!((&other.acts[..], other.status.phase), (&[][..], MaintenancePhase::Pending));
        assert_eq!(other.status.blockers[0].reason, "AnotherMaintenance");
        bed.decide(Hold::None);
        bed.node["metadata"]["uid"] = json!("another");
        let replaced = bed.decide(Hold::None);
        assert_eq!((&replaced.acts[..], replaced.status.phase), (&[][..], MaintenancePhase::Failed));
        assert_eq!(replaced.status.blockers[0].reason, "NodeReplaced");
        bed.node["metadata"]["uid"] = json!("u");
        bed.node["metadata"]["deletionTimestamp"] = json!("2026-11-21T12:00:00Z");
        assert_eq!(bed.decide(Hold::None).status.blockers[0].reason, "NodeLeaves");
    }

    #[test]
    fn a_drain_that_takes_too_long_asks_nobody_any_more() {
        let mut bed = Bed::with(vec![pod("web", true)]);
        bed.drain = json!({"timeoutSeconds": 60});
        bed.decide(Hold::Ours { cordoned: true });
        bed.after(61);
        let late = bed.decide(Hold::Ours { cordoned: true });
        assert_eq!((&late.acts[..], late.status.phase), (&[][..], MaintenancePhase::Failed));
        assert_eq!(late.status.blockers[0].reason, "TimedOut");
    }
}
