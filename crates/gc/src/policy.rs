//! A policy, compiled: everything checked once, so that judging an object cannot fail.

use api::garbage_collection_policy::{Behavior, GarbageCollectionPolicy, PropagationPolicy};
use api::limits::{DELETIONS_PER_SECOND_MAX, GRACE_PERIOD_SECONDS_MAX, TTL_SECONDS_MAX};
use api::protection::published_names;
use api::{GcReason, Rail, Rails};
use jiff::{SignedDuration, Timestamp};
use units::{GroupVersionKind, InvalidApiVersion, KIND_BYTES_MAX, NamespacedName};

use crate::selector::{InvalidSelector, Selector};

/// A policy that can be acted on.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Which policy it is. Its namespace is that of its objects.
    pub key: NamespacedName,
    /// The generation of the spec that was compiled.
    pub generation: Option<i64>,
    /// The kind of its objects.
    pub target: GroupVersionKind,
    /// What is done with what is due.
    pub mode: Mode,
    /// The most that it deletes in a second.
    pub deletions_per_second_max: u32,
    /// What becomes of what its objects own.
    pub propagation: PropagationPolicy,
    /// Seconds that a pod gets to end; none leaves it to the object.
    pub grace_period_seconds: Option<i64>,
    /// The rail that keeps everything that it targets, if one does.
    pub rail: Option<Rail>,
    /// Objects of the kind that are kept by their name.
    pub(crate) published: &'static [&'static str],
    pub(crate) selector: Selector,
    pub(crate) ttl: SignedDuration,
}

/// What is done with objects that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are deleted.
    Enforce,
    /// They are reported.
    DryRun,
    /// They wait.
    Paused,
}

/// Why a policy cannot be acted on, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The `apiVersion` is not one.
    #[error("targetResource.apiVersion: {0}")]
    ApiVersion(#[from] InvalidApiVersion),
    /// The `kind` is not one.
    #[error("targetResource.kind: `{given}` is not a kind: write a name such as Job or ConfigMap")]
    Kind {
        /// What was written, cut to a readable length.
        given: String,
    },
    /// A namespaced policy reaches into another namespace.
    #[error(
        "targetResource.namespace is `{given}`, but a policy collects only in its own namespace, `{own}`: leave the field out, or create the policy in `{given}`"
    )]
    ForeignNamespace {
        /// What was written.
        given: String,
        /// The policy's own.
        own: String,
    },
    /// The selector is not one.
    #[error("targetResource.{0}")]
    Selector(#[from] InvalidSelector),
    /// A number out of its bounds.
    #[error("{field} is {given}: write a number from {least} to {most}")]
    OutOfBounds {
        /// The field's path below `spec`.
        field: &'static str,
        /// What was written.
        given: i64,
        /// The least that is allowed.
        least: i64,
        /// The most that is allowed.
        most: i64,
    },
}

impl Invalid {
    /// The reason of the condition that reports it.
    pub const fn reason(&self) -> GcReason {
        match self {
            Self::ForeignNamespace { .. } => GcReason::ForeignNamespace,
            _ => GcReason::Invalid,
        }
    }
}

impl Policy {
    /// Seconds from an object's creation to the end of its time.
    pub fn seconds_after_creation(&self) -> i64 {
        self.ttl.as_secs()
    }

    /// Which objects it selects by their labels.
    pub const fn selector(&self) -> &Selector {
        &self.selector
    }

    /// Checks and compiles a policy.
    ///
    /// The API server has checked most of this by the schema already; a file that `plan` reads has not been checked,
    /// and a schema may be older or newer than this program.
    pub fn compile(policy: &GarbageCollectionPolicy, rails: &Rails) -> Result<Self, Invalid> {
        let key = NamespacedName::new(
            policy.metadata.namespace.as_deref().unwrap_or("default"),
            policy.metadata.name.as_deref().unwrap_or_default(),
        );
        let target = &policy.spec.target_resource;
        let kind =
            GroupVersionKind { api_version: target.api_version.parse()?, kind: checked_kind(&target.kind)? };
        if let Some(given) = target.namespace.as_ref().filter(|&given| *given != key.namespace) {
            return Err(Invalid::ForeignNamespace { given: given.clone(), own: key.namespace });
        }
        let behavior = &policy.spec.behavior;
        check_behavior(behavior)?;
        let ttl = policy.spec.ttl.seconds_after_creation;
        within("ttl.secondsAfterCreation", ttl, 1, TTL_SECONDS_MAX)?;
        Ok(Self {
            generation: policy.metadata.generation,
            mode: Mode::of(policy.spec.paused, behavior.dry_run),
            deletions_per_second_max: behavior.max_deletions_per_second,
            propagation: behavior.propagation_policy,
            grace_period_seconds: behavior.grace_period_seconds,
            rail: rails.keep(&kind, &key.namespace),
            published: published_names(&kind),
            selector: Selector::compile(target.label_selector.as_ref())?,
            ttl: SignedDuration::from_secs(ttl),
            target: kind,
            key,
        })
    }

    /// When an object that was created at `created` falls due.
    pub(crate) fn expires_at(&self, created: Timestamp) -> Timestamp {
        created.checked_add(self.ttl).unwrap_or(Timestamp::MAX)
    }
}

impl Mode {
    fn of(paused: bool, dry_run: bool) -> Self {
        match (paused, dry_run) {
            (true, _) => Self::Paused,
            (false, true) => Self::DryRun,
            (false, false) => Self::Enforce,
        }
    }
}

fn checked_kind(kind: &str) -> Result<String, Invalid> {
    let well_formed = kind.len() <= KIND_BYTES_MAX
        && kind.starts_with(|c: char| c.is_ascii_alphabetic())
        && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if well_formed {
        Ok(kind.to_owned())
    } else {
        Err(Invalid::Kind { given: kind.chars().take(80).collect() })
    }
}

fn check_behavior(behavior: &Behavior) -> Result<(), Invalid> {
    let rate = behavior.max_deletions_per_second;
    within("behavior.maxDeletionsPerSecond", i64::from(rate), 1, i64::from(DELETIONS_PER_SECOND_MAX))?;
    let grace = behavior.grace_period_seconds.unwrap_or(0);
    within("behavior.gracePeriodSeconds", grace, 0, GRACE_PERIOD_SECONDS_MAX)
}

fn within(field: &'static str, given: i64, least: i64, most: i64) -> Result<(), Invalid> {
    if (least..=most).contains(&given) {
        Ok(())
    } else {
        Err(Invalid::OutOfBounds { field, given, least, most })
    }
}
