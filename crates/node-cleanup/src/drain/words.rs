//! What is found about pods is called, in one place: plans, status, events and the reference page say the same.

use api::node_cleanup::POD_DRAIN_LABEL;
use views::{DisruptionBudget, Pod, Standstill, UnhealthyPods};

use super::judge::{About, Action, Effect};

/// What was found about a pod, or about the node's volumes. In kubectl's order as far as kubectl knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// It ends already.
    Terminating,
    /// It should have ended, and is not waited for any longer.
    NotWaitedFor,
    /// It should have ended, and is still there.
    StuckTerminating,
    /// A DaemonSet would bring it back at once.
    DaemonSetPod,
    /// Its DaemonSet is gone.
    OrphanedDaemonSetPod,
    /// Its kubelet runs it from a file.
    StaticPod,
    /// It has an emptyDir volume.
    LocalStorage,
    /// No controller would create it again.
    UnmanagedPod,
    /// The pod selector does not select it.
    NotSelected,
    /// Its label says that it stays.
    LabelSkip,
    /// Its label says that it ends by itself.
    LabelWaitCompleted,
    /// Its label says something that means nothing.
    InvalidDrainLabel,
    /// A rule says that it stays.
    RuleSkip,
    /// A rule says that it ends by itself.
    RuleWaitCompleted,
    /// A rule that may be about it cannot be understood.
    InvalidRule,
    /// Its annotation protects it.
    Protected,
    /// Its namespace is being deleted.
    NamespaceTerminating,
    /// Several budgets speak of it.
    MultipleBudgets,
    /// Its budget never lets anybody go.
    BudgetMisconfigured,
    /// Its budget lets nobody go now.
    BudgetExhausted,
    /// The server refused its eviction.
    EvictionDenied,
    /// Asking for its eviction did not work.
    EvictionFailed,
    /// Its controller has no other pod.
    LastReplica,
    /// Its replacement may come to this node.
    ToleratesCordon,
    /// A volume is still attached.
    VolumeAttached,
}

impl Reason {
    /// All of them, for the reference page.
    pub const ALL: [Self; 25] = [
        Self::Terminating,
        Self::NotWaitedFor,
        Self::StuckTerminating,
        Self::DaemonSetPod,
        Self::OrphanedDaemonSetPod,
        Self::StaticPod,
        Self::LocalStorage,
        Self::UnmanagedPod,
        Self::NotSelected,
        Self::LabelSkip,
        Self::LabelWaitCompleted,
        Self::InvalidDrainLabel,
        Self::RuleSkip,
        Self::RuleWaitCompleted,
        Self::InvalidRule,
        Self::Protected,
        Self::NamespaceTerminating,
        Self::MultipleBudgets,
        Self::BudgetMisconfigured,
        Self::BudgetExhausted,
        Self::EvictionDenied,
        Self::EvictionFailed,
        Self::LastReplica,
        Self::ToleratesCordon,
        Self::VolumeAttached,
    ];

    /// The word that programs may read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Terminating => "Terminating",
            Self::NotWaitedFor => "NotWaitedFor",
            Self::StuckTerminating => "StuckTerminating",
            Self::DaemonSetPod => "DaemonSetPod",
            Self::OrphanedDaemonSetPod => "OrphanedDaemonSetPod",
            Self::StaticPod => "StaticPod",
            Self::LocalStorage => "LocalStorage",
            Self::UnmanagedPod => "UnmanagedPod",
            Self::NotSelected => "NotSelected",
            Self::LabelSkip => "LabelSkip",
            Self::LabelWaitCompleted => "LabelWaitCompleted",
            Self::InvalidDrainLabel => "InvalidDrainLabel",
            Self::RuleSkip => "RuleSkip",
            Self::RuleWaitCompleted => "RuleWaitCompleted",
            Self::InvalidRule => "InvalidRule",
            Self::Protected => "Protected",
            Self::NamespaceTerminating => "NamespaceTerminating",
            Self::MultipleBudgets => "MultipleBudgets",
            Self::BudgetMisconfigured => "BudgetMisconfigured",
            Self::BudgetExhausted => "BudgetExhausted",
            Self::EvictionDenied => "EvictionDenied",
            Self::EvictionFailed => "EvictionFailed",
            Self::LastReplica => "LastReplica",
            Self::ToleratesCordon => "ToleratesCordon",
            Self::VolumeAttached => "VolumeAttached",
        }
    }

    /// What it means, and what becomes of the pod.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Terminating => "The pod ends already, and is waited for",
            Self::NotWaitedFor => {
                "The pod's time to end was up longer ago than `skipWaitForDeleteTimeoutSeconds`; it is not waited for"
            }
            Self::StuckTerminating => {
                "The pod's time to end was up more than a minute ago, and it is still there: its kubelet or a finalizer keeps it"
            }
            Self::DaemonSetPod => {
                "A DaemonSet would bring the pod back at once. It stays; with `ignoreDaemonSets: false` the node is refused, with `evictDaemonSetPods` the pod leaves after the others"
            }
            Self::OrphanedDaemonSetPod => {
                "The pod belongs to a DaemonSet that is gone. Without `force` the node is refused"
            }
            Self::StaticPod => {
                "The node's kubelet runs the pod from a file, so that nobody can evict it; it stays"
            }
            Self::LocalStorage => {
                "The pod has an emptyDir volume, whose content is lost. Without `deleteEmptyDirData` the node is refused"
            }
            Self::UnmanagedPod => {
                "No controller would create the pod again. Without `force` the node is refused"
            }
            Self::NotSelected => "`podSelector` does not select the pod; it stays",
            Self::LabelSkip => "The pod's label `groundskeeper.dev/drain: skip` lets it stay",
            Self::LabelWaitCompleted => {
                "The pod's label `groundskeeper.dev/drain: wait-completed` lets it end by itself; it is waited for"
            }
            Self::InvalidDrainLabel => {
                "The pod's label `groundskeeper.dev/drain` has a value that means nothing; the pod is not evicted"
            }
            Self::RuleSkip => "A DrainRule lets the pod stay",
            Self::RuleWaitCompleted => "A DrainRule lets the pod end by itself; it is waited for",
            Self::InvalidRule => {
                "A DrainRule that may be about the pod cannot be understood; the pod is not evicted"
            }
            Self::Protected => "The pod's annotation `groundskeeper.dev/protect` keeps us from evicting it",
            Self::NamespaceTerminating => {
                "The pod's namespace is being deleted; it takes no evictions, and ends the pod itself"
            }
            Self::MultipleBudgets => {
                "Several PodDisruptionBudgets cover the pod, and the API server then evicts it for none of them"
            }
            Self::BudgetMisconfigured => {
                "The pod's PodDisruptionBudget allows no disruption although all of its pods are ready, and so never will"
            }
            Self::BudgetExhausted => {
                "The pod's PodDisruptionBudget allows fewer disruptions now than pods have to leave; it is asked again"
            }
            Self::EvictionDenied => {
                "The API server or a webhook refused the pod's eviction; it is asked again"
            }
            Self::EvictionFailed => "Asking for the pod's eviction did not work; it is asked again",
            Self::LastReplica => {
                "The pods that leave are all that the pod's controller runs; until it has another one, it has none"
            }
            Self::ToleratesCordon => {
                "The pod tolerates the taints of a cordoned node, so that its replacement may come to the same node"
            }
            Self::VolumeAttached => "A volume is still attached to the node although its pod is gone",
        }
    }
}

impl Action {
    /// The word that programs may read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evict => "Evict",
            Self::Delete => "Delete",
            Self::Wait => "Wait",
            Self::Skip => "Skip",
            Self::Blocked => "Blocked",
        }
    }
}

/// What stands in the way of these pods, and what would lift it; or what they risk.
pub(super) fn message(reason: Reason, effect: Effect, about: &About<'_>, pods: &[&Pod]) -> String {
    let who = names(pods);
    let is_told = effect == Effect::Tells;
    match reason {
        Reason::LabelWaitCompleted => format!(
            "pods with the label `{POD_DRAIN_LABEL}=wait-completed` are waited for until they end by themselves ({who}): delete them, or take the label off"
        ),
        Reason::DaemonSetPod if is_told => format!("pods of DaemonSets leave after the others ({who})"),
        Reason::DaemonSetPod => {
            format!(
                "pods whose DaemonSets would bring them back at once ({who}): set `ignoreDaemonSets: true`"
            )
        }
        Reason::OrphanedDaemonSetPod if is_told => {
            format!("pods whose DaemonSets are gone do not come back ({who})")
        }
        Reason::OrphanedDaemonSetPod => {
            format!(
                "pods whose DaemonSets are gone do not come back ({who}): set `force: true`, or delete them"
            )
        }
        Reason::LocalStorage if is_told => format!("emptyDir volumes are lost with their pods ({who})"),
        Reason::LocalStorage => format!(
            "emptyDir volumes would be lost with their pods ({who}): set `deleteEmptyDirData: true`, or label the pods `{POD_DRAIN_LABEL}=skip`"
        ),
        Reason::UnmanagedPod if is_told => format!("pods that no controller creates again ({who})"),
        Reason::UnmanagedPod => format!(
            "pods that no controller would create again ({who}): set `force: true`, delete them, or label them `{POD_DRAIN_LABEL}=skip`"
        ),
        Reason::InvalidDrainLabel => format!(
            "the value of the label `{POD_DRAIN_LABEL}` means nothing ({who}): write `skip` or `wait-completed`, or take the label off"
        ),
        Reason::Protected => format!(
            "the annotation `groundskeeper.dev/protect` keeps us from evicting pods ({who}): take it off, delete them yourself, or label them `{POD_DRAIN_LABEL}=skip`"
        ),
        Reason::LastReplica => format!(
            "pods that are all that their controllers run ({who}): scale these up before, if they must not be without"
        ),
        Reason::ToleratesCordon => format!(
            "pods that tolerate the taints of a cordoned node, and may come back to it ({who}): let them tolerate less"
        ),
        _ => of_something(reason, about, pods, &who),
    }
}

/// The same for what is about another object than the pods alone.
fn of_something(reason: Reason, about: &About<'_>, pods: &[&Pod], who: &str) -> String {
    match about {
        About::Rule(rule) if reason == Reason::RuleWaitCompleted => format!(
            "pods are waited for until they end by themselves, as DrainRule {} says ({who}): delete them, or change the rule",
            rule.name
        ),
        About::Rule(rule) => {
            let fault = rule.fault.as_deref().unwrap_or_default();
            format!("DrainRule {} cannot be understood, and may be about pods ({who}): {fault}", rule.name)
        }
        About::Budgets(budgets) if reason == Reason::MultipleBudgets => {
            let names = list(&budgets.iter().map(|budget| budget_name(budget)).collect::<Vec<_>>());
            format!(
                "several PodDisruptionBudgets ({names}) cover the same pods ({who}), and the API server evicts no such pod: narrow the selector of one, or delete it"
            )
        }
        About::Budgets(budgets) => {
            budgets.first().map(|budget| closed(reason, budget, pods)).unwrap_or_default()
        }
        About::BudgetNamed(name) => {
            format!(
                "PodDisruptionBudget {name} allows no disruption now, the API server says ({who}): it opens when others of its pods are ready"
            )
        }
        About::Namespace(namespace) => format!(
            "namespace {namespace} is being deleted, takes no evictions, and ends its pods itself ({who}): if that lasts, its conditions say what keeps it"
        ),
        About::Said(said) if reason == Reason::EvictionDenied => {
            format!("the API server refuses to evict pods ({who}): {said}")
        }
        About::Said(said) => format!("asking to evict pods does not work ({who}): {said}"),
        About::Finalizers([]) => format!(
            "pods that should have ended more than a minute ago are still there ({who}): their kubelet has not ended them; once the machine is off for sure, delete them with `--force`"
        ),
        About::Finalizers(finalizers) => {
            let finalizers: Vec<_> = finalizers.iter().take(NAMES).map(ToString::to_string).collect();
            format!(
                "pods that should have ended more than a minute ago are kept by finalizers, {} ({who}): whoever put them on has to take them off",
                list(&finalizers)
            )
        }
        About::Nothing if reason == Reason::MultipleBudgets => format!(
            "several PodDisruptionBudgets cover the same pods ({who}), and the API server evicts no such pod: narrow the selector of one, or delete it"
        ),
        About::Nothing => format!("{} ({who})", reason.meaning()),
    }
}

/// Why a budget lets pods not go.
fn closed(reason: Reason, budget: &DisruptionBudget, pods: &[&Pod]) -> String {
    let DisruptionBudget {
        disruptions_allowed: allowed,
        current_healthy,
        desired_healthy,
        expected_pods,
        ..
    } = budget;
    let (name, who) = (budget_name(budget), names(pods));
    if reason == Reason::BudgetMisconfigured {
        let (words, lift) = limit_words(budget);
        return format!(
            "PodDisruptionBudget {name} ({words}) allows no disruption although all of its {expected_pods} pods are ready, and so never lets pods go ({who}): {lift}"
        );
    }
    if budget.standstill() == Some(Standstill::Stale) {
        return format!(
            "PodDisruptionBudget {name} has not been counted since it was changed, and lets no pod go until then ({who})"
        );
    }
    let mut text = format!(
        "PodDisruptionBudget {name} allows {allowed} disruptions now, with {current_healthy} of {expected_pods} pods ready and {desired_healthy} wanted; others wait until more are ready ({who})"
    );
    let is_for_unready = pods.iter().any(|pod| !pod.is_ready);
    if is_for_unready && budget.unhealthy_pods == UnhealthyPods::IfHealthyBudget {
        text += ": `unhealthyPodEvictionPolicy: AlwaysAllow` would let those go that are not ready";
    }
    text
}

/// How a budget that never opens is written, and how it should be.
fn limit_words(budget: &DisruptionBudget) -> (String, &'static str) {
    match (&budget.min_available, &budget.max_unavailable) {
        (Some(least), _) => (format!("minAvailable: {least}"), "lower minAvailable, or add a pod"),
        (None, Some(most)) => (format!("maxUnavailable: {most}"), "raise maxUnavailable"),
        (None, None) => ("minAvailable: 1".to_owned(), "set maxUnavailable, or add a pod"),
    }
}

pub(super) fn budget_name(budget: &DisruptionBudget) -> String {
    path(budget.metadata.namespace.as_deref(), &budget.metadata.name)
}

pub(super) fn pod_name(pod: &Pod) -> String {
    path(pod.metadata.namespace.as_deref(), &pod.metadata.name)
}

fn path(namespace: Option<&str>, name: &str) -> String {
    namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

fn names(pods: &[&Pod]) -> String {
    let first: Vec<_> = pods.iter().take(NAMES).map(|pod| pod_name(pod)).collect();
    match pods.len().saturating_sub(NAMES) {
        0 => list(&first),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// Names in one message: more are not read.
const NAMES: usize = 3;

fn list(names: &[String]) -> String {
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((only, _)) => only.clone(),
        None => String::new(),
    }
}
