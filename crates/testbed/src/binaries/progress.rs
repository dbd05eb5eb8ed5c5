//! What happens while programs are provided, as data; the words are in one place.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::{Family, Tool};

/// Something worth telling while programs are looked for or built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A ready program was found, but is not used.
    GivenRefused {
        /// Which one it would have been.
        tool: Tool,
        /// Where it lies.
        path: PathBuf,
        /// What its version is, or why it has none.
        found: String,
    },
    /// Another process builds the same; repeated while that goes on.
    Waiting {
        /// What is built.
        family: Family,
        /// For how long this process has waited.
        elapsed: Duration,
    },
    /// A build goes on; first at its start, then repeated.
    Building {
        /// What is built.
        family: Family,
        /// For how long so far.
        elapsed: Duration,
    },
    /// A build is done.
    Built {
        /// What was built.
        family: Family,
        /// How long it took.
        elapsed: Duration,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GivenRefused { tool, path, found } => write!(
                f,
                "not using {}: it is {found}, and {} is needed; using our own {}",
                path.display(),
                tool.family(),
                tool.name()
            ),
            Self::Waiting { family, elapsed } => write!(
                f,
                "waiting for another process that builds {family}, for {} s so far (usually {})",
                elapsed.as_secs(),
                family.usual()
            ),
            Self::Building { family, elapsed } if elapsed.is_zero() => {
                write!(f, "building {family} from its Go module, once; this usually takes {}", family.usual())
            }
            Self::Building { family, elapsed } => write!(
                f,
                "building {family}, for {} s so far (usually {})",
                elapsed.as_secs(),
                family.usual()
            ),
            Self::Built { family, elapsed } => write!(f, "built {family} in {} s", elapsed.as_secs()),
        }
    }
}

/// Writes to the real standard error: the test harness captures what the print macros write.
pub(crate) fn to_stderr(progress: &Progress) {
    let _ = writeln!(io::stderr(), "testbed: {progress}");
}
