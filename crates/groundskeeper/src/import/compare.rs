//! Which of some objects a policy deletes here, and which it deleted under zen-gc.
//!
//! The engine is asked what it makes of an object; what zen-gc made of it stands in [`old`](super::old).

use std::sync::Arc;

use api::{DEFAULT_NAMESPACE, Rails};
use gc::{Object, Policy, Standing, Written, standing};
use jiff::Timestamp;
use serde_json::Value;
use views::Projection;

use super::convert::{Draft, Scope};
use super::notes::{Bearing, Notes};
use super::old::would_delete;
use super::zen::{Line, ZenPolicy};

/// Objects that are named; the others are counted.
const NAMES_SHOWN_MAX: usize = 10;

/// Says which of these objects go here and did not there, or the other way round.
pub(super) fn compare(
    (policy, line): (&ZenPolicy, Line),
    draft: &Draft,
    (objects, now): (&[Value], Timestamp),
    notes: &mut Notes,
) -> anyhow::Result<()> {
    let Draft { scope, metadata, spec } = draft;
    let written = Written { is_namespaced: *scope != Scope::Cluster, metadata, spec };
    let compiled = Arc::new(Policy::compile(written, &Rails::new(DEFAULT_NAMESPACE))?);
    let (mut newly, mut no_longer) = (Vec::new(), Vec::new());
    for rule in compiled.rules() {
        let projection = Arc::new(Projection::new(rule.reads()));
        for object in objects.iter().filter(|object| is_of(object, rule.kind())) {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            // zen-gc asks for its deletion once more, which changes nothing.
            if !text("/metadata/deletionTimestamp").is_empty() {
                continue;
            }
            let namespace = text("/metadata/namespace");
            let view = views::Object::read(&object.to_string(), &projection)?;
            let is_due = matches!(
                standing(&rule, &Object::new(view, namespace.into()), now),
                Standing::Expires(at) if at < now
            );
            let goes = is_due && compiled.reach.covers(namespace, None);
            let name = || match namespace {
                "" => text("/metadata/name").to_owned(),
                namespace => format!("{namespace}/{}", text("/metadata/name")),
            };
            match (would_delete(policy, line, object, now), goes) {
                (false, true) => newly.push(name()),
                (true, false) => no_longer.push(name()),
                _ => {}
            }
        }
    }
    tell(notes, Bearing::NewlyMatches, &newly);
    tell(notes, Bearing::NoLongerMatches, &no_longer);
    Ok(())
}

fn is_of(object: &Value, kind: &units::GroupVersionKind) -> bool {
    let api_version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    group == kind.group() && object.get("kind").and_then(Value::as_str) == Some(&kind.kind)
}

fn tell(notes: &mut Notes, bearing: Bearing, names: &[String]) {
    if names.is_empty() {
        return;
    }
    let shown = names.iter().take(NAMES_SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = match names.len().saturating_sub(NAMES_SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    notes.add(bearing, "", format!("{} of the given objects: {shown}{more}", names.len()));
}
