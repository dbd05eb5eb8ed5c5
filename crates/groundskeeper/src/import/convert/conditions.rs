//! What an object must be like.

use api::AnyScalar;
use api::garbage_collection::{Conditions, KeyCondition, Operator, TargetResource, Term};

use super::Converter;
use super::path::{Path, Reader};
use crate::import::notes::{Bearing, Refused};
use crate::import::zen::{ZenConditions, ZenField, ZenKey};

/// Conditions of one group that we take.
const TERMS_MAX: usize = 16;
/// Conditions on labels, or on annotations, that we take.
const KEYS_MAX: usize = 32;
/// Values of one condition that we take.
const VALUES_MAX: usize = 64;

/// The kinds of Kubernetes that have a phase, and their phases.
const PHASES: [(&str, &[&str]); 4] = [
    ("Pod", &["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
    ("PersistentVolumeClaim", &["Pending", "Bound", "Lost"]),
    ("PersistentVolume", &["Pending", "Available", "Bound", "Released", "Failed"]),
    ("Namespace", &["Active", "Terminating"]),
];

impl Converter {
    pub(super) fn conditions(
        &mut self,
        given: &ZenConditions,
        target: &TargetResource,
    ) -> Result<Conditions, Refused> {
        self.unknown("spec.conditions", &given.unknown);
        let phase = given.phase.clone().unwrap_or_default();
        at_most(phase.len(), TERMS_MAX, "spec.conditions.phase")?;
        self.phases(&phase, target);
        let mut conditions = Conditions { phase, ..Conditions::default() };
        for (at, label) in given.has_labels.iter().flatten().enumerate() {
            let field = format!("spec.conditions.hasLabels[{at}]");
            self.unknown(&field, &label.unknown);
            conditions.has_labels.push(self.label(label, &field)?);
        }
        for (at, annotation) in given.has_annotations.iter().flatten().enumerate() {
            let field = format!("spec.conditions.hasAnnotations[{at}]");
            self.unknown(&field, &annotation.unknown);
            conditions.has_annotations.push(self.annotation(annotation, &field));
        }
        at_most(conditions.has_labels.len(), KEYS_MAX, "spec.conditions.hasLabels")?;
        at_most(conditions.has_annotations.len(), KEYS_MAX, "spec.conditions.hasAnnotations")?;
        for (at, condition) in given.and.iter().flatten().enumerate() {
            let field = format!("spec.conditions.and[{at}]");
            self.unknown(&field, &condition.unknown);
            conditions.and.extend(self.condition(condition, &field)?);
        }
        at_most(conditions.and.len(), TERMS_MAX, "spec.conditions.and")?;
        Ok(conditions)
    }

    /// Phases that no object of the kind ever is in.
    fn phases(&mut self, phases: &[String], target: &TargetResource) {
        let group = target.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let is_ours_to_know = !group.contains('.') || group.ends_with(".k8s.io");
        if phases.is_empty() || !is_ours_to_know {
            return;
        }
        let (field, kind) = ("spec.conditions.phase", &*target.kind);
        let known =
            PHASES.iter().find(|(name, _)| group.is_empty() && *name == kind).map(|(_, known)| *known);
        let Some(known) = known else {
            let instead = match kind {
                "Job" => {
                    "; for jobs that are over ask for their conditions: `or: [{fieldPath: \
                     'status.conditions[?type=Complete].status', operator: Equals, value: 'True'}, {fieldPath: \
                     'status.conditions[?type=Failed].status', operator: Equals, value: 'True'}]`"
                }
                _ => "",
            };
            let message = format!("{kind} has no status.phase{instead}");
            return self.notes.add(Bearing::MatchesNothing, field, message);
        };
        let never: Vec<_> =
            phases.iter().filter(|phase| !known.contains(&phase.as_str())).map(String::as_str).collect();
        if never.is_empty() {
            return;
        }
        let bearing = if never.len() == phases.len() { Bearing::MatchesNothing } else { Bearing::Told };
        let message = format!("{kind} is never {}: its phases are {}", never.join(" or "), known.join(", "));
        self.notes.add(bearing, field, message);
    }

    fn label(&mut self, given: &ZenKey, field: &str) -> Result<KeyCondition, Refused> {
        let value = given.value.clone().unwrap_or_default();
        let operator = match given.operator.as_deref().unwrap_or_default() {
            "Exists" => return Ok(key_condition(given, Operator::Exists, None)),
            // zen-gc compared with the one value, and never with an empty one.
            "In" if value.is_empty() => {
                return Err(Refused::new(field, "In without a value matches nothing in zen-gc: write value"));
            }
            "" | "Equals" | "In" => Operator::Equals,
            "NotIn" => Operator::NotEquals,
            other => {
                let operator = self.unknown_operator(other, field)?;
                let value = given.value.clone().filter(|_| operator != Operator::DoesNotExist);
                return Ok(key_condition(given, operator, value));
            }
        };
        Ok(key_condition(given, operator, Some(value)))
    }

    fn annotation(&mut self, given: &ZenKey, field: &str) -> KeyCondition {
        if given.operator.is_some() {
            let message = "zen-gc has no operator for annotations, and asks for equality: so it is here";
            self.notes.add(Bearing::LeftOut, &format!("{field}.operator"), message);
        }
        if given.value.is_none() {
            let message = "without a value zen-gc asks for an annotation that is empty: so it is here; leave value out \
                           and write `operator: Exists` for any";
            self.notes.add(Bearing::Told, field, message);
        }
        key_condition(given, Operator::Equals, Some(given.value.clone().unwrap_or_default()))
    }

    /// The terms that mean what this condition meant: there, a field that is missing met no condition.
    fn condition(&mut self, given: &ZenField, field: &str) -> Result<Vec<Term>, Refused> {
        let path = self.path(&given.field_path, &format!("{field}.fieldPath"), Reader::Conditions)?;
        let value = given.value.clone().unwrap_or_default();
        let values = given.values.clone().unwrap_or_default();
        at_most(values.len(), VALUES_MAX, &format!("{field}.values"))?;
        let operator = match given.operator.as_deref().unwrap_or_default() {
            "" => {
                return Err(Refused::new(
                    field,
                    "without an operator zen-gc matched nothing: write one, such as Equals",
                ));
            }
            "Equals" => Operator::Equals,
            "NotEquals" => Operator::NotEquals,
            "In" if values.is_empty() => {
                return Err(Refused::new(field, "In without values matches nothing: write values"));
            }
            "In" => Operator::In,
            // Not in nothing: the field has only to be there.
            "NotIn" if values.is_empty() => Operator::Exists,
            "NotIn" => Operator::NotIn,
            other => {
                let operator = self.unknown_operator(other, field)?;
                return operator_of_ours(operator, path, given, field).map(|term| vec![term]);
            }
        };
        if path.was_followed {
            self.what_is_no_text(operator, &path, &value, &values, field);
        }
        let text = |text: String| AnyScalar::Text(text);
        let term = Term {
            field_path: Some(path.text.clone()),
            operator: Some(operator),
            value: matches!(operator, Operator::Equals | Operator::NotEquals).then(|| text(value)),
            values: match operator {
                Operator::In | Operator::NotIn => values.into_iter().map(text).collect(),
                _ => Vec::new(),
            },
            ..Term::default()
        };
        if !matches!(operator, Operator::NotEquals | Operator::NotIn) {
            return Ok(vec![term]);
        }
        let exists =
            Term { field_path: Some(path.text), operator: Some(Operator::Exists), ..Term::default() };
        Ok(vec![exists, term])
    }

    /// zen-gc compared texts only: a number or a truth value met no condition.
    fn what_is_no_text(
        &mut self,
        operator: Operator,
        path: &Path,
        value: &str,
        values: &[String],
        field: &str,
    ) {
        match operator {
            Operator::Equals => self.equals_what_is_no_text(path, [value], field),
            Operator::In => self.equals_what_is_no_text(path, values.iter().map(String::as_str), field),
            _ if !path.is_text() => {
                let message = format!(
                    "zen-gc compared texts only: an object whose `{}` is a number or a truth value was left alone \
                     there, and is compared by its text here",
                    path.text
                );
                self.notes.add(Bearing::NewlyMatches, field, message);
            }
            _ => {}
        }
    }

    /// The same, for a condition that asks for equality: only what could be the text of a number makes a difference.
    pub(super) fn equals_what_is_no_text<'v>(
        &mut self,
        path: &Path,
        values: impl IntoIterator<Item = &'v str>,
        field: &str,
    ) {
        let could_be_none = |value: &&str| value.parse::<f64>().is_ok() || matches!(*value, "true" | "false");
        let value = values.into_iter().find(could_be_none).filter(|_| path.was_followed && !path.is_text());
        if let Some(value) = value {
            let message = format!(
                "zen-gc compared texts only, and `{value}` never equalled a number or a truth value there: an object \
                 whose `{}` is the number or truth value {value} matches here",
                path.text
            );
            self.notes.add(Bearing::NewlyMatches, field, message);
        }
    }

    /// An operator that zen-gc does not know; with one it matched nothing.
    fn unknown_operator(&mut self, given: &str, field: &str) -> Result<Operator, Refused> {
        let field = format!("{field}.operator");
        let known = Operator::ALL.into_iter().find(|operator| operator.name() == given);
        let Some(operator) = known else {
            let reason = format!("`{given}` is no operator, neither there nor here: zen-gc matched nothing");
            return Err(Refused::new(&field, reason));
        };
        let message = format!("zen-gc does not know {given}, and so matched nothing");
        self.notes.add(Bearing::NewlyMatches, &field, message);
        Ok(operator)
    }
}

/// A term with an operator that only we know.
fn operator_of_ours(operator: Operator, path: Path, given: &ZenField, field: &str) -> Result<Term, Refused> {
    let takes_value = !matches!(operator, Operator::Exists | Operator::DoesNotExist);
    if takes_value && given.value.is_none() {
        return Err(Refused::new(field, format!("{} needs a value: write one", operator.name())));
    }
    let value = given.value.clone().filter(|_| takes_value).map(AnyScalar::Text);
    Ok(Term { field_path: Some(path.text), operator: Some(operator), value, ..Term::default() })
}

fn key_condition(given: &ZenKey, operator: Operator, value: Option<String>) -> KeyCondition {
    KeyCondition { key: given.key.clone(), value, values: Vec::new(), operator: Some(operator) }
}

fn at_most(count: usize, most: usize, field: &str) -> Result<(), Refused> {
    if count > most {
        return Err(Refused::new(field, format!("there are {count}; Groundskeeper takes at most {most}")));
    }
    Ok(())
}
