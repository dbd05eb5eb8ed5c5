//! How the pods of a node are made to leave it, as a policy or a maintenance says, checked once.

use api::limits::GRACE_PERIOD_SECONDS_MAX;
use api::node_cleanup::{DrainSettings, EscalationRung};
use api::selector::{InvalidSelector, Selector};
use jiff::SignedDuration;
use units::Span;

use super::ladder::{InvalidRung, Ladder};
use crate::limits::{DRAIN_TIMEOUT_SECONDS_MAX, VOLUME_PODS_MAX};

/// Why a node is drained: whether it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Intent {
    /// It is deleted. What only it holds dies with it, so that nothing is gained by refusing.
    Deletion,
    /// It is emptied, and comes back. What would be lost refuses the whole node, unless the settings allow it.
    Maintenance,
}

/// How a pod is asked to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// By an eviction, which disruption budgets may refuse.
    Eviction,
    /// By its deletion, past all budgets.
    Deletion,
}

/// What becomes of the pods of DaemonSets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DaemonSets {
    /// They stay.
    Stay,
    /// They refuse the node.
    Refuse,
    /// They leave after the others, but for those that would come back at once.
    LeaveLast,
}

/// How the pods of a node are made to leave it, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub(super) intent: Intent,
    pub(super) force: bool,
    pub(super) loses_empty_dirs: bool,
    pub(super) daemon_sets: DaemonSets,
    pub(super) by: By,
    /// Absent: what the pod itself asks for.
    pub(super) grace_seconds: Option<i64>,
    /// Absent: nothing was said. 0: for ever.
    pub(super) wait_seconds: Option<i64>,
    pub(super) pods: Selector,
    pub(super) timeout: Option<SignedDuration>,
    pub(super) volume_pods_at_once: usize,
    pub(super) ladder: Ladder,
}

/// Why settings cannot be acted on, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// The selector of pods is not one.
    #[error("drain.podSelector: {0}")]
    Selector(#[from] InvalidSelector),
    /// A number out of its bounds.
    #[error("drain.{field} is {given}: write {expected}")]
    OutOfBounds {
        /// The field.
        field: &'static str,
        /// What was written.
        given: i64,
        /// What to write instead.
        expected: &'static str,
    },
    /// The ladder of the escalation.
    #[error("escalation{0}")]
    Escalation(#[from] InvalidRung),
}

impl Settings {
    /// Checks settings, and fills in what they leave to the intent.
    pub fn compile(settings: &DrainSettings, intent: Intent) -> Result<Self, InvalidSettings> {
        let dies_anyway = intent == Intent::Deletion;
        let timeout = bounded("timeoutSeconds", settings.timeout_seconds, 0, DRAIN_TIMEOUT_SECONDS_MAX)?;
        Ok(Self {
            intent,
            force: settings.force.unwrap_or(dies_anyway),
            loses_empty_dirs: settings.delete_empty_dir_data.unwrap_or(dies_anyway),
            daemon_sets: match (settings.evict_daemon_set_pods, settings.ignore_daemon_sets) {
                (Some(true), _) => DaemonSets::LeaveLast,
                (_, None | Some(true)) => DaemonSets::Stay,
                (_, Some(false)) => DaemonSets::Refuse,
            },
            by: if settings.disable_eviction == Some(true) { By::Deletion } else { By::Eviction },
            grace_seconds: grace(settings.grace_period_seconds)?,
            wait_seconds: bounded(
                "skipWaitForDeleteTimeoutSeconds",
                settings.skip_wait_for_delete_timeout_seconds,
                0,
                GRACE_PERIOD_SECONDS_MAX,
            )?,
            pods: Selector::compile(settings.pod_selector.as_ref())?,
            timeout: timeout.filter(|seconds| *seconds > 0).map(SignedDuration::from_secs),
            volume_pods_at_once: at_once(settings.volume_pods_at_once)?,
            ladder: Ladder::default(),
        })
    }

    /// The same with a ladder that a stuck drain climbs.
    pub fn escalating(self, rungs: &[EscalationRung]) -> Result<Self, InvalidSettings> {
        Ok(Self { ladder: Ladder::compile(rungs)?, ..self })
    }

    /// How long the drain may take, if that was said.
    pub fn timeout(&self) -> Option<Span> {
        let seconds = u64::try_from(self.timeout?.as_secs()).ok()?;
        Some(Span::from_seconds(seconds))
    }

    /// Why the node is drained.
    pub const fn intent(&self) -> Intent {
        self.intent
    }
}

/// Zero would end pods without waiting for them: two of one name could then run at a time.
fn grace(given: Option<i64>) -> Result<Option<i64>, InvalidSettings> {
    match given {
        None | Some(-1) => Ok(None),
        Some(seconds @ 1..=GRACE_PERIOD_SECONDS_MAX) => Ok(Some(seconds)),
        Some(given) => Err(InvalidSettings::OutOfBounds {
            field: "gracePeriodSeconds",
            given,
            expected: "1 to 86400, or -1 for what each pod asks for",
        }),
    }
}

fn bounded(
    field: &'static str,
    given: Option<i64>,
    least: i64,
    most: i64,
) -> Result<Option<i64>, InvalidSettings> {
    match given {
        Some(given) if given < least || given > most => Err(InvalidSettings::OutOfBounds {
            field,
            given,
            expected: if most == DRAIN_TIMEOUT_SECONDS_MAX { "0 to 604800" } else { "0 to 86400" },
        }),
        given => Ok(given),
    }
}

fn at_once(given: Option<u32>) -> Result<usize, InvalidSettings> {
    let pods = given.unwrap_or(1);
    if pods == 0 || pods > VOLUME_PODS_MAX {
        return Err(InvalidSettings::OutOfBounds {
            field: "volumePodsAtOnce",
            given: i64::from(pods),
            expected: "1 to 1000",
        });
    }
    Ok(usize::try_from(pods).unwrap_or(usize::MAX))
}
