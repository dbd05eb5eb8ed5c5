//! The directory that keeps built programs, and the lock that lets one process build.
//!
//! ```text
//! <cache>/<family>-<key>/<tool>…     complete, or not there
//! <cache>/<family>-<key>.lock        held while somebody builds
//! <cache>/<family>-<key>.log         what the last build said
//! <cache>/.building-…/               a build under way; guarded, so it goes with its process
//! ```
//! The key covers what decides the result, so nothing is ever stale and nothing is ever replaced.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;

use super::{BinariesError, Family, Progress};
use crate::clock::Stopwatch;
use crate::limits;

/// The chosen directory, made if it is not there.
pub(super) fn directory(chosen: Option<&Path>) -> Result<PathBuf, BinariesError> {
    let directory = match chosen {
        Some(directory) => directory.to_owned(),
        None => of_the_user(env::var_os("XDG_CACHE_HOME"), env::var_os("HOME"), cfg!(target_os = "macos"))?,
    };
    fs::create_dir_all(&directory).map_err(failed("create", &directory))?;
    Ok(directory)
}

fn of_the_user(
    xdg: Option<OsString>,
    home: Option<OsString>,
    is_macos: bool,
) -> Result<PathBuf, BinariesError> {
    let absolute = |value: Option<OsString>| value.map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = if is_macos { "Library/Caches" } else { ".cache" };
    absolute(xdg)
        .or_else(|| absolute(home).map(|home| home.join(caches)))
        .map(|caches| caches.join("kubernetes-testbed"))
        .ok_or(BinariesError::NoCache)
}

/// The places of one family's build.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) programs: PathBuf,
    pub(super) log: PathBuf,
    lock: PathBuf,
    family: Family,
}

impl Slot {
    pub(super) fn new(cache: &Path, family: Family, key: &str) -> Self {
        let at = |end: &str| cache.join(format!("{}-{key}{end}", family.name()));
        Self { programs: at(""), log: at(".log"), lock: at(".lock"), family }
    }

    pub(super) fn is_filled(&self) -> bool {
        self.family.tools().all(|tool| self.programs.join(tool.name()).is_file())
    }

    /// Waits for the lock, which the returned file holds until it is closed or its process ends.
    pub(super) fn lock(&self, progress: &dyn Fn(&Progress)) -> Result<File, BinariesError> {
        let file = File::create(&self.lock).map_err(failed("create", &self.lock))?;
        let waited = Stopwatch::start();
        let mut reports = 0;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(failed("lock", &self.lock)(source)),
            }
            if waited.has_run(limits::REPORT_EVERY * reports) {
                progress(&Progress::Waiting { family: self.family, elapsed: waited.elapsed() });
                reports += 1;
            }
            thread::sleep(limits::BUILD_POLL);
        }
    }
}

/// A short name for everything that decides a build's result.
pub(super) fn key(parts: &[&str]) -> String {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        hash.update(part.len().to_le_bytes().as_slice());
        hash.update(part.as_bytes());
    }
    let start =
        hash.finish().as_ref().iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    format!("{start:016x}")
}

pub(super) fn failed<'a>(
    act: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> BinariesError + 'a {
    move |source| BinariesError::Cache { act, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn the_cache_is_where_the_system_keeps_caches() {
        let cases = [
            (Some("/x"), Some("/home/a"), false, Some("/x/kubernetes-testbed")),
            (None, Some("/home/a"), false, Some("/home/a/.cache/kubernetes-testbed")),
            (Some("relative"), Some("/home/a"), false, Some("/home/a/.cache/kubernetes-testbed")),
            (None, Some("/Users/a"), true, Some("/Users/a/Library/Caches/kubernetes-testbed")),
            (None, None, false, None),
            (None, Some(""), false, None),
        ];
        for (xdg, home, is_macos, expected) in cases {
            let found = of_the_user(xdg.map(OsString::from), home.map(OsString::from), is_macos).ok();
            assert_eq!(found, expected.map(PathBuf::from), "{xdg:?} {home:?}");
        }
    }

    #[test]
    fn who_finds_the_lock_taken_says_so_and_gets_it_once_it_is_free() {
        let cache = tempfile::tempdir().unwrap();
        let slot = Slot::new(cache.path(), Family::Etcd, "key");
        let held = Cell::new(Some(slot.lock(&|_| panic!("it is free")).unwrap()));
        let told = Cell::new(0);
        slot.lock(&|progress| {
            assert!(matches!(progress, Progress::Waiting { family: Family::Etcd, .. }));
            told.set(told.get() + 1);
            drop(held.take());
        })
        .unwrap();
        assert_eq!(told.get(), 1);
    }

    #[test]
    fn a_key_changes_with_every_part_and_with_their_borders() {
        let keys = [&["ab", "c"][..], &["a", "bc"], &["ab", "d"], &["ab", "c", ""]].map(key);
        for (i, one) in keys.iter().enumerate() {
            assert_eq!(one.len(), 16);
            assert!(keys.iter().skip(i + 1).all(|other| other != one));
        }
    }
}
