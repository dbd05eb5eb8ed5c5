//! Small changes to generated schemas.

use schemars::Schema;

/// Takes `additionalProperties: false` out again: the API server wants structural schemas, which prune instead.
///
/// The types themselves refuse unknown fields, so that a manifest read by the CLI, and an object written by a newer
/// schema than ours, are refused with the field's name instead of being half understood.
pub(crate) fn structural(schema: &mut Schema) {
    schema.remove("additionalProperties");
}
