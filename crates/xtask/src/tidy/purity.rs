//! Engines stay pure: no runtime and no HTTP client below them, however deep.
//!
//! Reads what `cargo tree` prints for one crate alone, for features differ when the whole workspace is built.

use std::collections::BTreeSet;
use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::manifest::Manifest;
use super::{Finding, tiers};

const BANNED: [&str; 10] = [
    "async-std",
    "axum",
    "hyper",
    "kube-client",
    "kube-runtime",
    "reqwest",
    "smol",
    "tokio",
    "tonic",
    "ureq",
];

/// Checks the crates of the pure tiers.
pub(super) fn check_all(root: &Path, manifests: &[Manifest]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for manifest in manifests {
        if tiers::find(&manifest.name).is_some_and(tiers::Row::is_pure) {
            findings.extend(check(manifest, &tree(root, &manifest.name)?));
        }
    }
    Ok(findings)
}

/// The normal dependencies of a crate at every depth: `name vVersion` and more on each line.
fn tree(root: &Path, name: &str) -> Result<String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--quiet", "--package", name, "--edges", "normal", "--prefix", "none"])
        .current_dir(root)
        .output()
        .context("running cargo tree")?;
    ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    String::from_utf8(output.stdout).context("cargo tree printed what is not UTF-8")
}

fn check(manifest: &Manifest, tree: &str) -> Vec<Finding> {
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let banned = BANNED.into_iter().filter(|name| names.contains(name));
    let finding = |name: &str| Finding {
        path: manifest.path.clone(),
        line: manifest.edges.iter().find(|edge| edge.to == name).map_or(1, |edge| edge.line),
        wrong: format!("the engine `{}` pulls in `{name}`", manifest.name),
        remedy: format!(
            "`cargo tree -p {} -e normal -i {name}` shows the way it comes; cut it, or do that work in a shell",
            manifest.name
        ),
    };
    banned.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrongs(tree: &str) -> Vec<String> {
        let manifest = Manifest { path: "crates/gc/Cargo.toml".into(), name: "gc".into(), edges: Vec::new() };
        check(&manifest, tree).into_iter().map(|finding| finding.wrong).collect()
    }

    #[test]
    fn a_runtime_deep_in_the_tree_is_found_once() {
        let tree =
            "gc v0.1.0 (/src/crates/gc)\nkube v5.0.0\ntokio v1.54.0\nbytes v1.12.1\ntokio v1.54.0 (*)\n";

        assert_eq!(wrongs(tree), ["the engine `gc` pulls in `tokio`"]);
    }

    #[test]
    fn names_that_only_begin_like_a_banned_one_pass() {
        let tree =
            "gc v0.1.0 (/src/crates/gc)\nkube v5.0.0\nkube-core v5.0.0\nhttp v1.5.0\ntokio-like v1.0.0\n";

        assert_eq!(wrongs(tree), [""; 0]);
    }
}
