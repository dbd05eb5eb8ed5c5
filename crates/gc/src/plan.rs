//! The plan: every object in a policy's reach, with verdict and reason.
//!
//! Its JSON is a contract that scripts rely on; fields may be added, never renamed or removed.

use jiff::Timestamp;
use serde::Serialize;
use units::{NamespacedName, Uid};

use crate::decide::{Verdict, decide};
use crate::object::Object;
use crate::policy::Policy;

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
    /// `namespace/name` of the policy.
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
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectName {
    /// Group and version.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The namespace.
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

    /// Adds what `policy` makes of the objects of its kind in its namespace.
    pub fn add<'a>(&mut self, policy: &Policy, objects: impl IntoIterator<Item = &'a Object>) {
        let mut judged: Vec<_> =
            objects.into_iter().map(|object| (decide(policy, object, self.at), object)).collect();
        judged.sort_by_key(|(verdict, object)| {
            (verdict.expires_at().unwrap_or(Timestamp::MAX), object.name.clone())
        });
        for (verdict, object) in judged {
            self.summary.count(verdict);
            self.items.push(Item::new(policy, object, verdict, self.at));
        }
    }
}

impl Item {
    fn new(policy: &Policy, object: &Object, verdict: Verdict, at: Timestamp) -> Self {
        let NamespacedName { namespace, .. } = &policy.key;
        Self {
            policy: policy.key.to_string(),
            object: ObjectName {
                api_version: policy.target.api_version.to_string(),
                kind: policy.target.kind.clone(),
                namespace: namespace.clone(),
                name: object.name.clone(),
                uid: object.uid.clone(),
            },
            verdict: verdict.name(),
            reason: verdict.reason(),
            message: verdict.message(policy.mode, at),
            expires_at: verdict.expires_at(),
        }
    }
}

impl Summary {
    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Delete { .. } => self.delete += 1,
            Verdict::Keep(_) => self.keep += 1,
            Verdict::Protected(_) => self.protected += 1,
            Verdict::Unresolvable(_) => self.unresolvable += 1,
        }
    }
}
