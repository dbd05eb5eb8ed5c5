//! The files of the repository that are made from code, and how they are written.
//!
//! An entry is a path and a function that returns what should stand there. The function reads nothing but the code:
//! the same commit gives the same bytes. `cargo xtask tidy` compares; only this module writes.

mod examples;
mod nodes;
mod reference;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use groundskeeper::manifests::{self, Facts, InstallOptions, RbacOptions};

use crate::repo::Repo;

/// A file made from code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Generated {
    /// From the root of the repository.
    pub(crate) path: &'static str,
    pub(crate) content: fn() -> Result<String>,
}

/// All of them, one line each.
pub(crate) const ALL: &[Generated] = &[
    Generated { path: "deploy/crds.yaml", content: manifests::crds_yaml },
    Generated {
        path: "deploy/install.yaml",
        content: || manifests::install_yaml(&InstallOptions::default(), &Facts::default()),
    },
    Generated { path: "deploy/alerts.yaml", content: manifests::alerts_yaml },
    Generated { path: "deploy/rbac.yaml", content: || manifests::rbac_yaml(&RbacOptions::default()) },
    Generated {
        path: "docs/reference/garbagecollectionpolicy.md",
        content: reference::garbage_collection_policy,
    },
    Generated { path: "docs/gc/fields.md", content: examples::fields },
    Generated { path: "docs/gc/cookbook.md", content: examples::cookbook },
    Generated { path: "docs/reference/cel.md", content: || Ok(reference::cel()) },
    Generated { path: "docs/checks.md", content: || Ok(reference::checks()) },
    Generated { path: "docs/nodes/reference.md", content: nodes::reference },
    Generated { path: "docs/nodes/plugin-contract.schema.json", content: nodes::contract },
    Generated { path: manifests::RUNBOOKS, content: || Ok(nodes::runbooks()) },
    Generated { path: "docs/reference/rights.md", content: || Ok(reference::rights()) },
    Generated { path: "docs/reference/metrics.md", content: || Ok(reference::metrics()) },
    Generated { path: "docs/reference/events.md", content: || Ok(reference::events()) },
    Generated { path: "docs/reference/conditions.md", content: || Ok(reference::conditions()) },
    Generated { path: "docs/reference/configuration.md", content: || Ok(reference::configuration()) },
];

pub(crate) fn run(repo: &Repo) -> Result<ExitCode> {
    for path in write(repo.root(), ALL)? {
        println!("wrote {path}");
    }
    println!("generate: {} files are up to date", ALL.len());
    Ok(ExitCode::SUCCESS)
}

/// Writes those files that differ and returns their paths. A file that is right keeps its modification time.
fn write(root: &Path, entries: &[Generated]) -> Result<Vec<&'static str>> {
    let mut written = Vec::new();
    for entry in entries {
        let content = entry.fresh()?;
        let path = root.join(entry.path);
        if fs::read_to_string(&path).is_ok_and(|present| present == content) {
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making the folder of {}", entry.path))?;
        }
        fs::write(&path, content).with_context(|| format!("writing {}", entry.path))?;
        written.push(entry.path);
    }
    Ok(written)
}

impl Generated {
    /// What should stand in the file.
    pub(crate) fn fresh(&self) -> Result<String> {
        (self.content)().with_context(|| format!("generating {}", self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Generated = Generated { path: "deploy/deep/one.yaml", content: || Ok("kind: One\n".into()) };

    #[test]
    fn a_file_is_written_once_and_then_left_alone() {
        let root = tempfile::tempdir().unwrap();

        assert_eq!(write(root.path(), &[ENTRY]).unwrap(), [ENTRY.path]);
        assert_eq!(fs::read_to_string(root.path().join(ENTRY.path)).unwrap(), "kind: One\n");
        assert!(write(root.path(), &[ENTRY]).unwrap().is_empty());
    }
}
