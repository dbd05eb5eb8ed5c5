//! The Go command: its release, its environment, and what its failures mean.
//!
//! Judges Go's words only; runs no build.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::family::{GO_MINOR_MIN, GoMinor};
use super::{BinariesError, Family};
use crate::process::last_lines;

/// A Go command that is new enough.
#[derive(Debug)]
pub(super) struct Go {
    program: PathBuf,
    /// The whole line of `go version`, which names the release and the platform.
    pub(super) version: String,
}

impl Go {
    pub(super) fn find(program: &Path, family: Family) -> Result<Self, BinariesError> {
        let mut output = run(program, &["version"], family, &[])?;
        if !output.status.success() {
            // With GOTOOLCHAIN=auto an old Go answers by fetching a newer one, which may be what failed.
            output = run(program, &["version"], family, &[("GOTOOLCHAIN", "local")])?;
        }
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let Some((minor, found)) = release_in(&version) else {
            let said = String::from_utf8_lossy(&output.stderr);
            let reason = said.lines().last().unwrap_or("it printed no version").to_owned();
            return Err(BinariesError::GoBroken { program: program.to_owned(), reason });
        };
        if minor < GO_MINOR_MIN {
            return Err(BinariesError::GoTooOld { family, found });
        }
        Ok(Self { program: program.to_owned(), version })
    }

    /// A command with an environment that the caller's own Go settings cannot bend: no flags, no workspace, no cross
    /// compilation. Proxy, checksum and cache settings remain the user's.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            .env("GOFLAGS", "")
            .env_remove("GOOS")
            .env_remove("GOARCH")
            .env_remove("GOEXPERIMENT")
            .stdin(Stdio::null());
        command
    }

    /// Go's settings, in the order asked for; empty where it does not say.
    pub(super) fn settings<const N: usize>(&self, names: [&str; N]) -> [String; N] {
        let output = self.command().arg("env").args(names).output();
        let said =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let mut lines = said.lines();
        names.map(|_| lines.next().unwrap_or_default().to_owned())
    }
}

fn run(
    program: &Path,
    arguments: &[&str],
    family: Family,
    environment: &[(&str, &str)],
) -> Result<Output, BinariesError> {
    // Not in the current directory, whose own go.mod might choose another release.
    let output = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir("/")
        .stdin(Stdio::null())
        .output();
    output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => BinariesError::GoMissing { family, program: program.to_owned() },
        _ => BinariesError::GoBroken { program: program.to_owned(), reason: error.to_string() },
    })
}

/// The release in `go version go1.26.8 linux/amd64`, as a number to compare and as Go writes it.
fn release_in(version: &str) -> Option<(GoMinor, String)> {
    let release = version.split_whitespace().find_map(|word| word.strip_prefix("go1."))?;
    let minor: String = release.chars().take_while(char::is_ascii_digit).collect();
    Some((GoMinor { major: 1, minor: minor.parse().ok()? }, format!("1.{release}")))
}

/// What a failed build's output means. `goproxy` is asked for only if it is part of the answer.
pub(super) fn judge(
    family: Family,
    output: &str,
    log: &Path,
    goproxy: impl FnOnce() -> String,
) -> BinariesError {
    let said = |signs: &[&str]| output.lines().any(|line| signs.iter().any(|sign| line.contains(sign)));
    if said(&KILLED) {
        return BinariesError::Killed { family, log: log.to_owned() };
    }
    if said(&NOT_FETCHED) {
        let last_line = output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
        return BinariesError::Download { family, goproxy: goproxy(), last_line };
    }
    BinariesError::Build { family, log: log.to_owned(), last_lines: last_lines(output) }
}

const KILLED: [&str; 2] = ["signal: killed", "cannot allocate memory"];

/// How Go says that a module cannot be had. None of these occurs in a compiler's message.
const NOT_FETCHED: [&str; 12] = [
    "dial tcp",
    "dial udp",
    "proxyconnect",
    "no such host",
    "i/o timeout",
    "handshake timeout",
    "Client.Timeout",
    "connection refused",
    "connection reset",
    "not available",
    "disabled by GOPROXY",
    "Get \"http",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_minor() {
        let said = [
            ("go version go1.26.8 linux/amd64", Some((26, "1.26.8"))),
            ("go version go1.9 darwin/arm64", Some((9, "1.9"))),
            ("go version go1.27rc1 linux/arm64", Some((27, "1.27rc1"))),
            ("go version devel go1.28-0123abc Mon Jan 1 linux/amd64", Some((28, "1.28-0123abc"))),
            ("gccgo", None),
        ];
        for (text, expected) in said {
            let found = release_in(text).map(|(minor, release)| (minor.minor, release));
            assert_eq!(found, expected.map(|(minor, release)| (minor, release.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_go_says_becomes_what_to_do() {
        let unreachable = [
            "go: downloading k8s.io/api v0.36.3\ngo: k8s.io/api@v0.36.3: Get \"https://proxy.example/k8s.io/api\": \
             dial tcp: lookup proxy.example on 127.0.0.53:53: no such host",
            "go: example.org/a@v1.0.0: reading https://proxy.example/a: 503 not available",
            "../a.go:3:2: example.org/a@v1.0.0: Get \"https://proxy.example/a.zip\": net/http: TLS handshake timeout",
            "go: example.org/a@v1.0.0: module lookup disabled by GOPROXY=off",
            "go: example.org/a@v1.0.0: Get \"https://proxy.example/a\": proxyconnect tcp: dial tcp 10.0.0.1:3128: \
             connect: connection refused",
        ];
        for output in unreachable {
            let error = judge(Family::Etcd, output, Path::new("/log"), || "https://proxy.example".to_owned());
            assert!(matches!(error, BinariesError::Download { .. }), "{output}\n=> {error}");
            let said = error.to_string();
            assert!(said.contains("https://proxy.example"), "{said}");
            assert!(said.ends_with(output.lines().last().unwrap()), "{said}");
        }

        let broken = "# example.org/a\n../a.go:3:2: undefined: proxy\n../a.go:4:2: lookup redeclared";
        let error = judge(Family::Etcd, broken, Path::new("/log"), || unreachable!("not needed"));
        assert!(matches!(&error, BinariesError::Build { last_lines, .. } if last_lines == broken), "{error}");
        assert!(error.to_string().contains("/log"), "{error}");

        let killed = "k8s.io/kubernetes/cmd/kubectl: /go/link: signal: killed";
        let error = judge(Family::Kubernetes, killed, Path::new("/log"), || unreachable!("not needed"));
        assert!(matches!(error, BinariesError::Killed { .. }), "{error}");
    }

    #[test]
    fn a_failed_build_shows_its_last_twenty_lines() {
        let output = (1..=50).map(|n| format!("a.go:{n}: wrong")).collect::<Vec<_>>().join("\n");
        let error = judge(Family::Kwok, &output, Path::new("/log"), String::new).to_string();
        assert!(
            !error.contains("a.go:30:") && error.contains("a.go:31:") && error.ends_with("a.go:50: wrong")
        );
    }
}
