//! Settings as types: their schema and what is read of them come from one definition.

use node_cleanup::settings::SettingsSchema;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use units::Span;

use crate::builtin::Trouble;
use crate::limits::{CALL_TIMEOUT_DEFAULT, CALL_TIMEOUT_SECONDS_MAX, CALL_TIMEOUT_SECONDS_MIN};

/// The JSON Schema of settings, in the words that [`SettingsSchema`] understands: nothing refers to another place.
pub(crate) fn schema_of<T: JsonSchema>() -> Map<String, Value> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    match settings.into_generator().into_root_schema_for::<T>().to_value() {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

/// Reads settings, after holding them against their schema. No message repeats a value.
pub(crate) fn read<T: JsonSchema + DeserializeOwned>(settings: &Map<String, Value>) -> Result<T, Trouble> {
    let schema =
        SettingsSchema::compile(&schema_of::<T>()).map_err(|fault| Trouble::Settings(fault.to_string()))?;
    schema.check(settings).map_err(|fault| Trouble::Settings(fault.to_string()))?;
    serde_json::from_value(Value::Object(settings.clone())).map_err(|_| {
        Trouble::Settings("the settings are not as the plugin's page has them: see there".to_owned())
    })
}

/// How long a call may take, as it was written.
pub(crate) fn timeout(text: Option<&str>) -> Result<std::time::Duration, String> {
    let Some(text) = text else { return Ok(CALL_TIMEOUT_DEFAULT) };
    let span: Span = text.parse().map_err(|fault| format!("timeout: {fault}"))?;
    let bounds = [CALL_TIMEOUT_SECONDS_MIN, CALL_TIMEOUT_SECONDS_MAX].map(Span::from_seconds);
    let span = span.within(bounds[0], bounds[1]).map_err(|fault| format!("timeout: {fault}"))?;
    Ok(std::time::Duration::from_millis(span.milliseconds()))
}
