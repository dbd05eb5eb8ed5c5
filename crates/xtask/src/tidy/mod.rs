//! The repository against its own rules, where no compiler looks.
//!
//! A check is a pure function of texts (manifests, sources, pages, a dependency tree) and returns findings; this file
//! reads the texts, runs all checks and prints. Findings fail the run. The largest functions and files are only listed:
//! a forced split is worse than a long list.

mod deletes;
mod edges;
mod generated;
mod links;
mod manifest;
mod purity;
mod roots;
mod sizes;
mod source;
mod tiers;

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;

use crate::generate;
use crate::repo::{Repo, has_extension};

/// A rule broken at a place, with the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    path: String,
    /// Counted from 1.
    line: usize,
    wrong: String,
    remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, wrong, remedy } = self;
        write!(f, "{path}:{line}: {wrong}; {remedy}")
    }
}

pub(crate) fn run(repo: &Repo) -> Result<ExitCode> {
    let manifests = manifest::read(repo)?;
    let sources = source::read(repo)?;
    let pages = repo.read(|path| has_extension(path, "md"))?;

    let findings = [
        edges::check(&manifests),
        purity::check_all(repo.root(), &manifests)?,
        deletes::check(&sources),
        roots::check(&sources),
        generated::check(repo.root(), generate::ALL)?,
        links::check(&pages, repo.paths()),
    ]
    .concat();

    print_places(&sizes::places(&sources));
    print_findings(&findings);
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_places(places: &[String]) {
    if places.is_empty() {
        return;
    }
    println!("places to look at (none of them fails):");
    for place in places {
        println!("  {place}");
    }
}

fn print_findings(findings: &[Finding]) {
    for finding in findings {
        println!("{finding}");
    }
    println!("tidy: {} findings", findings.len());
}

/// The number of the line that a byte of a text lies in, counted from 1.
fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_that_an_editor_can_follow() {
        let finding =
            Finding { path: "a/b.rs".into(), line: 7, wrong: "is wrong".into(), remedy: "do right".into() };

        assert_eq!(finding.to_string(), "a/b.rs:7: is wrong; do right");
    }
}
