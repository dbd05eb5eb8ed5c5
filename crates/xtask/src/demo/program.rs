//! Builds the real `groundskeeper`.
//!
//! With the same cargo, profile and target directory as the demo itself, so that a second start builds nothing. Cargo
//! says itself where the program is.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use control::{Clock as _, SystemClock};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{ChildStderr, ChildStdout};

use super::leash::Leash;
use super::limits::{BUILD_REPORT_EVERY, LOG_LINES, POLL_EVERY};
use super::screen::Screen;

/// What the build of the demo itself has left to do (measured on two busy cores: 25 s).
const USUAL: &str = "usually 20 s to 2 min, once";

/// Builds the program and returns its path.
pub(super) async fn build(screen: &Screen, root: &Path) -> Result<PathBuf> {
    let profile = if cfg!(debug_assertions) { "" } else { " --release" };
    screen.command(&format!("cargo build --package groundskeeper{profile}"));
    let since = SystemClock.now();
    let mut words = vec![env::var_os("CARGO").unwrap_or_else(|| "cargo".into())];
    words.extend(["build", "--package", "groundskeeper", "--bin", "groundskeeper"].map(Into::into));
    words.push("--message-format=json-render-diagnostics".into());
    words.extend((!profile.is_empty()).then(|| "--release".into()));
    let mut leash = Leash::start(words, |command| {
        command.current_dir(root).stdout(Stdio::piped()).stderr(Stdio::piped());
    })
    .context("running cargo")?;
    let output = leash.shell().stdout.take().context("cargo has no output")?;
    let errors = leash.shell().stderr.take().context("cargo has no errors")?;

    let (found, said) = tokio::join!(program_in(output), follow(errors, screen, since));
    if !leash.wait().await.context("waiting for cargo")?.success() {
        bail!("cargo could not build groundskeeper; it said last:\n{}", last(&said));
    }
    let program =
        found?.ok_or_else(|| anyhow!("cargo has built groundskeeper, but does not say where it is"))?;
    let seconds = SystemClock.now().duration_since(since).as_secs_f64();
    screen.holds(&format!("built {} in {seconds:.1} s", program.display()));
    Ok(program)
}

/// What cargo says of each thing that it has built, as far as it concerns us.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    target: Option<Target>,
    #[serde(default)]
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

async fn program_in(output: ChildStdout) -> Result<Option<PathBuf>> {
    let mut text = String::new();
    BufReader::new(output).read_to_string(&mut text).await.context("reading what cargo has built")?;
    Ok(text.lines().filter_map(program_of).next_back())
}

fn program_of(line: &str) -> Option<PathBuf> {
    let message: Message = serde_json::from_str(line).ok()?;
    let ours = message.target.is_some_and(|target| target.name == "groundskeeper");
    message.executable.filter(|_| ours && message.reason == "compiler-artifact")
}

/// Shows how far cargo is, and returns all that it said.
async fn follow(errors: ChildStderr, screen: &Screen, since: Timestamp) -> Vec<String> {
    let mut lines = BufReader::new(errors).lines();
    let mut said: Vec<String> = Vec::new();
    let mut reported = Duration::ZERO;
    loop {
        match tokio::time::timeout(POLL_EVERY * 5, lines.next_line()).await {
            Ok(Ok(Some(line))) => said.push(line),
            Ok(_) => break,
            Err(_) => {}
        }
        let elapsed = SystemClock.now().duration_since(since).unsigned_abs();
        let state = said.last().map_or("starting cargo", |line| line.trim());
        let text = format!("for {} s so far ({USUAL}): {state}", elapsed.as_secs());
        if screen.is_terminal() {
            screen.fleeting(&text);
        } else if elapsed >= reported + BUILD_REPORT_EVERY {
            screen.say(&text);
            reported = elapsed;
        }
    }
    screen.clear();
    said
}

fn last(said: &[String]) -> String {
    let skipped = said.len().saturating_sub(LOG_LINES * 2);
    said.iter().skip(skipped).map(String::as_str).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_where_the_program_is() {
        let table = [
            (
                r#"{"reason":"compiler-artifact","target":{"name":"groundskeeper","kind":["bin"]},"executable":"/t/gk"}"#,
                Some("/t/gk"),
            ),
            (
                r#"{"reason":"compiler-artifact","target":{"name":"groundskeeper","kind":["lib"]},"executable":null}"#,
                None,
            ),
            (
                r#"{"reason":"compiler-artifact","target":{"name":"other","kind":["bin"]},"executable":"/t/o"}"#,
                None,
            ),
            (r#"{"reason":"build-finished","success":true}"#, None),
            ("not JSON", None),
        ];
        for (line, expected) in table {
            assert_eq!(program_of(line), expected.map(PathBuf::from), "{line}");
        }
    }
}
