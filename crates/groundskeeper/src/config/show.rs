//! `groundskeeper config show`: what would be in force, and where each value came from.

use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::flags::Flags;
use super::layers::Effective;
use super::table::SETTINGS;
use crate::output;

/// What `config show` is told: the flags of `run`, and how to answer.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    flags: Flags,

    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t = Form::Yaml, value_name = "FORM")]
    output: Form,
}

/// How it is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// As a configuration file, with the origin of each value as a comment.
    Yaml,
    /// As one object with `values` and `origins`.
    Json,
}

/// Prints the configuration that `run` would have with the same flags, file and environment.
pub fn show(args: &Args) -> anyhow::Result<ExitCode> {
    let effective = args.flags.resolve()?;
    output::print(&match args.output {
        Form::Yaml => yaml(&effective),
        Form::Json => format!("{:#}\n", json(&effective)?),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn json(effective: &Effective) -> anyhow::Result<Value> {
    let origins: Map<_, _> = effective
        .values
        .iter()
        .map(|(path, (_, origin))| ((*path).to_owned(), Value::from(origin.to_string())))
        .collect();
    Ok(json!({"values": serde_json::to_value(&effective.config)?, "origins": origins}))
}

fn yaml(effective: &Effective) -> String {
    let (mut text, mut open) = (String::new(), "");
    for setting in SETTINGS {
        let Some((value, origin)) = effective.values.get(setting.path) else { continue };
        let (section, name) = setting.path.split_once('.').unwrap_or(("", setting.path));
        if section != open && !section.is_empty() {
            text += &format!("{section}:\n");
        }
        open = section;
        let indent = if section.is_empty() { "" } else { "  " };
        text += &format!("{indent}{name}: {}  # {origin}\n", scalar(value));
    }
    text
}

/// A value as YAML: plain where it cannot be read as anything else, else in quotes as JSON.
fn scalar(value: &Value) -> String {
    let Some(text) = value.as_str() else { return value.to_string() };
    let begins_plain = text.starts_with(|char: char| char.is_ascii_lowercase() || char == '/');
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./".contains(char);
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_span = text.ends_with(['s', 'm', 'h']) && text.starts_with(|char: char| char.is_ascii_digit());
    if (begins_plain || is_span) && text.chars().all(is_plain) && !words.contains(&text) {
        return text.to_owned();
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, layer};

    #[test]
    fn what_is_shown_is_a_file_that_means_the_same() {
        let mut sources = Sources::default();
        sources.flags.insert("log.level", "info,chassis=debug".into());
        sources.flags.insert("ledger.mode", "off".into());
        sources.flags.insert("webhook.bindAddress", "[::]:9443".into());
        sources.flags.insert("cluster.context", "a: b # \"c\"".into());
        let effective = layer(&sources).unwrap();
        let shown = yaml(&effective);
        assert!(shown.contains("  level: \"info,chassis=debug\"  # flag --log-level\n"), "{shown}");
        assert!(shown.contains("\nleases:\n  namespace: null  # default\n"), "{shown}");
        assert!(shown.contains("  duration: 15s  # default\n"), "{shown}");
        let read = layer(&Sources { file: Some(("shown".into(), shown)), ..Sources::default() }).unwrap();
        assert_eq!(read.config, effective.config);
        let json = json(&effective).unwrap();
        assert_eq!(json["values"]["leases"]["renewDeadline"], "10s");
        assert_eq!(json["origins"]["ledger.mode"], "flag --ledger");
    }
}
