//! What the checks need from a crate's `Cargo.toml`: its name and its edges.

use anyhow::{Context, Result};
use toml::de::{DeTable, DeValue};

use super::line_at;
use crate::repo::{Repo, TextFile};

#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) path: String,
    pub(super) name: String,
    pub(super) edges: Vec<Edge>,
}

#[derive(Debug)]
pub(super) struct Edge {
    /// The package's own name, also where the manifest gives it another.
    pub(super) to: String,
    pub(super) stage: Stage,
    pub(super) line: usize,
}

/// What a dependency is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Run,
    Build,
    Test,
}

const SECTIONS: [(&str, Stage); 3] =
    [("dependencies", Stage::Run), ("build-dependencies", Stage::Build), ("dev-dependencies", Stage::Test)];

/// Every crate's manifest; the root's has no package and no edges.
pub(super) fn read(repo: &Repo) -> Result<Vec<Manifest>> {
    let files = repo.read(is_manifest)?;
    files.iter().map(parse).collect()
}

fn is_manifest(path: &str) -> bool {
    matches!(path.split('/').collect::<Vec<_>>().as_slice(), ["crates", _, "Cargo.toml"])
}

pub(super) fn parse(file: &TextFile) -> Result<Manifest> {
    let document = DeTable::parse(&file.text).with_context(|| format!("reading {}", file.path))?;
    let document = document.get_ref();
    let name = table(document, "package").and_then(|package| package.get("name")?.get_ref().as_str());
    let name = name.with_context(|| format!("{} names no package", file.path))?;

    let per_target = table(document, "target").into_iter().flat_map(DeTable::values);
    let per_target = per_target.filter_map(|target| target.get_ref().as_table());
    let mut edges = Vec::new();
    for scope in per_target.chain([document]) {
        for (section, stage) in SECTIONS {
            edges
                .extend(table(scope, section).into_iter().flat_map(|section| edges_of(file, section, stage)));
        }
    }
    edges.sort_by_key(|edge| edge.line);
    Ok(Manifest { path: file.path.clone(), name: name.to_owned(), edges })
}

fn table<'a, 'i>(parent: &'a DeTable<'i>, key: &str) -> Option<&'a DeTable<'i>> {
    parent.get(key)?.get_ref().as_table()
}

fn edges_of(file: &TextFile, section: &DeTable<'_>, stage: Stage) -> Vec<Edge> {
    let edge = |key: &str, value: &DeValue<'_>, offset: usize| {
        let package = value.as_table().and_then(|entry| entry.get("package")?.get_ref().as_str());
        Edge { to: package.unwrap_or(key).to_owned(), stage, line: line_at(&file.text, offset) }
    };
    section.iter().map(|(key, value)| edge(key.get_ref(), value.get_ref(), key.span().start)).collect()
}
