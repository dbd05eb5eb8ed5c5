//! Conditions of built-in kinds, as far as a view reads them.

use jiff::Timestamp;
use serde::Deserialize;

/// One entry of `status.conditions`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireCondition {
    #[serde(rename = "type")]
    pub(crate) type_: Box<str>,
    #[serde(default)]
    pub(crate) status: Box<str>,
    #[serde(default)]
    pub(crate) last_transition_time: Option<Timestamp>,
}

/// The condition of this type.
pub(crate) fn condition<'a>(
    conditions: Option<&'a [WireCondition]>,
    type_: &str,
) -> Option<&'a WireCondition> {
    conditions?.iter().find(|condition| *condition.type_ == *type_)
}

/// Whether the condition of this type is true.
pub(crate) fn holds(conditions: Option<&[WireCondition]>, type_: &str) -> bool {
    condition(conditions, type_).is_some_and(|condition| &*condition.status == "True")
}
