//! The policies as their two watches show them: one for the policies of namespaces, one for those of the cluster.
//!
//! Nothing is decided before both have been listed completely, for a policy that keeps objects may be among what is
//! missing; and a listing that lacks many policies is believed once a second one does so, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::garbage_collection::Accepted;
use api::{Author, AuthorUnknown, GarbageCollectionPolicySpec, GarbageCollectionPolicyStatus, Rail, Rails};
use chassis::{
    Continuity, FeedId, FeedTarget, InvalidServiceAccount, Pushed, Representation, ServiceAccountName, View,
};
use control::{MassChange, MassChangeRules};
use gc::{Invalid, Policy, Written};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
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
#[derive(Debug, Deserialize)]
pub(in super::super) struct AnyPolicy {
    pub(super) metadata: ObjectMeta,
    pub(super) spec: GarbageCollectionPolicySpec,
    #[serde(default)]
    pub(super) status: Option<GarbageCollectionPolicyStatus>,
}

/// A policy as it stands in the cluster.
pub(in super::super) struct Tracked {
    pub(in super::super) uid: Uid,
    pub(in super::super) generation: Option<i64>,
    /// The version that the watch shows.
    pub(in super::super) version: Option<ResourceVersion>,
    /// The policy, or why it cannot be acted on.
    pub(in super::super) spec: Result<Arc<Policy>, Unusable>,
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

    /// What they are watched as.
    pub(in super::super) fn target(self) -> FeedTarget {
        let api_version =
            units::ApiVersion { group: api::GROUP.to_owned(), version: api::VERSION.to_owned() };
        FeedTarget {
            kind: GroupVersionKind { api_version, kind: self.name().to_owned() },
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
        serde_json::from_str(object)
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
        let is_namespaced = self.metadata.namespace.is_some();
        let written = Written { is_namespaced, metadata: &self.metadata, spec: &self.spec };
        let policy = Policy::compile(written, rails)?;
        if let Some(account) = &policy.acts_as {
            ServiceAccountName::new(&account.namespace, &account.name)?;
        }
        match policy.rail() {
            Some(rail) => Err(Unusable::Protected(rail)),
            None => Ok(Arc::new(policy)),
        }
    }

    pub(super) fn author(&self) -> Result<Author, AuthorUnknown> {
        Author::read(self.metadata.annotations.as_ref().unwrap_or(&BTreeMap::new()))
    }
}

impl Tracked {
    /// Whether this is the form of the policy that was compiled: annotations may lift what a spec alone may not.
    pub(super) fn is_of(&self, policy: &AnyPolicy) -> bool {
        let approval = gc::Approval::read(policy.metadata.annotations.as_ref());
        policy.metadata.generation.is_some()
            && self.generation == policy.metadata.generation
            && self.spec.as_ref().is_ok_and(|known| known.approval == approval)
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
