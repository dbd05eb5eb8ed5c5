//! The flags of all settings, and the environment: what a process is told when it starts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, FromArgMatches};

use super::layers::{Effective, Problems, Sources, layer};
use super::table::{Reload, SETTINGS, Setting};
use crate::limits::CONFIG_BYTES_MAX;

/// The flag of the file itself, and its variable.
const FILE_FLAG: &str = "config";
const FILE_VARIABLE: &str = "GROUNDSKEEPER_CONFIG";

/// What was said on the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    file: Option<PathBuf>,
    said: BTreeMap<&'static str, String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// It is wrong.
    #[error(transparent)]
    Wrong(#[from] Problems),
}

/// Those environment variables that settings may come from.
pub fn environment() -> BTreeMap<String, String> {
    let names = SETTINGS.iter().flat_map(|setting| {
        [Some(setting.variable()), setting.other_variable.map(str::to_owned)].into_iter().flatten()
    });
    names.filter_map(|name| Some((name.clone(), std::env::var(name).ok()?))).collect()
}

impl Flags {
    /// The file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads the file and the environment, and puts all layers on top of each other.
    pub fn resolve(&self) -> Result<Effective, ConfigError> {
        let named = |path: &Path| read(path).map(|text| (path.display().to_string(), text));
        let file = self.file.as_deref().map(named).transpose()?;
        Ok(layer(&Sources { file, environment: environment(), flags: self.said.clone() })?)
    }
}

/// What the file holds.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let fail = |message: String| ConfigError::File { path: path.to_owned(), message };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    file.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| fail(error.to_string()))?;
    if text.len() as u64 > CONFIG_BYTES_MAX {
        return Err(fail(format!("it has more than {CONFIG_BYTES_MAX} bytes")));
    }
    Ok(text)
}

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(FILE_FLAG)
            .long(FILE_FLAG)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help(format!(
                "The configuration file. Environment and flags come before it [env: {FILE_VARIABLE}]"
            ));
        command.arg(file).args(SETTINGS.iter().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(setting: &Setting) -> Arg {
    let default = setting.default_text().map(|text| format!(" [default: {text}]")).unwrap_or_default();
    let live = if setting.reload == Reload::Live { " [live]" } else { "" };
    let help = format!("{} [env: {}]{default}{live}", setting.help, setting.variable());
    // As everywhere, the last one wins.
    let argument = Arg::new(setting.path).long(setting.flag).value_name(setting.value_name).help(help);
    argument.overrides_with(setting.path)
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        // As for every setting: a variable that is there and empty counts as not set.
        let variable = std::env::var_os(FILE_VARIABLE).filter(|file| !file.is_empty()).map(PathBuf::from);
        self.file = matches.get_one::<PathBuf>(FILE_FLAG).cloned().or(variable).or(self.file.take());
        for setting in SETTINGS {
            if let Some(text) = matches.get_one::<String>(setting.path) {
                self.said.insert(setting.path, text.clone());
            }
        }
        Ok(())
    }
}
