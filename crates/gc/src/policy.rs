//! A policy, compiled: everything checked once, so that judging an object cannot fail.

use std::sync::Arc;
use std::time::Duration;

use api::garbage_collection::{
    Action, GarbageCollectionPolicySpec, PolicyMode, PropagationPolicy, TargetResource,
};
use api::{
    ClusterGarbageCollectionPolicy, GarbageCollectionPolicy, NamedRails, ObjectMeta, Rail, Rails, Unlock,
};
use expr::Stays;
use jiff::{SignedDuration, Timestamp};
use units::{GroupVersionKind, KeyPath, NamespacedName, WindowState, Windows};
use views::Labels;

use crate::approval::{Approval, SpecHash};
use crate::budget::BudgetRule;
use crate::decide::Gate;
use crate::finalizer::{Finalizer, finalizers_path};
use crate::invalid::Invalid;
use crate::keep::{End, KeepRule};
use crate::limits::{APPROVAL_LASTS, RECHECK};
use crate::object::Object;
use crate::target::{NamespaceRule, TargetRule};
use crate::when::When;
use crate::which::Which;

mod checks;

pub(crate) use checks::{between, path, within};

/// Kubernetes' own kinds without namespaces that people collect, or by mistake try to.
const WITHOUT_NAMESPACES: [(&str, &str); 9] = [
    ("", "Namespace"),
    ("", "Node"),
    ("", "PersistentVolume"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("storage.k8s.io", "StorageClass"),
    ("storage.k8s.io", "VolumeAttachment"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
];

/// Whether objects of a kind are known to lie in no namespace; of custom resources nothing is known here.
pub fn lies_in_no_namespace(kind: &GroupVersionKind) -> bool {
    WITHOUT_NAMESPACES.contains(&(kind.group(), &kind.kind))
}

fn is_namespace(kind: &GroupVersionKind) -> bool {
    (kind.group(), kind.kind.as_str()) == ("", "Namespace")
}

/// A policy that can be acted on.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Which policy it is; without a namespace for a policy of the cluster.
    pub key: NamespacedName,
    /// The generation of the spec that was compiled.
    pub generation: Option<i64>,
    /// The hash of the spec, to which an approval is bound.
    pub spec_hash: SpecHash,
    /// What was approved, if anything was.
    pub approval: Option<Approval>,
    /// Where its objects lie.
    pub reach: Reach,
    /// What it looks at, one entry for each kind.
    pub targets: Box<[TargetRule]>,
    /// Whether it asks for deletion, or forbids it.
    pub action: Action,
    /// What is done with what is due.
    pub mode: Mode,
    /// Which policy decides if several select one object.
    pub priority: i32,
    /// The most that it deletes in a second.
    pub deletions_per_second_max: u32,
    /// The most deletions that it has under way.
    pub batch_size: u32,
    /// What becomes of what its objects own.
    pub propagation: PropagationPolicy,
    /// Seconds that a pod gets to end; none leaves it to the object.
    pub grace_period_seconds: Option<i64>,
    /// The finalizer that it takes off objects that it has deleted itself; none if it takes off none.
    pub finalizer: Option<Finalizer>,
    /// How much may go in a span of time.
    pub budget: BudgetRule,
    /// At what hours; none for all.
    pub schedule: Option<Windows>,
    /// How long before its deletion an object is told.
    pub notice: Option<SignedDuration>,
    /// Rails that it lifts.
    pub unlocked: Vec<Unlock>,
    /// How often all objects are looked at anew.
    pub evaluation_interval: Duration,
    /// The service account with whose rights objects are deleted; none for our own.
    pub acts_as: Option<NamespacedName>,
    when_text: String,
    pub(crate) rails: Rails,
    pub(crate) when: Option<When>,
    pub(crate) which: Which,
    pub(crate) keep: Option<KeepRule>,
}

/// Where the objects of a policy lie.
#[derive(Clone, Debug)]
pub enum Reach {
    /// In the policy's own namespace.
    Namespace(Arc<str>),
    /// In the namespaces that it selects, and outside of namespaces.
    Cluster(NamespaceRule),
}

/// What is done with objects that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are deleted.
    Enforce,
    /// They are reported, for the policy is a plan.
    Plan,
    /// They are reported, for the policy is a dry run.
    DryRun,
    /// They wait.
    Paused,
}

/// One kind of a policy's objects: the policy, and which of its targets.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The policy.
    pub policy: Arc<Policy>,
    target: usize,
    /// Its objects are namespaces.
    of_namespaces: bool,
    named: Arc<NamedRails>,
}

/// A policy of either kind, as it stands in the cluster or in a file.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// It is a `GarbageCollectionPolicy`, and not a `ClusterGarbageCollectionPolicy`.
    pub is_namespaced: bool,
    /// Its metadata.
    pub metadata: &'a ObjectMeta,
    /// Its spec.
    pub spec: &'a GarbageCollectionPolicySpec,
}

impl Policy {
    /// Checks and compiles a policy.
    ///
    /// The API server has checked most of this by the schema already; a file that `plan` reads has not been checked,
    /// and a schema may be older or newer than this program.
    pub fn compile<'a>(written: impl Into<Written<'a>>, rails: &Rails) -> Result<Self, Invalid> {
        let written = written.into();
        let Written { metadata, spec, .. } = written;
        let key = written.key();
        let reach = reach(written, &key)?;
        checks::check(spec, &reach)?;
        let targets = targets(spec)?;
        let when = spec.ttl.as_ref().map(When::compile).transpose()?;
        let which = Which::compile(spec.conditions.as_ref(), spec.when.as_deref())?;
        let keep = spec.keep.as_ref().map(KeepRule::compile).transpose()?;
        checks::kept_by_time(keep.as_ref(), which.uses_now() || when.as_ref().is_some_and(When::uses_now))?;
        Ok(Self {
            generation: metadata.generation,
            spec_hash: SpecHash::of(spec),
            approval: Approval::read(metadata.annotations.as_ref()),
            targets,
            action: spec.action,
            mode: Mode::of(spec),
            priority: spec.priority,
            deletions_per_second_max: spec.behavior.max_deletions_per_second,
            batch_size: spec.behavior.batch_size,
            propagation: spec.behavior.propagation_policy,
            grace_period_seconds: spec.behavior.grace_period_seconds,
            finalizer: checks::finalizer(spec)?,
            budget: BudgetRule::compile(spec.budget.as_ref())?,
            schedule: spec.schedule.as_ref().map(checks::windows).transpose()?,
            notice: checks::notice(spec)?,
            unlocked: spec.unlock.clone(),
            evaluation_interval: checks::evaluation_interval(spec)?,
            acts_as: checks::service_account(spec, &key)?,
            rails: rails.clone(),
            when_text: when_text(when.as_ref(), keep.as_ref()),
            when,
            which,
            keep,
            reach,
            key,
        })
    }

    /// What stands in for a policy that does not compile: it deletes nothing, and keeps from others all that the policy
    /// may keep from them. Else whoever breaks a policy that keeps would have deleted what it kept.
    ///
    /// None if the policy has no say in what others do, or if not even its kinds can be told.
    pub fn stand_in<'a>(written: impl Into<Written<'a>>, rails: &Rails) -> Option<Self> {
        let written = written.into();
        let spec = written.spec;
        if Mode::of(spec).only_reports() {
            return None;
        }
        let bare = |target: &TargetResource| TargetResource {
            api_version: target.api_version.clone(),
            kind: target.kind.clone(),
            ..TargetResource::default()
        };
        let narrowed = GarbageCollectionPolicySpec {
            target_resource: spec.target_resource.clone(),
            target_resources: spec.target_resources.clone(),
            namespaces: spec.namespaces.clone(),
            ..checks::silent(spec)
        };
        let wide = GarbageCollectionPolicySpec {
            target_resources: spec.targets().map(bare).collect(),
            ..checks::silent(spec)
        };
        let compile =
            |spec: &GarbageCollectionPolicySpec| Self::compile(Written { spec, ..written }, rails).ok();
        compile(&narrowed).or_else(|| compile(&wide))
    }

    /// One rule for each of its kinds.
    pub fn rules(self: &Arc<Self>) -> impl Iterator<Item = Rule> {
        self.targets.iter().enumerate().map(|(target, rule)| {
            let named = Arc::new(self.rails.by_name(&rule.kind, &self.unlocked));
            Rule { policy: Arc::clone(self), target, of_namespaces: is_namespace(&rule.kind), named }
        })
    }

    /// What its expressions read, each with the field that it stands in.
    pub fn expression_reads(&self) -> [(&'static str, &[KeyPath]); 2] {
        let ttl = self.when.as_ref().map(When::expression_reads).unwrap_or_default();
        [("spec.when", self.which.expression_reads()), ("spec.ttl.expression", ttl)]
    }

    /// Whether its verdicts may change although no object does.
    pub fn uses_now(&self) -> bool {
        self.which.uses_now() || self.when.as_ref().is_some_and(When::uses_now)
    }

    /// When the verdict on an unchanged object may be another one than now; none if never.
    pub(crate) fn may_turn_at(&self, object: &Object, now: Timestamp) -> Option<Timestamp> {
        let ttl = self.when.as_ref().map_or(Stays::ForGood, |when| when.stays(object, now));
        let turns_at = |stays| match stays {
            Stays::ForGood => None,
            Stays::Until(at) => Some(at),
            Stays::Unknown => Some(now.checked_add(RECHECK).unwrap_or(now)),
        };
        [self.which.stays(object, now), ttl].into_iter().filter_map(turns_at).min()
    }

    /// Whether the time at which an unchanged object goes may change.
    pub(crate) fn moves(&self) -> bool {
        self.when.as_ref().is_some_and(When::uses_now)
    }

    /// Which end of the ages of each group it keeps, if it keeps any.
    pub fn keeps(&self) -> Option<End> {
        self.keep.as_ref().map(|keep| keep.end)
    }

    /// When its objects go, in a few words.
    pub fn when_text(&self) -> &str {
        &self.when_text
    }

    /// What it collects, in a few words: its kinds.
    pub fn target_text(&self) -> String {
        let mut kinds: Vec<_> = self.targets.iter().map(|target| target.kind.kind.as_str()).collect();
        kinds.dedup();
        kinds.join(",")
    }

    /// Which objects a target of it selects by their labels; empty for all.
    pub fn selector_text(&self, target: usize) -> &str {
        self.targets.get(target).map(TargetRule::labels_text).unwrap_or_default()
    }

    /// Whether it takes everything of a kind in the whole cluster: no selector of any sort narrows it.
    pub fn is_unselective(&self) -> bool {
        let Reach::Cluster(namespaces) = &self.reach else { return false };
        let marked = self.when.as_ref().is_some_and(When::is_marked);
        let all_of = |target: &TargetRule| {
            let says_nothing = lies_in_no_namespace(&target.kind) && !is_namespace(&target.kind);
            target.is_unselective() && (namespaces.is_unselective() || says_nothing)
        };
        !marked && self.which.is_empty() && self.targets.iter().any(all_of)
    }

    /// Whether what stands in the policy now has been approved. What is dated later than `now` was approved by nobody yet.
    pub fn is_approved(&self, now: Timestamp) -> bool {
        self.approved_at(now).is_some()
    }

    /// Up to which moment what fell due was approved to go, whatever the budget; for [`APPROVAL_LASTS`] after it. What
    /// comes to be selected later may have been due in theory for long, and nobody has approved it.
    pub fn approved_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.approved_at(now).filter(|at| now.duration_since(*at) < APPROVAL_LASTS)
    }

    fn approved_at(&self, now: Timestamp) -> Option<Timestamp> {
        let counts = |approval: &&Approval| approval.spec_hash == self.spec_hash && approval.at <= now;
        self.approval.as_ref().filter(counts).map(|approval| approval.at)
    }
}

impl Policy {
    /// Whether the policy as a whole may act at `now`, apart from its budget.
    pub fn gate(&self, awaits_approval: bool, now: Timestamp) -> Gate {
        if awaits_approval || (self.is_unselective() && !self.is_approved(now)) {
            return Gate::AwaitingApproval;
        }
        match self.schedule.as_ref().map(|windows| windows.state(now)) {
            None | Some(WindowState::Open { .. }) => Gate::Open,
            // A window that does not open within weeks is looked for again then.
            Some(WindowState::Closed { opens_at }) => Gate::OutsideWindow {
                opens_at: opens_at
                    .unwrap_or_else(|| now.checked_add(SignedDuration::from_hours(24)).unwrap_or(now)),
            },
        }
    }

    /// The rail that keeps everything that it would delete, if one does. A policy that keeps deletes nothing: what it
    /// targets may be unlocked by others.
    pub fn rail(&self) -> Option<Rail> {
        if self.action == Action::Keep {
            return None;
        }
        let namespace = self.reach.namespace().unwrap_or_default();
        let rail = |target: &TargetRule| self.rails.keep_all(&target.kind, namespace, &self.unlocked);
        self.targets.iter().map(rail).collect::<Option<Vec<_>>>()?.first().copied()
    }
}

impl Reach {
    /// The namespace that it is confined to, if it is confined to one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Namespace(namespace) => Some(namespace),
            Self::Cluster(_) => None,
        }
    }

    /// Whether it holds a namespace of this name and with these labels. What lies in no namespace has an empty one.
    pub fn covers(&self, namespace: &str, labels: Option<&Labels>) -> bool {
        match self {
            Self::Namespace(own) => **own == *namespace,
            Self::Cluster(namespaces) => namespace.is_empty() || namespaces.covers(namespace, labels),
        }
    }

    /// Whether it holds this namespace itself.
    fn covers_namespace(&self, name: &str, labels: &Labels) -> bool {
        match self {
            // A policy of a namespace never sees one: the kind has no namespaces.
            Self::Namespace(_) => true,
            Self::Cluster(namespaces) => namespaces.covers(name, Some(labels)),
        }
    }

    /// Whether the labels of namespaces say where it is.
    pub fn needs_labels(&self) -> bool {
        matches!(self, Self::Cluster(namespaces) if namespaces.needs_labels())
    }

    /// Whether a selection of namespaces says nothing of the objects of this kind, which have none.
    pub fn says_nothing_of(&self, kind: &GroupVersionKind) -> bool {
        let selects = matches!(self, Self::Cluster(namespaces) if *namespaces != NamespaceRule::default());
        selects && !is_namespace(kind)
    }

    /// Whether it is everywhere.
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::Cluster(namespaces) if namespaces.is_everything())
    }

    /// Whether it has to be known which namespaces there are, to tell which it holds.
    pub fn narrows_namespaces(&self) -> bool {
        matches!(self, Self::Cluster(namespaces) if !namespaces.is_everything())
    }
}

impl Rule {
    /// What it looks at.
    ///
    /// # Panics
    /// Never: a rule is made of a target that is there.
    #[allow(clippy::indexing_slicing, reason = "`Policy::rules` counts the targets")]
    pub fn target(&self) -> &TargetRule {
        &self.policy.targets[self.target]
    }

    /// Which of the policy's targets it is, counted from 0.
    pub const fn target_index(&self) -> usize {
        self.target
    }

    /// The kind of its objects.
    pub fn kind(&self) -> &GroupVersionKind {
        &self.target().kind
    }

    /// Whether it looks at this object, of those where it looks. A selection of namespaces is about namespaces themselves,
    /// too: each is judged by its own name and labels.
    pub(crate) fn looks_at(&self, object: &Object) -> bool {
        !self.of_namespaces || self.policy.reach.covers_namespace(&object.name, &object.labels)
    }

    /// The rail that keeps an object, but for what the object itself asks for.
    pub(crate) fn rail(&self, object: &Object) -> Option<Rail> {
        self.rail_at(&object.namespace, &object.name)
    }

    /// The same, of the object of this name.
    pub(crate) fn rail_at(&self, namespace: &str, name: &str) -> Option<Rail> {
        let Policy { rails, unlocked, .. } = &*self.policy;
        rails.keep_all(self.kind(), namespace, unlocked).or_else(|| self.named.keep(name))
    }

    /// The fields that judging an object reads, besides what every record holds.
    pub fn reads(&self) -> Vec<KeyPath> {
        let policy = &self.policy;
        let mut reads = self.target().reads();
        reads.extend(policy.which.reads());
        reads.extend(policy.when.iter().flat_map(When::reads));
        reads.extend(policy.keep.iter().flat_map(KeepRule::reads));
        if policy.notice.is_some() {
            reads.push(crate::notice::annotation().clone());
        }
        if policy.finalizer.is_some() {
            reads.push(finalizers_path().clone());
        }
        reads
    }
}

impl Mode {
    fn of(spec: &GarbageCollectionPolicySpec) -> Self {
        match (spec.paused, spec.mode, spec.behavior.dry_run) {
            (true, ..) => Self::Paused,
            (false, PolicyMode::Plan, _) => Self::Plan,
            (false, PolicyMode::Enforce, true) => Self::DryRun,
            (false, PolicyMode::Enforce, false) => Self::Enforce,
        }
    }

    /// Whether what is due is only reported.
    pub const fn only_reports(self) -> bool {
        matches!(self, Self::Plan | Self::DryRun)
    }
}

impl<'a> From<&'a GarbageCollectionPolicy> for Written<'a> {
    fn from(policy: &'a GarbageCollectionPolicy) -> Self {
        Self { is_namespaced: true, metadata: &policy.metadata, spec: &policy.spec }
    }
}

impl<'a> From<&'a ClusterGarbageCollectionPolicy> for Written<'a> {
    fn from(policy: &'a ClusterGarbageCollectionPolicy) -> Self {
        Self { is_namespaced: false, metadata: &policy.metadata, spec: &policy.spec }
    }
}

impl Written<'_> {
    /// Namespace and name; a policy of a namespace that names none is one of `default`.
    pub fn key(&self) -> NamespacedName {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let namespace = self.metadata.namespace.as_deref();
        let namespace = if self.is_namespaced { namespace.unwrap_or("default") } else { "" };
        NamespacedName::new(namespace, name)
    }
}

fn targets(spec: &GarbageCollectionPolicySpec) -> Result<Box<[TargetRule]>, Invalid> {
    let compile = |(index, target): (usize, &TargetResource)| {
        let at = if spec.target_resource.is_some() {
            "targetResource".to_owned()
        } else {
            format!("targetResources[{index}]")
        };
        TargetRule::compile(target).map_err(|fault| Invalid::Target { at, fault })
    };
    spec.targets().enumerate().map(compile).collect()
}

fn when_text(ttl: Option<&When>, keep: Option<&KeepRule>) -> String {
    match (ttl, keep) {
        (Some(ttl), Some(keep)) => format!("{ttl}, {keep}"),
        (Some(ttl), None) => ttl.to_string(),
        (None, Some(keep)) => keep.to_string(),
        (None, None) => "always".to_owned(),
    }
}

fn reach(written: Written<'_>, key: &NamespacedName) -> Result<Reach, Invalid> {
    let namespaces = written.spec.namespaces.as_ref();
    match (written.is_namespaced, namespaces) {
        (false, _) => Ok(Reach::Cluster(NamespaceRule::compile(namespaces).map_err(Invalid::Namespaces)?)),
        (true, Some(_)) => Err(Invalid::NamespacesInNamespaced),
        (true, None) => Ok(Reach::Namespace(key.namespace.as_str().into())),
    }
}
