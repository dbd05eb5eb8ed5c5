//! The servers' programs: given by the environment, cached, or built from their Go modules.
//!
//! Knows the tools and their pinned versions, but not how they are run. A build happens once per user, version, flags
//! and Go release: parallel test processes wait for each other. Blocking; call it apart from an async runtime's
//! threads. Invariant: what lies under a key in the cache is complete, because it gets there by one rename.

mod build;
mod cache;
mod family;
mod given;
mod go;
mod progress;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

pub use family::{Family, Tool};
pub use given::GIVEN_BY;
pub use progress::Progress;

pub(crate) use progress::to_stderr;

/// Where programs come from; the default suits a test.
#[derive(Debug, Clone)]
pub struct Provision {
    go: PathBuf,
    cache: Option<PathBuf>,
    given: Option<Vec<PathBuf>>,
    tools: Vec<Tool>,
}

impl Default for Provision {
    fn default() -> Self {
        Self { go: PathBuf::from("go"), cache: None, given: None, tools: Tool::ALL.to_vec() }
    }
}

impl Provision {
    /// All tools, `go` from the `PATH`, the user's cache directory, and the directories named by [`GIVEN_BY`].
    pub fn new() -> Self {
        Self::default()
    }

    /// The Go command that builds what is missing; by default `go` from the `PATH`.
    #[must_use]
    pub fn go(mut self, program: impl Into<PathBuf>) -> Self {
        self.go = program.into();
        self
    }

    /// The directory that keeps built programs, instead of `kubernetes-testbed` in the user's cache directory.
    #[must_use]
    pub fn cache(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache = Some(directory.into());
        self
    }

    /// Directories that are searched for ready programs, first one first, instead of those named by [`GIVEN_BY`].
    #[must_use]
    pub fn given_in<P: Into<PathBuf>>(mut self, directories: impl IntoIterator<Item = P>) -> Self {
        self.given = Some(directories.into_iter().map(Into::into).collect());
        self
    }

    /// The tools that are needed; the others are neither looked for nor built.
    #[must_use]
    pub fn tools(mut self, tools: impl IntoIterator<Item = Tool>) -> Self {
        self.tools = tools.into_iter().collect();
        self
    }
}

/// A program for each tool that was asked for.
#[derive(Debug, Clone)]
pub struct Binaries {
    paths: BTreeMap<Tool, PathBuf>,
}

impl Binaries {
    /// Finds every tool of `provision`, or builds it; says on the way what takes long.
    ///
    /// Blocks: milliseconds with a warm cache, up to ten minutes without.
    pub fn ensure(provision: &Provision, progress: &dyn Fn(&Progress)) -> Result<Self, BinariesError> {
        let directories = provision.given.clone().unwrap_or_else(given::directories);
        let mut paths = given::fitting(&directories, &provision.tools, progress);
        let missing: Vec<Tool> =
            provision.tools.iter().copied().filter(|tool| !paths.contains_key(tool)).collect();
        if missing.is_empty() {
            return Ok(Self { paths });
        }

        let cache = cache::directory(provision.cache.as_deref())?;
        let mut go = None;
        for family in Family::ALL.into_iter().filter(|family| missing.iter().any(|t| t.family() == *family)) {
            let go = match &mut go {
                Some(go) => go,
                none => none.insert(go::Go::find(&provision.go, family)?),
            };
            let built = build::ensure(go, family, &cache, progress)?;
            for tool in missing.iter().copied().filter(|tool| tool.family() == family) {
                paths.insert(tool, built.join(tool.name()));
            }
        }
        Ok(Self { paths })
    }

    /// The program of a tool.
    pub fn path(&self, tool: Tool) -> Result<&Path, BinariesError> {
        self.paths.get(&tool).map(PathBuf::as_path).ok_or(BinariesError::NotAsked { tool })
    }
}

/// Why there is no program. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    /// There is no such Go command.
    #[error(
        "Go {} or newer is needed to build {family}, and `{}` was not found: install Go, or name a directory with \
         ready programs in ${}", family::GO_MINOR_MIN, .program.display(), GIVEN_BY[0]
    )]
    GoMissing {
        /// What was to be built.
        family: Family,
        /// The command that was looked for.
        program: PathBuf,
    },
    /// The Go command is there, but does not work.
    #[error("`{} version` failed; repair the Go installation: {reason}", .program.display())]
    GoBroken {
        /// The command that was run.
        program: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The Go command cannot build what is pinned.
    #[error(
        "Go {} or newer is needed to build {family}, and this is Go {found}: update Go",
        family::GO_MINOR_MIN
    )]
    GoTooOld {
        /// What was to be built.
        family: Family,
        /// The release that was found.
        found: String,
    },
    /// A cold build would fill the disk.
    #[error(
        "building {family} needs about {needed_gib} GiB of free disk space, and {} has {free_mib} MiB: free some, \
         or move the Go caches (GOCACHE, GOMODCACHE)", .directory.display()
    )]
    DiskSpace {
        /// What was to be built.
        family: Family,
        /// The directory on the disk that is too full.
        directory: PathBuf,
        /// What a cold build needs, in GiB.
        needed_gib: u64,
        /// What there is, in MiB.
        free_mib: u64,
    },
    /// The Go modules could not be fetched.
    #[error(
        "the Go modules of {family} could not be downloaded: the module proxy must be reachable \
         (GOPROXY is `{goproxy}`); Go said: {last_line}"
    )]
    Download {
        /// What was to be built.
        family: Family,
        /// Go's setting, from `go env GOPROXY`.
        goproxy: String,
        /// The last line that Go wrote.
        last_line: String,
    },
    /// The compiler or linker was killed, which is what a machine does that runs out of memory.
    #[error(
        "building {family} was killed, most likely for want of memory: it needs about 3 GiB (the whole log is {})",
        .log.display()
    )]
    Killed {
        /// What was to be built.
        family: Family,
        /// The build's whole output.
        log: PathBuf,
    },
    /// The build failed.
    #[error("building {family} failed (the whole log is {}):\n{last_lines}", .log.display())]
    Build {
        /// What was to be built.
        family: Family,
        /// The build's whole output.
        log: PathBuf,
        /// The end of it.
        last_lines: String,
    },
    /// Neither an explicit cache directory nor one of the user's.
    #[error(
        "there is no cache directory for built programs: set HOME, or XDG_CACHE_HOME to an absolute path"
    )]
    NoCache,
    /// The cache could not be read or written.
    #[error("cannot {act} {}: {source}", .path.display())]
    Cache {
        /// What was tried.
        act: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A program was used that had not been asked for.
    #[error("{} was not among the tools that were asked for: add it to `Provision::tools`", .tool.name())]
    NotAsked {
        /// The tool.
        tool: Tool,
    },
}
