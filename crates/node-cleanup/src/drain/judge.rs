//! What is to become of one pod, taken by itself: kubectl's filters in kubectl's order, then ours.
//!
//! All that is found is kept, and not only the first. What makes a pod stay outweighs what makes it wait, and both
//! outweigh what blocks it: whoever is not asked to leave loses nothing.

use api::node_cleanup::{DrainBehavior, LEAVING_TAINT, POD_DRAIN_LABEL};
use jiff::Timestamp;
use views::{Controller, DisruptionBudget, Node, Pod, Taint};

use super::ladder::InForce;
use super::rules::{Rule, Ruled, Rules};
use super::scene::Scene;
use super::settings::{By, DaemonSets, Settings};
use super::words::Reason;
use crate::limits::{CRITICAL_PRIORITY, STUCK_ENDING_SECONDS, UNREACHABLE_WAIT_SECONDS};

/// A pod, and all that was found about it.
#[derive(Debug)]
pub(super) struct Judged<'a> {
    pub(super) pod: &'a Pod,
    pub(super) found: Vec<Finding<'a>>,
    pub(super) tier: Tier,
    pub(super) order: i32,
    pub(super) by: By,
    /// When it may be asked again, if it was asked before.
    pub(super) not_before: Option<Timestamp>,
}

/// One thing that was found about a pod.
#[derive(Debug)]
pub(super) struct Finding<'a> {
    pub(super) reason: Reason,
    pub(super) effect: Effect,
    pub(super) about: About<'a>,
}

/// What a finding does to its pod. Of several the first of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effect {
    /// The pod stays, and nobody waits for it.
    Stays,
    /// The pod is waited for.
    Waits,
    /// The pod may not be asked to leave, and so no other is.
    Refuses,
    /// The pod may not be asked to leave.
    Blocks,
    /// The server is not expected to let the pod go now; it is asked all the same, for it decides.
    Holds,
    /// Nothing; it is only told.
    Tells,
}

/// What besides the pod a finding is about.
#[derive(Clone, Debug)]
pub(super) enum About<'a> {
    Nothing,
    Rule(&'a Rule),
    Budgets(Vec<&'a DisruptionBudget>),
    /// A budget that the server has named, and that was not seen.
    BudgetNamed(String),
    Namespace(&'a str),
    Said(&'a str),
    Finalizers(&'a [Box<str>]),
}

/// Which pods leave before which: the most dispensable ones first, as in Karpenter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Pods of applications.
    Ordinary,
    /// Their DaemonSets' pods.
    OrdinaryDaemon,
    /// Pods that the cluster needs, by their priority.
    Critical,
    /// The DaemonSets' pods among them.
    CriticalDaemon,
}

/// What is to become of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It is evicted, as soon as it is its turn.
    Evict,
    /// It is deleted, as soon as it is its turn.
    Delete,
    /// It is waited for: it ends already, or has to end by itself.
    Wait,
    /// It stays, and nobody waits for it.
    Skip,
    /// Something stands in its way.
    Blocked,
}

impl<'a> Judged<'a> {
    /// What is to become of the pod.
    pub(super) fn action(&self) -> Action {
        match (self.effect(), self.by) {
            (Effect::Stays, _) => Action::Skip,
            (Effect::Waits, _) => Action::Wait,
            (Effect::Refuses | Effect::Blocks | Effect::Holds, _) => Action::Blocked,
            (Effect::Tells, By::Eviction) => Action::Evict,
            (Effect::Tells, By::Deletion) => Action::Delete,
        }
    }

    pub(super) fn effect(&self) -> Effect {
        self.found.iter().map(|finding| finding.effect).min().unwrap_or(Effect::Tells)
    }

    /// Whether the server is asked to let it go, once it is its turn.
    pub(super) fn is_asked(&self) -> bool {
        self.effect() >= Effect::Holds
    }

    /// Whether it leaves, or would if the node were not refused on its account.
    pub(super) fn would_leave(&self) -> bool {
        self.is_asked() || self.effect() == Effect::Refuses
    }

    /// Whether it ends already, and is waited for.
    pub(super) fn is_ending(&self) -> bool {
        self.effect() == Effect::Waits && self.pod.ends_by().is_some()
    }

    /// Whether the drain is not done before it is gone.
    pub(super) fn has_to_leave(&self) -> bool {
        self.effect() != Effect::Stays
    }

    /// Whether people are told of a finding: of what stands in the way, and of what is risked by a pod that leaves.
    pub(super) fn tells(&self, finding: &Finding<'_>) -> bool {
        match self.effect() {
            Effect::Stays => false,
            Effect::Waits => finding.effect == Effect::Waits && finding.reason != Reason::Terminating,
            _ => finding.effect >= Effect::Refuses,
        }
    }

    pub(super) fn find(&mut self, reason: Reason, effect: Effect, about: About<'a>) {
        self.found.push(Finding { reason, effect, about });
    }

    /// The pods that leave together: a group must be gone before the next one is asked.
    pub(super) fn group(&self) -> (i32, Tier) {
        (self.order, self.tier)
    }
}

/// What is to become of one pod of the scene.
pub(super) fn judge<'a>(
    pod: &'a Pod,
    scene: &Scene<'a>,
    (settings, rules): (&Settings, &'a Rules),
    force: &InForce,
    now: Timestamp,
) -> Judged<'a> {
    let ruled = rules.of(&scene.node.metadata.labels, pod);
    let findings = [
        ending(pod, scene.node, settings, now),
        stuck(pod, now),
        daemon(pod, scene, settings),
        mirror(pod),
        local_storage(pod, settings),
        unmanaged(pod, settings),
        not_selected(pod, settings),
        labelled(pod).or_else(|| by_rule(pod, ruled)),
        protected(pod),
        tolerant(pod),
    ];
    Judged {
        pod,
        found: findings.into_iter().flatten().collect(),
        tier: tier(pod),
        order: if let Ruled::By(rule) = ruled { rule.order } else { 0 },
        by: if force.deletes { By::Deletion } else { settings.by },
        not_before: None,
    }
}

fn found<'a>(reason: Reason, effect: Effect) -> Finding<'a> {
    Finding { reason, effect, about: About::Nothing }
}

/// As in kubectl, whole seconds count, and only more of them than were said.
fn ending<'a>(pod: &Pod, node: &Node, settings: &Settings, now: Timestamp) -> Option<Finding<'a>> {
    let ends_by = pod.ends_by()?;
    let wait = wait_seconds(node, settings);
    if wait > 0 && now.duration_since(ends_by).as_secs() > wait {
        return Some(found(Reason::NotWaitedFor, Effect::Stays));
    }
    Some(found(Reason::Terminating, Effect::Waits))
}

/// The pod should be gone, and is not. That it is waited for is said by [`ending`].
fn stuck(pod: &Pod, now: Timestamp) -> Option<Finding<'_>> {
    if now.duration_since(pod.ends_by()?).as_secs() <= STUCK_ENDING_SECONDS {
        return None;
    }
    let about = About::Finalizers(&pod.finalizers);
    Some(Finding { reason: Reason::StuckTerminating, effect: Effect::Waits, about })
}

/// Seconds that a pod is waited for after its time to end was up; 0 is for ever.
pub(super) fn wait_seconds(node: &Node, settings: &Settings) -> i64 {
    let unsaid = if node.is_unreachable() { UNREACHABLE_WAIT_SECONDS } else { 0 };
    settings.wait_seconds.unwrap_or(unsaid)
}

fn daemon<'a>(pod: &Pod, scene: &Scene<'_>, settings: &Settings) -> Option<Finding<'a>> {
    let controller = pod.controller.as_ref().filter(|controller| is_daemon_set(controller))?;
    if pod.is_finished() {
        return None;
    }
    if !is_there(controller, scene) {
        let effect = if settings.force { Effect::Tells } else { Effect::Refuses };
        return Some(found(Reason::OrphanedDaemonSetPod, effect));
    }
    let comes_back = Taint::new(LEAVING_TAINT, "NoSchedule").is_tolerated_by(&pod.tolerations);
    let effect = match settings.daemon_sets {
        DaemonSets::LeaveLast if !comes_back => Effect::Tells,
        DaemonSets::LeaveLast | DaemonSets::Stay => Effect::Stays,
        DaemonSets::Refuse => Effect::Refuses,
    };
    Some(found(Reason::DaemonSetPod, effect))
}

/// DaemonSets of other groups bring their pods back just the same.
fn is_daemon_set(controller: &Controller) -> bool {
    &*controller.kind == "DaemonSet"
}

fn is_there(controller: &Controller, scene: &Scene<'_>) -> bool {
    let known = scene.daemon_sets.as_ref().filter(|_| &*controller.group == "apps");
    known.is_none_or(|known| known.contains(&controller.uid))
}

fn mirror<'a>(pod: &Pod) -> Option<Finding<'a>> {
    let is_of_node = pod.controller.as_ref().is_some_and(|controller| &*controller.kind == "Node");
    if !pod.is_mirror && !is_of_node {
        return None;
    }
    Some(found(Reason::StaticPod, Effect::Stays))
}

fn local_storage<'a>(pod: &Pod, settings: &Settings) -> Option<Finding<'a>> {
    if !pod.has_empty_dir || pod.is_finished() {
        return None;
    }
    Some(found(Reason::LocalStorage, if settings.loses_empty_dirs { Effect::Tells } else { Effect::Refuses }))
}

fn unmanaged<'a>(pod: &Pod, settings: &Settings) -> Option<Finding<'a>> {
    if pod.controller.is_some() || pod.is_finished() {
        return None;
    }
    Some(found(Reason::UnmanagedPod, if settings.force { Effect::Tells } else { Effect::Refuses }))
}

fn not_selected<'a>(pod: &Pod, settings: &Settings) -> Option<Finding<'a>> {
    if settings.pods.matches(&pod.metadata.labels) {
        return None;
    }
    Some(found(Reason::NotSelected, Effect::Stays))
}

/// What the pod's own label says, which counts before any rule.
fn labelled<'a>(pod: &Pod) -> Option<Finding<'a>> {
    match pod.metadata.labels.get(POD_DRAIN_LABEL)? {
        "skip" => Some(found(Reason::LabelSkip, Effect::Stays)),
        "wait-completed" => Some(found(Reason::LabelWaitCompleted, until_completed(pod))),
        _ => Some(found(Reason::InvalidDrainLabel, Effect::Blocks)),
    }
}

fn by_rule<'a>(pod: &Pod, ruled: Ruled<'a>) -> Option<Finding<'a>> {
    let (rule, reason, effect) = match ruled {
        Ruled::No => return None,
        Ruled::Unclear(rule) => (rule, Reason::InvalidRule, Effect::Blocks),
        Ruled::By(rule) => match rule.behavior {
            DrainBehavior::Drain => return None,
            DrainBehavior::Skip => (rule, Reason::RuleSkip, Effect::Stays),
            DrainBehavior::WaitCompleted => (rule, Reason::RuleWaitCompleted, until_completed(pod)),
        },
    };
    Some(Finding { reason, effect, about: About::Rule(rule) })
}

fn until_completed(pod: &Pod) -> Effect {
    if pod.is_finished() { Effect::Stays } else { Effect::Waits }
}

fn protected<'a>(pod: &Pod) -> Option<Finding<'a>> {
    if !pod.metadata.annotations.protect {
        return None;
    }
    Some(found(Reason::Protected, Effect::Blocks))
}

/// Whether the scheduler may bring the pod's replacement to this very node.
fn tolerant<'a>(pod: &Pod) -> Option<Finding<'a>> {
    let taints = [
        Taint::new("node.kubernetes.io/unschedulable", "NoSchedule"),
        Taint::new(LEAVING_TAINT, "NoSchedule"),
    ];
    let is_daemon = pod.controller.as_ref().is_none_or(is_daemon_set);
    if is_daemon || pod.is_finished() || !taints.iter().all(|taint| taint.is_tolerated_by(&pod.tolerations)) {
        return None;
    }
    Some(found(Reason::ToleratesCordon, Effect::Tells))
}

fn tier(pod: &Pod) -> Tier {
    let classes = ["system-cluster-critical", "system-node-critical"];
    let has_class = pod.priority_class.as_deref().is_some_and(|class| classes.contains(&class));
    let is_critical = has_class || pod.priority >= CRITICAL_PRIORITY;
    let is_daemon = pod.controller.as_ref().is_some_and(is_daemon_set);
    match (is_critical, is_daemon) {
        (false, false) => Tier::Ordinary,
        (false, true) => Tier::OrdinaryDaemon,
        (true, false) => Tier::Critical,
        (true, true) => Tier::CriticalDaemon,
    }
}

impl Tier {
    /// Its number, from 0; lower ones leave first.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ordinary => 0,
            Self::OrdinaryDaemon => 1,
            Self::Critical => 2,
            Self::CriticalDaemon => 3,
        }
    }
}
