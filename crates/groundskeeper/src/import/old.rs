//! What zen-gc made of an object.
//!
//! Written from what its code does, faults included, so that it can be laid beside what our engine makes of the object.
//! Shares nothing with the engine.

use api::garbage_collection::{LabelOperator, LabelSelector};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::zen::{Line, ZenConditions, ZenField, ZenKey, ZenPolicy, ZenTarget, ZenTtl};

/// Whether zen-gc would delete an object of the policy's kind at `now`. One without a creation time counts as kept.
pub(super) fn would_delete(policy: &ZenPolicy, line: Line, object: &Value, now: Timestamp) -> bool {
    let spec = &policy.spec;
    line != Line::Nobody
        && selects(&spec.target_resource, object)
        && spec.conditions.as_ref().is_none_or(|conditions| meets(conditions, object))
        && spec.ttl.as_ref().and_then(|ttl| expiry(ttl, line, object)).is_some_and(|expiry| now > expiry)
}

fn selects(target: &ZenTarget, object: &Value) -> bool {
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let fields = target.field_selector.iter().flat_map(|selector| selector.match_fields.iter().flatten());
    let has_namespace =
        matches!(namespace, "" | "*") || text(object, "metadata.namespace") == Some(namespace);
    has_namespace
        && target.label_selector.as_ref().is_none_or(|selector| has_labels(selector, object))
        && fields.into_iter().all(|(path, value)| text(object, path) == Some(value))
}

fn has_labels(selector: &Value, object: &Value) -> bool {
    let Ok(selector) = serde_json::from_value::<LabelSelector>(selector.clone()) else { return false };
    let label = |key: &str| of_metadata(object, "labels", key);
    selector.match_labels.iter().all(|(key, value)| label(key) == Some(value))
        && selector.match_expressions.iter().all(|term| {
            let is_one = label(&term.key).is_some_and(|value| term.values.iter().any(|one| one == value));
            match term.operator {
                LabelOperator::In => is_one,
                LabelOperator::NotIn => !is_one,
                LabelOperator::Exists => label(&term.key).is_some(),
                LabelOperator::DoesNotExist => label(&term.key).is_none(),
            }
        })
}

fn meets(conditions: &ZenConditions, object: &Value) -> bool {
    let ZenConditions { phase, has_labels, has_annotations, and, .. } = conditions;
    let phases = phase.as_deref().unwrap_or_default();
    let is_in_phase = text(object, "status.phase").is_some_and(|phase| phases.iter().any(|one| one == phase));
    (phases.is_empty() || is_in_phase)
        && has_labels.iter().flatten().all(|label| meets_label(label, object))
        && has_annotations.iter().flatten().all(|annotation| {
            let value = annotation.value.as_deref().unwrap_or_default();
            of_metadata(object, "annotations", &annotation.key) == Some(value)
        })
        && and.iter().flatten().all(|condition| meets_field(condition, object))
}

fn meets_label(condition: &ZenKey, object: &Value) -> bool {
    let found = of_metadata(object, "labels", &condition.key);
    let value = condition.value.as_deref().unwrap_or_default();
    match condition.operator.as_deref().unwrap_or_default() {
        "" | "Equals" => found == Some(value),
        "Exists" => found.is_some(),
        "In" => !value.is_empty() && found == Some(value),
        "NotIn" => found != Some(value),
        _ => false,
    }
}

fn meets_field(condition: &ZenField, object: &Value) -> bool {
    let Some(found) = text(object, &condition.field_path) else { return false };
    let value = condition.value.as_deref().unwrap_or_default();
    let is_one = condition.values.iter().flatten().any(|one| one == found);
    match condition.operator.as_deref().unwrap_or_default() {
        "Equals" => found == value,
        "NotEquals" => found != value,
        "In" => is_one,
        "NotIn" => !is_one,
        _ => false,
    }
}

fn expiry(ttl: &ZenTtl, line: Line, object: &Value) -> Option<Timestamp> {
    let after = |moment: Timestamp, seconds: i64| moment.checked_add(SignedDuration::from_secs(seconds)).ok();
    let created: Timestamp = text(object, "metadata.creationTimestamp")?.parse().ok()?;
    if let Some(seconds) = ttl.seconds_after_creation {
        return after(created, seconds);
    }
    if let Some(path) = ttl.field_path.as_deref().filter(|path| !path.is_empty()) {
        let seconds = match at(object, &keys(path, line)) {
            Some(Value::Number(number)) if number.is_i64() => number.as_i64(),
            Some(Value::String(word)) => {
                let mappings = ttl.mappings.as_ref().filter(|mappings| !mappings.is_empty())?;
                mappings.get(word).copied().or(ttl.default)
            }
            _ => ttl.default,
        };
        return after(created, seconds?);
    }
    let (path, seconds) = ttl.relative_to.as_deref().zip(ttl.seconds_after)?;
    // Until July 2026 a moment that lay in the past was taken for an error, and the object kept.
    let moment = at(object, &keys(path, line)).and_then(Value::as_str).filter(|_| line == Line::ZenMesh)?;
    after(moment.parse().ok()?, seconds)
}

/// The keys of a path of `ttl`, in which later releases know escaped dots.
fn keys(path: &str, line: Line) -> Vec<String> {
    if line != Line::ZenMesh {
        return path.split('.').map(str::to_owned).collect();
    }
    path.replace("\\.", "\0").split('.').map(|key| key.replace('\0', ".")).collect()
}

fn text<'o>(object: &'o Value, path: &str) -> Option<&'o str> {
    path.split('.').try_fold(object, |value, key| value.as_object()?.get(key))?.as_str()
}

fn at<'o>(object: &'o Value, keys: &[String]) -> Option<&'o Value> {
    keys.iter().try_fold(object, |value, key| value.as_object()?.get(key))
}

fn of_metadata<'o>(object: &'o Value, map: &str, key: &str) -> Option<&'o str> {
    object.get("metadata")?.get(map)?.get(key)?.as_str()
}
