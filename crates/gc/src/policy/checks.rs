//! What has to hold of a spec besides its parts, and the small parts that need no file of their own.

use std::time::Duration;

use api::garbage_collection::{Action, Day, GarbageCollectionPolicySpec, Schedule, Ttl};
use api::limits::{
    BATCH_SIZE_MAX, DELETIONS_PER_SECOND_MAX, GRACE_PERIOD_SECONDS_MAX, PRIORITY_MAX, TTL_SECONDS_MAX,
};
use jiff::SignedDuration;
use units::{FieldPath, NamespacedName, Window, Windows, parse_duration, span_text};

use super::Reach;
use crate::finalizer::{Finalizer, InvalidFinalizer};
use crate::invalid::Invalid;
use crate::keep::KeepRule;
use crate::limits::{
    EVALUATION_INTERVAL_DEFAULT, EVALUATION_INTERVAL_MAX, EVALUATION_INTERVAL_MIN, KEPT_BY_TIME_MAX,
    NOTICE_MAX, NOTICE_MIN, TARGETS_MAX,
};

pub(super) fn check(spec: &GarbageCollectionPolicySpec, reach: &Reach) -> Result<(), Invalid> {
    if spec.target_resource.is_some() != spec.target_resources.is_empty() {
        return Err(Invalid::Targets);
    }
    at_most("targetResources", spec.target_resources.len(), TARGETS_MAX)?;
    for target in spec.targets() {
        match (&target.namespace, reach) {
            (Some(given), Reach::Namespace(own)) if **given != **own => {
                return Err(Invalid::ForeignNamespace { given: given.clone(), own: own.to_string() });
            }
            (Some(given), Reach::Cluster(_)) => {
                return Err(Invalid::NamespaceInCluster { given: given.clone() });
            }
            _ => {}
        }
    }
    let keeps = spec.action == Action::Keep;
    if !keeps && spec.ttl.is_none() && spec.keep.is_none() {
        return Err(Invalid::NoTime);
    }
    if keeps && (spec.keep.is_some() || spec.notice.is_some() || spec.budget.is_some()) {
        return Err(Invalid::KeepDeletes);
    }
    let behavior = &spec.behavior;
    let rate = i64::from(behavior.max_deletions_per_second);
    within("behavior.maxDeletionsPerSecond", rate, 1, i64::from(DELETIONS_PER_SECOND_MAX))?;
    within("behavior.batchSize", i64::from(behavior.batch_size), 1, i64::from(BATCH_SIZE_MAX))?;
    let grace = behavior.grace_period_seconds.unwrap_or(0);
    within("behavior.gracePeriodSeconds", grace, 0, GRACE_PERIOD_SECONDS_MAX)?;
    within("priority", i64::from(spec.priority), i64::from(-PRIORITY_MAX), i64::from(PRIORITY_MAX))
}

/// Before each deletion all that is kept is judged anew, if that depends on the time.
pub(super) fn kept_by_time(keep: Option<&KeepRule>, uses_now: bool) -> Result<(), Invalid> {
    if keep.is_none_or(|keep| keep.count <= KEPT_BY_TIME_MAX) || !uses_now {
        return Ok(());
    }
    let problem =
        format!("where an expression asks for `now`, newest and oldest are at most {KEPT_BY_TIME_MAX}");
    Err(Invalid::Field { field: "keep", problem })
}

/// A spec that has the same say as this one in what others do, on nothing yet, and that deletes nothing.
pub(super) fn silent(spec: &GarbageCollectionPolicySpec) -> GarbageCollectionPolicySpec {
    let never = || Ttl { seconds_after_creation: Some(TTL_SECONDS_MAX), ..Ttl::default() };
    GarbageCollectionPolicySpec {
        action: spec.action,
        ttl: (spec.action == Action::Delete).then(never),
        priority: spec.priority.clamp(-PRIORITY_MAX, PRIORITY_MAX),
        paused: true,
        ..GarbageCollectionPolicySpec::default()
    }
}

/// The finalizer that the policy takes off what it has deleted.
pub(super) fn finalizer(spec: &GarbageCollectionPolicySpec) -> Result<Option<Finalizer>, Invalid> {
    let Some(given) = &spec.behavior.finalizer else { return Ok(None) };
    let problem = |problem: String| Invalid::Field { field: "behavior.finalizer", problem };
    if spec.action == Action::Keep {
        return Err(problem("a policy with `action: Keep` deletes nothing: leave it out".to_owned()));
    }
    given.parse().map(Some).map_err(|error: InvalidFinalizer| problem(error.to_string()))
}

pub(super) fn notice(spec: &GarbageCollectionPolicySpec) -> Result<Option<SignedDuration>, Invalid> {
    let Some(text) = &spec.notice else { return Ok(None) };
    let span = between("notice", text, NOTICE_MIN, NOTICE_MAX)?;
    Ok(SignedDuration::try_from(span).ok())
}

pub(super) fn evaluation_interval(spec: &GarbageCollectionPolicySpec) -> Result<Duration, Invalid> {
    spec.evaluation_interval.as_ref().map_or(Ok(EVALUATION_INTERVAL_DEFAULT), |text| {
        between("evaluationInterval", text, EVALUATION_INTERVAL_MIN, EVALUATION_INTERVAL_MAX)
    })
}

/// The service account that a policy acts as: of its own namespace, or of any for a policy of the cluster.
pub(super) fn service_account(
    spec: &GarbageCollectionPolicySpec,
    key: &NamespacedName,
) -> Result<Option<NamespacedName>, Invalid> {
    let Some(given) = &spec.service_account_name else { return Ok(None) };
    let problem = |problem: &str| Invalid::Field { field: "serviceAccountName", problem: problem.to_owned() };
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() <= 253
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
    };
    let (namespace, name) = match (given.split_once('/'), key.namespace.as_str()) {
        (None, "") => return Err(problem("write namespace/name, for the policy itself has no namespace")),
        (None, own) => (own, given.as_str()),
        (Some(_), own) if !own.is_empty() => {
            return Err(problem(
                "write the name alone: it is a service account of the policy's own namespace",
            ));
        }
        (Some((namespace, name)), _) => (namespace, name),
    };
    if is_name(namespace) && is_name(name) {
        Ok(Some(NamespacedName::new(namespace, name)))
    } else {
        Err(problem("a name has lower-case letters, digits, dashes and dots"))
    }
}

pub(super) fn windows(schedule: &Schedule) -> Result<Windows, Invalid> {
    let problem = |problem: String| Invalid::Field { field: "schedule", problem };
    let zone = schedule.time_zone.as_deref().unwrap_or("UTC");
    let window = |window: &api::garbage_collection::Window| {
        let days: Vec<_> = window.days.iter().map(|day| day_name(*day)).collect();
        Window::new(&days, &window.from, &window.to).map_err(|error| problem(error.to_string()))
    };
    let windows = schedule.windows.iter().map(window).collect::<Result<Vec<_>, _>>()?;
    Windows::new(zone, windows).map_err(|error| problem(error.to_string()))
}

const fn day_name(day: Day) -> &'static str {
    match day {
        Day::Mon => "Mon",
        Day::Tue => "Tue",
        Day::Wed => "Wed",
        Day::Thu => "Thu",
        Day::Fri => "Fri",
        Day::Sat => "Sat",
        Day::Sun => "Sun",
    }
}

fn at_most(field: &'static str, given: usize, most: usize) -> Result<(), Invalid> {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    within(field, count(given), 0, count(most))
}

/// A number within its bounds.
pub(crate) fn within(field: &'static str, given: i64, least: i64, most: i64) -> Result<(), Invalid> {
    if (least..=most).contains(&given) {
        Ok(())
    } else {
        Err(Invalid::OutOfBounds { field, given, least, most })
    }
}

/// A span of time within its bounds.
pub(crate) fn between(
    field: &'static str,
    text: &str,
    least: Duration,
    most: Duration,
) -> Result<Duration, Invalid> {
    let problem = |problem: String| Invalid::Field { field, problem };
    let span = parse_duration(text).map_err(|error| problem(error.to_string()))?;
    let span = Duration::from(span);
    if (least..=most).contains(&span) {
        return Ok(span);
    }
    let text_of = |span: Duration| span_text(i64::try_from(span.as_secs()).unwrap_or(i64::MAX));
    Err(problem(format!(
        "`{text}` is out of bounds: write a span from {} to {}",
        text_of(least),
        text_of(most)
    )))
}

/// The path of a field.
pub(crate) fn path(field: &'static str, text: &str) -> Result<FieldPath, Invalid> {
    text.parse()
        .map_err(|error: units::InvalidFieldPath| Invalid::Field { field, problem: error.to_string() })
}
