//! What a policy says that no object can fulfil, by the schemas of the kinds that it targets.
//!
//! Pure: the caller brings the schemas. A warning is advice and stops nothing; where a schema leaves something open, or
//! is missing, nothing is said. What cannot be compiled is not looked at: that is refused, with its own words.
//!
//! Invariant: a condition that some object of the kind can fulfil is never said to be in vain.

mod known;
mod limits;
mod schema;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use api::garbage_collection::{Conditions, FieldCondition, Operator, TargetResource, Term, Ttl};
use api::{AnyScalar, GarbageCollectionPolicySpec};
use jiff::Timestamp;
use units::{ApiVersion, FieldPath, GroupVersionKind, KeyPath, Segment};

pub use schema::SchemaDocument;

use known::{listed, nearest};
use limits::WARNINGS_MAX;
use schema::{Astray, Node, Shape};

/// Something that a policy says in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where it stands, such as `spec.conditions.phase[0]`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub instead: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.field, self.message, self.instead)
    }
}

/// Where the schemas of kinds come from.
pub trait Schemas {
    /// The schemas of this group and version; none if they are not known.
    fn document(&self, version: &ApiVersion) -> Option<&SchemaDocument>;
}

impl Schemas for BTreeMap<ApiVersion, Arc<SchemaDocument>> {
    fn document(&self, version: &ApiVersion) -> Option<&SchemaDocument> {
        self.get(version).map(|document| &**document)
    }
}

/// What a spec says in vain, in the order of the spec, for each of its targets; at most 20 warnings.
///
/// Expressions are not looked at: see [`lint_paths`].
pub fn lint(spec: &GarbageCollectionPolicySpec, schemas: &dyn Schemas) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (target, field) in targets(spec) {
        let Some(kind) = kind_of(target) else { continue };
        let Some(node) = schemas.document(&kind.api_version).and_then(|document| document.kind(&kind)) else {
            continue;
        };
        Linter { kind: &kind.kind, root: node, warnings: &mut warnings }.spec(spec, target, &field);
    }
    warnings.truncate(WARNINGS_MAX);
    warnings
}

/// Which of the paths that an expression reads no object of the kind has. `field` is where the expression stands, such
/// as `spec.when`.
pub fn lint_paths<'p>(
    paths: impl IntoIterator<Item = &'p KeyPath>,
    field: &str,
    kind: &GroupVersionKind,
    schemas: &dyn Schemas,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let Some(root) = schemas.document(&kind.api_version).and_then(|document| document.kind(kind)) else {
        return warnings;
    };
    let mut linter = Linter { kind: &kind.kind, root, warnings: &mut warnings };
    for path in paths {
        let segments: Vec<_> = path.keys().iter().cloned().map(Segment::Key).collect();
        if let Err(astray) = root.follow(&segments) {
            linter.astray(field, &astray, "so the expression never finds it");
        }
    }
    warnings.truncate(WARNINGS_MAX);
    warnings
}

/// The targets, each with where it stands.
fn targets(spec: &GarbageCollectionPolicySpec) -> impl Iterator<Item = (&TargetResource, String)> {
    let one = spec.target_resource.iter().map(|target| (target, "spec.targetResource".to_owned()));
    let several = spec.target_resources.iter().enumerate();
    one.chain(several.map(|(at, target)| (target, format!("spec.targetResources[{at}]"))))
}

fn kind_of(target: &TargetResource) -> Option<GroupVersionKind> {
    Some(GroupVersionKind { api_version: target.api_version.parse().ok()?, kind: target.kind.clone() })
}

/// What it means for a condition that no object has what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Never,
    Always,
}

impl Holds {
    /// Of a condition with this operator on a field that is never there, or never is like that.
    const fn of(operator: Operator) -> Self {
        match operator {
            Operator::NotEquals | Operator::NotIn | Operator::DoesNotExist => Self::Always,
            _ => Self::Never,
        }
    }

    const fn inverted(self) -> Self {
        match self {
            Self::Never => Self::Always,
            Self::Always => Self::Never,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Never => "so this never holds",
            Self::Always => "so this always holds",
        }
    }
}

/// Whether a condition is asked for, or its opposite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Held,
    NotHeld,
}

impl Wanted {
    const fn opposite(self) -> Self {
        match self {
            Self::Held => Self::NotHeld,
            Self::NotHeld => Self::Held,
        }
    }

    const fn seen(self, holds: Holds) -> &'static str {
        match self {
            Self::Held => holds.words(),
            Self::NotHeld => holds.inverted().words(),
        }
    }
}

/// A condition on a field, wherever it stands.
#[derive(Clone, Copy)]
struct Asked<'s> {
    path: &'s str,
    operator: Operator,
    value: Option<&'s AnyScalar>,
    values: &'s [AnyScalar],
    wanted: Wanted,
}

struct Linter<'d, 'w> {
    kind: &'d str,
    root: Node<'d>,
    warnings: &'w mut Vec<Warning>,
}

impl<'d> Linter<'d, '_> {
    fn spec(&mut self, spec: &GarbageCollectionPolicySpec, target: &TargetResource, field: &str) {
        if let Some(selector) = &target.field_selector {
            for (path, value) in &selector.match_fields {
                let value = AnyScalar::Text(value.clone());
                let field = format!("{field}.fieldSelector.matchFields['{path}']");
                let (operator, wanted) = (Operator::Equals, Wanted::Held);
                self.asked(Asked { path, operator, value: Some(&value), values: &[], wanted }, &field);
            }
        }
        if let Some(ttl) = &spec.ttl {
            self.ttl(ttl);
        }
        if let Some(conditions) = &spec.conditions {
            self.conditions(conditions);
        }
        let group = spec.keep.as_ref().and_then(|keep| keep.group_by.as_ref());
        if let Some(path) = group.and_then(|group| group.field_path.as_deref()) {
            self.node_at(path, "spec.keep.groupBy.fieldPath", "so every object is a group of its own");
        }
    }

    fn ttl(&mut self, ttl: &Ttl) {
        if let Some(path) = ttl.field_path.as_deref() {
            self.ttl_field(path, ttl);
        }
        if let Some(path) = ttl.relative_to.as_deref() {
            self.relative_to(path);
        }
    }

    fn ttl_field(&mut self, path: &str, ttl: &Ttl) {
        let field = "spec.ttl.fieldPath";
        let outcome = match &ttl.default {
            Some(_) => "so the default counts for every object",
            None => "so no object ever falls due",
        };
        let Some(node) = self.node_at(path, field, outcome) else { return };
        match node.shape() {
            Shape::Moment => self.warn(
                field,
                format!("`{path}` holds a moment, and not how long an object lives, {outcome}"),
                format!("write `relativeTo: {path}` with secondsAfter"),
            ),
            Shape::Bool if !ttl.mappings.is_empty() => self.mappings(path, ttl, &["true", "false"]),
            shape @ (Shape::Bool | Shape::List(_) | Shape::Fields(_) | Shape::Map(_)) => self.warn(
                field,
                format!("`{path}` holds {}, and not how long an object lives, {outcome}", shape.words()),
                "name a field that holds a number of seconds, a text such as `5d12h`, or a word that mappings \
                 knows"
                    .to_owned(),
            ),
            _ => self.mappings(path, ttl, &node.choices()),
        }
    }

    /// Words that the field never holds.
    fn mappings(&mut self, path: &str, ttl: &Ttl, choices: &[&str]) {
        for word in ttl.mappings.keys().filter(|word| !choices.is_empty() && !choices.contains(&&***word)) {
            self.warn(
                &format!("spec.ttl.mappings['{word}']"),
                format!("`{path}` is never `{word}`, so this is never used"),
                one_of(word, choices),
            );
        }
    }

    fn relative_to(&mut self, path: &str) {
        let (field, outcome) = ("spec.ttl.relativeTo", "so no object ever falls due");
        let Some(node) = self.node_at(path, field, outcome) else { return };
        let shape = node.shape();
        let is_fine = match shape {
            Shape::Moment | Shape::Anything => true,
            // Custom resources often say no more of a moment than that it is a text.
            Shape::Text => !node.is_named || (!node.is_builtin && node.choices().is_empty()),
            _ => false,
        };
        if !is_fine {
            let moments = self.moments_near(path);
            self.warn(
                field,
                format!("`{path}` holds {}, and not a moment, {outcome}", shape.words()),
                match &*moments {
                    [] => "name a field that holds a moment, such as metadata.creationTimestamp".to_owned(),
                    moments => format!("the moments beside it are {}", listed(moments)),
                },
            );
        }
    }

    /// The moments that lie where the last step of a path starts.
    fn moments_near(&self, path: &str) -> Vec<String> {
        let Ok(path) = path.parse::<FieldPath>() else { return Vec::new() };
        let beside = path.segments().split_last().map_or(&[][..], |(_, before)| before);
        self.root.follow(beside).map_or_else(|_| Vec::new(), |node| node.moments())
    }

    fn conditions(&mut self, conditions: &Conditions) {
        self.phases(&conditions.phase);
        let groups = [
            ("and", &conditions.and, Wanted::Held),
            ("or", &conditions.or, Wanted::Held),
            ("not", &conditions.not, Wanted::NotHeld),
        ];
        for (name, terms, wanted) in groups {
            for (at, term) in terms.iter().enumerate() {
                self.term(term, &format!("spec.conditions.{name}[{at}]"), wanted);
            }
        }
    }

    fn phases(&mut self, phases: &[String]) {
        if phases.is_empty() {
            return;
        }
        let status = ["status", "phase"].map(|key| Segment::Key(key.into()));
        let Ok(node) = self.root.follow(&status) else {
            return self.warn(
                "spec.conditions.phase",
                format!("{} has no status.phase, so this never holds", self.kind),
                known::instead_of_phase(&self.root, self.kind, phases),
            );
        };
        let choices = node.choices();
        for (at, phase) in phases.iter().enumerate() {
            if !choices.is_empty() && !choices.contains(&&**phase) {
                self.warn(
                    &format!("spec.conditions.phase[{at}]"),
                    format!("{} is never in phase `{phase}`", self.kind),
                    known::phase_meant(self.kind, phase)
                        .map_or_else(|| one_of(phase, &choices), str::to_owned),
                );
            }
        }
    }

    fn term(&mut self, term: &Term, field: &str, wanted: Wanted) {
        if let (Some(path), Some(operator)) = (term.field_path.as_deref(), term.operator) {
            let (value, values) = (term.value.as_ref(), &*term.values);
            return self.asked(Asked { path, operator, value, values, wanted }, field);
        }
        let groups =
            [("and", &term.and, wanted), ("or", &term.or, wanted), ("not", &term.not, wanted.opposite())];
        for (name, conditions, wanted) in groups {
            for (at, FieldCondition { field_path, operator, value, values }) in conditions.iter().enumerate()
            {
                let (path, operator, value) = (&**field_path, *operator, value.as_ref());
                self.asked(Asked { path, operator, value, values, wanted }, &format!("{field}.{name}[{at}]"));
            }
        }
    }

    fn asked(&mut self, asked: Asked<'_>, field: &str) {
        let outcome = asked.wanted.seen(Holds::of(asked.operator));
        let Some(node) = self.node_at(asked.path, field, outcome) else { return };
        match asked.operator {
            Operator::Exists | Operator::DoesNotExist => {}
            Operator::Equals | Operator::NotEquals => {
                if let Some(value) = asked.value {
                    self.equal(asked, &node, value, field);
                }
            }
            Operator::In | Operator::NotIn => {
                for value in asked.values.iter().chain(asked.value) {
                    self.equal(asked, &node, value, field);
                }
            }
            Operator::GreaterThan | Operator::LessThan => self.ordered(asked, &node, field),
            Operator::Matches => self.has_text(asked, &node, field),
        }
    }

    /// Whether a field can be equal to a value.
    fn equal(&mut self, asked: Asked<'_>, node: &Node<'_>, value: &AnyScalar, field: &str) {
        let Asked { path, operator, wanted, .. } = asked;
        let (shape, text) = (node.shape(), text_of(value));
        let choices = node.choices();
        let instead = match shape {
            Shape::Text if !choices.is_empty() && !choices.contains(&&*text) => one_of(&text, &choices),
            Shape::Integer if !is_whole(value) => "write a whole number".to_owned(),
            Shape::Number if number_of(value).is_none() => "write a number".to_owned(),
            Shape::Bool if !matches!(&*text, "true" | "false") => "write true or false".to_owned(),
            Shape::Moment if !is_moment(&text) => "write a moment such as 2027-01-01T00:00:00Z".to_owned(),
            Shape::List(_) => format!("choose an element by `{path}[0]` or a filter, or ask with Exists"),
            Shape::Fields(_) | Shape::Map(_) => "name a field below it, or ask with Exists".to_owned(),
            _ => return,
        };
        // One of several values decides nothing by itself.
        let outcome = match operator {
            Operator::In | Operator::NotIn => "so this value is never met",
            _ => wanted.seen(Holds::of(operator)),
        };
        let kind_of_value =
            if choices.is_empty() { format!("holds {}", shape.words()) } else { "has other values".into() };
        self.warn(field, format!("`{path}` {kind_of_value} and never equals `{text}`, {outcome}"), instead);
    }

    /// Whether a field can be greater or less than a value.
    fn ordered(&mut self, asked: Asked<'_>, node: &Node<'_>, field: &str) {
        let Asked { path, operator, value: Some(value), wanted, .. } = asked else { return };
        let (shape, text, never) = (node.shape(), text_of(value), wanted.seen(Holds::Never));
        let name = operator.name();
        let (message, instead) = match shape {
            Shape::Integer | Shape::Number if !is_quantity(value) => (
                format!("`{path}` holds {}, and `{text}` is none, {never}", shape.words()),
                "write a number".to_owned(),
            ),
            Shape::Moment if !is_moment(&text) => (
                format!("`{path}` holds a moment, and `{text}` is none, {never}"),
                "write a moment such as 2027-01-01T00:00:00Z; for an age use ttl.relativeTo".to_owned(),
            ),
            // A text of a custom resource may well be a number.
            Shape::Text if node.is_named && (node.is_builtin || !node.choices().is_empty()) => (
                format!("`{path}` holds a text, and {name} compares numbers, quantities and moments"),
                "use Equals, In or Matches, or name a field that holds a number".to_owned(),
            ),
            Shape::Bool | Shape::List(_) | Shape::Fields(_) | Shape::Map(_) => (
                format!("`{path}` holds {}, which {name} cannot compare, {never}", shape.words()),
                "name a field that holds a number, a quantity or a moment".to_owned(),
            ),
            _ => return,
        };
        self.warn(field, message, instead);
    }

    /// Whether there is a text that an expression could match.
    fn has_text(&mut self, asked: Asked<'_>, node: &Node<'_>, field: &str) {
        let shape = node.shape();
        if matches!(shape, Shape::List(_) | Shape::Fields(_) | Shape::Map(_)) {
            let never = asked.wanted.seen(Holds::Never);
            self.warn(
                field,
                format!("`{}` holds {}, which has no text to match, {never}", asked.path, shape.words()),
                "name a field that holds a text".to_owned(),
            );
        }
    }

    /// What a path leads to; warns if it leads nowhere. What is no path is refused elsewhere.
    fn node_at(&mut self, path: &str, field: &str, outcome: &str) -> Option<Node<'d>> {
        let path = path.parse::<FieldPath>().ok()?;
        match self.root.follow(path.segments()) {
            Ok(node) => Some(node),
            Err(astray) => {
                self.astray(field, &astray, outcome);
                None
            }
        }
    }

    fn astray(&mut self, field: &str, astray: &Astray, outcome: &str) {
        let kind = self.kind;
        let (message, instead) = match astray {
            Astray::Unknown { parent, name, known } => {
                let path = if parent.is_empty() { name.clone() } else { format!("{parent}.{name}") };
                let near = nearest(name, known.iter().map(String::as_str));
                let instead = match near {
                    Some(near) if parent.is_empty() => format!("did you mean `{near}`?"),
                    Some(near) => format!("did you mean `{parent}.{near}`?"),
                    None => format!("the fields there are {}", listed(known)),
                };
                (format!("{kind} has no field `{path}`, {outcome}"), instead)
            }
            Astray::Unchosen { list, key, rest } => {
                let filter = key.as_ref().map(|key| format!("`{list}[?{key}=…].{rest}` or "));
                let instead = format!("write {}`{list}[0].{rest}`", filter.unwrap_or_default());
                (format!("`{list}` is a list, and the path does not say which element, {outcome}"), instead)
            }
            Astray::NoList { place, words } => (
                format!("`{place}` holds {words} and no list, {outcome}"),
                "leave the brackets out".to_owned(),
            ),
            Astray::Leaf { place, words } => (
                format!("`{place}` holds {words}, and there is nothing below it, {outcome}"),
                format!("write `{place}`"),
            ),
        };
        self.warn(field, message, instead);
    }

    fn warn(&mut self, field: &str, message: String, instead: String) {
        self.warnings.push(Warning { field: field.to_owned(), message, instead });
    }
}

fn one_of(given: &str, choices: &[&str]) -> String {
    if let Some(near) = nearest(given, choices.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    let choices: Vec<_> = choices.iter().map(ToString::to_string).collect();
    format!("the values there are {}", listed(&choices))
}

fn text_of(value: &AnyScalar) -> String {
    match value {
        AnyScalar::Bool(value) => value.to_string(),
        AnyScalar::Int(value) => value.to_string(),
        AnyScalar::Float(value) => value.to_string(),
        AnyScalar::Text(text) => text.clone(),
    }
}

fn number_of(value: &AnyScalar) -> Option<f64> {
    match value {
        AnyScalar::Bool(_) => None,
        value => text_of(value).parse().ok(),
    }
}

fn is_whole(value: &AnyScalar) -> bool {
    number_of(value).is_some_and(|number| number.fract() == 0.0)
}

/// Whether it could be a number or a quantity such as `500m`.
fn is_quantity(value: &AnyScalar) -> bool {
    let text = text_of(value);
    !matches!(value, AnyScalar::Bool(_))
        && text.trim_start_matches(['+', '-', '.']).starts_with(|first: char| first.is_ascii_digit())
}

fn is_moment(text: &str) -> bool {
    text.parse::<Timestamp>().is_ok()
}
