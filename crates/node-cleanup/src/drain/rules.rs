//! Which `DrainRule` speaks of a pod.
//!
//! Invariant: a rule that cannot be understood never lets a pod go that it might be about.

use api::DrainRule;
use api::node_cleanup::{DrainBehavior, DrainRuleSpec};
use api::selector::Selector;
use units::Glob;
use views::{Labels, Pod};

/// The rules of a cluster, first by name.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<Rule>);

/// One rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) name: Box<str>,
    pub(super) behavior: DrainBehavior,
    pub(super) order: i32,
    /// Absent, here and below: it cannot be understood, and so may match.
    nodes: Option<Selector>,
    pods: Option<Selector>,
    /// Empty for all.
    namespaces: Option<Vec<Glob>>,
    /// What is wrong with it, and what to write instead.
    pub(super) fault: Option<Box<str>>,
}

/// Which rule speaks of a pod.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ruled<'a> {
    /// None does.
    No,
    /// This one.
    By(&'a Rule),
    /// This one may, for it cannot be understood.
    Unclear(&'a Rule),
}

impl Rules {
    /// Compiles rules, in any order. One that cannot be understood holds the pods that it might select; [`Rules::faults`]
    /// has it.
    pub fn compile<'a>(rules: impl IntoIterator<Item = &'a DrainRule>) -> Self {
        let mut rules: Vec<_> = rules.into_iter().map(Rule::compile).collect();
        rules.sort_by(|a, b| a.name.cmp(&b.name));
        Self(rules)
    }

    /// The rules that cannot be understood: their names, and what is wrong with each.
    pub fn faults(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|rule| Some((&*rule.name, rule.fault.as_deref()?)))
    }

    /// The first rule by name that selects the pod on a node with these labels.
    pub(super) fn of(&self, node: &Labels, pod: &Pod) -> Ruled<'_> {
        for rule in &self.0 {
            match rule.selects(node, pod) {
                Some(true) => return Ruled::By(rule),
                Some(false) => {}
                None => return Ruled::Unclear(rule),
            }
        }
        Ruled::No
    }
}

impl Rule {
    fn compile(rule: &DrainRule) -> Self {
        let DrainRuleSpec { behavior, order, node_selector, pod_selector, namespaces } = &rule.spec;
        let nodes =
            Selector::compile(node_selector.as_ref()).map_err(|fault| format!("nodeSelector: {fault}"));
        let pods = Selector::compile(pod_selector.as_ref()).map_err(|fault| format!("podSelector: {fault}"));
        let globs: Result<Vec<Glob>, _> = namespaces.iter().map(|text| text.parse::<Glob>()).collect();
        let globs = globs.map_err(|fault| format!("namespaces: {fault}"));
        let faults = [nodes.as_ref().err(), pods.as_ref().err(), globs.as_ref().err()];
        let fault = faults.into_iter().flatten().next().map(|fault| fault.as_str().into());
        Self {
            name: rule.metadata.name.as_deref().unwrap_or_default().into(),
            behavior: *behavior,
            order: *order,
            fault,
            nodes: nodes.ok(),
            pods: pods.ok(),
            namespaces: globs.ok(),
        }
    }

    /// Whether it selects the pod; absent if that cannot be told.
    fn selects(&self, node: &Labels, pod: &Pod) -> Option<bool> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let is_listed =
            |globs: &Vec<Glob>| globs.is_empty() || globs.iter().any(|glob| glob.matches(namespace));
        let parts = [
            self.nodes.as_ref().map(|selector| selector.matches(node)),
            self.pods.as_ref().map(|selector| selector.matches(&pod.metadata.labels)),
            self.namespaces.as_ref().map(is_listed),
        ];
        if parts.contains(&Some(false)) {
            return Some(false);
        }
        parts.iter().all(Option::is_some).then_some(true)
    }
}
