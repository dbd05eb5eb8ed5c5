//! `Ready`, `Reconciling` and `Stalled`, summarised once from what stands in a policy's way.

use api::garbage_collection::Action;
use api::limits::FINALIZING_MAX;
use api::{Condition, ConditionStatus, ConditionType, GcReason};
use chassis::Parked;
use gc::{Bucket, Gate, Mode, Policy};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use units::span_text;

use super::super::author::AuthorVerdict;
use super::super::limits::DUE_COUNT_MAX;
use super::super::observe::{Acceptance, PlotState, Unusable};
use super::super::owners::Untold;
use super::super::turns::Denial;
use super::board::{BudgetSeen, Seen};
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
        let parked = seen.plots.iter().find_map(|plot| match plot {
            PlotState::Parked(parked) => Some(parked),
            _ => None,
        });
        if let Some(parked) = parked {
            return parked_situation(parked);
        }
        if let Some(situation) = author_situation(&seen.verdict) {
            return situation;
        }
        let target = policy.target_text();
        if seen.plots.iter().any(|plot| matches!(plot, PlotState::Listing)) || seen.plots.is_empty() {
            let place =
                policy.reach.namespace().map(|namespace| format!(" of {namespace}")).unwrap_or_default();
            return Self::Underway(GcReason::Listing, format!("reading the {target} objects{place}"));
        }
        if seen.plots.iter().any(|plot| matches!(plot, PlotState::Judging)) {
            let message =
                format!("looking at the {target} objects one by one; nothing is deleted until then");
            return Self::Underway(GcReason::Listing, message);
        }
        if seen.verdict == AuthorVerdict::Unchecked {
            let message = format!("checking what the author of the policy may do with {target}");
            return Self::Underway(GcReason::Listing, message);
        }
        match denied(seen, policy) {
            Some(message) => Self::Stuck(GcReason::Forbidden, message),
            None => works(seen, policy),
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

/// The right that the server's last denial spoke of.
fn denied(seen: &Seen, policy: &Policy) -> Option<String> {
    let Denial { verb, message } = seen.denied.as_ref().filter(|_| policy.mode == Mode::Enforce)?;
    let resources = seen.plots.iter().filter_map(|plot| match plot {
        PlotState::Live(resource) => Some(format!("`{}`", resource.name())),
        _ => None,
    });
    let who = policy.acts_as.as_ref().map_or_else(
        || "the service account".to_owned(),
        |account| format!("the service account `{account}`, as which the policy acts,"),
    );
    Some(format!("{who} lacks `{verb}` on {}: {message}", resources.collect::<Vec<_>>().join(" or ")))
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
        Unusable::ServiceAccount(_) | Unusable::Unreadable(_) => GcReason::Invalid,
        Unusable::Protected(_) => GcReason::TargetProtected,
    }
}

fn parked_situation(parked: &Parked) -> Situation {
    let message = parked.to_string();
    match parked {
        Parked::KindNotFound(_) => Situation::Stuck(GcReason::KindNotFound, message),
        Parked::KindNotNamespaced(_) => Situation::Stuck(GcReason::KindNotNamespaced, message),
        Parked::KindNotCollectable { .. } => Situation::Stuck(GcReason::KindNotCollectable, message),
        Parked::SelectorRefused { .. } => Situation::Stuck(GcReason::Invalid, message),
        Parked::Forbidden { .. } => Situation::Stuck(GcReason::Forbidden, message),
        Parked::Unavailable(_) => Situation::Underway(GcReason::Unavailable, message),
    }
}

fn works(seen: &Seen, policy: &Policy) -> Situation {
    let due = due_text(seen.due);
    let (reason, message) = match (policy.mode, policy.action) {
        (Mode::Paused, _) => (GcReason::Paused, "the policy is paused; nothing is deleted".to_owned()),
        (Mode::Plan, Action::Keep) => {
            (GcReason::Planning, "the mode is Plan: nothing is kept from other policies".to_owned())
        }
        (_, Action::Keep) => (GcReason::Keeping, "what it selects is kept from other policies".to_owned()),
        (Mode::Plan, _) => (GcReason::Planning, format!("the mode is Plan, so nothing is deleted: {due}")),
        (Mode::DryRun, _) => (GcReason::DryRun, format!("a dry run, so nothing is deleted: {due}")),
        (Mode::Enforce, _) => return enforces(seen, policy),
    };
    Situation::Works(reason, message)
}

/// How many objects would go, if it were not for the mode.
fn due_text(due: usize) -> String {
    match due {
        0 => "nothing's time is up yet".to_owned(),
        1 => "the time of 1 object is up".to_owned(),
        DUE_COUNT_MAX.. => format!("the time of at least {due} objects is up"),
        _ => format!("the time of {due} objects is up"),
    }
}

fn enforces(seen: &Seen, policy: &Policy) -> Situation {
    if let Some(message) = awaiting_approval(seen, policy) {
        return Situation::Stuck(GcReason::AwaitingApproval, message);
    }
    if let Some(message) = awaiting_owners(seen) {
        return Situation::Underway(GcReason::Listing, message);
    }
    if let Some(message) = budget_exceeded(seen, policy) {
        return Situation::Underway(GcReason::BudgetExceeded, message);
    }
    if seen.finalizing.len() >= FINALIZING_MAX {
        let message = format!(
            "{} objects that the policy has deleted hang on the finalizer that it takes off; it deletes no more until some of them are free",
            seen.finalizing.len()
        );
        return Situation::Underway(GcReason::FinalizersRemain, message);
    }
    match seen.gate {
        Gate::OutsideWindow { opens_at } if seen.due > 0 => Situation::Works(
            GcReason::OutsideWindow,
            format!("{} objects wait for the next window, which opens at {opens_at}", seen.due),
        ),
        _ => Situation::Works(GcReason::Collecting, "objects are deleted when their time is up".to_owned()),
    }
}

fn awaiting_approval(seen: &Seen, policy: &Policy) -> Option<String> {
    if policy.mode.only_reports() || policy.action == Action::Keep || seen.gate != Gate::AwaitingApproval {
        return None;
    }
    let why = match &seen.acceptance {
        Acceptance::Waits { newly, limit, .. } => {
            format!("since it was changed it selects {newly} objects more, and its budget is {limit}")
        }
        _ if policy.is_unselective() => {
            "it takes everything of a kind in all namespaces, for nothing narrows it".to_owned()
        }
        _ => return None,
    };
    Some(format!(
        "{why}; look at it with `groundskeeper plan`, then run `groundskeeper approve`, or narrow the spec"
    ))
}

/// What was changed is not acted on before it is known how many objects it concerns.
fn awaiting_owners(seen: &Seen) -> Option<String> {
    let is_open = matches!(seen.acceptance, Acceptance::Open { .. });
    let unknown = seen.counts.of(Bucket::OwnerUnknown);
    let waits = is_open && unknown > 0 && seen.gate == Gate::AwaitingApproval;
    waits.then(|| {
        format!(
            "since it was changed it may select {unknown} objects more, if their owners are gone; that is being looked for, and nothing is deleted until then or until `groundskeeper approve`"
        )
    })
}

fn budget_exceeded(seen: &Seen, policy: &Policy) -> Option<String> {
    let BudgetSeen { base, spent, exceeded, .. } = seen.budget;
    if !exceeded || policy.mode != Mode::Enforce || seen.due == 0 {
        return None;
    }
    let limit = policy.budget.limit(base);
    let seconds = i64::try_from(policy.budget.window.as_secs()).unwrap_or(i64::MAX);
    Some(format!(
        "{} objects are due, but {spent} of the {limit} deletions that the budget allows within {} (for {base} objects in all) are made; the rest waits until the window has moved on, or until `groundskeeper approve` lets it go",
        seen.due,
        span_text(seconds)
    ))
}

fn permission_denied(seen: &Seen, situation: &Situation) -> Option<(GcReason, String)> {
    let is_about_rights = matches!(
        situation.reason(),
        GcReason::Forbidden | GcReason::AuthorForbidden | GcReason::AuthorUnknown
    );
    let owners =
        || Some((GcReason::Forbidden, seen.untold.as_ref().filter(|untold| untold.is_denied)?.to_string()));
    is_about_rights.then(|| (situation.reason(), situation.message().to_owned())).or_else(owners)
}

fn unresolvable(seen: &Seen) -> Option<String> {
    let Some(first) = &seen.unresolvable else {
        return seen.untold.as_ref().filter(|untold| !untold.is_denied).map(Untold::to_string);
    };
    let count = seen.counts.of(Bucket::Unresolvable);
    let objects = if count == 1 { "object" } else { "objects" };
    Some(format!("of {count} {objects} it cannot be told when their time is up; they stay. One is {first}"))
}

fn held(seen: &Seen) -> Option<String> {
    let first = seen.held.as_ref()?;
    let count = seen.counts.of(Bucket::Held);
    let objects = if count == 1 { "object is" } else { "objects are" };
    Some(format!(
        "{count} {objects} being deleted, and held by finalizers that the policy does not take off. One is {first}"
    ))
}

/// All conditions; the time of the last change is kept where nothing has changed.
pub(super) fn conditions(
    seen: &Seen,
    situation: &Situation,
    before: &[Condition],
    now: Timestamp,
) -> Vec<Condition> {
    let said = || Some((situation.reason(), situation.message().to_owned()));
    let policy = seen.spec.as_ref().ok();
    let is_live = !matches!(situation, Situation::Underway(GcReason::Listing, _));
    let of = |type_: ConditionType| -> (bool, Option<(GcReason, String)>) {
        let while_it_lasts = |said: Option<(GcReason, String)>| (said.is_some(), said);
        match (type_, situation) {
            (ConditionType::Ready, Situation::Works(..))
            | (ConditionType::Reconciling, Situation::Underway(..))
            | (ConditionType::Stalled, Situation::Stuck(..)) => (true, said()),
            (ConditionType::Ready, _) => (false, said()),
            (ConditionType::Reconciling | ConditionType::Stalled, _) => (false, None),
            (ConditionType::PermissionDenied, _) => while_it_lasts(permission_denied(seen, situation)),
            (ConditionType::BudgetExceeded, _) => {
                let message = policy.and_then(|policy| budget_exceeded(seen, policy));
                while_it_lasts(message.map(|message| (GcReason::BudgetExceeded, message)))
            }
            (ConditionType::AwaitingApproval, _) => {
                let message = policy.filter(|_| is_live).and_then(|policy| awaiting_approval(seen, policy));
                while_it_lasts(message.map(|message| (GcReason::AwaitingApproval, message)))
            }
            (ConditionType::Unresolvable, _) => {
                while_it_lasts(unresolvable(seen).map(|message| (GcReason::ObjectsUnresolvable, message)))
            }
            (ConditionType::HeldByFinalizers, _) => {
                while_it_lasts(held(seen).map(|message| (GcReason::FinalizersRemain, message)))
            }
        }
    };
    ConditionType::ALL
        .into_iter()
        .map(|type_| {
            let (holds, said) = of(type_);
            let (reason, message) = said.unwrap_or((GcReason::AsExpected, String::new()));
            condition(type_, (holds, reason, &message), (before, seen.generation), now)
        })
        .collect()
}

fn condition(
    type_: ConditionType,
    (holds, reason, message): (bool, GcReason, &str),
    (before, generation): (&[Condition], Option<i64>),
    now: Timestamp,
) -> Condition {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::garbage_collection::Finalizing;
    use api::{GarbageCollectionPolicy, Rails};
    use gc::Counts;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// What is seen of a policy that works, with changes to its spec.
    fn seen(generation: i64, change: impl FnOnce(&mut Value)) -> Seen {
        let mut policy = json!({
            "apiVersion": "groundskeeper.dev/v1alpha1", "kind": "GarbageCollectionPolicy",
            "metadata": {"name": "sweep", "namespace": "team"},
            "spec": {"targetResource": {"apiVersion": "v1", "kind": "Pod"}, "ttl": {"after": "1h"}, "mode": "Enforce"},
        });
        change(&mut policy["spec"]);
        let policy: GarbageCollectionPolicy = serde_json::from_value(policy).unwrap();
        let resource = chassis::Resource {
            kind: units::GroupVersionKind { api_version: "v1".parse().unwrap(), kind: "Pod".to_owned() },
            plural: "pods".to_owned(),
            namespaced: true,
            verbs: Vec::new(),
        };
        Seen {
            epoch: None,
            uid: units::Uid::from("u"),
            generation: Some(generation),
            spec: Ok(Arc::new(Policy::compile(&policy, &Rails::new("grounds")).unwrap())),
            plots: vec![PlotState::Live(Arc::new(resource))],
            verdict: AuthorVerdict::Allowed,
            acceptance: Acceptance::Open { before: None },
            gate: Gate::Open,
            counts: Counts::default(),
            targets: Vec::new(),
            next_expiry: None,
            due: 0,
            unresolvable: None,
            budget: BudgetSeen { base: 0, spent: 0, reserved: 0, exceeded: false },
            lateness: None,
            listed_at: None,
            denied: None,
            finalizing: Vec::new(),
            held: None,
            untold: None,
            is_last: false,
        }
    }

    fn denial(verb: &'static str) -> Denial {
        Denial { verb, message: "no".to_owned() }
    }

    #[test]
    fn what_was_denied_is_named_by_its_verb() {
        for verb in ["delete", "patch"] {
            let seen = Seen { denied: Some(denial(verb)), ..seen(1, |_| {}) };
            let said = Situation::of(&seen).message().to_owned();
            assert!(said.contains(&format!("lacks `{verb}` on `pods`")), "{said}");
        }
    }

    fn reasons(seen: &Seen) -> Vec<(String, ConditionStatus, String)> {
        let conditions = conditions(seen, &Situation::of(seen), &[], second(7));
        conditions.into_iter().map(|c| (c.type_, c.status, c.reason)).collect()
    }

    /// The conditions that are true, with their reasons.
    fn true_ones(seen: &Seen) -> Vec<String> {
        let holds =
            |(type_, status, reason)| (status == ConditionStatus::True).then(|| format!("{type_}={reason}"));
        reasons(seen).into_iter().filter_map(holds).collect()
    }

    #[test]
    fn all_conditions_are_always_there() {
        let names: Vec<_> = reasons(&seen(1, |_| {})).into_iter().map(|(type_, ..)| type_).collect();
        assert_eq!(names, ConditionType::ALL.map(ConditionType::name));
    }

    #[test]
    fn what_stands_in_the_way_has_a_condition_of_its_own() {
        let plain = || seen(1, |_| {});
        let budget = BudgetSeen { base: 10, spent: 50, reserved: 50, exceeded: true };
        let missing = super::super::super::author::Missing {
            user: "ada".to_owned(),
            verbs: vec!["delete"],
            resource: "pods".to_owned(),
            namespace: "team".to_owned(),
        };
        let waits = Acceptance::Waits { newly: 70, limit: 50, before: None };
        let table = [
            (plain(), vec!["Ready=Collecting"]),
            (seen(1, |spec| spec["mode"] = json!("Plan")), vec!["Ready=Planning"]),
            (seen(1, |spec| spec["paused"] = json!(true)), vec!["Ready=Paused"]),
            (seen(1, |spec| spec["action"] = json!("Keep")), vec!["Ready=Keeping"]),
            (
                Seen { due: 3, budget, ..plain() },
                vec!["Reconciling=BudgetExceeded", "BudgetExceeded=BudgetExceeded"],
            ),
            (
                Seen { acceptance: waits, gate: Gate::AwaitingApproval, ..plain() },
                vec!["Stalled=AwaitingApproval", "AwaitingApproval=AwaitingApproval"],
            ),
            (
                Seen { verdict: AuthorVerdict::Forbidden(missing), ..plain() },
                vec!["Stalled=AuthorForbidden", "PermissionDenied=AuthorForbidden"],
            ),
            (
                Seen { denied: Some(denial("delete")), ..plain() },
                vec!["Stalled=Forbidden", "PermissionDenied=Forbidden"],
            ),
            (
                Seen { untold: Some(Untold::of_test(true)), ..plain() },
                vec!["Ready=Collecting", "PermissionDenied=Forbidden"],
            ),
            (
                Seen { untold: Some(Untold::of_test(false)), ..plain() },
                vec!["Ready=Collecting", "Unresolvable=ObjectsUnresolvable"],
            ),
            (
                Seen { due: 2, gate: Gate::OutsideWindow { opens_at: second(9) }, ..plain() },
                vec!["Ready=OutsideWindow"],
            ),
            (
                Seen { unresolvable: Some("Pod team/a: it is odd".to_owned()), ..plain() },
                vec!["Ready=Collecting", "Unresolvable=ObjectsUnresolvable"],
            ),
            (
                Seen { held: Some("Pod team/a: it is odd".to_owned()), ..plain() },
                vec!["Ready=Collecting", "HeldByFinalizers=FinalizersRemain"],
            ),
            (
                Seen { finalizing: vec![Finalizing::default(); FINALIZING_MAX], ..plain() },
                vec!["Reconciling=FinalizersRemain"],
            ),
            (Seen { plots: vec![PlotState::Listing], ..plain() }, vec!["Reconciling=Listing"]),
            (
                Seen {
                    gate: Gate::AwaitingApproval,
                    counts: Counts::default().with(Bucket::OwnerUnknown, 3),
                    ..plain()
                },
                vec!["Reconciling=Listing"],
            ),
            (Seen { plots: vec![PlotState::Judging], ..plain() }, vec!["Reconciling=Listing"]),
        ];
        for (seen, expected) in table {
            assert_eq!(true_ones(&seen), expected);
        }
    }

    #[test]
    fn the_time_of_the_last_change_moves_only_with_the_status() {
        let at = |seen: &Seen, before: &[Condition], at| {
            conditions(seen, &Situation::of(seen), before, second(at))
        };
        let works = at(&seen(1, |_| {}), &[], 10);
        let paused = at(&seen(2, |spec| spec["paused"] = json!(true)), &works, 20);
        assert_eq!(paused[0].last_transition_time, Time(second(10)));
        assert_eq!((paused[0].reason.as_str(), paused[0].observed_generation), ("Paused", Some(2)));
        let stuck = at(&Seen { denied: Some(denial("delete")), ..seen(3, |_| {}) }, &paused, 30);
        assert_eq!(stuck[0].last_transition_time, Time(second(30)));
        assert_eq!(stuck[1].last_transition_time, Time(second(10)));
    }
}
