//! Generated files are what the code makes now.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};

use super::Finding;
use crate::generate::Generated;

pub(super) fn check(root: &Path, entries: &[Generated]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for entry in entries {
        findings.extend(check_one(root, entry)?);
    }
    Ok(findings)
}

fn check_one(root: &Path, entry: &Generated) -> Result<Option<Finding>> {
    let fresh = entry.fresh()?;
    let finding = |line, wrong: &str| Finding {
        path: entry.path.to_owned(),
        line,
        wrong: wrong.to_owned(),
        remedy: "run `cargo xtask generate` and commit what it writes".into(),
    };
    match fs::read_to_string(root.join(entry.path)) {
        Ok(present) if present == fresh => Ok(None),
        Ok(present) => {
            Ok(Some(finding(first_difference(&present, &fresh), "is not what the code makes now")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(finding(1, "is missing"))),
        Err(error) => Err(error).with_context(|| format!("reading {}", entry.path)),
    }
}

/// The first line that differs, counted from 1; the one after the shorter text if that is where the other goes on.
fn first_difference(present: &str, fresh: &str) -> usize {
    present.lines().zip(fresh.lines()).take_while(|(one, other)| one == other).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Generated = Generated { path: "one.yaml", content: || Ok("a: 1\nb: 2\n".into()) };

    /// The findings, as (line, what is wrong), with this text in the file, or without the file.
    fn findings(present: Option<&str>) -> Vec<(usize, String)> {
        let root = tempfile::tempdir().unwrap();
        if let Some(text) = present {
            fs::write(root.path().join(ENTRY.path), text).unwrap();
        }
        let found = check(root.path(), &[ENTRY]).unwrap();
        found.into_iter().map(|finding| (finding.line, finding.wrong)).collect()
    }

    #[test]
    fn a_fresh_file_passes() {
        assert_eq!(findings(Some("a: 1\nb: 2\n")), []);
    }

    #[test]
    fn a_stale_file_is_found_at_its_first_difference() {
        assert_eq!(findings(Some("a: 1\nb: 3\n")), [(2, "is not what the code makes now".to_owned())]);
    }

    #[test]
    fn a_file_that_ends_too_early_is_found() {
        assert_eq!(findings(Some("a: 1\n")), [(2, "is not what the code makes now".to_owned())]);
    }

    #[test]
    fn a_missing_file_is_found() {
        assert_eq!(findings(None), [(1, "is missing".to_owned())]);
    }

    #[test]
    fn a_generator_that_fails_says_which_file() {
        let entry = Generated { path: "one.yaml", content: || anyhow::bail!("no") };

        let error = check(Path::new("/nowhere"), &[entry]).unwrap_err();

        assert_eq!(error.to_string(), "generating one.yaml");
    }
}
