//! Whether a step's settings are as its plugin wants them: the part of JSON Schema that settings need.
//!
//! Understood are types, properties, items, values, bounds, lengths, patterns, and `anyOf`, `oneOf` and `allOf`; what only
//! describes is passed over. A schema with any other word is refused with that word: to pass over a demand would be to say
//! that settings meet it.
//!
//! Knows neither steps nor plugins. Messages name fields and types, and never a value that somebody wrote into settings.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use crate::limits::{NAMES_IN_MESSAGE_MAX, NESTING_MAX, PATTERN_COMPILED_BYTES_MAX, PATTERN_DEPTH_MAX};

/// A settings schema, checked and prepared.
#[derive(Clone, Debug)]
pub struct SettingsSchema(Rule);

/// Why a schema cannot be held against settings, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchema {
    /// A word that is not understood.
    #[error(
        "{at} has `{word}`, which is not understood: write type, properties, required, additionalProperties, items, enum, const, bounds, lengths, pattern, anyOf, oneOf or allOf instead"
    )]
    Word {
        /// Where, from `settingsSchema` on.
        at: String,
        /// The word.
        word: String,
    },
    /// A word with a value that is not one of its own.
    #[error("{at}.{word} must be {write}")]
    Value {
        /// Where, from `settingsSchema` on.
        at: String,
        /// The word.
        word: String,
        /// What belongs there.
        write: &'static str,
    },
    /// A schema is neither an object nor a truth value.
    #[error("{at} must be a schema: an object, true or false")]
    NotOne {
        /// Where, from `settingsSchema` on.
        at: String,
    },
    /// A regular expression that is wrong, or grows too large.
    #[error("{at}.pattern is no regular expression that can be used: {fault}")]
    Pattern {
        /// Where, from `settingsSchema` on.
        at: String,
        /// What is wrong with it.
        fault: String,
    },
    /// Schemas lie deeper inside of each other than [`NESTING_MAX`].
    #[error("{at} lies more than {NESTING_MAX} schemas deep: write a flatter one")]
    TooDeep {
        /// Where, from `settingsSchema` on.
        at: String,
    },
}

/// Why settings do not meet their schema, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at} {what}")]
pub struct SettingsFault {
    /// Where, from `settings` on.
    pub at: String,
    /// What is wrong there, and what to write instead.
    pub what: String,
}

#[derive(Clone, Debug, Default)]
struct Rule {
    /// `false`, which nothing meets.
    refuses_all: bool,
    types: Box<[Type]>,
    /// `enum` and `const`; none allows all.
    values: Option<Box<[Value]>>,
    properties: BTreeMap<Box<str>, Rule>,
    required: Box<[Box<str>]>,
    /// Of properties that are not named.
    others: Option<Box<Rule>>,
    items: Option<Box<Rule>>,
    number: Bounds,
    length: Size,
    items_count: Size,
    keys_count: Size,
    pattern: Option<Regex>,
    any_of: Box<[Rule]>,
    one_of: Box<[Rule]>,
    all_of: Box<[Rule]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    Text,
    List,
    Object,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    least: Option<f64>,
    most: Option<f64>,
    above: Option<f64>,
    below: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Size {
    least: Option<u64>,
    most: Option<u64>,
}

/// Words that describe and demand nothing.
const DESCRIPTIONS: [&str; 12] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
];

impl SettingsSchema {
    /// Checks and prepares a schema. One without words allows everything.
    pub fn compile(schema: &Map<String, Value>) -> Result<Self, InvalidSchema> {
        of_object(schema, "settingsSchema", 1).map(Self)
    }

    /// Whether settings meet it; else the first thing that does not.
    pub fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsFault> {
        self.0.check(&Value::Object(settings.clone()), "settings")
    }
}

fn compile(schema: &Value, at: &str, depth: usize) -> Result<Rule, InvalidSchema> {
    match schema {
        _ if depth > NESTING_MAX => Err(InvalidSchema::TooDeep { at: at.to_owned() }),
        Value::Bool(allows) => Ok(Rule { refuses_all: !allows, ..Rule::default() }),
        Value::Object(schema) => of_object(schema, at, depth),
        _ => Err(InvalidSchema::NotOne { at: at.to_owned() }),
    }
}

fn of_object(schema: &Map<String, Value>, at: &str, depth: usize) -> Result<Rule, InvalidSchema> {
    let mut rule = Rule::default();
    for (word, value) in schema {
        let here = format!("{at}.{word}");
        let below = |value: &Value| compile(value, &here, depth + 1);
        let wrong = |write| InvalidSchema::Value { at: at.to_owned(), word: word.clone(), write };
        let number = || value.as_f64().map(Some).ok_or_else(|| wrong("a number"));
        let count = || value.as_u64().map(Some).ok_or_else(|| wrong("a whole number from 0 on"));
        match word.as_str() {
            "type" => {
                rule.types = types(value).ok_or_else(|| wrong("the name of a type, or a list of them"))?;
            }
            "enum" => {
                rule.values = Some(value.as_array().ok_or_else(|| wrong("a list of values"))?.clone().into());
            }
            "const" => rule.values = Some(Box::new([value.clone()])),
            "properties" => {
                let properties =
                    value.as_object().ok_or_else(|| wrong("an object with a schema for each name"))?;
                for (name, value) in properties {
                    let property = compile(value, &format!("{here}.{name}"), depth + 1)?;
                    rule.properties.insert(name.as_str().into(), property);
                }
            }
            "required" => rule.required = names(value).ok_or_else(|| wrong("a list of names"))?,
            "additionalProperties" => rule.others = Some(Box::new(below(value)?)),
            "items" => rule.items = Some(Box::new(below(value)?)),
            "minimum" => rule.number.least = number()?,
            "maximum" => rule.number.most = number()?,
            "exclusiveMinimum" => rule.number.above = number()?,
            "exclusiveMaximum" => rule.number.below = number()?,
            "minLength" => rule.length.least = count()?,
            "maxLength" => rule.length.most = count()?,
            "minItems" => rule.items_count.least = count()?,
            "maxItems" => rule.items_count.most = count()?,
            "minProperties" => rule.keys_count.least = count()?,
            "maxProperties" => rule.keys_count.most = count()?,
            "pattern" => rule.pattern = Some(pattern(value.as_str().ok_or_else(|| wrong("a text"))?, at)?),
            "anyOf" | "oneOf" | "allOf" => {
                let schemas = value.as_array().filter(|schemas| !schemas.is_empty());
                let schemas = schemas.ok_or_else(|| wrong("a list of schemas"))?;
                let rules = schemas.iter().map(below).collect::<Result<_, _>>()?;
                match word.as_str() {
                    "anyOf" => rule.any_of = rules,
                    "oneOf" => rule.one_of = rules,
                    _ => rule.all_of = rules,
                }
            }
            word if DESCRIPTIONS.contains(&word) || word.starts_with("x-") => {}
            word => return Err(InvalidSchema::Word { at: at.to_owned(), word: word.to_owned() }),
        }
    }
    Ok(rule)
}

fn types(value: &Value) -> Option<Box<[Type]>> {
    match value {
        Value::String(name) => Some(Box::new([Type::named(name)?])),
        Value::Array(names) => names.iter().map(|name| name.as_str().and_then(Type::named)).collect(),
        _ => None,
    }
}

fn names(value: &Value) -> Option<Box<[Box<str>]>> {
    value.as_array()?.iter().map(|name| name.as_str().map(Box::from)).collect()
}

fn pattern(text: &str, at: &str) -> Result<Regex, InvalidSchema> {
    let pattern =
        RegexBuilder::new(text).size_limit(PATTERN_COMPILED_BYTES_MAX).nest_limit(PATTERN_DEPTH_MAX).build();
    pattern.map_err(|error| {
        let fault = error.to_string();
        let fault = fault.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        InvalidSchema::Pattern { at: at.to_owned(), fault }
    })
}

impl Rule {
    fn check(&self, value: &Value, at: &str) -> Result<(), SettingsFault> {
        let fault = |what: String| Err(SettingsFault { at: at.to_owned(), what });
        if self.refuses_all {
            return fault("is not known to the plugin: leave it out".to_owned());
        }
        if !self.types.is_empty() && !self.types.iter().any(|wanted| wanted.is_of(value)) {
            let wanted: Vec<&str> = self.types.iter().map(|wanted| wanted.name()).collect();
            return fault(format!("is {}: write {}", Type::of(value).name(), wanted.join(" or ")));
        }
        if let Some(values) = self.values.as_ref().filter(|values| !values.contains(value)) {
            return fault(format!(
                "is none of its values: write {}",
                listed(values.iter().map(Value::to_string))
            ));
        }
        match value {
            Value::Number(number) => self.number.check(number.as_f64().unwrap_or(f64::NAN), at)?,
            Value::String(text) => self.check_text(text, at)?,
            Value::Array(values) => self.check_list(values, at)?,
            Value::Object(fields) => self.check_object(fields, at)?,
            Value::Null | Value::Bool(_) => {}
        }
        self.check_choices(value, at)
    }

    fn check_text(&self, text: &str, at: &str) -> Result<(), SettingsFault> {
        self.length.check(text.chars().count(), "characters", at)?;
        match &self.pattern {
            Some(pattern) if !pattern.is_match(text) => {
                Err(SettingsFault { at: at.to_owned(), what: format!("does not match `{pattern}`") })
            }
            _ => Ok(()),
        }
    }

    fn check_list(&self, values: &[Value], at: &str) -> Result<(), SettingsFault> {
        self.items_count.check(values.len(), "entries", at)?;
        let Some(rule) = &self.items else { return Ok(()) };
        values.iter().enumerate().try_for_each(|(index, value)| rule.check(value, &format!("{at}[{index}]")))
    }

    fn check_object(&self, fields: &Map<String, Value>, at: &str) -> Result<(), SettingsFault> {
        self.keys_count.check(fields.len(), "keys", at)?;
        if let Some(missing) = self.required.iter().find(|name| !fields.contains_key(&***name)) {
            return Err(SettingsFault {
                at: format!("{at}.{missing}"),
                what: "is missing: write it".to_owned(),
            });
        }
        for (name, value) in fields {
            let here = format!("{at}.{name}");
            match (self.properties.get(name.as_str()), &self.others) {
                (Some(rule), _) => rule.check(value, &here)?,
                (None, Some(others)) if others.refuses_all => return Err(self.unknown(here)),
                (None, Some(others)) => others.check(value, &here)?,
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn unknown(&self, at: String) -> SettingsFault {
        let what = if self.properties.is_empty() {
            "is not known to the plugin, which has no settings: leave it out".to_owned()
        } else {
            format!(
                "is not known to the plugin: write {}",
                listed(self.properties.keys().map(ToString::to_string))
            )
        };
        SettingsFault { at, what }
    }

    fn check_choices(&self, value: &Value, at: &str) -> Result<(), SettingsFault> {
        self.all_of.iter().try_for_each(|rule| rule.check(value, at))?;
        let met = |rules: &[Self]| rules.iter().filter(|rule| rule.check(value, at).is_ok()).count();
        let fault = |what: &str| Err(SettingsFault { at: at.to_owned(), what: what.to_owned() });
        if !self.any_of.is_empty() && met(&self.any_of) == 0 {
            return fault("meets none of the forms that the plugin allows: see its page");
        }
        if self.one_of.is_empty() || met(&self.one_of) == 1 {
            return Ok(());
        }
        fault("must meet exactly one of the forms that the plugin allows: see its page")
    }
}

impl Bounds {
    fn check(self, number: f64, at: &str) -> Result<(), SettingsFault> {
        let fault = |what: String| Err(SettingsFault { at: at.to_owned(), what });
        match self {
            Self { least: Some(least), .. } if number < least => {
                fault(format!("is too small: write at least {least}"))
            }
            Self { most: Some(most), .. } if number > most => {
                fault(format!("is too large: write at most {most}"))
            }
            Self { above: Some(above), .. } if number <= above => {
                fault(format!("is too small: write more than {above}"))
            }
            Self { below: Some(below), .. } if number >= below => {
                fault(format!("is too large: write less than {below}"))
            }
            _ => Ok(()),
        }
    }
}

impl Size {
    fn check(self, size: usize, unit: &str, at: &str) -> Result<(), SettingsFault> {
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        let what = match self {
            Self { least: Some(least), .. } if size < least => {
                format!("has {size} {unit}: write at least {least}")
            }
            Self { most: Some(most), .. } if size > most => {
                format!("has {size} {unit}: write at most {most}")
            }
            _ => return Ok(()),
        };
        Err(SettingsFault { at: at.to_owned(), what })
    }
}

impl Type {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "string" => Self::Text,
            "array" => Self::List,
            "object" => Self::Object,
            _ => return None,
        })
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0) => {
                Self::Integer
            }
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Object,
        }
    }

    fn is_of(self, value: &Value) -> bool {
        let given = Self::of(value);
        self == given || (self == Self::Number && given == Self::Integer)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "true or false",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

/// The first names, and how many there are besides.
pub(crate) fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(NAMES_IN_MESSAGE_MAX);
    let names: Vec<String> = names.take(NAMES_IN_MESSAGE_MAX).map(|name| format!("`{name}`")).collect();
    match (names.split_last(), more) {
        (None, _) => String::new(),
        (Some(_), 1..) => format!("{}, or one of {more} more", names.join(", ")),
        (Some((only, [])), 0) => only.clone(),
        (Some((last, first)), 0) => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    fn schema() -> Map<String, Value> {
        object(&json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "title": "a CMDB",
            "required": ["url"], "additionalProperties": false,
            "properties": {
                "url": {"type": "string", "pattern": "^https://", "maxLength": 40},
                "retries": {"type": "integer", "minimum": 0, "maximum": 9},
                "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                "mode": {"enum": ["close", "delete"]},
                "tags": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string", "minLength": 1}},
                "from": {"oneOf": [{"required": ["secret"]}, {"required": ["file"]}]},
                "fields": {"type": "object", "maxProperties": 1, "additionalProperties": {"type": ["string", "null"]}},
                "gone": false,
            },
        }))
    }

    #[test]
    fn settings_are_held_against_every_word() {
        let url = "https://cmdb";
        let rows = [
            (json!({"url": url, "retries": 9, "share": 0.5, "mode": "close", "tags": ["a"]}), None),
            (json!({"url": url, "retries": 3.0, "from": {"file": 1}, "fields": {"a": null}}), None),
            (json!({}), Some("settings.url is missing: write it")),
            (json!({"url": 3}), Some("settings.url is a whole number: write a text")),
            (json!({"url": "http://cmdb"}), Some("settings.url does not match `^https://`")),
            (json!({"url": "https://".repeat(9)}), Some("settings.url has 72 characters: write at most 40")),
            (json!({"url": url, "retries": 10}), Some("settings.retries is too large: write at most 9")),
            (json!({"url": url, "retries": 1.5}), Some("settings.retries is a number: write a whole number")),
            (json!({"url": url, "share": 0}), Some("settings.share is too small: write more than 0")),
            (json!({"url": url, "share": 1}), Some("settings.share is too large: write less than 1")),
            (json!({"url": url, "mode": "x"}), Some("write `\"close\"` or `\"delete\"`")),
            (json!({"url": url, "tags": []}), Some("settings.tags has 0 entries: write at least 1")),
            (
                json!({"url": url, "tags": ["a", ""]}),
                Some("settings.tags[1] has 0 characters: write at least 1"),
            ),
            (json!({"url": url, "from": {}}), Some("settings.from must meet exactly one of the forms")),
            (json!({"url": url, "from": {"secret": 1, "file": 1}}), Some("exactly one")),
            (
                json!({"url": url, "fields": {"a": 1}}),
                Some("settings.fields.a is a whole number: write a text or null"),
            ),
            (
                json!({"url": url, "fields": {"a": "", "b": ""}}),
                Some("settings.fields has 2 keys: write at most 1"),
            ),
            (json!({"url": url, "gone": 1}), Some("settings.gone is not known to the plugin: leave it out")),
            (
                json!({"url": url, "uri": 1}),
                Some("settings.uri is not known to the plugin: write `fields`, `from`"),
            ),
        ];
        let schema = SettingsSchema::compile(&schema()).unwrap();
        for (settings, wanted) in rows {
            let found = schema.check(&object(&settings)).map_err(|fault| fault.to_string());
            match (found, wanted) {
                (Ok(()), None) => {}
                (Err(found), Some(wanted)) => assert!(found.contains(wanted), "{found}"),
                (found, wanted) => panic!("{settings}: {found:?}, not {wanted:?}"),
            }
        }
    }

    #[test]
    fn a_demand_that_is_not_understood_is_refused() {
        let rows = [
            (json!({"$ref": "#/$defs/a"}), "settingsSchema has `$ref`, which is not understood"),
            (json!({"properties": {"a": {"if": {}}}}), "settingsSchema.properties.a has `if`"),
            (json!({"type": "text"}), "settingsSchema.type must be the name of a type"),
            (json!({"properties": {"a": 3}}), "settingsSchema.properties.a must be a schema"),
            (json!({"items": {"maxLength": -1}}), "settingsSchema.items.maxLength must be a whole number"),
            (
                json!({"pattern": "("}),
                "settingsSchema.pattern is no regular expression that can be used: unclosed group",
            ),
            (json!({"pattern": "(a{1000}){1000}"}), "settingsSchema.pattern is no regular expression"),
            (json!({"anyOf": []}), "settingsSchema.anyOf must be a list of schemas"),
        ];
        for (schema, wanted) in rows {
            let error = SettingsSchema::compile(&object(&schema)).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        let deep = (0..40).fold(json!(true), |below, _| json!({"items": below}));
        assert!(matches!(SettingsSchema::compile(&object(&deep)), Err(InvalidSchema::TooDeep { .. })));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("type|items|enum|properties|url|[a-z]{1,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_schema_and_no_settings_make_it_panic(schema in any_value(), settings in any_value()) {
            if let (Some(schema), Some(settings)) = (schema.as_object(), settings.as_object())
                && let Ok(schema) = SettingsSchema::compile(schema)
            {
                _ = schema.check(settings);
            }
        }
    }
}
