//! One policy of zen-gc as one of ours.
//!
//! Knows what zen-gc made of each field, and what we make of it. What means the same is taken over; what zen-gc never
//! acted on is taken over as it was meant, and said to match newly; what has no counterpart refuses the policy. A policy
//! is never made to match less than zen-gc made of it, and never more without a note.

mod conditions;
mod path;
mod ttl;

use std::collections::BTreeMap;

use api::garbage_collection::{
    Behavior, FieldSelector, LabelSelector, NamespaceSelection, PolicyMode, PropagationPolicy, TargetResource,
};
use api::limits::{
    BATCH_SIZE_DEFAULT, BATCH_SIZE_MAX, DELETIONS_PER_SECOND_DEFAULT, DELETIONS_PER_SECOND_MAX,
    GRACE_PERIOD_SECONDS_MAX,
};
use api::{DEFAULT_NAMESPACE, GROUP, GarbageCollectionPolicySpec, Rails, VERSION};
use gc::{Finalizer, Policy, Written};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};
use units::{ApiVersion, GroupVersionKind};

use super::notes::{Bearing, Note, Notes, Refused};
use super::zen::{Found, Line, Unknown, ZenBehavior, ZenFieldSelector, ZenPolicy, ZenTarget};
use path::Reader;

/// Annotations that are not the author's.
const NOT_TAKEN_OVER: [&str; 1] = ["kubectl.kubernetes.io/last-applied-configuration"];

/// The longest and the shortest interval that we take, in seconds.
const INTERVAL_SECONDS: std::ops::RangeInclusive<i64> = 60..=7 * 86_400;

/// What became of a policy.
#[derive(Debug)]
pub(super) struct Conversion {
    pub(super) origin: String,
    /// Namespace and name that it had.
    pub(super) was: (String, String),
    /// What it was about, to compare it with others.
    pub(super) target: (String, String, String),
    pub(super) label_selector: Option<Value>,
    pub(super) notes: Notes,
    pub(super) draft: Option<Draft>,
    /// What it was.
    pub(super) policy: ZenPolicy,
    pub(super) line: Line,
}

/// A converted policy.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) scope: Scope,
    pub(super) metadata: ObjectMeta,
    pub(super) spec: GarbageCollectionPolicySpec,
}

/// Which of our kinds a policy becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// A `GarbageCollectionPolicy` in this namespace.
    Namespace(String),
    /// A `ClusterGarbageCollectionPolicy`.
    Cluster,
}

/// Converts a policy; `fallback` is the namespace of one that names none.
pub(super) fn convert(found: Found, fallback: &str) -> Conversion {
    let Found { origin, line, policy } = found;
    let own = policy.metadata.namespace.clone().unwrap_or_else(|| fallback.to_owned());
    let name = policy.metadata.name.clone().unwrap_or_default();
    let target = &policy.spec.target_resource;
    let (api_version, kind) = (target.api_version.clone(), target.kind.clone());
    let target_of = (api_version, kind, effective_namespace(target).to_owned());
    let mut converter = Converter { line, own: own.clone(), notes: Notes::default() };
    let draft = match converter.policy(&policy) {
        Ok(draft) => Some(draft),
        Err(Refused { field, reason }) => {
            converter.notes.add(Bearing::NotConverted, &field, reason);
            None
        }
    };
    Conversion {
        origin,
        was: (own, name),
        target: target_of,
        label_selector: policy.spec.target_resource.label_selector.clone(),
        notes: converter.notes,
        draft,
        policy,
        line,
    }
}

/// The namespace that zen-gc looked at, or `*` for all.
fn effective_namespace(target: &ZenTarget) -> &str {
    target.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or("*")
}

struct Converter {
    line: Line,
    /// The policy's own namespace.
    own: String,
    notes: Notes,
}

impl Converter {
    fn policy(&mut self, policy: &ZenPolicy) -> Result<Draft, Refused> {
        let spec = &policy.spec;
        self.line();
        let (scope, namespaces) = self.namespaces(&spec.target_resource)?;
        let target = self.target(&spec.target_resource)?;
        let ttl = self.ttl(spec.ttl.as_ref())?;
        let conditions = spec.conditions.as_ref().map(|given| self.conditions(given, &target)).transpose()?;
        let behavior = self.behavior(spec.behavior.as_ref().unwrap_or(&ZenBehavior::default()))?;
        let evaluation_interval = self.interval(spec.evaluation_interval.as_deref());
        let paused = self.paused(spec.paused.unwrap_or_default());
        self.unknown("spec", &spec.unknown);
        let spec = GarbageCollectionPolicySpec {
            target_resource: Some(target),
            namespaces,
            ttl: Some(ttl),
            conditions,
            behavior,
            evaluation_interval,
            paused,
            ..GarbageCollectionPolicySpec::default()
        };
        let metadata = ObjectMeta {
            name: policy.metadata.name.clone(),
            namespace: match &scope {
                Scope::Namespace(namespace) => Some(namespace.clone()),
                Scope::Cluster => None,
            },
            labels: policy.metadata.labels.clone().filter(|labels| !labels.is_empty()),
            annotations: policy.metadata.annotations.as_ref().and_then(taken_over),
            ..ObjectMeta::default()
        };
        let draft = Draft { scope, metadata, spec };
        self.as_the_engine_has_it(&draft)?;
        Ok(draft)
    }

    /// What the engine makes of the policy that came out.
    fn as_the_engine_has_it(&mut self, draft: &Draft) -> Result<(), Refused> {
        let Draft { scope, metadata, spec } = draft;
        let written = Written { is_namespaced: *scope != Scope::Cluster, metadata, spec };
        let compiled = Policy::compile(written, &Rails::new(DEFAULT_NAMESPACE))
            .map_err(|error| Refused::new("spec", format!("Groundskeeper does not take it: {error}")))?;
        if let Some(rail) = compiled.rail() {
            let message = format!("nothing is deleted here: {rail}");
            self.notes.add(Bearing::ActsOtherwise, "spec.targetResource", message);
        }
        if compiled.is_unselective() {
            let message =
                "it selects everything of a kind in the whole cluster, and waits for an approval here";
            self.notes.add(Bearing::ActsOtherwise, "spec.targetResource", message);
        }
        Ok(())
    }

    fn line(&mut self) {
        if self.line == Line::Nobody {
            let message = "no release of zen-gc reads gc.zen-mesh.io: such a policy did nothing";
            self.notes.add(Bearing::NewlyMatches, "apiVersion", message);
        }
    }

    fn namespaces(&mut self, target: &ZenTarget) -> Result<(Scope, Option<NamespaceSelection>), Refused> {
        let field = "spec.targetResource.namespace";
        let api_version = target.api_version.parse();
        let kind = api_version.map(|api_version| GroupVersionKind { api_version, kind: target.kind.clone() });
        let has_namespaces = !kind.is_ok_and(|kind| gc::lies_in_no_namespace(&kind));
        match effective_namespace(target) {
            "*" => {
                if has_namespaces {
                    let message = "zen-gc takes this for all namespaces, and so it is here, but for those of the \
                                   cluster itself";
                    self.notes.add(Bearing::Told, field, message);
                }
                Ok((Scope::Cluster, None))
            }
            namespace if !has_namespaces => Err(Refused::new(
                field,
                format!(
                    "{} lies in no namespace, so zen-gc found none in {namespace}: write `*` if all are meant",
                    target.kind
                ),
            )),
            namespace if namespace == self.own => Ok((Scope::Namespace(namespace.to_owned()), None)),
            namespace => {
                let names = vec![namespace.to_owned()];
                Ok((Scope::Cluster, Some(NamespaceSelection { names, ..NamespaceSelection::default() })))
            }
        }
    }

    fn target(&mut self, target: &ZenTarget) -> Result<TargetResource, Refused> {
        let field = "spec.targetResource";
        let api_version: ApiVersion =
            target.api_version.parse().map_err(|error: units::InvalidApiVersion| {
                Refused::new(&format!("{field}.apiVersion"), error.to_string())
            })?;
        let kind = GroupVersionKind { api_version, kind: target.kind.clone() };
        self.unknown(field, &target.unknown);
        let label_selector = match &target.label_selector {
            None => None,
            Some(given) => Some(label_selector(given)?),
        };
        let field_selector =
            target.field_selector.as_ref().map(|given| self.field_selector(given)).transpose()?;
        Ok(TargetResource {
            api_version: target.api_version.clone(),
            kind: kind.kind,
            label_selector,
            field_selector: field_selector.filter(|selector| !selector.match_fields.is_empty()),
            ..TargetResource::default()
        })
    }

    fn field_selector(&mut self, given: &ZenFieldSelector) -> Result<FieldSelector, Refused> {
        let field = "spec.targetResource.fieldSelector";
        self.unknown(field, &given.unknown);
        let mut match_fields = BTreeMap::new();
        for (given_path, value) in given.match_fields.iter().flatten() {
            let field = format!("{field}.matchFields['{given_path}']");
            let path = self.path(given_path, &field, Reader::Conditions)?;
            self.equals_what_is_no_text(&path, [value.as_str()], &field);
            match_fields.insert(path.text, value.clone());
        }
        Ok(FieldSelector { match_fields })
    }

    fn behavior(&mut self, given: &ZenBehavior) -> Result<Behavior, Refused> {
        let field = "spec.behavior";
        self.unknown(field, &given.unknown);
        let rate = given.max_deletions_per_second;
        let deletions = self.bounded(
            rate,
            "maxDeletionsPerSecond",
            DELETIONS_PER_SECOND_DEFAULT,
            DELETIONS_PER_SECOND_MAX,
        );
        let batch_size = self.bounded(given.batch_size, "batchSize", BATCH_SIZE_DEFAULT, BATCH_SIZE_MAX);
        let grace = given.grace_period_seconds;
        if grace.is_some_and(|seconds| !(0..=GRACE_PERIOD_SECONDS_MAX).contains(&seconds)) {
            let reason = format!("write a number from 0 to {GRACE_PERIOD_SECONDS_MAX}");
            return Err(Refused::new("spec.behavior.gracePeriodSeconds", reason));
        }
        let finalizer = self.finalizer(given.finalizer.as_deref().unwrap_or_default());
        Ok(Behavior {
            dry_run: given.dry_run.unwrap_or_default(),
            max_deletions_per_second: deletions,
            batch_size,
            propagation_policy: match given.propagation_policy.as_deref() {
                Some("Foreground") => PropagationPolicy::Foreground,
                Some("Orphan") => PropagationPolicy::Orphan,
                _ => PropagationPolicy::Background,
            },
            grace_period_seconds: grace,
            finalizer,
        })
    }

    /// The finalizer that zen-gc has a field for; none if it is not one that is taken off here.
    fn finalizer(&mut self, given: &str) -> Option<String> {
        let field = "spec.behavior.finalizer";
        if given.is_empty() {
            return None;
        }
        match given.parse::<Finalizer>() {
            Ok(finalizer) => {
                let message = "zen-gc never read it, and took no finalizer off; here the policy takes it off objects that it \
                               has deleted itself, which takes the right to patch them";
                self.notes.add(Bearing::ActsOtherwise, field, message);
                Some(finalizer.to_string())
            }
            Err(error) => {
                let message = format!("zen-gc never read it; it is left out, for here {error}");
                self.notes.add(Bearing::Told, field, message);
                None
            }
        }
    }

    /// A number that zen-gc takes for its default if it is not positive.
    fn bounded(&mut self, given: Option<i64>, name: &str, default: u32, most: u32) -> u32 {
        let Some(given) = given.filter(|number| *number > 0) else { return default };
        u32::try_from(given).ok().filter(|number| *number <= most).unwrap_or_else(|| {
            let message = format!("{given} is more than Groundskeeper takes, and becomes {most}");
            self.notes.add(Bearing::ActsOtherwise, &format!("spec.behavior.{name}"), message);
            most
        })
    }

    fn interval(&mut self, given: Option<&str>) -> Option<String> {
        let given = given?;
        let field = "spec.evaluationInterval";
        let Some(seconds) = seconds_of(given).filter(|seconds| INTERVAL_SECONDS.contains(seconds)) else {
            let message = format!("`{given}` is not from 1m to 7d; zen-gc's API server dropped it");
            self.notes.add(Bearing::LeftOut, field, message);
            return None;
        };
        let message = "zen-gc's API server dropped it, so it looked every minute; here it is how often all objects are \
                       looked at anew, and what falls due goes at its time regardless";
        self.notes.add(Bearing::Told, field, message);
        Some(interval_text(seconds))
    }

    fn paused(&mut self, paused: bool) -> bool {
        if paused {
            let message = "zen-gc's API server dropped it, and the policy went on; here it rests";
            self.notes.add(Bearing::ActsOtherwise, "spec.paused", message);
        }
        paused
    }

    /// What zen-gc's API server dropped unread.
    fn unknown(&mut self, parent: &str, unknown: &Unknown) {
        for name in unknown.keys() {
            let message = "it is no field of zen-gc's: its API server dropped it";
            self.notes.add(Bearing::LeftOut, &format!("{parent}.{name}"), message);
        }
    }
}

fn label_selector(given: &Value) -> Result<LabelSelector, Refused> {
    let without_nulls = match given {
        Value::Object(fields) => {
            fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect()
        }
        other => other.clone(),
    };
    serde_json::from_value(without_nulls).map_err(|error| {
        Refused::new("spec.targetResource.labelSelector", format!("it is no label selector: {error}"))
    })
}

fn taken_over(annotations: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    let taken: BTreeMap<_, _> = annotations
        .iter()
        .filter(|(key, _)| !NOT_TAKEN_OVER.contains(&key.as_str()) && !key.starts_with("groundskeeper.dev/"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    (!taken.is_empty()).then_some(taken)
}

/// A duration as Go writes it, in whole seconds; none if it has fractions or is none.
fn seconds_of(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut seconds = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let size = match after.chars().next()? {
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.parse::<i64>().ok()?.checked_mul(size)?)?;
        rest = after.get(1..)?;
    }
    (!text.is_empty()).then_some(seconds)
}

fn interval_text(seconds: i64) -> String {
    let parts = [(seconds / 3_600, "h"), (seconds % 3_600 / 60, "m"), (seconds % 60, "s")];
    let mut text = String::new();
    for (number, unit) in parts.iter().filter(|(number, _)| *number > 0) {
        text += &format!("{number}{unit}");
    }
    text
}

impl Conversion {
    /// Whether it means what it meant to zen-gc.
    pub(super) fn is_exact(notes: &[Note]) -> bool {
        notes.iter().all(|note| note.bearing == Bearing::Told)
    }
}

impl Draft {
    /// The manifest, with what it says of its own and not what is so by default.
    pub(super) fn manifest(&self, name: &str, mode: PolicyMode) -> Result<Value, serde_json::Error> {
        let mut spec = self.spec.clone();
        spec.mode = mode;
        let mut spec = serde_json::to_value(spec)?;
        leave_out_defaults(&mut spec, &serde_json::to_value(GarbageCollectionPolicySpec::default())?);
        if let Value::Object(fields) = &mut spec {
            // It is said also where it is so by default.
            fields.insert("mode".to_owned(), serde_json::to_value(mode)?);
        }
        let mut metadata = self.metadata.clone();
        metadata.name = Some(name.to_owned());
        let kind = match self.scope {
            Scope::Namespace(_) => "GarbageCollectionPolicy",
            Scope::Cluster => "ClusterGarbageCollectionPolicy",
        };
        Ok(
            json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind, "metadata": metadata, "spec": spec}),
        )
    }
}

/// Takes out of `value` what is the same in `default`.
fn leave_out_defaults(value: &mut Value, default: &Value) {
    let (Value::Object(fields), Value::Object(defaults)) = (value, default) else { return };
    for (name, default) in defaults {
        if let Some(field) = fields.get_mut(name) {
            leave_out_defaults(field, default);
        }
    }
    fields.retain(|name, field| {
        defaults.get(name) != Some(field) && !(defaults.contains_key(name) && field == &json!({}))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let table = [
            ("5m", Some(300)),
            ("1h0m0s", Some(3_600)),
            ("1m30s", Some(90)),
            ("1.5h", None),
            ("500ms", None),
            ("-5m", None),
            ("5", None),
            ("", None),
            ("99999999999999999999h", None),
        ];
        for (text, expected) in table {
            assert_eq!(seconds_of(text), expected, "{text}");
        }
        assert_eq!(interval_text(3_690), "1h1m30s");
    }
}
