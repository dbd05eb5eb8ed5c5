//! Builds one family, once.
//!
//! Go runs guarded: a build does not go on after its test run. Knows nothing of what Go's words mean.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;

use super::cache::{self, Slot, failed};
use super::go::{self, Go};
use super::{BinariesError, Family, Progress};
use crate::clock::Stopwatch;
use crate::guard::Guard;
use crate::limits;
use crate::process::read_end;

/// The directory with the family's programs, built if it is not there.
pub(super) fn ensure(
    go: &Go,
    family: Family,
    cache: &Path,
    progress: &dyn Fn(&Progress),
) -> Result<PathBuf, BinariesError> {
    let flags = flags(family);
    let key = cache::key(&[family.go_mod(), family.go_sum(), &flags.join(" "), &go.version]);
    let slot = Slot::new(cache, family, &key);
    if slot.is_filled() {
        return Ok(slot.programs);
    }
    let _lock = slot.lock(progress)?;
    if !slot.is_filled() {
        check_disk(go, family, cache)?;
        build(go, family, &flags, cache, &slot, progress)?;
    }
    Ok(slot.programs)
}

fn flags(family: Family) -> Vec<String> {
    let fixed = ["build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags"];
    fixed.into_iter().map(str::to_owned).chain([family.linker_flags()]).collect()
}

fn build(
    go: &Go,
    family: Family,
    flags: &[String],
    cache: &Path,
    slot: &Slot,
    progress: &dyn Fn(&Progress),
) -> Result<(), BinariesError> {
    let taken = Stopwatch::start();
    let place = Workplace::make(cache, family)?;
    let log = File::create(&slot.log).map_err(failed("create", &slot.log))?;
    let mut command = go.command();
    command
        .args(flags)
        .arg("-o")
        .arg(place.output.join(family.output()))
        .args(family.packages())
        .current_dir(&place.module)
        .env("GOTMPDIR", &place.scratch)
        .stdout(log.try_clone().map_err(failed("write", &slot.log))?)
        .stderr(log);

    let status = run(&place.guard, &mut command, family, &taken, progress)
        .map_err(|source| BinariesError::Cache { act: "run Go in", path: place.module.clone(), source })?;
    if !status.success() || !family.tools().all(|tool| place.output.join(tool.name()).is_file()) {
        let said = read_end(&slot.log).unwrap_or_default();
        return Err(go::judge(family, &said, &slot.log, || {
            let [goproxy] = go.settings(["GOPROXY"]);
            goproxy
        }));
    }
    // What is there without being complete is no work of ours (a rename is all or nothing): somebody removed a part.
    let _ = fs::remove_dir_all(&slot.programs);
    fs::rename(&place.output, &slot.programs)
        .map_err(failed("move the built programs to", &slot.programs))?;
    progress(&Progress::Built { family, elapsed: taken.elapsed() });
    Ok(())
}

/// A guarded directory for one build, on the cache's own file system so that a rename suffices.
#[derive(Debug)]
struct Workplace {
    guard: Guard,
    module: PathBuf,
    scratch: PathBuf,
    output: PathBuf,
}

impl Workplace {
    fn make(cache: &Path, family: Family) -> Result<Self, BinariesError> {
        let directory = tempfile::Builder::new()
            .prefix(".building-")
            .tempdir_in(cache)
            .map_err(failed("make a directory in", cache))?
            .keep();
        let place = Self {
            module: directory.join("module"),
            scratch: directory.join("scratch"),
            output: directory.join("output"),
            guard: Guard::over(directory).map_err(failed("guard a build in", cache))?,
        };
        for made in [&place.module, &place.scratch, &place.output] {
            fs::create_dir(made).map_err(failed("create", made))?;
        }
        for (name, text) in [("go.mod", family.go_mod()), ("go.sum", family.go_sum())] {
            let file = place.module.join(name);
            fs::write(&file, text).map_err(failed("write", &file))?;
        }
        Ok(place)
    }
}

fn run(
    guard: &Guard,
    command: &mut Command,
    family: Family,
    taken: &Stopwatch,
    progress: &dyn Fn(&Progress),
) -> std::io::Result<ExitStatus> {
    progress(&Progress::Building { family, elapsed: std::time::Duration::ZERO });
    let mut build: Child = guard.spawn(command)?;
    let mut reports = 1;
    loop {
        if let Some(status) = build.try_wait()? {
            return Ok(status);
        }
        if taken.has_run(limits::REPORT_EVERY * reports) {
            progress(&Progress::Building { family, elapsed: taken.elapsed() });
            reports += 1;
        }
        thread::sleep(limits::BUILD_POLL);
    }
}

/// Refuses a build that would fill a disk: Go's caches take most of it, the programs the rest.
fn check_disk(go: &Go, family: Family, cache: &Path) -> Result<(), BinariesError> {
    let [build_cache, modules] = go.settings(["GOCACHE", "GOMODCACHE"]);
    for directory in [cache.to_owned(), PathBuf::from(build_cache), PathBuf::from(modules)] {
        // A directory that does not exist yet will be on the disk of its nearest ancestor.
        let Some(existing) = directory.ancestors().find(|path| path.is_dir()) else { continue };
        let Some(free_kib) = free_kib(existing) else { continue };
        if free_kib < family.disk_gib() * KIB_PER_GIB {
            return Err(BinariesError::DiskSpace {
                family,
                directory: existing.to_owned(),
                needed_gib: family.disk_gib(),
                free_mib: free_kib / 1024,
            });
        }
    }
    Ok(())
}

const KIB_PER_GIB: u64 = 1024 * 1024;

/// Free space for this user; `None` if `df` does not say, which stops nobody.
fn free_kib(directory: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(directory).output().ok()?;
    available_in(&String::from_utf8_lossy(&output.stdout))
}

/// The fourth column of the last line of `df -Pk`, counted from the percentage: a device's name may have spaces.
fn available_in(report: &str) -> Option<u64> {
    let words: Vec<&str> = report.lines().last()?.split_whitespace().collect();
    let percentage =
        words.iter().position(|word| word.strip_suffix('%').is_some_and(|n| n.parse::<u8>().is_ok()))?;
    words.get(percentage.checked_sub(1)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_read_from_a_posix_report() {
        let reports = [
            (
                "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 100 60 40 60% /\n",
                Some(40),
            ),
            (
                "Filesystem 1024-blocks Used Available Capacity Mounted on\nmap auto home 9 1 8 12% /my disk\n",
                Some(8),
            ),
            ("df: /nowhere: No such file or directory\n", None),
            ("", None),
        ];
        for (report, expected) in reports {
            assert_eq!(available_in(report), expected, "{report}");
        }
    }

    #[test]
    fn this_machines_report_can_be_read() {
        assert!(free_kib(Path::new("/")).is_some());
    }
}
