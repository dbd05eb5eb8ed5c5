//! What the server is expected to answer, known before it is asked, and what it has answered.
//!
//! A dry run of an eviction does not take anything from its budget, so that each of ten pods would be told that it may
//! go. What is expected is therefore added up here, budget by budget. The server decides all the same.

use std::collections::BTreeMap;

use api::garbage_collection::{LabelOperator, LabelRequirement, LabelSelector};
use api::selector::Selector;
use jiff::Timestamp;
use units::NamespacedName;
use views::{DisruptionBudget, Pod, PodPhase, Standstill};

use super::judge::{About, Effect, Judged};
use super::scene::Scene;
use super::settings::By;
use super::tries::{Answer, Tries};
use super::words::Reason;

/// Finds what is expected of the server for each pod that is asked to leave, or would be if the node were not refused, so
/// that whoever lifts that knows what comes next; the pods come in the order in which they
/// leave, so that the first ones get what their budget has.
pub(super) fn expect<'a>(pods: &mut [Judged<'a>], scene: &Scene<'a>, tries: &'a Tries) {
    let mut budgets = Budgets::of(scene);
    for judged in pods.iter_mut().filter(|judged| judged.would_leave()) {
        if judged.by == By::Eviction {
            closing_namespace(judged, scene);
            budgets.hold(judged);
        }
        answered(judged, &budgets, tries);
    }
    last_replicas(pods, scene);
    pods.iter_mut().for_each(|judged| judged.not_before = not_before(judged, tries));
}

/// When the pod may be asked again: soon, if a budget held it that is now seen to let it go, or if it is seen to end, for a
/// rung of the ladder may leave it less time from now on.
fn not_before(judged: &Judged<'_>, tries: &Tries) -> Option<Timestamp> {
    let uid = judged.pod.metadata.uid.as_ref()?;
    let was_held = matches!(tries.answer(uid), Some(Answer::TooManyRequests { budget: Some(_), .. }));
    if (was_held && judged.effect() == Effect::Tells) || judged.is_ending() {
        return tries.not_before_once_open(uid);
    }
    tries.not_before(uid)
}

fn closing_namespace<'a>(judged: &mut Judged<'a>, scene: &Scene<'a>) {
    let Some(namespace) = judged.pod.metadata.namespace.as_deref() else { return };
    if scene.terminating_namespaces.contains(namespace) {
        judged.find(Reason::NamespaceTerminating, Effect::Holds, About::Namespace(namespace));
    }
}

/// The budgets, and how many pods want to be let go by each.
struct Budgets<'a>(Vec<Counted<'a>>);

struct Counted<'a> {
    budget: &'a DisruptionBudget,
    selector: Selector,
    wanted: i64,
}

impl<'a> Budgets<'a> {
    /// Sorted, so that plans do not depend on the order in which they were seen.
    fn of(scene: &Scene<'a>) -> Self {
        let mut budgets: Vec<_> = scene.budgets.iter().filter_map(|budget| Counted::of(budget)).collect();
        budgets.sort_by(|a, b| a.budget.metadata.name.cmp(&b.budget.metadata.name));
        Self(budgets)
    }

    /// Whether the budget of this name was seen, and speaks of the pod.
    fn knows(&self, name: &NamespacedName, pod: &Pod) -> bool {
        self.0.iter().any(|counted| *counted.budget.metadata.name == *name.name && counted.covers(pod))
    }

    fn hold(&mut self, judged: &mut Judged<'a>) {
        if ignores_budgets(judged.pod) {
            return;
        }
        let mut covering: Vec<_> = self.0.iter_mut().filter(|counted| counted.covers(judged.pod)).collect();
        if let [counted] = covering.as_mut_slice() {
            counted.hold(judged);
        } else if !covering.is_empty() {
            let budgets = covering.iter().map(|counted| counted.budget).collect();
            judged.find(Reason::MultipleBudgets, Effect::Holds, About::Budgets(budgets));
        }
    }
}

/// The server lets these go whatever a budget says (`pkg/registry/core/pod/storage/eviction.go`).
fn ignores_budgets(pod: &Pod) -> bool {
    pod.ends_by().is_some() || pod.is_finished() || pod.phase == PodPhase::Pending
}

impl<'a> Counted<'a> {
    /// A budget without a selector speaks of no pod. One that is beyond our bounds is left to the server.
    fn of(budget: &'a DisruptionBudget) -> Option<Self> {
        let selector = compiled(budget.selector.as_ref()?)?;
        Some(Self { budget, selector, wanted: 0 })
    }

    fn covers(&self, pod: &Pod) -> bool {
        self.budget.metadata.namespace == pod.metadata.namespace
            && self.selector.matches(&pod.metadata.labels)
    }

    fn hold(&mut self, judged: &mut Judged<'a>) {
        if !judged.pod.is_ready && self.budget.lets_unready_pods_go() {
            return;
        }
        self.wanted += 1;
        let reason = match self.budget.standstill() {
            Some(Standstill::Misconfigured) => Reason::BudgetMisconfigured,
            Some(Standstill::Exhausted | Standstill::Stale) => Reason::BudgetExhausted,
            None if self.wanted > self.budget.disruptions_allowed => Reason::BudgetExhausted,
            None => return,
        };
        judged.find(reason, Effect::Holds, About::Budgets(vec![self.budget]));
    }
}

/// A selector of a built-in kind in the words of ours; absent if it has more terms than we take.
fn compiled(selector: &views::LabelSelector) -> Option<Selector> {
    let requirements = selector.match_expressions.iter().map(|requirement| {
        let operator = match requirement.operator.as_str() {
            "In" => LabelOperator::In,
            "NotIn" => LabelOperator::NotIn,
            "Exists" => LabelOperator::Exists,
            "DoesNotExist" => LabelOperator::DoesNotExist,
            _ => return None,
        };
        Some(LabelRequirement { key: requirement.key.clone(), operator, values: requirement.values.clone() })
    });
    let selector = LabelSelector {
        match_labels: selector.match_labels.clone(),
        match_expressions: requirements.collect::<Option<_>>()?,
    };
    Selector::compile(Some(&selector)).ok()
}

/// What the server said the last time, unless the same is known already.
fn answered<'a>(judged: &mut Judged<'a>, budgets: &Budgets<'_>, tries: &'a Tries) {
    let Some(answer) = judged.pod.metadata.uid.as_ref().and_then(|uid| tries.answer(uid)) else { return };
    let is_held = judged.effect() == Effect::Holds;
    let (reason, about) = match answer {
        Answer::Accepted | Answer::TooManyRequests { budget: None, .. } => return,
        // What was seen of a budget since then is newer.
        Answer::TooManyRequests { budget: Some(name), .. } if budgets.knows(name, judged.pod) => return,
        Answer::TooManyRequests { budget: Some(name), .. } => {
            (Reason::BudgetExhausted, About::BudgetNamed(name.to_string()))
        }
        Answer::SeveralBudgets => (Reason::MultipleBudgets, About::Nothing),
        Answer::NamespaceTerminating => {
            let namespace = judged.pod.metadata.namespace.as_deref().unwrap_or_default();
            (Reason::NamespaceTerminating, About::Namespace(namespace))
        }
        Answer::Denied { message } => (Reason::EvictionDenied, About::Said(message)),
        Answer::Failed { message } => (Reason::EvictionFailed, About::Said(message)),
    };
    let is_of_budget = matches!(reason, Reason::BudgetExhausted | Reason::MultipleBudgets);
    let is_past_it = judged.by == By::Deletion && (is_of_budget || reason == Reason::NamespaceTerminating);
    let is_known = judged.found.iter().any(|finding| finding.reason == reason);
    if is_known || is_past_it || (is_of_budget && is_held) {
        return;
    }
    judged.find(reason, Effect::Holds, about);
}

/// Finds the pods whose controllers have no other pod than those that leave.
fn last_replicas<'a>(pods: &mut [Judged<'a>], scene: &Scene<'a>) {
    let mut leaving = BTreeMap::new();
    for judged in pods.iter().filter(|judged| judged.would_leave() && judged.pod.is_ready) {
        if let Some(controller) = &judged.pod.controller {
            *leaving.entry(&controller.uid).or_insert(0_i64) += 1;
        }
    }
    for judged in pods.iter_mut().filter(|judged| judged.would_leave() && judged.pod.is_ready) {
        let Some(controller) = &judged.pod.controller else { continue };
        let Some(wanted) = scene.replicas.get(&controller.uid) else { continue };
        if leaving.get(&controller.uid).is_some_and(|leaving| leaving >= wanted) {
            judged.find(Reason::LastReplica, Effect::Tells, About::Nothing);
        }
    }
}
