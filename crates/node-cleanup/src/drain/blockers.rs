//! What stands in the way, and what is risked: pods with the same trouble are told of together.

use std::collections::BTreeMap;

use api::Time;
use api::node_cleanup::Blocker;
use jiff::Timestamp;
use views::{Pod, VolumeAttachment};

use super::judge::{About, Effect, Judged};
use super::words::{Reason, budget_name, message, pod_name};
use crate::limits::{BLOCKER_OBJECTS_MAX, BLOCKERS_MAX};

/// What is told of together.
#[derive(Debug)]
struct Trouble<'a> {
    effect: Effect,
    about: &'a About<'a>,
    pods: Vec<&'a Pod>,
    next_try: Option<Timestamp>,
}

/// What stands in the way, and what is risked without being in the way; each at most 20, the gravest first.
pub(super) fn troubles(pods: &[Judged<'_>]) -> (Vec<Blocker>, Vec<Blocker>) {
    let mut troubles: BTreeMap<(u8, Reason, String), Trouble<'_>> = BTreeMap::new();
    for judged in pods {
        for finding in judged.found.iter().filter(|finding| judged.tells(finding)) {
            let key = (gravity(finding.effect), finding.reason, subject(&finding.about));
            let trouble = troubles.entry(key).or_insert_with(|| Trouble {
                effect: finding.effect,
                about: &finding.about,
                pods: Vec::new(),
                next_try: None,
            });
            trouble.pods.push(judged.pod);
            if finding.effect == Effect::Holds {
                trouble.next_try = [trouble.next_try, judged.not_before].into_iter().flatten().min();
            }
        }
    }
    let told = |is_risk: bool| {
        let some = troubles.iter().filter(move |(_, trouble)| (trouble.effect == Effect::Tells) == is_risk);
        some.take(BLOCKERS_MAX).map(|((_, reason, _), trouble)| trouble.told(*reason)).collect()
    };
    (told(false), told(true))
}

/// What holds most is told first.
const fn gravity(effect: Effect) -> u8 {
    match effect {
        Effect::Refuses => 0,
        Effect::Blocks => 1,
        Effect::Holds => 2,
        Effect::Waits => 3,
        Effect::Tells | Effect::Stays => 4,
    }
}

/// What tells one trouble from another with the same reason.
fn subject(about: &About<'_>) -> String {
    match about {
        About::Nothing => String::new(),
        About::Rule(rule) => rule.name.to_string(),
        About::Budgets(budgets) => {
            budgets.iter().map(|budget| budget_name(budget)).collect::<Vec<_>>().join(" ")
        }
        About::BudgetNamed(name) => name.clone(),
        About::Namespace(namespace) => (*namespace).to_owned(),
        About::Said(said) => (*said).to_owned(),
        About::Finalizers(finalizers) => finalizers.join(" "),
    }
}

impl Trouble<'_> {
    fn told(&self, reason: Reason) -> Blocker {
        let others = match self.about {
            About::Rule(rule) => vec![format!("DrainRule {}", rule.name)],
            About::Budgets(budgets) => {
                budgets.iter().map(|budget| format!("PodDisruptionBudget {}", budget_name(budget))).collect()
            }
            About::BudgetNamed(name) => vec![format!("PodDisruptionBudget {name}")],
            About::Namespace(namespace) => vec![format!("Namespace {namespace}")],
            About::Nothing | About::Said(_) | About::Finalizers(_) => Vec::new(),
        };
        let pods = self.pods.iter().map(|pod| format!("Pod {}", pod_name(pod)));
        Blocker {
            reason: reason.name().to_owned(),
            message: message(reason, self.effect, self.about, &self.pods),
            objects: others.into_iter().chain(pods).take(BLOCKER_OBJECTS_MAX).collect(),
            since: None,
            next_try: self.next_try.map(Time),
        }
    }
}

/// The volumes that are still attached when no pod is left that could use them.
pub(super) fn attached(attachments: &[&VolumeAttachment]) -> Option<Blocker> {
    let name = |attachment: &VolumeAttachment| format!("VolumeAttachment {}", attachment.metadata.name);
    let first = attachments.first()?;
    let volume = first.volume.as_deref().unwrap_or("a volume of a pod");
    Some(Blocker {
        reason: Reason::VolumeAttached.name().to_owned(),
        message: format!(
            "{} volumes are still attached, such as {volume}: their drivers detach them; `status.detachError` of the VolumeAttachment says what keeps them",
            attachments.len()
        ),
        objects: attachments.iter().map(|attachment| name(attachment)).take(BLOCKER_OBJECTS_MAX).collect(),
        since: None,
        next_try: None,
    })
}

/// The blockers, each with the time since which it stands in the way: what stood there earlier keeps its time, as long as
/// its reason is the same, and one of its objects.
#[must_use]
pub fn since(earlier: &[Blocker], blockers: Vec<Blocker>, now: Timestamp) -> Vec<Blocker> {
    let is_same = |a: &Blocker, b: &Blocker| {
        let shares = a.objects.iter().any(|object| b.objects.contains(object));
        a.reason == b.reason && (shares || (a.objects.is_empty() && b.objects.is_empty()))
    };
    let dated = |blocker: Blocker| {
        let known = earlier.iter().filter(|known| is_same(known, &blocker));
        let since = known.filter_map(|known| known.since.clone()).min();
        Blocker { since: since.or(Some(Time(now))), ..blocker }
    };
    blockers.into_iter().map(dated).collect()
}
