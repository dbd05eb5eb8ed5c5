//! The repository's files, as a clean clone would have them.
//!
//! Asks git, so that what is ignored does not exist here: a check that passes on one machine passes on all. New files
//! that nobody has added yet count. Paths are relative to the root and written with `/`.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

#[derive(Debug)]
pub(crate) struct Repo {
    root: PathBuf,
    paths: BTreeSet<String>,
}

/// A file that was read, with its path from the root.
#[derive(Debug, Clone)]
pub(crate) struct TextFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Repo {
    /// The repository that this crate lies in.
    pub(crate) fn open() -> Result<Self> {
        let root = root()?;
        let paths = tracked_or_new(&root)?;
        Ok(Self { root, paths })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn paths(&self) -> &BTreeSet<String> {
        &self.paths
    }

    /// Reads the files whose path is wanted, in the order of their paths.
    pub(crate) fn read(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<TextFile>> {
        let wanted = self.paths.iter().filter(|path| wanted(path));
        wanted.map(|path| self.read_one(path)).collect()
    }

    fn read_one(&self, path: &str) -> Result<TextFile> {
        let text = fs::read_to_string(self.root.join(path)).with_context(|| format!("reading {path}"))?;
        Ok(TextFile { path: path.to_owned(), text })
    }
}

/// Whether the path's last part ends in a dot and exactly this.
pub(crate) fn has_extension(path: &str, wanted: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == wanted)
}

/// Cargo names this crate's folder while it runs us; the folder at compile time is for calls without cargo.
fn root() -> Result<PathBuf> {
    let crate_dir = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&crate_dir).ancestors().nth(2);
    Ok(root.context("the crate lies in `crates/` of the repository")?.to_owned())
}

fn tracked_or_new(root: &Path) -> Result<BTreeSet<String>> {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("running git, which lists the repository's files")?;
    ensure!(listing.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listing.stderr).trim());
    let listing = String::from_utf8(listing.stdout).context("a file name that is not UTF-8")?;
    // What is deleted but not yet committed is still listed.
    let paths = listing.split('\0').filter(|path| root.join(path).is_file());
    Ok(paths.map(str::to_owned).collect())
}
