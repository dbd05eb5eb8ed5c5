//! Which pods of a node leave, in which order, and what stands in the way.
//!
//! [`plan`] is a function of what was seen and of the time: the order in which pods were seen, and what was planned
//! before, make no difference. It is the preflight before the first eviction and the plan of every later moment; only
//! [`Tries`], what the server answered, is carried from one to the next, and losing that only makes us ask sooner.
//!
//! Filters, reasons and names are those of `kubectl drain` (`k8s.io/kubectl/pkg/drain`), but that no reason hides another.
//!
//! Invariants: nothing is asked to leave before the node has settled, without its UID, or before its group has its turn;
//! what stays for good is never asked; a node that is refused loses no pod.

mod blockers;
mod expect;
mod judge;
mod ladder;
mod rules;
mod scene;
mod settings;
mod tries;
mod turn;
mod words;

use std::collections::BTreeSet;

use api::node_cleanup::Blocker;
use jiff::Timestamp;
use units::{NamespacedName, Uid};
use views::{Pod, VolumeAttachment};

pub use blockers::since;
pub use judge::{Action, Tier};
pub use ladder::InvalidRung;
pub use rules::Rules;
pub use scene::Scene;
pub use settings::{By, Intent, InvalidSettings, Settings};
pub use tries::{Answer, Tries};
pub use turn::Eviction;
pub use words::Reason;

use judge::{Effect, Judged};
use ladder::InForce;

/// What is to become of the pods of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct DrainPlan {
    /// Each pod of the node, in the order in which they leave.
    pub pods: Vec<PodPlan>,
    /// How far the drain is.
    pub state: DrainState,
    /// What stands in the way, and what would lift it; at most 20.
    pub blockers: Vec<Blocker>,
    /// What is not in the way, and worth to be known before: what is lost, and who has no other pod. At most 20.
    pub risks: Vec<Blocker>,
    /// The pods that are asked to leave now.
    pub now: Vec<Eviction>,
    /// Pods that have yet to leave.
    pub left: usize,
    /// Volumes that are attached to the node, but for those of pods that stay.
    pub volumes_left: usize,
    /// Whether the drain has taken longer than it may. A maintenance then asks no pod any more.
    pub is_overdue: bool,
    /// When to plan again, if nothing is seen to change before.
    pub wake: Option<Timestamp>,
}

/// How far a drain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DrainState {
    /// The node is not cordoned yet, or has been so for less than five seconds.
    Settling,
    /// A pod may not be asked to leave, and so none is.
    Refused,
    /// Pods leave.
    Leaving,
    /// No pod is left that has to leave.
    Done,
    /// What has not left is left behind, as the escalation says.
    Abandoned,
}

/// What is to become of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodPlan {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its UID; absent in a manifest that no server has seen.
    pub uid: Option<Uid>,
    /// What is to become of it.
    pub action: Action,
    /// All that was found about it.
    pub reasons: Vec<Reason>,
    /// Which pods leave before which.
    pub tier: Tier,
    /// The order of the rule that speaks of it, which counts before the tier; 0 without one.
    pub order: i32,
}

/// What is to become of the pods of the scene's node at `now`.
pub fn plan(
    scene: &Scene<'_>,
    settings: &Settings,
    rules: &Rules,
    tries: &Tries,
    now: Timestamp,
) -> DrainPlan {
    let force = settings.ladder.in_force(scene.began_at, now);
    let mut pods = judged(scene, (settings, rules), &force, now);
    expect::expect(&mut pods, scene, tries);
    let attached = attached(&pods, scene, &force);
    let left = pods.iter().filter(|judged| judged.has_to_leave()).count();
    let state = state(&pods, (scene, &force), left, now);
    let (mut blockers, risks) = blockers::troubles(&pods);
    if matches!(state, DrainState::Done | DrainState::Abandoned) {
        blockers.extend(blockers::attached(&attached));
        blockers.truncate(crate::limits::BLOCKERS_MAX);
    }
    let is_overdue = left > 0 && turn::overdue_at(scene, settings).is_some_and(|at| at <= now);
    let gives_up = is_overdue && settings.intent() == Intent::Maintenance;
    let asks = state == DrainState::Leaving && !gives_up;
    DrainPlan {
        now: if asks { turn::turn(&pods, (settings, &force), tries, now) } else { Vec::new() },
        wake: turn::wake(&pods, scene, (settings, &force), now),
        pods: pods.iter().map(PodPlan::of).collect(),
        volumes_left: attached.len(),
        state,
        blockers,
        risks,
        left,
        is_overdue,
    }
}

/// The pods of the node in the order in which they leave. Within a group those of lower priority are first, and names
/// decide between equals, so that nothing depends on the order in which they were seen.
fn judged<'a>(
    scene: &Scene<'a>,
    (settings, rules): (&Settings, &'a Rules),
    force: &InForce,
    now: Timestamp,
) -> Vec<Judged<'a>> {
    let node = &scene.node.metadata.name;
    let here = scene.pods.iter().filter(|pod| pod.node.as_ref() == Some(node));
    let mut pods: Vec<_> = here.map(|pod| judge::judge(pod, scene, (settings, rules), force, now)).collect();
    pods.sort_by(|a, b| {
        let key = |judged: &Judged<'a>| {
            let Pod { metadata, priority, .. } = judged.pod;
            (judged.group(), *priority, &metadata.namespace, &metadata.name, &metadata.uid)
        };
        key(a).cmp(&key(b))
    });
    pods
}

fn state(
    pods: &[Judged<'_>],
    (scene, force): (&Scene<'_>, &InForce),
    left: usize,
    now: Timestamp,
) -> DrainState {
    if force.abandons {
        return DrainState::Abandoned;
    }
    if pods.iter().any(|judged| judged.effect() == Effect::Refuses) {
        return DrainState::Refused;
    }
    if turn::settled_at(scene).is_none_or(|at| at > now) {
        return DrainState::Settling;
    }
    if left == 0 { DrainState::Done } else { DrainState::Leaving }
}

/// The attachments of the node that are waited for. The volumes of pods that stay or are left behind are not: they would
/// never go.
fn attached<'a>(pods: &[Judged<'_>], scene: &Scene<'a>, force: &InForce) -> Vec<&'a VolumeAttachment> {
    let staying = pods.iter().filter(|judged| force.abandons || !judged.has_to_leave());
    let claims = staying.flat_map(|judged| {
        let namespace = judged.pod.metadata.namespace.as_deref().unwrap_or_default();
        judged.pod.claims.iter().map(move |claim| NamespacedName::new(namespace, &**claim))
    });
    let kept: BTreeSet<&str> =
        claims.filter_map(|claim| scene.volumes.get(&claim).map(|name| &**name)).collect();
    let is_waited_for = |attachment: &&VolumeAttachment| {
        attachment.node == scene.node.metadata.name
            && !attachment.volume.as_deref().is_some_and(|volume| kept.contains(volume))
    };
    let mut attached: Vec<_> = scene.attachments.iter().copied().filter(is_waited_for).collect();
    attached.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    attached
}

impl PodPlan {
    fn of(judged: &Judged<'_>) -> Self {
        let metadata = &judged.pod.metadata;
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
            action: judged.action(),
            reasons: judged.found.iter().map(|finding| finding.reason).collect(),
            tier: judged.tier,
            order: judged.order,
        }
    }
}
