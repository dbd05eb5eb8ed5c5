//! The policies as their two watches show them: one for the policies of namespaces, one for those of the cluster.
//!
//! Nothing is decided before both have been listed completely, for a policy that keeps objects may be among what is
//! missing; and a listing that lacks many policies is believed once a second one does so, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::garbage_collection::{Accepted, Action, PolicyMode, TargetResource};
use api::{Author, AuthorUnknown, GarbageCollectionPolicySpec, GarbageCollectionPolicyStatus, Rail, Rails};
use chassis::{
    Continuity, FeedId, FeedTarget, InvalidServiceAccount, Pushed, Representation, Resource,
    ServiceAccountName, View,
};
use control::{MassChange, MassChangeRules};
use gc::{Invalid, Policy, Rule, Written};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::Value;
use units::{GroupVersionKind, NamespacedName, ResourceVersion, Uid};

use super::plots::PlotId;
use super::{AuthorVerdict, believes};

/// The two kinds of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum PolicyKind {
    /// `GarbageCollectionPolicy`.
    Namespaced,
    /// `ClusterGarbageCollectionPolicy`.
    Cluster,
}

/// A policy of either kind.
#[derive(Debug)]
pub(in super::super) struct AnyPolicy {
    pub(super) metadata: ObjectMeta,
    pub(super) spec: Result<GarbageCollectionPolicySpec, Misread>,
    pub(super) status: Option<GarbageCollectionPolicyStatus>,
}

/// A spec that cannot be understood.
#[derive(Debug)]
pub(super) struct Misread {
    error: String,
    /// What can be told of it: its kinds, and whether it has a say in what other policies do.
    outline: Box<GarbageCollectionPolicySpec>,
}

/// A policy as it stands in the cluster.
pub(in super::super) struct Tracked {
    pub(in super::super) uid: Uid,
    pub(in super::super) generation: Option<i64>,
    /// The version that the watch shows.
    pub(in super::super) version: Option<ResourceVersion>,
    /// The policy, or why it cannot be acted on.
    pub(in super::super) spec: Result<Arc<Policy>, Unusable>,
    /// What goes on keeping objects from other policies for a policy that cannot be acted on.
    pub(super) stand_in: Option<Arc<Policy>>,
    /// The status as it stands in the cluster.
    pub(in super::super) status: GarbageCollectionPolicyStatus,
    /// Whose rights the policy is carried out with.
    pub(in super::super) author: Result<Author, AuthorUnknown>,
    /// What was found of the author. Nothing is deleted unless it is that the author is allowed to.
    pub(in super::super) verdict: AuthorVerdict,
    /// Whether the spec may be acted on, given what it selects and what was let through before.
    pub(in super::super) acceptance: Acceptance,
    /// The grounds that it looks at, in the order of its targets.
    pub(super) plots: Vec<PlotId>,
}

/// Whether a policy's spec may be acted on.
#[derive(Clone, Debug)]
pub(in super::super) enum Acceptance {
    /// It has not been looked at yet; what was let through before, if anything was.
    Open { before: Option<Before> },
    /// It may.
    Accepted(Accepted),
    /// It newly selects so many objects, and the budget is so many: somebody has to approve it.
    Waits { newly: u64, limit: u64, before: Option<Before> },
}

/// A spec that was let through before: as it stands in the status, and compiled if this process has seen it.
#[derive(Clone, Debug)]
pub(in super::super) struct Before {
    pub(super) accepted: Accepted,
    pub(super) policy: Option<Arc<Policy>>,
}

/// Why a policy cannot be acted on.
#[derive(Clone, Debug, thiserror::Error)]
pub(in super::super) enum Unusable {
    #[error("{0}")]
    Invalid(#[from] Invalid),
    #[error("serviceAccountName: {0}")]
    ServiceAccount(#[from] InvalidServiceAccount),
    #[error(
        "the policy cannot be understood: {0}; it may have been written for another version of Groundskeeper"
    )]
    Unreadable(String),
    #[error("nothing is collected here: {0}")]
    Protected(Rail),
}

/// How far the listing of one kind of policies has come.
pub(super) struct Listing {
    /// The policies that the listing under way has shown; none when it is complete and believed.
    shown: Option<BTreeSet<NamespacedName>>,
    /// What the guard doubts: the policies that the last listing lacked.
    lacked: BTreeSet<NamespacedName>,
    guard: MassChange,
}

impl PolicyKind {
    pub(in super::super) const ALL: [Self; 2] = [Self::Namespaced, Self::Cluster];

    /// The kind of a policy of this name.
    pub(in super::super) fn of(key: &NamespacedName) -> Self {
        if key.namespace.is_empty() { Self::Cluster } else { Self::Namespaced }
    }

    /// The feed that shows them.
    pub(in super::super) const fn feed(self) -> FeedId {
        match self {
            Self::Namespaced => 0,
            Self::Cluster => 1,
        }
    }

    pub(in super::super) const fn name(self) -> &'static str {
        match self {
            Self::Namespaced => "GarbageCollectionPolicy",
            Self::Cluster => "ClusterGarbageCollectionPolicy",
        }
    }

    /// What they are called in paths.
    pub(in super::super) const fn plural(self) -> &'static str {
        match self {
            Self::Namespaced => "garbagecollectionpolicies",
            Self::Cluster => "clustergarbagecollectionpolicies",
        }
    }

    fn kind(self) -> GroupVersionKind {
        let api_version =
            units::ApiVersion { group: api::GROUP.to_owned(), version: api::VERSION.to_owned() };
        GroupVersionKind { api_version, kind: self.name().to_owned() }
    }

    /// Where they lie.
    pub(in super::super) fn resource(self) -> Resource {
        Resource {
            kind: self.kind(),
            plural: self.plural().to_owned(),
            namespaced: self == Self::Namespaced,
            verbs: Vec::new(),
        }
    }

    /// What they are watched as.
    pub(in super::super) fn target(self) -> FeedTarget {
        FeedTarget {
            kind: self.kind(),
            namespace: None,
            selector: Pushed::default(),
            representation: Representation::Full,
            // No precondition of a deletion would notice that its policy is gone.
            continuity: Continuity::Relist,
        }
    }
}

impl View for AnyPolicy {
    type Context = ();

    fn read(object: &str, (): &()) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Whole {
            metadata: ObjectMeta,
            spec: GarbageCollectionPolicySpec,
            #[serde(default)]
            status: Option<GarbageCollectionPolicyStatus>,
        }
        #[derive(Deserialize)]
        struct Remains {
            metadata: ObjectMeta,
            #[serde(default)]
            spec: Value,
            #[serde(default)]
            status: Value,
        }
        let error = match serde_json::from_str(object) {
            Ok(Whole { metadata, spec, status }) => return Ok(Self { metadata, spec: Ok(spec), status }),
            Err(error) => without_place(&error),
        };
        let Remains { metadata, spec, status } = serde_json::from_str(object)?;
        let spec = Err(Misread { error, outline: Box::new(outline(&spec)) });
        Ok(Self { metadata, spec, status: serde_json::from_value(status).ok() })
    }

    fn resource_version(&self) -> Option<ResourceVersion> {
        self.metadata.resource_version.as_deref().map(ResourceVersion::from)
    }
}

impl AnyPolicy {
    pub(super) fn key(&self) -> NamespacedName {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        NamespacedName::new(part(&self.metadata.namespace), part(&self.metadata.name))
    }

    pub(super) fn compile(&self, rails: &Rails) -> Result<Arc<Policy>, Unusable> {
        let spec = self.spec.as_ref().map_err(|misread| Unusable::Unreadable(misread.error.clone()))?;
        let policy = Policy::compile(self.written(spec), rails)?;
        if let Some(account) = &policy.acts_as {
            ServiceAccountName::new(&account.namespace, &account.name)?;
        }
        match policy.rail() {
            Some(rail) => Err(Unusable::Protected(rail)),
            None => Ok(Arc::new(policy)),
        }
    }

    /// What stands in for it while it cannot be acted on.
    pub(super) fn stand_in(&self, rails: &Rails) -> Option<Arc<Policy>> {
        let spec = self.spec.as_ref().unwrap_or_else(|misread| &misread.outline);
        Policy::stand_in(self.written(spec), rails).map(Arc::new)
    }

    fn written<'a>(&'a self, spec: &'a GarbageCollectionPolicySpec) -> Written<'a> {
        Written { is_namespaced: self.metadata.namespace.is_some(), metadata: &self.metadata, spec }
    }

    pub(super) fn author(&self) -> Result<Author, AuthorUnknown> {
        Author::read(self.metadata.annotations.as_ref().unwrap_or(&BTreeMap::new()))
    }
}

/// What is wrong, without where: that moves with our telling of it in the status.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

/// What can be told of a spec that cannot be understood. A word that is not known may forbid.
fn outline(spec: &Value) -> GarbageCollectionPolicySpec {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let target = |value: &Value| TargetResource {
        api_version: text(value, "apiVersion"),
        kind: text(value, "kind"),
        ..TargetResource::default()
    };
    let several = spec.get("targetResources").and_then(Value::as_array).into_iter().flatten();
    let truth = |value: Option<&Value>| value.and_then(Value::as_bool).unwrap_or_default();
    let mut outline = GarbageCollectionPolicySpec {
        target_resources: spec.get("targetResource").into_iter().chain(several).map(target).collect(),
        action: if matches!(&*text(spec, "action"), "" | "Delete") { Action::Delete } else { Action::Keep },
        mode: if matches!(&*text(spec, "mode"), "" | "Plan") {
            PolicyMode::Plan
        } else {
            PolicyMode::Enforce
        },
        paused: truth(spec.get("paused")),
        ..GarbageCollectionPolicySpec::default()
    };
    let priority = spec.get("priority").and_then(Value::as_i64).unwrap_or_default();
    outline.priority = i32::try_from(priority).unwrap_or_default();
    outline.behavior.dry_run = truth(spec.pointer("/behavior/dryRun"));
    outline
}

impl Tracked {
    /// The policy as it looks at grounds: itself, or what stands in for it.
    pub(super) fn presence(&self) -> Option<&Arc<Policy>> {
        self.spec.as_ref().ok().or(self.stand_in.as_ref())
    }

    /// Whether this is the form of the policy that was compiled: annotations may lift what a spec alone may not.
    pub(super) fn is_of(&self, policy: &AnyPolicy) -> bool {
        let approval = gc::Approval::read(policy.metadata.annotations.as_ref());
        policy.metadata.generation.is_some()
            && self.generation == policy.metadata.generation
            && self.spec.as_ref().is_ok_and(|known| known.approval == approval)
    }

    /// Whether it deletes nothing until somebody does something: grants a right, or approves it.
    pub(in super::super) fn awaits_somebody(&self, now: Timestamp) -> bool {
        let is_gated = |policy: &Arc<Policy>| policy.is_unselective() && !policy.is_approved(now);
        matches!(self.verdict, AuthorVerdict::Unknown(_) | AuthorVerdict::Forbidden(_))
            || matches!(self.acceptance, Acceptance::Waits { .. })
            || self.spec.as_ref().is_ok_and(is_gated)
    }

    /// The rules by which it selected before, if they are known and are not those of today.
    pub(super) fn rules_before(&self) -> Option<Arc<[Rule]>> {
        let before = self.before()?;
        let is_other = |policy: &&Arc<Policy>| before.accepted.spec_hash != policy.spec_hash.as_str();
        let policy = self.spec.as_ref().ok().filter(is_other)?;
        Some(before.policy.filter(|before| before.key == policy.key)?.rules().collect())
    }

    /// What was let through last, whatever has become of the spec since.
    pub(super) fn before(&self) -> Option<Before> {
        match &self.acceptance {
            Acceptance::Accepted(accepted) => {
                Some(Before { accepted: accepted.clone(), policy: self.spec.as_ref().ok().cloned() })
            }
            Acceptance::Open { before } | Acceptance::Waits { before, .. } => before.clone(),
        }
    }
}

impl Acceptance {
    /// What a status says of it.
    pub(super) fn from_status(status: &GarbageCollectionPolicyStatus) -> Self {
        let before = status.accepted.clone().map(|accepted| Before { accepted, policy: None });
        Self::Open { before }
    }

    /// What is to be kept in the status.
    pub(in super::super) fn accepted(&self) -> Option<&Accepted> {
        match self {
            Self::Accepted(accepted) => Some(accepted),
            Self::Open { before } | Self::Waits { before, .. } => {
                before.as_ref().map(|before| &before.accepted)
            }
        }
    }
}

impl Listing {
    pub(super) fn new() -> Self {
        Self {
            shown: Some(BTreeSet::new()),
            lacked: BTreeSet::new(),
            guard: MassChange::new(MassChangeRules::DEFAULT),
        }
    }

    pub(super) fn begin(&mut self) {
        self.shown = Some(BTreeSet::new());
    }

    pub(super) fn shows(&mut self, key: &NamespacedName) {
        if let Some(shown) = &mut self.shown {
            shown.insert(key.clone());
        }
    }

    /// Whether a listing has been completed and believed, and none is under way.
    pub(super) fn is_complete(&self) -> bool {
        self.shown.is_none()
    }

    /// Whether the last listing is not believed, so that another one is needed.
    pub(super) fn is_doubted(&self) -> bool {
        self.guard.is_in_doubt()
    }

    /// The listing is complete; returns the known policies that it shows to be gone, or, if it is not believed, how many
    /// it lacks.
    pub(super) fn finish<'a>(
        &mut self,
        known: impl Iterator<Item = &'a NamespacedName>,
    ) -> Result<Vec<NamespacedName>, usize> {
        let shown = self.shown.clone().unwrap_or_default();
        let known: Vec<_> = known.collect();
        let lacked: BTreeSet<_> =
            known.iter().filter(|key| !shown.contains(**key)).map(|key| (*key).clone()).collect();
        let lacked_too = self.lacked.intersection(&lacked).count();
        if believes(&mut self.guard, known.len(), lacked.len(), lacked_too) {
            self.believe();
            return Ok(lacked.into_iter().collect());
        }
        let count = lacked.len();
        self.lacked = lacked;
        Err(count)
    }

    pub(super) fn believe(&mut self) {
        self.shown = None;
        self.lacked.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What stands in for a policy with this spec, which a newer version of us has written.
    fn stand_in(change: impl FnOnce(&mut Value)) -> Option<Arc<Policy>> {
        let mut spec = json!({
            "targetResource": {"apiVersion": "v1", "kind": "ConfigMap"}, "mode": "Enforce", "laterField": true,
        });
        change(&mut spec);
        let policy = json!({"metadata": {"name": "keep", "namespace": "team"}, "spec": spec});
        let policy = AnyPolicy::read(&policy.to_string(), &()).unwrap();
        let rails = Rails::new("grounds");
        let unusable = policy.compile(&rails).unwrap_err().to_string();
        assert!(
            unusable.starts_with("the policy cannot be understood") && !unusable.contains("line"),
            "{unusable}"
        );
        policy.stand_in(&rails)
    }

    #[test]
    fn a_policy_that_cannot_be_understood_goes_on_keeping() {
        let keeps = stand_in(|spec| spec["action"] = json!("Keep")).unwrap();
        assert_eq!((keeps.action, keeps.mode), (Action::Keep, gc::Mode::Paused));
        assert_eq!(keeps.targets[0].kind.kind, "ConfigMap");
        let later = stand_in(|spec| spec["action"] = json!("Archive")).unwrap();
        assert_eq!(later.action, Action::Keep, "a word that is not known may forbid");
        let ranks = stand_in(|spec| spec["priority"] = json!(7)).unwrap();
        assert_eq!((ranks.action, ranks.mode, ranks.priority), (Action::Delete, gc::Mode::Paused, 7));
        assert!(stand_in(|spec| spec["mode"] = json!("Plan")).is_none());
        assert!(stand_in(|spec| spec["targetResource"] = json!("configmaps")).is_none());
    }
}
