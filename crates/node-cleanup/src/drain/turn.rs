//! Whose turn it is: which pods are asked to leave now, and when there is something to ask again.
//!
//! Invariants: of two groups that both have pods left only the first is asked; never more pods with volumes are on their
//! way than are allowed; nothing is asked before the node has settled.

use control::Mutant;
use jiff::{SignedDuration, Timestamp};
use units::Uid;

use super::judge::{Judged, wait_seconds};
use super::ladder::InForce;
use super::scene::Scene;
use super::settings::{By, Settings};
use super::tries::{Answer, Tries};
use crate::limits::{SETTLE_SECONDS, STUCK_ENDING_SECONDS};

/// A pod that is asked to leave now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// The pod's namespace.
    pub namespace: Box<str>,
    /// The pod's name.
    pub name: Box<str>,
    /// The pod's UID, which the request demands: another pod of that name is none of this drain's business.
    pub uid: Uid,
    /// How it is asked.
    pub by: By,
    /// Seconds that it gets to end, at least 1; absent: what it asks for itself.
    pub grace_seconds: Option<i64>,
}

/// When the node has settled: pods that were bound just before the cordon was seen are there by then. Absent if it is not
/// cordoned.
pub(super) fn settled_at(scene: &Scene<'_>) -> Option<Timestamp> {
    let seconds = if Mutant::NoSettleTime.is_on() { 0 } else { SETTLE_SECONDS };
    scene.cordoned_at.map(|at| after(at, seconds))
}

/// The pods that are asked now; the pods come in the order in which they leave.
pub(super) fn turn(
    pods: &[Judged<'_>],
    (settings, force): (&Settings, &InForce),
    tries: &Tries,
    now: Timestamp,
) -> Vec<Eviction> {
    let is_due = |judged: &Judged<'_>| judged.not_before.is_none_or(|at| at <= now);
    let group = pods.iter().filter(|judged| judged.is_asked() || holds_up(judged)).map(Judged::group).min();
    let mut room = settings.volume_pods_at_once.saturating_sub(volume_pods_under_way(pods, tries, now));
    let mut asked = Vec::new();
    for judged in pods {
        let Some(uid) = judged.pod.metadata.uid.as_ref().filter(|_| is_due(judged)) else { continue };
        if ends_too_late(judged, force, now) {
            asked.push(eviction(judged, uid, (settings, force), now));
            continue;
        }
        if !judged.is_asked() || Some(judged.group()) != group {
            continue;
        }
        if !judged.pod.claims.is_empty() {
            if room == 0 {
                continue;
            }
            room -= 1;
        }
        asked.push(eviction(judged, uid, (settings, force), now));
    }
    asked
}

/// Whether others wait for it although it is not asked: it ends already, or may not be asked. Who ends by himself in his
/// own time holds nobody up.
fn holds_up(judged: &Judged<'_>) -> bool {
    judged.is_ending() || (judged.has_to_leave() && judged.action() == super::Action::Blocked)
}

/// Pods with volumes that end already, and those that were let go a moment ago and have not been seen ending.
fn volume_pods_under_way(pods: &[Judged<'_>], tries: &Tries, now: Timestamp) -> usize {
    let was_let_go = |judged: &&Judged<'_>| {
        let answer = judged.pod.metadata.uid.as_ref().and_then(|uid| tries.answer(uid));
        judged.not_before.is_some_and(|at| at > now) && answer == Some(&Answer::Accepted)
    };
    let with_volumes = pods.iter().filter(|judged| !judged.pod.claims.is_empty());
    with_volumes.filter(|judged| judged.is_ending() || (judged.is_asked() && was_let_go(judged))).count()
}

/// Whether it ends already, and in more time than it has by now.
fn ends_too_late(judged: &Judged<'_>, force: &InForce, now: Timestamp) -> bool {
    let (Some(ends_by), Some(seconds)) = (judged.pod.ends_by(), force.grace_seconds) else { return false };
    judged.is_ending() && ends_by > after(now, seconds)
}

fn eviction(
    judged: &Judged<'_>,
    uid: &Uid,
    (settings, force): (&Settings, &InForce),
    now: Timestamp,
) -> Eviction {
    let metadata = &judged.pod.metadata;
    Eviction {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone(),
        uid: uid.clone(),
        by: judged.by,
        grace_seconds: grace(judged.pod.termination_grace_seconds, settings, force, now),
    }
}

/// What was said, at most what the ladder leaves it, and at least a second: with none, two pods of one name could run at
/// a time.
fn grace(own: i64, settings: &Settings, force: &InForce, now: Timestamp) -> Option<i64> {
    let said = settings.grace_seconds.unwrap_or(own);
    let left = force.abandons_at.map(|at| at.duration_since(now).as_secs());
    let limit = [force.grace_seconds, left].into_iter().flatten().min();
    match limit {
        Some(limit) if limit < said => Some(limit.max(1)),
        _ => settings.grace_seconds,
    }
}

/// The next moment at which the plan is another one although nothing was seen to change.
pub(super) fn wake(
    pods: &[Judged<'_>],
    scene: &Scene<'_>,
    (settings, force): (&Settings, &InForce),
    now: Timestamp,
) -> Option<Timestamp> {
    let asked = pods.iter().filter(|judged| judged.is_asked() || judged.is_ending());
    let tried = asked.filter_map(|judged| judged.not_before);
    let wait = wait_seconds(scene.node, settings);
    let ending = pods.iter().filter(|judged| wait > 0 && judged.is_ending());
    let given_up = ending.filter_map(|judged| Some(after(judged.pod.ends_by()?, wait + 1)));
    let stuck = pods.iter().filter(|judged| judged.is_ending());
    let stuck = stuck.filter_map(|judged| Some(after(judged.pod.ends_by()?, STUCK_ENDING_SECONDS + 1)));
    let others = [settled_at(scene), force.next, overdue_at(scene, settings)];
    tried.chain(given_up).chain(stuck).chain(others.into_iter().flatten()).filter(|at| *at > now).min()
}

/// When the drain has taken longer than it may.
pub(super) fn overdue_at(scene: &Scene<'_>, settings: &Settings) -> Option<Timestamp> {
    scene.began_at?.checked_add(settings.timeout?).ok()
}

fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(at)
}
