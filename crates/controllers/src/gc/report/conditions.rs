//! `Ready`, `Reconciling` and `Stalled`, summarised once from what stands in a policy's way.

use api::{Condition, ConditionStatus, ConditionType, GcReason};
use chassis::Parked;
use gc::Mode;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::author::AuthorVerdict;
use super::super::limits::DRY_RUN_COUNT_MAX;
use super::super::observe::{PlotState, Unusable};
use super::board::Seen;
use super::whole_second;

/// How a policy is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Situation {
    /// It does what its spec says.
    Works(GcReason, String),
    /// It will do so by itself.
    Underway(GcReason, String),
    /// It will not, until somebody changes something.
    Stuck(GcReason, String),
}

impl Situation {
    /// How a policy is, given what is seen of it.
    pub(super) fn of(seen: &Seen) -> Self {
        let policy = match &seen.spec {
            Ok(policy) => policy,
            Err(unusable) => return Self::Stuck(reason_of(unusable), unusable.to_string()),
        };
        if !matches!(seen.plot, Some(PlotState::Parked(_)))
            && let Some(situation) = author_situation(&seen.verdict)
        {
            return situation;
        }
        match &seen.plot {
            None | Some(PlotState::Listing) => Self::Underway(
                GcReason::Listing,
                format!("reading the {} objects of {}", policy.target, policy.key.namespace),
            ),
            Some(PlotState::Parked(parked)) => parked_situation(parked),
            Some(PlotState::Live(_)) if seen.verdict == AuthorVerdict::Unchecked => Self::Underway(
                GcReason::Listing,
                format!("checking what the author of the policy may do with {}", policy.target),
            ),
            Some(PlotState::Live(resource)) => {
                match seen.denied.as_ref().filter(|_| policy.mode == Mode::Enforce) {
                    Some(message) => Self::Stuck(
                        GcReason::Forbidden,
                        format!("the service account lacks `delete` on `{}`: {message}", resource.name()),
                    ),
                    None => works(policy.mode, seen.due),
                }
            }
        }
    }

    /// The reason of `Ready`.
    pub(super) const fn reason(&self) -> GcReason {
        match self {
            Self::Works(reason, _) | Self::Underway(reason, _) | Self::Stuck(reason, _) => *reason,
        }
    }

    fn message(&self) -> &str {
        match self {
            Self::Works(_, message) | Self::Underway(_, message) | Self::Stuck(_, message) => message,
        }
    }
}

/// What stands in a policy's way because of its author.
fn author_situation(verdict: &AuthorVerdict) -> Option<Situation> {
    match verdict {
        AuthorVerdict::Unchecked | AuthorVerdict::Allowed => None,
        AuthorVerdict::Unknown(unknown) => {
            Some(Situation::Stuck(GcReason::AuthorUnknown, unknown.to_string()))
        }
        AuthorVerdict::Forbidden(missing) => {
            Some(Situation::Stuck(GcReason::AuthorForbidden, missing.to_string()))
        }
        AuthorVerdict::Unavailable(why) => Some(Situation::Underway(GcReason::Unavailable, why.clone())),
    }
}

const fn reason_of(unusable: &Unusable) -> GcReason {
    match unusable {
        Unusable::Invalid(invalid) => invalid.reason(),
        Unusable::Unreadable(_) => GcReason::Invalid,
        Unusable::Protected(_) => GcReason::TargetProtected,
    }
}

fn parked_situation(parked: &Parked) -> Situation {
    let message = parked.to_string();
    match parked {
        Parked::KindNotFound(_) => Situation::Stuck(GcReason::KindNotFound, message),
        Parked::KindNotNamespaced(_) => Situation::Stuck(GcReason::KindNotNamespaced, message),
        Parked::KindNotCollectable { .. } => Situation::Stuck(GcReason::KindNotCollectable, message),
        Parked::Forbidden { .. } => Situation::Stuck(GcReason::Forbidden, message),
        Parked::Unavailable(_) => Situation::Underway(GcReason::Unavailable, message),
    }
}

fn works(mode: Mode, due: usize) -> Situation {
    match mode {
        Mode::Enforce => {
            Situation::Works(GcReason::Collecting, "objects are deleted when their time is up".to_owned())
        }
        Mode::Paused => {
            Situation::Works(GcReason::Paused, "the policy is paused; nothing is deleted".to_owned())
        }
        Mode::DryRun => {
            let at_least = if due >= DRY_RUN_COUNT_MAX { "at least " } else { "" };
            let message =
                format!("dry run: the time of {at_least}{due} objects is up; they would be deleted");
            Situation::Works(GcReason::DryRun, message)
        }
    }
}

/// The three conditions; the time of the last change is kept where nothing has changed.
pub(super) fn conditions(
    situation: &Situation,
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let said = (situation.reason(), situation.message());
    let unsaid = (GcReason::AsExpected, "");
    let table = match situation {
        Situation::Works(..) => [(true, said), (false, unsaid), (false, unsaid)],
        Situation::Underway(..) => [(false, said), (true, said), (false, unsaid)],
        Situation::Stuck(..) => [(false, said), (false, unsaid), (true, said)],
    };
    let types = [ConditionType::Ready, ConditionType::Reconciling, ConditionType::Stalled];
    types
        .into_iter()
        .zip(table)
        .map(|(type_, (holds, (reason, message)))| {
            let status = ConditionStatus::from(holds);
            let unchanged = before.iter().find(|known| known.type_ == type_.name() && known.status == status);
            let since = unchanged.map(|known| known.last_transition_time.clone());
            Condition {
                type_: type_.name().to_owned(),
                status,
                reason: reason.name().to_owned(),
                message: message.chars().take(api::limits::CONDITION_MESSAGE_CHARS_MAX).collect(),
                last_transition_time: since.or_else(|| whole_second(now)).unwrap_or(Time(now)),
                observed_generation: generation,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_type(conditions: &[Condition]) -> Vec<(&str, ConditionStatus, &str)> {
        conditions.iter().map(|c| (c.type_.as_str(), c.status, c.reason.as_str())).collect()
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_three_conditions_are_always_there_and_agree() {
        use ConditionStatus::{False, True};
        let message = String::new;
        let table = [
            (Situation::Works(GcReason::Collecting, message()), [True, False, False]),
            (Situation::Underway(GcReason::Listing, message()), [False, True, False]),
            (Situation::Stuck(GcReason::KindNotFound, message()), [False, False, True]),
        ];
        for (situation, expected) in table {
            let found = conditions(&situation, &[], Some(3), second(7));
            let found: Vec<_> = by_type(&found).iter().map(|(_, status, _)| *status).collect();
            assert_eq!(found, expected, "{situation:?}");
        }
    }

    #[test]
    fn the_time_of_the_last_change_moves_only_with_the_status() {
        let works = conditions(&works(Mode::Enforce, 0), &[], Some(1), second(10));
        let paused = conditions(&works_paused(), &works, Some(2), second(20));
        assert_eq!(paused[0].last_transition_time, Time(second(10)));
        assert_eq!((paused[0].reason.as_str(), paused[0].observed_generation), ("Paused", Some(2)));
        let stuck =
            conditions(&Situation::Stuck(GcReason::Invalid, String::new()), &paused, Some(3), second(30));
        assert_eq!(stuck[0].last_transition_time, Time(second(30)));
        assert_eq!(stuck[1].last_transition_time, Time(second(10)));
    }

    fn works_paused() -> Situation {
        works(Mode::Paused, 0)
    }
}
