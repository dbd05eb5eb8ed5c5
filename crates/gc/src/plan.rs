//! The plan: every object in a policy's reach, with verdict and reason.
//!
//! Its JSON is a contract that scripts rely on; fields may be added, never renamed or removed.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;
use units::{GroupVersionKind, NamespacedName, Uid};

use crate::decide::{Gate, Kept, Verdict};
use crate::ground::Ground;
use crate::object::Object;
use crate::policy::{Policy, Rule};

/// What policies would do at a moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    api_version: &'static str,
    kind: &'static str,
    /// The moment that the plan is made for.
    pub at: Timestamp,
    /// Every object in the reach of a policy, in the order of policies, then of expiry.
    pub items: Vec<Item>,
    /// How many there are of each verdict.
    pub summary: Summary,
}

/// One object under one policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// `namespace/name` of the policy, or the name of a policy of the cluster.
    pub policy: String,
    /// The object.
    pub object: ObjectName,
    /// `Delete`, `Keep`, `Protected` or `Unresolvable`.
    pub verdict: &'static str,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, as a sentence.
    pub message: String,
    /// When the object falls due, or fell due.
    pub expires_at: Option<Timestamp>,
}

/// What an object is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectName {
    /// Group and version.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The namespace; empty if the object has none.
    pub namespace: String,
    /// The name.
    pub name: Box<str>,
    /// The incarnation; empty for a manifest that no server has seen.
    pub uid: Uid,
}

/// How many items there are of each verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Objects that would be deleted.
    pub delete: usize,
    /// Objects that stay.
    pub keep: usize,
    /// Objects that are never deleted.
    pub protected: usize,
    /// Objects of which it cannot be told when their time is up.
    pub unresolvable: usize,
}

/// Whether a policy as a whole may act, as far as somebody who makes a plan can know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outlook {
    /// How many objects may still go within the budget's window; none if that is not known, so that nothing has been
    /// used of it.
    pub budget_left: Option<u64>,
    /// The policy waits to be approved, as its status says.
    pub awaits_approval: bool,
}

impl Plan {
    /// An empty plan for a moment.
    pub fn new(at: Timestamp) -> Self {
        Self {
            api_version: "groundskeeper.dev/v1alpha1",
            kind: "Plan",
            at,
            items: Vec::new(),
            summary: Summary::default(),
        }
    }

    /// Adds what a policy makes of the objects of grounds that it looks at.
    pub fn add<'a>(
        &mut self,
        policy: &Policy,
        grounds: impl IntoIterator<Item = &'a Ground>,
        outlook: Outlook,
    ) {
        let grounds: Vec<_> = grounds.into_iter().collect();
        let gate = policy.gate(outlook.awaits_approval, self.at);
        let judge = |ground: &&'a Ground| ground.judge_all(&policy.key, gate, self.at);
        let mut judged: Vec<Judged<'a>> =
            grounds.iter().flat_map(judge).map(|(rule, object, verdict)| (verdict, object, rule)).collect();
        judged.sort_by(|(a, left, _), (b, right, _)| {
            let key = |verdict: &Verdict| verdict.expires_at().unwrap_or(Timestamp::MAX);
            (key(a), &left.namespace, &left.name).cmp(&(key(b), &right.namespace, &right.name))
        });
        if policy.targets.len() > 1 {
            judged = once_each(judged);
        }
        let base = grounds.iter().map(|ground| ground.base(&policy.key)).sum();
        let mut left = outlook.budget_left.unwrap_or_else(|| policy.budget.limit(base));
        for (verdict, object, rule) in judged {
            let verdict = within_budget(policy, verdict, &mut left, self.at);
            self.summary.count(&verdict);
            self.items.push(Item::new(rule, object, &verdict, self.at));
        }
    }
}

/// One object under one rule, judged.
type Judged<'a> = (Verdict, &'a Object, &'a Rule);

/// Each object once, although several targets of the policy look at it: by the one that says most about it, which is the one
/// by which it goes first, if it goes. The order stays.
fn once_each(judged: Vec<Judged<'_>>) -> Vec<Judged<'_>> {
    let name = |(_, object, rule): &Judged<'_>| {
        let GroupVersionKind { api_version, kind } = rule.kind();
        (api_version.group.clone(), kind.clone(), object.namespace.clone(), object.name.clone())
    };
    let mut best: HashMap<_, (u8, usize)> = HashMap::new();
    for (place, judged) in judged.iter().enumerate() {
        let this = (silence(&judged.0), place);
        best.entry(name(judged)).and_modify(|known| *known = this.min(*known)).or_insert(this);
    }
    let chosen: HashSet<usize> = best.into_values().map(|(_, place)| place).collect();
    let numbered = judged.into_iter().enumerate().filter(|(place, _)| chosen.contains(place));
    numbered.map(|(_, judged)| judged).collect()
}

/// How little a verdict says about an object, beside one by another target.
const fn silence(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Delete { .. } => 0,
        Verdict::Notify { .. } => 1,
        Verdict::Keep(Kept::Shut { .. } | Kept::Told { .. } | Kept::NotYet { .. } | Kept::Paused { .. }) => 2,
        Verdict::Unresolvable(_) | Verdict::Protected(_) => 3,
        Verdict::Keep(Kept::NotSelected { .. }) => 5,
        Verdict::Keep(_) => 4,
    }
}

/// What the budget makes of a verdict; the plan's order is that in which objects go.
fn within_budget(policy: &Policy, verdict: Verdict, left: &mut u64, now: Timestamp) -> Verdict {
    let Verdict::Delete { since } = verdict else { return verdict };
    if policy.approved_until(now).is_some_and(|until| since <= until) {
        return verdict;
    }
    match left.checked_sub(1) {
        Some(rest) => {
            *left = rest;
            verdict
        }
        None => Verdict::Keep(Kept::Shut { since, gate: Gate::OverBudget }),
    }
}

impl Summary {
    fn count(&mut self, verdict: &Verdict) {
        let counter = match verdict {
            Verdict::Delete { .. } => &mut self.delete,
            Verdict::Keep(_) | Verdict::Notify { .. } => &mut self.keep,
            Verdict::Protected(_) => &mut self.protected,
            Verdict::Unresolvable(_) => &mut self.unresolvable,
        };
        *counter += 1;
    }
}

impl Item {
    /// One object under one rule, with its verdict.
    pub fn new(rule: &Rule, object: &Object, verdict: &Verdict, now: Timestamp) -> Self {
        let policy = &rule.policy;
        Self {
            policy: policy.key.to_string(),
            object: ObjectName::of(rule.kind(), object),
            verdict: verdict.name(),
            reason: verdict.reason(),
            message: verdict.message(policy.mode, now),
            expires_at: verdict.expires_at(),
        }
    }
}

impl ObjectName {
    /// What an object of a kind is called.
    pub fn of(kind: &GroupVersionKind, object: &Object) -> Self {
        Self {
            api_version: kind.api_version.to_string(),
            kind: kind.kind.clone(),
            namespace: object.namespace.to_string(),
            name: object.name.clone(),
            uid: object.uid.clone(),
        }
    }

    /// Namespace and name.
    pub fn key(&self) -> NamespacedName {
        NamespacedName::new(self.namespace.clone(), &*self.name)
    }
}
