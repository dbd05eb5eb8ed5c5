//! From layers to one configuration: defaults, then the file, then the environment, then flags; the last one wins.
//!
//! Every value knows where it came from, and everything that is wrong is told at once. Knows no files: texts come in.

use std::collections::BTreeMap;
use std::fmt;

use control::{InvalidTerms, LeaseTerms};
use serde_json::{Map, Value};

use super::table::{Default, SETTINGS, Setting};
use super::{Config, Leases, Webhook};
use crate::limits::{CONFIG_NODES_MAX, YAML_DEPTH_MAX};

/// Where settings may come from, apart from defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file: its name and what it holds.
    pub file: Option<(String, String)>,
    /// Environment variables by name.
    pub environment: BTreeMap<String, String>,
    /// What flags say, by the path of the setting.
    pub flags: BTreeMap<&'static str, String>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The file.
    File(String),
    /// This environment variable.
    Environment(String),
    /// This flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(name) => write!(f, "file {name}"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => write!(f, "flag --{flag}"),
        }
    }
}

/// What is in force, and where each value came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// What is in force.
    pub config: Config,
    /// Each setting by its path; a value of null is none.
    pub values: BTreeMap<&'static str, (Value, Origin)>,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration is wrong:\n  {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  "))]
pub struct Problems(pub Vec<Problem>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting, or a place in the file.
    pub path: String,
    /// Who says so.
    pub origin: Origin,
    /// What is wrong, and what to write.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, origin, message } = self;
        if path.is_empty() {
            write!(f, "{origin}: {message}")
        } else {
            write!(f, "{path} ({origin}): {message}")
        }
    }
}

type Values = BTreeMap<&'static str, (Value, Origin)>;

/// Puts the layers on top of each other.
pub fn layer(sources: &Sources) -> Result<Effective, Problems> {
    let mut problems = Vec::new();
    let mut values: Values = SETTINGS.iter().map(by_default).collect();
    if let Some((name, text)) = &sources.file {
        take_file(name, text, &mut values, &mut problems);
    }
    take_environment(&sources.environment, &mut values, &mut problems);
    for setting in SETTINGS {
        if let Some(text) = sources.flags.get(setting.path) {
            take(setting, setting.kind.parse(text), Origin::Flag(setting.flag), &mut values, &mut problems);
        }
    }
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let config = assemble(&values)?;
    problems = contradictions(&config, &values);
    if problems.is_empty() { Ok(Effective { config, values }) } else { Err(Problems(problems)) }
}

fn by_default(setting: &Setting) -> (&'static str, (Value, Origin)) {
    let value = match setting.default {
        None => Value::Null,
        Some(Default::Number(number)) => number.into(),
        // A default that its own kind refuses is found by a test.
        Some(Default::Text(text)) => setting.kind.parse(text).unwrap_or_default(),
    };
    (setting.path, (value, Origin::Default))
}

fn take(
    setting: &Setting,
    value: Result<Value, String>,
    origin: Origin,
    values: &mut Values,
    problems: &mut Vec<Problem>,
) {
    match value {
        Ok(value) => drop(values.insert(setting.path, (value, origin))),
        Err(message) => problems.push(Problem { path: setting.path.to_owned(), origin, message }),
    }
}

fn take_file(name: &str, text: &str, values: &mut Values, problems: &mut Vec<Problem>) {
    let origin = Origin::File(name.to_owned());
    let wrong =
        |path: &str, message: String| Problem { path: path.to_owned(), origin: origin.clone(), message };
    let document = match parse(text) {
        Ok(Value::Null) => return,
        Ok(Value::Object(document)) => document,
        Ok(_) => {
            return problems
                .push(wrong("", "it is no mapping: write such as `log: {level: debug}`".to_owned()));
        }
        Err(message) => return problems.push(wrong("", message)),
    };
    let mut leaves = Vec::new();
    flatten("", &document, &mut leaves);
    for (path, value) in leaves {
        match SETTINGS.iter().find(|setting| setting.path == path) {
            None => problems.push(wrong(&path, unknown(&path))),
            // Nothing is the same as not written.
            Some(_) if value.is_null() => {}
            Some(setting) => take(setting, setting.kind.read(value), origin.clone(), values, problems),
        }
    }
}

fn parse(text: &str) -> Result<Value, String> {
    let bounds = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 2 * CONFIG_NODES_MAX,
            max_nodes: CONFIG_NODES_MAX,
            max_depth: YAML_DEPTH_MAX,
            max_documents: 1,
        },
    };
    serde_saphyr::from_str_with_options(text, bounds).map_err(|error| {
        let message = error.without_snippet().to_string();
        format!("it is not the YAML of a configuration: {}", crate::output::printable(&message))
    })
}

/// Every setting that a document names, with its path; what no setting lies below is returned as it is.
fn flatten<'a>(parent: &str, document: &'a Map<String, Value>, leaves: &mut Vec<(String, &'a Value)>) {
    for (name, value) in document {
        let name = crate::output::printable(name);
        let path = if parent.is_empty() { name.into_owned() } else { format!("{parent}.{name}") };
        let has_settings_below = SETTINGS
            .iter()
            .any(|setting| setting.path.strip_prefix(&*path).is_some_and(|below| below.starts_with('.')));
        match value {
            Value::Object(below) if has_settings_below => flatten(&path, below, leaves),
            Value::Null if has_settings_below => {}
            other => leaves.push((path, other)),
        }
    }
}

/// What to write instead of a path that is none.
fn unknown(path: &str) -> String {
    let prefix = format!("{path}.");
    let below: Vec<_> =
        SETTINGS.iter().map(|setting| setting.path).filter(|below| below.starts_with(&prefix)).collect();
    if !below.is_empty() {
        return format!("it is no value of its own: write {}", below.join(", "));
    }
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let section = |setting: &Setting| setting.path.rsplit_once('.').map_or("", |(section, _)| section);
    let near: Vec<_> = SETTINGS
        .iter()
        .filter(|setting| {
            let last = setting.path.rsplit('.').next().unwrap_or_default();
            section(setting) == parent && !parent.is_empty() || last.eq_ignore_ascii_case(name)
        })
        .map(|setting| setting.path)
        .collect();
    if near.is_empty() {
        let mut sections: Vec<_> =
            SETTINGS.iter().filter_map(|setting| setting.path.split('.').next()).collect();
        sections.dedup();
        return format!("there is no such setting: at the top, write one of {}", sections.join(", "));
    }
    format!("there is no such setting: write one of {}", near.join(", "))
}

fn take_environment(
    environment: &BTreeMap<String, String>,
    values: &mut Values,
    problems: &mut Vec<Problem>,
) {
    for setting in SETTINGS {
        let own = setting.variable();
        let names = [Some(own.as_str()), setting.other_variable].into_iter().flatten();
        // A variable that is there and empty is what templates make of nothing.
        let found =
            names.filter_map(|name| Some((name, environment.get(name).filter(|text| !text.is_empty())?)));
        if let Some((name, text)) = found.into_iter().next() {
            let origin = Origin::Environment(name.to_owned());
            take(setting, setting.kind.parse(text), origin, values, problems);
        }
    }
}

fn assemble(values: &Values) -> Result<Config, Problems> {
    let mut document = Value::Object(Map::new());
    for (path, (value, _)) in values {
        let mut place = &mut document;
        for name in path.split('.') {
            if place.is_null() {
                *place = Value::Object(Map::new());
            }
            let Value::Object(members) = place else { break };
            place = members.entry(name).or_insert(Value::Null);
        }
        *place = value.clone();
    }
    // Whatever a kind lets through the struct takes; a test holds the table and the struct together.
    serde_json::from_value(document).map_err(|error| {
        let path = String::new();
        Problems(vec![Problem { path, origin: Origin::Default, message: error.to_string() }])
    })
}

/// What each setting allows by itself, but not together.
fn contradictions(config: &Config, values: &Values) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |path: &'static str, message: String| {
        let origin = values.get(path).map_or(Origin::Default, |(_, origin)| origin.clone());
        problems.push(Problem { path: path.to_owned(), origin, message });
    };
    let Leases { duration, renew_deadline, retry_period, .. } = &config.leases;
    if let Err(error) = LeaseTerms::new(duration.0, renew_deadline.0, retry_period.0) {
        let path = match error {
            InvalidTerms::Duration(_) => "leases.duration",
            InvalidTerms::RenewDeadline { .. } => "leases.renewDeadline",
            InvalidTerms::RetryPeriod { .. } => "leases.retryPeriod",
        };
        wrong(path, error.to_string());
    }
    let Webhook { authority_life, certificate_life, client_ca, client_names, .. } = &config.webhook;
    if certificate_life.0 > authority_life.0 / 3 {
        wrong(
            "webhook.certificateLife",
            "it is more than a third of webhook.authorityLife: write less".to_owned(),
        );
    }
    if client_names.is_some() && client_ca.is_none() {
        wrong(
            "webhook.clientNames",
            "it means nothing without webhook.clientCa: write both, or neither".to_owned(),
        );
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Sources {
        Sources { file: Some(("config.yaml".into(), text.into())), ..Sources::default() }
    }

    fn told(sources: &Sources) -> Vec<String> {
        layer(sources).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_last_layer_wins_and_every_value_knows_where_it_came_from() {
        let level = |sources: &Sources| {
            let effective = layer(sources).unwrap();
            (effective.config.log.level, effective.values["log.level"].1.to_string())
        };
        let mut sources = Sources::default();
        assert_eq!(level(&sources), ("info".into(), "default".into()));
        sources.file = file("log: {level: warn}").file;
        assert_eq!(level(&sources), ("warn".into(), "file config.yaml".into()));
        sources.environment.insert("GROUNDSKEEPER_LOG".into(), "error".into());
        assert_eq!(level(&sources), ("error".into(), "environment GROUNDSKEEPER_LOG".into()));
        sources.environment.insert("GROUNDSKEEPER_LOG_LEVEL".into(), "debug".into());
        assert_eq!(level(&sources), ("debug".into(), "environment GROUNDSKEEPER_LOG_LEVEL".into()));
        sources.environment.insert("GROUNDSKEEPER_LOG_LEVEL".into(), String::new());
        assert_eq!(level(&sources).0, "error");
        sources.flags.insert("log.level", "trace".into());
        assert_eq!(level(&sources), ("trace".into(), "flag --log-level".into()));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_with_what_to_write() {
        let mut sources = file(
            "leases: {renewDeadline: soon, dauer: 3s}\nlimits: {deletionsInFlight: 1000}\nlog: loud\nsurprise: 1\n",
        );
        sources.environment.insert("GROUNDSKEEPER_METRICS_AUTH".into(), "maybe".into());
        sources.flags.insert("health.bindAddress", "8081".into());
        let told = told(&sources);
        let expected = [
            "leases.dauer (file config.yaml): there is no such setting: write one of leases.namespace, leases.name,",
            "leases.renewDeadline (file config.yaml): `soon` is no such span: write one of 1 s to 600 s, such as",
            "limits.deletionsInFlight (file config.yaml): `1000` is out of bounds: write a number from 1 to 256",
            "log (file config.yaml): it is no value of its own: write log.level, log.format",
            "surprise (file config.yaml): there is no such setting: at the top, write one of",
            "metrics.auth (environment GROUNDSKEEPER_METRICS_AUTH): `maybe` is none of them: write auto or required or off",
            "health.bindAddress (flag --health-probe-bind-address): `8081` is no address with a port: write such as",
        ];
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(expected), "{told}\n{expected}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_told_with_who_said_it() {
        let both = told(&file("leases: {duration: 10s}\nwebhook: {certificateLife: 8000h, clientNames: a}"));
        assert!(
            both[0].starts_with("leases.renewDeadline (default): a renew deadline of 10s does not end"),
            "{both:#?}"
        );
        assert!(
            both[1].starts_with("webhook.certificateLife (file config.yaml): it is more than a third"),
            "{both:#?}"
        );
        assert!(
            both[2].starts_with("webhook.clientNames (file config.yaml): it means nothing without"),
            "{both:#?}"
        );
        let retry = told(&file("leases: {retryPeriod: 9s}"));
        assert!(
            retry[0].starts_with("leases.retryPeriod (file config.yaml): a retry period of 9s leaves"),
            "{retry:#?}"
        );
    }

    #[test]
    fn an_empty_file_says_nothing_and_a_broken_one_says_so() {
        for text in ["", "# nothing\n", "{}", "log:\n", "log: {level: null}", "leases: {name: null}"] {
            assert_eq!(layer(&file(text)).unwrap().config, Config::default(), "{text}");
        }
        for text in ["[1]", "a: b: c", "log: {level: info, level: debug}", "x: &a [*a]", "\u{1b}: 1"] {
            assert!(layer(&file(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn the_table_and_the_struct_name_the_same_settings_with_the_same_defaults() {
        let written = serde_json::to_value(Config::default()).unwrap();
        let effective = layer(&Sources::default()).unwrap();
        for setting in SETTINGS {
            let pointer = format!("/{}", setting.path.replace('.', "/"));
            let value = written.pointer(&pointer).unwrap_or_else(|| panic!("no {pointer}"));
            assert!(
                value == &effective.values[setting.path].0
                    || value.as_f64() == effective.values[setting.path].0.as_f64(),
                "{pointer}: {value}"
            );
        }
        let mut leaves = Vec::new();
        flatten("", written.as_object().unwrap(), &mut leaves);
        assert_eq!(leaves.len(), SETTINGS.len());
    }

    #[test]
    fn no_variable_is_one_that_kubernetes_sets_for_a_service() {
        for setting in SETTINGS {
            let name = setting.variable();
            assert!(!name.contains("_PORT") && !name.contains("_SERVICE"), "{name}");
        }
    }
}
