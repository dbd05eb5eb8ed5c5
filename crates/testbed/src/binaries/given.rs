//! Programs that the environment offers.
//!
//! Each is used on its own, if its version has the pinned major and minor. One that does not fit is reported and
//! passed over; it is never an error.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Progress, Tool};

/// Environment variables that may name a directory with ready programs, the strongest first.
///
/// `KUBEBUILDER_ASSETS` is what other Kubernetes test environments read.
pub const GIVEN_BY: [&str; 2] = ["GROUNDSKEEPER_TESTBED_BIN", "KUBEBUILDER_ASSETS"];

pub(super) fn directories() -> Vec<PathBuf> {
    GIVEN_BY
        .into_iter()
        .filter_map(env::var_os)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .collect()
}

pub(super) fn fitting(
    directories: &[PathBuf],
    tools: &[Tool],
    progress: &dyn Fn(&Progress),
) -> BTreeMap<Tool, PathBuf> {
    let mut fitting = BTreeMap::new();
    for &tool in tools {
        for path in
            directories.iter().map(|directory| directory.join(tool.name())).filter(|path| path.is_file())
        {
            match refusal(tool, &path) {
                None => {
                    fitting.insert(tool, path);
                    break;
                }
                Some(found) => progress(&Progress::GivenRefused { tool, path, found }),
            }
        }
    }
    fitting
}

/// What the program is instead of the one that is needed; `None` if it fits.
fn refusal(tool: Tool, path: &Path) -> Option<String> {
    let output = Command::new(path).args(tool.version_arguments()).stdin(Stdio::null()).output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return Some(format!("not runnable ({error})")),
    };
    let Some(found) = version_in(&String::from_utf8_lossy(&output.stdout)) else {
        return Some("of unknown version".to_owned());
    };
    let needed = version_in(tool.family().version());
    (needed.map(Version::minor) != Some(found.minor()))
        .then(|| format!("version {}.{}.{}", found.0, found.1, found.2))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version(u32, u32, u32);

impl Version {
    fn minor(self) -> (u32, u32) {
        (self.0, self.1)
    }
}

/// The first word that looks like `1.2.3` or `v1.2.3-anything`.
fn version_in(text: &str) -> Option<Version> {
    text.split_whitespace().find_map(|word| {
        let word = word.strip_prefix('v').unwrap_or(word);
        let mut parts = word.splitn(3, '.');
        let (major, minor, patch) = (parts.next()?, parts.next()?, parts.next()?);
        let patch = patch.split(|c: char| !c.is_ascii_digit()).next()?;
        Some(Version(major.parse().ok()?, minor.parse().ok()?, patch.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tools_way_to_say_its_version_is_understood() {
        let said = [
            ("etcd Version: 3.6.16\nGit SHA: Not provided\nGo Version: go1.26.8", Some(Version(3, 6, 16))),
            ("Kubernetes v1.36.3", Some(Version(1, 36, 3))),
            ("Kubernetes v1.35.0-rc.1+abc", Some(Version(1, 35, 0))),
            ("Client Version: v1.36.3\nKustomize Version: v5.8.1", Some(Version(1, 36, 3))),
            ("kwok version v0.8.0 go1.26.8 (linux/amd64)", Some(Version(0, 8, 0))),
            ("Kubernetes v0.0.0-master+$Format:%H$", Some(Version(0, 0, 0))),
            ("flag provided but not defined: -version", None),
            ("", None),
        ];
        for (text, version) in said {
            assert_eq!(version_in(text), version, "{text}");
        }
    }
}
